//! The native format: `defaults`, `hosts` and `groups` in one YAML file.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::path::PathBuf;
use std::sync::Arc;

use super::names::{self, FIELDS};
use super::values::{self, Values};
use crate::destination::{check_user, read_port};
use crate::hostset::expand_pattern;
use crate::nearest::did_you_mean;
use crate::text::shortened;
use crate::yaml::{Document, Mark, Node, Value};
use crate::{Error, ErrorKind, Result, Target, Variables};

/// The most hosts in one inventory.
pub(super) const MAX_HOSTS: usize = 1_000_000;

/// The most variables and memberships of single hosts, counted for each host.
pub(super) const MAX_FACTS: usize = 20_000_000;

/// The keys at the top of the file.
pub(super) const SECTIONS: [&str; 3] = ["defaults", "hosts", "groups"];

/// What a native file says, with the group expressions not evaluated yet.
#[derive(Debug, Default)]
pub(super) struct Native {
    pub(super) targets: Vec<Target>,
    pub(super) groups: BTreeMap<String, Group>,
}

/// A group as its host set expressions; a host is a member when it is in any of them.
#[derive(Debug)]
pub(super) struct Group {
    pub(super) expressions: Vec<Expression>,
}

/// A host set expression and where it stands.
#[derive(Debug)]
pub(super) struct Expression {
    pub(super) text: String,
    pub(super) line: u32,
    /// The column of its first character; `None` when the file has the text in pieces.
    pub(super) column: Option<u32>,
}

/// Reads a native file.
pub(super) fn read(document: &Document<'_>, file: &str) -> Result<Native> {
    document.check_keys(ErrorKind::Inventory, file)?;
    let reader = Reader {
        file,
        variables: RefCell::default(),
    };
    let mut native = Native::default();
    let mut defaults = Fields::default();
    let root = document.root.as_ref();
    let sections = root.map_or(Ok(&[][..]), |root| reader.mapping(root, "an inventory"))?;
    for (key, value) in sections {
        let name = key.text().unwrap_or_default();
        match name {
            "defaults" => defaults = reader.fields(value, "`defaults`")?,
            "hosts" | "groups" => {}
            _ => {
                let message = format!(
                    "`{name}` is not a part of an inventory (`defaults`, `hosts`, `groups`){}",
                    did_you_mean(name, SECTIONS)
                );
                return Err(reader.error(key.mark, message));
            }
        }
    }
    if let Some(address) = defaults.scalar("address") {
        let message = "`address` belongs to a host; all hosts cannot share one";
        return Err(reader.error(address.mark, message));
    }
    // Also where each host has a value of its own.
    let mut example = Target::new("defaults", "defaults");
    for given in defaults.fields() {
        reader.give(&mut example, &given, 0)?;
    }
    for (key, value) in sections {
        match key.text() {
            Some("hosts") => native.targets = reader.hosts(value, &defaults)?,
            Some("groups") => native.groups = reader.groups(value)?,
            _ => {}
        }
    }
    if native.targets.is_empty() {
        return Err(super::no_hosts(file, "; hosts stand below `hosts:`"));
    }
    Ok(native)
}

struct Reader<'f> {
    file: &'f str,
    /// The names of variables that were found right, with the field that each may be another word for.
    variables: RefCell<HashMap<String, Option<&'static str>>>,
}

/// The fields of one entry, as nodes.
#[derive(Default)]
struct Fields<'n, 'a> {
    /// Typed single values and variables; a null hides the default.
    scalars: BTreeMap<&'n str, &'n Node<'a>>,
    tags: BTreeSet<String>,
    groups: BTreeSet<String>,
}

impl<'n, 'a> Fields<'n, 'a> {
    fn scalar(&self, name: &str) -> Option<&'n Node<'a>> {
        self.scalars.get(name).copied()
    }

    /// The typed single values, ranges not read.
    fn fields(&self) -> impl Iterator<Item = Given<'n, 'a>> {
        let typed = self
            .scalars
            .iter()
            .filter(|(name, node)| FIELDS.contains(name) && !node.is_null());
        typed.map(|(name, node)| {
            let values = Values::Shared(node.text().unwrap_or_default().to_owned());
            Given { name, node, values }
        })
    }
}

/// The field or variable that an entry gives to its hosts.
struct Given<'n, 'a> {
    name: &'n str,
    node: &'n Node<'a>,
    values: Values,
}

impl Reader<'_> {
    fn error(&self, mark: Mark, message: impl Into<String>) -> Error {
        Error::new(ErrorKind::Inventory, message).at(mark.place(self.file))
    }

    /// The pairs of a mapping; nothing counts as an empty one.
    fn mapping<'n, 'a>(
        &self,
        node: &'n Node<'a>,
        what: &str,
    ) -> Result<&'n [(Node<'a>, Node<'a>)]> {
        if node.is_null() {
            return Ok(&[]);
        }
        node.pairs().ok_or_else(|| {
            let message = format!(
                "{what} is a mapping of names to values, not {}",
                node.kind()
            );
            self.error(node.mark, message)
        })
    }

    fn hosts(&self, node: &Node<'_>, defaults: &Fields<'_, '_>) -> Result<Vec<Target>> {
        let mut hosts = Hosts {
            reader: self,
            defaults,
            targets: Vec::new(),
            defined: HashMap::new(),
            shared: HashSet::new(),
            facts: 0,
        };
        for (key, value) in self.mapping(node, "`hosts`")? {
            hosts.entry(key, value)?;
        }
        Ok(hosts.targets)
    }

    /// The fields of `defaults` or of one host entry.
    fn fields<'n, 'a>(&self, node: &'n Node<'a>, what: &str) -> Result<Fields<'n, 'a>> {
        let mut fields = Fields::default();
        let mut other_words = Vec::new();
        for (key, value) in self.mapping(node, what)? {
            let name = key.text().unwrap_or_default();
            match name {
                "tags" => fields.tags = self.names(value, name)?,
                "groups" => fields.groups = self.names(value, name)?,
                _ => {
                    if !FIELDS.contains(&name) {
                        let field = self.check_variable(key, name)?;
                        other_words.extend(field.map(|field| (key, name, field)));
                    }
                    self.check_single(value, name)?;
                    fields.scalars.insert(name, value);
                }
            }
        }
        for (key, name, field) in other_words {
            if !fields.scalars.contains_key(field) {
                let message = format!(
                    "`{name}` is probably meant as `{field}`; where `{field}` is given too, `{name}` is a variable"
                );
                return Err(self.error(key.mark, message));
            }
        }
        Ok(fields)
    }

    /// Refuses a variable whose name is a slip for a field, or that plans could not name; gives the field that it may be
    /// another word for.
    fn check_variable(&self, key: &Node<'_>, name: &str) -> Result<Option<&'static str>> {
        if let Some(field) = self.variables.borrow().get(name) {
            return Ok(*field);
        }
        if let Some(field) = names::misspelt(name) {
            let message =
                format!("`{name}` is probably `{field}` misspelt; a variable needs another name");
            return Err(self.error(key.mark, message));
        }
        if !names::is_variable_name(name) {
            let message = format!(
                "`{name}` cannot be a variable: a name has letters, digits and `_`, no digit first"
            );
            return Err(self.error(key.mark, message));
        }
        let field = names::other_word(name);
        self.variables.borrow_mut().insert(name.to_owned(), field);
        Ok(field)
    }

    /// Refuses what is not a single value.
    fn check_single(&self, node: &Node<'_>, name: &str) -> Result<()> {
        if let Some(tag) = &node.tag {
            let message = format!("`{name}` has the tag `{tag}`, which is not read here");
            return Err(self.error(node.mark, message));
        }
        if node.text().is_none() {
            let hint = match node.value {
                Value::Sequence(_) => "; put quotes around a text that starts with a bracket",
                _ => "",
            };
            let message = format!("`{name}` takes a single value, not {}{hint}", node.kind());
            return Err(self.error(node.mark, message));
        }
        Ok(())
    }

    /// One name or a list of them: tags, groups.
    fn names(&self, node: &Node<'_>, field: &str) -> Result<BTreeSet<String>> {
        self.list(node, field)?
            .into_iter()
            .map(|item| {
                let name = item.text().unwrap_or_default();
                self.check_name(item, name, field)?;
                Ok(name.to_owned())
            })
            .collect()
    }

    fn check_name(&self, node: &Node<'_>, name: &str, field: &str) -> Result<()> {
        if super::is_plain_name(name) {
            return Ok(());
        }
        let message = format!(
            "`{name}` cannot be a name in `{field}`: it has letters, digits, `_`, `-` and `.` (several names \
             are written as a list)"
        );
        Err(self.error(node.mark, message))
    }

    /// One value or a list of them.
    fn list<'n, 'a>(&self, node: &'n Node<'a>, field: &str) -> Result<Vec<&'n Node<'a>>> {
        let items: Vec<_> = match &node.value {
            Value::Sequence(items) => items.iter().collect(),
            _ if node.is_null() => Vec::new(),
            _ => vec![node],
        };
        items
            .into_iter()
            .map(|item| {
                if item.text().is_none() || item.tag.is_some() || item.is_null() {
                    let message = format!(
                        "`{field}` takes a name or a list of names, not {}",
                        item.kind()
                    );
                    return Err(self.error(item.mark, message));
                }
                Ok(item)
            })
            .collect()
    }

    fn groups(&self, node: &Node<'_>) -> Result<BTreeMap<String, Group>> {
        let mut groups = BTreeMap::new();
        for (key, value) in self.mapping(node, "`groups`")? {
            let name = key.text().unwrap_or_default();
            self.check_name(key, name, "groups")?;
            let expressions = self.list(value, name)?.into_iter().map(|item| Expression {
                text: item.text().unwrap_or_default().to_owned(),
                line: item.mark.line,
                column: item.text_column(),
            });
            let group = Group {
                expressions: expressions.collect(),
            };
            groups.insert(name.to_owned(), group);
        }
        Ok(groups)
    }

    /// Sets one field or variable of the `at`th host of an entry.
    fn give(&self, target: &mut Target, given: &Given<'_, '_>, at: usize) -> Result<()> {
        let text = given.values.of(at);
        let wrong = |what: &str| {
            let text = shortened(text);
            let message = format!(
                "`{}` of `{}`: `{text}` is not {what}",
                given.name, target.name
            );
            Err(self.error(given.node.mark, message))
        };
        match given.name {
            "address" => match values::address(text) {
                Some(address) => target.address = address.to_owned(),
                None => return wrong("a host name or an IP address (a port goes into `port`)"),
            },
            "port" => match read_port(text) {
                None => return wrong("a port (1 to 65535)"),
                port => target.port = port,
            },
            _ if text.is_empty() && FIELDS.contains(&given.name) => {
                return wrong("a value; remove the line");
            }
            "user" => match check_user(text) {
                Ok(()) => target.user = Some(text.to_owned()),
                Err(flaw) => return wrong(&format!("a login name: {}", flaw.message)),
            },
            "identity_file" | "known_hosts" if given.node.is_number_or_switch() => {
                return wrong("a path; put quotes around the name of such a file");
            }
            "identity_file" => target.identity_file = Some(PathBuf::from(text)),
            "known_hosts" => target.known_hosts = Some(PathBuf::from(text)),
            "jump" => match text.parse() {
                Ok(jump) => target.jump = Some(jump),
                Err(error) => {
                    let message = format!("`jump` of `{}`: {}", target.name, error.message());
                    return Err(self.error(given.node.mark, message));
                }
            },
            name => target.variables.insert(name, text),
        }
        Ok(())
    }
}

/// The hosts while they are read.
struct Hosts<'r, 'd, 'n, 'a> {
    reader: &'r Reader<'r>,
    defaults: &'d Fields<'n, 'a>,
    targets: Vec<Target>,
    /// Where each host was defined.
    defined: HashMap<String, Mark>,
    /// The maps that hosts have in common, each once.
    shared: HashSet<Arc<BTreeMap<String, String>>>,
    /// How much there is that hosts do not share.
    facts: usize,
}

impl Hosts<'_, '_, '_, '_> {
    /// Adds the hosts of one entry: `web[01-50]: {...}`.
    fn entry(&mut self, key: &Node<'_>, node: &Node<'_>) -> Result<()> {
        let pattern = key.text().unwrap_or_default();
        let shown = shortened(pattern);
        let names = expand_pattern(pattern, MAX_HOSTS).map_err(|error| {
            let message = match error.kind() {
                ErrorKind::TooLarge => format!("`{shown}`: {}", error.message()),
                _ => format!("`{shown}` is not a host name pattern: {}", error.message()),
            };
            Error::new(error.kind(), message).at(key.mark.place(self.reader.file))
        })?;
        if names.len() > MAX_HOSTS - self.targets.len() {
            let message = format!("up to `{shown}` are more than {MAX_HOSTS} hosts, the limit");
            return Err(
                Error::new(ErrorKind::TooLarge, message).at(key.mark.place(self.reader.file))
            );
        }
        let fields = self.reader.fields(node, &format!("`{shown}`"))?;
        let mut common = BTreeMap::new();
        let mut given: Vec<_> = self
            .defaults
            .fields()
            .filter(|given| !fields.scalars.contains_key(given.name))
            .collect();
        for (name, node) in &self.defaults.scalars {
            if fields.scalars.contains_key(name) || node.is_null() {
                continue;
            }
            if !FIELDS.contains(name) {
                let text = node.text().unwrap_or_default();
                common.insert((*name).to_owned(), text.to_owned());
            }
        }
        for (name, node) in &fields.scalars {
            if node.is_null() {
                continue;
            }
            let text = node.text().unwrap_or_default();
            match values::beside(text, names.len()) {
                Ok(Values::Shared(text)) if !FIELDS.contains(name) => {
                    common.insert((*name).to_owned(), text);
                }
                Ok(values) => given.push(Given { name, node, values }),
                Err(problem) => {
                    let message = format!("`{name}` of `{shown}`: {problem}");
                    return Err(self.reader.error(node.mark, message));
                }
            }
        }
        let labels = fields.tags.len() + fields.groups.len();
        let labels = labels + self.defaults.tags.len() + self.defaults.groups.len();
        self.facts = self
            .facts
            .saturating_add(names.len().saturating_mul(given.len() + labels));
        if self.facts > MAX_FACTS {
            let message = format!("up to here are more than {MAX_FACTS} fields of single hosts");
            return Err(
                Error::new(ErrorKind::TooLarge, message).at(key.mark.place(self.reader.file))
            );
        }
        let common = self.share(common);
        for (at, name) in names.into_iter().enumerate() {
            self.define(&name, key.mark)?;
            let mut target = self.named(name, key.mark)?;
            target.variables = Variables::shared(common.clone());
            target.tags = self.defaults.tags.union(&fields.tags).cloned().collect();
            target.groups = self
                .defaults
                .groups
                .union(&fields.groups)
                .cloned()
                .collect();
            for given in &given {
                self.reader.give(&mut target, given, at)?;
            }
            self.targets.push(target);
        }
        Ok(())
    }

    fn share(&mut self, map: BTreeMap<String, String>) -> Arc<BTreeMap<String, String>> {
        if let Some(known) = self.shared.get(&map) {
            return known.clone();
        }
        let map = Arc::new(map);
        self.shared.insert(map.clone());
        map
    }

    fn define(&mut self, name: &str, mark: Mark) -> Result<()> {
        if let Some(first) = self.defined.get(name) {
            let message = format!(
                "host `{name}` is defined twice, first in line {}; keep one",
                first.line
            );
            return Err(self.reader.error(mark, message));
        }
        self.defined.insert(name.to_owned(), mark);
        Ok(())
    }

    /// The target that a name alone stands for: `[user@]host[:port]`.
    fn named(&self, name: String, mark: Mark) -> Result<Target> {
        name.parse::<Target>()
            .map_err(|error| self.reader.error(mark, error.message()))
    }
}
