//! Files on a disk: read whole, made whole, replaced whole.

use std::ffi::{OsStr, OsString};
use std::fs::{File, Metadata, Permissions};
use std::io::{self, Read, Write as _};
use std::os::fd::AsRawFd as _;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use data_encoding::HEXLOWER;
use rustix::fs::{AtFlags, CWD, FlockOperation, Mode, OFlags};
use rustix::io::Errno;
use zeroize::Zeroizing;

use crate::document::MAX_DOCUMENT;
use crate::{Error, ErrorKind, Result};

/// Opens a file to be read; a pipe that nobody writes to is not waited for.
pub(crate) fn open(path: &Path) -> io::Result<File> {
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::CLOEXEC;
    Ok(rustix::fs::open(path, flags, Mode::empty())?.into())
}

/// Reads a file of bounded length.
pub(crate) fn bytes_of(path: &Path) -> Result<Zeroizing<Vec<u8>>> {
    let failed = |error| unreadable(path, error);
    let file = open(path).map_err(failed)?;
    let metadata = file.metadata().map_err(failed)?;
    if !metadata.is_file() {
        return Err(Error::new(ErrorKind::Local, "this is no regular file").in_file(path));
    }
    let expected = usize::try_from(metadata.len()).unwrap_or(MAX_DOCUMENT);
    let bytes = read_all(file, expected, MAX_DOCUMENT).map_err(failed)?;
    if bytes.len() > MAX_DOCUMENT {
        let message = "the file is longer than 64 MiB, the limit";
        return Err(Error::new(ErrorKind::Syntax, message).in_file(path));
    }
    Ok(bytes)
}

/// Reads to the end, but at most one byte more than `most`; about as many as expected are reserved at once. A buffer that becomes too
/// small is overwritten before it is given back, so that no half of a secret stays behind.
pub(crate) fn read_all(
    mut source: impl Read,
    expected: usize,
    most: usize,
) -> io::Result<Zeroizing<Vec<u8>>> {
    let mut bytes = Zeroizing::new(vec![0; expected.min(most) + 1]);
    let mut length = 0;
    loop {
        if length == bytes.len() {
            if length > most {
                return Ok(bytes);
            }
            let mut larger = Zeroizing::new(vec![0; (length * 2).min(most + 1)]);
            larger[..length].copy_from_slice(&bytes);
            bytes = larger;
        }
        match source.read(&mut bytes[length..]) {
            Ok(0) => {
                bytes.truncate(length);
                return Ok(bytes);
            }
            Ok(more) => length += more,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

/// Makes a file of this mode, whole or not at all; whatever has the name already stays ([`io::ErrorKind::AlreadyExists`]).
pub(crate) fn create(path: &Path, bytes: &[u8], mode: u32) -> io::Result<()> {
    let (place, name) = place_of(path)?;
    let folder = File::open(&place)?;
    let fill = |file: &mut File| {
        file.write_all(bytes)?;
        file.set_permissions(Permissions::from_mode(mode))?;
        file.sync_all()
    };
    match nameless(&place)? {
        Some(mut file) => {
            fill(&mut file)?;
            give_name(&file, &folder, name)?;
        }
        None => {
            let mut file = named(&place)?;
            fill(file.as_file_mut())?;
            file.persist_noclobber(path).map_err(|error| error.error)?;
        }
    }
    folder.sync_all()
}

/// A file that is to be replaced, and its folder, which is locked as long as this lives: so that two of us do not come between a
/// comparison and a renaming.
pub(crate) struct Replacing<'p> {
    /// Where it is, links followed.
    path: &'p Path,
    /// What people call it.
    shown: &'p Path,
    folder: File,
}

impl<'p> Replacing<'p> {
    pub(crate) fn of(path: &'p Path, shown: &'p Path) -> io::Result<Self> {
        let folder = File::open(place_of(path)?.0)?;
        lock(&folder)?;
        Ok(Self {
            path,
            shown,
            folder,
        })
    }

    /// Puts bytes in the place of what was read: at any moment the whole new file or the whole old one is there. Mode and owner
    /// stay.
    ///
    /// # Errors
    /// [`ErrorKind::Changed`] when something else stands there by now, [`ErrorKind::Local`] when it cannot be written. The old
    /// file stays then.
    pub(crate) fn replace(&self, before: &[u8], bytes: &[u8]) -> Result<()> {
        if *bytes_of(self.path)? != *before {
            let message = "the file has changed since it was read; nothing was written, try again";
            return Err(Error::new(ErrorKind::Changed, message).in_file(self.shown));
        }
        self.write(bytes).map_err(|failure| {
            let message = match &failure {
                Failure::Owner { user, group } => format!(
                    "the file belongs to user {user} and group {group}, and you may not give them a new one; it is as it was: do this \
                     as its owner or as root"
                ),
                Failure::Other(_) => "the file cannot be replaced; it is as it was".to_owned(),
            };
            let error = Error::new(ErrorKind::Local, message).in_file(self.shown);
            match failure {
                Failure::Owner { .. } => error,
                Failure::Other(cause) => error.caused_by(cause),
            }
        })
    }

    fn write(&self, bytes: &[u8]) -> Result<(), Failure> {
        let old = std::fs::metadata(self.path)?;
        let (place, name) = place_of(self.path)?;
        match nameless(&place)? {
            Some(mut file) => {
                fill(&mut file, bytes, &old)?;
                let whole = temporary_name(name);
                give_name(&file, &self.folder, &whole)?;
                rustix::fs::renameat(&self.folder, &whole, &self.folder, name)
                    .inspect_err(|_| {
                        let _ = rustix::fs::unlinkat(&self.folder, &whole, AtFlags::empty());
                    })
                    .map_err(io::Error::from)?;
            }
            None => {
                let mut file = named(&place)?;
                fill(file.as_file_mut(), bytes, &old)?;
                file.persist(self.path).map_err(|error| error.error)?;
            }
        }
        Ok(self.folder.sync_all()?)
    }
}

/// Why a file was not replaced.
enum Failure {
    /// The new one cannot have the old one's owner.
    Owner {
        user: u32,
        group: u32,
    },
    Other(io::Error),
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        Self::Other(error)
    }
}

/// Writes what is to replace an old file, with the old one's mode and owner.
fn fill(file: &mut File, bytes: &[u8], old: &Metadata) -> Result<(), Failure> {
    file.write_all(bytes)?;
    let new = file.metadata()?;
    let (user, group) = (old.uid(), old.gid());
    if (new.uid(), new.gid()) != (user, group) {
        std::os::unix::fs::fchown(&*file, Some(user), Some(group)).map_err(|error| match error
            .kind()
        {
            io::ErrorKind::PermissionDenied => Failure::Owner { user, group },
            _ => Failure::Other(error),
        })?;
    }
    file.set_permissions(Permissions::from_mode(old.mode() & 0o7777))?;
    Ok(file.sync_all()?)
}

/// A file without a name, which is gone when we are killed; it gets one once it is whole. `None` where there are no such files, as
/// on some network file systems.
fn nameless(folder: &Path) -> io::Result<Option<File>> {
    let flags = OFlags::TMPFILE | OFlags::WRONLY | OFlags::CLOEXEC;
    match rustix::fs::open(folder, flags, Mode::RUSR | Mode::WUSR) {
        Ok(file) => Ok(Some(file.into())),
        Err(Errno::OPNOTSUPP | Errno::ISDIR | Errno::NOENT) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

fn give_name(file: &File, folder: &File, name: &OsStr) -> io::Result<()> {
    let own = format!("/proc/self/fd/{}", file.as_raw_fd());
    Ok(rustix::fs::linkat(
        CWD,
        &own,
        folder,
        name,
        AtFlags::SYMLINK_FOLLOW,
    )?)
}

fn named(folder: &Path) -> io::Result<tempfile::NamedTempFile> {
    tempfile::Builder::new()
        .prefix(".sealing-")
        .tempfile_in(folder)
}

/// The folder that a file is in, and its name there.
fn place_of(path: &Path) -> io::Result<(PathBuf, &OsStr)> {
    let is_folder = path.as_os_str().as_bytes().ends_with(b"/");
    let name = path.file_name().filter(|_| !is_folder).ok_or_else(|| {
        let message = "the path does not end with the name of a file";
        io::Error::new(io::ErrorKind::InvalidInput, message)
    })?;
    let folder = match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    Ok((folder.to_owned(), name))
}

/// A name that nobody has in this folder.
fn temporary_name(name: &OsStr) -> OsString {
    let mut temporary = OsString::from(".");
    temporary.push(name);
    temporary.push(format!(
        ".{}",
        HEXLOWER.encode(&crate::random::bytes::<8>())
    ));
    temporary
}

/// How long somebody else may hold the lock of a folder.
const PATIENCE: Duration = Duration::from_secs(10);

/// Locks a folder as long as it is open. Not every file system has such locks.
fn lock(folder: &File) -> io::Result<()> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        match rustix::fs::flock(folder, FlockOperation::NonBlockingLockExclusive) {
            Err(Errno::WOULDBLOCK) if Instant::now() < deadline => {
                std::thread::sleep(Duration::from_millis(5));
            }
            Err(Errno::WOULDBLOCK) => {
                let message = "another program holds the lock of its folder";
                return Err(io::Error::new(io::ErrorKind::TimedOut, message));
            }
            _ => return Ok(()),
        }
    }
}

pub(crate) fn unreadable(path: &Path, error: io::Error) -> Error {
    Error::new(ErrorKind::Local, "the file cannot be read")
        .in_file(path)
        .caused_by(error)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_changed_since_it_was_read_is_not_replaced() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("a");
        create(&path, b"first", 0o640).expect("it is made");
        let error = create(&path, b"second", 0o640).expect_err("it is there");
        assert_eq!(error.kind(), io::ErrorKind::AlreadyExists);
        let replacing = Replacing::of(&path, &path).expect("it is locked");
        let error = replacing.replace(b"other", b"third").expect_err("changed");
        assert_eq!(error.kind(), ErrorKind::Changed);
        assert_eq!(std::fs::read(&path).expect("ours"), b"first");
        replacing
            .replace(b"first", b"third")
            .expect("it is as it was read");
        assert_eq!(std::fs::read(&path).expect("ours"), b"third");
        assert_eq!(std::fs::read_dir(&folder).expect("ours").count(), 1);
    }

    #[test]
    fn reading_ends_at_the_end_or_behind_the_limit() {
        for (length, expected) in [(0, 0), (1, 0), (9, 3), (10, 10), (11, 0), (30, 7)] {
            let read = read_all(io::repeat(b'x').take(length), expected, 10).expect("it reads");
            assert_eq!(*read, b"x".repeat((length as usize).min(11)));
        }
    }
}
