//! Looking for secrets that should be sealed and are not.

mod names;

use std::collections::{BTreeSet, HashMap};
use std::fmt;
use std::path::{Path, PathBuf};

use names::Sign;

use crate::contents::Contents;
use crate::document::{Document, Format, Pointer};
use crate::epoch::{Wrapped, shown};
use crate::marker::Marker;
use crate::{DocumentId, Error, ErrorKind, Recipients, RecipientsFile, Result, Thumbprint};

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
    /// Takes values for secrets whose names hold this word too, beside PASSWORD, PASSWD, PASSPHRASE, PASS, PWD, SECRET, TOKEN,
    /// APIKEY, API_KEY, ACCESS_KEY, PRIVATE_KEY, SECRET_KEY, CREDENTIAL and ENCRYPTION_KEY, their plurals, and other ways to write
    /// them (`apiKey`, `api-key`). Names that end with FILE, PATH, NAME, TTL, LENGTH, URL, TIMEOUT or ID are none.
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
    /// A URL with a password in it.
    PasswordInUrl,
    /// A private key.
    PrivateKey,
    /// A document that cannot be read, a broken token or epoch, another id: why.
    Broken(String),
    /// A value is sealed for others than the rules say: who is missing and who is there beyond them.
    OtherRecipients(String),
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Names of files and members are what somebody else chose.
        let printable = |text: &str| text.replace(char::is_control, "?");
        let file = printable(&self.file.to_string_lossy());
        write!(f, "{file}:{}:{}: ", self.line, self.column)?;
        if let Some(path) = &self.path {
            write!(f, "{}: ", printable(path.as_str()))?;
        }
        match &self.kind {
            FindingKind::NotSealed => f.write_str("is marked to be sealed and is not"),
            FindingKind::Plaintext => {
                f.write_str("is a secret by its name and stands here in plain text")
            }
            FindingKind::PasswordInUrl => f.write_str("a password stands in this URL"),
            FindingKind::PrivateKey => f.write_str("a private key stands here"),
            FindingKind::Broken(why) | FindingKind::OtherRecipients(why) => {
                f.write_str(&printable(why))
            }
        }
    }
}

/// Looks through a file or a tree of them, as before a commit: at documents by their names (`.json`, `.yaml`, `.yml`, `.env`),
/// and at every file for private keys. Links inside the tree are not followed, and files of more than 64 MiB are left out. What is
/// sealed is compared with the rules of the nearest `recipients.yaml`. No key is needed.
///
/// A document counts when it has sealed or marked values or lies where a rule is for it: other JSON and YAML files can hold
/// anything.
///
/// ```
/// use clusterops_secrets::{CheckOptions, FindingKind, check};
///
/// let folder = tempfile::tempdir()?;
/// std::fs::write(folder.path().join("app.json"), r#"{"env": {"DB": "ENC[db:hunter2]", "dbPassword": "x"}}"#)?;
/// let findings = check(folder.path(), &CheckOptions::default())?;
/// assert_eq!(findings[0].kind, FindingKind::NotSealed);
/// assert!(findings[1].to_string().contains("/env/dbPassword: is a secret by its name"));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
/// [`ErrorKind::Local`] when the tree cannot be read, and what is wrong with a `recipients.yaml`.
pub fn check(root: impl AsRef<Path>, options: &CheckOptions) -> Result<Vec<Finding>> {
    let mut search = Search {
        options,
        rules: HashMap::new(),
        findings: Vec::new(),
    };
    let root = root.as_ref();
    let failed = |path: &Path, error: std::io::Error| {
        let message = "this cannot be read";
        Error::new(ErrorKind::Local, message)
            .in_file(path)
            .caused_by(error)
    };
    let mut work = vec![root.to_owned()];
    while let Some(path) = work.pop() {
        // What was asked for counts, also behind a link.
        let metadata = match path == root {
            true => std::fs::metadata(&path),
            false => std::fs::symlink_metadata(&path),
        };
        let metadata = metadata.map_err(|error| failed(&path, error))?;
        if metadata.is_dir() {
            for entry in std::fs::read_dir(&path).map_err(|error| failed(&path, error))? {
                let entry = entry.map_err(|error| failed(&path, error))?;
                if !options.is_skipped(&entry.file_name().to_string_lossy()) {
                    work.push(entry.path());
                }
            }
        } else if metadata.is_file() && metadata.len() <= LONGEST {
            search.file(&path)?;
        }
    }
    let mut findings = search.findings;
    findings.sort_by(|a, b| (&a.file, a.line, a.column).cmp(&(&b.file, b.line, b.column)));
    Ok(findings)
}

/// Files longer than this hold something else.
const LONGEST: u64 = 64 << 20;

/// A search under way.
struct Search<'o> {
    options: &'o CheckOptions,
    /// The files of recipients that have been read.
    rules: HashMap<PathBuf, RecipientsFile>,
    findings: Vec<Finding>,
}

impl Search<'_> {
    fn file(&mut self, path: &Path) -> Result<()> {
        let bytes = crate::file::bytes_of(path)?;
        let mut findings = Findings {
            file: path,
            list: &mut self.findings,
        };
        findings.private_keys(&bytes);
        let (Some(format), Ok(text)) = (Format::of(path), std::str::from_utf8(&bytes)) else {
            return Ok(());
        };
        let rules = rules_for(&mut self.rules, path)?;
        let is_ours = ["SEALED[", "ENC[", "x-sealed"]
            .iter()
            .any(|word| text.contains(word));
        if rules.is_none() && !is_ours {
            return Ok(());
        }
        let document = match Document::parse(&bytes, format) {
            Ok(document) => document,
            Err(error) => {
                findings.broken(&error);
                return Ok(());
            }
        };
        if !findings.values(&document, self.options) {
            return Ok(());
        }
        match Contents::of(&document) {
            Ok(contents) => findings.sealed(&contents, rules.as_ref()),
            Err(error) => findings.broken(&error),
        }
        Ok(())
    }
}

/// The file of recipients that is for this file, and whom it names.
fn rules_for<'r>(
    known: &'r mut HashMap<PathBuf, RecipientsFile>,
    path: &Path,
) -> Result<Option<(&'r RecipientsFile, Recipients)>> {
    let Some(rules) = RecipientsFile::path_for(path)? else {
        return Ok(None);
    };
    if rules.file_name() == path.file_name() {
        return Ok(None);
    }
    let rules = match known.entry(rules) {
        std::collections::hash_map::Entry::Occupied(entry) => entry.into_mut(),
        std::collections::hash_map::Entry::Vacant(entry) => {
            let file = RecipientsFile::load(entry.key())?;
            entry.insert(file)
        }
    };
    let rules: &RecipientsFile = rules;
    match rules.for_path(path) {
        Ok(recipients) => Ok(Some((rules, recipients))),
        // No rule is for it.
        Err(error) if error.kind() == ErrorKind::Recipients => Ok(None),
        Err(error) => Err(error),
    }
}

/// What is found in one file.
struct Findings<'f> {
    file: &'f Path,
    list: &'f mut Vec<Finding>,
}

impl Findings<'_> {
    fn add(&mut self, (line, column): (usize, usize), path: Option<Pointer>, kind: FindingKind) {
        self.list.push(Finding {
            file: self.file.to_owned(),
            line,
            column,
            path,
            kind,
        });
    }

    fn broken(&mut self, error: &Error) {
        let path = error.path().and_then(|path| path.parse().ok());
        let kind = FindingKind::Broken(error.message().to_owned());
        self.add(error.place().unwrap_or((1, 1)), path, kind);
    }

    /// Private keys in PEM (RFC 7468), also inside of a JSON string, where one is a long line.
    fn private_keys(&mut self, bytes: &[u8]) {
        const BEGIN: &[u8] = b"-----BEGIN ";
        for (index, line) in bytes.split(|byte| *byte == b'\n').enumerate() {
            let mut at = 0;
            while let Some(dashes) = line[at..].windows(BEGIN.len()).position(|w| w == BEGIN) {
                at += dashes + BEGIN.len();
                let label = &line[at..line.len().min(at + 64)];
                let end = label.windows(5).position(|five| five == b"-----");
                let label = &label[..end.unwrap_or(0)];
                if label.windows(11).any(|word| word == b"PRIVATE KEY") {
                    let column = at - BEGIN.len() + 1;
                    self.add((index + 1, column), None, FindingKind::PrivateKey);
                    break;
                }
            }
        }
    }

    /// Values that are marked, broken or in plain text; tells whether all markers are whole.
    fn values(&mut self, document: &Document, options: &CheckOptions) -> bool {
        let mut is_whole = true;
        for scalar in document.scalars() {
            let kind = match Marker::of(document, scalar) {
                Err(error) => {
                    is_whole = false;
                    FindingKind::Broken(error.message().to_owned())
                }
                Ok(Some(Marker::ToSeal { .. })) => FindingKind::NotSealed,
                Ok(Some(Marker::Sealed(_))) => continue,
                Ok(None) => {
                    match names::sign_of(document, scalar, &document.path(scalar), options) {
                        None => continue,
                        Some(Sign::Name) => FindingKind::Plaintext,
                        Some(Sign::PasswordInUrl) => FindingKind::PasswordInUrl,
                    }
                }
            };
            let path = document.path(scalar);
            self.add((scalar.line, scalar.column), Some(path), kind);
        }
        is_whole
    }

    /// Whether sealed values stand where they belong, and for whom they are sealed.
    fn sealed(&mut self, contents: &Contents<'_>, rules: Option<&(&RecipientsFile, Recipients)>) {
        let document = contents.document;
        let Some(block) = document.header() else {
            return;
        };
        if let Err(error) = DocumentId::of(document, None) {
            self.broken(&error.at(block.line, 1));
        }
        for value in contents.sealed() {
            let header = value.token.header();
            if header.path != value.path.as_str() || header.document != block.document {
                let why = format!(
                    "was sealed for another place: `{}` of `{}`",
                    shown(&header.path),
                    shown(&header.document)
                );
                let place = (value.scalar.line, value.scalar.column);
                self.add(place, Some(value.path.clone()), FindingKind::Broken(why));
            }
        }
        let Some((rules, recipients)) = rules else {
            return;
        };
        for epoch in contents.used_epochs() {
            if let Some(why) = difference(epoch, rules, recipients) {
                let kind = FindingKind::OtherRecipients(why);
                self.add((block.line, 1), None, kind);
            }
        }
    }
}

/// How the recipients of an epoch are others than those of the rules.
fn difference(epoch: &Wrapped, rules: &RecipientsFile, recipients: &Recipients) -> Option<String> {
    let wanted: BTreeSet<&Thumbprint> = recipients
        .iter()
        .map(|recipient| recipient.key.thumbprint())
        .collect();
    let there: BTreeSet<&Thumbprint> = epoch.recipients().collect();
    if wanted == there {
        return None;
    }
    let list = |one: &BTreeSet<&Thumbprint>, other: &BTreeSet<&Thumbprint>| {
        let names: Vec<String> = one
            .difference(other)
            .map(|key| rules.name_of(key).map_or(key.to_string(), str::to_owned))
            .collect();
        match names.is_empty() {
            true => "nobody".to_owned(),
            false => names.join(", "),
        }
    };
    Some(format!(
        "the epoch {} is not sealed for whom the rules say: missing {}, beyond them {}",
        epoch.id(),
        list(&wanted, &there),
        list(&there, &wanted)
    ))
}
