//! Documents as Python gives them: files, or texts.

use std::path::PathBuf;

use clusterops::secrecy::zeroize::Zeroizing;
use clusterops::secrets::{self, DocumentId, Format};
use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;

use crate::errors::{Raised, raise};
use crate::runtime::{aside, wait};
use crate::words::quoted;

/// A document as it stood in a file when it was read; `replace` puts another text in its place.
///
/// Examples
/// --------
/// >>> import pathlib, tempfile
/// >>> from clusterops.secrets import SealedFile
/// >>> with tempfile.TemporaryDirectory() as folder:
/// ...     path = pathlib.Path(folder, "app.json")
/// ...     _ = path.write_text('{"id": "/shop"}')
/// ...     file = SealedFile.read(path)
/// ...     newer = file.replace('{"id": "/shop", "cpus": 1}')
/// >>> newer.id(), newer.format, newer.digest == file.digest
/// ('/shop', 'json', False)
#[pyclass(module = "clusterops.secrets", frozen)]
#[derive(Debug)]
pub(crate) struct SealedFile(pub(crate) secrets::SealedFile);

#[pymethods]
impl SealedFile {
    /// Reads a file.
    ///
    /// Parameters
    /// ----------
    /// path : str or os.PathLike
    /// format : {'json', 'yaml', 'dotenv'}, optional
    ///     Where the name of the file does not tell.
    ///
    /// Raises
    /// ------
    /// LocalError
    ///     It cannot be read.
    /// InvalidError
    ///     The format is not known, or the file is no text.
    #[staticmethod]
    #[pyo3(signature = (path, *, format = None))]
    fn read(py: Python<'_>, path: PathBuf, format: Option<&str>) -> PyResult<Self> {
        let format = format.map(str::parse).transpose().map_err(raise)?;
        let read = move || match format {
            None => secrets::SealedFile::read(path),
            Some(format) => secrets::SealedFile::read_as(path, format),
        };
        wait(py, aside(read)).map(Self)
    }

    /// Puts another text in its place: the whole new file or the whole old one is there at any moment.
    ///
    /// Raises
    /// ------
    /// LocalError
    ///     Somebody has changed the file since it was read, or it cannot be written.
    fn replace(&self, py: Python<'_>, text: &str) -> PyResult<Self> {
        let replaced = py.detach(|| self.0.replace(text));
        replaced.map(Self).map_err(raise)
    }

    /// The id of the document as everybody sees it: the ``id`` at its root.
    ///
    /// Raises
    /// ------
    /// InvalidError
    ///     It has none, or is sealed as another document.
    fn id(&self) -> PyResult<String> {
        let id = self.0.id().map_err(raise)?;
        Ok(id.to_string())
    }

    /// The path that it was read by.
    #[getter]
    fn path(&self) -> PathBuf {
        self.0.path().to_owned()
    }

    /// ``json``, ``yaml`` or ``dotenv``.
    #[getter]
    fn format(&self) -> &'static str {
        self.0.format().name()
    }

    /// What it says.
    #[getter]
    fn text(&self) -> &str {
        self.0.text()
    }

    /// The digest of its bytes, which a review is about: ``sha256:`` and 64 digits.
    #[getter]
    fn digest(&self) -> String {
        self.0.digest().to_string()
    }

    fn __repr__(&self, py: Python<'_>) -> PyResult<String> {
        let path = quoted(py, &self.0.path().to_string_lossy())?;
        Ok(format!("<SealedFile {path} {}>", self.0.digest()))
    }
}

/// The id that is given, or else the one that the file shows.
pub(crate) fn id_of(file: &secrets::SealedFile, given: Option<&str>) -> PyResult<DocumentId> {
    match given {
        Some(id) => id.parse().map_err(raise),
        None => file.id().map_err(raise),
    }
}

/// A document, and where it comes from.
pub(crate) struct Source {
    pub(crate) text: Zeroizing<String>,
    pub(crate) format: Format,
    file: Option<secrets::SealedFile>,
}

impl Source {
    /// A file, which knows its format, or a text: JSON, unless another format is named.
    pub(crate) fn of(document: &Bound<'_, PyAny>, format: Option<&str>) -> PyResult<Self> {
        if let Ok(file) = document.cast::<SealedFile>() {
            if format.is_some() {
                let message = "a file that has been read has its format already";
                return Err(Raised::invalid(message).into());
            }
            let file = &file.get().0;
            return Ok(Self {
                text: Zeroizing::new(file.text().to_owned()),
                format: file.format(),
                file: Some(file.clone()),
            });
        }
        let Ok(text) = document.extract::<&str>() else {
            let message = "a document is a SealedFile or its text";
            return Err(PyTypeError::new_err(message));
        };
        Ok(Self {
            text: Zeroizing::new(text.to_owned()),
            format: format_named(format)?,
            file: None,
        })
    }

    /// The id of the document that is expected.
    pub(crate) fn id(&self, given: Option<&str>) -> PyResult<DocumentId> {
        match (&self.file, given) {
            (Some(file), given) => id_of(file, given),
            (None, Some(id)) => id.parse().map_err(raise),
            (None, None) => {
                let message = "a text can be any document's; say by its id which one is expected";
                Err(Raised::invalid(message).into())
            }
        }
    }

    /// An outcome whose error names the file.
    pub(crate) fn named<T>(&self, result: secrets::Result<T>) -> secrets::Result<T> {
        result.map_err(|error| match &self.file {
            Some(file) => error.in_file(file.path()),
            None => error,
        })
    }

    /// The same for Python.
    pub(crate) fn outcome<T>(&self, result: secrets::Result<T>) -> PyResult<T> {
        self.named(result).map_err(raise)
    }
}

/// The format of this name; JSON, where there is none.
pub(crate) fn format_named(name: Option<&str>) -> PyResult<Format> {
    name.map_or(Ok(Format::Json), |name| name.parse().map_err(raise))
}
