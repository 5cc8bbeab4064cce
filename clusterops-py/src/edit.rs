//! Editing a sealed document in the user's editor.

use std::path::PathBuf;

use clusterops::secrets::{self, DocumentId, Edited, Editor, SealOptions};
use pyo3::exceptions::PyRuntimeError;
use pyo3::prelude::*;
use tokio::runtime::Handle;

use crate::call::Call;
use crate::errors::raise;
use crate::identity::Identities;
use crate::recipients::Whom;
use crate::runtime::{self, awaitable, wait_or};
use crate::sealed_file::{SealedFile, id_of};
use crate::sealing::{Sealed, options};

/// What is edited, by whom, and with what.
struct Editing {
    file: secrets::SealedFile,
    id: DocumentId,
    identities: Identities,
    options: SealOptions,
    editor: Editor,
    again: Option<Py<PyAny>>,
}

impl Editing {
    #[expect(clippy::too_many_arguments, reason = "they are keywords in Python")]
    fn new(
        file: &SealedFile,
        identities: Identities,
        recipients: Whom,
        id: Option<&str>,
        pins: Option<&[String]>,
        editor: Option<String>,
        folder: Option<PathBuf>,
        again: Option<Py<PyAny>>,
    ) -> PyResult<Self> {
        let mut editor = editor.map_or_else(Editor::from_environment, Editor::new);
        if let Some(folder) = folder {
            editor = editor.folder(folder);
        }
        Ok(Self {
            file: file.0.clone(),
            id: id_of(&file.0, id)?,
            identities,
            options: options(recipients, None, pins)?,
            editor,
            again,
        })
    }

    /// Waits for the editor on a thread of its own.
    async fn run(self) -> PyResult<Option<(SealedFile, Sealed)>> {
        let runtime = Handle::current();
        let edited = tokio::task::spawn_blocking(move || runtime.block_on(self.edit()));
        edited
            .await
            .unwrap_or_else(|error| Err(PyRuntimeError::new_err(error.to_string())))
    }

    async fn edit(self) -> PyResult<Option<(SealedFile, Sealed)>> {
        let (call, keys) = (self.identities.call(), self.identities.keys());
        let again = |error: &secrets::Error| {
            let Some(again) = &self.again else {
                return false;
            };
            let asked = runtime::attach(|py| {
                let error = crate::errors::Raised::from(error).exception(py)?;
                let error = (error,).into_pyobject(py)?;
                call.ask(again.bind(py), "__call__", error)?.is_truthy()
            });
            asked.unwrap_or_else(|error| {
                call.keep(error);
                false
            })
        };
        let edited = secrets::edit(
            &self.file,
            &self.id,
            &keys,
            &self.options,
            &self.editor,
            again,
        );
        let edited = edited.await.map_err(raise);
        Ok(match self.identities.or(edited)? {
            Edited::Changed { file, sealed } => Some((SealedFile(file), Sealed(sealed))),
            _ => None,
        })
    }
}

/// Opens a file in an editor, and seals what has changed.
///
/// There every sealed value stands as ``ENC[name:value]``: what is between the first colon and the last bracket is the value,
/// the name is for people. It stays a secret wherever it is moved, and new ones are made the same way. Values that are as
/// before keep their tokens. The plaintext is in memory only (a tmpfs), and is removed afterwards. What somebody else changed in
/// the file meanwhile is merged with what was typed.
///
/// Ctrl-C is the editor's; here it is raised when that has ended. A program that calls this does not let SIGHUP and SIGTERM
/// end it meanwhile, or plaintext stays in memory; cancelling what is awaited does not end the editor.
///
/// Parameters
/// ----------
/// file : SealedFile
/// identities : sequence of PrivateKey or Identity
///     Who can open it.
/// recipients : Recipients or dict
///     Whom what has changed is sealed for.
/// id, pins
///     As for `seal`.
/// editor : str, optional
///     A shell command, to which the file's name is added; ``$VISUAL``, ``$EDITOR`` or ``vi``, where it is left out.
/// folder : str or os.PathLike, optional
///     A folder on a tmpfs, in place of ``$XDG_RUNTIME_DIR`` and ``/dev/shm``.
/// again : callable, optional
///     Asked with the exception whether the editor is opened once more, when what was typed cannot be sealed. Where it
///     says no, what was typed is gone.
///
/// Returns
/// -------
/// tuple of SealedFile and Sealed, or None
///     The file as it is now, and what was sealed anew; None where nothing has changed.
///
/// Raises
/// ------
/// LocalError
///     There is no tmpfs, the editor fails, or somebody else has changed the same.
///
/// Examples
/// --------
/// >>> import pathlib, tempfile
/// >>> from clusterops.secrets import PrivateKey, SealedFile, edit, seal
/// >>> key = PrivateKey.generate(2048)
/// >>> with tempfile.TemporaryDirectory() as folder:
/// ...     path = pathlib.Path(folder, "app.json")
/// ...     _ = path.write_text('{"id": "/shop", "env": {"DB": "ENC[db:hunter2]", "ZONE": "a"}}')
/// ...     file = SealedFile.read(path)
/// ...     file = file.replace(seal(file, {"ana": key.public_key}).text)
/// ...     file, sealed = edit(file, [key], {"ana": key.public_key}, editor="sed -i s/hunter2/hunter3/")
/// >>> sealed.values
/// ['/env/DB']
#[pyfunction]
#[pyo3(signature = (file, identities, recipients, *, id = None, pins = None, editor = None, folder = None, again = None))]
#[expect(clippy::too_many_arguments, reason = "they are keywords in Python")]
pub(crate) fn edit(
    py: Python<'_>,
    file: &SealedFile,
    identities: Vec<Bound<'_, PyAny>>,
    recipients: Whom,
    id: Option<&str>,
    pins: Option<Vec<String>>,
    editor: Option<String>,
    folder: Option<PathBuf>,
    again: Option<Py<PyAny>>,
) -> PyResult<Option<(SealedFile, Sealed)>> {
    let identities = Identities::new(identities, Call::blocking())?;
    let pins = pins.as_deref();
    let editing = Editing::new(
        file, identities, recipients, id, pins, editor, folder, again,
    )?;
    wait_or(py, editing.run(), || true)
}

/// As `edit`, to be awaited.
#[pyfunction]
#[pyo3(signature = (file, identities, recipients, *, id = None, pins = None, editor = None, folder = None, again = None))]
#[expect(clippy::too_many_arguments, reason = "they are keywords in Python")]
pub(crate) fn aedit<'py>(
    py: Python<'py>,
    file: &SealedFile,
    identities: Vec<Bound<'py, PyAny>>,
    recipients: Whom,
    id: Option<&str>,
    pins: Option<Vec<String>>,
    editor: Option<String>,
    folder: Option<PathBuf>,
    again: Option<Py<PyAny>>,
) -> PyResult<Bound<'py, PyAny>> {
    let identities = Identities::new(identities, Call::awaited(py)?)?;
    let pins = pins.as_deref();
    let editing = Editing::new(
        file, identities, recipients, id, pins, editor, folder, again,
    )?;
    awaitable(py, editing.run())
}
