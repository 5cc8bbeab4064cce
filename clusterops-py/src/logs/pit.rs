//! Points in time.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use clusterops::logs::client;
use clusterops::logs::{self, Indices, Search};
use pyo3::prelude::*;
use pyo3::types::{PyDelta, PyDict, PyTuple};

use super::client::search;
use super::hit::Page;
use super::query::Asked;
use crate::errors::{Raised, raise};
use crate::owned::Owned;
use crate::runtime::{awaitable, wait};

/// A point in time that a server holds: its searches see what was there when it was opened. Made by `Client.open_pit`, and
/// closed by leaving its ``with`` or ``async with``.
///
/// Each search keeps it for as long again. Pages follow each other by their `Hit.sort`:
/// ``pit.search(query, sort=[...], body={"search_after": page[-1].sort})``.
#[pyclass(module = "clusterops.logs", frozen)]
#[derive(Debug)]
pub(crate) struct Pit(Owned<Held>);

#[derive(Clone)]
struct Held {
    client: logs::Client,
    /// None once it is closed.
    pit: Arc<Mutex<Option<client::Pit>>>,
}

fn lock(pit: &Mutex<Option<client::Pit>>) -> MutexGuard<'_, Option<client::Pit>> {
    pit.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Pit {
    pub(super) async fn open(
        client: logs::Client,
        indices: Indices,
        keep_alive: Duration,
    ) -> PyResult<Self> {
        let pit = client.open_pit(&indices, keep_alive).await.map_err(raise)?;
        Ok(Self(Owned::new(Held {
            client,
            pit: Arc::new(Mutex::new(Some(pit))),
        })))
    }

    fn held(&self) -> PyResult<&Held> {
        self.0.get("the point in time")
    }

    fn pit(&self) -> PyResult<client::Pit> {
        let pit = lock(&self.held()?.pit).clone();
        pit.ok_or_else(|| Raised::invalid("the point in time is closed").into())
    }

    fn searching(
        &self,
        search: Search,
    ) -> PyResult<impl Future<Output = PyResult<Page>> + Send + 'static> {
        let Held { client, pit: held } = self.held()?.clone();
        let search = self.pit()?.search(search);
        Ok(async move {
            // It says itself what it is about.
            let page = client
                .search(&Indices::all(), &search)
                .await
                .map_err(raise)?;
            if let Some(pit) = lock(&held).as_mut() {
                pit.follow(&page);
            }
            Ok(Page(page))
        })
    }

    fn closing(&self) -> PyResult<impl Future<Output = PyResult<()>> + Send + 'static> {
        let Held { client, pit } = self.held()?.clone();
        let pit = lock(&pit).take();
        Ok(async move {
            match pit {
                Some(pit) => client.close_pit(pit).await.map_err(raise),
                None => Ok(()),
            }
        })
    }
}

#[pymethods]
impl Pit {
    /// The id to search with next.
    #[getter]
    fn id(&self) -> PyResult<String> {
        Ok(self.pit()?.id().to_owned())
    }

    /// How long it is kept after each search.
    #[getter]
    fn keep_alive<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDelta>> {
        self.pit()?.keep_alive().into_pyobject(py)
    }

    /// Searches it; the keywords are those of `clusterops.SearchOptions`.
    #[pyo3(signature = (query, **options))]
    fn search(
        &self,
        py: Python<'_>,
        query: Asked,
        options: Option<&Bound<'_, PyDict>>,
    ) -> PyResult<Page> {
        wait(py, self.searching(search(query, options)?)?)
    }

    /// As `search`, to be awaited.
    #[pyo3(signature = (query, **options))]
    fn asearch<'py>(
        &self,
        py: Python<'py>,
        query: Asked,
        options: Option<&Bound<'py, PyDict>>,
    ) -> PyResult<Bound<'py, PyAny>> {
        awaitable(py, self.searching(search(query, options)?)?)
    }

    /// Has the server forget it; once it has, this does nothing.
    fn close(&self, py: Python<'_>) -> PyResult<()> {
        wait(py, self.closing()?)
    }

    /// As `close`, to be awaited.
    fn aclose<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        awaitable(py, self.closing()?)
    }

    fn __enter__(slf: PyRef<'_, Self>) -> PyRef<'_, Self> {
        slf
    }

    #[pyo3(signature = (*_exception))]
    fn __exit__(&self, py: Python<'_>, _exception: &Bound<'_, PyTuple>) -> PyResult<()> {
        self.close(py)
    }

    fn __aenter__<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, PyAny>> {
        let itself = slf.clone().unbind();
        awaitable(slf.py(), async move { Ok(itself) })
    }

    #[pyo3(signature = (*_exception))]
    fn __aexit__<'py>(
        &self,
        py: Python<'py>,
        _exception: &Bound<'py, PyTuple>,
    ) -> PyResult<Bound<'py, PyAny>> {
        self.aclose(py)
    }

    fn __repr__(&self) -> &'static str {
        match self.pit().is_ok() {
            true => "<Pit>",
            false => "<Pit, closed>",
        }
    }
}
