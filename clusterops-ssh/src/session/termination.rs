//! Ending remote processes, and making sure of it.

use std::collections::BTreeSet;
use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::time::{Instant, sleep, timeout};

use super::process::{Process, Remnant, TASK_VARIABLE};
use super::{Output, Session};
use crate::{Command, Error, ErrorKind, Result};

/// The longest pause between two looks at the host.
const PAUSE: Duration = Duration::from_millis(400);

/// How long one look at the host may take.
const LOOK: Duration = Duration::from_secs(10);

/// Whether the end of a command's remote processes was seen.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Termination {
    /// The host was asked, and none of the processes is left.
    Confirmed,
    /// It could not be made sure; the text says why.
    Unconfirmed(String),
}

impl fmt::Display for Termination {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Confirmed => f.write_str("all remote processes ended"),
            Self::Unconfirmed(why) => {
                write!(f, "the end of what ran there is not confirmed: {why}")
            }
        }
    }
}

/// Ends whatever is left of a command: SIGTERM, after `grace` SIGKILL, after another `grace` it is given up.
///
/// What is left is the command's process group and every process that has its tag in its environment, as far as /proc
/// shows it (proc(5)); a zombie does not count. Of a command that runs as another user only that user can look and send
/// signals, so both are done as that user, by the same means.
pub(crate) async fn terminate(
    session: &Session,
    remnant: &Remnant,
    grace: Duration,
) -> Termination {
    match try_terminate(session, remnant, grace).await {
        Ok(left) if left.is_empty() => Termination::Confirmed,
        Ok(left) => {
            let pids: Vec<String> = left.iter().map(u32::to_string).collect();
            Termination::Unconfirmed(format!(
                "still there after SIGKILL: process {}",
                pids.join(", ")
            ))
        }
        Err(error) => Termination::Unconfirmed(error.full_message()),
    }
}

async fn try_terminate(
    session: &Session,
    remnant: &Remnant,
    grace: Duration,
) -> Result<BTreeSet<u32>> {
    let mut left = look(session, remnant).await?;
    for signal in ["TERM", "KILL"] {
        if left.is_empty() {
            break;
        }
        signal_all(session, signal, &left, remnant).await?;
        let deadline = Instant::now() + grace;
        let mut pause = Duration::from_millis(25);
        loop {
            left = look(session, remnant).await?;
            if left.is_empty() || Instant::now() >= deadline {
                break;
            }
            sleep(pause).await;
            pause = (pause * 2).min(PAUSE);
        }
    }
    Ok(left)
}

/// The live processes of a command.
///
/// # Errors
/// When the host cannot be looked at. The look must find itself first: a host without grep or /proc would else seem to
/// have nothing left.
async fn look(session: &Session, remnant: &Remnant) -> Result<BTreeSet<u32>> {
    let tag = &remnant.tag;
    // Its own command line holds this text.
    let own = Process::new_tag();
    let mut line = format!(
        "grep -s -l -a -F -e '{own}' /proc/[0-9]*/cmdline; grep -s -l -a -F -e '{TASK_VARIABLE}={tag}' /proc/[0-9]*/environ"
    );
    if let Some(group) = remnant.group {
        // proc_pid_stat(5): pid (comm) state ppid pgrp. X and Z are dead.
        line.push_str(&format!(
            "; grep -s -l -e ') [^ZX] [0-9]* {group} ' /proc/[0-9]*/stat"
        ));
    }
    let output = ask(session, line, remnant).await?;
    let text = output.stdout.to_string_lossy();
    let (own, left): (Vec<&str>, Vec<&str>) =
        text.lines().partition(|path| path.ends_with("/cmdline"));
    if own.is_empty() {
        let said = output.stderr.to_string_lossy();
        let error = Error::new(
            ErrorKind::Protocol,
            "the processes of the host cannot be looked at (grep, /proc)",
        );
        return Err(if said.trim().is_empty() {
            error
        } else {
            error.caused_by(said.trim().to_owned())
        });
    }
    let pid = |path: &str| path.strip_prefix("/proc/")?.split('/').next()?.parse().ok();
    Ok(left.into_iter().filter_map(pid).collect())
}

async fn signal_all(
    session: &Session,
    signal: &str,
    left: &BTreeSet<u32>,
    remnant: &Remnant,
) -> Result<()> {
    let mut line = format!("kill -s {signal} --");
    if let Some(group) = remnant.group {
        line.push_str(&format!(" -{group}"));
    }
    for pid in left.iter().filter(|&&pid| Some(pid) != remnant.group) {
        line.push_str(&format!(" {pid}"));
    }
    // Its status says nothing: a process may end between the look and the signal. The next look tells.
    ask(session, line, remnant).await.map(drop)
}

/// Runs a line that ends by itself, whatever PATH the login has.
async fn ask(session: &Session, line: String, remnant: &Remnant) -> Result<Output> {
    let mut command = Command::shell(line).env("PATH", SYSTEM_PATH);
    command.raised = remnant.raised.clone();
    match timeout(LOOK, session.collect(&command, &mut None)).await {
        Ok(result) => result,
        Err(_) => Err(Error::new(
            ErrorKind::Timeout,
            format!("the host did not answer within {LOOK:?}"),
        )),
    }
}

/// Where grep is.
const SYSTEM_PATH: &str = "/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin:/run/current-system/sw/bin";
