//! Rounds by time, where there are no checkpoints to see.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::clock::Clock;
use super::origins::Origins;
use super::versions::{self, Versions};
use super::{Document, Found, Notice, Settings, Since};
use crate::digest::fnv1a;
use crate::places::{Ask, MOST, PageSize, too_long_alone};
use crate::search::{Hit, Page};
use crate::{Error, ErrorKind, Result};

/// How far documents have been read in the order of their times.
///
/// Each round asks for everything from the watermark minus the overlap on, and drops what it has seen. The watermark
/// follows the times that come, up to when the round began: what arrived behind its pages meanwhile is looked at by the next
/// one. Times in the future do not move it.
///
/// Most of a round has been seen before. So it asks what there is, and only then for the documents that are new; where a page
/// was mostly new, it asks for the next one's documents at once.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Watermark {
    /// In milliseconds since 1970.
    at: Option<i64>,
    /// What lies above the watermark minus the overlap and has been handed over: times, and fingerprints of documents.
    seen: BTreeMap<i64, Vec<u64>>,
    /// The versions among them, for a copy that is behind the others shows older ones.
    #[serde(skip_serializing_if = "Versions::is_empty", default)]
    versions: Versions,
    /// Where the round is: the last time, and the last number at that time.
    #[serde(skip)]
    cursor: Option<(i64, u64)>,
    /// When the round began, in milliseconds since 1970.
    #[serde(skip)]
    round_began: Option<i64>,
    /// How many hits the next page has; 0 is as usual.
    #[serde(skip)]
    size: u32,
    /// Whether the last page was mostly new.
    #[serde(skip)]
    was_new: bool,
    /// Whether documents of the page that is to come are too long together, so that it is asked for without them.
    #[serde(skip)]
    is_long: bool,
    /// Whether what is older than the tail is being looked at, so that what comes later with an older time is known as
    /// new.
    #[serde(default)]
    is_first: bool,
    /// Which indices are copies of others.
    #[serde(skip_serializing_if = "Origins::is_empty", default)]
    origins: Origins,
    /// Whether it was told that there is nothing to search.
    #[serde(skip)]
    nothing_told: bool,
}

/// How many documents a page has.
const PAGE: u32 = 1_000;
/// About how many bytes are handed over in one go of what is fetched after a look at what there is.
const PAGE_BYTES: usize = 8 << 20;

/// A hit's place in the order of a round: its time, and its number.
type Place = (i64, u64);

/// What a page had that was not seen.
#[derive(Debug, Default)]
struct Unseen {
    /// With their places and fingerprints.
    hits: Vec<(Place, u64, Hit)>,
    /// How many hits were looked at, and the last one's place.
    looked_at: usize,
    last: Option<Place>,
    /// The last of their times that is not in the future.
    newest: Option<i64>,
    /// Whether the page has more than was looked at.
    is_cut: bool,
}

impl Unseen {
    /// Leaves what is behind this place to the next page.
    fn cut_at(&mut self, place: Place) {
        self.is_cut = true;
        self.last = Some(place);
        self.newest = self.newest.min(Some(place.0));
    }
}

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
        if self.is_first && self.round_began.is_none() {
            // Where this cannot be answered, the search tells what is wrong.
            let field = &settings.wanted.time_field;
            let fields = [field.as_str()];
            let caps = settings.client.field_caps(&settings.indices, &fields);
            if let Ok(caps) = caps.await {
                caps.check_dates(field)?;
            }
        }
        let round_began = self
            .round_began
            .unwrap_or_else(|| settings.now().as_millisecond());
        let mut size = PageSize::new(self.size());
        let (page, _) = loop {
            match search(settings, self.body(settings, size.now())).await {
                Err(error) if size.shrink(&error) => {}
                Err(error) if error.is_too_long() && self.with_documents() => {
                    self.is_long = true;
                    size = PageSize::new(self.size());
                }
                page => break page?,
            }
        };
        let size = size.now();
        if page.shards.total == 0 && !std::mem::replace(&mut self.nothing_told, true) {
            let indices = settings.indices.to_string();
            notices.push(Notice::NothingMatches { indices });
        }
        let indices = page.hits.iter().map(|hit| &*hit.index);
        self.origins.learn(settings, indices, notices).await?;
        let was_full = page.hits.len() >= size as usize;
        let with_documents = self.with_documents();
        let mut unseen = self.unseen(settings, page.hits, round_began)?;
        let was_new = unseen.hits.len() * 2 > unseen.looked_at;
        let (old, mut new): (Vec<_>, Vec<_>) = std::mem::take(&mut unseen.hits)
            .into_iter()
            .partition(|(place, ..)| self.is_older_than_the_tail(settings, *place));
        if !with_documents && !new.is_empty() {
            let (fetched, looked_at) = self.fetch(settings, &new).await?;
            if let Some((place, ..)) = new[..looked_at].last().filter(|_| looked_at < new.len()) {
                unseen.cut_at(*place);
            }
            new = fetched;
        }
        if old.iter().chain(&new).any(|(.., hit)| self.is_behind(hit)) {
            // An index that was made anew with its name has other documents.
            self.origins.ask(settings, BTreeSet::new(), notices).await?;
        }

        let mut found = Found {
            understood: page.shards.total > 0,
            ..Found::default()
        };
        for (place, mark, hit) in old {
            self.see(place, mark, &hit);
        }
        for (place, mark, hit) in new {
            if self.see(place, mark, &hit) {
                let key = self.key(&hit);
                let document = Document::of(hit, None, &settings.wanted.time_field);
                found.documents.push(Document { key, ..document });
            }
        }
        self.at = self.at.max(unseen.newest);
        self.round_began = Some(round_began);
        if was_full || unseen.is_cut {
            if unseen.is_cut || unseen.last != self.cursor {
                self.size = 0;
                self.was_new = was_new;
                self.is_long = false;
            } else if with_documents {
                // What shares the place is found where documents take no room.
                self.is_long = true;
            } else if size >= MOST {
                let message = format!(
                    "{}: more than 10,000 documents with one time and one number",
                    settings.indices
                );
                return Err(Error::new(ErrorKind::Answer, message));
            } else {
                self.size = size.saturating_mul(2).min(MOST);
            }
            self.cursor = unseen.last;
        } else {
            self.cursor = None;
            self.round_began = None;
            self.size = 0;
            self.was_new = false;
            self.is_long = false;
            if std::mem::take(&mut self.is_first) {
                found.is_begun = true;
                // Where no index has told the time, the beginning is this machine's, and moves once one has.
                if settings.since == Since::Now && settings.clock != Clock::Unknown {
                    self.at.get_or_insert(settings.began.as_millisecond());
                }
            }
            found.idle = true;
        }
        if let Some(at) = self.at {
            let kept = at.saturating_sub(overlap(settings));
            self.seen = self.seen.split_off(&kept);
            self.versions.forget(kept);
        }
        Ok(found)
    }

    /// Whether the next page is asked for with its documents, and not only for what there is.
    fn with_documents(&self) -> bool {
        !self.is_long && (self.was_new || self.at.is_none())
    }

    /// How many hits the next page is asked for.
    fn size(&self) -> u32 {
        match self.size {
            0 if self.with_documents() => PAGE,
            0 => MOST,
            size => size,
        }
    }

    /// What of a page was not seen yet, as much as is handed over in one go.
    fn unseen(&self, settings: &Settings, hits: Vec<Hit>, round_began: i64) -> Result<Unseen> {
        let mut unseen = Unseen::default();
        // Pages of several shards can have a hit twice that moved between two of them.
        let mut marks = HashSet::new();
        for hit in hits {
            if unseen.hits.len() >= PAGE as usize {
                unseen.is_cut = true;
                break;
            }
            let place = place(settings, &hit)?;
            let mark = self.fingerprint(&hit);
            unseen.looked_at += 1;
            unseen.last = Some(place);
            if place.0 <= round_began {
                unseen.newest = Some(place.0);
            }
            if !self.has_seen(place, mark) && marks.insert(mark) {
                unseen.hits.push((place, mark, hit));
            }
        }
        Ok(unseen)
    }

    /// Takes a hit as seen. False where it is a version that was replaced by one that was seen.
    fn see(&mut self, (time, _): Place, mark: u64, hit: &Hit) -> bool {
        self.seen.entry(time).or_default().push(mark);
        let is_behind = self.is_behind(hit);
        if let Some(key) = self.key(hit).filter(|_| !is_behind) {
            // As long as the round that shows it looks back.
            self.versions
                .rise(key, hit, self.at.map_or(time, |at| at.max(time)));
        }
        !is_behind
    }

    /// Whether it is a version that was replaced by one that was seen, as far as it is known which index it is in.
    fn is_behind(&self, hit: &Hit) -> bool {
        self.key(hit)
            .is_some_and(|key| self.versions.are_behind(key, hit))
    }

    fn key(&self, hit: &Hit) -> Option<u64> {
        let uuid = self.origins.uuid(&hit.index)?;
        Some(versions::key(uuid, hit))
    }

    fn fingerprint(&self, hit: &Hit) -> u64 {
        fingerprint(self.origins.of(&hit.index), hit)
    }

    fn has_seen(&self, (time, _): Place, mark: u64) -> bool {
        self.seen
            .get(&time)
            .is_some_and(|marks| marks.contains(&mark))
    }

    /// Whether a hit is there only to be known, for it was there before the tail.
    fn is_older_than_the_tail(&self, settings: &Settings, (time, _): Place) -> bool {
        self.is_first && settings.since == Since::Now && time < settings.began.as_millisecond()
    }

    /// The hits with their documents, which are those of now: they can have been written again meanwhile. With them, for
    /// how many of the bare ones they are, for documents can be long.
    async fn fetch(
        &self,
        settings: &Settings,
        bare: &[(Place, u64, Hit)],
    ) -> Result<(Vec<(Place, u64, Hit)>, usize)> {
        let mut marks = HashSet::new();
        let mut fetched = Vec::new();
        let (mut looked_at, mut bytes) = (0, 0);
        let (mut at_once, mut most) = (usize::MAX, MOST);
        while looked_at < bare.len() && bytes < PAGE_BYTES {
            let rest = &bare[looked_at..];
            let part = &rest[..at_once.min(rest.len())];
            let key = |(.., hit): &'_ (Place, u64, Hit)| (hit.index.clone(), hit.id.clone());
            let wanted: BTreeSet<(String, String)> = part.iter().map(key).collect();
            let ids: BTreeSet<&String> = wanted.iter().map(|(_, id)| id).collect();
            let indices: BTreeSet<&String> = wanted.iter().map(|(index, _)| index).collect();
            // An id can be in each of the indices, and there in several shards.
            let size = match part.len() {
                1 => most,
                _ => {
                    u32::try_from(ids.len() * indices.len() * 2).map_or(most, |size| size.min(most))
                }
            };
            let mut filters = self.filters(settings);
            filters.push(json!({"ids": {"values": ids}}));
            filters.push(json!({"terms": {"_index": indices}}));
            let body = settings.wanted.body(filters, order(settings));
            let (page, length) = match search(settings, Ask::Page(size).of(body)).await {
                Err(error) if error.is_too_long() && part.len() == 1 => {
                    let (.., hit) = &part[0];
                    let name = format!("{}/{}", hit.index, hit.id);
                    return Err(too_long_alone(error, &name));
                }
                Err(error) if error.asks_for_less() && size > 2 => {
                    if !error.is_too_long() {
                        most = (size / 4).max(2);
                    }
                    at_once = (part.len() / 4).max(1);
                    continue;
                }
                page => page?,
            };
            if page.hits.len() >= size as usize && part.len() > 1 {
                at_once = part.len() / 2;
                continue;
            }
            bytes += length;
            for hit in page.hits {
                let (place, mark) = (place(settings, &hit)?, self.fingerprint(&hit));
                let is_wanted = wanted.contains(&(hit.index.clone(), hit.id.clone()));
                if is_wanted && !self.has_seen(place, mark) && marks.insert(mark) {
                    fetched.push((place, mark, hit));
                }
            }
            looked_at += part.len();
            at_once = at_once.saturating_mul(2);
        }
        Ok((fetched, looked_at))
    }

    /// The body of the search for the next page.
    pub(super) fn next_search(&self, settings: &Settings) -> Value {
        self.body(settings, self.size()).into()
    }

    /// The body of the search for a page that is this long.
    fn body(&self, settings: &Settings, size: u32) -> Map<String, Value> {
        let body = settings
            .wanted
            .body(self.filters(settings), order(settings));
        match self.with_documents() {
            true => Ask::Page(size).of(body),
            false => Ask::Bare(size).of(body),
        }
    }

    /// What the hits of the next page have in common.
    fn filters(&self, settings: &Settings) -> Vec<Value> {
        let field = &settings.wanted.time_field;
        let millis =
            |bound: &str, at: i64| json!({"range": {field: {bound: at, "format": "epoch_millis"}}});
        let mut filters = vec![settings.query.clone()];
        let overlap = overlap(settings);
        let began = settings.began.as_millisecond();
        // What lies before the beginning was not asked for, however large the overlap is.
        let begin = match settings.since {
            Since::Now => Some(began.saturating_sub(overlap)),
            Since::Time(time) => Some(time.as_millisecond().max(0)),
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
        filters
    }
}

/// A page, and how many bytes it has.
async fn search(settings: &Settings, body: Map<String, Value>) -> Result<(Page, usize)> {
    let request = settings
        .search(&body.into())
        .query("allow_partial_search_results", "false");
    let answer = settings.client.send(request).await?;
    Ok((
        Page::from_json(answer.body())?.whole()?,
        answer.body().len(),
    ))
}

/// The order of the hits in a round, which gives them their [`Place`]. A document with several times stands at the last of
/// them, up to which the ranges of the rounds find it.
fn order(settings: &Settings) -> Value {
    json!([
        {&settings.wanted.time_field: {
            "order": "asc", "mode": "max", "numeric_type": "date", "unmapped_type": "date",
        }},
        {"_seq_no": {"order": "asc", "unmapped_type": "long"}},
    ])
}

fn place(settings: &Settings, hit: &Hit) -> Result<Place> {
    let time = hit.sort.first().and_then(Value::as_i64);
    time.zip(hit.seq_no).ok_or_else(|| {
        let message = format!("{}: a hit without time or `_seq_no`", settings.indices);
        Error::new(ErrorKind::Answer, message)
    })
}

/// How far back is asked for again, in milliseconds.
fn overlap(settings: &Settings) -> i64 {
    i64::try_from(settings.overlap.as_millis()).unwrap_or(i64::MAX)
}

/// Tells a version of a document from all others, by the index that it was written to, and its routing: several shards can
/// have the same id. Tokens keep it: where the way to compute it changes, documents within the overlap come again.
fn fingerprint(origin: &str, hit: &Hit) -> u64 {
    let number = |number: Option<u64>| number.map(|number| number.to_string()).unwrap_or_default();
    let numbers = [number(hit.version), number(hit.seq_no)];
    let parts = [origin, &hit.id, &numbers[0], &numbers[1]];
    fnv1a(parts.into_iter().chain(hit.routing.as_deref()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fingerprint_stays_for_tokens_of_earlier_releases() {
        let text = r#"{"_index": "logs", "_id": "1", "_version": 3, "_seq_no": 7}"#;
        let hit: Hit = serde_json::from_str(text).expect("a hit");
        assert_eq!(fingerprint(&hit.index, &hit), 0x0fc7_5af0_9a3b_5fc3);
    }
}
