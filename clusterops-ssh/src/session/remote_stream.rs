//! Byte streams to ports and sockets that a host can reach.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use russh::ChannelOpenFailure;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::Session;
use super::link::{Destination, NotOpened};
use super::tunnel::{Reader, Tunnel};
use crate::{Error, ErrorKind, Result};

/// A stream of bytes to a port or socket, made by [`Session::open_tcp`] or [`Session::open_unix`].
///
/// It has a connection to the host of its own: whoever does not read holds up nobody else, and what is not read waits at
/// the other end. Shutting it down tells the other end that no more comes. Dropping it closes it after what was written
/// is sent, for at most 10 s. When the connection is lost, reading and writing fail with the reason.
#[derive(Debug)]
pub struct RemoteStream(Tunnel);

impl Session {
    /// Connects to a TCP port as the host sees it, on the host itself (`localhost`) or beyond (`direct-tcpip`, RFC 4254
    /// section 7.2).
    ///
    /// The stream outlives the session. Cancel-safe.
    ///
    /// ```no_run
    /// # async fn example(session: clusterops_ssh::Session) -> Result<(), Box<dyn std::error::Error>> {
    /// use tokio::io::{AsyncReadExt, AsyncWriteExt};
    ///
    /// let mut stream = session.open_tcp("localhost", 8080).await?;
    /// stream.write_all(b"GET /health HTTP/1.0\r\n\r\n").await?;
    /// let mut answer = String::new();
    /// stream.read_to_string(&mut answer).await?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// As [`connect`](Self::connect) for the stream's own connection; [`ErrorKind::Unreachable`] when the host cannot
    /// connect there, [`ErrorKind::Protocol`] when it does not let connections through, [`ErrorKind::Timeout`] when it
    /// did not manage within the [deadline](crate::SessionOptions::connect_deadline) for connections.
    pub async fn open_tcp(&self, host: impl Into<String>, port: u16) -> Result<RemoteStream> {
        let mut host = host.into();
        // As it stands in a URL.
        if let Some(address) = host
            .strip_prefix('[')
            .and_then(|rest| rest.strip_suffix(']'))
        {
            host = address.to_owned();
        }
        self.open(Destination::Tcp { host, port }).await
    }

    /// Connects to a Unix socket of the host (`direct-streamlocal@openssh.com`, OpenSSH's PROTOCOL section 2.4), such as
    /// `/run/docker.sock`.
    ///
    /// The stream outlives the session. Cancel-safe.
    ///
    /// # Errors
    /// As [`open_tcp`](Self::open_tcp). sshd does not tell a socket that nobody listens on from one it does not let
    /// connections through to.
    pub async fn open_unix(&self, path: impl Into<String>) -> Result<RemoteStream> {
        let path = path.into();
        self.open(Destination::Unix { path }).await
    }

    async fn open(&self, destination: Destination) -> Result<RemoteStream> {
        let settings = &self.link.settings;
        let open = async {
            let link = Box::new(self.connector.link(settings, &self.target).await?);
            let what = destination.to_string();
            Tunnel::open(link, destination, Reader::Caller, settings.connect_deadline)
                .await
                .map_err(|not_opened| not_reached(not_opened, &what))
        };
        match open.await {
            Ok(tunnel) => Ok(RemoteStream(tunnel)),
            Err(error) => Err(error.on(&settings.name)),
        }
    }
}

fn not_reached(not_opened: NotOpened, what: &str) -> Error {
    match not_opened {
        NotOpened::Failed(error) => error,
        NotOpened::Refused(ChannelOpenFailure::ConnectFailed) => {
            let message = format!(
                "the host cannot connect to {what}: nobody listens there, or it is not to be reached from there"
            );
            Error::new(ErrorKind::Unreachable, message)
        }
        NotOpened::Refused(ChannelOpenFailure::ResourceShortage) => {
            let message = format!("the host has not the resources to connect to {what}");
            Error::new(ErrorKind::Unreachable, message)
        }
        NotOpened::Refused(_) => {
            let message = format!(
                "the host does not let connections through to {what} (AllowTcpForwarding, AllowStreamLocalForwarding \
                 and PermitOpen, sshd_config(5))"
            );
            Error::new(ErrorKind::Protocol, message)
        }
    }
}

impl AsyncRead for RemoteStream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_read(context, buffer)
    }
}

impl AsyncWrite for RemoteStream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(context)
    }
}
