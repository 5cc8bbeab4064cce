//! What to do on every host: a plan of stages, as plain data.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use data_encoding::HEXLOWER;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::template::is_name;
use crate::{Error, ErrorKind, Result, RunAs, TransferOptions};

/// The version of a plan's serialised form that this version of the crate writes and reads.
const FORMAT: u32 = 1;

/// Longer deadlines are slips, and do not survive their serialised form.
const LONGEST_DEADLINE: Duration = Duration::from_secs(366 * 24 * 3600);

/// Ordered stages to carry out on every host of a fleet.
///
/// A plan is plain data: it can be stored, sent to another process and continued there. In words, paths and environment
/// values `{{name}}` stands for the target's variable of that name (`host` and `address` are always there); a shell line
/// and a script's text are sent unchanged. Secrets are named, never held.
///
/// ```
/// use std::time::Duration;
/// use clusterops_ssh::plan::{Plan, Stage, Step};
///
/// let plan = Plan::new("deploy 1.4")
///     .stage(Stage::command("preflight", ["test", "-d", "/opt"]).deadline(Duration::from_secs(30)).barrier())
///     .stage(Stage::upload("unpack", "app-{{version}}.tar", "/opt/app.tar").mode(0o644))
///     .stage(Stage::script("start", "deploy.sh").env("ZONE", "{{zone}}").rollback(Step::command(["systemctl", "stop", "app"])));
/// plan.validate()?;
///
/// let stored = serde_json::to_string(&plan).expect("a plan is plain data");
/// assert_eq!(serde_json::from_str::<Plan>(&stored).expect("and reads back"), plan);
/// # Ok::<(), clusterops_ssh::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Plan {
    #[serde(deserialize_with = "format_version")]
    format: u32,
    /// What people call it.
    pub name: String,
    /// The stages, in order.
    pub stages: Vec<Stage>,
    /// When stages that a host began are rolled back.
    #[serde(default)]
    pub rollback_when: RollbackWhen,
}

/// When the [rollbacks](Stage::rollback) of the stages that a host began are carried out, last stage first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum RollbackWhen {
    /// On a host that fails, and on all hosts when the run is aborted.
    #[default]
    FailedOrAborted,
    /// On a host that fails.
    Failed,
    /// On all hosts when the run is aborted.
    Aborted,
}

/// One stage of a plan: a [`Step`], and the terms on which it is taken.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Stage {
    /// The name that events, reports and [`gather`](crate::report::Report::gather) use; unique in the plan.
    pub name: String,
    /// What is done.
    pub step: Step,
    /// How long it may take on one host; without one,
    /// [`SessionOptions::command_deadline`](crate::SessionOptions::command_deadline).
    #[serde(default, skip_serializing_if = "Option::is_none", with = "seconds")]
    pub deadline: Option<Duration>,
    /// Environment variables.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub env: BTreeMap<String, String>,
    /// Environment variables whose values are secrets, by the name under which [`Credentials`](crate::Credentials) are
    /// asked for them.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub secret_env: BTreeMap<String, String>,
    /// The working directory; without one, the login directory.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub current_dir: Option<String>,
    /// As whom commands and scripts run, the guards and the rollback among them; without it, as the target's inventory
    /// says (Ansible's `ansible_become`), or else as the login user. The password is the inventory's
    /// (`ansible_become_password`), or [`Credentials`](crate::Credentials) are asked for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run_as: Option<RunAs>,
    /// Whether the step's command gets a terminal; see [`Command::pty`](crate::Command::pty).
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub pty: bool,
    /// The exit statuses that count as success.
    #[serde(default = "zero", skip_serializing_if = "is_zero")]
    pub success: Vec<u32>,
    /// The stage is skipped where this path exists.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub creates: Option<String>,
    /// The stage is skipped where this command exits with status 0.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub unless: Vec<String>,
    /// Only the first host takes the step; the others wait for it and go on when it succeeded.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub run_once: bool,
    /// No host starts the next stage before every host has finished this one or failed.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub barrier: bool,
    /// What undoes the stage.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rollback: Option<Step>,
    /// A setting that does not go with the step and has no field there, for `validate` to name. Such a stage has no
    /// serialised form, which would lose it.
    #[serde(
        skip_deserializing,
        skip_serializing_if = "Option::is_none",
        serialize_with = "misused"
    )]
    misused: Option<&'static str>,
}

/// What a stage does on a host.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
#[non_exhaustive]
pub enum Step {
    /// Runs a program with arguments; no shell looks at them.
    Command {
        /// The program and its arguments.
        words: Vec<String>,
    },
    /// Runs a line in `/bin/sh`, unchanged.
    Shell {
        /// The line.
        line: String,
    },
    /// Copies a local file; it appears on the host under its name only when it is complete.
    Upload {
        /// The local file.
        source: PathBuf,
        /// The path on the host.
        destination: String,
        /// How it is transferred.
        #[serde(default, skip_serializing_if = "is_default")]
        options: TransferOptions,
    },
    /// Copies what a local folder holds into a folder on the host, which is made where it is not there. The
    /// [module](crate::transfer) says what becomes of links.
    UploadTree {
        /// The local folder.
        source: PathBuf,
        /// The folder on the host.
        destination: String,
        /// How it is transferred.
        #[serde(default, skip_serializing_if = "is_default")]
        options: TransferOptions,
    },
    /// Fetches a file, or a folder with all that is in it, into a local folder that has a folder for each host:
    /// `DESTINATION/HOST/NAME`, where `NAME` is the last part of the path on the host. In a target's name every byte
    /// outside `A-Z a-z 0-9 . _ - @ : [ ]`, and a dot at its start, is written as `%XX`. Where a plan has several, none may
    /// come to the place of another of the same host, or into it.
    Fetch {
        /// The file or folder on the host.
        source: String,
        /// The local folder, which is made where it is not there.
        destination: PathBuf,
        /// How it is transferred.
        #[serde(default, skip_serializing_if = "is_default")]
        options: TransferOptions,
    },
    /// Runs a local script on the host and leaves nothing of it behind.
    Script {
        /// The local file with the script's text.
        source: PathBuf,
        /// The interpreter and its options.
        #[serde(default = "shell")]
        interpreter: Vec<String>,
        /// The script's arguments.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        arguments: Vec<String>,
    },
}

impl Plan {
    /// A plan without stages.
    pub fn new(name: impl Into<String>) -> Self {
        Self {
            format: FORMAT,
            name: name.into(),
            stages: Vec::new(),
            rollback_when: RollbackWhen::default(),
        }
    }

    /// Adds a stage behind the others.
    #[must_use]
    pub fn stage(mut self, stage: Stage) -> Self {
        self.stages.push(stage);
        self
    }

    /// Says when rollbacks are carried out.
    #[must_use]
    pub fn rollback_when(mut self, when: RollbackWhen) -> Self {
        self.rollback_when = when;
        self
    }

    /// The SHA-256 of the plan, in hexadecimal: what a report remembers of it.
    pub fn digest(&self) -> String {
        // Maps are ordered and every value is a number, a text or a list: the same plan gives the same bytes. Only a
        // path that is not UTF-8 and a setting that goes with no step have no JSON, and such a plan does not validate.
        let bytes = serde_json::to_vec(self).unwrap_or_else(|_| format!("{self:?}").into_bytes());
        HEXLOWER.encode(&Sha256::digest(bytes))
    }

    /// Checks what can be checked without hosts and files.
    ///
    /// # Errors
    /// [`ErrorKind::Plan`], naming the stage: no stages, a name twice, empty or with control characters, a step without
    /// words, a name that no environment variable can have, an exit status over 255, a setting that does not go with the
    /// step.
    pub fn validate(&self) -> Result<()> {
        let wrong = |message: String| Err(Error::new(ErrorKind::Plan, message));
        if self.name.chars().any(char::is_control) {
            return wrong(format!(
                "the plan's name {:?} holds control characters",
                self.name
            ));
        }
        if self.stages.is_empty() {
            return wrong(format!("the plan `{}` has no stages", self.name));
        }
        let mut names = std::collections::HashSet::new();
        for stage in &self.stages {
            let name = &stage.name;
            if name.trim().is_empty() || name.chars().any(char::is_control) {
                return wrong(format!(
                    "the stage name {name:?} is empty or holds control characters"
                ));
            }
            if !names.insert(name) {
                return wrong(format!("two stages are called `{name}`"));
            }
            if let Err(error) = stage.validate() {
                return wrong(format!("stage `{name}`: {}", error.message()));
            }
        }
        Ok(())
    }

    /// The place of a stage in the plan.
    pub fn position(&self, stage: &str) -> Option<usize> {
        self.stages
            .iter()
            .position(|candidate| candidate.name == stage)
    }
}

impl Stage {
    /// A stage of this name that takes this step.
    pub fn new(name: impl Into<String>, step: Step) -> Self {
        Self {
            name: name.into(),
            step,
            deadline: None,
            env: BTreeMap::new(),
            secret_env: BTreeMap::new(),
            current_dir: None,
            run_as: None,
            pty: false,
            success: zero(),
            creates: None,
            unless: Vec::new(),
            run_once: false,
            barrier: false,
            rollback: None,
            misused: None,
        }
    }

    /// A stage that runs a program with arguments.
    pub fn command(
        name: impl Into<String>,
        words: impl IntoIterator<Item = impl Into<String>>,
    ) -> Self {
        Self::new(name, Step::command(words))
    }

    /// A stage that runs a shell line, unchanged.
    pub fn shell(name: impl Into<String>, line: impl Into<String>) -> Self {
        Self::new(name, Step::shell(line))
    }

    /// A stage that copies a local file to a path on the host.
    ///
    /// The file is read before the first connection, for its digest in the report. Up to 4 MiB (and 16 MiB of all files
    /// together) it is kept in memory for all hosts; a larger one is read again while it is sent, once for all hosts that keep
    /// in step.
    pub fn upload(
        name: impl Into<String>,
        source: impl Into<PathBuf>,
        destination: impl Into<String>,
    ) -> Self {
        Self::new(name, Step::upload(source, destination))
    }

    /// A stage that copies what a local folder holds into a folder on the host.
    pub fn upload_tree(
        name: impl Into<String>,
        source: impl Into<PathBuf>,
        destination: impl Into<String>,
    ) -> Self {
        Self::new(name, Step::upload_tree(source, destination))
    }

    /// A stage that fetches a file or folder of the host into a local folder that has a folder for each host; see
    /// [`Step::Fetch`].
    pub fn fetch(
        name: impl Into<String>,
        source: impl Into<String>,
        destination: impl Into<PathBuf>,
    ) -> Self {
        Self::new(name, Step::fetch(source, destination))
    }

    /// A stage that runs a local script with `/bin/sh`; see [`interpreter`](Self::interpreter).
    pub fn script(name: impl Into<String>, source: impl Into<PathBuf>) -> Self {
        Self::new(name, Step::script(source))
    }

    /// Sets how long the stage may take on one host.
    #[must_use]
    pub fn deadline(mut self, deadline: Duration) -> Self {
        self.deadline = Some(deadline);
        self
    }

    /// Sets an environment variable.
    #[must_use]
    pub fn env(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.env.insert(name.into(), value.into());
        self
    }

    /// Sets an environment variable to the secret that [`Credentials`](crate::Credentials) give under the name `secret`.
    #[must_use]
    pub fn secret_env(mut self, name: impl Into<String>, secret: impl Into<String>) -> Self {
        self.secret_env.insert(name.into(), secret.into());
        self
    }

    /// Sets the working directory.
    #[must_use]
    pub fn current_dir(mut self, directory: impl Into<String>) -> Self {
        self.current_dir = Some(directory.into());
        self
    }

    /// Runs the stage's commands as another user. A file that is copied is always the login user's.
    #[must_use]
    pub fn run_as(mut self, run_as: RunAs) -> Self {
        self.run_as = Some(run_as);
        self
    }

    /// Gives the stage's command a terminal.
    #[must_use]
    pub fn pty(mut self) -> Self {
        self.pty = true;
        self
    }

    /// Sets the exit statuses that count as success, in place of 0.
    #[must_use]
    pub fn success(mut self, statuses: impl IntoIterator<Item = u32>) -> Self {
        self.success = statuses.into_iter().collect();
        self
    }

    /// Skips the stage where this path exists.
    #[must_use]
    pub fn creates(mut self, path: impl Into<String>) -> Self {
        self.creates = Some(path.into());
        self
    }

    /// Skips the stage where this command succeeds. One that a signal ends, or that ends without an exit status, says
    /// nothing: the stage then fails without taking its step. The same holds for [`creates`](Self::creates).
    #[must_use]
    pub fn unless(mut self, words: impl IntoIterator<Item = impl Into<String>>) -> Self {
        self.unless = words.into_iter().map(Into::into).collect();
        self
    }

    /// Takes the step on the first host only; the others wait for it and go on when it succeeded. As they rely on it, a later
    /// failure of that host undoes neither it nor what came before it; its own failure does, and an abort of the run, as the
    /// plan asks, unless hosts that the run leaves alone have it behind them.
    #[must_use]
    pub fn run_once(mut self) -> Self {
        self.run_once = true;
        self
    }

    /// Lets no host start the next stage before every host has finished this one or failed.
    #[must_use]
    pub fn barrier(mut self) -> Self {
        self.barrier = true;
        self
    }

    /// Sets what undoes the stage; see [`RollbackWhen`]. It runs with the stage's environment and working directory, where the
    /// stage's step was begun. What may still run of it, as after a lost connection, is ended first; where that cannot be made
    /// sure, nothing is undone, and the report says so. A transfer whose connection was lost ends with it.
    #[must_use]
    pub fn rollback(mut self, step: Step) -> Self {
        self.rollback = Some(step);
        self
    }

    /// Sets the mode of an uploaded file.
    #[must_use]
    pub fn mode(mut self, mode: u32) -> Self {
        match &mut self.step {
            Step::Upload { options, .. } => options.mode = Some(mode),
            _ => self.misused = Some("a mode goes with an upload"),
        }
        self
    }

    /// Sets how files are transferred; a [`mode`](Self::mode) set before is kept unless this has one.
    #[must_use]
    pub fn transfer(mut self, new: TransferOptions) -> Self {
        match &mut self.step {
            Step::Upload { options, .. }
            | Step::UploadTree { options, .. }
            | Step::Fetch { options, .. } => {
                let mode = new.mode.or(options.mode);
                *options = TransferOptions { mode, ..new };
            }
            _ => self.misused = Some("transfer options go with an upload or a fetch"),
        }
        self
    }

    /// Sets the interpreter of a script, with its options.
    #[must_use]
    pub fn interpreter(mut self, words: impl IntoIterator<Item = impl Into<String>>) -> Self {
        match &mut self.step {
            Step::Script { interpreter, .. } => {
                *interpreter = words.into_iter().map(Into::into).collect()
            }
            _ => self.misused = Some("an interpreter goes with a script"),
        }
        self
    }

    /// Sets the arguments of a script.
    #[must_use]
    pub fn arguments(mut self, words: impl IntoIterator<Item = impl Into<String>>) -> Self {
        match &mut self.step {
            Step::Script { arguments, .. } => {
                *arguments = words.into_iter().map(Into::into).collect()
            }
            _ => {
                self.misused = Some("arguments go with a script; a command has its own words");
            }
        }
        self
    }

    fn validate(&self) -> Result<()> {
        let wrong = |message: String| Err(Error::new(ErrorKind::Plan, message));
        if let Some(misused) = self.misused {
            return wrong(misused.into());
        }
        let mut steps = std::iter::once(&self.step).chain(&self.rollback);
        if self.run_as.is_some() && steps.any(Step::is_transfer) {
            let message = "a file is copied by the login user; move it in a stage of its own";
            return wrong(message.into());
        }
        if self.step.is_transfer() && self.pty {
            return wrong("a terminal goes with a command".into());
        }
        for (what, names) in [
            ("env", self.env.keys()),
            ("secret_env", self.secret_env.keys()),
        ] {
            for name in names {
                if !is_name(name) {
                    return wrong(format!(
                        "`{name}` is no name for an environment variable ({what})"
                    ));
                }
                if name.starts_with("CLUSTEROPS_") {
                    return wrong(format!(
                        "`{name}`: names that start with CLUSTEROPS_ are set by the run itself"
                    ));
                }
            }
        }
        if let Some(name) = self
            .env
            .keys()
            .find(|name| self.secret_env.contains_key(*name))
        {
            return wrong(format!("`{name}` stands both in env and in secret_env"));
        }
        if self.success.is_empty() {
            return wrong("no exit status counts as success".into());
        }
        if let Some(status) = self.success.iter().find(|status| **status > 255) {
            return wrong(format!(
                "`success` holds {status}, and an exit status is a number from 0 to 255"
            ));
        }
        if self.deadline.is_some_and(|deadline| deadline.is_zero()) {
            return wrong("the deadline is zero".into());
        }
        if self
            .deadline
            .is_some_and(|deadline| deadline > LONGEST_DEADLINE)
        {
            return wrong("the deadline is over a year; leave it out for the default".into());
        }
        if self.unless.first().is_some_and(String::is_empty) {
            return wrong("the guard `unless` has an empty first word".into());
        }
        if self.creates.as_ref().is_some_and(String::is_empty) {
            return wrong("the guard `creates` has an empty path".into());
        }
        if let Some(run_as) = &self.run_as {
            run_as.check()?;
        }
        self.step.validate()?;
        self.rollback.as_ref().map_or(Ok(()), Step::validate)
    }
}

impl Step {
    /// Runs a program with arguments.
    pub fn command(words: impl IntoIterator<Item = impl Into<String>>) -> Self {
        Self::Command {
            words: words.into_iter().map(Into::into).collect(),
        }
    }

    /// Runs a shell line, unchanged.
    pub fn shell(line: impl Into<String>) -> Self {
        Self::Shell { line: line.into() }
    }

    /// Copies a local file to a path on the host.
    pub fn upload(source: impl Into<PathBuf>, destination: impl Into<String>) -> Self {
        Self::Upload {
            source: source.into(),
            destination: destination.into(),
            options: TransferOptions::default(),
        }
    }

    /// Copies what a local folder holds into a folder on the host.
    pub fn upload_tree(source: impl Into<PathBuf>, destination: impl Into<String>) -> Self {
        Self::UploadTree {
            source: source.into(),
            destination: destination.into(),
            options: TransferOptions::default(),
        }
    }

    /// Fetches a file or folder into a local folder that has a folder for each host.
    pub fn fetch(source: impl Into<String>, destination: impl Into<PathBuf>) -> Self {
        Self::Fetch {
            source: source.into(),
            destination: destination.into(),
            options: TransferOptions::default(),
        }
    }

    /// Runs a local script with `/bin/sh`.
    pub fn script(source: impl Into<PathBuf>) -> Self {
        Self::Script {
            source: source.into(),
            interpreter: shell(),
            arguments: Vec::new(),
        }
    }

    /// Whether it copies files, which the login user does.
    pub(crate) fn is_transfer(&self) -> bool {
        match self {
            Self::Upload { .. } | Self::UploadTree { .. } | Self::Fetch { .. } => true,
            Self::Command { .. } | Self::Shell { .. } | Self::Script { .. } => false,
        }
    }

    /// The local file or folder it reads, before variables are filled in.
    pub(crate) fn source(&self) -> Option<&Path> {
        match self {
            Self::Upload { source, .. }
            | Self::UploadTree { source, .. }
            | Self::Script { source, .. } => Some(source),
            Self::Command { .. } | Self::Shell { .. } | Self::Fetch { .. } => None,
        }
    }

    pub(crate) fn validate(&self) -> Result<()> {
        let wrong = |message: &str| Err(Error::new(ErrorKind::Plan, message));
        match self {
            Self::Command { words } if words.first().is_none_or(String::is_empty) => {
                wrong("the command has no program")
            }
            Self::Shell { line } if line.trim().is_empty() => wrong("the shell line is empty"),
            Self::Upload { source: local, .. }
            | Self::UploadTree { source: local, .. }
            | Self::Script { source: local, .. }
            | Self::Fetch {
                destination: local, ..
            } if local.as_os_str().is_empty() => wrong("the local file has no name"),
            Self::Upload { source: local, .. }
            | Self::UploadTree { source: local, .. }
            | Self::Script { source: local, .. }
            | Self::Fetch {
                destination: local, ..
            } if local.to_str().is_none() => {
                wrong("the local file's name is not UTF-8, which a plan cannot hold")
            }
            Self::Upload { destination, .. }
                if destination.is_empty() || destination.ends_with('/') =>
            {
                wrong("the destination names no file")
            }
            Self::UploadTree { destination, .. } if destination.is_empty() => {
                wrong("the destination names no folder")
            }
            Self::Fetch { source, .. } if source.is_empty() => {
                wrong("the path on the host is empty")
            }
            Self::Upload { options, .. } if options.mode.is_some_and(|mode| mode > 0o7777) => {
                wrong("the mode has more than its twelve bits")
            }
            Self::UploadTree { options, .. } | Self::Fetch { options, .. }
                if options.mode.is_some() =>
            {
                wrong("a mode goes with an upload of one file")
            }
            Self::Script { interpreter, .. }
                if interpreter.first().is_none_or(String::is_empty) =>
            {
                wrong("the script has no interpreter")
            }
            _ => Ok(()),
        }
    }
}

fn shell() -> Vec<String> {
    vec!["/bin/sh".into()]
}

fn zero() -> Vec<u32> {
    vec![0]
}

fn is_default(options: &TransferOptions) -> bool {
    *options == TransferOptions::default()
}

fn misused<S: serde::Serializer>(what: &Option<&'static str>, _: S) -> Result<S::Ok, S::Error> {
    Err(serde::ser::Error::custom(what.unwrap_or_default()))
}

fn is_zero(statuses: &[u32]) -> bool {
    statuses == [0]
}

fn format_version<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<u32, D::Error> {
    match u32::deserialize(deserializer)? {
        FORMAT => Ok(FORMAT),
        other => Err(serde::de::Error::custom(format_args!(
            "plan format {other}; this version reads format {FORMAT}"
        ))),
    }
}

/// A span in seconds, with a fraction.
mod seconds {
    use std::time::Duration;

    use serde::{Deserialize as _, Deserializer, Serializer};

    #[expect(clippy::ref_option, reason = "the form that serde asks for")]
    pub(super) fn serialize<S: Serializer>(
        span: &Option<Duration>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        match span {
            Some(span) => serializer.serialize_f64(span.as_secs_f64()),
            None => serializer.serialize_none(),
        }
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Option<Duration>, D::Error> {
        let seconds = Option::<f64>::deserialize(deserializer)?;
        seconds
            .map(|seconds| {
                let deadline = Duration::try_from_secs_f64(seconds);
                deadline.map_err(|error| {
                    let message = format_args!("`deadline` is {seconds} seconds: {error}");
                    serde::de::Error::custom(message)
                })
            })
            .transpose()
    }
}
