//! Private keys in PEM: PKCS#8, plain or encrypted (RFC 5958, RFC 7468).

use ::pkcs8::der::pem::PemLabel as _;
use ::pkcs8::pkcs5::pbes2::{Kdf, Parameters};
use ::pkcs8::pkcs5::scrypt::Params;
use ::pkcs8::pkcs5::{self, EncryptionScheme};
use ::pkcs8::{EncryptedPrivateKeyInfoRef, LineEnding, PrivateKeyInfoRef, SecretDocument};
use secrecy::{ExposeSecret as _, SecretString};

use crate::{Error, ErrorKind, Result, random};

/// scrypt's cost: N = 2^14, r = 8, p = 5, one of OWASP's equal choices (Password Storage Cheat Sheet); 16 MiB of memory.
const SCRYPT: (u8, u32, u32) = (14, 8, 5);

/// The most that deriving a key may cost, since the file says it: memory, and memory times passes, in bytes, for scrypt
/// (N = 2^20 with r = 8 is allowed, four times over), and rounds for PBKDF2 (NIST SP 800-132 section 5.2 names ten million).
const MOST_MEMORY: u64 = 1 << 30;
const MOST_WORK: u64 = 4 << 30;
const MOST_ROUNDS: u32 = 10_000_000;

/// The DER of a private key; a passphrase is asked for only where one is needed.
///
/// # Errors
/// [`ErrorKind::Key`] when it is no PKCS#8 in PEM, when it is encrypted and there is no passphrase, or another.
pub(super) fn read(pem: &str, passphrase: Option<&SecretString>) -> Result<SecretDocument> {
    // Its lines are longer than those of PEM may be (RFC 7468 section 2).
    if pem
        .trim_start()
        .starts_with("-----BEGIN OPENSSH PRIVATE KEY-----")
    {
        let message = "this is a key in OpenSSH's own form; a `PRIVATE KEY` (PKCS#8) is needed: `ssh-keygen -p -m PKCS8 -f FILE` \
                       makes one of an RSA key";
        return Err(Error::new(ErrorKind::Key, message));
    }
    let (label, document) = SecretDocument::from_pem(pem.trim_start()).map_err(|error| {
        let message = "this is no private key in PEM";
        Error::new(ErrorKind::Key, message).caused_by(error.to_string())
    })?;
    match label {
        PrivateKeyInfoRef::PEM_LABEL => Ok(document),
        EncryptedPrivateKeyInfoRef::PEM_LABEL => {
            let Some(passphrase) = passphrase else {
                let message = "the private key is encrypted; it needs its passphrase";
                return Err(Error::new(ErrorKind::Key, message));
            };
            let encrypted = EncryptedPrivateKeyInfoRef::try_from(document.as_bytes());
            let encrypted = encrypted.map_err(|error| unsupported(&error))?;
            check_cost(&encrypted.encryption_algorithm)?;
            let decrypted = encrypted.decrypt(passphrase.expose_secret());
            decrypted.map_err(|error| match error {
                ::pkcs8::Error::EncryptedPrivateKey(
                    pkcs5::Error::UnsupportedAlgorithm { .. }
                    | pkcs5::Error::AlgorithmParametersInvalid { .. }
                    | pkcs5::Error::NoPbes1CryptSupport,
                ) => unsupported(&error),
                // Padding or what is below it: not told apart.
                _ => {
                    let message = "the private key does not decrypt: the passphrase is wrong, or the key is damaged";
                    Error::new(ErrorKind::Key, message)
                }
            })
        }
        "RSA PRIVATE KEY" | "EC PRIVATE KEY" => {
            let message = format!(
                "this is a `{label}`; a `PRIVATE KEY` (PKCS#8) is needed: `openssl pkcs8 -topk8 -v2 aes256` makes one of it"
            );
            Err(Error::new(ErrorKind::Key, message))
        }
        label => {
            let message = format!("this is a `{}`, no private key", crate::epoch::shown(label));
            Err(Error::new(ErrorKind::Key, message))
        }
    }
}

/// The PEM of a private key, encrypted with PBES2, scrypt and AES-256-CBC (RFC 8018, RFC 7914) under a passphrase.
pub(super) fn write(
    document: &SecretDocument,
    passphrase: Option<&SecretString>,
) -> Result<SecretString> {
    let failed = |error: &dyn std::fmt::Display| {
        Error::new(ErrorKind::Key, "the private key cannot be encoded").caused_by(error.to_string())
    };
    let (label, encrypted);
    let document = match passphrase {
        None => {
            label = PrivateKeyInfoRef::PEM_LABEL;
            document
        }
        Some(passphrase) => {
            if passphrase.expose_secret().is_empty() {
                let message = "an empty passphrase protects nothing";
                return Err(Error::new(ErrorKind::Key, message));
            }
            let (log_n, r, p) = SCRYPT;
            let params = Params::new(log_n, r, p).map_err(|error| failed(&error))?;
            let parameters = Parameters::generate_scrypt_aes256cbc(
                params,
                &random::bytes::<16>(),
                random::bytes(),
            )
            .map_err(|error| failed(&error))?;
            label = EncryptedPrivateKeyInfoRef::PEM_LABEL;
            encrypted = PrivateKeyInfoRef::try_from(document.as_bytes())
                .and_then(|key| key.encrypt_with_params(parameters, passphrase.expose_secret()))
                .map_err(|error| failed(&error))?;
            &encrypted
        }
    };
    let pem = document
        .to_pem(label, LineEnding::LF)
        .map_err(|error| failed(&error))?;
    Ok(SecretString::from(pem.as_str()))
}

/// Refuses what would take all memory or minutes, before anything is derived.
fn check_cost(scheme: &EncryptionScheme) -> Result<()> {
    let is_affordable = match scheme.pbes2().map(|parameters| &parameters.kdf) {
        Some(Kdf::Scrypt(scrypt)) => {
            let n = scrypt.cost_parameter;
            let [r, p] = [scrypt.block_size, scrypt.parallelization].map(u64::from);
            // RFC 7914 section 2: N is a power of two above 1; the crate below panics at 0.
            if !n.is_power_of_two() || n == 1 || r == 0 || p == 0 {
                return Err(unsupported(&"scrypt's parameters are none"));
            }
            let memory = n.saturating_add(p).saturating_mul(128 * r);
            memory <= MOST_MEMORY && n.saturating_mul(128 * r * p) <= MOST_WORK
        }
        Some(Kdf::Pbkdf2(pbkdf2)) => pbkdf2.iteration_count <= MOST_ROUNDS,
        // Refused by whoever derives.
        _ => true,
    };
    if is_affordable {
        return Ok(());
    }
    let message = "the private key's passphrase is made into a key with more than 1 GiB of memory or 10,000,000 rounds, the limit; \
                   `openssl pkcs8 -topk8 -scrypt` encrypts it anew";
    Err(Error::new(ErrorKind::Key, message))
}

fn unsupported(error: &dyn std::fmt::Display) -> Error {
    let message = "the private key is encrypted in a way that is not supported (PBES2 with scrypt, or with PBKDF2 and SHA-2, and AES); \
                   `openssl pkcs8 -topk8 -scrypt` encrypts it anew";
    Error::new(ErrorKind::Key, message).caused_by(error.to_string())
}
