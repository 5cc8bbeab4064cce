//! What stands on the command line. No secret does.

use std::ffi::OsString;
use std::fmt;
use std::fs::File;
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};

use clusterops::secrets::secrecy::SecretString;
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

    /// Whom to seal a file for.
    pub(crate) fn options(&self, file: &SealedFile) -> Result<SealOptions> {
        let recipients = match &self.recipients {
            Some(path) => RecipientsFile::load(path)?,
            None => RecipientsFile::find(file.path())?,
        };
        let mut options = SealOptions::new(recipients.for_path(file.path())?);
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

    pub(crate) fn recipients_file(&self) -> Option<&Path> {
        self.recipients.as_deref()
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

    /// The passphrase of a key: from the file, or from the person at the terminal.
    pub(crate) fn passphrase(&self, key: &Path) -> Result<SecretString> {
        let mut line = String::new();
        match &self.passphrase {
            Some(path) => {
                let file =
                    File::open(path).map_err(|error| format!("{}: {error}", path.display()))?;
                BufReader::new(file).read_line(&mut line)?;
            }
            None => {
                let mut terminal = File::options().read(true).write(true).open("/dev/tty").map_err(|_| {
                    "the passphrase is asked for at a terminal, and there is none; --passphrase names a file with it"
                })?;
                write!(terminal, "passphrase of {}: ", key.display())?;
                without_echo(&terminal, || BufReader::new(&terminal).read_line(&mut line))??;
                writeln!(&terminal)?;
            }
        }
        Ok(SecretString::from(line.trim_end_matches(['\r', '\n'])))
    }
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
