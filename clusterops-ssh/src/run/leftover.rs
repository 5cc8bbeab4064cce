//! What is left of an attempt whose end nobody saw: its connection was lost, or the controller of its run ended.

use tokio::time::timeout_at;

use super::prepare::Prepared;
use super::step::{StepRun, Stop, Stopped};
use crate::journal::Leftover;
use crate::report::InFlight;
use crate::session::{GRACE, Raised, Remnant, terminate, wait_for_end};
use crate::transfer::Strays;
use crate::{Error, ErrorKind, Result, Termination};

impl StepRun<'_> {
    /// The same as [`settle`](Self::settle) for what a report tells of, which was not held.
    pub(super) async fn settle_reported(
        &mut self,
        left: &InFlight,
        prepared: &Prepared,
        is_taken_again: bool,
    ) -> Result<(), Stopped> {
        match left.is_transfer {
            true => self.settle_transfer(left, prepared, is_taken_again).await,
            false => self.settle_command(left, prepared).await,
        }
    }

    /// Sees to it that nothing of an earlier attempt runs any more: waits for it within the stage's deadline, where the
    /// fleet says so, and ends what is left then.
    ///
    /// `is_taken_again` says whether another attempt at the same follows.
    ///
    /// # Errors
    /// When it is not sure that nothing is left.
    pub(super) async fn settle(
        &mut self,
        left: &InFlight,
        prepared: &Prepared,
        is_taken_again: bool,
    ) -> Result<(), Stopped> {
        if left.is_transfer {
            return self.settle_transfer(left, prepared, is_taken_again).await;
        }
        // It was held until the journal knew its leader.
        if left.leader.is_none() {
            return Ok(());
        }
        self.settle_command(&left.clone().for_later(), prepared)
            .await
    }

    /// The same for a command that was let go.
    async fn settle_command(
        &mut self,
        left: &InFlight,
        prepared: &Prepared,
    ) -> Result<(), Stopped> {
        let limit = self.limit();
        let remnant = self.remnant(left, prepared).await?;
        // An abort ends what it undoes then, and lets go on what undoes.
        let mut stop = Stop {
            watch: self.stop.watch.clone(),
            is_rollback: left.is_rollback,
        };
        if self.run.options.leftover == Leftover::Wait && !stop.is_requested() {
            let waited = tokio::select! {
                biased;
                () = stop.requested() => None,
                waited = timeout_at(limit.until, wait_for_end(self.session, &remnant)) => waited.ok(),
            };
            if let Some(Ok(())) = waited {
                return Ok(());
            }
        }
        match terminate(self.session, &remnant, GRACE).await {
            Termination::Confirmed => Ok(()),
            unconfirmed @ Termination::Unconfirmed(_) => Err(Stopped {
                error: self.unsettled(left),
                termination: Some(unconfirmed),
                leftover: None,
            }),
        }
    }

    /// What is looked for on the host.
    pub(super) async fn remnant(
        &mut self,
        left: &InFlight,
        prepared: &Prepared,
    ) -> Result<Remnant> {
        let limit = self.limit();
        let raised = match &prepared.run_as {
            Some(run_as) => Some(Raised {
                run_as: run_as.clone(),
                password: self.run_as_password(run_as, limit).await?,
            }),
            None => None,
        };
        Ok(Remnant {
            tag: left.tag.clone(),
            leader: left.leader,
            raised,
            has_terminal: prepared.pty,
        })
    }

    /// Sees to a transfer: ends who still writes or reads for it on the host, and removes unfinished files but for those
    /// that the next attempt goes on with. Without its controller none comes to its end, so there is nothing to wait for.
    async fn settle_transfer(
        &mut self,
        left: &InFlight,
        prepared: &Prepared,
        is_taken_again: bool,
    ) -> Result<(), Stopped> {
        let remnant = Remnant {
            tag: left.tag.clone(),
            leader: left.leader.filter(|leader| leader.birth.is_some()),
            raised: None,
            has_terminal: false,
        };
        let is_known = remnant.leader.is_some();
        match terminate(self.session, &remnant, GRACE).await {
            Termination::Confirmed => {}
            // Without its server nothing but a program that reads can be found, on a host that may not let us look.
            Termination::Unconfirmed(_) if !is_known => {}
            unconfirmed => {
                return Err(Stopped {
                    error: self.unsettled(left),
                    termination: Some(unconfirmed),
                    leftover: None,
                });
            }
        }
        let step = match left.is_rollback {
            true => prepared.rollback.as_ref(),
            false => Some(&prepared.step),
        };
        let work = match step {
            Some(step) => self.work(step, prepared)?,
            None => None,
        };
        let Some(work) = work else { return Ok(()) };
        let strays = Strays {
            tag: &left.tag,
            // Nothing is gone on with where a server that is not known might still write to it.
            known_too: !(is_taken_again && is_known),
        };
        let clearing = timeout_at(self.limit().until, work.clear(self.session, strays));
        let is_clear = clearing
            .await
            .unwrap_or_else(|_| Err(self.limit().error()))?;
        if is_clear || is_taken_again {
            return Ok(());
        }
        let why = "an unfinished file (`.NAME.TAG.part`) may be left beside its name";
        Err(Stopped {
            error: self.unsettled(left),
            termination: Some(Termination::Unconfirmed(why.into())),
            leftover: None,
        })
    }

    fn unsettled(&self, left: &InFlight) -> Error {
        let stage = &self.run.plan.stages[left.stage].name;
        let message = format!(
            "attempt {} at stage `{stage}`, whose end nobody saw, may still run",
            left.attempt
        );
        Error::new(ErrorKind::Timeout, message)
    }
}
