//! Rights that are missing, servers that fail, and shards that move.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use clusterops_logs::http::{HttpOptions, HttpRequest, HttpRetries};
use clusterops_logs::tail::{Notice, Since};
use clusterops_logs::{Client, ErrorKind};
use serde_json::{Value, json};

use crate::relay::{Fate, Relay};
use crate::{Cluster, Seen, on_each};

on_each! {
    no_refresh => without_the_right_to_refresh_nothing_is_lost;
    no_stats => without_checkpoints_times_are_gone_by;
    revoked => a_right_that_is_taken_away_is_told_with_what_to_do;
    across => another_cluster_is_followed_by_time;
    failing => what_fails_for_a_while_is_tried_again;
    moved => shards_that_move_lose_and_repeat_nothing;
    part => one_failing_shard_is_told_and_the_others_go_on;
    nobody => a_wrong_password_is_an_error_and_no_reason_to_go_by_time;
    serverless => where_statistics_are_not_shown_times_are_gone_by;
    red => a_shard_without_a_primary_keeps_its_position;
    mistaken => a_primary_that_is_not_where_it_was_is_looked_for_again;
    emptied => a_shard_that_lost_its_history_is_read_again;
}

fn client(relay: &Relay) -> Client {
    let options = HttpOptions::default().retries(HttpRetries::none());
    Client::new(&[relay.url()], options).unwrap()
}

async fn no_refresh(cluster: &Cluster) {
    let index = cluster
        .create("a", 3, 1, json!({"refresh_interval": "200ms"}))
        .await;
    let relay = Relay::before(&cluster.url, |_, path| match path.contains("/_refresh") {
        true => Fate::Answer(403, "security_exception"),
        false => Fate::Pass,
    })
    .await;
    let client = client(&relay);
    let mut tail = cluster
        .tail_of(&client, &cluster.pattern())
        .since(Since::Start);
    let mut seen = Seen::default();
    for part in 0..30 {
        cluster.write_some(&index, part * 50, part * 50 + 50).await;
        if part % 5 == 4 {
            // Not all of it is shown yet. A restart knows what was handed over before its slice was closed.
            seen.until_count(&mut tail, part as usize * 50 - 100).await;
            let token = seen.token.clone().unwrap().to_string();
            tail = cluster
                .tail_of(&client, &cluster.pattern())
                .resume(token.parse().unwrap())
                .unwrap();
        }
    }
    seen.until_count(&mut tail, 1500).await;
    seen.until_quiet(&mut tail, Duration::from_secs(1)).await;
    seen.are_once(0..1500);
    let told = |notice: &Notice| matches!(notice, Notice::NoRefresh { .. });
    assert!(seen.notices.iter().any(told), "{:?}", seen.notices);
}

async fn revoked(cluster: &Cluster) {
    let index = cluster.create("a", 1, 0, json!({})).await;
    cluster.write_some(&index, 0, 10).await;
    let relay = Relay::before(&cluster.url, |_, _| Fate::Pass).await;
    let client = client(&relay);
    let mut tail = cluster.tail_of(&client, &index).since(Since::Start);
    let mut seen = Seen::default();
    seen.until_count(&mut tail, 10).await;
    relay.now(|_, path| match path.contains("/_stats") {
        true => Fate::Answer(403, "security_exception"),
        false => Fate::Pass,
    });
    cluster.write_some(&index, 10, 20).await;
    let error = loop {
        match tail.next().await {
            Ok(batch) => seen.take(batch),
            Err(error) => break error,
        }
    };
    assert_eq!(error.kind(), ErrorKind::Denied);
    assert!(
        error.to_string().contains("begin anew without a token"),
        "{error}"
    );
    relay.now(|_, _| Fate::Pass);
    seen.until_count(&mut tail, 20).await;
    seen.are_once(0..20);
}

async fn no_stats(cluster: &Cluster) {
    let first = cluster
        .create("a", 3, 1, json!({"refresh_interval": "100ms"}))
        .await;
    let second = cluster
        .create("b", 1, 0, json!({"refresh_interval": "100ms"}))
        .await;
    let relay = Relay::before(&cluster.url, |_, path| match path.contains("/_stats") {
        true => Fate::Answer(403, "security_exception"),
        false => Fate::Pass,
    })
    .await;
    let client = client(&relay);
    let mut tail = cluster.tail_of(&client, &cluster.pattern());
    let mut seen = Seen::default();
    seen.until(&mut tail, "told", |seen| !seen.notices.is_empty())
        .await;
    assert!(
        matches!(seen.notices[0], Notice::ByTime { .. }),
        "{:?}",
        seen.notices
    );
    let writer = cluster.clone();
    let writing = tokio::spawn(async move {
        for part in 0..20 {
            let index = if part % 2 == 0 { &first } else { &second };
            // Many documents with equal times, in both; each a little late.
            let time = jiff::Timestamp::now().to_string();
            let document = |n: u32| (n.to_string(), json!({"@timestamp": time, "n": n}));
            writer
                .write(index, (part * 300..part * 300 + 300).map(document))
                .await;
        }
        let future = |n: u32| (n.to_string(), json!({"@timestamp": "2090-01-01T00:00:00Z"}));
        writer.write(&first, (6000..6010).map(future)).await;
        let document = |n: u32| {
            (
                n.to_string(),
                json!({"@timestamp": jiff::Timestamp::now().to_string()}),
            )
        };
        writer.write(&first, (6010..6020).map(document)).await;
    });
    while seen.documents.len() < 6020 {
        let count = (seen.documents.len() + 900).min(6020);
        seen.until_count(&mut tail, count).await;
        let token = seen.token.clone().unwrap().to_string();
        tail = cluster
            .tail_of(&client, &cluster.pattern())
            .resume(token.parse().unwrap())
            .unwrap();
    }
    writing.await.unwrap();
    seen.until_quiet(&mut tail, Duration::from_secs(1)).await;
    seen.are_once(0..6020);
}

async fn across(cluster: &Cluster) {
    let index = cluster
        .create("a", 3, 0, json!({"refresh_interval": "100ms"}))
        .await;
    // Servers of these packages cannot be made to speak to other clusters. So the cluster that is asked is none: it passes
    // on what is meant for another one. What no cluster is named like has no shards, which is told.
    let relay = Relay::before(&cluster.url, |_, path| match path.contains("mirror%3A") {
        true => Fate::PassTo(path.replace("mirror%3A", "")),
        false => Fate::Pass,
    })
    .await;
    let client = client(&relay);
    let mut tail = cluster.tail_of(&client, "no-such-cluster:logs");
    let mut seen = Seen::default();
    let nothing = |seen: &Seen| {
        let nothing = |notice: &Notice| matches!(notice, Notice::NothingMatches { .. });
        seen.notices.iter().any(nothing)
    };
    seen.until(&mut tail, "told", nothing).await;
    let mut tail = cluster.tail_of(&client, &format!("mirror:{}", cluster.pattern()));
    let mut seen = Seen::default();
    seen.until(&mut tail, "told", |seen| !seen.notices.is_empty())
        .await;
    assert!(
        matches!(seen.notices[0], Notice::ByTime { .. }),
        "{:?}",
        seen.notices
    );
    let document = |n: u32| {
        (
            n.to_string(),
            json!({"@timestamp": jiff::Timestamp::now().to_string()}),
        )
    };
    for part in 0..5 {
        cluster
            .write(&index, (part * 100..part * 100 + 100).map(document))
            .await;
    }
    seen.until_count(&mut tail, 500).await;
    seen.until_quiet(&mut tail, Duration::from_millis(500))
        .await;
    seen.are_once(0..500);
}

async fn failing(cluster: &Cluster) {
    let index = cluster.create("a", 3, 1, json!({})).await;
    let count = Arc::new(AtomicU32::new(0));
    let relay = Relay::before(&cluster.url, move |_, _| {
        match count.fetch_add(1, Ordering::Relaxed) % 29 {
            5 => Fate::Answer(503, "unavailable_shards_exception"),
            12 => Fate::Drop,
            19 => Fate::Answer(429, "circuit_breaking_exception"),
            26 => Fate::PassAndDrop,
            _ => Fate::Pass,
        }
    })
    .await;
    let client = client(&relay);
    let mut tail = cluster
        .tail_of(&client, &cluster.pattern())
        .since(Since::Start)
        .batch(50);
    let mut seen = Seen::default();
    cluster.write_some(&index, 0, 300).await;
    seen.until_count(&mut tail, 300).await;
    relay.now(|_, _| Fate::Pass);
    cluster.write_some(&index, 300, 320).await;
    seen.until_count(&mut tail, 320).await;
    seen.until_quiet(&mut tail, Duration::from_secs(1)).await;
    seen.are_once(0..320);
    let told = |notice: &Notice| matches!(notice, Notice::Recovered | Notice::Released { .. });
    assert!(seen.notices.iter().any(told), "{:?}", seen.notices);
}

async fn part(cluster: &Cluster) {
    let index = cluster.create("a", 3, 0, json!({})).await;
    let relay = Relay::before(&cluster.url, |_, path| {
        match path.contains("_shards%3A0%7C") {
            true => Fate::Answer(503, "unavailable_shards_exception"),
            false => Fate::Pass,
        }
    })
    .await;
    let client = client(&relay);
    let mut tail = cluster
        .tail_of(&client, &cluster.pattern())
        .since(Since::Start);
    cluster.write_some(&index, 0, 100).await;
    let mut seen = Seen::default();
    let told = |seen: &Seen| {
        let held = |notice: &Notice| matches!(notice, Notice::Held { shard: 0, .. });
        seen.notices.iter().any(held)
    };
    seen.until(&mut tail, "held", |seen| {
        told(seen) && !seen.documents.is_empty()
    })
    .await;
    relay.now(|_, _| Fate::Pass);
    seen.until_count(&mut tail, 100).await;
    let released = Notice::Released { index, shard: 0 };
    assert!(seen.notices.contains(&released), "{:?}", seen.notices);
    seen.are_once(0..100);
}

async fn nobody(cluster: &Cluster) {
    let relay = Relay::before(&cluster.url, |_, _| Fate::Answer(401, "security_exception")).await;
    let error = cluster
        .tail_of(&client(&relay), &cluster.pattern())
        .next()
        .await;
    assert_eq!(error.unwrap_err().kind(), ErrorKind::Unauthenticated);
}

async fn serverless(cluster: &Cluster) {
    let relay = Relay::before(&cluster.url, |_, path| match path.contains("/_stats") {
        true => Fate::Answer(410, "api_not_available_exception"),
        false => Fate::Pass,
    })
    .await;
    let mut tail = cluster.tail_of(&client(&relay), &cluster.pattern());
    let batch = tail.next().await.unwrap();
    assert!(
        matches!(batch.notices[0], Notice::ByTime { .. }),
        "{batch:?}"
    );
}

/// Where the primary of shard 0 stands, and another node.
pub(crate) async fn places(cluster: &Cluster, index: &str) -> Option<(String, String)> {
    let request = HttpRequest::get(format!("/_cat/shards/{index}")).query("format", "json");
    let shards: Vec<Value> = cluster.client.json(request).await.unwrap();
    let of = |shard: &Value| shard["node"].as_str().map(str::to_owned);
    let primary = shards
        .iter()
        .find(|shard| shard["shard"] == "0" && shard["prirep"] == "p")?;
    let request = HttpRequest::get("/_cat/nodes")
        .query("format", "json")
        .query("h", "name");
    let nodes: Vec<Value> = cluster.client.json(request).await.unwrap();
    let holds: Vec<_> = shards
        .iter()
        .filter(|shard| shard["shard"] == "0")
        .filter_map(of)
        .collect();
    let other = nodes
        .iter()
        .filter_map(|node| node["name"].as_str())
        .find(|node| !holds.iter().any(|held| held == node))?;
    Some((of(primary)?, other.to_owned()))
}

async fn moved(cluster: &Cluster) {
    let index = cluster.create("a", 1, 0, json!({})).await;
    if places(cluster, &index).await.is_none() {
        eprintln!(
            "skipped on {}: one node has nowhere to move a shard to",
            cluster.name
        );
        return;
    }
    let mut tail = cluster.tail().since(Since::Start);
    let mut seen = Seen::default();
    let writer = cluster.clone();
    let to = index.clone();
    let writing = tokio::spawn(async move {
        for part in 0..60 {
            writer.write_some(&to, part * 50, part * 50 + 50).await;
        }
    });
    for count in [500, 1000, 2000] {
        seen.until_count(&mut tail, count).await;
        cluster.green(&index).await;
        let (from, to) = places(cluster, &index).await.unwrap();
        let command = json!({"commands": [{"move": {"index": index, "shard": 0, "from_node": from, "to_node": to}}]});
        cluster.post("/_cluster/reroute", command).await;
    }
    seen.until_count(&mut tail, 3000).await;
    writing.await.unwrap();
    seen.until_quiet(&mut tail, Duration::from_secs(1)).await;
    seen.are_once(0..3000);
}

/// The copies of the shards in an answer of `_stats`.
fn copies(stats: &mut Value) -> impl Iterator<Item = &mut Value> {
    let indices = stats["indices"].as_object_mut().into_iter().flatten();
    indices
        .flat_map(|(_, index)| index["shards"].as_object_mut().into_iter().flatten())
        .flat_map(|(_, copies)| copies.as_array_mut().into_iter().flatten())
}

async fn red(cluster: &Cluster) {
    let index = cluster.create("a", 2, 0, json!({})).await;
    cluster.write_some(&index, 0, 20).await;
    let relay = Relay::before(&cluster.url, |_, _| Fate::Pass).await;
    let client = client(&relay);
    let mut tail = cluster
        .tail_of(&client, &cluster.pattern())
        .since(Since::Start);
    let mut seen = Seen::default();
    seen.until_count(&mut tail, 20).await;
    relay.now(|_, path| match path.contains("/_stats") {
        true => Fate::Edit(|stats| {
            copies(stats).for_each(|copy| copy["routing"]["state"] = json!("INITIALIZING"));
        }),
        false => Fate::Pass,
    });
    cluster.write_some(&index, 20, 30).await;
    let held = |seen: &Seen| {
        let held = |notice: &&Notice| matches!(notice, Notice::Held { .. });
        seen.notices.iter().filter(held).count() == 2
    };
    seen.until(&mut tail, "held", held).await;
    assert_eq!(seen.documents.len(), 20);
    relay.now(|_, _| Fate::Pass);
    seen.until_count(&mut tail, 30).await;
    seen.are_once(0..30);
    let released = |notice: &Notice| matches!(notice, Notice::Released { .. });
    assert!(seen.notices.iter().any(released), "{:?}", seen.notices);
}

async fn mistaken(cluster: &Cluster) {
    let index = cluster.create("a", 2, 0, json!({})).await;
    cluster.write_some(&index, 0, 20).await;
    // What every other survey says is not true any more.
    let count = Arc::new(AtomicU32::new(0));
    let relay = Relay::before(&cluster.url, move |_, path| {
        if !path.contains("/_stats") || count.fetch_add(1, Ordering::Relaxed) % 3 == 2 {
            return Fate::Pass;
        }
        Fate::Edit(|stats| copies(stats).for_each(|copy| copy["routing"]["node"] = json!("gone")))
    })
    .await;
    let client = client(&relay);
    let mut tail = cluster
        .tail_of(&client, &cluster.pattern())
        .since(Since::Start);
    let mut seen = Seen::default();
    for _ in 0..3 {
        let _ = tokio::time::timeout(Duration::from_millis(300), tail.next()).await;
    }
    relay.now(|_, _| Fate::Pass);
    seen.until_count(&mut tail, 20).await;
    seen.until_quiet(&mut tail, Duration::from_millis(500))
        .await;
    seen.are_once(0..20);
}

async fn emptied(cluster: &Cluster) {
    let index = cluster.create("a", 1, 0, json!({})).await;
    cluster.write_some(&index, 0, 20).await;
    let mut tail = cluster.tail().since(Since::Start);
    let mut seen = Seen::default();
    seen.until_count(&mut tail, 20).await;
    // Restored from a snapshot that is older, it begins another history; here an empty shard is put in its place.
    let token = seen.token.clone().unwrap().to_string();
    let mut value: Value = serde_json::from_str(&token).unwrap();
    value["shards"][0]["history"] = json!("another");
    drop(tail);
    let mut tail = cluster
        .tail()
        .resume(value.to_string().parse().unwrap())
        .unwrap();
    seen.until(&mut tail, "restarted", |seen| {
        seen.documents.values().all(|seen| seen.len() == 2)
    })
    .await;
    let told = |notice: &Notice| matches!(notice, Notice::Restarted { shard: 0, .. });
    assert!(seen.notices.iter().any(told), "{:?}", seen.notices);
    // A checkpoint below what was read.
    let mut value: Value = serde_json::from_str(&token).unwrap();
    value["shards"][0]["done"] = json!(1000);
    let mut tail = cluster
        .tail()
        .resume(value.to_string().parse().unwrap())
        .unwrap();
    seen.until(&mut tail, "restarted", |seen| {
        seen.documents.values().all(|seen| seen.len() == 3)
    })
    .await;
}
