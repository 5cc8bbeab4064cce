//! Data streams and aliases that roll over, and settings that change while they are followed.

use std::time::Duration;

use clusterops_logs::export::{Export, Order};
use clusterops_logs::http::HttpRequest;
use clusterops_logs::secrecy::SecretSlice;
use clusterops_logs::tail::{Notice, Since};
use clusterops_logs::{Indices, Query};
use serde_json::{Value, json};

use crate::{Cluster, Seen, on_each};

on_each! {
    stream => a_data_stream_is_followed_over_its_rollovers;
    exported => an_export_of_a_data_stream_gives_each_document_once;
    rolled => an_alias_is_followed_over_its_rollovers;
    swapped => an_alias_that_moves_with_each_rollover_is_followed;
    interval => a_refresh_interval_that_changes_makes_no_difference;
}

/// A data stream with nothing in it, where the server has those.
async fn data_stream(cluster: &Cluster) -> Option<String> {
    let name = cluster.index("stream");
    let template = json!({"index_patterns": [&name], "data_stream": {}, "priority": 500, "template": {
        "settings": {"number_of_shards": 2, "number_of_replicas": 1},
        "mappings": {"properties": {"@timestamp": {"type": "date"}, "n": {"type": "long"}}},
    }});
    if cluster.name == "elasticsearch-7" {
        // They are part of the default distribution, and the tests run the one under the Apache licence.
        eprintln!("skipped on {}: it has no data streams", cluster.name);
        return None;
    }
    cluster
        .put(&format!("/_index_template/{name}"), template)
        .await;
    cluster
        .put(&format!("/_data_stream/{name}"), Value::Null)
        .await;
    Some(name)
}

async fn remove(cluster: &Cluster, stream: &str) {
    cluster.delete(&format!("_data_stream/{stream}")).await;
    cluster.delete(&format!("_index_template/{stream}")).await;
}

/// Writes documents as data streams take them: they may only be created.
async fn create(cluster: &Cluster, to: &str, numbers: std::ops::Range<u32>) {
    let mut lines = String::new();
    for n in numbers {
        let time = match n % 3 {
            0 => "2026-01-01T00:00:00Z".to_owned(),
            1 => "2090-01-01T00:00:00Z".to_owned(),
            _ => jiff::Timestamp::now().to_string(),
        };
        let action = json!({"create": {"_id": n.to_string()}});
        let document = json!({"@timestamp": time, "n": n});
        lines.push_str(&format!("{action}\n{document}\n"));
    }
    let body = SecretSlice::from(lines.into_bytes());
    let request = HttpRequest::post(format!("/{to}/_bulk")).body("application/x-ndjson", &body);
    let answer: Value = cluster.client.json(request).await.unwrap();
    assert_eq!(answer["errors"], false, "{answer}");
}

async fn roll_over(cluster: &Cluster, name: &str, body: Value) -> String {
    let answer = cluster.post(&format!("/{name}/_rollover"), body).await;
    assert_eq!(answer["rolled_over"], true, "{answer}");
    answer["new_index"].as_str().unwrap().to_owned()
}

/// Writes 1,500 documents, and has what they are written to rolled over after each 300.
fn writing(cluster: &Cluster, name: &str, body: &Value) -> tokio::task::JoinHandle<Vec<String>> {
    let (cluster, name, body) = (cluster.clone(), name.to_owned(), body.clone());
    tokio::spawn(async move {
        let mut indices = Vec::new();
        for part in 0..30 {
            create(&cluster, &name, part * 50..part * 50 + 50).await;
            if part % 6 == 5 {
                indices.push(roll_over(&cluster, &name, body.clone()).await);
            }
        }
        indices
    })
}

async fn stream(cluster: &Cluster) {
    let Some(name) = data_stream(cluster).await else {
        return;
    };
    let begin = || {
        let tail = cluster.tail_of(&cluster.client, &name);
        tail.since(Since::Start).batch(100)
    };
    let mut tail = begin();
    let writing = writing(cluster, &name, &Value::Null);
    let mut seen = Seen::default();
    for count in [200, 700, 1200] {
        seen.until_count(&mut tail, count).await;
        // Who goes on from a token finds indices that were made meanwhile.
        tail = begin().resume(seen.kept()).unwrap();
    }
    seen.until_count(&mut tail, 1500).await;
    let indices = writing.await.unwrap();
    create(cluster, &name, 1500..1510).await;
    seen.until_count(&mut tail, 1510).await;
    seen.until_quiet(&mut tail, Duration::from_millis(500))
        .await;
    seen.are_once(0..1510);
    for index in indices {
        let from_start = true;
        let found = Notice::Found { index, from_start };
        assert!(seen.notices.contains(&found), "{found:?}");
    }
    // Behind all that is there, over the latest rollover too.
    let mut tail = cluster.tail_of(&cluster.client, &name);
    let mut seen = Seen::default();
    seen.until_token(&mut tail).await;
    create(cluster, &name, 2000..2010).await;
    roll_over(cluster, &name, Value::Null).await;
    create(cluster, &name, 2010..2020).await;
    seen.until_count(&mut tail, 20).await;
    seen.are_once(2000..2020);
    remove(cluster, &name).await;
}

async fn exported(cluster: &Cluster) {
    let Some(name) = data_stream(cluster).await else {
        return;
    };
    for part in 0..3 {
        create(cluster, &name, part * 100..part * 100 + 100).await;
        roll_over(cluster, &name, Value::Null).await;
    }
    cluster
        .post(&format!("/{name}/_refresh"), Value::Null)
        .await;
    let indices = Indices::new(&name).unwrap();
    let export = || Export::new(&cluster.client, &indices, Query::match_all()).page_size(33);
    for export in [
        export(),
        export().slices(3),
        export().order(Order::oldest_first("@timestamp")),
    ] {
        let mut pages = export.start().await.unwrap();
        assert_eq!(pages.total(), 300);
        let mut ids = Vec::new();
        let mut is_rolled = false;
        while let Some(page) = pages.next().await.unwrap() {
            ids.extend(page.hits().map(|hit| hit.id().into_owned()));
            // What comes after the start is none of it.
            if !std::mem::replace(&mut is_rolled, true) {
                roll_over(cluster, &name, Value::Null).await;
                create(cluster, &name, 1000..1001).await;
            }
        }
        ids.sort_by_key(|id| id.parse::<u32>().unwrap());
        assert!(
            ids.iter()
                .eq((0..300).map(|n| n.to_string()).collect::<Vec<_>>().iter())
        );
        cluster
            .post(&format!("/{name}/_refresh"), Value::Null)
            .await;
        let request =
            HttpRequest::post(format!("/{name}/_delete_by_query")).query("refresh", "true");
        let query = json!({"query": {"term": {"n": 1000}}});
        cluster.call(request, query).await;
    }
    remove(cluster, &name).await;
}

/// The first index of an alias, and the body with which it rolls over.
async fn alias(cluster: &Cluster, options: Value) -> (String, String, Value) {
    let (alias, index) = (cluster.index("alias"), cluster.index("000001"));
    let mut body = json!({
        "settings": {"number_of_shards": 2, "number_of_replicas": 0},
        "mappings": {"properties": {"@timestamp": {"type": "date"}, "n": {"type": "long"}}},
    });
    let of_next = body.clone();
    body["aliases"] = json!({&alias: options});
    cluster.put(&format!("/{index}"), body).await;
    (alias, index, of_next)
}

async fn rolled(cluster: &Cluster) {
    let (alias, _, body) = alias(cluster, json!({"is_write_index": true})).await;
    let mut tail = cluster
        .tail_of(&cluster.client, &alias)
        .since(Since::Start)
        .batch(100);
    let writing = writing(cluster, &alias, &body);
    let mut seen = Seen::default();
    seen.until_count(&mut tail, 1500).await;
    let indices = writing.await.unwrap();
    seen.until_quiet(&mut tail, Duration::from_millis(500))
        .await;
    seen.are_once(0..1500);
    for index in &indices[..4] {
        let found = |notice: &Notice| matches!(notice, Notice::Found { index: of, from_start: true } if of == index);
        assert!(seen.notices.iter().any(found), "{:?}", seen.notices);
    }
}

async fn swapped(cluster: &Cluster) {
    // Without a write index, the alias leaves each index for the next one.
    let (alias, index, body) = alias(cluster, json!({})).await;
    let mut tail = cluster
        .tail_of(&cluster.client, &alias)
        .since(Since::Start)
        .batch(50);
    create(cluster, &alias, 0..200).await;
    let mut seen = Seen::default();
    seen.until_count(&mut tail, 50).await;
    for part in 1..4 {
        roll_over(cluster, &alias, body.clone()).await;
        create(cluster, &alias, part * 200..part * 200 + 200).await;
        // So that it sees each of them: it does not learn of one that has come and gone.
        let count = part as usize * 200 + 50;
        seen.until_count(&mut tail, count).await;
    }
    seen.until_count(&mut tail, 800).await;
    let away = Notice::Away { index };
    seen.until(&mut tail, "away", |seen| seen.notices.contains(&away))
        .await;
    seen.until_quiet(&mut tail, Duration::from_millis(500))
        .await;
    seen.are_once(0..800);
}

async fn interval(cluster: &Cluster) {
    let index = cluster
        .create("a", 3, 1, json!({"refresh_interval": "100ms"}))
        .await;
    let mut tail = cluster.tail().since(Since::Start);
    let mut seen = Seen::default();
    let mut count = 0;
    for interval in ["-1", "50ms", "-1", "1s"] {
        cluster.write_some(&index, count, count + 100).await;
        let settings = json!({"index.refresh_interval": interval});
        cluster.put(&format!("/{index}/_settings"), settings).await;
        cluster.write_some(&index, count + 100, count + 200).await;
        count += 200;
        seen.until_count(&mut tail, count as usize).await;
    }
    seen.until_quiet(&mut tail, Duration::from_millis(500))
        .await;
    seen.are_once(0..count);
}
