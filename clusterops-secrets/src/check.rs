//! Looking for secrets that should be sealed and are not.

use std::collections::BTreeSet;
use std::fmt;
use std::path::{Path, PathBuf};

use crate::contents::Contents;
use crate::document::{Document, Format, Kind, Pointer, Scalar};
use crate::marker::Marker;
use crate::{DocumentId, ErrorKind, RecipientsFile, Result};

/// Words in names of values that are secrets by their name; upper and lower case count the same.
const SECRET_WORDS: [&str; 12] = [
    "PASSWORD",
    "PASSWD",
    "PASSPHRASE",
    "SECRET",
    "TOKEN",
    "APIKEY",
    "API_KEY",
    "ACCESS_KEY",
    "PRIVATE_KEY",
    "CREDENTIAL",
    "CREDENTIALS",
    "ENCRYPTION_KEY",
];

/// Endings of such names that say that the value is none: a file's path, a name, a number.
const HARMLESS_ENDINGS: [&str; 8] = [
    "_FILE", "_PATH", "_NAME", "_TTL", "_LENGTH", "_URL", "_TIMEOUT", "_ID",
];

/// Folders that nobody keeps definitions in.
const SKIPPED: [&str; 5] = [".git", ".hg", ".svn", "target", "node_modules"];

/// How to look.
///
/// ```
/// use clusterops_secrets::CheckOptions;
///
/// let options = CheckOptions::default().secret_word("LICENCE_CODE").skip("third_party");
/// # let _ = options;
/// ```
#[derive(Debug, Clone, Default)]
pub struct CheckOptions {
    words: Vec<String>,
    skipped: Vec<String>,
}

impl CheckOptions {
    /// Takes values for secrets whose names hold this word too, beside PASSWORD, PASSWD, PASSPHRASE, SECRET, TOKEN, APIKEY,
    /// API_KEY, ACCESS_KEY, PRIVATE_KEY, CREDENTIAL(S) and ENCRYPTION_KEY.
    #[must_use]
    pub fn secret_word(mut self, word: impl Into<String>) -> Self {
        self.words.push(word.into().to_uppercase());
        self
    }

    /// Leaves out files and folders of this name too, beside `.git`, `.hg`, `.svn`, `target` and `node_modules`.
    #[must_use]
    pub fn skip(mut self, name: impl Into<String>) -> Self {
        self.skipped.push(name.into());
        self
    }

    fn is_skipped(&self, name: &str) -> bool {
        SKIPPED.contains(&name) || self.skipped.iter().any(|skipped| skipped == name)
    }

    fn is_secret(&self, name: &str) -> bool {
        let name = name.to_uppercase().replace(['-', '.', ' '], "_");
        let has = |word: &str| {
            // A word of its own: `TOKENIZER` is none.
            name.match_indices(word).any(|(at, _)| {
                let is_edge = |c: Option<char>| c.is_none_or(|c| !c.is_alphabetic());
                let end = name[at + word.len()..].trim_start_matches('S');
                is_edge(name[..at].chars().next_back()) && is_edge(end.chars().next())
            })
        };
        !HARMLESS_ENDINGS.iter().any(|ending| name.ends_with(ending))
            && (SECRET_WORDS.iter().any(|word| has(word))
                || self.words.iter().any(|word| has(word)))
    }
}

/// Something that should not stand so in a file. `Display` gives it on one line: `file:line:column: path: what`.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Finding {
    /// The file.
    pub file: PathBuf,
    /// The line, from 1.
    pub line: usize,
    /// The column, from 1.
    pub column: usize,
    /// Where in the document, if it is about one value.
    pub path: Option<Pointer>,
    /// What it is.
    pub kind: FindingKind,
}

/// What was found.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum FindingKind {
    /// A value is marked to be sealed and is not.
    NotSealed,
    /// A value is a secret by its name, and stands there for all to read.
    Plaintext,
    /// A private key.
    PrivateKey,
    /// A document that cannot be read, a broken token or epoch, another id: why.
    Broken(String),
    /// A value is sealed for others than the rules say: who is missing and who is there beyond them.
    OtherRecipients(String),
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}: ", self.file.display(), self.line, self.column)?;
        if let Some(path) = &self.path {
            write!(f, "{path}: ")?;
        }
        match &self.kind {
            FindingKind::NotSealed => f.write_str("is marked to be sealed and is not"),
            FindingKind::Plaintext => {
                f.write_str("is a secret by its name and stands here in plain text")
            }
            FindingKind::PrivateKey => f.write_str("a private key stands here"),
            FindingKind::Broken(why) | FindingKind::OtherRecipients(why) => f.write_str(why),
        }
    }
}

/// Looks through a file or a tree of them, as before a commit: at documents by their names (`.json`, `.yaml`, `.yml`, `.env`),
/// and at every text file for private keys. Links are not followed. What is sealed is compared with the rules of the nearest
/// `recipients.yaml`. No key is needed.
///
/// A document counts when it has sealed or marked values or lies where a rule is for it: other JSON and YAML files can hold
/// anything.
///
/// # Errors
/// [`ErrorKind::Local`] when the tree cannot be read, and what is wrong with a `recipients.yaml`.
pub fn check(root: impl AsRef<Path>, options: &CheckOptions) -> Result<Vec<Finding>> {
    let mut findings = Vec::new();
    let mut work = vec![root.as_ref().to_owned()];
    while let Some(path) = work.pop() {
        let failed = |error: std::io::Error| {
            crate::Error::new(ErrorKind::Local, "this cannot be read")
                .in_file(&path)
                .caused_by(error)
        };
        let metadata = std::fs::symlink_metadata(&path).map_err(failed)?;
        if metadata.is_dir() {
            for entry in std::fs::read_dir(&path).map_err(failed)? {
                let entry = entry.map_err(failed)?;
                if !options.is_skipped(&entry.file_name().to_string_lossy()) {
                    work.push(entry.path());
                }
            }
        } else if metadata.is_file() {
            check_file(&path, options, &mut findings)?;
        }
    }
    findings.sort_by(|a, b| (&a.file, a.line, a.column).cmp(&(&b.file, b.line, b.column)));
    Ok(findings)
}

/// Files longer than this hold something else.
const LONGEST: u64 = 64 << 20;

fn check_file(path: &Path, options: &CheckOptions, findings: &mut Vec<Finding>) -> Result<()> {
    if std::fs::metadata(path).is_ok_and(|metadata| metadata.len() > LONGEST) {
        return Ok(());
    }
    let bytes = crate::file::bytes_of(path)?;
    let Ok(text) = std::str::from_utf8(&bytes) else {
        return Ok(());
    };
    let mut found = |line, column, path_inside: Option<Pointer>, kind| {
        findings.push(Finding {
            file: path.to_owned(),
            line,
            column,
            path: path_inside,
            kind,
        });
    };
    for (index, line) in text.lines().enumerate() {
        // Also inside of a JSON string, where the key is one long line.
        if let Some(at) = line.find("-----BEGIN ")
            && line[at..]
                .split("-----")
                .nth(1)
                .is_some_and(|label| label.ends_with("PRIVATE KEY"))
        {
            found(index + 1, at + 1, None, FindingKind::PrivateKey);
        }
    }
    let Some(format) = Format::of(path) else {
        return Ok(());
    };
    let rules = match RecipientsFile::find(path) {
        Ok(rules) if rules.path().file_name() == path.file_name() => None,
        Ok(rules) => rules
            .for_path(path)
            .ok()
            .map(|recipients| (rules, recipients)),
        Err(error) if error.kind() == ErrorKind::Local && error.file() == Some(path) => None,
        Err(error) => return Err(error),
    };
    let is_ours = text.contains("SEALED[") || text.contains("ENC[") || text.contains("x-sealed");
    if rules.is_none() && !is_ours {
        return Ok(());
    }
    let document = match Document::parse(text.as_bytes(), format) {
        Ok(document) => document,
        Err(error) => {
            let (line, column) = error.place().unwrap_or((1, 1));
            found(
                line,
                column,
                None,
                FindingKind::Broken(error.message().to_owned()),
            );
            return Ok(());
        }
    };
    let mut broken = false;
    for scalar in document.scalars() {
        let at = |kind| {
            (
                scalar.line,
                scalar.column,
                Some(document.path(scalar)),
                kind,
            )
        };
        let (line, column, path, kind) = match Marker::of(&document, scalar) {
            Err(error) => {
                broken = true;
                at(FindingKind::Broken(error.message().to_owned()))
            }
            Ok(Some(Marker::ToSeal { .. })) => at(FindingKind::NotSealed),
            Ok(None) if is_plaintext(&document, scalar, options) => at(FindingKind::Plaintext),
            Ok(_) => continue,
        };
        found(line, column, path, kind);
    }
    if broken {
        return Ok(());
    }
    let contents = match Contents::of(&document) {
        Ok(contents) => contents,
        Err(error) => {
            let (line, column) = error.place().unwrap_or((1, 1));
            let path = error.path().and_then(|path| path.parse().ok());
            found(
                line,
                column,
                path,
                FindingKind::Broken(error.message().to_owned()),
            );
            return Ok(());
        }
    };
    if let Some(header) = document.header()
        && let Err(error) = DocumentId::of(&document, None)
    {
        found(
            header.line,
            1,
            None,
            FindingKind::Broken(error.message().to_owned()),
        );
    }
    for value in contents.sealed() {
        let header = value.token.header();
        let is_here = header.path == value.path.as_str()
            && document
                .header()
                .is_none_or(|block| block.document == header.document);
        if !is_here {
            let why = format!(
                "was sealed for another place: `{}` of `{}`",
                header.path, header.document
            );
            let kind = FindingKind::Broken(why);
            found(
                value.scalar.line,
                value.scalar.column,
                Some(value.path.clone()),
                kind,
            );
        }
    }
    if let Some((rules, recipients)) = &rules {
        let wanted: BTreeSet<_> = recipients
            .iter()
            .map(|recipient| recipient.key.thumbprint())
            .collect();
        let line = document.header().map_or(1, |header| header.line);
        for epoch in contents.used_epochs() {
            let there: BTreeSet<_> = epoch.recipients().collect();
            let name = |key| {
                rules
                    .name_of(key)
                    .map_or_else(|| key.to_string(), str::to_owned)
            };
            let missing: Vec<String> = wanted.difference(&there).map(|key| name(key)).collect();
            let beyond: Vec<String> = there.difference(&wanted).map(|key| name(key)).collect();
            if !missing.is_empty() || !beyond.is_empty() {
                let list = |names: Vec<String>| match names.is_empty() {
                    true => "nobody".to_owned(),
                    false => names.join(", "),
                };
                let why = format!(
                    "the epoch {} is not sealed for whom the rules say: missing {}, beyond them {}",
                    epoch.id(),
                    list(missing),
                    list(beyond)
                );
                found(line, 1, None, FindingKind::OtherRecipients(why));
            }
        }
    }
    Ok(())
}

/// Whether a value is a secret by its name; references to other variables and empty values are none.
fn is_plaintext(document: &Document, scalar: &Scalar, options: &CheckOptions) -> bool {
    let text = document.text(scalar);
    let path = document.path(scalar);
    let name = path.tokens().next_back().unwrap_or_default();
    let is_reference = text.starts_with("${") || text.starts_with("{{") || text.starts_with("$(");
    matches!(scalar.kind, Kind::String | Kind::Number)
        && !text.is_empty()
        && !is_reference
        && options.is_secret(&name)
}
