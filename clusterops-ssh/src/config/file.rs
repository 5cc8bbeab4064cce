//! Configuration files: read, checked, and put in order once, so that any number of hosts can be looked up.

use std::collections::HashMap;
use std::fs::{self, File as Handle};
use std::io::{self, Read};
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use clusterops_core::did_you_mean;
use nix::unistd::{Gid, Group, Uid};

use super::Unsupported;
use super::condition::{HostPattern, Match};
use super::glob::glob;
use super::keyword::Keyword;
use super::line::Line;
use super::local::Local;
use super::pattern::{self, Verdict};
use super::tokens;
use super::value::Value;
use crate::{Error, ErrorKind, Result};

/// How deep files may include one another (`READCONF_MAX_DEPTH` of OpenSSH).
const DEPTH: usize = 16;

/// How many files a configuration may have, counting one again wherever it is included.
const FILES: usize = 10_000;

/// How many bytes all of them may have together.
const BYTES: u64 = 64 << 20;

/// A configuration file.
#[derive(Debug, Default)]
pub(super) struct File {
    sections: Vec<Section>,
    /// The sections that are for hosts spelt out, by host.
    by_host: HashMap<String, Vec<usize>>,
    /// All other sections.
    others: Vec<usize>,
    /// Whether a line is only right if `IgnoreUnknown` covers it when its time comes.
    pub(super) has_unknown: bool,
    /// Whether a `Match` line asks for a second pass.
    pub(super) wants_second_pass: bool,
}

/// The lines from a `Host` or `Match` to the next one.
#[derive(Debug)]
pub(super) struct Section {
    pub(super) condition: Condition,
    pub(super) lines: Vec<Directive>,
    has_unknown: bool,
    /// Whether what its lines say depends on the host, apart from files that they include.
    differs: bool,
}

/// When the lines of a section count.
#[derive(Debug)]
pub(super) enum Condition {
    /// The lines before the first `Host` or `Match`.
    Always,
    Host(Vec<HostPattern>),
    Match(Match, Place),
}

/// A line of a section.
#[derive(Debug)]
pub(super) struct Directive {
    pub(super) place: Place,
    pub(super) kind: DirectiveKind,
}

/// What a line does.
#[derive(Debug)]
pub(super) enum DirectiveKind {
    Set(Keyword, Arc<Value>),
    Include(Vec<Arc<File>>),
    /// An Include whose paths differ from host to host.
    IncludeFor(Include),
    /// A keyword that nobody knows.
    Unknown(String),
}

/// Where a line stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) file: Arc<Path>,
    pub(super) line: usize,
    pub(super) owner: Owner,
}

/// Whose a file is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Owner {
    User,
    System,
}

/// A path to include, with tokens or variables, and how deep the line that names it stands.
#[derive(Debug, Clone)]
pub(super) struct Include {
    pub(super) path: String,
    pub(super) depth: usize,
}

impl File {
    /// The sections that can concern `host`, in the order of the file.
    pub(super) fn sections(&self, host: &str) -> impl Iterator<Item = &Section> {
        let named = self.by_host.get(host).map_or(&[][..], Vec::as_slice);
        let (mut named, mut others) = (named.iter().peekable(), self.others.iter().peekable());
        std::iter::from_fn(move || {
            let first = match (named.peek(), others.peek()) {
                (Some(name), Some(other)) if name < other => named.next(),
                (Some(_), None) => named.next(),
                _ => others.next(),
            };
            first.map(|at| &self.sections[*at])
        })
    }

    /// Whether resolving a host by it can take longer than a look at what is in memory: by a command, a file or the DNS.
    pub(super) fn may_block(&self) -> bool {
        let line_may_block = |line: &Directive| match &line.kind {
            DirectiveKind::Include(files) => files.iter().any(|file| file.may_block()),
            DirectiveKind::IncludeFor(_) => true,
            DirectiveKind::Set(keyword, _) => matches!(
                keyword,
                Keyword::CanonicalizeHostname | Keyword::CanonicalizePermittedCNAMEs
            ),
            DirectiveKind::Unknown(_) => false,
        };
        self.sections.iter().any(|section| {
            let runs_commands = match &section.condition {
                Condition::Match(criteria, _) => criteria.runs_commands(),
                _ => false,
            };
            runs_commands || section.lines.iter().any(line_may_block)
        })
    }

    /// Whether it names a command under this keyword, for whichever hosts.
    pub(super) fn has_command(&self, keyword: Keyword) -> bool {
        let mut lines = self.sections.iter().flat_map(|section| &section.lines);
        lines.any(|line| match &line.kind {
            DirectiveKind::Include(files) => files.iter().any(|file| file.has_command(keyword)),
            DirectiveKind::Set(set, value) => {
                let is_none =
                    matches!(&**value, Value::Text(text) if text.eq_ignore_ascii_case("none"));
                *set == keyword && !is_none
            }
            DirectiveKind::IncludeFor(_) | DirectiveKind::Unknown(_) => false,
        })
    }

    /// Whether a host gets what every host gets of which nothing special is said.
    pub(super) fn is_common(&self, host: &str) -> bool {
        self.sections(host).all(|section| match &section.condition {
            Condition::Always => section.is_common(host),
            Condition::Host(patterns) if patterns.iter().all(HostPattern::is_any) => {
                section.is_common(host)
            }
            Condition::Host(patterns) => !HostPattern::match_host(patterns, host),
            Condition::Match(..) => false,
        })
    }

    fn add(&mut self, mut section: Section) {
        section.differs = section.lines.iter().any(|line| line.kind.differs());
        let at = self.sections.len();
        self.has_unknown |= section.has_unknown;
        match &section.condition {
            Condition::Host(patterns)
                if !section.has_unknown && patterns.iter().all(HostPattern::is_literal) =>
            {
                for pattern in patterns {
                    let sections = self.by_host.entry(pattern.pattern.clone()).or_default();
                    if sections.last() != Some(&at) {
                        sections.push(at);
                    }
                }
            }
            _ => self.others.push(at),
        }
        self.sections.push(section);
    }
}

impl Section {
    fn new(condition: Condition) -> Self {
        Self {
            condition,
            lines: Vec::new(),
            has_unknown: false,
            differs: false,
        }
    }

    /// Whether all hosts get the same of it for which it counts; `host` is one of them.
    fn is_common(&self, host: &str) -> bool {
        let line_is_common = |line: &Directive| match &line.kind {
            DirectiveKind::Include(files) => files.iter().all(|file| file.is_common(host)),
            _ => true,
        };
        !self.differs && self.lines.iter().all(line_is_common)
    }
}

impl DirectiveKind {
    /// Whether what it says depends on the host, apart from files that it includes.
    fn differs(&self) -> bool {
        let has_tokens = |text: &String| text.contains('%');
        match self {
            Self::IncludeFor(_) => true,
            Self::Include(_) | Self::Unknown(_) => false,
            Self::Set(keyword, value) => match (keyword, &**value) {
                (
                    Keyword::Hostname
                    | Keyword::ProxyJump
                    | Keyword::CanonicalizeHostname
                    | Keyword::CanonicalizePermittedCNAMEs,
                    _,
                ) => true,
                // They have no effect here.
                (Keyword::ControlPath | Keyword::RemoteCommand, _) => false,
                (_, Value::Text(text)) => has_tokens(text),
                (_, Value::Texts(texts)) => texts.iter().any(has_tokens),
                _ => false,
            },
        }
    }
}

/// Reads files, and remembers what is wrong with them and what has no effect.
pub(super) struct Reader<'a> {
    local: &'a Local,
    files: usize,
    bytes: u64,
    /// The patterns of `IgnoreUnknown` so far.
    ignored: Vec<String>,
    mistakes: Vec<String>,
    unsupported: Vec<Unsupported>,
}

impl<'a> Reader<'a> {
    /// `ignored` holds the patterns of `IgnoreUnknown` that hold before the files.
    pub(super) fn new(local: &'a Local, ignored: Vec<String>) -> Self {
        Self {
            local,
            files: 0,
            bytes: 0,
            ignored,
            mistakes: Vec::new(),
            unsupported: Vec::new(),
        }
    }

    /// Reads a file; `None` when there is none. `checked` refuses one that others could have written.
    pub(super) fn file(
        &mut self,
        path: &Path,
        owner: Owner,
        checked: bool,
    ) -> Result<Option<File>> {
        self.file_at(path, owner, checked, 0)
    }

    /// Reads what an Include line of a file at `place` names.
    pub(super) fn include(
        &mut self,
        path: &str,
        place: &Place,
        depth: usize,
    ) -> Result<Vec<Arc<File>>> {
        if path.starts_with('~') && place.owner == Owner::System {
            let message = format!("bad include path {path}");
            return Err(local_error(place.says(&message)));
        }
        let path = match (path.starts_with(['/', '~']), place.owner) {
            (true, _) => path.to_owned(),
            (false, Owner::User) => format!("~/.ssh/{path}"),
            (false, Owner::System) => format!("/etc/ssh/{path}"),
        };
        let path = match (path.strip_prefix("~/"), self.local.variable("HOME")) {
            (Some(rest), Some(home)) => format!("{home}/{rest}"),
            _ => match tokens::expand_home(&path, self.local) {
                Ok(path) => path.into_owned(),
                // There are no files of a user that is not there (glob(3)).
                Err(_) => return Ok(Vec::new()),
            },
        };
        let mut files = Vec::new();
        for path in glob(&path) {
            let Some(file) = self.file_at(&path, place.owner, true, depth + 1)? else {
                let message = format!("{} is not there", path.display());
                return Err(local_error(place.says(&message)));
            };
            files.push(Arc::new(file));
        }
        Ok(files)
    }

    /// Reads a text as if it were a file called `name`.
    pub(super) fn text(&mut self, text: &[u8], name: &Path, owner: Owner) -> Result<File> {
        self.parse(text, name, owner, 0)
    }

    /// The patterns of `IgnoreUnknown` so far.
    pub(super) fn ignored(&self) -> &[String] {
        &self.ignored
    }

    /// Ends the reading: what has no effect, each once, or the mistakes that were found, as one error.
    pub(super) fn finish(self) -> Result<Vec<Unsupported>> {
        let mut mistakes = self.mistakes.into_iter();
        let Some(mut message) = mistakes.next() else {
            return Ok(self.unsupported);
        };
        match mistakes.count() {
            0 => {}
            1 => message.push_str(" (and one more mistake)"),
            more => message.push_str(&format!(" (and {more} more mistakes)")),
        }
        Err(local_error(message))
    }

    fn file_at(
        &mut self,
        path: &Path,
        owner: Owner,
        checked: bool,
        depth: usize,
    ) -> Result<Option<File>> {
        if depth > DEPTH {
            let message = format!(
                "{}: Too many recursive configuration includes (more than {DEPTH})",
                path.display()
            );
            return Err(local_error(message));
        }
        self.files += 1;
        if self.files > FILES {
            let message = format!("{}: more than {FILES} files are included", path.display());
            return Err(local_error(message));
        }
        let read = self.read(path, checked);
        let text = match read {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => {
                let message = match error.kind() {
                    // Our own words, below.
                    io::ErrorKind::Other => return Err(local_error(error.to_string())),
                    _ => format!("Can't open user config file {}", path.display()),
                };
                return Err(local_error(message).caused_by(error));
            }
            Ok(text) => text,
        };
        self.parse(&text, path, owner, depth).map(Some)
    }

    fn read(&mut self, path: &Path, checked: bool) -> io::Result<Vec<u8>> {
        // Only who names a file can know that somebody writes to it.
        if checked && fs::metadata(path)?.file_type().is_fifo() {
            let message = format!("{} is a pipe, which may block for ever", path.display());
            return Err(io::Error::other(message));
        }
        let handle = Handle::open(path)?;
        let metadata = handle.metadata()?;
        if checked && !is_trustworthy(&metadata) {
            let message = format!(
                "Bad owner or permissions on {}: it must be yours or root's, and no others may write to it",
                path.display()
            );
            return Err(io::Error::other(message));
        }
        let mut text = Vec::new();
        if metadata.is_dir() {
            return Ok(text);
        }
        let left = BYTES - self.bytes;
        handle.take(left + 1).read_to_end(&mut text)?;
        self.bytes += text.len() as u64;
        if text.len() as u64 > left {
            let message = format!(
                "{}: the configuration has more than {BYTES} bytes",
                path.display()
            );
            return Err(io::Error::other(message));
        }
        Ok(text)
    }

    fn parse(&mut self, text: &[u8], name: &Path, owner: Owner, depth: usize) -> Result<File> {
        let mut file = File::default();
        let mut section = Section::new(Condition::Always);
        let mut place = Place {
            file: name.into(),
            line: 0,
            owner,
        };
        for line in text.split(|byte| *byte == b'\n') {
            place.line += 1;
            let read = match std::str::from_utf8(line) {
                Ok(line) if line.starts_with('\u{feff}') => {
                    Err("here is a byte order mark; save the file as UTF-8 without one".into())
                }
                Ok(line) => Line::read(line),
                Err(_) if line.trim_ascii_start().starts_with(b"#") => continue,
                Err(_) => Err("this is not UTF-8 text; save the file as UTF-8".into()),
            };
            let line = match read {
                Ok(Some(line)) => line,
                Ok(None) => continue,
                Err(message) => {
                    self.mistakes.push(place.says(&message));
                    continue;
                }
            };
            let condition = match line.keyword.as_str() {
                "host" => Some(HostPattern::read(&line.arguments).map(Condition::Host)),
                "match" => {
                    let read = Match::read(&line.arguments);
                    Some(read.map(|read| {
                        if read.asks_for_command() {
                            self.tell(Unsupported::match_command((&place).into()));
                        }
                        file.wants_second_pass |= read.wants_second_pass;
                        Condition::Match(read, place.clone())
                    }))
                }
                _ => None,
            };
            match condition {
                Some(Ok(condition)) => {
                    file.add(std::mem::replace(&mut section, Section::new(condition)));
                }
                Some(Err(message)) => self.mistakes.push(place.says(&message)),
                None if line.keyword == "include" => {
                    self.include_line(&line, &place, depth, &mut section, &mut file)?;
                }
                None => match self.directive(&line) {
                    Ok(None) => {}
                    Ok(Some(kind)) => {
                        if let DirectiveKind::Set(keyword, value) = &kind
                            && let Some(told) = Unsupported::new(*keyword, value, (&place).into())
                        {
                            self.tell(told);
                        }
                        section.has_unknown |= matches!(kind, DirectiveKind::Unknown(_));
                        section.lines.push(Directive {
                            place: place.clone(),
                            kind,
                        });
                    }
                    Err(message) => self.mistakes.push(place.says(&message)),
                },
            }
        }
        file.add(section);
        Ok(file)
    }

    fn tell(&mut self, new: Unsupported) {
        if !self
            .unsupported
            .iter()
            .any(|told| told.keyword == new.keyword)
        {
            self.unsupported.push(new);
        }
    }

    fn include_line(
        &mut self,
        line: &Line<'_>,
        place: &Place,
        depth: usize,
        section: &mut Section,
        file: &mut File,
    ) -> Result<()> {
        for path in &line.arguments {
            if path.is_empty() {
                self.mistakes
                    .push(place.says("keyword include empty argument"));
                continue;
            }
            let kind = if path.contains('%') || path.contains("${") {
                DirectiveKind::IncludeFor(Include {
                    path: path.clone(),
                    depth,
                })
            } else {
                let files = self.include(path, place, depth)?;
                section.has_unknown |= files.iter().any(|file| file.has_unknown);
                file.wants_second_pass |= files.iter().any(|file| file.wants_second_pass);
                DirectiveKind::Include(files)
            };
            section.lines.push(Directive {
                place: place.clone(),
                kind,
            });
        }
        Ok(())
    }

    fn directive(&mut self, line: &Line<'_>) -> Result<Option<DirectiveKind>, String> {
        let Some(keyword) = Keyword::named(&line.keyword) else {
            let name = &line.keyword;
            if self.ignored.iter().any(|list| is_ignored(name, list)) {
                return Ok(Some(DirectiveKind::Unknown(name.clone())));
            }
            return Err(unknown(name));
        };
        let local = self.local;
        let value = Value::read(keyword, line, &|name| local.variable(name))?;
        if let (Keyword::IgnoreUnknown, Some(Value::Text(list))) = (keyword, &value) {
            self.ignored.push(list.clone());
        }
        Ok(value.map(|value| DirectiveKind::Set(keyword, Arc::new(value))))
    }
}

impl Place {
    /// A message about this place.
    pub(super) fn says(&self, message: &str) -> String {
        format!("{} line {}: {message}", self.file.display(), self.line)
    }
}

/// Whether `IgnoreUnknown` with this list covers a keyword.
pub(super) fn is_ignored(keyword: &str, list: &str) -> bool {
    pattern::list(keyword, &list.to_ascii_lowercase()) == Verdict::Match
}

/// What is said of a keyword that no release of OpenSSH knows.
pub(super) fn unknown(keyword: &str) -> String {
    let mut hint = did_you_mean(keyword, Keyword::names());
    if hint.is_empty() {
        hint = format!("; if another program knows it, write `IgnoreUnknown {keyword}` before it");
    }
    format!("Bad configuration option: {}{hint}", keyword.escape_debug())
}

/// An error about a file or a setting on this machine.
pub(super) fn local_error(message: impl Into<String>) -> Error {
    Error::new(ErrorKind::Local, message)
}

/// Whether a file is the user's or root's, and nobody else can write to it.
///
/// A group that has no member but the user is the user, as on Debian, whose `ssh` has this exception.
fn is_trustworthy(metadata: &fs::Metadata) -> bool {
    let mode = metadata.mode();
    let is_owned = metadata.uid() == 0 || metadata.uid() == Uid::current().as_raw();
    let is_closed =
        mode & 0o022 == 0 || mode & 0o002 == 0 && is_private(Gid::from_raw(metadata.gid()));
    is_owned && is_closed
}

fn is_private(group: Gid) -> bool {
    let user = nix::unistd::User::from_uid(Uid::current()).ok().flatten();
    let group = Group::from_gid(group).ok().flatten();
    let (Some(user), Some(group)) = (user, group) else {
        return false;
    };
    user.gid == group.gid
        && user.name == group.name
        && group.mem.iter().all(|member| *member == user.name)
}

/// Where a user's file is, below the home folder.
pub(super) fn user_file(local: &Local) -> PathBuf {
    Path::new(&local.home).join(".ssh/config")
}
