//! A small file beside the sealed ones that says for whom they are.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use globset::{GlobBuilder, GlobMatcher};

use super::{Recipients, names, place};
use crate::document::{Document, Format, Pointer, Scalar};
use crate::{Error, ErrorKind, PublicKey, Result, Thumbprint};

/// The usual name of the file.
pub(super) const FILE: &str = "recipients.yaml";

/// The longest file, in bytes.
const LONGEST: u64 = 8 << 20;

/// A `recipients.yaml`: names and keys, groups of them, and rules that say for whom which files are sealed.
///
/// ```yaml
/// recipients:
///   ana: |
///     -----BEGIN PUBLIC KEY-----
///     ...
///   ben@example.org: keys/ben.pub.pem                  # a file beside this one, with either
///   cyd: {kty: RSA, e: AQAB, n: ...}                   # a JWK
/// groups:
///   ops: [ana, ben@example.org]
///   all: [ops, cyd]                                    # groups can hold groups
/// rules:                                               # the first that matches counts
///   - {path: "prod/**", recipients: [ops]}
///   - {path: "**", recipients: [all]}
/// ```
///
/// ```
/// use clusterops_secrets::RecipientsFile;
///
/// # let folder = tempfile::tempdir().expect("a folder");
/// # let path = folder.path().join("recipients.yaml");
/// # let key = clusterops_secrets::PublicKey::from_pem(include_str!("../keys/data/ana.pub.pem"))?.to_jwk();
/// # let rules = "rules: [{path: 'prod/**', recipients: [ops]}]";
/// # std::fs::write(&path, format!("recipients: {{ana: {key}}}\ngroups: {{ops: [ana]}}\n{rules}\n")).expect("ours");
/// # std::fs::create_dir(folder.path().join("prod")).expect("ours");
/// # let app = folder.path().join("prod/app.json");
/// let recipients = RecipientsFile::find(&app)?.for_path(&app)?;
/// assert_eq!(recipients.iter().next().map(|recipient| recipient.name.as_str()), Some("ana"));
/// # Ok::<(), clusterops_secrets::Error>(())
/// ```
///
/// Names have letters, digits and `.`, `_`, `-`, `@`, `+`, and single spaces between words: they are shown beside thumbprints, and are
/// not to look like one.
///
/// Paths are relative to the file; `*` stays within a folder, `**` does not. A file without `rules` seals everything for all
/// of its recipients. Whoever can edit the file can add a key: pin the recipients where that matters
/// ([`SealOptions::pins`](crate::SealOptions::pins)).
#[derive(Debug, Clone)]
pub struct RecipientsFile {
    path: PathBuf,
    recipients: BTreeMap<String, PublicKey>,
    rules: Option<Vec<Rule>>,
}

#[derive(Debug, Clone)]
struct Rule {
    matcher: GlobMatcher,
    recipients: Vec<String>,
}

impl RecipientsFile {
    /// Reads a file, and the key files that it names.
    ///
    /// # Errors
    /// [`ErrorKind::Local`] when a file cannot be read, [`ErrorKind::Syntax`] with line and column for an unknown field, a name
    /// that is none or stands twice, an unknown or circular group and a pattern that is none, [`ErrorKind::Key`] for an unusable key.
    pub fn load(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        let text = read(path)?;
        let folder = path.parent().unwrap_or(Path::new(""));
        let mut file = Self::parse(&text, |key| {
            let file = folder.join(key);
            let text = read(&file)?;
            written_key(&text)
                .unwrap_or_else(|| PublicKey::from_pem(&text))
                .map_err(|error| error.in_file(&file))
        })
        .map_err(|error| error.in_file(path))?;
        file.path = path.to_owned();
        Ok(file)
    }

    /// Finds and reads the `recipients.yaml` that is beside a file or in the nearest folder above it on the same file system. Where
    /// the file is a link, that is where it leads to. [`path`](Self::path) says which one it was.
    ///
    /// Nobody asked for just that file, and somebody else could have put it into a folder above, such as `/tmp`. So it and its folder
    /// belong to root or the effective user, and not everybody can write them; a folder with the sticky bit is fine. Who owns the
    /// sealed file or its folder does not count: they may replace it, but not read what is sealed into it. [`load`](Self::load)
    /// takes any file.
    ///
    /// # Errors
    /// As [`load`](Self::load); [`ErrorKind::Local`] when there is none, [`ErrorKind::Recipients`] when others could have written it.
    pub fn find(file: impl AsRef<Path>) -> Result<Self> {
        let file = file.as_ref();
        match Self::path_for(file)? {
            Some(path) => {
                place::check_owners(&path)?;
                Self::load(path)
            }
            None => {
                let message = format!(
                    "there is no `{FILE}` beside this file or in a folder above it on its file system"
                );
                Err(Error::new(ErrorKind::Local, message).in_file(file))
            }
        }
    }

    /// Where the file is that [`find`](Self::find) reads, unless others could have put it there.
    pub(crate) fn path_for(file: &Path) -> Result<Option<PathBuf>> {
        place::nearest(file)
    }

    /// The recipients of a file, which need not exist yet. Where it is a link, the rules are for what it leads to, since that is
    /// what is written.
    ///
    /// # Errors
    /// [`ErrorKind::Recipients`] when no rule matches it, or it does not lie below the folder of this file.
    pub fn for_path(&self, file: impl AsRef<Path>) -> Result<Recipients> {
        let file = file.as_ref();
        let refused = |message: String| Error::new(ErrorKind::Recipients, message).in_file(file);
        let Some(rules) = &self.rules else {
            return Recipients::new(self.recipients.clone());
        };
        let own = place::folder_of(&self.path).map_err(|error| {
            Error::new(ErrorKind::Local, "its folder cannot be found")
                .in_file(&self.path)
                .caused_by(error)
        })?;
        let path = place::place_of(file)?;
        let relative = path.strip_prefix(&own).map_err(|_| {
            refused(format!(
                "it does not lie below {}, so no rule of `{FILE}` there is for it",
                own.display()
            ))
        })?;
        let rule = rules
            .iter()
            .find(|rule| rule.matcher.is_match(relative))
            .ok_or_else(|| {
                refused(format!(
                    "no rule of {} matches `{}`",
                    self.path.display(),
                    relative.display()
                ))
            })?;
        let key = |name: &String| Some((name.clone(), self.recipients.get(name)?.clone()));
        Recipients::new(rule.recipients.iter().filter_map(key))
    }

    /// Everybody in the file.
    pub fn recipients(&self) -> impl Iterator<Item = (&str, &PublicKey)> {
        self.recipients
            .iter()
            .map(|(name, key)| (name.as_str(), key))
    }

    /// What the file calls the owner of a key.
    pub fn name_of(&self, key: &Thumbprint) -> Option<&str> {
        self.recipients()
            .find(|(_, known)| known.thumbprint() == key)
            .map(|(name, _)| name)
    }

    /// The file that it was read from.
    pub fn path(&self) -> &Path {
        &self.path
    }

    pub(crate) fn parse(text: &str, key_file: impl Fn(&str) -> Result<PublicKey>) -> Result<Self> {
        let document = Document::parse(text.as_bytes(), Format::Yaml)?;
        names::check(&document)?;
        let mut lists = Lists::default();
        for scalar in document.scalars() {
            lists.add(&document, scalar)?;
        }
        // What holds no value is no scalar; unseen it would leave out somebody, or a rule.
        for (path, (line, column), is_alias) in document.hollow() {
            check_hollow(&path, Place(line, column), is_alias)?;
        }
        let recipients = lists.keys(key_file)?;
        let rules = lists
            .has_rules
            .then(|| lists.rules(&recipients))
            .transpose()?;
        // Groups that no rule uses are checked too.
        for group in lists.groups.keys() {
            lists.expand(group, &recipients, &mut Found::default(), Place(1, 1))?;
        }
        Ok(Self {
            path: PathBuf::new(),
            recipients,
            rules,
        })
    }
}

/// What the scalars of a file say.
#[derive(Default)]
struct Lists {
    /// By name: the text of a string, or the members of a JWK.
    keys: BTreeMap<String, (Place, KeyText)>,
    groups: BTreeMap<String, Vec<(Place, String)>>,
    rules: BTreeMap<String, RuleText>,
    order: Vec<String>,
    has_rules: bool,
}

#[derive(Clone, Copy)]
struct Place(usize, usize);

enum KeyText {
    Text(String),
    Members(serde_json::Map<String, serde_json::Value>),
}

#[derive(Default)]
struct RuleText {
    path: Option<(Place, String)>,
    recipients: Vec<(Place, String)>,
}

impl Lists {
    fn add(&mut self, document: &Document, scalar: &Scalar) -> Result<()> {
        let path = document.path(scalar);
        let place = Place(scalar.line, scalar.column);
        let text = document.text(scalar).to_owned();
        let tokens: Vec<_> = path.tokens().collect();
        let tokens: Vec<&str> = tokens.iter().map(|token| &**token).collect();
        match tokens[..] {
            ["recipients", name] => {
                self.keys
                    .insert(name.to_owned(), (place, KeyText::Text(text)));
            }
            ["recipients", name, member] => {
                let entry = self
                    .keys
                    .entry(name.to_owned())
                    .or_insert_with(|| (place, KeyText::Members(serde_json::Map::new())));
                if let KeyText::Members(members) = &mut entry.1 {
                    members.insert(member.to_owned(), text.into());
                }
            }
            ["groups", name, index] if is_index(index) => {
                self.groups
                    .entry(name.to_owned())
                    .or_default()
                    .push((place, text));
            }
            ["rules", rule, "path"] if is_index(rule) => self.rule(rule).path = Some((place, text)),
            ["rules", rule, "recipients", index] if is_index(rule) && is_index(index) => {
                self.rule(rule).recipients.push((place, text));
            }
            ["groups", _]
            | ["groups", _, _]
            | ["rules", _, "recipients"]
            | ["rules", _, "recipients", _] => {
                return Err(place.error("a list is expected here, as in `[ana, ben]`"));
            }
            ["rules", _, "path"] => {
                return Err(place.error("a list of rules is expected below `rules`"));
            }
            ["recipients" | "groups" | "rules"] => {
                return Err(place.error(&format!(
                    "nothing stands below `{path}`; fill it, or leave it out"
                )));
            }
            _ => return Err(unknown(place, &path)),
        }
        Ok(())
    }

    fn rule(&mut self, name: &str) -> &mut RuleText {
        self.has_rules = true;
        if !self.rules.contains_key(name) {
            self.order.push(name.to_owned());
        }
        self.rules.entry(name.to_owned()).or_default()
    }

    fn keys(
        &self,
        key_file: impl Fn(&str) -> Result<PublicKey>,
    ) -> Result<BTreeMap<String, PublicKey>> {
        let mut keys = BTreeMap::new();
        for (name, (place, text)) in &self.keys {
            if self.groups.contains_key(name) {
                return Err(place.error(&format!("`{name}` is a recipient and a group")));
            }
            let key = match text {
                KeyText::Members(members) => {
                    PublicKey::from_jwk(&serde_json::Value::from(members.clone()).to_string())
                }
                KeyText::Text(text) => written_key(text).unwrap_or_else(|| key_file(text.trim())),
            };
            let key = key.map_err(|error| match error.file() {
                Some(_) => error,
                None => error.at(place.0, place.1).on(format!("/recipients/{name}")),
            })?;
            keys.insert(name.clone(), key);
        }
        if keys.is_empty() {
            let message =
                "there are no recipients; the file needs `recipients:` with names and public keys";
            return Err(Error::new(ErrorKind::Recipients, message));
        }
        Ok(keys)
    }

    fn rules(&self, keys: &BTreeMap<String, PublicKey>) -> Result<Vec<Rule>> {
        let rule = |name: &String| {
            let rule = &self.rules[name];
            let first = rule.recipients.first().map(|(place, _)| *place);
            let Some((place, pattern)) = &rule.path else {
                let place = first.unwrap_or(Place(1, 1));
                return Err(
                    place.error("this rule has no `path`, the pattern of the files that it is for")
                );
            };
            if rule.recipients.is_empty() {
                return Err(
                    place.error("this rule has no `recipients`, the list of whom to seal for")
                );
            }
            let glob = GlobBuilder::new(pattern)
                .literal_separator(true)
                .build()
                .map_err(|error| {
                    place.error(&format!(
                        "`{}` is no pattern of paths: {}",
                        pattern.escape_debug(),
                        error.kind()
                    ))
                })?;
            let mut found = Found::default();
            for (place, name) in &rule.recipients {
                self.expand(name, keys, &mut found, *place)?;
            }
            Ok(Rule {
                matcher: glob.compile_matcher(),
                recipients: found.recipients.into_iter().collect(),
            })
        };
        self.order.iter().map(rule).collect()
    }

    /// Adds a recipient, or all of a group.
    fn expand<'l>(
        &'l self,
        name: &'l str,
        keys: &BTreeMap<String, PublicKey>,
        found: &mut Found<'l>,
        place: Place,
    ) -> Result<()> {
        if keys.contains_key(name) {
            found.recipients.insert(name.to_owned());
            return Ok(());
        }
        let Some(members) = self.groups.get(name) else {
            return Err(place.error(&format!(
                "`{}` is neither a recipient nor a group",
                name.escape_debug()
            )));
        };
        if found.inside.contains(&name) {
            return Err(place.error(&format!("the group `{name}` holds itself")));
        }
        // Each group once: groups of groups that share members would take forever.
        if !found.groups.insert(name) {
            return Ok(());
        }
        found.inside.push(name);
        for (place, member) in members {
            self.expand(member, keys, found, *place)?;
        }
        found.inside.pop();
        Ok(())
    }
}

/// What names stand for, so far.
#[derive(Default)]
struct Found<'l> {
    recipients: BTreeSet<String>,
    groups: BTreeSet<&'l str>,
    /// The groups that are being looked into.
    inside: Vec<&'l str>,
}

/// Refuses what holds no value, except where that says all there is to say.
fn check_hollow(path: &Pointer, place: Place, is_alias: bool) -> Result<()> {
    if is_alias {
        return Err(place.error("an alias is not read in this file; write what it stands for"));
    }
    let tokens: Vec<_> = path.tokens().collect();
    let tokens: Vec<&str> = tokens.iter().map(|token| &**token).collect();
    Err(match tokens[..] {
        [] | ["recipients" | "groups"] => return Ok(()),
        ["rules"] => place.error(
            "there are no rules here; without `rules` everything is sealed for all recipients",
        ),
        ["rules", _] => {
            place.error("this rule has no `path`, the pattern of the files that it is for")
        }
        ["rules", _, "recipients"] => {
            place.error("this rule has no `recipients`, the list of whom to seal for")
        }
        ["groups", name] => place.error(&format!("the group `{name}` has no members")),
        ["recipients", name] => place.error(&format!("the recipient `{name}` has no key")),
        _ => unknown(place, path),
    })
}

/// The key that a text is, if it is one and not the name of a file.
fn written_key(text: &str) -> Option<Result<PublicKey>> {
    let start = text.trim_start();
    if start.starts_with('{') {
        Some(PublicKey::from_jwk(text))
    } else if start.starts_with("-----BEGIN") {
        Some(PublicKey::from_pem(text))
    } else {
        None
    }
}

fn is_index(token: &str) -> bool {
    token.bytes().all(|byte| byte.is_ascii_digit())
}

impl Place {
    fn error(self, message: &str) -> Error {
        Error::new(ErrorKind::Syntax, message).at(self.0, self.1)
    }
}

fn unknown(place: Place, path: &Pointer) -> Error {
    place.error(&format!(
        "`{}` is nothing that is known here; the file has `recipients` (names and keys), `groups` (lists) and `rules` \
         (each with `path` and `recipients`)",
        path.as_str().escape_debug()
    ))
}

fn read(path: &Path) -> Result<String> {
    use std::io::Read as _;

    let mut text = String::new();
    let read =
        std::fs::File::open(path).and_then(|file| file.take(LONGEST + 1).read_to_string(&mut text));
    match read {
        Ok(length) if length as u64 <= LONGEST => Ok(text),
        Ok(_) => Err(
            Error::new(ErrorKind::Local, "the file is longer than 8 MiB, the limit").in_file(path),
        ),
        Err(error) => Err(Error::new(ErrorKind::Local, "the file cannot be read")
            .in_file(path)
            .caused_by(error)),
    }
}
