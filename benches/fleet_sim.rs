//! `cargo bench --bench fleet_sim`: `uname -n` on 10,000 simulated hosts, with `Fleet` and with a bare russh loop.
//!
//! The simulator runs in a process of its own, whose costs do not count; it shares the machine with the candidates, so
//! that the hosts per second are those of both sides together.

use std::io::{BufRead, BufReader, Read};
use std::process::{Child, Command, Stdio};

use clusterops::sim::{Answer, Sim, SimHost};

#[path = "support/mod.rs"]
mod bench;

use bench::figures::{Candidate, cpu, peak, rounded, table, wall};
use bench::measure;
use bench::work::{COMMAND, Work};
use bench::{Result, fleet_run, russh_loop};

const HOSTS: usize = 10_000;
const PARALLELISM: usize = 200;
const ROUNDS: usize = 3;

/// What every simulated host is called by its own `uname`.
const NODE_NAME: &str = "simulated";

/// The first argument with which the benchmark calls itself to be the simulator.
const SIMULATOR_MODE: &str = "simulator";

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.split_first() {
        Some((mode, rest)) if mode == measure::MODE => measure::in_own_process(rest),
        Some((mode, rest)) if mode == russh_loop::MODE => {
            russh_loop::run(&Work::from_arguments(rest)?)
        }
        Some((mode, rest)) if mode == fleet_run::MODE => {
            fleet_run::run(&Work::from_arguments(rest)?)
        }
        Some((mode, _)) if mode == SIMULATOR_MODE => simulate(),
        _ => rounds(),
    }
}

fn rounds() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let simulator = Simulator::start()?;
    let addresses = folder.path().join("hosts");
    std::fs::write(&addresses, simulator.addresses.join("\n"))?;
    let work = Work {
        hosts: addresses,
        ..simulator.work.clone()
    };

    let own = std::env::current_exe()?.display().to_string();
    let candidate = |name, mode: &str| {
        Candidate::new(
            name,
            [&[own.clone(), mode.to_owned()][..], &work.arguments()].concat(),
        )
    };
    let mut candidates = [
        candidate("Fleet", fleet_run::MODE),
        candidate("russh loop", russh_loop::MODE),
    ];
    println!(
        "{HOSTS} simulated hosts, parallelism {PARALLELISM}, {ROUNDS} rounds after one to warm up"
    );
    measure::in_turn(&mut candidates, ROUNDS)?;

    let [fleet, russh] = &candidates;
    print!("{}", table(fleet, &[russh], HOSTS));
    let figures = serde_json::json!({
        "hosts": HOSTS,
        "hosts_per_s": rounded(HOSTS as f64 / fleet.median(wall)),
        "cpu_ms_per_host": rounded(fleet.median(cpu) * 1000.0 / HOSTS as f64),
        "peak_mb": rounded(fleet.median(peak)),
        "cpu_vs_russh": rounded(fleet.ratio(russh, cpu)),
    });
    println!("{figures}");
    Ok(())
}

/// The simulator's process; it ends when its standard input closes.
struct Simulator {
    process: Child,
    work: Work,
    addresses: Vec<String>,
}

impl Simulator {
    fn start() -> Result<Self> {
        let mut process = Command::new(std::env::current_exe()?)
            .arg(SIMULATOR_MODE)
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
fn simulate() -> Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()?;
    let host = SimHost::new("first").answer(COMMAND, Answer::stdout(format!("{NODE_NAME}\n")));
    let hosts = (0..HOSTS).map(|index| host.named(format!("host{index}")));
    let sim = runtime.block_on(Sim::start(hosts))?;
    let targets = sim.targets();
    let first = targets.first().ok_or("there are hosts")?;
    let work = Work {
        port: first.port.ok_or("a simulated host has a port")?,
        user: first.user.clone().ok_or("a simulated host has a user")?,
        identity_file: sim.identity_file(),
        known_hosts: sim.known_hosts(),
        hosts: "".into(),
        parallelism: PARALLELISM,
        expected: NODE_NAME.to_owned(),
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
