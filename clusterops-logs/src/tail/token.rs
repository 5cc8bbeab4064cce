//! Where a tail stands, in a form that can be kept.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::str::FromStr;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::Since;
use super::watermark::Watermark;
use crate::{Error, ErrorKind, Result};

/// Where a tail stands: what has been handed over, shard by shard.
///
/// It is plain data, and its text is one line of JSON without secrets, apart from what stands in the query. Each
/// [`Batch`](super::Batch) carries the one that is true once its documents are dealt with; keep it then, and
/// [`Tail::resume`](super::Tail::resume) continues behind them.
///
/// ```
/// use clusterops_logs::tail::Token;
///
/// let error = "{}".parse::<Token>().unwrap_err();
/// assert!(error.to_string().starts_with("this is no token of a tail"));
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Token {
    /// The form of this data.
    pub(super) version: u32,
    pub(super) indices: String,
    pub(super) query: Value,
    /// When the tail began.
    pub(super) began: Timestamp,
    /// Whether that is by the cluster's clock, and not this machine's.
    #[serde(skip_serializing_if = "std::ops::Not::not", default)]
    pub(super) began_by_cluster: bool,
    pub(super) since: Since,
    /// Up to here documents have been handed over in the order of their times.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub(super) shown_to: Option<Timestamp>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub(super) watermark: Option<Watermark>,
    #[serde(with = "listed", default)]
    pub(super) shards: BTreeMap<Shard, Position>,
}

/// Names a shard for as long as it lives.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub(super) struct Shard {
    /// The index's uuid: its name can be given to another one.
    pub(super) index: String,
    pub(super) number: u32,
}

/// How far a shard has been read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Position {
    pub(super) name: String,
    pub(super) history: String,
    /// Every operation up to this number has been dealt with; -1 is before the first.
    pub(super) done: i64,
    /// Up to this number only what is as new as the tail's `since` is handed over.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub(super) backlog: Option<i64>,
    /// What the aliases let through that lead to the index.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub(super) filter: Option<Value>,
    /// What lies beyond `done` and has been handed over nonetheless.
    #[serde(skip_serializing_if = "BTreeSet::is_empty", default)]
    pub(super) ahead: BTreeSet<i64>,
}

/// The version of the form that is written and read.
pub(super) const VERSION: u32 = 1;

impl fmt::Display for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = serde_json::to_string(self).map_err(|_| fmt::Error)?;
        f.write_str(&text)
    }
}

impl FromStr for Token {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let unusable = |what: &str| {
            let message = format!(
                "this is no token of a tail{what}; without one, the tail begins at its `since`"
            );
            Error::new(ErrorKind::Input, message)
        };
        let read: Self = match serde_json::from_str(text) {
            Ok(read) => read,
            Err(error) => {
                // Its text would repeat what it met.
                let place = format!(" (line {}, column {})", error.line(), error.column());
                return Err(unusable(&place));
            }
        };
        if read.version != VERSION {
            let what = format!(" that this release reads: its version is {}", read.version);
            return Err(unusable(&what));
        }
        Ok(read)
    }
}

/// A map whose keys are no strings, as a list.
mod listed {
    use std::collections::BTreeMap;

    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    use super::{Position, Shard};

    #[derive(Serialize, Deserialize)]
    struct Item<S, P> {
        #[serde(flatten)]
        shard: S,
        #[serde(flatten)]
        position: P,
    }

    pub(super) fn serialize<S: Serializer>(
        shards: &BTreeMap<Shard, Position>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(
            shards
                .iter()
                .map(|(shard, position)| Item { shard, position }),
        )
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<BTreeMap<Shard, Position>, D::Error> {
        let items = Vec::<Item<Shard, Position>>::deserialize(deserializer)?;
        Ok(items
            .into_iter()
            .map(|item| (item.shard, item.position))
            .collect())
    }
}
