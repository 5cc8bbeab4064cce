//! Looking at sealed documents, and merging them.

use std::path::PathBuf;

use clusterops::secrets::{self, CheckOptions, FindingKind, Pointer};
use pyo3::prelude::*;

use crate::call::Call;
use crate::errors::raise;
use crate::identity::Identities;
use crate::recipients::RecipientsFile;
use crate::runtime::{aside, awaitable, wait};
use crate::sealed_file::{Source, format_named};
use crate::sealing::texts;
use crate::words::snake_case;

/// A document with short names in place of sealed values, and which epochs it has: who can open how many of them.
///
/// It needs no key, shows nothing that was sealed or is marked, and takes documents that cannot be read.
///
/// Parameters
/// ----------
/// document : SealedFile or str
/// names : RecipientsFile, optional
///     Says what the owners of keys are called.
/// format : {'json', 'yaml', 'dotenv'}, optional
///     The format of a text; JSON, where it is left out.
///
/// Examples
/// --------
/// >>> from clusterops.secrets import show
/// >>> show('{"env": {"DB": "ENC[db:hunter2]"}}')
/// '{"env": {"DB": "ENC[not sealed yet]"}}'
#[pyfunction]
#[pyo3(signature = (document, *, names = None, format = None))]
pub(crate) fn show(
    document: &Bound<'_, PyAny>,
    names: Option<&RecipientsFile>,
    format: Option<&str>,
) -> PyResult<String> {
    let source = Source::of(document, format)?;
    let names = names.map(|names| &names.0);
    Ok(secrets::show(&source.text, source.format, names))
}

/// Something that should not stand so in a file; its text is ``file:line:column: path: what``.
#[pyclass(module = "clusterops.secrets", frozen)]
#[derive(Debug)]
pub(crate) struct Finding(secrets::Finding);

#[pymethods]
impl Finding {
    /// The file.
    #[getter]
    fn file(&self) -> PathBuf {
        self.0.file.clone()
    }

    /// The line, from 1; 0 when it is about all of the file, or about a folder.
    #[getter]
    fn line(&self) -> usize {
        self.0.line
    }

    /// The column, from 1; 0 as the line is.
    #[getter]
    fn column(&self) -> usize {
        self.0.column
    }

    /// Where in the document, if it is about one value.
    #[getter]
    fn path(&self) -> Option<&str> {
        self.0.path.as_ref().map(Pointer::as_str)
    }

    /// ``not_sealed``, ``stray_marker``, ``plaintext``, ``password_in_url``, ``private_key``, ``broken``,
    /// ``other_recipients`` or ``not_checked``.
    #[getter]
    fn kind(&self) -> String {
        snake_case(match &self.0.kind {
            FindingKind::NotSealed => "NotSealed",
            FindingKind::StrayMarker(_) => "StrayMarker",
            FindingKind::Plaintext => "Plaintext",
            FindingKind::PasswordInUrl => "PasswordInUrl",
            FindingKind::PrivateKey => "PrivateKey",
            FindingKind::Broken(_) => "Broken",
            FindingKind::OtherRecipients(_) => "OtherRecipients",
            FindingKind::NotChecked(_) => "NotChecked",
            _ => "Other",
        })
    }

    fn __str__(&self) -> String {
        self.0.to_string()
    }

    fn __repr__(&self) -> String {
        format!("<Finding {}>", self.0)
    }
}

/// Looks through a file or a tree of them for what should be sealed, as before a commit. No key is needed.
///
/// Parameters
/// ----------
/// root : str or os.PathLike
/// secret_words : sequence of str, optional
///     Values are secrets whose names hold one of these words too.
/// skip : sequence of str, optional
///     Names of files and folders that are left out too.
///
/// Raises
/// ------
/// LocalError
///     There is nothing at the root that can be read.
#[pyfunction]
#[pyo3(signature = (root, *, secret_words = None, skip = None))]
pub(crate) fn check(
    py: Python<'_>,
    root: PathBuf,
    secret_words: Option<Vec<String>>,
    skip: Option<Vec<String>>,
) -> PyResult<Vec<Finding>> {
    let mut options = CheckOptions::default();
    for word in secret_words.unwrap_or_default() {
        options = options.secret_word(word);
    }
    for name in skip.unwrap_or_default() {
        options = options.skip(name);
    }
    let findings = wait(py, aside(move || secrets::check(root, &options)))?;
    Ok(findings.into_iter().map(Finding).collect())
}

/// What a merge came to.
#[pyclass(module = "clusterops.secrets", frozen)]
#[derive(Debug)]
pub(crate) struct Merged(secrets::Merged);

#[pymethods]
impl Merged {
    /// The merged document, with git's conflict markers around lines that conflict.
    #[getter]
    fn text(&self) -> &str {
        &self.0.text
    }

    /// The paths of the sealed values that somebody has to decide about.
    #[getter]
    fn conflicts(&self) -> Vec<String> {
        texts(&self.0.conflicts)
    }

    /// Whether there are conflict markers in the text.
    #[getter]
    fn has_line_conflicts(&self) -> bool {
        self.0.has_line_conflicts
    }

    /// Whether nothing is left to be decided.
    #[getter]
    fn is_clean(&self) -> bool {
        self.0.is_clean()
    }

    fn __repr__(&self) -> &'static str {
        match self.0.is_clean() {
            true => "<Merged, clean>",
            false => "<Merged, with conflicts>",
        }
    }
}

/// Merges two documents that come from a third, as a git merge driver does. Sealed values are moved as they are.
///
/// Parameters
/// ----------
/// base, ours, theirs : str
/// format : {'json', 'yaml', 'dotenv'}, optional
///     JSON, where it is left out.
#[pyfunction]
#[pyo3(signature = (base, ours, theirs, *, format = None))]
pub(crate) fn merge(
    py: Python<'_>,
    base: &str,
    ours: &str,
    theirs: &str,
    format: Option<&str>,
) -> PyResult<Merged> {
    let format = format_named(format)?;
    let merged = py.detach(|| secrets::merge(base, ours, theirs, format));
    merged.map(Merged).map_err(raise)
}

/// The future of both forms of merging by what values say.
async fn merging(
    [base, ours, theirs]: [String; 3],
    format: secrets::Format,
    id: secrets::DocumentId,
    identities: Identities,
) -> PyResult<Merged> {
    let keys = identities.keys();
    let merged = secrets::merge_opened(&base, &ours, &theirs, format, &id, &keys).await;
    identities.or(merged.map(Merged).map_err(raise))
}

/// Merges as `merge` does, by what the values say: one that was sealed anew and says the same has not changed.
#[pyfunction]
#[pyo3(signature = (base, ours, theirs, identities, *, id, format = None))]
pub(crate) fn merge_opened(
    py: Python<'_>,
    base: String,
    ours: String,
    theirs: String,
    identities: Vec<Bound<'_, PyAny>>,
    id: &str,
    format: Option<&str>,
) -> PyResult<Merged> {
    let (format, id) = (format_named(format)?, id.parse().map_err(raise)?);
    let identities = Identities::new(identities, Call::blocking())?;
    wait(py, merging([base, ours, theirs], format, id, identities))
}

/// As `merge_opened`, to be awaited.
#[pyfunction]
#[pyo3(signature = (base, ours, theirs, identities, *, id, format = None))]
pub(crate) fn amerge_opened<'py>(
    py: Python<'py>,
    base: String,
    ours: String,
    theirs: String,
    identities: Vec<Bound<'py, PyAny>>,
    id: &str,
    format: Option<&str>,
) -> PyResult<Bound<'py, PyAny>> {
    let (format, id) = (format_named(format)?, id.parse().map_err(raise)?);
    let identities = Identities::new(identities, Call::awaited(py)?)?;
    awaitable(py, merging([base, ours, theirs], format, id, identities))
}
