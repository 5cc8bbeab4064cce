//! What a server says in an answer that is no success.

use std::fmt;

use clusterops_core::http::{HttpNodes, HttpResponse};
use serde_json::Value;

use crate::reason::kind_of;
use crate::{Error, ErrorKind, Reason};

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
            let name = told.decisive().map(|name| nodes.shown(name).into_owned());
            let named = name
                .as_ref()
                .map_or_else(String::new, |name| format!("{name}: "));
            let message = format!(
                "{request}: the answer is {status}: {named}{}",
                nodes.shown(&reason)
            );
            let mut error = Error::new(kind, message);
            if let Some(name) = name {
                error = error.of_server_type(name);
            }
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

/// What the body of an error tells; the forms are those of both products, of their gateways, and of the security plugins.
#[derive(Debug)]
struct Told {
    top: Reason,
    roots: Vec<Reason>,
    shards: Vec<Reason>,
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
        let below = self.shards.first().or(self.roots.first());
        match below {
            Some(below) if self.top.is_general() => below,
            _ => self.top.root(),
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
        placed.map_or((None, None), |reason| (reason.line, reason.column))
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
