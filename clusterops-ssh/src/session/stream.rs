//! A stream that ends when its owner lets go of it, or when the host takes nothing any more.

use std::convert::Infallible;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::oneshot;
use tokio::time::{Instant, Sleep, sleep, sleep_until};

use super::lost::Lost;
use super::settings::Settings;

/// A stream that fails once its [`Lifeline`] is dropped.
///
/// russh runs a connection in a task of its own, which outlives a handshake that was given up and a handle that was
/// dropped; on a host that accepts and never speaks it would live as long as the process. While it writes, that task
/// looks neither at what comes nor at its keepalive timer, so a write to a host that takes nothing has its end here.
pub(super) struct Tethered<S> {
    stream: S,
    lifeline: oneshot::Receiver<Infallible>,
    lost: Lost,
    /// How long a write may wait; `None`: without end.
    patience: Option<Duration>,
    /// Runs while a write waits.
    waiting: Option<Pin<Box<Sleep>>>,
    silence: Option<Box<Silence>>,
}

/// The end of a connection at the first silence, where no question is to be asked first.
struct Silence {
    limit: Duration,
    /// Whether the host is logged in to: before that, other deadlines hold.
    counts: Arc<AtomicBool>,
    heard: Instant,
    timer: Pin<Box<Sleep>>,
}

/// Keeps a [`Tethered`] stream alive.
#[derive(Debug)]
pub(super) struct Lifeline {
    _sender: oneshot::Sender<Infallible>,
    silence_counts: Option<Arc<AtomicBool>>,
}

impl<S> Tethered<S> {
    pub(super) fn new(stream: S, settings: &Settings, lost: &Lost) -> (Self, Lifeline) {
        let max = u32::try_from(settings.keepalive_max).unwrap_or(u32::MAX);
        let patience = settings
            .keepalive_interval
            .map(|interval| interval.saturating_mul(max.max(1)));
        let silence = settings.keepalive_interval.filter(|_| max == 0);
        Self::with(stream, patience, silence, lost.clone())
    }

    fn with(
        stream: S,
        patience: Option<Duration>,
        silence: Option<Duration>,
        lost: Lost,
    ) -> (Self, Lifeline) {
        let (sender, lifeline) = oneshot::channel();
        let silence = silence.map(|limit| {
            Box::new(Silence {
                limit,
                counts: Arc::default(),
                heard: Instant::now(),
                timer: Box::pin(sleep(limit)),
            })
        });
        let line = Lifeline {
            _sender: sender,
            silence_counts: silence.as_ref().map(|silence| Arc::clone(&silence.counts)),
        };
        let tethered = Self {
            stream,
            lifeline,
            lost,
            patience,
            waiting: None,
            silence,
        };
        (tethered, line)
    }

    /// Fails when the lifeline is gone, and otherwise wakes the task when it goes.
    fn check(&mut self, context: &mut Context<'_>) -> io::Result<()> {
        match Pin::new(&mut self.lifeline).poll(context) {
            Poll::Pending => Ok(()),
            Poll::Ready(_) => Err(io::ErrorKind::ConnectionAborted.into()),
        }
    }

    /// What a write came to; one that waits fails when it has waited too long.
    fn written<T>(
        &mut self,
        written: Poll<io::Result<T>>,
        context: &mut Context<'_>,
    ) -> Poll<io::Result<T>> {
        if written.is_ready() {
            self.waiting = None;
            return written;
        }
        self.check(context)?;
        let Some(patience) = self.patience else {
            return Poll::Pending;
        };
        let waiting = self
            .waiting
            .get_or_insert_with(|| Box::pin(sleep(patience)));
        ready!(waiting.as_mut().poll(context));
        self.lost.set(format!(
            "the host stopped answering: it took nothing of what it was sent for {patience:?}"
        ));
        Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
    }
}

impl Silence {
    /// Is ready when nothing was heard for too long.
    fn poll(&mut self, context: &mut Context<'_>) -> Poll<()> {
        loop {
            ready!(self.timer.as_mut().poll(context));
            let now = Instant::now();
            if !self.counts.load(Ordering::Relaxed) {
                self.heard = now;
            } else if now.duration_since(self.heard) >= self.limit {
                return Poll::Ready(());
            }
            let until = self.heard.checked_add(self.limit);
            self.timer = Box::pin(until.map_or_else(|| sleep(self.limit), sleep_until));
        }
    }
}

impl Lifeline {
    /// From now on the host must not be silent for long, if that is asked for.
    pub(super) fn is_logged_in(&self) {
        if let Some(counts) = &self.silence_counts {
            counts.store(true, Ordering::Relaxed);
        }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Tethered<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.check(context)?;
        let this = &mut *self;
        let read = Pin::new(&mut this.stream).poll_read(context, buffer);
        if let Some(silence) = &mut this.silence {
            if read.is_ready() {
                silence.heard = Instant::now();
            } else if silence.poll(context).is_ready() {
                this.lost.set(format!(
                    "the host stopped answering: it sent nothing for {:?}, and is not asked whether it is there",
                    silence.limit
                ));
                return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
            }
        }
        read
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Tethered<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(context, bytes);
        self.written(written, context)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let flushed = Pin::new(&mut self.stream).poll_flush(context);
        self.written(flushed, context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let shut = Pin::new(&mut self.stream).poll_shutdown(context);
        // russh tells why a connection ended only after it could shut its stream down.
        let _ = ready!(self.written(shut, context));
        Poll::Ready(Ok(()))
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, duplex};

    use super::*;

    const SHORT: Duration = Duration::from_millis(500);

    #[tokio::test(start_paused = true)]
    async fn a_write_ends_when_nothing_is_taken() {
        let (near, mut far) = duplex(8);
        let lost = Lost::default();
        let (mut stream, _line) = Tethered::with(near, Some(SHORT), None, lost.clone());
        // A host that takes a little now and then is no dead one, however long the whole takes.
        let slow = async {
            for _ in 0..60 {
                sleep(SHORT / 50).await;
                far.read_u8().await.expect("there is more");
            }
        };
        let (written, ()) = tokio::join!(stream.write_all(&[7; 68]), slow);
        written.expect("it is taken in the end");
        assert!(stream.waiting.is_none(), "no timer while nothing waits");
        let error = stream.write_all(&[7]).await.expect_err("nobody takes it");
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        assert!(lost.reason().contains("took nothing"), "{}", lost.reason());
        stream.shutdown().await.expect("it does not wait again");
    }

    #[tokio::test(start_paused = true)]
    async fn silence_counts_from_the_login_on() {
        let (near, mut far) = duplex(8);
        let lost = Lost::default();
        let (mut stream, line) = Tethered::with(near, None, Some(SHORT), lost.clone());
        let late = async {
            sleep(SHORT * 3).await;
            far.write_u8(1).await.expect("it is there");
        };
        let (read, ()) = tokio::join!(stream.read_u8(), late);
        assert_eq!(read.ok(), Some(1));
        line.is_logged_in();
        let error = stream.read_u8().await.expect_err("nothing comes");
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        assert!(lost.reason().contains("sent nothing"), "{}", lost.reason());
    }
}
