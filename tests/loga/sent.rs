//! What is printed is what is sent, as a listener sees it.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::{DEADLINE, Running, command, folder, run};

/// A cluster that has one index with nothing in it, and tells the searches that it is sent.
struct Listener {
    url: String,
    searches: Receiver<Search>,
}

/// A search as it is sent.
struct Search {
    path: String,
    body: Value,
    authorization: Option<String>,
}

impl Listener {
    fn start() -> Self {
        Self::answering(|path, body| (200, answer(path, body)))
    }

    fn answering(answer: impl Fn(&str, &Value) -> (u16, Value) + Clone + Send + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let url = format!("http://{}", listener.local_addr().expect("ours"));
        let (sender, searches) = channel();
        // It ends with the tests.
        thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let (answer, sender) = (answer.clone(), sender.clone());
                thread::spawn(move || serve(stream, answer, &sender));
            }
        });
        Self { url, searches }
    }

    /// The first search for what is asked; those before it look how far an export has to go, what time it is, or whether it is
    /// understood.
    fn search(&self) -> (String, Value) {
        loop {
            let came = self.searches.recv_timeout(DEADLINE);
            let Search { path, body, .. } = came.expect("a search");
            let is_a_look = body["size"] == 0 && body["track_total_hits"] == false;
            let looks_at = |what: &str| body.pointer(&format!("/aggs/{what}")).is_some();
            if !is_a_look && !looks_at("highest") && !looks_at("clock") {
                return (path, body);
            }
        }
    }
}

fn serve(
    stream: TcpStream,
    answer: impl Fn(&str, &Value) -> (u16, Value),
    sender: &Sender<Search>,
) -> Option<()> {
    let mut reader = BufReader::new(stream);
    loop {
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            if reader.read_line(&mut head).ok()? == 0 {
                return None;
            }
        }
        let header = |wanted: &str| {
            head.lines().find_map(|line| {
                let (name, value) = line.split_once(": ")?;
                name.eq_ignore_ascii_case(wanted).then_some(value)
            })
        };
        let length = header("content-length").map_or(0, |length| length.parse().expect("a length"));
        let authorization = header("authorization").map(str::to_owned);
        let mut body = vec![0; length];
        reader.read_exact(&mut body).ok()?;
        let target = head.split(' ').nth(1).expect("a target");
        let path = target.split('?').next().expect("a path");
        let body: Value = serde_json::from_slice(&body).unwrap_or(Value::Null);
        let (status, answer) = answer(path, &body);
        let answer = answer.to_string();
        if path.ends_with("/_search") {
            // Nobody may wait for it any more.
            let _ = sender.send(Search {
                path: path.to_owned(),
                body,
                authorization,
            });
        }
        let length = answer.len();
        let head = format!(
            "HTTP/1.1 {status} X\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n\r\n"
        );
        reader
            .get_mut()
            .write_all((head + &answer).as_bytes())
            .ok()?;
    }
}

fn answer(path: &str, body: &Value) -> Value {
    let shards = json!({"total": 1, "successful": 1, "skipped": 0, "failed": 0});
    if path == "/" {
        return json!({"version": {"distribution": "opensearch", "number": "2.19.0"}});
    }
    if path.ends_with("/_search/point_in_time") {
        return json!({"pit_id": "p", "_shards": shards});
    }
    if path.ends_with("/_field_caps") {
        let keyword =
            json!({"keyword": {"type": "keyword", "searchable": true, "aggregatable": true}});
        let text = json!({"text": {"type": "text", "searchable": true, "aggregatable": false}});
        let date = json!({"date": {"type": "date", "searchable": true, "aggregatable": true}});
        return json!({"indices": ["logs"], "fields": {"level": keyword, "message": text, "@timestamp": date}});
    }
    let mut found = json!({
        "took": 1, "timed_out": false, "_shards": shards, "pit_id": "p",
        "hits": {"total": {"value": 1, "relation": "eq"}, "hits": []}
    });
    if body.get("aggs").is_some() {
        let buckets = json!([{"key": "logs", "doc_count": 1, "highest": {"value": 0}}]);
        found["aggregations"] = json!({
            "highest": {"value": 0}, "indices": {"sum_other_doc_count": 0, "buckets": buckets}
        });
    }
    found
}

/// What is printed below the line that names the request.
fn printed(text: &str) -> (String, Value) {
    let (first, body) = text.split_once('\n').expect("a line and a body");
    (first.to_owned(), serde_json::from_str(body).expect("JSON"))
}

#[test]
fn what_is_printed_is_sent() {
    for words in [
        &["--kql", "level: err* or not message: (a b)"][..],
        &[
            "--lucene",
            "level:error",
            "--exclude",
            "nginx",
            "--count",
            "7",
            "--until",
            "2026-02-01",
        ],
        &["--lucene", "*", "--color", "always"],
        &["--kql", "level: error", "--count-only"],
        &["--lucene", "*", "--histogram", "--until", "2026-02-01"],
        &["--lucene", "*", "--context", "2"],
    ] {
        let listener = Listener::start();
        let folder = folder(&[]);
        let words = [
            &["-e", &*listener.url, "-in", "logs", "--since", "2026-01-01"],
            words,
        ]
        .concat();
        let shown = run(folder.path(), &[&words[..], &["--print-query"]].concat());
        assert_eq!(shown.code, Some(0), "{words:?}");
        let has_more = words
            .iter()
            .any(|word| ["--histogram", "--context"].contains(word));
        let told = "loga: this is the first search";
        assert_eq!(shown.said.starts_with(told), has_more, "{}", shown.said);
        assert!(has_more || shown.said.is_empty(), "{}", shown.said);
        let (request, shown) = printed(&shown.printed);
        assert!(
            listener.searches.try_recv().is_err(),
            "{words:?}: nothing is looked for"
        );
        let ran = run(folder.path(), &words);
        assert_eq!(ran.code, Some(0), "{words:?}: {}", ran.said);
        let (path, mut sent) = listener.search();
        // Its id is only known to who opened it, and it stands for the index.
        if let Some(members) = sent.as_object_mut().filter(|_| path == "/_search") {
            assert!(members.remove("pit").is_some(), "{words:?}");
        }
        assert_eq!(shown, sent, "{words:?}");
        assert_eq!(request, format!("POST {}/logs/_search", listener.url));
    }
}

/// Answers of an index with three lines of one host, of which the query finds the second.
fn around(path: &str, body: &Value) -> (u16, Value) {
    let mut found = answer(path, body);
    if path.ends_with("/_field_caps") {
        let keyword =
            json!({"keyword": {"type": "keyword", "searchable": true, "aggregatable": true}});
        found["fields"]["host"] = keyword;
    }
    let Some(order) = body["sort"][0]["@timestamp"]["order"].as_str() else {
        return (200, found);
    };
    let (number, text) = match (order, body.get("search_after")) {
        (_, None) => (2, "two"),
        ("desc", _) => (1, "one"),
        _ => (3, "three"),
    };
    let mut hit = json!({
        "_index": "logs", "_id": number.to_string(), "_seq_no": number, "sort": [number, number, "logs"],
        "_source": {"host": "web-1", "message": text}
    });
    if body.get("highlight").is_some() {
        hit["highlight"] = json!({"message": [format!("\u{10fff0}{text}\u{10fff1}")]});
    }
    found["hits"]["hits"] = json!([hit]);
    (200, found)
}

#[test]
fn what_is_excluded_is_so_in_the_context_too() {
    let listener = Listener::answering(around);
    let folder = folder(&[]);
    let words = [
        "-e",
        &*listener.url,
        "-in",
        "logs",
        "--since",
        "2026-01-01",
        "--lucene",
        "two",
        "--exclude",
        "debug",
        "-C",
        "1",
    ];
    let ran = run(folder.path(), &words);
    assert_eq!(ran.code, Some(0), "{}", ran.said);
    let searches: Vec<Value> = listener
        .searches
        .try_iter()
        .map(|search| search.body)
        .collect();
    // The line, what is before it, and what is behind it.
    assert_eq!(searches.len(), 3, "{searches:?}");
    for body in searches {
        let excluded = &body["query"]["bool"]["must_not"][0]["query_string"]["query"];
        assert_eq!(excluded, "debug", "{body}");
    }
}

#[test]
fn what_was_found_is_told_from_what_stands_around_it() {
    let listener = Listener::answering(around);
    let folder = folder(&[]);
    let printed = |more: &[&str]| {
        let words = [
            "-e",
            &*listener.url,
            "--lucene",
            "two",
            "-C",
            "1",
            "--since",
        ];
        let ran = run(folder.path(), &[&words[..], &["2026-01-01"], more].concat());
        assert_eq!(ran.code, Some(0), "{}", ran.said);
        ran.printed
    };
    let plain = ["- web-1 one", ": web-1 two", "- web-1 three", ""];
    assert_eq!(printed(&[]), plain.join("\n"));
    assert_eq!(
        printed(&["--output", "message"]),
        plain.join("\n").replace("web-1 ", "")
    );
    assert_eq!(
        printed(&["--output", "message", "--color", "always"]),
        "\u{1b}[2m- one\u{1b}[0m\n: \u{1b}[1;33mtwo\u{1b}[0m\n\u{1b}[2m- three\u{1b}[0m\n"
    );
    // A template says itself what is shown.
    assert_eq!(
        printed(&["--output", "template={{message}}"]),
        "one\ntwo\nthree\n"
    );
    let json = printed(&["--output", "json"]);
    let remarks: Vec<Value> = json
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).expect("JSON")["_remark"].clone())
        .collect();
    assert_eq!(json!(remarks), json!(["context", null, "context"]));
}

#[test]
fn questions_that_no_index_matches_are_told_so() {
    let listener = Listener::answering(|path, body| {
        if path.contains("/_resolve/") {
            let nothing = json!({"indices": [], "aliases": [], "data_streams": []});
            return (200, nothing);
        }
        let mut found = answer(path, body);
        if let Some(found) = found.as_object_mut() {
            found.remove("aggregations");
            found.insert("count".into(), 0.into());
        }
        if path.ends_with("/_search") {
            found["hits"]["total"]["value"] = 0.into();
        }
        (200, found)
    });
    let folder = folder(&[]);
    for question in [
        &["--count-only"][..],
        &["--histogram"],
        &["--top", "level"],
        &["--top", "none"],
        &["-C", "1"],
    ] {
        let words = ["-e", &*listener.url, "--lucene", "a", "-in", "gone"];
        let ran = run(folder.path(), &[&words[..], question].concat());
        let told = "loga: no index matches `gone`; --index names others";
        assert!(ran.said.contains(told), "{question:?}: {}", ran.said);
    }
}

#[test]
fn counts_that_are_not_exact_are_told_so() {
    let listener = Listener::answering(|path, body| {
        let mut found = answer(path, body);
        if path.ends_with("/_search") {
            let buckets = json!([{"key": "error", "doc_count": 9}]);
            found["aggregations"] = json!({
                "top": {"doc_count_error_upper_bound": 4, "sum_other_doc_count": 2, "buckets": buckets}
            });
        }
        (200, found)
    });
    let folder = folder(&[]);
    let words = ["-e", &*listener.url, "--lucene", "a", "--top", "level"];
    let ran = run(folder.path(), &words);
    assert!(ran.said.contains("too low, by 4 at most"), "{}", ran.said);
}

/// Answers of a cluster that shows no checkpoints, so that it is followed by time.
fn by_time(path: &str, body: &Value) -> (u16, Value) {
    if path == "/" || path.ends_with("/_search") {
        return (200, answer(path, body));
    }
    let error = json!({"type": "security_exception", "reason": "no permissions"});
    (403, json!({"error": error, "status": 403}))
}

fn line(second: u32) -> Value {
    let time = format!("2026-01-02T03:04:0{second}Z");
    let millis = 1_767_323_040_000_u64 + 1_000 * u64::from(second);
    json!({
        "_index": "logs", "_id": second.to_string(), "_version": 1, "_seq_no": second, "sort": [millis, second],
        "_source": {"@timestamp": time, "message": format!("line {second}")}, "fields": {"@timestamp": [time]}
    })
}

#[test]
fn late_is_what_is_printed_behind_a_later_line() {
    let searches = Arc::new(AtomicU32::new(0));
    let listener = Listener::answering(move |path, body| {
        let (status, mut found) = by_time(path, body);
        if path.ends_with("/_search") {
            // What the first search did not show yet is held together with what it did.
            found["hits"]["hits"] = match searches.fetch_add(1, Ordering::Relaxed) {
                0 => json!([line(2)]),
                _ => json!([line(1), line(2)]),
            };
        }
        (status, found)
    });
    let folder = folder(&[]);
    let words = [
        "-e",
        &*listener.url,
        "-in",
        "logs",
        "--since",
        "2026-01-01",
        "--lucene",
        "line",
        "--follow",
        "--sync-interval",
        "0",
    ];
    let mut running = Running::start(folder.path(), &words);
    let lines = [running.line(), running.line()];
    // Where this machine stood still for half a second, the second came too late in fact.
    let is_late = lines[1].ends_with("line 1");
    assert_eq!(lines[0].ends_with("line 1"), !is_late, "{lines:?}");
    assert!(!lines[0].contains("(late)"), "{lines:?}");
    assert_eq!(lines[1].contains("(late)"), is_late, "{lines:?}");
    let (status, ..) = running.interrupt();
    assert!(status.success(), "{status}");
}

#[test]
fn a_file_of_state_is_gone_on_from() {
    let listener = Listener::answering(|path, body| {
        let (status, mut found) = by_time(path, body);
        if path.ends_with("/_search") {
            found["hits"]["hits"] = json!([line(1)]);
        }
        (status, found)
    });
    let folder = folder(&[]);
    let words = |more: &[&'static str]| {
        let url = listener.url.clone();
        let fixed = ["--lucene", "line", "--since", "2026-01-01", "-e"].map(str::to_owned);
        let more = more.iter().map(|word| (*word).to_owned());
        fixed
            .into_iter()
            .chain([url])
            .chain(more)
            .collect::<Vec<_>>()
    };
    let ran = run(folder.path(), &words(&["--state", "none/state"]));
    assert_eq!((ran.code, &*ran.printed), (Some(1), ""), "{}", ran.said);
    assert_eq!(
        ran.said,
        "loga: none/state: No such file or directory (os error 2)\n"
    );
    let mut running = Running::start(folder.path(), &words(&["--state", "state"]));
    running.line();
    let deadline = Instant::now() + DEADLINE;
    while !folder.path().join("state").exists() {
        assert!(Instant::now() < deadline, "it keeps its state");
        thread::sleep(Duration::from_millis(20));
    }
    assert!(running.interrupt().0.success());
    let mut running = Running::start(folder.path(), &words(&["--state", "state"]));
    running.says("loga: goes on from where state says");
    running.says("loga: --since has no effect where state says from when on");
    // What was shown is not shown again.
    let (status, printed, _) = running.interrupt();
    assert!(
        status.success() && printed.is_empty(),
        "{status} {printed:?}"
    );
}

#[test]
fn types_that_are_not_known_are_told() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let url = format!("http://{}", listener.local_addr().expect("ours"));
    drop(listener);
    let folder = folder(&[]);
    let ran = run(
        folder.path(),
        &["-e", &url, "--kql", "level: error", "--print-query"],
    );
    assert_eq!(ran.code, Some(0), "{}", ran.said);
    assert!(
        ran.said.contains("the types of the fields are not known"),
        "{}",
        ran.said
    );
    let (_, body) = printed(&ran.printed);
    assert_eq!(body["sort"][0]["@timestamp"]["order"], "asc");
}

#[test]
fn who_is_refused_is_told_how_to_log_in() {
    let refused = |_: &str, _: &Value| {
        let reason = "missing authentication credentials";
        let error = json!({"type": "security_exception", "reason": reason});
        (401, json!({"error": error, "status": 401}))
    };
    let listener = Listener::answering(refused);
    let folder = folder(&[]);
    // One that follows does not try again and again either.
    for words in [&["-d", "error"][..], &["--lucene", "error"]] {
        let ran = run(folder.path(), &[&["-e", &*listener.url], words].concat());
        assert_eq!((ran.code, &*ran.printed), (Some(1), ""), "{words:?}");
        let advice = "missing authentication credentials; --user NAME or --api-key-env VARIABLE says who we are\n";
        assert!(ran.said.ends_with(advice), "{words:?}: {}", ran.said);
        assert!(
            !ran.said.contains("trying again"),
            "{words:?}: {}",
            ran.said
        );
    }
}

#[test]
fn each_cluster_is_told_who_we_are_there() {
    let clusters: Vec<Listener> = (0..3).map(|_| Listener::start()).collect();
    let named: Vec<String> = ["eu", "us-1", "asia"]
        .iter()
        .zip(&clusters)
        .map(|(name, cluster)| format!("{name}={}", cluster.url))
        .collect();
    let mut words = vec!["--lucene", "error", "--count-only", "--danger-plain-http"];
    for name in &named {
        words.extend(["--cluster", name]);
    }
    words.extend([
        "--user",
        "alice",
        "--user",
        "us-1=bob=x",
        "--bearer-env",
        "asia=TOKEN",
    ]);
    let folder = folder(&[]);
    let output = command(folder.path(), &words)
        .env("LOGA_PASSWORD", "for all")
        .env("LOGA_PASSWORD_US_1", "for us")
        .env("TOKEN", "t0ken")
        .output()
        .expect("it runs");
    assert!(output.status.success(), "{output:?}");
    // `alice:for all` and `bob=x:for us`.
    for (cluster, expected) in clusters.iter().zip([
        "Basic YWxpY2U6Zm9yIGFsbA==",
        "Basic Ym9iPXg6Zm9yIHVz",
        "Bearer t0ken",
    ]) {
        let search = cluster.searches.recv_timeout(DEADLINE).expect("a search");
        assert_eq!(search.authorization.as_deref(), Some(expected));
    }
}

#[test]
fn no_cluster_waits_for_another() {
    // It takes connections and says nothing.
    let silent = TcpListener::bind("127.0.0.1:0").expect("a port");
    let silent = format!("one=http://{}", silent.local_addr().expect("ours"));
    let cluster = Listener::start();
    let other = format!("two={}", cluster.url);
    for question in [
        &["--kql", "level: error", "--count-only"][..],
        &["--lucene", "*", "--count-only"],
    ] {
        let words = [&["--cluster", &silent, "--cluster", &other], question].concat();
        let folder = folder(&[]);
        let began = Instant::now();
        let mut running = Running::start(folder.path(), &words);
        assert_eq!(running.line(), "[two] 1", "{question:?}");
        // Servers are given half a minute.
        assert!(began.elapsed() < Duration::from_secs(20), "{question:?}");
        running.interrupt();
    }
}

#[test]
fn a_password_goes_nowhere_in_plain_text_unless_that_is_asked_for() {
    for more in [
        &[][..],
        &["--print-query"],
        &["--count-only"],
        &["--follow"],
    ] {
        let words = [
            &[
                "--kql",
                "level: error",
                "-e",
                "http://es.invalid",
                "--user",
                "bob",
            ],
            more,
        ]
        .concat();
        let folder = folder(&[]);
        let output = command(folder.path(), &words)
            .env("LOGA_PASSWORD", "secret")
            .output()
            .expect("it runs");
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{more:?}: {said}");
        assert!(
            said.contains("http://es.invalid") && said.contains("allow it by --danger-plain-http"),
            "{more:?}: {said}"
        );
    }
}
