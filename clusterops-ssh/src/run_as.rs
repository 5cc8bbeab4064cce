//! Running commands as another user than the one who logs in.

use std::fmt;

use clusterops_core::Target;
use secrecy::SecretString;
use serde::{Deserialize, Serialize};

use crate::{Error, ErrorKind, Result};

/// As whom a command runs, and which program sees to it.
///
/// ```
/// use clusterops_ssh::{Command, RunAs};
///
/// let restart = Command::new(["systemctl", "restart", "app"]).run_as(RunAs::sudo());
/// let dump = Command::new(["pg_dumpall"]).run_as(RunAs::sudo().user("postgres"));
/// # let _ = (restart, dump);
/// ```
///
/// # What happens on the host
///
/// The program starts `/bin/sh` as the other user, and what is to be run reaches that shell on standard input, as always;
/// so environment variables, secrets, words and scripts need no permission of their own, and the rule that allows it must
/// allow `/bin/sh` (in sudoers(5): `ALL`). What the program itself writes is not the command's output.
///
/// A password is sent only when it is asked for, once. A second question means that it was wrong. It is never in an
/// argument list, an environment, an exec request, a log or a report.
///
/// - *sudo* is run as `sudo -k -S -H -p PROMPT -u USER`, where PROMPT is new for each command; nothing else counts as its
///   question. It needs no terminal, unless sudoers says `requiretty`: then use [`Command::pty`](crate::Command::pty).
/// - *su* and *doas* always get a terminal, as they ask only there; so the command's two outputs are one. Their question
///   may be in any language: it is a text without line end, of which, when escape sequences and blanks at its end are
///   left out, the last character is a colon (`:`, or `：` as East Asian languages write it).
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct RunAs {
    /// The program that sees to it.
    pub method: Method,
    /// The other user.
    #[serde(default = "root")]
    pub user: String,
}

/// The programs that run a command as another user.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Method {
    /// sudo(8). It asks for the password of the user who logged in, unless sudoers(5) says otherwise.
    Sudo,
    /// su(1). It asks for the password of the other user.
    Su,
    /// doas(1). It asks for the password of the user who logged in.
    Doas,
}

impl Method {
    pub(crate) const ALL: [Self; 3] = [Self::Sudo, Self::Su, Self::Doas];

    pub(crate) fn program(self) -> &'static str {
        match self {
            Self::Sudo => "sudo",
            Self::Su => "su",
            Self::Doas => "doas",
        }
    }
}

impl RunAs {
    /// As root, by sudo.
    pub fn sudo() -> Self {
        Self::root_by(Method::Sudo)
    }

    /// As root, by su.
    pub fn su() -> Self {
        Self::root_by(Method::Su)
    }

    /// As root, by doas.
    pub fn doas() -> Self {
        Self::root_by(Method::Doas)
    }

    /// As this user.
    #[must_use]
    pub fn user(mut self, user: impl Into<String>) -> Self {
        self.user = user.into();
        self
    }

    fn root_by(method: Method) -> Self {
        Self {
            method,
            user: root(),
        }
    }

    /// What a target's inventory says: Ansible's `ansible_become`, `ansible_become_method` and `ansible_become_user`.
    ///
    /// # Errors
    /// [`ErrorKind::Plan`] for a method that is not known here.
    pub(crate) fn of_target(target: &Target) -> Result<Option<Self>> {
        let variable = |name: &str| target.variables.get(name).map(ToString::to_string);
        let is_wanted = variable("ansible_become").is_some_and(|value| {
            ["true", "yes", "on", "1", "t", "y"].contains(&value.to_ascii_lowercase().as_str())
        });
        if !is_wanted {
            return Ok(None);
        }
        let name = variable("ansible_become_method");
        let name = name.as_deref().unwrap_or("sudo");
        let plain = name
            .strip_prefix("ansible.builtin.")
            .or(name.strip_prefix("community.general."));
        let name = plain.unwrap_or(name);
        let method = Method::ALL
            .into_iter()
            .find(|method| method.program() == name);
        let Some(method) = method else {
            let message = format!(
                "ansible_become_method is `{name}`, and commands run as another user by sudo, su or doas"
            );
            return Err(Error::new(ErrorKind::Plan, message).on(&target.name));
        };
        let run_as = Self {
            method,
            user: variable("ansible_become_user").unwrap_or_else(root),
        };
        run_as.check().map_err(|error| error.on(&target.name))?;
        Ok(Some(run_as))
    }

    /// The password that came with a target's inventory: Ansible's `ansible_become_password`, or `ansible_become_pass`.
    pub(crate) fn password_of(target: &Target) -> Option<SecretString> {
        ["ansible_become_password", "ansible_become_pass"]
            .iter()
            .find_map(|name| target.secrets.get(*name).cloned())
    }

    /// Whether it takes a terminal.
    pub(crate) fn needs_terminal(&self) -> bool {
        match self.method {
            Method::Sudo => false,
            Method::Su | Method::Doas => true,
        }
    }

    /// Refuses what is no login name, before a program takes it for something else.
    pub(crate) fn check(&self) -> Result<()> {
        let user = &self.user;
        if user.is_empty()
            || user.starts_with(['-', '#', '+', '%'])
            || user.contains(|c: char| c.is_control() || c.is_whitespace() || c == ':')
        {
            let message = format!("{user:?}, as whom to run, is no login name");
            return Err(Error::new(ErrorKind::Plan, message));
        }
        Ok(())
    }
}

impl fmt::Display for RunAs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} by {}", self.user, self.method.program())
    }
}

fn root() -> String {
    "root".into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn inventories_say_as_whom() {
        let of = |variables: &[(&str, &str)]| {
            let mut target = Target::new("web1", "127.0.0.1");
            for (name, value) in variables {
                target.variables.insert(*name, *value);
            }
            RunAs::of_target(&target)
        };
        let become_it = ("ansible_become", "yes");
        assert_eq!(of(&[]).expect("nothing said"), None);
        assert_eq!(
            of(&[("ansible_become_user", "app")]).expect("not wanted"),
            None
        );
        assert_eq!(of(&[become_it]).expect("known"), Some(RunAs::sudo()));
        assert_eq!(
            of(&[
                become_it,
                ("ansible_become_method", "community.general.doas"),
                ("ansible_become_user", "app")
            ])
            .expect("known"),
            Some(RunAs::doas().user("app"))
        );
        for wrong in [
            ("ansible_become_method", "pfexec"),
            ("ansible_become_user", "-x"),
        ] {
            let error = of(&[become_it, wrong]).expect_err("not known");
            assert_eq!(
                (error.kind(), error.host()),
                (ErrorKind::Plan, Some("web1"))
            );
        }
    }
}
