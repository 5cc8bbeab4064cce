//! The body of a search.

use std::time::Duration;

use serde::{Serialize, Serializer, ser};
use serde_json::{Value, json};

use super::{Aggregation, Collapse, hit_options};
use crate::query::Scalar;
use crate::query::parts::{Json, Parts};
use crate::{Query, Result};

/// A search: a query, and what of its hits to give.
///
/// What is wrong with it, or with what it is made of, is the one error of [`check`](Self::check) and of serialising.
///
/// ```
/// use clusterops_logs::{Query, Search};
///
/// let search = Search::new(Query::match_all()).size(10);
/// assert_eq!(serde_json::to_string(&search).unwrap(), r#"{"query":{"match_all":{}},"size":10}"#);
///
/// let error = search.from(20).search_after([5]).sort("n").check().unwrap_err();
/// assert_eq!(error.to_string(), "search: `from` does not go with `search_after`: leave it out");
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct Search(Parts);

hit_options!(Search);

/// How far matches are counted.
///
/// ```
/// use clusterops_logs::search::TotalHits;
/// use clusterops_logs::{Query, Search};
///
/// let search = Search::new(Query::match_all()).track_total_hits(TotalHits::Exact);
/// assert_eq!(serde_json::to_value(&search)?["track_total_hits"], true);
/// # Ok::<_, serde_json::Error>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum TotalHits {
    /// All of them.
    Exact,
    /// Up to so many; servers count to 10,000 by default.
    UpTo(u32),
    /// Not at all: the cheapest.
    Off,
}

impl Search {
    /// A search for what the query finds, with the server's defaults.
    pub fn new(query: impl Into<Query>) -> Self {
        Self(Parts::new().with("query", query.into()))
    }

    /// How far matches are counted.
    #[must_use]
    pub fn track_total_hits(self, total: TotalHits) -> Self {
        match total {
            TotalHits::Exact => self.with("track_total_hits", true),
            TotalHits::UpTo(hits) => self.with("track_total_hits", hits),
            TotalHits::Off => self.with("track_total_hits", false),
        }
    }

    /// Goes on after the hit that was sorted by these values: those of its [`sort`](super::Hit::sort).
    #[must_use]
    pub fn search_after(self, values: impl IntoIterator<Item = impl Into<Scalar>>) -> Self {
        let values = values.into_iter().map(Into::<Scalar>::into);
        self.with("search_after", Json::list(values))
    }

    /// Searches a point in time, which then is held so much longer, in whole seconds (a part of one is rounded up). The
    /// request names no index.
    #[must_use]
    pub fn point_in_time(self, id: impl Into<String>, keep_alive: Duration) -> Self {
        self.with("pit", pit_member(&id.into(), keep_alive))
    }

    /// Gives only the part `id` of `of` parts that together are all.
    #[must_use]
    pub fn slice(mut self, id: u32, of: u32) -> Self {
        if of < 2 || id >= of {
            self.0.fail(format!(
                "search: there is no slice {id} of {of}: two parts at least, and the first is 0"
            ));
        }
        self.with("slice", Parts::new().with("id", id).with("max", of))
    }

    /// Gives only the first hit of each group.
    #[must_use]
    pub fn collapse(self, collapse: impl Into<Collapse>) -> Self {
        self.with("collapse", collapse.into())
    }

    /// Works something out over all that the query finds; the name is that of the result.
    #[must_use]
    pub fn aggregation(
        mut self,
        name: impl Into<String>,
        aggregation: impl Into<Aggregation>,
    ) -> Self {
        aggregation
            .into()
            .insert_into(&mut self.0, name.into(), None);
        self
    }

    /// Filters the hits and not what aggregations see.
    #[must_use]
    pub fn post_filter(self, query: impl Into<Query>) -> Self {
        self.with("post_filter", query.into())
    }

    /// The least score of a hit.
    #[must_use]
    pub fn min_score(self, score: f64) -> Self {
        self.with("min_score", score)
    }

    /// How long each shard searches at most; what is found by then is given and marked.
    #[must_use]
    pub fn timeout(self, limit: Duration) -> Self {
        self.with("timeout", time_value("timeout", limit))
    }

    /// How many documents each shard looks at; what is found by then is given and marked.
    #[must_use]
    pub fn terminate_after(self, documents: u32) -> Self {
        self.with("terminate_after", documents)
    }

    /// Whether scores are worked out although hits are sorted by something else.
    #[must_use]
    pub fn track_scores(self, track: bool) -> Self {
        self.with("track_scores", track)
    }

    /// Whether the answer tells where the time went.
    #[must_use]
    pub fn profile(self, tell: bool) -> Self {
        self.with("profile", tell)
    }

    /// Says what is wrong with it, if anything is.
    ///
    /// # Errors
    /// [`Input`](crate::ErrorKind::Input) for the first thing that no server would take.
    pub fn check(&self) -> Result<()> {
        self.json().check().map(drop)
    }

    /// Its JSON.
    ///
    /// # Errors
    /// That of [`check`](Self::check).
    pub fn to_json(&self) -> Result<Value> {
        self.json().check().cloned()
    }

    /// Whether its body has a member of this name, and not as `null`.
    pub(crate) fn has(&self, member: &str) -> bool {
        self.0.get(member).is_some_and(|value| !value.is_null())
    }

    /// Whether it is sorted by the place in the shards of a point in time.
    pub(crate) fn is_by_shard_doc(&self) -> bool {
        let is_it = |sort: &Value| match sort {
            Value::Object(sort) => sort.contains_key("_shard_doc"),
            sort => sort == "_shard_doc",
        };
        self.sorts().iter().any(is_it)
    }

    fn sorts(&self) -> &[Value] {
        match self.0.get("sort") {
            Some(Value::Array(sorts)) => sorts,
            Some(sort) => std::slice::from_ref(sort),
            None => &[],
        }
    }

    fn with(mut self, name: &str, value: impl Into<Json>) -> Self {
        self.0.set(name, value);
        self
    }

    fn json(&self) -> Json {
        Json::from(self.0.clone()).or_problem(self.conflict())
    }

    /// What does not go together.
    fn conflict(&self) -> Option<String> {
        if self.is_by_shard_doc() && !self.has("pit") {
            return Some(
                "search: `_shard_doc` is an order of points in time alone: `Client::open_pit` opens one".to_owned(),
            );
        }
        if self.has("slice") && !self.has("pit") {
            return Some(
                "search: a slice is a part of a point in time: `Client::open_pit` opens one"
                    .to_owned(),
            );
        }
        let after = self.0.get("search_after")?.as_array()?;
        if self.0.get("from").is_some_and(|from| from != 0) {
            return Some("search: `from` does not go with `search_after`: leave it out".to_owned());
        }
        let sorts = self.sorts();
        // Elasticsearch adds `_shard_doc` to the sort of a point in time.
        let implied = usize::from(self.0.get("pit").is_some());
        if after.is_empty() || !(sorts.len()..=sorts.len() + implied).contains(&after.len()) {
            return Some(format!(
                "search: `search_after` has {} values for a sort by {}",
                after.len(),
                sorts.len()
            ));
        }
        let field = self.0.get("collapse")?.get("field")?.as_str()?;
        let [sort] = sorts else {
            return Some(format!(
                "search: a collapse with `search_after` is sorted by `{field}` alone"
            ));
        };
        let sorted = match sort {
            Value::Object(sort) => sort.contains_key(field),
            sort => sort == field,
        };
        (!sorted)
            .then(|| format!("search: a collapse with `search_after` is sorted by `{field}` alone"))
    }
}

impl Serialize for Search {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let json = self.json();
        match json.problem() {
            Some(problem) => Err(ser::Error::custom(problem)),
            None => json.serialize(serializer),
        }
    }
}

/// The member `pit` of a body.
pub(crate) fn pit_member(id: &str, keep_alive: Duration) -> Value {
    json!({"id": id, "keep_alive": kept_alive(keep_alive)})
}

/// How long a point in time is held, as servers read it. They know no fractions, and longer is no harm, so it is rounded up.
pub(crate) fn kept_alive(span: Duration) -> String {
    let begun = u64::from(span.subsec_nanos() > 0);
    match span.as_secs().saturating_add(begun).max(1) {
        seconds if seconds.is_multiple_of(60) => format!("{}m", seconds / 60),
        seconds => format!("{seconds}s"),
    }
}

/// A span in the largest unit that writes it exactly ("Time units").
pub(crate) fn time_value(name: &str, span: Duration) -> Json {
    if span.is_zero() {
        return Json::invalid(format!("{name} is no time at all"));
    }
    let nanos = span.as_nanos();
    let units: [(&str, u128); 5] = [
        ("d", 86_400_000_000_000),
        ("h", 3_600_000_000_000),
        ("m", 60_000_000_000),
        ("s", 1_000_000_000),
        ("ms", 1_000_000),
    ];
    match units.iter().find(|(_, unit)| nanos.is_multiple_of(*unit)) {
        Some((letters, unit)) => format!("{}{letters}", nanos / unit).into(),
        None => Json::invalid(format!(
            "{name} is {span:?}, and a millisecond is the smallest unit"
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::search::Sort;

    #[test]
    fn documented_json() {
        // Elasticsearch Guide, "Paginate search results", "Search after".
        let search = Search::new(Query::matches("user.id", "elkbee"))
            .size(10_000)
            .point_in_time("46ToAwMDaWR5BXV1aWQy", Duration::from_secs(60))
            .sort(Sort::field("@timestamp").asc())
            .search_after([json!("2021-05-20T05:30:04.832Z"), json!(4_294_967_298_i64)])
            .track_total_hits(TotalHits::Off);
        let expected = json!({
            "size": 10000,
            "query": {"match": {"user.id": "elkbee"}},
            "pit": {"id": "46ToAwMDaWR5BXV1aWQy", "keep_alive": "1m"},
            "sort": [{"@timestamp": {"order": "asc"}}],
            "search_after": ["2021-05-20T05:30:04.832Z", 4_294_967_298_i64],
            "track_total_hits": false
        });
        assert_eq!(search.to_json().ok(), Some(expected));
    }

    #[test]
    fn members_are_known_however_they_were_set() {
        let search = Search::new(Query::match_all()).raw("terminate_after", json!(5));
        assert!(search.has("terminate_after") && !search.has("pit"));
        let search = search.point_in_time("a", Duration::from_secs(1));
        assert!(search.has("pit") && !search.raw("pit", Value::Null).has("pit"));
    }

    #[test]
    fn what_does_not_go_together_is_told() {
        let search = || Search::new(Query::match_all());
        let cases = [
            (
                search().search_after([1]),
                "`search_after` has 1 values for a sort by 0",
            ),
            (
                search().search_after([1, 2]).sort("n"),
                "`search_after` has 2 values for a sort by 1",
            ),
            (
                search().search_after([1]).sort("n").collapse("host"),
                "a collapse with `search_after` is sorted by `host` alone",
            ),
            (search().slice(2, 2), "there is no slice 2 of 2"),
            (search().slice(0, 2), "a slice is a part of a point in time"),
            (search().timeout(Duration::from_nanos(5)), "timeout is 5ns"),
        ];
        for (search, expected) in cases {
            let error = search.check().expect_err(expected).to_string();
            assert!(error.contains(expected), "{error}");
            assert!(serde_json::to_string(&search).is_err());
        }
        assert!(
            search()
                .search_after(["a"])
                .sort("host")
                .collapse("host")
                .check()
                .is_ok()
        );
        assert!(search().from(0).search_after([1]).sort("n").check().is_ok());
    }

    #[test]
    fn points_in_time_are_held_for_whole_seconds() {
        for (millis, expected) in [
            (0, "1s"),
            (1, "1s"),
            (1500, "2s"),
            (60_000, "1m"),
            (90_000, "90s"),
        ] {
            assert_eq!(kept_alive(Duration::from_millis(millis)), expected);
        }
    }

    #[test]
    fn spans_have_the_largest_exact_unit() {
        let cases = [
            (86_400_000, "1d"),
            (5_400_000, "90m"),
            (1500, "1500ms"),
            (30_000, "30s"),
        ];
        for (millis, expected) in cases {
            let json = time_value("timeout", Duration::from_millis(millis));
            assert_eq!(json.value(), expected);
        }
    }
}
