//! Where an export stands.

use std::fmt;
use std::str::FromStr;

use data_encoding::BASE64URL_NOPAD;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{Error, ErrorKind, Result};

/// What every token begins with; the number is that of its form.
const PREFIX: &str = "clusterops-export-1.";

/// Where an export stands: given to [`Export::resume`](super::Export::resume) it goes on behind the last page that was
/// finished with.
///
/// It is a text without white space, to be kept as it is: what stands in it is not a promise. It belongs to the export it
/// came from, that is to its indices, query, fields, order and slices, and holds no credentials.
///
/// ```
/// use clusterops_logs::export::Token;
///
/// let error = "something else".parse::<Token>().unwrap_err();
/// assert_eq!(error.to_string(), "this is no token of an export");
/// ```
#[derive(Clone, PartialEq)]
pub struct Token(pub(super) Box<State>);

/// What a token holds.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct State {
    pub(super) of: Binding,
    /// How many documents matched at the start.
    pub(super) total: u64,
    /// The point in time, where there is one.
    pub(super) pit: Option<String>,
    /// The index and the greatest `_seq_no` that it showed at the start.
    pub(super) bounds: Vec<(String, u64)>,
    pub(super) nanoseconds: bool,
    pub(super) slices: Vec<SliceState>,
    pub(super) breaks: Vec<Break>,
}

/// What a token belongs to, each as a digest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Binding {
    pub(super) indices: String,
    pub(super) query: String,
    pub(super) fields: String,
    pub(super) order: String,
    pub(super) slices: usize,
}

/// Where a slice stands.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct SliceState {
    /// It has what is above the first `_seq_no` and not above the second; all where there is none.
    pub(super) range: Option<(i64, i64)>,
    /// The sort values of the last document that was handed on.
    pub(super) after: Option<Vec<Value>>,
    /// How many documents it has, counted at the start.
    pub(super) total: u64,
    pub(super) done: u64,
    pub(super) finished: bool,
}

/// A place where the point in time was lost, and the export went on with what the indices held by then.
///
/// Documents that were neither changed nor removed come exactly once all the same. One that was changed meanwhile counts as
/// a new one, which is not shown; so is one that was removed.
///
/// ```
/// use clusterops_logs::export::Break;
///
/// let whole = Break { done: 20_000, expected: 80_000, found: 80_000 };
/// assert!(whole.is_whole());
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Break {
    /// How many documents had been handed on.
    pub done: u64,
    /// How many were to come.
    pub expected: u64,
    /// How many were found that belong to the export.
    pub found: u64,
}

impl Break {
    /// Whether as many documents were found as were to come: nothing was changed or removed meanwhile.
    pub fn is_whole(&self) -> bool {
        self.expected == self.found
    }
}

impl Token {
    /// How many documents had been handed on.
    pub fn done(&self) -> u64 {
        self.0.done()
    }

    /// How many documents the export has, counted at its start.
    pub fn total(&self) -> u64 {
        self.0.total
    }

    /// Refuses a token of another export, by what differs.
    pub(super) fn check(&self, ours: &Binding) -> Result<()> {
        let theirs = &self.0.of;
        let differs = if theirs.indices != ours.indices {
            "of other indices"
        } else if theirs.query != ours.query {
            "of another query"
        } else if theirs.fields != ours.fields {
            "of other fields"
        } else if theirs.order != ours.order {
            "of another order"
        } else if theirs.slices != ours.slices {
            "of another number of slices"
        } else {
            return Ok(());
        };
        let message = format!(
            "the token is of another export, {differs}: give it to the one that it came from"
        );
        Err(Error::new(ErrorKind::Input, message))
    }
}

impl State {
    pub(super) fn done(&self) -> u64 {
        self.slices
            .iter()
            .fold(0, |sum: u64, slice| sum.saturating_add(slice.done))
    }

    /// Whether what another writes could have come from this program.
    fn is_sound(&self) -> bool {
        let ranges = self.slices.iter().filter_map(|slice| slice.range);
        !self.slices.is_empty()
            && self.slices.len() == self.of.slices
            && self.breaks.len() <= Self::MOST_BREAKS
            && ranges.into_iter().all(|(above, to)| above <= to)
    }

    /// A token has a limit of length.
    pub(super) const MOST_BREAKS: usize = 100;
}

impl fmt::Display for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = serde_json::to_vec(&self.0).map_err(|_| fmt::Error)?;
        write!(f, "{PREFIX}{}", BASE64URL_NOPAD.encode(&state))
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Token({} of {})", self.done(), self.total())
    }
}

impl FromStr for Token {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let wrong = |message: &str| Error::new(ErrorKind::Input, message);
        let Some(encoded) = text.strip_prefix(PREFIX) else {
            return Err(wrong(match text.starts_with("clusterops-export-") {
                true => "the token of an export is of a newer version of this program",
                false => "this is no token of an export",
            }));
        };
        let state = BASE64URL_NOPAD.decode(encoded.as_bytes()).ok();
        let state: Option<State> = state.and_then(|state| serde_json::from_slice(&state).ok());
        match state {
            Some(state) if state.is_sound() => Ok(Self(Box::new(state))),
            _ => Err(wrong(
                "the token of an export is damaged: it is kept as it was given",
            )),
        }
    }
}

impl Serialize for Token {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Token {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?
            .parse()
            .map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
pub(super) mod tests {
    #![expect(clippy::unwrap_used, reason = "a test that fails says where")]
    use super::*;
    use crate::digest::digest;

    pub(in crate::export) fn token() -> Token {
        Token(Box::new(State {
            of: Binding {
                indices: digest(["logs-*"]),
                query: digest(["{}"]),
                fields: digest([]),
                order: "arrival".into(),
                slices: 1,
            },
            total: 10,
            pit: Some("abc".into()),
            bounds: vec![("logs-1".into(), 9)],
            nanoseconds: false,
            slices: vec![SliceState {
                range: Some((-1, 9)),
                after: Some(vec![4.into()]),
                total: 10,
                done: 5,
                finished: false,
            }],
            breaks: Vec::new(),
        }))
    }

    #[test]
    fn a_token_reads_back() {
        let token = token();
        let text = token.to_string();
        assert_eq!(text.parse::<Token>().unwrap(), token);
        let json = serde_json::to_string(&token).unwrap();
        assert_eq!(serde_json::from_str::<Token>(&json).unwrap(), token);
        assert!(!text.contains(char::is_whitespace));
    }

    #[test]
    fn damaged_newer_and_other_tokens_are_told_apart() {
        let token = token();
        let text = token.to_string();
        for (text, part) in [
            (&text[..text.len() - 1], "damaged"),
            ("clusterops-export-1.", "damaged"),
            ("clusterops-export-2.abc", "newer"),
            ("", "no token"),
        ] {
            let error = text.parse::<Token>().unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Input);
            assert!(error.to_string().contains(part), "{error}");
        }
        token.check(&token.0.of).unwrap();
        let other = Binding {
            query: digest(["other"]),
            ..token.0.of.clone()
        };
        let error = token.check(&other).unwrap_err();
        assert!(error.to_string().contains("of another query"), "{error}");
    }
}
