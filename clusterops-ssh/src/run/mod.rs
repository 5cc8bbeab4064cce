//! One execution of a plan over a fleet.

mod control;
mod crew;
mod files;
mod gates;
mod host;
mod output;
mod prepare;
mod step;

use std::collections::hash_map::Entry;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use clusterops_core::Target;
use jiff::Timestamp;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::{self, JoinHandle};

pub use self::control::Control;
use self::control::{Mode, Watch};
use self::crew::Crew;
use self::files::Files;
use self::gates::Gates;
use self::host::HostRun;
use self::output::{Budget, Folder};
pub use self::prepare::Prepared;
use crate::event::{Board, Events, HostState, RunState};
use crate::fleet::{FleetOptions, Limits};
use crate::plan::{RollbackWhen, Step};
use crate::report::{Ending, HostReport, Report, SkipReason, StageStatus};
use crate::session::Connector;
use crate::{Error, ErrorKind, Plan, Result};

/// A run that goes on: await it for its [`Report`].
///
/// `Err` means that the run itself could not go on; a host that fails is told in the report. Dropping a run asks it to
/// cancel and does not wait for that; [`control`](Self::control) and awaiting the report do.
///
/// ```no_run
/// # async fn example(fleet: clusterops_ssh::Fleet, plan: clusterops_ssh::Plan) -> clusterops_ssh::Result<()> {
/// let mut run = fleet.run(&plan)?;
/// let mut events = run.events();
/// while let Some(event) = events.next().await {
///     println!("{event:?}");
/// }
/// let report = run.await?;
/// println!("{report}");
/// # Ok(())
/// # }
/// ```
#[must_use = "a run that is dropped is cancelled"]
pub struct Run {
    id: String,
    task: JoinHandle<Result<Report>>,
    board: Arc<Board>,
    control: Control,
    events_taken: bool,
}

/// What all hosts of a run share.
#[derive(Debug)]
struct Shared {
    id: String,
    plan: Plan,
    targets: Arc<[Target]>,
    options: FleetOptions,
    connector: Connector,
    board: Arc<Board>,
    gates: Gates,
    permits: Arc<Semaphore>,
    /// Whether hosts keep their connection while they wait for others.
    keep_connections: bool,
    files: Files,
    budget: Budget,
    folder: Option<Folder>,
}

impl Run {
    /// Validates, then spawns. `earlier` holds what is known of each target's host from a report that is continued.
    pub(crate) fn start(
        plan: &Plan,
        targets: Arc<[Target]>,
        options: FleetOptions,
        earlier: Option<Report>,
    ) -> Result<Self> {
        let runtime = tokio::runtime::Handle::try_current().map_err(|_| {
            Error::new(
                ErrorKind::Local,
                "a run needs a tokio runtime: call this inside of one",
            )
        })?;
        let steps = check(plan, &targets)?;
        if let Some(earlier) = &earlier
            && earlier.plan_digest != plan.digest()
        {
            let message = format!(
                "the report is about another plan (`{}`, digest {:.12})",
                earlier.plan_name, earlier.plan_digest
            );
            return Err(Error::new(ErrorKind::Plan, message));
        }
        let folder = options
            .output_folder
            .as_deref()
            .map(Folder::create)
            .transpose()?;
        let id = format!(
            "{}-{:08x}",
            Timestamp::now().strftime("%Y%m%dT%H%M%SZ"),
            fastrand::u32(..)
        );
        let stages = plan.stages.iter().map(|stage| stage.name.as_str());
        let board = Arc::new(Board::new(
            targets.iter().map(|target| target.name.as_str()),
            stages,
        ));
        let control = Control::new(Arc::clone(&board));
        let watch = control.watch();
        let setup = Setup {
            id: id.clone(),
            plan: plan.clone(),
            targets,
            options,
            board: Arc::clone(&board),
            folder,
        };
        let task = runtime.spawn(drive(setup, steps, earlier, watch));
        Ok(Self {
            id,
            task,
            board,
            control,
            events_taken: false,
        })
    }

    /// The run's id, which remote processes see as `CLUSTEROPS_RUN`.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// The events, once: a second stream is one that has ended.
    pub fn events(&mut self) -> Events {
        if std::mem::replace(&mut self.events_taken, true) {
            let ended = Board::new(std::iter::empty(), std::iter::empty());
            ended.end();
            return Events::new(Arc::new(ended));
        }
        Events::new(Arc::clone(&self.board))
    }

    /// A handle that steers the run.
    pub fn control(&self) -> Control {
        self.control.clone()
    }
}

impl Future for Run {
    type Output = Result<Report>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        Pin::new(&mut self.task).poll(context).map(|joined| {
            joined.unwrap_or_else(|error| {
                Err(Error::new(ErrorKind::Local, "the run was ended from within").caused_by(error))
            })
        })
    }
}

impl Drop for Run {
    fn drop(&mut self) {
        if !self.task.is_finished() {
            self.control.cancel();
        }
    }
}

impl fmt::Debug for Run {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Run")
            .field("id", &self.id)
            .field("finished", &self.task.is_finished())
            .finish_non_exhaustive()
    }
}

/// What every host would get in every stage.
pub(crate) fn prepare(plan: &Plan, target: &Target) -> Result<Vec<Prepared>> {
    let prepared = plan.stages.iter().map(|stage| {
        Prepared::new(stage, target).map_err(|error| {
            let message = format!("stage `{}`: {}", stage.name, error.message());
            Error::new(error.kind(), message).on(&target.name)
        })
    });
    prepared.collect()
}

/// Checks everything that can be checked before the first connection; gives the steps that read local files.
pub(crate) fn check(plan: &Plan, targets: &[Target]) -> Result<Vec<Step>> {
    plan.validate()?;
    if targets.is_empty() {
        return Err(Error::new(
            ErrorKind::Plan,
            "the fleet has no targets: the selection is empty",
        ));
    }
    let mut names = HashSet::new();
    let mut steps = HashMap::new();
    for target in targets {
        if !names.insert(target.name.as_str()) {
            return Err(Error::new(
                ErrorKind::Plan,
                format!("two targets are called `{}`", target.name),
            ));
        }
        for prepared in prepare(plan, target)? {
            for step in prepared.sources() {
                let is_script = matches!(step, Step::Script { .. });
                let key = (step.source().map(ToOwned::to_owned), is_script);
                let Entry::Vacant(new) = steps.entry(key) else {
                    continue;
                };
                files::check(step).map_err(|error| {
                    let message = format!("stage `{}`: {}", prepared.stage, error.full_message());
                    Error::new(error.kind(), message)
                })?;
                new.insert(step.clone());
            }
        }
    }
    Ok(steps.into_values().collect())
}

/// What [`drive`] starts from.
struct Setup {
    id: String,
    plan: Plan,
    targets: Arc<[Target]>,
    options: FleetOptions,
    board: Arc<Board>,
    folder: Option<Folder>,
}

/// Tells the reader of the events that there is nothing more to come, also when the run fails.
struct Finish(Arc<Board>);

impl Drop for Finish {
    fn drop(&mut self) {
        self.0.run(RunState::Finished);
    }
}

async fn drive(
    setup: Setup,
    steps: Vec<Step>,
    known: Option<Report>,
    mut watch: Watch,
) -> Result<Report> {
    let Setup {
        id,
        plan,
        targets,
        options,
        board,
        folder,
    } = setup;
    let _finish = Finish(Arc::clone(&board));
    let reading = task::spawn_blocking(move || Files::read(&steps));
    let files = tokio::select! {
        biased;
        // Nothing will be sent then.
        () = watch.ending() => Files::default(),
        read = reading => read
            .map_err(|error| Error::new(ErrorKind::Local, "reading the local files failed").caused_by(error))??,
    };
    let mut report = Report::new(id.clone(), &plan, files.digests());
    // Of an earlier report: what it says of our targets, and of other hosts.
    let (mut earlier, mut others) = (HashMap::new(), Vec::new());
    if let Some(known) = known {
        let names: HashSet<&str> = targets.iter().map(|target| target.name.as_str()).collect();
        for host in adopt(known, &report.files)? {
            if names.contains(host.name.as_str()) {
                earlier.insert(host.name.clone(), host);
            } else {
                others.push(host);
            }
        }
    }

    // The hosts that have something left to do, with the stage they start at, and the others as they are.
    let mut hosts: Vec<Option<HostReport>> = Vec::with_capacity(targets.len());
    let mut starts = Vec::new();
    for (index, target) in targets.iter().enumerate() {
        match earlier.get(&target.name) {
            Some(known) if known.is_success() => {
                board.host(index, HostState::Succeeded);
                hosts.push(Some(known.clone()));
            }
            known => {
                starts.push((index, known.map_or(0, HostReport::first_unfinished)));
                hosts.push(None);
            }
        }
    }
    let succeeded_once = |position: usize| {
        let mut stages = earlier
            .values()
            .filter_map(|host| host.stages.get(position));
        stages.any(|stage| {
            stage.is_finished() && stage.status != StageStatus::Skipped(SkipReason::RunOnce)
        })
    };
    let begun: Vec<usize> = starts.iter().map(|(index, _)| *index).collect();
    let gates = Gates::new(&plan, &starts, succeeded_once);
    let limits = Limits::of(&options, starts.len());
    report.warnings.extend(limits.warning);
    let run = Arc::new(Shared {
        id,
        targets,
        connector: Connector::new(options.session.clone()),
        board,
        gates,
        permits: Arc::new(Semaphore::new(limits.parallelism)),
        keep_connections: limits.keep_connections,
        files,
        budget: Budget::new(options.output_budget),
        folder,
        plan,
        options,
    });

    let mut crew = Crew::new(&run, hosts);
    for (index, start) in starts {
        let next = run.next_permit(watch.clone());
        let permit = tokio::select! {
            biased;
            () = watch.ending() => None,
            permit = next => permit,
        };
        let known = earlier.get(&run.targets[index].name).cloned();
        let host = HostRun::new(Arc::clone(&run), index, known, watch.clone());
        match permit {
            Some(permit) => crew.send(index, host.drive(start, permit)),
            None => crew.hosts[index] = Some(host.not_started(start)),
        }
    }
    crew.finish().await;
    if watch.mode() == Mode::Aborting && run.plan.rollback_when != RollbackWhen::Failed {
        roll_back_finished(&run, &mut crew, &begun, &watch).await;
    }

    report.ending = match watch.mode() {
        Mode::Running | Mode::Paused => Ending::Completed,
        Mode::Cancelling => Ending::Cancelled,
        Mode::Aborting => Ending::Aborted,
    };
    report.hosts = crew.hosts.into_iter().flatten().collect();
    report.hosts.extend(others);
    report
        .warnings
        .extend(run.folder.as_ref().and_then(Folder::trouble));
    report.finished = Timestamp::now();
    Ok(report)
}

/// What a report says of its hosts, once it is sure that the same files would be sent.
fn adopt(earlier: Report, files: &BTreeMap<String, String>) -> Result<Vec<HostReport>> {
    for (path, digest) in &earlier.files {
        if files.get(path).is_some_and(|now| now != digest) {
            let message = format!(
                "the local file `{path}` is not the one that the report is about: start a new run"
            );
            return Err(Error::new(ErrorKind::Plan, message));
        }
    }
    Ok(earlier.hosts)
}

/// An abort undoes what hosts did that finished in this run already, too.
async fn roll_back_finished(
    run: &Arc<Shared>,
    crew: &mut Crew<'_>,
    hosts: &[usize],
    watch: &Watch,
) {
    let needs_rollback = |host: &mut HostReport| {
        let mut stages = run.plan.stages.iter().zip(&host.stages);
        stages.any(|(stage, report)| host::needs_rollback(stage, report))
    };
    for &index in hosts {
        let Some(permit) = run.next_permit(watch.clone()).await else {
            break;
        };
        if let Some(report) = crew.hosts[index].take_if(needs_rollback) {
            let host = HostRun::new(Arc::clone(run), index, Some(report), watch.clone());
            crew.send(index, host.undo(permit));
        }
    }
    crew.finish().await;
}

impl Shared {
    /// Waits until another host may be worked on: there is room, and the run is not paused.
    async fn next_permit(&self, mut watch: Watch) -> Option<OwnedSemaphorePermit> {
        watch.not_paused().await;
        Arc::clone(&self.permits).acquire_owned().await.ok()
    }
}
