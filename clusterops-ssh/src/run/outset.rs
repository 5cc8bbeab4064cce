//! What is known of the hosts when a run begins: nothing, an earlier report, or what its journal holds.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::path::Path;
use std::sync::{Mutex, PoisonError};

use clusterops_core::hostset::HostSet;
use clusterops_core::{Printable, Target};

use super::gates::Progress;
use super::prepare;
use crate::journal::{Known, RecordedHost, RecordedMode, State, Store};
use crate::plan::{Stage, Step};
use crate::report::InFlight;
use crate::report::{Ending, HostReport, Report, SkipReason, StageReport, StageStatus};
use crate::{Error, ErrorKind, Plan, Result};

/// Where a run begins.
#[derive(Debug)]
pub(crate) enum Beginning {
    /// With nothing done yet.
    New,
    /// With the failed hosts of a report.
    Retry(Report),
    /// Where its journal ends.
    Resume(Store, Box<Known>),
}

/// The hosts as a run finds them.
#[derive(Debug, Default)]
pub(super) struct Outset {
    /// By their place among the targets.
    pub(super) hosts: Vec<Found>,
    /// Hosts that are no targets.
    pub(super) others: Vec<HostReport>,
    pub(super) in_flight: Leftovers,
    pub(super) mode: Option<RecordedMode>,
    /// Whether the run had come past its canaries.
    pub(super) is_past_canaries: bool,
    pub(super) is_resumed: bool,
    /// How the run had come to its end.
    pub(super) ending: Option<Ending>,
}

/// One host as a run finds it.
#[derive(Debug, Clone)]
pub(super) enum Found {
    /// It has nothing to do in this run.
    Adopted(Box<HostReport>),
    /// It came to its end in this run before.
    Ended(Box<HostReport>),
    /// It failed in this run before, and what is to be undone may not be undone yet.
    Failed(Box<HostReport>),
    /// It has begun in this run before, and goes on at its first unfinished stage.
    GoesOn(Box<HostReport>),
    /// It starts at its first unfinished stage.
    Starts(Option<Box<HostReport>>),
    /// The run had ended before its turn came.
    Left(Box<HostReport>),
}

/// The stages that were under way when the controller ended, by host; each to be seen to once.
#[derive(Debug, Default)]
pub(super) struct Leftovers(Mutex<HashMap<usize, InFlight>>);

impl Leftovers {
    pub(super) fn look(&self, host: usize) -> Option<InFlight> {
        self.lock().get(&host).cloned()
    }

    /// It is seen to.
    pub(super) fn take(&self, host: usize) {
        self.lock().remove(&host);
    }

    pub(super) fn is_empty(&self) -> bool {
        self.lock().is_empty()
    }

    pub(super) fn has(&self, host: usize) -> bool {
        self.lock().contains_key(&host)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<usize, InFlight>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Found {
    /// What is known of it.
    fn report(&self) -> Option<&HostReport> {
        match self {
            Self::Starts(None) => None,
            Self::Adopted(host)
            | Self::Ended(host)
            | Self::Failed(host)
            | Self::GoesOn(host)
            | Self::Left(host)
            | Self::Starts(Some(host)) => Some(host),
        }
    }
}

impl Outset {
    /// Nothing is known of any host.
    pub(super) fn new(targets: usize) -> Self {
        Self {
            hosts: vec![Found::Starts(None); targets],
            ..Self::default()
        }
    }

    /// Continues the failed hosts of a report, once it is sure that the same files would be sent.
    pub(super) fn retry(
        mut earlier: Report,
        plan: &Plan,
        canaries: &HostSet,
        targets: &[Target],
        files: &BTreeMap<String, String>,
    ) -> Result<Self> {
        same_files(&earlier.files, files, "report")?;
        let stages = plan.stages.len();
        for host in &mut earlier.hosts {
            let left = host.leftover.take();
            if left.as_ref().is_some_and(|left| !left.fits(stages)) {
                let message = "the report is damaged: what may still run is none of its stages";
                return Err(Error::new(ErrorKind::Plan, message).on(&host.name));
            }
            host.leftover = left.map(|left| Box::new(left.for_later()));
        }
        let names: HashSet<&str> = targets.iter().map(|target| target.name.as_str()).collect();
        let (known, others): (Vec<_>, Vec<_>) = earlier
            .hosts
            .into_iter()
            .partition(|host| names.contains(host.name.as_str()));
        let may_run = |host: &HostReport| {
            let stage = &plan.stages[host.leftover.as_deref()?.stage];
            let (name, stage_name) = (Printable(&host.name).to_string(), &stage.name);
            let message =
                format!("{name} may still run stage `{stage_name}`, which one host runs for all");
            stage.run_once.then_some(message)
        };
        let wrong = |message: String| Err(Error::new(ErrorKind::Plan, message));
        if let Some(message) = others.iter().find_map(may_run) {
            return wrong(format!(
                "{message}: have it among the targets, so that its end is seen"
            ));
        }
        // It comes before all others.
        let is_no_canary =
            |host: &&HostReport| !canaries.is_empty() && !canaries.contains(&host.name);
        if let Some(message) = known.iter().filter(is_no_canary).find_map(may_run) {
            return wrong(format!(
                "{message}: make it a canary, so that its end is seen first"
            ));
        }
        let undone: Vec<usize> = (0..stages)
            .filter(|position| {
                ran_for_others(*position, known.iter().chain(&others)) == Some(false)
            })
            .collect();
        let mut known: HashMap<String, HostReport> = known
            .into_iter()
            .map(|mut host| {
                if !host.is_success() {
                    let waits = |position: &&usize| host.stages.len() > **position;
                    if let Some(position) = undone.iter().find(waits) {
                        host.stages.truncate(*position);
                    }
                }
                (host.name.clone(), host)
            })
            .collect();
        let found = |target: &Target| match known.remove(&target.name) {
            Some(host) if host.is_success() => Found::Adopted(host.into()),
            host => Found::Starts(host.map(Box::new)),
        };
        Ok(Self {
            hosts: targets.iter().map(found).collect(),
            others,
            ..Self::default()
        })
    }

    /// Goes on where a journal ends, once it is sure that the same files would be sent.
    pub(super) fn resume(
        known: Known,
        files: &BTreeMap<String, String>,
        is_canary: impl Fn(&str) -> bool,
    ) -> Result<Self> {
        same_files(&known.head.files, files, "journal")?;
        let has_begun =
            |host: &RecordedHost| !matches!(host.state, State::Adopted | State::Waiting);
        let is_past_canaries = known
            .hosts
            .iter()
            .any(|host| has_begun(host) && !is_canary(&host.report.name));
        let mut in_flight = HashMap::new();
        let hosts = known.hosts.into_iter().enumerate().map(|(place, host)| {
            if let Some(left) = host.in_flight {
                in_flight.insert(place, left);
            }
            let (state, mut report) = (host.state, Box::new(host.report));
            // What is under way is known better.
            let others = report
                .leftover
                .take()
                .filter(|_| !in_flight.contains_key(&place));
            report.leftover = others.map(|left| Box::new(left.for_later()));
            match state {
                State::Adopted => Found::Adopted(report),
                State::Ended => Found::Ended(report),
                State::Left => Found::Left(report),
                State::Open if report.failure.is_some() => Found::Failed(report),
                State::Open => Found::GoesOn(report),
                State::Waiting => Found::Starts(Some(report)),
            }
        });
        Ok(Self {
            hosts: hosts.collect(),
            others: known.others,
            in_flight: Leftovers(Mutex::new(in_flight)),
            mode: known.mode,
            is_past_canaries,
            is_resumed: true,
            ending: known.ending.filter(|ending| *ending != Ending::Interrupted),
        })
    }

    /// Which of so many stages hosts have behind them that have nothing to do in this run, or are no targets.
    pub(super) fn relied_on(&self, stages: usize) -> Vec<bool> {
        let adopted = self.hosts.iter().filter_map(|found| match found {
            Found::Adopted(host) => Some(&**host),
            _ => None,
        });
        let alone: Vec<&HostReport> = adopted.chain(&self.others).collect();
        let is_behind = |position: usize| {
            let mut reports = alone.iter().filter_map(|host| host.stages.get(position));
            reports.any(StageReport::is_finished)
        };
        (0..stages).map(is_behind).collect()
    }

    /// The hosts of this run with the stage that each starts at, ended ones too: batches are dealt from the same hosts
    /// however often the run is resumed.
    pub(super) fn dealt(&self) -> Vec<(usize, usize)> {
        let hosts = self.hosts.iter().enumerate();
        hosts
            .filter_map(|(place, found)| match found {
                Found::Adopted(_) => None,
                Found::Ended(host)
                | Found::Failed(host)
                | Found::GoesOn(host)
                | Found::Left(host) => Some((place, host.first_unfinished())),
                Found::Starts(host) => {
                    let start = host.as_ref().map_or(0, |host| host.first_unfinished());
                    Some((place, start))
                }
            })
            .collect()
    }

    /// The hosts that have failed in this run before, by their place: those that were counted then.
    pub(super) fn failed(&self) -> impl Iterator<Item = usize> {
        let hosts = self.hosts.iter().enumerate();
        hosts.filter_map(|(place, found)| match found {
            Found::Ended(host) | Found::Failed(host) => {
                let kind = host.failure.as_ref()?.kind;
                (kind != ErrorKind::Cancelled).then_some(place)
            }
            Found::Adopted(_) | Found::GoesOn(_) | Found::Starts(_) | Found::Left(_) => None,
        })
    }

    /// How far a `run_once` stage has come, where these stages were under way.
    pub(super) fn progress(
        &self,
        position: usize,
        stage: &Stage,
        in_flight: &Leftovers,
    ) -> Progress {
        let has_run = |report: &StageReport| {
            report.is_finished() && report.status != StageStatus::Skipped(SkipReason::RunOnce)
        };
        // A host that is no target any more may be the one that ran it for all.
        let mut others = self.others.iter();
        if others.any(|host| host.stages.get(position).is_some_and(has_run)) {
            return Progress::Succeeded;
        }
        let mut failed = None;
        let mut begun = None;
        for (place, found) in self.hosts.iter().enumerate() {
            let Some(host) = found.report() else {
                continue;
            };
            // Also what undoes it is seen to there before it is taken again.
            let is_left = |left: &InFlight| left.stage == position;
            if host.leftover.as_deref().is_some_and(is_left)
                && matches!(found, Found::GoesOn(_) | Found::Starts(_))
            {
                begun = Some(place);
                continue;
            }
            let Some(report) = host.stages.get(position) else {
                continue;
            };
            let is_under_way = |left: InFlight| left.stage == position && !left.is_rollback;
            if in_flight.look(place).is_some_and(is_under_way) {
                match found {
                    Found::GoesOn(_) | Found::Starts(_) => begun = Some(place),
                    _ => failed = Some(place),
                }
                continue;
            }
            let was_here = report.status != StageStatus::Skipped(SkipReason::RunOnce);
            if has_run(report) {
                return Progress::Succeeded;
            }
            // A run that is retried does a stage again that was undone; one that goes on has it behind it.
            let Some(failure) = host.failure.as_ref().filter(|_| self.is_resumed) else {
                continue;
            };
            if failure.stage.as_ref() == Some(&stage.name) {
                failed = Some(place);
            } else if was_here {
                return Progress::Succeeded;
            }
        }
        match (begun, failed) {
            (Some(host), _) => Progress::Begun(host),
            (None, Some(host)) => Progress::FailedOn(host),
            (None, None) if self.is_behind(position) => Progress::Succeeded,
            (None, None) => Progress::Open,
        }
    }

    /// Whether another host ran a stage for those that have it behind them, and nobody has undone it.
    fn is_behind(&self, position: usize) -> bool {
        let hosts = self.hosts.iter().filter_map(Found::report);
        ran_for_others(position, hosts.chain(&self.others)) == Some(true)
    }

    /// What a journal is told of each target's host when the run begins.
    pub(super) fn recorded<'a>(
        &'a self,
        targets: &'a [Target],
    ) -> impl Iterator<Item = (HostReport, State)> + 'a {
        let hosts = self.hosts.iter().zip(targets);
        hosts.map(|(found, target)| match found {
            Found::Adopted(host) | Found::Ended(host) => (HostReport::clone(host), State::Adopted),
            Found::Failed(host)
            | Found::GoesOn(host)
            | Found::Left(host)
            | Found::Starts(Some(host)) => {
                let mut host = HostReport::clone(host);
                // Whether the stage at which it goes on was begun before stays known.
                host.start_over(host.first_unfinished() + 1);
                (host, State::Waiting)
            }
            Found::Starts(None) => (HostReport::new(&target.name), State::Waiting),
        })
    }
}

/// Whether a stage that one host ran for others stands, as far as they show it; `None` where it was run for nobody.
fn ran_for_others<'a>(
    position: usize,
    hosts: impl Iterator<Item = &'a HostReport> + Clone,
) -> Option<bool> {
    let reports = hosts.filter_map(|host| host.stages.get(position));
    let is_for_others =
        |report: &StageReport| report.status == StageStatus::Skipped(SkipReason::RunOnce);
    let is_own = |report: &&StageReport| !is_for_others(report);
    let mut own = reports.clone().filter(is_own).peekable();
    // Who ran it may begin before it by now, and not show it any more.
    let stands = own.peek().is_none() || own.any(StageReport::is_finished);
    reports.clone().any(is_for_others).then_some(stands)
}

/// Whether the local files are those that were sent before.
fn same_files(
    then: &BTreeMap<String, String>,
    now: &BTreeMap<String, String>,
    what: &str,
) -> Result<()> {
    for (path, digest) in then {
        if now.get(path).is_some_and(|now| now != digest) {
            let message = format!(
                "the local file `{path}` is not the one that the {what} is about: start a new run"
            );
            return Err(Error::new(ErrorKind::Plan, message));
        }
    }
    Ok(())
}

/// Whether a report is about this plan.
pub(super) fn same_plan(earlier: &Report, plan: &Plan) -> Result<()> {
    if earlier.plan_digest == plan.digest() {
        return Ok(());
    }
    let message = format!(
        "the report is about another plan (`{}`, digest {:.12}): retry it with that one, or start a new run",
        Printable(&earlier.plan_name),
        earlier.plan_digest
    );
    Err(Error::new(ErrorKind::Plan, message))
}

/// Whether the local files of the hosts that go on are among those of the report: the variables that name them may have
/// changed since.
pub(super) fn same_sources(earlier: &Report, plan: &Plan, targets: &[Target]) -> Result<()> {
    let depends_on_host = |step: &Step| {
        let source = step.source().map(Path::to_string_lossy);
        source.is_some_and(|source| source.contains("{{"))
    };
    let mut steps = plan
        .stages
        .iter()
        .flat_map(|stage| std::iter::once(&stage.step).chain(&stage.rollback));
    // A run that was ended before it began has read none.
    if earlier.files.is_empty() || !steps.any(depends_on_host) {
        return Ok(());
    }
    let failed = earlier.hosts.iter().filter(|host| !host.is_success());
    let failed: HashSet<&str> = failed.map(|host| host.name.as_str()).collect();
    let goes_on = |target: &&Target| failed.contains(target.name.as_str());
    for target in targets.iter().filter(goes_on) {
        for prepared in prepare(plan, target)? {
            for source in prepared.sources().filter_map(Step::source) {
                if earlier.files.contains_key(&*source.to_string_lossy()) {
                    continue;
                }
                let message = format!(
                    "stage `{}` has the local file `{}`, which is none of those that the report is about: give the host the variables that it had, or start a new run",
                    prepared.stage,
                    source.display()
                );
                return Err(Error::new(ErrorKind::Plan, message).on(&target.name));
            }
        }
    }
    Ok(())
}
