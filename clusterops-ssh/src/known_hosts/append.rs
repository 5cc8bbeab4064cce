//! Writing a line to the end of a known_hosts file that others may be writing to.

use std::fs::{self, DirBuilder, File, Metadata, OpenOptions, TryLockError};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use russh::keys::key::safe_rng;
use russh::keys::ssh_key::rand_core::Rng;

use super::{PublicKey, line};

/// How long another process may hold the lock; it needs milliseconds.
pub(super) const LOCK_DEADLINE: Duration = Duration::from_secs(10);

/// How long to wait before asking for the lock again.
const LOCK_POLL: Duration = Duration::from_millis(2);

/// The line for a key, with its line feed. `name` is in lower case, with its port if it needs one.
pub(super) fn line(name: &str, key: &PublicKey, hashed: bool) -> io::Result<String> {
    if name.is_empty() || name.starts_with(['@', '|', '#']) || name.contains(is_syntax) {
        let text = format!("{name:?} is not a host name");
        return Err(io::Error::new(io::ErrorKind::InvalidInput, text));
    }
    let hosts = if hashed {
        let mut salt = [0; 20];
        safe_rng().fill_bytes(&mut salt);
        line::hashed(&salt, name)
    } else {
        name.to_owned()
    };
    Ok(format!("{hosts} {key}\n"))
}

/// Opens a file for reading and appending, with an exclusive lock that lasts as long as the returned value. Another process
/// may hold it for as long as `patience`.
pub(super) fn open_locked(path: &Path, patience: Duration) -> io::Result<File> {
    if let Some(folder) = path
        .parent()
        .filter(|folder| !folder.as_os_str().is_empty())
    {
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(folder)?;
    }
    let deadline = Instant::now() + patience;
    loop {
        let file = OpenOptions::new()
            .read(true)
            .append(true)
            .create(true)
            .mode(0o600)
            .open(path)?;
        match file.try_lock() {
            // ssh-keygen -R and ssh (UpdateHostKeys) put a new file in the place of the old.
            Ok(()) if is_at(&file, path)? => return Ok(file),
            Ok(()) | Err(TryLockError::WouldBlock) => {}
            Err(TryLockError::Error(error)) => return Err(error),
        }
        if Instant::now() >= deadline {
            let what = format!("another process has held its lock for {patience:?}");
            return Err(io::Error::new(io::ErrorKind::TimedOut, what));
        }
        thread::sleep(LOCK_POLL);
    }
}

/// Whether [`open_locked`] came to nothing because of another process, and not of the system (ETIMEDOUT).
pub(super) fn is_held_by_another(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::TimedOut && error.raw_os_error().is_none()
}

/// Appends a line to a locked file whose last line has an end or not; returns what was written, and the file after it.
pub(super) fn append(
    mut file: &File,
    whole_lines: bool,
    line: String,
) -> io::Result<(String, Metadata)> {
    let text = if whole_lines {
        line
    } else {
        format!("\n{line}")
    };
    let length = file.metadata()?.len();
    let written = file.write(text.as_bytes())?;
    if written < text.len() {
        // A part of a line would damage the next one.
        file.set_len(length)?;
        return Err(io::ErrorKind::StorageFull.into());
    }
    Ok((text, file.metadata()?))
}

fn is_at(file: &File, path: &Path) -> io::Result<bool> {
    let opened = file.metadata()?;
    match fs::metadata(path) {
        Ok(current) => Ok((current.dev(), current.ino()) == (opened.dev(), opened.ino())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    }
}

fn is_syntax(character: char) -> bool {
    character.is_whitespace()
        || character.is_control()
        || matches!(character, ',' | '*' | '?' | '!')
}
