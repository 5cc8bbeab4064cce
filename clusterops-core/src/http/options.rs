//! How to speak to a server.

use std::borrow::Cow;
use std::fmt;
use std::time::Duration;

use secrecy::SecretString;

/// How to speak to a server over HTTP: whom to trust, who we are, how long to wait.
///
/// ```
/// use std::time::Duration;
/// use clusterops_core::http::{HttpOptions, HttpRetries};
///
/// let options = HttpOptions::default()
///     .basic("deployer", "the password")
///     .deadline(Duration::from_secs(10))
///     .retries(HttpRetries::none());
/// assert!(!format!("{options:?}").contains("the password"));
/// ```
#[derive(Debug, Clone)]
pub struct HttpOptions {
    pub(super) credentials: Option<Credentials>,
    pub(super) authorities: Vec<String>,
    pub(super) certificate: Option<(String, SecretString)>,
    pub(super) connect_deadline: Duration,
    pub(super) attempt_deadline: Option<Duration>,
    pub(super) deadline: Duration,
    pub(super) gzip: Option<bool>,
    pub(super) retries: HttpRetries,
    pub(super) body_limit: usize,
    pub(super) plain_http: bool,
    pub(super) proxies: bool,
}

/// How often, and how far apart, a call is tried that may be repeated.
///
/// The pauses double from the first to the longest, each shortened by up to a half at random, so that many callers do not
/// come back at the same moment. A server's `Retry-After` (RFC 9110 section 10.2.3) holds in their place. No pause goes
/// past the deadline of the call: then the last answer or error stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HttpRetries {
    /// How often a call is tried in all; 1 is never again.
    pub attempts: u32,
    /// The pause after the first attempt.
    pub first_pause: Duration,
    /// The longest pause.
    pub longest_pause: Duration,
}

/// Who we are.
#[derive(Clone)]
pub(super) enum Credentials {
    Basic(String, SecretString),
    /// The scheme of `Authorization` with what joins it to the secret.
    Authorization(Cow<'static, str>, SecretString),
    Header(String, SecretString),
}

impl HttpOptions {
    /// Sends a name and a password (RFC 7617), in place of other credentials.
    #[must_use]
    pub fn basic(mut self, user: impl Into<String>, password: impl Into<SecretString>) -> Self {
        self.credentials = Some(Credentials::Basic(user.into(), password.into()));
        self
    }

    /// Sends a bearer token (RFC 6750), in place of other credentials.
    #[must_use]
    pub fn bearer(mut self, token: impl Into<SecretString>) -> Self {
        self.credentials = Some(Credentials::Authorization("Bearer ".into(), token.into()));
        self
    }

    /// Sends a token as DC/OS wants it, `Authorization: token=...`, in place of other credentials.
    #[must_use]
    pub fn dcos_token(mut self, token: impl Into<SecretString>) -> Self {
        self.credentials = Some(Credentials::Authorization("token=".into(), token.into()));
        self
    }

    /// Sends `Authorization: SCHEME SECRET` (RFC 9110 section 11.6.2), in place of other credentials.
    ///
    /// ```
    /// use clusterops_core::http::HttpOptions;
    ///
    /// // As Elasticsearch wants its API keys.
    /// let options = HttpOptions::default().authorization("ApiKey", "VnVhQ2ZHY0JDZGJrUW0tZTVhT3g6dWkybHAyYXhUTm1zeWFrd");
    /// ```
    #[must_use]
    pub fn authorization(mut self, scheme: &str, secret: impl Into<SecretString>) -> Self {
        let scheme = format!("{scheme} ").into();
        self.credentials = Some(Credentials::Authorization(scheme, secret.into()));
        self
    }

    /// Sends a key in a header of this name, as `X-API-Key`, in place of other credentials.
    #[must_use]
    pub fn api_key(mut self, header: impl Into<String>, key: impl Into<SecretString>) -> Self {
        self.credentials = Some(Credentials::Header(header.into(), key.into()));
        self
    }

    /// Trusts the certificates that these ones (PEM, one or more) signed, and no longer those that the system trusts.
    ///
    /// Called again it adds to them.
    #[must_use]
    pub fn authority(mut self, pem: impl Into<String>) -> Self {
        self.authorities.push(pem.into());
        self
    }

    /// Shows the server a certificate of our own: the chain, ours first, and its key without a passphrase, both in PEM.
    #[must_use]
    pub fn client_certificate(
        mut self,
        chain: impl Into<String>,
        key: impl Into<SecretString>,
    ) -> Self {
        self.certificate = Some((chain.into(), key.into()));
        self
    }

    /// How long connecting may take, TLS included; 10 seconds by default.
    #[must_use]
    pub fn connect_deadline(mut self, deadline: Duration) -> Self {
        self.connect_deadline = deadline;
        self
    }

    /// How long a call may take with everything: repeats, pauses and the whole answer; 30 seconds by default.
    #[must_use]
    pub fn deadline(mut self, deadline: Duration) -> Self {
        self.deadline = deadline;
        self
    }

    /// How long one attempt may take that can be repeated; by default as long as the whole call.
    ///
    /// With several nodes ([`HttpNodes`](super::HttpNodes)) a shorter one lets another node take over from one that
    /// hangs, and sends again what is only slow.
    #[must_use]
    pub fn attempt_deadline(mut self, deadline: Duration) -> Self {
        self.attempt_deadline = Some(deadline);
        self
    }

    /// Asks for answers compressed with gzip (RFC 1952), or not, which is the default.
    ///
    /// Limits hold for what they decompress to. The decompressor's copies are not overwritten, so secrets are better
    /// asked for without it.
    #[must_use]
    pub fn gzip(mut self, asked: bool) -> Self {
        self.gzip = Some(asked);
        self
    }

    /// The same as [`gzip`](Self::gzip), unless that was called: for libraries with a default of their own.
    #[must_use]
    pub fn gzip_by_default(mut self, asked: bool) -> Self {
        self.gzip.get_or_insert(asked);
        self
    }

    /// How often a call is tried; three times by default.
    #[must_use]
    pub fn retries(mut self, retries: HttpRetries) -> Self {
        self.retries = retries;
        self
    }

    /// How many bytes of an answer are read; a longer one is an error. 16 MiB by default.
    #[must_use]
    pub fn body_limit(mut self, bytes: usize) -> Self {
        self.body_limit = bytes;
        self
    }

    /// Lets credentials and bodies travel over plain HTTP to other machines, readable by whoever is on the way.
    #[must_use]
    pub fn danger_plain_http(mut self, allowed: bool) -> Self {
        self.plain_http = allowed;
        self
    }

    /// Uses the proxies that `HTTP_PROXY`, `HTTPS_PROXY`, `ALL_PROXY` and `NO_PROXY` name; not the default.
    #[must_use]
    pub fn environment_proxies(mut self, used: bool) -> Self {
        self.proxies = used;
        self
    }
}

impl Default for HttpOptions {
    fn default() -> Self {
        Self {
            credentials: None,
            authorities: Vec::new(),
            certificate: None,
            connect_deadline: Duration::from_secs(10),
            attempt_deadline: None,
            deadline: Duration::from_secs(30),
            gzip: None,
            retries: HttpRetries::default(),
            body_limit: 16 << 20,
            plain_http: false,
            proxies: false,
        }
    }
}

impl HttpRetries {
    /// Every call is tried once.
    #[must_use]
    pub fn none() -> Self {
        Self {
            attempts: 1,
            ..Self::default()
        }
    }
}

impl Default for HttpRetries {
    fn default() -> Self {
        Self {
            attempts: 3,
            first_pause: Duration::from_millis(250),
            longest_pause: Duration::from_secs(5),
        }
    }
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Basic(..) => "Basic(..)",
            Self::Authorization(..) => "Authorization(..)",
            Self::Header(..) => "Header(..)",
        })
    }
}
