//! Many documents in one request.

use std::sync::{Mutex, MutexGuard, PoisonError};

use clusterops::logs::client;
use pyo3::prelude::*;

use super::value_of;
use crate::errors::raise;

/// Documents to write and to delete in one request; each method gives the bulk itself, so that calls can be chained.
///
/// Examples
/// --------
/// >>> from clusterops.logs import Bulk
/// >>> bulk = Bulk().index("logs", {"message": "started"}, id="1").delete("logs", "2")
/// >>> bulk, len(bulk)
/// (<Bulk of 2>, 2)
#[pyclass(module = "clusterops.logs", frozen)]
#[derive(Debug)]
pub(crate) struct Bulk(Mutex<client::Bulk>);

impl Bulk {
    fn lock(&self) -> MutexGuard<'_, client::Bulk> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What is in it now.
    pub(super) fn inner(&self) -> client::Bulk {
        self.lock().clone()
    }

    /// Adds one; the documents are JSON already, so that nothing speaks against it.
    fn add(
        &self,
        add: impl FnOnce(client::Bulk) -> clusterops::logs::Result<client::Bulk>,
    ) -> PyResult<()> {
        let mut bulk = self.lock();
        *bulk = add(std::mem::take(&mut *bulk)).map_err(raise)?;
        Ok(())
    }
}

#[pymethods]
impl Bulk {
    #[new]
    fn new() -> Self {
        Self(Mutex::default())
    }

    /// Writes a document, whether there is one with its id or not; without an id the server makes one.
    #[pyo3(signature = (index, document, *, id = None))]
    fn index<'py>(
        slf: PyRef<'py, Self>,
        index: &str,
        document: &Bound<'_, PyAny>,
        id: Option<&str>,
    ) -> PyResult<PyRef<'py, Self>> {
        let document = value_of(document)?;
        slf.add(|bulk| bulk.index(index, id, &document))?;
        Ok(slf)
    }

    /// Writes a document unless there is one with its id; what a data stream wants.
    #[pyo3(signature = (index, document, *, id = None))]
    fn create<'py>(
        slf: PyRef<'py, Self>,
        index: &str,
        document: &Bound<'_, PyAny>,
        id: Option<&str>,
    ) -> PyResult<PyRef<'py, Self>> {
        let document = value_of(document)?;
        slf.add(|bulk| bulk.create(index, id, &document))?;
        Ok(slf)
    }

    /// Deletes a document.
    fn delete<'py>(slf: PyRef<'py, Self>, index: &str, id: &str) -> PyResult<PyRef<'py, Self>> {
        slf.add(|bulk| Ok(bulk.delete(index, id)))?;
        Ok(slf)
    }

    /// How many bytes the request has.
    #[getter]
    fn bytes(&self) -> usize {
        self.lock().bytes()
    }

    fn __len__(&self) -> usize {
        self.lock().len()
    }

    fn __repr__(&self) -> String {
        format!("<Bulk of {}>", self.lock().len())
    }
}

/// What became of one document of a bulk.
#[pyclass(module = "clusterops.logs", frozen)]
#[derive(Debug)]
pub(crate) struct BulkItem(pub(super) client::BulkItem);

#[pymethods]
impl BulkItem {
    /// Its index.
    #[getter]
    fn index(&self) -> &str {
        &self.0.index
    }

    /// Its id.
    #[getter]
    fn id(&self) -> Option<&str> {
        self.0.id.as_deref()
    }

    /// Its version now.
    #[getter]
    fn version(&self) -> Option<u64> {
        self.0.version
    }

    /// The number of the operation in its shard.
    #[getter]
    fn seq_no(&self) -> Option<u64> {
        self.0.seq_no
    }

    /// The status: 200 and 201 are successes.
    #[getter]
    fn status(&self) -> u16 {
        self.0.status
    }

    /// Why it failed: the server's name for it, and its sentence.
    #[getter]
    fn error(&self) -> Option<String> {
        let reason = self.0.error.as_ref()?;
        let parts = [reason.name.as_deref(), reason.reason.as_deref()];
        Some(parts.into_iter().flatten().collect::<Vec<_>>().join(": "))
    }

    fn __repr__(&self) -> String {
        let (index, id) = (&self.0.index, self.0.id.as_deref().unwrap_or_default());
        format!("<BulkItem {index}/{id}: {}>", self.0.status)
    }
}
