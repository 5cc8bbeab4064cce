//! Rounds by checkpoints.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use serde_json::{Value, json};
use tokio::time::Instant;

use super::adopt::{Index, begin_again};
use super::follow::Follow;
use super::readers::Readers;
use super::refresh::{Refused, Unrefreshed, Why, refresh};
use super::slice::Slice;
use super::survey::{self, Primary, Survey};
use super::token::{Position, Shard};
use super::{Found, Notice, Settings, Since};
use crate::places::Ask;
use crate::search::Page;
use crate::{Error, ErrorKind, Result};

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
    /// Whether a shard has understood the query.
    understood: bool,
    /// The survey that ended the last round, and when it was made.
    last: Option<(Instant, Survey)>,
    pub(super) refused: Refused,
    /// Indices that searches do not reach yet, by their uuids, and since when that is known.
    pub(super) unreached: HashMap<String, Instant>,
    /// Copies whose sources are read to their ends first, by uuid, and since when.
    pub(super) postponed: HashMap<String, Instant>,
    /// Indices that are meant no longer and have not been read to their end, by uuid.
    pub(super) leaving: BTreeSet<String>,
    /// Indices that can be searched and whose statistics are not shown, as was told.
    pub(super) unseen: BTreeSet<String>,
    pub(super) readers: Readers,
    /// Which shard has its turn next, where not all had theirs.
    pub(super) turn: Option<Shard>,
    /// About how long a document is, in bytes.
    pub(super) length: usize,
}

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
            _ => self.survey(settings).await?,
        };
        if !self.understood {
            self.understood = is_understood(settings).await?;
        }
        self.adopt(settings, &survey, notices).await?;
        self.check(settings, &survey, notices);
        self.open_passes(settings, &survey, notices).await?;
        let pages = self.read_pages(settings).await;
        if pages.is_empty() {
            let waits = self.readers.are_reading();
            return Ok(Found {
                idle: !waits,
                waits,
                understood: self.understood,
                ..Found::default()
            });
        }
        let after = self.survey(settings).await?;
        // From here on nothing waits: what is moved is handed over.
        let mut found = Found {
            understood: self.understood,
            ..Found::default()
        };
        let mut failure = None;
        for (shard, pass, outcome) in pages {
            let Some(follow) = self.follows.get_mut(&shard) else {
                continue;
            };
            if follow.pass.as_ref() != Some(&pass) {
                // It was given up while the search was under way.
                continue;
            }
            if !follow.is_where_it_was(&shard, &after) {
                // It moved meanwhile: its checkpoint is read again.
                follow.give_up();
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
                    notices.extend(follow.fails(&shard, error.to_string()));
                    failure = Some(error);
                }
            }
        }
        self.last = Some((Instant::now(), after));
        found.idle = failure.is_some() && found.documents.is_empty();
        match failure {
            Some(error) if found.idle && self.concerns_all(&error) => Err(error),
            _ => Ok(found),
        }
    }

    /// Whether what a shard's search failed with keeps the others from being read, too.
    fn concerns_all(&self, error: &Error) -> bool {
        match error.kind() {
            ErrorKind::Unauthenticated => true,
            // Where a shard has understood the query, others are read on.
            ErrorKind::Rejected => !self.understood,
            _ => self.all_fail(),
        }
    }

    /// Whether the searches of all shards fail that are there.
    pub(super) fn all_fail(&self) -> bool {
        let is_there = |follow: &&Follow| !follow.held && follow.away.is_none();
        let mut there = self.follows.values().filter(is_there);
        there.all(Follow::is_failing)
    }

    /// Says what to do where the statistics are shown no longer by which it was read.
    pub(super) fn unsighted(&self, error: Error) -> Error {
        if self.is_fresh() || !is_unsighted(&error) {
            return error;
        }
        // Where a position by checkpoints lies in time nobody knows.
        let message = format!(
            "{error}; the positions that were read to are found by the statistics of shards: have the right to them again, or begin anew without a token, from the time of the last document"
        );
        Error::new(ErrorKind::Denied, message)
    }

    /// The shards that are meant, and those that are still read nonetheless.
    async fn survey(&mut self, settings: &Settings) -> Result<Survey> {
        let survey = Survey::read(&settings.client, settings.indices.as_str()).await;
        let mut survey = survey.map_err(|error| self.unsighted(error))?;
        let leaving = std::mem::take(&mut self.leaving);
        self.leaving = leaving
            .into_iter()
            .filter(|uuid| !survey.names.contains_key(uuid))
            .collect();
        let names = |shards: &BTreeMap<Shard, Follow>| -> BTreeSet<String> {
            let left = shards
                .iter()
                .filter(|(shard, _)| self.leaving.contains(&shard.index));
            left.map(|(_, follow)| follow.position.name.clone())
                .collect()
        };
        for name in names(&self.follows) {
            let mut left = match Survey::read(&settings.client, &name).await {
                Ok(left) => left,
                // The rights ended with the alias.
                Err(error) if error.kind() == ErrorKind::Denied => continue,
                Err(error) => return Err(error),
            };
            // Another index can have its name.
            left.names.retain(|uuid, _| self.leaving.contains(uuid));
            left.shards
                .retain(|shard, _| self.leaving.contains(&shard.index));
            survey.extend(left);
        }
        for (shard, follow) in &mut self.follows {
            if follow.until.is_some() && !self.leaving.contains(&shard.index) {
                follow.until = None;
            }
        }
        Ok(survey)
    }

    /// Compares the positions with what the primaries say.
    pub(super) fn check(
        &mut self,
        settings: &Settings,
        survey: &Survey,
        notices: &mut Vec<Notice>,
    ) {
        for (shard, follow) in &mut self.follows {
            if !survey.names.contains_key(&shard.index) {
                // Whether it is closed or gone has been told.
                follow.give_up();
                continue;
            }
            let Some(primary) = survey.shards.get(shard) else {
                follow.give_up();
                let why = match survey.silent {
                    0 => "it has no primary that works".to_owned(),
                    silent => format!("{silent} shards did not say how they are"),
                };
                notices.extend(follow.hold(shard, Some(&why)));
                continue;
            };
            notices.extend(follow.hold(shard, None));
            follow.seen = primary.checkpoint;
            let why = if primary.history != follow.position.history {
                "it has another history, since its copies were lost or given up"
            } else if primary.highest < follow.position.done {
                "its numbers end below what was read of it"
            } else {
                // A checkpoint below what was read is that of a primary that has just become one: it rises again.
                if follow
                    .pass
                    .as_ref()
                    .is_some_and(|pass| pass.node != primary.node)
                {
                    follow.give_up();
                }
                continue;
            };
            let index = follow.position.name.clone();
            let begins = self.indices.get(&shard.index);
            // One that is not meant any more is read up to what it holds now.
            let until = follow.until.map(|_| primary.checkpoint);
            *follow = Follow::new(begin_again(begins, settings, &index, primary));
            follow.until = until;
            notices.push(Notice::Restarted {
                index,
                shard: shard.number,
                why: why.to_owned(),
            });
        }
    }

    /// Indices of which a shard has no primary. Servers wait for it a minute before they refresh the others.
    fn unwell(&self, survey: &Survey) -> BTreeSet<String> {
        let of = |uuid: &str, shard: &Shard| shard.index == uuid;
        let is_unwell = |uuid: &&String| {
            let primaries = survey.shards.keys().filter(|shard| of(uuid, shard)).count();
            let followed = self.follows.keys().filter(|shard| of(uuid, shard)).count();
            let told = self
                .indices
                .get(*uuid)
                .map_or(0, |index| index.count as usize);
            primaries < followed.max(told)
        };
        survey.names.keys().filter(is_unwell).cloned().collect()
    }

    /// Makes what lies below the checkpoints searchable, where something does.
    async fn open_passes(
        &mut self,
        settings: &Settings,
        survey: &Survey,
        notices: &mut Vec<Notice>,
    ) -> Result<()> {
        let mut moved: Vec<(Shard, Primary)> = Vec::new();
        let all_fail = self.all_fail();
        for (shard, follow) in &self.follows {
            if let Some(primary) = survey.shards.get(shard)
                && follow.pass.is_none()
                && (all_fail || follow.is_due())
                && follow.end(primary) > follow.position.done
            {
                moved.push((shard.clone(), primary.clone()));
            }
        }
        let unwell = match moved.is_empty() {
            true => return Ok(()),
            false => self.unwell(survey),
        };
        self.follow_aliases(settings, survey).await?;
        let unrefreshed = self
            .refresh(settings, survey, &moved, &unwell, notices)
            .await;
        for (shard, primary) in moved {
            let why = unrefreshed.get(&shard.index);
            if let Some(Why::Unasked | Why::Denied(_)) = why {
                let outcome = self.look(settings, &shard, primary).await;
                let Some(follow) = self.follows.get_mut(&shard) else {
                    continue;
                };
                match outcome {
                    Err(error) => notices.extend(follow.fails(&shard, error.to_string())),
                    // Where there is nothing to read, no page tells that searches work again.
                    Ok(()) if follow.pass.is_none() => notices.extend(follow.works(&shard)),
                    Ok(()) => {}
                }
                continue;
            }
            let Some(follow) = self.follows.get_mut(&shard) else {
                continue;
            };
            match why {
                Some(Why::Failed(why)) => notices.extend(follow.fails(&shard, why.clone())),
                _ => {
                    let closes = primary.checkpoint;
                    follow.open(primary, closes);
                }
            }
        }
        Ok(())
    }

    /// Refreshes the indices of these shards, as far as there is a right to. What is not refreshed comes by its uuid.
    async fn refresh(
        &mut self,
        settings: &Settings,
        survey: &Survey,
        moved: &[(Shard, Primary)],
        unwell: &BTreeSet<String>,
        notices: &mut Vec<Notice>,
    ) -> Unrefreshed {
        let mut asked: BTreeMap<&String, &str> = BTreeMap::new();
        for (Shard { index, .. }, _) in moved {
            if !unwell.contains(index)
                && !self.refused.has(index)
                && let Some(name) = survey.names.get(index)
            {
                asked.insert(index, name);
            }
        }
        let mut shards: BTreeMap<&str, u32> = BTreeMap::new();
        for shard in survey.shards.keys() {
            if let Some(name) = asked.get(&shard.index) {
                *shards.entry(name).or_default() += 1;
            }
        }
        let unrefreshed = refresh(&settings.client, &shards).await;
        let why = |(Shard { index, .. }, _): &(Shard, Primary)| {
            let why = match asked.get(index) {
                Some(name) => unrefreshed.get(*name)?.clone(),
                None => Why::Unasked,
            };
            Some((index.clone(), why))
        };
        let outcome = moved.iter().filter_map(why).collect();
        notices.extend(self.refused.note(asked.into_iter(), &unrefreshed));
        outcome
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
        // They stay until they are read, since a pass can be given up.
        let done = follow.position.done;
        follow.readings.retain(|(checkpoint, _)| *checkpoint > done);
        let closed = |(checkpoint, highest): &(i64, i64)| (*highest < shown).then_some(*checkpoint);
        let closes = follow
            .readings
            .iter()
            .filter_map(closed)
            .fold(done, i64::max);
        let looked = Some((primary.clone(), shown));
        if closes == done && follow.looked == looked {
            return Ok(());
        }
        // What is in a commit, all of whose segments searches show, is shown: so what nobody writes to is closed, too.
        let committed = primary.committed.min(primary.checkpoint);
        let is_shown = committed > closes && {
            let name = follow.position.name.clone();
            let shows = survey::shows_commit(&settings.client, shard, &name, &primary.node);
            // Without an answer it is as if there were no commit.
            shows.await.unwrap_or(false)
        };
        let closes = match is_shown {
            true => committed,
            false => closes,
        };
        follow.looked = looked;
        follow.open(primary, closes);
        Ok(())
    }

    /// The body of the search for the first documents of a shard, whichever it is and however many operations it has had.
    pub(super) fn first_search(&self, settings: &Settings) -> Value {
        let mut filters = vec![settings.query.clone()];
        if settings.since != Since::Start {
            filters.push(since(settings));
        }
        let slice = Slice {
            index: String::new(),
            shard: 0,
            node: String::new(),
            after: -1,
            until: i64::MAX,
            filters,
            wanted: settings.wanted.clone(),
            size: self.size(settings),
        };
        slice.body(&Ask::Page(slice.size))
    }
}

/// Whether there is no right to what is asked for, or it is what serverless does not show.
pub(super) fn is_unsighted(error: &Error) -> bool {
    error.kind() == ErrorKind::Denied || error.server_type() == Some("api_not_available_exception")
}

/// Whether a shard understands the query, found out before there is anything to read, so that a wrong one is told at once.
async fn is_understood(settings: &Settings) -> Result<bool> {
    let filters = vec![settings.query.clone()];
    let body = settings.wanted.body(filters, json!(["_doc"]));
    let body = Value::Object(Ask::Page(0).of(body));
    match settings.client.send(settings.search(&body)).await {
        Ok(answer) => Ok(Page::from_json(answer.body())?.shards.successful > 0),
        Err(error) if error.kind() == ErrorKind::Rejected => Err(error),
        // The searches for documents deal with it.
        Err(_) => Ok(false),
    }
}

/// What holds for documents that are older than the tail, unless all of them are wanted.
pub(super) fn since(settings: &Settings) -> Value {
    let from = match settings.since {
        Since::Time(time) => time,
        _ => settings.began,
    };
    // No field of the type `date_nanos` is compared with what is before its beginning.
    json!({"range": {&settings.wanted.time_field: {
        "gte": from.max(jiff::Timestamp::UNIX_EPOCH).to_string(), "format": "strict_date_optional_time_nanos",
    }}})
}
