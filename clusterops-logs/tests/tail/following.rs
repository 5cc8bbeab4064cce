//! What a tail gives of indices that are written to.

use std::time::Duration;

use clusterops_logs::tail::{Notice, Since, Token};
use clusterops_logs::{ErrorKind, Query};
use serde_json::json;

use crate::support::indices;
use crate::{Cluster, Seen, on_each};

on_each! {
    shuffled => each_document_comes_once_whatever_its_time;
    resumed => a_restart_continues_behind_its_token;
    quiet => who_was_told_of_nothing_yet_loses_nothing_over_a_restart;
    ordered => documents_come_in_the_order_of_their_times;
    updated => an_update_comes_again_with_its_version;
    found => a_new_index_is_read_from_its_start;
    begun => a_tail_begins_where_it_is_told;
    aliased => an_alias_lets_through_what_its_filter_does;
    closed => a_closed_index_keeps_its_position;
    recreated => an_index_of_the_same_name_is_another_one;
    refused => what_no_waiting_mends_is_an_error;
}

async fn shuffled(cluster: &Cluster) {
    let first = cluster.create("a", 3, 1, json!({})).await;
    let second = cluster
        .create("b.c", 2, 0, json!({"refresh_interval": "-1"}))
        .await;
    let mut tail = cluster.tail().batch(300);
    let mut seen = Seen::default();
    // It begins with its first look.
    seen.until_token(&mut tail).await;
    assert!(seen.documents.is_empty(), "{:?}", seen.documents);
    let writer = cluster.clone();
    let writing = tokio::spawn(async move {
        for part in 0..20 {
            let index = if part % 2 == 0 { &first } else { &second };
            writer.write_some(index, part * 100, part * 100 + 100).await;
        }
    });
    seen.until_count(&mut tail, 2000).await;
    writing.await.unwrap();
    seen.until_quiet(&mut tail, Duration::from_secs(1)).await;
    seen.are_once(0..2000);
}

async fn resumed(cluster: &Cluster) {
    let index = cluster.create("a", 3, 1, json!({})).await;
    cluster.write_some(&index, 0, 1000).await;
    let mut seen = Seen::default();
    let mut restarts = 0;
    while seen.documents.len() < 1000 {
        let mut tail = cluster.tail().since(Since::Start).batch(100);
        if let Some(token) = &seen.token {
            let token: Token = token.to_string().parse().unwrap();
            tail = tail.resume(token).unwrap();
        }
        let batch = tail.next().await.unwrap();
        seen.take(batch);
        // What was handed over and not noted comes again, and nothing else does.
        let lost = tokio::time::timeout(Duration::from_millis(20), tail.next()).await;
        drop(lost);
        restarts += 1;
    }
    assert!(restarts > 3, "{restarts} restarts");
    let mut tail = cluster.tail().resume(seen.token.clone().unwrap()).unwrap();
    seen.until_quiet(&mut tail, Duration::from_secs(1)).await;
    seen.are_once(0..1000);
}

async fn quiet(cluster: &Cluster) {
    let index = cluster.create("a", 2, 0, json!({})).await;
    cluster.write_some(&index, 0, 10).await;
    let mut seen = Seen::default();
    let mut tail = cluster.tail();
    seen.until_token(&mut tail).await;
    drop(tail);
    // Some of them with times long before the tail began.
    cluster.write_some(&index, 100, 120).await;
    let mut tail = cluster.tail().resume(seen.kept()).unwrap();
    seen.until_count(&mut tail, 20).await;
    seen.until_quiet(&mut tail, Duration::from_millis(500))
        .await;
    seen.are_once(100..120);
}

async fn ordered(cluster: &Cluster) {
    let index = cluster.create("a", 3, 0, json!({})).await;
    let mut tail = cluster.tail().reorder(Duration::from_secs(1));
    Seen::default().until_token(&mut tail).await;
    let at = |second: u32| json!({"@timestamp": format!("2026-01-01T00:00:{second:02}Z")});
    // One after the other, latest first; all within a second.
    for n in (10..30).rev() {
        cluster.write(&index, [(n.to_string(), at(n))]).await;
    }
    let mut documents = Vec::new();
    while documents.len() < 20 {
        documents.extend(tail.next().await.unwrap().documents);
    }
    let late = documents.iter().filter(|document| document.late).count();
    let mut sorted: Vec<_> = documents.iter().map(|document| document.time).collect();
    sorted.sort();
    // Where the machine took longer than the second, what came after it is marked.
    let times: Vec<_> = documents.iter().map(|document| document.time).collect();
    assert!(times == sorted || late > 0, "{times:?}");
    cluster.write(&index, [("late".to_owned(), at(5))]).await;
    let batch = tail.next().await.unwrap();
    assert!(batch.documents[0].late, "{batch:?}");
    cluster.write(&index, [("next".to_owned(), at(59))]).await;
    let batch = tail.next().await.unwrap();
    assert!(!batch.documents[0].late, "{batch:?}");
}

async fn updated(cluster: &Cluster) {
    let index = cluster.create("a", 1, 1, json!({})).await;
    cluster.write_some(&index, 0, 10).await;
    let mut tail = cluster.tail().since(Since::Start);
    let mut seen = Seen::default();
    seen.until_count(&mut tail, 10).await;
    cluster.write_some(&index, 3, 5).await;
    // Deleted before it is read: never shown; and a gap in the numbers.
    cluster.write_some(&index, 50, 51).await;
    cluster.delete(&format!("{index}/_doc/50")).await;
    cluster.write_some(&index, 10, 11).await;
    seen.until_count(&mut tail, 11).await;
    seen.until_quiet(&mut tail, Duration::from_secs(1)).await;
    for n in 0..11 {
        let versions: &[u64] = if n == 3 || n == 4 { &[1, 2] } else { &[1] };
        assert_eq!(seen.documents[&n.to_string()], versions, "{n}");
    }
}

async fn found(cluster: &Cluster) {
    let mut tail = cluster.tail();
    let mut seen = Seen::default();
    seen.until(&mut tail, "told", |seen| !seen.notices.is_empty())
        .await;
    assert!(matches!(seen.notices[0], Notice::NothingMatches { .. }));
    let index = cluster.create("later", 2, 0, json!({})).await;
    cluster.write_some(&index, 0, 20).await;
    seen.until_count(&mut tail, 20).await;
    let notice = Notice::Found {
        index,
        from_start: true,
    };
    assert!(seen.notices.contains(&notice), "{:?}", seen.notices);
    // What is made while nobody looks is new all the same.
    drop(tail);
    let index = cluster.create("later-still", 1, 0, json!({})).await;
    cluster.write_some(&index, 20, 30).await;
    let mut tail = cluster.tail().resume(seen.token.clone().unwrap()).unwrap();
    seen.until_count(&mut tail, 30).await;
    seen.are_once(0..30);
}

async fn begun(cluster: &Cluster) {
    let index = cluster.create("a", 2, 0, json!({})).await;
    cluster.write_some(&index, 0, 40).await;
    let since = Since::Time("2026-01-01T00:00:00Z".parse().unwrap());
    for (since, old) in [
        (Since::Now, (0..0).collect::<Vec<u32>>()),
        (Since::Start, (0..40).collect()),
        (since, (0..40).filter(|n| n % 4 != 1).collect()),
    ] {
        let mut tail = cluster.tail().since(since).batch(7);
        let mut seen = Seen::default();
        seen.until_token(&mut tail).await;
        seen.until_quiet(&mut tail, Duration::from_secs(1)).await;
        // From here on times do not matter, and a restart knows where it stood.
        if let Some(token) = seen.token.clone() {
            tail = cluster.tail().resume(token).unwrap();
        }
        cluster.write_some(&index, 100, 120).await;
        seen.until_count(&mut tail, old.len() + 20).await;
        seen.until_quiet(&mut tail, Duration::from_millis(500))
            .await;
        seen.are_once(old.into_iter().chain(100..120));
        for n in 100..120 {
            cluster.delete(&format!("{index}/_doc/{n}")).await;
        }
    }
}

async fn aliased(cluster: &Cluster) {
    let index = cluster.create("a", 3, 0, json!({})).await;
    let other = cluster.create("b", 1, 0, json!({})).await;
    let alias = format!("{}.alias", cluster.prefix);
    let add = |index: &str| json!({"add": {"index": index, "alias": &alias, "filter": {"term": {"team": "even"}}}});
    let actions = json!({"actions": [add(&index)]});
    cluster.post("/_aliases", actions).await;
    cluster.write_some(&index, 0, 50).await;
    let mut tail = cluster.tail_of(&cluster.client, &alias).since(Since::Start);
    let mut seen = Seen::default();
    seen.until_count(&mut tail, 25).await;
    // The alias leads elsewhere, to an index that was made after the tail had begun.
    let actions = json!({"actions": [
        {"remove": {"index": &index, "alias": &alias}}, add(&other),
    ]});
    cluster.post("/_aliases", actions).await;
    cluster.write_some(&other, 50, 100).await;
    seen.until_count(&mut tail, 50).await;
    seen.until_quiet(&mut tail, Duration::from_millis(500))
        .await;
    seen.are_once((0..100).filter(|n| n % 2 == 0));
    let away = Notice::Away { index };
    assert!(seen.notices.contains(&away), "{:?}", seen.notices);
}

async fn closed(cluster: &Cluster) {
    let index = cluster.create("a", 2, 0, json!({})).await;
    cluster.write_some(&index, 0, 10).await;
    let mut tail = cluster.tail().since(Since::Start);
    let mut seen = Seen::default();
    seen.until_count(&mut tail, 10).await;
    cluster.post(&format!("/{index}/_close"), json!(null)).await;
    let away = Notice::Away {
        index: index.clone(),
    };
    seen.until(&mut tail, "away", |seen| seen.notices.contains(&away))
        .await;
    let token = seen.token.clone().unwrap();
    cluster.post(&format!("/{index}/_open"), json!(null)).await;
    cluster.green(&index).await;
    cluster.write_some(&index, 10, 20).await;
    let mut tail = cluster.tail().resume(token).unwrap();
    seen.until_count(&mut tail, 20).await;
    seen.until_quiet(&mut tail, Duration::from_millis(500))
        .await;
    seen.are_once(0..20);

    // As a policy does it: closed, and deleted later.
    cluster.post(&format!("/{index}/_close"), json!(null)).await;
    let times = |seen: &Seen| seen.notices.iter().filter(|told| **told == away).count();
    seen.until(&mut tail, "away again", |seen| times(seen) == 2)
        .await;
    seen.until_quiet(&mut tail, Duration::from_millis(500))
        .await;
    cluster.delete(&index).await;
    let deleted = Notice::Deleted { index };
    seen.until(&mut tail, "deleted", |seen| seen.notices.contains(&deleted))
        .await;
    assert_eq!(times(&seen), 2, "it is told once");
}

async fn recreated(cluster: &Cluster) {
    let index = cluster.create("a", 2, 0, json!({})).await;
    cluster.write_some(&index, 0, 10).await;
    let mut tail = cluster.tail().since(Since::Start);
    let mut seen = Seen::default();
    seen.until_count(&mut tail, 10).await;
    cluster.delete(&index).await;
    cluster.create("a", 2, 0, json!({})).await;
    cluster.write_some(&index, 10, 15).await;
    seen.until_count(&mut tail, 15).await;
    seen.are_once(0..15);
    let deleted = Notice::Deleted { index };
    seen.until(&mut tail, "deleted", |seen| seen.notices.contains(&deleted))
        .await;
}

async fn refused(cluster: &Cluster) {
    let index = cluster.create("a", 1, 0, json!({})).await;
    cluster.write_some(&index, 0, 1).await;
    let query = Query::raw(json!({"no_such_query": {}}));
    let tail = clusterops_logs::tail::Tail::new(&cluster.client, &indices(&index), &query);
    let mut tail = tail.unwrap().since(Since::Start);
    let error = tail.next().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Rejected, "{error}");
}
