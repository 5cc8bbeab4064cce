//! What a simulated host does: answers to commands, and faults.

use std::time::Duration;

use bytes::Bytes;

use super::process::Signal;

/// What a command prints, how long it takes and how it ends.
///
/// ```
/// use std::time::Duration;
/// use clusterops_ssh::sim::Answer;
///
/// let slow = Answer::stdout("checking\n")
///     .with_stderr("disk is almost full\n")
///     .with_status(3)
///     .with_delay(Duration::from_millis(50));
/// let hangs = Answer::never_exits().ignoring_term();
/// # let _ = (slow, hangs);
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    pub(super) pieces: Vec<(Stream, Bytes)>,
    pub(super) delay: Duration,
    pub(super) drip: Option<(usize, Duration)>,
    pub(super) flood: u64,
    pub(super) echo: bool,
    pub(super) files: Vec<(String, Bytes)>,
    pub(super) detached: Vec<String>,
    pub(super) ignores_term: bool,
    pub(super) drops_connection: bool,
    pub(super) ending: Ending,
}

/// Where output goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stream {
    Out,
    Err,
}

/// How a command ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ending {
    Status(u8),
    Signal(Signal),
    NoStatus,
    Never,
}

impl Default for Answer {
    fn default() -> Self {
        Self {
            pieces: Vec::new(),
            delay: Duration::ZERO,
            drip: None,
            flood: 0,
            echo: false,
            files: Vec::new(),
            detached: Vec::new(),
            ignores_term: false,
            drops_connection: false,
            ending: Ending::Status(0),
        }
    }
}

impl Answer {
    /// Says nothing and ends well.
    pub fn new() -> Self {
        Self::default()
    }

    /// Prints this and ends well.
    pub fn stdout(output: impl Into<Bytes>) -> Self {
        Self::new().with_stdout(output)
    }

    /// Says nothing and ends with this exit status.
    pub fn status(status: u8) -> Self {
        Self::new().with_status(status)
    }

    /// Ends when a signal ends it.
    pub fn never_exits() -> Self {
        Fault::NeverExits.on(Self::new())
    }

    /// Copies standard input to standard output until its end, as `cat` does.
    pub fn echo_stdin() -> Self {
        Self {
            echo: true,
            ..Self::new()
        }
    }

    /// Adds output; calls of this and of [`with_stderr`](Self::with_stderr) are played in their order.
    #[must_use]
    pub fn with_stdout(mut self, output: impl Into<Bytes>) -> Self {
        self.pieces.push((Stream::Out, output.into()));
        self
    }

    /// Adds error output.
    #[must_use]
    pub fn with_stderr(mut self, output: impl Into<Bytes>) -> Self {
        self.pieces.push((Stream::Err, output.into()));
        self
    }

    /// Ends with this exit status.
    #[must_use]
    pub fn with_status(mut self, status: u8) -> Self {
        self.ending = Ending::Status(status);
        self
    }

    /// Waits before the first output.
    #[must_use]
    pub fn with_delay(mut self, delay: Duration) -> Self {
        self.delay = delay;
        self
    }

    /// Lets TERM (and any other signal but KILL) pass unheeded.
    #[must_use]
    pub fn ignoring_term(mut self) -> Self {
        self.ignores_term = true;
        self
    }

    /// Writes a file of the host, with mode 0644, and the folders it lies in. On a full disk the command says so and
    /// ends with exit status 1.
    #[must_use]
    pub fn with_file(mut self, path: impl Into<String>, content: impl Into<Bytes>) -> Self {
        self.files.push((path.into(), content.into()));
        self
    }

    /// Leaves a process behind that has left the command's process group: it has the command's environment, this as its
    /// command line, and stays until it is killed.
    #[must_use]
    pub fn with_detached(mut self, command_line: impl Into<String>) -> Self {
        self.detached.push(command_line.into());
        self
    }

    /// Adds a fault to this command alone: one of those that the table in the [module](super) lists as a fault of
    /// commands; the others change nothing.
    #[must_use]
    pub fn with_fault(self, fault: Fault) -> Self {
        fault.on(self)
    }
}

/// What is wrong with a host, until it is [healed](super::SimHandle::heal). The table in the [module](super) says what a
/// client sees of each. Faults of a host's commands spare its own `kill` and `grep`, whoever calls them: with those, processes
/// are found and ended.
///
/// ```
/// use clusterops_ssh::sim::{Answer, Fault, SimHost};
///
/// let dead = SimHost::new("db1").fault(Fault::Refuse);
/// let odd = SimHost::new("db2").answer("backup", Answer::stdout("half").with_fault(Fault::NoStatus));
/// # let _ = (dead, odd);
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Fault {
    /// Refuses connections.
    ///
    /// The host gets a port of its own, which is closed until the host is healed, and its
    /// [target](super::Sim::target) names that port from then on. Who has an older target, with the port that all hosts
    /// share, is reset after connecting; a host that had [`own_port`](super::SimHost::own_port) from the start truly
    /// refuses them too.
    Refuse,
    /// Accepts connections and never says a word.
    Silent,
    /// Closes the connection during key exchange.
    DropInKeyExchange,
    /// Shows a host key that is not the one in the known hosts file.
    WrongHostKey,
    /// Takes neither key nor password.
    RejectAuthentication,
    /// Closes this many connections before saying a word, then serves, as sshd does past its `MaxStartups`.
    DropFirst(u32),
    /// Says `Not allowed at this time` and closes the connection, as sshd does to a source that it punishes
    /// (PerSourcePenalties, sshd_config(5)), for so long from the first connection on; then serves.
    NotAllowed(Duration),
    /// Writing a file fails, whether by SFTP or by a command.
    DiskFull,
    /// Commands print a few bytes at a time.
    Drip {
        /// The number of bytes in one piece; at least one is sent.
        bytes: usize,
        /// The time between two pieces.
        every: Duration,
    },
    /// Commands print this many bytes more, as fast as they are read; `None`: without end.
    Flood(Option<u64>),
    /// Commands end without exit status and signal.
    NoStatus,
    /// Commands end by this signal.
    ExitBySignal(Signal),
    /// Commands do not end until a signal ends them.
    NeverExits,
    /// The connection is lost as soon as a command has started; the process goes on as its answer says.
    DropDuringCommand,
}

impl Fault {
    /// The answer of a command with this fault.
    pub(super) fn on(&self, mut answer: Answer) -> Answer {
        match *self {
            Fault::Drip { bytes, every } => answer.drip = Some((bytes.max(1), every)),
            Fault::Flood(bytes) => answer.flood = bytes.unwrap_or(u64::MAX),
            Fault::NoStatus => answer.ending = Ending::NoStatus,
            Fault::ExitBySignal(signal) => answer.ending = Ending::Signal(signal),
            Fault::NeverExits => answer.ending = Ending::Never,
            Fault::DropDuringCommand => answer.drops_connection = true,
            Fault::Refuse
            | Fault::Silent
            | Fault::DropInKeyExchange
            | Fault::WrongHostKey
            | Fault::RejectAuthentication
            | Fault::DropFirst(_)
            | Fault::NotAllowed(_)
            | Fault::DiskFull => {}
        }
        answer
    }
}
