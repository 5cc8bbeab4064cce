//! The variables of a host, with what many hosts have in common held once.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// The variables of one host: names and their values, in the order of the names.
///
/// Hosts of one group mostly have the same variables. Those are held once for all of them, so that an inventory of
/// 50,000 hosts costs as much as what differs between them; for the rest this is a map.
///
/// ```
/// use clusterops_core::Variables;
///
/// let mut variables = Variables::from([("zone", "a"), ("role", "agent")]);
/// variables.insert("zone", "b");
/// assert_eq!(variables.get("zone"), Some("b"));
/// assert_eq!(variables.iter().collect::<Vec<_>>(), [("role", "agent"), ("zone", "b")]);
/// ```
#[derive(Clone, Default)]
pub struct Variables {
    shared: Arc<BTreeMap<String, String>>,
    /// What this host has for itself; wins over `shared`.
    own: BTreeMap<String, String>,
}

impl Variables {
    /// No variables.
    pub fn new() -> Self {
        Self::default()
    }

    /// The variables that many hosts share; each can then [insert](Self::insert) its own.
    pub(crate) fn shared(shared: Arc<BTreeMap<String, String>>) -> Self {
        Self {
            shared,
            own: BTreeMap::new(),
        }
    }

    /// The value of a variable.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.own
            .get(name)
            .or_else(|| self.shared.get(name))
            .map(String::as_str)
    }

    /// Whether there is a variable of this name.
    pub fn contains(&self, name: &str) -> bool {
        self.get(name).is_some()
    }

    /// Sets a variable of this host alone.
    pub fn insert(&mut self, name: impl Into<String>, value: impl Into<String>) {
        self.own.insert(name.into(), value.into());
    }

    /// The names and values, in the order of the names.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        let mut own = self.own.iter().peekable();
        let mut shared = self.shared.iter().peekable();
        std::iter::from_fn(move || {
            if let (Some((mine, _)), Some((theirs, _))) = (own.peek(), shared.peek()) {
                if mine > theirs {
                    return shared.next();
                }
                if mine == theirs {
                    shared.next();
                }
                return own.next();
            }
            own.next().or_else(|| shared.next())
        })
        .map(|(name, value)| (name.as_str(), value.as_str()))
    }

    /// How many variables there are.
    pub fn len(&self) -> usize {
        let hidden = self
            .own
            .keys()
            .filter(|name| self.shared.contains_key(*name));
        self.shared.len() + self.own.len() - hidden.count()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.own.is_empty() && self.shared.is_empty()
    }
}

impl fmt::Debug for Variables {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.iter()).finish()
    }
}

impl PartialEq for Variables {
    fn eq(&self, other: &Self) -> bool {
        self.iter().eq(other.iter())
    }
}

impl Eq for Variables {}

impl<N: Into<String>, V: Into<String>> FromIterator<(N, V)> for Variables {
    fn from_iter<I: IntoIterator<Item = (N, V)>>(variables: I) -> Self {
        let mut own = Self::new();
        own.extend(variables);
        own
    }
}

impl<N: Into<String>, V: Into<String>, const COUNT: usize> From<[(N, V); COUNT]> for Variables {
    fn from(variables: [(N, V); COUNT]) -> Self {
        variables.into_iter().collect()
    }
}

impl<N: Into<String>, V: Into<String>> Extend<(N, V)> for Variables {
    fn extend<I: IntoIterator<Item = (N, V)>>(&mut self, variables: I) {
        for (name, value) in variables {
            self.insert(name, value);
        }
    }
}

impl Serialize for Variables {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.iter())
    }
}

impl<'de> Deserialize<'de> for Variables {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(Self {
            own: BTreeMap::deserialize(deserializer)?,
            ..Self::default()
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn own_values_hide_shared_ones() {
        let common = Arc::new(BTreeMap::from(
            [("a", "1"), ("c", "3")].map(|(name, value)| (name.to_owned(), value.to_owned())),
        ));
        let mut variables = Variables::shared(common.clone());
        variables.extend([("b", "2"), ("c", "own"), ("d", "4")]);
        let all = [("a", "1"), ("b", "2"), ("c", "own"), ("d", "4")];
        assert_eq!(variables.iter().collect::<Vec<_>>(), all);
        assert_eq!(variables.len(), 4);
        assert_eq!(variables, Variables::from(all));
        assert_eq!(common.len(), 2);

        let json = serde_json::to_string(&variables).expect("a map serialises");
        assert_eq!(json, r#"{"a":"1","b":"2","c":"own","d":"4"}"#);
        assert_eq!(
            serde_json::from_str::<Variables>(&json).expect("it reads back"),
            variables
        );
    }
}
