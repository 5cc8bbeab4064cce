//! An answer that is read piece by piece.

use std::fmt;
use std::time::Duration;

use reqwest::header::HeaderMap;
use secrecy::zeroize::Zeroizing;

use super::Bytes;
use super::HttpResponse;
use super::call::too_late;
use super::client::FOREVER;
use super::failure::{self, Failure};
use crate::{ErrorKind, Result};

/// An answer whose head is there and whose body is still coming, however long it is.
///
/// ```no_run
/// use clusterops_core::http::{HttpClient, HttpOptions, HttpRequest};
///
/// # async fn example() -> clusterops_core::Result<()> {
/// let client = HttpClient::new("https://logs.example.org", HttpOptions::default())?;
/// let mut answer = client.stream(HttpRequest::get("/archive")).await?;
/// let mut length = 0;
/// while let Some(piece) = answer.chunk().await? {
///     length += piece.len();
/// }
/// # Ok(())
/// # }
/// ```
pub struct HttpStream {
    pub(super) request: String,
    pub(super) answer: reqwest::Response,
    pub(super) repeatable: bool,
    pub(super) connect_deadline: Duration,
    pub(super) deadline: Duration,
    pub(super) limit: usize,
}

impl HttpStream {
    /// The status code (RFC 9110 section 15).
    pub fn status(&self) -> u16 {
        self.answer.status().as_u16()
    }

    /// Whether the status is one of success, 200 to 299.
    pub fn is_success(&self) -> bool {
        (200..300).contains(&self.status())
    }

    /// The method and the URL without its query, as errors name it.
    pub fn request(&self) -> &str {
        &self.request
    }

    /// A header's value, where it is there and visible ASCII; of several the first.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.answer.headers().get(name)?.to_str().ok()
    }

    /// The next piece of the body, of any length; `None` after the last. Cancel-safe.
    ///
    /// # Errors
    /// [`Timeout`](ErrorKind::Timeout) when none comes within the deadline, [`Connection`](ErrorKind::Connection) when the
    /// connection is lost, [`Answer`](ErrorKind::Answer) for what does not decompress.
    pub async fn chunk(&mut self) -> Result<Option<Bytes>> {
        let wait = self.deadline.min(FOREVER);
        match tokio::time::timeout(wait, self.piece()).await {
            Ok(piece) => piece.map_err(|failure| failure.error),
            Err(_) => Err(too_late(
                &self.request,
                "no further piece of the answer",
                wait,
                self.repeatable,
            )),
        }
    }

    /// The whole body, within the deadline and the limit of the client.
    ///
    /// # Errors
    /// As [`chunk`](Self::chunk), and [`Answer`](ErrorKind::Answer) for one that is too long.
    pub async fn collect(self) -> Result<HttpResponse> {
        let (request, deadline) = (self.request.clone(), self.deadline.min(FOREVER));
        let repeatable = self.repeatable;
        match tokio::time::timeout(deadline, self.whole()).await {
            Ok(answer) => answer.map_err(|failure| failure.error),
            Err(_) => Err(too_late(&request, "no whole answer", deadline, repeatable)),
        }
    }

    async fn piece(&mut self) -> Result<Option<Bytes>, Failure> {
        self.answer.chunk().await.map_err(|error| {
            failure::of_attempt(&self.request, error, self.connect_deadline, self.repeatable)
        })
    }

    /// The whole body, without a deadline of its own.
    pub(super) async fn whole(mut self) -> Result<HttpResponse, Failure> {
        let (status, limit) = (self.status(), self.limit);
        let request = self.request.clone();
        let too_long = || {
            let message = format!(
                "{request}: the answer, {status}, has more than the {limit} bytes that are read"
            );
            Failure::lasting(ErrorKind::Answer, message)
        };
        let length = self.answer.content_length().unwrap_or(0);
        if length > limit as u64 {
            return Err(too_long());
        }
        let mut body = Zeroizing::new(Vec::with_capacity(usize::try_from(length).unwrap_or(0)));
        while let Some(chunk) = self.piece().await? {
            if chunk.len() > limit - body.len() {
                return Err(too_long());
            }
            grow(&mut body, chunk.len());
            body.extend_from_slice(&chunk);
        }
        Ok(HttpResponse {
            request: self.request,
            status,
            headers: std::mem::take(self.answer.headers_mut()),
            body,
        })
    }

    pub(super) fn headers(&self) -> &HeaderMap {
        self.answer.headers()
    }
}

impl fmt::Debug for HttpStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}, and a body", self.request, self.status())
    }
}

/// Makes room without leaving a copy behind, as `reserve` does.
fn grow(body: &mut Zeroizing<Vec<u8>>, more: usize) {
    if body.capacity() - body.len() < more {
        let wanted = (body.len() + more).max(2 * body.capacity());
        let mut larger = Zeroizing::new(Vec::with_capacity(wanted));
        larger.extend_from_slice(body);
        *body = larger;
    }
}
