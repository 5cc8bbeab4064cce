//! Sealing anew, with a private key: for the same recipients, or for others.

use clusterops::secrets::{self, SealOptions};
use pyo3::prelude::*;
use pyo3::types::PyDict;

use crate::call::Call;
use crate::identity::Identities;
use crate::recipients::Whom;
use crate::runtime::{awaitable, wait};
use crate::sealed_file::Source;
use crate::sealing::{Sealed, options, texts};

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
                identities: Identities::new(identities, Call::blocking())?,
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
                identities: Identities::new(identities, Call::awaited(document.py())?)?,
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
    let identities = Identities::new(identities, Call::blocking())?;
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
    let identities = Identities::new(identities, Call::awaited(document.py())?)?;
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
