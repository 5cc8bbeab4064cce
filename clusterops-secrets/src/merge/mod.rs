//! Merging what two people did to a sealed document, without private keys.

mod changes;
mod diff3;
mod words;

use std::collections::{BTreeMap, BTreeSet};

use zeroize::Zeroizing;

use diff3::Hunk;
use words::Words;

use crate::contents::Contents;
use crate::document::{Document, Edits, Format, Header, Pointer};
use crate::{Error, ErrorKind, Result};

/// The outcome of a [`merge`].
#[derive(Clone)]
#[non_exhaustive]
pub struct Merged {
    /// The merged document; where there are conflicts, with git's conflict markers around the lines that differ, and not
    /// readable until they are resolved.
    pub text: Zeroizing<String>,
    /// The sealed values that both sides changed.
    pub conflicts: Vec<Pointer>,
    /// Whether lines conflict too.
    pub has_line_conflicts: bool,
}

impl Merged {
    /// Whether nothing is left to be decided.
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
/// are moved as they are.
///
/// Lines merge as diff3(1) merges them; where they do not, and one side did nothing but add or replace values, its values are put
/// into the other side's text. A sealed value that one side changed wins over one that nobody changed; rotating a
/// document changes all of its values, so a value that the other side set meanwhile is a conflict, which ends with a choice. The
/// merged document has the epochs that its values use, from whichever side.
///
/// # Errors
/// [`ErrorKind::Syntax`] and [`ErrorKind::Format`] when one of the documents cannot be read, [`ErrorKind::Misplaced`] when they are
/// not sealed as the same document.
pub fn merge(base: &str, ours: &str, theirs: &str, format: Format) -> Result<Merged> {
    let read = |name: &str, text: &str| {
        // A file that one side has added has an empty base.
        let text = match (format, text.trim().is_empty()) {
            (Format::Json, true) => "{}",
            _ => text,
        };
        Side::read(text, format).map_err(|error| {
            let message = format!("{name} cannot be merged");
            Error::new(error.kind(), message).caused_by(error)
        })
    };
    let (base, ours, theirs) = (
        read("the base", base)?,
        read("our side", ours)?,
        read("their side", theirs)?,
    );
    let id = match (&ours.document, &theirs.document) {
        (Some(our), Some(their)) if our != their => {
            let message = format!("our side is sealed as `{our}`, their side as `{their}`");
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
    let texts = [with_words(&base)?, with_words(&ours)?, with_words(&theirs)?];
    let (text, has_line_conflicts) = match lines_merged(&texts) {
        (text, false) => (text, false),
        (text, true) => changes::merged(&texts, format).map_or((text, true), |text| (text, false)),
    };
    let text = words.restored(&text);
    Ok(Merged {
        text: match has_line_conflicts {
            true => text,
            false => with_used_epochs(&text, format)?,
        },
        conflicts: conflicts(&base, &ours, &theirs),
        has_line_conflicts,
    })
}

/// The document without the epochs that none of its values uses.
fn with_used_epochs(text: &str, format: Format) -> Result<Zeroizing<String>> {
    let document = Document::parse(text.as_bytes(), format).map_err(|error| {
        let message = "the lines merge, but the result cannot be read";
        Error::new(ErrorKind::Syntax, message).caused_by(error)
    })?;
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
    edits.apply()
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
        let document = Document::parse(text.as_bytes(), format)?;
        let contents = Contents::of(&document)?;
        let header = document.header();
        Ok(Self {
            text: Zeroizing::new(text.to_owned()),
            document: header.map(|header| header.document.clone()),
            epochs: header
                .map(|header| header.epochs.iter().cloned().collect())
                .unwrap_or_default(),
            tokens: contents
                .sealed()
                .iter()
                .map(|value| (value.path.clone(), document.text(value.scalar).to_owned()))
                .collect(),
        })
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

/// The paths at which both sides have another token than the base, and not the same.
fn conflicts(base: &Side, ours: &Side, theirs: &Side) -> Vec<Pointer> {
    let paths: BTreeSet<&Pointer> = ours.tokens.keys().chain(theirs.tokens.keys()).collect();
    let differ = |path: &&&Pointer| {
        let [base, our, their] = [base, ours, theirs].map(|side| side.tokens.get(**path));
        our != their && our != base && their != base
    };
    paths
        .iter()
        .filter(differ)
        .map(|path| (**path).clone())
        .collect()
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
                push_marked(&mut text, "<<<<<<< ours", ours);
                push_marked(&mut text, "=======", theirs);
                text.push_str(">>>>>>> theirs\n");
            }
        }
    }
    (text, has_conflicts)
}

fn push_marked(text: &mut String, marker: &str, lines: &[&str]) {
    if !text.is_empty() && !text.ends_with('\n') {
        text.push('\n');
    }
    text.push_str(marker);
    text.push('\n');
    lines.iter().for_each(|line| text.push_str(line));
    if !text.ends_with('\n') {
        text.push('\n');
    }
}
