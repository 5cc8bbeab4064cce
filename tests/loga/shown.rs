//! What is printed is what Logasaurus printed, without its faults.

use std::process::Stdio;

use clusterops::logs::jiff::Timestamp;
use serde_json::{Value, json};

use super::real::indices;
use super::{LOGA_YAML, command, folder, run};

/// The three hits that Logasaurus was given.
fn documents() -> Vec<Value> {
    let answer: Value = serde_json::from_str(include_str!("data/hits.json")).expect("JSON");
    let hits = answer["hits"]["hits"].as_array().expect("hits");
    hits.iter().map(|hit| hit["_source"].clone()).collect()
}

const ALL: [&str; 4] = ["-d", "*", "--no-follow", "--since"];

/// Colours as Logasaurus had them, on black.
fn on_black(text: &str) -> String {
    text.replace("\u{1b}[1;33m", "\u{1b}[0;33;40m")
        .replace("\u{1b}[36m", "\u{1b}[0;36;40m")
}

#[test]
fn lines_are_those_of_logasaurus() {
    for index in indices("lines_are_those_of_logasaurus") {
        index.put(&documents());
        let folder = folder(&[
            ("loga.yaml", &format!("{LOGA_YAML}search_host: true\n")),
            ("plain.yaml", LOGA_YAML),
        ]);
        let since = [&ALL[..], &["2026-01-01"]].concat();
        let plain = run(
            folder.path(),
            &index.arguments(&[&since[..], &["-c", "plain.yaml"]].concat()),
        );
        assert_eq!(
            plain.printed,
            include_str!("data/output-plain.txt"),
            "{}",
            plain.said
        );
        let host = run(
            folder.path(),
            &index.arguments(&[&since[..], &["--color", "always", "-h=false"]].concat()),
        );
        assert_eq!(
            on_black(&host.printed),
            include_str!("data/output-host-plain.txt"),
            "{}",
            host.said
        );

        // What matched is marked where it stands: no line is hidden, none comes twice, none loses words.
        let query = [
            "-d",
            "error OR checkpoint",
            "--no-follow",
            "--since",
            "2026-01-01",
            "-c",
            "plain.yaml",
            "--color",
            "always",
        ];
        let marked = run(folder.path(), &index.arguments(&query));
        assert_eq!(
            on_black(&marked.printed)
                .replace("\u{1b}[0;33;40m", "<")
                .replace("\u{1b}[0m", ">"),
            "GET /größe 500 <error> code=7\nupstream <error>: connect() failed  (111: refused) errors=2\n\
             <checkpoint> complete: wrote 42 buffers\n",
            "{}",
            marked.said
        );
        // What Go's regular expressions did not take panicked.
        for query in [
            "*",
            "errors OR took:[1000 TO *]",
            "-checkpoint",
            "message:(*",
        ] {
            let define = format!("-d={query}");
            let words = [
                &define,
                "--no-follow",
                "--since",
                "2026-01-01",
                "--color",
                "always",
            ];
            let ran = run(folder.path(), &index.arguments(&words));
            assert_eq!(
                ran.code,
                Some(i32::from(query.contains('('))),
                "{query}: {}",
                ran.said
            );
        }
    }
}

#[test]
fn what_matches_no_index_and_a_password_that_nobody_has_are_told() {
    for index in indices("what_matches_no_index_and_a_password_that_nobody_has_are_told") {
        let folder = folder(&[]);
        let nowhere = [
            "-e",
            &*index.url,
            "-in",
            "no-such-*",
            "-d",
            "x",
            "--no-follow",
        ];
        let ran = run(folder.path(), &nowhere);
        assert_eq!((ran.code, &*ran.printed), (Some(0), ""), "{}", ran.said);
        assert!(
            ran.said.contains("loga: no index matches `no-such-*`"),
            "{}",
            ran.said
        );
        let ran = run(
            folder.path(),
            &index.arguments(&["-d", "x", "--user", "me", "--no-follow"]),
        );
        assert_eq!(ran.code, Some(1), "{}", ran.said);
        assert!(ran.said.contains("LOGA_PASSWORD"), "{}", ran.said);
    }
}

#[test]
fn every_shape_is_shown_in_every_form() {
    for index in indices("every_shape_is_shown_in_every_form") {
        let time = "2026-01-02T03:04:05.100Z";
        index.put(&[json!({
            "@timestamp": time, "host": {"name": "web-1"}, "service": {"name": "shop"},
            "log": {"level": "error"}, "message": "a\u{1b}[31mb\nc"
        })]);
        let folder = folder(&[]);
        let printed = |more: &[&str]| {
            let words = [
                &[
                    "--lucene",
                    "message:a*",
                    "--since",
                    "2026-01-01",
                    "--time-zone",
                    "Europe/Berlin",
                ],
                more,
            ]
            .concat();
            let ran = run(folder.path(), &index.arguments(&words));
            assert_eq!(ran.code, Some(0), "{}", ran.said);
            ran.printed
        };
        assert_eq!(
            printed(&[]),
            "2026-01-02T04:04:05.100+01:00 web-1 shop ERROR a\\u{1b}[31mb\\nc\n"
        );
        assert_eq!(
            printed(&["--output", "template={{host}} {{log.level}}"]),
            "web-1 error\n"
        );
        let hit: Value =
            serde_json::from_str(&printed(&["--output", "json"])).expect("one line of JSON");
        assert_eq!(hit["_source"]["host"]["name"], "web-1");
        assert_eq!(printed(&["--count-only"]), "1\n");
        assert!(printed(&["--top", "service.name"]).ends_with("1 shop\n"));
        assert!(printed(&["--histogram"]).contains('█'));
        assert_eq!(
            printed(&["--context", "1", "--output", "message"]),
            ": a\\u{1b}[31mb\\nc\n"
        );
        assert_eq!(printed(&["--exclude", "shop"]), "");
        assert_eq!(printed(&["--until", "2026-01-02T03:04:05Z"]), "");
        let kql = [
            "--kql",
            "log.level: error and host.name.keyword: web-*",
            "--since",
            "2026-01-01",
            "--output",
            "message",
        ];
        let ran = run(folder.path(), &index.arguments(&kql));
        assert_eq!(ran.printed, "a\\u{1b}[31mb\\nc\n", "{}", ran.said);
    }
}

#[test]
fn clusters_are_merged_and_one_that_is_down_is_told() {
    for index in indices("clusters_are_merged_and_one_that_is_down_is_told") {
        index.put(&documents());
        let folder = folder(&[]);
        let (here, away) = (
            format!("here={}", index.url),
            "away=http://127.0.0.1:1".to_owned(),
        );
        let words = [
            "-in",
            &index.name,
            "--lucene",
            "*",
            "--since",
            "2026-01-01",
            "--output",
            "template={{cluster}} {{message}}",
        ];
        let ran = run(
            folder.path(),
            &[&words[..], &["--cluster", &here, "--cluster", &away]].concat(),
        );
        assert_eq!(ran.code, Some(1));
        assert_eq!(
            ran.said.matches("the cluster away is left out").count(),
            1,
            "{}",
            ran.said
        );
        assert_eq!(ran.printed.matches("here ").count(), 3, "{}", ran.printed);
        let twice = here.replace("here", "there");
        let ran = run(
            folder.path(),
            &[&words[..], &["--cluster", &here, "--cluster", &twice]].concat(),
        );
        let marks = |printed: &str| {
            let marks = printed.lines().filter_map(|line| line.split(' ').next());
            marks.map(str::to_owned).collect::<Vec<_>>()
        };
        assert_eq!(
            marks(&ran.printed),
            ["here", "there", "here", "there", "here", "there"],
            "{}",
            ran.said
        );
        let both = ["--cluster", &here, "--cluster", &twice, "--context", "0"];
        let ran = run(folder.path(), &[&words[..], &both].concat());
        assert_eq!(
            marks(&ran.printed.replace(": ", "").replace("--\n", "")),
            ["here", "there", "here", "there", "here", "there"],
            "{}{}",
            ran.printed,
            ran.said
        );
    }
}

#[test]
fn nobody_needs_to_read_to_the_end() {
    for index in indices("nobody_needs_to_read_to_the_end") {
        index.put(&documents());
        let folder = folder(&[]);
        let (reader, writer) = std::io::pipe().expect("a pipe");
        drop(reader);
        let words = index.arguments(&["-d", "*", "--since", "2026-01-01"]);
        let child = command(folder.path(), &words)
            .stdout(writer)
            .stderr(Stdio::piped())
            .spawn()
            .expect("it starts");
        let output = child.wait_with_output().expect("it ends");
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(0), "{said}");
        assert!(!said.contains("Broken"), "{said}");
    }
}

#[test]
fn times_of_a_format_of_their_own_and_of_the_future_are_counted() {
    for index in indices("times_of_a_format_of_their_own_and_of_the_future_are_counted") {
        index.create(&json!({"mappings": {"properties": {
            "@timestamp": {"type": "date", "format": "epoch_millis"},
        }}}));
        let now = Timestamp::now().as_millisecond();
        let ahead = 70 * 365 * 86_400_000;
        let line = |time: i64| json!({"@timestamp": time, "message": "m"});
        index.put(&[line(now - 60_000), line(now - 30_000), line(now + ahead)]);
        let folder = folder(&[]);
        for (question, expected) in [
            (
                "--histogram",
                &["2, each column 1 s or more", "1 more lie in the future"][..],
            ),
            ("--count-only", &["3"]),
            ("--verbose", &[" m"]),
        ] {
            let words = index.arguments(&["--lucene", "*", "--since", "1h", question]);
            let ran = run(folder.path(), &words);
            assert_eq!(ran.code, Some(0), "{question}: {}", ran.said);
            for expected in expected {
                assert!(
                    ran.printed.contains(expected),
                    "{question}: {}",
                    ran.printed
                );
            }
        }
    }
}

#[test]
fn what_does_not_fit_the_types_of_fields_is_told_with_what_to_do() {
    for index in indices("what_does_not_fit_the_types_of_fields_is_told_with_what_to_do") {
        let folder = folder(&[]);
        index.create(&json!({"mappings": {"properties": {
            "@timestamp": {"type": "date"}, "took": {"type": "long"}, "from": {"type": "ip"},
        }}}));
        let number = index.another("number");
        number.create(&json!({"mappings": {"properties": {"@timestamp": {"type": "long"}}}}));
        number.put(&[json!({"@timestamp": 1_700_000_000_000_u64, "message": "m"})]);
        let all = ["--lucene", "*", "--since", "1h"];
        for more in [
            &[][..],
            &["--follow"],
            &["--count-only"],
            &["--histogram"],
            &["--context", "1"],
        ] {
            let ran = run(folder.path(), &number.arguments(&[&all, more].concat()));
            let says = format!("`@timestamp` is a `long` in {}, not a date", number.name);
            assert_eq!(ran.code, Some(1), "{more:?}");
            assert!(ran.said.contains(&says), "{more:?}: {}", ran.said);
        }
        for (kql, says) in [
            (
                "took > abc",
                "column 8: `took` is a `long`: `abc` is no number",
            ),
            (
                "took: 5*",
                "column 7: `took` is a `long`: wildcards have no meaning there, compare",
            ),
            (
                "from: 10.*",
                "column 7: `from` is an `ip`: wildcards have no meaning there, write a network",
            ),
            (
                "from: 10.0.0.0/40",
                "column 7: `from` is an `ip`: `10.0.0.0/40` is no address",
            ),
        ] {
            let words = ["--kql", kql, "--since", "1h"];
            let ran = run(folder.path(), &index.arguments(&words));
            assert_eq!(ran.code, Some(1), "{kql}");
            assert!(ran.said.contains(says), "{kql}: {}", ran.said);
        }
        for kql in [
            "took >= 5",
            "took: \"5\"",
            "from: 10.0.0.0/8",
            "from > 10.0.0.1",
            "took: (1 or 2.5)",
        ] {
            let ran = run(
                folder.path(),
                &index.arguments(&["--kql", kql, "--since", "1h"]),
            );
            assert_eq!(ran.code, Some(0), "{kql}: {}", ran.said);
        }
        // What an index lacks or has of another type is not found there, and the others are.
        let old = index.another("old");
        old.create(&json!({"mappings": {"properties": {
            "@timestamp": {"type": "date_nanos"}, "took": {"type": "keyword"},
            "spans": {"type": "nested", "properties": {"name": {"type": "keyword"}}},
            "raw": {"type": "keyword", "index": false, "doc_values": false},
        }}}));
        let document = json!({
            "@timestamp": Timestamp::now().to_string(), "message": "old one", "took": "long", "spans": {"name": "s"},
        });
        old.put(&[document]);
        let pattern = format!("{},{}", index.name, old.name);
        for kql in ["took: long", "spans: { name: s }", "*: one"] {
            let words = [
                "-e",
                &*index.url,
                "-in",
                &*pattern,
                "--kql",
                kql,
                "--since",
                "1960-01-01",
            ];
            let ran = run(folder.path(), &words);
            assert_eq!(ran.code, Some(0), "{kql}: {}", ran.said);
            assert!(ran.printed.contains("old one"), "{kql}: {}", ran.said);
        }
        let missing = index.another("not-there");
        let words = missing.arguments(&[&all[..], &["--count-only"]].concat());
        let ran = run(folder.path(), &words);
        assert!(ran.said.contains("--index names others"), "{}", ran.said);
    }
}
