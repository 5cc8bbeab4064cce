//! Documents that are written again, where times are gone by.

use std::time::Duration;

use clusterops_logs::Client;
use clusterops_logs::http::{HttpOptions, HttpRequest};
use clusterops_logs::secrecy::SecretSlice;
use clusterops_logs::tail::Since;
use serde_json::{Value, json};

use crate::by_time::{OVERLAP, ago, at, by_time, by_time_of, passed};
use crate::relay::{Fate, Relay};
use crate::{Cluster, Seen, on_each};

on_each! {
    updated => an_update_comes_again_where_times_are_gone_by;
    between => a_document_that_is_written_again_between_two_looks_comes_once;
    stale => a_copy_that_is_behind_shows_no_version_that_was_replaced;
    anew => an_index_made_anew_under_its_name_is_another_one_by_time;
    routed => documents_of_one_id_in_two_shards_are_two;
}

async fn updated(cluster: &Cluster) {
    let too_late = ago(OVERLAP + 10);
    let index = cluster.create("a", 2, 1, json!({})).await;
    let mut tail = by_time(cluster).since(Since::Start);
    let mut seen = Seen::default();
    cluster.write(&index, at(ago(5), 0..3)).await;
    passed(cluster, &index, &mut tail, &mut seen, 10).await;
    cluster.write(&index, at(ago(6), 1..2)).await;
    passed(cluster, &index, &mut tail, &mut seen, 11).await;
    cluster.write(&index, at(ago(2), 1..2)).await;
    // It was written over with a time that is not asked for any more.
    cluster.write(&index, at(too_late, 2..3)).await;
    passed(cluster, &index, &mut tail, &mut seen, 12).await;
    let mut tail = by_time(cluster)
        .resume(seen.token.clone().unwrap())
        .unwrap();
    passed(cluster, &index, &mut tail, &mut seen, 13).await;
    for (id, versions) in [
        ("0", &[1][..]),
        ("1", &[1, 2, 3]),
        ("2", &[1]),
        ("12", &[1]),
    ] {
        assert_eq!(seen.documents[id], versions, "{id}");
    }
}

async fn between(cluster: &Cluster) {
    let index = cluster.create("a", 2, 0, json!({})).await;
    let relay = Relay::before(&cluster.url, |_, _| Fate::Pass).await;
    let client = Client::new(&[relay.url()], HttpOptions::default()).unwrap();
    let mut tail = by_time_of(cluster.tail_of(&client, &cluster.pattern())).since(Since::Start);
    let mut seen = Seen::default();
    passed(cluster, &index, &mut tail, &mut seen, 0).await;
    // What a look at which there are shows of them is what they were before.
    relay.now(|_, path| match path.contains("/_search") {
        true => Fate::Edit(|page| {
            for hit in page["hits"]["hits"].as_array_mut().unwrap() {
                if hit.get("_source").is_none() && hit["_version"] == 2 {
                    hit["_version"] = json!(1);
                    hit["_seq_no"] = json!(0);
                }
            }
        }),
        false => Fate::Pass,
    });
    let time = ago(2);
    cluster.write(&index, at(time, 1..20)).await;
    cluster.write(&index, at(time, 1..20)).await;
    passed(cluster, &index, &mut tail, &mut seen, 20).await;
    relay.now(|_, _| Fate::Pass);
    passed(cluster, &index, &mut tail, &mut seen, 21).await;
    assert!(
        (1..20).all(|n| seen.documents[&n.to_string()] == [2]),
        "{:?}",
        seen.documents
    );
    seen.are_once(0..22);
}

async fn stale(cluster: &Cluster) {
    let index = cluster.create("a", 2, 0, json!({})).await;
    let relay = Relay::before(&cluster.url, |_, _| Fate::Pass).await;
    let client = Client::new(&[relay.url()], HttpOptions::default()).unwrap();
    let begin = || by_time_of(cluster.tail_of(&client, &cluster.pattern())).since(Since::Start);
    let mut tail = begin();
    let mut seen = Seen::default();
    let time = ago(2);
    cluster.write(&index, at(time, 0..20)).await;
    cluster.write(&index, at(time, 0..20)).await;
    passed(cluster, &index, &mut tail, &mut seen, 20).await;
    // The copy that answers now has not got the second version yet, which nobody has seen the first of.
    relay.now(|_, path| match path.contains("/_search") {
        true => Fate::Edit(|page| {
            for hit in page["hits"]["hits"].as_array_mut().unwrap() {
                if hit["_version"] == 2 {
                    hit["_version"] = json!(1);
                    hit["_seq_no"] = json!(0);
                }
            }
        }),
        false => Fate::Pass,
    });
    passed(cluster, &index, &mut tail, &mut seen, 21).await;
    let mut tail = begin().resume(seen.kept()).unwrap();
    passed(cluster, &index, &mut tail, &mut seen, 22).await;
    relay.now(|_, _| Fate::Pass);
    cluster.write(&index, at(ago(1), 0..20)).await;
    passed(cluster, &index, &mut tail, &mut seen, 23).await;
    for n in 0..20 {
        assert_eq!(seen.documents[&n.to_string()], [2, 3], "{n}");
    }
}

async fn anew(cluster: &Cluster) {
    let begin = || by_time(cluster).since(Since::Start);
    let mut index = cluster.create("a", 1, 0, json!({})).await;
    let mut tail = begin();
    let mut seen = Seen::default();
    let time = ago(3);
    cluster.write(&index, at(time, 0..20)).await;
    cluster.write(&index, at(time, 0..20)).await;
    passed(cluster, &index, &mut tail, &mut seen, 20).await;
    // In the new one versions and numbers are lower.
    for number in [21, 22] {
        cluster.delete(&index).await;
        index = cluster.create("a", 1, 0, json!({})).await;
        let time = if number == 21 { time } else { ago(1) };
        cluster.write(&index, at(time, 0..20)).await;
        passed(cluster, &index, &mut tail, &mut seen, number).await;
        tail = begin().resume(seen.kept()).unwrap();
    }
    for n in 0..20 {
        assert_eq!(seen.documents[&n.to_string()], [2, 1, 1], "{n}");
    }
}

/// Two routings that lead to the two shards of this index.
async fn routings(cluster: &Cluster, index: &str) -> (String, String) {
    let mut found = [None, None];
    for routing in 0..100 {
        let request = HttpRequest::get(format!("/{index}/_search_shards"))
            .query("routing", routing.to_string());
        let answer: Value = cluster.client.json(request).await.unwrap();
        let shard = usize::from(answer["shards"][0][0]["shard"] == 1);
        found[shard] = Some(routing.to_string());
        if let [Some(one), Some(other)] = &found {
            return (one.clone(), other.clone());
        }
    }
    panic!("100 routings lead to one of two shards of {index}");
}

async fn routed(cluster: &Cluster) {
    let index = cluster.create("a", 2, 0, json!({})).await;
    let (one, other) = routings(cluster, &index).await;
    let mut lines = String::new();
    for (id, routing, time) in [
        ("1", &one, ago(5)),
        ("1", &one, ago(5)),
        // It has a lower version, a lower number and a later time.
        ("1", &other, ago(2)),
        ("3", &other, ago(2)),
    ] {
        let document = json!({"@timestamp": time.to_string()});
        let action = json!({"index": {"_id": id, "routing": routing}});
        lines.push_str(&format!("{action}\n{document}\n"));
    }
    // Their versions, numbers and times are equal.
    let document = json!({"@timestamp": ago(1).to_string()});
    for routing in [one, other] {
        let action = json!({"index": {"_id": "2", "routing": routing}});
        lines.push_str(&format!("{action}\n{document}\n"));
    }
    let body = SecretSlice::from(lines.into_bytes());
    let request = HttpRequest::post(format!("/{index}/_bulk"))
        .query("refresh", "true")
        .body("application/x-ndjson", &body);
    let answer: Value = cluster.client.json(request).await.unwrap();
    assert_eq!(answer["errors"], false, "{answer}");
    for tail in [cluster.tail(), by_time(cluster)] {
        let mut tail = tail.since(Since::Start);
        let mut seen = Seen::default();
        let all = |seen: &Seen| seen.documents.values().map(Vec::len).sum::<usize>() == 5;
        seen.until(&mut tail, "all of them", all).await;
        seen.until_quiet(&mut tail, Duration::from_millis(500))
            .await;
        assert_eq!(seen.documents["1"], [2, 1]);
        assert_eq!(seen.documents["2"], [1, 1]);
    }
}
