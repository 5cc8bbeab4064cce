//! What a search answers.

use std::collections::BTreeMap;

use serde::{Deserialize, Deserializer};
use serde_json::Value;
use serde_json::value::RawValue;

use super::shortfall::{Clusters, Shards};
use crate::{Error, ErrorKind, Result};

/// One page of hits.
///
/// ```
/// use clusterops_logs::Page;
///
/// let answer = r#"{"took":3,"timed_out":false,"_shards":{"total":2,"successful":2,"failed":0},
///     "hits":{"total":{"value":1,"relation":"eq"},"hits":[{"_index":"logs","_id":"a","_source":{"message":"hi"}}]}}"#;
/// let page = Page::from_json(answer.as_bytes()).unwrap().whole().unwrap();
/// assert_eq!(page.total, Some(1));
/// assert_eq!(page.hits[0].source.as_ref().unwrap().get(), r#"{"message":"hi"}"#);
/// ```
#[derive(Debug, Clone, Default)]
pub struct Page {
    /// The hits, in the order asked for.
    pub hits: Vec<Hit>,
    /// How many documents match, where the server counted them.
    pub total: Option<u64>,
    /// Whether at least that many match rather than exactly so many: servers stop counting at 10,000 unless told otherwise.
    pub total_is_lower_bound: bool,
    /// The best score, where scores were asked for.
    pub max_score: Option<f64>,
    /// How long the server took, in milliseconds.
    pub took: u64,
    /// The id to ask the same point in time with next.
    pub pit_id: Option<String>,
    /// The id to scroll on with.
    pub scroll_id: Option<String>,
    /// The aggregations, by name.
    pub aggregations: BTreeMap<String, Value>,
    /// Whether the search ran into its timeout, so that hits are missing.
    pub timed_out: bool,
    /// Whether shards stopped early: as `terminate_after` tells them to, or because what is counted beforehand was enough
    /// (OpenSearch 3.8).
    pub terminated_early: bool,
    /// What the shards did.
    pub shards: Shards,
    /// What other clusters did, where the search went to some.
    pub clusters: Option<Clusters>,
}

impl Page {
    /// Reads the answer of a search, of any supported version.
    ///
    /// # Errors
    /// [`Answer`](ErrorKind::Answer) for something else.
    pub fn from_json(answer: &[u8]) -> Result<Self> {
        let answer = Answer::read(answer)?;
        let hits = answer
            .hits
            .hits
            .iter()
            .map(|hit| Hit::read(hit.get().as_bytes()));
        let hits = hits.collect::<Result<_>>()?;
        Ok(answer.page(hits))
    }

    /// This page, unless it does not cover everything that was asked for.
    ///
    /// # Errors
    /// [`Partial`](ErrorKind::Partial) for a timeout, failed shards, and clusters that were left out: who and why.
    pub fn whole(self) -> Result<Self> {
        match self.shortfall() {
            Some(error) => Err(error),
            None => Ok(self),
        }
    }

    /// How many documents match, where that was asked for.
    pub(crate) fn counted(&self) -> Result<u64> {
        self.total
            .ok_or_else(|| Error::new(ErrorKind::Answer, "the answer to a search has no total"))
    }

    /// What this page lacks of what was asked for, where it lacks something.
    pub fn shortfall(&self) -> Option<Error> {
        super::shortfall::of(
            "the page of hits",
            self.timed_out,
            &self.shards,
            self.clusters.as_ref(),
        )
    }
}

/// A document that was found.
#[derive(Debug, Clone, Deserialize)]
pub struct Hit {
    /// The index it stands in: the index itself, not an alias; with its cluster in front, as `europe:logs`, where it came
    /// from another.
    #[serde(rename = "_index")]
    pub index: String,
    /// Its id.
    #[serde(rename = "_id", default)]
    pub id: String,
    /// How well it matches, where that was asked for.
    #[serde(rename = "_score", default)]
    pub score: Option<f64>,
    /// Its routing, where it has one of its own.
    #[serde(rename = "_routing")]
    pub routing: Option<String>,
    /// Its version, where that was asked for.
    #[serde(rename = "_version")]
    pub version: Option<u64>,
    /// The number of the operation that wrote it in its shard, where that was asked for.
    #[serde(rename = "_seq_no")]
    pub seq_no: Option<u64>,
    /// The term of the primary that gave that number.
    #[serde(rename = "_primary_term")]
    pub primary_term: Option<u64>,
    /// The document itself as the server sent it, unless it was not asked for.
    #[serde(rename = "_source")]
    pub source: Option<Box<RawValue>>,
    /// Values asked for by name.
    #[serde(default)]
    pub fields: BTreeMap<String, Value>,
    /// The fields that were not indexed because they did not fit.
    #[serde(rename = "_ignored", default)]
    pub ignored: Vec<String>,
    /// What matched, by field, where highlighting was asked for.
    #[serde(default)]
    pub highlight: BTreeMap<String, Vec<String>>,
    /// The hits inside of it, by name, where nested documents or a collapse asked for them.
    #[serde(default, deserialize_with = "inner")]
    pub inner_hits: BTreeMap<String, Vec<Hit>>,
    /// The names of the queries that matched, where they have names.
    #[serde(default, deserialize_with = "names")]
    pub matched_queries: Vec<String>,
    /// The values it was sorted by.
    #[serde(default)]
    pub sort: Vec<Value>,
}

impl Hit {
    pub(crate) fn read(json: &[u8]) -> Result<Self> {
        serde_json::from_slice(json)
            .map_err(|error| unreadable("a hit of the answer to a search", &error))
    }
}

/// The answer as servers write it, with its hits as they stand.
#[derive(Debug, Default, Deserialize)]
pub(crate) struct Answer {
    #[serde(default)]
    took: u64,
    #[serde(default)]
    timed_out: bool,
    #[serde(default)]
    terminated_early: Option<bool>,
    #[serde(rename = "_shards", default)]
    shards: Shards,
    #[serde(rename = "_clusters")]
    clusters: Option<Clusters>,
    #[serde(rename = "_scroll_id")]
    scroll_id: Option<String>,
    #[serde(rename = "pit_id")]
    pit_id: Option<String>,
    hits: Hits,
    #[serde(default)]
    aggregations: BTreeMap<String, Value>,
}

#[derive(Debug, Default, Deserialize)]
struct Hits {
    total: Option<Total>,
    max_score: Option<f64>,
    #[serde(default)]
    hits: Vec<Box<RawValue>>,
}

/// `hits.total`: an object since version 7, or a number where `rest_total_hits_as_int` asks for that.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Total {
    Number(u64),
    Object { value: u64, relation: String },
}

impl Answer {
    pub(crate) fn read(json: &[u8]) -> Result<Self> {
        serde_json::from_slice(json).map_err(|error| unreadable("the answer to a search", &error))
    }

    pub(crate) fn page(self, hits: Vec<Hit>) -> Page {
        let (total, total_is_lower_bound) = match self.hits.total {
            None => (None, false),
            Some(Total::Number(value)) => (Some(value), false),
            Some(Total::Object { value, relation }) => (Some(value), relation != "eq"),
        };
        Page {
            hits,
            total,
            total_is_lower_bound,
            max_score: self.hits.max_score,
            took: self.took,
            pit_id: self.pit_id,
            scroll_id: self.scroll_id,
            aggregations: self.aggregations,
            timed_out: self.timed_out,
            terminated_early: self.terminated_early.unwrap_or(false),
            shards: self.shards,
            clusters: self.clusters,
        }
    }
}

/// What the parser says may quote documents, so only the place is told.
fn unreadable(what: &str, error: &serde_json::Error) -> Error {
    use serde_json::error::Category;
    let (line, column) = (error.line(), error.column());
    let how = match error.classify() {
        Category::Data => "has another shape than expected",
        Category::Eof => "ends in the middle",
        _ => "is no JSON",
    };
    let message = format!("{what} {how} (line {line}, column {column})");
    Error::new(ErrorKind::Answer, message)
}

/// `inner_hits` have the shape of an answer's `hits` once more.
fn inner<'de, D: Deserializer<'de>>(from: D) -> Result<BTreeMap<String, Vec<Hit>>, D::Error> {
    #[derive(Deserialize)]
    struct Outer {
        hits: Inner,
    }
    #[derive(Deserialize)]
    struct Inner {
        #[serde(default)]
        hits: Vec<Hit>,
    }
    let named = BTreeMap::<String, Outer>::deserialize(from)?;
    let named = named.into_iter();
    Ok(named.map(|(name, outer)| (name, outer.hits.hits)).collect())
}

/// `matched_queries`: names, or names with their scores.
fn names<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<String>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Names {
        List(Vec<String>),
        Scores(BTreeMap<String, f64>),
    }
    Ok(match Names::deserialize(from)? {
        Names::List(names) => names,
        Names::Scores(scores) => scores.into_keys().collect(),
    })
}
