//! Editing a sealed document in the user's editor.

use std::collections::{HashMap, HashSet};
use std::ffi::OsString;
use std::fs::{File, OpenOptions, Permissions};
use std::io::{self, Write as _};
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;
use zeroize::Zeroizing;

use crate::contents::{Contents, New, OpenedValue, SealedValue};
use crate::document::{Document, Edits, Kind};
use crate::file::{SealedFile, bytes_of};
use crate::identity::Identity;
use crate::marker::{Marker, Stray};
use crate::merge::merged_texts;
use crate::seal::{SealOptions, Sealed};
use crate::{DocumentId, Error, ErrorKind, Result};

/// The program that people edit with.
///
/// ```
/// use clusterops_secrets::Editor;
///
/// let editor = Editor::new("vim -n -i NONE -c 'set nobackup nowritebackup'");
/// # let _ = editor;
/// ```
#[derive(Debug, Clone)]
pub struct Editor {
    command: OsString,
    folders: Option<Vec<PathBuf>>,
}

impl Editor {
    /// This shell command; the file to edit is added to its words.
    pub fn new(command: impl Into<OsString>) -> Self {
        Self {
            command: command.into(),
            folders: None,
        }
    }

    /// `$VISUAL`, else `$EDITOR`, else `vi`, as git and others choose.
    pub fn from_environment() -> Self {
        let chosen = ["VISUAL", "EDITOR"]
            .into_iter()
            .filter_map(std::env::var_os)
            .find(|command| !command.is_empty());
        Self::new(chosen.unwrap_or_else(|| "vi".into()))
    }

    /// Uses a private folder below this one in place of `$XDG_RUNTIME_DIR` or `/dev/shm`; it too must be in memory.
    #[must_use]
    pub fn folder(mut self, folder: impl Into<PathBuf>) -> Self {
        self.folders = Some(vec![folder.into()]);
        self
    }

    /// Runs it and waits for its end.
    fn run(&self, file: &Path) -> Result<()> {
        let mut script = self.command.clone();
        script.push(" \"$@\"");
        let status = Command::new("/bin/sh")
            .arg("-c")
            .arg(script)
            .arg("editor")
            .arg(file)
            .status();
        let message = match status {
            Ok(status) if status.success() => return Ok(()),
            Ok(status) => format!(
                "the editor `{}` ended with {status}",
                self.command.display()
            ),
            Err(error) => format!(
                "the editor `{}` cannot be started: {error}",
                self.command.display()
            ),
        };
        Err(Error::new(
            ErrorKind::Local,
            format!("{message}; the file is as it was"),
        ))
    }

    /// A new folder that only we can enter, in memory.
    fn private_folder(&self) -> Result<TempDir> {
        let folders = self.folders.clone().unwrap_or_else(|| {
            let own = std::env::var_os("XDG_RUNTIME_DIR").map(PathBuf::from);
            own.into_iter().chain([PathBuf::from("/dev/shm")]).collect()
        });
        let made = folders
            .iter()
            .filter(|folder| is_in_memory(folder))
            .find_map(|folder| {
                tempfile::Builder::new()
                    .prefix("sealed-")
                    .permissions(Permissions::from_mode(0o700))
                    .tempdir_in(folder)
                    .ok()
            });
        made.ok_or_else(|| {
            let list: Vec<String> = folders.iter().map(|folder| folder.display().to_string()).collect();
            let message = format!(
                "there is no folder in memory to edit in: none of {} is a tmpfs that can be written to; plaintext is not put \
                 on a disk",
                list.join(", ")
            );
            Error::new(ErrorKind::Local, message)
        })
    }
}

/// What came of an [`edit`].
#[derive(Debug)]
#[non_exhaustive]
#[expect(
    clippy::large_enum_variant,
    reason = "there is one of them, for a moment"
)]
pub enum Edited {
    /// The editor left everything as it was; so is the file.
    Unchanged,
    /// The file has been replaced.
    Changed {
        /// The file as it is now.
        file: SealedFile,
        /// What was sealed anew: the values that have changed.
        sealed: Sealed,
    },
}

/// Opens a file in an editor and seals what has changed.
///
/// In the editor every sealed value stands as `ENC[name:value]`: what is between the first colon and the last bracket is the
/// value, the name is for people. It stays a secret wherever it is moved; new ones are made the same way. A value that was sealed and
/// has lost its marker is refused: who means it to be plain text removes it and adds it in another edit. Values that are as before
/// keep their tokens byte for byte. A sealed number or boolean stays one where it stands, also with another value; under a new name
/// it is a string.
///
/// The plaintext is in a folder of mode 0700 on a tmpfs and is overwritten and removed afterwards, whatever happened, as long
/// as this process is not killed. Beyond our reach: a tmpfs can be swapped out, and an editor may keep swap and backup files, an
/// undo history or a list of recent files elsewhere (vim: `-n -i NONE`, `nobackup`; emacs: `make-backup-files`). Waits for the
/// editor on this thread; a program that calls this takes SIGINT and SIGQUIT for the editor's meanwhile, as system(3) does, and does
/// not let SIGHUP and SIGTERM end it either, so that neither Ctrl-C nor a terminal that is closed ends it before the folder is gone.
///
/// ```no_run
/// # async fn example(ben: clusterops_secrets::PrivateKey, options: clusterops_secrets::SealOptions) -> clusterops_secrets::Result<()> {
/// use clusterops_secrets::{Edited, Editor, SealedFile, edit};
///
/// let file = SealedFile::read("prod/web.json")?;
/// let (id, editor) = ("/shop/web".parse()?, Editor::from_environment());
/// let again = |error: &clusterops_secrets::Error| {
///     eprintln!("{error}: the editor opens once more");
///     true
/// };
/// let edited = edit(&file, &id, &[&ben], &options, &editor, again).await?;
/// if let Edited::Changed { sealed, .. } = edited {
///     println!("sealed anew: {:?}", sealed.values);
/// }
/// # Ok(())
/// # }
/// ```
///
/// What somebody else changed in the file meanwhile is merged with what was typed, as [`merge`](crate::merge()) does it. When the new
/// text cannot be sealed, when both have changed the same, or when the editor fails after it has saved something, `again` is asked
/// with the error whether to open the editor once more; the text is as the user left it, with git's conflict markers where both
/// have changed the same. Where `again` declines, what was typed is gone: nothing else keeps it.
///
/// # Errors
/// As [`open`](crate::open()) and [`seal`](crate::seal()); [`ErrorKind::Local`] when there is no tmpfs, the editor fails or it has
/// removed its file, and [`ErrorKind::Changed`] when somebody else has changed the same meanwhile. The file is as it was then.
pub async fn edit(
    file: &SealedFile,
    id: &DocumentId,
    identities: &[&dyn Identity],
    options: &SealOptions,
    editor: &Editor,
    mut again: impl FnMut(&Error) -> bool,
) -> Result<Edited> {
    let named = |error: Error| error.in_file(file.path());
    let mut source = Source::open(file.clone(), id, identities)
        .await
        .map_err(named)?;
    // Whoever could not seal at the end had better know before.
    options.checked()?;

    let folder = PrivateFolder(editor.private_folder()?);
    let name = file.path().file_name().unwrap_or("document".as_ref());
    let path = folder.0.path().join(name);
    let mut typed = Zeroizing::new(source.marked.as_bytes().to_vec());
    put(&path, &typed)?;
    let mut is_complete = false;
    loop {
        let ended = match is_complete {
            true => Ok(()),
            false => editor.run(&path),
        };
        is_complete = false;
        let edited = match (text_of(&path), ended) {
            (Ok(text), ended) if *text == *source.marked.as_bytes() => {
                return ended.map(|()| Edited::Unchanged).map_err(named);
            }
            (Ok(text), ended) => {
                typed = text;
                ended.and_then(|()| source.write(&typed, id, options))
            }
            (Err(_), Err(error)) | (Err(error), Ok(())) => Err(error),
        };
        let mut error = match edited {
            Ok(edited) => return Ok(edited),
            Err(error) => error,
        };
        if error.kind() == ErrorKind::Changed {
            match source.anew(id, identities).await {
                Ok(now) => {
                    let format = file.format();
                    let text =
                        std::str::from_utf8(&typed).expect("it was read as a document before");
                    let (text, is_clean) =
                        merged_texts([&source.marked, text, &now.marked], format);
                    typed = Zeroizing::new(text.as_bytes().to_vec());
                    put(&path, &typed)?;
                    source = now;
                    if is_clean {
                        is_complete = true;
                        continue;
                    }
                    let message = "somebody else has changed the same in the file meanwhile; both stand between conflict \
                                   markers in the text now";
                    error = Error::new(ErrorKind::Changed, message);
                }
                Err(unusable) => {
                    let message =
                        "somebody else has changed the file meanwhile, and it does not open now";
                    error = Error::new(ErrorKind::Changed, message).caused_by(unusable);
                }
            }
        }
        let error = named(error);
        if !again(&error) {
            return Err(error);
        }
        if !path.exists() {
            put(&path, &typed)?;
        }
    }
}

/// A file whose values have been opened for the editor.
struct Source {
    file: SealedFile,
    /// The document without its block, with every value as it is marked to be sealed.
    marked: Zeroizing<String>,
    /// By path: what a value says, and whether it is a number or a boolean.
    values: HashMap<String, (Zeroizing<String>, bool)>,
}

impl Source {
    async fn open(file: SealedFile, id: &DocumentId, identities: &[&dyn Identity]) -> Result<Self> {
        let document = Document::parse(file.text().as_bytes(), file.format())?;
        let contents = Contents::of(&document)?;
        let opened = contents.open(id, identities, |_| true).await?;
        let marked = marked(&document, &opened)?;
        let values = opened.into_iter().map(|value| {
            let is_json = value.sealed.token.header().is_json;
            (value.sealed.path.to_string(), (value.text, is_json))
        });
        Ok(Self {
            values: values.collect(),
            marked,
            file,
        })
    }

    /// The file as it is now.
    async fn anew(&self, id: &DocumentId, identities: &[&dyn Identity]) -> Result<Self> {
        let file = SealedFile::read_as(self.file.path(), self.file.format())?;
        Self::open(file, id, identities).await
    }

    /// Seals an edited text and puts it in place of the file.
    fn write(&self, text: &[u8], id: &DocumentId, options: &SealOptions) -> Result<Edited> {
        let sealed = self.resealed(text, id, options)?;
        let file = self.file.replace(&sealed.text)?;
        Ok(Edited::Changed { file, sealed })
    }

    /// Seals an edited text; values that stand where they stood and say the same keep their tokens.
    fn resealed(&self, text: &[u8], id: &DocumentId, options: &SealOptions) -> Result<Sealed> {
        let format = self.file.format();
        let before = Document::parse(self.file.text().as_bytes(), format)?;
        let contents = Contents::of(&before)?;
        let document = Document::parse(text, format)?;
        Stray::refuse_in(&document)?;
        let own = (before.own_id(), document.own_id());
        if own.0 == Some(id.as_str()) && own.1 != own.0 {
            let message = format!(
                "the document's `id` was `{id}`, which its values are bound to; reseal it under another id"
            );
            return Err(Error::new(ErrorKind::Misplaced, message));
        }
        let known: HashMap<&str, &SealedValue<'_>> = contents
            .sealed()
            .iter()
            .map(|value| (value.path.as_str(), value))
            .collect();
        // Lists move up where something is removed: what was plain text before is no secret now.
        let plain: HashSet<&str> = before
            .scalars()
            .iter()
            .map(|scalar| before.text(scalar))
            .collect();
        let (mut again, mut new) = (Vec::new(), Vec::new());
        for scalar in document.scalars() {
            let path = document.path(scalar);
            let value = match Marker::of(&document, scalar)? {
                // Whoever types a new value here has hardly meant it for all to read.
                None if scalar.kind != Kind::Null
                    && self.values.contains_key(path.as_str())
                    && !plain.contains(document.text(scalar)) =>
                {
                    let message = "this value was sealed, and would stand here in plain text; put it into its marker, `ENC[name:value]`, \
                                   or remove it, and add it in another edit if it is no secret any more";
                    return Err(Error::new(ErrorKind::Input, message)
                        .on(path.as_str())
                        .at(scalar.line, scalar.column));
                }
                None => continue,
                Some(Marker::ToSeal { value }) => value,
                Some(Marker::Sealed(_)) => {
                    let message = "a sealed value was pasted here; it opens nowhere else than where it was sealed for";
                    return Err(Error::new(ErrorKind::Input, message)
                        .on(path.as_str())
                        .at(scalar.line, scalar.column));
                }
            };
            let old = self.values.get(path.as_str());
            match (old, known.get(path.as_str())) {
                (Some((old, _)), Some(sealed)) if **old == *value => again.push(*sealed),
                _ => {
                    let is_json = old.is_some_and(|(_, is_json)| *is_json)
                        && serde_json::from_str(value).is_ok_and(|json: serde_json::Value| {
                            json.is_number() || json.is_boolean()
                        });
                    new.push(New::of(&document, scalar, value)?.json(is_json));
                }
            }
        }
        let recipients = options.checked()?;
        let written = contents.write_other(&document, &again, id, new, recipients)?;
        Ok(Sealed::new(written, recipients))
    }
}

/// The document without its block, with every value as it is marked to be sealed.
fn marked(document: &Document, values: &[OpenedValue<'_, '_>]) -> Result<Zeroizing<String>> {
    let mut edits = Edits::new(document);
    for value in values {
        let path = &value.sealed.path;
        let name = path.tokens().next_back().unwrap_or_default();
        let text = Zeroizing::new(Marker::to_seal(&name, &value.text));
        edits.set_string(path, &text)?;
    }
    edits.header(None);
    edits.apply()
}

/// What the editor has left.
fn text_of(path: &Path) -> Result<Zeroizing<Vec<u8>>> {
    if !path.exists() {
        let message = "the editor has removed the file that it was to edit; yours is as it was";
        return Err(Error::new(ErrorKind::Local, message));
    }
    bytes_of(path)
}

/// A folder whose files are overwritten before it goes.
struct PrivateFolder(TempDir);

impl Drop for PrivateFolder {
    fn drop(&mut self) {
        // Editors put backups and swap files there too.
        let mut work = vec![self.0.path().to_owned()];
        while let Some(folder) = work.pop() {
            let entries = std::fs::read_dir(folder).into_iter().flatten();
            for entry in entries.flatten() {
                match entry.file_type() {
                    Ok(kind) if kind.is_dir() => work.push(entry.path()),
                    Ok(kind) if kind.is_file() => drop(overwrite(&entry.path())),
                    _ => {}
                }
            }
        }
    }
}

fn overwrite(path: &Path) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).open(path)?;
    let length = file.metadata()?.len();
    io::copy(&mut io::Read::take(io::repeat(0), length), &mut file)?;
    file.flush()
}

/// Writes the text to edit, in place of another one.
fn put(path: &Path, text: &[u8]) -> Result<()> {
    // There is none at first.
    drop(overwrite(path));
    let written = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(path)
        .and_then(|mut file: File| file.write_all(text));
    written.map_err(|error| {
        let message = "the text to edit cannot be written";
        Error::new(ErrorKind::Local, message)
            .in_file(path)
            .caused_by(error)
    })
}

/// Whether a folder is on a file system that is never on a disk, but for swap (statfs(2)).
fn is_in_memory(folder: &Path) -> bool {
    const TMPFS_MAGIC: rustix::fs::FsWord = 0x0102_1994;
    rustix::fs::statfs(folder).is_ok_and(|found| found.f_type == TMPFS_MAGIC)
}
