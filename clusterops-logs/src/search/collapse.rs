//! One hit of each group.

use crate::query::InnerHits;
use crate::query::parts::{Json, Parts};

/// Gives only the first hit of all that have the same value in a field ("Collapse search results").
///
/// Together with `search_after` the search is sorted by this field alone; before Elasticsearch 7.14 and in OpenSearch before
/// 3.3 servers refuse the two together.
///
/// ```
/// use clusterops_logs::query::InnerHits;
/// use clusterops_logs::search::Collapse;
/// use clusterops_logs::{Query, Search};
///
/// let newest = Collapse::by("host.name").inner_hits(InnerHits::new().name("last").size(5));
/// let search = Search::new(Query::match_all()).collapse(newest);
/// assert!(search.check().is_ok());
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct Collapse(Parts);

impl Collapse {
    /// By the value of this field.
    pub fn by(field: impl Into<String>) -> Self {
        let field = field.into();
        let mut parts = Parts::new();
        if field.is_empty() {
            parts.fail("collapse: it needs the name of a field");
        }
        Self(parts.with("field", field))
    }

    /// Shows others of each group; several are told apart by their names.
    #[must_use]
    pub fn inner_hits(mut self, hits: InnerHits) -> Self {
        self.0.push("inner_hits", hits);
        self
    }

    /// How many groups the server fetches at once.
    #[must_use]
    pub fn max_concurrent_group_searches(mut self, searches: u32) -> Self {
        self.0.set("max_concurrent_group_searches", searches);
        self
    }

    /// An option in the server's own words, which nothing here checks.
    #[must_use]
    pub fn raw(mut self, name: &str, value: serde_json::Value) -> Self {
        self.0.set(name, value);
        self
    }
}

impl From<&str> for Collapse {
    fn from(field: &str) -> Self {
        Self::by(field)
    }
}

impl From<Collapse> for Json {
    fn from(collapse: Collapse) -> Self {
        collapse.0.into()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn documented_json() {
        // Elasticsearch Guide, "Collapse search results", "Expand collapse results".
        let collapse = Collapse::by("user.id")
            .inner_hits(InnerHits::new().name("largest_responses").size(3))
            .inner_hits(
                InnerHits::new()
                    .name("most_recent")
                    .size(3)
                    .sort(json!({"@timestamp": "desc"})),
            )
            .raw("max_concurrent_group_searches", json!(4));
        let expected = json!({
            "field": "user.id",
            "inner_hits": [
                {"name": "largest_responses", "size": 3},
                {"name": "most_recent", "size": 3, "sort": [{"@timestamp": "desc"}]}
            ],
            "max_concurrent_group_searches": 4
        });
        assert_eq!(Json::from(collapse).value(), &expected);
    }
}
