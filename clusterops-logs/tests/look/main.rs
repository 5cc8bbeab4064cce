//! A look at logs on real servers.
#![expect(clippy::unwrap_used, reason = "a test that fails says where")]

#[expect(dead_code, reason = "the tests of exports use all of it")]
#[path = "../export/servers.rs"]
mod servers;
#[path = "../support/mod.rs"]
mod support;

use std::collections::BTreeSet;
use std::time::Duration;

use clusterops_logs::look::{Context, Excerpt, Look, Origin};
use clusterops_logs::{ErrorKind, Query};
use serde_json::{Value, json};

use support::indices;

/// Lines of three hosts within a few seconds, so that many have the same time.
fn documents(count: usize) -> Vec<Value> {
    let document = |number: usize| {
        let level = if number.is_multiple_of(41) {
            "error"
        } else {
            "info"
        };
        json!({
        "@timestamp": format!("2026-03-01T10:00:{:02}.000Z", number % 10),
        "number": number,
        "host": {"name": format!("web-{}", number % 3)},
        "log": {"level": level},
        "message": if number % 50 == 3 { "heartbeat" } else { "a line" },
        })
    };
    (0..count).map(document).collect()
}

/// What tells a line from others, in the order of lines.
fn key(hit: &clusterops_logs::Hit) -> (i64, i64, String, String) {
    let number = |at: usize| hit.sort[at].as_i64().unwrap();
    (number(0), number(1), hit.index.clone(), hit.id.clone())
}

fn host(hit: &clusterops_logs::Hit) -> String {
    let source: Value = serde_json::from_str(hit.source.as_ref().unwrap().get()).unwrap();
    source["host"]["name"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn context_is_what_sorting_everything_gives() {
    for server in servers::all("context_is_what_sorting_everything_gives") {
        let all = documents(500);
        for (index, shards) in [("look-lines-a", 3), ("look-lines-b", 2)] {
            server.index(index, shards, json!({})).await;
        }
        server.fill("look-lines-a", 0, &all[..300]).await;
        server.fill("look-lines-b", 300, &all[300..]).await;
        let client = server.client();
        let everything = Look::new(&client, &indices("look-lines-*"), Query::match_all());
        let excerpts = everything
            .excerpts(&Context::default(), 1000)
            .await
            .unwrap();
        let mut sorted: Vec<_> = excerpts
            .into_iter()
            .flat_map(|excerpt| excerpt.lines)
            .map(|line| line.hit)
            .collect();
        assert_eq!(sorted.len(), 500, "{}", server.name);
        sorted.sort_by_cached_key(key);

        let errors = Query::raw(json!({"match": {"log.level": "error"}}));
        let heartbeats = Query::raw(json!({"match": {"message": "heartbeat"}}));
        let look = Look::new(&client, &indices("look-lines-*"), errors).exclude(heartbeats);
        for (before, after) in [(0, 0), (2, 3), (0, 7), (5, 0), (40, 40)] {
            let context = Context::default().before(before).after(after);
            let excerpts = look.excerpts(&context, 100).await.unwrap();
            let name = format!("{} {before} {after}", server.name);
            assert_eq!(shown(&excerpts), expected(&sorted, before, after), "{name}");
        }
        for index in ["look-lines-a", "look-lines-b"] {
            server.remove(index).await;
        }
    }
}

/// Each excerpt as the numbers of its lines, those that matched with a mark.
fn shown(excerpts: &[Excerpt]) -> BTreeSet<String> {
    let line = |line: &clusterops_logs::look::Line| {
        format!("{}{}", line.hit.id, if line.matched { ":" } else { "-" })
    };
    excerpts
        .iter()
        .map(|excerpt| excerpt.lines.iter().map(line).collect::<Vec<_>>().join(" "))
        .collect()
}

/// What grep(1) shows of each host's lines.
fn expected(sorted: &[clusterops_logs::Hit], before: usize, after: usize) -> BTreeSet<String> {
    let mut excerpts = BTreeSet::new();
    for name in ["web-0", "web-1", "web-2"] {
        let numbers = sorted
            .iter()
            .filter(|hit| host(hit) == name)
            .map(|hit| hit.id.parse::<usize>().unwrap());
        let lines: Vec<usize> = numbers.filter(|number| number % 50 != 3).collect();
        let matches = |number: usize| number.is_multiple_of(41);
        let mut shown: Vec<String> = Vec::new();
        for (at, number) in lines.iter().enumerate() {
            let near = lines[at.saturating_sub(after)..(at + before + 1).min(lines.len())].iter();
            let is_shown = near.copied().any(matches);
            if is_shown {
                shown.push(format!(
                    "{number}{}",
                    if matches(*number) { ":" } else { "-" }
                ));
            } else if !shown.is_empty() {
                excerpts.insert(std::mem::take(&mut shown).join(" "));
            }
        }
        if !shown.is_empty() {
            excerpts.insert(shown.join(" "));
        }
    }
    excerpts
}

#[tokio::test]
async fn a_line_has_its_surroundings_by_its_own_id() {
    for server in servers::all("a_line_has_its_surroundings_by_its_own_id") {
        server.index("look-around", 2, json!({})).await;
        let lines = |number: usize| json!({"@timestamp": 1_700_000_000_000u64 + number as u64, "host": "old", "service": {"name": "s"}});
        let mut documents: Vec<Value> = (0..20).map(lines).collect();
        documents.push(json!({"host": "old"}));
        documents.push(json!({"@timestamp": 1_700_000_000_000u64}));
        server.fill("look-around", 0, &documents).await;
        let look = Look::new(
            &server.client(),
            &indices("look-around"),
            Query::match_all(),
        );
        let context = Context::default().before(1).after(2);
        for origin in [
            Origin::Host,
            Origin::Service,
            Origin::Fields(vec!["host".into()]),
        ] {
            let excerpt = look
                .around("look-around", "10", &context.clone().origin(origin))
                .await
                .unwrap();
            let ids: Vec<&str> = excerpt
                .lines
                .iter()
                .map(|line| line.hit.id.as_str())
                .collect();
            assert_eq!(ids, ["9", "10", "11", "12"], "{}", server.name);
            assert_eq!(excerpt.origin.len(), 1);
        }
        for (id, part) in [("20", "no `@timestamp`"), ("21", "none of the fields")] {
            let error = look.around("look-around", id, &context).await.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Input);
            assert!(error.to_string().contains(part), "{error}");
        }
        let error = look
            .around("look-around", "99", &context)
            .await
            .unwrap_err();
        assert_eq!(error.kind(), ErrorKind::NotFound);
        server.remove("look-around").await;
    }
}

#[tokio::test]
async fn counts_histograms_and_frequent_values() {
    for server in servers::all("counts_histograms_and_frequent_values") {
        server.index("look-count", 3, json!({})).await;
        server.fill("look-count", 0, &documents(300)).await;
        let client = server.client();
        let look = Look::new(&client, &indices("look-count"), Query::match_all());
        assert_eq!(look.count().await.unwrap(), 300);
        let excluded = look
            .clone()
            .exclude(Query::raw(json!({"match": {"log.level": "error"}})));
        assert_eq!(excluded.count().await.unwrap(), 292);

        let histogram = look.histogram(10).await.unwrap();
        assert_eq!(
            histogram.interval,
            Duration::from_secs(1),
            "{}",
            server.name
        );
        let counts: Vec<u64> = histogram
            .buckets
            .iter()
            .map(|bucket| bucket.count)
            .collect();
        assert_eq!(counts, [30; 10], "{}", server.name);
        let histogram = look.histogram(9).await.unwrap();
        assert_eq!(histogram.interval, Duration::from_secs(2));
        assert_eq!(histogram.total(), 300);
        let odd = Look::new(
            &client,
            &indices("look-count"),
            Query::raw(json!({"terms": {"number": [0, 9]}})),
        );
        let counts: Vec<u64> = odd
            .histogram(20)
            .await
            .unwrap()
            .buckets
            .iter()
            .map(|bucket| bucket.count)
            .collect();
        assert_eq!(counts.iter().sum::<u64>(), 2);
        assert_eq!((counts.first(), counts.last()), (Some(&1), Some(&1)));
        assert!(
            odd.histogram(20)
                .await
                .unwrap()
                .draw(40, 3)
                .contains("2026-03-01")
        );
        let error = look
            .histogram_by(Duration::from_nanos(1))
            .await
            .unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Input);
        let none = Look::new(
            &client,
            &indices("look-count"),
            Query::raw(json!({"match_none": {}})),
        );
        assert!(none.histogram(20).await.unwrap().buckets.is_empty());

        let top = look.top("host.name", 2).await.unwrap();
        assert_eq!(top.field, "host.name.keyword");
        assert_eq!(
            (top.values[0].count, top.values.len(), top.other),
            (100, 2, 100),
            "{}",
            server.name
        );
        assert!(top.is_exact());
        let top = look.top("number", 1).await.unwrap();
        assert_eq!((top.values[0].count, top.other), (1, 299));
        let error = look.top("absent", 2).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::NotFound);
        server.remove("look-count").await;
    }
}

#[tokio::test]
async fn times_in_milliseconds_and_nanoseconds_stand_in_one_order() {
    for server in servers::all("times_in_milliseconds_and_nanoseconds_stand_in_one_order") {
        server
            .index(
                "look-nanos-a",
                1,
                json!({"properties": {"@timestamp": {"type": "date_nanos"}}}),
            )
            .await;
        server
            .index(
                "look-nanos-b",
                1,
                json!({"properties": {"@timestamp": {"type": "date"}}}),
            )
            .await;
        let line = |time: &str| json!({"@timestamp": time, "host": "h"});
        let fine = [
            "2026-03-01T10:00:00.000000001Z",
            "2026-03-01T10:00:00.000000002Z",
            "2026-03-01T10:00:00.002Z",
        ];
        server.fill("look-nanos-a", 0, &fine.map(line)).await;
        server
            .fill("look-nanos-b", 3, &[line("2026-03-01T10:00:00.001Z")])
            .await;
        let look = Look::new(
            &server.client(),
            &indices("look-nanos-*"),
            Query::match_all(),
        );
        let excerpt = look
            .around("look-nanos-b", "3", &Context::default().before(5).after(5))
            .await
            .unwrap();
        let ids: Vec<&str> = excerpt
            .lines
            .iter()
            .map(|line| line.hit.id.as_str())
            .collect();
        assert_eq!(ids, ["0", "1", "3", "2"], "{}", server.name);
        for index in ["look-nanos-a", "look-nanos-b"] {
            server.remove(index).await;
        }
    }
}

#[tokio::test]
async fn values_of_nested_documents_are_counted_and_those_of_several_types_are_refused() {
    for server in servers::all(
        "values_of_nested_documents_are_counted_and_those_of_several_types_are_refused",
    ) {
        let mapping = |took: &str| {
            json!({"properties": {
                "took": {"type": took},
                "spans": {"type": "nested", "properties": {"name": {"type": "text", "fields": {"keyword": {"type": "keyword"}}}}},
            }})
        };
        for (index, took) in [
            ("look-kinds-a", "keyword"),
            ("look-kinds-b", "long"),
            ("look-kinds-c", "double"),
        ] {
            server.index(index, 2, mapping(took)).await;
        }
        let document = |number: usize| {
            let time = "2026-03-01T10:00:00Z";
            let spans: Vec<Value> = ["a", "a", "b"][..=number % 3]
                .iter()
                .map(|name| json!({"name": name}))
                .collect();
            json!({"@timestamp": time, "took": number % 2, "spans": spans})
        };
        let documents: Vec<Value> = (0..30).map(document).collect();
        for index in ["look-kinds-a", "look-kinds-b", "look-kinds-c"] {
            server.fill(index, 0, &documents).await;
        }
        let client = server.client();
        let look = |names: &str| Look::new(&client, &indices(names), Query::match_all());
        let top = look("look-kinds-*").top("spans.name", 5).await.unwrap();
        let found: Vec<_> = top
            .values
            .iter()
            .map(|value| (&*value.value, value.count))
            .collect();
        assert_eq!(found, [("a", 90), ("b", 30)], "{}", server.name);
        let error = look("look-kinds-*").top("took", 5).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Input, "{}: {error}", server.name);
        assert_eq!(
            error.to_string(),
            "the field `took` is a `keyword` in look-kinds-a and a `double` in look-kinds-c, whose values no server counts together; \
             look at fewer indices",
            "{}",
            server.name
        );
        let top = look("look-kinds-b,look-kinds-c")
            .top("took", 5)
            .await
            .unwrap();
        assert_eq!(top.values.len(), 2, "{}: {:?}", server.name, top.values);
        assert!(top.values.iter().all(|value| value.count == 30));
        for index in ["look-kinds-a", "look-kinds-b", "look-kinds-c"] {
            server.remove(index).await;
        }
    }
}
