//! Reading files: bounded in size and time, with errors that name them.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use crate::nearest::did_you_mean;
use crate::text::without_mark;
use crate::{Error, ErrorKind, Place, Result};

/// The most bytes that are read of one file.
const MAX_BYTES: usize = crate::yaml::MAX_BYTES;

/// The most names that are looked at to find the one that was meant.
const MAX_CANDIDATES: usize = 10_000;

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
    // Of marks that begin alike the longer one comes first.
    let marks: [(&[u8], u8); 4] = [
        (b"\xff\xfe\0\0", 32),
        (b"\0\0\xfe\xff", 32),
        (b"\xff\xfe", 16),
        (b"\xfe\xff", 16),
    ];
    if let Some((_, bits)) = marks.iter().find(|(mark, _)| bytes.starts_with(mark)) {
        let message = format!("this file is in UTF-{bits}; save it as UTF-8");
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

/// The names in a folder that are wanted, in their order; one that is not UTF-8 is an error.
pub(crate) fn names(folder: &Path, wanted: impl Fn(&str) -> bool) -> Result<BTreeSet<String>> {
    let list = || -> io::Result<BTreeSet<OsString>> {
        let entries = fs::read_dir(folder)?.map(|entry| Ok(entry?.file_name()));
        entries.collect()
    };
    list()
        .map_err(|error| unreadable(folder, error))?
        .into_iter()
        .filter(|name| wanted(&name.to_string_lossy()))
        .map(|name| {
            name.into_string().map_err(|name| {
                let message =
                    format!("the name of the file {name:?} is not UTF-8; rename or remove it");
                Error::new(ErrorKind::Io, message).at(in_file(folder))
            })
        })
        .collect()
}

/// The files of a folder with this extension, by name.
pub(crate) fn with_extension(folder: &Path, extension: &str) -> Result<Vec<PathBuf>> {
    let wanted = |name: &str| {
        let found = Path::new(name).extension();
        found.is_some_and(|found| found == extension)
    };
    let names = names(folder, wanted)?;
    Ok(names.into_iter().map(|name| folder.join(name)).collect())
}

fn in_file(path: &Path) -> Place {
    Place::in_file(path.display().to_string())
}

fn unreadable(path: &Path, error: io::Error) -> Error {
    let advice = match error.kind() {
        io::ErrorKind::NotFound => advice(path),
        _ => String::new(),
    };
    let message = format!("cannot read `{}`{advice}", path.display());
    Error::new(ErrorKind::Io, message).caused_by(error)
}

/// What to do about a path where there is nothing: the end of an error.
fn advice(path: &Path) -> String {
    let folder = path.parent().unwrap_or(path);
    let mut advice = if folder == "" || folder.is_dir() {
        let folder = if folder == "" { Path::new(".") } else { folder };
        let entries = fs::read_dir(folder).into_iter().flatten();
        let there: Vec<String> = entries
            .take(MAX_CANDIDATES)
            .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
            .collect();
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let near = did_you_mean(&name, there.iter().map(String::as_str));
        if !near.is_empty() {
            return near;
        }
        "; check the path".to_owned()
    } else {
        format!("; there is no folder `{}`", folder.display())
    };
    if path.is_relative()
        && let Ok(current) = std::env::current_dir()
    {
        advice.push_str(&format!(", the current folder is `{}`", current.display()));
    }
    advice
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
    fn what_is_not_there_comes_with_advice() {
        let folder = tempfile::tempdir().expect("a folder");
        fs::write(folder.path().join("fleet.yaml"), "").expect("a file");
        let shown = |name: &str| {
            let error = read(&folder.path().join(name)).expect_err("it is not there");
            let folder = folder.path().display().to_string();
            error.to_string().replace(&folder, "DIR")
        };
        assert_eq!(
            shown("flete.yaml"),
            "cannot read `DIR/flete.yaml`; did you mean `fleet.yaml`?"
        );
        assert_eq!(shown("other"), "cannot read `DIR/other`; check the path");
        assert_eq!(
            shown("no/fleet.yaml"),
            "cannot read `DIR/no/fleet.yaml`; there is no folder `DIR/no`"
        );
        let current = std::env::current_dir().expect("a current folder");
        let error = read(Path::new("nowhere-to-be-found")).expect_err("it is not there");
        let end = format!(
            "; check the path, the current folder is `{}`",
            current.display()
        );
        assert!(error.to_string().ends_with(&end), "{error}");
    }

    #[test]
    fn names_that_are_wanted_are_utf_8() {
        use std::os::unix::ffi::OsStrExt;
        let folder = tempfile::tempdir().expect("a folder");
        for name in [&b"a.yaml"[..], b"caf\xe9.yaml"] {
            let name = std::ffi::OsStr::from_bytes(name);
            fs::write(folder.path().join(name), "").expect("a file");
        }
        let error = with_extension(folder.path(), "yaml").expect_err("a name in Latin-1");
        assert_eq!(
            error.to_string(),
            format!(
                "{}: the name of the file \"caf\\xE9.yaml\" is not UTF-8; rename or remove it",
                folder.path().display()
            )
        );
        let others = with_extension(folder.path(), "conf").expect("none is asked for");
        assert_eq!(others, Vec::<PathBuf>::new());
    }

    #[test]
    fn wide_texts_are_named() {
        for (bytes, name) in [
            (&b"\xff\xfew\0"[..], "UTF-16"),
            (b"\xfe\xff\0w", "UTF-16"),
            (b"\xff\xfe\0\0w\0\0\0", "UTF-32"),
            (b"\0\0\xfe\xff\0\0\0w", "UTF-32"),
        ] {
            let error = text(bytes.to_vec(), Path::new("f")).expect_err(name);
            let expected = format!("f: this file is in {name}; save it as UTF-8");
            assert_eq!(error.to_string(), expected);
        }
    }

    #[test]
    fn a_folder_in_place_of_a_file_is_an_error() {
        let error = read(Path::new("/")).expect_err("a folder");
        assert_eq!(error.kind(), ErrorKind::Io);
    }
}
