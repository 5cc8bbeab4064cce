//! Documents of which two are too long for one answer.

use clusterops_logs::export::{Export, Order};
use clusterops_logs::http::HttpOptions;
use clusterops_logs::{Client, ErrorKind, Query};
use serde_json::{Value, json};

use super::{assert_each_once, documents, numbers, servers};
use crate::support::indices;

/// How long an answer may be.
const LIMIT: usize = 200_000;

/// Documents of which some that follow each other are so long that an answer has room for one.
pub(crate) fn some_long(count: usize) -> Vec<Value> {
    let mut documents = documents(count);
    for document in documents.iter_mut().skip(count / 2).step_by(3).take(30) {
        document["long"] = "long ".repeat(30_000).into();
    }
    // By arrival, and by time.
    for document in documents.iter_mut().skip(count / 4).take(12) {
        document["long"] = "long ".repeat(30_000).into();
    }
    documents
}

#[tokio::test]
async fn neighbours_that_are_too_long_together_come_each_once() {
    let _alone = servers::alone().await;
    for server in servers::all("neighbours_that_are_too_long_together_come_each_once") {
        let mappings = json!({"properties": {"long": {"type": "keyword", "index": false, "doc_values": false}}});
        for (index, shards) in [("export-long-a", 3), ("export-long-b", 1)] {
            server.index(index, shards, mappings.clone()).await;
        }
        let all = some_long(600);
        for (part, documents) in all.chunks(100).enumerate() {
            let index = ["export-long-a", "export-long-b"][part % 2];
            server.fill(index, part * 100, documents).await;
        }
        let client = server.client_with(HttpOptions::default().body_limit(LIMIT));
        let export =
            |client: &Client| Export::new(client, &indices("export-long-*"), Query::match_all());
        for order in [
            Order::Arrival,
            Order::oldest_first("@timestamp"),
            Order::newest_first("@timestamp"),
        ] {
            let mut pages = export(&client).order(order.clone()).start().await.unwrap();
            let (mut found, mut count, mut most) = (Vec::new(), 0, 0);
            let mut previous = String::new();
            while let Some(page) = pages.next().await.unwrap() {
                count += 1;
                most = most.max(page.len());
                for hit in page.hits() {
                    let source: Value = serde_json::from_slice(hit.source()).unwrap();
                    found.push(source["number"].as_u64().unwrap());
                    let time = source["@timestamp"].as_str().unwrap().to_owned();
                    match order {
                        Order::Oldest(_) => assert!(previous <= time, "{previous} {time}"),
                        Order::Newest(_) => assert!(previous.is_empty() || previous >= time),
                        _ => {}
                    }
                    previous = time;
                }
            }
            let name = format!("{} {order:?}", server.name);
            assert_each_once(found, 600, &name);
            // 42 long ones have pages of their own; the others are found many at once again.
            assert!(
                count < 150 && most > 10,
                "{name}: {count} pages, of {most} at most"
            );
        }
        let mut pages = export(&client).slices(4).start().await.unwrap();
        assert_each_once(numbers(&mut pages).await, 600, &server.name);
        drop(pages);

        // Whoever stops in the middle of them goes on there.
        let mut found = Vec::new();
        let mut token = None;
        loop {
            let mut pages = match token.take() {
                None => export(&client).start().await.unwrap(),
                Some(token) => export(&client).resume(&token).await.unwrap(),
            };
            let Some(page) = pages.next().await.unwrap() else {
                break;
            };
            for hit in page.hits() {
                let source: Value = serde_json::from_slice(hit.source()).unwrap();
                found.push(source["number"].as_u64().unwrap());
            }
            token = Some(page.token().clone());
        }
        assert_each_once(found, 600, &server.name);

        let narrow = server.client_with(HttpOptions::default().body_limit(100_000));
        let mut pages = export(&narrow).start().await.unwrap();
        let error = loop {
            match pages.next().await {
                Ok(page) => assert!(page.is_some(), "it has come to an end"),
                Err(error) => break error,
            }
        };
        assert_eq!(error.kind(), ErrorKind::Answer, "{error}");
        let told = error.to_string();
        assert!(
            told.starts_with("the document export-long-") && told.contains("body_limit"),
            "{told}"
        );
        for index in ["export-long-a", "export-long-b"] {
            server.remove(index).await;
        }
    }
}
