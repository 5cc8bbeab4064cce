//! What hosts said, those of the same answer together.

use pyo3::prelude::*;
use pyo3::types::{PyIterator, PyList, PyTuple};

use crate::hostset::HostSet;
use crate::words::{json, quoted, restored};

/// What the hosts said in one stage: an iterable of `Answer`, the most frequent one first. Printed, it is a line for each.
#[pyclass(module = "clusterops", frozen, eq)]
#[derive(Debug, PartialEq)]
pub(crate) struct Gathered(pub(crate) clusterops::report::Gathered);

#[pymethods]
impl Gathered {
    #[staticmethod]
    #[pyo3(signature = (text, /))]
    fn _restore(text: &str) -> PyResult<Self> {
        restored("gathered", text).map(Self)
    }

    fn __reduce__<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyTuple>> {
        let restore = py.get_type::<Self>().getattr("_restore")?;
        (restore, (json(&self.0)?,)).into_pyobject(py)
    }

    /// The answers.
    #[getter]
    fn answers(&self) -> Vec<Answer> {
        self.0.answers().iter().cloned().map(Answer).collect()
    }

    fn __iter__<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyIterator>> {
        PyList::new(py, self.answers())?.as_any().try_iter()
    }

    fn __len__(&self) -> usize {
        self.0.answers().len()
    }

    fn __str__(&self) -> String {
        self.0.to_string()
    }

    fn __repr__(&self) -> String {
        format!("<Gathered {} answers>", self.0.answers().len())
    }
}

/// The same answer from one or more hosts.
#[pyclass(module = "clusterops", frozen, eq)]
#[derive(Debug, PartialEq)]
pub(crate) struct Answer(clusterops::report::Answer);

#[pymethods]
impl Answer {
    #[staticmethod]
    #[pyo3(signature = (text, /))]
    fn _restore(text: &str) -> PyResult<Self> {
        restored("answer", text).map(Self)
    }

    fn __reduce__<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyTuple>> {
        let restore = py.get_type::<Self>().getattr("_restore")?;
        (restore, (json(&self.0)?,)).into_pyobject(py)
    }

    /// The hosts that gave it.
    #[getter]
    fn hosts(&self) -> HostSet {
        HostSet(self.0.hosts.clone())
    }

    /// What they said, or why they could not say anything.
    #[getter]
    fn text(&self) -> &str {
        &self.0.text
    }

    /// Whether these hosts finished the stage.
    #[getter]
    fn is_success(&self) -> bool {
        self.0.is_success
    }

    fn __repr__(&self, py: Python<'_>) -> PyResult<String> {
        Ok(format!(
            "<Answer {}: {}>",
            self.0.hosts,
            quoted(py, &self.0.text)?
        ))
    }
}
