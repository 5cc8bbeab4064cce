//! Values as Python users write them: words, spans of time, paths.

use std::time::Duration;

use pyo3::exceptions::{PyTypeError, PyValueError};
use pyo3::prelude::*;
use serde::Serialize;

use crate::errors::Raised;

/// What Python may give where a type is read from it that decides by itself: a type as the stubs write it, for the check
/// that compares them with what is compiled.
macro_rules! takes {
    ($annotation:literal) => {
        #[cfg(feature = "stubs")]
        const INPUT_TYPE: pyo3::inspect::PyStaticExpr =
            pyo3::inspect::PyStaticExpr::Name { id: $annotation };
    };
}

pub(crate) use takes;

/// `HostKey` as `host_key`.
pub(crate) fn snake_case(name: &str) -> String {
    let mut text = String::new();
    for letter in name.chars() {
        if letter.is_uppercase() && !text.is_empty() {
            text.push('_');
        }
        text.extend(letter.to_lowercase());
    }
    text
}

/// The word by which a value is known in JSON; for one that holds more, its name there.
pub(crate) fn word(value: &impl Serialize) -> String {
    match serde_json::to_value(value) {
        Ok(serde_json::Value::String(word)) => word,
        Ok(serde_json::Value::Object(object)) => object.keys().next().cloned().unwrap_or_default(),
        _ => String::new(),
    }
}

/// Reads a value from its word in JSON, and names the words that there are where it is none of them.
pub(crate) fn from_word<T: serde::de::DeserializeOwned>(what: &str, text: &str) -> PyResult<T> {
    serde_json::from_value(serde_json::Value::String(text.to_owned()))
        .map_err(|error| PyValueError::new_err(format!("{what}: {error}")))
}

/// Any plain data as Python has it: dictionaries, lists, text and numbers.
pub(crate) fn plain<'py>(py: Python<'py>, value: &impl Serialize) -> PyResult<Bound<'py, PyAny>> {
    let text = json(value)?;
    py.import("json")?.call_method1("loads", (text,))
}

/// Any plain data as JSON.
pub(crate) fn json(value: &impl Serialize) -> PyResult<String> {
    serde_json::to_string(value).map_err(|error| PyValueError::new_err(error.to_string()))
}

/// Reads what [`json`] wrote; errors say what it was to be.
pub(crate) fn restored<T: serde::de::DeserializeOwned>(what: &str, text: &str) -> PyResult<T> {
    serde_json::from_str(text).map_err(|error| Raised::invalid(format!("{what}: {error}")).into())
}

/// A span of time: a `timedelta`, or a number of seconds.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Span(pub(crate) Duration);

impl<'py> FromPyObject<'_, 'py> for Span {
    type Error = PyErr;
    takes!("timedelta | float");

    fn extract(value: Borrowed<'_, 'py, PyAny>) -> PyResult<Self> {
        let seconds = match value.extract::<f64>() {
            Ok(seconds) => seconds,
            Err(_) => match value.getattr("total_seconds") {
                Ok(method) => method.call0()?.extract()?,
                Err(_) => {
                    let message = "a span of time is a timedelta or a number of seconds";
                    return Err(PyTypeError::new_err(message));
                }
            },
        };
        Duration::try_from_secs_f64(seconds)
            .map(Self)
            .map_err(|error| PyValueError::new_err(format!("{seconds} seconds: {error}")))
    }
}

impl From<Span> for Duration {
    fn from(span: Span) -> Self {
        span.0
    }
}

/// A Python string as Python would write it.
pub(crate) fn quoted(py: Python<'_>, text: &str) -> PyResult<String> {
    pyo3::types::PyString::new(py, text).repr()?.extract()
}

/// A path on a host: a text or a path of any kind, such as a `PurePosixPath`.
#[derive(Debug)]
pub(crate) struct RemotePath(pub(crate) String);

impl<'py> FromPyObject<'_, 'py> for RemotePath {
    type Error = PyErr;
    takes!("str | PathLike[str]");

    fn extract(value: Borrowed<'_, 'py, PyAny>) -> PyResult<Self> {
        let path = value.py().import("os")?.call_method1("fspath", (value,))?;
        path.extract().map(Self)
    }
}

/// The words of a command: any sequence of strings that is not itself a string.
#[derive(Debug)]
pub(crate) struct Words(pub(crate) Vec<String>);

impl<'py> FromPyObject<'_, 'py> for Words {
    type Error = PyErr;
    takes!("Sequence[str]");

    fn extract(value: Borrowed<'_, 'py, PyAny>) -> PyResult<Self> {
        value.extract().map(Self).map_err(|_| {
            let message = "words are a list of strings; a line for a shell is none";
            PyTypeError::new_err(message)
        })
    }
}
