//! Objects of Python's that Rust asks: their methods may be plain or `async`, and what they raise is raised again by
//! the call that led to them.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use pyo3::prelude::*;
use pyo3::types::PyTuple;

/// The first exception that a callback raised, for whoever waits for the call.
#[derive(Debug, Clone, Default)]
pub(crate) struct Stash(Arc<Mutex<Option<PyErr>>>);

impl Stash {
    /// Keeps an exception, unless there is one.
    pub(crate) fn keep(&self, error: PyErr) {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        kept.get_or_insert(error);
    }

    /// The exception, once.
    pub(crate) fn take(&self) -> Option<PyErr> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    /// Whether there is one.
    pub(crate) fn is_set(&self) -> bool {
        let kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        kept.is_some()
    }

    /// What a call came to: the exception of a callback goes before the error that it led to.
    pub(crate) fn or<T>(&self, result: PyResult<T>) -> PyResult<T> {
        match self.take() {
            Some(error) => Err(error),
            None => result,
        }
    }
}

/// An object with methods to call.
pub(crate) struct Callback {
    object: Py<PyAny>,
    /// Where its coroutines run; without one, in a loop of their own.
    event_loop: Option<Py<PyAny>>,
}

impl Callback {
    /// The object; coroutines run in the event loop of this thread, when it has one that runs.
    pub(crate) fn here(py: Python<'_>, object: Py<PyAny>) -> PyResult<Self> {
        let running = py
            .import("asyncio.events")?
            .call_method0("_get_running_loop")?;
        Ok(Self {
            object,
            event_loop: (!running.is_none()).then(|| running.unbind()),
        })
    }

    /// The object; coroutines run in a loop of their own.
    pub(crate) fn alone(object: Py<PyAny>) -> Self {
        Self {
            object,
            event_loop: None,
        }
    }

    /// The object.
    pub(crate) fn object<'py>(&self, py: Python<'py>) -> &Bound<'py, PyAny> {
        self.object.bind(py)
    }

    /// Calls a method, and waits for what it gives where that is to be awaited. Blocks: not for the runtime's own threads.
    pub(crate) fn call<'py>(
        &self,
        py: Python<'py>,
        method: &str,
        arguments: Bound<'py, PyTuple>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let given = self.object(py).call_method1(method, arguments)?;
        if !py
            .import("inspect")?
            .call_method1("isawaitable", (&given,))?
            .is_truthy()?
        {
            return Ok(given);
        }
        let event_loop = self
            .event_loop
            .as_ref()
            .map(|event_loop| event_loop.bind(py));
        py.import("clusterops._callbacks")?
            .call_method1("finish", (given, event_loop))
    }
}

impl fmt::Debug for Callback {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Callback").finish_non_exhaustive()
    }
}
