//! What is worked out over all that a query finds.

mod bucket;
mod composite;
mod interval;
mod metric;

use serde_json::Value;

use crate::query::parts::{Json, Parts};

pub use bucket::{
    Bucket, Filter, Filters, Histogram, Missing, Nested, Order, Ranges, ReverseNested, Terms,
};
pub use composite::{Composite, CompositeSource};
pub use interval::{DateHistogram, Interval};
pub use metric::{Cardinality, Metric, Percentiles, TopHits};

/// Something that a server works out over all that a query finds: buckets of documents, or a figure.
///
/// Buckets have aggregations of their own; a figure has none, and one below it does not compile.
///
/// ```
/// use clusterops_logs::search::Aggregation;
/// use clusterops_logs::{Query, Search};
/// use serde_json::json;
///
/// let hosts = Aggregation::terms("host.name")
///     .size(5)
///     .aggregation("slowest", Aggregation::max("took_ms"));
/// let search = Search::new(Query::match_all()).size(0).aggregation("hosts", hosts);
/// assert_eq!(
///     serde_json::to_value(&search)?["aggs"],
///     json!({"hosts": {
///         "terms": {"field": "host.name", "size": 5},
///         "aggs": {"slowest": {"max": {"field": "took_ms"}}}
///     }})
/// );
/// # Ok::<_, serde_json::Error>(())
/// ```
///
/// ```compile_fail
/// use clusterops_logs::search::Aggregation;
///
/// let below_a_figure = Aggregation::max("took_ms").aggregation("x", Aggregation::min("took_ms"));
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct Aggregation {
    kind: &'static str,
    json: Json,
}

impl Aggregation {
    /// An aggregation in the server's own words, which nothing here checks.
    pub fn raw(aggregation: Value) -> Self {
        Self {
            kind: "",
            json: aggregation.into(),
        }
    }

    /// Puts it into `aggs` of a search or of another aggregation.
    pub(crate) fn insert_into(self, parts: &mut Parts, name: String, parent: Option<&str>) {
        if name.is_empty() || name.contains(['[', ']', '>']) {
            parts.fail(format!(
                "an aggregation is named `{name}`: a name is not empty and has no `[`, `]` or `>`"
            ));
        }
        // Elasticsearch Guide, "Composite aggregation": no server takes one below other buckets.
        let below = matches!(parent, Some(kind) if !matches!(kind, "nested" | "filter" | ""));
        if self.kind == "composite" && below {
            parts.fail(format!(
                "composite `{name}` stands below {}: it can stand below nested and filter only",
                parent.unwrap_or_default()
            ));
        }
        parts.insert("aggs", name, self.json);
    }
}

impl From<Value> for Aggregation {
    fn from(aggregation: Value) -> Self {
        Self::raw(aggregation)
    }
}

/// An aggregation that is being built.
#[derive(Debug, Clone, PartialEq)]
struct Draft {
    kind: &'static str,
    options: Parts,
    /// What stands beside the options: aggregations below, metadata.
    outer: Parts,
}

impl Draft {
    fn new(kind: &'static str) -> Self {
        Self {
            kind,
            options: Parts::new(),
            outer: Parts::new(),
        }
    }

    fn of_field(kind: &'static str, field: impl Into<String>) -> Self {
        let field = field.into();
        let mut draft = Self::new(kind);
        if field.is_empty() {
            draft.fail("it needs the name of a field");
        }
        draft.with("field", field)
    }

    fn with(mut self, name: &str, value: impl Into<Json>) -> Self {
        self.options.set(name, value);
        self
    }

    fn fail(&mut self, problem: &str) {
        self.options.fail(format!("{}: {problem}", self.kind));
    }

    fn with_size(mut self, name: &str, size: u32) -> Self {
        if size == 0 {
            self.fail(&format!("{name} is 0, and must be 1 at least"));
        }
        self.with(name, size)
    }
}

impl From<Draft> for Aggregation {
    fn from(mut draft: Draft) -> Self {
        draft.outer.set(draft.kind, draft.options);
        Self {
            kind: draft.kind,
            json: draft.outer.into(),
        }
    }
}

/// What all kinds can do.
macro_rules! aggregations {
    ($($type:ident),*) => {$(
        impl $type {
            /// What comes back beside the result, for whoever reads it.
            #[must_use]
            pub fn meta(mut self, meta: serde_json::Map<String, serde_json::Value>) -> Self {
                self.0.outer.set("meta", serde_json::Value::Object(meta));
                self
            }

            /// An option in the server's own words, which nothing here checks.
            #[must_use]
            pub fn raw(self, name: &str, value: serde_json::Value) -> Self {
                Self(self.0.with(name, value))
            }
        }

        impl From<$type> for super::Aggregation {
            fn from(aggregation: $type) -> Self {
                aggregation.0.into()
            }
        }
    )*};
}
use aggregations;

/// What those can do that make buckets.
macro_rules! buckets {
    ($($type:ident),*) => {
        super::aggregations!($($type),*);
        $(
            impl $type {
                /// Works something out over each bucket; the name is that of the result.
                #[must_use]
                pub fn aggregation(
                    mut self,
                    name: impl Into<String>,
                    aggregation: impl Into<super::Aggregation>,
                ) -> Self {
                    let kind = self.0.kind;
                    aggregation.into().insert_into(&mut self.0.outer, name.into(), Some(kind));
                    self
                }
            }
        )*
    };
}
use buckets;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Query, Search};

    #[test]
    fn what_servers_refuse_is_told() {
        let below = |aggregation: Aggregation| {
            Search::new(Query::match_all()).aggregation("a", aggregation)
        };
        let terms = || Aggregation::terms("host");
        let composite = || Aggregation::composite([CompositeSource::terms("h", "host")]);
        let cases = [
            (below(terms().size(0).into()), "terms: size is 0"),
            (
                below(terms().aggregation("a>b", terms()).into()),
                "an aggregation is named `a>b`",
            ),
            (
                below(Aggregation::composite([]).into()),
                "composite: it needs a source",
            ),
            (
                below(Aggregation::range("n", []).into()),
                "range: it needs a range",
            ),
            (
                below(Aggregation::filters(Vec::<(&str, Query)>::new()).into()),
                "filters: it needs a filter",
            ),
            (
                below(terms().aggregation("c", composite()).into()),
                "composite `c` stands below terms",
            ),
            (
                below(terms().into()).aggregation("a", terms()),
                "`a` stands twice in `aggs`",
            ),
            (
                below(
                    Aggregation::percentiles("n")
                        .hdr(3)
                        .tdigest_compression(100.0)
                        .into(),
                ),
                "percentiles: by a histogram of high dynamic range or by t-digest, not by both",
            ),
            (
                below(Aggregation::percentiles("n").percents([50.0, 101.0]).into()),
                "percentiles: 101 is no percentage",
            ),
            (
                below(Aggregation::histogram("n", 0.0).into()),
                "histogram: interval is 0",
            ),
            (
                below(terms().order_by(Order::by("a.")).into()),
                "terms: `a.` is no path",
            ),
        ];
        for (search, expected) in cases {
            let error = search.check().expect_err(expected).to_string();
            assert!(error.starts_with(expected), "{error}");
        }
        let fine = Aggregation::nested("spans").aggregation("c", composite());
        assert!(below(fine.into()).check().is_ok());
    }
}
