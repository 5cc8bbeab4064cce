//! Files of keys that no host may have.

use std::fs;
use std::path::{Path, PathBuf};

use super::{Entry, PublicKey};
use crate::{Error, ErrorKind, Result};

/// How a key revocation list begins, which ssh-keygen(1) makes with `-k`.
const LIST: &[u8] = b"SSHKRL\n\0";

/// The keys in files as `RevokedHostKeys` names them (ssh_config(5)): public keys, one a line.
#[derive(Debug, Default)]
pub(crate) struct RevokedKeys(Vec<Entry>);

impl RevokedKeys {
    /// Reads these files.
    ///
    /// # Errors
    /// When one cannot be read, or not be understood: what may be revoked must not be trusted.
    pub(crate) fn load(paths: &[PathBuf]) -> Result<Self> {
        let mut entries = Vec::new();
        for path in paths {
            let text =
                fs::read(path).map_err(|error| wrong(path, "cannot be read").caused_by(error))?;
            entries.extend(parse(path, &text)?);
        }
        Ok(Self(entries))
    }

    /// The line that revokes this key.
    pub(crate) fn find(&self, key: &PublicKey) -> Option<&Entry> {
        self.0.iter().find(|entry| entry.key == *key)
    }
}

fn parse(path: &Path, text: &[u8]) -> Result<Vec<Entry>> {
    if text.starts_with(LIST) {
        let what = "is a key revocation list (KRL), which is not supported; name a file with the keys, one a line";
        return Err(wrong(path, what));
    }
    let mut entries = Vec::new();
    for (number, line) in text.split(|byte| *byte == b'\n').enumerate() {
        let line = String::from_utf8_lossy(line);
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let key = line.parse::<PublicKey>().map_err(|error| {
            let what = format!("is not understood in line {}", number + 1);
            wrong(path, &what).caused_by(error)
        })?;
        entries.push(Entry {
            file: path.into(),
            line: number + 1,
            key,
        });
    }
    Ok(entries)
}

fn wrong(path: &Path, what: &str) -> Error {
    let message = format!("the file of revoked host keys {} {what}", path.display());
    Error::new(ErrorKind::Local, message)
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test that fails says where")]
mod tests {
    use super::*;

    const RSA: &str = include_str!("test_keys/rsa.pub");
    const ECDSA: &str = include_str!("test_keys/ecdsa-256.pub");

    #[test]
    fn keys_stand_one_a_line() {
        let text = format!("# stolen\n\n{RSA}");
        let entries = parse(Path::new("revoked"), text.as_bytes()).unwrap();
        let revoked = RevokedKeys(entries);
        assert_eq!(revoked.find(&RSA.parse().unwrap()).unwrap().line, 3);
        assert!(revoked.find(&ECDSA.parse().unwrap()).is_none());
    }

    #[test]
    fn what_is_not_understood_is_an_error() {
        for (text, told) in [
            (
                &b"SSHKRL\n\0\0\0\0\x01"[..],
                "(KRL), which is not supported",
            ),
            (b"ssh-ed25519 AAAA\n", "not understood in line 1"),
            (b"\xff\xfe", "not understood in line 1"),
        ] {
            let error = parse(Path::new("revoked"), text).unwrap_err();
            assert!(error.message().contains(told), "{error}");
        }
        let missing = [PathBuf::from("/nonexistent/revoked")];
        assert!(RevokedKeys::load(&missing).is_err(), "as for ssh");
    }
}
