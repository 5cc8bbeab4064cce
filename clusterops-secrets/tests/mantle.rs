//! What the real Mantle wrote, read; and its faults, dead.

mod support;

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use clusterops_secrets::mantle::{Config, MantleKey, Store, migrate};
use clusterops_secrets::secrecy::ExposeSecret as _;
use clusterops_secrets::{ErrorKind, Format, Value, open, seal, set};
use serde_json::Value as Json;
use support::{id, options, private_key};

const USERS: [&str; 3] = ["ops", "sally", "quinn"];

fn data(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/data/mantle")
        .join(name)
}

fn text(name: &str) -> String {
    std::fs::read_to_string(data(name)).expect("it is committed")
}

fn expected() -> Json {
    serde_json::from_str(&text("expected.json")).expect("JSON")
}

fn store(user: &str) -> Store {
    let key = MantleKey::from_pem(&text(&format!("keys/privatekey_{user}.pem"))).expect("a key");
    Store::load(data(&format!("eyaml/{user}.yaml")), &key).expect("it opens")
}

/// What an app says once it is sealed and opened again.
async fn opened(sealed: &str) -> String {
    let document: Json = serde_json::from_str(sealed).expect("JSON");
    let id = id(document["id"].as_str().expect("an id"));
    let opened = open(sealed, Format::Json, &id, &[&private_key("ben")])
        .await
        .expect("it opens");
    opened.text().expose_secret().to_owned()
}

/// Its environment.
async fn environment(sealed: &str) -> Json {
    let document: Json = serde_json::from_str(&opened(sealed).await).expect("JSON");
    document["env"].clone()
}

#[test]
fn every_entry_of_every_store_opens() {
    let expected = expected();
    for user in USERS {
        let store = store(user);
        let secrets = expected["users"][user]["secrets"]
            .as_object()
            .expect("entries");
        assert_eq!(store.names().count(), secrets.len(), "{user}");
        for (name, value) in secrets {
            let opened = store
                .value(name)
                .unwrap_or_else(|| panic!("{user} has no {name}"));
            assert_eq!(
                opened.expose_secret(),
                value.as_str().expect("a string"),
                "{user} {name}"
            );
        }
        let plain = &expected["users"][user]["plain_entries"]["username"];
        assert_eq!(store.username(), plain.as_str(), "{user}");
    }
}

#[tokio::test]
async fn every_safe_file_is_sealed_anew() {
    for (name, app) in expected()["apps"].as_object().expect("apps") {
        for user in app["opened_with"].as_array().expect("users") {
            let store = store(user.as_str().expect("a name"));
            let safe = text(app["safe"].as_str().expect("a path"));
            let sealed = migrate(&safe, &store, &options(&["ben"]))
                .unwrap_or_else(|error| panic!("{name}: {error}"));
            assert_eq!(
                environment(&sealed.text).await,
                app["env"],
                "{name} as {user}"
            );
            assert!(!sealed.text.contains("DEC["));
        }
    }
}

#[tokio::test]
async fn what_mantle_posted_is_what_opens() {
    let posts: Json = serde_json::from_str(&text("marathon-posts.json")).expect("JSON");
    let mut compared = 0;
    for post in posts.as_array().expect("posts") {
        let deployed = post["deployed"].as_str().expect("what it was");
        let (file, user) = deployed.split_once(" as ").expect("who it was");
        let migrated = migrate(&text(file), &store(user), &options(&["ben"]));
        if file.starts_with("faults/") {
            let error = migrated.expect_err("Mantle posted `DEC[no_such_name]`");
            assert_eq!(error.kind(), ErrorKind::Unresolved, "{deployed}");
            continue;
        }
        let posted = post["request"]["body"].as_str().expect("a body");
        // Mantle looked at `env` only: what is marked elsewhere is sealed too, and opens to its value.
        let posted = posted.replace("ENC[label_not_touched:visible]", "visible");
        let opened: Json =
            serde_json::from_str(&opened(&migrated.expect(deployed).text).await).expect("JSON");
        let posted: Json = serde_json::from_str(&posted).expect("JSON");
        assert_eq!(opened, posted, "{deployed}");
        compared += 1;
    }
    assert_eq!(compared, 9);
}

#[tokio::test]
async fn all_else_stays_byte_for_byte() {
    let (store, mut expected) = (store("ops"), text("safe/payments.json"));
    let sealed = migrate(&expected, &store, &options(&["ben"])).expect("it seals");
    assert_eq!(sealed.values.len(), store.names().count() - 2 + 1);
    for name in store.names() {
        let value = store.value(name).expect("it is there").expose_secret();
        let json = serde_json::to_string(value).expect("JSON");
        expected = expected.replace(&format!("\"DEC[{name}]\""), &json);
    }
    expected = expected.replace("ENC[label_not_touched:visible]", "visible");
    assert_eq!(opened(&sealed.text).await, expected);
    // Line for line, only the sealed values are others, and the block stands at the end.
    let before = text("safe/payments.json");
    let lines = before.lines().zip(sealed.text.lines());
    for (old, new) in lines.take_while(|(_, new)| !new.contains("x-sealed")) {
        let is_marked = old.contains("\"DEC[") || old.contains("\"ENC[");
        assert_eq!(is_marked, new.contains("\"SEALED["), "{old}");
        // The block needs a comma before it.
        assert!(is_marked || new == old || new == format!("{old},"), "{old}");
    }
    let crlf = "{\r\n  \"id\": \"/a\", \"n\": 1.50e1,\r\n  \"list\": [\"DEC[api_key]\", \"DEC\\u005bapi_key]\"]\r\n}\r\n";
    let sealed = migrate(crlf, &store, &options(&["ben"])).expect("it seals");
    let values: Vec<&str> = sealed.values.iter().map(|path| path.as_str()).collect();
    assert_eq!(values, ["/list/0", "/list/1"]);
    assert_eq!(
        opened(&sealed.text).await,
        crlf.replace("DEC[api_key]", "s3cr3t-2")
            .replace("DEC\\u005bapi_key]", "s3cr3t-2")
    );
}

/// Mantle let them be without a word.
#[test]
fn what_is_no_whole_value_stays_and_is_told() {
    let told = |safe: &str| -> Vec<String> {
        let sealed = migrate(safe, &store("ops"), &options(&["ben"])).expect("it seals");
        sealed.unsealed.iter().map(ToString::to_string).collect()
    };
    let left = told(&text("safe/payments.json"));
    assert!(
        matches!(&left[..], [one] if one.starts_with("line 24, column 19: /env/NOT_AT_START: `ENC[name:value]` stands inside")),
        "{left:?}"
    );
    assert!(told(&text("safe/web.json")).is_empty());
    let source = r#"{"id": "/a", "a": "--password=DEC[api_key]", "DEC[api_key]": "DEC[api_key]", "b": "CODEC[x] DEC[", "c": "x ENC[a:b]"}"#;
    let left = told(source);
    for (left, expected) in left.iter().zip([
        "line 1, column 19: /a: `DEC[name]` stands inside of a longer text here",
        "line 1, column 46: `DEC[name]` stands in a key here",
        "line 1, column 105: /c: `ENC[name:value]` stands inside of a longer text here",
    ]) {
        assert!(left.starts_with(expected), "{left}");
    }
    assert_eq!(left.len(), 3, "{left:?}");
}

#[test]
fn configurations_are_read() {
    let config = Config::load(data("config.yaml")).expect("it reads");
    assert_eq!(config.marathons.len(), 3);
    assert_eq!(config.marathons[0], "http://127.0.0.1:18080/v2/apps");
    assert_eq!(
        config.private_key("ops"),
        Path::new("/home/ops/.mantle/keys/privatekey_ops.pem")
    );
    assert_eq!(
        config.store("ops"),
        Path::new("/home/ops/.mantle/eyaml/ops.yaml")
    );
    let generated = Config::load(data("config.generated.yaml")).expect("it reads");
    assert_eq!(
        (generated.username.as_deref(), generated.marathons.len()),
        (Some("ops"), 2)
    );
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("config.yaml");
    std::fs::write(&path, "marathons:\nkey_directory: ~\nsafe_dir: x\n").expect("ours");
    let sparse = Config::load(&path).expect("what is empty is not there");
    assert!(sparse.marathons.is_empty() && sparse.key_directory == Path::new(""));
    assert_eq!(sparse.safe_dir, Path::new("x"));
    std::fs::write(&path, "safe_dir: x\nsafe_dirs: y\n").expect("ours");
    let error = Config::load(&path).expect_err("misspelt");
    assert_eq!(
        (error.kind(), error.place()),
        (ErrorKind::Syntax, Some((2, 12))),
        "{error}"
    );
}

#[test]
fn keys_are_pairs_and_open_their_own_store_only() {
    for user in USERS {
        let key =
            MantleKey::from_pem(&text(&format!("keys/privatekey_{user}.pem"))).expect("a key");
        for other in USERS {
            let public = text(&format!("keys/publickey_{other}.pem"));
            assert_eq!(key.is_pair_of(&public).expect("a key"), user == other);
            if user != other {
                let error =
                    Store::load(data(&format!("eyaml/{other}.yaml")), &key).expect_err("another's");
                assert_eq!(error.kind(), ErrorKind::Tampered);
                assert!(error.path().is_some() && error.place().is_some(), "{error}");
            }
        }
        assert!(key.is_pair_of("").is_err());
    }
    assert!(
        MantleKey::from_pem(include_str!("../src/keys/data/ben.pem")).is_err(),
        "PKCS#8 is none of Mantle's"
    );
}

#[test]
fn a_spoilt_store_opens_to_nothing_else() {
    let key = MantleKey::from_pem(&text("keys/privatekey_sally.pem")).expect("a key");
    let (whole, good) = (text("eyaml/sally.yaml"), store("sally"));
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("sally.yaml");
    let mut refused = 0;
    for at in 0..whole.len() {
        let (mut flipped, cut) = (whole.clone().into_bytes(), &whole.as_bytes()[..at]);
        flipped[at] ^= 1 << (at % 8);
        for bytes in [&flipped, cut] {
            std::fs::write(&path, bytes).expect("ours");
            match Store::load(&path, &key) {
                Err(_) => refused += 1,
                Ok(store) => {
                    let is_good = |name: &str| {
                        let value = store.value(name).expect("it is there").expose_secret();
                        good.names()
                            .filter_map(|name| good.value(name))
                            .any(|good| good.expose_secret() == value)
                    };
                    assert!(store.names().all(is_good), "byte {at}");
                }
            }
        }
    }
    assert!(refused > whole.len(), "{refused}");
}

/// Mantle: `^ENC\[*` also matched ENCODING, and crashed.
#[tokio::test]
async fn words_that_begin_like_a_marker_are_plain() {
    for name in ["encoding-word", "encoding-word-colon", "dec-word"] {
        let source = text(&format!("faults/{name}.json"));
        let sealed = seal(&source, Format::Json, &options(&["ben"])).expect(name);
        let migrated = migrate(&source, &store("ops"), &options(&["ben"])).expect(name);
        let env = |text: &str| serde_json::from_str::<Json>(text).expect("JSON")["env"].clone();
        for (key, value) in env(&source).as_object().expect("values") {
            let value = value.as_str().expect("a string");
            if !value.starts_with("ENC[") && !value.starts_with("DEC[") {
                assert_eq!(env(&sealed.text)[key], value, "{name}");
                assert_eq!(env(&migrated.text)[key], value, "{name}");
            }
        }
    }
}

/// Mantle: values ended at the second colon and at the first bracket, and the rest was lost.
#[tokio::test]
async fn values_are_whole_or_refused() {
    let source = r#"{"id": "/quirks", "env": {
        "SECOND_COLON": "ENC[second_colon:http://user:pw-1@db.example:5432/x]",
        "BRACKET": "ENC[bracket:ab]cd]",
        "TWO_MARKERS": "ENC[first_marker:s3cr3t-12] ENC[second_marker:s3cr3t-13]"
    }}"#;
    let sealed = seal(source, Format::Json, &options(&["ben"])).expect("it seals");
    let env = environment(&sealed.text).await;
    assert_eq!(env["SECOND_COLON"], "http://user:pw-1@db.example:5432/x");
    assert_eq!(env["BRACKET"], "ab]cd");
    assert_eq!(env["TWO_MARKERS"], "s3cr3t-12] ENC[second_marker:s3cr3t-13");
    // What it cut off or stored under no name is an error now, with its place.
    let error =
        seal(&text("apps/quirks.json"), Format::Json, &options(&["ben"])).expect_err("quirks");
    assert_eq!(
        (error.kind(), error.path()),
        (ErrorKind::Syntax, Some("/env/TRAILING")),
        "{error}"
    );
}

/// Mantle: numbers, null, objects in `env`, and no `env` at all, crashed it.
#[tokio::test]
async fn any_environment_is_accepted() {
    for name in ["number-in-env", "null-in-env", "secret-object", "no-env"] {
        let source = text(&format!("faults/{name}.json"));
        let sealed = seal(&source, Format::Json, &options(&["ben"]))
            .unwrap_or_else(|error| panic!("{name}: {error}"));
        assert_eq!(opened(&sealed.text).await, source, "{name}");
        let migrated = migrate(&source, &store("ops"), &options(&["ben"])).expect(name);
        assert_eq!(opened(&migrated.text).await, source, "{name}");
    }
}

/// Mantle: at most 86 bytes.
#[tokio::test]
async fn long_values_are_sealed() {
    let sealed = seal(
        &text("faults/87-bytes.json"),
        Format::Json,
        &options(&["ben"]),
    )
    .expect("it seals");
    let env = environment(&sealed.text).await;
    let long = env["LONG"].as_str().expect("a string");
    assert!(
        long.len() == 87 && long.starts_with("87-bytes-") && long.ends_with(".!"),
        "{long}"
    );
    let long = Value::text("x".repeat(1 << 20));
    let sealed = set(
        r#"{"id": "/a"}"#,
        Format::Json,
        &"/env/A".parse().expect("a path"),
        &long,
        &options(&["ben"]),
    );
    assert_eq!(
        environment(&sealed.expect("it is set").text).await["A"]
            .as_str()
            .map(str::len),
        Some(1 << 20)
    );
}

/// Mantle: `-generate` printed the private key, `-decode` and `-deploy` logged every value.
#[test]
fn nothing_is_printed() {
    let (store, key) = (
        store("ops"),
        MantleKey::from_pem(&text("keys/privatekey_ops.pem")).expect("a key"),
    );
    let sealed = migrate(&text("safe/web.json"), &store, &options(&["ben"])).expect("it seals");
    let error = migrate(r#"{"id": "/a", "b": "DEC[x]"}"#, &store, &options(&["ben"]))
        .expect_err("unresolved");
    let shown = format!("{store:?} {key:?} {sealed:?} {error:?} {error}");
    for name in store.names() {
        let value = store.value(name).expect("it is there").expose_secret();
        assert!(
            value.is_empty() || !shown.contains(value),
            "{value} in {shown}"
        );
    }
}

/// Mantle: files that everybody can read.
#[test]
fn keys_that_others_can_read_are_refused() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("privatekey_ops.pem");
    std::fs::write(&path, text("keys/privatekey_ops.pem")).expect("ours");
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o644)).expect("ours");
    assert_eq!(
        MantleKey::read(&path).expect_err("open to all").kind(),
        ErrorKind::Key
    );
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).expect("ours");
    assert!(MantleKey::read(&path).is_ok());
}

/// Mantle: an unresolved `DEC[x]` was a warning, and was posted.
#[test]
fn what_the_store_does_not_have_is_an_error() {
    let error = migrate(
        &text("faults/unresolved-dec.json"),
        &store("ops"),
        &options(&["ben"]),
    )
    .expect_err("unresolved");
    assert_eq!(
        (error.kind(), error.path()),
        (ErrorKind::Unresolved, Some("/env/A")),
        "{error}"
    );
    assert!(error.to_string().contains("no `no_such_name`"), "{error}");
    // The user's name is no secret of the store.
    let error = migrate(
        &text("faults/dec-of-username.json"),
        &store("ops"),
        &options(&["ben"]),
    )
    .expect_err("no secret");
    assert_eq!(error.kind(), ErrorKind::Unresolved);
    let error = migrate(
        r#"{"id": "/a", "b": "DEC[x"}"#,
        &store("ops"),
        &options(&["ben"]),
    )
    .expect_err("cut off");
    assert!(
        error.to_string().contains("does not end with `]`"),
        "{error}"
    );
}
