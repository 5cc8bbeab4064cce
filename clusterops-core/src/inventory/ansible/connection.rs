//! How Ansible's connection variables map to the fields of a target.

use std::path::PathBuf;

use secrecy::SecretString;

use super::values::Fact;
use super::words;
use crate::destination::check_user;
use crate::inventory::names::letters;
use crate::inventory::{Unread, values};
use crate::nearest::distance;
use crate::text::shortened;
use crate::{Error, ErrorKind, Place, Result, Target};

/// The variables that become fields. Of two for one field the later counts, as for the options of Ansible's `ssh`
/// connection plugin.
const FIELDS: [(&str, Field); 8] = [
    ("ansible_host", Field::Address),
    ("ansible_ssh_host", Field::Address),
    ("ansible_port", Field::Port),
    ("ansible_ssh_port", Field::Port),
    ("ansible_user", Field::User),
    ("ansible_ssh_user", Field::User),
    ("ansible_private_key_file", Field::IdentityFile),
    ("ansible_ssh_private_key_file", Field::IdentityFile),
];

/// Options of `ssh` that stay variables, but may name a jump host; `ssh` takes the first that it is given.
const ARGUMENTS: [&str; 3] = [
    "ansible_ssh_args",
    "ansible_ssh_common_args",
    "ansible_ssh_extra_args",
];

/// Other parameters that Ansible documents or used to have (its user guide, "Connecting to hosts" and "Become"), so that
/// slips for them are told from variables.
const OTHERS: [&str; 40] = [
    "ansible_become",
    "ansible_become_exe",
    "ansible_become_flags",
    "ansible_become_method",
    "ansible_become_pass",
    "ansible_become_password",
    "ansible_become_user",
    "ansible_connection",
    "ansible_control_path",
    "ansible_group_priority",
    "ansible_host_key_checking",
    "ansible_network_os",
    "ansible_password",
    "ansible_pipelining",
    "ansible_python_interpreter",
    "ansible_remote_tmp",
    "ansible_scp_executable",
    "ansible_scp_extra_args",
    "ansible_sftp_executable",
    "ansible_sftp_extra_args",
    "ansible_shell_executable",
    "ansible_shell_type",
    "ansible_ssh_executable",
    "ansible_ssh_host_key_checking",
    "ansible_ssh_pass",
    "ansible_ssh_password",
    "ansible_ssh_pipelining",
    "ansible_ssh_private_key",
    "ansible_ssh_private_key_passphrase",
    "ansible_ssh_retries",
    "ansible_ssh_timeout",
    "ansible_ssh_transfer_method",
    "ansible_ssh_use_tty",
    "ansible_su",
    "ansible_su_pass",
    "ansible_su_user",
    "ansible_sudo",
    "ansible_sudo_pass",
    "ansible_sudo_user",
    "ansible_timeout",
];

/// What people call parameters that Ansible calls otherwise, in small letters without `ansible` and separators, and what
/// it would read.
const OTHER_WORDS: [(&str, &str); 37] = [
    ("addr", "ansible_host"),
    ("address", "ansible_host"),
    ("ip", "ansible_host"),
    ("ipaddr", "ansible_host"),
    ("ipaddress", "ansible_host"),
    ("sshaddress", "ansible_host"),
    ("sship", "ansible_host"),
    ("login", "ansible_user"),
    ("loginuser", "ansible_user"),
    ("sshlogin", "ansible_user"),
    ("sshusername", "ansible_user"),
    ("username", "ansible_user"),
    ("identityfile", "ansible_private_key_file"),
    ("keyfile", "ansible_private_key_file"),
    ("keypath", "ansible_private_key_file"),
    ("privatekeypath", "ansible_private_key_file"),
    ("sshidentityfile", "ansible_private_key_file"),
    ("sshkey", "ansible_private_key_file"),
    ("sshkeyfile", "ansible_private_key_file"),
    ("sshkeypath", "ansible_private_key_file"),
    ("sshprivatekeypath", "ansible_private_key_file"),
    ("pass", "ansible_password"),
    ("pwd", "ansible_password"),
    ("sshpwd", "ansible_password"),
    ("bastion", JUMP),
    ("bastionhost", JUMP),
    ("jump", JUMP),
    ("jumphost", JUMP),
    ("jumphosts", JUMP),
    ("proxyhost", JUMP),
    ("proxyjump", JUMP),
    ("sshbastion", JUMP),
    ("sshbastionhost", JUMP),
    ("sshjump", JUMP),
    ("sshjumphost", JUMP),
    ("sshproxyhost", JUMP),
    ("sshproxyjump", JUMP),
];

const JUMP: &str = "ansible_ssh_common_args='-J HOST'";

/// Why a variable is not read that is probably meant as a parameter of Ansible; the end of a sentence.
pub(super) fn slip(name: &str) -> Option<String> {
    if let Some(parameter) = misspelt(name) {
        return Some(format!("it is probably `{parameter}` misspelt"));
    }
    let plain = letters(name);
    let word = plain.strip_prefix("ansible")?;
    let (_, meant) = OTHER_WORDS.iter().find(|(other, _)| *other == word)?;
    Some(format!("it is probably meant as `{meant}`"))
}

/// The parameter of Ansible that `name` is probably a slip for: one edit, or two of a long name.
fn misspelt(name: &str) -> Option<&'static str> {
    // The shortest parameter has ten letters; what begins otherwise is more than a slip.
    if name.len() < 9 || !name.starts_with(['a', 'A']) {
        return None;
    }
    let fields = FIELDS.iter().map(|(field, _)| *field);
    let known = || fields.clone().chain(ARGUMENTS).chain(OTHERS);
    if known().any(|known| known == name) {
        return None;
    }
    known()
        .filter_map(|known| {
            let limit = if known.len() > "ansible_".len() + 5 {
                2
            } else {
                1
            };
            Some((distance(name, known, limit)?, known))
        })
        .min_by_key(|(edits, _)| *edits)
        .map(|(_, known)| known)
}

#[derive(Debug, Clone, Copy)]
enum Field {
    Address,
    Port,
    User,
    IdentityFile,
}

/// What becomes of a variable.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fate {
    Variable,
    Secret,
    Field,
}

pub(super) fn fate(name: &str) -> Fate {
    if FIELDS.iter().any(|(field, _)| *field == name) {
        return Fate::Field;
    }
    let secret = [
        "_pass",
        "_password",
        "_passphrase",
        "_private_key",
        "_secret",
        "_token",
    ];
    if name.starts_with("ansible_") && secret.iter().any(|end| name.ends_with(end)) {
        return Fate::Secret;
    }
    Fate::Variable
}

/// Whether this says how to connect, so that a list or a mapping makes no sense.
pub(super) fn is_single(name: &str) -> bool {
    ARGUMENTS.contains(&name) || fate(name) == Fate::Field
}

/// Sets the fields of a target from its variables.
pub(super) fn connect<'f>(
    target: &mut Target,
    find: impl Fn(&str) -> Option<&'f Fact>,
    unread: &mut Vec<Unread>,
) -> Result<()> {
    for (name, field) in FIELDS {
        let Some(fact) = find(name) else {
            continue;
        };
        let Some(text) = fact.value.as_deref().filter(|text| !text.is_empty()) else {
            continue;
        };
        let wrong = |what: &str| {
            let text = shortened(text);
            let message = format!("`{name}` of `{}`: `{text}` is not {what}", target.name);
            Err(Error::new(ErrorKind::Inventory, message).at(place(fact)))
        };
        match field {
            Field::Address => match values::address(text) {
                Some(address) => target.address = address.to_owned(),
                None => return wrong("a host name or an IP address"),
            },
            Field::Port => match text.parse() {
                Ok(port) if port > 0 => target.port = Some(port),
                _ => return wrong("a port (1 to 65535)"),
            },
            Field::User => match check_user(text) {
                Ok(()) => target.user = Some(text.to_owned()),
                Err(flaw) => return wrong(&format!("a login name: {}", flaw.message)),
            },
            Field::IdentityFile => target.identity_file = Some(PathBuf::from(text)),
        }
    }
    for name in ARGUMENTS {
        let Some((fact, text)) = find(name).and_then(|fact| Some((fact, fact.value.as_deref()?)))
        else {
            continue;
        };
        let arguments = jump(text);
        if let (None, Some(jump)) = (&target.jump, arguments.jump) {
            let jump = jump.parse().map_err(|error: Error| {
                let message = format!("`{name}` of `{}`: {}", target.name, error.message());
                Error::new(ErrorKind::Inventory, message).at(place(fact))
            })?;
            target.jump = Some(jump);
        }
        if let Some(other) = arguments.other {
            unread.push(Unread {
                file: fact.file.to_string(),
                line: Some(fact.line),
                key: Some(name.to_owned()),
                reason: format!(
                    "of its options only ProxyJump is obeyed, not `{}`",
                    shortened(&other)
                ),
            });
        }
    }
    Ok(())
}

/// A password as a secret.
pub(super) fn secret(fact: &Fact) -> Option<SecretString> {
    fact.value.as_deref().map(SecretString::from)
}

pub(super) fn place(fact: &Fact) -> Place {
    Place {
        file: Some(fact.file.to_string()),
        line: Some(fact.line),
        column: None,
    }
}

#[derive(Debug, Default, PartialEq, Eq)]
struct Arguments {
    jump: Option<String>,
    /// The first option that is something else.
    other: Option<String>,
}

/// Finds `-J x`, `-o ProxyJump=x` and their like in options of `ssh`.
fn jump(text: &str) -> Arguments {
    let mut found = Arguments::default();
    let Ok(words) = words::split(text) else {
        found.other = Some(text.to_owned());
        return found;
    };
    let mut words = words.into_iter();
    while let Some(word) = words.next() {
        let mut value_of = |flag: &str| {
            let rest = word.strip_prefix(flag)?;
            match rest {
                "" => words.next(),
                rest => Some(rest.to_owned()),
            }
        };
        let jump = match value_of("-J") {
            Some(jump) => Some(jump),
            None => match value_of("-o") {
                None => None,
                Some(option) => {
                    let (name, value) = option
                        .split_once(['=', ' '])
                        .map_or((option.as_str(), ""), |(name, value)| (name.trim(), value));
                    let value = value.trim_start_matches(['=', ' ']).trim_end();
                    if !name.eq_ignore_ascii_case("ProxyJump") {
                        found.other.get_or_insert(format!("-o {option}"));
                        continue;
                    }
                    Some(value.to_owned())
                }
            },
        };
        match jump {
            Some(jump) => {
                found.jump.get_or_insert(jump);
            }
            None => {
                found.other.get_or_insert(word);
            }
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_jump_hosts() {
        for (text, expected, other) in [
            ("-J bastion", Some("bastion"), None),
            ("-Jbastion", Some("bastion"), None),
            ("-o ProxyJump=ops@gate:2222", Some("ops@gate:2222"), None),
            ("-oproxyjump=a,b", Some("a,b"), None),
            ("-o 'ProxyJump a'", Some("a"), None),
            ("-o \"ProxyJump = a\"", Some("a"), None),
            ("-J a -J b", Some("a"), None),
            ("-C -o ProxyJump=a", Some("a"), Some("-C")),
            (
                "-o StrictHostKeyChecking=no",
                None,
                Some("-o StrictHostKeyChecking=no"),
            ),
            ("", None, None),
        ] {
            let expected = Arguments {
                jump: expected.map(str::to_owned),
                other: other.map(str::to_owned),
            };
            assert_eq!(jump(text), expected, "{text}");
        }
    }

    #[test]
    fn slips_for_parameters_are_told_from_variables() {
        for (name, parameter) in [
            ("ansible_hots", "ansible_host"),
            ("ansible_hosts", "ansible_host"),
            ("ansbile_host", "ansible_host"),
            ("ansible-host", "ansible_host"),
            ("Ansible_Host", "ansible_host"),
            ("ansible_usr", "ansible_user"),
            ("ansible_prot", "ansible_port"),
            ("ansible_passwrd", "ansible_password"),
            ("ansible_shh_user", "ansible_ssh_user"),
            ("ansible_private_keyfile", "ansible_private_key_file"),
        ] {
            assert_eq!(misspelt(name), Some(parameter), "{name}");
        }
        for name in [
            "ansible_host",
            "ansible_hostname",
            "ansible_ssh_port",
            "ansible_su_user",
            "ansible_os_family",
            "ansible_become_user",
            "ansible_facts",
            "ansible_paramiko_host",
            "ansible_winrm_port",
            "ansible_ruby_interpreter",
            "answer",
            "anything_else",
        ] {
            assert_eq!(misspelt(name), None, "{name}");
        }
    }

    #[test]
    fn other_words_for_parameters_are_known() {
        for (name, meant) in [
            ("ansible_username", "ansible_user"),
            ("ansible_user_name", "ansible_user"),
            ("ansible_ssh_username", "ansible_user"),
            ("ansible_login", "ansible_user"),
            ("ansible_ssh_key", "ansible_private_key_file"),
            ("ansible_sshkey", "ansible_private_key_file"),
            ("ansible_ssh_keyfile", "ansible_private_key_file"),
            ("ansible_key_file", "ansible_private_key_file"),
            ("ansible_ssh_private_key_path", "ansible_private_key_file"),
            ("ansible_ip", "ansible_host"),
            ("Ansible_Address", "ansible_host"),
            ("ansible_pass", "ansible_password"),
            ("ansible_proxy_jump", "ansible_ssh_common_args='-J HOST'"),
            ("ansible_jump_host", "ansible_ssh_common_args='-J HOST'"),
            ("ansible_bastion", "ansible_ssh_common_args='-J HOST'"),
        ] {
            let expected = format!("it is probably meant as `{meant}`");
            assert_eq!(slip(name), Some(expected), "{name}");
        }
        for name in [
            "username",
            "ansible_ssh_pass",
            "ansible_user_id",
            "ansible_env",
        ] {
            assert_eq!(slip(name), None, "{name}");
        }
    }

    #[test]
    fn passwords_are_secrets() {
        for name in [
            "ansible_password",
            "ansible_ssh_pass",
            "ansible_ssh_password",
            "ansible_become_password",
            "ansible_become_pass",
            "ansible_sudo_pass",
            "ansible_ssh_private_key_passphrase",
            "ansible_ssh_private_key",
        ] {
            assert_eq!(fate(name), Fate::Secret, "{name}");
        }
        assert_eq!(fate("ansible_ssh_private_key_file"), Fate::Field);
        assert_eq!(fate("ansible_become_user"), Fate::Variable);
        assert_eq!(fate("db_password"), Fate::Variable);
    }
}
