//! What a command wrote and how it ended.

use clusterops::Exit;
use clusterops::report::Captured;
use clusterops::ssh::{Error, ErrorKind};
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyTuple};
use serde::{Deserialize, Serialize};

use crate::errors::raise;
use crate::words::{json, plain, quoted, restored};

/// What a command of a session wrote and how it ended: the first and the last 4 MiB of each output.
///
/// A command that fails is no error: look at `is_success`, or call `raise_for_failure`.
#[pyclass(module = "clusterops", frozen, eq)]
#[derive(Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Output {
    pub(crate) host: String,
    pub(crate) exit: Exit,
    pub(crate) stdout: Captured,
    pub(crate) stderr: Captured,
}

impl Output {
    pub(crate) fn of(host: &str, output: clusterops::session::Output) -> Self {
        Self {
            host: host.to_owned(),
            exit: output.exit,
            stdout: output.stdout,
            stderr: output.stderr,
        }
    }
}

#[pymethods]
impl Output {
    /// Reads what `to_json` wrote.
    #[staticmethod]
    fn from_json(text: &str) -> PyResult<Self> {
        restored("output", text)
    }

    /// The output as JSON, without loss.
    fn to_json(&self) -> PyResult<String> {
        json(self)
    }

    /// The output as a dictionary, as `to_json` names things.
    fn to_dict<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        plain(py, self)
    }

    fn __reduce__<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyTuple>> {
        let restore = py.get_type::<Self>().getattr("from_json")?;
        (restore, (self.to_json()?,)).into_pyobject(py)
    }

    /// The host's name.
    #[getter]
    fn host(&self) -> &str {
        &self.host
    }

    /// Whether it exited with status 0.
    #[getter]
    fn is_success(&self) -> bool {
        self.exit.is_success()
    }

    /// The exit status, where it exited with one.
    #[getter]
    fn exit_status(&self) -> Option<u32> {
        exit_status(&self.exit)
    }

    /// How it ended, as a sentence.
    #[getter]
    fn exit(&self) -> String {
        self.exit.to_string()
    }

    /// What was written to standard output, as text.
    #[getter]
    fn stdout(&self) -> String {
        self.stdout.to_string()
    }

    /// What was written to standard error, as text.
    #[getter]
    fn stderr(&self) -> String {
        self.stderr.to_string()
    }

    /// What was written to standard output; None where some of it was cut.
    #[getter]
    fn stdout_bytes<'py>(&self, py: Python<'py>) -> Option<Bound<'py, PyBytes>> {
        self.stdout.bytes().map(|bytes| PyBytes::new(py, bytes))
    }

    /// What was written to standard error; None where some of it was cut.
    #[getter]
    fn stderr_bytes<'py>(&self, py: Python<'py>) -> Option<Bound<'py, PyBytes>> {
        self.stderr.bytes().map(|bytes| PyBytes::new(py, bytes))
    }

    /// Raises `CommandError` unless it exited with status 0, with what it wrote to standard error.
    fn raise_for_failure(&self) -> PyResult<()> {
        if self.exit.is_success() {
            return Ok(());
        }
        let mut message = self.exit.to_string();
        let said = self.stderr.to_string_lossy();
        if !said.trim().is_empty() {
            message.push_str(": ");
            message.push_str(said.trim_end());
        }
        Err(raise(
            Error::new(ErrorKind::Command, message).on(&self.host),
        ))
    }

    fn __repr__(&self, py: Python<'_>) -> PyResult<String> {
        let (host, stdout) = (quoted(py, &self.host)?, quoted(py, &self.stdout())?);
        Ok(format!("<Output {host}: {}, stdout={stdout}>", self.exit))
    }
}

pub(crate) fn exit_status(exit: &Exit) -> Option<u32> {
    match exit {
        Exit::Status(status) => Some(*status),
        _ => None,
    }
}
