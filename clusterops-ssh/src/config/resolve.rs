//! From a configuration to the values for one host: OpenSSH's two passes over the files.

use std::borrow::Cow;
use std::cell::OnceCell;
use std::sync::Arc;

use super::canonical;
use super::condition::{Attribute, HostPattern, Match};
use super::exec;
use super::file::{
    Condition, DirectiveKind, File, Include, Owner, Place, is_ignored, local_error, unknown,
};
use super::host::HostConfig;
use super::keyword::Keyword;
use super::local::Local;
use super::pattern::{self, Verdict};
use super::query::Query;
use super::settings::{Origin, Settings};
use super::tokens::{self, Tokens};
use super::value::Value;
use super::{Config, DEFAULT_PORT};
use crate::{Error, ErrorKind, Result};

/// The release that `Match version` is compared with: the first that has this attribute.
const VERSION: &str = "OpenSSH_10.0p2";

/// Looks a host up.
pub(super) fn resolve(config: &Config, query: &Query) -> Result<HostConfig> {
    check_names(query)?;
    let mut pass = Pass {
        config,
        query,
        settings: Settings::new(),
        host: query.host.clone(),
        is_second: false,
        wants_second: config.files.iter().any(|file| file.wants_second_pass),
    };
    let ignored = config.options.ignore_unknown.clone();
    let ignored = ignored.map(|list| (Keyword::IgnoreUnknown, Arc::new(Value::Text(list))));
    for (keyword, value) in query.settings.iter().chain(&ignored) {
        let taken = pass
            .settings
            .take(*keyword, value, Origin::Query, Owner::User);
        taken.map_err(|message| local_error(message).on(&query.host))?;
    }
    let host = pass.run().map_err(|error| error.on(&query.host))?;
    HostConfig::new(&config.local, query, host, pass.settings)
        .map_err(|message| local_error(message).on(&query.host))
}

/// Refuses names that could become part of a shell command through a token (`ssh_valid_hostname` and
/// `ssh_valid_ruser` of OpenSSH 9.6).
fn check_names(query: &Query) -> Result<()> {
    let host = &query.host;
    if !is_host(host) {
        return Err(local_error(format!(
            "hostname `{}` contains invalid characters",
            host.escape_debug()
        )));
    }
    let users = query
        .settings
        .iter()
        .filter(|(keyword, _)| *keyword == Keyword::User);
    for (_, value) in users {
        if let Value::Text(user) = &**value {
            check_user(user).map_err(local_error)?;
        }
    }
    Ok(())
}

/// Whether a host's name could not become part of a shell command.
pub(super) fn is_host(host: &str) -> bool {
    let is_unfit = |letter: char| {
        "'`\"$\\;&<>|(){},".contains(letter) || letter.is_ascii_whitespace() || letter.is_control()
    };
    !host.starts_with('-') && !host.contains(is_unfit)
}

/// Refuses a login name that could become part of a shell command through a token.
pub(super) fn check_user(user: &str) -> Result<(), String> {
    let is_unfit = |letter: char| "'`\";&<>|(){}".contains(letter) || letter.is_control();
    let mut pairs = user.chars().zip(user.chars().skip(1));
    let has_option = pairs.any(|(first, second)| first.is_ascii_whitespace() && second == '-');
    if user.starts_with('-') || user.ends_with('\\') || has_option || user.contains(is_unfit) {
        return Err(format!(
            "remote username `{}` contains invalid characters",
            user.escape_debug()
        ));
    }
    Ok(())
}

/// A pass over the files.
struct Pass<'a> {
    config: &'a Config,
    query: &'a Query,
    settings: Settings,
    /// What `Host` lines are compared with: the host as asked for, in the second pass as it was found.
    host: String,
    is_second: bool,
    /// Whether a `Match` line asks for a second pass.
    wants_second: bool,
}

impl Pass<'_> {
    /// Makes both passes; the host that is connected to.
    fn run(&mut self) -> Result<String> {
        self.files()?;
        let host = canonical::host(
            &self.config.local,
            &self.settings,
            self.host()?.into_owned(),
        )
        .map_err(|message| Error::new(ErrorKind::Unreachable, message))?;
        let canonicalizes = self
            .settings
            .choice(Keyword::CanonicalizeHostname)
            .is_some_and(|choice| choice != "false");
        if canonicalizes || self.wants_second {
            let settings = &mut self.settings;
            settings.replace(Keyword::Hostname, Value::Text(host.clone()));
            // How the name was looked up is not changed afterwards.
            settings.settle(Keyword::CanonicalizeHostname, Value::Choice("false"));
            settings.settle(Keyword::CanonicalizeMaxDots, Value::Number(1));
            settings.settle(Keyword::CanonicalizeFallbackLocal, Value::Choice("yes"));
            self.host.clone_from(&host);
            self.is_second = true;
            self.files()?;
        }
        Ok(host)
    }

    fn files(&mut self) -> Result<()> {
        let config = self.config;
        config
            .files
            .iter()
            .try_for_each(|file| self.file(file, true))
    }

    fn file(&mut self, file: &File, may_match: bool) -> Result<()> {
        let host = self.host.clone();
        for section in file.sections(&host) {
            let is_active = may_match
                && match &section.condition {
                    Condition::Always => true,
                    Condition::Host(patterns) => HostPattern::match_host(patterns, &host),
                    Condition::Match(criteria, place) => self.matches(criteria, place)?,
                };
            if !is_active && !file.has_unknown {
                continue;
            }
            for line in &section.lines {
                match &line.kind {
                    DirectiveKind::Unknown(keyword) => self.unknown(keyword, &line.place)?,
                    DirectiveKind::Include(files) => {
                        files
                            .iter()
                            .try_for_each(|file| self.file(file, is_active))?;
                    }
                    DirectiveKind::IncludeFor(include) if is_active => {
                        let files = self.include(include, &line.place)?;
                        self.wants_second |= files.iter().any(|file| file.wants_second_pass);
                        files.iter().try_for_each(|file| self.file(file, true))?;
                    }
                    DirectiveKind::Set(keyword, value) if is_active => {
                        self.set(*keyword, value, &line.place)?;
                    }
                    DirectiveKind::IncludeFor(_) | DirectiveKind::Set(..) => {}
                }
            }
        }
        Ok(())
    }

    fn set(&mut self, keyword: Keyword, value: &Arc<Value>, place: &Place) -> Result<()> {
        if let (Keyword::RefuseConnection, Value::Text(reason)) = (keyword, &**value) {
            return Err(local_error(
                place.says(&format!("RefuseConnection: {reason}")),
            ));
        }
        let taken = self
            .settings
            .take(keyword, value, place.into(), place.owner);
        taken.map_err(|message| local_error(place.says(&message)))
    }

    fn unknown(&self, keyword: &str, place: &Place) -> Result<()> {
        let ignored = self.settings.text(Keyword::IgnoreUnknown);
        if ignored.is_some_and(|list| is_ignored(keyword, list)) {
            return Ok(());
        }
        Err(local_error(place.says(&unknown(keyword))))
    }

    fn include(&self, include: &Include, place: &Place) -> Result<Vec<Arc<File>>> {
        let local = &self.config.local;
        let host = self.host()?;
        let tokens = self.tokens(local, &host);
        let path = tokens.expand(&include.path);
        let path = path.map_err(|message| local_error(place.says(&message)))?;
        self.config.include(&path, place, include.depth)
    }

    /// The host that the files name so far.
    fn host(&self) -> Result<Cow<'_, str>> {
        match self.settings.text(Keyword::Hostname) {
            Some(name) if self.is_second => Ok(Cow::Borrowed(name)),
            Some(name) => {
                let host = |key| (key == 'h').then_some(Cow::Borrowed(self.host.as_str()));
                let expanded = tokens::expand(name, None, Some(&host));
                let wrong =
                    |message: String| local_error(self.settings.says(Keyword::Hostname, &message));
                expanded.map(Cow::Owned).map_err(wrong)
            }
            None => Ok(Cow::Borrowed(&self.host)),
        }
    }

    fn user(&self) -> &str {
        let user = self.settings.text(Keyword::User);
        user.unwrap_or(&self.config.local.user)
    }

    fn tokens<'a>(&'a self, local: &'a Local, host: &'a str) -> Tokens<'a> {
        let port = self.settings.number(Keyword::Port);
        let jump = self
            .settings
            .jump()
            .and_then(|jump| jump.hosts.hosts().last());
        Tokens {
            local,
            original: &self.query.host,
            host,
            port: port.map_or(DEFAULT_PORT, |port| port as u16),
            user: self.user(),
            jump: jump.map_or("", |jump| jump.host()),
            key_alias: self.settings.text(Keyword::HostKeyAlias).unwrap_or(host),
            hash: OnceCell::new(),
        }
    }

    fn matches(&self, criteria: &Match, place: &Place) -> Result<bool> {
        let host = self.host()?;
        let mut matched = true;
        for criterion in &criteria.criteria {
            // Nothing that follows can mend it, and no command is run in vain.
            matched = matched && self.has(&criterion.attribute, &host, place)? != criterion.negated;
        }
        Ok(matched)
    }

    fn has(&self, attribute: &Attribute, host: &str, place: &Place) -> Result<bool> {
        let is_in = |text: &str, patterns: &str| pattern::list(text, patterns) == Verdict::Match;
        let is_host =
            |host: &str, patterns: &str| pattern::host_list(host, patterns) == Verdict::Match;
        // Where nothing is there to compare, the empty list matches.
        let is_in_or_empty = |text: Option<&str>, patterns: &str| match text.unwrap_or_default() {
            "" => patterns.is_empty(),
            text => is_in(text, patterns),
        };
        let local = &self.config.local;
        Ok(match attribute {
            Attribute::All => true,
            Attribute::SecondPass => self.is_second,
            Attribute::Host(patterns) => is_host(host, patterns),
            Attribute::OriginalHost(patterns) => is_host(&self.query.host, patterns),
            Attribute::User(patterns) => is_in(self.user(), patterns),
            Attribute::LocalUser(patterns) => is_in(&local.user, patterns),
            Attribute::Exec(command) => {
                let tokens = self.tokens(local, host);
                let command = tokens::expand(command, None, Some(&|key| tokens.common(key)));
                let command = command.map_err(|message| local_error(place.says(&message)))?;
                let shell = local.variable("SHELL");
                exec::succeeds(shell.as_deref(), &command)
                    .map_err(|message| local_error(place.says(&message)))?
            }
            Attribute::LocalNetwork(networks) => canonical::addresses()
                .map_err(|message| local_error(place.says(&message)))?
                .iter()
                .any(|address| networks.iter().any(|network| network.contains(*address))),
            Attribute::Tagged(patterns) => {
                is_in_or_empty(self.settings.text(Keyword::Tag), patterns)
            }
            Attribute::Version(patterns) => is_in(VERSION, patterns),
            Attribute::Command(patterns) => is_in_or_empty(self.query.command.as_deref(), patterns),
            Attribute::SessionType(patterns) => {
                let session = match self.settings.choice(Keyword::SessionType) {
                    Some("none") => "none",
                    Some("subsystem") => "subsystem",
                    _ if self
                        .query
                        .command
                        .as_deref()
                        .is_some_and(|command| !command.is_empty()) =>
                    {
                        "exec"
                    }
                    _ => "shell",
                };
                is_in(session, patterns)
            }
        })
    }
}
