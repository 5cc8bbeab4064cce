//! From a target to an authenticated connection.

use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use clusterops_core::Target;
use russh::client::{self, DisconnectReason, Handle};
use russh::keys::ssh_key::{Algorithm, PublicKey};
use russh::keys::{PrivateKey, PublicKeyOrCertificate};
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout, timeout_at};

use super::stream::{Lifeline, Tethered};
use super::{HostKeys, Session, SessionOptions, auth};
use crate::clock::deadline_in;
use crate::known_hosts::{KnownHosts, Verdict};
use crate::{Error, ErrorKind, Result};

/// Makes connections, and keeps what they share: known hosts, private keys, algorithm lists.
#[derive(Debug, Default)]
pub(crate) struct Connector {
    pub(super) options: SessionOptions,
    known_hosts: Mutex<HashMap<Vec<PathBuf>, Arc<KnownHosts>>>,
    keys: Mutex<HashMap<PathBuf, Arc<PrivateKey>>>,
    configurations: Mutex<HashMap<Vec<Algorithm>, Arc<client::Config>>>,
}

impl Connector {
    pub(crate) fn new(options: SessionOptions) -> Self {
        Self {
            options,
            ..Self::default()
        }
    }

    /// Connects, verifies the host key and authenticates, each within its deadline.
    pub(crate) async fn connect(&self, target: &Target) -> Result<Session> {
        self.try_connect(target)
            .await
            .map_err(|error| error.on(&target.name))
    }

    async fn try_connect(&self, target: &Target) -> Result<Session> {
        if let Some(jump) = &target.jump {
            let message = format!(
                "the way leads over the jump host `{jump}`, and jump hosts are not supported yet"
            );
            return Err(Error::new(ErrorKind::Local, message));
        }
        let port = target.port.unwrap_or(22);
        let stream = tcp(target, port, self.options.connect_deadline).await?;
        let (verifier, configuration) = self.verifier(target, port)?;
        let lost = Arc::clone(&verifier.lost);

        let limit = self.options.handshake_deadline;
        let (stream, lifeline) = Tethered::new(stream);
        let mut handle = match timeout(
            limit,
            client::connect_stream(configuration, stream, verifier),
        )
        .await
        {
            Ok(handle) => handle.map_err(|error| handshake_error(error, target))?,
            Err(_) => {
                let message = format!("the SSH handshake with {} failed", target.endpoint());
                return Err(Error::new(ErrorKind::Timeout, message)
                    .caused_by(format!("no end within {limit:?}")));
            }
        };

        let limit = self.options.authentication_deadline;
        let authentication = auth::authenticate(self, &mut handle, target);
        match timeout(limit, authentication).await {
            Ok(result) => result?,
            Err(_) => {
                let message =
                    format!("the server did not answer the authentication within {limit:?}");
                return Err(Error::new(ErrorKind::Timeout, message));
            }
        }
        Ok(Session::new(
            target.name.clone(),
            handle,
            lifeline,
            lost,
            self.options.command_deadline,
        ))
    }

    /// What will judge the host key, and the algorithms to offer: those whose keys are known come first, so that the
    /// server shows a key we can check (as ssh(1) orders HostKeyAlgorithms).
    fn verifier(&self, target: &Target, port: u16) -> Result<(Verifier, Arc<client::Config>)> {
        let policy = self.options.host_keys;
        let paths = self.known_hosts_paths(target)?;
        let new_keys = paths.first().cloned().unwrap_or_default();
        let known_hosts = if policy == HostKeys::DangerAcceptAny {
            None
        } else {
            Some(self.known_hosts(paths)?)
        };
        let types = known_hosts
            .as_ref()
            .map(|known| known.key_types(&target.address, port))
            .unwrap_or_default();
        let verifier = Verifier {
            address: target.address.clone(),
            port,
            policy,
            known_hosts,
            new_keys,
            lost: Arc::default(),
        };
        Ok((verifier, self.configuration(types)))
    }

    fn configuration(&self, first: Vec<Algorithm>) -> Arc<client::Config> {
        let mut configurations = self
            .configurations
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if let Some(configuration) = configurations.get(&first) {
            return Arc::clone(configuration);
        }
        let mut configuration = client::Config {
            nodelay: true,
            keepalive_interval: Some(self.options.keepalive_interval),
            keepalive_max: self.options.keepalive_max,
            ..client::Config::default()
        };
        let is_known = |algorithm: &Algorithm| {
            // Which hash an RSA key signs with is not the key's matter (RFC 8332).
            let is_rsa = |algorithm: &Algorithm| matches!(algorithm, Algorithm::Rsa { .. });
            first
                .iter()
                .any(|known| known == algorithm || (is_rsa(known) && is_rsa(algorithm)))
        };
        let (mut algorithms, rest): (Vec<_>, Vec<_>) = configuration
            .preferred
            .key
            .iter()
            .cloned()
            .partition(is_known);
        algorithms.extend(rest);
        configuration.preferred.key = algorithms.into();
        let configuration = Arc::new(configuration);
        configurations.insert(first, Arc::clone(&configuration));
        configuration
    }

    fn known_hosts_paths(&self, target: &Target) -> Result<Vec<PathBuf>> {
        match &target.known_hosts {
            Some(path) => Ok(vec![expand_home(path)?]),
            None => self
                .options
                .known_hosts
                .iter()
                .map(|path| expand_home(path))
                .collect(),
        }
    }

    fn known_hosts(&self, paths: Vec<PathBuf>) -> Result<Arc<KnownHosts>> {
        let mut files = self
            .known_hosts
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = files.get(&paths) {
            return Ok(Arc::clone(known));
        }
        let known = KnownHosts::load(&paths).map_err(|error| {
            Error::new(ErrorKind::Local, "the known hosts cannot be read").caused_by(error)
        })?;
        let known = Arc::new(known);
        files.insert(paths, Arc::clone(&known));
        Ok(known)
    }

    /// The private key in a file, read once.
    pub(super) fn key(&self, path: &Path) -> Result<Arc<PrivateKey>, russh::keys::Error> {
        let mut keys = self.keys.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(key) = keys.get(path) {
            return Ok(Arc::clone(key));
        }
        let key = Arc::new(russh::keys::load_secret_key(path, None)?);
        keys.insert(path.to_owned(), Arc::clone(&key));
        Ok(key)
    }
}

/// Opens the TCP connection; of several addresses each gets its share of the time that is left.
async fn tcp(target: &Target, port: u16, limit: Duration) -> Result<TcpStream> {
    let deadline = deadline_in(limit);
    let endpoint = target.endpoint();
    let addresses: Vec<SocketAddr> = match target.address.parse::<IpAddr>() {
        Ok(ip) => vec![SocketAddr::new(ip, port)],
        Err(_) => match timeout_at(
            deadline,
            tokio::net::lookup_host((target.address.as_str(), port)),
        )
        .await
        {
            Ok(Ok(found)) => found.collect(),
            Ok(Err(error)) => {
                // getaddrinfo(3): of its failures only EAI_AGAIN passes; std keeps no code, only gai_strerror's text.
                let passing = error.to_string().contains("Temporary failure");
                let message = format!("the name `{}` does not resolve", target.address);
                let error = Error::new(ErrorKind::Unreachable, message).caused_by(error);
                return Err(if passing { error } else { error.permanent() });
            }
            Err(_) => {
                let message = format!(
                    "the name `{}` did not resolve within {limit:?}",
                    target.address
                );
                return Err(Error::new(ErrorKind::Timeout, message));
            }
        },
    };
    let mut failure = None;
    for (index, address) in addresses.iter().enumerate() {
        let left = deadline.saturating_duration_since(Instant::now());
        let share = left / u32::try_from(addresses.len() - index).unwrap_or(1);
        match timeout(share, TcpStream::connect(address)).await {
            Ok(Ok(stream)) => {
                // Small packets in both directions: Nagle's algorithm would only delay them.
                let _ = stream.set_nodelay(true);
                return Ok(stream);
            }
            Ok(Err(error)) => failure = Some(Error::connect(&endpoint, error)),
            Err(_) => {
                let timeout = io::Error::new(
                    io::ErrorKind::TimedOut,
                    format!("no answer within {limit:?}"),
                );
                failure = Some(Error::connect(&endpoint, timeout));
            }
        }
    }
    Err(failure.unwrap_or_else(|| {
        Error::new(
            ErrorKind::Unreachable,
            format!("the name `{}` has no address", target.address),
        )
        .permanent()
    }))
}

/// A handshake that failed by a lost connection: a server that drops connections (MaxStartups, sshd_config(5)) or
/// something else than an SSH server.
fn handshake_error(error: Error, target: &Target) -> Error {
    if error.kind() != ErrorKind::Disconnected {
        return error;
    }
    let message = format!("the SSH handshake with {} failed", target.endpoint());
    Error::new(ErrorKind::Disconnected, message).caused_by("the host closed the connection")
}

/// `~/` at the start of a path stands for the home folder of the local user.
pub(super) fn expand_home(path: &Path) -> Result<PathBuf> {
    let Ok(rest) = path.strip_prefix("~") else {
        return Ok(path.to_owned());
    };
    let home = std::env::home_dir()
        .filter(|home| !home.as_os_str().is_empty())
        .ok_or_else(|| {
            Error::new(
                ErrorKind::Local,
                format!("`{}`: there is no home folder; set HOME", path.display()),
            )
        })?;
    Ok(home.join(rest))
}

/// Judges the host key, and notes why a connection was lost.
pub(super) struct Verifier {
    address: String,
    port: u16,
    policy: HostKeys,
    known_hosts: Option<Arc<KnownHosts>>,
    /// The file that new keys are added to.
    new_keys: PathBuf,
    lost: Arc<OnceLock<String>>,
}

impl client::Handler for Verifier {
    type Error = Error;

    async fn check_server_key(&mut self, key: &PublicKeyOrCertificate) -> Result<bool> {
        let Some(known_hosts) = &self.known_hosts else {
            return Ok(true);
        };
        let PublicKeyOrCertificate::PublicKey { key, .. } = key else {
            return Err(Error::new(
                ErrorKind::HostKey,
                "the server shows a certificate that we did not ask for",
            ));
        };
        self.judge(known_hosts, key).await.map(|()| true)
    }

    async fn disconnected(&mut self, reason: DisconnectReason<Error>) -> Result<()> {
        match reason {
            DisconnectReason::ReceivedDisconnect(info) => {
                // The server's words end up in terminals and reports.
                let said: String = info
                    .message
                    .chars()
                    .filter(|c| !c.is_control())
                    .take(200)
                    .collect();
                let _ = self
                    .lost
                    .set(format!("the host closed the connection: {said}"));
                Ok(())
            }
            DisconnectReason::Error(error) => {
                let _ = self.lost.set(error.full_message());
                Err(error)
            }
        }
    }
}

impl Verifier {
    async fn judge(&self, known_hosts: &Arc<KnownHosts>, key: &PublicKey) -> Result<()> {
        let name = host_name(&self.address, self.port);
        let shown = format!(
            "{} {}",
            key.algorithm(),
            key.fingerprint(Default::default())
        );
        let refuse = |message: String| Err(Error::new(ErrorKind::HostKey, message));
        let verdict = match known_hosts.lookup(&self.address, self.port, key) {
            Verdict::Unknown if self.policy == HostKeys::AcceptNew => {
                self.add(known_hosts, key).await?
            }
            verdict => verdict,
        };
        match verdict {
            Verdict::Known => Ok(()),
            Verdict::Revoked { entry } => refuse(format!(
                "the host key {shown} is revoked ({entry}): the server must not be trusted"
            )),
            Verdict::Changed { expected } | Verdict::OtherTypes { expected } => {
                let expected: Vec<String> = expected.iter().map(ToString::to_string).collect();
                refuse(format!(
                    "the server shows the host key {shown}, but known is {}. Somebody may be in between, or the host was \
                     set up anew; when you are sure of that, remove the old key: ssh-keygen -R '{name}'",
                    expected.join(", ")
                ))
            }
            Verdict::Unknown => refuse(format!(
                "the host key {shown} of {name} is in no known hosts file; check it and add it (ssh-keyscan, or log in \
                 with ssh once), or choose to accept new keys"
            )),
        }
    }

    /// Stores a new key. What counts is what the file says in the end: somebody else may have added another key.
    async fn add(&self, known_hosts: &Arc<KnownHosts>, key: &PublicKey) -> Result<Verdict> {
        let (known_hosts, file, key) =
            (Arc::clone(known_hosts), self.new_keys.clone(), key.clone());
        let (address, port) = (self.address.clone(), self.port);
        tokio::task::spawn_blocking(move || known_hosts.add(&file, &address, port, &key, false))
            .await
            .unwrap_or_else(|error| Err(io::Error::other(error)))
            .map_err(|error| {
                Error::new(ErrorKind::Local, "the new host key cannot be stored").caused_by(error)
            })
    }
}

/// A host as known_hosts files write it: `[host]:port` for a port other than 22 (sshd(8)).
fn host_name(address: &str, port: u16) -> String {
    if port == 22 {
        address.to_owned()
    } else {
        format!("[{address}]:{port}")
    }
}

/// The handle of a connection of ours.
pub(super) type Connection = Handle<Verifier>;

/// What a finished connection hands to its session.
pub(super) type Line = Lifeline;
