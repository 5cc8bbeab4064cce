//! What is written to a command, in its order and beside the reading of its output.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use secrecy::{ExposeSecret as _, SecretString};
use tokio::io::{AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, DuplexStream};
use tokio::sync::mpsc;

use super::channel_input::ChannelInput;
use super::typed_ahead::{PIECE, TypedAhead};
use crate::wire::terminal::Typist;

/// How much of a streamed input waits to be sent.
const STREAM_BUFFER: usize = 64 << 10;

/// How many who read one after the other find the end of the input on a terminal.
const ENDS: usize = 8;

/// The standard input of a command that was started with [`stdin_streamed`](crate::Command::stdin_streamed).
///
/// Writing waits while the command does not read and about 64 KiB wait to be sent; it never holds up the reading of the
/// output. Shutting it down, or dropping it, ends the command's input; when the command reads no more, writing fails with
/// [`BrokenPipe`](std::io::ErrorKind::BrokenPipe). Data that was written before is sent as long as the
/// [`Process`](crate::Process) lives.
///
/// ```no_run
/// # async fn example(session: clusterops_ssh::Session) -> Result<(), Box<dyn std::error::Error>> {
/// use clusterops_ssh::Command;
/// use tokio::io::AsyncWriteExt as _;
///
/// let mut process = session.exec(&Command::new(["sort"]).stdin_streamed()).await?;
/// let mut stdin = process.stdin().expect("it was asked for");
/// tokio::spawn(async move {
///     for line in ["b\n", "a\n"] {
///         stdin.write_all(line.as_bytes()).await?;
///     }
///     stdin.shutdown().await
/// });
/// while let Some(chunk) = process.next().await? {
///     print!("{}", String::from_utf8_lossy(&chunk.bytes));
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct ProcessStdin(DuplexStream);

impl AsyncWrite for ProcessStdin {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<std::io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(context, bytes)
    }

    fn poll_flush(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(context)
    }

    fn poll_shutdown(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(context)
    }
}

/// The command's own input.
#[derive(Debug)]
pub(super) enum Input {
    Whole(Bytes),
    Streamed(DuplexStream),
}

impl Input {
    pub(super) fn streamed() -> (ProcessStdin, Self) {
        let (ours, theirs) = tokio::io::duplex(STREAM_BUFFER);
        (ProcessStdin(ours), Self::Streamed(theirs))
    }
}

/// What the reading side has seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Cue {
    /// The question for the password.
    Password,
    /// The shell of the other user.
    Risen,
    /// The command, which runs or is held.
    Ready,
    /// The mark behind the command's output.
    Ended,
    /// Something that ends it all.
    GiveUp,
}

/// So many cues are given at most.
pub(super) const CUES: usize = 5;

/// All that is to be written.
#[derive(Debug)]
pub(super) struct Feed {
    /// What starts sudo and its like, and the password.
    pub(super) rise: Option<(Bytes, Option<SecretString>)>,
    /// The header, and the script with its end.
    pub(super) header: Bytes,
    /// The line that lets a held command go.
    pub(super) go: Option<Bytes>,
    pub(super) input: Input,
    /// Where there is a terminal.
    pub(super) typed_ahead: Option<TypedAhead>,
    /// What is sent when the command has ended, where it is agreed on.
    pub(super) answer: Option<Bytes>,
}

/// How far the writing got.
enum Written {
    /// The input has ended.
    All,
    /// The command has, before or after its input.
    UntilEnd,
}

impl Feed {
    /// Writes it all, each part on its cue, and ends the input.
    pub(super) async fn run(self, channel: Arc<ChannelInput>, mut cues: mpsc::Receiver<Cue>) {
        let answer = self.answer.clone().unwrap_or_default();
        let goes_on = match self.write(channel.make_writer(), &mut cues).await {
            Some(Written::All) => true,
            // What was interrupted is dropped with its writer.
            Some(Written::UntilEnd) => {
                tokio::select! {
                    biased;
                    answered = channel.data_bytes(answer) => {
                        answered.is_ok() && cues.recv().await.is_none()
                    }
                    // No room for it comes any more.
                    _ = cues.recv() => false,
                }
            }
            None => false,
        };
        if !goes_on {
            // Sudo waits for an answer for ever. On a channel that is closed already this does nothing.
            let _ = channel.close().await;
        }
    }

    /// `None` when it is given up. A command that ends before it has read its input closes the channel: no error of ours.
    async fn write(
        self,
        mut writer: impl AsyncWrite + Unpin,
        cues: &mut mpsc::Receiver<Cue>,
    ) -> Option<Written> {
        if let Some((line, password)) = self.rise {
            writer.write_all(&line).await.ok()?;
            loop {
                match cues.recv().await? {
                    Cue::Password => {
                        let password = password.as_ref()?.expose_secret().as_bytes();
                        let mut answer = if self.typed_ahead.is_some() {
                            Typist::default().write(password)
                        } else {
                            password.to_vec()
                        };
                        answer.push(b'\n');
                        writer.write_all(&answer).await.ok()?;
                    }
                    Cue::Risen => break,
                    Cue::Ready | Cue::Ended | Cue::GiveUp => return None,
                }
            }
        }
        writer.write_all(&self.header).await.ok()?;
        // A terminal takes the input as lines from then on.
        if self.go.is_some() || self.typed_ahead.is_some() {
            match cues.recv().await? {
                Cue::Ready => {}
                Cue::Ended => return Some(Written::UntilEnd),
                Cue::Password | Cue::Risen | Cue::GiveUp => return None,
            }
        }
        let writing = write_input(writer, self.go, self.input, self.typed_ahead);
        if self.answer.is_none() {
            writing.await?;
            return Some(Written::All);
        }
        let ended = tokio::select! {
            biased;
            cue = cues.recv() => cue,
            written = writing => {
                written?;
                cues.recv().await
            }
        };
        (ended? == Cue::Ended).then_some(Written::UntilEnd)
    }
}

/// Lets the command go, and writes its input.
async fn write_input(
    mut writer: impl AsyncWrite + Unpin,
    go: Option<Bytes>,
    input: Input,
    typed_ahead: Option<TypedAhead>,
) -> Option<()> {
    if let Some(go) = go {
        writer.write_all(&go).await.ok()?;
    }
    let mut typed = typed_ahead.map(|ahead| (Typist::default(), ahead));
    match input {
        Input::Whole(bytes) => {
            for piece in bytes.chunks(STREAM_BUFFER) {
                send(&mut writer, &mut typed, piece).await?;
            }
        }
        Input::Streamed(mut stream) => {
            let mut buffer = vec![0; PIECE];
            loop {
                let length = stream.read(&mut buffer).await.ok()?;
                if length == 0 {
                    break;
                }
                send(&mut writer, &mut typed, &buffer[..length]).await?;
            }
        }
    }
    match typed {
        Some((typist, _)) => end_on_terminal(writer, typist).await,
        None => writer.shutdown().await.ok(),
    }
}

/// Ends the input of a command on a terminal, which stays open, or the command would be hung up on. On a terminal an end
/// is read once, so it is typed for the next ones who read, too.
async fn end_on_terminal(mut writer: impl AsyncWrite + Unpin, typist: Typist) -> Option<()> {
    writer.write_all(typist.end()).await.ok()?;
    for _ in 1..ENDS {
        writer.write_all(Typist::default().end()).await.ok()?;
    }
    Some(())
}

async fn send(
    writer: &mut (impl AsyncWrite + Unpin),
    typed: &mut Option<(Typist, TypedAhead)>,
    bytes: &[u8],
) -> Option<()> {
    let Some((typist, ahead)) = typed else {
        return writer.write_all(bytes).await.ok();
    };
    for piece in typist.write(bytes).chunks(PIECE) {
        ahead.room().await;
        writer.write_all(piece).await.ok()?;
        ahead.sent(piece.len()).await;
    }
    Some(())
}
