//! Who reads beside the tail, over the same writing.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use clusterops::logs::tail::{Notice, Since, Tail};
use clusterops::logs::{Client, Indices, Query, http::HttpRequest};
use clusterops::secrecy::SecretString;
use serde_json::{Value, json};
use tokio::task::JoinHandle;

use crate::bench::Result;
use crate::bench::servers::Servers;
use crate::writer::Progress;

/// How often each document was seen, by its id.
type Counts = HashMap<String, usize>;

/// A tail that goes by time, with the overlap that it has by default.
pub(crate) async fn by_time(
    client: Client,
    pattern: String,
    progress: Arc<Progress>,
) -> Result<JoinHandle<Result<Counts>>> {
    let mut tail = Tail::new(&client, &Indices::new(&pattern)?, &Query::match_all())?
        .by_time()
        .since(Since::Start);
    let first = tail.next().await?;
    if !first
        .notices
        .iter()
        .any(|notice| matches!(notice, Notice::ByTime { .. }))
    {
        return Err("the tail by time does not say that it is one".into());
    }
    Ok(tokio::spawn(async move {
        let mut counts = Counts::new();
        while !progress.ended.load(Ordering::Relaxed) {
            let batch = tokio::time::timeout(Duration::from_millis(200), tail.next()).await;
            for document in
                batch.map_or(Ok(Vec::new()), |batch| batch.map(|batch| batch.documents))?
            {
                *counts.entry(document.hit.id).or_default() += 1;
            }
        }
        Ok(counts)
    }))
}

/// Logasaurus's rule with its own defaults, and with a window that moves, which it does not do: every five seconds what the
/// last five seconds hold by their time, the first 500 of it.
pub(crate) async fn logasaurus(
    client: Client,
    pattern: String,
    progress: Arc<Progress>,
) -> Result<Counts> {
    let interval = Duration::from_secs(5);
    let mut counts = Counts::new();
    let mut rounds = tokio::time::interval(interval);
    while !progress.ended.load(Ordering::Relaxed) {
        rounds.tick().await;
        let body = json!({
            "size": 500, "sort": {"@timestamp": "asc"}, "_source": false,
            "query": {"range": {"@timestamp": {"gte": "now-5s", "lte": "now"}}},
        });
        let request = HttpRequest::post(format!("/{pattern}/_search"))
            .json(&SecretString::from(body.to_string()))
            .repeatable(true);
        // It exits at the first error; here it goes on.
        let Ok(answer) = client.json::<Value>(request).await else {
            continue;
        };
        for hit in answer["hits"]["hits"].as_array().into_iter().flatten() {
            let id = hit["_id"].as_str().unwrap_or_default().to_owned();
            *counts.entry(id).or_default() += 1;
        }
    }
    Ok(counts)
}

/// The number of the node that holds most primaries of these indices.
pub(crate) async fn node_with_primaries(
    client: &Client,
    pattern: &str,
    servers: &Servers,
) -> Result<usize> {
    let request = HttpRequest::get(format!("/_cat/shards/{pattern}"))
        .query("format", "json")
        .query("h", "prirep,id");
    let shards: Vec<Value> = client.json(request).await?;
    let nodes: Value = client.json(HttpRequest::get("/_nodes/http")).await?;
    let mut best = (0, 0);
    for (number, node) in servers.nodes.iter().enumerate() {
        let address = node.url.trim_start_matches("http://");
        let id = nodes["nodes"]
            .as_object()
            .into_iter()
            .flatten()
            .find_map(|(id, about)| {
                (about["http"]["publish_address"] == address).then_some(id.as_str())
            });
        let held = shards
            .iter()
            .filter(|shard| shard["prirep"] == "p" && shard["id"].as_str() == id)
            .count();
        if held > best.0 {
            best = (held, number);
        }
    }
    match best.0 {
        0 => Err("no node holds primaries".into()),
        _ => Ok(best.1),
    }
}
