//! Whom to seal for.

use std::path::PathBuf;

use clusterops::secrets;
use pyo3::exceptions::PyKeyError;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyIterator, PyList};

use crate::errors::raise;
use crate::keys::PublicKey;
use crate::runtime::{aside, wait};
use crate::table::Table;
use crate::words::{quoted, takes};

/// Some recipients, each once, at least one: a mapping from names to their keys.
///
/// What takes recipients takes a ``dict`` of such keys too.
///
/// Examples
/// --------
/// >>> from clusterops.secrets import PrivateKey, Recipients
/// >>> recipients = Recipients({"ana": PrivateKey.generate(2048).public_key})
/// >>> recipients, len(recipients), recipients["ana"].bits
/// (<Recipients ana>, 1, 2048)
#[pyclass(module = "clusterops.secrets", frozen, eq)]
#[derive(Debug, PartialEq)]
pub(crate) struct Recipients(pub(crate) secrets::Recipients);

#[pymethods]
impl Recipients {
    #[new]
    fn new(recipients: Whom) -> Self {
        Self(recipients.0)
    }

    /// Checks that these are the keys with the given thumbprints, no more and no fewer.
    ///
    /// Raises
    /// ------
    /// DeniedError
    ///     With who came and who is missing.
    fn check_pins(&self, pins: Vec<String>) -> PyResult<()> {
        let pins = pinned(&pins)?;
        self.0.check_pins(&pins).map_err(raise)
    }

    fn __len__(&self) -> usize {
        self.0.iter().count()
    }

    fn __iter__<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyIterator>> {
        PyList::new(py, self.keys())?.as_any().try_iter()
    }

    fn __contains__(&self, name: &Bound<'_, PyAny>) -> bool {
        name.extract::<&str>().is_ok_and(|name| {
            let mut recipients = self.0.iter();
            recipients.any(|recipient| recipient.name == name)
        })
    }

    fn __getitem__(&self, name: &str) -> PyResult<PublicKey> {
        let found = self.0.iter().find(|recipient| recipient.name == name);
        found
            .map(|recipient| PublicKey(recipient.key.clone()))
            .ok_or_else(|| PyKeyError::new_err(name.to_owned()))
    }

    /// Their names, in order.
    fn keys(&self) -> Vec<String> {
        let recipients = self.0.iter();
        recipients.map(|recipient| recipient.name.clone()).collect()
    }

    fn __repr__(&self) -> String {
        format!("<Recipients {}>", self.keys().join(", "))
    }
}

/// Recipients as Python gives them.
pub(crate) struct Whom(pub(crate) secrets::Recipients);

impl<'py> FromPyObject<'_, 'py> for Whom {
    type Error = PyErr;
    takes!("Recipients | Mapping[str, PublicKey]");

    fn extract(value: Borrowed<'_, 'py, PyAny>) -> PyResult<Self> {
        if let Ok(recipients) = value.cast::<Recipients>() {
            return Ok(Self(recipients.get().0.clone()));
        }
        let keys: Table<Bound<'py, PublicKey>> = value.extract()?;
        let keys = keys
            .0
            .into_iter()
            .map(|(name, key)| (name, key.get().0.clone()));
        secrets::Recipients::new(keys).map(Self).map_err(raise)
    }
}

/// The thumbprints of the only recipients that are wanted.
pub(crate) fn pinned(pins: &[String]) -> PyResult<Vec<secrets::Thumbprint>> {
    pins.iter().map(|pin| pin.parse().map_err(raise)).collect()
}

/// A ``recipients.yaml``: who there is, and which files are sealed for whom.
///
/// Examples
/// --------
/// >>> import pathlib, tempfile
/// >>> from clusterops.secrets import PrivateKey, RecipientsFile
/// >>> key = PrivateKey.generate(2048).public_key
/// >>> with tempfile.TemporaryDirectory() as folder:
/// ...     path = pathlib.Path(folder, "recipients.yaml")
/// ...     _ = path.write_text(f"recipients: {{ana: {key.to_jwk()}}}")
/// ...     recipients = RecipientsFile.find(path.with_name("app.json")).for_path(path.with_name("app.json"))
/// >>> recipients["ana"] == key
/// True
#[pyclass(module = "clusterops.secrets", frozen)]
#[derive(Debug)]
pub(crate) struct RecipientsFile(pub(crate) secrets::RecipientsFile);

#[pymethods]
impl RecipientsFile {
    /// Reads a file, and the key files that it names.
    #[staticmethod]
    fn load(py: Python<'_>, path: PathBuf) -> PyResult<Self> {
        wait(py, aside(move || secrets::RecipientsFile::load(path))).map(Self)
    }

    /// Finds and reads the ``recipients.yaml`` beside a file or in the nearest folder above it.
    ///
    /// Raises
    /// ------
    /// LocalError
    ///     There is none.
    /// DeniedError
    ///     Others could have written it.
    #[staticmethod]
    fn find(py: Python<'_>, file: PathBuf) -> PyResult<Self> {
        wait(py, aside(move || secrets::RecipientsFile::find(file))).map(Self)
    }

    /// The recipients of a file, which need not exist yet.
    ///
    /// Raises
    /// ------
    /// DeniedError
    ///     No rule matches it.
    fn for_path(&self, file: PathBuf) -> PyResult<Recipients> {
        self.0.for_path(file).map(Recipients).map_err(raise)
    }

    /// Everybody in the file, with their keys.
    #[getter]
    fn recipients<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let recipients = PyDict::new(py);
        for (name, key) in self.0.recipients() {
            recipients.set_item(name, Bound::new(py, PublicKey(key.clone()))?)?;
        }
        Ok(recipients)
    }

    /// What the file calls the owner of the key with this thumbprint.
    fn name_of(&self, thumbprint: &str) -> PyResult<Option<&str>> {
        Ok(self.0.name_of(&thumbprint.parse().map_err(raise)?))
    }

    /// The file that it was read from.
    #[getter]
    fn path(&self) -> PathBuf {
        self.0.path().to_owned()
    }

    fn __repr__(&self, py: Python<'_>) -> PyResult<String> {
        let path = quoted(py, &self.0.path().to_string_lossy())?;
        Ok(format!("<RecipientsFile {path}>"))
    }
}
