//! What documents to find.

use serde::Serialize;
use serde_json::{Value, json};

/// A query, as it stands below `query` in a search.
///
/// ```
/// use clusterops_logs::Query;
///
/// let query = Query::match_all();
/// assert_eq!(serde_json::to_string(&query).unwrap(), r#"{"match_all":{}}"#);
/// ```
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(transparent)]
pub struct Query(Value);

impl Query {
    /// Every document.
    pub fn match_all() -> Self {
        Self(json!({"match_all": {}}))
    }

    /// A query in the server's own words, which nothing here checks.
    pub fn raw(query: Value) -> Self {
        Self(query)
    }
}
