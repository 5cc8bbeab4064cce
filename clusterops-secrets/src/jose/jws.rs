//! Signatures: compact JWS with a detached payload (RFC 7515 appendix F).

use super::{Members, base64url};
use crate::Result;
use crate::epoch::shown;
use crate::keys::{Signer, Thumbprint, VerifyingKey};

/// The type that says what is signed.
const TYPE: &str = "clusterops-sealed+jws";

/// The longest signature that is read, in characters.
const LONGEST: usize = 16 << 10;

/// Signs a payload that is not kept: `header..signature`.
pub(crate) fn sign(payload: &[u8], signer: Signer<'_>) -> Result<String> {
    let header = format!(
        r#"{{"alg":"{}","kid":"{}","typ":"{TYPE}"}}"#,
        signer.algorithm(),
        signer.thumbprint()
    );
    let protected = base64url::encode(header.as_bytes());
    let signature = signer.sign(&signed(&protected, payload))?;
    Ok(format!("{protected}..{}", base64url::encode(&signature)))
}

/// A signature that is of the right form.
#[derive(Debug)]
pub(crate) struct Jws<'a> {
    algorithm: String,
    signer: Thumbprint,
    protected: &'a str,
    signature: Vec<u8>,
}

impl<'a> Jws<'a> {
    /// Reads a signature; says what is not allowed in it.
    pub(crate) fn parse(text: &'a str) -> Result<Self, String> {
        let mut parts = text.split('.');
        let (Some(protected), Some(""), Some(signature), None) =
            (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return Err("is no compact JWS with a detached payload".into());
        };
        if text.len() > LONGEST {
            return Err("is longer than 16 KiB, the limit".into());
        }
        let header =
            base64url::decode(protected).ok_or("has a header that is not strict base64url")?;
        let mut members = Members::parse(&header)
            .ok_or("has a header that is no JSON object of strings, each once")?;
        let algorithm = members.take("alg").unwrap_or_default().into_owned();
        let signer = members.take("kid").unwrap_or_default();
        let signer = signer
            .parse()
            .map_err(|_| format!("names the key `{}`, which is no thumbprint", shown(&signer)))?;
        match members.take("typ").as_deref() {
            Some(TYPE) => {}
            other => {
                return Err(format!(
                    "is of the type `{}`, not `{TYPE}`",
                    shown(other.unwrap_or_default())
                ));
            }
        }
        if let Some(name) = members.left() {
            return Err(format!(
                "has the header parameter `{}`, which is not allowed",
                shown(name)
            ));
        }
        let signature = base64url::decode(signature).ok_or("is not strict base64url")?;
        Ok(Self {
            algorithm,
            signer,
            protected,
            signature,
        })
    }

    /// Whose key made it, as it says.
    pub(crate) fn signer(&self) -> &Thumbprint {
        &self.signer
    }

    /// Whether this key made it for this payload.
    pub(crate) fn is_by(&self, key: &VerifyingKey, payload: &[u8]) -> bool {
        self.signer == *key.thumbprint()
            && self.algorithm == key.algorithm()
            && key.verify(&signed(self.protected, payload), &self.signature)
    }
}

/// What is signed (RFC 7515 section 5.1).
fn signed(protected: &str, payload: &[u8]) -> Vec<u8> {
    [
        protected.as_bytes(),
        b".",
        base64url::encode(payload).as_bytes(),
    ]
    .concat()
}
