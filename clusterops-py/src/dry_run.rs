//! What a deploy would change.

use clusterops::deploy::{self, ChangeKind};
use clusterops::secrets::Pointer;
use pyo3::prelude::*;

use crate::call::Call;
use crate::deploy::{Marathon, clients};
use crate::errors::{Raised, raise};
use crate::identity::Identities;
use crate::runtime::{awaitable, wait};
use crate::sealed_file::SealedFile;
use crate::sealing::texts;
use crate::words::snake_case;

/// What a deploy of a file to one Marathon would change; its text is a diff without a secret in it.
#[pyclass(module = "clusterops.deploy", frozen)]
#[derive(Debug)]
pub(crate) struct DryRun(deploy::DryRun);

#[pymethods]
impl DryRun {
    /// The digest of the file that was looked at, which ``Deploy(reviewed=...)`` takes.
    #[getter]
    fn digest(&self) -> String {
        self.0.digest.to_string()
    }

    /// The id of the document.
    #[getter]
    fn document(&self) -> &str {
        self.0.document.as_str()
    }

    /// The Marathon's URL.
    #[getter]
    fn marathon(&self) -> &str {
        &self.0.marathon
    }

    /// Why it is not known how the document differs from what runs there, as an exception that can be raised.
    #[getter]
    fn error<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyAny>>> {
        let error = self.0.result.as_ref().err();
        error
            .map(|error| Raised::from(error).exception(py))
            .transpose()
    }

    /// Whether there is no such app yet.
    #[getter]
    fn is_new(&self) -> bool {
        self.0.result.as_ref().is_ok_and(|found| found.is_new)
    }

    /// The differences, sorted by path.
    #[getter]
    fn changes(&self) -> Vec<Change> {
        let found = self.0.result.iter();
        found
            .flat_map(|found| found.changes.iter().cloned().map(Change))
            .collect()
    }

    /// The paths where the running app has the very value that is sealed; none without identities.
    #[getter]
    fn unchanged(&self) -> Vec<String> {
        let found = self.0.result.as_ref().ok();
        found.map_or_else(Vec::new, |found| texts(&found.unchanged))
    }

    fn __str__(&self) -> String {
        self.0.to_string()
    }

    fn __repr__(&self) -> String {
        format!("<DryRun of {} at {}>", self.0.document, self.0.marathon)
    }
}

/// One difference between a document and the running app.
#[pyclass(module = "clusterops.deploy", frozen)]
#[derive(Debug)]
pub(crate) struct Change(deploy::Change);

#[pymethods]
impl Change {
    /// Where, as a JSON Pointer.
    #[getter]
    fn path(&self) -> &str {
        Pointer::as_str(&self.0.path)
    }

    /// ``added``, ``changed``, ``removed``, ``unmentioned`` or ``sealed``.
    #[getter]
    fn kind(&self) -> String {
        snake_case(match self.0.kind {
            ChangeKind::Added => "Added",
            ChangeKind::Changed => "Changed",
            ChangeKind::Removed => "Removed",
            ChangeKind::Unmentioned => "Unmentioned",
            ChangeKind::Sealed => "Sealed",
            _ => "Other",
        })
    }

    /// Whether the document has a sealed value there.
    #[getter]
    fn is_sealed(&self) -> bool {
        self.0.is_sealed
    }

    /// What stands there now, as JSON, if it can be shown.
    #[getter]
    fn before(&self) -> Option<&str> {
        self.0.before.as_deref()
    }

    /// What the document says, as JSON, if it can be shown.
    #[getter]
    fn after(&self) -> Option<&str> {
        self.0.after.as_deref()
    }

    fn __str__(&self) -> String {
        self.0.to_string()
    }

    fn __repr__(&self) -> String {
        format!("<Change {}>", self.0)
    }
}

/// The future of both forms of a dry run.
async fn comparing(
    file: clusterops::SealedFile,
    identities: Identities,
    marathons: Vec<clusterops::marathon::Marathon>,
) -> PyResult<Vec<DryRun>> {
    let keys = identities.keys();
    let compared = deploy::dry_run(&file, &keys, &marathons).await;
    let compared = identities.or(compared.map_err(raise))?;
    Ok(compared.into_iter().map(DryRun).collect())
}

/// Compares a file with the app that runs at each of these Marathons, and changes nothing there.
///
/// Parameters
/// ----------
/// file : SealedFile
/// identities : sequence of PrivateKey or Identity
///     With them it is told which values differ; without, values are only named.
/// marathons : sequence of Marathon
///
/// Raises
/// ------
/// InvalidError
///     The file is no definition of an app that could be deployed, or no Marathon is given.
#[pyfunction]
pub(crate) fn dry_run(
    py: Python<'_>,
    file: &SealedFile,
    identities: Vec<Bound<'_, PyAny>>,
    marathons: Vec<Bound<'_, Marathon>>,
) -> PyResult<Vec<DryRun>> {
    let identities = Identities::new(identities, Call::blocking())?;
    wait(
        py,
        comparing(file.0.clone(), identities, clients(&marathons)?),
    )
}

/// As `dry_run`, to be awaited.
#[pyfunction]
pub(crate) fn adry_run<'py>(
    py: Python<'py>,
    file: &SealedFile,
    identities: Vec<Bound<'py, PyAny>>,
    marathons: Vec<Bound<'py, Marathon>>,
) -> PyResult<Bound<'py, PyAny>> {
    let identities = Identities::new(identities, Call::awaited(py)?)?;
    awaitable(
        py,
        comparing(file.0.clone(), identities, clients(&marathons)?),
    )
}
