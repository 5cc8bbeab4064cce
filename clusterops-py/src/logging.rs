//! What the crates log, in Python's `logging`: the target `clusterops::ssh` is the logger `clusterops.ssh`.
//!
//! Records wait in a bounded queue for one task of the runtime, which takes the GIL for as many as there are. Each call ends
//! once its own are told ([`told`]). What no logger wants is not made: the levels are looked at with each call from Python.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use log::{Level, LevelFilter, Log, Metadata, Record};
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use tokio::sync::mpsc::{Receiver, Sender, channel};
use tokio::sync::oneshot;
use tokio::time::timeout;

use crate::runtime;

/// How many records may wait for the GIL; what comes on top is counted and left out.
const QUEUE: usize = 1024;

/// How long a call waits at its end for handlers that hang.
const PATIENCE: Duration = Duration::from_secs(1);

/// The loggers whose levels count, with Python's names of them.
const LOGGERS: [&str; 4] = [
    "clusterops",
    "clusterops.http",
    "clusterops.logs",
    "clusterops.ssh",
];

/// These, which Python never makes anew.
static FOUND: PyOnceLock<Vec<Py<PyAny>>> = PyOnceLock::new();

/// What the queue takes.
enum Entry {
    Record {
        level: Level,
        logger: String,
        text: String,
        file: &'static str,
        line: u32,
    },
    /// Answered once what came before is told.
    Mark(oneshot::Sender<()>),
}

/// The queue of one runtime: a child of fork(2) has another one.
#[derive(Debug)]
pub(crate) struct Records {
    queue: Sender<Entry>,
    /// How many are not told yet.
    waiting: Arc<AtomicUsize>,
    skipped: Arc<AtomicU64>,
}

impl Records {
    /// A queue, and what tells what comes into it.
    pub(crate) fn new() -> (Self, impl Future<Output = ()> + Send + 'static) {
        let (queue, receiver) = channel(QUEUE);
        let records = Self {
            queue,
            waiting: Arc::default(),
            skipped: Arc::default(),
        };
        let (waiting, skipped) = (Arc::clone(&records.waiting), Arc::clone(&records.skipped));
        (records, deliver(receiver, waiting, skipped))
    }
}

/// The logger of the `log` crate, of which this module has a copy of its own.
struct Forward;

/// Has records come here; called once, by the import.
pub(crate) fn install() {
    // It fails only where it was called before, as in a second interpreter.
    let _ = log::set_logger(&Forward);
}

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
        let Some(records) = runtime::records() else {
            return;
        };
        let entry = Entry::Record {
            level: record.level(),
            logger: name(record.target()),
            text: record.args().to_string(),
            file: record.file_static().unwrap_or_default(),
            line: record.line().unwrap_or_default(),
        };
        records.waiting.fetch_add(1, Ordering::AcqRel);
        if records.queue.try_send(entry).is_err() {
            records.waiting.fetch_sub(1, Ordering::AcqRel);
            records.skipped.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn flush(&self) {}
}

/// What Python calls the logger of a target.
fn name(target: &str) -> String {
    let name = target.replace("::", ".");
    match name.strip_prefix("clusterops") {
        Some(rest) if rest.is_empty() || rest.starts_with('.') => name,
        _ => format!("clusterops.{name}"),
    }
}

/// Takes the level over of what somebody listens to. What is raised while the loggers are asked may be a signal handler's, as
/// that of Ctrl-C: nobody else would hear of it.
pub(crate) fn listen(py: Python<'_>) -> PyResult<()> {
    log::set_max_level(level(py)?);
    Ok(())
}

/// The lowest level of ours that a handler gets.
fn level(py: Python<'_>) -> PyResult<LevelFilter> {
    let loggers = FOUND.get_or_try_init(py, || {
        let logging = py.import("logging")?;
        let found = LOGGERS.map(|name| logging.call_method1("getLogger", (name,)));
        found
            .into_iter()
            .map(|found| found.map(Bound::unbind))
            .collect::<PyResult<Vec<_>>>()
    })?;
    let mut lowest = LevelFilter::Off;
    for logger in loggers {
        let logger = logger.bind(py);
        if !logger.call_method0("hasHandlers")?.is_truthy()? {
            continue;
        }
        let level: u32 = logger.call_method0("getEffectiveLevel")?.extract()?;
        lowest = lowest.max(match level {
            0..=5 => LevelFilter::Trace,
            6..=10 => LevelFilter::Debug,
            11..=20 => LevelFilter::Info,
            21..=30 => LevelFilter::Warn,
            31..=50 => LevelFilter::Error,
            _ => LevelFilter::Off,
        });
    }
    Ok(lowest)
}

/// Waits until what was logged so far is told, unless a handler hangs.
pub(crate) async fn told() {
    let Some(records) = runtime::records() else {
        return;
    };
    if records.waiting.load(Ordering::Acquire) == 0 {
        return;
    }
    let (answer, answered) = oneshot::channel();
    let marked = async {
        if records.queue.send(Entry::Mark(answer)).await.is_ok() {
            // Nobody answers at the interpreter's end.
            let _ = answered.await;
        }
    };
    let _ = timeout(PATIENCE, marked).await;
}

async fn deliver(mut records: Receiver<Entry>, waiting: Arc<AtomicUsize>, skipped: Arc<AtomicU64>) {
    let mut batch = Vec::new();
    while records.recv_many(&mut batch, QUEUE).await > 0 {
        let entries = std::mem::take(&mut batch);
        let (waiting, skipped) = (Arc::clone(&waiting), skipped.swap(0, Ordering::Relaxed));
        // A handler may wait, for a disk or a socket.
        let told = tokio::task::spawn_blocking(move || {
            runtime::enter(|py| tell_all(py, entries, &waiting, skipped))
        });
        if !matches!(told.await, Ok(Some(()))) {
            return;
        }
    }
}

fn tell_all(py: Python<'_>, entries: Vec<Entry>, waiting: &AtomicUsize, skipped: u64) {
    for entry in entries {
        match entry {
            Entry::Record {
                level,
                logger,
                text,
                file,
                line,
            } => {
                // A handler that raises is its own matter, as in `logging`.
                let _ = tell(py, level, &logger, &text, (file, line));
                waiting.fetch_sub(1, Ordering::AcqRel);
            }
            // Who asked may be gone.
            Entry::Mark(answer) => drop(answer.send(())),
        }
    }
    if skipped > 0 {
        let text =
            format!("{skipped} log records were left out: handlers are slower than they came");
        let _ = tell(py, Level::Warn, "clusterops", &text, (file!(), line!()));
    }
}

fn tell(
    py: Python<'_>,
    level: Level,
    logger: &str,
    text: &str,
    (file, line): (&str, u32),
) -> PyResult<()> {
    let level = match level {
        Level::Error => 40,
        Level::Warn => 30,
        Level::Info => 20,
        Level::Debug => 10,
        Level::Trace => 5,
    };
    let logger = py.import("logging")?.call_method1("getLogger", (logger,))?;
    if !logger.call_method1("isEnabledFor", (level,))?.is_truthy()? {
        return Ok(());
    }
    // Without arguments the text is taken as it is, whatever signs are in it.
    let (name, nothing) = (logger.getattr("name")?, py.None());
    let record = logger.call_method1(
        "makeRecord",
        (name, level, file, line, text, &nothing, &nothing),
    )?;
    logger.call_method1("handle", (record,))?;
    Ok(())
}
