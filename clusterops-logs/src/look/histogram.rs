//! How many, over time.

use std::time::Duration;

use jiff::Timestamp;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::{Drawing, Look, read};
use crate::{Error, ErrorKind, Result};

/// The most intervals of one histogram; servers refuse more than some ten thousand (`search.max_buckets`).
const MOST: u64 = 10_000;

const SECOND: u64 = 1000;
const MINUTE: u64 = 60 * SECOND;
const HOUR: u64 = 60 * MINUTE;
const DAY: u64 = 24 * HOUR;

/// Intervals that people read well, in milliseconds.
const LADDER: [u64; 33] = [
    1,
    2,
    5,
    10,
    20,
    50,
    100,
    200,
    500,
    SECOND,
    2 * SECOND,
    5 * SECOND,
    10 * SECOND,
    15 * SECOND,
    30 * SECOND,
    MINUTE,
    2 * MINUTE,
    5 * MINUTE,
    10 * MINUTE,
    15 * MINUTE,
    30 * MINUTE,
    HOUR,
    2 * HOUR,
    3 * HOUR,
    6 * HOUR,
    12 * HOUR,
    DAY,
    2 * DAY,
    7 * DAY,
    14 * DAY,
    30 * DAY,
    90 * DAY,
    365 * DAY,
];

/// How many documents there are in each interval of time.
///
/// ```
/// use std::time::Duration;
/// use clusterops_logs::look::{Bucket, Histogram};
///
/// let bucket = |second, count| Bucket { start: jiff::Timestamp::from_second(second).unwrap(), count };
/// let histogram = Histogram {
///     interval: Duration::from_secs(60),
///     buckets: vec![bucket(0, 4), bucket(60, 0), bucket(120, 8)],
/// };
/// assert_eq!(histogram.total(), 12);
/// println!("{}", histogram.draw(40, 4));
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Histogram {
    /// How long each interval is.
    pub interval: Duration,
    /// The intervals without a gap, the earliest first; none where there are no documents.
    pub buckets: Vec<Bucket>,
}

/// An interval, and how many documents it has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bucket {
    /// When it begins.
    pub start: Timestamp,
    /// How many documents it has.
    pub count: u64,
}

impl Histogram {
    /// How many documents all intervals have.
    pub fn total(&self) -> u64 {
        self.buckets
            .iter()
            .fold(0, |sum: u64, bucket| sum.saturating_add(bucket.count))
    }

    /// Draws it so many columns wide, with bars so many lines high. [`Drawing`] can do more.
    pub fn draw(&self, width: usize, height: usize) -> String {
        Drawing::new(width, height).draw(self)
    }
}

#[derive(Deserialize)]
struct Metric {
    value: Option<f64>,
}

#[derive(Deserialize)]
struct Times {
    buckets: Vec<Found>,
}

#[derive(Deserialize)]
struct Found {
    key: f64,
    doc_count: u64,
}

impl Look {
    /// How many documents there are over time, in so many intervals at most, from the first document to the last.
    ///
    /// The interval is one that people read well, such as 5 minutes or 2 days; intervals begin at its multiples in UTC.
    ///
    /// # Errors
    /// What the server says.
    pub async fn histogram(&self, most: usize) -> Result<Histogram> {
        let Some((first, last)) = self.span().await? else {
            let interval = Duration::from_secs(1);
            return Ok(Histogram {
                interval,
                buckets: Vec::new(),
            });
        };
        let most = u64::try_from(most).unwrap_or(MOST);
        self.histogram_in(first, last, interval_for(first, last, most))
            .await
    }

    /// How many documents there are in intervals of this length.
    ///
    /// # Errors
    /// [`Input`](ErrorKind::Input) for an interval below a millisecond, or one that gives more than 10,000 of them; and
    /// what the server says.
    pub async fn histogram_by(&self, interval: Duration) -> Result<Histogram> {
        let length = u64::try_from(interval.as_millis()).unwrap_or(u64::MAX);
        if length == 0 {
            let message = "an interval of a histogram has a millisecond at least";
            return Err(Error::new(ErrorKind::Input, message));
        }
        let Some((first, last)) = self.span().await? else {
            return Ok(Histogram {
                interval,
                buckets: Vec::new(),
            });
        };
        let number = last.abs_diff(first) / length + 2;
        if number > MOST {
            let message = format!(
                "{number} intervals are more than the {MOST} that a histogram has at most; take longer ones"
            );
            return Err(Error::new(ErrorKind::Input, message));
        }
        self.histogram_in(first, last, length).await
    }

    /// When the first and the last document are, in milliseconds.
    async fn span(&self) -> Result<Option<(i64, i64)>> {
        let page = self.search(self.span_body()?).await?;
        let metric = |name: &str| match page.aggregations.get(name) {
            Some(found) => read::<Metric>(found).map(|metric| metric.value),
            None => Ok(None),
        };
        Ok(match (metric("first")?, metric("last")?) {
            // A float holds the milliseconds of all dates that servers know.
            (Some(first), Some(last)) => Some((first.floor() as i64, last.floor() as i64)),
            _ => None,
        })
    }

    /// The body of the first search for a histogram, for those who want to see it before it is sent. The second one counts,
    /// in intervals that fit the times which the first one finds.
    ///
    /// # Errors
    /// [`Input`](ErrorKind::Input) for a query that no server would take.
    pub fn histogram_search(&self) -> Result<Value> {
        self.span_body().map(Value::Object)
    }

    fn span_body(&self) -> Result<Map<String, Value>> {
        let of = |metric: &str| json!({metric: {"field": self.time_field}});
        self.counting(json!({"first": of("min"), "last": of("max")}))
    }

    async fn histogram_in(&self, first: i64, last: i64, interval: u64) -> Result<Histogram> {
        let name = match self.client.server().await {
            Ok(server) if !server.has_fixed_interval() => "interval",
            // Who may search need not be allowed to ask what it is.
            Err(error) if error.kind() != ErrorKind::Denied => return Err(error),
            _ => "fixed_interval",
        };
        let found = self.buckets(name, interval).await?;
        let step = i64::try_from(interval).unwrap_or(i64::MAX);
        let start = |at: i64| at.div_euclid(step).saturating_mul(step);
        let mut buckets = Vec::new();
        let mut counts = found
            .iter()
            .map(|bucket| (bucket.key as i64, bucket.doc_count))
            .peekable();
        // Documents may have come or gone since the first and the last were asked for.
        let mut at = counts
            .peek()
            .map_or(start(first), |(key, _)| (*key).min(start(first)));
        let last = found
            .last()
            .map_or(start(last), |bucket| (bucket.key as i64).max(start(last)));
        while at <= last && buckets.len() < 2 * MOST as usize {
            let count = counts
                .next_if(|(key, _)| *key == at)
                .map_or(0, |(_, count)| count);
            let Ok(start) = Timestamp::from_millisecond(at) else {
                break;
            };
            buckets.push(Bucket { start, count });
            at = at.saturating_add(step);
        }
        Ok(Histogram {
            interval: Duration::from_millis(interval),
            buckets,
        })
    }

    async fn buckets(&self, name: &str, interval: u64) -> Result<Vec<Found>> {
        // The gaps are filled here: a server counts them as buckets too.
        let times =
            json!({"field": self.time_field, name: format!("{interval}ms"), "min_doc_count": 1});
        let body = self.counting(json!({"times": {"date_histogram": times}}))?;
        let page = self.search(body).await?;
        match page.aggregations.get("times") {
            Some(found) => read::<Times>(found).map(|times| times.buckets),
            None => Ok(Vec::new()),
        }
    }
}

/// The shortest interval that people read well and of which so many are enough.
fn interval_for(first: i64, last: i64, most: u64) -> u64 {
    let most = most.clamp(1, MOST);
    let span = last.abs_diff(first);
    if span == 0 {
        return SECOND;
    }
    let needed = |interval: u64| {
        let interval = i64::try_from(interval).unwrap_or(i64::MAX);
        last.div_euclid(interval)
            .abs_diff(first.div_euclid(interval))
            + 1
    };
    let fitting = LADDER
        .into_iter()
        .find(|interval| needed(*interval) <= most);
    // Where no border may lie between the two, twice their span can still have one.
    fitting.unwrap_or_else(|| {
        let year = 365 * DAY;
        (span / most / year + 1).saturating_mul(year)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn intervals_are_those_people_read() {
        let hour = HOUR as i64;
        assert_eq!(interval_for(0, hour, 60), 2 * MINUTE);
        assert_eq!(interval_for(0, hour - 1, 60), MINUTE);
        assert_eq!(interval_for(0, 30 * 24 * hour, 80), 12 * HOUR);
        assert_eq!(interval_for(5, 5, 80), SECOND);
        assert_eq!(interval_for(-1, 1, 80), 1);
    }

    proptest! {
        #[test]
        fn an_interval_is_long_enough(first in -10_000_000_000_000i64..10_000_000_000_000, span in 0i64..5_000_000_000_000, most in 3u64..300) {
            let last = first + span;
            let interval = interval_for(first, last, most) as i64;
            prop_assert!(last.div_euclid(interval) - first.div_euclid(interval) < most as i64 + 1);
        }

        #[test]
        fn no_span_panics(first: i64, last: i64, most: u64) {
            prop_assert!(interval_for(first, last, most) > 0);
        }
    }
}
