//! Local files on their way to hosts: each read once for all hosts that keep in step.

use std::collections::{HashMap, VecDeque};
use std::fs::{File, Metadata, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::{FileExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use tokio::sync::OnceCell;
use tokio::task::{JoinHandle, spawn_blocking};

use super::digest::{Algorithm, Hasher};
use crate::{Error, ErrorKind, Result};

/// What one read of a file brings, in bytes.
const READ: usize = 896 << 10;

/// The size of a block in the memory that hosts share.
const SHARED_BLOCK: usize = READ;

/// A local file, as it was when it was first looked at.
#[derive(Debug, Clone)]
pub(crate) struct Source {
    pub(crate) path: PathBuf,
    pub(crate) facts: Facts,
    /// The digests, where the content was read before.
    pub(crate) digests: Option<Digests>,
    pub(crate) content: Content,
}

/// What a file's folder entry says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Facts {
    pub(crate) length: u64,
    pub(crate) mode: u32,
    /// Seconds and nanoseconds since 1970.
    pub(crate) modified: (i64, i64),
}

/// The digests of a content, in hexadecimal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Digests {
    pub(crate) sha256: String,
    pub(crate) blake2b: String,
}

/// Where the content is.
#[derive(Debug, Clone)]
pub(crate) enum Content {
    /// In the file, read by each transfer for itself.
    File,
    /// In the file, read for all transfers at once.
    Shared(Arc<SharedFile>),
    /// In memory.
    Memory(Bytes),
}

impl Facts {
    pub(crate) fn of(metadata: &Metadata) -> Self {
        Self {
            length: metadata.len(),
            mode: metadata.mode(),
            modified: (metadata.mtime(), metadata.mtime_nsec()),
        }
    }

    fn is_same_content(&self, other: &Self) -> bool {
        (self.length, self.modified) == (other.length, other.modified)
    }

    /// Access and change time as SFTP has them: seconds in 32 bits.
    pub(super) fn times(&self) -> (u32, u32) {
        let seconds = u32::try_from(self.modified.0.max(0)).unwrap_or(u32::MAX);
        (seconds, seconds)
    }
}

impl Digests {
    pub(super) fn of(&self, algorithm: Algorithm) -> &str {
        match algorithm {
            Algorithm::Blake2b => &self.blake2b,
            Algorithm::Sha256 => &self.sha256,
        }
    }
}

impl Source {
    /// Looks at a regular file. Blocks.
    pub(crate) fn look(path: &Path) -> Result<Self> {
        Self::looked_at(path, true)
    }

    /// As [`look`](Self::look), and does not follow a link. Blocks.
    pub(crate) fn look_at_name(path: &Path) -> Result<Self> {
        Self::looked_at(path, false)
    }

    fn looked_at(path: &Path, follow: bool) -> Result<Self> {
        let (_, metadata) = open(path, follow)?;
        Ok(Self {
            path: path.to_owned(),
            facts: Facts::of(&metadata),
            digests: None,
            content: Content::File,
        })
    }

    /// Reads a regular file for its digests, and keeps the content where it has at most so many bytes. Blocks.
    pub(crate) fn read(path: &Path, follow: bool, keep: u64) -> Result<Self> {
        let (mut file, metadata) = open(path, follow)?;
        let facts = Facts::of(&metadata);
        let is_kept = facts.length <= keep;
        let mut hashers = [Algorithm::Sha256, Algorithm::Blake2b].map(Hasher::new);
        let mut kept = Vec::new();
        let mut buffer = vec![0; 256 << 10];
        let mut length = 0;
        loop {
            let read = match file.read(&mut buffer) {
                Ok(0) => break,
                Ok(read) => read,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(unreadable(path, error)),
            };
            length += read as u64;
            for hasher in &mut hashers {
                hasher.update(&buffer[..read]);
            }
            if is_kept && length <= facts.length {
                kept.extend_from_slice(&buffer[..read]);
            }
        }
        let after = file.metadata().map_err(|error| unreadable(path, error))?;
        if length != facts.length || !facts.is_same_content(&Facts::of(&after)) {
            return Err(changed(path));
        }
        let [sha256, blake2b] = hashers.map(Hasher::finish);
        Ok(Self {
            path: path.to_owned(),
            facts,
            digests: Some(Digests { sha256, blake2b }),
            content: if is_kept {
                Content::Memory(kept.into())
            } else {
                Content::File
            },
        })
    }

    /// Fails when the file is not the one that was looked at. Blocks.
    pub(crate) fn check(&self) -> Result<()> {
        let metadata =
            std::fs::metadata(&self.path).map_err(|error| unreadable(&self.path, error))?;
        if self.facts.is_same_content(&Facts::of(&metadata)) {
            Ok(())
        } else {
            Err(changed(&self.path))
        }
    }

    /// Takes the first bytes into a digest. Blocks for a file.
    pub(super) fn hash_start(&self, hasher: &mut Hasher, length: u64) -> Result<()> {
        match &self.content {
            Content::Memory(content) => {
                let end = content
                    .len()
                    .min(usize::try_from(length).unwrap_or(usize::MAX));
                hasher.update(&content[..end]);
                Ok(())
            }
            Content::File | Content::Shared(_) => {
                let (file, _) = open(&self.path, true)?;
                hash_start(file, hasher, length).map_err(|error| unreadable(&self.path, error))
            }
        }
    }
}

/// Reads so many bytes into a digest.
pub(super) fn hash_start(file: impl Read, hasher: &mut Hasher, length: u64) -> io::Result<()> {
    let mut start = file.take(length);
    let mut buffer = vec![0; 256 << 10];
    loop {
        match start.read(&mut buffer) {
            Ok(0) => return Ok(()),
            Ok(read) => hasher.update(&buffer[..read]),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

/// A file that is read from one place to its end, the next part while the last one is sent.
pub(super) struct Reader<'a> {
    source: &'a Source,
    offset: u64,
    hasher: Option<Hasher>,
    /// What was read and not yet given.
    ready: Bytes,
    file: Option<Arc<File>>,
    ahead: Option<JoinHandle<io::Result<Piece>>>,
}

/// What was read of a file, and the digest so far.
struct Piece {
    bytes: Bytes,
    hasher: Option<Hasher>,
}

impl<'a> Reader<'a> {
    /// A reader from an offset on. With a hasher, which has seen what lies before, the content is hashed as it is read.
    pub(super) async fn new(
        source: &'a Source,
        offset: u64,
        hasher: Option<Hasher>,
    ) -> Result<Self> {
        let mut reader = Self {
            source,
            offset,
            hasher,
            ready: Bytes::new(),
            file: None,
            ahead: None,
        };
        match &source.content {
            Content::Memory(content) => {
                let start = content
                    .len()
                    .min(usize::try_from(offset).unwrap_or(usize::MAX));
                reader.ready = content.slice(start..);
                if let Some(hasher) = &mut reader.hasher {
                    hasher.update(&reader.ready);
                }
            }
            Content::Shared(_) => {}
            Content::File => {
                let path = source.path.clone();
                let (file, metadata) = blocking(move || open(&path, true)).await?;
                if !source.facts.is_same_content(&Facts::of(&metadata)) {
                    return Err(changed(&source.path));
                }
                reader.file = Some(Arc::new(file));
                reader.read_ahead(offset);
            }
        }
        Ok(reader)
    }

    /// The next piece of at most so many bytes; `None` at the end, which is where it was when the source was looked at.
    pub(super) async fn next(&mut self, most: usize) -> Result<Option<Bytes>> {
        if self.ready.is_empty() && self.offset < self.source.facts.length {
            self.ready = self.read_more().await?;
            if self.ready.is_empty() {
                return Err(changed(&self.source.path));
            }
        }
        if self.ready.is_empty() {
            return Ok(None);
        }
        let piece = self.ready.split_to(most.min(self.ready.len()));
        self.offset += piece.len() as u64;
        Ok(Some(piece))
    }

    async fn read_more(&mut self) -> Result<Bytes> {
        let failed = |error| unreadable(&self.source.path, error);
        match &self.source.content {
            Content::Memory(_) => Ok(Bytes::new()),
            Content::Shared(file) => {
                let index = self.offset / SHARED_BLOCK as u64;
                let block = file.block(index).await?;
                let start = (self.offset % SHARED_BLOCK as u64) as usize;
                let bytes = block.slice(start.min(block.len())..);
                if let Some(hasher) = &mut self.hasher {
                    hasher.update(&bytes);
                }
                Ok(bytes)
            }
            Content::File => {
                let Some(ahead) = &mut self.ahead else {
                    return Ok(Bytes::new());
                };
                let read = ahead
                    .await
                    .map_err(|error| failed(io::Error::other(error)))?;
                self.ahead = None;
                let Piece { bytes, hasher } = read.map_err(failed)?;
                self.hasher = hasher;
                self.read_ahead(self.offset + bytes.len() as u64);
                Ok(bytes)
            }
        }
    }

    fn read_ahead(&mut self, offset: u64) {
        let Some(file) = self.file.clone() else {
            return;
        };
        let left = self.source.facts.length.saturating_sub(offset);
        let length = usize::try_from(left).unwrap_or(usize::MAX).min(READ);
        if length == 0 {
            return;
        }
        let mut hasher = self.hasher.take();
        self.ahead = Some(spawn_blocking(move || {
            let bytes = read_at(&file, offset, length)?;
            if let Some(hasher) = &mut hasher {
                hasher.update(&bytes);
            }
            Ok(Piece { bytes, hasher })
        }));
    }

    /// Makes sure that the file is the same as it was; gives the digest, where one was made.
    pub(super) async fn finish(self) -> Result<Option<String>> {
        if !matches!(self.source.content, Content::Memory(_)) {
            let source = self.source.clone();
            blocking(move || source.check()).await?;
        }
        Ok(self.hasher.map(Hasher::finish))
    }
}

/// Blocks of files that all hosts of a run share, as long as there is room.
///
/// The first host that needs a block reads it, the others take it from here. When the memory is full the oldest block
/// goes; a host that is further behind than that reads for itself and for those beside it.
#[derive(Debug)]
pub(crate) struct Blocks {
    room: usize,
    state: Mutex<Held>,
}

#[derive(Debug, Default)]
struct Held {
    blocks: HashMap<(usize, u64), Arc<OnceCell<Bytes>>>,
    order: VecDeque<(usize, u64)>,
}

impl Blocks {
    /// Memory for so many bytes.
    pub(crate) fn new(bytes: usize) -> Arc<Self> {
        Arc::new(Self {
            room: (bytes / SHARED_BLOCK).max(1),
            state: Mutex::default(),
        })
    }

    /// The cell of a block, which whoever comes first fills.
    fn cell(&self, key: (usize, u64)) -> Arc<OnceCell<Bytes>> {
        let mut held = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(cell) = held.blocks.get(&key) {
            return Arc::clone(cell);
        }
        if held.order.len() >= self.room
            && let Some(oldest) = held.order.pop_front()
        {
            held.blocks.remove(&oldest);
        }
        held.order.push_back(key);
        Arc::clone(held.blocks.entry(key).or_default())
    }
}

/// A file whose blocks hosts share.
#[derive(Debug)]
pub(crate) struct SharedFile {
    path: PathBuf,
    facts: Facts,
    /// Tells it from the other files of the run.
    number: usize,
    blocks: Arc<Blocks>,
    #[cfg(test)]
    bytes_read: std::sync::atomic::AtomicU64,
}

impl SharedFile {
    pub(crate) fn new(source: &Source, number: usize, blocks: &Arc<Blocks>) -> Arc<Self> {
        Arc::new(Self {
            path: source.path.clone(),
            facts: source.facts,
            number,
            blocks: Arc::clone(blocks),
            #[cfg(test)]
            bytes_read: Default::default(),
        })
    }

    async fn block(&self, index: u64) -> Result<Bytes> {
        let cell = self.blocks.cell((self.number, index));
        cell.get_or_try_init(|| self.read(index)).await.cloned()
    }

    async fn read(&self, index: u64) -> Result<Bytes> {
        let (path, facts) = (self.path.clone(), self.facts);
        let reading = blocking(move || {
            // Opened for each block, so that no run holds more descriptors the more files it has.
            let (file, metadata) = open(&path, true)?;
            if !facts.is_same_content(&Facts::of(&metadata)) {
                return Err(changed(&path));
            }
            let offset = index * SHARED_BLOCK as u64;
            let left = facts.length.saturating_sub(offset);
            let length = usize::try_from(left).unwrap_or(usize::MAX);
            read_at(&file, offset, length.min(SHARED_BLOCK))
                .map_err(|error| unreadable(&path, error))
        });
        let bytes = reading.await?;
        #[cfg(test)]
        self.bytes_read
            .fetch_add(bytes.len() as u64, std::sync::atomic::Ordering::Relaxed);
        Ok(bytes)
    }
}

/// Reads up to so many bytes; fewer only at the end of the file.
fn read_at(file: &File, offset: u64, length: usize) -> io::Result<Bytes> {
    let mut bytes = vec![0; length];
    let mut filled = 0;
    while filled < length {
        match file.read_at(&mut bytes[filled..], offset + filled as u64) {
            Ok(0) => break,
            Ok(read) => filled += read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    bytes.truncate(filled);
    Ok(bytes.into())
}

/// Opens a regular file, and nothing else: opening a named pipe would wait for its writer.
fn open(path: &Path, follow: bool) -> Result<(File, Metadata)> {
    let no_follow = if follow {
        0
    } else {
        rustix::fs::OFlags::NOFOLLOW.bits() as i32
    };
    let flags = rustix::fs::OFlags::NONBLOCK.bits() as i32 | no_follow;
    let file = OpenOptions::new()
        .read(true)
        .custom_flags(flags)
        .open(path)
        .map_err(|error| unreadable(path, error))?;
    let metadata = file.metadata().map_err(|error| unreadable(path, error))?;
    if !metadata.is_file() {
        let message = format!("`{}` is not a regular file", path.display());
        return Err(Error::new(ErrorKind::Local, message));
    }
    Ok((file, metadata))
}

/// Does something that blocks beside the runtime's own threads.
pub(super) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T> + Send + 'static,
) -> Result<T> {
    spawn_blocking(work).await.unwrap_or_else(|error| {
        Err(Error::new(ErrorKind::Local, "working on local files broke down").caused_by(error))
    })
}

pub(super) fn unreadable(path: &Path, error: io::Error) -> Error {
    let message = format!("the local file `{}` cannot be read", path.display());
    Error::new(ErrorKind::Local, message).caused_by(error)
}

fn changed(path: &Path) -> Error {
    let message = format!(
        "the local file `{}` changed while it was read",
        path.display()
    );
    Error::new(ErrorKind::Local, message)
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::Ordering;

    use super::*;

    fn file(length: usize) -> (tempfile::NamedTempFile, Vec<u8>) {
        let content: Vec<u8> = (0..length as u32).map(|n| (n % 251) as u8).collect();
        let file = tempfile::NamedTempFile::new().expect("a file");
        std::fs::write(file.path(), &content).expect("our file");
        (file, content)
    }

    async fn all(source: &Source, offset: u64) -> Result<Vec<u8>> {
        let hasher = offset.eq(&0).then(|| Hasher::new(Algorithm::Sha256));
        let mut reader = Reader::new(source, offset, hasher).await?;
        let mut content = Vec::new();
        while let Some(piece) = reader.next(10_000).await? {
            assert!(piece.len() <= 10_000);
            content.extend_from_slice(&piece);
        }
        if let (Some(made), Some(known)) = (reader.finish().await?, &source.digests) {
            assert_eq!(made, known.sha256);
        }
        Ok(content)
    }

    #[tokio::test]
    async fn every_way_to_the_content_gives_the_same() {
        for length in [0, 1, READ, 3 * READ + 17] {
            let (file, content) = file(length);
            let kept = Source::read(file.path(), true, u64::MAX).expect("readable");
            assert!(matches!(kept.content, Content::Memory(_)));
            let own = Source {
                content: Content::File,
                ..kept.clone()
            };
            let shared = SharedFile::new(&own, 0, &Blocks::new(1 << 20));
            let shared = Source {
                content: Content::Shared(shared),
                ..kept.clone()
            };
            for source in [&kept, &own, &shared] {
                for start in [0, length / 2, length] {
                    let read = all(source, start as u64).await.expect("read");
                    assert!(read == content[start..], "{length} {start}");
                }
            }
        }
    }

    #[tokio::test]
    async fn a_file_for_many_hosts_is_read_once() {
        let (file, content) = file(5 * SHARED_BLOCK + 1);
        let source = Source::read(file.path(), true, 0).expect("readable");
        let shared = SharedFile::new(&source, 0, &Blocks::new(8 * SHARED_BLOCK));
        let source = Source {
            content: Content::Shared(Arc::clone(&shared)),
            ..source
        };
        let mut hosts = tokio::task::JoinSet::new();
        for _ in 0..100 {
            let source = source.clone();
            hosts.spawn(async move { all(&source, 0).await });
        }
        while let Some(read) = hosts.join_next().await {
            assert!(read.expect("no panic").expect("read") == content);
        }
        assert_eq!(
            shared.bytes_read.load(Ordering::Relaxed),
            content.len() as u64
        );
    }

    #[tokio::test]
    async fn memory_is_bounded_and_who_falls_behind_still_gets_everything() {
        let (file, content) = file(6 * SHARED_BLOCK);
        let source = Source::read(file.path(), true, 0).expect("readable");
        let blocks = Blocks::new(2 * SHARED_BLOCK);
        let source = Source {
            content: Content::Shared(SharedFile::new(&source, 0, &blocks)),
            ..source
        };
        let mut late = Reader::new(&source, 0, None).await.expect("opened");
        let first = late.next(10).await.expect("read").expect("there");
        assert!(all(&source, 0).await.expect("read") == content);
        assert_eq!(blocks.state.lock().expect("unpoisoned").blocks.len(), 2);
        let mut read = first.to_vec();
        while let Some(piece) = late.next(usize::MAX).await.expect("read") {
            read.extend_from_slice(&piece);
        }
        assert!(read == content);
    }

    #[tokio::test]
    async fn a_file_that_changes_is_not_sent_as_if_nothing_was() {
        for is_shared in [false, true] {
            let (file, _) = file(3 * READ);
            let mut source = Source::look(file.path()).expect("readable");
            if is_shared {
                let shared = SharedFile::new(&source, 0, &Blocks::new(1 << 20));
                source.content = Content::Shared(shared);
            }
            let mut reader = Reader::new(&source, 0, None).await.expect("opened");
            reader.next(1).await.expect("read");
            std::fs::write(file.path(), "short").expect("our file");
            let mut end = Ok(Some(Bytes::new()));
            while let Ok(Some(_)) = end {
                end = reader.next(usize::MAX).await;
            }
            let error = match end {
                Ok(_) => reader.finish().await.expect_err("it changed"),
                Err(error) => error,
            };
            assert_eq!(error.kind(), ErrorKind::Local);
            assert!(error.to_string().contains("changed"), "{error}");
        }
    }

    #[test]
    fn only_regular_files_are_read() {
        let folder = tempfile::tempdir().expect("a folder");
        let pipe = folder.path().join("pipe");
        let made = std::process::Command::new("mkfifo").arg(&pipe).status();
        assert!(made.expect("coreutils are installed").success());
        for path in [
            folder.path(),
            &pipe,
            Path::new("/dev/null"),
            Path::new("/none"),
        ] {
            let error = Source::look(path).expect_err("no regular file");
            assert_eq!(error.kind(), ErrorKind::Local);
        }
    }
}
