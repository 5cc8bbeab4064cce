//! SSH orchestration of fleets: plans run on many hosts, without agents and leaving no trace.
//!
//! - [`Session`] is one connection to one host: run a command, read its output, know how it ended.
//! - [`Plan`] says what to do, as plain data: ordered [stages](Stage) with deadlines, guards, barriers and rollbacks.
//! - [`Fleet`] does it on many targets. [`Fleet::run`] gives a [`Run`] that is awaited for its [`Report`], sends
//!   [`Events`] while it goes on, and is steered by its [`Control`].
//! - [`known_hosts`] reads OpenSSH's files.
//! - `sim` (a feature) is a fleet in a box, for tests.
//!
//! ```no_run
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! use clusterops_core::Target;
//! use clusterops_ssh::{Fleet, Plan, Stage};
//!
//! let targets = ["web1", "web2:2222", "root@[2001:db8::1]"].map(str::parse::<Target>);
//! let fleet = Fleet::new(targets.into_iter().collect::<Result<Vec<_>, _>>()?);
//! let plan = Plan::new("look around").stage(Stage::command("kernel", ["uname", "-r"]));
//! let report = fleet.run(&plan)?.await?;
//! println!("{}", report.gather("kernel"));
//! # Ok(())
//! # }
//! ```
//!
//! # On the hosts
//!
//! Hosts are Linux with an SSH server, `/bin/sh` and `/proc`. Every exec request is the same short line, which starts
//! `/bin/sh` and has it read what to run from standard input; so words arrive unchanged whatever the login shell is. A
//! command finds in its environment `CLUSTEROPS_RUN` (the run's id), `CLUSTEROPS_STAGE`, `CLUSTEROPS_ATTEMPT` (from 1,
//! counting retries of the run) and `CLUSTEROPS_TASK`, by which its processes are found when they have to be ended.

mod clock;
mod command;
mod credentials;
mod error;
mod template;
mod transfer;
mod wire;

pub mod event;
pub mod fleet;
pub mod known_hosts;
pub mod plan;
pub mod report;
pub mod run;
pub mod session;
#[cfg(feature = "sim")]
pub mod sim;

pub use command::{Command, Exit, OutputStream};
pub use credentials::{Credentials, Purpose};
pub use error::{Error, ErrorKind, Result};
pub use event::{Event, Events, HostState, RunState};
pub use fleet::{ConnectRetries, DryRun, Fleet};
pub use plan::{Plan, Stage, Step};
pub use report::{Gathered, Report};
pub use run::{Control, Prepared, Run};
pub use session::{HostKeys, Output, Process, Session, SessionOptions, Termination};
