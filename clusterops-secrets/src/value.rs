//! Values to be sealed.

use std::fmt;
use std::io::Read;

use data_encoding::BASE64;
use secrecy::{ExposeSecret as _, SecretString};
use zeroize::Zeroizing;

use crate::jose::token::LONGEST_VALUE;
use crate::{Error, ErrorKind, Result};

/// A value to be sealed: the text of a string.
///
/// ```
/// use clusterops_secrets::Value;
///
/// let password = Value::text("correct horse battery staple");
/// let certificate = Value::binary(&[0, 159, 146, 150]);
/// assert_eq!(format!("{password:?}"), "Value([REDACTED])");
/// # let _ = certificate;
/// ```
#[derive(Clone)]
pub struct Value(SecretString);

impl Value {
    /// A text, as it is.
    pub fn text(text: impl Into<SecretString>) -> Self {
        Self(text.into())
    }

    /// Bytes, as base64 with padding (RFC 4648 section 4): documents hold text only, so whoever opens it gets the base64.
    pub fn binary(bytes: &[u8]) -> Self {
        let text = Zeroizing::new(BASE64.encode(bytes));
        Self(SecretString::from(text.as_str()))
    }

    /// A text that is read to its end, as from standard input, so that it stands in no argument list. One line feed at the
    /// end is not part of it.
    ///
    /// # Errors
    /// [`ErrorKind::Local`] when it cannot be read, [`ErrorKind::Input`] when it is not UTF-8 or longer than 16 MiB.
    pub fn read(source: impl Read) -> Result<Self> {
        // The line feed at the end is not counted.
        let bytes = crate::file::read_all(source, 4 << 10, LONGEST_VALUE + 1).map_err(|error| {
            Error::new(ErrorKind::Local, "the value cannot be read").caused_by(error)
        })?;
        let text = std::str::from_utf8(&bytes).map_err(|_| {
            let message = "the value is not UTF-8; give bytes as base64";
            Error::new(ErrorKind::Input, message)
        })?;
        let text = text.strip_suffix('\n').unwrap_or(text);
        if text.len() > LONGEST_VALUE {
            return Err(Error::new(
                ErrorKind::Input,
                "the value is longer than 16 MiB, the limit",
            ));
        }
        Ok(Self(SecretString::from(text)))
    }

    /// Whether it is the empty text.
    pub fn is_empty(&self) -> bool {
        self.expose().is_empty()
    }

    pub(crate) fn expose(&self) -> &str {
        self.0.expose_secret()
    }
}

impl From<SecretString> for Value {
    fn from(text: SecretString) -> Self {
        Self(text)
    }
}

impl fmt::Debug for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Value([REDACTED])")
    }
}
