//! What happens while a run goes on.

mod board;

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use futures_core::Stream;
use serde::{Serialize, Serializer};

pub(crate) use self::board::Board;
use crate::report::{Captured, Failure};
use crate::{OutputStream, Progress, Termination};

/// Something that happened in a run.
///
/// In JSON it is an object with one key, so that a run can be told as JSON lines; output is a text, or
/// `{"base64": "..."}` where it is not UTF-8.
///
/// ```
/// use clusterops_ssh::{Event, HostState, OutputStream};
///
/// let line = |event: &Event| serde_json::to_string(event).expect("an event is plain data");
/// let running = Event::Host { host: "web1".into(), state: HostState::Running { stage: 0 } };
/// assert_eq!(line(&running), r#"{"host":{"host":"web1","state":{"running":{"stage":0}}}}"#);
/// let output = Event::Output {
///     host: "web1".into(),
///     stage: "start".into(),
///     stream: OutputStream::Stdout,
///     bytes: "started\n".into(),
///     skipped: 0,
/// };
/// assert_eq!(
///     line(&output),
///     r#"{"output":{"host":"web1","stage":"start","stream":"stdout","bytes":"started\n","skipped":0}}"#,
/// );
/// ```
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Event {
    /// The run as a whole entered a state.
    Run(RunState),
    /// A host entered a state. A reader that is late gets the latest state only.
    Host {
        /// The target's name.
        #[serde(serialize_with = "text")]
        host: Arc<str>,
        /// The host's state.
        state: HostState,
    },
    /// A host's command wrote something.
    Output {
        /// The target's name.
        #[serde(serialize_with = "text")]
        host: Arc<str>,
        /// The stage's name.
        #[serde(serialize_with = "text")]
        stage: Arc<str>,
        /// Which output.
        stream: OutputStream,
        /// The bytes as they came, at any boundary.
        #[serde(serialize_with = "output")]
        bytes: Bytes,
        /// How many bytes of this host's output the reader missed right before these; with nothing kept behind the gap,
        /// `bytes` is empty. The report keeps what its own caps allow.
        skipped: u64,
    },
    /// Files are on their way to or from a host. A reader that is late gets the latest only.
    Transfer {
        /// The target's name.
        #[serde(serialize_with = "text")]
        host: Arc<str>,
        /// The stage's name.
        #[serde(serialize_with = "text")]
        stage: Arc<str>,
        /// How far it has come.
        progress: Progress,
    },
}

/// The state of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum RunState {
    /// It goes on.
    Running,
    /// It was paused: what runs goes on, nothing new starts.
    Paused,
    /// No further host begins; those under way go on to their end.
    Stopping,
    /// It was cancelled, or its deadline passed: remote processes are being ended.
    Cancelling,
    /// It was aborted: remote processes are being ended and stages rolled back.
    Aborting,
    /// The report is there.
    Finished,
}

/// The state of a host in a run. Stages are places in the plan, from 0.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
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
        failure: Box<Failure>,
        /// Where a command was ended before its time: whether the end of its processes was seen.
        #[serde(skip_serializing_if = "Option::is_none")]
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

fn text<S: Serializer>(text: &Arc<str>, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(text)
}

/// As in a report.
fn output<S: Serializer>(bytes: &Bytes, serializer: S) -> Result<S::Ok, S::Error> {
    Captured::from(&bytes[..]).serialize(serializer)
}
