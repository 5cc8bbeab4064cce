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
