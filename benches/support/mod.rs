//! What the benchmarks of fleets share: the work, the measuring of a candidate, the figures, and the bare russh loop.
#![allow(dead_code, reason = "every benchmark uses its own part of this module")]

pub(crate) mod figures;
pub(crate) mod fleet_run;
pub(crate) mod measure;
pub(crate) mod russh_loop;
pub(crate) mod work;

/// Benchmarks end with the first thing that goes wrong.
pub(crate) type Result<T> = std::result::Result<T, Box<dyn std::error::Error + Send + Sync>>;
