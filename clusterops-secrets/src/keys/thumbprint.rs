//! The names of keys.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use sha2::{Digest as _, Sha256};

use crate::jose::base64url;
use crate::{Error, ErrorKind, Result};

/// The name of a key: the SHA-256 thumbprint of its public JWK (RFC 7638), 43 characters of base64url.
///
/// ```
/// use clusterops_secrets::Thumbprint;
///
/// let name: Thumbprint = "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs".parse()?;
/// assert_eq!(name.to_string(), "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs");
/// assert!("NzbLsXh8".parse::<Thumbprint>().is_err());
/// # Ok::<(), clusterops_secrets::Error>(())
/// ```
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Thumbprint(String);

impl Thumbprint {
    /// Of a JWK's required members in the order of their names, without white space (RFC 7638 section 3).
    pub(crate) fn of(members: &[u8]) -> Self {
        Self(base64url::encode(&Sha256::digest(members)))
    }

    /// Its 43 characters.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Thumbprint {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        if base64url::decode_array::<32>(text).is_some() {
            return Ok(Self(text.to_owned()));
        }
        let message = "a thumbprint has 43 characters of base64url (RFC 7638); this is none";
        Err(Error::new(ErrorKind::Input, message))
    }
}

impl fmt::Display for Thumbprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Thumbprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Serialize for Thumbprint {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for Thumbprint {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}
