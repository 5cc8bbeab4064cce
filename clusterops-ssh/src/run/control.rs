//! Steering a run from outside.

use std::sync::Arc;

use tokio::sync::watch;

use crate::event::{Board, RunState};
use crate::journal::RecordedMode;
use crate::{Error, ErrorKind};

/// What somebody asked of the run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mode {
    Running,
    Paused,
    Stopping,
    Aborting,
    Cancelling,
    /// The run's deadline passed: as cancelling.
    Late,
}

impl Mode {
    /// What a journal keeps of it.
    pub(super) fn recorded(self) -> Option<RecordedMode> {
        match self {
            Self::Running | Self::Paused => None,
            Self::Stopping => Some(RecordedMode::Stopping),
            Self::Aborting => Some(RecordedMode::Aborting),
            Self::Cancelling | Self::Late => Some(RecordedMode::Cancelling),
        }
    }

    /// What readers of the events are told.
    fn state(self) -> RunState {
        match self {
            Self::Running => RunState::Running,
            Self::Paused => RunState::Paused,
            Self::Stopping => RunState::Stopping,
            Self::Aborting => RunState::Aborting,
            Self::Cancelling | Self::Late => RunState::Cancelling,
        }
    }
}

/// Steers a run: cheap to clone, and usable from any task or thread.
///
/// Whatever is asked, the run still yields its report.
#[derive(Debug, Clone)]
pub struct Control {
    mode: Arc<watch::Sender<Mode>>,
    board: Arc<Board>,
}

impl Control {
    pub(crate) fn new(board: Arc<Board>) -> Self {
        Self {
            mode: Arc::new(watch::Sender::new(Mode::Running)),
            board,
        }
    }

    /// Lets no host start another stage. What runs goes on.
    pub fn pause(&self) {
        self.turn(Mode::Paused, |now| now == Mode::Running);
    }

    /// Goes on after a pause.
    pub fn resume(&self) {
        self.turn(Mode::Running, |now| now == Mode::Paused);
    }

    /// Lets no further host begin; those under way go on to their end.
    pub fn stop(&self) {
        self.turn(Mode::Stopping, |now| {
            matches!(now, Mode::Running | Mode::Paused)
        });
    }

    /// Ends the run: remote processes are ended, and what was done stays done. After [`abort`](Self::abort) it ends the
    /// rollbacks too.
    pub fn cancel(&self) {
        self.turn(Mode::Cancelling, |now| {
            !matches!(now, Mode::Cancelling | Mode::Late)
        });
    }

    /// Cancels, because the run's deadline passed.
    pub(super) fn expire(&self) {
        self.turn(Mode::Late, |now| {
            !matches!(now, Mode::Cancelling | Mode::Late)
        });
    }

    /// Ends the run and rolls back: remote processes are ended, then the stages that hosts began are undone, as the
    /// plan's [`RollbackWhen`](crate::plan::RollbackWhen) says; also on hosts that had finished.
    pub fn abort(&self) {
        self.turn(Mode::Aborting, |now| {
            matches!(now, Mode::Running | Mode::Paused | Mode::Stopping)
        });
    }

    pub(crate) fn watch(&self) -> Watch {
        Watch {
            mode: self.mode.subscribe(),
        }
    }

    fn turn(&self, to: Mode, from: impl FnOnce(Mode) -> bool) {
        let turned = self.mode.send_if_modified(|mode| {
            let turns = from(*mode);
            if turns {
                *mode = to;
            }
            turns
        });
        if turned {
            self.board.run(to.state());
        }
    }
}

/// A view of what was asked.
#[derive(Debug, Clone)]
pub(crate) struct Watch {
    mode: watch::Receiver<Mode>,
}

impl Watch {
    pub(crate) fn mode(&self) -> Mode {
        *self.mode.borrow()
    }

    /// Waits until the run is to end, by cancel or abort.
    pub(crate) async fn ending(&mut self) {
        self.until(|mode| matches!(mode, Mode::Cancelling | Mode::Late | Mode::Aborting))
            .await;
    }

    /// Waits until no further host may begin.
    pub(crate) async fn closing(&mut self) {
        self.until(|mode| !matches!(mode, Mode::Running | Mode::Paused))
            .await;
    }

    /// Waits until the run is cancelled, which ends rollbacks too.
    pub(crate) async fn cancelled(&mut self) {
        self.until(|mode| matches!(mode, Mode::Cancelling | Mode::Late))
            .await;
    }

    /// Waits until the run is not paused.
    pub(crate) async fn not_paused(&mut self) {
        self.until(|mode| mode != Mode::Paused).await;
    }

    /// What is asked now; [`next`](Self::next) waits for what is asked after it.
    pub(super) fn now(&mut self) -> Mode {
        *self.mode.borrow_and_update()
    }

    /// Waits until something was asked, also where that was taken back since.
    pub(super) async fn next(&mut self) -> Mode {
        if self.mode.changed().await.is_err() {
            // Nobody is left who could ask for anything.
            std::future::pending::<()>().await;
        }
        self.now()
    }

    /// What a host is told that is ended before its time.
    pub(crate) fn error(&self) -> Error {
        let message = match self.mode() {
            Mode::Aborting => "ended because the run was aborted",
            Mode::Late => "ended because the run's deadline passed",
            Mode::Stopping => "ended because the run was stopped",
            _ => "ended because the run was cancelled",
        };
        Error::new(ErrorKind::Cancelled, message)
    }

    async fn until(&mut self, condition: impl Fn(Mode) -> bool) {
        if self.mode.wait_for(|mode| condition(*mode)).await.is_err() {
            // Nobody is left who could ask for anything.
            std::future::pending::<()>().await;
        }
    }
}
