//! Logging in with keys and certificates (RFC 4252, section 7).

use std::sync::Arc;
use std::time::Duration;

use russh::keys::agent::AgentIdentity;
use russh::keys::agent::client::AgentClient;
use russh::keys::{Algorithm, Certificate, HashAlg, PrivateKeyWithHashAlg, PublicKey};
use tokio::time::timeout;

use super::super::algorithms::check_rsa_size;
use super::candidates::{Candidate, Identities, Shown, Source};
use super::signer::{Signer, Unsigned};
use super::{Answer, Login};
use crate::Result;
use crate::certificate::check_time;
use crate::config::Algorithms;

/// How long the agent may take to list its keys.
const LISTING: Duration = Duration::from_secs(5);

impl Login<'_> {
    /// Finds out which keys there are, and in which order to offer them.
    pub(super) async fn gather_keys(&mut self) {
        let settings = self.settings;
        let named = !settings.identity_files.is_empty();
        let paths = match named {
            true => &settings.identity_files,
            false => &settings.default_identity_files,
        };
        let mut identities = Identities {
            certificates: Vec::new(),
            files: Vec::new(),
            named,
            agent: self.ask_agent().await,
            only_named: settings.identities_only,
        };
        for path in paths {
            match self.shared.key_file(path) {
                Ok(file) => identities.files.push(file),
                // The default files need not exist.
                Err(_) if !named && !path.exists() => {}
                Err(why) => self.tried.push(format!("{}, which {why}", path.display())),
            }
        }
        for path in &settings.certificate_files {
            match self.shared.certificate(path) {
                Ok(certificate) => identities.certificates.push((path.clone(), certificate)),
                Err(why) => self.tried.push(format!("{}, which {why}", path.display())),
            }
        }
        self.candidates = identities.in_order(&mut self.tried);
    }

    /// The agent's keys; what is wrong with the agent is noted.
    async fn ask_agent(&mut self) -> Vec<AgentIdentity> {
        let Some(socket) = &self.settings.agent else {
            return Vec::new();
        };
        let binding = self.connection.agent_session_binding();
        let list = async {
            let mut agent = AgentClient::connect_uds(socket).await?;
            if let Some(binding) = binding {
                // Keys that are bound to destinations are shown after this only; agents that do not know it refuse.
                let _ = agent.bind_session(binding, false).await;
            }
            let identities = agent.request_identities().await?;
            Ok::<_, russh::keys::Error>((agent, identities))
        };
        let why = match timeout(LISTING, list).await {
            Ok(Ok((agent, identities))) => {
                self.agent = Some(agent);
                return identities;
            }
            Ok(Err(error)) => error.to_string(),
            Err(_) => format!("no answer within {LISTING:?}"),
        };
        let socket = socket.display();
        self.tried.push(format!(
            "the agent at {socket}, which does not list its keys: {why}"
        ));
        Vec::new()
    }

    /// Offers a key, and signs if the server takes it.
    pub(super) async fn offer(&mut self, candidate: Candidate) -> Result<Answer> {
        let Candidate {
            shown,
            signer,
            mut name,
        } = candidate;
        let prompts = self.settings.password_prompts;
        let shown = match (shown, &signer) {
            (Some(shown), _) => shown,
            (None, Source::File(file)) => match file.open(self.asking, prompts).await {
                Ok(key) => Shown::Key(Arc::new(key.public_key().clone())),
                Err(unsigned) => return self.unsigned(name, unsigned),
            },
            // What the agent has is known.
            (None, Source::Agent { .. }) => return Ok(Answer::Failure),
        };
        let key = match &shown {
            Shown::Key(key) => key.key_data(),
            Shown::Certificate(certificate) => {
                if let Err(wrong) = check_time(certificate, jiff::Timestamp::now()) {
                    name.push_str(&format!(", which {wrong}"));
                }
                certificate.public_key()
            }
        };
        let is_rsa = key.algorithm().is_rsa();
        if let Err(wrong) = check_rsa_size(key, self.settings.required_rsa_size) {
            self.tried
                .push(format!("{name}, not offered, for it {wrong}"));
            return Ok(Answer::Failure);
        }
        let hash = if is_rsa {
            let best = self.connection.best_supported_rsa_hash().await?;
            match rsa_hash(best, &shown, self.settings.own_signatures.as_ref()) {
                Some(hash) => hash,
                None => {
                    let why =
                        "not offered, for there is no signature for RSA keys that both sides take";
                    self.tried.push(format!("{name}, {why}"));
                    return Ok(Answer::Failure);
                }
            }
        } else if shown.is_accepted(None, self.settings.own_signatures.as_ref()) {
            None
        } else {
            self.tried
                .push(format!("{name}, not offered (PubkeyAcceptedAlgorithms)"));
            return Ok(Answer::Failure);
        };
        let (user, connection) = (&self.settings.user, &mut *self.connection);
        // The connection can sign by itself then, which spares two changes of tasks.
        if let (Source::File(file), Shown::Key(_)) = (&signer, &shown)
            && let Some(key) = file.ready()
        {
            let key = PrivateKeyWithHashAlg::new(key, hash);
            let result = connection.authenticate_publickey(user, key).await;
            return self.judge(Some(name), result);
        }
        let mut signer = match (&signer, &mut self.agent) {
            (Source::File(file), _) => Signer::File {
                file,
                prompts,
                asking: self.asking,
            },
            (Source::Agent { plain }, Some(client)) => Signer::Agent {
                client,
                plain: plain.clone(),
                asking: self.asking,
            },
            (Source::Agent { .. }, None) => {
                self.tried
                    .push(format!("{name}, not offered, for the agent is gone"));
                return Ok(Answer::Failure);
            }
        };
        let result = match shown {
            Shown::Certificate(certificate) => {
                let certificate = Certificate::clone(&certificate);
                let shown =
                    connection.authenticate_certificate_with(user, certificate, hash, &mut signer);
                Box::pin(shown).await
            }
            Shown::Key(key) => {
                let key = PublicKey::clone(&key);
                let shown = connection.authenticate_publickey_with(user, key, hash, &mut signer);
                Box::pin(shown).await
            }
        };
        match result {
            Ok(result) => self.judge(Some(name), Ok(result)),
            Err(unsigned) => self.unsigned(format!("{name}, which the server takes"), unsigned),
        }
    }

    /// Notes why there was no signature; another key may do.
    fn unsigned(&mut self, name: String, unsigned: Unsigned) -> Result<Answer> {
        match unsigned {
            Unsigned::Refused(why) => self.tried.push(format!("{name}: {why}")),
            Unsigned::AgentLost(why) => {
                self.tried.push(format!("{name}: {why}"));
                self.agent = None;
            }
            Unsigned::Disconnected => {
                self.tried.push(name);
                return Err(self.disconnected());
            }
            Unsigned::Failed(error) => return Err(error),
        }
        Ok(Answer::Failure)
    }
}

/// The hash for signatures with an RSA key (RFC 8332) that the server and we take; none when there is no such hash.
///
/// SHA-1, the hash `None`, is used only where the user asks for it (`ssh-rsa` in PubkeyAcceptedAlgorithms) and the server
/// says nothing better, as by OpenSSH since 8.8. Otherwise a server that says nothing gets SHA-512.
fn rsa_hash(
    best: Option<Option<HashAlg>>,
    shown: &Shown,
    accepted: Option<&Algorithms>,
) -> Option<Option<HashAlg>> {
    let hashes: &[Option<HashAlg>] = match best {
        None if shown.is_accepted(None, accepted) => &[None],
        Some(Some(HashAlg::Sha512)) | None => &[Some(HashAlg::Sha512), Some(HashAlg::Sha256), None],
        Some(Some(_)) => &[Some(HashAlg::Sha256), None],
        Some(None) => &[None],
    };
    let is_accepted = |hash: &&Option<HashAlg>| shown.is_accepted(**hash, accepted);
    hashes.iter().find(is_accepted).copied()
}

impl Shown {
    /// Whether we may show this, and sign for it with this hash if it is an RSA key.
    fn is_accepted(&self, hash: Option<HashAlg>, accepted: Option<&Algorithms>) -> bool {
        let with_hash = |algorithm: Algorithm| match algorithm {
            Algorithm::Rsa { .. } => Algorithm::Rsa { hash },
            other => other,
        };
        let (algorithm, name) = match self {
            Self::Key(key) => {
                let algorithm = with_hash(key.algorithm());
                let name = algorithm.to_string();
                (algorithm, name)
            }
            Self::Certificate(certificate) => {
                let algorithm = with_hash(certificate.algorithm());
                let name = algorithm.to_certificate_type();
                (algorithm, name)
            }
        };
        match accepted {
            Some(names) => names.contains(&name),
            None => algorithm != Algorithm::Rsa { hash: None },
        }
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test that fails says where")]
mod tests {
    use super::*;
    use crate::config::{Config, Query};

    const SHA512: Option<HashAlg> = Some(HashAlg::Sha512);
    const SHA256: Option<HashAlg> = Some(HashAlg::Sha256);

    #[test]
    fn an_rsa_key_signs_with_the_best_hash_that_both_sides_take() {
        let key = include_str!("../../known_hosts/test_keys/rsa.pub");
        let shown = Shown::Key(Arc::new(PublicKey::from_openssh(key).unwrap()));
        let accepted = |value: &str| {
            let config =
                Config::parse(format!("PubkeyAcceptedAlgorithms {value}"), "test").unwrap();
            config
                .resolve(&Query::new("web1"))
                .unwrap()
                .pubkey_accepted_algorithms
        };
        for (server, we, hash) in [
            (None, None, Some(SHA512)),
            (None, Some("+ssh-rsa"), Some(None)),
            (Some(SHA512), None, Some(SHA512)),
            (Some(SHA256), None, Some(SHA256)),
            (Some(None), None, None),
            (Some(None), Some("+ssh-rsa"), Some(None)),
            (Some(SHA512), Some("+ssh-rsa"), Some(SHA512)),
            (Some(SHA512), Some("-rsa-sha2-512"), Some(SHA256)),
            (Some(SHA512), Some("ssh-ed25519"), None),
        ] {
            let we = we.map(accepted);
            assert_eq!(
                rsa_hash(server, &shown, we.as_ref()),
                hash,
                "{server:?} {we:?}"
            );
        }
    }
}
