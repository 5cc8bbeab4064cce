//! Merging by values, where lines do not merge: two people who add a value at the end of one object change the same line.

use std::collections::HashMap;

use zeroize::Zeroizing;

use crate::document::{Document, Edits, Format, Kind, Pointer};

/// Puts the values that one side has added or replaced into the text of the other, first theirs into ours. `None` when neither
/// side did only that, or when both changed one value.
pub(super) fn merged(
    [base, ours, theirs]: &[Zeroizing<String>; 3],
    format: Format,
) -> Option<Zeroizing<String>> {
    let merge = |changed: &str, other: &str| {
        let changes = changes(base, changed, format)?;
        // They must be all that was changed: no comment, no order, nothing removed.
        (*applied(base, format, &changes, None)? == changed)
            .then(|| applied(other, format, &changes, Some(base)))
            .flatten()
    };
    merge(theirs, ours).or_else(|| merge(ours, theirs))
}

type Changes = Vec<(Pointer, Kind, Zeroizing<String>)>;

/// What stands in the text and not so in the base, in the order of the text.
fn changes(base: &str, text: &str, format: Format) -> Option<Changes> {
    let [base, text] = [base, text].map(|text| Document::parse(text.as_bytes(), format).ok());
    let (base, text) = (base?, text?);
    let before: HashMap<Pointer, (Kind, &str)> = values(&base).collect();
    let changed = values(&text)
        .filter(|(path, value)| before.get(path) != Some(value))
        .map(|(path, (kind, text))| (path, kind, Zeroizing::new(text.to_owned())));
    Some(changed.collect())
}

/// The text with the changes in it; where there is a base, only if it says at those places what the base says, or has it
/// already.
fn applied(
    text: &str,
    format: Format,
    changes: &Changes,
    base: Option<&str>,
) -> Option<Zeroizing<String>> {
    let document = Document::parse(text.as_bytes(), format).ok()?;
    let base = match base {
        Some(base) => Some(Document::parse(base.as_bytes(), format).ok()?),
        None => None,
    };
    let same = base.as_ref().map(|base| Same::new(base, &document));
    let mut edits = Edits::new(&document);
    for (path, kind, new) in changes {
        if same.as_ref().is_some_and(|same| !same.is_around(path)) {
            return None;
        }
        let at = |document: &Document| {
            let scalar = document.find(path)?;
            Some((scalar.kind, document.text(scalar).to_owned()))
        };
        let here = at(&document);
        if here
            .as_ref()
            .is_some_and(|(known, text)| known == kind && *text == **new)
        {
            continue;
        }
        if let Some(base) = &base
            && at(base) != here
        {
            return None;
        }
        match (here, kind) {
            (Some(_), Kind::String) => edits.set_string(path, new).ok()?,
            (Some(_), _) => edits.set_literal(path, new).ok()?,
            (None, Kind::String) if !document.contains(path) => edits.insert(path, new).ok()?,
            (None, _) => return None,
        }
    }
    edits.apply().ok()
}

/// Two documents, and whether a path means the same in both.
struct Same<'d> {
    documents: [&'d Document; 2],
    paths: [Vec<String>; 2],
}

impl<'d> Same<'d> {
    fn new(base: &'d Document, other: &'d Document) -> Self {
        let documents = [base, other];
        let paths = documents.map(|document| {
            let mut paths: Vec<String> = values(document)
                .map(|(path, _)| path.as_str().to_owned())
                .collect();
            paths.sort_unstable();
            paths
        });
        Self { documents, paths }
    }

    /// What is around the path is still there, and no array that it counts in has other elements.
    fn is_around(&self, path: &Pointer) -> bool {
        let mut around = Pointer::root();
        for token in path.tokens() {
            let [base, other] = self.documents.map(|document| document.contains(&around));
            if base && !other {
                return false;
            }
            let is_index = !token.is_empty() && token.bytes().all(|byte| byte.is_ascii_digit());
            if is_index && self.below(0, &around) != self.below(1, &around) {
                return false;
            }
            around = around.join(&token);
        }
        true
    }

    fn below(&self, document: usize, around: &Pointer) -> &[String] {
        let (paths, inside) = (&self.paths[document], around.join(""));
        let start = paths.partition_point(|path| path.as_str() < inside.as_str());
        let length = paths[start..].partition_point(|path| path.starts_with(inside.as_str()));
        &paths[start..start + length]
    }
}

fn values(document: &Document) -> impl Iterator<Item = (Pointer, (Kind, &str))> {
    document
        .scalars()
        .iter()
        .map(|scalar| (document.path(scalar), (scalar.kind, document.text(scalar))))
}
