//! Buckets of time.

use std::time::Duration;

use super::{Aggregation, Draft, Order, buckets};
use crate::query::parts::Parts;
use crate::query::{Scalar, zone_problem};
use crate::search::request::time_value;

/// A bucket for each step of time ("Date histogram aggregation").
///
/// ```
/// use std::time::Duration;
///
/// use clusterops_logs::search::{Aggregation, Interval};
/// use clusterops_logs::{Query, Search};
/// use serde_json::json;
///
/// let days = Aggregation::date_histogram("@timestamp", Interval::Day).time_zone("Europe/Berlin");
/// let steps = Aggregation::date_histogram("@timestamp", Duration::from_secs(90));
/// let search = Search::new(Query::match_all()).aggregation("days", days).aggregation("steps", steps);
/// assert_eq!(
///     serde_json::to_value(&search)?["aggs"],
///     json!({
///         "days": {"date_histogram": {
///             "field": "@timestamp", "calendar_interval": "day", "time_zone": "Europe/Berlin"
///         }},
///         "steps": {"date_histogram": {"field": "@timestamp", "fixed_interval": "90s"}}
///     })
/// );
/// # Ok::<_, serde_json::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct DateHistogram(pub(super) Draft);

buckets!(DateHistogram);

/// A step of time: of the calendar, or a fixed span.
///
/// ```
/// use std::time::Duration;
///
/// use clusterops_logs::search::Interval;
///
/// assert_eq!(Interval::from(Duration::from_secs(30)), Interval::Fixed(Duration::from_secs(30)));
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Interval {
    /// A minute of the calendar.
    Minute,
    /// An hour of the calendar.
    Hour,
    /// A day, which has 23 or 25 hours when clocks change.
    Day,
    /// A week from Monday on.
    Week,
    /// A month.
    Month,
    /// A quarter of a year.
    Quarter,
    /// A year.
    Year,
    /// A fixed span, of whole milliseconds.
    Fixed(Duration),
}

impl From<Duration> for Interval {
    fn from(span: Duration) -> Self {
        Self::Fixed(span)
    }
}

impl Interval {
    /// Sets the member that it is.
    pub(super) fn set(self, options: &mut Parts) {
        let word = match self {
            Self::Minute => "minute",
            Self::Hour => "hour",
            Self::Day => "day",
            Self::Week => "week",
            Self::Month => "month",
            Self::Quarter => "quarter",
            Self::Year => "year",
            Self::Fixed(span) => {
                options.set(
                    "fixed_interval",
                    time_value("date_histogram: the interval", span),
                );
                return;
            }
        };
        options.set("calendar_interval", word);
    }
}

impl Aggregation {
    /// A bucket for each step of time.
    pub fn date_histogram(
        field: impl Into<String>,
        interval: impl Into<Interval>,
    ) -> DateHistogram {
        let mut draft = Draft::of_field("date_histogram", field);
        interval.into().set(&mut draft.options);
        DateHistogram(draft)
    }
}

impl DateHistogram {
    /// The zone in which steps of the calendar start: an offset or a name.
    #[must_use]
    pub fn time_zone(mut self, zone: impl Into<String>) -> Self {
        let zone = zone.into();
        if let Some(problem) = zone_problem(&zone) {
            self.0.fail(&problem);
        }
        Self(self.0.with("time_zone", zone))
    }

    /// Where steps start, such as `+6h`.
    #[must_use]
    pub fn offset(self, offset: impl Into<String>) -> Self {
        Self(self.0.with("offset", offset.into()))
    }

    /// The format of the keys.
    #[must_use]
    pub fn format(self, format: impl Into<String>) -> Self {
        Self(self.0.with("format", format.into()))
    }

    /// How many documents a bucket has at least; 0 by default, which gives the empty ones in between too.
    #[must_use]
    pub fn min_doc_count(self, documents: u32) -> Self {
        Self(self.0.with("min_doc_count", documents))
    }

    /// Gives buckets from the first to the second instant even where they are empty.
    #[must_use]
    pub fn extended_bounds(self, min: impl Into<Scalar>, max: impl Into<Scalar>) -> Self {
        self.bounds("extended_bounds", min.into(), max.into())
    }

    /// Gives buckets from the first to the second instant only. Elasticsearch 7.10 or OpenSearch.
    #[must_use]
    pub fn hard_bounds(self, min: impl Into<Scalar>, max: impl Into<Scalar>) -> Self {
        self.bounds("hard_bounds", min.into(), max.into())
    }

    /// The instant of documents without one.
    #[must_use]
    pub fn missing(self, value: impl Into<Scalar>) -> Self {
        Self(self.0.with("missing", value.into()))
    }

    /// What to order the buckets by.
    #[must_use]
    pub fn order_by(mut self, order: Order) -> Self {
        order.check(&mut self.0);
        Self(self.0.with("order", order))
    }

    /// Gives the buckets as an object by their keys.
    #[must_use]
    pub fn keyed(self, keyed: bool) -> Self {
        Self(self.0.with("keyed", keyed))
    }

    fn bounds(mut self, name: &str, min: Scalar, max: Scalar) -> Self {
        if let Some(problem) = min.date_problem().or(max.date_problem()) {
            self.0.fail(&problem);
        }
        Self(
            self.0
                .with(name, Parts::new().with("min", min).with("max", max)),
        )
    }
}
