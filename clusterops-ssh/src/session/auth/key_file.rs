//! Private key files, their certificates, and their passphrases.

use std::fs::{self, File};
use std::io::{self, Read};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use russh::keys::{Certificate, PrivateKey, PublicKey, decode_secret_key};
use secrecy::zeroize::Zeroizing;
use secrecy::{ExposeSecret, SecretString};
use tokio::sync::Mutex;

use super::asking::Asking;
use super::signer::Unsigned;
use crate::Purpose;

/// The largest key or certificate file that is read.
const LARGEST: u64 = 1 << 20;

/// A private key file, read once and opened once for all connections that share it.
#[derive(Debug)]
pub(crate) struct KeyFile {
    path: PathBuf,
    /// The public half; none for an encrypted file in an old format without a `.pub` beside it.
    public: Option<Arc<PublicKey>>,
    /// From the file of this name with `-cert.pub` at its end.
    certificate: Option<Arc<Certificate>>,
    private: Mutex<Private>,
}

enum Private {
    Open(Arc<PrivateKey>),
    /// The text of an encrypted file.
    Sealed(Zeroizing<String>),
    /// There is none to be had, and why.
    Missing(String),
}

impl KeyFile {
    /// Reads a private key, or a public key whose private half the agent may have.
    ///
    /// # Errors
    /// In words that follow the file's name.
    pub(crate) fn load(path: &Path) -> Result<Self, String> {
        let text = read(path).map_err(|error| format!("cannot be read: {error}"))?;
        let beside = |ending: &str| {
            let mut name = path.as_os_str().to_owned();
            name.push(ending);
            read(Path::new(&name)).ok()
        };
        let certificate = beside("-cert.pub");
        let certificate = certificate.and_then(|text| Certificate::from_openssh(&text).ok());
        let (public, private) = match decode_secret_key(&text, None) {
            Ok(key) => {
                check_mode(path)?;
                (Some(key.public_key().clone()), Private::Open(Arc::new(key)))
            }
            Err(russh::keys::Error::KeyIsEncrypted) => {
                check_mode(path)?;
                let inside = PrivateKey::from_openssh(text.as_bytes());
                let public = match inside {
                    Ok(key) => Some(key.public_key().clone()),
                    Err(_) => beside(".pub").and_then(|text| public_key(&text)),
                };
                (public, Private::Sealed(text))
            }
            Err(error) => match public_key(&text) {
                Some(key) => {
                    let reason = "it is a public key, whose private half the agent does not have; name the \
                        private key's file, mostly the one without `.pub`";
                    (Some(key), Private::Missing(reason.to_owned()))
                }
                None => return Err(format!("is no private key that can be used: {error}")),
            },
        };
        Ok(Self {
            path: path.to_owned(),
            public: public.map(Arc::new),
            certificate: certificate.map(Arc::new),
            private: Mutex::new(private),
        })
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    pub(super) fn public(&self) -> Option<&Arc<PublicKey>> {
        self.public.as_ref()
    }

    pub(super) fn certificate(&self) -> Option<&Arc<Certificate>> {
        self.certificate.as_ref()
    }

    /// The private key, if it can sign without anybody being asked.
    pub(super) fn ready(&self) -> Option<Arc<PrivateKey>> {
        // While it is locked, somebody is being asked.
        match &*self.private.try_lock().ok()? {
            Private::Open(key) => Some(Arc::clone(key)),
            _ => None,
        }
    }

    /// The private key. For an encrypted one the passphrase is asked for, up to `prompts` times, by whoever comes first.
    pub(super) async fn open(
        &self,
        asking: &Asking<'_>,
        prompts: u32,
    ) -> Result<Arc<PrivateKey>, Unsigned> {
        let Some(mut private) = asking.wait(self.private.lock()).await else {
            return Err(Unsigned::Refused(
                "its passphrase is being asked for".into(),
            ));
        };
        let text = match &*private {
            Private::Open(key) => return Ok(Arc::clone(key)),
            Private::Missing(reason) => return Err(Unsigned::Refused(reason.clone())),
            Private::Sealed(text) => text,
        };
        let purpose = Purpose::Passphrase(self.path.clone());
        let mut refused: Vec<SecretString> = Vec::new();
        while refused.len() < prompts as usize {
            let Some(passphrase) = asking.next(&purpose, &refused).await? else {
                break;
            };
            if let Some(key) = unseal(text.clone(), passphrase.clone()).await {
                let key = Arc::new(key);
                *private = Private::Open(Arc::clone(&key));
                return Ok(key);
            }
            refused.push(passphrase);
        }
        let reason = if refused.is_empty() {
            let path = self.path.display();
            format!(
                "it is encrypted, and there is no passphrase; load it into the agent: ssh-add {path}"
            )
        } else {
            "it is encrypted, and the passphrase is wrong".to_owned()
        };
        *private = Private::Missing(reason.clone());
        Err(Unsigned::Refused(reason))
    }
}

impl std::fmt::Debug for Private {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Open(_) => "Open",
            Self::Sealed(_) => "Sealed",
            Self::Missing(_) => "Missing",
        })
    }
}

/// Reads a certificate file (`CertificateFile`, ssh_config(5)).
///
/// # Errors
/// In words that follow the file's name.
pub(crate) fn load_certificate(path: &Path) -> Result<Certificate, String> {
    let text = read(path).map_err(|error| format!("cannot be read: {error}"))?;
    Certificate::from_openssh(&text).map_err(|error| format!("is no certificate: {error}"))
}

/// Tries a passphrase: a second's work, by intention of whoever encrypted the key.
async fn unseal(text: Zeroizing<String>, passphrase: SecretString) -> Option<PrivateKey> {
    let work = move || decode_secret_key(&text, Some(passphrase.expose_secret())).ok();
    tokio::task::spawn_blocking(work).await.ok().flatten()
}

fn public_key(text: &str) -> Option<PublicKey> {
    let key = PublicKey::from_openssh(text.trim()).ok()?;
    (!key.key_data().is_certificate()).then_some(key)
}

fn read(path: &Path) -> io::Result<Zeroizing<String>> {
    // One allocation: a text that grows would leave copies of a key behind.
    let mut text = Zeroizing::new(String::with_capacity(16 << 10));
    let file = File::open(path)?;
    file.take(LARGEST).read_to_string(&mut text)?;
    Ok(text)
}

/// OpenSSH does not use a key of ours that others may read.
fn check_mode(path: &Path) -> Result<(), String> {
    let Ok(metadata) = fs::metadata(path) else {
        return Ok(());
    };
    let is_ours = metadata.uid() == rustix::process::geteuid().as_raw();
    if is_ours && metadata.is_file() && metadata.mode() & 0o077 != 0 {
        return Err(format!(
            "may be read by others (mode {:03o}) and is not used; make it yours alone: chmod 600 {}",
            metadata.mode() & 0o777,
            path.display()
        ));
    }
    Ok(())
}
