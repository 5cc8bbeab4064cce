//! Ansible's YAML inventories, read as the `yaml` plugin of ansible-core 2.19 does.

use super::model::{Facts, Model, PARTS};
use super::pattern;
use super::values::Reader;
use crate::nearest::{did_you_mean, nearest};
use crate::yaml::{Document, Mark, Node, Value};
use crate::{Error, ErrorKind, Place, Result};

/// How deep groups may be nested.
const MAX_DEPTH: usize = 64;

/// Adds what a document says to the model.
pub(super) fn read(
    document: &Document<'_>,
    reader: &mut Reader<'_>,
    model: &mut Model,
) -> Result<()> {
    report_duplicates(document, reader);
    let Some(root) = &document.root else {
        return Ok(());
    };
    let mut yaml = Yaml { model, reader };
    let Some(groups) = pairs(root) else {
        let message = format!("an inventory is a mapping of groups, not {}", root.kind());
        return Err(yaml.error(root.mark, message));
    };
    for (key, value) in groups {
        yaml.group(key, value, 0)?;
    }
    Ok(())
}

/// The variables in a file of `group_vars` or `host_vars`.
pub(super) fn read_variables(document: &Document<'_>, reader: &mut Reader<'_>) -> Result<Facts> {
    report_duplicates(document, reader);
    match &document.root {
        None => Ok(Facts::new()),
        Some(root) if root.is_null() => Ok(Facts::new()),
        Some(root) => match pairs(root) {
            Some(pairs) => reader.yaml_facts(pairs),
            None => {
                let message = format!("a file of variables is a mapping, not {}", root.kind());
                Err(Error::new(ErrorKind::Inventory, message).at(root.mark.place(reader.file())))
            }
        },
    }
}

/// Of equal keys the last counts, as in Ansible.
fn report_duplicates(document: &Document<'_>, reader: &mut Reader<'_>) {
    for double in &document.duplicates {
        let reason = format!(
            "it is given again in line {}, which counts",
            double.mark.line
        );
        reader.skip(double.first.line as usize, &double.key, reason);
    }
}

fn pairs<'n, 'a>(node: &'n Node<'a>) -> Option<&'n [(Node<'a>, Node<'a>)]> {
    match &node.value {
        Value::Mapping(pairs) => Some(pairs),
        _ => None,
    }
}

struct Yaml<'m, 'r, 'u> {
    model: &'m mut Model,
    reader: &'r mut Reader<'u>,
}

impl Yaml<'_, '_, '_> {
    fn place(&self, mark: Mark) -> Place {
        mark.place(self.reader.file())
    }

    fn error(&self, mark: Mark, message: impl Into<String>) -> Error {
        Error::new(ErrorKind::Inventory, message).at(self.place(mark))
    }

    /// Reads a group and what is below it; `None` when this is not a group.
    fn group(&mut self, key: &Node<'_>, node: &Node<'_>, depth: usize) -> Result<Option<usize>> {
        let name = key.text().unwrap_or_default();
        let line = key.mark.line as usize;
        if name.is_empty() {
            return Err(self.error(key.mark, "a group has no name"));
        }
        if depth > MAX_DEPTH {
            let message = format!("groups are nested more than {MAX_DEPTH} deep");
            return Err(self.error(key.mark, message));
        }
        let parts = match pairs(node) {
            Some(parts) => parts,
            None if node.is_null() => &[],
            None => {
                self.reader.skip(
                    line,
                    name,
                    format!("a group is a mapping, not {}", node.kind()),
                );
                return Ok(None);
            }
        };
        let is_part = |(key, _): &(Node<'_>, _)| PARTS.contains(&key.text().unwrap_or_default());
        if nearest(name, PARTS).is_some() && !parts.is_empty() && !parts.iter().any(is_part) {
            self.reader.skip(line, name, not_a_part(name));
        }
        let place = self.place(key.mark);
        let group = self.model.group(name, || place);
        for (key, value) in parts {
            let part = key.text().unwrap_or_default();
            let line = key.mark.line as usize;
            match part {
                "vars" => {
                    for (key, value) in self.section(value, part, name)? {
                        let variable = key.text().unwrap_or_default();
                        let fact = self.reader.yaml(key, value)?;
                        self.model.set_group(group, variable.into(), fact);
                    }
                }
                "children" => {
                    if let Some(text) = lone_name(value) {
                        let place = self.place(value.mark);
                        let child = self.model.group(text, || place);
                        self.model.link(group, child);
                        continue;
                    }
                    for (key, value) in self.section(value, part, name)? {
                        if let Some(child) = self.group(key, value, depth + 1)? {
                            self.model.link(group, child);
                        }
                    }
                }
                "hosts" => {
                    if let Some(text) = lone_name(value) {
                        self.hosts(text, value.mark, group, &[])?;
                        continue;
                    }
                    for (key, value) in self.section(value, part, name)? {
                        let text = key.text().unwrap_or_default();
                        let variables = self.section(value, text, "hosts")?;
                        self.hosts(text, key.mark, group, variables)?;
                    }
                }
                _ => self.reader.skip(line, part, not_a_part(part)),
            }
        }
        Ok(Some(group))
    }

    /// The pairs of a part of a group; nothing counts as none.
    fn section<'n, 'a>(
        &self,
        node: &'n Node<'a>,
        part: &str,
        group: &str,
    ) -> Result<&'n [(Node<'a>, Node<'a>)]> {
        match pairs(node) {
            Some(pairs) => Ok(pairs),
            None if node.is_null() || node.text() == Some("") => Ok(&[]),
            None => {
                let message = format!("`{part}` in `{group}` is a mapping, not {}", node.kind());
                Err(self.error(node.mark, message))
            }
        }
    }

    fn hosts(
        &mut self,
        pattern: &str,
        mark: Mark,
        group: usize,
        variables: &[(Node<'_>, Node<'_>)],
    ) -> Result<()> {
        let place = self.place(mark);
        let (names, port) = pattern::expand(pattern, self.model.room())
            .map_err(|message| self.error(mark, message))?;
        let facts = self.reader.yaml_facts(variables)?;
        self.model
            .charge(names.len().saturating_mul(facts.len() + 1))
            .map_err(|error| error.at(place.clone()))?;
        for name in names {
            let host = self.model.host(name, group, port, &place)?;
            let facts = facts.iter().map(|(key, fact)| (key.clone(), fact.clone()));
            self.model.hosts[host].facts.extend(facts);
        }
        Ok(())
    }
}

/// Why something below a group is not read.
fn not_a_part(name: &str) -> String {
    let hint = did_you_mean(name, PARTS);
    format!("a group has `hosts`, `children` and `vars`, nothing else{hint}")
}

/// A name where a mapping of names could stand.
fn lone_name<'n>(node: &'n Node<'_>) -> Option<&'n str> {
    node.text()
        .filter(|text| !node.is_null() && !text.is_empty())
}
