//! Files that hold private keys.

use std::fs::OpenOptions;
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::Path;

use secrecy::{ExposeSecret as _, SecretString};
use zeroize::Zeroizing;

use crate::{Error, ErrorKind, Result};

/// The longest file that can be a key: an RSA key of 8192 bits has 7 KiB.
const LONGEST: u64 = 64 << 10;

/// Writes a new file that its owner alone can read; one that is there already stays.
///
/// # Errors
/// [`ErrorKind::Local`] when it cannot be written; nothing is left then.
pub(super) fn write_new(path: &Path, pem: &SecretString) -> Result<()> {
    let failed = |error: io::Error| {
        let message = match error.kind() {
            io::ErrorKind::AlreadyExists => {
                "the file is there already; a private key is never overwritten"
            }
            _ => "the private key cannot be written",
        };
        Error::new(ErrorKind::Local, message)
            .in_file(path)
            .caused_by(error)
    };
    // O_EXCL follows no link; the mode is there from the first moment.
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)
        .map_err(failed)?;
    let written = file
        .write_all(pem.expose_secret().as_bytes())
        .and_then(|()| file.sync_all());
    written.map_err(|error| {
        let _ = std::fs::remove_file(path);
        failed(error)
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
    let mut pem = Zeroizing::new(String::with_capacity(LONGEST as usize));
    file.take(LONGEST + 1)
        .read_to_string(&mut pem)
        .map_err(failed)?;
    if pem.len() as u64 > LONGEST {
        return unusable("this is longer than 64 KiB, so it is no private key".into());
    }
    Ok(SecretString::from(pem.as_str()))
}
