//! Trees that are looked through for what should be sealed.

mod support;

use std::path::Path;

use clusterops_secrets::{
    CheckOptions, ErrorKind, FindingKind, Format, RecipientsFile, check, seal,
};
use rustix::fs::{Mode, OFlags};
use support::{APP, folder, options, private_key, write};

/// What is found, as it is shown, without the folder.
fn found(root: &Path) -> Vec<String> {
    let findings = check(root, &CheckOptions::default()).expect("it reads");
    let folder = format!("{}/", root.display());
    findings
        .iter()
        .map(|finding| finding.to_string().replace(&folder, ""))
        .collect()
}

/// Says that Ben is to read what is at these paths, of a tree.
fn rule(root: &Path, path: &str) {
    let ben = private_key("ben").public_key().to_jwk();
    let text =
        format!("recipients: {{ben: {ben}}}\nrules: [{{path: '{path}', recipients: [ben]}}]\n");
    write(&root.join("recipients.yaml"), &text);
    RecipientsFile::load(root.join("recipients.yaml")).expect("it reads");
}

#[test]
fn secrets_in_plain_text_are_found() {
    let folder = folder();
    let root = folder.path();
    write(
        &root.join("recipients.yaml"),
        &format!(
            "recipients: {{ben: {}}}\n",
            private_key("ben").public_key().to_jwk()
        ),
    );
    let sealed = seal(APP, Format::Json, &options(&["ben"]))
        .expect("it seals")
        .text;
    write(&root.join("good.json"), &sealed);
    write(&root.join("marked.json"), APP);
    write(
        &root.join("plain.yaml"),
        "env:\n  DB_PASSWORD: hunter2\n  TOKENIZER: x\n  TOKEN_FILE: /run/x\n  API-KEY: ${KEY}\n  SECRETS: ''\n",
    );
    write(
        &root.join("moved.json"),
        &sealed.replace("\"DB\"", "\"DB2\""),
    );
    write(
        &root.join("renamed.json"),
        &sealed.replace("\"/shop\",\n  \"image\"", "\"/store\",\n  \"image\""),
    );
    write(&root.join("broken.json"), "{\n\"a\": 1, \"a\": 2}");
    write(
        &root.join("others.json"),
        &seal(APP, Format::Json, &options(&["cyd"]))
            .expect("it seals")
            .text,
    );
    write(
        &root.join("key.txt"),
        &format!("# a key\n{}", include_str!("../src/keys/data/ben.pem")),
    );
    write(&root.join("target/plain.yaml"), "DB_PASSWORD: hunter2\n");
    write(&root.join("vendor/plain.yaml"), "LICENCE_CODE: hunter2\n");
    std::os::unix::fs::symlink("plain.yaml", root.join("link.yaml")).expect("ours");
    std::fs::write(root.join("bytes.json"), b"\xff").expect("ours");

    let findings = check(root, &CheckOptions::default()).expect("it reads");
    let shown: Vec<String> = findings
        .iter()
        .map(|finding| {
            finding
                .to_string()
                .replace(&format!("{}/", root.display()), "")
        })
        .collect();
    let starts = [
        "broken.json:2:9: ",
        "bytes.json:1:1: is not UTF-8: ",
        "key.txt:2:1: a private key stands here",
        "marked.json:5:11: /env/DB: is marked to be sealed and is not",
        "moved.json:5:12: /env/DB2: was sealed for another place: `/env/DB` of `/shop`",
        "others.json:8:1: the epoch ",
        "plain.yaml:2:16: /env/DB_PASSWORD: is a secret by its name",
        "renamed.json:8:1: this document is sealed as `/shop`, not as `/store`",
    ];
    assert_eq!(shown.len(), starts.len(), "{shown:#?}");
    for (shown, start) in shown.iter().zip(starts) {
        assert!(
            shown.starts_with(start),
            "{shown} does not start with {start}"
        );
    }
    assert!(
        matches!(&findings[5].kind, FindingKind::OtherRecipients(why) if why.contains("missing ben"))
    );
    assert!(!shown.concat().contains("hunter2"));
    let options = CheckOptions::default()
        .secret_word("licence_code")
        .skip("plain.yaml");
    assert!(
        !check(root, &options)
            .expect("it reads")
            .iter()
            .any(|finding| finding.kind == FindingKind::Plaintext)
    );
    let options = CheckOptions::default().secret_word("licence_code");
    assert_eq!(
        check(root.join("vendor"), &options)
            .expect("it reads")
            .len(),
        1
    );
    assert_eq!(
        check(root.join("good.json"), &options).expect("it reads"),
        []
    );
    let link = folder.path().join("link");
    std::os::unix::fs::symlink("vendor", &link).expect("ours");
    assert_eq!(check(&link, &options).expect("it reads").len(), 1);
    assert_eq!(
        check(root.join("none"), &options).expect_err("none").kind(),
        ErrorKind::Local
    );
}

#[test]
fn secrets_are_found_wherever_they_hide() {
    let folder = folder();
    let root = folder.path().join("tree");
    let pem = include_str!("../src/keys/data/ben.pem").replace('\n', "\\n");
    write(
        &root.join("keys.json"),
        &format!("{{\"a\": \"-----BEGIN CERTIFICATE-----\", \"b\": \"{pem}\"}}\n"),
    );
    std::fs::write(
        root.join("latin1.txt"),
        b"# Schl\xfcssel\n-----BEGIN OPENSSH PRIVATE KEY-----\n",
    )
    .expect("ours");
    write(
        &root.join("public.pem"),
        "-----BEGIN PUBLIC KEY-----\n-----BEGIN ",
    );
    write(
        &root.join("pod.yaml"),
        "mark: ENC[a:b]\nenv:\n- {name: DB_PASSWORD, value: hunter2}\n- {name: ZONE, value: a}\nurl: \"amqp://a:hunter2@b\"\n",
    );
    write(
        &root.join("app.env"),
        "DB_PASSWORD=hunter2\nDB='ENC[a:b]'\n",
    );
    write(
        &root.join("odd\x1b[2J.json"),
        "{\"a\\n\\u001b\": \"ENC[a:b]\"}",
    );
    // The tree that was asked for can be a link; links in it are not followed.
    let link = folder.path().join("link");
    std::os::unix::fs::symlink("tree", &link).expect("ours");
    std::os::unix::fs::symlink("..", root.join("up")).expect("ours");
    let findings = check(&link, &CheckOptions::default()).expect("it reads");
    let shown: Vec<String> = findings
        .iter()
        .map(|finding| {
            finding
                .to_string()
                .replace(&format!("{}/", link.display()), "")
        })
        .collect();
    let expected = [
        "app.env:1:13: /DB_PASSWORD: is a secret by its name and stands here in plain text",
        "app.env:2:4: /DB: is marked to be sealed and is not",
        "keys.json:1:44: a private key stands here",
        "latin1.txt:2:1: a private key stands here",
        "odd?[2J.json:1:15: /a??: is marked to be sealed and is not",
        "pod.yaml:1:7: /mark: is marked to be sealed and is not",
        "pod.yaml:3:30: /env/DB_PASSWORD/value: is a secret by its name and stands here in plain text",
        "pod.yaml:5:6: /url: a password stands in this URL",
    ];
    assert_eq!(shown, expected);
}

#[test]
fn what_is_compressed_or_encrypted_is_no_document() {
    let folder = folder();
    let root = folder.path();
    let put = |name: &str, bytes: &[u8]| {
        write(&root.join(name), "");
        std::fs::write(root.join(name), bytes).expect("ours");
    };
    rule(root, "prod/**");
    for at in ["", "prod/"] {
        put(&format!("{at}a.json.gz"), b"\x1f\x8b\x08\0\0\x9d");
        put(&format!("{at}.env.age"), b"age-encryption.org/v1\n\xd5\x81");
        put(&format!("{at}x.env.gpg"), b"\x85\x01\x0c\x03");
        put(&format!("{at}b.yaml.zst"), b"\x28\xb5\x2f\xfd\0");
        put(&format!("{at}c.yml.XZ"), b"\xfd7zXZ\0");
        put(&format!("{at}d.env.asc"), b"-----BEGIN PGP MESSAGE-----\n");
    }
    // An editor's swap file is no text, and can hold what is to be sealed.
    put(".a.json.swp", b"b0VIM 9\0\xff\0");
    put(".b.json.swp", b"b0VIM 9\0\xff\0\nDB: ENC[db:hunter2]\0");
    put("prod/.a.json.swp", b"b0VIM 9\0\xff\0");
    let found = found(root);
    assert_eq!(found.len(), 2, "{found:#?}");
    assert!(found[0].starts_with(".b.json.swp:2:5: "), "{found:#?}");
    assert!(
        found[1].starts_with("prod/.a.json.swp:1:1: is not UTF-8"),
        "{found:#?}"
    );
}

/// In UTF-16 with a byte order mark, as editors of Windows write it.
fn utf16(text: &str) -> Vec<u8> {
    let units = std::iter::once(0xfeff).chain(text.encode_utf16());
    units.flat_map(u16::to_le_bytes).collect()
}

#[test]
fn what_is_not_utf8_is_not_passed_over() {
    let folder = folder();
    let root = folder.path();
    let put = |name: &str, bytes: &[u8]| {
        write(&root.join(name), "");
        std::fs::write(root.join(name), bytes).expect("ours");
    };
    rule(root, "prod/**");
    put("latin1.yaml", b"# f\xfcr\nDB_PASSWORD: hunter2\n");
    put("utf16.env", &utf16("DB_PASSWORD=hunter2\n"));
    put("no-mark.json", &utf16("{}")[2..]);
    put("prod/app.conf", b"a\nb # \xe4\n");
    put("prod/utf16.conf", &utf16("DB=ENC[a:b]\n"));
    // Pictures are nothing that could be sealed, and elsewhere any text is as it is.
    put("prod/logo.png", b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR");
    put("notes.txt", b"f\xfcr\n");
    let starts = [
        "latin1.yaml:1:1: is not UTF-8: it is in another encoding; ",
        "no-mark.json:1:1: is not UTF-8: it looks like UTF-16, ",
        "prod/app.conf:2:1: is not UTF-8: ",
        "prod/utf16.conf:1:1: is not UTF-8: it looks like UTF-16, ",
        "utf16.env:1:1: is not UTF-8: it looks like UTF-16, ",
    ];
    let found = found(root);
    assert_eq!(found.len(), starts.len(), "{found:#?}");
    for (found, start) in found.iter().zip(starts) {
        assert!(found.starts_with(start), "{found}");
    }
}

#[test]
fn markers_are_found_wherever_they_stand() {
    let folder = folder();
    let root = folder.path();
    write(
        &root.join("app.yaml"),
        "args:\n- --password=ENC[a:hunter2]\n- ENCODING ENC[ PATIENC[a:b] # or ENC[b:hunter2]\nENC[c:hunter2]: x\n",
    );
    write(&root.join("app.env"), "# ENC[a:hunter2]\nA=x\n");
    write(
        &root.join("app.json"),
        r#"{"ENC[a:hunter2]": {"b": "x ENC[b:hunter2]"}, "c": "an ENC[, ENCODING"}"#,
    );
    let only = "and only values are sealed";
    let whole = "only whole values are sealed";
    let expected = [
        ("app.env:1:3: ", "stands in a comment here", only),
        ("app.json:1:2: ", "stands in a key here", only),
        (
            "app.json:1:26: ",
            "stands inside of a longer text here",
            whole,
        ),
        (
            "app.yaml:2:3: /args/0: ",
            "stands inside of a longer text",
            whole,
        ),
        ("app.yaml:3:35: ", "stands in a comment here", only),
        ("app.yaml:4:1: ", "stands in a key here", only),
    ];
    let found = found(root);
    assert_eq!(found.len(), expected.len(), "{found:#?}");
    for (found, (start, what, why)) in found.iter().zip(expected) {
        assert!(
            found.starts_with(start) && found.contains(what) && found.contains(why),
            "{found}"
        );
        assert!(!found.contains("hunter2"), "{found}");
    }
}

#[test]
fn lists_and_maps_of_secrets_are_seen() {
    let folder = folder();
    let root = folder.path();
    rule(root, "*");
    write(
        &root.join("app.json"),
        "{\"PASSWORD\": [\"hunter2\"],\n\"tokens\": {\"a\": \"x\", \"ttl\": 60}}",
    );
    assert_eq!(
        found(root),
        [
            "app.json:1:15: /PASSWORD/0: is a secret by its name and stands here in plain text",
            "app.json:2:17: /tokens/a: is a secret by its name and stands here in plain text",
        ]
    );
}

#[test]
fn files_are_looked_at_by_name_and_by_rule() {
    let folder = folder();
    let root = folder.path();
    rule(root, "prod/**");
    for name in [
        "app.env.local",
        ".env.prod",
        "env",
        "app.json.tmpl",
        "values.yaml.j2",
        "app.json.bak",
    ] {
        let text = "# {{ template }}\nDB_PASSWORD: hunter2\n";
        write(&root.join("prod").join(name), text);
        // Where no rule is for it, it counts by its markers.
        write(&root.join("other").join(name), text);
        write(&root.join("marked").join(name), "A: ENC[a:b]\n");
    }
    write(&root.join("prod/app.conf"), "x\ny = ENC[a:b]\n");
    write(
        &root.join("prod/main.rs"),
        "let password = \"x\"; // ENC[..], ENCODING\n",
    );
    write(&root.join("other/app.conf"), "y = ENC[a:b]\n");
    let found = found(root);
    let names = |part: &str| {
        let lines = found.iter().filter(|line| line.contains(part));
        lines
            .map(|line| line.split(": ").next().unwrap_or_default().to_owned())
            .collect::<Vec<_>>()
    };
    assert_eq!(
        names("is a secret by its name"),
        [
            "prod/.env.prod:2:14",
            "prod/app.env.local:2:14",
            "prod/app.json.bak:2:12",
            "prod/app.json.tmpl:2:12",
            "prod/env:2:12",
            "prod/values.yaml.j2:2:12",
        ]
    );
    assert_eq!(
        names("is marked to be sealed"),
        [
            "marked/.env.prod:1:4",
            "marked/app.env.local:1:4",
            "marked/app.json.bak:1:4",
            "marked/app.json.tmpl:1:4",
            "marked/env:1:4",
            "marked/values.yaml.j2:1:4",
            "prod/app.conf:2:5",
        ]
    );
    assert_eq!(found.len(), 13, "{found:#?}");
}

#[test]
fn what_can_hold_no_sealed_value_is_no_fault_by_itself() {
    let folder = folder();
    let root = folder.path();
    rule(root, "**");
    for (name, text) in [
        ("array.json", "[1, {\"a\": \"b\"}]\n"),
        ("number.json", "1\n"),
        ("empty.json", ""),
        ("comments.json", "{\n// \"\n\"a\\\"\": \"/*\" /* b */,}\n"),
        ("list.yaml", "- a\n- b\n"),
        ("documents.yaml", "a: 1\n---\nb: 2\n"),
        ("empty.yaml", "# nothing yet\n"),
    ] {
        write(&root.join(name), text);
    }
    assert_eq!(found(root), [""; 0]);
    for (name, text) in [
        ("array.json", "[1, {\"a\": \"ENC[a:b]\"}]\n"),
        ("number.json", "{\"a\\\"//\": }\n"),
        ("comments.json", "{ // \"\n\"dbPassword\": \"hunter2\"\n}\n"),
        ("list.yaml", "- db_password: hunter2\n- b\n"),
        ("documents.yaml", "a: 1\n---\nurl: 'http://a:b@c'\n"),
        ("sealed.json", "[\"SEALED[a]\"]\n"),
    ] {
        write(&root.join(name), text);
    }
    assert_eq!(
        found(root),
        [
            "array.json:1:12: a value is marked to be sealed and is not",
            "comments.json:2:13: a value is a secret by its name and stands here in plain text",
            "documents.yaml:3:1: a password stands in this URL",
            "list.yaml:1:14: a value is a secret by its name and stands here in plain text",
            "number.json:1:11: a value is missing here",
            "sealed.json:1:1: the document is not a JSON object, which starts with `{`",
        ]
    );
}

#[test]
fn what_cannot_be_read_is_said_and_the_rest_is_checked() {
    let folder = folder();
    let root = folder.path();
    write(&root.join("b/app.json"), APP);
    write(&root.join("c/recipients.yaml"), "recipients: {\n");
    write(&root.join("c/app.json"), APP);
    // A path longer than the kernel takes one cannot be read, not even by root.
    let long = "a".repeat(200);
    let mut inner = rustix::fs::open(root, OFlags::DIRECTORY, Mode::empty()).expect("ours");
    for _ in 0..21 {
        rustix::fs::mkdirat(&inner, &*long, Mode::RWXU).expect("ours");
        inner = rustix::fs::openat(&inner, &*long, OFlags::DIRECTORY, Mode::empty()).expect("ours");
    }
    let findings = check(root, &CheckOptions::default()).expect("it reads");
    let files = |is_wanted: fn(&FindingKind) -> bool| -> Vec<_> {
        let wanted = findings.iter().filter(|finding| is_wanted(&finding.kind));
        wanted
            .map(|finding| finding.file.strip_prefix(root).expect("inside").to_owned())
            .collect()
    };
    assert_eq!(
        files(|kind| *kind == FindingKind::NotSealed),
        [Path::new("b/app.json"), Path::new("c/app.json")]
    );
    let unread = files(|kind| matches!(kind, FindingKind::NotChecked(_)));
    assert!(
        matches!(&unread[..], [deep, rules] if deep.starts_with(&long) && rules == Path::new("c/recipients.yaml")),
        "{unread:?}"
    );
    let shown = findings[0].to_string();
    assert!(
        shown.contains(": this cannot be read: File name too long"),
        "{shown}"
    );
}

/// Sealing would refuse such a file; whoever reviews a tree of somebody else's wants to know whether it keeps to its own rules.
#[test]
fn a_tree_that_others_can_write_is_checked_by_its_own_rules() {
    use std::os::unix::fs::PermissionsExt as _;

    let folder = folder();
    let root = folder.path();
    rule(root, "**");
    let sealed = seal(APP, Format::Json, &options(&["cyd"])).expect("it seals");
    write(&root.join("app.json"), &sealed.text);
    std::fs::set_permissions(root, std::fs::Permissions::from_mode(0o777)).expect("ours");
    RecipientsFile::find(root.join("app.json")).expect_err("everybody can write it");
    let findings = check(root, &CheckOptions::default()).expect("it reads");
    assert!(
        matches!(&findings[..], [one] if matches!(&one.kind, FindingKind::OtherRecipients(why) if why.contains("missing ben"))),
        "{findings:?}"
    );
}
