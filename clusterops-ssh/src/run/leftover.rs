//! What is left of an attempt that was under way when the controller of its run ended.

use tokio::time::timeout_at;

use super::prepare::Prepared;
use super::step::{StepRun, Stopped};
use crate::journal::{InFlight, Leftover};
use crate::session::{GRACE, Raised, Remnant, terminate, wait_for_end};
use crate::{Error, ErrorKind, Termination};

impl StepRun<'_> {
    /// Sees to it that nothing of an earlier attempt runs any more: waits for it within the stage's deadline, where the
    /// fleet says so, and ends what is left then.
    ///
    /// # Errors
    /// When it is not sure that nothing is left.
    pub(super) async fn settle(
        &mut self,
        left: &InFlight,
        prepared: &Prepared,
    ) -> Result<(), Stopped> {
        // Where files were transferred nothing but a temporary file can be left, and the next attempt takes it over.
        let Some(leader) = left.leader else {
            return Ok(());
        };
        let limit = self.limit();
        let raised = match &prepared.run_as {
            Some(run_as) => Some(Raised {
                run_as: run_as.clone(),
                password: self.run_as_password(run_as, limit).await?,
            }),
            None => None,
        };
        let remnant = Remnant {
            tag: left.tag.clone(),
            // Without its birth it could be anybody by now.
            leader: Some(leader).filter(|leader| leader.birth.is_some()),
            raised,
        };
        if self.run.options.leftover == Leftover::Wait && !self.stop.is_requested() {
            let waited = tokio::select! {
                biased;
                () = self.stop.requested() => None,
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
            }),
        }
    }

    fn unsettled(&self, left: &InFlight) -> Error {
        let stage = &self.run.plan.stages[left.stage].name;
        let message = format!(
            "attempt {} at stage `{stage}`, from before the controller ended, may still run",
            left.attempt
        );
        Error::new(ErrorKind::Timeout, message)
    }
}
