//! What a transfer leaves behind whose controller ended before it did.

use std::path::Path;

use super::local::Folder;
use super::paths::{
    is_file_name, join, parts_of_unfinished, remote as remote_path, shortened, split, unfinished,
};
use super::sftp::Trouble;
use super::source::{Source, blocking};
use super::tree::LocalTree;
use super::{Files, download, upload};
use crate::Result;

/// Which unfinished files are meant.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Strays<'a> {
    /// What the attempt's own are called by ([`Files::tag`]).
    pub(crate) tag: &'a str,
    /// Whether those are meant, too, that another transfer of the same would go on with.
    pub(crate) known_too: bool,
}

impl Files<'_> {
    /// Removes what is left of a file that was being sent. Says whether all of it is gone.
    ///
    /// # Errors
    /// What a lost connection gives.
    pub(crate) async fn clear_upload(
        &self,
        source: &Source,
        remote: &str,
        strays: Strays<'_>,
    ) -> Result<bool> {
        let remote = remote_path(remote)?;
        let (folder, name) = split(&remote);
        let known = upload::fingerprint(self.sftp.host(), source);
        let tags = [Some(strays.tag), strays.known_too.then_some(&*known)];
        for tag in tags.into_iter().flatten() {
            self.sftp.begin(&join(folder, &unfinished(name, tag)));
        }
        Ok(self.sftp.discard().await)
    }

    /// As [`clear_upload`](Self::clear_upload), of a folder that was being sent.
    pub(crate) async fn clear_upload_tree(
        &self,
        tree: &LocalTree,
        remote: &str,
        strays: Strays<'_>,
    ) -> Result<bool> {
        let root = remote_path(remote)?;
        for (below, files) in tree.folders() {
            let path = join(&root, below);
            // A single one of the folder's many names may be ours, so it is listed.
            let found = match self.names(&path).await {
                Ok(found) => found,
                // It was not made yet.
                Err(Trouble::Refused(_)) => continue,
                Err(trouble) => {
                    return Err(trouble.when(&path, "read"));
                }
            };
            let known: Vec<Vec<u8>> = match strays.known_too {
                true => files
                    .iter()
                    .map(|(name, source)| {
                        unfinished(name, &upload::fingerprint(self.sftp.host(), source))
                    })
                    .collect(),
                false => Vec::new(),
            };
            for name in found {
                let is_own =
                    parts_of_unfinished(&name).is_some_and(|(_, tag)| tag == strays.tag.as_bytes());
                if is_own || known.contains(&name) {
                    self.sftp.begin(&join(&path, &name));
                }
            }
        }
        Ok(self.sftp.discard().await)
    }

    /// What a folder of the host holds that may be an unfinished file.
    async fn names(&self, folder: &[u8]) -> Result<Vec<Vec<u8>>, Trouble> {
        let handle = self.sftp.open_folder(folder).await?;
        let mut found = Vec::new();
        while let Some(names) = self.sftp.list(&handle).await? {
            let names = names.into_iter().map(|name| name.name.to_vec());
            found.extend(
                names.filter(|name| is_file_name(name) && parts_of_unfinished(name).is_some()),
            );
        }
        self.sftp.close_handle(handle).await?;
        Ok(found)
    }
}

/// Removes what is left here of a file or folder of a host that was being fetched into a folder.
///
/// # Errors
/// [`ErrorKind::Local`](crate::ErrorKind::Local) when it cannot be removed.
pub(crate) async fn clear_fetched(
    host: &str,
    remote: &str,
    folder: &Path,
    strays: Strays<'_>,
) -> Result<()> {
    let remote = remote_path(remote)?;
    let folder = folder.to_owned();
    let strays = Fetched {
        host: host.to_owned(),
        tag: strays.tag.to_owned(),
        known_too: strays.known_too,
    };
    blocking(move || {
        // Nothing was fetched yet.
        if !folder.is_dir() {
            return Ok(());
        }
        let folder = Folder::open(&folder)?;
        let (above, name) = split(&remote);
        if !is_file_name(name) {
            // The login directory, or the root: the tree lies in the folder itself.
            return strays.clear_tree(&folder, &remote);
        }
        for found in folder.names()? {
            let is_files =
                parts_of_unfinished(&found).is_some_and(|(short, _)| *short == *shortened(name));
            if is_files && strays.has(above, &found) {
                folder.remove_part(&found)?;
            }
        }
        match folder.inner(name)? {
            Some(tree) => strays.clear_tree(&tree, &remote),
            None => Ok(()),
        }
    })
    .await
}

/// The unfinished files of a host that was being fetched from.
struct Fetched {
    host: String,
    tag: String,
    known_too: bool,
}

impl Fetched {
    /// Whether this is the name of one, of a file in this folder of the host.
    fn has(&self, remote: &[u8], name: &[u8]) -> bool {
        let Some((short, tag)) = parts_of_unfinished(name) else {
            return false;
        };
        let known = || download::fingerprint(&self.host, &join(remote, short));
        tag == self.tag.as_bytes() || (self.known_too && tag == known().as_bytes())
    }

    /// Removes them from all folders of a tree; `remote` is the host's folder that this one is of.
    fn clear_tree(&self, folder: &Folder, remote: &[u8]) -> Result<()> {
        for name in folder.names()? {
            if !is_file_name(&name) {
                continue;
            }
            if self.has(remote, &name) {
                folder.remove_part(&name)?;
            } else if let Some(inner) = folder.inner(&name)? {
                self.clear_tree(&inner, &join(remote, &name))?;
            }
        }
        Ok(())
    }
}
