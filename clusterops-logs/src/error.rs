//! What can go wrong with a query, a server, or what it answers.

use std::fmt;

use clusterops_core::Printable;

/// The result of this crate's fallible functions.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What kind of thing went wrong; match on this, show [`Error`] to people.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// A query in a language of people, such as KQL, that does not read.
    Syntax,
    /// A query, a setting or a token that does not fit.
    Input,
    /// No connection, or a connection lost.
    Connection,
    /// No agreement on TLS, or no trust in a certificate.
    Tls,
    /// A deadline passed.
    Timeout,
    /// The credentials are missing or wrong.
    Unauthenticated,
    /// The user has no right to do that.
    Denied,
    /// The index, the alias or the document is not there.
    NotFound,
    /// A point in time or a scroll is not held by the server any more.
    Expired,
    /// The server understood the request and does not accept it.
    Rejected,
    /// The server has too much to do, or is not up: later it can work.
    Unavailable,
    /// The server failed.
    Server,
    /// The answer is not what a server of this kind answers.
    Answer,
    /// The answer does not cover everything: it timed out, or shards failed.
    Partial,
    /// A local file or folder is not usable.
    Io,
}

/// The error of this crate: a [kind](Error::kind), one sentence that names what it is about, and whether the same call
/// can succeed later.
///
/// The cause stands in [`source`](std::error::Error::source) and is not repeated by `Display`.
///
/// ```
/// use clusterops_logs::{Error, ErrorKind};
///
/// let error = Error::new(ErrorKind::Syntax, "a quote is not closed").at(7);
/// assert_eq!(error.to_string(), "column 7: a quote is not closed");
/// assert!(!error.is_retryable());
/// ```
#[derive(Debug)]
pub struct Error(Box<Inner>);

#[derive(Debug)]
struct Inner {
    kind: ErrorKind,
    message: String,
    line: Option<usize>,
    column: Option<usize>,
    server_type: Option<String>,
    retryable: bool,
    source: Option<Box<dyn std::error::Error + Send + Sync>>,
}

impl Error {
    /// Makes an error; `message` is one sentence without the cause. What would act on a terminal is escaped.
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self(Box::new(Inner {
            kind,
            message: Printable(&message.into()).to_string(),
            line: None,
            column: None,
            server_type: None,
            retryable: false,
            source: None,
        }))
    }

    /// Says that it is of another kind.
    #[must_use]
    pub(crate) fn of_kind(mut self, kind: ErrorKind) -> Self {
        self.0.kind = kind;
        self
    }

    /// Names the column of the query, counted in characters from 1, unless one is named already.
    #[must_use]
    pub fn at(mut self, column: usize) -> Self {
        self.0.column.get_or_insert(column);
        self
    }

    /// Names the line of what was sent, counted from 1, unless one is named already.
    #[must_use]
    pub(crate) fn on_line(mut self, line: usize) -> Self {
        self.0.line.get_or_insert(line);
        self
    }

    /// Adds the server's own name for what went wrong.
    #[must_use]
    pub(crate) fn of_server_type(mut self, name: impl Into<String>) -> Self {
        self.0.server_type = Some(name.into());
        self
    }

    /// Marks that the same call can succeed later.
    #[must_use]
    pub fn retryable(mut self) -> Self {
        self.0.retryable = true;
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

    /// Whether a page with fewer hits may work: the answer was too long, or had more hits than the indices give at once
    /// (`index.max_result_window`).
    pub(crate) fn asks_for_less(&self) -> bool {
        let is_window = || self.message().contains("max_result_window");
        self.is_too_long() || (self.kind() == ErrorKind::Rejected && is_window())
    }

    /// Whether an answer was longer than what is read (`HttpOptions::body_limit`), which the core says in these words.
    pub(crate) fn is_too_long(&self) -> bool {
        self.kind() == ErrorKind::Answer && self.message().contains("bytes that are read")
    }

    /// What kind of thing went wrong.
    pub fn kind(&self) -> ErrorKind {
        self.0.kind
    }

    /// The sentence alone.
    pub fn message(&self) -> &str {
        &self.0.message
    }

    /// The line of the body that was sent, counted from 1, where a server names one.
    pub fn line(&self) -> Option<usize> {
        self.0.line
    }

    /// The server's own name for what went wrong, such as `index_not_found_exception`; of several the one that decides.
    pub fn server_type(&self) -> Option<&str> {
        self.0.server_type.as_deref()
    }

    /// The column of the query, or of that line, it is about, counted in characters from 1.
    pub fn column(&self) -> Option<usize> {
        self.0.column
    }

    /// Whether the same call can succeed later without anybody changing anything.
    pub fn is_retryable(&self) -> bool {
        self.0.retryable
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(line) = self.0.line {
            write!(f, "line {line}, ")?;
        }
        if let Some(column) = self.0.column {
            write!(f, "column {column}: ")?;
        }
        f.write_str(&self.0.message)
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.0.source.as_deref().map(|source| source as _)
    }
}

impl From<clusterops_core::Error> for Error {
    fn from(error: clusterops_core::Error) -> Self {
        use clusterops_core::ErrorKind as Core;
        let kind = match error.kind() {
            Core::Connection => ErrorKind::Connection,
            Core::Tls => ErrorKind::Tls,
            Core::Timeout => ErrorKind::Timeout,
            Core::Denied => ErrorKind::Denied,
            Core::NotFound => ErrorKind::NotFound,
            Core::Rejected | Core::Locked => ErrorKind::Rejected,
            Core::Unavailable => ErrorKind::Unavailable,
            Core::Server => ErrorKind::Server,
            Core::Answer | Core::Redirect => ErrorKind::Answer,
            Core::Io => ErrorKind::Io,
            _ => ErrorKind::Input,
        };
        let retryable = error.is_retryable();
        let mut ours = Self::new(kind, error.to_string());
        ours.0.retryable = retryable;
        match std::error::Error::source(&error) {
            Some(_) => ours.caused_by(Cause(error)),
            None => ours,
        }
    }
}

/// An error of the core whose sentence has been told; what caused it has not.
#[derive(Debug)]
struct Cause(clusterops_core::Error);

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match std::error::Error::source(&self.0) {
            Some(source) => fmt::Display::fmt(source, f),
            None => fmt::Display::fmt(&self.0, f),
        }
    }
}

impl std::error::Error for Cause {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        std::error::Error::source(&self.0)?.source()
    }
}
