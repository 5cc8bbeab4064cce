#![doc = include_str!("../README.md")]
//!
//! # Which function when
//!
//! | you want to | use | who can |
//! |---|---|---|
//! | make keys | [`PrivateKey::generate`], [`SigningKey::generate`] | anybody |
//! | say whom to seal for | [`RecipientsFile`], [`Recipients`] | anybody |
//! | seal what is marked, or what stands at a path | [`seal()`], [`seal_paths`] | who has the public keys |
//! | add or replace one value | [`set`] | who has the public keys |
//! | open everything, or one value | [`open()`], [`extract`] | a recipient |
//! | edit in an editor | [`edit()`] | a recipient |
//! | new keys; other recipients, or another id; fewer epochs | [`rotate`], [`reseal()`], [`compact`] | a recipient |
//! | vouch for a file, and check that somebody has | [`sign_file`], [`verify_file`] | a signer; anybody |
//! | find what should be sealed | [`check()`] | anybody |
//! | read a diff, merge | [`show()`], [`merge()`] | anybody |
//! | merge what was rotated or set alike on both sides | [`merge_opened`] | a recipient |
//! | move over from Mantle | [`mantle`] | who has Mantle's keys |
//! | run a command with the values | [`exec()`], [`exec_and_wait`] | a recipient |
//!
//! Files are [`SealedFile`]s: read once, replaced whole. The format is described in the module [`format`](mod@format).

#[cfg(test)]
mod arbitrary;
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
pub mod mantle;
mod marker;
mod merge;
mod open;
mod random;
mod recipients;
mod reseal;
mod seal;
mod show;
mod signature;
mod unsealed;
mod value;
#[cfg(test)]
mod vectors;

#[doc = include_str!("../FORMAT.md")]
pub mod format {}

pub use async_trait::async_trait;
pub use check::{CheckOptions, Finding, FindingKind, check};
pub use document::{Format, Pointer};
pub use edit::{Edited, Editor, edit};
pub use error::{Error, ErrorKind, Result};
pub use exec::{exec, exec_and_wait, spawn};
pub use file::{Digest, SealedFile};
pub use harden::harden_process;
pub use id::DocumentId;
pub use identity::Identity;
pub use keys::{
    DEFAULT_BITS, KeyWarning, PrivateKey, PublicKey, Signer, SigningKey, Thumbprint, VerifyingKey,
};
pub use merge::{Merged, merge, merge_opened};
pub use open::{Opened, extract, open};
pub use recipients::{Recipient, Recipients, RecipientsFile};
pub use reseal::{Resealed, compact, reseal, rotate};
pub use seal::{SealOptions, Sealed, seal, seal_paths, set};
pub use secrecy;
pub use show::show;
pub use signature::{sign, sign_file, verify, verify_file};
pub use unsealed::Unsealed;
pub use value::Value;
