//! What can go wrong in this crate, and where.

use std::fmt;

use crate::Printable;
use crate::text::{bounded, printable};

/// The result of this crate's fallible functions.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What kind of thing went wrong; match on this, show [`Error`] to people.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// Text that does not follow its grammar: a host set expression, an inventory, a target.
    Syntax,
    /// An expression that would expand past the limit.
    TooLarge,
    /// A group, group source, tag or variable that nobody defines.
    UnknownGroup,
    /// A host that the inventory does not have.
    UnknownHost,
    /// A name that two places define, so that the selection could mean either.
    Ambiguous,
    /// An inventory that reads as text but contradicts itself: a host twice, a wrong type, a misspelt field.
    Inventory,
    /// A group source (a file, an external command) that did not answer, or not what it should.
    GroupSource,
    /// A file that could not be read.
    Io,
    /// A setting or a request that cannot be used: a URL, a certificate, credentials where nobody protects them.
    Options,
    /// There is no connection to a server, or it was lost.
    Connection,
    /// One side does not trust the other's certificate, or they do not agree on TLS.
    Tls,
    /// A deadline passed.
    Timeout,
    /// A server wants other credentials, or they do not suffice.
    Denied,
    /// A server does not have what was asked for.
    NotFound,
    /// A server does not accept what it was sent.
    Rejected,
    /// What is to be changed is being changed already.
    Locked,
    /// A server, or one in front of it, cannot answer now.
    Unavailable,
    /// A server failed.
    Server,
    /// A server's answer cannot be understood, or is too long.
    Answer,
    /// A server sends its callers elsewhere; they do not follow.
    Redirect,
}

/// A place in a text: where an error is.
///
/// Lines and columns count from 1; columns count characters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// The file, or what the text was called by its caller.
    pub file: Option<String>,
    /// The line, where the text has lines.
    pub line: Option<usize>,
    /// The column.
    pub column: Option<usize>,
}

impl Place {
    /// A whole file, or what the text was called by its caller.
    pub(crate) fn in_file(file: impl Into<String>) -> Self {
        Self {
            file: Some(file.into()),
            line: None,
            column: None,
        }
    }
}

/// The error of this crate: a [kind](Error::kind), a sentence, and the [place](Error::place) it is about.
///
/// ```
/// use clusterops_core::{ErrorKind, hostset::HostSet};
///
/// let error = "web[1-".parse::<HostSet>().unwrap_err();
/// assert_eq!(error.kind(), ErrorKind::Syntax);
/// assert_eq!(error.place().unwrap().column, Some(4));
/// ```
#[derive(Debug)]
pub struct Error(Box<Inner>);

#[derive(Debug)]
struct Inner {
    kind: ErrorKind,
    message: String,
    place: Option<Place>,
    retryable: bool,
    source: Option<Box<dyn std::error::Error + Send + Sync>>,
}

impl Error {
    /// Makes an error, for implementations of [`GroupSource`](crate::hostset::GroupSource) outside this crate.
    ///
    /// `message` is one sentence that says what is wrong and what to do, without the place and without the source; what
    /// would act on a terminal is escaped in it, and of a sentence of more than 1,000 characters the middle is left out.
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self(Box::new(Inner {
            kind,
            message: printable(bounded(message.into())),
            place: None,
            retryable: false,
            source: None,
        }))
    }

    /// Says that the same call can succeed later without a change, as when a program took too long to answer.
    #[must_use]
    pub fn retryable(mut self) -> Self {
        self.0.retryable = true;
        self
    }

    /// Adds the place that the error is about, unless it has one already.
    #[must_use]
    pub fn at(mut self, place: Place) -> Self {
        self.0.place.get_or_insert(place);
        self
    }

    /// Says where the error is, in place of what it said before.
    #[must_use]
    pub(crate) fn moved_to(mut self, place: Place) -> Self {
        self.0.place = Some(place);
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

    /// Says the same of a larger whole: `message` gets this error, and the new sentence has no place yet.
    pub(crate) fn within(mut self, message: impl FnOnce(&Self) -> String) -> Self {
        self.0.message = printable(bounded(message(&self)));
        self.0.place = None;
        self
    }

    /// What kind of thing went wrong.
    pub fn kind(&self) -> ErrorKind {
        self.0.kind
    }

    /// The place that the error is about, where there is one.
    pub fn place(&self) -> Option<&Place> {
        self.0.place.as_ref()
    }

    /// The sentence alone, without the place.
    pub fn message(&self) -> &str {
        &self.0.message
    }

    /// Whether the same call can succeed later without a change: a group source that did not answer in time.
    pub fn is_retryable(&self) -> bool {
        self.0.retryable
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let file = self.file.as_deref().map(Printable);
        match (file, self.line, self.column) {
            (Some(file), Some(line), Some(column)) => write!(f, "{file}:{line}:{column}"),
            (Some(file), Some(line), None) => write!(f, "{file}:{line}"),
            (Some(file), None, Some(column)) => write!(f, "{file}: column {column}"),
            (Some(file), None, None) => write!(f, "{file}"),
            (None, Some(line), Some(column)) => write!(f, "line {line}, column {column}"),
            (None, Some(line), None) => write!(f, "line {line}"),
            (None, None, Some(column)) => write!(f, "column {column}"),
            (None, None, None) => Ok(()),
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(place) = &self.0.place {
            write!(f, "{place}: ")?;
        }
        f.write_str(&self.0.message)
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.0.source.as_deref().map(|source| source as _)
    }
}
