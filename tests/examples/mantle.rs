//! Mantle's commands on the new format, and its faults, dead.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use clusterops::secrets::{Digest, SealedFile};
use serde_json::{Value as Json, json};
use tempfile::TempDir;

use super::support::marathon::{Course, start};
use super::support::{Reply, Server};
use super::{example, folder, printed, run, said, text};

const BEN: &str = "  for ben (QmniW5_QYFFJaeq24l4y2V7hld3JmZ75r1ORcPKRE6w)\n";

fn data(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("clusterops-secrets/tests/data/mantle")
        .join(name)
}

/// What a user of Mantle's has: `.mantle` with everything, and beside it a folder for what is sealed anew.
fn mantles_folder(marathons: &[String]) -> TempDir {
    let folder = folder();
    let mantle = folder.path().join(".mantle");
    for part in ["keys", "eyaml", "safe"] {
        fs::create_dir_all(mantle.join(part)).expect("ours");
        for entry in fs::read_dir(data(part)).expect("it is committed") {
            let path = entry.expect("an entry").path();
            let copy = mantle.join(part).join(path.file_name().expect("a name"));
            fs::write(&copy, fs::read(&path).expect("it reads")).expect("ours");
            // git keeps no modes; Mantle's private keys are for their owner.
            let mode = if part == "keys" { 0o600 } else { 0o644 };
            fs::set_permissions(&copy, fs::Permissions::from_mode(mode)).expect("ours");
        }
    }
    let committed = fs::read_to_string(data("config.yaml")).expect("it is committed");
    let (_, folders) = committed
        .split_once("key_directory")
        .expect("its second half");
    let home = mantle.to_str().expect("UTF-8");
    let folders = folders.replace("/home/ops/.mantle", home);
    let config = format!(
        "username: this-name-is-never-used\nmarathons: {marathons:?}\nkey_directory{folders}"
    );
    fs::write(mantle.join("config.yaml"), config).expect("ours");
    fs::create_dir(folder.path().join("apps")).expect("ours");
    folder
}

fn json_of(text: &str) -> Json {
    serde_json::from_str(text).expect("JSON")
}

fn digest(folder: &TempDir, name: &str) -> Digest {
    SealedFile::read(folder.path().join(name))
        .expect("it reads")
        .digest()
}

/// A Marathon that refuses what is put to it.
async fn refusing(status: u16) -> Server {
    Server::start(move |request, _| match request.method.as_str() {
        "PUT" => Reply::json(status, r#"{"message": "no"}"#),
        _ => Reply::json(404, r#"{"message": "App '/shop' does not exist"}"#),
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn mantles_users_move_over_and_deploy() {
    let server = start(None, Course::Done(0), "").await;
    let folder = mantles_folder(&[format!("{}/v2/apps/", server.url())]);
    // Of the three safe files one is Quinn's, whose store has its values.
    let output = run("mantle", folder.path(), "migrate --to apps", "");
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(
        text(&output.stdout),
        format!("apps/payments.json: 14 values sealed\n{BEN}apps/web.json: 2 values sealed\n{BEN}")
    );
    let why = text(&output.stderr);
    assert!(
        why.contains("safe/quirks.json:3:14: /env/BRACKET: the store has no `bracket`")
            && why.contains("warning: apps/payments.json: line 24, column 19: /env/NOT_AT_START: `ENC[name:value]`")
            && why.contains("1 of 3 files were not migrated"),
        "{why}"
    );
    assert!(!folder.path().join("apps/quirks.json").exists());
    let quirks = "migrate --as quinn --to apps .mantle/safe/quirks.json";
    assert_eq!(
        printed("mantle", folder.path(), quirks, ""),
        format!("apps/quirks.json: 7 values sealed\n{BEN}")
    );
    let again = said("mantle", folder.path(), quirks, 1);
    assert!(again.contains("apps/quirks.json: File exists"), "{again}");

    let expected = json_of(&fs::read_to_string(data("expected.json")).expect("it is committed"));
    for (name, app) in expected["apps"].as_object().expect("apps") {
        let file = folder.path().join(format!("apps/{name}.json"));
        let mode = fs::metadata(&file)
            .expect("it is there")
            .permissions()
            .mode();
        assert_eq!(mode & 0o777, 0o600, "{name}");
        let line = format!("decode apps/{name}.json --key ben.pem");
        let decoded = json_of(&printed("mantle", folder.path(), &line, ""));
        assert_eq!(decoded["env"], app["env"], "{name}");
    }

    // Where to stands in Mantle's configuration.
    let deploy = "deploy apps/web.json --key ben.pem";
    let digest = digest(&folder, "apps/web.json");
    let dry = printed("mantle", folder.path(), deploy, "");
    assert!(
        dry.contains("/env/DB_PASSWORD") && dry.contains(&format!("--reviewed {digest}\n")),
        "{dry}"
    );
    let line = format!("{deploy} --reviewed {digest}");
    let done = printed("mantle", folder.path(), &line, "");
    assert!(done.starts_with("/shop/web at "), "{done}");
    for shown in [&dry, &done] {
        assert!(!shown.contains("s3cr3t"), "{shown}");
    }
    let requests = server.seen();
    let put: Vec<_> = requests.iter().filter(|r| r.method == "PUT").collect();
    assert_eq!(put.len(), 1);
    assert_eq!(json_of(&put[0].body)["env"], expected["apps"]["web"]["env"]);
}

/// Mantle: `-generate` printed the private key.
#[test]
fn a_new_key_is_for_its_owner_alone_and_nothing_of_it_is_printed() {
    let folder = folder();
    let path = |name: &str| folder.path().join(name);
    fs::write(path("passphrase"), "open sesame\nno more\n").expect("ours");
    fs::write(path("nothing"), "\n").expect("ours");
    let generate = "generate new.pem --passphrase passphrase";
    let empty = "generate new.pem --passphrase nothing";
    assert!(said("mantle", folder.path(), empty, 1).contains("empty passphrase"));
    let output = run("mantle", folder.path(), generate, "");
    let (private, shown) = (
        fs::read_to_string(path("new.pem")).expect("it is there"),
        text(&output.stdout) + &text(&output.stderr),
    );
    assert!(output.status.success(), "{shown}");
    assert!(private.starts_with("-----BEGIN ENCRYPTED PRIVATE KEY-----\n"));
    for line in private.lines() {
        assert!(!shown.contains(line), "{shown}");
    }
    assert!(
        !shown.contains("PRIVATE") && !shown.contains("sesame"),
        "{shown}"
    );
    let mode = fs::metadata(path("new.pem"))
        .expect("it is there")
        .permissions()
        .mode();
    assert_eq!(mode & 0o777, 0o600);
    // Neither half is overwritten.
    let public = fs::read_to_string(path("new.pem.pub")).expect("it is there");
    fs::remove_file(path("new.pem.pub")).expect("ours");
    let why = said("mantle", folder.path(), generate, 1);
    assert!(why.contains("new.pem: it is there already"), "{why}");
    assert!(!path("new.pem.pub").exists());
    fs::rename(path("new.pem"), path("kept")).expect("ours");
    fs::write(path("new.pem.pub"), &public).expect("ours");
    let why = said("mantle", folder.path(), generate, 1);
    assert!(why.contains("new.pem.pub: it is there already"), "{why}");
    assert!(!path("new.pem").exists());
    assert_eq!(
        fs::read_to_string(path("new.pem.pub")).expect("it is there"),
        public
    );
    fs::rename(path("kept"), path("new.pem")).expect("ours");

    // It opens what is sealed for it, with its passphrase only, and not while others can read it.
    fs::write(path("recipients.yaml"), "recipients: {new: new.pem.pub}\n").expect("ours");
    fs::write(path("app.json"), r#"{"id": "/a", "b": "ENC[b:s3cr3t-1]"}"#).expect("ours");
    let shown = printed("mantle", folder.path(), "encode app.json", "");
    assert!(
        shown.starts_with("app.json: 1 value sealed\n  for new ("),
        "{shown}"
    );
    let decode = "decode app.json --key new.pem --passphrase";
    assert_eq!(
        printed("mantle", folder.path(), &format!("{decode} passphrase"), ""),
        r#"{"id": "/a", "b": "s3cr3t-1"}"#
    );
    assert!(said("mantle", folder.path(), &format!("{decode} nothing"), 1).contains("passphrase"));
    // From an open file too, which no one else can read.
    let fd = format!("{decode} /dev/stdin");
    assert!(printed("mantle", folder.path(), &fd, "open sesame\n").contains("s3cr3t-1"));
    let another = said("mantle", folder.path(), "decode app.json --key ben.pem", 1);
    assert!(another.contains("app.json"), "{another}");
    fs::set_permissions(path("new.pem"), fs::Permissions::from_mode(0o644)).expect("ours");
    let open = said("mantle", folder.path(), &format!("{decode} passphrase"), 1);
    assert!(open.contains("others can read"), "{open}");
}

/// Mantle: keys and safe files were for everybody to read, and what it printed had plaintext and the private key in it.
#[test]
fn nothing_is_printed_or_left_open_to_others_whatever_the_umask() {
    let folder = mantles_folder(&["http://127.0.0.1:1".into()]);
    let path = |name: &str| folder.path().join(name);
    let mode = |name: &str| {
        fs::metadata(path(name))
            .expect("it is there")
            .permissions()
            .mode()
            & 0o777
    };
    fs::write(path("passphrase"), "open sesame\n").expect("ours");
    fs::write(
        path("marked.json"),
        r#"{"id": "/a", "b": "ENC[b:plain-1]", "c": "plain-2"}"#,
    )
    .expect("ours");
    fs::set_permissions(path("marked.json"), fs::Permissions::from_mode(0o640)).expect("ours");
    let private = fs::read_to_string(path("ben.pem")).expect("it is there");
    let mut secret: Vec<String> = ["open sesame", "plain-1", "plain-2", "PRIVATE KEY", "s3cr3t"]
        .map(str::to_owned)
        .into();
    secret.extend(
        private
            .lines()
            .filter(|line| !line.starts_with('-'))
            .map(str::to_owned),
    );
    for line in [
        "generate new.pem --passphrase passphrase",
        "encode marked.json",
        "migrate --to apps",
        "migrate --as quinn --to apps",
        "deploy apps/web.json --key ben.pem",
        "decode apps/web.json --key new.pem --passphrase passphrase",
        "decode apps/web.json --key marked.json",
        "decode ben.pem --format json --key ben.pem --id /a",
        "decode passphrase --format dotenv --key ben.pem --id /a",
        "encode apps/web.json --recipients ben.pem",
        "deploy apps/web.json --key ben.pem --user passphrase",
    ] {
        let output = std::process::Command::new("sh")
            .args(["-c", "umask 0; exec \"$@\"", "sh"])
            .arg(example("mantle"))
            .args(line.split(' '))
            .current_dir(&folder)
            .env("HOME", folder.path())
            .env("USER", "ops")
            .output()
            .expect("it runs");
        let shown = text(&output.stdout) + &text(&output.stderr);
        assert!(!shown.is_empty(), "{line}");
        for secret in &secret {
            // The name of what a file is to be is no secret.
            let is_shown = shown
                .replace("no private key in PEM", "")
                .contains(secret.as_str());
            assert!(!is_shown, "{line}: {shown}");
        }
    }
    assert_eq!((mode("new.pem"), mode("new.pem.pub")), (0o600, 0o644));
    assert_eq!(mode("marked.json"), 0o640);
    let apps: Vec<_> = fs::read_dir(path("apps"))
        .expect("ours")
        .map(|entry| entry.expect("one").file_name())
        .collect();
    assert_eq!(apps.len(), 3, "{apps:?}");
    for app in apps {
        assert_eq!(mode(&format!("apps/{}", app.display())), 0o600);
    }
}

/// Mantle: `ENCODING` and `DECEMBER`, numbers, null, objects and no environment crashed it, 87 bytes were too many, and what
/// followed a second colon or a bracket was lost.
#[test]
fn what_broke_mantle_is_encoded_and_decoded() {
    let folder = folder();
    let file = folder.path().join("app.json");
    let sources = [
        "87-bytes",
        "dec-word",
        "encoding-word",
        "encoding-word-colon",
        "no-env",
        "null-in-env",
        "number-in-env",
        "secret-object",
    ]
    .map(|name| fs::read_to_string(data(&format!("faults/{name}.json"))).expect("it is committed"));
    let whole = json!({"id": "/q", "env": {
        "A": "ENC[a:http://user:pw-1@db.example:5432/x]", "B": "ENC[b:ab]cd]", "C": "ENC[c:x\ny]]"}});
    for source in sources.into_iter().chain([whole.to_string()]) {
        fs::write(&file, &source).expect("ours");
        let shown = printed("mantle", folder.path(), "encode app.json", "");
        assert!(
            !shown.contains("s3cr3t") && !shown.contains("pw-1"),
            "{shown}"
        );
        let decoded = json_of(&printed(
            "mantle",
            folder.path(),
            "decode app.json --key ben.pem",
            "",
        ));
        let mut expected = json_of(&source);
        if let Some(env) = expected.get_mut("env").and_then(Json::as_object_mut) {
            for value in env.values_mut() {
                let marked = value.as_str().and_then(|text| text.strip_prefix("ENC["));
                let inner = marked.and_then(|text| text.strip_suffix(']')?.split_once(':'));
                if let Some((_, inner)) = inner {
                    *value = inner.into();
                }
            }
        }
        assert_eq!(decoded, expected);
    }
    // What Mantle cut off is refused, and the file stays as it is.
    let quirks = fs::read_to_string(data("apps/quirks.json")).expect("it is committed");
    fs::write(&file, &quirks).expect("ours");
    let why = said("mantle", folder.path(), "encode app.json", 1);
    assert!(why.contains("app.json:6:17: /env/TRAILING"), "{why}");
    assert_eq!(fs::read_to_string(&file).expect("it is there"), quirks);
}

/// Mantle: an unresolved `DEC[x]` was a warning, and was posted.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_unresolved_is_never_sent() {
    let server = start(None, Course::Done(0), "").await;
    let folder = mantles_folder(&[server.url()]);
    let safe = data("faults/unresolved-dec.json");
    let migrate = format!("migrate --to apps {}", safe.display());
    let why = said("mantle", folder.path(), &migrate, 1);
    assert!(
        why.contains("unresolved-dec.json:1:28: /env/A: the store has no `no_such_name`"),
        "{why}"
    );
    assert!(
        fs::read_dir(folder.path().join("apps"))
            .expect("ours")
            .next()
            .is_none()
    );
    fs::copy(&safe, folder.path().join("app.json")).expect("ours");
    printed("mantle", folder.path(), "encode app.json", "");
    let digest = digest(&folder, "app.json");
    let line = format!("deploy app.json --key ben.pem --reviewed {digest}");
    let why = said("mantle", folder.path(), &line, 1);
    assert!(
        why.contains("app.json: /env/A") && why.contains("`DEC[`"),
        "{why}"
    );
    assert_eq!(server.seen().len(), 0);
}

/// Mantle: the answer's status was ignored, so a refused deploy ended well; and who did not answer kept the others from theirs.
#[tokio::test(flavor = "multi_thread")]
async fn a_refused_deploy_ends_badly_and_the_others_go_on() {
    let folder = folder();
    let app = r#"{"id": "/shop", "env": {"A": "ENC[a:b]"}}"#;
    fs::write(folder.path().join("app.json"), app).expect("ours");
    assert_eq!(
        printed("mantle", folder.path(), "encode app.json", ""),
        format!("app.json: 1 value sealed\n{BEN}")
    );
    let digest = digest(&folder, "app.json");
    let deploy = |urls: &[String], digest: &str| {
        let urls: String = urls
            .iter()
            .map(|url| format!(" --marathon {url}"))
            .collect();
        format!("deploy app.json --key ben.pem --reviewed {digest}{urls}")
    };
    let gone = "http://127.0.0.1:1".to_owned();
    let (failing, locked) = (refusing(500).await, refusing(409).await);
    let good = start(None, Course::Done(0), "").await;
    for url in [failing.url(), locked.url(), gone.clone()] {
        let line = deploy(std::slice::from_ref(&url), &digest.to_string());
        let output = run("mantle", folder.path(), &line, "");
        let shown = text(&output.stdout);
        assert_eq!(output.status.code(), Some(1), "{shown}");
        assert!(shown.contains(&format!("/shop at {url}")), "{shown}");
    }
    let all = [gone, failing.url(), good.url()];
    let asked = deploy(&all, "").replace(" --reviewed ", "");
    let output = run("mantle", folder.path(), &asked, "");
    let shown = text(&output.stdout);
    assert_eq!(output.status.code(), Some(1), "{shown}");
    assert_eq!(shown.matches("not compared: ").count(), 1, "{shown}");
    assert_eq!(shown.matches("+ /env/A: (sealed)").count(), 2, "{shown}");
    assert!(shown.contains(&format!("--reviewed {digest}")), "{shown}");
    let output = run(
        "mantle",
        folder.path(),
        &deploy(&all, &digest.to_string()),
        "",
    );
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(
        text(&output.stdout).lines().count(),
        3,
        "{}",
        text(&output.stdout)
    );
    let put = |server: &Server| server.seen().iter().filter(|r| r.method == "PUT").count();
    assert_eq!(put(&good), 1);

    let before = put(&good);
    let other = "sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
    let why = said("mantle", folder.path(), &deploy(&[good.url()], other), 1);
    assert!(why.contains("not the one that was reviewed"), "{why}");
    assert_eq!(put(&good), before);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_comparison_needs_no_key_and_advice_names_options() {
    let server = Server::start(|request, _| {
        let forced = request.target.contains("force=true");
        match request.method.as_str() {
            "PUT" if !forced => Reply::json(
                409,
                r#"{"message": "App is locked by one or more deployments.", "deployments": [{"id": "97c136bf"}]}"#,
            ),
            _ => Reply::json(404, r#"{"message": "App '/shop' does not exist"}"#),
        }
    })
    .await;
    let folder = folder();
    let app = r#"{"id": "/shop", "env": {"A": "ENC[a:hunter2]"}}"#;
    fs::write(folder.path().join("app.json"), app).expect("ours");
    printed("mantle", folder.path(), "encode app.json", "");
    let deploy = format!("deploy app.json --marathon {}", server.url());
    let shown = printed("mantle", folder.path(), &deploy, "");
    let digest = digest(&folder, "app.json");
    assert!(
        shown.contains("/env/A") && shown.ends_with(&format!("--reviewed {digest}\n")),
        "{shown}"
    );
    assert!(server.seen().iter().all(|request| request.method == "GET"));

    let reviewed = format!("{deploy} --reviewed {digest}");
    let output = run(
        "mantle",
        folder.path(),
        &format!("{reviewed} --key ben.pem"),
        "",
    );
    assert_eq!(output.status.code(), Some(1));
    let why = text(&output.stdout);
    assert!(
        why.contains("end it by --force") && !why.contains("::"),
        "{why}"
    );
    let plain = "deploy app.json --marathon http://marathon.invalid --user ben.pub";
    fs::write(folder.path().join("ben.pub"), "ops:pw\n").expect("ours");
    let why = said("mantle", folder.path(), plain, 1);
    assert!(why.contains("use https://") && !why.contains("::"), "{why}");
}

#[test]
fn what_is_misused_says_what_to_do() {
    let folder = folder();
    fs::write(folder.path().join("app.json"), r#"{"id": "/a"}"#).expect("ours");
    for (line, code, why) in [
        ("frobnicate", 2, "no command frobnicate; `help` lists"),
        ("encode", 2, "encode takes APP [APP...]; APP is missing"),
        ("generate a.pem --plain", 2, "no option --plain"),
        ("generate a.pem --signing", 2, "no option --signing"),
        (
            "decode app.json --signer ben.pub",
            2,
            "decode has no option --signer",
        ),
        (
            "encode app.json --key ben.pem",
            2,
            "encode has no option --key",
        ),
        (
            "deploy app.json --force true",
            2,
            "deploy takes APP; 1 more cannot be understood",
        ),
        ("deploy app.json --force=yes", 2, "--force takes no value"),
        (
            "deploy app.json --key ben.pem --reviewed x --signer ben.pub",
            1,
            "SHA-256",
        ),
        ("decode app.json", 2, "--key names no private key"),
        ("deploy app.json --key ben.pem", 2, "neither --marathon nor"),
        (
            "deploy app.json --key ben.pem --config none.yaml",
            1,
            "none.yaml",
        ),
        (
            "deploy app.json --key ben.pem --marathon http://127.0.0.1:1 --reviewed x",
            1,
            "sha256:",
        ),
        (
            "deploy app.json --key ben.pem --marathon http://127.0.0.1:1 --user ben.pub",
            1,
            "ben.pub: it has no USER:PASSWORD",
        ),
        ("migrate", 2, "--to names no folder"),
        ("migrate --to .", 1, ".mantle/config.yaml"),
        (
            "encode app.json --pin NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs",
            1,
            "not those that are pinned",
        ),
    ] {
        let said = said("mantle", folder.path(), line, code);
        assert!(said.contains(why), "{line}: {said}");
    }
    assert!(printed("mantle", folder.path(), "help", "").starts_with("Usage: mantle generate"));
    assert!(said("mantle", folder.path(), "", 2).contains("a command is missing"));
    let there: BTreeSet<_> = fs::read_dir(folder.path())
        .expect("ours")
        .map(|e| e.expect("one").file_name())
        .collect();
    assert_eq!(there.len(), 4, "no file was left behind: {there:?}");
}
