//! What concerns some of the shards or indices only: the others are read on.

use std::collections::BTreeSet;
use std::time::Duration;

use clusterops_logs::http::{HttpOptions, HttpRequest};
use clusterops_logs::secrecy::SecretSlice;
use clusterops_logs::tail::{Notice, Since, Tail};
use clusterops_logs::{Client, Query};
use serde_json::{Value, json};

use crate::relay::{Fate, Relay};
use crate::{Cluster, Seen, on_each};

on_each! {
    red => a_shard_without_a_copy_holds_up_no_other;
    unrefreshed => a_refresh_that_fails_for_some_shards_loses_none_of_them;
    lower => a_new_primary_that_does_not_know_its_checkpoint_yet_repeats_nothing;
    again => a_shard_that_is_read_again_gives_what_was_asked_for_only;
    moved => an_index_that_is_meant_no_longer_is_read_to_its_end;
    refiltered => an_alias_that_lets_through_others_is_noticed_before_they_are_read;
    unseen => indices_whose_statistics_are_not_shown_are_told;
    turns => every_shard_has_its_turn;
    unknown => an_index_without_any_copy_is_waited_for;
    narrow => an_index_that_gives_few_hits_at_once_is_read;
    refusing => an_index_that_refuses_the_query_holds_up_no_other;
}

fn client(relay: &Relay) -> Client {
    Client::new(&[relay.url()], HttpOptions::default()).unwrap()
}

async fn red(cluster: &Cluster) {
    let nodes: Vec<Value> = cluster
        .client
        .json(HttpRequest::get("/_cat/nodes").query("format", "json"))
        .await
        .unwrap();
    // More shards than nodes that may have one: the last has no copy.
    let index = cluster.index("a");
    let settings = json!({"settings": {
        "number_of_shards": nodes.len() + 1, "number_of_replicas": 0, "routing.allocation.total_shards_per_node": 1,
        "refresh_interval": "200ms",
    }, "mappings": {"properties": {"@timestamp": {"type": "date"}}}});
    let request = HttpRequest::put(format!("/{index}")).query("wait_for_active_shards", "0");
    cluster.call(request, settings).await;
    let well = cluster
        .create("b", 1, 0, json!({"refresh_interval": "-1"}))
        .await;
    let mut tail = cluster.tail().since(Since::Start);
    let mut lines = String::new();
    for n in 0..100 {
        lines.push_str(&json!({"index": {"_id": n.to_string()}}).to_string());
        lines.push_str("\n{}\n");
    }
    // The others start in a moment.
    let active = HttpRequest::get(format!("/_cluster/health/{index}"))
        .query("wait_for_active_shards", nodes.len().to_string());
    let _: Value = cluster.client.json(active).await.unwrap();
    let body = SecretSlice::from(lines.into_bytes());
    let request = HttpRequest::post(format!("/{index}/_bulk"))
        .query("timeout", "200ms")
        .body("application/x-ndjson", &body);
    let answer: Value = cluster.client.json(request).await.unwrap();
    let items = answer["items"].as_array().unwrap();
    let written: BTreeSet<u32> = items
        .iter()
        .filter(|item| item["index"]["status"] == 201)
        .filter_map(|item| item["index"]["_id"].as_str()?.parse().ok())
        .collect();
    assert!(!written.is_empty() && written.len() < 100, "{answer}");
    cluster.write_some(&well, 100, 150).await;
    let mut seen = Seen::default();
    seen.until_count(&mut tail, written.len() + 50).await;
    let is_interrupted = |notice: &Notice| matches!(notice, Notice::Interrupted { .. });
    assert!(
        !seen.notices.iter().any(is_interrupted),
        "{:?}",
        seen.notices
    );
    let room = json!({"index.routing.allocation.total_shards_per_node": -1});
    cluster.put(&format!("/{index}/_settings"), room).await;
    cluster.green(&index).await;
    let rest: Vec<u32> = (0..100).filter(|n| !written.contains(n)).collect();
    let document = |n: &u32| (n.to_string(), json!({}));
    cluster.write(&index, rest.iter().map(document)).await;
    seen.until_count(&mut tail, 150).await;
    seen.until_quiet(&mut tail, Duration::from_millis(500))
        .await;
    seen.are_once(0..150);
}

async fn unrefreshed(cluster: &Cluster) {
    let index = cluster
        .create("a", 3, 0, json!({"refresh_interval": "-1"}))
        .await;
    let well = cluster
        .create("b", 1, 0, json!({"refresh_interval": "-1"}))
        .await;
    // Failures that are alike are told once, with one shard of theirs.
    let relay = Relay::before(&cluster.url, |_, path| match path.contains("/_refresh") {
        true => Fate::Edit(|answer| {
            let failure = json!({"shard": 1, "status": "INTERNAL_SERVER_ERROR",
                "reason": {"type": "broadcast_shard_operation_failed_exception", "reason": ""}});
            answer["_shards"]["failed"] = json!(2);
            answer["_shards"]["failures"] = json!([failure]);
        }),
        false => Fate::Pass,
    })
    .await;
    let mut tail = cluster
        .tail_of(&client(&relay), &cluster.pattern())
        .since(Since::Start);
    let mut seen = Seen::default();
    cluster.write_some(&index, 0, 60).await;
    cluster.write_some(&well, 60, 80).await;
    let held = |seen: &Seen| {
        let held = |notice: &&Notice| matches!(notice, Notice::Held { .. });
        seen.notices.iter().filter(held).count() == 4
    };
    seen.until(&mut tail, "held", held).await;
    assert!(seen.documents.is_empty(), "{:?}", seen.documents);
    relay.now(|_, _| Fate::Pass);
    seen.until_count(&mut tail, 80).await;
    seen.are_once(0..80);
}

async fn lower(cluster: &Cluster) {
    let index = cluster.create("a", 1, 0, json!({})).await;
    cluster.write_some(&index, 0, 40).await;
    let relay = Relay::before(&cluster.url, |_, _| Fate::Pass).await;
    let mut tail = cluster
        .tail_of(&client(&relay), &cluster.pattern())
        .since(Since::Start);
    let mut seen = Seen::default();
    seen.until_count(&mut tail, 40).await;
    relay.now(|_, path| match path.contains("/_stats") {
        true => Fate::Edit(|answer| {
            for index in answer["indices"].as_object_mut().unwrap().values_mut() {
                index["shards"]["0"][0]["seq_no"]["global_checkpoint"] = json!(10);
            }
        }),
        false => Fate::Pass,
    });
    cluster.write_some(&index, 40, 50).await;
    seen.until_quiet(&mut tail, Duration::from_secs(1)).await;
    relay.now(|_, _| Fate::Pass);
    seen.until_count(&mut tail, 50).await;
    seen.until_quiet(&mut tail, Duration::from_millis(500))
        .await;
    seen.are_once(0..50);
}

async fn again(cluster: &Cluster) {
    let index = cluster.create("a", 1, 0, json!({})).await;
    let old = |n: u32| (n.to_string(), json!({"@timestamp": "2020-01-01T00:00:00Z"}));
    cluster.write(&index, (1000..1020).map(old)).await;
    let mut tail = cluster.tail();
    let mut seen = Seen::default();
    seen.until_token(&mut tail).await;
    let new = |n: u32| {
        (
            n.to_string(),
            json!({"@timestamp": jiff::Timestamp::now().to_string()}),
        )
    };
    cluster.write(&index, (0..10).map(new)).await;
    seen.until_count(&mut tail, 10).await;
    let mut token: Value = serde_json::from_str(&seen.token.clone().unwrap().to_string()).unwrap();
    token["shards"][0]["history"] = json!("another");
    token["began"] =
        json!((jiff::Timestamp::now() - jiff::SignedDuration::from_mins(60)).to_string());
    // The index is older than the tail by more than clocks differ.
    let relay = Relay::before(&cluster.url, |_, path| match path.contains("/_settings") {
        true => Fate::Edit(|settings| {
            for (_, index) in settings.as_object_mut().unwrap() {
                index["settings"]["index.creation_date"] = json!("1577836800000");
            }
        }),
        false => Fate::Pass,
    })
    .await;
    let token = token.to_string().parse().unwrap();
    let mut tail = cluster
        .tail_of(&client(&relay), &cluster.pattern())
        .resume(token)
        .unwrap();
    seen.until(&mut tail, "come again", |seen| {
        seen.documents.values().all(|seen| seen.len() == 2)
    })
    .await;
    seen.until_quiet(&mut tail, Duration::from_millis(500))
        .await;
    assert_eq!(seen.documents.len(), 10, "{:?}", seen.documents);
    let told = |notice: &Notice| matches!(notice, Notice::Restarted { .. });
    assert!(seen.notices.iter().any(told), "{:?}", seen.notices);
}

async fn moved(cluster: &Cluster) {
    let index = cluster.create("a", 3, 0, json!({})).await;
    let other = cluster.create("b", 1, 0, json!({})).await;
    let alias = format!("{}.alias", cluster.prefix);
    let add = |index: &str| json!({"add": {"index": index, "alias": &alias, "filter": {"term": {"team": "even"}}}});
    cluster
        .post("/_aliases", json!({"actions": [add(&index)]}))
        .await;
    cluster.write_some(&index, 0, 600).await;
    let mut tail = cluster
        .tail_of(&cluster.client, &alias)
        .since(Since::Start)
        .batch(20);
    let mut seen = Seen::default();
    seen.until_count(&mut tail, 20).await;
    assert!(seen.documents.len() < 300, "{}", seen.documents.len());
    let actions = json!({"actions": [{"remove": {"index": &index, "alias": &alias}}, add(&other)]});
    cluster.post("/_aliases", actions).await;
    cluster.write_some(&other, 600, 700).await;
    // What is written to it now is meant no longer.
    let (early, token) = (seen.documents.len(), seen.token.clone().unwrap());
    seen.until_count(&mut tail, early + 40).await;
    cluster.write_some(&index, 1000, 1010).await;
    seen.until_count(&mut tail, 350).await;
    let away = Notice::Away { index };
    seen.until(&mut tail, "away", |seen| seen.notices.contains(&away))
        .await;
    seen.until_quiet(&mut tail, Duration::from_millis(500))
        .await;
    let is_later = |id: &String| id.parse::<u32>().is_ok_and(|id| id >= 1000);
    assert!(!seen.documents.keys().any(is_later), "{:?}", seen.documents);
    seen.are_once((0..700).filter(|n| n % 2 == 0));
    // One that was not there when the alias was moved knows how to go on, and with which filter.
    let mut tail = cluster
        .tail_of(&cluster.client, &alias)
        .resume(token)
        .unwrap();
    let mut rest = Seen::default();
    rest.until(&mut tail, "away", |seen| seen.notices.contains(&away))
        .await;
    assert!(
        rest.documents.len() >= 350 - early,
        "{} and {early}",
        rest.documents.len()
    );
    let is_odd = |id: &String| id.parse::<u32>().is_ok_and(|id| id % 2 == 1);
    assert!(!rest.documents.keys().any(is_odd), "{:?}", rest.documents);
}

async fn refiltered(cluster: &Cluster) {
    let index = cluster.create("a", 2, 0, json!({})).await;
    let alias = format!("{}.alias", cluster.prefix);
    let let_through = async |filter: Value| {
        let add = json!({"add": {"index": index, "alias": alias, "filter": filter}});
        cluster.post("/_aliases", json!({"actions": [add]})).await;
    };
    let of = |team: &str| json!({"term": {"team": team}});
    let_through(of("even")).await;
    let mut tail = cluster.tail_of(&cluster.client, &alias).since(Since::Start);
    let mut seen = Seen::default();
    let mut wanted = 0;
    for (round, team) in ["even", "odd", "even", "all"].into_iter().enumerate() {
        match team {
            "all" => let_through(json!({"match_all": {}})).await,
            team => let_through(of(team)).await,
        }
        let from = u32::try_from(round).unwrap() * 100;
        cluster.write_some(&index, from, from + 100).await;
        wanted += if team == "all" { 100 } else { 50 };
        seen.until_count(&mut tail, wanted).await;
    }
    seen.until_quiet(&mut tail, Duration::from_millis(500))
        .await;
    let is_meant = |n: &u32| match n / 100 {
        1 => n % 2 == 1,
        3 => true,
        _ => n.is_multiple_of(2),
    };
    seen.are_once((0..400).filter(is_meant));
}

async fn unseen(cluster: &Cluster) {
    let first = cluster.create("a", 1, 0, json!({})).await;
    let relay = Relay::before(&cluster.url, |_, path| match path.contains("/_stats") {
        true => Fate::Edit(|answer| {
            if let Some(indices) = answer["indices"].as_object_mut() {
                indices.retain(|name, _| !name.ends_with("-b"));
            }
        }),
        false => Fate::Pass,
    })
    .await;
    let mut tail = cluster
        .tail_of(&client(&relay), &cluster.pattern())
        .since(Since::Start);
    let mut seen = Seen::default();
    cluster.write_some(&first, 0, 10).await;
    seen.until_count(&mut tail, 10).await;
    let second = cluster.create("b", 1, 0, json!({})).await;
    // Which can be searched is asked when something is new.
    let third = cluster.create("c", 1, 0, json!({})).await;
    cluster.write_some(&third, 10, 20).await;
    seen.until_count(&mut tail, 20).await;
    let told = Notice::Unseen { index: second };
    seen.until(&mut tail, "told", |seen| seen.notices.contains(&told))
        .await;
    // A tail that begins has another way.
    let mut tail = cluster.tail_of(&client(&relay), &cluster.pattern());
    let batch = tail.next().await.unwrap();
    assert!(
        matches!(batch.notices[0], Notice::ByTime { .. }),
        "{batch:?}"
    );
    drop(seen);
}

async fn turns(cluster: &Cluster) {
    let index = cluster.create("a", 12, 0, json!({})).await;
    cluster.write_some(&index, 0, 3000).await;
    let mut tail = cluster.tail().since(Since::Start).batch(1);
    let mut shards = BTreeSet::new();
    for _ in 0..4 {
        let batch = tail.next().await.unwrap();
        shards.extend(batch.documents.iter().filter_map(|document| document.shard));
    }
    assert_eq!(shards.len(), 12, "{shards:?}");
}

async fn unknown(cluster: &Cluster) {
    let index = cluster.create("a", 1, 0, json!({})).await;
    cluster.write_some(&index, 0, 10).await;
    let relay = Relay::before(&cluster.url, |_, _| Fate::Pass).await;
    let mut tail = cluster
        .tail_of(&client(&relay), &cluster.pattern())
        .since(Since::Start);
    let mut seen = Seen::default();
    seen.until_count(&mut tail, 10).await;
    // Of an index whose copies are all lost, statistics show nothing.
    relay.now(|_, path| match path.contains("/_stats") {
        true => Fate::Edit(|answer| answer["indices"] = json!({})),
        false => Fate::Pass,
    });
    let held = |seen: &Seen| {
        let held = |notice: &Notice| matches!(notice, Notice::Held { .. });
        seen.notices.iter().any(held)
    };
    seen.until(&mut tail, "held", held).await;
    relay.now(|_, _| Fate::Pass);
    cluster.write_some(&index, 10, 20).await;
    seen.until_count(&mut tail, 20).await;
    seen.are_once(0..20);
    let released = Notice::Released { index, shard: 0 };
    assert!(seen.notices.contains(&released), "{:?}", seen.notices);
}

async fn narrow(cluster: &Cluster) {
    let index = cluster
        .create("a", 2, 0, json!({"max_result_window": 100}))
        .await;
    let mut tail = cluster.tail().since(Since::Start);
    let mut seen = Seen::default();
    for part in 0..3 {
        cluster
            .write_some(&index, part * 600, part * 600 + 600)
            .await;
        seen.until_count(&mut tail, part as usize * 600 + 600).await;
    }
    seen.are_once(0..1800);
}

async fn refusing(cluster: &Cluster) {
    let well = cluster.index("a");
    let body = json!({
        "settings": {"number_of_replicas": 0},
        "mappings": {"properties": {"@timestamp": {"type": "date"}, "n": {"type": "keyword"}}},
    });
    cluster.put(&format!("/{well}"), body).await;
    // Here it is a number, which is never `abc`.
    let refusing = cluster.create("b", 1, 0, json!({})).await;
    let query = Query::raw(json!({"term": {"n": "abc"}}));
    let indices = crate::support::indices(&cluster.pattern());
    let mut tail = Tail::new(&cluster.client, &indices, &query)
        .unwrap()
        .pause(Duration::from_millis(50))
        .since(Since::Start);
    cluster.write_some(&refusing, 1000, 1010).await;
    let document = |n: u32| (n.to_string(), json!({"n": "abc"}));
    let mut seen = Seen::default();
    let held = |seen: &Seen| {
        let held =
            |notice: &Notice| matches!(notice, Notice::Held { index, .. } if *index == refusing);
        seen.notices.iter().any(held)
    };
    seen.until(&mut tail, "held", held).await;
    for part in 0..3 {
        cluster
            .write(&well, (part * 10..part * 10 + 10).map(document))
            .await;
        seen.until_count(&mut tail, part as usize * 10 + 10).await;
    }
    seen.are_once(0..30);
}
