//! What happened in a run, host by host.

mod captured;
mod gather;
mod in_flight;
mod merge;

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use clusterops_core::Printable;
use clusterops_core::hostset::HostSet;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

pub use self::captured::Captured;
pub use self::gather::{Answer, Gathered};
pub(crate) use self::in_flight::InFlight;
use crate::{Error, ErrorKind, Exit, Termination, Transferred};

/// The version of a report's serialised form that this version of the crate writes and reads.
const FORMAT: u32 = 1;

/// What happened in a run: for every host how far it came, what it said and why it stopped.
///
/// A report is plain data: JSON in and out without loss. [`Fleet::retry`](crate::Fleet::retry) takes it to continue the
/// hosts that failed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Report {
    #[serde(deserialize_with = "format_version")]
    format: u32,
    /// The run's id, which remote processes saw as `CLUSTEROPS_RUN`.
    pub run_id: String,
    /// The plan's name.
    pub plan_name: String,
    /// The [digest](crate::Plan::digest) of the plan.
    pub plan_digest: String,
    /// The local files that were sent, with the SHA-256 of their content in hexadecimal; and the folders, with one of
    /// all that they held.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub files: BTreeMap<String, String>,
    /// When the run started, by the controller's clock.
    pub started: Timestamp,
    /// When it ended: the start and how long the run took, even if the clock was set meanwhile.
    pub finished: Timestamp,
    /// How the run came to its end.
    pub ending: Ending,
    /// The names of the plan's stages, in order.
    pub stages: Vec<String>,
    /// What the operator should know about the run itself, such as a disk that was full.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<String>,
    /// The hosts, in the order of the fleet's targets.
    pub hosts: Vec<HostReport>,
}

/// How a run came to its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Ending {
    /// Every host went as far as it could.
    Completed,
    /// It was stopped, mostly because more hosts failed than the failure budget allows: some hosts never began.
    Stopped,
    /// It was cancelled, or its deadline passed.
    Cancelled,
    /// It was aborted.
    Aborted,
    /// Its controller ended before it did: this is what its [journal](crate::Journal) holds.
    Interrupted,
}

/// What happened on one host.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct HostReport {
    /// The target's name.
    pub name: String,
    /// Why the host stopped; `None` when it finished the plan.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure: Option<Box<Failure>>,
    /// How many times a connection was tried.
    #[serde(default)]
    pub connection_attempts: u32,
    /// How many times each stage was begun, retries of the run and rollbacks of the stage included; by its place in the
    /// plan. The last `CLUSTEROPS_ATTEMPT` of each stage.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub attempts: Vec<u32>,
    /// The stages that the host came to, in the plan's order.
    pub stages: Vec<StageReport>,
    /// Where a command was ended before its time: whether the end of its processes was seen.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub termination: Option<Termination>,
    /// How what may still run there is found, by a run that continues this one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) leftover: Option<Box<InFlight>>,
}

/// What happened in one stage on one host.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct StageReport {
    /// How it ended.
    pub status: StageStatus,
    /// The how many-th attempt at this stage on this host this was, retries of the run and rollbacks included; from 1,
    /// or 0 where another host ran it.
    pub attempt: u32,
    /// How the command ended, where one ran to an end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exit: Option<Exit>,
    /// What was written to standard output.
    #[serde(default, skip_serializing_if = "Captured::is_empty")]
    pub stdout: Captured,
    /// What was written to standard error.
    #[serde(default, skip_serializing_if = "Captured::is_empty")]
    pub stderr: Captured,
    /// What was transferred, where the step transfers files.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub transferred: Option<Box<Transferred>>,
    /// How long it took, in seconds in JSON (to the millisecond).
    #[serde(default, with = "seconds")]
    pub duration: Duration,
    /// Whether the stage failed before its step was begun, such as in its guard: there is nothing to undo then.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub is_not_begun: bool,
    /// What the rollback did, where it was called for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rollback: Option<Box<RollbackReport>>,
}

/// How a stage ended on a host.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum StageStatus {
    /// The step succeeded.
    Done,
    /// It was not taken, and the host went on.
    Skipped(SkipReason),
    /// It failed, or was ended before its time.
    Failed,
    /// It was undone.
    RolledBack,
}

/// Why a stage was skipped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum SkipReason {
    /// The path of its guard `creates` was there.
    Creates,
    /// The command of its guard `unless` succeeded.
    Unless,
    /// The stage is `run_once`, and another host ran it.
    RunOnce,
}

/// What a rollback did.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct RollbackReport {
    /// The number of this attempt, which is no other attempt's at this stage on this host; 0 where none was begun.
    #[serde(default)]
    pub attempt: u32,
    /// Why it failed; `None` when it succeeded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure: Option<String>,
    /// What it wrote, standard output before standard error.
    #[serde(default, skip_serializing_if = "Captured::is_empty")]
    pub output: Captured,
}

/// Why a host stopped.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Failure {
    /// What kind of thing went wrong.
    pub kind: ErrorKind,
    /// The stage it went wrong in; `None` between stages, as when a connection cannot be made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stage: Option<String>,
    /// One sentence.
    pub message: String,
    /// What was behind it, without anything that differs from host to host.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cause: Option<String>,
}

impl Report {
    pub(crate) fn new(run: String, plan: &crate::Plan, files: BTreeMap<String, String>) -> Self {
        let now = Timestamp::now();
        Self {
            format: FORMAT,
            run_id: run,
            plan_name: plan.name.clone(),
            plan_digest: plan.digest(),
            files,
            started: now,
            finished: now,
            ending: Ending::Completed,
            stages: plan.stages.iter().map(|stage| stage.name.clone()).collect(),
            warnings: Vec::new(),
            hosts: Vec::new(),
        }
    }

    /// Whether every host finished the plan.
    pub fn is_success(&self) -> bool {
        self.hosts.iter().all(HostReport::is_success)
    }

    /// The hosts that finished the plan.
    pub fn succeeded(&self) -> HostSet {
        self.hosts
            .iter()
            .filter(|host| host.is_success())
            .map(|host| host.name.as_str())
            .collect()
    }

    /// The hosts that did not finish the plan.
    pub fn failed(&self) -> HostSet {
        self.hosts
            .iter()
            .filter(|host| !host.is_success())
            .map(|host| host.name.as_str())
            .collect()
    }

    /// What happened on a host.
    pub fn host(&self, name: &str) -> Option<&HostReport> {
        self.hosts.iter().find(|host| host.name == name)
    }

    /// What the hosts said in a stage, with hosts of the same answer together.
    pub fn gather(&self, stage: &str) -> Gathered {
        Gathered::new(self, stage)
    }

    /// The hosts by the kind of their failure; `None` stands for success.
    pub fn outcomes(&self) -> BTreeMap<Option<ErrorKind>, HostSet> {
        let mut outcomes: BTreeMap<Option<ErrorKind>, Vec<&str>> = BTreeMap::new();
        for host in &self.hosts {
            outcomes
                .entry(host.failure.as_ref().map(|failure| failure.kind))
                .or_default()
                .push(&host.name);
        }
        outcomes
            .into_iter()
            .map(|(kind, hosts)| (kind, hosts.into_iter().collect()))
            .collect()
    }
}

impl Report {
    /// How it ended, in one line.
    pub(crate) fn headline(&self) -> String {
        let ending = match self.ending {
            Ending::Completed => "",
            Ending::Stopped => ", stopped",
            Ending::Cancelled => ", cancelled",
            Ending::Aborted => ", aborted",
            Ending::Interrupted => ", interrupted",
        };
        format!(
            "{}: {} of {} hosts succeeded{ending}",
            Printable(&self.plan_name),
            self.succeeded().len(),
            self.hosts.len()
        )
    }
}

/// A table of outcomes: how many hosts and which; then what needs a look: rollbacks that failed, remote processes whose
/// end was not confirmed, and warnings.
impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.headline())?;
        for (kind, hosts) in self.outcomes() {
            let name = kind.map_or("succeeded".to_owned(), |kind| kind.to_string());
            let names = hosts.to_string();
            let names = Printable(&names);
            write!(f, "\n  {name:<16} {:>6}  {names}", hosts.len())?;
        }
        for host in &self.hosts {
            let name = Printable(&host.name);
            for (stage, report) in self.stages.iter().zip(&host.stages) {
                if let Some(why) = report
                    .rollback
                    .as_ref()
                    .and_then(|rollback| rollback.failure.as_ref())
                {
                    let (stage, why) = (Printable(stage), Printable(why));
                    write!(
                        f,
                        "\n  {name}: the rollback of stage `{stage}` failed: {why}"
                    )?;
                }
            }
            if let Some(end @ Termination::Unconfirmed(_)) = &host.termination {
                write!(f, "\n  {name}: {}", Printable(&end.to_string()))?;
            }
        }
        for warning in &self.warnings {
            write!(f, "\n  {}", Printable(warning))?;
        }
        Ok(())
    }
}

impl HostReport {
    pub(crate) fn new(host: &str) -> Self {
        Self {
            name: host.to_owned(),
            failure: None,
            connection_attempts: 0,
            attempts: Vec::new(),
            stages: Vec::new(),
            termination: None,
            leftover: None,
        }
    }

    /// Whether the host finished the plan.
    pub fn is_success(&self) -> bool {
        self.failure.is_none()
    }

    /// How many times a stage was begun.
    pub(crate) fn attempts(&self, position: usize) -> u32 {
        self.attempts.get(position).copied().unwrap_or(0)
    }

    /// Forgets how the host came to its end, and the stages from this one on: it starts there. What may still run is not
    /// forgotten.
    pub(crate) fn start_over(&mut self, start: usize) {
        self.stages.truncate(start);
        self.failure = None;
        if self.leftover.is_none() {
            self.termination = None;
        }
    }

    /// Counts another attempt at a stage.
    pub(crate) fn begin_attempt(&mut self, position: usize) -> u32 {
        if self.attempts.len() <= position {
            self.attempts.resize(position + 1, 0);
        }
        self.attempts[position] += 1;
        self.attempts[position]
    }

    /// The place of the first stage that is not finished: where a retry goes on.
    pub fn first_unfinished(&self) -> usize {
        self.stages
            .iter()
            .position(|stage| !stage.is_finished())
            .unwrap_or(self.stages.len())
    }
}

impl StageReport {
    pub(crate) fn new(attempt: u32) -> Self {
        Self {
            status: StageStatus::Failed,
            attempt,
            exit: None,
            stdout: Captured::default(),
            stderr: Captured::default(),
            transferred: None,
            duration: Duration::ZERO,
            is_not_begun: false,
            rollback: None,
        }
    }

    /// Reports keep milliseconds, so that they read back as they were.
    pub(crate) fn set_duration(&mut self, duration: Duration) {
        self.duration = Duration::from_millis(duration.as_millis() as u64);
    }

    /// Whether the stage is behind the host: it succeeded or was skipped, and nobody has tried to undo it since. After
    /// a rollback, also one that failed, nothing is known of what the stage had done.
    pub fn is_finished(&self) -> bool {
        matches!(self.status, StageStatus::Done | StageStatus::Skipped(_))
            && self.rollback.is_none()
    }
}

impl Failure {
    pub(crate) fn new(error: &Error, stage: Option<&str>) -> Box<Self> {
        let mut cause = None;
        let mut source = std::error::Error::source(error);
        // What is about a jump host names it first.
        while let Some(deeper) = source.filter(|_| error.jump_host().is_none()) {
            cause = Some(deeper.to_string());
            source = deeper.source();
        }
        Box::new(Self {
            kind: error.kind(),
            stage: stage.map(Into::into),
            message: error.full_message(),
            cause,
        })
    }

    /// The cause where one is known, else the message.
    fn summary(&self) -> &str {
        self.cause.as_deref().unwrap_or(&self.message)
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.stage {
            Some(stage) => write!(
                f,
                "stage `{}`: {}",
                Printable(stage),
                Printable(&self.message)
            ),
            None => Printable(&self.message).fmt(f),
        }
    }
}

impl fmt::Display for SkipReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Creates => "the path is there",
            Self::Unless => "the guard succeeded",
            Self::RunOnce => "another host ran it",
        })
    }
}

fn format_version<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<u32, D::Error> {
    match u32::deserialize(deserializer)? {
        FORMAT => Ok(FORMAT),
        other => {
            let message = format_args!("report format {other}; this version reads format {FORMAT}");
            Err(serde::de::Error::custom(message))
        }
    }
}

/// A span in seconds, to the millisecond.
mod seconds {
    use std::time::Duration;

    use serde::{Deserialize as _, Deserializer, Serializer};

    pub(super) fn serialize<S: Serializer>(
        span: &Duration,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        serializer.serialize_f64(span.as_millis() as f64 / 1000.0)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Duration, D::Error> {
        let seconds = f64::deserialize(deserializer)?;
        Duration::try_from_secs_f64(seconds).map_err(|error| {
            serde::de::Error::custom(format_args!("`duration` is {seconds} seconds: {error}"))
        })
    }
}
