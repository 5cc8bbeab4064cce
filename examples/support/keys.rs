//! Keys: made, and read with their passphrases.

use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use clusterops::secrets::secrecy::SecretString;
use clusterops::secrets::{
    DEFAULT_BITS, Identity, PrivateKey, Signer, SigningKey, Thumbprint, VerifyingKey,
};

use super::command_line::{Arguments, Misused, Result, Switch};
use super::output::print_line;
use super::passphrase;
use super::sealing::{KEY, PASSPHRASE, SIGNER};

pub(crate) const SIGNING: Switch =
    Switch::flag("--signing", "a key to sign with, not to open with");
pub(crate) const PLAIN: Switch = Switch::flag("--plain", "the private key without a passphrase");

/// Makes a key pair, `FILE` and `FILE.pub`; neither may be there already.
pub(crate) fn generate(arguments: &Arguments) -> Result<()> {
    let path = Path::new(arguments.words::<1>()?[0]);
    if path.file_name().is_none() || path.as_os_str().as_bytes().ends_with(b"/") {
        return Err(format!("{}: this is not the name of a file", path.display()).into());
    }
    let mut public = path.as_os_str().to_owned();
    public.push(".pub");
    let public = Path::new(&public);
    // Before anybody thinks of a passphrase; when they are written they are not overwritten either.
    for path in [path, public] {
        if path.symlink_metadata().is_ok() {
            let path = path.display();
            return Err(
                format!("{path}: it is there already, and a key is never overwritten").into(),
            );
        }
    }
    let passphrase = match (arguments.has(&PLAIN), arguments.has(&PASSPHRASE)) {
        (true, true) => return Err(Misused("--plain or --passphrase, not both".into()).into()),
        (true, false) => None,
        (false, _) => Some(new_passphrase(arguments, path)?),
    };
    let name = match arguments.has(&SIGNING) {
        true => {
            let key = SigningKey::generate();
            match &passphrase {
                Some(passphrase) => key.write_new(path, passphrase)?,
                None => key.danger_write_new_unencrypted(path)?,
            }
            key.verifying_key().write_new(public)?;
            key.verifying_key().thumbprint().clone()
        }
        false => recipient(path, public, passphrase.as_ref())?,
    };
    let (path, public) = (path.display(), public.display());
    Ok(print_line(format_args!(
        "{name}: {path} (keep it to yourself) and {public}"
    ))?)
}

fn recipient(path: &Path, public: &Path, passphrase: Option<&SecretString>) -> Result<Thumbprint> {
    let key = PrivateKey::generate(DEFAULT_BITS)?;
    match passphrase {
        Some(passphrase) => key.write_new(path, passphrase)?,
        None => key.danger_write_new_unencrypted(path)?,
    }
    key.public_key().write_new(public)?;
    Ok(key.public_key().thumbprint().clone())
}

fn new_passphrase(arguments: &Arguments, key: &Path) -> Result<SecretString> {
    match arguments.path(&PASSPHRASE) {
        Some(path) => passphrase::not_empty(passphrase::first_line(path)?),
        None => passphrase::ask_twice(key),
    }
}

/// The private keys to open with.
pub(crate) fn private_keys(arguments: &Arguments) -> Result<Vec<PrivateKey>> {
    let paths = arguments.paths(&KEY);
    if paths.is_empty() {
        return Err(Misused("--key names no private key".into()).into());
    }
    let key = |path: &PathBuf| {
        read(arguments, path, |passphrase| {
            PrivateKey::read(path, passphrase)
        })
    };
    paths.iter().map(key).collect()
}

pub(crate) fn identities(keys: &[PrivateKey]) -> Vec<&dyn Identity> {
    keys.iter().map(|key| key as &dyn Identity).collect()
}

/// A private key to sign with.
pub(crate) enum Signing {
    Ed25519(Box<SigningKey>),
    Rsa(Box<PrivateKey>),
}

impl Signing {
    pub(crate) fn signer(&self) -> Signer<'_> {
        match self {
            Self::Ed25519(key) => (&**key).into(),
            Self::Rsa(key) => (&**key).into(),
        }
    }
}

/// The private key to sign with.
pub(crate) fn signing_key(arguments: &Arguments) -> Result<Signing> {
    let paths = arguments.paths(&KEY);
    let [path] = &paths[..] else {
        return Err(Misused("--key names the one private key to sign with".into()).into());
    };
    read(arguments, path, |passphrase| {
        SigningKey::read(path, passphrase)
            .map(|key| Signing::Ed25519(Box::new(key)))
            .or_else(|error| {
                let rsa = PrivateKey::read(path, passphrase).map(|key| Signing::Rsa(Box::new(key)));
                rsa.map_err(|_| error)
            })
    })
}

/// Whose signatures are trusted.
pub(crate) fn signers(arguments: &Arguments) -> Result<Vec<VerifyingKey>> {
    let paths = arguments.paths(&SIGNER);
    if paths.is_empty() {
        return Err(Misused("--signer names no public key that is trusted".into()).into());
    }
    let key = |path: &PathBuf| {
        let text = std::fs::read_to_string(path)
            .map_err(|error| format!("{}: {error}", path.display()))?;
        let key = match text.trim_start().starts_with('{') {
            true => VerifyingKey::from_jwk(&text),
            false => VerifyingKey::from_pem(&text),
        };
        Ok(key.map_err(|error| error.in_file(path))?)
    };
    paths.iter().map(key).collect()
}

/// Reads a key, and asks for a passphrase only where it needs one.
fn read<K>(
    arguments: &Arguments,
    path: &Path,
    read: impl Fn(Option<&SecretString>) -> clusterops::secrets::Result<K>,
) -> Result<K> {
    let passphrase = match (arguments.path(&PASSPHRASE), read(None)) {
        (_, Ok(key)) => return Ok(key),
        (_, Err(error)) if !error.message().contains("needs its passphrase") => {
            return Err(error.into());
        }
        (Some(file), Err(_)) => passphrase::first_line(file)?,
        (None, Err(_)) => passphrase::ask(path)?,
    };
    Ok(read(Some(&passphrase))?)
}
