//! A reader that is slow, at a server of our own: real ones look for what has expired once a minute only.

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
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let renewals = Arc::new(Mutex::new(Vec::new()));
    let seen = Arc::clone(&renewals);
    let server = tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            tokio::spawn(serve(stream, Arc::clone(&seen)));
        }
    });
    let client = Client::new(&[url], HttpOptions::default()).unwrap();
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
    drop(pages);
    server.abort();
}

/// Answers as a server with an endless index; notes what renews.
async fn serve(stream: TcpStream, renewals: Arc<Mutex<Vec<Value>>>) {
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
        let answer = if head.contains("point_in_time") {
            json!({"pit_id": "the first"})
        } else if head.starts_with("GET / ") {
            json!({"version": {"distribution": "opensearch", "number": "2.19.1"}})
        } else if body["query"]["match_none"].is_object() {
            renewals.lock().unwrap().push(body["pit"].clone());
            json!({"hits": {"hits": []}})
        } else if body["aggs"].is_object() {
            let highest = json!({"value": 1000.0});
            let buckets = json!([{"key": "logs", "doc_count": 1000, "highest": highest}]);
            let indices = json!({"sum_other_doc_count": 0, "buckets": buckets});
            json!({"hits": {"total": {"value": 1000, "relation": "eq"}, "hits": []}, "aggregations": {"highest": highest, "indices": indices}})
        } else {
            let after = body["search_after"][0].as_u64().unwrap_or(0);
            json!({"hits": {"hits": [hit(after + 1), hit(after + 2)]}})
        };
        let answer = answer.to_string();
        let head = format!(
            "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n",
            answer.len()
        );
        stream
            .write_all(format!("{head}{answer}").as_bytes())
            .await
            .unwrap();
    }
}
