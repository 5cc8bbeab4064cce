//! Reading files, with errors that name them.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use crate::{Error, ErrorKind, Place, Result};

pub(super) fn read(path: &Path) -> Result<String> {
    fs::read_to_string(path).map_err(|error| unreadable(path, error))
}

/// The files of a folder with this extension, by name.
pub(super) fn in_folder(path: &Path, extension: &str) -> Result<Vec<PathBuf>> {
    let mut files = fs::read_dir(path)
        .and_then(|entries| {
            entries
                .map(|entry| entry.map(|entry| entry.path()))
                .collect::<io::Result<Vec<_>>>()
        })
        .map_err(|error| unreadable(path, error))?;
    files.retain(|file| file.extension().is_some_and(|found| found == extension));
    files.sort_unstable();
    Ok(files)
}

fn unreadable(path: &Path, error: io::Error) -> Error {
    let place = Place {
        file: Some(path.display().to_string()),
        line: None,
        column: None,
    };
    Error::new(ErrorKind::Io, "cannot be read")
        .at(place)
        .caused_by(error)
}
