//! The tasks of a run, one for each host that is being worked on.

use std::collections::HashMap;

use tokio::task::{self, JoinSet};

use super::ended::Ended;
use super::shared::Shared;
use crate::event::HostState;
use crate::journal::{Change, HostChange, State};
use crate::report::{Failure, HostReport};
use crate::{Error, ErrorKind};

/// The hosts that are being worked on, each in a task of its own, and the reports of the others.
pub(super) struct Crew<'a> {
    run: &'a Shared,
    tasks: JoinSet<HostReport>,
    indexes: HashMap<task::Id, usize>,
    pub(super) ended: Ended,
}

impl<'a> Crew<'a> {
    pub(super) fn new(run: &'a Shared, hosts: usize) -> Self {
        Self {
            run,
            tasks: JoinSet::new(),
            indexes: HashMap::new(),
            ended: Ended::new(hosts),
        }
    }

    pub(super) async fn send(
        &mut self,
        index: usize,
        work: impl Future<Output = HostReport> + Send + 'static,
    ) {
        let id = self.tasks.spawn(work).id();
        self.indexes.insert(id, index);
        // A finished task keeps its memory until it is joined.
        while let Some(done) = self.tasks.try_join_next_with_id() {
            self.keep(done).await;
        }
    }

    pub(super) async fn finish(&mut self) {
        while let Some(done) = self.tasks.join_next_with_id().await {
            self.keep(done).await;
        }
    }

    /// Keeps a host's report. A panic is the end of that host only.
    async fn keep(&mut self, done: Result<(task::Id, HostReport), task::JoinError>) {
        let id = done
            .as_ref()
            .map_or_else(task::JoinError::id, |(id, _)| *id);
        let Some(index) = self.indexes.remove(&id) else {
            return;
        };
        let report = match done {
            Ok((_, report)) => report,
            Err(error) => {
                let error = Error::new(ErrorKind::Local, "the work on this host broke down")
                    .caused_by(error);
                let failure = Failure::new(&error, None);
                let state = HostState::Failed {
                    failure: failure.clone(),
                    termination: None,
                };
                let report = HostReport {
                    failure: Some(failure),
                    ..HostReport::new(&self.run.targets[index].name)
                };
                self.run.tell_ended(&report);
                self.run.board.host(index, state);
                self.run.count_failure(index);
                if let Some(journal) = &self.run.journal {
                    let change = HostChange::new(index, &report, State::Ended, []);
                    journal.note(Change::Host(change)).await;
                }
                report
            }
        };
        self.ended.put(index, report);
    }
}
