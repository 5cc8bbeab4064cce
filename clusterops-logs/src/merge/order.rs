//! Lines that are held, in the order of their times.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};

use jiff::Timestamp;
use tokio::time::Instant;

use super::Arrival;

pub(super) struct Order<T, M> {
    heap: BinaryHeap<Reverse<Held<T>>>,
    sources: Vec<Open<M>>,
    /// How many lines have come in all.
    count: u64,
    /// The latest time that went out and was no time in the future.
    shown_to: Timestamp,
}

/// The arrivals of one source that have lines here, or marks.
struct Open<M> {
    arrivals: VecDeque<Waiting<M>>,
    /// The number of the first of them.
    first: u64,
    held: usize,
    /// The time of its last line.
    last: Timestamp,
}

struct Waiting<M> {
    left: usize,
    mark: Option<M>,
    due: Instant,
}

struct Held<T> {
    time: Timestamp,
    number: u64,
    source: usize,
    arrival: u64,
    item: T,
}

impl<T, M> Order<T, M> {
    pub(super) fn add_source(&mut self) {
        self.sources.push(Open {
            arrivals: VecDeque::new(),
            first: 0,
            held: 0,
            last: Timestamp::MIN,
        });
    }

    pub(super) fn is_empty(&self) -> bool {
        self.heap.is_empty()
    }

    /// How many lines of a source are held.
    pub(super) fn held(&self, source: usize) -> usize {
        self.sources[source].held
    }

    /// When the first of the lines must go out.
    pub(super) fn next_due(&self) -> Option<Instant> {
        let arrivals = self.sources.iter().flat_map(|source| &source.arrivals);
        arrivals
            .filter(|arrival| arrival.left > 0)
            .map(|arrival| arrival.due)
            .min()
    }

    pub(super) fn arrived(&mut self, at: usize, arrival: Arrival<T, M>, due: Instant) {
        let source = &mut self.sources[at];
        let number = source.first + source.arrivals.len() as u64;
        source.held += arrival.items.len();
        source.arrivals.push_back(Waiting {
            left: arrival.items.len(),
            mark: arrival.mark,
            due,
        });
        for (time, item) in arrival.items {
            source.last = time.unwrap_or(source.last);
            self.count += 1;
            self.heap.push(Reverse(Held {
                time: source.last,
                number: self.count,
                source: at,
                arrival: number,
                item,
            }));
        }
    }

    /// The earliest line, and whether a later one went out before it.
    pub(super) fn pop(&mut self) -> Option<(usize, T, bool)> {
        let Reverse(held) = self.heap.pop()?;
        let source = &mut self.sources[held.source];
        source.held -= 1;
        // An arrival stays while it has lines here.
        let at = (held.arrival - source.first) as usize;
        source.arrivals[at].left -= 1;
        let late = held.time < self.shown_to;
        // A time in the future says nothing of what is yet to come. Nor does the present in its place: lines arrive with
        // times that lie a little behind it.
        if held.time > self.shown_to && held.time <= Timestamp::now() {
            self.shown_to = held.time;
        }
        Some((held.source, held.item, late))
    }

    /// The mark of an arrival of which, and of those before it, no line is held.
    pub(super) fn pop_mark(&mut self) -> Option<(usize, M)> {
        for (at, source) in self.sources.iter_mut().enumerate() {
            while source.arrivals.front().is_some_and(|first| first.left == 0) {
                source.first += 1;
                let done = source.arrivals.pop_front();
                if let Some(mark) = done.and_then(|done| done.mark) {
                    return Some((at, mark));
                }
            }
        }
        None
    }
}

impl<T, M> Default for Order<T, M> {
    fn default() -> Self {
        Self {
            heap: BinaryHeap::new(),
            sources: Vec::new(),
            count: 0,
            shown_to: Timestamp::MIN,
        }
    }
}

impl<T> PartialEq for Held<T> {
    fn eq(&self, other: &Self) -> bool {
        self.number == other.number
    }
}

impl<T> Eq for Held<T> {}

impl<T> PartialOrd for Held<T> {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl<T> Ord for Held<T> {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        // Not as they happened to come: the same sources give the same order again.
        let key = |held: &Self| (held.time, held.source, held.number);
        key(self).cmp(&key(other))
    }
}
