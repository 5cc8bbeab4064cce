//! What stands on the command line of programs that seal. No secret does.

use std::ffi::OsString;
use std::path::Path;

use clusterops::secrets::{DocumentId, ErrorKind, Format, RecipientsFile, SealOptions, SealedFile};

use super::command_line::{Arguments, Result, Switch};

pub(crate) const KEY: Switch = Switch::many(
    "--key",
    "FILE",
    "a private key of yours; several may be given",
);
pub(crate) const PASSPHRASE: Switch = Switch::of(
    "--passphrase",
    "FILE",
    "holds the passphrase of the keys, on its first line (/dev/fd/3: an open file); without it you are asked",
);
pub(crate) const RECIPIENTS: Switch = Switch::of(
    "--recipients",
    "FILE",
    "whom to seal for (the recipients.yaml beside the file or above it)",
);
pub(crate) const PIN: Switch = Switch::many(
    "--pin",
    "THUMBPRINT",
    "refuses any other recipients than the pinned ones; several may be given",
);
pub(crate) const ID: Switch = Switch::of(
    "--id",
    "ID",
    "which document it is (the string `id` at its root; without one, needed to open)",
);
pub(crate) const SIGNER: Switch = Switch::many(
    "--signer",
    "FILE",
    "the public key of somebody whose signature is trusted; several may be given",
);
pub(crate) const FORMAT: Switch = Switch::of(
    "--format",
    "FORMAT",
    "json, yaml or dotenv (by the file's name)",
);

impl Arguments {
    fn format(&self) -> Result<Option<Format>> {
        Ok(self.parsed(&FORMAT)?.pop())
    }

    pub(crate) fn format_of(&self, path: &Path) -> Result<Option<Format>> {
        Ok(self.format()?.or_else(|| Format::of(path)))
    }

    pub(crate) fn file(&self, path: &OsString) -> Result<SealedFile> {
        Ok(match self.format()? {
            Some(format) => SealedFile::read_as(path, format)?,
            None => SealedFile::read(path)?,
        })
    }

    /// The id that a document is expected to have: the one that was given, or the one that it shows at its root.
    pub(crate) fn id(&self, file: &SealedFile) -> Result<DocumentId> {
        match self.parsed(&ID)?.pop() {
            Some(id) => Ok(id),
            None => file.id().map_err(|error| match error.kind() {
                ErrorKind::Input => format!("{error}, with --id").into(),
                _ => error.into(),
            }),
        }
    }

    /// Whom to seal a file for, and as what.
    pub(crate) fn options(&self, path: &Path) -> Result<SealOptions> {
        let recipients = match self.path(&RECIPIENTS) {
            Some(path) => RecipientsFile::load(path)?,
            None => RecipientsFile::find(path)?,
        };
        let mut options = SealOptions::new(recipients.for_path(path)?);
        if let Some(id) = self.parsed(&ID)?.pop() {
            options = options.document(id);
        }
        if self.has(&PIN) {
            options = options.pins(self.parsed(&PIN)?);
        }
        Ok(options)
    }

    /// Whose names to show. A file that git hands over has no `recipients.yaml` beside it; its other side is not to differ by that.
    pub(crate) fn names(&self) -> Result<Option<RecipientsFile>> {
        let path = self.path(&RECIPIENTS);
        Ok(path.map(RecipientsFile::load).transpose()?)
    }
}

/// That a file was looked through for markers, and has none.
pub(crate) fn nothing_to_seal(file: &SealedFile) -> String {
    let path = file.path().display();
    format!("nothing to seal in {path}: no value is marked ENC[name:value]")
}
