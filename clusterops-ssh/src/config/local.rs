//! This machine and its user, as far as a configuration asks about them.

use std::collections::BTreeMap;
use std::fmt;

use nix::unistd::{Uid, User, gethostname};

use super::canonical::{self, Lookup};
use crate::{Error, ErrorKind, Result};

/// This machine and its user.
#[derive(Clone)]
pub(super) struct Local {
    /// The name of the user (`%u`).
    pub(super) user: String,
    /// `%i`
    pub(super) user_id: u32,
    /// The home folder that the password database names; OpenSSH does not look at `HOME`.
    pub(super) home: String,
    /// The name of this machine (`%l`).
    pub(super) host: String,
    environment: BTreeMap<String, String>,
    /// How names are looked up.
    pub(super) lookup: Lookup,
}

impl Local {
    /// Asks the operating system.
    pub(super) fn look() -> Result<Self> {
        let user_id = Uid::current();
        let account = User::from_uid(user_id).ok().flatten().ok_or_else(|| {
            let message =
                format!("no user has the id {user_id}; ssh_config needs a name and a home folder");
            Error::new(ErrorKind::Local, message)
        })?;
        let host = gethostname().map_err(|error| {
            let message = "the name of this machine is not known";
            Error::new(ErrorKind::Local, message).caused_by(error)
        })?;
        let environment = std::env::vars_os().filter_map(|(name, value)| {
            Some((name.into_string().ok()?, value.into_string().ok()?))
        });
        Ok(Self {
            user: account.name,
            user_id: user_id.as_raw(),
            home: account.dir.to_string_lossy().into_owned(),
            host: host.to_string_lossy().into_owned(),
            environment: environment.collect(),
            lookup: canonical::look_up,
        })
    }

    /// A machine that no test depends on: `me@here.example.org`, with these variables and names.
    #[cfg(test)]
    pub(super) fn made_up(environment: &[(&str, &str)], lookup: Lookup) -> Self {
        let variable = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        Self {
            user: "me".into(),
            user_id: 1000,
            home: "/home/me".into(),
            host: "here.example.org".into(),
            environment: environment.iter().map(variable).collect(),
            lookup,
        }
    }

    /// The name of this machine up to its first dot (`%L`).
    pub(super) fn short_host(&self) -> &str {
        self.host.split('.').next().unwrap_or_default()
    }

    /// An environment variable, as it was when the configuration was loaded.
    pub(super) fn variable(&self, name: &str) -> Option<String> {
        self.environment.get(name).cloned()
    }
}

impl fmt::Debug for Local {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The environment may hold secrets.
        f.debug_struct("Local")
            .field("user", &self.user)
            .field("host", &self.host)
            .finish_non_exhaustive()
    }
}
