//! What happened on one host, and in one stage there.

use std::sync::Arc;
use std::time::Duration;

use clusterops::report::{Captured, StageStatus};
use pyo3::IntoPyObjectExt as _;
use pyo3::exceptions::PyKeyError;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyTuple};

use crate::errors::Raised;
use crate::report::Report;
use crate::words::{quoted, word};

/// What happened on one host; ``host["stage"]`` is a `StageReport`.
#[pyclass(module = "clusterops", frozen, eq)]
#[derive(Debug)]
pub(crate) struct HostReport {
    report: Arc<clusterops::Report>,
    index: usize,
}

impl PartialEq for HostReport {
    fn eq(&self, other: &Self) -> bool {
        self.inner() == other.inner()
    }
}

impl HostReport {
    /// What a report says of the host at this place.
    pub(crate) fn new(report: Arc<clusterops::Report>, index: usize) -> Self {
        Self { report, index }
    }

    fn inner(&self) -> &clusterops::report::HostReport {
        &self.report.hosts[self.index]
    }
}

#[pymethods]
impl HostReport {
    /// The target's name.
    #[getter]
    fn name(&self) -> &str {
        &self.inner().name
    }

    /// Whether the host finished the plan.
    #[getter]
    fn is_success(&self) -> bool {
        self.inner().is_success()
    }

    /// Why the host stopped, as an exception that can be raised; None when it finished the plan.
    #[getter]
    fn failure<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyAny>>> {
        let failure = self.inner().failure.as_deref();
        failure
            .map(|failure| Raised::failure(self.name(), failure).exception(py))
            .transpose()
    }

    /// How many times a connection was tried.
    #[getter]
    fn connection_attempts(&self) -> u32 {
        self.inner().connection_attempts
    }

    /// Where a command was ended before its time: whether the end of its processes was seen, as a sentence.
    #[getter]
    fn termination(&self) -> Option<String> {
        self.inner().termination.as_ref().map(ToString::to_string)
    }

    /// The stages that the host came to.
    #[getter]
    fn stages(&self) -> Vec<StageReport> {
        let stages = 0..self.inner().stages.len();
        stages
            .map(|stage| StageReport {
                report: Arc::clone(&self.report),
                host: self.index,
                stage,
            })
            .collect()
    }

    fn __getitem__(&self, stage: &str) -> PyResult<StageReport> {
        let place = self.report.stages.iter().position(|name| name == stage);
        match place.filter(|place| *place < self.inner().stages.len()) {
            Some(stage) => Ok(StageReport {
                report: Arc::clone(&self.report),
                host: self.index,
                stage,
            }),
            None => Err(PyKeyError::new_err(stage.to_owned())),
        }
    }

    fn __reduce__<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyTuple>> {
        let report = self.report.only(|host| host.name == self.name());
        let report = Report::new(Arc::new(report));
        item_of(py, report, self.name())
    }

    fn __repr__(&self, py: Python<'_>) -> PyResult<String> {
        let name = quoted(py, self.name())?;
        Ok(match &self.inner().failure {
            Some(failure) => format!("<HostReport {name}: {failure}>"),
            None => format!("<HostReport {name}: succeeded>"),
        })
    }
}

/// What happened in one stage on one host.
#[pyclass(module = "clusterops", frozen, eq)]
#[derive(Debug)]
pub(crate) struct StageReport {
    report: Arc<clusterops::Report>,
    host: usize,
    stage: usize,
}

impl PartialEq for StageReport {
    fn eq(&self, other: &Self) -> bool {
        self.name() == other.name() && self.inner() == other.inner()
    }
}

impl StageReport {
    fn inner(&self) -> &clusterops::report::StageReport {
        &self.report.hosts[self.host].stages[self.stage]
    }
}

#[pymethods]
impl StageReport {
    /// The stage's name.
    #[getter]
    fn name(&self) -> &str {
        &self.report.stages[self.stage]
    }

    /// How it ended: ``done``, ``skipped``, ``failed`` or ``rolled_back``.
    #[getter]
    fn status(&self) -> String {
        word(&self.inner().status)
    }

    /// Why it was skipped, as a sentence.
    #[getter]
    fn skipped(&self) -> Option<String> {
        match self.inner().status {
            StageStatus::Skipped(reason) => Some(reason.to_string()),
            _ => None,
        }
    }

    /// The how many-th attempt at this stage on this host this was.
    #[getter]
    fn attempt(&self) -> u32 {
        self.inner().attempt
    }

    /// The exit status, where the command exited with one.
    #[getter]
    fn exit_status(&self) -> Option<u32> {
        exit_status(self.inner())
    }

    /// How the command ended, as a sentence.
    #[getter]
    fn exit(&self) -> Option<String> {
        self.inner().exit.as_ref().map(ToString::to_string)
    }

    /// What was written to standard output, as text.
    #[getter]
    fn stdout(&self) -> String {
        self.inner().stdout.to_string()
    }

    /// What was written to standard error, as text.
    #[getter]
    fn stderr(&self) -> String {
        self.inner().stderr.to_string()
    }

    /// What was written to standard output; None where some of it was cut.
    #[getter]
    fn stdout_bytes<'py>(&self, py: Python<'py>) -> Option<Bound<'py, PyBytes>> {
        bytes(py, &self.inner().stdout)
    }

    /// What was written to standard error; None where some of it was cut.
    #[getter]
    fn stderr_bytes<'py>(&self, py: Python<'py>) -> Option<Bound<'py, PyBytes>> {
        bytes(py, &self.inner().stderr)
    }

    /// How long it took.
    #[getter]
    fn duration(&self) -> Duration {
        self.inner().duration
    }

    fn __reduce__<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyTuple>> {
        let host = HostReport::new(Arc::clone(&self.report), self.host);
        item_of(py, host, self.name())
    }

    fn __repr__(&self, py: Python<'_>) -> PyResult<String> {
        let (name, stdout) = (quoted(py, self.name())?, quoted(py, &self.stdout())?);
        Ok(format!(
            "<StageReport {name}: {}, stdout={stdout}>",
            self.status()
        ))
    }
}

fn bytes<'py>(py: Python<'py>, captured: &Captured) -> Option<Bound<'py, PyBytes>> {
    captured.bytes().map(|bytes| PyBytes::new(py, bytes))
}

/// How an object is pickled that another one has under a name.
fn item_of<'py>(
    py: Python<'py>,
    whole: impl IntoPyObject<'py>,
    name: &str,
) -> PyResult<Bound<'py, PyTuple>> {
    let item = py.import("operator")?.getattr("getitem")?;
    let whole = whole.into_bound_py_any(py)?;
    (item, (whole, name)).into_pyobject(py)
}

/// The exit status of a stage, where its command exited with one.
pub(crate) fn exit_status(stage: &clusterops::report::StageReport) -> Option<u32> {
    match stage.exit {
        Some(clusterops::Exit::Status(status)) => Some(status),
        _ => None,
    }
}
