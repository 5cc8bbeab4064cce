//! Every member of a search.

use std::time::Duration;

use clusterops_logs::query::InnerHits;
use clusterops_logs::search::{
    Collapse, FieldFormat, Highlight, HighlightField, Highlighter, NestedSort, NumericType, Sort,
    SortMode, SourceFilter, TotalHits,
};
use clusterops_logs::{Query, Search};
use serde_json::json;

use super::Construct;

pub(crate) fn all() -> Vec<Construct> {
    let search = || Search::new(Query::match_all());
    let pit = || search().point_in_time("", Duration::from_secs(60));
    let highlight = Highlight::field(
        HighlightField::new("message")
            .kind(Highlighter::Unified)
            .fragment_size(50)
            .number_of_fragments(0)
            .matched_fields(["message"])
            .no_match_size(10),
    );
    let constructs: Vec<(&str, Search)> = vec![
        ("size, from", search().size(1).from(1)),
        (
            "sort",
            search()
                .sort(Sort::field("@timestamp").desc().missing_first())
                .sort("took")
                .sort(Sort::score())
                .sort(Sort::doc()),
        ),
        (
            "sort: missing",
            search()
                .sort(Sort::field("took").asc().missing(5))
                .sort(Sort::field("level").missing_last()),
        ),
        (
            "sort: unmapped",
            search().sort(
                Sort::field("absent")
                    .unmapped_type("date")
                    .mode(SortMode::Max),
            ),
        ),
        (
            "sort: numeric_type",
            search().sort(Sort::field("@timestamp").numeric_type(NumericType::DateNanos)),
        ),
        (
            "sort: long",
            search()
                .sort(Sort::field("share").numeric_type(NumericType::Long))
                .sort(Sort::field("took").numeric_type(NumericType::Double)),
        ),
        (
            "sort: nested",
            search().sort(
                Sort::field("spans.took").mode(SortMode::Avg).nested(
                    NestedSort::path("spans")
                        .filter(Query::term("spans.status", "ok"))
                        .max_children(5),
                ),
            ),
        ),
        (
            "sort: modes",
            search()
                .sort(Sort::field("took").mode(SortMode::Min))
                .sort(Sort::field("took").mode(SortMode::Sum))
                .sort(Sort::field("took").mode(SortMode::Median)),
        ),
        (
            "sort: numeric_type date",
            search().sort(Sort::field("nanos").numeric_type(NumericType::Date)),
        ),
        (
            "sort: raw options",
            search().sort(
                Sort::field("spans.took")
                    .raw("order", json!("desc"))
                    .nested(NestedSort::path("spans").raw("max_children", json!(1))),
            ),
        ),
        (
            "sort: format",
            search().sort(Sort::field("@timestamp").format("strict_date_optional_time_nanos")),
        ),
        ("sort: raw", search().sort(json!({"took": "asc"}))),
        ("sort: _shard_doc", pit().sort(Sort::shard_doc())),
        ("source: none", search().source(false)),
        ("source: some", search().source(["message", "host.*"])),
        (
            "source: both",
            search().source(SourceFilter::includes(["host.*"]).excludes(["host.ip"])),
        ),
        (
            "source: all but",
            search().source(SourceFilter::all().excludes(["host"])),
        ),
        (
            "fields",
            search()
                .field("host.*")
                .field(FieldFormat::new("@timestamp").format("epoch_millis")),
        ),
        (
            "fields: raw",
            search().docvalue_field(FieldFormat::new("@timestamp").raw("format", json!("yyyy"))),
        ),
        (
            "docvalue_fields",
            search()
                .docvalue_field("took")
                .docvalue_field(FieldFormat::new("@timestamp").format("yyyy")),
        ),
        (
            "highlight",
            search().highlight(
                highlight
                    .tags("<1>", "</1>")
                    .html(true)
                    .require_field_match(false)
                    .best_first(true)
                    .query(Query::matches("message", "out")),
            ),
        ),
        (
            "highlight: plain",
            search().highlight(
                Highlight::field("message")
                    .kind(Highlighter::Plain)
                    .and("le*"),
            ),
        ),
        (
            "highlight: fvh",
            Search::new(Query::matches("message.vectors", "out"))
                .highlight(Highlight::field("message.vectors").kind(Highlighter::Fvh)),
        ),
        (
            "track_total_hits",
            search().track_total_hits(TotalHits::Exact),
        ),
        (
            "track_total_hits: up to",
            search().track_total_hits(TotalHits::UpTo(2)),
        ),
        (
            "track_total_hits: off",
            search().track_total_hits(TotalHits::Off),
        ),
        (
            "search_after",
            search()
                .sort("took")
                .sort("@timestamp")
                .search_after([json!(5), json!(0)]),
        ),
        ("pit", pit().sort("took")),
        ("pit: search_after", pit().sort("took").search_after([20])),
        ("slice", pit().slice(1, 2)),
        (
            "collapse",
            search().collapse(
                Collapse::by("level")
                    .inner_hits(InnerHits::new().name("a").size(2))
                    .inner_hits(InnerHits::new().name("b"))
                    .max_concurrent_group_searches(2),
            ),
        ),
        (
            "collapse: raw",
            search().collapse(Collapse::by("level").raw("max_concurrent_group_searches", json!(1))),
        ),
        (
            "collapse: search_after",
            search().collapse("level").sort("level").search_after(["a"]),
        ),
        (
            "post_filter",
            search().post_filter(Query::term("level", "error")),
        ),
        ("min_score", search().min_score(0.5)),
        ("timeout", search().timeout(Duration::from_millis(1500))),
        ("terminate_after", search().terminate_after(1)),
        ("track_scores", search().sort("took").track_scores(true)),
        ("profile", search().profile(true)),
        (
            "explain, version, seq_no",
            search()
                .explain(true)
                .version(true)
                .seq_no_primary_term(true),
        ),
        (
            "raw",
            search()
                .raw("stored_fields", json!("_none_"))
                .raw("_source", json!(false)),
        ),
    ];
    constructs
        .into_iter()
        .map(|(name, search)| (name, search.to_json().unwrap()))
        .collect()
}
