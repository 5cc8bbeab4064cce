//! Texts that are shown to nobody who does not ask for them.

use clusterops::secrecy::{ExposeSecret as _, SecretString};
use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;

use crate::words::takes;

/// A text that is neither shown nor pickled; `reveal` gives it.
///
/// What takes a secret takes a ``str`` too.
///
/// Examples
/// --------
/// >>> from clusterops.secrets import Secret
/// >>> password = Secret("hunter2")
/// >>> f"{password} {[password]}"
/// '<Secret> [<Secret>]'
/// >>> password.reveal()
/// 'hunter2'
#[pyclass(module = "clusterops.secrets", frozen)]
#[derive(Debug)]
pub(crate) struct Secret(pub(crate) SecretString);

#[pymethods]
impl Secret {
    #[new]
    fn new(text: SecretText) -> Self {
        Self(text.0)
    }

    /// The text. From here on it is an ordinary ``str``, which Python does not overwrite.
    fn reveal(&self) -> &str {
        self.0.expose_secret()
    }

    fn __repr__(&self) -> &'static str {
        "<Secret>"
    }

    fn __reduce__(&self) -> PyResult<()> {
        Err(not_pickled("a secret"))
    }
}

/// The refusal to write something to where pickles go.
pub(crate) fn not_pickled(what: &str) -> PyErr {
    PyTypeError::new_err(format!("{what} is not pickled or copied"))
}

/// A text that is a secret, as Python gives it: a `Secret` or a `str`.
pub(crate) struct SecretText(pub(crate) SecretString);

impl<'py> FromPyObject<'_, 'py> for SecretText {
    type Error = PyErr;
    takes!("str | Secret");

    fn extract(value: Borrowed<'_, 'py, PyAny>) -> PyResult<Self> {
        if let Ok(secret) = value.cast::<Secret>() {
            return Ok(Self(secret.get().0.clone()));
        }
        match value.extract::<&str>() {
            Ok(text) => Ok(Self(text.into())),
            // Without the value, whatever it is.
            Err(_) => Err(PyTypeError::new_err("a secret is a str or a Secret")),
        }
    }
}
