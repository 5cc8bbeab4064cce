//! What a page lacks: servers answer 200 also when they did not search everything.

use std::collections::BTreeMap;

use serde::Deserialize;

use crate::reason::kind_of;
use crate::{Error, ErrorKind, Reason};

/// How many different failures an error names.
const NAMED: usize = 3;

/// What the shards of a request did.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct Shards {
    /// How many the request went to.
    pub total: u32,
    /// How many answered.
    pub successful: u32,
    /// How many of those had nothing to search, as their documents are of another time.
    pub skipped: u32,
    /// How many failed.
    pub failed: u32,
    /// Why; of failures that are alike, servers give one.
    pub failures: Vec<ShardFailure>,
}

/// Why a shard failed.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct ShardFailure {
    /// Its number.
    pub shard: Option<i64>,
    /// Its index.
    pub index: Option<String>,
    /// The id of the node it was on.
    pub node: Option<String>,
    /// The reason.
    pub reason: Reason,
}

/// What the clusters did that a search went to.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct Clusters {
    /// How many the request went to.
    pub total: u32,
    /// How many answered.
    pub successful: u32,
    /// How many were left out because they do not answer.
    pub skipped: u32,
    /// How many answered in part; Elasticsearch since 8.11.
    pub partial: u32,
    /// How many failed; Elasticsearch since 8.11.
    pub failed: u32,
    /// Each by its name; Elasticsearch since 8.10.
    pub details: BTreeMap<String, ClusterDetails>,
}

/// What one cluster did.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct ClusterDetails {
    /// `successful`, `partial`, `skipped`, `failed` or `running`.
    pub status: String,
    /// The indices it was asked for.
    pub indices: String,
    /// Whether it ran into the timeout.
    pub timed_out: bool,
    /// What its shards did.
    #[serde(rename = "_shards")]
    pub shards: Option<Shards>,
    /// Why it failed.
    pub failures: Vec<ShardFailure>,
}

/// What the answer of a search lacks, by what it tells of itself.
pub(crate) fn of(
    what: &str,
    timed_out: bool,
    shards: &Shards,
    clusters: Option<&Clusters>,
) -> Option<Error> {
    let mut lacks = Vec::new();
    let mut failures: Vec<&ShardFailure> = Vec::new();
    if timed_out {
        lacks.push("the search ran into its timeout".to_owned());
    }
    failures.extend(&shards.failures);
    lacks.extend(shards.lack());
    if let Some(clusters) = clusters {
        lacks.extend(clusters.lack());
        failures.extend(clusters.details.values().flat_map(|one| &one.failures));
    }
    if lacks.is_empty() {
        return None;
    }
    Some(partial(what, &lacks, &failures))
}

impl Shards {
    /// What these shards lack, in words.
    pub(crate) fn lack(&self) -> Option<String> {
        let (failed, total) = (
            self.failed.max(self.failures.len().try_into().unwrap_or(0)),
            self.total,
        );
        (failed > 0).then(|| format!("{failed} of {total} shards failed"))
    }

    /// The error that these shards are, where they are one.
    pub(crate) fn shortfall(&self, what: &str) -> Option<Error> {
        let failures: Vec<_> = self.failures.iter().collect();
        Some(partial(what, &[self.lack()?], &failures))
    }
}

impl Clusters {
    fn lack(&self) -> Vec<String> {
        let mut lacks = Vec::new();
        for (name, one) in &self.details {
            let shown = match &**name {
                "" | "(local)" => "this cluster".to_owned(),
                name => format!("the cluster `{name}`"),
            };
            match &*one.status {
                "successful" | "" if !one.timed_out => {}
                "skipped" => lacks.push(format!("{shown} was left out")),
                status => lacks.push(format!(
                    "{shown} is {}",
                    if one.timed_out { "late" } else { status }
                )),
            }
        }
        let left_out = self.skipped.max(self.total.saturating_sub(self.successful));
        if lacks.is_empty() && left_out > 0 {
            lacks.push(format!(
                "{left_out} of {} clusters were left out",
                self.total
            ));
        }
        lacks
    }
}

/// The error of an answer under a status of success that is none.
pub(crate) fn partial(what: &str, lacks: &[String], failures: &[&ShardFailure]) -> Error {
    let mut named: Vec<String> = Vec::new();
    let mut retryable = true;
    let mut first = None;
    for failure in failures {
        let reason = failure.reason.root();
        let name = reason.name.as_deref().unwrap_or_default();
        first = first.or(reason.name.clone());
        retryable &= kind_of(name).is_some_and(|(_, retryable)| retryable);
        let shown = failure.shown();
        if named.len() < NAMED && !named.contains(&shown) {
            named.push(shown);
        }
    }
    let because = match named.is_empty() {
        true => String::new(),
        false => format!(": {}", named.join("; ")),
    };
    let message = format!(
        "{what} does not cover everything: {}{because}",
        lacks.join(", ")
    );
    let mut error = Error::new(ErrorKind::Partial, message);
    if let Some(name) = first {
        error = error.of_server_type(name);
    }
    if retryable { error.retryable() } else { error }
}

impl ShardFailure {
    fn shown(&self) -> String {
        let reason = self.reason.root();
        let index = self.index.as_deref().unwrap_or("?");
        let shard = self
            .shard
            .map_or_else(String::new, |shard| format!("[{shard}]"));
        let name = reason.name.as_deref().unwrap_or("unknown");
        let text = reason.shown();
        let node = match &self.node {
            Some(node) => format!(" on the node {node}"),
            None => String::new(),
        };
        format!("{index}{shard}{node}: {name}: {text}")
    }
}
