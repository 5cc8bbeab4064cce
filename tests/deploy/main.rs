//! Sealed documents deployed to a Marathon that answers as Marathon documents it.

#[path = "../../clusterops-core/tests/support/mod.rs"]
#[expect(
    dead_code,
    clippy::unwrap_used,
    reason = "it is shared with the tests of the client"
)]
mod support;

mod faults;
mod leaks;

use std::path::Path;
use std::time::Duration;

use clusterops::deploy::{ChangeKind, Deploy, Deployed, Differences, Trust, dry_run};
use clusterops::http::HttpOptions;
use clusterops::marathon::{Followed, Locked, Marathon};
use clusterops::secrets::{
    Digest, Format, Identity, PrivateKey, Recipients, SealOptions, SealedFile, SigningKey, Value,
    seal, set, sign_file,
};
use clusterops::{Error, ErrorKind};
use serde_json::{Value as Json, json};
use support::marathon::{Course, OTHER, start};
use support::{Reply, Server};
use tempfile::TempDir;

const APP: &str = r#"{
  "id": "/prod/web",
  "cpus": 0.5,
  "instances": 2,
  "container": {"docker": {"image": "web:1.4"}},
  "env": {
    "ZONE": "a",
    "DB": "ENC[db:hunter2 \"x\"]",
    "KEY": "ENC[key:k-17]"
  }
}
"#;

fn key() -> PrivateKey {
    let pem = include_str!("../../clusterops-secrets/src/keys/data/ben.pem");
    PrivateKey::from_pem(pem, None).expect("a committed key")
}

fn options() -> SealOptions {
    SealOptions::new(Recipients::new([("ben", key().public_key().clone())]).expect("a recipient"))
}

/// A folder with this document in a file, sealed.
fn sealed(text: &str) -> (TempDir, SealedFile) {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("web.json");
    let sealed = seal(text, Format::Json, &options()).expect("it seals");
    std::fs::write(&path, &*sealed.text).expect("ours");
    (folder, SealedFile::read(path).expect("it reads"))
}

fn marathon(server: &Server) -> Marathon {
    marathon_at(&server.url())
}

fn marathon_at(url: &str) -> Marathon {
    let options = HttpOptions::default().basic("deployer", "sesame");
    let marathon = Marathon::new(url, options).expect("a URL");
    marathon.poll_every(Duration::from_millis(10))
}

fn reviewed(file: &SealedFile) -> Deploy {
    Deploy::new(Trust::Reviewed(file.digest())).deadline(Duration::from_secs(20))
}

/// What the server was asked to put.
fn put(server: &Server) -> Vec<Json> {
    let requests = server.seen();
    let puts = requests.iter().filter(|request| request.method == "PUT");
    puts.map(|request| serde_json::from_str(&request.body).expect("JSON"))
        .collect()
}

fn only(mut deployed: Vec<Deployed>) -> Deployed {
    assert_eq!(deployed.len(), 1);
    deployed.pop().expect("one")
}

/// How the document differs from what runs at the only Marathon.
async fn differences(file: &SealedFile, keys: &[PrivateKey], server: &Server) -> Differences {
    let keys: Vec<&dyn Identity> = keys.iter().map(|key| key as _).collect();
    let mut plans = dry_run(file, &keys, &[marathon(server)])
        .await
        .expect("it could be deployed");
    assert_eq!(plans.len(), 1);
    let plan = plans.pop().expect("one");
    let shown = plan.to_string();
    assert_eq!(plan.digest, file.digest());
    let differences = plan.result.expect("it compares");
    let head = format!("/prod/web at {}\nfile {}\n", server.url(), file.digest());
    assert_eq!(shown, format!("{head}{differences}"));
    differences
}

#[tokio::test]
async fn what_was_reviewed_is_posted_and_followed() {
    let server = start(None, Course::Done(2), "").await;
    let (_folder, file) = sealed(APP);
    let deployed = only(
        reviewed(&file)
            .run(&file, &[&key()], &[marathon(&server)])
            .await
            .expect("it is sent"),
    );
    assert!(deployed.is_success(), "{deployed}");
    assert_eq!(deployed.app.as_str(), "/prod/web");
    let expected = APP
        .replace("ENC[db:hunter2 \\\"x\\\"]", "hunter2 \\\"x\\\"")
        .replace("ENC[key:k-17]", "k-17");
    let bodies: Vec<String> = server
        .seen()
        .into_iter()
        .filter(|r| r.method == "PUT")
        .map(|r| r.body)
        .collect();
    assert_eq!(
        bodies,
        [expected],
        "byte for byte, without the block of epochs"
    );
}

#[tokio::test]
async fn a_trusted_signature_is_as_good_as_a_review() {
    let server = start(None, Course::Done(0), "").await;
    let (_folder, file) = sealed(APP);
    let (signer, other) = (SigningKey::generate(), SigningKey::generate());
    let trust = Trust::Signers(vec![signer.verifying_key().clone()]);
    let run = async || {
        Deploy::new(trust.clone())
            .run(&file, &[&key()], &[marathon(&server)])
            .await
    };
    let id = "/prod/web".parse().expect("an id");
    for sign in [None, Some(&other)] {
        if let Some(signer) = sign {
            sign_file(&file, &id, signer).expect("it signs");
        }
        assert!(is_refused(
            &run().await.expect_err("nobody"),
            clusterops::secrets::ErrorKind::Signature
        ));
    }
    assert_eq!(server.seen().len(), 0);
    sign_file(&file, &id, &signer).expect("it signs");
    assert!(only(run().await.expect("it is sent")).is_success());
}

fn is_refused(error: &Error, kind: clusterops::secrets::ErrorKind) -> bool {
    error.kind() == ErrorKind::Secrets(kind)
}

#[tokio::test]
async fn nothing_is_sent_when_anything_is_not_as_it_should_be() {
    use clusterops::secrets::ErrorKind::{Misplaced, NotRecipient, Signature, Syntax, Unresolved};

    let server = start(None, Course::Done(0), "").await;
    let refused = async |file: &SealedFile, deploy: Deploy, key: &PrivateKey| {
        deploy
            .run(file, &[key], &[marathon(&server)])
            .await
            .expect_err("refused")
    };
    let (folder, file) = sealed(APP);
    let write = |name: &str, text: &str| {
        let path = folder.path().join(name);
        std::fs::write(&path, text).expect("ours");
        SealedFile::read(path).expect("it reads")
    };
    // Another file than was reviewed.
    let other = Deploy::new(Trust::Reviewed(Digest::of(b"other")));
    let error = refused(&file, other, &key()).await;
    assert!(
        is_refused(&error, Signature) && error.to_string().contains(&file.digest().to_string()),
        "{error}"
    );
    // Not sealed, and sealed by nobody here.
    for (text, kind, why) in [
        (APP.to_owned(), Unresolved, "/env/DB: "),
        (
            file.text()
                .replace("\"ZONE\": \"a\"", "\"ZONE\": \"DEC[zone]\""),
            Unresolved,
            "`DEC[`",
        ),
        (
            file.text().replace("/prod/web", "/prod/db"),
            Misplaced,
            "/prod/web",
        ),
        (
            file.text().replacen("/prod/web", "/prod/db", 1),
            Misplaced,
            "sealed as `/prod/web`",
        ),
        (
            file.text().replace("\"KEY\"", "\"KEY2\""),
            Misplaced,
            "belongs at `/env/KEY`",
        ),
        // Escapes, words inside of a value, and names.
        (
            file.text()
                .replace("\"ZONE\": \"a\"", "\"ZONE\": \"\\u0044EC[zone]\""),
            Unresolved,
            "/env/ZONE: `DEC[`",
        ),
        (
            file.text()
                .replace("\"ZONE\": \"a\"", "\"URL\": \"db://u:SEALED[x]@db\""),
            Unresolved,
            "/env/URL: `SEALED[`",
        ),
        (
            file.text().replace("\"ZONE\"", "\"ENC[zone:k-17]\""),
            Unresolved,
            "`ENC[`",
        ),
        (
            file.text().replace(
                "\"cpus\"",
                "\"args\": [\"-v\", \"--pw=ENC[a:b]\"], \"cpus\"",
            ),
            Unresolved,
            "/args/1: `ENC[`",
        ),
        (
            file.text()
                .replace("\"cpus\": 0.5", "\"cpus\": 0.5, \"cpus\": 9"),
            Syntax,
            "cpus",
        ),
        (r#"{"cpus": 1}"#.to_owned(), Syntax, "no string `id`"),
        ("{".to_owned(), Syntax, "line 1"),
    ] {
        let file = write("other.json", &text);
        let error = refused(&file, reviewed(&file), &key()).await;
        assert!(is_refused(&error, kind), "{error:?}");
        assert!(
            error.to_string().contains(why) && error.to_string().contains("other.json"),
            "{error}"
        );
        assert!(!error.to_string().contains("k-17"), "{error}");
    }
    let yaml = write("web.yaml", "id: /prod/web\n");
    assert!(is_refused(
        &refused(&yaml, reviewed(&yaml), &key()).await,
        Syntax
    ));
    let cyd = include_str!("../../clusterops-secrets/src/keys/data/cyd.pem");
    let cyd = PrivateKey::from_pem(cyd, None).expect("a committed key");
    assert!(is_refused(
        &refused(&file, reviewed(&file), &cyd).await,
        NotRecipient
    ));
    let bad_id = write("bad.json", r#"{"id": "/Prod/Web!"}"#);
    assert!(matches!(
        refused(&bad_id, reviewed(&bad_id), &key()).await,
        Error::Core(_)
    ));
    let nowhere = reviewed(&file).run(&file, &[&key()], &[]).await;
    assert!(matches!(nowhere.expect_err("no Marathon"), Error::Core(_)));
    assert_eq!(server.seen().len(), 0);
}

/// What lies on the disk by then is another matter.
#[tokio::test]
async fn the_bytes_that_were_read_are_checked_and_posted() {
    let server = start(None, Course::Done(0), "").await;
    let (_folder, file) = sealed(APP);
    let (id, signer) = ("/prod/web".parse().expect("an id"), SigningKey::generate());
    sign_file(&file, &id, &signer).expect("it signs");
    let evil = file.text().replace("web:1.4", "evil:6.6");
    std::fs::write(file.path(), &evil).expect("ours");
    let other = SealedFile::read(file.path()).expect("it reads");
    let by_signer = Deploy::new(Trust::Signers(vec![signer.verifying_key().clone()]));
    for deploy in [by_signer, reviewed(&file)] {
        let error = deploy
            .run(&other, &[&key()], &[marathon(&server)])
            .await
            .expect_err("nobody vouches for it");
        assert!(
            is_refused(&error, clusterops::secrets::ErrorKind::Signature),
            "{error}"
        );
        let sent = deploy.run(&file, &[&key()], &[marathon(&server)]).await;
        assert!(only(sent.expect("it is sent")).is_success());
    }
    let images: Vec<Json> = put(&server)
        .iter()
        .map(|app| app["container"]["docker"]["image"].clone())
        .collect();
    assert_eq!(images, ["web:1.4", "web:1.4"]);
}

#[tokio::test]
async fn nothing_that_nobody_reviewed_stays_unless_asked_for() {
    let running = json!({"id": "/prod/web", "cmd": "curl evil", "instances": 7});
    let server = start(Some(running), Course::Done(0), "").await;
    let (_folder, file) = sealed(APP);
    let (_folder, no_instances) = sealed(&APP.replace("  \"instances\": 2,\n", ""));
    let run = async |file: &SealedFile, replace: Option<bool>| {
        let deploy = replace
            .into_iter()
            .fold(reviewed(file), |deploy, replace| deploy.replace(replace));
        only(
            deploy
                .run(file, &[&key()], &[marathon(&server)])
                .await
                .expect("it is sent"),
        )
    };
    // Marathon would start one in place of seven.
    let refused = run(&no_instances, None).await;
    assert!(refused.to_string().contains("7 instances"), "{refused}");
    assert_eq!(put(&server).len(), 0);
    assert!(run(&no_instances, Some(false)).await.is_success());
    assert!(run(&file, None).await.is_success());
    let targets: Vec<String> = server
        .seen()
        .into_iter()
        .filter(|request| request.method == "PUT")
        .map(|request| request.target)
        .collect();
    assert_eq!(
        targets,
        ["/v2/apps/prod/web", "/v2/apps/prod/web?partialUpdate=false"]
    );
}

#[tokio::test]
async fn a_locked_app_names_the_deployments_and_yields_to_force() {
    let locked = json!({"message": "App is locked by one or more deployments.", "deployments": [{"id": OTHER}]}).to_string();
    let server = Server::start(move |request, _| match request.method.as_str() {
        "PUT" => Reply::json(409, locked.clone()),
        _ => Reply::json(404, r#"{"message": "App '/prod/web' does not exist"}"#),
    })
    .await;
    let (_folder, file) = sealed(APP);
    let deployed = only(
        reviewed(&file)
            .run(&file, &[&key()], &[marathon(&server)])
            .await
            .expect("it is sent"),
    );
    let error = deployed.result.as_ref().expect_err("locked");
    assert_eq!(
        Locked::of(error).expect("it is told").deployments(),
        [OTHER]
    );
    assert!(
        !deployed.is_success() && deployed.to_string().contains(OTHER),
        "{deployed}"
    );
    let forced = reviewed(&file)
        .force(true)
        .run(&file, &[&key()], &[marathon(&server)])
        .await;
    drop(forced.expect("it is sent"));
    let targets: Vec<String> = server
        .seen()
        .into_iter()
        .filter(|r| r.method == "PUT")
        .map(|r| r.target)
        .collect();
    assert!(
        !targets[0].contains("force=true") && targets[1].contains("force=true"),
        "{targets:?}"
    );
}

#[tokio::test]
async fn each_of_several_marathons_has_its_result() {
    let (good, failing, slow) = (
        start(None, Course::Done(1), "").await,
        start(None, Course::RolledBack, "").await,
        start(None, Course::Never, "cannot pull web:1.4").await,
    );
    let (_folder, file) = sealed(APP);
    let marathons = [
        marathon_at("http://127.0.0.1:1"),
        marathon(&good),
        marathon(&failing),
        marathon(&slow),
    ];
    let deploy = reviewed(&file).deadline(Duration::from_millis(300));
    let deployed = deploy
        .run(&file, &[&key()], &marathons)
        .await
        .expect("it is sent");
    assert_eq!(
        deployed
            .iter()
            .map(Deployed::is_success)
            .collect::<Vec<_>>(),
        [false, true, false, false]
    );
    assert!(deployed[0].result.is_err());
    assert!(
        matches!(deployed[2].result, Ok(Followed::Failed { .. })),
        "{}",
        deployed[2]
    );
    assert!(
        matches!(deployed[3].result, Ok(Followed::Unfinished { .. })),
        "{}",
        deployed[3]
    );
    for server in [&good, &failing, &slow] {
        assert_eq!(put(server)[0]["env"]["KEY"], "k-17");
    }
    let urls: Vec<&str> = deployed
        .iter()
        .map(|deployed| deployed.marathon.as_str())
        .collect();
    assert_eq!(urls, marathons.each_ref().map(|marathon| marathon.url()));
}

#[tokio::test]
async fn a_dry_run_shows_what_would_change_and_no_secret() {
    let running = json!({
        "id": "/prod/web", "cpus": 0.5, "instances": 1.0, "mem": 128, "disk": 0, "gpus": 2, "user": null, "cmd": "./old",
        "upgradeStrategy": {"maximumOverCapacity": 1, "minimumHealthCapacity": 1.0}, "requirePorts": false,
        "container": {"type": "DOCKER", "docker": {"image": "web:1.3", "privileged": true, "parameters": []}},
        "env": {"ZONE": "old zone", "DB": "hunter2 \"x\"", "KEY": "k-16", "GONE": "old secret", "X\n+ /y": "",
            "PIN": 4711},
    });
    let server = start(Some(running), Course::Done(0), "").await;
    let (_folder, file) = sealed(APP);
    let plan = differences(&file, &[key()], &server).await;
    assert!(!plan.is_new);
    let shown = plan.to_string();
    let lines: Vec<&str> = shown.lines().collect();
    assert_eq!(
        lines,
        [
            "- /cmd: (hidden), not in the document",
            "~ /container/docker/image: \"web:1.3\" -> \"web:1.4\"",
            "- /container/docker/privileged: true",
            "- /container/type: (hidden)",
            "- /env/GONE: (hidden)",
            "~ /env/KEY: (hidden) -> (sealed)",
            "- /env/PIN: (hidden)",
            "- /env/X\\n+ ~1y: (hidden)",
            "~ /env/ZONE: (hidden) -> (hidden)",
            "- /gpus: 2, not in the document",
            "~ /instances: 1.0 -> 2",
            "= /env/DB: (sealed), unchanged",
        ]
    );
    for secret in ["hunter2", "k-16", "k-17", "old", "4711"] {
        assert!(!format!("{plan:?}{shown}").contains(secret), "{secret}");
    }
    // Without a key, what is sealed cannot be compared.
    let plan = differences(&file, &[], &server).await;
    let sealed: Vec<&str> = plan
        .changes
        .iter()
        .filter(|change| change.kind == ChangeKind::Sealed)
        .map(|change| change.path.as_str())
        .collect();
    assert_eq!(sealed, ["/env/DB", "/env/KEY"]);
    assert_eq!(plan.unchanged, []);
    assert!(
        plan.to_string()
            .contains("? /env/DB: (sealed), not compared\n"),
        "{plan}"
    );
    // What should be sealed and is not is refused, not shown.
    std::fs::write(file.path(), APP).expect("ours");
    let bare = SealedFile::read(file.path()).expect("it reads");
    let error = dry_run(&bare, &[], &[marathon(&server)])
        .await
        .expect_err("it is not sealed");
    assert!(
        is_refused(&error, clusterops::secrets::ErrorKind::Unresolved),
        "{error}"
    );
    assert!(!format!("{error} {error:?}").contains("hunter2"), "{error}");
    assert_eq!(put(&server).len(), 0);

    let server = start(None, Course::Done(0), "").await;
    let plan = differences(&file, &[key()], &server).await;
    assert!(
        plan.is_new && plan.to_string().contains("+ /env/DB: (sealed)\n"),
        "{plan}"
    );
    drop(
        reviewed(&file)
            .run(&file, &[&key()], &[marathon(&server)])
            .await
            .expect("it is sent"),
    );
    let plan = differences(&file, &[key()], &server).await;
    assert!(
        plan.changes.is_empty()
            && plan
                .to_string()
                .contains("nothing would change\n= /env/DB: "),
        "{plan}"
    );
}

/// A developer without a private key adds a value; operations deploy it.
#[tokio::test]
async fn a_value_that_a_developer_set_arrives() {
    let server = start(None, Course::Done(0), "").await;
    let (_folder, file) = sealed(APP);
    let path = "/env/NEW".parse().expect("a path");
    let text = set(
        file.text(),
        Format::Json,
        &path,
        &Value::text("$new"),
        &options(),
    )
    .expect("it is set")
    .text;
    let file = file.replace(&text).expect("it is replaced");
    assert!(
        only(
            reviewed(&file)
                .run(&file, &[&key()], &[marathon(&server)])
                .await
                .expect("it is sent")
        )
        .is_success()
    );
    assert_eq!(
        put(&server)[0]["env"],
        json!({"ZONE": "a", "DB": "hunter2 \"x\"", "KEY": "k-17", "NEW": "$new"})
    );
    assert!(Path::new(file.path()).exists());
}
