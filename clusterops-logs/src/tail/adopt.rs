//! Which indices are followed, and where each begins.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::time::Duration;

use serde_json::Value;
use tokio::time::Instant;

use super::exact::Exact;
use super::follow::Follow;
use super::survey::{self, Facts, Primary, Reach, Survey};
use super::token::{Position, Shard};
use super::{Notice, Settings, Since};
use crate::{ErrorKind, Result};

/// An index that is followed.
#[derive(Debug)]
pub(super) struct Index {
    /// What the aliases that lead to it let through.
    pub(super) filter: Option<Value>,
    /// The shards that are meant.
    shards: BTreeSet<u32>,
    begins: Beginning,
    /// Whether it shows only what is read elsewhere.
    ignored: bool,
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
/// How long positions of a deleted index are kept, for an index that was made of it.
const DELETED: Duration = Duration::from_secs(600);
/// How far the clocks of this machine and the cluster may lie apart, in milliseconds, where it is to be told whether an
/// index is older than the tail.
const SKEW_MS: i64 = 600_000;

impl Index {
    fn new(reach: Reach, begins: Beginning) -> Self {
        Self {
            filter: reach.filter,
            shards: reach.shards,
            begins,
            ignored: false,
        }
    }
}

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
        if !unknown.is_empty() || (old && !survey.names.is_empty()) {
            let reached = survey::reach(&settings.client, &settings.indices).await?;
            self.reached = Some(Instant::now());
            self.reach(survey, &reached);
            if !unknown.is_empty() {
                let facts = match survey::facts(&settings.client, &settings.indices).await {
                    Ok(facts) => facts,
                    // Then every index that comes later counts as new.
                    Err(error) if error.kind() == ErrorKind::Denied => HashMap::new(),
                    Err(error) => return Err(error),
                };
                self.take_up(settings, survey, &unknown, &facts, &reached, notices);
            }
        }
        self.begin_shards(settings, survey);
        if survey.names.is_empty() && !self.begun && !self.nothing_told {
            self.nothing_told = true;
            let indices = settings.indices.clone();
            notices.push(Notice::NothingMatches { indices });
        }
        self.begun = true;
        self.note_absent(settings, survey, notices).await
    }

    fn reach(&mut self, survey: &Survey, reached: &HashMap<String, Reach>) {
        for (uuid, index) in &mut self.indices {
            if let Some(reach) = survey.names.get(uuid).and_then(|name| reached.get(name)) {
                index.filter.clone_from(&reach.filter);
                index.shards.clone_from(&reach.shards);
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
            // One whose shards cannot be searched yet has none to begin with.
            let reach = reached.get(name).cloned().unwrap_or_default();
            let known = self.follows.keys().any(|shard| shard.index == *uuid);
            let facts = facts.get(uuid).cloned().unwrap_or(Facts {
                created_ms: i64::MAX,
                ..Facts::default()
            });
            let began_ms = settings.began.as_millisecond();
            let younger = facts.created_ms.saturating_add(SKEW_MS) >= began_ms;
            let source = self.source_of(&facts);
            let begins = if !self.begun {
                match settings.since {
                    Since::Now => Beginning::Behind,
                    _ => Beginning::Since,
                }
            } else if let Some(source) = source.filter(|_| !known) {
                let Some(source) = source else {
                    let mut index = Index::new(reach, Beginning::Behind);
                    index.ignored = true;
                    self.indices.insert(uuid.clone(), index);
                    continue;
                };
                if self.is_unfinished(&source, survey) {
                    // It is taken up once the other is read.
                    continue;
                }
                let (copied, may_repeat) = self.copied(&source, &facts, survey);
                notices.push(Notice::Copy {
                    index: name.clone(),
                    of: self.name_of(&source),
                    may_repeat,
                });
                Beginning::Copied(copied)
            } else if younger {
                Beginning::Start
            } else {
                Beginning::Since
            };
            if self.begun && !known && !matches!(begins, Beginning::Copied(_)) {
                notices.push(Notice::Found {
                    index: name.clone(),
                    from_start: matches!(begins, Beginning::Start),
                });
            }
            self.indices.insert(uuid.clone(), Index::new(reach, begins));
        }
    }

    /// The uuid of an index that is followed and that this one holds copies of; without one where it is mounted from a
    /// snapshot of who knows what.
    #[expect(
        clippy::option_option,
        reason = "no copy, a copy of something, a copy of this"
    )]
    fn source_of(&self, facts: &Facts) -> Option<Option<String>> {
        let followed = |uuid: &String| self.follows.keys().any(|shard| shard.index == *uuid);
        if let Some(source) = facts.made_of.clone().filter(followed) {
            return Some(Some(source));
        }
        let mounted = facts.mounted.as_ref()?;
        let of = |name: &String| {
            let mut follows = self.follows.iter();
            let (shard, _) = follows.find(|(_, follow)| follow.position.name == *name)?;
            Some(shard.index.clone())
        };
        Some(mounted.as_ref().and_then(of))
    }

    fn name_of(&self, uuid: &str) -> String {
        let mut follows = self.follows.iter();
        let of = follows.find(|(shard, _)| shard.index == uuid);
        of.map(|(_, follow)| follow.position.name.clone())
            .unwrap_or_default()
    }

    /// Whether an index that is still there has not been read to its end.
    fn is_unfinished(&self, uuid: &str, survey: &Survey) -> bool {
        survey.shards.iter().any(|(shard, primary)| {
            let done = self.follows.get(shard).map(|follow| follow.position.done);
            shard.index == uuid && done.is_some_and(|done| done < primary.checkpoint)
        })
    }

    /// Where the shards of an index begin whose documents were copied with their numbers: each shard of a clone or a split
    /// index has those of one, each shard of a shrunk index those of several (`IndexMetadata.selectShrinkShards`).
    fn copied(
        &self,
        source: &str,
        facts: &Facts,
        survey: &Survey,
    ) -> (BTreeMap<u32, Position>, bool) {
        let positions: BTreeMap<u32, (&Position, bool)> = self
            .follows
            .iter()
            .filter(|(shard, _)| shard.index == source)
            .map(|(shard, follow)| {
                let there = survey.shards.contains_key(shard);
                (shard.number, (&follow.position, there))
            })
            .collect();
        let of = positions.keys().last().map_or(1, |last| last + 1);
        let shards = facts.shards.max(1);
        let mut may_repeat = false;
        let mut begins = BTreeMap::new();
        for number in 0..shards {
            let sources = if shards >= of {
                let one = number / (shards / of).max(1);
                one..one + 1
            } else {
                let factor = of / shards;
                number * factor..(number + 1) * factor
            };
            let from: Vec<_> = sources
                .filter_map(|number| positions.get(&number))
                .collect();
            // One that is still there has been read to its end, and cannot be written to.
            let finished = from.iter().all(|(_, there)| *there);
            let lowest = from.iter().min_by_key(|(position, _)| position.done);
            let highest = from.iter().max_by_key(|(position, _)| position.done);
            let (Some((lowest, _)), Some((highest, _))) = (lowest, highest) else {
                continue;
            };
            let position = if finished { *highest } else { *lowest };
            may_repeat |= !finished && lowest.done < highest.done;
            begins.insert(number, (*position).clone());
        }
        (begins, may_repeat)
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
            let meant = !index.ignored && index.shards.contains(&shard.number);
            if meant && !self.follows.contains_key(shard) {
                let position = begin(&index.begins, settings, shard, name, primary);
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

    /// Notes indices that are not meant any more, and forgets deleted ones after a while.
    async fn note_absent(
        &mut self,
        settings: &Settings,
        survey: &Survey,
        notices: &mut Vec<Notice>,
    ) -> Result<()> {
        let mut gone: BTreeMap<String, String> = BTreeMap::new();
        for (shard, follow) in &mut self.follows {
            if survey.names.contains_key(&shard.index) {
                follow.away = None;
                follow.deleted = false;
            } else if follow.away.is_none() {
                gone.insert(shard.index.clone(), follow.position.name.clone());
            }
        }
        for (uuid, name) in gone {
            let is_there = match survey::facts(&settings.client, &name).await {
                Ok(facts) => facts.contains_key(&uuid),
                Err(error) if error.kind() == ErrorKind::NotFound => false,
                Err(error) if error.kind() == ErrorKind::Denied => true,
                Err(error) => return Err(error),
            };
            for (_, follow) in self
                .follows
                .iter_mut()
                .filter(|(shard, _)| shard.index == uuid)
            {
                follow.away = Some(Instant::now());
                follow.deleted = !is_there;
            }
            notices.push(match is_there {
                true => Notice::Away { index: name },
                false => Notice::Deleted { index: name },
            });
        }
        self.follows.retain(|_, follow| {
            let forget = follow.deleted && follow.away.is_some_and(|then| then.elapsed() > DELETED);
            !forget
        });
        Ok(())
    }
}

fn begin(
    begins: &Beginning,
    settings: &Settings,
    shard: &Shard,
    name: &str,
    primary: &Primary,
) -> Position {
    let (done, backlog) = match begins {
        Beginning::Behind => (primary.checkpoint, None),
        Beginning::Since if settings.since == Since::Start => (-1, None),
        Beginning::Since => (-1, Some(primary.checkpoint)),
        Beginning::Start => (-1, None),
        Beginning::Copied(positions) => match positions.get(&shard.number) {
            Some(position) => (position.done, position.backlog),
            None => (-1, None),
        },
    };
    let ahead = match begins {
        Beginning::Copied(positions) => positions
            .get(&shard.number)
            .map(|position| position.ahead.clone())
            .unwrap_or_default(),
        _ => BTreeSet::new(),
    };
    Position {
        name: name.to_owned(),
        history: primary.history.clone(),
        done,
        backlog,
        ahead,
    }
}
