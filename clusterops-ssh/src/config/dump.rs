//! The effective configuration in words, as `ssh -G` prints it.

use std::fmt;
use std::time::Duration;

use super::algorithms::Family;
use super::canonical;
use super::host::{Ask, DEFAULT_IDENTITIES, GLOBAL_KNOWN_HOSTS, HostConfig, Reader};
use super::keyword::{Keyword, Kind};
use super::settings::Origin;
use super::value::{Jump, Value};

/// A line of the effective configuration.
///
/// Displays as `ssh -G` prints it.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct EffectiveLine {
    /// The keyword in lower case.
    pub keyword: String,
    /// Its value.
    pub value: String,
    /// Where it was set; `None` for a default.
    pub origin: Option<Origin>,
}

impl fmt::Display for EffectiveLine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.keyword, self.value)
    }
}

/// The keywords in the order of `ssh -G` (OpenSSH 9.2), and the values it prints when they are not set.
///
/// Left out are those without effect here whose values are not looked at, and those of patched versions.
const ORDER: &[(Keyword, Option<&str>)] = &[
    (Keyword::User, None),
    (Keyword::Hostname, None),
    (Keyword::Port, None),
    (Keyword::AddressFamily, Some("any")),
    (Keyword::BatchMode, Some("no")),
    (Keyword::CanonicalizeFallbackLocal, Some("yes")),
    (Keyword::CanonicalizeHostname, Some("false")),
    (Keyword::CheckHostIP, Some("no")),
    (Keyword::Compression, Some("no")),
    (Keyword::ControlMaster, Some("false")),
    (Keyword::EnableSSHKeysign, Some("no")),
    (Keyword::ClearAllForwardings, Some("no")),
    (Keyword::ExitOnForwardFailure, Some("no")),
    (Keyword::FingerprintHash, Some("SHA256")),
    (Keyword::ForwardX11, Some("no")),
    (Keyword::GatewayPorts, Some("no")),
    (Keyword::GSSAPIAuthentication, Some("no")),
    (Keyword::GSSAPIDelegateCredentials, Some("no")),
    (Keyword::HashKnownHosts, Some("no")),
    (Keyword::HostbasedAuthentication, Some("no")),
    (Keyword::IdentitiesOnly, Some("no")),
    (Keyword::KbdInteractiveAuthentication, Some("yes")),
    (Keyword::NoHostAuthenticationForLocalhost, Some("no")),
    (Keyword::PasswordAuthentication, Some("yes")),
    (Keyword::PermitLocalCommand, Some("no")),
    (Keyword::ProxyUseFdpass, Some("no")),
    (Keyword::PubkeyAuthentication, Some("true")),
    (Keyword::RequestTTY, Some("auto")),
    (Keyword::SessionType, Some("default")),
    (Keyword::StdinNull, Some("no")),
    (Keyword::ForkAfterAuthentication, Some("no")),
    (Keyword::StreamLocalBindUnlink, Some("no")),
    (Keyword::StrictHostKeyChecking, Some("ask")),
    (Keyword::TCPKeepAlive, Some("yes")),
    (Keyword::Tunnel, Some("false")),
    (Keyword::VerifyHostKeyDNS, Some("false")),
    (Keyword::VisualHostKey, Some("no")),
    (Keyword::UpdateHostKeys, None),
    (Keyword::EnableEscapeCommandline, Some("no")),
    (Keyword::CanonicalizeMaxDots, Some("1")),
    (Keyword::ConnectionAttempts, Some("1")),
    (Keyword::ForwardX11Timeout, Some("1200")),
    (Keyword::NumberOfPasswordPrompts, Some("3")),
    (Keyword::ServerAliveCountMax, Some("3")),
    (Keyword::ServerAliveInterval, Some("0")),
    (Keyword::RequiredRSASize, Some("1024")),
    (Keyword::BindAddress, None),
    (Keyword::BindInterface, None),
    (Keyword::Ciphers, None),
    (Keyword::ControlPath, None),
    (Keyword::HostKeyAlgorithms, None),
    (Keyword::HostKeyAlias, None),
    (Keyword::HostbasedAcceptedAlgorithms, None),
    (Keyword::IdentityAgent, None),
    (Keyword::IgnoreUnknown, None),
    (Keyword::KbdInteractiveDevices, None),
    (Keyword::KexAlgorithms, None),
    (Keyword::CASignatureAlgorithms, None),
    (Keyword::LocalCommand, None),
    (Keyword::RemoteCommand, None),
    (Keyword::LogLevel, Some("INFO")),
    (Keyword::MACs, None),
    (Keyword::PKCS11Provider, None),
    (Keyword::SecurityKeyProvider, None),
    (Keyword::PreferredAuthentications, None),
    (Keyword::PubkeyAcceptedAlgorithms, None),
    (Keyword::RevokedHostKeys, None),
    (Keyword::XAuthLocation, Some("/usr/bin/xauth")),
    (Keyword::KnownHostsCommand, None),
    (Keyword::Tag, None),
    (Keyword::IdentityFile, None),
    (Keyword::CanonicalDomains, Some("none")),
    (Keyword::CertificateFile, None),
    (Keyword::GlobalKnownHostsFile, None),
    (Keyword::UserKnownHostsFile, None),
    (Keyword::SendEnv, None),
    (Keyword::SetEnv, None),
    (Keyword::ConnectTimeout, Some("none")),
    (Keyword::CanonicalizePermittedCNAMEs, Some("none")),
    (Keyword::RekeyLimit, Some("0 0")),
    (Keyword::ProxyCommand, None),
    (Keyword::ProxyJump, None),
];

impl HostConfig {
    /// The lines that `ssh -G` prints, in its order, for every keyword whose value is looked at here.
    ///
    /// ```
    /// use clusterops_ssh::config::{Config, Query};
    ///
    /// let config = Config::parse("Host web*\n  Port 2222\n", "example")?;
    /// let host = config.resolve(&Query::new("web1"))?;
    /// let port = host.lines().into_iter().find(|line| line.keyword == "port").expect("always there");
    /// assert_eq!((port.value.as_str(), port.origin.unwrap().to_string().as_str()), ("2222", "example:2"));
    /// # Ok::<(), clusterops_ssh::Error>(())
    /// ```
    pub fn lines(&self) -> Vec<EffectiveLine> {
        let mut lines = vec![EffectiveLine {
            keyword: "host".into(),
            value: self.host.clone(),
            origin: None,
        }];
        for (keyword, default) in ORDER {
            let first = self.settings.get(*keyword);
            let origin = first.and_then(|setting| setting.origin.clone());
            let line = |value, origin| EffectiveLine {
                keyword: keyword.spelling().to_ascii_lowercase(),
                value,
                origin,
            };
            if matches!(keyword.kind(), Kind::Lines | Kind::SendEnv) {
                let all = self.settings.all(*keyword);
                lines.extend(all.filter_map(|setting| {
                    let value = setting.text()?.to_owned();
                    Some(line(value, setting.origin.clone()))
                }));
                if *keyword == Keyword::IdentityFile && first.is_none() {
                    lines.extend(DEFAULT_IDENTITIES.map(|path| line(path.to_owned(), None)));
                }
            } else if *keyword == Keyword::SetEnv {
                let settings = self.set_env.iter();
                lines.extend(
                    settings.map(|(name, value)| line(format!("{name}={value}"), origin.clone())),
                );
            } else if let Some(value) = self.value(*keyword).or(default.map(str::to_owned)) {
                lines.push(line(value, origin));
            }
        }
        lines
    }

    /// The value of a keyword that has one line; `None` where it has the default of the order above.
    fn value(&self, keyword: Keyword) -> Option<String> {
        let settings = &self.settings;
        let paths = |paths: &[std::path::PathBuf]| {
            let paths: Vec<_> = paths
                .iter()
                .map(|path| path.display().to_string())
                .collect();
            if paths.is_empty() {
                "none".into()
            } else {
                paths.join(" ")
            }
        };
        let not_none = |text: &&str| !text.eq_ignore_ascii_case("none");
        match keyword {
            Keyword::User => Some(self.user.clone()),
            Keyword::Hostname => Some(self.hostname.clone()),
            Keyword::Port => Some(self.port.to_string()),
            Keyword::HostKeyAlias => self.host_key_alias.clone(),
            Keyword::UpdateHostKeys => Some(
                match self.update_host_keys {
                    Ask::Yes => "true",
                    Ask::No => "false",
                    Ask::Ask => "ask",
                }
                .into(),
            ),
            Keyword::Ciphers => Some(self.ciphers.to_string()),
            Keyword::MACs => Some(self.macs.to_string()),
            Keyword::KexAlgorithms => Some(self.kex_algorithms.to_string()),
            Keyword::HostKeyAlgorithms => Some(self.host_key_algorithms.to_string()),
            Keyword::PubkeyAcceptedAlgorithms => Some(self.pubkey_accepted_algorithms.to_string()),
            Keyword::CASignatureAlgorithms => Some(self.ca_signature_algorithms.to_string()),
            Keyword::HostbasedAcceptedAlgorithms => {
                let reader = Reader { settings };
                let list = reader.algorithms(keyword, Family::Keys);
                // It was assembled once before.
                list.ok().map(|list| list.to_string())
            }
            Keyword::ControlPath => Some(self.control_path.as_ref()?.display().to_string()),
            Keyword::RemoteCommand => self.remote_command.clone(),
            Keyword::IdentityAgent => self.agent.clone(),
            Keyword::ProxyJump => settings.jump().map(jump),
            Keyword::ProxyCommand => match settings.jump() {
                Some(_) => None,
                None => settings.proxy_command().map(str::to_owned),
            },
            Keyword::LocalCommand | Keyword::KnownHostsCommand | Keyword::PKCS11Provider => {
                settings.text(keyword).filter(not_none).map(str::to_owned)
            }
            Keyword::SecurityKeyProvider => {
                let provider = settings.text(keyword).unwrap_or("internal");
                Some(provider).filter(not_none).map(str::to_owned)
            }
            Keyword::UserKnownHostsFile => Some(paths(&self.user_known_hosts_files)),
            Keyword::RevokedHostKeys if self.revoked_host_keys.is_empty() => None,
            Keyword::RevokedHostKeys => Some(settings.texts(keyword).join(" ")),
            Keyword::GlobalKnownHostsFile => match settings.texts(keyword) {
                [] => Some(GLOBAL_KNOWN_HOSTS.join(" ")),
                [none] if none.eq_ignore_ascii_case("none") => Some("none".into()),
                files => Some(files.join(" ")),
            },
            // A tunnel is a forwarding too.
            Keyword::Tunnel if settings.choice(Keyword::ClearAllForwardings) == Some("yes") => None,
            Keyword::RekeyLimit => {
                let seconds = self.rekey_interval.unwrap_or(Duration::ZERO).as_secs();
                Some(format!("{} {seconds}", self.rekey_bytes.unwrap_or(0)))
            }
            _ => match &*settings.get(keyword)?.value {
                Value::Choice(word) => Some((*word).to_owned()),
                Value::Number(number) => Some(number.to_string()),
                Value::Text(text) => Some(text.clone()),
                Value::Texts(texts) => Some(texts.join(" ")),
                Value::Cnames(rules) if canonical::is_none(rules) => None,
                Value::Cnames(rules) => {
                    let rules = rules
                        .iter()
                        .map(|(source, target)| format!("{source}:{target}"));
                    Some(rules.collect::<Vec<_>>().join(" "))
                }
                Value::Algorithms(_) | Value::Jump(_) | Value::Rekey(..) => None,
            },
        }
    }
}

/// The last jump host in one form, those before it as they were written.
fn jump(jump: &Jump) -> String {
    let mut text = String::new();
    if let Some((before, _)) = jump.text.rsplit_once(',') {
        text = format!("{before},");
    }
    let Some(last) = jump.hosts.hosts().last() else {
        return text;
    };
    if let Some(user) = last.user() {
        text.push_str(&format!("{user}@"));
    }
    let is_number = |letter: char| letter.is_ascii_digit() || letter == '.';
    if last.host().contains(':') || last.host().chars().all(is_number) {
        text.push_str(&format!("[{}]", last.host()));
    } else {
        text.push_str(last.host());
    }
    if let Some(port) = last.port() {
        text.push_str(&format!(":{port}"));
    }
    text
}

impl fmt::Display for HostConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.lines()
            .iter()
            .try_for_each(|line| writeln!(f, "{line}"))
    }
}
