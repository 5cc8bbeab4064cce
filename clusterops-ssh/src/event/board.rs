//! Where the hosts of a run leave their latest, and the reader of the events finds it.
//!
//! Each host has one slot with its latest state and a bounded piece of output, and stands in the queue at most once: a
//! slow reader gets the latest of each host, and a reader that is not there costs nothing.

use std::collections::VecDeque;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use bytes::Bytes;

use super::{Event, HostState, RunState};
use crate::{OutputStream, Progress};

/// Output kept for a reader, in bytes: for one host, and for all hosts together.
const HOST_OUTPUT: usize = 64 << 10;
const ALL_OUTPUT: usize = 8 << 20;

/// Pieces of output are joined up to this size.
const JOINED: usize = 4 << 10;

/// The latest of every host.
pub(crate) struct Board {
    inner: Mutex<Inner>,
}

struct Inner {
    slots: Vec<Slot>,
    stages: Vec<Arc<str>>,
    /// Slots with something new, each at most once.
    queue: VecDeque<u32>,
    run: Option<RunState>,
    finished: bool,
    reader_state: ReaderState,
    /// Bytes of output kept, all slots together.
    kept: usize,
    reader: Option<Waker>,
}

struct Slot {
    host: Arc<str>,
    state: HostState,
    is_new: bool,
    is_queued: bool,
    output: Option<Box<Output>>,
    missed: Missed,
    /// The stage that transfers files, and how far it has come.
    transfer: Option<Box<(usize, Progress)>>,
}

/// Whether somebody reads the events: before that, missed output is counted; afterwards, it is not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum ReaderState {
    NotYet,
    Reading,
    Gone,
}

#[derive(Default)]
struct Output {
    chunks: VecDeque<OutputChunk>,
    kept: usize,
}

/// The output of a host that the reader does not get. A run that nobody reads has some of every host, so it stands in the
/// slots and not beside them.
struct Missed {
    bytes: u64,
    /// The stage and stream of what was missed last.
    stage: u32,
    stream: OutputStream,
}

impl Missed {
    const NOTHING: Self = Self {
        bytes: 0,
        stage: 0,
        stream: OutputStream::Stdout,
    };

    fn add(&mut self, stage: usize, stream: OutputStream, length: usize) {
        self.bytes += length as u64;
        // A plan has fewer stages.
        self.stage = u32::try_from(stage).unwrap_or(u32::MAX);
        self.stream = stream;
    }
}

impl Output {
    /// Adds a piece; small ones join the piece before, so that many of them take no more memory than their bytes.
    fn push(&mut self, stage: usize, stream: OutputStream, bytes: Bytes) {
        self.kept += bytes.len();
        if let Some(last) = self.chunks.back_mut()
            && (last.stage, last.stream) == (stage, stream)
            && last.bytes.len() + bytes.len() <= JOINED
        {
            last.bytes = [&last.bytes[..], &bytes[..]].concat().into();
        } else {
            self.chunks.push_back(OutputChunk {
                stage,
                stream,
                bytes,
            });
        }
    }
}

struct OutputChunk {
    stage: usize,
    stream: OutputStream,
    bytes: Bytes,
}

impl Board {
    pub(crate) fn new<'a>(
        hosts: impl Iterator<Item = &'a str>,
        stages: impl Iterator<Item = &'a str>,
    ) -> Self {
        let slots = hosts
            .map(|host| Slot {
                host: host.into(),
                state: HostState::Waiting,
                is_new: false,
                is_queued: false,
                output: None,
                missed: Missed::NOTHING,
                transfer: None,
            })
            .collect();
        Self {
            inner: Mutex::new(Inner {
                slots,
                stages: stages.map(Into::into).collect(),
                queue: VecDeque::new(),
                run: Some(RunState::Running),
                finished: false,
                reader_state: ReaderState::NotYet,
                kept: 0,
                reader: None,
            }),
        }
    }

    /// Somebody reads from now on.
    pub(super) fn open(&self) {
        self.lock().reader_state = ReaderState::Reading;
    }

    /// Nobody will read any more, so nothing is kept for that.
    pub(super) fn close(&self) {
        let mut inner = self.lock();
        inner.reader_state = ReaderState::Gone;
        inner.kept = 0;
        for slot in &mut inner.slots {
            slot.output = None;
            slot.missed = Missed::NOTHING;
            slot.transfer = None;
        }
    }

    pub(crate) fn run(&self, state: RunState) {
        let mut inner = self.lock();
        if !inner.finished {
            inner.run = Some(state);
            inner.finished = state == RunState::Finished;
            inner.wake();
        }
    }

    pub(crate) fn host(&self, index: usize, state: HostState) {
        let mut inner = self.lock();
        let slot = &mut inner.slots[index];
        slot.state = state;
        slot.is_new = true;
        inner.enqueue(index);
    }

    pub(crate) fn output(&self, index: usize, stage: usize, stream: OutputStream, bytes: Bytes) {
        let mut inner = self.lock();
        if inner.reader_state == ReaderState::Gone {
            return;
        }
        let (state, others) = (inner.reader_state, inner.kept);
        let slot = &mut inner.slots[index];
        if state == ReaderState::NotYet {
            slot.missed.add(stage, stream, bytes.len());
        } else {
            let output = slot.output.get_or_insert_default();
            let before = output.kept;
            output.push(stage, stream, bytes);
            while output.kept > HOST_OUTPUT || others - before + output.kept > ALL_OUTPUT {
                let Some(oldest) = output.chunks.pop_front() else {
                    break;
                };
                output.kept -= oldest.bytes.len();
                slot.missed
                    .add(oldest.stage, oldest.stream, oldest.bytes.len());
            }
            let after = output.kept;
            inner.kept = others - before + after;
        }
        inner.enqueue(index);
    }

    /// How far the transfer of a stage has come; who reads late is told the last of it.
    pub(crate) fn transfer(&self, index: usize, stage: usize, progress: Progress) {
        let mut inner = self.lock();
        if inner.reader_state != ReaderState::Gone {
            inner.slots[index].transfer = Some(Box::new((stage, progress)));
            inner.enqueue(index);
        }
    }

    /// Ends the events, with nothing more to say.
    pub(crate) fn end(&self) {
        let mut inner = self.lock();
        inner.run = None;
        inner.finished = true;
    }

    pub(super) fn poll(&self, context: &mut Context<'_>) -> Poll<Option<Event>> {
        let mut inner = self.lock();
        // The end is told last, when everything before it was read.
        let is_end = inner.run == Some(RunState::Finished);
        if !is_end && let Some(state) = inner.run.take() {
            return Poll::Ready(Some(Event::Run(state)));
        }
        while let Some(index) = inner.queue.pop_front() {
            if let Some(event) = inner.take(index as usize) {
                return Poll::Ready(Some(event));
            }
        }
        if let Some(state) = inner.run.take() {
            return Poll::Ready(Some(Event::Run(state)));
        }
        if inner.finished {
            return Poll::Ready(None);
        }
        inner.reader = Some(context.waker().clone());
        Poll::Pending
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    /// The next event of a slot. Output and transfers come before a new state, since they belong to an earlier one; a slot with
    /// more to say goes to the end of the queue, so that hosts take turns.
    fn take(&mut self, index: usize) -> Option<Event> {
        let slot = &mut self.slots[index];
        slot.is_queued = false;
        let host = Arc::clone(&slot.host);
        let mut event = None;
        let mut chunk = None;
        if let Some(output) = &mut slot.output {
            chunk = output.chunks.pop_front();
            if let Some(chunk) = &chunk {
                output.kept -= chunk.bytes.len();
                self.kept -= chunk.bytes.len();
            }
            if output.chunks.is_empty() {
                slot.output = None;
            }
        }
        if chunk.is_none() && slot.missed.bytes > 0 {
            // Nothing was kept of what was missed, and it is still told.
            chunk = Some(OutputChunk {
                stage: slot.missed.stage as usize,
                stream: slot.missed.stream,
                bytes: Bytes::new(),
            });
        }
        if let Some(chunk) = chunk {
            event = Some(Event::Output {
                host: Arc::clone(&host),
                stage: Arc::clone(&self.stages[chunk.stage]),
                stream: chunk.stream,
                bytes: chunk.bytes,
                skipped: std::mem::take(&mut slot.missed.bytes),
            });
        }
        if event.is_none()
            && let Some((stage, progress)) = slot.transfer.take().map(|latest| *latest)
        {
            event = Some(Event::Transfer {
                host: Arc::clone(&host),
                stage: Arc::clone(&self.stages[stage]),
                progress,
            });
        }
        if event.is_none() && slot.is_new {
            slot.is_new = false;
            event = Some(Event::Host {
                host,
                state: slot.state.clone(),
            });
        }
        if slot.is_new || slot.output.is_some() || slot.transfer.is_some() {
            slot.is_queued = true;
            self.queue.push_back(index as u32);
        }
        event
    }

    fn enqueue(&mut self, index: usize) {
        let slot = &mut self.slots[index];
        if !slot.is_queued {
            slot.is_queued = true;
            self.queue.push_back(index as u32);
        }
        self.wake();
    }

    fn wake(&mut self) {
        if let Some(reader) = self.reader.take() {
            reader.wake();
        }
    }
}

impl fmt::Debug for Board {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Board").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::Events;

    fn board() -> (Arc<Board>, Events) {
        let board = Arc::new(Board::new(["a", "b"].into_iter(), ["s"].into_iter()));
        let events = Events::new(Arc::clone(&board));
        (board, events)
    }

    fn drain(events: &mut Events) -> Vec<Event> {
        let mut context = Context::from_waker(Waker::noop());
        let mut all = Vec::new();
        while let Poll::Ready(Some(event)) = events.board.poll(&mut context) {
            all.push(event);
        }
        all
    }

    #[test]
    fn a_late_reader_gets_the_latest_state_only() {
        let (board, mut events) = board();
        for attempt in 1..100 {
            board.host(0, HostState::Connecting { attempt });
        }
        let states: Vec<_> = drain(&mut events)
            .into_iter()
            .filter_map(|event| match event {
                Event::Host { state, .. } => Some(state),
                _ => None,
            })
            .collect();
        assert_eq!(states, [HostState::Connecting { attempt: 99 }]);
    }

    #[test]
    fn how_far_a_transfer_has_come_is_told_to_who_reads_after_it() {
        let board = Arc::new(Board::new(["a"].into_iter(), ["s"].into_iter()));
        for bytes in [1, 2] {
            board.transfer(0, 0, Progress { bytes, total: 2 });
        }
        let mut events = Events::new(Arc::clone(&board));
        let told = drain(&mut events).into_iter();
        let told = told.filter_map(|event| match event {
            Event::Transfer { progress, .. } => Some(progress.bytes),
            _ => None,
        });
        assert_eq!(told.collect::<Vec<_>>(), [2]);
    }

    #[test]
    fn output_is_bounded_and_says_what_was_missed() {
        let (board, mut events) = board();
        let piece = Bytes::from(vec![b'x'; 1000]);
        for _ in 0..1000 {
            board.output(0, 0, OutputStream::Stdout, piece.clone());
        }
        board.output(1, 0, OutputStream::Stdout, Bytes::from_static(b"y"));
        let (mut read, mut missed, mut order) = (0, 0, Vec::new());
        for event in drain(&mut events) {
            if let Event::Output {
                host,
                bytes,
                skipped,
                ..
            } = event
            {
                read += bytes.len() as u64;
                missed += skipped;
                order.push(host);
            }
        }
        assert_eq!(read + missed, 1_000_001);
        assert!(read <= HOST_OUTPUT as u64 + 1);
        assert_eq!(
            &*order[1], "b",
            "a host with much to say does not keep the others waiting"
        );
    }

    #[test]
    fn the_end_comes_last() {
        let (board, mut events) = board();
        board.run(RunState::Finished);
        board.host(1, HostState::Succeeded);
        let all = drain(&mut events);
        assert!(matches!(all.last(), Some(Event::Run(RunState::Finished))));
        assert!(matches!(
            events.board.poll(&mut Context::from_waker(Waker::noop())),
            Poll::Ready(None)
        ));
    }

    #[test]
    fn nothing_is_kept_for_a_reader_that_is_gone() {
        let (board, events) = board();
        board.output(0, 0, OutputStream::Stdout, Bytes::from_static(b"x"));
        drop(events);
        board.output(0, 0, OutputStream::Stdout, Bytes::from_static(b"x"));
        let inner = board.lock();
        assert_eq!(inner.kept, 0);
        assert!(inner.slots[0].output.is_none());
    }
}
