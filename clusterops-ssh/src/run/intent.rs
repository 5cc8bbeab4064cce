//! What the journal is told before something starts on a host.

use crate::Result;
use crate::journal::{HostChange, Writer};
use crate::report::InFlight;
use crate::session::{Launch, Process};
use crate::wire::Leader;

/// A stage, or its rollback, that a host is about to take.
pub(super) struct Intent<'a> {
    journal: &'a Writer,
    change: HostChange,
    in_flight: InFlight,
}

impl<'a> Intent<'a> {
    /// `change` holds what is known of the host.
    pub(super) fn new(
        journal: &'a Writer,
        change: HostChange,
        stage: usize,
        attempt: u32,
        is_rollback: bool,
    ) -> Self {
        let in_flight = InFlight {
            stage,
            attempt,
            is_rollback,
            is_transfer: false,
            tag: Process::new_tag(),
            leader: None,
        };
        Self {
            journal,
            change,
            in_flight,
        }
    }

    /// How its processes are started: held, until the journal knows them.
    pub(super) fn launch(&self) -> Launch {
        Launch {
            tag: self.in_flight.tag.clone(),
            is_held: true,
            ..Launch::new()
        }
    }

    /// What its processes and its unfinished files are found by.
    pub(super) fn tag(&self) -> &str {
        &self.in_flight.tag
    }

    /// Waits until the journal holds it, and how its process is found.
    pub(super) async fn commit(&self, leader: Leader) -> Result<()> {
        self.note(Some(leader), false).await
    }

    /// Waits until the journal holds that files are transferred, and by whom on the host, where that is known.
    pub(super) async fn commit_transfer(&self, server: Option<Leader>) -> Result<()> {
        self.note(server, true).await
    }

    async fn note(&self, leader: Option<Leader>, is_transfer: bool) -> Result<()> {
        let in_flight = InFlight {
            leader,
            is_transfer,
            ..self.in_flight.clone()
        };
        let change = HostChange {
            in_flight: Some(in_flight),
            report: self.change.report.clone(),
            stages: Vec::new(),
            ..self.change
        };
        self.journal.commit(change).await
    }
}
