//! Private key files, their certificates, and their passphrases.

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test that fails says where")]
mod tests;

use std::fs::{self, File};
use std::io::{self, Read};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use russh::keys::{Certificate, Error, PrivateKey, PublicKey, decode_secret_key};
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
        let beside = |ending: &str| {
            let mut name = path.as_os_str().to_owned();
            name.push(ending);
            read(Path::new(&name)).ok()
        };
        let public_beside = || beside(".pub").and_then(|text| public_key(&text));
        let certificate = beside("-cert.pub");
        let certificate = certificate.and_then(|text| Certificate::from_openssh(&text).ok());
        let (public, private) = match read(path) {
            Ok(text) => Self::of_text(path, text, public_beside)?,
            // The agent may have it, as ssh(1) says of a public key whose private half is not there.
            Err(error) => match public_beside() {
                Some(key) if error.kind() == io::ErrorKind::NotFound => {
                    let reason =
                        "there is only its public half, and the agent does not have the key";
                    (Some(key), Private::Missing(reason.to_owned()))
                }
                _ if error.kind() == io::ErrorKind::InvalidData => {
                    let message =
                        "is not text: keys are read in OpenSSH's format and in PEM, saved as UTF-8";
                    return Err(message.to_owned());
                }
                _ => return Err(format!("cannot be read: {error}")),
            },
        };
        Ok(Self {
            path: path.to_owned(),
            public: public.map(Arc::new),
            certificate: certificate.map(Arc::new),
            private: Mutex::new(private),
        })
    }

    /// The public half, if it is known, and the private one.
    fn of_text(
        path: &Path,
        mut text: Zeroizing<String>,
        public_beside: impl FnOnce() -> Option<PublicKey>,
    ) -> Result<(Option<PublicKey>, Private), String> {
        cut_out_key(&mut text);
        let inside = PrivateKey::from_openssh(text.as_bytes()).ok();
        if let Some(cipher) = cipher(&text, inside.as_ref()) {
            check_mode(path)?;
            let private = match cipher {
                Cipher::Known => Private::Sealed(text),
                Cipher::Unknown(name) => Private::Missing(unknown_cipher(&name, path, &text)),
            };
            let public = inside.map(|key| key.public_key().clone());
            return Ok((public.or_else(public_beside), private));
        }
        match decode_secret_key(&text, None) {
            Ok(key) => {
                check_mode(path)?;
                Ok((Some(key.public_key().clone()), Private::Open(Arc::new(key))))
            }
            Err(error) => match public_key(&text) {
                Some(key) => {
                    let reason = "it is a public key, whose private half the agent does not have; name the \
                        private key's file, mostly the one without `.pub`";
                    Ok((Some(key), Private::Missing(reason.to_owned())))
                }
                None => Err(no_key(path, &text, &error)),
            },
        }
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
            match unseal(&self.path, text.clone(), passphrase.clone()).await {
                Ok(key) => {
                    let key = Arc::new(key);
                    *private = Private::Open(Arc::clone(&key));
                    return Ok(key);
                }
                Err(Sealed::WrongPassphrase) => refused.push(passphrase),
                Err(Sealed::Unusable(reason)) => {
                    *private = Private::Missing(reason.clone());
                    return Err(Unsigned::Refused(reason));
                }
            }
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

/// How a private key is encrypted.
enum Cipher {
    Known,
    Unknown(String),
}

/// How the text of a private key is encrypted, if it is; `inside` is what OpenSSH's own format shows of it.
fn cipher(text: &str, inside: Option<&PrivateKey>) -> Option<Cipher> {
    if let Some(key) = inside {
        return match key.cipher().as_str() {
            "none" => None,
            // russh has it as an option only, for it is broken (CVE-2016-2183).
            name @ "3des-cbc" => Some(Cipher::Unknown(name.to_owned())),
            _ => Some(Cipher::Known),
        };
    }
    let kind = begin(text)?;
    if kind == "ENCRYPTED " {
        return Some(Cipher::Known);
    }
    // RFC 1421 section 4.6.
    let info = text
        .lines()
        .find_map(|line| line.strip_prefix("DEK-Info: "))?;
    let name = info.split(',').next().unwrap_or_default();
    if kind == "RSA " && name == "AES-128-CBC" {
        return Some(Cipher::Known);
    }
    Some(Cipher::Unknown(format!(
        "{name} of a PEM {kind}PRIVATE KEY"
    )))
}

/// What is said of a key that is encrypted in a way that is not supported, with what writes it anew: ssh-keygen(1) reads
/// no Ed25519 key in PKCS#8 before OpenSSH 9.6, and openssl-pkey(1) reads whatever is in PKCS#8.
fn unknown_cipher(what: &str, path: &Path, text: &str) -> String {
    let path = path.display();
    let advice = match begin(text) {
        Some("ENCRYPTED ") => format!(
            "have OpenSSL write it anew, and name the new file: openssl pkey -in {path} -aes256 -out {path}.new"
        ),
        Some("DSA ") => "it is a DSA key, which servers no longer take; make a new key: \
            ssh-keygen -t ed25519"
            .to_owned(),
        _ => format!(
            "have OpenSSH write it anew: ssh-keygen -p -f {path}, or load it into the agent: ssh-add {path}"
        ),
    };
    format!("it is encrypted in a way that is not supported ({what}); {advice}")
}

/// What is said of a file without a private key that is understood, in words that follow its name.
fn no_key(path: &Path, text: &str, error: &Error) -> String {
    if text.starts_with("PuTTY-User-Key-File-") {
        let new = match path.extension() {
            Some(ending) if ending.eq_ignore_ascii_case("ppk") => path.with_extension(""),
            _ => path.with_extension("openssh"),
        };
        return format!(
            "is a key of PuTTY's that cannot be used as it is; have it written for OpenSSH, and name the new file: \
             puttygen {} -O private-openssh -o {}",
            path.display(),
            new.display()
        );
    }
    if begin(text).is_none() {
        return "holds no private key: no line in it is `-----BEGIN ... PRIVATE KEY-----`"
            .to_owned();
    }
    format!("is no private key that can be used: {error}")
}

/// What stands before `PRIVATE KEY` in the line that begins a private key, where the text begins with one.
fn begin(text: &str) -> Option<&str> {
    let line = text.lines().next()?.trim_end();
    line.strip_prefix("-----BEGIN ")?
        .strip_suffix("PRIVATE KEY-----")
}

/// Leaves of a text with a private key only that key, as OpenSSL finds it behind a byte order mark, the "Bag Attributes" of
/// openssl-pkcs12(1), or the "EC PARAMETERS" of openssl-ecparam(1); of another text, all but the mark.
fn cut_out_key(text: &mut String) {
    let unmarked = text.trim_start_matches('\u{feff}').len();
    text.drain(..text.len() - unmarked);
    let mut next = 0;
    let mut lines = text.split_inclusive('\n').map(|line| {
        next += line.len();
        (next - line.len(), line)
    });
    let Some((start, _)) = lines.find(|(_, line)| begin(line).is_some()) else {
        return;
    };
    let end = lines.find(|(_, line)| line.starts_with("-----END "));
    if let Some((end, line)) = end {
        text.truncate(end + line.len());
    }
    text.drain(..start);
}

/// Why a passphrase opens nothing.
enum Sealed {
    WrongPassphrase,
    Unusable(String),
}

/// Tries a passphrase: a second's work, by intention of whoever encrypted the key.
async fn unseal(
    path: &Path,
    text: Zeroizing<String>,
    passphrase: SecretString,
) -> Result<PrivateKey, Sealed> {
    let path = path.to_owned();
    let work = move || {
        let with = |passphrase: &str| decode_secret_key(&text, Some(passphrase));
        let unknown =
            |error: &Error| Sealed::Unusable(unknown_cipher(&error.to_string(), &path, &text));
        match with(passphrase.expose_secret()) {
            Ok(key) => Ok(key),
            // What a wrong passphrase yields is noise as a rule; with two of them it is the file that is not understood.
            Err(error @ Error::Der(_)) if matches!(with(""), Err(Error::Der(_))) => {
                Err(unknown(&error))
            }
            Err(error) if says_wrong(&error) || matches!(error, Error::Der(_)) => {
                Err(Sealed::WrongPassphrase)
            }
            // It was opened, and is for something else.
            Err(error @ Error::UnknownAlgorithm(_)) => Err(Sealed::Unusable(format!(
                "it is no key that SSH knows: {error}"
            ))),
            Err(error) => Err(unknown(&error)),
        }
    };
    let done = tokio::task::spawn_blocking(work).await;
    done.unwrap_or(Err(Sealed::WrongPassphrase))
}

/// Whether an error is what a wrong passphrase leads to.
fn says_wrong(error: &Error) -> bool {
    match error {
        Error::SshKey(error) => matches!(error, russh::keys::ssh_key::Error::Crypto),
        Error::Unpad(_) | Error::Pkcs1(_) => true,
        // What is in it has no name that could be matched.
        Error::Pkcs8(error) => format!("{error:?}").contains("DecryptFailed"),
        _ => false,
    }
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
