//! What is asked for, once flags and configuration are read.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use clusterops::logs::Indices;
use clusterops::logs::jiff::Timestamp;
use clusterops::logs::jiff::tz::TimeZone;
use clusterops::logs::look::Context;
use clusterops::logs::render::Template;

/// Who we are.
#[derive(Debug, Clone)]
pub(crate) enum Identity {
    User(String),
    /// The variable that has an API key.
    ApiKey(String),
    /// The variable that has a bearer token.
    Bearer(String),
}

impl Access {
    /// Who we are at a cluster.
    pub(crate) fn at(&self, cluster: &str) -> Option<&Identity> {
        let own = self.identities.get(&Some(cluster.to_owned()));
        own.or_else(|| self.identities.get(&None))
    }
}

/// Everything that is asked for.
#[derive(Debug, Clone)]
pub(crate) struct Settings {
    pub(crate) what: What,
    pub(crate) language: Language,
    pub(crate) query: String,
    pub(crate) excluded: Vec<String>,
    /// Names and the URLs of nodes; one without a name is the only one.
    pub(crate) clusters: Vec<(String, Vec<String>)>,
    pub(crate) indices: Indices,
    pub(crate) since: Timestamp,
    /// Whether a flag says it.
    pub(crate) is_since_given: bool,
    pub(crate) until: Option<Timestamp>,
    pub(crate) interval: Duration,
    pub(crate) overlap: Duration,
    pub(crate) count: Option<u32>,
    pub(crate) state: Option<PathBuf>,
    pub(crate) resume: Option<PathBuf>,
    pub(crate) output: Output,
    pub(crate) shows_host: bool,
    pub(crate) colours: Option<bool>,
    pub(crate) highlights: bool,
    pub(crate) zone: TimeZone,
    pub(crate) access: Access,
    /// Whether what would be sent is printed, and nothing looked for.
    pub(crate) is_printed: bool,
    pub(crate) is_verbose: bool,
}

impl Settings {
    /// What is asked of whom.
    pub(crate) fn described(&self) -> String {
        let urls: Vec<&str> = self
            .clusters
            .iter()
            .flat_map(|(_, urls)| urls)
            .map(String::as_str)
            .collect();
        let (query, indices, since) = (&self.query, &self.indices, self.since);
        format!(
            "`{query}` in {indices} at {}, since {since}",
            urls.join(", ")
        )
    }
}

#[derive(Debug, Clone)]
pub(crate) enum What {
    Lines,
    Follow,
    Context(Context),
    Count,
    Histogram,
    Top(String),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Language {
    Lucene,
    Kql,
}

#[derive(Debug, Clone)]
pub(crate) enum Output {
    Text,
    Message,
    Json,
    Template(Template),
}

/// Who we are, and whom we trust.
#[derive(Debug, Clone)]
pub(crate) struct Access {
    /// By the names of clusters; without one, at all others.
    pub(crate) identities: BTreeMap<Option<String>, Identity>,
    pub(crate) authorities: Vec<PathBuf>,
    pub(crate) certificate: Option<(PathBuf, PathBuf)>,
    pub(crate) plain_http: bool,
}
