//! Many changes in one request.

use clusterops_core::http::HttpRequest;
use secrecy::SecretSlice;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{Client, Indices, json_of};
use crate::search::{ShardFailure, partial};
use crate::{Error, ErrorKind, Reason, Result};

/// Documents to write and to delete, in one request.
///
/// ```
/// use clusterops_logs::client::Bulk;
/// use serde_json::json;
///
/// let bulk = Bulk::new()
///     .index("logs", Some("1"), &json!({"message": "started"})).unwrap()
///     .delete("logs", "2");
/// assert_eq!(bulk.len(), 2);
/// ```
#[derive(Debug, Clone, Default)]
pub struct Bulk {
    lines: Vec<u8>,
    operations: usize,
}

impl Bulk {
    /// Nothing yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Writes a document, whether there is one with its id or not; without an id the server makes one.
    ///
    /// # Errors
    /// [`Input`](ErrorKind::Input) for a document that has no form as JSON.
    pub fn index(self, index: &str, id: Option<&str>, document: &impl Serialize) -> Result<Self> {
        self.with("index", index, id, document)
    }

    /// Writes a document unless there is one with its id; what a data stream wants.
    ///
    /// # Errors
    /// [`Input`](ErrorKind::Input) for a document that has no form as JSON.
    pub fn create(self, index: &str, id: Option<&str>, document: &impl Serialize) -> Result<Self> {
        self.with("create", index, id, document)
    }

    /// Deletes a document.
    #[must_use]
    pub fn delete(mut self, index: &str, id: &str) -> Self {
        let action = json!({ "delete": { "_index": index, "_id": id } });
        self.line(action.to_string());
        self.operations += 1;
        self
    }

    /// How many documents it is about.
    pub fn len(&self) -> usize {
        self.operations
    }

    /// Whether it is about none.
    pub fn is_empty(&self) -> bool {
        self.operations == 0
    }

    /// How many bytes it is; servers take 100 MB at most unless told otherwise.
    pub fn bytes(&self) -> usize {
        self.lines.len()
    }

    fn with(
        mut self,
        action: &str,
        index: &str,
        id: Option<&str>,
        document: &impl Serialize,
    ) -> Result<Self> {
        let mut place = json!({ "_index": index });
        if let Some(id) = id {
            place["_id"] = Value::from(id);
        }
        // Raw JSON inside of a document may have line ends, which would tear it apart.
        let document = serde_json::to_value(document).map_err(|error| {
            Error::new(ErrorKind::Input, "the document has no form as JSON").caused_by(error)
        })?;
        self.line(json!({ action: place }).to_string());
        self.line(json_of(&document)?);
        self.operations += 1;
        Ok(self)
    }

    fn line(&mut self, text: String) {
        self.lines.extend_from_slice(text.as_bytes());
        self.lines.push(b'\n');
    }
}

/// What became of a bulk.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
#[non_exhaustive]
pub struct BulkAnswer {
    /// Whether something failed.
    pub errors: bool,
    /// What became of each, in the order given.
    #[serde(deserialize_with = "items")]
    pub items: Vec<BulkItem>,
}

/// What became of one document of a bulk.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
#[non_exhaustive]
pub struct BulkItem {
    /// Its index.
    #[serde(rename = "_index")]
    pub index: String,
    /// Its id.
    #[serde(rename = "_id")]
    pub id: Option<String>,
    /// Its version now.
    #[serde(rename = "_version")]
    pub version: Option<u64>,
    /// The number of the operation in its shard.
    #[serde(rename = "_seq_no")]
    pub seq_no: Option<u64>,
    /// The status: 200 and 201 are successes.
    pub status: u16,
    /// Why it failed.
    pub error: Option<Reason>,
}

impl BulkAnswer {
    /// This answer, unless something failed.
    ///
    /// # Errors
    /// [`Partial`](ErrorKind::Partial): how many failed, and the first reasons. What did not fail is written.
    pub fn whole(self) -> Result<Self> {
        let failed = self.items.iter().filter(|item| item.error.is_some());
        let failures: Vec<_> = failed.map(BulkItem::failure).collect();
        if failures.is_empty() && !self.errors {
            return Ok(self);
        }
        let lack = format!(
            "{} of {} documents were not written",
            failures.len(),
            self.items.len()
        );
        let failures: Vec<_> = failures.iter().collect();
        Err(partial("the bulk", &[lack], &failures))
    }
}

impl BulkItem {
    fn failure(&self) -> ShardFailure {
        ShardFailure {
            index: Some(match &self.id {
                Some(id) => format!("{}/{id}", self.index),
                None => self.index.clone(),
            }),
            reason: self.error.clone().unwrap_or_default(),
            ..ShardFailure::default()
        }
    }
}

impl Client {
    /// Sends a bulk, once, and gives its answer if nothing in it failed.
    ///
    /// # Errors
    /// Those of [`send`](Self::send), and [`Partial`](ErrorKind::Partial) as [`BulkAnswer::whole`] says.
    pub async fn bulk(&self, bulk: &Bulk) -> Result<BulkAnswer> {
        self.bulk_partial(bulk).await?.whole()
    }

    /// The same, but what failed stands in the answer.
    ///
    /// # Errors
    /// Those of [`send`](Self::send).
    pub async fn bulk_partial(&self, bulk: &Bulk) -> Result<BulkAnswer> {
        if bulk.is_empty() {
            return Ok(BulkAnswer::default());
        }
        let body = SecretSlice::from(bulk.lines.clone());
        let request = HttpRequest::post("/_bulk").body("application/x-ndjson", &body);
        self.json(request).await
    }

    /// Makes visible to searches what was written to these indices.
    ///
    /// # Errors
    /// Those of [`send`](Self::send), and [`Partial`](ErrorKind::Partial) where shards failed.
    pub async fn refresh(&self, indices: &Indices) -> Result<()> {
        #[derive(Deserialize)]
        struct Answer {
            #[serde(rename = "_shards", default)]
            shards: crate::search::Shards,
        }
        let request = HttpRequest::post("/")
            .segment(indices.as_str())
            .segment("_refresh")
            .repeatable(true);
        let answer: Answer = self.json(request).await?;
        answer.shards.shortfall("the refresh").map_or(Ok(()), Err)
    }
}

/// Each item stands below the name of its action.
fn items<'de, D: serde::Deserializer<'de>>(from: D) -> Result<Vec<BulkItem>, D::Error> {
    let items = Vec::<std::collections::BTreeMap<String, BulkItem>>::deserialize(from)?;
    Ok(items
        .into_iter()
        .flat_map(|item| item.into_values())
        .collect())
}
