//! The jump hosts on the way to a target.

use std::fmt::{self, Write};
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::destination::{self, Destination, Flaw};
use crate::{Error, Result};

/// The jump hosts on the way to a target, from the first to be reached to the last; none at all is a way without any.
///
/// Written as for `ssh -J` and `ProxyJump` (ssh_config(5), OpenSSH 9.2): hosts as `[user@]host[:port]` or
/// `ssh://[user@]host[:port]`, separated by commas, or the one word `none`. Tokens such as `%h` are not expanded.
///
/// ```
/// use clusterops_core::JumpHosts;
///
/// let way: JumpHosts = "ops@gate:2222,[2001:db8::1]".parse()?;
/// assert_eq!((way.hosts()[0].user(), way.hosts()[0].host(), way.hosts()[0].port()), (Some("ops"), "gate", Some(2222)));
/// assert_eq!(way.to_string(), "ops@gate:2222,[2001:db8::1]");
///
/// let direct: JumpHosts = "none".parse()?;
/// assert!(direct.hosts().is_empty());
///
/// let error = "gate,:22".parse::<JumpHosts>().unwrap_err();
/// assert_eq!(error.place().unwrap().column, Some(6));
/// # Ok::<(), clusterops_core::Error>(())
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct JumpHosts(Vec<JumpHost>);

impl JumpHosts {
    /// The hosts in the order in which they are reached.
    pub fn hosts(&self) -> &[JumpHost] {
        &self.0
    }
}

impl FromIterator<JumpHost> for JumpHosts {
    fn from_iter<I: IntoIterator<Item = JumpHost>>(hosts: I) -> Self {
        Self(hosts.into_iter().collect())
    }
}

/// One host on the way to another: where it is, and who logs in there.
///
/// ```
/// use clusterops_core::JumpHost;
///
/// let host: JumpHost = "ssh://a%2Cb@gate:2222".parse()?;
/// assert_eq!((host.user(), host.host(), host.port()), (Some("a,b"), "gate", Some(2222)));
/// # Ok::<(), clusterops_core::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct JumpHost {
    user: Option<String>,
    host: String,
    port: Option<u16>,
}

impl JumpHost {
    /// The login name there, where it is given.
    pub fn user(&self) -> Option<&str> {
        self.user.as_deref()
    }

    /// The host name or IP address (an IPv6 address without brackets).
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The TCP port, where it is given.
    pub fn port(&self) -> Option<u16> {
        self.port
    }

    fn read(text: &str) -> Result<Self, Flaw> {
        let (rest, is_uri) = match text.strip_prefix("ssh://") {
            Some(rest) => (rest.strip_suffix('/').unwrap_or(rest), true),
            None => (text, false),
        };
        let start = if is_uri { "ssh://".len() } else { 0 };
        let destination = Destination::read(rest).map_err(|flaw| flaw.after(start))?;
        let user = match destination.user {
            Some(user) if is_uri => Some(decode(user).map_err(|flaw| flaw.after(start))?),
            user => user.map(str::to_owned),
        };
        Ok(Self {
            user,
            host: destination.host.to_owned(),
            port: destination.port,
        })
    }

    fn write(&self, f: &mut fmt::Formatter<'_>, as_uri: bool) -> fmt::Result {
        if as_uri {
            f.write_str("ssh://")?;
        }
        match self.user() {
            Some(user) if as_uri => write!(f, "{}@", Encoded(user))?,
            Some(user) => write!(f, "{user}@")?,
            None => {}
        }
        if self.host.contains(':') {
            write!(f, "[{}]", self.host)?;
        } else {
            f.write_str(&self.host)?;
        }
        match self.port {
            Some(port) => write!(f, ":{port}"),
            None => Ok(()),
        }
    }
}

/// The user in a URI: `%` escapes become bytes, and connection parameters behind `;` are passed over, as in OpenSSH.
fn decode(user: &str) -> Result<String, Flaw> {
    let user = user.split_once(';').map_or(user, |(user, _)| user);
    if let Some(at) = user.find('@') {
        let message = "`@` in the user of a URI is written `%40`".into();
        return Err(Flaw { at, message });
    }
    let mut parts = user.split('%');
    let mut bytes = parts.next().unwrap_or_default().as_bytes().to_vec();
    let mut at = bytes.len();
    for part in parts {
        let digit = |at: usize| char::from(*part.as_bytes().get(at)?).to_digit(16);
        let (Some(high), Some(low)) = (digit(0), digit(1)) else {
            let message = "`%` in a URI is followed by two hexadecimal digits".into();
            return Err(Flaw { at, message });
        };
        bytes.push((high * 16 + low) as u8);
        bytes.extend_from_slice(&part.as_bytes()[2..]);
        at += 1 + part.len();
    }
    let decoded = String::from_utf8(bytes).map_err(|_| Flaw {
        at: 0,
        message: "the user is not UTF-8 once its `%` escapes are read".into(),
    })?;
    // Where the flaw is in the decoded text says nothing of the written one.
    destination::check_user(&decoded).map_err(|flaw| Flaw { at: 0, ..flaw })?;
    Ok(decoded)
}

impl FromStr for JumpHosts {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        if text.eq_ignore_ascii_case("none") {
            return Ok(Self::default());
        }
        let mut start = 0;
        text.split(',')
            .map(|host| {
                let read = JumpHost::read(host).map_err(|flaw| flaw.after(start));
                start += host.len() + 1;
                read
            })
            .collect::<Result<_, Flaw>>()
            .map_err(|flaw| flaw.of("jump hosts", text))
    }
}

impl FromStr for JumpHost {
    type Err = Error;

    /// Reads one host; `none` is a host name here, and a comma is an error.
    fn from_str(text: &str) -> Result<Self> {
        let read = match text.find(',') {
            Some(at) => Err(Flaw {
                at,
                message: "only one jump host can be given here".into(),
            }),
            None => Self::read(text),
        };
        read.map_err(|flaw| flaw.of("jump host", text))
    }
}

impl fmt::Display for JumpHosts {
    /// Writes what reads back as these hosts.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.hosts() {
            [] => f.write_str("none"),
            [host] if host.to_string().eq_ignore_ascii_case("none") => host.write(f, true),
            hosts => hosts.iter().enumerate().try_for_each(|(at, host)| {
                f.write_str(if at > 0 { "," } else { "" })?;
                host.fmt(f)
            }),
        }
    }
}

impl fmt::Display for JumpHost {
    /// Writes `[user@]host[:port]`, or a URI where a user with a comma makes that necessary.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let user = self.user().unwrap_or_default();
        self.write(f, user.contains(',') || user.starts_with("ssh://"))
    }
}

/// Text with every byte escaped that has, or may get, a meaning in a URI (RFC 3986 section 2.3).
struct Encoded<'a>(&'a str);

impl fmt::Display for Encoded<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.bytes().try_for_each(|byte| match byte {
            b'-' | b'.' | b'_' | b'~' => f.write_char(char::from(byte)),
            byte if byte.is_ascii_alphanumeric() => f.write_char(char::from(byte)),
            byte => write!(f, "%{byte:02X}"),
        })
    }
}

impl Serialize for JumpHosts {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for JumpHosts {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn parsed(text: &str) -> Vec<(Option<String>, String, Option<u16>)> {
        let way: JumpHosts = text.parse().expect(text);
        way.0
            .into_iter()
            .map(|host| (host.user, host.host, host.port))
            .collect()
    }

    #[test]
    fn reads_what_ssh_reads() {
        let host =
            |user: Option<&str>, host: &str, port| (user.map(str::to_owned), host.to_owned(), port);
        for (text, expected) in [
            ("none", vec![]),
            ("NONE", vec![]),
            ("gate", vec![host(None, "gate", None)]),
            (
                "a,none",
                vec![host(None, "a", None), host(None, "none", None)],
            ),
            ("ssh://none", vec![host(None, "none", None)]),
            (
                "u@[::1]:22,b:2",
                vec![host(Some("u"), "::1", Some(22)), host(None, "b", Some(2))],
            ),
            ("a@b@c", vec![host(Some("a@b"), "c", None)]),
            ("ssh://a%2cb@host", vec![host(Some("a,b"), "host", None)]),
            (
                "ssh://u;x=y@host:22",
                vec![host(Some("u"), "host", Some(22))],
            ),
            ("ssh://host/", vec![host(None, "host", None)]),
            ("u%2cx@h", vec![host(Some("u%2cx"), "h", None)]),
            ("[fe80::1%eth0]", vec![host(None, "fe80::1%eth0", None)]),
        ] {
            assert_eq!(parsed(text), expected, "{text}");
        }
    }

    #[test]
    fn errors_name_the_column() {
        for (text, column) in [
            ("", 1),
            ("a,,b", 3),
            ("a,", 3),
            (",a", 1),
            ("ä,b:0", 5),
            ("a, b", 3),
            ("a,-b", 3),
            ("a,-u@b", 3),
            ("h/22", 1),
            ("ssh://", 7),
            ("ssh://a@b@host", 8),
            ("a,ssh://u%4@h", 10),
            ("ssh://u%00@h", 7),
            ("ssh://host/x", 7),
            ("SSH://x", 5),
        ] {
            let error = text.parse::<JumpHosts>().expect_err(text);
            let place = error.place().expect("a place");
            assert_eq!(place.column, Some(column), "{text}: {error}");
        }
        assert!("a,b".parse::<JumpHost>().is_err());
    }

    #[test]
    fn serialises_as_text() {
        let way: JumpHosts = serde_json::from_str(r#""ops@gate,b""#).expect("a text");
        assert_eq!(
            serde_json::to_string(&way).expect("json"),
            r#""ops@gate,b""#
        );
        assert!(serde_json::from_str::<JumpHosts>(r#""a,,b""#).is_err());
    }

    proptest! {
        #[test]
        fn what_is_read_reads_back(text in "(ssh://)?[a-z@,:/%;\\[\\]0-9é]{0,16}|\\PC{0,16}") {
            if let Ok(way) = text.parse::<JumpHosts>() {
                prop_assert_eq!(way.to_string().parse::<JumpHosts>().ok(), Some(way));
            }
        }

        #[test]
        fn any_user_reads_back(user in "[^-\\s\\pC]\\S{0,8}", host in "[a-z]{1,4}|[0-9a-f]{1,4}::1", port in 1_u16..) {
            prop_assume!(!user.contains(crate::text::is_invisible));
            let way = JumpHosts(vec![JumpHost { user: Some(user), host, port: Some(port) }]);
            prop_assert_eq!(way.to_string().parse::<JumpHosts>().ok(), Some(way));
        }
    }
}
