//! `cargo bench --bench fleet_sim`: `uname -n` on 10,000 simulated hosts, with `Fleet` and with a bare russh loop.
//!
//! The simulator runs in a process of its own, whose costs do not count; it shares the machine with the candidates, so
//! that the hosts per second are those of both sides together.

use clusterops::sim::{Answer, SimHost};

#[path = "support/mod.rs"]
mod bench;

use bench::figures::{Candidate, cpu, peak, rounded, table, wall};
use bench::simulator::{self, Simulator};
use bench::work::{COMMAND, Work};
use bench::{Result, fleet_run, measure, russh_loop};

const HOSTS: usize = 10_000;
const PARALLELISM: usize = 200;
const ROUNDS: usize = 3;

/// What every simulated host is called by its own `uname`.
const NODE_NAME: &str = "simulated";

/// The first argument with which the benchmark calls itself to be the simulator.
const SIMULATOR_MODE: &str = "simulator";

fn main() -> Result<()> {
    bench::dispatch(|mode, _| match mode {
        Some(SIMULATOR_MODE) => simulate(),
        _ => rounds(),
    })
}

fn rounds() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let simulator = Simulator::start(&[SIMULATOR_MODE])?;
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

/// The simulator's side.
fn simulate() -> Result<()> {
    let host = SimHost::new("first").answer(COMMAND, Answer::stdout(format!("{NODE_NAME}\n")));
    let hosts = (0..HOSTS).map(|index| host.named(format!("host{index}")));
    simulator::serve(hosts, PARALLELISM, NODE_NAME)
}
