//! Private key files, their certificates, and their passphrases.

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
        text: Zeroizing<String>,
        public_beside: impl FnOnce() -> Option<PublicKey>,
    ) -> Result<(Option<PublicKey>, Private), String> {
        let inside = PrivateKey::from_openssh(text.as_bytes()).ok();
        if let Some(cipher) = cipher(&text, inside.as_ref()) {
            check_mode(path)?;
            let private = match cipher {
                Cipher::Known => Private::Sealed(text),
                Cipher::Unknown(name) => Private::Missing(unknown_cipher(&name, path)),
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
                None => Err(format!("is no private key that can be used: {error}")),
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
            match unseal(text.clone(), passphrase.clone()).await {
                Ok(key) => {
                    let key = Arc::new(key);
                    *private = Private::Open(Arc::clone(&key));
                    return Ok(key);
                }
                Err(Sealed::WrongPassphrase) => refused.push(passphrase),
                Err(Sealed::UnknownCipher(what)) => {
                    let reason = unknown_cipher(&what, &self.path);
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
    let first = text.lines().find(|line| line.starts_with("-----BEGIN "))?;
    if first == "-----BEGIN ENCRYPTED PRIVATE KEY-----" {
        return Some(Cipher::Known);
    }
    // RFC 1421 section 4.6.
    let info = text
        .lines()
        .find_map(|line| line.strip_prefix("DEK-Info: "))?;
    let name = info.split(',').next().unwrap_or_default();
    if first == "-----BEGIN RSA PRIVATE KEY-----" && name == "AES-128-CBC" {
        return Some(Cipher::Known);
    }
    let kind = first
        .trim_start_matches("-----BEGIN ")
        .trim_end_matches('-');
    Some(Cipher::Unknown(format!("{name} of a PEM {kind}")))
}

fn unknown_cipher(what: &str, path: &Path) -> String {
    let path = path.display();
    format!(
        "it is encrypted in a way that is not supported ({what}); have OpenSSH write it anew: ssh-keygen -p -f {path}, or \
         load it into the agent: ssh-add {path}"
    )
}

/// Why a passphrase opens nothing.
enum Sealed {
    WrongPassphrase,
    UnknownCipher(String),
}

/// Tries a passphrase: a second's work, by intention of whoever encrypted the key.
async fn unseal(text: Zeroizing<String>, passphrase: SecretString) -> Result<PrivateKey, Sealed> {
    let work = move || {
        let with = |passphrase: &str| decode_secret_key(&text, Some(passphrase));
        match with(passphrase.expose_secret()) {
            Ok(key) => Ok(key),
            // What a wrong passphrase yields is noise as a rule; with two of them it is the file that is not understood.
            Err(Error::Der(error)) if matches!(with(""), Err(Error::Der(_))) => {
                Err(Sealed::UnknownCipher(error.to_string()))
            }
            Err(error) if says_wrong(&error) || matches!(error, Error::Der(_)) => {
                Err(Sealed::WrongPassphrase)
            }
            Err(error) => Err(Sealed::UnknownCipher(error.to_string())),
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

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test that fails says where")]
mod tests {
    use std::process::Command;

    use super::*;

    const PASSPHRASE: &str = "hunter22";

    /// What a program that is not there leaves undone is passed over.
    fn made(folder: &Path, name: &str, program: &str, words: &[&str]) -> Option<PathBuf> {
        let path = folder.join(name);
        let words = words.iter().map(|word| match *word {
            "FILE" => path.to_str().unwrap(),
            word => word,
        });
        let output = Command::new(program).args(words).output();
        match output {
            Ok(output) if output.status.success() => Some(path),
            Ok(output) => panic!("{program}: {}", String::from_utf8_lossy(&output.stderr)),
            Err(_) => {
                eprintln!("skipped: no {program} for {name}");
                None
            }
        }
    }

    async fn opened(path: &Path, passphrase: &str) -> Result<(), String> {
        let file = KeyFile::load(path)?;
        let sealed = match &*file.private.lock().await {
            Private::Sealed(text) => text.clone(),
            Private::Missing(why) => return Err(why.clone()),
            Private::Open(_) => return Err("it is not encrypted".into()),
        };
        match unseal(sealed, passphrase.to_owned().into()).await {
            Ok(_) => Ok(()),
            Err(Sealed::WrongPassphrase) => Err("wrong".into()),
            Err(Sealed::UnknownCipher(what)) => Err(unknown_cipher(&what, path)),
        }
    }

    #[tokio::test]
    async fn whatever_encrypts_a_key_opens_it_or_says_what_to_do() {
        let folder = tempfile::tempdir().unwrap();
        let keygen = ["-q", "-N", PASSPHRASE, "-f", "FILE", "-t"];
        let output = "pass:hunter22";
        let known: &[(&str, &[&str])] = &[
            ("ed25519", &["-Z", "aes256-ctr"]),
            ("ed25519", &["-Z", "aes128-cbc"]),
            ("ed25519", &["-Z", "aes256-gcm@openssh.com"]),
            ("ed25519", &["-Z", "chacha20-poly1305@openssh.com"]),
            ("rsa", &["-m", "PEM"]),
            ("rsa", &["-m", "PKCS8"]),
            ("ecdsa", &["-m", "PKCS8"]),
        ];
        for (index, (kind, more)) in known.iter().enumerate() {
            let words = [&keygen[..], &[kind], more].concat();
            let Some(path) = made(
                folder.path(),
                &format!("known{index}"),
                "ssh-keygen",
                &words,
            ) else {
                return;
            };
            assert_eq!(opened(&path, PASSPHRASE).await, Ok(()), "{kind} {more:?}");
            let wrong = opened(&path, "another").await;
            assert_eq!(wrong, Err("wrong".into()), "{kind} {more:?}");
        }
        let unknown: &[(&str, &str, &[&str])] = &[
            ("3des-cbc", "ssh-keygen", &["ed25519", "-Z", "3des-cbc"]),
            (
                "AES-128-CBC of a PEM EC",
                "ssh-keygen",
                &["ecdsa", "-m", "PEM"],
            ),
            (
                "AES-256-CBC of a PEM RSA",
                "openssl",
                &[
                    "genrsa",
                    "-traditional",
                    "-aes256",
                    "-passout",
                    output,
                    "-out",
                    "FILE",
                    "2048",
                ],
            ),
            (
                "1.2.840.113549.3.7",
                "openssl",
                &[
                    "genpkey",
                    "-algorithm",
                    "ed25519",
                    "-des3",
                    "-pass",
                    output,
                    "-out",
                    "FILE",
                ],
            ),
        ];
        for (index, (says, program, words)) in unknown.iter().enumerate() {
            let words = match *program {
                "ssh-keygen" => [&keygen[..], words].concat(),
                _ => words.to_vec(),
            };
            let Some(path) = made(folder.path(), &format!("unknown{index}"), program, &words)
            else {
                continue;
            };
            use std::os::unix::fs::PermissionsExt as _;
            fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
            let why = opened(&path, PASSPHRASE).await.unwrap_err();
            assert!(why.contains(says), "{why}");
            assert!(why.contains("ssh-keygen -p -f"), "{why}");
        }
    }

    #[tokio::test]
    async fn half_a_key_may_be_the_agents() {
        let folder = tempfile::tempdir().unwrap();
        let words = ["-q", "-N", "", "-t", "ed25519", "-f", "FILE"];
        let Some(path) = made(folder.path(), "key", "ssh-keygen", &words) else {
            return;
        };
        fs::remove_file(&path).unwrap();
        let file = KeyFile::load(&path).unwrap();
        assert!(file.public().is_some());
        assert!(
            matches!(&*file.private.lock().await, Private::Missing(why) if why.contains("only its public half"))
        );
        fs::remove_file(folder.path().join("key.pub")).unwrap();
        let why = KeyFile::load(&path).unwrap_err();
        assert!(why.contains("cannot be read"), "{why}");
    }
}
