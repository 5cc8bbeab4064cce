//! What a server answered.

use std::fmt;

use reqwest::header::HeaderMap;
use secrecy::zeroize::Zeroizing;
use serde::de::DeserializeOwned;

use super::failure;
use crate::{Error, ErrorKind, Result};

/// A whole answer, whatever its status.
///
/// Its body may hold secrets, since servers give back what they were given: `Debug` does not show it, errors about it do
/// not quote it, and our copy is overwritten when the answer is dropped.
pub struct HttpResponse {
    pub(super) request: String,
    pub(super) status: u16,
    pub(super) headers: HeaderMap,
    pub(super) body: Zeroizing<Vec<u8>>,
}

impl HttpResponse {
    /// The status code (RFC 9110 section 15).
    pub fn status(&self) -> u16 {
        self.status
    }

    /// Whether the status is one of success, 200 to 299.
    pub fn is_success(&self) -> bool {
        (200..300).contains(&self.status)
    }

    /// The method and the URL without its query, as errors name it.
    pub fn request(&self) -> &str {
        &self.request
    }

    /// A header's value, where it is there and visible ASCII; of several the first.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    /// The body.
    pub fn body(&self) -> &[u8] {
        &self.body
    }

    /// This answer, unless its status is not one of success.
    ///
    /// # Errors
    /// [`Denied`](ErrorKind::Denied) for 401 and 403, [`NotFound`](ErrorKind::NotFound) for 404 and 410,
    /// [`Unavailable`](ErrorKind::Unavailable) for 429, 502, 503 and 504, [`Rejected`](ErrorKind::Rejected) for other
    /// statuses below 500, [`Server`](ErrorKind::Server) for the rest. The error has the status and nothing of the body.
    pub fn into_success(self) -> Result<Self> {
        if self.is_success() {
            return Ok(self);
        }
        let (kind, advice) = failure::of_status(self.status);
        Err(self.refused(kind, advice))
    }

    /// The body, read as JSON.
    ///
    /// # Errors
    /// [`Answer`](ErrorKind::Answer) when it is no JSON or of another shape, without quoting it.
    pub fn json<T: DeserializeOwned>(&self) -> Result<T> {
        serde_json::from_slice(&self.body).map_err(|error| self.unreadable(&error))
    }

    /// An error about the answer: what of it is wrong, after its request and its status.
    pub(crate) fn refused(&self, kind: ErrorKind, text: impl fmt::Display) -> Error {
        let message = format!(
            "{}: the answer is {}{text}",
            self.request,
            self.named_status()
        );
        let error = Error::new(kind, message);
        match kind {
            ErrorKind::Unavailable => error.retryable(),
            _ => error,
        }
    }

    /// An error about a body that is not what it should be. What the parser says may quote the body, so it is left out.
    pub(crate) fn unreadable(&self, error: &serde_json::Error) -> Error {
        let (line, column) = (error.line(), error.column());
        let what = match error.classify() {
            serde_json::error::Category::Data => {
                format!("is JSON of another shape than expected (line {line}, column {column})")
            }
            _ if self.body.is_empty() => "is empty instead of JSON".to_owned(),
            _ if self.body.trim_ascii_start().starts_with(b"<") => {
                "is a page for people instead of JSON; is the URL that of the service itself?"
                    .to_owned()
            }
            serde_json::error::Category::Eof => "ends in the middle of its JSON".to_owned(),
            _ => format!("is no JSON (line {line}, column {column})"),
        };
        let message = format!(
            "{}: the answer, {}, {what}",
            self.request,
            self.named_status()
        );
        Error::new(ErrorKind::Answer, message)
    }

    fn named_status(&self) -> String {
        let name = reqwest::StatusCode::from_u16(self.status)
            .ok()
            .and_then(|status| status.canonical_reason());
        match name {
            Some(name) => format!("{} ({name})", self.status),
            None => self.status.to_string(),
        }
    }
}

impl fmt::Debug for HttpResponse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (status, length) = (self.status, self.body.len());
        write!(f, "{}: {status}, {length} bytes", self.request)
    }
}
