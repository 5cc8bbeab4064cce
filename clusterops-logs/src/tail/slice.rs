//! One page of one shard: the documents between two sequence numbers, on the copy that is known to show them.

use clusterops_core::http::HttpRequest;
use secrecy::SecretString;
use serde_json::{Value, json};

use super::document::Wanted;
use crate::places::{self, Ask, Hits, PageSize};
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

impl Slice {
    /// Reads the slice's first page.
    ///
    /// In an index that was made by shrinking, several documents have the same number, which is their place.
    pub(super) async fn page(self, client: &Client) -> Result<SlicePage> {
        let mut size = PageSize::new(self.size);
        let first = First {
            slice: &self,
            client,
        };
        let page = places::next(&first, &mut size).await?;
        let number =
            |number: Option<i64>| number.ok_or_else(|| self.unreadable("a hit without `_seq_no`"));
        let last = page.after.as_deref().and_then(<[Value]>::first);
        let whole_to = match page.is_last {
            true => self.until,
            false => number(last.and_then(Value::as_i64))?,
        };
        let Hits { hits, bytes } = page.answer;
        let numbered = |hit: Hit| {
            let own = hit.seq_no.and_then(|number| i64::try_from(number).ok());
            Ok((number(own)?, hit))
        };
        Ok(SlicePage {
            hits: hits.into_iter().map(numbered).collect::<Result<_>>()?,
            whole_to,
            bytes,
        })
    }

    /// The highest number that searches on this copy see; -1 where they see nothing.
    pub(super) async fn highest_shown(&self, client: &Client) -> Result<i64> {
        let body = json!({
            "size": 1, "sort": [{"_seq_no": "desc"}], "_source": false, "seq_no_primary_term": true,
            "track_total_hits": false,
        });
        let found = self.send(client, &body).await?;
        let highest = found.hits.first().and_then(|hit| hit.seq_no);
        Ok(highest.map_or(-1, |highest| i64::try_from(highest).unwrap_or(-1)))
    }

    /// The body of the search for a page.
    pub(super) fn body(&self, ask: &Ask) -> Value {
        let between = json!({"range": {"_seq_no": {"gt": self.after, "lte": self.until}}});
        let mut filters = vec![between];
        filters.extend(self.filters.iter().cloned());
        let body = self.wanted.body(filters, json!([{"_seq_no": "asc"}]));
        Value::Object(ask.of(body))
    }

    async fn send(&self, client: &Client, body: &Value) -> Result<Hits> {
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
        Ok(Hits {
            hits: page.hits,
            bytes,
        })
    }

    fn unreadable(&self, what: &str) -> Error {
        let message = format!("{}, shard {}: {what}", self.index, self.shard);
        Error::new(ErrorKind::Answer, message)
    }
}

/// The search for what a slice begins with.
struct First<'a> {
    slice: &'a Slice,
    client: &'a Client,
}

impl places::Search for First<'_> {
    type Answer = Hits;

    async fn search(&self, ask: Ask) -> Result<Hits> {
        self.slice.send(self.client, &self.slice.body(&ask)).await
    }
}
