//! What stands on the command line. No secret does.

use std::ffi::OsString;
use std::fmt;
use std::fs::File;
use std::io::{Read as _, Write as _};
use std::path::{Path, PathBuf};

use clusterops::secrets::secrecy::zeroize::Zeroizing;
use clusterops::secrets::secrecy::{ExposeSecret as _, SecretString};
use clusterops::secrets::{
    DocumentId, Format, PrivateKey, RecipientsFile, SealOptions, SealedFile, SigningKey,
    Thumbprint, VerifyingKey,
};

type Result<T, E = Box<dyn std::error::Error>> = std::result::Result<T, E>;

#[derive(Debug, Default)]
pub(crate) struct Arguments {
    pub(crate) command: String,
    pub(crate) words: Vec<OsString>,
    pub(crate) is_plain: bool,
    pub(crate) is_signing: bool,
    keys: Vec<PathBuf>,
    passphrase: Option<PathBuf>,
    recipients: Option<PathBuf>,
    pins: Vec<Thumbprint>,
    id: Option<DocumentId>,
    signers: Vec<PathBuf>,
    format: Option<Format>,
    /// What the program's own options were given, in order.
    own: Vec<(String, OsString)>,
}

/// What was asked for is not understood.
#[derive(Debug)]
pub(crate) struct Misused(pub(crate) String);

impl fmt::Display for Misused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}; `help` lists what there is", self.0)
    }
}

impl std::error::Error for Misused {}

impl Arguments {
    /// `None` when there are none. `own` are options of the program, beside those that all have; each has a value.
    pub(crate) fn read(
        mut words: impl Iterator<Item = OsString>,
        own: &[&str],
    ) -> Result<Option<Self>> {
        let Some(command) = words.next() else {
            return Ok(None);
        };
        let mut arguments = Self {
            command: match command.to_string_lossy().as_ref() {
                "-h" | "--help" => "help".into(),
                command => command.to_owned(),
            },
            ..Self::default()
        };
        while let Some(word) = words.next() {
            let option = word.to_string_lossy().into_owned();
            let mut value = || {
                words
                    .next()
                    .ok_or_else(|| Misused(format!("{option} needs a value")))
            };
            let text = |value: OsString| value.to_string_lossy().into_owned();
            match option.as_str() {
                "--key" => arguments.keys.push(value()?.into()),
                "--passphrase" => arguments.passphrase = Some(value()?.into()),
                "--recipients" => arguments.recipients = Some(value()?.into()),
                "--pin" => arguments.pins.push(text(value()?).parse()?),
                "--id" => arguments.id = Some(text(value()?).parse()?),
                "--signer" => arguments.signers.push(value()?.into()),
                "--format" => arguments.format = Some(text(value()?).parse()?),
                "--plain" => arguments.is_plain = true,
                "--signing" => arguments.is_signing = true,
                option if own.contains(&option) => {
                    let given = value()?;
                    arguments.own.push((option.to_owned(), given));
                }
                // The rest is a command.
                "--" => arguments.words.extend(words.by_ref()),
                option if option.starts_with("--") => {
                    return Err(Misused(format!("there is no option {option}")).into());
                }
                _ => arguments.words.push(word),
            }
        }
        Ok(Some(arguments))
    }

    /// What an option of the program's own was given, each time.
    pub(crate) fn own(&self, option: &str) -> impl Iterator<Item = &OsString> {
        self.own
            .iter()
            .filter(move |(name, _)| name == option)
            .map(|(_, value)| value)
    }

    /// The words, as many as the command takes.
    pub(crate) fn words<const COUNT: usize>(&self) -> Result<[&OsString; COUNT]> {
        let words: Vec<&OsString> = self.words.iter().collect();
        words.try_into().map_err(|words: Vec<_>| {
            let (command, given) = (&self.command, words.len());
            Misused(format!(
                "{command} takes {COUNT} words after it, not {given}"
            ))
            .into()
        })
    }

    pub(crate) fn format_of(&self, path: &Path) -> Option<Format> {
        self.format.or_else(|| Format::of(path))
    }

    pub(crate) fn file(&self, path: &OsString) -> Result<SealedFile> {
        Ok(match self.format {
            Some(format) => SealedFile::read_as(path, format)?,
            None => SealedFile::read(path)?,
        })
    }

    /// The id that a document is to have: the one that was given, or the string `id` of its root.
    pub(crate) fn id(&self, file: &SealedFile) -> Result<DocumentId> {
        match &self.id {
            Some(id) => Ok(id.clone()),
            None => Ok(file.id()?),
        }
    }

    /// Whom to seal a file for, and as what.
    pub(crate) fn options(&self, path: &Path) -> Result<SealOptions> {
        let recipients = match &self.recipients {
            Some(path) => RecipientsFile::load(path)?,
            None => RecipientsFile::find(path)?,
        };
        let mut options = SealOptions::new(recipients.for_path(path)?);
        if let Some(id) = &self.id {
            options = options.document(id.clone());
        }
        if !self.pins.is_empty() {
            options = options.pins(self.pins.iter().cloned());
        }
        Ok(options)
    }

    pub(crate) fn names(&self, file: &SealedFile) -> Option<RecipientsFile> {
        match &self.recipients {
            Some(path) => RecipientsFile::load(path).ok(),
            None => RecipientsFile::find(file.path()).ok(),
        }
    }

    /// The private keys to open with.
    pub(crate) fn identities(&self) -> Result<Vec<PrivateKey>> {
        if self.keys.is_empty() {
            return Err(Misused("--key names no private key".into()).into());
        }
        let key = |path: &PathBuf| {
            self.with_passphrase(path, |passphrase| PrivateKey::read(path, passphrase))
        };
        self.keys.iter().map(key).collect()
    }

    /// The private key to sign with.
    pub(crate) fn signer(&self) -> Result<SigningKey> {
        match &self.keys[..] {
            [path] => self.with_passphrase(path, |passphrase| SigningKey::read(path, passphrase)),
            _ => Err(Misused("--key names the one private key to sign with".into()).into()),
        }
    }

    pub(crate) fn has_signers(&self) -> bool {
        !self.signers.is_empty()
    }

    pub(crate) fn signers(&self) -> Result<Vec<VerifyingKey>> {
        if self.signers.is_empty() {
            return Err(Misused("--signer names no public key that is trusted".into()).into());
        }
        let key = |path: &PathBuf| {
            let pem = std::fs::read_to_string(path)
                .map_err(|error| format!("{}: {error}", path.display()))?;
            Ok(VerifyingKey::from_pem(&pem).map_err(|error| error.in_file(path))?)
        };
        self.signers.iter().map(key).collect()
    }

    /// Reads a key, and asks for a passphrase only where it needs one.
    fn with_passphrase<K>(
        &self,
        path: &Path,
        read: impl Fn(Option<&SecretString>) -> clusterops::secrets::Result<K>,
    ) -> Result<K> {
        match (&self.passphrase, read(None)) {
            (_, Ok(key)) => Ok(key),
            (Some(_), Err(_)) => Ok(read(Some(&self.passphrase(path)?))?),
            (None, Err(error)) if error.message().contains("needs its passphrase") => {
                Ok(read(Some(&self.passphrase(path)?))?)
            }
            (None, Err(error)) => Err(error.into()),
        }
    }

    /// The passphrase of a new key: one that is typed is typed twice.
    pub(crate) fn new_passphrase(&self, key: &Path) -> Result<SecretString> {
        let passphrase = self.passphrase(key)?;
        if passphrase.expose_secret().is_empty() {
            return Err("an empty passphrase protects nothing".into());
        }
        let is_typed = self.passphrase.is_none();
        if is_typed
            && ask(&format!("{} once more", key.display()))?.expose_secret()
                != passphrase.expose_secret()
        {
            return Err("the two passphrases are not the same; no key was made".into());
        }
        Ok(passphrase)
    }

    /// The passphrase of a key: from the file, or from the person at the terminal.
    fn passphrase(&self, key: &Path) -> Result<SecretString> {
        let Some(path) = &self.passphrase else {
            return ask(&key.display().to_string());
        };
        let failed = |error| format!("{}: {error}", path.display());
        let mut text = Zeroizing::new(String::with_capacity(LONGEST_LINE));
        File::open(path)
            .and_then(|file| file.take(LONGEST_LINE as u64).read_to_string(&mut text))
            .map_err(failed)?;
        Ok(SecretString::from(text.lines().next().unwrap_or_default()))
    }
}

const LONGEST_LINE: usize = 4096;

/// Asks the person at the terminal for a passphrase.
fn ask(whose: &str) -> Result<SecretString> {
    let mut terminal = File::options().read(true).write(true).open("/dev/tty").map_err(|_| {
        "the passphrase is asked for at a terminal, and there is none; --passphrase names a file with it"
    })?;
    write!(terminal, "passphrase of {whose}: ")?;
    // A terminal gives one line at a time.
    let mut line = Zeroizing::new([0; LONGEST_LINE]);
    let length = without_echo(&terminal, || (&terminal).read(&mut line[..]))??;
    writeln!(terminal)?;
    let line = std::str::from_utf8(&line[..length]).map_err(|_| "the passphrase is not UTF-8")?;
    Ok(SecretString::from(line.trim_end_matches(['\r', '\n'])))
}

/// Does something while the terminal shows nothing of what is typed.
fn without_echo<T>(terminal: &File, work: impl FnOnce() -> T) -> Result<T> {
    use rustix::termios::{LocalModes, OptionalActions, tcgetattr, tcsetattr};

    let before = tcgetattr(terminal)?;
    let mut silent = before.clone();
    silent.local_modes.remove(LocalModes::ECHO);
    tcsetattr(terminal, OptionalActions::Flush, &silent)?;
    let done = work();
    tcsetattr(terminal, OptionalActions::Flush, &before)?;
    Ok(done)
}
