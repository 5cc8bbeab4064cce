//! Ansible's INI inventories, read as the `ini` plugin of ansible-core 2.19 does.

use super::model::{Model, PARTS, UNGROUPED};
use super::pattern;
use super::values::Reader;
use super::words;
use crate::nearest::did_you_mean;
use crate::{Error, ErrorKind, Place, Result};

/// Adds what a text says to the model.
pub(super) fn read(text: &str, reader: &mut Reader<'_>, model: &mut Model) -> Result<()> {
    let mut ini = Ini {
        model,
        reader,
        section: Section::Hosts,
        group: UNGROUPED,
        pending: Vec::new(),
    };
    for (line, number) in text.lines().zip(1..) {
        let place = ini.place(number);
        ini.line(line.trim(), number)
            .map_err(|error| error.at(place))?;
    }
    match ini.pending.first() {
        None => Ok(()),
        Some(pending) => {
            let place = ini.place(pending.line);
            Err(ini.model.undeclared(&pending.group).at(place))
        }
    }
}

struct Ini<'m, 'r, 'u> {
    model: &'m mut Model,
    reader: &'r mut Reader<'u>,
    section: Section,
    /// The group of the section.
    group: usize,
    /// Groups that sections refer to before they are declared, by `[group]` or `[group:children]`.
    pending: Vec<Pending>,
}

#[derive(Debug, Clone, Copy)]
enum Section {
    Hosts,
    Variables,
    Children,
}

struct Pending {
    group: String,
    line: usize,
    parents: Vec<usize>,
}

impl Ini<'_, '_, '_> {
    fn place(&self, line: usize) -> Place {
        Place {
            file: Some(self.reader.file().to_owned()),
            line: Some(line),
            column: None,
        }
    }

    fn line(&mut self, line: &str, number: usize) -> Result<()> {
        if line.is_empty() || line.starts_with(['#', ';']) {
            return Ok(());
        }
        if let Some((name, kind)) = section(line) {
            return self.enter(name, kind, number);
        }
        if line.starts_with('[') && line.ends_with(']') && !line.contains('=') {
            let message = format!(
                "`{line}` is not a section: `[group]`, `[group:children]` or `[group:vars]`, without spaces"
            );
            return Err(wrong(message));
        }
        match self.section {
            Section::Hosts => self.hosts(line, number),
            Section::Variables => self.variable(line, number),
            Section::Children => self.child(line, number),
        }
    }

    fn enter(&mut self, name: &str, kind: &str, number: usize) -> Result<()> {
        self.section = match kind {
            "" | "hosts" => Section::Hosts,
            "vars" => Section::Variables,
            "children" => Section::Children,
            _ => {
                let message = format!(
                    "`[{name}:{kind}]` is not a section; after the colon stands `children`, `vars` or `hosts`{}",
                    did_you_mean(kind, PARTS)
                );
                return Err(wrong(message));
            }
        };
        let pending = self
            .pending
            .iter()
            .position(|pending| pending.group == name);
        let declares = !matches!(self.section, Section::Variables);
        if !declares && pending.is_none() && self.model.find_group(name).is_none() {
            self.pending.push(Pending {
                group: name.to_owned(),
                line: number,
                parents: Vec::new(),
            });
        }
        let place = self.place(number);
        self.group = self.model.group(name, || place);
        if let Some(pending) = pending.filter(|_| declares) {
            for parent in self.pending.remove(pending).parents {
                self.model.link(parent, self.group);
            }
        }
        Ok(())
    }

    fn child(&mut self, line: &str, number: usize) -> Result<()> {
        let name = line.split('#').next().unwrap_or_default().trim_end();
        if name.contains('=') {
            // What stands there is not shown: it may be a password.
            return Err(wrong(
                "a line of a section `[group:children]` is the name of a group, and this one has a `=`"
                    .to_owned(),
            ));
        }
        if name.is_empty() || name.contains([':', ']']) || name.contains(char::is_whitespace) {
            return Err(wrong(format!("`{line}` is not the name of a group")));
        }
        match self.model.find_group(name) {
            Some(child) => self.model.link(self.group, child),
            None => match self
                .pending
                .iter_mut()
                .find(|pending| pending.group == name)
            {
                Some(pending) => pending.parents.push(self.group),
                None => self.pending.push(Pending {
                    group: name.to_owned(),
                    line: number,
                    parents: vec![self.group],
                }),
            },
        }
        Ok(())
    }

    fn variable(&mut self, line: &str, number: usize) -> Result<()> {
        let Some((key, value)) = line.split_once('=') else {
            // What stands there is not shown: it may be a password.
            return Err(wrong(
                "a variable is written `name=value`, and this line has no `=`".to_owned(),
            ));
        };
        let key = key.trim_end();
        let fact = self.reader.ini(number, key, value.trim_start())?;
        self.model.set_group(self.group, key.into(), fact);
        Ok(())
    }

    fn hosts(&mut self, line: &str, number: usize) -> Result<()> {
        // The line is not shown: it may hold a password.
        let words =
            words::split(line).map_err(|why| wrong(format!("this line cannot be read: {why}")))?;
        let Some((pattern, words)) = words.split_first() else {
            return Ok(());
        };
        if pattern == "---" {
            return Err(wrong(
                "`---` begins a YAML file, and this is read as INI; name it `.yaml`".to_owned(),
            ));
        }
        let (names, port) = pattern::expand(pattern, self.model.room()).map_err(wrong)?;
        let mut facts = Vec::with_capacity(words.len());
        for (number_of_word, word) in words.iter().enumerate() {
            let Some((key, value)) = word.split_once('=') else {
                let message = format!(
                    "after the host stand variables as `name=value`; word {} of the line has no `=` (a value with white space needs quotes)",
                    number_of_word + 2
                );
                return Err(wrong(message));
            };
            facts.push((key.into(), self.reader.ini(number, key, value)?));
        }
        let place = self.place(number);
        self.model
            .charge(names.len().saturating_mul(facts.len() + 1))?;
        for name in names {
            let host = self.model.host(name, self.group, port, &place)?;
            self.model.hosts[host].facts.extend(facts.iter().cloned());
        }
        Ok(())
    }
}

fn wrong(message: String) -> Error {
    Error::new(ErrorKind::Inventory, message)
}

/// The name and kind in `[name:kind]`, with nothing but a comment behind.
fn section(line: &str) -> Option<(&str, &str)> {
    let (inner, after) = line.strip_prefix('[')?.split_once(']')?;
    let after = after.trim_start();
    if !after.is_empty() && !after.starts_with('#') {
        return None;
    }
    let (name, kind) = inner.split_once(':').unwrap_or((inner, ""));
    let word = |text: &str| text.chars().all(|c| c.is_alphanumeric() || c == '_');
    let kind_is_right = if inner.contains(':') {
        !kind.is_empty() && word(kind)
    } else {
        true
    };
    (!name.is_empty() && !name.contains(char::is_whitespace) && kind_is_right)
        .then_some((name, kind))
}
