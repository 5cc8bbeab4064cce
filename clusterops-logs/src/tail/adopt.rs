//! Which indices are followed, and where each begins.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::time::Duration;

use serde_json::Value;
use tokio::time::Instant;

use super::exact::Exact;
use super::follow::Follow;
use super::survey::{self, Facts, Primary, Reach, Survey};
use super::token::Position;
use super::{Notice, Settings, Since};
use crate::{Error, ErrorKind, Result};

/// An index that is followed.
#[derive(Debug)]
pub(super) struct Index {
    /// What the aliases that lead to it let through.
    filter: Option<Value>,
    /// The shards that are meant.
    shards: BTreeSet<u32>,
    /// How many shards it has, where that is known.
    pub(super) count: u32,
    begins: Beginning,
}

/// Where the shards of an index begin.
#[derive(Debug, Clone)]
enum Beginning {
    /// Behind all that is there when the tail begins.
    Behind,
    /// At `since`, and at the tail's own beginning where that is [`Since::Now`].
    Since,
    Start,
    /// Behind what was read of the index that this one was made of, shard by shard.
    Copied(BTreeMap<u32, Position>),
}

/// How often aliases are looked at.
const REACH: Duration = Duration::from_secs(30);
/// How long a new index may be shown by statistics alone before that is told.
const UNREACHED: Duration = Duration::from_secs(10);
/// How long a copy waits for its source to be read where there is no right to refresh.
const POSTPONED: Duration = Duration::from_secs(30);
/// How far the clocks of a cluster's nodes may lie apart, in milliseconds, where it is to be told whether an index is older
/// than the tail.
const SKEW_MS: i64 = 60_000;

impl Exact {
    /// Takes up what the survey shows for the first time, and notes what it shows no longer.
    pub(super) async fn adopt(
        &mut self,
        settings: &Settings,
        survey: &Survey,
        notices: &mut Vec<Notice>,
    ) -> Result<()> {
        let unknown = |uuid: &String| !self.indices.contains_key(uuid);
        let unknown: Vec<String> = survey
            .names
            .keys()
            .filter(|uuid| unknown(uuid))
            .cloned()
            .collect();
        let old = self.reached.is_none_or(|then| then.elapsed() >= REACH);
        if !unknown.is_empty() || old {
            self.look_for_unseen(settings, survey, notices).await?;
            let reached = self.read_reach(settings, survey).await?;
            self.look_for_unreached(settings, survey, &reached, notices)
                .await?;
            self.tell_reached(survey, &reached, notices);
            if !unknown.is_empty() {
                // Without them, every index that comes later counts as new.
                let facts = facts_or_none(settings, settings.indices.as_str()).await?;
                self.take_up(settings, survey, &unknown, &facts, &reached, notices);
            }
        }
        self.begin_shards(settings, survey);
        if survey.names.is_empty() && !self.begun && !self.nothing_told {
            self.nothing_told = true;
            let indices = settings.indices.to_string();
            notices.push(Notice::NothingMatches { indices });
        }
        self.begun = true;
        self.note_absent(settings, survey, notices).await?;
        self.let_go(notices);
        Ok(())
    }

    /// Sees to it that what is read now is what the aliases let through since the survey, or later: all that it shows to be
    /// read was written before it, so no document is measured by what an alias let through before that one came.
    pub(super) async fn follow_aliases(
        &mut self,
        settings: &Settings,
        survey: &Survey,
    ) -> Result<()> {
        let is_index = |part: &str| survey.names.values().any(|name| name == part);
        // An index by its name lets everything through.
        if !settings.indices.as_str().split(',').all(is_index) {
            self.read_reach(settings, survey).await?;
        }
        Ok(())
    }

    async fn read_reach(
        &mut self,
        settings: &Settings,
        survey: &Survey,
    ) -> Result<HashMap<String, Reach>> {
        let reached = survey::reach(&settings.client, settings.indices.as_str()).await;
        let reached = reached.map_err(|error| self.unsighted(error))?;
        self.reached = Some(Instant::now());
        self.reach(survey, &reached);
        Ok(reached)
    }

    /// Looks for indices that can be searched and whose statistics are not shown: servers leave out what there is no right
    /// to, and say nothing of it.
    async fn look_for_unseen(
        &mut self,
        settings: &Settings,
        survey: &Survey,
        notices: &mut Vec<Notice>,
    ) -> Result<()> {
        let field = settings.wanted.time_field.as_str();
        // Where this cannot be answered, nothing is known.
        let Ok(readable) = settings
            .client
            .field_caps(&settings.indices, &[field])
            .await
        else {
            return Ok(());
        };
        if self.is_fresh() && !readable.types(field).any(|kind| kind.starts_with("date")) {
            readable.check_dates(field)?;
        }
        let is_shown =
            |survey: &Survey, name: &String| survey.names.values().any(|one| one == name);
        let mut unseen = readable.indices;
        unseen.retain(|name| !is_shown(survey, name) && !self.unseen.contains(name));
        if unseen.is_empty() {
            return Ok(());
        }
        // One that has just come is shown now.
        let again = Survey::read(&settings.client, settings.indices.as_str()).await?;
        unseen.retain(|name| !is_shown(&again, name));
        if again.silent > 0 {
            return Ok(());
        }
        self.tell_unseen(unseen, "the statistics", notices)
    }

    /// Looks for indices whose statistics are shown, and not how searches reach them: servers leave out those, too.
    async fn look_for_unreached(
        &mut self,
        settings: &Settings,
        survey: &Survey,
        reached: &HashMap<String, Reach>,
        notices: &mut Vec<Notice>,
    ) -> Result<()> {
        let is_followed = |uuid: &String| self.follows.keys().any(|shard| shard.index == *uuid);
        let mut unreached = survey.names.clone();
        unreached.retain(|uuid, name| {
            !reached.contains_key(name) && !self.unseen.contains(name) && !is_followed(uuid)
        });
        self.unreached
            .retain(|uuid, _| unreached.contains_key(uuid));
        // The master is the last to know of a new one, and it is the master who is asked.
        if !self.is_fresh() {
            let now = Instant::now();
            unreached.retain(|uuid, _| {
                let since = *self.unreached.entry(uuid.clone()).or_insert(now);
                since.elapsed() >= UNREACHED
            });
        }
        if unreached.is_empty() {
            return Ok(());
        }
        // One that is gone, or meant no longer, is not shown now.
        let client = &settings.client;
        let reached = survey::reach(client, settings.indices.as_str()).await?;
        let again = Survey::read(client, settings.indices.as_str()).await?;
        unreached.retain(|uuid, name| {
            again.names.get(uuid) == Some(name) && !reached.contains_key(name)
        });
        let unreached = unreached.into_values().collect();
        self.tell_unseen(unreached, "the shards", notices)
    }

    /// Tells of those that were not reached and are now.
    fn tell_reached(
        &mut self,
        survey: &Survey,
        reached: &HashMap<String, Reach>,
        notices: &mut Vec<Notice>,
    ) {
        for (uuid, index) in &self.indices {
            if let Some(name) = survey.names.get(uuid)
                && reached.contains_key(name)
                && self.unseen.remove(name)
            {
                notices.push(Notice::Found {
                    index: name.clone(),
                    from_start: matches!(index.begins, Beginning::Start),
                });
            }
        }
    }

    fn tell_unseen(
        &mut self,
        unseen: Vec<String>,
        what: &str,
        notices: &mut Vec<Notice>,
    ) -> Result<()> {
        if let Some(index) = unseen.first()
            && self.is_fresh()
        {
            let message = format!("{what} of {index} are not shown to this user");
            return Err(Error::new(ErrorKind::Denied, message));
        }
        for index in unseen {
            notices.push(Notice::Unseen {
                index: index.clone(),
            });
            self.unseen.insert(index);
        }
        Ok(())
    }

    fn reach(&mut self, survey: &Survey, reached: &HashMap<String, Reach>) {
        for (uuid, index) in &mut self.indices {
            // One that is not meant any more is read on by what let it through.
            let name = survey.names.get(uuid);
            let Some(reach) = name.and_then(|name| reached.get(name)) else {
                continue;
            };
            index.filter.clone_from(&reach.filter);
            index.shards.clone_from(&reach.shards);
            let follows = self.follows.iter_mut();
            for (_, follow) in follows.filter(|(shard, _)| shard.index == *uuid) {
                follow.position.filter.clone_from(&reach.filter);
            }
        }
    }

    fn take_up(
        &mut self,
        settings: &Settings,
        survey: &Survey,
        unknown: &[String],
        facts: &HashMap<String, Facts>,
        reached: &HashMap<String, Reach>,
        notices: &mut Vec<Notice>,
    ) {
        for uuid in unknown {
            let Some(name) = survey.names.get(uuid) else {
                continue;
            };
            // One that is not meant any more is read on by what let it through; one whose shards cannot be searched yet has
            // none to begin with.
            let known = self.follows.keys().any(|shard| shard.index == *uuid);
            let is_reached = reached.contains_key(name);
            if self.begun && !known && !is_reached && !self.unseen.contains(name) {
                // It may be so soon.
                continue;
            }
            let reach = reached.get(name).cloned();
            let reach = reach.unwrap_or_else(|| self.reached_before(uuid));
            let own = facts.get(uuid).cloned().unwrap_or(Facts {
                created_ms: i64::MAX,
                ..Facts::default()
            });
            let began_ms = settings.began.as_millisecond();
            // By this machine's clock it cannot be told. What was not there at the beginning is new then.
            let younger =
                !settings.began_by_cluster || own.created_ms.saturating_add(SKEW_MS) >= began_ms;
            let source = self.source_of(&own).filter(|_| !known);
            let mut index = Index {
                filter: reach.filter,
                shards: reach.shards,
                count: own.shards,
                begins: Beginning::Since,
            };
            index.begins = if !self.begun {
                match settings.since {
                    Since::Now => Beginning::Behind,
                    _ => Beginning::Since,
                }
            } else if let Some(source) = source {
                // As long as nothing can be written to the other, what is copied is what is read of it.
                let is_settled = facts.get(&source).is_some_and(|source| source.blocked);
                let is_unread = self.is_unfinished(&source, survey);
                if is_settled && is_unread && self.is_postponed(uuid, &source) {
                    continue;
                }
                let (copied, may_repeat) = self.copied(&source, own.shards, is_settled, survey);
                notices.push(Notice::Copy {
                    index: name.clone(),
                    of: self.name_of(&source),
                    may_repeat,
                });
                Beginning::Copied(copied)
            } else if younger && own.mounted.is_none() {
                Beginning::Start
            } else {
                Beginning::Since
            };
            if is_reached {
                self.unseen.remove(name);
            }
            let is_copy = matches!(index.begins, Beginning::Copied(_));
            if self.begun && !known && is_reached && !is_copy {
                notices.push(Notice::Found {
                    index: name.clone(),
                    from_start: matches!(index.begins, Beginning::Start),
                });
            }
            self.postponed.remove(uuid);
            self.indices.insert(uuid.clone(), index);
        }
    }

    /// How an index was reached when it was last read, which a token tells.
    fn reached_before(&self, uuid: &str) -> Reach {
        let mut reach = Reach::default();
        let follows = self.follows.iter();
        for (shard, follow) in follows.filter(|(shard, _)| shard.index == uuid) {
            reach.filter.clone_from(&follow.position.filter);
            reach.shards.insert(shard.number);
        }
        reach
    }

    /// Whether a copy waits until its source is read. Without the right to refresh, that may be never.
    fn is_postponed(&mut self, copy: &str, source: &str) -> bool {
        let since = self.postponed.entry(copy.to_owned());
        let since = since.or_insert_with(Instant::now);
        !self.refused.has(source) || since.elapsed() < POSTPONED
    }

    /// Gives each shard that is meant and has no position yet the one where it begins.
    fn begin_shards(&mut self, settings: &Settings, survey: &Survey) {
        for (shard, primary) in &survey.shards {
            let Some(index) = self.indices.get_mut(&shard.index) else {
                continue;
            };
            let Some(name) = survey.names.get(&shard.index) else {
                continue;
            };
            let meant = index.shards.contains(&shard.number);
            if meant && !self.follows.contains_key(shard) {
                let mut position = begin(&index.begins, settings, shard.number, name, primary);
                position.filter.clone_from(&index.filter);
                self.follows.insert(shard.clone(), Follow::new(position));
            }
        }
        for index in self.indices.values_mut() {
            // A shard that had no primary at the beginning has been written to, perhaps, when it has one.
            if matches!(index.begins, Beginning::Behind) {
                index.begins = Beginning::Since;
            }
        }
    }
}

/// What the indices are, and nothing where that is not told.
pub(super) async fn facts_or_none(
    settings: &Settings,
    indices: &str,
) -> Result<HashMap<String, Facts>> {
    match survey::facts(&settings.client, indices).await {
        Err(error) if matches!(error.kind(), ErrorKind::Denied | ErrorKind::NotFound) => {
            Ok(HashMap::new())
        }
        outcome => outcome,
    }
}

/// Where a shard begins that has lost what it was read by: at the tail's `since`, if it is older than the tail.
pub(super) fn begin_again(
    index: Option<&Index>,
    settings: &Settings,
    name: &str,
    primary: &Primary,
) -> Position {
    let begins = match index.map(|index| &index.begins) {
        Some(Beginning::Start) => Beginning::Start,
        _ => Beginning::Since,
    };
    let mut position = begin(&begins, settings, 0, name, primary);
    position.filter = index.and_then(|index| index.filter.clone());
    position
}

fn begin(
    begins: &Beginning,
    settings: &Settings,
    shard: u32,
    name: &str,
    primary: &Primary,
) -> Position {
    let (done, backlog) = match begins {
        Beginning::Behind => (primary.checkpoint, None),
        Beginning::Since if settings.since == Since::Start => (-1, None),
        Beginning::Since => (-1, Some(primary.checkpoint)),
        Beginning::Start => (-1, None),
        Beginning::Copied(positions) => match positions.get(&shard) {
            // A snapshot can be older than what was read.
            Some(position) => (position.done.min(primary.checkpoint), position.backlog),
            None => (-1, None),
        },
    };
    let ahead = match begins {
        Beginning::Copied(positions) => positions
            .get(&shard)
            .map(|position| position.ahead.clone())
            .unwrap_or_default(),
        _ => BTreeSet::new(),
    };
    Position {
        name: name.to_owned(),
        history: primary.history.clone(),
        done,
        backlog,
        filter: None,
        ahead,
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test that fails says where")]

    use serde_json::json;

    use super::super::Tail;
    use super::super::token::Shard;
    use super::*;
    use crate::http::HttpOptions;
    use crate::{Client, Indices, Query};

    #[test]
    fn one_that_an_alias_gave_up_begins_again_with_its_filter() {
        let client = Client::new(&["http://localhost:1"], HttpOptions::default()).unwrap();
        let indices = Indices::new("alias").unwrap();
        let tail = Tail::new(&client, &indices, &Query::match_all()).unwrap();
        let filter = json!({"term": {"team": "even"}});
        let shard = Shard {
            index: "u".to_owned(),
            number: 1,
        };
        let position = Position {
            name: "logs".to_owned(),
            history: "old".to_owned(),
            done: 7,
            backlog: None,
            filter: Some(filter.clone()),
            ahead: BTreeSet::new(),
        };
        let primary = Primary {
            node: "n".to_owned(),
            history: "new".to_owned(),
            checkpoint: 9,
            highest: 9,
            committed: 9,
            refreshes: 1,
        };
        let survey = Survey {
            shards: [(shard.clone(), primary)].into(),
            names: [("u".to_owned(), "logs".to_owned())].into(),
            silent: 0,
        };
        // As after a restart: the token knows it, and the alias leads elsewhere.
        let mut exact = Exact::continued([(shard.clone(), position)].into());
        let mut notices = Vec::new();
        let unknown = ["u".to_owned()];
        let (facts, reached) = (HashMap::new(), HashMap::new());
        exact.take_up(
            &tail.settings,
            &survey,
            &unknown,
            &facts,
            &reached,
            &mut notices,
        );
        assert_eq!(exact.indices["u"].shards, [1].into());
        exact.follows.get_mut(&shard).unwrap().until = Some(30);
        exact.check(&tail.settings, &survey, &mut notices);
        let follow = &exact.follows[&shard];
        assert_eq!(
            (follow.position.done, &*follow.position.history),
            (-1, "new")
        );
        assert_eq!(follow.position.filter, Some(filter));
        assert_eq!(follow.until, Some(9));
    }
}
