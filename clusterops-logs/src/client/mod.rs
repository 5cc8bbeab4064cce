//! The client: the nodes of one cluster of OpenSearch or Elasticsearch.
//!
//! A [`Client`] knows some nodes of a cluster, and stays with one for as long as that works
//! ([`HttpNodes`] says how another takes over). What it runs is asked once
//! ([`Client::server`]), and only where something depends on it.
//!
//! An answer that does not cover everything is an error, although servers call it a success: a search that ran into its
//! timeout, failed shards, a cluster left out, a bulk in which something failed
//! ([`Partial`](crate::ErrorKind::Partial)). The calls named `..._partial` give what there is.
//!
//! ```no_run
//! use clusterops_logs::{Client, Indices, Query, Search};
//! use clusterops_logs::http::HttpOptions;
//!
//! # async fn example() -> clusterops_logs::Result<()> {
//! let options = HttpOptions::default().authorization("ApiKey", "VnVhQ2ZHY0JDZGJrUW0tZTVhT3g6dWkybHAyYXhUTm1zeWFrd");
//! let client = Client::new(&["https://es1.example.org:9200", "https://es2.example.org:9200"], options)?;
//! let search = Search::new(Query::match_all()).size(100);
//! let page = client.search(&Indices::new("logs-*")?, &search).await?;
//! println!("{}: {} of {:?}", client.server().await?, page.hits.len(), page.total);
//! # Ok(())
//! # }
//! ```

mod bulk;
mod failure;
mod fields;
mod highlight;
mod indices;
mod names;
mod pit;
mod reader;
mod scan;
mod search;
mod server;
mod unanswered;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use clusterops_core::http::{HttpNodes, HttpOptions, HttpRequest, HttpResponse, HttpStream};
use secrecy::SecretString;
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::sync::OnceCell;

use crate::{Error, ErrorKind, LOG, Result};

pub use bulk::{Bulk, BulkAnswer, BulkItem};
pub use fields::{Field, FieldCaps};
pub use indices::Indices;
pub use names::{Alias, DataStream, Index, Resolved};
pub use pit::Pit;
pub use reader::HitReader;
pub use search::{Explanation, Validation};
pub use server::{Product, Server};
use unanswered::Unanswered;

/// Speaks to one cluster of OpenSearch or Elasticsearch over some of its nodes. Cheap to clone; clones share their
/// connections.
///
/// The [module](self) has an example.
#[derive(Clone)]
pub struct Client(Arc<Inner>);

struct Inner {
    nodes: HttpNodes,
    server: OnceCell<Server>,
    unanswered: Unanswered,
}

impl Client {
    /// A client for the cluster that these nodes belong to.
    ///
    /// Answers are asked for with gzip unless the options say otherwise.
    ///
    /// # Errors
    /// [`Input`](ErrorKind::Input) for no node, a URL that is none, or options that do not fit.
    pub fn new<N: AsRef<str>>(nodes: &[N], options: HttpOptions) -> Result<Self> {
        if nodes.is_empty() {
            let message = "a cluster needs the URL of one of its nodes at least";
            return Err(Error::new(ErrorKind::Input, message));
        }
        Ok(Self(Arc::new(Inner {
            nodes: HttpNodes::new(nodes, options.gzip_by_default(true))?,
            server: OnceCell::new(),
            unanswered: Unanswered::default(),
        })))
    }

    /// Takes it as known what the cluster runs, and never asks: for those who may not.
    ///
    /// ```
    /// use clusterops_logs::Client;
    /// use clusterops_logs::client::{Product, Server};
    /// use clusterops_logs::http::HttpOptions;
    ///
    /// let client = Client::new(&["https://logs.example.org"], HttpOptions::default()).unwrap();
    /// let client = client.assume(Server::new(Product::OpenSearch, (2, 19, 0)).unwrap());
    /// ```
    #[must_use]
    pub fn assume(self, server: Server) -> Self {
        Self(Arc::new(Inner {
            nodes: self.0.nodes.clone(),
            server: OnceCell::new_with(Some(server)),
            unanswered: Unanswered::default(),
        }))
    }

    /// What the cluster runs; asked once.
    ///
    /// # Errors
    /// Those of [`send`](Self::send), and [`Answer`](ErrorKind::Answer) where something else answers, or a version that is
    /// not spoken here.
    pub async fn server(&self) -> Result<&Server> {
        let detect = async {
            let detected = server::detect(&self.0.nodes);
            let server = self.0.unanswered.wait(detected).await?;
            log::debug!(target: LOG, "{self:?}: {server}");
            Ok(server)
        };
        self.0.server.get_or_try_init(|| detect).await
    }

    /// The nodes' URLs.
    pub fn urls(&self) -> impl Iterator<Item = &str> {
        self.0.nodes.urls()
    }

    /// For how long the cluster has not answered what it was asked: since the oldest request that is under way, or since the
    /// first of those that failed if none was answered after them. `None` where nothing is waited for. Clones tell of each
    /// other's requests.
    ///
    /// For those who want to say that nothing comes because nobody answers: by itself a request waits until its deadline.
    ///
    /// ```
    /// use clusterops_logs::Client;
    /// use clusterops_logs::http::HttpOptions;
    ///
    /// let client = Client::new(&["http://localhost:9200"], HttpOptions::default()).unwrap();
    /// assert_eq!(client.unanswered(), None);
    /// ```
    pub fn unanswered(&self) -> Option<Duration> {
        self.0.unanswered.span()
    }

    /// Sends a request to a node that answers, and gives an answer that is a success.
    ///
    /// # Errors
    /// What the connection, the deadline or the server's answer say; what the server says stands in the sentence and in
    /// [`Error::server_type`].
    pub async fn send(&self, mut request: HttpRequest) -> Result<HttpResponse> {
        loop {
            let sent = self.0.nodes.send(request.clone());
            let answer = self.0.unanswered.wait(sent).await?;
            if answer.is_success() {
                return Ok(answer);
            }
            match self.with_less_to_highlight(&request, &answer).await {
                Some(less) => request = less,
                None => return Err(failure::of_answer(&self.0.nodes, answer)),
            }
        }
    }

    /// Sends a request, and reads its answer as JSON.
    ///
    /// # Errors
    /// Those of [`send`](Self::send), and [`Answer`](ErrorKind::Answer) for JSON of another shape.
    pub async fn json<T: DeserializeOwned>(&self, request: HttpRequest) -> Result<T> {
        Ok(self.send(request).await?.json()?)
    }

    /// Sends a request, and gives an answer that is a success as soon as its head is there, to be read piece by piece.
    ///
    /// # Errors
    /// Those of [`send`](Self::send).
    pub async fn stream(&self, mut request: HttpRequest) -> Result<HttpStream> {
        loop {
            let sent = self.0.nodes.stream(request.clone());
            let answer = self.0.unanswered.wait(sent).await?;
            if answer.is_success() {
                return Ok(answer);
            }
            let answer = answer.collect().await?;
            match self.with_less_to_highlight(&request, &answer).await {
                Some(less) => request = less,
                None => return Err(failure::of_answer(&self.0.nodes, answer)),
            }
        }
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.urls()).finish()
    }
}

/// A body as JSON.
fn json_of(body: &impl Serialize) -> Result<String> {
    serde_json::to_string(body).map_err(|error| {
        Error::new(ErrorKind::Input, "what is to be sent has no form as JSON").caused_by(error)
    })
}

trait WithJson: Sized {
    /// Sends this JSON, which is no secret once the caller made it of what is none.
    fn with_json(self, text: String) -> Self;
}

impl WithJson for HttpRequest {
    fn with_json(self, text: String) -> Self {
        self.json(&SecretString::from(text))
    }
}
