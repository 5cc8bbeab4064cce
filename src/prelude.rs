//! What most programs use, for `use clusterops::prelude::*`.

pub use std::time::Duration;

pub use clusterops_core::Target;
pub use clusterops_core::hostset::HostSet;
pub use clusterops_core::inventory::Inventory;
#[cfg(feature = "ssh")]
pub use clusterops_ssh::{
    Command, ConnectRetries, Event, Exit, Fleet, HostState, Journal, Plan, Report, Rollout, Run,
    Session, SessionOptions, Stage, Step, TransferOptions,
};
