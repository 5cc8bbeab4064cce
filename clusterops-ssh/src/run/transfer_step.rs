//! A step that transfers files.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use tokio::time::timeout_at;

use super::output::file_name;
use super::prepare::Prepared;
use super::step::{Limit, StepRun, Stopped};
use crate::report::StageReport;
use crate::transfer::{Files, LocalTree, Source};
use crate::{Error, ErrorKind, Result, Termination, TransferOptions, Transferred};

/// What such a step does.
pub(super) enum Work<'a> {
    /// Sends a file to a path on the host.
    Upload(&'a Source, String),
    /// Sends what a folder holds into a folder on the host.
    UploadTree(&'a LocalTree, String),
    /// Fetches a path of the host into a local folder.
    Fetch(String, PathBuf),
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
        if let Some(intent) = &self.intent {
            intent.commit(None).await?;
        }
        let opened = tokio::select! {
            biased;
            () = self.stop.requested() => Err(self.stop.watch.error()),
            opened = timeout_at(limit.until, self.session.files()) => {
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
            }),
        }
    }

    /// The local folder that holds what is fetched from this host.
    pub(super) fn fetch_folder(&self, folder: &Path) -> PathBuf {
        folder.join(file_name(&self.run.targets[self.host].name))
    }
}

impl Work<'_> {
    async fn done_by(self, files: &Files<'_>) -> Result<Transferred> {
        match self {
            Self::Upload(source, path) => files.upload_source(source, &path).await,
            Self::UploadTree(tree, path) => files.upload_local_tree(tree, &path).await,
            Self::Fetch(path, folder) => files.fetch(&path, &folder).await,
        }
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
