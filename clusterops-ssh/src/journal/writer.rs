//! Writing a journal beside the run, many notes in one commit.

use std::path::PathBuf;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use tokio::sync::{mpsc, oneshot};

use super::store::{Change, HostChange, Store};
use crate::report::Ending;
use crate::{Error, ErrorKind, Result};

/// How many notes may wait to be written, and go into one commit; whoever has another one waits. All hosts that are worked on
/// at once have room with a few of them each.
const NOTES: usize = 4_096;

/// How long after a commit the next one follows: what it costs hardly depends on the number of its notes, and what comes
/// meanwhile goes with it. A note that nobody waits for is kept for so long, for one that somebody does.
const PACE: Duration = Duration::from_millis(20);

/// The same where so many hosts are worked on at once that there is always another one to go on with.
const PACE_OF_MANY: Duration = Duration::from_millis(100);
const MANY: usize = 32;

/// Writes the journal of a run, in a thread of its own. Notes are written in the order in which they come.
#[derive(Debug)]
pub(crate) struct Writer {
    path: PathBuf,
    notes: mpsc::Sender<Note>,
    trouble: Arc<OnceLock<String>>,
}

#[derive(Debug)]
struct Note {
    change: Change,
    /// Who waits until it is on disk.
    waiting: Option<oneshot::Sender<()>>,
}

impl Writer {
    /// Up to `hosts` are worked on at once. `on_trouble` is called once, when something cannot be written.
    pub(crate) fn start(
        store: Store,
        hosts: usize,
        on_trouble: impl FnOnce() + Send + 'static,
    ) -> Result<Self> {
        let (notes, incoming) = mpsc::channel(NOTES);
        let trouble = Arc::new(OnceLock::new());
        let path = store.path().to_owned();
        let thread = Thread {
            store,
            incoming,
            trouble: Arc::clone(&trouble),
            on_trouble: Some(Box::new(on_trouble)),
            pace: if hosts < MANY { PACE } else { PACE_OF_MANY },
            left_over: Vec::new(),
        };
        std::thread::Builder::new()
            .name("clusterops-journal".into())
            .spawn(move || thread.run())
            .map_err(|error| {
                let message = "the thread that writes the journal cannot be started";
                Error::new(ErrorKind::Local, message).caused_by(error)
            })?;
        Ok(Self {
            path,
            notes,
            trouble,
        })
    }

    /// Notes something, without waiting for the disk.
    pub(crate) async fn note(&self, change: Change) {
        let note = Note {
            change,
            waiting: None,
        };
        // The thread is there for as long as we are.
        let _ = self.notes.send(note).await;
    }

    /// Notes something and waits until it, and all before it, is on disk.
    ///
    /// # Errors
    /// [`ErrorKind::Journal`] when that does not come about: from then on nothing may be begun.
    pub(crate) async fn commit(&self, change: HostChange) -> Result<()> {
        self.check()?;
        self.wait(Change::Host(change)).await
    }

    /// Says how the run ended, and lets the file go.
    pub(crate) async fn finish(&self, ending: Ending) -> Result<()> {
        self.wait(Change::Ending(ending)).await
    }

    /// What is wrong with the journal, if something is.
    pub(crate) fn check(&self) -> Result<()> {
        let Some(why) = self.trouble.get() else {
            return Ok(());
        };
        let message = format!("the journal `{}` cannot be written", self.path.display());
        Err(Error::new(ErrorKind::Journal, message).caused_by(why.clone()))
    }

    async fn wait(&self, change: Change) -> Result<()> {
        let (waiting, done) = oneshot::channel();
        let note = Note {
            change,
            waiting: Some(waiting),
        };
        let _ = self.notes.send(note).await;
        if done.await.is_ok() {
            return Ok(());
        }
        self.check()?;
        let message = format!("the journal `{}` is closed", self.path.display());
        Err(Error::new(ErrorKind::Journal, message))
    }
}

struct Thread {
    store: Store,
    incoming: mpsc::Receiver<Note>,
    trouble: Arc<OnceLock<String>>,
    on_trouble: Option<Box<dyn FnOnce() + Send>>,
    pace: Duration,
    /// What could not be written: it is tried again with what comes next, as the disk may have room again.
    left_over: Vec<Change>,
}

impl Thread {
    fn run(mut self) {
        let mut committed = Instant::now();
        while let Some(first) = self.incoming.blocking_recv() {
            let since = match first.waiting {
                Some(_) => committed.elapsed(),
                None => Duration::ZERO,
            };
            std::thread::sleep(self.pace.saturating_sub(since));
            let (mut changes, mut waiting) = (std::mem::take(&mut self.left_over), Vec::new());
            let mut ends = false;
            let mut take = |note: Note| {
                ends |= matches!(note.change, Change::Ending(_));
                changes.push(note.change);
                waiting.extend(note.waiting);
            };
            take(first);
            for _ in 1..NOTES {
                match self.incoming.try_recv() {
                    Ok(note) => take(note),
                    Err(_) => break,
                }
            }
            if self.trouble.get().is_some() {
                // Its run has not ended well: somebody is to resume it.
                changes.retain(|change| !matches!(change, Change::Ending(_)));
            }
            let applied = self.store.apply(&changes);
            committed = Instant::now();
            match applied {
                Ok(()) if ends => {
                    let is_well = self.trouble.get().is_none();
                    drop(self.store);
                    if is_well {
                        answer(waiting);
                    }
                    return;
                }
                Ok(()) if self.trouble.get().is_none() => answer(waiting),
                // Whoever waits learns by its channel's end.
                Ok(()) => {}
                Err(error) => {
                    self.left_over = changes;
                    if self.trouble.set(error.to_string()).is_ok()
                        && let Some(tell) = self.on_trouble.take()
                    {
                        tell();
                    }
                    if ends {
                        return;
                    }
                }
            }
        }
    }
}

fn answer(waiting: Vec<oneshot::Sender<()>>) {
    for waiting in waiting {
        // Somebody who was cancelled no longer waits.
        let _ = waiting.send(());
    }
}
