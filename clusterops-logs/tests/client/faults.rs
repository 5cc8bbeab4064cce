//! Nodes that fail, and answers that are none.

use std::time::{Duration, Instant};

use clusterops_logs::client::Bulk;
use clusterops_logs::http::HttpRequest;
use clusterops_logs::{Client, Error, ErrorKind, Indices, Query, Search};
use serde_json::json;
use tokio::net::TcpListener;

use crate::stand::{Reply, Stand, quick};

const PAGE: &str = r#"{"took":1,"timed_out":false,"_shards":{"total":1,"successful":1,"failed":0},"hits":{"hits":[{"_index":"a","_id":"1"}]}}"#;

fn logs() -> Indices {
    Indices::new("logs").unwrap()
}

fn all() -> Search {
    Search::new(Query::match_all())
}

async fn search(client: &Client) -> Result<usize, Error> {
    Ok(client.search(&logs(), &all()).await?.hits.len())
}

async fn page() -> Stand {
    Stand::start(|_, _| Reply::json(200, PAGE)).await
}

fn both(first: &Stand, second: &Stand) -> Client {
    Client::new(&[&first.url, &second.url], quick()).unwrap()
}

fn bulk() -> Bulk {
    Bulk::new().index("logs", None, &json!({"a": 1})).unwrap()
}

#[tokio::test]
async fn another_node_takes_over_and_stays() {
    let gone = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", gone.local_addr().unwrap());
    drop(gone);
    let well = page().await;
    let client = Client::new(&[&url, &well.url], quick()).unwrap();
    // What did not reach a node may be sent to another, whatever it is.
    let request = HttpRequest::post("/_anything");
    client.send(request).await.unwrap();

    for broken in [
        Reply::json(503, "{}"),
        Reply::json(502, "<html>"),
        Reply::Bytes(Vec::new()),
        Reply::Bytes(b"HTTP/1.1 200 OK\r\nContent-Length: 900\r\n\r\n{\"took\":1".to_vec()),
    ] {
        let ill = Stand::start(move |_, _| broken.clone()).await;
        let well = page().await;
        let client = both(&ill, &well);
        for _ in 0..3 {
            assert_eq!(search(&client).await.unwrap(), 1);
        }
        assert_eq!((ill.seen().len(), well.seen().len()), (1, 3));
    }
}

#[tokio::test]
async fn what_may_have_been_done_is_not_sent_again() {
    for broken in [
        Reply::Bytes(Vec::new()),
        Reply::json(503, "{}"),
        // What a proxy answers for a node that was lost after it had written.
        Reply::with(503, "Retry-After: 0\r\n", b"{}"),
        Reply::json(429, "{}"),
    ] {
        let ill = Stand::start(move |_, _| broken.clone()).await;
        let well = Stand::start(|_, _| Reply::json(200, r#"{"errors":false,"items":[]}"#)).await;
        let client = both(&ill, &well);
        client.bulk(&bulk()).await.unwrap_err();
        assert_eq!((ill.seen().len(), well.seen().len()), (1, 0));
    }
}

#[tokio::test]
async fn a_node_that_hangs_is_left_where_an_attempt_has_a_deadline() {
    let ill = Stand::start(|_, _| Reply::Hang(Vec::new())).await;
    let well = page().await;
    let options = quick().attempt_deadline(Duration::from_millis(200));
    let client = Client::new(&[&ill.url, &well.url], options).unwrap();
    assert_eq!(search(&client).await.unwrap(), 1);
    // Without one, the next call goes elsewhere.
    let options = quick().deadline(Duration::from_millis(200));
    let client = Client::new(&[&ill.url, &well.url], options).unwrap();
    assert_eq!(
        search(&client).await.unwrap_err().kind(),
        ErrorKind::Timeout
    );
    assert_eq!(search(&client).await.unwrap(), 1);
}

#[tokio::test]
async fn a_busy_server_is_asked_again_when_it_says() {
    let stand = Stand::start(|_, before| match before {
        0 => Reply::with(429, "Retry-After: 0\r\n", b"{}"),
        1 => Reply::json(429, "{}"),
        _ => Reply::json(200, PAGE),
    })
    .await;
    assert_eq!(search(&stand.client()).await.unwrap(), 1);
    assert_eq!(stand.seen().len(), 3);
}

#[tokio::test]
async fn answers_that_are_none_are_told() {
    let endless = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n".to_vec();
    let chunk = [b"4000\r\n".to_vec(), vec![b' '; 0x4000], b"\r\n".to_vec()].concat();
    let bomb = bomb(20 << 20);
    assert!(bomb.len() < 200_000);
    for (reply, words) in [
        (Reply::json(200, "<html>proxy</html>"), "no JSON"),
        (Reply::json(200, ""), "ends in the middle"),
        (Reply::json(200, r#"{"hits":7}"#), "another shape"),
        (Reply::json(200, r#"{"took":1}"#), "another shape"),
        (
            Reply::with(200, "Content-Encoding: gzip\r\n", &bomb),
            "bytes that are read",
        ),
        (
            Reply::with(200, "Content-Encoding: gzip\r\n", b"no gzip at all"),
            "gzip",
        ),
        (Reply::Endless(endless, chunk), "bytes that are read"),
    ] {
        let stand = Stand::start(move |_, _| reply.clone()).await;
        let error = search(&stand.client()).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Answer, "{error}");
        assert!(error.message().contains(words), "{words}: {error}");
    }
}

#[tokio::test]
async fn an_error_has_the_name_that_the_server_gives_it_and_no_other() {
    let named = r#"{"error":{"type":"exception","reason":"x","caused_by":{"type":"remote_transport_exception","reason":"y",
        "caused_by":{"type":"no_such_thing_exception","reason":"the real one"}}},"status":400}"#;
    for (body, name, words) in [
        (
            named,
            Some("no_such_thing_exception"),
            "400: no_such_thing_exception: the real one",
        ),
        // As gateways say it.
        (r#"{"message":"not today"}"#, None, "400: not today"),
        (
            r#"{"error":{"reason":null},"status":400}"#,
            None,
            "400: no reason is given",
        ),
    ] {
        let stand = Stand::start(move |_, _| Reply::json(400, body)).await;
        let error = search(&stand.client()).await.unwrap_err();
        assert_eq!(error.server_type(), name, "{error}");
        assert!(error.message().ends_with(words), "{error}");
    }
}

#[tokio::test]
async fn a_stream_ends_with_an_error_where_the_page_does_not_end_well() {
    let head = "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n";
    let hit = r#"{"_index":"a","_id":"1"}"#;
    let after = format!(
        r#"{{"timed_out":false,"hits":{{"hits":[{hit},{hit}]}},"_shards":{{"total":2,"failed":1,"failures":[]}}}}"#
    );
    let before = r#"{"timed_out":true,"_shards":{"total":2},"hits":{"hits":[{"_index":"a"}]}}"#;
    let torn = r#"{"timed_out":false,"hits":{"hits":[{"_index":"a"},{"_ind"#;
    for (body, hits, kind) in [
        (&*after, 2, ErrorKind::Partial),
        (before, 0, ErrorKind::Partial),
        (torn, 1, ErrorKind::Answer),
        ("", 0, ErrorKind::Answer),
        ("<html>", 0, ErrorKind::Answer),
        (r#"{"hits":{"hits":[1]}}"#, 0, ErrorKind::Answer),
    ] {
        let bytes = format!("{head}{body}").into_bytes();
        let stand = Stand::start(move |_, _| Reply::Bytes(bytes.clone())).await;
        let mut reader = stand.client().read(&logs(), &all()).await.unwrap();
        let mut count = 0;
        let error = loop {
            match reader.next().await {
                Ok(Some(_)) => count += 1,
                Ok(None) => panic!("{body}: no error"),
                Err(error) => break error,
            }
        };
        assert_eq!((count, error.kind()), (hits, kind), "{body}: {error}");
    }

    // Whoever wants it takes what there is.
    let bytes = format!("{head}{before}").into_bytes();
    let stand = Stand::start(move |_, _| Reply::Bytes(bytes.clone())).await;
    let mut reader = stand
        .client()
        .read(&logs(), &all())
        .await
        .unwrap()
        .partial();
    assert!(reader.next().await.unwrap().is_some());
    assert!(reader.finish().await.unwrap().shortfall().is_some());
}

#[tokio::test]
async fn a_stream_that_stops_ends_at_the_deadline_between_its_pieces() {
    let bytes = b"HTTP/1.1 200 OK\r\nContent-Length: 900\r\n\r\n{\"took\":1".to_vec();
    let stand = Stand::start(move |_, _| Reply::Hang(bytes.clone())).await;
    let options = quick().deadline(Duration::from_millis(200));
    let client = Client::new(&[&stand.url], options).unwrap();
    let began = Instant::now();
    let mut reader = client.read(&logs(), &all()).await.unwrap();
    let error = reader.next().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Timeout);
    assert!(began.elapsed() < Duration::from_secs(10));
}

#[tokio::test]
async fn a_bulk_in_which_something_failed_is_an_error_and_is_taken_by_who_wants_it() {
    // As OpenSearch 2.19.1 answered.
    let answer = r#"{"took":3,"errors":true,"items":[{"index":{"_index":"logs","_id":"1","_version":1,"_seq_no":0,"status":201}},
        {"create":{"_index":"logs","_id":"2","status":400,"error":{"type":"mapper_parsing_exception","reason":"failed to parse field [a]"}}}]}"#;
    let stand = Stand::start(move |_, _| Reply::json(200, answer)).await;
    let client = stand.client();
    let error = client.bulk(&bulk()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Partial);
    assert!(
        error.message().contains("1 of 2 documents") && error.message().contains("logs/2"),
        "{error}"
    );
    assert!(!error.is_retryable());
    let answer = client.bulk_partial(&bulk()).await.unwrap();
    assert_eq!(
        (answer.items[0].seq_no, answer.items[1].status),
        (Some(0), 400)
    );
}

/// A gzip (RFC 1952, 1951) of so many zeros: a literal, then copies of it of 258 bytes each in 13 bits.
fn bomb(length: usize) -> Vec<u8> {
    let mut bits = "110".to_owned() + "00110000";
    for _ in 0..length / 258 {
        bits += "1100010100000";
    }
    bits += "0000000";
    let bits: Vec<_> = bits.bytes().map(|bit| bit - b'0').collect();
    let mut bytes = vec![0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255];
    for eight in bits.chunks(8) {
        bytes.push(eight.iter().rev().fold(0, |byte, bit| byte << 1 | bit));
    }
    bytes
}
