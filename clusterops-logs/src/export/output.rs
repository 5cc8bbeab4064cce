//! The file of an export, and what stands beside it.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use super::{Format, Page, Token};
use crate::{Error, ErrorKind, Result};

/// How often what was written is made to last.
const CHECKPOINTS: Duration = Duration::from_secs(1);

/// What stands beside a file that is not whole yet.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Checkpoint {
    pub(super) token: Token,
    /// How much of the file the token is about.
    pub(super) length: u64,
    /// Which format the file has ([`Format::name`]).
    format: String,
}

/// The file that is written, and what stands beside it.
pub(super) struct Output {
    path: PathBuf,
    beside: PathBuf,
    format: Format,
    file: Option<File>,
    /// How long the file is, up to the end of a page.
    pub(super) length: u64,
    /// Where the export stands at that length.
    token: Option<Token>,
    checkpointed: Instant,
    buffer: Vec<u8>,
}

impl Output {
    pub(super) fn new(path: &Path, format: &Format) -> Self {
        let mut beside = path.as_os_str().to_owned();
        beside.push(".export");
        Self {
            path: path.to_owned(),
            beside: beside.into(),
            format: format.clone(),
            file: None,
            length: 0,
            token: None,
            checkpointed: Instant::now(),
            buffer: Vec::new(),
        }
    }

    /// Does what may block on a thread that may.
    pub(super) async fn on_a_thread<T: Send + 'static>(
        mut self,
        work: impl FnOnce(&mut Self) -> Result<T> + Send + 'static,
    ) -> Result<(Self, T)> {
        let done = tokio::task::spawn_blocking(move || {
            let outcome = work(&mut self);
            (self, outcome)
        });
        match done.await {
            Ok((output, outcome)) => outcome.map(|value| (output, value)),
            Err(error) => {
                let message = "the runtime ended while a file was written";
                Err(Error::new(ErrorKind::Io, message).caused_by(error))
            }
        }
    }

    /// What an earlier call has left.
    pub(super) fn look(&mut self) -> Result<Option<Checkpoint>> {
        let (path, beside) = (self.path.display(), self.beside.display());
        let is_other = |found: std::fs::Metadata| !found.is_file() && !found.is_dir();
        if is_descriptor(&self.path) || self.path.metadata().is_ok_and(is_other) {
            let message = format!(
                "{path}: an export into a file goes on after a crash, which needs one that can be cut off and a token beside it; \
                 write the pages to this (`Pages::write_to`), or export into a file"
            );
            return Err(Error::new(ErrorKind::Input, message));
        }
        let text = match std::fs::read(&self.beside) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return match self.path.symlink_metadata() {
                    // A crash can leave an empty one.
                    Ok(found) if found.len() > 0 => {
                        let message = format!(
                            "{path}: the file is there and whole; remove it, or export into another"
                        );
                        Err(Error::new(ErrorKind::Input, message))
                    }
                    _ => Ok(None),
                };
            }
            Err(error) => return Err(unusable(&beside.to_string(), error)),
        };
        let checkpoint: Checkpoint = serde_json::from_slice(&text).map_err(|error| {
            let message = format!("{beside}: this does not say where an export stands; remove it and {path} to begin anew");
            Error::new(ErrorKind::Input, message).caused_by(error)
        })?;
        if checkpoint.format != self.format.name() {
            let message = format!(
                "{path}: the file was begun in another format; remove it and {beside} to begin anew"
            );
            return Err(Error::new(ErrorKind::Input, message));
        }
        Ok(Some(checkpoint))
    }

    /// Opens the file, and cuts off what the token does not know of.
    pub(super) fn open(&mut self, token: Token, length: u64) -> Result<()> {
        let path = self.path.display().to_string();
        let mut options = OpenOptions::new();
        options.write(true).create(length == 0);
        let mut file = options
            .open(&self.path)
            .map_err(|error| unusable(&path, error))?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let message = format!("{path}: another export is writing the file");
                return Err(Error::new(ErrorKind::Input, message));
            }
            Err(TryLockError::Error(error)) => return Err(unusable(&path, error)),
        }
        let found = file
            .metadata()
            .map_err(|error| unusable(&path, error))?
            .len();
        if found < length {
            let beside = self.beside.display();
            let message = format!(
                "{path}: the file has {found} bytes, but had {length} when {beside} was written; remove both to begin anew"
            );
            return Err(Error::new(ErrorKind::Input, message));
        }
        file.set_len(length)
            .map_err(|error| unusable(&path, error))?;
        file.seek(SeekFrom::Start(length))
            .map_err(|error| unusable(&path, error))?;
        self.file = Some(file);
        self.length = length;
        self.token = Some(token);
        self.checkpointed = Instant::now();
        if length == 0 {
            self.save()?;
            let mut buffer = std::mem::take(&mut self.buffer);
            self.format.header(&mut buffer);
            self.append(&buffer)?;
        }
        Ok(())
    }

    /// Writes a page, whole or not at all.
    pub(super) fn write(&mut self, page: &Page) -> Result<()> {
        let mut buffer = std::mem::take(&mut self.buffer);
        buffer.clear();
        self.format.page(page, &mut buffer)?;
        self.append(&buffer)?;
        self.buffer = buffer;
        self.token = Some(page.token().clone());
        if self.checkpointed.elapsed() >= CHECKPOINTS {
            self.checkpoint()?;
        }
        Ok(())
    }

    fn append(&mut self, bytes: &[u8]) -> Result<()> {
        let Some(file) = &mut self.file else {
            return Ok(());
        };
        if let Err(error) = file.write_all(bytes) {
            // Best effort: what the next call needs is there already.
            let _ = file.set_len(self.length);
            let _ = self.checkpoint();
            return Err(unwritable(&self.path.display().to_string(), error));
        }
        self.length += bytes.len() as u64;
        Ok(())
    }

    /// Makes what was written last, and then says so.
    pub(super) fn checkpoint(&mut self) -> Result<()> {
        if let Some(file) = &self.file {
            file.sync_data()
                .map_err(|error| unwritable(&self.path.display().to_string(), error))?;
            self.save()?;
        }
        self.checkpointed = Instant::now();
        Ok(())
    }

    fn save(&self) -> Result<()> {
        let Some(token) = &self.token else {
            return Ok(());
        };
        let checkpoint = Checkpoint {
            token: token.clone(),
            length: self.length,
            format: self.format.name(),
        };
        let name = self.beside.display().to_string();
        let mut new = self.beside.as_os_str().to_owned();
        new.push(".new");
        let new = PathBuf::from(new);
        let text =
            serde_json::to_vec(&checkpoint).map_err(|error| unwritable(&name, error.into()))?;
        let replaced = File::create(&new)
            .and_then(|mut file| file.write_all(&text).and_then(|()| file.sync_data()))
            .and_then(|()| std::fs::rename(&new, &self.beside));
        replaced.map_err(|error| {
            let _ = std::fs::remove_file(&new);
            unwritable(&name, error)
        })
    }

    pub(super) fn finish(&mut self) -> Result<()> {
        let path = self.path.display().to_string();
        if let Some(file) = &self.file {
            file.sync_all().map_err(|error| unwritable(&path, error))?;
        }
        std::fs::remove_file(&self.beside)
            .map_err(|error| unusable(&self.beside.display().to_string(), error))
    }
}

/// Whether a path names what a process has open: a file there has another name, and nothing can stand beside this one.
fn is_descriptor(path: &Path) -> bool {
    let streams = ["/dev/stdin", "/dev/stdout", "/dev/stderr"];
    let parent = path.parent().unwrap_or(path);
    let is_of_a_process = parent.starts_with("/proc") && parent.ends_with("fd");
    streams.iter().any(|stream| path == Path::new(stream))
        || path.starts_with("/dev/fd")
        || is_of_a_process
}

fn unusable(name: &str, error: io::Error) -> Error {
    Error::new(ErrorKind::Io, format!("{name}: this cannot be used")).caused_by(error)
}

/// An error of writing; a full disk is told as such.
pub(super) fn unwritable(name: &str, error: io::Error) -> Error {
    use io::ErrorKind as Io;
    let message = match error.kind() {
        Io::StorageFull => {
            format!("{name}: the disk is full; the same call goes on once there is room")
        }
        Io::QuotaExceeded | Io::FileTooLarge => {
            format!(
                "{name}: no more may be written, by a quota or a limit; the same call goes on once there is room"
            )
        }
        _ => format!("{name}: this cannot be written"),
    };
    Error::new(ErrorKind::Io, message).caused_by(error)
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test that fails says where")]
    use super::super::token::tests::token;
    use super::*;

    #[test]
    fn what_a_crash_left_behind_the_token_is_cut_off() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("logs");
        let format = Format::csv(["a"]);
        let mut output = Output::new(&path, &format);
        assert!(output.look().unwrap().is_none());
        output.open(token(), 0).unwrap();
        output.append(b"1\r\n").unwrap();
        output.checkpoint().unwrap();
        output.append(b"half a p").unwrap();
        drop(output);

        let mut output = Output::new(&path, &format);
        let checkpoint = output.look().unwrap().unwrap();
        assert_eq!(checkpoint.token, token());
        output.open(checkpoint.token, checkpoint.length).unwrap();
        output.append(b"2\r\n").unwrap();
        output.finish().unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "a\r\n1\r\n2\r\n");
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
        let error = Output::new(&path, &format).look().unwrap_err();
        assert!(error.to_string().contains("there and whole"), "{error}");
    }

    #[test]
    fn a_file_of_another_kind_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("logs");
        let mut output = Output::new(&path, &Format::ndjson());
        output.open(token(), 0).unwrap();
        let error = Output::new(&path, &Format::hits()).look().unwrap_err();
        assert!(error.to_string().contains("another format"), "{error}");
        let mut second = Output::new(&path, &Format::ndjson());
        let error = second.open(token(), 0).unwrap_err();
        assert!(
            error.to_string().contains("another export is writing"),
            "{error}"
        );
        let error = second.open(token(), 9).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Input);
        std::fs::write(folder.path().join("logs.export"), "{}").unwrap();
        let error = Output::new(&path, &Format::ndjson()).look().unwrap_err();
        assert!(error.to_string().contains("remove it"), "{error}");
    }

    #[test]
    fn what_is_no_file_is_refused_with_what_to_do() {
        for path in ["/dev/stdout", "/dev/null"] {
            let error = Output::new(Path::new(path), &Format::ndjson()).look();
            let error = error.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Input);
            let told = error.to_string();
            let is_told = told.starts_with(path) && told.contains("`Pages::write_to`");
            assert!(is_told, "{told}");
        }
    }

    #[test]
    fn what_is_open_already_is_refused_by_its_name() {
        for path in [
            "/dev/stdout",
            "/dev/stderr",
            "/dev/fd/3",
            "/proc/self/fd/1",
            "/proc/12/task/34/fd/1",
        ] {
            assert!(is_descriptor(Path::new(path)), "{path}");
        }
        for path in ["/dev/shm/logs", "/dev/fds", "stdout", "/srv/fd/1"] {
            assert!(!is_descriptor(Path::new(path)), "{path}");
        }
    }

    #[test]
    fn a_file_in_memory_is_one() {
        let folder = tempfile::tempdir_in("/dev/shm").unwrap();
        let path = folder.path().join("logs");
        let mut output = Output::new(&path, &Format::csv(["a"]));
        assert!(output.look().unwrap().is_none());
        output.open(token(), 0).unwrap();
        output.checkpoint().unwrap();
        assert!(output.look().unwrap().is_some());
        output.finish().unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "a\r\n");
    }

    #[test]
    fn a_full_disk_is_told_as_such() {
        let error = File::create("/dev/full")
            .unwrap()
            .write_all(b"x")
            .unwrap_err();
        let error = unwritable("logs", error);
        assert!(error.to_string().contains("the disk is full"), "{error}");
        assert_eq!(error.kind(), ErrorKind::Io);
    }
}
