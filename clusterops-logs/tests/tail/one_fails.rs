//! One shard whose searches fail, or are not answered: it is told once, and the others are read at their pace.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use clusterops_logs::Client;
use clusterops_logs::http::{HttpOptions, HttpRetries};
use clusterops_logs::tail::{Notice, Since};

use crate::relay::{Fate, Relay};
use crate::{Cluster, Seen, on_each};

on_each! {
    failing => a_shard_that_fails_is_told_once_and_holds_up_no_other;
    silent => a_shard_that_does_not_answer_holds_up_no_other;
}

fn client(relay: &Relay) -> Client {
    let options = HttpOptions::default()
        .retries(HttpRetries::none())
        .deadline(Duration::from_secs(600));
    Client::new(&[relay.url()], options).unwrap()
}

/// Whether a request is the search for the documents of a shard of this index.
fn is_search_of(index: &str) -> impl Fn(&str) -> bool + use<> {
    let path = format!("/{index}/_search");
    move |asked: &str| asked.starts_with(&path)
}

async fn failing(cluster: &Cluster) {
    let bad = cluster.create("a", 1, 0, serde_json::json!({})).await;
    let well = cluster.create("b", 1, 0, serde_json::json!({})).await;
    let is_bad = is_search_of(&bad);
    let asked = Arc::new(AtomicU32::new(0));
    let count = Arc::clone(&asked);
    let relay = Relay::before(&cluster.url, move |_, path| match is_bad(path) {
        true => {
            count.fetch_add(1, Ordering::Relaxed);
            Fate::Answer(500, "illegal_state_exception")
        }
        false => Fate::Pass,
    })
    .await;
    let mut tail = cluster
        .tail_of(&client(&relay), &cluster.pattern())
        .since(Since::Start);
    let mut seen = Seen::default();
    cluster.write_some(&bad, 1000, 1010).await;
    // In between there are rounds in which nobody else has anything to read.
    for part in 0..5 {
        cluster.write_some(&well, part * 10, part * 10 + 10).await;
        seen.until_count(&mut tail, part as usize * 10 + 10).await;
        let before = asked.load(Ordering::Relaxed);
        seen.until_quiet(&mut tail, Duration::from_millis(300))
            .await;
        // Who fails is left alone for longer and longer.
        assert!(part < 3 || asked.load(Ordering::Relaxed) < before + 3);
    }
    relay.now(|_, _| Fate::Pass);
    seen.until_count(&mut tail, 60).await;
    seen.are_once((0..50).chain(1000..1010));
    let told = |is: fn(&Notice) -> bool| seen.notices.iter().filter(|notice| is(notice)).count();
    let notices = &seen.notices;
    assert_eq!(
        told(|notice| matches!(notice, Notice::Held { .. })),
        1,
        "{notices:?}"
    );
    let released = Notice::Released {
        index: bad,
        shard: 0,
    };
    assert!(notices.contains(&released), "{notices:?}");
    let others = |notice: &Notice| matches!(notice, Notice::Interrupted { .. } | Notice::Recovered);
    assert_eq!(told(others), 0, "{notices:?}");
}

async fn silent(cluster: &Cluster) {
    let silent = cluster.create("a", 1, 0, serde_json::json!({})).await;
    let well = cluster.create("b", 1, 0, serde_json::json!({})).await;
    let is_silent = is_search_of(&silent);
    let relay = Relay::before(&cluster.url, move |_, path| match is_silent(path) {
        true => Fate::Silence,
        false => Fate::Pass,
    })
    .await;
    let mut tail = cluster
        .tail_of(&client(&relay), &cluster.pattern())
        .since(Since::Start);
    let mut seen = Seen::default();
    cluster.write_some(&silent, 1000, 1010).await;
    for part in 0..4 {
        cluster.write_some(&well, part * 10, part * 10 + 10).await;
        seen.until_count(&mut tail, part as usize * 10 + 10).await;
    }
    seen.are_once(0..40);
    // Whoever goes on from there has it.
    let mut tail = cluster
        .tail_of(&cluster.client, &cluster.pattern())
        .resume(seen.kept())
        .unwrap();
    seen.until_count(&mut tail, 50).await;
    seen.are_once((0..40).chain(1000..1010));
}
