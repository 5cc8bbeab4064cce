//! Which indices hold copies of the documents of others, where documents are found by their time.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::time::Instant;

use super::{Notice, Settings, survey};
use crate::{ErrorKind, Result};

/// The index that a document was written to, by the one that it is found in.
///
/// What is shrunk, split, cloned or mounted from a snapshot has the documents of its source with their ids, versions and
/// numbers. So they are known as those of the source, and come once. Should somebody write a document of the same id to
/// both afterwards, and both give it the same version, number and time, then it counts as one, too.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub(super) struct Origins {
    /// What stays in tokens: a source can be gone when the copy of its copy comes.
    copies: BTreeMap<String, String>,
    /// All indices of which it is known, and their uuids where they are shown.
    #[serde(skip)]
    known: BTreeMap<String, Option<String>>,
    /// When it was asked.
    #[serde(skip)]
    asked: Option<Instant>,
    #[serde(skip)]
    is_refusal_told: bool,
}

/// How often it is asked again though no index is unknown: one can be made anew with the name of another.
const AGAIN: Duration = Duration::from_secs(30);
/// How many copies of copies are followed up.
const DEPTH: usize = 32;

impl Origins {
    /// Whether there is nothing to keep.
    pub(super) fn is_empty(&self) -> bool {
        self.copies.is_empty()
    }

    /// The index that the documents of this one come from.
    pub(super) fn of<'a>(&'a self, index: &'a str) -> &'a str {
        let mut origin = index;
        for _ in 0..DEPTH {
            match self.copies.get(origin) {
                Some(of) => origin = of,
                None => break,
            }
        }
        origin
    }

    /// What tells an index from another one of its name, as far as was known when it was asked last.
    pub(super) fn uuid(&self, index: &str) -> Option<&str> {
        self.known.get(index)?.as_deref()
    }

    /// Finds out where the documents of these indices come from, as far as that is not known.
    pub(super) async fn learn(
        &mut self,
        settings: &Settings,
        indices: impl Iterator<Item = &str>,
        notices: &mut Vec<Notice>,
    ) -> Result<()> {
        let unknown: BTreeSet<&str> = indices.collect();
        let is_old = self.asked.is_none_or(|then| then.elapsed() >= AGAIN);
        let are_known = || unknown.iter().all(|name| self.known.contains_key(*name));
        if unknown.is_empty() || (!is_old && are_known()) {
            return Ok(());
        }
        self.ask(settings, unknown, notices).await
    }

    /// Finds out what these indices are, and what those are by now that were known.
    pub(super) async fn ask(
        &mut self,
        settings: &Settings,
        asked: BTreeSet<&str>,
        notices: &mut Vec<Notice>,
    ) -> Result<()> {
        let mut unknown = asked;
        let sources = match settings.indices.has_remote() {
            // No server tells of the settings in another cluster.
            true => Err("they are in another cluster".to_owned()),
            false => match survey::sources(&settings.client, settings.indices.as_str()).await {
                Ok(sources) => Ok(sources),
                Err(error) if error.is_retryable() || error.kind() == ErrorKind::Connection => {
                    return Err(error);
                }
                Err(error) => Err(error.to_string()),
            },
        };
        self.asked = Some(Instant::now());
        match sources {
            Ok(sources) => {
                unknown.extend(sources.keys().map(String::as_str));
                for (copy, source) in &sources {
                    let Some(of) = source.copied.as_ref().filter(|of| *of != copy) else {
                        continue;
                    };
                    // Where each was made of the other, the names have been given anew.
                    let is_new = self.of(of) != copy && self.copies.get(copy) != Some(of);
                    if !is_new {
                        continue;
                    }
                    self.copies.insert(copy.clone(), of.clone());
                    if unknown.contains(&**of) || self.known.contains_key(of) {
                        notices.push(Notice::Copy {
                            index: copy.clone(),
                            of: of.clone(),
                            may_repeat: false,
                        });
                    }
                }
                let uuid = |name: &str| sources.get(name)?.uuid.clone();
                let unknown = unknown.into_iter().map(|name| (name.to_owned(), None));
                self.known.extend(unknown);
                for (name, known) in &mut self.known {
                    *known = uuid(name);
                }
            }
            Err(why) => {
                let unknown = unknown.into_iter().map(|name| (name.to_owned(), None));
                self.known.extend(unknown);
                self.known.values_mut().for_each(|uuid| *uuid = None);
                if !std::mem::replace(&mut self.is_refusal_told, true) {
                    notices.push(Notice::UnknownCopies { why });
                }
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_origin_of_a_copy_of_a_copy_is_the_first() {
        let copies = [("c", "b"), ("b", "a"), ("x", "y"), ("y", "x")];
        let owned = |(copy, of): (&str, &str)| (copy.to_owned(), of.to_owned());
        let origins = Origins {
            copies: copies.into_iter().map(owned).collect(),
            ..Origins::default()
        };
        assert_eq!(origins.of("c"), "a");
        assert_eq!(origins.of("a"), "a");
        // Whatever stands in a token, it ends.
        assert!(["x", "y"].contains(&origins.of("x")));
    }
}
