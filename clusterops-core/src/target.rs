//! One machine to reach, and what is known of it.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use secrecy::SecretString;
use serde::{Deserialize, Serialize};

use crate::{Error, ErrorKind, Place, Result, Variables};

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
    /// The jump hosts on the way, as in `ssh -J`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub jump: Option<String>,
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
        let wrong = |column: usize, message: String| {
            let place = Place {
                file: None,
                line: None,
                column: Some(column),
            };
            Err(Error::new(ErrorKind::Syntax, format!("target `{text}`: {message}")).at(place))
        };
        if let Some(at) = text
            .chars()
            .position(|c| c.is_whitespace() || c.is_control())
        {
            return wrong(at + 1, "a target has no white space".into());
        }
        // A user name may hold `@` (Kerberos principals); a host name may not.
        let (user, rest) = match text.rsplit_once('@') {
            Some(("", _)) => return wrong(1, "the user before `@` is empty".into()),
            Some((user, rest)) => (Some(user), rest),
            None => (None, text),
        };
        let column = |of: &str| text[..text.len() - of.len()].chars().count() + 1;
        let (address, port) = if let Some(inner) = rest.strip_prefix('[') {
            let Some((address, after)) = inner.split_once(']') else {
                return wrong(column(rest), "the bracket is not closed".into());
            };
            match after.strip_prefix(':') {
                Some(port) => (address, Some(port)),
                None if after.is_empty() => (address, None),
                None => return wrong(column(after), "only `:port` may follow the bracket".into()),
            }
        } else {
            match rest.split_once(':') {
                // Two colons and no bracket: a bare IPv6 address.
                Some((_, port)) if port.contains(':') => (rest, None),
                Some((address, port)) => (address, Some(port)),
                None => (rest, None),
            }
        };
        if address.is_empty() || address.starts_with('-') {
            return wrong(column(rest), "the host is empty or starts with `-`".into());
        }
        if address.contains(':')
            && address
                .split('%')
                .next()
                .is_none_or(|ip| ip.parse::<std::net::Ipv6Addr>().is_err())
        {
            return wrong(column(rest), format!("`{address}` is not an IPv6 address"));
        }
        let port = match port {
            None => None,
            Some(digits) => match digits.parse::<u16>() {
                Ok(port) if port > 0 => Some(port),
                _ => {
                    return wrong(
                        column(digits),
                        format!("`{digits}` is not a port (1 to 65535)"),
                    );
                }
            },
        };
        Ok(Self {
            user: user.map(Into::into),
            port,
            ..Self::new(text, address)
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
