//! What a configuration is asked.

use std::sync::Arc;

use super::file::local_error;
use super::keyword::Keyword;
use super::line::Line;
use super::value::Value;
use crate::Result;

/// Which host is asked about, and what is known from elsewhere, as `ssh` knows it from its command line.
///
/// What is set here comes before anything that a file says, and `Match` sees it.
///
/// ```
/// use clusterops_ssh::config::{Config, Query};
///
/// let config = Config::parse("Match user deploy\n  Port 2222\nHost *\n  User ops", "example")?;
/// assert_eq!(config.resolve(&Query::new("web1"))?.port, 22);
/// let host = config.resolve(&Query::new("web1").user("deploy"))?;
/// assert_eq!((host.user.as_str(), host.port), ("deploy", 2222));
/// # Ok::<(), clusterops_ssh::Error>(())
/// ```
#[derive(Debug, Clone)]
pub struct Query {
    pub(super) host: String,
    pub(super) command: Option<String>,
    pub(super) settings: Vec<(Keyword, Arc<Value>)>,
}

impl Query {
    /// Asks about a host by the name that the user gave, without user and port.
    pub fn new(host: impl Into<String>) -> Self {
        Self {
            host: host.into(),
            command: None,
            settings: Vec::new(),
        }
    }

    /// Says who logs in, as `ssh -l` does.
    #[must_use]
    pub fn user(self, user: impl Into<String>) -> Self {
        self.set(Keyword::User, Value::Text(user.into()))
    }

    /// Says which port is meant, as `ssh -p` does.
    #[must_use]
    pub fn port(self, port: u16) -> Self {
        self.set(Keyword::Port, Value::Number(port.into()))
    }

    /// Gives the tag that `Match tagged` looks for, as `ssh -P` does.
    #[must_use]
    pub fn tag(self, tag: impl Into<String>) -> Self {
        self.set(Keyword::Tag, Value::Text(tag.into()))
    }

    /// Gives the command that will be run, for `Match command` and `Match sessiontype`; without one it is a shell.
    #[must_use]
    pub fn command(mut self, command: impl Into<String>) -> Self {
        self.command = Some(command.into());
        self
    }

    /// Sets any keyword but Host, Match and Include, as `ssh -o` does.
    ///
    /// `IgnoreUnknown` covers keywords of options that follow it. Files are read before they are asked: for keywords in
    /// them, read them with [`ConfigOptions::of`](super::ConfigOptions::of) this query.
    ///
    /// # Errors
    ///
    /// When the text is not `Keyword=value` or `Keyword value`, or the value is wrong.
    ///
    /// ```
    /// use clusterops_ssh::config::Query;
    ///
    /// let query = Query::new("web1").option("ConnectTimeout=5s")?;
    /// let error = query.option("ConectTimeout=5s").unwrap_err();
    /// assert!(error.to_string().ends_with("did you mean `ConnectTimeout`?"));
    /// Query::new("web1").option("IgnoreUnknown=Theirs*")?.option("TheirsOnly=1")?;
    /// # Ok::<(), clusterops_ssh::Error>(())
    /// ```
    pub fn option(mut self, text: &str) -> Result<Self> {
        let wrong = |message: String| local_error(format!("the option `{text}`: {message}"));
        let line = Line::read(text).map_err(wrong)?;
        let line = line.ok_or_else(|| wrong("no keyword".into()))?;
        if matches!(line.keyword.as_str(), "host" | "match" | "include") {
            return Err(wrong("this keyword can only stand in a file".into()));
        }
        let Some(keyword) = Keyword::named(&line.keyword) else {
            return match self
                .ignore_unknown()
                .is_some_and(|list| super::file::is_ignored(&line.keyword, list))
            {
                true => Ok(self),
                false => Err(wrong(super::file::unknown(&line.keyword))),
            };
        };
        let value = Value::read(keyword, &line, &|name| std::env::var(name).ok()).map_err(wrong)?;
        self.settings
            .extend(value.map(|value| (keyword, Arc::new(value))));
        Ok(self)
    }

    /// The first `IgnoreUnknown`.
    pub(super) fn ignore_unknown(&self) -> Option<&str> {
        let mut settings = self.settings.iter();
        settings.find_map(|(keyword, value)| match (keyword, &**value) {
            (Keyword::IgnoreUnknown, Value::Text(list)) => Some(list.as_str()),
            _ => None,
        })
    }

    fn set(mut self, keyword: Keyword, value: Value) -> Self {
        self.settings.push((keyword, Arc::new(value)));
        self
    }
}
