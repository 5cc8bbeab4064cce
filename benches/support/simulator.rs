//! Simulated hosts in a process of their own, whose costs do not count.

use std::io::{BufRead, BufReader, Read};
use std::process::{Child, Command, Stdio};

use clusterops::sim::{Sim, SimHost};

use super::Result;
use super::work::Work;

/// The simulator's process; it ends when its standard input closes.
pub(crate) struct Simulator {
    process: Child,
    /// How its hosts are reached; the list of hosts is for the benchmark to write.
    pub(crate) work: Work,
    pub(crate) addresses: Vec<String>,
}

impl Simulator {
    /// Calls this program with these arguments, upon which it must [`serve`].
    pub(crate) fn start(arguments: &[&str]) -> Result<Self> {
        let mut process = Command::new(std::env::current_exe()?)
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let stdout = process
            .stdout
            .take()
            .ok_or("the simulator's standard output is a pipe")?;
        let mut lines = BufReader::new(stdout).lines();
        let first = lines.next().ok_or("the simulator did not start")??;
        let arguments: Vec<String> = serde_json::from_str(&first)?;
        let addresses = lines.next().ok_or("the simulator has no hosts")??;
        Ok(Self {
            process,
            work: Work::from_arguments(&arguments)?,
            addresses: addresses.split(' ').map(str::to_owned).collect(),
        })
    }
}

impl Drop for Simulator {
    fn drop(&mut self) {
        drop(self.process.stdin.take());
        let _ = self.process.wait();
    }
}

/// The simulator's side: starts the hosts, prints what they need to be reached by, waits for the end of its input.
pub(crate) fn serve(
    hosts: impl Iterator<Item = SimHost>,
    parallelism: usize,
    expected: &str,
) -> Result<()> {
    super::raise_descriptor_limit()?;
    let runtime = super::on_two_threads()?;
    let sim = runtime.block_on(Sim::start(hosts))?;
    let targets = sim.targets();
    let first = targets.first().ok_or("there are hosts")?;
    let work = Work {
        port: first.port.ok_or("a simulated host has a port")?,
        user: first.user.clone().ok_or("a simulated host has a user")?,
        identity_file: sim.identity_file(),
        known_hosts: sim.known_hosts(),
        hosts: "".into(),
        parallelism,
        expected: expected.to_owned(),
    };
    println!("{}", serde_json::to_string(&work.arguments())?);
    let addresses: Vec<&str> = targets
        .iter()
        .map(|target| target.address.as_str())
        .collect();
    println!("{}", addresses.join(" "));
    std::io::stdin().read_to_end(&mut Vec::new())?;
    Ok(())
}
