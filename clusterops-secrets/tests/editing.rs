//! Opened values in an editor and in a command's environment, and what a program asks of the kernel.

mod support;

use std::os::unix::process::ExitStatusExt as _;
use std::path::Path;
use std::process::Command;

use clusterops_secrets::{
    Edited, Editor, ErrorKind, Format, SealedFile, Value, edit, exec, exec_and_wait, open, seal,
    set, spawn,
};
use support::{APP, folder, id, names, opened, options, private_key, sealed_file};

#[tokio::test]
async fn no_variable_is_missing_without_a_word() {
    let ben = private_key("ben");
    for (format, source, path, why) in [
        (
            Format::Json,
            r#"{"envv": {"B": "ENC[a:x]"}}"#,
            None,
            "no object `env`",
        ),
        (
            Format::Json,
            r#"{"env": "ENC[a:x]"}"#,
            None,
            "no object `env`",
        ),
        (Format::Yaml, "a: ENC[a:x]\n", None, "no object `env`"),
        (
            Format::Json,
            r#"{"env": {"B": ["ENC[a:x]"]}}"#,
            Some("/env/B/0"),
            "in a list or an object",
        ),
        (
            Format::Yaml,
            "env:\n  B:\n    c: ENC[a:x]\n",
            Some("/env/B/c"),
            "in a list or an object",
        ),
    ] {
        let options = options(&["ben"]).document(id("/shop"));
        let sealed = seal(source, format, &options).expect(source).text;
        let opened = open(&sealed, format, &id("/shop"), &[&ben])
            .await
            .expect(source);
        let error = opened.environment().expect_err(source);
        assert_eq!(
            (error.kind(), error.path()),
            (ErrorKind::Input, path),
            "{error}"
        );
        assert!(error.to_string().contains(why), "{error}");
    }
}

#[tokio::test]
async fn opened_values_are_in_the_environment_and_nowhere_else() {
    let ben = private_key("ben");
    let sealed = seal(APP, Format::Json, &options(&["ben"]))
        .expect("it seals")
        .text;
    let opened = open(&sealed, Format::Json, &id("/shop"), &[&ben])
        .await
        .expect("it opens");
    let folder = folder();
    let out = folder.path().join("out");
    let mut command = Command::new("sh");
    command
        .args(["-c", "printf '%s %s\\n' \"$DB\" \"$PORT\" >\"$OUT\"; tr '\\0' ' ' </proc/$$/cmdline >>\"$OUT\"; exit 7"])
        .env("OUT", &out);
    let status = exec_and_wait(&opened, command).expect("it runs");
    assert_eq!(status.code(), Some(7));
    let text = std::fs::read_to_string(&out).expect("it wrote");
    let (environment, arguments) = text.split_once('\n').expect("two lines");
    assert_eq!(environment, "hunter2 8080");
    assert!(
        arguments.contains("printf") && !arguments.contains("hunter2"),
        "{arguments}"
    );
    let mut child = Command::new("sh");
    child.args(["-c", "test \"$DB\" = hunter2 && exec sleep 1000"]);
    let mut child = spawn(&opened, child).expect("it starts");
    assert_eq!(child.try_wait().expect("it is ours"), None);
    child.kill().expect("it can be ended");
    assert_eq!(child.wait().expect("it has ended").signal(), Some(9));
    let error = spawn(&opened, Command::new("/does/not/exist")).expect_err("no program");
    assert_eq!(error.kind(), ErrorKind::Local);
    let error = exec_and_wait(&opened, Command::new("/does/not/exist")).expect_err("no program");
    assert_eq!(error.kind(), ErrorKind::Local);
    assert!(!format!("{opened:?} {error:?}").contains("hunter2"));
    let nul = r#"{"id": "/shop", "env": {"A": "ENC[a:b\u0000c]"}}"#;
    let sealed = seal(nul, Format::Json, &options(&["ben"]))
        .expect("it seals")
        .text;
    let opened = open(&sealed, Format::Json, &id("/shop"), &[&ben])
        .await
        .expect("it opens");
    let error = exec_and_wait(&opened, Command::new("true")).expect_err("a NUL");
    assert_eq!((error.kind(), error.path()), (ErrorKind::Input, Some("/A")));
}

#[tokio::test]
async fn variables_behind_aliases_are_not_left_out_without_a_word() {
    let ben = private_key("ben");
    for (rest, place) in [
        ("env:\n  <<: *base\n  A: x\n", Some((4, 3))),
        ("env:\n  A: x\n  <<: [*base]\n", Some((5, 3))),
        ("env: {A: x, <<: {B: y}}\n", Some((3, 13))),
        ("env: *base\n", Some((3, 6))),
        ("env:\n  A: *value\n", Some((4, 6))),
        ("<<: *base\n", Some((3, 1))),
        // What is no variable is nobody's business here.
        ("env: {A: x}\nlabels: {<<: *base, a: *value}\n", None),
    ] {
        let source = format!("base: &base {{env: {{C: &value z}}}}\nsecret: ENC[a:b]\n{rest}");
        let options = options(&["ben"]).document(id("/shop"));
        let sealed = seal(&source, Format::Yaml, &options)
            .expect("it seals")
            .text;
        let opened = open(&sealed, Format::Yaml, &id("/shop"), &[&ben])
            .await
            .expect("it opens");
        let status = exec_and_wait(&opened, Command::new("true"));
        match place {
            None => assert!(status.expect("it runs").success(), "{rest}"),
            Some(place) => {
                let error = status.expect_err(rest);
                assert_eq!(
                    (error.kind(), error.place()),
                    (ErrorKind::Input, Some(place)),
                    "{rest}: {error}"
                );
                assert!(error.to_string().contains("is not followed"), "{error}");
            }
        }
    }
}

/// The child of the next test.
#[tokio::test]
#[ignore = "run by a_process_that_becomes_a_command_gives_it_the_values"]
async fn becomes_a_command() {
    let sealed = std::env::var("SEALED_TEXT").expect("the parent gives it");
    let ben = private_key("ben");
    let opened = open(&sealed, Format::Json, &id("/shop"), &[&ben])
        .await
        .expect("it opens");
    let mut command = Command::new("sh");
    command.args([
        "-c",
        "printf 'now:%s,%s,' \"$DB\" \"$PORT\"; tr '\\0' ' ' </proc/$$/cmdline",
    ]);
    let never = exec(&opened, command);
    panic!("it goes on: {never:?}");
}

#[test]
fn a_process_that_becomes_a_command_gives_it_the_values() {
    let sealed = seal(APP, Format::Json, &options(&["ben"])).expect("it seals");
    let output = Command::new(std::env::current_exe().expect("ourselves"))
        .args(["--exact", "becomes_a_command", "--ignored", "--nocapture"])
        .env("SEALED_TEXT", &*sealed.text)
        .output()
        .expect("it runs");
    let text = String::from_utf8(output.stdout).expect("text");
    let (_, text) = text.split_once("now:").expect("the command has run");
    let (values, arguments) = text.split_at("hunter2,8080,".len());
    assert_eq!(values, "hunter2,8080,");
    assert!(arguments.starts_with("sh -c printf"), "{arguments}");
    assert!(!arguments.contains("hunter2"), "{arguments}");
}

#[tokio::test]
async fn a_value_that_has_lost_its_marker_is_not_written() {
    let ben = private_key("ben");
    let (_folder, file) = sealed_file();
    let before = file.text().to_owned();
    let shm = tempfile::tempdir_in("/dev/shm").expect("a tmpfs");
    let run = async |script: &str| {
        let editor = Editor::new(format!("sed -i '{script}'")).folder(shm.path());
        let file = SealedFile::read(file.path()).expect("it reads");
        let mut asked = Vec::new();
        let again = |error: &clusterops_secrets::Error| {
            asked.push(error.to_string());
            false
        };
        let keys: [&dyn clusterops_secrets::Identity; 1] = [&ben];
        let edited = edit(
            &file,
            &id("/shop"),
            &keys,
            &options(&["ben"]),
            &editor,
            again,
        )
        .await;
        (edited, asked)
    };
    let (edited, asked) = run("s/ENC.DB:hunter2./newsecret/").await;
    let error = edited.expect_err("in plain text");
    assert_eq!(
        (error.kind(), error.path()),
        (ErrorKind::Input, Some("/env/DB")),
        "{error}"
    );
    assert!(asked[0].contains("put it into its marker") && !asked[0].contains("newsecret"));
    let now = std::fs::read_to_string(file.path()).expect("ours");
    assert_eq!(now, before);
    // Nothing is a secret no more.
    let (edited, _) = run("s/\"ENC.DB:hunter2.\"/null/").await;
    assert!(matches!(edited, Ok(Edited::Changed { .. })), "{edited:?}");
}

#[tokio::test]
async fn only_what_was_edited_is_sealed_anew() {
    let ben = private_key("ben");
    let (_folder, file) = sealed_file();
    let shm = tempfile::tempdir_in("/dev/shm").expect("a tmpfs");
    let editor = |script: &str| Editor::new(format!("sh -c '{script}' editor")).folder(shm.path());
    let run = async |file: &SealedFile, script: &str| {
        let result = edit(
            file,
            &id("/shop"),
            &[&ben],
            &options(&["ben"]),
            &editor(script),
            |_| false,
        )
        .await;
        assert_eq!(names(shm.path()), [""; 0], "nothing is left");
        result
    };
    // The mode of the folder and of the file, and what stands there.
    let looked = run(
        &file,
        r#"test $(stat -c %a "$1") = 600 && test $(stat -c %a "$(dirname "$1")") = 700 && grep -q "ENC.DB:hunter2." "$1""#,
    );
    assert!(matches!(
        looked.await.expect("it ends well"),
        Edited::Unchanged
    ));
    let token = |file: &SealedFile| {
        file.text()
            .split('"')
            .find(|text| text.starts_with("SEALED["))
            .map(str::to_owned)
    };

    let added = run(&file, r#"sed -i "s/.PORT.: 8080/\"PORT\": 9090, \"NEW\": \"ENC[n:two:three]\"/" "$1"; touch "$1~"; mkdir "$1.d"; cp "$1" "$1.d/backup""#).await;
    let Edited::Changed {
        file: added,
        sealed,
    } = added.expect("it ends well")
    else {
        panic!("it has changed")
    };
    assert_eq!(
        sealed
            .values
            .iter()
            .map(|path| path.as_str())
            .collect::<Vec<_>>(),
        ["/env/NEW"]
    );
    assert_eq!(
        token(&added),
        token(&file),
        "the other value keeps its token"
    );
    let text = opened(added.text(), Format::Json, &ben)
        .await
        .expect("it opens");
    assert!(
        text.contains(r#""PORT": 9090, "NEW": "two:three""#) && text.contains("hunter2"),
        "{text}"
    );

    let changed = run(&added, r#"sed -i "s/hunter2/hunter3/" "$1""#)
        .await
        .expect("it ends well");
    let Edited::Changed {
        file: changed,
        sealed,
    } = changed
    else {
        panic!("it has changed")
    };
    assert_eq!(sealed.values.len(), 1);
    assert!(
        opened(changed.text(), Format::Json, &ben)
            .await
            .expect("it opens")
            .contains("hunter3")
    );
    // Moved under another name it stays a secret.
    let moved = run(&changed, r#"sed -i "s/.DB.:/\"DB2\":/" "$1""#)
        .await
        .expect("it ends well");
    let Edited::Changed { file: moved, .. } = moved else {
        panic!("it has changed")
    };
    assert!(!moved.text().contains("hunter3"));
    assert!(
        opened(moved.text(), Format::Json, &ben)
            .await
            .expect("it opens")
            .contains(r#""DB2": "hunter3""#)
    );

    for (script, why) in [
        ("exit 3", "exit status: 3"),
        (r#"echo x >>"$1"; exit 1"#, "exit status: 1"),
        (r#"echo "{" >"$1""#, "app.json:"),
        (
            r#"sed -i "s/shop/store/" "$1""#,
            "reseal it under another id",
        ),
        (r#"sed -i "s/hunter3\]/hunter3/" "$1""#, "does not end with"),
        (r#"sed -i "s/ENC.DB2:hunter3./SEALED[x]/" "$1""#, ""),
    ] {
        let error = run(&moved, script).await.expect_err(script);
        assert!(error.to_string().contains(why), "{script}: {error}");
        assert!(!error.to_string().contains("hunter"), "{error}");
        assert_eq!(
            std::fs::read_to_string(moved.path()).expect("ours"),
            moved.text()
        );
    }
    // Once more with what was left of the first try.
    let mut asked = 0;
    let twice = r#"if grep -q oops "$1"; then sed -i "s/oops//" "$1"; else echo oops >>"$1"; fi; sed -i "s/9090/9091/" "$1""#;
    let result = edit(
        &moved,
        &id("/shop"),
        &[&ben],
        &options(&["ben"]),
        &editor(twice),
        |_| {
            asked += 1;
            asked < 3
        },
    )
    .await;
    assert!(matches!(
        result.expect("it ends well"),
        Edited::Changed { .. }
    ));
    assert_eq!((asked, names(shm.path())), (1, vec![]));
}

/// Edits with a shell script, and gives what `again` was asked beside the outcome; it agrees `times` times.
async fn edited(
    file: &SealedFile,
    script: &str,
    times: usize,
) -> (clusterops_secrets::Result<Edited>, Vec<String>) {
    let ben = private_key("ben");
    let shm = tempfile::tempdir_in("/dev/shm").expect("a tmpfs");
    let editor = Editor::new(format!("sh -c '{script}' editor")).folder(shm.path());
    let mut asked = Vec::new();
    let again = |error: &clusterops_secrets::Error| {
        assert_eq!(error.file(), Some(file.path()), "{error}");
        asked.push(error.to_string());
        asked.len() <= times
    };
    let options = options(&["ben"]);
    let result = edit(file, &id("/shop"), &[&ben], &options, &editor, again).await;
    assert_eq!(names(shm.path()), [""; 0], "nothing is left");
    (result, asked)
}

/// What a file says that was edited.
async fn says(edited: clusterops_secrets::Result<Edited>) -> String {
    let Edited::Changed { file, .. } = edited.expect("it ends well") else {
        panic!("it has changed")
    };
    assert_eq!(
        std::fs::read_to_string(file.path()).expect("ours"),
        file.text()
    );
    let ben = private_key("ben");
    opened(file.text(), Format::Json, &ben)
        .await
        .expect("it opens")
}

#[tokio::test]
async fn what_somebody_else_changed_meanwhile_is_merged_in() {
    let (folder, file) = sealed_file();
    let other = |path: &str, value: &str| {
        let (path, value) = (path.parse().expect("a path"), Value::text(value));
        let set = set(file.text(), Format::Json, &path, &value, &options(&["ben"]));
        let name = folder.path().join("other.json");
        std::fs::write(&name, &*set.expect("it is set").text).expect("ours");
        format!("cp {} {}", name.display(), file.path().display())
    };
    let theirs = other("/env/OTHER", "theirs");
    let script = format!(r#"sed -i s/hunter2/hunter3/ "$1"; {theirs}"#);
    let (result, asked) = edited(&file, &script, 0).await;
    let text = says(result).await;
    assert!(
        text.contains("hunter3") && text.contains("theirs"),
        "{text}"
    );
    assert_eq!(asked, [""; 0]);

    // Both have changed the same value: the user decides.
    std::fs::write(file.path(), file.text()).expect("ours");
    let theirs = other("/env/DB", "theirs");
    let both = format!(
        r#"if grep -q "<<<<<<< ours" "$1"; then grep -q hunter3 "$1" && grep -q theirs "$1" && sed -i "/^<<<<<<< /d;/^=======/,/^>>>>>>> /d" "$1"; else sed -i s/hunter2/hunter3/ "$1"; {theirs}; fi"#
    );
    let (result, asked) = edited(&file, &both, 1).await;
    let text = says(result).await;
    assert!(
        text.contains("hunter3") && !text.contains("theirs"),
        "{text}"
    );
    assert_eq!(asked.len(), 1);
    assert!(
        asked[0].contains("somebody else has changed the same"),
        "{asked:?}"
    );
    std::fs::write(file.path(), file.text()).expect("ours");
    let (result, _) = edited(&file, &both, 0).await;
    assert_eq!(result.expect_err("declined").kind(), ErrorKind::Changed);
    let there = std::fs::read_to_string(file.path()).expect("ours");
    assert_eq!(
        there,
        std::fs::read_to_string(folder.path().join("other.json")).expect("ours")
    );

    // What does not open is waited for.
    std::fs::write(file.path(), file.text()).expect("ours");
    let (name, copy) = (file.path().display(), folder.path().join("copy.json"));
    std::fs::write(&copy, file.text()).expect("ours");
    let broken = format!(
        r#"if grep -q hunter3 "$1"; then cp {} {name}; else sed -i s/hunter2/hunter3/ "$1"; echo "{{" >{name}; fi"#,
        copy.display()
    );
    let (result, asked) = edited(&file, &broken, 1).await;
    assert!(says(result).await.contains("hunter3"));
    assert!(asked[0].contains("it does not open now"), "{asked:?}");
}

#[tokio::test]
async fn what_was_typed_outlives_an_editor_that_fails() {
    let (_folder, file) = sealed_file();
    let fails = r#"if grep -q hunter3 "$1"; then sed -i s/8080/9090/ "$1"; else sed -i s/hunter2/hunter3/ "$1"; exit 1; fi"#;
    let (result, asked) = edited(&file, fails, 1).await;
    let text = says(result).await;
    assert!(text.contains("hunter3") && text.contains("9090"), "{text}");
    assert!(asked[0].contains("exit status: 1"), "{asked:?}");
    // Nothing was typed, so there is nothing to ask.
    std::fs::write(file.path(), file.text()).expect("ours");
    let (result, asked) = edited(&file, "exit 1", 1).await;
    assert!(
        result
            .expect_err("it fails")
            .to_string()
            .contains("exit status: 1")
    );
    assert_eq!(asked, [""; 0]);

    // Saved and failed, then removed: what was saved first is there again.
    let removes = r#"cd "$(dirname "$1")"; if test -e second; then sed -i s/8080/9090/ "$1"; elif test -e first; then touch second; rm "$1"; else touch first; sed -i s/hunter2/hunter3/ "$1"; exit 1; fi"#;
    let (result, asked) = edited(&file, removes, 2).await;
    let text = says(result).await;
    assert!(text.contains("hunter3") && text.contains("9090"), "{text}");
    assert!(
        asked[1].contains("the editor has removed the file"),
        "{asked:?}"
    );
    std::fs::write(file.path(), file.text()).expect("ours");
    let (result, _) = edited(&file, r#"rm "$1""#, 0).await;
    assert_eq!(result.expect_err("it is gone").kind(), ErrorKind::Local);
}

#[tokio::test]
async fn what_is_marked_and_would_not_be_sealed_is_told_in_the_editor() {
    let (_folder, file) = sealed_file();
    let script = r#"if grep -q "x ENC" "$1"; then sed -i "s/x ENC/ENC/" "$1"; else sed -i "s/.shop:1.4./\"x ENC[a:hunter3]\"/" "$1"; fi"#;
    let (result, asked) = edited(&file, script, 1).await;
    assert!(says(result).await.contains("\"image\": \"hunter3\""));
    assert!(
        asked[0].contains("/image: ") && asked[0].contains("only whole values"),
        "{asked:?}"
    );
}

#[tokio::test]
async fn a_plain_value_that_moves_up_in_a_list_is_no_slip() {
    let (_folder, file) = sealed_file();
    let script = r#"sed -i "s/8080/8080, \"LIST\": [\"ENC[a:b]\", \"plain\"]/" "$1""#;
    says(edited(&file, script, 0).await.0).await;
    let file = SealedFile::read(file.path()).expect("it reads");
    let (result, asked) = edited(&file, r#"sed -i "s/\"ENC.0:b.\", //" "$1""#, 0).await;
    let text = says(result).await;
    assert!(text.contains(r#""LIST": ["plain"]"#), "{text}");
    assert_eq!(asked, [""; 0]);
}

#[tokio::test]
async fn plaintext_is_never_edited_on_a_disk() {
    let ben = private_key("ben");
    let (folder, file) = sealed_file();
    if is_tmpfs(folder.path()) {
        eprintln!(
            "skipped: plaintext_is_never_edited_on_a_disk, as the folder for temporary files is a tmpfs"
        );
        return;
    }
    let editor = Editor::new("true").folder(folder.path());
    let error = edit(
        &file,
        &id("/shop"),
        &[&ben],
        &options(&["ben"]),
        &editor,
        |_| false,
    )
    .await;
    assert!(
        error
            .expect_err("a disk")
            .to_string()
            .contains("plaintext is not put on a disk")
    );
    assert_eq!(names(folder.path()), ["app.json"]);
}

fn is_tmpfs(path: &Path) -> bool {
    let output = Command::new("stat")
        .args(["-f", "-c", "%T"])
        .arg(path)
        .output()
        .expect("stat runs");
    String::from_utf8_lossy(&output.stdout).trim() == "tmpfs"
}

/// The child of the next test.
#[test]
#[ignore = "run by a_hardened_process_is_closed_to_others"]
fn is_hardened() {
    clusterops_secrets::harden_process().expect("the kernel allows it");
    let limits = std::fs::read_to_string("/proc/thread-self/limits");
    match limits {
        Ok(limits) => assert!(
            limits
                .lines()
                .any(|line| line.starts_with("Max core file size") && line.contains(" 0 "))
        ),
        // A process that cannot be dumped belongs to root in /proc.
        Err(error) => assert_eq!(error.kind(), std::io::ErrorKind::PermissionDenied),
    }
    assert_eq!(
        rustix::process::dumpable_behavior().expect("known"),
        rustix::process::DumpableBehavior::NotDumpable
    );
}

#[test]
fn a_hardened_process_is_closed_to_others() {
    let status = Command::new(std::env::current_exe().expect("ourselves"))
        .args(["--exact", "is_hardened", "--ignored", "--quiet"])
        .status();
    assert!(status.expect("it runs").success());
}
