//! A byte stream that leads through a channel of an SSH connection.

use std::convert::Infallible;
use std::io;
use std::ops::Deref;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::{Buf as _, BytesMut};
use russh::client::Msg;
use russh::{Channel, ChannelMsg, ChannelReadHalf, ChannelWriteHalf};
use tokio::io::{
    AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, DuplexStream, ReadBuf, ReadHalf,
    WriteHalf, duplex, split,
};
use tokio::sync::oneshot;
use tokio::time::timeout;

use super::link::{Destination, Link, NotOpened};
use super::lost::Lost;
use crate::{Error, ErrorKind, Result};

/// How much may lie in each direction between the channel and whoever holds the stream.
const PIPE: usize = 64 << 10;

/// How much of a connection that shares its channel's connection with others may lie unread. It is more than the window
/// of one channel (2 MiB in russh), so that one reader that stalls inside the connection does not reach it.
const UNREAD: usize = 4 << 20;

/// How long what was written may take to be sent, and the other side to close, once nobody holds the stream.
const PARTING: Duration = Duration::from_secs(10);

/// How long a host may still take to answer when nobody waits for its answer; what it opens is then closed.
const LATE: Duration = Duration::from_secs(30);

/// A stream through a channel; dropping it closes the channel, after what was written is sent.
#[derive(Debug)]
pub(super) struct Tunnel {
    stream: DuplexStream,
    broken: Lost,
    _held: oneshot::Sender<Infallible>,
}

/// Who reads a tunnel.
#[derive(Debug, Clone)]
pub(super) enum Reader {
    /// A connection of ours that shares this one with others: it must not stall them, and is closed when it leaves too
    /// much unread. It is told here why it was lost.
    Connection(Lost),
    /// A caller who has the connection alone: who does not read holds up nobody else.
    Caller,
}

impl Tunnel {
    /// Opens a channel to `destination` within `limit`; the connection lives at least as long as the stream.
    pub(super) async fn open<L>(
        link: L,
        destination: Destination,
        reader: Reader,
        limit: Duration,
    ) -> Result<Self, NotOpened>
    where
        L: Deref<Target = Link> + Send + Sync + 'static,
    {
        let (near, far) = duplex(PIPE);
        let (held, released) = oneshot::channel();
        let (answer, answered) = oneshot::channel();
        let broken = match &reader {
            Reader::Connection(lost) => lost.clone(),
            Reader::Caller => Lost::default(),
        };
        let tunnel = Self {
            stream: near,
            broken: broken.clone(),
            _held: held,
        };
        let name = destination.to_string();
        // A task of its own, for a channel that is opened after all must be closed also when nobody waits any more.
        tokio::spawn(async move {
            let mut released = released;
            let channel = tokio::select! {
                channel = link.channel_to(&destination) => channel,
                _ = async { let _ = (&mut released).await; tokio::time::sleep(LATE).await } => return,
            };
            match channel {
                Err(refused) => drop(answer.send(Err(refused))),
                Ok(channel) => {
                    // When nobody waits any more, the stream is released too.
                    let _ = answer.send(Ok(()));
                    pump(channel, far, &reader, &broken, &link, released).await;
                }
            }
        });
        match timeout(limit, answered).await {
            Ok(Ok(Ok(()))) => Ok(tunnel),
            Ok(Ok(Err(refused))) => Err(refused),
            Ok(Err(_)) => Err(NotOpened::Failed(Error::new(
                ErrorKind::Disconnected,
                "the runtime is shutting down",
            ))),
            Err(_) => {
                let message = format!("no connection to {name} within {limit:?}");
                Err(NotOpened::Failed(Error::new(ErrorKind::Timeout, message)))
            }
        }
    }
}

/// Moves bytes in both directions until the channel is closed or the stream released.
async fn pump(
    channel: Channel<Msg>,
    far: DuplexStream,
    reader: &Reader,
    broken: &Lost,
    link: &Link,
    mut released: oneshot::Receiver<Infallible>,
) {
    let (mut output, input) = channel.split();
    let (from_holder, to_holder) = split(far);
    {
        let outbound = send(from_holder, &input);
        let inbound = receive(&mut output, to_holder, reader, broken, link);
        tokio::pin!(outbound, inbound);
        let mut is_sent = false;
        loop {
            tokio::select! {
                () = &mut inbound => break,
                () = &mut outbound, if !is_sent => is_sent = true,
                _ = &mut released => {
                    if !is_sent {
                        let _ = timeout(PARTING, &mut outbound).await;
                    }
                    break;
                }
            }
        }
    }
    // The host still passes on what it has, and closes then (RFC 4254 section 5.3).
    let _ = timeout(PARTING, async {
        if input.close().await.is_ok() {
            while !matches!(output.wait().await, None | Some(ChannelMsg::Close)) {}
        }
    })
    .await;
}

/// From the holder into the channel.
async fn send(mut from_holder: ReadHalf<DuplexStream>, input: &ChannelWriteHalf<Msg>) {
    let mut bytes = BytesMut::new();
    loop {
        bytes.reserve(PIPE);
        match from_holder.read_buf(&mut bytes).await {
            Ok(1..) => {
                if input.data_bytes(bytes.split().freeze()).await.is_err() {
                    return;
                }
            }
            Ok(0) | Err(_) => {
                let _ = input.eof().await;
                return;
            }
        }
    }
}

/// From the channel to the holder, until the channel is closed.
///
/// russh waits in its session loop for a channel that is full, so a channel beside others is always read.
async fn receive(
    output: &mut ChannelReadHalf,
    mut to_holder: WriteHalf<DuplexStream>,
    reader: &Reader,
    broken: &Lost,
    link: &Link,
) {
    let mut unread = BytesMut::new();
    let (mut has_ended, mut is_closed) = (false, false);
    loop {
        let takes_more = match reader {
            Reader::Connection(_) => true,
            Reader::Caller => unread.is_empty(),
        };
        tokio::select! {
            message = output.wait(), if takes_more && !is_closed => match message {
                Some(ChannelMsg::Data { data }) => {
                    if unread.len() + data.len() > UNREAD {
                        broken.set(format!(
                            "more than {} MiB of what the host sent was not taken, so the connection was closed",
                            UNREAD >> 20
                        ));
                        return;
                    }
                    unread.extend_from_slice(&data);
                }
                Some(ChannelMsg::Eof) => has_ended = true,
                Some(ChannelMsg::Close) => is_closed = true,
                Some(_) => {}
                None => {
                    match reader {
                        Reader::Connection(lost) => lost.set_with_jump_host(&link.settings.name, &link.lost),
                        Reader::Caller => broken.set(format!("{}: {}", link.settings.name, link.lost.reason())),
                    }
                    is_closed = true;
                }
            },
            written = to_holder.write(&unread), if !unread.is_empty() => match written {
                Ok(length @ 1..) => {
                    unread.advance(length);
                    if unread.is_empty() && unread.capacity() > PIPE {
                        unread = BytesMut::new();
                    }
                }
                // The holder is gone.
                Ok(0) | Err(_) => return,
            },
        }
        if unread.is_empty() {
            if is_closed {
                return;
            }
            if has_ended {
                has_ended = false;
                let _ = to_holder.shutdown().await;
            }
        }
    }
}

impl AsyncRead for Tunnel {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        ready!(Pin::new(&mut self.stream).poll_read(context, buffer))?;
        let is_end = buffer.filled().len() == before && buffer.remaining() > 0;
        match self.broken.error() {
            Some(error) if is_end => Poll::Ready(Err(broken_pipe(error))),
            _ => Poll::Ready(Ok(())),
        }
    }
}

impl AsyncWrite for Tunnel {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = ready!(Pin::new(&mut self.stream).poll_write(context, bytes));
        Poll::Ready(written.map_err(|error| match self.broken.error() {
            Some(reason) => broken_pipe(reason),
            None => error,
        }))
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

fn broken_pipe(reason: Error) -> io::Error {
    io::Error::new(io::ErrorKind::ConnectionReset, reason)
}

#[cfg(all(test, feature = "sim"))]
mod tests {
    use std::sync::Arc;

    use tokio::net::TcpListener;
    use tokio::time::{Instant, sleep};

    use super::*;
    use crate::config::Config;
    use crate::sim::{Sim, SimHost};
    use crate::{Session, SessionOptions};

    const DEADLINE: Duration = Duration::from_secs(20);

    async fn to(listener: &TcpListener, link: &Arc<Link>, reader: Reader) -> Tunnel {
        let port = listener.local_addr().expect("it is bound").port();
        let host = "127.0.0.1".to_owned();
        let destination = Destination::Tcp { host, port };
        let tunnel = Tunnel::open(Arc::clone(link), destination, reader, DEADLINE).await;
        tunnel.expect("it opens")
    }

    #[tokio::test]
    async fn a_connection_that_leaves_too_much_unread_is_closed_and_no_other() {
        let sim = Sim::start([SimHost::new("gate")]).await.expect("it starts");
        let options = SessionOptions::default().config(Config::none().expect("there is a user"));
        let session = Session::connect(&sim.target("gate"), &options).await;
        let link = Arc::new(session.expect("it connects").link);
        let listeners = [
            TcpListener::bind("127.0.0.1:0").await.expect("a port"),
            TcpListener::bind("127.0.0.1:0").await.expect("a port"),
        ];

        let lost = Lost::default();
        let reader = Reader::Connection(lost.clone());
        let mut stalled = to(&listeners[0], &link, reader).await;
        let mut lively = to(&listeners[1], &link, Reader::Connection(Lost::default())).await;
        let (mut flood, _) = listeners[0].accept().await.expect("it connected");
        let (mut far, _) = listeners[1].accept().await.expect("it connected");
        let flood =
            tokio::spawn(async move { while flood.write_all(&[7; 65_536]).await.is_ok() {} });

        let deadline = Instant::now() + DEADLINE;
        while lost.error().is_none() {
            assert!(Instant::now() < deadline, "the flood is not noticed");
            sleep(Duration::from_millis(5)).await;
        }
        assert!(lost.reason().contains("4 MiB"), "{}", lost.reason());
        let mut taken = Vec::new();
        let error = stalled
            .read_to_end(&mut taken)
            .await
            .expect_err("this is no end");
        assert_eq!(error.kind(), io::ErrorKind::ConnectionReset);
        assert!(taken.len() <= UNREAD + PIPE, "{} bytes", taken.len());
        flood.abort();

        far.write_all(b"still here").await.expect("it is taken");
        let mut heard = [0; 10];
        lively.read_exact(&mut heard).await.expect("it arrives");
        assert_eq!(&heard, b"still here");
    }
}
