//! The examples `seal` and `mantle` as people call them: as programs.

#[path = "../../clusterops-core/tests/support/mod.rs"]
#[expect(
    dead_code,
    clippy::unwrap_used,
    reason = "it is shared with the tests of the client"
)]
mod support;

mod ids;
mod mantle;
mod options;
mod prompts;

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use clusterops::secrets::{PrivateKey, RecipientsFile};
use tempfile::TempDir;

/// An example, which is built beside the tests.
fn example(name: &str) -> PathBuf {
    let own = std::env::current_exe().expect("ourselves");
    let built = own
        .ancestors()
        .nth(2)
        .expect("the folder of the profile")
        .join("examples")
        .join(name);
    assert!(
        built.exists(),
        "{} is not there; `cargo build --examples` builds it",
        built.display()
    );
    built
}

/// A folder with Ben's keys and a `recipients.yaml` with him in it.
fn folder() -> TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    let path = |name: &str| folder.path().join(name);
    let pem = include_str!("../../clusterops-secrets/src/keys/data/ben.pem");
    let key = PrivateKey::from_pem(pem, None).expect("a committed key");
    key.danger_write_new_unencrypted(path("ben.pem"))
        .expect("ours");
    std::fs::write(path("ben.pub"), key.public_key().to_pem()).expect("ours");
    std::fs::write(path("recipients.yaml"), "recipients: {ben: ben.pub}\n").expect("ours");
    RecipientsFile::load(path("recipients.yaml")).expect("it reads");
    folder
}

fn run(program: &str, folder: &Path, line: &str, input: &str) -> Output {
    let mut child = Command::new(example(program))
        .args(line.split(' ').filter(|word| !word.is_empty()))
        .current_dir(folder)
        // No file of the person who tests is looked at.
        .env("HOME", folder)
        .env("USER", "ops")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("it starts");
    // Who reads nothing closes it.
    let _ = child
        .stdin
        .take()
        .expect("a pipe")
        .write_all(input.as_bytes());
    child.wait_with_output().expect("it ends")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).expect("UTF-8")
}

/// What a program prints that ends well.
fn printed(program: &str, folder: &Path, line: &str, input: &str) -> String {
    let output = run(program, folder, line, input);
    assert!(
        output.status.success(),
        "{program} {line}: {}",
        text(&output.stderr)
    );
    text(&output.stdout)
}

/// What a program says that ends with this code.
fn said(program: &str, folder: &Path, line: &str, code: i32) -> String {
    let output = run(program, folder, line, "");
    assert_eq!(
        output.status.code(),
        Some(code),
        "{program} {line}: {}",
        text(&output.stdout)
    );
    text(&output.stderr)
}

#[test]
fn the_walk_through_ends_well() {
    let folder = tempfile::tempdir().expect("a folder");
    let shown = printed("seal", folder.path(), "", "");
    for expected in [
        "/env/DB_PASSWORD: is marked to be sealed and is not",
        "for ana, ben",
        "s3cr3t with: colons, \"quotes\" and $dollars",
        "the password has 7 characters",
        "from ana",
        "from ben",
        "cannot any more; change what they could read: /env/API_TOKEN /env/DB_PASSWORD",
        "has signed sha256:",
        "That was all",
    ] {
        assert!(shown.contains(expected), "no {expected} in:\n{shown}");
    }
}

#[test]
fn two_branches_with_the_same_value_are_a_conflict_for_git() {
    let folder = folder();
    let git = |line: &str| {
        Command::new("git")
            .args([
                "-c",
                "user.name=Ben",
                "-c",
                "user.email=ben@example.org",
                "-c",
                "commit.gpgsign=false",
            ])
            .args(line.split(' '))
            .current_dir(&folder)
            .env("GIT_CONFIG_NOSYSTEM", "1")
            .env("GIT_CONFIG_GLOBAL", "/dev/null")
            .output()
    };
    if git("--version").is_err() {
        eprintln!(
            "skipped: two_branches_with_the_same_value_are_a_conflict_for_git, as there is no git"
        );
        return;
    }
    let done = |line: &str| {
        let output = git(line).expect("git runs");
        assert!(
            output.status.success(),
            "git {line}: {}",
            text(&output.stderr)
        );
    };
    std::fs::write(
        folder.path().join("app.json"),
        "{\n  \"id\": \"/shop\",\n  \"a\": \"ENC[a:b]\"\n}\n",
    )
    .expect("ours");
    std::fs::write(
        folder.path().join(".gitattributes"),
        "*.json merge=sealed\n",
    )
    .expect("ours");
    let set = |value: &str| drop(printed("seal", folder.path(), "set app.json /a", value));
    set("first");
    done("init --quiet --initial-branch main");
    let driver = format!(
        "'{}' merge --format json %O %A %B",
        example("seal").display()
    );
    let configured = Command::new("git")
        .args(["config", "merge.sealed.driver", &driver])
        .current_dir(&folder)
        .status();
    assert!(configured.expect("git runs").success());
    done("add .");
    done("commit --quiet -m first");
    done("checkout --quiet -b other");
    set("theirs");
    done("commit --quiet -am theirs");
    done("checkout --quiet main");
    set("ours");
    done("commit --quiet -am ours");
    let merged = git("merge --no-edit other").expect("git runs");
    assert!(!merged.status.success());
    assert!(
        text(&merged.stderr).contains("both sides changed /a"),
        "{}",
        text(&merged.stderr)
    );
    let conflicted = std::fs::read_to_string(folder.path().join("app.json")).expect("ours");
    assert!(conflicted.contains("<<<<<<< ours\n"), "{conflicted}");
    done("checkout --theirs app.json");
    assert_eq!(
        printed(
            "seal",
            folder.path(),
            "extract app.json /a --key ben.pem",
            ""
        ),
        "theirs\n"
    );
}
