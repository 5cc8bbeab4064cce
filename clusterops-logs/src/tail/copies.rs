//! Indices that were made of others.

use std::collections::BTreeMap;

use super::exact::Exact;
use super::survey::{Facts, Primary, Survey};
use super::token::Position;

impl Exact {
    /// The uuid of an index that is followed and that this one holds copies of.
    pub(super) fn source_of(&self, facts: &Facts) -> Option<String> {
        let followed = |uuid: &String| self.follows.keys().any(|shard| shard.index == *uuid);
        let mounted = || {
            let name = facts.mounted.as_ref()?;
            let mut follows = self.follows.iter();
            let (shard, _) = follows.find(|(_, follow)| follow.position.name == *name)?;
            Some(shard.index.clone())
        };
        facts.made_of.clone().filter(followed).or_else(mounted)
    }

    pub(super) fn name_of(&self, uuid: &str) -> String {
        let mut follows = self.follows.iter();
        let of = follows.find(|(shard, _)| shard.index == uuid);
        of.map(|(_, follow)| follow.position.name.clone())
            .unwrap_or_default()
    }

    /// Whether an index that is still there has not been read to its end.
    pub(super) fn is_unfinished(&self, uuid: &str, survey: &Survey) -> bool {
        survey.shards.iter().any(|(shard, primary)| {
            let done = self.follows.get(shard).map(|follow| follow.position.done);
            shard.index == uuid && done.is_some_and(|done| done < primary.checkpoint)
        })
    }

    /// Where the shards of an index begin whose documents were copied with their numbers: each shard of a clone or a split
    /// index has those of one, each shard of a shrunk index those of several (`IndexMetadata.selectShrinkShards`).
    ///
    /// What was read of all of them is never read again. Only where nothing was written to them since they were copied is
    /// all read up to their highest number; otherwise documents of the copy's own can have such numbers.
    pub(super) fn copied(
        &self,
        source: &str,
        shards: u32,
        is_settled: bool,
        survey: &Survey,
    ) -> (BTreeMap<u32, Position>, bool) {
        let positions: BTreeMap<u32, (&Position, Option<&Primary>)> = self
            .follows
            .iter()
            .filter(|(shard, _)| shard.index == source)
            .map(|(shard, follow)| (shard.number, (&follow.position, survey.shards.get(shard))))
            .collect();
        let of = positions.keys().last().map_or(1, |last| last + 1);
        let shards = shards.max(1);
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
            let is_read = |(position, primary): &&(&Position, Option<&Primary>)| {
                primary.is_some_and(|primary| position.done >= primary.checkpoint)
            };
            let lowest = from.iter().min_by_key(|(position, _)| position.done);
            let highest = from.iter().max_by_key(|(position, _)| position.done);
            let (Some((lowest, _)), Some((highest, _))) = (lowest, highest) else {
                continue;
            };
            let mut begin = Position::clone(lowest);
            if is_settled && from.iter().all(is_read) {
                begin.done = highest.done;
            } else {
                let has = |number: &i64| {
                    let has = |position: &Position| {
                        *number <= position.done || position.ahead.contains(number)
                    };
                    from.iter().all(|(position, _)| has(position))
                };
                begin.ahead = from
                    .iter()
                    .flat_map(|(position, _)| position.ahead.clone())
                    .collect();
                begin.ahead.retain(has);
                let is_alike = from
                    .iter()
                    .all(|(one, _)| one.done == lowest.done && one.ahead == lowest.ahead);
                let goes_on = from.iter().any(|one| one.1.is_some() && !is_read(one));
                may_repeat |= !is_alike || goes_on;
            }
            begins.insert(number, begin);
        }
        (begins, may_repeat)
    }
}
