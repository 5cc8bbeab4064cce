//! Tails that go by time, while their indices roll over, move and vanish.

use serde_json::{Value, json};

use clusterops_logs::Client;
use clusterops_logs::http::{HttpOptions, HttpRequest};
use clusterops_logs::tail::{Notice, Since};

use crate::by_time::{at, by_time_of, passed};
use crate::copies::resize;
use crate::relay::{Fate, Relay};
use crate::{Cluster, Killed, Seen, on_each};
use jiff::Timestamp;

on_each! {
    rolled => an_alias_that_rolls_over_is_followed_by_time;
    filtered => a_filtered_alias_keeps_its_filter_by_time;
    deleted => an_index_that_is_deleted_stops_no_tail_by_time;
    moved => shards_that_move_lose_and_repeat_nothing_by_time;
    resized => copies_of_an_index_are_not_new_by_time;
    ungranted => copies_come_again_by_time_without_the_right_to_see_settings;
}

/// An index with an alias that leads to it.
async fn with_alias(cluster: &Cluster, options: Value) -> (String, String) {
    let (alias, index) = (cluster.index("alias"), cluster.index("000001"));
    let body = json!({
        "settings": {"number_of_shards": 2, "number_of_replicas": 1},
        "mappings": {"properties": {"@timestamp": {"type": "date"}, "team": {"type": "keyword"}}},
        "aliases": {&alias: options},
    });
    cluster.put(&format!("/{index}"), body).await;
    (alias, index)
}

async fn rolled(cluster: &Cluster) {
    let (alias, first) = with_alias(cluster, json!({"is_write_index": true})).await;
    let begin = || by_time_of(cluster.tail_of(&cluster.client, &alias)).since(Since::Start);
    let mut killed = Killed::default();
    for part in 0..4 {
        let numbers = part * 100..part * 100 + 100;
        cluster.write(&alias, at(Timestamp::now(), numbers)).await;
        let rolled = cluster
            .post(&format!("/{alias}/_rollover"), json!({}))
            .await;
        assert_eq!(rolled["rolled_over"], true, "{rolled}");
        // What is late is in the first index, which is not written to any more by the alias.
        let late = Timestamp::now() - jiff::SignedDuration::from_secs(5);
        cluster
            .write(&first, at(late, 400 + part..401 + part))
            .await;
        cluster
            .post(&format!("/{alias}/_refresh"), Value::Null)
            .await;
        let count = part as usize * 101 + 101;
        killed.until_count(begin, count).await;
    }
    let mut tail = killed.go_on(begin);
    passed(cluster, &alias, &mut tail, &mut killed.seen, 404).await;
    killed.are_repeated_as_stated(0..405);
}

async fn filtered(cluster: &Cluster) {
    let filter = json!({"filter": {"term": {"team": "even"}}});
    let (alias, index) = with_alias(cluster, filter).await;
    let document = |n: u32| {
        let team = if n.is_multiple_of(2) { "even" } else { "odd" };
        let time = Timestamp::now().to_string();
        (n.to_string(), json!({"@timestamp": time, "team": team}))
    };
    let mut tail = by_time_of(cluster.tail_of(&cluster.client, &alias)).since(Since::Start);
    let mut seen = Seen::default();
    // The second part is looked for where the first was read.
    for numbers in [0..100, 100..200] {
        cluster.write(&index, numbers.clone().map(document)).await;
        cluster
            .post(&format!("/{index}/_refresh"), Value::Null)
            .await;
        let count = numbers.end as usize / 2;
        seen.until_count(&mut tail, count).await;
    }
    seen.are_once((0..200).filter(|n| n % 2 == 0));
}

async fn deleted(cluster: &Cluster) {
    let first = cluster.create("a", 2, 0, json!({})).await;
    let second = cluster.create("b", 2, 0, json!({})).await;
    let begin = || by_time_of(cluster.tail()).since(Since::Start);
    let mut tail = begin();
    let mut seen = Seen::default();
    cluster.write(&first, at(Timestamp::now(), 0..50)).await;
    passed(cluster, &second, &mut tail, &mut seen, 50).await;
    seen.until_count(&mut tail, 51).await;
    cluster.delete(&first).await;
    passed(cluster, &second, &mut tail, &mut seen, 51).await;
    // One with its name and the same ids is another one.
    let first = cluster.create("a", 2, 0, json!({})).await;
    cluster.write(&first, at(Timestamp::now(), 52..60)).await;
    let mut tail = begin().resume(seen.kept()).unwrap();
    passed(cluster, &first, &mut tail, &mut seen, 60).await;
    // Without any index it waits.
    cluster.delete(&first).await;
    cluster.delete(&second).await;
    let _ = tokio::time::timeout(std::time::Duration::from_millis(300), tail.next()).await;
    let third = cluster.create("c", 1, 0, json!({})).await;
    passed(cluster, &third, &mut tail, &mut seen, 61).await;
    seen.are_once(0..62);
}

async fn moved(cluster: &Cluster) {
    let nodes: Vec<Value> = cluster
        .client
        .json(HttpRequest::get("/_cat/nodes").query("format", "json"))
        .await
        .unwrap();
    let settings = json!({"refresh_interval": "50ms"});
    let index = cluster.create("a", 3, 0, settings).await;
    let (writer, to) = (cluster.clone(), index.clone());
    let began = Timestamp::now();
    let writing = tokio::spawn(async move {
        for part in 0..40 {
            let numbers = part * 50..part * 50 + 50;
            // Equal times too: their order is that of the shards' numbers.
            let time = if part % 2 == 0 {
                began
            } else {
                Timestamp::now()
            };
            writer.write(&to, at(time, numbers)).await;
        }
    });
    let mut tail = by_time_of(cluster.tail()).since(Since::Start);
    let mut seen = Seen::default();
    for (count, node) in [200, 700, 1200].into_iter().zip(nodes.iter().cycle()) {
        let settings = json!({"index.routing.allocation.require._name": node["name"]});
        cluster.put(&format!("/{index}/_settings"), settings).await;
        cluster.all_on(&index, node["name"].as_str().unwrap()).await;
        seen.until_count(&mut tail, count).await;
    }
    writing.await.unwrap();
    passed(cluster, &index, &mut tail, &mut seen, 2000).await;
    seen.until_count(&mut tail, 2001).await;
    seen.are_once(0..2001);
}

async fn resized(cluster: &Cluster) {
    let more = json!({"number_of_routing_shards": 12});
    let index = cluster.create("a", 2, 0, more).await;
    let begin = || by_time_of(cluster.tail()).since(Since::Start);
    let mut tail = begin();
    let mut seen = Seen::default();
    cluster.write(&index, at(Timestamp::now(), 0..20)).await;
    passed(cluster, &index, &mut tail, &mut seen, 20).await;
    let mut copies = Vec::new();
    for (n, (how, shards)) in [("shrink", 1), ("clone", 2), ("split", 4)]
        .into_iter()
        .enumerate()
    {
        let target = resize(cluster, &index, how, shards).await;
        let number = 21 + u32::try_from(n).unwrap();
        passed(cluster, &target, &mut tail, &mut seen, number).await;
        let copy = Notice::Copy {
            index: target.clone(),
            of: index.clone(),
            may_repeat: false,
        };
        assert!(seen.notices.contains(&copy), "{:?}", seen.notices);
        copies.push(target);
    }
    // A copy of a copy whose own source is gone, for a tail that knows of that one by its token only.
    cluster.delete(&index).await;
    let again = resize(cluster, &copies[2], "shrink", 1).await;
    cluster.delete(&copies[2]).await;
    let mut tail = begin().resume(seen.kept()).unwrap();
    passed(cluster, &again, &mut tail, &mut seen, 24).await;
    // What is written anew in a copy is new.
    cluster.write(&again, at(Timestamp::now(), 5..6)).await;
    passed(cluster, &again, &mut tail, &mut seen, 25).await;
    assert_eq!(seen.documents.remove("5"), Some(vec![1, 2]));
    seen.are_once((0..26).filter(|n| *n != 5));
}

async fn ungranted(cluster: &Cluster) {
    let relay = Relay::before(&cluster.url, |_, path| match path.contains("/_settings") {
        true => Fate::Answer(403, "security_exception"),
        false => Fate::Pass,
    })
    .await;
    let client = Client::new(&[relay.url()], HttpOptions::default()).unwrap();
    let index = cluster.create("a", 2, 0, json!({})).await;
    let tail = cluster.tail_of(&client, &cluster.pattern());
    let mut tail = by_time_of(tail).since(Since::Start);
    let mut seen = Seen::default();
    cluster.write(&index, at(Timestamp::now(), 0..20)).await;
    passed(cluster, &index, &mut tail, &mut seen, 20).await;
    let target = resize(cluster, &index, "shrink", 1).await;
    passed(cluster, &target, &mut tail, &mut seen, 21).await;
    let came = |n: u32| seen.documents[&n.to_string()].len();
    assert!((0..21).all(|n| came(n) == 2), "{:?}", seen.documents);
    assert_eq!(came(21), 1);
    let told = seen.notices.iter().map(ToString::to_string);
    let told = told.filter(|told| told.contains("may come again"));
    assert_eq!(told.count(), 1, "{:?}", seen.notices);
}
