//! What stood around a line.

use clusterops::logs::look::{self, Context, Origin};
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyString};

use super::hit::Hit;
use crate::errors::Raised;
use crate::words::takes;

/// Whose lines stand around a line: `host`, `service` or `container`, or the names of fields.
pub(super) struct Whose(Origin);

impl<'py> FromPyObject<'_, 'py> for Whose {
    type Error = PyErr;
    takes!("str | Sequence[str]");

    fn extract(value: Borrowed<'_, 'py, PyAny>) -> PyResult<Self> {
        let Ok(word) = value.cast::<PyString>() else {
            return Ok(Self(Origin::Fields(value.extract()?)));
        };
        match word.extract::<&str>()? {
            "host" => Ok(Self(Origin::Host)),
            "service" => Ok(Self(Origin::Service)),
            "container" => Ok(Self(Origin::Container)),
            other => {
                let message = format!(
                    "origin is 'host', 'service', 'container' or a list of fields, not '{other}'"
                );
                Err(Raised::invalid(message).into())
            }
        }
    }
}

/// How many lines, and whose.
pub(super) fn context(before: usize, after: usize, origin: Option<Whose>) -> Context {
    let context = Context::default().before(before).after(after);
    match origin {
        Some(origin) => context.origin(origin.0),
        None => context,
    }
}

/// Lines of one origin that stand one behind the other: what was found, and what is around it.
#[pyclass(module = "clusterops.logs", frozen)]
#[derive(Debug)]
pub(crate) struct Excerpt(pub(super) look::Excerpt);

#[pymethods]
impl Excerpt {
    /// The fields of the origin and their values, as ``host.name`` and ``web-1``; empty where the line has no such field, and
    /// then no context.
    #[getter]
    fn origin<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let origin = PyDict::new(py);
        for (field, value) in &self.0.origin {
            origin.set_item(field, value)?;
        }
        Ok(origin)
    }

    /// The lines, the oldest first, and whether each was looked for; else it stands near one that was.
    #[getter]
    fn lines(&self) -> Vec<(Hit, bool)> {
        let lines = self.0.lines.iter();
        lines
            .map(|line| (Hit(line.hit.clone()), line.matched))
            .collect()
    }

    fn __len__(&self) -> usize {
        self.0.lines.len()
    }

    fn __repr__(&self) -> String {
        format!("<Excerpt of {} lines>", self.0.lines.len())
    }
}
