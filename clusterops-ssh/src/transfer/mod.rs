//! Files to hosts and from them, by SFTP.
//!
//! A [`Session`] gives [`Files`], which sends and fetches files and whole trees; the stages of a
//! [plan](crate::plan) do the same on a fleet. What holds in both directions:
//!
//! - **A file appears under its name when it is whole**, and not before. It is written beside it, as
//!   `.NAME.TAG.part`, readable for its owner only; its digest is compared with that of the original (`b2sum` on the
//!   host, else `sha256sum`); it is written to the disk; then it gets its mode and is renamed, which replaces a file
//!   or link of that name at once. A folder, device, pipe or socket is never replaced. The folder entry itself is not
//!   synced: after a power failure the old file can be there, never half of a new one.
//! - **A transfer that fails removes what it has written**, where the connection allows. After a lost connection the
//!   part stays, and the next transfer of the same content to the same name goes on with it: when it belongs to us,
//!   nobody else can write to it, and its digest is that of the content's start.
//! - **Trees** keep folders, files and symbolic links. A link is made again when it leads to something in the tree for
//!   sure (a relative target whose `..` all stand at its start and do not leave the tree); others are left out and
//!   reported, as are devices, sockets and pipes. No link is followed in a tree, on neither side. What a host lists
//!   under a name that is no file name (`..`, or one with a slash) is left out and reported. Hard links become files
//!   of their own; owners and extended attributes are not kept.
//! - **A file that changes** while it is read is an error, with one exception: of one that only grows, such as a log, a
//!   download gives what it held when it was opened.

mod digest;
mod download;
mod leftover;
mod local;
mod options;
mod paths;
mod protocol;
mod sftp;
mod source;
mod together;
mod tree;
mod upload;

use std::fmt;
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;
use std::sync::Arc;

#[cfg(feature = "sim")]
pub(crate) use self::digest::Algorithm;
use self::digest::Digester;
pub(crate) use self::digest::Hasher;
use self::download::Fetched;
pub(crate) use self::leftover::{Strays, clear_fetched};
use self::local::Folder;
use self::options::Meter;
pub(crate) use self::options::Watcher;
pub use self::options::{
    Bandwidth, Progress, Skipped, SkippedBecause, TransferOptions, Transferred,
};
use self::sftp::Sftp;
use self::source::blocking;
pub(crate) use self::source::{Blocks, Content, SharedFile, Source};
pub(crate) use self::tree::LocalTree;
use self::upload::{Part, Terms};
use crate::session::{Session, Termination};
use crate::{Error, ErrorKind, Result};

/// How many files of a tree are compared and renamed together.
const BATCH: usize = 64;

/// How many files of a tree are on their way at once.
const AT_ONCE: usize = 8;

/// How many folders the files of a batch may be in that come from a host: each is open.
const FOLDERS: usize = 8;

/// How many local files and folders are open at most while a tree is sent, and while one is fetched, whose root is one.
pub(crate) const OPEN_TO_SEND: usize = AT_ONCE;
pub(crate) const OPEN_TO_FETCH: usize = AT_ONCE + FOLDERS + 1;

/// The files of one host: a file transfer connection inside a [`Session`].
///
/// The [module](self) says what holds for all transfers. Remote paths are text; one that is not absolute starts in the
/// login directory, as `~/` does. None of the transfers is cancel-safe: a future that is dropped has not tidied up, and
/// [`close`](Self::close) does.
///
/// ```no_run
/// # async fn example(session: clusterops_ssh::Session) -> clusterops_ssh::Result<()> {
/// use clusterops_ssh::{Bandwidth, TransferOptions};
///
/// let files = session
///     .files()
///     .await?
///     .options(TransferOptions::default().times(true))
///     .bandwidth(Bandwidth::per_second(20_000_000))
///     .progress(|progress| eprint!("\r{} of {}", progress.bytes, progress.total));
/// files.upload("app.tar", "/opt/app.tar").await?;
/// let fetched = files.download_tree("/var/log/app", "logs").await?;
/// println!("{} files, {} bytes", fetched.files, fetched.bytes);
/// files.close().await;
/// # Ok(())
/// # }
/// ```
pub struct Files<'a> {
    sftp: Sftp,
    digester: Digester<'a>,
    options: TransferOptions,
    bandwidth: Option<Bandwidth>,
    watcher: Option<Watcher>,
    tag: Option<String>,
}

impl Session {
    /// Starts the file transfer subsystem in this session.
    ///
    /// # Errors
    /// [`ErrorKind::Transfer`] when the server has none; and what a lost connection gives.
    pub async fn files(&self) -> Result<Files<'_>> {
        Ok(Files {
            sftp: Sftp::open(self).await?,
            digester: Digester::new(self),
            options: TransferOptions::default(),
            bandwidth: None,
            watcher: None,
            tag: None,
        })
    }
}

impl Files<'_> {
    /// Sets how files are transferred.
    #[must_use]
    pub fn options(mut self, options: TransferOptions) -> Self {
        self.options = options;
        self
    }

    /// Sets how fast it may go; what else holds a clone of the limit shares it.
    #[must_use]
    pub fn bandwidth(mut self, limit: Bandwidth) -> Self {
        self.bandwidth = Some(limit);
        self
    }

    /// Sets what is told how far each transfer has come, block by block. It is called on the runtime's threads, so it
    /// returns at once.
    #[must_use]
    pub fn progress(mut self, watcher: impl Fn(Progress) + Send + Sync + 'static) -> Self {
        self.watcher = Some(Arc::new(watcher));
        self
    }

    /// Sets what is found again of these transfers when their controller ends before they do: unfinished files have this
    /// in their names, unless another transfer of the same would go on with them, and programs on the host have it as
    /// `CLUSTEROPS_TASK` in their environment.
    pub(crate) fn tag(mut self, tag: &str) -> Self {
        self.tag = Some(tag.to_owned());
        self.digester.tag = Some(tag.to_owned());
        self
    }

    /// Sends a regular file; the last part of `remote` is its name there.
    ///
    /// # Errors
    /// [`ErrorKind::Local`] for the file here, [`ErrorKind::Transfer`] for what the host refuses and digests that
    /// differ, [`ErrorKind::Disconnected`] and [`ErrorKind::Timeout`] for the way between.
    pub async fn upload(&self, local: impl AsRef<Path>, remote: &str) -> Result<Transferred> {
        let path = local.as_ref().to_owned();
        let source = blocking(move || Source::look(&path)).await?;
        self.upload_source(&source, remote).await
    }

    /// Fetches a regular file; the last part of `local` is its name here. A link is followed to its file.
    ///
    /// # Errors
    /// As [`upload`](Self::upload).
    pub async fn download(&self, remote: &str, local: impl AsRef<Path>) -> Result<Transferred> {
        let local = local.as_ref();
        let (Some(name), Some(folder)) = (local.file_name(), local.parent()) else {
            let message = format!("`{}` names no local file", local.display());
            return Err(Error::new(ErrorKind::Local, message));
        };
        let folder = folder.to_owned();
        let folder = blocking(move || Folder::open(&folder)).await?;
        let remote = paths::remote(remote)?;
        self.fetch_file(&remote, &Arc::new(folder), name.as_bytes())
            .await
            .map_err(|error| self.on_host(error))
    }

    /// Sends what a local folder holds into a folder on the host, which is made where it is not there; the folder above
    /// it is.
    ///
    /// Files of the same names are replaced, others stay. The first thing that fails ends it; what has got its name by
    /// then stays.
    ///
    /// # Errors
    /// As [`upload`](Self::upload).
    pub async fn upload_tree(&self, local: impl AsRef<Path>, remote: &str) -> Result<Transferred> {
        let path = local.as_ref().to_owned();
        let tree = blocking(move || LocalTree::look(&path)).await?;
        self.upload_local_tree(&tree, remote).await
    }

    /// Fetches what a folder on the host holds into a local folder, which is made where it is not there.
    ///
    /// # Errors
    /// As [`upload`](Self::upload).
    pub async fn download_tree(
        &self,
        remote: &str,
        local: impl AsRef<Path>,
    ) -> Result<Transferred> {
        let path = local.as_ref().to_owned();
        let remote = paths::remote(remote)?;
        let fetching = async {
            let folder = blocking(move || Folder::create(&path)).await?;
            self.fetch_tree(&remote, Arc::new(folder)).await
        };
        fetching.await.map_err(|error| self.on_host(error))
    }

    /// Fetches a file or a folder with all that is in it into a local folder, under the last part of its path.
    pub(crate) async fn fetch(&self, remote: &str, folder: &Path) -> Result<Transferred> {
        let path = folder.to_owned();
        let remote = paths::remote(remote)?;
        let fetching = async {
            let folder = blocking(move || Folder::create(&path)).await?;
            let name = paths::split(&remote).1;
            if !self.sftp.is_folder(&remote).await {
                return self.fetch_file(&remote, &Arc::new(folder), name).await;
            }
            let name = name.to_owned();
            let folder = match paths::is_file_name(&name) {
                true => blocking(move || folder.enter(&name)).await?,
                // The login directory, or the root.
                false => folder,
            };
            self.fetch_tree(&remote, Arc::new(folder)).await
        };
        fetching.await.map_err(|error| self.on_host(error))
    }

    /// Removes what unfinished transfers have written on the host, and ends the connection.
    ///
    /// The answer says whether that was seen: [`Termination::Unconfirmed`] names what may be left.
    pub async fn close(self) -> Termination {
        let is_clean = self.sftp.discard().await;
        match self.digester.end().await {
            Termination::Confirmed if is_clean => Termination::Confirmed,
            Termination::Confirmed => {
                let why = "an unfinished file (`.NAME.TAG.part`) may be left beside its name";
                Termination::Unconfirmed(why.into())
            }
            unconfirmed => unconfirmed,
        }
    }

    pub(crate) async fn upload_source(&self, source: &Source, remote: &str) -> Result<Transferred> {
        let sending = async {
            let remote = paths::remote(remote)?;
            let meter = self.meter();
            meter.expect(source.facts.length);
            let terms = self.terms(&meter);
            let part = self.send(&terms, source, &remote).await?;
            self.finish_uploads(&terms, &[source], std::slice::from_ref(&part))
                .await?;
            Ok(Transferred {
                bytes: part.sent,
                resumed: part.resumed,
                files: 1,
                ..Transferred::default()
            })
        };
        let sent = sending.await;
        self.tidied(sent).await
    }

    /// What a failed upload has written is removed, where that is still possible.
    async fn tidied<T>(&self, result: Result<T>) -> Result<T> {
        if result.is_err() {
            self.sftp.discard().await;
        }
        result.map_err(|error| self.on_host(error))
    }

    /// Sends a file, with a digest of it where one is needed and not known.
    async fn send(&self, terms: &Terms<'_>, source: &Source, remote: &[u8]) -> Result<Part> {
        let hasher = match self.options.verify && source.digests.is_none() {
            true => Some(Hasher::new(self.digester.algorithm().await?)),
            false => None,
        };
        terms.send(source, remote, &self.digester, hasher).await
    }

    /// Compares files that were sent, and gives them their names.
    async fn finish_uploads(
        &self,
        terms: &Terms<'_>,
        sources: &[&Source],
        parts: &[Part],
    ) -> Result<()> {
        if self.options.verify {
            let paths: Vec<_> = parts.iter().map(|part| part.temporary.clone()).collect();
            let (algorithm, digests) = self.digester.digests(&paths).await?;
            for ((source, part), there) in sources.iter().zip(parts).zip(&digests) {
                let known = source.digests.as_ref().map(|known| known.of(algorithm));
                if part.digest.as_deref().or(known) != Some(there) {
                    let path = source.path.display();
                    return Err(differs(format_args!("what was written of `{path}`")));
                }
            }
        }
        let finishing = parts.iter().map(|part| terms.finish(part)).collect();
        together::all(AT_ONCE, finishing).await.map(drop)
    }

    async fn fetch_file(
        &self,
        remote: &[u8],
        folder: &Arc<Folder>,
        name: &[u8],
    ) -> Result<Transferred> {
        let meter = self.meter();
        let terms = self.terms(&meter);
        let fetched = self.receive(&terms, remote, folder, name).await?;
        let mut done = Transferred::default();
        self.finish_downloads(&terms, vec![fetched], &mut done)
            .await?;
        Ok(done)
    }

    async fn receive(
        &self,
        terms: &Terms<'_>,
        remote: &[u8],
        folder: &Arc<Folder>,
        name: &[u8],
    ) -> Result<Fetched> {
        let digests = match self.options.verify {
            true => Some((&self.digester, self.digester.algorithm().await?)),
            false => None,
        };
        terms.receive(remote, folder, name, digests).await
    }

    /// Compares files that were received, and gives them their names.
    async fn finish_downloads(
        &self,
        terms: &Terms<'_>,
        files: Vec<Fetched>,
        done: &mut Transferred,
    ) -> Result<()> {
        if self.options.verify {
            let whole: Vec<&Fetched> = files.iter().filter(|file| !file.has_grown).collect();
            let paths: Vec<_> = whole.iter().map(|file| file.remote.clone()).collect();
            let digests = match paths.as_slice() {
                [] => Vec::new(),
                paths => self.digester.digests(paths).await?.1,
            };
            let mut compared: Vec<(&Fetched, String)> = whole.into_iter().zip(digests).collect();
            for file in files.iter().filter(|file| file.has_grown) {
                let start = self.digester.digest_of_start(&file.remote, file.length);
                compared.push((file, start.await?.1));
            }
            for (file, there) in compared {
                if file.digest.as_deref() != Some(&there) {
                    let path = paths::shown(&file.remote);
                    return Err(differs(format_args!("what was received of `{path}`")));
                }
            }
        }
        for file in &files {
            done.files += 1;
            done.bytes += file.length - file.resumed;
            done.resumed += file.resumed;
        }
        let keeping = files.into_iter().map(|file| terms.keep(file)).collect();
        together::all(AT_ONCE, keeping).await.map(drop)
    }

    fn meter(&self) -> Meter {
        Meter::new(self.watcher.clone())
    }

    fn terms<'b>(&'b self, meter: &'b Meter) -> Terms<'b> {
        Terms {
            sftp: &self.sftp,
            options: &self.options,
            bandwidth: self.bandwidth.as_ref(),
            meter,
            tag: self.tag.as_deref(),
        }
    }

    fn on_host(&self, error: Error) -> Error {
        self.digester.session.on_host(error)
    }
}

fn differs(what: fmt::Arguments<'_>) -> Error {
    let message =
        format!("{what} is not what was read: the digests differ, or the file changed meanwhile");
    Error::new(ErrorKind::Transfer, message)
}

impl fmt::Debug for Files<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Files")
            .field("host", &self.sftp.host())
            .field("options", &self.options)
            .finish_non_exhaustive()
    }
}
