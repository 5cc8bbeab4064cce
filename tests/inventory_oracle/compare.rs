//! What two answers differ in.

use std::collections::BTreeSet;

use clusterops::Target;
use clusterops::core::secrecy::ExposeSecret;
use clusterops::inventory::Inventory;
use serde_json::Value;

/// Where our inventory says something else than `ansible-inventory --list`, as sentences.
pub(crate) fn compare(ours: &Inventory, theirs: &Value) -> Vec<String> {
    let mut problems = Vec::new();
    let groups = theirs.as_object().expect("an object");
    let names: BTreeSet<&str> = groups
        .keys()
        .map(String::as_str)
        .filter(|name| *name != "_meta")
        .collect();
    let all = members("all", theirs);
    let our_hosts: BTreeSet<String> = ours.hosts().iter().collect();
    if our_hosts != all {
        problems.push(format!("hosts are {our_hosts:?}, not {all:?}"));
    }
    for (name, hosts) in ours.groups() {
        let hosts: BTreeSet<String> = hosts.iter().collect();
        let expected = if names.contains(name) {
            members(name, theirs)
        } else {
            BTreeSet::new()
        };
        if hosts != expected {
            problems.push(format!("group {name} has {hosts:?}, not {expected:?}"));
        }
    }
    for name in names {
        if !ours.groups().any(|(group, _)| group == name) {
            problems.push(format!("group {name} is missing"));
        }
    }
    let nothing = serde_json::Map::new();
    for target in ours.targets() {
        let variables = theirs["_meta"]["hostvars"][&target.name]
            .as_object()
            .unwrap_or(&nothing);
        problems.extend(compare_host(ours, target, variables));
    }
    problems
}

fn compare_host(
    ours: &Inventory,
    target: &Target,
    theirs: &serde_json::Map<String, Value>,
) -> Vec<String> {
    let mut problems = Vec::new();
    let mut expect =
        |what: &str, same: bool, found: &dyn std::fmt::Debug, expected: &dyn std::fmt::Debug| {
            if !same {
                problems.push(format!(
                    "{what} of {} is {found:?}, not {expected:?}",
                    target.name
                ));
            }
        };
    // Of two names of one option Ansible takes the later.
    let field = |names: [&str; 2]| {
        let text = |name: &str| match theirs.get(name) {
            Some(Value::String(text)) if !is_template(text) => Some(text.clone()),
            Some(Value::Number(number)) => Some(number.to_string()),
            _ => None,
        };
        text(names[1]).or_else(|| text(names[0]))
    };
    let address =
        field(["ansible_host", "ansible_ssh_host"]).unwrap_or_else(|| target.name.clone());
    expect(
        "address",
        target.address == address,
        &target.address,
        &address,
    );
    let port = field(["ansible_port", "ansible_ssh_port"]);
    expect(
        "port",
        target.port.map(|port| port.to_string()) == port,
        &target.port,
        &port,
    );
    let user = field(["ansible_user", "ansible_ssh_user"]);
    expect("user", target.user == user, &target.user, &user);
    let key = field(["ansible_private_key_file", "ansible_ssh_private_key_file"]);
    let our_key = target
        .identity_file
        .as_ref()
        .map(|path| path.display().to_string());
    expect("identity file", our_key == key, &our_key, &key);

    let mut seen = BTreeSet::new();
    for (name, value) in theirs {
        let secret = name == "ansible_password" || name == "ansible_become_pass";
        let typed = ["_host", "_port", "_user", "_key_file"]
            .iter()
            .any(|end| name.ends_with(end));
        if name.starts_with("ansible_") && typed {
            continue;
        }
        seen.insert(name.as_str());
        let found = match secret {
            true => target
                .secrets
                .get(name)
                .map(|secret| secret.expose_secret()),
            false => target.variables.get(name),
        };
        let same = match value {
            Value::String(text) if is_template(text) => found.is_none() && is_unread(ours, name),
            Value::Object(map) if map.contains_key("__ansible_unsafe") => {
                found == map["__ansible_unsafe"].as_str()
            }
            Value::Object(_) | Value::Array(_) => found.is_none() && is_unread(ours, name),
            Value::Null => found.is_none(),
            Value::String(text) => found == Some(text.as_str()),
            Value::Bool(value) => found.and_then(truth) == Some(*value),
            Value::Number(value) => found.and_then(number) == value.as_f64(),
        };
        expect(name, same, &found, value);
    }
    for (name, value) in target.variables.iter() {
        expect(name, seen.contains(name), &value, &"nothing");
    }
    problems
}

/// All hosts below a group.
pub(crate) fn members(group: &str, theirs: &Value) -> BTreeSet<String> {
    let list = |key: &str| {
        let list = theirs[group][key].as_array().cloned().unwrap_or_default();
        list.into_iter()
            .filter_map(|item| item.as_str().map(str::to_owned))
    };
    let below = list("children").flat_map(|child| members(&child, theirs));
    list("hosts").chain(below).collect()
}

fn is_template(text: &str) -> bool {
    ["{{", "{%", "{#"].iter().any(|mark| text.contains(mark))
}

fn is_unread(ours: &Inventory, name: &str) -> bool {
    ours.unread()
        .iter()
        .any(|unread| unread.key.as_deref() == Some(name))
}

/// What YAML 1.1 and Python call true and false.
fn truth(text: &str) -> Option<bool> {
    match text.to_ascii_lowercase().as_str() {
        "true" | "yes" | "on" => Some(true),
        "false" | "no" | "off" => Some(false),
        _ => None,
    }
}

/// A number as YAML 1.1 and Python spell it.
fn number(text: &str) -> Option<f64> {
    let plain = text.replace('_', "");
    let digits = plain.trim_start_matches(['+', '-']);
    let radix = |digits: &str, radix| {
        i64::from_str_radix(digits, radix)
            .ok()
            .map(|number| number as f64)
    };
    if let Some(digits) = digits.strip_prefix("0x") {
        return radix(digits, 16);
    }
    if digits.len() > 1 && digits.starts_with('0') && !digits.contains(['.', 'e']) {
        return radix(digits, 8);
    }
    plain.parse().ok()
}
