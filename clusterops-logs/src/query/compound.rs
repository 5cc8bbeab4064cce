//! Queries made of queries.

use serde_json::Value;

use super::{Draft, MinimumShouldMatch, Query, query};

/// Queries that must, should or must not match ("Boolean query").
///
/// ```
/// use clusterops_logs::Query;
/// use serde_json::json;
///
/// let query = Query::bool()
///     .should(Query::term("level", "error"))
///     .should(Query::prefix("service.name", "billing-"))
///     .minimum_should_match(1);
/// assert_eq!(
///     serde_json::to_value(&query)?,
///     json!({"bool": {
///         "should": [
///             {"term": {"level": {"value": "error"}}},
///             {"prefix": {"service.name": {"value": "billing-"}}}
///         ],
///         "minimum_should_match": 1
///     }})
/// );
/// # Ok::<_, serde_json::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct Bool(Draft);

/// Every match of a query with the same score ("Constant score query").
///
/// ```
/// use clusterops_logs::Query;
///
/// let query = Query::constant_score(Query::term("level", "error")).boost(2.0);
/// # assert!(Query::from(query).check().is_ok());
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct ConstantScore(Draft);

/// Matches of one query, lower where another matches too ("Boosting query").
///
/// ```
/// use clusterops_logs::Query;
///
/// let query = Query::boosting(
///     Query::matches("message", "timeout"),
///     Query::term("service.name", "canary"),
///     0.2,
/// );
/// # assert!(Query::from(query).check().is_ok());
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct Boosting(Draft);

/// Matches of any of several queries, scored by the best ("Disjunction max query").
///
/// ```
/// use clusterops_logs::Query;
///
/// let query = Query::dis_max(Query::matches("message", "timeout"))
///     .query(Query::matches("error.message", "timeout"))
///     .tie_breaker(0.7);
/// # assert!(Query::from(query).check().is_ok());
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct DisMax(Draft);

query!(Bool, ConstantScore, Boosting, DisMax);

impl Query {
    /// Queries that must, should or must not match; without any, every document.
    pub fn bool() -> Bool {
        Bool(Draft::new("bool"))
    }

    /// Every match of this query with the same score.
    pub fn constant_score(filter: impl Into<Query>) -> ConstantScore {
        ConstantScore(Draft::new("constant_score").with("filter", filter.into()))
    }

    /// Matches of `positive`; the score is multiplied by `factor`, from 0 to 1, where `negative` matches too.
    pub fn boosting(
        positive: impl Into<Query>,
        negative: impl Into<Query>,
        factor: f64,
    ) -> Boosting {
        let draft = Draft::new("boosting")
            .with("positive", positive.into())
            .with("negative", negative.into());
        Boosting(draft.with_positive("negative_boost", factor))
    }

    /// Matches of this query or others, scored by the best.
    pub fn dis_max(query: impl Into<Query>) -> DisMax {
        DisMax(Draft::new("dis_max")).query(query)
    }
}

impl Bool {
    /// Must match, and counts for the score.
    #[must_use]
    pub fn must(self, query: impl Into<Query>) -> Self {
        self.clause("must", query)
    }

    /// [`must`](Self::must) with each of these.
    #[must_use]
    pub fn must_each(self, queries: impl IntoIterator<Item = impl Into<Query>>) -> Self {
        queries.into_iter().fold(self, Self::must)
    }

    /// Must match, and does not count for the score: the cheapest.
    #[must_use]
    pub fn filter(self, query: impl Into<Query>) -> Self {
        self.clause("filter", query)
    }

    /// [`filter`](Self::filter) with each of these.
    #[must_use]
    pub fn filter_each(self, queries: impl IntoIterator<Item = impl Into<Query>>) -> Self {
        queries.into_iter().fold(self, Self::filter)
    }

    /// Can match. Without `must` and `filter` one of these has to, unless
    /// [`minimum_should_match`](Self::minimum_should_match) says otherwise.
    #[must_use]
    pub fn should(self, query: impl Into<Query>) -> Self {
        self.clause("should", query)
    }

    /// [`should`](Self::should) with each of these.
    #[must_use]
    pub fn should_each(self, queries: impl IntoIterator<Item = impl Into<Query>>) -> Self {
        queries.into_iter().fold(self, Self::should)
    }

    /// Must not match.
    #[must_use]
    pub fn must_not(self, query: impl Into<Query>) -> Self {
        self.clause("must_not", query)
    }

    /// [`must_not`](Self::must_not) with each of these.
    #[must_use]
    pub fn must_not_each(self, queries: impl IntoIterator<Item = impl Into<Query>>) -> Self {
        queries.into_iter().fold(self, Self::must_not)
    }

    /// How many of the `should` have to match.
    #[must_use]
    pub fn minimum_should_match(self, minimum: impl Into<MinimumShouldMatch>) -> Self {
        Self(self.0.with("minimum_should_match", minimum.into()))
    }

    /// The one query that must not match, in the short form without a list, as Kibana writes it.
    pub(crate) fn must_not_one(self, query: Query) -> Self {
        Self(self.0.with("must_not", query))
    }

    fn clause(mut self, occurs: &str, query: impl Into<Query>) -> Self {
        match self.0.parts.get(occurs) {
            None | Some(Value::Array(_)) => self.0.parts.push(occurs, query.into()),
            Some(_) => self.0.fail(&format!("`{occurs}` is raw JSON already")),
        }
        self
    }
}

impl DisMax {
    /// One query more.
    #[must_use]
    pub fn query(mut self, query: impl Into<Query>) -> Self {
        self.0.parts.push("queries", query.into());
        self
    }

    /// How much of the score of the other matches is added, from 0 to 1.
    #[must_use]
    pub fn tie_breaker(self, share: f64) -> Self {
        Self(self.0.with_positive("tie_breaker", share))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn documented_json() {
        let cases = [
            // Elasticsearch Guide, "Boolean query".
            (
                Query::from(
                    Query::bool()
                        .must(Query::term("user.id", "kimchy"))
                        .filter(Query::term("tags", "production"))
                        .must_not(Query::range("age").gte(10).lte(20))
                        .should_each([Query::term("tags", "env1"), Query::term("tags", "deployed")])
                        .minimum_should_match(1)
                        .boost(1.0),
                ),
                json!({"bool": {
                    "must": [{"term": {"user.id": {"value": "kimchy"}}}],
                    "filter": [{"term": {"tags": {"value": "production"}}}],
                    "must_not": [{"range": {"age": {"gte": 10, "lte": 20}}}],
                    "should": [{"term": {"tags": {"value": "env1"}}}, {"term": {"tags": {"value": "deployed"}}}],
                    "minimum_should_match": 1,
                    "boost": 1.0
                }}),
            ),
            // Elasticsearch Guide, "Constant score query".
            (
                Query::constant_score(Query::term("user.id", "kimchy"))
                    .boost(1.2)
                    .into(),
                json!({"constant_score": {"filter": {"term": {"user.id": {"value": "kimchy"}}}, "boost": 1.2}}),
            ),
            // Elasticsearch Guide, "Boosting query".
            (
                Query::boosting(
                    Query::matches("text", "apple"),
                    Query::matches("text", "pie tart fruit crumble tree"),
                    0.5,
                )
                .into(),
                json!({"boosting": {
                    "positive": {"match": {"text": "apple"}},
                    "negative": {"match": {"text": "pie tart fruit crumble tree"}},
                    "negative_boost": 0.5
                }}),
            ),
            // Elasticsearch Guide, "Disjunction max query".
            (
                Query::dis_max(Query::term("title", "Quick pets"))
                    .query(Query::term("body", "Quick pets"))
                    .tie_breaker(0.7)
                    .into(),
                json!({"dis_max": {
                    "queries": [
                        {"term": {"title": {"value": "Quick pets"}}},
                        {"term": {"body": {"value": "Quick pets"}}}
                    ],
                    "tie_breaker": 0.7
                }}),
            ),
        ];
        for (query, expected) in cases {
            assert_eq!(query.to_json().ok(), Some(expected));
        }
    }

    #[test]
    fn what_servers_refuse_is_told() {
        let cases = [
            (
                Query::from(Query::bool().minimum_should_match("most")),
                "`most` is no minimum_should_match",
            ),
            (
                Query::bool().boost(-1.0).into(),
                "bool: boost is -1, and must not be less than 0",
            ),
            (
                Query::bool().boost(f64::INFINITY).into(),
                "inf is no number that JSON can write",
            ),
            (
                Query::bool()
                    .raw("must", json!({"match_all": {}}))
                    .must(Query::match_all())
                    .into(),
                "bool: `must` is raw JSON already",
            ),
        ];
        for (query, expected) in cases {
            let error = query.check().expect_err(expected).to_string();
            assert!(error.starts_with(expected), "{error}");
        }
    }
}
