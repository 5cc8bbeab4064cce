//! A stream that ends when its owner lets go of it.

use std::convert::Infallible;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::oneshot;

/// A stream that fails once its [`Lifeline`] is dropped.
///
/// russh runs a connection in a task of its own, which outlives a handshake that was given up and a handle that was
/// dropped; on a host that accepts and never speaks it would live as long as the process.
pub(super) struct Tethered<S> {
    stream: S,
    lifeline: oneshot::Receiver<Infallible>,
}

/// Keeps a [`Tethered`] stream alive.
#[derive(Debug)]
pub(super) struct Lifeline {
    _sender: oneshot::Sender<Infallible>,
}

impl<S> Tethered<S> {
    pub(super) fn new(stream: S) -> (Self, Lifeline) {
        let (sender, lifeline) = oneshot::channel();
        (Self { stream, lifeline }, Lifeline { _sender: sender })
    }

    /// Fails when the lifeline is gone, and otherwise wakes the task when it goes.
    fn check(&mut self, context: &mut Context<'_>) -> io::Result<()> {
        match Pin::new(&mut self.lifeline).poll(context) {
            Poll::Pending => Ok(()),
            Poll::Ready(_) => Err(io::ErrorKind::ConnectionAborted.into()),
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
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Tethered<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        match Pin::new(&mut self.stream).poll_write(context, bytes) {
            Poll::Pending => {
                self.check(context)?;
                Poll::Pending
            }
            done => done,
        }
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let done = ready!(Pin::new(&mut self.stream).poll_flush(context));
        Poll::Ready(done)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        // russh tells why a connection ended only after it could shut its stream down.
        let _ = ready!(Pin::new(&mut self.stream).poll_shutdown(context));
        Poll::Ready(Ok(()))
    }
}
