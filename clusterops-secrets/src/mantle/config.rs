//! Mantle's `config.yaml`.

use std::path::{Path, PathBuf};

use crate::document::{Document, Format, Kind};
use crate::{Error, ErrorKind, Result};

/// What a `config.yaml` of Mantle's says.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Config {
    /// The URLs that apps were posted to, exactly as they were used: some end with `/v2/apps`.
    pub marathons: Vec<String>,
    /// Where the key pairs are.
    pub key_directory: PathBuf,
    /// Where the stores are.
    pub eyaml_dir: PathBuf,
    /// Where the safe files are.
    pub safe_dir: PathBuf,
    /// A user, whom Mantle itself never looked at: it took the one who was logged in, or its option `-u`.
    pub username: Option<String>,
}

impl Config {
    /// Reads a `config.yaml`.
    ///
    /// # Errors
    /// [`ErrorKind::Local`] when it cannot be read, [`ErrorKind::Syntax`] with its place for a field that Mantle does not know.
    pub fn load(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        let bytes = crate::file::bytes_of(path)?;
        Self::parse(&bytes).map_err(|error| error.in_file(path))
    }

    pub(crate) fn parse(bytes: &[u8]) -> Result<Self> {
        let document = Document::parse(bytes, Format::Yaml)?;
        let mut config = Self::default();
        for scalar in document.scalars() {
            let path = document.path(scalar);
            let text = document.text(scalar).to_owned();
            let tokens: Vec<_> = path.tokens().collect();
            let tokens: Vec<&str> = tokens.iter().map(|token| &**token).collect();
            match tokens[..] {
                // To Mantle, what is empty is not there.
                ["marathons"] | ["marathons", _] if scalar.kind == Kind::Null => {}
                ["key_directory" | "eyaml_dir" | "safe_dir" | "username" | "user"]
                    if scalar.kind == Kind::Null => {}
                ["marathons", _] => config.marathons.push(text),
                ["key_directory"] => config.key_directory = text.into(),
                ["eyaml_dir"] => config.eyaml_dir = text.into(),
                ["safe_dir"] => config.safe_dir = text.into(),
                // Its README says `user`, its code `username`.
                ["username" | "user"] => config.username = Some(text),
                _ => {
                    let message = format!(
                        "`{path}` is nothing that Mantle knows; it knows `marathons`, `key_directory`, `eyaml_dir`, `safe_dir` \
                         and `username`"
                    );
                    return Err(
                        Error::new(ErrorKind::Syntax, message).at(scalar.line, scalar.column)
                    );
                }
            }
        }
        Ok(config)
    }

    /// A user's private key.
    pub fn private_key(&self, user: &str) -> PathBuf {
        self.key_directory.join(format!("privatekey_{user}.pem"))
    }

    /// A user's public key.
    pub fn public_key(&self, user: &str) -> PathBuf {
        self.key_directory.join(format!("publickey_{user}.pem"))
    }

    /// A user's store.
    pub fn store(&self, user: &str) -> PathBuf {
        self.eyaml_dir.join(format!("{user}.yaml"))
    }
}
