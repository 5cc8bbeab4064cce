//! Precedence: from the model to targets.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::rc::Rc;
use std::sync::Arc;

use secrecy::SecretString;

use super::connection::{self, Fate, fate};
use super::model::{ALL, Facts, Host, Model};
use super::values::Fact;
use crate::hostset::{HostSet, expand_pattern};
use crate::inventory::{Inventory, Unread};
use crate::{Error, ErrorKind, Result, Target, Variables};

/// The variables from `group_vars` and `host_vars`, by group and host.
#[derive(Debug, Default)]
pub(super) struct VariableFiles {
    pub(super) groups: HashMap<String, Facts>,
    pub(super) hosts: HashMap<String, Facts>,
}

/// The inventory that a model describes.
pub(super) fn resolve(mut model: Model, mut files: VariableFiles) -> Result<Inventory> {
    model.finish()?;
    let mut shared = Shared {
        model: &model,
        files: &files.groups,
        by_groups: HashMap::new(),
        without: HashMap::new(),
    };
    let mut members: Vec<Vec<&str>> = vec![Vec::new(); model.groups.len()];
    let mut memberships = 0;
    let mut targets = Vec::with_capacity(model.hosts.len());
    let mut unread = Vec::new();
    for host in &model.hosts {
        check_name(host)?;
        let common = shared.of(&host.groups);
        memberships += common.order.len();
        if memberships > crate::inventory::native::MAX_FACTS {
            let message = "the groups have too many members; split the inventory";
            return Err(Error::new(ErrorKind::TooLarge, message).at(host.place.clone()));
        }
        for group in &common.order {
            members[*group].push(&host.name);
        }
        let mut own = host.facts.clone();
        own.extend(files.hosts.remove(&host.name).unwrap_or_default());
        targets.push(target(host, &own, &common, &mut shared, &mut unread)?);
    }
    let groups: BTreeMap<String, HostSet> = model
        .groups
        .iter()
        .zip(members)
        .map(|(group, members)| (group.name.clone(), members.into_iter().collect()))
        .collect();
    let mut inventory = Inventory::assemble(targets, groups);
    let mut seen = HashSet::new();
    inventory.unread = model
        .unread
        .into_iter()
        .chain(unread)
        .filter(|unread| seen.insert(unread.to_string()))
        .collect();
    inventory
        .unread
        .sort_by(|a, b| (&a.file, a.line).cmp(&(&b.file, b.line)));
    Ok(inventory)
}

/// Refuses names that host set expressions could not say.
fn check_name(host: &Host) -> Result<()> {
    match expand_pattern(&host.name, 1).as_deref() {
        Ok([name]) if *name == host.name => Ok(()),
        _ => {
            let message = format!(
                "`{}` cannot be the name of a host here; rename it",
                host.name
            );
            Err(Error::new(ErrorKind::Inventory, message).at(host.place.clone()))
        }
    }
}

fn target(
    host: &Host,
    own: &Facts,
    common: &Rc<Common>,
    shared: &mut Shared<'_>,
    unread: &mut Vec<Unread>,
) -> Result<Target> {
    let mut target = Target::new(&host.name, &host.name);
    target.groups = common.groups.clone();
    target.secrets = common.secrets.clone();
    let hidden: Vec<Rc<str>> = own
        .iter()
        .filter(|(name, fact)| fact.value.is_none() && common.variables.contains_key(&***name))
        .map(|(name, _)| name.clone())
        .collect();
    target.variables = Variables::shared(shared.without(&host.groups, common, hidden));
    for (name, fact) in own {
        match (fate(name), &fact.value) {
            (Fate::Variable, Some(text)) => target.variables.insert(&**name, &**text),
            (Fate::Secret, Some(_)) => {
                let secret = connection::secret(fact).map(|secret| (name.to_string(), secret));
                target.secrets.extend(secret);
            }
            (Fate::Secret, None) => {
                target.secrets.remove(&**name);
            }
            _ => {}
        }
    }
    let find = |name: &str| own.get(name).or_else(|| common.facts.get(name));
    connection::connect(&mut target, find, unread)?;
    Ok(target)
}

/// What all hosts of the same groups have in common.
#[derive(Debug)]
struct Common {
    /// The groups in the order in which their variables apply, `all` first.
    order: Vec<usize>,
    facts: Facts,
    variables: Arc<BTreeMap<String, String>>,
    secrets: BTreeMap<String, SecretString>,
    groups: BTreeSet<String>,
}

/// The groups of a host, and what it hides of their variables.
type Hiding = (Vec<usize>, Vec<Rc<str>>);

struct Shared<'m> {
    model: &'m Model,
    files: &'m HashMap<String, Facts>,
    by_groups: HashMap<Vec<usize>, Rc<Common>>,
    /// Variables of groups without those that a host hides.
    without: HashMap<Hiding, Arc<BTreeMap<String, String>>>,
}

impl Shared<'_> {
    fn of(&mut self, groups: &[usize]) -> Rc<Common> {
        if let Some(common) = self.by_groups.get(groups) {
            return common.clone();
        }
        let order = self.model.with_ancestors(groups);
        let named = |at: &usize| &self.model.groups[*at];
        let mut facts = Facts::new();
        // First what the inventory files say of groups, then what `group_vars` say; each from `all` down.
        let inventory = order.iter().map(|at| &named(at).facts);
        let files = order
            .iter()
            .filter_map(|at| self.files.get(&named(at).name));
        for source in inventory.chain(files) {
            facts.extend(
                source
                    .iter()
                    .map(|(name, fact)| (name.clone(), fact.clone())),
            );
        }
        let texts = |wanted: Fate| {
            facts
                .iter()
                .filter(move |(name, _)| fate(name) == wanted)
                .filter_map(|(name, fact): (&Rc<str>, &Fact)| {
                    Some((name.to_string(), fact.value.as_deref()?))
                })
        };
        let variables = texts(Fate::Variable).map(|(name, text)| (name, text.to_owned()));
        let secrets = texts(Fate::Secret).map(|(name, text)| (name, SecretString::from(text)));
        let below_all = order.iter().filter(|at| **at != ALL);
        let common = Rc::new(Common {
            variables: Arc::new(variables.collect()),
            secrets: secrets.collect(),
            groups: below_all.map(|at| named(at).name.clone()).collect(),
            facts,
            order,
        });
        self.by_groups.insert(groups.to_vec(), common.clone());
        common
    }

    fn without(
        &mut self,
        groups: &[usize],
        common: &Common,
        hidden: Vec<Rc<str>>,
    ) -> Arc<BTreeMap<String, String>> {
        if hidden.is_empty() {
            return common.variables.clone();
        }
        let left = self.without.entry((groups.to_vec(), hidden));
        let hidden = left.key().1.clone();
        left.or_insert_with(|| {
            let mut left = BTreeMap::clone(&common.variables);
            left.retain(|name, _| !hidden.iter().any(|hidden| **hidden == **name));
            Arc::new(left)
        })
        .clone()
    }
}
