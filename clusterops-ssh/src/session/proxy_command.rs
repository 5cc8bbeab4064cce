//! Connections through a command of the user's (ProxyCommand, ssh_config(5)).

use std::convert::Infallible;
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::process::Stdio;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process_group};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, ReadBuf};
use tokio::process::{Child, ChildStderr, ChildStdin, ChildStdout, Command};
use tokio::sync::oneshot;
use tokio::time::{Sleep, sleep, timeout};

use super::lost::Lost;
use crate::{Error, ErrorKind, Result};

/// How long a command may take to end by itself: after it closed its output, and after it was asked to.
const ENDING: Duration = Duration::from_secs(1);

/// How much of a command's last words are kept.
const LAST_WORDS: usize = 4 << 10;

/// The standard input and output of a proxy command; dropping it ends the command and what it started.
#[derive(Debug)]
pub(super) struct ProxyCommand {
    input: Option<ChildStdin>,
    output: ChildStdout,
    /// Dropped by the supervisor once it has said how the command ended.
    ended: oneshot::Receiver<Infallible>,
    end: End,
    _held: oneshot::Sender<Infallible>,
}

/// How far the end of the command is dealt with.
#[derive(Debug)]
enum End {
    NotSeen,
    /// The supervisor has until then to say why.
    Seen(Pin<Box<Sleep>>),
    Told,
}

impl ProxyCommand {
    /// Starts the command with the user's shell, as ssh(1) does: `$SHELL -c "exec ..."`. How it ends is said to `lost`.
    pub(super) fn start(command: &str, lost: Lost) -> Result<Self> {
        let shell = std::env::var_os("SHELL")
            .filter(|shell| !shell.is_empty())
            .unwrap_or_else(|| "/bin/sh".into());
        let cannot_start = |error: io::Error| {
            let message = format!("the proxy command `{command}` cannot be started");
            Error::new(ErrorKind::Local, message).caused_by(error)
        };
        let mut child = Command::new(shell)
            .arg("-c")
            .arg(format!("exec {command}"))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            // A group of its own, so that all that it starts can be ended, and no Ctrl-C of ours ends it first.
            .process_group(0)
            .kill_on_drop(true)
            .spawn()
            .map_err(cannot_start)?;
        let (Some(input), Some(output), Some(errors)) =
            (child.stdin.take(), child.stdout.take(), child.stderr.take())
        else {
            return Err(cannot_start(io::ErrorKind::BrokenPipe.into()));
        };
        let (held, released) = oneshot::channel();
        let (ending, ended) = oneshot::channel();
        tokio::spawn(supervise(child, errors, lost, ending, released));
        Ok(Self {
            input: Some(input),
            output,
            ended,
            end: End::NotSeen,
            _held: held,
        })
    }

    /// Whoever finds that the command has ended, by reading or by writing, goes on when it is known why.
    fn poll_told(&mut self, context: &mut Context<'_>) -> Poll<()> {
        loop {
            match &mut self.end {
                End::NotSeen => self.end = End::Seen(Box::pin(sleep(ENDING))),
                End::Seen(patience) => {
                    if Pin::new(&mut self.ended).poll(context).is_pending() {
                        ready!(patience.as_mut().poll(context));
                    }
                    self.end = End::Told;
                }
                End::Told => return Poll::Ready(()),
            }
        }
    }
}

/// Notes how the command ends, or ends it when it is let go.
async fn supervise(
    mut child: Child,
    mut errors: ChildStderr,
    lost: Lost,
    _ending: oneshot::Sender<Infallible>,
    released: oneshot::Receiver<Infallible>,
) {
    let mut words = LastWords::default();
    let status = tokio::select! {
        status = child.wait() => status,
        never = words.listen(&mut errors) => match never {},
        _ = released => return end(child).await,
    };
    // What it said last may still be in the pipe; what it left in the background may hold the pipe open.
    let _ = timeout(ENDING / 2, words.listen_to_end(&mut errors)).await;
    let how = match status {
        Ok(status) => format!("the proxy command ended ({status})"),
        Err(error) => format!("the proxy command was lost: {error}"),
    };
    lost.set(match words.last_line() {
        Some(line) => format!("{how}: {line}"),
        None => how,
    });
}

/// Ends the command's process group: SIGHUP, as ssh(1) does, and SIGKILL for what does not heed it.
async fn end(mut child: Child) {
    // Not waited for yet, so the id is still its own.
    let group = child
        .id()
        .and_then(|id| Pid::from_raw(i32::try_from(id).ok()?));
    for signal in [Signal::HUP, Signal::KILL] {
        if let Some(group) = group {
            let _ = kill_process_group(group, signal);
        }
        if timeout(ENDING, child.wait()).await.is_ok() {
            return;
        }
    }
}

/// The end of what a command wrote to its standard error.
#[derive(Debug, Default)]
struct LastWords(Vec<u8>);

impl LastWords {
    async fn listen(&mut self, errors: &mut ChildStderr) -> Infallible {
        self.listen_to_end(errors).await;
        std::future::pending().await
    }

    /// Reads to the end; what was read before is kept when this is dropped.
    async fn listen_to_end(&mut self, errors: &mut ChildStderr) {
        let mut buffer = [0; 1024];
        while let Ok(length @ 1..) = errors.read(&mut buffer).await {
            self.0.extend_from_slice(&buffer[..length]);
            let surplus = self.0.len().saturating_sub(LAST_WORDS);
            self.0.drain(..surplus);
        }
    }

    /// The last line that says something, made fit for a terminal.
    fn last_line(&self) -> Option<String> {
        let text = String::from_utf8_lossy(&self.0);
        let line = text.lines().rev().find(|line| !line.trim().is_empty())?;
        let printable = line.trim().chars().filter(|c| !c.is_control());
        Some(printable.take(300).collect())
    }
}

impl AsyncRead for ProxyCommand {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = &mut *self;
        if matches!(this.end, End::NotSeen) {
            let before = buffer.filled().len();
            ready!(Pin::new(&mut this.output).poll_read(context, buffer))?;
            if buffer.filled().len() > before || buffer.remaining() == 0 {
                return Poll::Ready(Ok(()));
            }
        }
        this.poll_told(context).map(Ok)
    }
}

impl AsyncWrite for ProxyCommand {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let this = &mut *self;
        let written = match &mut this.input {
            Some(input) => ready!(Pin::new(input).poll_write(context, bytes)),
            None => Err(io::ErrorKind::BrokenPipe.into()),
        };
        if written.is_err() {
            ready!(this.poll_told(context));
        }
        Poll::Ready(written)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.input {
            Some(input) => Pin::new(input).poll_flush(context),
            None => Poll::Ready(Ok(())),
        }
    }

    /// Closes the command's standard input.
    fn poll_shutdown(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.input = None;
        Poll::Ready(Ok(()))
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::AsyncWriteExt as _;

    use super::*;

    #[test]
    fn the_last_line_is_what_a_command_said_at_the_end() {
        let words = |text: &str| LastWords(text.as_bytes().to_vec()).last_line();
        assert_eq!(words("one\ntwo\r\n\n"), Some("two".into()));
        assert_eq!(words("\x1b[31mred\x07"), Some("[31mred".into()));
        assert_eq!(words("\n \n"), None);
    }

    #[tokio::test]
    async fn who_writes_to_a_command_that_has_ended_learns_why() {
        let lost = Lost::default();
        let command = "sh -c 'exec <&-; echo ready; sleep 0.2; echo no way >&2; exit 3'";
        let mut proxy = ProxyCommand::start(command, lost.clone()).expect("it starts");
        let mut ready = [0; 6];
        proxy.read_exact(&mut ready).await.expect("it is ready");
        let error = proxy.write_all(b"SSH-2.0-x\r\n").await;
        assert_eq!(
            error.expect_err("it reads nothing").kind(),
            io::ErrorKind::BrokenPipe
        );
        let why = lost.error().expect("it is known").to_string();
        assert!(why.contains("no way"), "{why}");
    }
}
