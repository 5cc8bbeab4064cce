//! Whom a file is sealed for: which `recipients.yaml`, which rule of it, and which names.

mod support;

use std::fs::Permissions;
use std::os::unix::fs::{PermissionsExt as _, chown, symlink};
use std::path::Path;

use clusterops_secrets::{ErrorKind, RecipientsFile};
use support::{folder, private_key, write};

/// Ana and Ben, and what else the file says.
fn write_rules(path: &Path, rest: &str) {
    let [ana, ben] = ["ana", "ben"].map(|name| private_key(name).public_key().to_jwk());
    write(
        path,
        &format!("recipients:\n  ana: {ana}\n  ben: {ben}\n{rest}"),
    );
}

/// For whom a file is sealed, by the rules that are found.
fn names(file: &Path) -> Vec<String> {
    let recipients = RecipientsFile::find(file).and_then(|found| found.for_path(file));
    let recipients = recipients.expect("there is a rule");
    recipients.iter().map(|one| one.name.clone()).collect()
}

#[test]
fn the_rules_are_for_the_file_that_a_link_leads_to() {
    let folder = folder();
    let path = |name: &str| folder.path().join(name);
    let rules = "rules:\n  - {path: \"dev/**\", recipients: [ana, ben]}\n  - {path: \"prod/**\", recipients: [ana]}\n";
    write_rules(&path("recipients.yaml"), rules);
    write(&path("dev/app.json"), "{}");
    write(&path("prod/app.json"), "{}");
    symlink("../prod/app.json", path("dev/link.json")).expect("ours");
    symlink("link.json", path("dev/again.json")).expect("ours");
    symlink("../prod/new.json", path("dev/dangling.json")).expect("ours");
    symlink("round.json", path("dev/round.json")).expect("ours");
    symlink("dev", path("also")).expect("ours");
    for name in ["dev/link.json", "dev/again.json", "dev/dangling.json"] {
        assert_eq!(names(&path(name)), ["ana"], "{name}");
    }
    for name in ["dev/app.json", "dev/new.json", "also/new.json"] {
        assert_eq!(names(&path(name)), ["ana", "ben"], "{name}");
    }
    let error = RecipientsFile::find(path("dev/round.json")).expect_err("it leads nowhere");
    assert!(error.to_string().contains("without end"), "{error}");

    // The file of recipients is that of the place too.
    let other = support::folder();
    write_rules(&other.path().join("recipients.yaml"), "");
    symlink(path("prod/app.json"), other.path().join("app.json")).expect("ours");
    let found = RecipientsFile::find(other.path().join("app.json")).expect("it is found");
    let real = path("recipients.yaml").canonicalize().expect("it is there");
    assert_eq!(found.path(), real);
    assert_eq!(names(&other.path().join("app.json")), ["ana"]);
}

#[test]
fn what_others_could_have_put_there_is_named_and_not_used() {
    let folder = folder();
    let path = |name: &str| folder.path().join(name);
    let file = path("apps/web/app.json");
    write(&file, "{}");
    let recipients = path("apps/recipients.yaml");
    write_rules(&recipients, "");
    let set = |path: &Path, mode| {
        std::fs::set_permissions(path, Permissions::from_mode(mode)).expect("ours");
    };
    let refused = |why: &str| {
        let error = RecipientsFile::find(&file).expect_err(why);
        assert_eq!(error.kind(), ErrorKind::Recipients, "{error}");
        let shown = error.to_string();
        assert!(shown.contains("/apps/recipients.yaml: "), "{shown}");
        assert!(
            shown.contains(why) && shown.contains("--recipients"),
            "{shown}"
        );
        // Whoever names it means it.
        RecipientsFile::load(&recipients).expect("it is asked for");
    };
    assert_eq!(names(&file), ["ana", "ben"]);
    set(&path("apps"), 0o777);
    refused("its folder can be written by everybody");
    set(&path("apps"), 0o1777);
    assert_eq!(names(&file), ["ana", "ben"]);
    set(&recipients, 0o666);
    refused("it can be written by everybody");
    set(&recipients, 0o644);

    // A link counts as what it leads to, too.
    set(&path("apps"), 0o755);
    write_rules(&path("open/rules.yaml"), "");
    set(&path("open"), 0o777);
    std::fs::remove_file(&recipients).expect("ours");
    symlink("../open/rules.yaml", &recipients).expect("ours");
    let error = RecipientsFile::find(&file).expect_err("anybody can write it");
    assert!(error.to_string().contains("open/rules.yaml"), "{error}");
    set(&path("open"), 0o755);
    assert_eq!(names(&file), ["ana", "ben"]);

    // Nor is a link that leads nowhere passed over for the next file above.
    write_rules(&path("recipients.yaml"), "");
    std::fs::remove_file(path("open/rules.yaml")).expect("ours");
    RecipientsFile::find(&file).expect_err("it cannot be read");
    std::fs::remove_file(&recipients).expect("ours");
    assert_eq!(names(&file), ["ana", "ben"]);

    // Only root can give files away, and takes no one else's, not even in their own folder.
    write_rules(&recipients, "");
    if chown(&recipients, Some(4321), None).is_ok() {
        refused("it belongs to user 4321");
        chown(path("apps/web"), Some(4321), None).expect("we are root");
        refused("it belongs to user 4321");
        chown(&recipients, Some(0), None).expect("we are root");
        assert_eq!(names(&file), ["ana", "ben"]);
        chown(path("apps"), Some(4321), None).expect("we are root");
        refused("its folder belongs to user 4321");
    }
}

#[test]
fn a_name_forges_no_list_of_recipients() {
    let folder = folder();
    let path = folder.path().join("recipients.yaml");
    let ben = private_key("ben").public_key().to_jwk();
    for (text, place, why) in [
        (
            format!("recipients:\n  \"ana (Tx1bH-)\\e[8m\": {ben}\n"),
            (2, 3),
            r"`ana (Tx1bH-)\u{1b}[8m` is no name",
        ),
        (
            format!("recipients:\n  ben: {ben}\n  \"x\\n  for ana\": {ben}\n"),
            (3, 3),
            r"`x\n  for ana` is no name",
        ),
        (
            format!("recipients: {{ben: {ben}}}\ngroups: {{\"o\\e[8m\": [ben]}}\n"),
            (2, 10),
            r"`o\u{1b}[8m` is no name",
        ),
        (
            format!("recipients: {{ben: {ben}}}\ngroups: {{ops: [\"x\\e[8m\"]}}\n"),
            (2, 16),
            r"`x\u{1b}[8m` is neither",
        ),
        // Nor is there a recipient `0`.
        (
            "recipients: [ben.pub]\n".to_owned(),
            (1, 14),
            "as in `ana: ana.pub.pem`; this is a list",
        ),
        (
            "recipients:\n  - name: ben\n    key: ben.pub\n".to_owned(),
            (2, 11),
            "as in `ana: ana.pub.pem`; this is a list",
        ),
        ("recipients: [[]]\n".to_owned(), (1, 14), "this is a list"),
        (
            format!("recipients: {{ben: {ben}}}\ngroups: [[ben]]\n"),
            (2, 11),
            "as in `ops: [ana, ben]`; this is a list",
        ),
    ] {
        write(&path, &text);
        let error = RecipientsFile::load(&path).expect_err(&text);
        let shown = error.to_string();
        assert!(shown.contains(why), "{shown}");
        assert!(!shown.contains(char::is_control), "{shown:?}");
        assert_eq!(error.place(), Some(place), "{shown}");
    }
    write(
        &path,
        &format!(
            "recipients: {{ben@example.org: {ben}, Ben B: {ben}}}\ngroups: {{ops 1: [Ben B]}}\n"
        ),
    );
    let file = RecipientsFile::load(&path).expect("these are names");
    let names: Vec<&str> = file.recipients().map(|(name, _)| name).collect();
    assert_eq!(names, ["Ben B", "ben@example.org"]);
}

#[test]
fn a_key_file_holds_pem_or_a_jwk() {
    let folder = folder();
    let path = folder.path().join("recipients.yaml");
    let [ana, ben] = ["ana", "ben"].map(|name| private_key(name).public_key().clone());
    write(&path, "recipients: {ana: ana.pem, ben: ben.json}\n");
    write(&folder.path().join("ana.pem"), &ana.to_pem());
    let key = folder.path().join("ben.json");
    write(&key, &format!("\n {}\n", ben.to_jwk()));
    let file = RecipientsFile::load(&path).expect("both are keys");
    let keys: Vec<_> = file.recipients().map(|(_, key)| key.thumbprint()).collect();
    assert_eq!(keys, [ana.thumbprint(), ben.thumbprint()]);
    write(&key, "{\"kty\": \"RSA\"}");
    let error = RecipientsFile::load(&path).expect_err("half a key");
    assert_eq!(
        (error.kind(), error.file()),
        (ErrorKind::Key, Some(&*key)),
        "{error}"
    );
    assert!(error.to_string().contains("no `n`"), "{error}");
}
