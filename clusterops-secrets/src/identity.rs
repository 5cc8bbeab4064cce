//! Where private keys live.

use std::fmt;

use async_trait::async_trait;
use secrecy::SecretSlice;

use crate::Result;
use crate::keys::Thumbprint;

/// Something that can use a private key: one in a [file](crate::keys::PrivateKey) today; an agent, a KMS or an HSM can
/// implement it too.
///
/// ```
/// use clusterops_secrets::{Identity, Result, Thumbprint, async_trait};
/// use secrecy::SecretSlice;
///
/// #[derive(Debug)]
/// struct Agent { key: Thumbprint }
///
/// #[async_trait]
/// impl Identity for Agent {
///     fn recipient(&self) -> &Thumbprint {
///         &self.key
///     }
///
///     async fn unwrap(&self, encrypted_key: &[u8]) -> Result<Option<SecretSlice<u8>>> {
///         // Ask the agent here; `None` when it answers that the key does not decrypt.
///         let _ = encrypted_key;
///         Ok(None)
///     }
/// }
/// ```
#[async_trait]
pub trait Identity: Send + Sync + fmt::Debug {
    /// Which recipient this is: the thumbprint of its public key.
    fn recipient(&self) -> &Thumbprint;

    /// Decrypts a wrapped key with RSA-OAEP, SHA-256 for both hashes and no label (`RSA-OAEP-256`, RFC 7518 section 4.3).
    ///
    /// `None` when it does not decrypt, for whatever reason: the caller goes on with a random key (RFC 7516 section 11.5), so
    /// that no error tells one reason from another.
    ///
    /// # Errors
    /// When the key cannot be used at all: an agent that is gone, a token that is not plugged in.
    async fn unwrap(&self, encrypted_key: &[u8]) -> Result<Option<SecretSlice<u8>>>;
}
