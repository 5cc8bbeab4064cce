//! What Ansible cannot be asked about: what is not read, secrets, places, other formats. The rest is compared with
//! Ansible itself in `tests/inventory_oracle` of the facade.

use secrecy::ExposeSecret;

use crate::inventory::Inventory;
use crate::{Error, ErrorKind, JumpHosts};

fn ini(text: &str) -> Inventory {
    Inventory::parse(text, "hosts").expect(text)
}

fn yaml(text: &str) -> Inventory {
    Inventory::parse(text, "hosts.yml").expect(text)
}

fn error(text: &str, name: &str) -> Error {
    Inventory::parse(text, name).expect_err(text)
}

fn resolved(inventory: &Inventory, expression: &str) -> String {
    inventory.resolve(expression).expect(expression).to_string()
}

fn unread(inventory: &Inventory) -> Vec<String> {
    inventory.unread().iter().map(ToString::to_string).collect()
}

#[test]
fn formats_are_told_apart() {
    for (text, name) in [
        ("[web]\nweb1\n", "x"),
        ("# hosts\nweb1 ansible_user=a\n", "inventory.local"),
        ("web: {hosts: {web1: }}", "x.yaml"),
        (
            "---\nall:\n  children:\n    web:\n      hosts:\n        web1:\n",
            "x",
        ),
        ("all:\n  hosts:\n    web1:\n", "fleet"),
        ("hosts:\n  web1:\n", "fleet"),
        ("{\"hosts\": {\"web1\": {}}}", "fleet"),
    ] {
        let inventory = Inventory::parse(text, name).expect(text);
        assert_eq!(inventory.hosts().to_string(), "web1", "{text}");
    }
}

#[test]
fn what_is_not_read_is_listed() {
    let inventory = yaml(
        "all:
  hosts:
    web1:
      token: !vault |
        $ANSIBLE_VAULT;1.1;AES256
        3132
      motd: '{{ banner }}'
      list: [1, 2]
      zone: a
      zone: b
      ansible_ssh_common_args: -o ProxyJump=gate -o StrictHostKeyChecking=no
  vars:
    motd: hello
",
    );
    assert_eq!(
        unread(&inventory),
        [
            "hosts.yml:4: `token` is not read: it is encrypted with Ansible Vault",
            "hosts.yml:7: `motd` is not read: it is a Jinja template",
            "hosts.yml:8: `list` is not read: it is a list; only single values are variables",
            "hosts.yml:9: `zone` is not read: it is given again in line 10, which counts",
            "hosts.yml:11: `ansible_ssh_common_args` is not read: of its options only ProxyJump is obeyed, not `-o StrictHostKeyChecking=no`",
        ]
    );
    let host = inventory.host("web1").expect("the rest is read");
    assert_eq!(host.variables.get("zone"), Some("b"));
    assert_eq!(
        host.variables.get("motd"),
        None,
        "a template hides the group's value"
    );
    assert_eq!(
        host.jump.as_ref().map(ToString::to_string),
        Some("gate".into())
    );
}

#[test]
fn slips_are_listed_and_are_no_variables() {
    let inventory = ini(
        "web1 ansible_hots=10.0.0.1 ansible_passwrd=hunter2 zone=a\n[all:vars]\nansible_usr=x\nansible_pass=hunter2\n",
    );
    assert_eq!(
        unread(&inventory),
        [
            "hosts:1: `ansible_hots` is not read: it is probably `ansible_host` misspelt",
            "hosts:1: `ansible_passwrd` is not read: it is probably `ansible_password` misspelt",
            "hosts:3: `ansible_usr` is not read: it is probably `ansible_user` misspelt",
            "hosts:4: `ansible_pass` is not read: it is probably meant as `ansible_password`",
        ]
    );
    let host = inventory.host("web1").expect("it is there");
    assert_eq!(host.variables, [("zone", "a")].into());
    let reason = "a group has `hosts`, `children` and `vars`, nothing else; did you mean";
    let inventory = yaml("all:\n  hots: {web1: }\n  hosts: {web2: }\nhsots: {web3: }\n");
    assert_eq!(
        unread(&inventory),
        [
            format!("hosts.yml:2: `hots` is not read: {reason} `hosts`?"),
            format!("hosts.yml:4: `hsots` is not read: {reason} `hosts`?"),
            "hosts.yml:4: `web3` is not read: a group has `hosts`, `children` and `vars`, nothing else".into(),
        ]
    );
}

#[test]
fn what_the_native_format_would_misread_still_reads_back() {
    let inventory = ini("web1 ip=10.0.0.1 login=x prot=y ansible_user=z\n");
    let again = Inventory::parse(&inventory.to_string(), "f.yaml").expect("it reads back");
    let host = again.host("web1").expect("it is there");
    assert_eq!(host.variables, [("ip", "10.0.0.1"), ("login", "x")].into());
    assert_eq!(host.user.as_deref(), Some("z"));
}

#[test]
fn ways_are_checked() {
    let direct = ini("web1 ansible_ssh_common_args='-J none'\n");
    let host = direct.host("web1").expect("it is there");
    assert_eq!(host.jump, Some(JumpHosts::default()));
    for (variable, message) in [
        (
            "ansible_ssh_common_args='-J gate,:22'",
            "hosts.ini:1: `ansible_ssh_common_args` of `web1`: jump hosts `gate,:22`: the host is empty or starts with `-`",
        ),
        (
            "ansible_user=-lroot",
            "hosts.ini:1: `ansible_user` of `web1`: `-lroot` is not a login name: a user name does not start with `-`",
        ),
    ] {
        let error =
            Inventory::parse(&format!("web1 {variable}\n"), "hosts.ini").expect_err(variable);
        assert_eq!(error.to_string(), message);
    }
}

#[test]
fn passwords_are_secrets() {
    let inventory = ini(
        "[web]\nweb[1:2] ansible_password=hunter2 zone=a\n[web:vars]\nansible_become_pass=hunter3\n",
    );
    let host = inventory.host("web2").expect("it is there");
    let secret = |name: &str| host.secrets[name].expose_secret().to_owned();
    assert_eq!(
        (secret("ansible_password"), secret("ansible_become_pass")),
        ("hunter2".into(), "hunter3".into())
    );
    assert_eq!(host.variables, [("zone", "a")].into());
    let shown = format!(
        "{inventory:?} {inventory} {host:?} {}",
        serde_json::to_string(host).expect("JSON")
    );
    assert!(!shown.contains("hunter"), "{shown}");
}

#[test]
fn selections_work_on_groups_and_variables() {
    let inventory = ini("[web]\nweb[1:3] zone=a\n[db]\ndb1 zone=b\n[site:children]\nweb\ndb\n");
    for (expression, hosts) in [
        ("@site", "db1,web[1-3]"),
        ("@all!@web", "db1"),
        ("@zone:a&@site!web2", "web[1,3]"),
        ("@*", "db1,web[1-3]"),
    ] {
        assert_eq!(resolved(&inventory, expression), hosts);
    }
    let error = inventory.resolve("@wbe").expect_err("no such group");
    assert!(error.message().ends_with("did you mean `web`?"), "{error}");
    let groups = &inventory.host("web1").expect("it is there").groups;
    assert_eq!(
        groups.iter().map(String::as_str).collect::<Vec<_>>(),
        ["site", "web"]
    );
}

#[test]
fn errors_name_file_and_line() {
    for (text, name, message) in [
        (
            "[web]\nweb1\n[site:children]\nwbe\n",
            "h",
            "h:4: group `wbe` is declared nowhere; did you mean `web`?",
        ),
        (
            "[web]\nweb1 x\n",
            "h",
            "h:2: after the host stand variables as `name=value`; word 2 of the line has no `=`",
        ),
        // Nothing of what may be a password is shown.
        (
            "[web]\nweb1 ansible_password=correct horse\n",
            "h",
            "h:2: after the host stand variables as `name=value`; word 3 of the line has no `=` (a value",
        ),
        (
            "[web:children]\nansible_password=hunter2\n",
            "h",
            "h:2: a line of a section `[group:children]` is the name of a group, and this one has a `=`",
        ),
        (
            "[web:vars]\nansible_password hunter2\n",
            "h",
            "h:2: a variable is written `name=value`, and this line has no `=`",
        ),
        (
            "web[3:1]\n",
            "h",
            "h:1: the range `[3:1]` counts down; write the smaller bound first",
        ),
        (
            "web1 ansible_port=ssh\n",
            "h",
            "h:1: `ansible_port` of `web1`: `ssh` is not a port (1 to 65535)",
        ),
        (
            "[a:children]\nb\n[b:children]\na\n",
            "h",
            "h:1: group `a` is its own descendant; break the circle of children",
        ),
        (
            "[web:var]\n",
            "h",
            "h:1: `[web:var]` is not a section; after the colon stands",
        ),
        (
            "all: {hosts: [a]}",
            "h.yml",
            "h.yml:1:14: `hosts` in `all` is a mapping, not a list",
        ),
        (
            "all: {hosts: {'a b': }}",
            "h.yml",
            "h.yml:1:15: `a b` cannot be the name of a host here; rename it",
        ),
        (
            "all:\n  hosts:\n    web1:\n      ansible_user: [a]\n",
            "h.yml",
            "h.yml:4: `ansible_user` takes a single value, not a list",
        ),
        (
            "all:\n  vars:\n    ansible_ssh_common_args: {J: x}\n",
            "h.yml",
            "h.yml:3: `ansible_ssh_common_args` takes a single value, not a mapping",
        ),
        (
            "web1 ansible_port=[22]\n",
            "h",
            "h:1: `ansible_port` takes a single value, not a Python collection",
        ),
        (
            "{\"_meta\": {\"hostvars\": {}}, \"web\": {\"hosts\": [\"web1\"]}}",
            "h.json",
            "h.json:1:2: this is what `ansible-inventory --list` prints, in which groups are lists; let it print",
        ),
        (
            "web[1:2000000]\n",
            "h",
            "h:1: the range `[1:2000000]` gives more than 1000000 hosts; an inventory has 1000000 at most",
        ),
        (
            "",
            "h.ini",
            "h.ini: the inventory holds no hosts; check that this is the right path",
        ),
        (
            "web: {hsots: {web1: }}\nall:\n",
            "h.yml",
            "h.yml: the inventory holds no hosts; check that this is the right path; h.yml:1: `hsots` is not read: ",
        ),
        (
            "plugin: aws_ec2\n",
            "h.yml",
            "h.yml: this inventory is not read: it configures the inventory plugin `aws_ec2`; load what",
        ),
        (
            "#!/bin/sh\n",
            "h",
            "h: this inventory is not read: it is a program; load what",
        ),
        (
            "$ANSIBLE_VAULT;1.1;AES256\n",
            "h",
            "h: this inventory is not read: it is encrypted with Ansible Vault",
        ),
        (
            "$ANSIBLE_VAULT;1.1;AES256\n",
            "h.yml",
            "h.yml: this inventory is not read: it is encrypted with Ansible Vault",
        ),
    ] {
        let error = error(text, name).to_string();
        assert!(
            error.starts_with(message),
            "{text:?}\n is {error}\nnot {message}"
        );
    }
    assert_eq!(
        error("web[1:9][1:999999]\n", "h").kind(),
        ErrorKind::Inventory
    );
}

#[test]
fn a_bad_line_with_a_password_is_not_shown() {
    let error = error("web1 ansible_password='hunter2\n", "h").to_string();
    assert!(!error.contains("hunter"), "{error}");
}

#[cfg(feature = "fs")]
mod files {
    use super::*;

    #[test]
    fn folders_are_read_with_what_is_beside() {
        let folder = tempfile::tempdir().expect("a folder");
        let write = |name: &str, text: &[u8]| {
            let path = folder.path().join(name);
            std::fs::create_dir_all(path.parent().expect("a parent")).expect("a folder");
            std::fs::write(path, text).expect("a file");
        };
        write("10-hosts", b"# caf\xe9\n[web]\nweb[1:2]\n");
        write("20-more.yml", b"db: {hosts: {db1: }}");
        write("30-cloud.yml", b"plugin: aws_ec2");
        write("40-script", b"#!/bin/sh\n");
        write("50-binary", b"\x7fELF\xff\xfe");
        write("60-secret.yml", b"$ANSIBLE_VAULT;1.1;AES256\n3132");
        write("sub/hosts", b"[db]\ndb2\n");
        write("README.md", b"[not");
        write("group_vars/all/main.yml", b"zone: a\nrank: 1");
        write("group_vars/web.yml", b"rank: 2");
        write("group_vars/db.json", b"$ANSIBLE_VAULT;1.1;AES256\n3132");
        write("host_vars/web2", b"rank: 3\nansible_host: 10.0.0.2");
        let inventory = Inventory::load(folder.path()).expect("it reads");
        assert_eq!(inventory.hosts().to_string(), "db[1-2],web[1-2]");
        assert_eq!(resolved(&inventory, "@rank:3"), "web2");
        assert_eq!(resolved(&inventory, "@rank:2"), "web1");
        assert_eq!(inventory.resolve("@zone:a").expect("a variable").len(), 4);
        assert_eq!(
            inventory.host("web2").expect("it is there").address,
            "10.0.0.2"
        );
        let skipped: Vec<String> = unread(&inventory)
            .iter()
            .map(|line| line.rsplit('/').next().unwrap_or_default().to_owned())
            .collect();
        assert_eq!(
            skipped,
            [
                "30-cloud.yml is not read: it configures the inventory plugin `aws_ec2`",
                "40-script is not read: it is a program",
                "50-binary is not read: it is a program",
                "60-secret.yml is not read: it is encrypted with Ansible Vault",
                "db.json is not read: it is encrypted with Ansible Vault",
            ]
        );
    }

    #[test]
    fn a_folder_without_an_inventory_is_an_error() {
        let folder = tempfile::tempdir().expect("a folder");
        let refused = || {
            let error = Inventory::load(folder.path()).expect_err("there is none");
            error
                .to_string()
                .replace(&folder.path().display().to_string(), "DIR")
        };
        std::fs::write(folder.path().join("README.md"), "web1\n").expect("a file");
        std::fs::create_dir(folder.path().join("group_vars")).expect("a folder");
        let error = refused();
        assert!(
            error.starts_with("DIR: there is no inventory in this folder: "),
            "{error}"
        );
        let hosts = folder.path().join("hosts");
        std::fs::write(&hosts, "# none yet\n").expect("a file");
        assert_eq!(
            refused(),
            "DIR: the inventory holds no hosts; check that this is the right path"
        );
        std::fs::remove_file(hosts).expect("it is there");
        let pipe = folder.path().join("pipe");
        let made = std::process::Command::new("mkfifo").arg(&pipe).status();
        assert!(made.expect("mkfifo of coreutils").success());
        assert_eq!(
            refused(),
            "DIR: no inventory in this folder can be read; DIR/pipe is not read: it is neither a file nor a folder"
        );
    }

    #[test]
    fn names_of_files_that_are_not_utf_8_are_refused() {
        use std::os::unix::ffi::OsStrExt;
        let folder = tempfile::tempdir().expect("a folder");
        let path = |name: &[u8]| folder.path().join(std::ffi::OsStr::from_bytes(name));
        std::fs::create_dir_all(folder.path().join("group_vars/web")).expect("a folder");
        std::fs::write(path(b"hosts"), "[web]\nweb1\n").expect("a file");
        std::fs::write(path(b"caf\xe9.txt"), "a note").expect("a file");
        Inventory::load(folder.path()).expect("notes are passed over");
        for name in [
            &b"caf\xe9"[..],
            b"group_vars/caf\xe9.yml",
            b"group_vars/web/caf\xe9.yml",
        ] {
            std::fs::write(path(name), "zone: a\n").expect("a file");
            let error = Inventory::load(folder.path()).expect_err("not UTF-8");
            assert!(error.message().contains("caf\\xE9"), "{error}");
            std::fs::remove_file(path(name)).expect("it is there");
        }
    }

    #[test]
    fn a_native_file_in_a_folder_is_not_taken_for_ansible() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("fleet.yaml");
        for (text, place) in [
            ("hosts: {web1: {user: x}}\n", "1:1"),
            ("---\ndefaults: {user: x}\nhosts: {hosts: }\n", "2:1"),
        ] {
            std::fs::write(&path, text).expect("a file");
            let error = Inventory::load(folder.path()).expect_err("it is native");
            let start = format!("{}:{place}: `", path.display());
            assert!(error.to_string().starts_with(&start), "{error}");
            assert!(
                error.message().ends_with("load this file itself"),
                "{error}"
            );
            Inventory::load(&path).expect("it reads");
        }
        // A group may have such a name.
        std::fs::write(&path, "hosts: {hosts: {web1: }}\ngroups:\n").expect("a file");
        let inventory = Inventory::load(folder.path()).expect("it is Ansible's");
        assert_eq!(resolved(&inventory, "@hosts"), "web1");
    }

    #[test]
    fn byte_order_marks_are_passed_over() {
        let folder = tempfile::tempdir().expect("a folder");
        for (name, text) in [
            ("f.yaml", "hosts: {web1: }"),
            ("f.ini", "[g]\nweb1\n"),
            ("f", "web1\n"),
            ("g.yml", "all: {hosts: {web1: }}"),
        ] {
            let text = format!("\u{feff}{text}");
            let path = folder.path().join(name);
            std::fs::write(&path, &text).expect("a file");
            for inventory in [Inventory::load(&path), Inventory::parse(&text, name)] {
                assert_eq!(inventory.expect(name).hosts().to_string(), "web1");
            }
        }
    }

    #[test]
    fn files_that_cannot_be_read_say_so() {
        let error = Inventory::load("/nonexistent/fleet.yaml").expect_err("there is none");
        assert_eq!(error.kind(), ErrorKind::Io);
        assert_eq!(
            error.to_string(),
            "cannot read `/nonexistent/fleet.yaml`; there is no folder `/nonexistent`"
        );
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("hosts");
        std::fs::write(&path, b"web1\nweb\xff\n").expect("a file");
        let error = Inventory::load(&path).expect_err("not UTF-8").to_string();
        assert!(
            error.ends_with("hosts:2: this line is not UTF-8"),
            "{error}"
        );
    }
}
