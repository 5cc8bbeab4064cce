//! Many targets, and the terms on which they are worked on.

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use clusterops_core::{Printable, Target};
use serde::{Deserialize, Serialize};
use tokio::sync::mpsc::UnboundedSender;

use crate::journal::{Leftover, Store};
use crate::report::{HostReport, Report};
use crate::run::{self, Beginning, Prepared, Run};
use crate::{Bandwidth, Credentials, Error, ErrorKind, Plan, Result, Rollout, SessionOptions};

/// Many targets, and the terms on which plans are run on them.
///
/// ```no_run
/// # async fn example() -> clusterops_ssh::Result<()> {
/// use clusterops_core::Target;
/// use clusterops_ssh::{Fleet, plan::{Plan, Stage}};
///
/// let targets = ["web1", "web2"].map(|name| Target::new(name, format!("{name}.example.org")));
/// let fleet = Fleet::new(targets).parallelism(200);
/// let plan = Plan::new("look").stage(Stage::command("kernel", ["uname", "-r"]));
/// let mut report = fleet.run(&plan)?.await?;
/// println!("{}", report.gather("kernel"));
/// if !report.is_success() {
///     report = fleet.retry(&plan, &report)?.await?;
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone)]
pub struct Fleet {
    targets: Arc<[Target]>,
    options: FleetOptions,
}

#[derive(Debug, Clone)]
pub(crate) struct FleetOptions {
    pub(crate) parallelism: usize,
    pub(crate) session: SessionOptions,
    pub(crate) connect_retries: ConnectRetries,
    pub(crate) rollout: Rollout,
    pub(crate) host_deadline: Option<Duration>,
    pub(crate) run_deadline: Option<Duration>,
    pub(crate) credentials: Option<Arc<dyn Credentials>>,
    pub(crate) output_cap: usize,
    pub(crate) output_budget: usize,
    pub(crate) output_folder: Option<PathBuf>,
    pub(crate) bandwidth: Option<Bandwidth>,
    pub(crate) journal: Option<PathBuf>,
    pub(crate) leftover: Leftover,
    pub(crate) run_id: Option<String>,
    pub(crate) places: Arc<HashMap<PathBuf, PathBuf>>,
    pub(crate) ended: Option<UnboundedSender<HostReport>>,
}

/// How often a connection is tried, and how long the pauses between are.
///
/// Only errors that can pass are worth another try ([`Error::is_retryable`]): a host that cannot be reached, refuses,
/// takes too long or hangs up. A command is never run a second time by this.
///
/// A host that says that it has too many connections, or that it punishes us ([`ErrorKind::Overloaded`](crate::ErrorKind)),
/// is tried four times as often, with pauses that go on doubling: by default for one to three minutes, which outlasts the
/// shortest penalty that sshd carries out (15 s, PerSourcePenalties, sshd_config(5)), where others are given up after a few
/// seconds.
///
/// ```
/// use std::time::Duration;
/// use clusterops_ssh::ConnectRetries;
///
/// let retries = ConnectRetries::default().attempts(6).first_pause(Duration::from_millis(200));
/// ```
#[derive(Debug, Clone, Serialize, Deserialize)]
#[non_exhaustive]
pub struct ConnectRetries {
    /// How many times a connection is tried, and a quarter of how many times where the host has too many. Default: 4.
    pub attempts: u32,
    /// The pause after the first try; it doubles with each try, and is varied by up to a half in both directions, so
    /// that hosts that failed together do not come back together. Default: 500 ms.
    pub first_pause: Duration,
    /// The longest pause before it is varied. Default: 10 s.
    pub longest_pause: Duration,
}

impl Default for ConnectRetries {
    fn default() -> Self {
        Self {
            attempts: 4,
            first_pause: Duration::from_millis(500),
            longest_pause: Duration::from_secs(10),
        }
    }
}

impl ConnectRetries {
    /// Sets how many times a connection is tried; 1 is no retry.
    #[must_use]
    pub fn attempts(mut self, attempts: u32) -> Self {
        self.attempts = attempts;
        self
    }

    /// Sets the pause after the first try.
    #[must_use]
    pub fn first_pause(mut self, pause: Duration) -> Self {
        self.first_pause = pause;
        self
    }

    /// Sets the longest pause.
    #[must_use]
    pub fn longest_pause(mut self, pause: Duration) -> Self {
        self.longest_pause = pause;
        self
    }

    /// The pause after the `attempt`-th try.
    pub(crate) fn pause(&self, attempt: u32) -> Duration {
        let doublings = 2_u32.saturating_pow(attempt.saturating_sub(1));
        let pause = self
            .first_pause
            .saturating_mul(doublings)
            .min(self.longest_pause);
        let varied = pause.as_secs_f64() * (0.5 + fastrand::f64());
        Duration::try_from_secs_f64(varied).unwrap_or(Duration::MAX)
    }
}

impl Fleet {
    /// A fleet of these targets, at most 100 of which are worked on at once.
    pub fn new(targets: impl IntoIterator<Item = Target>) -> Self {
        let options = FleetOptions {
            parallelism: 100,
            session: SessionOptions::default(),
            connect_retries: ConnectRetries::default(),
            rollout: Rollout::default(),
            host_deadline: None,
            run_deadline: None,
            credentials: None,
            output_cap: 1 << 20,
            output_budget: 64 << 20,
            output_folder: None,
            bandwidth: None,
            journal: None,
            leftover: Leftover::default(),
            run_id: None,
            places: Arc::default(),
            ended: None,
        };
        Self {
            targets: targets.into_iter().collect(),
            options,
        }
    }

    /// Sets how many hosts are worked on at once. Hosts that wait for others do not count. The process's limit of open
    /// files (RLIMIT_NOFILE, getrlimit(2)) can make it less, of which the report [warns](crate::Report::warnings): a host
    /// that runs commands takes 2 of them, 3 with an [`output_folder`](Self::output_folder), 8 through a proxy command; one
    /// that is sent a folder takes 9, and one that something is fetched from 18, for it may be a folder. Where it has no
    /// room for a connection to every host, hosts that wait for others let theirs go, and connect again, of which the report
    /// warns too.
    #[must_use]
    pub fn parallelism(mut self, hosts: usize) -> Self {
        self.options.parallelism = hosts;
        self
    }

    /// Sets how connections are made.
    #[must_use]
    pub fn session(mut self, options: SessionOptions) -> Self {
        self.options.session = options;
        self
    }

    /// Sets how often a connection is tried.
    #[must_use]
    pub fn connect_retries(mut self, retries: ConnectRetries) -> Self {
        self.options.connect_retries = retries;
        self
    }

    /// Sets how runs spread over the hosts: batches, canaries, and how many hosts may fail.
    #[must_use]
    pub fn rollout(mut self, rollout: Rollout) -> Self {
        self.options.rollout = rollout;
        self
    }

    /// Sets how long a run may work on one host, from its first attempt to connect; the time in which the host waits
    /// for others does not count. A stage under way is then ended as by its own deadline. Rollbacks are not bound by it.
    #[must_use]
    pub fn host_deadline(mut self, deadline: Duration) -> Self {
        self.options.host_deadline = Some(deadline);
        self
    }

    /// Sets how long a run may take in all. It is then [cancelled](crate::Control::cancel).
    #[must_use]
    pub fn run_deadline(mut self, deadline: Duration) -> Self {
        self.options.run_deadline = Some(deadline);
        self
    }

    /// Sets who is asked for secrets: those of the plan, and what a login needs.
    #[must_use]
    pub fn credentials(mut self, credentials: Arc<dyn Credentials>) -> Self {
        self.options.credentials = Some(credentials);
        self
    }

    /// Sets how many bytes the report keeps of each output of each stage on each host; default 1 MiB.
    #[must_use]
    pub fn output_cap(mut self, bytes: usize) -> Self {
        self.options.output_cap = bytes;
        self
    }

    /// Sets how many bytes of output the report keeps in all; default 64 MiB.
    #[must_use]
    pub fn output_budget(mut self, bytes: usize) -> Self {
        self.options.output_budget = bytes;
        self
    }

    /// Also writes every output whole into this folder: `HOST/NN-STAGE.stdout` and `.stderr`, with
    /// the attempt before the ending from the second on, and `.rollback` for what a rollback wrote. A new run wants a folder
    /// that is empty or not there yet, so that no file in it is of another run; one that is retried or resumed goes on with
    /// the folder that it is given.
    #[must_use]
    pub fn output_folder(mut self, folder: impl Into<PathBuf>) -> Self {
        self.options.output_folder = Some(folder.into());
        self
    }

    /// Sets how fast files are transferred, all hosts together. What else holds a clone of the limit shares it too.
    #[must_use]
    pub fn bandwidth(mut self, limit: Bandwidth) -> Self {
        self.options.bandwidth = Some(limit);
        self
    }

    /// Keeps a [journal](crate::journal) of the run in this file, which must not be there yet: a run whose controller is
    /// killed can then be [resumed](Run::resume).
    #[must_use]
    pub fn journal(mut self, file: impl Into<PathBuf>) -> Self {
        self.options.journal = Some(file.into());
        self
    }

    /// Sets what a run that is [resumed](Self::resume) or [retried](Self::retry) does about processes of a stage that was under
    /// way, where nobody saw their end.
    #[must_use]
    pub fn leftover(mut self, leftover: Leftover) -> Self {
        self.options.leftover = leftover;
        self
    }

    /// Sets the id of new runs, which remote processes see as `CLUSTEROPS_RUN`: letters, digits, `-`, `_` and `.`, at most
    /// 64. Several controllers that share the work of one run give theirs the same id, and
    /// [one report](Report::merged) of them all has it. Without this each run has an id of its own.
    #[must_use]
    pub fn run_id(mut self, id: impl Into<String>) -> Self {
        self.options.run_id = Some(id.into());
        self
    }

    /// Reads local files and folders from other places: where a plan names the first path of a pair, the second is read.
    ///
    /// Plans, reports and journals go on naming the first, so a run can be continued where the files lie under their own
    /// names.
    #[must_use]
    pub fn places(mut self, places: impl IntoIterator<Item = (PathBuf, PathBuf)>) -> Self {
        self.options.places = Arc::new(places.into_iter().collect());
        self
    }

    /// Sends each host's report to this channel as soon as the host has come to its end, before the event that tells of it.
    /// A host that an abort undoes afterwards is sent again; one that had ended before a run was resumed, too. A run with a
    /// journal has a host's end on disk before it is sent, so who resumes the run finds it there.
    #[must_use]
    pub fn ended(mut self, reports: UnboundedSender<HostReport>) -> Self {
        self.options.ended = Some(reports);
        self
    }

    /// The targets.
    pub fn targets(&self) -> &[Target] {
        &self.targets
    }

    /// Starts a run of the plan.
    ///
    /// # Errors
    /// Before the first connection: a plan that does not [validate](Plan::validate), a variable that a target does not
    /// have, a local file that cannot be read, two targets of one name, a target whose name is empty or holds control
    /// characters, no targets at all, a parallelism of 0, no tokio runtime; a journal that is there already.
    pub fn run(&self, plan: &Plan) -> Result<Run> {
        self.start(plan, Beginning::New)
    }

    /// Starts a run that continues each failed host of a report at its first unfinished stage.
    ///
    /// A stage that was rolled back counts as unfinished, also when the rollback failed. Hosts that had finished, and
    /// hosts that are no targets of this fleet, are not touched and stand in the new report as they were, so that it
    /// tells about the whole fleet. Targets that the report does not know start at the first stage. Variables are those
    /// that the targets have now. What may still run on a host, since nobody saw its end, is waited for (within its stage's
    /// deadline) or ended first, as [`leftover`](Self::leftover) says.
    ///
    /// # Errors
    /// As [`run`](Self::run); and when the report is about another plan, or a failed host's variables now name a local file
    /// that was none of the run's. What one host runs for all and may still run is seen to first, so the run ends with an
    /// error where that host is no target, or is no canary where there are some. When a local file is not the one that was sent before, the run itself ends with an error
    /// before the first connection.
    pub fn retry(&self, plan: &Plan, report: &Report) -> Result<Run> {
        self.start(plan, Beginning::Retry(report.clone()))
    }

    /// Goes on with the run whose controller ended before it did, on the terms of this fleet, from its
    /// [journal](crate::journal), which is written on.
    ///
    /// Stages whose result the journal holds are not run again; hosts that had failed are not tried again ([`retry`](Self::retry)
    /// does that, with the report). The deadlines of the fleet count anew. Of a run that had come to its end this gives the
    /// report and does nothing, and needs no local file. [`Run::resume`] needs nothing but the file.
    ///
    /// # Errors
    /// [`ErrorKind::Journal`] when the file cannot be gone on with; [`ErrorKind::Plan`] when it is about another plan, or
    /// the targets are not what they were. When a local file is not the one that was sent before, the run itself ends with
    /// an error before the first connection.
    pub fn resume(&self, plan: &Plan, journal: impl AsRef<Path>) -> Result<Run> {
        let (store, known) = Store::open(journal.as_ref())?;
        if known.head.plan.digest() != plan.digest() {
            let message = format!(
                "the journal `{}` is about another plan (`{}`, digest {:.12}): give that one, or use `Run::resume`, which takes it from the journal",
                store.path().display(),
                Printable(&known.head.plan.name),
                known.head.plan.digest()
            );
            return Err(Error::new(ErrorKind::Plan, message));
        }
        known.check_targets(&self.targets)?;
        self.start(plan, Beginning::Resume(store, Box::new(known)))
    }

    /// Goes on with a run on the terms that its journal holds.
    pub(crate) fn resume_alone(journal: &Path) -> Result<Run> {
        let (store, known) = Store::open(journal)?;
        let mut fleet = Self::new(known.targets.iter().cloned());
        known.head.terms.clone().apply(&mut fleet.options);
        if known.head.terms.needs_passwords && !run::is_over(&known, &fleet.options) {
            let message = format!(
                "the targets of the journal `{}` came with passwords, which no journal holds: use `Fleet::resume`, with a fleet that has them",
                store.path().display()
            );
            return Err(Error::new(ErrorKind::Secret, message));
        }
        let plan = known.head.plan.clone();
        fleet.start(&plan, Beginning::Resume(store, Box::new(known)))
    }

    fn start(&self, plan: &Plan, beginning: Beginning) -> Result<Run> {
        self.check()?;
        Run::start(plan, Arc::clone(&self.targets), self.options(), beginning)
    }

    /// What each host would get, with variables filled in. Nothing is connected to.
    ///
    /// # Errors
    /// As [`run`](Self::run), but for the folder of outputs and the journal, which are not looked at.
    pub fn dry_run(&self, plan: &Plan) -> Result<DryRun> {
        self.check()?;
        run::check(plan, &self.targets, &self.options, |_| true)?;
        self.options.rollout.check(&self.targets)?;
        let hosts = self
            .targets
            .iter()
            .map(|target| Ok((target.name.clone(), run::prepare(plan, target)?)));
        Ok(DryRun {
            hosts: hosts.collect::<Result<_>>()?,
        })
    }

    /// The local files and folders that hosts would be sent, with their digests: what a report holds as its
    /// [`files`](Report::files). Reads them all. Blocks.
    ///
    /// # Errors
    /// As [`run`](Self::run), but for the folder of outputs and the journal, which are not looked at.
    pub fn local_files(&self, plan: &Plan) -> Result<BTreeMap<String, String>> {
        self.check()?;
        let steps = run::check(plan, &self.targets, &self.options, |_| true)?;
        self.options.rollout.check(&self.targets)?;
        run::digests(&steps, &self.options.places)
    }

    /// Whether this is a fleet that something can be run on.
    fn check(&self) -> Result<()> {
        let wrong = |message: String| Err(Error::new(ErrorKind::Plan, message));
        if self.options.parallelism == 0 {
            return wrong("a parallelism of 0 works on no host: set 1 or more".into());
        }
        let is_plain = |letter: char| letter.is_ascii_alphanumeric() || "-_.".contains(letter);
        let is_id = |id: &String| (1..=64).contains(&id.len()) && id.chars().all(is_plain);
        if let Some(id) = self.options.run_id.as_ref().filter(|id| !is_id(id)) {
            return wrong(format!(
                "the run id {id:?} is not made of letters, digits, `-`, `_` and `.`, 64 at most"
            ));
        }
        let is_wrong = |name: &str| name.trim().is_empty() || name.chars().any(char::is_control);
        match self.targets.iter().find(|target| is_wrong(&target.name)) {
            Some(target) => wrong(format!(
                "the target name {:?} (address {:?}) is empty or holds control characters",
                target.name, target.address
            )),
            None => Ok(()),
        }
    }

    pub(crate) fn options(&self) -> FleetOptions {
        let mut options = self.options.clone();
        if options.session.credentials.is_none() {
            options.session.credentials.clone_from(&options.credentials);
        }
        options
    }
}

/// What each host would get; see [`Fleet::dry_run`].
///
/// `Display` lists the stages, with hosts that get the same together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DryRun {
    hosts: Vec<(String, Vec<Prepared>)>,
}

impl DryRun {
    /// The hosts in the order of the targets, each with its stages.
    pub fn hosts(&self) -> impl Iterator<Item = (&str, &[Prepared])> {
        self.hosts
            .iter()
            .map(|(host, stages)| (host.as_str(), stages.as_slice()))
    }
}

impl fmt::Display for DryRun {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut by_text: Vec<(String, Vec<&str>)> = Vec::new();
        let mut places = std::collections::HashMap::new();
        for (host, stages) in &self.hosts {
            let text: String = stages.iter().map(|stage| format!("\n  {stage}")).collect();
            let place = *places.entry(text.clone()).or_insert_with(|| {
                by_text.push((text, Vec::new()));
                by_text.len() - 1
            });
            by_text[place].1.push(host);
        }
        for (index, (text, hosts)) in by_text.into_iter().enumerate() {
            let hosts: clusterops_core::hostset::HostSet = hosts.into_iter().collect();
            let line = if index == 0 { "" } else { "\n" };
            write!(f, "{line}{}:{text}", Printable(&hosts.to_string()))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_the_longest_and_vary_by_half() {
        let retries = ConnectRetries::default();
        for (attempt, middle) in [(1, 500), (2, 1000), (5, 8000), (6, 10_000), (100, 10_000)] {
            let middle = Duration::from_millis(middle);
            for _ in 0..100 {
                let pause = retries.pause(attempt);
                assert!(
                    pause >= middle.mul_f64(0.5) && pause < middle.mul_f64(1.5),
                    "{attempt}: {pause:?}"
                );
            }
        }
        let longest = retries
            .first_pause(Duration::MAX)
            .longest_pause(Duration::MAX);
        for attempt in 1..100 {
            assert!(longest.pause(attempt) >= Duration::MAX / 3);
        }
    }
}
