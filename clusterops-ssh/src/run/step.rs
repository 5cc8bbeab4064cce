//! One step on one host.

use std::pin::pin;
use std::time::Duration;

use secrecy::SecretString;
use tokio::time::{Instant, sleep_until, timeout_at};

use super::control::{Mode, Watch};
use super::intent::Intent;
use super::output::{DISK_PATIENCE, Sink};
use super::prepare::Prepared;
use super::shared::Shared;
use crate::clock::deadline_in;
use crate::credentials::ask;
use crate::plan::{Stage, Step};
use crate::report::InFlight;
use crate::report::{Captured, SkipReason, StageReport, StageStatus};
use crate::session::{COMMAND_DEADLINE, GRACE, Launch, Process, Remnant, Session, terminate};
use crate::wire::Leader;
use crate::{Command, Error, ErrorKind, Exit, Purpose, Result, RunAs, Termination};

/// The environment that tells a remote process where it belongs.
const RUN_VARIABLE: &str = "CLUSTEROPS_RUN";
const STAGE_VARIABLE: &str = "CLUSTEROPS_STAGE";
const ATTEMPT_VARIABLE: &str = "CLUSTEROPS_ATTEMPT";

/// Why a step did not succeed, and what became of its remote processes where it was ended before its time.
pub(super) struct Stopped {
    pub(super) error: Error,
    pub(super) termination: Option<Termination>,
    /// How what may still run is found.
    pub(super) leftover: Option<Box<Left>>,
}

/// What may still run of a step.
pub(super) struct Left {
    /// As this run finds it.
    pub(super) remnant: Remnant,
    /// As a later one does.
    pub(super) known: InFlight,
}

impl From<Error> for Stopped {
    fn from(error: Error) -> Self {
        Self {
            error,
            termination: None,
            leftover: None,
        }
    }
}

/// When a step is to be ended before its time.
pub(super) struct Stop {
    pub(super) watch: Watch,
    /// Rollbacks go on through an abort, and end with a cancel.
    pub(super) is_rollback: bool,
}

impl Stop {
    pub(super) fn is_requested(&self) -> bool {
        match self.watch.mode() {
            Mode::Cancelling | Mode::Late => true,
            Mode::Aborting => !self.is_rollback,
            Mode::Running | Mode::Paused | Mode::Stopping => false,
        }
    }

    pub(super) async fn requested(&mut self) {
        if self.is_rollback {
            self.watch.cancelled().await
        } else {
            self.watch.ending().await
        }
    }
}

/// Until when something is to be done, and who says so.
#[derive(Debug, Clone, Copy)]
pub(super) struct Limit {
    pub(super) span: Duration,
    pub(super) until: Instant,
    /// It is the limit for all of the host's work, not for the stage.
    pub(super) is_hosts: bool,
}

impl Limit {
    pub(super) fn error(&self) -> Error {
        let span = self.span;
        let message = if self.is_hosts {
            format!("the host's deadline of {span:?} passed")
        } else {
            format!("not done within {span:?}")
        };
        Error::new(ErrorKind::Timeout, message)
    }
}

/// One step of one stage on one host.
pub(super) struct StepRun<'a> {
    pub(super) run: &'a Shared,
    pub(super) host: usize,
    pub(super) position: usize,
    pub(super) attempt: u32,
    pub(super) session: &'a Session,
    pub(super) stop: Stop,
    /// The limit for all of the host's work, which does not bind rollbacks.
    pub(super) host_limit: Option<Limit>,
    /// What was under way here when the controller ended, and was seen to.
    pub(super) earlier: Option<InFlight>,
    /// Whether its step was begun: what precedes it, such as a guard, is not.
    pub(super) has_begun: bool,
    /// What the journal is told first, where the run keeps one.
    pub(super) intent: Option<Intent<'a>>,
}

impl StepRun<'_> {
    /// Takes a stage: its guards, then its step.
    pub(super) async fn stage(
        &mut self,
        prepared: &Prepared,
        report: &mut StageReport,
    ) -> Result<(), Stopped> {
        let limit = self.limit();
        if let Some(path) = &prepared.creates
            && self
                .guard(Command::new(["test", "-e", path]), prepared, limit)
                .await?
        {
            report.status = StageStatus::Skipped(SkipReason::Creates);
            return Ok(());
        }
        if !prepared.unless.is_empty()
            && self
                .guard(Command::new(&prepared.unless), prepared, limit)
                .await?
        {
            report.status = StageStatus::Skipped(SkipReason::Unless);
            return Ok(());
        }
        self.step(&prepared.step, prepared, report, limit).await?;
        report.status = StageStatus::Done;
        Ok(())
    }

    /// Takes a stage's rollback.
    pub(super) async fn rollback(
        &mut self,
        step: &Step,
        prepared: &Prepared,
        report: &mut StageReport,
    ) -> Result<(), Stopped> {
        let limit = self.limit();
        self.step(step, prepared, report, limit).await
    }

    /// The stage's limit, or the host's where that comes first.
    pub(super) fn limit(&self) -> Limit {
        let span = self
            .plan_stage()
            .deadline
            .or(self.run.options.session.command_deadline)
            .unwrap_or(COMMAND_DEADLINE);
        let stage = Limit {
            span,
            until: deadline_in(span),
            is_hosts: false,
        };
        match self.host_limit {
            Some(host) if host.until < stage.until => host,
            _ => stage,
        }
    }

    fn plan_stage(&self) -> &Stage {
        &self.run.plan.stages[self.position]
    }

    async fn step(
        &mut self,
        step: &Step,
        prepared: &Prepared,
        report: &mut StageReport,
        limit: Limit,
    ) -> Result<(), Stopped> {
        let command = match step {
            Step::Upload { options, .. }
            | Step::UploadTree { options, .. }
            | Step::Fetch { options, .. } => {
                let Some(work) = self.work(step, prepared)? else {
                    return Ok(());
                };
                self.has_begun = true;
                return Box::pin(self.transfer(work, options, report, limit)).await;
            }
            Step::Command { words } => Command::new(words),
            Step::Shell { line } => Command::shell(line),
            Step::Script {
                source,
                interpreter,
                arguments,
            } => {
                let text = self.run.files.script(source)?;
                Command::script(text, interpreter, arguments)
            }
        };
        let mut command = self.as_prepared(command, prepared, limit).await?;
        if prepared.pty {
            command = command.pty();
        }
        for (name, secret) in &self.run.plan.stages[self.position].secret_env {
            command = command.secret_env(name, self.secret(secret, limit).await?);
        }
        let sink = Sink::new(
            self.run,
            self.host,
            self.position,
            self.attempt,
            self.stop.is_rollback,
        );
        self.has_begun = true;
        let exit = self.execute(&command, Some((sink, report)), limit).await?;
        match exit {
            Exit::Status(status) if self.is_success(status) => Ok(()),
            exit => {
                let mut message = exit.to_string();
                let success = &self.plan_stage().success;
                if matches!(exit, Exit::Status(_)) && !self.stop.is_rollback && *success != [0] {
                    let success: Vec<_> = success.iter().map(ToString::to_string).collect();
                    message.push_str(&format!("; success is {}", success.join(" or ")));
                }
                let error = Error::new(ErrorKind::Command, message);
                Err(match last_words(&report.stderr) {
                    Some(words) => error.caused_by(words).into(),
                    None => error.into(),
                })
            }
        }
    }

    /// Whether a guard's command succeeds. Its output is of no interest. One that ended without an exit status says
    /// neither, and a stage that must not be taken twice is not taken on a guess.
    async fn guard(
        &mut self,
        command: Command,
        prepared: &Prepared,
        limit: Limit,
    ) -> Result<bool, Stopped> {
        let command = self.as_prepared(command, prepared, limit).await?;
        match self.execute(&command, None, limit).await? {
            Exit::Status(status) => Ok(status == 0),
            exit => {
                let message = format!("the guard did not say whether the stage is needed: {exit}");
                Err(Error::new(ErrorKind::Command, message).into())
            }
        }
    }

    /// A rollback is a step of its own, and the exit statuses of the stage's step are not meant for it.
    fn is_success(&self, status: u32) -> bool {
        if self.stop.is_rollback {
            status == 0
        } else {
            self.plan_stage().success.contains(&status)
        }
    }

    /// A command in the stage's environment and working directory, as its user.
    async fn as_prepared(
        &mut self,
        mut command: Command,
        prepared: &Prepared,
        limit: Limit,
    ) -> Result<Command> {
        if let Some(run_as) = &prepared.run_as {
            command = command.run_as(run_as.clone());
            if let Some(password) = self.run_as_password(run_as, limit).await? {
                command = command.run_as_password(password);
            }
        }
        for (name, value) in &prepared.env {
            command = command.env(name, value);
        }
        if let Some(directory) = &prepared.current_dir {
            command = command.current_dir(directory);
        }
        Ok(command
            .env(RUN_VARIABLE, &self.run.id)
            .env(STAGE_VARIABLE, &prepared.stage)
            .env(ATTEMPT_VARIABLE, self.attempt.to_string()))
    }

    /// The password that came with the target, or that the credentials know; a host may need none.
    pub(super) async fn run_as_password(
        &mut self,
        run_as: &RunAs,
        limit: Limit,
    ) -> Result<Option<SecretString>> {
        let known = RunAs::password_of(&self.run.targets[self.host]);
        if known.is_some() {
            return Ok(known);
        }
        self.ask(&Purpose::RunAs(run_as.clone()), limit, &|| {
            format!("the password to run as {run_as}")
        })
        .await
    }

    async fn secret(&mut self, name: &str, limit: Limit) -> Result<SecretString> {
        let what = || format!("the secret `{name}`");
        let missing = |why: &str| Error::new(ErrorKind::Secret, format!("{} {why}", what()));
        let purpose = Purpose::Environment(name.to_owned());
        let answer = self.ask(&purpose, limit, &what).await?;
        answer.ok_or_else(|| missing("is unknown to the credentials"))
    }

    /// Asks the fleet's credentials, where it has some.
    async fn ask(
        &mut self,
        purpose: &Purpose,
        limit: Limit,
        what: &(dyn Fn() -> String + Sync),
    ) -> Result<Option<SecretString>> {
        let Some(credentials) = &self.run.options.credentials else {
            return Ok(None);
        };
        let target = &self.run.targets[self.host];
        tokio::select! {
            biased;
            () = self.stop.requested() => Err(self.stop.watch.error()),
            answer = timeout_at(limit.until, ask(&**credentials, target, purpose)) => match answer {
                Ok(answer) => answer,
                Err(_) => Err(Error::new(ErrorKind::Timeout, format!("{} did not come in time", what()))),
            },
        }
    }

    /// Runs a command until it ends, its deadline passes or the run is to end.
    async fn execute(
        &mut self,
        command: &Command,
        mut sink: Option<(Sink<'_>, &mut StageReport)>,
        limit: Limit,
    ) -> Result<Exit, Stopped> {
        if self.stop.is_requested() {
            return Err(self.stop.watch.error().into());
        }
        // Not given up halfway for a stop: a command that was started is one that can be ended.
        let launch = Launch {
            // Longer than a disk has, which is given up before.
            patience: self.run.folder.is_some().then_some(2 * DISK_PATIENCE),
            ..match &self.intent {
                Some(intent) => intent.launch(),
                None => Launch::new(),
            }
        };
        let (tag, is_held) = (launch.tag.clone(), launch.is_held);
        // Boxed, so that a command that runs does not need the room of one that is started.
        let launched = Box::pin(self.session.launch(command, launch));
        let launched = timeout_at(limit.until, launched).await;
        let mut process = match launched.unwrap_or_else(|_| Err(limit.error())) {
            Ok(started) => started,
            Err(error) => {
                let is_unsure =
                    matches!(error.kind(), ErrorKind::Timeout | ErrorKind::Disconnected);
                // One that is held does not start without us.
                if !is_unsure || is_held {
                    return Err(error.into());
                }
                let why = "the server did not say whether the command started";
                let raised = command.raised.clone();
                let known = self.known(tag.clone(), None);
                let remnant = Remnant {
                    tag,
                    leader: None,
                    raised,
                    has_terminal: command.has_terminal == Some(true),
                };
                return Err(Stopped {
                    error,
                    termination: Some(Termination::Unconfirmed(why.into())),
                    leftover: Some(Box::new(Left { remnant, known })),
                });
            }
        };
        let result = match Box::pin(self.let_go(&mut process, limit)).await {
            Ok(()) => self.follow(&mut process, &mut sink, limit).await,
            Err(error) => Err(error),
        };
        let ended = match &result {
            // A local reason is output that could not be taken in time.
            Err(error)
                if matches!(
                    error.kind(),
                    ErrorKind::Cancelled
                        | ErrorKind::Timeout
                        | ErrorKind::Local
                        | ErrorKind::Journal
                ) =>
            {
                // Boxed, as all that is seldom needed: thousands of these are in memory at once.
                Some(Box::pin(self.end(&mut process, &mut sink)).await)
            }
            Err(error) if error.kind() == ErrorKind::Disconnected => Some(
                Termination::Unconfirmed("the connection was lost while the command ran".into()),
            ),
            _ => None,
        };
        if let Some((sink, report)) = sink {
            if result.is_ok() || process.has_exited() {
                report.exit = Some(process.exit());
            }
            sink.finish().await;
        }
        result.map_err(|error| Stopped {
            error,
            leftover: matches!(ended, Some(Termination::Unconfirmed(_)))
                .then(|| Box::new(self.left_of(&process))),
            termination: ended,
        })
    }

    fn left_of(&self, process: &Process) -> Left {
        let remnant = process.remnant();
        let known = self.known(remnant.tag.clone(), process.leader());
        Left { remnant, known }
    }

    /// What is under way, for whoever finds it later.
    pub(super) fn known(&self, tag: String, leader: Option<Leader>) -> InFlight {
        InFlight {
            stage: self.position,
            attempt: self.attempt,
            is_rollback: self.stop.is_rollback,
            is_transfer: false,
            tag,
            leader,
        }
    }

    /// Lets a command go that is held, once the journal knows how to find it.
    async fn let_go(&mut self, process: &mut Process, limit: Limit) -> Result<()> {
        let Some(intent) = &self.intent else {
            return Ok(());
        };
        tokio::select! {
            biased;
            () = self.stop.requested() => Err(self.stop.watch.error()),
            noted = timeout_at(limit.until, async {
                let leader = process.held().await?;
                intent.commit(leader).await?;
                process.release().await;
                Ok(())
            }) => noted.unwrap_or_else(|_| Err(limit.error())),
        }
    }

    /// Reads a command's output to its end.
    async fn follow(
        &mut self,
        process: &mut Process,
        sink: &mut Option<(Sink<'_>, &mut StageReport)>,
        limit: Limit,
    ) -> Result<Exit> {
        let watch = self.stop.watch.clone();
        let mut stopped = pin!(self.stop.requested());
        let mut deadline = pin!(sleep_until(limit.until));
        // What is there at the deadline is still taken, but not for as long as more is.
        let mut overdue = pin!(sleep_until(limit.until + GRACE));
        loop {
            let next = tokio::select! {
                biased;
                () = &mut stopped => return Err(watch.error()),
                () = &mut overdue => break,
                next = process.next() => next?,
                () = &mut deadline => break,
            };
            let Some(chunk) = next else {
                return Ok(process.exit());
            };
            if let Some((sink, report)) = sink {
                tokio::select! {
                    biased;
                    () = sink.take(chunk, report) => {}
                    () = &mut stopped => return Err(watch.error()),
                    () = &mut overdue => break,
                }
            }
        }
        match process.conclude() {
            Some(ended) => ended,
            None => Err(late(limit, process.has_exited())),
        }
    }

    /// Ends a command, keeping what it still writes.
    async fn end(
        &self,
        process: &mut Process,
        sink: &mut Option<(Sink<'_>, &mut StageReport)>,
    ) -> Termination {
        let patience = self.session.signal_patience(GRACE);
        let _ = tokio::time::timeout(patience, async {
            process.ask_to_end().await;
            keep_output(process, sink).await;
        })
        .await;
        let remnant = process.remnant();
        tokio::select! {
            ended = terminate(self.session, &remnant, GRACE) => ended,
            // Output that nobody reads would hold up the connection, and the looks at the host with it.
            never = async {
                keep_output(process, sink).await;
                std::future::pending().await
            } => never,
        }
    }
}

/// The last line that a command wrote to standard error: mostly what its operator wants to know.
fn last_words(stderr: &Captured) -> Option<String> {
    let text = stderr.to_string_lossy();
    let line = text
        .lines()
        .rev()
        .map(str::trim)
        .find(|line| !line.is_empty())?;
    Some(line.chars().filter(|c| !c.is_control()).take(200).collect())
}

async fn keep_output(process: &mut Process, sink: &mut Option<(Sink<'_>, &mut StageReport)>) {
    while let Ok(Some(chunk)) = process.next().await {
        if let Some((sink, report)) = sink {
            sink.take(chunk, report).await;
        }
    }
}

fn late(limit: Limit, has_exited: bool) -> Error {
    if !has_exited {
        return limit.error();
    }
    let message = format!(
        "the command exited, but within {:?} its output was not closed: a process it left in the background holds it open",
        limit.span
    );
    Error::new(ErrorKind::Timeout, message)
}
