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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{PrivateKey, SigningKey};

    const PAYLOAD: &[u8] = br#"{"document":"/shop","version":1,"sha256":"AA"}"#;

    fn ed25519() -> SigningKey {
        SigningKey::from_pem(include_str!("../keys/data/sig.pem"), None).expect("a committed key")
    }

    fn rsa() -> (PrivateKey, VerifyingKey) {
        let key = PrivateKey::from_pem(include_str!("../keys/data/ben.pem"), None);
        let public = VerifyingKey::from_pem(include_str!("../keys/data/ben.pub.pem"));
        (key.expect("a committed key"), public.expect("its half"))
    }

    /// A signature with another header, as the holder of the key would make it.
    fn with_header(header: &str, signer: Signer<'_>) -> String {
        let protected = base64url::encode(header.as_bytes());
        let signature = signer.sign(&signed(&protected, PAYLOAD)).expect("it signs");
        format!("{protected}..{}", base64url::encode(&signature))
    }

    fn header(algorithm: &str, key: &Thumbprint) -> String {
        format!(r#"{{"alg":"{algorithm}","kid":"{key}","typ":"{TYPE}"}}"#)
    }

    #[test]
    fn a_signature_holds_for_its_payload_and_its_key() {
        let (ed25519, (rsa, rsa_public)) = (ed25519(), rsa());
        let keys = [
            (Signer::from(&ed25519), ed25519.verifying_key()),
            (Signer::from(&rsa), &rsa_public),
        ];
        for (signer, key) in keys {
            let text = sign(PAYLOAD, signer).expect("it signs");
            let jws = Jws::parse(&text).expect("a signature");
            assert_eq!(jws.signer(), key.thumbprint());
            assert!(jws.is_by(key, PAYLOAD));
            assert!(!jws.is_by(key, b"{}"));
            for (_, other) in keys.iter().filter(|(_, other)| *other != key) {
                assert!(!jws.is_by(other, PAYLOAD));
            }
        }
        // Ed25519 has no randomness: the header is as FORMAT.md describes it.
        assert_eq!(
            sign(PAYLOAD, Signer::from(&ed25519)).expect("it signs"),
            with_header(
                &header("EdDSA", ed25519.verifying_key().thumbprint()),
                Signer::from(&ed25519)
            )
        );
    }

    #[test]
    fn the_key_chooses_the_algorithm() {
        let (ed25519, (rsa, rsa_public)) = (ed25519(), rsa());
        for algorithm in [
            "PS256", "RS256", "PS512", "ES256", "HS256", "none", "Ed25519", "",
        ] {
            let text = with_header(
                &header(algorithm, ed25519.verifying_key().thumbprint()),
                Signer::from(&ed25519),
            );
            let jws = Jws::parse(&text).expect("of the right form");
            assert!(!jws.is_by(ed25519.verifying_key(), PAYLOAD), "{algorithm}");
        }
        for algorithm in ["EdDSA", "RS256", "PS384", "none"] {
            let text = with_header(
                &header(algorithm, rsa_public.thumbprint()),
                Signer::from(&rsa),
            );
            let jws = Jws::parse(&text).expect("of the right form");
            assert!(!jws.is_by(&rsa_public, PAYLOAD), "{algorithm}");
        }
        // Another name than that of the key that made it.
        let text = with_header(
            &header("EdDSA", rsa_public.thumbprint()),
            Signer::from(&ed25519),
        );
        let jws = Jws::parse(&text).expect("of the right form");
        assert!(!jws.is_by(ed25519.verifying_key(), PAYLOAD));
        assert!(!jws.is_by(&rsa_public, PAYLOAD));
    }

    #[test]
    fn only_the_one_form_is_read() {
        let key = ed25519();
        let good = header("EdDSA", key.verifying_key().thumbprint());
        let refused = |text: &str, why: &str| {
            let error = Jws::parse(text).expect_err(text);
            assert!(error.contains(why), "{error} does not say {why}");
        };
        for (extra, why) in [
            (r#""b64":false"#, "each once"),
            (r#""crit":["b64"]"#, "each once"),
            (r#""crit":"b64""#, "not allowed"),
            (r#""jwk":{}"#, "each once"),
            (r#""jku":"https://example.org""#, "not allowed"),
            (r#""x5u":"https://example.org""#, "not allowed"),
            (r#""alg":"EdDSA""#, "each once"),
        ] {
            let header = good.replacen('{', &format!("{{{extra},"), 1);
            refused(&with_header(&header, Signer::from(&key)), why);
        }
        let other_type = good.replace(TYPE, "JWT");
        refused(&with_header(&other_type, Signer::from(&key)), "of the type");
        let id = key.verifying_key().thumbprint().as_str();
        refused(
            &with_header(&good.replace(id, "me"), Signer::from(&key)),
            "no thumbprint",
        );
        refused(&with_header("{}", Signer::from(&key)), "no thumbprint");

        let text = sign(PAYLOAD, Signer::from(&key)).expect("it signs");
        let (header, signature) = text.split_once("..").expect("detached");
        let attached = format!("{header}.{}.{signature}", base64url::encode(PAYLOAD));
        refused(&attached, "detached");
        refused(&format!("{text}."), "detached");
        refused(&format!("{text}="), "base64url");
        refused(&format!("{text} "), "base64url");
        refused(&format!("{header}=..{signature}"), "base64url");
        refused(&format!(" {text}"), "base64url");
        refused("", "detached");
        refused(&format!("{header}..{}", "A".repeat(LONGEST)), "the limit");
    }

    #[test]
    fn no_flipped_bit_verifies() {
        let (ed25519, (rsa, rsa_public)) = (ed25519(), rsa());
        for (signer, key) in [
            (Signer::from(&ed25519), ed25519.verifying_key()),
            (Signer::from(&rsa), &rsa_public),
        ] {
            let text = sign(PAYLOAD, signer).expect("it signs");
            for index in 0..text.len() {
                for bit in 0..8 {
                    let mut bytes = text.clone().into_bytes();
                    bytes[index] ^= 1 << bit;
                    if let Ok(changed) = String::from_utf8(bytes) {
                        let is_by = Jws::parse(&changed).is_ok_and(|jws| jws.is_by(key, PAYLOAD));
                        assert!(!is_by, "byte {index}, bit {bit}");
                    }
                }
            }
        }
    }
}
