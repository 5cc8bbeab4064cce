//! What a client is made from: its server's URL, its credentials, and the library's own client.

use std::borrow::Cow;
use std::net::IpAddr;

use reqwest::header::{HeaderName, HeaderValue};
use reqwest::{Certificate, Identity, Url};
use secrecy::ExposeSecret;
use secrecy::zeroize::Zeroizing;

use super::client::{FOREVER, unusable};
use super::options::Credentials;
use super::{HttpOptions, Withhold};
use crate::Result;
use crate::text::shortened;

/// Reads the URL of a server. What it quotes has no user and password.
pub(super) fn server_url(text: &str) -> Result<Url> {
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
pub(super) fn readable_by_others(url: &Url, options: &HttpOptions) -> Option<String> {
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
pub(super) fn header_of(
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
            let token_characters =
                |c: char| c.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~".contains(c);
            let name = scheme.trim_end_matches([' ', '=']);
            if name.is_empty() || !name.chars().all(token_characters) {
                let message = "is no scheme of `Authorization` (RFC 9110 section 11.1)";
                return Err(unusable(format!(
                    "{url}: `{}` {message}",
                    shortened(scheme)
                )));
            }
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
pub(super) fn build(url: &Url, options: &HttpOptions) -> Result<reqwest::Client> {
    let mut builder = reqwest::Client::builder()
        .user_agent(concat!("clusterops/", env!("CARGO_PKG_VERSION")))
        .redirect(reqwest::redirect::Policy::none())
        .retry(reqwest::retry::never())
        .referer(false)
        .gzip(options.gzip.unwrap_or(false))
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
