//! How a command is ended before its time.

use std::time::Duration;

use russh::Sig;
use tokio::time::timeout;

use super::{Chunk, Process, State};
use crate::session::ascent::Raised;
use crate::session::feed::Cue;
use crate::session::{Session, Termination, termination};
use crate::wire::Leader;

/// What may be left of a command on its host.
#[derive(Debug, Clone)]
pub(crate) struct Remnant {
    /// The value of [`TASK_VARIABLE`](super::TASK_VARIABLE) in its environment.
    pub(crate) tag: String,
    /// Who leads its process group. What has a birth is looked for with it, and never taken for another of its id.
    pub(crate) leader: Option<Leader>,
    /// As whom it runs, and who alone can look at it therefore.
    pub(crate) raised: Option<Raised>,
    /// Whether it has a terminal: sudo may want one (`requiretty`, sudoers(5)) of who looks too.
    pub(crate) has_terminal: bool,
}

impl Process {
    /// Ends the command and everything it started, and looks whether it is gone.
    ///
    /// First by a signal request on its own channel, then from a second channel of the session: SIGTERM, after `grace`
    /// SIGKILL. Output that still comes is dropped.
    pub async fn terminate(&mut self, session: &Session, grace: Duration) -> Termination {
        self.terminate_keeping(session, grace, |_| ()).await
    }

    /// The same for who keeps the output that still comes.
    pub(in crate::session) async fn terminate_keeping(
        &mut self,
        session: &Session,
        grace: Duration,
        mut keep: impl FnMut(Chunk),
    ) -> Termination {
        let _ = timeout(session.signal_patience(grace), async {
            self.ask_to_end().await;
            self.read_on(&mut keep).await;
        })
        .await;
        let remnant = self.remnant();
        tokio::select! {
            biased;
            // Output that nobody reads would hold up the connection, and the looks at the host with it.
            never = async {
                self.read_on(&mut keep).await;
                std::future::pending().await
            } => never,
            ended = termination::terminate(session, &remnant, grace) => ended,
        }
    }

    async fn read_on(&mut self, keep: &mut impl FnMut(Chunk)) {
        while let Ok(Some(chunk)) = self.next().await {
            keep(chunk);
        }
    }

    /// Asks the server to send SIGTERM: a first, cheap try, for which [`Session::signal_patience`] is waited.
    pub(crate) async fn ask_to_end(&mut self) {
        if self.is_rising() {
            self.cue(Cue::GiveUp);
        }
        if !matches!(self.state, State::Closed { .. }) {
            let _ = self.input.signal(Sig::TERM).await;
        }
    }

    /// What to look for on the host when the command is to be ended.
    pub(crate) fn remnant(&self) -> Remnant {
        Remnant {
            tag: self.tag.clone(),
            // Its id is known to be fresh, also when the leader itself is gone.
            leader: self.leader().map(|leader| Leader {
                birth: None,
                ..leader
            }),
            // Before another user's shell was there, nothing of that user's was started.
            raised: self.raised.clone().filter(|_| !self.is_rising()),
            has_terminal: self.has_terminal,
        }
    }
}
