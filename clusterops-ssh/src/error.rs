//! What can go wrong on the way to a host, and on it.

use std::fmt;
use std::io;

use serde::{Deserialize, Serialize};

use crate::session::Output;

/// The result of this crate's fallible functions.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What kind of thing went wrong; match on this, show [`Error`] to people.
///
/// In JSON a kind is its name in snake case; a name that this version does not know reads as [`ErrorKind::Other`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum ErrorKind {
    /// The name does not resolve or no packet gets there.
    Unreachable,
    /// The host answered, and nobody listens on the port.
    Refused,
    /// The host key is unknown, changed or revoked.
    HostKey,
    /// The server accepted none of the credentials.
    Authentication,
    /// A deadline passed.
    Timeout,
    /// The connection was lost.
    Disconnected,
    /// The server closed the connection before the handshake and said that it has too many (MaxStartups,
    /// PerSourcePenalties, sshd_config(5)).
    Overloaded,
    /// The server spoke SSH in a way that cannot go on, or refused a channel or a request on it.
    Protocol,
    /// The command ended with an exit code that does not count as success, by a signal, or without saying how.
    Command,
    /// A file could not be read here or written there.
    Transfer,
    /// Somebody cancelled or aborted the run.
    Cancelled,
    /// The run did not let this host go on: a `run_once` stage failed on the host that ran it, or too many hosts failed
    /// before this one began.
    Blocked,
    /// The plan cannot be run as it stands, or does not fit the report to be continued.
    Plan,
    /// A local file, folder or setting is not usable.
    Local,
    /// The run's journal cannot be written, read or gone on with.
    Journal,
    /// Credentials were asked for a secret that they do not have.
    Secret,
    /// A kind written by a newer version.
    #[serde(other)]
    Other,
}

/// The error of this crate: a [kind](Error::kind), the host it happened on, and one sentence.
///
/// `Display` gives the sentence with the host in front, and a [jump host](Error::jump_host) behind it; the cause stands in
/// [`source`](std::error::Error::source) and is not repeated.
///
/// ```
/// use clusterops_ssh::{Error, ErrorKind};
///
/// let error = Error::new(ErrorKind::Timeout, "no answer within 10s").on("web1");
/// assert_eq!(error.to_string(), "web1: no answer within 10s");
/// assert!(error.is_retryable());
/// ```
#[derive(Debug)]
pub struct Error(Box<Inner>);

#[derive(Debug)]
struct Inner {
    kind: ErrorKind,
    message: String,
    host: Option<String>,
    jump_host: Option<String>,
    retryable: bool,
    source: Option<Box<dyn std::error::Error + Send + Sync>>,
    output: Option<Box<Output>>,
}

impl Error {
    /// Makes an error; `message` is one sentence without the host and without the cause.
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        let retryable = matches!(
            kind,
            ErrorKind::Unreachable
                | ErrorKind::Refused
                | ErrorKind::Timeout
                | ErrorKind::Disconnected
                | ErrorKind::Overloaded
        );
        Self(Box::new(Inner {
            kind,
            message: message.into(),
            host: None,
            jump_host: None,
            retryable,
            source: None,
            output: None,
        }))
    }

    /// Names the host, unless one is named already.
    #[must_use]
    pub fn on(mut self, host: impl Into<String>) -> Self {
        if self.0.host.is_none() {
            self.0.host = Some(host.into());
        }
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

    /// Says that it happened at a jump host on the way, unless one is named already; the host is the one at the end of the
    /// way, to be named by the caller.
    #[must_use]
    pub(crate) fn at_jump_host(mut self, name: &str) -> Self {
        self.0.host = None;
        self.0.jump_host.get_or_insert_with(|| name.to_owned());
        self
    }

    /// The same error for somebody else whom it concerns; causes become text.
    pub(crate) fn again(&self) -> Self {
        let source = self.0.source.as_ref().map(|source| chain(&**source).into());
        Self(Box::new(Inner {
            kind: self.0.kind,
            message: self.0.message.clone(),
            host: self.0.host.clone(),
            jump_host: self.0.jump_host.clone(),
            retryable: self.0.retryable,
            source,
            output: self.0.output.clone(),
        }))
    }

    /// Adds what the command had written that did not come to its end.
    #[must_use]
    pub(crate) fn after(mut self, output: Output) -> Self {
        self.0.output = Some(Box::new(output));
        self
    }

    /// Says that trying again cannot help, whatever the kind.
    #[must_use]
    pub(crate) fn permanent(mut self) -> Self {
        self.0.retryable = false;
        self
    }

    /// What kind of thing went wrong.
    pub fn kind(&self) -> ErrorKind {
        self.0.kind
    }

    /// The host it happened on.
    pub fn host(&self) -> Option<&str> {
        self.0.host.as_deref()
    }

    /// The jump host at which it happened, on the way to the host.
    pub fn jump_host(&self) -> Option<&str> {
        self.0.jump_host.as_deref()
    }

    /// What the command wrote up to here, where [`Session::output`](crate::Session::output) started one that did not come
    /// to its end: a deadline passed, it was stopped, the connection was lost.
    pub fn output(&self) -> Option<&Output> {
        self.0.output.as_deref()
    }

    /// The sentence alone, without the host.
    pub fn message(&self) -> &str {
        &self.0.message
    }

    /// Whether the same attempt can succeed later without anybody changing anything.
    pub fn is_retryable(&self) -> bool {
        self.0.retryable
    }

    /// The sentence and its causes in one line, for places that keep text only.
    pub(crate) fn full_message(&self) -> String {
        let mut text = self.sentence();
        if let Some(source) = &self.0.source {
            text.push_str(": ");
            text.push_str(&chain(&**source));
        }
        text
    }

    /// The sentence, with the jump host where it is about one.
    fn sentence(&self) -> String {
        match &self.0.jump_host {
            Some(name) => format!("jump host {name}: {}", self.0.message),
            None => self.0.message.clone(),
        }
    }

    /// A failed attempt to open a TCP connection to `endpoint`.
    pub(crate) fn connect(endpoint: &str, error: io::Error) -> Self {
        if matches!(error.raw_os_error(), Some(EMFILE | ENFILE | EACCES | EPERM)) {
            let message = format!("this machine does not open a connection to {endpoint}");
            return Self::new(ErrorKind::Local, message).caused_by(error);
        }
        let kind = match error.kind() {
            io::ErrorKind::ConnectionRefused => ErrorKind::Refused,
            io::ErrorKind::TimedOut => ErrorKind::Timeout,
            io::ErrorKind::ConnectionReset | io::ErrorKind::ConnectionAborted => {
                ErrorKind::Disconnected
            }
            _ => ErrorKind::Unreachable,
        };
        Self::new(kind, format!("cannot connect to {endpoint}")).caused_by(error)
    }
}

/// An error and its causes in one line.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        source = cause.source();
    }
    text
}

/// Linux's errno(3) for failures of ours, not of the host or the way to it.
const EPERM: i32 = 1;
const EACCES: i32 = 13;
const ENFILE: i32 = 23;
const EMFILE: i32 = 24;

impl From<russh::Error> for Error {
    fn from(error: russh::Error) -> Self {
        use russh::Error as E;
        let (kind, message) = match &error {
            E::Disconnect | E::HUP | E::SendError | E::RecvError => {
                return Self::new(
                    ErrorKind::Disconnected,
                    "the connection was closed by the host",
                );
            }
            E::IO(_) => (ErrorKind::Disconnected, "the connection was lost"),
            E::KeepaliveTimeout | E::InactivityTimeout | E::ConnectionTimeout => {
                return Self::new(ErrorKind::Disconnected, "the host stopped answering");
            }
            E::NoCommonAlgo { kind, ours, theirs } => {
                let (ours, theirs) = (ours.join(","), theirs.join(","));
                let message = format!(
                    "no {kind:?} algorithm in common: we offer {ours}; the server offers {theirs}"
                );
                return Self::new(ErrorKind::Protocol, message);
            }
            E::Version => (
                ErrorKind::Protocol,
                "what answers on this port does not speak SSH 2",
            ),
            E::UnknownKey | E::WrongServerSig => (
                ErrorKind::HostKey,
                "the server could not prove its host key",
            ),
            E::ChannelOpenFailure(_) => (ErrorKind::Protocol, "the server refused a channel"),
            _ => (ErrorKind::Protocol, "the SSH protocol failed"),
        };
        Self::new(kind, message).caused_by(error)
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(host) = &self.0.host {
            write!(f, "{host}: ")?;
        }
        f.write_str(&self.sentence())
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.0.source.as_deref().map(|source| source as _)
    }
}

impl fmt::Display for ErrorKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Unreachable => "unreachable",
            Self::Refused => "refused",
            Self::HostKey => "host key",
            Self::Authentication => "authentication",
            Self::Timeout => "timeout",
            Self::Disconnected => "disconnected",
            Self::Overloaded => "overloaded",
            Self::Protocol => "protocol",
            Self::Command => "command failed",
            Self::Transfer => "transfer",
            Self::Cancelled => "cancelled",
            Self::Blocked => "blocked",
            Self::Plan => "plan",
            Self::Local => "local",
            Self::Journal => "journal",
            Self::Secret => "secret",
            Self::Other => "other",
        })
    }
}
