//! Tests of the native format and of selections.

use std::path::Path;

use proptest::prelude::*;

use super::*;
use crate::JumpHosts;

const FLEET: &str = r#"
defaults: {user: deploy, port: 22, identity_file: ~/.ssh/id_ed25519, known_hosts: ~/.ssh/known_hosts}
hosts:
  web[01-50]: {address: "10.0.1.[1-50]", role: agent, zone: a, tags: [public], version: "1.4"}   # the ranges go side by side
  db[1-3]: {role: master, zone: b}
groups:
  canary: web01,db1
  front: "@role:agent&@tag:public"
"#;

fn fleet() -> Inventory {
    Inventory::parse(FLEET, "fleet.yaml").expect("the example reads")
}

fn names(inventory: &Inventory, expression: &str) -> Vec<String> {
    let targets = inventory.select(expression).expect(expression);
    targets.into_iter().map(|target| target.name).collect()
}

fn parse_error(text: &str) -> Error {
    Inventory::parse(text, "f.yaml").expect_err(text)
}

fn target<'a>(inventory: &'a Inventory, name: &str) -> &'a Target {
    inventory.host(name).expect(name)
}

#[test]
fn the_example_reads() {
    let inventory = fleet();
    assert_eq!(inventory.targets().len(), 53);
    let web = target(&inventory, "web07");
    assert_eq!(web.address, "10.0.1.7");
    assert_eq!((web.user.as_deref(), web.port), (Some("deploy"), Some(22)));
    assert_eq!(
        web.identity_file.as_deref(),
        Some(Path::new("~/.ssh/id_ed25519"))
    );
    assert_eq!(
        web.known_hosts.as_deref(),
        Some(Path::new("~/.ssh/known_hosts"))
    );
    assert_eq!(
        web.variables,
        [("role", "agent"), ("version", "1.4"), ("zone", "a")].into()
    );
    assert_eq!(web.groups, BTreeSet::from(["front".to_owned()]));
    assert_eq!(target(&inventory, "db2").address, "db2");
    assert_eq!(
        inventory.groups().map(|(name, _)| name).collect::<Vec<_>>(),
        ["canary", "front"]
    );
    assert!(inventory.unread().is_empty());
}

#[test]
fn selections() {
    let inventory = fleet();
    assert_eq!(names(&inventory, "@canary"), ["db1", "web01"]);
    assert_eq!(
        names(&inventory, "@front&@zone:a!web[04-50]"),
        ["web01", "web02", "web03"]
    );
    assert_eq!(names(&inventory, "@role:master!db2"), ["db1", "db3"]);
    assert_eq!(names(&inventory, "*1!@*").len(), 0);
    assert_eq!(names(&inventory, "@*").len(), 53);
    assert_eq!(names(&inventory, "@zone:*").len(), 53);
    assert_eq!(names(&inventory, "db?"), ["db1", "db2", "db3"]);
    assert_eq!(names(&inventory, "@tag:public!web[02-50]"), ["web01"]);
    assert_eq!(
        inventory.select("").expect("nothing is a selection").len(),
        0
    );
}

#[test]
fn selections_say_what_was_meant() {
    let inventory = fleet();
    for (expression, kind, part) in [
        ("@canray", ErrorKind::UnknownGroup, "did you mean `canary`?"),
        (
            "@role:agnet",
            ErrorKind::UnknownGroup,
            "did you mean `agent`?",
        ),
        (
            "@tag:publik",
            ErrorKind::UnknownGroup,
            "did you mean `public`?",
        ),
        (
            "@rol:agent",
            ErrorKind::UnknownGroup,
            "did you mean `role`?",
        ),
        ("@zone", ErrorKind::UnknownGroup, "write `@zone:value`"),
        (
            "wbe01",
            ErrorKind::UnknownHost,
            "`wbe01` is no known host; did you mean `web01`?",
        ),
        (
            "canary",
            ErrorKind::UnknownHost,
            "`canary` is no known host; did you mean the group `@canary`?",
        ),
        (
            "db[1-5]",
            ErrorKind::UnknownHost,
            "`db[4-5]` are no known hosts; there are 53, from `db1` to `web50`",
        ),
        // A slip in what is taken away would else deploy to the host that was to be spared.
        (
            "web*!web1",
            ErrorKind::UnknownHost,
            "column 6: `web1` is no known host; did you mean `web01`?",
        ),
        (
            "web*&nope1",
            ErrorKind::UnknownHost,
            "column 6: `nope1` is no known host; there are 53, from `db1` to `web50`",
        ),
        (
            "web*!wbe*",
            ErrorKind::UnknownHost,
            "column 6: `wbe*` matches no known host; there are 53, from `db1` to `web50`",
        ),
    ] {
        let error = inventory.select(expression).expect_err(expression);
        assert_eq!(error.kind(), kind, "{error}");
        assert!(error.to_string().contains(part), "{error}");
    }
}

#[derive(Debug)]
struct Other(&'static str);

impl GroupSource for Other {
    fn name(&self) -> &str {
        self.0
    }

    fn map(&self, group: &str) -> Result<Option<String>> {
        Ok((group == "first").then(|| "web01,db1".to_owned()))
    }

    fn list(&self) -> Result<Vec<String>> {
        Ok(vec!["first".to_owned()])
    }
}

/// Knows a host that the inventory does not have.
#[derive(Debug)]
struct Elsewhere;

impl GroupSource for Elsewhere {
    fn name(&self) -> &str {
        "else"
    }

    fn map(&self, _: &str) -> Result<Option<String>> {
        Ok(Some("far1,web01".to_owned()))
    }

    fn list(&self) -> Result<Vec<String>> {
        Ok(Vec::new())
    }
}

#[test]
fn other_sources_are_asked_by_name() {
    let mut inventory = fleet();
    inventory.add_source(Box::new(Other("racks")));
    inventory.add_source(Box::new(Other("zone")));
    inventory.add_source(Box::new(Elsewhere));
    assert_eq!(names(&inventory, "@else:r1&web*"), ["web01"]);
    let error = inventory.select("db1,@else:r1").expect_err("no target");
    assert_eq!(error.kind(), ErrorKind::UnknownHost);
    assert_eq!(
        error.to_string(),
        "column 5: hosts of `@else:r1` are not known: `far1`; add them to the inventory, or mend group source `else`"
    );
    assert_eq!(names(&inventory, "@racks:first"), ["db1", "web01"]);
    let error = inventory
        .select("@zone:a")
        .expect_err("a variable and a source");
    assert_eq!(error.kind(), ErrorKind::Ambiguous);
}

#[test]
fn names_of_groups_are_no_hosts() {
    let inventory = fleet();
    let resolved = |text: &str| inventory.resolve(text).expect(text).to_string();
    assert_eq!(resolved("@@"), "canary,front");
    assert_eq!(resolved("@@zone"), "a,b");
    assert_eq!(resolved("@@tag"), "public");
    let error = inventory.select("@@").expect_err("they have no targets");
    assert_eq!(
        error.to_string(),
        "`canary` is no host; `@@` gives the names of groups"
    );
    let error = inventory.select("@@zoen").expect_err("a slip").to_string();
    assert!(error.contains("did you mean `zone`?"), "{error}");
}

#[test]
fn fields_defaults_and_variables() {
    let text = r#"
defaults: {user: deploy, zone: a, tags: [all-of-us]}
hosts:
  ops@gate.example.org:2200: {jump: "bastion,[::1]:22"}
  a: {user: root, zone: b, version: 1.10, flag: on, octal: 0755, empty: "", tags: edge, groups: [x, y]}
  b: {user: ~, login: no, zone: null, port: "2222", jump: none}
  "[2001:db8::7]":
  six[1-2]: {address: "[2001:db8::[1-2]]", port: "[2201-2202]", note: "[[0-9]+ [prod] disk[0]", id: "n[1-2]"}
"#;
    let inventory = Inventory::parse(text, "f.yaml").expect("it reads");
    let gate = target(&inventory, "ops@gate.example.org:2200");
    assert_eq!(
        (gate.address.as_str(), gate.port),
        ("gate.example.org", Some(2200))
    );
    assert_eq!(gate.user.as_deref(), Some("deploy"));
    assert_eq!(
        gate.jump.as_ref().map(ToString::to_string),
        Some("bastion,[::1]:22".into())
    );
    let a = target(&inventory, "a");
    let expected = [
        ("empty", ""),
        ("flag", "on"),
        ("octal", "0755"),
        ("version", "1.10"),
        ("zone", "b"),
    ];
    assert_eq!(a.variables, expected.into());
    assert_eq!(
        a.tags.iter().map(String::as_str).collect::<Vec<_>>(),
        ["all-of-us", "edge"]
    );
    let b = target(&inventory, "b");
    assert_eq!(
        (b.user.as_deref(), b.port, b.variables.get("zone")),
        (None, Some(2222), None)
    );
    assert_eq!(b.variables.get("login"), Some("no"));
    assert_eq!(b.jump, Some(JumpHosts::default()));
    assert_eq!(a.jump, None);
    assert_eq!(target(&inventory, "[2001:db8::7]").address, "2001:db8::7");
    let six = target(&inventory, "six2");
    assert_eq!(
        (six.address.as_str(), six.port),
        ("2001:db8::2", Some(2202))
    );
    assert_eq!(six.variables.get("note"), Some("[0-9]+ [prod] disk[0]"));
    assert_eq!(six.variables.get("id"), Some("n2"));
    assert_eq!(names(&inventory, "@x&@y"), ["a"]);
    assert_eq!(names(&inventory, "@empty:\"\""), ["a"]);
    let error = inventory
        .select("@empty:")
        .expect_err("no value")
        .to_string();
    assert!(
        error.starts_with("column 1: the name of a group is missing after `@empty:`"),
        "{error}"
    );
    let error = inventory.select("@zone:\"\"").expect_err("none is empty");
    assert_eq!(
        error.message(),
        "no host has the value `` of the variable `zone`"
    );
}

#[test]
fn groups_refer_to_one_another() {
    let text = "
hosts: {'web[1-4]': {zone: a, groups: odd}, db1: {groups: [odd]}}
groups:
  all-but: '@most!@odd'
  most: ['@zone:a', 'db*']
  odd: web1
  late: '@early'
  early: '@*'
";
    let inventory = Inventory::parse(text, "f.yaml").expect("it reads");
    assert_eq!(
        names(&inventory, "@odd"),
        ["db1", "web1", "web2", "web3", "web4"]
    );
    assert_eq!(names(&inventory, "@all-but").len(), 0);
    assert_eq!(names(&inventory, "@late").len(), 5);
    let groups = &target(&inventory, "web2").groups;
    assert_eq!(
        groups.iter().map(String::as_str).collect::<Vec<_>>(),
        ["early", "late", "most", "odd"]
    );
    assert_eq!(
        inventory
            .reverse("db1")
            .expect("it answers")
            .expect("it knows")
            .len(),
        4
    );
}

#[test]
fn errors_name_the_place_and_the_right_name() {
    for (text, message) in [
        (
            "hosts: {web[1-3]: }\nhots: {}",
            "f.yaml:1:12: this is not YAML: while parsing a flow mapping, did not find expected ',' or '}'; a name with \
             brackets needs quotes between braces",
        ),
        (
            "hosts:\n  web[01-50]: {address: 10.0.1.[1-50]}",
            "f.yaml:2:32: this is not YAML: while parsing a flow mapping, did not find expected ',' or '}'; a name with \
             brackets needs quotes between braces",
        ),
        (
            "hots: {}\nhosts: {}",
            "f.yaml:1:1: `hots` is not a part of an inventory (`defaults`, `hosts`, `groups`); did you mean `hosts`?",
        ),
        (
            "hosts:\n  a: {jump: 'gate,:22'}",
            "f.yaml:2:13: `jump` of `a`: jump hosts `gate,:22`: the host is empty or starts with `-`",
        ),
        (
            "hosts:\n  a: {user: de ploy}",
            "f.yaml:2:13: `user` of `a`: `de ploy` is not a login name: white space and invisible characters have no place here",
        ),
        (
            "hosts:\n  a: {user: -lroot}",
            "f.yaml:2:13: `user` of `a`: `-lroot` is not a login name: a user name does not start with `-`",
        ),
        (
            "hosts:\n  a: {zone: b, Hostname: a.example.org}",
            "f.yaml:2:16: `Hostname` is probably meant as `address`; where `address` is given too, `Hostname` is a variable",
        ),
        (
            "defaults: {user: deploy}\nhosts:\n  a: {username: root}",
            "f.yaml:3:7: `username` is probably meant as `user`",
        ),
        (
            "defaults: {ansible_user: deploy}\nhosts: {a: }",
            "f.yaml:1:12: `ansible_user` is probably meant as `user`",
        ),
        (
            "hosts:\n  a: {prot: 22}",
            "f.yaml:2:7: `prot` is probably `port` misspelt; a variable needs another name",
        ),
        (
            "hosts:\n  a: {port: ssh}",
            "f.yaml:2:13: `port` of `a`: `ssh` is not a port (1 to 65535)",
        ),
        (
            "hosts:\n  a: {port: +22}",
            "f.yaml:2:13: `port` of `a`: `+22` is not a port (1 to 65535)",
        ),
        (
            "hosts:\n  gate:+22: {}",
            "f.yaml:2:3: target `gate:+22`: `+22` is not a port (1 to 65535)",
        ),
        (
            "defaults: {port: abc}\nhosts:\n  a: {port: 22}",
            "f.yaml:1:18: `port` of `defaults`: `abc` is not a port (1 to 65535)",
        ),
        (
            "defaults: {user: ''}\nhosts:\n  a: {user: root}",
            "f.yaml:1:18: `user` of `defaults`: `` is not a value; remove the line",
        ),
        (
            "hosts:\n  a: {identity_file: 5}",
            "f.yaml:2:22: `identity_file` of `a`: `5` is not a path; put quotes around the name of such a file",
        ),
        (
            "defaults: {known_hosts: no}\nhosts: {a: }",
            "f.yaml:1:25: `known_hosts` of `defaults`: `no` is not a path; put quotes around",
        ),
        (
            "hosts:\n  a: {port: [22]}",
            "f.yaml:2:13: `port` takes a single value, not a list; put quotes around a text that starts with a bracket",
        ),
        (
            "hosts:\n  a: {zone: {b: c}}",
            "f.yaml:2:13: `zone` takes a single value, not a mapping",
        ),
        (
            "hosts:\n  a: {k: !vault x}",
            "f.yaml:2:17: `k` has the tag `!vault`, which is not read here",
        ),
        (
            "hosts:\n  a: {my-zone: b}",
            "f.yaml:2:7: `my-zone` cannot be a variable: a name has letters, digits and `_`, no digit first",
        ),
        (
            "hosts:\n  a: {address: '10.0.0.1:22'}",
            "f.yaml:2:16: `address` of `a`: `10.0.0.1:22` is not a host name or an IP address (a port goes into `port`)",
        ),
        (
            "hosts:\n  'a[1-3]': {address: '10.0.0.[1-2]'}",
            "f.yaml:2:23: `address` of `a[1-3]`: the range in `10.0.0.[1-2]` has 2 values for 3 hosts; give as many, or write `[[` for a plain bracket",
        ),
        (
            "hosts:\n  'a[1-3]': {}\n  a2: {}",
            "f.yaml:3:3: host `a2` is defined twice, first in line 2; keep one",
        ),
        (
            "hosts:\n  a: {}\n  a: {}",
            "f.yaml:3:3: `a` is given twice, first in line 2; keep one",
        ),
        (
            "hosts:\n  a: {x: 1, x: 2}",
            "f.yaml:2:13: `x` is given twice, first in line 2; keep one",
        ),
        (
            "hosts: [a, b]",
            "f.yaml:1:8: `hosts` is a mapping of names to values, not a list",
        ),
        (
            "hosts:\n  a: 5",
            "f.yaml:2:6: `a` is a mapping of names to values, not a single value",
        ),
        (
            "hosts:\n  a: {tags: 'x,y'}",
            "f.yaml:2:13: `x,y` cannot be a name in `tags`",
        ),
        (
            "hosts:\n  a: {tags: {x: y}}",
            "f.yaml:2:13: `tags` takes a name or a list of names, not a mapping",
        ),
        (
            "defaults: {address: x}\nhosts: {a: }",
            "f.yaml:1:21: `address` belongs to a host",
        ),
        (
            "hosts: {a: }\ngroups:\n  'x y': a",
            "f.yaml:3:3: `x y` cannot be a name in `groups`",
        ),
        (
            "hosts: {a1: }\ngroups:\n  x: a1,@nix\n  nox: a1",
            "f.yaml:3:9: there is no group `nix` in the inventory; did you mean `nox`?",
        ),
        (
            "hosts: {a1: }\ngroups:\n  x: 'a1,a2'",
            "f.yaml:3:10: `a2` is no known host; did you mean `a1`?",
        ),
        (
            "hosts: {a1: }\ngroups:\n  x: '@y'\n  y: '@x'",
            "f.yaml:4:7: group `x` is defined by itself; break the circle",
        ),
        (
            "hosts: {a1: }\ngroups:\n  x: |\n    a1,\n    @nix\n",
            "f.yaml:5: in `@nix`: column 1: there is no group `nix` in the inventory",
        ),
        (
            "hosts: {a1: }\ngroups:\n  x: \"\\x61\\x31,b1\"\n",
            "f.yaml:3: in `a1,b1`: column 4: `b1` is no known host",
        ),
        (
            "hosts: {a\u{200b}1: }",
            "f.yaml:1:9: `a\\u{200b}1` is not a host name pattern: a name has no invisible characters (U+200B)",
        ),
        (
            "hosts: {'a[1-2000000]': }",
            "f.yaml:1:9: `a[1-2000000]`: this names 2000000 hosts, and the limit is 1000000",
        ),
        (
            "hosts: {'a[1-600000]': , 'b[1-600000]': }",
            "f.yaml:1:26: up to `b[1-600000]` are more than 1000000 hosts, the limit",
        ),
        (
            "hosts: {'a[1-2]': {address: 'a[1-2000000]'}}",
            "f.yaml:1:29: `address` of `a[1-2]`: `a[1-2000000]` has more than 1000000 values",
        ),
        (
            "",
            "f.yaml: the inventory holds no hosts; check that this is the right path; hosts stand below `hosts:`",
        ),
        ("---\n", "f.yaml: the inventory holds no hosts"),
        ("hosts:\n", "f.yaml: the inventory holds no hosts"),
        (
            "defaults: {user: x}\nhosts: {}\ngroups: {x: a1}",
            "f.yaml: the inventory holds no hosts",
        ),
        (
            "just text",
            "f.yaml:1:1: an inventory is a mapping of names to values, not a single value",
        ),
    ] {
        let error = parse_error(text).to_string();
        assert!(
            error.starts_with(message),
            "{text:?}\n is {error}\nnot {message}"
        );
    }
}

#[test]
fn errors_stay_short() {
    let long = "k".repeat(100_000);
    for text in [
        format!("hosts: {{a: {{port: {long}}}}}"),
        format!("hosts: {{a: {{jump: 'x,:{long}'}}}}"),
        format!("hosts:\n  a:\n    ? {long}-\n    : x\n"),
        format!("[{long}:x]"),
        format!("web[1:{long}]"),
        format!("a ansible_port={long}"),
    ] {
        let name = if text.starts_with("hosts") {
            "f.yaml"
        } else {
            "f"
        };
        let error = Inventory::parse(&text, name).expect_err("it is wrong");
        assert!(error.to_string().len() < 1100, "{error}");
    }
}

#[test]
fn many_groups_and_bombs_stay_bounded() {
    let mut text = String::from("hosts: {a: }\ngroups:\n  g0: a\n");
    for n in 1..60 {
        text.push_str(&format!("  g{n}: '@g{0},@g{0}'\n", n - 1));
    }
    let inventory = Inventory::parse(&text, "f.yaml").expect("each group is evaluated once");
    assert_eq!(names(&inventory, "@g59"), ["a"]);
    let mut text = String::from("hosts: {a: }\ngroups:\n  g2000: a\n");
    for n in (1000..2000).rev() {
        text.push_str(&format!("  g{n}: '@g{}'\n", n + 1));
    }
    assert_eq!(parse_error(&text).kind(), ErrorKind::TooLarge);
    assert_eq!(
        parse_error("hosts: {'a[1-2000000]': }").kind(),
        ErrorKind::TooLarge
    );
}

/// Hosts as an operator would write them, with what they must become.
fn arbitrary_hosts() -> impl Strategy<Value = BTreeMap<String, BTreeMap<String, String>>> {
    let name = "[a-d]{1,3}(-[a-d])?[0-9]{0,2}";
    let variables = proptest::collection::btree_map("v_[a-z]{1,3}", "\\PC{0,8}", 0..4);
    proptest::collection::btree_map(name, variables, 1..20)
}

proptest! {
    #[test]
    fn generated_inventories_load_to_what_was_generated(hosts in arbitrary_hosts()) {
        let mut text = String::from("hosts:\n");
        for (name, variables) in &hosts {
            let escaped: BTreeMap<_, _> = variables.iter().map(|(name, value)| (name, values::escape(value))).collect();
            text.push_str(&format!("  {name}: {}\n", serde_json::to_string(&escaped).expect("JSON")));
        }
        let inventory = Inventory::parse(&text, "f.yaml").expect("it reads");
        prop_assert_eq!(inventory.targets().len(), hosts.len());
        for (name, variables) in &hosts {
            let read = target(&inventory, name);
            prop_assert_eq!(&read.address, name);
            prop_assert_eq!(&read.variables, &variables.iter().collect::<crate::Variables>());
        }
        // What it writes reads back the same.
        let written = inventory.to_string();
        let again = Inventory::parse(&written, "f.yaml").expect("it reads back");
        prop_assert_eq!(again.to_string(), written);
    }

    #[test]
    fn no_text_panics(text in any::<String>(), name in "f(\\.yaml|\\.ini)?") {
        let _ = Inventory::parse(&text, &name);
    }

    #[test]
    fn no_inventory_like_text_panics(
        text in "(hosts:|groups:|defaults:|all:|children:|vars:| |  |\n|\n  |\\{|\\}|\\[|\\]|a|a\\[1-3\\]|b: |'|,|x: 1|\\[g\\]\n|\\[g:vars\\]\n|=|@|!){0,30}",
        name in "f(\\.yaml|\\.ini)?",
    ) {
        let _ = Inventory::parse(&text, &name);
    }
}

#[test]
fn an_error_in_a_text_over_several_lines_names_its_line() {
    let read = |text: &str| {
        let error = Inventory::parse(text, "f.yaml").expect_err("a host that nobody knows");
        error.to_string()
    };
    let hosts = "hosts: {a1: }\ngroups:\n";
    let block = format!("{hosts}  x: |\n    a1,\n    b1\n");
    assert_eq!(
        read(&block),
        "f.yaml:5: in `b1`: column 1: `b1` is no known host; did you mean `a1`?"
    );
    let blank = format!("{hosts}  x:\n    - |\n\n\n      a1,\n      b1\n");
    assert_eq!(
        read(&blank),
        "f.yaml:8: in `b1`: column 1: `b1` is no known host; did you mean `a1`?"
    );
    let first = format!("{hosts}  x: |\n    b1,\n    a1\n");
    assert_eq!(
        read(&first),
        "f.yaml:4: in `b1,`: column 1: `b1` is no known host; did you mean `a1`?"
    );
}
