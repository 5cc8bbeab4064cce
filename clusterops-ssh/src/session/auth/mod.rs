//! Who we are: logging in with keys, certificates, passwords and answers.

mod asking;
mod candidates;
mod interactive;
mod key_file;
mod passwords;
mod public_key;
mod signer;

use std::fmt;
use std::pin::pin;

use clusterops_core::Target;
use russh::client::AuthResult;
use russh::keys::agent::client::AgentClient;
use russh::{MethodKind, MethodSet};
use tokio::net::UnixStream;

use self::asking::Asking;
use self::candidates::Candidate;
pub(super) use self::key_file::{KeyFile, load_certificate};
pub(super) use self::passwords::Passwords;
use super::link::Connection;
use super::lost::Lost;
use super::settings::Settings;
use super::shared::Shared;
use crate::config::HostConfig;
use crate::{Credentials, Error, ErrorKind, LOG, Purpose, Result};

/// A way to log in (RFC 4252, RFC 4256).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Method {
    PublicKey,
    KeyboardInteractive,
    Password,
}

impl Method {
    /// The methods that ssh(1) tries, in its order, as far as there are any here.
    pub(crate) const ALL: [Self; 3] = [Self::PublicKey, Self::KeyboardInteractive, Self::Password];

    /// The methods that the configuration allows, in the order that it prefers (`PreferredAuthentications` and the
    /// keywords that allow each, ssh_config(5)).
    pub(crate) fn of(host: &HostConfig) -> Vec<Self> {
        let is_allowed = |method: Self| match method {
            Self::PublicKey => host.pubkey_authentication,
            Self::KeyboardInteractive => host.kbd_interactive_authentication && !host.batch_mode,
            Self::Password => host.password_authentication && !host.batch_mode,
        };
        let known = |name: &str| match name {
            "publickey" => Some(Self::PublicKey),
            "keyboard-interactive" => Some(Self::KeyboardInteractive),
            "password" => Some(Self::Password),
            _ => None,
        };
        let preferred = match &host.preferred_authentications {
            Some(names) => names.iter().filter_map(|name| known(name)).collect(),
            None => Self::ALL.to_vec(),
        };
        preferred
            .into_iter()
            .filter(|method| is_allowed(*method))
            .collect()
    }

    fn kind(self) -> MethodKind {
        match self {
            Self::PublicKey => MethodKind::PublicKey,
            Self::KeyboardInteractive => MethodKind::KeyboardInteractive,
            Self::Password => MethodKind::Password,
        }
    }
}

/// Logs in within the deadline, in which the time for asking people does not count. Where there is a `doubt` that the host is
/// the right one, it gets nothing that it could use itself: no password and no answers, as with ssh(1).
///
/// # Errors
/// [`ErrorKind::Authentication`] says what was tried and what the server would have taken; [`ErrorKind::Timeout`] and
/// [`ErrorKind::Disconnected`]; and what the credentials fail with.
pub(super) async fn authenticate(
    shared: &Shared,
    connection: &mut Connection,
    lost: &Lost,
    settings: &Settings,
    target: &Target,
    credentials: Option<&dyn Credentials>,
    doubt: Option<&str>,
) -> Result<()> {
    let limit = settings.authentication_deadline;
    let asking = Asking::new(credentials, target);
    let login = Login {
        shared,
        connection,
        lost,
        settings,
        asking: &asking,
        agent: None,
        candidates: Vec::new(),
        methods: {
            let mut methods = settings.methods.clone();
            methods.retain(|method| doubt.is_none() || *method == Method::PublicKey);
            methods
        },
        doubt,
        accepted: None,
        tried: Vec::new(),
    };
    asking
        .bounded(limit, pin!(login.run()))
        .await
        .unwrap_or_else(|| {
            let message = format!("the server did not answer the authentication within {limit:?}");
            Err(Error::new(ErrorKind::Timeout, message))
        })
}

/// One authentication on its way.
struct Login<'a> {
    shared: &'a Shared,
    connection: &'a mut Connection,
    /// Why the connection was lost, once it is.
    lost: &'a Lost,
    settings: &'a Settings,
    asking: &'a Asking<'a>,
    agent: Option<AgentClient<UnixStream>>,
    /// The keys to offer, the next one first.
    candidates: Vec<Candidate>,
    /// The methods that are not used up.
    methods: Vec<Method>,
    /// Why the host may be another one, if it may.
    doubt: Option<&'a str>,
    /// What the server would take, once it has said so.
    accepted: Option<MethodSet>,
    /// What was tried, with what came of it.
    tried: Vec<String>,
}

/// What a server says to an attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Answer {
    /// We are in.
    Success,
    /// That was right, and more is asked for (AuthenticationMethods, sshd_config(5)).
    Partial,
    Failure,
}

impl Login<'_> {
    async fn run(mut self) -> Result<()> {
        if self.methods.contains(&Method::PublicKey) {
            self.gather_keys().await;
        }
        let mut keys = self.candidates.clone();
        loop {
            let answer = match self.next_method() {
                Some(Method::PublicKey) => match self.next_candidate() {
                    Some(candidate) => {
                        let name = candidate.name.clone();
                        let answer = self.offer(candidate).await?;
                        if answer == Answer::Partial {
                            keys.retain(|key| key.name != name);
                        }
                        answer
                    }
                    None => {
                        self.give_up(Method::PublicKey);
                        continue;
                    }
                },
                // Nobody is asked for what the server does not want to know.
                _ if self.accepted.is_none() => self.ask_for_methods().await?,
                Some(Method::KeyboardInteractive) => self.keyboard_interactive().await?,
                Some(Method::Password) => {
                    let answer = self.password().await?;
                    if answer == Answer::Partial {
                        self.give_up(Method::Password);
                    }
                    answer
                }
                None => return Err(self.failed()),
            };
            match answer {
                Answer::Success => return Ok(()),
                Answer::Failure => {}
                // Keys that came too early may be wanted now, and one that was accepted is not wanted twice.
                Answer::Partial => {
                    self.candidates.clone_from(&keys);
                    if !keys.is_empty() && !self.methods.contains(&Method::PublicKey) {
                        self.methods.insert(0, Method::PublicKey);
                    }
                }
            }
        }
    }

    fn next_candidate(&mut self) -> Option<Candidate> {
        (!self.candidates.is_empty()).then(|| self.candidates.remove(0))
    }

    /// The first method that is left and, as far as we know, accepted.
    fn next_method(&self) -> Option<Method> {
        let is_accepted = |method: &Method| {
            let accepted = self.accepted.as_ref();
            accepted.is_none_or(|accepted| accepted.contains(&method.kind()))
        };
        self.methods.iter().copied().find(is_accepted)
    }

    fn give_up(&mut self, method: Method) {
        self.methods.retain(|other| *other != method);
    }

    /// The server answers a login without anything with what it would take (RFC 4252, section 5.2).
    async fn ask_for_methods(&mut self) -> Result<Answer> {
        let result = self.connection.authenticate_none(&self.settings.user).await;
        match self.judge(None, result) {
            // A server that says nothing takes nothing.
            Ok(answer) => {
                self.accepted.get_or_insert_with(MethodSet::empty);
                Ok(answer)
            }
            error => error,
        }
    }

    /// Notes what the server said to an attempt, which has a name if it counts.
    fn judge(
        &mut self,
        name: Option<String>,
        result: Result<AuthResult, russh::Error>,
    ) -> Result<Answer> {
        if let Some(name) = &name {
            let said = match &result {
                Ok(AuthResult::Success) => "accepted",
                Ok(AuthResult::Failure {
                    partial_success: true,
                    ..
                }) => "accepted, and more is asked for",
                Ok(AuthResult::Failure { .. }) => "refused",
                Err(_) => "no answer",
            };
            log::debug!(target: LOG, "{}: {name}: {said}", self.settings.name);
        }
        let (remaining, partial) = match result {
            Ok(AuthResult::Success) => return Ok(Answer::Success),
            Ok(AuthResult::Failure {
                remaining_methods,
                partial_success,
            }) => (remaining_methods, partial_success),
            Err(error) => {
                self.tried.extend(name);
                let error = Error::from(error);
                return match error.kind() {
                    ErrorKind::Disconnected => Err(self.disconnected()),
                    _ => Err(error),
                };
            }
        };
        self.tried.extend(name.map(|name| match partial {
            true => format!("{name}: accepted, but more is asked for"),
            false => name,
        }));
        // russh tells a lost connection in this way, too.
        if remaining.is_empty() && (self.connection.is_closed() || self.lost.error().is_some()) {
            return Err(self.disconnected());
        }
        self.accepted = Some(remaining);
        Ok(if partial {
            Answer::Partial
        } else {
            Answer::Failure
        })
    }

    /// The connection ended on the way. sshd hangs up after MaxAuthTries keys (sshd_config(5)), and says so; without a
    /// word, and at the first attempt, it is a lost line.
    fn disconnected(&self) -> Error {
        let lost = self.lost.error();
        let why = lost.as_ref().map_or("", Error::message);
        if self.tried.len() <= 1 && !why.starts_with(super::verifier::SAID) {
            let message = "the host closed the connection during authentication";
            return self
                .lost
                .explain(Error::new(ErrorKind::Disconnected, message));
        }
        if let Some(at_jump_host) = self.lost.at_jump_host() {
            return at_jump_host;
        }
        let message = format!(
            "{}, and then the server closed the connection: name the right key as identity file",
            self.summary()
        );
        let error = Error::new(ErrorKind::Authentication, message);
        if why.is_empty() {
            error
        } else {
            error.caused_by(why.to_owned())
        }
    }

    fn failed(&self) -> Error {
        let accepted = self.accepted.as_ref().filter(|methods| !methods.is_empty());
        let mut message = self.summary();
        if let Some(methods) = accepted {
            let names: Vec<&str> = methods.iter().map(Into::into).collect();
            message.push_str(&format!("; it would take: {}", names.join(", ")));
            let wants_answers = methods.contains(&MethodKind::Password)
                || methods.contains(&MethodKind::KeyboardInteractive);
            if wants_answers && let Some(doubt) = self.doubt {
                message.push_str(&format!("; it gets no password, for {doubt}"));
            } else if wants_answers && !self.asking.can_answer(&Purpose::Password) {
                message.push_str("; there is no password, and nobody to ask for one");
            }
        }
        Error::new(ErrorKind::Authentication, message)
    }

    fn summary(&self) -> String {
        let tried = if self.tried.is_empty() {
            self.nothing()
        } else {
            self.tried.join("; ")
        };
        let user = &self.settings.user;
        format!("the server does not let `{user}` in; tried: {tried}")
    }
}

impl Login<'_> {
    /// Why nothing was tried.
    fn nothing(&self) -> String {
        if self.settings.methods.contains(&Method::PublicKey) {
            "nothing, for there is no key".to_owned()
        } else {
            "nothing, for the configuration leaves keys out (PreferredAuthentications, PubkeyAuthentication)".to_owned()
        }
    }
}

impl fmt::Display for Method {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str((&self.kind()).into())
    }
}
