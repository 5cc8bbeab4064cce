//! One page of an export, as the server sent it.

use std::borrow::Cow;
use std::fmt;
use std::ops::Range;

use clusterops_core::http::HttpResponse;
use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;

use super::Token;
use crate::places;
use crate::search::{Clusters, Shards, shortfall_of};
use crate::{Error, ErrorKind, Result};

/// A page: the server's answer as it came, and where in it the hits stand.
///
/// It is what [`Pages::next`](super::Pages::next) gives.
pub struct Page {
    pub(super) answer: Answer,
    pub(super) slice: usize,
    pub(super) token: Token,
}

/// A document of a page, which borrows from it.
///
/// ```
/// # use clusterops_logs::export::Hit;
/// fn show(hit: Hit<'_>) {
///     println!("{} {}", hit.id(), String::from_utf8_lossy(hit.source()));
/// }
/// ```
#[derive(Clone, Copy)]
pub struct Hit<'a> {
    body: &'a [u8],
    spans: &'a Spans,
}

impl Page {
    /// The documents, in order.
    pub fn hits(&self) -> impl ExactSizeIterator<Item = Hit<'_>> {
        self.answer.hits()
    }

    /// How many documents it has.
    pub fn len(&self) -> usize {
        self.answer.spans.len()
    }

    /// Whether it has none.
    pub fn is_empty(&self) -> bool {
        self.answer.spans.is_empty()
    }

    /// Which slice it is of, from 0 on.
    pub fn slice(&self) -> usize {
        self.slice
    }

    /// Where the export stands once this page and all before it are finished with.
    pub fn token(&self) -> &Token {
        &self.token
    }

    /// How many bytes the server's answer has.
    pub fn bytes(&self) -> usize {
        self.answer.bytes()
    }
}

impl fmt::Debug for Page {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Page({} hits, {} bytes)", self.len(), self.bytes())
    }
}

impl<'a> Hit<'a> {
    /// The index it stands in.
    pub fn index(&self) -> Cow<'a, str> {
        self.text(&self.spans.index)
    }

    /// Its id.
    pub fn id(&self) -> Cow<'a, str> {
        self.text(&self.spans.id)
    }

    /// The document itself, the bytes as the server sent them; `{}` where the index keeps none.
    pub fn source(&self) -> &'a [u8] {
        match self.spans.source.len() {
            0 => b"{}",
            _ => self.bytes(&self.spans.source),
        }
    }

    /// The whole hit, the bytes as the server sent them.
    pub fn whole(&self) -> &'a [u8] {
        self.bytes(&self.spans.whole)
    }

    /// The hit as searches give it, which owns what it has.
    ///
    /// # Errors
    /// [`Answer`](ErrorKind::Answer) where a member of it is of another type than servers give it.
    pub fn to_hit(&self) -> Result<crate::Hit> {
        crate::Hit::read(self.whole())
    }

    fn bytes(&self, span: &Range<u32>) -> &'a [u8] {
        self.body
            .get(span.start as usize..span.end as usize)
            .unwrap_or_default()
    }

    fn text(&self, span: &Range<u32>) -> Cow<'a, str> {
        let raw = self.bytes(span);
        // Almost always there is nothing to unescape.
        match raw {
            [b'"', inner @ .., b'"'] if !inner.contains(&b'\\') => String::from_utf8_lossy(inner),
            _ => Cow::Owned(serde_json::from_slice(raw).unwrap_or_default()),
        }
    }
}

impl fmt::Debug for Hit<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Hit({}/{})", self.index(), self.id())
    }
}

/// An answer that has been read.
pub(super) struct Answer {
    body: Body,
    spans: Vec<Spans>,
    /// The id to ask the same point in time with next.
    pub(super) pit_id: Option<String>,
    /// Which point in time it is of.
    pub(super) generation: u64,
}

enum Body {
    Answer(HttpResponse),
    /// What was put together of several answers.
    Text(Vec<u8>),
}

/// Where in the body the parts of a hit stand; empty for what it lacks.
#[derive(Debug, Clone, Default)]
struct Spans {
    whole: Range<u32>,
    index: Range<u32>,
    id: Range<u32>,
    source: Range<u32>,
    sort: Range<u32>,
}

#[derive(Deserialize)]
struct RawAnswer<'a> {
    #[serde(borrow)]
    pit_id: Option<Cow<'a, str>>,
    #[serde(default)]
    timed_out: bool,
    #[serde(rename = "_shards", default)]
    shards: Shards,
    #[serde(rename = "_clusters")]
    clusters: Option<Clusters>,
    #[serde(borrow)]
    hits: RawHits<'a>,
}

#[derive(Deserialize)]
struct RawHits<'a> {
    #[serde(borrow)]
    hits: Vec<&'a RawValue>,
}

#[derive(Deserialize)]
struct RawHit<'a> {
    #[serde(rename = "_index", borrow)]
    index: &'a RawValue,
    #[serde(rename = "_id", borrow)]
    id: Option<&'a RawValue>,
    #[serde(rename = "_source", borrow)]
    source: Option<&'a RawValue>,
    #[serde(borrow)]
    sort: Option<&'a RawValue>,
}

impl Answer {
    /// Reads an answer to a search, which has to cover everything.
    pub(super) fn read(answer: HttpResponse) -> Result<Self> {
        let name = answer.request().to_owned();
        Self::of(Body::Answer(answer), &name)
    }

    fn of(body: Body, name: &str) -> Result<Self> {
        let bytes = body.bytes();
        let unreadable = || {
            let message = format!("{name}: the answer is not that of a search");
            Error::new(ErrorKind::Answer, message)
        };
        if u32::try_from(bytes.len()).is_err() {
            return Err(unreadable());
        }
        let raw: RawAnswer<'_> = serde_json::from_slice(bytes).map_err(|_| unreadable())?;
        let lack = shortfall_of(
            "the page of hits",
            raw.timed_out,
            &raw.shards,
            raw.clusters.as_ref(),
        );
        if let Some(error) = lack {
            return Err(error);
        }
        let mut spans = Vec::with_capacity(raw.hits.hits.len());
        for whole in raw.hits.hits {
            let hit: RawHit<'_> = serde_json::from_str(whole.get()).map_err(|_| unreadable())?;
            let span = |part: Option<&RawValue>| part.map_or(0..0, |part| place(bytes, part.get()));
            spans.push(Spans {
                whole: span(Some(whole)),
                index: span(Some(hit.index)),
                id: span(hit.id),
                source: span(hit.source),
                sort: span(hit.sort),
            });
        }
        let pit_id = raw.pit_id.map(Cow::into_owned);
        Ok(Self {
            body,
            spans,
            pit_id,
            generation: 0,
        })
    }

    pub(super) fn hits(&self) -> impl ExactSizeIterator<Item = Hit<'_>> {
        let body = self.body();
        self.spans.iter().map(move |spans| Hit { body, spans })
    }

    fn body(&self) -> &[u8] {
        self.body.bytes()
    }

    /// How many bytes it has.
    pub(super) fn bytes(&self) -> usize {
        self.body().len()
    }
}

impl places::Answer for Answer {
    fn len(&self) -> usize {
        self.spans.len()
    }

    fn to_hits(&self) -> Result<Vec<crate::Hit>> {
        self.hits().map(|hit| hit.to_hit()).collect()
    }

    fn last_sort(&self) -> Option<Vec<Value>> {
        let body = self.body();
        let last = Hit {
            body,
            spans: self.spans.last()?,
        };
        serde_json::from_slice(last.bytes(&last.spans.sort)).ok()
    }

    fn drop_last_place(&mut self) -> bool {
        let body = self.body.bytes();
        let Some(last) = self.spans.last().map(|spans| sort_of(body, spans)) else {
            return false;
        };
        let keep = self
            .spans
            .iter()
            .rposition(|spans| sort_of(body, spans) != last);
        match keep {
            Some(keep) => {
                self.spans.truncate(keep + 1);
                true
            }
            None => false,
        }
    }

    fn append(&mut self, other: Self) -> Result<()> {
        let whole = [self.body(), other.body()].concat();
        let Ok(moved) = u32::try_from(self.bytes()) else {
            return Err(too_long());
        };
        if u32::try_from(whole.len()).is_err() {
            return Err(too_long());
        }
        let spans = other.spans.into_iter();
        self.spans.extend(spans.map(|spans| spans.moved_by(moved)));
        self.body = Body::Text(whole);
        self.pit_id = other.pit_id;
        self.generation = other.generation;
        Ok(())
    }
}

fn too_long() -> Error {
    let message = "the documents at one place of the order are more than 4 GiB together; export fewer indices at a time";
    Error::new(ErrorKind::Rejected, message)
}

impl Spans {
    /// The same parts, so many bytes further on.
    fn moved_by(self, bytes: u32) -> Self {
        let moved = |span: Range<u32>| span.start + bytes..span.end + bytes;
        Self {
            whole: moved(self.whole),
            index: moved(self.index),
            id: moved(self.id),
            source: moved(self.source),
            sort: moved(self.sort),
        }
    }
}

impl Body {
    fn bytes(&self) -> &[u8] {
        match self {
            Self::Answer(answer) => answer.body(),
            Self::Text(text) => text,
        }
    }
}

/// A hit's place in the order, as it is written.
fn sort_of<'a>(body: &'a [u8], spans: &'a Spans) -> &'a [u8] {
    Hit { body, spans }.bytes(&spans.sort)
}

/// Where a part stands in the whole that it was borrowed from.
fn place(whole: &[u8], part: &str) -> Range<u32> {
    let start = (part.as_ptr() as usize).wrapping_sub(whole.as_ptr() as usize);
    let at = |place: usize| u32::try_from(place).unwrap_or_default();
    at(start)..at(start.saturating_add(part.len()))
}

#[cfg(test)]
pub(super) mod tests {
    #![expect(clippy::unwrap_used, reason = "a test that fails says where")]
    use super::*;
    use crate::places::Answer as _;
    use proptest::prelude::*;

    pub(in crate::export) fn answer(text: &str) -> Result<Answer> {
        Answer::of(Body::Text(text.as_bytes().to_vec()), "POST /_search")
    }

    pub(in crate::export) fn one(source: &str) -> Answer {
        answer(&format!(
            r#"{{"hits":{{"hits":[{{"_index":"logs","_id":"1","_source":{source},"sort":[1]}}]}}}}"#
        ))
        .unwrap()
    }

    #[test]
    fn parts_are_the_bytes_that_came() {
        let text = r#"{"took":1,"timed_out":false,"_shards":{"failed":0},"pit_id":"p=","hits":{"total":{"value":2},
            "hits":[{"_index":"a\"b","_id":"1","_score":null,"_source":{ "n" : 1.50 },"sort":[1,"a"]},
                    {"_index":"b","_id":"2","sort":[2,"b"]}]}}"#;
        let answer = answer(text).unwrap();
        let hits: Vec<Hit<'_>> = answer.hits().collect();
        assert_eq!(hits[0].index(), "a\"b");
        assert_eq!(hits[0].source(), br#"{ "n" : 1.50 }"#);
        assert_eq!(hits[1].source(), b"{}");
        assert!(hits[1].whole().ends_with(br#""sort":[2,"b"]}"#));
        assert_eq!(answer.last_sort().unwrap(), [Value::from(2), "b".into()]);
        assert_eq!(answer.pit_id.as_deref(), Some("p="));
    }

    #[test]
    fn answers_that_are_not_whole_are_errors() {
        for text in [
            r#"{"timed_out":true,"hits":{"hits":[]}}"#,
            r#"{"_shards":{"failed":1},"hits":{"hits":[]}}"#,
            r#"{"_clusters":{"total":2,"successful":1,"skipped":1},"hits":{"hits":[]}}"#,
        ] {
            assert_eq!(answer(text).err().unwrap().kind(), ErrorKind::Partial);
        }
        assert_eq!(answer("{}").err().unwrap().kind(), ErrorKind::Answer);
    }

    #[test]
    fn the_last_place_is_dropped_whole() {
        let hits = |sorts: &[u32]| {
            let hits: Vec<String> = sorts
                .iter()
                .map(|sort| format!(r#"{{"_index":"i","_id":"x","sort":[{sort}]}}"#))
                .collect();
            answer(&format!(r#"{{"hits":{{"hits":[{}]}}}}"#, hits.join(","))).unwrap()
        };
        let mut page = hits(&[1, 2, 3, 3]);
        assert!(page.drop_last_place());
        assert_eq!(page.len(), 2);
        let mut page = hits(&[3, 3]);
        assert!(!page.drop_last_place());
        assert_eq!(page.len(), 2);
        assert!(!hits(&[]).drop_last_place());
    }

    #[test]
    fn answers_that_are_put_together_keep_their_hits() {
        let mut page = one(r#"{"n":1}"#);
        page.append(one(r#"{"long":[1,2]}"#)).unwrap();
        let sources = page
            .hits()
            .map(|hit| String::from_utf8_lossy(hit.source()).into_owned());
        assert_eq!(
            sources.collect::<Vec<_>>(),
            [r#"{"n":1}"#, r#"{"long":[1,2]}"#]
        );
        assert_eq!(page.last_sort().unwrap(), [Value::from(1)]);
    }

    proptest! {
        #[test]
        fn nothing_that_is_sent_panics(text in ".{0,200}", sort in r#"[\[\]{}",0-9a-z]{0,20}"#) {
            let _ = answer(&text);
            let text = format!(r#"{{"hits":{{"hits":[{{"_index":{sort:?},"_id":1,"_source":{sort},"sort":{sort}}}]}}}}"#);
            if let Ok(mut answer) = answer(&text) {
                answer.hits().for_each(|hit| { let _ = format!("{hit:?} {:?}", hit.source()); });
                let _ = answer.last_sort();
                answer.drop_last_place();
            }
        }
    }
}
