//! Sealed secrets inside application definitions.

mod document;
mod epoch;
mod error;
mod identity;
mod jose;
mod keys;
mod random;

pub use async_trait::async_trait;
pub use document::{Format, Pointer};
pub use error::{Error, ErrorKind, Result};
pub use identity::Identity;
pub use keys::{
    DEFAULT_BITS, KeyWarning, PrivateKey, PublicKey, Signer, SigningKey, Thumbprint, VerifyingKey,
};
pub use secrecy;
