//! Following, and going on after an end.

use std::net::TcpListener;

use clusterops::logs::jiff::Timestamp;
use serde_json::json;

use super::real::indices;
use super::{Running, folder};

#[test]
fn what_is_written_after_the_start_is_shown_once() {
    for index in indices("what_is_written_after_the_start_is_shown_once") {
        let line = |text: &str| json!({"@timestamp": Timestamp::now().to_string(), "host": "web-1", "message": text});
        index.put(&[line("one")]);
        let folder = folder(&[]);
        let words = index.arguments(&[
            "-d",
            "message:(one two three)",
            "-si",
            "1",
            "--state",
            "state",
        ]);
        let mut running = Running::start(folder.path(), &words);
        assert_eq!(running.line(), "one");
        index.put(&[line("two"), line("other")]);
        assert_eq!(running.line(), "two");
        let (status, rest, said) = running.interrupt();
        assert!(status.success() && rest.is_empty(), "{status} {rest:?}");
        assert!(
            said.iter()
                .any(|line| line == "loga: `--resume state` goes on from here"),
            "{said:?}"
        );

        index.put(&[line("three")]);
        let words = index.arguments(&["-d", "message:(one two three)", "--resume", "state"]);
        let mut running = Running::start(folder.path(), &words);
        assert_eq!(running.line(), "three");
        let (status, rest, _) = running.interrupt();
        assert!(status.success() && rest.is_empty(), "{status} {rest:?}");
    }
}

#[test]
fn one_that_is_not_there_is_told_and_asked_again() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let url = format!("http://{}", listener.local_addr().expect("ours"));
    drop(listener);
    let folder = folder(&[]);
    let mut running = Running::start(folder.path(), &["-d", "error", "-e", &url]);
    running.says("trying again");
    let (status, printed, _) = running.interrupt();
    assert!(
        status.success() && printed.is_empty(),
        "{status} {printed:?}"
    );
}

#[test]
fn in_kibanas_language_the_same_is_found_whether_it_is_followed_or_not() {
    for index in indices("in_kibanas_language_the_same_is_found_whether_it_is_followed_or_not") {
        // Without the fields' types, a wildcard is one for words and not for whole values.
        let line = |host: &str| {
            let time = Timestamp::now().to_string();
            json!({"@timestamp": time, "host": {"name": host}, "message": host})
        };
        index.put(&[line("Web one"), line("Other")]);
        let folder = folder(&[]);
        let kql = "host.name.keyword: Web*one";
        let once = super::run(
            folder.path(),
            &index.arguments(&["--kql", kql, "--since", "1h", "--output", "message"]),
        );
        assert_eq!(once.printed, "Web one\n", "{}", once.said);
        let words = index.arguments(&[
            "--kql", kql, "--since", "1h", "--output", "message", "--follow",
        ]);
        let mut running = Running::start(folder.path(), &words);
        assert_eq!(running.line(), "Web one");
        index.put(&[line("Web two, one"), line("web one")]);
        assert_eq!(running.line(), "Web two, one");
        let (status, rest, said) = running.interrupt();
        assert!(
            status.success() && rest.is_empty(),
            "{status} {rest:?} {said:?}"
        );
    }
}
