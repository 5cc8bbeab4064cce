//! Exports from real servers: everything once, whatever happens meanwhile.
#![expect(clippy::unwrap_used, reason = "a test that fails says where")]

mod long;
mod renewal;
mod resume;
mod servers;
#[path = "../support/mod.rs"]
mod support;

use std::collections::BTreeSet;

use clusterops_logs::export::{Export, Format, Order, Pages};
use clusterops_logs::{ErrorKind, Query};
use serde_json::{Value, json};

use support::indices;

/// Documents with few different times, so that most share one with others.
pub(crate) fn documents(count: usize) -> Vec<Value> {
    let document = |number: usize| {
        let second = number % 7;
        json!({
            "@timestamp": format!("2026-03-01T10:00:0{second}.000Z"),
            "number": number,
            "host": {"name": format!("web-{}", number % 3)},
            "message": format!("line \"{number}\",\nand more"),
        })
    };
    (0..count).map(document).collect()
}

/// The numbers of all documents that are left, in their order.
pub(crate) async fn numbers(pages: &mut Pages) -> Vec<u64> {
    let mut numbers = Vec::new();
    while let Some(page) = pages.next().await.unwrap() {
        for hit in page.hits() {
            let source: Value = serde_json::from_slice(hit.source()).unwrap();
            numbers.push(source["number"].as_u64().unwrap());
        }
    }
    numbers
}

pub(crate) fn assert_each_once(mut numbers: Vec<u64>, count: usize, name: &str) {
    numbers.sort_unstable();
    let distinct: BTreeSet<u64> = numbers.iter().copied().collect();
    assert_eq!(
        numbers.len(),
        distinct.len(),
        "{name}: something came twice"
    );
    assert_eq!(numbers.len(), count, "{name}: something is missing");
}

#[tokio::test]
async fn every_document_comes_once_in_every_order_and_page_size() {
    let _alone = servers::alone().await;
    for server in servers::all("every_document_comes_once_in_every_order_and_page_size") {
        for (index, shards) in [("export-once-a", 3), ("export-once-b", 2)] {
            server.index(index, shards, json!({})).await;
        }
        let all = documents(1000);
        server.fill("export-once-a", 0, &all[..700]).await;
        server.fill("export-once-b", 700, &all[700..]).await;
        let export = Export::new(
            &server.client(),
            &indices("export-once-*"),
            Query::match_all(),
        );
        for (size, slices) in [(1, 1), (7, 1), (100, 3), (5000, 1), (5000, 8)] {
            let mut pages = export
                .clone()
                .page_size(size)
                .slices(slices)
                .start()
                .await
                .unwrap();
            assert_eq!(pages.total(), 1000, "{}", server.name);
            let name = format!("{} {size} {slices}", server.name);
            assert_each_once(numbers(&mut pages).await, 1000, &name);
            assert_eq!(pages.done(), 1000);
            assert!(pages.breaks().is_empty());
        }
        for order in [
            Order::oldest_first("@timestamp"),
            Order::newest_first("@timestamp"),
        ] {
            let mut pages = export
                .clone()
                .page_size(9)
                .order(order.clone())
                .start()
                .await
                .unwrap();
            let numbers = numbers(&mut pages).await;
            let seconds: Vec<u64> = numbers.iter().map(|number| number % 7).collect();
            let sorted = match order {
                Order::Oldest(_) => seconds.is_sorted(),
                _ => seconds.is_sorted_by(|a, b| a >= b),
            };
            assert!(sorted, "{} {order:?}: {seconds:?}", server.name);
            assert_each_once(numbers, 1000, &server.name);
        }
        for index in ["export-once-a", "export-once-b"] {
            server.remove(index).await;
        }
    }
}

#[tokio::test]
async fn what_is_written_meanwhile_does_not_show() {
    let _alone = servers::alone().await;
    for server in servers::all("what_is_written_meanwhile_does_not_show") {
        server.index("export-meanwhile", 2, json!({})).await;
        let all = documents(600);
        server.fill("export-meanwhile", 0, &all[..400]).await;
        let export = Export::new(
            &server.client(),
            &indices("export-meanwhile"),
            Query::match_all(),
        );
        let mut pages = export.page_size(50).start().await.unwrap();
        let first = pages.next().await.unwrap().unwrap().len();
        server.fill("export-meanwhile", 400, &all[400..]).await;
        let mut rest = numbers(&mut pages).await;
        // Without a point in time, shards behind the furthest may show some.
        if pages.is_frozen() {
            assert_eq!(rest.len() + first, 400, "{}", server.name);
        }
        rest.retain(|number| *number < 400);
        assert_eq!(rest.len() + first, 400, "{}", server.name);
        server.remove("export-meanwhile").await;
    }
}

#[tokio::test]
async fn fields_formats_and_queries() {
    let _alone = servers::alone().await;
    for server in servers::all("fields_formats_and_queries") {
        server.index("export-formats", 1, json!({})).await;
        server.fill("export-formats", 0, &documents(30)).await;
        let query = Query::raw(json!({"range": {"number": {"lt": 2}}}));
        let export = Export::new(&server.client(), &indices("export-formats"), query);
        let format = Format::csv(["_id", "host.name", "message"]);
        let narrow = export.clone().fields(format.fields().unwrap());
        let mut out = Vec::new();
        let mut pages = narrow.start().await.unwrap();
        let summary = pages.write_to(&format, &mut out).await.unwrap();
        let expected = "_id,host.name,message\r\n0,web-0,\"line \"\"0\"\",\nand more\"\r\n1,web-1,\"line \"\"1\"\",\nand more\"\r\n";
        assert_eq!(String::from_utf8_lossy(&out), expected, "{}", server.name);
        assert!(summary.is_whole());
        assert_eq!(summary.bytes, expected.len() as u64);

        let mut out = Vec::new();
        let mut pages = export.start().await.unwrap();
        pages
            .write_to_async(&Format::ndjson(), &mut out)
            .await
            .unwrap();
        let lines: Vec<Value> = out
            .split(|byte| *byte == b'\n')
            .filter(|line| !line.is_empty())
            .map(|line| serde_json::from_slice(line).unwrap())
            .collect();
        assert_eq!(lines, documents(2), "{}", server.name);
        server.remove("export-formats").await;
    }
}

#[tokio::test]
async fn what_is_not_there_is_told() {
    let _alone = servers::alone().await;
    for server in servers::all("what_is_not_there_is_told") {
        let client = server.client();
        let error = Export::new(&client, &indices("export-absent"), Query::match_all())
            .start()
            .await
            .unwrap_err();
        assert_eq!(error.kind(), ErrorKind::NotFound, "{error}");
        let mut pages = Export::new(&client, &indices("export-absent-*"), Query::match_all())
            .start()
            .await
            .unwrap();
        assert!(pages.next().await.unwrap().is_none());
        assert_eq!(pages.total(), 0);
        server.index("export-empty", 1, json!({})).await;
        let mut pages = Export::new(&client, &indices("export-empty"), Query::match_all())
            .slices(3)
            .start()
            .await
            .unwrap();
        assert!(pages.next().await.unwrap().is_none(), "{}", server.name);
        server.remove("export-empty").await;
    }
}
