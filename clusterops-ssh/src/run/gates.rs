//! Where the hosts of a batch wait for each other: barriers and `run_once` stages.

use std::collections::BTreeSet;
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

use crate::Plan;

/// The gates of a batch, one entry for each stage.
#[derive(Debug)]
pub(super) struct Gates {
    stages: Vec<StageGates>,
}

#[derive(Debug, Default)]
struct StageGates {
    barrier: Option<Gate<usize>>,
    once: Option<Gate<Once>>,
}

/// A state that hosts wait on.
#[derive(Debug)]
struct Gate<T> {
    state: Mutex<T>,
    changed: Notify,
}

#[derive(Debug)]
struct Once {
    /// The hosts that have this stage before them.
    candidates: BTreeSet<usize>,
    progress: Progress,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Progress {
    Open,
    /// This host takes it.
    Begun(usize),
    Succeeded,
    FailedOn(usize),
}

/// What a host does about a `run_once` stage.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Turn {
    /// It takes the step.
    Mine,
    /// Another host took it, and it succeeded.
    Done,
    /// It failed on the host with this index.
    FailedOn(usize),
}

impl Gates {
    /// `starts` holds, for each host of the run, its index and the stage it starts at; `progress` says how far a `run_once`
    /// stage came before.
    pub(super) fn new(
        plan: &Plan,
        starts: &[(usize, usize)],
        progress: impl Fn(usize) -> Progress,
    ) -> Self {
        let stages = plan.stages.iter().enumerate().map(|(position, stage)| {
            let coming = || {
                starts
                    .iter()
                    .filter(move |(_, start)| *start <= position)
                    .map(|(host, _)| *host)
            };
            StageGates {
                barrier: stage.barrier.then(|| Gate::new(coming().count())),
                once: stage.run_once.then(|| {
                    Gate::new(Once {
                        candidates: coming().collect(),
                        progress: progress(position),
                    })
                }),
            }
        });
        Self {
            stages: stages.collect(),
        }
    }

    /// The gates of the batch behind this one, whose hosts have all come to their end.
    pub(super) fn next(&self, plan: &Plan, starts: &[(usize, usize)]) -> Self {
        Self::new(plan, starts, |position| {
            let once = self.stages[position].once.as_ref();
            once.map_or(Progress::Open, |gate| gate.lock().progress)
        })
    }

    /// Waits for this host's turn at a `run_once` stage. Whoever gets [`Turn::Mine`] keeps it until it [begins](Self::begin)
    /// and [finishes](Self::finish), or [stops](Self::stop).
    pub(super) async fn turn(&self, position: usize, host: usize) -> Turn {
        let Some(gate) = &self.stages[position].once else {
            return Turn::Mine;
        };
        gate.wait(|once| match once.progress {
            Progress::Succeeded => Some(Turn::Done),
            Progress::FailedOn(other) => Some(Turn::FailedOn(other)),
            Progress::Open if once.candidates.first() == Some(&host) => Some(Turn::Mine),
            // It took it before the run was resumed.
            Progress::Begun(owner) if owner == host => Some(Turn::Mine),
            Progress::Open | Progress::Begun(_) => None,
        })
        .await
    }

    /// The host whose turn it is takes the step now: nobody may take it over any more.
    pub(super) fn begin(&self, position: usize, host: usize) {
        if let Some(gate) = &self.stages[position].once {
            gate.lock().progress = Progress::Begun(host);
        }
    }

    /// A host is behind a stage: it succeeded or was skipped there.
    pub(super) fn finish(&self, position: usize, host: usize) {
        self.leave(position, host, true);
    }

    /// A host goes no further; `position` is the stage it did not finish.
    pub(super) fn stop(&self, position: usize, host: usize) {
        for later in position..self.stages.len() {
            self.leave(later, host, false);
        }
    }

    /// Waits until every host has passed or given up the stage, where it is a barrier.
    pub(super) async fn pass(&self, position: usize) {
        if let Some(gate) = &self.stages[position].barrier {
            gate.wait(|left| (*left == 0).then_some(())).await;
        }
    }

    /// Whether hosts would wait here now.
    pub(super) fn is_shut(&self, position: usize) -> bool {
        self.stages[position]
            .barrier
            .as_ref()
            .is_some_and(|gate| *gate.lock() > 0)
    }

    fn leave(&self, position: usize, host: usize, succeeded: bool) {
        let stage = &self.stages[position];
        if let Some(gate) = &stage.barrier {
            gate.change(|left| {
                *left = left.saturating_sub(1);
                *left == 0
            });
        }
        if let Some(gate) = &stage.once {
            gate.change(|once| {
                let was_first = once.candidates.first() == Some(&host);
                once.candidates.remove(&host);
                let was_owner = once.progress == Progress::Begun(host);
                if was_owner {
                    once.progress = match succeeded {
                        true => Progress::Succeeded,
                        false => Progress::FailedOn(host),
                    };
                }
                was_first || was_owner
            });
        }
    }
}

impl<T> Gate<T> {
    fn new(state: T) -> Self {
        Self {
            state: Mutex::new(state),
            changed: Notify::new(),
        }
    }

    async fn wait<R>(&self, mut ready: impl FnMut(&mut T) -> Option<R>) -> R {
        loop {
            let changed = self.changed.notified();
            let mut changed = std::pin::pin!(changed);
            // Registered before the look, so that no change between look and wait is missed.
            changed.as_mut().enable();
            if let Some(result) = ready(&mut self.lock()) {
                return result;
            }
            changed.await;
        }
    }

    /// Changes the state, and wakes everybody when the change says so.
    fn change(&self, change: impl FnOnce(&mut T) -> bool) {
        let wake = change(&mut self.lock());
        if wake {
            self.changed.notify_waiters();
        }
    }

    fn lock(&self) -> MutexGuard<'_, T> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::Stage;

    fn gates(stage: Stage, hosts: usize) -> Gates {
        let starts: Vec<_> = (0..hosts).map(|host| (host, 0)).collect();
        Gates::new(&Plan::new("p").stage(stage), &starts, |_| Progress::Open)
    }

    #[tokio::test]
    async fn a_barrier_opens_when_the_last_host_passed_or_gave_up() {
        let gates = gates(Stage::command("s", ["true"]).barrier(), 3);
        gates.finish(0, 0);
        gates.stop(0, 1);
        assert!(gates.is_shut(0));
        let (_, ()) = tokio::join!(gates.pass(0), async { gates.finish(0, 2) });
        assert!(!gates.is_shut(0));
    }

    #[tokio::test]
    async fn the_next_host_takes_over_when_the_first_never_began() {
        let gates = gates(Stage::command("s", ["true"]).run_once(), 3);
        let (turn, ()) = tokio::join!(gates.turn(0, 1), async { gates.stop(0, 0) });
        assert_eq!(turn, Turn::Mine);
        gates.begin(0, 1);
        let (turn, ()) = tokio::join!(gates.turn(0, 2), async { gates.finish(0, 1) });
        assert_eq!(turn, Turn::Done);
    }

    #[tokio::test]
    async fn a_stage_that_ran_once_is_behind_the_next_batch() {
        let plan = Plan::new("p").stage(Stage::command("s", ["true"]).run_once());
        let gates = Gates::new(&plan, &[(4, 0)], |_| Progress::Open);
        assert_eq!(gates.next(&plan, &[(1, 0)]).turn(0, 1).await, Turn::Mine);
        gates.begin(0, 4);
        gates.finish(0, 4);
        assert_eq!(gates.next(&plan, &[(1, 0)]).turn(0, 1).await, Turn::Done);
    }

    #[tokio::test]
    async fn nobody_takes_over_when_the_step_failed() {
        let gates = gates(Stage::command("s", ["true"]).run_once(), 2);
        assert_eq!(gates.turn(0, 0).await, Turn::Mine);
        gates.begin(0, 0);
        gates.stop(0, 0);
        assert_eq!(gates.turn(0, 1).await, Turn::FailedOn(0));
    }
}
