//! The keys of signers.

use std::fmt;
use std::path::Path;

use ::pkcs8::PrivateKeyInfoRef;
use ::rsa::Pss;
use ::rsa::traits::PublicKeyParts as _;
use ed25519_dalek::pkcs8::{DecodePublicKey as _, EncodePrivateKey as _, EncodePublicKey as _};
use ed25519_dalek::{Signature, Signer as _};
use secrecy::{ExposeSecret as _, SecretString};
use sha2::{Digest as _, Sha256};
use zeroize::Zeroizing;

use super::jwk::{self, Material};
use super::{PrivateKey, PublicKey, Thumbprint, file, pkcs8};
use crate::{Error, ErrorKind, Result, random};

/// The Ed25519 key of somebody who signs files.
///
/// ```
/// use clusterops_secrets::SigningKey;
///
/// let key = SigningKey::generate();
/// let pem = key.to_pem(&"correct horse battery staple".into())?;
/// # use secrecy::ExposeSecret as _;
/// # let pem = pem.expose_secret();
/// assert!(pem.starts_with("-----BEGIN ENCRYPTED PRIVATE KEY-----"));
/// println!("trust {}: {}", key.verifying_key().thumbprint(), key.verifying_key().to_jwk());
/// # Ok::<(), clusterops_secrets::Error>(())
/// ```
#[derive(Clone)]
pub struct SigningKey {
    key: ed25519_dalek::SigningKey,
    verifying: VerifyingKey,
}

impl SigningKey {
    /// Makes a new key.
    pub fn generate() -> Self {
        let seed = Zeroizing::new(random::bytes());
        Self::new(ed25519_dalek::SigningKey::from_bytes(&seed))
    }

    fn new(key: ed25519_dalek::SigningKey) -> Self {
        let verifying = VerifyingKey::of(Verifier::Ed25519(key.verifying_key()));
        Self { key, verifying }
    }

    /// Reads PKCS#8 in PEM (RFC 8410), plain or encrypted with PBES2.
    ///
    /// # Errors
    /// [`ErrorKind::Key`] when it is none, not of Ed25519, or when the passphrase is missing or wrong; when
    /// making a key of the passphrase would take more than 1 GiB or 10,000,000 rounds.
    pub fn from_pem(pem: &str, passphrase: Option<&SecretString>) -> Result<Self> {
        let document = pkcs8::read(pem, passphrase)?;
        let info = PrivateKeyInfoRef::try_from(document.as_bytes());
        let key = info.and_then(ed25519_dalek::SigningKey::try_from);
        key.map(Self::new).map_err(|error| {
            let message =
                "the private key is not of Ed25519; signers need such a key, or an RSA key";
            Error::new(ErrorKind::Key, message).caused_by(error.to_string())
        })
    }

    /// As PKCS#8 in PEM, encrypted under a passphrase (PBES2 with scrypt and AES-256-CBC).
    ///
    /// # Errors
    /// [`ErrorKind::Key`] for an empty passphrase.
    pub fn to_pem(&self, passphrase: &SecretString) -> Result<SecretString> {
        pkcs8::write(&self.document()?, Some(passphrase))
    }

    /// As PKCS#8 in PEM that anybody who sees it can use.
    ///
    /// # Errors
    /// [`ErrorKind::Key`] when it cannot be encoded.
    pub fn danger_to_unencrypted_pem(&self) -> Result<SecretString> {
        pkcs8::write(&self.document()?, None)
    }

    /// Writes it [encrypted](Self::to_pem) into a new file of mode 0600; a file that is there already is left as it is.
    ///
    /// # Errors
    /// As [`to_pem`](Self::to_pem); [`ErrorKind::Local`] when the file is there or cannot be written.
    pub fn write_new(&self, path: impl AsRef<Path>, passphrase: &SecretString) -> Result<()> {
        file::write_new(path.as_ref(), &self.to_pem(passphrase)?)
    }

    /// As [`write_new`](Self::write_new), [unencrypted](Self::danger_to_unencrypted_pem).
    ///
    /// # Errors
    /// As [`write_new`](Self::write_new).
    pub fn danger_write_new_unencrypted(&self, path: impl AsRef<Path>) -> Result<()> {
        file::write_new(path.as_ref(), &self.danger_to_unencrypted_pem()?)
    }

    /// Reads a file of [PKCS#8 in PEM](Self::from_pem) that nobody but its owner can read.
    ///
    /// # Errors
    /// As [`from_pem`](Self::from_pem); [`ErrorKind::Key`] when others can read the file, [`ErrorKind::Local`] when we cannot.
    pub fn read(path: impl AsRef<Path>, passphrase: Option<&SecretString>) -> Result<Self> {
        let path = path.as_ref();
        let pem = file::read(path)?;
        Self::from_pem(pem.expose_secret(), passphrase).map_err(|error| error.in_file(path))
    }

    /// Its public half.
    pub fn verifying_key(&self) -> &VerifyingKey {
        &self.verifying
    }

    fn document(&self) -> Result<::pkcs8::SecretDocument> {
        // The short form without the public key (RFC 5958 version 1), which OpenSSL reads too.
        let pair = ed25519_dalek::pkcs8::KeypairBytes {
            secret_key: self.key.to_bytes(),
            public_key: None,
        };
        pair.to_pkcs8_der().map_err(|error| {
            Error::new(ErrorKind::Key, "the private key cannot be encoded")
                .caused_by(error.to_string())
        })
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("SigningKey")
            .field(self.verifying.thumbprint())
            .finish()
    }
}

/// What can sign: an Ed25519 key (`EdDSA`, RFC 8037) or an RSA key (`PS256`, RFC 7518 section 3.5).
#[derive(Debug, Clone, Copy)]
pub enum Signer<'a> {
    /// The usual one.
    Ed25519(&'a SigningKey),
    /// For who has an RSA key only.
    Rsa(&'a PrivateKey),
}

impl Signer<'_> {
    /// The name of the key.
    pub fn thumbprint(&self) -> &Thumbprint {
        match self {
            Self::Ed25519(key) => key.verifying.thumbprint(),
            Self::Rsa(key) => key.public_key().thumbprint(),
        }
    }

    pub(crate) fn algorithm(&self) -> &'static str {
        match self {
            Self::Ed25519(_) => EDDSA,
            Self::Rsa(_) => PS256,
        }
    }

    pub(crate) fn sign(&self, message: &[u8]) -> Result<Vec<u8>> {
        match self {
            Self::Ed25519(key) => Ok(key.key.sign(message).to_bytes().to_vec()),
            Self::Rsa(key) => key
                .inner()
                .sign_with_rng(
                    &mut random::generator(),
                    // `new` would not blind, whatever generator it is given.
                    Pss::<Sha256>::new_blinded(),
                    &Sha256::digest(message),
                )
                .map_err(|error| {
                    let message = format!("the key {} cannot sign", self.thumbprint());
                    Error::new(ErrorKind::Key, message).caused_by(error.to_string())
                }),
        }
    }
}

impl<'a> From<&'a SigningKey> for Signer<'a> {
    fn from(key: &'a SigningKey) -> Self {
        Self::Ed25519(key)
    }
}

impl<'a> From<&'a PrivateKey> for Signer<'a> {
    fn from(key: &'a PrivateKey) -> Self {
        Self::Rsa(key)
    }
}

const EDDSA: &str = "EdDSA";
const PS256: &str = "PS256";

/// The public key of a signer: Ed25519, or RSA of 2048 to 8192 bits.
///
/// ```
/// use clusterops_secrets::VerifyingKey;
///
/// let key = VerifyingKey::from_pem(include_str!("data/sig.pub.pem"))?;
/// assert_eq!(key.thumbprint().as_str(), "NzfMg50qI6uPWXDAP77__02451d8kmV0CMN5P9xtwSs");
/// assert_eq!(VerifyingKey::from_jwk(&key.to_jwk())?, key);
/// # Ok::<(), clusterops_secrets::Error>(())
/// ```
#[derive(Clone)]
pub struct VerifyingKey {
    key: Verifier,
    thumbprint: Thumbprint,
}

#[derive(Clone)]
enum Verifier {
    Ed25519(ed25519_dalek::VerifyingKey),
    Rsa(PublicKey),
}

impl VerifyingKey {
    fn of(key: Verifier) -> Self {
        let thumbprint = match &key {
            Verifier::Ed25519(key) => Thumbprint::of(jwk::of_ed25519(key.as_bytes()).as_bytes()),
            Verifier::Rsa(key) => key.thumbprint().clone(),
        };
        Self { key, thumbprint }
    }

    fn of_point(key: ed25519_dalek::VerifyingKey) -> Result<Self> {
        // Of such a key anybody can make signatures that hold for many messages.
        if key.is_weak() {
            return Err(Error::new(
                ErrorKind::Key,
                "the Ed25519 key is weak: its point has a small order",
            ));
        }
        Ok(Self::of(Verifier::Ed25519(key)))
    }

    /// Reads a SubjectPublicKeyInfo in PEM.
    ///
    /// # Errors
    /// [`ErrorKind::Key`] when it is none, or a key that is neither of Ed25519 nor of RSA with 2048 to 8192 bits.
    pub fn from_pem(pem: &str) -> Result<Self> {
        match ed25519_dalek::VerifyingKey::from_public_key_pem(pem.trim()) {
            Ok(key) => Self::of_point(key),
            Err(_) => PublicKey::from_pem(pem).map(|key| Self::of(Verifier::Rsa(key))).map_err(|error| {
                let message = "this is no public key of a signer: neither of Ed25519 nor of RSA with 2048 to 8192 bits, in PEM";
                Error::new(ErrorKind::Key, message).caused_by(error)
            }),
        }
    }

    /// Reads a JWK.
    ///
    /// # Errors
    /// As [`from_pem`](Self::from_pem); a private JWK too.
    pub fn from_jwk(json: &str) -> Result<Self> {
        match jwk::parse(json)? {
            Material::Ed25519(x) => ed25519_dalek::VerifyingKey::from_bytes(&x)
                .map_err(|_| Error::new(ErrorKind::Key, "the JWK's `x` is no point of Ed25519"))
                .and_then(Self::of_point),
            Material::Rsa { n, e } => {
                PublicKey::of_numbers(&n, &e).map(|key| Self::of(Verifier::Rsa(key)))
            }
        }
    }

    /// As a SubjectPublicKeyInfo in PEM.
    pub fn to_pem(&self) -> String {
        match &self.key {
            Verifier::Rsa(key) => key.to_pem(),
            Verifier::Ed25519(key) => key
                .to_public_key_pem(ed25519_dalek::pkcs8::spki::der::pem::LineEnding::LF)
                .expect("32 bytes can be encoded"),
        }
    }

    /// Writes it [as PEM](Self::to_pem) into a new file of mode 0644; a file that is there already is left as it is.
    ///
    /// # Errors
    /// [`ErrorKind::Local`] when the file is there or cannot be written.
    pub fn write_new(&self, path: impl AsRef<Path>) -> Result<()> {
        file::write_new_public(path.as_ref(), &self.to_pem())
    }

    /// As a JWK on one line, with the members that its thumbprint covers.
    pub fn to_jwk(&self) -> String {
        match &self.key {
            Verifier::Rsa(key) => key.to_jwk(),
            Verifier::Ed25519(key) => jwk::of_ed25519(key.as_bytes()),
        }
    }

    /// Its name.
    pub fn thumbprint(&self) -> &Thumbprint {
        &self.thumbprint
    }

    /// The one algorithm that this key is used with; a file never chooses.
    pub(crate) fn algorithm(&self) -> &'static str {
        match &self.key {
            Verifier::Ed25519(_) => EDDSA,
            Verifier::Rsa(_) => PS256,
        }
    }

    pub(crate) fn verify(&self, message: &[u8], signature: &[u8]) -> bool {
        match &self.key {
            Verifier::Ed25519(key) => Signature::from_slice(signature)
                .is_ok_and(|signature| key.verify_strict(message, &signature).is_ok()),
            Verifier::Rsa(key) => {
                let modulus = key.inner().n().to_be_bytes_trimmed_vartime();
                // RFC 8017 section 5.2.2: a number below the modulus. The crate reduces it, so that each signature would have
                // a second spelling. Of equal lengths, bytes compare as the numbers do.
                signature.len() == modulus.len()
                    && *signature < *modulus
                    // The salt has the hash's length, no other (RFC 7518 section 3.5).
                    && key
                        .inner()
                        .verify(Pss::<Sha256>::new(), &Sha256::digest(message), signature)
                        .is_ok()
            }
        }
    }
}

impl PartialEq for VerifyingKey {
    fn eq(&self, other: &Self) -> bool {
        self.thumbprint == other.thumbprint
    }
}

impl Eq for VerifyingKey {}

impl fmt::Debug for VerifyingKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("VerifyingKey")
            .field(&self.thumbprint)
            .finish()
    }
}
