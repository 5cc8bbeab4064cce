//! How files are transferred, what came of it, and how fast it may go.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::time::{Instant, sleep_until};

/// How files are transferred; plain data, which plans hold too.
///
/// ```
/// use clusterops_ssh::TransferOptions;
///
/// let options = TransferOptions::default().mode(0o640).times(true).verify(false);
/// assert!(options.resume && !options.verify);
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct TransferOptions {
    /// The mode of an uploaded file, in place of the local one's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mode: Option<u32>,
    /// Keeps the permission bits (`0777`) of files and folders; set-user-ID, set-group-ID and sticky bits are never
    /// kept. Without it files get 0644 and folders 0755. Default: on.
    pub modes: bool,
    /// Keeps the times of last change, to the second. Default: off.
    pub times: bool,
    /// Compares the digest of what was written with that of what was read, on the host by `b2sum` where it is there,
    /// else by `sha256sum`, before the file gets its name. Default: on.
    pub verify: bool,
    /// Goes on where an earlier transfer of the same file was cut off by a lost connection. Default: on.
    pub resume: bool,
    /// Has a file written to the disk before it gets its name (fsync(2), `fsync@openssh.com` where the server has it),
    /// so that it is whole also after a power failure. Default: on.
    pub sync: bool,
}

impl Default for TransferOptions {
    fn default() -> Self {
        Self {
            mode: None,
            modes: true,
            times: false,
            verify: true,
            resume: true,
            sync: true,
        }
    }
}

impl TransferOptions {
    /// Sets the mode of an uploaded file, such as `0o644`.
    #[must_use]
    pub fn mode(mut self, mode: u32) -> Self {
        self.mode = Some(mode);
        self
    }

    /// Says whether permission bits are kept.
    #[must_use]
    pub fn modes(mut self, keep: bool) -> Self {
        self.modes = keep;
        self
    }

    /// Says whether times of last change are kept.
    #[must_use]
    pub fn times(mut self, keep: bool) -> Self {
        self.times = keep;
        self
    }

    /// Says whether digests are compared.
    #[must_use]
    pub fn verify(mut self, verify: bool) -> Self {
        self.verify = verify;
        self
    }

    /// Says whether a broken transfer is gone on with.
    #[must_use]
    pub fn resume(mut self, resume: bool) -> Self {
        self.resume = resume;
        self
    }

    /// Says whether files are written to the disk before they get their names.
    #[must_use]
    pub fn sync(mut self, sync: bool) -> Self {
        self.sync = sync;
        self
    }

    /// The permission bits that a file gets.
    pub(super) fn file_mode(&self, original: u32) -> u32 {
        match self.mode {
            Some(mode) => mode,
            None if self.modes => original & 0o777,
            None => 0o644,
        }
    }

    /// The permission bits that a folder gets; its owner can always work in it.
    pub(super) fn folder_mode(&self, original: u32) -> u32 {
        if self.modes {
            original & 0o777 | 0o700
        } else {
            0o755
        }
    }
}

/// What a transfer did.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
#[non_exhaustive]
pub struct Transferred {
    /// The bytes of content that were sent.
    pub bytes: u64,
    /// The bytes that an earlier, broken transfer had sent already.
    #[serde(skip_serializing_if = "is_zero")]
    pub resumed: u64,
    /// The files.
    pub files: u64,
    /// The folders below the first.
    #[serde(skip_serializing_if = "is_zero")]
    pub folders: u64,
    /// The symbolic links.
    #[serde(skip_serializing_if = "is_zero")]
    pub links: u64,
    /// What was left out, at most 1000 of them; [`skipped_count`](Self::skipped_count) says how many there are.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub skipped: Vec<Skipped>,
    /// How many names were left out.
    #[serde(skip_serializing_if = "is_zero")]
    pub skipped_count: u64,
}

/// Something in a tree that was not transferred.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Skipped {
    /// Its path in the tree; bytes that are not UTF-8 are replaced.
    pub path: String,
    /// Why.
    pub reason: SkippedBecause,
}

/// Why something in a tree was not transferred.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum SkippedBecause {
    /// A symbolic link that leads out of the tree, or may.
    LeadsOut,
    /// A device, a socket or a named pipe.
    Special,
    /// A name that no file can have, or that would lead out of the tree.
    BadName,
}

/// The most that [`Transferred::skipped`] lists.
const MOST_SKIPPED: usize = 1000;

impl Transferred {
    pub(super) fn skip(&mut self, path: &[u8], reason: SkippedBecause) {
        self.skipped_count += 1;
        if self.skipped.len() < MOST_SKIPPED {
            let path = String::from_utf8_lossy(path).into_owned();
            self.skipped.push(Skipped { path, reason });
        }
    }
}

fn is_zero(number: &u64) -> bool {
    *number == 0
}

impl fmt::Display for SkippedBecause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::LeadsOut => "a symbolic link that can lead out of the tree",
            Self::Special => "no file, folder or link",
            Self::BadName => "a name that no file here may have",
        })
    }
}

/// A limit on bytes per second, which everything that holds a clone of it shares.
///
/// ```
/// use clusterops_ssh::Bandwidth;
///
/// let ten_megabytes = Bandwidth::per_second(10_000_000);
/// ```
#[derive(Debug, Clone)]
pub struct Bandwidth {
    nanoseconds_per_byte: f64,
    /// When the next byte may go.
    next: Arc<Mutex<Option<Instant>>>,
}

impl Bandwidth {
    /// A limit of so many bytes of content per second; the least is 1.
    pub fn per_second(bytes: u64) -> Self {
        Self {
            nanoseconds_per_byte: 1e9 / bytes.max(1) as f64,
            next: Arc::default(),
        }
    }

    /// The limit, as it was set.
    pub(crate) fn bytes_per_second(&self) -> u64 {
        (1e9 / self.nanoseconds_per_byte).round() as u64
    }

    /// Waits for the turn of so many bytes. Whoever comes first goes first.
    pub(super) async fn take(&self, bytes: usize) {
        let cost = Duration::from_nanos((self.nanoseconds_per_byte * bytes as f64) as u64);
        let turn = {
            let mut next = self.next.lock().unwrap_or_else(PoisonError::into_inner);
            let now = Instant::now();
            let turn = next.map_or(now, |next| next.max(now));
            *next = Some(turn + cost);
            turn
        };
        sleep_until(turn).await;
    }
}

/// How far a transfer has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Progress {
    /// The bytes that are over, those of an earlier, broken transfer included.
    pub bytes: u64,
    /// The bytes of all files, as far as they are known yet: a tree that is fetched is measured while it is listed.
    pub total: u64,
}

/// What wants to know how far a transfer has come.
pub(crate) type Watcher = Arc<dyn Fn(Progress) + Send + Sync>;

/// Counts what is over, and tells.
#[derive(Default)]
pub(super) struct Meter {
    watcher: Option<Watcher>,
    bytes: AtomicU64,
    total: AtomicU64,
}

impl Meter {
    pub(super) fn new(watcher: Option<Watcher>) -> Self {
        Self {
            watcher,
            ..Self::default()
        }
    }

    pub(super) fn expect(&self, bytes: u64) {
        self.total.fetch_add(bytes, Ordering::Relaxed);
    }

    /// Of one file, which in a tree was expected already.
    pub(super) fn expect_at_least(&self, bytes: u64) {
        self.total.fetch_max(bytes, Ordering::Relaxed);
    }

    pub(super) fn advance(&self, bytes: u64) {
        if bytes == 0 {
            return;
        }
        let bytes = self.bytes.fetch_add(bytes, Ordering::Relaxed) + bytes;
        if let Some(watcher) = &self.watcher {
            let total = self.total.load(Ordering::Relaxed);
            watcher(Progress { bytes, total });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_limit_is_shared_and_kept() {
        let limit = Bandwidth::per_second(1000);
        let start = Instant::now();
        let (one, other) = (limit.clone(), limit);
        for _ in 0..5 {
            one.take(500).await;
            other.take(500).await;
        }
        one.take(1).await;
        assert_eq!(start.elapsed().as_secs(), 5);
    }

    #[test]
    fn options_read_back_and_leave_the_rest_at_its_default() {
        let options: TransferOptions = serde_json::from_str(r#"{"verify":false}"#).expect("read");
        assert_eq!(options, TransferOptions::default().verify(false));
        let text = serde_json::to_string(&options.mode(0o600)).expect("plain data");
        let again: TransferOptions = serde_json::from_str(&text).expect("read");
        assert_eq!(again.mode, Some(0o600));
        serde_json::from_str::<TransferOptions>(r#"{"verfy":false}"#).expect_err("misspelled");
    }
}
