//! What iterators hand over, without losing it: a piece that is ready at the very moment in which its caller is
//! interrupted or cancelled is kept for the next one.
//!
//! What runs on the runtime only fetches a piece and keeps it; it is taken by the thread that gives it to the caller, once
//! nothing can come between any more.

use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use pyo3::IntoPyObjectExt as _;
use pyo3::exceptions::{PyStopAsyncIteration, PyStopIteration};
use pyo3::prelude::*;

use crate::runtime::awaitable;

/// A piece that was fetched and that nobody has taken yet.
#[derive(Debug)]
pub(crate) struct Kept<T>(Mutex<Option<PyResult<T>>>);

impl<T> Default for Kept<T> {
    fn default() -> Self {
        Self(Mutex::new(None))
    }
}

impl<T> Kept<T> {
    /// Whether there is one.
    pub(crate) fn is_there(&self) -> bool {
        self.lock().is_some()
    }

    /// Keeps one; whoever fetches looks first whether there is one.
    pub(crate) fn keep(&self, piece: PyResult<T>) {
        *self.lock() = Some(piece);
    }

    /// Takes it.
    pub(crate) fn take(&self) -> Option<PyResult<T>> {
        self.lock().take()
    }

    fn lock(&self) -> MutexGuard<'_, Option<PyResult<T>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Where pieces come from.
pub(crate) trait Source: Send + Sync + 'static {
    /// What is handed over at once.
    type Piece: Send + 'static;

    /// Fetches a piece and keeps it, unless one is kept already. Dropped, it loses nothing.
    fn fetch(self: Arc<Self>) -> impl Future<Output = ()> + Send + 'static;

    /// Takes the piece that is kept. Somebody else may have been first.
    fn take(&self) -> Option<PyResult<Self::Piece>>;
}

/// Blocks for the next piece, by [`wait`](crate::runtime::wait) or a relative of it.
pub(crate) fn blocking<S: Source>(
    source: &Arc<S>,
    wait: impl Fn(Fetching) -> PyResult<()>,
) -> PyResult<S::Piece> {
    loop {
        let fetching = Arc::clone(source).fetch();
        wait(Box::pin(async move {
            fetching.await;
            Ok(())
        }))?;
        if let Some(piece) = source.take() {
            return piece;
        }
    }
}

/// A fetch that is waited for.
pub(crate) type Fetching = Pin<Box<dyn Future<Output = PyResult<()>> + Send>>;

/// To be awaited for the next piece.
pub(crate) fn awaited<S: Source>(source: &Arc<S>) -> Handed
where
    S::Piece: for<'py> IntoPyObject<'py>,
{
    let (fetched, taken) = (Arc::clone(source), Arc::clone(source));
    Handed {
        fetch: Box::new(move |py| {
            let fetching = Arc::clone(&fetched).fetch();
            awaitable(py, async move {
                fetching.await;
                Ok(())
            })
        }),
        take: Box::new(move |py| {
            let piece = taken.take()?;
            Some(piece.and_then(|piece| piece.into_py_any(py)))
        }),
        is_async_iteration: false,
        waiting: Mutex::new(None),
    }
}

type Fetch = dyn Fn(Python<'_>) -> PyResult<Bound<'_, PyAny>> + Send + Sync;
type Take = dyn Fn(Python<'_>) -> Option<PyResult<Py<PyAny>>> + Send + Sync;

/// An awaitable that takes its piece only when whoever awaits it goes on. A step into which asyncio throws a cancellation
/// does not come here: the piece stays where it is kept.
#[pyclass(frozen)]
pub(crate) struct Handed {
    fetch: Box<Fetch>,
    take: Box<Take>,
    /// Whether None is the end of an asynchronous iteration.
    is_async_iteration: bool,
    /// The iterator of the future that is awaited.
    waiting: Mutex<Option<Py<PyAny>>>,
}

impl Handed {
    /// As an asynchronous iterator gives it, where the piece None is the end.
    pub(crate) fn or_end(mut self) -> Self {
        self.is_async_iteration = true;
        self
    }

    fn waiting(&self) -> MutexGuard<'_, Option<Py<PyAny>>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The iterator of a future for the next piece.
    fn begin(&self, py: Python<'_>) -> PyResult<Py<PyAny>> {
        let future = (self.fetch)(py)?;
        Ok(future.call_method0("__await__")?.unbind())
    }
}

#[pymethods]
impl Handed {
    fn __await__(slf: PyRef<'_, Self>) -> PyRef<'_, Self> {
        // One that was cancelled may be awaited again.
        slf.waiting().take();
        slf
    }

    fn __iter__(slf: PyRef<'_, Self>) -> PyRef<'_, Self> {
        slf
    }

    fn __next__(&self, py: Python<'_>) -> PyResult<Py<PyAny>> {
        let mut waiting = self.waiting().take();
        loop {
            let awaited = match waiting.take() {
                Some(awaited) => awaited,
                None => self.begin(py)?,
            };
            match awaited.call_method0(py, "__next__") {
                Ok(yielded) => {
                    *self.waiting() = Some(awaited);
                    return Ok(yielded);
                }
                Err(error) if error.is_instance_of::<PyStopIteration>(py) => {}
                Err(error) => return Err(error),
            }
            match (self.take)(py) {
                Some(Ok(end)) if self.is_async_iteration && end.is_none(py) => {
                    return Err(PyStopAsyncIteration::new_err(()));
                }
                Some(Ok(piece)) => return Err(PyStopIteration::new_err((piece,))),
                Some(Err(error)) => return Err(error),
                None => {}
            }
        }
    }
}
