//! How a connection is made.

use std::path::PathBuf;
use std::time::Duration;

/// How connections are made: who logs in, with what, how the host proves itself, and how long each step may take.
///
/// What a [`Target`](clusterops_core::Target) says itself (user, identity file, known hosts file) comes first.
///
/// ```
/// use std::time::Duration;
/// use clusterops_ssh::SessionOptions;
///
/// let options = SessionOptions::default().user("deploy").connect_deadline(Duration::from_secs(5));
/// ```
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct SessionOptions {
    /// The login name where the target has none; without either, the name of the local user.
    pub user: Option<String>,
    /// Private key files to try, in order, where the target names none. When this is empty: the agent's keys, then
    /// `~/.ssh/id_ed25519`, `id_ecdsa` and `id_rsa`, as far as they exist.
    pub identity_files: Vec<PathBuf>,
    /// Whether to ask the agent at `SSH_AUTH_SOCK`, after key files that were named. Default: true.
    pub agent: bool,
    /// Known hosts files where the target names none. Default: `~/.ssh/known_hosts` and `/etc/ssh/ssh_known_hosts`.
    pub known_hosts: Vec<PathBuf>,
    /// What to do about host keys that are not known. Default: [`HostKeys::Strict`].
    pub host_keys: HostKeys,
    /// For the TCP connection, all addresses of a name together. Default: 10 s.
    pub connect_deadline: Duration,
    /// From the TCP connection to a verified host key. Default: 15 s.
    pub handshake_deadline: Duration,
    /// For all attempts to authenticate together. Default: 15 s.
    pub authentication_deadline: Duration,
    /// For a command that has no deadline of its own. Default: one hour.
    pub command_deadline: Duration,
    /// When nothing was heard from the host for this long, it is asked whether it is there. Default: 15 s.
    pub keepalive_interval: Duration,
    /// After how many unanswered questions in a row the connection counts as lost. Default: 3.
    pub keepalive_max: usize,
}

/// What to do about host keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[non_exhaustive]
pub enum HostKeys {
    /// The key must stand in a known hosts file (`StrictHostKeyChecking yes`, ssh_config(5)).
    #[default]
    Strict,
    /// The key of a host that is not known yet is added to the first known hosts file; a changed key is an error
    /// (`StrictHostKeyChecking accept-new`).
    AcceptNew,
    /// Any key is accepted and none is stored: whoever can answer on the address can read and forge everything.
    DangerAcceptAny,
}

impl Default for SessionOptions {
    fn default() -> Self {
        Self {
            user: None,
            identity_files: Vec::new(),
            agent: true,
            known_hosts: vec![
                "~/.ssh/known_hosts".into(),
                "/etc/ssh/ssh_known_hosts".into(),
            ],
            host_keys: HostKeys::Strict,
            connect_deadline: Duration::from_secs(10),
            handshake_deadline: Duration::from_secs(15),
            authentication_deadline: Duration::from_secs(15),
            command_deadline: Duration::from_secs(3600),
            keepalive_interval: Duration::from_secs(15),
            keepalive_max: 3,
        }
    }
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

    /// Says whether to ask the agent.
    #[must_use]
    pub fn agent(mut self, agent: bool) -> Self {
        self.agent = agent;
        self
    }

    /// Sets the known hosts files for targets that name none.
    #[must_use]
    pub fn known_hosts(mut self, paths: impl IntoIterator<Item = impl Into<PathBuf>>) -> Self {
        self.known_hosts = paths.into_iter().map(Into::into).collect();
        self
    }

    /// Adds the keys of hosts that are not known yet to the first known hosts file.
    #[must_use]
    pub fn accept_new_host_keys(mut self) -> Self {
        self.host_keys = HostKeys::AcceptNew;
        self
    }

    /// Accepts any host key, which gives up all protection against a host that only claims to be the right one.
    #[must_use]
    pub fn danger_accept_any_host_key(mut self) -> Self {
        self.host_keys = HostKeys::DangerAcceptAny;
        self
    }

    /// Sets the time for the TCP connection.
    #[must_use]
    pub fn connect_deadline(mut self, deadline: Duration) -> Self {
        self.connect_deadline = deadline;
        self
    }

    /// Sets the time from the TCP connection to a verified host key.
    #[must_use]
    pub fn handshake_deadline(mut self, deadline: Duration) -> Self {
        self.handshake_deadline = deadline;
        self
    }

    /// Sets the time for authentication.
    #[must_use]
    pub fn authentication_deadline(mut self, deadline: Duration) -> Self {
        self.authentication_deadline = deadline;
        self
    }

    /// Sets the time for commands without a deadline of their own.
    #[must_use]
    pub fn command_deadline(mut self, deadline: Duration) -> Self {
        self.command_deadline = deadline;
        self
    }

    /// Sets how long a silent host is trusted to be there, and how many questions it may leave unanswered.
    #[must_use]
    pub fn keepalive(mut self, interval: Duration, max: usize) -> Self {
        self.keepalive_interval = interval;
        self.keepalive_max = max;
        self
    }
}
