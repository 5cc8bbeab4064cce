//! Looking for secrets that should be sealed and are not.

mod document;
mod lines;
mod look;
mod names;

use std::collections::HashMap;
use std::fmt;
use std::path::{Path, PathBuf};

use look::{Look, is_packed};

use crate::document::{Document, Pointer, is_other};
use crate::marker::markers_in;
use crate::{Error, ErrorKind, Recipients, RecipientsFile, Result};

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
    /// The line, from 1; 0 when it is about all of the file, or about a folder.
    pub line: usize,
    /// The column, from 1; 0 as the line is.
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
    /// A marker stands where nothing is sealed, as inside of a longer string, in a key or in a comment: where.
    StrayMarker(String),
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
    /// Nothing is known about what stands here, as a file or a folder cannot be read: why. This is no fault of the tree, and a
    /// program ends with another exit status for it than for what was found.
    NotChecked(String),
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Names of files and members are what somebody else chose.
        let printable = |text: &str| text.replace(char::is_control, "?");
        let file = printable(&self.file.to_string_lossy());
        match self.line {
            0 => write!(f, "{file}: ")?,
            line => write!(f, "{file}:{line}:{}: ", self.column)?,
        }
        let what = match &self.path {
            Some(path) => format!("{}: ", printable(path.as_str())),
            None if matches!(self.kind, FindingKind::NotSealed | FindingKind::Plaintext) => {
                "a value ".to_owned()
            }
            None => String::new(),
        };
        f.write_str(&what)?;
        match &self.kind {
            FindingKind::NotSealed => f.write_str("is marked to be sealed and is not"),
            FindingKind::Plaintext => {
                f.write_str("is a secret by its name and stands here in plain text")
            }
            FindingKind::PasswordInUrl => f.write_str("a password stands in this URL"),
            FindingKind::PrivateKey => f.write_str("a private key stands here"),
            FindingKind::StrayMarker(why)
            | FindingKind::Broken(why)
            | FindingKind::OtherRecipients(why)
            | FindingKind::NotChecked(why) => f.write_str(&printable(why)),
        }
    }
}

/// Looks through a file or a tree of them, as before a commit. Links inside the tree are not followed, and files of more than
/// 64 MiB are left out. What is sealed is compared with the rules of the nearest `recipients.yaml`, whoever owns it: nothing is
/// sealed for them here. No key is needed.
///
/// Every file is looked through for private keys. Beyond that it depends on where a file lies and on its name:
///
/// - Documents by their names (`.json`, `.yaml`, `.yml`; `.env`, `.env.prod`, `app.env`, `app.env.local`) are read where a rule of
///   `recipients.yaml` is for them, and where they hold sealed or marked values: other JSON and YAML files can hold anything. One
///   that is not UTF-8 is a finding anywhere.
/// - What documents are made of, and copies of them (`app.json.tmpl`, `values.yaml.j2`, `app.json.bak`, a file `env`), need not be
///   of any syntax: their lines are looked through for markers, and where a rule is for them also for values that are secrets by
///   the name in front. So are documents that can hold no sealed value: a JSON array, JSON with comments, several YAML documents
///   in one file. What is no text there, as an editor's swap file, is looked through for markers, and is a finding itself only
///   where a rule is for it.
/// - Names that end as compressed and encrypted files do (`app.json.gz`, `.env.age`) say nothing.
/// - Any other file for which there is a rule is looked through for markers.
///
/// A value is a secret by its name, by that of the list or map that it stands in, or by one inside of it (`--password=hunter2`).
/// Markers count where they are not a whole
/// value too, as in `--password=ENC[db:hunter2]`, in keys and in comments: [`seal`](crate::seal()) refuses those.
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
/// [`ErrorKind::Local`] when there is nothing at `root` that can be read. What cannot be read below it, a `recipients.yaml` too, is a
/// finding ([`FindingKind::NotChecked`]), and the check goes on.
pub fn check(root: impl AsRef<Path>, options: &CheckOptions) -> Result<Vec<Finding>> {
    let root = root.as_ref();
    // What was asked for counts, also behind a link.
    let is_folder = std::fs::metadata(root)
        .and_then(|metadata| match metadata.is_dir() {
            true => std::fs::read_dir(root).map(|_| true),
            false => Ok(false),
        })
        .map_err(|error| {
            Error::new(ErrorKind::Local, "this cannot be read")
                .in_file(root)
                .caused_by(error)
        })?;
    let mut search = Search {
        options,
        rules: HashMap::new(),
        findings: Vec::new(),
    };
    match is_folder {
        true => search.tree(root),
        false => search.file(root)?,
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
    /// The files of recipients that have been read, or could not be.
    rules: HashMap<PathBuf, Option<RecipientsFile>>,
    findings: Vec<Finding>,
}

impl Search<'_> {
    fn tree(&mut self, root: &Path) {
        let mut work = vec![root.to_owned()];
        while let Some(folder) = work.pop() {
            let entries = match std::fs::read_dir(&folder) {
                Ok(entries) => entries,
                Err(error) => {
                    self.not_checked(&folder, &unreadable(error));
                    continue;
                }
            };
            for entry in entries {
                let looked = entry.and_then(|entry| {
                    if self
                        .options
                        .is_skipped(&entry.file_name().to_string_lossy())
                    {
                        return Ok(None);
                    }
                    Ok(Some((entry.path(), entry.metadata()?)))
                });
                match looked {
                    Ok(Some((path, metadata))) if metadata.is_dir() => work.push(path),
                    Ok(Some((path, metadata)))
                        if metadata.is_file() && metadata.len() <= LONGEST =>
                    {
                        if let Err(error) = self.file(&path) {
                            self.not_checked(&path, &error);
                        }
                    }
                    Ok(_) => {}
                    Err(error) => self.not_checked(&folder, &unreadable(error)),
                }
            }
        }
    }

    /// Notes that nothing is known about a file or a folder.
    fn not_checked(&mut self, path: &Path, error: &Error) {
        let cause = std::error::Error::source(error).map(|cause| format!(": {cause}"));
        let why = format!("{}{}", error.message(), cause.unwrap_or_default());
        let (line, column) = error.place().unwrap_or((0, 0));
        self.findings.push(Finding {
            file: error.file().unwrap_or(path).to_owned(),
            line,
            column,
            path: None,
            kind: FindingKind::NotChecked(why),
        });
    }

    fn file(&mut self, path: &Path) -> Result<()> {
        let bytes = crate::file::bytes_of(path)?;
        let rules = match RecipientsFile::path_for(path)? {
            Some(nearest) => {
                self.read_rules(&nearest);
                rules_for(&self.rules, &nearest, path)?
            }
            None => None,
        };
        let mut findings = Findings {
            file: path,
            list: &mut self.findings,
        };
        findings.private_keys(&bytes);
        let look = Look::of(path);
        if look.is_none() && rules.is_none() {
            return Ok(());
        }
        if look == Some(Look::Lines) && rules.is_none() && !is_text(&bytes) {
            // An editor's swap file, a picture by a template's name.
            findings.marked(&String::from_utf8_lossy(&bytes));
            return Ok(());
        }
        match std::str::from_utf8(&bytes) {
            // Without a byte order mark, UTF-16 can be UTF-8 too.
            Ok(text) if look.is_some() && text.contains('\0') => findings.not_utf8(&bytes, 0),
            Ok(text) => findings.text(text, look, rules.as_ref(), self.options),
            Err(error) if look.is_some() || is_text(&bytes) && !is_packed(path) => {
                findings.not_utf8(&bytes, error.valid_up_to());
            }
            // A picture, an archive.
            Err(_) => {}
        }
        Ok(())
    }

    /// Reads a file of recipients, once.
    fn read_rules(&mut self, path: &Path) {
        if self.rules.contains_key(path) {
            return;
        }
        let file = RecipientsFile::load(path);
        if let Err(error) = &file {
            self.not_checked(path, error);
        }
        self.rules.insert(path.to_owned(), file.ok());
    }
}

fn unreadable(error: std::io::Error) -> Error {
    Error::new(ErrorKind::Local, "this cannot be read").caused_by(error)
}

/// Byte order marks of UTF-16 (and UTF-32).
const UTF_16: [&[u8]; 2] = [b"\xff\xfe", b"\xfe\xff"];

/// Whether these bytes are text, in whatever encoding.
fn is_text(bytes: &[u8]) -> bool {
    UTF_16.iter().any(|mark| bytes.starts_with(mark)) || !bytes.contains(&0)
}

/// The nearest file of recipients, and whom it names for this file.
fn rules_for<'r>(
    known: &'r HashMap<PathBuf, Option<RecipientsFile>>,
    nearest: &Path,
    path: &Path,
) -> Result<Option<Rules<'r>>> {
    let Some(Some(file)) = known.get(nearest) else {
        return Ok(None);
    };
    if nearest.file_name() == path.file_name() {
        return Ok(None);
    }
    match file.for_path(path) {
        Ok(recipients) => Ok(Some((file, recipients))),
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

type Rules<'r> = (&'r RecipientsFile, Recipients);

impl Findings<'_> {
    fn add(&mut self, (line, column): (usize, usize), path: Option<Pointer>, kind: FindingKind) {
        // A key can hold a marker with all that is in it.
        let path = path.filter(|path| markers_in(path.as_str()).next().is_none());
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

    fn not_utf8(&mut self, bytes: &[u8], at: usize) {
        let is_utf16 = UTF_16.iter().any(|mark| bytes.starts_with(mark));
        let line = 1 + bytes[..at].iter().filter(|byte| **byte == b'\n').count();
        let encoding = match is_utf16 || bytes.contains(&0) {
            true => "it looks like UTF-16, or is no text",
            false => "it is in another encoding",
        };
        let why = format!(
            "is not UTF-8: {encoding}; nothing in it can be checked or sealed, so save it as UTF-8"
        );
        self.add((line, 1), None, FindingKind::Broken(why));
    }

    fn text(
        &mut self,
        text: &str,
        look: Option<Look>,
        rules: Option<&Rules<'_>>,
        options: &CheckOptions,
    ) {
        let (has_markers, has_sealed) = (
            text.contains("ENC["),
            text.contains("SEALED[") || text.contains("x-sealed"),
        );
        let document = match look {
            Some(Look::Document(_)) if rules.is_none() && !has_markers && !has_sealed => return,
            Some(Look::Document(format)) => Document::parse(text.as_bytes(), format)
                .map_err(|error| (has_sealed || !is_other(text, format)).then_some(error)),
            _ => Err(None),
        };
        match document {
            Ok(document) => self.document(&document, rules, options),
            Err(Some(error)) => self.broken(&error),
            Err(None) => {
                self.marked(text);
                if look.is_some() && rules.is_some() {
                    self.named(text, options);
                }
            }
        }
    }
}
