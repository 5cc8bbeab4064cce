//! The order of hits.

use serde_json::Value;

use crate::Query;
use crate::query::Scalar;
use crate::query::parts::{Json, Parts};

/// One thing that hits are ordered by ("Sort search results").
///
/// ```
/// use clusterops_logs::search::Sort;
/// use clusterops_logs::{Query, Search};
/// use serde_json::json;
///
/// let search = Search::new(Query::match_all())
///     .sort(Sort::field("@timestamp").desc().missing_last())
///     .sort("host.name")
///     .sort(Sort::score());
/// assert_eq!(
///     serde_json::to_value(&search)?["sort"],
///     json!([{"@timestamp": {"order": "desc", "missing": "_last"}}, "host.name", "_score"])
/// );
/// # Ok::<_, serde_json::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct Sort(Json);

/// An order by a field.
///
/// ```
/// use clusterops_logs::search::{NumericType, Sort};
///
/// // Indices with `date` and indices with `date_nanos` in one order.
/// let sort = Sort::field("@timestamp")
///     .asc()
///     .numeric_type(NumericType::DateNanos)
///     .unmapped_type("date_nanos");
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct FieldSort {
    field: String,
    parts: Parts,
}

/// Where nested documents are that hits are ordered by.
///
/// ```
/// use clusterops_logs::Query;
/// use clusterops_logs::search::{NestedSort, Sort, SortMode};
///
/// let failed = NestedSort::path("spans").filter(Query::term("spans.status", "error"));
/// let sort = Sort::field("spans.took").mode(SortMode::Max).nested(failed);
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct NestedSort(Parts);

crate::query::words! {
    /// Up or down.
    ///
    /// ```
    /// use clusterops_logs::search::{Direction, Sort};
    ///
    /// let sort = Sort::field("@timestamp").order(Direction::Descending);
    /// ```
    Direction {
        /// The lowest first
        Ascending = "asc",
        /// The highest first
        Descending = "desc",
    }

    /// Which of several values of a field counts.
    ///
    /// ```
    /// use clusterops_logs::search::{Sort, SortMode};
    ///
    /// let sort = Sort::field("durations").mode(SortMode::Max);
    /// ```
    SortMode {
        /// The lowest
        Min = "min",
        /// The highest
        Max = "max",
        /// Their sum
        Sum = "sum",
        /// Their average
        Avg = "avg",
        /// Their median
        Median = "median",
    }

    /// What the numbers of a field are read as where its indices differ.
    ///
    /// ```
    /// use clusterops_logs::search::{NumericType, Sort};
    ///
    /// let sort = Sort::field("@timestamp").numeric_type(NumericType::DateNanos);
    /// ```
    NumericType {
        /// Numbers with a fraction
        Double = "double",
        /// Whole numbers
        Long = "long",
        /// Milliseconds
        Date = "date",
        /// Nanoseconds
        DateNanos = "date_nanos",
    }
}

impl Sort {
    /// By a field.
    pub fn field(field: impl Into<String>) -> FieldSort {
        FieldSort {
            field: field.into(),
            parts: Parts::new(),
        }
    }

    /// By the score, the best first.
    pub fn score() -> Self {
        Self("_score".into())
    }

    /// By the place in the index: the cheapest order.
    pub fn doc() -> Self {
        Self("_doc".into())
    }

    /// By the place in the shards of a point in time, in which it is unique.
    pub fn shard_doc() -> Self {
        Self("_shard_doc".into())
    }

    /// An order in the server's own words, which nothing here checks.
    pub fn raw(sort: Value) -> Self {
        Self(sort.into())
    }
}

impl FieldSort {
    /// The lowest first.
    #[must_use]
    pub fn asc(self) -> Self {
        self.order(Direction::Ascending)
    }

    /// The highest first.
    #[must_use]
    pub fn desc(self) -> Self {
        self.order(Direction::Descending)
    }

    /// Up or down.
    #[must_use]
    pub fn order(self, direction: Direction) -> Self {
        self.with("order", direction)
    }

    /// Documents without a value come first.
    #[must_use]
    pub fn missing_first(self) -> Self {
        self.with("missing", "_first")
    }

    /// Documents without a value come last, as they do by default.
    #[must_use]
    pub fn missing_last(self) -> Self {
        self.with("missing", "_last")
    }

    /// Documents without a value are ordered by this one.
    #[must_use]
    pub fn missing(self, value: impl Into<Scalar>) -> Self {
        self.with("missing", value.into())
    }

    /// The type to go by in an index that does not know the field, in place of an error.
    #[must_use]
    pub fn unmapped_type(self, kind: impl Into<String>) -> Self {
        self.with("unmapped_type", kind.into())
    }

    /// Which of several values counts.
    #[must_use]
    pub fn mode(self, mode: SortMode) -> Self {
        self.with("mode", mode)
    }

    /// What the numbers are read as where indices differ.
    #[must_use]
    pub fn numeric_type(self, kind: NumericType) -> Self {
        self.with("numeric_type", kind)
    }

    /// The format of dates among the values a hit was sorted by, such as `strict_date_optional_time_nanos`. Elasticsearch
    /// 7.13 or later; no OpenSearch has it.
    #[must_use]
    pub fn format(self, format: impl Into<String>) -> Self {
        self.with("format", format.into())
    }

    /// Where the nested documents are that the field belongs to.
    #[must_use]
    pub fn nested(self, nested: NestedSort) -> Self {
        self.with("nested", Json::from(nested.0))
    }

    /// An option in the server's own words, which nothing here checks.
    #[must_use]
    pub fn raw(self, name: &str, value: Value) -> Self {
        self.with(name, value)
    }

    fn with(mut self, name: &str, value: impl Into<Json>) -> Self {
        self.parts.set(name, value);
        self
    }
}

impl NestedSort {
    /// The documents that are nested here.
    pub fn path(path: impl Into<String>) -> Self {
        Self(Parts::new().with("path", path.into()))
    }

    /// Only those that match.
    #[must_use]
    pub fn filter(mut self, query: impl Into<Query>) -> Self {
        self.0.set("filter", query.into());
        self
    }

    /// The nested documents in these.
    #[must_use]
    pub fn nested(mut self, inner: Self) -> Self {
        self.0.set("nested", Json::from(inner.0));
        self
    }

    /// How many of them are looked at for each hit at most.
    #[must_use]
    pub fn max_children(mut self, documents: u32) -> Self {
        self.0.set("max_children", documents);
        self
    }

    /// An option in the server's own words, which nothing here checks.
    #[must_use]
    pub fn raw(mut self, name: &str, value: Value) -> Self {
        self.0.set(name, value);
        self
    }
}

impl From<FieldSort> for Sort {
    fn from(sort: FieldSort) -> Self {
        if sort.field.is_empty() {
            return Self(Json::invalid("sort: it needs the name of a field"));
        }
        if sort.parts.is_empty() {
            return Self(sort.field.into());
        }
        Self(Json::from(sort.parts).below(sort.field))
    }
}

impl From<&str> for Sort {
    fn from(field: &str) -> Self {
        Self::field(field).into()
    }
}

impl From<Value> for Sort {
    fn from(value: Value) -> Self {
        Self::raw(value)
    }
}

impl From<Sort> for Json {
    fn from(sort: Sort) -> Self {
        sort.0
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn documented_json() {
        // Elasticsearch Guide, "Sort search results".
        let cases = [
            (
                Sort::from(
                    Sort::field("post_date")
                        .asc()
                        .format("strict_date_optional_time_nanos"),
                ),
                json!({"post_date": {"order": "asc", "format": "strict_date_optional_time_nanos"}}),
            ),
            ("user".into(), json!("user")),
            (
                Sort::field("price").asc().mode(SortMode::Avg).into(),
                json!({"price": {"order": "asc", "mode": "avg"}}),
            ),
            (
                Sort::field("field")
                    .numeric_type(NumericType::DateNanos)
                    .into(),
                json!({"field": {"numeric_type": "date_nanos"}}),
            ),
            (
                Sort::field("offer.price")
                    .mode(SortMode::Avg)
                    .asc()
                    .nested(NestedSort::path("offer").filter(Query::term("offer.color", "blue")))
                    .into(),
                json!({"offer.price": {
                    "mode": "avg",
                    "order": "asc",
                    "nested": {"path": "offer", "filter": {"term": {"offer.color": {"value": "blue"}}}}
                }}),
            ),
            (
                Sort::field("price").missing_last().into(),
                json!({"price": {"missing": "_last"}}),
            ),
            (
                Sort::field("price").unmapped_type("long").into(),
                json!({"price": {"unmapped_type": "long"}}),
            ),
            (
                Sort::field("a.b")
                    .nested(NestedSort::path("a").raw("max_children", json!(3)))
                    .raw("order", json!("desc"))
                    .into(),
                json!({"a.b": {"nested": {"path": "a", "max_children": 3}, "order": "desc"}}),
            ),
        ];
        for (sort, expected) in cases {
            assert_eq!(Json::from(sort).value(), &expected);
        }
    }
}
