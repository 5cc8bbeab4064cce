//! What is marked to be sealed and has not been.

use std::collections::HashSet;
use std::fmt;

use crate::Pointer;
use crate::contents::Contents;
use crate::marker::{Stray, markers_in};

/// Something in a document that is marked to be sealed and has not been: it stays in plain text.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Unsealed {
    /// The value that it is, or is a part of; `None` in a key or a comment.
    pub path: Option<Pointer>,
    /// The line in the text that was given, counted from 1.
    pub line: usize,
    /// The column there, counted from 1.
    pub column: usize,
    /// What it is, and what to do, in one sentence.
    pub message: String,
}

impl Unsealed {
    pub(crate) fn new(
        path: Option<Pointer>,
        (line, column): (usize, usize),
        message: &str,
    ) -> Self {
        // A key can hold a marker with all that is in it.
        let path = path.filter(|path| markers_in(path.as_str()).next().is_none());
        Self {
            path,
            line,
            column,
            message: message.to_owned(),
        }
    }

    /// What is marked in a document but for these values, which have been sealed, in its order; markers that are no whole value too.
    pub(crate) fn all_of(contents: &Contents<'_>, sealed: &[Pointer]) -> Vec<Self> {
        let document = contents.document;
        let sealed: HashSet<&str> = sealed.iter().map(Pointer::as_str).collect();
        let values = contents.marked().filter_map(|(scalar, _)| {
            let path = document.path(scalar);
            (!sealed.contains(path.as_str())).then(|| {
                let message = "this value is marked to be sealed and is not";
                Self::new(Some(path), (scalar.line, scalar.column), message)
            })
        });
        let strays = Stray::all_of(document).into_iter();
        let strays = strays
            .filter(|stray| {
                let path = stray.path.as_ref();
                path.is_none_or(|path| !sealed.contains(path.as_str()))
            })
            .map(|stray| Self::new(stray.path, stray.place, stray.message));
        let mut all: Vec<Self> = values.chain(strays).collect();
        all.sort_by_key(|one| (one.line, one.column));
        all
    }
}

impl fmt::Display for Unsealed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}, column {}: ", self.line, self.column)?;
        if let Some(path) = &self.path {
            write!(f, "{path}: ")?;
        }
        f.write_str(&self.message)
    }
}
