//! Everything at once: documents are written and written again, while copies move, are cancelled, come and go, and indices are
//! closed, split and deleted.

use std::collections::BTreeMap;
use std::time::Duration;

use clusterops_logs::Client;
use clusterops_logs::http::{HttpOptions, HttpRequest};
use clusterops_logs::tail::{Since, Tail};
use jiff::Timestamp;
use serde_json::{Value, json};

use crate::by_time::by_time_of;
use crate::cluster::DEADLINE;
use crate::copies::resize;
use crate::relay::{Fate, Relay};
use crate::{Cluster, Seen, on_each};

on_each! {
    exact => an_upheaval_loses_and_repeats_nothing;
    unrefreshed => an_upheaval_loses_and_repeats_nothing_unrefreshed;
    by_time => an_upheaval_loses_and_repeats_nothing_by_time;
}

async fn exact(cluster: &Cluster) {
    let tail = cluster.tail().batch(200).since(Since::Start);
    goes_through(cluster, tail).await;
}

async fn unrefreshed(cluster: &Cluster) {
    let relay = Relay::before(&cluster.url, |_, path| match path.contains("/_refresh") {
        true => Fate::Answer(403, "security_exception"),
        false => Fate::Pass,
    })
    .await;
    let client = Client::new(&[relay.url()], HttpOptions::default()).unwrap();
    let tail = cluster.tail_of(&client, &cluster.pattern());
    goes_through(cluster, tail.batch(200).since(Since::Start)).await;
}

async fn by_time(cluster: &Cluster) {
    // Copies that move can be behind by as much as their recovery takes.
    let tail = by_time_of(cluster.tail()).overlap(Duration::from_secs(120));
    goes_through(cluster, tail.since(Since::Start)).await;
}

const DOCUMENTS: u32 = 1500;

/// Writes documents, and each third of them again a little later; how often each was.
async fn write(cluster: Cluster, index: String) -> BTreeMap<String, u64> {
    let mut versions = BTreeMap::new();
    let mut put = async |numbers: Vec<u32>| {
        let document = |n: &u32| {
            let time = Timestamp::now().to_string();
            (n.to_string(), json!({"@timestamp": time, "n": n}))
        };
        cluster.write(&index, numbers.iter().map(document)).await;
        for n in numbers {
            *versions.entry(n.to_string()).or_default() += 1;
        }
    };
    for part in 0..DOCUMENTS / 25 {
        put((part * 25..part * 25 + 25).collect()).await;
        let earlier = part.saturating_sub(4) * 25..part * 25;
        let again: Vec<u32> = earlier.filter(|n| n % 3 == part % 3).collect();
        if !again.is_empty() {
            put(again).await;
        }
    }
    versions
}

/// The shards of an index: number, whether it is the primary, state, and node.
async fn shards(cluster: &Cluster, index: &str) -> Vec<Value> {
    let request = HttpRequest::get(format!("/_cat/shards/{index}"))
        .query("format", "json")
        .query("h", "shard,prirep,state,node");
    cluster.client.json(request).await.unwrap()
}

/// Asks for a change of where shards are, which a cluster that is busy with another may refuse.
async fn reroute(cluster: &Cluster, command: Value) {
    let body = json!({"commands": [command]}).to_string();
    let request = HttpRequest::post("/_cluster/reroute").json(&body.into());
    let _ = cluster.client.send(request).await;
}

async fn goes_through(cluster: &Cluster, mut tail: Tail) {
    let nodes: Vec<Value> = cluster
        .client
        .json(HttpRequest::get("/_cat/nodes").query("format", "json"))
        .await
        .unwrap();
    let soon = json!({"refresh_interval": "100ms", "number_of_routing_shards": 12});
    let index = cluster.create("a", 3, 1, soon.clone()).await;
    let other = cluster.create("b", 2, 0, soon.clone()).await;
    let brief = cluster.create("c", 2, 0, soon).await;
    let set = async |settings: Value| {
        cluster.put(&format!("/{index}/_settings"), settings).await;
    };
    // Some of it may have been read before it is deleted.
    cluster
        .write(&brief, (5000..5400).map(|n| (n.to_string(), now())))
        .await;
    let writing = tokio::spawn(write(cluster.clone(), index.clone()));
    let mut seen = Seen::default();
    seen.until_count(&mut tail, 50).await;
    cluster.delete(&brief).await;
    let mut step = 0;
    while !writing.is_finished() {
        step += 1;
        let all = shards(cluster, &index).await;
        let number = step % 3;
        let name = number.to_string();
        let of = |kind: &str| {
            let is = |shard: &&Value| shard["shard"] == *name && shard["prirep"] == kind;
            all.iter()
                .find(is)
                .filter(|shard| shard["state"] == "STARTED")
        };
        match (step % 4, of("p"), of("r")) {
            // A primary that is cancelled where there is a replica gives way to it.
            (0, Some(primary), Some(_)) => {
                let node = &primary["node"];
                let cancel =
                    json!({"index": index, "shard": number, "node": node, "allow_primary": true});
                reroute(cluster, json!({ "cancel": cancel })).await;
            }
            (1, Some(primary), replica) => {
                let taken = |name: &Value| {
                    *name == primary["node"]
                        || replica.is_some_and(|replica| *name == replica["node"])
                };
                if let Some(free) = nodes
                    .iter()
                    .map(|node| &node["name"])
                    .find(|name| !taken(name))
                {
                    let from = &primary["node"];
                    let to = json!({"index": index, "shard": number, "from_node": from, "to_node": free});
                    reroute(cluster, json!({ "move": to })).await;
                }
            }
            (2, ..) => set(json!({"index.number_of_replicas": step / 4 % 2})).await,
            (3, ..) => {
                let from = 7000 + step * 10;
                cluster
                    .write(&other, (from..from + 10).map(|n| (n.to_string(), now())))
                    .await;
                cluster.post(&format!("/{other}/_close"), Value::Null).await;
                cluster.post(&format!("/{other}/_open"), Value::Null).await;
                cluster.green(&other).await;
            }
            _ => {}
        }
        seen.until_quiet(&mut tail, Duration::from_millis(150))
            .await;
    }
    let written = writing.await.unwrap();
    set(json!({"index.number_of_replicas": 0})).await;
    cluster.green(&index).await;
    let target = resize(cluster, &index, "split", 6).await;
    cluster
        .write(&target, (9000..9100).map(|n| (n.to_string(), now())))
        .await;
    // A server whose primary gives way writes by itself again what it was writing, with another version.
    let versions = versions(cluster, &[&target, &other]).await;
    let is_kept = |(id, count): (&String, &u64)| versions.get(id).is_some_and(|last| last >= count);
    assert!(written.iter().all(is_kept), "the cluster lost documents");
    let lacking = |seen: &Seen| -> Vec<String> {
        let came = |id: &String| seen.documents.get(id);
        let is_lacking = |(id, version): &(&String, &u64)| {
            came(id).and_then(|came| came.last()) != Some(version)
        };
        let lacking = versions.iter().filter(is_lacking);
        let told = lacking.map(|(id, version)| format!("{id} in {version} of {:?}", came(id)));
        told.collect()
    };
    let rest = async {
        while !lacking(&seen).is_empty() {
            seen.take(tail.next().await.unwrap());
        }
    };
    let is_in_time = tokio::time::timeout(DEADLINE, rest).await.is_ok();
    assert!(
        is_in_time,
        "after {step} steps lack {:?}, {:?}",
        lacking(&seen),
        seen.notices
    );
    seen.until_quiet(&mut tail, Duration::from_millis(700))
        .await;
    seen.documents
        .retain(|id, _| !(5000..5400).any(|n| n.to_string() == *id));
    assert_eq!(
        seen.documents.len(),
        versions.len(),
        "more than were written"
    );
    let is_again = |(_, came): &(&String, &Vec<u64>)| !came.is_sorted_by(|one, next| one < next);
    let again: Vec<_> = seen.documents.iter().filter(is_again).collect();
    assert!(
        again.is_empty(),
        "after {step} steps came again: {again:?}, {:?}",
        seen.notices
    );
}

/// The version of each document that is there.
async fn versions(cluster: &Cluster, indices: &[&str]) -> BTreeMap<String, u64> {
    let indices = indices.join(",");
    cluster
        .post(&format!("/{indices}/_refresh"), Value::Null)
        .await;
    let body = json!({"size": 10_000, "version": true, "_source": false});
    let found = cluster.post(&format!("/{indices}/_search"), body).await;
    assert_eq!(found["_shards"]["failed"], 0, "{found}");
    let version = |hit: &Value| {
        let id = hit["_id"].as_str()?.to_owned();
        Some((id, hit["_version"].as_u64()?))
    };
    let hits = found["hits"]["hits"].as_array().unwrap();
    hits.iter().filter_map(version).collect()
}

fn now() -> Value {
    json!({"@timestamp": Timestamp::now().to_string()})
}
