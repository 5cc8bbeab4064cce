//! Rights that are there for some of the indices only: they are told, and the others are read on.

use clusterops_logs::http::{HttpOptions, HttpRetries};
use clusterops_logs::tail::{Notice, Since};
use clusterops_logs::{Client, ErrorKind};
use serde_json::{Value, json};

use crate::relay::{Fate, Relay};
use crate::{Cluster, Seen, on_each};

on_each! {
    nothing => a_refresh_that_reaches_no_shard_makes_nothing_visible;
    some => an_index_that_may_not_be_refreshed_keeps_no_other_from_it;
    unreadable => an_index_that_may_not_be_read_holds_up_no_other;
    unreached => an_index_that_searches_are_not_shown_to_reach_is_told;
    named => an_index_by_name_that_is_not_there_or_not_shown_is_told;
}

fn client(relay: &Relay) -> Client {
    let options = HttpOptions::default().retries(HttpRetries::none());
    Client::new(&[relay.url()], options).unwrap()
}

fn is_held(index: &str) -> impl Fn(&Seen) -> bool {
    move |seen| {
        let held =
            |notice: &Notice| matches!(notice, Notice::Held { index: held, .. } if held == index);
        seen.notices.iter().any(held)
    }
}

async fn nothing(cluster: &Cluster) {
    let index = cluster
        .create("a", 2, 0, json!({"refresh_interval": "-1"}))
        .await;
    cluster.write_some(&index, 0, 20).await;
    // It succeeds, as what there is no right to is left out.
    let nowhere = format!("/{}.nowhere-*/_refresh", cluster.prefix);
    let relay = Relay::before(&cluster.url, move |_, path| {
        match path.contains("/_refresh") {
            true => Fate::PassTo(nowhere.clone()),
            false => Fate::Pass,
        }
    })
    .await;
    let tail = cluster.tail_of(&client(&relay), &cluster.pattern());
    let mut tail = tail.since(Since::Start);
    let mut seen = Seen::default();
    seen.until(&mut tail, "held", is_held(&index)).await;
    assert!(seen.documents.is_empty(), "{:?}", seen.documents);
    relay.now(|_, _| Fate::Pass);
    cluster.write_some(&index, 20, 30).await;
    seen.until_count(&mut tail, 30).await;
    seen.are_once(0..30);
}

async fn some(cluster: &Cluster) {
    let bad = cluster
        .create("a", 1, 0, json!({"refresh_interval": "100ms"}))
        .await;
    let well = cluster
        .create("b", 1, 0, json!({"refresh_interval": "-1"}))
        .await;
    let refused = bad.clone();
    let relay = Relay::before(&cluster.url, move |_, path| {
        match path.contains("/_refresh") && path.contains(&refused) {
            true => Fate::Answer(403, "security_exception"),
            false => Fate::Pass,
        }
    })
    .await;
    let begin = || cluster.tail_of(&client(&relay), &cluster.pattern());
    let mut tail = begin().since(Since::Start);
    let mut seen = Seen::default();
    for part in 0..3 {
        let from = part * 20;
        cluster.write_some(&bad, from, from + 10).await;
        cluster.write_some(&well, from + 10, from + 20).await;
        seen.until_count(&mut tail, from as usize + 20).await;
    }
    seen.are_once(0..60);
    let told: Vec<&str> = Vec::from_iter(seen.notices.iter().filter_map(|notice| match notice {
        Notice::NoRefresh { why } => Some(why.as_str()),
        _ => None,
    }));
    assert!(
        matches!(told[..], [why] if why.contains(&bad) && !why.contains(&well)),
        "{told:?}"
    );
}

async fn unreadable(cluster: &Cluster) {
    let bad = cluster.create("a", 1, 0, json!({})).await;
    let well = cluster.create("b", 1, 0, json!({})).await;
    let refused = format!("/{bad}/_search");
    let relay = Relay::before(&cluster.url, move |_, path| {
        match path.starts_with(&refused) {
            true => Fate::Answer(403, "security_exception"),
            false => Fate::Pass,
        }
    })
    .await;
    let tail = cluster.tail_of(&client(&relay), &cluster.pattern());
    let mut tail = tail.since(Since::Start);
    let mut seen = Seen::default();
    cluster.write_some(&bad, 1000, 1010).await;
    seen.until(&mut tail, "held", is_held(&bad)).await;
    for part in 0..3 {
        cluster.write_some(&well, part * 10, part * 10 + 10).await;
        seen.until_count(&mut tail, part as usize * 10 + 10).await;
    }
    // Where none may be read, nothing is left to do.
    relay.now(|_, path| match path.contains("/_search?preference") {
        true => Fate::Answer(403, "security_exception"),
        false => Fate::Pass,
    });
    cluster.write_some(&well, 30, 40).await;
    let error = loop {
        match tokio::time::timeout(crate::cluster::DEADLINE, tail.next()).await {
            Ok(Ok(batch)) => seen.take(batch),
            Ok(Err(error)) => break error,
            Err(_) => panic!("no error, but {:?}", seen.notices),
        }
    };
    assert_eq!(error.kind(), ErrorKind::Denied);
    assert!(!error.to_string().contains("statistics"), "{error}");
    relay.now(|_, _| Fate::Pass);
    seen.until_count(&mut tail, 50).await;
    seen.are_once((0..40).chain(1000..1010));
    let released = Notice::Released {
        index: bad,
        shard: 0,
    };
    assert!(seen.notices.contains(&released), "{:?}", seen.notices);
}

async fn unreached(cluster: &Cluster) {
    let first = cluster.create("a", 1, 0, json!({})).await;
    let hides_b = |_: &str, path: &str| match path.contains("/_search_shards") {
        true => Fate::Edit(|answer| {
            answer["indices"]
                .as_object_mut()
                .unwrap()
                .retain(|name, _| !name.ends_with("-b"));
            let is_of_it = |copy: &Value| {
                copy["index"]
                    .as_str()
                    .is_some_and(|name| name.ends_with("-b"))
            };
            let shards = answer["shards"].as_array_mut().unwrap();
            shards.retain(|copies| !copies.as_array().unwrap().iter().any(is_of_it));
        }),
        false => Fate::Pass,
    };
    let relay = Relay::before(&cluster.url, hides_b).await;
    let begin = || cluster.tail_of(&client(&relay), &cluster.pattern());
    let mut tail = begin().since(Since::Start);
    let mut seen = Seen::default();
    cluster.write_some(&first, 0, 10).await;
    seen.until_count(&mut tail, 10).await;
    let index = cluster.create("b", 1, 0, json!({})).await;
    let told = Notice::Unseen {
        index: index.clone(),
    };
    seen.until(&mut tail, "told", |seen| seen.notices.contains(&told))
        .await;
    cluster.write_some(&first, 10, 20).await;
    seen.until_count(&mut tail, 20).await;
    seen.are_once(0..20);
    let is_found =
        |notice: &Notice| matches!(notice, Notice::Found { index: of, .. } if *of == index);
    assert!(!seen.notices.iter().any(is_found), "{:?}", seen.notices);
    // Once searches reach it, it is found.
    relay.now(|_, _| Fate::Pass);
    seen.until(&mut tail, "found", |seen| seen.notices.iter().any(is_found))
        .await;
    relay.now(hides_b);
    // A tail that begins has another way.
    let batch = begin().next().await.unwrap();
    assert!(
        matches!(batch.notices[0], Notice::ByTime { .. }),
        "{batch:?}"
    );
}

async fn named(cluster: &Cluster) {
    let (first, other) = (cluster.index("a"), cluster.index("b"));
    cluster.create("a", 1, 0, json!({})).await;
    let both = format!("{first},{other}");
    let hidden = other.clone();
    let relay = Relay::before(&cluster.url, |_, _| Fate::Pass).await;
    let by_time = cluster.tail_of(&client(&relay), &both).by_time();
    for (tail, what) in [
        (cluster.tail_of(&client(&relay), &both), "no such index"),
        (by_time, "no such index"),
        (cluster.tail_of(&client(&relay), &both), "told so"),
        (cluster.tail_of(&client(&relay), &other), "told so"),
    ] {
        if what == "told so" {
            let hidden = hidden.clone();
            relay.now(move |_, path| {
                match path.contains(&hidden) && !path.contains("ignore_unavailable") {
                    true => Fate::Answer(403, "security_exception"),
                    false => Fate::Pass,
                }
            });
        }
        let mut tail = tail.since(Since::Start);
        let told = |seen: &Seen| {
            let mut told = seen.notices.iter().map(ToString::to_string);
            told.any(|told| told.contains(&other) && told.contains(what))
        };
        let mut seen = Seen::default();
        seen.until(&mut tail, "told", told).await;
        let of_first = seen.notices.iter().map(ToString::to_string);
        let of_first = of_first.filter(|told| told.starts_with(&format!("{first}:")));
        assert_eq!(of_first.count(), 0, "{:?}", seen.notices);
    }
    // All that is there is followed, and so is the other once it can be.
    relay.now(|_, _| Fate::Pass);
    let mut tail = cluster.tail_of(&client(&relay), &both).since(Since::Start);
    let mut seen = Seen::default();
    cluster.write_some(&first, 0, 10).await;
    seen.until_count(&mut tail, 10).await;
    cluster.create("b", 1, 0, json!({})).await;
    cluster.write_some(&other, 10, 20).await;
    seen.until_count(&mut tail, 20).await;
    seen.are_once(0..20);
}
