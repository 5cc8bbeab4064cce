//! A real cluster: indices in it, documents in them, and who reads them.

use std::collections::BTreeMap;
use std::time::Duration;

use clusterops_logs::http::HttpRequest;
use clusterops_logs::secrecy::{SecretSlice, SecretString};
use clusterops_logs::tail::{Batch, Notice, Tail, Token};
use clusterops_logs::{Client, Query};
use serde_json::{Value, json};
use tokio::time::Instant;

use crate::support;

/// How long anything may take.
pub(crate) const DEADLINE: Duration = Duration::from_secs(120);

/// A cluster, with a name that only this test's indices begin with.
#[derive(Clone)]
pub(crate) struct Cluster {
    pub(crate) name: String,
    pub(crate) url: String,
    pub(crate) client: Client,
    pub(crate) prefix: String,
}

/// What a tail gave: how often it gave each document, and what it had to say.
#[derive(Default, Debug)]
pub(crate) struct Seen {
    pub(crate) documents: BTreeMap<String, Vec<u64>>,
    pub(crate) notices: Vec<Notice>,
    pub(crate) token: Option<Token>,
}

/// What tails gave that were killed after each batch, every third of them before its token was kept.
#[derive(Default, Debug)]
pub(crate) struct Killed {
    pub(crate) seen: Seen,
    /// How often each document was in a batch whose token was not kept.
    unkept: BTreeMap<String, usize>,
    pub(crate) kills: usize,
}

impl Cluster {
    pub(crate) fn new(server: &support::Cluster, test: &str) -> Self {
        Self {
            name: server.name.clone(),
            url: server.urls[0].clone(),
            client: server.client(),
            prefix: server.unique(test),
        }
    }

    pub(crate) fn index(&self, name: &str) -> String {
        format!("{}-{name}", self.prefix)
    }

    pub(crate) fn pattern(&self) -> String {
        format!("{}-*", self.prefix)
    }

    pub(crate) fn tail(&self) -> Tail {
        self.tail_of(&self.client, &self.pattern())
    }

    pub(crate) fn tail_of(&self, client: &Client, indices: &str) -> Tail {
        Tail::new(client, &support::indices(indices), &Query::match_all())
            .unwrap()
            .pause(Duration::from_millis(50))
    }

    pub(crate) async fn call(&self, request: HttpRequest, body: Value) -> Value {
        let request = match body {
            Value::Null => request,
            body => request.json(&SecretString::from(body.to_string())),
        };
        self.client.json(request.repeatable(false)).await.unwrap()
    }

    pub(crate) async fn put(&self, path: &str, body: Value) -> Value {
        self.call(HttpRequest::put(path), body).await
    }

    pub(crate) async fn post(&self, path: &str, body: Value) -> Value {
        self.call(HttpRequest::post(path), body).await
    }

    /// Makes an index and waits for its copies.
    pub(crate) async fn create(
        &self,
        name: &str,
        shards: u32,
        replicas: u32,
        more: Value,
    ) -> String {
        let index = self.index(name);
        let mut settings = json!({"number_of_shards": shards, "number_of_replicas": replicas});
        settings
            .as_object_mut()
            .unwrap()
            .extend(more.as_object().cloned().unwrap_or_default());
        let body = json!({"settings": settings, "mappings": {"properties": {
            "@timestamp": {"type": "date"}, "n": {"type": "long"}, "team": {"type": "keyword"},
        }}});
        self.put(&format!("/{index}"), body).await;
        self.green(&index).await;
        index
    }

    pub(crate) async fn green(&self, index: &str) {
        let request = HttpRequest::get(format!("/_cluster/health/{index}"))
            .query("wait_for_status", "green")
            .query("wait_for_no_relocating_shards", "true")
            .query("timeout", "30s");
        let health: Value = self.client.json(request.deadline(DEADLINE)).await.unwrap();
        assert_eq!(health["timed_out"], false, "{health}");
    }

    /// Waits until each shard stands on this node.
    pub(crate) async fn all_on(&self, index: &str, node: &str) {
        let end = Instant::now() + DEADLINE;
        loop {
            let request = HttpRequest::get(format!("/_cat/shards/{index}"))
                .query("format", "json")
                .query("h", "node,state");
            let shards: Vec<Value> = self.client.json(request).await.unwrap();
            if shards
                .iter()
                .all(|shard| shard["node"] == node && shard["state"] == "STARTED")
            {
                return;
            }
            assert!(
                Instant::now() < end,
                "{index} is not on {node} within {DEADLINE:?}: {shards:?}"
            );
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// Indexes documents by their ids, in one request.
    pub(crate) async fn write(
        &self,
        index: &str,
        documents: impl IntoIterator<Item = (String, Value)>,
    ) {
        let mut lines = String::new();
        for (id, document) in documents {
            lines.push_str(&json!({"index": {"_id": id}}).to_string());
            lines.push('\n');
            lines.push_str(&document.to_string());
            lines.push('\n');
        }
        let body = SecretSlice::from(lines.into_bytes());
        let request =
            HttpRequest::post(format!("/{index}/_bulk")).body("application/x-ndjson", &body);
        let answer: Value = self.client.json(request.deadline(DEADLINE)).await.unwrap();
        assert_eq!(answer["errors"], false, "{answer}");
    }

    /// Indexes documents `a` to `b`, with times that say nothing of the order in which they are written.
    pub(crate) async fn write_some(&self, index: &str, from: u32, to: u32) {
        let document = |n: u32| {
            let time = match n % 4 {
                0 => "2026-01-01T00:00:00Z".to_owned(),
                1 => format!("2019-05-{:02}T00:00:{:02}Z", 1 + n % 28, n % 60),
                2 => format!("2090-05-{:02}T00:00:{:02}Z", 1 + n % 28, n % 60),
                _ => jiff::Timestamp::now().to_string(),
            };
            let team = if n.is_multiple_of(2) { "even" } else { "odd" };
            (
                format!("{n}"),
                json!({"@timestamp": time, "n": n, "team": team}),
            )
        };
        self.write(index, (from..to).map(document)).await;
    }

    pub(crate) async fn delete(&self, index: &str) {
        self.call(HttpRequest::delete(format!("/{index}")), Value::Null)
            .await;
    }

    /// Deletes all indices of this test.
    pub(crate) async fn end(self) {
        let request = HttpRequest::get("/_cat/indices/")
            .query("format", "json")
            .query("h", "index")
            .query("expand_wildcards", "all");
        let all: Vec<Value> = self.client.json(request).await.unwrap();
        for index in all.iter().filter_map(|index| index["index"].as_str()) {
            if index.starts_with(&self.prefix) {
                self.delete(index).await;
            }
        }
    }
}

impl Seen {
    pub(crate) fn take(&mut self, batch: Batch) {
        for document in &batch.documents {
            let version = document.hit.version.unwrap();
            let id = document.hit.id.clone();
            self.documents.entry(id).or_default().push(version);
        }
        self.notices.extend(batch.notices);
        self.token = Some(batch.token);
    }

    /// Reads on until this holds.
    pub(crate) async fn until(
        &mut self,
        tail: &mut Tail,
        what: &str,
        holds: impl Fn(&Self) -> bool,
    ) {
        let end = Instant::now() + DEADLINE;
        while !holds(self) {
            match tokio::time::timeout_at(end, tail.next()).await {
                Ok(batch) => self.take(batch.unwrap()),
                Err(_) => panic!(
                    "{what}: not within {DEADLINE:?}; {} documents, {:?}",
                    self.documents.len(),
                    self.notices
                ),
            }
        }
    }

    /// The last token, as it is kept: what is not part of its text does not survive.
    pub(crate) fn kept(&self) -> Token {
        let token = self.token.as_ref().unwrap().to_string();
        token.parse().unwrap()
    }

    /// Reads until there is a place to go on from.
    pub(crate) async fn until_token(&mut self, tail: &mut Tail) {
        self.until(tail, "a token", |seen| seen.token.is_some())
            .await;
    }

    pub(crate) async fn until_count(&mut self, tail: &mut Tail, count: usize) {
        let what = format!("{count} documents");
        self.until(tail, &what, |seen| seen.documents.len() >= count)
            .await;
    }

    /// Reads until nothing has come for a while: `span` is to be longer than what the server needs to show anything.
    pub(crate) async fn until_quiet(&mut self, tail: &mut Tail, span: Duration) {
        let end = Instant::now() + DEADLINE;
        while let Ok(batch) = tokio::time::timeout(span, tail.next()).await {
            self.take(batch.unwrap());
            assert!(
                Instant::now() < end,
                "not quiet within {DEADLINE:?}: {:?}",
                self.notices
            );
        }
    }

    /// Panics where a document is missing or came twice.
    pub(crate) fn are_once(&self, numbers: impl IntoIterator<Item = u32>) {
        let numbers: Vec<String> = numbers.into_iter().map(|n| n.to_string()).collect();
        let missing: Vec<_> = numbers
            .iter()
            .filter(|n| !self.documents.contains_key(*n))
            .collect();
        let twice: Vec<_> = self
            .documents
            .iter()
            .filter(|(_, seen)| seen.len() > 1)
            .collect();
        assert!(missing.is_empty(), "missing: {missing:?}");
        assert!(twice.is_empty(), "came again: {twice:?}");
        assert_eq!(
            self.documents.len(),
            numbers.len(),
            "more than were written"
        );
    }
}

impl Killed {
    /// Reads on until so many documents were seen; `begin` gives a tail that has no token yet.
    pub(crate) async fn until_count(&mut self, begin: impl Fn() -> Tail, count: usize) {
        let end = Instant::now() + DEADLINE;
        let mut tail = self.go_on(&begin);
        while self.seen.documents.len() < count {
            let batch = match tokio::time::timeout_at(end, tail.next()).await {
                Ok(batch) => batch.unwrap(),
                Err(_) => panic!(
                    "{count} documents: not within {DEADLINE:?}; {} and {} kills",
                    self.seen.documents.len(),
                    self.kills
                ),
            };
            // One that dies with every notice would not come far.
            let dies = !batch.documents.is_empty();
            let kept = self.seen.token.clone();
            let ids = batch.documents.iter().map(|document| &document.hit.id);
            let ids: Vec<String> = ids.cloned().collect();
            self.seen.take(batch);
            if dies {
                if self.kills % 3 == 2 {
                    self.seen.token = kept;
                    for id in ids {
                        *self.unkept.entry(id).or_default() += 1;
                    }
                }
                self.kills += 1;
                tail = self.go_on(&begin);
            }
        }
    }

    /// A tail that goes on from the last token that was kept.
    pub(crate) fn go_on(&self, begin: impl Fn() -> Tail) -> Tail {
        match &self.seen.token {
            Some(_) => begin().resume(self.seen.kept()).unwrap(),
            None => begin(),
        }
    }

    /// Panics where a document is missing, or came again without having been in a batch whose token was not kept.
    pub(crate) fn are_repeated_as_stated(&self, numbers: impl IntoIterator<Item = u32>) {
        let numbers: Vec<String> = numbers.into_iter().map(|n| n.to_string()).collect();
        for n in &numbers {
            let came = self.seen.documents.get(n).map_or(0, Vec::len);
            let most = 1 + self.unkept.get(n).copied().unwrap_or(0);
            assert!(
                (1..=most).contains(&came),
                "{n} came {came} times, and not 1 to {most}"
            );
        }
        assert_eq!(
            self.seen.documents.len(),
            numbers.len(),
            "more than were written"
        );
    }
}
