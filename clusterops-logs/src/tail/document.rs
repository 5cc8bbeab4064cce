//! What is asked of servers for a document, and what comes of it.

use jiff::Timestamp;
use serde_json::{Map, Value, json};

use crate::search::Hit;

/// A document that a tail found.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Document {
    /// The document; its `version` and `seq_no` are there.
    pub hit: Hit,
    /// The shard it stands in, where that is known.
    pub shard: Option<u32>,
    /// Its time, where it has one.
    pub time: Option<Timestamp>,
    /// Whether one with a later time was handed over before it.
    pub late: bool,
    /// What stands for it among its versions, where one that was replaced can come behind the other.
    pub(super) key: Option<u64>,
}

impl Document {
    pub(super) fn of(hit: Hit, shard: Option<u32>, time_field: &str) -> Self {
        let time = hit
            .fields
            .get(time_field)
            .and_then(|values| values.get(0))
            .and_then(Value::as_str)
            .and_then(|text| text.parse().ok());
        Self {
            hit,
            shard,
            time,
            late: false,
            key: None,
        }
    }
}

/// What is wanted of each document.
#[derive(Debug, Clone)]
pub(super) struct Wanted {
    pub(super) time_field: String,
    /// More members of a search's body, such as which fields to send.
    pub(super) members: Map<String, Value>,
}

impl Wanted {
    /// The body of a search that gives what a [`Document`] holds, without its size.
    pub(super) fn body(&self, filters: Vec<Value>, sort: Value) -> Map<String, Value> {
        let mut body = self.members.clone();
        let time = json!([{"field": self.time_field, "format": "strict_date_optional_time_nanos"}]);
        body.entry("docvalue_fields").or_insert(time);
        for (name, value) in [
            ("query", json!({"bool": {"filter": filters}})),
            ("sort", sort),
            ("seq_no_primary_term", json!(true)),
            ("version", json!(true)),
            ("track_total_hits", json!(false)),
        ] {
            body.insert(name.to_owned(), value);
        }
        body
    }
}
