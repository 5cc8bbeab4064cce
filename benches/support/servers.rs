//! Real clusters for benchmarks, run by `tests/log-servers`.

use std::io::{BufRead, BufReader, Lines, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use super::{Result, project};

/// A cluster whose nodes are processes of their own; they end when this is dropped.
#[derive(Debug)]
pub(crate) struct Servers {
    name: &'static str,
    child: Child,
    orders: Option<ChildStdin>,
    answers: Lines<BufReader<ChildStdout>>,
    pub(crate) nodes: Vec<Node>,
}

#[derive(Debug, Clone)]
pub(crate) struct Node {
    pub(crate) url: String,
    pub(crate) pid: i32,
}

impl Servers {
    /// Starts a cluster of so many nodes, which share a heap of so many MiB.
    pub(crate) fn start(name: &'static str, nodes: usize, heap: usize) -> Result<Self> {
        let mut child = Command::new(project("tests/log-servers"))
            .args(["--apart", "--nodes", &nodes.to_string()])
            .args(["--heap", &heap.to_string(), name])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let orders = child.stdin.take();
        let output = child.stdout.take().ok_or("its output is a pipe")?;
        let mut servers = Self {
            name,
            child,
            orders,
            answers: BufReader::new(output).lines(),
            nodes: Vec::new(),
        };
        loop {
            let line = servers.line()?;
            if line == "ready" {
                return Ok(servers);
            }
            servers.nodes.push(node(&line)?);
        }
    }

    pub(crate) fn urls(&self) -> Vec<String> {
        self.nodes.iter().map(|node| node.url.clone()).collect()
    }

    /// Kills a node (SIGKILL).
    pub(crate) fn kill(&self, number: usize) -> Result<()> {
        let pid = nix::unistd::Pid::from_raw(self.nodes[number].pid);
        Ok(nix::sys::signal::kill(
            pid,
            nix::sys::signal::Signal::SIGKILL,
        )?)
    }

    /// Starts a node again that was killed, and waits for it.
    pub(crate) fn start_again(&mut self, number: usize) -> Result<()> {
        let orders = self.orders.as_mut().ok_or("the servers take orders")?;
        writeln!(orders, "start {} {}", self.name, number + 1)?;
        let line = self.line()?;
        self.nodes[number] = node(&line)?;
        Ok(())
    }

    fn line(&mut self) -> Result<String> {
        let line = self.answers.next();
        Ok(line.ok_or("the servers did not start; what they say stands above")??)
    }
}

impl Drop for Servers {
    fn drop(&mut self) {
        // The end of its input ends it, with all that it started.
        drop(self.orders.take());
        let _ = self.child.wait();
    }
}

/// Reads `node NAME NUMBER URL PID`.
fn node(line: &str) -> Result<Node> {
    let words: Vec<&str> = line.split(' ').collect();
    match words[..] {
        ["node", _, _, url, pid] => Ok(Node {
            url: url.to_owned(),
            pid: pid.parse()?,
        }),
        _ => Err(format!("the servers said `{line}`").into()),
    }
}
