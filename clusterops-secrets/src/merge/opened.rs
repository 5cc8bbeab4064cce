//! Merging by what sealed values say, for those who can open them.

use std::collections::{BTreeMap, BTreeSet};

use zeroize::Zeroizing;

use super::Side;
use crate::contents::Contents;
use crate::document::{Format, Pointer};
use crate::identity::Identity;
use crate::{DocumentId, Result};

/// A document, and what the sealed values in it say.
pub(super) struct OpenedSide {
    side: Side,
    values: BTreeMap<Pointer, Value>,
}

#[derive(PartialEq, Eq)]
struct Value {
    text: Zeroizing<String>,
    is_json: bool,
}

impl OpenedSide {
    pub(super) async fn read(
        text: &str,
        format: Format,
        id: &DocumentId,
        identities: &[&dyn Identity],
    ) -> Result<Self> {
        let document = Side::document(text, format)?;
        let contents = Contents::of(&document)?;
        let values = contents.open(id, identities, |_| true).await?;
        let values = values.into_iter().map(|value| {
            let is_json = value.sealed.token.header().is_json;
            let text = value.text;
            (value.sealed.path.clone(), Value { text, is_json })
        });
        Ok(Self {
            values: values.collect(),
            side: Side::of(&contents),
        })
    }
}

/// The three documents; tokens of one path that say the same are one and the same token, that of a side which sealed it anew.
pub(super) fn with_same_tokens(opened: [OpenedSide; 3]) -> [Side; 3] {
    let [base, ours, theirs] = opened;
    let values = [base.values, ours.values, theirs.values];
    let mut sides = [base.side, ours.side, theirs.side];
    let paths: BTreeSet<Pointer> = values.iter().flat_map(BTreeMap::keys).cloned().collect();
    for path in &paths {
        let old = sides[0].tokens.get(path).cloned();
        for chosen in [1, 2] {
            let token = sides[chosen].tokens.get(path).cloned();
            let Some(token) = token.filter(|token| Some(token) != old.as_ref()) else {
                continue;
            };
            let value = values[chosen].get(path);
            for (side, others) in sides.iter_mut().zip(&values) {
                if others.get(path) == value {
                    side.tokens.insert(path.clone(), token.clone());
                }
            }
        }
    }
    sides
}
