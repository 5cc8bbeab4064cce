//! The SSH side of a simulated host.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use russh::keys::{PrivateKey, PublicKey};
use russh::server::{
    Auth, ChannelOpenHandle, Config, Handler, Msg, PublicKeyOffer, Session, VerifiedPublicKey,
};
use russh::{Channel, ChannelId, ChannelOpenFailure, MethodKind, MethodSet, Sig, SshId};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::sync::oneshot;

use super::answer::Fault;
use super::command::home;
use super::exec::{Exec, Input, Output};
use super::listen::{self, Wire};
use super::machine::{Admission, Machine};
use super::process::{Recipient, Signal};
use super::sftp::Sftp;

/// What hosts say first.
const VERSION: &str = "SSH-2.0-clusterops_sim";

/// What all hosts of a simulator have in common.
#[derive(Debug)]
pub(super) struct Server {
    identity: PublicKey,
    /// By whether the host key is the wrong one, and whether the host takes a password.
    configs: [[Arc<Config>; 2]; 2],
    connections: AtomicU64,
    /// The scripts that hosts were sent; most get the same ones.
    scripts: Mutex<HashSet<Bytes>>,
}

impl Server {
    pub(super) fn new(identity: PublicKey, host_key: &PrivateKey, wrong_key: &PrivateKey) -> Self {
        let configs = [host_key, wrong_key].map(|key| {
            let with_methods = |methods: &[MethodKind]| {
                Arc::new(Config {
                    server_id: SshId::Standard(VERSION.into()),
                    methods: MethodSet::from(methods),
                    auth_rejection_time: Duration::ZERO,
                    keys: vec![key.clone()],
                    // A message is taken out of a channel for every one that its command answers, so these need only be
                    // longer than what a client sends without reading.
                    channel_buffer_size: 1024,
                    event_buffer_size: 64,
                    inactivity_timeout: None,
                    nodelay: true,
                    ..Config::default()
                })
            };
            [
                with_methods(&[MethodKind::PublicKey]),
                with_methods(&[MethodKind::PublicKey, MethodKind::Password]),
            ]
        });
        Self {
            identity,
            configs,
            connections: AtomicU64::new(0),
            scripts: Mutex::default(),
        }
    }

    /// The same text, kept once for all hosts.
    pub(super) fn share(&self, text: &[u8]) -> Bytes {
        // A set is valid whatever panicked while it was locked.
        let mut scripts = self.scripts.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = scripts.get(text) {
            return known.clone();
        }
        let text = Bytes::copy_from_slice(text);
        scripts.insert(text.clone());
        text
    }

    /// Serves one connection to a host in a task of its own.
    pub(super) fn serve(self: &Arc<Self>, machine: &Arc<Machine>, stream: TcpStream) {
        let admission = machine.admit();
        match admission {
            Admission::Close => return,
            Admission::Reset => return listen::reset(stream),
            Admission::Serve { .. }
            | Admission::NotAllowed
            | Admission::Silence
            | Admission::DropInKeyExchange => {}
        }
        let id = self.connections.fetch_add(1, Ordering::Relaxed);
        let (cut, is_cut) = oneshot::channel();
        machine.state().connections.insert(id, cut);
        let place = Place {
            machine: machine.clone(),
            id,
        };
        // Small packets go out at once, as sshd has it; without this the connection is only slower.
        let _ = stream.set_nodelay(true);
        let wire = Wire::new(stream, is_cut);
        match admission {
            Admission::Serve { wrong_key } => {
                let has_password = machine.behaviour.password.is_some();
                let config =
                    self.configs[usize::from(wrong_key)][usize::from(has_password)].clone();
                let connection = Connection {
                    server: self.clone(),
                    place,
                    user: String::new(),
                    waiting: HashMap::new(),
                    running: HashMap::new(),
                };
                // The connection is a task of its own from here on; how it ends is the client's affair.
                tokio::spawn(async move {
                    drop(russh::server::run_stream(config, wire, connection).await)
                });
            }
            Admission::NotAllowed => {
                tokio::spawn(async move {
                    let _place = place;
                    turn_away(wire).await;
                });
            }
            Admission::DropInKeyExchange => {
                tokio::spawn(async move {
                    let _place = place;
                    drop_in_key_exchange(wire).await;
                });
            }
            _ => {
                tokio::spawn(async move {
                    let _place = place;
                    read_to_end(wire).await;
                });
            }
        }
    }
}

/// Says the version, and leaves when the client has said its own and started the key exchange.
async fn drop_in_key_exchange(mut wire: Wire) {
    if wire
        .write_all(format!("{VERSION}\r\n").as_bytes())
        .await
        .is_err()
    {
        return;
    }
    let mut seen_version = false;
    let mut buffer = [0; 1024];
    while let Ok(length @ 1..) = wire.read(&mut buffer).await {
        let rest = match buffer[..length].iter().position(|&byte| byte == b'\n') {
            Some(at) if !seen_version => {
                seen_version = true;
                &buffer[at + 1..length]
            }
            _ => &buffer[..length],
        };
        if seen_version && !rest.is_empty() {
            return;
        }
    }
}

/// What sshd says in place of its version to a source that it punishes.
async fn turn_away(mut wire: Wire) {
    if wire
        .write_all(b"Not allowed at this time\r\n")
        .await
        .is_ok()
        && wire.shutdown().await.is_ok()
    {
        // Its version is read, so that closing does not turn into a reset.
        read_to_end(wire).await;
    }
}

async fn read_to_end(mut wire: Wire) {
    let mut buffer = [0; 1024];
    while let Ok(1..) = wire.read(&mut buffer).await {}
}

/// A connection in its host's list; leaves the list when dropped.
#[derive(Debug)]
struct Place {
    machine: Arc<Machine>,
    id: u64,
}

impl Drop for Place {
    fn drop(&mut self) {
        self.machine.cut(self.id);
    }
}

struct Connection {
    server: Arc<Server>,
    place: Place,
    user: String,
    /// Channels on which nothing was asked for yet, and the environment they were given.
    waiting: HashMap<ChannelId, (Channel<Msg>, BTreeMap<String, String>)>,
    /// The process of each channel; dropping the sender tells it that the channel is closed.
    running: HashMap<ChannelId, (u32, oneshot::Sender<()>)>,
}

impl Connection {
    fn machine(&self) -> &Arc<Machine> {
        &self.place.machine
    }

    fn judge(&mut self, user: &str, is_right: bool) -> Auth {
        if !is_right || self.machine().has(&Fault::RejectAuthentication) {
            // Without methods named, russh would take the one just tried off the list, where sshd lets it be tried again.
            let has_password = usize::from(self.machine().behaviour.password.is_some());
            return Auth::Reject {
                proceed_with_methods: Some(self.server.configs[0][has_password].methods.clone()),
                partial_success: false,
            };
        }
        self.user = user.to_owned();
        Auth::Accept
    }
}

impl Handler for Connection {
    type Error = russh::Error;

    async fn auth_none(&mut self, user: &str) -> Result<Auth, Self::Error> {
        Ok(self.judge(user, false))
    }

    async fn auth_password(&mut self, user: &str, password: &str) -> Result<Auth, Self::Error> {
        let is_right = self.machine().behaviour.password.as_deref() == Some(password);
        Ok(self.judge(user, is_right))
    }

    async fn auth_publickey_offered(
        &mut self,
        user: &str,
        offer: PublicKeyOffer<'_>,
    ) -> Result<Auth, Self::Error> {
        let is_right = offer.public_key.key_data() == self.server.identity.key_data();
        Ok(self.judge(user, is_right))
    }

    async fn auth_publickey(
        &mut self,
        user: &str,
        key: VerifiedPublicKey<'_>,
    ) -> Result<Auth, Self::Error> {
        let is_right = key.public_key.key_data() == self.server.identity.key_data();
        Ok(self.judge(user, is_right))
    }

    async fn auth_succeeded(&mut self, _: &mut Session) -> Result<(), Self::Error> {
        let home = home(&self.user);
        let is_there = self.machine().state().files.is_folder(&home);
        if !is_there {
            // On a user whose home cannot be made, sshd only complains.
            let _ = self.machine().change(|files| files.make_folders(&home));
        }
        Ok(())
    }

    async fn channel_open_session(
        &mut self,
        channel: Channel<Msg>,
        reply: ChannelOpenHandle,
        _: &mut Session,
    ) -> Result<(), Self::Error> {
        self.waiting
            .insert(channel.id(), (channel, BTreeMap::new()));
        reply.accept().await;
        Ok(())
    }

    /// Lets the host be a jump host, to other addresses on loopback only.
    async fn channel_open_direct_tcpip(
        &mut self,
        channel: Channel<Msg>,
        host: &str,
        port: u32,
        _: &str,
        _: u32,
        reply: ChannelOpenHandle,
        _: &mut Session,
    ) -> Result<(), Self::Error> {
        let address = host
            .parse()
            .ok()
            .filter(IpAddr::is_loopback)
            .zip(u16::try_from(port).ok());
        let Some(address) = address else {
            reply
                .reject(ChannelOpenFailure::AdministrativelyProhibited)
                .await;
            return Ok(());
        };
        tokio::spawn(async move {
            match TcpStream::connect(address).await {
                Ok(mut onward) => {
                    reply.accept().await;
                    // However the forwarding ends, both sides are closed after it.
                    let _ = tokio::io::copy_bidirectional(&mut channel.into_stream(), &mut onward)
                        .await;
                }
                Err(_) => reply.reject(ChannelOpenFailure::ConnectFailed).await,
            }
        });
        Ok(())
    }

    async fn env_request(
        &mut self,
        channel: ChannelId,
        name: &str,
        value: &str,
        session: &mut Session,
    ) -> Result<(), Self::Error> {
        match self.waiting.get_mut(&channel) {
            Some((_, environment)) => {
                environment.insert(name.to_owned(), value.to_owned());
                session.channel_success(channel)
            }
            None => session.channel_failure(channel),
        }
    }

    async fn pty_request(
        &mut self,
        channel: ChannelId,
        _: &str,
        _: u32,
        _: u32,
        _: u32,
        _: u32,
        _: &[(russh::Pty, u32)],
        session: &mut Session,
    ) -> Result<(), Self::Error> {
        session.channel_failure(channel)
    }

    async fn shell_request(
        &mut self,
        channel: ChannelId,
        session: &mut Session,
    ) -> Result<(), Self::Error> {
        session.channel_failure(channel)
    }

    async fn exec_request(
        &mut self,
        channel: ChannelId,
        line: &[u8],
        session: &mut Session,
    ) -> Result<(), Self::Error> {
        let Some((opened, environment)) = self.waiting.remove(&channel) else {
            return session.channel_failure(channel);
        };
        session.channel_success(channel)?;
        let (reader, writer) = opened.split();
        let (pid, ended) = self.machine().state().processes.start();
        let (open, closed) = oneshot::channel();
        self.running.insert(channel, (pid, open));
        let exec = Exec {
            server: self.server.clone(),
            machine: self.machine().clone(),
            connection: self.place.id,
            user: self.user.clone(),
            environment,
            pid,
            input: Input::new(reader),
            output: Output {
                channel: writer,
                session: session.handle(),
                closed,
            },
        };
        tokio::spawn(exec.play(line.to_vec(), ended));
        Ok(())
    }

    async fn subsystem_request(
        &mut self,
        channel: ChannelId,
        name: &str,
        session: &mut Session,
    ) -> Result<(), Self::Error> {
        match self.waiting.remove(&channel) {
            Some((opened, _)) if name == "sftp" => {
                session.channel_success(channel)?;
                let sftp = Sftp::new(self.machine().clone(), home(&self.user));
                russh_sftp::server::run(opened.into_stream(), sftp).await;
                Ok(())
            }
            _ => session.channel_failure(channel),
        }
    }

    async fn signal(
        &mut self,
        channel: ChannelId,
        signal: Sig,
        _: &mut Session,
    ) -> Result<(), Self::Error> {
        // sshd needs privilege separation for this, which it does not use for root (`session_signal_req`).
        if self.machine().behaviour.ignores_signals || self.user == "root" {
            return Ok(());
        }
        let name = match &signal {
            Sig::Custom(name) => name.clone(),
            known => format!("{known:?}"),
        };
        if let (Some((pid, _)), Ok(signal)) = (self.running.get(&channel), name.parse::<Signal>()) {
            self.machine()
                .state()
                .processes
                .signal(Recipient::Group(*pid), Some(signal));
        }
        Ok(())
    }

    async fn channel_close(
        &mut self,
        channel: ChannelId,
        _: &mut Session,
    ) -> Result<(), Self::Error> {
        self.waiting.remove(&channel);
        self.running.remove(&channel);
        Ok(())
    }
}
