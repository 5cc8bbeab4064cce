//! The commands of `Match exec`.

use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process_group};

/// How long a command may take.
const DEADLINE: Duration = Duration::from_secs(30);

/// How often a command that runs is looked at.
const INTERVAL: Duration = Duration::from_millis(2);

/// Whether the user's shell (or `/bin/sh`) runs a command with success; an error when it is killed by a signal.
///
/// The command reads nothing, its standard output is dropped, and it is killed, with its children, when time is up.
pub(super) fn succeeds(shell: Option<&str>, command: &str) -> Result<bool, String> {
    let shell = shell.unwrap_or("/bin/sh");
    let mut child = Command::new(shell)
        .arg("-c")
        .arg(command)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .process_group(0)
        .spawn()
        .map_err(|error| format!("Match exec '{command}': {shell} does not start: {error}"))?;
    let began = Instant::now();
    loop {
        match child.try_wait() {
            Ok(Some(status)) => {
                return match status.code() {
                    Some(code) => Ok(code == 0),
                    None => Err(format!(
                        "match exec '{command}' error: it ended by a signal"
                    )),
                };
            }
            Ok(None) if began.elapsed() < DEADLINE => std::thread::sleep(INTERVAL),
            ended => {
                if let Some(group) = i32::try_from(child.id()).ok().and_then(Pid::from_raw) {
                    // It may have ended by itself.
                    let _ = kill_process_group(group, Signal::KILL);
                }
                // It has been killed, so this takes no time.
                let _ = child.wait();
                return Err(match ended {
                    Err(error) => format!("Match exec '{command}': {error}"),
                    Ok(_) => format!(
                        "Match exec '{command}' took more than {} s",
                        DEADLINE.as_secs()
                    ),
                });
            }
        }
    }
}
