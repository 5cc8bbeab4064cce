//! Aggregations that make buckets of documents.

use super::{Aggregation, Draft, buckets};
use crate::Query;
use crate::query::parts::{Json, Parts};
use crate::query::{Scalar, zone_problem};
use crate::search::Direction;

/// A bucket for each value ("Terms aggregation").
///
/// ```
/// use clusterops_logs::search::{Aggregation, Order};
/// use clusterops_logs::{Query, Search};
///
/// let services = Aggregation::terms("service.name").size(20).order_by(Order::key().asc());
/// let search = Search::new(Query::match_all()).aggregation("services", services);
/// # assert!(search.check().is_ok());
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct Terms(pub(super) Draft);

/// A bucket for each step of a number ("Histogram aggregation").
///
/// ```
/// use clusterops_logs::search::Aggregation;
/// use clusterops_logs::{Query, Search};
///
/// let took = Aggregation::histogram("took_ms", 100.0).min_doc_count(1);
/// let search = Search::new(Query::match_all()).aggregation("took", took);
/// # assert!(search.check().is_ok());
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct Histogram(pub(super) Draft);

/// A bucket for each range ("Range aggregation", "Date range aggregation", "IP range aggregation").
///
/// ```
/// use clusterops_logs::search::{Aggregation, Bucket};
/// use clusterops_logs::{Query, Search};
///
/// let took = Aggregation::range("took_ms", [Bucket::to(100), Bucket::between(100, 1000).key("slow")]);
/// let search = Search::new(Query::match_all()).aggregation("took", took);
/// # assert!(search.check().is_ok());
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct Ranges(pub(super) Draft);

/// A bucket for each of several queries ("Filters aggregation").
///
/// ```
/// use clusterops_logs::search::Aggregation;
/// use clusterops_logs::{Query, Search};
///
/// let levels = Aggregation::filters([
///     ("bad", Query::from(Query::terms("level", ["error", "fatal"]))),
///     ("odd", Query::term("level", "warn").into()),
/// ]);
/// let search = Search::new(Query::match_all()).aggregation("levels", levels.other("fine"));
/// # assert!(search.check().is_ok());
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct Filters(pub(super) Draft);

/// One bucket, of what a query finds ("Filter aggregation").
///
/// ```
/// use clusterops_logs::search::Aggregation;
/// use clusterops_logs::{Query, Search};
///
/// let errors = Aggregation::filter(Query::term("level", "error"))
///     .aggregation("hosts", Aggregation::terms("host.name"));
/// let search = Search::new(Query::match_all()).aggregation("errors", errors);
/// # assert!(search.check().is_ok());
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct Filter(pub(super) Draft);

/// One bucket, of the documents that are nested in those found ("Nested aggregation").
///
/// ```
/// use clusterops_logs::search::Aggregation;
/// use clusterops_logs::{Query, Search};
///
/// let spans = Aggregation::nested("spans").aggregation("took", Aggregation::stats("spans.took"));
/// let search = Search::new(Query::match_all()).aggregation("spans", spans);
/// # assert!(search.check().is_ok());
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct Nested(pub(super) Draft);

/// One bucket, of the documents that nested ones are in ("Reverse nested aggregation").
///
/// ```
/// use clusterops_logs::search::Aggregation;
/// use clusterops_logs::{Query, Search};
///
/// let hosts = Aggregation::reverse_nested().aggregation("host", Aggregation::terms("host.name"));
/// let spans = Aggregation::nested("spans").aggregation("hosts", hosts);
/// let search = Search::new(Query::match_all()).aggregation("spans", spans);
/// # assert!(search.check().is_ok());
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct ReverseNested(pub(super) Draft);

/// One bucket, of the documents without a value in a field ("Missing aggregation").
///
/// ```
/// use clusterops_logs::search::Aggregation;
/// use clusterops_logs::{Query, Search};
///
/// let search = Search::new(Query::match_all())
///     .aggregation("without_level", Aggregation::missing("level"));
/// # assert!(search.check().is_ok());
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct Missing(pub(super) Draft);

buckets!(
    Terms,
    Histogram,
    Ranges,
    Filters,
    Filter,
    Nested,
    ReverseNested,
    Missing
);

impl Aggregation {
    /// A bucket for each value of a field; the ten with most documents by default.
    pub fn terms(field: impl Into<String>) -> Terms {
        Terms(Draft::of_field("terms", field))
    }

    /// A bucket for each step of a number.
    pub fn histogram(field: impl Into<String>, interval: f64) -> Histogram {
        let mut draft = Draft::of_field("histogram", field);
        if interval.is_nan() || interval <= 0.0 {
            draft.fail(&format!("interval is {interval}, and must be above 0"));
        }
        Histogram(draft.with("interval", interval))
    }

    /// A bucket for each range of numbers.
    pub fn range(field: impl Into<String>, ranges: impl IntoIterator<Item = Bucket>) -> Ranges {
        Ranges::new("range", field, ranges)
    }

    /// A bucket for each range of dates, which can be date math.
    pub fn date_range(
        field: impl Into<String>,
        ranges: impl IntoIterator<Item = Bucket>,
    ) -> Ranges {
        Ranges::new("date_range", field, ranges)
    }

    /// A bucket for each range of addresses.
    pub fn ip_range(field: impl Into<String>, ranges: impl IntoIterator<Item = Bucket>) -> Ranges {
        Ranges::new("ip_range", field, ranges)
    }

    /// A bucket for each query, by its name.
    pub fn filters<N: Into<String>, Q: Into<Query>>(
        filters: impl IntoIterator<Item = (N, Q)>,
    ) -> Filters {
        let mut draft = Draft::new("filters");
        for (name, query) in filters {
            draft.options.insert("filters", name.into(), query.into());
        }
        if draft.options.get("filters").is_none() {
            draft.fail("it needs a filter");
        }
        Filters(draft)
    }

    /// One bucket, of what a query finds.
    pub fn filter(query: impl Into<Query>) -> Filter {
        let mut draft = Draft::new("filter");
        draft.options.whole(Json::from(query.into()));
        Filter(draft)
    }

    /// One bucket, of the documents nested at `path`.
    pub fn nested(path: impl Into<String>) -> Nested {
        Nested(Draft::new("nested").with("path", path.into()))
    }

    /// One bucket, of the documents that those of the nested bucket around are in.
    pub fn reverse_nested() -> ReverseNested {
        ReverseNested(Draft::new("reverse_nested"))
    }

    /// One bucket, of the documents without a value in a field.
    pub fn missing(field: impl Into<String>) -> Missing {
        Missing(Draft::of_field("missing", field))
    }
}

impl Terms {
    /// How many buckets to give; 10 by default.
    #[must_use]
    pub fn size(self, buckets: u32) -> Self {
        Self(self.0.with_size("size", buckets))
    }

    /// How many buckets each shard looks at: more is more exact.
    #[must_use]
    pub fn shard_size(self, buckets: u32) -> Self {
        Self(self.0.with_size("shard_size", buckets))
    }

    /// What to order the buckets by, after what has been named before.
    #[must_use]
    pub fn order_by(mut self, order: Order) -> Self {
        order.check(&mut self.0);
        self.0.options.push("order", order);
        self
    }

    /// How many documents a bucket has at least.
    #[must_use]
    pub fn min_doc_count(self, documents: u32) -> Self {
        Self(self.0.with("min_doc_count", documents))
    }

    /// The value of documents without one, which are left out by default.
    #[must_use]
    pub fn missing(self, value: impl Into<Scalar>) -> Self {
        Self(self.0.with("missing", value.into()))
    }

    /// Only values that this regular expression matches as a whole.
    #[must_use]
    pub fn include(self, expression: impl Into<String>) -> Self {
        Self(self.0.with("include", expression.into()))
    }

    /// Only these values.
    #[must_use]
    pub fn include_values(self, values: impl IntoIterator<Item = impl Into<Scalar>>) -> Self {
        let values = values.into_iter().map(Into::<Scalar>::into);
        Self(self.0.with("include", Json::list(values)))
    }

    /// No values that this regular expression matches as a whole.
    #[must_use]
    pub fn exclude(self, expression: impl Into<String>) -> Self {
        Self(self.0.with("exclude", expression.into()))
    }

    /// None of these values.
    #[must_use]
    pub fn exclude_values(self, values: impl IntoIterator<Item = impl Into<Scalar>>) -> Self {
        let values = values.into_iter().map(Into::<Scalar>::into);
        Self(self.0.with("exclude", Json::list(values)))
    }

    /// Whether each bucket tells how far its count can be off.
    #[must_use]
    pub fn show_term_doc_count_error(self, tell: bool) -> Self {
        Self(self.0.with("show_term_doc_count_error", tell))
    }
}

impl Histogram {
    /// How many documents a bucket has at least; 0 by default, which gives the empty ones in between too.
    #[must_use]
    pub fn min_doc_count(self, documents: u32) -> Self {
        Self(self.0.with("min_doc_count", documents))
    }

    /// Where steps start.
    #[must_use]
    pub fn offset(self, offset: f64) -> Self {
        Self(self.0.with("offset", offset))
    }

    /// Gives buckets from the first to the second number even where they are empty.
    #[must_use]
    pub fn extended_bounds(self, min: f64, max: f64) -> Self {
        let bounds = Parts::new().with("min", min).with("max", max);
        Self(self.0.with("extended_bounds", bounds))
    }

    /// The value of documents without one.
    #[must_use]
    pub fn missing(self, value: f64) -> Self {
        Self(self.0.with("missing", value))
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
}

impl Ranges {
    fn new(
        kind: &'static str,
        field: impl Into<String>,
        ranges: impl IntoIterator<Item = Bucket>,
    ) -> Self {
        let mut draft = Draft::of_field(kind, field);
        for range in ranges {
            if kind == "date_range"
                && let Some(problem) = range.problem
            {
                draft.fail(&problem);
            }
            draft.options.push("ranges", range.parts);
        }
        if draft.options.get("ranges").is_none() {
            draft.fail("it needs a range");
        }
        Self(draft)
    }

    /// The format of dates, in the request and in the keys.
    #[must_use]
    pub fn format(self, format: impl Into<String>) -> Self {
        Self(self.0.with("format", format.into()))
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

    /// Gives the buckets as an object by their keys.
    #[must_use]
    pub fn keyed(self, keyed: bool) -> Self {
        Self(self.0.with("keyed", keyed))
    }
}

impl Filters {
    /// A bucket of this name for all that no query finds.
    #[must_use]
    pub fn other(self, name: impl Into<String>) -> Self {
        Self(self.0.with("other_bucket_key", name.into()))
    }
}

impl ReverseNested {
    /// The documents at this path, in place of the outermost.
    #[must_use]
    pub fn path(self, path: impl Into<String>) -> Self {
        Self(self.0.with("path", path.into()))
    }
}

/// A range of a [`Ranges`] aggregation: from its start on, up to and without its end.
///
/// ```
/// use clusterops_logs::search::{Aggregation, Bucket};
///
/// let ages = [Bucket::from("now-1d"), Bucket::between("now-7d", "now-1d").key("last week")];
/// let aggregation = Aggregation::date_range("@timestamp", ages);
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct Bucket {
    parts: Parts,
    problem: Option<String>,
}

impl Bucket {
    /// From this on.
    pub fn from(start: impl Into<Scalar>) -> Self {
        Self::new(Some(start.into()), None)
    }

    /// Up to this.
    pub fn to(end: impl Into<Scalar>) -> Self {
        Self::new(None, Some(end.into()))
    }

    /// From one up to the other.
    pub fn between(start: impl Into<Scalar>, end: impl Into<Scalar>) -> Self {
        Self::new(Some(start.into()), Some(end.into()))
    }

    /// Its name in the answer.
    #[must_use]
    pub fn key(mut self, key: impl Into<String>) -> Self {
        self.parts.set("key", key.into());
        self
    }

    /// An option in the server's own words, such as `mask` for addresses, which nothing here checks.
    #[must_use]
    pub fn raw(mut self, name: &str, value: serde_json::Value) -> Self {
        self.parts.set(name, value);
        self
    }

    fn new(start: Option<Scalar>, end: Option<Scalar>) -> Self {
        let (mut parts, mut problem) = (Parts::new(), None);
        for (name, bound) in [("from", start), ("to", end)] {
            if let Some(bound) = bound {
                problem = problem.or(bound.date_problem());
                parts.set(name, bound);
            }
        }
        Self { parts, problem }
    }
}

/// What buckets are ordered by.
///
/// ```
/// use clusterops_logs::search::{Aggregation, Order};
///
/// let slowest = Aggregation::terms("host.name")
///     .aggregation("took", Aggregation::stats("took_ms"))
///     .order_by(Order::by("took.max").desc());
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Order {
    path: String,
    direction: Direction,
}

impl Order {
    /// By the number of documents, the most first.
    pub fn count() -> Self {
        Self::by("_count").desc()
    }

    /// By the value, the lowest first.
    pub fn key() -> Self {
        Self::by("_key")
    }

    /// By a figure below: the name of its aggregation, or a path to it such as `took.max`; the lowest first.
    pub fn by(path: impl Into<String>) -> Self {
        Self {
            path: path.into(),
            direction: Direction::Ascending,
        }
    }

    /// The lowest first.
    #[must_use]
    pub fn asc(mut self) -> Self {
        self.direction = Direction::Ascending;
        self
    }

    /// The highest first.
    #[must_use]
    pub fn desc(mut self) -> Self {
        self.direction = Direction::Descending;
        self
    }

    pub(super) fn check(&self, draft: &mut Draft) {
        let empty = self.path.split(['.', '>']).any(str::is_empty);
        if empty {
            draft.fail(&format!("`{}` is no path to a figure", self.path));
        }
    }
}

impl From<Order> for Json {
    fn from(order: Order) -> Self {
        Self::from(order.direction).below(order.path)
    }
}
