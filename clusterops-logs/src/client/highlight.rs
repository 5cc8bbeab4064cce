//! Texts that are too long for a server to look for what matched in them: they come without marks, and nothing fails.

use std::collections::BTreeMap;

use clusterops_core::http::{HttpRequest, HttpResponse};
use secrecy::ExposeSecret;
use serde_json::value::RawValue;
use serde_json::{Value, json};

use super::{Client, Server, WithJson, json_of};
use crate::render::MATCH_START;

/// How many characters of a text are looked at: servers refuse more than 1,000,000 unless an index says otherwise.
const MOST: u32 = 999_999;
/// The setting that a refusal names.
const SETTING: &str = "index.highlight.max_analyzed_offset";

impl Client {
    /// The same search with less to highlight, where [`highlighting`](crate::render::highlighting) is what the server
    /// refused for a text that is too long: first the beginnings of texts, if it can do that, and then nothing.
    pub(super) async fn with_less_to_highlight(
        &self,
        request: &HttpRequest,
        answer: &HttpResponse,
    ) -> Option<HttpRequest> {
        if answer.status() != 400 || !String::from_utf8_lossy(answer.body()).contains(SETTING) {
            return None;
        }
        let body = request.to_send()?;
        // All but the one member stays as it was written.
        let mut body: BTreeMap<String, Box<RawValue>> =
            serde_json::from_slice(body.expose_secret()).ok()?;
        let highlight = serde_json::from_str(body.get("highlight")?.get()).ok()?;
        let server = self.server().await.ok();
        match lessened(highlight, server.and_then(Server::highlight_limit))? {
            Value::Null => body.remove("highlight"),
            less => body.insert(
                "highlight".into(),
                serde_json::value::to_raw_value(&less).ok()?,
            ),
        };
        Some(request.clone().with_json(json_of(&body).ok()?))
    }
}

/// What to ask for next, `null` for nothing; no answer for what is not ours.
fn lessened(mut highlight: Value, limit: Option<&str>) -> Option<Value> {
    if highlight["pre_tags"] != json!([MATCH_START]) {
        return None;
    }
    match limit {
        Some(limit) if highlight[limit].is_null() => {
            highlight[limit] = json!(MOST);
            Some(highlight)
        }
        _ => Some(Value::Null),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::render::highlighting;

    #[test]
    fn ours_is_lessened_step_by_step_and_others_are_left_alone() {
        let limit = Some("max_analyzer_offset");
        let first = lessened(highlighting(), limit).unwrap_or_default();
        assert_eq!(first["max_analyzer_offset"], MOST);
        assert_eq!(first["fields"], highlighting()["fields"]);
        assert_eq!(lessened(first, limit), Some(Value::Null));
        assert_eq!(lessened(highlighting(), None), Some(Value::Null));
        for other in [json!({"fields": {"message": {}}}), json!(7), Value::Null] {
            assert_eq!(lessened(other, limit), None);
        }
    }
}
