//! Following, and going on after an end.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use clusterops::logs::jiff::Timestamp;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::json;

use super::real::indices;
use super::{Running, command, folder, interrupt};

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
fn a_signal_ends_it_though_nobody_reads_what_it_prints() {
    for index in indices("a_signal_ends_it_though_nobody_reads_what_it_prints") {
        let time = Timestamp::now().to_string();
        let long = "x".repeat(100_000);
        index.put(&vec![json!({"@timestamp": time, "message": long}); 10]);
        let folder = folder(&[]);
        for more in [&[][..], &["--follow"]] {
            let words = index.arguments(&["--lucene", "*", "--since", "1h"]);
            let mut child = command(folder.path(), &[&words, more].concat())
                .stdout(Stdio::piped())
                .stderr(Stdio::null())
                .spawn()
                .expect("it starts");
            // More is to come than a pipe holds.
            let mut printed = child.stdout.take().expect("a pipe");
            printed.read_exact(&mut [0]).expect("it prints");
            // Whoever asks twice does not want to wait.
            let id = i32::try_from(child.id()).expect("an id");
            kill(Pid::from_raw(id), Signal::SIGINT).expect("it runs");
            let status = interrupt(&mut child);
            assert!([Some(0), Some(130)].contains(&status.code()), "{status}");
        }
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

#[test]
fn in_kibanas_language_it_goes_on_when_more_fields_are_known() {
    for index in indices("in_kibanas_language_it_goes_on_when_more_fields_are_known") {
        let line = |text: &str, more: serde_json::Value| {
            let time = Timestamp::now().to_string();
            let mut line = json!({"@timestamp": time, "message": text});
            line["more"] = more;
            line
        };
        index.put(&[line("one", json!({}))]);
        let folder = folder(&[]);
        let words = index.arguments(&[
            "--kql",
            "message: one or more.*: 5",
            "--since",
            "1h",
            "--output",
            "message",
            "--state",
            "state",
        ]);
        let mut running = Running::start(folder.path(), &words);
        assert_eq!(running.line(), "one");
        assert!(running.interrupt().0.success());
        // What the wildcard means has changed.
        index.put(&[line("two", json!({"a": 5, "b": 6}))]);
        let mut running = Running::start(folder.path(), &words);
        assert_eq!(running.line(), "two");
        let (status, rest, said) = running.interrupt();
        assert!(
            status.success() && rest.is_empty(),
            "{status} {rest:?} {said:?}"
        );
    }
}

#[test]
fn in_kibanas_language_a_new_index_is_read_with_its_own_fields() {
    for index in indices("in_kibanas_language_a_new_index_is_read_with_its_own_fields") {
        let line = |text: &str, code: u32| {
            let time = Timestamp::now().to_string();
            json!({"@timestamp": time, "message": text, "http": {"code": code}})
        };
        index.put(&[json!({"@timestamp": Timestamp::now().to_string(), "message": "one"})]);
        let folder = folder(&[]);
        let pattern = format!("{}*", index.name);
        let mut running = Running::start(
            folder.path(),
            &[
                "-e",
                &index.url,
                "-in",
                &pattern,
                "--kql",
                "message: one or http.*: 5",
                "--since",
                "1h",
                "--output",
                "message",
                "--follow",
            ],
        );
        assert_eq!(running.line(), "one");
        // What the wildcard means is known with the index that has such fields.
        let more = index.another("more");
        more.put(&[line("two", 5), line("three", 6)]);
        assert_eq!(running.line(), "two");
        more.put(&[line("four", 5)]);
        assert_eq!(running.line(), "four");
        let (status, rest, said) = running.interrupt();
        assert!(
            status.success() && rest.is_empty(),
            "{status} {rest:?} {said:?}"
        );
    }
}

#[test]
fn a_query_that_is_refused_is_told_before_anything_is_written() {
    for index in indices("a_query_that_is_refused_is_told_before_anything_is_written") {
        index.put(&[json!({"@timestamp": "2020-01-01T00:00:00Z", "message": "old"})]);
        let folder = folder(&[]);
        let ran = super::run(folder.path(), &index.arguments(&["-d", "message:(a"]));
        assert_eq!((ran.code, &*ran.printed), (Some(1), ""), "{}", ran.said);
        assert!(ran.said.contains("message:(a"), "{}", ran.said);
        // Of several clusters, each is left out; none is asked again and again.
        let (one, two) = (format!("one={}", index.url), format!("two={}", index.url));
        let words = [
            "--cluster",
            &one,
            "--cluster",
            &two,
            "-in",
            &index.name,
            "-d",
            "message:(a",
        ];
        let ran = super::run(folder.path(), &words);
        assert_eq!((ran.code, &*ran.printed), (Some(1), ""), "{}", ran.said);
        for name in ["one", "two"] {
            let told = format!("the cluster {name} is left out");
            assert!(ran.said.contains(&told), "{}", ran.said);
        }
    }
}

#[test]
fn in_kibanas_language_an_index_that_is_not_there_is_waited_for() {
    for index in indices("in_kibanas_language_an_index_that_is_not_there_is_waited_for") {
        let folder = folder(&[]);
        let words = index.arguments(&["--kql", "n: 5", "--follow", "--output", "message"]);
        let mut running = Running::start(folder.path(), &words);
        running.says("waiting for one");
        let time = Timestamp::now().to_string();
        index.put(&[json!({"@timestamp": time, "message": "one", "n": 5})]);
        assert_eq!(running.line(), "one");
        assert!(running.interrupt().0.success());
    }
}

/// The next connection.
fn accepted(listener: &TcpListener) -> (TcpStream, SocketAddr) {
    let deadline = Instant::now() + Duration::from_secs(30);
    loop {
        match listener.accept() {
            Ok(accepted) => return accepted,
            Err(error) => assert!(Instant::now() < deadline, "nobody asks: {error}"),
        }
        std::thread::sleep(Duration::from_millis(10));
    }
}

#[test]
fn an_answer_that_is_interrupted_is_not_all() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    listener.set_nonblocking(true).expect("ours");
    let url = format!("http://{}", listener.local_addr().expect("ours"));
    let folder = folder(&[]);
    for question in [&[][..], &["--count-only"]] {
        let words = [&["--lucene", "x", "-e", &url][..], question].concat();
        let mut running = Running::start(folder.path(), &words);
        // It waits for an answer that does not come.
        let (asking, _) = accepted(&listener);
        let (status, printed, said) = running.interrupt();
        drop(asking);
        assert_eq!(status.code(), Some(130), "{said:?}");
        assert!(printed.is_empty(), "{printed:?}");
        assert!(
            said.iter()
                .any(|line| line.contains("what is shown is not all")),
            "{said:?}"
        );
    }
}

/// Stands before a server, and keeps its answers back for as long as it is told to.
fn held_back(server: SocketAddr) -> (SocketAddr, Arc<AtomicBool>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("ours");
    let is_held = Arc::new(AtomicBool::new(false));
    let held = Arc::clone(&is_held);
    thread::spawn(move || {
        for near in listener.incoming().map_while(Result::ok) {
            let far = TcpStream::connect(server).expect("it listens");
            let (mut up, mut to) = (
                near.try_clone().expect("ours"),
                far.try_clone().expect("ours"),
            );
            thread::spawn(move || std::io::copy(&mut up, &mut to));
            let held = Arc::clone(&held);
            thread::spawn(move || {
                let (mut from, mut down) = (far, near);
                let mut buffer = vec![0; 65_536];
                while let Ok(read @ 1..) = from.read(&mut buffer) {
                    while held.load(Ordering::Relaxed) {
                        thread::sleep(Duration::from_millis(20));
                    }
                    if down.write_all(&buffer[..read]).is_err() {
                        return;
                    }
                }
            });
        }
    });
    (address, is_held)
}

#[test]
fn a_cluster_that_falls_silent_is_told_and_so_is_its_return() {
    for index in indices("a_cluster_that_falls_silent_is_told_and_so_is_its_return") {
        let line =
            |text: &str| json!({"@timestamp": Timestamp::now().to_string(), "message": text});
        let server = index.url["http://".len()..].parse().expect("an address");
        let (address, is_held) = held_back(server);
        let url = format!("http://{address}");
        let folder = folder(&[]);
        // From the first request on, of whatever kind it is.
        for (language, times) in [(["--lucene", "message:*"], 2), (["--kql", "message: *"], 1)] {
            is_held.store(true, Ordering::Relaxed);
            let flags = ["-e", &url, "-in", &index.name, "--follow", "--since", "1h"];
            let mut running = Running::start(folder.path(), &[&language[..], &flags].concat());
            for _ in 0..times {
                index.put(&[line("one")]);
                running.says("no answer for 4 s");
                is_held.store(false, Ordering::Relaxed);
                running.says("answers again");
                running.line();
                is_held.store(true, Ordering::Relaxed);
            }
            is_held.store(false, Ordering::Relaxed);
            let (status, ..) = running.interrupt();
            assert!(status.success(), "{status}");
        }
    }
}
