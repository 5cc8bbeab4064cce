//! What a search answers.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;

/// One page of hits.
#[derive(Debug, Clone, Default)]
pub struct Page {
    /// The hits, in the order asked for.
    pub hits: Vec<Hit>,
    /// How many documents match, where the server counted them.
    pub total: Option<u64>,
    /// The id to ask the same point in time with next.
    pub pit_id: Option<String>,
    /// The aggregations, by name.
    pub aggregations: BTreeMap<String, Value>,
}

/// A document that was found.
#[derive(Debug, Clone, Deserialize)]
pub struct Hit {
    /// The index it stands in: the index itself, not an alias.
    #[serde(rename = "_index")]
    pub index: String,
    /// Its id.
    #[serde(rename = "_id", default)]
    pub id: String,
    /// Its version, where that was asked for.
    #[serde(rename = "_version")]
    pub version: Option<u64>,
    /// The number of the operation that wrote it in its shard, where that was asked for.
    #[serde(rename = "_seq_no")]
    pub seq_no: Option<u64>,
    /// The document itself as the server sent it, unless it was not asked for.
    #[serde(rename = "_source")]
    pub source: Option<Box<RawValue>>,
    /// Values asked for by name.
    #[serde(default)]
    pub fields: BTreeMap<String, Value>,
    /// What matched, by field, where highlighting was asked for.
    #[serde(default)]
    pub highlight: BTreeMap<String, Vec<String>>,
    /// The values it was sorted by.
    #[serde(default)]
    pub sort: Vec<Value>,
}
