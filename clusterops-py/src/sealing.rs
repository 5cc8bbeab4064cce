//! Sealing, with public keys.

use clusterops::secrecy::ExposeSecret as _;
use clusterops::secrets::{self, Format, Pointer, SealOptions, Value};
use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;
use pyo3::types::PyDict;

use crate::errors::raise;
use crate::recipients::{Whom, pinned};
use crate::runtime::{aside, wait};
use crate::sealed_file::Source;
use crate::secret::SecretText;
use crate::words::takes;

/// A document with sealed values.
#[pyclass(module = "clusterops.secrets", frozen)]
#[derive(Debug)]
pub(crate) struct Sealed(pub(crate) secrets::Sealed);

#[pymethods]
impl Sealed {
    /// The new text; it can still hold secrets that nobody marked.
    #[getter]
    fn text(&self) -> &str {
        &self.0.text
    }

    /// The paths of the values that this call sealed.
    #[getter]
    fn values(&self) -> Vec<String> {
        texts(&self.0.values)
    }

    /// Whom it sealed them for: names, and the thumbprints of their keys.
    #[getter]
    fn recipients<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let recipients = PyDict::new(py);
        for (name, key) in &self.0.recipients {
            recipients.set_item(name, key.as_str())?;
        }
        Ok(recipients)
    }

    /// What speaks against some of the recipients' keys, by name.
    #[getter]
    fn warnings<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let warnings = PyDict::new(py);
        for (name, warning) in &self.0.warnings {
            warnings.set_item(name, warning.to_string())?;
        }
        Ok(warnings)
    }

    /// What else is marked to be sealed, and stays in plain text.
    #[getter]
    fn unsealed(&self) -> Vec<Unsealed> {
        self.0.unsealed.iter().cloned().map(Unsealed).collect()
    }

    fn __repr__(&self) -> String {
        format!("<Sealed {}>", self.values().join(", "))
    }
}

/// Something in a document that is marked to be sealed and has not been.
#[pyclass(module = "clusterops.secrets", frozen)]
#[derive(Debug)]
pub(crate) struct Unsealed(secrets::Unsealed);

#[pymethods]
impl Unsealed {
    /// The value that it is, or is a part of; None in a key or a comment.
    #[getter]
    fn path(&self) -> Option<&str> {
        self.0.path.as_ref().map(Pointer::as_str)
    }

    /// The line in the text that was given, counted from 1.
    #[getter]
    fn line(&self) -> usize {
        self.0.line
    }

    /// The column there, counted from 1.
    #[getter]
    fn column(&self) -> usize {
        self.0.column
    }

    /// What it is, and what to do, in one sentence.
    #[getter]
    fn message(&self) -> &str {
        &self.0.message
    }

    fn __str__(&self) -> String {
        self.0.to_string()
    }

    fn __repr__(&self) -> String {
        format!("<Unsealed {}>", self.0)
    }
}

/// Paths as texts.
pub(crate) fn texts(paths: &[Pointer]) -> Vec<String> {
    paths.iter().map(ToString::to_string).collect()
}

/// What to seal for, and as what.
pub(crate) fn options(
    recipients: Whom,
    id: Option<&str>,
    pins: Option<&[String]>,
) -> PyResult<SealOptions> {
    let mut options = SealOptions::new(recipients.0);
    if let Some(id) = id {
        options = options.document(id.parse().map_err(raise)?);
    }
    if let Some(pins) = pins {
        options = options.pins(pinned(pins)?);
    }
    Ok(options)
}

/// Seals every value that is marked ``ENC[name:value]``, wherever it stands. Needs public keys only.
///
/// Parameters
/// ----------
/// document : SealedFile or str
/// recipients : Recipients or dict
/// id : str, optional
///     Which document it is sealed as, where it has no ``id`` at its root.
/// format : {'json', 'yaml', 'dotenv'}, optional
///     The format of a text; JSON, where it is left out.
/// pins : sequence of str, optional
///     The thumbprints of the only recipients that are wanted.
///
/// Raises
/// ------
/// InvalidError
///     The document cannot be read, has no id, or a marker in it is not a whole value.
/// DeniedError
///     The recipients are not the pinned ones.
///
/// Examples
/// --------
/// >>> from clusterops.secrets import PrivateKey, seal
/// >>> ana = PrivateKey.generate(2048).public_key
/// >>> sealed = seal('{"id": "/shop", "env": {"DB": "ENC[db:hunter2]", "ZONE": "a"}}', {"ana": ana})
/// >>> sealed, "hunter2" in sealed.text
/// (<Sealed /env/DB>, False)
#[pyfunction]
#[pyo3(signature = (document, recipients, *, id = None, format = None, pins = None))]
pub(crate) fn seal(
    document: &Bound<'_, PyAny>,
    recipients: Whom,
    id: Option<&str>,
    format: Option<&str>,
    pins: Option<Vec<String>>,
) -> PyResult<Sealed> {
    let source = Source::of(document, format)?;
    let options = options(recipients, id, pins.as_deref())?;
    sealed_aside(document.py(), source, move |text, format| {
        secrets::seal(text, format, &options)
    })
}

/// Seals the values at these paths, marked or not: strings, numbers and booleans, which keep their type.
///
/// Paths are JSON Pointers such as ``/env/DB``; the other parameters are those of `seal`.
#[pyfunction]
#[pyo3(signature = (document, paths, recipients, *, id = None, format = None, pins = None))]
pub(crate) fn seal_paths(
    document: &Bound<'_, PyAny>,
    paths: Vec<String>,
    recipients: Whom,
    id: Option<&str>,
    format: Option<&str>,
    pins: Option<Vec<String>>,
) -> PyResult<Sealed> {
    let source = Source::of(document, format)?;
    let options = options(recipients, id, pins.as_deref())?;
    let paths: Vec<Pointer> = paths
        .iter()
        .map(|path| path.parse().map_err(raise))
        .collect::<PyResult<_>>()?;
    sealed_aside(document.py(), source, move |text, format| {
        secrets::seal_paths(text, format, &paths, &options)
    })
}

/// A value to be sealed: a text, or bytes, which become base64.
pub(crate) struct NewValue(Value);

impl<'py> FromPyObject<'_, 'py> for NewValue {
    type Error = PyErr;
    takes!("str | bytes | Secret");

    fn extract(value: Borrowed<'_, 'py, PyAny>) -> PyResult<Self> {
        if let Ok(bytes) = value.cast::<pyo3::types::PyBytes>() {
            return Ok(Self(Value::binary(bytes.as_bytes())));
        }
        let text: SecretText = value.extract().map_err(|_| {
            let message = "a value to be sealed is a str, a Secret or bytes";
            PyTypeError::new_err(message)
        })?;
        Ok(Self(Value::text(text.0.expose_secret())))
    }
}

/// Adds or replaces one value, with public keys only; what is missing around it is added too.
///
/// The value is a ``str`` or a `Secret`, or ``bytes``, which become base64; the other parameters are those of `seal`.
#[pyfunction]
#[pyo3(signature = (document, path, value, recipients, *, id = None, format = None, pins = None))]
pub(crate) fn set(
    document: &Bound<'_, PyAny>,
    path: &str,
    value: NewValue,
    recipients: Whom,
    id: Option<&str>,
    format: Option<&str>,
    pins: Option<Vec<String>>,
) -> PyResult<Sealed> {
    let source = Source::of(document, format)?;
    let options = options(recipients, id, pins.as_deref())?;
    let path: Pointer = path.parse().map_err(raise)?;
    sealed_aside(document.py(), source, move |text, format| {
        secrets::set(text, format, &path, &value.0, &options)
    })
}

/// Seals a document where Ctrl-C is seen meanwhile.
fn sealed_aside(
    py: Python<'_>,
    source: Source,
    seal: impl FnOnce(&str, Format) -> secrets::Result<secrets::Sealed> + Send + 'static,
) -> PyResult<Sealed> {
    let sealed = aside(move || source.named(seal(&source.text, source.format)));
    wait(py, sealed).map(Sealed)
}
