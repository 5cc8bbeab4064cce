//! Several sources of lines as one, in the order of their times.
//!
//! A [`Merge`] reads each [`Source`] in a task of its own and holds what comes for a moment, so that lines of different
//! clusters stand in order. A source that fails is told once and tried again; the others go on.

mod feed;
mod order;

use std::collections::VecDeque;
use std::fmt;
use std::future::{Future, poll_fn};
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use jiff::Timestamp;
use tokio::time::Instant;

use crate::{Error, LONGEST_SPAN, Result};
use feed::{Feed, Sent};
use order::Order;

/// Something that lines come from: a tail, the pages of a search.
///
/// ```
/// use clusterops_logs::Result;
/// use clusterops_logs::merge::{Arrival, Source};
///
/// struct Once(Option<&'static str>);
///
/// impl Source for Once {
///     type Item = &'static str;
///     type Mark = ();
///
///     async fn next(&mut self) -> Result<Option<Arrival<&'static str, ()>>> {
///         Ok(self.0.take().map(|line| Arrival::new([(None, line)])))
///     }
/// }
/// # let _ = Once(Some("up"));
/// ```
pub trait Source: Send + 'static {
    /// A line.
    type Item: Send + 'static;
    /// What is true once all lines of an arrival are dealt with, such as the token of a tail.
    type Mark: Send + 'static;

    /// Waits for the next lines. `None` is the end.
    ///
    /// # Errors
    /// What kept it from reading; another call tries again. One that is not [retryable](Error::is_retryable), such as a
    /// query that the server refuses, ends a source that has had no line with a time yet and does not say that it
    /// [has worked](Self::has_worked).
    fn next(
        &mut self,
    ) -> impl Future<Output = Result<Option<Arrival<Self::Item, Self::Mark>>>> + Send;

    /// Whether it was answered before, if only without lines, so that what fails now may pass. Not known unless it is told;
    /// lines with times say it anyway.
    fn has_worked(&self) -> bool {
        false
    }
}

/// Lines that came together.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Arrival<T, M> {
    /// Each with its time; one without stays behind the one before it, and can be something else than a line, such as a
    /// notice.
    pub items: Vec<(Option<Timestamp>, T)>,
    /// What is true once they are dealt with.
    pub mark: Option<M>,
}

impl<T, M> Arrival<T, M> {
    /// Lines with their times.
    pub fn new(items: impl IntoIterator<Item = (Option<Timestamp>, T)>) -> Self {
        Self {
            items: items.into_iter().collect(),
            mark: None,
        }
    }

    /// Adds what is true once the lines are dealt with.
    #[must_use]
    pub fn mark(mut self, mark: M) -> Self {
        self.mark = Some(mark);
        self
    }

    /// Whether it has what a source only gives once it has been read.
    fn has_lines(&self) -> bool {
        self.items.iter().any(|(time, _)| time.is_some())
    }
}

/// What a [`Merge`] hands over. Each names its source.
#[derive(Debug)]
#[non_exhaustive]
pub enum Merged<T, M> {
    /// A line.
    Item {
        /// Where it comes from.
        source: Arc<str>,
        /// The line.
        item: T,
        /// Whether one with a later time was handed over before it; times that lay in the future then do not count.
        late: bool,
    },
    /// All lines of this source up to here were handed over.
    ///
    /// It waits for the lines of its arrival, and of those before, that are [held](MergeOptions::hold), also for the sake of
    /// times in the future. So whoever goes on from the last mark gets again what was handed over meanwhile: what came from
    /// this source within the span of the hold, and no more, as long as what is handed over is taken.
    Mark {
        /// Whose mark it is.
        source: Arc<str>,
        /// What is true now.
        mark: M,
    },
    /// A source fails; it is tried again, and told again when it is back.
    Down {
        /// Which one.
        source: Arc<str>,
        /// Why.
        error: Error,
    },
    /// A source that was down is read again.
    Back {
        /// Which one.
        source: Arc<str>,
    },
    /// A source has failed and is given up.
    Failed {
        /// Which one.
        source: Arc<str>,
        /// Why.
        error: Error,
    },
}

/// How a [`Merge`] orders, and how patient it is.
///
/// ```
/// use std::time::Duration;
/// use clusterops_logs::merge::MergeOptions;
///
/// let following = MergeOptions::following().hold(Duration::from_secs(2));
/// assert_ne!(following, MergeOptions::sorted());
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MergeOptions {
    sorted: bool,
    hold: Duration,
    capacity: usize,
    first_pause: Duration,
    longest_pause: Duration,
}

impl MergeOptions {
    /// For sources that have no end: lines are held for 500 ms, and a source that fails is tried again.
    #[must_use]
    pub fn following() -> Self {
        Self {
            sorted: false,
            hold: Duration::from_millis(500),
            capacity: 20_000,
            first_pause: Duration::from_secs(1),
            longest_pause: Duration::from_secs(30),
        }
    }

    /// For sources that end, each in the order of time itself: so is the whole, and of one time the sources come in the order
    /// in which they were added. One that fails is given up.
    #[must_use]
    pub fn sorted() -> Self {
        Self {
            sorted: true,
            ..Self::following()
        }
    }

    /// How long lines are held for earlier ones to come; sources in order need none.
    #[must_use]
    pub fn hold(mut self, span: Duration) -> Self {
        self.hold = span.min(LONGEST_SPAN);
        self
    }

    /// How many lines of one source are held, about, before no more are read from it; 20,000 unless it is told.
    #[must_use]
    pub fn capacity(mut self, lines: usize) -> Self {
        self.capacity = lines.max(1);
        self
    }

    /// The pause before a source that failed is tried again, and the longest that it grows to; 1 and 30 seconds.
    #[must_use]
    pub fn pauses(mut self, first: Duration, longest: Duration) -> Self {
        self.first_pause = first;
        self.longest_pause = longest.max(first);
        self
    }
}

/// Several sources as one.
///
/// ```
/// use clusterops_logs::Result;
/// use clusterops_logs::jiff::Timestamp;
/// use clusterops_logs::merge::{Arrival, Merge, MergeOptions, Merged, Source};
///
/// /// A source of seconds.
/// struct Seconds(Option<Vec<i64>>);
///
/// impl Source for Seconds {
///     type Item = i64;
///     type Mark = ();
///
///     async fn next(&mut self) -> Result<Option<Arrival<i64, ()>>> {
///         let timed = |second| (Timestamp::from_second(second).ok(), second);
///         Ok(self.0.take().map(|seconds| Arrival::new(seconds.into_iter().map(timed))))
///     }
/// }
///
/// # let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
/// # runtime.block_on(async {
/// let mut merge = Merge::new(MergeOptions::sorted());
/// merge.add("eu", Seconds(Some(vec![1, 4])));
/// merge.add("us", Seconds(Some(vec![2, 3])));
/// assert_eq!(merge.awaited().collect::<Vec<_>>(), ["eu", "us"]);
/// let mut lines = Vec::new();
/// while let Some(Merged::Item { source, item, .. }) = merge.next().await {
///     lines.push(format!("{source} {item}"));
/// }
/// assert_eq!(lines, ["eu 1", "us 2", "us 3", "eu 4"]);
/// # });
/// ```
pub struct Merge<T, M> {
    options: MergeOptions,
    feeds: Vec<Feed<T, M>>,
    /// The one that is asked first.
    turn: usize,
    order: Order<T, M>,
    ready: VecDeque<Merged<T, M>>,
}

impl<T: Send + 'static, M: Send + 'static> Merge<T, M> {
    /// Nothing yet.
    pub fn new(options: MergeOptions) -> Self {
        Self {
            options,
            feeds: Vec::new(),
            turn: 0,
            order: Order::default(),
            ready: VecDeque::new(),
        }
    }

    /// Reads a source too, under this name. Its task ends with the merge.
    ///
    /// # Panics
    /// Outside a tokio runtime.
    pub fn add(&mut self, name: &str, source: impl Source<Item = T, Mark = M>) {
        self.feeds.push(Feed::start(name, source, &self.options));
        self.order.add_source();
    }

    /// The sources that have neither ended nor anything that is held: for sources in order, all others wait for them.
    pub fn awaited(&self) -> impl Iterator<Item = &str> {
        let feeds = self.feeds.iter().enumerate();
        let awaited = feeds.filter(|(at, feed)| !feed.is_over() && self.order.held(*at) == 0);
        awaited.map(|(_, feed)| &*feed.name)
    }

    /// Waits for what comes next; `None` once all sources have ended. Dropping the future loses nothing.
    pub async fn next(&mut self) -> Option<Merged<T, M>> {
        loop {
            self.release();
            if let Some(next) = self.ready.pop_front() {
                return Some(next);
            }
            if self.feeds.iter().all(Feed::is_over) && self.order.is_empty() {
                return None;
            }
            let due = match self.options.sorted {
                true => None,
                false => self.order.next_due(),
            };
            let (at, sent) = match due {
                None => self.receive().await,
                Some(due) => match tokio::time::timeout_at(due, self.receive()).await {
                    Ok(received) => received,
                    Err(_) => continue,
                },
            };
            self.take(at, sent);
        }
    }

    /// Waits for a source that may be read; of several that have something, each gets its turn.
    async fn receive(&mut self) -> (usize, Sent<T, M>) {
        poll_fn(|context| {
            let count = self.feeds.len();
            for at in (0..count).map(|step| (self.turn + step) % count) {
                let feed = &mut self.feeds[at];
                if feed.is_over() || self.order.held(at) >= self.options.capacity {
                    continue;
                }
                if let Poll::Ready(sent) = feed.poll(context) {
                    self.turn = at + 1;
                    return Poll::Ready((at, sent));
                }
            }
            Poll::Pending
        })
        .await
    }

    fn take(&mut self, at: usize, sent: Sent<T, M>) {
        let source = self.feeds[at].name.clone();
        match sent {
            Sent::Arrival(arrival) => {
                let due = Instant::now() + self.options.hold;
                self.order.arrived(at, arrival, due);
            }
            Sent::Down(error) => self.ready.push_back(Merged::Down { source, error }),
            Sent::Back => self.ready.push_back(Merged::Back { source }),
            Sent::Failed(error) => self.ready.push_back(Merged::Failed { source, error }),
            Sent::Ended => {}
        }
    }

    /// Moves what may go out to what is ready.
    fn release(&mut self) {
        // What is ready goes first, so that it stays short.
        if !self.ready.is_empty() {
            return;
        }
        let feeds = &self.feeds;
        let name = |at: usize| feeds[at].name.clone();
        let is_due = if self.options.sorted {
            (0..feeds.len()).all(|at| feeds[at].is_over() || self.order.held(at) > 0)
        } else {
            let is_full = (0..feeds.len()).any(|at| self.order.held(at) >= self.options.capacity);
            // Nothing can come before what is held once nobody is left.
            let is_last = feeds.iter().all(Feed::is_over);
            let now = Instant::now();
            is_full || is_last || self.order.next_due().is_some_and(|due| due <= now)
        };
        if is_due && let Some((at, item, late)) = self.order.pop() {
            let source = name(at);
            self.ready.push_back(Merged::Item { source, item, late });
        }
        while let Some((at, mark)) = self.order.pop_mark() {
            let source = name(at);
            self.ready.push_back(Merged::Mark { source, mark });
        }
    }
}

impl<T, M> fmt::Debug for Merge<T, M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names = self.feeds.iter().map(|feed| &feed.name);
        f.debug_list().entries(names).finish()
    }
}

#[cfg(test)]
mod tests;
