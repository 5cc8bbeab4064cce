//! What the benchmarks of fleets share: the work, the measuring of a candidate, the figures, and the bare russh loop.
#![allow(dead_code, reason = "every benchmark uses its own part of this module")]

use std::path::{Path, PathBuf};
use std::process::Command;

pub(crate) mod figures;
pub(crate) mod fleet_run;
pub(crate) mod measure;
pub(crate) mod peers;
pub(crate) mod russh_loop;
pub(crate) mod servers;
pub(crate) mod simulator;
pub(crate) mod work;

/// Whatever goes wrong.
pub(crate) type Error = Box<dyn std::error::Error + Send + Sync>;

/// Benchmarks end with the first thing that goes wrong.
pub(crate) type Result<T> = std::result::Result<T, Error>;

/// Does what the command line asks for: one of the parts that every benchmark has, each in a process of its own, or else
/// what is the benchmark's own, which is told the first argument and the others.
pub(crate) fn dispatch(own: impl FnOnce(Option<&str>, &[String]) -> Result<()>) -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let Some((mode, rest)) = arguments.split_first() else {
        return own(None, &[]);
    };
    match mode.as_str() {
        measure::MODE => measure::in_own_process(rest),
        russh_loop::MODE => {
            let work = work::Work::from_arguments(rest)?;
            on_two_threads()?.block_on(russh_loop::all_hosts(&work))
        }
        mode @ (fleet_run::MODE | fleet_run::RECORDED_MODE) => {
            let work = work::Work::from_arguments(rest)?;
            let is_recorded = mode == fleet_run::RECORDED_MODE;
            on_two_threads()?.block_on(fleet_run::all_hosts(&work, is_recorded))
        }
        other => own(Some(other), rest),
    }
}

/// The runtime of every part, whatever the machine has.
pub(crate) fn on_two_threads() -> Result<tokio::runtime::Runtime> {
    let mut builder = tokio::runtime::Builder::new_multi_thread();
    Ok(builder.worker_threads(2).enable_all().build()?)
}

/// Lets this process open as many files as its user may, for thousands of connections.
pub(crate) fn raise_descriptor_limit() -> Result<()> {
    use nix::sys::resource::{Resource, getrlimit, setrlimit};

    let (_, hard) = getrlimit(Resource::RLIMIT_NOFILE)?;
    Ok(setrlimit(Resource::RLIMIT_NOFILE, hard, hard)?)
}

/// The folder above the profile's, in which cargo has put this program.
pub(crate) fn target_folder() -> Result<PathBuf> {
    let program = std::env::current_exe()?;
    let folder = program
        .ancestors()
        .nth(3)
        .ok_or("cargo puts benchmarks three folders deep")?;
    Ok(folder.to_owned())
}

pub(crate) fn project(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

pub(crate) fn run(command: &mut Command) -> Result<()> {
    let status = command
        .status()
        .map_err(|error| format!("{command:?}: {error}"))?;
    if status.success() {
        Ok(())
    } else {
        Err(format!("{command:?}: {status}").into())
    }
}
