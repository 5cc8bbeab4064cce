//! Lines in their order: by time, then as their shard took them in, then by index and id.

use serde_json::{Map, Value, json};

use super::Look;
use crate::export::{has_both_dates, time_key};
use crate::{Error, ErrorKind, Hit, Result};

/// The most hits that a server gives in one answer by default (`index.max_result_window`).
const MOST: usize = 10_000;

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
        let mut lines: Vec<Hit> = Vec::new();
        // More than is wanted, so that what has the same place is not divided between pages.
        let mut size = most.saturating_add(16).min(MOST);
        while lines.len() < most {
            let after = lines.last().map(|line| Value::from(line.sort.clone()));
            let mut page = self
                .page(&filter, direction, nanoseconds, size, after, highlight)
                .await?;
            let is_last = page.len() < size;
            if !is_last {
                drop_last_place(&mut page)?;
                if page.is_empty() {
                    size = (size * 4).min(MOST);
                }
            }
            lines.append(&mut page);
            if is_last {
                break;
            }
        }
        lines.truncate(most);
        Ok(lines)
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
        if most == 0 {
            return Ok(Vec::new());
        }
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
        let mut size = (most + 8).min(MOST);
        loop {
            let after = json!([place.time, place.seq_no, edge]);
            let mut page = self
                .page(filter, direction, nanoseconds, size, Some(after), None)
                .await?;
            let is_last = page.len() < size;
            if !is_last {
                drop_last_place(&mut page)?;
            }
            page.retain(is_beyond);
            page.sort_by_cached_key(Place::of);
            if direction == Direction::Older {
                page.reverse();
            }
            if page.len() >= most || is_last || size == MOST {
                page.truncate(most);
                return Ok(page);
            }
            size = (size * 4).min(MOST);
        }
    }

    async fn page(
        &self,
        filter: &Value,
        direction: Direction,
        nanoseconds: bool,
        size: usize,
        after: Option<Value>,
        highlight: Option<&Value>,
    ) -> Result<Vec<Hit>> {
        let mut body = Map::new();
        body.insert("size".into(), size.into());
        body.insert("query".into(), filter.clone());
        body.insert(
            "sort".into(),
            keys(&self.time_field, direction, nanoseconds),
        );
        body.insert("track_total_hits".into(), false.into());
        body.insert("seq_no_primary_term".into(), true.into());
        if let Some(after) = after {
            body.insert("search_after".into(), after);
        }
        if let Some(highlight) = highlight {
            body.insert("highlight".into(), highlight.clone());
        }
        Ok(self.search(body).await?.hits)
    }
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

/// Drops the last hits, those that share their sort values: more of them may follow.
fn drop_last_place(page: &mut Vec<Hit>) -> Result<()> {
    let last = page.last().map(|hit| hit.sort.clone());
    match page
        .iter()
        .rposition(|hit| Some(&hit.sort) != last.as_ref())
    {
        Some(keep) => page.truncate(keep + 1),
        None if page.len() >= MOST => {
            let message = "more lines share one time, number and index than a page can hold; look at fewer indices";
            return Err(Error::new(ErrorKind::Rejected, message));
        }
        // The caller asks for more of them.
        None => page.clear(),
    }
    Ok(())
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
