//! Making what was written searchable.

use std::collections::BTreeSet;

use clusterops_core::http::HttpRequest;
use serde::Deserialize;

use crate::search::{ShardFailure, Shards};
use crate::{Client, Error, ErrorKind, Result};

#[derive(Deserialize)]
struct Answer {
    #[serde(rename = "_shards")]
    shards: Shards,
}

/// Makes everything in these indices searchable, and gives the shards where that failed.
pub(super) async fn refresh(
    client: &Client,
    names: BTreeSet<&str>,
) -> Result<BTreeSet<(String, u32)>> {
    let mut failed = BTreeSet::new();
    for names in in_lines(names) {
        let request = HttpRequest::post("/")
            .segment(&names)
            .segment("_refresh")
            .query("ignore_unavailable", "true")
            .repeatable(true);
        let Answer { shards } = client.json(request).await?;
        if shards.failed > 0 && shards.failures.is_empty() {
            let message = format!(
                "{names}: {} shards were not refreshed, and which is not told",
                shards.failed
            );
            return Err(Error::new(ErrorKind::Partial, message).retryable());
        }
        let place =
            |failure: ShardFailure| Some((failure.index?, u32::try_from(failure.shard?).ok()?));
        failed.extend(shards.failures.into_iter().filter_map(place));
    }
    Ok(failed)
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
    use super::*;

    #[test]
    fn many_names_make_several_lines() {
        let names: Vec<String> = (0..30).map(|n| format!("{n:0>200}")).collect();
        let lists = in_lines(names.iter().map(String::as_str).collect());
        assert!(lists.len() > 1 && lists.iter().all(|list| list.len() < 1_200));
        assert_eq!(lists.join(",").split(',').collect::<Vec<_>>(), names);
    }
}
