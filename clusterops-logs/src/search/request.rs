//! The body of a search.

use serde::Serialize;
use serde_json::{Map, Value};

use crate::Query;

/// A search: a query, and what of its hits to give.
///
/// ```
/// use clusterops_logs::{Query, Search};
///
/// let search = Search::new(Query::match_all()).size(10);
/// assert_eq!(serde_json::to_string(&search).unwrap(), r#"{"query":{"match_all":{}},"size":10}"#);
/// ```
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Search {
    query: Query,
    #[serde(flatten)]
    rest: Map<String, Value>,
}

impl Search {
    /// A search for what the query finds, with the server's defaults.
    pub fn new(query: Query) -> Self {
        Self {
            query,
            rest: Map::new(),
        }
    }

    /// How many hits to give at most.
    #[must_use]
    pub fn size(self, hits: u32) -> Self {
        self.raw("size", hits.into())
    }

    /// A member of the body in the server's own words, which nothing here checks.
    #[must_use]
    pub fn raw(mut self, name: &str, value: Value) -> Self {
        self.rest.insert(name.to_owned(), value);
        self
    }
}
