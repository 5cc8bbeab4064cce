//! Indices that are asked for by their names, and are not there or not shown.

use clusterops_core::http::HttpRequest;
use secrecy::SecretString;
use serde_json::json;

use super::{Notice, Settings};
use crate::{Error, ErrorKind, Result};

/// Asks for the indices by name as if all had to be there, which no other request does: servers then say which are not, and
/// which there is no right to.
pub(super) async fn unavailable(settings: &Settings) -> Result<Vec<Notice>> {
    let mut notices = Vec::new();
    let names = settings.indices.names();
    let is_one = names.len() == 1 && names[0] == settings.indices.as_str();
    let mut lists = vec![names];
    while let Some(names) = lists.pop() {
        if names.is_empty() {
            continue;
        }
        let body = json!({"size": 0, "query": {"match_none": {}}, "track_total_hits": false});
        let request = HttpRequest::post("/")
            .segment(&names.join(","))
            .segment("_search")
            .json(&SecretString::from(body.to_string()))
            .repeatable(true);
        match settings.client.send(request).await {
            Err(error) if error.kind() == ErrorKind::Connection => return Err(error),
            Err(error) if is_about_names(&error) => match names[..] {
                // That nothing matches is told besides.
                [_] if is_one && error.kind() == ErrorKind::NotFound => {}
                [name] => notices.push(Notice::Unavailable {
                    index: name.to_owned(),
                    why: error.to_string(),
                }),
                _ => lists.extend(names.into_iter().rev().map(|name| vec![name])),
            },
            // Of the rest, the searches for documents tell.
            _ => {}
        }
    }
    Ok(notices)
}

fn is_about_names(error: &Error) -> bool {
    matches!(error.kind(), ErrorKind::Denied | ErrorKind::NotFound)
        || error.server_type() == Some("index_closed_exception")
}
