//! What went wrong with a call, in words.

use std::time::Duration;

use super::retry::Again;
use crate::{Error, ErrorKind};

/// A failed attempt, and whether it may be made again.
#[derive(Debug)]
pub(super) struct Failure {
    pub(super) error: Error,
    pub(super) again: Again,
}

impl Failure {
    /// One that would come again.
    pub(super) fn lasting(kind: ErrorKind, message: String) -> Self {
        Self {
            error: Error::new(kind, message),
            again: Again::Never,
        }
    }

    /// One that is not the server's.
    pub(super) fn of_ours(error: Error) -> Self {
        Self {
            error,
            again: Again::Never,
        }
    }
}

/// What a failed attempt at `request` means. The error of the library comes without its URL, which may have a query.
pub(super) fn of_attempt(
    request: &str,
    error: reqwest::Error,
    connect_deadline: Duration,
    repeatable: bool,
) -> Failure {
    let error = error.without_url();
    let (kind, again, what) = if error.is_builder() {
        (
            ErrorKind::Options,
            Again::Never,
            "cannot be sent as it is".to_owned(),
        )
    } else if speaks_of(&error, &["CertificateRequired"]) {
        let what =
            "the other wants a certificate of ours; give one to `HttpOptions::client_certificate`";
        (ErrorKind::Tls, Again::Never, what.to_owned())
    } else if speaks_of(
        &error,
        &[
            "certificate",
            "fatal alert",
            "HandshakeFailure",
            "peer is incompatible",
        ],
    ) {
        let what = "no trust in the other's certificate, or no agreement on TLS; is the certificate for this name, and \
            does `HttpOptions::authority` (or `client_certificate`) name who signed it?";
        (ErrorKind::Tls, Again::Never, what.to_owned())
    } else if speaks_of(&error, &["corrupt message"]) {
        let what = "what answers does not speak TLS; is it meant to be http:// or another port?";
        (ErrorKind::Tls, Again::Never, what.to_owned())
    } else if error.is_connect() && error.is_timeout() {
        let what = format!("no connection within {connect_deadline:?}");
        (ErrorKind::Timeout, Again::Always, what)
    } else if error.is_dns() {
        let what = "the host's name does not resolve; is it written right?";
        (ErrorKind::Connection, Again::Always, what.to_owned())
    } else if error.is_connect() {
        let what = "no connection; does the service run, and is the port right?";
        (ErrorKind::Connection, Again::Always, what.to_owned())
    } else if speaks_of(&error, &["gzip", "deflate"]) {
        let what = "the answer does not decompress as gzip (RFC 1952)";
        (ErrorKind::Answer, Again::Never, what.to_owned())
    } else if speaks_of(&error, &["invalid ", "message head is too large"]) {
        let what = "what answers does not speak HTTP/1.1 as it should; is the port right?";
        (ErrorKind::Answer, Again::Never, what.to_owned())
    } else {
        let what = match repeatable {
            true => "the connection was lost before the whole answer was there",
            false => {
                "the connection was lost before the whole answer was there, and whether the request was acted on is not \
                 known; look before it is sent again"
            }
        };
        (ErrorKind::Connection, Again::IfRepeatable, what.to_owned())
    };
    let lasting = again == Again::Never || (again == Again::IfRepeatable && !repeatable);
    let failed = Error::new(kind, format!("{request}: {what}")).caused_by(error);
    Failure {
        error: if lasting { failed } else { failed.retryable() },
        again,
    }
}

/// The kind of a status that is none of success, and what to do about it.
pub(crate) fn of_status(status: u16) -> (ErrorKind, &'static str) {
    match status {
        401 => (
            ErrorKind::Denied,
            "; give credentials that the server accepts",
        ),
        403 => (
            ErrorKind::Denied,
            "; these credentials do not suffice for this",
        ),
        404 | 410 => (
            ErrorKind::NotFound,
            "; is the URL that of the service itself?",
        ),
        407 => (ErrorKind::Denied, "; the proxy wants credentials"),
        429 | 502 | 503 | 504 => (ErrorKind::Unavailable, "; try again later"),
        400..500 => (ErrorKind::Rejected, ""),
        500.. => (ErrorKind::Server, "; its own log says more"),
        _ => (ErrorKind::Answer, ", which was not asked for"),
    }
}

/// Whether an error or a cause of it has one of these words: the libraries below have no kinds for what we look for.
fn speaks_of(error: &reqwest::Error, words: &[&str]) -> bool {
    let mut cause: Option<&(dyn std::error::Error + 'static)> = Some(error);
    while let Some(error) = cause {
        let text = error.to_string();
        if words.iter().any(|word| text.contains(word)) {
            return true;
        }
        cause = error.source();
    }
    false
}
