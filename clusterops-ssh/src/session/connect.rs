//! From a target to an authenticated connection.

use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;

use clusterops_core::Target;
use russh::ChannelOpenFailure;
use russh::client;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::{Mutex, Semaphore};
use tokio::time::timeout;

use super::greeting::Greeting;
use super::inbox::Stalled;
use super::jump::JumpHosts;
use super::link::{Destination, Link, NotOpened};
use super::lost::Lost;
use super::proxy_command::ProxyCommand;
use super::read_ahead::ReadAhead;
use super::route::{LocalCommands, Router};
use super::settings::{Environment, Route, Settings};
use super::shared::Shared;
use super::stream::Tethered;
use super::tunnel::{Reader, Tunnel};
use super::verifier::{HostKeyFiles, Verifier};
use super::{Session, SessionOptions, auth, dial};
use crate::known_hosts::KnownHosts;
use crate::{Error, ErrorKind, LOG, Result};

/// Connects to many hosts on the same terms, and keeps what the connections share: known hosts and private keys are read
/// once, and one connection to a jump host serves all targets behind it.
///
/// Clones share too. A [`Fleet`](crate::Fleet) has one for each run; for a single host there is [`Session::connect`].
///
/// ```no_run
/// # async fn example(targets: Vec<clusterops_core::Target>) -> Result<(), Box<dyn std::error::Error>> {
/// use clusterops_ssh::{Command, Connector, SessionOptions};
///
/// let connector = Connector::new(SessionOptions::default().jump("gate.example.org".parse()?));
/// for target in &targets {
///     let session = connector.connect(target).await?;
///     println!("{}: {}", target.name, session.output(&Command::new(["uptime"])).await?.stdout);
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone)]
pub struct Connector(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    router: Router,
    shared: Shared,
    jump_hosts: JumpHosts,
    /// Held by whoever reads the configuration.
    reading: Mutex<()>,
    /// Keeps the number of threads down that decide about hosts.
    deciding: Semaphore,
}

/// How many threads decide about hosts.
const DECIDING: usize = 8;

impl Connector {
    /// Nothing is read or connected to yet.
    pub fn new(options: SessionOptions) -> Self {
        Self(Arc::new(Inner {
            router: Router::new(options, Environment::find()),
            shared: Shared::default(),
            jump_hosts: JumpHosts::default(),
            reading: Mutex::default(),
            deciding: Semaphore::new(DECIDING),
        }))
    }

    /// Connects to a target, verifies its host key and authenticates, each within its deadline.
    ///
    /// # Errors
    /// As [`Session::connect`].
    pub async fn connect(&self, target: &Target) -> Result<Session> {
        let connect = async {
            let settings = self.settings(target).await?;
            let link = self.0.link(&settings, target).await?;
            Ok(Session::new(link, target.clone(), self.clone()))
        };
        connect.await.map_err(|error: Error| error.on(&target.name))
    }

    /// Which commands of the user's connections to these targets need, as far as that is known before.
    pub(crate) async fn local_commands(&self, targets: &Arc<[Target]>) -> LocalCommands {
        // A configuration that cannot be read fails the hosts, which say why.
        if self.read().await.is_err() {
            return LocalCommands::default();
        }
        let targets = Arc::clone(targets);
        self.blocking(move |router| Ok(router.local_commands(&targets)))
            .await
            .unwrap_or_default()
    }

    /// Reads the configuration, unless that was done.
    async fn read(&self) -> Result<()> {
        if !self.0.router.is_read() {
            // One thread reads the files, and whoever comes meanwhile needs no other.
            let _reading = self.0.reading.lock().await;
            if !self.0.router.is_read() {
                self.blocking(|router| router.read()).await?;
            }
        }
        Ok(())
    }

    /// What is in force for a target. The configuration may run commands and ask the DNS for it.
    async fn settings(&self, target: &Target) -> Result<Arc<Settings>> {
        self.read().await?;
        if !self.0.router.may_block() {
            return self.0.router.settings(target).map(Arc::new);
        }
        // A semaphore that is never closed.
        let _permit = self.0.deciding.acquire().await;
        let target = target.clone();
        self.blocking(move |router| router.settings(&target))
            .await
            .map(Arc::new)
    }

    /// Does what can block on a thread of its own.
    async fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Router) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let inner = Arc::clone(&self.0);
        tokio::task::spawn_blocking(move || work(&inner.router))
            .await
            .unwrap_or_else(|error| {
                let message = "what is in force for the host cannot be decided";
                Err(Error::new(ErrorKind::Local, message).caused_by(error))
            })
    }

    /// What the user should know about the configuration: each keyword that has no effect, with the file and line where
    /// it is first set; and whether host keys could not be stored, be they new ones that were accepted or further ones of
    /// known hosts. Nothing until the first connection, which reads the configuration; a run's are in its
    /// [`Report`](crate::Report).
    ///
    /// ```
    /// # use clusterops_core::Target;
    /// # use clusterops_ssh::{Connector, SessionOptions, config::Config};
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> clusterops_ssh::Result<()> {
    /// let config = Config::parse("Port 1\nConnectTimeout 1\nForwardAgent yes\n", "example")?;
    /// let connector = Connector::new(SessionOptions::default().config(config));
    /// let _refused = connector.connect(&Target::new("web1", "127.0.0.1")).await;
    /// assert_eq!(connector.warnings(), ["example:3: ForwardAgent has no effect here"]);
    /// # Ok(())
    /// # }
    /// ```
    pub fn warnings(&self) -> Vec<String> {
        let mut warnings = self.0.router.warnings();
        warnings.extend(self.0.shared.troubles());
        warnings
    }

    /// A new connection to a host.
    pub(super) async fn link(&self, settings: &Arc<Settings>, target: &Target) -> Result<Link> {
        self.0.link(settings, target).await
    }
}

impl Inner {
    /// A new connection to a host.
    async fn link(&self, settings: &Arc<Settings>, target: &Target) -> Result<Link> {
        let lost = Lost::default();
        let stream = ReadAhead::new(self.stream(settings, &lost).await?);
        let (stream, greeting) = Greeting::of(stream);
        let (stream, line) = Tethered::new(stream, settings, &lost);
        let (mut verifier, configuration) = self.verifier(settings, &lost).await?;
        let update = verifier.update(settings);
        let doubt = verifier.doubt();

        let limit = settings.handshake_deadline;
        let handshake = client::connect_stream(configuration, stream, verifier);
        let mut connection = match timeout(limit, handshake).await {
            Ok(connection) => {
                connection.map_err(|error| handshake_error(error, &lost, &greeting, settings))?
            }
            Err(_) => {
                let message = format!("the SSH handshake with {} failed", settings.endpoint());
                return Err(Error::new(ErrorKind::Timeout, message)
                    .caused_by(format!("no end within {limit:?}")));
            }
        };

        let credentials = self.router.options().credentials.as_deref();
        auth::authenticate(
            &self.shared,
            &mut connection,
            &lost,
            settings,
            target,
            credentials,
            doubt.get().map(String::as_str),
        )
        .await?;
        line.is_logged_in();
        log::debug!(
            target: LOG,
            "{}: connected to {} as `{}`", settings.name, settings.endpoint(), settings.user
        );
        if let Some(update) = update {
            update.run(&connection).await;
        }
        Ok(Link {
            settings: Arc::clone(settings),
            connection: Arc::new(connection),
            lost,
            stalled: Stalled::default(),
            _line: line,
        })
    }

    /// What carries the bytes of a connection.
    async fn stream(&self, settings: &Settings, lost: &Lost) -> Result<Box<dyn Stream>> {
        match &settings.route {
            Route::Direct => Ok(Box::new(dial::tcp(settings).await?)),
            Route::Command(command) => Ok(Box::new(ProxyCommand::start(command, lost.clone())?)),
            Route::Jump(jump_host) => {
                let connect = self.jump_link(jump_host);
                let connection = self.jump_hosts.connection(jump_host, connect).await?;
                let destination = Destination::Tcp {
                    host: settings.address.clone(),
                    port: settings.port,
                };
                let reader = Reader::Connection(lost.clone());
                Tunnel::open(connection, destination, reader, settings.connect_deadline)
                    .await
                    .map(|tunnel| Box::new(tunnel) as Box<dyn Stream>)
                    .map_err(|not_opened| not_reached(not_opened, jump_host, settings))
            }
        }
    }

    /// A new connection to a jump host; it can lie behind another one, so the type of this future must not hold itself.
    fn jump_link<'a>(
        &'a self,
        settings: &'a Arc<Settings>,
    ) -> Pin<Box<dyn Future<Output = Result<Link>> + Send + 'a>> {
        Box::pin(async { self.link(settings, &settings.target()).await })
    }

    /// What will judge the host key, and the algorithms to offer: those whose keys are known come first, so that the
    /// server shows a key we can check (as ssh(1) orders HostKeyAlgorithms), and certificates before them where an
    /// authority is known.
    async fn verifier(
        &self,
        settings: &Settings,
        lost: &Lost,
    ) -> Result<(Verifier, Arc<client::Config>)> {
        // What is revoked is so on every host.
        let revoked = self.shared.revoked_keys(&settings.revoked_host_keys)?;
        let files = match settings.is_trusted_localhost() {
            true => HostKeyFiles {
                known_hosts: Arc::new(KnownHosts::load::<&Path>([])?),
                revoked,
                command: None,
            },
            false => HostKeyFiles {
                known_hosts: self.shared.known_hosts(&settings.known_hosts)?,
                revoked,
                command: settings.known_hosts_command.clone(),
            },
        };
        let known = files.types(&settings.host_name()).await?;
        let configuration = self.shared.configuration(known, settings)?;
        let verifier = Verifier::new(settings, files, lost.clone());
        Ok((verifier, configuration))
    }
}

/// A byte stream to run a connection on.
trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<S: AsyncRead + AsyncWrite + Send + Unpin> Stream for S {}

/// A handshake that failed by a lost connection: a server that drops connections (MaxStartups, sshd_config(5)) or
/// something else than an SSH server, unless more is known.
fn handshake_error(error: Error, lost: &Lost, greeting: &Greeting, settings: &Settings) -> Error {
    if error.kind() != ErrorKind::Disconnected {
        return error;
    }
    if let Some(at_jump_host) = lost.at_jump_host() {
        return at_jump_host;
    }
    let message = format!("the SSH handshake with {} failed", settings.endpoint());
    let failed = |kind| Error::new(kind, message);
    if let Some(reason) = lost.error() {
        return failed(ErrorKind::Disconnected).caused_by(reason);
    }
    let words = greeting.words();
    if words.is_empty() {
        return failed(ErrorKind::Disconnected).caused_by("the host closed the connection");
    }
    let kind = if Greeting::is_overloaded(&words) {
        ErrorKind::Overloaded
    } else {
        ErrorKind::Disconnected
    };
    failed(kind).caused_by(format!("the host said `{words}` and closed the connection"))
}

/// Why a jump host does not lead to a host.
fn not_reached(not_opened: NotOpened, jump_host: &Settings, settings: &Settings) -> Error {
    let (name, endpoint) = (&jump_host.name, settings.endpoint());
    match not_opened {
        NotOpened::Failed(error) if error.kind() == ErrorKind::Timeout => Error::new(
            ErrorKind::Timeout,
            format!("cannot connect to {endpoint} from the jump host {name}"),
        )
        .caused_by(error),
        NotOpened::Failed(error) => error.at_jump_host(name),
        NotOpened::Refused(ChannelOpenFailure::ConnectFailed) => Error::new(
            ErrorKind::Unreachable,
            format!(
                "the jump host {name} cannot connect to {endpoint}: nobody listens there, it does not answer, or the \
                 name is not known there"
            ),
        ),
        NotOpened::Refused(ChannelOpenFailure::ResourceShortage) => Error::new(
            ErrorKind::Unreachable,
            format!("it has not the resources to connect to {endpoint}"),
        )
        .at_jump_host(name),
        NotOpened::Refused(_) => Error::new(
            ErrorKind::Protocol,
            format!(
                "it does not let connections through to {endpoint} (AllowTcpForwarding and PermitOpen, sshd_config(5))"
            ),
        )
        .at_jump_host(name),
    }
}
