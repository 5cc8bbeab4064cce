//! What a host undoes of the stages that it began.

use std::sync::Arc;

use super::HostRun;
use crate::event::HostState;
use crate::journal::State;
use crate::plan::{RollbackWhen, Stage};
use crate::report::{Captured, HostReport, InFlight, RollbackReport, StageReport, StageStatus};
use crate::run::control::Mode;
use crate::run::prepare::Prepared;
use crate::run::shared::Shared;
use crate::run::step::Stopped;
use crate::session::{GRACE, terminate};
use crate::{Error, ErrorKind, Result, Termination};

impl HostRun {
    /// Whether this host's stages are to be rolled back now.
    pub(super) fn is_to_be_undone(&self) -> bool {
        let Some(failure) = &self.report.failure else {
            return false;
        };
        let when = self.run.plan.rollback_when;
        match failure.kind {
            ErrorKind::Cancelled => {
                self.watch.mode() == Mode::Aborting && when != RollbackWhen::Failed
            }
            _ => when != RollbackWhen::Aborted,
        }
    }

    /// Undoes the stages that the host began, the last first. What fails is noted, and the rest is still undone.
    pub(super) async fn roll_back(&mut self) {
        let run = Arc::clone(&self.run);
        let stays = stays(&run, &self.report, self.watch.mode());
        let mut may_run = None;
        for position in (stays..self.report.stages.len()).rev() {
            let stage = &run.plan.stages[position];
            if !needs_rollback(stage, &self.report.stages[position]) {
                continue;
            }
            self.tell(HostState::RollingBack { stage: position });
            // The rollback before this one may run on, too. Where that is not sure, nobody asks again.
            if may_run.is_none() {
                may_run = self.end_remnant().await;
            }
            let mut output = StageReport::new(0);
            let result = match &may_run {
                Some(why) => Err(not_undone(why).into()),
                None => self.undo_stage(position, &mut output).await,
            };
            let failure = match result {
                Ok(()) => {
                    self.report.stages[position].status = StageStatus::RolledBack;
                    None
                }
                Err(stopped) => {
                    if let Some(end @ Termination::Unconfirmed(_)) = stopped.termination {
                        self.report.termination = Some(end);
                    }
                    self.keep(stopped.leftover);
                    Some(stopped.error.full_message())
                }
            };
            let mut written = output.stdout;
            written.append(output.stderr);
            self.report.stages[position].rollback = Some(Box::new(RollbackReport {
                attempt: output.attempt,
                failure,
                output: written,
            }));
            self.note(State::Open, [position]).await;
        }
    }

    /// Ends what may still run of what was not finished, before something is undone, over the connection that this takes
    /// anyway. Says why its end is not sure.
    async fn end_remnant(&mut self) -> Option<String> {
        let left = self.report.leftover.clone()?;
        let ended = match self.try_end(&left).await {
            Ok(ended) => ended,
            Err(error) => Termination::Unconfirmed(error.full_message()),
        };
        let why = match &ended {
            Termination::Confirmed => {
                self.report.leftover = None;
                None
            }
            Termination::Unconfirmed(why) => Some(why.clone()),
        };
        self.report.termination = Some(ended);
        why
    }

    async fn try_end(&mut self, left: &InFlight) -> Result<Termination> {
        self.connect().await?;
        let Some(session) = &self.session else {
            return Err(self.watch.error());
        };
        let remnant = match self.remnant.take() {
            Some(remnant) => *remnant,
            None => {
                let stage = &self.run.plan.stages[left.stage];
                let prepared = Prepared::new(stage, &self.run.targets[self.index])?;
                let mut step = self.step_run(session, left.stage, left.attempt);
                step.remnant(left, &prepared).await?
            }
        };
        Ok(Box::pin(terminate(session, &remnant, GRACE)).await)
    }

    async fn undo_stage(
        &mut self,
        position: usize,
        output: &mut StageReport,
    ) -> Result<(), Stopped> {
        let run = Arc::clone(&self.run);
        let prepared = Prepared::new(&run.plan.stages[position], &run.targets[self.index])?;
        self.connect().await?;
        let (Some(session), Some(step)) = (&self.session, &prepared.rollback) else {
            return Ok(());
        };
        // Of its own number, so that a script can tell it from the attempt that it undoes.
        output.attempt = self.report.begin_attempt(position);
        self.step_run(session, position, output.attempt)
            .rollback(step, &prepared, output)
            .await
    }
}

fn not_undone(why: &str) -> Error {
    let message = format!("not undone, for what was under way may still run: {why}");
    Error::new(ErrorKind::Blocked, message)
}

/// Whether a rollback of one of the host's stages is still to be done.
pub(in crate::run) fn is_to_be_rolled_back(run: &Shared, host: &HostReport, mode: Mode) -> bool {
    let from = stays(run, host, mode);
    let mut stages = run.plan.stages.iter().zip(&host.stages).skip(from);
    stages.any(|(stage, report)| needs_rollback(stage, report))
}

/// How many stages stay, whatever becomes of the host: those up to the last that it ran for all. The other hosts rely on
/// it, and it relies on what comes before it. An abort undoes them too, where the plan has it undo anything and no host that
/// the run leaves alone has them behind it.
fn stays(run: &Shared, host: &HostReport, mode: Mode) -> usize {
    let is_abort = mode == Mode::Aborting && run.plan.rollback_when != RollbackWhen::Failed;
    let mut stages = run.plan.stages.iter().zip(&host.stages).enumerate().rev();
    let ran_for_all = stages.find(|(position, (stage, report))| {
        let is_relied_on = !is_abort || run.relied_on[*position];
        stage.run_once && report.status == StageStatus::Done && is_relied_on
    });
    ran_for_all.map_or(0, |(position, _)| position + 1)
}

/// Whether a rollback of this stage is still to be done: it was begun, and nobody tried to undo it yet.
fn needs_rollback(stage: &Stage, report: &StageReport) -> bool {
    stage.rollback.is_some()
        && report.rollback.is_none()
        && !report.is_not_begun
        && matches!(report.status, StageStatus::Done | StageStatus::Failed)
}

impl Captured {
    /// Adds another output behind this one.
    fn append(&mut self, other: Self) {
        if self.is_empty() {
            *self = other;
        } else if let Some(bytes) = other.bytes() {
            self.push(bytes);
        } else {
            self.push(other.to_string_lossy().as_bytes());
        }
    }
}
