//! A command while it runs on a host.

mod end;
mod refusal;
mod start;

use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use russh::ChannelMsg;
use tokio::sync::mpsc;
use tokio::task::AbortHandle;
use tokio::time::{Instant, timeout_at};

pub(crate) use self::end::Remnant;
use self::refusal::signal_word;
pub(super) use self::refusal::with_words;
pub(crate) use self::start::Launch;
use super::ascent::{Ascent, Next, Raised};
use super::channel_input::ChannelInput;
use super::feed::{Cue, ProcessStdin};
use super::inbox::{self, Inbox};
use super::lost::Lost;
use crate::clock::deadline_in;
use crate::wire::ending::EndMark;
use crate::wire::{self, Leader, Ready};
use crate::{Error, ErrorKind, Exit, OutputStream, Result};

/// The environment variable by which the processes of one command are found again; its value is new for each command.
pub(crate) const TASK_VARIABLE: &str = "CLUSTEROPS_TASK";

/// How much a login shell may say before the command starts.
pub(super) const MAX_PREAMBLE: usize = 64 << 10;

/// How long sudo may take to end when its command has ended and all that was typed is read.
const CLOSING: Duration = Duration::from_secs(30);

/// RFC 4254 section 5.2: the type code of standard error.
const EXTENDED_DATA_STDERR: u32 = 1;

/// A command that was started on a host.
///
/// Up to 1 MiB of output waits to be read; past that, a slow reader slows the command down, and one that has taken nothing
/// for 3 seconds (less, where others of the session have stalled before) loses the command: its channel is closed, so that
/// output which nobody reads holds up no other command of the session. Dropping it closes the channel too: a command that
/// has a terminal is hung up by that, and another goes on until it ends or writes (SIGPIPE).
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
    output: Inbox,
    input: Arc<ChannelInput>,
    feeding: Option<AbortHandle>,
    cues: Option<mpsc::Sender<Cue>>,
    stdin: Option<ProcessStdin>,
    /// As whom the command runs, when that is not the login user.
    raised: Option<Raised>,
    has_terminal: bool,
    /// Whether the server has not said yet whether there is a terminal.
    awaits_terminal: bool,
    /// Until when the server has to say whether it runs the command, while it has not.
    answer_due: Option<Instant>,
    /// The working directory that was asked for.
    directory: Option<String>,
    host: String,
    lost: Lost,
    tag: String,
    state: State,
    /// Why the command was not started, as the remote shell says.
    refusal: Option<Ready>,
    exit: Option<Exit>,
    /// Whether it waits for [`release`](Self::release) once it is there.
    is_held: bool,
    /// What it is sent then, where no task of its own does that.
    held_input: Option<Bytes>,
    /// What the end of the command is found by, where it is agreed on.
    end_mark: Option<EndMark>,
    /// Until when the server has to close the channel, once that was found.
    closing_due: Option<Instant>,
}

#[derive(Debug)]
enum State {
    /// Sudo or its like is on its way to another user.
    Rising(Box<Ascent>),
    /// The login shell has not handed over yet; what it wrote so far, and on standard error.
    Starting {
        stdout: BytesMut,
        stderr: BytesMut,
    },
    Running {
        leader: Leader,
    },
    Closed {
        leader: Option<Leader>,
    },
}

/// What reading on has brought.
enum Read {
    Chunk(Chunk),
    /// Nothing for whoever reads the output.
    Nothing,
    Closed,
}

impl State {
    fn starting() -> Self {
        Self::Starting {
            stdout: BytesMut::new(),
            stderr: BytesMut::new(),
        }
    }
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
    /// The command's standard input, where it was asked for with [`stdin_streamed`](crate::Command::stdin_streamed); once.
    pub fn stdin(&mut self) -> Option<ProcessStdin> {
        self.stdin.take()
    }

    /// The next piece of output; `None` once the channel is closed and [`exit`](Self::exit) is final.
    ///
    /// Output that arrives after the exit status is given like any other. Cancel-safe.
    ///
    /// # Errors
    /// [`ErrorKind::Disconnected`] when the connection was lost, [`ErrorKind::Protocol`] when the server or the login
    /// shell did not run the command at all, [`ErrorKind::Command`] when the working directory could not be entered or
    /// the script not be stored, [`ErrorKind::Timeout`] when the server has not said within 30 seconds whether it runs the
    /// command, [`ErrorKind::Local`] when the command was given up because nobody read its output. Of a
    /// command that is to [run as](crate::Command::run_as) another user, [`ErrorKind::Authentication`] when that user's or the
    /// login user's password is wrong or the host does not allow it, and [`ErrorKind::Secret`] when a password is asked for
    /// and none is known.
    pub async fn next(&mut self) -> Result<Option<Chunk>> {
        loop {
            match self.read().await? {
                Read::Chunk(chunk) => return Ok(Some(chunk)),
                Read::Nothing => {}
                Read::Closed => return Ok(None),
            }
        }
    }

    /// Waits until a command that is held is there; gives the leader of its process group. What the start-up files of the
    /// login shell write before is dropped. Cancel-safe.
    ///
    /// # Errors
    /// As [`next`](Self::next).
    pub(crate) async fn held(&mut self) -> Result<Leader> {
        loop {
            if let State::Running { leader } = self.state {
                return Ok(leader);
            }
            if let Read::Closed = self.read().await? {
                return Err(self.not_started(&[]));
            }
        }
    }

    /// Lets a command go that is held.
    pub(crate) async fn release(&mut self) {
        if std::mem::take(&mut self.is_held) {
            match self.held_input.take() {
                Some(input) => self.send_last(input).await,
                None => self.cue(Cue::Ready),
            }
        }
    }

    /// Sends the last of the input. A channel that was closed already cannot be written to; reading it tells why.
    async fn send_last(&self, input: Bytes) {
        if self.input.data_bytes(input).await.is_ok() {
            let _ = self.input.eof().await;
        }
    }

    async fn read(&mut self) -> Result<Read> {
        if matches!(self.state, State::Closed { .. }) {
            return Ok(Read::Closed);
        }
        // What is to be raised comes after the answer.
        let due = self.answer_due.or(match &self.state {
            State::Rising(ascent) => Some(ascent.until()),
            _ => self.closing_due,
        });
        let message = match due {
            None => self.output.next().await,
            Some(due) => match timeout_at(due, self.output.next()).await {
                Ok(message) => message,
                Err(_) if self.closing_due.is_some() => {
                    // All is known that there is to know.
                    let is_started = !matches!(self.state, State::Starting { .. });
                    self.let_go();
                    let said = self.close();
                    return match is_started {
                        true => Ok(Read::Closed),
                        false => Err(self.not_started(&said)),
                    };
                }
                Err(_) => {
                    let error = match &self.state {
                        State::Rising(ascent) if self.answer_due.is_none() => ascent.late(),
                        _ => self.unanswered(),
                    };
                    return Err(self.give_up(error));
                }
            },
        };
        // Only a server that runs the command sends anything else than its answers.
        match message {
            Some(ChannelMsg::WindowAdjusted { .. }) => {}
            Some(ChannelMsg::Success) if self.awaits_terminal => {}
            _ => self.answer_due = None,
        }
        if let Some(ChannelMsg::Close) | None = message {
            self.input.note_closed();
        }
        match message {
            Some(ChannelMsg::Data { data }) if self.is_rising() => {
                self.rise(OutputStream::Stdout, &data)?;
            }
            Some(ChannelMsg::ExtendedData {
                data,
                ext: EXTENDED_DATA_STDERR,
            }) if self.is_rising() => self.rise(OutputStream::Stderr, &data)?,
            Some(ChannelMsg::Data { data }) => {
                let (data, has_ended) = self.without_mark(data);
                let bytes = self.stdout(data)?;
                if has_ended {
                    self.cue(Cue::Ended);
                }
                if let Some(bytes) = bytes {
                    return Ok(Read::Chunk(Chunk {
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
                return Ok(Read::Chunk(Chunk {
                    stream: OutputStream::Stderr,
                    bytes: data,
                }));
            }
            // Of a command whose end is agreed on this is what its shell says.
            Some(ChannelMsg::ExitStatus { .. } | ChannelMsg::ExitSignal { .. })
                if self.exit.is_some() => {}
            Some(ChannelMsg::ExitStatus { exit_status }) => {
                self.exit = Some(Exit::Status(exit_status))
            }
            Some(ChannelMsg::ExitSignal { signal_name, .. }) => {
                self.exit = Some(Exit::Signal(signal_word(&signal_name)));
            }
            Some(ChannelMsg::Success) => self.awaits_terminal = false,
            Some(ChannelMsg::Failure) if self.awaits_terminal => {
                let message = "the server gives no terminal (`PermitTTY`, sshd_config(5))";
                return Err(self.give_up(Error::new(ErrorKind::Protocol, message)));
            }
            Some(ChannelMsg::Failure) => {
                self.close();
                return Err(self.error(
                    ErrorKind::Protocol,
                    "the server does not run commands for this user".into(),
                ));
            }
            Some(ChannelMsg::Close) if let State::Rising(ascent) = &self.state => {
                let error = ascent.ended();
                return Err(self.give_up(error));
            }
            Some(ChannelMsg::Close) if let Some(bytes) = self.held_back() => {
                self.close();
                return Ok(Read::Chunk(Chunk {
                    stream: OutputStream::Stdout,
                    bytes,
                }));
            }
            Some(ChannelMsg::Close) => {
                let started = !matches!(self.state, State::Starting { .. });
                let said = self.close();
                return if started {
                    Ok(Read::Closed)
                } else {
                    Err(self.not_started(&said))
                };
            }
            Some(_) => {}
            None if self.output.has_stalled() => {
                self.close();
                let message = format!(
                    "the command was given up: nobody read its output, of which over {} bytes waited",
                    inbox::ROOM
                );
                return Err(self.error(ErrorKind::Local, message));
            }
            None => {
                self.close();
                let error = Error::new(
                    ErrorKind::Disconnected,
                    "the connection was lost while the command ran",
                );
                return Err(self.lost.explain(error).on(&self.host));
            }
        }
        Ok(Read::Nothing)
    }

    /// How the command ended, as far as the server has said by now.
    pub fn exit(&self) -> Exit {
        self.exit.clone().unwrap_or(Exit::ClosedWithoutStatus)
    }

    /// Whether the server has said how the command ended; output may still come.
    pub fn has_exited(&self) -> bool {
        self.exit.is_some()
    }

    /// How the command ended, where all is known of it though the channel is still open: for who can wait no longer.
    ///
    /// # Errors
    /// As for [`next`](Self::next), when it was never started.
    pub(crate) fn conclude(&mut self) -> Option<Result<Exit>> {
        if !self.is_complete() {
            return None;
        }
        if !matches!(self.state, State::Starting { .. }) {
            return Some(Ok(self.exit()));
        }
        self.let_go();
        let said = self.close();
        Some(Err(self.not_started(&said)))
    }

    /// Whether the command has ended and all its output came, though the channel is still open.
    fn is_complete(&self) -> bool {
        self.closing_due.is_some() && !matches!(self.state, State::Closed { .. })
    }

    /// The remote process group, once the command runs.
    pub fn process_group(&self) -> Option<u32> {
        self.leader().map(|leader| leader.pid)
    }

    pub(crate) fn leader(&self) -> Option<Leader> {
        match self.state {
            State::Rising(ref ascent) => {
                let leader = |pid| Leader { pid, birth: None };
                ascent.group().map(leader)
            }
            State::Starting { .. } => None,
            State::Running { leader } => Some(leader),
            State::Closed { leader } => leader,
        }
    }

    fn is_rising(&self) -> bool {
        matches!(self.state, State::Rising(_))
    }

    /// Takes what sudo or its like has written.
    fn rise(&mut self, stream: OutputStream, bytes: &[u8]) -> Result<()> {
        let State::Rising(ascent) = &mut self.state else {
            return Ok(());
        };
        match ascent.hear(stream, bytes) {
            Ok(Next::Wait) => {}
            Ok(Next::SendPassword) => self.cue(Cue::Password),
            Ok(Next::SendHeader) => {
                let risen = std::mem::replace(&mut self.state, State::starting());
                if let (State::Rising(ascent), State::Starting { stdout, stderr }) =
                    (risen, &mut self.state)
                {
                    (*stdout, *stderr) = ascent.into_rest();
                }
                self.cue(Cue::Risen);
            }
            Err(error) => return Err(self.give_up(error)),
        }
        Ok(())
    }

    fn cue(&self, cue: Cue) {
        if let Some(cues) = &self.cues {
            // Only a process that is given up no longer listens.
            let _ = cues.try_send(cue);
        }
    }

    /// Has the channel closed, by the task that writes to it, which is left to itself.
    fn let_go(&mut self) {
        self.cue(Cue::GiveUp);
        self.feeding = None;
    }

    fn stdout(&mut self, data: Bytes) -> Result<Option<Bytes>> {
        let State::Starting { stdout, .. } = &mut self.state else {
            return Ok((!data.is_empty()).then_some(data));
        };
        stdout.extend_from_slice(&data);
        match wire::find_ready(stdout, &self.tag) {
            Some((Ready::Process(leader), start)) => {
                let rest = stdout.split_off(start).freeze();
                self.state = State::Running { leader };
                if !self.is_held {
                    self.cue(Cue::Ready);
                }
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

    /// Takes what was written; gives what of it stands before the mark behind the command's output, and whether that was
    /// found.
    fn without_mark(&mut self, data: Bytes) -> (Bytes, bool) {
        let Some(mark) = &mut self.end_mark else {
            return (data, false);
        };
        if self.closing_due.is_some() {
            return (Bytes::new(), false);
        }
        let (output, exit) = mark.take(data);
        let has_ended = exit.is_some();
        if has_ended {
            self.exit = exit.filter(|exit| *exit != Exit::ClosedWithoutStatus);
            self.closing_due = Some(deadline_in(CLOSING));
        }
        (output, has_ended)
    }

    /// The last output of a command that runs, where it looked like the beginning of the mark.
    fn held_back(&mut self) -> Option<Bytes> {
        let State::Running { .. } = self.state else {
            return None;
        };
        let rest = self.end_mark.as_mut()?.rest();
        (!rest.is_empty()).then_some(rest)
    }

    /// Ends reading; gives what the login shell said if it never got to the command.
    fn close(&mut self) -> Vec<u8> {
        if let Some(feeding) = self.feeding.take() {
            // It may wait for room that a closed channel never has again.
            feeding.abort();
        }
        let leader = self.leader();
        match std::mem::replace(&mut self.state, State::Closed { leader }) {
            State::Starting { stdout, stderr } => [stdout, stderr].concat(),
            _ => Vec::new(),
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // Sudo is answered before its channel is closed.
        if self.is_rising() || self.is_complete() {
            self.let_go();
        }
        if let Some(feeding) = &self.feeding {
            feeding.abort();
        }
    }
}

#[cfg(all(test, feature = "sim"))]
mod tests;
