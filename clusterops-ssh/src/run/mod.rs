//! One execution of a plan over a fleet.

mod control;
mod crew;
mod failures;
mod files;
mod gates;
mod host;
mod output;
mod pacer;
mod prepare;
mod step;
mod transfer_step;

use std::collections::hash_map::Entry;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use clusterops_core::Target;
use jiff::Timestamp;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::{self, AbortHandle, JoinHandle};
use tokio::time::{Instant, sleep_until};

pub use self::control::Control;
use self::control::{Mode, Watch};
use self::crew::Crew;
use self::failures::Failures;
use self::files::Files;
use self::gates::Gates;
use self::host::HostRun;
use self::output::{Budget, Folder};
use self::pacer::Pacer;
pub use self::prepare::Prepared;
use crate::clock::deadline_in;
use crate::event::{Board, Events, HostState, RunState};
use crate::fleet::{FleetOptions, Limits};
use crate::plan::{RollbackWhen, Step};
use crate::report::{Ending, HostReport, Report, SkipReason, StageStatus};
use crate::{Connector, Error, ErrorKind, Plan, Result};

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
    failures: Failures,
    pacer: Pacer,
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
        options.rollout.check(&targets)?;
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
        let setup = Setup {
            id: id.clone(),
            plan: plan.clone(),
            targets,
            options,
            board: Arc::clone(&board),
            control: control.clone(),
            folder,
        };
        let task = runtime.spawn(drive(setup, steps, earlier));
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
                let key = (
                    step.source().map(ToOwned::to_owned),
                    std::mem::discriminant(step),
                );
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
    control: Control,
    folder: Option<Folder>,
}

/// Tells the reader of the events that there is nothing more to come, also when the run fails.
struct Finish(Arc<Board>);

impl Drop for Finish {
    fn drop(&mut self) {
        self.0.run(RunState::Finished);
    }
}

/// Cancels a run when its deadline passes, unless it has ended by then.
struct Alarm(AbortHandle);

impl Alarm {
    fn new(span: Duration, control: Control) -> Self {
        let deadline = deadline_in(span);
        let task = tokio::spawn(async move {
            sleep_until(deadline).await;
            control.expire();
        });
        Self(task.abort_handle())
    }
}

impl Drop for Alarm {
    fn drop(&mut self) {
        self.0.abort();
    }
}

async fn drive(setup: Setup, steps: Vec<Step>, known: Option<Report>) -> Result<Report> {
    let Setup {
        id,
        plan,
        targets,
        options,
        board,
        control,
        folder,
    } = setup;
    let mut watch = control.watch();
    let _alarm = options
        .run_deadline
        .map(|span| Alarm::new(span, control.clone()));
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
    let started = Instant::now();
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
    let mut gates = Arc::new(Gates::new(&plan, &[], succeeded_once));
    let limits = Limits::of(&options, starts.len());
    report.warnings.extend(limits.warning);
    let run = Arc::new(Shared {
        id,
        targets,
        connector: Connector::new(options.session.clone()),
        board,
        failures: Failures::new(&options.rollout, starts.len(), control.clone()),
        pacer: Pacer::new(limits.parallelism),
        permits: Arc::new(Semaphore::new(limits.parallelism)),
        keep_connections: limits.keep_connections,
        files,
        budget: Budget::new(options.output_budget),
        folder,
        plan,
        options,
    });

    let mut crew = Crew::new(&run, hosts);
    let rollout = &run.options.rollout;
    for batch in rollout.deal(&run.targets, starts) {
        gates = Arc::new(gates.next(&run.plan, &batch.hosts));
        for (index, start) in batch.hosts {
            let next = run.next_permit(watch.clone());
            let permit = tokio::select! {
                biased;
                () = watch.closing() => None,
                permit = next => permit,
            };
            let known = earlier.get(&run.targets[index].name).cloned();
            let gates = Arc::clone(&gates);
            let host = HostRun::new(
                Arc::clone(&run),
                index,
                known,
                watch.clone(),
                gates,
                batch.is_canary,
            );
            match permit {
                Some(permit) => crew.send(index, host.drive(start, permit)),
                None => crew.hosts[index] = Some(host.not_started(start)),
            }
        }
        crew.finish().await;
        if batch.is_canary && rollout.pause_after_canaries {
            control.pause();
        }
    }
    if watch.mode() == Mode::Aborting && run.plan.rollback_when != RollbackWhen::Failed {
        roll_back_finished(&run, &mut crew, &begun, &watch, &gates).await;
    }

    report.ending = match watch.mode() {
        Mode::Running | Mode::Paused => Ending::Completed,
        Mode::Stopping => Ending::Stopped,
        Mode::Cancelling | Mode::Late => Ending::Cancelled,
        Mode::Aborting => Ending::Aborted,
    };
    report.hosts = crew.hosts.into_iter().flatten().collect();
    report.hosts.extend(others);
    report.warnings.extend(run.connector.warnings());
    report.warnings.extend(run.failures.reason());
    report
        .warnings
        .extend(run.folder.as_ref().and_then(Folder::trouble));
    // By the monotonic clock: a wall clock that is set back meanwhile would have it end before it began.
    report.finished = report
        .started
        .checked_add(started.elapsed())
        .unwrap_or(report.started);
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
    gates: &Arc<Gates>,
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
            let gates = Arc::clone(gates);
            let host = HostRun::new(
                Arc::clone(run),
                index,
                Some(report),
                watch.clone(),
                gates,
                false,
            );
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
