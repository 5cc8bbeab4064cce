//! What KQL does beyond what Kibana's own tests say.

#![expect(clippy::unwrap_used, reason = "a test that fails says where")]

use std::time::{Duration, Instant};

use proptest::prelude::*;
use serde_json::json;

use super::{Field, Fields, Kql, escape};
use crate::{ErrorKind, Query};

#[test]
fn errors_name_the_column_and_what_was_expected() {
    let cases = [
        // The columns of `kuery/kuery_syntax_error.test.ts`.
        (
            "response:",
            10,
            "expected a value, `(` or `{`, found the end of the query",
        ),
        (
            "response:200 or ",
            17,
            "expected a field or a value, found the end of the query",
        ),
        (
            "response:(200 or )",
            18,
            "expected a value, `(` or NOT, found `)`",
        ),
        (
            "response:200 and not ",
            22,
            "expected a field or a value, found the end of the query",
        ),
        (
            "response:(200 and not )",
            23,
            "expected a value or `(`, found `)`",
        ),
        ("foo:\"ba ", 5, "a quote is not closed"),
        (
            "foo:\"ba \"r\"",
            10,
            "expected AND, OR or the end, found `r`",
        ),
        ("foo:ba:r", 7, "expected AND, OR or the end, found `:`"),
        ("foo > ", 7, "expected a value, found the end of the query"),
        ("< 1000", 1, "expected a field or a value, found `<`"),
        // More.
        ("foo not bar", 5, "expected AND, OR or the end, found NOT"),
        ("not not a", 5, "expected a field or a value, found NOT"),
        ("a: (b or c", 4, "`(` is not closed"),
        ("a: (b or c}", 11, "expected AND, OR or `)`, found `}`"),
        ("items:{ a: b", 7, "`{` is not closed"),
        ("é: \"ü\" ö", 8, "expected AND, OR or the end, found `ö`"),
        (
            "a: b\\x",
            5,
            "a backslash stands before what needs none: write `\\\\` for itself",
        ),
        (
            "a: \\ud83d",
            4,
            "the escape is half of a character: `\\u` of the other half is missing",
        ),
        ("a: b)", 5, "expected AND, OR or the end, found `)`"),
        ("()", 2, "expected a field or a value, found `)`"),
        ("and b", 6, "no error"),
    ];
    for (text, column, message) in cases {
        match Query::kql(text) {
            Ok(_) => assert_eq!(message, "no error", "{text}"),
            Err(error) => {
                assert_eq!(
                    (error.column(), error.message()),
                    (Some(column), message),
                    "{text}"
                );
                assert_eq!(error.kind(), ErrorKind::Syntax);
            }
        }
    }
}

#[test]
fn errors_of_meaning_have_a_column_too() {
    let fields = Fields::from_iter([
        Field::new("os", ["keyword"]),
        Field::new("spans.name", ["keyword"]).nested_at("spans"),
        Field::new("spans.tags.key", ["keyword"]).nested_at("spans.tags"),
    ]);
    let kql = Kql::new().fields(fields);
    let cases = [
        (
            "os: x and spans.name: y",
            11,
            "`spans.name` is a nested field: write `spans:{ name: ... }`",
        ),
        (
            "spans:{ tags.key: y }",
            9,
            "`spans.tags.key` is nested at `spans.tags`, and not at `spans`",
        ),
        (
            "os: null",
            5,
            "null is no value that a server looks for: `not field: *` finds what has none, and \"null\" the word",
        ),
    ];
    for (text, column, message) in cases {
        let error = kql.query(text).unwrap_err();
        assert_eq!(
            (error.column(), error.message()),
            (Some(column), message),
            "{text}"
        );
        assert_eq!(error.kind(), ErrorKind::Input);
    }
    let ranged = Query::kql("bytes.* > 5").unwrap_err();
    assert_eq!(ranged.column(), Some(1));
    let leading = Kql::new()
        .leading_wildcards(false)
        .query("a: x or b: *y")
        .unwrap_err();
    assert_eq!(
        leading.to_string(),
        "column 12: a value starts with `*`, which is switched off"
    );
    assert!(
        Kql::new()
            .leading_wildcards(false)
            .query("a: * and *b: x")
            .is_ok()
    );
    assert!(Kql::new().time_zone("Europe Berlin").query("a").is_err());
}

#[test]
fn words_of_the_language_stand_in_values() {
    let found =
        |text: &str| Query::kql(text).unwrap().to_json().unwrap()["multi_match"]["query"].clone();
    assert_eq!(found("cannot connect"), "cannot connect");
    assert_eq!(found("knot tied"), "knot tied");
    assert_eq!(found(r"this \or that"), "this or that");
    assert_eq!(found(r"it is \not so"), "it is not so");
    assert_eq!(found(r"a\nothing"), "a\nothing");
    assert_eq!(found(r"smile \ud83d\ude00"), "smile 😀");
    assert_eq!(found("order and"), "order and");
    assert_eq!(found(r#""a \"b\" \c""#), "a \"b\" \\c");
}

#[test]
fn a_field_with_a_wildcard_works_without_fields() {
    let should =
        |text: &str| Query::kql(text).unwrap().to_json().unwrap()["bool"]["should"][0].clone();
    assert_eq!(
        should("machine*: osx"),
        json!({"multi_match": {"query": "osx", "fields": ["machine*"], "type": "best_fields", "lenient": true}})
    );
    assert_eq!(
        should("machine*: *"),
        json!({"exists": {"field": "machine*"}})
    );
    assert_eq!(should("null: a"), json!({"match": {"null": "a"}}));
}

#[test]
fn depth_is_bounded_and_told_at_its_column() {
    let deep = |levels: usize| format!("{}a{}", "(".repeat(levels), ")".repeat(levels));
    assert!(
        Query::kql(&deep(200)).is_ok(),
        "parentheses alone cost servers nothing"
    );
    assert_eq!(Query::kql(&deep(201)).unwrap_err().column(), Some(201));
    assert_eq!(
        Query::kql(&deep(1_000_000)).unwrap_err().column(),
        Some(201)
    );
    let nots = |levels: usize| format!("{}a{}", "not (".repeat(levels), ")".repeat(levels));
    assert!(Query::kql(&nots(29)).is_ok());
    let error = Query::kql(&nots(30)).unwrap_err();
    assert_eq!(
        error.to_string(),
        "column 151: more than 30 queries are in each other: servers take no more"
    );
}

#[test]
fn long_queries_take_time_by_their_length() {
    let started = Instant::now();
    let values: Vec<String> = (0..20_000).map(|n| format!("host: web-{n}*")).collect();
    assert!(Query::kql(&values.join(" or ")).is_ok());
    for odd in [
        "\\", "\"", " ", "not ", "a or", "((", "*", "\\u12", "a:(", " and",
    ] {
        let _ = Query::kql(&odd.repeat(50_000));
    }
    assert!(
        started.elapsed() < Duration::from_secs(20),
        "{:?}",
        started.elapsed()
    );
}

proptest! {
    #[test]
    fn any_bytes_are_read_or_refused_at_a_column(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let text = String::from_utf8_lossy(&bytes);
        if let Err(error) = Query::kql(&text) {
            let column = error.column().unwrap_or(0);
            prop_assert!((1..=text.chars().count() + 1).contains(&column));
        }
    }

    #[test]
    fn any_words_are_read_or_refused(words in prop::collection::vec(
        prop::sample::select(vec![
            " and ", " or ", "not ", "(", ")", "{", "}", ":", "*", "\"", "\\", "a", "b.c", " ", ">", "<=", "1", "null",
            "\u{a0}", "é", "\\u00e9", "true",
        ]),
        0..40,
    )) {
        let text = words.concat();
        match Query::kql(&text) {
            Ok(query) => prop_assert!(query.check().is_ok()),
            Err(error) => prop_assert!(error.column().is_some_and(|column| column <= text.chars().count() + 1)),
        }
    }

    #[test]
    fn escaped_text_is_itself(text in "[a-zA-Z0-9 :()*\"\\\\{}<>\\-]{1,30}") {
        let trimmed = text.trim().to_owned();
        prop_assume!(!trimmed.is_empty() && !["null", "true", "false"].contains(&trimmed.as_str()));
        let query = Query::kql(&escape(&trimmed)).unwrap().to_json().unwrap();
        prop_assert_eq!(&query["multi_match"]["query"], &json!(trimmed));
    }
}

#[test]
fn what_is_nested_in_some_indices_only_is_found_in_the_others_too() {
    let caps = |kind: &str| json!({"type": kind, "searchable": true, "aggregatable": true});
    let of = |kind: &str, index: &str| json!({"type": kind, "searchable": false, "aggregatable": false, "indices": [index]});
    let fields: Fields = serde_json::from_value(json!({"indices": ["a", "b"], "fields": {
        "spans": {"nested": of("nested", "a"), "object": of("object", "b")},
        "spans.status": {"keyword": caps("keyword")},
    }}))
    .unwrap();
    let kql = Kql::new().fields(fields);
    let json = |text: &str| kql.query(text).unwrap().to_json().unwrap();
    let plain = json!({"term": {"spans.status": {"value": "ok"}}});
    let within = |query| {
        json!({"bool": {
            "filter": [{"terms": {"_index": ["a"]}}],
            "must": [{"nested": {"path": "spans", "query": query, "score_mode": "none"}}],
        }})
    };
    let either = |queries| json!({"bool": {"should": queries, "minimum_should_match": 1}});
    assert_eq!(
        json("spans.status: ok"),
        either(json!([plain, within(plain.clone())]))
    );
    assert_eq!(
        json("spans: { status: ok }"),
        within(either(json!([plain])))
    );
}
