//! Inventories: which hosts there are, how to reach them, and what is known of them.
//!
//! [`Inventory::parse`] reads a text, [`Inventory::load`] (feature `fs`) a file or folder; [`Inventory::select`] turns a
//! host set expression into [targets](Target). The format is clusterops' own, described [below](#the-native-format), or
//! one of Ansible's static ones ([`ansible`]).
#![doc = include_str!("native.md")]

#[cfg_attr(
    not(feature = "fs"),
    expect(dead_code, reason = "files beside a text are for loaders")
)]
pub mod ansible;
mod display;
#[cfg(feature = "fs")]
mod files;
mod groups;
mod load;
mod names;
mod native;
mod sources;
mod values;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt;

use crate::hostset::{Context, GroupSource, HostSet};
use crate::{Error, ErrorKind, Place, Printable, Result, Target};

use sources::{Groups, TAG, Variable, VariableSource};

/// The hosts of a fleet, with their fields, variables, tags and groups.
///
/// ```
/// use clusterops_core::inventory::Inventory;
///
/// let inventory = Inventory::parse(r#"
/// defaults: {user: deploy}
/// hosts:
///   web[01-50]: {address: "10.0.1.[1-50]", role: agent, zone: a, tags: [public]}
///   db[1-3]: {role: master, zone: b}
/// groups:
///   canary: web01,db1
///   front: "@role:agent&@tag:public"
/// "#, "fleet.yaml")?;
///
/// let targets = inventory.select("@front!web[04-50],@canary")?;
/// let names: Vec<_> = targets.iter().map(|target| target.name.as_str()).collect();
/// assert_eq!(names, ["db1", "web01", "web02", "web03"]);
/// assert_eq!(targets[2].address, "10.0.1.2");
/// assert_eq!(targets[2].user.as_deref(), Some("deploy"));
/// assert_eq!(targets[2].variables.get("zone"), Some("a"));
///
/// let error = inventory.select("@role:agnet").unwrap_err();
/// assert!(error.to_string().contains("did you mean `agent`?"));
/// # Ok::<(), clusterops_core::Error>(())
/// ```
#[derive(Default)]
pub struct Inventory {
    /// In natural order.
    targets: Vec<Target>,
    index: HashMap<Box<str>, usize>,
    hosts: HostSet,
    groups: BTreeMap<String, HostSet>,
    /// The tags and every variable, for `@name:value`.
    variables: Vec<Variable>,
    sources: Vec<Box<dyn GroupSource>>,
    unread: Vec<Unread>,
}

/// A part of an inventory that was understood but not read, and why.
///
/// Ansible's inventories can hold programs, templates and encrypted values; what such a part would have said is unknown
/// here, and the rest of the inventory stands without it.
///
/// ```
/// use clusterops_core::inventory::Inventory;
///
/// let inventory = Inventory::parse("[web]\nweb1 motd=\"{{ banner }}\" zone=a\n", "hosts.ini")?;
/// let unread = &inventory.unread()[0];
/// assert_eq!((unread.file.as_str(), unread.line, unread.key.as_deref()), ("hosts.ini", Some(2), Some("motd")));
/// assert_eq!(unread.to_string(), "hosts.ini:2: `motd` is not read: it is a Jinja template");
/// # Ok::<(), clusterops_core::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Unread {
    /// The file, or what the text was called by its caller.
    pub file: String,
    /// The line, from 1; `None` when the file as a whole is not read.
    pub line: Option<usize>,
    /// The key; `None` when the file as a whole is not read.
    pub key: Option<String>,
    /// Why, as the end of a sentence: `it is a Jinja template`.
    pub reason: String,
}

impl Inventory {
    /// Reads an inventory from a text; `name` is what errors call it.
    ///
    /// The format is found out from the text, with the end of `name` (`.yaml`, `.yml`, `.json`, `.ini`) as a hint:
    /// - YAML with `hosts`, `defaults` or `groups` at the top is the native format;
    /// - YAML with groups at the top that have `hosts`, `children` or `vars` is Ansible's;
    /// - what is not a YAML mapping is Ansible's INI format.
    ///
    /// # Errors
    /// The first thing that is wrong, with its line, and the nearest right name where a name is wrong; also an inventory
    /// without hosts.
    pub fn parse(text: &str, name: &str) -> Result<Self> {
        load::parse(text, name)
    }

    /// The hosts that an expression selects, in natural order.
    ///
    /// An expression is written as [host sets](crate::hostset) are. `@group` is a group, `@*` every host,
    /// `@name:value` the hosts whose variable has this value (`*` and `?` match any, `""` is the empty text), `@tag:name`
    /// those with a tag; wildcards in names match the hosts of the inventory.
    ///
    /// # Errors
    /// A syntax error, a group, variable, value, tag or host that the inventory does not have, or a name that is both a
    /// variable and an [added](Self::add_source) group source; with the column. `@@`, which names groups and not hosts.
    pub fn select(&self, expression: &str) -> Result<Vec<Target>> {
        let target = |name: String| {
            self.host(&name).cloned().ok_or_else(|| {
                let message = format!("`{name}` is no host; `@@` gives the names of groups");
                Error::new(ErrorKind::UnknownHost, message)
            })
        };
        self.resolve(expression)?.iter().map(target).collect()
    }

    /// The names of the hosts that an expression selects; like [`select`](Self::select), without the targets.
    ///
    /// `@@` gives the names of the groups, `@@name` the values of this variable, `@@tag` the tags.
    ///
    /// ```
    /// # use clusterops_core::inventory::Inventory;
    /// let inventory = Inventory::parse("hosts: {'web[1-3]': {zone: a}, db1: {zone: b}}", "fleet.yaml")?;
    /// assert_eq!(inventory.resolve("@zone:a!web2")?.to_string(), "web[1,3]");
    /// assert_eq!(inventory.resolve("*1")?.to_string(), "db1,web1");
    /// assert_eq!(inventory.resolve("@@zone")?.to_string(), "a,b");
    /// # Ok::<(), clusterops_core::Error>(())
    /// ```
    ///
    /// # Errors
    /// As for [`select`](Self::select).
    pub fn resolve(&self, expression: &str) -> Result<HostSet> {
        self.evaluate(expression, &Groups(self))
    }

    /// All hosts.
    pub fn hosts(&self) -> &HostSet {
        &self.hosts
    }

    /// All targets, in the natural order of their names.
    pub fn targets(&self) -> &[Target] {
        &self.targets
    }

    /// The target of this name.
    ///
    /// ```
    /// # use clusterops_core::inventory::Inventory;
    /// let inventory = Inventory::parse("hosts: {web1: {port: 2222}}", "fleet.yaml")?;
    /// assert_eq!(inventory.host("web1").and_then(|target| target.port), Some(2222));
    /// assert!(inventory.host("web2").is_none());
    /// # Ok::<(), clusterops_core::Error>(())
    /// ```
    pub fn host(&self, name: &str) -> Option<&Target> {
        self.targets.get(*self.index.get(name)?)
    }

    /// The groups and their members, in the order of their names.
    pub fn groups(&self) -> impl Iterator<Item = (&str, &HostSet)> {
        self.groups.iter().map(|(name, set)| (name.as_str(), set))
    }

    /// What was found but not read; empty for a native inventory.
    pub fn unread(&self) -> &[Unread] {
        &self.unread
    }

    /// Adds a source of groups: `@name:group` then asks it, where `name` is the source's.
    ///
    /// Groups of ClusterShell's configuration come in this way. Hosts that only the source knows are errors in a
    /// selection, as they have no target.
    pub fn add_source(&mut self, source: Box<dyn GroupSource>) {
        self.sources.push(source);
    }

    /// The sources of groups that were [added](Self::add_source).
    pub fn sources(&self) -> impl Iterator<Item = &dyn GroupSource> {
        self.sources.iter().map(AsRef::as_ref)
    }

    /// An inventory of these targets and groups; the names of the targets are distinct.
    fn assemble(mut targets: Vec<Target>, groups: BTreeMap<String, HostSet>) -> Self {
        let hosts: HostSet = targets.iter().map(|target| target.name.as_str()).collect();
        let order: HashMap<String, usize> = hosts.iter().zip(0..).collect();
        targets.sort_by_cached_key(|target| order.get(&target.name).copied());
        let index = targets
            .iter()
            .enumerate()
            .map(|(at, target)| (target.name.as_str().into(), at))
            .collect();
        let names: BTreeSet<&str> = targets
            .iter()
            .flat_map(|target| target.variables.iter().map(|(name, _)| name))
            .chain([TAG])
            .collect();
        let variables = names.into_iter().map(Variable::new).collect();
        Self {
            targets,
            index,
            hosts,
            groups,
            variables,
            ..Self::default()
        }
    }

    /// Evaluates an expression whose groups without a source come from `groups`.
    fn evaluate(&self, expression: &str, groups: &dyn GroupSource) -> Result<HostSet> {
        let variables: Vec<_> = self
            .variables
            .iter()
            .map(|variable| VariableSource::new(self, variable))
            .collect();
        let mut context = Context::new()
            .known(&self.hosts)
            .only_known()
            .default_source(groups);
        for source in &variables {
            context = context.source(source);
        }
        for source in self.sources() {
            context = context.source(source);
        }
        context.parse(expression)
    }
}

/// The inventory as a source of groups, for expressions that are parsed outside of it.
impl GroupSource for Inventory {
    fn name(&self) -> &str {
        "inventory"
    }

    fn describe(&self) -> String {
        "the groups of the inventory".to_owned()
    }

    fn map(&self, group: &str) -> Result<Option<String>> {
        Ok(self.groups.get(group).map(HostSet::to_string))
    }

    fn all(&self) -> Result<Option<String>> {
        Ok(Some(self.hosts.to_string()))
    }

    fn list(&self) -> Result<Vec<String>> {
        Ok(self.groups.keys().cloned().collect())
    }

    fn reverse(&self, host: &str) -> Result<Option<Vec<String>>> {
        let groups = self.host(host).map(|target| target.groups.iter().cloned());
        Ok(Some(groups.into_iter().flatten().collect()))
    }
}

impl fmt::Debug for Inventory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let variables: Vec<_> = self.variables.iter().map(Variable::name).collect();
        f.debug_struct("Inventory")
            .field("hosts", &self.hosts)
            .field("groups", &self.groups)
            .field("variables", &variables)
            .field("sources", &self.sources)
            .field("unread", &self.unread)
            .finish_non_exhaustive()
    }
}

impl fmt::Display for Unread {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", Printable(&self.file))?;
        if let Some(line) = self.line {
            write!(f, ":{line}")?;
        }
        if let Some(key) = &self.key {
            write!(f, ": `{}`", Printable(key))?;
        }
        write!(f, " is not read: {}", Printable(&self.reason))
    }
}

/// The error for an inventory that selects nothing, whatever is asked for: mostly it is the wrong file.
fn no_hosts(name: &str, hint: &str) -> Error {
    let message = format!("the inventory holds no hosts; check that this is the right path{hint}");
    Error::new(ErrorKind::Inventory, message).at(Place::in_file(name))
}

/// Whether this can be the name of a group or a tag: nothing that host set expressions give a meaning.
fn is_plain_name(name: &str) -> bool {
    !name.is_empty()
        && name
            .chars()
            .all(|c| c.is_alphanumeric() || matches!(c, '_' | '-' | '.'))
}

#[cfg(test)]
mod tests;
