//! The values that are in force for one host: the first of each keyword, and where it came from.

use std::fmt;
use std::path::Path;
use std::sync::Arc;

use super::file::{Owner, Place};
use super::keyword::Keyword;
use super::pattern;
use super::value::{Jump, Value};

/// Where a value came from.
///
/// Displays as `file:line`, or as `the query`.
///
/// ```
/// use clusterops_ssh::config::{Config, Query};
///
/// let config = Config::parse("Host web*\n  Port 2222\n", "example")?;
/// let host = config.resolve(&Query::new("web1").user("ops"))?;
/// assert_eq!(host.origin("Port").map(ToString::to_string).as_deref(), Some("example:2"));
/// assert_eq!(host.origin("User").map(ToString::to_string).as_deref(), Some("the query"));
/// assert_eq!(host.origin("Hostname"), None);
/// # Ok::<(), clusterops_ssh::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Origin {
    /// The [`Query`](super::Query).
    Query,
    /// A line of a file.
    Line {
        /// The file.
        file: Arc<Path>,
        /// The line, from 1.
        line: usize,
    },
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Query => f.write_str("the query"),
            Self::Line { file, line } => write!(f, "{}:{line}", file.display()),
        }
    }
}

impl From<&Place> for Origin {
    fn from(place: &Place) -> Self {
        Self::Line {
            file: Arc::clone(&place.file),
            line: place.line,
        }
    }
}

/// A value and where it came from.
#[derive(Debug, Clone)]
pub(super) struct Setting {
    pub(super) keyword: Keyword,
    pub(super) value: Arc<Value>,
    /// `None` for what was computed.
    pub(super) origin: Option<Origin>,
    /// Whether it stands in the user's file (and not in the system's).
    owner: Owner,
}

/// How many files of keys or certificates there may be (`SSH_MAX_IDENTITY_FILES` of OpenSSH).
const KEY_FILES: usize = 100;

/// The values in force, in the order in which they were set.
#[derive(Debug, Clone)]
pub(super) struct Settings {
    list: Vec<Setting>,
    /// For each keyword, one more than the place of its (first) value in the list.
    index: [u16; Keyword::COUNT],
}

impl Settings {
    pub(super) fn new() -> Self {
        Self {
            list: Vec::new(),
            index: [0; Keyword::COUNT],
        }
    }

    /// Takes a value, unless one is there; files of keys and variables to send add up.
    pub(super) fn take(
        &mut self,
        keyword: Keyword,
        value: &Arc<Value>,
        origin: Origin,
        owner: Owner,
    ) -> Result<(), String> {
        let setting = |value: Arc<Value>| Setting {
            keyword,
            value,
            origin: Some(origin.clone()),
            owner,
        };
        match (keyword, &**value) {
            (Keyword::IdentityFile | Keyword::CertificateFile, _) => {
                if self.all(keyword).count() >= KEY_FILES {
                    let what = keyword.spelling();
                    return Err(format!(
                        "Too many values of {what} specified (max {KEY_FILES})"
                    ));
                }
                let is_same = |other: &Setting| other.owner == owner && other.value == *value;
                if !self.all(keyword).any(is_same) {
                    self.push(setting(Arc::clone(value)));
                }
            }
            (Keyword::SendEnv, Value::Texts(names)) => {
                for name in names {
                    match name.strip_prefix('-') {
                        Some(pattern) => self.remove_env(pattern),
                        None => self.push(setting(Arc::new(Value::Text(name.clone())))),
                    }
                }
            }
            // The first of the two keeps the other from taking effect, where it says more than `none`.
            (Keyword::ProxyCommand, _) if self.jump().is_some() => {}
            (Keyword::ProxyJump, Value::Jump(jump))
                if !jump.is_none() && self.get(Keyword::ProxyCommand).is_some() => {}
            (Keyword::RekeyLimit, Value::Rekey(_, interval)) => {
                self.push_first(setting(Arc::clone(value)));
                if let Some(seconds) = interval {
                    self.push_first(Setting {
                        keyword: Keyword::RekeyInterval,
                        ..setting(Arc::new(Value::Number(*seconds)))
                    });
                }
            }
            _ => self.push_first(setting(Arc::clone(value))),
        }
        Ok(())
    }

    /// Sets a computed value where none is, so that none is taken any more.
    pub(super) fn settle(&mut self, keyword: Keyword, value: Value) {
        self.push_first(Setting {
            keyword,
            value: Arc::new(value),
            origin: None,
            owner: Owner::User,
        });
    }

    /// Sets a computed value in place of what was there, which says further where it came from.
    pub(super) fn replace(&mut self, keyword: Keyword, value: Value) {
        match self.index[keyword as usize] {
            0 => self.settle(keyword, value),
            at => self.list[usize::from(at) - 1].value = Arc::new(value),
        }
    }

    /// The (first) value of a keyword.
    pub(super) fn get(&self, keyword: Keyword) -> Option<&Setting> {
        let at = usize::from(self.index[keyword as usize]).checked_sub(1)?;
        self.list.get(at)
    }

    /// All values of a keyword.
    pub(super) fn all(&self, keyword: Keyword) -> impl Iterator<Item = &Setting> {
        self.list
            .iter()
            .filter(move |setting| setting.keyword == keyword)
    }

    /// All values of all keywords.
    pub(super) fn iter(&self) -> impl Iterator<Item = &Setting> {
        self.list.iter()
    }

    /// The word of a keyword that has a choice of them.
    pub(super) fn choice(&self, keyword: Keyword) -> Option<&'static str> {
        match &*self.get(keyword)?.value {
            Value::Choice(word) => Some(word),
            _ => None,
        }
    }

    pub(super) fn number(&self, keyword: Keyword) -> Option<u32> {
        match &*self.get(keyword)?.value {
            Value::Number(number) => Some(*number),
            _ => None,
        }
    }

    pub(super) fn text(&self, keyword: Keyword) -> Option<&str> {
        self.get(keyword)?.text()
    }

    pub(super) fn texts(&self, keyword: Keyword) -> &[String] {
        match self.get(keyword).map(|setting| &*setting.value) {
            Some(Value::Texts(texts)) => texts,
            _ => &[],
        }
    }

    /// `ProxyJump`, unless it says `none`.
    pub(super) fn jump(&self) -> Option<&Jump> {
        match &*self.get(Keyword::ProxyJump)?.value {
            Value::Jump(jump) if !jump.is_none() => Some(jump),
            _ => None,
        }
    }

    /// `ProxyCommand`, unless it says `none`.
    pub(super) fn proxy_command(&self) -> Option<&str> {
        let command = self.text(Keyword::ProxyCommand)?;
        (!command.eq_ignore_ascii_case("none")).then_some(command)
    }

    /// A message about the (first) value of a keyword, with its place.
    pub(super) fn says(&self, keyword: Keyword, message: &str) -> String {
        match self.get(keyword) {
            Some(setting) => setting.says(message),
            None => format!("{}: {message}", keyword.spelling()),
        }
    }

    fn push_first(&mut self, setting: Setting) {
        if self.index[setting.keyword as usize] == 0 {
            self.push(setting);
        }
    }

    fn push(&mut self, setting: Setting) {
        let keyword = setting.keyword as usize;
        self.list.push(setting);
        if self.index[keyword] == 0 {
            self.index[keyword] = u16::try_from(self.list.len()).unwrap_or(u16::MAX);
        }
    }

    fn remove_env(&mut self, pattern: &str) {
        self.list.retain(|setting| {
            let is_removed = setting.keyword == Keyword::SendEnv
                && setting
                    .text()
                    .is_some_and(|name| pattern::matches(name, pattern));
            !is_removed
        });
        self.index = [0; Keyword::COUNT];
        for (at, setting) in self.list.iter().enumerate() {
            let index = &mut self.index[setting.keyword as usize];
            if *index == 0 {
                *index = u16::try_from(at + 1).unwrap_or(u16::MAX);
            }
        }
    }
}

impl Setting {
    /// A message about this value, with its place.
    pub(super) fn says(&self, message: &str) -> String {
        let keyword = self.keyword.spelling();
        match &self.origin {
            Some(Origin::Line { file, line }) => {
                format!("{} line {line}: {keyword}: {message}", file.display())
            }
            _ => format!("{keyword}: {message}"),
        }
    }

    pub(super) fn text(&self) -> Option<&str> {
        match &*self.value {
            Value::Text(text) => Some(text),
            _ => None,
        }
    }
}
