//! Local folders that are written to, by what a host says: no name leads out of them, and no link is followed.

use std::ffi::OsStr;
use std::fs::File;
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
    file: File,
    folder: Arc<Folder>,
    temporary: Vec<u8>,
    name: Vec<u8>,
    is_finished: bool,
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
            file,
            folder: Arc::clone(self),
            temporary,
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
    /// Another handle of the file, to write to beside the runtime's threads.
    pub(super) fn file(&self) -> Result<File> {
        self.file
            .try_clone()
            .map_err(|error| unwritable(&self.path(), error))
    }

    /// How much is in it.
    pub(super) fn length(&self) -> Result<u64> {
        let metadata = self.file.metadata();
        metadata
            .map(|metadata| metadata.len())
            .map_err(|error| unwritable(&self.path(), error))
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
        set(&self.file, mode, times).map_err(failed)?;
        if sync {
            self.file.sync_all().map_err(failed)?;
        }
        let descriptor = &self.folder.descriptor;
        renameat(
            descriptor,
            OsStr::from_bytes(&self.temporary),
            descriptor,
            OsStr::from_bytes(&self.name),
        )
        .map_err(|error| failed(error.into()))?;
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
