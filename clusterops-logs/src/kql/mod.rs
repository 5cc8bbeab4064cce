//! KQL, the query language of Kibana, read into queries.
//!
//! ```
//! use clusterops_logs::Query;
//! use serde_json::json;
//!
//! let query = Query::kql("level: error and not host.name: web-*")?;
//! assert_eq!(
//!     query.to_json()?,
//!     json!({"bool": {"filter": [
//!         {"bool": {"should": [{"match": {"level": "error"}}], "minimum_should_match": 1}},
//!         {"bool": {"must_not": {"bool": {
//!             "should": [{"query_string": {"fields": ["host.name"], "query": "web\\-*"}}],
//!             "minimum_should_match": 1
//!         }}}}
//!     ]}})
//! );
//!
//! let error = Query::kql("level: error and (host: web-7").unwrap_err();
//! assert_eq!(error.to_string(), "column 18: `(` is not closed");
//! # Ok::<_, clusterops_logs::Error>(())
//! ```
//!
//! # The language
//! | KQL | finds |
//! |---|---|
//! | `timeout` | the word in any field that is searched by default |
//! | `"out of memory"` | the phrase |
//! | `level: error` | the value in a field |
//! | `level: (error or fatal and not test)` | several values; `not` before `and` before `or` |
//! | `host.name: web-*` | a pattern |
//! | `host.*: web` | in each field of such a name |
//! | `error.stack_trace: *` | documents that have the field |
//! | `took > 500`, `@timestamp >= now-15m` | ranges: `<`, `<=`, `>`, `>=` |
//! | `spans: { status: error and took > 5 }` | one nested document with both |
//!
//! A backslash takes the meaning from `\():<>"*{}` and from `and`, `or` and `not`; in quotes it stands before `"` and
//! `\` only. `\t`, `\r`, `\n` and `\u00e9` are characters.
//!
//! # As in Kibana
//! The queries are those of `toElasticsearchQuery` in Kibana 8 and 9 (`@kbn/es-query`), except where that sends what
//! servers refuse or what finds nothing:
//! - `null` as a value is an error, and as a field it is one of that name.
//! - `not ` within a word, as in `cannot connect`, is part of the word; Kibana refuses it. `\not` is the word `not`.
//! - A value that does not fit one of the fields that a wildcard stands for, as in `*: web` with numbers among them, is
//!   not found there; Kibana's whole search fails.
//! - A field name with a wildcard works without [`Fields`] too, as far as servers can do that themselves.

mod convert;
mod fields;
#[cfg(test)]
mod kibana;
mod node;
mod parse;
#[cfg(test)]
mod tests;
mod types;

use crate::query::zone_problem;
use crate::{Error, ErrorKind, Query, Result};

pub use fields::{Field, Fields};

/// How KQL becomes a query.
///
/// ```
/// use clusterops_logs::kql::{Field, Fields, Kql};
/// use serde_json::json;
///
/// let fields = Fields::from_iter([Field::new("level", ["keyword"]), Field::new("@timestamp", ["date"])]);
/// let kql = Kql::new().fields(fields).time_zone("Europe/Berlin").case_insensitive(true);
/// assert_eq!(
///     kql.query("level: error")?.to_json()?,
///     json!({"bool": {
///         "should": [{"term": {"level": {"value": "error", "case_insensitive": true}}}],
///         "minimum_should_match": 1
///     }})
/// );
/// assert_eq!(
///     kql.query("@timestamp < 2024-05-01")?.to_json()?,
///     json!({"bool": {
///         "should": [{"range": {"@timestamp": {"lt": "2024-05-01", "time_zone": "Europe/Berlin"}}}],
///         "minimum_should_match": 1
///     }})
/// );
/// # Ok::<_, clusterops_logs::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Kql {
    fields: Option<Fields>,
    time_zone: Option<String>,
    case_insensitive: Option<bool>,
    ignore_unmapped: Option<bool>,
    no_leading_wildcards: bool,
    scored: bool,
}

impl Kql {
    /// As servers' defaults have it, and without knowing any field.
    pub fn new() -> Self {
        Self::default()
    }

    /// The fields of the indices that are searched: with them a keyword is looked for exactly, a date in its zone, and a
    /// nested field only where it is named in its path. One that is nested in some of the indices only is found in all by its
    /// whole name, and in its path in those only.
    #[must_use]
    pub fn fields(mut self, fields: Fields) -> Self {
        self.fields = Some(fields);
        self
    }

    /// The zone of dates that name none: an offset such as `+01:00`, or a name. It needs [`fields`](Self::fields).
    #[must_use]
    pub fn time_zone(mut self, zone: impl Into<String>) -> Self {
        self.time_zone = Some(zone.into());
        self
    }

    /// Whether the case of keywords is ignored; needs Elasticsearch 7.10 or OpenSearch, and [`fields`](Self::fields).
    #[must_use]
    pub fn case_insensitive(mut self, ignore: bool) -> Self {
        self.case_insensitive = Some(ignore);
        self
    }

    /// Whether an index without a nested path is one without a match, and no error.
    #[must_use]
    pub fn ignore_unmapped(mut self, ignore: bool) -> Self {
        self.ignore_unmapped = Some(ignore);
        self
    }

    /// Whether values can start with `*`, which is slow; they can by default.
    #[must_use]
    pub fn leading_wildcards(mut self, allow: bool) -> Self {
        self.no_leading_wildcards = !allow;
        self
    }

    /// Whether what is joined by `and` counts for the score; by default it does not.
    #[must_use]
    pub fn scored(mut self, scored: bool) -> Self {
        self.scored = scored;
        self
    }

    /// Reads KQL. White space alone finds everything.
    ///
    /// # Errors
    /// [`Syntax`](ErrorKind::Syntax) for what does not read, at its column;
    /// [`Input`](ErrorKind::Input) for a nested field outside of its path and the like, at its column, and for a zone
    /// that is none.
    pub fn query(&self, text: &str) -> Result<Query> {
        if let Some(problem) = self.time_zone.as_deref().and_then(zone_problem) {
            return Err(Error::new(ErrorKind::Input, problem));
        }
        let node = parse::parse(text, !self.no_leading_wildcards)?;
        let query = convert::query(self, &node)?;
        query.check()?;
        Ok(query)
    }
}

impl Query {
    /// A query in KQL, Kibana's language, without knowing any field; [`Kql`] takes more.
    ///
    /// ```
    /// use clusterops_logs::Query;
    ///
    /// let query = Query::bool().filter(Query::kql("level: (error or fatal)")?);
    /// # assert!(Query::from(query).check().is_ok());
    /// # Ok::<_, clusterops_logs::Error>(())
    /// ```
    ///
    /// # Errors
    /// Those of [`Kql::query`].
    pub fn kql(text: &str) -> Result<Self> {
        Kql::new().query(text)
    }
}

/// Takes the meaning from everything that has one in KQL, so that it is text outside of quotes.
///
/// ```
/// use clusterops_logs::kql;
///
/// assert_eq!(kql::escape("10:30 (max)"), r"10\:30 \(max\)");
/// assert_eq!(kql::escape("this or that"), r"this \or that");
/// ```
pub fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len() + 8);
    for (index, word) in text.split(' ').enumerate() {
        if index > 0 {
            escaped.push(' ');
        }
        if ["and", "or", "not"]
            .iter()
            .any(|keyword| word.eq_ignore_ascii_case(keyword))
        {
            escaped.push('\\');
        }
        for c in word.chars() {
            match c {
                '\t' => escaped.push_str("\\t"),
                '\r' => escaped.push_str("\\r"),
                '\n' => escaped.push_str("\\n"),
                '\u{a0}' => escaped.push_str("\\u00a0"),
                '\\' | '(' | ')' | ':' | '<' | '>' | '"' | '*' | '{' | '}' => {
                    escaped.push('\\');
                    escaped.push(c);
                }
                c => escaped.push(c),
            }
        }
    }
    escaped
}
