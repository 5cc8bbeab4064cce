//! Ansible's data model: groups that contain hosts and groups, both with variables.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::rc::Rc;

use super::values::Fact;
use crate::inventory::Unread;
use crate::inventory::native::{MAX_FACTS, MAX_HOSTS};
use crate::nearest::did_you_mean;
use crate::{Error, ErrorKind, Place, Result};

/// The variables of a host or a group, as one source of them says.
pub(super) type Facts = BTreeMap<Rc<str>, Fact>;

/// What all files of an inventory say, before precedence is applied.
#[derive(Debug)]
pub(super) struct Model {
    pub(super) groups: Vec<Group>,
    pub(super) hosts: Vec<Host>,
    pub(super) unread: Vec<Unread>,
    group_index: HashMap<String, usize>,
    host_index: HashMap<String, usize>,
    children: HashSet<(usize, usize)>,
    /// How many hosts' variables and memberships there are.
    work: usize,
}

#[derive(Debug)]
pub(super) struct Group {
    pub(super) name: String,
    pub(super) parents: Vec<usize>,
    pub(super) children: Vec<usize>,
    pub(super) facts: Facts,
    /// `ansible_group_priority`.
    pub(super) priority: i64,
    /// The longest way down from `all`; known after [`Model::finish`].
    pub(super) depth: usize,
    /// Where the group was first named.
    pub(super) place: Place,
}

#[derive(Debug)]
pub(super) struct Host {
    pub(super) name: String,
    /// The groups it is listed in.
    pub(super) groups: Vec<usize>,
    pub(super) facts: Facts,
    pub(super) place: Place,
}

/// What a group can say of itself.
pub(super) const PARTS: [&str; 3] = ["hosts", "children", "vars"];

/// The group of all hosts, and its place in [`Model::groups`].
pub(super) const ALL: usize = 0;
/// The group of the hosts that are in no other, and its place.
pub(super) const UNGROUPED: usize = 1;

impl Model {
    pub(super) fn new() -> Self {
        let mut model = Self {
            groups: Vec::new(),
            hosts: Vec::new(),
            unread: Vec::new(),
            group_index: HashMap::new(),
            host_index: HashMap::new(),
            children: HashSet::new(),
            work: 0,
        };
        for name in ["all", "ungrouped"] {
            model.group(name, || Place {
                file: None,
                line: None,
                column: None,
            });
        }
        model.link(ALL, UNGROUPED);
        model
    }

    /// The group of this name, made if there is none.
    pub(super) fn group(&mut self, name: &str, place: impl FnOnce() -> Place) -> usize {
        if let Some(at) = self.group_index.get(name) {
            return *at;
        }
        let at = self.groups.len();
        self.groups.push(Group {
            name: name.to_owned(),
            parents: Vec::new(),
            children: Vec::new(),
            facts: Facts::new(),
            priority: 1,
            depth: 0,
            place: place(),
        });
        self.group_index.insert(name.to_owned(), at);
        at
    }

    pub(super) fn find_group(&self, name: &str) -> Option<usize> {
        self.group_index.get(name).copied()
    }

    /// The error for a group that is used and nowhere declared.
    pub(super) fn undeclared(&self, name: &str) -> Error {
        let known = self.groups.iter().map(|group| group.name.as_str());
        let hint = did_you_mean(name, known.filter(|known| *known != name));
        let message = format!("group `{name}` is declared nowhere{hint}");
        Error::new(ErrorKind::Inventory, message)
    }

    /// Makes one group a child of another.
    pub(super) fn link(&mut self, parent: usize, child: usize) {
        if self.children.insert((parent, child)) {
            self.groups[parent].children.push(child);
            self.groups[child].parents.push(parent);
        }
    }

    /// The host of this name in a group, made if there is none; the port counts only then, as in Ansible.
    pub(super) fn host(
        &mut self,
        name: String,
        group: usize,
        port: Option<u16>,
        place: &Place,
    ) -> Result<usize> {
        let at = match self.host_index.get(&name) {
            Some(at) => *at,
            None => {
                if self.hosts.len() == MAX_HOSTS {
                    let message = format!("the inventory has more than {MAX_HOSTS} hosts");
                    return Err(Error::new(ErrorKind::TooLarge, message).at(place.clone()));
                }
                let at = self.hosts.len();
                self.host_index.insert(name.clone(), at);
                let mut facts = Facts::new();
                if let Some(port) = port {
                    facts.insert(
                        "ansible_port".into(),
                        Fact {
                            value: Some(port.to_string().into()),
                            file: place.file.as_deref().unwrap_or_default().into(),
                            line: place.line.unwrap_or_default(),
                        },
                    );
                }
                self.hosts.push(Host {
                    name,
                    groups: Vec::new(),
                    facts,
                    place: place.clone(),
                });
                at
            }
        };
        let groups = &mut self.hosts[at].groups;
        if !groups.contains(&group) {
            groups.push(group);
        }
        Ok(at)
    }

    /// How many hosts may still be added.
    pub(super) fn room(&self) -> usize {
        MAX_HOSTS - self.hosts.len()
    }

    /// Counts facts about single hosts, of which there is a limit.
    pub(super) fn charge(&mut self, facts: usize) -> Result<()> {
        self.work = self.work.saturating_add(facts);
        if self.work > MAX_FACTS {
            let message =
                format!("the inventory says more than {MAX_FACTS} things about single hosts");
            return Err(Error::new(ErrorKind::TooLarge, message));
        }
        Ok(())
    }

    /// Sets a variable of a group.
    pub(super) fn set_group(&mut self, group: usize, key: Rc<str>, fact: Fact) {
        if &*key == "ansible_group_priority" {
            if let Some(priority) = fact.value.as_deref().and_then(|text| text.parse().ok()) {
                self.groups[group].priority = priority;
            }
            return;
        }
        self.groups[group].facts.insert(key, fact);
    }

    /// Puts groups without parents under `all` and hosts without groups into `ungrouped`, and finds the depths.
    pub(super) fn finish(&mut self) -> Result<()> {
        for group in 0..self.groups.len() {
            if group != ALL && self.groups[group].parents.is_empty() {
                self.link(ALL, group);
            }
        }
        for host in &mut self.hosts {
            if host.groups.iter().any(|group| *group > UNGROUPED) {
                host.groups.retain(|group| *group != UNGROUPED);
            } else if !host.groups.contains(&UNGROUPED) {
                host.groups.push(UNGROUPED);
            }
        }
        self.find_depths()
    }

    /// Depths in topological order; what is left over is a circle.
    fn find_depths(&mut self) -> Result<()> {
        let mut waiting: Vec<usize> = self
            .groups
            .iter()
            .map(|group| group.parents.len())
            .collect();
        let mut ready: Vec<usize> = (0..waiting.len()).filter(|at| waiting[*at] == 0).collect();
        let mut done = 0;
        while let Some(at) = ready.pop() {
            done += 1;
            let depth = self.groups[at].depth + 1;
            for child in self.groups[at].children.clone() {
                let group = &mut self.groups[child];
                group.depth = group.depth.max(depth);
                waiting[child] -= 1;
                if waiting[child] == 0 {
                    ready.push(child);
                }
            }
        }
        if done == self.groups.len() {
            return Ok(());
        }
        let looped = self
            .groups
            .iter()
            .zip(waiting)
            .find(|(_, waiting)| *waiting > 0);
        let (name, place) = looped.map_or(("", None), |(group, _)| {
            (group.name.as_str(), Some(group.place.clone()))
        });
        let message = format!("group `{name}` is its own descendant; break the circle of children");
        let error = Error::new(ErrorKind::Inventory, message);
        Err(match place {
            Some(place) => error.at(place),
            None => error,
        })
    }

    /// All groups that a host listed in `groups` is in, in the order in which their variables apply.
    pub(super) fn with_ancestors(&self, groups: &[usize]) -> Vec<usize> {
        let mut found: HashSet<usize> = HashSet::from([ALL]);
        let mut open = groups.to_vec();
        while let Some(group) = open.pop() {
            if found.insert(group) {
                open.extend(&self.groups[group].parents);
            }
        }
        let mut found: Vec<usize> = found.into_iter().collect();
        found.sort_by_key(|at| {
            let group = &self.groups[*at];
            (*at != ALL, group.depth, group.priority, group.name.as_str())
        });
        found
    }
}
