//! Answers by which Marathon refuses something, in our words and, where they are safe to show, in its own.

use std::fmt;

use serde_json::Value;

use super::answers::is_deployment_id;
use crate::http::{HttpResponse, Withhold};
use crate::text::shortened;
use crate::{Error, ErrorKind};

/// How many of Marathon's objections are shown.
const SHOWN: usize = 5;

/// The deployments that keep an app from being changed: the cause of an error of the kind
/// [`Locked`](ErrorKind::Locked).
///
/// [`PutOptions::force`](super::PutOptions::force) ends them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Locked {
    deployments: Vec<String>,
}

impl Locked {
    /// The deployments behind an error, where it is one of these.
    pub fn of(error: &Error) -> Option<&Self> {
        std::error::Error::source(error)?.downcast_ref()
    }

    /// Their ids; none when Marathon did not say.
    pub fn deployments(&self) -> &[String] {
        &self.deployments
    }
}

impl fmt::Display for Locked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("another deployment changes the app")
    }
}

impl std::error::Error for Locked {}

/// The error of an answer that is none of success; `shown` says what may be shown of Marathon's words.
pub(super) fn error_of(answer: &HttpResponse, shown: &Shown<'_>) -> Error {
    let body: Option<Value> = serde_json::from_slice(answer.body()).ok();
    let said = match &body {
        Some(body) => said(body, shown),
        None => said_by_others(answer.body(), shown),
    };
    let body = body.unwrap_or_default();
    let (kind, advice) = match answer.status() {
        401 => (
            ErrorKind::Denied,
            "; give a user and password, or a token, that it accepts",
        ),
        403 => (ErrorKind::Denied, "; this user may not do that"),
        404 => (ErrorKind::NotFound, ""),
        409 => return conflict(answer, &body, said, shown),
        429 | 502 | 503 | 504 => (ErrorKind::Unavailable, "; try again later"),
        400..500 => (ErrorKind::Rejected, ""),
        500.. => (ErrorKind::Server, "; Marathon's log says more"),
        _ => (ErrorKind::Answer, ", which was not asked for"),
    };
    answer.refused(kind, format!("{said}{advice}"))
}

/// Whether a 404 is Marathon's own, as its error bodies have a `message`; not that of something else at this URL.
pub(super) fn is_marathons(answer: &HttpResponse) -> bool {
    let body: Value = serde_json::from_slice(answer.body()).unwrap_or_default();
    body.get("message").is_some_and(Value::is_string)
}

/// What may be shown of Marathon's words.
pub(super) struct Shown<'a> {
    /// What was posted.
    pub(super) withhold: Option<&'a Withhold>,
    /// Whether a text repeats our credentials.
    pub(super) repeats_credentials: &'a dyn Fn(&str) -> bool,
}

impl Shown<'_> {
    /// A text for an error or a report; it, or what stands for it.
    pub(super) fn text(&self, text: &str) -> String {
        let first = |characters| match text.char_indices().nth(characters) {
            Some((end, _)) => &text[..end],
            None => text,
        };
        // More than is shown, where a secret may be cut off; not all, which can be long.
        if self.repeats(first(1000)) {
            return Withhold::MARK.to_owned();
        }
        match first(300) {
            shown if shown.len() < text.len() => format!("{shown}..."),
            shown => shown.to_owned(),
        }
    }

    fn repeats(&self, text: &str) -> bool {
        self.withhold.is_some_and(|withhold| withhold.repeats(text))
            || (self.repeats_credentials)(text)
    }
}

/// 409: the app is locked, or something else is in the way.
fn conflict(answer: &HttpResponse, body: &Value, said: String, shown: &Shown<'_>) -> Error {
    let Some(listed) = body.get("deployments").and_then(Value::as_array) else {
        return answer.refused(ErrorKind::Rejected, said);
    };
    let deployments: Vec<String> = listed
        .iter()
        .filter_map(|deployment| deployment.get("id")?.as_str())
        .filter(|id| is_deployment_id(id) && !shown.repeats(id))
        .take(100)
        .map(str::to_owned)
        .collect();
    let by = match deployments.first() {
        Some(first) if deployments.len() == 1 => format!("deployment {first}"),
        Some(first) => format!("deployment {first} and {} more", deployments.len() - 1),
        None => "a deployment".to_owned(),
    };
    let advice = format!("; {by} changes the app: wait for it, or end it by `PutOptions::force`");
    answer
        .refused(ErrorKind::Locked, advice)
        .retryable()
        .caused_by(Locked { deployments })
}

const NOT_MARATHONS: &str = "; its body is none of Marathon's error texts";

/// The words of something else that answers, as a proxy: the first line of a text, the title of a page for people.
fn said_by_others(body: &[u8], shown: &Shown<'_>) -> String {
    let start = String::from_utf8_lossy(&body[..body.len().min(4096)]);
    let start = start.trim();
    let words = match start.chars().next() {
        Some('<') => title(start),
        // It was to be JSON, and may be anything.
        Some('{' | '[' | '"') => None,
        _ => start.lines().next(),
    };
    let is_text = |words: &&str| !words.is_empty() && !words.contains(char::REPLACEMENT_CHARACTER);
    match words.map(str::trim).filter(is_text) {
        Some(words) => format!("{NOT_MARATHONS}, but says: {}", shown.text(words)),
        None => NOT_MARATHONS.to_owned(),
    }
}

/// The title of a page of HTML.
fn title(page: &str) -> Option<&str> {
    let lower = page.to_ascii_lowercase();
    let element = lower.find("<title")?;
    let start = element + lower[element..].find('>')? + 1;
    let end = start + lower[start..].find('<')?;
    Some(&page[start..end])
}

/// The words of an error body: `message`, and `details` as a text or as a list of paths with `errors`.
fn said(body: &Value, shown: &Shown<'_>) -> String {
    let mut said = match body.get("message").and_then(Value::as_str) {
        Some(message) => format!(": {}", shown.text(message)),
        None => NOT_MARATHONS.to_owned(),
    };
    let details = match body.get("details") {
        Some(Value::String(text)) => {
            said.push_str(&format!(" ({})", shown.text(text)));
            return said;
        }
        Some(Value::Array(details)) => details,
        _ => return said,
    };
    for detail in details.iter().take(SHOWN) {
        let path = detail
            .get("path")
            .and_then(Value::as_str)
            .unwrap_or_default();
        let errors: Vec<String> = detail
            .get("errors")
            .and_then(Value::as_array)
            .into_iter()
            .flatten()
            .filter_map(Value::as_str)
            .take(SHOWN)
            .map(|text| shown.text(text))
            .collect();
        let path = match path.is_empty() {
            true => "the definition".to_owned(),
            false => shown.text(&shortened(path)),
        };
        said.push_str(&format!("; {path}: {}", errors.join(", ")));
    }
    if details.len() > SHOWN {
        said.push_str(&format!("; and {} more", details.len() - SHOWN));
    }
    said
}
