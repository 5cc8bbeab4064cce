//! What KQL refuses with a column is what servers refuse, and what it lets through they accept.

use std::io::Write as _;

use clusterops_logs::ErrorKind;
use clusterops_logs::http::HttpRequest;
use clusterops_logs::kql::{Fields, Kql};
use clusterops_logs::{Query, Search};
use serde_json::{Value, json};

use crate::{ask, support};

/// Fields of all kinds that values are looked for in, and texts that are values for some of them.
///
/// Without `index` but with `doc_values` it depends on the version whether a field is searched: those are not here.
fn mappings() -> Value {
    let kinds = [
        "byte",
        "short",
        "integer",
        "long",
        "float",
        "double",
        "half_float",
        "boolean",
        "date",
        "date_nanos",
        "ip",
        "keyword",
        "text",
        "integer_range",
        "long_range",
        "float_range",
        "double_range",
        "date_range",
        "ip_range",
        "geo_point",
        "binary",
        "rank_feature",
        "completion",
        "search_as_you_type",
        "percolator",
    ];
    let mut fields: serde_json::Map<String, Value> = kinds
        .into_iter()
        .map(|kind| (format!("f_{kind}"), json!({"type": kind})))
        .collect();
    fields.insert(
        "unindexed_text".into(),
        json!({"type": "text", "index": false}),
    );
    for kind in ["keyword", "long", "ip"] {
        let field = json!({"type": kind, "index": false, "doc_values": false});
        fields.insert(format!("unindexed_{kind}"), field);
    }
    json!({"properties": fields})
}

const VALUES: &[&str] = &[
    "5",
    "-5.5",
    "1e3",
    "300",
    "3000000000",
    "1e300",
    "abc",
    "true",
    "yes",
    "2024-05-01",
    "now",
    "now-1d/d",
    "now+1x",
    "now/2d",
    "nowhere",
    "2024-05-01||+1M/d",
    "2024-05-01||+1x",
    "10.0.0.1",
    "10.0.0.0/8",
    "10.0.0.0/33",
    "2001:db8::1",
    "1,2",
];

/// Fields of servers' own that all versions have.
const OWN: &[(&str, &[&str])] = &[
    ("_id", &["a"]),
    ("_index", &["a"]),
    ("_source", &["a"]),
    ("_version", &["1"]),
    ("_seq_no", &["1", "abc"]),
    ("_routing", &["a"]),
];

#[tokio::test]
async fn what_kql_refuses_is_what_servers_refuse() {
    let mut wrong = Vec::new();
    for cluster in support::clusters("what_kql_refuses_is_what_servers_refuse") {
        let index = cluster
            .index(
                "values",
                json!({"settings": {"number_of_shards": 1, "number_of_replicas": 0}, "mappings": mappings()}),
            )
            .await;
        let request = HttpRequest::get("/")
            .segment(&index.name)
            .segment("_field_caps")
            .query("fields", "*");
        let fields: Fields =
            serde_json::from_value(cluster.call(request, Value::Null).await).unwrap();
        let own = OWN
            .iter()
            .flat_map(|(name, values)| values.iter().map(|value| (*name, *value)));
        let names: Vec<String> = mappings()["properties"]
            .as_object()
            .unwrap()
            .keys()
            .cloned()
            .collect();
        let known = names
            .iter()
            .flat_map(|name| VALUES.iter().map(|value| (&**name, *value)));
        let aware = Kql::new().fields(fields);
        let (mut refused, mut accepted) = (0, 0);
        for (name, value) in known.chain(own) {
            let words = clusterops_logs::kql::escape(value);
            let mut texts = vec![
                format!("{name}: {words}"),
                format!("{name} >= {words}"),
                format!("{name}: *"),
            ];
            if value == "abc" || value == "a" {
                texts.push(format!("{name}: a*"));
            }
            for text in texts {
                let (query, is_refused) = match aware.query(&text) {
                    Ok(query) => (query, false),
                    Err(error) => {
                        assert_eq!(error.kind(), ErrorKind::Input, "{text}: {error}");
                        assert!(error.column().is_some(), "{text}: {error}");
                        // What is sent where no field is known.
                        (unaware(&text, name), true)
                    }
                };
                let body = Search::new(query).size(0).to_json().unwrap();
                let answer = ask(&index, "_search", &body, true).await;
                match (answer, is_refused) {
                    (Err(_), true) => refused += 1,
                    (Ok(_), false) => accepted += 1,
                    (Ok(_), true) => wrong.push(format!("{}: `{text}` is accepted", cluster.name)),
                    // Which texts are dates is for the field's format to say.
                    (Err(error), false) if is_of_dates(&error) => {}
                    (Err(error), false) => {
                        wrong.push(format!("{}: `{text}` is refused: {error}", cluster.name));
                    }
                }
            }
        }
        let line = format!(
            "values of KQL {}: {refused} refused by both, {accepted} accepted by both\n",
            cluster.name
        );
        // Past the test runner's capture, which hides what passing tests print.
        let _ = std::io::stderr().write_all(line.as_bytes());
        assert!(refused > 300 && accepted > 300, "{line}");
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

fn is_of_dates(error: &str) -> bool {
    error.contains("failed to parse date field") || error.contains("is before the epoch")
}

/// The same without knowing that no server takes it.
fn unaware(text: &str, name: &str) -> Query {
    let other = text.replacen(name, "other", 1);
    let query = Kql::new().query(&other);
    let json = query.unwrap().to_json().unwrap().to_string();
    let json = json.replace("\"other\"", &format!("\"{name}\""));
    Query::raw(serde_json::from_str(&json).unwrap())
}
