//! Real clusters for tests, as `tests/run logs` starts them and names them in `CLUSTEROPS_LOGS_SERVERS`.

#![allow(
    dead_code,
    clippy::allow_attributes,
    reason = "each test program uses a part of it"
)]

use std::fmt::Write as _;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use clusterops_logs::http::{HttpOptions, HttpRequest};
use clusterops_logs::secrecy::{SecretSlice, SecretString};
use clusterops_logs::{Client, Indices};
use serde_json::{Value, json};

/// A real cluster.
#[derive(Debug, Clone)]
pub(crate) struct Cluster {
    /// `opensearch-2`, `opensearch-3` or `elasticsearch-7`.
    pub(crate) name: String,
    /// Its nodes.
    pub(crate) urls: Vec<String>,
}

/// An index of a test's own; it is deleted when this is dropped.
#[derive(Debug)]
pub(crate) struct Index {
    pub(crate) name: String,
    pub(crate) cluster: Cluster,
}

/// The clusters that are up. Without any, the test is skipped by name; where `CI` is set, that is a failure.
#[must_use]
pub(crate) fn clusters(test: &str) -> Vec<Cluster> {
    let list = std::env::var("CLUSTEROPS_LOGS_SERVERS").unwrap_or_default();
    let clusters: Vec<_> = list.split_whitespace().map(Cluster::named).collect();
    if clusters.is_empty() {
        let reason = "CLUSTEROPS_LOGS_SERVERS names no servers; `tests/run logs` starts some";
        // Past the test runner's capture, which hides what passing tests print.
        let _ = std::io::stderr().write_all(format!("skipped: {test}: {reason}\n").as_bytes());
        let in_ci =
            std::env::var_os("CI").is_some_and(|value| !value.is_empty() && value != "false");
        assert!(!in_ci, "{test}: {reason}");
    }
    clusters
}

/// What an expression names.
pub(crate) fn indices(expression: &str) -> Indices {
    Indices::new(expression).unwrap()
}

impl Cluster {
    fn named(entry: &str) -> Self {
        let (name, urls) = entry.split_once('=').unwrap();
        Self {
            name: name.to_owned(),
            urls: urls.split(',').map(str::to_owned).collect(),
        }
    }

    pub(crate) fn is_opensearch(&self) -> bool {
        self.name.starts_with("opensearch")
    }

    /// A client that knows all nodes.
    pub(crate) fn client(&self) -> Client {
        Client::new(&self.urls, HttpOptions::default()).unwrap()
    }

    /// A name that no other test uses.
    pub(crate) fn unique(&self, hint: &str) -> String {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        format!("{hint}-{}-{count}", std::process::id())
    }

    /// Makes an index with a unique name from its settings and mappings.
    pub(crate) async fn index(&self, hint: &str, body: Value) -> Index {
        let index = Index {
            name: self.unique(hint),
            cluster: self.clone(),
        };
        let request = HttpRequest::put("/").segment(&index.name);
        self.call(request, body).await;
        index
    }

    /// Sends JSON and gives the JSON that comes back; the answer has to be a success.
    pub(crate) async fn call(&self, request: HttpRequest, body: Value) -> Value {
        let request = match body {
            Value::Null => request,
            body => request.json(&SecretString::from(body.to_string())),
        };
        self.client().json(request).await.unwrap()
    }
}

impl Index {
    /// Indexes documents, each with its id, in one bulk, and makes them visible.
    pub(crate) async fn fill<'a>(&self, documents: impl IntoIterator<Item = (&'a str, Value)>) {
        let mut body = String::new();
        for (id, document) in documents {
            let action = json!({"index": {"_id": id}});
            writeln!(body, "{action}\n{document}").unwrap();
        }
        let body = SecretSlice::from(body.into_bytes());
        let request = HttpRequest::post("/")
            .segment(&self.name)
            .segment("_bulk")
            .body("application/x-ndjson", &body);
        let answer = self.cluster.call(request, Value::Null).await;
        assert_eq!(answer["errors"], false, "{answer}");
        self.refresh().await;
    }

    /// Makes what was indexed visible.
    pub(crate) async fn refresh(&self) {
        let request = HttpRequest::post("/")
            .segment(&self.name)
            .segment("_refresh");
        self.cluster.call(request, Value::Null).await;
    }
}

impl Drop for Index {
    fn drop(&mut self) {
        let name = &self.name;
        if let Err(error) = delete(&self.cluster.urls[0], name) {
            eprintln!("the index {name} stays: {error}");
        }
    }
}

/// Deletes an index without a runtime, which may be ending.
fn delete(url: &str, name: &str) -> std::io::Result<()> {
    let address = url.trim_start_matches("http://");
    let mut stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(Duration::from_secs(30)))?;
    let head = format!("DELETE /{name} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n");
    stream.write_all(head.as_bytes())?;
    stream.read_to_end(&mut Vec::new()).map(drop)
}
