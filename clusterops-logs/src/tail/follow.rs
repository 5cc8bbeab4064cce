//! A shard that is followed: what was handed over of it, and the slice that is being read.

use std::collections::VecDeque;

use tokio::time::Instant;

use super::slice::SlicePage;
use super::survey::{Primary, Survey};
use super::token::{Position, Shard};
use super::{Document, Notice, Settings};
use crate::Error;

/// A shard that is followed.
#[derive(Debug)]
pub(super) struct Follow {
    pub(super) position: Position,
    pub(super) pass: Option<Pass>,
    /// Whether it has no primary.
    pub(super) held: bool,
    /// Whether its searches fail.
    pub(super) failing: bool,
    /// The last checkpoint that was seen.
    pub(super) seen: i64,
    /// Checkpoints that have not been shown to be searchable, each with the highest number given at that time.
    pub(super) readings: VecDeque<(i64, i64)>,
    /// What the last look without a refresh found.
    pub(super) looked: Option<(Primary, i64)>,
    /// Since when its index is not among those that are meant.
    pub(super) away: Option<Instant>,
    pub(super) deleted: bool,
}

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
            failing: false,
            readings: VecDeque::new(),
            looked: None,
            away: None,
            deleted: false,
        }
    }
    /// Begins to read up to the primary's checkpoint. Up to `closes` nothing can be missing in what its node shows.
    pub(super) fn open(&mut self, primary: Primary, closes: i64) {
        self.pass = Some(Pass {
            node: primary.node,
            history: primary.history,
            cursor: self.position.done,
            until: primary.checkpoint,
            closes,
        });
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

    /// What there is to say once a search of it has worked.
    pub(super) fn works(&mut self, shard: &Shard) -> Option<Notice> {
        std::mem::take(&mut self.failing).then(|| Notice::Released {
            index: self.position.name.clone(),
            shard: shard.number,
        })
    }

    /// Gives up what is being read, and says what there is to say about it.
    pub(super) fn fails(&mut self, shard: &Shard, error: &Error) -> Option<Notice> {
        self.pass = None;
        let is_new = error.is_retryable() && !std::mem::replace(&mut self.failing, true);
        is_new.then(|| Notice::Held {
            index: self.position.name.clone(),
            shard: shard.number,
            why: error.to_string(),
        })
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
