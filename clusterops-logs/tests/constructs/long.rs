//! Texts that are too long for servers to mark what matched in them.

use std::time::Duration;

use clusterops_logs::client::Indices;
use clusterops_logs::export::Export;
use clusterops_logs::render::{MATCH_START, highlighting};
use clusterops_logs::search::{Highlight, HighlightField};
use clusterops_logs::tail::{Since, Tail};
use clusterops_logs::{Query, Search};
use serde_json::json;

use super::support::{self, Index};

/// A word that is found, in a text that is too long, in one that is not, and in one beyond what is looked at.
async fn filled(index: &Index) {
    let filler = "all is well ".repeat(100_000);
    index
        .fill([
            ("long", json!({"message": format!("failure {filler}")})),
            ("short", json!({"message": "a failure"})),
            ("late", json!({"message": format!("{filler} failure")})),
        ])
        .await;
}

#[tokio::test]
async fn texts_that_are_too_long_to_mark_are_found_all_the_same() {
    let name = "texts_that_are_too_long_to_mark_are_found_all_the_same";
    for cluster in support::clusters(name) {
        let client = cluster.client();
        let of_shards = json!({"number_of_shards": 2, "number_of_replicas": 0});
        let mut lower = of_shards.clone();
        lower["highlight.max_analyzed_offset"] = json!(500_000);
        for (settings, is_lower) in [(of_shards, false), (lower, true)] {
            let index = cluster.index("long", json!({"settings": settings})).await;
            filled(&index).await;
            let query = Query::from(Query::matches("message", "failure"));
            // Elasticsearch before 7.12 cannot look at less of a text, and the index's setting is the last word.
            let is_limited = cluster.is_opensearch() && !is_lower;
            let mut seen = Vec::new();

            let tail = Tail::new(&client, &support::indices(&index.name), &query).unwrap();
            let mut tail = tail.since(Since::Start).raw("highlight", highlighting());
            let mut hits = Vec::new();
            while hits.len() < 3 {
                let batch = tokio::time::timeout(Duration::from_secs(60), tail.next()).await;
                let documents = batch.unwrap().unwrap().documents;
                hits.extend(documents.into_iter().map(|document| document.hit));
            }
            seen.push(of_hits(&hits));

            let export = Export::new(&client, &support::indices(&index.name), query.clone());
            let mut pages = export
                .raw("highlight", highlighting())
                .start()
                .await
                .unwrap();
            let mut hits = Vec::new();
            while let Some(page) = pages.next().await.unwrap() {
                hits.extend(page.hits().map(|hit| hit.to_hit().unwrap()));
            }
            seen.push(of_hits(&hits));

            for seen in seen {
                let name = format!("{}, lower: {is_lower}, {seen:?}", cluster.name);
                let ids: Vec<_> = seen.iter().map(|(id, _)| id.as_str()).collect();
                assert_eq!(ids, ["late", "long", "short"], "{name}");
                assert_eq!((seen[0].1, seen[1].1), (false, is_limited), "{name}");
                // Without a limit that depends on whether it stands in the shard, and so on the page, of a long one.
                assert!(seen[2].1 || !is_limited, "{name}");
            }

            // What somebody else asks for is theirs to have refused.
            let field = HighlightField::new("message").number_of_fragments(0);
            let search = Search::new(query).highlight(Highlight::field(field));
            let indices = Indices::new(&index.name).unwrap();
            client.search(&indices, &search).await.unwrap_err();
        }
    }
}

/// Each hit, and whether it is marked.
fn of_hits(hits: &[clusterops_logs::Hit]) -> Vec<(String, bool)> {
    let marked = |hit: &clusterops_logs::Hit| {
        let mut texts = hit.highlight.values().flatten();
        texts.any(|text| text.contains(MATCH_START))
    };
    let mut hits: Vec<_> = hits
        .iter()
        .map(|hit| (hit.id.clone(), marked(hit)))
        .collect();
    hits.sort();
    hits
}
