//! Points in time: searches that see an index as it was.

use std::time::Duration;

use clusterops_core::http::HttpRequest;
use serde::Deserialize;
use serde_json::Value;

use super::{Client, Indices, Server, WithJson, json_of};
use crate::search::{Clusters, Shards, TotalHits, kept_alive, pit_member, shortfall_of};
use crate::{Error, ErrorKind, Page, Query, Result, Search};

/// A point in time that the server holds.
///
/// A search with it ([`search`](Self::search)) sees what was there when it was opened, and keeps it for as long again.
/// Each page may bring another id ([`Page::pit_id`](crate::Page)), which [`follow`](Self::follow) takes over.
///
/// ```no_run
/// # async fn example(client: clusterops_logs::Client) -> clusterops_logs::Result<()> {
/// use std::time::Duration;
/// use clusterops_logs::{Indices, Query, Search};
///
/// let logs = Indices::new("logs-*")?;
/// let mut pit = client.open_pit(&logs, Duration::from_secs(60)).await?;
/// let search = pit.search(Search::new(Query::match_all()).size(1000));
/// let page = client.search(&logs, &search).await?;
/// pit.follow(&page);
/// client.close_pit(pit).await?;
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pit {
    id: String,
    keep_alive: Duration,
}

impl Pit {
    /// One that was opened elsewhere, or before this program was started.
    pub fn new(id: impl Into<String>, keep_alive: Duration) -> Self {
        let id = id.into();
        Self { id, keep_alive }
    }

    /// The id to search with next.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// How long it is kept after each search.
    pub fn keep_alive(&self) -> Duration {
        self.keep_alive
    }

    /// This search, of this point in time.
    #[must_use]
    pub fn search(&self, search: Search) -> Search {
        search.point_in_time(self.id.clone(), self.keep_alive)
    }

    /// The member `pit` of a search's body.
    pub fn member(&self) -> Value {
        pit_member(&self.id, self.keep_alive)
    }

    /// Takes over the id that a page brings.
    pub fn follow(&mut self, page: &Page) {
        if let Some(id) = &page.pit_id {
            self.follow_id(id);
        }
    }

    pub(crate) fn follow_id(&mut self, id: &str) {
        id.clone_into(&mut self.id);
    }
}

impl Client {
    /// Opens a point in time, which the server keeps for this long after each search.
    ///
    /// # Errors
    /// Those of [`send`](Self::send); [`Rejected`](ErrorKind::Rejected) where the server has no points in time
    /// ([`Server::has_points_in_time`]); [`Partial`](ErrorKind::Partial) where shards failed or a cluster was left out.
    pub async fn open_pit(&self, indices: &Indices, keep_alive: Duration) -> Result<Pit> {
        #[derive(Deserialize)]
        struct Answer {
            #[serde(alias = "pit_id")]
            id: String,
            #[serde(rename = "_shards", default)]
            shards: Shards,
            #[serde(rename = "_clusters")]
            clusters: Option<Clusters>,
        }
        let server = self.server().await?;
        if !server.has_points_in_time() {
            // It would take `_pit` for the name of a type, and a body for a document of it.
            return Err(without(server));
        }
        let request = server
            .open_pit(indices.as_str())
            .query("keep_alive", kept_alive(keep_alive));
        let answer: Answer = self.json(request).await?;
        let pit = Pit::new(answer.id, keep_alive);
        let mut lack = shortfall_of(
            "the point in time",
            false,
            &answer.shards,
            answer.clusters.as_ref(),
        );
        if lack.is_none() && answer.clusters.is_none() && indices.has_remote() {
            // Only Elasticsearch since 2026 tells which clusters it left out of it (elastic/elasticsearch#84400); a search by
            // name that comes next is asked whether all of them answer.
            lack = self.search(indices, &nothing()).await.err();
        }
        match lack {
            Some(error) => {
                // What is held of it helps nobody; that the first error is told matters more than one of closing.
                let _ = self.close_pit(pit).await;
                Err(error)
            }
            None => Ok(pit),
        }
    }

    /// Keeps a point in time for its span from now on, without fetching anything.
    ///
    /// # Errors
    /// Those of [`search`](Self::search).
    pub async fn keep_pit(&self, pit: &mut Pit) -> Result<()> {
        let request = HttpRequest::post("/_search")
            .with_json(json_of(&pit.search(nothing()))?)
            .repeatable(true);
        let answer = self.send(request).await?;
        pit.follow(&Page::from_json(answer.body())?.whole()?);
        Ok(())
    }

    /// Has the server forget a point in time; one that it has forgotten already is no error.
    ///
    /// # Errors
    /// Those of [`send`](Self::send).
    pub async fn close_pit(&self, pit: Pit) -> Result<()> {
        let (request, body) = self.server().await?.close_pit(pit.id());
        match self.send(request.with_json(json_of(&body)?)).await {
            Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::Expired) => {
                Ok(())
            }
            outcome => outcome.map(drop),
        }
    }
}

/// The cheapest search.
fn nothing() -> Search {
    Search::new(Query::match_none())
        .size(0)
        .track_total_hits(TotalHits::Off)
}

fn without(server: &Server) -> Error {
    let message = format!(
        "this {server} has no points in time: OpenSearch has them from 2.4 on, Elasticsearch from 7.10 on in its default \
         distribution"
    );
    Error::new(ErrorKind::Rejected, message)
}
