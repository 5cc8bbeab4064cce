//! Files that cannot be written, and recipients files that say less than they seem to.

mod support;

use std::path::Path;
use std::process::Command;

use clusterops_secrets::{ErrorKind, RecipientsFile, SealedFile};
use support::private_key;

fn write(path: &Path, text: &str) {
    std::fs::write(path, text).expect("ours");
}

fn is_done(command: &mut Command) -> bool {
    command.output().is_ok_and(|output| output.status.success())
}

#[test]
fn a_folder_that_cannot_be_written_keeps_the_old_file() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("app.json");
    // To root a mode forbids nothing, a file system that is mounted read-only does.
    let is_root = rustix::process::geteuid().is_root();
    if is_root {
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", "size=64k", "tmpfs"]);
        if !is_done(mount.arg(folder.path())) {
            eprintln!(
                "skipped: a_folder_that_cannot_be_written_keeps_the_old_file cannot mount a tmpfs here"
            );
            return;
        }
    }
    write(&path, "{}");
    let file = SealedFile::read(&path).expect("it reads");
    let closed = match is_root {
        true => is_done(
            Command::new("mount")
                .args(["-o", "remount,ro"])
                .arg(folder.path()),
        ),
        false => is_done(Command::new("chmod").arg("0555").arg(folder.path())),
    };
    let result = file.replace("{\"a\": 1}");
    let text = std::fs::read_to_string(&path);
    let names = std::fs::read_dir(folder.path()).expect("ours").count();
    let opened = match is_root {
        true => is_done(Command::new("umount").arg(folder.path())),
        false => is_done(Command::new("chmod").arg("0755").arg(folder.path())),
    };
    assert!(closed && opened);
    let error = result.expect_err("read-only");
    assert_eq!(
        (error.kind(), error.file()),
        (ErrorKind::Local, Some(&*path))
    );
    assert!(error.to_string().contains("it is as it was"), "{error}");
    assert_eq!((text.expect("it is there").as_str(), names), ("{}", 1));
}

#[test]
fn a_link_that_leads_elsewhere_by_now_is_a_change() {
    let folder = tempfile::tempdir().expect("a folder");
    let [one, two, link] = ["1.json", "2.json", "app.json"].map(|name| folder.path().join(name));
    write(&one, "{}");
    write(&two, "{}");
    std::os::unix::fs::symlink("1.json", &link).expect("ours");
    let file = SealedFile::read(&link).expect("it reads");
    std::fs::remove_file(&link).expect("ours");
    std::os::unix::fs::symlink("2.json", &link).expect("ours");
    let error = file.replace("{\"a\": 1}").expect_err("it leads elsewhere");
    assert_eq!(error.kind(), ErrorKind::Changed);
    for path in [one, two] {
        assert_eq!(std::fs::read_to_string(path).expect("ours"), "{}");
    }
}

#[test]
fn two_writers_at_once_lose_nothing() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("app.json");
    write(&path, "");
    let writer = || {
        let mut done = 0;
        while done < 40 {
            let file = SealedFile::read(&path).expect("it reads");
            match file.replace(&format!("{}x", file.text())) {
                Ok(_) => done += 1,
                Err(error) => assert_eq!(error.kind(), ErrorKind::Changed, "{error}"),
            }
        }
    };
    std::thread::scope(|scope| {
        scope.spawn(writer);
        scope.spawn(writer);
    });
    assert_eq!(
        std::fs::read_to_string(&path).expect("ours"),
        "x".repeat(80)
    );
    assert_eq!(std::fs::read_dir(folder.path()).expect("ours").count(), 1);
}

#[test]
fn nobody_is_added_or_left_out_in_silence() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("recipients.yaml");
    let [ana, ben] = ["ana", "ben"].map(|name| private_key(name).public_key().to_jwk());
    let load = |rest: &str| {
        write(
            &path,
            &format!("recipients:\n  ana: {ana}\n  ben: {ben}\n{rest}"),
        );
        RecipientsFile::load(&path)
    };
    // No rule is not the same as no list of rules.
    for rest in ["rules: []\n", "rules: {}\n"] {
        let recipients = load(rest).and_then(|file| file.for_path(folder.path().join("app.json")));
        let error = recipients.expect_err(rest);
        assert!(
            matches!(error.kind(), ErrorKind::Recipients | ErrorKind::Syntax),
            "{rest}: {error}"
        );
    }
    for (rest, why) in [
        ("groups:\n  ops: &ops [ana]\n  all: *ops\n", "alias"),
        ("groups:\n  ops: [&a ana]\n  all: [*a, ben]\n", "alias"),
        (
            "groups: {ops: []}\nrules: [{path: a, recipients: [ops]}]\n",
            "ops",
        ),
        ("groups: {ops: {x: ana}}\n", "list"),
        ("rules: [{path: a, recipients: {x: ana}}]\n", "list"),
        ("rules: {x: {path: a, recipients: [ana]}}\n", "list"),
        ("rules: [{}, {path: a, recipients: [ana]}]\n", "path"),
        ("rule: []\n", "/rule"),
        ("people: {}\n", "/people"),
    ] {
        let error = load(rest).expect_err(rest);
        assert_eq!(error.kind(), ErrorKind::Syntax, "{rest}: {error}");
        assert!(error.to_string().contains(why), "{rest}: {error}");
        assert!(error.place().is_some(), "{rest}: {error}");
    }
    assert!(load("groups: {ops: [ana]}\n").is_ok());
    // Groups that share members are looked into once.
    let mut shared = String::from("groups:\n  g60: [ana]\n");
    for number in 0..60 {
        let next = number + 1;
        shared.push_str(&format!("  g{number}: [g{next}, g{next}, ben]\n"));
    }
    let file = load(&format!(
        "{shared}rules: [{{path: '**', recipients: [g0]}}]\n"
    ));
    let recipients = file.and_then(|file| file.for_path(folder.path().join("app.json")));
    assert_eq!(recipients.expect("both").iter().count(), 2);
}
