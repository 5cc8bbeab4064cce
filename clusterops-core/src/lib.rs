#![doc = include_str!("../README.md")]
//!
//! # What is in it
//!
//! - [`hostset`]: sets of host names as an algebra, and groups from wherever they come.
//! - [`inventory`]: the hosts of a fleet, with their fields, variables, tags and groups.
//! - [`Target`]: one machine to reach, which both lead to.
//! - `http`, with the feature of that name: the HTTP client that all parts of clusterops use.
//! - `marathon`, with the feature of that name: apps of Marathon and their deployments.

mod destination;
mod error;
#[cfg(feature = "fs")]
mod files;
mod jump;
mod nearest;
mod target;
mod text;
mod variables;
mod yaml;

pub use error::{Error, ErrorKind, Place, Result};
pub use jump::{JumpHost, JumpHosts};
pub use nearest::did_you_mean;
pub use secrecy;
pub use target::Target;
pub use text::Printable;
pub use variables::Variables;

pub mod hostset;
#[cfg(feature = "http")]
pub mod http;
pub mod inventory;
#[cfg(feature = "marathon")]
pub mod marathon;
