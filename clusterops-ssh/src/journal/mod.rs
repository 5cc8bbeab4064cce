//! The journal of a run: what it takes to go on after its controller was killed.
//!
//! A run keeps one when its fleet says so ([`Fleet::journal`](crate::Fleet::journal)): one SQLite file with the plan, the
//! targets, the digests of the files that are sent, and what happened so far on each host. Nothing starts on a host before
//! the journal holds how to find it there, and a host's next stage starts only when the result of the last one is on disk.
//!
//! [`Run::resume`](crate::Run::resume) and [`Fleet::resume`](crate::Fleet::resume) go on where a journal ends: stages whose
//! result it holds are not run again. Where a stage was under way the host is asked for the processes of that attempt, and
//! they are [waited for or ended](Leftover) before the stage is run again, with a higher `CLUSTEROPS_ATTEMPT` in its
//! environment; so two attempts at a command never run at once. A host that cannot be asked is not tried: its report
//! says that the attempt may still run, and the run can be resumed again to see to it.
//!
//! Processes are found by `CLUSTEROPS_TASK` in their environment, and by their group as long as its leader lives. What has
//! lost both is not found. Where files were being transferred, the host's side of the transfer is ended if it is still
//! there, before anything is written again; then unfinished files of that attempt are removed, on the host or here, except
//! for those that the next attempt goes on with. Where a host does not say which process serves the transfer (one that
//! runs no commands, or hides processes), the next attempt goes on with none of them.
//!
//! What hosts have to note goes to the disk together, at most fifty times a second, and ten times where many hosts are
//! worked on at once: what a controller notes in its last 20 or 100 milliseconds can be lost with it, and a stage that
//! ended then counts as under way.
//!
//! A run that had come to its end needs neither its hosts nor its local files any more: resuming it gives its report.
//!
//! Beside the file of a run that goes on, or whose controller was killed, lies another one with `-wal` behind its name: both
//! together are the journal, and a copy without it is refused.
//!
//! A journal never holds a secret: those are asked for again. It does hold what commands print, as reports do, and is
//! readable by its owner only.

mod read_only;
mod record;
mod store;
#[cfg(test)]
mod tests;
mod trouble;
mod writer;

use std::path::{Path, PathBuf};

use clusterops_core::Target;
use serde::{Deserialize, Serialize};

pub(crate) use self::record::{Head, Known, RecordedHost, RecordedMode, State};
pub(crate) use self::store::{Change, HostChange, Store};
pub(crate) use self::writer::Writer;
use crate::report::{Ending, Failure, HostReport};
use crate::{Error, ErrorKind, Plan, Report, Result};

/// What a run that is resumed or retried does where a stage was under way and its processes may still run.
///
/// ```
/// use clusterops_ssh::{Fleet, journal::Leftover};
///
/// let fleet = Fleet::new([]).leftover(Leftover::End);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Leftover {
    /// They may come to their end within the stage's deadline, and are ended then.
    #[default]
    Wait,
    /// They are ended at once: SIGTERM, then SIGKILL.
    End,
}

/// What a journal holds, to look at.
///
/// ```no_run
/// use clusterops_ssh::Journal;
///
/// let journal = Journal::open("deploy.journal")?;
/// println!("{} of {} hosts have ended", journal.ended(), journal.targets().len());
/// println!("{}", journal.report());
/// # Ok::<(), clusterops_ssh::Error>(())
/// ```
#[derive(Debug)]
pub struct Journal {
    path: PathBuf,
    known: Known,
}

impl Journal {
    /// Reads the journal of a run whose controller has ended. Blocks.
    ///
    /// Where nothing can be written (a read-only file system, another user's journal), only a journal can be read that
    /// has no `-wal` beside it: that of a run that has come to its end, or was dropped.
    ///
    /// # Errors
    /// [`ErrorKind::Journal`] when there is no such file, it is no journal, it is damaged or of a newer version of this
    /// crate, or a run still writes to it.
    pub fn open(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        let known = if path.exists() && !read_only::is_writable(path) {
            read_only::read(path)?
        } else {
            Store::open(path)?.1
        };
        Ok(Self {
            path: path.to_owned(),
            known,
        })
    }

    /// The file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The run's id, which stays the same when it is resumed.
    pub fn run_id(&self) -> &str {
        &self.known.head.run_id
    }

    /// The plan that is run.
    pub fn plan(&self) -> &Plan {
        &self.known.head.plan
    }

    /// The targets, without their secrets.
    pub fn targets(&self) -> &[Target] {
        &self.known.targets
    }

    /// How many of the targets have come to their end.
    pub fn ended(&self) -> usize {
        let hosts = self.known.hosts.iter();
        hosts.filter(|host| !host.state.is_open()).count()
    }

    /// Whether the run has come to its end: resuming it would give its report and do nothing.
    pub fn is_finished(&self) -> bool {
        let ending = self.known.ending;
        ending.is_some_and(|ending| ending != Ending::Interrupted)
    }

    /// What happened so far. Hosts that have not come to their end count as failed, with [`ErrorKind::Cancelled`]; so the
    /// report of a run that is not to be resumed can be [retried](crate::Fleet::retry). Where something that was
    /// under way may still run, the host's `termination` says so, and a retry sees to it first.
    pub fn report(&self) -> Report {
        let mut report = self.known.report();
        report.ending = self.known.ending.unwrap_or(Ending::Interrupted);
        let hosts = self.known.hosts.iter().map(RecordedHost::as_interrupted);
        report.hosts = hosts.chain(self.known.others.iter().cloned()).collect();
        report
    }
}

impl RecordedHost {
    fn as_interrupted(&self) -> HostReport {
        let mut report = self.report.clone();
        if self.state.is_open() && report.failure.is_none() {
            let message = "the controller of the run ended before this host did";
            let error = Error::new(ErrorKind::Cancelled, message);
            report.failure = Some(Failure::new(&error, None));
        }
        if let Some(left) = &self.in_flight {
            report.termination = Some(left.unconfirmed());
            report.leftover = Some(Box::new(left.clone()));
        }
        report
    }
}
