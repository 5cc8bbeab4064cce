//! Aggregations that give figures or hits.

use super::{Aggregation, Draft, aggregations};
use crate::query::Scalar;
use crate::query::parts::{Json, Parts};
use crate::search::hit_options;

/// A figure of a field: its least, its average and the like.
///
/// ```
/// use clusterops_logs::search::Aggregation;
/// use clusterops_logs::{Query, Search};
///
/// let search = Search::new(Query::match_all())
///     .size(0)
///     .aggregation("took", Aggregation::stats("took_ms").missing(0));
/// # assert!(search.check().is_ok());
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct Metric(pub(super) Draft);

/// How many values a field has, nearly ("Cardinality aggregation").
///
/// ```
/// use clusterops_logs::search::Aggregation;
/// use clusterops_logs::{Query, Search};
///
/// let users = Aggregation::cardinality("user.id").precision_threshold(10_000);
/// let search = Search::new(Query::match_all()).aggregation("users", users);
/// # assert!(search.check().is_ok());
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct Cardinality(pub(super) Draft);

/// Below which value so many percent are, nearly ("Percentiles aggregation").
///
/// ```
/// use clusterops_logs::search::Aggregation;
/// use clusterops_logs::{Query, Search};
///
/// let took = Aggregation::percentiles("took_ms").percents([50.0, 99.0, 99.9]);
/// let search = Search::new(Query::match_all()).aggregation("took", took);
/// # assert!(search.check().is_ok());
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct Percentiles(pub(super) Draft);

aggregations!(Metric, Cardinality, Percentiles);

/// Hits of each bucket ("Top hits aggregation"); 100 of them at most by default.
///
/// ```
/// use clusterops_logs::search::{Aggregation, Sort, TopHits};
/// use clusterops_logs::{Query, Search};
///
/// let last = TopHits::new().size(1).sort(Sort::field("@timestamp").desc()).source(["message"]);
/// let hosts = Aggregation::terms("host.name").aggregation("last", last);
/// let search = Search::new(Query::match_all()).aggregation("hosts", hosts);
/// # assert!(search.check().is_ok());
/// ```
#[derive(Debug, Clone, PartialEq, Default)]
pub struct TopHits(Parts);

hit_options!(TopHits);

impl TopHits {
    /// The best three, as servers give them by default.
    pub fn new() -> Self {
        Self::default()
    }
}

impl From<TopHits> for Aggregation {
    fn from(hits: TopHits) -> Self {
        Self {
            kind: "top_hits",
            json: Json::from(hits.0).below("top_hits"),
        }
    }
}

impl Aggregation {
    /// The least value.
    pub fn min(field: impl Into<String>) -> Metric {
        Metric(Draft::of_field("min", field))
    }

    /// The greatest value.
    pub fn max(field: impl Into<String>) -> Metric {
        Metric(Draft::of_field("max", field))
    }

    /// The average.
    pub fn avg(field: impl Into<String>) -> Metric {
        Metric(Draft::of_field("avg", field))
    }

    /// The sum.
    pub fn sum(field: impl Into<String>) -> Metric {
        Metric(Draft::of_field("sum", field))
    }

    /// How many values there are.
    pub fn value_count(field: impl Into<String>) -> Metric {
        Metric(Draft::of_field("value_count", field))
    }

    /// Count, least, greatest, average and sum.
    pub fn stats(field: impl Into<String>) -> Metric {
        Metric(Draft::of_field("stats", field))
    }

    /// [`stats`](Self::stats), with variance and deviations.
    pub fn extended_stats(field: impl Into<String>) -> Metric {
        Metric(Draft::of_field("extended_stats", field))
    }

    /// How many values a field has, nearly.
    pub fn cardinality(field: impl Into<String>) -> Cardinality {
        Cardinality(Draft::of_field("cardinality", field))
    }

    /// Below which value so many percent are, nearly.
    pub fn percentiles(field: impl Into<String>) -> Percentiles {
        Percentiles(Draft::of_field("percentiles", field))
    }

    /// Hits of each bucket.
    pub fn top_hits() -> TopHits {
        TopHits::new()
    }
}

macro_rules! missing {
    ($($type:ident),*) => {$(
        impl $type {
            /// The value of documents without one, which are left out by default.
            #[must_use]
            pub fn missing(self, value: impl Into<Scalar>) -> Self {
                Self(self.0.with("missing", value.into()))
            }
        }
    )*};
}

missing!(Metric, Cardinality, Percentiles);

impl Cardinality {
    /// Up to how many values the count is close; 40,000 at most.
    #[must_use]
    pub fn precision_threshold(self, values: u32) -> Self {
        Self(self.0.with("precision_threshold", values))
    }
}

impl Percentiles {
    /// Which percentages, from 0 to 100; 1, 5, 25, 50, 75, 95 and 99 by default.
    #[must_use]
    pub fn percents(mut self, percents: impl IntoIterator<Item = f64>) -> Self {
        let percents: Vec<f64> = percents.into_iter().collect();
        match percents
            .iter()
            .find(|percent| !(0.0..=100.0).contains(*percent))
        {
            Some(wrong) => self.0.fail(&format!("{wrong} is no percentage")),
            None if percents.is_empty() => self.0.fail("it needs a percentage"),
            None => {}
        }
        Self(self.0.with("percents", Json::list(percents)))
    }

    /// Gives them as an object by percentage, as by default, or as a list.
    #[must_use]
    pub fn keyed(self, keyed: bool) -> Self {
        Self(self.0.with("keyed", keyed))
    }

    /// How exact t-digest is, at the cost of memory; 100 by default.
    #[must_use]
    pub fn tdigest_compression(self, compression: f64) -> Self {
        let tdigest = Parts::new().with("compression", compression);
        self.method("tdigest", tdigest)
    }

    /// By a histogram of high dynamic range in place of t-digest, with 0 to 5 digits that count.
    #[must_use]
    pub fn hdr(mut self, digits: u8) -> Self {
        if digits > 5 {
            self.0.fail(&format!(
                "{digits} digits, and an HDR histogram has 5 at most"
            ));
        }
        let hdr = Parts::new().with("number_of_significant_value_digits", digits);
        self.method("hdr", hdr)
    }

    fn method(mut self, name: &str, method: Parts) -> Self {
        let other = if name == "hdr" { "tdigest" } else { "hdr" };
        if self.0.options.get(other).is_some() {
            self.0
                .fail("by a histogram of high dynamic range or by t-digest, not by both");
        }
        Self(self.0.with(name, method))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::search::{Bucket, Interval, Order, Sort};
    use crate::{Query, Search};

    #[test]
    fn documented_json() {
        let cases: [(Aggregation, _); 9] = [
            // Elasticsearch Guide, "Terms aggregation", "Order".
            (
                Aggregation::terms("play_count")
                    .order_by(Order::by("max_play_count").desc())
                    .aggregation("max_play_count", Aggregation::max("play_count"))
                    .into(),
                json!({
                    "terms": {"field": "play_count", "order": [{"max_play_count": "desc"}]},
                    "aggs": {"max_play_count": {"max": {"field": "play_count"}}}
                }),
            ),
            // Elasticsearch Guide, "Date histogram aggregation".
            (
                Aggregation::date_histogram("date", Interval::Month)
                    .format("yyyy-MM-dd")
                    .into(),
                json!({"date_histogram": {
                    "field": "date", "calendar_interval": "month", "format": "yyyy-MM-dd"
                }}),
            ),
            // Elasticsearch Guide, "Histogram aggregation", "Minimum document count".
            (
                Aggregation::histogram("price", 50.0)
                    .extended_bounds(0.0, 500.0)
                    .into(),
                json!({"histogram": {
                    "field": "price", "interval": 50.0, "extended_bounds": {"min": 0.0, "max": 500.0}
                }}),
            ),
            // Elasticsearch Guide, "Range aggregation", "Keyed Response".
            (
                Aggregation::range(
                    "price",
                    [
                        Bucket::to(100).key("cheap"),
                        Bucket::between(100, 200).key("average"),
                        Bucket::from(200).key("expensive"),
                    ],
                )
                .keyed(true)
                .into(),
                json!({"range": {"field": "price", "keyed": true, "ranges": [
                    {"key": "cheap", "to": 100},
                    {"key": "average", "from": 100, "to": 200},
                    {"key": "expensive", "from": 200}
                ]}}),
            ),
            // Elasticsearch Guide, "Filters aggregation", "Other Bucket".
            (
                Aggregation::filters([
                    ("errors", Query::matches("body", "error")),
                    ("warnings", Query::matches("body", "warning")),
                ])
                .other("other_messages")
                .into(),
                json!({"filters": {
                    "other_bucket_key": "other_messages",
                    "filters": {
                        "errors": {"match": {"body": "error"}},
                        "warnings": {"match": {"body": "warning"}}
                    }
                }}),
            ),
            // Elasticsearch Guide, "Cardinality aggregation", "Precision control".
            (
                Aggregation::cardinality("type")
                    .precision_threshold(100)
                    .into(),
                json!({"cardinality": {"field": "type", "precision_threshold": 100}}),
            ),
            // Elasticsearch Guide, "Percentiles aggregation".
            (
                Aggregation::percentiles("load_time")
                    .percents([95.0, 99.0, 99.9])
                    .into(),
                json!({"percentiles": {"field": "load_time", "percents": [95.0, 99.0, 99.9]}}),
            ),
            // Elasticsearch Guide, "Top hits aggregation".
            (
                TopHits::new()
                    .sort(Sort::field("date").desc())
                    .source(crate::search::SourceFilter::includes(["date", "price"]))
                    .size(1)
                    .into(),
                json!({"top_hits": {
                    "sort": [{"date": {"order": "desc"}}], "_source": ["date", "price"], "size": 1
                }}),
            ),
            // Elasticsearch Guide, "Nested aggregation" and "Filter aggregation".
            (
                Aggregation::nested("resellers")
                    .aggregation(
                        "filter_reseller",
                        Aggregation::filter(Query::term("resellers.reseller", "companyB"))
                            .aggregation("min_price", Aggregation::min("resellers.price")),
                    )
                    .into(),
                json!({
                    "nested": {"path": "resellers"},
                    "aggs": {"filter_reseller": {
                        "filter": {"term": {"resellers.reseller": {"value": "companyB"}}},
                        "aggs": {"min_price": {"min": {"field": "resellers.price"}}}
                    }}
                }),
            ),
        ];
        for (aggregation, expected) in cases {
            let search = Search::new(Query::match_all()).aggregation("a", aggregation);
            let body = search.to_json().ok();
            assert_eq!(
                body.as_ref().and_then(|body| body["aggs"].get("a")),
                Some(&expected)
            );
        }
    }
}
