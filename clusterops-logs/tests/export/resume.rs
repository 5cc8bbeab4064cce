//! Exports that are interrupted.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use clusterops_logs::export::{Export, Format, Order, Token};
use clusterops_logs::{ErrorKind, Query};
use serde_json::{Value, json};

use crate::support::indices;
use crate::{assert_each_once, documents, numbers, servers};

/// Which server the child exports from, and where to; only set for the child of this file.
const CHILD: &str = "CLUSTEROPS_LOGS_EXPORT_CHILD";

#[tokio::test]
async fn a_token_goes_on_behind_its_page() {
    let _alone = servers::alone().await;
    for server in servers::all("a_token_goes_on_behind_its_page") {
        server.index("export-token", 3, json!({})).await;
        server.fill("export-token", 0, &documents(900)).await;
        let client = server.client();
        for (order, slices) in [
            (Order::Arrival, 1),
            (Order::Arrival, 3),
            (Order::oldest_first("@timestamp"), 1),
        ] {
            for lose in [false, true] {
                let export = Export::new(&client, &indices("export-token"), Query::match_all());
                let export = export.page_size(40).slices(slices).order(order.clone());
                let mut pages = export.start().await.unwrap();
                let mut seen = Vec::new();
                let mut token = None;
                for _ in 0..7 {
                    let page = pages.next().await.unwrap().unwrap();
                    for hit in page.hits() {
                        let source: Value = serde_json::from_slice(hit.source()).unwrap();
                        seen.push(source["number"].as_u64().unwrap());
                    }
                    token = Some(page.token().to_string());
                }
                drop(pages);
                if lose {
                    server.lose_points_in_time().await;
                }
                let token: Token = token.unwrap().parse().unwrap();
                assert_eq!(token.done(), seen.len() as u64);
                let other = export
                    .clone()
                    .page_size(50)
                    .slices(slices + 1)
                    .order(Order::Arrival);
                let error = other.resume(&token).await.unwrap_err();
                assert_eq!(error.kind(), ErrorKind::Input, "{error}");
                let mut pages = export.resume(&token).await.unwrap();
                seen.extend(numbers(&mut pages).await);
                let name = format!("{} {order:?} {slices} {lose}", server.name);
                assert_each_once(seen, 900, &name);
                assert_eq!(pages.done(), 900, "{name}");
                let had_one = server.has_points_in_time();
                assert_eq!(!pages.breaks().is_empty(), lose && had_one, "{name}");
                assert!(
                    pages.breaks().iter().all(|lost| lost.is_whole()),
                    "{name}: {:?}",
                    pages.breaks()
                );
            }
        }
        server.remove("export-token").await;
    }
}

#[tokio::test]
async fn a_lost_point_in_time_is_replaced_and_told() {
    let _alone = servers::alone().await;
    for server in servers::all("a_lost_point_in_time_is_replaced_and_told") {
        server.index("export-lost", 2, json!({})).await;
        let all = documents(700);
        server.fill("export-lost", 0, &all[..500]).await;
        let export = Export::new(
            &server.client(),
            &indices("export-lost"),
            Query::match_all(),
        )
        .page_size(30);
        let mut pages = export.start().await.unwrap();
        let had_one = pages.is_frozen();
        let mut seen = pages.next().await.unwrap().unwrap().len();
        server.lose_points_in_time().await;
        // Newer ones, which are not ours.
        server.fill("export-lost", 500, &all[500..]).await;
        while let Some(page) = pages.next().await.unwrap() {
            seen += page
                .hits()
                .filter(|hit| hit.id().parse::<u64>().unwrap() < 500)
                .count();
        }
        assert_eq!(seen, 500, "{}", server.name);
        assert!(!pages.is_frozen());
        if had_one {
            assert_eq!(pages.breaks().len(), 1, "{}", server.name);
        }
        server.remove("export-lost").await;
    }
}

#[tokio::test]
async fn what_came_after_the_start_stays_out_when_its_point_in_time_is_lost() {
    let _alone = servers::alone().await;
    for server in servers::all("what_came_after_the_start_stays_out_when_its_point_in_time_is_lost")
    {
        server.index("export-closed", 1, json!({})).await;
        let all = documents(700);
        server.fill("export-closed", 0, &all[..500]).await;
        for (round, order) in [Order::Arrival, Order::oldest_first("@timestamp")]
            .into_iter()
            .enumerate()
        {
            let export = Export::new(
                &server.client(),
                &indices("export-closed*"),
                Query::match_all(),
            );
            let mut pages = export
                .page_size(30)
                .order(order.clone())
                .start()
                .await
                .unwrap();
            let total = pages.total();
            let first = pages.next().await.unwrap().unwrap().len();
            server.lose_points_in_time().await;
            // In an index that is there, and in one that is not.
            server
                .fill("export-closed", 500 + 100 * round, &all[500..600])
                .await;
            server.index("export-closed-later", 1, json!({})).await;
            server.fill("export-closed-later", 600, &all[600..]).await;
            let count = first + numbers(&mut pages).await.len();
            assert_eq!(count as u64, total, "{} {order:?}", server.name);
            assert!(
                pages.breaks().iter().all(|lost| lost.is_whole()),
                "{:?}",
                pages.breaks()
            );
            server.remove("export-closed-later").await;
        }
        server.remove("export-closed").await;
    }
}

/// Not a test by itself: what the test below starts and kills.
#[tokio::test]
async fn child() {
    let Ok(told) = std::env::var(CHILD) else {
        return;
    };
    let (name, path) = told.split_once(' ').unwrap();
    let server = servers::all("child")
        .into_iter()
        .find(|server| server.name == name)
        .unwrap();
    let (export, format) = (export_of(&server), Format::hits());
    let summary = export.to_file(path, &format, |progress| {
        println!("at {}", progress.done);
        // So that there is time to be killed in.
        std::thread::sleep(Duration::from_millis(15));
    });
    let summary = summary.await.unwrap();
    println!("end {} {}", summary.documents, summary.is_whole());
}

fn export_of(server: &servers::Server) -> Export {
    Export::new(
        &server.client(),
        &indices("export-killed"),
        Query::match_all(),
    )
    .page_size(20)
}

#[tokio::test]
async fn a_killed_export_goes_on_and_its_file_is_whole() {
    let _alone = servers::alone().await;
    for server in servers::all("a_killed_export_goes_on_and_its_file_is_whole") {
        server.index("export-killed", 2, json!({})).await;
        server.fill("export-killed", 0, &documents(8000)).await;
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("logs.ndjson");
        let mut kills = 0;
        loop {
            let mut child = start_child(&server.name, &path);
            let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
            let mut begun = None;
            let mut ended = false;
            for line in lines.by_ref() {
                let line = line.unwrap();
                if let Some(at) = line.strip_prefix("at ") {
                    let at: u64 = at.parse().unwrap();
                    let begun = *begun.get_or_insert(at);
                    if kills < 4 && at >= begun + 1700 {
                        child.kill().unwrap();
                        kills += 1;
                        if kills == 2 {
                            server.lose_points_in_time().await;
                        }
                        break;
                    }
                }
                if let Some(end) = line.strip_prefix("end ") {
                    assert_eq!(end, "8000 true");
                    ended = true;
                }
            }
            drop(lines);
            let status = child.wait().unwrap();
            if ended {
                assert!(status.success());
                break;
            }
            assert!(
                !status.success(),
                "{}: the child ended without an end",
                server.name
            );
        }
        assert!(kills >= 2, "{}: {kills} kills", server.name);
        let text = std::fs::read_to_string(&path).unwrap();
        let number = |line: &str| {
            let hit: Value = serde_json::from_str(line).unwrap();
            hit["_source"]["number"].as_u64().unwrap()
        };
        assert_each_once(text.lines().map(number).collect(), 8000, &server.name);
        assert!(!folder.path().join("logs.ndjson.export").exists());
        server.remove("export-killed").await;
    }
}

#[tokio::test]
async fn an_export_that_finds_no_room_goes_on_when_there_is_some() {
    let _alone = servers::alone().await;
    for server in servers::all("an_export_that_finds_no_room_goes_on_when_there_is_some") {
        server.index("export-killed-room", 2, json!({})).await;
        server.fill("export-killed-room", 0, &documents(3000)).await;
        let export = Export::new(
            &server.client(),
            &indices("export-killed-room"),
            Query::match_all(),
        )
        .page_size(50);
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("logs.ndjson");
        // A folder in the place of the file beside it is as bad as a full disk.
        let mut pages = 0;
        let beside = folder.path().join("logs.ndjson.export.new");
        let format = Format::hits();
        let summary = export.to_file(&path, &format, |_| {
            pages += 1;
            if pages == 5 {
                std::fs::create_dir(&beside).unwrap();
            }
            std::thread::sleep(Duration::from_millis(30));
        });
        let error = summary.await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Io, "{error}");
        std::fs::remove_dir(&beside).unwrap();
        let summary = export
            .to_file(&path, &Format::hits(), |_| {})
            .await
            .unwrap();
        assert!(summary.is_whole());
        let text = std::fs::read_to_string(&path).unwrap();
        assert_eq!(text.lines().count(), 3000, "{}", server.name);
        server.remove("export-killed-room").await;
    }
}

fn start_child(server: &str, path: &Path) -> std::process::Child {
    Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "resume::child", "--nocapture"])
        .env(CHILD, format!("{server} {}", path.display()))
        .stdout(Stdio::piped())
        .spawn()
        .unwrap()
}
