//! The local files of a run: read and fingerprinted once, before the first connection.

use std::collections::{BTreeMap, HashMap};
use std::fs::{File, Metadata};
use std::io::Read;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use bytes::Bytes;
use data_encoding::HEXLOWER;
use sha2::{Digest as _, Sha256};

use crate::plan::Step;
use crate::{Error, ErrorKind, Result};

/// Scripts are kept in memory while the run goes on, so they have a limit.
const MAX_SCRIPT: u64 = 16 << 20;

/// What a run knows of its local files.
#[derive(Debug, Default)]
pub(super) struct Files {
    known: HashMap<PathBuf, Known>,
}

#[derive(Debug)]
struct Known {
    digest: String,
    length: u64,
    modified: Option<SystemTime>,
    /// The text, where the file is a script.
    text: Option<Bytes>,
}

/// Checks that a step's file can be read, without reading it.
pub(super) fn check(step: &Step) -> Result<()> {
    let Some(path) = step.source() else {
        return Ok(());
    };
    open(path).and_then(|(_, metadata)| {
        if matches!(step, Step::Script { .. }) && metadata.len() > MAX_SCRIPT {
            let message = format!(
                "the script {} is over {} MiB: upload it",
                path.display(),
                MAX_SCRIPT >> 20
            );
            return Err(Error::new(ErrorKind::Local, message));
        }
        Ok(())
    })
}

impl Files {
    /// Reads the files of these steps. Blocks.
    pub(super) fn read<'a>(steps: impl IntoIterator<Item = &'a Step>) -> Result<Self> {
        let mut files = Self::default();
        for step in steps {
            let Some(path) = step.source() else { continue };
            let is_script = matches!(step, Step::Script { .. });
            if files
                .known
                .get(path)
                .is_some_and(|known| known.text.is_some() || !is_script)
            {
                continue;
            }
            files
                .known
                .insert(path.to_owned(), Known::read(path, is_script)?);
        }
        Ok(files)
    }

    /// The digests, by path.
    pub(super) fn digests(&self) -> BTreeMap<String, String> {
        self.known
            .iter()
            .map(|(path, known)| (path.to_string_lossy().into_owned(), known.digest.clone()))
            .collect()
    }

    /// A script's text.
    pub(super) fn script(&self, path: &Path) -> Result<Bytes> {
        let text = self.known.get(path).and_then(|known| known.text.clone());
        text.ok_or_else(|| {
            let message = format!("the script {} was not read before the run", path.display());
            Error::new(ErrorKind::Local, message)
        })
    }

    /// Opens a file to send it, and makes sure that it is still the one that was read.
    pub(super) fn open(&self, path: &Path) -> Result<(File, Metadata)> {
        let (file, metadata) = open(path)?;
        let is_same = self.known.get(path).is_some_and(|known| {
            (known.length, known.modified) == (metadata.len(), metadata.modified().ok())
        });
        if is_same {
            return Ok((file, metadata));
        }
        let message = format!("the local file {} changed during the run", path.display());
        Err(Error::new(ErrorKind::Local, message))
    }
}

impl Known {
    fn read(path: &Path, keep: bool) -> Result<Self> {
        let (mut file, metadata) = open(path)?;
        let mut hash = Sha256::new();
        let mut text = Vec::new();
        let mut buffer = vec![0; 256 << 10];
        loop {
            let length = match file.read(&mut buffer) {
                Ok(0) => break,
                Ok(length) => length,
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(unreadable(path, error)),
            };
            hash.update(&buffer[..length]);
            if keep {
                text.extend_from_slice(&buffer[..length]);
            }
        }
        Ok(Self {
            digest: HEXLOWER.encode(&hash.finalize()),
            length: metadata.len(),
            modified: metadata.modified().ok(),
            text: keep.then(|| text.into()),
        })
    }
}

fn open(path: &Path) -> Result<(File, Metadata)> {
    // Looked at before it is opened: opening a named pipe waits for its writer.
    let metadata = std::fs::metadata(path).map_err(|error| unreadable(path, error))?;
    if !metadata.is_file() {
        return Err(Error::new(
            ErrorKind::Local,
            format!("`{}` is not a regular file", path.display()),
        ));
    }
    let file = File::open(path).map_err(|error| unreadable(path, error))?;
    Ok((file, metadata))
}

fn unreadable(path: &Path, error: std::io::Error) -> Error {
    Error::new(
        ErrorKind::Local,
        format!("the local file `{}` cannot be read", path.display()),
    )
    .caused_by(error)
}
