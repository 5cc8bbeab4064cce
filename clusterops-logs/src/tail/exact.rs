//! Rounds by checkpoints.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use serde_json::json;
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::adopt::Index;
use super::follow::Follow;
use super::refresh::refresh;
use super::slice::{Slice, SlicePage};
use super::survey::{Primary, Survey};
use super::token::{Position, Shard};
use super::{Found, Notice, Settings, Since};
use crate::{ErrorKind, Result};

/// What is known of the shards that are followed.
#[derive(Debug, Default)]
pub(super) struct Exact {
    pub(super) follows: BTreeMap<Shard, Follow>,
    /// By uuid.
    pub(super) indices: HashMap<String, Index>,
    /// Whether the indices that were there at the beginning are known.
    pub(super) begun: bool,
    /// When aliases were looked at.
    pub(super) reached: Option<Instant>,
    pub(super) nothing_told: bool,
    /// The survey that ended the last round, and when it was made.
    last: Option<(Instant, Survey)>,
    no_refresh: bool,
    /// About how long a document is, in bytes.
    length: usize,
}

/// How many searches run at once.
const AT_ONCE: usize = 8;
/// About how many bytes a page may have.
const PAGE_BYTES: usize = 4 << 20;
/// How many checkpoints wait to be closed by what searches show.
const READINGS: usize = 64;

impl Exact {
    pub(super) fn continued(shards: BTreeMap<Shard, Position>) -> Self {
        let follow = |(shard, position)| (shard, Follow::new(position));
        Self {
            follows: shards.into_iter().map(follow).collect(),
            begun: true,
            ..Self::default()
        }
    }

    /// Whether nothing has been read yet.
    pub(super) fn is_fresh(&self) -> bool {
        self.follows.is_empty()
    }

    pub(super) fn positions(&self) -> BTreeMap<Shard, Position> {
        let position =
            |(shard, follow): (&Shard, &Follow)| (shard.clone(), follow.position.clone());
        self.follows.iter().map(position).collect()
    }

    /// One page of each shard that has something to read. Nothing is moved before the last wait.
    pub(super) async fn round(
        &mut self,
        settings: &Settings,
        notices: &mut Vec<Notice>,
    ) -> Result<Found> {
        let survey = match self.last.take() {
            Some((made, survey)) if made.elapsed() < settings.pause / 4 => survey,
            _ => Survey::read(&settings.client, &settings.indices).await?,
        };
        self.adopt(settings, &survey, notices).await?;
        self.check(&survey, notices);
        self.open_passes(settings, &survey, notices).await?;
        let mut pages = self.read_pages(settings).await;
        if pages.is_empty() {
            return Ok(Found {
                idle: true,
                ..Found::default()
            });
        }
        let after = Survey::read(&settings.client, &settings.indices).await?;
        // From here on nothing waits: what is moved is handed over.
        let mut found = Found::default();
        let mut failure = None;
        for (shard, outcome) in pages.drain(..) {
            let Some(follow) = self.follows.get_mut(&shard) else {
                continue;
            };
            if !follow.is_where_it_was(&shard, &after) {
                // It moved meanwhile: its checkpoint is read again.
                follow.pass = None;
                continue;
            }
            match outcome {
                Ok(page) => {
                    notices.extend(follow.works(&shard));
                    if !page.hits.is_empty() {
                        self.length = page.bytes / page.hits.len();
                    }
                    follow.apply(&shard, page, settings, &mut found.documents);
                }
                Err(error) => {
                    notices.extend(follow.fails(&shard, &error));
                    failure = Some(error);
                }
            }
        }
        self.last = Some((Instant::now(), after));
        match failure {
            Some(error) if found.documents.is_empty() => Err(error),
            _ => Ok(found),
        }
    }

    /// Compares the positions with what the primaries say.
    fn check(&mut self, survey: &Survey, notices: &mut Vec<Notice>) {
        for (shard, follow) in &mut self.follows {
            if !survey.names.contains_key(&shard.index) {
                // Whether it is closed or gone has been told.
                follow.pass = None;
                continue;
            }
            let (index, number) = (follow.position.name.clone(), shard.number);
            let Some(primary) = survey.shards.get(shard) else {
                follow.pass = None;
                if !std::mem::replace(&mut follow.held, true) {
                    let why = "it has no primary that works".to_owned();
                    notices.push(Notice::Held {
                        index,
                        shard: number,
                        why,
                    });
                }
                continue;
            };
            if std::mem::take(&mut follow.held) {
                notices.push(Notice::Released {
                    index: index.clone(),
                    shard: number,
                });
            }
            follow.seen = primary.checkpoint;
            let why = if primary.history != follow.position.history {
                "it has another history, since its copies were lost or given up"
            } else if primary.checkpoint < follow.position.done {
                "its checkpoint lies below what was read of it"
            } else {
                if follow
                    .pass
                    .as_ref()
                    .is_some_and(|pass| pass.node != primary.node)
                {
                    follow.pass = None;
                }
                continue;
            };
            let position = Position {
                name: index.clone(),
                history: primary.history.clone(),
                done: -1,
                backlog: None,
                ahead: BTreeSet::new(),
            };
            *follow = Follow::new(position);
            notices.push(Notice::Restarted {
                index,
                shard: number,
                why: why.to_owned(),
            });
        }
    }

    /// Makes what lies below the checkpoints searchable, where something does.
    async fn open_passes(
        &mut self,
        settings: &Settings,
        survey: &Survey,
        notices: &mut Vec<Notice>,
    ) -> Result<()> {
        let mut moved: Vec<(Shard, Primary)> = Vec::new();
        for (shard, follow) in &self.follows {
            if let Some(primary) = survey.shards.get(shard)
                && follow.pass.is_none()
                && primary.checkpoint > follow.position.done
            {
                moved.push((shard.clone(), primary.clone()));
            }
        }
        if !self.no_refresh && !moved.is_empty() {
            let names: BTreeSet<&str> = moved
                .iter()
                .filter_map(|(shard, _)| survey.names.get(&shard.index))
                .map(String::as_str)
                .collect();
            match refresh(&settings.client, names).await {
                Ok(failed) => {
                    moved.retain(|(shard, _)| {
                        let name = survey.names.get(&shard.index).cloned();
                        name.is_some_and(|name| !failed.contains(&(name, shard.number)))
                    });
                    for (shard, primary) in moved {
                        if let Some(follow) = self.follows.get_mut(&shard) {
                            let closes = primary.checkpoint;
                            follow.open(primary, closes);
                        }
                    }
                    return Ok(());
                }
                Err(error) if error.kind() == ErrorKind::Denied => {
                    self.no_refresh = true;
                    let why = error.to_string();
                    notices.push(Notice::NoRefresh { why });
                }
                Err(error) => return Err(error),
            }
        }
        for (shard, primary) in moved {
            self.look(settings, &shard, primary).await?;
        }
        Ok(())
    }

    /// Opens a pass without a refresh: it closes what the highest number that searches show proves to be there.
    async fn look(&mut self, settings: &Settings, shard: &Shard, primary: Primary) -> Result<()> {
        let slice = self.slice(settings, shard, &primary.node, -1, -1);
        let Some(follow) = self.follows.get_mut(shard) else {
            return Ok(());
        };
        // Whatever is searched after this reading and shows a number above `highest` shows all below the checkpoint.
        let newest = follow.readings.back().map(|(checkpoint, _)| *checkpoint);
        if newest.is_none_or(|newest| newest < primary.checkpoint) {
            if follow.readings.len() == READINGS {
                follow.readings.remove(READINGS / 2);
            }
            follow
                .readings
                .push_back((primary.checkpoint, primary.highest));
        }
        let shown = slice.highest_shown(&settings.client).await?;
        let mut closes = follow.position.done;
        while let Some((checkpoint, highest)) = follow.readings.front().copied() {
            if highest >= shown {
                break;
            }
            closes = closes.max(checkpoint);
            follow.readings.pop_front();
        }
        let looked = Some((primary.clone(), shown));
        if closes == follow.position.done && follow.looked == looked {
            return Ok(());
        }
        follow.looked = looked;
        follow.open(primary, closes);
        Ok(())
    }

    async fn read_pages(&self, settings: &Settings) -> Vec<(Shard, Result<SlicePage>)> {
        let mut waiting = self.follows.iter().filter_map(|(shard, follow)| {
            let pass = follow.pass.as_ref()?;
            let slice = self.slice(settings, shard, &pass.node, pass.cursor, pass.until);
            Some((shard.clone(), slice))
        });
        let mut pages = Vec::new();
        let mut running = JoinSet::new();
        let mut documents = 0;
        loop {
            while running.len() < AT_ONCE
                && documents < settings.batch
                && let Some((shard, slice)) = waiting.next()
            {
                let client = settings.client.clone();
                running.spawn(async move { (shard, slice.page(&client).await) });
            }
            match running.join_next().await {
                Some(Ok((shard, page))) => {
                    documents += page.as_ref().map_or(0, |page| page.hits.len());
                    pages.push((shard, page));
                }
                // A search that panicked is one that did not happen.
                Some(Err(_)) => {}
                None => return pages,
            }
        }
    }

    fn slice(
        &self,
        settings: &Settings,
        shard: &Shard,
        node: &str,
        after: i64,
        until: i64,
    ) -> Slice {
        let index = self.indices.get(&shard.index);
        let mut filters = vec![settings.query.clone()];
        filters.extend(index.and_then(|index| index.filter.clone()));
        let mut until = until;
        if let Some(backlog) = self
            .follows
            .get(shard)
            .and_then(|follow| follow.position.backlog)
            && after < backlog
        {
            until = until.min(backlog);
            let from = match settings.since {
                Since::Time(time) => time,
                _ => settings.began,
            };
            filters.push(json!({"range": {&settings.wanted.time_field: {
                "gte": from.to_string(), "format": "strict_date_optional_time_nanos",
            }}}));
        }
        let most = match self.length {
            0 => 500,
            length => PAGE_BYTES / length,
        };
        Slice {
            index: self
                .follows
                .get(shard)
                .map(|follow| follow.position.name.clone())
                .unwrap_or_default(),
            shard: shard.number,
            node: node.to_owned(),
            after,
            until,
            filters,
            wanted: settings.wanted.clone(),
            size: u32::try_from(most.clamp(2, settings.batch.max(2))).unwrap_or(u32::MAX),
        }
    }
}
