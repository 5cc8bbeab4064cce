//! Lists of algorithms: which names OpenSSH knows, what it offers by default, and the modifiers `+`, `-` and `^`.

use std::fmt;
use std::ops::Deref;
use std::sync::{Arc, LazyLock};

use super::pattern::{self, Verdict};

/// Names of algorithms, the preferred one first.
///
/// They are OpenSSH's names, known to any of its releases; not all of them can be offered here.
///
/// ```
/// use clusterops_ssh::config::{Config, Query};
///
/// let config = Config::parse("Ciphers ^aes256-ctr", "example")?;
/// let ciphers = config.resolve(&Query::new("web1"))?.ciphers;
/// assert_eq!(ciphers[..2], ["aes256-ctr", "chacha20-poly1305@openssh.com"]);
/// # Ok::<(), clusterops_ssh::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Algorithms(Arc<[String]>);

impl Deref for Algorithms {
    type Target = [String];

    fn deref(&self) -> &[String] {
        &self.0
    }
}

impl fmt::Display for Algorithms {
    /// Writes the names with commas between them.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.join(","))
    }
}

/// What kind of algorithms a keyword lists.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Family {
    Ciphers,
    Macs,
    Kex,
    /// Keys and signatures of hosts and users.
    Keys,
    /// The signatures of certificate authorities.
    CaSignatures,
}

/// What a file says of a list, known to be well-formed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Specification {
    family: Family,
    text: String,
}

impl Specification {
    /// Reads the argument of a keyword; an error, the first name that no release knows, where OpenSSH would refuse it.
    pub(super) fn read(family: Family, text: &str) -> Result<Self, String> {
        // What is taken away need not be known.
        if !text.starts_with('-') {
            family.check(text.strip_prefix(['+', '^']).unwrap_or(text))?;
        }
        Ok(Self {
            family,
            text: text.to_owned(),
        })
    }

    /// The list that it makes of the default; an error when no name is left to choose from, or a pattern is negated
    /// (`kex_assemble_names` of OpenSSH).
    pub(super) fn assemble(&self) -> Result<Algorithms, String> {
        let default = self.family.default();
        let names = |names: &'static [&'static str]| names.iter().map(|name| (*name).to_owned());
        let wanted: Vec<String> = match (self.text.get(..1), self.text.get(1..)) {
            (Some("-"), Some(patterns)) => {
                let kept =
                    names(default).filter(|name| pattern::list(name, patterns) != Verdict::Match);
                return Ok(Algorithms(kept.collect()));
            }
            (Some("+"), Some(more)) => names(default).chain(listed(more)).collect(),
            (Some("^"), Some(first)) => listed(first).chain(names(default)).collect(),
            _ => self.text.split(',').map(str::to_owned).collect(),
        };
        let mut list: Vec<String> = Vec::new();
        for pattern in wanted {
            if pattern.starts_with('!') {
                return Err(format!(
                    "`{pattern}`: only a list that begins with `-` takes names away"
                ));
            }
            for name in self.family.matching(&pattern) {
                if !list.iter().any(|present| present == name) {
                    list.push(name.to_owned());
                }
            }
        }
        if list.is_empty() {
            return Err(format!("`{}` leaves no algorithm", self.text));
        }
        Ok(Algorithms(list.into()))
    }
}

/// The names before the first empty one, where OpenSSH stops reading.
fn listed(names: &str) -> impl Iterator<Item = String> {
    names
        .split(',')
        .take_while(|name| !name.is_empty())
        .map(str::to_owned)
}

impl Family {
    /// What OpenSSH offers when the configuration says nothing.
    pub(super) fn defaults(self) -> Algorithms {
        static LISTS: LazyLock<[Algorithms; 5]> = LazyLock::new(|| {
            let families = [
                Family::Ciphers,
                Family::Macs,
                Family::Kex,
                Family::Keys,
                Family::CaSignatures,
            ];
            families.map(|family| {
                let names = family.default().iter().map(|name| (*name).to_owned());
                Algorithms(names.collect())
            })
        });
        LISTS[self as usize].clone()
    }

    /// Fails with the first name that is not known, up to an empty one; keys may be named by patterns and short names too.
    fn check(self, names: &str) -> Result<(), String> {
        if self == Self::CaSignatures {
            // Any key is accepted, and left out of the list if it makes no signatures.
            return Self::Keys.check(names);
        }
        let is_known = |name: &str| {
            self.local().contains(&name)
                || self.elsewhere().contains(&name)
                || self == Self::Keys
                    && (SHORT_KEY_NAMES
                        .iter()
                        .any(|short| short.eq_ignore_ascii_case(name))
                        || self
                            .all()
                            .any(|known| pattern::list(known, name) != Verdict::No))
        };
        match listed(names).find(|name| !is_known(name)) {
            Some(unknown) => Err(unknown),
            None if names.is_empty() => Err(String::new()),
            None => Ok(()),
        }
    }

    /// The names that a pattern stands for: what a wildcard matches in OpenSSH 9.2, and any name written out.
    fn matching<'a>(self, pattern: &'a str) -> impl Iterator<Item = &'static str> + 'a {
        let exact = self
            .elsewhere()
            .iter()
            .filter(move |name| **name == pattern);
        let local = self.local().iter();
        local
            .filter(move |name| pattern::matches(name, pattern))
            .chain(exact)
            .copied()
    }

    pub(super) fn all(self) -> impl Iterator<Item = &'static str> {
        self.local().iter().chain(self.elsewhere()).copied()
    }

    fn default(self) -> &'static [&'static str] {
        match self {
            Self::Ciphers => DEFAULT_CIPHERS,
            Self::Macs => DEFAULT_MACS,
            Self::Kex => DEFAULT_KEX,
            Self::Keys => DEFAULT_KEYS,
            Self::CaSignatures => DEFAULT_CA_SIGNATURES,
        }
    }

    /// What OpenSSH 9.2 knows, in its order (`ssh -Q`).
    fn local(self) -> &'static [&'static str] {
        match self {
            Self::Ciphers => CIPHERS,
            Self::Macs => MACS,
            Self::Kex => KEX,
            Self::Keys => KEYS,
            Self::CaSignatures => SIGNATURES,
        }
    }

    /// What only earlier or later releases know, up to 10.x.
    fn elsewhere(self) -> &'static [&'static str] {
        match self {
            Self::Ciphers => OTHER_CIPHERS,
            Self::Macs => OTHER_MACS,
            Self::Kex => OTHER_KEX,
            Self::Keys | Self::CaSignatures => OTHER_KEYS,
        }
    }
}

// The defaults of OpenSSH 9.2 (ssh_config(5)), with the second name that 9.9 gave to a key exchange it knows.

const DEFAULT_CIPHERS: &[&str] = &[
    "chacha20-poly1305@openssh.com",
    "aes128-ctr",
    "aes192-ctr",
    "aes256-ctr",
    "aes128-gcm@openssh.com",
    "aes256-gcm@openssh.com",
];
const DEFAULT_MACS: &[&str] = &[
    "umac-64-etm@openssh.com",
    "umac-128-etm@openssh.com",
    "hmac-sha2-256-etm@openssh.com",
    "hmac-sha2-512-etm@openssh.com",
    "hmac-sha1-etm@openssh.com",
    "umac-64@openssh.com",
    "umac-128@openssh.com",
    "hmac-sha2-256",
    "hmac-sha2-512",
    "hmac-sha1",
];
const DEFAULT_KEX: &[&str] = &[
    "sntrup761x25519-sha512",
    "sntrup761x25519-sha512@openssh.com",
    "curve25519-sha256",
    "curve25519-sha256@libssh.org",
    "ecdh-sha2-nistp256",
    "ecdh-sha2-nistp384",
    "ecdh-sha2-nistp521",
    "diffie-hellman-group-exchange-sha256",
    "diffie-hellman-group16-sha512",
    "diffie-hellman-group18-sha512",
    "diffie-hellman-group14-sha256",
];
const DEFAULT_KEYS: &[&str] = &[
    "ssh-ed25519-cert-v01@openssh.com",
    "ecdsa-sha2-nistp256-cert-v01@openssh.com",
    "ecdsa-sha2-nistp384-cert-v01@openssh.com",
    "ecdsa-sha2-nistp521-cert-v01@openssh.com",
    "sk-ssh-ed25519-cert-v01@openssh.com",
    "sk-ecdsa-sha2-nistp256-cert-v01@openssh.com",
    "rsa-sha2-512-cert-v01@openssh.com",
    "rsa-sha2-256-cert-v01@openssh.com",
    "ssh-ed25519",
    "ecdsa-sha2-nistp256",
    "ecdsa-sha2-nistp384",
    "ecdsa-sha2-nistp521",
    "sk-ssh-ed25519@openssh.com",
    "sk-ecdsa-sha2-nistp256@openssh.com",
    "rsa-sha2-512",
    "rsa-sha2-256",
];
const DEFAULT_CA_SIGNATURES: &[&str] = &[
    "ssh-ed25519",
    "ecdsa-sha2-nistp256",
    "ecdsa-sha2-nistp384",
    "ecdsa-sha2-nistp521",
    "sk-ssh-ed25519@openssh.com",
    "sk-ecdsa-sha2-nistp256@openssh.com",
    "rsa-sha2-512",
    "rsa-sha2-256",
];

const CIPHERS: &[&str] = &[
    "3des-cbc",
    "aes128-cbc",
    "aes192-cbc",
    "aes256-cbc",
    "aes128-ctr",
    "aes192-ctr",
    "aes256-ctr",
    "aes128-gcm@openssh.com",
    "aes256-gcm@openssh.com",
    "chacha20-poly1305@openssh.com",
];
const MACS: &[&str] = &[
    "hmac-sha1",
    "hmac-sha1-96",
    "hmac-sha2-256",
    "hmac-sha2-512",
    "hmac-md5",
    "hmac-md5-96",
    "umac-64@openssh.com",
    "umac-128@openssh.com",
    "hmac-sha1-etm@openssh.com",
    "hmac-sha1-96-etm@openssh.com",
    "hmac-sha2-256-etm@openssh.com",
    "hmac-sha2-512-etm@openssh.com",
    "hmac-md5-etm@openssh.com",
    "hmac-md5-96-etm@openssh.com",
    "umac-64-etm@openssh.com",
    "umac-128-etm@openssh.com",
];
const KEX: &[&str] = &[
    "diffie-hellman-group1-sha1",
    "diffie-hellman-group14-sha1",
    "diffie-hellman-group14-sha256",
    "diffie-hellman-group16-sha512",
    "diffie-hellman-group18-sha512",
    "diffie-hellman-group-exchange-sha1",
    "diffie-hellman-group-exchange-sha256",
    "ecdh-sha2-nistp256",
    "ecdh-sha2-nistp384",
    "ecdh-sha2-nistp521",
    "curve25519-sha256",
    "curve25519-sha256@libssh.org",
    "sntrup761x25519-sha512",
    "sntrup761x25519-sha512@openssh.com",
];
const KEYS: &[&str] = &[
    "ssh-ed25519",
    "ssh-ed25519-cert-v01@openssh.com",
    "sk-ssh-ed25519@openssh.com",
    "sk-ssh-ed25519-cert-v01@openssh.com",
    "ecdsa-sha2-nistp256",
    "ecdsa-sha2-nistp256-cert-v01@openssh.com",
    "ecdsa-sha2-nistp384",
    "ecdsa-sha2-nistp384-cert-v01@openssh.com",
    "ecdsa-sha2-nistp521",
    "ecdsa-sha2-nistp521-cert-v01@openssh.com",
    "sk-ecdsa-sha2-nistp256@openssh.com",
    "sk-ecdsa-sha2-nistp256-cert-v01@openssh.com",
    "webauthn-sk-ecdsa-sha2-nistp256@openssh.com",
    "ssh-dss",
    "ssh-dss-cert-v01@openssh.com",
    "ssh-rsa",
    "ssh-rsa-cert-v01@openssh.com",
    "rsa-sha2-256",
    "rsa-sha2-256-cert-v01@openssh.com",
    "rsa-sha2-512",
    "rsa-sha2-512-cert-v01@openssh.com",
];
const SIGNATURES: &[&str] = &[
    "ssh-ed25519",
    "sk-ssh-ed25519@openssh.com",
    "ecdsa-sha2-nistp256",
    "ecdsa-sha2-nistp384",
    "ecdsa-sha2-nistp521",
    "sk-ecdsa-sha2-nistp256@openssh.com",
    "webauthn-sk-ecdsa-sha2-nistp256@openssh.com",
    "ssh-dss",
    "ssh-rsa",
    "rsa-sha2-256",
    "rsa-sha2-512",
];

/// The families of keys, which OpenSSH takes for names, in any case; they match none when the list is made.
const SHORT_KEY_NAMES: &[&str] = &[
    "ED25519",
    "ED25519-SK",
    "ECDSA",
    "ECDSA-SK",
    "DSA",
    "RSA",
    "MLDSA44-ED25519",
    "XMSS",
];

const OTHER_CIPHERS: &[&str] = &[
    // Up to 7.5.
    "arcfour",
    "arcfour128",
    "arcfour256",
    "blowfish-cbc",
    "cast128-cbc",
    "rijndael-cbc@lysator.liu.se",
    "acss@openssh.org",
];
const OTHER_MACS: &[&str] = &[
    // Up to 7.5, and two that were in 5.9 only.
    "hmac-ripemd160",
    "hmac-ripemd160@openssh.com",
    "hmac-ripemd160-etm@openssh.com",
    "hmac-sha2-256-96",
    "hmac-sha2-512-96",
];
const OTHER_KEX: &[&str] = &[
    // From 9.9, from 10.5, and from 8.0 to 8.4.
    "mlkem768x25519-sha256",
    "mlkem768nistp256-sha256",
    "sntrup4591761x25519-sha512@tinyssh.org",
];
const OTHER_KEYS: &[&str] = &[
    // From 10.3 and 10.4; the next four stopped being built in before 9.2, the last two were in 5.x only.
    "webauthn-sk-ecdsa-sha2-nistp256-cert-v01@openssh.com",
    "ssh-mldsa44-ed25519@openssh.com",
    "ssh-mldsa44-ed25519-cert-v01@openssh.com",
    "ssh-xmss@openssh.com",
    "ssh-xmss-cert-v01@openssh.com",
    "ssh-rsa-cert-v00@openssh.com",
    "ssh-dss-cert-v00@openssh.com",
];

#[cfg(test)]
mod tests {
    use super::*;

    fn assembled(family: Family, text: &str) -> Result<String, String> {
        let specification = Specification::read(family, text)?;
        specification.assemble().map(|list| list.to_string())
    }

    #[test]
    fn modifiers() {
        let list = |text| assembled(Family::Ciphers, text).expect(text);
        let default = Family::Ciphers.defaults().to_string();
        assert_eq!(list("aes256-ctr,aes128-ctr"), "aes256-ctr,aes128-ctr");
        assert_eq!(list("+3des-cbc,aes128-ctr"), format!("{default},3des-cbc"));
        assert_eq!(list("^3des-cbc"), format!("3des-cbc,{default}"));
        assert_eq!(list("-aes*"), "chacha20-poly1305@openssh.com");
        assert_eq!(list("-*"), "");
        assert_eq!(list("arcfour,aes128-ctr,arcfour"), "arcfour,aes128-ctr");
    }

    #[test]
    fn names_of_every_release() {
        // Releases by their notes: 9.9 brought ML-KEM with X25519, 8.0 and 8.5 the two variants of NTRU Prime.
        for (family, name) in [
            (Family::Kex, "mlkem768x25519-sha256"),
            (Family::Kex, "sntrup4591761x25519-sha512@tinyssh.org"),
            (Family::Keys, "ssh-mldsa44-ed25519@openssh.com"),
            (Family::Macs, "hmac-ripemd160"),
            (Family::Ciphers, "arcfour256"),
        ] {
            assert_eq!(assembled(family, name).as_deref(), Ok(name));
        }
        assert!(assembled(Family::Kex, "nonsense").is_err());
        assert!(assembled(Family::Ciphers, "aes*").is_err());
        assert!(assembled(Family::Ciphers, "+").is_err());
    }

    #[test]
    fn patterns_of_keys() {
        assert_eq!(
            assembled(Family::Keys, "rsa-*").as_deref(),
            Ok(
                "rsa-sha2-256,rsa-sha2-256-cert-v01@openssh.com,rsa-sha2-512,rsa-sha2-512-cert-v01@openssh.com"
            )
        );
        assert!(Specification::read(Family::Keys, "!ssh-rsa").is_ok());
        assert!(assembled(Family::Keys, "!ssh-rsa").is_err());
        assert!(Specification::read(Family::Keys, "rsa").is_ok());
        assert!(assembled(Family::Keys, "rsa").is_err());
    }
}
