//! Files that hold keys.

use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use secrecy::{ExposeSecret as _, SecretString};

use crate::{Error, ErrorKind, Result};

/// The longest file that can be a key: an RSA key of 8192 bits has 7 KiB.
const LONGEST: usize = 64 << 10;

/// Writes a private key into a new file that its owner alone can read.
///
/// # Errors
/// [`ErrorKind::Local`] when it cannot be written, or is there already; it stays as it is then.
pub(super) fn write_new(path: &Path, pem: &SecretString) -> Result<()> {
    create(path, pem.expose_secret(), 0o600, "private")
}

/// Writes a public key into a new file that everybody can read.
///
/// # Errors
/// As [`write_new`].
pub(super) fn write_new_public(path: &Path, pem: &str) -> Result<()> {
    create(path, pem, 0o644, "public")
}

fn create(path: &Path, pem: &str, mode: u32, which: &str) -> Result<()> {
    crate::file::create(path, pem.as_bytes(), mode).map_err(|error| {
        let message = match error.kind() {
            io::ErrorKind::AlreadyExists => {
                format!("the file is there already; a {which} key is never overwritten")
            }
            _ => format!("the {which} key cannot be written"),
        };
        Error::new(ErrorKind::Local, message)
            .in_file(path)
            .caused_by(error)
    })
}

/// Reads a file that only its owner can read.
///
/// # Errors
/// [`ErrorKind::Local`] when it cannot be read, [`ErrorKind::Key`] when others can.
pub(crate) fn read(path: &Path) -> Result<SecretString> {
    let failed = |error: io::Error| {
        let message = "the private key cannot be read";
        Error::new(ErrorKind::Local, message)
            .in_file(path)
            .caused_by(error)
    };
    let unusable = |message: String| Err(Error::new(ErrorKind::Key, message).in_file(path));
    let file = crate::file::open(path).map_err(failed)?;
    // Of the file that is open, so that nobody can put another in its place.
    let metadata = file.metadata().map_err(failed)?;
    let mode = metadata.mode() & 0o7777;
    if !metadata.is_file() {
        return unusable("this is no regular file".into());
    }
    if mode & 0o077 != 0 {
        return unusable(format!(
            "others can read or write this private key (mode {mode:04o}); `chmod 600` it, and replace it if they may have"
        ));
    }
    let pem = crate::file::read_all(file, LONGEST, LONGEST).map_err(failed)?;
    if pem.len() > LONGEST {
        return unusable("this is longer than 64 KiB, so it is no private key".into());
    }
    match std::str::from_utf8(&pem) {
        Ok(pem) => Ok(SecretString::from(pem)),
        Err(_) => unusable("this is not text, so it is no private key in PEM".into()),
    }
}
