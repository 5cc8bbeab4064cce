//! Which versions of documents were handed over, so that none comes behind one that replaced it.

use std::collections::{BTreeMap, HashMap};

use serde::{Deserialize, Serialize};

use super::Document;
use crate::Hit;
use crate::digest::fnv1a;

/// A version of a document: its primary's term, the number of the operation, and the version itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
struct Version(u64, u64, u64);

impl Version {
    fn of(hit: &Hit) -> Option<Self> {
        Some(Self(hit.primary_term?, hit.seq_no?, hit.version?))
    }

    /// Whether the other one replaced it, which is lower in nothing. What was deleted and written anew has a lower version
    /// and a higher number; what a new primary wrote in place of what was lost has a lower number and a higher term.
    fn is_before(self, other: Self) -> bool {
        self.0 <= other.0 && self.1 < other.1 && self.2 < other.2
    }
}

/// The versions of documents that were written more than once, each with a time: only those have older ones.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub(super) struct Versions(BTreeMap<u64, (i64, Version)>);

impl Versions {
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether a newer version of it is known: a copy shows it that is behind.
    pub(super) fn are_behind(&self, key: u64, hit: &Hit) -> bool {
        let known = self.0.get(&key).map(|(_, known)| *known);
        let own = Version::of(hit);
        own.zip(known)
            .is_some_and(|(own, known)| own.is_before(known))
    }

    /// Takes this one as known, until what is older than this time is forgotten.
    pub(super) fn rise(&mut self, key: u64, hit: &Hit, time: i64) {
        if let Some(version) = Version::of(hit)
            && version.2 > 1
        {
            self.0.insert(key, (time, version));
        }
    }

    /// Forgets what has an older time.
    pub(super) fn forget(&mut self, before: i64) {
        self.0.retain(|_, (time, _)| *time >= before);
    }
}

/// Leaves out versions that stand behind one that replaced them, as the order of their times can put them. By checkpoints
/// none is read behind another, so there documents have no keys.
pub(super) fn keep_rising(documents: &mut Vec<Document>) {
    let mut latest: HashMap<u64, Version> = HashMap::new();
    documents.retain(|document| {
        let Some((key, version)) = document.key.zip(Version::of(&document.hit)) else {
            return true;
        };
        let known = latest.entry(key).or_insert(version);
        if version.is_before(*known) {
            return false;
        }
        *known = version;
        true
    });
}

/// What stands for a document: the uuid of the hit's index, for its name can be given to another one, and what copies of it
/// are given afterwards is something else; and the routing, for several shards can have the same id.
pub(super) fn key(uuid: &str, hit: &Hit) -> u64 {
    fnv1a([uuid, &hit.id, hit.routing.as_deref().unwrap_or_default()])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hit(term: u64, number: u64, version: u64) -> Hit {
        let hit = format!(
            r#"{{"_index": "logs", "_id": "1", "_primary_term": {term}, "_seq_no": {number}, "_version": {version}}}"#
        );
        serde_json::from_str(&hit).expect("a hit")
    }

    #[test]
    fn only_what_was_replaced_is_behind() {
        let mut versions = Versions::default();
        let key = key("u", &hit(1, 0, 1));
        versions.rise(key, &hit(1, 0, 1), 5);
        assert!(versions.is_empty());
        versions.rise(key, &hit(2, 7, 3), 5);
        assert!(versions.are_behind(key, &hit(2, 6, 2)));
        assert!(versions.are_behind(key, &hit(1, 6, 2)));
        // The same, deleted and written anew, and what a new primary wrote.
        for other in [hit(2, 7, 3), hit(2, 8, 1), hit(3, 6, 2)] {
            assert!(!versions.are_behind(key, &other), "{other:?}");
        }
        versions.forget(5);
        assert!(versions.are_behind(key, &hit(2, 6, 2)));
        versions.forget(6);
        assert!(versions.is_empty());
    }

    #[test]
    fn of_one_batch_only_rising_versions_are_kept() {
        let kept = |key| {
            let document = |hit| Document {
                key,
                ..Document::of(hit, None, "@timestamp")
            };
            let hits = [hit(1, 1, 2), hit(1, 0, 1), hit(1, 5, 3)];
            let mut documents = hits.map(document).to_vec();
            keep_rising(&mut documents);
            let versions = documents.iter().map(|document| document.hit.version);
            versions.flatten().collect::<Vec<_>>()
        };
        assert_eq!(kept(Some(1)), [2, 3]);
        assert_eq!(kept(None), [2, 1, 3]);
    }
}
