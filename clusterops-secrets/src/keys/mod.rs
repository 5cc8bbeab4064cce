//! Keys: RSA for recipients, Ed25519 (or RSA) for signers.
//!
//! Private keys are PKCS#8 in PEM (RFC 5958), encrypted with a passphrase unless asked otherwise; public keys are
//! SubjectPublicKeyInfo in PEM (RFC 5280) or a JWK (RFC 7517). A key is named by its [`Thumbprint`].

mod file;
mod jwk;
pub(crate) mod legacy;
mod pkcs8;
mod rsa;
mod signing;
mod thumbprint;

pub(crate) use file::read as read_private;
pub use rsa::{DEFAULT_BITS, KeyWarning, PrivateKey, PublicKey};
pub use signing::{Signer, SigningKey, VerifyingKey};
pub use thumbprint::Thumbprint;

#[cfg(test)]
mod tests;
