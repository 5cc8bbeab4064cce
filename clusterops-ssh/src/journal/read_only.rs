//! Journals where nothing can be written: on a read-only file system, or of another user.

use std::fmt::Write as _;
use std::fs::{Metadata, canonicalize, metadata};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use rusqlite::{Connection, OpenFlags};
use rustix::fs::{Access, AtFlags, CWD, accessat};

use super::record::Known;
use super::store::{Store, check_whole, has_log, log_of, look_at};
use super::trouble::{cannot, failed, unreadable};
use crate::{Error, ErrorKind, Result};

/// Whether this process may write to a journal and beside it, as SQLite does even to read: beside the file itself, not
/// beside a link to it.
pub(super) fn is_writable(path: &Path) -> bool {
    let path = &canonicalize(path).unwrap_or_else(|_| path.to_owned());
    let folder = match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    may(path, Access::WRITE_OK).is_ok() && may(folder, Access::WRITE_OK).is_ok()
}

/// Reads a journal that nobody has to write to: its run has come to an end, or was left in peace. Blocks.
pub(super) fn read(path: &Path) -> Result<Known> {
    // Not by opening it: closing it again would give up a lock that this process may hold.
    may(path, Access::READ_OK).map_err(|error| failed(cannot(path, "be read"), error))?;
    let named = canonicalize(path).map_err(|error| failed(cannot(path, "be read"), error))?;
    if has_log(&named) {
        return Err(Error::new(ErrorKind::Journal, copy_it(path, &named)));
    }
    let state = || metadata(&named).ok().as_ref().map(state_of);
    let before = state();
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY
        | OpenFlags::SQLITE_OPEN_NO_MUTEX
        | OpenFlags::SQLITE_OPEN_URI;
    let connection = Connection::open_with_flags(uri(&named), flags);
    let connection = connection.map_err(|error| unreadable(path, error))?;
    // Whatever is seen while somebody writes, damage too, means only that.
    let known = look_at(&connection, path).and_then(|()| Store::reading(connection, path).read());
    if state() != before || has_log(&named) {
        let message = format!("a run writes to the journal `{}`", path.display());
        return Err(Error::new(ErrorKind::Journal, message));
    }
    let known = known?;
    check_whole(&known, false, path, &named)?;
    Ok(known)
}

/// What is said where something had to be written.
pub(super) fn copy_it(path: &Path, named: &Path) -> String {
    format!(
        "the journal `{}` cannot be read where nothing can be written: copy it to a folder of yours, with `{}` if that is \
         beside it",
        path.display(),
        log_of(named).display()
    )
}

fn may(path: &Path, access: Access) -> std::io::Result<()> {
    Ok(accessat(CWD, path, access, AtFlags::EACCESS)?)
}

/// What changes when somebody writes to a file.
fn state_of(file: &Metadata) -> (u64, u64, u64, i64, i64) {
    let (device, inode, length) = (file.dev(), file.ino(), file.len());
    (device, inode, length, file.mtime(), file.mtime_nsec())
}

/// A path as SQLite reads it without looking for locks and logs (<https://www.sqlite.org/uri.html>).
fn uri(path: &Path) -> PathBuf {
    let mut uri = "file:".to_owned();
    for byte in path.as_os_str().as_bytes() {
        match byte {
            b'/' | b'.' | b'-' | b'_' => uri.push(char::from(*byte)),
            byte if byte.is_ascii_alphanumeric() => uri.push(char::from(*byte)),
            byte => drop(write!(uri, "%{byte:02X}")),
        }
    }
    uri += "?immutable=1";
    uri.into()
}
