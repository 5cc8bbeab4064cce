//! OpenSSH's client configuration: `~/.ssh/config` and `/etc/ssh/ssh_config`, read as `ssh` reads them.
//!
//! The rules are those of ssh_config(5) and, where that is silent, of OpenSSH's `readconf.c`, `match.c`, `misc.c` and
//! `ssh.c`. A [`Config`] is read once; [`Config::resolve`] then says what is in force for a host: the first value of
//! each keyword among the sections that match, with tokens, variables and `~` filled in, as a [`HostConfig`].
//!
//! ```
//! use clusterops_ssh::config::{Config, Query};
//!
//! let config = Config::parse(
//!     "Host web* !web9\n  User deploy\n  ServerAliveInterval 1m\nHost *\n  User ops\n",
//!     "example",
//! )?;
//! let web1 = config.resolve(&Query::new("web1"))?;
//! assert_eq!(web1.user, "deploy");
//! assert_eq!(web1.origin("User").map(ToString::to_string).as_deref(), Some("example:2"));
//! assert_eq!(config.resolve(&Query::new("web9"))?.user, "ops");
//! # Ok::<(), clusterops_ssh::Error>(())
//! ```
//!
//! # Which OpenSSH
//!
//! Keywords, criteria of `Match` and names of algorithms that any release up to 10.x knows are understood; what none
//! knows is OpenSSH's error, unless `IgnoreUnknown` covers it. Defaults are those of OpenSSH 9.2. Where releases differ:
//!
//! - The words of a `Match` line are quoted as on other lines (9.9); until then a backslash was a letter there.
//! - `Match !final` alone asks for no second pass over the files (10.1).
//! - `User`, the values of `SetEnv`, `RevokedHostKeys` and the paths of `Include` may have tokens and variables (10.x),
//!   `%j` is known everywhere, and a part of `%C` (9.6).
//! - `ProxyJump none` leaves the choice to a later `ProxyCommand` (10.3, and Debian's 9.2).
//! - `Match version` sees `OpenSSH_10.0p2`.
//!
//! Different on purpose: a line that is not UTF-8 is an error, unless it is a comment, and so is an `Include` with a
//! variable that is not set; `ProxyJump none # text` is `none`, and an IPv6 address there may stand without brackets; a
//! file may be writable for a group that has no member but the user, as on Debian; `StrictHostKeyChecking no` stores no
//! new keys.
//!
//! Values are OpenSSH's, its defaults included. Sessions wait for nothing without end, and have defaults of their own where
//! no file says anything: [`SessionOptions`](crate::SessionOptions) names them (`ConnectTimeout`, `ServerAliveInterval`,
//! `UpdateHostKeys`, and the key files that are tried).
//!
//! What has no effect here (forwardings, shared connections, GSSAPI, ...) is told by [`Config::unsupported`].

mod algorithms;
mod canonical;
mod condition;
mod dump;
mod exec;
mod file;
mod glob;
mod host;
mod keyword;
mod known_hosts_command;
mod line;
mod local;
mod options;
mod pattern;
mod query;
mod resolve;
mod settings;
#[cfg(test)]
mod tests;
mod tokens;
mod value;

use std::collections::HashMap;
use std::fmt;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use crate::Result;
use file::{File, Owner, Place, Reader};
use keyword::{Keyword, Support};
use local::Local;
use value::Value;

pub use algorithms::Algorithms;
pub use canonical::AddressFamily;
pub use dump::EffectiveLine;
pub use host::{Ask, HostConfig, IdentityAgent, Proxy, RequestTty, StrictHostKeyChecking};
pub use known_hosts_command::KnownHostsCommand;
pub use options::ConfigOptions;
pub(crate) use pattern::matches;
pub use query::Query;
pub use settings::Origin;

/// The port of SSH (RFC 4253 section 4.1).
const DEFAULT_PORT: u16 = 22;

/// How many paths with tokens are remembered, with the files found there.
const REMEMBERED: usize = 1000;

/// The files of a configuration, read and checked.
///
/// Also holds the environment and the user as they were when it was made. Share it in an [`Arc`]: any number of threads
/// may [resolve](Self::resolve) hosts at the same time.
///
/// ```
/// use clusterops_ssh::config::{Config, Query};
///
/// // As `ssh -F none`: no file at all.
/// let host = Config::none()?.resolve(&Query::new("web1"))?;
/// assert_eq!((host.hostname.as_str(), host.port), ("web1", 22));
///
/// let error = Config::parse("Host *\n  ProxyJmp gate\n", "example").unwrap_err();
/// assert_eq!(
///     error.to_string(),
///     "example line 2: Bad configuration option: proxyjmp; did you mean `ProxyJump`?",
/// );
/// # Ok::<(), clusterops_ssh::Error>(())
/// ```
#[derive(Debug)]
pub struct Config {
    local: Local,
    files: Vec<File>,
    /// Files that are included by a path with tokens, by that path and where it stands.
    included: Mutex<HashMap<IncludedPath, Vec<Arc<File>>>>,
    unsupported: Vec<Unsupported>,
    /// What was said of all hosts before the files were read.
    options: ConfigOptions,
    /// The patterns of every `IgnoreUnknown`, which hold for files that are included later, too.
    ignored: Vec<String>,
}

impl Config {
    /// Reads the user's `~/.ssh/config` and then the system's `/etc/ssh/ssh_config`, of which either may be missing.
    ///
    /// # Errors
    ///
    /// When a file cannot be read, is the user's and others can write to it, or has a mistake: the first is named with
    /// its file and line.
    pub fn load() -> Result<Self> {
        ConfigOptions::default().load()
    }

    /// Reads one file only, as `ssh -F` does.
    ///
    /// # Errors
    ///
    /// As [`load`](Self::load), and when there is no such file; who may write to it is not looked at.
    pub fn from_file(path: impl AsRef<Path>) -> Result<Self> {
        ConfigOptions::default().from_file(path)
    }

    /// Reads no file, as `ssh -F none` does: every host has the defaults.
    ///
    /// # Errors
    ///
    /// When the operating system does not know the user.
    pub fn none() -> Result<Self> {
        Self::read(Local::look()?, ConfigOptions::default(), |_| Ok(Vec::new()))
    }

    /// The user's home folder, by the password database: OpenSSH does not look at `HOME`.
    pub(crate) fn home(&self) -> &Path {
        Path::new(&self.local.home)
    }

    /// Reads a text as the user's file; errors call it `name`.
    ///
    /// # Errors
    ///
    /// As [`load`](Self::load).
    pub fn parse(text: impl AsRef<[u8]>, name: impl AsRef<Path>) -> Result<Self> {
        ConfigOptions::default().parse(text, name)
    }

    /// Says what is in force for a host.
    ///
    /// This blocks: `Match exec` runs commands in the user's shell (`SHELL`; each is given 30 s), an `Include` whose
    /// path has tokens reads files (once), and `CanonicalizeHostname` and `CanonicalizePermittedCNAMEs` ask the
    /// resolver of this machine. Without these it takes microseconds. In asynchronous code, call it in
    /// `tokio::task::spawn_blocking`.
    ///
    /// # Errors
    ///
    /// When a name in the query could be taken for a part of a command, a token or variable has no meaning, a command
    /// of `Match exec` ends by a signal or takes too long, a name that has to be canonical does not resolve
    /// ([`Unreachable`](crate::ErrorKind::Unreachable)), or `RefuseConnection` says so. The error names the host.
    pub fn resolve(&self, query: &Query) -> Result<HostConfig> {
        resolve::resolve(self, query)
    }

    /// The host name of a host of which the files say nothing but what they say of all others, too: where two queries
    /// differ in such hosts only, so do the answers.
    pub(crate) fn common(&self, host: &str, family: Option<AddressFamily>) -> Option<String> {
        let is_common = |file: &File| !file.wants_second_pass && file.is_common(host);
        let is_common = resolve::is_host(host) && self.files.iter().all(is_common);
        is_common.then(|| canonical::usual_name(host, family))
    }

    /// Whether [`resolve`](Self::resolve) can block.
    pub(crate) fn may_block(&self) -> bool {
        self.files.iter().any(File::may_block)
    }

    /// Whether a `ProxyCommand` leads to any host; files that are included by a path with tokens are not looked at.
    pub(crate) fn has_proxy_command(&self) -> bool {
        let keyword = Keyword::ProxyCommand;
        self.files.iter().any(|file| file.has_command(keyword))
    }

    /// As [`has_proxy_command`](Self::has_proxy_command), of a `KnownHostsCommand`.
    pub(crate) fn has_known_hosts_command(&self) -> bool {
        let keyword = Keyword::KnownHostsCommand;
        self.files.iter().any(|file| file.has_command(keyword))
    }

    /// The settings of all files that have no effect here, each keyword once, with its first place.
    ///
    /// Which of them concern a host tells [`HostConfig::unsupported`]. Files that are included by a path with tokens are
    /// not looked at.
    ///
    /// ```
    /// use clusterops_ssh::config::Config;
    ///
    /// let config = Config::parse("ForwardX11 no\nForwardAgent yes\nHost a\n  ForwardAgent yes\n", "example")?;
    /// let told: Vec<_> = config.unsupported().iter().map(ToString::to_string).collect();
    /// assert_eq!(told, ["example:2: ForwardAgent has no effect here"]);
    /// # Ok::<(), clusterops_ssh::Error>(())
    /// ```
    pub fn unsupported(&self) -> &[Unsupported] {
        &self.unsupported
    }

    fn parse_for(local: Local, options: ConfigOptions, text: &[u8], name: &Path) -> Result<Self> {
        Self::read(local, options, |reader| {
            Ok(vec![reader.text(text, name, Owner::User)?])
        })
    }

    fn read(
        local: Local,
        options: ConfigOptions,
        read: impl FnOnce(&mut Reader<'_>) -> Result<Vec<File>>,
    ) -> Result<Self> {
        let mut reader = Reader::new(&local, options.ignore_unknown.iter().cloned().collect());
        let files = read(&mut reader)?;
        Ok(Self {
            ignored: reader.ignored().to_vec(),
            options,
            unsupported: reader.finish()?,
            local,
            files,
            included: Mutex::default(),
        })
    }

    /// The files at a path whose tokens are filled in.
    fn include(&self, path: &str, place: &Place, depth: usize) -> Result<Vec<Arc<File>>> {
        let key = IncludedPath {
            path: path.to_owned(),
            owner: place.owner,
        };
        let included = || self.included.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(files) = included().get(&key) {
            return Ok(files.clone());
        }
        let mut reader = Reader::new(&self.local, self.ignored.clone());
        let files = reader.include(path, place, depth)?;
        reader.finish()?;
        let mut included = included();
        if included.len() < REMEMBERED {
            included.insert(key, files.clone());
        }
        Ok(files)
    }
}

/// A path that an `Include` names, its tokens filled in, and whose file it stands in.
#[derive(Debug, PartialEq, Eq, Hash)]
struct IncludedPath {
    path: String,
    owner: Owner,
}

/// A setting that has no effect here.
///
/// Displays as one line for the user.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Unsupported {
    /// The keyword as ssh_config(5) spells it, or `Match command`.
    pub keyword: &'static str,
    /// Where it is set.
    pub origin: Origin,
}

impl Unsupported {
    /// `None` for what takes effect, and for a value that asks for nothing.
    fn new(keyword: Keyword, value: &Value, origin: Origin) -> Option<Self> {
        let asks_nothing = match value {
            Value::Choice(word) => matches!(*word, "no" | "false" | "default"),
            Value::Text(text) => {
                let words = ["no", "false", "none", "internal"];
                words.iter().any(|word| text.eq_ignore_ascii_case(word))
            }
            _ => false,
        };
        let has_no_effect = match keyword.support() {
            Support::Unsupported => !asks_nothing,
            // `ssh` gives no terminal either when its standard input is none, unless it is forced to.
            _ => keyword == Keyword::RequestTTY && *value == Value::Choice("true"),
        };
        has_no_effect.then(|| Self {
            keyword: keyword.spelling(),
            origin,
        })
    }

    /// Whether distributions set it for everybody: Debian and Fedora have it in the system's files, for those who have Kerberos,
    /// and without an effect the other ways to log in are what is left.
    pub(crate) fn is_distribution_default(&self) -> bool {
        let is_of_system = match &self.origin {
            Origin::Line { file, .. } => file.starts_with("/etc/ssh"),
            Origin::Query => false,
        };
        self.keyword == "GSSAPIAuthentication" && is_of_system
    }

    /// The commands of a [`Session`](crate::Session) come after the configuration was asked about its host.
    fn match_command(origin: Origin) -> Self {
        Self {
            keyword: "Match command",
            origin,
        }
    }
}

impl fmt::Display for Unsupported {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { keyword, origin } = self;
        match *keyword {
            "RequestTTY" => write!(
                f,
                "{origin}: RequestTTY yes gives no terminal here, for there is none on this side; RequestTTY force does"
            ),
            "Match command" => write!(
                f,
                "{origin}: Match command knows no command of a session here, for they come after it connects"
            ),
            keyword => write!(f, "{origin}: {keyword} has no effect here"),
        }
    }
}
