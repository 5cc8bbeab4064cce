//! Queries find the documents they should.

use clusterops_logs::http::HttpRequest;
use clusterops_logs::kql::{Fields, Kql};
use clusterops_logs::query::{Operator, escape_lucene};
use clusterops_logs::{Query, Search, kql};
use serde_json::{Value, json};

use super::{ask, logs, support};

#[tokio::test]
async fn queries_find_what_they_should() {
    for cluster in support::clusters("queries_find_what_they_should") {
        let index = logs(&cluster).await;
        let odd = "Level: (odd) a*b \"quoted\"";
        let mut cases: Vec<(Query, &[&str])> = vec![
            (Query::match_all(), &["1", "2", "3", "4"]),
            (Query::match_none(), &[]),
            (Query::term("host.ip", "10.0.0.0/16").into(), &["1", "2"]),
            (Query::terms("took", [20, 300]).into(), &["2", "3"]),
            (Query::range("took").gt(20).lt(1200).into(), &["2"]),
            (
                Query::range("@timestamp")
                    .gte("2024-05-02")
                    .time_zone("+02:00")
                    .into(),
                &["3", "4"],
            ),
            (
                Query::range("@timestamp").lt("2024-05-01||+1d/d").into(),
                &["1", "2", "3"],
            ),
            (
                Query::matches("message", "refused memory").into(),
                &["1", "2"],
            ),
            (
                Query::matches("message", "out memory")
                    .operator(Operator::And)
                    .into(),
                &["2"],
            ),
            (
                Query::match_phrase("message", "refused connection")
                    .slop(2)
                    .into(),
                &["1"],
            ),
            (
                Query::match_phrase("message", "refused connection").into(),
                &[],
            ),
            (Query::regexp("host.name", "web-[0-9]").into(), &["1", "2"]),
            (Query::wildcard("host.name", "*-1").into(), &["1", "3"]),
            (Query::fuzzy("level", "eror").into(), &["1"]),
            (
                Query::nested(
                    "spans",
                    Query::bool()
                        .must(Query::term("spans.status", "error"))
                        .must(Query::range("spans.took").gt(10)),
                )
                .into(),
                &[],
            ),
            (
                Query::bool().must_not(Query::exists("level")).into(),
                &["4"],
            ),
            (
                Query::query_string("level:(error OR info) AND took:>100").into(),
                &["1"],
            ),
            (
                Query::query_string(escape_lucene(odd))
                    .default_field("message")
                    .default_operator(Operator::And)
                    .into(),
                &["4"],
            ),
        ];
        let request = HttpRequest::get("/")
            .segment(&index.name)
            .segment("_field_caps")
            .query("fields", "*");
        let caps = cluster.call(request, Value::Null).await;
        let fields: Fields = serde_json::from_value(caps).unwrap();
        assert_eq!(
            fields.get("spans.tags.key").unwrap().nested_path(),
            Some("spans.tags")
        );
        assert!(fields.get("_id").is_none() && fields.get("spans").is_none());
        let unaware = Kql::new();
        let aware = Kql::new()
            .fields(fields)
            .time_zone("Europe/Berlin")
            .case_insensitive(true);
        let escaped = format!("message: {}", kql::escape(odd));
        for (text, ids) in [
            ("level: (error or fatal) and took > 500", &["1"][..]),
            ("not level: *", &["4"]),
            ("host.name: web-*", &["1", "2"]),
            ("spans: { status: error and took > 10 }", &[]),
            ("spans: { status: ok and took > 10 }", &["1"]),
            ("spans: { tags: { key: a } }", &["1"]),
            ("message: \"out of memory\"", &["2"]),
            ("message: cannot allocate", &["2"]),
            ("host.*: web-1", &["1"]),
            ("ok: true or level: fatal", &["2", "3"]),
            (&escaped, &["4"]),
        ] {
            let known: Vec<(Query, &[&str])> = [&unaware, &aware]
                .map(|kql| (kql.query(text).unwrap(), ids))
                .into();
            cases.extend(known);
        }
        cases.push((aware.query("level: ERROR").unwrap(), &["1"]));
        cases.push((aware.query("@timestamp: \"2024-05-02\"").unwrap(), &["3"]));
        cases.push((aware.query("s*.status: error").unwrap(), &["1"]));
        // Numbers, dates and addresses among the fields make no error of a text.
        cases.push((aware.query("*: web-1").unwrap(), &["1"]));
        cases.push((aware.query("*: web-*").unwrap(), &["1", "2"]));
        cases.push((aware.query("*: \"out of memory\"").unwrap(), &["2"]));
        cases.push((aware.query("host.*: \"10.0.1.2\"").unwrap(), &["2"]));
        for (query, expected) in cases {
            let body = Search::new(query).size(10).sort("_doc").to_json().unwrap();
            let answer = ask(&index, "_search", &body, true).await;
            let answer = answer.unwrap_or_else(|error| panic!("{}: {body}: {error}", cluster.name));
            let hits = answer["hits"]["hits"].as_array().unwrap();
            let mut ids: Vec<&str> = hits
                .iter()
                .map(|hit| hit["_id"].as_str().unwrap())
                .collect();
            ids.sort_unstable();
            let mut expected = expected.to_vec();
            expected.sort_unstable();
            assert_eq!(ids, expected, "{}: {body}", cluster.name);
        }
    }
}

#[tokio::test]
async fn what_is_nested_in_some_indices_only_is_found_in_all() {
    for cluster in support::clusters("what_is_nested_in_some_indices_only_is_found_in_all") {
        let prefix = format!("partly-nested-{}", std::process::id());
        for kind in ["nested", "object"] {
            let status = json!({"status": {"type": "keyword"}});
            let mapping = json!({"properties": {"spans": {"type": kind, "properties": status}}});
            let index = format!("/{prefix}-{kind}");
            let create = HttpRequest::put(&index);
            cluster.call(create, json!({ "mappings": mapping })).await;
            let put = HttpRequest::put(format!("{index}/_doc/{kind}")).query("refresh", "true");
            cluster
                .call(put, json!({"spans": [{"status": "ok"}]}))
                .await;
        }
        let pattern = format!("{prefix}-*");
        let caps = HttpRequest::get(format!("/{pattern}/_field_caps")).query("fields", "*");
        let fields: Fields = serde_json::from_value(cluster.call(caps, Value::Null).await).unwrap();
        let kql = Kql::new().fields(fields);
        for (text, expected) in [
            ("spans.status: ok", &["nested", "object"][..]),
            ("spans: { status: ok }", &["nested"]),
            ("*.status: ok", &["nested", "object"]),
            ("not spans.status: ok", &[]),
        ] {
            let body = Search::new(kql.query(text).unwrap()).to_json().unwrap();
            let search = HttpRequest::post(format!("/{pattern}/_search"));
            let answer = cluster.call(search, body).await;
            assert_eq!(answer["_shards"]["failed"], 0, "{text}: {answer}");
            let hits = answer["hits"]["hits"].as_array().unwrap().iter();
            let mut ids: Vec<&str> = hits.filter_map(|hit| hit["_id"].as_str()).collect();
            ids.sort_unstable();
            assert_eq!(ids, expected, "{}: {text}", cluster.name);
        }
        for kind in ["nested", "object"] {
            let delete = HttpRequest::delete(format!("/{prefix}-{kind}"));
            cluster.call(delete, Value::Null).await;
        }
    }
}
