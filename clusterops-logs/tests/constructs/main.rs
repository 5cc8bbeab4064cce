//! Every construct of queries and searches is sent to real servers, and finds what it should.

#![expect(clippy::unwrap_used, reason = "a test that fails says where")]

mod aggregations;
mod found;
mod long;
mod queries;
mod searches;
#[path = "../support/mod.rs"]
mod support;
mod values;

use std::error::Error as _;
use std::io::Write as _;

use clusterops_logs::http::HttpRequest;
use clusterops_logs::secrecy::SecretString;
use serde_json::{Value, json};
use support::{Cluster, Index};

/// A construct: what it is called, and its JSON.
type Construct = (&'static str, Value);

/// What a server of these tests does not have; each of these it has to refuse.
fn absent(server: &str) -> &'static [&'static str] {
    match server {
        "opensearch-2" => &["sort: format", "sort: _shard_doc", "collapse: search_after"],
        "opensearch-3" => &["sort: format"],
        // Points in time are no part of the free build of 7.10, which the tests run.
        "elasticsearch-7" => &[
            "sort: format",
            "sort: _shard_doc",
            "pit",
            "pit: search_after",
            "slice",
            "collapse: search_after",
            "composite: below filter",
        ],
        _ => &[],
    }
}

#[tokio::test]
async fn every_construct_is_accepted() {
    let mut wrong = Vec::new();
    for cluster in support::clusters("every_construct_is_accepted") {
        let index = logs(&cluster).await;
        let absent = absent(&cluster.name);
        let (mut accepted, mut all) = (0, 0);
        let queries = queries::all().into_iter().map(|(name, query)| {
            let path = "_validate/query?explain=true";
            (name, path, json!({"query": query}))
        });
        let mut bodies: Vec<(&str, &str, Value)> = queries.collect();
        let searches = searches::all().into_iter().chain(aggregations::all());
        bodies.extend(searches.map(|(name, body)| (name, "_search", body)));
        for (name, path, mut body) in bodies {
            let answer = if body.get("pit").is_some() {
                ask_in_pit(&index, &mut body).await
            } else {
                ask(&index, path, &body, true).await
            };
            let is_absent = absent.contains(&name);
            match (answer, is_absent) {
                (Ok(_), false) => accepted += 1,
                (Err(_), true) => {}
                (Ok(_), true) => wrong.push(format!(
                    "{}: {name} is listed as absent, and is accepted",
                    cluster.name
                )),
                (Err(answer), false) => {
                    wrong.push(format!("{}: {name}: {body}\n  {answer}", cluster.name))
                }
            }
            all += usize::from(!is_absent);
        }
        let version = cluster.call(HttpRequest::get("/"), Value::Null).await;
        let version = version["version"]["number"].as_str().unwrap().to_owned();
        let product = cluster.name.split('-').next().unwrap();
        let mut line = format!("constructs {product} {version}: {accepted} of {all} accepted");
        if !absent.is_empty() {
            line += &format!(" (it does not have: {})", absent.join(", "));
        }
        // Past the test runner's capture, which hides what passing tests print.
        let _ = std::io::stderr().write_all(format!("{line}\n").as_bytes());
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// An index with documents of many types.
async fn logs(cluster: &Cluster) -> Index {
    let index = cluster
        .index(
            "constructs",
            json!({
                "settings": {"number_of_shards": 1, "number_of_replicas": 0},
                "mappings": {"properties": {
                    "@timestamp": {"type": "date"},
                    "nanos": {"type": "date_nanos"},
                    "message": {"type": "text", "fields": {
                        "vectors": {"type": "text", "term_vector": "with_positions_offsets"}
                    }},
                    "level": {"type": "keyword"},
                    "host": {"properties": {"name": {"type": "keyword"}, "ip": {"type": "ip"}}},
                    "took": {"type": "long"},
                    "share": {"type": "double"},
                    "ok": {"type": "boolean"},
                    "downtime": {"type": "date_range"},
                    "spans": {"type": "nested", "properties": {
                        "status": {"type": "keyword"},
                        "took": {"type": "long"},
                        "tags": {"type": "nested", "properties": {"key": {"type": "keyword"}}}
                    }}
                }}
            }),
        )
        .await;
    index
        .fill([
            ("1", json!({
                "@timestamp": "2024-05-01T10:00:00Z", "nanos": "2024-05-01T10:00:00.123456789Z",
                "message": "connection refused by the billing server", "level": "error",
                "host": {"name": "web-1", "ip": "10.0.0.1"}, "took": 1200, "share": 0.5, "ok": false,
                "downtime": {"gte": "2024-05-01", "lt": "2024-05-02"},
                "spans": [{"status": "error", "took": 5, "tags": [{"key": "a"}]}, {"status": "ok", "took": 50}]
            })),
            ("2", json!({
                "@timestamp": "2024-05-01T11:30:00Z", "nanos": "2024-05-01T11:30:00Z",
                "message": "out of memory: cannot allocate", "level": "fatal",
                "host": {"name": "web-2", "ip": "10.0.1.2"}, "took": 300, "share": 0.1, "ok": false,
                "spans": [{"status": "ok", "took": 7}]
            })),
            ("3", json!({
                "@timestamp": "2024-05-02T00:30:00+02:00", "message": "request served", "level": "info",
                "host": {"name": "db-1", "ip": "192.168.0.1"}, "took": 20, "share": 0.9, "ok": true
            })),
            ("4", json!({"@timestamp": "2024-06-01T00:00:00Z", "message": "Level: (odd) a*b \"quoted\"", "took": 0})),
        ])
        .await;
    index
}

/// Sends a body; the answer, or what the server had against it.
async fn ask(index: &Index, path: &str, body: &Value, in_index: bool) -> Result<Value, String> {
    let (path, explain) = path.split_once('?').unwrap_or((path, ""));
    let mut request = HttpRequest::post("/");
    if in_index {
        request = request.segment(&index.name);
    }
    for segment in path.split('/') {
        request = request.segment(segment);
    }
    if !explain.is_empty() {
        request = request.query("explain", "true");
    }
    let request = request.json(&SecretString::from(body.to_string()));
    let answer = index.cluster.client().json(request).await;
    let answer: Value = answer.map_err(|error| format!("{error}: {:?}", error.source()))?;
    let valid = answer.get("valid").is_none_or(|valid| valid == true);
    if valid && answer["_shards"]["failed"] == 0 {
        Ok(answer)
    } else {
        Err(answer.to_string())
    }
}

/// Searches a point in time that is opened and closed for it.
async fn ask_in_pit(index: &Index, body: &mut Value) -> Result<Value, String> {
    let cluster = &index.cluster;
    let mut request = HttpRequest::post("/").segment(&index.name);
    request = if cluster.is_opensearch() {
        request.segment("_search").segment("point_in_time")
    } else {
        request.segment("_pit")
    };
    let opened = cluster
        .client()
        .json(request.query("keep_alive", "1m"))
        .await;
    let opened: Value = opened.map_err(|error| error.to_string())?;
    let id = opened.get("pit_id").or(opened.get("id")).unwrap();
    body["pit"]["id"] = id.clone();
    let answer = ask(index, "_search", body, false).await;
    let (path, close) = if cluster.is_opensearch() {
        ("/_search/point_in_time", json!({"pit_id": [id]}))
    } else {
        ("/_pit", json!({"id": id}))
    };
    cluster.call(HttpRequest::delete(path), close).await;
    answer
}
