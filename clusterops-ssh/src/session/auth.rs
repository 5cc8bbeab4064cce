//! Who we are: keys from files and from the agent.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use clusterops_core::Target;
use russh::client::AuthResult;
use russh::keys::agent::AgentIdentity;
use russh::keys::agent::client::AgentClient;
use russh::keys::ssh_key::HashAlg;
use russh::keys::{PrivateKey, PrivateKeyWithHashAlg};

use super::connect::{Connection, Connector, expand_home};
use crate::{Error, ErrorKind, Result};

/// The key files that ssh(1) tries when none is named, as far as russh reads them.
const DEFAULT_IDENTITIES: [&str; 3] = ["~/.ssh/id_ed25519", "~/.ssh/id_ecdsa", "~/.ssh/id_rsa"];

/// Tries the named key files, then the agent's keys, then (when no file was named) the default key files.
pub(super) async fn authenticate(
    connector: &Connector,
    connection: &mut Connection,
    target: &Target,
) -> Result<()> {
    let user = match target.user.as_ref().or(connector.options.user.as_ref()) {
        Some(user) => user.clone(),
        None => local_user()?,
    };
    let named: Vec<PathBuf> = match &target.identity_file {
        Some(path) => vec![path.clone()],
        None => connector.options.identity_files.clone(),
    };
    let mut attempt = Attempt {
        connection,
        user,
        tried: Vec::new(),
        accepted: None,
    };
    for path in &named {
        let path = expand_home(path)?;
        let key = connector
            .key(&path)
            .map_err(|error| unusable(&path, &error))?;
        if attempt.key(&path, key).await? {
            return Ok(());
        }
    }
    if connector.options.agent && attempt.agent().await? {
        return Ok(());
    }
    if named.is_empty() {
        for path in DEFAULT_IDENTITIES {
            let path = expand_home(Path::new(path))?;
            if !path.exists() {
                continue;
            }
            match connector.key(&path) {
                Ok(key) => {
                    if attempt.key(&path, key).await? {
                        return Ok(());
                    }
                }
                Err(error) => attempt.tried.push(unusable(&path, &error).full_message()),
            }
        }
    }
    Err(attempt.failed())
}

/// One authentication: what was tried, and what the server would have taken.
struct Attempt<'a> {
    connection: &'a mut Connection,
    user: String,
    tried: Vec<String>,
    accepted: Option<String>,
}

impl Attempt<'_> {
    async fn key(&mut self, path: &Path, key: Arc<PrivateKey>) -> Result<bool> {
        let hash = if key.algorithm().is_rsa() {
            self.rsa_hash().await?
        } else {
            None
        };
        let name = format!("{} ({})", path.display(), key.algorithm());
        let result = self
            .connection
            .authenticate_publickey(&self.user, PrivateKeyWithHashAlg::new(key, hash))
            .await;
        self.judge(name, result)
    }

    async fn agent(&mut self) -> Result<bool> {
        let Some(socket) = std::env::var_os("SSH_AUTH_SOCK").filter(|path| !path.is_empty()) else {
            return Ok(false);
        };
        let Ok(mut agent) = AgentClient::connect_uds(&socket).await else {
            self.tried.push(format!(
                "the agent at {} (it does not answer)",
                Path::new(&socket).display()
            ));
            return Ok(false);
        };
        let Ok(identities) = agent.request_identities().await else {
            self.tried
                .push("the agent (it does not list its keys)".into());
            return Ok(false);
        };
        for identity in identities {
            let AgentIdentity::PublicKey { key, comment } = identity else {
                continue;
            };
            let hash = if key.algorithm().is_rsa() {
                self.rsa_hash().await?
            } else {
                None
            };
            let name = format!("agent key {comment:?} ({})", key.algorithm());
            match self
                .connection
                .authenticate_publickey_with(&self.user, key, hash, &mut agent)
                .await
            {
                Ok(result) => {
                    if self.judge(name, Ok(result))? {
                        return Ok(true);
                    }
                }
                // The agent would not sign with this key: the next one may do.
                Err(error) => self.tried.push(format!("{name}: {error}")),
            }
        }
        Ok(false)
    }

    fn judge(&mut self, name: String, result: Result<AuthResult, russh::Error>) -> Result<bool> {
        match result {
            Ok(AuthResult::Success) => Ok(true),
            Ok(AuthResult::Failure {
                remaining_methods,
                partial_success,
            }) => {
                let methods: Vec<&str> = remaining_methods.iter().map(Into::into).collect();
                self.accepted = Some(methods.join(", "));
                self.tried.push(if partial_success {
                    format!("{name}: accepted, but more is asked for")
                } else {
                    name
                });
                Ok(false)
            }
            Err(error) => {
                self.tried.push(name);
                let error = Error::from(error);
                if error.kind() != ErrorKind::Disconnected {
                    return Err(error);
                }
                // sshd hangs up after MaxAuthTries keys (sshd_config(5)); as the first key's answer it is a lost line.
                if self.tried.len() == 1 {
                    return Err(Error::new(
                        ErrorKind::Disconnected,
                        "the host closed the connection during authentication",
                    ));
                }
                self.accepted.get_or_insert_default();
                Err(Error::new(
                    ErrorKind::Authentication,
                    format!(
                        "{}, and then the server closed the connection: name the right key as identity file",
                        self.summary()
                    ),
                ))
            }
        }
    }

    /// The signature hash for RSA keys that the server takes (RFC 8332); SHA-512 when it does not say.
    async fn rsa_hash(&self) -> Result<Option<HashAlg>> {
        Ok(self
            .connection
            .best_supported_rsa_hash()
            .await?
            .unwrap_or(Some(HashAlg::Sha512)))
    }

    fn summary(&self) -> String {
        let tried = if self.tried.is_empty() {
            "nothing, for there is no key".into()
        } else {
            self.tried.join("; ")
        };
        format!("the server does not let `{}` in; tried: {tried}", self.user)
    }

    fn failed(&self) -> Error {
        let accepted = match &self.accepted {
            Some(methods) => format!("; it would take: {methods}"),
            None => String::new(),
        };
        Error::new(
            ErrorKind::Authentication,
            format!("{}{accepted}", self.summary()),
        )
    }
}

fn unusable(path: &Path, error: &russh::keys::Error) -> Error {
    let path = path.display();
    let message = match error {
        russh::keys::Error::KeyIsEncrypted => {
            format!(
                "the identity file {path} is encrypted: load it into the agent (ssh-add {path})"
            )
        }
        russh::keys::Error::IO(error) => {
            format!("the identity file {path} cannot be read: {error}")
        }
        error => format!("the identity file {path} is no private key that can be used: {error}"),
    };
    Error::new(ErrorKind::Authentication, message)
}

/// The name of the user that this process runs as.
fn local_user() -> Result<String> {
    match nix::unistd::User::from_uid(nix::unistd::Uid::effective()) {
        Ok(Some(user)) => Ok(user.name),
        _ => Err(Error::new(
            ErrorKind::Local,
            "the local user has no name; say which user logs in",
        )),
    }
}
