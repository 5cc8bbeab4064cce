//! Counting the hosts that fail, and what follows when they are too many.

use std::collections::HashSet;
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::control::Control;
use crate::rollout::{Rollout, Share, WhenExceeded};

/// How many hosts of a run have failed, against what its rollout allows.
#[derive(Debug)]
pub(super) struct Failures {
    budget: Option<Share>,
    when_exceeded: WhenExceeded,
    total: usize,
    control: Control,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// The hosts, by their place among the targets.
    failed: HashSet<usize>,
    /// Somebody let the run go on although too many had failed.
    is_overruled: bool,
    /// Why the budget counts as exceeded, once it does.
    reason: Option<String>,
}

impl Failures {
    /// `total` hosts are worked on in this run.
    pub(super) fn new(rollout: &Rollout, total: usize, control: Control) -> Self {
        Self {
            budget: rollout.failure_budget,
            when_exceeded: rollout.when_exceeded,
            total,
            control,
            state: Mutex::default(),
        }
    }

    /// Lets nothing follow from it any more that too many hosts fail.
    pub(super) fn overrule(&self) {
        self.lock().is_overruled = true;
    }

    /// Counts a host that failed, once. The first one too many turns the run.
    pub(super) fn count(&self, place: usize, host: &str, is_canary: bool) {
        if self.is_one_too_many(place, host, is_canary) {
            match self.when_exceeded {
                WhenExceeded::Stop => self.control.stop(),
                WhenExceeded::Pause => self.control.pause(),
                WhenExceeded::Abort => self.control.abort(),
            }
        }
    }

    fn is_one_too_many(&self, place: usize, host: &str, is_canary: bool) -> bool {
        let mut state = self.lock();
        if !state.failed.insert(place) || state.reason.is_some() {
            return false;
        }
        let (failed, total) = (state.failed.len(), self.total);
        state.reason = if is_canary {
            Some(format!("the canary {host} failed"))
        } else {
            let budget = self
                .budget
                .filter(|budget| budget.is_exceeded_by(failed, total));
            budget.map(|budget| {
                format!("{failed} of {total} hosts failed, and the failure budget is {budget}")
            })
        };
        state.reason.is_some() && !state.is_overruled
    }

    /// Why the budget counts as exceeded, if it does.
    pub(super) fn reason(&self) -> Option<String> {
        self.lock().reason.clone()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
