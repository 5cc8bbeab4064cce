//! One step on one host.

use std::time::Duration;

use secrecy::SecretString;
use tokio::time::{Instant, timeout_at};

use super::Shared;
use super::control::{Mode, Watch};
use super::output::Sink;
use super::prepare::Prepared;
use crate::clock::deadline_in;
use crate::plan::{Stage, Step};
use crate::report::{Captured, SkipReason, StageReport, StageStatus};
use crate::session::{GRACE, Process, Session, terminate};
use crate::transfer::Sftp;
use crate::{Command, Error, ErrorKind, Exit, Purpose, Result, Termination};

/// The environment that tells a remote process where it belongs.
const RUN_VARIABLE: &str = "CLUSTEROPS_RUN";
const STAGE_VARIABLE: &str = "CLUSTEROPS_STAGE";
const ATTEMPT_VARIABLE: &str = "CLUSTEROPS_ATTEMPT";

/// Why a step did not succeed, and what became of its remote processes where it was ended before its time.
pub(super) struct Stopped {
    pub(super) error: Error,
    pub(super) termination: Option<Termination>,
}

impl From<Error> for Stopped {
    fn from(error: Error) -> Self {
        Self {
            error,
            termination: None,
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
    fn is_requested(&self) -> bool {
        match self.watch.mode() {
            Mode::Cancelling => true,
            Mode::Aborting => !self.is_rollback,
            Mode::Running | Mode::Paused => false,
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

/// One step of one stage on one host.
pub(super) struct StepRun<'a> {
    pub(super) run: &'a Shared,
    pub(super) host: usize,
    pub(super) position: usize,
    pub(super) attempt: u32,
    pub(super) session: &'a Session,
    pub(super) stop: Stop,
}

impl StepRun<'_> {
    /// Takes a stage: its guards, then its step.
    pub(super) async fn stage(
        &mut self,
        prepared: &Prepared,
        report: &mut StageReport,
    ) -> Result<(), Stopped> {
        let (limit, deadline) = self.deadline();
        if let Some(path) = &prepared.creates
            && self
                .guard(
                    Command::new(["test", "-e", path]),
                    prepared,
                    limit,
                    deadline,
                )
                .await?
        {
            report.status = StageStatus::Skipped(SkipReason::Creates);
            return Ok(());
        }
        if !prepared.unless.is_empty()
            && self
                .guard(Command::new(&prepared.unless), prepared, limit, deadline)
                .await?
        {
            report.status = StageStatus::Skipped(SkipReason::Unless);
            return Ok(());
        }
        self.step(&prepared.step, prepared, report, limit, deadline)
            .await?;
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
        let (limit, deadline) = self.deadline();
        self.step(step, prepared, report, limit, deadline).await
    }

    fn deadline(&self) -> (Duration, Instant) {
        let limit = self
            .plan_stage()
            .deadline
            .unwrap_or(self.run.options.session.command_deadline);
        (limit, deadline_in(limit))
    }

    fn plan_stage(&self) -> &Stage {
        &self.run.plan.stages[self.position]
    }

    async fn step(
        &mut self,
        step: &Step,
        prepared: &Prepared,
        report: &mut StageReport,
        limit: Duration,
        deadline: Instant,
    ) -> Result<(), Stopped> {
        let command = match step {
            Step::Upload {
                source,
                destination,
                mode,
            } => {
                let mode = *mode;
                return self
                    .upload(prepared, source, destination, mode, limit, deadline)
                    .await;
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
        let mut command = self.with_environment(command, prepared);
        for (name, secret) in &self.run.plan.stages[self.position].secret_env {
            command = command.secret_env(name, self.secret(secret, deadline).await?);
        }
        let sink = Sink::new(
            self.run,
            self.host,
            self.position,
            self.attempt,
            self.stop.is_rollback,
        );
        let exit = self
            .execute(&command, Some((sink, report)), limit, deadline)
            .await?;
        match exit {
            Exit::Status(status) if self.is_success(status) => Ok(()),
            exit => {
                let error = Error::new(ErrorKind::Command, exit.to_string());
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
        limit: Duration,
        deadline: Instant,
    ) -> Result<bool, Stopped> {
        let command = self.with_environment(command, prepared);
        match self.execute(&command, None, limit, deadline).await? {
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

    fn with_environment(&self, mut command: Command, prepared: &Prepared) -> Command {
        for (name, value) in &prepared.env {
            command = command.env(name, value);
        }
        if let Some(directory) = &prepared.current_dir {
            command = command.current_dir(directory);
        }
        command
            .env(RUN_VARIABLE, &self.run.id)
            .env(STAGE_VARIABLE, &prepared.stage)
            .env(ATTEMPT_VARIABLE, self.attempt.to_string())
    }

    async fn secret(&mut self, name: &str, deadline: Instant) -> Result<SecretString> {
        let target = &self.run.targets[self.host];
        let missing =
            |why: &str| Error::new(ErrorKind::Secret, format!("the secret `{name}` {why}"));
        let Some(credentials) = &self.run.options.credentials else {
            return Err(missing("is asked for, and the fleet has no credentials"));
        };
        let purpose = Purpose::Environment(name.to_owned());
        tokio::select! {
            biased;
            () = self.stop.requested() => Err(cancelled()),
            answer = timeout_at(deadline, credentials.secret(target, &purpose)) => match answer {
                Ok(answer) => answer?.ok_or_else(|| missing("is unknown to the credentials")),
                Err(_) => Err(Error::new(ErrorKind::Timeout, format!("the secret `{name}` did not come in time"))),
            },
        }
    }

    /// Runs a command until it ends, its deadline passes or the run is to end.
    async fn execute(
        &mut self,
        command: &Command,
        mut sink: Option<(Sink<'_>, &mut StageReport)>,
        limit: Duration,
        deadline: Instant,
    ) -> Result<Exit, Stopped> {
        if self.stop.is_requested() {
            return Err(cancelled().into());
        }
        // Not given up halfway for a stop: a command that was started is one that can be ended.
        let mut process = match timeout_at(deadline, self.session.exec(command)).await {
            Ok(started) => started?,
            Err(_) => {
                let termination = Termination::Unconfirmed(
                    "the server did not say whether the command started".into(),
                );
                return Err(Stopped {
                    error: late(limit, false),
                    termination: Some(termination),
                });
            }
        };
        let result = loop {
            let next = tokio::select! {
                biased;
                () = self.stop.requested() => break Err(cancelled()),
                next = timeout_at(deadline, process.next()) => next,
            };
            match next {
                Ok(Ok(Some(chunk))) => {
                    if let Some((sink, report)) = &mut sink {
                        sink.take(chunk, report).await;
                    }
                }
                Ok(Ok(None)) => break Ok(process.exit()),
                Ok(Err(error)) => break Err(error),
                Err(_) => break Err(late(limit, process.has_exited())),
            }
        };
        let ended = match &result {
            Err(error) if matches!(error.kind(), ErrorKind::Cancelled | ErrorKind::Timeout) => {
                Some(self.end(&mut process, &mut sink).await)
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
            termination: ended,
        })
    }

    /// Ends a command, keeping what it still writes. When the session cannot be used for it, another connection is.
    async fn end(
        &self,
        process: &mut Process,
        sink: &mut Option<(Sink<'_>, &mut StageReport)>,
    ) -> Termination {
        let _ = tokio::time::timeout(GRACE / 2, async {
            process.ask_to_end().await;
            keep_output(process, sink).await;
        })
        .await;
        let (tag, group) = (process.tag().to_owned(), process.process_group());
        tokio::select! {
            ended = self.make_sure(&tag, group) => ended,
            // Output that nobody reads would hold up the connection, and the looks at the host with it.
            never = async {
                keep_output(process, sink).await;
                std::future::pending().await
            } => never,
        }
    }

    async fn make_sure(&self, tag: &str, group: Option<u32>) -> Termination {
        match terminate(self.session, tag, group, GRACE).await {
            Termination::Confirmed => Termination::Confirmed,
            first => {
                let target = &self.run.targets[self.host];
                match self.run.connector.connect(target).await {
                    Ok(session) => {
                        let second = terminate(&session, tag, group, GRACE).await;
                        session.close().await;
                        second
                    }
                    Err(_) => first,
                }
            }
        }
    }

    async fn upload(
        &mut self,
        prepared: &Prepared,
        source: &std::path::Path,
        destination: &str,
        mode: Option<u32>,
        limit: Duration,
        deadline: Instant,
    ) -> Result<(), Stopped> {
        let (file, metadata) = self.run.files.open(source)?;
        let mode = mode.unwrap_or_else(|| {
            std::os::unix::fs::PermissionsExt::mode(&metadata.permissions()) & 0o777
        });
        let sftp = tokio::select! {
            biased;
            () = self.stop.requested() => return Err(cancelled().into()),
            opened = timeout_at(deadline, Sftp::open(self.session)) => opened.map_err(|_| late(limit, false))??,
        };
        let destination = match &prepared.current_dir {
            Some(folder) if !destination.starts_with(['/', '~']) => {
                &format!("{folder}/{destination}")
            }
            _ => destination,
        };
        let upload = sftp.upload(destination, &format!("{:016x}", fastrand::u64(..)));
        let result = tokio::select! {
            biased;
            () = self.stop.requested() => Err(cancelled()),
            sent = timeout_at(deadline, upload.send(file, mode)) => sent.unwrap_or_else(|_| Err(late(limit, false))),
        };
        let Err(error) = result else {
            sftp.close();
            return Ok(());
        };
        let termination = match upload.discard().await {
            true if !matches!(error.kind(), ErrorKind::Cancelled | ErrorKind::Timeout) => None,
            true => Some(Termination::Confirmed),
            false => {
                let why = format!("an unfinished file may be left beside `{destination}`");
                Some(Termination::Unconfirmed(why))
            }
        };
        Err(Stopped { error, termination })
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

pub(super) fn cancelled() -> Error {
    Error::new(ErrorKind::Cancelled, "ended because the run was cancelled")
}

fn late(limit: Duration, has_exited: bool) -> Error {
    let message = if has_exited {
        format!(
            "the command exited, but within {limit:?} its output was not closed: a process it left in the background holds it open"
        )
    } else {
        format!("not done within {limit:?}")
    };
    Error::new(ErrorKind::Timeout, message)
}
