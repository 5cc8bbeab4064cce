//! The HTTP client against a server that misbehaves.
#![cfg(feature = "http")]
#![expect(clippy::unwrap_used, reason = "a test that fails says where")]

#[expect(dead_code, reason = "some of it is for the tests of Marathon")]
mod support;

use std::collections::HashMap;
use std::time::{Duration, Instant};

use clusterops_core::http::{
    HttpClient, HttpNodes, HttpOptions, HttpRequest, HttpRetries, Withhold,
};
use clusterops_core::{Error, ErrorKind};
use serde_json::Value;
use support::{AUTHORITY, CLIENT, CLIENT_KEY, Reply, Server};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpListener;

const SECRET: &str = "hunter2-correct-horse";

fn quick() -> HttpOptions {
    HttpOptions::default().retries(HttpRetries {
        attempts: 3,
        first_pause: Duration::from_millis(2),
        longest_pause: Duration::from_millis(10),
    })
}

fn client(server: &Server, options: HttpOptions) -> HttpClient {
    HttpClient::new(&server.url(), options).unwrap()
}

async fn get(server: &Server, options: HttpOptions) -> Result<String, Error> {
    let answer = client(server, options).send(HttpRequest::get("/x")).await?;
    Ok(String::from_utf8_lossy(answer.body()).into_owned())
}

/// Everything that an error shows to anybody.
fn told(error: &Error) -> String {
    let mut told = format!("{error} {error:?}");
    let mut cause = std::error::Error::source(error);
    while let Some(error) = cause {
        told.push_str(&format!(" {error} {error:?}"));
        cause = error.source();
    }
    told
}

#[tokio::test]
async fn credentials_go_as_their_kind_wants_it() {
    let server = Server::start(|_, _| Reply::json(200, "{}")).await;
    for (options, header, value) in [
        (
            quick().basic("me", "a:b"),
            "authorization",
            "Basic bWU6YTpi",
        ),
        (
            quick().bearer(SECRET),
            "authorization",
            "Bearer hunter2-correct-horse",
        ),
        (
            quick().dcos_token(SECRET),
            "authorization",
            "token=hunter2-correct-horse",
        ),
        (quick().api_key("X-API-Key", SECRET), "x-api-key", SECRET),
        (
            quick().authorization("ApiKey", SECRET),
            "authorization",
            "ApiKey hunter2-correct-horse",
        ),
    ] {
        let client = client(&server, options);
        assert!(!format!("{client:?}").contains("hunter2"));
        client.send(HttpRequest::get("/x")).await.unwrap();
        assert_eq!(server.seen().last().unwrap().header(header), [value]);
    }
}

#[tokio::test]
async fn paths_and_queries_are_encoded_and_stand_below_the_url() {
    let server = Server::start(|_, _| Reply::json(200, "{}")).await;
    let url = format!("{}/service/marathon/", server.url());
    let client = HttpClient::new(&url, quick()).unwrap();
    let request = HttpRequest::get("/v2/apps")
        .segment("a/b ?")
        .query("embed", "a&b");
    client.send(request).await.unwrap();
    assert_eq!(
        server.seen()[0].target,
        "/service/marathon/v2/apps/a%2Fb%20%3F?embed=a%26b"
    );
    for path in ["x", "/../x", "/a/%2e%2E/b", "/a?b", "/a#b", "/a\\b"] {
        let error = client.send(HttpRequest::get(path)).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Options, "{path}");
    }
    assert_eq!(server.seen().len(), 1);
}

#[tokio::test]
async fn an_answer_that_says_later_is_asked_for_again() {
    for (request, answer, times) in [
        (HttpRequest::get("/x"), Reply::json(503, "{}"), 3),
        (HttpRequest::put("/x"), Reply::json(429, "{}"), 3),
        (HttpRequest::post("/x"), Reply::json(503, "{}"), 1),
        (
            HttpRequest::post("/x").repeatable(true),
            Reply::json(502, "{}"),
            3,
        ),
        (
            HttpRequest::post("/x"),
            Reply::with(429, "Retry-After: 0\r\n", ""),
            3,
        ),
        (
            HttpRequest::post("/x"),
            Reply::with(503, "Retry-After: 0\r\n", ""),
            1,
        ),
        (
            HttpRequest::post("/x").repeatable(true),
            Reply::with(503, "Retry-After: 0\r\n", ""),
            3,
        ),
        (HttpRequest::get("/x"), Reply::json(500, "{}"), 1),
        (HttpRequest::get("/x"), Reply::Drop, 3),
        (HttpRequest::post("/x"), Reply::Drop, 1),
        (
            HttpRequest::get("/x"),
            Reply::Raw("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n{\"a\"".into()),
            3,
        ),
    ] {
        let name = format!("{request:?} {answer:?}");
        let server = Server::start(move |_, before| match before {
            2 => Reply::json(200, "done"),
            _ => answer.clone(),
        })
        .await;
        let outcome = client(&server, quick()).send(request).await;
        assert_eq!(server.seen().len(), times, "{name}");
        match outcome {
            Ok(answer) => assert_eq!(answer.is_success(), times == 3, "{name}"),
            Err(error) => {
                assert_eq!((error.kind(), times), (ErrorKind::Connection, 1), "{name}");
                assert!(!error.is_retryable(), "{name}");
                assert!(error.message().contains("not known"), "{error}");
            }
        }
    }
}

#[tokio::test]
async fn a_pause_past_the_deadline_is_not_waited_for() {
    let server = Server::start(|_, _| Reply::with(503, "Retry-After: 3600\r\n", "")).await;
    let began = Instant::now();
    let answer = client(&server, quick())
        .send(HttpRequest::get("/x"))
        .await
        .unwrap();
    assert_eq!((answer.status(), server.seen().len()), (503, 1));
    let error = answer.into_success().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    assert!(error.is_retryable());
    assert!(began.elapsed() < Duration::from_secs(10));
}

#[tokio::test]
async fn slow_and_silent_answers_end_at_the_deadline() {
    let drip = "HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n".to_owned() + &"x".repeat(1000);
    for reply in [Reply::Hang, Reply::Drip(drip, Duration::from_millis(20))] {
        let server = Server::start(move |_, _| reply.clone()).await;
        let options = quick().deadline(Duration::from_millis(200));
        let began = Instant::now();
        let error = get(&server, options).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Timeout);
        assert!(error.is_retryable());
        assert!(error.message().contains("200ms"), "{error}");
        assert!(began.elapsed() < Duration::from_secs(5));
    }
}

#[tokio::test]
async fn an_answer_longer_than_the_limit_is_not_read() {
    let chunks = "400\r\n".to_owned() + &"x".repeat(1024) + "\r\n";
    let chunked = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n".to_owned();
    for reply in [
        Reply::json(200, "x".repeat(4097)),
        Reply::Raw("HTTP/1.1 200 OK\r\nContent-Length: 99999999999999\r\n\r\n".into()),
        Reply::Raw(chunked + &chunks.repeat(5) + "0\r\n\r\n"),
    ] {
        let server = Server::start(move |_, _| reply.clone()).await;
        let error = get(&server, quick().body_limit(4096)).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Answer);
        assert!(error.message().contains("4096"), "{error}");
    }
    let server = Server::start(|_, _| Reply::json(200, "x".repeat(4096))).await;
    assert_eq!(
        get(&server, quick().body_limit(4096)).await.unwrap().len(),
        4096
    );
}

#[tokio::test]
async fn redirects_are_errors_and_nothing_is_sent_there() {
    let there = Server::start(|_, _| Reply::json(200, "{}")).await;
    for status in [301, 302, 303, 307, 308] {
        let to = format!("http://u:pw@{}/login?ticket=1#x", there.address);
        let lines = format!("Location: {to}\r\n");
        let here = Server::start(move |_, _| Reply::with(status, &lines, "")).await;
        let error = get(&here, quick().bearer(SECRET)).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Redirect);
        let shown = format!("http://{}/login", there.address);
        assert!(error.message().contains(&shown), "{error}");
        assert!(
            !error.message().contains("ticket") && !error.message().contains("pw@"),
            "{error}"
        );
        assert_eq!(here.seen().len(), 1);
    }
    assert!(there.seen().is_empty());
}

#[tokio::test]
async fn a_redirect_that_repeats_what_was_sent_is_not_shown() {
    let server = Server::start(|request, _| {
        let repeated = match request.body.is_empty() {
            true => request.header("authorization")[0].replace(' ', "-"),
            false => request.body.clone(),
        };
        Reply::with(
            307,
            &format!("Location: http://elsewhere/{repeated}\r\n"),
            "",
        )
    })
    .await;
    let client = client(&server, quick().bearer(SECRET));
    let body = "posted-words".to_owned().into_bytes().into();
    for request in [
        HttpRequest::get("/x"),
        HttpRequest::post("/x").body("text/plain", &body),
    ] {
        let error = client.send(request).await.unwrap_err();
        let told = told(&error);
        assert!(told.contains(Withhold::MARK), "{told}");
        assert!(
            !told.contains("hunter2") && !told.contains("posted"),
            "{told}"
        );
    }
}

#[tokio::test]
async fn secrets_travel_over_plain_http_to_this_machine_only() {
    let url = "http://192.0.2.1:8080";
    for options in [quick().basic("me", SECRET), quick().bearer(SECRET)] {
        let error = HttpClient::new(url, options.clone()).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Options);
        assert!(error.message().contains("danger_plain_http"), "{error}");
        assert!(!told(&error).contains("hunter2"));
        HttpClient::new(url, options.clone().danger_plain_http(true)).unwrap();
        for here in ["http://127.0.0.1:1", "http://[::1]:1", "http://localhost:1"] {
            HttpClient::new(here, options.clone()).unwrap();
            // A proxy would read it.
            HttpClient::new(here, options.clone().environment_proxies(true)).unwrap_err();
        }
    }
    let client = HttpClient::new(url, quick()).unwrap();
    let request = HttpRequest::put("/x").json(&format!("{{\"a\":\"{SECRET}\"}}").into());
    let error = client.send(request).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Options);
    assert!(!told(&error).contains("hunter2"));
}

#[test]
fn urls_with_credentials_and_other_odd_ones_are_refused_without_showing_them() {
    for url in [
        "https://me:hunter2-correct-horse@host/",
        "https://hunter2-correct-horse@host/",
        "https://host/?key=hunter2-correct-horse",
        "https://host/#hunter2-correct-horse",
        "ftp://hunter2-correct-horse@host/",
        "https://me:hunter2-correct-horse@host:port/",
        "hunter2-correct-horse",
        "",
    ] {
        let error = HttpClient::new(url, quick()).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Options, "{url}");
        assert!(!told(&error).contains("hunter2"), "{error:?}");
    }
    for options in [
        quick().bearer("two\nlines-hunter2"),
        quick().basic("a:b", SECRET),
        quick().api_key("no name", SECRET),
        quick().authority("no certificate"),
        quick().client_certificate(CLIENT, "no key"),
        quick().client_certificate("no certificate", CLIENT_KEY),
        quick().client_certificate(AUTHORITY, CLIENT_KEY),
    ] {
        let error = HttpClient::new("https://host", options).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Options, "{error}");
        assert!(!told(&error).contains("hunter2"), "{error:?}");
    }
}

#[tokio::test]
async fn tls_trusts_the_authority_that_is_given_and_no_other() {
    let server = Server::tls(false, |_, _| Reply::json(200, "hello")).await;
    assert_eq!(
        get(&server, quick().authority(AUTHORITY)).await.unwrap(),
        "hello"
    );
    // The certificate is good and for another authority; nothing was sent.
    let error = get(&server, quick().bearer(SECRET)).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Tls);
    assert!(!error.is_retryable());
    assert_eq!(server.seen().len(), 1);
}

#[tokio::test]
async fn tls_wants_the_name_of_the_certificate() {
    // The server is reached as 127.0.0.2, which its certificate does not name.
    let server = Server::tls_at("127.0.0.2:0", |_, _| Reply::json(200, "hello")).await;
    let error = get(&server, quick().authority(AUTHORITY))
        .await
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Tls, "{}", told(&error));
    assert!(server.seen().is_empty());
}

#[tokio::test]
async fn a_client_certificate_opens_what_wants_one() {
    let server = Server::tls(true, |_, _| Reply::json(200, "hello")).await;
    let options = quick().authority(AUTHORITY);
    let error = get(&server, options.clone()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Tls, "{}", told(&error));
    assert!(server.seen().is_empty());
    let options = options.client_certificate(CLIENT, CLIENT_KEY);
    assert!(!format!("{options:?}").contains("PRIVATE"));
    assert_eq!(get(&server, options).await.unwrap(), "hello");
}

#[tokio::test]
async fn what_does_not_speak_the_protocol_is_told_as_such() {
    let plain = Server::start(|_, _| Reply::Raw("SSH-2.0-OpenSSH_10.0\r\n".into())).await;
    let error = get(&plain, quick()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Answer, "{}", told(&error));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("https://{}", listener.local_addr().unwrap());
    let greeter = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        stream
            .write_all(b"220 mail ESMTP ready, go ahead\r\n")
            .await
            .unwrap();
        std::future::pending::<()>().await;
    });
    let client = HttpClient::new(&url, quick().authority(AUTHORITY)).unwrap();
    let error = client.send(HttpRequest::get("/x")).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Tls, "{}", told(&error));
    assert!(error.message().contains("does not speak TLS"), "{error}");
    greeter.abort();
    // A port that nobody listens on.
    let url = plain.url();
    drop(plain);
    tokio::task::yield_now().await;
    let client = HttpClient::new(&url, quick()).unwrap();
    let error = client.send(HttpRequest::post("/x")).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Connection);
    assert!(error.is_retryable());
}

#[tokio::test]
async fn answers_that_are_not_what_they_say_are_told_without_quoting_them() {
    let secret = format!("{{\"a\": \"{SECRET}\"}}");
    for (reply, what) in [
        (
            Reply::with(
                200,
                "Content-Type: application/json\r\n",
                "<html>hunter2</html>",
            ),
            "page for people",
        ),
        (Reply::json(200, ""), "empty"),
        (Reply::json(200, "hunter2"), "no JSON"),
        (Reply::json(200, secret.clone()), "another shape"),
        // Shorter than it is.
        (
            Reply::Raw(format!(
                "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n{secret}"
            )),
            "middle",
        ),
    ] {
        let server = Server::start(move |_, _| reply.clone()).await;
        let answer = client(&server, quick())
            .send(HttpRequest::get("/x"))
            .await
            .unwrap();
        assert!(!format!("{answer:?}").contains("hunter2"));
        let error = answer.json::<HashMap<String, u32>>().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Answer);
        assert!(error.message().contains(what), "{error}");
        assert!(!told(&error).contains("hunter2"), "{error:?}");
    }
}

#[tokio::test]
async fn statuses_have_kinds() {
    for (status, kind) in [
        (401, ErrorKind::Denied),
        (403, ErrorKind::Denied),
        (404, ErrorKind::NotFound),
        (409, ErrorKind::Rejected),
        (422, ErrorKind::Rejected),
        (500, ErrorKind::Server),
        (503, ErrorKind::Unavailable),
        (304, ErrorKind::Answer),
    ] {
        let server = Server::start(move |_, _| Reply::json(status, "\"hunter2\"")).await;
        let options = quick().retries(HttpRetries::none());
        let answer = client(&server, options)
            .send(HttpRequest::get("/x"))
            .await
            .unwrap();
        let error = answer.into_success().unwrap_err();
        assert_eq!(error.kind(), kind, "{status}");
        assert!(error.message().contains(&status.to_string()), "{error}");
        assert!(!told(&error).contains("hunter2"));
    }
}

#[tokio::test]
async fn calls_share_a_connection() {
    let server = Server::start(|request, _| Reply::json(200, format!("{:?}", request.head))).await;
    let client = client(&server, quick());
    let calls = (0..20).map(|_| client.send(HttpRequest::get("/x")));
    for call in calls {
        let answer = call.await.unwrap();
        assert!(answer.json::<String>().unwrap().contains("clusterops/"));
    }
    assert_eq!(server.seen().len(), 20);
}

/// The environment of a process is not changed while it runs, so a child has the proxy in its own.
#[tokio::test]
async fn proxies_of_the_environment_are_used_only_when_asked_for() {
    const NAME: &str = "proxies_of_the_environment_are_used_only_when_asked_for";
    const ASKED: &str = "CLUSTEROPS_TEST_PROXIES";
    if let Ok(asked) = std::env::var(ASKED) {
        let url = std::env::var("CLUSTEROPS_TEST_URL").unwrap();
        let options = quick().environment_proxies(asked == "yes");
        let client = HttpClient::new(&url, options).unwrap();
        let answer = client.send(HttpRequest::get("/x")).await.unwrap();
        let answer: Value = answer.json().unwrap();
        println!("answered by the {}", answer.as_str().unwrap());
        return;
    }
    let proxy = Server::start(|_, _| Reply::json(200, "\"proxy\"")).await;
    let server = Server::start(|_, _| Reply::json(200, "\"server\"")).await;
    for (asked, by) in [("no", "server"), ("yes", "proxy")] {
        let mut child = std::process::Command::new(std::env::current_exe().unwrap());
        child
            .args(["--exact", NAME, "--nocapture"])
            .env(ASKED, asked)
            .env("CLUSTEROPS_TEST_URL", server.url())
            .env("HTTP_PROXY", proxy.url())
            .env("http_proxy", proxy.url())
            .env_remove("NO_PROXY")
            .env_remove("no_proxy")
            .env_remove("REQUEST_METHOD");
        let output = tokio::task::spawn_blocking(move || child.output())
            .await
            .unwrap()
            .unwrap();
        let output = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(
            output.contains(&format!("answered by the {by}")),
            "{output}"
        );
    }
    assert_eq!((proxy.seen().len(), server.seen().len()), (1, 1));
}

#[tokio::test]
async fn another_node_takes_over_only_where_nothing_can_happen_twice() {
    for (request, reply, elsewhere) in [
        (HttpRequest::get("/x"), Reply::Drop, true),
        (HttpRequest::get("/x"), Reply::json(503, "{}"), true),
        (HttpRequest::get("/x"), Reply::json(500, "{}"), false),
        (HttpRequest::post("/x"), Reply::Drop, false),
        (HttpRequest::post("/x"), Reply::json(502, "{}"), false),
        (
            HttpRequest::post("/x"),
            Reply::with(503, "Retry-After: 0\r\n", ""),
            false,
        ),
    ] {
        let name = format!("{request:?} {reply:?}");
        let first = Server::start(move |_, _| reply.clone()).await;
        let second = Server::start(|_, _| Reply::json(200, "second")).await;
        let nodes = HttpNodes::new(&[first.url(), second.url()], quick()).unwrap();
        let outcome = nodes.send(request).await;
        assert_eq!(first.seen().len(), 1, "{name}");
        assert_eq!(second.seen().len(), usize::from(elsewhere), "{name}");
        assert_eq!(outcome.is_ok_and(|answer| answer.is_success()), elsewhere);
    }
}

#[tokio::test]
async fn a_round_over_the_nodes_is_one_attempt() {
    let first = Server::start(|_, _| Reply::json(503, "{}")).await;
    let second = Server::start(|_, _| Reply::Drop).await;
    let urls = [first.url(), second.url()];
    let nodes = HttpNodes::new(&urls, quick()).unwrap();
    nodes.send(HttpRequest::get("/x")).await.unwrap_err();
    assert_eq!((first.seen().len(), second.seen().len()), (3, 3));
    let nodes = HttpNodes::new(&urls, quick().retries(HttpRetries::none())).unwrap();
    nodes.send(HttpRequest::get("/x")).await.unwrap_err();
    assert_eq!((first.seen().len(), second.seen().len()), (4, 4));
    assert!(HttpNodes::new::<&str>(&[], quick()).is_err());
}

#[tokio::test]
async fn a_streamed_answer_has_no_limit_of_length_and_a_collected_one_has() {
    let body = "x".repeat(100_000);
    let server = Server::start(move |_, _| Reply::with(200, "", &body)).await;
    let client = client(&server, quick().body_limit(1000));
    let mut answer = client.stream(HttpRequest::get("/x")).await.unwrap();
    let mut length = 0;
    while let Some(piece) = answer.chunk().await.unwrap() {
        length += piece.len();
    }
    assert_eq!((answer.status(), length), (200, 100_000));
    let answer = client.stream(HttpRequest::get("/x")).await.unwrap();
    assert_eq!(
        answer.collect().await.unwrap_err().kind(),
        ErrorKind::Answer
    );
}

#[tokio::test]
async fn a_stream_that_drips_may_take_longer_than_its_deadline() {
    let drip = "HTTP/1.1 200 OK\r\nContent-Length: 150\r\n\r\n".to_owned() + &"x".repeat(150);
    let server =
        Server::start(move |_, _| Reply::Drip(drip.clone(), Duration::from_millis(20))).await;
    let deadline = Duration::from_secs(2);
    let client = client(&server, quick().deadline(deadline));
    let began = Instant::now();
    let mut answer = client.stream(HttpRequest::get("/x")).await.unwrap();
    while answer.chunk().await.unwrap().is_some() {}
    assert!(began.elapsed() > deadline);
    let answer = client.stream(HttpRequest::get("/x")).await.unwrap();
    let error = answer.collect().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Timeout);
}

#[tokio::test]
async fn compressed_answers_are_asked_for_only_where_wanted() {
    let server = Server::start(|_, _| Reply::json(200, "{}")).await;
    for (options, asked) in [
        (quick(), false),
        (quick().gzip(true), true),
        (quick().gzip_by_default(true), true),
        (quick().gzip(false).gzip_by_default(true), false),
    ] {
        get(&server, options).await.unwrap();
        let seen = server.seen();
        let accepts = seen.last().unwrap().header("accept-encoding");
        assert_eq!(accepts.contains(&"gzip"), asked, "{accepts:?}");
    }
}
