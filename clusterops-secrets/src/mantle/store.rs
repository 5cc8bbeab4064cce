//! Mantle's keys and stores.

use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;

use data_encoding::BASE64;
use secrecy::{ExposeSecret as _, SecretString};

use crate::document::{Document, Format, Kind};
use crate::keys::legacy::LegacyKey;
use crate::{Error, ErrorKind, Result};

/// The label that Mantle encrypts with (RFC 8017 section 7.1).
const LABEL: &[u8] = b">";

/// A private key that Mantle made: it opens stores, and nothing else.
#[derive(Debug)]
pub struct MantleKey(LegacyKey);

impl MantleKey {
    /// Reads a `RSA PRIVATE KEY` (PKCS#1) in PEM, of 1024 bits or more.
    ///
    /// # Errors
    /// [`ErrorKind::Key`] when it is none.
    pub fn from_pem(pem: &str) -> Result<Self> {
        LegacyKey::from_pem(pem).map(Self)
    }

    /// Reads a file with such a key, which nobody but its owner can read.
    ///
    /// # Errors
    /// As [`from_pem`](Self::from_pem); [`ErrorKind::Key`] when others can read the file, [`ErrorKind::Local`] when we cannot.
    pub fn read(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        let pem = crate::keys::read_private(path)?;
        Self::from_pem(pem.expose_secret()).map_err(|error| error.in_file(path))
    }

    /// Whether this public key, a SubjectPublicKeyInfo that Mantle wrote under the label `RSA PUBLIC KEY`, belongs to it.
    ///
    /// # Errors
    /// [`ErrorKind::Key`] when the PEM is no such key.
    pub fn is_pair_of(&self, public_pem: &str) -> Result<bool> {
        self.0.is_pair_of(public_pem)
    }
}

/// What a user's store holds, opened.
pub struct Store {
    entries: BTreeMap<String, SecretString>,
    username: Option<String>,
}

impl Store {
    /// Reads and opens a store.
    ///
    /// # Errors
    /// [`ErrorKind::Local`] when it cannot be read, [`ErrorKind::Syntax`] when it is no store, [`ErrorKind::Tampered`] with the entry's
    /// name and place when the key does not open it.
    pub fn load(path: impl AsRef<Path>, key: &MantleKey) -> Result<Self> {
        let path = path.as_ref();
        let bytes = crate::file::bytes_of(path)?;
        Self::open(&bytes, key).map_err(|error| error.in_file(path))
    }

    pub(crate) fn open(bytes: &[u8], key: &MantleKey) -> Result<Self> {
        let document = Document::parse(bytes, Format::Yaml)?;
        let mut store = Self {
            entries: BTreeMap::new(),
            username: None,
        };
        for scalar in document.scalars() {
            let path = document.path(scalar);
            let failed = |kind, message: &str| {
                Err(Error::new(kind, message)
                    .on(path.as_str())
                    .at(scalar.line, scalar.column))
            };
            let mut tokens = path.tokens();
            let (Some(name), None) = (tokens.next(), tokens.next()) else {
                return failed(
                    ErrorKind::Syntax,
                    "a store of Mantle's has names and values, nothing inside of them",
                );
            };
            if !scalar.is_tagged() {
                // The name of its user, unless a secret of that name took its place.
                if name == "username" && scalar.kind == Kind::String {
                    store.username = Some(document.text(scalar).to_owned());
                    continue;
                }
                return failed(
                    ErrorKind::Syntax,
                    "this entry is not encrypted (`!!binary`), so it is none of Mantle's",
                );
            }
            let base64: String = document
                .text(scalar)
                .chars()
                .filter(|c| !c.is_ascii_whitespace())
                .collect();
            let Ok(encrypted) = BASE64.decode(base64.as_bytes()) else {
                return failed(ErrorKind::Syntax, "this entry is not base64");
            };
            let opened = key.0.decrypt(LABEL, &encrypted);
            let text = opened
                .as_ref()
                .and_then(|bytes| std::str::from_utf8(bytes.expose_secret()).ok());
            let Some(text) = text else {
                return failed(
                    ErrorKind::Tampered,
                    "this entry does not open with this key; is the store another user's, or the entry older than the key? remove an \
                     entry that nothing uses",
                );
            };
            store
                .entries
                .insert(name.into_owned(), SecretString::from(text));
        }
        Ok(store)
    }

    /// The names, sorted.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.entries.keys().map(String::as_str)
    }

    /// The value of a name.
    pub fn value(&self, name: &str) -> Option<&SecretString> {
        self.entries.get(name)
    }

    /// Whose store it is, if it says so.
    pub fn username(&self) -> Option<&str> {
        self.username.as_deref()
    }

    pub(super) fn expose(&self, name: &str) -> Option<&str> {
        self.value(name).map(|value| value.expose_secret())
    }
}

impl fmt::Debug for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Store")
            .field("username", &self.username)
            .field("names", &self.entries.keys())
            .finish_non_exhaustive()
    }
}
