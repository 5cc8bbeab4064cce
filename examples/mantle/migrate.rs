//! The way over from Mantle's own files.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clusterops::secrets::mantle::{self, Config, MantleKey, Store};
use clusterops::secrets::{Format, SealedFile};
use tempfile::NamedTempFile;

use super::command_line::{Arguments, Misused, Result};
use super::output::{Unwritten, warn};
use super::{AS, TO, complain, config_path, tell};

/// Seals safe files anew, each on its own: those of one folder can belong to several users, and each opens with its user's
/// store only.
pub(crate) fn run(arguments: &Arguments) -> Result<ExitCode> {
    let to = arguments.path(&TO);
    let to = to.ok_or_else(|| Misused("--to names no folder".into()))?;
    let user = arguments.given(&AS).next().cloned();
    let user = user
        .or_else(|| std::env::var_os("USER"))
        .ok_or_else(|| Misused("--as names no user".into()))?;
    let user = user.to_str().ok_or("the user's name is not UTF-8")?;
    let config = Config::load(config_path(arguments))?;
    let key = MantleKey::read(config.private_key(user))?;
    let store = Store::load(config.store(user), &key)?;

    let safe = match arguments.words.is_empty() {
        true => safe_files(&config.safe_dir)?,
        false => arguments.words.iter().map(PathBuf::from).collect(),
    };
    let mut failed = 0;
    for path in &safe {
        match migrate(arguments, path, to, &store) {
            // That nobody reads it is no failure of the file.
            Err(error) if !error.downcast_ref().is_some_and(Unwritten::is_closed) => {
                complain(&*error);
                failed += 1;
            }
            _ => {}
        }
    }
    if failed > 0 {
        warn(format_args!(
            "mantle: {failed} of {} files were not migrated; those of other users need --as USER",
            safe.len()
        ));
        return Ok(ExitCode::FAILURE);
    }
    Ok(ExitCode::SUCCESS)
}

/// The JSON files of a folder, by name.
fn safe_files(folder: &Path) -> Result<Vec<PathBuf>> {
    let failed = |error| format!("{}: {error}", folder.display());
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(failed)? {
        let path = entry.map_err(failed)?.path();
        if path.is_file() && Format::of(&path) == Some(Format::Json) {
            files.push(path);
        }
    }
    files.sort_unstable();
    match files.is_empty() {
        true => Err(format!("{}: there are no safe files (.json)", folder.display()).into()),
        false => Ok(files),
    }
}

/// Seals one safe file anew, into a new file for its owner alone: values that nobody has marked are still in it.
fn migrate(arguments: &Arguments, safe: &Path, to: &Path, store: &Store) -> Result<()> {
    let name = safe.file_name().ok_or("a safe file has a name")?;
    let target = to.join(name);
    let failed = |error: std::io::Error| format!("{}: {error}", target.display());
    let safe = SealedFile::read_as(safe, Format::Json)?;
    let sealed = mantle::migrate(safe.text(), store, &arguments.options(&target)?)
        .map_err(|error| error.in_file(safe.path()))?;
    // Whole or not at all, and nothing that is there already is lost.
    let mut file = NamedTempFile::new_in(to).map_err(failed)?;
    file.write_all(sealed.text.as_bytes()).map_err(failed)?;
    file.as_file().sync_all().map_err(failed)?;
    file.persist_noclobber(&target)
        .map_err(|error| failed(error.error))?;
    tell(&target, &sealed)
}
