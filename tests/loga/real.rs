//! Real clusters, as `tests/run logs` starts them.

use std::io::Write as _;
use std::sync::atomic::{AtomicU32, Ordering};

use clusterops::core::secrecy::SecretString;
use clusterops::http::{HttpOptions, HttpRequest};
use clusterops::logs::Client;
use clusterops::logs::client::Bulk;
use serde_json::Value;

/// An index of a test's own, on one of the clusters.
pub(super) struct Index {
    pub(super) url: String,
    pub(super) name: String,
    client: Client,
    runtime: tokio::runtime::Runtime,
}

/// An index for a test on each cluster. Without any, the test is skipped by name; where `CI` is set, that is a failure.
pub(super) fn indices(test: &str) -> Vec<Index> {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let list = std::env::var("CLUSTEROPS_LOGS_SERVERS").unwrap_or_default();
    let urls = list
        .split_whitespace()
        .filter_map(|entry| entry.split_once('=')?.1.split(',').next());
    let indices: Vec<Index> = urls
        .map(|url| {
            let number = COUNT.fetch_add(1, Ordering::Relaxed);
            Index::new(url, format!("loga-{}-{number}", std::process::id()))
        })
        .collect();
    if indices.is_empty() {
        let reason = "CLUSTEROPS_LOGS_SERVERS names no servers; `tests/run logs` starts some";
        // Past the test runner's capture, which hides what passing tests print.
        let _ = std::io::stderr().write_all(format!("skipped: {test}: {reason}\n").as_bytes());
        let in_ci =
            std::env::var_os("CI").is_some_and(|value| !value.is_empty() && value != "false");
        assert!(!in_ci, "{test}: {reason}");
    }
    indices
}

impl Index {
    fn new(url: &str, name: String) -> Self {
        let mut runtime = tokio::runtime::Builder::new_current_thread();
        Self {
            url: url.to_owned(),
            name,
            client: Client::new(&[url], HttpOptions::default()).expect("a URL"),
            runtime: runtime.enable_all().build().expect("a runtime"),
        }
    }

    /// Makes it, with these settings and mappings.
    pub(super) fn create(&self, body: &Value) {
        let request = HttpRequest::put("/")
            .segment(&self.name)
            .json(&SecretString::from(body.to_string()));
        let made = self.runtime.block_on(self.client.send(request));
        made.expect("it is made");
    }

    /// Writes documents, and has them found.
    pub(super) fn put(&self, documents: &[Value]) {
        let mut bulk = Bulk::new();
        for document in documents {
            bulk = bulk.index(&self.name, None, document).expect("JSON");
        }
        let refresh = HttpRequest::post("/")
            .segment(&self.name)
            .segment("_refresh");
        self.runtime.block_on(async {
            self.client.bulk(&bulk).await.expect("they are written");
            self.client.send(refresh).await.expect("they are found");
        });
    }

    /// Another one beside it, whose name begins with its own.
    pub(super) fn another(&self, ending: &str) -> Self {
        Self::new(&self.url, format!("{}-{ending}", self.name))
    }

    /// The words that say where it is, before others.
    pub(super) fn arguments<'a>(&'a self, more: &[&'a str]) -> Vec<&'a str> {
        [&["-e", &*self.url, "-in", &*self.name], more].concat()
    }
}

impl Drop for Index {
    fn drop(&mut self) {
        let delete = HttpRequest::delete("/").segment(&self.name);
        // The cluster ends with the tests anyway.
        let _ = self.runtime.block_on(self.client.send(delete));
    }
}
