//! Pages of whole places, for searches that go on behind the last place of the page before, however long documents are.
//!
//! What shares its sort values shares a place, and a search that goes on behind a place leaves out what of it did not fit
//! into the page before. So a full page ends before its last place. Where an answer is too long to be read, the next one has
//! fewer hits; where even two are too long together, it is first asked which documents there are, and then for those of the
//! first place one by one.

use std::collections::BTreeSet;
use std::future::Future;

use serde_json::{Map, Value, json};

use crate::{Error, ErrorKind, Hit, Result};

/// The most hits that a server gives in one answer by default (`index.max_result_window`).
pub(crate) const MOST: u32 = 10_000;

/// The fewest hits by which a page can be seen to end between two places.
const LEAST: u32 = 2;

/// How many hits a bare page has at first, and how many times as many where they share one place.
const BARE: u32 = 32;
const MORE: u32 = 4;

/// How many hits pages are asked for.
#[derive(Debug, Clone)]
pub(crate) struct PageSize {
    most: u32,
    now: u32,
}

impl PageSize {
    /// So many, usually.
    pub(crate) fn new(usual: u32) -> Self {
        let most = usual.clamp(LEAST, MOST);
        Self { most, now: most }
    }

    pub(crate) fn now(&self) -> u32 {
        self.now
    }

    /// Whether fewer hits may come where this went wrong; the next page has them.
    pub(crate) fn shrink(&mut self, error: &Error) -> bool {
        if !error.asks_for_less() || self.now <= LEAST {
            return false;
        }
        self.now = (self.now / 4).max(LEAST);
        if !error.is_too_long() {
            // What indices give at once stays the same.
            self.most = self.now;
        }
        true
    }

    /// Grows again after a page, up to what would have about so many bytes.
    pub(crate) fn fit(&mut self, hits: usize, bytes: usize, wanted: usize) {
        let each = (bytes / hits.max(1)).max(1);
        let fitting = u32::try_from(wanted / each).unwrap_or(u32::MAX);
        let doubled = self.now.saturating_mul(2);
        self.now = fitting.min(doubled).clamp(LEAST, self.most);
    }
}

/// What to ask a search for, of all that it would find.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Ask {
    /// So many hits.
    Page(u32),
    /// So many, without what stands in the documents.
    Bare(u32),
    /// This document.
    One(Key),
}

/// A version of a document: shards with routings of their own can have several, of one number by chance.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Key {
    index: String,
    id: String,
    number: u64,
}

impl Ask {
    /// The body that asks for this, made of that which asks for all.
    pub(crate) fn of(&self, mut body: Map<String, Value>) -> Map<String, Value> {
        let size = match self {
            Self::Page(size) => *size,
            Self::Bare(size) => {
                body = bare(body);
                *size
            }
            Self::One(key) => {
                let query = body.remove("query").unwrap_or(json!({"match_all": {}}));
                let filter = json!([
                    query,
                    {"ids": {"values": [key.id]}},
                    {"term": {"_index": key.index}},
                    {"range": {"_seq_no": {"gte": key.number, "lte": key.number}}},
                ]);
                body.insert("query".into(), json!({"bool": {"filter": filter}}));
                MOST_ALIKE
            }
        };
        body.insert("size".into(), size.into());
        body
    }
}

/// How many documents of one index can have the same id and number.
const MOST_ALIKE: u32 = 100;

/// The body without what asks for parts of documents.
pub(crate) fn bare(body: Map<String, Value>) -> Map<String, Value> {
    const KEPT: [&str; 7] = [
        "query",
        "sort",
        "search_after",
        "pit",
        "runtime_mappings",
        "size",
        "version",
    ];
    let kept = body.into_iter().filter(|(name, _)| KEPT.contains(&&**name));
    let mut body: Map<String, Value> = kept.collect();
    body.insert("_source".into(), false.into());
    body.insert("seq_no_primary_term".into(), true.into());
    body.insert("track_total_hits".into(), false.into());
    body
}

/// What an answer to such a search is read as.
pub(crate) trait Answer: Sized + Send {
    /// How many hits it has.
    fn len(&self) -> usize;

    /// The hits themselves.
    fn to_hits(&self) -> Result<Vec<Hit>>;

    /// The sort values of the last hit.
    fn last_sort(&self) -> Option<Vec<Value>>;

    /// Drops the last hits, those that share one place. False, and all are kept, where no other hit is before them.
    fn drop_last_place(&mut self) -> bool;

    /// Adds the hits of another one behind its own.
    fn append(&mut self, other: Self) -> Result<()>;
}

/// A search that goes on from somewhere.
pub(crate) trait Search: Sync {
    /// What it answers.
    type Answer: Answer;

    /// Searches for what is asked.
    fn search(&self, ask: Ask) -> impl Future<Output = Result<Self::Answer>> + Send;
}

/// A page that ends between two places, or with the last hit of all.
#[derive(Debug)]
pub(crate) struct Whole<A> {
    pub(crate) answer: A,
    /// Where the next page begins; none where nothing was found. What stood there can be gone, so that the page is empty.
    pub(crate) after: Option<Vec<Value>>,
    /// Whether nothing is behind it.
    pub(crate) is_last: bool,
}

/// The next page.
pub(crate) async fn next<S: Search>(search: &S, size: &mut PageSize) -> Result<Whole<S::Answer>> {
    let mut was_too_long = false;
    loop {
        let wanted = size.now;
        match search.search(Ask::Page(wanted)).await {
            Ok(mut answer) => {
                let is_last = answer.len() < wanted as usize;
                if is_last || answer.drop_last_place() {
                    return Ok(Whole {
                        after: answer.last_sort(),
                        answer,
                        is_last,
                    });
                }
                if !was_too_long {
                    size.now = more(wanted)?;
                    size.most = size.most.max(size.now);
                    continue;
                }
            }
            Err(error) if size.shrink(&error) => {
                was_too_long |= error.is_too_long();
                continue;
            }
            Err(error) if !error.is_too_long() => return Err(error),
            Err(_) => {}
        }
        if let Some(place) = first_place(search).await? {
            return Ok(place);
        }
    }
}

/// The documents of the next place, each asked for alone; none where there is none any more.
async fn first_place<S: Search>(search: &S) -> Result<Option<Whole<S::Answer>>> {
    let mut size = BARE;
    let hits = loop {
        let hits = search.search(Ask::Bare(size)).await?.to_hits()?;
        let is_all = hits.len() < size as usize;
        if is_all || hits.first().map(|hit| &hit.sort) != hits.last().map(|hit| &hit.sort) {
            break hits;
        }
        size = more(size)?;
    };
    let after = hits.first().map(|hit| hit.sort.clone());
    let mut keys = BTreeSet::new();
    for hit in hits
        .into_iter()
        .take_while(|hit| Some(&hit.sort) == after.as_ref())
    {
        let number = hit.seq_no.ok_or_else(|| {
            let message = format!("{}/{}: a hit without `_seq_no`", hit.index, hit.id);
            Error::new(ErrorKind::Answer, message)
        })?;
        let (index, id) = (hit.index, hit.id);
        keys.insert(Key { index, id, number });
    }
    let mut found: Option<S::Answer> = None;
    for key in keys {
        let name = format!("{}/{}", key.index, key.id);
        let one = search.search(Ask::One(key)).await;
        let one = one.map_err(|error| too_long_alone(error, &name))?;
        match &mut found {
            Some(found) => found.append(one)?,
            None => found = Some(one),
        }
    }
    Ok(found.map(|answer| Whole {
        answer,
        after,
        is_last: false,
    }))
}

/// The error for a document that cannot be had, by its name.
pub(crate) fn too_long_alone(error: Error, name: &str) -> Error {
    if !error.is_too_long() {
        return error;
    }
    let message = format!(
        "the document {name} alone is too long: {error}; raise `HttpOptions::body_limit`, or leave out what is long in it"
    );
    Error::new(ErrorKind::Answer, message)
}

fn more(size: u32) -> Result<u32> {
    if size >= MOST {
        let message = "more documents share one place in the order than a page can hold; read fewer indices at a time";
        return Err(Error::new(ErrorKind::Rejected, message));
    }
    Ok(size.saturating_mul(MORE).min(MOST))
}

/// Hits, and how many bytes their answer had.
#[derive(Debug, Default)]
pub(crate) struct Hits {
    pub(crate) hits: Vec<Hit>,
    pub(crate) bytes: usize,
}

impl Answer for Hits {
    fn len(&self) -> usize {
        self.hits.len()
    }

    fn to_hits(&self) -> Result<Vec<Hit>> {
        Ok(self.hits.clone())
    }

    fn last_sort(&self) -> Option<Vec<Value>> {
        self.hits.last().map(|hit| hit.sort.clone())
    }

    fn drop_last_place(&mut self) -> bool {
        let hits = &mut self.hits;
        let Some(last) = hits.last().map(|hit| hit.sort.clone()) else {
            return false;
        };
        match hits.iter().rposition(|hit| hit.sort != last) {
            Some(keep) => {
                hits.truncate(keep + 1);
                true
            }
            None => false,
        }
    }

    fn append(&mut self, other: Self) -> Result<()> {
        self.hits.extend(other.hits);
        self.bytes += other.bytes;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test that fails says where")]
    use proptest::prelude::*;

    use super::*;

    /// Documents, each with its place and its length, and how long an answer may be.
    struct Fake {
        documents: Vec<(u32, usize)>,
        behind: u32,
        limit: usize,
    }

    impl Fake {
        fn hits(&self, at: impl Iterator<Item = usize>, is_bare: bool) -> Result<Hits> {
            let (mut hits, mut bytes) = (Vec::new(), 0);
            for at in at {
                let (place, length) = self.documents[at];
                let hit = json!({"_index": "i", "_id": at.to_string(), "_seq_no": place, "sort": [place]});
                hits.push(Hit::read(hit.to_string().as_bytes())?);
                bytes += if is_bare { 1 } else { length };
            }
            match bytes > self.limit {
                true => Err(too_long()),
                false => Ok(Hits { hits, bytes }),
            }
        }
    }

    fn too_long() -> Error {
        Error::new(
            ErrorKind::Answer,
            "it has more than the 9 bytes that are read",
        )
    }

    impl Search for Fake {
        type Answer = Hits;

        async fn search(&self, ask: Ask) -> Result<Hits> {
            let left = (0..self.documents.len()).filter(|at| self.documents[*at].0 > self.behind);
            match ask {
                Ask::Page(size) => self.hits(left.take(size as usize), false),
                Ask::Bare(size) => self.hits(left.take(size as usize), true),
                Ask::One(key) => {
                    let is_it = |at: &usize| at.to_string() == key.id;
                    self.hits(left.filter(is_it), false)
                }
            }
        }
    }

    fn read(fake: &mut Fake, size: u32) -> Result<Vec<String>> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .build()
            .unwrap();
        runtime.block_on(async {
            let mut size = PageSize::new(size);
            let mut ids = Vec::new();
            loop {
                let page = next(fake, &mut size).await?;
                let Hits { hits, bytes } = page.answer;
                size.fit(hits.len(), bytes, fake.limit);
                ids.extend(hits.into_iter().map(|hit| hit.id));
                match page.after.filter(|_| !page.is_last) {
                    Some(after) => fake.behind = u32::try_from(after[0].as_u64().unwrap()).unwrap(),
                    None => return Ok(ids),
                }
            }
        })
    }

    proptest! {
        #[test]
        fn all_come_once_in_order(
            steps in proptest::collection::vec((0..2_u32, 1..1000_usize), 0..200),
            size in 1..300_u32,
        ) {
            let mut place = 1;
            let documents = steps.into_iter().map(|(step, length)| {
                place += step;
                (place, length)
            });
            let documents: Vec<_> = documents.collect();
            let count = documents.len();
            let ids = read(&mut Fake { documents, behind: 0, limit: 1000 }, size).unwrap();
            // Those of one place come in whatever order.
            let mut sorted = ids;
            sorted.sort_by_key(|id| id.parse::<usize>().unwrap());
            prop_assert_eq!(sorted, (0..count).map(|at| at.to_string()).collect::<Vec<_>>());
        }
    }

    #[test]
    fn one_that_is_too_long_alone_is_named() {
        let documents = vec![(1, 10), (2, 10), (3, 2000), (4, 10)];
        let mut fake = Fake {
            documents,
            behind: 0,
            limit: 1000,
        };
        let error = read(&mut fake, 100).unwrap_err();
        assert!(
            error
                .to_string()
                .starts_with("the document i/2 alone is too long"),
            "{error}"
        );
        assert_eq!(fake.behind, 2);
    }

    #[test]
    fn sizes_shrink_and_grow() {
        let mut size = PageSize::new(5000);
        assert!(size.shrink(&too_long()));
        assert_eq!(size.now(), 1250);
        size.fit(1250, 1250, 1 << 20);
        assert_eq!(size.now(), 2500);
        size.fit(2500, 2500 << 10, 1 << 20);
        assert_eq!(size.now(), 1024);
        // What indices give at once stays the same.
        let window = "this exceeds index.max_result_window";
        assert!(size.shrink(&Error::new(ErrorKind::Rejected, window)));
        size.fit(256, 256, 1 << 20);
        assert_eq!(size.now(), 256);
        assert!(!size.shrink(&Error::new(ErrorKind::Answer, "no JSON")));
    }
}
