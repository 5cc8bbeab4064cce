//! Documents of which two are too long for one answer.

use std::time::Duration;

use clusterops_logs::http::HttpOptions;
use clusterops_logs::tail::{Since, Tail};
use clusterops_logs::{Client, ErrorKind};
use serde_json::{Value, json};

use crate::by_time::{by_time_of, passed};
use crate::copies::resize;
use crate::{Cluster, Killed, Seen, on_each};

on_each! {
    exact => neighbours_that_are_too_long_together_come_once;
    by_time => neighbours_that_are_too_long_together_come_once_by_time;
    alone => a_document_that_is_too_long_alone_is_named;
}

fn client(cluster: &Cluster, limit: usize) -> Client {
    Client::new(&[&cluster.url], HttpOptions::default().body_limit(limit)).unwrap()
}

/// Some documents, of which those have room in an answer alone.
fn some(numbers: std::ops::Range<u32>, is_long: impl Fn(u32) -> bool) -> Vec<(String, Value)> {
    let time = jiff::Timestamp::now().to_string();
    let document = |n: u32| {
        let mut document = json!({"@timestamp": time, "n": n});
        if is_long(n) {
            document["long"] = json!(vec!["long"; 20_000]);
        }
        (n.to_string(), document)
    };
    numbers.map(document).collect()
}

async fn write(cluster: &Cluster, index: &str) {
    cluster.write(index, some(0..100, |n| n % 50 < 4)).await;
    cluster.write(index, some(100..200, |n| n % 14 == 0)).await;
}

async fn exact(cluster: &Cluster) {
    let index = cluster.create("a", 4, 0, json!({})).await;
    write(cluster, &index).await;
    // Shrunk, several documents have one number: some of them are too long together.
    let target = resize(cluster, &index, "shrink", 1).await;
    cluster.delete(&index).await;
    let client = client(cluster, 200_000);
    let begin = || cluster.tail_of(&client, &target).since(Since::Start);
    let mut killed = Killed::default();
    killed.until_count(begin, 200).await;
    killed.are_repeated_as_stated(0..200);
    let mut tail = begin();
    let mut seen = Seen::default();
    seen.until_count(&mut tail, 200).await;
    seen.until_quiet(&mut tail, Duration::from_millis(500))
        .await;
    seen.are_once(0..200);
}

async fn by_time(cluster: &Cluster) {
    let index = cluster.create("a", 3, 0, json!({})).await;
    let client = client(cluster, 200_000);
    let begin = || by_time_of(cluster.tail_of(&client, &cluster.pattern())).since(Since::Start);
    write(cluster, &index).await;
    let mut tail = begin();
    let mut seen = Seen::default();
    passed(cluster, &index, &mut tail, &mut seen, 200).await;
    cluster.write(&index, some(201..210, |_| true)).await;
    passed(cluster, &index, &mut tail, &mut seen, 210).await;
    passed(cluster, &index, &mut tail, &mut seen, 211).await;
    seen.are_once(0..212);
}

async fn alone(cluster: &Cluster) {
    let index = cluster.create("a", 1, 0, json!({})).await;
    cluster.write(&index, some(0..10, |n| n == 5)).await;
    cluster
        .post(&format!("/{index}/_refresh"), Value::Null)
        .await;
    let client = client(cluster, 100_000);
    let tail = || {
        cluster
            .tail_of(&client, &cluster.pattern())
            .since(Since::Start)
    };
    let named = async |mut tail: Tail| {
        let error = loop {
            match tail.next().await {
                Ok(_) => {}
                Err(error) => break error,
            }
        };
        assert_eq!(error.kind(), ErrorKind::Answer, "{error}");
        let told = error.to_string();
        let name = format!("the document {index}/5 alone is too long");
        assert!(
            told.starts_with(&name) && told.contains("body_limit"),
            "{told}"
        );
    };
    named(tail()).await;
    named(tail().by_time()).await;
}
