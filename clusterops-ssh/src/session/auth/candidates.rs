//! Which keys are offered to a server, and in which order.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use russh::keys::agent::AgentIdentity;
use russh::keys::ssh_key::certificate::CertType;
use russh::keys::{Certificate, PublicKey};

use super::key_file::KeyFile;
use crate::certificate;

/// What there is to log in with.
pub(super) struct Identities {
    /// Certificates that somebody named (`CertificateFile`, ssh_config(5)).
    pub(super) certificates: Vec<(PathBuf, Arc<Certificate>)>,
    /// Key files that somebody named, or else the default ones.
    pub(super) files: Vec<Arc<KeyFile>>,
    /// Whether somebody named them.
    pub(super) named: bool,
    pub(super) agent: Vec<AgentIdentity>,
    /// Whether to leave out what the agent has and nobody named (`IdentitiesOnly`).
    pub(super) only_named: bool,
}

/// Something to show to the server, and who can sign for it.
#[derive(Debug, Clone)]
pub(super) struct Candidate {
    /// None for a file that has to be opened to know its key.
    pub(super) shown: Option<Shown>,
    pub(super) signer: Source,
    /// As errors name it.
    pub(super) name: String,
}

#[derive(Debug, Clone)]
pub(super) enum Shown {
    Key(Arc<PublicKey>),
    Certificate(Arc<Certificate>),
}

#[derive(Debug, Clone)]
pub(super) enum Source {
    File(Arc<KeyFile>),
    /// The agent; with the plain key where it does not have the certificate that is shown.
    Agent {
        plain: Option<Arc<PublicKey>>,
    },
}

impl Identities {
    /// What to offer, in ssh's order (`pubkey_prepare` in OpenSSH's `sshconnect2.c`): certificates that somebody named;
    /// keys of the agent that are those of the files; the agent's other keys; the other files, each before its
    /// certificate.
    ///
    /// One thing differs: a file that somebody named, and that opens without a passphrase, comes before the agent's other
    /// keys. A server hangs up after a few keys (MaxAuthTries, sshd_config(5)), and a full agent would use them all up.
    ///
    /// What cannot be offered is noted in `left_out`.
    pub(super) fn in_order(&self, left_out: &mut Vec<String>) -> Vec<Candidate> {
        let mut first = Vec::new();
        for (path, certificate) in &self.certificates {
            match self.named_certificate(path, certificate) {
                Ok(candidate) => first.push(candidate),
                Err(why) => left_out.push(why),
            }
        }
        let of_files: Vec<Candidate> = self
            .files
            .iter()
            .flat_map(|file| self.of_file(file))
            .collect();
        let (matching, others): (Vec<_>, Vec<_>) = self
            .agent
            .iter()
            .partition(|identity| of_files.iter().any(|candidate| candidate.is(identity)));
        let (in_agent, in_files): (Vec<_>, Vec<_>) = of_files
            .into_iter()
            .partition(|candidate| matching.iter().any(|identity| candidate.is(identity)));
        let (ready, later): (Vec<_>, Vec<_>) = in_files.into_iter().partition(|candidate| {
            self.named && !matches!(&candidate.signer, Source::File(file) if file.ready().is_none())
        });
        // The agent's order counts, and the file's name says more than the agent's comment.
        let as_named = matching.into_iter().filter_map(|identity| {
            let mut candidates = in_agent.iter();
            candidates
                .find(|candidate| candidate.is(identity))
                .map(|candidate| Candidate {
                    signer: Source::Agent { plain: None },
                    name: format!("{} in the agent", candidate.name),
                    ..candidate.clone()
                })
        });
        first.extend(as_named);
        first.extend(ready);
        if !self.only_named {
            first.extend(others.into_iter().map(of_agent));
        }
        first.extend(later);
        first
    }

    fn named_certificate(
        &self,
        path: &Path,
        certificate: &Arc<Certificate>,
    ) -> Result<Candidate, String> {
        let name = format!(
            "{} ({})",
            path.display(),
            certificate::describe(certificate)
        );
        if certificate.cert_type() != CertType::User {
            return Err(format!("{name}, which is no certificate for users"));
        }
        let shown = Shown::Certificate(Arc::clone(certificate));
        let in_agent = self.agent.iter().any(|identity| shown.is(identity));
        let signer = match self.plain_in_agent(certificate) {
            _ if in_agent => Source::Agent { plain: None },
            Some(key) => Source::Agent { plain: Some(key) },
            None => {
                let is_its = |file: &&Arc<KeyFile>| match file.public() {
                    Some(key) => key.key_data() == certificate.public_key(),
                    None => true,
                };
                match self.files.iter().find(is_its) {
                    Some(file) => Source::File(Arc::clone(file)),
                    None => return Err(format!("{name}, whose private key is not to be had")),
                }
            }
        };
        Ok(Candidate {
            shown: Some(shown),
            signer,
            name,
        })
    }

    /// A file's key, and then its certificate unless certificates were named.
    fn of_file(&self, file: &Arc<KeyFile>) -> Vec<Candidate> {
        let path = file.path().display();
        let signer = Source::File(Arc::clone(file));
        let (shown, name) = match file.public() {
            Some(key) => (
                Some(Shown::Key(Arc::clone(key))),
                format!("{path} ({})", key.algorithm()),
            ),
            None => (None, path.to_string()),
        };
        let mut candidates = vec![Candidate {
            shown,
            signer: signer.clone(),
            name,
        }];
        let beside = file.certificate().filter(|certificate| {
            self.certificates.is_empty() && certificate.cert_type() == CertType::User
        });
        if let Some(certificate) = beside {
            candidates.push(Candidate {
                shown: Some(Shown::Certificate(Arc::clone(certificate))),
                signer: match self.plain_in_agent(certificate) {
                    Some(key) => Source::Agent { plain: Some(key) },
                    None => signer,
                },
                name: format!("{path}-cert.pub ({})", certificate::describe(certificate)),
            });
        }
        candidates
    }

    fn plain_in_agent(&self, certificate: &Certificate) -> Option<Arc<PublicKey>> {
        self.agent.iter().find_map(|identity| match identity {
            AgentIdentity::PublicKey { key, .. } if key.key_data() == certificate.public_key() => {
                Some(Arc::new(key.clone()))
            }
            _ => None,
        })
    }
}

impl Candidate {
    fn is(&self, identity: &AgentIdentity) -> bool {
        self.shown.as_ref().is_some_and(|shown| shown.is(identity))
    }
}

impl Shown {
    fn is(&self, identity: &AgentIdentity) -> bool {
        match (self, identity) {
            (Self::Key(ours), AgentIdentity::PublicKey { key, .. }) => {
                ours.key_data() == key.key_data()
            }
            (Self::Certificate(ours), AgentIdentity::Certificate { certificate, .. }) => {
                ours.signature() == certificate.signature() && ours.nonce() == certificate.nonce()
            }
            _ => false,
        }
    }
}

fn of_agent(identity: &AgentIdentity) -> Candidate {
    let (shown, name) = match identity {
        AgentIdentity::PublicKey { key, comment } => (
            Shown::Key(Arc::new(key.clone())),
            format!("agent key {comment:?} ({})", key.algorithm()),
        ),
        AgentIdentity::Certificate { certificate, .. } => (
            Shown::Certificate(Arc::new(certificate.clone())),
            format!("agent's {}", certificate::describe(certificate)),
        ),
    };
    Candidate {
        shown: Some(shown),
        signer: Source::Agent { plain: None },
        name,
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test that fails says where")]
mod tests {
    use std::fs::{self, Permissions};
    use std::os::unix::fs::PermissionsExt;

    use russh::keys::key::safe_rng;
    use russh::keys::ssh_key::LineEnding;
    use russh::keys::{Algorithm, PrivateKey};

    use super::*;

    fn key() -> PrivateKey {
        PrivateKey::random(&mut safe_rng(), Algorithm::Ed25519).unwrap()
    }

    fn in_agent(key: &PrivateKey) -> AgentIdentity {
        AgentIdentity::PublicKey {
            key: key.public_key().clone(),
            comment: "a key".into(),
        }
    }

    /// Key files `open`, `sealed` and `both`, which the agent has too, beside a key of its own.
    fn identities(folder: &Path) -> Identities {
        let (open, sealed, both, other) = (key(), key(), key(), key());
        let encrypted = sealed.encrypt(&mut safe_rng(), "secret").unwrap();
        let file = |name: &str, key: &PrivateKey| {
            let path = folder.join(name);
            fs::write(&path, key.to_openssh(LineEnding::LF).unwrap()).unwrap();
            fs::set_permissions(&path, Permissions::from_mode(0o600)).unwrap();
            Arc::new(KeyFile::load(&path).unwrap())
        };
        Identities {
            certificates: Vec::new(),
            files: vec![
                file("sealed", &encrypted),
                file("open", &open),
                file("both", &both),
            ],
            named: true,
            agent: vec![in_agent(&other), in_agent(&both)],
            only_named: false,
        }
    }

    fn order(identities: &Identities, folder: &Path) -> Vec<String> {
        let mut left_out = Vec::new();
        let candidates = identities.in_order(&mut left_out);
        assert_eq!(left_out, [""; 0]);
        let folder = format!("{}/", folder.display());
        let names = candidates.into_iter().map(|candidate| candidate.name);
        names
            .map(|name| name.replace(&folder, "").replace(" (ssh-ed25519)", ""))
            .collect()
    }

    #[test]
    fn what_is_named_and_ready_comes_before_the_agents_other_keys() {
        let folder = tempfile::tempdir().unwrap();
        let mut identities = identities(folder.path());
        let agent_key = "agent key \"a key\"";
        assert_eq!(
            order(&identities, folder.path()),
            ["both in the agent", "open", agent_key, "sealed"]
        );
        identities.only_named = true;
        assert_eq!(
            order(&identities, folder.path()),
            ["both in the agent", "open", "sealed"]
        );
        identities.only_named = false;
        identities.named = false;
        assert_eq!(
            order(&identities, folder.path()),
            ["both in the agent", agent_key, "sealed", "open"]
        );
    }
}
