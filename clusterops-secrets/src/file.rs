//! Files that hold sealed documents: read once, replaced whole.

use std::fmt;
use std::fs::{File, Permissions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::{Duration, Instant};

use data_encoding::HEXLOWER;
use rustix::fs::{AtFlags, FlockOperation, Mode, OFlags};
use sha2::{Digest as _, Sha256};
use zeroize::Zeroizing;

use crate::document::{Document, Format, MAX_DOCUMENT};
use crate::{DocumentId, Error, ErrorKind, Result};

/// The SHA-256 of the exact bytes of a file: what a review was about.
///
/// ```
/// use clusterops_secrets::Digest;
///
/// let digest = Digest::of(b"abc");
/// let text = "sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
/// assert_eq!(digest.to_string(), text);
/// assert_eq!(text.parse::<Digest>()?, digest);
/// # Ok::<(), clusterops_secrets::Error>(())
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Digest([u8; 32]);

impl Digest {
    /// Of these bytes.
    pub fn of(bytes: &[u8]) -> Self {
        Self(Sha256::digest(bytes).into())
    }

    pub(crate) fn bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "sha256:{}", HEXLOWER.encode(&self.0))
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for Digest {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        text.strip_prefix("sha256:")
            .and_then(|hex| HEXLOWER.decode(hex.as_bytes()).ok())
            .and_then(|bytes| bytes.try_into().ok())
            .map(Self)
            .ok_or_else(|| {
                let message = "a digest is `sha256:` and 64 hexadecimal digits in lower case";
                Error::new(ErrorKind::Input, message)
            })
    }
}

/// A document as it stood in a file when it was read.
///
/// ```
/// use clusterops_secrets::{ErrorKind, SealedFile};
///
/// # let folder = tempfile::tempdir().expect("a folder");
/// # let path = folder.path().join("app.json");
/// # std::fs::write(&path, "{}").expect("ours");
/// let file = SealedFile::read(&path)?;
/// let newer = file.replace(r#"{"id": "/shop"}"#)?;
/// assert_eq!(newer.digest(), SealedFile::read(&path)?.digest());
/// // What was read before is not what stands there now.
/// assert_eq!(file.replace("{}").unwrap_err().kind(), ErrorKind::Changed);
/// # Ok::<(), clusterops_secrets::Error>(())
/// ```
#[derive(Clone)]
pub struct SealedFile {
    path: PathBuf,
    /// Where it is, links followed.
    real: PathBuf,
    format: Format,
    text: Zeroizing<String>,
    digest: Digest,
}

impl SealedFile {
    /// Reads a file whose name tells its format: `.json`, `.yaml`, `.yml`, `.env`.
    ///
    /// # Errors
    /// [`ErrorKind::Local`] when it cannot be read, [`ErrorKind::Input`] for another name, [`ErrorKind::Syntax`] when it is not
    /// UTF-8 or too long. What it says is not looked at.
    pub fn read(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        let format = Format::of(path).ok_or_else(|| {
            let message = "the name does not tell the format; it ends with `.json`, `.yaml`, `.yml` or `.env`";
            Error::new(ErrorKind::Input, message).in_file(path)
        })?;
        Self::read_as(path, format)
    }

    /// Reads a file of this format, whatever its name.
    ///
    /// # Errors
    /// As [`read`](Self::read).
    pub fn read_as(path: impl AsRef<Path>, format: Format) -> Result<Self> {
        let path = path.as_ref();
        let real = path
            .canonicalize()
            .map_err(|error| unreadable(path, error))?;
        let bytes = bytes_of(&real).map_err(|error| error.in_file(path))?;
        let digest = Digest::of(&bytes);
        let text = std::str::from_utf8(&bytes).map_err(|error| {
            let line = 1 + bytes[..error.valid_up_to()]
                .iter()
                .filter(|byte| **byte == b'\n')
                .count();
            let message = format!("the file is not UTF-8, in line {line}");
            Error::new(ErrorKind::Syntax, message).in_file(path)
        })?;
        Ok(Self {
            path: path.to_owned(),
            real,
            format,
            text: Zeroizing::new(text.to_owned()),
            digest,
        })
    }

    /// The path that it was asked for by.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// How it is to be read.
    pub fn format(&self) -> Format {
        self.format
    }

    /// What it says.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The digest of its bytes.
    pub fn digest(&self) -> Digest {
        self.digest
    }

    /// The id of the document: the string `id` at its root, or what it is sealed as.
    ///
    /// # Errors
    /// [`ErrorKind::Syntax`] when it cannot be read, [`ErrorKind::Input`] when it has no id, [`ErrorKind::Misplaced`] when it is sealed
    /// as another document than the one that it is.
    pub fn id(&self) -> Result<DocumentId> {
        Document::parse(self.text.as_bytes(), self.format)
            .and_then(|document| DocumentId::of(&document, None))
            .map_err(|error| error.in_file(&self.path))
    }

    /// Puts another text in its place: the whole new file or the whole old one is there at any moment, also when this
    /// process is killed or the disk is full. Mode and owner stay; where the path is a link, the file that it leads to is
    /// replaced.
    ///
    /// # Errors
    /// [`ErrorKind::Changed`] when somebody has changed the file since it was read, or where a link leads, [`ErrorKind::Local`] when the new one
    /// cannot be written; the old one stays then.
    pub fn replace(&self, text: &str) -> Result<Self> {
        let failed = |error: io::Error| {
            let message = "the file cannot be replaced; it is as it was";
            Error::new(ErrorKind::Local, message)
                .in_file(&self.path)
                .caused_by(error)
        };
        let folder = self.real.parent().unwrap_or(Path::new("/"));
        let folder = File::open(folder).map_err(failed)?;
        lock(&folder).map_err(failed)?;
        let real = self
            .path
            .canonicalize()
            .map_err(|error| unreadable(&self.path, error))?;
        if real != self.real {
            let message = "the path leads to another file than when it was read; nothing was written, try again";
            return Err(Error::new(ErrorKind::Changed, message).in_file(&self.path));
        }
        if *bytes_of(&self.real).map_err(|error| error.in_file(&self.path))?
            != *self.text.as_bytes()
        {
            let message = "the file has changed since it was read; nothing was written, try again";
            return Err(Error::new(ErrorKind::Changed, message).in_file(&self.path));
        }
        replace(&self.real, &folder, text.as_bytes()).map_err(failed)?;
        Ok(Self {
            text: Zeroizing::new(text.to_owned()),
            digest: Digest::of(text.as_bytes()),
            ..self.clone()
        })
    }
}

impl fmt::Debug for SealedFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SealedFile")
            .field("path", &self.path)
            .field("format", &self.format)
            .field("digest", &self.digest)
            .finish_non_exhaustive()
    }
}

/// How long somebody else may hold the lock of a folder.
const PATIENCE: Duration = Duration::from_secs(10);

/// Locks a folder as long as it is open, so that two of us do not come between the comparison and the renaming. Not every file
/// system has such locks.
pub(crate) fn lock(folder: &File) -> io::Result<()> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        match rustix::fs::flock(folder, FlockOperation::NonBlockingLockExclusive) {
            Err(rustix::io::Errno::WOULDBLOCK) if Instant::now() < deadline => {
                std::thread::sleep(Duration::from_millis(5));
            }
            Err(rustix::io::Errno::WOULDBLOCK) => {
                return Err(io::Error::new(
                    io::ErrorKind::TimedOut,
                    "another program holds the lock of its folder",
                ));
            }
            _ => return Ok(()),
        }
    }
}

/// Opens a file to be read; a pipe that nobody writes to is not waited for.
pub(crate) fn open(path: &Path) -> io::Result<File> {
    Ok(rustix::fs::open(
        path,
        OFlags::RDONLY | OFlags::NONBLOCK | OFlags::CLOEXEC,
        Mode::empty(),
    )?
    .into())
}

/// Reads a file of bounded length.
pub(crate) fn bytes_of(path: &Path) -> Result<Zeroizing<Vec<u8>>> {
    let failed = |error| unreadable(path, error);
    let file = open(path).map_err(failed)?;
    let metadata = file.metadata().map_err(failed)?;
    if !metadata.is_file() {
        return Err(Error::new(ErrorKind::Local, "this is no regular file").in_file(path));
    }
    // Reserved at once, so that no half of a text stays behind in memory when the buffer grows.
    let expected = usize::try_from(metadata.len())
        .unwrap_or(MAX_DOCUMENT)
        .min(MAX_DOCUMENT);
    let mut bytes = Zeroizing::new(Vec::with_capacity(expected + 2));
    file.take(MAX_DOCUMENT as u64 + 1)
        .read_to_end(&mut bytes)
        .map_err(failed)?;
    if bytes.len() > MAX_DOCUMENT {
        return Err(Error::new(
            ErrorKind::Syntax,
            "the file is longer than 64 MiB, the limit",
        )
        .in_file(path));
    }
    Ok(bytes)
}

/// Writes a file beside another one, whole, and gives it the other's name.
fn replace(path: &Path, folder: &File, bytes: &[u8]) -> io::Result<()> {
    let old = std::fs::metadata(path)?;
    let beside = path.parent().unwrap_or(Path::new("/"));
    let name = path.file_name().ok_or(io::ErrorKind::InvalidInput)?;
    // A file without a name is gone when we are killed; it gets one once it is whole.
    let flags = OFlags::TMPFILE | OFlags::WRONLY | OFlags::CLOEXEC;
    match rustix::fs::open(beside, flags, Mode::RUSR | Mode::WUSR) {
        Ok(file) => {
            let mut file = File::from(file);
            fill(&mut file, bytes, &old)?;
            let number = std::os::fd::AsRawFd::as_raw_fd(&file);
            let whole = temporary_name(name);
            let own = format!("/proc/self/fd/{number}");
            rustix::fs::linkat(
                rustix::fs::CWD,
                &own,
                folder,
                &whole,
                AtFlags::SYMLINK_FOLLOW,
            )?;
            rustix::fs::renameat(folder, &whole, folder, name).inspect_err(|_| {
                let _ = rustix::fs::unlinkat(folder, &whole, AtFlags::empty());
            })?;
        }
        // Some network file systems have no files without names.
        Err(rustix::io::Errno::OPNOTSUPP | rustix::io::Errno::ISDIR | rustix::io::Errno::NOENT) => {
            let mut file = tempfile::Builder::new()
                .prefix(".sealing-")
                .tempfile_in(beside)?;
            fill(file.as_file_mut(), bytes, &old)?;
            file.persist(path).map_err(|error| error.error)?;
        }
        Err(error) => return Err(error.into()),
    }
    folder.sync_all()
}

fn fill(file: &mut File, bytes: &[u8], old: &std::fs::Metadata) -> io::Result<()> {
    file.write_all(bytes)?;
    let new = file.metadata()?;
    if (new.uid(), new.gid()) != (old.uid(), old.gid()) {
        std::os::unix::fs::fchown(&*file, Some(old.uid()), Some(old.gid()))?;
    }
    file.set_permissions(Permissions::from_mode(old.mode() & 0o7777))?;
    file.sync_all()
}

/// A name that nobody has in this folder.
fn temporary_name(name: &std::ffi::OsStr) -> std::ffi::OsString {
    let mut temporary = std::ffi::OsString::from(".");
    temporary.push(name);
    temporary.push(format!(
        ".{}",
        HEXLOWER.encode(&crate::random::bytes::<8>())
    ));
    temporary
}

fn unreadable(path: &Path, error: io::Error) -> Error {
    Error::new(ErrorKind::Local, "the file cannot be read")
        .in_file(path)
        .caused_by(error)
}
