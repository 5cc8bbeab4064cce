//! What answers: transcribed from documentation pages, and from servers that ran.

use std::time::Duration;

use clusterops_logs::client::{Product, Server};
use clusterops_logs::http::HttpRequest;
use clusterops_logs::look::Context;
use clusterops_logs::{Error, ErrorKind, Export, Look, Page, Query, Search};

use crate::stand::{Reply, Stand};
use crate::support::indices;

/// <https://www.elastic.co/guide/en/elasticsearch/reference/8.15/rest-api-root.html>
const ELASTICSEARCH_8: &str = r#"{"name":"instance-0000000000","cluster_name":"my_test_cluster","cluster_uuid":"5QaxoN0pRZuOmWSxstBBwQ",
    "version":{"build_date":"2024-02-01T13:07:13.727175297Z","minimum_wire_compatibility_version":"7.17.0",
    "build_hash":"6185ba65d27469afabc9bc951cded6c17c21e3f3","number":"8.12.1","lucene_version":"9.9.2",
    "minimum_index_compatibility_version":"7.0.0","build_flavor":"default","build_snapshot":false,"build_type":"docker"},
    "tagline":"You Know, for Search"}"#;
/// The page of version 9 shows the answer of 8.12.1 too
/// (<https://www.elastic.co/docs/api/doc/elasticsearch/operation/operation-info>); the number is that of 9.
fn elasticsearch_9() -> String {
    ELASTICSEARCH_8.replace("8.12.1", "9.0.0")
}
/// The same page: "Clients should detect a Serverless environment by checking for `build_flavor: serverless`", and the number
/// says nothing there.
fn serverless() -> String {
    ELASTICSEARCH_8.replace("\"default\"", "\"serverless\"")
}
/// <https://www.elastic.co/docs/api/doc/elasticsearch/operation/operation-open-point-in-time>
const PIT_9: &str = r#"{"id":"46ToAwMDaWR5BXV1aWQyKwZub2RlXzMAAAAAAAAAACoBYwADaWR4BXV1aWQxAgZub2RlXzEAAAAAAAAAAAEBYQADaWR5BXV1aWQy","_shards":{
    "total":10,"successful":10,"skipped":0,"failed":0}}"#;
/// <https://www.elastic.co/guide/en/elasticsearch/reference/8.7/http-clients.html>, to who does not say who he is.
const UNAUTHENTICATED: &str =
    r#"{"error":"AuthenticationException[Missing authentication token]","status":401}"#;
/// As Elasticsearch 7.10.2 answers to a search of an index that is not there; no page shows it.
const MISSING: &str = r#"{"error":{"root_cause":[{"type":"index_not_found_exception","reason":"no such index [products]",
    "resource.type":"index_or_alias","resource.id":"products","index_uuid":"_na_","index":"products"}],
    "type":"index_not_found_exception","reason":"no such index [products]","resource.type":"index_or_alias","resource.id":"products",
    "index_uuid":"_na_","index":"products"},"status":404}"#;
/// As OpenSearch 2.19.1 answered with `compatibility.override_main_response_version`.
const DISGUISED: &str = r#"{"name":"Node 1","cluster_name":"c","version":{"number":"7.10.2","build_type":"unknown",
    "lucene_version":"9.12.1"},"tagline":"The OpenSearch Project: https://opensearch.org/"}"#;

#[tokio::test]
async fn products_and_versions_are_told_apart_and_asked_once() {
    let one = r#"{"version":{"distribution":"opensearch","number":"1.3.20"},"tagline":"The OpenSearch Project: https://opensearch.org/"}"#;
    let (nine, serverless) = (elasticsearch_9(), serverless());
    for (answer, product, version) in [
        (ELASTICSEARCH_8, Product::Elasticsearch, (8, 12, 1)),
        (&nine, Product::Elasticsearch, (9, 0, 0)),
        (&serverless, Product::Elasticsearch, (8, 12, 1)),
        (one, Product::OpenSearch, (1, 3, 20)),
        (DISGUISED, Product::OpenSearch, (2, 19, 1)),
    ] {
        let answer_text = answer.to_owned();
        let stand = Stand::start(move |head, _| match head.starts_with("GET /_nodes?") {
            true => Reply::json(
                200,
                r#"{"nodes":{"a":{"version":"2.19.1"},"b":{"version":"3.0.0"}}}"#,
            ),
            false => Reply::json(200, &answer_text),
        })
        .await;
        let client = stand.client();
        let server = client.server().await.unwrap().clone();
        assert_eq!((server.product(), server.version()), (product, version));
        assert_eq!(server.is_serverless(), answer == serverless);
        assert_eq!(server.is_disguised(), answer == DISGUISED);
        let requests = stand.seen().len();
        client.server().await.unwrap();
        assert_eq!(stand.seen().len(), requests);
    }
}

#[tokio::test]
async fn elasticsearch_9_is_asked_and_understood() {
    let stand = Stand::start(|head, _| match head.split(' ').nth(1) {
        Some("/") => Reply::json(200, &elasticsearch_9()),
        Some("/_count_me_out") => Reply::json(401, UNAUTHENTICATED),
        Some(path) if path.starts_with("/my-index-000001/_pit?keep_alive=") => {
            Reply::json(200, PIT_9)
        }
        _ => Reply::json(404, MISSING),
    })
    .await;
    let client = stand.client();
    let server = client.server().await.unwrap();
    assert!(server.has_points_in_time() && server.has_shard_doc());
    let minute = Duration::from_secs(60);
    let pit = client.open_pit(&indices("my-index-000001"), minute).await;
    assert!(PIT_9.contains(pit.unwrap().id()));
    let search = Search::new(Query::match_all());
    let missing = client.search(&indices("products"), &search).await;
    let missing = missing.unwrap_err();
    assert_eq!(missing.kind(), ErrorKind::NotFound, "{missing}");
    assert!(
        missing.to_string().contains("no such index [products]"),
        "{missing}"
    );
    let request = HttpRequest::get("/_count_me_out");
    let refused = client.send(request).await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Unauthenticated, "{refused}");
}

#[tokio::test]
async fn a_disguised_opensearch_that_tells_nothing_more_is_known_by_its_lucene() {
    let stand = Stand::start(|head, _| match head.starts_with("GET / ") {
        true => Reply::json(200, DISGUISED),
        false => Reply::json(403, "{}"),
    })
    .await;
    assert_eq!(stand.client().server().await.unwrap().version(), (2, 0, 0));
}

#[tokio::test]
async fn something_else_is_named() {
    let six = ELASTICSEARCH_8.replace("8.12.1", "6.8.23");
    for (answer, named) in [
        (
            "<html><title>Welcome to nginx!</title>",
            "Welcome to nginx!",
        ),
        (
            r#"{"version":{"number":"4.2.0"},"tagline":"Another search"}"#,
            "Another search",
        ),
        (&six, "Elasticsearch 6.8.23"),
        ("", "nothing"),
        ("OK", "`OK`"),
    ] {
        let answer = answer.to_owned();
        let stand = Stand::start(move |_, _| Reply::json(200, &answer)).await;
        let error = stand.client().server().await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Answer);
        assert!(error.message().contains(named), "{error}");
    }
}

/// <https://www.elastic.co/guide/en/elasticsearch/reference/8.15/modules-cross-cluster-search.html>, "Cross-cluster search
/// failures": a shard of one cluster failed.
const PARTIAL: &str = r#"{"took":2069,"timed_out":false,"num_reduce_phases":4,"_shards":{"total":28,"successful":27,"skipped":0,"failed":1,
    "failures":[{"shard":1,"index":"cluster_two:my-index-000001","node":"LMpUnAu0QEeCUMfg_56sAg","reason":{"type":"query_shard_exception",
    "reason":"failed to create query: [my-index-000001][1] exception message here","caused_by":{"type":"runtime_exception","reason":"x"}}}]},
    "_clusters":{"total":3,"successful":2,"skipped":0,"running":0,"partial":1,"failed":0,"details":{
    "(local)":{"status":"successful","indices":"my-index-000001","took":1753,"timed_out":false,"_shards":{"total":10,"successful":10,"skipped":0,"failed":0}},
    "cluster_two":{"status":"partial","indices":"my-index-000001","took":2039,"timed_out":false,"_shards":{"total":6,"successful":5,"skipped":0,"failed":1},
    "failures":[{"shard":1,"index":"cluster_two:my-index-000001","node":"LMpUnAu0QEeCUMfg_56sAg","reason":{"type":"query_shard_exception","reason":"failed"}}]}}},
    "hits":{"hits":[]}}"#;
/// The same page: a cluster that may be left out lost its connection.
const SKIPPED: &str = r#"{"took":3527,"timed_out":false,"terminated_early":false,"_shards":{"total":10,"successful":10,"skipped":0,"failed":0},
    "_clusters":{"total":2,"successful":1,"skipped":1,"running":0,"partial":0,"failed":0,"details":{
    "(local)":{"status":"successful","indices":"my-index-000001","took":1473,"timed_out":false},
    "cluster_one":{"status":"skipped","indices":"my-index-000001","timed_out":false,"failures":[{"shard":-1,"index":null,
    "reason":{"type":"node_disconnected_exception","reason":"[myhostname1][35.238.149.1:9300][indices:data/read/search] disconnected"}}]}}},
    "hits":{"hits":[]}}"#;

#[test]
fn what_a_page_lacks_is_named() {
    let seven = r#"{"timed_out":false,"_shards":{"total":2,"successful":2,"failed":0},"_clusters":{"total":3,"successful":2,"skipped":1},"hits":{"hits":[]}}"#;
    let late =
        r#"{"timed_out":true,"_shards":{"total":2,"successful":2,"failed":0},"hits":{"hits":[]}}"#;
    for (answer, words, retryable) in [
        (
            PARTIAL,
            &[
                "1 of 28 shards",
                "cluster_two:my-index-000001[1]",
                "failed to create query",
            ][..],
            false,
        ),
        (
            SKIPPED,
            &["`cluster_one` was left out", "node_disconnected_exception"],
            true,
        ),
        (seven, &["1 of 3 clusters"], true),
        (late, &["timeout"], true),
    ] {
        let page = Page::from_json(answer.as_bytes()).unwrap();
        let error = page.whole().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Partial);
        assert_eq!(error.is_retryable(), retryable, "{error}");
        for word in words {
            assert!(error.message().contains(word), "{word}: {error}");
        }
    }
    // OpenSearch 3.8 says so of aggregations whose answer it has beforehand: nothing is missing.
    let early = r#"{"timed_out":false,"terminated_early":true,"_shards":{"total":2,"successful":2,"failed":0},"hits":{"hits":[]}}"#;
    assert!(Page::from_json(early.as_bytes()).unwrap().whole().is_ok());
    // `hits.total` is an object since version 7, a number where that is asked for, and left out where nothing is counted.
    for (total, expected) in [
        (
            r#""total":{"value":10000,"relation":"gte"},"#,
            (Some(10_000), true),
        ),
        (r#""total":7,"#, (Some(7), false)),
        ("", (None, false)),
    ] {
        let answer = format!(r#"{{"_shards":{{"total":1}},"hits":{{{total}"hits":[]}}}}"#);
        let page = Page::from_json(answer.as_bytes()).unwrap().whole().unwrap();
        assert_eq!((page.total, page.total_is_lower_bound), expected);
    }
}

/// What the same search answers when all clusters do.
const WHOLE: &str = r#"{"took":5,"timed_out":false,"_shards":{"total":20,"successful":20,"skipped":0,"failed":0},
    "_clusters":{"total":2,"successful":2,"skipped":0},"hits":{"total":{"value":1,"relation":"eq"},"hits":[
    {"_index":"eu:logs","_id":"1","_source":{},"sort":[0,"eu:logs"]}]},"aggregations":{"highest":{"value":0.0},
    "indices":{"sum_other_doc_count":0,"buckets":[{"key":"eu:logs","doc_count":1,"highest":{"value":0.0}}]}}}"#;

/// A server without points in time whose searches answer so.
async fn searched(
    answer: impl Fn(usize) -> &'static str + Send + Sync + 'static,
) -> (Stand, clusterops_logs::Client) {
    let stand = Stand::start(move |head, before| match head.contains("/_field_caps") {
        true => Reply::json(
            200,
            r#"{"fields":{"host":{"keyword":{"aggregatable":true}}}}"#,
        ),
        false => Reply::json(200, answer(before)),
    })
    .await;
    let server = Server::new(Product::OpenSearch, (1, 3, 20)).unwrap();
    let client = stand.client().assume(server);
    (stand, client)
}

fn assert_left_out(error: &Error) {
    assert_eq!(error.kind(), ErrorKind::Partial, "{error}");
    let named = error.message().contains("`cluster_one` was left out");
    assert!(named && error.is_retryable(), "{error}");
}

#[tokio::test]
async fn a_cluster_that_was_left_out_is_told_whatever_was_asked() {
    let (_stand, client) = searched(|_| SKIPPED).await;
    let count = client
        .count(&indices("eu:logs-*"), &Query::match_all())
        .await;
    assert_left_out(&count.unwrap_err());
    let look = Look::new(&client, &indices("eu:logs-*"), Query::match_all());
    assert_left_out(&look.count().await.unwrap_err());
    assert_left_out(&look.histogram(10).await.unwrap_err());
    assert_left_out(&look.top("host", 10).await.unwrap_err());
    let excerpts = look.excerpts(&Context::default(), 10).await;
    assert_left_out(&excerpts.unwrap_err());
    let export =
        Export::new(&client, &indices("eu:logs-*"), Query::match_all()).patience(Duration::ZERO);
    assert_left_out(&export.start().await.unwrap_err());
    // At the start all were there.
    let (_stand, client) = searched(|before| if before == 0 { WHOLE } else { SKIPPED }).await;
    let export =
        Export::new(&client, &indices("eu:logs-*"), Query::match_all()).patience(Duration::ZERO);
    let mut pages = export.start().await.unwrap();
    assert_left_out(&pages.next().await.unwrap_err());
}

#[tokio::test]
async fn a_point_in_time_without_a_cluster_is_none() {
    // Elasticsearch told nothing of it until elastic/elasticsearch#149466, of which the second is.
    let silent = r#"{"id":"p","_shards":{"total":1,"successful":1,"skipped":0,"failed":0}}"#;
    let telling = r#"{"id":"p","_shards":{"total":1,"successful":1,"skipped":0,"failed":0},"_clusters":{"total":2,"successful":1,
        "skipped":1,"running":0,"partial":0,"failed":0,"details":{"(local)":{"status":"successful","indices":"local_test"},
        "cluster_one":{"status":"skipped","indices":"remote_test","failures":[{"shard":-1,"index":null,
        "reason":{"type":"node_disconnected_exception","reason":"disconnected"}}]}}}}"#;
    for opened in [silent, telling] {
        let stand = Stand::start(move |head, _| match head.split(' ').next() {
            Some("GET") => Reply::json(200, ELASTICSEARCH_8),
            Some("DELETE") => Reply::json(200, r#"{"succeeded":true,"num_freed":1}"#),
            _ if head.contains("/_pit") => Reply::json(200, opened),
            _ => Reply::json(200, SKIPPED),
        })
        .await;
        let opening = stand
            .client()
            .open_pit(&indices("eu:logs-*"), Duration::from_secs(60))
            .await;
        assert_left_out(&opening.unwrap_err());
        let seen = stand.seen();
        let closed = seen.last().is_some_and(|head| head.starts_with("DELETE"));
        assert!(closed, "{seen:?}");
    }
}

#[tokio::test]
async fn an_export_waits_for_a_cluster_that_is_left_out_for_a_while() {
    let (stand, client) = searched(|before| match before {
        0 | 2 => SKIPPED,
        _ => WHOLE,
    })
    .await;
    let export = Export::new(&client, &indices("eu:logs-*"), Query::match_all());
    let mut pages = export.start().await.unwrap();
    assert_eq!(pages.next().await.unwrap().unwrap().len(), 1);
    assert!(pages.next().await.unwrap().is_none());
    assert_eq!(stand.seen().len(), 4);
}

#[tokio::test]
async fn a_histogram_is_asked_for_once_by_the_name_that_the_server_knows() {
    let span =
        r#"{"hits":{"hits":[]},"aggregations":{"first":{"value":0.0},"last":{"value":5000.0}}}"#;
    let server = |product, version| Server::new(product, version).unwrap();
    for (server, name) in [
        (Some(server(Product::Elasticsearch, (7, 1, 1))), "interval"),
        (
            Some(server(Product::Elasticsearch, (7, 2, 0))),
            "fixed_interval",
        ),
        (
            Some(server(Product::OpenSearch, (1, 0, 0))),
            "fixed_interval",
        ),
        // Who may not ask what it is.
        (None, "fixed_interval"),
    ] {
        let stand = Stand::start(move |head, before| match before {
            0 => Reply::json(200, span),
            _ if head.starts_with("GET / ") => Reply::json(403, "{}"),
            _ => Reply::json(
                400,
                r#"{"error":{"type":"parsing_exception","reason":"no"}}"#,
            ),
        })
        .await;
        let client = match server {
            Some(server) => stand.client().assume(server),
            None => stand.client(),
        };
        let look = Look::new(&client, &indices("logs"), Query::match_all());
        let error = look.histogram(10).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Rejected, "{error}");
        let asked = stand.asked();
        assert_eq!(asked.len(), 2, "{asked:?}");
        let histogram = &asked[1]["aggs"]["times"]["date_histogram"];
        assert_eq!(histogram[name], "1000ms", "{histogram}");
    }
}
