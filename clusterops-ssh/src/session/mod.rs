//! One connection to one host.

mod algorithms;
mod ascent;
mod auth;
mod channel_input;
mod connect;
mod dial;
mod feed;
mod greeting;
mod host_key_update;
mod inbox;
mod jump;
mod known_hosts_command;
mod link;
mod lost;
mod options;
mod process;
mod proxy_command;
mod read_ahead;
mod remote_stream;
mod route;
mod settings;
mod shared;
mod stream;
mod termination;
mod tunnel;
mod typed_ahead;
mod verifier;

use std::future::{Future, pending};
use std::time::Duration;

use clusterops_core::Target;
use russh::ChannelReadHalf;
use serde::{Deserialize, Serialize};
use tokio::time::timeout;

pub(crate) use self::ascent::Raised;
pub(crate) use self::channel_input::ChannelInput;
pub use self::connect::Connector;
pub use self::feed::ProcessStdin;
pub(crate) use self::link::ANSWERING;
use self::link::Link;
pub use self::options::{HostKeyChecking, SessionOptions};
#[cfg(feature = "sim")]
pub(crate) use self::process::TASK_VARIABLE;
pub use self::process::{Chunk, Process};
pub(crate) use self::process::{Launch, Remnant};
pub use self::remote_stream::RemoteStream;
pub(crate) use self::route::LocalCommands;
pub(crate) use self::settings::COMMAND_DEADLINE;
pub use self::termination::Termination;
pub(crate) use self::termination::{newest_subsystem, terminate, wait_for_end};
use crate::report::Captured;
use crate::{Command, Error, ErrorKind, Exit, OutputStream, Result};

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
    link: Link,
    /// For further connections to the same host.
    target: Target,
    connector: Connector,
}

/// What a command wrote and how it ended; plain data, as reports are.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
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

    fn new(link: Link, target: Target, connector: Connector) -> Self {
        Self {
            link,
            target,
            connector,
        }
    }

    /// The target's name.
    pub fn host(&self) -> &str {
        &self.link.settings.name
    }

    /// What the user should know about the configuration; see [`Connector::warnings`].
    pub fn warnings(&self) -> Vec<String> {
        self.connector.warnings()
    }

    /// Whether the connection is gone.
    pub fn is_closed(&self) -> bool {
        self.link.is_closed()
    }

    /// Starts a command; its output comes as it is written.
    ///
    /// The deadline of the command is not watched here: that is up to whoever reads. Cancel-safe: a dropped call may
    /// have started the command, whose channel is then closed.
    ///
    /// # Errors
    /// [`ErrorKind::Plan`] for what cannot be run anywhere (no words, a NUL character), [`ErrorKind::Disconnected`] and
    /// [`ErrorKind::Protocol`] when the server does not give a channel, [`ErrorKind::Timeout`] when it has not answered
    /// after 30 seconds.
    pub async fn exec(&self, command: &Command) -> Result<Process> {
        self.launch(command, Launch::new()).await
    }

    pub(crate) async fn launch(&self, command: &Command, launch: Launch) -> Result<Process> {
        let channel = self.channel().await?;
        let command = match command.has_terminal {
            None if self.link.settings.forces_terminal => &command.clone().pty(),
            _ => command,
        };
        Process::start(channel, command, launch, &self.link)
            .await
            .map_err(|error| self.link.on_host(error))
    }

    /// Runs a command to its end and gives what it wrote, up to 8 MiB of each output.
    ///
    /// Not cancel-safe: when this is dropped the command's channel is closed, and it goes on until it ends or writes
    /// (SIGPIPE); one that has a terminal is hung up. [`output_until`](Self::output_until) ends it.
    ///
    /// # Errors
    /// As [`exec`](Self::exec); and [`ErrorKind::Timeout`] when the deadline passed, after ending the remote process. What
    /// the command wrote before, and until it ended, is the error's [`output`](Error::output). A command that fails is no
    /// error here: look at [`Output::exit`].
    pub async fn output(&self, command: &Command) -> Result<Output> {
        self.output_until(command, pending()).await
    }

    /// As [`output`](Self::output), for who may lose interest: when `stop` is over first, the remote process is ended.
    ///
    /// ```no_run
    /// # async fn example(session: clusterops_ssh::Session) -> clusterops_ssh::Result<()> {
    /// use clusterops_ssh::Command;
    /// use tokio::sync::Notify;
    ///
    /// let stop = Notify::new();
    /// let output = session.output_until(&Command::shell("make"), stop.notified()).await?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// As `output`; and [`ErrorKind::Cancelled`] when it was stopped, after ending the remote process.
    pub async fn output_until(
        &self,
        command: &Command,
        stop: impl Future<Output = ()>,
    ) -> Result<Output> {
        let limit = command
            .deadline
            .unwrap_or(self.link.settings.command_deadline);
        let ended = async {
            match timeout(limit, stop).await {
                Ok(()) => (ErrorKind::Cancelled, "the command was stopped".to_owned()),
                Err(_) => {
                    let message = format!("the command did not end within {limit:?}");
                    (ErrorKind::Timeout, message)
                }
            }
        };
        tokio::pin!(ended);
        let mut starting = Box::pin(self.exec(command));
        let mut written = Written::new();
        let (process, (kind, mut message)) = tokio::select! {
            started = &mut starting => {
                let mut process = started?;
                match written.collect(&mut process, &mut ended).await {
                    Ok(Ok(())) => return Ok(written.output(process.exit())),
                    Ok(Err(why)) => (Some(process), why),
                    Err(error) => return Err(error.after(written.output(process.exit()))),
                }
            }
            // Dropped now, it might have started the command.
            why = &mut ended => match timeout(GRACE, starting).await {
                Ok(started) => (Some(started?), why),
                Err(_) => (None, why),
            },
        };
        let Some(mut process) = process else {
            return Err(Error::new(kind, message).on(self.host()));
        };
        let keep = |chunk| written.push(chunk);
        let end = process.terminate_keeping(self, GRACE, keep).await;
        message.push_str(&format!("; {end}"));
        let error = Error::new(kind, message).on(self.host());
        Err(error.after(written.output(process.exit())))
    }

    /// Says goodbye and waits a moment for the connection to close.
    pub async fn close(self) {
        // Boxed, so that a host that waits for others is small: whatever may close a session has room for this.
        Box::pin(self.link.close()).await;
    }

    /// A new session channel.
    pub(crate) async fn channel(&self) -> Result<(ChannelReadHalf, ChannelInput)> {
        self.link.session_channel().await
    }

    /// How much of the time that a process has to end is given to a signal request. sshd sends none for root, nor for forced
    /// commands (session.c, session_signal_req); which commands are forced only the server knows, so that these are waited for
    /// in vain.
    pub(crate) fn signal_patience(&self, grace: Duration) -> Duration {
        match self.link.settings.user.as_str() {
            "root" => Duration::ZERO,
            _ => grace / 2,
        }
    }

    /// Adds the host, and why the connection was lost where it was.
    pub(crate) fn on_host(&self, error: Error) -> Error {
        self.link.on_host(error)
    }
}

/// What a command has written so far.
struct Written {
    stdout: Captured,
    stderr: Captured,
}

impl Written {
    fn new() -> Self {
        Self {
            stdout: Captured::new(OUTPUT_CAP),
            stderr: Captured::new(OUTPUT_CAP),
        }
    }

    fn push(&mut self, chunk: Chunk) {
        match chunk.stream {
            OutputStream::Stdout => self.stdout.push(&chunk.bytes),
            OutputStream::Stderr => self.stderr.push(&chunk.bytes),
        }
    }

    /// Reads a command to its end, or until there is a reason not to.
    async fn collect<Reason>(
        &mut self,
        process: &mut Process,
        until: impl Future<Output = Reason>,
    ) -> Result<Result<(), Reason>> {
        tokio::pin!(until);
        loop {
            let chunk = tokio::select! {
                biased;
                chunk = process.next() => chunk?,
                reason = &mut until => match process.conclude() {
                    Some(ended) => ended.map(|_| None)?,
                    None => return Ok(Err(reason)),
                },
            };
            match chunk {
                Some(chunk) => self.push(chunk),
                None => return Ok(Ok(())),
            }
        }
    }

    fn output(self, exit: Exit) -> Output {
        Output {
            exit,
            stdout: self.stdout,
            stderr: self.stderr,
        }
    }
}

impl std::fmt::Debug for Session {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Session")
            .field("host", &self.host())
            .field("closed", &self.is_closed())
            .finish_non_exhaustive()
    }
}
