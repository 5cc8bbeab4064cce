//! Making what was written searchable.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::time::Duration;

use clusterops_core::http::HttpRequest;
use serde::Deserialize;
use tokio::time::Instant;

use super::Notice;
use crate::search::{ShardFailure, Shards};
use crate::{Client, ErrorKind};

#[derive(Deserialize)]
struct Answer {
    #[serde(rename = "_shards")]
    shards: Shards,
}

/// Why an index was not made searchable.
#[derive(Debug, Clone)]
pub(super) enum Why {
    /// It was not asked for.
    Unasked,
    /// There is no right to.
    Denied(String),
    Failed(String),
}

/// The indices that were not made searchable, by their names or uuids.
pub(super) type Unrefreshed = BTreeMap<String, Why>;

/// Makes everything in these indices searchable, of each of which so many shards are known.
///
/// Servers leave out what there is no right to, where `ignore_unavailable` lets them, and some are set up to leave it out
/// always. So the shards that were refreshed are counted, and what a list as a whole fails with is asked of each index.
pub(super) async fn refresh(client: &Client, shards: &BTreeMap<&str, u32>) -> Unrefreshed {
    let mut unrefreshed = Unrefreshed::new();
    let mut lists = in_lines(shards.keys().copied().collect());
    while let Some(list) = lists.pop() {
        let names: Vec<&str> = list.split(',').collect();
        let request = HttpRequest::post("/")
            .segment(&list)
            .segment("_refresh")
            .repeatable(true);
        let known: u32 = names.iter().filter_map(|name| shards.get(name)).sum();
        let each = names.iter().map(|name| (*name).to_owned());
        match client.json::<Answer>(request).await {
            Ok(answer) if answer.shards.total >= known.max(1) => {
                unrefreshed.extend(failed(answer.shards, names.into_iter()));
            }
            Err(error) if names.len() == 1 && error.kind() == ErrorKind::Denied => {
                unrefreshed.insert(list, Why::Denied(error.to_string()));
            }
            Ok(_) if names.len() > 1 => lists.extend(each),
            Ok(answer) => {
                let total = answer.shards.total;
                let why = format!("{total} shards were refreshed, and not the {known} that it has");
                unrefreshed.insert(list, Why::Failed(why));
            }
            Err(error) if names.len() > 1 && is_of_some(error.kind()) => lists.extend(each),
            Err(error) => {
                unrefreshed.extend(each.map(|name| (name, Why::Failed(error.to_string()))));
            }
        }
    }
    unrefreshed
}

/// Whether one of several indices can be the reason for an error of this kind.
fn is_of_some(kind: ErrorKind) -> bool {
    matches!(
        kind,
        ErrorKind::Denied | ErrorKind::NotFound | ErrorKind::Rejected
    )
}

/// How long it is not asked again whether there is a right to refresh an index.
const AGAIN: Duration = Duration::from_secs(600);

/// Indices that there is no right to refresh, by their uuids, and when that was found out.
#[derive(Debug, Default)]
pub(super) struct Refused(HashMap<String, Instant>);

impl Refused {
    pub(super) fn has(&self, uuid: &str) -> bool {
        self.0.get(uuid).is_some_and(|then| then.elapsed() < AGAIN)
    }

    /// Takes what came of indices that were to be made searchable, and tells of those whose right to that is found to lack.
    pub(super) fn note<'a>(
        &mut self,
        asked: impl Iterator<Item = (&'a String, &'a str)>,
        unrefreshed: &Unrefreshed,
    ) -> Option<Notice> {
        let mut new = BTreeMap::new();
        for (uuid, name) in asked {
            let Some(Why::Denied(why)) = unrefreshed.get(name) else {
                self.0.remove(uuid);
                continue;
            };
            if self.0.insert(uuid.clone(), Instant::now()).is_none() {
                new.insert(name, why);
            }
        }
        let (_, why) = new.pop_first()?;
        let others: Vec<&str> = new.keys().copied().take(MOST_NAMED).collect();
        let why = match new.len() {
            0 => why.clone(),
            1..=MOST_NAMED => format!("{why}; nor for {}", others.join(", ")),
            more => format!(
                "{why}; nor for {} and {} more",
                others.join(", "),
                more - MOST_NAMED
            ),
        };
        Some(Notice::NoRefresh { why })
    }
}

/// How many indices are named beside the first.
const MOST_NAMED: usize = 5;

/// Of failures that are alike servers tell one, so all shards of an index are meant by it, and all indices by one that
/// names none.
fn failed<'a>(shards: Shards, names: impl Iterator<Item = &'a str>) -> Unrefreshed {
    if shards.failed == 0 {
        return Unrefreshed::new();
    }
    let names: BTreeSet<&str> = names.collect();
    let index = |failure: &ShardFailure| names.get(failure.index.as_deref()?).copied();
    let failed: Option<BTreeSet<&str>> = shards.failures.iter().map(index).collect();
    let failed = failed.filter(|failed| !failed.is_empty()).unwrap_or(names);
    let why = || Why::Failed("it could not be refreshed".to_owned());
    failed
        .into_iter()
        .map(|name| (name.to_owned(), why()))
        .collect()
}

/// Lists of these names that each fit into a request's first line: servers take 4 KiB (`http.max_initial_line_length`).
fn in_lines(names: BTreeSet<&str>) -> Vec<String> {
    let mut lists: Vec<String> = Vec::new();
    for name in names {
        match lists.last_mut() {
            // Escaping makes of a byte three.
            Some(list) if list.len() + name.len() < 1_200 => {
                list.push(',');
                list.push_str(name);
            }
            _ => lists.push(name.to_owned()),
        }
    }
    lists
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test that fails says where")]

    use super::*;

    #[test]
    fn many_names_make_several_lines() {
        let names: Vec<String> = (0..30).map(|n| format!("{n:0>200}")).collect();
        let lists = in_lines(names.iter().map(String::as_str).collect());
        assert!(lists.len() > 1 && lists.iter().all(|list| list.len() < 1_200));
        assert_eq!(lists.join(",").split(',').collect::<Vec<_>>(), names);
    }

    #[test]
    fn one_failure_stands_for_all_that_are_alike() {
        let held = |failures: serde_json::Value| {
            let shards =
                serde_json::json!({"total": 4, "successful": 2, "failed": 2, "failures": failures});
            let shards = serde_json::from_value(shards).unwrap();
            failed(shards, ["a", "b"].into_iter())
                .into_keys()
                .collect::<Vec<_>>()
        };
        let one = serde_json::json!({"shard": 0, "index": "b", "reason": {"type": "x", "reason": "full"}});
        assert_eq!(held(serde_json::json!([one])), ["b"]);
        assert_eq!(
            held(serde_json::json!([one, {"reason": {"type": "x"}}])),
            ["a", "b"]
        );
        assert_eq!(held(serde_json::json!([])), ["a", "b"]);
    }

    #[test]
    fn what_may_not_be_refreshed_is_told_once() {
        let uuids: Vec<String> = (0..9).map(|n| format!("u{n}")).collect();
        let names: Vec<String> = (0..9).map(|n| format!("n{n}")).collect();
        let asked = || uuids.iter().zip(names.iter().map(String::as_str));
        let denied = |name: &String| (name.clone(), Why::Denied("no".to_owned()));
        let unrefreshed = names[1..].iter().map(denied).collect();
        let mut refused = Refused::default();
        let why = "no; nor for n2, n3, n4, n5, n6 and 2 more".to_owned();
        let told = Some(Notice::NoRefresh { why });
        assert_eq!(refused.note(asked(), &unrefreshed), told);
        assert_eq!(refused.note(asked(), &unrefreshed), None);
        assert!(!refused.has("u0") && refused.has("u8"));
        // Where the right was there in between, it is told again.
        assert_eq!(refused.note(asked(), &Unrefreshed::new()), None);
        assert!(!refused.has("u8"));
        assert_eq!(refused.note(asked(), &unrefreshed), told);
    }
}
