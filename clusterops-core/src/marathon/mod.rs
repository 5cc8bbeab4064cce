//! Marathon's HTTP API: apps and their deployments (Marathon 1.x, `/v2/apps` and `/v2/deployments`).
//!
//! [`Marathon::put_app`] hands over a definition, which starts a deployment; [`Marathon::follow`] tells what became of it.
//! Definitions hold secrets: they are not shown by `Debug`, our copies are overwritten, and no error repeats one of them
//! ([`AppDefinition::secrets`]), also where Marathon does ([`Withhold`](crate::http::Withhold)).
//!
//! ```no_run
//! use std::time::Duration;
//! use clusterops_core::http::HttpOptions;
//! use clusterops_core::marathon::{AppDefinition, AppId, Locked, Marathon, PutOptions};
//!
//! # async fn example(definition: String) -> clusterops_core::Result<()> {
//! let options = HttpOptions::default().basic("deployer", "the password");
//! let marathon = Marathon::new("https://marathon.example.org:8443", options)?;
//! let id: AppId = "/prod/web".parse()?;
//! let definition = AppDefinition::parse(definition)?;
//! match marathon.put_app(&id, &definition, PutOptions::default()).await {
//!     Ok(deployment) => println!("{}", marathon.follow(&deployment, Duration::from_secs(600)).await?),
//!     Err(error) => match Locked::of(&error) {
//!         Some(locked) => println!("wait for {:?}, or force", locked.deployments()),
//!         None => return Err(error),
//!     },
//! }
//! # Ok(())
//! # }
//! ```

mod answers;
mod app;
mod client;
mod follow;
mod refusal;

pub use app::{AppDefinition, AppId, STATUS_MEMBERS, SecretJson};
pub use client::{Deployment, Marathon, PutOptions, RunningDeployment};
pub use follow::{Failure, Followed, TaskFailure, Tasks};
pub use refusal::Locked;
