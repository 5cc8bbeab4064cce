//! A run from the first file that is read to its report.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use clusterops_core::Target;
use jiff::Timestamp;
use tokio::sync::Semaphore;
use tokio::task::{self, AbortHandle};
use tokio::time::{Instant, sleep, sleep_until};

use super::control::{Control, Mode, Watch};
use super::failures::Failures;
use super::files::Files;
use super::limits::Limits;
use super::output::{Budget, Folder};
use super::outset::{Beginning, Outset};
use super::pacer::Pacer;
use super::shared::Shared;
use crate::clock::deadline_in;
use crate::event::{Board, RunState};
use crate::fleet::FleetOptions;
use crate::journal::{Head, Store, Writer};
use crate::plan::Step;
use crate::report::{Ending, Report};
use crate::session::LocalCommands;
use crate::{Connector, Error, ErrorKind, LOG, Plan, Result};

/// What a run starts from.
pub(super) struct Setup {
    pub(super) id: String,
    pub(super) plan: Plan,
    pub(super) targets: Arc<[Target]>,
    pub(super) options: FleetOptions,
    pub(super) board: Arc<Board>,
    pub(super) control: Control,
    pub(super) folder: Option<Folder>,
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

/// Has a timer run that is due before the deadlines of connections.
///
/// Whoever sets a deadline before all others wakes the thread that waits for the network, so that it waits no longer than
/// that: twice for each host, without this.
struct Pulse(AbortHandle);

/// Less than the shortest deadline that each host has, which is for closing a connection.
const PULSE: Duration = Duration::from_millis(500);

impl Pulse {
    fn new() -> Self {
        let task = tokio::spawn(async {
            loop {
                sleep(PULSE).await;
            }
        });
        Self(task.abort_handle())
    }
}

impl Drop for Pulse {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Notes in the journal what is asked of the run, as long as this lives.
struct Noting(AbortHandle);

impl Noting {
    fn new(run: &Arc<Shared>, mut watch: Watch) -> Self {
        let run = Arc::downgrade(run);
        let task = tokio::spawn(async move {
            let mut mode = watch.now();
            if mode == Mode::Running {
                mode = watch.next().await;
            }
            while let Some(run) = run.upgrade() {
                run.note_mode(mode).await;
                drop(run);
                mode = watch.next().await;
            }
        });
        Self(task.abort_handle())
    }
}

impl Drop for Noting {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Setup {
    pub(super) async fn drive(
        self,
        steps: Vec<Step>,
        beginning: Beginning,
        store: Option<Store>,
    ) -> Result<Report> {
        let control = self.control.clone();
        let watch = control.watch();
        let _alarm = self
            .options
            .run_deadline
            .map(|span| Alarm::new(span, control.clone()));
        let _pulse = Pulse::new();
        let _finish = Finish(Arc::clone(&self.board));
        let began = (Timestamp::now(), Instant::now());
        let (run, mut report, outset) = self.begin(steps, beginning, store).await?;
        let _noting = run
            .journal
            .is_some()
            .then(|| Noting::new(&run, watch.clone()));
        let (others, ending) = (outset.others.clone(), outset.ending);
        let (hosts, are_held_back) = run.all_hosts(outset, &control).await;
        report.hosts = hosts;
        report.hosts.extend(others);
        report.ending = ending.unwrap_or(match watch.mode() {
            Mode::Stopping if are_held_back => Ending::Stopped,
            Mode::Running | Mode::Paused | Mode::Stopping => Ending::Completed,
            Mode::Cancelling | Mode::Late => Ending::Cancelled,
            Mode::Aborting => Ending::Aborted,
        });
        if run.has_let_go.load(Ordering::Relaxed) {
            let message = "the limit of open files (ulimit -n) has no room for a connection to every host, so hosts that waited for others were connected to again; raise it";
            warn(&mut report, message.to_owned());
        }
        // The connector has logged its own.
        report.warnings.extend(run.connector.warnings());
        let outputs = match &run.folder {
            Some(folder) => folder.trouble(),
            None => run.budget.trouble(),
        };
        for warning in run.failures.reason().into_iter().chain(outputs) {
            warn(&mut report, warning);
        }
        // By the monotonic clock: a wall clock that is set back meanwhile would have it end before it began.
        let (began_at, began) = began;
        let finished = began_at.checked_add(began.elapsed()).unwrap_or(began_at);
        report.finished = finished.max(report.started);
        if let Some(journal) = &run.journal {
            // As long as something may still run somewhere, the run can be resumed to see to it.
            let ending = match run.in_flight.is_empty() {
                true => report.ending,
                false => Ending::Interrupted,
            };
            journal.finish(ending).await?;
        }
        Ok(report)
    }

    /// Reads the local files, finds out where each host starts, and begins the journal.
    async fn begin(
        self,
        steps: Vec<Step>,
        beginning: Beginning,
        store: Option<Store>,
    ) -> Result<(Arc<Shared>, Report, Outset)> {
        let mut watch = self.control.watch();
        let is_resumed = matches!(beginning, Beginning::Resume(..));
        let is_retry = matches!(beginning, Beginning::Retry(_));
        let places = Arc::clone(&self.options.places);
        let reading = task::spawn_blocking(move || Files::read(&steps, &places));
        let nothing_is_sent = async {
            match is_retry {
                // An abort undoes what the run before it began.
                true => watch.cancelled().await,
                false => watch.ending().await,
            }
        };
        let files = tokio::select! {
            biased;
            // Nothing will be sent then; what a run has begun may need them to be undone.
            () = nothing_is_sent, if !is_resumed => Files::default(),
            read = reading => read
                .map_err(|error| Error::new(ErrorKind::Local, "reading the local files failed").caused_by(error))??,
        };
        let mut report = Report::new(self.id.clone(), &self.plan, files.digests());
        let (mut outset, resumed) = match beginning {
            Beginning::New => (Outset::new(self.targets.len()), None),
            Beginning::Retry(earlier) => {
                let then = earlier.files.clone();
                let outset = Outset::retry(
                    earlier,
                    &self.plan,
                    &self.options.rollout.canaries,
                    &self.targets,
                    &report.files,
                )?;
                // Also what is not sent this time, to hosts that are no targets now, is what a later retry has to send.
                for (path, digest) in then {
                    report.files.entry(path).or_insert(digest);
                }
                (outset, None)
            }
            Beginning::Resume(store, known) => {
                report.started = known.head.started;
                let canaries = &self.options.rollout.canaries;
                let is_canary = |name: &str| canaries.contains(name);
                let then = known.head.files.clone();
                let outset = Outset::resume(*known, &report.files, is_canary)?;
                // Where nothing is sent any more, nothing was read.
                report.files = then;
                (outset, Some(store))
            }
        };
        let store = match store {
            Some(mut store) => {
                let head = Head::new(&report, &self.plan, &self.options, &self.targets);
                let targets = Arc::clone(&self.targets);
                let (store, told) = on_disk(move || {
                    store.begin(&head, &targets, outset.recorded(&targets), &outset.others)?;
                    Ok((store, outset))
                })
                .await?;
                outset = told;
                Some(store)
            }
            None => match resumed {
                Some(mut store) if outset.ending.is_none() => {
                    Some(on_disk(move || store.reopen().map(|()| store)).await?)
                }
                resumed => resumed,
            },
        };
        let dealt = outset.dealt();
        let connector = Connector::new(self.options.session.clone());
        let commands = tokio::select! {
            biased;
            commands = connector.local_commands(&self.targets) => commands,
            // Hardly a host is connected to then.
            () = watch.ending() => LocalCommands::default(),
        };
        let limits = Limits::of(&self.options, &self.plan, dealt.len(), commands);
        let control = self.control.clone();
        let at_once = dealt.len().min(limits.parallelism);
        let journal = store.map(|store| Writer::start(store, at_once, move || control.stop()));
        let journal = journal.transpose()?;
        if let Some(warning) = limits.warning {
            warn(&mut report, warning);
        }
        let failures = Failures::new(&self.options.rollout, dealt.len(), self.control);
        let stages = self.plan.stages.len();
        let run = Arc::new(Shared {
            id: self.id,
            targets: self.targets,
            connector,
            board: self.board,
            failures,
            pacer: Pacer::new(limits.parallelism),
            permits: Arc::new(Semaphore::new(limits.parallelism)),
            keep_connections: limits.keep_connections,
            has_let_go: AtomicBool::new(false),
            files,
            budget: Budget::new(self.options.output_budget),
            folder: self.folder,
            plan: self.plan,
            options: self.options,
            journal,
            in_flight: std::mem::take(&mut outset.in_flight),
            relied_on: outset.relied_on(stages),
        });
        Ok((run, report, outset))
    }
}

/// Tells the operator, in the report and by the log.
fn warn(report: &mut Report, warning: String) {
    log::warn!(target: LOG, "run {}: {warning}", report.run_id);
    report.warnings.push(warning);
}

/// Writes a journal where that holds nobody up.
async fn on_disk<T: Send + 'static>(
    write: impl FnOnce() -> Result<T> + Send + 'static,
) -> Result<T> {
    task::spawn_blocking(write).await.map_err(|error| {
        Error::new(ErrorKind::Journal, "writing the journal failed").caused_by(error)
    })?
}
