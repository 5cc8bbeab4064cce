//! Generated files and names, compared with what ssh-keygen(1) finds: `ssh-keygen -l -F NAME -f FILE`.

use std::fs;
use std::io;
use std::path::Path;
use std::process::Command;

use fastrand::Rng;
use russh::keys::ssh_encoding::base64::{Base64, Encoding};
use russh::keys::ssh_key::public::{Ed25519PublicKey, KeyData};

use super::line::{self, Marker};
use super::table::Table;
use super::{PublicKey, append, unqualified};
use crate::oracle::{Oracle, skip_or_fail};

const NAMES_PER_FILE: usize = 10;

const NAMES: [&str; 12] = [
    "web1",
    "web2",
    "db1",
    "web1.example.com",
    "a.b",
    "10.0.1.1",
    "2001:db8::1",
    "[web1]:2222",
    "[10.0.1.1]:2222",
    "[2001:db8::1]:22022",
    "!web1",
    "x",
];
const PATTERNS: [&str; 12] = [
    "*",
    "?",
    "web*",
    "web?",
    "*.example.com",
    "*.b",
    "10.0.?.*",
    "[*]:2222",
    "[web?]:*",
    "w**1",
    "*1*",
    "2001:*",
];

#[test]
fn ssh_keygen_finds_the_same_lines() {
    if let Err(error) = Command::new("ssh-keygen").arg("-?").output() {
        assert!(error.kind() == io::ErrorKind::NotFound, "{error}");
        let reason = "ssh-keygen is missing; install openssh-client";
        return skip_or_fail("known_hosts::oracle", reason);
    }
    let oracle = Oracle::new("known_hosts", 500, 5000);
    let mut random = Rng::with_seed(oracle.seed);
    let folder = tempfile::tempdir().expect("a folder for files");
    let path = folder.path().join("known_hosts");
    let mut found = 0;
    let mut differences = Vec::new();
    for round in 0..oracle.cases.div_ceil(NAMES_PER_FILE) {
        // ssh-keygen hashes only files without malformed lines.
        let hashed_by_openssh = round % 4 == 0;
        fs::write(&path, file(&mut random, !hashed_by_openssh)).expect("a temporary file");
        if hashed_by_openssh {
            let output = Command::new("ssh-keygen")
                .arg("-H")
                .arg("-f")
                .arg(&path)
                .output()
                .expect("it ran before");
            assert!(output.status.success(), "{output:?}");
        }
        let table = Table::load(&path).expect("it was written");
        for _ in 0..NAMES_PER_FILE.min(oracle.cases - round * NAMES_PER_FILE) {
            let name = pick(&mut random, &NAMES);
            let ours = our_lines(&table, &odd_case(&mut random, name));
            let theirs = ssh_keygen_lines(&path, name);
            if ours != theirs {
                let text = fs::read(&path).expect("it was written");
                let text = text.escape_ascii().to_string().replace("\\n", "\n");
                differences.push(format!("{name}: {ours:?}, not {theirs:?}, in\n{text}"));
            }
            found += ours.len();
        }
    }
    let what = format!("names compared with ssh-keygen -F ({found} lines found)");
    oracle.conclude(oracle.cases, &what, &differences);
    assert!(
        oracle.cases < 300 || found > oracle.cases / 2,
        "the files hold hardly a name: {found}"
    );
}

fn our_lines(table: &Table, name: &str) -> Vec<String> {
    let lines = table
        .find(&unqualified(name))
        .into_iter()
        .map(|index| table.line(index));
    let entry = |line| table.entry(line).map(|entry| (entry, line.marker));
    let describe = |(entry, marker): (super::Entry, Marker)| {
        let marker = match marker {
            Marker::None => "",
            Marker::CertAuthority => "CA",
            Marker::Revoked => "REVOKED",
        };
        format!("line {} {marker} {}", entry.line, entry.key.fingerprint())
    };
    lines.filter_map(entry).map(describe).collect()
}

/// From `# Host web1 found: line 3 REVOKED` and a line with the fingerprint for each.
fn ssh_keygen_lines(path: &Path, name: &str) -> Vec<String> {
    let mut command = Command::new("ssh-keygen");
    let output = command
        .args(["-l", "-F", name, "-f"])
        .arg(path)
        .output()
        .expect("it ran before");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let mut lines = text.lines();
    let mut found = Vec::new();
    while let Some(line) = lines.next() {
        let place = line
            .split_once(" found: ")
            .unwrap_or_else(|| panic!("{output:?}"))
            .1;
        let fingerprint = lines
            .next()
            .and_then(|line| line.split(' ').find(|word| word.starts_with("SHA256:")));
        found.push(format!(
            "{place} {}",
            fingerprint.unwrap_or_else(|| panic!("{output:?}"))
        ));
    }
    assert_eq!(output.status.success(), !found.is_empty(), "{output:?}");
    found
}

fn file(random: &mut Rng, odd: bool) -> String {
    let blanks: &[&str] = if odd {
        &[" ", "\t", "  ", " \t "]
    } else {
        &[" "]
    };
    let mut text = String::new();
    for _ in 0..random.usize(1..25) {
        if odd && one_in(random, 6) {
            text += &odd_line(random);
        } else {
            let indent = if odd {
                pick(random, &["", "", "", " ", "\t "])
            } else {
                ""
            };
            let marker = pick(
                random,
                &["", "", "", "@revoked ", "@cert-authority ", "@revoked  \t"],
            );
            let (before, between) = (pick(random, blanks), pick(random, blanks));
            let (hosts, key) = (hosts(random), key_text(random).replace(' ', between));
            let comment = pick(
                random,
                &["", " me@laptop", "\tcaf\u{e9} # x", " ", "", "\r"],
            );
            text += &format!("{indent}{marker}{hosts}{before}{key}{comment}");
        }
        text.push('\n');
    }
    if random.bool() {
        // A last line without a line feed; it is never a malformed one, with which ssh-keygen 9.2 reads past its end.
        text += &format!("{} {}", hosts(random), key_text(random));
    }
    text
}

/// A line that is malformed, or looks as if it were.
fn odd_line(random: &mut Rng) -> String {
    let (hosts, key) = (hosts(random), key_text(random));
    let (key_type, blob) = key.split_once(' ').expect("a type and a blob");
    let cut = random.usize(..blob.len());
    let hashed = hashed(random);
    match random.u8(..20) {
        0 => String::new(),
        1 => format!("# {hosts} {key}"),
        2 => format!("  # {hosts} {key}"),
        3 => hosts,
        4 => format!("{hosts} {key_type}"),
        5 => format!("{hosts} {key_type} "),
        6 => format!("{hosts} {key_type} # {blob}"),
        7 => format!("{hosts} # {key}"),
        8 => format!("{hosts} {key_type} {}", &blob[..cut]),
        9 => format!("{hosts} ssh-rsa {blob}"),
        10 => format!("{hosts} rsa-sha2-512 {blob}"),
        11 => format!("{hosts} ssh-future {blob}"),
        12 => format!("@revoked\t{hosts} {key}"),
        13 => format!("@revoked\t{hosts}\t{key_type}\t{blob}"),
        14 => format!("@revoked @revoked {hosts} {key}"),
        15 => format!("@{hosts} {key}"),
        16 => format!("{hashed},{hosts} {key}"),
        17 => format!("{},{hashed} {key}", pick(random, &NAMES)),
        18 => format!("{} {key}", &hashed[..random.usize(1..hashed.len())]),
        _ => format!("{}{} {key}", "y".repeat(random.usize(1015..1030)), ",web1"),
    }
}

fn hosts(random: &mut Rng) -> String {
    if one_in(random, 4) {
        return hashed(random);
    }
    let mut list = Vec::new();
    for _ in 0..random.usize(1..4) {
        let name = if one_in(random, 4) {
            pick(random, &PATTERNS)
        } else {
            pick(random, &NAMES)
        };
        let negation = if one_in(random, 8) { "!" } else { "" };
        list.push(format!("{negation}{}", odd_case(random, name)));
    }
    list.join(if one_in(random, 20) { ",," } else { "," })
}

/// A hashed name, at times with a wrong number of bytes.
fn hashed(random: &mut Rng) -> String {
    let mut salt = [0; 23];
    random.fill(&mut salt);
    if one_in(random, 20) {
        let odd = Base64::encode_string(&salt[..random.usize(18..23)]);
        return format!("|1|{odd}|{odd}");
    }
    let salt = *salt.first_chunk().expect("it is longer");
    line::hashed(&salt, pick(random, &NAMES))
}

/// A type and a key in base64.
fn key_text(random: &mut Rng) -> String {
    let fixed = [
        include_str!("test_keys/rsa.pub"),
        include_str!("test_keys/ecdsa-256.pub"),
        include_str!("test_keys/ecdsa-521.pub"),
    ];
    if let Some(text) = fixed.get(random.usize(..9)) {
        return text.trim_end().to_owned();
    }
    let mut bytes = [0; 32];
    random.fill(&mut bytes);
    let key = PublicKey::from_key_data(&KeyData::Ed25519(Ed25519PublicKey(bytes)));
    let key = key.expect("no certificate");
    let line = append::line("x", &key, false).expect("a name and a key");
    line["x ".len()..].trim_end().to_owned()
}

fn odd_case(random: &mut Rng, name: &str) -> String {
    let letter = |letter: char| {
        if one_in(random, 12) {
            letter.to_ascii_uppercase()
        } else {
            letter
        }
    };
    name.chars().map(letter).collect()
}

fn pick<'a>(random: &mut Rng, from: &[&'a str]) -> &'a str {
    from[random.usize(..from.len())]
}

fn one_in(random: &mut Rng, count: usize) -> bool {
    random.usize(..count) == 0
}
