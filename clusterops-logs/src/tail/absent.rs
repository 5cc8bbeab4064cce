//! What becomes of indices that are not shown any more.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::time::Duration;

use tokio::time::Instant;

use super::adopt::facts_or_none;
use super::exact::Exact;
use super::follow::Follow;
use super::survey::{self, Facts, Survey};
use super::token::Shard;
use super::{Notice, Settings};
use crate::{ErrorKind, Result};

/// After how many pauses it is looked whether an index that is closed or not meant any more is still there.
const AGAIN: u32 = 100;

/// How long positions of a deleted index are kept, for an index that was made of it.
const DELETED: Duration = Duration::from_secs(600);

impl Exact {
    /// Notes indices that are not shown any more, and forgets deleted ones after a while.
    pub(super) async fn note_absent(
        &mut self,
        settings: &Settings,
        survey: &Survey,
        notices: &mut Vec<Notice>,
    ) -> Result<()> {
        let mut gone: BTreeMap<String, String> = BTreeMap::new();
        let mut were_away: BTreeSet<String> = BTreeSet::new();
        let again = settings.pause * AGAIN;
        for (shard, follow) in &mut self.follows {
            if survey.names.contains_key(&shard.index) {
                follow.away = None;
                follow.deleted = false;
                continue;
            }
            let is_due = follow
                .away
                .is_none_or(|then| !follow.deleted && then.elapsed() > again);
            if is_due {
                gone.insert(shard.index.clone(), follow.position.name.clone());
                if follow.away.is_some() {
                    were_away.insert(shard.index.clone());
                }
            }
        }
        let meant = match gone.is_empty() {
            true => HashMap::new(),
            false => facts_or_none(settings, settings.indices.as_str()).await?,
        };
        for (uuid, name) in gone {
            let facts = match meant.get(&uuid) {
                Some(facts) => Some(facts.clone()),
                None => match survey::facts(&settings.client, &name).await {
                    Ok(mut facts) => facts.remove(&uuid),
                    Err(error) if error.kind() == ErrorKind::NotFound => None,
                    // Whether it is there is not told.
                    Err(error) if error.kind() == ErrorKind::Denied => Some(Facts {
                        closed: true,
                        ..Facts::default()
                    }),
                    Err(error) => return Err(error),
                },
            };
            let is_open = facts.as_ref().is_some_and(|facts| !facts.closed);
            if is_open && meant.contains_key(&uuid) {
                // Of one without any copy that works, nothing is shown.
                for (shard, follow) in of(&mut self.follows, &uuid) {
                    notices.extend(follow.hold(shard, Some("none of its copies works")));
                }
                continue;
            }
            if is_open && self.leave(settings, &uuid, &name).await? {
                continue;
            }
            self.leaving.remove(&uuid);
            for (_, follow) in of(&mut self.follows, &uuid) {
                follow.away = Some(Instant::now());
                follow.deleted = facts.is_none();
            }
            notices.extend(match facts {
                None => Some(Notice::Deleted { index: name }),
                Some(_) if were_away.contains(&uuid) => None,
                Some(_) => Some(Notice::Away { index: name }),
            });
        }
        self.follows.retain(|_, follow| {
            let forget = follow.deleted && follow.away.is_some_and(|then| then.elapsed() > DELETED);
            !forget
        });
        Ok(())
    }

    /// Goes on with an index that is not meant any more, up to what it holds now; `false` where it is read, or cannot be.
    async fn leave(&mut self, settings: &Settings, uuid: &str, name: &str) -> Result<bool> {
        let survey = match Survey::read(&settings.client, name).await {
            Ok(survey) => survey,
            Err(error) if error.kind() == ErrorKind::Denied => return Ok(false),
            Err(error) => return Err(error),
        };
        let mut is_unread = false;
        for (shard, follow) in of(&mut self.follows, uuid) {
            if let Some(primary) = survey.shards.get(shard) {
                follow.until.get_or_insert(primary.checkpoint);
                is_unread |= !follow.is_read();
            }
        }
        if is_unread {
            self.leaving.insert(uuid.to_owned());
        }
        Ok(is_unread)
    }

    /// Lets go of what was read to its end and is not meant any more.
    pub(super) fn let_go(&mut self, notices: &mut Vec<Notice>) {
        let follows = &mut self.follows;
        self.leaving.retain(|uuid| {
            let is_unread = of(follows, uuid).any(|(_, follow)| !follow.is_read());
            if !is_unread {
                let mut name = None;
                for (_, follow) in of(follows, uuid) {
                    follow.away = Some(Instant::now());
                    name = Some(follow.position.name.clone());
                }
                notices.extend(name.map(|index| Notice::Away { index }));
            }
            is_unread
        });
    }
}

/// The shards of an index.
fn of<'a>(
    follows: &'a mut BTreeMap<Shard, Follow>,
    uuid: &'a str,
) -> impl Iterator<Item = (&'a Shard, &'a mut Follow)> {
    let is_of = move |(shard, _): &(&Shard, &mut Follow)| shard.index == uuid;
    follows.iter_mut().filter(is_of)
}
