//! Queries whose scores are worked out.

use super::{BoostMode, Draft, Query, ScoreFunction, ScoreMode, query};

/// Matches of a query, scored by functions ("Function score query").
///
/// ```
/// use clusterops_logs::Query;
/// use clusterops_logs::query::{BoostMode, Decay, ScoreFunction};
///
/// let newest = ScoreFunction::decay(Decay::Exp, "@timestamp", "now", "1h").offset("5m");
/// let query = Query::function_score(Query::matches("message", "timeout"))
///     .function(newest)
///     .function(ScoreFunction::weight(3.0).filter(Query::term("level", "error")))
///     .boost_mode(BoostMode::Multiply);
/// # assert!(Query::from(query).check().is_ok());
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct FunctionScore(Draft);

query!(FunctionScore);

impl Query {
    /// Matches of a query, scored by functions that follow.
    pub fn function_score(query: impl Into<Query>) -> FunctionScore {
        FunctionScore(Draft::new("function_score").with("query", query.into()))
    }
}

impl FunctionScore {
    /// One function more.
    #[must_use]
    pub fn function(mut self, function: impl Into<ScoreFunction>) -> Self {
        self.0.parts.push("functions", function.into());
        self
    }

    /// How the results of the functions become one.
    #[must_use]
    pub fn score_mode(self, mode: ScoreMode) -> Self {
        Self(self.0.with("score_mode", mode))
    }

    /// How that and the score of the query become one.
    #[must_use]
    pub fn boost_mode(self, mode: BoostMode) -> Self {
        Self(self.0.with("boost_mode", mode))
    }

    /// The most that the functions can give.
    #[must_use]
    pub fn max_boost(self, most: f64) -> Self {
        Self(self.0.with("max_boost", most))
    }

    /// The least score that a document is found with.
    #[must_use]
    pub fn min_score(self, least: f64) -> Self {
        Self(self.0.with("min_score", least))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn documented_json() {
        // Elasticsearch Guide, "Function score query".
        let query = Query::function_score(Query::match_all())
            .boost(5.0)
            .function(
                ScoreFunction::random()
                    .weight(23.0)
                    .filter(Query::matches("test", "bar")),
            )
            .function(ScoreFunction::weight(42.0).filter(Query::matches("test", "cat")))
            .max_boost(42.0)
            .score_mode(ScoreMode::Max)
            .boost_mode(BoostMode::Multiply)
            .min_score(42.0);
        let expected = json!({"function_score": {
            "query": {"match_all": {}},
            "boost": 5.0,
            "functions": [
                {"filter": {"match": {"test": "bar"}}, "random_score": {}, "weight": 23.0},
                {"filter": {"match": {"test": "cat"}}, "weight": 42.0}
            ],
            "max_boost": 42.0,
            "score_mode": "max",
            "boost_mode": "multiply",
            "min_score": 42.0
        }});
        assert_eq!(Query::from(query).to_json().ok(), Some(expected));
    }
}
