//! What to ask of a server.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use reqwest::Method;
use secrecy::zeroize::Zeroizing;
use secrecy::{ExposeSecret, SecretSlice, SecretString};

use super::Withhold;

/// One request: a method, a path below the client's URL, and what goes with it.
///
/// Every body is taken to be secret: our copy of it is overwritten when the request is dropped. (The copies of the TLS
/// library and of the system are not ours to overwrite.)
///
/// ```
/// use clusterops_core::http::HttpRequest;
///
/// let request = HttpRequest::get("/v2/apps").segment("web front").query("embed", "app.counts");
/// assert_eq!(format!("{request:?}"), "GET /v2/apps/web%20front");
/// ```
#[derive(Clone)]
pub struct HttpRequest {
    pub(super) method: Method,
    /// Begins with a slash; percent-encoded.
    pub(super) path: String,
    pub(super) query: Vec<(String, String)>,
    pub(super) headers: Vec<(String, String)>,
    pub(super) body: Option<(&'static str, Body)>,
    pub(super) repeatable: bool,
    pub(super) deadline: Option<Duration>,
    pub(super) withhold: Option<Arc<Withhold>>,
}

/// A body that several attempts share.
#[derive(Clone)]
pub(super) struct Body(Arc<Zeroizing<Vec<u8>>>);

impl HttpRequest {
    /// Reads something (RFC 9110 section 9.3.1).
    ///
    /// The path stands below the client's URL. It is written as in a URL, without a query; [`segment`](Self::segment)
    /// adds what is not written so.
    pub fn get(path: impl Into<String>) -> Self {
        Self::new(Method::GET, path.into())
    }

    /// Puts something in a place (RFC 9110 section 9.3.4).
    pub fn put(path: impl Into<String>) -> Self {
        Self::new(Method::PUT, path.into())
    }

    /// Has the server do something (RFC 9110 section 9.3.3); not repeated unless it is [`repeatable`](Self::repeatable).
    pub fn post(path: impl Into<String>) -> Self {
        Self::new(Method::POST, path.into())
    }

    /// Removes something (RFC 9110 section 9.3.5).
    pub fn delete(path: impl Into<String>) -> Self {
        Self::new(Method::DELETE, path.into())
    }

    fn new(method: Method, path: String) -> Self {
        Self {
            repeatable: method.is_idempotent(),
            method,
            path,
            query: Vec::new(),
            headers: Vec::new(),
            body: None,
            deadline: None,
            withhold: None,
        }
    }

    /// Adds a segment to the path: any text, which is percent-encoded.
    #[must_use]
    pub fn segment(mut self, text: &str) -> Self {
        if !self.path.ends_with('/') {
            self.path.push('/');
        }
        for byte in text.bytes() {
            match byte {
                b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
                    self.path.push(char::from(byte));
                }
                _ => self.path.push_str(&format!("%{byte:02X}")),
            }
        }
        self
    }

    /// Adds a parameter to the query. Errors do not show queries.
    #[must_use]
    pub fn query(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.query.push((name.into(), value.into()));
        self
    }

    /// Adds a header that is no secret; credentials belong into [`HttpOptions`](super::HttpOptions).
    #[must_use]
    pub fn header(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.headers.push((name.into(), value.into()));
        self
    }

    /// Sends a body of this media type.
    #[must_use]
    pub fn body(mut self, media_type: &'static str, body: &SecretSlice<u8>) -> Self {
        let body = body.expose_secret().to_vec();
        self.body = Some((media_type, Body(Arc::new(Zeroizing::new(body)))));
        self
    }

    /// Sends a text that is JSON, as it stands.
    #[must_use]
    pub fn json(mut self, text: &SecretString) -> Self {
        let body = text.expose_secret().as_bytes().to_vec();
        self.body = Some(("application/json", Body(Arc::new(Zeroizing::new(body)))));
        self
    }

    /// What was given to be sent, for those who send it in another form.
    pub fn to_send(&self) -> Option<SecretSlice<u8>> {
        let (_, Body(body)) = self.body.as_ref()?;
        Some(SecretSlice::from(body.to_vec()))
    }

    /// Says whether the server may get this request twice without harm.
    ///
    /// By default that follows the method (RFC 9110 section 9.2.2): a GET, PUT or DELETE may, a POST may not. One that may
    /// is tried again after a lost connection and after the answers 429, 502, 503 and 504; one that may not only where it
    /// did not reach the server, or where the server did not begin with it and asks for it again: 429 with `Retry-After`.
    /// A 503 is no such answer, since a proxy can give it for what a server behind it has done.
    #[must_use]
    pub fn repeatable(mut self, repeatable: bool) -> Self {
        self.repeatable = repeatable;
        self
    }

    /// Gives this request another deadline than the client's.
    #[must_use]
    pub fn deadline(mut self, deadline: Duration) -> Self {
        self.deadline = Some(deadline);
        self
    }

    /// What of the server's words must not reach an error; without it, whatever repeats a piece of the body.
    #[must_use]
    pub fn withhold(mut self, withhold: Arc<Withhold>) -> Self {
        self.withhold = Some(withhold);
        self
    }
}

impl Body {
    /// For one attempt; the bytes are not copied.
    pub(super) fn share(&self) -> bytes::Bytes {
        bytes::Bytes::from_owner(self.clone())
    }
}

impl AsRef<[u8]> for Body {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for HttpRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.method, self.path)
    }
}
