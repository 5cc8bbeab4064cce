//! OpenSSH's known_hosts files: read, asked and extended.
//!
//! The format and its rules are those of sshd(8), section "SSH_KNOWN_HOSTS FILE FORMAT", and, where that is silent, of
//! OpenSSH's `hostfile.c` and `match.c`: plain names, comma lists, the wildcards `*` and `?`, negation with `!`,
//! `[host]:port`, hashed names (`|1|salt|hash`), and the markers `@cert-authority` and `@revoked`.
//!
//! [`KnownHosts`] holds the files of one configuration. Put it into an [`Arc`](std::sync::Arc): any number of
//! connections may ask it at the same time, and one that [adds](KnownHosts::add) a key is seen by all.
//!
//! ```
//! use clusterops_ssh::known_hosts::{KnownHosts, PublicKey, Verdict};
//!
//! let file = "\
//! web1,10.0.1.1 ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAILM+rvN+ot98qgEN796jTiQfZfG1KaT0PtFDJ/XFSqti
//! ";
//! let known = KnownHosts::parse(file, "known_hosts");
//! let key: PublicKey =
//!     "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAILM+rvN+ot98qgEN796jTiQfZfG1KaT0PtFDJ/XFSqti".parse()?;
//! assert_eq!(known.lookup("web1", 22, &key), Verdict::Known);
//! assert_eq!(known.lookup("web2", 22, &key), Verdict::Unknown);
//! # Ok::<(), clusterops_ssh::Error>(())
//! ```

mod append;
mod key;
mod line;
#[cfg(test)]
mod oracle;
mod pattern;
mod revoked;
mod table;
#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test that fails says where")]
mod tests;
mod verdict;

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::time::Duration;

use russh::keys::Algorithm;

use append::LOCK_DEADLINE;
pub use key::PublicKey;
use line::Marker;
pub(crate) use revoked::RevokedKeys;
use table::Table;
pub use verdict::{Entry, Skipped, Verdict};

use crate::{Error, ErrorKind, LOG, Result};

const DEFAULT_PORT: u16 = 22;

/// The host keys that a set of known_hosts files holds, and the question whether a host's key is among them.
///
/// Every method takes `&self`: share it in an [`Arc`](std::sync::Arc). Plain names are found through a hash map. A *hashed* name can
/// only be found by computing one HMAC-SHA1 for each hashed line (OpenSSH does the same at each connection): about 5 ms
/// for 50,000 lines in an optimised build. That is done once for each name asked, and the answer kept.
///
/// ```
/// use std::sync::Arc;
/// use clusterops_ssh::known_hosts::KnownHosts;
///
/// // A missing file is an empty one; a file that cannot be read is an error.
/// let known = Arc::new(KnownHosts::load(["/nonexistent/known_hosts"])?);
/// assert!(known.certificate_authorities("web1", 22).is_empty());
/// assert!(KnownHosts::load(["/"]).is_err());
/// # Ok::<(), clusterops_ssh::Error>(())
/// ```
pub struct KnownHosts {
    files: RwLock<Vec<Table>>,
    /// Held while a key is added, so that adders in this process queue here and not at the file's lock.
    adding: Mutex<()>,
    /// Keys that were accepted and could not be stored.
    unsaved: Mutex<Unsaved>,
}

/// What is known to this process only.
#[derive(Debug, Default)]
struct Unsaved {
    /// How many were accepted as new.
    keys: usize,
    /// How many are further keys of hosts that are known.
    further: usize,
    /// Why, for the first of them that another time could store: another process held the file's lock, or a host did not
    /// prove that it has them.
    for_now: Option<String>,
    /// Whether the last attempt found it held: the next one does not wait.
    is_locked: bool,
    /// Why nothing can be stored at all: nobody tries any more.
    hopeless: Option<String>,
}

impl Unsaved {
    /// Notes why something was not stored.
    fn note(&mut self, why: String, is_locked: bool) {
        self.is_locked = is_locked;
        if is_locked {
            self.note_for_now(why);
        } else {
            log::warn!(target: LOG, "a host key was not stored: {why}");
            self.hopeless.get_or_insert(why);
        }
    }

    fn note_for_now(&mut self, why: String) {
        log::warn!(target: LOG, "a host key was not stored: {why}");
        self.for_now.get_or_insert(why);
    }
}

/// What errors call the place of keys that are in no file.
pub(crate) const UNSAVED: &str = "accepted before, and not stored";

const CANNOT_TAKE: &str = "cannot take a new key";

impl KnownHosts {
    /// Reads these files, in this order. A file that does not exist counts as empty. A folder in a file's place is an
    /// error as any file is that cannot be read; ssh(1) sees an empty file there, and so knows no host.
    ///
    /// Paths are taken as they are: `~` is not expanded.
    ///
    /// # Errors
    /// [`ErrorKind::Local`] when a file exists and cannot be read, or is larger than 256 MiB. The message names the
    /// path.
    pub fn load<P: AsRef<Path>>(paths: impl IntoIterator<Item = P>) -> Result<Self> {
        let load =
            |path: &Path| Table::load(path).map_err(|error| failed(path, "cannot be read", error));
        let files = paths.into_iter().map(|path| load(path.as_ref()));
        Ok(Self::new(files.collect::<Result<_>>()?))
    }

    /// Reads the text of one file, which answers call by `name`.
    ///
    /// Arbitrary bytes are fine: comments need not be UTF-8.
    pub fn parse(text: impl AsRef<[u8]>, name: impl Into<PathBuf>) -> Self {
        Self::new(vec![Table::parse(text.as_ref(), name.into().into())])
    }

    /// Whether `host`, reached at `port`, is known with `key`.
    ///
    /// `host` is the name or address that the user gave (or `HostKeyAlias`); case does not matter. As in OpenSSH:
    ///
    /// - A port other than 22 is looked up as `[host]:port`. If no line gives a key for that, `host` alone is looked up
    ///   as well: a key found there makes the host known, a different key there does not count as a change.
    ///   (A revocation found there counts, which is stricter than OpenSSH.)
    /// - A revoked key is refused, whatever other lines say.
    /// - It is enough that one of several lines for the host has the key.
    /// - Keys after `@cert-authority` are not host keys; [`certificate_authorities`](Self::certificate_authorities)
    ///   lists them.
    /// - Addresses are not looked up beside names (`CheckHostIP no`, OpenSSH's default since 8.5).
    #[must_use]
    pub fn lookup(&self, host: &str, port: u16, key: &PublicKey) -> Verdict {
        let base64 = key.base64();
        let files = self.read();
        match judge(&files, &qualified(host, port), key, &base64) {
            Verdict::Unknown if port != DEFAULT_PORT => {
                match judge(&files, &unqualified(host), key, &base64) {
                    verdict @ (Verdict::Known | Verdict::Revoked { .. }) => verdict,
                    _ => Verdict::Unknown,
                }
            }
            verdict => verdict,
        }
    }

    /// The line that revokes this key for this host, be it the host's key or that of an authority.
    ///
    /// [`lookup`](Self::lookup) asks this itself; it is for the key that signed a host's certificate.
    #[must_use]
    pub fn revocation(&self, host: &str, port: u16, key: &PublicKey) -> Option<Entry> {
        let files = self.read();
        let by_name = |name: String| {
            let mut entries = marked(&files, &name, Marker::Revoked).into_iter();
            entries.find(|entry| entry.key == *key)
        };
        by_name(qualified(host, port)).or_else(|| by_name(unqualified(host)))
    }

    /// The types of key that are known for this host, each once, in the order of the files.
    ///
    /// A client offers the host key algorithms of these types first (as ssh does), so that the host answers with a key
    /// that can be compared. An RSA key is `Rsa { hash: None }`: it serves every RSA signature algorithm. Names are
    /// looked up as [`lookup`](Self::lookup) does, `host` alone included.
    pub(crate) fn key_types(&self, host: &str, port: u16) -> Vec<Algorithm> {
        let files = self.read();
        let mut entries = marked(&files, &qualified(host, port), Marker::None);
        if entries.is_empty() && port != DEFAULT_PORT {
            entries = marked(&files, &unqualified(host), Marker::None);
        }
        let mut types = Vec::new();
        for entry in entries {
            let algorithm = entry.key.algorithm();
            if !types.contains(&algorithm) {
                types.push(algorithm);
            }
        }
        types
    }

    /// The keys that may certify this host's key: those marked `@cert-authority`.
    ///
    /// Whether a certificate is valid (signature, time, principals, critical options) is for the caller to check.
    #[must_use]
    pub fn certificate_authorities(&self, host: &str, port: u16) -> Vec<Entry> {
        let files = self.read();
        let entries = marked(&files, &qualified(host, port), Marker::CertAuthority);
        if entries.is_empty() && port != DEFAULT_PORT {
            return marked(&files, &unqualified(host), Marker::CertAuthority);
        }
        entries
    }

    /// The files, in the order in which they are asked; also those that do not exist.
    ///
    /// ```
    /// # use clusterops_ssh::known_hosts::KnownHosts;
    /// let known_hosts = KnownHosts::load(["/nonexistent/known_hosts"])?;
    /// assert_eq!(known_hosts.files(), ["/nonexistent/known_hosts"].map(std::path::PathBuf::from));
    /// # Ok::<(), clusterops_ssh::Error>(())
    /// ```
    pub fn files(&self) -> Vec<PathBuf> {
        let files = self.read();
        files
            .iter()
            .filter(|table| !is_unsaved(table))
            .map(|table| table.file().to_path_buf())
            .collect()
    }

    /// The lines that were not understood when the files were last read.
    ///
    /// They are skipped, as OpenSSH does, and so protect nothing: worth a warning. A key that is damaged past its type
    /// is noticed only when its host is asked for; it is skipped then too, but not listed here.
    #[must_use]
    pub fn skipped(&self) -> Vec<Skipped> {
        let files = self.read();
        files.iter().flat_map(Table::skipped).collect()
    }

    /// Adds a key that was accepted as new to the file at `path`, and returns what the files say about it then.
    ///
    /// The file is read again first, under its lock. A line is written only if the verdict is still
    /// [`Verdict::Unknown`], and the answer is then [`Verdict::Known`]. Anything else means that nothing was written:
    /// `Known`, because somebody else wrote the same key; or a verdict that forbids the connection, because somebody
    /// else accepted a different key in the meantime. So this answer, not the one before, decides about the connection.
    ///
    /// The line goes to the end of the file in one write, under an advisory lock (flock(2)), which every program that
    /// uses this library respects (ssh itself takes no lock, but appends too). A missing file is made with mode 0600,
    /// missing folders with 0700. `hashed` stores the name as `HashKnownHosts yes` does. Lookups through this value see
    /// the key at once, even if `path` is a device such as `/dev/null` that keeps nothing.
    ///
    /// Blocks on the file system, and for up to ten seconds while another process holds the lock: in asynchronous code,
    /// call it through `spawn_blocking`.
    ///
    /// ```
    /// use clusterops_ssh::known_hosts::{KnownHosts, PublicKey, Verdict};
    ///
    /// let folder = tempfile::tempdir()?;
    /// let path = folder.path().join("known_hosts");
    /// let key: PublicKey =
    ///     "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAILM+rvN+ot98qgEN796jTiQfZfG1KaT0PtFDJ/XFSqti".parse()?;
    ///
    /// let known = KnownHosts::load([&path])?;
    /// assert_eq!(known.lookup("web1", 2222, &key), Verdict::Unknown);
    /// assert_eq!(known.add(&path, "web1", 2222, &key, false)?, Verdict::Known);
    /// assert_eq!(known.lookup("web1", 2222, &key), Verdict::Known);
    /// assert!(std::fs::read_to_string(&path)?.starts_with("[web1]:2222 ssh-ed25519 AAAA"));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// [`ErrorKind::Local`] when the file cannot be opened, locked, read or written, and when `host` cannot be written
    /// as a name in the file. The message names the path.
    pub fn add(
        &self,
        path: &Path,
        host: &str,
        port: u16,
        key: &PublicKey,
        hashed: bool,
    ) -> Result<Verdict> {
        let _adding = self.adding();
        self.store(path, host, port, key, hashed, LOCK_DEADLINE)
            .map_err(|error| failed(path, CANNOT_TAKE, error))
    }

    /// Whoever holds this is the only one in this process who adds keys.
    fn adding(&self) -> MutexGuard<'_, ()> {
        self.adding.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// [`add`](Self::add) for who holds [`adding`](Self::adding), while another process holds the file's lock for no longer
    /// than `patience`.
    fn store(
        &self,
        path: &Path,
        host: &str,
        port: u16,
        key: &PublicKey,
        hashed: bool,
        patience: Duration,
    ) -> io::Result<Verdict> {
        let line = append::line(&qualified(host, port), key, hashed)?;
        let file = append::open_locked(path, patience)?;
        let table = self.refresh(path, &file)?;
        let verdict = self.lookup(host, port, key);
        if verdict != Verdict::Unknown {
            return Ok(verdict);
        }
        let whole_lines = self.read()[table].has_whole_lines();
        let (written, metadata) = append::append(&file, whole_lines, line)?;
        self.write()[table].appended(written.as_bytes(), &metadata);
        Ok(self.lookup(host, port, key))
    }

    /// As [`add`](Self::add), but a key that cannot be stored is known from now on all the same, as long as this value
    /// lives: [`trouble`](Self::trouble) says so. So it is when another process holds the file's lock for longer than
    /// `patience`, which those who come meanwhile wait for together; until it is found free, nobody waits for it again.
    pub(crate) fn accept(
        &self,
        path: &Path,
        host: &str,
        port: u16,
        key: &PublicKey,
        hashed: bool,
        patience: Duration,
    ) -> Result<Verdict> {
        let _adding = self.adding();
        let store = |patience| self.store(path, host, port, key, hashed, patience);
        let (why, is_locked) = match self.attempt(path, patience, store) {
            Ok(verdict) => return Ok(verdict),
            Err(not_stored) => not_stored,
        };
        let verdict = self.lookup(host, port, key);
        if verdict != Verdict::Unknown {
            return Ok(verdict);
        }
        let line = append::line(&qualified(host, port), key, false)
            .map_err(|_| Error::new(ErrorKind::Local, why.clone()))?;
        let mut files = self.write();
        if !files.iter().any(is_unsaved) {
            files.push(Table::parse(b"", Path::new(UNSAVED).into()));
        }
        if let Some(table) = files.iter_mut().find(|table| is_unsaved(table)) {
            table.extend(line.as_bytes());
        }
        drop(files);
        let mut unsaved = self.unsaved();
        unsaved.keys += 1;
        unsaved.note(why, is_locked);
        drop(unsaved);
        Ok(self.lookup(host, port, key))
    }

    /// Has something stored by who holds [`adding`](Self::adding), with no more patience for the file's lock than is left: none
    /// where the last attempt found it held, and no attempt at all where nothing can be stored. Otherwise says why it was not
    /// stored, and whether because another process holds the lock.
    fn attempt<T>(
        &self,
        path: &Path,
        patience: Duration,
        store: impl FnOnce(Duration) -> io::Result<T>,
    ) -> Result<T, (String, bool)> {
        let patience = {
            let unsaved = self.unsaved();
            match (&unsaved.hopeless, unsaved.is_locked) {
                (Some(why), _) => return Err((why.clone(), false)),
                (None, true) => Duration::ZERO,
                (None, false) => patience,
            }
        };
        match store(patience) {
            Ok(stored) => {
                self.unsaved().is_locked = false;
                Ok(stored)
            }
            Err(error) => {
                let is_locked = append::is_held_by_another(&error);
                Err((failed(path, CANNOT_TAKE, error).full_message(), is_locked))
            }
        }
    }

    fn unsaved(&self) -> MutexGuard<'_, Unsaved> {
        self.unsaved.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What the user should know about keys that could not be stored.
    pub(crate) fn trouble(&self) -> Option<String> {
        let unsaved = self.unsaved();
        let why = match (&unsaved.for_now, &unsaved.hopeless) {
            (Some(for_now), Some(hopeless)) => format!("{for_now}; {hopeless}"),
            (for_now, hopeless) => for_now.as_ref().or(hopeless.as_ref())?.clone(),
        };
        let keys = match unsaved.keys {
            0 => None,
            1 => Some("a new host key was accepted and not stored".to_owned()),
            keys => Some(format!("{keys} new host keys were accepted and not stored")),
        };
        let keys = keys.map(|keys| format!("{keys}, so that the next run takes any other one too"));
        let further = match unsaved.further {
            0 => None,
            1 => Some("a further key of a known host was not stored".to_owned()),
            keys => Some(format!(
                "{keys} further keys of known hosts were not stored"
            )),
        };
        let what: Vec<String> = keys.into_iter().chain(further).collect();
        (!what.is_empty()).then(|| format!("{}: {why}", what.join(", and ")))
    }

    /// Adds these keys of a host to the file at `path`, as far as they are not known, and returns how many it added.
    ///
    /// Nothing is added unless the file has the host by its name or the name's hash, and by nothing else: what ssh itself
    /// writes. Where somebody keeps lines with patterns, lists of names or authorities for the host, they stay the only
    /// ones (as for `UpdateHostKeys`, ssh_config(5)). Otherwise this works as [`accept`](Self::accept) does, but that keys which
    /// cannot be stored do not become known: the host has another one.
    pub(crate) fn add_to_known_host(
        &self,
        path: &Path,
        host: &str,
        port: u16,
        keys: &[PublicKey],
        hashed: bool,
        patience: Duration,
    ) -> usize {
        let _adding = self.adding();
        let mut added = 0;
        let store =
            |patience| self.store_further(path, host, port, keys, hashed, patience, &mut added);
        if let Err((why, is_locked)) = self.attempt(path, patience, store) {
            let is_missed = self.would_take(path, host, port);
            let mut unsaved = self.unsaved();
            if is_missed {
                unsaved.further += keys.len() - added;
            }
            unsaved.note(why, is_locked);
        }
        added
    }

    /// Notes that further keys of a known host were not added, as it did not prove that it has them.
    pub(crate) fn note_unproven(
        &self,
        path: &Path,
        host: &str,
        port: u16,
        keys: usize,
        why: String,
    ) {
        if self.would_take(path, host, port) {
            let mut unsaved = self.unsaved();
            unsaved.further += keys;
            unsaved.note_for_now(why);
        }
    }

    /// Whether further keys of a host are added to the file at `path`.
    fn would_take(&self, path: &Path, host: &str, port: u16) -> bool {
        let name = qualified(host, port);
        let would_take = |table: &Table| **table.file() == *path && table.has_only_by_name(&name);
        self.read().iter().any(would_take)
    }

    /// [`add_to_known_host`](Self::add_to_known_host) for who holds [`adding`](Self::adding); counts what it adds.
    #[expect(clippy::too_many_arguments, reason = "those of its one caller")]
    fn store_further(
        &self,
        path: &Path,
        host: &str,
        port: u16,
        keys: &[PublicKey],
        hashed: bool,
        patience: Duration,
        added: &mut usize,
    ) -> io::Result<()> {
        let name = qualified(host, port);
        let file = append::open_locked(path, patience)?;
        let table = self.refresh(path, &file)?;
        if !self.read()[table].has_only_by_name(&name) {
            return Ok(());
        }
        for key in keys {
            let verdict = self.lookup(host, port, key);
            if !matches!(
                verdict,
                Verdict::Changed { .. } | Verdict::OtherTypes { .. }
            ) {
                continue;
            }
            let line = append::line(&name, key, hashed)?;
            let whole_lines = self.read()[table].has_whole_lines();
            let (written, metadata) = append::append(&file, whole_lines, line)?;
            self.write()[table].appended(written.as_bytes(), &metadata);
            *added += 1;
        }
        Ok(())
    }

    fn new(files: Vec<Table>) -> Self {
        Self {
            files: RwLock::new(files),
            adding: Mutex::new(()),
            unsaved: Mutex::default(),
        }
    }

    /// Takes in what others wrote to this file, and returns its place in `files`. The caller holds `adding`.
    fn refresh(&self, path: &Path, file: &std::fs::File) -> io::Result<usize> {
        let index = {
            let mut files = self.write();
            files
                .iter()
                .position(|table| &**table.file() == path)
                .unwrap_or_else(|| {
                    files.push(Table::parse(b"", path.into()));
                    files.len() - 1
                })
        };
        let update = self.read()[index].changes(file)?;
        self.write()[index].update(update);
        Ok(index)
    }

    fn read(&self) -> RwLockReadGuard<'_, Vec<Table>> {
        self.files.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, Vec<Table>> {
        self.files.write().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for KnownHosts {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let files = self.read();
        formatter
            .debug_list()
            .entries(files.iter().map(Table::file))
            .finish()
    }
}

fn is_unsaved(table: &Table) -> bool {
    **table.file() == *Path::new(UNSAVED)
}

/// What the lines for `name` say about a key, whose base64 they are compared with.
fn judge(files: &[Table], name: &str, key: &PublicKey, base64: &str) -> Verdict {
    let matches = || {
        files.iter().flat_map(move |table| {
            table
                .find(name)
                .into_iter()
                .map(move |index| (table, table.line(index)))
        })
    };
    let mut found = Vec::new();
    let mut known = false;
    for (table, line) in matches() {
        let stored = table.key_text(line);
        match line.marker {
            Marker::Revoked if stored == base64.as_bytes() => {
                if let Some(entry) = table.entry(line) {
                    return Verdict::Revoked { entry };
                }
            }
            Marker::None if stored == base64.as_bytes() => known = true,
            Marker::None => found.push((table, line)),
            _ => {}
        }
    }
    if known {
        return Verdict::Known;
    }
    let mut expected: Vec<Entry> = found
        .into_iter()
        .filter_map(|(table, line)| table.entry(line))
        .collect();
    if expected.is_empty() {
        return Verdict::Unknown;
    }
    if !expected
        .iter()
        .any(|entry| entry.key.algorithm() == key.algorithm())
    {
        return Verdict::OtherTypes { expected };
    }
    expected.retain(|entry| entry.key.algorithm() == key.algorithm());
    Verdict::Changed { expected }
}

fn marked(files: &[Table], name: &str, marker: Marker) -> Vec<Entry> {
    let of = |table: &Table| -> Vec<Entry> {
        let lines = table.find(name).into_iter().map(|index| table.line(index));
        lines
            .filter(|line| line.marker == marker)
            .filter_map(|line| table.entry(line))
            .collect()
    };
    let files = files.iter().filter(|table| table.has(marker));
    files.flat_map(of).collect()
}

/// The name under which files hold a host at a port (OpenSSH's `put_host_port`), in lower case.
fn qualified(host: &str, port: u16) -> String {
    if port == DEFAULT_PORT {
        unqualified(host)
    } else {
        let mut name = format!("[{host}]:{port}");
        name.make_ascii_lowercase();
        name
    }
}

fn unqualified(host: &str) -> String {
    host.to_ascii_lowercase()
}

/// Whether `name`, in lower case, matches a pattern with the wildcards `*` and `?` (ssh_config(5), PATTERNS).
pub(crate) fn matches_pattern(name: &str, pattern: &str) -> bool {
    pattern::matches(name.as_bytes(), pattern.as_bytes())
}

fn failed(path: &Path, what: &str, error: io::Error) -> Error {
    let message = format!("the known hosts file {} {what}", path.display());
    Error::new(ErrorKind::Local, message).caused_by(error)
}
