//! Values of Ansible's variables: what is read, and what is only reported.

use std::collections::HashMap;
use std::rc::Rc;

use super::connection;
use super::model::Facts;
use super::python::{self, Literal};
use crate::inventory::Unread;
use crate::yaml::{Node, Value};
use crate::{Error, ErrorKind, Place};

/// One variable as one place says it.
#[derive(Debug, Clone)]
pub(super) struct Fact {
    /// `None` for null and for what is not read; it still hides what a group says.
    pub(super) value: Option<Rc<str>>,
    pub(super) file: Rc<str>,
    pub(super) line: usize,
}

/// The file that values come from, and the list of what is not read in it.
pub(super) struct Reader<'u> {
    file: Rc<str>,
    unread: &'u mut Vec<Unread>,
    /// Why names that were met are slips.
    slips: HashMap<Box<str>, Option<String>>,
}

impl<'u> Reader<'u> {
    pub(super) fn new(file: &str, unread: &'u mut Vec<Unread>) -> Self {
        Self {
            file: file.into(),
            unread,
            slips: HashMap::new(),
        }
    }

    /// What errors call the file.
    pub(super) fn file(&self) -> &str {
        &self.file
    }

    /// Reports a key that is not read.
    pub(super) fn skip(&mut self, line: usize, key: &str, reason: impl Into<String>) {
        self.unread.push(Unread {
            file: self.file.to_string(),
            line: Some(line),
            key: Some(key.to_owned()),
            reason: reason.into(),
        });
    }

    fn fact(&mut self, line: usize, key: &str, value: Result<Option<String>, &str>) -> Fact {
        let value = match (self.slip(key), value) {
            (Some(reason), _) => {
                self.skip(line, key, reason);
                None
            }
            (None, Ok(value)) => value,
            (None, Err(reason)) => {
                self.skip(line, key, reason);
                None
            }
        };
        Fact {
            value: value.map(Into::into),
            file: self.file.clone(),
            line,
        }
    }

    /// Why this name is probably a slip.
    fn slip(&mut self, name: &str) -> Option<String> {
        if let Some(known) = self.slips.get(name) {
            return known.clone();
        }
        let found = connection::slip(name);
        self.slips.insert(name.into(), found.clone());
        found
    }

    /// Refuses a list or a mapping for what says how to connect.
    fn check_single(&self, line: usize, key: &str, kind: &str) -> Result<(), Error> {
        if !connection::is_single(key) {
            return Ok(());
        }
        let place = Place {
            line: Some(line),
            ..Place::in_file(&*self.file)
        };
        let message = format!("`{key}` takes a single value, not {kind}");
        Err(Error::new(ErrorKind::Inventory, message).at(place))
    }

    /// A value of an INI inventory.
    pub(super) fn ini(&mut self, line: usize, key: &str, text: &str) -> Result<Fact, Error> {
        let value = match python::read(text) {
            Literal::Text(text) if is_template(&text) => Err(TEMPLATE),
            Literal::Text(text) | Literal::Plain(text) => Ok(Some(text)),
            Literal::Nothing => Ok(None),
            Literal::Collection => {
                self.check_single(line, key, "a Python collection")?;
                Err("it is a Python collection; only single values are variables")
            }
        };
        Ok(self.fact(line, key, value))
    }

    /// A value of a YAML inventory or variable file.
    pub(super) fn yaml(&mut self, key: &Node<'_>, node: &Node<'_>) -> Result<Fact, Error> {
        let (line, name) = (key.mark.line as usize, key.text().unwrap_or_default());
        if matches!(node.value, Value::Sequence(_) | Value::Mapping(_)) {
            self.check_single(line, name, node.kind())?;
        }
        let value = match (&node.value, node.tag.as_deref()) {
            (_, Some("!vault" | "!vault-encrypted")) => Err("it is encrypted with Ansible Vault"),
            // Never a template, says Ansible.
            (Value::Scalar { text, .. }, Some("!unsafe")) => Ok(Some(text.to_string())),
            (_, Some(_)) => Err("it has a tag that is not known here"),
            _ if node.is_null() => Ok(None),
            (Value::Scalar { text, .. }, None) if is_template(text) => Err(TEMPLATE),
            (Value::Scalar { text, .. }, None) => Ok(Some(text.to_string())),
            (Value::Sequence(_), None) => Err("it is a list; only single values are variables"),
            (Value::Mapping(_), None) => Err("it is a mapping; only single values are variables"),
        };
        Ok(self.fact(line, name, value))
    }

    /// The variables in a YAML mapping.
    pub(super) fn yaml_facts(&mut self, pairs: &[(Node<'_>, Node<'_>)]) -> Result<Facts, Error> {
        pairs
            .iter()
            .map(|(key, value)| {
                let name = key.text().unwrap_or_default();
                Ok((name.into(), self.yaml(key, value)?))
            })
            .collect()
    }
}

const TEMPLATE: &str = "it is a Jinja template";

fn is_template(text: &str) -> bool {
    ["{{", "{%", "{#"].iter().any(|mark| text.contains(mark))
}
