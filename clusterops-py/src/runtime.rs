//! The tokio runtime of the process, and the two ways to wait for what runs on it.
//!
//! Every call has one future in Rust. [`wait`] blocks for it: it lets go of the GIL and looks for signals every 50 ms.
//! [`awaitable`] makes an `asyncio.Future` of it. pyo3-async-runtimes, which does the latter too, keeps one runtime for
//! ever; after a fork its threads are gone, and a call would wait for them without an end.

use std::future::Future;
use std::process;
use std::ptr;
use std::sync::atomic::{AtomicPtr, Ordering};
use std::time::Duration;

use pyo3::IntoPyObjectExt as _;
use pyo3::exceptions::{PyOSError, PyRuntimeError};
use pyo3::prelude::*;
use tokio::runtime::{Builder, Handle, Runtime};
use tokio::task::{AbortHandle, JoinError};
use tokio::time::timeout;

use crate::logging;

/// How long a signal, such as that of Ctrl-C, may go unseen.
const SIGNALS: Duration = Duration::from_millis(50);

/// A runtime, and the process whose threads drive it.
struct Owned {
    process: u32,
    runtime: Runtime,
}

/// No lock is held while this is read or set, so that a fork finds none that nobody would open again.
static RUNTIME: AtomicPtr<Owned> = AtomicPtr::new(ptr::null_mut());

/// The runtime of this process, made at the first call. A child of fork(2) makes its own: the threads of its parent's
/// did not come with it.
pub(crate) fn handle() -> PyResult<&'static Handle> {
    loop {
        let found = RUNTIME.load(Ordering::Acquire);
        #[expect(
            unsafe_code,
            reason = "what the pointer has once been set to is never freed"
        )]
        if let Some(owned) = unsafe { found.as_ref() }
            && owned.process == process::id()
        {
            return Ok(owned.runtime.handle());
        }
        let runtime = Builder::new_multi_thread()
            .enable_all()
            .thread_name("clusterops")
            .build()
            .map_err(|error| PyOSError::new_err(format!("no runtime can be made: {error}")))?;
        let new = Box::into_raw(Box::new(Owned {
            process: process::id(),
            runtime,
        }));
        if RUNTIME
            .compare_exchange(found, new, Ordering::AcqRel, Ordering::Acquire)
            .is_err()
        {
            // Another thread was first.
            #[expect(unsafe_code, reason = "it was made above, and nobody else has seen it")]
            let unused = unsafe { Box::from_raw(new) };
            unused.runtime.shutdown_background();
        }
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
    let mut task = handle.spawn(future);
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

/// What blocks and looks at no signals, such as the reading of files: to be waited for or awaited while a thread of its own
/// does it. Dropped, it ends unseen.
pub(crate) async fn apart<T: Send + 'static>(
    work: impl FnOnce() -> PyResult<T> + Send + 'static,
) -> PyResult<T> {
    let done = tokio::task::spawn_blocking(work).await;
    done.unwrap_or_else(|error| Err(lost(error)))
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
    let (to_loop, to_future) = (event_loop.unbind(), awaited.clone().unbind());
    let task = handle()?.spawn(async move {
        let result = future.await;
        // At the interpreter's end nobody waits any more.
        Python::try_attach(|py| {
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
