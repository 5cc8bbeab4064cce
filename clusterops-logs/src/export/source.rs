//! What an export reads from: the indices as they were when it began.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use clusterops_core::http::{HttpRequest, HttpResponse};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value, json};
use tokio::sync::Mutex;
use tokio::time::Instant;

use super::page::Answer;
use super::token::SliceState;
use crate::client::Pit;
use crate::places::Ask;
use crate::{Client, Error, ErrorKind, Indices, LOG, Page, Result};

/// With more indices than that, the bound of the whole stands for those of each.
const MOST_BOUNDS: usize = 500;

/// What stands in place of an index where one bound is for all; no index has that name.
const EVERY: &str = "*";

/// The longest pause before an attempt after one that failed.
const LONGEST_PAUSE: Duration = Duration::from_secs(10);

/// Where pages come from. Shared by the slices.
pub(super) struct Source {
    pub(super) client: Client,
    pub(super) indices: Indices,
    pub(super) query: Value,
    /// What the searches for pages have besides.
    pub(super) members: Map<String, Value>,
    pub(super) keys: Value,
    pub(super) keep_alive: Duration,
    pub(super) patience: Duration,
    pub(super) bounds: Vec<(String, u64)>,
    /// Keeps searches without a point in time on the same copies.
    pub(super) preference: String,
    pub(super) held: Mutex<Held>,
    /// Whether the pages are those of the first point in time.
    pub(super) frozen: AtomicBool,
}

/// The point in time at present.
#[derive(Debug, Clone)]
pub(super) struct Held {
    pub(super) pit: Option<Pit>,
    /// Which one it is: 0 is the one that the counts are of.
    pub(super) generation: u64,
}

/// What there is, counted at the start.
#[derive(Debug, Default)]
pub(super) struct Counted {
    pub(super) total: u64,
    pub(super) highest: Option<u64>,
    pub(super) bounds: Vec<(String, u64)>,
}

impl Source {
    /// What is asked for of what is behind where the slice stands.
    pub(super) async fn page(&self, slice: &SliceState, ask: &Ask) -> Result<Answer> {
        let with = |held: &Held| self.page_body(held, slice, ask);
        let (mut answer, held) = self.search(with, Answer::read).await?;
        if let Some(id) = &answer.pit_id {
            self.follow(held.generation, id).await;
        }
        answer.generation = held.generation;
        Ok(answer)
    }

    /// The body of the search for a page.
    pub(super) fn page_body(
        &self,
        held: &Held,
        slice: &SliceState,
        ask: &Ask,
    ) -> Map<String, Value> {
        let mut body = self.body(held, slice.range, slice.range.is_some());
        body.insert("sort".into(), self.keys.clone());
        body.insert("track_total_hits".into(), false.into());
        if let Some(after) = &slice.after {
            body.insert("search_after".into(), after.clone().into());
        }
        body.extend(self.members.clone());
        ask.of(body)
    }

    /// How many documents of a slice there are: behind where it stands where that can be said of a number, else in all.
    pub(super) async fn count(&self, slice: &SliceState) -> Result<u64> {
        let range = match (slice.range, slice.after.as_deref()) {
            (Some((above, to)), Some([after, ..])) => Some((after.as_i64().unwrap_or(above), to)),
            (range, _) => range,
        };
        let with = |held: &Held| {
            let mut body = self.body(held, range, range.is_some());
            body.insert("size".into(), 0.into());
            body.insert("track_total_hits".into(), true.into());
            body
        };
        self.search(with, whole).await?.0.counted()
    }

    /// Counts what there is, and takes the bounds.
    pub(super) async fn survey(&self) -> Result<Counted> {
        let with = |held: &Held| {
            let mut body = self.body(held, None, false);
            body.insert("size".into(), 0.into());
            body.insert("track_total_hits".into(), true.into());
            let highest = json!({"max": {"field": "_seq_no"}});
            let indices = json!({
                "terms": {"field": "_index", "size": MOST_BOUNDS},
                "aggs": {"highest": highest},
            });
            body.insert(
                "aggs".into(),
                json!({"highest": highest, "indices": indices}),
            );
            body
        };
        let (mut page, _) = self.search(with, whole).await?;
        let total = page.counted()?;
        let mut found = |name: &str| page.aggregations.remove(name);
        let (Some(highest), Some(indices)) = (found("highest"), found("indices")) else {
            // A pattern that no index fits has no aggregations either.
            return Ok(Counted {
                total,
                ..Counted::default()
            });
        };
        let highest = read::<Metric>(highest)?.number();
        let indices: Buckets = read(indices)?;
        let complete = indices.sum_other_doc_count == 0;
        let bounds = indices.buckets.into_iter();
        let bounds = bounds.filter_map(|bucket| Some((bucket.key, bucket.highest.number()?)));
        let mut bounds: Vec<(String, u64)> = match complete {
            true => bounds.collect(),
            false => highest
                .map(|highest| (EVERY.to_owned(), highest))
                .into_iter()
                .collect(),
        };
        bounds.sort();
        Ok(Counted {
            total,
            highest,
            bounds,
        })
    }

    /// Has the server keep the point in time for another while.
    pub(super) async fn renew(&self) {
        let held = self.held.lock().await.clone();
        let Some(mut pit) = held.pit else {
            return;
        };
        // A page that follows says what is wrong.
        if self.client.keep_pit(&mut pit).await.is_ok() {
            self.follow(held.generation, pit.id()).await;
        }
    }

    /// Takes over the id that an answer brings, unless another point in time has come in its place.
    async fn follow(&self, generation: u64, id: &str) {
        let mut held = self.held.lock().await;
        if held.generation == generation
            && let Some(pit) = &mut held.pit
        {
            pit.follow_id(id);
        }
    }

    /// Gives the point in time back. It ends by itself too, so that errors do not matter.
    pub(super) async fn close(&self) {
        let pit = self.held.lock().await.pit.take();
        if let Some(pit) = pit {
            let _ = self.client.close_pit(pit).await;
        }
    }

    /// Searches until there is an answer that can be used: a lost point in time is replaced, a server that is busy or away,
    /// or a part of which is, is waited for.
    async fn search<T>(
        &self,
        body: impl Fn(&Held) -> Map<String, Value>,
        read: impl Fn(HttpResponse) -> Result<T>,
    ) -> Result<(T, Held)> {
        let mut failing: Option<(Instant, Duration)> = None;
        let mut replaced = 0;
        loop {
            let held = self.held.lock().await.clone();
            let outcome = self.client.send(self.request(&held, body(&held))).await;
            let mut error = match outcome.and_then(&read) {
                Ok(answer) => return Ok((answer, held)),
                Err(error) => error,
            };
            let lost = matches!(error.kind(), ErrorKind::NotFound | ErrorKind::Expired);
            if lost && held.pit.is_some() && replaced < 3 {
                // What loses points in time, as a node that dies, can be in the way of a new one for a while.
                match self.replace(held.generation).await {
                    Ok(()) => {
                        replaced += 1;
                        continue;
                    }
                    Err(in_the_way) => error = in_the_way,
                }
            }
            if !error.is_retryable() {
                return Err(error);
            }
            let (since, pause) = failing.unwrap_or((Instant::now(), Duration::from_millis(250)));
            if since.elapsed() + pause > self.patience {
                return Err(error);
            }
            tokio::time::sleep(pause).await;
            failing = Some((since, (pause * 2).min(LONGEST_PAUSE)));
        }
    }

    /// Opens another point in time, unless another slice has done so.
    async fn replace(&self, lost: u64) -> Result<()> {
        let mut held = self.held.lock().await;
        if held.generation == lost {
            let opened = self.client.open_pit(&self.indices, self.keep_alive).await;
            held.pit = match opened {
                Err(error) if error.is_retryable() => return Err(error),
                opened => or_none(opened)?,
            };
            held.generation += 1;
            let indices = &self.indices;
            log::warn!(target: LOG, "an export of {indices} lost its point in time, and goes on in another");
            self.frozen.store(false, Ordering::Relaxed);
        }
        Ok(())
    }

    fn request(&self, held: &Held, body: Map<String, Value>) -> HttpRequest {
        let body = Value::Object(body).to_string();
        let request = match held.pit {
            Some(_) => HttpRequest::post("/_search"),
            None => HttpRequest::post("/")
                .segment(self.indices.as_str())
                .segment("_search")
                .query("preference", &self.preference),
        };
        request
            .query("allow_partial_search_results", "false")
            .json(&body.into())
            .repeatable(true)
    }

    /// What all searches have: the query within what the export began with.
    fn body(&self, held: &Held, range: Option<(i64, i64)>, exact: bool) -> Map<String, Value> {
        let mut filters = vec![self.query.clone()];
        if let (Some((above, to)), true) = (range, exact) {
            filters.push(json!({"range": {"_seq_no": {"gt": above, "lte": to}}}));
        }
        if held.pit.is_none() || held.generation > 0 {
            filters.extend(self.bound());
        }
        let mut body = Map::new();
        if let Some(pit) = &held.pit {
            body.insert("pit".into(), pit.member());
        }
        body.insert("query".into(), json!({"bool": {"filter": filters}}));
        body
    }

    /// What keeps out what came after the start.
    fn bound(&self) -> Option<Value> {
        let of = |(index, highest): &(String, u64)| {
            let range = json!({"range": {"_seq_no": {"lte": highest}}});
            match index.as_str() {
                EVERY => range,
                index => json!({"bool": {"filter": [{"term": {"_index": index}}, range]}}),
            }
        };
        let any: Vec<Value> = self.bounds.iter().map(of).collect();
        (!any.is_empty()).then(|| json!({"bool": {"should": any, "minimum_should_match": 1}}))
    }

    /// Whether there is one index only.
    pub(super) fn is_of_one_index(&self) -> bool {
        matches!(self.bounds.as_slice(), [(name, _)] if name != EVERY)
    }
}

/// Opens a point in time: none where the server has no such thing, or refuses one, or leaves out a cluster. The searches
/// that follow do without it, and wait for the cluster.
pub(super) async fn open_pit(
    client: &Client,
    indices: &Indices,
    keep_alive: Duration,
) -> Result<Option<Pit>> {
    or_none(client.open_pit(indices, keep_alive).await)
}

fn or_none(opened: Result<Pit>) -> Result<Option<Pit>> {
    match opened {
        Ok(pit) => Ok(Some(pit)),
        // What is wrong with the indices themselves, the search that follows says.
        Err(error) => match error.kind() {
            ErrorKind::Rejected
            | ErrorKind::NotFound
            | ErrorKind::Denied
            | ErrorKind::Unavailable
            | ErrorKind::Partial
            | ErrorKind::Server => {
                log::warn!(target: LOG, "an export goes without a point in time: {error}");
                Ok(None)
            }
            _ => Err(error),
        },
    }
}

/// Asks for the point in time to be kept, for as long as the source is there.
pub(super) async fn keep_alive(source: Arc<Source>) {
    let every = (source.keep_alive / 3).max(Duration::from_millis(100));
    loop {
        tokio::time::sleep(every).await;
        source.renew().await;
    }
}

/// Whether the field is of both types of dates, which one sort can only compare in nanoseconds.
pub(crate) async fn has_both_dates(
    client: &Client,
    indices: &Indices,
    field: &str,
) -> Result<bool> {
    match client.field_caps(indices, &[field]).await {
        Ok(caps) => {
            let has = |wanted| caps.types(field).any(|kind| kind == wanted);
            Ok(has("date") && has("date_nanos"))
        }
        Err(error) if error.kind() == ErrorKind::Denied => Ok(false),
        Err(error) => Err(error),
    }
}

/// Reads an answer without hits, which has to cover everything.
fn whole(answer: HttpResponse) -> Result<Page> {
    Page::from_json(answer.body())?.whole()
}

fn read<T: DeserializeOwned>(found: Value) -> Result<T> {
    serde_json::from_value(found).map_err(|error| {
        let message = "what indices hold is told in another shape than expected";
        Error::new(ErrorKind::Answer, message).caused_by(error)
    })
}

#[derive(Deserialize)]
struct Buckets {
    sum_other_doc_count: u64,
    buckets: Vec<Bucket>,
}

#[derive(Deserialize)]
struct Bucket {
    key: String,
    highest: Metric,
}

#[derive(Deserialize)]
struct Metric {
    value: Option<f64>,
}

impl Metric {
    /// A `_seq_no`; they are far below what a float holds exactly.
    fn number(&self) -> Option<u64> {
        match self.value {
            Some(value) if (0.0..9e15).contains(&value) => Some(value as u64),
            _ => None,
        }
    }
}

/// An error for what this version of the export cannot do.
pub(super) fn input(message: impl Into<String>) -> Error {
    Error::new(ErrorKind::Input, message)
}
