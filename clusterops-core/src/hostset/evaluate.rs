//! The evaluation of expressions.

use std::collections::HashMap;
use std::rc::Rc;

use super::builder::Builder;
use super::grid::Operation;
use super::parse::{Operand, Parser, Term, place};
use super::pattern::Pattern;
use super::{Context, GroupSource, HostSet};
use crate::nearest::did_you_mean;
use crate::text::shortened;
use crate::{Error, ErrorKind, Result};

/// How deep groups may name other groups.
const MAX_DEPTH: usize = 100;

/// How many intervals an evaluation may look at for each host of the limit, so that its time is bounded too.
const WORK_PER_HOST: u64 = 16;

/// A group: its source by address, and its name; `None` for all hosts of the source.
type GroupKey = (usize, Option<String>);

/// The evaluation of one expression and of the groups in it.
pub(super) struct Evaluation<'c, 'a> {
    context: &'c Context<'a>,
    resolved: HashMap<GroupKey, Rc<HostSet>>,
    /// The groups that are being resolved, each inside the one before.
    open: Vec<(GroupKey, String)>,
    known: Option<Rc<HostSet>>,
    /// The groups of the expression itself, where only known hosts may come out of it.
    asked: Vec<Asked<'a>>,
    work: u64,
    /// Whether the error that ends the evaluation says already which group it is about.
    explained: bool,
}

/// A group that an expression names, and at which of its bytes.
struct Asked<'a> {
    name: String,
    at: usize,
    source: &'a dyn GroupSource,
    members: Rc<HostSet>,
}

impl<'c, 'a> Evaluation<'c, 'a> {
    pub(super) fn new(context: &'c Context<'a>) -> Self {
        Self {
            context,
            resolved: HashMap::new(),
            open: Vec::new(),
            known: None,
            asked: Vec::new(),
            work: 0,
            explained: false,
        }
    }

    /// Evaluates an expression, or the answer of a source, whose own groups need no source name in it.
    pub(super) fn evaluate(
        &mut self,
        text: &str,
        source: Option<&'a dyn GroupSource>,
    ) -> Result<HostSet> {
        let mut parser = Parser::new(text, source.is_some());
        let mut hosts = HostSet::new();
        let mut batch = Batch::default();
        while let Some(term) = parser.next()? {
            self.term(&mut hosts, &mut batch, &term, source)
                .map_err(|error| error.at(place(text, term.at)))?;
        }
        self.flush(&mut hosts, &mut batch)
            .map_err(|error| error.at(place(text, 0)))?;
        if self.context.only_known && source.is_none() {
            self.check_members(&hosts, text)?;
        }
        Ok(hosts)
    }

    /// Refuses hosts of groups that are not among the known ones. (What is no member of a group is the name of one.)
    fn check_members(&self, hosts: &HostSet, text: &str) -> Result<()> {
        let known = self.context.known.unwrap_or(const { &HostSet::EMPTY });
        let strangers = hosts.difference(known);
        for asked in self.asked.iter().filter(|_| !strangers.is_empty()) {
            let unknown = strangers.intersection(&asked.members).to_string();
            if !unknown.is_empty() {
                let message = format!(
                    "hosts of `@{}` are not known: `{}`; add them to the inventory, or mend {}",
                    asked.name,
                    shortened(&unknown),
                    asked.source.describe()
                );
                return Err(Error::new(ErrorKind::UnknownHost, message).at(place(text, asked.at)));
            }
        }
        Ok(())
    }

    fn term(
        &mut self,
        hosts: &mut HostSet,
        batch: &mut Batch,
        term: &Term<'_>,
        source: Option<&'a dyn GroupSource>,
    ) -> Result<()> {
        if batch.names > self.context.limit as u128 || !batch.can_join(term.operation) {
            self.flush(hosts, batch)?;
        }
        batch.operation = term.operation;
        if self.context.only_known && source.is_none() {
            self.check_known(term)?;
        }
        let operand = match &term.operand {
            Operand::Name => {
                batch.builder.add_name(term.text);
                batch.names += 1;
                return Ok(());
            }
            Operand::Pattern(pattern) if !pattern.has_wildcards() => {
                self.check(pattern, term.text)?;
                pattern.add_to(&mut batch.builder);
                batch.names += pattern.count();
                return Ok(());
            }
            Operand::Pattern(pattern) => self.matching(pattern)?,
            Operand::Group(pattern) => self.groups(pattern, term, source)?,
        };
        self.flush(hosts, batch)?;
        self.apply(hosts, &operand, term.operation)
    }

    /// Refuses names that are not among the known hosts, and wildcards that match none of them.
    fn check_known(&mut self, term: &Term<'_>) -> Result<()> {
        let known = self.context.known.unwrap_or(const { &HostSet::EMPTY });
        let unknown = match &term.operand {
            Operand::Group(_) => return Ok(()),
            Operand::Name if known.contains(term.text) => return Ok(()),
            Operand::Name => HostSet::from_iter([term.text]),
            Operand::Pattern(pattern) if pattern.has_wildcards() => {
                if !self.matching(pattern)?.is_empty() {
                    return Ok(());
                }
                let message = format!(
                    "`{}` matches no known host{}",
                    shortened(term.text),
                    there_are(known)
                );
                return Err(Error::new(ErrorKind::UnknownHost, message));
            }
            Operand::Pattern(pattern) => {
                self.check(pattern, term.text)?;
                let mut batch = Batch::default();
                pattern.add_to(&mut batch.builder);
                batch.builder.build().difference(known)
            }
        };
        let (is, near) = match unknown.len() {
            0 => return Ok(()),
            1 => {
                let name = unknown.get(0).unwrap_or_default();
                let near = if self.is_group(&name) {
                    format!("; did you mean the group `@{name}`?")
                } else {
                    let known: Vec<String> = known.iter().collect();
                    did_you_mean(&name, known.iter().map(String::as_str))
                };
                ("is no known host", near)
            }
            _ => ("are no known hosts", String::new()),
        };
        let hint = if near.is_empty() {
            there_are(known)
        } else {
            near
        };
        let message = format!("`{}` {is}{hint}", shortened(&unknown.to_string()));
        Err(Error::new(ErrorKind::UnknownHost, message))
    }

    /// Whether the default source has a group of this name.
    fn is_group(&self, name: &str) -> bool {
        let groups = self.context.default_source.map(|source| source.list());
        groups.is_some_and(|groups| {
            groups.is_ok_and(|groups| groups.iter().any(|group| group == name))
        })
    }

    /// Refuses a pattern that names too many hosts.
    fn check(&mut self, pattern: &Pattern, text: &str) -> Result<()> {
        if let Err(flaw) = pattern.check(self.context.limit) {
            let message = format!("`{}` {flaw}", shortened(text));
            return Err(Error::new(ErrorKind::TooLarge, message));
        }
        self.charge(pattern.weight() as u64)
    }

    fn flush(&mut self, hosts: &mut HostSet, batch: &mut Batch) -> Result<()> {
        if batch.names == 0 {
            return Ok(());
        }
        let batch = std::mem::take(batch);
        self.apply(hosts, &batch.builder.build(), batch.operation)
    }

    fn apply(
        &mut self,
        hosts: &mut HostSet,
        operand: &HostSet,
        operation: Operation,
    ) -> Result<()> {
        let work = hosts.apply(operand, operation);
        self.charge(work)?;
        let (count, limit) = (hosts.len(), self.context.limit);
        if count > limit {
            let message = format!("up to here these are {count} hosts, and the limit is {limit}");
            return Err(Error::new(ErrorKind::TooLarge, message));
        }
        Ok(())
    }

    fn charge(&mut self, work: u64) -> Result<()> {
        self.work = self.work.saturating_add(work);
        let budget = (self.context.limit as u64)
            .saturating_mul(WORK_PER_HOST)
            .max(1 << 20);
        if self.work > budget {
            let message = "this expression takes too many steps to work out; write it in parts";
            return Err(Error::new(ErrorKind::TooLarge, message));
        }
        Ok(())
    }

    fn matching(&mut self, pattern: &Pattern) -> Result<HostSet> {
        let known = self.known()?;
        let known = match &known {
            Some(hosts) => hosts.as_ref(),
            None => self.context.known.unwrap_or(const { &HostSet::EMPTY }),
        };
        self.charge(known.len() as u64)?;
        Ok(known.iter().filter(|name| pattern.matches(name)).collect())
    }

    /// The hosts that wildcards match; `None` for those of the context.
    fn known(&mut self) -> Result<Option<Rc<HostSet>>> {
        if self.context.known.is_some() {
            return Ok(None);
        }
        if self.known.is_none() {
            let source = self.context.default_source.ok_or_else(|| {
                let message = "a wildcard needs known hosts to match: an inventory, or a default group source";
                Error::new(ErrorKind::UnknownGroup, message)
            })?;
            self.known = Some(self.all(source)?);
        }
        Ok(self.known.clone())
    }

    /// The hosts of all groups whose names the pattern gives.
    fn groups(
        &mut self,
        pattern: &Pattern,
        term: &Term<'_>,
        source: Option<&'a dyn GroupSource>,
    ) -> Result<HostSet> {
        self.check(pattern, term.text)?;
        let watched = self.context.only_known && source.is_none();
        let mut hosts = HostSet::new();
        for name in pattern.expand() {
            let (source_name, group) = match name.split_once(':') {
                Some((source, group)) => (Some(source), group),
                None => (None, name.as_str()),
            };
            let members = if let Some(source_name) = name.strip_prefix('@') {
                let wanted = Some(source_name).filter(|name| !name.is_empty());
                self.group_names(self.source(wanted, source)?)?
            } else if group.is_empty() && !(source_name.is_some() && term.text.ends_with("\"\"")) {
                let message = match source_name {
                    Some(source) => format!(
                        "the name of a group is missing after `@{source}:`, or `*` for all of them"
                    ),
                    None => "the name of a group is missing after the `@`".to_owned(),
                };
                return Err(Error::new(ErrorKind::Syntax, message));
            } else if let (None, "*", None, None, Some(known)) = (
                source_name,
                group,
                source,
                self.context.default_source,
                self.context.known,
            ) {
                Rc::new(known.clone())
            } else {
                let source = self.source(source_name, source)?;
                let members = match group {
                    "*" => self.all(source)?,
                    _ => self.group(source, group)?,
                };
                if watched {
                    self.asked.push(Asked {
                        name: name.clone(),
                        at: term.at,
                        source,
                        members: members.clone(),
                    });
                }
                members
            };
            self.apply(&mut hosts, &members, Operation::Union)?;
        }
        Ok(hosts)
    }

    /// The source of this name, or else the one at hand.
    fn source(
        &self,
        name: Option<&str>,
        at_hand: Option<&'a dyn GroupSource>,
    ) -> Result<&'a dyn GroupSource> {
        let context = self.context;
        let unknown = |message: String| Err(Error::new(ErrorKind::UnknownGroup, message));
        let Some(name) = name else {
            return match at_hand.or(context.default_source) {
                Some(source) => Ok(source),
                None => unknown(
                    "a group without a source needs a default source; write `@source:group`".into(),
                ),
            };
        };
        let mut sources: Vec<&'a dyn GroupSource> = context.sources.clone();
        if let Some(default) = context.default_source
            && !sources
                .iter()
                .any(|source| address(*source) == address(default))
        {
            sources.push(default);
        }
        let mut found = sources.iter().filter(|source| source.name() == name);
        match (found.next(), found.next()) {
            (Some(source), None) => Ok(*source),
            (Some(one), Some(other)) => {
                let (one, other) = (one.describe(), other.describe());
                let message = format!("`{name}` means both {one} and {other}; rename one of them");
                Err(Error::new(ErrorKind::Ambiguous, message))
            }
            (None, _) => {
                let names: Vec<&str> = sources.iter().map(|source| source.name()).collect();
                let hint = match did_you_mean(name, names.iter().copied()) {
                    near if !near.is_empty() => near,
                    _ if names.is_empty() => "; there are none".into(),
                    _ => format!("; there are: {}", names.join(", ")),
                };
                unknown(format!(
                    "nothing that knows groups is called `{name}`{hint}"
                ))
            }
        }
    }

    pub(super) fn group(
        &mut self,
        source: &'a dyn GroupSource,
        group: &str,
    ) -> Result<Rc<HostSet>> {
        self.resolve(source, Some(group), |evaluation| {
            let title = format!("@{}:{group}", source.name());
            let Some(answer) = source.map(group)? else {
                let known = source.list().unwrap_or_default();
                let hint = did_you_mean(group, known.iter().map(String::as_str));
                let message = format!("there is no group `{title}`{hint}");
                return Err(Error::new(ErrorKind::UnknownGroup, message));
            };
            evaluation.answer(source, group, &answer)
        })
    }

    fn all(&mut self, source: &'a dyn GroupSource) -> Result<Rc<HostSet>> {
        self.resolve(source, None, |evaluation| {
            if let Some(answer) = source.all()? {
                return evaluation.answer(source, "*", &answer);
            }
            let mut hosts = HostSet::new();
            for group in source.list()? {
                let members = evaluation.group(source, &group)?;
                evaluation.apply(&mut hosts, &members, Operation::Union)?;
            }
            Ok(hosts)
        })
    }

    /// The names of all groups of a source, as if they were hosts.
    fn group_names(&mut self, source: &'a dyn GroupSource) -> Result<Rc<HostSet>> {
        Ok(Rc::new(source.list()?.into_iter().collect()))
    }

    /// Resolves a group once, refusing groups that contain themselves.
    fn resolve(
        &mut self,
        source: &'a dyn GroupSource,
        group: Option<&str>,
        find: impl FnOnce(&mut Self) -> Result<HostSet>,
    ) -> Result<Rc<HostSet>> {
        let key = (address(source), group.map(str::to_owned));
        if let Some(hosts) = self.resolved.get(&key) {
            return Ok(hosts.clone());
        }
        let title = format!("@{}:{}", source.name(), group.unwrap_or("*"));
        if let Some(start) = self.open.iter().position(|(open, _)| *open == key) {
            let mut titles: Vec<&str> = self.open[start..]
                .iter()
                .map(|(_, title)| title.as_str())
                .collect();
            titles.push(&title);
            let message = format!("group `{title}` contains itself: {}", titles.join(" > "));
            self.explained = true;
            return Err(Error::new(ErrorKind::UnknownGroup, message));
        }
        if self.open.len() == MAX_DEPTH {
            let message = format!("group `{title}` is more than {MAX_DEPTH} groups deep");
            self.explained = true;
            return Err(Error::new(ErrorKind::TooLarge, message));
        }
        self.open.push((key.clone(), title));
        let found = find(self);
        self.open.pop();
        let hosts = Rc::new(found?);
        self.resolved.insert(key, hosts.clone());
        Ok(hosts)
    }

    /// Evaluates the answer of a source; an error in it says which group it is about, and where that is defined.
    fn answer(
        &mut self,
        source: &'a dyn GroupSource,
        group: &str,
        answer: &str,
    ) -> Result<HostSet> {
        self.evaluate(answer, Some(source)).map_err(|error| {
            let explained = std::mem::replace(&mut self.explained, true);
            if explained && error.place().is_some_and(|place| place.file.is_some()) {
                return error;
            }
            let error = error.within(|error| match explained {
                true => error.message().to_owned(),
                false => {
                    let title = format!("@{}:{group}", source.name());
                    format!("group `{title}` is `{}`: {error}", shortened(answer))
                }
            });
            match source.place(group) {
                Some(place) => error.at(place),
                None => error,
            }
        })
    }
}

/// Terms of one operation that can be done at once: `a,b` as one union, `x!a!b` as one difference.
#[derive(Debug)]
struct Batch {
    operation: Operation,
    builder: Builder,
    names: u128,
}

impl Default for Batch {
    fn default() -> Self {
        Self {
            operation: Operation::Union,
            builder: Builder::default(),
            names: 0,
        }
    }
}

impl Batch {
    fn can_join(&self, operation: Operation) -> bool {
        operation == self.operation && matches!(operation, Operation::Union | Operation::Difference)
    }
}

/// Which hosts are known, as the end of an error.
fn there_are(known: &HostSet) -> String {
    let name = |position| known.get(position).unwrap_or_default();
    match known.len() {
        0 => "; none is known".to_owned(),
        1 => format!("; the only one is `{}`", name(0)),
        count => format!(
            "; there are {count}, from `{}` to `{}`",
            name(0),
            name(count - 1)
        ),
    }
}

fn address(source: &dyn GroupSource) -> usize {
    std::ptr::from_ref(source).cast::<()>().addr()
}
