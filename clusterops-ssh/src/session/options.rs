//! How a connection is made.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use clusterops_core::JumpHosts;

use crate::Credentials;
use crate::config::{Config, Proxy};

/// How connections are made: who logs in, with what, how the host proves itself, and how long each step may take.
///
/// What a [`Target`](clusterops_core::Target) says itself (user, identity file, known hosts file) comes first, then what
/// is set here, then OpenSSH's [configuration](Self::config), then the defaults.
///
/// ```
/// use std::time::Duration;
/// use clusterops_ssh::SessionOptions;
///
/// let options = SessionOptions::default().user("deploy").connect_deadline(Duration::from_secs(5));
/// ```
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct SessionOptions {
    /// The login name where the target has none; without either, the name of the local user.
    pub user: Option<String>,
    /// Private key files to try, in order, where the target names none. When this is empty: the agent's keys, then
    /// `~/.ssh/id_rsa`, `id_ecdsa` and `id_ed25519`, as far as they exist.
    pub identity_files: Vec<PathBuf>,
    /// Certificate files for those keys or for the agent's; a certificate beside a key file, under its name with
    /// `-cert.pub` at the end, is found without being named here.
    pub certificate_files: Vec<PathBuf>,
    /// Whether to ask the agent. What it has of the key files comes first, its other keys come after key files that were
    /// named and need no passphrase. Default: true.
    pub agent: Option<bool>,
    /// The agent's socket. Default: what the environment variable `SSH_AUTH_SOCK` says.
    pub agent_socket: Option<PathBuf>,
    /// Whether the agent's keys are left out that are not among the key files (`IdentitiesOnly`). Default: false.
    pub identities_only: Option<bool>,
    /// Who is asked for passphrases, passwords and answers to a server's questions. In a fleet that has credentials of its
    /// own, those are asked unless there are some here.
    pub credentials: Option<Arc<dyn Credentials>>,
    /// Known hosts files where the target names none. Default: `~/.ssh/known_hosts` and `/etc/ssh/ssh_known_hosts`.
    pub known_hosts: Option<Vec<PathBuf>>,
    /// What to do about host keys that are not known. Default: [`HostKeyChecking::Strict`].
    pub host_key_checking: Option<HostKeyChecking>,
    /// Whether a new host key is stored under a hash of the host's name, which hides the name from whoever reads the
    /// file (`HashKnownHosts`). Default: false.
    pub hash_known_hosts: Option<bool>,
    /// Whether the other keys of a host that is known by its name are stored too, once the host has proved that it has
    /// them, so that it can change its key some day (`UpdateHostKeys`). Keys that it no longer has stay. Default: false.
    pub update_host_keys: Option<bool>,
    /// Files with public keys, one a line, that no host and no authority may have (`RevokedHostKeys`).
    pub revoked_host_keys: Vec<PathBuf>,
    /// OpenSSH's configuration, asked about the address of each target before any command is known: to `Match sessiontype`
    /// a session is an `exec` and a jump host `none`. Default: the user's and the system's files
    /// ([`Config::load`]), read before the first connection; [`Config::none`] is none at all.
    pub config: Option<Arc<Config>>,
    /// What leads to targets that do not name jump hosts themselves: nothing, jump hosts, or a command with the tokens of
    /// ssh_config(5). It holds for targets, not for the jump hosts on the way to them. Default: the configuration's.
    pub proxy: Option<Proxy>,
    /// For the TCP connection, all addresses of a name together. Default: 10 s.
    pub connect_deadline: Option<Duration>,
    /// From the TCP connection to a verified host key. Default: 15 s.
    pub handshake_deadline: Option<Duration>,
    /// For all attempts to authenticate together. Default: 15 s.
    pub authentication_deadline: Option<Duration>,
    /// For a command that has no deadline of its own. Default: one hour.
    pub command_deadline: Option<Duration>,
    /// When nothing was heard from the host for this long, it is asked whether it is there. Default: 15 s.
    pub keepalive_interval: Option<Duration>,
    /// After how many unanswered questions in a row the connection counts as lost; so it does when what is sent to the
    /// host is not taken for as long as that many intervals. With 0 nothing is asked, and the first silence of an interval
    /// ends the connection (`ServerAliveCountMax 0`, ssh_config(5)), also one in which the host had nothing to say. Default:
    /// 3.
    pub keepalive_max: Option<usize>,
}

/// What to do about host keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[non_exhaustive]
pub enum HostKeyChecking {
    /// The key must stand in a known hosts file (`StrictHostKeyChecking yes`, ssh_config(5)).
    #[default]
    Strict,
    /// The key of a host that is not known yet is added to the first known hosts file; a changed key is an error
    /// (`StrictHostKeyChecking accept-new`).
    AcceptNew,
    /// Any key is accepted and none is stored: whoever can answer on the address can read and forge everything
    /// (`StrictHostKeyChecking no`, which in ssh(1) stores new keys).
    ///
    /// As in ssh(1) a key in a revoked host keys file is still refused, and where the known hosts files say another key or
    /// that this one is revoked, no password and no answers to questions are sent.
    DangerAcceptAny,
}

impl SessionOptions {
    /// Sets the login name for targets without one.
    #[must_use]
    pub fn user(mut self, user: impl Into<String>) -> Self {
        self.user = Some(user.into());
        self
    }

    /// Adds a private key file to try.
    #[must_use]
    pub fn identity_file(mut self, path: impl Into<PathBuf>) -> Self {
        self.identity_files.push(path.into());
        self
    }

    /// Adds a certificate file to try.
    #[must_use]
    pub fn certificate_file(mut self, path: impl Into<PathBuf>) -> Self {
        self.certificate_files.push(path.into());
        self
    }

    /// Says whether to ask the agent.
    #[must_use]
    pub fn agent(mut self, agent: bool) -> Self {
        self.agent = Some(agent);
        self
    }

    /// Asks the agent at this socket.
    #[must_use]
    pub fn agent_socket(mut self, path: impl Into<PathBuf>) -> Self {
        self.agent_socket = Some(path.into());
        self
    }

    /// Says whether the agent's keys are left out that are not among the key files.
    #[must_use]
    pub fn identities_only(mut self, only: bool) -> Self {
        self.identities_only = Some(only);
        self
    }

    /// Sets who is asked for passphrases, passwords and answers.
    #[must_use]
    pub fn credentials(mut self, credentials: Arc<dyn Credentials>) -> Self {
        self.credentials = Some(credentials);
        self
    }

    /// Sets the known hosts files for targets that name none.
    #[must_use]
    pub fn known_hosts(mut self, paths: impl IntoIterator<Item = impl Into<PathBuf>>) -> Self {
        self.known_hosts = Some(paths.into_iter().map(Into::into).collect());
        self
    }

    /// Adds the keys of hosts that are not known yet to the first known hosts file.
    #[must_use]
    pub fn accept_new_host_keys(mut self) -> Self {
        self.host_key_checking = Some(HostKeyChecking::AcceptNew);
        self
    }

    /// Says whether new host keys are stored under a hash of the host's name.
    #[must_use]
    pub fn hash_known_hosts(mut self, hash: bool) -> Self {
        self.hash_known_hosts = Some(hash);
        self
    }

    /// Says whether the other keys of a known host are stored too.
    #[must_use]
    pub fn update_host_keys(mut self, update: bool) -> Self {
        self.update_host_keys = Some(update);
        self
    }

    /// Adds a file of keys that no host and no authority may have.
    #[must_use]
    pub fn revoked_host_keys(mut self, path: impl Into<PathBuf>) -> Self {
        self.revoked_host_keys.push(path.into());
        self
    }

    /// Accepts any host key, which gives up all protection against a host that only claims to be the right one
    /// ([`HostKeyChecking::DangerAcceptAny`] says what is left).
    #[must_use]
    pub fn danger_accept_any_host_key(mut self) -> Self {
        self.host_key_checking = Some(HostKeyChecking::DangerAcceptAny);
        self
    }

    /// Sets OpenSSH's configuration, to be read once for many connectors, or none at all.
    ///
    /// ```
    /// use clusterops_ssh::{SessionOptions, config::Config};
    ///
    /// let options = SessionOptions::default().config(Config::parse("Host web*\n  ProxyJump gate\n", "example")?);
    /// # Ok::<(), clusterops_ssh::Error>(())
    /// ```
    #[must_use]
    pub fn config(mut self, config: impl Into<Arc<Config>>) -> Self {
        self.config = Some(config.into());
        self
    }

    /// Leads to targets that name no jump hosts themselves through these: `ssh -J`.
    #[must_use]
    pub fn jump(mut self, hosts: JumpHosts) -> Self {
        self.proxy = Some(Proxy::Jump(hosts));
        self
    }

    /// Leads to targets that name no jump hosts through the input and output of a command, for example `nc %h %p`, with
    /// the tokens of `ProxyCommand` (ssh_config(5)).
    #[must_use]
    pub fn proxy_command(mut self, command: impl Into<String>) -> Self {
        self.proxy = Some(Proxy::Command(command.into()));
        self
    }

    /// Sets the time for the TCP connection.
    #[must_use]
    pub fn connect_deadline(mut self, deadline: Duration) -> Self {
        self.connect_deadline = Some(deadline);
        self
    }

    /// Sets the time from the TCP connection to a verified host key.
    #[must_use]
    pub fn handshake_deadline(mut self, deadline: Duration) -> Self {
        self.handshake_deadline = Some(deadline);
        self
    }

    /// Sets the time for authentication.
    #[must_use]
    pub fn authentication_deadline(mut self, deadline: Duration) -> Self {
        self.authentication_deadline = Some(deadline);
        self
    }

    /// Sets the time for commands without a deadline of their own.
    #[must_use]
    pub fn command_deadline(mut self, deadline: Duration) -> Self {
        self.command_deadline = Some(deadline);
        self
    }

    /// Sets how long a silent host is trusted to be there, and how many questions it may leave unanswered.
    #[must_use]
    pub fn keepalive(mut self, interval: Duration, max: usize) -> Self {
        self.keepalive_interval = Some(interval);
        self.keepalive_max = Some(max);
        self
    }
}
