//! The client against real clusters, behind TLS, and against servers that misbehave.
#![expect(clippy::unwrap_used, reason = "a test that fails says where")]

mod faults;
mod products;
mod proxy;
mod real;
mod stand;
#[path = "../support/mod.rs"]
mod support;
