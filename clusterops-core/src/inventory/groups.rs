//! The groups of a native inventory: expressions over hosts, variables, tags and one another.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::Inventory;
use super::native::{Expression, Group, MAX_FACTS, Native};
use crate::hostset::{GroupSource, HostSet};
use crate::{Error, ErrorKind, Place, Result};

/// How deep groups may refer to one another.
const MAX_DEPTH: usize = 64;

/// The inventory that a native file describes.
pub(super) fn assemble(native: Native, file: &str) -> Result<Inventory> {
    let mut members: BTreeMap<String, Vec<&str>> = BTreeMap::new();
    for target in &native.targets {
        for group in &target.groups {
            match members.get_mut(group) {
                Some(names) => names.push(&target.name),
                None => {
                    members.insert(group.clone(), vec![&target.name]);
                }
            }
        }
    }
    let members = members
        .into_iter()
        .map(|(group, names)| (group, names.into_iter().collect()))
        .collect();
    let mut inventory = Inventory::assemble(native.targets, members);
    let resolver = Resolver {
        inventory: &inventory,
        groups: &native.groups,
        file,
        progress: Mutex::default(),
    };
    let groups = native
        .groups
        .keys()
        .map(|name| Ok((name.clone(), resolver.resolve(name)?.unwrap_or_default())))
        .collect::<Result<BTreeMap<_, _>>>()?;
    if groups.values().map(HostSet::len).sum::<usize>() > MAX_FACTS {
        let message = format!("the groups have more than {MAX_FACTS} members");
        return Err(Error::new(ErrorKind::TooLarge, message).at(Place::in_file(file)));
    }
    for (name, set) in groups {
        for host in set.iter() {
            if let Some(at) = inventory.index.get(host.as_str()) {
                inventory.targets[*at].groups.insert(name.clone());
            }
        }
        inventory.groups.insert(name, set);
    }
    Ok(inventory)
}

/// Evaluates each group once, whichever asks for it first.
#[derive(Debug)]
struct Resolver<'a> {
    /// Its groups are the memberships that hosts declare.
    inventory: &'a Inventory,
    groups: &'a BTreeMap<String, Group>,
    file: &'a str,
    progress: Mutex<Progress>,
}

#[derive(Debug, Default)]
struct Progress {
    /// `None` while the group is being evaluated.
    groups: HashMap<String, Option<HostSet>>,
    depth: usize,
}

impl Resolver<'_> {
    fn progress(&self) -> MutexGuard<'_, Progress> {
        self.progress.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn resolve(&self, name: &str) -> Result<Option<HostSet>> {
        let declared = self.inventory.groups.get(name);
        let Some(group) = self.groups.get(name) else {
            return Ok(declared.cloned());
        };
        {
            let mut progress = self.progress();
            match progress.groups.get(name) {
                Some(Some(set)) => return Ok(Some(set.clone())),
                Some(None) => {
                    let message = format!("group `{name}` is defined by itself; break the circle");
                    return Err(Error::new(ErrorKind::Inventory, message));
                }
                None => {}
            }
            if progress.depth >= MAX_DEPTH {
                let message = format!("groups refer to one another more than {MAX_DEPTH} deep");
                return Err(Error::new(ErrorKind::TooLarge, message));
            }
            progress.depth += 1;
            progress.groups.insert(name.to_owned(), None);
        }
        let mut set = declared.cloned().unwrap_or_default();
        for expression in &group.expressions {
            let part = self
                .inventory
                .evaluate(&expression.text, self)
                .map_err(|error| self.place(error, expression))?;
            set.extend(part.iter());
        }
        let mut progress = self.progress();
        progress.depth -= 1;
        progress.groups.insert(name.to_owned(), Some(set.clone()));
        Ok(Some(set))
    }

    /// Moves the column in an expression to the column in the file, or shows the expression where that is not known.
    fn place(&self, error: Error, expression: &Expression) -> Error {
        if error.place().is_some_and(|place| place.file.is_some()) {
            return error;
        }
        let column = error.place().and_then(|place| place.column);
        let place = |line, column| Place {
            line: Some(line),
            column,
            ..Place::in_file(self.file)
        };
        let line = expression.line as usize;
        let Some(start) = expression.column else {
            // In a text over several lines the file's columns are not known, but the line is.
            let (at, part, within) = line_of(&expression.text, column.unwrap_or(1));
            let shown = match column {
                Some(_) => format!("in `{part}`: column {within}"),
                None => format!("in `{part}`"),
            };
            return error
                .within(|error| format!("{shown}: {}", error.message()))
                .moved_to(place(line + at, None));
        };
        let column = column.map(|column| start as usize + column - 1);
        error.moved_to(place(line, Some(column.unwrap_or(start as usize))))
    }
}

/// The line of a text that holds this column of the whole: how many lines come before it, the line, and the column in it.
/// Blank lines at the start belong to the file's lines before.
fn line_of(text: &str, column: usize) -> (usize, &str, usize) {
    let whole = text.len();
    let text = text.trim_start_matches('\n');
    let before = column.saturating_sub(1 + whole - text.len());
    let end = text
        .char_indices()
        .nth(before)
        .map_or(text.len(), |(at, _)| at);
    let start = text[..end].rfind('\n').map_or(0, |at| at + 1);
    let at = text[..start].matches('\n').count();
    let part = text[start..].lines().next().unwrap_or_default();
    (at, part.trim_end(), text[start..end].chars().count() + 1)
}

impl GroupSource for Resolver<'_> {
    fn name(&self) -> &str {
        self.inventory.name()
    }

    fn describe(&self) -> String {
        self.inventory.describe()
    }

    fn map(&self, group: &str) -> Result<Option<String>> {
        match self.resolve(group)? {
            Some(set) => Ok(Some(set.to_string())),
            None => {
                let known = self.groups.keys().chain(self.inventory.groups.keys());
                Err(self
                    .inventory
                    .unknown_group(group, known.map(String::as_str)))
            }
        }
    }

    fn all(&self) -> Result<Option<String>> {
        self.inventory.all()
    }

    fn list(&self) -> Result<Vec<String>> {
        let known = self.groups.keys().chain(self.inventory.groups.keys());
        Ok(known.cloned().collect())
    }
}
