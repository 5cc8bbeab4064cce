//! Flags and configuration become settings.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use clusterops::core::did_you_mean;
use clusterops::logs::Indices;
use clusterops::logs::jiff::tz::TimeZone;
use clusterops::logs::jiff::{SignedDuration, Timestamp};
use clusterops::logs::look::Context;
use clusterops::logs::render::Template;

use crate::clusters::password_variable;
use crate::command_line::{Arguments, Misused, Result, Switch, text};
use crate::config::{Config, Defined, Form};
use crate::settings::{Access, Identity, Language, Output, Settings, What};
use crate::switches::{
    AFTER, API_KEY, BEARER, BEFORE, CA, CERT, CLUSTER, COLOUR, CONFIG, CONTEXT, COUNT, COUNT_ONLY,
    DEFINE, DEPTH, EXCLUDE, FOLLOW, H, HIGHLIGHT, HISTOGRAM, HOST, INDEX, INTERVAL, KEY, KQL, LOGA,
    LUCENE, ONCE, OUTPUT, OVERLAP, PLAIN, PORT, PRINT, RESUME, SERVICE, SINCE, START, STATE,
    TIME_ZONE, TOP, UNTIL, USER, VERBOSE, VERSION, help,
};
use crate::times;

/// Servers take an empty query in Lucene's syntax, and find nothing.
const NO_QUERY: &str = "an empty query finds nothing; `*` finds everything";

pub(crate) enum Asked {
    Text(String),
    Something(Box<Settings>),
}

fn misused<T>(why: impl Into<String>) -> Result<T> {
    Err(Misused(why.into()).into())
}

pub(crate) fn read(words: impl Iterator<Item = OsString>) -> Result<Asked> {
    let mut words = words.peekable();
    let is_help = words.peek().is_some_and(|word| word == "help");
    let given = if is_help { None } else { LOGA.read(words)? };
    let Some(given) = given else {
        return Ok(Asked::Text(help()));
    };
    if given.has(&VERSION) {
        let version = env!("CARGO_PKG_VERSION");
        return Ok(Asked::Text(format!("loga {version}\n")));
    }
    if !given.words.is_empty() {
        // What they are stays unsaid: one may have been meant as a secret.
        let words = match given.words.len() {
            1 => "1 word belongs".to_owned(),
            several => format!("{several} words belong"),
        };
        return misused(format!(
            "{words} to no option; a query of several words is quoted: -d 'error AND nginx'"
        ));
    }
    let given = Given(given);
    let config = Config::find(given.path(&CONFIG))?;
    given
        .settings(&config)
        .map(|settings| Asked::Something(Box::new(settings)))
}

struct Given(Arguments);

/// What a name or a variable says of who we are.
type ToIdentity = fn(String) -> Identity;

impl Given {
    fn text(&self, switch: &Switch) -> Result<Option<&str>> {
        self.0
            .given(switch)
            .next()
            .map(|value| text(value))
            .transpose()
    }

    fn texts(&self, switch: &Switch) -> Result<Vec<String>> {
        self.0
            .given(switch)
            .map(|value| Ok(text(value)?.to_owned()))
            .collect()
    }

    fn path(&self, switch: &Switch) -> Option<PathBuf> {
        self.0.path(switch).map(PathBuf::from)
    }

    fn number(&self, switch: &Switch) -> Result<Option<u32>> {
        let Some(text) = self.text(switch)? else {
            return Ok(None);
        };
        match text.parse() {
            Ok(number) => Ok(Some(number)),
            Err(_) => misused(format!(
                "{} takes a whole number, not `{text}`",
                switch.name
            )),
        }
    }

    /// Whether a flag is given, or `=false` was.
    fn switch(&self, switch: &Switch) -> Option<bool> {
        self.0.given(switch).last().map(|value| value != "false")
    }

    fn indices(&self, config: &Config) -> Result<Indices> {
        let (from, indices) = match (self.text(&INDEX)?, config.index.as_deref()) {
            (Some(given), _) => (INDEX.name, given),
            (None, Some(given)) => ("elasticsearch_index", given),
            (None, None) => ("", "logstash-*"),
        };
        let indices = if indices.is_empty() { "*" } else { indices };
        Indices::new(indices).or_else(|error| misused(format!("{from}: {error}")))
    }

    fn settings(&self, config: &Config) -> Result<Settings> {
        let (language, query) = self.query(config)?;
        let as_logasaurus = self.0.has(&DEFINE) || self.0.has(&SERVICE);
        let zone = times::zone(self.text(&TIME_ZONE)?)?;
        let now = Timestamp::now();
        let (since, until) = self.window(config, now, &zone)?;
        let what = self.what(as_logasaurus)?;
        let follows = matches!(what, What::Follow);
        let h = self.switch(&H);
        let (h_highlights, h_hosts) = match config.form {
            Form::Define => (None, h),
            Form::Defined => (h, None),
        };
        let highlights = self
            .switch(&HIGHLIGHT)
            .or(h_highlights)
            .or(config.highlights);
        let resume = self.path(&RESUME);
        let clusters = self.clusters(config)?;
        Ok(Settings {
            what,
            language,
            query,
            excluded: self.excluded(language)?,
            access: self.access(&clusters)?,
            clusters,
            indices: self.indices(config)?,
            since,
            is_since_given: self.0.has(&SINCE),
            until,
            interval: match self.number(&INTERVAL)?.or(config.interval).unwrap_or(1) {
                0 => Duration::from_millis(100),
                seconds => Duration::from_secs(seconds.into()),
            },
            overlap: Duration::from_secs(self.number(&OVERLAP)?.unwrap_or(60).into()),
            count: match self.number(&COUNT)? {
                Some(0) => return misused("--count takes 1 or more"),
                count => count.or(config.count.filter(|_| follows)),
            },
            state: self.path(&STATE).or_else(|| resume.clone()),
            resume,
            output: self.output(as_logasaurus)?,
            shows_host: h_hosts.or(config.shows_host).unwrap_or(false),
            colours: match self.text(&COLOUR)? {
                None | Some("auto") => None,
                Some("always") => Some(true),
                Some("never") => Some(false),
                Some(other) => {
                    return misused(format!(
                        "--color takes auto, always or never, not `{other}`"
                    ));
                }
            },
            highlights: highlights.unwrap_or(true),
            zone,
            is_printed: self.0.has(&PRINT),
            is_verbose: self.switch(&VERBOSE).or(config.is_verbose).unwrap_or(false),
        })
    }

    fn query(&self, config: &Config) -> Result<(Language, String)> {
        let switches = [&DEFINE, &SERVICE, &LUCENE, &KQL];
        let mut given = switches.into_iter().filter(|switch| self.0.has(switch));
        let Some(first) = given.next() else {
            return misused(
                "-d QUERY, -s NAME, --lucene QUERY or --kql QUERY says what to look for",
            );
        };
        if let Some(second) = given.next() {
            return misused(format!(
                "{} and {} are two queries; give one",
                first.name, second.name
            ));
        }
        let value = self.text(first)?.unwrap_or_default();
        if first.name == KQL.name {
            return Ok((Language::Kql, value.to_owned()));
        }
        if first.name != SERVICE.name {
            return match value.trim().is_empty() {
                true => misused(format!("{}: {NO_QUERY}", first.name)),
                false => Ok((Language::Lucene, value.to_owned())),
            };
        }
        let known = config.queries.iter().find(|known| known.name == value);
        if let Some(Defined { query, place, .. }) = known {
            return match query.trim().is_empty() {
                true => Err(format!("{place}: `{value}`: {NO_QUERY}").into()),
                false => Ok((Language::Lucene, query.clone())),
            };
        }
        let names: Vec<&str> = config
            .queries
            .iter()
            .map(|known| known.name.as_str())
            .collect();
        let place = match config.path() {
            Some(path) => format!("{} defines", path.display()),
            None => "there is no configuration that defines".to_owned(),
        };
        let known = match names.is_empty() {
            true => "none is defined".to_owned(),
            false => format!("there are {}", names.join(", ")),
        };
        let near = did_you_mean(value, names.iter().copied());
        misused(match config.path() {
            Some(_) => format!("{place} no query `{value}`{near}; {known}"),
            None => format!("{place} the query `{value}`; -c names one"),
        })
    }

    fn excluded(&self, language: Language) -> Result<Vec<String>> {
        let excluded = self.texts(&EXCLUDE)?;
        let is_empty = |query: &String| query.trim().is_empty();
        match language == Language::Lucene && excluded.iter().any(is_empty) {
            true => misused(format!(
                "{}: an empty query finds nothing, so nothing is left out",
                EXCLUDE.name
            )),
            false => Ok(excluded),
        }
    }

    fn follows(&self, as_logasaurus: bool) -> bool {
        let asked = self.0.has(&FOLLOW) || self.0.has(&RESUME) || self.0.has(&STATE);
        asked || as_logasaurus && !self.0.has(&ONCE) && !self.0.has(&UNTIL)
    }

    fn what(&self, as_logasaurus: bool) -> Result<What> {
        let asks_for_context = [&CONTEXT, &BEFORE, &AFTER]
            .iter()
            .any(|switch| self.0.has(switch));
        let questions = [
            (self.0.has(&COUNT_ONLY), COUNT_ONLY.name),
            (self.0.has(&HISTOGRAM), HISTOGRAM.name),
            (self.0.has(&TOP), TOP.name),
            (asks_for_context, CONTEXT.name),
            (self.0.has(&UNTIL), UNTIL.name),
            (self.0.has(&ONCE), ONCE.name),
        ];
        let asked: Vec<&str> = questions
            .iter()
            .filter(|(is, _)| *is)
            .map(|(_, name)| *name)
            .collect();
        let follows = [&FOLLOW, &RESUME, &STATE]
            .into_iter()
            .find(|switch| self.0.has(switch));
        if let (Some(follows), Some(other)) = (follows, asked.first()) {
            return misused(format!(
                "{} goes on without an end, and {other} does not",
                follows.name
            ));
        }
        if let [first, second, ..] = asked
            .iter()
            .filter(|name| **name != ONCE.name && **name != UNTIL.name)
            .collect::<Vec<_>>()[..]
        {
            return misused(format!("{first} and {second} are two questions; ask one"));
        }
        let shows_no_lines = [&COUNT_ONLY, &HISTOGRAM, &TOP];
        if let Some(question) = shows_no_lines.iter().find(|switch| self.0.has(switch)) {
            if self.0.has(&OUTPUT) {
                return misused(format!(
                    "--output says how lines are shown, and {} shows none",
                    question.name
                ));
            }
            if self.0.has(&COUNT) && question.name != TOP.name {
                return misused(format!(
                    "--count says how many are shown at most, and {} shows no lines",
                    question.name
                ));
            }
        }
        if asks_for_context {
            let both = self.number(&CONTEXT)?.unwrap_or(0);
            let before = self.number(&BEFORE)?.unwrap_or(both);
            let after = self.number(&AFTER)?.unwrap_or(both);
            let context = Context::default()
                .before(before as usize)
                .after(after as usize);
            return Ok(What::Context(context));
        }
        if self.0.has(&COUNT_ONLY) {
            return Ok(What::Count);
        }
        if self.0.has(&HISTOGRAM) {
            return Ok(What::Histogram);
        }
        if let Some(field) = self.text(&TOP)? {
            if field.is_empty() {
                return misused("--top takes the name of a field");
            }
            return Ok(What::Top(field.to_owned()));
        }
        match self.follows(as_logasaurus) {
            true => Ok(What::Follow),
            false => Ok(What::Lines),
        }
    }

    /// As Logasaurus: from `depth` minutes before the start time on; but the end moves with the clock.
    fn window(
        &self,
        config: &Config,
        now: Timestamp,
        zone: &TimeZone,
    ) -> Result<(Timestamp, Option<Timestamp>)> {
        let minutes = |number: u32| SignedDuration::from_mins(number.into());
        let of = |switch: &Switch, key: &'static str, configured: Option<u32>| {
            Ok::<_, Box<dyn std::error::Error>>(match self.number(switch)? {
                Some(given) => (given, switch.name),
                None => (configured.unwrap_or(0), key),
            })
        };
        let (start, start_name) = of(&START, "start_time", config.start)?;
        let (depth, depth_name) = of(&DEPTH, "sync_depth", config.depth.or(Some(10)))?;
        let since = match self.text(&SINCE)? {
            Some(since) => times::point(SINCE.name, since, now, zone)?,
            None => {
                let (name, most) = match start > depth {
                    true => (start_name, start),
                    false => (depth_name, depth),
                };
                let since = now.checked_sub(minutes(start) + minutes(depth)).ok();
                since.filter(times::has_a_year).ok_or_else(|| {
                    Misused(format!("{name}: {most} minutes ago is before the year 0"))
                })?
            }
        };
        let until = self
            .text(&UNTIL)?
            .map(|until| times::point(UNTIL.name, until, now, zone))
            .transpose()?;
        if let Some(until) = until.filter(|until| *until <= since) {
            return misused(format!(
                "--until is not later than the beginning ({until:.0} and {since:.0}); --since says an earlier one"
            ));
        }
        Ok((since, until))
    }

    fn clusters(&self, config: &Config) -> Result<Vec<(String, Vec<String>)>> {
        let port = self
            .text(&PORT)?
            .map(str::to_owned)
            .or_else(|| config.port.clone());
        let port = port.unwrap_or_else(|| "9200".to_owned());
        if port.parse::<u16>().is_err() {
            return misused(format!("the port is a number up to 65535, not `{port}`"));
        }
        let named = self.texts(&CLUSTER)?;
        if named.is_empty() {
            let urls = match (self.text(&HOST)?, &config.url) {
                (Some(given), _) => {
                    urls(given, &port).map_err(|why| Misused(format!("-e: {why}")))?
                }
                (None, Some((url, place))) => {
                    urls(url, &port).map_err(|why| format!("{place}: elasticsearch_url: {why}"))?
                }
                (None, None) => vec![format!("http://127.0.0.1:{port}")],
            };
            return Ok(vec![(String::new(), urls)]);
        }
        if self.0.has(&HOST) {
            return misused("--cluster and -e both say where the logs are; give one");
        }
        let mut clusters: Vec<(String, Vec<String>)> = Vec::new();
        for cluster in named {
            let Some((name, urls)) = cluster
                .split_once('=')
                .filter(|(name, urls)| !name.is_empty() && !urls.is_empty())
            else {
                return misused(format!("--cluster takes NAME=URL, not `{cluster}`"));
            };
            if clusters.iter().any(|(known, _)| known == name) {
                return misused(format!("two clusters are called {name}"));
            }
            let variable = password_variable(name);
            let shares = |known: &&(String, _)| password_variable(&known.0) == variable;
            if let Some((known, _)) = clusters.iter().find(shares) {
                return misused(format!(
                    "the clusters {known} and {name} would share {variable}; call one something else"
                ));
            }
            let urls = self::urls(urls, &port)
                .map_err(|why| Misused(format!("--cluster: {name}: {why}")))?;
            clusters.push((name.to_owned(), urls));
        }
        Ok(clusters)
    }

    fn output(&self, as_logasaurus: bool) -> Result<Output> {
        match self.text(&OUTPUT)? {
            None if as_logasaurus => Ok(Output::Message),
            None | Some("text") => Ok(Output::Text),
            Some("message") => Ok(Output::Message),
            Some("json") => Ok(Output::Json),
            Some(other) => match other.strip_prefix("template=") {
                Some(text) => {
                    let template = Template::new(text);
                    let is_named = template.names().next().is_some();
                    match is_named {
                        true => Ok(Output::Template(template)),
                        false => misused(format!(
                            "the template `{text}` names no field, as {{{{host}}}} and {{{{user.name}}}} do"
                        )),
                    }
                }
                None => misused(format!(
                    "--output takes text, message, json or template=..., not `{other}`"
                )),
            },
        }
    }

    /// Who we are, of all clusters or of one.
    fn identities(
        &self,
        clusters: &[(String, Vec<String>)],
    ) -> Result<BTreeMap<Option<String>, Identity>> {
        let kinds: [(&Switch, ToIdentity); 3] = [
            (&USER, Identity::User),
            (&API_KEY, Identity::ApiKey),
            (&BEARER, Identity::Bearer),
        ];
        let names = || {
            let named = clusters.iter().map(|(name, _)| &**name);
            named.filter(|name| !name.is_empty())
        };
        let mut identities = BTreeMap::new();
        let mut said: Vec<(Option<String>, &str)> = Vec::new();
        for (switch, identity) in kinds {
            for given in self.texts(switch)? {
                let (cluster, who) = match given.split_once('=') {
                    Some((cluster, who)) if names().next().is_some() => {
                        if !names().any(|name| name == cluster) {
                            let near = did_you_mean(cluster, names());
                            return misused(format!(
                                "{}: there is no cluster `{cluster}`{near}",
                                switch.name
                            ));
                        }
                        (Some(cluster.to_owned()), who.to_owned())
                    }
                    _ => (None, given),
                };
                if who.is_empty() {
                    return misused(format!("{}: the value is empty", switch.name));
                }
                if let Some((_, first)) = said.iter().find(|(known, _)| *known == cluster) {
                    return misused(match *first == switch.name {
                        true => format!("{first} is given twice for one cluster; give one"),
                        false => {
                            format!("{first} and {} both say who we are; give one", switch.name)
                        }
                    });
                }
                said.push((cluster.clone(), switch.name));
                identities.insert(cluster, identity(who));
            }
        }
        Ok(identities)
    }

    fn access(&self, clusters: &[(String, Vec<String>)]) -> Result<Access> {
        let certificate = match (self.path(&CERT), self.path(&KEY)) {
            (Some(certificate), Some(key)) => Some((certificate, key)),
            (None, None) => None,
            _ => return misused("--cert and --key go together"),
        };
        Ok(Access {
            identities: self.identities(clusters)?,
            authorities: self.0.paths(&CA),
            certificate,
            plain_http: self.0.has(&PLAIN),
        })
    }
}

/// The URLs of the nodes of one cluster.
fn urls(hosts: &str, port: &str) -> Result<Vec<String>, String> {
    hosts
        .split(',')
        .map(|host| url(host.trim(), port))
        .collect()
}

/// The URL of a server that is named with or without a scheme and a port.
fn url(host: &str, port: &str) -> Result<String, String> {
    let (scheme, rest) = host.split_once("://").unwrap_or(("http", host));
    let rest = rest.trim_end_matches('/');
    let (authority, path) = match rest.find('/') {
        Some(at) => rest.split_at(at),
        None => (rest, ""),
    };
    if authority.contains('@') {
        // What it is stays unsaid: there may be a password in it.
        let why = "no name and no password stand in a URL; --user says the name, and LOGA_PASSWORD has the password";
        return Err(why.to_owned());
    }
    if authority.is_empty() || authority.starts_with(':') {
        return Err(format!("`{host}` names no host"));
    }
    // Behind the brackets of an IPv6 address.
    let name = authority
        .rfind(']')
        .map_or(authority, |at| &authority[at..]);
    if let Some((_, port)) = name.split_once(':')
        && port.parse::<u16>().is_err()
    {
        return Err(format!(
            "`{host}`: the port is a number up to 65535, not `{port}`"
        ));
    }
    Ok(match name.contains(':') {
        true => format!("{scheme}://{authority}{path}"),
        false => format!("{scheme}://{authority}:{port}{path}"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn servers_are_named_in_each_way() {
        for (host, expected) in [
            ("127.0.0.1", "http://127.0.0.1:9200"),
            ("es:9201", "http://es:9201"),
            ("https://es/", "https://es:9200"),
            ("https://es:443/logs", "https://es:443/logs"),
            ("https://es/logs", "https://es:9200/logs"),
            ("[::1]", "http://[::1]:9200"),
            ("http://[::1]:1", "http://[::1]:1"),
        ] {
            assert_eq!(url(host, "9200").as_deref(), Ok(expected));
        }
        for host in ["es:99999", "https://es:", "[::1]:x/logs"] {
            let error = url(host, "9200").expect_err(host);
            assert!(error.contains(host), "{error}");
        }
    }
}
