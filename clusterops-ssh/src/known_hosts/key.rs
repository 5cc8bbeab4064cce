//! The public keys of hosts and of those who certify hosts.

use std::fmt;
use std::str::FromStr;

use russh::keys::ssh_encoding::Encode;
use russh::keys::ssh_encoding::base64::{Base64, Encoding};
use russh::keys::ssh_key::public::KeyData;
use russh::keys::{self, Algorithm, HashAlg};

use crate::{Error, ErrorKind};

/// The public key of a host, or of an authority that certifies hosts.
///
/// It is read from, and displays as, what ssh-keygen(1) writes into a `.pub` file, without the comment.
///
/// ```
/// use clusterops_ssh::known_hosts::PublicKey;
///
/// let key: PublicKey =
///     "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAILM+rvN+ot98qgEN796jTiQfZfG1KaT0PtFDJ/XFSqti me@laptop".parse()?;
/// assert_eq!(key.key_type(), "ssh-ed25519");
/// assert_eq!(key.fingerprint(), "SHA256:UCUiLr7Pjs9wFFJMDByLgc3NrtdU344OgUM45wZPcIQ");
/// assert!(key.to_string().ends_with("/XFSqti"));
/// # Ok::<(), clusterops_ssh::Error>(())
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct PublicKey(KeyData);

impl PublicKey {
    /// The name of the key's type, such as `ssh-ed25519`; an RSA key's is `ssh-rsa`, whatever it signs with.
    #[must_use]
    pub fn key_type(&self) -> String {
        self.0.algorithm().to_string()
    }

    /// The SHA-256 fingerprint as `ssh-keygen -l` prints it, with `SHA256:` in front.
    #[must_use]
    pub fn fingerprint(&self) -> String {
        self.0.fingerprint(HashAlg::Sha256).to_string()
    }

    pub(crate) fn algorithm(&self) -> Algorithm {
        self.0.algorithm()
    }

    /// The key as a file has it, in base64.
    pub(crate) fn base64(&self) -> String {
        // Encoding fails only for keys longer than an SSH packet can be; no line equals the empty text.
        let blob = self.0.encode_vec();
        blob.map(|blob| Base64::encode_string(&blob))
            .unwrap_or_default()
    }

    /// From the blob of RFC 4253, section 6.6; none for what is no plain public key.
    pub(super) fn from_blob(blob: &[u8]) -> Option<Self> {
        Self::from_key_data(keys::PublicKey::from_bytes(blob).ok()?.key_data())
    }

    /// None for a certificate, which is no key but a statement about one.
    pub(crate) fn from_key_data(key: &KeyData) -> Option<Self> {
        (!key.is_certificate()).then(|| Self(key.clone()))
    }
}

impl FromStr for PublicKey {
    type Err = Error;

    /// Reads `type base64 [comment]`; a certificate is no key.
    fn from_str(text: &str) -> Result<Self, Error> {
        let key = keys::PublicKey::from_openssh(text.trim()).map_err(|error| {
            Error::new(
                ErrorKind::Local,
                "this is no public key in a line of type and base64",
            )
            .caused_by(error)
        })?;
        Ok(Self(key.into()))
    }
}

impl fmt::Display for PublicKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{} {}", self.0.algorithm(), self.base64())
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{} {}", self.0.algorithm(), self.fingerprint())
    }
}
