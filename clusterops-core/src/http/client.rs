//! The client: one server, its settings and its connections.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use reqwest::Url;
use reqwest::header::{CONTENT_TYPE, HeaderName, HeaderValue, LOCATION};
use secrecy::zeroize::Zeroizing;

use super::call::{self, Nodes};
use super::failure::{self, Failure};
use super::setup;
use super::{HttpOptions, HttpRequest, HttpResponse, HttpRetries, HttpStream, Withhold};
use crate::text::shortened;
use crate::{Error, ErrorKind, Result};

/// The longest span that a deadline is counted in; a longer one is as good as none.
pub(super) const FOREVER: Duration = Duration::from_secs(365 * 24 * 3600);

/// Speaks HTTP to one server. Cheap to clone; clones share their connections.
///
/// The [module](super) says what it does and what not. For a server with several nodes there is
/// [`HttpNodes`](super::HttpNodes).
#[derive(Clone)]
pub struct HttpClient(Arc<Inner>);

pub(super) struct Inner {
    http: reqwest::Client,
    /// Without credentials, query and fragment; its path ends without a slash.
    url: Url,
    credentials: Option<(HeaderName, HeaderValue)>,
    /// What of our credentials no error may repeat.
    withhold: Withhold,
    /// Why no body may be sent, where none may.
    readable: Option<String>,
    connect_deadline: Duration,
    pub(super) attempt_deadline: Option<Duration>,
    pub(super) deadline: Duration,
    pub(super) retries: HttpRetries,
    pub(super) body_limit: usize,
}

impl HttpClient {
    /// A client for the server at this URL, which may have a path that all requests go below.
    ///
    /// # Errors
    /// [`Options`](ErrorKind::Options) for a URL that is none, or has credentials, a query or a fragment; for certificates
    /// and keys that do not read; for credentials that plain HTTP would show to others.
    pub fn new(url: &str, options: HttpOptions) -> Result<Self> {
        let url = setup::server_url(url)?;
        let readable = setup::readable_by_others(&url, &options);
        if let (Some(why), Some(_)) = (&readable, &options.credentials) {
            return Err(unusable(format!("{url}: no credentials are sent {why}")));
        }
        let mut withhold = Withhold::new();
        let credentials = match &options.credentials {
            Some(credentials) => Some(setup::header_of(&url, credentials, &mut withhold)?),
            None => None,
        };
        Ok(Self(Arc::new(Inner {
            http: setup::build(&url, &options)?,
            url,
            credentials,
            withhold,
            readable,
            connect_deadline: options.connect_deadline,
            attempt_deadline: options.attempt_deadline,
            deadline: options.deadline,
            retries: options.retries,
            body_limit: options.body_limit,
        })))
    }

    /// The server's URL.
    pub fn url(&self) -> &str {
        self.0.url.as_str().trim_end_matches('/')
    }

    /// Sends a request, again where it may be repeated and that can help, and gives the last answer, whatever its status.
    ///
    /// Dropping the future ends the call; what the server got by then, it has.
    ///
    /// # Errors
    /// [`Connection`](ErrorKind::Connection), [`Tls`](ErrorKind::Tls) and [`Timeout`](ErrorKind::Timeout) for what they
    /// say; [`Answer`](ErrorKind::Answer) for one that is no HTTP or too long; [`Redirect`](ErrorKind::Redirect) for one
    /// that sends us elsewhere; [`Options`](ErrorKind::Options) for a path, a header or a body that cannot be sent.
    pub async fn send(&self, request: HttpRequest) -> Result<HttpResponse> {
        call::call(Nodes::One(self), &request).await
    }

    /// Sends a request as [`send`](Self::send) does, and gives the answer as soon as its head is there; the body is read
    /// piece by piece.
    ///
    /// The deadline holds for the head, and then for each piece. The limit of length does not hold.
    ///
    /// # Errors
    /// As [`send`](Self::send).
    pub async fn stream(&self, request: HttpRequest) -> Result<HttpStream> {
        call::call(Nodes::One(self), &request).await
    }

    /// A text of the server as it may be shown: withheld where it repeats a piece of our credentials.
    pub fn shown<'a>(&self, text: &'a str) -> Cow<'a, str> {
        self.0.withhold.shown(text)
    }

    /// Whether a text of the server repeats our credentials.
    pub(crate) fn repeats_credentials(&self, text: &str) -> bool {
        self.0.withhold.repeats(text)
    }

    pub(super) fn settings(&self) -> &Inner {
        &self.0
    }

    /// One attempt, up to the head of the answer.
    pub(super) async fn open(&self, request: &HttpRequest) -> Result<HttpStream, Failure> {
        let url = self.url_of(request).map_err(Failure::of_ours)?;
        let name = shown(request, &url);
        if let (Some(why), Some(_)) = (&self.0.readable, &request.body) {
            let error = unusable(format!("{name}: no body is sent {why}"));
            return Err(Failure::of_ours(error));
        }
        let lost =
            |error| failure::of_attempt(&name, error, self.0.connect_deadline, request.repeatable);
        let mut builder = self.0.http.request(request.method.clone(), url.clone());
        for (name, value) in &request.headers {
            builder = builder.header(name, value);
        }
        if let Some((name, value)) = &self.0.credentials {
            builder = builder.header(name, value);
        }
        if let Some((media_type, body)) = &request.body {
            builder = builder.header(CONTENT_TYPE, *media_type).body(body.share());
        }
        let answer = builder.send().await.map_err(lost)?;
        let status = answer.status().as_u16();
        if let (301..=303 | 307 | 308, Some(to)) = (status, answer.headers().get(LOCATION)) {
            let to = self.destination(request, &url, to);
            let message = format!(
                "{name}: the answer is {status} and leads to {to}, where nothing was sent; give that URL if it is right"
            );
            return Err(Failure::lasting(ErrorKind::Redirect, message));
        }
        Ok(HttpStream {
            request: name,
            answer,
            repeatable: request.repeatable,
            connect_deadline: self.0.connect_deadline,
            deadline: request.deadline.unwrap_or(self.0.deadline),
            limit: self.0.body_limit,
        })
    }

    /// A request as errors name it.
    pub(super) fn name(&self, request: &HttpRequest) -> String {
        match self.url_of(request) {
            Ok(url) => shown(request, &url),
            Err(_) => format!("{request:?}"),
        }
    }

    fn url_of(&self, request: &HttpRequest) -> Result<Url> {
        let path = &request.path;
        let dots = |segment: &str| {
            let segment = segment.replace("%2e", ".").replace("%2E", ".");
            segment == "." || segment == ".."
        };
        if !path.starts_with('/') || path.contains(['?', '#', '\\']) || path.split('/').any(dots) {
            let message = format!(
                "`{}` is no path of a request: it begins with a slash, and has no query and no segments of dots",
                shortened(path)
            );
            return Err(unusable(message));
        }
        let mut url = self.0.url.clone();
        url.set_path(&format!("{}{path}", url.path().trim_end_matches('/')));
        if !request.query.is_empty() {
            url.query_pairs_mut().extend_pairs(&request.query);
        }
        Ok(url)
    }

    /// Where a redirect leads, as far as that can be told: no credentials, no query, nothing that we sent.
    fn destination(&self, request: &HttpRequest, from: &Url, to: &HeaderValue) -> String {
        let to = to.to_str().ok().and_then(|to| from.join(to).ok());
        let Some(mut to) = to else {
            return "a place that is no URL".to_owned();
        };
        to.set_query(None);
        to.set_fragment(None);
        // Fails for URLs that cannot have them.
        let _ = to.set_username("");
        let _ = to.set_password(None);
        let repeats = |text: &str| {
            let of_body = match (&request.withhold, &request.body) {
                (Some(withhold), _) => withhold.repeats(text),
                (None, Some((_, body))) => {
                    let mut withhold = Withhold::new();
                    withhold.value(&Zeroizing::new(
                        String::from_utf8_lossy(body.as_ref()).into_owned(),
                    ));
                    withhold.repeats(text)
                }
                (None, None) => false,
            };
            of_body || self.repeats_credentials(text)
        };
        let shown = to.to_string();
        match shown.strip_prefix(self.url()) {
            // What is said of our own server begins with what the caller wrote.
            Some(rest) if !repeats(rest) => shown,
            None if !repeats(&shown) => shown,
            _ => Withhold::MARK.to_owned(),
        }
    }
}

impl fmt::Debug for HttpClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("HttpClient").field(&self.url()).finish()
    }
}

/// A request as errors name it.
fn shown(request: &HttpRequest, url: &Url) -> String {
    let mut url = url.clone();
    url.set_query(None);
    format!("{} {url}", request.method)
}

pub(super) fn unusable(message: String) -> Error {
    Error::new(ErrorKind::Options, message)
}
