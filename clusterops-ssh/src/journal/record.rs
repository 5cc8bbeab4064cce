//! What a journal holds of a run.

use std::collections::{BTreeMap, HashSet};
use std::path::PathBuf;
use std::time::Duration;

use clusterops_core::Target;
use clusterops_core::hostset::HostSet;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::Leftover;
use crate::fleet::FleetOptions;
use crate::report::{Ending, HostReport, InFlight, Report};
use crate::{Bandwidth, ConnectRetries, Error, ErrorKind, Plan, Result, Rollout};

/// What is known of a run before any host has done something.
#[derive(Debug)]
pub(crate) struct Head {
    pub(crate) run_id: String,
    pub(crate) started: Timestamp,
    pub(crate) plan: Plan,
    pub(crate) terms: Terms,
    /// The digests of local files, by path.
    pub(crate) files: BTreeMap<String, String>,
}

/// All that is known of a run.
#[derive(Debug)]
pub(crate) struct Known {
    pub(crate) head: Head,
    /// What was asked of the run and holds for the rest of it.
    pub(crate) mode: Option<RecordedMode>,
    pub(crate) ending: Option<Ending>,
    pub(crate) targets: Vec<Target>,
    /// The hosts, in the order of the targets.
    pub(crate) hosts: Vec<RecordedHost>,
    /// Hosts that are no targets, from a report that the run continues.
    pub(crate) others: Vec<HostReport>,
}

/// What is known of one host.
#[derive(Debug, Clone)]
pub(crate) struct RecordedHost {
    pub(crate) report: HostReport,
    pub(crate) state: State,
    pub(crate) in_flight: Option<InFlight>,
}

/// How far a host has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum State {
    /// It had nothing to do in this run: an earlier one had finished it.
    Adopted,
    /// It has not begun in this run.
    Waiting,
    /// It has begun, and there is something left to do.
    Open,
    /// It has come to its end.
    Ended,
    /// The run ended before its turn came.
    Left,
}

impl State {
    /// Whether there is something left to do.
    pub(crate) fn is_open(self) -> bool {
        matches!(self, Self::Waiting | Self::Open)
    }
}

/// What was asked of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum RecordedMode {
    Stopping,
    Aborting,
    Cancelling,
    /// Somebody resumed it after a pause because of its failure budget, which holds no more.
    Overruled,
}

/// The terms of a fleet that are plain data.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Terms {
    parallelism: usize,
    connect_retries: ConnectRetries,
    rollout: Rollout,
    host_deadline: Option<Duration>,
    run_deadline: Option<Duration>,
    output_cap: usize,
    output_budget: usize,
    output_folder: Option<PathBuf>,
    /// Whether targets came with passwords, which the journal does not hold.
    #[serde(default)]
    pub(crate) needs_passwords: bool,
    /// In bytes per second. This and what follows is in no journal of a fleet that does not set it, nor in older ones.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    bandwidth: Option<u64>,
    #[serde(default, skip_serializing_if = "is_default")]
    leftover: Leftover,
}

impl Terms {
    pub(crate) fn of(options: &FleetOptions, targets: &[Target]) -> Self {
        Self {
            parallelism: options.parallelism,
            connect_retries: options.connect_retries.clone(),
            rollout: options.rollout.clone(),
            host_deadline: options.host_deadline,
            run_deadline: options.run_deadline,
            output_cap: options.output_cap,
            output_budget: options.output_budget,
            output_folder: options.output_folder.clone(),
            needs_passwords: targets.iter().any(|target| !target.secrets.is_empty()),
            bandwidth: options.bandwidth.as_ref().map(Bandwidth::bytes_per_second),
            leftover: options.leftover,
        }
    }

    pub(crate) fn apply(self, options: &mut FleetOptions) {
        options.parallelism = self.parallelism;
        options.connect_retries = self.connect_retries;
        options.rollout = self.rollout;
        options.host_deadline = self.host_deadline;
        options.run_deadline = self.run_deadline;
        options.output_cap = self.output_cap;
        options.output_budget = self.output_budget;
        options.output_folder = self.output_folder;
        options.bandwidth = self.bandwidth.map(Bandwidth::per_second);
        options.leftover = self.leftover;
    }
}

fn is_default(leftover: &Leftover) -> bool {
    *leftover == Leftover::default()
}

impl Head {
    pub(crate) fn new(
        report: &Report,
        plan: &Plan,
        options: &FleetOptions,
        targets: &[Target],
    ) -> Self {
        Self {
            run_id: report.run_id.clone(),
            started: report.started,
            plan: plan.clone(),
            terms: Terms::of(options, targets),
            files: report.files.clone(),
        }
    }
}

impl Known {
    /// Whether the run has come to its end: neither a host nor a local file is needed to tell what came of it. `may_undo`
    /// says whether a run that comes to its end with these failures undoes what was done.
    pub(crate) fn is_settled(&self, may_undo: bool) -> bool {
        let is_noted = self
            .ending
            .is_some_and(|ending| ending != Ending::Interrupted);
        // The controller may have ended behind the last host, and before it noted how.
        let is_over = |host: &RecordedHost| !host.state.is_open() && host.in_flight.is_none();
        let may_undo = may_undo || self.mode == Some(RecordedMode::Aborting);
        is_noted || (!may_undo && self.hosts.iter().all(is_over))
    }

    /// The hosts that have nothing to do in the run.
    pub(crate) fn adopted(&self) -> HashSet<&str> {
        let adopted = self.hosts.iter();
        adopted
            .filter(|host| host.state == State::Adopted)
            .map(|host| host.report.name.as_str())
            .collect()
    }

    /// Whether these are the targets of the run, as they were.
    pub(crate) fn check_targets(&self, targets: &[Target]) -> Result<()> {
        let wrong = |message: String| Err(Error::new(ErrorKind::Plan, message));
        let names = |targets: &[Target]| -> HostSet {
            targets.iter().map(|target| target.name.as_str()).collect()
        };
        let (then, now) = (names(&self.targets), names(targets));
        let (gone, new) = (then.difference(&now), now.difference(&then));
        if !gone.is_empty() || !new.is_empty() {
            let list = |what, hosts: HostSet| match hosts.is_empty() {
                true => String::new(),
                false => format!("; {what}: {hosts}"),
            };
            return wrong(format!(
                "the fleet's targets are not those of the run{}{}; give those, or retry the journal's report instead",
                list("not there now", gone),
                list("not there then", new)
            ));
        }
        for (then, now) in self.targets.iter().zip(targets) {
            if then.name != now.name {
                return wrong(format!(
                    "the fleet's targets stand in another order than those of the run, {} in the place of {}: give them in that order",
                    now.name, then.name
                ));
            }
            // The journal does not know their secrets.
            let (then, now_text) = (to_value(then), to_value(now));
            if let Some(field) = difference(&then, &now_text) {
                return wrong(format!(
                    "{} is not as it was when the run began: its {field} differs; retry the journal's report instead",
                    now.name
                ));
            }
        }
        Ok(())
    }

    /// The run's report, without its hosts.
    pub(crate) fn report(&self) -> Report {
        let head = &self.head;
        let mut report = Report::new(head.run_id.clone(), &head.plan, head.files.clone());
        report.started = head.started;
        report.finished = report.finished.max(head.started);
        report
    }
}

fn to_value(target: &Target) -> Value {
    serde_json::to_value(target).unwrap_or_default()
}

/// The first field in which two targets differ.
fn difference(one: &Value, other: &Value) -> Option<String> {
    let (one, other) = (one.as_object()?, other.as_object()?);
    let mut fields = one.keys().chain(other.keys());
    let field = fields.find(|field| one.get(*field) != other.get(*field))?;
    let inner = one.get(field).zip(other.get(field));
    let inner = inner.and_then(|(one, other)| difference(one, other));
    Some(inner.map_or_else(|| field.clone(), |inner| format!("{field} `{inner}`")))
}
