//! Real clusters with what tests of exports do to them.

use clusterops_logs::Client;
use clusterops_logs::http::{HttpOptions, HttpRequest};
use serde_json::{Value, json};

use crate::support::{self, Cluster};

/// A cluster.
pub(crate) struct Server {
    pub(crate) name: String,
    cluster: Cluster,
}

/// Held by each test, since losing points in time is lost on all who have one.
pub(crate) async fn alone() -> tokio::sync::MutexGuard<'static, ()> {
    static ALONE: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());
    ALONE.lock().await
}

/// The clusters that are up; without any, the test is skipped by name.
pub(crate) fn all(test: &str) -> Vec<Server> {
    let server = |cluster: Cluster| Server {
        name: cluster.name.clone(),
        cluster,
    };
    support::clusters(test).into_iter().map(server).collect()
}

impl Server {
    pub(crate) fn client(&self) -> Client {
        self.cluster.client()
    }

    /// A client that knows one node.
    pub(crate) fn client_with(&self, options: HttpOptions) -> Client {
        Client::new(&self.cluster.urls[..1], options).unwrap()
    }

    /// Whether the server has points in time: the free build of Elasticsearch 7 has none.
    pub(crate) fn has_points_in_time(&self) -> bool {
        self.cluster.is_opensearch()
    }

    /// An index with so many shards and no copies, which refreshes when told to.
    pub(crate) async fn index(&self, name: &str, shards: u32, mappings: Value) {
        self.remove(name).await;
        let body = json!({
            "settings": {"number_of_shards": shards, "number_of_replicas": 0, "refresh_interval": "-1"},
            "mappings": mappings,
        });
        let request = HttpRequest::put("/").segment(name);
        self.cluster.call(request, body).await;
    }

    /// Indexes documents under their numbers from `first` on, and refreshes.
    pub(crate) async fn fill(&self, index: &str, first: usize, documents: &[Value]) {
        for (chunk, documents) in documents.chunks(2000).enumerate() {
            let mut body = String::new();
            for (number, document) in documents.iter().enumerate() {
                let id = first + chunk * 2000 + number;
                body.push_str(&format!("{{\"index\":{{\"_id\":\"{id}\"}}}}\n{document}\n"));
            }
            let request = HttpRequest::post("/").segment(index).segment("_bulk");
            let answer = self
                .cluster
                .call(request.json(&body.into()), Value::Null)
                .await;
            assert_eq!(answer["errors"], false, "{answer}");
        }
        let request = HttpRequest::post("/").segment(index).segment("_refresh");
        self.cluster.call(request, Value::Null).await;
    }

    pub(crate) async fn remove(&self, name: &str) {
        let _ = self
            .client()
            .send(HttpRequest::delete("/").segment(name))
            .await;
    }

    /// Ends every point in time, as a restart of the node does.
    pub(crate) async fn lose_points_in_time(&self) {
        let request = HttpRequest::delete("/_search/point_in_time/_all");
        let _ = self.client().send(request).await;
    }
}
