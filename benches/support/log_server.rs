//! A real OpenSearch 2 on loopback, one node, as `tests/log-servers` starts it.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};

use clusterops::http::HttpOptions;
use clusterops::logs::Client;

use super::{Result, project, target_folder};

/// A server; it ends with this.
pub(crate) struct LogServer {
    process: Child,
    pub(crate) url: String,
}

impl LogServer {
    /// Fetches it where that has not been done, starts it without data, and waits until it is up.
    pub(crate) fn start() -> Result<Self> {
        let mut process = Command::new(project("tests/log-servers"))
            .args(["--nodes", "1", "--heap", "1024", "opensearch-2"])
            .env("CARGO_TARGET_DIR", target_folder()?)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .map_err(|error| format!("tests/log-servers: {error}"))?;
        let stdout = process
            .stdout
            .take()
            .ok_or("the server's standard output is a pipe")?;
        let mut server = Self {
            process,
            url: String::new(),
        };
        for line in BufReader::new(stdout).lines() {
            let line = line?;
            match line.split(' ').collect::<Vec<_>>().as_slice() {
                ["node", _, _, url, ..] => server.url = (*url).to_owned(),
                ["ready"] if !server.url.is_empty() => return Ok(server),
                _ => {}
            }
        }
        Err("tests/log-servers ended without a server; it says why above".into())
    }

    pub(crate) fn client(&self) -> Result<Client> {
        Ok(Client::new(&[&self.url], HttpOptions::default())?)
    }
}

impl Drop for LogServer {
    fn drop(&mut self) {
        // It stops what it started when its input ends.
        drop(self.process.stdin.take());
        let _ = self.process.wait();
    }
}
