//! What is said before the files are read.

use std::path::Path;

use super::file::{self, Owner, local_error};
use super::local::Local;
use super::{Config, Query};
use crate::Result;

/// How the files of a [`Config`] are read.
///
/// ```
/// use clusterops_ssh::config::{ConfigOptions, Query};
///
/// // A file with keywords that another program knows.
/// let text = "Host web1\n  Port 2222\n  TheirsOnly yes\n";
/// let config = ConfigOptions::default().ignore_unknown("Theirs*").parse(text, "example")?;
/// assert_eq!(config.resolve(&Query::new("web1"))?.port, 2222);
/// # Ok::<(), clusterops_ssh::Error>(())
/// ```
#[derive(Debug, Clone, Default)]
pub struct ConfigOptions {
    pub(super) ignore_unknown: Option<String>,
}

impl ConfigOptions {
    /// What a query says that concerns the reading of the files: `IgnoreUnknown`, where it was given as an
    /// [option](Query::option).
    pub fn of(query: &Query) -> Self {
        Self {
            ignore_unknown: query.ignore_unknown().map(str::to_owned),
        }
    }

    /// Passes over keywords that no release of OpenSSH knows and one of these patterns covers, as
    /// `ssh -o IgnoreUnknown=LIST` does; it comes before what the files say, and so in place of it.
    #[must_use]
    pub fn ignore_unknown(mut self, list: impl Into<String>) -> Self {
        self.ignore_unknown = Some(list.into());
        self
    }

    /// As [`Config::load`].
    ///
    /// # Errors
    ///
    /// As [`Config::load`].
    pub fn load(self) -> Result<Config> {
        let local = Local::look()?;
        let user = file::user_file(&local);
        Config::read(local, self, |reader| {
            let user = reader.file(&user, Owner::User, true)?;
            let system = reader.file(Path::new("/etc/ssh/ssh_config"), Owner::System, false)?;
            Ok(user.into_iter().chain(system).collect())
        })
    }

    /// As [`Config::from_file`].
    ///
    /// # Errors
    ///
    /// As [`Config::from_file`].
    pub fn from_file(self, path: impl AsRef<Path>) -> Result<Config> {
        let path = path.as_ref();
        Config::read(Local::look()?, self, |reader| {
            let file = reader.file(path, Owner::User, false)?;
            let missing = || {
                let message = format!("Can't open user config file {}", path.display());
                local_error(message).caused_by("there is no such file")
            };
            Ok(vec![file.ok_or_else(missing)?])
        })
    }

    /// As [`Config::parse`].
    ///
    /// # Errors
    ///
    /// As [`Config::load`].
    pub fn parse(self, text: impl AsRef<[u8]>, name: impl AsRef<Path>) -> Result<Config> {
        Config::parse_for(Local::look()?, self, text.as_ref(), name.as_ref())
    }
}
