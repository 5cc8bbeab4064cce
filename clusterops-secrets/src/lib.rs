//! Sealed secrets inside application definitions.

mod check;
mod contents;
mod document;
mod edit;
mod epoch;
mod error;
mod exec;
mod file;
mod harden;
mod id;
mod identity;
mod jose;
mod keys;
mod marker;
mod merge;
mod open;
mod random;
mod recipients;
mod reseal;
mod seal;
mod show;
mod signature;
mod value;

pub use async_trait::async_trait;
pub use check::{CheckOptions, Finding, FindingKind, check};
pub use document::{Format, Pointer};
pub use edit::{Edited, Editor, edit};
pub use error::{Error, ErrorKind, Result};
pub use exec::{exec, exec_and_wait};
pub use file::{Digest, SealedFile};
pub use harden::harden_process;
pub use id::DocumentId;
pub use identity::Identity;
pub use keys::{
    DEFAULT_BITS, KeyWarning, PrivateKey, PublicKey, Signer, SigningKey, Thumbprint, VerifyingKey,
};
pub use merge::{Merged, merge};
pub use open::{Opened, extract, open};
pub use recipients::{Recipient, Recipients, RecipientsFile};
pub use reseal::{Resealed, compact, reseal, rotate};
pub use seal::{SealOptions, Sealed, seal, seal_paths, set};
pub use secrecy;
pub use show::show;
pub use signature::{sign, sign_file, verify, verify_file};
pub use value::Value;
