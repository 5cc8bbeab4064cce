//! One file from a host: written beside its name, compared, and renamed.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, Seek as _, SeekFrom};
use std::path::PathBuf;
use std::sync::Arc;

use bytes::Bytes;
use data_encoding::HEXLOWER;
use sha2::{Digest as _, Sha256};
use tokio::task::{JoinHandle, spawn_blocking};

use super::digest::{Algorithm, Digester, Hasher};
use super::local::{Folder, LocalPart, unwritable, write_all};
use super::paths::{shortened, shown, split};
use super::protocol::{Attributes, FileType};
use super::sftp::{Answer, Handle, Trouble};
use super::source::{blocking, hash_start};
use super::upload::Terms;
use crate::{Error, ErrorKind, Result};

/// What is gathered for one write to the local disk, in bytes.
const GATHERED: usize = 1 << 20;

/// A file that is whole here and has not got its name yet.
pub(super) struct Fetched {
    pub(super) remote: Vec<u8>,
    pub(super) part: LocalPart,
    attributes: Attributes,
    /// The digest of what was received, where one was made.
    pub(super) digest: Option<String>,
    /// The bytes that it has, and how many of them an earlier transfer had left.
    pub(super) length: u64,
    pub(super) resumed: u64,
    /// Whether the host's file is longer by now.
    pub(super) has_grown: bool,
}

impl Fetched {
    /// Closes its file until it gets its name.
    pub(super) async fn closed(mut self) -> Result<Self> {
        blocking(move || {
            self.part.close()?;
            Ok(self)
        })
        .await
    }
}

impl Terms<'_> {
    /// Receives a file's content: what it held when it was opened. With an algorithm a digest is made of it.
    pub(super) async fn receive(
        &self,
        remote: &[u8],
        folder: &Arc<Folder>,
        name: &[u8],
        digests: Option<(&Digester<'_>, Algorithm)>,
    ) -> Result<Fetched> {
        let failed = |trouble: Trouble| trouble.when(remote, "read");
        // Looked at before it is opened: opening a named pipe waits for its writer.
        let found = self.sftp.attributes(remote).await.map_err(failed)?;
        if found.file_type() != FileType::File {
            let message = format!("`{}` is not a regular file on the host", shown(remote));
            return Err(Error::new(ErrorKind::Transfer, message));
        }
        let handle = self.sftp.open_to_read(remote).await.map_err(failed)?;
        let attributes = self.sftp.attributes_of(&handle).await.map_err(failed)?;
        let size = attributes.size.unwrap_or(0);
        self.meter.expect_at_least(size);

        let tag = fingerprint(self.sftp.host(), remote);
        let (tag, own) = (self.options.resume.then_some(tag), self.own_tag());
        let (folder, name) = (Arc::clone(folder), name.to_owned());
        let part = blocking(move || folder.part(&name, tag.as_deref(), &own)).await?;
        let (resumed, hasher) = self.start(&part, remote, size, digests).await?;
        self.meter.advance(resumed);

        let mut disk = Disk::new(&part, hasher)?;
        let length = match self.content(&handle, resumed, size, &mut disk).await {
            Ok(length) => length,
            Err(trouble) => {
                let error = failed(trouble);
                let is_lost = matches!(error.kind(), ErrorKind::Disconnected | ErrorKind::Timeout);
                if self.options.resume && is_lost && disk.finish().await.is_ok() {
                    part.keep();
                }
                return Err(error);
            }
        };
        let hasher = disk.finish().await?;

        let after = self.sftp.attributes_of(&handle).await.map_err(failed)?;
        let has_grown = after.size.is_some_and(|size| size > length);
        let has_changed = after.size.is_some_and(|after| size > 0 && after < length)
            || (!self.options.verify && !has_grown && modified(&after) != modified(&attributes));
        if has_changed {
            return Err(failed(changed().into()));
        }
        self.sftp.close_handle(handle).await.map_err(failed)?;
        Ok(Fetched {
            remote: remote.to_owned(),
            part,
            attributes,
            digest: hasher.map(Hasher::finish),
            length,
            resumed,
            has_grown,
        })
    }

    /// Gives a file its mode and its name.
    pub(super) async fn keep(&self, fetched: Fetched) -> Result<()> {
        let mode = fetched.attributes.permissions.unwrap_or(0o644);
        let mode = self.options.file_mode(mode);
        let times = fetched.attributes.times.filter(|_| self.options.times);
        let sync = self.options.sync;
        blocking(move || fetched.part.finish(mode, times, sync)).await
    }

    /// How much of the file is here already, and the digest of that much.
    async fn start(
        &self,
        part: &LocalPart,
        remote: &[u8],
        size: u64,
        digests: Option<(&Digester<'_>, Algorithm)>,
    ) -> Result<(u64, Option<Hasher>)> {
        let fresh = digests.map(|(_, algorithm)| Hasher::new(algorithm));
        let length = part.length()?;
        if length == 0 {
            return Ok((0, fresh));
        }
        let (file, path) = (part.file()?, part.path());
        if length <= size
            && let (Some((digester, _)), Some(mut hasher)) = (digests, fresh.clone())
            && let Ok((_, there)) = digester.digest_of_start(remote, length).await
        {
            let hasher = blocking(move || {
                let hashed = (&*file)
                    .seek(SeekFrom::Start(0))
                    .and_then(|_| hash_start(&*file, &mut hasher, length));
                hashed.map_err(|error| unwritable(&path, error))?;
                Ok(hasher)
            })
            .await?;
            if hasher.clone().finish() == there {
                return Ok((length, Some(hasher)));
            }
        }
        // Another content, or nobody can tell: from the start.
        let (file, path) = (part.file()?, part.path());
        let emptied = file
            .set_len(0)
            .and_then(|()| (&*file).seek(SeekFrom::Start(0)).map(drop));
        emptied.map_err(|error| unwritable(&path, error))?;
        Ok((0, fresh))
    }

    /// Receives content from an offset on; gives the offset of its end.
    async fn content(
        &self,
        handle: &Handle,
        start: u64,
        size: u64,
        disk: &mut Disk,
    ) -> Result<u64, Trouble> {
        let block = match self.bandwidth {
            // Short pieces, so that a low limit lets something through every moment.
            Some(_) => 32 << 10,
            None => self.sftp.read_block(),
        };
        let (mut asked, mut next) = (VecDeque::<(u64, u32, Answer<'_>)>::new(), start);
        while next < size || !asked.is_empty() {
            // A low limit leaves all places free for long, and what is over is told all the same.
            let has_come = self.bandwidth.is_some()
                && asked
                    .front()
                    .is_some_and(|(_, _, answer)| answer.has_come());
            let place = match self.sftp.free_place() {
                _ if next == size || has_come => None,
                None if asked.is_empty() => Some(self.sftp.place().await?),
                free => free,
            };
            if let Some(place) = place {
                let length = u64::from(block).min(size - next) as u32;
                if let Some(bandwidth) = self.bandwidth {
                    bandwidth.take(length as usize).await;
                }
                let answer = self.sftp.read(Some(place), handle, next, length).await?;
                asked.push_back((next, length, answer));
                next += u64::from(length);
            } else if let Some((offset, length, answer)) = asked.pop_front() {
                let mut received = self.received(answer.content().await?, length, disk).await?;
                // A server may give less than was asked for.
                while received < length {
                    let (offset, length) = (offset + u64::from(received), length - received);
                    let answer = self.sftp.read(None, handle, offset, length).await?;
                    received += self.received(answer.content().await?, length, disk).await?;
                }
            }
        }
        if size > 0 {
            return Ok(size);
        }
        // Files of the kernel's, as in /proc, have no size and a content all the same.
        let mut end = 0;
        loop {
            let answer = self.sftp.read(None, handle, end, block).await?;
            match answer.content().await? {
                None => return Ok(end),
                content => end += u64::from(self.received(content, block, disk).await?),
            }
        }
    }

    async fn received(
        &self,
        content: Option<Vec<Bytes>>,
        asked: u32,
        disk: &mut Disk,
    ) -> Result<u32, Trouble> {
        let content = content.ok_or_else(changed)?;
        let length: usize = content.iter().map(Bytes::len).sum();
        if length == 0 || length > asked as usize {
            let message = "the server's file transfer gave another length than was asked for";
            return Err(Error::new(ErrorKind::Protocol, message).into());
        }
        disk.write(content).await?;
        self.meter.advance(length as u64);
        Ok(length as u32)
    }
}

/// The local file while it grows: what comes is written and hashed beside the runtime's threads.
struct Disk {
    file: Arc<File>,
    path: PathBuf,
    hasher: Option<Hasher>,
    gathered: Vec<Bytes>,
    bytes: usize,
    writing: Option<JoinHandle<io::Result<Option<Hasher>>>>,
}

impl Disk {
    fn new(part: &LocalPart, hasher: Option<Hasher>) -> Result<Self> {
        Ok(Self {
            file: part.file()?,
            path: part.path(),
            hasher,
            gathered: Vec::new(),
            bytes: 0,
            writing: None,
        })
    }

    async fn write(&mut self, content: Vec<Bytes>) -> Result<()> {
        self.bytes += content.iter().map(Bytes::len).sum::<usize>();
        self.gathered.extend(content);
        if self.bytes >= GATHERED {
            self.flush().await?;
        }
        Ok(())
    }

    /// Starts to write what was gathered, once the last of it is written.
    async fn flush(&mut self) -> Result<()> {
        if let Some(writing) = &mut self.writing {
            let written = writing.await;
            self.writing = None;
            let written = written.map_err(io::Error::from).flatten();
            self.hasher = written.map_err(|error| unwritable(&self.path, error))?;
        }
        if self.gathered.is_empty() {
            return Ok(());
        }
        self.bytes = 0;
        let pieces = std::mem::take(&mut self.gathered);
        let (file, mut hasher) = (Arc::clone(&self.file), self.hasher.take());
        self.writing = Some(spawn_blocking(move || {
            write_all(&file, &pieces)?;
            if let Some(hasher) = &mut hasher {
                pieces.iter().for_each(|piece| hasher.update(piece));
            }
            Ok(hasher)
        }));
        Ok(())
    }

    /// Waits until everything is written.
    async fn finish(mut self) -> Result<Option<Hasher>> {
        self.flush().await?;
        self.flush().await?;
        Ok(self.hasher)
    }
}

fn changed() -> Error {
    Error::new(ErrorKind::Transfer, "the file changed while it was read")
}

/// Reading a file changes the time of last access.
fn modified(attributes: &Attributes) -> Option<u32> {
    attributes.times.map(|(_, modified)| modified)
}

/// What tells a transfer of one file from others: a broken one is found again by it, and its content then compared. The
/// name counts as far as it stands in the name of an unfinished file.
pub(super) fn fingerprint(host: &str, remote: &[u8]) -> String {
    let (folder, name) = split(remote);
    let all = [host.as_bytes(), b"\n", folder, b"/", &shortened(name)].concat();
    HEXLOWER.encode(&Sha256::digest(all)[..8])
}
