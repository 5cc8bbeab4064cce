//! The sockets: one listener for all hosts, a port of its own for a host that can refuse, and streams that can be cut.

use std::future::Future;
use std::io;
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use rustix::net::Shutdown;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::oneshot;
use tokio::task::AbortHandle;

/// The kernel cuts this down to `net.core.somaxconn`.
const BACKLOG: u32 = 65_535;

/// Listens on one port of every loopback address, and on no other address of the machine.
///
/// The kernel keeps other interfaces out (`SO_BINDTODEVICE`, without privilege since Linux 5.7); who comes over loopback
/// to an address outside 127.0.0.0/8 is turned away by [`accept`].
pub(super) fn listen_everywhere() -> io::Result<TcpListener> {
    let socket = TcpSocket::new_v4()?;
    socket.bind_device(Some(b"lo"))?;
    socket.bind(SocketAddrV4::new(Ipv4Addr::UNSPECIFIED, 0).into())?;
    socket.listen(BACKLOG)
}

/// Takes connections until the task that runs it is aborted.
pub(super) async fn accept(listener: Arc<TcpListener>, serve: impl Fn(TcpStream, Ipv4Addr)) {
    loop {
        match listener.accept().await {
            Ok((stream, peer)) => {
                if let Ok(SocketAddr::V4(local)) = stream.local_addr()
                    && local.ip().is_loopback()
                    && peer.ip().is_loopback()
                {
                    serve(stream, *local.ip());
                }
            }
            // The listener was shut down.
            Err(error) if error.kind() == io::ErrorKind::InvalidInput => return,
            // Out of descriptors, most likely: connections wait in the backlog meanwhile.
            Err(_) => tokio::time::sleep(Duration::from_millis(10)).await,
        }
    }
}

/// A port of one host's own, kept for it whether the host listens or not.
#[derive(Debug)]
pub(super) struct OwnPort {
    endpoint: SocketAddr,
    /// Bound and never listening: it holds the port while nobody listens, and the kernel refuses connections to it.
    _reservation: TcpSocket,
    open: Option<(Arc<TcpListener>, AbortHandle)>,
}

impl OwnPort {
    pub(super) fn new(address: Ipv4Addr) -> io::Result<Self> {
        let reservation = Self::bind(SocketAddrV4::new(address, 0).into())?;
        Ok(Self {
            endpoint: reservation.local_addr()?,
            _reservation: reservation,
            open: None,
        })
    }

    pub(super) fn port(&self) -> u16 {
        self.endpoint.port()
    }

    /// Starts listening, unless it does already.
    pub(super) fn open(
        &mut self,
        serve: impl Fn(TcpStream, Ipv4Addr) + Send + Sync + 'static,
    ) -> io::Result<()> {
        if self.open.is_none() {
            let listener = Arc::new(Self::bind(self.endpoint)?.listen(BACKLOG)?);
            let task = tokio::spawn(accept(listener.clone(), serve));
            self.open = Some((listener, task.abort_handle()));
        }
        Ok(())
    }

    /// Refuses connections from now on.
    pub(super) fn close(&mut self) {
        if let Some((listener, task)) = self.open.take() {
            // At once, not when the task comes to drop its listener. A socket that listens can always be shut down.
            let _ = rustix::net::shutdown(&listener, Shutdown::Both);
            task.abort();
        }
    }

    fn bind(endpoint: SocketAddr) -> io::Result<TcpSocket> {
        let socket = TcpSocket::new_v4()?;
        socket.set_reuseport(true)?;
        socket.set_reuseaddr(true)?;
        socket.bind(endpoint)?;
        Ok(socket)
    }
}

impl Drop for OwnPort {
    fn drop(&mut self) {
        self.close();
    }
}

/// Closes a connection so that the client sees a reset.
pub(super) fn reset(stream: TcpStream) {
    // Should it fail, the client sees an ordinary end.
    let _ = rustix::net::sockopt::set_socket_linger(&stream, Some(Duration::ZERO));
}

/// A connection that ends as soon as the other end of `cut` is used or dropped.
#[derive(Debug)]
pub(super) struct Wire {
    stream: TcpStream,
    cut: oneshot::Receiver<()>,
    state: Cut,
}

/// How far the cutting is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Cut {
    Whole,
    Noticed,
    Done,
}

impl Wire {
    pub(super) fn new(stream: TcpStream, cut: oneshot::Receiver<()>) -> Self {
        Self {
            stream,
            cut,
            state: Cut::Whole,
        }
    }

    fn poll_cut(&mut self, context: &mut Context<'_>) -> Poll<io::Error> {
        if self.state == Cut::Whole {
            let _ = ready!(Pin::new(&mut self.cut).poll(context));
            // What was to be sent before the cut is sent first: it needs one more turn of the task that owns this.
            self.state = Cut::Noticed;
            context.waker().wake_by_ref();
            return Poll::Pending;
        }
        self.state = Cut::Done;
        Poll::Ready(io::ErrorKind::ConnectionAborted.into())
    }
}

impl AsyncRead for Wire {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if let Poll::Ready(error) = self.poll_cut(context) {
            return Poll::Ready(Err(error));
        }
        if self.state == Cut::Noticed {
            return Poll::Pending;
        }
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl AsyncWrite for Wire {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        data: &[u8],
    ) -> Poll<io::Result<usize>> {
        if self.state == Cut::Done {
            return Poll::Ready(Err(io::ErrorKind::ConnectionAborted.into()));
        }
        Pin::new(&mut self.stream).poll_write(context, data)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}
