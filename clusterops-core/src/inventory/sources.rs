//! What selections ask: the groups, the tags and each variable of an inventory as group sources.
//!
//! Unlike a source of its own, these answer a name that they do not know with an error that says what was meant.

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::sync::OnceLock;

use super::Inventory;
use crate::hostset::{GroupSource, HostSet};
use crate::nearest::did_you_mean;
use crate::{Error, ErrorKind, Result};

/// The name of the source that has the tags.
pub(super) const TAG: &str = "tag";

/// A variable, and which hosts have which of its values; found out when it is first asked for.
pub(super) struct Variable {
    name: String,
    values: OnceLock<BTreeMap<String, HostSet>>,
}

impl Variable {
    pub(super) fn new(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            values: OnceLock::new(),
        }
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }
}

/// The groups of an inventory: `@group`.
#[derive(Debug)]
pub(super) struct Groups<'a>(pub(super) &'a Inventory);

impl GroupSource for Groups<'_> {
    fn name(&self) -> &str {
        self.0.name()
    }

    fn describe(&self) -> String {
        self.0.describe()
    }

    fn map(&self, group: &str) -> Result<Option<String>> {
        match self.0.map(group)? {
            Some(members) => Ok(Some(members)),
            None => Err(self
                .0
                .unknown_group(group, self.0.groups.keys().map(String::as_str))),
        }
    }

    fn all(&self) -> Result<Option<String>> {
        self.0.all()
    }

    fn list(&self) -> Result<Vec<String>> {
        self.0.list()
    }
}

impl Inventory {
    /// The error for `@group` when there is none of this name.
    pub(super) fn unknown_group<'a>(
        &self,
        group: &str,
        known: impl IntoIterator<Item = &'a str>,
    ) -> Error {
        let hint = if self.variables.iter().any(|variable| variable.name == group) {
            format!("; `{group}` is a variable: write `@{group}:value`")
        } else {
            did_you_mean(group, known)
        };
        let message = format!("there is no group `{group}` in the inventory{hint}");
        Error::new(ErrorKind::UnknownGroup, message)
    }
}

/// The values of one variable (`@zone:a`) or the tags (`@tag:public`).
pub(super) struct VariableSource<'a> {
    inventory: &'a Inventory,
    variable: &'a Variable,
}

impl<'a> VariableSource<'a> {
    pub(super) fn new(inventory: &'a Inventory, variable: &'a Variable) -> Self {
        Self {
            inventory,
            variable,
        }
    }

    fn values(&self) -> &'a BTreeMap<String, HostSet> {
        self.variable.values.get_or_init(|| {
            let name = self.variable.name.as_str();
            let mut hosts: HashMap<&str, Vec<&str>> = HashMap::new();
            for target in &self.inventory.targets {
                let tags = target
                    .tags
                    .iter()
                    .filter(|_| name == TAG)
                    .map(String::as_str);
                for value in target.variables.get(name).into_iter().chain(tags) {
                    hosts.entry(value).or_default().push(&target.name);
                }
            }
            hosts
                .into_iter()
                .map(|(value, hosts)| (value.to_owned(), hosts.into_iter().collect()))
                .collect()
        })
    }
}

impl GroupSource for VariableSource<'_> {
    fn name(&self) -> &str {
        &self.variable.name
    }

    fn map(&self, value: &str) -> Result<Option<String>> {
        let values = self.values();
        if let Some(hosts) = values.get(value) {
            return Ok(Some(hosts.to_string()));
        }
        let mut matching = values
            .iter()
            .filter(|(text, _)| matches(value.as_bytes(), text.as_bytes()))
            .flat_map(|(_, hosts)| hosts.iter())
            .peekable();
        if matching.peek().is_some() {
            return Ok(Some(matching.collect::<HostSet>().to_string()));
        }
        let name = &self.variable.name;
        let hint = did_you_mean(value, values.keys().map(String::as_str));
        let message = if name == TAG {
            format!("no host has the tag `{value}`{hint}")
        } else {
            format!("no host has the value `{value}` of the variable `{name}`{hint}")
        };
        Err(Error::new(ErrorKind::UnknownGroup, message))
    }

    fn all(&self) -> Result<Option<String>> {
        let hosts: HostSet = self.values().values().flat_map(HostSet::iter).collect();
        Ok(Some(hosts.to_string()))
    }

    fn list(&self) -> Result<Vec<String>> {
        Ok(self.values().keys().cloned().collect())
    }

    fn describe(&self) -> String {
        match self.variable.name.as_str() {
            TAG => "the tags of the inventory".to_owned(),
            name => format!("the variable `{name}` of the inventory"),
        }
    }
}

/// Whether a text matches a pattern in which `*` is any text and `?` any character.
fn matches(pattern: &[u8], text: &[u8]) -> bool {
    let (mut at, mut pattern_at) = (0, 0);
    // Where to go on when the last `*` takes one more byte.
    let mut again = None;
    while at < text.len() {
        match pattern.get(pattern_at) {
            Some(b'*') => {
                pattern_at += 1;
                again = Some((at, pattern_at));
            }
            Some(b'?') => {
                at += 1;
                while text.get(at).is_some_and(|byte| byte & 0xC0 == 0x80) {
                    at += 1;
                }
                pattern_at += 1;
            }
            Some(byte) if *byte == text[at] => {
                at += 1;
                pattern_at += 1;
            }
            _ => match &mut again {
                Some((from, after)) => {
                    *from += 1;
                    (at, pattern_at) = (*from, *after);
                }
                None => return false,
            },
        }
    }
    pattern[pattern_at..].iter().all(|byte| *byte == b'*')
}

impl fmt::Debug for VariableSource<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("VariableSource")
            .field(&self.variable.name)
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::matches;

    #[test]
    fn wildcards_match() {
        for (pattern, text, expected) in [
            ("1.*", "1.4", true),
            ("1.*", "2.1.4", false),
            ("*a*b*", "xaxbx", true),
            ("a?c", "aéc", true),
            ("a?c", "ac", false),
            ("*", "", true),
            ("a", "ab", false),
            ("*ab", "aab", true),
        ] {
            assert_eq!(
                matches(pattern.as_bytes(), text.as_bytes()),
                expected,
                "{pattern} {text}"
            );
        }
    }
}
