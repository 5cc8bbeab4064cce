//! Learning the other keys of a host that is known (`UpdateHostKeys`, ssh_config(5)).

use std::path::PathBuf;
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::time::timeout;

use super::link::Connection;
use super::settings::HostName;
use super::verifier::HostKeyFiles;
use crate::known_hosts::{PublicKey, Verdict};

/// How long sshd may take to announce its keys, which it does with the end of the login.
const ANNOUNCING: Duration = Duration::from_secs(1);

/// How long it may take to prove that it has them, which is a signature of each.
const PROVING: Duration = Duration::from_secs(10);

/// How many announced keys are looked at; sshd has one of each type.
const MOST: usize = 32;

/// Waits for a host's announcement of its keys (`hostkeys-00@openssh.com`, OpenSSH's PROTOCOL section 2.5).
pub(super) struct HostKeyUpdate {
    pub(super) announced: oneshot::Receiver<Vec<russh::keys::PublicKey>>,
    pub(super) files: HostKeyFiles,
    pub(super) host: HostName,
    pub(super) file: PathBuf,
    pub(super) hashed: bool,
    /// How long another process may keep the keys from being added.
    pub(super) patience: Duration,
}

impl HostKeyUpdate {
    /// Stores the keys that are new here and that the host proves to have. The host is known without them, so nothing
    /// that goes wrong here ends the connection; keys that cannot be stored are among the warnings.
    pub(super) async fn run(self, connection: &Connection) {
        let Ok(Ok(announced)) = timeout(ANNOUNCING, self.announced).await else {
            return;
        };
        let HostKeyFiles {
            known_hosts,
            revoked,
            ..
        } = self.files;
        let HostName { name, port } = self.host;
        let is_new = |key: &PublicKey| {
            let verdict = known_hosts.lookup(&name, port, key);
            matches!(
                verdict,
                Verdict::Changed { .. } | Verdict::OtherTypes { .. }
            ) && revoked.find(key).is_none()
        };
        let new = announced.into_iter().take(MOST).filter_map(|shown| {
            let key = PublicKey::from_key_data(shown.key_data()).filter(is_new)?;
            Some((key, shown))
        });
        let (new, shown): (Vec<_>, Vec<_>) = new.unzip();
        if new.is_empty() {
            return;
        }
        let (file, hashed, patience) = (self.file, self.hashed, self.patience);
        let missed = match timeout(PROVING, connection.hostkeys_prove(shown)).await {
            Ok(Ok(())) => {
                let add = move || {
                    known_hosts.add_to_known_host(&file, &name, port, &new, hashed, patience)
                };
                let _ = tokio::task::spawn_blocking(add).await;
                return;
            }
            Ok(Err(error)) => error.to_string(),
            Err(_) => format!("no answer within {PROVING:?}"),
        };
        let why = format!("`{name}` did not prove that it has what it announced: {missed}");
        known_hosts.note_unproven(&file, &name, port, new.len(), why);
    }
}
