//! What happens in a run, as it happens.

use clusterops::{Event, HostState};
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyTuple};

use crate::errors::Raised;
use crate::words::{quoted, word};

/// An event of a run with these stages; none for those that later versions add.
pub(crate) fn convert<'py>(
    py: Python<'py>,
    event: &Event,
    stages: &[String],
) -> PyResult<Option<Bound<'py, PyAny>>> {
    let event = match event {
        Event::Run(state) => Bound::new(py, RunEvent { state: word(state) })?.into_any(),
        Event::Host { host, state } => {
            let place = match state {
                HostState::Running { stage } | HostState::RollingBack { stage } => Some(*stage),
                HostState::Held { before } => Some(*before),
                _ => None,
            };
            let failure = match state {
                HostState::Failed { failure, .. } => Some(Raised::failure(host, failure)),
                _ => None,
            };
            let event = HostEvent {
                host: host.to_string(),
                state: word(state),
                stage: place.and_then(|place| stages.get(place).cloned()),
                is_final: state.is_final(),
                failure,
            };
            Bound::new(py, event)?.into_any()
        }
        Event::Output {
            host,
            stage,
            stream,
            bytes,
            skipped,
        } => {
            let event = OutputEvent {
                host: host.to_string(),
                stage: stage.to_string(),
                stream: word(stream),
                bytes: PyBytes::new(py, bytes).unbind(),
                skipped: *skipped,
            };
            Bound::new(py, event)?.into_any()
        }
        Event::Transfer {
            host,
            stage,
            progress,
        } => {
            let event = TransferEvent {
                host: host.to_string(),
                stage: stage.to_string(),
                bytes: progress.bytes,
                total: progress.total,
            };
            Bound::new(py, event)?.into_any()
        }
        _ => return Ok(None),
    };
    Ok(Some(event))
}

/// What makes an event again of its parts.
fn restore<'py, T>(event: &Bound<'py, T>) -> PyResult<Bound<'py, PyAny>> {
    event.as_any().get_type().getattr("_restore")
}

/// The run as a whole entered a state.
#[pyclass(module = "clusterops", frozen, get_all)]
pub(crate) struct RunEvent {
    /// ``running``, ``paused``, ``stopping``, ``cancelling``, ``aborting`` or ``finished``.
    state: String,
}

#[pymethods]
impl RunEvent {
    #[staticmethod]
    #[pyo3(signature = (state, /))]
    fn _restore(state: String) -> Self {
        Self { state }
    }

    fn __reduce__<'py>(slf: &Bound<'py, Self>) -> PyResult<(Bound<'py, PyAny>, (String,))> {
        Ok((restore(slf)?, (slf.get().state.clone(),)))
    }

    fn __repr__(&self) -> String {
        format!("<RunEvent {}>", self.state)
    }
}

/// A host entered a state; a reader that is late gets the latest only.
#[pyclass(module = "clusterops", frozen)]
pub(crate) struct HostEvent {
    /// The target's name.
    #[pyo3(get)]
    host: String,
    /// ``waiting``, ``connecting``, ``running``, ``held``, ``rolling_back``, ``succeeded`` or ``failed``.
    #[pyo3(get)]
    state: String,
    /// The stage that runs, is rolled back or comes next.
    #[pyo3(get)]
    stage: Option<String>,
    /// Whether the host has come to its end.
    #[pyo3(get)]
    is_final: bool,
    failure: Option<Raised>,
}

#[pymethods]
impl HostEvent {
    /// Why the host stopped, as an exception that can be raised.
    #[getter]
    fn failure<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyAny>>> {
        self.failure
            .as_ref()
            .map(|raised| raised.exception(py))
            .transpose()
    }

    #[staticmethod]
    #[pyo3(signature = (host, state, stage, is_final, failure, /))]
    fn _restore(
        host: String,
        state: String,
        stage: Option<String>,
        is_final: bool,
        failure: Option<Bound<'_, PyAny>>,
    ) -> PyResult<Self> {
        let failure = failure.as_ref().map(Raised::of_exception).transpose()?;
        Ok(Self {
            host,
            state,
            stage,
            is_final,
            failure,
        })
    }

    fn __reduce__<'py>(
        slf: &Bound<'py, Self>,
    ) -> PyResult<(Bound<'py, PyAny>, Bound<'py, PyTuple>)> {
        let (py, event) = (slf.py(), slf.get());
        let failure = event.failure(py)?;
        let parts = (
            &event.host,
            &event.state,
            &event.stage,
            event.is_final,
            failure,
        );
        Ok((restore(slf)?, parts.into_pyobject(py)?))
    }

    fn __repr__(&self, py: Python<'_>) -> PyResult<String> {
        Ok(format!(
            "<HostEvent {}: {}>",
            quoted(py, &self.host)?,
            self.state
        ))
    }
}

/// A host's command wrote something.
#[pyclass(module = "clusterops", frozen, get_all)]
pub(crate) struct OutputEvent {
    /// The target's name.
    host: String,
    /// The stage's name.
    stage: String,
    /// ``stdout`` or ``stderr``.
    stream: String,
    /// The bytes as they came, at any boundary.
    bytes: Py<PyBytes>,
    /// How many bytes of this host's output the reader missed right before these.
    skipped: u64,
}

#[pymethods]
impl OutputEvent {
    #[staticmethod]
    #[pyo3(signature = (host, stage, stream, bytes, skipped, /))]
    fn _restore(
        host: String,
        stage: String,
        stream: String,
        bytes: Py<PyBytes>,
        skipped: u64,
    ) -> Self {
        Self {
            host,
            stage,
            stream,
            bytes,
            skipped,
        }
    }

    fn __reduce__<'py>(
        slf: &Bound<'py, Self>,
    ) -> PyResult<(Bound<'py, PyAny>, Bound<'py, PyTuple>)> {
        let (py, event) = (slf.py(), slf.get());
        let parts = (
            &event.host,
            &event.stage,
            &event.stream,
            &event.bytes,
            event.skipped,
        );
        Ok((restore(slf)?, parts.into_pyobject(py)?))
    }

    fn __repr__(&self, py: Python<'_>) -> PyResult<String> {
        let (host, bytes) = (quoted(py, &self.host)?, self.bytes.bind(py).repr()?);
        Ok(format!("<OutputEvent {host} {}: {bytes}>", self.stream))
    }
}

/// Files are on their way to or from a host.
#[pyclass(module = "clusterops", frozen, get_all)]
pub(crate) struct TransferEvent {
    /// The target's name.
    host: String,
    /// The stage's name.
    stage: String,
    /// The bytes that are over.
    bytes: u64,
    /// The bytes of all files, as far as they are known yet.
    total: u64,
}

#[pymethods]
impl TransferEvent {
    #[staticmethod]
    #[pyo3(signature = (host, stage, bytes, total, /))]
    fn _restore(host: String, stage: String, bytes: u64, total: u64) -> Self {
        Self {
            host,
            stage,
            bytes,
            total,
        }
    }

    fn __reduce__<'py>(
        slf: &Bound<'py, Self>,
    ) -> PyResult<(Bound<'py, PyAny>, Bound<'py, PyTuple>)> {
        let (py, event) = (slf.py(), slf.get());
        let parts = (&event.host, &event.stage, event.bytes, event.total);
        Ok((restore(slf)?, parts.into_pyobject(py)?))
    }

    fn __repr__(&self, py: Python<'_>) -> PyResult<String> {
        Ok(format!(
            "<TransferEvent {}: {} of {}>",
            quoted(py, &self.host)?,
            self.bytes,
            self.total
        ))
    }
}
