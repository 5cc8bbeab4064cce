//! Judging host keys.

use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use jiff::Timestamp;
use russh::client::{self, DisconnectReason};
use russh::keys::{Certificate, PublicKeyOrCertificate};
use tokio::sync::oneshot;

use super::algorithms::check_rsa_size;
use super::host_key_update::HostKeyUpdate;
use super::lost::Lost;
use super::settings::{HostName, Settings};
use super::shared::HostKeyTypes;
use super::{HostKeyChecking, known_hosts_command};
use crate::config::{Algorithms, KnownHostsCommand};
use crate::known_hosts::{Entry, KnownHosts, PublicKey, RevokedKeys, UNSAVED, Verdict};
use crate::{Error, ErrorKind, Result, certificate};

/// What stands before the server's own words about the end of a connection.
pub(super) const SAID: &str = "the host closed the connection: ";

/// How long it may take to store a key while another process holds the file's lock: no more than this, and no more than
/// this part of the time for the handshake, which goes on meanwhile.
const STORING: Duration = Duration::from_secs(2);
const STORING_PART: u32 = 4;

/// What is known of host keys.
#[derive(Clone)]
pub(super) struct HostKeyFiles {
    pub(super) known_hosts: Arc<KnownHosts>,
    pub(super) revoked: Arc<RevokedKeys>,
    /// What prints more of them.
    pub(super) command: Option<KnownHostsCommand>,
}

impl HostKeyFiles {
    /// Which host keys can be judged.
    pub(super) async fn types(&self, host: &HostName) -> Result<HostKeyTypes> {
        let told = match &self.command {
            Some(command) => Some(known_hosts_command::ask(command, host, None).await?),
            None => None,
        };
        let mut types = HostKeyTypes::default();
        for known in [Some(&*self.known_hosts), told.as_ref()]
            .into_iter()
            .flatten()
        {
            types.first.extend(known.key_types(&host.name, host.port));
            let authorities = known.certificate_authorities(&host.name, host.port);
            types.certificates |= !authorities.is_empty();
        }
        Ok(types)
    }
}

/// What is known about one host key: by files, and by what the command told of it.
struct Known<'a> {
    files: &'a Arc<KnownHosts>,
    told: Option<KnownHosts>,
}

impl Known<'_> {
    fn sources(&self) -> impl Iterator<Item = &KnownHosts> {
        [Some(&**self.files), self.told.as_ref()]
            .into_iter()
            .flatten()
    }

    fn lookup(&self, host: &HostName, key: &PublicKey) -> Verdict {
        let verdicts = self
            .sources()
            .map(|known| known.lookup(&host.name, host.port, key));
        verdicts.fold(Verdict::Unknown, Verdict::or)
    }

    fn revocation(&self, host: &HostName, key: &PublicKey) -> Option<Entry> {
        self.sources()
            .find_map(|known| known.revocation(&host.name, host.port, key))
    }

    /// The line that makes this key an authority for the host.
    fn authority(&self, host: &HostName, key: &PublicKey) -> Option<Entry> {
        let authorities = |known: &KnownHosts| known.certificate_authorities(&host.name, host.port);
        self.sources()
            .flat_map(authorities)
            .find(|entry| entry.key == *key)
    }
}

/// What speaks against a host key that was accepted all the same: whoever has it gets no password.
pub(super) type Doubt = Arc<OnceLock<String>>;

/// Judges the host key, and notes why a connection was lost.
pub(super) struct Verifier {
    host: HostName,
    checking: HostKeyChecking,
    files: HostKeyFiles,
    doubt: Doubt,
    /// The file that new keys are added to, where there is one.
    new_keys: Option<PathBuf>,
    /// Whether they are added without showing the host's name.
    hashed: bool,
    /// How long another process may keep one from being added.
    patience: Duration,
    /// The fewest bits that an RSA key may have.
    required_rsa_size: u32,
    /// The signatures that a certificate may have, where somebody says so.
    ca_signatures: Option<Algorithms>,
    /// Where to tell which keys the host has, if somebody wants to know.
    announced: Option<oneshot::Sender<Vec<russh::keys::PublicKey>>>,
    lost: Lost,
}

impl Verifier {
    pub(super) fn new(settings: &Settings, files: HostKeyFiles, lost: Lost) -> Self {
        Self {
            host: settings.host_name(),
            checking: match settings.is_trusted_localhost() {
                true => HostKeyChecking::DangerAcceptAny,
                false => settings.host_key_checking,
            },
            files,
            doubt: Doubt::default(),
            new_keys: settings.new_host_keys.clone(),
            hashed: settings.hash_known_hosts,
            patience: STORING.min(settings.handshake_deadline / STORING_PART),
            required_rsa_size: settings.required_rsa_size,
            ca_signatures: settings.ca_signatures.clone(),
            announced: None,
            lost,
        }
    }

    /// What learns the host's other keys after the login, where that is asked for.
    pub(super) fn update(&mut self, settings: &Settings) -> Option<HostKeyUpdate> {
        if !settings.update_host_keys || self.checking == HostKeyChecking::DangerAcceptAny {
            return None;
        }
        let file = self.new_keys.clone()?;
        let (sender, announced) = oneshot::channel();
        self.announced = Some(sender);
        Some(HostKeyUpdate {
            announced,
            files: self.files.clone(),
            host: self.host.clone(),
            file,
            hashed: self.hashed,
            patience: self.patience,
        })
    }

    /// Where to look, once a key was accepted, for what speaks against it.
    pub(super) fn doubt(&self) -> Doubt {
        self.doubt.clone()
    }
}

impl client::Handler for Verifier {
    type Error = Error;

    async fn check_server_key(&mut self, key: &PublicKeyOrCertificate) -> Result<bool> {
        // Whatever else is known of it, as in OpenSSH's `sshconnect2.c`.
        check_rsa_size(key.public_key().key_data(), self.required_rsa_size).map_err(|wrong| {
            Error::new(ErrorKind::HostKey, format!("the server's host key {wrong}"))
        })?;
        let files = &self.files;
        let shown = PublicKey::from_key_data(key.public_key().key_data());
        let signer = key.certificate().and_then(certificate::authority);
        for key in [&shown, &signer].into_iter().flatten() {
            if let Some(entry) = files.revoked.find(key) {
                let entry = entry.clone();
                return self
                    .refusal(Verdict::Revoked { entry }, key)
                    .map_or(Ok(true), Err);
            }
        }
        let known = Known {
            files: &files.known_hosts,
            told: match &files.command {
                Some(command) => {
                    Some(known_hosts_command::ask(command, &self.host, Some(key)).await?)
                }
                None => None,
            },
        };
        let judged = match key {
            PublicKeyOrCertificate::PublicKey { key, .. } => {
                let key = PublicKey::from_key_data(key.key_data()).ok_or_else(not_asked_for)?;
                self.judge(&known, &key).await
            }
            PublicKeyOrCertificate::Certificate(certificate) => {
                // Whoever has an authority needs no other keys.
                self.announced = None;
                self.judge_certificate(&known, certificate).await
            }
        };
        if self.checking != HostKeyChecking::DangerAcceptAny {
            return judged.map(|()| true);
        }
        let speaks_against = |key: &PublicKey| known.lookup(&self.host, key) != Verdict::Unknown;
        let is_revoked = |key: &PublicKey| known.revocation(&self.host, key).is_some();
        if let Err(error) = judged
            && (shown.iter().any(speaks_against) || signer.iter().any(is_revoked))
        {
            let _ = self.doubt.set(error.full_message());
        }
        Ok(true)
    }

    async fn openssh_ext_host_keys_announced(
        &mut self,
        mut keys: Vec<russh::keys::PublicKey>,
        _: &mut client::Session,
    ) -> Result<()> {
        if let Some(announced) = self.announced.take() {
            keys.retain(|key| check_rsa_size(key.key_data(), self.required_rsa_size).is_ok());
            // Nobody may be waiting any more.
            let _ = announced.send(keys);
        }
        Ok(())
    }

    async fn disconnected(&mut self, reason: DisconnectReason<Error>) -> Result<()> {
        match reason {
            DisconnectReason::ReceivedDisconnect(info) => {
                // The server's words end up in terminals and reports.
                let said: String = info
                    .message
                    .chars()
                    .filter(|c| !c.is_control())
                    .take(200)
                    .collect();
                self.lost.set(format!("{SAID}{said}"));
                Ok(())
            }
            DisconnectReason::Error(error) => {
                self.lost.set(error.full_message());
                Err(error)
            }
        }
    }
}

impl Verifier {
    async fn judge(&self, known: &Known<'_>, key: &PublicKey) -> Result<()> {
        let verdict = match known.lookup(&self.host, key) {
            Verdict::Unknown if self.checking == HostKeyChecking::AcceptNew => {
                self.add(known.files, key).await?
            }
            verdict => verdict,
        };
        self.refusal(verdict, key).map_or(Ok(()), Err)
    }

    /// A certificate counts if an authority that the files name for this host made it for this host. Otherwise the key
    /// in it is judged as if it had come alone, as ssh(1) does, but it is not accepted as new where the files have an
    /// authority for the host: whoever has stolen a certificate that has run out must not get by with its key.
    async fn judge_certificate(&self, known: &Known<'_>, certificate: &Certificate) -> Result<()> {
        let name = &self.host.name;
        let key = PublicKey::from_key_data(certificate.public_key()).ok_or_else(not_asked_for)?;
        let authority = certificate::authority(certificate).ok_or_else(not_asked_for)?;
        for key in [&key, &authority] {
            if let Some(entry) = known.revocation(&self.host, key) {
                return self
                    .refusal(Verdict::Revoked { entry }, key)
                    .map_or(Ok(()), Err);
            }
        }
        let trusted = known.authority(&self.host, &authority);
        let wrong = match &trusted {
            Some(entry) => match certificate::check_host(
                certificate,
                name,
                self.ca_signatures.as_ref(),
                Timestamp::now(),
            ) {
                Ok(()) => return Ok(()),
                Err(wrong) => format!("of the authority {entry} {wrong}"),
            },
            None => format!("was signed by {authority:?}, which is no authority for {name}"),
        };
        if trusted.is_none() && self.checking == HostKeyChecking::AcceptNew {
            return self.judge(known, &key).await;
        }
        match self.refusal(known.lookup(&self.host, &key), &key) {
            None => Ok(()),
            Some(error) => {
                let certificate = certificate::describe(certificate);
                let message = format!("the server's {certificate} {wrong}");
                Err(Error::new(ErrorKind::HostKey, message).caused_by(error))
            }
        }
    }

    /// Why this key is refused, if it is.
    fn refusal(&self, verdict: Verdict, key: &PublicKey) -> Option<Error> {
        let name = &self.host;
        let message = match verdict {
            Verdict::Known => return None,
            Verdict::Revoked { entry } => {
                format!("the host key {key:?} is revoked ({entry}): the server must not be trusted")
            }
            Verdict::Changed { expected } | Verdict::OtherTypes { expected }
                if expected
                    .iter()
                    .all(|entry| *entry.file == *Path::new(UNSAVED)) =>
            {
                let expected: Vec<_> = expected.iter().map(|entry| &entry.key).collect();
                format!(
                    "the server shows the host key {key:?}, but showed {expected:?} before, which was accepted as new and \
                     could not be stored: somebody may be in between"
                )
            }
            Verdict::Changed { expected } | Verdict::OtherTypes { expected } => {
                // As ssh(1) says it; without a file, ssh-keygen would look into the user's own.
                let file = expected.first().map(|entry| entry.file.display());
                let file = file.map_or_else(String::new, |file| format!("-f '{file}' "));
                let expected: Vec<String> = expected.iter().map(ToString::to_string).collect();
                format!(
                    "the server shows the host key {key:?}, but known is {}. Somebody may be in between, or the host was \
                     set up anew; when you are sure of that, remove the old key: ssh-keygen {file}-R '{name}'",
                    expected.join(", ")
                )
            }
            Verdict::Unknown => {
                let files = self.files.known_hosts.files().into_iter();
                let files: Vec<String> = files.map(|file| file.display().to_string()).collect();
                format!(
                    "the host key {key:?} of {name} is in no known hosts file ({}); check it and add it (ssh-keyscan, or \
                     log in with ssh once), or choose to accept new keys",
                    if files.is_empty() {
                        "none is set".to_owned()
                    } else {
                        files.join(", ")
                    }
                )
            }
        };
        Some(Error::new(ErrorKind::HostKey, message))
    }

    /// Stores a new key; where that fails, it is known for now, as ssh(1) connects then too. What counts is what is known
    /// in the end: somebody else may have added another key.
    async fn add(&self, known_hosts: &Arc<KnownHosts>, key: &PublicKey) -> Result<Verdict> {
        let Some(file) = self.new_keys.clone() else {
            let message = format!(
                "the host key {key:?} of {} is new, and there is no known hosts file of the user's to add it to \
                 (UserKnownHostsFile, ssh_config(5))",
                self.host
            );
            return Err(Error::new(ErrorKind::HostKey, message));
        };
        let (known_hosts, key) = (Arc::clone(known_hosts), key.clone());
        let (HostName { name, port }, hashed) = (self.host.clone(), self.hashed);
        let patience = self.patience;
        let accept = move || known_hosts.accept(&file, &name, port, &key, hashed, patience);
        tokio::task::spawn_blocking(accept)
            .await
            .unwrap_or_else(|error| {
                let message = "the new host key cannot be stored";
                Err(Error::new(ErrorKind::Local, message).caused_by(error))
            })
    }
}

fn not_asked_for() -> Error {
    let message = "the server shows a kind of host key that was not asked for";
    Error::new(ErrorKind::HostKey, message)
}
