//! One connection to one host.

mod auth;
mod connect;
mod options;
mod process;
mod stream;
mod termination;

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use clusterops_core::Target;
use russh::client::Msg;
use russh::{Channel, Disconnect};
use tokio::time::{sleep, timeout};

pub(crate) use self::connect::Connector;
use self::connect::{Connection, Line};
pub use self::options::{HostKeys, SessionOptions};
#[cfg(feature = "sim")]
pub(crate) use self::process::TASK_VARIABLE;
pub use self::process::{Chunk, Process};
pub use self::termination::Termination;
pub(crate) use self::termination::terminate;
use crate::report::Captured;
use crate::{Command, Error, ErrorKind, Exit, OutputStream, Result};

/// How long a connection that is being closed may take to say so.
const CLOSING: Duration = Duration::from_secs(1);

/// How long a server may take to open a channel.
const CHANNEL_PATIENCE: Duration = Duration::from_secs(30);

/// How long a remote process may take to end before it is killed, unless asked otherwise.
pub(crate) const GRACE: Duration = Duration::from_secs(2);

/// How much of each output [`Session::output`] keeps.
const OUTPUT_CAP: usize = 8 << 20;

/// One authenticated connection to one host, on which commands run one after the other or side by side.
///
/// Dropping a session closes the connection; remote processes do not end by that (a command without a terminal notices
/// only when it writes). [`Process::terminate`] ends them.
///
/// ```no_run
/// # async fn example() -> clusterops_ssh::Result<()> {
/// use clusterops_core::Target;
/// use clusterops_ssh::{Command, Session, SessionOptions};
///
/// let target = Target::new("web1", "10.0.1.1");
/// let session = Session::connect(&target, &SessionOptions::default()).await?;
/// let output = session.output(&Command::new(["uname", "-r"])).await?;
/// println!("{} {}", output.exit, output.stdout);
/// session.close().await;
/// # Ok(())
/// # }
/// ```
pub struct Session {
    host: String,
    connection: Connection,
    _line: Line,
    lost: Arc<OnceLock<String>>,
    command_deadline: Duration,
}

/// What a command wrote and how it ended.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Output {
    /// How it ended.
    pub exit: Exit,
    /// What it wrote to standard output.
    pub stdout: Captured,
    /// What it wrote to standard error.
    pub stderr: Captured,
}

impl Session {
    /// Connects to a target, verifies its host key and authenticates.
    ///
    /// # Errors
    /// Every step has a deadline of its own; the [kind](Error::kind) tells an unreachable host, a refused connection, a
    /// host key that does not fit, failed authentication and a passed deadline apart.
    pub async fn connect(target: &Target, options: &SessionOptions) -> Result<Self> {
        Connector::new(options.clone()).connect(target).await
    }

    fn new(
        host: String,
        connection: Connection,
        line: Line,
        lost: Arc<OnceLock<String>>,
        deadline: Duration,
    ) -> Self {
        Self {
            host,
            connection,
            _line: line,
            lost,
            command_deadline: deadline,
        }
    }

    /// The target's name.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// Whether the connection is gone.
    pub fn is_closed(&self) -> bool {
        self.connection.is_closed()
    }

    /// Starts a command; its output comes as it is written.
    ///
    /// The deadline of the command is not watched here: that is up to whoever reads. Cancel-safe: a dropped call may
    /// have started the command.
    ///
    /// # Errors
    /// [`ErrorKind::Plan`] for what cannot be run anywhere (no words, a NUL character), [`ErrorKind::Disconnected`] and
    /// [`ErrorKind::Protocol`] when the server does not give a channel.
    pub async fn exec(&self, command: &Command) -> Result<Process> {
        let channel = self.channel().await?;
        let (host, lost) = (self.host.clone(), Arc::clone(&self.lost));
        Process::start(channel, command, host, lost)
            .await
            .map_err(|error| self.on_host(error))
    }

    /// Runs a command to its end and gives what it wrote, up to 8 MiB of each output.
    ///
    /// Not cancel-safe: when this is dropped the command goes on.
    ///
    /// # Errors
    /// As [`exec`](Self::exec); and [`ErrorKind::Timeout`] when the deadline passed, after ending the remote process. A
    /// command that fails is no error here: look at [`Output::exit`].
    pub async fn output(&self, command: &Command) -> Result<Output> {
        let limit = command.deadline.unwrap_or(self.command_deadline);
        let mut process = None;
        match timeout(limit, self.collect(command, &mut process)).await {
            Ok(result) => result,
            Err(_) => {
                let mut message = format!("the command did not end within {limit:?}");
                if let Some(mut process) = process {
                    let end = process.terminate(self, GRACE).await;
                    message.push_str(&format!("; {end}"));
                }
                Err(Error::new(ErrorKind::Timeout, message).on(&self.host))
            }
        }
    }

    /// Runs a command to its end, without a deadline; the process is left with the caller.
    async fn collect(&self, command: &Command, process: &mut Option<Process>) -> Result<Output> {
        let process = process.insert(self.exec(command).await?);
        let (mut stdout, mut stderr) = (Captured::new(OUTPUT_CAP), Captured::new(OUTPUT_CAP));
        while let Some(chunk) = process.next().await? {
            match chunk.stream {
                OutputStream::Stdout => stdout.push(&chunk.bytes),
                OutputStream::Stderr => stderr.push(&chunk.bytes),
            }
        }
        Ok(Output {
            exit: process.exit(),
            stdout,
            stderr,
        })
    }

    /// Says goodbye and waits a moment for the connection to close.
    pub async fn close(mut self) {
        let _ = timeout(CLOSING, async {
            let goodbye = self
                .connection
                .disconnect(Disconnect::ByApplication, "", "");
            if goodbye.await.is_ok() {
                let _ = (&mut self.connection).await;
            }
        })
        .await;
    }

    /// A new session channel.
    ///
    /// sshd counts a session against MaxSessions (sshd_config(5)) until it has seen our side close it, which can be a
    /// moment after we saw the end of its output. So a refusal is worth a few more tries.
    pub(crate) async fn channel(&self) -> Result<Channel<Msg>> {
        // russh waits for the answer for as long as the connection lives.
        let patience = timeout(CHANNEL_PATIENCE, async {
            let mut pause = Duration::from_millis(10);
            loop {
                match self.connection.channel_open_session().await {
                    Err(russh::Error::ChannelOpenFailure(_)) if pause < Duration::from_secs(1) => {
                        sleep(pause).await
                    }
                    opened => return opened,
                }
                pause *= 2;
            }
        });
        match patience.await {
            Ok(opened) => opened.map_err(|error| self.on_host(error.into())),
            Err(_) => {
                let message =
                    format!("the server did not open a channel within {CHANNEL_PATIENCE:?}");
                Err(Error::new(ErrorKind::Timeout, message).on(&self.host))
            }
        }
    }

    /// Adds the host, and why the connection was lost where it was.
    fn on_host(&self, error: Error) -> Error {
        lost_or(error, &self.lost).on(&self.host)
    }
}

/// An error for a lost connection says why it was lost, when that is known.
fn lost_or(error: Error, lost: &OnceLock<String>) -> Error {
    match lost.get() {
        Some(reason) if error.kind() == ErrorKind::Disconnected => {
            Error::new(ErrorKind::Disconnected, reason)
        }
        _ => error,
    }
}

impl std::fmt::Debug for Session {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Session")
            .field("host", &self.host)
            .field("closed", &self.is_closed())
            .finish_non_exhaustive()
    }
}
