//! Tails of real servers.

#![expect(clippy::unwrap_used, reason = "a test that fails says where")]

mod by_time;
mod by_time_indices;
mod by_time_versions;
mod clocks;
mod cluster;
mod copies;
mod faults;
mod following;
mod long;
mod one_fails;
mod parts;
mod relay;
mod rights;
mod streams;
#[path = "../support/mod.rs"]
mod support;
mod unrefreshed;
mod upheaval;

use cluster::{Cluster, Killed, Seen};

/// Runs a test against each server.
macro_rules! on_each {
    ($($test:path => $name:ident;)*) => {$(
        #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
        async fn $name() {
            for server in crate::support::clusters(stringify!($name)) {
                let cluster = crate::Cluster::new(&server, stringify!($name));
                $test(&cluster).await;
                cluster.end().await;
            }
        }
    )*};
}
pub(crate) use on_each;
