#![doc = include_str!("../README.md")]
//!
//! # Which type when
//!
//! | you want to | use |
//! |---|---|
//! | run one line on some hosts | [`run`](run()) |
//! | name many hosts | [`HostSet`] |
//! | keep hosts, groups and variables in a file | [`Inventory`] |
//! | say what is to be done | [`Plan`], [`Stage`], [`Step`] |
//! | do it on many hosts | [`Fleet`], which gives a [`Run`] |
//! | watch it and steer it | [`Events`], [`Control`] |
//! | know what happened | [`Report`] |
//! | go on after the controller was killed | [`Journal`], [`Run::resume`] |
//! | talk to one host | [`Session`] |
//! | change an app of Marathon | the module `marathon`, with the feature of that name |
//! | keep secrets in app definitions | the module `secrets`, with the feature of that name |
//! | deploy such a definition | the module `deploy`, with the features `secrets` and `marathon` |
//! | query, follow and export logs | the module `logs`, with the feature of that name |
//! | test your automation without hosts | the module `sim`, with the feature of that name |
//!
//! The parts are there whole as [`core`], [`ssh`], `secrets` and `logs`, each with its own error type;
//! [`Error`] is for what needs more than one of them.

#[cfg(all(feature = "secrets", feature = "marathon"))]
pub mod deploy;
mod error;
#[cfg(feature = "ssh")]
mod one_shot;
pub mod prelude;

#[cfg(any(feature = "marathon", feature = "logs"))]
#[doc(inline)]
pub use clusterops_core::http;
#[cfg(feature = "marathon")]
#[doc(inline)]
pub use clusterops_core::marathon;
#[doc(inline)]
pub use clusterops_core::{
    self as core, JumpHost, JumpHosts, Target, Variables, hostset, hostset::HostSet, inventory,
    inventory::Inventory, secrecy,
};
#[cfg(feature = "logs")]
#[doc(inline)]
pub use clusterops_logs as logs;
#[cfg(feature = "secrets")]
#[doc(inline)]
pub use clusterops_secrets::{
    self as secrets, DocumentId, Identity, PrivateKey, PublicKey, Recipients, SealedFile,
    SigningKey, VerifyingKey,
};
#[cfg(feature = "sim")]
#[doc(inline)]
pub use clusterops_ssh::sim;
#[cfg(feature = "ssh")]
#[doc(inline)]
pub use clusterops_ssh::{
    self as ssh, Bandwidth, Command, ConnectRetries, Connector, Control, Credentials, Event,
    Events, Exit, Files, Fleet, HostKeyChecking, HostState, Journal, OutputStream, Plan, Progress,
    Purpose, RemoteStream, Report, Rollout, Run, RunState, Session, SessionOptions, Stage, Step,
    Termination, TransferOptions, Transferred, config, event, fleet, journal, known_hosts, plan,
    report, rollout, run, session, transfer,
};
pub use error::{Error, ErrorKind, Result};
#[cfg(feature = "ssh")]
pub use one_shot::{line_plan, run};
