//! Running a command with the opened values in its environment.

use std::convert::Infallible;
use std::os::unix::process::CommandExt as _;
use std::process::{Child, Command, ExitStatus};

use secrecy::ExposeSecret as _;

use crate::{Error, ErrorKind, Opened, Result};

/// Becomes the command, with the [environment](Opened::environment) of an opened document added to its own. Returns only when
/// that fails.
///
/// The values stand in the environment of the command and nowhere else: not in its arguments, not in a file. Its descendants
/// inherit them, and root and the command's own user can read them in `/proc/PID/environ` while it runs.
///
/// The document also says how the variables are called, and so can set `PATH` or `LD_PRELOAD`: know who wrote it
/// ([`verify`](crate::verify)).
///
/// ```no_run
/// # fn example(opened: &clusterops_secrets::Opened) -> clusterops_secrets::Result<()> {
/// let mut command = std::process::Command::new("./server");
/// command.arg("--port=8080");
/// match clusterops_secrets::exec(opened, command)? {}
/// # }
/// ```
///
/// # Errors
/// As [`Opened::environment`]; [`ErrorKind::Input`] for names and values that no environment can hold, [`ErrorKind::Local`] when the command cannot be
/// started.
pub fn exec(opened: &Opened, mut command: Command) -> Result<Infallible> {
    add_environment(opened, &mut command)?;
    let error = command.exec();
    Err(not_started(&command, error))
}

/// Runs the command as [`exec`] does, as a child, and waits for its end.
///
/// # Errors
/// As [`exec`].
pub fn exec_and_wait(opened: &Opened, mut command: Command) -> Result<ExitStatus> {
    add_environment(opened, &mut command)?;
    command
        .status()
        .map_err(|error| not_started(&command, error))
}

/// Starts the command as [`exec_and_wait`] does, and leaves its end to the caller, who may have to end it.
///
/// ```no_run
/// # fn example(opened: &clusterops_secrets::Opened) -> Result<(), Box<dyn std::error::Error>> {
/// let mut server = clusterops_secrets::spawn(opened, std::process::Command::new("./server"))?;
/// assert!(server.wait()?.success());
/// # Ok(())
/// # }
/// ```
///
/// # Errors
/// As [`exec`].
pub fn spawn(opened: &Opened, mut command: Command) -> Result<Child> {
    add_environment(opened, &mut command)?;
    command
        .spawn()
        .map_err(|error| not_started(&command, error))
}

fn add_environment(opened: &Opened, command: &mut Command) -> Result<()> {
    for (name, value) in opened.environment()? {
        let value = value.expose_secret();
        // POSIX.1-2024 section 8.1: a name holds no `=`, and neither of them holds a NUL.
        let message = if name.is_empty() || name.contains(['=', '\0']) {
            "this is no name that an environment can hold"
        } else if value.contains('\0') {
            "the value holds a NUL, which no environment can hold"
        } else {
            command.env(name, value);
            continue;
        };
        return Err(
            Error::new(ErrorKind::Input, message).on(crate::Pointer::root().join(&name).as_str())
        );
    }
    Ok(())
}

fn not_started(command: &Command, error: std::io::Error) -> Error {
    let program = command.get_program().to_string_lossy();
    Error::new(ErrorKind::Local, format!("`{program}` cannot be started")).caused_by(error)
}
