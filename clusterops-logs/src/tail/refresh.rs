//! Making what was written searchable.

use std::collections::{BTreeMap, BTreeSet};

use clusterops_core::http::HttpRequest;
use serde::Deserialize;

use crate::search::{ShardFailure, Shards};
use crate::{Client, ErrorKind, Result};

#[derive(Deserialize)]
struct Answer {
    #[serde(rename = "_shards")]
    shards: Shards,
}

/// The indices that were not made searchable, each with the reason.
pub(super) type Unrefreshed = BTreeMap<String, String>;

/// Makes everything in these indices searchable.
///
/// # Errors
/// [`Denied`](ErrorKind::Denied) alone: another error holds only the indices that it is about.
pub(super) async fn refresh(client: &Client, names: BTreeSet<&str>) -> Result<Unrefreshed> {
    let mut failed = Unrefreshed::new();
    for names in in_lines(names) {
        let request = HttpRequest::post("/")
            .segment(&names)
            .segment("_refresh")
            .query("ignore_unavailable", "true")
            .repeatable(true);
        let names = names.split(',');
        match client.json::<Answer>(request).await {
            Ok(answer) => failed.extend(unrefreshed(answer.shards, names)),
            Err(error) if error.kind() == ErrorKind::Denied => return Err(error),
            Err(error) => failed.extend(names.map(|name| (name.to_owned(), error.to_string()))),
        }
    }
    Ok(failed)
}

/// Of failures that are alike servers tell one, so all shards of an index are meant by it, and all indices by one that
/// names none.
fn unrefreshed<'a>(shards: Shards, names: impl Iterator<Item = &'a str>) -> Unrefreshed {
    if shards.failed == 0 {
        return Unrefreshed::new();
    }
    let names: BTreeSet<&str> = names.collect();
    let index = |failure: &ShardFailure| names.get(failure.index.as_deref()?).copied();
    let failed: Option<BTreeSet<&str>> = shards.failures.iter().map(index).collect();
    let failed = failed.filter(|failed| !failed.is_empty()).unwrap_or(names);
    let why = "it could not be refreshed";
    failed
        .into_iter()
        .map(|name| (name.to_owned(), why.to_owned()))
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
            unrefreshed(shards, ["a", "b"].into_iter())
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
}
