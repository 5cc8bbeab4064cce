//! One page of one shard: the documents between two sequence numbers, on the copy that is known to show them.

use clusterops_core::http::HttpRequest;
use secrecy::SecretString;
use serde_json::{Value, json};

use super::document::Wanted;
use crate::search::{Hit, Page};
use crate::{Client, Error, ErrorKind, Result};

/// What to read of a shard.
#[derive(Debug, Clone)]
pub(super) struct Slice {
    pub(super) index: String,
    pub(super) shard: u32,
    pub(super) node: String,
    /// The last number that is not wanted any more.
    pub(super) after: i64,
    /// The last number that is wanted.
    pub(super) until: i64,
    /// What documents have to match, besides.
    pub(super) filters: Vec<Value>,
    pub(super) wanted: Wanted,
    pub(super) size: u32,
}

/// What a slice holds from its beginning on.
#[derive(Debug)]
pub(super) struct SlicePage {
    pub(super) hits: Vec<(i64, Hit)>,
    /// Everything up to this number is in this page or before it.
    pub(super) whole_to: i64,
    /// How long the answer was, in bytes.
    pub(super) bytes: usize,
}

/// The most hits that a server gives in one page (`index.max_result_window`).
const MOST: u32 = 10_000;

impl Slice {
    /// Reads the slice's first page.
    ///
    /// In an index that was made by shrinking, several documents have the same number; so a full page is cut where its
    /// last number begins, and the next one begins there.
    pub(super) async fn page(mut self, client: &Client) -> Result<SlicePage> {
        loop {
            let wanted = self.size.clamp(2, MOST);
            let (answer, bytes) = match self.search(client, wanted).await {
                Ok(answer) => answer,
                Err(error) if error.asks_for_less() && wanted > 2 => {
                    self.size = wanted / 2;
                    continue;
                }
                Err(error) => return Err(error),
            };
            let mut hits = Vec::with_capacity(answer.len());
            for hit in answer {
                let number = hit.seq_no.and_then(|number| i64::try_from(number).ok());
                let number = number.ok_or_else(|| self.unreadable("a hit without `_seq_no`"))?;
                hits.push((number, hit));
            }
            let full = hits.len() >= wanted as usize;
            let last = hits.last().map(|(number, _)| *number);
            let (Some(last), true) = (last, full) else {
                return Ok(SlicePage {
                    hits,
                    whole_to: self.until,
                    bytes,
                });
            };
            let whole = hits.partition_point(|(number, _)| *number < last);
            if whole > 0 {
                hits.truncate(whole);
                return Ok(SlicePage {
                    hits,
                    whole_to: last - 1,
                    bytes,
                });
            }
            if wanted == MOST {
                return Err(self.unreadable("more than 10,000 documents with one `_seq_no`"));
            }
            self.size = wanted.saturating_mul(2);
        }
    }

    /// The highest number that searches on this copy see; -1 where they see nothing.
    pub(super) async fn highest_shown(&self, client: &Client) -> Result<i64> {
        let body = json!({
            "size": 1, "sort": [{"_seq_no": "desc"}], "_source": false, "seq_no_primary_term": true,
            "track_total_hits": false,
        });
        let (hits, _) = self.send(client, &body).await?;
        let highest = hits.first().and_then(|hit| hit.seq_no);
        Ok(highest.map_or(-1, |highest| i64::try_from(highest).unwrap_or(-1)))
    }

    async fn search(&self, client: &Client, size: u32) -> Result<(Vec<Hit>, usize)> {
        self.send(client, &self.body(size)).await
    }

    /// The body of the search for a page.
    pub(super) fn body(&self, size: u32) -> Value {
        let between = json!({"range": {"_seq_no": {"gt": self.after, "lte": self.until}}});
        let mut filters = vec![between];
        filters.extend(self.filters.iter().cloned());
        self.wanted.body(filters, json!([{"_seq_no": "asc"}]), size)
    }

    async fn send(&self, client: &Client, body: &Value) -> Result<(Vec<Hit>, usize)> {
        let preference = format!("_shards:{}|_only_nodes:{}", self.shard, self.node);
        let request = HttpRequest::post("/")
            .segment(&self.index)
            .segment("_search")
            .query("preference", preference)
            .query("allow_partial_search_results", "false")
            .json(&SecretString::from(body.to_string()))
            .repeatable(true);
        let answer = client.send(request).await?;
        let bytes = answer.body().len();
        let page = Page::from_json(answer.body())?.whole()?;
        // No shard at all is what a server answers for one that is not there.
        if page.shards.total != 1 || page.shards.successful != 1 {
            let message = format!(
                "{}, shard {}: {} shards were searched, and not that one",
                self.index, self.shard, page.shards.successful
            );
            return Err(Error::new(ErrorKind::Partial, message).retryable());
        }
        Ok((page.hits, bytes))
    }

    fn unreadable(&self, what: &str) -> Error {
        let message = format!("{}, shard {}: {what}", self.index, self.shard);
        Error::new(ErrorKind::Answer, message)
    }
}
