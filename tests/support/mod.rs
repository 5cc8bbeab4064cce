//! What the tests and benchmarks against real programs share.
#![allow(dead_code, reason = "every test uses its own part of this module")]
#![allow(unused_imports, reason = "every test uses its own part of this module")]

mod agent;
mod options;
mod oracle;
mod process;
mod sshd;

pub(crate) use agent::Agent;
pub(crate) use options::{configured, log_in, options};
pub(crate) use oracle::{Oracle, skip_or_fail};
pub(crate) use sshd::{PASSWORD, Sshd, SshdOptions, copy_folder, ssh_keygen};
