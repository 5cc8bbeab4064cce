//! What `seal` makes of its command line.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt as _;
use std::process::Command;

use clusterops::secrets::VerifyingKey;

use super::{example, folder, printed, run, said, text};

#[test]
fn what_is_misused_says_what_to_do() {
    let folder = folder();
    fs::write(
        folder.path().join("app.json"),
        r#"{"id": "/shop", "a": "ENC[a:b]"}"#,
    )
    .expect("ours");
    for (line, code, why) in [
        ("frobnicate", 2, "no command frobnicate; `help` lists"),
        ("help frobnicate", 2, "no command frobnicate"),
        ("seal --frobnicate", 2, "no option --frobnicate"),
        ("seal app.json --id", 2, "--id needs a value"),
        ("seal app.json --id --format json", 2, "--id needs a value"),
        ("seal app.json --id=", 1, "not empty"),
        (
            "seal app.json --id /shop --id /shop",
            2,
            "--id is given twice",
        ),
        ("seal none.json", 1, "none.json: the file cannot be read"),
        (
            "seal app.json --pin NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs",
            1,
            "not those that are pinned",
        ),
        ("open app.json", 2, "--key names no private key"),
        (
            "open app.json --key none.pem",
            1,
            "none.pem: the private key cannot be read",
        ),
        (
            "open app.json --key ben.pem",
            1,
            "app.json:1:22: /a: this value is marked to be sealed and is not",
        ),
        (
            "extract app.json",
            2,
            "extract takes FILE PATH; PATH is missing",
        ),
        ("open", 2, "open takes FILE; FILE is missing"),
        (
            "open a.json b.json",
            2,
            "open takes FILE; 1 more cannot be understood",
        ),
        ("seal", 2, "seal takes FILE [PATH...]; FILE is missing"),
        (
            "exec app.json",
            2,
            "exec takes FILE -- COMMAND [WORD...]; COMMAND is missing",
        ),
        ("verify app.json", 2, "--signer names no public key"),
        (
            "verify app.json --signer ben.pub",
            1,
            "nobody has signed this file",
        ),
        // For git a status of up to 128 would be a conflict.
        ("merge a b c", 129, "--format says"),
        (
            "merge a b",
            129,
            "merge takes BASE OURS THEIRS [PATH]; THEIRS is missing",
        ),
        ("merge --frobnicate", 129, "no option --frobnicate"),
        // What another command knows.
        (
            "open app.json --signer ben.pub",
            2,
            "open has no option --signer",
        ),
        (
            "exec app.json --pin x -- true",
            2,
            "exec has no option --pin",
        ),
        (
            "extract app.json /a --recipients recipients.yaml",
            2,
            "extract has no option --recipients",
        ),
        ("seal app.json --plain", 2, "seal has no option --plain"),
        (
            "rotate app.json --signing",
            2,
            "rotate has no option --signing",
        ),
        (
            "rotate app.json --new-id /b",
            2,
            "rotate has no option --new-id",
        ),
        ("generate a.pem --plain=yes", 2, "--plain takes no value"),
        (
            "generate a.pem --plain yes",
            2,
            "generate takes FILE; 1 more cannot be understood",
        ),
        ("generate a.pem --plain --passphrase ben.pub", 2, "not both"),
        ("generate ..", 1, "not the name of a file"),
        ("generate new/ --plain", 1, "not the name of a file"),
        (
            "generate ben.pem --plain",
            1,
            "ben.pem: it is there already",
        ),
        // There are no short forms.
        (
            "open app.json -k ben.pem",
            2,
            "open has no option -k (is it --key?)",
        ),
        ("open app.json -x", 2, "open has no option -x;"),
        ("open app.json -key ben.pem", 2, "open has no option -key"),
    ] {
        let said = said("seal", folder.path(), line, code);
        assert!(said.contains(why), "{line}: {said}");
    }
    assert_eq!(said("seal", folder.path(), "check .", 1), "");
    // Behind `--` everything is a word.
    let there = said("seal", folder.path(), "open -- --key.json", 1);
    assert!(
        there.contains("--key.json: the file cannot be read"),
        "{there}"
    );
}

#[test]
fn help_says_what_each_command_takes() {
    let folder = folder();
    let help = printed("seal", folder.path(), "help", "");
    assert!(help.starts_with("Usage: seal  "), "{help}");
    for other in ["--help", "-h"] {
        assert_eq!(printed("seal", folder.path(), other, ""), help);
    }
    let commands: Vec<&str> = help
        .lines()
        .skip(1)
        .map_while(|line| line.strip_prefix("       seal ")?.split(' ').next())
        .collect();
    assert_eq!(commands.len(), 15, "{help}");
    for command in commands {
        let own = printed("seal", folder.path(), &format!("{command} x --help"), "");
        assert!(own.starts_with(&format!("Usage: seal {command} ")), "{own}");
        assert_eq!(
            printed("seal", folder.path(), &format!("help {command}"), ""),
            own
        );
        for option in own.lines().filter(|line| line.starts_with("  --")) {
            let name = option.trim().split(' ').next().expect("a name");
            assert!(help.contains(&format!("\n  {name} ")), "{option}");
        }
    }
    let own = printed("seal", folder.path(), "open --help", "");
    assert!(
        own.contains("\n  --key FILE ") && !own.contains("--pin"),
        "{own}"
    );
    for (program, flag) in [
        ("seal", "--version"),
        ("seal", "-V"),
        ("mantle", "--version"),
    ] {
        let version = format!("{program} {}\n", env!("CARGO_PKG_VERSION"));
        assert_eq!(printed(program, folder.path(), flag, ""), version);
    }
}

#[test]
fn an_option_takes_its_value_behind_an_equals_sign_too() {
    let folder = folder();
    fs::write(folder.path().join("a.txt"), "A='ENC[a:b=c]'\n").expect("ours");
    printed(
        "seal",
        folder.path(),
        "seal a.txt --format=dotenv --id=/a=b",
        "",
    );
    let line = "extract --key=ben.pem a.txt /A --id /a=b --format dotenv";
    assert_eq!(printed("seal", folder.path(), line, ""), "b=c\n");
}

#[test]
fn paths_need_not_be_text_and_ids_do() {
    let folder = folder();
    let name = OsStr::from_bytes(b"b\xfcro.json");
    fs::write(
        folder.path().join(name),
        r#"{"id": "/shop", "a": "ENC[a:b]"}"#,
    )
    .expect("ours");
    let key = OsStr::from_bytes(b"schl\xfcssel.pem");
    fs::rename(folder.path().join("ben.pem"), folder.path().join(key)).expect("ours");
    let seal = |words: &[&OsStr]| {
        let mut command = Command::new(example("seal"));
        command
            .args(words)
            .current_dir(&folder)
            .output()
            .expect("it runs")
    };
    let sealed = seal(&["seal".as_ref(), name]);
    assert!(sealed.status.success(), "{}", text(&sealed.stderr));
    let joined = OsStr::from_bytes(b"--key=schl\xfcssel.pem");
    for key in [&["--key".as_ref(), key][..], &[joined]] {
        let words = [&["extract".as_ref(), name, "/a".as_ref()], key].concat();
        let extracted = seal(&words);
        assert_eq!(
            text(&extracted.stdout),
            "b\n",
            "{}",
            text(&extracted.stderr)
        );
    }
    for words in [
        &["seal".as_ref(), name, "--id".as_ref(), name][..],
        &["extract".as_ref(), name, name, joined],
        &[name],
    ] {
        let refused = seal(words);
        assert!(!refused.status.success());
        let why = text(&refused.stderr);
        assert!(
            why.contains("is not UTF-8") || why.contains("no command"),
            "{why}"
        );
    }
}

#[test]
fn what_has_nothing_marked_is_left_as_it_is() {
    let folder = folder();
    for (program, command) in [("seal", "seal"), ("mantle", "encode")] {
        let path = folder.path().join("app.json");
        fs::write(&path, r#"{"id": "/shop", "a": "b"}"#).expect("ours");
        let before = fs::metadata(&path)
            .expect("ours")
            .modified()
            .expect("a time");
        assert_eq!(
            printed(program, folder.path(), &format!("{command} app.json"), ""),
            "nothing to seal in app.json: no value is marked ENC[name:value]\n"
        );
        let after = fs::metadata(&path)
            .expect("ours")
            .modified()
            .expect("a time");
        assert_eq!(before, after);
    }
    // Nor is what stays in plain text passed over in silence.
    fs::write(
        folder.path().join("two.json"),
        r#"{"id": "/shop", "a": "ENC[a:b]", "c": "ENC[c:d]"}"#,
    )
    .expect("ours");
    let output = run("seal", folder.path(), "seal two.json /a", "");
    assert!(output.status.success());
    let why = text(&output.stderr);
    assert!(
        why.ends_with(
            "\nwarning: line 1, column 39: /c: this value is marked to be sealed and is not\n"
        ),
        "{why}"
    );
    // Neither is what is sealed already.
    fs::write(
        folder.path().join("app.json"),
        r#"{"id": "/shop", "a": "ENC[a:b]"}"#,
    )
    .expect("ours");
    printed("seal", folder.path(), "seal app.json", "");
    let again = printed("seal", folder.path(), "seal app.json", "");
    assert!(again.starts_with("nothing to seal in app.json"), "{again}");
    let compacted = run("seal", folder.path(), "compact app.json --key ben.pem", "");
    assert_eq!(
        text(&compacted.stdout),
        "app.json: there was nothing to do\n"
    );
}

#[test]
fn a_recipients_key_signs_too() {
    let folder = folder();
    fs::write(folder.path().join("app.json"), r#"{"id": "/shop"}"#).expect("ours");
    let shown = printed("seal", folder.path(), "sign app.json --key ben.pem", "");
    assert!(
        shown.starts_with("QmniW5_QYFFJaeq24l4y2V7hld3JmZ75r1ORcPKRE6w signed"),
        "{shown}"
    );
    printed(
        "seal",
        folder.path(),
        "verify app.json --signer ben.pub",
        "",
    );
}

#[test]
fn a_secret_on_the_command_line_is_not_said_again() {
    let folder = folder();
    fs::write(folder.path().join("app.json"), r#"{"id": "/shop"}"#).expect("ours");
    for (line, why) in [
        (
            "set app.json /a hunter2",
            "1 more cannot be understood; the value is read from standard input",
        ),
        ("set app.json /a -hunter2", "set has no such option"),
    ] {
        let output = run("seal", folder.path(), line, "");
        let said = text(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{said}");
        assert!(said.contains(why) && !said.contains("hunter2"), "{said}");
    }
}

#[test]
fn a_command_does_not_inherit_the_passphrase() {
    let folder = folder();
    let app = r#"{"id": "/shop", "env": {"A": "ENC[a:b]"}}"#;
    fs::write(folder.path().join("app.json"), app).expect("ours");
    fs::write(folder.path().join("passphrase"), "open sesame\n").expect("ours");
    printed("seal", folder.path(), "seal app.json", "");
    for named in ["/dev/fd/3", "/proc/self/fd/3"] {
        let script = format!(
            "exec \"$0\" exec app.json --key ben.pem --passphrase {named} -- sh -c 'echo \"$A\"; ls /proc/$$/fd' 3<passphrase 4<passphrase"
        );
        let output = Command::new("sh")
            .args(["-c", &script])
            .arg(example("seal"))
            .current_dir(&folder)
            .output()
            .expect("it runs");
        let shown = text(&output.stdout);
        let open: Vec<&str> = shown.lines().collect();
        // What was not named is the caller's business.
        assert!(
            open.starts_with(&["b", "0"]) && open.contains(&"4"),
            "{shown}{}",
            text(&output.stderr)
        );
        assert!(!open.contains(&"3"), "{named}: {shown}");
    }
}

#[test]
fn a_signer_is_known_by_a_jwk_too() {
    let folder = folder();
    fs::write(folder.path().join("app.json"), r#"{"id": "/shop"}"#).expect("ours");
    printed("seal", folder.path(), "sign app.json --key ben.pem", "");
    let pem = fs::read_to_string(folder.path().join("ben.pub")).expect("ours");
    let key = VerifyingKey::from_pem(&pem).expect("a key");
    fs::write(
        folder.path().join("ben.jwk"),
        format!("\n{}\n", key.to_jwk()),
    )
    .expect("ours");
    let line = "verify app.json --signer ben.jwk";
    assert!(printed("seal", folder.path(), line, "").contains("has signed"));
    fs::write(folder.path().join("ben.jwk"), "{}").expect("ours");
    assert!(said("seal", folder.path(), line, 1).starts_with("seal: ben.jwk: "));
}
