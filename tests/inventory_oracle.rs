//! Ansible inventories as clusterops reads them, compared with what `ansible-inventory --list` says.
//!
//! `CLUSTEROPS_ORACLE_PYTHON` names a Python that has ansible-core; without it the test says so, and fails in CI.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use clusterops::Target;
use clusterops::core::secrecy::ExposeSecret;
use clusterops::inventory::Inventory;
use fastrand::Rng;
use serde_json::Value;

/// How many inventories are generated, beside [`CASES`].
const GENERATED: u64 = 400;

/// Inventories that are told apart by one rule each: the name of a file, and its text.
const CASES: &[(&str, &str)] = &[
    (
        "hosts",
        "a\nb:2200\n[g]\nc.example.org zone=x\n[g:vars]\nzone=y\nrank=1\n",
    ),
    (
        "hosts",
        "[g:children]\nh\n[h]\na\n[h:vars]\nx=h\n[g:vars]\nx=g\ny=g\n",
    ),
    ("hosts", "[g:vars]\nx=1\n[g]\na\n"),
    ("hosts", "[g:vars]\nx=1\n"),
    ("hosts", "[g:children]\nnowhere\n"),
    ("hosts", "[g:children]\nh\n[h:children]\ng\n"),
    ("hosts", "[g:children]\ng\n"),
    ("hosts", "[g]\na x=1\n[h]\na x=2 y=3\n[ungrouped]\na\nb\n"),
    (
        "hosts",
        "[g] # comment\na x='1 # 2' y=3 # 4\n; more\n# more\nb z=a#b\n",
    ),
    (
        "hosts",
        "[g]\na x=\"quo\\\"ted\" y=it\\'s z='a\\b' w=\"a\\\\b\" v=a\\ b\n",
    ),
    (
        "hosts",
        "[g:vars]\na = 1 # c\nb = text # c\nc = 'q' # c\nd=\"q\" 'r'\ne= [1, 2\nf = 'un\ng=\nh==\ni=a=b\n[g]\nx\n",
    ),
    (
        "hosts",
        "[g:vars]\na=0755\nb=0x1F\nc=1_000\nd=1e5\ne=-3\nf=+.5\ng=1.10\nh=None\ni=null\nj=True\nk=yes\nl=(1)\nm=(1,)\nn={}\no=1.2.3\np=00\nq=b'x'\nr=u'y'\n[g]\nx\n",
    ),
    ("hosts", "www[01:10:3].x[a:c]\nn[:3]\n[e]\nz[A:C]-[8:11]\n"),
    ("hosts", "w[1:3]:2201\n"),
    ("hosts", "w[01:100]\n"),
    ("hosts", "w[1]\n"),
    ("hosts", "w:\n"),
    ("hosts", "a x\n"),
    ("hosts", "a 'x\n"),
    ("hosts", "[g:nonsense]\na\n"),
    ("hosts", "[a b]\nc\n"),
    ("hosts", "[g]\n---\n"),
    (
        "hosts",
        "[::1]:2222 x=1\n2001:db8::1 x=2\n10.0.0.[1:2]:22\n",
    ),
    (
        "hosts",
        "a ansible_ssh_host=h1 ansible_host=h2 ansible_ssh_port=1 ansible_port=2 ansible_ssh_user=u1 ansible_user=u2\nb ansible_private_key_file=k1 ansible_ssh_private_key_file=k2\n",
    ),
    (
        "hosts",
        "a ansible_ssh_common_args='-J bastion' ansible_password=p ansible_become_pass=1234\n",
    ),
    (
        "hosts",
        "[g]\na\n[h]\na\n[g:vars]\nx=g\nansible_group_priority=10\n[h:vars]\nx=h\n",
    ),
    (
        "hosts",
        "[z]\na\n[b]\na\n[z:vars]\nx=z\n[b:vars]\nx=b\n[top:children]\nb\n[all:vars]\nx=all\ny=all\n",
    ),
    ("hosts", "[all:children]\ng\n[g]\na\n[all]\nb\n"),
    ("hosts.ini", "[g]\na x=1\n"),
    (
        "hosts.yml",
        "all:\n  hosts:\n    a: {x: 1.10, y: 0755, z: 0o17, w: 1_000, v: yes, u: 'yes', t: ~, s: '~', r: .5, q: 1e3, p: 2026-11-22}\n",
    ),
    (
        "hosts.yml",
        "all:\n  hosts:\n    'w[1:3]': {x: 1}\n    w2: {x: 2}\n  children:\n    g: {hosts: {w1: }, vars: {y: g}}\n    h:\n",
    ),
    ("hosts.yml", "all: {hosts: a, children: g, vars: }\n"),
    (
        "hosts.yml",
        "g: {hosts: {a: {}, b: ''}, other: {x: 1}, more: 3}\nh: [a]\n",
    ),
    ("hosts.yml", "g: {hosts: [a, b]}\n"),
    ("hosts.yml", "g: {hosts: {a: [1]}}\n"),
    ("hosts.yml", "g: {hosts: {a: x}}\n"),
    (
        "hosts.yml",
        "all:\n  vars: &v {x: 1, y: 2}\n  children:\n    g: {hosts: {a: {<<: *v, y: 3}}}\n",
    ),
    (
        "hosts.yml",
        "all:\n  hosts:\n    a:\n      x: !unsafe '{{ y }}'\n      z: '{% if %}'\n      s: |\n        two\n        lines\n      t: >-\n        folded\n        text\n",
    ),
    (
        "hosts.yml",
        "g:\n  children:\n    h:\n      children:\n        g:\n",
    ),
    (
        "hosts.json",
        "{\"all\": {\"hosts\": {\"a\": {\"x\": true, \"y\": null, \"z\": [1]}}}}\n",
    ),
    ("hosts", "all:\n  hosts:\n    a:\n"),
    ("hosts.yml", "[]\n"),
    ("hosts.yml", "a: {hosts: {x: {v: 1, v: 2}}}\n"),
];

#[test]
fn ansible_agrees() {
    let Some(python) = std::env::var_os("CLUSTEROPS_ORACLE_PYTHON") else {
        assert!(
            std::env::var_os("CI").is_none(),
            "CLUSTEROPS_ORACLE_PYTHON must name a Python with ansible-core"
        );
        eprintln!("skipped: CLUSTEROPS_ORACLE_PYTHON does not name a Python with ansible-core");
        return;
    };
    let folder = tempfile::tempdir().expect("a temporary folder");
    let mut sources = Vec::new();
    for (number, (name, text)) in CASES.iter().enumerate() {
        let case = folder.path().join(format!("case{number}"));
        sources.push(write(&case, name, text));
    }
    for seed in 0..GENERATED {
        let case = folder.path().join(format!("seed{seed}"));
        std::fs::create_dir(&case).expect("a new folder");
        sources.push(Generator::new(seed).write(&case));
    }
    let answers = ask(Path::new(&python), &sources);
    let mut problems = Vec::new();
    let mut read = 0;
    for (source, theirs) in sources.iter().zip(&answers) {
        let ours = Inventory::load_ansible(source);
        match (&ours, theirs) {
            (Ok(ours), Some(theirs)) => {
                read += 1;
                problems.extend(
                    compare(ours, theirs)
                        .into_iter()
                        .map(|problem| (source, problem)),
                );
            }
            (Err(_), None) => {}
            (Ok(_), None) => problems.push((source, "Ansible refuses it".to_owned())),
            (Err(error), Some(_)) => problems.push((source, format!("only we refuse it: {error}"))),
        }
    }
    println!("{} inventories, {read} of them read by both", sources.len());
    assert!(
        read > GENERATED as usize,
        "most of the inventories are valid"
    );
    if !problems.is_empty() {
        let kept = folder.keep();
        let shown: Vec<_> = problems
            .iter()
            .take(20)
            .map(|(source, problem)| format!("{}: {problem}", source.display()))
            .collect();
        panic!(
            "{} differences, files in {}:\n{}",
            problems.len(),
            kept.display(),
            shown.join("\n")
        );
    }
}

/// Asks Ansible about all inventories; `None` for those it refuses.
fn ask(python: &Path, sources: &[PathBuf]) -> Vec<Option<Value>> {
    let mut child = Command::new(python)
        .arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/inventory_oracle.py"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("the Python of CLUSTEROPS_ORACLE_PYTHON starts");
    let mut input = child.stdin.take().expect("it is piped");
    let lines: String = sources
        .iter()
        .map(|source| format!("{}\n", source.display()))
        .collect();
    let writer = std::thread::spawn(move || input.write_all(lines.as_bytes()));
    let output = child.wait_with_output().expect("Python ends");
    writer
        .join()
        .expect("no panic")
        .expect("Python reads all names");
    assert!(output.status.success(), "Ansible cannot be asked");
    let text = String::from_utf8(output.stdout).expect("JSON is UTF-8");
    let answers: Vec<Option<Value>> = text
        .lines()
        .map(|line| serde_json::from_str(line).expect("JSON"))
        .collect();
    assert_eq!(answers.len(), sources.len());
    answers
}

fn compare(ours: &Inventory, theirs: &Value) -> Vec<String> {
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
fn members(group: &str, theirs: &Value) -> BTreeSet<String> {
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

fn write(folder: &Path, name: &str, text: &str) -> PathBuf {
    let path = folder.join(name);
    let parent = path.parent().expect("a file is in a folder");
    std::fs::create_dir_all(parent).expect("a new folder");
    std::fs::write(&path, text).expect("a new file");
    path
}

/// Values as they are written in INI, both after a host and in a section of variables.
const INI_VALUES: &[&str] = &[
    "a",
    "b",
    "1",
    "22",
    "1.10",
    "0755",
    "0x1F",
    "yes",
    "True",
    "False",
    "None",
    "''",
    "\"x y\"",
    "'x # y'",
    "\"'quoted'\"",
    "[1,2]",
    "\"{'a': 1}\"",
    "'{{ var }}'",
    "a=b",
    "x#y",
    "C:\\\\dir",
    "[prod]",
    "{}",
    "1_000",
    "1.2.3",
    "-5",
    "2e3",
    "ä",
];

/// Values as they are written in YAML.
const YAML_VALUES: &[&str] = &[
    "a",
    "b",
    "1",
    "22",
    "1.10",
    "0755",
    "0x1F",
    "yes",
    "Off",
    "true",
    "~",
    "null",
    "'null'",
    "\"x y\"",
    "'x # y'",
    "\"two\\nlines\"",
    "[1, 2]",
    "{a: 1}",
    "'{{ var }}'",
    "!unsafe '{{ var }}'",
    "1_000",
    "1.2.3",
    "-5",
    ".5",
    "2026-11-22",
    "",
    "ä",
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
struct Generator {
    random: Rng,
    groups: Vec<String>,
    /// Children by parent; a child comes after its parent in `groups`.
    children: BTreeMap<usize, Vec<usize>>,
}

impl Generator {
    fn new(seed: u64) -> Self {
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
    fn write(&mut self, folder: &Path) -> PathBuf {
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

    /// Distinct names with values that fit them.
    fn variables(&mut self, values: &[&'static str]) -> BTreeMap<&'static str, String> {
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
                    _ => values[self.random.usize(..values.len())].to_owned(),
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
