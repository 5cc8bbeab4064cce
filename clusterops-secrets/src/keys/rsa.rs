//! The keys of recipients.

use std::fmt;
use std::path::Path;

use ::rsa::pkcs1::{DecodeRsaPrivateKey as _, RsaPrivateKey as Pkcs1};
use ::rsa::pkcs8::{
    DecodePublicKey as _, EncodePrivateKey as _, EncodePublicKey as _, LineEnding,
    PrivateKeyInfoRef,
};
use ::rsa::traits::PublicKeyParts as _;
use ::rsa::{BoxedUint, Oaep, RsaPrivateKey, RsaPublicKey};
use async_trait::async_trait;
use secrecy::{SecretSlice, SecretString};
use sha2::Sha256;

use super::jwk::{self, Material};
use super::{Thumbprint, file, pkcs8};
use crate::identity::Identity;
use crate::{Error, ErrorKind, Result, random};

/// How long a new key is, in bits.
pub const DEFAULT_BITS: usize = 3072;

/// The least and the most bits of a key to seal for.
const BITS: std::ops::RangeInclusive<usize> = 2048..=8192;

/// The public key of a recipient: RSA, 2048 to 8192 bits.
///
/// ```
/// use clusterops_secrets::PublicKey;
///
/// let pem = include_str!("data/ana.pub.pem");
/// let key = PublicKey::from_pem(pem)?;
/// assert_eq!(key.bits(), 3072);
/// assert_eq!(PublicKey::from_jwk(&key.to_jwk())?.thumbprint(), key.thumbprint());
/// # Ok::<(), clusterops_secrets::Error>(())
/// ```
#[derive(Clone)]
pub struct PublicKey {
    key: RsaPublicKey,
    thumbprint: Thumbprint,
}

/// What a caller should know about a key that is used all the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum KeyWarning {
    /// It has fewer than 3072 bits, the least for data that is to stay secret beyond 2030 (NIST SP 800-57 part 1 revision 5,
    /// table 4).
    Short {
        /// How many it has.
        bits: usize,
    },
}

impl fmt::Display for KeyWarning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Short { bits } => {
                write!(f, "the key has {bits} bits; {DEFAULT_BITS} are recommended")
            }
        }
    }
}

impl PublicKey {
    /// Reads a SubjectPublicKeyInfo in PEM.
    ///
    /// # Errors
    /// [`ErrorKind::Key`] when it is none, not of RSA, or not of 2048 to 8192 bits.
    pub fn from_pem(pem: &str) -> Result<Self> {
        RsaPublicKey::from_public_key_pem(pem.trim())
            .map_err(|error| {
                let message = if pem.contains("PRIVATE KEY") {
                    "this is a private key; treat it as known to whoever saw it, and give the public one"
                } else {
                    "this is no RSA public key in PEM (SubjectPublicKeyInfo, `PUBLIC KEY`)"
                };
                Error::new(ErrorKind::Key, message).caused_by(error.to_string())
            })
            .and_then(Self::new)
    }

    /// Reads a JWK.
    ///
    /// # Errors
    /// As [`from_pem`](Self::from_pem); a private JWK too.
    pub fn from_jwk(json: &str) -> Result<Self> {
        let Material::Rsa { n, e } = jwk::parse(json)? else {
            let message = "this is a key for signatures; one of the type RSA is needed";
            return Err(Error::new(ErrorKind::Key, message));
        };
        Self::of_numbers(&n, &e)
    }

    pub(super) fn of_numbers(n: &[u8], e: &[u8]) -> Result<Self> {
        // Some libraries write zeros in front of `n` (RFC 7518 section 6.3.1.1).
        let [n, e] = [n, e].map(without_zeros);
        if n.len() > BITS.end() / 8 || e.len() > 8 {
            let message = "the RSA key is longer than 8192 bits, or its exponent than 64";
            return Err(Error::new(ErrorKind::Key, message));
        }
        let number = BoxedUint::from_be_slice_vartime;
        RsaPublicKey::new(number(n), number(e))
            .map_err(|error| {
                let message = "its numbers are no RSA key";
                Error::new(ErrorKind::Key, message).caused_by(error.to_string())
            })
            .and_then(Self::new)
    }

    pub(super) fn new(key: RsaPublicKey) -> Result<Self> {
        let bits = key.n().bits_vartime() as usize;
        if !BITS.contains(&bits) {
            let message = format!(
                "the RSA key has {bits} bits; {} to {} can be sealed for",
                BITS.start(),
                BITS.end()
            );
            return Err(Error::new(ErrorKind::Key, message));
        }
        let thumbprint = Thumbprint::of(jwk_of(&key).as_bytes());
        Ok(Self { key, thumbprint })
    }

    /// As a SubjectPublicKeyInfo in PEM.
    pub fn to_pem(&self) -> String {
        self.key
            .to_public_key_pem(LineEnding::LF)
            .expect("a key of at most 8192 bits can be encoded")
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
        jwk_of(&self.key)
    }

    /// Its name.
    pub fn thumbprint(&self) -> &Thumbprint {
        &self.thumbprint
    }

    /// The length of its modulus.
    pub fn bits(&self) -> usize {
        self.key.n().bits_vartime() as usize
    }

    /// What speaks against sealing for it.
    pub fn warning(&self) -> Option<KeyWarning> {
        let bits = self.bits();
        (bits < DEFAULT_BITS).then_some(KeyWarning::Short { bits })
    }

    /// Encrypts a key with RSA-OAEP-256 (RFC 7518 section 4.3).
    pub(crate) fn wrap(&self, key: &[u8]) -> Result<Vec<u8>> {
        self.key
            .encrypt(&mut random::generator(), Oaep::<Sha256>::new(), key)
            .map_err(|error| {
                let message = format!("the key {} cannot encrypt", self.thumbprint);
                Error::new(ErrorKind::Key, message).caused_by(error.to_string())
            })
    }

    pub(super) fn inner(&self) -> &RsaPublicKey {
        &self.key
    }
}

impl PartialEq for PublicKey {
    fn eq(&self, other: &Self) -> bool {
        self.thumbprint == other.thumbprint
    }
}

impl Eq for PublicKey {}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("PublicKey").field(&self.thumbprint).finish()
    }
}

/// The private key of a recipient; an [`Identity`].
///
/// ```no_run
/// use clusterops_secrets::{DEFAULT_BITS, PrivateKey};
///
/// let key = PrivateKey::generate(DEFAULT_BITS)?;
/// key.write_new("ana.pem", &"correct horse battery staple".into())?;
/// key.public_key().write_new("ana.pub.pem")?;
/// # Ok::<(), clusterops_secrets::Error>(())
/// ```
#[derive(Clone)]
pub struct PrivateKey {
    key: RsaPrivateKey,
    public: PublicKey,
}

impl PrivateKey {
    /// Makes a new key; 3072 bits take some seconds.
    ///
    /// # Errors
    /// [`ErrorKind::Key`] for fewer than 2048 or more than 8192 bits.
    pub fn generate(bits: usize) -> Result<Self> {
        if !BITS.contains(&bits) {
            let message = format!(
                "an RSA key has {} to {} bits here, not {bits}",
                BITS.start(),
                BITS.end()
            );
            return Err(Error::new(ErrorKind::Key, message));
        }
        let key = RsaPrivateKey::new(&mut random::generator(), bits).map_err(|error| {
            Error::new(ErrorKind::Key, "the key cannot be made").caused_by(error.to_string())
        })?;
        Self::new(key)
    }

    /// Reads PKCS#8 in PEM, plain or encrypted with PBES2.
    ///
    /// # Errors
    /// [`ErrorKind::Key`] when it is none, not of RSA, not of 2048 to 8192 bits, or when the passphrase is missing or wrong; when
    /// making a key of the passphrase would take more than 1 GiB or 10,000,000 rounds.
    pub fn from_pem(pem: &str, passphrase: Option<&SecretString>) -> Result<Self> {
        let document = pkcs8::read(pem, passphrase)?;
        Self::from_pkcs8(document.as_bytes())
    }

    pub(super) fn from_pkcs8(der: &[u8]) -> Result<Self> {
        let unusable = |error: &dyn fmt::Display| {
            let message = "the private key is no RSA key that holds together";
            Error::new(ErrorKind::Key, message).caused_by(error.to_string())
        };
        let info = PrivateKeyInfoRef::try_from(der).map_err(|error| unusable(&error))?;
        if info.algorithm.oid != ::rsa::pkcs1::ALGORITHM_OID {
            let message = "the private key is not of RSA; recipients need an RSA key";
            return Err(Error::new(ErrorKind::Key, message));
        }
        // Numbers far too long would be worked on for minutes.
        let key = Pkcs1::try_from(info.private_key.as_bytes()).map_err(|error| unusable(&error))?;
        if key.modulus.as_bytes().len() > BITS.end() / 8 {
            return Err(Error::new(
                ErrorKind::Key,
                "the RSA key is longer than 8192 bits",
            ));
        }
        RsaPrivateKey::from_pkcs1_der(info.private_key.as_bytes())
            .map_err(|error| unusable(&error))
            .and_then(Self::new)
    }

    fn new(key: RsaPrivateKey) -> Result<Self> {
        let public = PublicKey::new(key.to_public_key())?;
        Ok(Self { key, public })
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
        Self::from_pem(secrecy::ExposeSecret::expose_secret(&pem), passphrase)
            .map_err(|error| error.in_file(path))
    }

    /// Its public half.
    pub fn public_key(&self) -> &PublicKey {
        &self.public
    }

    fn document(&self) -> Result<::rsa::pkcs8::SecretDocument> {
        self.key.to_pkcs8_der().map_err(|error| {
            Error::new(ErrorKind::Key, "the private key cannot be encoded")
                .caused_by(error.to_string())
        })
    }

    pub(super) fn inner(&self) -> &RsaPrivateKey {
        &self.key
    }
}

#[async_trait]
impl Identity for PrivateKey {
    fn recipient(&self) -> &Thumbprint {
        &self.public.thumbprint
    }

    async fn unwrap(&self, encrypted_key: &[u8]) -> Result<Option<SecretSlice<u8>>> {
        let padding = Oaep::<Sha256>::new();
        let unwrapped = self
            .key
            .decrypt_blinded(&mut random::generator(), padding, encrypted_key);
        Ok(unwrapped.ok().map(SecretSlice::from))
    }
}

impl fmt::Debug for PrivateKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("PrivateKey")
            .field(&self.public.thumbprint)
            .finish()
    }
}

fn without_zeros(number: &[u8]) -> &[u8] {
    let zeros = number.iter().take_while(|byte| **byte == 0).count();
    &number[zeros..]
}

fn jwk_of(key: &RsaPublicKey) -> String {
    jwk::of_rsa(
        &key.n().to_be_bytes_trimmed_vartime(),
        &key.e().to_be_bytes_trimmed_vartime(),
    )
}
