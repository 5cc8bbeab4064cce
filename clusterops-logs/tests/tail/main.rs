//! Tails of real servers, named by `CLUSTEROPS_LOGS_SERVERS`.

#![expect(clippy::unwrap_used, reason = "a test that fails says where")]

mod cluster;
mod copies;
mod faults;
mod following;
mod relay;

use cluster::{Cluster, Seen};

/// Runs a test against each server.
macro_rules! on_each {
    ($($test:path => $name:ident;)*) => {$(
        #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
        async fn $name() {
            for (name, url) in crate::servers(stringify!($name)) {
                let cluster = crate::Cluster::new(&name, &url, stringify!($name));
                $test(&cluster).await;
                cluster.end().await;
            }
        }
    )*};
}
pub(crate) use on_each;

fn servers(test: &str) -> Vec<(String, String)> {
    let Ok(servers) = std::env::var("CLUSTEROPS_LOGS_SERVERS") else {
        let ci = std::env::var("CI").is_ok_and(|ci| ci != "false");
        assert!(
            !ci,
            "CLUSTEROPS_LOGS_SERVERS names no servers; run tests/run"
        );
        eprintln!("skipped: {test}, which needs the servers that tests/run starts");
        return Vec::new();
    };
    let read = |server: &str| {
        let (name, urls) = server.split_once('=').unwrap();
        let url = urls.split(',').next().unwrap();
        (name.to_owned(), url.to_owned())
    };
    servers.split_whitespace().map(read).collect()
}
