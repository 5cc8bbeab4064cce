//! Queries into nested documents.

use super::{Draft, InnerHits, NestedScore, Query, query};

/// Documents of which a nested one matches ("Nested query").
///
/// ```
/// use clusterops_logs::Query;
/// use clusterops_logs::query::NestedScore;
///
/// let query = Query::nested("spans", Query::term("spans.status", "error"))
///     .score_mode(NestedScore::None)
///     .ignore_unmapped(true);
/// # assert!(Query::from(query).check().is_ok());
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct Nested(Draft);

query!(Nested);

impl Query {
    /// Documents of which one that is nested at `path` matches; the query names its fields with the path before them.
    pub fn nested(path: impl Into<String>, query: impl Into<Query>) -> Nested {
        let path = path.into();
        let mut draft = Draft::new("nested");
        if path.is_empty() {
            draft.fail("it needs a path");
        }
        Nested(draft.with("path", path).with("query", query.into()))
    }
}

impl Nested {
    /// How the scores of the nested documents become one; their average by default.
    #[must_use]
    pub fn score_mode(self, mode: NestedScore) -> Self {
        Self(self.0.with("score_mode", mode))
    }

    /// Whether an index without such a path is one without a match, and no error.
    #[must_use]
    pub fn ignore_unmapped(self, ignore: bool) -> Self {
        Self(self.0.with("ignore_unmapped", ignore))
    }

    /// Shows with each hit the nested documents that matched.
    #[must_use]
    pub fn inner_hits(self, hits: InnerHits) -> Self {
        Self(self.0.with("inner_hits", hits))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn documented_json() {
        // Elasticsearch Guide, "Nested query", "Multi-level nested queries".
        let query = Query::nested(
            "driver",
            Query::nested(
                "driver.vehicle",
                Query::bool()
                    .must(Query::matches("driver.vehicle.make", "Powell Motors"))
                    .must(Query::matches("driver.vehicle.model", "Canyonero")),
            ),
        );
        let expected = json!({"nested": {"path": "driver", "query": {"nested": {
            "path": "driver.vehicle",
            "query": {"bool": {"must": [
                {"match": {"driver.vehicle.make": "Powell Motors"}},
                {"match": {"driver.vehicle.model": "Canyonero"}}
            ]}}
        }}}});
        assert_eq!(Query::from(query).to_json().ok(), Some(expected));
    }
}
