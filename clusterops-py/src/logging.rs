//! What the crates log, in Python's `logging` under the logger `clusterops`.
//!
//! Records go through a bounded queue to one task, which takes the GIL for as many as there are. What the logger does
//! not want is not made: its level is looked at with each call from Python.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use log::{Level, LevelFilter, Log, Metadata, Record};
use pyo3::prelude::*;
use tokio::sync::mpsc::{Receiver, Sender, channel};

use crate::runtime;

/// How many records may wait for the GIL; what comes on top is counted and left out.
const QUEUE: usize = 1024;

/// A record as it travels.
struct Entry {
    level: Level,
    target: String,
    text: String,
}

/// The logger of the `log` crate.
#[derive(Default)]
struct Forward {
    queue: std::sync::Mutex<Option<Sender<Entry>>>,
    /// The process whose task reads the queue.
    process: AtomicUsize,
    skipped: AtomicU64,
}

static FORWARD: OnceLock<Forward> = OnceLock::new();

impl Log for Forward {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        // What others tell below a warning is about their packets.
        metadata.level() <= log::max_level()
            && (metadata.level() <= Level::Warn || metadata.target().starts_with("clusterops"))
    }

    fn log(&self, record: &Record<'_>) {
        if !self.enabled(record.metadata()) {
            return;
        }
        let entry = Entry {
            level: record.level(),
            target: record.target().replace("::", "."),
            text: record.args().to_string(),
        };
        // It is held only while it is made anew, as after a fork.
        let Ok(queue) = self.queue.try_lock() else {
            return;
        };
        if queue
            .as_ref()
            .is_none_or(|queue| queue.try_send(entry).is_err())
        {
            self.skipped.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn flush(&self) {}
}

/// Takes the level of Python's logger over. Another logger of the process, if it was first, is left alone. What is raised
/// while it is asked may be a signal handler's, as that of Ctrl-C: nobody else would hear of it.
pub(crate) fn listen(py: Python<'_>) -> PyResult<()> {
    let filter = level(py)?;
    if filter == LevelFilter::Off && FORWARD.get().is_none() {
        return Ok(());
    }
    let forward = FORWARD.get_or_init(Forward::default);
    log::set_max_level(filter);
    let process = std::process::id() as usize;
    if forward.process.swap(process, Ordering::AcqRel) != process
        && let Ok(handle) = runtime::handle()
        && let Ok(mut queue) = forward.queue.try_lock()
    {
        let (sender, receiver) = channel(QUEUE);
        *queue = Some(sender);
        handle.spawn(deliver(receiver, forward));
        // An error says that it was set before, which it was by us or by another logger.
        let _ = log::set_logger(forward);
    }
    Ok(())
}

/// What somebody listens to.
fn level(py: Python<'_>) -> PyResult<LevelFilter> {
    let logger = logger(py, None)?;
    if !logger.call_method0("hasHandlers")?.is_truthy()? {
        return Ok(LevelFilter::Off);
    }
    let level: u32 = logger.call_method0("getEffectiveLevel")?.extract()?;
    Ok(match level {
        0..=5 => LevelFilter::Trace,
        6..=10 => LevelFilter::Debug,
        11..=20 => LevelFilter::Info,
        21..=30 => LevelFilter::Warn,
        31..=50 => LevelFilter::Error,
        _ => LevelFilter::Off,
    })
}

fn logger<'py>(py: Python<'py>, target: Option<&str>) -> PyResult<Bound<'py, PyAny>> {
    let name = match target {
        None => "clusterops".to_owned(),
        Some(target) => match target.strip_prefix("clusterops_") {
            Some(rest) => format!("clusterops.{rest}"),
            None if target.starts_with("clusterops") => target.to_owned(),
            None => format!("clusterops.{target}"),
        },
    };
    py.import("logging")?.call_method1("getLogger", (name,))
}

async fn deliver(mut records: Receiver<Entry>, forward: &'static Forward) {
    let mut batch = Vec::new();
    while records.recv_many(&mut batch, QUEUE).await > 0 {
        let entries = std::mem::take(&mut batch);
        let skipped = forward.skipped.swap(0, Ordering::Relaxed);
        // A handler may wait, for a disk or a socket.
        let told = tokio::task::spawn_blocking(move || {
            Python::try_attach(|py| {
                for entry in &entries {
                    // A handler that raises is its own matter, as in `logging`.
                    let _ = tell(py, entry);
                }
                if skipped > 0 {
                    let text = format!("{skipped} log records were left out");
                    let _ = tell(
                        py,
                        &Entry {
                            level: Level::Warn,
                            target: "clusterops".into(),
                            text,
                        },
                    );
                }
            })
        });
        if !matches!(told.await, Ok(Some(()))) {
            return;
        }
    }
}

fn tell(py: Python<'_>, entry: &Entry) -> PyResult<()> {
    let level = match entry.level {
        Level::Error => 40,
        Level::Warn => 30,
        Level::Info => 20,
        Level::Debug => 10,
        Level::Trace => 5,
    };
    let logger = logger(py, Some(&entry.target))?;
    logger.call_method1("log", (level, "%s", &entry.text))?;
    Ok(())
}
