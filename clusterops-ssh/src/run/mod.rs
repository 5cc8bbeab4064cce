//! One execution of a plan over a fleet.

mod control;
mod crew;
mod drive;
mod ended;
mod failures;
mod files;
mod gates;
mod host;
mod intent;
mod leftover;
mod limits;
mod output;
mod outset;
mod pacer;
mod prepare;
mod shared;
mod step;
mod transfer_step;

use std::collections::hash_map::Entry;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::fmt;
use std::path::{Component, Path, PathBuf};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use clusterops_core::{Printable, Target};
use jiff::Timestamp;
use tokio::task::JoinHandle;

pub use self::control::Control;
use self::drive::Setup;
use self::output::Folder;
pub(crate) use self::outset::Beginning;
pub use self::prepare::Prepared;
use crate::event::{Board, Events};
use crate::fleet::FleetOptions;
use crate::journal::{Known, Store};
use crate::plan::{Stage, Step};
use crate::report::Report;
use crate::rollout::WhenExceeded;
use crate::{Error, ErrorKind, Fleet, LOG, Plan, Result};

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

impl Run {
    /// Goes on with the run whose controller ended before it did, from its [journal](crate::journal): with the plan, the
    /// targets and the terms that it holds, and with [`SessionOptions::default`](crate::SessionOptions). Where a run needs
    /// more, such as [`Credentials`](crate::Credentials), use [`Fleet::resume`](crate::Fleet::resume), which says more
    /// about what is done.
    ///
    /// ```no_run
    /// # async fn example() -> clusterops_ssh::Result<()> {
    /// use clusterops_ssh::Run;
    ///
    /// let report = Run::resume("deploy.journal")?.await?;
    /// println!("{report}");
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// As [`Fleet::resume`](crate::Fleet::resume).
    pub fn resume(journal: impl AsRef<Path>) -> Result<Self> {
        Fleet::resume_alone(journal.as_ref())
    }

    /// Validates, then spawns.
    pub(crate) fn start(
        plan: &Plan,
        targets: Arc<[Target]>,
        options: FleetOptions,
        beginning: Beginning,
    ) -> Result<Self> {
        let runtime = tokio::runtime::Handle::try_current().map_err(|_| {
            Error::new(
                ErrorKind::Local,
                "a run needs a tokio runtime: call this inside of one",
            )
        })?;
        let is_over = matches!(&beginning, Beginning::Resume(_, known) if is_over(known, &options));
        // What needs no host any more needs no local file and no secret either.
        let steps = match is_over {
            true => Vec::new(),
            false => {
                let has_finished = match &beginning {
                    Beginning::Retry(earlier) => finished(earlier),
                    Beginning::Resume(_, known) => known.adopted(),
                    Beginning::New => HashSet::new(),
                };
                let goes_on = |target: &Target| !has_finished.contains(target.name.as_str());
                check(plan, &targets, &options, goes_on)?
            }
        };
        options.rollout.check(&targets)?;
        if let Beginning::Retry(earlier) = &beginning {
            outset::same_plan(earlier, plan)?;
            outset::same_sources(earlier, plan, &targets)?;
        }
        let folder = options
            .output_folder
            .as_deref()
            .map(|folder| Folder::create(folder, matches!(beginning, Beginning::New)))
            .transpose()?;
        let id = match &beginning {
            Beginning::Resume(_, known) => known.head.run_id.clone(),
            Beginning::New | Beginning::Retry(_) => options.run_id.clone().unwrap_or_else(new_id),
        };
        let store = match (&beginning, &options.journal) {
            (Beginning::New | Beginning::Retry(_), Some(path)) => Some(Store::create(path)?),
            _ => None,
        };
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
        let run_id = id.clone();
        let task = runtime.spawn(async move {
            let (name, hosts) = (Printable(&setup.plan.name), setup.targets.len());
            log::info!(target: LOG, "run {run_id} of plan `{name}` on {hosts} hosts begins");
            let result = setup.drive(steps, beginning, store).await;
            match &result {
                Ok(report) => {
                    log::info!(target: LOG, "run {run_id} is over: {}", report.headline())
                }
                Err(error) => {
                    log::info!(target: LOG, "run {run_id} cannot go on: {}", error.full_message());
                }
            }
            result
        });
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

fn new_id() -> String {
    let now = Timestamp::now().strftime("%Y%m%dT%H%M%SZ");
    format!("{now}-{:08x}", fastrand::u32(..))
}

/// The digests of the local files of these steps. Blocks.
pub(crate) fn digests(
    steps: &[Step],
    places: &HashMap<PathBuf, PathBuf>,
) -> Result<BTreeMap<String, String>> {
    files::Files::read(steps, places).map(|files| files.digests())
}

/// Whether nothing is left to do in a run that is gone on with.
pub(crate) fn is_over(known: &Known, options: &FleetOptions) -> bool {
    known.is_settled(options.rollout.when_exceeded == WhenExceeded::Abort)
}

/// What every host would get in every stage.
pub(crate) fn prepare(plan: &Plan, target: &Target) -> Result<Vec<Prepared>> {
    let prepared = plan.stages.iter().map(|stage| {
        Prepared::new(stage, target).map_err(|error| {
            let message = format!("stage `{}`: {}", stage.name, error.message());
            Error::new(error.kind(), message).on(&target.name)
        })
    });
    let prepared: Vec<Prepared> = prepared.collect::<Result<_>>()?;
    check_fetched(&prepared, target)?;
    Ok(prepared)
}

/// Refuses stages that would write to the same local place, or one into what another fetches.
fn check_fetched(stages: &[Prepared], target: &Target) -> Result<()> {
    let fetches = stages.iter().filter_map(|stage| match &stage.step {
        Step::Fetch {
            source,
            destination,
            ..
        } => Some((&stage.stage, source.trim_end_matches('/'), destination)),
        _ => None,
    });
    if fetches.clone().nth(1).is_none() {
        return Ok(());
    }
    let mut earlier: Vec<(&String, PathBuf)> = Vec::new();
    for (stage, source, destination) in fetches {
        let folder = definite(&fetch_folder(destination, target));
        let place = match source.rsplit('/').next().unwrap_or(source) {
            // What is in it comes into the folder itself.
            "." | ".." | "" => folder,
            name => folder.join(name),
        };
        let meets = |(_, other): &&(&String, PathBuf)| {
            place.starts_with(other) || other.starts_with(&place)
        };
        if let Some((other, _)) = earlier.iter().find(meets) {
            let message = format!(
                "stage `{stage}` would overwrite what stage `{other}` fetches, or add to it, at `{}`: give it another \
                 folder",
                place.display()
            );
            return Err(Error::new(ErrorKind::Plan, message).on(&target.name));
        }
        earlier.push((stage, place));
    }
    Ok(())
}

/// The local folder that holds what is fetched from a host.
fn fetch_folder(folder: &Path, target: &Target) -> PathBuf {
    folder.join(output::file_name(&target.name))
}

/// A local path without links as far as it is there, and without what leads nowhere.
fn definite(path: &Path) -> PathBuf {
    let path = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    let found = path.ancestors().find_map(|folder| {
        let there = folder.canonicalize().ok()?;
        Some((there, path.strip_prefix(folder).ok()?))
    });
    let (mut definite, rest) = found.unwrap_or_else(|| (PathBuf::new(), &path));
    for part in rest.components() {
        match part {
            Component::ParentDir => drop(definite.pop()),
            part => definite.push(part),
        }
    }
    definite
}

/// The hosts that have nothing left to do.
fn finished(report: &Report) -> HashSet<&str> {
    let finished = report.hosts.iter().filter(|host| host.is_success());
    finished.map(|host| host.name.as_str()).collect()
}

/// Checks everything that can be checked before the first connection; gives the steps that read local files.
///
/// What hosts get that do not go on is not looked at.
pub(crate) fn check(
    plan: &Plan,
    targets: &[Target],
    options: &FleetOptions,
    goes_on: impl Fn(&Target) -> bool,
) -> Result<Vec<Step>> {
    plan.validate()?;
    let secret = |stage: &Stage| {
        let secret = stage.secret_env.values().next()?.clone();
        Some((stage.name.clone(), secret))
    };
    if options.credentials.is_none()
        && let Some((stage, secret)) = plan.stages.iter().find_map(secret)
    {
        let message = format!(
            "stage `{stage}` needs the secret `{secret}`, and the fleet has no credentials (`Fleet::credentials`)"
        );
        return Err(Error::new(ErrorKind::Secret, message));
    }
    if targets.is_empty() {
        return Err(Error::new(
            ErrorKind::Plan,
            "the fleet has no targets: look at what selects them",
        ));
    }
    let mut names = HashSet::new();
    let mut steps = HashMap::new();
    for target in targets {
        if !names.insert(target.name.as_str()) {
            return Err(Error::new(
                ErrorKind::Plan,
                format!(
                    "two targets are called `{}`: leave one out, or rename it",
                    target.name
                ),
            ));
        }
        if !goes_on(target) {
            continue;
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
                files::check(step, &options.places).map_err(|error| {
                    let message = format!("stage `{}`: {}", prepared.stage, error.full_message());
                    Error::new(error.kind(), message)
                })?;
                new.insert(step.clone());
            }
        }
    }
    Ok(steps.into_values().collect())
}
