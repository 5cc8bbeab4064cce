//! Points in time, as both products name them.

use std::time::Duration;

use clusterops_core::http::HttpRequest;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::{Client, ErrorKind, Result};

/// What a search of a point in time names.
pub(super) fn member(id: &str, keep_alive: Duration) -> Value {
    json!({"id": id, "keep_alive": span(keep_alive)})
}

/// Opens a point in time: none where the server has no such thing, or refuses one.
pub(super) async fn open(
    client: &Client,
    indices: &str,
    keep_alive: Duration,
) -> Result<Option<String>> {
    #[derive(Deserialize)]
    struct Opened {
        #[serde(alias = "pit_id")]
        id: String,
    }
    let of_opensearch = is_opensearch(client).await?;
    let path = HttpRequest::post("/").segment(indices);
    let request = match of_opensearch {
        true => path.segment("_search").segment("point_in_time"),
        false => path.segment("_pit"),
    };
    let request = request
        .query("keep_alive", span(keep_alive))
        .repeatable(true);
    match client.json::<Opened>(request).await {
        Ok(opened) => Ok(Some(opened.id)),
        // What is wrong with the indices themselves, the search that follows says.
        Err(error) => match error.kind() {
            ErrorKind::Rejected
            | ErrorKind::NotFound
            | ErrorKind::Denied
            | ErrorKind::Unavailable => Ok(None),
            ErrorKind::Server => Ok(None),
            _ => Err(error),
        },
    }
}

/// Gives a point in time back. It ends by itself too, so that errors do not matter.
pub(super) async fn close(client: &Client, id: &str) {
    let request = match is_opensearch(client).await {
        Ok(true) => HttpRequest::delete("/_search/point_in_time")
            .json(&json!({"pit_id": [id]}).to_string().into()),
        Ok(false) => HttpRequest::delete("/_pit").json(&json!({"id": id}).to_string().into()),
        Err(_) => return,
    };
    let _ = client.send(request).await;
}

async fn is_opensearch(client: &Client) -> Result<bool> {
    #[derive(Deserialize)]
    struct Root {
        version: Version,
    }
    #[derive(Deserialize)]
    struct Version {
        distribution: Option<String>,
    }
    let root: Root = client.json(HttpRequest::get("/")).await?;
    Ok(root.version.distribution.as_deref() == Some("opensearch"))
}

/// A span as the servers read it.
fn span(span: Duration) -> String {
    format!("{}ms", span.as_millis())
}
