//! Points in time at a server of our own: real ones look for what has expired once a minute only, and open another at once.

use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use clusterops_logs::export::Export;
use clusterops_logs::http::HttpOptions;
use clusterops_logs::{Client, Query};
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};

use crate::support::indices;

#[tokio::test]
async fn a_slow_reader_has_its_point_in_time_renewed() {
    let (client, server) = start().await;
    let renewals = &server.renewals;
    let export = Export::new(&client, &indices("logs"), Query::match_all()).page_size(2);
    let mut pages = export
        .keep_alive(Duration::from_secs(1))
        .start()
        .await
        .unwrap();
    assert_eq!(pages.next().await.unwrap().unwrap().len(), 1);
    let until = tokio::time::Instant::now() + Duration::from_secs(30);
    while renewals.lock().unwrap().len() < 3 {
        assert!(tokio::time::Instant::now() < until, "nothing was renewed");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert!(
        renewals
            .lock()
            .unwrap()
            .iter()
            .all(|pit| *pit == json!({"id": "the first", "keep_alive": "1s"}))
    );
}

#[tokio::test]
async fn a_point_in_time_that_cannot_be_replaced_at_once_is_waited_for() {
    let (client, server) = start().await;
    let export = Export::new(&client, &indices("logs"), Query::match_all()).page_size(2);
    let mut pages = export.start().await.unwrap();
    assert_eq!(pages.next().await.unwrap().unwrap().len(), 1);
    server.has_lost_it.store(true, Ordering::Relaxed);
    for _ in 0..5 {
        assert_eq!(pages.next().await.unwrap().unwrap().len(), 1);
    }
    assert_eq!(pages.breaks().len(), 1);
    assert_eq!(server.requests.load(Ordering::Relaxed), REFUSALS + 1);
    assert!(server.is_in_another.load(Ordering::Relaxed));
}

/// How often a lost point in time cannot be replaced: more often than a client tries by itself.
const REFUSALS: u32 = 10;

/// What a server was asked, and is to do.
#[derive(Default)]
struct State {
    renewals: Mutex<Vec<Value>>,
    has_lost_it: AtomicBool,
    /// How often another one was asked for.
    requests: AtomicU32,
    is_in_another: AtomicBool,
}

/// Ends with the test's runtime.
async fn start() -> (Client, Arc<State>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let state = Arc::new(State::default());
    let seen = Arc::clone(&state);
    tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            tokio::spawn(serve(stream, Arc::clone(&seen)));
        }
    });
    let client = Client::new(&[url], HttpOptions::default()).unwrap();
    (client, state)
}

/// Answers as a server with an endless index; notes what renews.
async fn serve(stream: TcpStream, state: Arc<State>) {
    let mut stream = BufReader::new(stream);
    loop {
        let (mut head, mut length) = (String::new(), 0);
        loop {
            let mut line = String::new();
            if stream.read_line(&mut line).await.unwrap_or(0) == 0 {
                return;
            }
            let lower = line.to_ascii_lowercase();
            if let Some(value) = lower.strip_prefix("content-length:") {
                length = value.trim().parse().unwrap();
            }
            if line == "\r\n" {
                break;
            }
            head.push_str(&line);
        }
        let mut body = vec![0; length];
        stream.read_exact(&mut body).await.unwrap();
        let body: Value = serde_json::from_slice(&body).unwrap_or(Value::Null);
        let hit = |number: u64| json!({"_index": "logs", "_id": number.to_string(), "_source": {}, "sort": [number]});
        let has_lost_it = state.has_lost_it.load(Ordering::Relaxed);
        let is_in_another = body["pit"]["id"] == "the second";
        state
            .is_in_another
            .fetch_or(is_in_another, Ordering::Relaxed);
        let mut status = "200 OK";
        let answer = if head.contains("point_in_time") && has_lost_it {
            match state.requests.fetch_add(1, Ordering::Relaxed) < REFUSALS {
                true => {
                    status = "503 Service Unavailable";
                    json!({"error": {"type": "no_shard_available_action_exception"}, "status": 503})
                }
                false => json!({"pit_id": "the second"}),
            }
        } else if head.contains("point_in_time") {
            json!({"pit_id": "the first"})
        } else if has_lost_it && body["pit"]["id"] == "the first" {
            status = "404 Not Found";
            json!({"error": {"type": "search_context_missing_exception"}, "status": 404})
        } else if head.starts_with("GET / ") {
            json!({"version": {"distribution": "opensearch", "number": "2.19.1"}})
        } else if body["query"]["match_none"].is_object() {
            state.renewals.lock().unwrap().push(body["pit"].clone());
            json!({"hits": {"hits": []}})
        } else if body["aggs"].is_object() {
            let highest = json!({"value": 1000.0});
            let buckets = json!([{"key": "logs", "doc_count": 1000, "highest": highest}]);
            let indices = json!({"sum_other_doc_count": 0, "buckets": buckets});
            json!({"hits": {"total": {"value": 1000, "relation": "eq"}, "hits": []}, "aggregations": {"highest": highest, "indices": indices}})
        } else {
            let after = body["search_after"][0].as_u64().unwrap_or(0);
            json!({"hits": {"total": {"value": 1000, "relation": "eq"}, "hits": [hit(after + 1), hit(after + 2)]}})
        };
        let answer = answer.to_string();
        let head = format!(
            "HTTP/1.1 {status}\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n",
            answer.len()
        );
        stream
            .write_all(format!("{head}{answer}").as_bytes())
            .await
            .unwrap();
    }
}
