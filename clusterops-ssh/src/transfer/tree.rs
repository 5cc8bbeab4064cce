//! Whole folders, in both directions.

use std::collections::BTreeMap;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use data_encoding::HEXLOWER;
use sha2::{Digest as _, Sha256};

use super::local::Folder;
use super::options::{SkippedBecause, Transferred};
use super::paths::{
    is_file_name, join, remote as remote_path, shown, split, stays_inside, unfinished,
};
use super::protocol::{Attributes, FileType, Name};
use super::sftp::Trouble;
use super::source::{Facts, Source, unreadable};
use super::upload::{Part, Terms};
use super::{AT_ONCE, BATCH, FOLDERS, Files, blocking, together};
use crate::{Error, ErrorKind, Result};

/// The most names in one tree.
const MOST_NAMES: usize = 1_000_000;

/// The most folders in one another.
const DEEPEST: usize = 200;

/// What a local folder holds: everything below it, each folder before what is in it.
#[derive(Debug, Clone)]
pub(crate) struct LocalTree {
    entries: Vec<Entry>,
    /// What is left out of it.
    skipped: Transferred,
}

#[derive(Debug, Clone)]
struct Entry {
    /// Below the tree's root; empty for the root itself.
    path: Vec<u8>,
    kind: Kind,
}

#[derive(Debug, Clone)]
enum Kind {
    Folder(Facts),
    File(Box<Source>),
    Link(Vec<u8>),
}

impl LocalTree {
    /// Looks at a folder, without reading files. Blocks.
    pub(crate) fn look(path: &Path) -> Result<Self> {
        Self::walk(path, &mut Source::look_at_name)
    }

    /// Looks at a folder and reads its files for their digests, keeping no content. Blocks.
    pub(crate) fn read(path: &Path) -> Result<Self> {
        Self::walk(path, &mut |path| Source::read(path, false, 0))
    }

    fn walk(root: &Path, source: &mut dyn FnMut(&Path) -> Result<Source>) -> Result<Self> {
        let metadata = std::fs::metadata(root).map_err(|error| unreadable(root, error))?;
        if !metadata.is_dir() {
            let message = format!("`{}` is no folder", root.display());
            return Err(Error::new(ErrorKind::Local, message));
        }
        let mut tree = Self {
            entries: vec![Entry {
                path: Vec::new(),
                kind: Kind::Folder(Facts::of(&metadata)),
            }],
            skipped: Transferred::default(),
        };
        tree.fill(root.to_owned(), &[], 0, source)?;
        Ok(tree)
    }

    fn fill(
        &mut self,
        folder: PathBuf,
        below: &[u8],
        depth: usize,
        source: &mut dyn FnMut(&Path) -> Result<Source>,
    ) -> Result<()> {
        let failed = |error| unreadable(&folder, error);
        let names: std::io::Result<Vec<_>> = std::fs::read_dir(&folder)
            .map_err(failed)?
            .map(|entry| entry.map(|entry| entry.file_name()))
            .collect();
        let mut names = names.map_err(failed)?;
        if names.len() + self.entries.len() > MOST_NAMES || depth == DEEPEST {
            return Err(too_large(&folder.display().to_string()));
        }
        // The order of a folder is nobody's; the tree's digest needs one.
        names.sort();
        for name in names {
            let path = folder.join(&name);
            let below = join(below, name.as_bytes());
            let metadata = path
                .symlink_metadata()
                .map_err(|error| unreadable(&path, error))?;
            let kind = if metadata.is_dir() {
                Kind::Folder(Facts::of(&metadata))
            } else if metadata.is_file() {
                Kind::File(Box::new(source(&path)?))
            } else if metadata.is_symlink() {
                let target = std::fs::read_link(&path).map_err(|error| unreadable(&path, error))?;
                if !stays_inside(target.as_os_str().as_bytes(), depth) {
                    self.skipped.skip(&below, SkippedBecause::LeadsOut);
                    continue;
                }
                Kind::Link(target.into_os_string().as_bytes().to_vec())
            } else {
                self.skipped.skip(&below, SkippedBecause::Special);
                continue;
            };
            let is_folder = matches!(kind, Kind::Folder(_));
            self.entries.push(Entry {
                path: below.clone(),
                kind,
            });
            if is_folder {
                self.fill(path, &below, depth + 1, source)?;
            }
        }
        Ok(())
    }

    /// The SHA-256 of all that would be sent: names, kinds, modes, the targets of links and the digests of files.
    pub(crate) fn digest(&self) -> String {
        let mut hash = Sha256::new();
        let mut field = |bytes: &[u8]| {
            hash.update((bytes.len() as u64).to_be_bytes());
            hash.update(bytes);
        };
        for entry in &self.entries {
            field(&entry.path);
            match &entry.kind {
                Kind::Folder(facts) => field(format!("folder {:o}", facts.mode).as_bytes()),
                Kind::File(source) => {
                    let digest = source.digests.as_ref().map_or("", |known| &known.sha256);
                    field(format!("file {:o} {digest}", source.facts.mode).as_bytes());
                }
                Kind::Link(target) => {
                    field(b"link");
                    field(target);
                }
            }
        }
        HEXLOWER.encode(&hash.finalize())
    }

    /// The folders of the tree, below its root, each with the names and sources of the files in it.
    pub(super) fn folders(&self) -> BTreeMap<&[u8], Vec<(&[u8], &Source)>> {
        let mut folders = BTreeMap::new();
        for entry in &self.entries {
            let (folder, name) = split(&entry.path);
            match &entry.kind {
                Kind::Folder(_) => drop(folders.entry(&*entry.path).or_insert_with(Vec::new)),
                Kind::File(source) => folders
                    .entry(folder)
                    .or_insert_with(Vec::new)
                    .push((name, &**source)),
                Kind::Link(_) => {}
            }
        }
        folders
    }

    /// The files.
    pub(crate) fn sources_mut(&mut self) -> impl Iterator<Item = &mut Source> {
        self.entries
            .iter_mut()
            .filter_map(|entry| match &mut entry.kind {
                Kind::File(source) => Some(&mut **source),
                Kind::Folder(_) | Kind::Link(_) => None,
            })
    }
}

impl Files<'_> {
    pub(crate) async fn upload_local_tree(
        &self,
        tree: &LocalTree,
        remote: &str,
    ) -> Result<Transferred> {
        let sent = self.send_tree(tree, remote).await;
        self.tidied(sent).await
    }

    async fn send_tree(&self, tree: &LocalTree, remote: &str) -> Result<Transferred> {
        let root = remote_path(remote)?;
        let meter = self.meter();
        let terms = self.terms(&meter);
        let mut done = tree.skipped.clone();
        let mut files = Vec::new();
        for entry in &tree.entries {
            match &entry.kind {
                Kind::Folder(_) => {
                    self.make_folder(&join(&root, &entry.path), entry.path.is_empty())
                        .await?;
                    done.folders += u64::from(!entry.path.is_empty());
                }
                Kind::File(source) => {
                    meter.expect(source.facts.length);
                    files.push((&**source, join(&root, &entry.path)));
                }
                Kind::Link(_) => {}
            }
        }
        for batch in files.chunks(BATCH) {
            let sending = batch
                .iter()
                .map(|(source, path)| self.send(&terms, source, path))
                .collect();
            let parts: Vec<Part> = together::all(AT_ONCE, sending).await?;
            let sources: Vec<&Source> = batch.iter().map(|(source, _)| *source).collect();
            self.finish_uploads(&terms, &sources, &parts).await?;
            for part in parts {
                done.files += 1;
                done.bytes += part.sent;
                done.resumed += part.resumed;
            }
        }
        for entry in &tree.entries {
            if let Kind::Link(target) = &entry.kind {
                self.make_link(&terms, target, &join(&root, &entry.path))
                    .await?;
                done.links += 1;
            }
        }
        // The innermost first: setting a time is a change of nothing above it.
        for entry in tree.entries.iter().rev() {
            if let Kind::Folder(facts) = &entry.kind {
                let path = join(&root, &entry.path);
                self.finish_folder(&terms, &path, facts).await?;
            }
        }
        Ok(done)
    }

    /// Makes a folder on the host, unless it is there. A link in its place is followed only where the user has named it.
    async fn make_folder(&self, path: &[u8], is_root: bool) -> Result<()> {
        let Err(trouble) = self.sftp.make_folder(path, 0o700).await else {
            return Ok(());
        };
        let found = match is_root {
            true => self.sftp.attributes(path).await,
            false => self.sftp.attributes_of_name(path).await,
        };
        match found.map(|found| found.file_type()) {
            Ok(FileType::Folder) => Ok(()),
            Ok(_) => {
                let message = format!("`{}` cannot be made", shown(path));
                let why = "something on the host that is no folder has its name, and a link is not followed";
                Err(Error::new(ErrorKind::Transfer, message).caused_by(why))
            }
            Err(_) => Err(trouble.when(path, "made")),
        }
    }

    async fn finish_folder(&self, terms: &Terms<'_>, path: &[u8], facts: &Facts) -> Result<()> {
        let attributes = Attributes {
            permissions: Some(terms.options.folder_mode(facts.mode)),
            times: terms.options.times.then(|| facts.times()),
            ..Attributes::default()
        };
        let set = self.sftp.set_attributes(path, &attributes).await;
        set.map_err(|trouble| trouble.when(path, "written"))
    }

    async fn make_link(&self, terms: &Terms<'_>, target: &[u8], path: &[u8]) -> Result<()> {
        let (folder, name) = split(path);
        let temporary = join(folder, &unfinished(name, &terms.own_tag()));
        self.sftp.begin(&temporary);
        let made = async {
            self.sftp.replaceable(path).await?;
            self.sftp.link(target, &temporary).await?;
            self.sftp.rename(&temporary, path).await
        };
        made.await.map_err(|trouble| trouble.when(path, "linked"))?;
        self.sftp.end(&temporary);
        Ok(())
    }

    pub(super) async fn fetch_tree(&self, remote: &[u8], root: Arc<Folder>) -> Result<Transferred> {
        let failed = |trouble: Trouble| trouble.when(remote, "read");
        let attributes = self.sftp.attributes(remote).await.map_err(failed)?;
        if attributes.file_type() != FileType::Folder {
            let message = format!("`{}` is no folder on the host", shown(remote));
            return Err(Error::new(ErrorKind::Transfer, message));
        }
        let meter = self.meter();
        let mut fetching = Fetching {
            files: self,
            terms: self.terms(&meter),
            root,
            batch: Vec::new(),
            folders: vec![Seen {
                path: Vec::new(),
                depth: 0,
                attributes,
            }],
            next: 0,
            links: Vec::new(),
            names: 0,
            done: Transferred::default(),
        };
        fetching.all(remote).await?;
        Ok(fetching.done)
    }
}

/// A tree on its way from a host.
struct Fetching<'a> {
    files: &'a Files<'a>,
    terms: Terms<'a>,
    root: Arc<Folder>,
    /// Files that are listed and not yet fetched, with the folder that they go to.
    batch: Vec<(Vec<u8>, Arc<Folder>, Vec<u8>)>,
    /// All folders, each before those in it; those from `next` on are not listed yet.
    folders: Vec<Seen>,
    next: usize,
    /// The place of the folder that a link is in, its name and its target.
    links: Vec<(usize, Vec<u8>, Vec<u8>)>,
    names: usize,
    done: Transferred,
}

/// A folder of a host's tree.
#[derive(Clone)]
struct Seen {
    /// Below the tree's root; empty for the root itself.
    path: Vec<u8>,
    depth: usize,
    attributes: Attributes,
}

impl Fetching<'_> {
    async fn all(&mut self, remote: &[u8]) -> Result<()> {
        while let Some(folder) = self.folders.get(self.next).cloned() {
            // Each folder that files wait for is open.
            let mut open = self
                .batch
                .chunk_by(|one, next| Arc::ptr_eq(&one.1, &next.1));
            if open.nth(FOLDERS - 1).is_some() {
                self.fetch().await?;
            }
            let path = join(remote, &folder.path);
            self.folder(&path, &folder)
                .await
                .map_err(|trouble| trouble.when(&path, "read"))?;
            self.next += 1;
        }
        self.fetch().await?;
        for (place, name, target) in std::mem::take(&mut self.links) {
            let folder = self.local(&self.folders[place].path).await?;
            let tag = self.terms.own_tag();
            blocking(move || folder.link(&name, &target, &tag)).await?;
            self.done.links += 1;
        }
        self.done.folders = self.folders.len() as u64 - 1;
        for seen in std::mem::take(&mut self.folders).into_iter().rev() {
            let folder = self.local(&seen.path).await?;
            let mode = seen.attributes.permissions.unwrap_or(0o755);
            let mode = self.terms.options.folder_mode(mode);
            let times = seen.attributes.times.filter(|_| self.terms.options.times);
            blocking(move || folder.set(mode, times)).await?;
        }
        Ok(())
    }

    async fn folder(&mut self, path: &[u8], folder: &Seen) -> Result<(), Trouble> {
        let local = self.local(&folder.path).await?;
        let sftp = &self.files.sftp;
        let handle = sftp.open_folder(path).await?;
        while let Some(names) = self.files.sftp.list(&handle).await? {
            for name in names {
                self.name(path, folder, &local, name).await?;
            }
        }
        self.files.sftp.close_handle(handle).await
    }

    async fn name(
        &mut self,
        path: &[u8],
        folder: &Seen,
        local: &Arc<Folder>,
        found: Name,
    ) -> Result<(), Trouble> {
        let name = found.name;
        if matches!(&name[..], b"." | b"..") {
            return Ok(());
        }
        self.names += 1;
        if self.names > MOST_NAMES || folder.depth == DEEPEST {
            return Err(too_large(&shown(path)).into());
        }
        let below = join(&folder.path, &name);
        if !is_file_name(&name) {
            self.done.skip(&below, SkippedBecause::BadName);
            return Ok(());
        }
        let remote = join(path, &name);
        let mut attributes = found.attributes;
        if attributes.permissions.is_none() {
            attributes = self.files.sftp.attributes_of_name(&remote).await?;
        }
        match attributes.file_type() {
            FileType::Folder => self.folders.push(Seen {
                path: below,
                depth: folder.depth + 1,
                attributes,
            }),
            FileType::File => {
                self.terms.meter.expect(attributes.size.unwrap_or(0));
                self.batch.push((remote, Arc::clone(local), name.to_vec()));
                if self.batch.len() == BATCH {
                    self.fetch().await?;
                }
            }
            FileType::Link => {
                let target = self.files.sftp.read_link(&remote).await?;
                if stays_inside(&target, folder.depth) {
                    self.links.push((self.next, name.to_vec(), target.to_vec()));
                } else {
                    self.done.skip(&below, SkippedBecause::LeadsOut);
                }
            }
            FileType::Other => self.done.skip(&below, SkippedBecause::Special),
        }
        Ok(())
    }

    /// Fetches the files that are listed by now.
    async fn fetch(&mut self) -> Result<()> {
        let batch = std::mem::take(&mut self.batch);
        let (files, terms) = (self.files, &self.terms);
        let receiving = batch
            .iter()
            .map(|(remote, folder, name)| async move {
                let fetched = files.receive(terms, remote, folder, name).await?;
                fetched.closed().await
            })
            .collect();
        let received = together::all(AT_ONCE, receiving).await?;
        files
            .finish_downloads(terms, received, &mut self.done)
            .await
    }

    /// A folder of the tree here, made where it is not there. Every step from the root is taken without following
    /// links, so that nothing can have come between.
    async fn local(&self, path: &[u8]) -> Result<Arc<Folder>> {
        if path.is_empty() {
            return Ok(Arc::clone(&self.root));
        }
        let (root, path) = (Arc::clone(&self.root), path.to_vec());
        blocking(move || {
            let mut folder = root;
            for name in path.split(|byte| *byte == b'/') {
                folder = Arc::new(folder.enter(name)?);
            }
            Ok(folder)
        })
        .await
    }
}

fn too_large(folder: &str) -> Error {
    let message = format!(
        "the tree is too large at `{folder}`: over {MOST_NAMES} names, or over {DEEPEST} folders in one another"
    );
    Error::new(ErrorKind::Transfer, message)
}
