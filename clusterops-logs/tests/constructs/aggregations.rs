//! Every aggregation with every option.

use std::time::Duration;

use clusterops_logs::search::{
    Aggregation, Bucket, CompositeSource, Highlight, Interval, Order, Sort, TopHits,
};
use clusterops_logs::{Query, Search};
use serde_json::{Map, json};

use super::Construct;

pub(crate) fn all() -> Vec<Construct> {
    let composite = || {
        Aggregation::composite([
            CompositeSource::terms("level", "level")
                .desc()
                .missing_bucket(true),
            CompositeSource::date_histogram("day", "@timestamp", Interval::Day).asc(),
            CompositeSource::histogram("took", "took", 100.0),
        ])
    };
    let after = json!({"level": "fatal", "day": 0, "took": 0.0})
        .as_object()
        .cloned();
    let spans = || Aggregation::composite([CompositeSource::terms("status", "spans.status")]);
    let mut constructs: Vec<(&str, Aggregation)> = vec![
        (
            "terms",
            Aggregation::terms("level")
                .size(5)
                .shard_size(10)
                .min_doc_count(1)
                .missing("none")
                .include(".*o.*")
                .exclude("x.*")
                .show_term_doc_count_error(true)
                .order_by(Order::by("took").desc())
                .order_by(Order::key())
                .aggregation("took", Aggregation::max("took"))
                .meta(Map::new())
                .into(),
        ),
        (
            "terms: values",
            Aggregation::terms("level")
                .include_values(["error"])
                .exclude_values(["x"])
                .order_by(Order::count())
                .into(),
        ),
        (
            "terms: path",
            Aggregation::terms("level")
                .aggregation("s", Aggregation::stats("took"))
                .order_by(Order::by("s.max").asc())
                .into(),
        ),
        (
            "histogram",
            Aggregation::histogram("took", 100.0)
                .min_doc_count(0)
                .offset(5.0)
                .extended_bounds(0.0, 500.0)
                .missing(0.0)
                .order_by(Order::key().desc())
                .keyed(true)
                .into(),
        ),
        (
            "date_histogram: fixed",
            Aggregation::date_histogram("@timestamp", Duration::from_secs(3600))
                .time_zone("+01:00")
                .offset("+30m")
                .format("yyyy-MM-dd HH:mm")
                .min_doc_count(1)
                .missing("2024-01-01 00:00")
                .order_by(Order::count())
                .keyed(false)
                .into(),
        ),
        (
            "date_histogram: extended",
            Aggregation::date_histogram("@timestamp", Interval::Day)
                .extended_bounds("2024-05-01", "2024-05-03")
                .into(),
        ),
        (
            "date_histogram: hard",
            Aggregation::date_histogram("@timestamp", Interval::Day)
                .hard_bounds("2024-05-01", "2024-05-03")
                .into(),
        ),
        (
            "range",
            Aggregation::range(
                "took",
                [
                    Bucket::to(100),
                    Bucket::between(100, 1000).key("mid"),
                    Bucket::from(1000),
                ],
            )
            .keyed(true)
            .into(),
        ),
        (
            "date_range",
            Aggregation::date_range(
                "@timestamp",
                [Bucket::from("now-1d/d"), Bucket::to("2024-05-01||/M")],
            )
            .time_zone("UTC")
            .format("yyyy-MM-dd")
            .into(),
        ),
        (
            "ip_range",
            Aggregation::ip_range(
                "host.ip",
                [Bucket::to("10.0.0.5"), Bucket::from("10.0.0.5")],
            )
            .into(),
        ),
        (
            "filters",
            Aggregation::filters([
                ("a", Query::term("level", "error")),
                ("b", Query::term("level", "info")),
            ])
            .other("rest")
            .into(),
        ),
        (
            "filter",
            Aggregation::filter(Query::term("level", "error"))
                .aggregation("x", Aggregation::missing("took"))
                .into(),
        ),
        (
            "nested",
            Aggregation::nested("spans")
                .aggregation(
                    "status",
                    Aggregation::terms("spans.status").aggregation(
                        "back",
                        Aggregation::reverse_nested().aggregation("l", Aggregation::terms("level")),
                    ),
                )
                .into(),
        ),
        (
            "reverse_nested: path",
            Aggregation::nested("spans.tags")
                .aggregation("up", Aggregation::reverse_nested().path("spans"))
                .into(),
        ),
        ("min", Aggregation::min("took").missing(3).into()),
        ("avg", Aggregation::avg("took").into()),
        ("sum", Aggregation::sum("share").into()),
        ("value_count", Aggregation::value_count("level").into()),
        (
            "extended_stats",
            Aggregation::extended_stats("took")
                .raw("sigma", json!(2))
                .into(),
        ),
        (
            "cardinality",
            Aggregation::cardinality("host.name")
                .precision_threshold(100)
                .into(),
        ),
        (
            "percentiles",
            Aggregation::percentiles("took")
                .percents([50.0, 99.9])
                .keyed(false)
                .tdigest_compression(200.0)
                .into(),
        ),
        (
            "percentiles: hdr",
            Aggregation::percentiles("took").hdr(3).missing(0).into(),
        ),
        (
            "top_hits",
            Aggregation::terms("level")
                .aggregation(
                    "top",
                    TopHits::new()
                        .size(1)
                        .from(0)
                        .sort(Sort::field("@timestamp").desc())
                        .source(["message"])
                        .highlight(Highlight::field("message"))
                        .docvalue_field("took")
                        .version(true)
                        .seq_no_primary_term(true)
                        .explain(true),
                )
                .into(),
        ),
        (
            "composite",
            composite()
                .size(100)
                .aggregation("m", Aggregation::max("took"))
                .into(),
        ),
        ("composite: after", composite().after(after.unwrap()).into()),
        (
            "composite: below nested",
            Aggregation::nested("spans")
                .aggregation("c", spans())
                .into(),
        ),
        (
            "composite: below filter",
            Aggregation::filter(Query::match_all())
                .aggregation("c", composite())
                .into(),
        ),
        (
            "raw",
            Aggregation::raw(
                json!({"weighted_avg": {"value": {"field": "took"}, "weight": {"field": "share"}}}),
            ),
        ),
    ];
    for (name, interval) in [
        ("date_histogram: minute", Interval::Minute),
        ("date_histogram: hour", Interval::Hour),
        ("date_histogram: day", Interval::Day),
        ("date_histogram: week", Interval::Week),
        ("date_histogram: month", Interval::Month),
        ("date_histogram: quarter", Interval::Quarter),
        ("date_histogram: year", Interval::Year),
    ] {
        let histogram = Aggregation::date_histogram("@timestamp", interval).min_doc_count(1);
        constructs.push((name, histogram.into()));
    }
    let body = |aggregation| {
        Search::new(Query::match_all())
            .size(0)
            .aggregation("a", aggregation)
            .to_json()
    };
    constructs
        .into_iter()
        .map(|(name, aggregation)| (name, body(aggregation).unwrap()))
        .collect()
}
