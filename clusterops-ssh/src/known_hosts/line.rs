//! One line of a known_hosts file, as OpenSSH's `hostkeys_foreach` and `sshkey_read` read it.

use hmac::{Hmac, KeyInit, Mac};
use russh::keys::Algorithm;
use russh::keys::ssh_encoding::base64::{Base64, Encoding};
use sha1::Sha1;

use super::pattern;

/// What a line's key is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Marker {
    /// It is the host's key.
    None,
    /// It signs host keys.
    CertAuthority,
    /// It is never to be accepted.
    Revoked,
}

/// A line that names hosts and a key.
pub(super) struct Line<'a> {
    pub(super) marker: Marker,
    pub(super) hosts: Hosts<'a>,
    /// The key in base64, of which only the type has been decoded.
    pub(super) key: &'a [u8],
}

/// Which hosts a line is about.
pub(super) enum Hosts<'a> {
    /// Names, separated by commas.
    Names(&'a [u8]),
    /// Patterns, separated by commas, some of them perhaps negated.
    Patterns(&'a [u8]),
    /// The HMAC-SHA1 of one name.
    Hashed(Box<HashedName>),
}

/// A name that can be recognised and not read: its HMAC-SHA1, keyed with a salt.
pub(super) struct HashedName {
    /// The salt has been taken in already, which is half of the work.
    keyed: Hmac<Sha1>,
    hash: [u8; 20],
}

/// Reads a line without its line feed. `None`: a comment, or nothing at all.
pub(super) fn parse(line: &[u8]) -> Result<Option<Line<'_>>, &'static str> {
    // OpenSSH holds a line as a C string.
    let line = line.split(|byte| *byte == 0).next().unwrap_or_default();
    let line = trim_start(line.strip_suffix(b"\r").unwrap_or(line));
    if line.is_empty() || line.starts_with(b"#") {
        return Ok(None);
    }
    let (marker, line) = parse_marker(line)?;
    let (hosts, line) = word(line);
    let (key_type, line) = word(line);
    if key_type.is_empty() || key_type.starts_with(b"#") {
        return Err("the line ends before the type of the key");
    }
    let (key, _comment) = word(line);
    if key.is_empty() {
        return Err("the line ends before the key");
    }
    check_type(key_type, key)?;
    let hosts = parse_hosts(hosts)?;
    Ok(Some(Line { marker, hosts, key }))
}

/// Where OpenSSH looks for a marker's end: at the first space of the line, and only if there is none at the first tab.
fn parse_marker(line: &[u8]) -> Result<(Marker, &[u8]), &'static str> {
    if !line.starts_with(b"@") {
        return Ok((Marker::None, line));
    }
    let find = |wanted| line.iter().position(|byte| *byte == wanted);
    let end = find(b' ').or_else(|| find(b'\t')).unwrap_or(line.len());
    let marker = match &line[..end] {
        b"@cert-authority" => Marker::CertAuthority,
        b"@revoked" => Marker::Revoked,
        other if other.contains(&b'\t') => return Err("a marker must end with a space, not a tab"),
        _ => return Err("an unknown marker; there are @cert-authority and @revoked"),
    };
    let rest = trim_start(&line[end..]);
    if rest.starts_with(b"@") {
        return Err("more than one marker");
    }
    Ok((marker, rest))
}

fn parse_hosts(hosts: &[u8]) -> Result<Hosts<'_>, &'static str> {
    if hosts.starts_with(b"|") {
        let hashed = hosts.strip_prefix(b"|1|").and_then(HashedName::parse);
        let hashed =
            hashed.ok_or("a hashed name must be |1|salt|hash, with 20 bytes of each in base64")?;
        return Ok(Hosts::Hashed(Box::new(hashed)));
    }
    let unsigned = |one: &[u8]| one.strip_prefix(b"!").unwrap_or(one).len();
    if hosts
        .split(|byte| *byte == b',')
        .any(|one| unsigned(one) > pattern::LONGEST)
    {
        return Err("a host name longer than 1022 bytes");
    }
    if pattern::is_pattern(hosts) {
        Ok(Hosts::Patterns(hosts))
    } else {
        Ok(Hosts::Names(hosts))
    }
}

impl HashedName {
    fn parse(text: &[u8]) -> Option<Self> {
        let delimiter = text.iter().position(|byte| *byte == b'|')?;
        let (salt, hash) = (&text[..delimiter], &text[delimiter + 1..]);
        let decode = |text: &[u8]| -> Option<[u8; 20]> {
            let mut bytes = [0; 20];
            let decoded = Base64::decode(text, &mut bytes).ok()?.len();
            (decoded == bytes.len()).then_some(bytes)
        };
        Some(Self {
            keyed: keyed(&decode(salt)?),
            hash: decode(hash)?,
        })
    }

    /// Whether this is the hash of `name`.
    pub(super) fn is_of(&self, name: &str) -> bool {
        #[cfg(test)]
        COMPARED.set(COMPARED.get() + 1);
        finish(self.keyed.clone(), name) == self.hash
    }
}

#[cfg(test)]
thread_local! {
    /// How often a hash was computed for a comparison.
    pub(super) static COMPARED: std::cell::Cell<usize> = const { std::cell::Cell::new(0) };
}

/// The form in which a line names `name` without showing it: `|1|salt|hash`.
pub(super) fn hashed(salt: &[u8; 20], name: &str) -> String {
    let hash = finish(keyed(salt), name);
    format!(
        "|1|{}|{}",
        Base64::encode_string(salt),
        Base64::encode_string(&hash)
    )
}

fn keyed(salt: &[u8; 20]) -> Hmac<Sha1> {
    Hmac::new_from_slice(salt).expect("HMAC takes a key of any length")
}

fn finish(hmac: Hmac<Sha1>, name: &str) -> [u8; 20] {
    hmac.chain_update(name).finalize().into_bytes().into()
}

/// Checks that the type is one of host keys, and that the key begins with the same type.
fn check_type(key_type: &[u8], key: &[u8]) -> Result<(), &'static str> {
    let name = str::from_utf8(key_type)
        .ok()
        .and_then(|name| Algorithm::new(name).ok());
    let expected = match &name {
        None | Some(Algorithm::Other(_)) => return Err("an unknown type of key"),
        // The names of RSA's signature algorithms stand for its keys, too.
        Some(Algorithm::Rsa { .. }) => "ssh-rsa",
        Some(algorithm) => algorithm.as_str(),
    };
    let length = 4 + expected.len();
    let mut start = [0; 64];
    let decoded = key
        .get(..length.div_ceil(3) * 4)
        .and_then(|text| Base64::decode(text, &mut start).ok());
    let (prefix, name) = decoded
        .and_then(|bytes| bytes.get(..length)?.split_at_checked(4))
        .ok_or("the key is not base64")?;
    if prefix != (expected.len() as u32).to_be_bytes() || name != expected.as_bytes() {
        return Err("the key is of another type than the line says");
    }
    Ok(())
}

/// The first word of a line, and the rest without the blanks before it.
fn word(line: &[u8]) -> (&[u8], &[u8]) {
    let end = line
        .iter()
        .position(|byte| is_blank(*byte))
        .unwrap_or(line.len());
    (&line[..end], trim_start(&line[end..]))
}

fn trim_start(line: &[u8]) -> &[u8] {
    let start = line
        .iter()
        .position(|byte| !is_blank(*byte))
        .unwrap_or(line.len());
    &line[start..]
}

fn is_blank(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t')
}
