//! OpenSSH's known_hosts files: read, asked and extended.
//!
//! The format and its rules are those of sshd(8), section "SSH_KNOWN_HOSTS FILE FORMAT", and, where that is silent, of
//! OpenSSH's `hostfile.c` and `match.c`: plain names, comma lists, the wildcards `*` and `?`, negation with `!`,
//! `[host]:port`, hashed names (`|1|salt|hash`), and the markers `@cert-authority` and `@revoked`.
//!
//! [`KnownHosts`] holds the files of one configuration. Put it into an [`Arc`]: any number of
//! connections may ask it at the same time, and one that [adds](KnownHosts::add) a key is seen by all.
//!
//! ```
//! use clusterops_ssh::known_hosts::{KnownHosts, Verdict};
//! use russh::keys::PublicKey;
//!
//! let file = "\
//! web1,10.0.1.1 ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAILM+rvN+ot98qgEN796jTiQfZfG1KaT0PtFDJ/XFSqti
//! ";
//! let known = KnownHosts::parse(file, "known_hosts");
//! let key: PublicKey =
//!     "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAILM+rvN+ot98qgEN796jTiQfZfG1KaT0PtFDJ/XFSqti".parse()?;
//! assert_eq!(known.lookup("web1", 22, &key), Verdict::Known);
//! assert_eq!(known.lookup("web2", 22, &key), Verdict::Unknown);
//! # Ok::<(), russh::keys::ssh_key::Error>(())
//! ```

mod append;
mod line;
#[cfg(test)]
mod oracle;
mod pattern;
mod table;
#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test that fails says where")]
mod tests;

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use russh::keys::ssh_encoding::Encode;
use russh::keys::ssh_encoding::base64::{Base64, Encoding};
use russh::keys::ssh_key::public::KeyData;
use russh::keys::{Algorithm, HashAlg, PublicKey};

use line::Marker;
use table::Table;

const DEFAULT_PORT: u16 = 22;

/// The host keys that a set of known_hosts files holds, and the question whether a host's key is among them.
///
/// Every method takes `&self`: share it in an [`Arc`]. Plain names are found through a hash map. A *hashed* name can
/// only be found by computing one HMAC-SHA1 for each hashed line (OpenSSH does the same at each connection): about 5 ms
/// for 50,000 lines. That is done once for each name asked, and the answer kept.
///
/// ```
/// use std::sync::Arc;
/// use clusterops_ssh::known_hosts::KnownHosts;
///
/// // A missing file is an empty one; a file that cannot be read is an error.
/// let known = Arc::new(KnownHosts::load(["/nonexistent/known_hosts"])?);
/// assert!(known.key_types("web1", 22).is_empty());
/// assert!(KnownHosts::load(["/"]).is_err());
/// # Ok::<(), std::io::Error>(())
/// ```
pub struct KnownHosts {
    files: RwLock<Vec<Table>>,
    /// Held while a key is added, so that adders in this process queue here and not at the file's lock.
    adding: Mutex<()>,
}

/// What the known_hosts files say about a host's key.
///
/// Only [`Known`](Verdict::Known) permits a connection, and only [`Unknown`](Verdict::Unknown) permits that a key is
/// accepted as new (ssh_config(5), `StrictHostKeyChecking`).
///
/// ```
/// use clusterops_ssh::known_hosts::{KnownHosts, Verdict};
/// use russh::keys::PublicKey;
///
/// let file = "web1 ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAILM+rvN+ot98qgEN796jTiQfZfG1KaT0PtFDJ/XFSqti\n";
/// let other: PublicKey =
///     "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIB9dG4kjRhQTtWTVzd2t27+t0DEHBPW7iOD23TUiYLio".parse()?;
/// match KnownHosts::parse(file, "known_hosts").lookup("web1", 22, &other) {
///     Verdict::Changed { expected } => assert_eq!(
///         expected[0].to_string(),
///         "known_hosts:1: ssh-ed25519 SHA256:UCUiLr7Pjs9wFFJMDByLgc3NrtdU344OgUM45wZPcIQ",
///     ),
///     verdict => panic!("{verdict:?}"),
/// }
/// # Ok::<(), russh::keys::ssh_key::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// The host is known with this key.
    Known,
    /// No line gives a key for this host.
    Unknown,
    /// The host is known with other keys of this type: either it was set up anew, or somebody sits in between.
    Changed {
        /// The keys of this type that the files hold for the host.
        expected: Vec<Entry>,
    },
    /// The host is known, but only with keys of other types.
    ///
    /// OpenSSH treats this as a changed key, and so must whoever asks: a host that has the expected type would have
    /// been asked for it ([`KnownHosts::key_types`]).
    OtherTypes {
        /// The keys that the files hold for the host.
        expected: Vec<Entry>,
    },
    /// The key is marked `@revoked` for this host. Nothing else counts then.
    Revoked {
        /// The line that revokes it.
        entry: Entry,
    },
}

/// A key in a known_hosts file, and where it stands.
///
/// Displays as `file:line: type fingerprint`, which is what an operator needs to find and compare it.
///
/// ```
/// use clusterops_ssh::known_hosts::KnownHosts;
///
/// let file = "\
/// ## Hosts of example.com are certified by this key.
/// @cert-authority *.example.com ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAILM+rvN+ot98qgEN796jTiQfZfG1KaT0PtFDJ/XFSqti
/// ";
/// let known = KnownHosts::parse(file, "known_hosts");
/// let authorities = known.certificate_authorities("web1.example.com", 22);
/// assert_eq!(
///     authorities[0].to_string(),
///     "known_hosts:2: ssh-ed25519 SHA256:UCUiLr7Pjs9wFFJMDByLgc3NrtdU344OgUM45wZPcIQ",
/// );
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// The file, as it was named to [`KnownHosts::load`] or [`KnownHosts::parse`].
    pub file: Arc<Path>,
    /// The line, from 1.
    pub line: usize,
    /// The key, without a comment.
    pub key: PublicKey,
}

/// A line that was not understood, and so has no say.
///
/// Displays as `file:line: reason`; see [`KnownHosts::skipped`].
///
/// ```
/// use clusterops_ssh::known_hosts::KnownHosts;
///
/// let known = KnownHosts::parse("# fine\nweb1 ssh-ed25519\n", "known_hosts");
/// assert_eq!(known.skipped()[0].to_string(), "known_hosts:2: the line ends before the key");
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Skipped {
    /// The file, as it was named to [`KnownHosts::load`] or [`KnownHosts::parse`].
    pub file: Arc<Path>,
    /// The line, from 1.
    pub line: usize,
    /// What is wrong with it.
    pub reason: &'static str,
}

impl KnownHosts {
    /// Reads these files, in this order. A file that does not exist counts as empty.
    ///
    /// Paths are taken as they are: `~` is not expanded.
    ///
    /// # Errors
    /// When a file exists and cannot be read, or is larger than 256 MiB. The message names the path.
    pub fn load<P: AsRef<Path>>(paths: impl IntoIterator<Item = P>) -> io::Result<Self> {
        let files = paths.into_iter().map(|path| Table::load(path.as_ref()));
        Ok(Self::new(files.collect::<io::Result<_>>()?))
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
    ///   lists them. Of a certificate, the certified key is looked up; it is revoked if that key or its authority is.
    /// - Addresses are not looked up beside names (`CheckHostIP no`, OpenSSH's default since 8.5).
    #[must_use]
    pub fn lookup(&self, host: &str, port: u16, key: &PublicKey) -> Verdict {
        let asked = Asked::new(key);
        let files = self.read();
        match judge(&files, &qualified(host, port), &asked) {
            Verdict::Unknown if port != DEFAULT_PORT => {
                match judge(&files, &unqualified(host), &asked) {
                    verdict @ (Verdict::Known | Verdict::Revoked { .. }) => verdict,
                    _ => Verdict::Unknown,
                }
            }
            verdict => verdict,
        }
    }

    /// The types of key that are known for this host, each once, in the order of the files.
    ///
    /// A client offers the host key algorithms of these types first (as ssh does), so that the host answers with a key
    /// that can be compared. An RSA key is `Rsa { hash: None }`: it serves every RSA signature algorithm. Names are
    /// looked up as [`lookup`](Self::lookup) does, `host` alone included.
    ///
    /// ```
    /// use clusterops_ssh::known_hosts::KnownHosts;
    /// use russh::keys::Algorithm;
    ///
    /// let file = "[web1]:2222 ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAILM+rvN+ot98qgEN796jTiQfZfG1KaT0PtFDJ/XFSqti\n";
    /// let known = KnownHosts::parse(file, "known_hosts");
    /// assert_eq!(known.key_types("web1", 2222), [Algorithm::Ed25519]);
    /// assert_eq!(known.key_types("web1", 22), []);
    /// ```
    #[must_use]
    pub fn key_types(&self, host: &str, port: u16) -> Vec<Algorithm> {
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
    /// use clusterops_ssh::known_hosts::{KnownHosts, Verdict};
    /// use russh::keys::PublicKey;
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
    /// When the file cannot be opened, locked, read or written; when `host` cannot be written as a name in the file; and
    /// when `key` is a certificate. The message names the path.
    pub fn add(
        &self,
        path: &Path,
        host: &str,
        port: u16,
        key: &PublicKey,
        hashed: bool,
    ) -> io::Result<Verdict> {
        let line = append::line(&qualified(host, port), key, hashed)
            .map_err(|error| at(path, "cannot add a key", &error))?;
        let _adding = self.adding.lock().unwrap_or_else(PoisonError::into_inner);
        let file = append::open_locked(path)?;
        let table = self.refresh(path, &file)?;
        let verdict = self.lookup(host, port, key);
        if verdict != Verdict::Unknown {
            return Ok(verdict);
        }
        let whole_lines = self.read()[table].has_whole_lines();
        let (written, metadata) = append::append(&file, whole_lines, line)
            .map_err(|error| at(path, "cannot add a key", &error))?;
        self.write()[table].appended(written.as_bytes(), &metadata);
        Ok(self.lookup(host, port, key))
    }

    fn new(files: Vec<Table>) -> Self {
        Self {
            files: RwLock::new(files),
            adding: Mutex::new(()),
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

impl fmt::Display for Entry {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (file, line) = (self.file.display(), self.line);
        let (algorithm, fingerprint) =
            (self.key.algorithm(), self.key.fingerprint(HashAlg::Sha256));
        write!(formatter, "{file}:{line}: {algorithm} {fingerprint}")
    }
}

impl fmt::Display for Skipped {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            formatter,
            "{}:{}: {}",
            self.file.display(),
            self.line,
            self.reason
        )
    }
}

/// The key that a host presented, in the form in which it stands in files.
struct Asked {
    algorithm: Algorithm,
    base64: String,
    /// The key that signed the host's certificate, when it presented one.
    authority: Option<String>,
}

impl Asked {
    fn new(key: &PublicKey) -> Self {
        let (data, authority) = match key.key_data() {
            KeyData::Certificate(certificate) => (
                certificate.public_key(),
                Some(base64(certificate.signature_key())),
            ),
            data => (data, None),
        };
        Self {
            algorithm: data.algorithm(),
            base64: base64(data),
            authority,
        }
    }

    fn is_revoked_by(&self, stored: &[u8]) -> bool {
        let authority = self.authority.as_deref().map(str::as_bytes);
        stored == self.base64.as_bytes() || Some(stored) == authority
    }
}

fn judge(files: &[Table], name: &str, asked: &Asked) -> Verdict {
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
            Marker::Revoked if asked.is_revoked_by(stored) => {
                if let Some(entry) = table.entry(line) {
                    return Verdict::Revoked { entry };
                }
            }
            Marker::None if stored == asked.base64.as_bytes() => known = true,
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
        .any(|entry| entry.key.algorithm() == asked.algorithm)
    {
        return Verdict::OtherTypes { expected };
    }
    expected.retain(|entry| entry.key.algorithm() == asked.algorithm);
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
    files.iter().flat_map(of).collect()
}

/// The name under which files hold a host at a port (OpenSSH's `put_host_port`), in lower case.
fn qualified(host: &str, port: u16) -> String {
    if port == DEFAULT_PORT {
        unqualified(host)
    } else {
        format!("[{}]:{port}", unqualified(host))
    }
}

fn unqualified(host: &str) -> String {
    host.to_ascii_lowercase()
}

fn base64(key: &KeyData) -> String {
    // Encoding fails only for keys longer than an SSH packet can be; no line equals the empty text.
    key.encode_vec()
        .map(|blob| Base64::encode_string(&blob))
        .unwrap_or_default()
}

fn at(path: &Path, what: &str, error: &io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("{}: {what}: {error}", path.display()))
}
