//! A command while it runs on a host.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use russh::client::Msg;
use russh::{Channel, ChannelMsg, ChannelReadHalf, ChannelWriteHalf, Sig};
use tokio::task::AbortHandle;

use super::{Session, Termination, lost_or, termination};
use crate::wire::{self, Ready};
use crate::{Command, Error, ErrorKind, Exit, OutputStream, Result};

/// The environment variable by which the processes of one command are found again; its value is new for each command.
pub(crate) const TASK_VARIABLE: &str = "CLUSTEROPS_TASK";

/// How much a login shell may say before the command starts.
const MAX_PREAMBLE: usize = 64 << 10;

/// Input up to this size goes out at once; more is sent beside the reading of output, since a command may write before
/// it reads.
const INLINE_INPUT: usize = 32 << 10;

/// RFC 4254 section 5.2: the type code of standard error.
const EXTENDED_DATA_STDERR: u32 = 1;

/// A command that was started on a host.
///
/// Whoever holds a process reads it to its end: output that nobody reads holds up the whole connection.
///
/// ```no_run
/// # async fn example(session: clusterops_ssh::Session) -> clusterops_ssh::Result<()> {
/// use clusterops_ssh::Command;
///
/// let mut process = session.exec(&Command::shell("journalctl -f -n 100")).await?;
/// while let Some(chunk) = process.next().await? {
///     println!("{:?}: {}", chunk.stream, String::from_utf8_lossy(&chunk.bytes));
/// }
/// println!("{}", process.exit());
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct Process {
    output: ChannelReadHalf,
    input: ChannelWriteHalf<Msg>,
    feeding: Option<AbortHandle>,
    host: String,
    lost: Arc<OnceLock<String>>,
    tag: String,
    state: State,
    /// Why the command was not started, as the remote shell says.
    refusal: Option<Ready>,
    exit: Option<Exit>,
}

#[derive(Debug)]
enum State {
    /// The login shell has not handed over yet; what it wrote so far, and on standard error.
    Starting {
        stdout: BytesMut,
        stderr: BytesMut,
    },
    Running {
        group: u32,
    },
    Closed {
        group: Option<u32>,
    },
}

/// A piece of a command's output.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Chunk {
    /// Which output it was written to.
    pub stream: OutputStream,
    /// The bytes, as they came.
    pub bytes: Bytes,
}

impl Process {
    pub(super) async fn start(
        channel: Channel<Msg>,
        command: &Command,
        host: String,
        lost: Arc<OnceLock<String>>,
    ) -> Result<Self> {
        let tag = Self::new_tag();
        let (mut request, script) = command.request(tag.clone())?;
        request
            .environment
            .push((TASK_VARIABLE.into(), tag.clone()));
        let mut first = BytesMut::from(request.header().as_bytes());
        if !script.is_empty() || matches!(request.program, wire::Program::Script { .. }) {
            first.extend_from_slice(&script);
            first.extend_from_slice(request.script_end().as_bytes());
        }
        first.extend_from_slice(&command.stdin);

        let (output, input) = channel.split();
        input.exec(true, wire::BOOTSTRAP).await?;
        let state = State::Starting {
            stdout: BytesMut::new(),
            stderr: BytesMut::new(),
        };
        let mut process = Self {
            output,
            input,
            feeding: None,
            host,
            lost,
            tag,
            state,
            refusal: None,
            exit: None,
        };
        if first.len() <= INLINE_INPUT {
            // A channel that was closed already cannot be written to; reading it tells why.
            if process.input.data_bytes(first.freeze()).await.is_ok() {
                let _ = process.input.eof().await;
            }
        } else {
            process.feed(first.freeze());
        }
        Ok(process)
    }

    /// A tag that no other command has.
    pub(super) fn new_tag() -> String {
        format!("{:016x}", fastrand::u64(..))
    }

    /// Sends input in a task of its own, which ends with the process.
    fn feed(&mut self, bytes: Bytes) {
        let mut writer = self.input.make_writer();
        let task = tokio::spawn(async move {
            use tokio::io::AsyncWriteExt as _;
            // A command that ends before it has read its input closes the channel: no error of ours.
            if writer.write_all(&bytes).await.is_ok() {
                let _ = writer.shutdown().await;
            }
        });
        self.feeding = Some(task.abort_handle());
    }

    /// The next piece of output; `None` once the channel is closed and [`exit`](Self::exit) is final.
    ///
    /// Output that arrives after the exit status is given like any other. Cancel-safe.
    ///
    /// # Errors
    /// [`ErrorKind::Disconnected`] when the connection was lost, [`ErrorKind::Protocol`] when the server or the login
    /// shell did not run the command at all, [`ErrorKind::Command`] when the working directory could not be entered or
    /// the script not be stored.
    pub async fn next(&mut self) -> Result<Option<Chunk>> {
        loop {
            if matches!(self.state, State::Closed { .. }) {
                return Ok(None);
            }
            match self.output.wait().await {
                Some(ChannelMsg::Data { data }) => {
                    if let Some(bytes) = self.stdout(data)? {
                        return Ok(Some(Chunk {
                            stream: OutputStream::Stdout,
                            bytes,
                        }));
                    }
                }
                Some(ChannelMsg::ExtendedData {
                    data,
                    ext: EXTENDED_DATA_STDERR,
                }) => {
                    if let State::Starting { stderr, .. } = &mut self.state
                        && stderr.len() < MAX_PREAMBLE
                    {
                        stderr.extend_from_slice(&data);
                    }
                    return Ok(Some(Chunk {
                        stream: OutputStream::Stderr,
                        bytes: data,
                    }));
                }
                Some(ChannelMsg::ExitStatus { exit_status }) => {
                    self.exit = Some(Exit::Status(exit_status))
                }
                Some(ChannelMsg::ExitSignal { signal_name, .. }) => {
                    self.exit = Some(Exit::Signal(signal_word(&signal_name)));
                }
                Some(ChannelMsg::Failure) => {
                    self.close();
                    return Err(self.error(
                        ErrorKind::Protocol,
                        "the server does not run commands for this user".into(),
                    ));
                }
                Some(ChannelMsg::Close) => {
                    let started = !matches!(self.state, State::Starting { .. });
                    let said = self.close();
                    return if started {
                        Ok(None)
                    } else {
                        Err(self.not_started(&said))
                    };
                }
                Some(_) => {}
                None => {
                    self.close();
                    let error = Error::new(
                        ErrorKind::Disconnected,
                        "the connection was lost while the command ran",
                    );
                    return Err(lost_or(error, &self.lost).on(&self.host));
                }
            }
        }
    }

    /// How the command ended, as far as the server has said by now.
    pub fn exit(&self) -> Exit {
        self.exit.clone().unwrap_or(Exit::ClosedWithoutStatus)
    }

    /// Whether the server has said how the command ended; output may still come.
    pub fn has_exited(&self) -> bool {
        self.exit.is_some()
    }

    /// The remote process group, once the command runs.
    pub fn process_group(&self) -> Option<u32> {
        match self.state {
            State::Starting { .. } => None,
            State::Running { group } => Some(group),
            State::Closed { group } => group,
        }
    }

    /// Ends the command and everything it started, and looks whether it is gone.
    ///
    /// First by a signal request on its own channel, then from a second channel of the session: SIGTERM, after `grace`
    /// SIGKILL. Output that still comes is dropped.
    pub async fn terminate(&mut self, session: &Session, grace: Duration) -> Termination {
        let _ = tokio::time::timeout(grace / 2, async {
            self.ask_to_end().await;
            self.drop_output().await;
        })
        .await;
        let (tag, group) = (self.tag.clone(), self.process_group());
        tokio::select! {
            ended = termination::terminate(session, &tag, group, grace) => ended,
            // Output that nobody reads would hold up the connection, and the looks at the host with it.
            never = async {
                self.drop_output().await;
                std::future::pending().await
            } => never,
        }
    }

    async fn drop_output(&mut self) {
        while let Ok(Some(_)) = self.next().await {}
    }

    /// Asks the server to send SIGTERM. sshd does not do it for root and forced commands (session.c,
    /// session_signal_req), so this is a first, cheap try.
    pub(crate) async fn ask_to_end(&mut self) {
        if !matches!(self.state, State::Closed { .. }) {
            let _ = self.input.signal(Sig::TERM).await;
        }
    }

    /// The value of [`TASK_VARIABLE`] in the command's environment.
    pub(crate) fn tag(&self) -> &str {
        &self.tag
    }

    fn stdout(&mut self, data: Bytes) -> Result<Option<Bytes>> {
        let State::Starting { stdout, .. } = &mut self.state else {
            return Ok(Some(data));
        };
        stdout.extend_from_slice(&data);
        match wire::find_ready(stdout, &self.tag) {
            Some((Ready::Process(group), start)) => {
                let rest = stdout.split_off(start).freeze();
                self.state = State::Running { group };
                Ok((!rest.is_empty()).then_some(rest))
            }
            Some((refusal, _)) => {
                // What is behind it is still on its way on standard error.
                stdout.clear();
                self.refusal = Some(refusal);
                Ok(None)
            }
            None if stdout.len() > MAX_PREAMBLE => {
                let message = format!(
                    "the login shell writes over {MAX_PREAMBLE} bytes before the command starts"
                );
                Err(self.error(ErrorKind::Protocol, message))
            }
            None => Ok(None),
        }
    }

    /// Ends reading; gives what the login shell said if it never got to the command.
    fn close(&mut self) -> Vec<u8> {
        let group = self.process_group();
        match std::mem::replace(&mut self.state, State::Closed { group }) {
            State::Starting { stdout, stderr } => [stdout, stderr].concat(),
            _ => Vec::new(),
        }
    }

    fn not_started(&self, said: &[u8]) -> Error {
        match self.refusal {
            Some(Ready::NoDirectory) => self.error(
                ErrorKind::Command,
                with_words("the working directory cannot be entered", said),
            ),
            Some(_) => self.error(
                ErrorKind::Command,
                with_words("the script cannot be stored on the host", said),
            ),
            None => {
                let what = format!(
                    "the login shell did not start the command ({})",
                    self.exit()
                );
                self.error(ErrorKind::Protocol, with_words(&what, said))
            }
        }
    }

    fn error(&self, kind: ErrorKind, message: String) -> Error {
        Error::new(kind, message).on(&self.host)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if let Some(feeding) = &self.feeding {
            feeding.abort();
        }
    }
}

/// A sentence followed by the host's own words, made fit for one line.
fn with_words(what: &str, said: &[u8]) -> String {
    let said = String::from_utf8_lossy(said);
    let words: Vec<&str> = said
        .split(|c: char| c.is_whitespace() || c.is_control())
        .filter(|w| !w.is_empty())
        .collect();
    if words.is_empty() {
        what.to_owned()
    } else {
        format!("{what}: {:.300}", words.join(" "))
    }
}

/// A signal's name without `SIG` (RFC 4254 section 6.10).
fn signal_word(signal: &Sig) -> String {
    match signal {
        Sig::Custom(name) => name.split('@').next().unwrap_or_default().to_owned(),
        named => format!("{named:?}"),
    }
}
