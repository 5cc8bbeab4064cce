//! Searches, counts, and whether a query would be accepted.

use clusterops_core::http::HttpRequest;
use serde::{Deserialize, Serialize};

use super::{Client, HitReader, Indices, WithJson, json_of};
use crate::search::{Shards, TotalHits};
use crate::{Error, ErrorKind, Page, Query, Result, Search};

/// Whether a query would be accepted, and how it is understood.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
#[non_exhaustive]
pub struct Validation {
    /// Whether it would be accepted.
    pub valid: bool,
    /// For each index: the query in Lucene's words, or what is wrong with it.
    pub explanations: Vec<Explanation>,
    /// What is wrong with all of it, where it does not even parse.
    pub error: Option<String>,
    #[serde(rename = "_shards")]
    shards: Shards,
}

/// What one index makes of a query.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
#[non_exhaustive]
pub struct Explanation {
    /// The index.
    pub index: String,
    /// Whether it accepts the query.
    pub valid: bool,
    /// The query in Lucene's words.
    pub explanation: Option<String>,
    /// What is wrong with it.
    pub error: Option<String>,
}

impl Client {
    /// Searches, and gives a page that covers everything asked for.
    ///
    /// A search of a point in time says itself what it is about, so `indices` is not sent with it.
    ///
    /// # Errors
    /// Those of [`send`](Self::send), [`Expired`](crate::ErrorKind::Expired) for a point in time that is not held any more,
    /// and [`Partial`](crate::ErrorKind::Partial) as [`Page::whole`] says.
    pub async fn search(&self, indices: &Indices, search: &Search) -> Result<Page> {
        self.search_partial(indices, search).await?.whole()
    }

    /// The same, but gives what there is: [`Page::shortfall`] says what it lacks.
    ///
    /// # Errors
    /// Those of [`send`](Self::send).
    pub async fn search_partial(&self, indices: &Indices, search: &Search) -> Result<Page> {
        let answer = self.send(self.asking(indices, search).await?).await?;
        Page::from_json(answer.body())
    }

    /// Searches, and gives the hits one by one while they arrive, however large the page is.
    ///
    /// # Errors
    /// Those of [`send`](Self::send); what the page lacks is told by the [`HitReader`].
    pub async fn read(&self, indices: &Indices, search: &Search) -> Result<HitReader> {
        let answer = self.stream(self.asking(indices, search).await?).await?;
        Ok(HitReader::new(answer))
    }

    /// How many documents match.
    ///
    /// # Errors
    /// Those of [`search`](Self::search).
    pub async fn count(&self, indices: &Indices, query: &Query) -> Result<u64> {
        // Servers make this search of `_count` too, whose answer does not tell of clusters that were left out.
        let search = Search::new(query.clone())
            .size(0)
            .track_total_hits(TotalHits::Exact);
        self.search(indices, &search).await?.counted()
    }

    /// The request of a search, if this server has what it needs.
    async fn asking(&self, indices: &Indices, search: &Search) -> Result<HttpRequest> {
        search.check()?;
        if search.is_by_shard_doc() {
            let server = self.server().await?;
            if !server.has_shard_doc() {
                let message = format!(
                    "sorting by `_shard_doc` needs Elasticsearch 7.12 or OpenSearch 3.3, and this is {server}"
                );
                return Err(Error::new(ErrorKind::Input, message));
            }
        }
        let request = match search.has("pit") {
            true => HttpRequest::post("/_search"),
            false => HttpRequest::post("/")
                .segment(indices.as_str())
                .segment("_search"),
        };
        Ok(request.with_json(json_of(search)?).repeatable(true))
    }

    /// Whether a query would be accepted by these indices.
    ///
    /// # Errors
    /// Those of [`send`](Self::send); a query that would not be accepted is none.
    pub async fn validate(&self, indices: &Indices, query: &Query) -> Result<Validation> {
        let request = HttpRequest::post("/")
            .segment(indices.as_str())
            .segment("_validate")
            .segment("query")
            .query("explain", "true")
            .with_json(of_query(query)?)
            .repeatable(true);
        let answer: Validation = self.json(request).await?;
        match answer.shards.shortfall("the validation") {
            Some(error) => Err(error),
            None => Ok(answer),
        }
    }
}

fn of_query(query: &Query) -> Result<String> {
    #[derive(Serialize)]
    struct Body<'a> {
        query: &'a Query,
    }
    query.check()?;
    json_of(&Body { query })
}
