//! One host on its way through the plan.

mod undoing;

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::sync::OwnedSemaphorePermit;
use tokio::time::{Instant, sleep, timeout_at};

pub(super) use self::undoing::is_to_be_rolled_back;
use super::control::{Mode, Watch};
use super::gates::{Gates, Turn};
use super::intent::Intent;
use super::pacer::Outcome;
use super::prepare::Prepared;
use super::shared::Shared;
use super::step::{Left, Limit, StepRun, Stop, Stopped};
use crate::clock::deadline_in;
use crate::event::HostState;
use crate::journal::{Change, HostChange, State};
use crate::report::{Failure, HostReport, InFlight, SkipReason, StageReport, StageStatus};
use crate::session::{Remnant, Session};
use crate::{Error, ErrorKind, LOG, Result, Termination};

/// A host that says that it has too many connections is tried up to so many times as often as others.
const OVERLOAD_PATIENCE: u32 = 4;

/// One host in a run. It works only while it holds a permit, and gives the permit back while it waits for others.
pub(super) struct HostRun {
    run: Arc<Shared>,
    index: usize,
    report: HostReport,
    watch: Watch,
    gates: Arc<Gates>,
    /// The limit for all of its work, once that has begun.
    limit: Option<Limit>,
    session: Option<Session>,
    permit: Option<OwnedSemaphorePermit>,
    /// The stage at which this goes on, where it was begun before and not undone; and its attempt.
    begun_before: Option<(usize, u32)>,
    /// What may still run of the stage that was not finished, as only this knows it.
    remnant: Option<Box<Remnant>>,
    /// Whether the run ended before its turn came.
    is_left: bool,
    /// Whether the other hosts know how far this one goes.
    has_stopped: bool,
}

impl HostRun {
    pub(super) fn new(
        run: Arc<Shared>,
        index: usize,
        known: Option<HostReport>,
        watch: Watch,
        gates: Arc<Gates>,
    ) -> Self {
        let mut report = known.unwrap_or_else(|| HostReport::new(&run.targets[index].name));
        // A large fleet has many of them, and their number is known.
        let stages = run.plan.stages.len();
        let missing = |there: usize| stages.saturating_sub(there);
        report.stages.reserve_exact(missing(report.stages.len()));
        report
            .attempts
            .reserve_exact(missing(report.attempts.len()));
        Self {
            run,
            index,
            report,
            watch,
            gates,
            begun_before: None,
            remnant: None,
            is_left: false,
            limit: None,
            session: None,
            permit: None,
            has_stopped: false,
        }
    }

    /// Goes through the plan from `start` on.
    pub(super) async fn drive(mut self, start: usize, permit: OwnedSemaphorePermit) -> HostReport {
        self.start_over(start);
        self.permit = Some(permit);
        self.limit = self.run.options.host_deadline.map(|span| Limit {
            span,
            until: deadline_in(span),
            is_hosts: true,
        });
        if let Err((position, stopped)) = self.stages(start).await {
            // What was tried in vain is not tried again, nor is a host that cannot be reached.
            let is_open = stopped.termination.is_none()
                && matches!(
                    stopped.error.kind(),
                    ErrorKind::Cancelled | ErrorKind::Timeout
                );
            self.stop(position, stopped).await;
            if is_open {
                Box::pin(self.settle()).await;
            }
        }
        self.undo_and_finish().await
    }

    fn start_over(&mut self, start: usize) {
        let before = self.report.stages.get(start).filter(|stage| {
            matches!(stage.status, StageStatus::Done | StageStatus::Failed) && !stage.is_not_begun
        });
        self.begun_before = before.map(|stage| (start, stage.attempt));
        self.report.start_over(start);
    }

    /// Takes the stages from `start` on; gives the place of the one that was not finished.
    async fn stages(&mut self, start: usize) -> Result<(), (usize, Stopped)> {
        // A run that goes on may have hosts that are not through a barrier that lies behind this one.
        for earlier in 0..start {
            let passed = self.pass(earlier).await;
            passed.map_err(|stopped| (start, stopped))?;
        }
        for position in start..self.run.plan.stages.len() {
            // Boxed, so that a host that waits for others is small.
            let taken = Box::pin(self.stage(position)).await;
            taken.map_err(|stopped| (position, stopped))?;
            let passed = self.pass(position).await;
            passed.map_err(|stopped| (position + 1, stopped))?;
        }
        Ok(())
    }

    async fn undo_and_finish(&mut self) -> HostReport {
        // Not beside something that may still run.
        if self.is_to_be_undone() && !self.has_leftover() {
            Box::pin(self.roll_back()).await;
        }
        self.finish().await
    }

    /// The report of a host whose turn never came.
    pub(super) async fn not_started(mut self, start: usize) -> HostReport {
        self.start_over(start);
        let error = match (self.watch.mode(), self.run.failures.reason()) {
            (Mode::Stopping, _) if let Some(error) = self.journal_trouble() => error,
            (Mode::Stopping, Some(reason)) => {
                Error::new(ErrorKind::Blocked, format!("not begun: {reason}"))
            }
            (Mode::Stopping, None) => Error::new(
                ErrorKind::Cancelled,
                "not begun because the run was stopped",
            ),
            _ => self.watch.error(),
        };
        self.stop(start, error.into()).await;
        self.finish().await
    }

    /// Brings a host to its end that had failed before the run was resumed, or that the run no longer lets go on: ends what
    /// may be left of a stage that was under way, and undoes what is to be undone. Works without a permit where the run
    /// gives none any more. `is_awaited` says whether the other hosts count on it.
    pub(super) async fn conclude(
        mut self,
        permit: Option<OwnedSemaphorePermit>,
        is_awaited: bool,
    ) -> HostReport {
        if is_awaited {
            self.gates.stop(self.report.first_unfinished(), self.index);
        }
        self.has_stopped = true;
        self.permit = permit;
        if self.report.failure.is_none() {
            let stage = self.report.stages.get(self.report.first_unfinished());
            let name = stage.map(|_| {
                self.run.plan.stages[self.report.first_unfinished()]
                    .name
                    .as_str()
            });
            self.report.failure = Some(Failure::new(&self.watch.error(), name));
        }
        Box::pin(self.settle()).await;
        self.undo_and_finish().await
    }

    /// Undoes what the host did in an aborted run, when it has come to its end already.
    pub(super) async fn undo(mut self, permit: OwnedSemaphorePermit) -> HostReport {
        self.permit = Some(permit);
        if self.report.failure.is_none() {
            let error = Error::new(
                ErrorKind::Cancelled,
                "rolled back because the run was aborted",
            );
            self.report.failure = Some(Failure::new(&error, None));
        }
        self.run.note_mode(self.watch.mode()).await;
        Box::pin(self.settle()).await;
        if !self.has_leftover() {
            Box::pin(self.roll_back()).await;
        }
        self.finish().await
    }

    /// Whether something of an earlier attempt may still run on the host.
    fn has_leftover(&self) -> bool {
        self.run.in_flight.has(self.index)
    }

    /// Sees to what may be left of a stage that was under way when the run's controller ended, on a host that does not go
    /// on with it; a connection of its own serves also when the run was cancelled.
    async fn settle(&mut self) {
        let Some(left) = self.run.in_flight.look(self.index) else {
            return;
        };
        let run = Arc::clone(&self.run);
        let target = &run.targets[self.index];
        let settled = async {
            let prepared = Prepared::new(&run.plan.stages[left.stage], target)?;
            if matches!(self.watch.mode(), Mode::Cancelling | Mode::Late) {
                self.session = Some(run.connector.connect(target).await?);
            } else {
                self.connect().await?;
            }
            let Some(session) = &self.session else {
                return Err(self.watch.error().into());
            };
            let mut step = self.step_run(session, left.stage, left.attempt);
            step.settle(&left, &prepared, false).await
        };
        match settled.await {
            Ok(()) => {
                run.in_flight.take(self.index);
                if !left.is_rollback {
                    self.report.termination = Some(Termination::Confirmed);
                }
            }
            Err(stopped) => {
                let unconfirmed = || Termination::Unconfirmed(stopped.error.full_message());
                self.report.termination = Some(stopped.termination.unwrap_or_else(unconfirmed));
            }
        }
    }

    /// Takes one stage, once the host may.
    async fn stage(&mut self, position: usize) -> Result<(), Stopped> {
        let run = Arc::clone(&self.run);
        let stage = &run.plan.stages[position];
        self.admitted(position).await?;
        let reported = self.settle_reported(position).await?;
        match self.turn(position).await? {
            Turn::Mine => {}
            Turn::Done => {
                let mut report = StageReport::new(self.report.attempts(position));
                report.status = StageStatus::Skipped(SkipReason::RunOnce);
                self.report.stages.push(report);
                self.note(State::Open, [position]).await;
                self.gates.finish(position, self.index);
                return Ok(());
            }
            Turn::FailedOn(other) => {
                let other = &run.targets[other].name;
                let message = format!(
                    "stage `{}` did not succeed on {other}, which ran it for all",
                    stage.name
                );
                return Err(Error::new(ErrorKind::Blocked, message).into());
            }
        }
        let prepared = Prepared::new(stage, &run.targets[self.index])?;
        self.ready(position).await?;
        let Some(session) = &self.session else {
            return Err(self.watch.error().into());
        };

        self.gates.begin(position, self.index);
        let earlier = run.in_flight.look(self.index);
        if let Some(left) = &earlier {
            let mut step = self.step_run(session, position, left.attempt);
            Box::pin(step.settle(left, &prepared, true)).await?;
            run.in_flight.take(self.index);
        }
        let was_begun = self
            .begun_before
            .is_some_and(|(stage, _)| stage == position);
        let earlier = earlier.or(reported.filter(|_| was_begun));
        let attempt = self.report.begin_attempt(position);
        // It is about this attempt from here on.
        self.report.termination = None;
        let mut report = StageReport::new(attempt);
        self.tell(HostState::Running { stage: position });
        let started = Instant::now();
        let mut step = self.step_run(session, position, attempt);
        step.earlier = earlier;
        let mut result = step.stage(&prepared, &mut report).await;
        if let (Some(_), Err(stopped)) = (&step.earlier, &mut result)
            && stopped.error.kind() == ErrorKind::Cancelled
        {
            // This attempt began nothing, and the one before has ended.
            stopped.termination.get_or_insert(Termination::Confirmed);
        }
        // An attempt before this one may have begun it.
        report.is_not_begun =
            result.is_err() && !step.has_begun && step.earlier.is_none() && !was_begun;
        report.set_duration(started.elapsed());
        self.report.stages.push(report);
        if result.is_ok() {
            // Before the others know: what they do next is then noted behind it.
            self.note(State::Open, [position]).await;
            self.gates.finish(position, self.index);
        }
        result
    }

    /// Sees to what the report says may still run there, before anything else is done; gives it.
    async fn settle_reported(&mut self, position: usize) -> Result<Option<InFlight>, Stopped> {
        let Some(left) = self.report.leftover.clone() else {
            return Ok(None);
        };
        let run = Arc::clone(&self.run);
        let prepared = Prepared::new(&run.plan.stages[left.stage], &run.targets[self.index])?;
        self.ready(position).await?;
        let Some(session) = &self.session else {
            return Err(self.watch.error().into());
        };
        self.tell(HostState::Running { stage: left.stage });
        let mut step = self.step_run(session, left.stage, left.attempt);
        let is_taken_again = left.stage == position;
        Box::pin(step.settle_reported(&left, &prepared, is_taken_again)).await?;
        self.report.leftover = None;
        self.report.termination = Some(Termination::Confirmed);
        Ok(Some(*left))
    }

    /// Notes in the journal what is known of the host now, with these stages.
    async fn note(&self, state: State, stages: impl IntoIterator<Item = usize>) {
        if let Some(journal) = &self.run.journal {
            journal.note(Change::Host(self.change(state, stages))).await;
        }
    }

    fn change(&self, state: State, stages: impl IntoIterator<Item = usize>) -> HostChange {
        HostChange {
            in_flight: self.run.in_flight.look(self.index),
            ..HostChange::new(self.index, &self.report, state, stages)
        }
    }

    /// Notes that the host has come to its end. Who is told at once relies on it: then it is on disk before.
    async fn note_end(&mut self, state: State) {
        let run = Arc::clone(&self.run);
        match &run.journal {
            Some(journal) if run.options.ended.is_some() => {
                // Others can go on meanwhile.
                self.permit = None;
                // What is wrong with the journal is told with the run.
                let _ = journal.commit(self.change(state, [])).await;
            }
            _ => self.note(state, []).await,
        }
    }

    fn journal_trouble(&self) -> Option<Error> {
        self.run.journal.as_ref()?.check().err()
    }

    /// Waits behind a stage for the others, where it is a barrier and something follows.
    async fn pass(&mut self, position: usize) -> Result<(), Stopped> {
        let run = Arc::clone(&self.run);
        if position + 1 < run.plan.stages.len() && self.gates.is_shut(position) {
            let gates = Arc::clone(&self.gates);
            self.hold(position + 1, gates.pass(position)).await?;
        }
        Ok(())
    }

    /// Waits while the run is paused; fails when it is to end.
    async fn admitted(&mut self, position: usize) -> Result<()> {
        match self.watch.mode() {
            Mode::Running | Mode::Stopping => Ok(()),
            Mode::Aborting | Mode::Cancelling | Mode::Late => Err(self.watch.error()),
            Mode::Paused => {
                let mut watch = self.watch.clone();
                self.hold(position, watch.not_paused()).await
            }
        }
    }

    /// Makes a connection, unless there is one; a pause can come while the host waits for its turn or connects.
    async fn ready(&mut self, position: usize) -> Result<()> {
        loop {
            self.admitted(position).await?;
            self.connect().await?;
            if self.watch.mode() != Mode::Paused {
                return Ok(());
            }
        }
    }

    async fn turn(&mut self, position: usize) -> Result<Turn> {
        let gates = Arc::clone(&self.gates);
        let now = tokio::select! {
            biased;
            turn = gates.turn(position, self.index) => Some(turn),
            () = std::future::ready(()) => None,
        };
        match now {
            Some(turn) => Ok(turn),
            None => self.hold(position, gates.turn(position, self.index)).await,
        }
    }

    /// Waits for something that other hosts or people do, without a permit; fails when the run is to end.
    async fn hold<T>(&mut self, before: usize, until: impl Future<Output = T>) -> Result<T> {
        self.tell(HostState::Held { before });
        self.permit = None;
        let since = Instant::now();
        if !self.run.keep_connections
            && let Some(session) = self.session.take()
        {
            self.run.has_let_go.store(true, Ordering::Relaxed);
            session.close().await;
        }
        let mut watch = self.watch.clone();
        let waited = tokio::select! {
            biased;
            () = watch.ending() => None,
            result = until => Some(result),
        };
        // Also on the way out: what still has to be done on the host counts as work.
        self.permit = Arc::clone(&self.run.permits).acquire_owned().await.ok();
        self.do_not_count(since.elapsed());
        waited.ok_or_else(|| self.watch.error())
    }

    /// The time that others take is not the host's.
    fn do_not_count(&mut self, waited: Duration) {
        if let Some(limit) = &mut self.limit {
            limit.until += waited;
        }
    }

    /// Makes a connection, unless there is one; tries again where that can help.
    async fn connect(&mut self) -> Result<()> {
        if self
            .session
            .as_ref()
            .is_some_and(|session| !session.is_closed())
        {
            return Ok(());
        }
        let run = Arc::clone(&self.run);
        let target = &run.targets[self.index];
        let retries = &run.options.connect_retries;
        let mut stop = self.stop_signal();
        let mut refusals = 0;
        for attempt in 1.. {
            self.tell(HostState::Connecting { attempt });
            self.report.connection_attempts += 1;
            let since = Instant::now();
            let handshake = tokio::select! {
                biased;
                () = stop.requested() => return Err(stop.watch.error()),
                handshake = run.pacer.begin() => handshake,
            };
            self.do_not_count(since.elapsed());
            let limit = self.limit.filter(|_| !stop.is_rollback);
            let connecting = async {
                // Boxed, so that a host that is connected no longer needs its room.
                let connected = Box::pin(run.connector.connect(target)).await;
                handshake.end(self.index, Outcome::of(&connected));
                connected
            };
            let error = tokio::select! {
                biased;
                () = stop.requested() => return Err(stop.watch.error()),
                connected = in_time(limit, connecting) => match connected? {
                    Ok(session) => {
                        self.session = Some(session);
                        return Ok(());
                    }
                    Err(error) => error,
                },
            };
            // Who has too many connections now lets us in when they are fewer: that is the pacer's work.
            if error.kind() != ErrorKind::Overloaded
                || attempt >= retries.attempts.saturating_mul(OVERLOAD_PATIENCE)
            {
                refusals += 1;
            }
            if refusals >= retries.attempts || !error.is_retryable() {
                return Err(error);
            }
            let pause = retries.pause(attempt);
            log::debug!(target: LOG, "{error}: attempt {attempt} to connect failed, the next is in {pause:?}");
            tokio::select! {
                biased;
                () = stop.requested() => return Err(stop.watch.error()),
                slept = in_time(limit, sleep(pause)) => slept?,
            }
        }
        Ok(())
    }

    /// A rollback, and a connection for it, still goes on when the run is being aborted.
    fn stop_signal(&self) -> Stop {
        Stop {
            watch: self.watch.clone(),
            is_rollback: self.report.failure.is_some(),
        }
    }

    /// Keeps why the host goes no further; `position` is the stage it did not finish.
    async fn stop(&mut self, position: usize, mut stopped: Stopped) {
        let in_flight = self.run.in_flight.look(self.index);
        if let Some(left) = in_flight {
            // What came of it is still not known.
            if self.report.stages.len() == left.stage {
                self.report.stages.push(StageReport::new(left.attempt));
            }
            stopped
                .termination
                .get_or_insert_with(|| left.unconfirmed());
        }
        let begun = (self.report.stages.len() > position)
            .then(|| self.run.plan.stages[position].name.as_str());
        // An abort undoes also what a run before this one had begun.
        if let Some((stage, attempt)) = self.begun_before
            && self.watch.mode() == Mode::Aborting
            && self.report.stages.len() == stage
        {
            self.report.stages.push(StageReport::new(attempt));
        }
        self.is_left = self.permit.is_none();
        self.report.failure = Some(Failure::new(&stopped.error, begun));
        // What an earlier run left there may still run, as long as nobody has seen to it.
        if stopped.termination.is_some() {
            self.report.termination = stopped.termination;
        }
        self.keep(stopped.leftover);
        if !self.is_left_open() {
            if stopped.error.kind() == ErrorKind::Cancelled {
                // Before what follows from it.
                self.run.note_mode(self.watch.mode()).await;
            }
            let state = match self.is_left {
                true => State::Left,
                false => State::Open,
            };
            self.note(state, [position]).await;
        }
        self.gates.stop(position, self.index);
        self.has_stopped = true;
        let is_own = !matches!(
            stopped.error.kind(),
            ErrorKind::Cancelled | ErrorKind::Journal
        );
        if is_own && !self.is_left {
            self.run.count_failure(self.index);
        }
    }

    /// Keeps what may still run.
    fn keep(&mut self, left: Option<Box<Left>>) {
        if let Some(left) = left {
            self.report.leftover = Some(Box::new(left.known));
            self.remnant = Some(Box::new(left.remnant));
        }
    }

    /// Whether the host only waits for somebody to resume the run: its journal cannot be written.
    fn is_left_open(&self) -> bool {
        let failure = self.report.failure.as_ref();
        failure.is_some_and(|failure| failure.kind == ErrorKind::Journal)
    }

    /// A step of a stage, or of its rollback once the host has failed.
    fn step_run<'a>(&'a self, session: &'a Session, position: usize, attempt: u32) -> StepRun<'a> {
        let stop = self.stop_signal();
        let intent = self.run.journal.as_ref().map(|journal| {
            let change = HostChange::new(self.index, &self.report, State::Open, []);
            Intent::new(journal, change, position, attempt, stop.is_rollback)
        });
        StepRun {
            earlier: None,
            has_begun: false,
            intent,
            run: &self.run,
            host: self.index,
            position,
            attempt,
            session,
            host_limit: self.limit.filter(|_| !stop.is_rollback),
            stop,
        }
    }

    async fn finish(&mut self) -> HostReport {
        self.has_stopped = true;
        if let Some(left) = self.run.in_flight.look(self.index) {
            // For whoever has the report and not the journal.
            self.report.leftover = Some(Box::new(left));
            self.note(State::Open, []).await;
        } else if !self.is_left_open() {
            let state = match self.is_left {
                true => State::Left,
                false => State::Ended,
            };
            self.note_end(state).await;
        }
        self.run.tell_ended(&self.report);
        self.tell(self.report.last_state());
        if let Some(session) = self.session.take() {
            session.close().await;
        }
        std::mem::replace(&mut self.report, HostReport::new(""))
    }

    fn tell(&self, state: HostState) {
        self.run.board.host(self.index, state);
    }
}

/// Waits for something until a limit, if there is one.
async fn in_time<T>(limit: Option<Limit>, work: impl Future<Output = T>) -> Result<T> {
    match limit {
        Some(limit) => timeout_at(limit.until, work)
            .await
            .map_err(|_| limit.error()),
        None => Ok(work.await),
    }
}

/// However a host's work ends, the others must not wait for it.
impl Drop for HostRun {
    fn drop(&mut self) {
        if !self.has_stopped {
            self.gates.stop(self.report.first_unfinished(), self.index);
        }
    }
}

impl HostReport {
    /// What readers of the events are told of a host that has come to its end.
    pub(super) fn last_state(&self) -> HostState {
        match &self.failure {
            None => HostState::Succeeded,
            Some(failure) => HostState::Failed {
                failure: failure.clone(),
                termination: self.termination.clone(),
            },
        }
    }
}
