//! Indices that are made of one that is followed.

use std::time::Duration;

use clusterops_logs::Client;
use clusterops_logs::http::HttpOptions;
use clusterops_logs::tail::{Notice, Since};
use serde_json::json;

use crate::relay::{Fate, Relay};
use crate::{Cluster, Seen, on_each};

on_each! {
    shrunk => a_shrunk_index_is_not_read_again;
    split => a_split_index_is_not_read_again;
    shrunk_from_start => a_shrunk_index_is_read_whole_where_it_is_the_first;
    mounted => what_is_mounted_from_a_snapshot_is_not_new;
    behind => a_copy_is_continued_where_its_source_stood;
}

/// Makes an index of another one, whose copies have to stand on one node for shrinking.
pub(crate) async fn resize(cluster: &Cluster, index: &str, how: &str, shards: u32) -> String {
    let target = format!("{index}-{how}");
    let nodes: serde_json::Value = cluster
        .client
        .json(
            clusterops_logs::http::HttpRequest::get("/_cat/nodes")
                .query("format", "json")
                .query("h", "name"),
        )
        .await
        .unwrap();
    let node = nodes[0]["name"].clone();
    let settings =
        json!({"index.blocks.write": true, "index.routing.allocation.require._name": node});
    cluster.put(&format!("/{index}/_settings"), settings).await;
    cluster.all_on(index, node.as_str().unwrap()).await;
    let settings = json!({"settings": {
        "index.number_of_shards": shards, "index.number_of_replicas": 0, "index.blocks.write": null,
        "index.routing.allocation.require._name": null,
    }});
    cluster
        .put(&format!("/{index}/_{how}/{target}"), settings)
        .await;
    cluster.green(&target).await;
    target
}

async fn shrunk(cluster: &Cluster) {
    let index = cluster.create("a", 4, 0, json!({})).await;
    cluster.write_some(&index, 0, 200).await;
    let mut tail = cluster.tail().since(Since::Start);
    let mut seen = Seen::default();
    seen.until_count(&mut tail, 200).await;
    let target = resize(cluster, &index, "shrink", 2).await;
    cluster.write_some(&target, 200, 300).await;
    seen.until_count(&mut tail, 300).await;
    seen.until_quiet(&mut tail, Duration::from_millis(500))
        .await;
    seen.are_once(0..300);
    let copy = |notice: &Notice| {
        matches!(
            notice,
            Notice::Copy {
                may_repeat: false,
                ..
            }
        )
    };
    assert!(seen.notices.iter().any(copy), "{:?}", seen.notices);
}

async fn split(cluster: &Cluster) {
    let more = json!({"number_of_routing_shards": 12});
    let index = cluster.create("a", 2, 0, more).await;
    cluster.write_some(&index, 0, 200).await;
    let mut tail = cluster.tail().since(Since::Start);
    let mut seen = Seen::default();
    seen.until_count(&mut tail, 200).await;
    let target = resize(cluster, &index, "split", 6).await;
    cluster.write_some(&target, 200, 300).await;
    seen.until_count(&mut tail, 300).await;
    seen.until_quiet(&mut tail, Duration::from_millis(500))
        .await;
    seen.are_once(0..300);
}

async fn shrunk_from_start(cluster: &Cluster) {
    let index = cluster.create("a", 8, 0, json!({})).await;
    cluster.write_some(&index, 0, 400).await;
    let target = resize(cluster, &index, "shrink", 1).await;
    cluster.delete(&index).await;
    // Up to eight documents have the same number; pages end between them.
    let mut tail = cluster
        .tail_of(&cluster.client, &target)
        .since(Since::Start)
        .batch(3);
    let mut seen = Seen::default();
    seen.until_count(&mut tail, 400).await;
    seen.until_quiet(&mut tail, Duration::from_millis(500))
        .await;
    seen.are_once(0..400);
}

async fn behind(cluster: &Cluster) {
    let index = cluster.create("a", 2, 0, json!({})).await;
    cluster.write_some(&index, 0, 50).await;
    let mut tail = cluster.tail().since(Since::Start);
    let mut seen = Seen::default();
    seen.until_count(&mut tail, 50).await;
    drop(tail);
    // While nobody looks: more is written, it is cloned, and the first is deleted.
    cluster.write_some(&index, 50, 100).await;
    let target = resize(cluster, &index, "clone", 2).await;
    cluster.delete(&index).await;
    cluster.write_some(&target, 100, 120).await;
    let mut tail = cluster.tail().resume(seen.token.clone().unwrap()).unwrap();
    seen.until_count(&mut tail, 120).await;
    seen.until_quiet(&mut tail, Duration::from_millis(500))
        .await;
    seen.are_once(0..120);
}

async fn mounted(cluster: &Cluster) {
    let index = cluster.create("a", 1, 0, json!({})).await;
    cluster.write_some(&index, 0, 20).await;
    // Mounting needs a licence or a node made for it: here the settings say of an ordinary index that it is mounted.
    let relay = Relay::before(&cluster.url, |_, path| match path.contains("/_settings") {
        true => Fate::Edit(|settings| {
            for (name, index) in settings.as_object_mut().unwrap() {
                let settings = &mut index["settings"];
                if let Some(prefix) = name.strip_suffix("-mounted") {
                    settings["index.store.type"] = json!("snapshot");
                    settings["index.store.snapshot.index_name"] = json!(format!("{prefix}-a"));
                }
                if name.ends_with("-another") {
                    settings["index.store.type"] = json!("remote_snapshot");
                }
            }
        }),
        false => Fate::Pass,
    })
    .await;
    let client = Client::new(&[relay.url()], HttpOptions::default()).unwrap();
    let mut tail = cluster
        .tail_of(&client, &cluster.pattern())
        .since(Since::Start);
    let mut seen = Seen::default();
    seen.until_count(&mut tail, 20).await;
    let mounted = cluster.create("mounted", 1, 0, json!({})).await;
    // The snapshot is older than what was read.
    cluster.write_some(&mounted, 0, 15).await;
    cluster.write_some(&index, 20, 25).await;
    seen.until_count(&mut tail, 25).await;
    // One of which nobody here knows what it was made of.
    let another = cluster.create("another", 1, 0, json!({})).await;
    cluster.write_some(&another, 25, 35).await;
    seen.until_count(&mut tail, 35).await;
    seen.until_quiet(&mut tail, Duration::from_millis(500))
        .await;
    seen.are_once(0..35);
    let found = Notice::Found {
        index: another,
        from_start: false,
    };
    assert!(seen.notices.contains(&found), "{:?}", seen.notices);
}
