//! An inventory as text in the native format.

use std::fmt;

use super::{Inventory, is_plain_name, names, values};
use crate::Target;

/// Writes the inventory in the native format, one line for each host, from which it reads back the same.
///
/// What that format cannot say is left out: [secrets](Target::secrets), group sources, and groups and variables of other
/// formats that are called what these are not called here.
///
/// ```
/// use clusterops_core::inventory::Inventory;
///
/// let inventory = Inventory::parse("[web]\nweb[1:2] zone=a ansible_user=deploy\n", "hosts.ini")?;
/// assert_eq!(inventory.to_string(), r#"hosts:
///   "web1": {"address": "web1", "user": "deploy", "zone": "a"}
///   "web2": {"address": "web2", "user": "deploy", "zone": "a"}
/// groups:
///   "all": "web[1-2]"
///   "ungrouped": []
///   "web": "web[1-2]"
/// "#);
/// # Ok::<(), clusterops_core::Error>(())
/// ```
impl fmt::Display for Inventory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("hosts:\n")?;
        for target in &self.targets {
            write!(f, "  {}: ", Quoted(&target.name))?;
            host(target, f)?;
        }
        if !self.groups.is_empty() {
            f.write_str("groups:\n")?;
        }
        for (name, hosts) in self.groups.iter().filter(|(name, _)| is_plain_name(name)) {
            if hosts.is_empty() {
                writeln!(f, "  {}: []", Quoted(name))?;
            } else {
                writeln!(f, "  {}: {}", Quoted(name), Quoted(&hosts.to_string()))?;
            }
        }
        Ok(())
    }
}

fn host(target: &Target, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    write!(f, "{{\"address\": {}", Quoted(&target.address))?;
    let path =
        |path: &Option<std::path::PathBuf>| path.as_ref().map(|path| path.display().to_string());
    let texts = [
        ("port", target.port.map(|port| port.to_string())),
        ("user", target.user.clone()),
        ("identity_file", path(&target.identity_file)),
        ("known_hosts", path(&target.known_hosts)),
        ("jump", target.jump.as_ref().map(ToString::to_string)),
    ];
    let is_variable = |name: &str| {
        names::is_variable_name(name)
            && !names::FIELDS.contains(&name)
            && names::misspelt(name).is_none()
    };
    let variables: Vec<_> = target
        .variables
        .iter()
        .filter(|(name, _)| is_variable(name))
        .collect();
    for (field, text) in &texts {
        match text {
            Some(text) if *field == "port" => write!(f, ", \"port\": {text}")?,
            Some(text) => write!(f, ", \"{field}\": {}", Quoted(&values::escape(text)))?,
            // Without the field, a variable that is another word for it would be taken for a slip.
            None if variables
                .iter()
                .any(|(name, _)| names::other_word(name) == Some(field)) =>
            {
                write!(f, ", \"{field}\": ~")?;
            }
            None => {}
        }
    }
    if !target.tags.is_empty() {
        f.write_str(", \"tags\": [")?;
        for (at, tag) in target.tags.iter().enumerate() {
            write!(f, "{}{}", if at > 0 { ", " } else { "" }, Quoted(tag))?;
        }
        f.write_str("]")?;
    }
    for (name, value) in variables {
        write!(f, ", {}: {}", Quoted(name), Quoted(&values::escape(value)))?;
    }
    f.write_str("}\n")
}

/// A text in the double quotes of YAML.
struct Quoted<'a>(&'a str);

impl fmt::Display for Quoted<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("\"")?;
        for c in self.0.chars() {
            match c {
                '"' | '\\' => write!(f, "\\{c}")?,
                '\n' => f.write_str("\\n")?,
                c if c.is_control()
                    || matches!(
                        c,
                        '\u{feff}' | '\u{2028}' | '\u{2029}' | '\u{fffe}' | '\u{ffff}'
                    ) =>
                {
                    write!(f, "\\U{:08X}", u32::from(c))?;
                }
                c => write!(f, "{c}")?,
            }
        }
        f.write_str("\"")
    }
}
