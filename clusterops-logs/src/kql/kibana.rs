//! The same queries as Kibana makes.

#![expect(clippy::unwrap_used, reason = "a test that fails says where")]

use serde_json::{Value, json};

use super::{Field, Fields, Kql};

/// The fields of `filters/stubs/fields.mocks.ts` in `@kbn/es-query`, without those of scripts.
fn fields() -> Fields {
    Fields::from_iter([
        Field::new("bytes", ["long"]),
        Field::new("ssl", ["boolean"]),
        Field::new("@timestamp", ["date"]),
        Field::new("extension", ["text"]),
        Field::new("machine.os", ["text"]),
        Field::new("machine.os.raw", ["text"]),
        Field::new("machine.os.keyword", ["keyword"]),
        Field::new("nestedField.child", ["text"]).nested_at("nestedField"),
        Field::new("nestedField.nestedChild.doublyNestedChild", ["text"])
            .nested_at("nestedField.nestedChild"),
    ])
}

fn one(query: Value) -> Value {
    json!({"bool": {"should": [query], "minimum_should_match": 1}})
}

fn check(kql: &Kql, cases: &[(&str, Value)]) {
    for (text, expected) in cases {
        let query = kql.query(text).and_then(|query| query.to_json());
        assert_eq!(query.as_ref().ok(), Some(expected), "{text}: {query:?}");
    }
}

/// `kuery/functions/is.test.ts`.
#[test]
fn is() {
    let kql = Kql::new().fields(fields());
    check(
        &kql,
        &[
            ("*: *", json!({"match_all": {}})),
            (
                "200",
                json!({"multi_match": {"query": "200", "type": "best_fields", "lenient": true}}),
            ),
            ("jpg*", json!({"query_string": {"query": "jpg*"}})),
            (
                "extension: *",
                one(json!({"exists": {"field": "extension"}})),
            ),
            (
                "extension: jpg",
                one(json!({"match": {"extension": "jpg"}})),
            ),
            (
                "extension: \"jpg\"",
                one(json!({"match_phrase": {"extension": "jpg"}})),
            ),
            (
                "extension: jpg*",
                one(json!({"query_string": {"fields": ["extension"], "query": "jpg*"}})),
            ),
            (
                "machine.os.keyword: win*",
                one(json!({"wildcard": {"machine.os.keyword": {"value": "win*"}}})),
            ),
            (
                r"machine.os.keyword: *\\*",
                one(json!({"wildcard": {"machine.os.keyword": {"value": r"*\\*"}}})),
            ),
            (
                "@timestamp: \"2018-04-03T19:04:17\"",
                one(json!({"range": {"@timestamp": {
                    "gte": "2018-04-03T19:04:17", "lte": "2018-04-03T19:04:17"
                }}})),
            ),
            ("ext*: jpg", one(json!({"match": {"extension": "jpg"}}))),
            (
                "*doublyNested*: foo",
                one(json!({"nested": {
                    "path": "nestedField.nestedChild",
                    "query": {"match": {"nestedField.nestedChild.doublyNestedChild": "foo"}},
                    "score_mode": "none"
                }})),
            ),
            (
                "machine.os.keyword: Win 7",
                one(json!({"term": {"machine.os.keyword": {"value": "Win 7"}}})),
            ),
        ],
    );
    let all = kql.query("*: 200").unwrap().to_json().unwrap();
    assert_eq!(
        all["bool"]["should"].as_array().map(Vec::len),
        Some(fields().iter().count())
    );
    check(
        &kql.clone().case_insensitive(true),
        &[
            (
                "machine.os.keyword: win*",
                one(
                    json!({"wildcard": {"machine.os.keyword": {"value": "win*", "case_insensitive": true}}}),
                ),
            ),
            (
                "machine.os.keyword: Win 7",
                one(
                    json!({"term": {"machine.os.keyword": {"value": "Win 7", "case_insensitive": true}}}),
                ),
            ),
        ],
    );
    check(
        &kql.clone().ignore_unmapped(true),
        &[(
            "*doublyNested*: foo",
            one(json!({"nested": {
                "path": "nestedField.nestedChild",
                "query": {"match": {"nestedField.nestedChild.doublyNestedChild": "foo"}},
                "score_mode": "none",
                "ignore_unmapped": true
            }})),
        )],
    );
    check(
        &kql.time_zone("America/Phoenix"),
        &[
            (
                "@timestamp: \"2018-04-03T19:04:17\"",
                one(json!({"range": {"@timestamp": {
                    "gte": "2018-04-03T19:04:17",
                    "lte": "2018-04-03T19:04:17",
                    "time_zone": "America/Phoenix"
                }}})),
            ),
            (
                "@timestamp: 1776338120239",
                one(
                    json!({"range": {"@timestamp": {"gte": "1776338120239", "lte": "1776338120239"}}}),
                ),
            ),
        ],
    );
}

/// `kuery/functions/range.test.ts`.
#[test]
fn range() {
    let kql = Kql::new().fields(fields());
    check(
        &kql,
        &[
            (
                "bytes > 1000",
                one(json!({"range": {"bytes": {"gt": "1000"}}})),
            ),
            (
                "byt* > 1000",
                one(json!({"range": {"bytes": {"gt": "1000"}}})),
            ),
            (
                "@timestamp > \"2018-01-03T19:04:17\"",
                one(json!({"range": {"@timestamp": {"gt": "2018-01-03T19:04:17"}}})),
            ),
            (
                "*doublyNested* < 8000",
                one(json!({"nested": {
                    "path": "nestedField.nestedChild",
                    "query": {"range": {"nestedField.nestedChild.doublyNestedChild": {"lt": "8000"}}},
                    "score_mode": "none"
                }})),
            ),
        ],
    );
    check(
        &kql.time_zone("America/Phoenix"),
        &[
            (
                "@timestamp > \"2018-01-03T19:04:17\"",
                one(json!({"range": {"@timestamp": {
                    "gt": "2018-01-03T19:04:17", "time_zone": "America/Phoenix"
                }}})),
            ),
            (
                "@timestamp > 1776338120239",
                one(json!({"range": {"@timestamp": {"gt": "1776338120239"}}})),
            ),
        ],
    );
}

/// `kuery/functions/nested.test.ts`, and the nested groups of `kuery/ast/ast.test.ts`.
#[test]
fn nested() {
    let within = |path: &str, query: Value| json!({"nested": {"path": path, "query": query, "score_mode": "none"}});
    check(
        &Kql::new().fields(fields()),
        &[
            (
                "nestedField:{ child: foo }",
                within(
                    "nestedField",
                    one(json!({"match": {"nestedField.child": "foo"}})),
                ),
            ),
            (
                "nestedField:{ nestedChild:{ doublyNestedChild:foo } }",
                within(
                    "nestedField",
                    within(
                        "nestedField.nestedChild",
                        one(json!({"match": {"nestedField.nestedChild.doublyNestedChild": "foo"}})),
                    ),
                ),
            ),
        ],
    );
    let a = one(json!({"match": {"nestedField.childOfNested": "foo"}}));
    let b = one(json!({"match": {"nestedField.childOfNested": "bar"}}));
    let either = json!({"bool": {"should": [a, b], "minimum_should_match": 1}});
    check(
        &Kql::new(),
        &[(
            "response:200 and nestedField:{ childOfNested:foo or childOfNested:bar }",
            json!({"bool": {"filter": [
                one(json!({"match": {"response": "200"}})),
                within("nestedField", either)
            ]}}),
        )],
    );
}

/// Queries and what Kibana's own code made of them: `kibana.json`, by `@cybernetex/kbn-es-query` 1.0.2 of npm, which is
/// Kibana 7's `@kbn/es-query` under the Apache licence. It made numbers of values that look so, as Kibana 8 does not:
/// numbers are compared as their text. And `a or b or c` was `a or (b or c)`, which its later versions and ours keep flat.
#[test]
fn queries_made_by_kibana() {
    let cases: Vec<(String, Value)> = serde_json::from_str(include_str!("kibana.json")).unwrap();
    assert!(cases.len() > 200);
    for (text, expected) in cases {
        let query = Kql::new()
            .query(&text)
            .map(|query| query.to_json().unwrap());
        match (query, expected) {
            (Err(_), Value::Null) => {}
            (Ok(query), expected) if !expected.is_null() => {
                assert_eq!(flat(query), flat(expected), "{text}");
            }
            (query, expected) => panic!("{text}: {query:?}, and Kibana has {expected}"),
        }
    }
}

/// The same query without an `or` as the last of an `or`, or an `and` as the last of an `and`.
fn flat(query: Value) -> Value {
    let is_joined = |clause: &str, query: &Value| {
        query["bool"][clause]
            .as_array()
            .is_some_and(|list| list.len() > 1)
    };
    match query {
        Value::Array(items) => items.into_iter().map(flat).collect(),
        Value::Object(members) => {
            let mut query: Value = members
                .into_iter()
                .map(|(name, value)| (name, flat(value)))
                .collect();
            for clause in ["should", "filter"] {
                if !is_joined(clause, &query) {
                    continue;
                }
                if let Some(list) = query["bool"][clause].as_array_mut()
                    && let Some(mut last) = list.pop()
                {
                    match last["bool"][clause].as_array_mut() {
                        Some(inner) if inner.len() > 1 => list.append(inner),
                        _ => list.push(last),
                    }
                }
            }
            query
        }
        other => other,
    }
}
