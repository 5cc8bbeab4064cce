//! Ranges of numbers, dates, addresses and texts.

use super::options::words;
use super::{Draft, Query, Scalar, query, zone_problem};

/// A range that has no bound yet, and so is no query.
///
/// ```
/// use clusterops_logs::Query;
///
/// let bounded = Query::range("bytes").gt(1000);
/// # assert!(Query::from(bounded).check().is_ok());
/// ```
///
/// ```compile_fail
/// use clusterops_logs::Query;
///
/// let query = Query::bool().filter(Query::range("bytes"));
/// ```
#[derive(Debug, Clone, PartialEq)]
#[must_use = "a range without a bound is no query"]
pub struct Range(Draft);

/// Documents with a value between bounds ("Range query"). A second lower or upper bound replaces the first.
///
/// ```
/// use clusterops_logs::Query;
/// use serde_json::json;
///
/// let query = Query::range("@timestamp")
///     .gte("01/2024")
///     .lt("now/M")
///     .format("MM/yyyy||strict_date_optional_time")
///     .time_zone("Europe/Berlin");
/// assert_eq!(
///     serde_json::to_value(&query)?,
///     json!({"range": {"@timestamp": {
///         "gte": "01/2024",
///         "lt": "now/M",
///         "format": "MM/yyyy||strict_date_optional_time",
///         "time_zone": "Europe/Berlin"
///     }}})
/// );
/// # Ok::<_, serde_json::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct Bounded(Draft);

query!(Bounded);

words! {
    /// How ranges in documents relate to the one asked for.
    ///
    /// ```
    /// use clusterops_logs::Query;
    /// use clusterops_logs::query::Relation;
    ///
    /// let query = Query::range("downtime").gte("now-1d").relation(Relation::Within);
    /// # assert!(Query::from(query).check().is_ok());
    /// ```
    Relation {
        /// They share something
        Intersects = "INTERSECTS",
        /// They contain it
        Contains = "CONTAINS",
        /// They are within it
        Within = "WITHIN",
    }
}

impl Query {
    /// Documents with a value between bounds, of which one at least has to follow.
    pub fn range(field: impl Into<String>) -> Range {
        Range(Draft::of_field("range", field))
    }
}

macro_rules! bounds {
    ($($type:ident),*) => {$(
        impl $type {
            /// Greater than this.
            #[must_use]
            pub fn gt(self, bound: impl Into<Scalar>) -> Bounded {
                bounded(self.0, "gt", "gte", bound.into())
            }

            /// This or greater.
            #[must_use]
            pub fn gte(self, bound: impl Into<Scalar>) -> Bounded {
                bounded(self.0, "gte", "gt", bound.into())
            }

            /// Less than this.
            #[must_use]
            pub fn lt(self, bound: impl Into<Scalar>) -> Bounded {
                bounded(self.0, "lt", "lte", bound.into())
            }

            /// This or less.
            #[must_use]
            pub fn lte(self, bound: impl Into<Scalar>) -> Bounded {
                bounded(self.0, "lte", "lt", bound.into())
            }
        }
    )*};
}

bounds!(Range, Bounded);

impl Bounded {
    /// The format of the dates that are given as text, such as `dd/MM/yyyy`, in place of the field's own.
    #[must_use]
    pub fn format(mut self, format: impl Into<String>) -> Self {
        let format = format.into();
        if format.is_empty() {
            self.0.fail("a date format is empty");
        }
        Self(self.0.with("format", format))
    }

    /// The zone of dates that name none: an offset such as `+01:00` or a name such as `Europe/Berlin`. It does not
    /// change what `now` is, but where its rounding starts.
    #[must_use]
    pub fn time_zone(mut self, zone: impl Into<String>) -> Self {
        let zone = zone.into();
        if let Some(problem) = zone_problem(&zone) {
            self.0.fail(&problem);
        }
        Self(self.0.with("time_zone", zone))
    }

    /// How ranges in documents relate to this one.
    #[must_use]
    pub fn relation(self, relation: Relation) -> Self {
        Self(self.0.with("relation", relation))
    }
}

fn bounded(mut draft: Draft, name: &str, other: &str, bound: Scalar) -> Bounded {
    if let Some(problem) = bound.date_problem() {
        draft.fail(&problem);
    }
    draft.parts.remove(other);
    Bounded(draft.with(name, bound))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn documented_json() {
        let cases = [
            // Elasticsearch Guide, "Range query".
            (
                Query::range("age").gte(10).lte(20).boost(2.0),
                json!({"range": {"age": {"gte": 10, "lte": 20, "boost": 2.0}}}),
            ),
            // The same, "Using the range query with date fields".
            (
                Query::range("timestamp").gte("now-1d/d").lt("now/d"),
                json!({"range": {"timestamp": {"gte": "now-1d/d", "lt": "now/d"}}}),
            ),
            // The same, "Time zone in range queries".
            (
                Query::range("timestamp")
                    .gte("2020-01-01T00:00:00")
                    .lte("now")
                    .time_zone("+01:00"),
                json!({"range": {"timestamp": {
                    "time_zone": "+01:00", "gte": "2020-01-01T00:00:00", "lte": "now"
                }}}),
            ),
            // OpenSearch documentation, "Range query".
            (
                Query::range("line_id").gte(10).lte(20),
                json!({"range": {"line_id": {"gte": 10, "lte": 20}}}),
            ),
            (
                Query::range("n").gte(1).gt(2).lt(3).lte(4),
                json!({"range": {"n": {"gt": 2, "lte": 4}}}),
            ),
        ];
        for (query, expected) in cases {
            assert_eq!(Query::from(query).to_json().ok(), Some(expected));
        }
    }
}
