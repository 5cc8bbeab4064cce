//! The real servers that tests are told of.

use clusterops_logs::Client;
use clusterops_logs::http::{HttpOptions, HttpRequest};
use serde_json::Value;

/// A server, or a cluster of some.
pub(crate) struct Server {
    pub(crate) name: String,
    pub(crate) urls: Vec<String>,
}

/// Held by each test, since losing points in time is lost on all who have one.
pub(crate) async fn alone() -> tokio::sync::MutexGuard<'static, ()> {
    static ALONE: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());
    ALONE.lock().await
}

/// Those that `CLUSTEROPS_LOGS_SERVERS` names, as in `os2=http://127.0.0.1:9201,http://127.0.0.1:9202 es7=...`. Without
/// any the test is skipped by name, and fails where CI is set.
pub(crate) fn all(test: &str) -> Vec<Server> {
    let named = std::env::var("CLUSTEROPS_LOGS_SERVERS").unwrap_or_default();
    let servers = named.split_whitespace().filter_map(|server| {
        let (name, urls) = server.split_once('=')?;
        Some(Server {
            name: name.to_owned(),
            urls: urls.split(',').map(str::to_owned).collect(),
        })
    });
    let servers: Vec<Server> = servers.collect();
    if servers.is_empty() {
        let ci = std::env::var("CI").is_ok_and(|ci| ci != "false");
        assert!(!ci, "{test} needs servers: set CLUSTEROPS_LOGS_SERVERS");
        println!("skipped: {test} (no CLUSTEROPS_LOGS_SERVERS)");
    }
    servers
}

impl Server {
    pub(crate) fn client(&self) -> Client {
        Client::new(&self.urls, HttpOptions::default()).unwrap()
    }

    /// An index of its own with so many shards and no copies, which refreshes when told to.
    pub(crate) async fn index(&self, name: &str, shards: u32, mappings: Value) {
        let client = self.client();
        let _ = client.send(HttpRequest::delete("/").segment(name)).await;
        let body = serde_json::json!({
            "settings": {"number_of_shards": shards, "number_of_replicas": 0, "refresh_interval": "-1"},
            "mappings": mappings,
        });
        let request = HttpRequest::put("/")
            .segment(name)
            .json(&body.to_string().into());
        client.send(request).await.unwrap();
    }

    /// Indexes documents under their numbers from `first` on, and refreshes.
    pub(crate) async fn fill(&self, index: &str, first: usize, documents: &[Value]) {
        let client = self.client();
        for (chunk, documents) in documents.chunks(2000).enumerate() {
            let mut body = String::new();
            for (number, document) in documents.iter().enumerate() {
                let id = first + chunk * 2000 + number;
                body.push_str(&format!("{{\"index\":{{\"_id\":\"{id}\"}}}}\n{document}\n"));
            }
            let request = HttpRequest::post("/")
                .segment(index)
                .segment("_bulk")
                .json(&body.into());
            let answer: Value = client.json(request).await.unwrap();
            assert_eq!(answer["errors"], false, "{answer}");
        }
        self.refresh(index).await;
    }

    pub(crate) async fn refresh(&self, index: &str) {
        let request = HttpRequest::post("/").segment(index).segment("_refresh");
        self.client().send(request).await.unwrap();
    }

    pub(crate) async fn remove(&self, name: &str) {
        let _ = self
            .client()
            .send(HttpRequest::delete("/").segment(name))
            .await;
    }

    /// Ends every point in time, as a restart of the node does.
    pub(crate) async fn lose_points_in_time(&self) {
        let _ = self
            .client()
            .send(HttpRequest::delete("/_search/point_in_time/_all"))
            .await;
    }
}
