//! Merging what two people did to a sealed document, without private keys.

mod changes;
mod diff3;
mod opened;
mod words;

use std::collections::{BTreeMap, BTreeSet};

use zeroize::Zeroizing;

use diff3::Hunk;
use opened::OpenedSide;
use words::Words;

use crate::contents::{Contents, SealedValue};
use crate::document::{Document, Edits, Format, Header, Pointer};
use crate::epoch::shown;
use crate::identity::Identity;
use crate::{DocumentId, Error, ErrorKind, Result};

/// The outcome of a [`merge`].
#[derive(Clone)]
#[non_exhaustive]
pub struct Merged {
    /// The merged document; where lines conflict, with git's conflict markers around those that differ, and not readable
    /// until they are resolved.
    pub text: Zeroizing<String>,
    /// The sealed values that somebody has to decide about: both sides changed them, or they would not stand where they
    /// belong.
    pub conflicts: Vec<Pointer>,
    /// Whether there are conflict markers in the text.
    pub has_line_conflicts: bool,
}

impl Merged {
    /// Whether nothing is left to be decided; a merge driver ends with another exit status than 0 when it is not.
    pub fn is_clean(&self) -> bool {
        self.conflicts.is_empty() && !self.has_line_conflicts
    }
}

impl std::fmt::Debug for Merged {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Merged")
            .field("conflicts", &self.conflicts)
            .field("has_line_conflicts", &self.has_line_conflicts)
            .finish_non_exhaustive()
    }
}

/// Merges two documents that come from a third, as a git merge driver does (gitattributes(5)). No key is needed: sealed values
/// are moved as they are. A driver that gets an error ends with a status above 128, so that git does not take it for a conflict.
///
/// Lines merge as diff3(1) merges them; where they do not, and one side did nothing but add or replace values, its values are put
/// into the other side's text. A sealed value that one side changed wins over one that nobody changed; one that both sides
/// sealed anew is a conflict, even if one of them only rotated it: [`merge_opened`] can tell. The merged document has the
/// epochs that its values use, from whichever side. A document with [no conflict](Merged::is_clean) opens for whom both sides
/// open.
///
/// Each value keeps the recipients of the side that it comes from: when one side removed a recipient while the other sealed for
/// them still, [`reseal`](crate::reseal()) afterwards; [`check`](crate::check()) finds it.
///
/// ```
/// use clusterops_secrets::{Format, PublicKey, Recipients, SealOptions, Value, merge, seal, set};
///
/// let ana = PublicKey::from_pem(include_str!("../keys/data/ana.pub.pem"))?;
/// let options = SealOptions::new(Recipients::new([("ana", ana)])?);
/// let base = seal(r#"{"id": "/shop", "env": {"A": "ENC[a:1]"}}"#, Format::Json, &options)?.text;
/// let with = |path: &str| set(&base, Format::Json, &path.parse()?, &Value::text("x"), &options);
/// let merged = merge(&base, &with("/env/B")?.text, &with("/env/C")?.text, Format::Json)?;
/// assert!(merged.is_clean() && merged.text.contains(r#""B": "SEALED["#) && merged.text.contains(r#""C": "SEALED["#));
/// # Ok::<(), clusterops_secrets::Error>(())
/// ```
///
/// # Errors
/// [`ErrorKind::Syntax`] and [`ErrorKind::Format`] when one of the documents cannot be read, [`ErrorKind::Misplaced`] when they are
/// not sealed as the same document.
pub fn merge(base: &str, ours: &str, theirs: &str, format: Format) -> Result<Merged> {
    let side = |name, text| Side::read(text, format).map_err(|error| unusable(name, error));
    let sides = [
        side(NAMES[0], base)?,
        side(NAMES[1], ours)?,
        side(NAMES[2], theirs)?,
    ];
    merged(&sides, format)
}

/// Merges as [`merge`] does, by what the values say: one that was sealed anew and says the same has not changed. So a rotated
/// document merges with one in which values were edited.
///
/// # Errors
/// As [`merge`], and as [`open`](crate::open()) when one of the three does not open.
pub async fn merge_opened(
    base: &str,
    ours: &str,
    theirs: &str,
    format: Format,
    id: &DocumentId,
    identities: &[&dyn Identity],
) -> Result<Merged> {
    let mut sides = Vec::new();
    for (name, text) in NAMES.into_iter().zip([base, ours, theirs]) {
        let side = OpenedSide::read(text, format, id, identities).await;
        sides.push(side.map_err(|error| unusable(name, error))?);
    }
    let [base, ours, theirs] = sides
        .try_into()
        .map_err(|_| ())
        .expect("three have been read");
    merged(&opened::with_same_tokens([base, ours, theirs]), format)
}

const NAMES: [&str; 3] = ["the base", "our side", "their side"];

fn unusable(name: &str, error: Error) -> Error {
    let message = format!("{name} cannot be merged");
    Error::new(error.kind(), message).caused_by(error)
}

fn merged(sides: &[Side; 3], format: Format) -> Result<Merged> {
    let [base, ours, theirs] = sides;
    let id = match (&ours.document, &theirs.document) {
        (Some(our), Some(their)) if our != their => {
            let message = format!(
                "our side is sealed as `{}`, their side as `{}`",
                shown(our),
                shown(their)
            );
            return Err(Error::new(ErrorKind::Misplaced, message));
        }
        (our, their) => our.clone().or_else(|| their.clone()),
    };

    // Sealed values stand in the text as short words, the same for the same token, and all three have the epochs of both
    // sides, so that lines differ only where somebody changed them.
    let epochs: BTreeMap<String, String> = [&ours.epochs, &theirs.epochs]
        .into_iter()
        .flat_map(BTreeMap::clone)
        .collect();
    let header = id.map(|id| Header::new(id, epochs.into_iter().collect()));
    let mut words = Words::default();
    let mut with_words = |side: &Side| side.with_words(format, &mut words, header.as_ref());
    let texts = [with_words(base)?, with_words(ours)?, with_words(theirs)?];

    let (wanted, mut conflicts) = by_path(sides);
    let (lines, has_line_conflicts) = lines_merged(&texts);
    let by_lines = (!has_line_conflicts).then(|| lines.clone());
    let candidates = by_lines
        .into_iter()
        .chain(std::iter::once_with(|| changes::merged(&texts, format)).flatten());
    for candidate in candidates {
        // Lines can merge to what cannot be read, as to a key that stands twice, and elements can move in an array.
        let Ok((text, tokens)) = with_used_epochs(&words.restored(&candidate), format) else {
            continue;
        };
        let is_other =
            |path: &&Pointer| wanted.get(path).copied() != tokens.get(path).map(String::as_str);
        let paths: BTreeSet<&Pointer> = wanted.keys().copied().chain(tokens.keys()).collect();
        conflicts.extend(paths.into_iter().filter(is_other).cloned());
        return Ok(Merged {
            text,
            conflicts: conflicts.into_iter().collect(),
            has_line_conflicts: false,
        });
    }
    let lines = match has_line_conflicts {
        true => lines,
        false => one_conflict(&texts),
    };
    Ok(Merged {
        text: words.restored(&lines),
        conflicts: conflicts.into_iter().collect(),
        has_line_conflicts: true,
    })
}

/// The token that is to stand at each path, and the paths at which both sides have another than the base, and not the same.
fn by_path([base, ours, theirs]: &[Side; 3]) -> (BTreeMap<&Pointer, &str>, BTreeSet<Pointer>) {
    let (mut wanted, mut conflicts) = (BTreeMap::new(), BTreeSet::new());
    let sides = [base, ours, theirs];
    for path in sides.iter().flat_map(|side| side.tokens.keys()) {
        let [base, our, their] = sides.map(|side| side.tokens.get(path).map(String::as_str));
        if our != their && our != base && their != base {
            conflicts.insert(path.clone());
        }
        wanted.extend(if our == base { their } else { our }.map(|token| (path, token)));
    }
    (wanted, conflicts)
}

/// The document without the epochs that none of its values uses, and its tokens.
fn with_used_epochs(
    text: &str,
    format: Format,
) -> Result<(Zeroizing<String>, BTreeMap<Pointer, String>)> {
    let document = Document::parse(text.as_bytes(), format)?;
    let contents = Contents::of(&document)?;
    let used: Vec<(String, String)> = contents
        .used_epochs()
        .iter()
        .map(|epoch| (epoch.id().to_string(), epoch.text().to_owned()))
        .collect();
    let mut edits = Edits::new(&document);
    edits.header(match document.header() {
        Some(header) if !used.is_empty() => Some(Header::new(header.document.as_str(), used)),
        _ => None,
    });
    Ok((edits.apply()?, tokens(&contents)))
}

fn tokens(contents: &Contents<'_>) -> BTreeMap<Pointer, String> {
    let token = |value: &SealedValue<'_>| {
        let text = contents.document.text(value.scalar);
        (value.path.clone(), text.to_owned())
    };
    contents.sealed().iter().map(token).collect()
}

/// One of the three documents.
struct Side {
    text: Zeroizing<String>,
    document: Option<String>,
    epochs: BTreeMap<String, String>,
    /// Where each token stands, by path.
    tokens: BTreeMap<Pointer, String>,
}

impl Side {
    fn read(text: &str, format: Format) -> Result<Self> {
        Ok(Self::of(&Contents::of(&Self::document(text, format)?)?))
    }

    fn document(text: &str, format: Format) -> Result<Document> {
        // A file that one side has added has an empty base.
        let text = match (format, text.trim().is_empty()) {
            (Format::Json | Format::Yaml, true) => "{}",
            _ => text,
        };
        Document::parse(text.as_bytes(), format)
    }

    fn of(contents: &Contents<'_>) -> Self {
        let header = contents.document.header();
        Self {
            text: Zeroizing::new(contents.document.source().to_owned()),
            document: header.map(|header| header.document.clone()),
            epochs: header
                .map(|header| header.epochs.iter().cloned().collect())
                .unwrap_or_default(),
            tokens: tokens(contents),
        }
    }

    /// The text with a word for each token, and with this block.
    fn with_words(
        &self,
        format: Format,
        words: &mut Words,
        header: Option<&Header>,
    ) -> Result<Zeroizing<String>> {
        let document = Document::parse(self.text.as_bytes(), format)?;
        let mut edits = Edits::new(&document);
        for (path, token) in &self.tokens {
            edits.set_string(path, &words.of(token))?;
        }
        edits.header(header.cloned());
        edits.apply()
    }
}

/// Merges two texts without sealed values that come from a third, by lines or by values; tells whether nothing is left to be
/// decided, otherwise there are conflict markers in the text.
pub(crate) fn merged_texts(texts: [&str; 3], format: Format) -> (Zeroizing<String>, bool) {
    let texts = texts.map(|text| Zeroizing::new(text.to_owned()));
    let (lines, has_conflicts) = lines_merged(&texts);
    let reads = |text: &Zeroizing<String>| Document::parse(text.as_bytes(), format).is_ok();
    if !has_conflicts && reads(&lines) {
        return (lines, true);
    }
    match changes::merged(&texts, format) {
        Some(text) => (text, true),
        None if has_conflicts => (lines, false),
        None => (one_conflict(&texts), false),
    }
}

/// The text that three texts merge to by lines, and whether there are conflicts in it.
fn lines_merged(texts: &[Zeroizing<String>; 3]) -> (Zeroizing<String>, bool) {
    let [base, ours, theirs] = texts
        .each_ref()
        .map(|text| text.split_inclusive('\n').collect::<Vec<_>>());
    let mut text = Zeroizing::new(String::new());
    let mut has_conflicts = false;
    for hunk in diff3::merge(&base, &ours, &theirs) {
        match hunk {
            Hunk::Agreed(lines) => lines.iter().for_each(|line| text.push_str(line)),
            Hunk::Conflict { ours, theirs } => {
                has_conflicts = true;
                push_conflict(&mut text, ours, theirs);
            }
        }
    }
    (text, has_conflicts)
}

/// Both sides as one conflict, from the first line that differs to the last.
fn one_conflict([_, ours, theirs]: &[Zeroizing<String>; 3]) -> Zeroizing<String> {
    let [ours, theirs] = [ours, theirs].map(|text| text.split_inclusive('\n').collect::<Vec<_>>());
    let same = |(our, their): &(&&str, &&str)| our == their;
    let start = ours.iter().zip(&theirs).take_while(same).count();
    let (our_rest, their_rest) = (&ours[start..], &theirs[start..]);
    let end = our_rest
        .iter()
        .rev()
        .zip(their_rest.iter().rev())
        .take_while(same)
        .count();
    let mut text = Zeroizing::new(ours[..start].concat());
    push_conflict(
        &mut text,
        &our_rest[..our_rest.len() - end],
        &their_rest[..their_rest.len() - end],
    );
    ours[ours.len() - end..]
        .iter()
        .for_each(|line| text.push_str(line));
    text
}

fn push_conflict(text: &mut String, ours: &[&str], theirs: &[&str]) {
    let mut lines = ours.iter().chain(theirs);
    let end = match lines.any(|line| line.ends_with("\r\n")) {
        true => "\r\n",
        false => "\n",
    };
    let mut push = |line: &str| {
        if !text.is_empty() && !text.ends_with('\n') {
            text.push_str(end);
        }
        text.push_str(line);
    };
    push("<<<<<<< ours");
    push("");
    ours.iter().for_each(|line| push(line));
    push("=======");
    push("");
    theirs.iter().for_each(|line| push(line));
    push(">>>>>>> theirs");
    push("");
}
