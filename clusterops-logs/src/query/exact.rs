//! Queries for exact values.

use super::parts::Json;
use super::{Draft, Fuzziness, Query, Scalar, query};

/// How many values a `terms` query can have by default (`index.max_terms_count`).
const MOST_TERMS: usize = 65_536;

/// Documents with exactly this value ("Term query").
///
/// ```
/// use clusterops_logs::Query;
///
/// let query = Query::term("client.ip", "10.0.0.0/8");
/// assert_eq!(serde_json::to_string(&query)?, r#"{"term":{"client.ip":{"value":"10.0.0.0/8"}}}"#);
/// # Ok::<_, serde_json::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct Term(Draft);

/// Documents with one of these values ("Terms query").
///
/// ```
/// use clusterops_logs::Query;
///
/// let query = Query::terms("http.response.status_code", [502, 503, 504]);
/// assert_eq!(serde_json::to_string(&query)?, r#"{"terms":{"http.response.status_code":[502,503,504]}}"#);
/// # Ok::<_, serde_json::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct Terms(Draft);

/// Documents that have a value in this field ("Exists query").
///
/// ```
/// use clusterops_logs::Query;
///
/// let query = Query::bool().must_not(Query::exists("error.stack_trace"));
/// # assert!(Query::from(query).check().is_ok());
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct Exists(Draft);

/// Documents with a value that starts so ("Prefix query").
///
/// ```
/// use clusterops_logs::Query;
///
/// let query = Query::prefix("host.name", "web-").case_insensitive(true);
/// # assert!(Query::from(query).check().is_ok());
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct Prefix(Draft);

/// Documents with a value of this pattern of `*` and `?` ("Wildcard query").
///
/// ```
/// use clusterops_logs::Query;
///
/// let query = Query::wildcard("host.name", "web-?.example.*");
/// # assert!(Query::from(query).check().is_ok());
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct Wildcard(Draft);

/// Documents with a value that this regular expression matches as a whole, in Lucene's syntax ("Regexp query").
///
/// ```
/// use clusterops_logs::Query;
///
/// let query = Query::regexp("host.name", "web-[0-9]+").flags("NONE");
/// # assert!(Query::from(query).check().is_ok());
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct Regexp(Draft);

/// Documents with a value that differs by few letters ("Fuzzy query").
///
/// ```
/// use clusterops_logs::Query;
/// use clusterops_logs::query::Fuzziness;
///
/// let query = Query::fuzzy("user.name", "jonh").fuzziness(Fuzziness::One);
/// # assert!(Query::from(query).check().is_ok());
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct Fuzzy(Draft);

/// Documents with these ids ("IDs").
///
/// ```
/// use clusterops_logs::Query;
///
/// let query = Query::ids(["1", "4", "100"]);
/// assert_eq!(serde_json::to_string(&query)?, r#"{"ids":{"values":["1","4","100"]}}"#);
/// # Ok::<_, serde_json::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct Ids(Draft);

query!(Term, Exists, Prefix, Wildcard, Regexp, Fuzzy, Ids);

impl Query {
    /// Documents with exactly this value; for an address also those of a network such as `10.0.0.0/8`.
    pub fn term(field: impl Into<String>, value: impl Into<Scalar>) -> Term {
        Term(Draft::of_field("term", field).with("value", value.into()))
    }

    /// Documents with one of these values, 65,536 at most; none finds nothing.
    pub fn terms(
        field: impl Into<String>,
        values: impl IntoIterator<Item = impl Into<Scalar>>,
    ) -> Terms {
        let field = field.into();
        let values: Vec<Scalar> = values.into_iter().map(Into::into).collect();
        let mut draft = Draft::new("terms");
        if field.is_empty() {
            draft.fail("it needs the name of a field");
        }
        if values.len() > MOST_TERMS {
            let problem = format!(
                "{} values for `{field}`, and servers take {MOST_TERMS} at most: split them over several queries",
                values.len()
            );
            draft.fail(&problem);
        } else {
            draft.parts.set(&field, Json::list(values));
        }
        Terms(draft)
    }

    /// Documents that have a value in this field; the name can have wildcards.
    pub fn exists(field: impl Into<String>) -> Exists {
        let field = field.into();
        let mut draft = Draft::new("exists");
        if field.is_empty() {
            draft.fail("it needs the name of a field");
        }
        Exists(draft.with("field", field))
    }

    /// Documents with a value that starts so.
    pub fn prefix(field: impl Into<String>, start: impl Into<String>) -> Prefix {
        Prefix(Draft::of_field("prefix", field).with("value", start.into()))
    }

    /// Documents with a value of this pattern: `*` is any text, `?` any character, `\` takes their meaning.
    pub fn wildcard(field: impl Into<String>, pattern: impl Into<String>) -> Wildcard {
        Wildcard(Draft::of_field("wildcard", field).with("value", pattern.into()))
    }

    /// Documents with a value that this expression matches as a whole.
    pub fn regexp(field: impl Into<String>, expression: impl Into<String>) -> Regexp {
        Regexp(Draft::of_field("regexp", field).with("value", expression.into()))
    }

    /// Documents with a value that differs by few letters.
    pub fn fuzzy(field: impl Into<String>, value: impl Into<Scalar>) -> Fuzzy {
        Fuzzy(Draft::of_field("fuzzy", field).with("value", value.into()))
    }

    /// Documents with these ids.
    pub fn ids(ids: impl IntoIterator<Item = impl Into<String>>) -> Ids {
        let ids = Json::list(ids.into_iter().map(Into::<String>::into));
        Ids(Draft::new("ids").with("values", ids))
    }
}

macro_rules! case_insensitive {
    ($($type:ident),*) => {$(
        impl $type {
            /// Whether the case of ASCII letters is ignored; needs Elasticsearch 7.10 or OpenSearch.
            #[must_use]
            pub fn case_insensitive(self, ignore: bool) -> Self {
                Self(self.0.with("case_insensitive", ignore))
            }
        }
    )*};
}

case_insensitive!(Term, Prefix, Wildcard, Regexp);

macro_rules! rewrite {
    ($($type:ident),*) => {$(
        impl $type {
            /// How the server turns it into simpler queries ("rewrite parameter").
            #[must_use]
            pub fn rewrite(self, method: impl Into<String>) -> Self {
                Self(self.0.with("rewrite", method.into()))
            }
        }
    )*};
}

rewrite!(Prefix, Wildcard, Regexp, Fuzzy);

impl Terms {
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

    /// An option in the server's own words, or another field's values, which nothing here checks.
    #[must_use]
    pub fn raw(self, name: &str, value: serde_json::Value) -> Self {
        Self(self.0.with(name, value))
    }
}

impl From<Terms> for Query {
    fn from(query: Terms) -> Self {
        query.0.into()
    }
}

impl serde::Serialize for Terms {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        Query::from(self.clone()).serialize(serializer)
    }
}

/// Those of `RegexpFlag` of Elasticsearch and OpenSearch.
const REGEXP_FLAGS: [&str; 7] = [
    "ALL",
    "ANYSTRING",
    "COMPLEMENT",
    "EMPTY",
    "INTERSECTION",
    "INTERVAL",
    "NONE",
];

impl Regexp {
    /// Which operators are on, such as `INTERSECTION|COMPLEMENT`; all by default.
    #[must_use]
    pub fn flags(mut self, flags: impl Into<String>) -> Self {
        let flags = flags.into();
        self.0.check_flags(&flags, &REGEXP_FLAGS);
        Self(self.0.with("flags", flags))
    }

    /// How many states the expression can need; 10,000 by default.
    #[must_use]
    pub fn max_determinized_states(self, states: u32) -> Self {
        Self(self.0.with("max_determinized_states", states))
    }
}

impl Fuzzy {
    /// How many letters may differ.
    #[must_use]
    pub fn fuzziness(self, fuzziness: Fuzziness) -> Self {
        Self(self.0.with("fuzziness", fuzziness))
    }

    /// How many similar words are tried; 50 by default.
    #[must_use]
    pub fn max_expansions(self, words: u32) -> Self {
        Self(self.0.with("max_expansions", words))
    }

    /// How many letters at the start must be the same.
    #[must_use]
    pub fn prefix_length(self, letters: u32) -> Self {
        Self(self.0.with("prefix_length", letters))
    }

    /// Whether two letters that changed places count as one difference; they do by default.
    #[must_use]
    pub fn transpositions(self, one: bool) -> Self {
        Self(self.0.with("transpositions", one))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn documented_json() {
        // Elasticsearch Guide, "Term-level queries": the first example of each page.
        let cases = [
            (
                Query::from(Query::term("user.id", "kimchy").boost(1.0)),
                json!({"term": {"user.id": {"value": "kimchy", "boost": 1.0}}}),
            ),
            (
                Query::terms("user.id", ["kimchy", "elkbee"])
                    .boost(1.0)
                    .into(),
                json!({"terms": {"user.id": ["kimchy", "elkbee"], "boost": 1.0}}),
            ),
            (
                Query::exists("user").into(),
                json!({"exists": {"field": "user"}}),
            ),
            (
                Query::prefix("user.id", "ki").into(),
                json!({"prefix": {"user.id": {"value": "ki"}}}),
            ),
            (
                Query::wildcard("user.id", "ki*y")
                    .boost(1.0)
                    .rewrite("constant_score_blended")
                    .into(),
                json!({"wildcard": {"user.id": {"value": "ki*y", "boost": 1.0, "rewrite": "constant_score_blended"}}}),
            ),
            (
                Query::regexp("user.id", "k.*y")
                    .flags("ALL")
                    .case_insensitive(true)
                    .max_determinized_states(10000)
                    .rewrite("constant_score_blended")
                    .into(),
                json!({"regexp": {"user.id": {
                    "value": "k.*y",
                    "flags": "ALL",
                    "case_insensitive": true,
                    "max_determinized_states": 10000,
                    "rewrite": "constant_score_blended"
                }}}),
            ),
            (
                Query::fuzzy("user.id", "ki")
                    .fuzziness(Fuzziness::Auto)
                    .max_expansions(50)
                    .prefix_length(0)
                    .transpositions(true)
                    .rewrite("constant_score_blended")
                    .into(),
                json!({"fuzzy": {"user.id": {
                    "value": "ki",
                    "fuzziness": "AUTO",
                    "max_expansions": 50,
                    "prefix_length": 0,
                    "transpositions": true,
                    "rewrite": "constant_score_blended"
                }}}),
            ),
            (
                Query::ids(["1", "4", "100"]).into(),
                json!({"ids": {"values": ["1", "4", "100"]}}),
            ),
        ];
        for (query, expected) in cases {
            assert_eq!(query.to_json().ok(), Some(expected));
        }
    }

    #[test]
    fn what_servers_refuse_is_told() {
        assert!(Query::from(Query::terms("n", 0..65_536)).check().is_ok());
        let many = Query::from(Query::terms("n", 0..65_537)).check();
        assert_eq!(
            many.expect_err("one too many").to_string(),
            "terms: 65537 values for `n`, and servers take 65536 at most: split them over several queries"
        );
        let nameless = Query::from(Query::term("", 1)).check();
        assert_eq!(
            nameless.expect_err("no field").to_string(),
            "term: it needs the name of a field"
        );
        let flags = |flags: &str| Query::from(Query::regexp("a", "b").flags(flags)).check();
        assert!(flags("intersection|COMPLEMENT").is_ok());
        let error = flags("ALL|FOO").expect_err("no flag").to_string();
        assert!(error.starts_with("regexp of `a`: there is no flag `FOO`, only ALL"));
    }
}
