//! Logasaurus's rule beside the tail, and which node to kill.

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use clusterops::logs::{Client, http::HttpRequest};
use clusterops::secrecy::SecretString;
use serde_json::{Value, json};

use crate::bench::Result;
use crate::bench::servers::Servers;
use crate::writer::Progress;

/// Logasaurus's rule with its own defaults, and with a window that moves, which it does not do: every five seconds what the
/// last five seconds hold by their time, the first 500 of it.
pub(crate) async fn logasaurus(
    client: Client,
    pattern: String,
    progress: Arc<Progress>,
) -> Result<HashSet<String>> {
    let interval = Duration::from_secs(5);
    let mut seen = HashSet::new();
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
            seen.insert(hit["_id"].as_str().unwrap_or_default().to_owned());
        }
    }
    Ok(seen)
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
