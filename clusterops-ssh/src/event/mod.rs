//! What happens while a run goes on.

mod board;

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use futures_core::Stream;

pub(crate) use self::board::Board;
use crate::report::Failure;
use crate::{OutputStream, Termination};

/// Something that happened in a run.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum Event {
    /// The run as a whole entered a state.
    Run(RunState),
    /// A host entered a state. A reader that is late gets the latest state only.
    Host {
        /// The target's name.
        host: Arc<str>,
        /// The host's state.
        state: HostState,
    },
    /// A host's command wrote something.
    Output {
        /// The target's name.
        host: Arc<str>,
        /// The stage's name.
        stage: Arc<str>,
        /// Which output.
        stream: OutputStream,
        /// The bytes as they came, at any boundary.
        bytes: Bytes,
        /// How many bytes of this host's output the reader missed right before these; with nothing kept behind the gap,
        /// `bytes` is empty. The report keeps what its own caps allow.
        skipped: u64,
    },
}

/// The state of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum RunState {
    /// It goes on.
    Running,
    /// It was paused: what runs goes on, nothing new starts.
    Paused,
    /// It was cancelled: remote processes are being ended.
    Cancelling,
    /// It was aborted: remote processes are being ended and stages rolled back.
    Aborting,
    /// The report is there.
    Finished,
}

/// The state of a host in a run. Stages are places in the plan, from 0.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum HostState {
    /// Its turn has not come.
    Waiting,
    /// A connection is being made, for the how many-th time.
    Connecting {
        /// From 1.
        attempt: u32,
    },
    /// A stage runs.
    Running {
        /// The stage.
        stage: usize,
    },
    /// A stage is over, and the host waits for others: at a barrier, for a `run_once` stage, or in a pause.
    Held {
        /// The stage that comes next.
        before: usize,
    },
    /// A stage is being rolled back.
    RollingBack {
        /// The stage.
        stage: usize,
    },
    /// The host finished the plan.
    Succeeded,
    /// The host stopped.
    Failed {
        /// Why.
        failure: Failure,
        /// Where a command was ended before its time: whether the end of its processes was seen.
        termination: Option<Termination>,
    },
}

impl HostState {
    /// Whether the host has come to its end. Only an abort can still roll back a host that succeeded.
    pub fn is_final(&self) -> bool {
        matches!(self, Self::Succeeded | Self::Failed { .. })
    }
}

/// The events of a run: a stream that ends when the run has ended.
///
/// It borrows nothing. Reading slowly, or not at all, never stops a run: lifecycle events then give the latest state of
/// each host, and output that was missed is counted in [`Event::Output`].
pub struct Events {
    board: Arc<Board>,
}

impl Events {
    pub(crate) fn new(board: Arc<Board>) -> Self {
        board.open();
        Self { board }
    }

    /// The next event; `None` once the run has ended and everything was read. Cancel-safe.
    pub async fn next(&mut self) -> Option<Event> {
        std::future::poll_fn(|context| self.board.poll(context)).await
    }
}

impl Stream for Events {
    type Item = Event;

    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Event>> {
        self.board.poll(context)
    }
}

impl Drop for Events {
    fn drop(&mut self) {
        self.board.close();
    }
}

impl fmt::Debug for Events {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Events").finish_non_exhaustive()
    }
}
