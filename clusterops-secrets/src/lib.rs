//! Sealed secrets inside application definitions.

mod error;

pub use error::{Error, ErrorKind, Result};
