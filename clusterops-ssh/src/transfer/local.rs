//! Local folders that are written to, by what a host says: no name leads out of them, and no link is followed.

use std::ffi::OsStr;
use std::fs::{File, Metadata};
use std::io::{self, IoSlice, Write as _};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use rustix::fs::{
    AtFlags, CWD, Dir, FlockOperation, Mode, OFlags, Timespec, Timestamps, fchmod, flock, futimens,
    mkdirat, openat, renameat, symlinkat, unlinkat,
};
use rustix::io::Errno;

use super::paths::{is_file_name, shown, too_long, unfinished};
use crate::{Error, ErrorKind, Result};

/// An open local folder.
#[derive(Debug)]
pub(super) struct Folder {
    descriptor: OwnedFd,
    path: PathBuf,
}

/// A file that is being written in a folder; it is removed unless it gets its name or is kept.
#[derive(Debug)]
pub(super) struct LocalPart {
    content: Content,
    folder: Arc<Folder>,
    temporary: Vec<u8>,
    /// A temporary name under which no other transfer goes on with it.
    own: Vec<u8>,
    name: Vec<u8>,
    is_finished: bool,
}

#[derive(Debug)]
enum Content {
    Open(Arc<File>),
    /// Written and closed, and what it was then.
    Closed(Metadata),
}

impl Folder {
    /// Opens a folder that the user has named, through links too.
    pub(super) fn open(path: &Path) -> Result<Self> {
        let path = if path.as_os_str().is_empty() {
            Path::new(".")
        } else {
            path
        };
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let descriptor = openat(CWD, path, flags, Mode::empty())
            .map_err(|error| no_folder(path, error.into()))?;
        Ok(Self {
            descriptor,
            path: path.to_owned(),
        })
    }

    /// As [`open`](Self::open), and makes the folder and those above it where they are not there.
    pub(super) fn create(path: &Path) -> Result<Self> {
        std::fs::create_dir_all(path).map_err(|error| no_folder(path, error))?;
        Self::open(path)
    }

    /// Opens a folder in this one, and makes it where it is not there. A link is not followed.
    pub(super) fn enter(&self, name: &[u8]) -> Result<Self> {
        let path = self.path_of(name)?;
        match mkdirat(&self.descriptor, OsStr::from_bytes(name), Mode::RWXU) {
            Ok(()) | Err(Errno::EXIST) => {}
            Err(error) => return Err(no_folder(&path, error.into())),
        }
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        match openat(
            &self.descriptor,
            OsStr::from_bytes(name),
            flags,
            Mode::empty(),
        ) {
            Ok(descriptor) => Ok(Self { descriptor, path }),
            Err(Errno::NOTDIR | Errno::LOOP) => {
                let message = format!(
                    "`{}` is no folder, and a link is not followed: remove it first",
                    path.display()
                );
                Err(Error::new(ErrorKind::Local, message))
            }
            Err(error) => Err(no_folder(&path, error.into())),
        }
    }

    /// Sets the mode and the time of last change.
    pub(super) fn set(&self, mode: u32, times: Option<(u32, u32)>) -> Result<()> {
        set(&self.descriptor, mode, times).map_err(|error| unwritable(&self.path, error))
    }

    /// Makes a symbolic link, in place of a file or link of its name.
    pub(super) fn link(&self, name: &[u8], target: &[u8], tag: &str) -> Result<()> {
        let path = self.path_of(name)?;
        let temporary = unfinished(name, tag);
        let (descriptor, temporary) = (&self.descriptor, OsStr::from_bytes(&temporary));
        symlinkat(OsStr::from_bytes(target), descriptor, temporary)
            .and_then(|()| {
                let renamed = renameat(descriptor, temporary, descriptor, OsStr::from_bytes(name));
                if renamed.is_err() {
                    let _ = unlinkat(descriptor, temporary, AtFlags::empty());
                }
                renamed
            })
            .map_err(|error| unwritable(&path, error.into()))
    }

    /// Makes a file that is to have this name, or opens what an earlier transfer with this tag has left behind; `own` is
    /// the tag where neither can be. Only its owner can read it.
    pub(super) fn part(
        self: &Arc<Self>,
        name: &[u8],
        tag: Option<&str>,
        own: &str,
    ) -> Result<LocalPart> {
        let path = self.path_of(name)?;
        let mut temporary = unfinished(name, tag.unwrap_or(own));
        let mut opened = self.new_part(&temporary);
        if tag.is_some() && matches!(opened, Err(Errno::EXIST)) {
            opened = match self.left_behind(&temporary) {
                Some(file) => Ok(file),
                // Another transfer is writing to it, or it is not ours.
                None => {
                    temporary = unfinished(name, own);
                    self.new_part(&temporary)
                }
            };
        }
        let file = opened.map_err(|error| unwritable(&path, error.into()))?;
        let _ = flock(&file, FlockOperation::NonBlockingLockExclusive);
        Ok(LocalPart {
            content: Content::Open(Arc::new(file)),
            folder: Arc::clone(self),
            temporary,
            own: unfinished(name, own),
            name: name.to_owned(),
            is_finished: false,
        })
    }

    /// Opens a folder in this one, where there is one. A link is not followed.
    pub(super) fn inner(&self, name: &[u8]) -> Result<Option<Self>> {
        let path = self.path_of(name)?;
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let name = OsStr::from_bytes(name);
        match openat(&self.descriptor, name, flags, Mode::empty()) {
            Ok(descriptor) => Ok(Some(Self { descriptor, path })),
            Err(Errno::NOTDIR | Errno::LOOP | Errno::NOENT) => Ok(None),
            Err(error) => Err(unwritable(&path, error.into())),
        }
    }

    /// The names in the folder.
    pub(super) fn names(&self) -> Result<Vec<Vec<u8>>> {
        let failed = |error: Errno| unwritable(&self.path, error.into());
        let mut names = Vec::new();
        for entry in Dir::read_from(&self.descriptor).map_err(failed)? {
            names.push(entry.map_err(failed)?.file_name().to_bytes().to_vec());
        }
        Ok(names)
    }

    /// Removes an unfinished file or link, unless somebody is still writing to it.
    pub(super) fn remove_part(&self, temporary: &[u8]) -> Result<()> {
        let path = self.path_of(temporary)?;
        let flags = OFlags::RDWR | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let name = OsStr::from_bytes(temporary);
        let opened = openat(&self.descriptor, name, flags, Mode::empty());
        let is_free = |file| flock(file, FlockOperation::NonBlockingLockExclusive).is_ok();
        if opened.as_ref().is_ok_and(|file| !is_free(file)) {
            return Ok(());
        }
        match unlinkat(&self.descriptor, name, AtFlags::empty()) {
            Ok(()) | Err(Errno::NOENT) => Ok(()),
            Err(error) => Err(unwritable(&path, error.into())),
        }
    }

    fn new_part(&self, temporary: &[u8]) -> Result<File, Errno> {
        let flags = OFlags::RDWR | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC;
        let mode = Mode::RUSR | Mode::WUSR;
        openat(&self.descriptor, OsStr::from_bytes(temporary), flags, mode).map(File::from)
    }

    fn left_behind(&self, temporary: &[u8]) -> Option<File> {
        let flags = OFlags::RDWR | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let temporary = OsStr::from_bytes(temporary);
        let file: File = openat(&self.descriptor, temporary, flags, Mode::empty())
            .ok()?
            .into();
        let metadata = file.metadata().ok()?;
        let is_ours = metadata.is_file()
            && metadata.uid() == rustix::process::geteuid().as_raw()
            && metadata.mode() & 0o022 == 0
            && metadata.nlink() == 1;
        let is_free = flock(&file, FlockOperation::NonBlockingLockExclusive).is_ok();
        (is_ours && is_free).then_some(file)
    }

    fn path_of(&self, name: &[u8]) -> Result<PathBuf> {
        if is_file_name(name) {
            return Ok(self.path.join(OsStr::from_bytes(name)));
        }
        let message = format!("`{}` is no name for a file", shown(name));
        Err(Error::new(ErrorKind::Local, message))
    }
}

impl LocalPart {
    /// The file, to write to beside the runtime's threads. One that was closed is opened again.
    pub(super) fn file(&self) -> Result<Arc<File>> {
        let opened = match &self.content {
            Content::Open(file) => return Ok(Arc::clone(file)),
            Content::Closed(known) => self.open_again(known),
        };
        opened
            .map(Arc::new)
            .map_err(|error| unwritable(&self.path(), error))
    }

    /// How much is in it.
    pub(super) fn length(&self) -> Result<u64> {
        let metadata = self.file()?.metadata();
        metadata
            .map(|metadata| metadata.len())
            .map_err(|error| unwritable(&self.path(), error))
    }

    /// Closes a file that is whole, so that any number of them can wait for their names. The lock goes with it, so it
    /// gets a name that nobody looks for. Blocks.
    pub(super) fn close(&mut self) -> Result<()> {
        let Content::Open(file) = &self.content else {
            return Ok(());
        };
        let failed = |error: io::Error| unwritable(&self.path(), error);
        let metadata = file.metadata().map_err(failed)?;
        if self.temporary != self.own {
            let (from, to) = (&self.temporary, &self.own);
            self.rename(from, to).map_err(failed)?;
            self.temporary.clone_from(&self.own);
        }
        self.content = Content::Closed(metadata);
        Ok(())
    }

    fn open_again(&self, known: &Metadata) -> io::Result<File> {
        let flags = OFlags::RDWR | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let temporary = OsStr::from_bytes(&self.temporary);
        let file: File = openat(&self.folder.descriptor, temporary, flags, Mode::empty())?.into();
        let found = file.metadata()?;
        // Not every file system keeps the number of a file that is closed. Another name of some file of ours has several.
        let is_same = (found.dev(), found.ino()) == (known.dev(), known.ino());
        if found.is_file() && found.len() == known.len() && (is_same || found.nlink() == 1) {
            return Ok(file);
        }
        Err(io::Error::other(
            "somebody has changed its unfinished file (`.NAME.TAG.part`)",
        ))
    }

    fn rename(&self, from: &[u8], to: &[u8]) -> io::Result<()> {
        let descriptor = &self.folder.descriptor;
        let (from, to) = (OsStr::from_bytes(from), OsStr::from_bytes(to));
        Ok(renameat(descriptor, from, descriptor, to)?)
    }

    pub(super) fn path(&self) -> PathBuf {
        self.folder.path.join(OsStr::from_bytes(&self.name))
    }

    /// Leaves the file behind for a later transfer.
    pub(super) fn keep(mut self) {
        self.is_finished = true;
    }

    /// Gives the file its mode, time and name. Blocks.
    pub(super) fn finish(mut self, mode: u32, times: Option<(u32, u32)>, sync: bool) -> Result<()> {
        let failed = |error: io::Error| unwritable(&self.path(), error);
        let file = self.file()?;
        set(&file, mode, times).map_err(failed)?;
        if sync {
            file.sync_all().map_err(failed)?;
        }
        self.rename(&self.temporary, &self.name).map_err(failed)?;
        self.is_finished = true;
        Ok(())
    }
}

impl Drop for LocalPart {
    fn drop(&mut self) {
        if !self.is_finished {
            let temporary = OsStr::from_bytes(&self.temporary);
            let _ = unlinkat(&self.folder.descriptor, temporary, AtFlags::empty());
        }
    }
}

fn set(file: impl AsFd, mode: u32, times: Option<(u32, u32)>) -> io::Result<()> {
    fchmod(file.as_fd(), Mode::from_raw_mode(mode))?;
    if let Some((accessed, modified)) = times {
        let time = |seconds: u32| Timespec {
            tv_sec: seconds.into(),
            tv_nsec: 0,
        };
        let times = Timestamps {
            last_access: time(accessed),
            last_modification: time(modified),
        };
        futimens(file.as_fd(), &times)?;
    }
    Ok(())
}

/// Writes pieces one behind the other, with as few calls as they take.
pub(super) fn write_all(mut file: &File, pieces: &[Bytes]) -> io::Result<()> {
    let mut slices: Vec<IoSlice<'_>> = pieces.iter().map(|piece| IoSlice::new(piece)).collect();
    let mut slices = slices.as_mut_slice();
    IoSlice::advance_slices(&mut slices, 0);
    while !slices.is_empty() {
        match file.write_vectored(slices) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(written) => IoSlice::advance_slices(&mut slices, written),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

fn no_folder(path: &Path, error: io::Error) -> Error {
    failed("folder", path, "used", error)
}

pub(super) fn unwritable(path: &Path, error: io::Error) -> Error {
    failed("file", path, "written", error)
}

fn failed(what: &str, path: &Path, done: &str, error: io::Error) -> Error {
    let message = format!("the local {what} `{}` cannot be {done}", path.display());
    let too_long = match error.kind() {
        io::ErrorKind::InvalidFilename => too_long(path.as_os_str().as_bytes()),
        _ => None,
    };
    let error_of = Error::new(ErrorKind::Local, message);
    match too_long {
        Some(why) => error_of.caused_by(why),
        None => error_of.caused_by(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_that_waits_for_its_name_is_closed_and_nobody_elses() {
        let scratch = tempfile::tempdir().expect("a folder");
        let folder = Arc::new(Folder::open(scratch.path()).expect("it is there"));
        let written = |content: &str| {
            let part = folder.part(b"a", Some("known"), "own").expect("a part");
            write_all(&part.file().expect("open"), &[content.to_owned().into()]).expect("room");
            part
        };
        let mut part = written("first");
        let Content::Open(file) = &part.content else {
            panic!("{part:?}");
        };
        let file = Arc::downgrade(file);
        part.close().expect("whole");
        assert!(file.upgrade().is_none(), "no descriptor is left");
        assert_eq!(folder.names().expect("ours").len(), 3, "`.`, `..` and it");
        assert_eq!(part.length().expect("there"), 5);
        // What another transfer of the same takes up is another file.
        let other = folder.part(b"a", Some("known"), "other").expect("a part");
        assert_eq!(other.length().expect("there"), 0);
        drop(other);
        part.finish(0o640, Some((1, 2)), true).expect("it is there");
        let metadata = std::fs::metadata(scratch.path().join("a")).expect("it has its name");
        assert_eq!((metadata.mode() & 0o777, metadata.mtime()), (0o640, 2));
        assert_eq!(metadata.len(), 5);

        // One that is not what was written gets no name, and goes.
        let mut part = written("second");
        part.close().expect("whole");
        std::fs::write(scratch.path().join(".a.own.part"), "another").expect("ours");
        let error = part.finish(0o640, None, false).expect_err("changed");
        assert_eq!(error.kind(), ErrorKind::Local);
        std::fs::write(scratch.path().join("other"), "third").expect("ours");
        let mut part = written("third");
        part.close().expect("whole");
        let (own, other) = (
            scratch.path().join(".a.own.part"),
            scratch.path().join("other"),
        );
        std::fs::remove_file(&own).expect("ours");
        std::fs::hard_link(&other, &own).expect("one file system");
        part.finish(0o666, None, false).expect_err("another's");
        std::fs::remove_file(&other).expect("its other name is gone");

        let mut part = written("fourth");
        part.close().expect("whole");
        drop(part);
        let mut names = folder.names().expect("ours");
        names.sort();
        assert_eq!(names, [&b"."[..], b"..", b"a"]);
        assert_eq!(
            std::fs::read(scratch.path().join("a")).expect("ours"),
            b"first"
        );
    }
}
