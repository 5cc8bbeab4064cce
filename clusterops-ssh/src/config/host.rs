//! The effective configuration of one host.

use std::cell::OnceCell;
use std::path::PathBuf;
use std::time::Duration;

use clusterops_core::JumpHosts;

use super::algorithms::{Algorithms, Family};
use super::canonical::{self, AddressFamily};
use super::keyword::Keyword;
use super::known_hosts_command::KnownHostsCommand;
use super::local::Local;
use super::query::Query;
use super::resolve::check_user;
use super::settings::{Origin, Settings};
use super::tokens::{self, Tokens};
use super::value::Value;
use super::{DEFAULT_PORT, Unsupported};

/// What the configuration says of one host, with OpenSSH's defaults where it says nothing.
///
/// Tokens, variables and `~` are filled in. Whether a value was set, and where, tells [`origin`](Self::origin).
/// Displays as `ssh -G` prints it.
///
/// ```
/// use clusterops_ssh::config::{Config, Proxy, Query};
///
/// let config = Config::parse("Host web*\n  Hostname %h.example.org\n  ProxyJump ops@gate\n", "example")?;
/// let host = config.resolve(&Query::new("web1"))?;
/// assert_eq!(host.hostname, "web1.example.org");
/// assert_eq!(host.port, 22);
/// assert!(matches!(host.proxy, Proxy::Jump(way) if way.hosts()[0].host() == "gate"));
/// # Ok::<(), clusterops_ssh::Error>(())
/// ```
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct HostConfig {
    /// The host as it was asked for (`%n`).
    pub host: String,
    /// The name or address to connect to, in lower case (`Hostname`).
    pub hostname: String,
    /// Who logs in (`User`); by default the local user.
    pub user: String,
    /// The TCP port (`Port`).
    pub port: u16,
    /// How the host is reached (`ProxyJump`, `ProxyCommand`).
    pub proxy: Proxy,
    /// Which kind of addresses is used; both by default (`AddressFamily`).
    pub address_family: Option<AddressFamily>,
    /// The local address to connect from (`BindAddress`).
    pub bind_address: Option<String>,
    /// The local network interface to connect from (`BindInterface`).
    pub bind_interface: Option<String>,
    /// The time for connecting and the handshake (`ConnectTimeout`); by default the system's for TCP.
    pub connect_timeout: Option<Duration>,
    /// How often it is tried to connect, at least once (`ConnectionAttempts`).
    pub connection_attempts: u32,
    /// Whether TCP asks a silent host whether it is there (`TCPKeepAlive`).
    pub tcp_keep_alive: bool,
    /// After which silence the host is asked, over SSH, whether it is there (`ServerAliveInterval`); `None`: never.
    pub server_alive_interval: Option<Duration>,
    /// After how many of these questions without an answer the connection is given up (`ServerAliveCountMax`).
    pub server_alive_count_max: u32,
    /// Whether data is compressed (`Compression`).
    pub compression: bool,
    /// After how many bytes new keys are agreed on (`RekeyLimit`); `None`: as the cipher needs it.
    pub rekey_bytes: Option<u64>,
    /// After which time new keys are agreed on (`RekeyLimit`).
    pub rekey_interval: Option<Duration>,

    /// Key exchanges to offer (`KexAlgorithms`).
    pub kex_algorithms: Algorithms,
    /// Types of host keys to offer (`HostKeyAlgorithms`). Unless they were set, those of known keys come first.
    pub host_key_algorithms: Algorithms,
    /// Ciphers to offer (`Ciphers`).
    pub ciphers: Algorithms,
    /// Message authentication codes to offer (`MACs`).
    pub macs: Algorithms,
    /// Types of signatures to log in with (`PubkeyAcceptedAlgorithms`).
    pub pubkey_accepted_algorithms: Algorithms,
    /// Types of signatures that a certificate may have (`CASignatureAlgorithms`).
    pub ca_signature_algorithms: Algorithms,
    /// The fewest bits that an RSA key may have (`RequiredRSASize`).
    pub required_rsa_size: u32,

    /// Private keys to log in with, whether the files exist or not (`IdentityFile`); `none` is left out, so that
    /// the list is empty where it stands alone: there are no key files then, not even the default ones.
    pub identity_files: Vec<PathBuf>,
    /// Certificates to log in with (`CertificateFile`).
    pub certificate_files: Vec<PathBuf>,
    /// Whether the agent's keys count only where a file names them (`IdentitiesOnly`).
    pub identities_only: bool,
    /// Where the agent is (`IdentityAgent`).
    pub identity_agent: IdentityAgent,
    /// The order of methods to log in (`PreferredAuthentications`); by default OpenSSH's.
    pub preferred_authentications: Option<Vec<String>>,
    /// Whether keys may be used to log in (`PubkeyAuthentication`).
    pub pubkey_authentication: bool,
    /// Whether a password may be used to log in (`PasswordAuthentication`).
    pub password_authentication: bool,
    /// Whether questions of the host may be answered to log in (`KbdInteractiveAuthentication`).
    pub kbd_interactive_authentication: bool,
    /// How often a password is asked for (`NumberOfPasswordPrompts`).
    pub number_of_password_prompts: u32,
    /// Whether nothing may be asked of the user (`BatchMode`).
    pub batch_mode: bool,

    /// The user's files of known host keys (`UserKnownHostsFile`); new keys go into the first.
    pub user_known_hosts_files: Vec<PathBuf>,
    /// The system's files of known host keys (`GlobalKnownHostsFile`).
    pub global_known_hosts_files: Vec<PathBuf>,
    /// A command that prints more known host keys (`KnownHostsCommand`).
    pub known_hosts_command: Option<KnownHostsCommand>,
    /// Whether names of new known hosts are hashed (`HashKnownHosts`).
    pub hash_known_hosts: bool,
    /// The name under which the host's key is known (`HostKeyAlias`), in lower case.
    pub host_key_alias: Option<String>,
    /// What is done about unknown and changed host keys (`StrictHostKeyChecking`).
    pub strict_host_key_checking: StrictHostKeyChecking,
    /// Whether other keys that the host proves to have are added to the known ones (`UpdateHostKeys`).
    pub update_host_keys: Ask,
    /// Whether host keys are to be looked up in the DNS (`VerifyHostKeyDNS`); sessions do not.
    pub verify_host_key_dns: Ask,
    /// Whether the host's address is to be looked up among known hosts too (`CheckHostIP`); sessions do not.
    pub check_host_ip: bool,
    /// Whether the host key of this machine itself counts without a look (`NoHostAuthenticationForLocalhost`).
    pub no_host_authentication_for_localhost: bool,
    /// Files of host keys that are not to be trusted (`RevokedHostKeys`).
    pub revoked_host_keys: Vec<PathBuf>,

    /// Patterns for names of variables that are sent (`SendEnv`).
    pub send_env: Vec<String>,
    /// Names and values of variables that are sent (`SetEnv`).
    pub set_env: Vec<(String, String)>,
    /// Whether commands get a terminal (`RequestTTY`); see [`Command::pty`](crate::Command::pty).
    pub request_tty: RequestTty,

    pub(super) settings: Settings,
    /// Values that `ssh -G` prints with their tokens filled in.
    pub(super) agent: Option<String>,
    pub(super) control_path: Option<PathBuf>,
    pub(super) remote_command: Option<String>,
}

/// How a host is reached.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Proxy {
    /// By a TCP connection.
    Direct,
    /// Through other hosts.
    Jump(JumpHosts),
    /// Through the standard input and output of a command that the user's shell runs, with its tokens filled in.
    Command(String),
}

/// Where the authentication agent is (`IdentityAgent`, ssh_config(5)).
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum IdentityAgent {
    /// Where an environment variable says it; by default `SSH_AUTH_SOCK`.
    Environment(String),
    /// At a socket.
    Socket(PathBuf),
    /// No agent is asked.
    None,
}

/// What is done about host keys (`StrictHostKeyChecking`, ssh_config(5)).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum StrictHostKeyChecking {
    /// An unknown key is refused.
    Yes,
    /// An unknown key is accepted and added, a changed one is refused.
    AcceptNew,
    /// The user is asked about an unknown key.
    Ask,
    /// An unknown key is accepted and added, and a changed one permits a connection with restrictions.
    Off,
}

/// Yes, no, or as the user says when asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[expect(missing_docs, reason = "the type says it")]
pub enum Ask {
    Yes,
    No,
    Ask,
}

/// Whether commands get a terminal (`RequestTTY`, ssh_config(5)).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum RequestTty {
    /// A login session gets one.
    Auto,
    /// Never.
    No,
    /// Where standard input is a terminal.
    Yes,
    /// Always.
    Force,
}

/// Keys to log in with when no line names any (`~/.ssh/`, ssh_config(5) of OpenSSH 9.2).
pub(super) const DEFAULT_IDENTITIES: [&str; 7] = [
    "~/.ssh/id_rsa",
    "~/.ssh/id_ecdsa",
    "~/.ssh/id_ecdsa_sk",
    "~/.ssh/id_ed25519",
    "~/.ssh/id_ed25519_sk",
    "~/.ssh/id_xmss",
    "~/.ssh/id_dsa",
];
pub(super) const USER_KNOWN_HOSTS: [&str; 2] = ["~/.ssh/known_hosts", "~/.ssh/known_hosts2"];
pub(super) const GLOBAL_KNOWN_HOSTS: [&str; 2] =
    ["/etc/ssh/ssh_known_hosts", "/etc/ssh/ssh_known_hosts2"];

impl HostConfig {
    pub(super) fn new(
        local: &Local,
        query: &Query,
        hostname: String,
        settings: Settings,
    ) -> Result<Self, String> {
        let reader = Reader {
            settings: &settings,
        };
        let port = settings
            .number(Keyword::Port)
            .map_or(DEFAULT_PORT, |port| port as u16);
        let alias = settings
            .text(Keyword::HostKeyAlias)
            .map(str::to_ascii_lowercase);
        let jump = settings.jump();
        let last_jump = jump.and_then(|jump| jump.hosts.hosts().last());
        let user = user(local, query, &hostname, port, alias.as_deref(), &settings)?;
        if let Some(jump) = last_jump
            && jump.host() == hostname
            && jump.port().unwrap_or(DEFAULT_PORT) == port
            && jump.user().is_none_or(|jump| jump == user)
        {
            let message = format!("jumphost loop via {hostname}");
            return Err(settings.says(Keyword::ProxyJump, &message));
        }
        let connection_attempts = settings.number(Keyword::ConnectionAttempts).unwrap_or(1);
        if connection_attempts == 0 {
            return Err(settings.says(Keyword::ConnectionAttempts, "it is at least 1"));
        }
        let tokens = Tokens {
            local,
            original: &query.host,
            host: &hostname,
            port,
            user: &user,
            jump: last_jump.map_or("", |jump| jump.host()),
            key_alias: alias.as_deref().unwrap_or(&query.host),
            hash: OnceCell::new(),
        };
        let text = |keyword| settings.text(keyword);
        let not_none = |text: &&str| !text.eq_ignore_ascii_case("none");
        let said = &settings;
        let about = |keyword| move |message: String| said.says(keyword, &message);
        let paths = |keyword: Keyword, default: &[&str]| -> Result<Vec<PathBuf>, String> {
            let listed = settings.texts(keyword);
            let listed: Vec<&str> = match listed {
                [] => default.to_vec(),
                _ => listed.iter().map(String::as_str).collect(),
            };
            let paths = listed.iter().filter(|path| not_none(path));
            let paths = paths.map(|path| tokens.expand_path(path).map_err(about(keyword)));
            paths.collect()
        };
        let lines = |keyword: Keyword, default: &[&str]| -> Result<Vec<PathBuf>, String> {
            if settings.get(keyword).is_none() {
                let paths = default.iter().map(|path| tokens.expand_path(path));
                return paths.collect();
            }
            let listed = settings.all(keyword).filter_map(|setting| {
                let path = setting.text().filter(not_none)?;
                let expanded = tokens.expand_path(path);
                Some(expanded.map_err(|message| setting.says(&message)))
            });
            listed.collect()
        };
        let interval = |keyword| {
            let seconds = settings.number(keyword).filter(|seconds| *seconds > 0);
            seconds.map(|seconds| Duration::from_secs(seconds.into()))
        };
        let proxy = match (jump, settings.proxy_command()) {
            (Some(jump), _) if !jump.text.contains('%') => Proxy::Jump(jump.hosts.clone()),
            (Some(jump), _) => {
                let text = tokens
                    .expand_only(&jump.text, "hnpr")
                    .map_err(about(Keyword::ProxyJump))?;
                let hosts = text.parse().map_err(|error: clusterops_core::Error| {
                    about(Keyword::ProxyJump)(error.to_string())
                })?;
                Proxy::Jump(hosts)
            }
            (None, Some(command)) => {
                let command = tokens.expand_only(command, "hknpr");
                Proxy::Command(command.map_err(about(Keyword::ProxyCommand))?)
            }
            (None, None) => Proxy::Direct,
        };
        let agent = text(Keyword::IdentityAgent).map(|agent| {
            let agent = tokens::expand_home(agent, local)?;
            tokens.expand(&agent)
        });
        let agent = agent.transpose().map_err(about(Keyword::IdentityAgent))?;
        let set_env = settings.texts(Keyword::SetEnv).iter().map(|setting| {
            let (name, value) = setting.split_once('=').unwrap_or((setting, ""));
            let value = tokens.expand(value).map_err(about(Keyword::SetEnv))?;
            Ok((name.to_owned(), value))
        });
        let set_env = set_env.collect::<Result<_, String>>()?;
        let known_hosts_command = text(Keyword::KnownHostsCommand).filter(not_none);
        let known_hosts_command = known_hosts_command
            .map(|command| KnownHostsCommand::read(command, &tokens))
            .transpose()
            .map_err(about(Keyword::KnownHostsCommand))?;
        let control_path = text(Keyword::ControlPath).filter(not_none);
        let control_path = control_path.map(|path| tokens.expand_path(path));
        let control_path = control_path
            .transpose()
            .map_err(about(Keyword::ControlPath))?;
        let remote_command = text(Keyword::RemoteCommand).filter(not_none);
        let remote_command = remote_command
            .map(|command| tokens::expand(command, None, Some(&|key| tokens.common(key))));
        let remote_command = remote_command
            .transpose()
            .map_err(about(Keyword::RemoteCommand))?;
        let rekey_bytes = match settings
            .get(Keyword::RekeyLimit)
            .map(|setting| &*setting.value)
        {
            Some(Value::Rekey(bytes, _)) if *bytes > 0 => Some(*bytes),
            _ => None,
        };
        let preferred = text(Keyword::PreferredAuthentications);
        let host_config = Self {
            host: query.host.clone(),
            proxy,
            port,
            address_family: canonical::family(&settings),
            bind_address: text(Keyword::BindAddress).map(str::to_owned),
            bind_interface: text(Keyword::BindInterface).map(str::to_owned),
            connect_timeout: interval(Keyword::ConnectTimeout),
            connection_attempts,
            tcp_keep_alive: reader.flag(Keyword::TCPKeepAlive, true),
            server_alive_interval: interval(Keyword::ServerAliveInterval),
            server_alive_count_max: settings.number(Keyword::ServerAliveCountMax).unwrap_or(3),
            compression: reader.flag(Keyword::Compression, false),
            rekey_bytes,
            rekey_interval: interval(Keyword::RekeyInterval),
            kex_algorithms: reader.algorithms(Keyword::KexAlgorithms, Family::Kex)?,
            host_key_algorithms: reader.algorithms(Keyword::HostKeyAlgorithms, Family::Keys)?,
            ciphers: reader.algorithms(Keyword::Ciphers, Family::Ciphers)?,
            macs: reader.algorithms(Keyword::MACs, Family::Macs)?,
            pubkey_accepted_algorithms: reader
                .algorithms(Keyword::PubkeyAcceptedAlgorithms, Family::Keys)?,
            ca_signature_algorithms: reader
                .algorithms(Keyword::CASignatureAlgorithms, Family::CaSignatures)?,
            required_rsa_size: settings.number(Keyword::RequiredRSASize).unwrap_or(1024),
            identity_files: lines(Keyword::IdentityFile, &DEFAULT_IDENTITIES)?,
            certificate_files: lines(Keyword::CertificateFile, &[])?,
            identities_only: reader.flag(Keyword::IdentitiesOnly, false),
            identity_agent: IdentityAgent::read(agent.as_deref()),
            preferred_authentications: preferred
                .map(|list| list.split(',').map(str::to_owned).collect()),
            pubkey_authentication: settings.choice(Keyword::PubkeyAuthentication) != Some("false"),
            password_authentication: reader.flag(Keyword::PasswordAuthentication, true),
            kbd_interactive_authentication: reader
                .flag(Keyword::KbdInteractiveAuthentication, true),
            number_of_password_prompts: settings
                .number(Keyword::NumberOfPasswordPrompts)
                .unwrap_or(3),
            batch_mode: reader.flag(Keyword::BatchMode, false),
            user_known_hosts_files: paths(Keyword::UserKnownHostsFile, &USER_KNOWN_HOSTS)?,
            global_known_hosts_files: global_known_hosts(local, &settings)?,
            known_hosts_command,
            hash_known_hosts: reader.flag(Keyword::HashKnownHosts, false),
            strict_host_key_checking: match settings.choice(Keyword::StrictHostKeyChecking) {
                Some("true") => StrictHostKeyChecking::Yes,
                Some("accept-new") => StrictHostKeyChecking::AcceptNew,
                Some("false") => StrictHostKeyChecking::Off,
                _ => StrictHostKeyChecking::Ask,
            },
            update_host_keys: reader.update_host_keys(),
            verify_host_key_dns: reader.ask(Keyword::VerifyHostKeyDNS).unwrap_or(Ask::No),
            check_host_ip: reader.flag(Keyword::CheckHostIP, false),
            no_host_authentication_for_localhost: reader
                .flag(Keyword::NoHostAuthenticationForLocalhost, false),
            revoked_host_keys: paths(Keyword::RevokedHostKeys, &[])?,
            send_env: settings
                .all(Keyword::SendEnv)
                .filter_map(|setting| Some(setting.text()?.to_owned()))
                .collect(),
            set_env,
            request_tty: match settings.choice(Keyword::RequestTTY) {
                Some("true") => RequestTty::Yes,
                Some("false") => RequestTty::No,
                Some("force") => RequestTty::Force,
                _ => RequestTty::Auto,
            },
            agent,
            control_path,
            remote_command,
            // The tokens borrow these until here.
            hostname: String::new(),
            user: String::new(),
            host_key_alias: None,
            settings: Settings::new(),
        };
        // `ssh` checks this list too, and we never log in by host.
        reader.algorithms(Keyword::HostbasedAcceptedAlgorithms, Family::Keys)?;
        Ok(Self {
            hostname,
            user,
            host_key_alias: alias,
            settings,
            ..host_config
        })
    }

    /// Where a keyword was set, its name in any case; `None` when its value is the default.
    ///
    /// For a keyword whose lines add up (IdentityFile, CertificateFile, SendEnv) it is the first line.
    pub fn origin(&self, keyword: &str) -> Option<&Origin> {
        let setting = self.settings.get(Keyword::named(keyword)?)?;
        setting.origin.as_ref()
    }

    /// The settings for this host that have no effect here.
    pub fn unsupported(&self) -> impl Iterator<Item = Unsupported> {
        self.settings.iter().filter_map(|setting| {
            Unsupported::new(setting.keyword, &setting.value, setting.origin.clone()?)
        })
    }
}

/// The login name: tokens and variables of a file's name are filled in, as OpenSSH 10.0 does it.
fn user(
    local: &Local,
    query: &Query,
    hostname: &str,
    port: u16,
    alias: Option<&str>,
    settings: &Settings,
) -> Result<String, String> {
    let Some(setting) = settings.get(Keyword::User) else {
        return Ok(local.user.clone());
    };
    let user = setting.text().unwrap_or_default();
    if setting.origin == Some(Origin::Query) || !user.contains(['%', '$']) {
        return Ok(user.to_owned());
    }
    let jump = settings.jump().and_then(|jump| jump.hosts.hosts().last());
    let tokens = Tokens {
        local,
        original: &query.host,
        host: hostname,
        port,
        user: "",
        jump: jump.map_or("", |jump| jump.host()),
        key_alias: alias.unwrap_or(&query.host),
        hash: OnceCell::new(),
    };
    let environment = |name: &str| local.variable(name);
    // Not `%r`, which is the user, nor `%C`, of which it is a part.
    let token = |key| (key != 'r' && key != 'C').then(|| tokens.common(key))?;
    let expanded = tokens::expand(user, Some(&environment), Some(&token))
        .map_err(|message| setting.says(&message))?;
    if expanded != user {
        check_user(&expanded).map_err(|message| setting.says(&message))?;
    }
    Ok(expanded)
}

fn global_known_hosts(local: &Local, settings: &Settings) -> Result<Vec<PathBuf>, String> {
    let listed = settings.texts(Keyword::GlobalKnownHostsFile);
    if listed.is_empty() {
        return Ok(GLOBAL_KNOWN_HOSTS.iter().map(PathBuf::from).collect());
    }
    let paths = listed
        .iter()
        .filter(|path| !path.eq_ignore_ascii_case("none"));
    paths
        .map(|path| tokens::expand_home(path, local).map(|path| path.into_owned().into()))
        .collect()
}

impl IdentityAgent {
    fn read(text: Option<&str>) -> Self {
        match text {
            None | Some("SSH_AUTH_SOCK") => Self::Environment("SSH_AUTH_SOCK".into()),
            Some("none") => Self::None,
            Some(text) => match text.strip_prefix('$') {
                Some(name) if !name.starts_with('{') => Self::Environment(name.to_owned()),
                _ => Self::Socket(text.into()),
            },
        }
    }
}

/// Reads settings as the types of this module.
pub(super) struct Reader<'a> {
    pub(super) settings: &'a Settings,
}

impl Reader<'_> {
    fn flag(&self, keyword: Keyword, default: bool) -> bool {
        self.settings
            .choice(keyword)
            .map_or(default, |choice| choice == "yes")
    }

    fn ask(&self, keyword: Keyword) -> Option<Ask> {
        Some(match self.settings.choice(keyword)? {
            "true" => Ask::Yes,
            "ask" => Ask::Ask,
            _ => Ask::No,
        })
    }

    pub(super) fn algorithms(
        &self,
        keyword: Keyword,
        family: Family,
    ) -> Result<Algorithms, String> {
        match self.settings.get(keyword).map(|setting| &*setting.value) {
            Some(Value::Algorithms(specification)) => specification
                .assemble()
                .map_err(|message| self.settings.says(keyword, &message)),
            _ => Ok(family.defaults()),
        }
    }

    /// By default yes, where nothing else says what is known of hosts; nobody can be asked while a command runs.
    fn update_host_keys(&self) -> Ask {
        let settings = self.settings;
        let files = settings.texts(Keyword::UserKnownHostsFile);
        let is_plain = files.is_empty() || files == [USER_KNOWN_HOSTS[0]];
        let has_dns = self
            .ask(Keyword::VerifyHostKeyDNS)
            .is_some_and(|ask| ask != Ask::No);
        match self.ask(Keyword::UpdateHostKeys) {
            None if is_plain && !has_dns => Ask::Yes,
            None => Ask::No,
            Some(Ask::Ask) => {
                let runs_command = settings
                    .text(Keyword::RemoteCommand)
                    .is_some_and(|command| !command.eq_ignore_ascii_case("none"));
                let has_terminal = settings.choice(Keyword::RequestTTY) != Some("false");
                let is_quiet = matches!(
                    settings.choice(Keyword::LogLevel),
                    Some("QUIET" | "FATAL" | "ERROR")
                );
                if runs_command || !has_terminal || is_quiet {
                    Ask::No
                } else {
                    Ask::Ask
                }
            }
            Some(ask) => ask,
        }
    }
}
