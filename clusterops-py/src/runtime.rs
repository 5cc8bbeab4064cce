//! The tokio runtime of the process, and the two ways to wait for what runs on it.
//!
//! Every call has one future in Rust. [`wait`] blocks for it: it lets go of the GIL and looks for signals every 50 ms.
//! [`awaitable`] makes an `asyncio.Future` of it. pyo3-async-runtimes, which does the latter too, keeps one runtime for
//! ever; after a fork its threads are gone, and a call would wait for them without an end.

use std::future::Future;
use std::process;
use std::ptr;
use std::sync::atomic::{AtomicBool, AtomicPtr, Ordering};
use std::time::Duration;

use pyo3::IntoPyObjectExt as _;
use pyo3::exceptions::{PyOSError, PyRuntimeError};
use pyo3::prelude::*;
use tokio::runtime::{Builder, Handle, Runtime};
use tokio::sync::watch;
use tokio::task::{AbortHandle, JoinError};
use tokio::time::timeout;

use crate::call::Call;
use crate::errors::{Raised, raise};
use crate::logging::{self, Records};
use crate::stop::Stop;

/// How long a signal, such as that of Ctrl-C, may go unseen.
const SIGNALS: Duration = Duration::from_millis(50);

/// How long work that was asked to end is waited for at the end of the process.
const PARTING: Duration = Duration::from_secs(10);

/// How long those who are in Python are waited for then.
const LEAVING: Duration = Duration::from_secs(1);

/// A runtime, and the process whose threads drive it.
struct Home {
    process: u32,
    runtime: Runtime,
    records: Records,
    /// How much goes on that leaves something behind on hosts if it is not waited for.
    lasting: watch::Sender<usize>,
    /// Asked for when the process ends.
    parting: Stop,
    /// How many threads of the runtime are in Python, or about to be.
    inside: watch::Sender<usize>,
    /// Whether the interpreter is about to end, so that no more of them may go there.
    is_closed: AtomicBool,
}

/// No lock is held while this is read or set, so that a fork finds none that nobody would open again.
static HOME: AtomicPtr<Home> = AtomicPtr::new(ptr::null_mut());

/// The runtime of this process, made at the first call. A child of fork(2) makes its own: the threads of its parent's
/// did not come with it.
pub(crate) fn handle() -> PyResult<&'static Handle> {
    home().map(|home| home.runtime.handle())
}

/// The log records of this process, once it has a runtime.
pub(crate) fn records() -> Option<&'static Records> {
    found().map(|home| &home.records)
}

fn found() -> Option<&'static Home> {
    #[expect(
        unsafe_code,
        reason = "what the pointer has once been set to is never freed"
    )]
    let home = unsafe { HOME.load(Ordering::Acquire).as_ref() }?;
    (home.process == process::id()).then_some(home)
}

fn home() -> PyResult<&'static Home> {
    loop {
        let before = HOME.load(Ordering::Acquire);
        if let Some(home) = found() {
            return Ok(home);
        }
        let runtime = Builder::new_multi_thread()
            .enable_all()
            .thread_name("clusterops")
            .build()
            .map_err(|error| PyOSError::new_err(format!("no runtime can be made: {error}")))?;
        let (records, telling) = Records::new();
        runtime.spawn(telling);
        let new = Box::into_raw(Box::new(Home {
            process: process::id(),
            runtime,
            records,
            lasting: watch::Sender::new(0),
            parting: Stop::default(),
            inside: watch::Sender::new(0),
            is_closed: AtomicBool::new(false),
        }));
        if HOME
            .compare_exchange(before, new, Ordering::AcqRel, Ordering::Acquire)
            .is_err()
        {
            // Another thread was first.
            #[expect(unsafe_code, reason = "it was made above, and nobody else has seen it")]
            let unused = unsafe { Box::from_raw(new) };
            unused.runtime.shutdown_background();
        }
    }
}

/// Work that leaves something behind on hosts if the process ends before it; counted as long as this lives.
pub(crate) struct Lasting(&'static Home);

impl Lasting {
    pub(crate) fn begin() -> PyResult<Self> {
        let home = home()?;
        home.lasting.send_modify(|count| *count += 1);
        Ok(Self(home))
    }

    /// Waits for the end of the process, by which it has to come to an end too.
    pub(crate) async fn parting(&self) {
        self.0.parting.asked().await;
    }
}

impl Drop for Lasting {
    fn drop(&mut self) {
        self.0.lasting.send_modify(|count| *count -= 1);
    }
}

/// A thread of the runtime that is in Python, or about to be.
struct Inside(&'static Home);

impl Inside {
    fn begin() -> Option<Self> {
        let home = found()?;
        home.inside.send_modify(|count| *count += 1);
        Some(Self(home))
    }
}

impl Drop for Inside {
    fn drop(&mut self) {
        self.0.inside.send_modify(|count| *count -= 1);
    }
}

/// Goes to Python from a thread of the runtime with what nobody waits for once the interpreter ends: `None` then. Who is there
/// while it ends brings the process down (`PyGILState_Ensure`, until Python 3.14).
pub(crate) fn enter<T>(work: impl for<'py> FnOnce(Python<'py>) -> T) -> Option<T> {
    let inside = Inside::begin().filter(|inside| !inside.0.is_closed.load(Ordering::SeqCst))?;
    let done = Python::try_attach(work);
    drop(inside);
    done
}

/// As [`enter`], for what a call asks of Python, which the interpreter's end waits for a while.
pub(crate) fn attach<T>(work: impl for<'py> FnOnce(Python<'py>) -> T) -> T {
    let _inside = Inside::begin();
    Python::attach(work)
}

/// Called at the end of the process: asks what lasts to end, and waits for that, though not for ever; then nobody goes to Python
/// any more.
#[pyfunction]
pub(crate) fn part(py: Python<'_>) -> PyResult<()> {
    let Some(home) = found() else {
        return Ok(());
    };
    home.parting.ask();
    let mut lasting = home.lasting.subscribe();
    wait(py, async move {
        // What has not ended by then is left to itself.
        let _ = timeout(PARTING, lasting.wait_for(|count| *count == 0)).await;
        Ok(())
    })?;
    home.is_closed.store(true, Ordering::SeqCst);
    let mut inside = home.inside.subscribe();
    py.detach(|| {
        let empty = async { timeout(LEAVING, inside.wait_for(|count| *count == 0)).await };
        // What hangs in Python is left to itself.
        let _ = home.runtime.block_on(empty);
    });
    Ok(())
}

/// What blocks and looks at no signals, as reading files or making a key does: to be waited for or awaited while a thread of its
/// own does it. Dropped, it ends unseen.
pub(crate) async fn aside<T, E>(work: impl FnOnce() -> Result<T, E> + Send + 'static) -> PyResult<T>
where
    T: Send + 'static,
    E: Send + 'static,
    for<'a> Raised: From<&'a E>,
{
    let call = Call::current();
    match tokio::task::spawn_blocking(|| call.beside(work)).await {
        Ok(done) => done.map_err(raise),
        Err(error) => Err(lost(error)),
    }
}

/// Waits for a future that runs on the runtime. When a signal handler raises, as that of Ctrl-C does, the future is
/// dropped.
pub(crate) fn wait<T: Send + 'static>(
    py: Python<'_>,
    future: impl Future<Output = PyResult<T>> + Send + 'static,
) -> PyResult<T> {
    wait_or(py, future, || false)
}

/// As [`wait`]; when a signal handler raises, `end` is told, and says whether the future then comes to its end by itself.
/// That is waited for, until another signal handler raises.
pub(crate) fn wait_or<T: Send + 'static>(
    py: Python<'_>,
    future: impl Future<Output = PyResult<T>> + Send + 'static,
    end: impl Fn() -> bool,
) -> PyResult<T> {
    logging::listen(py)?;
    let handle = handle()?;
    let mut task = handle.spawn(Call::blocking().during(future));
    let mut interrupted: Option<PyErr> = None;
    loop {
        let over = py.detach(|| handle.block_on(async { timeout(SIGNALS, &mut task).await }));
        match (over, interrupted.take()) {
            (Ok(joined), None) => return joined.unwrap_or_else(|error| Err(lost(error))),
            (Ok(_), Some(error)) => return Err(error),
            (Err(_), before) => match (py.check_signals(), before) {
                (Ok(()), before) => interrupted = before,
                (Err(error), None) if end() => interrupted = Some(error),
                (Err(error), _) => {
                    task.abort();
                    return Err(error);
                }
            },
        }
    }
}

/// What is told of a task that panicked or was aborted.
pub(crate) fn lost(error: JoinError) -> PyErr {
    PyRuntimeError::new_err(format!("the call was ended from within: {error}"))
}

/// An `asyncio.Future` for a future that runs on the runtime; cancelling it drops the latter.
pub(crate) fn awaitable<'py, T>(
    py: Python<'py>,
    future: impl Future<Output = PyResult<T>> + Send + 'static,
) -> PyResult<Bound<'py, PyAny>>
where
    T: for<'p> IntoPyObject<'p> + Send + 'static,
{
    logging::listen(py)?;
    let event_loop = py.import("asyncio")?.call_method0("get_running_loop")?;
    let awaited = event_loop.call_method0("create_future")?;
    let call = Call::in_loop(&event_loop);
    let (to_loop, to_future) = (event_loop.unbind(), awaited.clone().unbind());
    let task = handle()?.spawn(async move {
        let result = call.during(future).await;
        // At the interpreter's end nobody waits any more.
        enter(|py| {
            let result = result.and_then(|value| value.into_py_any(py));
            let settle = Settle {
                future: to_future,
                result,
            };
            // The loop may be closed by now, and whoever awaited gone with it.
            let _ = to_loop.call_method1(py, "call_soon_threadsafe", (settle,));
        });
    });
    let cancel = CancelWith(task.abort_handle());
    awaited.call_method1("add_done_callback", (cancel,))?;
    Ok(awaited)
}

/// Called in the event loop with what the future came to.
#[pyclass(frozen)]
struct Settle {
    future: Py<PyAny>,
    result: PyResult<Py<PyAny>>,
}

#[pymethods]
impl Settle {
    fn __call__(&self, py: Python<'_>) -> PyResult<()> {
        let future = self.future.bind(py);
        if future.call_method0("done")?.is_truthy()? {
            return Ok(());
        }
        match &self.result {
            Ok(value) => future.call_method1("set_result", (value,))?,
            Err(error) => future.call_method1("set_exception", (error.value(py),))?,
        };
        Ok(())
    }
}

/// Called in the event loop when the awaitable is done: by its result, or because it was cancelled.
#[pyclass(frozen)]
struct CancelWith(AbortHandle);

#[pymethods]
impl CancelWith {
    fn __call__(&self, future: &Bound<'_, PyAny>) -> PyResult<()> {
        if future.call_method0("cancelled")?.is_truthy()? {
            self.0.abort();
        }
        Ok(())
    }
}
