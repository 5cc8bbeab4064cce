//! What of a document to give.

use serde_json::Value;

use crate::query::parts::{Json, Parts};

/// What of the documents to give.
///
/// ```
/// use clusterops_logs::search::SourceFilter;
/// use clusterops_logs::{Query, Search};
///
/// let search = Search::new(Query::match_all()).source(false);
/// assert_eq!(serde_json::to_value(&search)?["_source"], false);
///
/// let search = search.source(SourceFilter::includes(["host.*"]).excludes(["host.ip"]));
/// assert_eq!(
///     serde_json::to_value(&search)?["_source"],
///     serde_json::json!({"includes": ["host.*"], "excludes": ["host.ip"]})
/// );
/// # Ok::<_, serde_json::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct SourceFilter(Kind);

#[derive(Debug, Clone, PartialEq)]
enum Kind {
    Names(Vec<String>),
    Both(Vec<String>, Vec<String>),
    Raw(Json),
}

impl SourceFilter {
    /// Only these fields.
    pub fn includes(fields: impl IntoIterator<Item = impl Into<String>>) -> Self {
        Self(Kind::Names(fields.into_iter().map(Into::into).collect()))
    }

    /// Not these fields.
    #[must_use]
    pub fn excludes(self, fields: impl IntoIterator<Item = impl Into<String>>) -> Self {
        let mut excluded: Vec<String> = fields.into_iter().map(Into::into).collect();
        Self(match self.0 {
            Kind::Names(included) => Kind::Both(included, excluded),
            Kind::Both(included, before) => {
                excluded.splice(0..0, before);
                Kind::Both(included, excluded)
            }
            Kind::Raw(_) => Kind::Both(Vec::new(), excluded),
        })
    }

    /// Everything but what [`excludes`](Self::excludes) names.
    pub fn all() -> Self {
        Self(Kind::Raw(true.into()))
    }
}

impl From<bool> for SourceFilter {
    fn from(give: bool) -> Self {
        Self(Kind::Raw(give.into()))
    }
}

impl From<&str> for SourceFilter {
    fn from(field: &str) -> Self {
        Self::includes([field])
    }
}

impl<const N: usize> From<[&str; N]> for SourceFilter {
    fn from(fields: [&str; N]) -> Self {
        Self::includes(fields)
    }
}

impl From<Vec<String>> for SourceFilter {
    fn from(fields: Vec<String>) -> Self {
        Self(Kind::Names(fields))
    }
}

impl From<Value> for SourceFilter {
    fn from(value: Value) -> Self {
        Self(Kind::Raw(value.into()))
    }
}

impl From<SourceFilter> for Json {
    fn from(filter: SourceFilter) -> Self {
        match filter.0 {
            Kind::Names(names) => Self::list(names),
            Kind::Raw(json) => json,
            Kind::Both(included, excluded) => {
                let mut parts = Parts::new();
                if !included.is_empty() {
                    parts.set("includes", Self::list(included));
                }
                parts.set("excludes", Self::list(excluded));
                parts.into()
            }
        }
    }
}

/// A field whose values to give, and how.
///
/// ```
/// use clusterops_logs::search::FieldFormat;
/// use clusterops_logs::{Query, Search};
///
/// let search = Search::new(Query::match_all())
///     .field("host.name")
///     .field(FieldFormat::new("@timestamp").format("epoch_millis"));
/// assert_eq!(
///     serde_json::to_value(&search)?["fields"],
///     serde_json::json!(["host.name", {"field": "@timestamp", "format": "epoch_millis"}])
/// );
/// # Ok::<_, serde_json::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct FieldFormat {
    field: String,
    parts: Parts,
}

impl FieldFormat {
    /// This field, which can have wildcards.
    pub fn new(field: impl Into<String>) -> Self {
        Self {
            field: field.into(),
            parts: Parts::new(),
        }
    }

    /// The format of its dates or numbers.
    #[must_use]
    pub fn format(mut self, format: impl Into<String>) -> Self {
        self.parts.set("format", format.into());
        self
    }

    /// An option in the server's own words, such as `include_unmapped`, which nothing here checks.
    #[must_use]
    pub fn raw(mut self, name: &str, value: Value) -> Self {
        self.parts.set(name, value);
        self
    }
}

impl From<&str> for FieldFormat {
    fn from(field: &str) -> Self {
        Self::new(field)
    }
}

impl From<String> for FieldFormat {
    fn from(field: String) -> Self {
        Self::new(field)
    }
}

impl From<FieldFormat> for Json {
    fn from(field: FieldFormat) -> Self {
        if field.field.is_empty() {
            return Self::invalid("the name of a field is empty");
        }
        match field.parts.is_empty() {
            true => field.field.into(),
            false => field.parts.with("field", field.field).into(),
        }
    }
}
