//! Buckets of several values at once, page by page.

use serde_json::{Map, Value};

use super::{Aggregation, Draft, Interval, buckets};
use crate::query::parts::{Json, Parts};
use crate::search::Direction;

/// A bucket for each combination of values, in pages ("Composite aggregation"). It stands at the top, or below a nested
/// or a filter aggregation.
///
/// ```
/// use clusterops_logs::search::{Aggregation, CompositeSource, Interval};
/// use clusterops_logs::{Query, Search};
///
/// let pages = Aggregation::composite([
///     CompositeSource::date_histogram("day", "@timestamp", Interval::Day).desc(),
///     CompositeSource::terms("host", "host.name").missing_bucket(true),
/// ])
/// .size(1000);
/// let search = Search::new(Query::match_all()).size(0).aggregation("pages", pages);
/// # assert!(search.check().is_ok());
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct Composite(pub(super) Draft);

buckets!(Composite);

/// One of the values that [`Composite`] combines.
///
/// ```
/// use clusterops_logs::search::CompositeSource;
///
/// let host = CompositeSource::terms("host", "host.name").desc();
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct CompositeSource {
    name: String,
    kind: &'static str,
    parts: Parts,
}

impl Aggregation {
    /// A bucket for each combination of values of these sources, of which there must be one.
    pub fn composite(sources: impl IntoIterator<Item = CompositeSource>) -> Composite {
        let mut draft = Draft::new("composite");
        let mut names = Vec::new();
        for source in sources {
            if names.contains(&source.name) {
                draft.fail(&format!("two sources are named `{}`", source.name));
            }
            names.push(source.name.clone());
            draft.options.push("sources", source);
        }
        if names.is_empty() {
            draft.fail("it needs a source");
        }
        Composite(draft)
    }
}

impl Composite {
    /// How many buckets a page has; 10 by default.
    #[must_use]
    pub fn size(self, buckets: u32) -> Self {
        Self(self.0.with_size("size", buckets))
    }

    /// Goes on after this bucket: the `after_key` of the page before.
    #[must_use]
    pub fn after(self, key: Map<String, Value>) -> Self {
        Self(self.0.with("after", Value::Object(key)))
    }
}

impl CompositeSource {
    /// The values of a field.
    pub fn terms(name: impl Into<String>, field: impl Into<String>) -> Self {
        Self::new(name, "terms", field)
    }

    /// Steps of a number.
    pub fn histogram(name: impl Into<String>, field: impl Into<String>, interval: f64) -> Self {
        let mut source = Self::new(name, "histogram", field);
        if interval.is_nan() || interval <= 0.0 {
            source.parts.fail(format!(
                "composite: interval is {interval}, and must be above 0"
            ));
        }
        source.parts.set("interval", interval);
        source
    }

    /// Steps of time.
    pub fn date_histogram(
        name: impl Into<String>,
        field: impl Into<String>,
        interval: impl Into<Interval>,
    ) -> Self {
        let mut source = Self::new(name, "date_histogram", field);
        interval.into().set(&mut source.parts);
        source
    }

    /// The lowest first.
    #[must_use]
    pub fn asc(self) -> Self {
        self.raw("order", Value::from(Direction::Ascending.word()))
    }

    /// The highest first.
    #[must_use]
    pub fn desc(self) -> Self {
        self.raw("order", Value::from(Direction::Descending.word()))
    }

    /// Whether documents without a value have a bucket.
    #[must_use]
    pub fn missing_bucket(self, give: bool) -> Self {
        self.raw("missing_bucket", give.into())
    }

    /// An option in the server's own words, which nothing here checks.
    #[must_use]
    pub fn raw(mut self, name: &str, value: Value) -> Self {
        self.parts.set(name, value);
        self
    }

    fn new(name: impl Into<String>, kind: &'static str, field: impl Into<String>) -> Self {
        let (name, field) = (name.into(), field.into());
        let mut parts = Parts::new();
        if name.is_empty() || field.is_empty() {
            parts.fail("composite: a source needs a name and a field");
        }
        parts.set("field", field);
        Self { name, kind, parts }
    }
}

impl From<CompositeSource> for Json {
    fn from(source: CompositeSource) -> Self {
        Self::from(source.parts)
            .below(source.kind)
            .below(source.name)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::{Query, Search};

    #[test]
    fn documented_json() {
        // Elasticsearch Guide, "Composite aggregation", "Mixing different value sources".
        let composite = Aggregation::composite([
            CompositeSource::date_histogram("date", "timestamp", Interval::Day).desc(),
            CompositeSource::terms("product", "product").asc(),
        ])
        .size(2)
        .after(Map::from_iter([
            ("date".to_owned(), json!(1_494_288_000_000_i64)),
            ("product".to_owned(), json!("mad max")),
        ]));
        let search = Search::new(Query::match_all()).aggregation("my_buckets", composite);
        let expected = json!({"my_buckets": {"composite": {
            "size": 2,
            "sources": [
                {"date": {"date_histogram": {
                    "field": "timestamp", "calendar_interval": "day", "order": "desc"
                }}},
                {"product": {"terms": {"field": "product", "order": "asc"}}}
            ],
            "after": {"date": 1_494_288_000_000_i64, "product": "mad max"}
        }}});
        assert_eq!(
            search
                .to_json()
                .ok()
                .and_then(|body| body.get("aggs").cloned()),
            Some(expected)
        );
    }
}
