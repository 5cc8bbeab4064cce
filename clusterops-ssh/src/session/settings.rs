//! Everything that a connection needs to know, decided.

use std::fmt;
use std::net::IpAddr;
use std::ops::Deref;
use std::path::{Path, PathBuf};
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use clusterops_core::Target;

use super::auth::Method;
use super::{HostKeyChecking, SessionOptions};
use crate::config::{
    self, AddressFamily, Algorithms, HostConfig, IdentityAgent, KnownHostsCommand, RequestTty,
    StrictHostKeyChecking,
};

/// How long a command without a deadline may run.
pub(crate) const COMMAND_DEADLINE: Duration = Duration::from_secs(3600);

/// The fewest bits that an RSA key may have by default (`RequiredRSASize`, ssh_config(5)).
const MIN_RSA_SIZE: u32 = 1024;

/// How one host is reached: what its target leaves open is filled in from the options, and then from the defaults.
///
/// Two hosts with equal settings can share a connection.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Settings {
    /// The name that errors use.
    pub(crate) name: String,
    /// The host name or IP address to connect to.
    pub(crate) address: String,
    /// What many hosts have in common.
    pub(crate) terms: Arc<Terms>,
}

/// All but a host's name and address.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Terms {
    pub(crate) port: u16,
    pub(crate) user: String,
    /// The private key files that somebody named, in the order in which to try them.
    pub(crate) identity_files: Vec<PathBuf>,
    /// The private key files to try after the agent's keys where none was named; they need not exist.
    pub(crate) default_identity_files: Vec<PathBuf>,
    /// Certificates for keys of ours, to try before all else.
    pub(crate) certificate_files: Vec<PathBuf>,
    /// Whether the agent's other keys are left out (`IdentitiesOnly`).
    pub(crate) identities_only: bool,
    /// The agent's socket.
    pub(crate) agent: Option<PathBuf>,
    /// The ways to log in, in the order in which to try them.
    pub(crate) methods: Vec<Method>,
    /// How often a passphrase or a password is asked for (`NumberOfPasswordPrompts`).
    pub(crate) password_prompts: u32,
    /// The files to look for host keys in.
    pub(crate) known_hosts: Vec<PathBuf>,
    /// The file that new ones are added to: the first that is not the system's.
    pub(crate) new_host_keys: Option<PathBuf>,
    pub(crate) host_key_checking: HostKeyChecking,
    /// The name to look host keys up by, in place of the address and the port (`HostKeyAlias`).
    pub(crate) host_key_alias: Option<String>,
    /// Whether new host keys are stored without showing the host's name (`HashKnownHosts`).
    pub(crate) hash_known_hosts: bool,
    /// Whether a known host's other keys are stored, once it has proved to have them (`UpdateHostKeys`).
    pub(crate) update_host_keys: bool,
    /// Files of keys that no host may have (`RevokedHostKeys`).
    pub(crate) revoked_host_keys: Vec<PathBuf>,
    /// What prints more known hosts (`KnownHostsCommand`).
    pub(crate) known_hosts_command: Option<KnownHostsCommand>,
    /// The fewest bits that an RSA key may have, the host's and ours (`RequiredRSASize`).
    pub(crate) required_rsa_size: u32,
    /// Whether this machine's own addresses need no known key (`NoHostAuthenticationForLocalhost`).
    pub(crate) trusts_localhost: bool,
    /// The signatures that a host's certificate may have (`CASignatureAlgorithms`), where somebody says so.
    pub(crate) ca_signatures: Option<Algorithms>,
    /// The signatures to log in with (`PubkeyAcceptedAlgorithms`), where somebody says so.
    pub(crate) own_signatures: Option<Algorithms>,
    pub(crate) connect_deadline: Duration,
    pub(crate) handshake_deadline: Duration,
    pub(crate) authentication_deadline: Duration,
    pub(crate) command_deadline: Duration,
    /// After which silence the host is asked whether it is there; `None`: never.
    pub(crate) keepalive_interval: Option<Duration>,
    pub(crate) keepalive_max: usize,
    pub(crate) tcp: Tcp,
    pub(crate) offer: Offer,
    /// The variables to send with every command (`SendEnv`, `SetEnv`).
    pub(crate) environment: Vec<(String, String)>,
    /// Whether a command that says nothing about it gets a terminal (`RequestTTY force`).
    pub(crate) forces_terminal: bool,
    pub(crate) route: Route,
}

/// How the TCP connection is made.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Tcp {
    pub(crate) family: Option<AddressFamily>,
    /// The local address to connect from.
    pub(crate) bind_address: Option<String>,
    /// The local interface to connect from.
    pub(crate) bind_interface: Option<String>,
    /// How often it is tried.
    pub(crate) attempts: u32,
    pub(crate) keep_alive: bool,
}

/// What is offered to the host, where the configuration says something about it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub(crate) struct Offer {
    pub(crate) kex: Option<Algorithms>,
    pub(crate) host_keys: Option<Algorithms>,
    pub(crate) ciphers: Option<Algorithms>,
    pub(crate) macs: Option<Algorithms>,
    pub(crate) compression: Option<bool>,
    /// After how many bytes new keys are agreed on.
    pub(crate) rekey_bytes: Option<u64>,
    /// After which time new keys are agreed on.
    pub(crate) rekey_interval: Option<Duration>,
}

/// How the bytes get there.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) enum Route {
    /// By TCP.
    Direct,
    /// Through a connection to this jump host, which has a route of its own.
    Jump(Arc<Settings>),
    /// Through the standard input and output of this command.
    Command(String),
}

impl Deref for Settings {
    type Target = Terms;

    fn deref(&self) -> &Terms {
        &self.terms
    }
}

impl Settings {
    /// Decides what a target leaves open, but for its route, which is taken to be direct. `host` is what the
    /// configuration says of it, knowing the target's port and who logs in; `home` is what `~/` at the start of a path
    /// stands for.
    pub(crate) fn resolve(
        target: &Target,
        options: &SessionOptions,
        host: &HostConfig,
        own: &Environment,
        home: &Path,
    ) -> Self {
        let expand = |path: &Path| match path.strip_prefix("~") {
            Ok(rest) => home.join(rest),
            Err(_) => path.to_owned(),
        };
        let expand_all =
            |paths: &[PathBuf]| -> Vec<PathBuf> { paths.iter().map(|path| expand(path)).collect() };
        let is_set = |keyword: &str| host.origin(keyword).is_some();
        let identity_files = match &target.identity_file {
            Some(path) => vec![expand(path)],
            None if !options.identity_files.is_empty() => expand_all(&options.identity_files),
            None if is_set("IdentityFile") => host.identity_files.clone(),
            None => Vec::new(),
        };
        // Nothing but `IdentityFile none` names none, the default ones included.
        let default_identity_files = if identity_files.is_empty() && !is_set("IdentityFile") {
            DEFAULT_IDENTITIES.map(|name| home.join(name)).into()
        } else {
            Vec::new()
        };
        let mut certificate_files = expand_all(&options.certificate_files);
        if certificate_files.is_empty() {
            certificate_files = host.certificate_files.clone();
        }
        let mut known_hosts = match (&target.known_hosts, &options.known_hosts) {
            (Some(path), _) => vec![expand(path)],
            (None, Some(paths)) => expand_all(paths),
            (None, None) => host.user_known_hosts_files.clone(),
        };
        let new_host_keys = known_hosts.first().cloned();
        if target.known_hosts.is_none() && options.known_hosts.is_none() {
            known_hosts.extend(host.global_known_hosts_files.iter().cloned());
        }
        let seconds = Duration::from_secs;
        let timeout = host.connect_timeout;
        let terms = Terms {
            port: host.port,
            user: host.user.clone(),
            identity_files,
            default_identity_files,
            certificate_files,
            identities_only: options.identities_only.unwrap_or(host.identities_only),
            agent: match (&options.agent_socket, options.agent) {
                (_, Some(false)) => None,
                (Some(path), _) => Some(expand(path)),
                (None, _) => match &host.identity_agent {
                    IdentityAgent::None => None,
                    IdentityAgent::Socket(path) => Some(path.clone()),
                    IdentityAgent::Environment(name) => own.variable(name).map(PathBuf::from),
                },
            },
            methods: Method::of(host),
            password_prompts: host.number_of_password_prompts,
            known_hosts,
            new_host_keys,
            host_key_checking: options
                .host_key_checking
                .unwrap_or(host.strict_host_key_checking.into()),
            host_key_alias: host.host_key_alias.clone(),
            hash_known_hosts: options.hash_known_hosts.unwrap_or(host.hash_known_hosts),
            // By default a file of the user's is not changed.
            update_host_keys: options
                .update_host_keys
                .unwrap_or(is_set("UpdateHostKeys") && host.update_host_keys == config::Ask::Yes),
            revoked_host_keys: match options.revoked_host_keys.as_slice() {
                [] => host.revoked_host_keys.clone(),
                paths => expand_all(paths),
            },
            known_hosts_command: host.known_hosts_command.clone(),
            // Which may only be raised.
            required_rsa_size: host.required_rsa_size.max(MIN_RSA_SIZE),
            trusts_localhost: host.no_host_authentication_for_localhost,
            ca_signatures: is_set("CASignatureAlgorithms")
                .then(|| host.ca_signature_algorithms.clone()),
            own_signatures: is_set("PubkeyAcceptedAlgorithms")
                .then(|| host.pubkey_accepted_algorithms.clone()),
            connect_deadline: options.connect_deadline.or(timeout).unwrap_or(seconds(10)),
            handshake_deadline: options
                .handshake_deadline
                .or(timeout)
                .unwrap_or(seconds(15)),
            authentication_deadline: options.authentication_deadline.unwrap_or(seconds(15)),
            command_deadline: options.command_deadline.unwrap_or(COMMAND_DEADLINE),
            keepalive_interval: match options.keepalive_interval {
                Some(interval) => Some(interval),
                None if is_set("ServerAliveInterval") => host.server_alive_interval,
                None => Some(seconds(15)),
            },
            keepalive_max: options
                .keepalive_max
                .unwrap_or(host.server_alive_count_max as usize),
            tcp: Tcp {
                family: host.address_family,
                bind_address: host.bind_address.clone(),
                bind_interface: host.bind_interface.clone(),
                attempts: host.connection_attempts,
                keep_alive: host.tcp_keep_alive,
            },
            offer: Offer {
                kex: is_set("KexAlgorithms").then(|| host.kex_algorithms.clone()),
                host_keys: is_set("HostKeyAlgorithms").then(|| host.host_key_algorithms.clone()),
                ciphers: is_set("Ciphers").then(|| host.ciphers.clone()),
                macs: is_set("MACs").then(|| host.macs.clone()),
                compression: is_set("Compression").then_some(host.compression),
                rekey_bytes: host.rekey_bytes,
                rekey_interval: host.rekey_interval,
            },
            environment: own.to_send(&host.send_env, &host.set_env),
            forces_terminal: host.request_tty == RequestTty::Force,
            route: Route::Direct,
        };
        Self {
            name: target.name.clone(),
            address: host.hostname.clone(),
            terms: Arc::new(terms),
        }
    }

    /// The same, on another way.
    pub(crate) fn by(mut self, route: Route) -> Self {
        Arc::make_mut(&mut self.terms).route = route;
        self
    }

    /// Whether the host is this machine, which needs no known key where somebody says so.
    pub(crate) fn is_trusted_localhost(&self) -> bool {
        let is_local = match self.address.parse::<IpAddr>() {
            Ok(address) => address.is_loopback(),
            Err(_) => self.address == "localhost",
        };
        self.trusts_localhost
            && is_local
            && self.route == Route::Direct
            && self.host_key_alias.is_none()
    }

    /// The name to look host keys up by; an alias stands without the port.
    pub(crate) fn host_name(&self) -> HostName {
        let (name, port) = match &self.host_key_alias {
            Some(alias) => (alias, 22),
            None => (&self.address, self.port),
        };
        HostName {
            name: name.clone(),
            port,
        }
    }

    /// The host as a target, for those who are asked about it.
    pub(crate) fn target(&self) -> Target {
        Target {
            port: Some(self.port),
            user: Some(self.user.clone()),
            ..Target::new(&self.name, &self.address)
        }
    }

    /// The address and port as one text, with an IPv6 address in brackets: `[2001:db8::1]:22`.
    pub(crate) fn endpoint(&self) -> String {
        let (address, port) = (&self.address, self.port);
        if address.contains(':') {
            format!("[{address}]:{port}")
        } else {
            format!("{address}:{port}")
        }
    }
}

/// The name by which known hosts files have a host.
#[derive(Debug, Clone)]
pub(crate) struct HostName {
    pub(crate) name: String,
    pub(crate) port: u16,
}

impl fmt::Display for HostName {
    /// As the files write it (sshd(8)).
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.port {
            22 => f.write_str(&self.name),
            port => write!(f, "[{}]:{port}", self.name),
        }
    }
}

impl From<StrictHostKeyChecking> for HostKeyChecking {
    /// Nobody is there to be asked.
    fn from(value: StrictHostKeyChecking) -> Self {
        match value {
            StrictHostKeyChecking::Yes | StrictHostKeyChecking::Ask => Self::Strict,
            StrictHostKeyChecking::AcceptNew => Self::AcceptNew,
            StrictHostKeyChecking::Off => Self::DangerAcceptAny,
        }
    }
}

/// The key files in the home folder that ssh(1) tries when none is named, in its order, as far as russh reads them.
const DEFAULT_IDENTITIES: [&str; 3] = [".ssh/id_rsa", ".ssh/id_ecdsa", ".ssh/id_ed25519"];

/// The environment of this process.
#[derive(Debug)]
pub(crate) struct Environment {
    variable: fn(&str) -> Option<String>,
    /// Read once: there can be thousands of hosts.
    variables: LazyLock<Vec<(String, String)>>,
}

impl Environment {
    /// Asks the system.
    pub(crate) fn find() -> Self {
        Self {
            variable: |name| std::env::var(name).ok(),
            variables: LazyLock::new(|| {
                let variables = std::env::vars_os();
                let text = variables.filter_map(|(name, value)| {
                    Some((name.into_string().ok()?, value.into_string().ok()?))
                });
                text.collect()
            }),
        }
    }

    fn variable(&self, name: &str) -> Option<String> {
        (self.variable)(name).filter(|value| !value.is_empty())
    }

    /// The variables to send: those of ours whose name a pattern matches, and those that are given; the first of a name.
    fn to_send(&self, patterns: &[String], given: &[(String, String)]) -> Vec<(String, String)> {
        let mut environment = given.to_vec();
        if !patterns.is_empty() {
            let is_sent = |name: &str| {
                patterns
                    .iter()
                    .any(|pattern| config::matches(name, pattern))
            };
            let ours = self
                .variables
                .iter()
                .filter(|(name, _)| is_sent(name) && given.iter().all(|(other, _)| other != name));
            environment.extend(ours.cloned());
        }
        environment
    }
}

#[cfg(test)]
mod tests {
    use crate::config::{Config, Query};

    use super::*;

    fn me() -> Environment {
        Environment {
            variable: |name| (name == "SSH_AUTH_SOCK").then(|| "/run/agent".into()),
            variables: LazyLock::new(|| {
                let variables = [
                    ("LANG", "C"),
                    ("LC_ALL", "de"),
                    ("SECRET", "x"),
                    ("MODE", "y"),
                ];
                variables
                    .map(|(name, value)| (name.into(), value.into()))
                    .into()
            }),
        }
    }

    fn resolve(target: &Target, options: &SessionOptions, config: &str) -> Settings {
        let config = Config::parse(config, "test").expect("a configuration");
        let mut query = Query::new(&target.address);
        if let Some(user) = target.user.as_ref().or(options.user.as_ref()) {
            query = query.user(user);
        }
        if let Some(port) = target.port {
            query = query.port(port);
        }
        let host = config.resolve(&query).expect("it resolves");
        Settings::resolve(target, options, &host, &me(), Path::new("/home/me"))
    }

    #[test]
    fn without_more_the_defaults_hold() {
        let settings = resolve(&Target::new("web1", "::1"), &SessionOptions::default(), "");
        assert_eq!(settings.endpoint(), "[::1]:22");
        assert!(settings.identity_files.is_empty());
        assert_eq!(settings.agent, Some("/run/agent".into()));
        assert_eq!(
            settings.default_identity_files.first(),
            Some(&PathBuf::from("/home/me/.ssh/id_rsa"))
        );
        assert!(
            settings
                .known_hosts
                .contains(&"/etc/ssh/ssh_known_hosts".into())
        );
        assert_eq!(settings.host_key_checking, HostKeyChecking::Strict);
        assert_eq!(settings.connect_deadline, Duration::from_secs(10));
        assert_eq!(settings.keepalive_interval, Some(Duration::from_secs(15)));
        assert_eq!((settings.tcp.attempts, settings.keepalive_max), (1, 3));
        assert_eq!(settings.offer, Offer::default());
        assert!(settings.environment.is_empty());
    }

    #[test]
    fn none_is_no_key_file_and_not_the_default_ones() {
        let target = Target::new("web1", "web1");
        let options = SessionOptions::default();
        for config in [
            "IdentityFile none\n",
            "IdentityFile NONE\nIdentityFile none\n",
        ] {
            let settings = resolve(&target, &options, config);
            assert!(settings.identity_files.is_empty(), "{config}");
            assert!(settings.default_identity_files.is_empty(), "{config}");
        }
        // Beside another it is nothing, and whoever names one to us is heard first.
        let settings = resolve(
            &target,
            &options,
            "IdentityFile none\nIdentityFile /keys/c\n",
        );
        assert_eq!(settings.identity_files, [PathBuf::from("/keys/c")]);
        let options = options.identity_file("/keys/one");
        let settings = resolve(&target, &options, "IdentityFile none\n");
        assert_eq!(settings.identity_files, [PathBuf::from("/keys/one")]);
    }

    #[test]
    fn the_configuration_comes_before_the_defaults() {
        let config = "Host web1\n Hostname 10.0.0.1\n User ops\n Port 2222\n IdentityFile /keys/c\n \
            CertificateFile /keys/cert\n IdentitiesOnly yes\n IdentityAgent /run/other\n \
            UserKnownHostsFile /known/user\n GlobalKnownHostsFile /known/global\n \
            StrictHostKeyChecking accept-new\n HashKnownHosts yes\n HostKeyAlias web\n \
            ConnectTimeout 3\n ConnectionAttempts 4\n ServerAliveInterval 0\n ServerAliveCountMax 7\n \
            AddressFamily inet\n BindAddress 127.0.0.2\n TCPKeepAlive no\n Ciphers aes256-ctr\n \
            Compression yes\n RekeyLimit 1M 1h\n SendEnv LC_* LANG\n SetEnv LANG=x MODE=z\n \
            NumberOfPasswordPrompts 1\n";
        let settings = resolve(
            &Target::new("web1", "web1"),
            &SessionOptions::default(),
            config,
        );
        assert_eq!(settings.endpoint(), "10.0.0.1:2222");
        assert_eq!(
            (settings.user.as_str(), settings.password_prompts),
            ("ops", 1)
        );
        assert_eq!(settings.identity_files, [PathBuf::from("/keys/c")]);
        assert_eq!(settings.certificate_files, [PathBuf::from("/keys/cert")]);
        assert!(settings.identities_only && settings.hash_known_hosts);
        assert_eq!(settings.agent, Some("/run/other".into()));
        let known: [PathBuf; 2] = ["/known/user".into(), "/known/global".into()];
        assert_eq!(settings.known_hosts, known);
        assert_eq!(settings.host_key_checking, HostKeyChecking::AcceptNew);
        assert_eq!(settings.host_name().to_string(), "web");
        let three = Duration::from_secs(3);
        assert_eq!(
            (settings.connect_deadline, settings.handshake_deadline),
            (three, three)
        );
        assert_eq!(
            (settings.keepalive_interval, settings.keepalive_max),
            (None, 7)
        );
        let tcp = Tcp {
            family: Some(AddressFamily::Inet),
            bind_address: Some("127.0.0.2".into()),
            bind_interface: None,
            attempts: 4,
            keep_alive: false,
        };
        assert_eq!(settings.tcp, tcp);
        let offer = &settings.offer;
        assert_eq!(
            offer.ciphers.as_ref().expect("it is set").to_string(),
            "aes256-ctr"
        );
        assert_eq!(
            (offer.compression, offer.rekey_bytes),
            (Some(true), Some(1 << 20))
        );
        assert_eq!(offer.rekey_interval, Some(Duration::from_secs(3600)));
        let variable = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        assert_eq!(
            settings.environment,
            [
                variable("LANG", "x"),
                variable("MODE", "z"),
                variable("LC_ALL", "de")
            ]
        );
    }

    #[test]
    fn the_target_comes_before_the_options_and_they_before_the_configuration() {
        let config = "User ops\nPort 1\nIdentityFile /keys/c\nUserKnownHostsFile /known/c\n\
            StrictHostKeyChecking yes\nConnectTimeout 3\nServerAliveInterval 5\nIdentityAgent /run/other\n";
        let options = SessionOptions::default()
            .user("deploy")
            .identity_file("/keys/one")
            .identity_file("~/two")
            .known_hosts(["/known"])
            .agent(false)
            .accept_new_host_keys()
            .connect_deadline(Duration::from_secs(1))
            .keepalive(Duration::from_secs(2), 9);
        let settings = resolve(&Target::new("web1", "web1"), &options, config);
        assert_eq!((settings.user.as_str(), settings.port), ("deploy", 1));
        let keys: [PathBuf; 2] = ["/keys/one".into(), "/home/me/two".into()];
        assert_eq!(settings.identity_files, keys);
        assert!(settings.default_identity_files.is_empty() && settings.agent.is_none());
        assert_eq!(settings.known_hosts, [PathBuf::from("/known")]);
        assert_eq!(settings.host_key_checking, HostKeyChecking::AcceptNew);
        assert_eq!(settings.connect_deadline, Duration::from_secs(1));
        assert_eq!(settings.handshake_deadline, Duration::from_secs(3));
        assert_eq!(settings.keepalive_interval, Some(Duration::from_secs(2)));

        let target = Target {
            port: Some(2222),
            user: Some("root".into()),
            identity_file: Some("~/three".into()),
            known_hosts: Some("~/known".into()),
            ..Target::new("web1", "web1")
        };
        let settings = resolve(&target, &options, config);
        assert_eq!(settings.endpoint(), "web1:2222");
        assert_eq!(settings.user, "root");
        assert_eq!(settings.identity_files, [PathBuf::from("/home/me/three")]);
        assert_eq!(settings.known_hosts, [PathBuf::from("/home/me/known")]);
    }
}
