#![doc = include_str!("../README.md")]

pub mod client;
mod error;
pub mod export;
pub mod kql;
pub mod look;
pub mod merge;
pub mod query;
pub mod render;
pub mod search;
pub mod tail;

pub use client::{Client, Indices};
pub use clusterops_core::{http, secrecy};
pub use error::{Error, ErrorKind, Result};
pub use export::Export;
pub use jiff;
pub use kql::Kql;
pub use look::Look;
pub use query::Query;
pub use search::{Hit, Page, Search};
