#![doc = include_str!("../README.md")]
//!
//! # Which type when
//!
//! | you want to | use |
//! |---|---|
//! | say what to find | [`Query`], or [`Kql`] in Kibana's language |
//! | say what to give of it | [`Search`] |
//! | ask a cluster | [`Client`], which gives a [`Page`] of [`Hit`]s |
//! | follow what is written | [`tail::Tail`] |
//! | fetch all of it | [`Export`] |
//! | see what stands around a hit, count, draw | [`Look`] |
//! | show hits to people | [`render::Renderer`] |
//! | follow several clusters | [`merge::Merge`] |
//!
//! By the `log` crate it tells, with the target `clusterops::logs`, what a cluster runs (debug) and the notices of tails and
//! exports: warn where something is lost, held up or done in a lesser way, else info. Its requests are told by
//! `clusterops::http`.

pub mod client;
mod digest;
mod error;
pub mod export;
mod fields;
pub mod kql;
pub mod look;
pub mod merge;
mod places;
pub mod query;
mod reason;
pub mod render;
pub mod search;
pub mod tail;

/// What any longer span counts as: nobody waits for more than a year, and clocks can be added to.
const LONGEST_SPAN: std::time::Duration = std::time::Duration::from_secs(365 * 86_400);

/// The target of log records.
const LOG: &str = "clusterops::logs";

pub use client::{Client, Indices};
pub use clusterops_core::{http, secrecy};
pub use error::{Error, ErrorKind, Result};
pub use export::Export;
pub use jiff;
pub use kql::Kql;
pub use look::Look;
pub use query::Query;
pub use reason::Reason;
pub use search::{Hit, Page, Search};
