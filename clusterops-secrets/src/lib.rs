//! Sealed secrets inside application definitions.

mod contents;
mod document;
mod epoch;
mod error;
mod file;
mod id;
mod identity;
mod jose;
mod keys;
mod marker;
mod open;
mod random;
mod recipients;
mod reseal;
mod seal;
mod value;

pub use async_trait::async_trait;
pub use document::{Format, Pointer};
pub use error::{Error, ErrorKind, Result};
pub use file::{Digest, SealedFile};
pub use id::DocumentId;
pub use identity::Identity;
pub use keys::{
    DEFAULT_BITS, KeyWarning, PrivateKey, PublicKey, Signer, SigningKey, Thumbprint, VerifyingKey,
};
pub use open::{Opened, extract, open};
pub use recipients::{Recipient, Recipients, RecipientsFile};
pub use reseal::{Resealed, compact, reseal, rotate};
pub use seal::{SealOptions, Sealed, seal, seal_paths, set};
pub use secrecy;
pub use value::Value;
