//! A step that transfers files.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tokio::time::timeout_at;

use super::fetch_folder;
use super::prepare::Prepared;
use super::step::{Limit, StepRun, Stopped};
use crate::clock::deadline_in;
use crate::plan::Step;
use crate::report::StageReport;
use crate::session::{Session, newest_subsystem};
use crate::transfer::{Files, LocalTree, Source, Strays, clear_fetched};
use crate::{Error, ErrorKind, Result, Termination, TransferOptions, Transferred};

/// How long it may take to remove what an earlier attempt has left, behind the next one.
const CLEARING: Duration = Duration::from_secs(10);

/// What such a step does.
pub(super) enum Work<'a> {
    /// Sends a file to a path on the host.
    Upload(&'a Source, String),
    /// Sends what a folder holds into a folder on the host.
    UploadTree(&'a LocalTree, String),
    /// Fetches a path of the host into a local folder.
    Fetch(String, PathBuf),
}

impl<'a> StepRun<'a> {
    /// What a step does that transfers files; `None` for another one.
    pub(super) fn work(&self, step: &Step, prepared: &Prepared) -> Result<Option<Work<'a>>> {
        let files: &'a _ = &self.run.files;
        Ok(Some(match step {
            Step::Upload {
                source,
                destination,
                ..
            } => Work::Upload(files.source(source)?, on_host(destination, prepared)),
            Step::UploadTree {
                source,
                destination,
                ..
            } => Work::UploadTree(files.tree(source)?, on_host(destination, prepared)),
            Step::Fetch {
                source,
                destination,
                ..
            } => Work::Fetch(on_host(source, prepared), self.fetch_folder(destination)),
            Step::Command { .. } | Step::Shell { .. } | Step::Script { .. } => return Ok(None),
        }))
    }
}

impl StepRun<'_> {
    /// Transfers files within the stage's deadline, and removes what an end before its time leaves on the host.
    pub(super) async fn transfer(
        &mut self,
        work: Work<'_>,
        options: &TransferOptions,
        report: &mut StageReport,
        limit: Limit,
    ) -> Result<(), Stopped> {
        let (session, intent) = (self.session, &self.intent);
        let opening = async {
            let files = session.files().await?;
            let Some(intent) = intent else {
                return Ok(files);
            };
            // Nothing is written before the journal knows who would do it.
            let server = newest_subsystem(session).await;
            intent.commit_transfer(server).await?;
            Ok(files.tag(intent.tag()))
        };
        let opened = tokio::select! {
            biased;
            () = self.stop.requested() => Err(self.stop.watch.error()),
            opened = timeout_at(limit.until, opening) => {
                opened.unwrap_or_else(|_| Err(limit.error()))
            }
        };
        let (board, host, position) = (Arc::clone(&self.run.board), self.host, self.position);
        let mut files = opened?
            .options(options.clone())
            .progress(move |progress| board.transfer(host, position, progress));
        if let Some(limit) = &self.run.options.bandwidth {
            files = files.bandwidth(limit.clone());
        }
        let result = tokio::select! {
            biased;
            () = self.stop.requested() => Err(self.stop.watch.error()),
            done = timeout_at(limit.until, work.done_by(&files)) => {
                done.unwrap_or_else(|_| Err(limit.error()))
            }
        };
        if let Some(earlier) = self.earlier.as_ref().filter(|earlier| earlier.is_transfer) {
            // What an earlier attempt had begun and this one did not come to, or no longer has to.
            let strays = Strays {
                tag: &earlier.tag,
                known_too: true,
            };
            let until = limit.until.min(deadline_in(CLEARING));
            let _ = timeout_at(until, work.clear(session, strays)).await;
        }
        let termination = files.close().await;
        match result {
            Ok(done) => {
                report.transferred = Some(Box::new(done));
                Ok(())
            }
            Err(error) => Err(Stopped {
                termination: match termination {
                    Termination::Confirmed if !was_ended(&error) => None,
                    termination => Some(termination),
                },
                error,
                leftover: None,
            }),
        }
    }

    /// The local folder that holds what is fetched from this host.
    pub(super) fn fetch_folder(&self, folder: &Path) -> PathBuf {
        fetch_folder(folder, &self.run.targets[self.host])
    }
}

impl Work<'_> {
    async fn done_by(&self, files: &Files<'_>) -> Result<Transferred> {
        match self {
            Self::Upload(source, path) => files.upload_source(source, path).await,
            Self::UploadTree(tree, path) => files.upload_local_tree(tree, path).await,
            Self::Fetch(path, folder) => files.fetch(path, folder).await,
        }
    }

    /// Removes what an attempt has left that ended with its controller. Says whether all of it is gone.
    pub(super) async fn clear(&self, session: &Session, strays: Strays<'_>) -> Result<bool> {
        if let Self::Fetch(path, folder) = self {
            clear_fetched(session.host(), path, folder, strays).await?;
            return Ok(true);
        }
        let files = session.files().await?;
        let is_clear = match self {
            Self::Upload(source, path) => files.clear_upload(source, path, strays).await,
            Self::UploadTree(tree, path) => files.clear_upload_tree(tree, path, strays).await,
            Self::Fetch(..) => Ok(true),
        };
        files.close().await;
        is_clear
    }
}

/// A path on the host; one that is not absolute starts in the stage's working directory.
pub(super) fn on_host(path: &str, prepared: &Prepared) -> String {
    match &prepared.current_dir {
        Some(folder) if !path.starts_with(['/', '~']) => format!("{folder}/{path}"),
        _ => path.to_owned(),
    }
}

fn was_ended(error: &Error) -> bool {
    matches!(error.kind(), ErrorKind::Cancelled | ErrorKind::Timeout)
}
