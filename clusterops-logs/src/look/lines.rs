//! Lines in their order: by time, then as their shard took them in, then by index and id.

use serde_json::{Map, Value, json};

use super::Look;
use crate::export::{has_both_dates, time_key};
use crate::places::{self, Ask, Hits, PageSize};
use crate::{Hit, Result};

/// About how many bytes a page may have after one that was too long.
const PAGE_BYTES: usize = 8 << 20;

/// A line's place among all. No two lines have the same.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Place {
    /// In milliseconds or nanoseconds, the same in one look.
    time: i64,
    seq_no: i64,
    index: String,
    id: String,
}

impl Place {
    /// That of a hit that was sorted by [`keys`]; none without a time.
    pub(super) fn of(hit: &Hit) -> Option<Self> {
        match hit.sort.as_slice() {
            [time, seq_no, Value::String(index)] => Some(Self {
                // What lacks one is sorted last by these.
                time: time
                    .as_i64()
                    .filter(|time| !matches!(*time, i64::MIN | i64::MAX))?,
                seq_no: seq_no.as_i64()?,
                index: index.clone(),
                id: hit.id.clone(),
            }),
            _ => None,
        }
    }
}

/// In which direction lines are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Direction {
    Older,
    Newer,
}

impl Direction {
    fn name(self) -> &'static str {
        match self {
            Self::Older => "desc",
            Self::Newer => "asc",
        }
    }
}

impl Look {
    /// Whether times are compared in nanoseconds.
    pub(super) async fn in_nanoseconds(&self) -> Result<bool> {
        has_both_dates(&self.client, &self.indices, &self.time_field).await
    }

    /// The lines that fit the filter, in this direction from the first of all on, so many at most.
    pub(super) async fn lines(
        &self,
        filter: Value,
        direction: Direction,
        nanoseconds: bool,
        most: usize,
        highlight: Option<&Value>,
    ) -> Result<Vec<Hit>> {
        let search = self.ordered(&filter, direction, nanoseconds, highlight);
        let mut lines = search.take(None, most, |_| {}).await?;
        lines.truncate(most);
        Ok(lines)
    }

    /// The body of the search for the first page of such lines.
    pub(super) fn first_page(&self, filter: &Value, direction: Direction, most: usize) -> Value {
        let search = self.ordered(filter, direction, false, self.highlight.as_ref());
        Value::Object(Ask::Page(usual(most).now()).of(search.body))
    }

    /// The lines next to a place, so many at most, the nearest first.
    pub(super) async fn beside(
        &self,
        filter: &Value,
        place: &Place,
        direction: Direction,
        nanoseconds: bool,
        most: usize,
    ) -> Result<Vec<Hit>> {
        let is_beyond = |line: &Hit| {
            Place::of(line).is_some_and(|other| match direction {
                Direction::Older => other < *place,
                Direction::Newer => other > *place,
            })
        };
        // Before the first and behind the last index of this time and number: what has the same place comes along, since
        // the servers do not sort by ids.
        let edge = match direction {
            Direction::Older => "\u{10ffff}",
            Direction::Newer => "",
        };
        let after = vec![place.time.into(), place.seq_no.into(), edge.into()];
        let search = self.ordered(filter, direction, nanoseconds, None);
        let sort = |page: &mut Vec<Hit>| {
            page.retain(is_beyond);
            page.sort_by_cached_key(Place::of);
            if direction == Direction::Older {
                page.reverse();
            }
        };
        let mut lines = search.take(Some(after), most, sort).await?;
        lines.truncate(most);
        Ok(lines)
    }

    /// A search for what fits the filter, in order.
    fn ordered(
        &self,
        filter: &Value,
        direction: Direction,
        nanoseconds: bool,
        highlight: Option<&Value>,
    ) -> Ordered<'_> {
        let mut body = Map::new();
        body.insert("query".into(), filter.clone());
        body.insert(
            "sort".into(),
            keys(&self.time_field, direction, nanoseconds),
        );
        body.insert("track_total_hits".into(), false.into());
        body.insert("seq_no_primary_term".into(), true.into());
        if let Some(highlight) = highlight {
            body.insert("highlight".into(), highlight.clone());
        }
        Ordered { look: self, body }
    }
}

/// A search that goes on in order.
struct Ordered<'a> {
    look: &'a Look,
    body: Map<String, Value>,
}

impl Ordered<'_> {
    /// So many lines at least, as far as there are that many, of pages of whole places, each put in order by itself.
    async fn take(
        mut self,
        after: Option<Vec<Value>>,
        most: usize,
        sort: impl Fn(&mut Vec<Hit>) + Send,
    ) -> Result<Vec<Hit>> {
        let mut lines = Vec::new();
        let mut size = usual(most);
        let mut after = after;
        while lines.len() < most {
            if let Some(after) = after.take() {
                self.body.insert("search_after".into(), after.into());
            }
            let page = places::next(&self, &mut size).await?;
            let Hits { mut hits, bytes } = page.answer;
            size.fit(hits.len(), bytes, PAGE_BYTES);
            sort(&mut hits);
            lines.append(&mut hits);
            if page.is_last {
                break;
            }
            after = page.after;
        }
        Ok(lines)
    }
}

impl places::Search for Ordered<'_> {
    type Answer = Hits;

    async fn search(&self, ask: Ask) -> Result<Hits> {
        self.look.hits(ask.of(self.body.clone())).await
    }
}

/// How many lines a page has where so many are wanted: more, so that what has the same place is not divided between pages.
fn usual(most: usize) -> PageSize {
    PageSize::new(u32::try_from(most.saturating_add(16)).unwrap_or(u32::MAX))
}

/// By time, then what breaks ties.
fn keys(time_field: &str, direction: Direction, nanoseconds: bool) -> Value {
    let order = direction.name();
    json!([
        time_key(time_field, order, nanoseconds),
        {"_seq_no": {"order": order, "unmapped_type": "long"}},
        {"_index": order},
    ])
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test that fails says where")]
    use super::*;

    #[test]
    fn a_place_needs_a_time() {
        let hit = |sort: Value| {
            let hit = json!({"_index": "a", "_id": "1", "_source": {}, "sort": sort});
            serde_json::from_str::<Hit>(&hit.to_string()).unwrap()
        };
        let place = Place::of(&hit(json!([5, 1, "a"]))).unwrap();
        assert!(place > Place::of(&hit(json!([4, 9, "b"]))).unwrap());
        assert!(place < Place::of(&hit(json!([5, 2, "a"]))).unwrap());
        for sort in [
            json!([i64::MAX, 1, "a"]),
            json!([null, 1, "a"]),
            json!([1]),
            json!([1, 2, 3]),
        ] {
            assert_eq!(Place::of(&hit(sort)), None);
        }
    }
}
