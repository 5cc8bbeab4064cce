//! Reading files: bounded in size and time, with errors that name them.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use crate::text::without_mark;
use crate::{Error, ErrorKind, Place, Result};

/// The most bytes that are read of one file.
const MAX_BYTES: usize = crate::yaml::MAX_BYTES;

/// How long a pipe or a device may take to give its text.
const DEADLINE: Duration = Duration::from_secs(30);

/// What a file holds.
pub(crate) fn read(path: &Path) -> Result<Vec<u8>> {
    read_within(path, DEADLINE)
}

fn read_within(path: &Path, deadline: Duration) -> Result<Vec<u8>> {
    let bytes = if is_special(path) {
        let (sender, receiver) = mpsc::channel();
        let special = path.to_owned();
        // Opening a pipe waits for somebody who writes; a thread that does so in vain holds nothing else.
        thread::spawn(move || sender.send(contents(&special)));
        receiver.recv_timeout(deadline).map_err(|_| {
            let message = format!(
                "`{}` did not give its text within {deadline:?}",
                path.display()
            );
            Error::new(ErrorKind::Io, message).retryable()
        })?
    } else {
        contents(path)
    };
    let bytes = bytes.map_err(|error| unreadable(path, error))?;
    if bytes.len() > MAX_BYTES {
        let message =
            format!("the file has more than the {MAX_BYTES} bytes that are read; split it");
        return Err(Error::new(ErrorKind::TooLarge, message).at(in_file(path)));
    }
    Ok(bytes)
}

fn contents(path: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    File::open(path)?
        .take(MAX_BYTES as u64 + 1)
        .read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// Whether this is a pipe, a socket or a device, so that reading it may take any time.
pub(crate) fn is_special(path: &Path) -> bool {
    path.metadata()
        .is_ok_and(|found| !found.is_file() && !found.is_dir())
}

/// Bytes as UTF-8; in comments of whole lines anything goes, as in Ansible.
pub(crate) fn text(bytes: Vec<u8>, path: &Path) -> Result<String> {
    if bytes.starts_with(b"\xff\xfe") || bytes.starts_with(b"\xfe\xff") {
        let message = "this file is in UTF-16; save it as UTF-8";
        return Err(Error::new(ErrorKind::Syntax, message).at(in_file(path)));
    }
    let bytes = match String::from_utf8(bytes) {
        Ok(text) => return Ok(without_mark(&text).to_owned()),
        Err(error) => error.into_bytes(),
    };
    let mut text = String::with_capacity(bytes.len());
    for (line, number) in bytes.split(|byte| *byte == b'\n').zip(1..) {
        match std::str::from_utf8(line) {
            Ok(line) => text.push_str(line),
            Err(_) if line.trim_ascii_start().starts_with(b"#") || line.starts_with(b";") => {}
            Err(_) => {
                let place = Place {
                    line: Some(number),
                    ..in_file(path)
                };
                return Err(Error::new(ErrorKind::Syntax, "this line is not UTF-8").at(place));
            }
        }
        text.push('\n');
    }
    Ok(text)
}

/// The names in a folder, in their order; those that are not UTF-8 are passed over.
pub(crate) fn names(folder: &Path) -> Result<BTreeSet<String>> {
    let list = || -> io::Result<BTreeSet<String>> {
        fs::read_dir(folder)?
            .map(|entry| Ok(entry?.file_name()))
            .filter_map(|name| name.map(|name| name.into_string().ok()).transpose())
            .collect()
    };
    list().map_err(|error| unreadable(folder, error))
}

/// The files of a folder with this extension, by name.
pub(crate) fn with_extension(folder: &Path, extension: &str) -> Result<Vec<PathBuf>> {
    let paths = names(folder)?.into_iter().map(|name| folder.join(name));
    Ok(paths
        .filter(|path| path.extension().is_some_and(|found| found == extension))
        .collect())
}

fn in_file(path: &Path) -> Place {
    Place::in_file(path.display().to_string())
}

fn unreadable(path: &Path, error: io::Error) -> Error {
    let message = format!("cannot read `{}`", path.display());
    Error::new(ErrorKind::Io, message).caused_by(error)
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    fn pipe(folder: &Path, name: &str) -> PathBuf {
        let pipe = folder.join(name);
        let made = Command::new("mkfifo").arg(&pipe).status();
        assert!(made.expect("mkfifo of coreutils").success());
        pipe
    }

    #[test]
    fn what_never_ends_is_left() {
        let folder = tempfile::tempdir().expect("a folder");
        let silent = pipe(folder.path(), "silent");
        let error = read_within(&silent, Duration::from_millis(20)).expect_err("nobody writes");
        assert!(
            error.is_retryable() && error.to_string().ends_with("within 20ms"),
            "{error}"
        );
        let error = read(Path::new("/dev/zero")).expect_err("it has no end");
        assert_eq!(error.kind(), ErrorKind::TooLarge);
        let written = pipe(folder.path(), "written");
        let writer = thread::spawn({
            let pipe = written.clone();
            move || fs::write(pipe, "text")
        });
        assert_eq!(read(&written).expect("somebody writes"), b"text");
        writer.join().expect("no panic").expect("somebody reads");
    }

    #[test]
    fn a_folder_in_place_of_a_file_is_an_error() {
        let error = read(Path::new("/")).expect_err("a folder");
        assert_eq!(error.kind(), ErrorKind::Io);
    }
}
