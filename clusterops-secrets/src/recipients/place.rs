//! Where a file is, and which file of recipients is meant for it.

use std::fs::Metadata;
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use rustix::fs::{FileType, Mode};

use super::file::FILE;
use crate::{Error, ErrorKind, Result};

/// Where a file is once all links are followed. What does not exist yet has a place too: in its folder, or where a link to it leads.
pub(super) fn place_of(file: &Path) -> Result<PathBuf> {
    /// As many as Linux follows (path_resolution(7)).
    const MOST_LINKS: usize = 40;
    let failed = |message| Error::new(ErrorKind::Local, message).in_file(file);
    let mut path = file.to_owned();
    for _ in 0..=MOST_LINKS {
        let name = path.file_name().ok_or_else(|| failed("this is no file"))?;
        let folder = folder_of(&path)
            .map_err(|error| failed("the folder that it is in cannot be found").caused_by(error))?;
        let place = folder.join(name);
        match std::fs::read_link(&place) {
            Ok(target) => path = folder.join(target),
            // It is no link, or nothing is there yet.
            Err(error)
                if matches!(
                    error.kind(),
                    io::ErrorKind::InvalidInput | io::ErrorKind::NotFound
                ) =>
            {
                return Ok(place);
            }
            Err(error) => return Err(failed("it cannot be looked at").caused_by(error)),
        }
    }
    Err(failed("links lead from one to another here, without end"))
}

/// The folder that a file is in, without links in it.
pub(super) fn folder_of(file: &Path) -> io::Result<PathBuf> {
    match file.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder.canonicalize(),
        _ => Path::new(".").canonicalize(),
    }
}

/// The file of recipients that is beside a file, or in the nearest folder above it on the same file system, whoever put it there.
pub(super) fn nearest(file: &Path) -> Result<Option<PathBuf>> {
    let place = place_of(file)?;
    let mut device = None;
    for folder in place.ancestors().skip(1) {
        let here = look(folder)?.map(|found| found.dev());
        if *device.get_or_insert(here) != here {
            break;
        }
        let path = folder.join(FILE);
        if look(&path)?.is_some() {
            return Ok(Some(path));
        }
    }
    Ok(None)
}

/// `None` where nothing is; a link is not followed.
fn look(path: &Path) -> Result<Option<Metadata>> {
    match path.symlink_metadata() {
        Ok(found) => Ok(Some(found)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(unseen(path, error)),
    }
}

/// Whether nobody but root and we could have put a file where it was found, or what it leads to; git asks the same of a repository
/// (CVE-2022-24765).
///
/// # Errors
/// [`ErrorKind::Recipients`] when somebody else could.
pub(super) fn check_owners(path: &Path) -> Result<()> {
    let us = rustix::process::geteuid().as_raw();
    let real = path.canonicalize().map_err(|error| unseen(path, error))?;
    for path in [path, &real] {
        let folder = path.parent().unwrap_or(path);
        for (what, is_folder) in [(folder, true), (path, false)] {
            let found = what
                .symlink_metadata()
                .map_err(|error| unseen(what, error))?;
            if let Some(why) = doubt(found.uid(), found.mode(), is_folder, us) {
                let what = if is_folder { "its folder" } else { "it" };
                let message = format!(
                    "{what} {why}, so others could have chosen for whom to seal; if it is the right file, name it (`--recipients`, \
                     or `RecipientsFile::load`)"
                );
                return Err(Error::new(ErrorKind::Recipients, message).in_file(path));
            }
        }
    }
    Ok(())
}

/// Who else could have changed a file, or what stands in a folder.
fn doubt(owner: u32, mode: u32, is_folder: bool, us: u32) -> Option<String> {
    const ROOT: u32 = 0;
    let is_link = FileType::from_raw_mode(mode) == FileType::Symlink;
    let mode = Mode::from_raw_mode(mode);
    // In a folder with the sticky bit everybody changes only what is theirs, and the mode of a link says nothing.
    let is_kept = is_link || is_folder && mode.contains(Mode::SVTX);
    if ![ROOT, us].contains(&owner) {
        Some(format!("belongs to user {owner}"))
    } else if mode.contains(Mode::WOTH) && !is_kept {
        Some("can be written by everybody".to_owned())
    } else {
        None
    }
}

fn unseen(path: &Path, error: io::Error) -> Error {
    Error::new(ErrorKind::Local, "it cannot be looked at")
        .in_file(path)
        .caused_by(error)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_but_root_and_we_may_have_written_it() {
        const US: u32 = 1000;
        for (owner, mode, is_folder, is_ours) in [
            (US, 0o100_644, false, true),
            (US, 0o100_664, false, true),
            (0, 0o100_644, false, true),
            (1001, 0o100_600, false, false),
            (US, 0o100_666, false, false),
            (US, 0o120_777, false, true),
            (1001, 0o120_777, false, false),
            (US, 0o040_755, true, true),
            (1001, 0o040_755, true, false),
            (0, 0o041_777, true, true),
            (0, 0o040_777, true, false),
            (US, 0o101_666, false, false),
        ] {
            let doubt = doubt(owner, mode, is_folder, US);
            assert_eq!(doubt.is_none(), is_ours, "{owner} {mode:o}: {doubt:?}");
        }
        // Root takes no one else's either.
        assert!(doubt(US, 0o100_644, false, 0).is_some());
    }
}
