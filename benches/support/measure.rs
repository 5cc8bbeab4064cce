//! A candidate's wall time, CPU time and peak memory, as the kernel counts them for the whole process.

use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use nix::sys::resource::{UsageWho, getrusage};

use super::Result;
use super::figures::Candidate;

/// The first argument with which a benchmark calls itself to run [`in_own_process`].
pub(crate) const MODE: &str = "measure";

/// What one run of a candidate cost.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Cost {
    /// From its start to its end, the start of an interpreter included.
    pub(crate) wall: Duration,
    /// In user and system mode, its children included.
    pub(crate) cpu: Duration,
    /// The most memory it had resident at a time, in bytes.
    pub(crate) peak: u64,
}

/// Runs the candidates in turn: one round to warm up, then those that count.
///
/// Each round starts with another candidate, so that nobody always runs after the same neighbour.
pub(crate) fn in_turn(candidates: &mut [Candidate], rounds: usize) -> Result<()> {
    for round in 0..=rounds {
        for turn in 0..candidates.len() {
            let index = (round + turn) % candidates.len();
            let cost = measure(&candidates[index].command)?;
            if round > 0 {
                candidates[index].costs.push(cost);
            }
        }
    }
    Ok(())
}

/// Runs a candidate to its end, which must be a success.
///
/// The kernel adds up the costs of all children a process has had, so each candidate has a parent of its own: this
/// program again.
pub(crate) fn measure(candidate: &[String]) -> Result<Cost> {
    let mut command = Command::new(std::env::current_exe()?);
    command
        .arg(MODE)
        .args(candidate)
        .stdin(Stdio::null())
        .stderr(Stdio::inherit());
    // With it set, Python would compile its modules in every run.
    command.env_remove("PYTHONDONTWRITEBYTECODE");
    let output = command.output()?;
    if !output.status.success() {
        return Err(format!("`{}` failed", candidate.join(" ")).into());
    }
    let text = String::from_utf8(output.stdout)?;
    let mut numbers = text.split_whitespace().map(str::parse::<u64>);
    let mut next = || numbers.next().ok_or("a measured cost has three numbers");
    Ok(Cost {
        wall: Duration::from_micros(next()??),
        cpu: Duration::from_micros(next()??),
        peak: next()??,
    })
}

/// The other side of [`measure`]: runs the candidate, prints what it cost.
pub(crate) fn in_own_process(candidate: &[String]) -> Result<()> {
    let (program, arguments) = candidate.split_first().ok_or("there is no candidate")?;
    let mut command = Command::new(program);
    command
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::null());
    let start = Instant::now();
    let status = command
        .status()
        .map_err(|error| format!("{program}: {error}"))?;
    let wall = start.elapsed();
    if !status.success() {
        return Err(format!("{program}: {status}").into());
    }
    let usage = getrusage(UsageWho::RUSAGE_CHILDREN)?;
    let microseconds = |time: nix::sys::time::TimeVal| time.tv_sec() * 1_000_000 + time.tv_usec();
    let cpu = microseconds(usage.user_time()) + microseconds(usage.system_time());
    // Linux counts the resident set in units of 1024 bytes.
    println!("{} {cpu} {}", wall.as_micros(), usage.max_rss() * 1024);
    Ok(())
}
