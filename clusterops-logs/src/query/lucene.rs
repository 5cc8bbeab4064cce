//! Queries in Lucene's syntax.

use super::{
    Draft, Fuzziness, MinimumShouldMatch, MultiMatchType, Operator, Query, query, zone_problem,
};

/// Lucene's syntax, in which a mistake is an error of the server ("Query string query").
///
/// ```
/// use clusterops_logs::Query;
///
/// let query = Query::query_string("level:error AND host:web-*").default_field("message");
/// # assert!(Query::from(query).check().is_ok());
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct QueryString(Draft);

/// A small syntax for people, in which nothing is a mistake ("Simple query string query").
///
/// ```
/// use clusterops_logs::Query;
///
/// let query = Query::simple_query_string("\"connection refused\" -test").field("message");
/// # assert!(Query::from(query).check().is_ok());
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct SimpleQueryString(Draft);

query!(QueryString, SimpleQueryString);

impl Query {
    /// A query in Lucene's syntax, such as `level:error AND took:>500`.
    pub fn query_string(query: impl Into<String>) -> QueryString {
        QueryString(Draft::new("query_string").with("query", query.into()))
    }

    /// A query in the small syntax of `+`, `|`, `-`, `"`, `*`, `(` and `)`.
    pub fn simple_query_string(query: impl Into<String>) -> SimpleQueryString {
        let draft = Draft::new("simple_query_string");
        SimpleQueryString(draft.with("query", query.into()))
    }
}

/// Takes the meaning from everything that has one in [`Query::query_string`]. `<` and `>` cannot be escaped there and
/// are left out ("Reserved characters" in the Elasticsearch Guide).
///
/// ```
/// use clusterops_logs::query::escape_lucene;
///
/// assert_eq!(escape_lucene("(1+1)=2 && <a>"), r"\(1\+1\)\=2 \&\& a");
/// assert_eq!(escape_lucene("this AND that"), r"this \AND that");
/// ```
pub fn escape_lucene(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len() + 8);
    for (index, word) in text.split(' ').enumerate() {
        if index > 0 {
            escaped.push(' ');
        }
        if matches!(word, "AND" | "OR" | "NOT") {
            escaped.push('\\');
        }
        for c in word.chars().filter(|c| !matches!(c, '<' | '>')) {
            if r#"+-=&|!(){}[]^"~*?:\/"#.contains(c) {
                escaped.push('\\');
            }
            escaped.push(c);
        }
    }
    escaped
}

macro_rules! shared {
    ($($type:ident),*) => {$(
        impl $type {
            /// A field to look in, one more with each call; with `^` and a number its weight, and wildcards.
            #[must_use]
            pub fn field(mut self, field: impl Into<String>) -> Self {
                let field = field.into();
                if field.is_empty() {
                    self.0.fail("the name of a field is empty");
                }
                self.0.parts.push("fields", field);
                self
            }

            /// Fields to look in, as [`field`](Self::field) adds them.
            #[must_use]
            pub fn fields(self, fields: impl IntoIterator<Item = impl Into<String>>) -> Self {
                fields.into_iter().fold(self, Self::field)
            }

            /// Whether words without an operator between them must all match.
            #[must_use]
            pub fn default_operator(self, operator: Operator) -> Self {
                Self(self.0.with("default_operator", operator))
            }

            /// Whether `*` in a word is read by the analyzer too.
            #[must_use]
            pub fn analyze_wildcard(self, analyze: bool) -> Self {
                Self(self.0.with("analyze_wildcard", analyze))
            }

            /// The analyzer, in place of that of the field.
            #[must_use]
            pub fn analyzer(self, analyzer: impl Into<String>) -> Self {
                Self(self.0.with("analyzer", analyzer.into()))
            }

            /// Whether a value of another type than the field is no match, and no error.
            #[must_use]
            pub fn lenient(self, lenient: bool) -> Self {
                Self(self.0.with("lenient", lenient))
            }

            /// How many of the words must match.
            #[must_use]
            pub fn minimum_should_match(self, minimum: impl Into<MinimumShouldMatch>) -> Self {
                Self(self.0.with("minimum_should_match", minimum.into()))
            }

            /// What is added to the field's name for quoted texts.
            #[must_use]
            pub fn quote_field_suffix(self, suffix: impl Into<String>) -> Self {
                Self(self.0.with("quote_field_suffix", suffix.into()))
            }
        }
    )*};
}

shared!(QueryString, SimpleQueryString);

impl QueryString {
    /// The field for words that name none; not together with [`field`](Self::field).
    #[must_use]
    pub fn default_field(self, field: impl Into<String>) -> Self {
        Self(self.0.with("default_field", field.into()))
    }

    /// Whether a word can start with `*` or `?`; it can by default.
    #[must_use]
    pub fn allow_leading_wildcard(self, allow: bool) -> Self {
        Self(self.0.with("allow_leading_wildcard", allow))
    }

    /// The zone of dates that name none.
    #[must_use]
    pub fn time_zone(mut self, zone: impl Into<String>) -> Self {
        let zone = zone.into();
        if let Some(problem) = zone_problem(&zone) {
            self.0.fail(&problem);
        }
        Self(self.0.with("time_zone", zone))
    }

    /// How far words of a phrase can be from their places.
    #[must_use]
    pub fn phrase_slop(self, places: u32) -> Self {
        Self(self.0.with("phrase_slop", places))
    }

    /// How many letters may differ in words with `~`.
    #[must_use]
    pub fn fuzziness(self, fuzziness: Fuzziness) -> Self {
        Self(self.0.with("fuzziness", fuzziness))
    }

    /// How several fields are looked in.
    #[must_use]
    pub fn kind(self, kind: MultiMatchType) -> Self {
        Self(self.0.with("type", kind))
    }
}

impl SimpleQueryString {
    /// Which operators are on, such as `OR|AND|PREFIX`; all by default.
    #[must_use]
    pub fn flags(mut self, flags: impl Into<String>) -> Self {
        let flags = flags.into();
        self.0.check_flags(&flags, &FLAGS);
        Self(self.0.with("flags", flags))
    }
}

/// Those of `SimpleQueryStringFlag` of Elasticsearch and OpenSearch.
const FLAGS: [&str; 13] = [
    "ALL",
    "NONE",
    "AND",
    "NOT",
    "OR",
    "PREFIX",
    "PHRASE",
    "PRECEDENCE",
    "ESCAPE",
    "WHITESPACE",
    "FUZZY",
    "NEAR",
    "SLOP",
];

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn documented_json() {
        let cases = [
            // Elasticsearch Guide, "Query string query".
            (
                Query::from(
                    Query::query_string("(new york city) OR (big apple)").default_field("content"),
                ),
                json!({"query_string": {
                    "query": "(new york city) OR (big apple)", "default_field": "content"
                }}),
            ),
            // The same, "Search multiple fields".
            (
                Query::query_string("this AND that OR thus")
                    .fields(["content", "name^5"])
                    .kind(MultiMatchType::CrossFields)
                    .minimum_should_match(2)
                    .into(),
                json!({"query_string": {
                    "fields": ["content", "name^5"],
                    "type": "cross_fields",
                    "query": "this AND that OR thus",
                    "minimum_should_match": 2
                }}),
            ),
            // Elasticsearch Guide, "Simple query string query".
            (
                Query::simple_query_string("\"fried eggs\" +(eggplant | potato) -frittata")
                    .fields(["title^5", "body"])
                    .default_operator(Operator::And)
                    .into(),
                json!({"simple_query_string": {
                    "query": "\"fried eggs\" +(eggplant | potato) -frittata",
                    "fields": ["title^5", "body"],
                    "default_operator": "and"
                }}),
            ),
        ];
        for (query, expected) in cases {
            assert_eq!(query.to_json().ok(), Some(expected));
        }
    }

    #[test]
    fn what_servers_refuse_is_told() {
        let both = "query_string: default_field and fields are both set";
        let cases = [
            (
                Query::from(Query::query_string("a").default_field("b").field("c")),
                both,
            ),
            (
                Query::query_string("a")
                    .field("c")
                    .default_field("b")
                    .into(),
                both,
            ),
            (
                Query::simple_query_string("a").flags("or|NEARLY").into(),
                "simple_query_string: there is no flag `NEARLY`",
            ),
        ];
        for (query, told) in cases {
            let error = query.check().expect_err(told).to_string();
            assert!(error.starts_with(told), "{error}");
        }
        let query = Query::from(Query::simple_query_string("a").flags("or|Near||"));
        assert!(query.check().is_ok());
    }
}
