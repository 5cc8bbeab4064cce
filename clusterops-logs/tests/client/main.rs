//! The client against real clusters, and against servers that misbehave.
#![expect(clippy::unwrap_used, reason = "a test that fails says where")]

#[path = "../support/mod.rs"]
mod support;

use serde_json::{Value, json};

#[tokio::test]
async fn a_cluster_is_there_to_search() {
    for cluster in support::clusters("a_cluster_is_there_to_search") {
        let index = cluster
            .index("there", json!({"settings": {"number_of_shards": 3}}))
            .await;
        index.fill([("1", json!({"message": "a"}))]).await;
        let request = clusterops_logs::http::HttpRequest::get(format!("/{}/_search", index.name));
        let answer = cluster.call(request, Value::Null).await;
        assert_eq!(answer["hits"]["hits"][0]["_id"], "1", "{}", cluster.name);
    }
}
