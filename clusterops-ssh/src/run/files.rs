//! The local files of a run: read and fingerprinted once, before the first connection.

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;

use crate::plan::Step;
use crate::transfer::{Blocks, Content, LocalTree, SharedFile, Source};
use crate::{Error, ErrorKind, Result};

/// Scripts are kept in memory while the run goes on, so they have a limit.
const MAX_SCRIPT: u64 = 16 << 20;

/// Files to send are kept in memory up to this size, and up to this many bytes together: they are read once, for their
/// digest and for all hosts.
const MOST_KEPT: u64 = 4 << 20;
const MOST_KEPT_TOGETHER: u64 = 16 << 20;

/// What hosts share of the files that are not kept: those that keep in step read each block once for all.
const SHARED_BLOCKS: usize = 16 << 20;

/// What a run knows of its local files and folders.
#[derive(Debug, Default)]
pub(super) struct Files {
    sources: HashMap<PathBuf, Arc<Source>>,
    trees: HashMap<PathBuf, Tree>,
}

#[derive(Debug)]
struct Tree {
    digest: String,
    content: Arc<LocalTree>,
}

/// Where the file lies that a plan calls so.
fn place<'a>(path: &'a Path, places: &'a HashMap<PathBuf, PathBuf>) -> &'a Path {
    places.get(path).map_or(path, PathBuf::as_path)
}

/// Checks that a step's file can be read, without reading it.
pub(super) fn check(step: &Step, places: &HashMap<PathBuf, PathBuf>) -> Result<()> {
    let Some(path) = step.source() else {
        return Ok(());
    };
    let path = place(path, places);
    if matches!(step, Step::UploadTree { .. }) {
        return std::fs::read_dir(path).map(drop).map_err(|error| {
            let message = format!("the local folder `{}` cannot be read", path.display());
            Error::new(ErrorKind::Local, message).caused_by(error)
        });
    }
    let source = Source::look(path)?;
    if matches!(step, Step::Script { .. }) && source.facts.length > MAX_SCRIPT {
        let message = format!(
            "the script {} is over {} MiB: upload it",
            path.display(),
            MAX_SCRIPT >> 20
        );
        return Err(Error::new(ErrorKind::Local, message));
    }
    Ok(())
}

impl Files {
    /// Reads the files of these steps, from where they lie. Blocks.
    pub(super) fn read<'a>(
        steps: impl IntoIterator<Item = &'a Step>,
        places: &HashMap<PathBuf, PathBuf>,
    ) -> Result<Self> {
        let mut files = Self::default();
        let mut sharing = Sharing {
            blocks: Blocks::new(SHARED_BLOCKS),
            room: MOST_KEPT_TOGETHER,
            files: 0,
        };
        let (scripts, others): (Vec<&Step>, Vec<&Step>) = steps
            .into_iter()
            .partition(|step| matches!(step, Step::Script { .. }));
        for step in scripts.into_iter().chain(others) {
            let Some(path) = step.source() else { continue };
            match step {
                Step::UploadTree { .. } => {
                    let mut tree = LocalTree::read(place(path, places))?;
                    tree.sources_mut()
                        .for_each(|source| sharing.share_by_blocks(source));
                    let known = Tree {
                        digest: tree.digest(),
                        content: Arc::new(tree),
                    };
                    files.trees.insert(path.to_owned(), known);
                }
                _ if files.sources.contains_key(path) => {}
                Step::Script { .. } => {
                    let source = Source::read(place(path, places), true, MAX_SCRIPT)?;
                    files.sources.insert(path.to_owned(), Arc::new(source));
                }
                _ => {
                    let most = sharing.room.min(MOST_KEPT);
                    let mut source = Source::read(place(path, places), true, most)?;
                    sharing.share(&mut source);
                    files.sources.insert(path.to_owned(), Arc::new(source));
                }
            }
        }
        Ok(files)
    }

    /// The digests, by path.
    pub(super) fn digests(&self) -> BTreeMap<String, String> {
        let text = |path: &PathBuf| path.to_string_lossy().into_owned();
        let of_files = self.sources.iter().filter_map(|(path, source)| {
            let digests = source.digests.as_ref()?;
            Some((text(path), digests.sha256.clone()))
        });
        let of_trees = self.trees.iter();
        of_files
            .chain(of_trees.map(|(path, tree)| (text(path), tree.digest.clone())))
            .collect()
    }

    /// A script's text.
    pub(super) fn script(&self, path: &Path) -> Result<Bytes> {
        match self.source(path)?.content {
            Content::Memory(ref text) => Ok(text.clone()),
            _ => Err(not_read(path)),
        }
    }

    /// A file to send.
    pub(super) fn source(&self, path: &Path) -> Result<&Source> {
        let source = self.sources.get(path).ok_or_else(|| not_read(path))?;
        Ok(source)
    }

    /// A folder to send.
    pub(super) fn tree(&self, path: &Path) -> Result<&LocalTree> {
        let tree = self.trees.get(path).ok_or_else(|| not_read(path))?;
        Ok(&tree.content)
    }
}

/// How hosts share the files that are sent.
struct Sharing {
    blocks: Arc<Blocks>,
    /// What is left for files that are kept.
    room: u64,
    files: usize,
}

impl Sharing {
    fn share(&mut self, source: &mut Source) {
        match &source.content {
            Content::Memory(content) => self.room -= content.len() as u64,
            Content::File | Content::Shared(_) => self.share_by_blocks(source),
        }
    }

    fn share_by_blocks(&mut self, source: &mut Source) {
        source.content = Content::Shared(SharedFile::new(source, self.files, &self.blocks));
        self.files += 1;
    }
}

/// Steps differ from host to host only in what was checked before the run.
fn not_read(path: &Path) -> Error {
    let message = format!("`{}` was not read before the run", path.display());
    Error::new(ErrorKind::Local, message)
}
