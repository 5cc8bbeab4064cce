//! Whether a secret shows anywhere on its way.

use std::fmt::Write as _;
use std::process::Command;
use std::sync::Mutex;

use clusterops::deploy::{Deploy, Trust, dry_run};
use clusterops::secrets::secrecy::{ExposeSecret as _, SecretString};
use clusterops::secrets::{
    CheckOptions, Editor, PrivateKey, SealedFile, SigningKey, Value, check, edit, exec_and_wait,
    extract, merge, open, reseal, rotate, set, show, sign_file, verify_file,
};
use data_encoding::{BASE64, BASE64URL_NOPAD};
use serde_json::json;
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};

use super::support::Server;
use super::support::marathon::{Course, start};
use super::{Reply, key, marathon, options, sealed};

/// All that was logged in this process.
static LOGGED: Mutex<String> = Mutex::new(String::new());

fn logged(text: std::fmt::Arguments<'_>) {
    let mut logged = LOGGED.lock().expect("nobody panics with it");
    let _ = writeln!(logged, "{text}");
}

struct Capture;

impl log::Log for Capture {
    fn enabled(&self, _: &log::Metadata<'_>) -> bool {
        true
    }

    fn log(&self, record: &log::Record<'_>) {
        logged(format_args!("{} {}", record.target(), record.args()));
    }

    fn flush(&self) {}
}

impl tracing::Subscriber for Capture {
    fn enabled(&self, _: &tracing::Metadata<'_>) -> bool {
        true
    }

    fn new_span(&self, span: &Attributes<'_>) -> Id {
        logged(format_args!("span {}", span.metadata().name()));
        span.record(&mut Fields);
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, values: &Record<'_>) {
        values.record(&mut Fields);
    }

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, event: &tracing::Event<'_>) {
        logged(format_args!("event {}", event.metadata().target()));
        event.record(&mut Fields);
    }

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}
}

struct Fields;

impl Visit for Fields {
    fn record_debug(&mut self, field: &Field, value: &dyn std::fmt::Debug) {
        logged(format_args!("{field}={value:?}"));
    }
}

/// An error with all that caused it, as it is shown and as it is debugged.
fn told(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(Some(error), |error| error.source());
    causes
        .map(|error| format!("{error}\n{error:?}\n"))
        .collect()
}

#[tokio::test]
async fn a_whole_deploy_shows_no_secret_anywhere() {
    const SECRET: &str = "Tr0ub4dor&3-never-shown";
    const OTHER: &str = "another$ecret-never-shown";
    log::set_logger(&Capture).expect("it is the only one");
    log::set_max_level(log::LevelFilter::Trace);
    tracing::subscriber::set_global_default(Capture).expect("it is the only one");
    tracing::info!("the capture works");
    log::info!("the capture works too");

    let mut shown = String::new();
    let source = format!(r#"{{"id": "/prod/web", "env": {{"A": "ENC[a:{SECRET}]"}}}}"#);
    let (_folder, file) = sealed(&source);
    let value = Value::text(OTHER);
    let path = "/env/B".parse().expect("a path");
    let set = set(file.text(), file.format(), &path, &value, &options()).expect("it is set");
    let merged = merge(file.text(), &set.text, file.text(), file.format()).expect("it merges");
    let file = file.replace(&set.text).expect("it is replaced");
    let id = "/prod/web".parse().expect("an id");
    let opened = open(file.text(), file.format(), &id, &[&key()])
        .await
        .expect("it opens");
    let _ = write!(
        shown,
        "{value:?} {set:?} {merged:?} {file:?} {opened:?} {:?} {:?} {:?}",
        options(),
        key(),
        opened.environment()
    );
    let (text, format, identities) = (file.text(), file.format(), [&key() as _]);
    let one = extract(text, format, &id, &path, &identities).await;
    assert_eq!(one.as_ref().expect("it opens").expose_secret(), OTHER);
    let rotated = rotate(text, format, &id, &identities, &options()).await;
    let resealed = reseal(text, format, &id, &identities, &options()).await;
    let _ = write!(shown, "{one:?} {rotated:?} {resealed:?}");
    let signer = SigningKey::generate();
    let trusted = [signer.verifying_key().clone()];
    let signed = sign_file(&file, &id, &signer).expect("it signs");
    shown.push_str(&std::fs::read_to_string(signed).expect("ours"));
    let verified = verify_file(&file, &id, &trusted).expect("it verifies");
    let _ = write!(shown, "{signer:?} {trusted:?} {verified:?}");
    shown.push_str(file.text());
    shown.push_str(&show(file.text(), file.format(), None));
    assert!(
        opened.text().expose_secret().contains(SECRET)
            && opened.text().expose_secret().contains(OTHER)
    );

    // What a command gets, beside its environment; and this process.
    let mut command = Command::new("sh");
    command.args(["-c", "test \"$A\" && tr '\\0' ' ' </proc/$$/cmdline"]);
    let _ = write!(shown, "{command:?}");
    let folder = tempfile::tempdir().expect("a folder");
    let out = folder.path().join("out");
    command.stdout(std::fs::File::create(&out).expect("ours"));
    assert!(exec_and_wait(&opened, command).expect("it runs").success());
    shown.push_str(&std::fs::read_to_string(&out).expect("ours"));
    let editor = format!(
        "tr '\\0' ' ' </proc/$$/cmdline >{0}; tr '\\0' '\\n' </proc/$$/environ >>{0}; sed -i s/prod/prod/",
        out.display()
    );
    let editor = Editor::new(editor);
    let edited = edit(&file, &id, &[&key()], &options(), &editor, |_| false).await;
    let argv = std::fs::read_to_string(&out).expect("ours");
    assert!(argv.contains("web.json"), "{argv}");
    let _ = write!(shown, "{editor:?} {edited:?} {argv}");
    edited.expect("it is edited");
    for own in ["/proc/self/cmdline", "/proc/self/environ"] {
        shown.push_str(&String::from_utf8_lossy(&std::fs::read(own).expect("ours")));
    }

    // Servers that do well, that repeat what they got, that lie and that drop.
    let echo = |status: u16| {
        move |request: &super::support::Request, _: usize| match request.method.as_str() {
            "PUT" => {
                let body = json!({"message": format!("bad app: {}", request.body), "details": [{"path": "/env/A", "errors": [request.body]}]});
                Reply::json(status, body.to_string())
            }
            _ => Reply::json(404, r#"{"message": "App '/prod/web' does not exist"}"#),
        }
    };
    let servers = [
        start(None, Course::Done(1), "").await,
        start(
            None,
            Course::Incomplete,
            &format!("env A={SECRET} is not understood"),
        )
        .await,
        Server::start(echo(422)).await,
        Server::start(echo(500)).await,
        Server::start(echo(409)).await,
        Server::start(|_, _| Reply::Drop).await,
        Server::start(|request, _| {
            Reply::Raw(format!(
                "HTTP/1.1 200 OK\r\nX: {}\r\n\r\n{}",
                request.target, request.body
            ))
        })
        .await,
    ];
    let marathons: Vec<_> = servers.iter().map(marathon).collect();
    let deploy = Deploy::new(Trust::Reviewed(file.digest()));
    let _ = write!(shown, "{deploy:?} {marathons:?}");
    for deployed in deploy
        .run(&file, &[&key()], &marathons)
        .await
        .expect("it is sent")
    {
        let _ = write!(shown, "{deployed} {deployed:?}");
        if let Err(error) = &deployed.result {
            shown.push_str(&told(error));
        }
    }
    let plans = dry_run(&file, &[&key()], &marathons).await;
    let plans = plans.expect("it can be deployed");
    let unopened = dry_run(&file, &[], &marathons).await;
    let _ = write!(shown, "{plans:?} {unopened:?}");
    for plan in &plans {
        let _ = write!(shown, "{plan}");
    }
    let compared = plans[0].result.as_ref().expect("it compares");
    assert_eq!(compared.unchanged.len(), 2);
    let plaintexts = servers[0]
        .seen()
        .iter()
        .filter(|request| request.body.contains(SECRET))
        .count();
    assert_eq!(plaintexts, 1, "the secret was sent, once");

    // Errors on the way in.
    let broken = SealedFile::read({
        let path = folder.path().join("broken.json");
        std::fs::write(&path, source.replace(']', "")).expect("ours");
        path
    });
    let broken = broken.expect("it reads");
    let refused = Deploy::new(Trust::Reviewed(broken.digest()))
        .run(&broken, &[&key()], &marathons)
        .await;
    shown.push_str(&told(&refused.expect_err("it is broken")));
    let bare = folder.path().join("bare.json");
    std::fs::write(&bare, source).expect("ours");
    let bare = SealedFile::read(bare).expect("it reads");
    let refused = dry_run(&bare, &[], &marathons).await;
    shown.push_str(&told(&refused.expect_err("it is not sealed")));
    let findings = check(folder.path(), &CheckOptions::default()).expect("it reads");
    assert!(findings.len() > 1, "{findings:?}");
    for finding in findings {
        let _ = write!(shown, "{finding} {finding:?}");
    }
    let wrong = PrivateKey::from_pem(SECRET, Some(&SecretString::from(OTHER))).expect_err("no key");
    shown.push_str(&told(&wrong));

    shown.push_str(&LOGGED.lock().expect("nobody panics with it"));
    for logged in [
        "the capture works",
        "the capture works too",
        "reqwest",
        "event hyper_util",
    ] {
        assert!(shown.contains(logged), "{logged}");
    }
    let pem = include_str!("../../clusterops-secrets/src/keys/data/ben.pem");
    let of_key = pem.lines().filter(|line| !line.starts_with("--"));
    // That of the HTTP server, and how it is sent.
    let password = ["sesame".to_owned(), BASE64.encode(b"deployer:sesame")];
    let mut forms: Vec<String> = of_key.map(str::to_owned).chain(password).collect();
    for secret in [SECRET, OTHER] {
        forms.extend(forms_of(secret));
    }
    for form in forms {
        if let Some(at) = shown.find(&form) {
            let mut before = shown[..at].char_indices().rev();
            let start = before.nth(200).map_or(0, |(at, _)| at);
            panic!("{form} is shown: ...{}", &shown[start..at + form.len()]);
        }
    }
}

/// A text, and what of it shows when it stands in something that is encoded as base64, at each of the three places that it can begin
/// at in a group of four.
fn forms_of(secret: &str) -> Vec<String> {
    let mut forms = vec![secret.to_owned()];
    for skipped in 0..3 {
        let bytes = [&b"xx"[..skipped], secret.as_bytes()].concat();
        // Without the groups that what stands around it has a part in.
        let (from, until) = (skipped.div_ceil(3) * 4, bytes.len() / 3 * 4);
        forms.push(BASE64.encode(&bytes)[from..until].to_owned());
        forms.push(BASE64URL_NOPAD.encode(&bytes)[from..until].to_owned());
    }
    forms
}

#[test]
fn a_secret_is_found_in_base64_wherever_it_begins() {
    let secret = "Tr0ub4dor&3-never-shown";
    for before in ["", "a", "ab", "abc"] {
        let text = BASE64.encode(format!("{before}{secret}?after").as_bytes());
        assert!(
            forms_of(secret).iter().any(|form| text.contains(form)),
            "{text}"
        );
    }
}
