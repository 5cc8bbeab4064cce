//! One SFTP connection on a channel of a session: requests go out, and each finds its answer.
//!
//! The crate speaks the protocol itself: file content goes from the file to the channel and back without a copy of
//! ours, and requests are kept in flight as far as the window allows.

mod answer;
mod served;
#[cfg(test)]
mod tests;
mod trouble;

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::{Buf as _, Bytes};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot};
use tokio::time::timeout;

pub(super) use self::answer::Answer;
use self::answer::asked_for;
use self::served::{Packet, Served, Shared, Sync};
pub(super) use self::trouble::{Refusal, Trouble};
use super::paths::shown;
use super::protocol::{Attributes, FileType, Name, Reply, Request, VERSION, kind, open, status};
use crate::session::Session;
use crate::{Error, ErrorKind, Result};

/// How long a server may send nothing at all while an answer is waited for.
const PATIENCE: Duration = Duration::from_secs(60);

/// How long tidying up may take.
const CLEANING: Duration = Duration::from_secs(5);

/// A block of content in one request: seven SSH packets of the 32 KiB that OpenSSH takes, below the 255 KiB that its
/// sftp-server takes.
const BLOCK: u32 = 7 * (32 << 10);

/// What every server takes (draft-ietf-secsh-filexfer-02 section 3: packets of 34000 bytes).
const SMALL_BLOCK: u32 = 32 << 10;

/// Content on its way in one direction, in bytes, whatever the number of files.
const WINDOW: u32 = 4 << 20;

/// A file transfer connection. Clones share it.
#[derive(Clone)]
pub(super) struct Sftp {
    inner: Arc<Inner>,
}

struct Inner {
    host: String,
    queue: mpsc::Sender<Packet>,
    shared: Arc<Shared>,
    /// The task that serves the channel closes it when this is dropped.
    _open: oneshot::Sender<()>,
    features: Features,
    /// A permit for each block on its way.
    window: Arc<Semaphore>,
    /// Files with names of their own that are not finished, for [`Sftp::discard`].
    unfinished: Mutex<BTreeSet<Vec<u8>>>,
}

/// What the server offers beyond version 3.
#[derive(Debug, Clone, Copy)]
struct Features {
    posix_rename: bool,
    fsync: bool,
    read: u32,
    write: u32,
}

/// An open file or folder on the host.
#[derive(Debug, Clone)]
pub(super) struct Handle(Bytes);

/// A place among the blocks on their way.
pub(super) struct Place(#[expect(dead_code, reason = "held for its end")] OwnedSemaphorePermit);

impl Sftp {
    pub(super) async fn open(session: &Session) -> Result<Self> {
        let host = session.host().to_owned();
        let (input, output) = session.channel().await?;
        let (queue, packets) = mpsc::channel(4);
        let (open, dropped) = oneshot::channel();
        let (started_sender, started) = oneshot::channel();
        let (version_sender, version) = oneshot::channel();
        let shared = Arc::new(Shared::default());
        let channel = Served {
            input,
            output,
            packets,
            shared: Arc::clone(&shared),
            started: started_sender,
            version: version_sender,
        };
        tokio::spawn(channel.serve(dropped));
        let mut sftp = Inner {
            host,
            queue,
            shared,
            _open: open,
            features: Features {
                posix_rename: false,
                fsync: false,
                read: SMALL_BLOCK,
                write: SMALL_BLOCK,
            },
            window: Arc::new(Semaphore::new((WINDOW / SMALL_BLOCK) as usize)),
            unfinished: Mutex::default(),
        };
        match started.await {
            Ok(started) => started.map_err(|error| error.on(&sftp.host))?,
            Err(_) => return Err(sftp.lost()),
        }
        let hello = Packet {
            head: Request::new(kind::INIT, VERSION).finish(),
            content: Bytes::new(),
        };
        let no_start = |why: &str| {
            let message = format!("the file transfer cannot start: {why}");
            Error::new(ErrorKind::Transfer, message).on(&sftp.host)
        };
        if sftp.queue.send(hello).await.is_err() {
            return Err(sftp.lost());
        }
        let extensions = match timeout(PATIENCE, version).await {
            Ok(Ok((VERSION, extensions))) => extensions,
            Ok(Ok((other, _))) => {
                return Err(no_start(&format!(
                    "the server speaks version {other} of SFTP, not {VERSION}"
                )));
            }
            Ok(Err(_)) => {
                return Err(no_start(
                    "what answers does not speak SFTP (does a start-up file of the login shell print something?)",
                ));
            }
            Err(_) => return Err(no_start("the server said nothing for 60s")),
        };
        let has = |name: &[u8]| extensions.iter().any(|(known, _)| known == name);
        sftp.features.posix_rename = has(b"posix-rename@openssh.com");
        sftp.features.fsync = has(b"fsync@openssh.com");
        let has_limits = has(b"limits@openssh.com");
        let mut sftp = Self {
            inner: Arc::new(sftp),
        };
        if has_limits
            && let Some((read, write)) = sftp.limits().await?
            && let Some(inner) = Arc::get_mut(&mut sftp.inner)
        {
            let fitting = |most: u64| match u32::try_from(most).unwrap_or(u32::MAX).min(BLOCK) {
                // No limit, or one that leaves no room: what every server takes.
                0..SMALL_BLOCK => SMALL_BLOCK,
                most => most - most % SMALL_BLOCK,
            };
            (inner.features.read, inner.features.write) = (fitting(read), fitting(write));
            let block = inner.features.read.max(inner.features.write);
            inner.window = Arc::new(Semaphore::new((WINDOW / block) as usize));
        }
        Ok(sftp)
    }

    /// The longest read and write that the server takes (limits@openssh.com).
    async fn limits(&self) -> Result<Option<(u64, u64)>> {
        let asked = self
            .ask(kind::EXTENDED, |request| {
                request.string(b"limits@openssh.com")
            })
            .await?;
        Ok(match asked.reply().await? {
            Reply::Extended(mut body) => (|| {
                body.try_get_u64().ok()?;
                Some((body.try_get_u64().ok()?, body.try_get_u64().ok()?))
            })(),
            _ => None,
        })
    }

    pub(super) fn host(&self) -> &str {
        &self.inner.host
    }

    /// The longest content of one read.
    pub(super) fn read_block(&self) -> u32 {
        self.inner.features.read
    }

    /// The longest content of one write.
    pub(super) fn write_block(&self) -> u32 {
        self.inner.features.write
    }

    /// Sends a request. Cancel-safe: a packet goes out whole or not at all.
    async fn ask(&self, kind: u8, body: impl FnOnce(Request) -> Request) -> Result<Answer<'_>> {
        self.send(kind, body, Bytes::new(), None).await
    }

    async fn send(
        &self,
        kind: u8,
        body: impl FnOnce(Request) -> Request,
        content: Bytes,
        place: Option<Place>,
    ) -> Result<Answer<'_>> {
        let Ok(slot) = self.inner.queue.reserve().await else {
            return Err(self.inner.lost());
        };
        let (sender, reply) = oneshot::channel();
        let id = {
            let mut waiting = self.inner.shared.waiting();
            if waiting.is_closed {
                return Err(self.inner.lost());
            }
            waiting.last_id = waiting.last_id.wrapping_add(1);
            let id = waiting.last_id;
            waiting.answers.insert(id, sender);
            id
        };
        slot.send(Packet {
            head: body(Request::new(kind, id)).finish_before(content.len()),
            content,
        });
        Ok(Answer {
            sftp: self,
            reply,
            _place: place,
        })
    }

    /// A place among the blocks on their way, which it holds until its answer is dropped. Whoever waits for one holds no
    /// other, or nobody would go on: see [`free_place`](Self::free_place).
    pub(super) async fn place(&self) -> Result<Place> {
        let place = Arc::clone(&self.inner.window).acquire_owned().await;
        place.map(Place).map_err(|_| self.inner.lost())
    }

    /// A place, when one is free.
    pub(super) fn free_place(&self) -> Option<Place> {
        let place = Arc::clone(&self.inner.window).try_acquire_owned();
        place.ok().map(Place)
    }

    pub(super) async fn open_to_read(&self, path: &[u8]) -> Result<Handle, Trouble> {
        self.open_file(path, open::READ, &Attributes::default())
            .await
    }

    /// Makes a new file that only its owner can read.
    pub(super) async fn create(&self, path: &[u8]) -> Result<Handle, Trouble> {
        let flags = open::WRITE | open::CREATE | open::EXCLUSIVE;
        self.open_file(path, flags, &Attributes::mode(0o600)).await
    }

    pub(super) async fn open_to_write(&self, path: &[u8]) -> Result<Handle, Trouble> {
        self.open_file(path, open::WRITE, &Attributes::default())
            .await
    }

    async fn open_file(
        &self,
        path: &[u8],
        flags: u32,
        attributes: &Attributes,
    ) -> Result<Handle, Trouble> {
        let asked = self
            .ask(kind::OPEN, |request| {
                request.string(path).u32(flags).attributes(attributes)
            })
            .await?;
        asked.handle().await
    }

    pub(super) async fn close_handle(&self, handle: Handle) -> Result<(), Trouble> {
        let asked = self
            .ask(kind::CLOSE, |request| request.string(&handle.0))
            .await?;
        asked.done().await
    }

    /// Sends a block of content.
    pub(super) async fn write(
        &self,
        place: Place,
        handle: &Handle,
        offset: u64,
        content: Bytes,
    ) -> Result<Answer<'_>> {
        let head = |request: Request| {
            request
                .string(&handle.0)
                .u64(offset)
                .u32(content.len() as u32)
        };
        self.send(kind::WRITE, head, content.clone(), Some(place))
            .await
    }

    /// Asks for a block of content.
    pub(super) async fn read(
        &self,
        place: Option<Place>,
        handle: &Handle,
        offset: u64,
        length: u32,
    ) -> Result<Answer<'_>> {
        let head = |request: Request| request.string(&handle.0).u64(offset).u32(length);
        self.send(kind::READ, head, Bytes::new(), place).await
    }

    /// Has the host's kernel write the file to its disk, where the server can (fsync@openssh.com). That takes as long as
    /// the disk does, and sshd's server answers nothing else meanwhile.
    pub(super) async fn sync(&self, handle: &Handle) -> Result<(), Trouble> {
        if !self.inner.features.fsync {
            return Ok(());
        }
        let _sync = Sync::begin(&self.inner.shared);
        let asked = self
            .ask(kind::EXTENDED, |request| {
                request.string(b"fsync@openssh.com").string(&handle.0)
            })
            .await?;
        asked.done().await
    }

    pub(super) async fn attributes_of(&self, handle: &Handle) -> Result<Attributes, Trouble> {
        let asked = self
            .ask(kind::FSTAT, |request| request.string(&handle.0))
            .await?;
        asked.attributes().await
    }

    pub(super) async fn set_attributes(
        &self,
        path: &[u8],
        attributes: &Attributes,
    ) -> Result<(), Trouble> {
        let asked = self
            .ask(kind::SETSTAT, |request| {
                request.string(path).attributes(attributes)
            })
            .await?;
        asked.done().await
    }

    /// What a path leads to, also through links.
    pub(super) async fn attributes(&self, path: &[u8]) -> Result<Attributes, Trouble> {
        let asked = self.ask(kind::STAT, |request| request.string(path)).await?;
        asked.attributes().await
    }

    /// What a name stands for itself.
    pub(super) async fn attributes_of_name(&self, path: &[u8]) -> Result<Attributes, Trouble> {
        let asked = self
            .ask(kind::LSTAT, |request| request.string(path))
            .await?;
        asked.attributes().await
    }

    pub(super) async fn is_folder(&self, path: &[u8]) -> bool {
        let found = self.attributes(path).await;
        found.is_ok_and(|attributes| attributes.file_type() == FileType::Folder)
    }

    /// Checks that a rename onto this name would replace no device, pipe or socket, and that the name is not too long.
    pub(super) async fn replaceable(&self, path: &[u8]) -> Result<(), Trouble> {
        // Some servers leave the kind out of the mode.
        let is_special = |found: Attributes| {
            let has_kind = found.permissions.is_some_and(|mode| mode & 0o170_000 != 0);
            has_kind && found.file_type() == FileType::Other
        };
        match self.attributes_of_name(path).await {
            Ok(found) if is_special(found) => {
                let message = format!("`{}` cannot be written", shown(path));
                let why = "it is a device, pipe or socket on the host, which no file replaces: name another path";
                Err(Error::new(ErrorKind::Transfer, message)
                    .caused_by(why)
                    .into())
            }
            Err(Trouble::Refused(refusal)) if refusal.too_long(path).is_none() => Ok(()),
            found => found.map(drop),
        }
    }

    pub(super) async fn make_folder(&self, path: &[u8], mode: u32) -> Result<(), Trouble> {
        let asked = self
            .ask(kind::MKDIR, |request| {
                request.string(path).attributes(&Attributes::mode(mode))
            })
            .await?;
        asked.done().await
    }

    pub(super) async fn remove(&self, path: &[u8]) -> Result<(), Trouble> {
        let asked = self
            .ask(kind::REMOVE, |request| request.string(path))
            .await?;
        asked.done().await
    }

    /// Gives a file another name; one that has it is replaced. SSH_FXP_RENAME refuses to in this version of the
    /// protocol; OpenSSH's extension does it atomically.
    pub(super) async fn rename(&self, from: &[u8], to: &[u8]) -> Result<(), Trouble> {
        let asked = if self.inner.features.posix_rename {
            self.ask(kind::EXTENDED, |request| {
                request
                    .string(b"posix-rename@openssh.com")
                    .string(from)
                    .string(to)
            })
            .await?
        } else {
            self.ask(kind::RENAME, |request| request.string(from).string(to))
                .await?
        };
        asked.done().await
    }

    /// Makes a symbolic link. sftp-server takes the two paths in this order, and not in the draft's.
    pub(super) async fn link(&self, target: &[u8], name: &[u8]) -> Result<(), Trouble> {
        let asked = self
            .ask(kind::SYMLINK, |request| request.string(target).string(name))
            .await?;
        asked.done().await
    }

    pub(super) async fn read_link(&self, path: &[u8]) -> Result<Bytes, Trouble> {
        let asked = self
            .ask(kind::READLINK, |request| request.string(path))
            .await?;
        match asked.reply().await? {
            Reply::Names(mut names) if names.len() == 1 => Ok(names.swap_remove(0).name),
            other => Err(asked_for(other, self)),
        }
    }

    pub(super) async fn open_folder(&self, path: &[u8]) -> Result<Handle, Trouble> {
        let asked = self
            .ask(kind::OPENDIR, |request| request.string(path))
            .await?;
        asked.handle().await
    }

    /// The next names of a folder, `None` after the last.
    pub(super) async fn list(&self, folder: &Handle) -> Result<Option<Vec<Name>>, Trouble> {
        let asked = self
            .ask(kind::READDIR, |request| request.string(&folder.0))
            .await?;
        match asked.reply().await? {
            Reply::Names(names) => Ok(Some(names)),
            Reply::Status {
                code: status::END, ..
            } => Ok(None),
            other => Err(asked_for(other, self)),
        }
    }

    /// Notes a file that is to be removed unless it is finished.
    pub(super) fn begin(&self, path: &[u8]) {
        self.inner.unfinished().insert(path.to_owned());
    }

    /// The file has its final name, or is gone.
    pub(super) fn end(&self, path: &[u8]) {
        self.inner.unfinished().remove(path);
    }

    /// Removes what is not finished. Says whether all of it is gone.
    pub(super) async fn discard(&self) -> bool {
        let unfinished = self.inner.unfinished().clone();
        let cleaning = async {
            for path in unfinished {
                let is_gone = match self.remove(&path).await {
                    Ok(()) => true,
                    Err(Trouble::Refused(refusal)) => refusal.code == status::NO_SUCH_FILE,
                    Err(Trouble::Broken(_)) => false,
                };
                if is_gone {
                    self.end(&path);
                }
            }
        };
        let _ = timeout(CLEANING, cleaning).await;
        self.inner.unfinished().is_empty()
    }
}

impl Inner {
    fn lost(&self) -> Error {
        Error::new(
            ErrorKind::Disconnected,
            "the connection was lost during a file transfer",
        )
        .on(&self.host)
    }

    fn unfinished(&self) -> MutexGuard<'_, BTreeSet<Vec<u8>>> {
        self.unfinished
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}
