//! The one HTTP client that all parts of clusterops use.
//!
//! An [`HttpClient`] speaks to one server: its URL is fixed when it is made, and what it sends to prove who it is goes to
//! that server only. [`HttpNodes`] does the same for several that can stand in for each other. What it does by default is the careful thing:
//!
//! - every call has a deadline, for connecting and for the whole of it; an answer has a limit of length;
//! - calls are repeated only where nothing can happen twice ([`HttpRequest::repeatable`]);
//! - redirects are not followed: one is an error that says where it leads;
//! - credentials and bodies do not travel over plain HTTP, except to this machine, unless
//!   [`HttpOptions::danger_plain_http`] says so;
//! - proxies of the environment are not used unless [`HttpOptions::environment_proxies`] says so;
//! - what is logged (`clusterops::http`, at the level debug) are requests as errors name them, statuses, failures and pauses;
//!   no record and no error holds a body, a credential, a query or, of what a server says, a part that
//!   repeats what it was sent ([`Withhold`]).
//!
//! It speaks HTTP/1.1, over TLS 1.2 or 1.3 (rustls with aws-lc-rs), and needs a tokio runtime.
//!
//! ```no_run
//! use clusterops_core::http::{HttpClient, HttpOptions, HttpRequest};
//!
//! # async fn example() -> clusterops_core::Result<()> {
//! let options = HttpOptions::default().bearer("the token");
//! let client = HttpClient::new("https://marathon.example.org:8443", options)?;
//! let answer = client.send(HttpRequest::get("/v2/info")).await?.into_success()?;
//! let info: serde_json::Value = answer.json()?;
//! # Ok(())
//! # }
//! ```

mod call;
mod client;
mod failure;
mod nodes;
mod options;
mod request;
mod response;
mod retry;
mod setup;
mod stream;
mod withhold;

/// The target of log records.
const LOG: &str = "clusterops::http";

pub use bytes::Bytes;
pub use client::HttpClient;
pub use nodes::HttpNodes;
pub use options::{HttpOptions, HttpRetries};
pub use request::HttpRequest;
pub use response::HttpResponse;
pub use stream::HttpStream;
pub use withhold::Withhold;
