//! Opening: what recipients do.

use std::fmt;

use clusterops::secrets::{self, Pointer};
use pyo3::exceptions::PyKeyError;
use pyo3::prelude::*;
use pyo3::types::PyDict;

use crate::call::Call;
use crate::errors::raise;
use crate::identity::Identities;
use crate::runtime::{awaitable, wait};
use crate::sealed_file::Source;
use crate::secret::{Secret, not_pickled};

/// A document with its values opened, in memory only: neither shown nor pickled.
///
/// ``opened["/env/DB"]`` is the `Secret` that was sealed there.
#[pyclass(module = "clusterops.secrets", frozen)]
#[derive(Debug)]
pub(crate) struct Opened(pub(crate) secrets::Opened);

#[pymethods]
impl Opened {
    /// The document as it was before anything was sealed.
    #[getter]
    fn text(&self) -> Secret {
        Secret(self.0.text().clone())
    }

    /// ``json``, ``yaml`` or ``dotenv``.
    #[getter]
    fn format(&self) -> &'static str {
        self.0.format().name()
    }

    /// The values that were sealed, by their paths.
    #[getter]
    fn values<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let values = PyDict::new(py);
        for (path, value) in self.0.values() {
            let value = Bound::new(py, Secret(value.clone()))?;
            values.set_item(path.as_str(), value)?;
        }
        Ok(values)
    }

    fn __getitem__(&self, path: &str) -> PyResult<Secret> {
        let mut values = self.0.values();
        let found = values.find(|(known, _)| known.as_str() == path);
        found
            .map(|(_, value)| Secret(value.clone()))
            .ok_or_else(|| PyKeyError::new_err(path.to_owned()))
    }

    /// The environment that the document describes, sealed values and others: all of a dotenv file, the object ``env`` of
    /// JSON and YAML.
    ///
    /// Raises
    /// ------
    /// InvalidError
    ///     There is no such object, or a sealed value stands deeper in it than variables do.
    fn environment<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let variables = PyDict::new(py);
        for (name, value) in self.0.environment().map_err(raise)? {
            variables.set_item(name, Bound::new(py, Secret(value))?)?;
        }
        Ok(variables)
    }

    fn __repr__(&self) -> String {
        let paths: Vec<&str> = self.0.values().map(|(path, _)| path.as_str()).collect();
        format!("<Opened {}>", paths.join(", "))
    }

    fn __reduce__(&self) -> PyResult<()> {
        Err(not_pickled("an opened document"))
    }
}

/// A call that opens all of a document, or one value of it.
struct Opening {
    source: Source,
    id: secrets::DocumentId,
    identities: Identities,
}

impl Opening {
    fn new(
        document: &Bound<'_, PyAny>,
        identities: Identities,
        id: Option<&str>,
        format: Option<&str>,
    ) -> PyResult<Self> {
        let source = Source::of(document, format)?;
        Ok(Self {
            id: source.id(id)?,
            source,
            identities,
        })
    }

    async fn all(self) -> PyResult<Opened> {
        let (source, keys) = (&self.source, self.identities.keys());
        let opened = secrets::open(&source.text, source.format, &self.id, &keys).await;
        self.identities.or(source.outcome(opened).map(Opened))
    }

    async fn one(self, path: Pointer) -> PyResult<Secret> {
        let (source, keys) = (&self.source, self.identities.keys());
        let value = secrets::extract(&source.text, source.format, &self.id, &path, &keys).await;
        self.identities.or(source.outcome(value).map(Secret))
    }
}

impl fmt::Debug for Opening {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Opening")
            .field("id", &self.id)
            .finish_non_exhaustive()
    }
}

/// Opens all values of a document that is expected to be the one of this id.
///
/// Parameters
/// ----------
/// document : SealedFile or str
/// identities : sequence of PrivateKey or Identity
/// id : str, optional
///     Which document is expected; a file says so itself, where it has an ``id`` at its root.
/// format : {'json', 'yaml', 'dotenv'}, optional
///     The format of a text; JSON, where it is left out.
///
/// Raises
/// ------
/// DeniedError
///     None of the identities is a recipient, or something does not authenticate.
/// InvalidError
///     It is another document, cannot be read, or a value is marked and has not been sealed.
///
/// Examples
/// --------
/// >>> from clusterops.secrets import PrivateKey, open, seal
/// >>> key = PrivateKey.generate(2048)
/// >>> sealed = seal('{"id": "/shop", "env": {"DB": "ENC[db:hunter2]"}}', {"ana": key.public_key})
/// >>> opened = open(sealed.text, [key], id="/shop")
/// >>> opened, opened.environment()
/// (<Opened /env/DB>, {'DB': <Secret>})
/// >>> opened["/env/DB"].reveal()
/// 'hunter2'
#[pyfunction]
#[pyo3(signature = (document, identities, *, id = None, format = None))]
pub(crate) fn open(
    document: &Bound<'_, PyAny>,
    identities: Vec<Bound<'_, PyAny>>,
    id: Option<&str>,
    format: Option<&str>,
) -> PyResult<Opened> {
    let identities = Identities::new(identities, Call::blocking())?;
    let opening = Opening::new(document, identities, id, format)?;
    wait(document.py(), opening.all())
}

/// As `open`, to be awaited.
#[pyfunction]
#[pyo3(signature = (document, identities, *, id = None, format = None))]
pub(crate) fn aopen<'py>(
    document: &Bound<'py, PyAny>,
    identities: Vec<Bound<'py, PyAny>>,
    id: Option<&str>,
    format: Option<&str>,
) -> PyResult<Bound<'py, PyAny>> {
    let identities = Identities::new(identities, Call::awaited(document.py())?)?;
    let opening = Opening::new(document, identities, id, format)?;
    awaitable(document.py(), opening.all())
}

/// Opens the one value at a path; of the others, those that are still marked to be sealed are no hindrance.
///
/// The path is a JSON Pointer such as ``/env/DB``; the other parameters are those of `open`.
#[pyfunction]
#[pyo3(signature = (document, path, identities, *, id = None, format = None))]
pub(crate) fn extract(
    document: &Bound<'_, PyAny>,
    path: &str,
    identities: Vec<Bound<'_, PyAny>>,
    id: Option<&str>,
    format: Option<&str>,
) -> PyResult<Secret> {
    let path = path.parse().map_err(raise)?;
    let identities = Identities::new(identities, Call::blocking())?;
    let opening = Opening::new(document, identities, id, format)?;
    wait(document.py(), opening.one(path))
}

/// As `extract`, to be awaited.
#[pyfunction]
#[pyo3(signature = (document, path, identities, *, id = None, format = None))]
pub(crate) fn aextract<'py>(
    document: &Bound<'py, PyAny>,
    path: &str,
    identities: Vec<Bound<'py, PyAny>>,
    id: Option<&str>,
    format: Option<&str>,
) -> PyResult<Bound<'py, PyAny>> {
    let path = path.parse().map_err(raise)?;
    let identities = Identities::new(identities, Call::awaited(document.py())?)?;
    let opening = Opening::new(document, identities, id, format)?;
    awaitable(document.py(), opening.one(path))
}
