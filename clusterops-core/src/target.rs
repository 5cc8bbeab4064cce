//! One machine to reach, and what is known of it.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use secrecy::SecretString;
use serde::{Deserialize, Serialize};

use crate::destination::Destination;
use crate::{Error, JumpHosts, Result, Variables};

/// One machine to reach: its name, how to get there, and the facts that plans and selections may use.
///
/// [`Inventory::select`](crate::inventory::Inventory::select) makes targets from an inventory; without one, a target is
/// parsed from `[user@]host[:port]`. What a field leaves open (`None`) is decided by whoever connects.
///
/// ```
/// use clusterops_core::Target;
///
/// let target: Target = "deploy@[2001:db8::1]:2222".parse()?;
/// assert_eq!(target.name, "deploy@[2001:db8::1]:2222");
/// assert_eq!((target.user.as_deref(), target.address.as_str(), target.port), (Some("deploy"), "2001:db8::1", Some(2222)));
/// # Ok::<(), clusterops_core::Error>(())
/// ```
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Target {
    /// The name that events, reports and host sets use; unique in a fleet.
    pub name: String,
    /// The host name or IP address to connect to (an IPv6 address without brackets).
    pub address: String,
    /// The TCP port; 22 when nothing else says otherwise.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub port: Option<u16>,
    /// The login name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
    /// The private key file to authenticate with; `~/` stands for the home folder of whoever connects.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub identity_file: Option<PathBuf>,
    /// The known hosts file to check the host key against; `~/` as above.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub known_hosts: Option<PathBuf>,
    /// The jump hosts on the way, as in `ssh -J`; an empty list says that there are none, whatever else says so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub jump: Option<JumpHosts>,
    /// The tags that `@tag:name` selects by.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub tags: BTreeSet<String>,
    /// The groups this host is a member of.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub groups: BTreeSet<String>,
    /// The variables of this host: `{{name}}` in plans, `@name:value` in selections.
    #[serde(default, skip_serializing_if = "Variables::is_empty")]
    pub variables: Variables,
    /// Passwords that an inventory held (such as Ansible's `ansible_password`), by their name there.
    /// Never serialised, and absent from `Debug`.
    #[serde(skip)]
    pub secrets: BTreeMap<String, SecretString>,
}

impl Target {
    /// A target of this name and address, with everything else left open.
    pub fn new(name: impl Into<String>, address: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            address: address.into(),
            ..Self::default()
        }
    }

    /// The address and port as one text, with an IPv6 address in brackets: `[2001:db8::1]:22`.
    pub fn endpoint(&self) -> String {
        let port = self.port.unwrap_or(22);
        if self.address.contains(':') {
            format!("[{}]:{port}", self.address)
        } else {
            format!("{}:{port}", self.address)
        }
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)
    }
}

impl FromStr for Target {
    type Err = Error;

    /// Reads `[user@]host[:port]`; an IPv6 address with a port stands in brackets, without a port it may stand bare.
    fn from_str(text: &str) -> Result<Self> {
        let read = Destination::read(text).map_err(|flaw| flaw.of("target", text))?;
        Ok(Self {
            user: read.user.map(Into::into),
            port: read.port,
            ..Self::new(text, read.host)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parts(text: &str) -> (Option<String>, String, Option<u16>) {
        let target: Target = text.parse().expect(text);
        (target.user, target.address, target.port)
    }

    #[test]
    fn reads_user_host_and_port() {
        let user = |name: &str| Some(name.to_owned());
        assert_eq!(parts("web1"), (None, "web1".into(), None));
        assert_eq!(parts("web1:2222"), (None, "web1".into(), Some(2222)));
        assert_eq!(
            parts("root@web1.example.org"),
            (user("root"), "web1.example.org".into(), None)
        );
        assert_eq!(
            parts("ops@REALM@web1"),
            (user("ops@REALM"), "web1".into(), None)
        );
        assert_eq!(
            parts("[2001:db8::1]:22"),
            (None, "2001:db8::1".into(), Some(22))
        );
        assert_eq!(parts("[2001:db8::1]"), (None, "2001:db8::1".into(), None));
        assert_eq!(parts("fe80::1%eth0"), (None, "fe80::1%eth0".into(), None));
    }

    #[test]
    fn errors_name_the_column() {
        for (text, column) in [
            ("", 1),
            ("@web", 1),
            ("web:0", 5),
            ("web:65536", 5),
            ("web:", 5),
            ("u@[::1", 3),
            ("[::1]x", 6),
            ("we b", 3),
            ("-oProxyCommand=x", 1),
            ("[zz::1]:22", 1),
        ] {
            let error = text.parse::<Target>().expect_err(text);
            assert_eq!(
                error.place().and_then(|place| place.column),
                Some(column),
                "{text}: {error}"
            );
        }
    }
}
