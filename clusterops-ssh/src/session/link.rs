//! An authenticated connection, whoever uses it.

use std::sync::Arc;
use std::time::Duration;

use russh::client::{Handle, Msg};
use russh::{Channel, ChannelOpenFailure, ChannelReadHalf, Disconnect};
use tokio::sync::oneshot;
use tokio::time::{sleep, timeout};

use super::channel_input::ChannelInput;
use super::inbox::Stalled;
use super::lost::Lost;
use super::settings::Settings;
use super::stream::Lifeline;
use super::verifier::Verifier;
use crate::{Error, ErrorKind, LOG, Result};

/// How long a connection that is being closed may take to say so.
const CLOSING: Duration = Duration::from_secs(1);

/// How long a server may take to answer: to open a channel, and to say whether it does what is asked for on it.
pub(crate) const ANSWERING: Duration = Duration::from_secs(30);

/// russh's handle of a connection of ours.
pub(super) type Connection = Handle<Verifier>;

/// One connection to one host; it ends when this is dropped.
pub(super) struct Link {
    pub(super) settings: Arc<Settings>,
    pub(super) connection: Arc<Connection>,
    pub(super) lost: Lost,
    /// How many of its commands were given up because nobody read what they wrote.
    pub(super) stalled: Stalled,
    pub(super) _line: Lifeline,
}

/// What a host is asked to connect to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Destination {
    /// RFC 4254 section 7.2: `direct-tcpip`.
    Tcp { host: String, port: u16 },
    /// OpenSSH's PROTOCOL section 2.4: `direct-streamlocal@openssh.com`.
    Unix { path: String },
}

impl Link {
    pub(super) fn is_closed(&self) -> bool {
        self.connection.is_closed()
    }

    /// A new session channel.
    ///
    /// sshd counts a session against MaxSessions (sshd_config(5)) until it has seen our side close it, which can be a
    /// moment after we saw the end of its output. So a refusal is worth a few more tries.
    pub(super) async fn session_channel(&self) -> Result<(ChannelReadHalf, ChannelInput)> {
        let connection = Arc::clone(&self.connection);
        let (mut answer, answered) = oneshot::channel();
        // russh waits for the answer for as long as the connection lives. It does so in a task of its own, for a channel
        // that is opened after all must be closed also when nobody waits any more.
        tokio::spawn(async move {
            let mut pause = Duration::from_millis(10);
            let opened = loop {
                match connection.channel_open_session().await {
                    Err(russh::Error::ChannelOpenFailure(_)) if pause < Duration::from_secs(1) => {}
                    opened => break opened,
                }
                tokio::select! {
                    () = sleep(pause) => pause *= 2,
                    () = answer.closed() => return,
                }
            };
            let _ = answer.send(opened.map(|channel| {
                let (output, input) = channel.split();
                (output, ChannelInput::new(input))
            }));
        });
        // A task that ends without an answer was dropped with its runtime.
        let answered = async { answered.await.unwrap_or(Err(russh::Error::Disconnect)) };
        match timeout(ANSWERING, answered).await {
            Ok(Ok((output, input))) => {
                for (name, value) in &self.settings.environment {
                    // sshd passes over what it does not accept (AcceptEnv), and so do we.
                    let sent = input.set_env(false, name, value).await;
                    sent.map_err(|error| self.on_host(error.into()))?;
                }
                Ok((output, input))
            }
            Ok(Err(error @ russh::Error::ChannelOpenFailure(_))) => {
                let message = "the server refused a channel: it may allow a session no more of them at once \
                               (`MaxSessions` in its sshd_config)";
                let refused = Error::new(ErrorKind::Protocol, message);
                Err(self.on_host(refused.caused_by(error)))
            }
            Ok(Err(error)) => Err(self.on_host(error.into())),
            Err(_) => {
                let message = format!("the server did not open a channel within {ANSWERING:?}");
                Err(self.on_host(Error::new(ErrorKind::Timeout, message)))
            }
        }
    }

    /// A channel that leads on from the host; waits for the host's answer without end.
    pub(super) async fn channel_to(
        &self,
        destination: &Destination,
    ) -> Result<Channel<Msg>, NotOpened> {
        let opened = match destination {
            Destination::Tcp { host, port } => {
                // What ssh -W says of where the connection comes from, for servers that look at it.
                let (origin, origin_port) = ("127.0.0.1", 65_535);
                self.connection
                    .channel_open_direct_tcpip(host, u32::from(*port), origin, origin_port)
                    .await
            }
            Destination::Unix { path } => {
                self.connection.channel_open_direct_streamlocal(path).await
            }
        };
        opened.map_err(|error| match error {
            russh::Error::ChannelOpenFailure(reason) => NotOpened::Refused(reason),
            error => NotOpened::Failed(self.lost.explain(error.into())),
        })
    }

    /// Adds the host, and why the connection was lost where it was.
    pub(super) fn on_host(&self, error: Error) -> Error {
        self.lost.explain(error).on(&self.settings.name)
    }

    /// Says goodbye and waits a moment for the connection to close.
    pub(super) async fn close(mut self) {
        let _ = timeout(CLOSING, async {
            let goodbye = self
                .connection
                .disconnect(Disconnect::ByApplication, "", "");
            if goodbye.await.is_ok()
                && let Some(connection) = Arc::get_mut(&mut self.connection)
            {
                let _ = connection.await;
            }
        })
        .await;
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        log::debug!(target: LOG, "{}: the connection is closed", self.settings.name);
    }
}

impl std::fmt::Debug for Link {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Link")
            .field("host", &self.settings.name)
            .field("closed", &self.is_closed())
            .finish_non_exhaustive()
    }
}

/// Why there is no channel that leads on.
#[derive(Debug)]
pub(super) enum NotOpened {
    /// The host would or could not connect there.
    Refused(ChannelOpenFailure),
    /// The host itself was lost.
    Failed(Error),
}

impl std::fmt::Display for Destination {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Tcp { host, port } if host.contains(':') => write!(f, "[{host}]:{port}"),
            Self::Tcp { host, port } => write!(f, "{host}:{port}"),
            Self::Unix { path } => f.write_str(path),
        }
    }
}
