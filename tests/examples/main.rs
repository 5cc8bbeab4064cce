//! The examples `seal`, `mantle`, `hosts` and `tour` as people call them: as programs.

#[path = "../../clusterops-core/tests/support/mod.rs"]
#[expect(
    dead_code,
    clippy::unwrap_used,
    reason = "it is shared with the tests of the client"
)]
mod support;

mod hosts;
mod ids;
mod mantle;
mod options;
mod prompts;
mod shown;
mod tour;

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
        "the document was `/shop/stage`, and is `/shop/prod` now",
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

#[test]
fn the_check_tells_what_was_found_from_what_could_not_be_checked() {
    let folder = folder();
    std::fs::remove_file(folder.path().join("ben.pem")).expect("ours");
    let app = folder.path().join("app.json");
    std::fs::write(&app, r#"{"id": "/shop", "a": "b"}"#).expect("ours");
    assert_eq!(said("seal", folder.path(), "check", 0), "");
    std::fs::write(&app, r#"{"id": "/shop", "a": "ENC[a:b]"}"#).expect("ours");
    assert_eq!(said("seal", folder.path(), "check .", 1), "");
    let output = run("seal", folder.path(), "check none .", "");
    assert_eq!(output.status.code(), Some(2));
    assert!(text(&output.stdout).contains("app.json:1:22: /a: is marked"));
    let said = text(&output.stderr);
    assert!(
        said.starts_with("seal: none: this cannot be read\n"),
        "{said}"
    );
    std::fs::write(folder.path().join("recipients.yaml"), "recipients: {\n").expect("ours");
    let output = run("seal", folder.path(), "check", "");
    assert_eq!(output.status.code(), Some(2));
    assert!(text(&output.stdout).contains("app.json:1:22: /a: is marked"));
    assert!(text(&output.stderr).contains("/recipients.yaml:"));
}

#[test]
fn a_merge_driver_that_cannot_merge_is_no_conflict() {
    let folder = folder();
    let put =
        |name: &str, text: &[u8]| std::fs::write(folder.path().join(name), text).expect("ours");
    put("base", b"{}");
    put("ours", br#"{"id": "/shop"}"#);
    for (name, bytes) in [
        ("broken", &b"{\"a\": "[..]),
        ("latin1", b"{\"a\": \"\xe4\"}"),
    ] {
        put(name, bytes);
    }
    for (line, side, why) in [
        (
            "base ours broken",
            "their side",
            "because line 1, column 7: ",
        ),
        ("base ours latin1", "their side", "not UTF-8"),
        ("base ours none", "their side", "cannot be read"),
        ("none ours base", "the base", "cannot be read"),
        ("latin1 ours base", "the base", "not UTF-8"),
        ("base broken ours", "our side", "because line 1, column 7: "),
    ] {
        let line = format!("merge {line} prod/app.json");
        let said = said("seal", folder.path(), &line, 129);
        let start = format!("seal: prod/app.json: {side} cannot be merged\n");
        assert!(
            said.starts_with(&start) && said.contains(why),
            "{line}: {said}"
        );
    }
    assert_eq!(
        std::fs::read_to_string(folder.path().join("ours")).expect("ours"),
        r#"{"id": "/shop"}"#
    );
}

#[test]
fn a_merge_with_a_key_goes_by_what_the_values_say() {
    let folder = folder();
    let path = |name: &str| folder.path().join(name);
    std::fs::write(path("app.json"), r#"{"id": "/shop", "a": "ENC[a:b]"}"#).expect("ours");
    let printed = |line: &str, input: &str| printed("seal", folder.path(), line, input);
    let copy = |name: &str| std::fs::copy(path("app.json"), path(name)).expect("ours");
    printed("seal app.json", "");
    copy("base");
    printed("rotate app.json --key ben.pem", "");
    copy("ours");
    std::fs::copy(path("base"), path("app.json")).expect("ours");
    printed("set app.json /a", "theirs");
    copy("theirs");
    let merge = "merge base ours theirs app.json";
    let keep = std::fs::read(path("ours")).expect("ours");
    assert!(said("seal", folder.path(), merge, 1).contains("app.json: both sides changed /a"));
    std::fs::write(path("ours"), keep).expect("ours");
    printed(&format!("{merge} --key ben.pem"), "");
    let merged = printed("extract ours /a --format json --key ben.pem", "");
    assert_eq!(merged, "theirs\n");
}

/// A terminal that is closed sends SIGHUP to all that run in it.
#[test]
fn no_plaintext_is_left_by_a_terminal_that_is_closed() {
    let folder = folder();
    let memory = tempfile::tempdir_in("/dev/shm").expect("a tmpfs");
    let app = folder.path().join("app.json");
    std::fs::write(&app, r#"{"id": "/shop", "a": "ENC[a:one]"}"#).expect("ours");
    printed("seal", folder.path(), "seal app.json", "");
    for (editor, code) in [
        ("kill -HUP $PPID; kill -TERM $PPID; sed -i s/one/two/", 0),
        ("kill -HUP $PPID; sed -i s/two/three/ \"$1\"; false", 1),
    ] {
        let output = Command::new(example("seal"))
            .args(["edit", "app.json", "--key", "ben.pem"])
            .current_dir(&folder)
            .env("XDG_RUNTIME_DIR", memory.path())
            .env_remove("VISUAL")
            .env("EDITOR", editor)
            .stdin(Stdio::null())
            .output()
            .expect("it runs");
        assert_eq!(output.status.code(), Some(code), "{output:?}");
        assert_eq!(memory.path().read_dir().expect("ours").count(), 0);
    }
    let value = printed(
        "seal",
        folder.path(),
        "extract app.json /a --key ben.pem",
        "",
    );
    assert_eq!(value, "two\n");
}

#[test]
fn an_edit_of_plain_text_is_told_too() {
    let folder = folder();
    let app = folder.path().join("app.json");
    std::fs::write(&app, r#"{"id": "/shop", "a": "ENC[a:b]", "n": 1}"#).expect("ours");
    printed("seal", folder.path(), "seal app.json", "");
    let output = Command::new(example("seal"))
        .args(["edit", "app.json", "--key", "ben.pem"])
        .current_dir(&folder)
        .env_remove("VISUAL")
        .env("EDITOR", "sed -i 's/1/2/'")
        .stdin(Stdio::null())
        .output()
        .expect("it runs");
    assert_eq!(
        text(&output.stdout),
        "app.json: written; no value was sealed anew\n"
    );
}

#[test]
fn show_is_the_same_for_a_file_that_git_hands_over_and_ends_no_diff() {
    let folder = folder();
    let app = folder.path().join("app.json");
    std::fs::write(&app, r#"{"id": "/shop", "a": "ENC[a:one]"}"#).expect("ours");
    printed("seal", folder.path(), "seal app.json", "");
    let here = printed("seal", folder.path(), "show app.json", "");
    let away = tempfile::tempdir().expect("a folder");
    std::fs::copy(&app, away.path().join("app.json")).expect("ours");
    assert_eq!(printed("seal", away.path(), "show app.json", ""), here);
    let named = printed(
        "seal",
        folder.path(),
        "show app.json --recipients recipients.yaml",
        "",
    );
    assert!(
        named.contains("for ben") && !here.contains("for ben"),
        "{named}{here}"
    );

    for (name, bytes) in [
        ("bad.json", &b"{\"a\": \"\xff ENC[a:one]\"}"[..]),
        ("notes.txt", b"see \xe9"),
        ("empty.yaml", b""),
    ] {
        std::fs::write(folder.path().join(name), bytes).expect("ours");
        let shown = printed("seal", folder.path(), &format!("show {name}"), "");
        assert!(!shown.contains("one"), "{shown}");
        assert_eq!(shown.is_empty(), bytes.is_empty(), "{name}");
    }
}

#[test]
fn an_empty_value_is_meant_or_refused() {
    let folder = folder();
    std::fs::write(folder.path().join("app.json"), r#"{"id": "/shop"}"#).expect("ours");
    let output = run("seal", folder.path(), "set app.json /a", "");
    let said = text(&output.stderr);
    assert!(
        said.starts_with("seal: the value is empty; nothing was written"),
        "{said}"
    );
    printed("seal", folder.path(), "set app.json /a --empty", "");
    let value = printed(
        "seal",
        folder.path(),
        "extract app.json /a --key ben.pem",
        "",
    );
    assert_eq!(value, "\n");
}

#[test]
fn what_is_typed_and_dropped_is_said() {
    let folder = folder();
    std::fs::write(
        folder.path().join("app.json"),
        r#"{"id": "/shop", "a": "b"}"#,
    )
    .expect("ours");
    let edit = |input: &str| {
        let mut child = Command::new(example("seal"))
            .args(["edit", "app.json", "--key", "ben.pem"])
            .current_dir(&folder)
            .env_remove("VISUAL")
            .env("EDITOR", "echo x >>")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("it starts");
        let mut answers = child.stdin.take().expect("a pipe");
        answers.write_all(input.as_bytes()).expect("it reads");
        drop(answers);
        child.wait_with_output().expect("it ends")
    };
    for (input, questions) in [("", 1), ("n\n", 1), ("y\nNo\n", 2)] {
        let output = edit(input);
        let said = text(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{said}");
        assert_eq!(
            said.matches(": something stands behind the JSON object\n")
                .count(),
            questions,
            "{said}"
        );
        assert_eq!(said.matches("[Y/n]").count(), questions, "{said}");
        assert!(
            said.ends_with("seal: app.json: what you typed is dropped; the file was not written\n"),
            "{said}"
        );
    }
}

#[test]
fn nobody_is_asked_whose_terminal_is_closed() {
    let folder = folder();
    let file = folder.path().join("app.json");
    std::fs::write(&file, r#"{"id": "/shop", "a": "ENC[a:b]", "b": 1}"#).expect("ours");
    printed("seal", folder.path(), "seal app.json", "");
    let sealed = std::fs::read_to_string(&file).expect("ours");
    let edit = |editor: &str| {
        let memory = tempfile::tempdir_in("/dev/shm").expect("a tmpfs");
        let mut child = Command::new("timeout")
            .args(["--signal=KILL", "30"])
            .arg(example("seal"))
            .args(["edit", "app.json", "--key", "ben.pem"])
            .current_dir(&folder)
            .env_remove("VISUAL")
            .env("EDITOR", editor)
            .env("XDG_RUNTIME_DIR", memory.path())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("it starts");
        // Nobody answers, and the pipe stays open.
        let open = child.stdin.take();
        let output = child.wait_with_output().expect("it ends");
        drop(open);
        let left = std::fs::read_dir(memory.path()).expect("ours").count();
        assert_eq!(left, 0, "plaintext is left");
        output
    };
    for signal in ["HUP", "TERM"] {
        let output = edit(&format!("kill -{signal} $PPID; echo x >>"));
        let said = text(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{said}");
        assert!(
            said.contains("is dropped") && said.contains("the file was not written"),
            "{said}"
        );
        assert_eq!(std::fs::read_to_string(&file).expect("ours"), sealed);
    }
}

#[test]
fn nobody_needs_to_read_to_the_end() {
    let folder = folder();
    let long = format!(r#"{{"id": "/shop", "a": "{}"}}"#, "x".repeat(1 << 20));
    std::fs::write(folder.path().join("app.json"), long).expect("ours");
    let secrets: String = (0..9999).map(|n| format!("  PASSWORD{n}: x\n")).collect();
    std::fs::write(folder.path().join("app.yaml"), format!("env:\n{secrets}")).expect("ours");
    // The status of what was found is kept.
    for (line, code) in [
        ("show app.json", 0),
        ("open app.json --key ben.pem", 0),
        ("check", 1),
        ("help", 0),
    ] {
        let (reader, writer) = std::io::pipe().expect("a pipe");
        drop(reader);
        let output = Command::new(example("seal"))
            .args(line.split(' '))
            .current_dir(&folder)
            .stdout(writer)
            .output()
            .expect("it runs");
        assert_eq!(text(&output.stderr), "", "{line}");
        assert_eq!(output.status.code(), Some(code), "{line}");
    }
}
