//! Files that hold sealed documents: read once, replaced whole.

mod disk;

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use data_encoding::{HEXLOWER, HEXLOWER_PERMISSIVE};
use sha2::{Digest as _, Sha256};
use zeroize::Zeroizing;

use disk::unreadable;
pub(crate) use disk::{Replacing, bytes_of, create, open, read_all};

use crate::document::{Document, Format};
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
/// assert_eq!(text["sha256:".len()..].parse::<Digest>()?, digest);
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

    /// Reads 64 hexadecimal digits, as `sha256sum` prints them too, with or without `sha256:` in front.
    ///
    /// # Errors
    /// [`ErrorKind::Input`] for any other text.
    fn from_str(text: &str) -> Result<Self> {
        let hex = text.strip_prefix("sha256:").unwrap_or(text);
        let bytes = HEXLOWER_PERMISSIVE.decode(hex.as_bytes()).ok();
        let bytes = bytes.and_then(|bytes| bytes.try_into().ok());
        bytes.map(Self).ok_or_else(|| {
            let message = "a SHA-256 digest has 64 hexadecimal digits, with or without `sha256:` in front; this is none";
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
    /// Whether the path is a link.
    is_link: bool,
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
        let is_link = path
            .symlink_metadata()
            .map_err(|error| unreadable(path, error))?
            .is_symlink();
        let bytes = bytes_of(path)?;
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
            is_link,
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

    /// The id of the document as everybody sees it: the string `id` at its root, as in a Marathon app.
    ///
    /// What a file alone says that it is sealed as is none to rely on: a copy of another document's file says the other's. Who opens
    /// or vouches for such a file knows which document it expects.
    ///
    /// # Errors
    /// [`ErrorKind::Syntax`] when it cannot be read, [`ErrorKind::Input`] when it has no such id, with the one that it is sealed as,
    /// [`ErrorKind::Misplaced`] when it is sealed as another document than the one that it is.
    pub fn id(&self) -> Result<DocumentId> {
        Document::parse(self.text.as_bytes(), self.format)
            .and_then(|document| DocumentId::shown_by(&document))
            .map_err(|error| error.in_file(&self.path))
    }

    /// Where its signatures are: beside it, and where the path is a link, beside the file that it leads to, which is what a signature
    /// is about and what [`replace`](Self::replace) replaces.
    pub(crate) fn signature_path(&self) -> PathBuf {
        let own = if self.is_link { &self.real } else { &self.path };
        let mut path = own.as_os_str().to_owned();
        path.push(".sig");
        path.into()
    }

    /// Puts another text in its place: the whole new file or the whole old one is there at any moment, also when this
    /// process is killed or the disk is full. Mode and owner stay; where the path is a link, the file that it leads to is
    /// replaced.
    ///
    /// # Errors
    /// [`ErrorKind::Changed`] when somebody has changed the file since it was read, or the link leads elsewhere now, [`ErrorKind::Local`]
    /// when the new one cannot be written, or could not have the old one's owner; the old one stays then.
    pub fn replace(&self, text: &str) -> Result<Self> {
        let failed = |error: io::Error| {
            let message = "the file cannot be replaced; it is as it was";
            Error::new(ErrorKind::Local, message)
                .in_file(&self.path)
                .caused_by(error)
        };
        let replacing = Replacing::of(&self.real, &self.path).map_err(failed)?;
        let real = self
            .path
            .canonicalize()
            .map_err(|error| unreadable(&self.path, error))?;
        if real != self.real {
            let message = "the path leads to another file than when it was read; nothing was written, try again";
            return Err(Error::new(ErrorKind::Changed, message).in_file(&self.path));
        }
        replacing.replace(self.text.as_bytes(), text.as_bytes())?;
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
