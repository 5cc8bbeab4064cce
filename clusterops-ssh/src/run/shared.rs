//! What the hosts of a run share, and the work on all of them.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use clusterops_core::Target;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::control::{Control, Mode, Watch};
use super::crew::Crew;
use super::failures::Failures;
use super::files::Files;
use super::gates::{Gates, Progress};
use super::host::{self, HostRun};
use super::output::{Budget, Folder};
use super::outset::{Found, Leftovers, Outset};
use super::pacer::Pacer;
use crate::event::Board;
use crate::fleet::FleetOptions;
use crate::journal::{Change, RecordedMode, Writer};
use crate::plan::RollbackWhen;
use crate::report::HostReport;
use crate::rollout::Batch;
use crate::{Connector, Plan};

/// What all hosts of a run share.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) id: String,
    pub(super) plan: Plan,
    pub(super) targets: Arc<[Target]>,
    pub(super) options: FleetOptions,
    pub(super) connector: Connector,
    pub(super) board: Arc<Board>,
    pub(super) failures: Failures,
    pub(super) pacer: Pacer,
    pub(super) permits: Arc<Semaphore>,
    /// Whether hosts keep their connection while they wait for others.
    pub(super) keep_connections: bool,
    /// Whether one had to be let go.
    pub(super) has_let_go: AtomicBool,
    pub(super) files: Files,
    pub(super) budget: Budget,
    pub(super) folder: Option<Folder>,
    pub(super) journal: Option<Writer>,
    pub(super) in_flight: Leftovers,
    /// Which stages hosts have behind them that this run leaves alone.
    pub(super) relied_on: Vec<bool>,
}

impl Shared {
    /// Notes in the journal what was asked of the run.
    pub(super) async fn note_mode(&self, mode: Mode) {
        // A run that stops because it cannot write is not one that somebody stopped.
        let recorded = match mode {
            // Somebody has looked, and lets it go on.
            Mode::Running if self.failures.reason().is_some() => Some(RecordedMode::Overruled),
            mode => mode.recorded(),
        };
        if let (Some(journal), Some(mode)) = (&self.journal, recorded)
            && journal.check().is_ok()
        {
            journal.note(Change::Mode(mode)).await;
        }
    }

    /// Counts a host that has failed, by its place among the targets.
    pub(super) fn count_failure(&self, host: usize) {
        let name = &self.targets[host].name;
        let is_canary = self.options.rollout.canaries.contains(name);
        self.failures.count(host, name, is_canary);
    }

    /// Sends a host's report to who wants to have it at once.
    pub(super) fn tell_ended(&self, report: &HostReport) {
        if let Some(reports) = &self.options.ended {
            // Nobody may be left who listens.
            let _ = reports.send(report.clone());
        }
    }

    /// Works on all hosts, batch by batch; gives their reports in the order of the targets, and whether some were held back.
    pub(super) async fn all_hosts(
        self: &Arc<Self>,
        outset: Outset,
        control: &Control,
    ) -> (Vec<HostReport>, bool) {
        let mut watch = control.watch();
        let rollout = &self.options.rollout;
        if outset.mode == Some(RecordedMode::Overruled) {
            self.failures.overrule();
        }
        outset.failed().for_each(|host| self.count_failure(host));
        match outset.mode {
            None | Some(RecordedMode::Overruled) => {}
            Some(RecordedMode::Stopping) => control.stop(),
            Some(RecordedMode::Aborting) => control.abort(),
            Some(RecordedMode::Cancelling) => control.cancel(),
        }
        let progress = |position: usize| {
            let stage = &self.plan.stages[position];
            outset.progress(position, stage, &self.in_flight)
        };
        let run_once = self.plan.stages.iter().enumerate();
        let run_once = run_once.filter(|(_, stage)| stage.run_once);
        let awaited: Vec<usize> = run_once
            .filter_map(|(position, _)| match progress(position) {
                Progress::Begun(host) => Some(host),
                Progress::Open | Progress::Succeeded | Progress::FailedOn(_) => None,
            })
            .collect();
        let mut gates = Arc::new(Gates::new(&self.plan, &[], progress));
        let dealt = outset.dealt();
        let begun: Vec<usize> = dealt.iter().map(|(index, _)| *index).collect();
        let mut found = outset.hosts;
        let mut are_held_back = found.iter().any(|found| matches!(found, Found::Left(_)));
        let mut crew = Crew::new(self, found.len());
        for (index, found) in found.iter_mut().enumerate() {
            if let Found::Adopted(report) | Found::Ended(report) | Found::Left(report) = found {
                self.tell_ended(report);
                self.board.host(index, report.last_state());
                let report = std::mem::replace(&mut **report, HostReport::new(""));
                crew.ended.put(index, report);
            }
        }
        let mut batches = rollout.deal(&self.targets, dealt);
        bring_forward(&mut batches, &awaited);
        for batch in batches {
            let is_starting = |(index, _): &&(usize, usize)| {
                matches!(found[*index], Found::GoesOn(_) | Found::Starts(_))
            };
            let starting: Vec<_> = batch.hosts.iter().filter(is_starting).copied().collect();
            gates = Arc::new(gates.next(&self.plan, &starting));
            drop(starting);
            for (index, start) in batch.hosts {
                // A run that is stopped lets those go on that have begun, also where they begin again.
                let has_begun = matches!(found[index], Found::GoesOn(_));
                let has_failed = matches!(found[index], Found::Failed(_));
                let known = match &mut found[index] {
                    Found::Starts(known) => known.take(),
                    Found::GoesOn(known) | Found::Failed(known) => {
                        let known = std::mem::replace(&mut **known, HostReport::new(""));
                        Some(known.into())
                    }
                    Found::Adopted(_) | Found::Ended(_) | Found::Left(_) => continue,
                };
                let next = self.next_permit(watch.clone());
                let closing = async {
                    match has_begun {
                        true => watch.ending().await,
                        false => watch.closing().await,
                    }
                };
                let permit = tokio::select! {
                    biased;
                    () = closing => None,
                    permit = next => permit,
                };
                let host = HostRun::new(
                    Arc::clone(self),
                    index,
                    known.map(|known| *known),
                    watch.clone(),
                    Arc::clone(&gates),
                );
                match permit {
                    Some(permit) if !has_failed => {
                        crew.send(index, host.drive(start, permit)).await;
                    }
                    None if !has_failed && !self.in_flight.has(index) => {
                        are_held_back = true;
                        crew.ended.put(index, host.not_started(start).await);
                    }
                    // What was under way on it is seen to, however the run is to end.
                    permit => crew.send(index, host.conclude(permit, !has_failed)).await,
                }
            }
            crew.finish().await;
            if batch.is_canary && rollout.pause_after_canaries && !outset.is_past_canaries {
                control.pause();
            }
        }
        if watch.mode() == Mode::Aborting && self.plan.rollback_when != RollbackWhen::Failed {
            roll_back_finished(self, &mut crew, &begun, &watch, &gates).await;
        }
        // None is missing by now.
        (crew.ended.into_reports(), are_held_back)
    }
}

/// Hosts for which all others wait are in the first batch.
fn bring_forward(batches: &mut [Batch], hosts: &[usize]) {
    let Some((first, later)) = batches.split_first_mut() else {
        return;
    };
    for batch in later {
        let is_awaited = |(index, _): &mut (usize, usize)| hosts.contains(index);
        first.hosts.extend(batch.hosts.extract_if(.., is_awaited));
    }
}

/// An abort undoes what hosts did that finished in this run already, too.
async fn roll_back_finished(
    run: &Arc<Shared>,
    crew: &mut Crew<'_>,
    hosts: &[usize],
    watch: &Watch,
    gates: &Arc<Gates>,
) {
    let is_undone = |report: &HostReport| host::is_to_be_rolled_back(run, report, Mode::Aborting);
    for &index in hosts {
        let Some(permit) = run.next_permit(watch.clone()).await else {
            break;
        };
        if let Some(report) = crew.ended.take_if(index, is_undone) {
            let gates = Arc::clone(gates);
            let host = HostRun::new(Arc::clone(run), index, Some(report), watch.clone(), gates);
            crew.send(index, host.undo(permit)).await;
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
