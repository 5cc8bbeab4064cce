#![doc = include_str!("ansible.md")]

mod connection;
mod ini;
mod model;
mod pattern;
mod python;
mod resolve;
mod values;
mod words;
mod yaml;

use crate::inventory::{Inventory, Unread, load, no_hosts};
use crate::text::without_mark;
use crate::yaml::{self as tree, Document, Node};
use crate::{Error, ErrorKind, Place, Result};

use model::Model;
use resolve::VariableFiles;
use values::Reader;

/// Reads one text.
pub(super) fn parse(text: &str, name: &str) -> Result<Inventory> {
    let mut files = Files::new();
    files.add(text, name, Alone::Yes)?;
    files.finish(name)
}

/// Whether a text is one that can be read: not a program, and not encrypted.
pub(super) fn is_text(text: &str) -> bool {
    !["#!", PROGRAM, VAULT]
        .iter()
        .any(|start| text.starts_with(start))
}

/// Whether a text is YAML rather than INI: by the end of its name, else by how its first line begins.
pub(super) fn is_yaml(text: &str, name: &str) -> bool {
    let extension = name
        .rsplit(['/', '\\'])
        .next()
        .and_then(|name| name.rsplit_once('.'));
    match extension.map(|(_, extension)| extension) {
        Some("yaml" | "yml" | "json") => true,
        Some("ini") => false,
        _ => {
            let mut lines = text.lines().map(str::trim);
            let first = lines.find(|line| !line.is_empty() && !line.starts_with(['#', ';']));
            first.is_none_or(|line| {
                let word = line.split_whitespace().next().unwrap_or_default();
                line.starts_with(['{', '%', '"', '\'']) || word == "---" || word.ends_with(':')
            })
        }
    }
}

/// The files of one inventory.
pub(super) struct Files {
    model: Model,
    variables: VariableFiles,
    /// How many inventory files were read.
    inventories: usize,
}

/// Whether a file is all there is, so that not reading it is an error.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Alone {
    Yes,
    No,
}

/// Whose variables a file has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Owner {
    Group(String),
    Host(String),
}

impl Files {
    pub(super) fn new() -> Self {
        Self {
            model: Model::new(),
            variables: VariableFiles::default(),
            inventories: 0,
        }
    }

    /// Adds an inventory file.
    pub(super) fn add(&mut self, text: &str, name: &str, alone: Alone) -> Result<()> {
        let text = without_mark(text);
        if text.starts_with("#!") || text.starts_with(PROGRAM) {
            return self.skip(name, alone, "it is a program");
        }
        if text.starts_with(VAULT) {
            return self.skip(name, alone, "it is encrypted with Ansible Vault");
        }
        if name.ends_with(".toml") {
            return self.skip(name, alone, "it is in TOML, not in INI or YAML");
        }
        if !is_yaml(text, name) {
            self.inventories += 1;
            return self.with_reader(name, |reader, model| ini::read(text, reader, model));
        }
        let document = tree::parse(text, name)?;
        if let Some((key, _)) = pair(&document, "_meta") {
            let message = "this is what `ansible-inventory --list` prints, in which groups are lists; \
                           let it print what is read here with `--list --yaml`";
            return Err(Error::new(ErrorKind::Inventory, message).at(key.mark.place(name)));
        }
        if let Some(plugin) = pair(&document, "plugin").and_then(|(_, value)| value.text()) {
            let reason = format!("it configures the inventory plugin `{plugin}`");
            return self.skip(name, alone, &reason);
        }
        if let Some(section) = load::native_section(&document).filter(|_| alone == Alone::No) {
            let message = format!(
                "`{}` at the top is clusterops' own format, and the files of a folder are read as Ansible's; load this \
                 file itself",
                section.text().unwrap_or_default()
            );
            return Err(Error::new(ErrorKind::Inventory, message).at(section.mark.place(name)));
        }
        self.inventories += 1;
        self.with_reader(name, |reader, model| yaml::read(&document, reader, model))
    }

    /// Adds a file of `group_vars` or `host_vars`.
    pub(super) fn add_variables(&mut self, text: &str, name: &str, of: &Owner) -> Result<()> {
        if text.starts_with(VAULT) {
            return self.skip(name, Alone::No, "it is encrypted with Ansible Vault");
        }
        let document = tree::parse(text, name)?;
        let facts = self.with_reader(name, |reader, _| yaml::read_variables(&document, reader))?;
        let known = match of {
            Owner::Group(name) => self.variables.groups.entry(name.clone()),
            Owner::Host(name) => self.variables.hosts.entry(name.clone()),
        };
        known.or_default().extend(facts);
        Ok(())
    }

    /// The groups and hosts that may have files of variables.
    pub(super) fn owners(&self) -> impl Iterator<Item = Owner> {
        let groups = self
            .model
            .groups
            .iter()
            .map(|group| Owner::Group(group.name.clone()));
        groups.chain(
            self.model
                .hosts
                .iter()
                .map(|host| Owner::Host(host.name.clone())),
        )
    }

    fn with_reader<T>(
        &mut self,
        name: &str,
        read: impl FnOnce(&mut Reader<'_>, &mut Model) -> Result<T>,
    ) -> Result<T> {
        let mut unread = Vec::new();
        let mut reader = Reader::new(name, &mut unread);
        let value = read(&mut reader, &mut self.model)?;
        self.model.unread.extend(unread);
        Ok(value)
    }

    /// Refuses a folder in which no inventory was found.
    pub(super) fn check_not_empty(&self, folder: &str) -> Result<()> {
        if self.inventories > 0 {
            return Ok(());
        }
        let message = match self.model.unread.first() {
            None => "there is no inventory in this folder: no file but hidden ones, `group_vars`, `host_vars` and files \
                 that end like notes and copies (`.md`, `.txt`, `.cfg`, `.bak`, `~`, ...)"
                .to_owned(),
            Some(unread) => format!("no inventory in this folder can be read; {unread}"),
        };
        Err(Error::new(ErrorKind::Inventory, message).at(Place::in_file(folder)))
    }

    /// Leaves a whole file out.
    pub(super) fn skip(&mut self, name: &str, alone: Alone, reason: &str) -> Result<()> {
        if alone == Alone::Yes {
            let message = format!(
                "this inventory is not read: {reason}; load what `ansible-inventory -i {name} --list --yaml` prints"
            );
            return Err(Error::new(ErrorKind::Inventory, message).at(Place::in_file(name)));
        }
        self.model.unread.push(Unread {
            file: name.to_owned(),
            line: None,
            key: None,
            reason: reason.to_owned(),
        });
        Ok(())
    }

    /// The inventory, which has hosts; `name` is what errors call it.
    pub(super) fn finish(self, name: &str) -> Result<Inventory> {
        let inventory = resolve::resolve(self.model, self.variables)?;
        if inventory.targets().is_empty() {
            let unread = inventory.unread().first();
            let hint = unread.map(|unread| format!("; {unread}"));
            return Err(no_hosts(name, &hint.unwrap_or_default()));
        }
        Ok(inventory)
    }
}

/// How a compiled program begins (ELF).
pub(super) const PROGRAM: &str = "\u{7f}ELF";

/// How an encrypted file begins.
const VAULT: &str = "$ANSIBLE_VAULT;";

/// The pair at the top of a YAML file that has this key.
fn pair<'d, 'a>(document: &'d Document<'a>, name: &str) -> Option<&'d (Node<'a>, Node<'a>)> {
    let mut pairs = document.root.as_ref()?.pairs()?.iter();
    pairs.find(|(key, _)| key.text() == Some(name))
}

#[cfg(test)]
mod tests;
