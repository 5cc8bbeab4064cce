//! The keys of Mantle (malnick/mantle): RSA from 1024 bits, PKCS#1, used with SHA-1. They open what Mantle has sealed, and
//! nothing else.

use std::fmt;

use ::rsa::pkcs1::{DecodeRsaPrivateKey as _, RsaPrivateKey as Pkcs1};
use ::rsa::pkcs8::{DecodePublicKey as _, Document, SecretDocument};
use ::rsa::traits::PublicKeyParts as _;
use ::rsa::{Oaep, RsaPrivateKey, RsaPublicKey};
use secrecy::SecretSlice;
use sha1::Sha1;

use crate::{Error, ErrorKind, Result, random};

/// A private key that Mantle made.
pub(crate) struct LegacyKey(RsaPrivateKey);

impl LegacyKey {
    /// Reads a `RSA PRIVATE KEY` (PKCS#1) in PEM.
    ///
    /// # Errors
    /// [`ErrorKind::Key`] when it is none, or not of 1024 to 8192 bits.
    pub(crate) fn from_pem(pem: &str) -> Result<Self> {
        let unusable = |error: &dyn fmt::Display| {
            let message = "this is no private key that Mantle made (`RSA PRIVATE KEY`, PKCS#1)";
            Error::new(ErrorKind::Key, message).caused_by(error.to_string())
        };
        let (label, document) =
            SecretDocument::from_pem(pem.trim()).map_err(|error| unusable(&error))?;
        if label != "RSA PRIVATE KEY" {
            return Err(unusable(&format!(
                "it is a `{}`",
                crate::epoch::shown(label)
            )));
        }
        let length = Pkcs1::try_from(document.as_bytes())
            .map_err(|error| unusable(&error))?
            .modulus
            .as_bytes()
            .len();
        if length > 1024 {
            return Err(unusable(&"it is longer than 8192 bits"));
        }
        let key =
            RsaPrivateKey::from_pkcs1_der(document.as_bytes()).map_err(|error| unusable(&error))?;
        if key.n().bits_vartime() < 1024 {
            return Err(unusable(&"it is shorter than 1024 bits"));
        }
        Ok(Self(key))
    }

    /// Whether a public key belongs to it: a SubjectPublicKeyInfo under the label `RSA PUBLIC KEY`, which is that of PKCS#1.
    ///
    /// # Errors
    /// [`ErrorKind::Key`] when it is none.
    pub(crate) fn is_pair_of(&self, public_pem: &str) -> Result<bool> {
        let unusable = |error: &dyn fmt::Display| {
            let message = "this is no public key that Mantle made (`RSA PUBLIC KEY`, but a SubjectPublicKeyInfo)";
            Error::new(ErrorKind::Key, message).caused_by(error.to_string())
        };
        let (label, document) =
            Document::from_pem(public_pem.trim()).map_err(|error| unusable(&error))?;
        if label != "RSA PUBLIC KEY" && label != "PUBLIC KEY" {
            return Err(unusable(&format!(
                "it is a `{}`",
                crate::epoch::shown(label)
            )));
        }
        let key = RsaPublicKey::from_public_key_der(document.as_bytes())
            .map_err(|error| unusable(&error))?;
        Ok(key == self.0.to_public_key())
    }

    /// Decrypts with RSA-OAEP, SHA-1 for both hashes; `None` when it does not decrypt.
    pub(crate) fn decrypt(&self, label: &[u8], encrypted: &[u8]) -> Option<SecretSlice<u8>> {
        let padding = Oaep::<Sha1>::new_with_label(label);
        let opened = self
            .0
            .decrypt_blinded(&mut random::generator(), padding, encrypted);
        opened.ok().map(SecretSlice::from)
    }
}

impl fmt::Debug for LegacyKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "LegacyKey({} bits)", self.0.n().bits_vartime())
    }
}
