//! Objects of Python's that Rust asks during a call: their methods may be plain or `async`, and what they raise is raised
//! again by the call that led to them.

use std::fmt;
use std::future::Future;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use pyo3::prelude::*;
use pyo3::types::PyTuple;

use crate::logging;
use crate::runtime;

tokio::task_local! {
    /// The call for which a task works.
    static CURRENT: Call;
}

/// A call from Python, or a run that one began: where coroutines run meanwhile, and what callbacks raised.
#[derive(Clone, Default)]
pub(crate) struct Call(Arc<Inner>);

#[derive(Default)]
struct Inner {
    /// Without one, coroutines run in a loop of their own.
    event_loop: Option<Py<PyAny>>,
    /// The first exception that a callback raised.
    raised: Mutex<Option<PyErr>>,
}

impl Call {
    /// One that blocks: whatever loop this thread has stands still meanwhile.
    pub(crate) fn blocking() -> Self {
        Self::default()
    }

    /// One that is awaited in the event loop of this thread, when it has one that runs.
    pub(crate) fn awaited(py: Python<'_>) -> PyResult<Self> {
        let running = py
            .import("asyncio.events")?
            .call_method0("_get_running_loop")?;
        Ok(match running.is_none() {
            true => Self::blocking(),
            false => Self::in_loop(&running),
        })
    }

    /// One that is awaited in this event loop.
    pub(crate) fn in_loop(event_loop: &Bound<'_, PyAny>) -> Self {
        Self(Arc::new(Inner {
            event_loop: Some(event_loop.clone().unbind()),
            raised: Mutex::default(),
        }))
    }

    /// The one for which this task works.
    pub(crate) fn current() -> Self {
        CURRENT.try_with(Self::clone).unwrap_or_default()
    }

    /// Does the work of the call: gives what it came to, once what was logged meanwhile is told.
    pub(crate) async fn during<T>(self, work: impl Future<Output = PyResult<T>>) -> PyResult<T> {
        let result = CURRENT.scope(self.clone(), work).await;
        logging::told().await;
        self.or(result)
    }

    /// Does a part of the call's work on another thread.
    pub(crate) fn beside<T>(self, work: impl FnOnce() -> T) -> T {
        CURRENT.sync_scope(self, work)
    }

    /// Calls a method of an object, and waits for what it gives where that is to be awaited. Blocks: not for the runtime's own
    /// threads.
    pub(crate) fn ask<'py>(
        &self,
        object: &Bound<'py, PyAny>,
        method: &str,
        arguments: Bound<'py, PyTuple>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let py = object.py();
        let given = object.call_method1(method, arguments)?;
        let is_awaitable = py
            .import("inspect")?
            .call_method1("isawaitable", (&given,))?;
        if !is_awaitable.is_truthy()? {
            return Ok(given);
        }
        let event_loop = self.0.event_loop.as_ref();
        let event_loop = event_loop.map(|event_loop| event_loop.bind(py));
        py.import("clusterops._callbacks")?
            .call_method1("finish", (given, event_loop))
    }

    /// Keeps an exception, unless there is one.
    pub(crate) fn keep(&self, error: PyErr) {
        self.kept().get_or_insert(error);
    }

    /// The exception, as often as it is asked for.
    pub(crate) fn raised(&self) -> Option<PyErr> {
        // Whoever attaches while they hold the lock would wait for who is attached and waits for it.
        self.kept().as_ref()?;
        runtime::attach(|py| {
            let kept = self.kept();
            kept.as_ref().map(|error| error.clone_ref(py))
        })
    }

    /// What the call came to: the exception of a callback goes before the error that it led to.
    pub(crate) fn or<T>(&self, result: PyResult<T>) -> PyResult<T> {
        match self.raised() {
            Some(error) => Err(error),
            None => result,
        }
    }

    fn kept(&self) -> MutexGuard<'_, Option<PyErr>> {
        self.0.raised.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Call {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Call").finish_non_exhaustive()
    }
}
