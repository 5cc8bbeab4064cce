//! What a server says in an answer that is no success.

use std::fmt;

use clusterops_core::http::{HttpNodes, HttpResponse};
use serde::Deserialize;
use serde_json::Value;

use crate::{Error, ErrorKind};

/// The longest text of a server that is repeated.
const LONGEST: usize = 300;

/// The error that an answer is, whose status is none of success.
pub(super) fn of_answer(nodes: &HttpNodes, answer: HttpResponse) -> Error {
    // Servers name both the same: who you are, and what you may do.
    let is_nobody = answer.status() == 401;
    let error = told(nodes, answer);
    match is_nobody {
        true => error.of_kind(ErrorKind::Unauthenticated),
        false => error,
    }
}

fn told(nodes: &HttpNodes, answer: HttpResponse) -> Error {
    let (status, request) = (answer.status(), answer.request().to_owned());
    let told = Told::read(answer.body());
    let by_status = match answer.into_success() {
        Err(error) => Error::from(error),
        Ok(_) => Error::new(ErrorKind::Answer, format!("{request}: no error")),
    };
    match told {
        None => by_status,
        Some(told) => {
            let (kind, retryable) = told.kind(by_status.kind(), status);
            let (reason, causes) = told.sentence();
            let name = told.decisive().map_or_else(String::new, ToOwned::to_owned);
            let name_shown = nodes.shown(&name).into_owned();
            let colon = if name.is_empty() { "" } else { ": " };
            let message = format!(
                "{request}: the answer is {status}: {name_shown}{colon}{}",
                nodes.shown(&reason)
            );
            let mut error = Error::new(kind, message).of_server_type(name_shown);
            if retryable {
                error = error.retryable();
            }
            if let (Some(line), Some(column)) = told.place() {
                error = error.on_line(line).at(column);
            }
            let causes = causes.iter().map(|text| nodes.shown(text).into_owned());
            match Cause::chain(causes) {
                Some(cause) => error.caused_by(cause),
                None => error,
            }
        }
    }
}

/// The kind of an error that a server names so, and whether waiting can help; by its status where the name says nothing.
pub(crate) fn kind_of(name: &str) -> Option<(ErrorKind, bool)> {
    let name = name.strip_suffix("_exception").unwrap_or(name);
    Some(match name {
        "index_not_found" | "resource_not_found" | "aliases_not_found" | "document_missing" => {
            (ErrorKind::NotFound, false)
        }
        "search_context_missing" => (ErrorKind::Expired, false),
        "security"
        | "authentication"
        | "authentication_processing"
        | "unauthorized"
        | "open_search_security"
        | "opensearch_security" => (ErrorKind::Denied, false),
        "circuit_breaking"
        | "rejected_execution"
        | "es_rejected_execution"
        | "opensearch_rejected_execution"
        | "open_search_rejected_execution"
        | "master_not_discovered"
        | "cluster_manager_not_discovered"
        | "no_shard_available_action"
        | "unavailable_shards"
        | "node_not_connected"
        | "node_disconnected"
        | "node_closed"
        | "connect_transport"
        | "no_such_remote_cluster_connection"
        | "not_master"
        | "not_cluster_manager"
        | "process_cluster_event_timeout"
        | "receive_timeout_transport"
        | "index_shard_not_started"
        | "illegal_index_shard_state"
        | "index_shard_recovering"
        | "shard_not_found"
        | "alias_not_ready" => (ErrorKind::Unavailable, true),
        "search_timeout" | "timeout" | "elasticsearch_timeout" | "opensearch_timeout" => {
            (ErrorKind::Timeout, true)
        }
        "task_cancelled" => (ErrorKind::Unavailable, true),
        "parsing"
        | "parse"
        | "x_content_parse"
        | "query_shard"
        | "illegal_argument"
        | "mapper_parsing"
        | "document_parsing"
        | "json_parse"
        | "json_e_o_f"
        | "number_format"
        | "invalid_index_name"
        | "index_closed"
        | "version_conflict_engine"
        | "script"
        | "action_request_validation"
        | "resource_already_exists"
        | "too_many_clauses"
        | "max_buckets"
        | "too_many_buckets"
        | "strict_dynamic_mapping"
        | "invalid_alias_name"
        | "not_x_content"
        | "no_such_remote_cluster"
        | "named_object_not_found"
        | "input_coercion" => (ErrorKind::Rejected, false),
        _ => return None,
    })
}

/// What the body of an error tells; the forms are those of both products, of their gateways, and of the security plugins.
#[derive(Debug)]
struct Told {
    top: Reason,
    roots: Vec<Reason>,
    shards: Vec<Reason>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
struct Reason {
    #[serde(rename = "type")]
    name: Option<String>,
    reason: Option<String>,
    line: Option<usize>,
    col: Option<usize>,
    durability: Option<String>,
    caused_by: Option<Box<Reason>>,
}

impl Told {
    fn read(body: &[u8]) -> Option<Self> {
        let mut body: Value = serde_json::from_slice(body).ok()?;
        let mut error = match body.get_mut("error") {
            Some(error) => error.take(),
            None => Value::Null,
        };
        let list = |error: &mut Value, name: &str| match error.get_mut(name).map(Value::take) {
            Some(Value::Array(list)) => list,
            _ => Vec::new(),
        };
        let roots = list(&mut error, "root_cause");
        let mut shards = list(&mut error, "failed_shards");
        let top = match error {
            Value::String(text) => Reason::text(text),
            Value::Object(_) => Reason::of(error),
            _ => {
                let text = ["message", "Message", "error_description"];
                let text = text.iter().find_map(|name| body.get(name)?.as_str());
                Reason::text(text?.to_owned())
            }
        };
        Some(Self {
            top,
            roots: roots.into_iter().map(Reason::of).collect(),
            shards: shards
                .iter_mut()
                .filter_map(|shard| Some(Reason::of(shard.get_mut("reason")?.take())))
                .collect(),
        })
    }

    /// What went wrong below a general failure of a phase, or the top itself.
    fn main(&self) -> &Reason {
        let general = self.top.name.as_deref().is_some_and(|name| {
            matches!(
                name,
                "search_phase_execution_exception" | "exception" | "remote_transport_exception"
            )
        });
        let below = self.shards.first().or(self.roots.first());
        match below {
            Some(below) if general => below,
            _ if general => self.top.caused_by.as_deref().unwrap_or(&self.top),
            _ => &self.top,
        }
    }

    fn all(&self) -> impl Iterator<Item = &Reason> {
        let firsts = std::iter::once(self.main())
            .chain(&self.shards)
            .chain(&self.roots)
            .chain(std::iter::once(&self.top));
        firsts.flat_map(Reason::chain)
    }

    /// The name that the kind follows.
    fn decisive(&self) -> Option<&str> {
        let mut names = self.all().filter_map(|reason| reason.name.as_deref());
        names
            .find(|name| kind_of(name).is_some())
            .or(self.main().name.as_deref())
    }

    fn kind(&self, by_status: ErrorKind, status: u16) -> (ErrorKind, bool) {
        let by_status = (by_status, by_status == ErrorKind::Unavailable);
        if self
            .all()
            .any(|reason| reason.is("cluster_block_exception"))
        {
            // 403 is no question of rights here: an index does not take what was asked, or the cluster is not up.
            return match status {
                403 => (ErrorKind::Rejected, false),
                _ => (ErrorKind::Unavailable, true),
            };
        }
        let (kind, retryable) = match self.decisive().and_then(kind_of) {
            Some((ErrorKind::Rejected, _)) if !(400..500).contains(&status) => by_status,
            Some(known) => known,
            None => by_status,
        };
        let permanent = |reason: &Reason| reason.durability.as_deref() == Some("PERMANENT");
        (kind, retryable && !self.all().any(permanent))
    }

    fn place(&self) -> (Option<usize>, Option<usize>) {
        let placed = self.all().find(|reason| reason.line.is_some());
        placed.map_or((None, None), |reason| (reason.line, reason.col))
    }

    /// The sentence, and what caused it, down to the bottom.
    fn sentence(&self) -> (String, Vec<String>) {
        let decisive = self.decisive();
        let mut chain = self.main().chain();
        let main = chain
            .clone()
            .find(|reason| reason.name.as_deref() == decisive)
            .unwrap_or(self.main());
        let text = main.shown();
        let mut causes: Vec<String> = Vec::new();
        for reason in chain
            .by_ref()
            .skip_while(|reason| !std::ptr::eq(*reason, main))
            .skip(1)
        {
            let cause = match &reason.name {
                Some(name) => format!("{name}: {}", reason.shown()),
                None => reason.shown(),
            };
            if causes.len() < 5 && !causes.contains(&cause) {
                causes.push(cause);
            }
        }
        (text, causes)
    }
}

impl Reason {
    fn of(value: Value) -> Self {
        let text = value.as_str().map(ToOwned::to_owned);
        match text {
            Some(text) => Self::text(text),
            None => serde_json::from_value(value).unwrap_or_default(),
        }
    }

    fn text(text: String) -> Self {
        Self {
            reason: Some(text),
            ..Self::default()
        }
    }

    fn is(&self, name: &str) -> bool {
        self.name.as_deref() == Some(name)
    }

    fn chain(&self) -> impl Iterator<Item = &Self> + Clone {
        std::iter::successors(Some(self), |reason| reason.caused_by.as_deref())
    }

    /// The first line: parsers go on with all they expected.
    fn shown(&self) -> String {
        shortened(self.reason.as_deref().unwrap_or("no reason is given"))
    }
}

/// The first line of a text, and of that not too much.
pub(crate) fn shortened(text: &str) -> String {
    let line = text.trim().lines().next().unwrap_or_default().trim_end();
    match line.char_indices().nth(LONGEST) {
        Some((end, _)) => format!("{}...", &line[..end]),
        None => line.to_owned(),
    }
}

/// What a server gives as the cause of its error.
#[derive(Debug)]
struct Cause {
    text: String,
    source: Option<Box<Cause>>,
}

impl Cause {
    fn chain(texts: impl DoubleEndedIterator<Item = String>) -> Option<Self> {
        texts.rev().fold(None, |source, text| {
            let text = clusterops_core::Printable(&text).to_string();
            let source = source.map(Box::new);
            Some(Self { text, source })
        })
    }
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl std::error::Error for Cause {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.source.as_deref().map(|cause| cause as _)
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test that fails says where")]
mod tests {
    use super::*;

    fn read(body: &str) -> Told {
        Told::read(body.as_bytes()).unwrap()
    }

    #[test]
    fn the_decisive_name_gives_the_kind() {
        // As OpenSearch 2.19.1 and Elasticsearch 7.10.2 answered.
        let lost = r#"{"error":{"root_cause":[{"type":"search_context_missing_exception","reason":"No search context found for id [4]"}],
            "type":"search_phase_execution_exception","reason":"all shards failed","phase":"query","grouped":true,
            "failed_shards":[{"shard":0,"index":"a","reason":{"type":"search_context_missing_exception","reason":"No search context found for id [4]"}}]},"status":404}"#;
        let breaker = r#"{"error":{"root_cause":[],"type":"search_phase_execution_exception","reason":"","phase":"fetch","failed_shards":[],
            "caused_by":{"type":"circuit_breaking_exception","reason":"[parent] Data too large","durability":"TRANSIENT"}},"status":429}"#;
        let permanent = breaker.replace("TRANSIENT", "PERMANENT");
        for (body, status, expected) in [
            (lost, 404, (ErrorKind::Expired, false)),
            (breaker, 429, (ErrorKind::Unavailable, true)),
            (&permanent, 429, (ErrorKind::Unavailable, false)),
            (
                r#"{"error":{"type":"index_not_found_exception","reason":"no such index [a]"},"status":404}"#,
                404,
                (ErrorKind::NotFound, false),
            ),
            (
                r#"{"error":{"type":"cluster_block_exception","reason":"index [a] blocked by: [FORBIDDEN/8/index write (api)];"},"status":403}"#,
                403,
                (ErrorKind::Rejected, false),
            ),
            (
                r#"{"error":{"type":"security_exception","reason":"no permissions for [indices:data/read/search]"},"status":403}"#,
                403,
                (ErrorKind::Denied, false),
            ),
            (
                r#"{"error":"strange","status":500}"#,
                500,
                (ErrorKind::Server, false),
            ),
            (
                r#"{"message":"User: anonymous is not authorized"}"#,
                403,
                (ErrorKind::Denied, false),
            ),
        ] {
            let by_status = match status {
                401 | 403 => ErrorKind::Denied,
                404 => ErrorKind::NotFound,
                429 => ErrorKind::Unavailable,
                500 => ErrorKind::Server,
                _ => ErrorKind::Rejected,
            };
            assert_eq!(read(body).kind(by_status, status), expected, "{body}");
        }
    }

    #[test]
    fn a_failed_phase_is_told_by_what_failed_in_it() {
        let told = read(
            r#"{"error":{"root_cause":[],"type":"search_phase_execution_exception","reason":"all shards failed",
            "failed_shards":[{"shard":0,"reason":{"type":"query_shard_exception","reason":"Failed to parse query [a:(b]",
            "caused_by":{"type":"parse_exception","reason":"Encountered \"<EOF>\" at line 1, column 4.\nWas expecting one of:\n <AND>"}}}]},"status":400}"#,
        );
        let (text, causes) = told.sentence();
        assert_eq!(text, "Failed to parse query [a:(b]");
        assert_eq!(
            causes,
            ["parse_exception: Encountered \"<EOF>\" at line 1, column 4."]
        );
    }

    proptest::proptest! {
        #[test]
        fn any_body_is_read(body in proptest::collection::vec(proptest::num::u8::ANY, 0..200), json in "\\{\"error\":(\\{\"type\":\"[a-z_]*\",\"(line|caused_by|root_cause|failed_shards)\":(1|\"\"|\\[\\{\\}\\]|\\{\\}|null)\\}|\".*\"|\\[\\])\\}") {
            for body in [&body, json.as_bytes()] {
                if let Some(told) = Told::read(body) {
                    let _ = (told.kind(ErrorKind::Server, 500), told.sentence(), told.place());
                }
            }
        }
    }
}
