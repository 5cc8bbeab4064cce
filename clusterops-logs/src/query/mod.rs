//! What documents to find: typed queries that become the JSON which servers document.
//!
//! A query starts at a function of [`Query`] and is refined by its setters; whatever takes a query takes these
//! unfinished ones too. Raw JSON can stand in the place of any query, value or option.
//!
//! ```
//! use clusterops_logs::Query;
//! use serde_json::json;
//!
//! let query = Query::bool()
//!     .must(Query::matches("message", "connection refused"))
//!     .filter(Query::term("level", "error"))
//!     .filter(Query::range("@timestamp").gte("now-15m"))
//!     .must_not(Query::raw(json!({"term": {"host.name": {"value": "web-7"}}})));
//! assert_eq!(
//!     serde_json::to_value(&query)?,
//!     json!({"bool": {
//!         "must": [{"match": {"message": "connection refused"}}],
//!         "filter": [
//!             {"term": {"level": {"value": "error"}}},
//!             {"range": {"@timestamp": {"gte": "now-15m"}}}
//!         ],
//!         "must_not": [{"term": {"host.name": {"value": "web-7"}}}]
//!     }})
//! );
//! # Ok::<_, serde_json::Error>(())
//! ```
//!
//! # Forms
//! Where servers document a short and a long form, queries for exact values (`term`, `prefix`, `wildcard`, `regexp`,
//! `fuzzy`) always have the long one with `value`, and `match`, `match_phrase` and their like have the short one until
//! an option is set. Clauses of `bool` are lists always. Kibana writes the same forms.
//!
//! # What is wrong with a query
//! Much of what a server would refuse does not compile: a range without a bound is no query, a metric has no
//! aggregations below it. The rest is noted where it is said, travels with the query, and is the one error of
//! [`Query::check`], [`Query::to_json`] and of serialising: nothing wrong is ever sent.
//!
//! ```
//! use clusterops_logs::Query;
//!
//! let query = Query::bool().filter(Query::range("@timestamp").gte("now-15min"));
//! let error = Query::from(query).check().unwrap_err();
//! assert!(error.to_string().starts_with("range of `@timestamp`: `now-15min` is no date math"));
//! ```
//!
//! # Differences between products
//! Elasticsearch 7.10 and later and all versions of OpenSearch take all of these queries alike. `case_insensitive` of
//! `term`, `prefix`, `wildcard` and `regexp` needs Elasticsearch 7.10 or OpenSearch. Before Elasticsearch 8.0 a server
//! refuses more than 1,024 clauses in one `bool`.

mod compound;
mod date;
mod exact;
mod full_text;
mod function_score;
mod inner_hits;
mod lucene;
mod nested;
mod options;
pub(crate) mod parts;
mod range;
mod scalar;
mod score_function;
mod zone;

use serde::{Serialize, Serializer};
use serde_json::{Value, json};

use crate::Result;
use parts::{Json, Parts};

pub use compound::{Bool, Boosting, ConstantScore, DisMax};
pub use date::{DateMath, DateUnit};
pub use exact::{Exists, Fuzzy, Ids, Prefix, Regexp, Term, Terms, Wildcard};
pub use full_text::{Match, MatchBoolPrefix, MatchPhrase, MatchPhrasePrefix, MultiMatch};
pub use function_score::FunctionScore;
pub use inner_hits::InnerHits;
pub use lucene::{QueryString, SimpleQueryString, escape_lucene};
pub use nested::Nested;
pub(crate) use options::words;
pub use options::{
    BoostMode, Fuzziness, MinimumShouldMatch, MultiMatchType, NestedScore, Operator, ScoreMode,
    ZeroTerms,
};
pub use range::{Bounded, Range, Relation};
pub use scalar::Scalar;
pub use score_function::{Decay, Modifier, ScoreFunction, WeightedFunction};
pub(crate) use zone::zone_problem;

/// A query, as it stands below `query` in a search.
///
/// ```
/// use clusterops_logs::Query;
///
/// let query = Query::match_all();
/// assert_eq!(serde_json::to_string(&query).unwrap(), r#"{"match_all":{}}"#);
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct Query(Json);

impl Query {
    /// Every document.
    pub fn match_all() -> Self {
        Self::raw(json!({"match_all": {}}))
    }

    /// No document.
    pub fn match_none() -> Self {
        Self::raw(json!({"match_none": {}}))
    }

    /// A query in the server's own words, which nothing here checks.
    pub fn raw(query: Value) -> Self {
        Self(query.into())
    }

    /// Says what is wrong with it, if anything is.
    ///
    /// # Errors
    /// [`Input`](crate::ErrorKind::Input) for the first thing that no server would take.
    pub fn check(&self) -> Result<()> {
        self.0.check().map(drop)
    }

    /// Its JSON.
    ///
    /// # Errors
    /// That of [`check`](Self::check).
    pub fn to_json(&self) -> Result<Value> {
        self.0.check().cloned()
    }
}

impl Serialize for Query {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.serialize(serializer)
    }
}

impl From<Query> for Json {
    fn from(query: Query) -> Self {
        query.0
    }
}

impl From<Value> for Query {
    fn from(query: Value) -> Self {
        Self::raw(query)
    }
}

/// A query that is being built.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Draft {
    kind: &'static str,
    field: Option<String>,
    /// The member that stands for all of it in the short form.
    short: Option<&'static str>,
    pub(crate) parts: Parts,
}

impl Draft {
    pub(crate) fn new(kind: &'static str) -> Self {
        Self {
            kind,
            field: None,
            short: None,
            parts: Parts::new(),
        }
    }

    pub(crate) fn of_field(kind: &'static str, field: impl Into<String>) -> Self {
        let field = field.into();
        let mut draft = Self::new(kind);
        if field.is_empty() {
            draft.fail("it needs the name of a field");
        }
        draft.field = Some(field);
        draft
    }

    pub(crate) fn shortened(mut self, member: &'static str) -> Self {
        self.short = Some(member);
        self
    }

    pub(crate) fn with(mut self, name: &str, value: impl Into<Json>) -> Self {
        self.parts.set(name, value);
        self
    }

    /// Sets a number that must not be less than 0.
    pub(crate) fn with_positive(mut self, name: &str, number: f64) -> Self {
        if number.is_nan() || number < 0.0 {
            self.fail(&format!("{name} is {number}, and must not be less than 0"));
        }
        self.with(name, number)
    }

    /// What does not go together, in `MultiMatchQueryBuilder` and `QueryStringQueryBuilder` of Elasticsearch and OpenSearch.
    fn conflict(&self) -> Option<String> {
        let has = |name: &str| self.parts.get(name).is_some();
        match self.kind {
            "query_string" if has("default_field") && has("fields") => {
                Some("default_field and fields are both set".to_owned())
            }
            "multi_match" => {
                let kind = self.parts.get("type")?.as_str()?;
                let refused = match kind {
                    "cross_fields" | "phrase" | "phrase_prefix" => "fuzziness",
                    "bool_prefix" => "slop",
                    _ => return None,
                };
                has(refused).then(|| format!("{refused} does not go with the type {kind}"))
            }
            _ => None,
        }
    }

    /// Refuses a list of flags with one that no server knows.
    pub(crate) fn check_flags(&mut self, flags: &str, known: &[&str]) {
        let is_unknown =
            |flag: &&str| !flag.is_empty() && !known.contains(&&*flag.to_ascii_uppercase());
        if let Some(unknown) = flags.split('|').find(is_unknown) {
            let known = known.join(", ");
            self.fail(&format!("there is no flag `{unknown}`, only {known}"));
        }
    }

    pub(crate) fn fail(&mut self, problem: &str) {
        let problem = match self.field.as_deref() {
            Some(field) if !field.is_empty() => format!("{} of `{field}`: {problem}", self.kind),
            _ => format!("{}: {problem}", self.kind),
        };
        self.parts.fail(problem);
    }
}

impl From<Draft> for Query {
    fn from(mut draft: Draft) -> Self {
        if let Some(problem) = draft.conflict() {
            draft.fail(&problem);
        }
        let short = draft.short.and_then(|member| draft.parts.only(member));
        let body = short.unwrap_or_else(|| draft.parts.into());
        let body = match draft.field {
            Some(field) => body.below(field),
            None => body,
        };
        Self(body.below(draft.kind))
    }
}

/// What all kinds of queries can do.
macro_rules! query {
    ($($type:ident),*) => {$(
        impl $type {
            /// Multiplies the score by this; 0 or more.
            #[must_use]
            pub fn boost(self, factor: f64) -> Self {
                Self(self.0.with_positive("boost", factor))
            }

            /// A name that hits carry in `matched_queries` when this matched.
            #[must_use]
            pub fn name(self, name: impl Into<String>) -> Self {
                Self(self.0.with("_name", name.into()))
            }

            /// An option in the server's own words, which nothing here checks.
            #[must_use]
            pub fn raw(self, name: &str, value: serde_json::Value) -> Self {
                Self(self.0.with(name, value))
            }
        }

        impl From<$type> for crate::query::Query {
            fn from(query: $type) -> Self {
                query.0.into()
            }
        }

        impl serde::Serialize for $type {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                crate::query::Query::from(self.clone()).serialize(serializer)
            }
        }
    )*};
}
pub(crate) use query;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_query_in_too_many_others_is_one_error_and_no_overflow() {
        let mut query = Query::from(Query::term("level", "error"));
        for _ in 0..30 {
            query = Query::bool().must(query).into();
        }
        assert!(query.check().is_ok(), "Elasticsearch takes 30");
        for _ in 0..200_000 {
            query = Query::bool().must(query).into();
        }
        let error = query.check().expect_err("no server takes that");
        assert!(
            error.to_string().contains("more than 100 levels of JSON"),
            "{error}"
        );
        assert!(serde_json::to_string(&query).is_err());
    }

    #[test]
    fn queries_go_between_threads() {
        fn check<T: Send + Sync + Clone + PartialEq + std::fmt::Debug + Serialize>() {}
        check::<Query>();
        check::<Bool>();
    }
}
