//! Tails that go by time, since there are no checkpoints to see.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};
use std::time::Duration;

use clusterops_logs::Client;
use clusterops_logs::http::{HttpOptions, HttpRetries};
use clusterops_logs::tail::{Notice, Since, Tail};
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use crate::relay::{Fate, Relay};
use crate::{Cluster, Killed, Seen, on_each};

on_each! {
    equal => equal_times_over_pages_in_several_shards_come_once;
    late => a_document_within_the_overlap_is_shown_and_one_beyond_it_is_not;
    failing => a_page_that_fails_is_repeated_and_loses_nothing;
    later => an_index_that_is_made_later_is_found_by_time;
    future => documents_in_the_future_do_not_move_the_watermark;
    nanos => times_in_nanoseconds_and_without_them_are_one_order;
    killed => what_a_kill_repeats_by_time_is_one_batch;
    lagging => what_was_under_way_when_a_tail_began_is_shown;
    begun => a_kill_before_the_first_look_is_done_shows_nothing_older;
    unmapped => an_index_without_a_mapping_stops_nothing;
    again => what_was_seen_is_not_fetched_again;
    narrow => indices_that_give_fewer_hits_at_once_are_read;
    behind => what_arrives_behind_a_long_round_is_shown_by_the_next;
    several => a_document_with_several_times_comes_once;
    quiet => a_token_knows_that_all_was_looked_at_though_nothing_came;
}

/// How far back the tails of these tests ask again.
pub(crate) const OVERLAP: i64 = 30;

pub(crate) fn by_time(cluster: &Cluster) -> Tail {
    by_time_of(cluster.tail())
}

pub(crate) fn by_time_of(tail: Tail) -> Tail {
    tail.by_time()
        .overlap(Duration::from_secs(OVERLAP.unsigned_abs()))
}

pub(crate) fn ago(seconds: i64) -> Timestamp {
    Timestamp::now() - SignedDuration::from_secs(seconds)
}

/// Documents of one time.
pub(crate) fn at(
    time: Timestamp,
    numbers: std::ops::Range<u32>,
) -> impl Iterator<Item = (String, Value)> {
    let time = time.to_string();
    let document = json!({"@timestamp": time});
    numbers.map(move |n| (n.to_string(), document.clone()))
}

/// Makes what was written searchable now.
async fn refresh(cluster: &Cluster) {
    let path = format!("/{}/_refresh", cluster.pattern());
    cluster.post(&path, Value::Null).await;
}

/// Writes a document of the present, and reads on until it comes: all that could be found before has been then.
pub(crate) async fn passed(
    cluster: &Cluster,
    index: &str,
    tail: &mut Tail,
    seen: &mut Seen,
    number: u32,
) {
    cluster
        .write(index, at(Timestamp::now(), number..number + 1))
        .await;
    refresh(cluster).await;
    let id = number.to_string();
    seen.until(tail, "what was written last", |seen| {
        seen.documents.contains_key(&id)
    })
    .await;
}

async fn equal(cluster: &Cluster) {
    let first = cluster.create("a", 4, 1, json!({})).await;
    let second = cluster.create("b", 2, 0, json!({})).await;
    let time = ago(3600);
    let next = time + SignedDuration::from_millis(1);
    // Pages have 1,000 documents; several shards have the number at which one ends.
    cluster.write(&first, at(time, 0..2600)).await;
    cluster.write(&second, at(time, 2600..3500)).await;
    cluster.write(&first, at(next, 3500..4800)).await;
    cluster.write(&second, at(next, 4800..6000)).await;
    refresh(cluster).await;
    let begin = || by_time(cluster).since(Since::Start);
    let mut tail = begin();
    let mut seen = Seen::default();
    seen.until_count(&mut tail, 6000).await;
    passed(cluster, &first, &mut tail, &mut seen, 6000).await;
    seen.are_once(0..6001);
    let mut killed = Killed::default();
    killed.until_count(begin, 6001).await;
    assert!(killed.kills >= 6, "{} kills", killed.kills);
    passed(
        cluster,
        &second,
        &mut killed.go_on(begin),
        &mut killed.seen,
        6001,
    )
    .await;
    killed.are_repeated_as_stated(0..6002);
}

async fn late(cluster: &Cluster) {
    // As seen from all that is read, however long that takes.
    let too_late = ago(OVERLAP + 10);
    let index = cluster.create("a", 2, 1, json!({})).await;
    let mut tail = by_time(cluster).since(Since::Start);
    let mut seen = Seen::default();
    passed(cluster, &index, &mut tail, &mut seen, 0).await;
    let told = seen.notices.iter().map(ToString::to_string);
    let told: Vec<String> = told.collect();
    assert!(
        told.iter()
            .any(|told| told.contains("late ones can be lost")),
        "{told:?}"
    );
    cluster.write(&index, at(ago(OVERLAP - 10), 1..2)).await;
    cluster.write(&index, at(too_late, 2..3)).await;
    passed(cluster, &index, &mut tail, &mut seen, 3).await;
    passed(cluster, &index, &mut tail, &mut seen, 4).await;
    assert!(!seen.documents.contains_key("2"), "{:?}", seen.documents);
    seen.documents.insert("2".to_owned(), vec![1]);
    seen.are_once(0..5);
}

async fn failing(cluster: &Cluster) {
    let index = cluster.create("a", 3, 1, json!({})).await;
    cluster.write(&index, at(ago(3600), 0..1700)).await;
    cluster.write(&index, at(ago(3000), 1700..3400)).await;
    refresh(cluster).await;
    // The first search asks what time it is.
    for (page, fate) in (1..5).flat_map(|page| (0..4).map(move |fate| (page, fate))) {
        let count = Arc::new(AtomicU32::new(0));
        let relay = Relay::before(&cluster.url, move |_, path| {
            let is_search = path.contains("/_search");
            if !is_search || count.fetch_add(1, Ordering::Relaxed) != page {
                return Fate::Pass;
            }
            match fate {
                0 => Fate::Answer(503, "unavailable_shards_exception"),
                1 => Fate::Answer(429, "es_rejected_execution_exception"),
                2 => Fate::PassAndDrop,
                _ => Fate::Edit(|page| page["timed_out"] = json!(true)),
            }
        })
        .await;
        let options = HttpOptions::default().retries(HttpRetries::none());
        let client = Client::new(&[relay.url()], options).unwrap();
        let mut tail = cluster
            .tail_of(&client, &cluster.pattern())
            .by_time()
            .since(Since::Start);
        let mut seen = Seen::default();
        seen.until_count(&mut tail, 3400).await;
        seen.until(&mut tail, "told", |seen| {
            seen.notices.contains(&Notice::Recovered)
        })
        .await;
        let number = 3396 + page * 4 + fate;
        passed(cluster, &index, &mut tail, &mut seen, number).await;
        seen.are_once(0..number + 1);
    }
}

async fn later(cluster: &Cluster) {
    let mut tail = by_time(cluster);
    let mut seen = Seen::default();
    let nothing = |seen: &Seen| {
        let nothing = |notice: &Notice| matches!(notice, Notice::NothingMatches { .. });
        seen.notices.iter().any(nothing)
    };
    seen.until(&mut tail, "told", nothing).await;
    let index = cluster.create("a", 2, 0, json!({})).await;
    cluster.write(&index, at(Timestamp::now(), 0..10)).await;
    passed(cluster, &index, &mut tail, &mut seen, 10).await;
    let index = cluster.create("b", 1, 0, json!({})).await;
    cluster.write(&index, at(Timestamp::now(), 11..20)).await;
    passed(cluster, &index, &mut tail, &mut seen, 20).await;
    drop(tail);
    let index = cluster.create("c", 1, 0, json!({})).await;
    cluster.write(&index, at(Timestamp::now(), 21..30)).await;
    let mut tail = by_time(cluster)
        .resume(seen.token.clone().unwrap())
        .unwrap();
    passed(cluster, &index, &mut tail, &mut seen, 30).await;
    seen.are_once(0..31);
}

async fn future(cluster: &Cluster) {
    let index = cluster.create("a", 2, 0, json!({})).await;
    let begin = || by_time(cluster).since(Since::Start);
    let mut tail = begin();
    let mut seen = Seen::default();
    cluster.write(&index, at(ago(60), 0..10)).await;
    passed(cluster, &index, &mut tail, &mut seen, 10).await;
    cluster.write(&index, at(ago(-3600), 11..20)).await;
    let far = "2090-01-01T00:00:00Z".parse().unwrap();
    cluster.write(&index, at(far, 20..30)).await;
    passed(cluster, &index, &mut tail, &mut seen, 30).await;
    // Both what is written now and what is a little late is found, also by who goes on from a token.
    for number in [31, 33, 35] {
        cluster.write(&index, at(ago(20), number..number + 1)).await;
        passed(cluster, &index, &mut tail, &mut seen, number + 1).await;
        let token = seen.kept();
        let value: Value = serde_json::from_str(&token.to_string()).unwrap();
        let watermark = value["watermark"]["at"].as_i64().unwrap();
        assert!(watermark <= Timestamp::now().as_millisecond(), "{token}");
        tail = begin().resume(token).unwrap();
    }
    seen.are_once(0..37);
}

async fn nanos(cluster: &Cluster) {
    let first = cluster.create("a", 2, 0, json!({})).await;
    let second = cluster.index("b");
    let body = json!({
        "settings": {"number_of_shards": 3, "number_of_replicas": 0},
        "mappings": {"properties": {"@timestamp": {"type": "date_nanos"}}},
    });
    cluster.put(&format!("/{second}"), body).await;
    let time = ago(600);
    cluster.write(&first, at(time, 0..900)).await;
    let document = |n: u32| {
        let time = time + SignedDuration::from_nanos(i64::from(n));
        (n.to_string(), json!({"@timestamp": time.to_string()}))
    };
    cluster.write(&second, (900..3000).map(document)).await;
    refresh(cluster).await;
    let begin = || by_time(cluster).since(Since::Start);
    let mut killed = Killed::default();
    killed.until_count(begin, 3000).await;
    let mut tail = killed.go_on(begin);
    passed(cluster, &second, &mut tail, &mut killed.seen, 3000).await;
    killed.are_repeated_as_stated(0..3001);
}

async fn killed(cluster: &Cluster) {
    let settings = json!({"refresh_interval": "50ms"});
    let first = cluster.create("a", 3, 1, settings.clone()).await;
    let second = cluster.create("b", 1, 0, settings).await;
    let writer = cluster.clone();
    let written = Timestamp::now();
    let writing = tokio::spawn(async move {
        for part in 0..60 {
            let index = if part % 2 == 0 { &first } else { &second };
            // Equal times, late ones and those of the present.
            let time = match part % 3 {
                0 => written + SignedDuration::from_secs(1),
                1 => ago(5).max(written),
                _ => Timestamp::now(),
            };
            writer
                .write(index, at(time, part * 100..part * 100 + 100))
                .await;
        }
        first
    });
    // It is killed while searches fail, too.
    let count = AtomicU32::new(0);
    let relay = Relay::before(&cluster.url, move |_, path| {
        if !path.contains("/_search") {
            return Fate::Pass;
        }
        match count.fetch_add(1, Ordering::Relaxed) % 13 {
            4 => Fate::Answer(503, "unavailable_shards_exception"),
            8 => Fate::Answer(429, "circuit_breaking_exception"),
            12 => Fate::PassAndDrop,
            _ => Fate::Pass,
        }
    })
    .await;
    let options = HttpOptions::default().retries(HttpRetries::none());
    let client = Client::new(&[relay.url()], options).unwrap();
    let begin = || {
        let tail = cluster.tail_of(&client, &cluster.pattern());
        by_time_of(tail).since(Since::Time(written))
    };
    let mut killed = Killed::default();
    killed.until_count(begin, 6000).await;
    assert!(killed.kills >= 6, "{} kills", killed.kills);
    let index = writing.await.unwrap();
    let mut tail = killed.go_on(begin);
    passed(cluster, &index, &mut tail, &mut killed.seen, 6000).await;
    killed.are_repeated_as_stated(0..6001);
}

async fn lagging(cluster: &Cluster) {
    let too_late = ago(OVERLAP + 60);
    let index = cluster.create("a", 2, 1, json!({})).await;
    // More than a page of what was there before.
    cluster.write(&index, at(ago(5), 10_000..12_500)).await;
    refresh(cluster).await;
    let mut tail = by_time(cluster);
    let mut seen = Seen::default();
    passed(cluster, &index, &mut tail, &mut seen, 0).await;
    // Ingestion takes its time: these arrive after the start, with times before it.
    cluster.write(&index, at(ago(10), 1..10)).await;
    cluster.write(&index, at(too_late, 10..20)).await;
    passed(cluster, &index, &mut tail, &mut seen, 20).await;
    let mut tail = by_time(cluster)
        .resume(seen.token.clone().unwrap())
        .unwrap();
    cluster.write(&index, at(ago(10), 21..30)).await;
    passed(cluster, &index, &mut tail, &mut seen, 30).await;
    seen.are_once((0..10).chain(20..31));
}

async fn begun(cluster: &Cluster) {
    let index = cluster.create("a", 2, 1, json!({})).await;
    cluster.write(&index, at(ago(5), 10_000..12_500)).await;
    refresh(cluster).await;
    let count = Arc::new(AtomicU32::new(0));
    let relay = Relay::before(&cluster.url, move |_, path| {
        let is_search = path.contains("/_search");
        // The first asks what time it is.
        match is_search && count.fetch_add(1, Ordering::Relaxed) > 1 {
            true => Fate::Answer(503, "unavailable_shards_exception"),
            false => Fate::Pass,
        }
    })
    .await;
    let options = HttpOptions::default().retries(HttpRetries::none());
    let client = Client::new(&[relay.url()], options).unwrap();
    let begin = || by_time_of(cluster.tail_of(&client, &cluster.pattern()));
    let mut tail = begin();
    let mut seen = Seen::default();
    let interrupted = |seen: &Seen| {
        let interrupted = |notice: &Notice| matches!(notice, Notice::Interrupted { .. });
        seen.notices.iter().any(interrupted)
    };
    seen.until(&mut tail, "told", interrupted).await;
    drop(tail);
    relay.now(|_, _| Fate::Pass);
    let mut tail = begin().resume(seen.kept()).unwrap();
    passed(cluster, &index, &mut tail, &mut seen, 0).await;
    passed(cluster, &index, &mut tail, &mut seen, 1).await;
    seen.are_once(0..2);
}

async fn unmapped(cluster: &Cluster) {
    let index = cluster.create("a", 2, 0, json!({})).await;
    // It has not been written to yet.
    let empty = cluster.index("b");
    cluster.put(&format!("/{empty}"), Value::Null).await;
    let mut tail = by_time(cluster).since(Since::Start);
    let mut seen = Seen::default();
    passed(cluster, &index, &mut tail, &mut seen, 0).await;
    passed(cluster, &empty, &mut tail, &mut seen, 1).await;
    seen.are_once(0..2);
}

/// How many documents came with what stands in them.
static FETCHED: AtomicUsize = AtomicUsize::new(0);

async fn again(cluster: &Cluster) {
    let index = cluster.create("a", 3, 0, json!({})).await;
    let relay = Relay::before(&cluster.url, |_, path| match path.contains("/_search") {
        true => Fate::Edit(|page| {
            let hits = page["hits"]["hits"].as_array().unwrap();
            let fetched = hits.iter().filter(|hit| hit.get("_source").is_some());
            FETCHED.fetch_add(fetched.count(), Ordering::Relaxed);
        }),
        false => Fate::Pass,
    })
    .await;
    let client = Client::new(&[relay.url()], HttpOptions::default()).unwrap();
    let begin = || {
        let tail = cluster.tail_of(&client, &cluster.pattern());
        by_time_of(tail).since(Since::Start)
    };
    let mut tail = begin();
    let mut seen = Seen::default();
    let before = FETCHED.load(Ordering::Relaxed);
    // Nothing of them leaves the overlap, and each round looks at all of it.
    cluster.write(&index, at(ago(1), 0..2500)).await;
    passed(cluster, &index, &mut tail, &mut seen, 2500).await;
    for number in 2501..2511 {
        passed(cluster, &index, &mut tail, &mut seen, number).await;
    }
    // Who goes on finds more than a page that is new between what is not.
    let token = seen.kept();
    cluster.write(&index, at(ago(1), 2511..6000)).await;
    tail = begin().resume(token).unwrap();
    passed(cluster, &index, &mut tail, &mut seen, 6000).await;
    seen.are_once(0..6001);
    // The last hit of a page is the next one's first: of equal times and numbers there are some.
    let fetched = FETCHED.load(Ordering::Relaxed) - before;
    assert!((6001..6100).contains(&fetched), "{fetched} were fetched");
}

async fn narrow(cluster: &Cluster) {
    let index = cluster
        .create("a", 2, 0, json!({"max_result_window": 1000}))
        .await;
    let mut tail = by_time(cluster).since(Since::Start);
    let mut seen = Seen::default();
    cluster.write(&index, at(ago(1), 0..1700)).await;
    passed(cluster, &index, &mut tail, &mut seen, 1700).await;
    passed(cluster, &index, &mut tail, &mut seen, 1701).await;
    seen.are_once(0..1702);
}

async fn behind(cluster: &Cluster) {
    let index = cluster.create("a", 1, 0, json!({})).await;
    let time = Timestamp::now();
    cluster.write(&index, at(time, 0..1500)).await;
    refresh(cluster).await;
    let overlap = Duration::from_secs(1);
    let tail = cluster.tail().by_time().overlap(overlap);
    let mut tail = tail.since(Since::Start);
    let mut seen = Seen::default();
    seen.until_count(&mut tail, 1000).await;
    assert_eq!(seen.documents.len(), 1000, "the round is not over");
    let late = time - SignedDuration::from_millis(500);
    cluster.write(&index, at(late, 1500..1501)).await;
    // Its reader goes on when the overlap has passed.
    tokio::time::sleep(2 * overlap).await;
    cluster
        .write(&index, at(Timestamp::now(), 1501..1502))
        .await;
    refresh(cluster).await;
    seen.until_count(&mut tail, 1502).await;
    seen.are_once(0..1502);
}

async fn quiet(cluster: &Cluster) {
    let index = cluster.create("a", 1, 0, json!({})).await;
    cluster.write(&index, at(ago(60), 0..1)).await;
    refresh(cluster).await;
    let mut tail = by_time(cluster);
    let mut seen = Seen::default();
    let is_looked_at = |seen: &Seen| {
        let token = seen.token.as_ref().map(ToString::to_string);
        token.is_some_and(|token| token.contains(r#""is_first":false"#))
    };
    seen.until(&mut tail, "the first look", is_looked_at).await;
    drop(tail);
    // It was under way when the tail began.
    cluster.write(&index, at(ago(10), 1..2)).await;
    let mut tail = by_time(cluster).resume(seen.kept()).unwrap();
    passed(cluster, &index, &mut tail, &mut seen, 2).await;
    seen.are_once(1..3);
}

async fn several(cluster: &Cluster) {
    let index = cluster.create("a", 1, 0, json!({})).await;
    let mut tail = by_time(cluster).since(Since::Start);
    let mut seen = Seen::default();
    let times = [ago(OVERLAP * 3).to_string(), ago(0).to_string()];
    let document = json!({"@timestamp": times});
    cluster.write(&index, [("0".to_owned(), document)]).await;
    for n in 1..4 {
        passed(cluster, &index, &mut tail, &mut seen, n).await;
    }
    seen.are_once(0..4);
}
