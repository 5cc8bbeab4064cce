//! Which format a text has, and the loaders.

use super::{Inventory, ansible, groups, native};
use crate::text::without_mark;
use crate::{Result, yaml};

/// Reads a text of any format.
pub(super) fn parse(text: &str, name: &str) -> Result<Inventory> {
    let text = without_mark(text);
    match detect(text, name)? {
        Format::Native(document) => groups::assemble(native::read(&document, name)?, name),
        Format::Ansible => ansible::parse(text, name),
    }
}

/// A format, with what was read to find it out.
pub(super) enum Format<'a> {
    Native(yaml::Document<'a>),
    Ansible,
}

pub(super) fn detect<'a>(text: &'a str, name: &str) -> Result<Format<'a>> {
    if !ansible::is_text(text) || !ansible::is_yaml(text, name) {
        return Ok(Format::Ansible);
    }
    let document = yaml::parse(text, name)?;
    let native = match document.root.as_ref().map(|root| &root.value) {
        Some(yaml::Value::Mapping(pairs)) => {
            let top = |wanted: &[&str]| {
                pairs
                    .iter()
                    .any(|(key, _)| key.text().is_some_and(|key| wanted.contains(&key)))
            };
            top(&native::SECTIONS)
                || !(top(&["all", "plugin", "_meta"])
                    || pairs.iter().any(|(_, value)| is_ansible_group(value)))
        }
        _ => true,
    };
    Ok(if native {
        Format::Native(document)
    } else {
        Format::Ansible
    })
}

/// The section of the native format in a document that means nothing to Ansible.
pub(super) fn native_section<'d, 'a>(
    document: &'d yaml::Document<'a>,
) -> Option<&'d yaml::Node<'a>> {
    let sections = document.root.as_ref()?.pairs()?.iter();
    let mut native = sections.filter(|(key, value)| {
        key.text()
            .is_some_and(|key| native::SECTIONS.contains(&key))
            && value.pairs().is_some_and(|pairs| !pairs.is_empty())
            && !is_ansible_group(value)
    });
    native.next().map(|(key, _)| key)
}

/// Whether a mapping has a part that only Ansible's groups have.
fn is_ansible_group(node: &yaml::Node<'_>) -> bool {
    let yaml::Value::Mapping(pairs) = &node.value else {
        return false;
    };
    pairs
        .iter()
        .any(|(key, _)| matches!(key.text(), Some("hosts" | "children" | "vars")))
}
