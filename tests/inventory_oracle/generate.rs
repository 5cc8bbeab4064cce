//! Random inventories.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::{Path, PathBuf};

use fastrand::Rng;

use super::write;

/// Values that are written alike in INI and YAML.
const VALUES: &[&str] = &[
    "a",
    "b",
    "1",
    "22",
    "1.10",
    "0755",
    "0x1F",
    "yes",
    "\"x y\"",
    "'x # y'",
    "'{{ var }}'",
    "1_000",
    "1.2.3",
    "-5",
    "ä",
];

/// Further values as they are written in INI, both after a host and in a section of variables.
const INI_VALUES: &[&str] = &[
    "True",
    "False",
    "None",
    "''",
    "\"'quoted'\"",
    "[1,2]",
    "\"{'a': 1}\"",
    "a=b",
    "x#y",
    "C:\\\\dir",
    "[prod]",
    "{}",
    "2e3",
];

/// Further values as they are written in YAML.
const YAML_VALUES: &[&str] = &[
    "Off",
    "true",
    "~",
    "null",
    "'null'",
    "\"two\\nlines\"",
    "[1, 2]",
    "{a: 1}",
    "!unsafe '{{ var }}'",
    ".5",
    "2026-11-22",
    "",
    "\"\"",
    "!vault |\n          $ANSIBLE_VAULT;1.1;AES256\n          3132",
];

/// Names of variables; few, so that they meet.
const NAMES: &[&str] = &[
    "x",
    "y",
    "z",
    "long_name",
    "ansible_host",
    "ansible_port",
    "ansible_user",
    "ansible_ssh_user",
    "ansible_ssh_private_key_file",
    "ansible_password",
    "ansible_become_pass",
    "ansible_python_interpreter",
];

/// Random inventories: groups in a hierarchy without circles, hosts in some of them, variables everywhere.
pub(crate) struct Generator {
    random: Rng,
    groups: Vec<String>,
    /// Children by parent; a child comes after its parent in `groups`.
    children: BTreeMap<usize, Vec<usize>>,
}

impl Generator {
    pub(crate) fn new(seed: u64) -> Self {
        let mut random = Rng::with_seed(seed);
        let mut groups: Vec<String> = ["web", "db", "eu-west", "a1", "zz", "m_m", "prod"]
            .map(str::to_owned)
            .to_vec();
        random.shuffle(&mut groups);
        groups.truncate(random.usize(1..=7));
        let mut children: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
        for child in 1..groups.len() {
            for parent in 0..child {
                if random.u8(..4) == 0 {
                    children.entry(parent).or_default().push(child);
                }
            }
        }
        Self {
            random,
            groups,
            children,
        }
    }

    /// Writes an inventory and gives the path to load.
    pub(crate) fn write(&mut self, folder: &Path) -> PathBuf {
        let extra = ["hosts", "more", "x"][self.random.usize(..3)];
        let path = match self.random.u8(..5) {
            0 | 1 => write(folder, extra, &self.ini()),
            2 | 3 => write(folder, "hosts.yml", &self.yaml()),
            _ => {
                write(folder, "10-one", &self.ini());
                write(folder, "20-two.yaml", &self.yaml());
                write(folder, "ignored.txt", "[not\n");
                folder.to_owned()
            }
        };
        let owners: Vec<String> = self
            .groups
            .iter()
            .map(String::as_str)
            .chain(["all", "ungrouped"])
            .map(str::to_owned)
            .collect();
        for owner in owners {
            self.variable_files(folder, "group_vars", &owner);
        }
        for host in ["h1", "web01.example.org", "db-2", "n2"] {
            self.variable_files(folder, "host_vars", host);
        }
        path
    }

    fn variable_files(&mut self, folder: &Path, kind: &str, owner: &str) {
        if self.random.u8(..3) != 0 {
            return;
        }
        let names: &[&str] = match self.random.u8(..6) {
            0 => &[""],
            1 => &[".yml"],
            2 => &[".yaml"],
            3 => &[".yml", ".yaml", ".json"],
            4 => &["/main.yml", "/b", "/c.txt", "/.hidden", "/sub/z.yml"],
            _ => &["/a.json", ".yml"],
        };
        for name in names {
            let mut text = String::from("---\n");
            for (name, value) in self.variables(YAML_VALUES) {
                writeln!(text, "{name}: {value}").expect("a string");
            }
            write(folder, &format!("{kind}/{owner}{name}"), &text);
        }
    }

    /// Distinct names with values that fit them, common ones or `further` ones.
    fn variables(&mut self, further: &[&'static str]) -> BTreeMap<&'static str, String> {
        let count = self.random.usize(..4);
        (0..count)
            .map(|_| {
                let name = NAMES[self.random.usize(..NAMES.len())];
                let value = match name {
                    "ansible_host" => {
                        ["10.0.0.1", "h.example.org"][self.random.usize(..2)].to_owned()
                    }
                    "ansible_port" => self.random.u16(1..).to_string(),
                    "ansible_user" | "ansible_ssh_user" => {
                        ["root", "'deploy'"][self.random.usize(..2)].to_owned()
                    }
                    "ansible_ssh_private_key_file" => "~/.ssh/key".to_owned(),
                    _ => {
                        let at = self.random.usize(..VALUES.len() + further.len());
                        let value = VALUES.iter().chain(further).nth(at);
                        value.copied().unwrap_or_default().to_owned()
                    }
                };
                (name, value)
            })
            .collect()
    }

    fn hosts(&mut self) -> Vec<&'static str> {
        const HOSTS: &[&str] = &[
            "h1",
            "h2",
            "web01.example.org",
            "db-2",
            "n[1:3]",
            "n[01:03]",
            "w[a:c].x",
            "r[1:2]c[1:5:2]",
            "10.0.0.9",
            "p:2222",
            "p",
            "_u",
        ];
        let count = self.random.usize(..4);
        let mut hosts: Vec<_> = (0..count)
            .map(|_| HOSTS[self.random.usize(..HOSTS.len())])
            .collect();
        hosts.sort_unstable();
        hosts.dedup();
        hosts
    }

    fn ini(&mut self) -> String {
        let mut text = String::new();
        let mut sections: Vec<(usize, u8)> = (0..self.groups.len())
            .flat_map(|group| [(group, 0), (group, 1), (group, 2)])
            .collect();
        self.random.shuffle(&mut sections);
        self.ini_hosts(&mut text);
        for (group, kind) in sections {
            let name = self.groups[group].clone();
            match kind {
                0 => {
                    writeln!(text, "[{name}]").expect("a string");
                    self.ini_hosts(&mut text);
                }
                1 => {
                    let children = self.children.get(&group).cloned().unwrap_or_default();
                    writeln!(text, "\n[{name}:children] # below").expect("a string");
                    for child in children {
                        writeln!(text, "{}", self.groups[child]).expect("a string");
                    }
                }
                _ => {
                    writeln!(text, "[{name}:vars]").expect("a string");
                    self.ini_variables(&mut text);
                    if self.random.u8(..4) == 0 {
                        writeln!(text, "ansible_group_priority={}", self.random.u8(..4))
                            .expect("a string");
                    }
                }
            }
        }
        text.push_str("[all:vars]\n");
        self.ini_variables(&mut text);
        text
    }

    fn ini_hosts(&mut self, text: &mut String) {
        for host in self.hosts() {
            text.push_str(host);
            for (name, value) in self.variables(INI_VALUES) {
                write!(text, " {name}={value}").expect("a string");
            }
            text.push_str(["\n", "  # comment\n"][self.random.usize(..2)]);
        }
    }

    fn ini_variables(&mut self, text: &mut String) {
        for (name, value) in self.variables(INI_VALUES) {
            let equals = ["=", " = "][self.random.usize(..2)];
            writeln!(text, "{name}{equals}{value}").expect("a string");
        }
    }

    fn yaml(&mut self) -> String {
        let mut text = String::from("all:\n");
        self.yaml_parts(&mut text, None, 1);
        text
    }

    /// The hosts, variables and children of a group; `None` is `all`, below which stands every group.
    fn yaml_parts(&mut self, text: &mut String, group: Option<usize>, depth: usize) {
        let indent = "  ".repeat(depth);
        let hosts = self.hosts();
        if !hosts.is_empty() {
            writeln!(text, "{indent}hosts:").expect("a string");
        }
        for host in hosts {
            writeln!(
                text,
                "{indent}  {}:",
                if host.contains('[') {
                    format!("'{host}'")
                } else {
                    host.to_owned()
                }
            )
            .expect("a string");
            self.yaml_variables(text, depth + 2);
        }
        writeln!(text, "{indent}vars:").expect("a string");
        self.yaml_variables(text, depth + 1);
        let children: Vec<usize> = match group {
            None => (0..self.groups.len()).collect(),
            Some(group) => self.children.get(&group).cloned().unwrap_or_default(),
        };
        if !children.is_empty() {
            writeln!(text, "{indent}children:").expect("a string");
        }
        for child in children {
            writeln!(text, "{indent}  {}:", self.groups[child]).expect("a string");
            // Each group has its parts where it stands directly below `all`, and is named elsewhere.
            if group.is_none() {
                self.yaml_parts(text, Some(child), depth + 2);
            }
        }
    }

    fn yaml_variables(&mut self, text: &mut String, depth: usize) {
        let indent = "  ".repeat(depth);
        for (name, value) in self.variables(YAML_VALUES) {
            let value = value.replace("\n          ", &format!("\n{indent}  "));
            writeln!(text, "{indent}{name}: {value}").expect("a string");
        }
    }
}
