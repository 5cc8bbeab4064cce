//! The client: the nodes of one cluster.

use std::fmt;
use std::sync::Arc;

use clusterops_core::http::{HttpClient, HttpOptions, HttpRequest, HttpResponse};
use serde::de::DeserializeOwned;

use crate::{Error, ErrorKind, Result};

/// Speaks to one cluster of OpenSearch or Elasticsearch over some of its nodes. Cheap to clone; clones share their
/// connections.
#[derive(Clone)]
pub struct Client(Arc<Inner>);

struct Inner {
    nodes: Vec<HttpClient>,
}

impl Client {
    /// A client for the cluster that these nodes belong to.
    ///
    /// # Errors
    /// [`Input`](ErrorKind::Input) for no node, a URL that is none, or options that do not fit.
    pub fn new<N: AsRef<str>>(nodes: &[N], options: HttpOptions) -> Result<Self> {
        if nodes.is_empty() {
            let message = "a cluster needs the URL of one of its nodes at least";
            return Err(Error::new(ErrorKind::Input, message));
        }
        let nodes = nodes
            .iter()
            .map(|node| HttpClient::new(node.as_ref(), options.clone()).map_err(Error::from))
            .collect::<Result<_>>()?;
        Ok(Self(Arc::new(Inner { nodes })))
    }

    /// Sends a request to a node that answers, and gives an answer that is a success.
    ///
    /// # Errors
    /// What the connection, the deadline or the server's answer say.
    pub async fn send(&self, request: HttpRequest) -> Result<HttpResponse> {
        let mut last = None;
        for node in &self.0.nodes {
            match node.send(request.clone()).await {
                Ok(answer) => return Ok(answer.into_success()?),
                Err(error) => last = Some(error),
            }
        }
        let last = last.map(Error::from);
        Err(last.unwrap_or_else(|| Error::new(ErrorKind::Input, "a cluster without nodes")))
    }

    /// Sends a request, and reads its answer as JSON.
    ///
    /// # Errors
    /// Those of [`send`](Self::send), and [`Answer`](ErrorKind::Answer) for JSON of another shape.
    pub async fn json<T: DeserializeOwned>(&self, request: HttpRequest) -> Result<T> {
        Ok(self.send(request).await?.json()?)
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let urls = self.0.nodes.iter().map(HttpClient::url);
        f.debug_list().entries(urls).finish()
    }
}
