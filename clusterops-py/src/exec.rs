//! Commands with opened values in their environment.

use std::convert::Infallible;
use std::os::unix::process::ExitStatusExt as _;
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus};
use std::time::Duration;

use clusterops::secrets;
use pyo3::prelude::*;
use tokio::time::{sleep, timeout};

use crate::errors::{Raised, raise};
use crate::opened::Opened;
use crate::stop::{Stop, awaited, blocking};
use crate::words::Words;

/// How often a child is looked at.
const LOOK: Duration = Duration::from_millis(10);

/// How long a child may take that has got Ctrl-C too, before it is killed.
const GRACE: Duration = Duration::from_millis(250);

/// The command of these words.
fn command(words: Words, current_dir: Option<PathBuf>) -> PyResult<Command> {
    let mut words = words.0.into_iter();
    let Some(program) = words.next() else {
        return Err(Raised::invalid("a command has one word at least").into());
    };
    let mut command = Command::new(program);
    command.args(words);
    if let Some(folder) = current_dir {
        command.current_dir(folder);
    }
    Ok(command)
}

/// Waits for a child's end. When that is not wanted any more it is killed, unless it ends by itself.
async fn end(mut child: Child, stop: Stop) -> PyResult<i32> {
    let ended = tokio::select! {
        ended = exited(&mut child) => ended?,
        () = stop.asked() => match timeout(GRACE, exited(&mut child)).await {
            Ok(ended) => ended?,
            Err(_) => {
                child.kill()?;
                child.wait()?
            }
        },
    };
    // As Python's `subprocess` tells signals.
    Ok(ended
        .code()
        .unwrap_or_else(|| -ended.signal().unwrap_or_default()))
}

async fn exited(child: &mut Child) -> PyResult<ExitStatus> {
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(status);
        }
        sleep(LOOK).await;
    }
}

/// Becomes the command, with the environment of an opened document added to its own: the values stand nowhere else, neither
/// in its arguments nor in a file.
///
/// Returns only by an exception. Nothing of this process goes on: no ``finally``, no ``atexit``, no other thread. Its
/// descendants inherit the values, and root and its user can read them in ``/proc/PID/environ``. The document also says how
/// the variables are called, so it can set ``PATH`` or ``LD_PRELOAD``: know who wrote it (`verify`).
///
/// Parameters
/// ----------
/// opened : Opened
/// command : sequence of str
///     The program, which is looked up in ``PATH``, and its arguments.
/// current_dir : str or os.PathLike, optional
///     Where it runs.
///
/// Raises
/// ------
/// InvalidError
///     The document describes no environment (`Opened.environment`), or one that cannot be.
/// LocalError
///     The command cannot be started.
#[pyfunction]
#[pyo3(signature = (opened, command, *, current_dir = None))]
pub(crate) fn exec(opened: &Opened, command: Words, current_dir: Option<PathBuf>) -> PyResult<()> {
    let command = self::command(command, current_dir)?;
    let never: Infallible = secrets::exec(&opened.0, command).map_err(raise)?;
    match never {}
}

/// Runs the command as `exec` does, as a child, and waits for its end.
///
/// Ctrl-C, which a terminal sends to the child too, is raised when that has ended; after a quarter of a second it is killed.
///
/// Returns
/// -------
/// int
///     Its exit status; that of a signal is negative, as in `subprocess`.
///
/// Examples
/// --------
/// >>> from clusterops.secrets import PrivateKey, exec_and_wait, open, seal
/// >>> key = PrivateKey.generate(2048)
/// >>> sealed = seal('{"id": "/shop", "env": {"DB": "ENC[db:hunter2]"}}', {"ana": key.public_key})
/// >>> exec_and_wait(open(sealed.text, [key], id="/shop"), ["sh", "-c", 'test "$DB" = hunter2'])
/// 0
#[pyfunction]
#[pyo3(signature = (opened, command, *, current_dir = None))]
pub(crate) fn exec_and_wait(
    py: Python<'_>,
    opened: &Opened,
    command: Words,
    current_dir: Option<PathBuf>,
) -> PyResult<i32> {
    let command = self::command(command, current_dir)?;
    let child = secrets::spawn(&opened.0, command).map_err(raise)?;
    blocking(py, |stop| end(child, stop))
}

/// As `exec_and_wait`, to be awaited; cancelling it ends the child.
#[pyfunction]
#[pyo3(signature = (opened, command, *, current_dir = None))]
pub(crate) fn aexec_and_wait<'py>(
    py: Python<'py>,
    opened: &Opened,
    command: Words,
    current_dir: Option<PathBuf>,
) -> PyResult<Bound<'py, PyAny>> {
    let command = self::command(command, current_dir)?;
    let child = secrets::spawn(&opened.0, command).map_err(raise)?;
    awaited(py, |stop| end(child, stop))
}
