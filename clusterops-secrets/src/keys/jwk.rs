//! Public keys as JWKs (RFC 7517).

use std::borrow::Cow;

use serde::Deserialize;
use serde::de::IgnoredAny;

use crate::jose::base64url;
use crate::{Error, ErrorKind, Result};

/// A public JWK's members that we read. Others that describe the key (`use`, `kid`, `alg`, `x5c`) are allowed, and not relied
/// on; those of a private key (RFC 7518 sections 6.3.2 and 6.4.1) are not.
#[derive(Deserialize)]
pub(super) struct Jwk<'a> {
    #[serde(borrow)]
    kty: Cow<'a, str>,
    n: Option<Cow<'a, str>>,
    e: Option<Cow<'a, str>>,
    crv: Option<Cow<'a, str>>,
    x: Option<Cow<'a, str>>,
    d: Option<IgnoredAny>,
    p: Option<IgnoredAny>,
    q: Option<IgnoredAny>,
    dp: Option<IgnoredAny>,
    dq: Option<IgnoredAny>,
    qi: Option<IgnoredAny>,
    oth: Option<IgnoredAny>,
    k: Option<IgnoredAny>,
}

/// What a JWK holds.
pub(super) enum Material {
    Rsa { n: Vec<u8>, e: Vec<u8> },
    Ed25519([u8; 32]),
}

pub(super) fn parse(json: &str) -> Result<Material> {
    // What serde says can hold a piece of a private key.
    let jwk: Jwk<'_> = serde_json::from_str(json).map_err(|error| {
        let at = format!("line {}, column {}", error.line(), error.column());
        unusable(&format!(
            "it is no JSON object with the members of a JWK ({at})"
        ))
    })?;
    let private = [
        &jwk.d, &jwk.p, &jwk.q, &jwk.dp, &jwk.dq, &jwk.qi, &jwk.oth, &jwk.k,
    ];
    if private.iter().any(|member| member.is_some()) {
        return Err(unusable(
            "it is private; treat it as known to whoever saw it, and give the public one",
        ));
    }
    let bytes = |name: &str, text: &Option<Cow<'_, str>>| {
        let text = text
            .as_deref()
            .ok_or_else(|| unusable(&format!("it has no `{name}`")))?;
        base64url::decode(text)
            .ok_or_else(|| unusable(&format!("its `{name}` is not base64url without padding")))
    };
    match (&*jwk.kty, jwk.crv.as_deref()) {
        ("RSA", _) => Ok(Material::Rsa {
            n: bytes("n", &jwk.n)?,
            e: bytes("e", &jwk.e)?,
        }),
        ("OKP", Some("Ed25519")) => {
            let x = bytes("x", &jwk.x)?.try_into();
            Ok(Material::Ed25519(
                x.map_err(|_| unusable("its `x` has not 32 bytes"))?,
            ))
        }
        _ => Err(unusable(
            "it is neither of the type RSA nor OKP with the curve Ed25519",
        )),
    }
}

/// The members that a thumbprint covers, which are all that we write (RFC 7638 section 3.2).
pub(super) fn of_rsa(n: &[u8], e: &[u8]) -> String {
    let (n, e) = (base64url::encode(n), base64url::encode(e));
    format!(r#"{{"e":"{e}","kty":"RSA","n":"{n}"}}"#)
}

/// As [`of_rsa`] (RFC 8037 section 2).
pub(super) fn of_ed25519(x: &[u8; 32]) -> String {
    format!(
        r#"{{"crv":"Ed25519","kty":"OKP","x":"{}"}}"#,
        base64url::encode(x)
    )
}

fn unusable(why: &str) -> Error {
    Error::new(ErrorKind::Key, format!("this JWK is not usable: {why}"))
}
