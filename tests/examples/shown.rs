//! What `seal show` makes of files, as git calls it; and what a terminal gets to see of names that files hold.

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use super::{example, folder, printed, run, text};

fn git(folder: &Path, words: &[&str]) -> Option<Output> {
    Command::new("git")
        .args(["-c", "user.name=Ben", "-c", "user.email=ben@example.org"])
        .args(["-c", "commit.gpgsign=false", "--no-pager"])
        .args(words)
        .current_dir(folder)
        .env("GIT_CONFIG_NOSYSTEM", "1")
        .env("GIT_CONFIG_GLOBAL", "/dev/null")
        .output()
        .ok()
}

#[test]
fn a_diff_shows_what_has_changed_and_goes_on_behind_what_cannot_be_read() {
    let folder = folder();
    let put = |name: &str, text: &[u8]| fs::write(folder.path().join(name), text).expect("ours");
    let done = |words: &[&str]| {
        let output = git(folder.path(), words).expect("git runs");
        assert!(
            output.status.success(),
            "git {words:?}: {}",
            text(&output.stderr)
        );
        String::from_utf8_lossy(&output.stdout).into_owned()
    };
    if git(folder.path(), &["--version"]).is_none() {
        eprintln!("skipped: a_diff_shows_what_has_changed..., as there is no git");
        return;
    }
    put(
        "app.json",
        b"{\n  \"id\": \"/shop\",\n  \"a\": \"ENC[a:b]\",\n  \"n\": 1\n}\n",
    );
    printed("seal", folder.path(), "seal app.json", "");
    put(".gitattributes", b"* diff=sealed\n");
    put("latin.json", b"{\"a\": \"\xe4 1\"}\n");
    put("notes.txt", b"one\n");
    done(&["init", "--quiet"]);
    let seal = example("seal");
    done(&["add", "."]);
    done(&["commit", "--quiet", "-m", "first"]);
    let sealed = fs::read_to_string(folder.path().join("app.json")).expect("ours");
    put(
        "app.json",
        sealed.replace("\"n\": 1", "\"n\": 2").as_bytes(),
    );
    put("latin.json", b"{\"a\": \"\xe4 2\"}\n");
    put("notes.txt", b"two\n");
    for (names, whom) in [
        ("", "QmniW5_QYFFJaeq24l4y2V7hld3JmZ75r1ORcPKRE6w"),
        (" --recipients recipients.yaml", "ben"),
    ] {
        let driver = format!("'{}' show{names}", seal.display());
        done(&["config", "diff.sealed.textconv", &driver]);
        let diff = done(&["diff"]);
        let changed: Vec<&str> = diff
            .lines()
            .filter(|line| line.starts_with(['-', '+']))
            .filter(|line| !line.starts_with("---") && !line.starts_with("+++"))
            .collect();
        assert_eq!(
            changed,
            [
                "-  \"n\": 1",
                "+  \"n\": 2",
                "-{\"a\": \"\u{fffd} 1\"}",
                "+{\"a\": \"\u{fffd} 2\"}",
                "-one",
                "+two"
            ],
            "{diff}"
        );
        let shown = printed("seal", folder.path(), &format!("show app.json{names}"), "");
        assert!(shown.ends_with(&format!(", for {whom}\n")), "{shown}");
    }
}

#[test]
fn nothing_that_a_file_holds_acts_on_the_terminal() {
    let folder = folder();
    let app = r#"{"id": "/shop", "\u001b[31mred": "ENC[a:b]"}"#;
    for (program, command) in [("seal", "seal"), ("mantle", "encode")] {
        fs::write(folder.path().join("a\u{1b}[2J.json"), app).expect("ours");
        let line = format!("{command} a\u{1b}[2J.json");
        let sealed = run(program, folder.path(), &line, "");
        assert_eq!(sealed.status.code(), Some(0));
        let again = run(program, folder.path(), &line, "");
        let missing = run(
            program,
            folder.path(),
            &format!("{command} \u{1b}[2J.json"),
            "",
        );
        for shown in [&sealed, &again, &missing] {
            let all = text(&shown.stdout) + &text(&shown.stderr);
            assert!(all.contains(r"\u{1b}[") && !all.contains('\u{1b}'), "{all}");
        }
    }
}
