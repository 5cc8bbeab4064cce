//! `cargo bench --bench fleet`: `uname -n` on 250 hosts at parallelism 100, with one real sshd behind all addresses.
//!
//! The candidates are parallel-ssh and asyncssh (from a virtual environment below the target folder, with the programs
//! in `benches/peers`), a bare russh loop, and `Fleet`, once as it is and once with a journal and its report in a file.
//! Each runs as a process of its own, in turn, with the same key and the same known hosts file, and checks the output and
//! exit status of every host. Only the client's costs count.

use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;

#[path = "support/mod.rs"]
mod bench;
#[path = "../tests/support/mod.rs"]
mod support;

use bench::figures::{Candidate, cpu, peak, rounded, table, wall};
use bench::measure;
use bench::peers::virtual_environment;
use bench::work::Work;
use bench::{Result, fleet_run, project, russh_loop};
use support::{Sshd, SshdOptions};

const HOSTS: usize = 250;
const PARALLELISM: usize = 100;
const ROUNDS: usize = 5;

/// The first argument with which the benchmark calls itself once the login user exists.
const ROUNDS_MODE: &str = "rounds";

fn main() -> Result<()> {
    bench::dispatch(|mode, _| match mode {
        Some(ROUNDS_MODE) => rounds(),
        _ => {
            let error = Command::new(project("tests/with-user"))
                .arg(std::env::current_exe()?)
                .arg(ROUNDS_MODE)
                .exec();
            Err(format!("tests/with-user: {error}").into())
        }
    })
}

fn rounds() -> Result<()> {
    let python = virtual_environment("peers", &["benches/peers/requirements.txt"])?;
    let Some(sshd) = Sshd::start(SshdOptions::default()) else {
        return Err("the benchmark needs a real sshd".into());
    };
    let work = work(&sshd)?;
    let mut candidates = candidates(&work, &python)?;
    println!(
        "{HOSTS} hosts, parallelism {PARALLELISM}, login as {}, {ROUNDS} rounds after one to warm up",
        work.user
    );
    measure::in_turn(&mut candidates, ROUNDS)?;

    let [fleet, recorded, russh, parallel_ssh, asyncssh] = &candidates;
    let others = [recorded, russh, parallel_ssh, asyncssh];
    print!("{}", table(fleet, &others, HOSTS));
    let figures = serde_json::json!({
        "cpu_vs_parallel_ssh": rounded(fleet.ratio(parallel_ssh, cpu)),
        "memory_vs_parallel_ssh": rounded(fleet.ratio(parallel_ssh, peak)),
        "wall_vs_parallel_ssh": rounded(fleet.ratio(parallel_ssh, wall)),
        "cpu_vs_asyncssh": rounded(fleet.ratio(asyncssh, cpu)),
        "cpu_vs_russh": rounded(fleet.ratio(russh, cpu)),
        "wall_vs_russh": rounded(fleet.ratio(russh, wall)),
        "recorded_cpu_vs_parallel_ssh": rounded(recorded.ratio(parallel_ssh, cpu)),
        "recorded_memory_vs_parallel_ssh": rounded(recorded.ratio(parallel_ssh, peak)),
        "recorded_wall_vs_parallel_ssh": rounded(recorded.ratio(parallel_ssh, wall)),
    });
    println!("{figures}");
    Ok(())
}

fn candidates(work: &Work, python: &Path) -> Result<[Candidate; 5]> {
    let own = std::env::current_exe()?.display().to_string();
    let python = python.display().to_string();
    let peer = |file: &str| project("benches/peers").join(file).display().to_string();
    let candidate = |name, program: [String; 2]| {
        Candidate::new(name, [&program[..], &work.arguments()].concat())
    };
    Ok([
        candidate("Fleet", [own.clone(), fleet_run::MODE.into()]),
        candidate(
            "Fleet, recorded",
            [own.clone(), fleet_run::RECORDED_MODE.into()],
        ),
        candidate("russh loop", [own, russh_loop::MODE.into()]),
        candidate(
            "parallel-ssh",
            [python.clone(), peer("with_parallel_ssh.py")],
        ),
        candidate("asyncssh", [python, peer("with_asyncssh.py")]),
    ])
}

/// Writes the lists of hosts and of their keys into the server's folder.
fn work(sshd: &Sshd) -> Result<Work> {
    let work = Work {
        port: sshd.port(),
        user: sshd.user().to_owned(),
        identity_file: sshd.identity_file(),
        known_hosts: sshd.known_hosts(),
        hosts: PathBuf::new(),
        parallelism: PARALLELISM,
        expected: String::new(),
    };
    work.on_loopback(sshd.folder(), HOSTS)
}
