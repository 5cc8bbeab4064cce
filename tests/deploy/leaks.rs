//! Whether a secret shows anywhere on its way.

use std::fmt::Write as _;
use std::process::Command;
use std::sync::Mutex;

use clusterops::deploy::{Deploy, Trust, dry_run};
use clusterops::secrets::secrecy::{ExposeSecret as _, SecretString};
use clusterops::secrets::{PrivateKey, SealedFile, Value, exec_and_wait, open, show};
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
    let set = clusterops::secrets::set(file.text(), file.format(), &path, &value, &options())
        .expect("it is set");
    let file = file.replace(&set.text).expect("it is replaced");
    let id = "/prod/web".parse().expect("an id");
    let opened = open(file.text(), file.format(), &id, &[&key()])
        .await
        .expect("it opens");
    let _ = write!(
        shown,
        "{value:?} {set:?} {file:?} {opened:?} {:?} {:?}",
        options(),
        key()
    );
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
    shown.push_str(&std::fs::read_to_string(out).expect("ours"));
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
    let _ = write!(shown, "{deploy:?}");
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
    match dry_run(&file, &[&key()], &marathons[0]).await {
        Ok(plan) => drop(write!(shown, "{plan} {plan:?}")),
        Err(error) => panic!("{error}"),
    }
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
    let wrong = PrivateKey::from_pem(SECRET, Some(&SecretString::from(OTHER))).expect_err("no key");
    shown.push_str(&told(&wrong));

    shown.push_str(&LOGGED.lock().expect("nobody panics with it"));
    assert!(shown.contains("the capture works") && shown.contains("the capture works too"));
    for secret in [SECRET, OTHER] {
        // Also as base64, at each of the three places that it can begin in a group of four.
        let mut forms = vec![secret.to_owned()];
        for skipped in 0..3 {
            let bytes = [&b"xx"[..skipped.min(2)], secret.as_bytes()].concat();
            let (from, until) = (4, bytes.len() / 3 * 4 - 4);
            forms.push(BASE64.encode(&bytes)[from..until].to_owned());
            forms.push(BASE64URL_NOPAD.encode(&bytes)[from..until].to_owned());
        }
        for form in forms {
            if let Some(at) = shown.find(&form) {
                let start = shown[..at]
                    .char_indices()
                    .rev()
                    .nth(200)
                    .map_or(0, |(at, _)| at);
                panic!("{form} is shown: ...{}", &shown[start..at + form.len()]);
            }
        }
    }
}
