//! Tails without the right to refresh: what servers show by themselves is all there is to read.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use clusterops_logs::Client;
use clusterops_logs::http::{HttpOptions, HttpRetries};
use clusterops_logs::tail::{Notice, Since, Tail};
use serde_json::json;

use crate::cluster::DEADLINE;
use crate::copies::resize;
use crate::faults::places;
use crate::relay::{Fate, Relay};
use crate::{Cluster, Killed, Seen, on_each};

on_each! {
    several => several_indices_come_whole_without_the_right_to_refresh;
    failing => a_page_that_fails_in_a_quiet_index_is_read_again_unrefreshed;
    moved => a_primary_that_moves_loses_and_repeats_nothing_unrefreshed;
    aliased => an_alias_keeps_its_filter_unrefreshed;
    killed => what_a_kill_repeats_unrefreshed_is_one_batch;
    interval => what_is_not_shown_for_a_while_comes_when_it_is;
    shrunk => a_shrunk_index_whose_source_stays_repeats_nothing_unrefreshed;
    storm => kills_and_failures_together_lose_nothing_unrefreshed;
}

/// How soon the indices of these tests show what is written.
const SOON: &str = "100ms";

/// What refuses to refresh, and does with the rest what this says of paths.
async fn relay(
    cluster: &Cluster,
    rule: impl Fn(&str) -> Fate + Send + Sync + 'static,
) -> (Relay, Client) {
    let relay = Relay::before(&cluster.url, move |_, path| {
        match path.contains("/_refresh") {
            true => Fate::Answer(403, "security_exception"),
            false => rule(path),
        }
    })
    .await;
    let options = HttpOptions::default().retries(HttpRetries::none());
    let client = Client::new(&[relay.url()], options).unwrap();
    (relay, client)
}

fn is_told(seen: &Seen) {
    let told = |notice: &Notice| matches!(notice, Notice::NoRefresh { .. });
    assert!(seen.notices.iter().any(told), "{:?}", seen.notices);
}

/// Reads on until nothing comes any more, although servers show what is written.
async fn quiet(tail: &mut Tail, seen: &mut Seen) {
    seen.until_quiet(tail, Duration::from_millis(700)).await;
}

async fn several(cluster: &Cluster) {
    let settings = json!({"refresh_interval": SOON});
    let mut indices = Vec::new();
    for (name, shards, replicas) in [("a", 3, 1), ("b", 2, 0), ("c", 1, 2)] {
        indices.push(
            cluster
                .create(name, shards, replicas, settings.clone())
                .await,
        );
    }
    let (_relay, client) = relay(cluster, |_| Fate::Pass).await;
    let mut tail = cluster
        .tail_of(&client, &cluster.pattern())
        .since(Since::Start)
        .batch(200);
    let writer = cluster.clone();
    let writing = tokio::spawn(async move {
        for part in 0..60 {
            let index = &indices[part as usize % 3];
            writer.write_some(index, part * 50, part * 50 + 50).await;
            if part % 10 == 9 {
                // Written over before it is shown, perhaps, and a gap in the numbers.
                writer.write_some(index, 9000, 9001).await;
                writer.delete(&format!("{index}/_doc/9000")).await;
            }
        }
    });
    let mut seen = Seen::default();
    let all = |seen: &Seen| {
        let numbers = seen.documents.keys().filter(|id| *id != "9000");
        numbers.count() == 3000
    };
    seen.until(&mut tail, "all documents", all).await;
    writing.await.unwrap();
    quiet(&mut tail, &mut seen).await;
    seen.documents.remove("9000");
    seen.are_once(0..3000);
    is_told(&seen);
}

async fn failing(cluster: &Cluster) {
    for (round, nth) in (0..8_u32).chain([16, 17]).enumerate() {
        let name = format!("quiet-{round}");
        let settings = json!({"refresh_interval": SOON});
        let index = cluster.create(&name, 2, 0, settings).await;
        // Searches for what is shown, and pages: each of them fails once.
        let count = Arc::new(AtomicU32::new(0));
        let failed = Arc::clone(&count);
        let (_relay, client) = relay(cluster, move |path| {
            let fails =
                path.contains("_shards%3A0%7C") && failed.fetch_add(1, Ordering::Relaxed) == nth;
            match fails {
                true => Fate::Answer(429, "es_rejected_execution_exception"),
                false => Fate::Pass,
            }
        })
        .await;
        let mut tail = cluster
            .tail_of(&client, &index)
            .since(Since::Start)
            .batch(10);
        let mut seen = Seen::default();
        // After this nobody writes to it any more.
        cluster.write_some(&index, 0, 100).await;
        seen.until_count(&mut tail, 100).await;
        let end = Instant::now() + DEADLINE;
        quiet(&mut tail, &mut seen).await;
        while count.load(Ordering::Relaxed) <= nth {
            assert!(Instant::now() < end, "{nth} is not reached");
            quiet(&mut tail, &mut seen).await;
        }
        seen.are_once(0..100);
        // Whichever search it was that failed, also one that had nothing more to find.
        let told = |is: fn(&Notice) -> bool| seen.notices.iter().filter(|told| is(told)).count();
        assert_eq!(
            told(|notice| matches!(notice, Notice::Held { .. })),
            told(|notice| matches!(notice, Notice::Released { .. })),
            "search {nth}: {:?}",
            seen.notices
        );
    }
}

async fn moved(cluster: &Cluster) {
    let settings = json!({"refresh_interval": SOON});
    let index = cluster.create("a", 1, 0, settings).await;
    if places(cluster, &index).await.is_none() {
        eprintln!(
            "skipped on {}: one node has nowhere to move a shard to",
            cluster.name
        );
        return;
    }
    let (_relay, client) = relay(cluster, |_| Fate::Pass).await;
    let mut tail = cluster
        .tail_of(&client, &cluster.pattern())
        .since(Since::Start)
        .batch(200);
    let mut seen = Seen::default();
    let (writer, to) = (cluster.clone(), index.clone());
    let writing = tokio::spawn(async move {
        for part in 0..60 {
            writer.write_some(&to, part * 50, part * 50 + 50).await;
        }
    });
    for count in [300, 1000, 2000] {
        seen.until_count(&mut tail, count).await;
        cluster.green(&index).await;
        let (from, to) = places(cluster, &index).await.unwrap();
        let command =
            json!({"move": {"index": index, "shard": 0, "from_node": from, "to_node": to}});
        cluster
            .post("/_cluster/reroute", json!({"commands": [command]}))
            .await;
    }
    seen.until_count(&mut tail, 3000).await;
    writing.await.unwrap();
    quiet(&mut tail, &mut seen).await;
    seen.are_once(0..3000);
    is_told(&seen);
}

async fn aliased(cluster: &Cluster) {
    let settings = json!({"refresh_interval": SOON});
    let first = cluster.create("a", 3, 1, settings.clone()).await;
    let second = cluster.create("b", 1, 0, settings).await;
    let alias = format!("{}.alias", cluster.prefix);
    let add = |index: &str, team: &str| json!({"add": {"index": index, "alias": &alias, "filter": {"term": {"team": team}}}});
    let actions = json!({"actions": [add(&first, "even"), add(&second, "odd")]});
    cluster.post("/_aliases", actions).await;
    cluster.write_some(&first, 0, 200).await;
    let (_relay, client) = relay(cluster, |_| Fate::Pass).await;
    let mut tail = cluster
        .tail_of(&client, &alias)
        .since(Since::Start)
        .batch(30);
    let mut seen = Seen::default();
    seen.until_count(&mut tail, 50).await;
    cluster.write_some(&second, 200, 400).await;
    cluster.write_some(&first, 400, 500).await;
    seen.until_count(&mut tail, 250).await;
    quiet(&mut tail, &mut seen).await;
    let is_meant = |n: &u32| match n {
        200..400 => !n.is_multiple_of(2),
        _ => n.is_multiple_of(2),
    };
    seen.are_once((0..500).filter(is_meant));
    is_told(&seen);
}

async fn killed(cluster: &Cluster) {
    let settings = json!({"refresh_interval": SOON});
    let first = cluster.create("a", 3, 1, settings.clone()).await;
    let second = cluster.create("b", 1, 0, settings).await;
    let (_relay, client) = relay(cluster, |_| Fate::Pass).await;
    let writer = cluster.clone();
    let writing = tokio::spawn(async move {
        for part in 0..60 {
            let index = if part % 2 == 0 { &first } else { &second };
            writer.write_some(index, part * 50, part * 50 + 50).await;
        }
    });
    let begin = || {
        let tail = cluster.tail_of(&client, &cluster.pattern());
        tail.since(Since::Start).batch(100)
    };
    let mut killed = Killed::default();
    killed.until_count(begin, 3000).await;
    assert!(killed.kills >= 6, "{} kills", killed.kills);
    writing.await.unwrap();
    quiet(&mut killed.go_on(begin), &mut killed.seen).await;
    killed.are_repeated_as_stated(0..3000);
    is_told(&killed.seen);
}

async fn interval(cluster: &Cluster) {
    let index = cluster
        .create("a", 3, 1, json!({"refresh_interval": SOON}))
        .await;
    let set = async |interval: &str| {
        let settings = json!({"index.refresh_interval": interval});
        cluster.put(&format!("/{index}/_settings"), settings).await;
    };
    let (_relay, client) = relay(cluster, |_| Fate::Pass).await;
    let begin = || {
        cluster
            .tail_of(&client, &cluster.pattern())
            .since(Since::Start)
    };
    let mut tail = begin();
    let mut seen = Seen::default();
    for part in 0..3 {
        let from = part * 200;
        cluster.write_some(&index, from, from + 100).await;
        seen.until_count(&mut tail, from as usize + 100).await;
        set("-1").await;
        cluster.write_some(&index, from + 100, from + 200).await;
        let token = seen.kept();
        // A restart meanwhile knows no more.
        if part == 1 {
            tail = begin().resume(token).unwrap();
        }
        set(SOON).await;
        seen.until_count(&mut tail, from as usize + 200).await;
    }
    quiet(&mut tail, &mut seen).await;
    seen.are_once(0..600);
}

async fn shrunk(cluster: &Cluster) {
    let settings = json!({"refresh_interval": SOON});
    let index = cluster.create("a", 4, 0, settings).await;
    cluster.write_some(&index, 0, 200).await;
    let (_relay, client) = relay(cluster, |_| Fate::Pass).await;
    let begin = || {
        cluster
            .tail_of(&client, &cluster.pattern())
            .since(Since::Start)
    };
    let mut tail = begin();
    let mut seen = Seen::default();
    seen.until_count(&mut tail, 200).await;
    let target = resize(cluster, &index, "shrink", 2).await;
    cluster.write_some(&target, 200, 300).await;
    seen.until_count(&mut tail, 300).await;
    quiet(&mut tail, &mut seen).await;
    // The source cannot be written to and is committed, and its segments are shown: so all of it is read.
    let told = |notice: &Notice| {
        matches!(
            notice,
            Notice::Copy {
                may_repeat: false,
                ..
            }
        )
    };
    assert!(seen.notices.iter().any(told), "{:?}", seen.notices);
    seen.are_once(0..300);
    let token = seen.kept();
    let mut rest = Seen::default();
    let mut tail = begin().resume(token).unwrap();
    cluster.write_some(&target, 300, 320).await;
    rest.until_count(&mut tail, 20).await;
    quiet(&mut tail, &mut rest).await;
    rest.are_once(300..320);
}

async fn storm(cluster: &Cluster) {
    let settings = json!({"refresh_interval": SOON});
    let first = cluster.create("a", 3, 1, settings.clone()).await;
    let second = cluster.create("b", 1, 0, settings).await;
    // It is killed while searches fail, too.
    let count = AtomicU32::new(0);
    let (relay, client) = relay(cluster, move |path| {
        if !path.contains("/_search?") {
            return Fate::Pass;
        }
        match count.fetch_add(1, Ordering::Relaxed) % 29 {
            9 => Fate::Answer(503, "unavailable_shards_exception"),
            18 => Fate::Answer(429, "circuit_breaking_exception"),
            27 => Fate::PassAndDrop,
            _ => Fate::Pass,
        }
    })
    .await;
    let writer = cluster.clone();
    let writing = tokio::spawn(async move {
        for part in 0..60 {
            let index = if part % 2 == 0 { &first } else { &second };
            writer.write_some(index, part * 50, part * 50 + 50).await;
        }
    });
    let begin = || {
        let tail = cluster.tail_of(&client, &cluster.pattern());
        tail.since(Since::Start).batch(100)
    };
    let mut killed = Killed::default();
    killed.until_count(begin, 3000).await;
    assert!(killed.kills >= 6, "{} kills", killed.kills);
    writing.await.unwrap();
    // As long as searches fail, what is held and released is told.
    relay.now(|_, path| match path.contains("/_refresh") {
        true => Fate::Answer(403, "security_exception"),
        false => Fate::Pass,
    });
    quiet(&mut killed.go_on(begin), &mut killed.seen).await;
    killed.are_repeated_as_stated(0..3000);
    is_told(&killed.seen);
}
