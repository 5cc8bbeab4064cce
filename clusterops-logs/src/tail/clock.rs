//! What time it is for the cluster, whatever this machine's clock says.

use jiff::{SignedDuration, Timestamp};
use serde_json::json;

use super::Settings;
use crate::search::Page;
use crate::{ErrorKind, Result};

/// How far the cluster's clock is from this machine's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Clock {
    /// Nobody has been asked who could tell.
    Unknown,
    /// The cluster does not tell.
    Untold,
    Apart(SignedDuration),
}

impl Settings {
    /// The present, by the cluster's clock where that is known.
    pub(super) fn now(&self) -> Timestamp {
        let now = Timestamp::now();
        match self.clock {
            Clock::Apart(span) => now.checked_add(span).unwrap_or(now),
            Clock::Unknown | Clock::Untold => now,
        }
    }

    /// Asks the cluster what time it is, as soon as there is an index that can be searched, and puts the tail's beginning on
    /// its clock.
    pub(super) async fn learn_clock(&mut self) -> Result<()> {
        if self.clock != Clock::Unknown {
            return Ok(());
        }
        // No document is looked at, and no field needed; the bound comes back as the time that it stands for.
        let range = json!({"field": self.wanted.time_field, "ranges": [{"from": "now"}]});
        let body = json!({
            "size": 0, "query": {"match_none": {}}, "aggs": {"clock": {"date_range": range}},
        });
        let answer = match self.client.send(self.search(&body)).await {
            Ok(answer) => answer,
            Err(error) if error.is_retryable() || error.kind() == ErrorKind::Connection => {
                return Err(error);
            }
            // What is wrong, the search for documents says; only what is refused for what it asks is not asked again.
            Err(error) => {
                if matches!(error.kind(), ErrorKind::Rejected | ErrorKind::NotFound) {
                    self.clock = Clock::Untold;
                }
                return Ok(());
            }
        };
        // Where shards fail, as with a field of another type, others tell.
        let page = Page::from_json(answer.body()).unwrap_or_default();
        if page.shards.total == 0 {
            return Ok(());
        }
        let told = page.aggregations.get("clock");
        let told = told.and_then(|clock| clock.pointer("/buckets/0/from")?.as_f64());
        let told = told.and_then(|millis| Timestamp::from_millisecond(millis as i64).ok());
        self.clock = match told {
            Some(told) => Clock::Apart(told.duration_since(Timestamp::now())),
            None if page.shards.failed > 0 => Clock::Unknown,
            None => Clock::Untold,
        };
        if !self.began_by_cluster && matches!(self.clock, Clock::Apart(_)) {
            let since = Timestamp::now().duration_since(self.began);
            self.began = self.now().checked_sub(since).unwrap_or(self.began);
            self.began_by_cluster = true;
        }
        Ok(())
    }
}
