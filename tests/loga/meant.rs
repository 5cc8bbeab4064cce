//! The arguments of the recorded cases mean what they meant: the same query, window and count.

use clusterops::logs::jiff::Timestamp;
use serde_json::Value;

use super::{LOGA_YAML, folder, run};

struct Sent {
    url: String,
    body: Value,
}

fn sent(printed: &str) -> Sent {
    let (first, body) = printed.split_once('\n').expect("a line and a body");
    Sent {
        url: first.strip_prefix("POST ").expect("its method").to_owned(),
        body: serde_json::from_str(body).expect("JSON"),
    }
}

/// Runs the cases that sent something, with the files that they had.
fn compare(
    cases: &str,
    files: impl Fn(&str) -> Vec<(&'static str, String)>,
    leave_out: &[&str],
) -> usize {
    let cases: Vec<Value> = serde_json::from_str(cases).expect("JSON");
    let mut compared = 0;
    for case in &cases {
        let name = case["case"].as_str().expect("a name");
        let Some(request) = case["requests"].get(0) else {
            continue;
        };
        if leave_out.contains(&name) {
            continue;
        }
        let arguments: Vec<&str> = case["args"]
            .as_array()
            .expect("words")
            .iter()
            .filter_map(Value::as_str)
            .collect();
        let after = |flag: &str| {
            let at = arguments.iter().position(|word| *word == flag)?;
            arguments.get(at + 1).copied()
        };
        let start: f64 = after("-st").map_or(0.0, |minutes| minutes.parse().expect("minutes"));
        let index = after("-in").unwrap_or("logstash-*").to_owned();
        let port = after("-p").unwrap_or("9200").to_owned();
        let files = files(name);
        let files: Vec<(&str, &str)> = files
            .iter()
            .map(|(name, text)| (*name, text.as_str()))
            .collect();
        let folder = folder(&files);
        let now = Timestamp::now();
        let ran = run(
            folder.path(),
            &[&arguments[..], &["--print-query"]].concat(),
        );
        assert_eq!(ran.code, Some(0), "{name}: {}", ran.said);
        let sent = sent(&ran.printed);

        let theirs: Value =
            serde_json::from_str(request["body"].as_str().expect("a body")).expect("JSON");
        let query = &theirs["query"]["filtered"]["query"]["query_string"]["query"];
        // The numbers of the shard, what is looked for, and since when.
        let ours = &sent.body["query"]["bool"]["filter"];
        assert_eq!(&ours[1]["query_string"]["query"], query, "{name}");
        let window = request["window_seconds"].as_f64().expect("seconds");
        let range = &ours[2]["range"]["@timestamp"];
        let from: Timestamp = range["gte"]
            .as_str()
            .expect("a time")
            .parse()
            .expect("a time");
        let ago = now.duration_since(from).as_secs_f64();
        assert!(
            (ago - start * 60.0 - window).abs() < 30.0,
            "{name}: {ago} s, not {window} before {start} min"
        );
        // The end of the window is not fixed.
        assert_eq!(range.get("lte").or(range.get("lt")), None, "{name}");
        let size = sent.body.get("size").unwrap_or(&Value::from(500)).clone();
        let count = after("-co").map_or(theirs["size"].clone(), |count| {
            count.parse::<u32>().expect("a count").into()
        });
        assert_eq!(size, count, "{name}");
        // And the index is the one that was named.
        assert_eq!(
            sent.url,
            format!("http://127.0.0.1:{port}/{index}/_search"),
            "{name}"
        );
        compared += 1;
    }
    compared
}

#[test]
fn as_in_its_last_version() {
    let files = |case: &str| {
        let text = match case {
            "no-config" => return vec![],
            "count-yaml" => LOGA_YAML.replace("count: 500", "count: 10"),
            "string-port-yaml" => LOGA_YAML.replace("\"9200\"", "9200"),
            "host-highlight" | "host-plain" => format!("{LOGA_YAML}search_host: true\n"),
            _ => LOGA_YAML.to_owned(),
        };
        vec![("loga.yaml", text)]
    };
    // In those two the configuration cannot be read, which was not told.
    let compared = compare(
        include_str!("data/cases-head.json"),
        files,
        &["bad-yaml", "c-ignored"],
    );
    assert!(compared >= 20, "{compared}");
}

#[test]
fn as_in_0_0_12() {
    let text = include_str!("data/config-0.0.12.yaml");
    let files = |_: &str| vec![("home/.loga/config.yaml", text.to_owned())];
    // They searched for `Service not found` and for `nil`.
    let compared = compare(
        include_str!("data/cases-0.0.12.json"),
        files,
        &["s-unknown", "none"],
    );
    assert!(compared >= 10, "{compared}");
}
