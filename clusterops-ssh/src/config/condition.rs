//! What `Host` and `Match` lines ask.

use std::net::IpAddr;

use clusterops_core::did_you_mean;

use super::{pattern, tokens};

/// A pattern of a `Host` line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct HostPattern {
    pub(super) negated: bool,
    pub(super) pattern: String,
}

impl HostPattern {
    /// Reads the patterns of a line.
    pub(super) fn read(arguments: &[String]) -> Result<Vec<Self>, String> {
        if arguments.iter().any(String::is_empty) {
            return Err("keyword host empty argument".into());
        }
        let read = |argument: &String| match argument.strip_prefix('!') {
            Some(pattern) => Self {
                negated: true,
                pattern: pattern.to_owned(),
            },
            None => Self {
                negated: false,
                pattern: argument.clone(),
            },
        };
        Ok(arguments.iter().map(read).collect())
    }

    /// Whether the patterns of a line match a host: one does, and no negated one.
    pub(super) fn match_host(patterns: &[Self], host: &str) -> bool {
        let mut matched = false;
        for one in patterns {
            if (one.negated || !matched) && pattern::matches(host, &one.pattern) {
                if one.negated {
                    return false;
                }
                matched = true;
            }
        }
        matched
    }

    /// Whether it matches every host.
    pub(super) fn is_any(&self) -> bool {
        !self.negated && self.pattern == "*"
    }

    /// Whether it matches only the host that it spells out.
    pub(super) fn is_literal(&self) -> bool {
        !self.negated && !self.pattern.contains(['*', '?'])
    }
}

/// One criterion of a `Match` line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Criterion {
    pub(super) negated: bool,
    pub(super) attribute: Attribute,
}

/// What a criterion looks at, and the patterns it compares that with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Attribute {
    All,
    /// `canonical` or `final`: the second pass.
    SecondPass,
    Host(String),
    OriginalHost(String),
    User(String),
    LocalUser(String),
    Exec(String),
    LocalNetwork(Vec<Network>),
    Tagged(String),
    Version(String),
    Command(String),
    SessionType(String),
}

/// The criteria of a `Match` line, and whether it asks for a second pass.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Match {
    pub(super) criteria: Vec<Criterion>,
    pub(super) wants_second_pass: bool,
}

const ATTRIBUTES: [&str; 13] = [
    "all",
    "canonical",
    "final",
    "host",
    "originalhost",
    "user",
    "localuser",
    "exec",
    "localnetwork",
    "tagged",
    "version",
    "command",
    "sessiontype",
];

impl Match {
    /// Whether a command decides about it.
    pub(super) fn runs_commands(&self) -> bool {
        let mut criteria = self.criteria.iter();
        criteria.any(|criterion| matches!(criterion.attribute, Attribute::Exec(_)))
    }

    /// Whether it takes some commands and not others.
    pub(super) fn asks_for_command(&self) -> bool {
        let mut criteria = self.criteria.iter();
        criteria.any(|criterion| match &criterion.attribute {
            Attribute::Command(patterns) => !matches!(patterns.as_str(), "" | "*"),
            _ => false,
        })
    }

    /// Reads the arguments of a line: attributes, each followed by its patterns as a word of their own or behind a `=`.
    pub(super) fn read(arguments: &[String]) -> Result<Self, String> {
        let mut read = Self {
            criteria: Vec::new(),
            wants_second_pass: false,
        };
        let mut arguments = arguments.iter().map(String::as_str).peekable();
        let mut is_unfinished = false;
        while let Some(argument) = arguments.next() {
            let (negated, attribute) = match argument.strip_prefix('!') {
                Some(attribute) => (true, attribute),
                None => (false, argument),
            };
            let (name, mut patterns) = match attribute.split_once('=') {
                Some((name, patterns)) => (name.to_ascii_lowercase(), Some(patterns)),
                None => (attribute.to_ascii_lowercase(), None),
            };
            if !ATTRIBUTES.contains(&name.as_str()) {
                let hint = match is_unfinished {
                    true => "; patterns stand in one list without white space".to_owned(),
                    false => did_you_mean(&name, ATTRIBUTES),
                };
                return Err(format!("Unsupported Match attribute {argument}{hint}"));
            }
            // Only these two compare with a text that may be empty.
            let may_be_empty = matches!(name.as_str(), "tagged" | "command");
            let stands_alone = matches!(name.as_str(), "all" | "canonical" | "final");
            if !stands_alone {
                // Up to 9.9 white space could stand around the `=`.
                patterns = match (patterns, may_be_empty) {
                    (None, true) => arguments.next(),
                    (None, false) => match arguments.next() {
                        Some("=") => arguments.next(),
                        word => word.map(|word| word.strip_prefix('=').unwrap_or(word)),
                    },
                    (Some(""), false) => arguments.next(),
                    (patterns, _) => patterns,
                };
                if patterns.is_none_or(|patterns| patterns.is_empty() && !may_be_empty) {
                    return Err(format!("Missing Match criteria for {name}"));
                }
            }
            let patterns = patterns.unwrap_or_default().to_owned();
            is_unfinished = patterns.ends_with(',');
            let attribute = match name.as_str() {
                "all" if read.criteria.len() > 1 || arguments.peek().is_some() => {
                    return Err("'all' cannot be combined with other Match attributes".into());
                }
                "all" => Attribute::All,
                "final" => {
                    read.wants_second_pass |= !negated;
                    Attribute::SecondPass
                }
                "canonical" => Attribute::SecondPass,
                "host" => Attribute::Host(patterns),
                "originalhost" => Attribute::OriginalHost(patterns),
                "user" => Attribute::User(patterns),
                "localuser" => Attribute::LocalUser(patterns),
                "exec" => {
                    tokens::check(&patterns, tokens::COMMON)?;
                    Attribute::Exec(patterns)
                }
                "localnetwork" => Attribute::LocalNetwork(Network::read_list(&patterns)?),
                "tagged" => Attribute::Tagged(patterns),
                "version" => Attribute::Version(patterns),
                "command" => Attribute::Command(patterns),
                _ => Attribute::SessionType(patterns),
            };
            read.criteria.push(Criterion { negated, attribute });
        }
        if read.criteria.is_empty() {
            return Err("One or more attributes required for Match".into());
        }
        Ok(read)
    }
}

/// An address and how many of its bits count (CIDR).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Network {
    address: IpAddr,
    length: u32,
}

impl Network {
    fn read_list(list: &str) -> Result<Vec<Self>, String> {
        list.split(',').map(Self::read).collect()
    }

    fn read(text: &str) -> Result<Self, String> {
        let invalid = || format!("Invalid network entry \"{text}\"");
        let (address, length) = match text.split_once('/') {
            Some((address, length)) => (address, Some(length)),
            None => (text, None),
        };
        let address: IpAddr = address.parse().map_err(|_| invalid())?;
        let longest = if address.is_ipv4() { 32 } else { 128 };
        let length = match length {
            None => longest,
            Some(length) => length.parse().map_err(|_| invalid())?,
        };
        if length > longest {
            return Err(invalid());
        }
        let network = Self { address, length };
        let host_bits = bits(address) & !mask(network.length, longest);
        if host_bits != 0 {
            return Err(format!("Inconsistent mask length for network \"{text}\""));
        }
        Ok(network)
    }

    /// Whether the address is in the network.
    pub(super) fn contains(&self, address: IpAddr) -> bool {
        let longest = if self.address.is_ipv4() { 32 } else { 128 };
        let differ = bits(self.address) ^ bits(address);
        self.address.is_ipv4() == address.is_ipv4() && differ & mask(self.length, longest) == 0
    }
}

fn bits(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(address) => u32::from(address).into(),
        IpAddr::V6(address) => address.into(),
    }
}

/// The first `length` of `longest` bits.
fn mask(length: u32, longest: u32) -> u128 {
    let all = u128::MAX >> (128 - longest);
    all & !all.checked_shr(length).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(line: &str) -> Result<Match, String> {
        let arguments: Vec<String> = line.split(' ').map(str::to_owned).collect();
        Match::read(&arguments)
    }

    #[test]
    fn attributes_in_every_form() {
        let host = |pattern: &str| Criterion {
            negated: false,
            attribute: Attribute::Host(pattern.into()),
        };
        for line in [
            "host web*",
            "HOST web*",
            "host=web*",
            "host =web*",
            "host = web*",
            "host= web*",
        ] {
            assert_eq!(
                read(line).map(|read| read.criteria),
                Ok(vec![host("web*")]),
                "{line}"
            );
        }
        // Empty only where the manual says so (10.0): a command or a tag that nobody asked for.
        assert!(Match::read(&["tagged".into(), String::new()]).is_ok());
        assert!(Match::read(&["host".into(), String::new(), "final".into()]).is_err());
        assert!(read("command=").is_ok());
        assert!(Match::read(&["host".into(), String::new()]).is_err());
        assert!(read("!final").is_ok_and(|read| !read.wants_second_pass));
        assert!(read("host a final").is_ok_and(|read| read.wants_second_pass));
        assert!(read("canonical all").is_ok());
    }

    #[test]
    fn mistakes() {
        for (line, message) in [
            (
                "hots web",
                "Unsupported Match attribute hots; did you mean `host`?",
            ),
            (
                "host web1, web2",
                "Unsupported Match attribute web2; patterns stand in one list without white space",
            ),
            ("! host web1", "Unsupported Match attribute !"),
            ("host", "Missing Match criteria for host"),
            (
                "all host a",
                "'all' cannot be combined with other Match attributes",
            ),
            (
                "host a user b all",
                "'all' cannot be combined with other Match attributes",
            ),
            (
                "localnetwork 10.0.0.1/8",
                "Inconsistent mask length for network \"10.0.0.1/8\"",
            ),
            (
                "localnetwork 10.0.0.0/33",
                "Invalid network entry \"10.0.0.0/33\"",
            ),
        ] {
            assert_eq!(read(line), Err(message.to_owned()), "{line}");
        }
        assert!(Match::read(&[]).is_err());
    }

    #[test]
    fn networks() {
        for (network, address, expected) in [
            ("10.0.0.0/8", "10.1.2.3", true),
            ("10.0.0.0/8", "11.0.0.0", false),
            ("0.0.0.0/0", "1.2.3.4", true),
            ("0.0.0.0/0", "::1", false),
            ("::/0", "::1", true),
            ("2001:db8::/33", "2001:db8:7fff::1", true),
            ("2001:db8::/33", "2001:db8:8000::1", false),
            ("127.0.0.1", "127.0.0.1", true),
        ] {
            let networks = Network::read_list(network).expect(network);
            let address = address.parse().expect(address);
            assert_eq!(
                networks[0].contains(address),
                expected,
                "{network} {address}"
            );
        }
    }
}
