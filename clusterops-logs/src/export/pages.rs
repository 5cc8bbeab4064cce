//! The pages of an export that runs.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use serde_json::Value;
use tokio::sync::mpsc::{self, Receiver, Sender};
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::page::Answer;
use super::progress::Meter;
use super::source::{self, Source};
use super::token::{SliceState, State};
use super::{Break, Page, Progress, Token};
use crate::places::{self, Answer as _, Ask, PageSize};
use crate::{Error, ErrorKind, Result};

/// What a page's answer is made to have at most, by asking for fewer documents: 8 MiB.
const PAGE_BYTES: usize = 8 << 20;

/// An export that runs: its pages, one after the other.
///
/// While a page is worked on, each slice fetches its next one and then waits, so that memory holds one page more than there
/// are slices. Dropping it ends the requests and leaves the point in time to whoever resumes.
///
/// ```no_run
/// # async fn example(export: clusterops_logs::Export) -> clusterops_logs::Result<()> {
/// let mut pages = export.start().await?;
/// while let Some(page) = pages.next().await? {
///     for hit in page.hits() {
///         println!("{}", String::from_utf8_lossy(hit.source()));
///     }
///     std::fs::write("token", page.token().to_string()).expect("a place for the token");
///     eprintln!("{}", pages.progress());
/// }
/// # Ok(())
/// # }
/// ```
pub struct Pages {
    source: Arc<Source>,
    state: State,
    meter: Meter,
    arriving: Receiver<Message>,
    workers: JoinSet<()>,
    closed: bool,
}

struct Message {
    slice: usize,
    outcome: Result<Fetched>,
}

struct Fetched {
    answer: Answer,
    /// Where the slice stands behind it.
    after: Option<Vec<Value>>,
    finished: bool,
    /// What the slice found to be left, at the first page from another point in time.
    lost: Option<u64>,
}

impl Pages {
    pub(super) fn start(source: Source, state: State, size: u32, generation: u64) -> Self {
        let source = Arc::new(source);
        let open = state.slices.iter().filter(|slice| !slice.finished).count();
        let (sender, arriving) = mpsc::channel(open.max(1));
        let mut workers = JoinSet::new();
        for (index, slice) in state
            .slices
            .iter()
            .enumerate()
            .filter(|(_, slice)| !slice.finished)
        {
            let worker = Worker {
                source: Arc::clone(&source),
                index,
                position: slice.clone(),
                size: PageSize::new(size),
                generation,
            };
            workers.spawn(worker.run(sender.clone()));
        }
        if open > 0 {
            workers.spawn(source::keep_alive(Arc::clone(&source)));
        }
        let meter = Meter::new(Instant::now(), state.done(), state.total);
        Self {
            source,
            state,
            meter,
            arriving,
            workers,
            closed: false,
        }
    }

    /// The next page, none behind the last. Cancel-safe: a future that is dropped takes no page with it.
    ///
    /// # Errors
    /// What the servers say that is not gone after a while ([`Export::patience`](super::Export::patience)). Then the export
    /// has ended; it goes on from the last token.
    pub async fn next(&mut self) -> Result<Option<Page>> {
        while self.state.slices.iter().any(|slice| !slice.finished) {
            let Some(message) = self.arriving.recv().await else {
                let message = "the export has ended with an error before its end: resume it from the last token";
                return Err(Error::new(ErrorKind::Input, message));
            };
            let fetched = match message.outcome {
                Ok(fetched) => fetched,
                Err(error) => {
                    self.workers.abort_all();
                    self.arriving.close();
                    return Err(error);
                }
            };
            self.take_in(message.slice, &fetched);
            if fetched.answer.len() > 0 {
                return Ok(Some(Page {
                    answer: fetched.answer,
                    slice: message.slice,
                    token: self.token(),
                }));
            }
        }
        if !self.closed {
            self.workers.abort_all();
            self.source.close().await;
            self.closed = true;
        }
        Ok(None)
    }

    fn take_in(&mut self, index: usize, fetched: &Fetched) {
        if let Some(left) = fetched.lost {
            let done = self.state.done();
            if self.state.breaks.len() < State::MOST_BREAKS {
                let of_slice = self
                    .state
                    .slices
                    .get(index)
                    .map_or(0, |slice| slice.total.saturating_sub(slice.done));
                self.state.breaks.push(Break {
                    done,
                    expected: of_slice,
                    found: left,
                });
            }
        }
        if let Some(slice) = self.state.slices.get_mut(index) {
            slice.done += fetched.answer.len() as u64;
            slice.finished = fetched.finished;
            slice.after.clone_from(&fetched.after);
        }
        // The newest id; where it is locked, a page that follows brings it. One that replaced what this page is of belongs
        // to the pages that follow.
        if let Ok(held) = self.source.held.try_lock()
            && held.generation == fetched.answer.generation
        {
            self.state.pit = held.pit.as_ref().map(|pit| pit.id().to_owned());
        }
        self.meter.record(Instant::now(), self.state.done());
    }

    /// How far it has come, and how long the rest may take.
    pub fn progress(&self) -> Progress {
        self.meter.progress(Instant::now())
    }

    /// Whether all pages so far are of one point in time, taken at the start.
    ///
    /// If not, the server has none (Elasticsearch before 7.10 and its builds without X-Pack, OpenSearch before 2.4), refused
    /// one, or has lost it. Then the pages are of the documents with a `_seq_no` not above the greatest at the start. Each
    /// comes exactly once unless it is changed or removed while the export runs: then it is left out.
    pub fn is_frozen(&self) -> bool {
        self.source.frozen.load(Ordering::Relaxed)
    }

    /// Where a point in time was lost, and what was found afterwards.
    pub fn breaks(&self) -> &[Break] {
        &self.state.breaks
    }

    /// Where the export stands once all pages so far are finished with.
    pub fn token(&self) -> Token {
        Token(Box::new(self.state.clone()))
    }

    /// How many documents were counted at the start.
    pub fn total(&self) -> u64 {
        self.state.total
    }

    /// How many have been handed on, by the runs before this one too.
    pub fn done(&self) -> u64 {
        self.state.done()
    }

    /// Gives the point in time back before the end. A resumed export then has to do without.
    pub async fn close(mut self) {
        self.workers.abort_all();
        self.source.close().await;
    }
}

impl fmt::Debug for Pages {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Pages({} of {})", self.done(), self.total())
    }
}

/// Fetches the pages of one slice.
struct Worker {
    source: Arc<Source>,
    index: usize,
    position: SliceState,
    size: PageSize,
    generation: u64,
}

impl Worker {
    async fn run(mut self, sender: Sender<Message>) {
        let mut over = false;
        while !over {
            // Only then, so that no page waits for its place.
            let Ok(place) = sender.reserve().await else {
                return;
            };
            let outcome = self.fetch().await;
            over = outcome.as_ref().map_or(true, |fetched| fetched.finished);
            place.send(Message {
                slice: self.index,
                outcome,
            });
        }
    }

    async fn fetch(&mut self) -> Result<Fetched> {
        let next = Next {
            source: &self.source,
            position: &self.position,
        };
        let page = places::next(&next, &mut self.size).await?;
        let (answer, after) = (page.answer, page.after);
        let mut lost = None;
        if answer.generation != self.generation {
            self.generation = answer.generation;
            let found = self.source.count(&self.position).await?;
            // Where it cannot be counted from a place on, all were counted.
            lost = Some(match self.position.range {
                Some(_) => found,
                None => found.saturating_sub(self.position.done),
            });
        }
        self.position.done += answer.len() as u64;
        if after.is_some() {
            self.position.after = after;
        }
        self.size.fit(answer.len(), answer.bytes(), PAGE_BYTES);
        Ok(Fetched {
            answer,
            after: self.position.after.clone(),
            finished: page.is_last,
            lost,
        })
    }
}

/// The search for what is behind a place.
struct Next<'a> {
    source: &'a Source,
    position: &'a SliceState,
}

impl places::Search for Next<'_> {
    type Answer = Answer;

    async fn search(&self, ask: Ask) -> Result<Answer> {
        self.source.page(self.position, &ask).await
    }
}
