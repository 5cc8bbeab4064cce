//! One known_hosts file in memory, indexed by host name.

use std::collections::HashMap;
use std::fs::{File, Metadata};
use std::io::{self, BufRead, Read, Seek, SeekFrom};
use std::ops::Range;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use russh::keys::ssh_encoding::base64::{Base64, Encoding};

use super::line::{self, HashedName, Hosts, Marker};
use super::{Entry, PublicKey, Skipped, pattern};

/// The largest file that is read: half a million RSA keys.
const LARGEST: u64 = 256 * 1024 * 1024;

/// How many names that no hashed line has are remembered.
const REMEMBERED_MISSES: usize = 16_384;

/// One file: its text, and where in it the lines for a name are.
pub(super) struct Table {
    file: Arc<Path>,
    text: Vec<u8>,
    /// What the file looked like when `text` was read, if it was.
    stamp: Option<Stamp>,
    /// How many lines of `text` have been parsed.
    parsed: usize,
    lines: Vec<KeyLine>,
    /// The markers that lines have.
    markers: Vec<Marker>,
    /// By name in lower case: indices into `lines`.
    names: HashMap<Box<[u8]>, Vec<usize>>,
    /// The lines that have patterns: those in `text`, and the index into `lines`.
    patterns: Vec<(Range<usize>, usize)>,
    /// The lines that have a hashed name, and the index into `lines`.
    hashed: Vec<(HashedName, usize)>,
    found: Mutex<HashMap<Box<str>, Found>>,
    skipped: Vec<(usize, &'static str)>,
}

/// A line that holds a key.
pub(super) struct KeyLine {
    pub(super) marker: Marker,
    number: usize,
    /// How many names it has; none for patterns.
    names: usize,
    /// The key's base64 in the table's text.
    key: Range<usize>,
}

/// Which of the first `scanned` hashed lines have a name.
#[derive(Clone, Default)]
struct Found {
    scanned: usize,
    lines: Vec<usize>,
}

/// What tells one state of a file from another without reading it.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Stamp {
    device: u64,
    inode: u64,
    length: u64,
    modified: (i64, i64),
}

/// How a file differs from its table.
pub(super) enum Changes {
    None,
    /// The file has these bytes more.
    Appended(Vec<u8>, Stamp),
    /// The file reads differently.
    Replaced(Vec<u8>, Stamp),
}

impl Table {
    /// Reads a file; a missing one is empty.
    pub(super) fn load(path: &Path) -> io::Result<Self> {
        let mut table = Self::parse(b"", path.into());
        match File::open(path) {
            Ok(file) => {
                let changes = table.changes(&file)?;
                table.update(changes);
                Ok(table)
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(table),
            Err(error) => Err(error),
        }
    }

    pub(super) fn parse(text: &[u8], file: Arc<Path>) -> Self {
        let mut table = Self {
            file,
            text: Vec::new(),
            stamp: None,
            parsed: 0,
            lines: Vec::new(),
            markers: Vec::new(),
            names: HashMap::new(),
            patterns: Vec::new(),
            hashed: Vec::new(),
            found: Mutex::default(),
            skipped: Vec::new(),
        };
        table.extend(text);
        table
    }

    pub(super) fn file(&self) -> &Arc<Path> {
        &self.file
    }

    /// Whether the text ends where a line ends.
    pub(super) fn has_whole_lines(&self) -> bool {
        self.text.is_empty() || self.text.ends_with(b"\n")
    }

    pub(super) fn skipped(&self) -> impl Iterator<Item = Skipped> {
        self.skipped.iter().map(|&(line, reason)| Skipped {
            file: self.file.clone(),
            line,
            reason,
        })
    }

    /// The lines whose hosts include `name`, which is in lower case, in the order of the file.
    pub(super) fn find(&self, name: &str) -> Vec<usize> {
        let mut found = self.names.get(name.as_bytes()).cloned().unwrap_or_default();
        for (list, index) in &self.patterns {
            if pattern::matches_list(name.as_bytes(), &self.text[list.clone()]) {
                found.push(*index);
            }
        }
        if !self.hashed.is_empty() {
            found.extend(self.find_hashed(name));
        }
        found.sort_unstable();
        found
    }

    /// Whether a line has this marker.
    pub(super) fn has(&self, marker: Marker) -> bool {
        self.markers.contains(&marker)
    }

    /// Whether there are lines for `name`, all of them host keys under that name alone, as ssh writes them.
    pub(super) fn has_only_by_name(&self, name: &str) -> bool {
        let lines = self.find(name);
        let is_plain = |index: &usize| {
            let line = &self.lines[*index];
            line.marker == Marker::None && line.names == 1
        };
        !lines.is_empty() && lines.iter().all(is_plain)
    }

    pub(super) fn line(&self, index: usize) -> &KeyLine {
        &self.lines[index]
    }

    /// The key of a line in base64.
    pub(super) fn key_text(&self, line: &KeyLine) -> &[u8] {
        &self.text[line.key.clone()]
    }

    /// A line's key, if it is not damaged.
    pub(super) fn entry(&self, line: &KeyLine) -> Option<Entry> {
        let text = str::from_utf8(self.key_text(line)).ok()?;
        let key = PublicKey::from_blob(&Base64::decode_vec(text).ok()?)?;
        Some(Entry {
            file: self.file.clone(),
            line: line.number,
            key,
        })
    }

    /// Appends to the text. It ends with a line feed, or `bytes` begins with one.
    pub(super) fn extend(&mut self, bytes: &[u8]) {
        let mut start = self.text.len();
        if !self.has_whole_lines() && bytes.starts_with(b"\n") {
            start += 1;
        }
        self.text.extend_from_slice(bytes);
        while start < self.text.len() {
            // Not byte by byte; memory has no errors.
            let mut rest = &self.text[start..];
            let next = start + rest.skip_until(b'\n').unwrap_or(rest.len());
            let end = next - usize::from(self.text[next - 1] == b'\n');
            self.parsed += 1;
            self.index_line(start..end);
            start = next;
        }
    }

    /// How `file`, from its start, differs from what this table holds.
    pub(super) fn changes(&self, mut file: &File) -> io::Result<Changes> {
        let metadata = file.metadata()?;
        let stamp = Stamp::new(&metadata);
        // A device keeps nothing of what was added.
        if self.stamp == Some(stamp)
            || (self.stamp.is_some() && !metadata.is_file() && !metadata.is_dir())
        {
            return Ok(Changes::None);
        }
        if metadata.is_file() {
            file.seek(SeekFrom::Start(0))?;
        }
        let mut text = Vec::new();
        file.take(LARGEST + 1).read_to_end(&mut text)?;
        if text.len() as u64 > LARGEST {
            let what = "the file is larger than 256 MiB";
            return Err(io::Error::new(io::ErrorKind::FileTooLarge, what));
        }
        match text.strip_prefix(&self.text[..]) {
            Some(appended) if self.has_whole_lines() || appended.is_empty() => {
                Ok(Changes::Appended(appended.to_vec(), stamp))
            }
            _ => Ok(Changes::Replaced(text, stamp)),
        }
    }

    pub(super) fn update(&mut self, changes: Changes) {
        match changes {
            Changes::None => {}
            Changes::Appended(bytes, stamp) => {
                self.extend(&bytes);
                self.stamp = Some(stamp);
            }
            Changes::Replaced(text, stamp) => {
                *self = Self::parse(&text, self.file.clone());
                self.stamp = Some(stamp);
            }
        }
    }

    /// Takes in what this process has just appended to the file, which now looks like `metadata`.
    pub(super) fn appended(&mut self, bytes: &[u8], metadata: &Metadata) {
        self.extend(bytes);
        // Otherwise somebody else wrote at the same time, and the old stamp makes the next reader look.
        if metadata.len() == self.text.len() as u64 {
            self.stamp = Some(Stamp::new(metadata));
        }
    }

    fn index_line(&mut self, place: Range<usize>) {
        let line = match line::parse(&self.text[place]) {
            Ok(Some(line)) => line,
            Ok(None) => return,
            Err(reason) => return self.skipped.push((self.parsed, reason)),
        };
        let index = self.lines.len();
        let place_of = |part: &[u8]| {
            let start = part.as_ptr().addr() - self.text.as_ptr().addr();
            start..start + part.len()
        };
        let mut names = 0;
        match line.hosts {
            Hosts::Names(list) => {
                for name in list
                    .split(|byte| *byte == b',')
                    .filter(|name| !name.is_empty())
                {
                    names += 1;
                    let lines = self
                        .names
                        .entry(name.to_ascii_lowercase().into())
                        .or_default();
                    if lines.last() != Some(&index) {
                        lines.push(index);
                    }
                }
            }
            Hosts::Patterns(list) => self.patterns.push((place_of(list), index)),
            Hosts::Hashed(name) => {
                names = 1;
                self.hashed.push((*name, index));
            }
        }
        if !self.has(line.marker) {
            self.markers.push(line.marker);
        }
        self.lines.push(KeyLine {
            marker: line.marker,
            number: self.parsed,
            names,
            key: place_of(line.key),
        });
    }

    /// Computes one HMAC for each hashed line that has not been compared with this name before.
    fn find_hashed(&self, name: &str) -> Vec<usize> {
        let cache = || self.found.lock().unwrap_or_else(PoisonError::into_inner);
        let mut found = cache().get(name).cloned().unwrap_or_default();
        if found.scanned == self.hashed.len() {
            return found.lines;
        }
        let new = self.hashed[found.scanned..].iter();
        found.lines.extend(
            new.filter(|(hashed, _)| hashed.is_of(name))
                .map(|(_, index)| index),
        );
        found.scanned = self.hashed.len();
        let lines = found.lines.clone();
        let mut cache = cache();
        if cache.len() >= self.hashed.len() + REMEMBERED_MISSES {
            cache.retain(|_, found| !found.lines.is_empty());
        }
        cache.insert(name.into(), found);
        lines
    }
}

impl Stamp {
    fn new(metadata: &Metadata) -> Self {
        Self {
            device: metadata.dev(),
            inode: metadata.ino(),
            length: metadata.len(),
            modified: (metadata.mtime(), metadata.mtime_nsec()),
        }
    }
}
