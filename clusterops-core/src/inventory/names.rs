//! The names of a host's fields, and what is likely meant by names close to them.

use crate::nearest::distance;

/// The fields of a host that have a type; every other name is a variable.
pub(super) const FIELDS: [&str; 8] = [
    "address",
    "port",
    "user",
    "identity_file",
    "known_hosts",
    "jump",
    "tags",
    "groups",
];

/// What other programs and people call these fields, in small letters without separators.
///
/// Only words that hardly mean anything else in the entry of a host: `key`, `name` and `fqdn` are honest variables.
const OTHER_WORDS: [(&str, &str); 35] = [
    ("addr", "address"),
    ("ansiblehost", "address"),
    ("host", "address"),
    ("hostaddress", "address"),
    ("hostname", "address"),
    ("ip", "address"),
    ("ipaddr", "address"),
    ("ipaddress", "address"),
    ("ipv4", "address"),
    ("ipv6", "address"),
    ("sshhost", "address"),
    ("ansibleport", "port"),
    ("sshport", "port"),
    ("tcpport", "port"),
    ("ansibleuser", "user"),
    ("login", "user"),
    ("loginname", "user"),
    ("remoteuser", "user"),
    ("sshuser", "user"),
    ("username", "user"),
    ("ansiblesshprivatekeyfile", "identity_file"),
    ("identity", "identity_file"),
    ("keyfile", "identity_file"),
    ("keypath", "identity_file"),
    ("privatekey", "identity_file"),
    ("privatekeyfile", "identity_file"),
    ("sshkey", "identity_file"),
    ("sshkeyfile", "identity_file"),
    ("sshprivatekey", "identity_file"),
    ("knownhostsfile", "known_hosts"),
    ("userknownhostsfile", "known_hosts"),
    ("bastion", "jump"),
    ("jumphost", "jump"),
    ("jumphosts", "jump"),
    ("proxyjump", "jump"),
];

/// The field that `name` is another word for.
pub(super) fn other_word(name: &str) -> Option<&'static str> {
    let plain = letters(name);
    let found = OTHER_WORDS.iter().find(|(word, _)| *word == plain);
    found.map(|(_, field)| *field)
}

/// Whether plans could use this as `{{name}}`.
pub(super) fn is_variable_name(name: &str) -> bool {
    let starts = |c: char| c.is_ascii_alphabetic() || c == '_';
    name.starts_with(starts) && name.chars().all(|c| starts(c) || c.is_ascii_digit())
}

/// The field that `name` is probably a slip for.
///
/// A variable may be called what it likes, so only close calls count: the same letters in another case or with other
/// separators (`Port`, `identity-file`), one edit (not a new letter in a short word: `part`, `test`; not a plural:
/// `ports`), or two edits of a long word (`adres`).
pub(super) fn misspelt(name: &str) -> Option<&'static str> {
    let plain = letters(name);
    FIELDS.into_iter().find(|field| {
        let known = letters(field);
        if plain == known {
            return true;
        }
        if ["s", "es"]
            .iter()
            .any(|plural| plain.strip_suffix(plural) == Some(known.as_str()))
        {
            return false;
        }
        let limit = if known.len() >= 7 { 2 } else { 1 };
        let substituted = plain.chars().count() == known.len() && {
            let (mut a, mut b): (Vec<_>, Vec<_>) =
                (plain.chars().collect(), known.chars().collect());
            a.sort_unstable();
            b.sort_unstable();
            a != b
        };
        distance(&plain, &known, limit).is_some() && (known.len() > 5 || !substituted)
    })
}

/// A name in small letters without separators.
pub(super) fn letters(name: &str) -> String {
    name.to_lowercase().replace(['_', '-', ' '], "")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_close_calls_are_misspellings() {
        for (name, field) in [
            ("adress", "address"),
            ("addres", "address"),
            ("prot", "port"),
            ("usr", "user"),
            ("Port", "port"),
            ("identity-file", "identity_file"),
            ("identityfile", "identity_file"),
            ("known_host", "known_hosts"),
            ("tag", "tags"),
            ("group", "groups"),
            ("jmp", "jump"),
        ] {
            assert_eq!(misspelt(name), Some(field), "{name}");
        }
        for name in [
            "role",
            "zone",
            "version",
            "part",
            "post",
            "sort",
            "ports",
            "users",
            "used",
            "host",
            "hostname",
            "dump",
            "bags",
            "rack",
            "id",
            "addresses",
        ] {
            assert_eq!(misspelt(name), None, "{name}");
        }
    }
}
