//! What connections share, each read or made once.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use russh::client;
use russh::keys::Certificate;
use russh::keys::ssh_key::Algorithm;

use super::auth::{KeyFile, Passwords, load_certificate};
use super::settings::{Offer, Settings};
use crate::Result;
use crate::known_hosts::{KnownHosts, RevokedKeys};

/// Known hosts, private keys and russh's configurations, by what they depend on.
#[derive(Debug, Default)]
pub(super) struct Shared {
    known_hosts: Mutex<HashMap<Vec<PathBuf>, Arc<KnownHosts>>>,
    revoked_keys: Mutex<HashMap<Vec<PathBuf>, Arc<RevokedKeys>>>,
    key_files: Mutex<HashMap<PathBuf, Arc<KeyFile>>>,
    certificates: Mutex<HashMap<PathBuf, Arc<Certificate>>>,
    pub(super) passwords: Passwords,
    configurations: Mutex<HashMap<Configured, Arc<client::Config>>>,
}

/// What a configuration depends on.
#[derive(Debug, PartialEq, Eq, Hash)]
struct Configured {
    host_keys: HostKeyTypes,
    offer: Offer,
    keepalive_interval: Option<Duration>,
    keepalive_max: usize,
}

/// Which host keys can be judged.
#[derive(Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct HostKeyTypes {
    /// The types of the keys that are known, to offer first.
    pub(super) first: Vec<Algorithm>,
    /// Whether an authority is known, so that certificates can be judged.
    pub(super) certificates: bool,
}

impl Shared {
    /// The known hosts of these files.
    pub(super) fn known_hosts(&self, paths: &[PathBuf]) -> Result<Arc<KnownHosts>> {
        let mut files = lock(&self.known_hosts);
        if let Some(known) = files.get(paths) {
            return Ok(Arc::clone(known));
        }
        let known = Arc::new(KnownHosts::load(paths)?);
        files.insert(paths.to_vec(), Arc::clone(&known));
        Ok(known)
    }

    /// What the user should know about new host keys.
    pub(super) fn troubles(&self) -> Vec<String> {
        let files = lock(&self.known_hosts);
        files.values().filter_map(|known| known.trouble()).collect()
    }

    /// The keys in these files.
    pub(super) fn revoked_keys(&self, paths: &[PathBuf]) -> Result<Arc<RevokedKeys>> {
        let mut files = lock(&self.revoked_keys);
        if let Some(revoked) = files.get(paths) {
            return Ok(Arc::clone(revoked));
        }
        let revoked = Arc::new(RevokedKeys::load(paths)?);
        files.insert(paths.to_vec(), Arc::clone(&revoked));
        Ok(revoked)
    }

    /// A private key file.
    ///
    /// # Errors
    /// Why it cannot be used, in words that follow its name.
    pub(super) fn key_file(&self, path: &Path) -> Result<Arc<KeyFile>, String> {
        let mut files = lock(&self.key_files);
        if let Some(file) = files.get(path) {
            return Ok(Arc::clone(file));
        }
        let file = Arc::new(KeyFile::load(path)?);
        files.insert(path.to_owned(), Arc::clone(&file));
        Ok(file)
    }

    /// A certificate of ours, in a file of its own.
    ///
    /// # Errors
    /// Why it cannot be used, in words that follow its name.
    pub(super) fn certificate(&self, path: &Path) -> Result<Arc<Certificate>, String> {
        let mut certificates = lock(&self.certificates);
        if let Some(certificate) = certificates.get(path) {
            return Ok(Arc::clone(certificate));
        }
        let certificate = Arc::new(load_certificate(path)?);
        certificates.insert(path.to_owned(), certificate.clone());
        Ok(certificate)
    }

    /// How russh speaks with a host whose keys of these types can be judged.
    ///
    /// # Errors
    /// [`ErrorKind::Local`](crate::ErrorKind::Local) when it has none of the algorithms that the configuration names.
    pub(super) fn configuration(
        &self,
        host_keys: HostKeyTypes,
        settings: &Settings,
    ) -> Result<Arc<client::Config>> {
        let configured = Configured {
            host_keys,
            offer: settings.offer.clone(),
            keepalive_interval: settings.keepalive_interval,
            keepalive_max: settings.keepalive_max,
        };
        let mut configurations = lock(&self.configurations);
        if let Some(configuration) = configurations.get(&configured) {
            return Ok(Arc::clone(configuration));
        }
        let configuration = Arc::new(configured.make()?);
        configurations.insert(configured, Arc::clone(&configuration));
        Ok(configuration)
    }
}

impl Configured {
    fn make(&self) -> Result<client::Config> {
        let mut configuration = client::Config {
            nodelay: true,
            // russh takes no question at all for questions without end; the stream itself ends at the first silence then.
            keepalive_interval: self.keepalive_interval.filter(|_| self.keepalive_max > 0),
            keepalive_max: self.keepalive_max,
            ..client::Config::default()
        };
        self.offer.apply(&mut configuration)?;
        if self.offer.host_keys.is_none() {
            configuration.preferred.key = self.known_first(&configuration.preferred.key).into();
        }
        if self.host_keys.certificates {
            let algorithms = configuration.preferred.key.iter();
            let shown = algorithms.filter(|algorithm| self.offer.has_certificate(algorithm));
            configuration.preferred.host_key_certificates = shown.cloned().collect();
        }
        Ok(configuration)
    }

    /// The algorithms of keys that are known, and then the others.
    fn known_first(&self, algorithms: &[Algorithm]) -> Vec<Algorithm> {
        let is_known = |algorithm: &Algorithm| {
            // Which hash an RSA key signs with is not the key's matter (RFC 8332).
            let is_rsa = |algorithm: &Algorithm| matches!(algorithm, Algorithm::Rsa { .. });
            self.host_keys
                .first
                .iter()
                .any(|known| known == algorithm || (is_rsa(known) && is_rsa(algorithm)))
        };
        let (mut known, others): (Vec<_>, Vec<_>) = algorithms
            .iter()
            .filter(|algorithm| !signs_with_sha1(algorithm))
            .cloned()
            .partition(is_known);
        known.extend(others);
        known
    }
}

/// OpenSSH has not taken such signatures of hosts since 8.8, unless asked to.
fn signs_with_sha1(algorithm: &Algorithm) -> bool {
    matches!(algorithm, Algorithm::Rsa { hash: None })
}

/// What a panic elsewhere left behind is still whole: entries are added complete.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
