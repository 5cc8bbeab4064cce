//! The client against real clusters.

use std::time::Duration;

use clusterops_logs::client::{Bulk, Pit, Product};
use clusterops_logs::http::HttpRequest;
use clusterops_logs::search::Sort;
use clusterops_logs::{Client, ErrorKind, Indices, Query, Search};
use serde_json::{Value, json};

use crate::support::{self, Cluster, Index};

async fn filled(cluster: &Cluster, hint: &str, documents: u32) -> (Index, Indices) {
    let index = cluster
        .index(hint, json!({"settings": {"number_of_shards": 3}}))
        .await;
    let mut bulk = Bulk::new();
    for number in 0..documents {
        let document = json!({"number": number, "message": format!("\"line\" {number} {{[", )});
        bulk = bulk
            .index(&index.name, Some(&number.to_string()), &document)
            .unwrap();
    }
    cluster.client().bulk(&bulk).await.unwrap();
    let indices = Indices::new(&index.name).unwrap();
    cluster.client().refresh(&indices).await.unwrap();
    (index, indices)
}

#[tokio::test]
async fn the_server_says_what_it_is_also_in_disguise() {
    for cluster in support::clusters("the_server_says_what_it_is_also_in_disguise") {
        let product = match cluster.is_opensearch() {
            true => Product::OpenSearch,
            false => Product::Elasticsearch,
        };
        let major: u32 = cluster.name.split('-').nth(1).unwrap().parse().unwrap();
        let client = cluster.client();
        let server = client.server().await.unwrap();
        assert_eq!((server.product(), server.version().0), (product, major));
        assert!(!server.is_disguised());
        if cluster.name != "opensearch-2" {
            continue;
        }
        let real = server.version();
        let disguise = async |worn: Value| {
            let setting = "compatibility.override_main_response_version";
            let request = clusterops_logs::http::HttpRequest::put("/_cluster/settings");
            cluster
                .call(request, json!({"persistent": {setting: worn}}))
                .await;
        };
        disguise(json!(true)).await;
        let disguised = cluster.client().server().await.cloned();
        disguise(Value::Null).await;
        let disguised = disguised.unwrap();
        assert!(disguised.is_disguised());
        assert_eq!((disguised.product(), disguised.version()), (product, real));
    }
}

#[tokio::test]
async fn a_page_is_the_same_whole_and_in_pieces() {
    for cluster in support::clusters("a_page_is_the_same_whole_and_in_pieces") {
        let (_index, indices) = filled(&cluster, "page", 2500).await;
        let client = cluster.client();
        let search = Search::new(Query::match_all())
            .size(2000)
            .sort(Sort::field("number"))
            .version(true)
            .seq_no_primary_term(true)
            .raw("track_total_hits", json!(true));
        let page = client.search(&indices, &search).await.unwrap();
        assert_eq!((page.hits.len(), page.total), (2000, Some(2500)));
        let mut reader = client.read(&indices, &search).await.unwrap();
        for hit in &page.hits {
            let streamed = reader.next().await.unwrap().unwrap();
            assert_eq!(streamed.id, hit.id);
            assert_eq!(
                streamed.source.unwrap().get(),
                hit.source.as_ref().unwrap().get()
            );
            assert_eq!(streamed.seq_no, hit.seq_no);
            assert!(hit.seq_no.is_some() && hit.primary_term == Some(1) && hit.version == Some(1));
            assert_eq!(hit.sort.len(), 1);
        }
        assert!(reader.next().await.unwrap().is_none());
        assert_eq!(reader.finish().await.unwrap().total, Some(2500));
        assert_eq!(
            client.count(&indices, &Query::match_all()).await.unwrap(),
            2500
        );
    }
}

#[tokio::test]
async fn a_point_in_time_sees_what_was_there() {
    for cluster in support::clusters("a_point_in_time_sees_what_was_there") {
        let (index, indices) = filled(&cluster, "pit", 20).await;
        let client = cluster.client();
        let opened = client.open_pit(&indices, Duration::from_secs(60)).await;
        if !client.server().await.unwrap().has_points_in_time() {
            let error = opened.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Rejected);
            assert!(error.message().contains("points in time"), "{error}");
            // Nothing was written by mistake.
            assert_eq!(
                client.count(&indices, &Query::match_all()).await.unwrap(),
                20
            );
            continue;
        }
        let mut pit = opened.unwrap();
        index.fill([("new", json!({"number": 1}))]).await;
        let all = || Search::new(Query::match_all());
        let page = client.search(&indices, &pit.search(all())).await.unwrap();
        assert_eq!(page.total, Some(20));
        pit.follow(&page);
        client.keep_pit(&mut pit).await.unwrap();
        let again = pit.clone();
        client.close_pit(pit).await.unwrap();
        let gone = client.search(&indices, &again.search(all())).await;
        let error = gone.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Expired, "{error}");
        client.close_pit(again).await.unwrap();
        let wrong = Pit::new("bm90aGluZw==", Duration::from_secs(1));
        let error = client
            .search(&indices, &wrong.search(all()))
            .await
            .unwrap_err();
        // OpenSearch 3 takes such an id for one of an older version, and calls it a failure of its own.
        let kinds = [ErrorKind::Rejected, ErrorKind::Server];
        assert!(kinds.contains(&error.kind()), "{error}");
    }
}

#[tokio::test]
async fn sorting_by_shard_doc_is_there_where_we_say() {
    for cluster in support::clusters("sorting_by_shard_doc_is_there_where_we_say") {
        let (_index, indices) = filled(&cluster, "sharddoc", 5).await;
        let client = cluster.client();
        let server = client.server().await.unwrap();
        if !server.has_points_in_time() {
            continue;
        }
        let pit = client
            .open_pit(&indices, Duration::from_secs(60))
            .await
            .unwrap();
        let search = pit.search(Search::new(Query::match_all()).sort(Sort::shard_doc()));
        // As it is sent, without a look at the version.
        let body = serde_json::to_string(&search).unwrap();
        let request = HttpRequest::post("/_search").json(&body.into());
        let accepted = client.send(request).await.is_ok();
        assert_eq!(accepted, server.has_shard_doc(), "{server}");
        match client.search(&indices, &search).await {
            Ok(_) => assert!(accepted, "{server}"),
            Err(error) => {
                assert_eq!(error.kind(), ErrorKind::Input, "{error}");
                assert!(error.to_string().contains(&server.to_string()), "{error}");
            }
        }
        client.close_pit(pit).await.unwrap();
    }
}

#[tokio::test]
async fn errors_say_what_the_server_says() {
    for cluster in support::clusters("errors_say_what_the_server_says") {
        let (_index, indices) = filled(&cluster, "errors", 5).await;
        let client = cluster.client();
        let nowhere = Indices::new("nowhere-to-be-found").unwrap();
        let search = Search::new(Query::match_all());
        let error = client.search(&nowhere, &search).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::NotFound);
        assert_eq!(error.server_type(), Some("index_not_found_exception"));
        assert!(error.message().contains("nowhere-to-be-found"), "{error}");

        let search = Search::new(Query::raw(json!({"foo": {}})));
        let error = client.search(&indices, &search).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Rejected);
        assert_eq!(
            (error.line(), error.column()),
            (Some(1), Some(17)),
            "{error}"
        );
        assert!(error.message().contains("unknown query [foo]"), "{error}");

        let query = Query::raw(json!({"query_string": {"query": "a:(b"}}));
        let error = client
            .search(&indices, &Search::new(query.clone()))
            .await
            .unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Rejected);
        assert!(
            error.message().contains("Failed to parse query [a:(b]"),
            "{error}"
        );
        let cause = std::error::Error::source(&error).unwrap().to_string();
        assert!(
            cause.contains("line 1, column 4") && !cause.contains('\n'),
            "{cause}"
        );
        let validation = client.validate(&indices, &query).await.unwrap();
        assert!(!validation.valid);
    }
}

#[tokio::test]
async fn a_timeout_and_a_failed_shard_are_errors_under_200() {
    for cluster in support::clusters("a_timeout_and_a_failed_shard_are_errors_under_200") {
        // The field is a number in one index and a text in the other: sorting fails on the shards of one.
        let one = cluster.unique("mixed");
        let texts = cluster
            .index(
                &one,
                json!({"mappings": {"properties": {"x": {"type": "text"}}}}),
            )
            .await;
        let numbers = cluster
            .index(
                &one,
                json!({"mappings": {"properties": {"x": {"type": "long"}}}}),
            )
            .await;
        texts.fill([("t", json!({"x": "a"}))]).await;
        numbers.fill([("n", json!({"x": 1}))]).await;
        let client = cluster.client();
        let both = Indices::new(&format!("{one}-*")).unwrap();
        let search = Search::new(Query::match_all()).sort(Sort::field("x"));
        let error = client.search(&both, &search).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Partial, "{error}");
        assert!(error.message().contains(&texts.name), "{error}");
        let page = client.search_partial(&both, &search).await.unwrap();
        assert_eq!(page.hits.len(), 1);
        assert!(page.shortfall().is_some());
        let mut reader = client.read(&both, &search).await.unwrap();
        assert_eq!(reader.next().await.unwrap_err().kind(), ErrorKind::Partial);

        let early = Search::new(Query::match_all()).raw("terminate_after", json!(1));
        client.search(&both, &early).await.unwrap();

        let bulk = Bulk::new()
            .index(&numbers.name, Some("good"), &json!({"x": 2}))
            .and_then(|bulk| bulk.index(&numbers.name, Some("bad"), &json!({"x": "none"})))
            .unwrap();
        let error = client.bulk(&bulk).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Partial);
        assert!(error.message().contains("1 of 2 documents"), "{error}");
    }
}

#[tokio::test]
async fn patterns_aliases_and_date_math_stand_for_indices() {
    for cluster in support::clusters("patterns_aliases_and_date_math_stand_for_indices") {
        let (index, indices) = filled(&cluster, "names", 3).await;
        let client = cluster.client();
        let alias = cluster.unique("Alias");
        let actions = json!({"actions": [{"add": {"index": index.name, "alias": alias}}]});
        let request = clusterops_logs::http::HttpRequest::post("/_aliases");
        cluster.call(request, actions).await;
        let resolved = client.resolve(&indices).await.unwrap();
        assert_eq!(resolved.indices[0].aliases, std::slice::from_ref(&alias));
        let pattern = format!("{}*", index.name);
        let excluded = format!("{pattern},-{}", index.name);
        let dated = format!("<{}-{{now/y{{yyyy|+01:00}}}}>", cluster.unique("dated"));
        let request = clusterops_logs::http::HttpRequest::put("/").segment(&dated);
        let made = cluster.call(request, json!({})).await;
        let this_year = Index {
            name: made["index"].as_str().unwrap().to_owned(),
            cluster: cluster.clone(),
        };
        this_year.fill([("1", json!({"a": 1}))]).await;
        let list = format!("{pattern},{dated}");
        for (expression, count) in [
            (&alias, 3),
            (&pattern, 3),
            (&excluded, 0),
            (&dated, 1),
            (&list, 4),
        ] {
            let indices = Indices::new(expression).unwrap();
            let counted = client.count(&indices, &Query::match_all()).await.unwrap();
            assert_eq!(counted, count, "{expression}");
        }
        let caps = client
            .field_caps(&indices, &["num*", "message"])
            .await
            .unwrap();
        assert_eq!(caps.types("number").collect::<Vec<_>>(), ["long"]);
        assert_eq!(caps.types("message").collect::<Vec<_>>(), ["text"]);
    }
}

#[tokio::test]
async fn a_node_that_is_not_there_is_passed_over() {
    for cluster in support::clusters("a_node_that_is_not_there_is_passed_over") {
        let (_index, indices) = filled(&cluster, "failover", 3).await;
        let gone = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let mut urls = vec![format!("http://{}", gone.local_addr().unwrap())];
        drop(gone);
        urls.extend(cluster.urls.clone());
        let client = Client::new(&urls, Default::default()).unwrap();
        assert_eq!(
            client.count(&indices, &Query::match_all()).await.unwrap(),
            3
        );
    }
}

#[tokio::test]
async fn answers_come_compressed_unless_that_is_not_wanted() {
    for cluster in support::clusters("answers_come_compressed_unless_that_is_not_wanted") {
        let (index, _) = filled(&cluster, "gzip", 200).await;
        let request = || {
            clusterops_logs::http::HttpRequest::get(format!("/{}/_search", index.name))
                .query("size", "200")
        };
        let plain = clusterops_logs::http::HttpOptions::default().gzip(false);
        let plain = Client::new(&cluster.urls, plain).unwrap();
        let mut answers = Vec::new();
        for (client, length_is_known) in [(cluster.client(), false), (plain, true)] {
            let answer = client.send(request()).await.unwrap();
            assert_eq!(answer.header("content-length").is_some(), length_is_known);
            let mut answer: Value = answer.json().unwrap();
            answer["took"].take();
            answers.push(answer["hits"]["total"].clone());
        }
        assert_eq!(answers[0], answers[1]);
    }
}
