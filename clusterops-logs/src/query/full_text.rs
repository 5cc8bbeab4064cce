//! Queries for words in analysed text.

use super::{
    Draft, Fuzziness, MinimumShouldMatch, MultiMatchType, Operator, Query, Scalar, ZeroTerms, query,
};

/// Documents with words of a text ("Match query").
///
/// ```
/// use clusterops_logs::Query;
/// use clusterops_logs::query::Operator;
///
/// let query = Query::matches("message", "connection refused");
/// assert_eq!(serde_json::to_string(&query)?, r#"{"match":{"message":"connection refused"}}"#);
///
/// let query = query.operator(Operator::And);
/// assert_eq!(
///     serde_json::to_value(&query)?,
///     serde_json::json!({"match": {"message": {"query": "connection refused", "operator": "and"}}})
/// );
/// # Ok::<_, serde_json::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct Match(Draft);

/// Documents with these words one after the other ("Match phrase query").
///
/// ```
/// use clusterops_logs::Query;
///
/// let query = Query::match_phrase("message", "out of memory").slop(1);
/// # assert!(Query::from(query).check().is_ok());
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct MatchPhrase(Draft);

/// As a phrase, whose last word can go on ("Match phrase prefix query").
///
/// ```
/// use clusterops_logs::Query;
///
/// let query = Query::match_phrase_prefix("message", "out of mem").max_expansions(10);
/// # assert!(Query::from(query).check().is_ok());
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct MatchPhrasePrefix(Draft);

/// Words in any order, of which the last can go on ("Match boolean prefix query").
///
/// ```
/// use clusterops_logs::Query;
///
/// let query = Query::match_bool_prefix("message", "refused conn");
/// # assert!(Query::from(query).check().is_ok());
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct MatchBoolPrefix(Draft);

/// Words of a text in several fields ("Multi-match query").
///
/// ```
/// use clusterops_logs::Query;
///
/// let query = Query::multi_match("timeout", ["message^2", "error.*"]).lenient(true);
/// # assert!(Query::from(query).check().is_ok());
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct MultiMatch(Draft);

query!(
    Match,
    MatchPhrase,
    MatchPhrasePrefix,
    MatchBoolPrefix,
    MultiMatch
);

impl Query {
    /// Documents with one of the words of a text, or for other types of fields with this value (`match`).
    #[doc(alias = "match")]
    pub fn matches(field: impl Into<String>, text: impl Into<Scalar>) -> Match {
        Match(text_draft("match", field, text))
    }

    /// Documents with these words one after the other.
    pub fn match_phrase(field: impl Into<String>, text: impl Into<Scalar>) -> MatchPhrase {
        MatchPhrase(text_draft("match_phrase", field, text))
    }

    /// Documents with these words one after the other, where the last is a start.
    pub fn match_phrase_prefix(
        field: impl Into<String>,
        text: impl Into<Scalar>,
    ) -> MatchPhrasePrefix {
        MatchPhrasePrefix(text_draft("match_phrase_prefix", field, text))
    }

    /// Documents with one of these words, where the last is a start.
    pub fn match_bool_prefix(field: impl Into<String>, text: impl Into<Scalar>) -> MatchBoolPrefix {
        MatchBoolPrefix(text_draft("match_bool_prefix", field, text))
    }

    /// Documents with words of a text in these fields, of which there must be one; `^` and a number is a weight, and
    /// wildcards are read.
    pub fn multi_match(
        text: impl Into<Scalar>,
        fields: impl IntoIterator<Item = impl Into<String>>,
    ) -> MultiMatch {
        let mut query = Self::multi_match_default_fields(text);
        for field in fields {
            let field = field.into();
            if field.is_empty() {
                query.0.fail("the name of a field is empty");
            }
            query.0.parts.push("fields", field);
        }
        if query.0.parts.get("fields").is_none() {
            query
                .0
                .fail("it needs a field; multi_match_default_fields takes those of the index");
        }
        query
    }

    /// Documents with words of a text in the fields that the index looks in by default
    /// (`index.query.default_field`).
    pub fn multi_match_default_fields(text: impl Into<Scalar>) -> MultiMatch {
        MultiMatch(Draft::new("multi_match").with("query", text.into()))
    }
}

fn text_draft(kind: &'static str, field: impl Into<String>, text: impl Into<Scalar>) -> Draft {
    Draft::of_field(kind, field)
        .shortened("query")
        .with("query", text.into())
}

macro_rules! options {
    ($($type:ident: $($option:ident)+;)*) => {$(
        impl $type {
            $(options!(@ $option);)+
        }
    )*};
    (@ operator) => {
        /// Whether all words must match.
        #[must_use]
        pub fn operator(self, operator: Operator) -> Self {
            Self(self.0.with("operator", operator))
        }

        /// How many of the words must match.
        #[must_use]
        pub fn minimum_should_match(self, minimum: impl Into<MinimumShouldMatch>) -> Self {
            Self(self.0.with("minimum_should_match", minimum.into()))
        }
    };
    (@ fuzziness) => {
        /// How many letters of a word may differ.
        #[must_use]
        pub fn fuzziness(self, fuzziness: Fuzziness) -> Self {
            Self(self.0.with("fuzziness", fuzziness))
        }

        /// How many letters at the start must be the same.
        #[must_use]
        pub fn prefix_length(self, letters: u32) -> Self {
            Self(self.0.with("prefix_length", letters))
        }
    };
    (@ max_expansions) => {
        /// How many words are tried for one that is fuzzy or a start; 50 by default.
        #[must_use]
        pub fn max_expansions(self, words: u32) -> Self {
            Self(self.0.with("max_expansions", words))
        }
    };
    (@ lenient) => {
        /// Whether a value of another type than the field is no match, and no error.
        #[must_use]
        pub fn lenient(self, lenient: bool) -> Self {
            Self(self.0.with("lenient", lenient))
        }
    };
    (@ zero_terms) => {
        /// What a text finds of which no word is left.
        #[must_use]
        pub fn zero_terms(self, found: ZeroTerms) -> Self {
            Self(self.0.with("zero_terms_query", found))
        }
    };
    (@ slop) => {
        /// How far words can be from their places.
        #[must_use]
        pub fn slop(self, places: u32) -> Self {
            Self(self.0.with("slop", places))
        }
    };
    (@ analyzer) => {
        /// The analyzer, in place of that of the field.
        #[must_use]
        pub fn analyzer(self, analyzer: impl Into<String>) -> Self {
            Self(self.0.with("analyzer", analyzer.into()))
        }
    };
}

options! {
    Match: operator fuzziness max_expansions lenient zero_terms analyzer;
    MatchPhrase: slop zero_terms analyzer;
    MatchPhrasePrefix: slop max_expansions zero_terms analyzer;
    MatchBoolPrefix: operator fuzziness max_expansions analyzer;
    MultiMatch: operator fuzziness max_expansions lenient zero_terms slop analyzer;
}

impl MultiMatch {
    /// How the text is looked for; in the best field by default.
    #[must_use]
    pub fn kind(self, kind: MultiMatchType) -> Self {
        Self(self.0.with("type", kind))
    }

    /// How much of the score of the other fields is added, from 0 to 1.
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
            // Elasticsearch Guide, "Match query", "Short request example".
            (
                Query::from(Query::matches("message", "this is a test")),
                json!({"match": {"message": "this is a test"}}),
            ),
            // The same, "How the match query works" and "Zero terms query".
            (
                Query::matches("message", "to be or not to be")
                    .operator(Operator::And)
                    .zero_terms(ZeroTerms::All)
                    .into(),
                json!({"match": {"message": {
                    "query": "to be or not to be", "operator": "and", "zero_terms_query": "all"
                }}}),
            ),
            // Elasticsearch Guide, "Match phrase query".
            (
                Query::match_phrase("message", "this is a test").into(),
                json!({"match_phrase": {"message": "this is a test"}}),
            ),
            (
                Query::match_phrase("message", "this is a test")
                    .analyzer("my_analyzer")
                    .into(),
                json!({"match_phrase": {"message": {"query": "this is a test", "analyzer": "my_analyzer"}}}),
            ),
            // Elasticsearch Guide, "Match phrase prefix query"; the short form is that of "Match phrase query".
            (
                Query::match_phrase_prefix("message", "quick brown f")
                    .max_expansions(50)
                    .into(),
                json!({"match_phrase_prefix": {"message": {"query": "quick brown f", "max_expansions": 50}}}),
            ),
            // Elasticsearch Guide, "Match boolean prefix query".
            (
                Query::match_bool_prefix("message", "quick brown f").into(),
                json!({"match_bool_prefix": {"message": "quick brown f"}}),
            ),
            // Elasticsearch Guide, "Multi-match query".
            (
                Query::multi_match("brown fox", ["subject", "message"])
                    .kind(MultiMatchType::BestFields)
                    .tie_breaker(0.3)
                    .into(),
                json!({"multi_match": {
                    "query": "brown fox",
                    "type": "best_fields",
                    "fields": ["subject", "message"],
                    "tie_breaker": 0.3
                }}),
            ),
        ];
        for (query, expected) in cases {
            assert_eq!(query.to_json().ok(), Some(expected));
        }
    }

    #[test]
    fn a_text_without_a_field_is_told() {
        let query = Query::from(Query::multi_match("x", [""; 0]));
        assert_eq!(
            query.check().expect_err("no field").to_string(),
            "multi_match: it needs a field; multi_match_default_fields takes those of the index"
        );
    }

    #[test]
    fn a_phrase_is_not_fuzzy() {
        let query = Query::multi_match("x", ["a"]).fuzziness(Fuzziness::Auto);
        assert!(Query::from(query.clone()).check().is_ok());
        let query = Query::from(query.kind(MultiMatchType::Phrase));
        assert_eq!(
            query.check().expect_err("a phrase").to_string(),
            "multi_match: fuzziness does not go with the type phrase"
        );
        let query = Query::multi_match("x", ["a"]).kind(MultiMatchType::BoolPrefix);
        assert!(
            Query::from(query.clone().fuzziness(Fuzziness::Auto))
                .check()
                .is_ok()
        );
        assert_eq!(
            Query::from(query.slop(1))
                .check()
                .expect_err("no slop")
                .to_string(),
            "multi_match: slop does not go with the type bool_prefix"
        );
    }
}
