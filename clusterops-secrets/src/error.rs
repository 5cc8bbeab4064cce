//! What can go wrong with keys, sealed documents and the files that hold them.

use std::fmt;
use std::path::{Path, PathBuf};

use crate::marker::markers_in;

/// The result of this crate's fallible functions.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What kind of thing went wrong; match on this, show [`Error`] to people.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// A document, a recipients file or a store that is not what it should be: its syntax, a key that stands twice, a
    /// value that is not a string, a limit.
    Syntax,
    /// A path, a name or an option that the caller gave does not fit.
    Input,
    /// A sealed token, an epoch or a signature is not of the form that FORMAT.md describes, or asks for an algorithm that
    /// is not allowed.
    Format,
    /// A key is unusable: its kind, its size, its passphrase, or who may read its file.
    Key,
    /// None of the identities at hand is a recipient.
    NotRecipient,
    /// What was sealed does not authenticate: damaged, tampered with, or for another key.
    Tampered,
    /// A sealed value stands in another place, or in another document, than it was sealed for.
    Misplaced,
    /// A value is marked to be sealed and is not, or is sealed and has not been opened.
    Unresolved,
    /// A signature is missing, or none of the trusted signers made one that fits.
    Signature,
    /// Recipients are not those that the caller pinned, or there are none for this path.
    Recipients,
    /// The file changed while it was worked on; nothing was written.
    Changed,
    /// A local file, folder, editor or program is not usable.
    Local,
}

/// The error of this crate: a [kind](Error::kind), one sentence, and what it is about: a file, a line and column, a path
/// inside the document.
///
/// `Display` gives those in front of the sentence; the cause stands in [`source`](std::error::Error::source) and is not
/// repeated. No secret stands in any of them.
///
/// ```
/// use clusterops_secrets::{Error, ErrorKind};
///
/// let error = Error::new(ErrorKind::Syntax, "the key `a` stands twice").at(3, 7).in_file("app.json");
/// assert_eq!(error.to_string(), "app.json:3:7: the key `a` stands twice");
/// ```
#[derive(Debug)]
pub struct Error(Box<Inner>);

#[derive(Debug)]
struct Inner {
    kind: ErrorKind,
    message: String,
    file: Option<PathBuf>,
    place: Option<(usize, usize)>,
    path: Option<String>,
    source: Option<Box<dyn std::error::Error + Send + Sync>>,
}

impl Error {
    /// Makes an error; `message` is one sentence without the place and without the cause.
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self(Box::new(Inner {
            kind,
            message: message.into(),
            file: None,
            place: None,
            path: None,
            source: None,
        }))
    }

    /// Names the file, unless one is named already.
    #[must_use]
    pub fn in_file(mut self, file: impl Into<PathBuf>) -> Self {
        self.0.file.get_or_insert_with(|| file.into());
        self
    }

    /// Names the line and the column, which count from 1, unless they are named already.
    #[must_use]
    pub fn at(mut self, line: usize, column: usize) -> Self {
        self.0.place.get_or_insert((line, column));
        self
    }

    /// Names the path inside the document (RFC 6901), unless one is named already. One with a marker in it, which somebody has put
    /// into a key, is not named: the value is in there too.
    #[must_use]
    pub fn on(mut self, path: impl Into<String>) -> Self {
        self.0.path.get_or_insert_with(|| {
            let path = path.into();
            let marker = markers_in(&path).next();
            match marker {
                Some(at) => path[..path[..at].rfind('/').unwrap_or(0)].to_owned(),
                None => path,
            }
        });
        self
    }

    /// Adds the error that caused this one.
    #[must_use]
    pub fn caused_by(
        mut self,
        source: impl Into<Box<dyn std::error::Error + Send + Sync>>,
    ) -> Self {
        self.0.source = Some(source.into());
        self
    }

    /// What kind of thing went wrong.
    pub fn kind(&self) -> ErrorKind {
        self.0.kind
    }

    /// The sentence alone.
    pub fn message(&self) -> &str {
        &self.0.message
    }

    /// The file it is about.
    pub fn file(&self) -> Option<&Path> {
        self.0.file.as_deref()
    }

    /// The line and the column it is about, counted from 1.
    pub fn place(&self) -> Option<(usize, usize)> {
        self.0.place
    }

    /// The path inside the document that it is about (RFC 6901).
    pub fn path(&self) -> Option<&str> {
        self.0.path.as_deref()
    }

    /// Whether the same call can succeed later without anybody changing anything: after somebody else's write.
    pub fn is_retryable(&self) -> bool {
        self.0.kind == ErrorKind::Changed
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.0.file, self.0.place) {
            (Some(file), Some((line, column))) => {
                write!(f, "{}:{line}:{column}: ", file.display())?;
            }
            (Some(file), None) => write!(f, "{}: ", file.display())?,
            (None, Some((line, column))) => write!(f, "line {line}, column {column}: ")?,
            (None, None) => {}
        }
        if let Some(path) = &self.0.path {
            write!(f, "{path}: ")?;
        }
        f.write_str(&self.0.message)
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        let source = self.0.source.as_deref()?;
        Some(source)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_named_first_stays() {
        let error = Error::new(ErrorKind::Input, "no").on("/a").on("/b");
        assert_eq!(error.to_string(), "/a: no");
        let error = error.at(1, 2);
        assert_eq!(error.to_string(), "line 1, column 2: /a: no");
        assert_eq!(error.in_file("x").to_string(), "x:1:2: /a: no");
    }
}
