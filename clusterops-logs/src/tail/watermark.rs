//! Rounds by time, where there are no checkpoints to see.

use std::collections::BTreeMap;

use clusterops_core::http::HttpRequest;
use jiff::Timestamp;
use secrecy::SecretString;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{Document, Found, Notice, Settings, Since};
use crate::digest::fnv1a;
use crate::search::{Hit, Page};
use crate::{Error, ErrorKind, Result};

/// How far documents have been read in the order of their times.
///
/// Each round asks for everything from the watermark minus the overlap on, and drops what it has seen. The watermark
/// follows the times that come, up to now: a time in the future does not move it past what will be written until then.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Watermark {
    /// In milliseconds since 1970.
    at: Option<i64>,
    /// What lies above the watermark minus the overlap and has been handed over: times, and fingerprints of documents.
    seen: BTreeMap<i64, Vec<u64>>,
    /// Where the round is: the last time, and the last number at that time.
    #[serde(skip)]
    cursor: Option<(i64, u64)>,
    /// How many documents the next page has; 0 is as usual.
    #[serde(skip)]
    size: u32,
    /// Whether what is older than the tail is being looked at, so that what comes later with an older time is known as
    /// new.
    #[serde(default)]
    is_first: bool,
    /// Whether it was told that there is nothing to search.
    #[serde(skip)]
    nothing_told: bool,
}

/// How many documents a page has, and the most that a server gives.
const PAGE: u32 = 1_000;
const MOST: u32 = 10_000;

impl Watermark {
    /// One that has looked at nothing.
    pub(super) fn new() -> Self {
        Self {
            is_first: true,
            ..Self::default()
        }
    }

    /// One page. Nothing is moved before the last wait.
    pub(super) async fn round(
        &mut self,
        settings: &Settings,
        notices: &mut Vec<Notice>,
    ) -> Result<Found> {
        let overlap = overlap(settings);
        let mut size = self.size();
        let page = loop {
            match self.search(settings, size, overlap).await {
                // It may have been too long.
                Err(error) if error.kind() == ErrorKind::Answer && size > 2 => {
                    size = (size / 8).max(2)
                }
                page => break page?,
            }
        };
        if page.shards.total == 0 && !std::mem::replace(&mut self.nothing_told, true) {
            let indices = settings.indices.to_string();
            notices.push(Notice::NothingMatches { indices });
        }
        let began = settings.began.as_millisecond();
        let mut found = Found::default();
        let full = page.hits.len() >= size as usize;
        let mut last = None;
        for hit in page.hits {
            let (Some(time), Some(number)) = (hit.sort.first().and_then(Value::as_i64), hit.seq_no)
            else {
                let message = format!("{}: a hit without time or `_seq_no`", settings.indices);
                return Err(Error::new(ErrorKind::Answer, message));
            };
            last = Some((time, number));
            let mark = fingerprint(&hit);
            let seen = self.seen.entry(time).or_default();
            if !seen.contains(&mark) {
                seen.push(mark);
                if self.is_first && settings.since == Since::Now && time < began {
                    continue;
                }
                found
                    .documents
                    .push(Document::of(hit, None, &settings.wanted.time_field));
            }
        }
        if let Some((time, _)) = last {
            let now = Timestamp::now().as_millisecond();
            self.at = self.at.max(Some(time.min(now)));
        }
        if full {
            if last == self.cursor {
                if size == MOST {
                    let message = format!(
                        "{}: more than 10,000 documents with one time and one number",
                        settings.indices
                    );
                    return Err(Error::new(ErrorKind::Answer, message));
                }
                self.size = size.saturating_mul(2).min(MOST);
            } else {
                self.size = size.min(PAGE);
            }
            self.cursor = last;
        } else {
            self.cursor = None;
            self.size = 0;
            if std::mem::take(&mut self.is_first) && settings.since == Since::Now {
                self.at.get_or_insert(began);
            }
            found.idle = true;
        }
        if let Some(at) = self.at {
            self.seen = self.seen.split_off(&at.saturating_sub(overlap));
        }
        Ok(found)
    }

    /// How many documents the next page is asked for.
    fn size(&self) -> u32 {
        match self.size {
            0 => PAGE,
            size => size,
        }
    }

    /// The body of the search for the next page.
    pub(super) fn next_search(&self, settings: &Settings) -> Value {
        self.body(settings, self.size(), overlap(settings))
    }

    /// The body of the search for a page that is this long.
    fn body(&self, settings: &Settings, size: u32, overlap: i64) -> Value {
        let field = &settings.wanted.time_field;
        let millis =
            |bound: &str, at: i64| json!({"range": {field: {bound: at, "format": "epoch_millis"}}});
        let mut filters = vec![settings.query.clone()];
        let began = settings.began.as_millisecond();
        // What lies before the beginning was not asked for, however large the overlap is.
        let begin = match settings.since {
            Since::Now => Some(began.saturating_sub(overlap)),
            Since::Time(time) => Some(time.as_millisecond()),
            Since::Start => None,
        };
        let lower = self.at.map(|at| at.saturating_sub(overlap));
        match lower.max(begin) {
            Some(lower) => filters.push(millis("gte", lower)),
            None => filters.push(json!({"exists": {"field": field}})),
        }
        if let Some((time, number)) = self.cursor {
            // The last document's number can be that of others in other shards: it is read again.
            filters.push(json!({"bool": {"should": [
                millis("gte", time.saturating_add(1)),
                {"bool": {"filter": [
                    {"range": {field: {"gte": time, "lt": time.saturating_add(1), "format": "epoch_millis"}}},
                    {"range": {"_seq_no": {"gte": number}}},
                ]}},
            ], "minimum_should_match": 1}}));
        }
        let sort = json!([
            {field: {"order": "asc", "numeric_type": "date", "unmapped_type": "date"}},
            {"_seq_no": {"order": "asc", "unmapped_type": "long"}},
        ]);
        settings.wanted.body(filters, sort, size)
    }

    async fn search(&self, settings: &Settings, size: u32, overlap: i64) -> Result<Page> {
        let body = self.body(settings, size, overlap);
        let request = HttpRequest::post("/")
            .segment(settings.indices.as_str())
            .segment("_search")
            .query("allow_partial_search_results", "false")
            .query("ignore_unavailable", "true")
            .json(&SecretString::from(body.to_string()))
            .repeatable(true);
        let answer = settings.client.send(request).await?;
        Page::from_json(answer.body())?.whole()
    }
}

/// How far back is asked for again, in milliseconds.
fn overlap(settings: &Settings) -> i64 {
    i64::try_from(settings.overlap.as_millis()).unwrap_or(i64::MAX)
}

/// Tells a version of a document from all others. Tokens keep it: where the way to compute it changes, documents within the
/// overlap come again.
fn fingerprint(hit: &Hit) -> u64 {
    let number = |number: Option<u64>| number.map(|number| number.to_string()).unwrap_or_default();
    fnv1a([
        &*hit.index,
        &hit.id,
        &number(hit.version),
        &number(hit.seq_no),
    ])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fingerprint_stays_for_tokens_of_earlier_releases() {
        let text = r#"{"_index": "logs", "_id": "1", "_version": 3, "_seq_no": 7}"#;
        let hit: Hit = serde_json::from_str(text).expect("a hit");
        assert_eq!(fingerprint(&hit), 0x0fc7_5af0_9a3b_5fc3);
    }
}
