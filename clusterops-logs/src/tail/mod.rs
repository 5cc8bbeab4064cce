//! Following what is written, losing and repeating nothing.
//!
//! Others ask again and again for a window of time, and lose what arrives late, has the same time as the window's edge, or
//! is more than a page. A [`Tail`] goes by sequence numbers, which every shard gives to its operations in order (Elasticsearch
//! and OpenSearch both; `_seq_no`). In rounds it reads each shard's global checkpoint, up to which nothing can change any
//! more, makes that searchable, and reads all that lies between the last checkpoint and this one, from the shard's primary.
//! Times do not matter to that: late, equal, future and wrong ones are all found.
//!
//! What is promised while it runs: the latest version of each document exactly once. A document that is written again comes
//! again, with a higher [`version`](crate::Hit::version). A version that was replaced before it was read, and a deletion, are
//! not shown. A restart from a [`Token`] repeats what was handed over behind it, which is one batch if each token is kept;
//! it loses nothing. A shard that has another history, or whose numbers end below what was read of it, begins anew and says
//! so ([`Notice::Restarted`]); a checkpoint below what was read is that of a primary that has just become one, and rises
//! again.
//!
//! ```no_run
//! use clusterops_logs::tail::{Since, Tail};
//! use clusterops_logs::http::HttpOptions;
//! use clusterops_logs::{Client, Indices, Query};
//!
//! # async fn example() -> clusterops_logs::Result<()> {
//! let client = Client::new(&["http://127.0.0.1:9200"], HttpOptions::default())?;
//! let mut tail = Tail::new(&client, &Indices::new("logs-*")?, &Query::match_all())?.since(Since::Now);
//! loop {
//!     let batch = tail.next().await?;
//!     for notice in &batch.notices {
//!         eprintln!("{notice}");
//!     }
//!     for document in &batch.documents {
//!         println!("{}", document.hit.source.as_ref().map_or("", |source| source.get()));
//!     }
//!     std::fs::write("tail.token", batch.token.to_string()).expect("the disk has room");
//! }
//! # }
//! ```
//!
//! # Rights
//! The indices' `read`, `monitor` and `view_index_metadata` are enough; with `maintenance` (to refresh) documents come sooner.
//! Without one of them, on other clusters (`cluster:index`) and on serverless, there are no checkpoints: then documents are
//! found by their time, with an overlap, and those without a time not at all, and the tail says so by [`Notice::ByTime`].
//! Without `view_index_metadata`, and on other clusters, what was shrunk, split, cloned or mounted then comes again
//! ([`Notice::UnknownCopies`]). A tail that goes by checkpoints tells which indices lack a right that others have, and
//! follows the others ([`Notice::Unseen`], [`Notice::Held`], [`Notice::NoRefresh`], [`Notice::Unavailable`]).

mod absent;
mod adopt;
mod clock;
mod copies;
mod document;
mod exact;
mod follow;
mod named;
mod notice;
mod origins;
mod readers;
mod refresh;
mod slice;
mod survey;
mod token;
mod versions;
mod watermark;

use std::time::Duration;

use clusterops_core::http::HttpRequest;
use jiff::Timestamp;
use secrecy::SecretString;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use tokio::time::Instant;

use crate::{Client, Error, ErrorKind, Indices, LOG, LONGEST_SPAN, Query, Result};
use clock::Clock;
pub use document::Document;
use document::Wanted;
use exact::Exact;
pub use notice::Notice;
pub use token::Token;
use watermark::Watermark;

/// Follows the documents of some indices; the [module](self) says what is promised.
#[derive(Debug)]
pub struct Tail {
    settings: Settings,
    mode: Mode,
    /// What has been read and not handed over.
    gathered: Vec<Document>,
    /// Since when something waits.
    waiting: Option<Instant>,
    notices: Vec<Notice>,
    /// The newest time that was handed over.
    shown_to: Option<Timestamp>,
    /// Whether a round has ended well.
    has_worked: bool,
    /// Whether the next token says more than the last, with nothing to hand over.
    has_begun: bool,
    /// Whether somebody has a token.
    has_told: bool,
    /// Whether it is known which of the indices by their names are not there.
    has_asked_for_names: bool,
    /// How often in a row nothing could be had of the cluster.
    failures: u32,
    /// From when on the cluster is asked again.
    not_before: Option<Instant>,
}

/// What a tail was told.
#[derive(Debug, Clone)]
struct Settings {
    client: Client,
    indices: Indices,
    query: Value,
    /// What stands in tokens for the query: itself, or words.
    token_query: Value,
    since: Since,
    began: Timestamp,
    /// Whether that is by the cluster's clock.
    began_by_cluster: bool,
    clock: Clock,
    wanted: Wanted,
    pause: Duration,
    reorder: Duration,
    overlap: Duration,
    batch: usize,
}

impl Settings {
    /// A search of all that is meant, as far as it is there.
    fn search(&self, body: &Value) -> HttpRequest {
        HttpRequest::post("/")
            .segment(self.indices.as_str())
            .segment("_search")
            .query("ignore_unavailable", "true")
            .json(&SecretString::from(body.to_string()))
            .repeatable(true)
    }
}

/// How documents are found.
#[derive(Debug)]
enum Mode {
    Exact(Box<Exact>),
    ByTime(Box<Watermark>),
}

/// Where a tail begins in what was there before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Since {
    /// Behind all of it.
    Now,
    /// At the first document.
    Start,
    /// At documents with this time or a later one; one before 1970, which some fields cannot be compared with, is its
    /// beginning.
    Time(Timestamp),
}

/// What a tail hands over in one go.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Batch {
    /// Documents, ordered by their times as far as they are in this batch.
    pub documents: Vec<Document>,
    /// What there is to know besides.
    pub notices: Vec<Notice>,
    /// Where the tail stands once these documents are dealt with.
    pub token: Token,
}

impl Tail {
    /// Follows what the query finds in these indices.
    ///
    /// # Errors
    /// [`Input`](ErrorKind::Input) for a query that no server would take.
    pub fn new(client: &Client, indices: &Indices, query: &Query) -> Result<Self> {
        let by_time = indices.has_remote();
        let query = query.to_json()?;
        let settings = Settings {
            client: client.clone(),
            indices: indices.clone(),
            token_query: query.clone(),
            query,
            since: Since::Now,
            began: Timestamp::now(),
            began_by_cluster: false,
            clock: Clock::Unknown,
            wanted: Wanted {
                time_field: "@timestamp".to_owned(),
                members: Map::new(),
            },
            pause: Duration::from_millis(500),
            reorder: Duration::ZERO,
            overlap: Duration::from_secs(60),
            batch: 5_000,
        };
        let mut tail = Self {
            mode: Mode::Exact(Box::default()),
            settings,
            gathered: Vec::new(),
            waiting: None,
            notices: Vec::new(),
            shown_to: None,
            has_worked: false,
            has_begun: false,
            has_told: false,
            has_asked_for_names: false,
            failures: 0,
            not_before: None,
        };
        if by_time {
            tail.go_by_time("the indices are those of another cluster".to_owned());
        }
        Ok(tail)
    }

    /// Where to begin; behind all that is there ([`Since::Now`]) unless it is told.
    #[must_use]
    pub fn since(mut self, since: Since) -> Self {
        self.settings.since = since;
        self
    }

    /// What tokens say in place of the query's JSON. Where the query is made anew each time, as Kibana's language is from the
    /// fields that there are then, its words are what stays the same. Say it before [`resume`](Self::resume).
    #[must_use]
    pub fn query_words(mut self, words: impl Into<String>) -> Self {
        self.settings.token_query = Value::String(words.into());
        self
    }

    /// Continues where this token says, and finds documents in the same way.
    ///
    /// # Errors
    /// [`Input`](ErrorKind::Input) for a token of other indices or another query.
    pub fn resume(mut self, token: Token) -> Result<Self> {
        let what = if token.indices != self.settings.indices.as_str() {
            format!(
                "the indices `{}`, not `{}`",
                token.indices, self.settings.indices
            )
        } else if ![&self.settings.token_query, &self.settings.query].contains(&&token.query) {
            "another query".to_owned()
        } else {
            self.settings.since = token.since;
            self.settings.began = token.began;
            self.settings.began_by_cluster = token.began_by_cluster;
            self.shown_to = token.shown_to;
            self.has_told = true;
            let told = |notice: &Notice| matches!(notice, Notice::ByTime { .. });
            self.mode = match token.watermark {
                Some(watermark) => {
                    if !self.notices.iter().any(told) {
                        let why = "as before".to_owned();
                        self.notices.push(Notice::ByTime { why });
                    }
                    Mode::ByTime(Box::new(watermark))
                }
                None => {
                    self.notices.retain(|notice| !told(notice));
                    Mode::Exact(Box::new(Exact::continued(token.shards)))
                }
            };
            return Ok(self);
        };
        let message = format!("the token is that of a tail of {what}; begin without it");
        Err(Error::new(ErrorKind::Input, message))
    }

    /// Goes by time and not by checkpoints, as it does by itself where there are none. With the overlap of
    /// [`overlap`](Self::overlap), documents that arrive later than it are lost, and those without a time are never shown. An
    /// index that
    /// cannot be searched holds up all: what it shows afterwards would lie behind the time that was read to.
    #[must_use]
    pub fn by_time(mut self) -> Self {
        self.go_by_time("asked for".to_owned());
        self
    }

    /// The field that holds a document's time: `@timestamp` unless another is told.
    #[must_use]
    pub fn time_field(mut self, field: impl Into<String>) -> Self {
        self.settings.wanted.time_field = field.into();
        self
    }

    /// Adds a member to the bodies of the searches, such as `_source` or `highlight`, which nothing here checks.
    #[must_use]
    pub fn raw(mut self, name: impl Into<String>, value: Value) -> Self {
        self.settings.wanted.members.insert(name.into(), value);
        self
    }

    /// How long to wait where there was nothing new: 500 ms unless it is told.
    #[must_use]
    pub fn pause(mut self, pause: Duration) -> Self {
        self.settings.pause = pause.min(LONGEST_SPAN);
        self
    }

    /// How long to gather documents so that they come in the order of their times: not at all unless it is told. What
    /// comes later nonetheless is marked as [`late`](Document::late).
    #[must_use]
    pub fn reorder(mut self, span: Duration) -> Self {
        self.settings.reorder = span.min(LONGEST_SPAN);
        self
    }

    /// How far back documents are asked for again where the tail goes by time: a minute unless it is told. Each round looks
    /// at all that lies in it (not at the documents, but at which there are), and a token has some 30 bytes for each. With a
    /// longer one than before, [`resume`](Self::resume) repeats what lies between the two.
    #[must_use]
    pub fn overlap(mut self, span: Duration) -> Self {
        self.settings.overlap = span;
        self
    }

    /// How many documents a batch may have, about: one page of each shard is the least. 5,000 unless it is told.
    #[must_use]
    pub fn batch(mut self, documents: usize) -> Self {
        self.settings.batch = documents.max(1);
        self
    }

    /// The body of the first search for documents, for those who want to see it before it is sent.
    ///
    /// By sequence numbers each shard is sent one of its own, with the numbers that the cluster says; here stand all.
    ///
    /// ```
    /// use clusterops_logs::http::HttpOptions;
    /// use clusterops_logs::tail::Tail;
    /// use clusterops_logs::{Client, Indices, Query};
    /// use serde_json::json;
    ///
    /// let client = Client::new(&["http://localhost:9200"], HttpOptions::default())?;
    /// let tail = Tail::new(&client, &Indices::new("logs-*")?, &Query::match_all())?;
    /// assert_eq!(tail.first_search()["sort"], json!([{"_seq_no": "asc"}]));
    /// # Ok::<(), clusterops_logs::Error>(())
    /// ```
    pub fn first_search(&self) -> Value {
        match &self.mode {
            Mode::Exact(exact) => exact.first_search(&self.settings),
            Mode::ByTime(watermark) => watermark.next_search(&self.settings),
        }
    }

    /// Waits for the next documents or notices. A batch without either has a token that is better than the last one.
    ///
    /// What keeps the cluster from answering for a while (a lost connection, a node that restarts, too much to do) is a
    /// [`Notice`], and the tail goes on by itself. Dropping the future loses nothing, but what it has read and not handed over
    /// is read again: who waits for something else beside it keeps the future (`tokio::pin!`).
    ///
    /// # Errors
    /// What no waiting mends: [`Unauthenticated`](ErrorKind::Unauthenticated), [`Denied`](ErrorKind::Denied) (also where the
    /// statistics of shards were shown before and are not any more, and where none of the indices may be read any more), a
    /// query that the server [rejects](ErrorKind::Rejected).
    /// Another call tries again.
    pub async fn next(&mut self) -> Result<Batch> {
        loop {
            if let Some(batch) = self.due() {
                return Ok(batch);
            }
            if let Some(then) = self.not_before {
                let until_shown = self.waiting.map(|since| since + self.settings.reorder);
                tokio::time::sleep_until(until_shown.map_or(then, |shown| shown.min(then))).await;
                if Instant::now() < then {
                    continue;
                }
                self.not_before = None;
            }
            if let Err(error) = self.begin().await {
                self.failed(error)?;
                continue;
            }
            let outcome = match &mut self.mode {
                Mode::Exact(exact) => exact.round(&self.settings, &mut self.notices).await,
                Mode::ByTime(watermark) => watermark.round(&self.settings, &mut self.notices).await,
            };
            match outcome {
                Ok(found) => {
                    self.has_worked |= found.understood;
                    if !found.waits && std::mem::take(&mut self.failures) > 0 {
                        self.notices.push(Notice::Recovered);
                    }
                    // Who follows what comes seldom has a place to go on from, too.
                    self.has_begun |= found.is_begun || (found.idle && !self.has_told);
                    if found.idle {
                        self.not_before = Some(Instant::now() + self.settings.pause);
                    }
                    if !found.documents.is_empty() {
                        self.waiting.get_or_insert_with(Instant::now);
                        self.gathered.extend(found.documents);
                    }
                }
                Err(error) => self.failed(error)?,
            }
        }
    }

    /// Whether a server has understood the query, if only to find nothing. As long as there are no indices, none has read it.
    pub fn has_worked(&self) -> bool {
        self.has_worked
    }

    /// What is asked once.
    async fn begin(&mut self) -> Result<()> {
        self.settings.learn_clock().await?;
        if !self.has_asked_for_names {
            let notices = named::unavailable(&self.settings).await?;
            self.notices.extend(notices);
            self.has_asked_for_names = true;
        }
        Ok(())
    }

    /// What is to be handed over now.
    fn due(&mut self) -> Option<Batch> {
        let ripe = self.waiting.is_some_and(|since| {
            since.elapsed() >= self.settings.reorder || self.gathered.len() >= self.settings.batch
        });
        let has_begun = std::mem::take(&mut self.has_begun);
        if !ripe && self.notices.is_empty() && !has_begun {
            return None;
        }
        self.has_told = true;
        // A token covers all that was read, so all of it goes out with the notices.
        self.waiting = None;
        let mut documents = std::mem::take(&mut self.gathered);
        documents.sort_by_key(|document| document.time);
        versions::keep_rising(&mut documents);
        let now = self.settings.now();
        for document in &mut documents {
            document.late = document.time.is_some() && document.time < self.shown_to;
            // A time in the future says nothing of what is yet to come.
            self.shown_to = self.shown_to.max(document.time.map(|time| time.min(now)));
        }
        for notice in &self.notices {
            log::log!(target: LOG, notice.level(), "tail of {}: {notice}", self.settings.indices);
        }
        Some(Batch {
            documents,
            notices: std::mem::take(&mut self.notices),
            token: self.token(),
        })
    }

    fn failed(&mut self, error: Error) -> Result<()> {
        let lost = matches!(
            error.kind(),
            ErrorKind::Connection
                | ErrorKind::Timeout
                | ErrorKind::Unavailable
                | ErrorKind::Partial
                | ErrorKind::Server
        );
        if let Mode::Exact(exact) = &self.mode
            && exact.is_fresh()
            && exact::is_unsighted(&error)
        {
            self.go_by_time(error.to_string());
            return Ok(());
        }
        if !lost && !error.is_retryable() {
            return Err(error);
        }
        if self.failures == 0 {
            let why = error.to_string();
            self.notices.push(Notice::Interrupted { why });
        }
        self.failures = self.failures.saturating_add(1);
        let pause = self.settings.pause.max(Duration::from_millis(100));
        let pause = pause.saturating_mul(1 << self.failures.min(5));
        self.not_before = Some(Instant::now() + pause.min(Duration::from_secs(10)));
        Ok(())
    }

    fn go_by_time(&mut self, why: String) {
        self.mode = Mode::ByTime(Box::new(Watermark::new()));
        self.notices.push(Notice::ByTime { why });
    }

    fn token(&self) -> Token {
        let (shards, watermark) = match &self.mode {
            Mode::Exact(exact) => (exact.positions(), None),
            Mode::ByTime(watermark) => (Default::default(), Some((**watermark).clone())),
        };
        Token {
            version: token::VERSION,
            indices: self.settings.indices.to_string(),
            query: self.settings.token_query.clone(),
            began: self.settings.began,
            began_by_cluster: self.settings.began_by_cluster,
            since: self.settings.since,
            shown_to: self.shown_to,
            watermark,
            shards,
        }
    }
}

/// What one round brought.
#[derive(Debug, Default)]
struct Found {
    documents: Vec<Document>,
    /// Whether there was nothing to read, so that the next round can wait.
    idle: bool,
    /// Whether a shard has understood the query, now or before.
    understood: bool,
    /// Whether nothing has been answered yet of what was asked for.
    waits: bool,
    /// Whether all is known now that was there before, which a token has to say.
    is_begun: bool,
}
