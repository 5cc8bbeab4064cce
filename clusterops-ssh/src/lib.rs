#![doc = include_str!("../README.md")]
//!
//! # What is in it
//!
//! - [`Session`] is one connection to one host: run a command, read its output, know how it ended, open byte streams to
//!   ports and sockets there. A [`Connector`] makes sessions that share jump hosts.
//! - [`Plan`] says what to do, as plain data: ordered [stages](Stage) with deadlines, guards, barriers and rollbacks.
//! - [`Fleet`] does it on many targets. [`Fleet::run`] gives a [`Run`] that is awaited for its [`Report`], sends
//!   [`Events`] while it goes on, and is steered by its [`Control`].
//! - A [`Journal`] is what a run leaves on disk, for another controller to go on with.
//! - [`config`] and [`known_hosts`] read OpenSSH's files.
//! - `sim` (a feature) is a fleet in a box, for tests.
//!
//! # On the hosts
//!
//! Hosts are Linux with an SSH server, `/bin/sh` and `/proc`. Every exec request is the same short line, which starts
//! `/bin/sh` and has it read what to run from standard input; so words arrive unchanged whatever the login shell is. A
//! command finds in its environment `CLUSTEROPS_RUN` (the run's id), `CLUSTEROPS_STAGE`, `CLUSTEROPS_ATTEMPT` (from 1,
//! counting what is run again in a retried or resumed run, and rollbacks: no two attempts at a stage on a host have the same)
//! and `CLUSTEROPS_TASK`, by which its processes are found when they have to be ended.
//!
//! # Logging
//!
//! By the [`log`] crate, with the target `clusterops::ssh`: a run's beginning and end (info); what a report or
//! [`Connector::warnings`] holds for the operator (warn); connections, ways to log in that were tried, and what is tried again
//! (debug). No record has a command, its output, or a secret.

mod certificate;
mod clock;
mod command;
mod credentials;
mod error;
#[cfg(test)]
mod oracle;
mod run_as;
mod template;
mod wildcard;
mod wire;

pub mod config;
pub mod event;
pub mod fleet;
pub mod journal;
pub mod known_hosts;
pub mod plan;
pub mod report;
pub mod rollout;
pub mod run;
pub mod session;
#[cfg(feature = "sim")]
pub mod sim;
pub mod transfer;

/// The target of log records.
const LOG: &str = "clusterops::ssh";

pub use command::{Command, Exit, OutputStream};
pub use credentials::{Credentials, Purpose};
pub use error::{Error, ErrorKind, Result};
pub use event::{Event, Events, HostState, RunState};
pub use fleet::{ConnectRetries, DryRun, Fleet};
pub use journal::Journal;
pub use plan::{Plan, Stage, Step};
pub use report::{Gathered, Report};
pub use rollout::Rollout;
pub use run::{Control, Prepared, Run};
pub use run_as::{Method, RunAs};
pub use session::{
    Connector, HostKeyChecking, Output, Process, ProcessStdin, RemoteStream, Session,
    SessionOptions, Termination,
};
pub use transfer::{Bandwidth, Files, Progress, TransferOptions, Transferred};
