//! Sealing, with public keys, and sealing anew, with a private one.

use clusterops::secrecy::ExposeSecret as _;
use clusterops::secrets::{self, Pointer, SealOptions, Value};
use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;
use pyo3::types::PyDict;

use crate::errors::raise;
use crate::identity::Identities;
use crate::recipients::{Whom, pinned};
use crate::runtime::{awaitable, wait};
use crate::sealed_file::Source;
use crate::secret::SecretText;

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

/// A document that has been sealed anew.
#[pyclass(module = "clusterops.secrets", frozen)]
#[derive(Debug)]
pub(crate) struct Resealed(secrets::Resealed);

#[pymethods]
impl Resealed {
    /// The document, and whom it is sealed for now.
    #[getter]
    fn sealed(&self) -> Sealed {
        Sealed(self.0.sealed.clone())
    }

    /// Who is no recipient any more, by thumbprint, and which values they could read until now: change these where they
    /// are used.
    #[getter]
    fn leavers<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let leavers = PyDict::new(py);
        for (key, paths) in &self.0.leavers {
            leavers.set_item(key.as_str(), texts(paths))?;
        }
        Ok(leavers)
    }

    /// The thumbprints of who is a recipient now of values that were sealed without them.
    #[getter]
    fn joiners(&self) -> Vec<String> {
        self.0.joiners.iter().map(ToString::to_string).collect()
    }

    fn __repr__(&self) -> String {
        let (leavers, joiners) = (self.0.leavers.len(), self.0.joiners.len());
        format!("<Resealed: {leavers} left, {joiners} joined>")
    }
}

/// Paths as texts.
pub(crate) fn texts(paths: &[Pointer]) -> Vec<String> {
    paths.iter().map(ToString::to_string).collect()
}

fn options(recipients: Whom, id: Option<&str>, pins: Option<&[String]>) -> PyResult<SealOptions> {
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
    let sealed = document
        .py()
        .detach(|| secrets::seal(&source.text, source.format, &options));
    source.outcome(sealed).map(Sealed)
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
    let sealed = document
        .py()
        .detach(|| secrets::seal_paths(&source.text, source.format, &paths, &options));
    source.outcome(sealed).map(Sealed)
}

/// A value to be sealed: a text, or bytes, which become base64.
pub(crate) struct NewValue(Value);

impl<'py> FromPyObject<'_, 'py> for NewValue {
    type Error = PyErr;

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
    let sealed = document
        .py()
        .detach(|| secrets::set(&source.text, source.format, &path, &value.0, &options));
    source.outcome(sealed).map(Sealed)
}

/// A call that seals a document anew.
struct Anew {
    source: Source,
    id: secrets::DocumentId,
    identities: Identities,
    options: SealOptions,
}

impl Anew {
    async fn reseal(self) -> PyResult<Resealed> {
        let Self { source, id, .. } = &self;
        let keys = self.identities.keys();
        let resealed = secrets::reseal(&source.text, source.format, id, &keys, &self.options).await;
        self.identities.or(source.outcome(resealed).map(Resealed))
    }

    async fn rotate(self) -> PyResult<Sealed> {
        let Self { source, id, .. } = &self;
        let keys = self.identities.keys();
        let sealed = secrets::rotate(&source.text, source.format, id, &keys, &self.options).await;
        self.identities.or(source.outcome(sealed).map(Sealed))
    }

    async fn compact(self) -> PyResult<Sealed> {
        let Self { source, id, .. } = &self;
        let keys = self.identities.keys();
        let sealed = secrets::compact(&source.text, source.format, id, &keys, &self.options).await;
        self.identities.or(source.outcome(sealed).map(Sealed))
    }
}

/// The two forms of a call that seals a document anew.
macro_rules! anew {
    ($method:ident, $returns:ty, $(#[$doc:meta])+ $blocking:ident, $(#[$awaited_doc:meta])+ $awaited:ident) => {
        $(#[$doc])+
        #[pyfunction]
        #[pyo3(signature = (document, identities, recipients, *, id = None, format = None, pins = None))]
        pub(crate) fn $blocking(
            document: &Bound<'_, PyAny>,
            identities: Vec<Bound<'_, PyAny>>,
            recipients: Whom,
            id: Option<&str>,
            format: Option<&str>,
            pins: Option<Vec<String>>,
        ) -> PyResult<$returns> {
            let source = Source::of(document, format)?;
            let anew = Anew {
                id: source.id(id)?,
                source,
                identities: Identities::blocking(identities)?,
                options: options(recipients, None, pins.as_deref())?,
            };
            wait(document.py(), anew.$method())
        }

        $(#[$awaited_doc])+
        #[pyfunction]
        #[pyo3(signature = (document, identities, recipients, *, id = None, format = None, pins = None))]
        pub(crate) fn $awaited<'py>(
            document: &Bound<'py, PyAny>,
            identities: Vec<Bound<'py, PyAny>>,
            recipients: Whom,
            id: Option<&str>,
            format: Option<&str>,
            pins: Option<Vec<String>>,
        ) -> PyResult<Bound<'py, PyAny>> {
            let source = Source::of(document, format)?;
            let anew = Anew {
                id: source.id(id)?,
                source,
                identities: Identities::awaited(identities)?,
                options: options(recipients, None, pins.as_deref())?,
            };
            awaitable(document.py(), anew.$method())
        }
    };
}

anew! { rotate, Sealed,
    /// Seals all values anew for the same recipients, with a new key.
    ///
    /// Raises
    /// ------
    /// DeniedError
    ///     None of the identities is a recipient, or the recipients are not those that the document is sealed for.
    rotate,
    /// As `rotate`, to be awaited.
    arotate
}

anew! { compact, Sealed,
    /// Merges the epochs that sealing with public keys has added into a new one; a document with one epoch keeps it.
    compact,
    /// As `compact`, to be awaited.
    acompact
}

/// What `reseal` takes, with the id that the document gets.
fn resealing(
    document: &Bound<'_, PyAny>,
    identities: Identities,
    recipients: Whom,
    id: Option<&str>,
    new_id: Option<&str>,
    format: Option<&str>,
    pins: Option<&[String]>,
) -> PyResult<Anew> {
    let source = Source::of(document, format)?;
    Ok(Anew {
        id: source.id(id)?,
        source,
        identities,
        options: options(recipients, new_id, pins)?,
    })
}

/// Seals all values anew for changed recipients, with a new key, or as another document.
///
/// Parameters
/// ----------
/// document : SealedFile or str
/// identities : sequence of PrivateKey or Identity
///     Who can open it now.
/// recipients : Recipients or dict
///     Who can open it afterwards.
/// id : str, optional
///     Which document it is; a file says so itself, where it has an ``id`` at its root.
/// new_id : str, optional
///     Which document it is to be sealed as.
/// format, pins
///     As for `seal`.
#[pyfunction]
#[pyo3(signature = (document, identities, recipients, *, id = None, new_id = None, format = None, pins = None))]
pub(crate) fn reseal(
    document: &Bound<'_, PyAny>,
    identities: Vec<Bound<'_, PyAny>>,
    recipients: Whom,
    id: Option<&str>,
    new_id: Option<&str>,
    format: Option<&str>,
    pins: Option<Vec<String>>,
) -> PyResult<Resealed> {
    let identities = Identities::blocking(identities)?;
    let anew = resealing(
        document,
        identities,
        recipients,
        id,
        new_id,
        format,
        pins.as_deref(),
    )?;
    wait(document.py(), anew.reseal())
}

/// As `reseal`, to be awaited.
#[pyfunction]
#[pyo3(signature = (document, identities, recipients, *, id = None, new_id = None, format = None, pins = None))]
pub(crate) fn areseal<'py>(
    document: &Bound<'py, PyAny>,
    identities: Vec<Bound<'py, PyAny>>,
    recipients: Whom,
    id: Option<&str>,
    new_id: Option<&str>,
    format: Option<&str>,
    pins: Option<Vec<String>>,
) -> PyResult<Bound<'py, PyAny>> {
    let identities = Identities::awaited(identities)?;
    let anew = resealing(
        document,
        identities,
        recipients,
        id,
        new_id,
        format,
        pins.as_deref(),
    )?;
    awaitable(document.py(), anew.reseal())
}
