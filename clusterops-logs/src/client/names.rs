//! What an expression stands for.

use clusterops_core::http::HttpRequest;
use serde::Deserialize;

use super::{Client, Indices};
use crate::Result;

/// The indices, aliases and data streams that an expression stands for.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
#[non_exhaustive]
pub struct Resolved {
    /// The indices, those behind data streams and aliases only where they are named themselves.
    pub indices: Vec<Index>,
    /// The aliases.
    pub aliases: Vec<Alias>,
    /// The data streams.
    pub data_streams: Vec<DataStream>,
}

/// An index.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
#[non_exhaustive]
pub struct Index {
    /// Its name, with its cluster in front where that is another.
    pub name: String,
    /// The aliases it has.
    pub aliases: Vec<String>,
    /// `open` or `closed`, and `hidden`, `system` and `frozen` where it is that.
    pub attributes: Vec<String>,
    /// The data stream it belongs to.
    pub data_stream: Option<String>,
}

/// An alias.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
#[non_exhaustive]
pub struct Alias {
    /// Its name.
    pub name: String,
    /// The indices it stands for.
    pub indices: Vec<String>,
}

/// A data stream.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
#[non_exhaustive]
pub struct DataStream {
    /// Its name.
    pub name: String,
    /// The indices behind it, the one written to last.
    pub backing_indices: Vec<String>,
    /// The field of the time.
    pub timestamp_field: String,
}

impl Client {
    /// What an expression stands for now; OpenSearch, and Elasticsearch from 7.9 on.
    ///
    /// # Errors
    /// Those of [`send`](Self::send).
    pub async fn resolve(&self, indices: &Indices) -> Result<Resolved> {
        let request = HttpRequest::get("/_resolve/index").segment(indices.as_str());
        self.json(request).await
    }
}
