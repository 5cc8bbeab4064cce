//! A shard that is followed: what was handed over of it, and the slice that is being read.

use std::collections::VecDeque;
use std::time::Duration;

use tokio::time::Instant;

use super::slice::SlicePage;
use super::survey::{Primary, Survey};
use super::token::{Position, Shard};
use super::{Document, Notice, Settings};

/// A shard that is followed.
#[derive(Debug)]
pub(super) struct Follow {
    pub(super) position: Position,
    pub(super) pass: Option<Pass>,
    /// Whether it has no primary.
    pub(super) held: bool,
    /// How often in a row its searches have failed.
    failures: u32,
    /// From when on it is searched again.
    not_before: Option<Instant>,
    /// The last checkpoint that was seen.
    pub(super) seen: i64,
    /// Checkpoints that have not been shown to be searchable, each with the highest number given at that time.
    pub(super) readings: VecDeque<(i64, i64)>,
    /// What the last look without a refresh found.
    pub(super) looked: Option<(Primary, i64)>,
    /// Where it ends, once its index is not among those that are meant.
    pub(super) until: Option<i64>,
    /// Since when it is not read any more.
    pub(super) away: Option<Instant>,
    pub(super) deleted: bool,
}

/// How long a shard is left alone whose search has failed; it grows to the 64-fold.
const FIRST_PAUSE: Duration = Duration::from_millis(125);

/// A slice that is being read, page by page.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Pass {
    pub(super) node: String,
    pub(super) history: String,
    /// What has been read.
    pub(super) cursor: i64,
    /// Where it ends.
    pub(super) until: i64,
    /// Up to here nothing can be missing in it.
    pub(super) closes: i64,
}

impl Follow {
    pub(super) fn new(position: Position) -> Self {
        Self {
            seen: position.done,
            position,
            pass: None,
            held: false,
            failures: 0,
            not_before: None,
            readings: VecDeque::new(),
            looked: None,
            until: None,
            away: None,
            deleted: false,
        }
    }
    /// Up to which number there is something to read.
    pub(super) fn end(&self, primary: &Primary) -> i64 {
        self.until.unwrap_or(i64::MAX).min(primary.checkpoint)
    }

    /// Whether all is read that there was when its index ceased to be meant.
    pub(super) fn is_read(&self) -> bool {
        self.until.is_none_or(|until| self.position.done >= until)
    }

    /// Begins to read up to the primary's checkpoint. Up to `closes` nothing can be missing in what its node shows.
    pub(super) fn open(&mut self, primary: Primary, closes: i64) {
        let until = self.end(&primary);
        self.pass = Some(Pass {
            node: primary.node,
            history: primary.history,
            cursor: self.position.done,
            until,
            closes: closes.min(until),
        });
    }

    /// Gives up what is being read; what of it was not handed over is read anew.
    pub(super) fn give_up(&mut self) {
        self.pass = None;
        self.looked = None;
    }

    /// Whether what was just read came from the copy that is the primary.
    pub(super) fn is_where_it_was(&self, shard: &Shard, after: &Survey) -> bool {
        let Some(pass) = &self.pass else { return false };
        after.names.get(&shard.index) == Some(&self.position.name)
            && after
                .shards
                .get(shard)
                .is_some_and(|primary| primary.node == pass.node && primary.history == pass.history)
    }

    /// What there is to say once it has a primary, or has none.
    pub(super) fn hold(&mut self, shard: &Shard, why: Option<&str>) -> Option<Notice> {
        let was = std::mem::replace(&mut self.held, why.is_some());
        match why {
            Some(why) if !was => Some(self.held_since(shard, why.to_owned())),
            None if was => Some(self.released(shard)),
            _ => None,
        }
    }

    /// What there is to say once a search of it has worked.
    pub(super) fn works(&mut self, shard: &Shard) -> Option<Notice> {
        self.not_before = None;
        (std::mem::take(&mut self.failures) > 0).then(|| self.released(shard))
    }

    /// What there is to say once a search of it has failed; what is being read is asked for again after a while.
    pub(super) fn fails(&mut self, shard: &Shard, why: String) -> Option<Notice> {
        let pause = FIRST_PAUSE.saturating_mul(1 << self.failures.min(6));
        self.not_before = Some(Instant::now() + pause);
        self.failures = self.failures.saturating_add(1);
        (self.failures == 1).then(|| self.held_since(shard, why))
    }

    pub(super) fn is_failing(&self) -> bool {
        self.failures > 0
    }

    /// Whether it can be searched now, as far as is known.
    pub(super) fn is_due(&self) -> bool {
        self.not_before.is_none_or(|then| then <= Instant::now())
    }

    fn held_since(&self, shard: &Shard, why: String) -> Notice {
        Notice::Held {
            index: self.position.name.clone(),
            shard: shard.number,
            why,
        }
    }

    fn released(&self, shard: &Shard) -> Notice {
        Notice::Released {
            index: self.position.name.clone(),
            shard: shard.number,
        }
    }

    /// Moves the position behind a page, whose documents are handed over now.
    pub(super) fn apply(
        &mut self,
        shard: &Shard,
        page: SlicePage,
        settings: &Settings,
        documents: &mut Vec<Document>,
    ) {
        let Some(pass) = &mut self.pass else { return };
        let position = &mut self.position;
        let mut ahead = Vec::new();
        for (number, hit) in page.hits {
            if number <= position.done || position.ahead.contains(&number) {
                continue;
            }
            if number > pass.closes {
                ahead.push(number);
            }
            let document = Document::of(hit, Some(shard.number), &settings.wanted.time_field);
            documents.push(document);
        }
        position.ahead.extend(ahead);
        position.done = position.done.max(page.whole_to.min(pass.closes));
        position.ahead = position.ahead.split_off(&(position.done + 1));
        if position
            .backlog
            .is_some_and(|backlog| backlog <= position.done)
        {
            position.backlog = None;
        }
        pass.cursor = page.whole_to;
        if pass.cursor >= pass.until {
            self.pass = None;
        }
    }
}
