//! The client: one server, its settings and its connections.

use std::borrow::Cow;
use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use reqwest::header::{CONTENT_TYPE, HeaderName, HeaderValue, LOCATION, RETRY_AFTER};
use reqwest::{Certificate, Identity, Url};
use secrecy::ExposeSecret;
use secrecy::zeroize::Zeroizing;
use tokio::time::Instant;

use super::failure::{self, Failure};
use super::options::Credentials;
use super::retry::{self, Again};
use super::{HttpOptions, HttpRequest, HttpResponse, HttpRetries, Withhold};
use crate::text::shortened;
use crate::{Error, ErrorKind, Result};

/// The longest span that a deadline is counted in; a longer one is as good as none.
const FOREVER: Duration = Duration::from_secs(365 * 24 * 3600);

/// Speaks HTTP to one server. Cheap to clone; clones share their connections.
///
/// The [module](super) says what it does and what not.
#[derive(Clone)]
pub struct HttpClient(Arc<Inner>);

struct Inner {
    http: reqwest::Client,
    /// Without credentials, query and fragment; its path ends without a slash.
    url: Url,
    credentials: Option<(HeaderName, HeaderValue)>,
    /// What of our credentials no error may repeat.
    withhold: Withhold,
    /// Why no body may be sent, where none may.
    readable: Option<String>,
    connect_deadline: Duration,
    deadline: Duration,
    retries: HttpRetries,
    body_limit: usize,
}

impl HttpClient {
    /// A client for the server at this URL, which may have a path that all requests go below.
    ///
    /// # Errors
    /// [`Options`](ErrorKind::Options) for a URL that is none, or has credentials, a query or a fragment; for certificates
    /// and keys that do not read; for credentials that plain HTTP would show to others.
    pub fn new(url: &str, options: HttpOptions) -> Result<Self> {
        let url = server_url(url)?;
        let readable = readable_by_others(&url, &options);
        if let (Some(why), Some(_)) = (&readable, &options.credentials) {
            return Err(unusable(format!("{url}: no credentials are sent {why}")));
        }
        let mut withhold = Withhold::new();
        let credentials = match &options.credentials {
            Some(credentials) => Some(header_of(&url, credentials, &mut withhold)?),
            None => None,
        };
        Ok(Self(Arc::new(Inner {
            http: build(&url, &options)?,
            url,
            credentials,
            withhold,
            readable,
            connect_deadline: options.connect_deadline,
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
        let url = self.url_of(&request)?;
        let name = shown(&request, &url);
        if let (Some(why), Some(_)) = (&self.0.readable, &request.body) {
            return Err(unusable(format!("{name}: no body is sent {why}")));
        }
        let deadline = request.deadline.unwrap_or(self.0.deadline);
        let until = Instant::now() + deadline.min(FOREVER);
        let mut attempt = 1;
        let mut last = None;
        loop {
            let outcome = tokio::time::timeout_at(until, self.attempt(&request, &url, &name)).await;
            let Ok(outcome) = outcome else {
                let error = too_late(&name, deadline, request.repeatable);
                return Err(match last {
                    Some(last) => error.caused_by(last),
                    None => error,
                });
            };
            let pause = self.pause(&request, &outcome, attempt);
            let next = pause.and_then(|pause| Instant::now().checked_add(pause));
            match next {
                Some(next) if next < until => tokio::time::sleep_until(next).await,
                _ => return outcome.map_err(|failure| failure.error),
            }
            attempt += 1;
            last = outcome.err().map(|failure: Failure| failure.error);
        }
    }

    /// Whether a text of the server repeats our credentials.
    pub(crate) fn repeats_credentials(&self, text: &str) -> bool {
        self.0.withhold.repeats(text)
    }

    /// The pause before another attempt, where one makes sense.
    fn pause(
        &self,
        request: &HttpRequest,
        outcome: &Result<HttpResponse, Failure>,
        attempt: u32,
    ) -> Option<Duration> {
        if attempt >= self.0.retries.attempts {
            return None;
        }
        let ours = retry::our_pause(&self.0.retries, attempt);
        match outcome {
            Ok(answer) => {
                let asked = answer.header(RETRY_AFTER.as_str());
                retry::after_answer(answer.status, asked, request.repeatable, ours)
            }
            Err(failure) => match failure.again {
                Again::Always => Some(ours),
                Again::IfRepeatable if request.repeatable => Some(ours),
                _ => None,
            },
        }
    }

    async fn attempt(
        &self,
        request: &HttpRequest,
        url: &Url,
        name: &str,
    ) -> Result<HttpResponse, Failure> {
        let lost =
            |error| failure::of_attempt(name, error, self.0.connect_deadline, request.repeatable);
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
        let mut answer = builder.send().await.map_err(lost)?;
        let status = answer.status().as_u16();
        if let (301..=303 | 307 | 308, Some(to)) = (status, answer.headers().get(LOCATION)) {
            let to = self.destination(request, url, to);
            let message = format!(
                "{name}: the answer is {status} and leads to {to}, where nothing was sent; give that URL if it is right"
            );
            return Err(Failure::lasting(ErrorKind::Redirect, message));
        }
        let limit = self.0.body_limit;
        let too_long = || {
            let message = format!(
                "{name}: the answer, {status}, has more than the {limit} bytes that are read"
            );
            Failure::lasting(ErrorKind::Answer, message)
        };
        let length = answer.content_length().unwrap_or(0);
        if length > limit as u64 {
            return Err(too_long());
        }
        let mut body = Zeroizing::new(Vec::with_capacity(usize::try_from(length).unwrap_or(0)));
        while let Some(chunk) = answer.chunk().await.map_err(lost)? {
            if chunk.len() > limit - body.len() {
                return Err(too_long());
            }
            grow(&mut body, chunk.len());
            body.extend_from_slice(&chunk);
        }
        Ok(HttpResponse {
            request: name.to_owned(),
            status,
            headers: std::mem::take(answer.headers_mut()),
            body,
        })
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

/// Makes room without leaving a copy behind, as `reserve` does.
fn grow(body: &mut Zeroizing<Vec<u8>>, more: usize) {
    if body.capacity() - body.len() < more {
        let wanted = (body.len() + more).max(2 * body.capacity());
        let mut larger = Zeroizing::new(Vec::with_capacity(wanted));
        larger.extend_from_slice(body);
        *body = larger;
    }
}

/// Reads the URL of a server. What it quotes has no user and password.
fn server_url(text: &str) -> Result<Url> {
    let url = Url::parse(text).map_err(|error| {
        // What does not parse may have a password anywhere.
        let message = "the URL of a server is none; write it as https://host:port/path";
        unusable(message.to_owned()).caused_by(error)
    })?;
    let wrong = if !matches!(url.scheme(), "http" | "https") {
        "a server's URL begins with https:// or http://"
    } else if !url.username().is_empty() || url.password().is_some() {
        "no user or password stands in a URL, where logs and errors would show it; give them to `HttpOptions::basic`"
    } else if url.query().is_some() || url.fragment().is_some() {
        "a server's URL ends with its path, without `?` and `#`"
    } else {
        return Ok(url);
    };
    let host = url.host_str().unwrap_or_default();
    let message = format!("the URL {}://{host}...: {wrong}", url.scheme());
    Err(unusable(message))
}

/// Why what is sent could be read on the way, where it could.
fn readable_by_others(url: &Url, options: &HttpOptions) -> Option<String> {
    if url.scheme() == "https" || options.plain_http {
        return None;
    }
    let host = url.host_str().unwrap_or_default();
    let address = host.trim_start_matches('[').trim_end_matches(']').parse();
    let here = host == "localhost" || address.is_ok_and(|address: IpAddr| address.is_loopback());
    if here && !options.proxies {
        return None;
    }
    let whom = if here { "a proxy" } else { "another machine" };
    Some(format!(
        "over plain HTTP to {whom}, since others can read it; use https://, or allow it by \
         `HttpOptions::danger_plain_http`"
    ))
}

/// The header that says who we are.
fn header_of(
    url: &Url,
    credentials: &Credentials,
    withhold: &mut Withhold,
) -> Result<(HeaderName, HeaderValue)> {
    let (name, value) = match credentials {
        Credentials::Basic(user, password) => {
            if user.contains(':') {
                let message =
                    "a user's name has no colon in basic authentication (RFC 7617 section 2)";
                return Err(unusable(format!("{url}: {message}")));
            }
            withhold.value(password.expose_secret());
            let pair = Zeroizing::new(format!("{user}:{}", password.expose_secret()));
            let encoded = Zeroizing::new(data_encoding::BASE64.encode(pair.as_bytes()));
            withhold.value(&encoded);
            (
                Cow::Borrowed("authorization"),
                Zeroizing::new(format!("Basic {}", &*encoded)),
            )
        }
        Credentials::Authorization(scheme, token) => {
            withhold.value(token.expose_secret());
            let value = Zeroizing::new(format!("{scheme}{}", token.expose_secret()));
            (Cow::Borrowed("authorization"), value)
        }
        Credentials::Header(name, key) => {
            withhold.value(key.expose_secret());
            let value = Zeroizing::new(key.expose_secret().to_owned());
            (Cow::Owned(name.to_ascii_lowercase()), value)
        }
    };
    let header = HeaderName::from_bytes(name.as_bytes()).map_err(|_| {
        let name = shortened(&name);
        unusable(format!(
            "{url}: `{name}` is no name of a header (RFC 9110 section 5.1)"
        ))
    })?;
    let bytes = bytes::Bytes::from_owner(Secret(value));
    let mut value = HeaderValue::from_maybe_shared(bytes).map_err(|_| {
        let message =
            "the token or key has characters that no header may have; is there a line end in it?";
        unusable(format!("{url}: {message}"))
    })?;
    value.set_sensitive(true);
    Ok((header, value))
}

/// A header's value, overwritten when nobody needs it any more.
struct Secret(Zeroizing<String>);

impl AsRef<[u8]> for Secret {
    fn as_ref(&self) -> &[u8] {
        self.0.as_bytes()
    }
}

/// The library's client.
fn build(url: &Url, options: &HttpOptions) -> Result<reqwest::Client> {
    let mut builder = reqwest::Client::builder()
        .user_agent(concat!("clusterops/", env!("CARGO_PKG_VERSION")))
        .redirect(reqwest::redirect::Policy::none())
        .retry(reqwest::retry::never())
        .referer(false)
        .connect_timeout(options.connect_deadline.min(FOREVER));
    if !options.proxies {
        builder = builder.no_proxy();
    }
    let mut authorities = Vec::new();
    for pem in &options.authorities {
        let read = Certificate::from_pem_bundle(pem.as_bytes()).map_err(|error| {
            unusable(format!(
                "{url}: the authority does not read as certificates in PEM"
            ))
            .caused_by(error)
        })?;
        if read.is_empty() {
            let message = "the authority has no certificate in it: PEM begins with `-----BEGIN CERTIFICATE-----`";
            return Err(unusable(format!("{url}: {message}")));
        }
        authorities.extend(read);
    }
    // Where there is no TLS, the system's certificates need not be read.
    if !authorities.is_empty() || url.scheme() == "http" {
        builder = builder.tls_certs_only(authorities);
    }
    if let Some((chain, key)) = &options.certificate {
        let both = Zeroizing::new(format!("{}\n{chain}", key.expose_secret()));
        let identity = Identity::from_pem(both.as_bytes()).map_err(|_| {
            let message = "the client certificate or its key does not read as PEM; a key with a passphrase is decrypted first";
            unusable(format!("{url}: {message}"))
        })?;
        builder = builder.identity(identity);
    }
    builder.build().map_err(|error| {
        let message =
            "TLS cannot be set up with these certificates; does the key belong to the certificate?";
        unusable(format!("{url}: {message}")).caused_by(error)
    })
}

/// A request as errors name it.
fn shown(request: &HttpRequest, url: &Url) -> String {
    let mut url = url.clone();
    url.set_query(None);
    format!("{} {url}", request.method)
}

fn too_late(name: &str, deadline: Duration, repeatable: bool) -> Error {
    let message = format!("{name}: no whole answer within {deadline:?}");
    match repeatable {
        true => Error::new(ErrorKind::Timeout, message).retryable(),
        false => {
            let advice =
                "whether the request was acted on is not known; look before it is sent again";
            Error::new(ErrorKind::Timeout, format!("{message}, and {advice}"))
        }
    }
}

fn unusable(message: String) -> Error {
    Error::new(ErrorKind::Options, message)
}
