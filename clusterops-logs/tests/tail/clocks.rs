//! Readers whose clocks are far from the cluster's.

use clusterops_logs::Client;
use clusterops_logs::http::HttpOptions;
use clusterops_logs::tail::Notice;
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use crate::by_time::{at, by_time_of};
use crate::relay::{Fate, Relay};
use crate::{Cluster, Seen, on_each};

on_each! {
    ahead => an_index_is_new_though_the_clock_of_the_reader_is_ahead;
    untold => an_index_is_new_though_nobody_tells_the_time;
    by_time => documents_of_the_present_are_found_though_the_clock_of_the_reader_is_ahead;
}

/// By how much the cluster's clock is behind.
const BEHIND: SignedDuration = SignedDuration::from_hours(2);

/// The cluster, by whose clock all happens two hours earlier.
async fn behind(cluster: &Cluster) -> Relay {
    Relay::before(&cluster.url, |_, path| match path {
        path if path.contains("/_search?") => Fate::Edit(|answer| {
            if let Some(told) = answer.pointer_mut("/aggregations/clock/buckets/0/from") {
                *told = json!(told.as_f64().unwrap() - BEHIND.as_millis() as f64);
            }
        }),
        path if path.contains("/_settings") => Fate::Edit(made_earlier),
        _ => Fate::Pass,
    })
    .await
}

fn made_earlier(settings: &mut Value) {
    for (name, index) in settings.as_object_mut().unwrap() {
        let made = &mut index["settings"]["index.creation_date"];
        if let Some(millis) = made.as_str().and_then(|made| made.parse::<i128>().ok()) {
            let earlier = match name.ends_with("-old") {
                true => 1_577_836_800_000,
                false => millis - BEHIND.as_millis(),
            };
            *made = json!(earlier.to_string());
        }
    }
}

async fn ahead(cluster: &Cluster) {
    let first = cluster.create("a", 1, 0, json!({})).await;
    let old = cluster.create("old", 1, 0, json!({})).await;
    let alias = format!("{}.alias", cluster.prefix);
    let add = async |index: &str| {
        let add = json!({"actions": [{"add": {"index": index, "alias": alias}}]});
        cluster.post("/_aliases", add).await;
    };
    add(&first).await;
    // They are not meant when the tail begins.
    cluster.write_some(&old, 100, 120).await;
    let relay = behind(cluster).await;
    let client = Client::new(&[relay.url()], HttpOptions::default()).unwrap();
    let begin = || cluster.tail_of(&client, &alias);
    let mut tail = begin();
    let mut seen = Seen::default();
    seen.until_token(&mut tail).await;
    add(&old).await;
    let found = |index: &str, from_start| {
        let index = index.to_owned();
        Notice::Found { index, from_start }
    };
    let is_old = found(&old, false);
    seen.until(&mut tail, "found", |seen| seen.notices.contains(&is_old))
        .await;
    for (name, from) in [("b", 0), ("c", 20)] {
        let index = cluster.create(name, 2, 0, json!({})).await;
        cluster.write_some(&index, from, from + 20).await;
        add(&index).await;
        let of_it =
            |seen: &Seen| (from..from + 20).all(|n| seen.documents.contains_key(&n.to_string()));
        seen.until(&mut tail, "all of it", of_it).await;
        let is_new = found(&index, true);
        assert!(seen.notices.contains(&is_new), "{:?}", seen.notices);
        // So it is for who goes on.
        tail = begin().resume(seen.kept()).unwrap();
    }
    // Of what was there before, what is as new as the tail.
    let older = |n: &u32| n.is_multiple_of(4) || n % 4 == 1;
    assert!(
        !(100..120)
            .filter(older)
            .any(|n| seen.documents.contains_key(&n.to_string()))
    );
}

async fn untold(cluster: &Cluster) {
    cluster.create("a", 1, 0, json!({})).await;
    let relay = Relay::before(&cluster.url, |_, path| match path {
        path if path.contains("/_search?") => Fate::Edit(|answer| {
            answer.as_object_mut().unwrap().remove("aggregations");
        }),
        path if path.contains("/_settings") => Fate::Edit(made_earlier),
        _ => Fate::Pass,
    })
    .await;
    let client = Client::new(&[relay.url()], HttpOptions::default()).unwrap();
    let mut tail = cluster.tail_of(&client, &cluster.pattern());
    let mut seen = Seen::default();
    seen.until_token(&mut tail).await;
    let index = cluster.create("b", 1, 0, json!({})).await;
    cluster.write_some(&index, 0, 20).await;
    seen.until_count(&mut tail, 20).await;
    seen.are_once(0..20);
}

async fn by_time(cluster: &Cluster) {
    let relay = behind(cluster).await;
    let client = Client::new(&[relay.url()], HttpOptions::default()).unwrap();
    for (name, is_there_before) in [("a", true), ("b", false)] {
        let pattern = format!("{}-{name}*", cluster.prefix);
        let create = cluster.create(name, 1, 0, json!({}));
        let mut tail = by_time_of(cluster.tail_of(&client, &pattern));
        let mut seen = Seen::default();
        let index = match is_there_before {
            true => {
                let index = create.await;
                seen.until_token(&mut tail).await;
                index
            }
            false => {
                seen.until_token(&mut tail).await;
                create.await
            }
        };
        cluster
            .write(&index, at(Timestamp::now() - BEHIND, 0..10))
            .await;
        seen.until_count(&mut tail, 10).await;
        seen.are_once(0..10);
    }
}
