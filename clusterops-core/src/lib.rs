//! The vocabulary of clusterops: [host sets](hostset), [inventories](inventory) and [targets](Target).
//!
//! This crate parses what it is handed. It opens no sockets, needs no runtime, and reads files only with the feature
//! `fs`, which adds the loaders.

mod error;
mod nearest;
mod target;
mod variables;

pub use error::{Error, ErrorKind, Place, Result};
pub use secrecy;
pub use target::Target;
pub use variables::Variables;

pub mod hostset;
pub mod inventory;
