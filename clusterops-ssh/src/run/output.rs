//! Where a command's output goes: into the report within its caps, to whoever reads events, and whole to disk when
//! that is asked for.

use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, OnceLock, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use data_encoding::HEXLOWER;
use sha2::{Digest as _, Sha256};
use tokio::fs::File;
use tokio::io::AsyncWriteExt as _;
use tokio::task::{JoinHandle, spawn_blocking};
use tokio::time::timeout;

use super::shared::Shared;
use crate::report::{Captured, StageReport};
use crate::session::Chunk;
use crate::{Error, ErrorKind, OutputStream, Result};

/// How long the disk of the output folder may take nothing of what a command writes beyond what waits in memory, and how
/// long it may take over the rest when the command has ended.
pub(super) const DISK_PATIENCE: Duration = Duration::from_secs(60);

/// The memory that all outputs of a run share.
#[derive(Debug)]
pub(super) struct Budget {
    bytes: usize,
    left: AtomicUsize,
    /// The first host whose output it had no room for.
    spent_at: OnceLock<String>,
}

impl Budget {
    pub(super) fn new(bytes: usize) -> Self {
        Self {
            bytes,
            left: AtomicUsize::new(bytes),
            spent_at: OnceLock::new(),
        }
    }

    /// What there is to say of it.
    pub(super) fn trouble(&self) -> Option<String> {
        let host = self.spent_at.get()?;
        Some(format!(
            "the report has room for {} bytes of output in all, and from {host} on outputs are cut short: raise the budget (`Fleet::output_budget`), or have them written to a folder",
            self.bytes
        ))
    }

    /// Takes up to `wanted` bytes from the budget; gives how many it got.
    fn take(&self, wanted: usize) -> usize {
        let before = self
            .left
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| {
                Some(left.saturating_sub(wanted))
            })
            .unwrap_or_default();
        before.min(wanted)
    }
}

/// The folder that takes whole outputs.
#[derive(Debug)]
pub(super) struct Folder {
    path: PathBuf,
    /// The first thing that went wrong; a full disk is told once.
    trouble: Mutex<Option<String>>,
}

impl Folder {
    /// Makes the folder, which has to be empty where no earlier run is gone on with. Blocks.
    pub(super) fn create(path: &Path, is_new: bool) -> Result<Self> {
        let cannot = |what: &str, error| {
            let message = format!(
                "the folder `{}` for outputs cannot be {what}",
                path.display()
            );
            Error::new(ErrorKind::Local, message).caused_by(error)
        };
        std::fs::create_dir_all(path).map_err(|error| cannot("made", error))?;
        let mut found = std::fs::read_dir(path).map_err(|error| cannot("read", error))?;
        if is_new && found.next().is_some() {
            let message = format!(
                "the folder `{}` for outputs is not empty: give each run one of its own",
                path.display()
            );
            return Err(Error::new(ErrorKind::Local, message));
        }
        Ok(Self {
            path: path.to_owned(),
            trouble: Mutex::new(None),
        })
    }

    pub(super) fn trouble(&self) -> Option<String> {
        self.trouble
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    fn create_file(&self, host: &str, name: String) -> JoinHandle<std::io::Result<File>> {
        let folder = self.path.join(file_name(host));
        spawn_blocking(move || {
            std::fs::create_dir_all(&folder)?;
            std::fs::File::create(folder.join(name)).map(File::from_std)
        })
    }

    fn report(&self, host: &str, error: &dyn std::fmt::Display) {
        let mut trouble = self.trouble.lock().unwrap_or_else(PoisonError::into_inner);
        trouble.get_or_insert_with(|| {
            format!(
                "outputs in `{}` are not complete, first that of {host}: {error}",
                self.path.display()
            )
        });
    }
}

/// The output of one stage on one host.
pub(super) struct Sink<'a> {
    run: &'a Shared,
    host: usize,
    stage: usize,
    /// What tells this output from that of other attempts, in the name of its file.
    suffix: String,
    files: [Option<File>; 2],
    /// The file that is being made, on a disk that may be slow.
    opening: Option<JoinHandle<std::io::Result<File>>>,
    /// What no file has taken yet: a piece, and one more for each [`take`](Self::take) that was given up.
    waiting: VecDeque<(OutputStream, Bytes)>,
    /// Whether the disk takes nothing, so that it is not waited for again.
    is_given_up: bool,
}

impl<'a> Sink<'a> {
    pub(super) fn new(
        run: &'a Shared,
        host: usize,
        stage: usize,
        attempt: u32,
        is_rollback: bool,
    ) -> Self {
        let mut suffix = if attempt > 1 {
            format!(".{attempt}")
        } else {
            String::new()
        };
        if is_rollback {
            suffix.push_str(".rollback");
        }
        Self {
            run,
            host,
            stage,
            suffix,
            files: [None, None],
            opening: None,
            waiting: VecDeque::new(),
            is_given_up: false,
        }
    }

    /// Takes a piece of output. Cancel-safe: what is not in a file yet comes there by the next call, or at the end.
    pub(super) async fn take(&mut self, chunk: Chunk, report: &mut StageReport) {
        let captured = match chunk.stream {
            OutputStream::Stdout => &mut report.stdout,
            OutputStream::Stderr => &mut report.stderr,
        };
        self.capture(captured, &chunk.bytes);
        self.run
            .board
            .output(self.host, self.stage, chunk.stream, chunk.bytes.clone());
        if let Some(folder) = self.run.folder.as_ref().filter(|_| !self.is_given_up) {
            self.waiting.push_back((chunk.stream, chunk.bytes));
            if timeout(DISK_PATIENCE, self.write(folder)).await.is_err() {
                self.give_up(folder);
            }
        }
    }

    /// Adds bytes to a captured output, as far as its cap and the run's budget go.
    pub(super) fn capture(&self, captured: &mut Captured, bytes: &[u8]) {
        if captured.is_empty() {
            *captured = Captured::new(self.run.options.output_cap);
        }
        let wanted = bytes.len().min(captured.room());
        let granted = self.run.budget.take(wanted);
        if granted < wanted {
            let name = || self.run.targets[self.host].name.clone();
            self.run.budget.spent_at.get_or_init(name);
            captured.restrict(granted);
        }
        captured.push(bytes);
    }

    /// Writes what waits.
    async fn write(&mut self, folder: &Folder) {
        let host = &self.run.targets[self.host].name;
        while let Some((stream, bytes)) = self.waiting.front_mut() {
            let file = &mut self.files[*stream as usize];
            let result = async {
                let file = match file {
                    Some(file) => file,
                    None => {
                        let opening = self.opening.get_or_insert_with(|| {
                            let stage = file_name(&self.run.plan.stages[self.stage].name);
                            let ending = match stream {
                                OutputStream::Stdout => "stdout",
                                OutputStream::Stderr => "stderr",
                            };
                            let (number, suffix) = (self.stage + 1, &self.suffix);
                            let name = format!("{number:02}-{stage}{suffix}.{ending}");
                            folder.create_file(host, name)
                        });
                        let opened = opening.await;
                        self.opening = None;
                        file.insert(opened??)
                    }
                };
                file.write_all_buf(bytes).await
            };
            if let Err(error) = result.await {
                folder.report(host, &error);
            }
            self.waiting.pop_front();
        }
    }

    /// Waits until everything is in the files, as long as a disk may take.
    pub(super) async fn finish(mut self) {
        let Some(folder) = self.run.folder.as_ref().filter(|_| !self.is_given_up) else {
            return;
        };
        let host = &self.run.targets[self.host].name;
        let writing = async {
            self.write(folder).await;
            for file in self.files.iter_mut().flatten() {
                if let Err(error) = file.flush().await {
                    folder.report(host, &error);
                }
            }
        };
        if timeout(DISK_PATIENCE, writing).await.is_err() {
            self.give_up(folder);
        }
    }

    fn give_up(&mut self, folder: &Folder) {
        self.is_given_up = true;
        self.waiting.clear();
        let host = &self.run.targets[self.host].name;
        let message = format!("its disk did not take the rest within {DISK_PATIENCE:?}");
        folder.report(host, &message);
    }
}

/// The longest part of a file's name that comes from outside; NAME_MAX is 255.
const LONGEST_NAME: usize = 180;

/// A name that is safe as one part of a path: every byte outside `A-Z a-z 0-9 . _ - @ : [ ]` as `%XX`.
pub(super) fn file_name(name: &str) -> String {
    let mut safe = String::with_capacity(name.len());
    for (index, byte) in name.bytes().enumerate() {
        let is_safe = byte.is_ascii_alphanumeric() || b"._-@:[]".contains(&byte);
        if is_safe && !(index == 0 && byte == b'.') {
            safe.push(byte as char);
        } else {
            safe.push_str(&format!("%{byte:02X}"));
        }
    }
    if safe.len() > LONGEST_NAME {
        // Two long names that begin alike stay apart.
        let digest = HEXLOWER.encode(&Sha256::digest(name)[..8]);
        safe.truncate(LONGEST_NAME - digest.len());
        safe.push_str(&digest);
    }
    safe
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_cannot_leave_the_folder() {
        assert_eq!(file_name("../etc/passwd"), "%2E.%2Fetc%2Fpasswd");
        assert_eq!(file_name("root@[::1]:22"), "root@[::1]:22");
        assert_eq!(file_name("größe"), "gr%C3%B6%C3%9Fe");
        let long = |end: &str| file_name(&format!("{}{end}", "a".repeat(300)));
        assert_eq!(long("1").len(), LONGEST_NAME);
        assert_ne!(long("1"), long("2"));
    }

    #[test]
    fn a_budget_gives_no_more_than_it_has() {
        let budget = Budget::new(10);
        assert_eq!(
            (
                budget.take(4),
                budget.take(4),
                budget.take(4),
                budget.take(4)
            ),
            (4, 4, 2, 0)
        );
    }
}
