//! The reasons of servers: what they call it, what they say, and what follows from that.

use serde::Deserialize;
use serde_json::Value;

use crate::ErrorKind;

/// The longest text of a server that is repeated.
const LONGEST: usize = 300;

/// Why something failed, in the server's words.
///
/// ```
/// use clusterops_logs::Reason;
///
/// let reason: Reason = serde_json::from_str(r#"{"type":"parsing_exception","reason":"unknown query [mtch]","line":1,"col":10}"#)?;
/// assert_eq!(reason.name.as_deref(), Some("parsing_exception"));
/// assert_eq!(reason.column, Some(10));
/// # Ok::<_, serde_json::Error>(())
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
#[non_exhaustive]
pub struct Reason {
    /// The server's name for it.
    #[serde(rename = "type")]
    pub name: Option<String>,
    /// A sentence.
    pub reason: Option<String>,
    /// The line of what was sent that it is about, counted from 1.
    pub line: Option<usize>,
    /// The column in that line, counted from 1.
    #[serde(rename = "col")]
    pub column: Option<usize>,
    /// Whether it passes, where a limit of memory is the reason: `TRANSIENT` or `PERMANENT`.
    pub durability: Option<String>,
    /// What caused it.
    pub caused_by: Option<Box<Reason>>,
}

impl Reason {
    /// What a server gives as a reason: an object, or a sentence alone.
    pub(crate) fn of(value: Value) -> Self {
        match value {
            Value::String(text) => Self::text(text),
            value => serde_json::from_value(value).unwrap_or_default(),
        }
    }

    pub(crate) fn text(text: String) -> Self {
        Self {
            reason: Some(text),
            ..Self::default()
        }
    }

    pub(crate) fn is(&self, name: &str) -> bool {
        self.name.as_deref() == Some(name)
    }

    /// Whether it says only that something below it failed.
    pub(crate) fn is_general(&self) -> bool {
        matches!(
            self.name.as_deref(),
            Some("search_phase_execution_exception" | "exception" | "remote_transport_exception")
        )
    }

    /// This and what caused it, down to the bottom.
    pub(crate) fn chain(&self) -> impl Iterator<Item = &Self> + Clone {
        std::iter::successors(Some(self), |reason| reason.caused_by.as_deref())
    }

    /// The first of the chain that says something of its own.
    pub(crate) fn root(&self) -> &Self {
        let mut chain = self.chain();
        let own = |reason: &&Self| match reason.caused_by {
            Some(_) => reason.name.is_some() && !reason.is_general(),
            None => true,
        };
        chain.find(own).unwrap_or(self)
    }

    /// Its sentence, of which the first line: parsers go on with all they expected.
    pub(crate) fn shown(&self) -> String {
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
