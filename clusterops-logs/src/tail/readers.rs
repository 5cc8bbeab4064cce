//! The searches for pages of shards, several at once.

use std::collections::BTreeSet;
use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::timeout;

use super::Settings;
use super::exact::{Exact, since};
use super::follow::{Follow, Pass};
use super::slice::{Slice, SlicePage};
use super::token::Shard;
use crate::Result;

/// A page of a shard, and which slice it was asked for.
pub(super) type Read = (Shard, Pass, Result<SlicePage>);

/// The searches that are under way. One that takes long holds up no other shard: it goes on over several rounds.
#[derive(Debug, Default)]
pub(super) struct Readers {
    running: JoinSet<Read>,
    shards: BTreeSet<Shard>,
}

/// How many searches run at once.
const AT_ONCE: usize = 8;
/// About how many bytes a page may have.
const PAGE_BYTES: usize = 4 << 20;
/// How long is waited for more pages where there is one.
const LINGER: Duration = Duration::from_millis(100);

impl Readers {
    pub(super) fn are_reading(&self) -> bool {
        !self.running.is_empty()
    }

    /// The next page, if it comes within this time.
    async fn next(&mut self, within: Duration) -> Option<Read> {
        loop {
            match timeout(within, self.running.join_next()).await.ok()?? {
                Ok(read) => {
                    self.shards.remove(&read.0);
                    return Some(read);
                }
                // A search that panicked is one that did not happen. Which it was is not told; what is read twice counts
                // once.
                Err(_) => self.shards.clear(),
            }
        }
    }
}

impl Exact {
    /// The pages that come now.
    pub(super) async fn read_pages(&mut self, settings: &Settings) -> Vec<Read> {
        let from = self.turn.take();
        let all_fail = self.all_fail();
        let (later, first): (Vec<_>, Vec<_>) = self
            .follows
            .iter()
            .partition(|(shard, _)| from.as_ref().is_some_and(|from| *shard < from));
        let is_next = |(shard, follow): &(&Shard, &Follow)| {
            let is_reading = self.readers.shards.contains(*shard);
            follow.pass.is_some() && !is_reading && (all_fail || follow.is_due())
        };
        let waiting = first.into_iter().chain(later).filter(is_next);
        let waiting: Vec<Shard> = waiting.map(|(shard, _)| shard.clone()).collect();
        let mut waiting = waiting.into_iter();
        let mut pages = Vec::new();
        let mut documents = 0;
        loop {
            while self.readers.running.len() < AT_ONCE
                && documents < settings.batch
                && let Some(shard) = waiting.next()
            {
                let pass = self
                    .follows
                    .get(&shard)
                    .and_then(|follow| follow.pass.clone());
                let Some(pass) = pass else { continue };
                let slice = self.slice(settings, &shard, &pass.node, pass.cursor, pass.until);
                let client = settings.client.clone();
                self.readers.shards.insert(shard.clone());
                self.readers
                    .running
                    .spawn(async move { (shard, pass, slice.page(&client).await) });
            }
            // While none comes, others may have something to read.
            let within = match pages.is_empty() {
                true => settings.pause.max(LINGER),
                false => LINGER,
            };
            let Some(read) = self.readers.next(within).await else {
                break;
            };
            documents += read.2.as_ref().map_or(0, |page| page.hits.len());
            pages.push(read);
        }
        self.turn = waiting.next();
        pages
    }

    pub(super) fn slice(
        &self,
        settings: &Settings,
        shard: &Shard,
        node: &str,
        after: i64,
        until: i64,
    ) -> Slice {
        let position = self.follows.get(shard).map(|follow| &follow.position);
        let mut filters = vec![settings.query.clone()];
        filters.extend(position.and_then(|position| position.filter.clone()));
        let mut until = until;
        if let Some(backlog) = position.and_then(|position| position.backlog)
            && after < backlog
        {
            until = until.min(backlog);
            filters.push(since(settings));
        }
        Slice {
            index: position
                .map(|position| position.name.clone())
                .unwrap_or_default(),
            shard: shard.number,
            node: node.to_owned(),
            after,
            until,
            filters,
            wanted: settings.wanted.clone(),
            size: self.size(settings),
        }
    }

    /// How many documents a page is asked for.
    pub(super) fn size(&self, settings: &Settings) -> u32 {
        let most = match self.length {
            0 => 500,
            length => PAGE_BYTES / length,
        };
        u32::try_from(most.clamp(2, settings.batch.max(2))).unwrap_or(u32::MAX)
    }
}
