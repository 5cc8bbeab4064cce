//! A look at logs: how many, when, the values that are frequent, and what stood around a line.
//!
//! A [`Look`] says where and for what; its calls each ask one question.

mod context;
mod draw;
mod fields;
mod histogram;
mod lines;
mod merge;
mod top;

use std::fmt;

use clusterops_core::http::HttpRequest;
use serde::Deserialize;
use serde_json::{Map, Value, json};

pub use context::{Context, Origin};
pub use draw::Drawing;
pub use histogram::{Bucket, Histogram};
pub use merge::{Excerpt, Line};
pub use top::{Top, TopValue};

use crate::places::Hits;
use crate::{Client, Error, ErrorKind, Indices, Page, Query, Result};

/// Where to look, and for what.
///
/// ```no_run
/// use clusterops_logs::http::HttpOptions;
/// use clusterops_logs::look::Look;
/// use clusterops_logs::{Client, Indices, Query};
/// use serde_json::json;
///
/// # async fn example() -> clusterops_logs::Result<()> {
/// let client = Client::new(&["http://localhost:9200"], HttpOptions::default())?;
/// let refused = Query::raw(json!({"match": {"message": "refused"}}));
/// let look = Look::new(&client, &Indices::new("logs-*")?, refused)
///     .exclude(Query::raw(json!({"term": {"host.name": "test-1"}})));
/// println!("{} lines", look.count().await?);
/// println!("{}", look.histogram(60).await?.draw(80, 6));
/// for value in look.top("host.name", 5).await?.values {
///     println!("{:>9} {}", value.count, value.value);
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct Look {
    client: Client,
    indices: Indices,
    query: Query,
    excluded: Vec<Query>,
    time_field: String,
    highlight: Option<Value>,
}

impl Look {
    /// A look at what the query finds in these indices.
    pub fn new(client: &Client, indices: &Indices, query: Query) -> Self {
        Self {
            client: client.clone(),
            indices: indices.clone(),
            query,
            excluded: Vec::new(),
            time_field: "@timestamp".to_owned(),
            highlight: None,
        }
    }

    /// Leaves out what this finds, from the context of lines too. May be called several times.
    #[must_use]
    pub fn exclude(mut self, query: Query) -> Self {
        self.excluded.push(query);
        self
    }

    /// The field of the time; `@timestamp` if not said.
    #[must_use]
    pub fn time_field(mut self, field: impl Into<String>) -> Self {
        self.time_field = field.into();
        self
    }

    /// Asks for what matched in the lines that are found, with a `highlight` as the servers take it, which nothing here checks
    /// ([`render::highlighting`](crate::render::highlighting) is what a renderer reads). Not asked for if not said, and never
    /// for the lines around.
    #[must_use]
    pub fn highlight(mut self, highlight: Value) -> Self {
        self.highlight = Some(highlight);
        self
    }

    /// How many documents there are.
    ///
    /// # Errors
    /// [`Input`](ErrorKind::Input) for a query that no server would take, as all calls of a look give it; what the server
    /// says; [`Partial`](ErrorKind::Partial) where shards failed.
    pub async fn count(&self) -> Result<u64> {
        let query = Query::raw(self.filter(&[])?);
        self.client.count(&self.indices, &query).await
    }

    /// The query as each search of a look has it, for those who want to see it before it is sent.
    ///
    /// ```
    /// use clusterops_logs::http::HttpOptions;
    /// use clusterops_logs::{Client, Indices, Look, Query};
    /// use serde_json::json;
    ///
    /// let client = Client::new(&["http://localhost:9200"], HttpOptions::default())?;
    /// let look = Look::new(&client, &Indices::new("logs-*")?, Query::match_all());
    /// assert_eq!(look.query()?["bool"]["filter"], json!([{"match_all": {}}]));
    /// # Ok::<(), clusterops_logs::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Input`](ErrorKind::Input) for a query that no server would take.
    pub fn query(&self) -> Result<Value> {
        self.filter(&[])
    }

    /// The body of a search that gives no hits, and what these aggregations make of all.
    fn counting(&self, aggregations: Value) -> Result<Map<String, Value>> {
        let mut body = Map::new();
        body.insert("size".into(), 0.into());
        body.insert("query".into(), self.filter(&[])?);
        body.insert("aggs".into(), aggregations);
        Ok(body)
    }

    /// The query without what is excluded, and with more that must hold.
    fn filter(&self, more: &[Value]) -> Result<Value> {
        let query = self.query.to_json()?;
        self.filter_all([query].into_iter().chain(more.iter().cloned()).collect())
    }

    /// All of these, without what is excluded.
    fn filter_all(&self, filters: Vec<Value>) -> Result<Value> {
        let excluded: Vec<Value> = self
            .excluded
            .iter()
            .map(Query::to_json)
            .collect::<Result<_>>()?;
        Ok(json!({"bool": {"filter": filters, "must_not": excluded}}))
    }

    /// A page that covers everything.
    async fn search(&self, body: Map<String, Value>) -> Result<Page> {
        Ok(self.answer(body).await?.0)
    }

    /// The hits of such a page.
    async fn hits(&self, body: Map<String, Value>) -> Result<Hits> {
        let (page, bytes) = self.answer(body).await?;
        Ok(Hits {
            hits: page.hits,
            bytes,
        })
    }

    async fn answer(&self, body: Map<String, Value>) -> Result<(Page, usize)> {
        let request = HttpRequest::post("/")
            .segment(self.indices.as_str())
            .segment("_search")
            .query("allow_partial_search_results", "false")
            .json(&Value::Object(body).to_string().into())
            .repeatable(true);
        let answer = self.client.send(request).await?;
        Ok((
            Page::from_json(answer.body())?.whole()?,
            answer.body().len(),
        ))
    }
}

impl fmt::Debug for Look {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Look({})", self.indices)
    }
}

/// Reads an aggregation.
fn read<'de, T: Deserialize<'de>>(found: &'de Value) -> Result<T> {
    T::deserialize(found).map_err(|error| {
        let message = "the answer of a search is of another shape than expected";
        Error::new(ErrorKind::Answer, message).caused_by(error)
    })
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test that fails says where")]
    use clusterops_core::http::HttpOptions;

    use super::*;

    #[tokio::test]
    async fn what_no_server_would_take_is_not_sent() {
        let client = Client::new(&["http://127.0.0.1:1"], HttpOptions::default()).unwrap();
        let wrong: Query = Query::range("@timestamp").gte("now-15min").into();
        let logs = Indices::new("logs").unwrap();
        let asked = Look::new(&client, &logs, wrong.clone());
        let excluded = Look::new(&client, &logs, Query::match_all()).exclude(wrong);
        for look in [asked, excluded] {
            for error in [
                look.count().await.unwrap_err(),
                look.histogram(10).await.unwrap_err(),
            ] {
                assert_eq!(error.kind(), ErrorKind::Input, "{error}");
                assert!(error.to_string().contains("now-15min"), "{error}");
            }
        }
    }
}
