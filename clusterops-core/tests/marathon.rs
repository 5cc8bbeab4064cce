//! Marathon's API against a server that answers as Marathon 1.x does, and against some that do not.
#![cfg(feature = "marathon")]
#![expect(clippy::unwrap_used, reason = "a test that fails says where")]

#[expect(dead_code, reason = "some of it is for the tests of HTTP alone")]
mod support;

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use clusterops_core::http::{HttpOptions, HttpRetries, Withhold};
use clusterops_core::marathon::{
    AppDefinition, AppId, Failure, Followed, Locked, Marathon, PutOptions,
};
use clusterops_core::secrecy::ExposeSecret;
use clusterops_core::{Error, ErrorKind};
use serde_json::{Value, json};
use support::marathon::{AFTER, BEFORE, Course, DEPLOYMENT, OTHER, ROLLED_BACK, start};
use support::{AUTHORITY, CLIENT, CLIENT_KEY, Reply, Request, Server};

const SECRET: &str = "hunter2-correct-horse";
const TEXT: &str = "{ \"id\": \"/prod/web\",\n  \"instances\": 2, \"cpus\": 0.10,\n  \
    \"env\": {\"DB_PASSWORD\": \"hunter2-correct-horse\", \"PIN\": \"4711\"} }";
const LONG: Duration = Duration::from_secs(20);

fn id() -> AppId {
    "/prod/web".parse().unwrap()
}

fn definition() -> AppDefinition {
    AppDefinition::parse(TEXT).unwrap()
}

fn options() -> HttpOptions {
    HttpOptions::default().retries(HttpRetries {
        first_pause: Duration::from_millis(2),
        ..HttpRetries::default()
    })
}

fn marathon(server: &Server) -> Marathon {
    let marathon = Marathon::new(&server.url(), options()).unwrap();
    marathon.poll_every(Duration::from_millis(5))
}

fn old_app() -> Value {
    json!({"id": "/prod/web", "instances": 2, "env": {"DB_PASSWORD": "an older one"}})
}

/// Puts the definition and follows its deployment.
async fn deploy(server: &Server, deadline: Duration) -> Result<Followed, Error> {
    let marathon = marathon(server);
    let deployment = marathon
        .put_app(&id(), &definition(), PutOptions::default())
        .await?;
    marathon.follow(&deployment, deadline).await
}

/// The error of a put against a server that has no app and answers the put so.
async fn refused(reply: Reply) -> Error {
    let server = Server::start(move |request, _| match request.method.as_str() {
        "GET" => Reply::json(404, r#"{"message": "App '/prod/web' does not exist"}"#),
        _ => reply.clone(),
    })
    .await;
    let marathon = marathon(&server);
    let error = marathon
        .put_app(&id(), &definition(), PutOptions::default())
        .await
        .unwrap_err();
    let told = told(&error);
    assert!(
        !told.contains("hunter2") && !told.contains("4711"),
        "{told}"
    );
    error
}

/// Everything that an error shows to anybody.
fn told(error: &Error) -> String {
    let mut told = format!("{error} {error:?}");
    let mut cause = std::error::Error::source(error);
    while let Some(error) = cause {
        told.push_str(&format!(" {error} {error:?}"));
        cause = error.source();
    }
    told
}

fn puts(server: &Server) -> Vec<Request> {
    let seen = server.seen();
    seen.into_iter()
        .filter(|request| request.method == "PUT")
        .collect()
}

#[tokio::test]
async fn an_app_is_created_and_followed_until_it_runs() {
    let server = start(None, Course::Done(3), "").await;
    let marathon = marathon(&server);
    assert!(marathon.app(&id()).await.unwrap().is_none());
    let deployment = marathon
        .put_app(&id(), &definition(), PutOptions::default())
        .await
        .unwrap();
    assert_eq!(
        (deployment.id.as_str(), deployment.version.as_str()),
        (DEPLOYMENT, AFTER)
    );
    assert!(!format!("{deployment:?}").contains("hunter2"));
    let running = marathon.deployments().await.unwrap();
    assert_eq!((running[0].id.as_str(), running[0].steps), (DEPLOYMENT, 2));
    assert_eq!(running[0].apps, [id()]);
    let followed = marathon.follow(&deployment, LONG).await.unwrap();
    assert!(
        matches!(followed, Followed::Done { tasks, changed: true } if tasks.running == 2),
        "{followed:?}"
    );
    assert_eq!(followed.to_string(), "done: 2 of 2 tasks run");

    let put = &puts(&server)[0];
    assert_eq!(put.target, "/v2/apps/prod/web");
    assert_eq!(put.body, TEXT);
    assert_eq!(put.header("content-type"), ["application/json"]);
    let shown = marathon.app(&id()).await.unwrap().unwrap();
    assert!(shown.text().expose_secret().contains(SECRET));
    assert!(!format!("{shown:?} {:?}", shown.to_json()).contains("hunter2"));
    assert_eq!(shown.to_json()["env"]["PIN"], "4711");
}

#[tokio::test]
async fn options_stand_in_the_query() {
    let server = start(Some(old_app()), Course::Never, "").await;
    let marathon = marathon(&server);
    let none = PutOptions::default();
    for options in [none, none.force(true), none.force(true).replace(true)] {
        marathon
            .put_app(&id(), &definition(), options)
            .await
            .unwrap();
    }
    let targets: Vec<_> = puts(&server).into_iter().map(|put| put.target).collect();
    assert_eq!(
        targets,
        [
            "/v2/apps/prod/web",
            "/v2/apps/prod/web?force=true",
            "/v2/apps/prod/web?force=true&partialUpdate=false"
        ]
    );
}

#[tokio::test]
async fn a_locked_app_names_the_deployments_that_lock_it() {
    let server = start(Some(old_app()), Course::Never, "").await;
    let marathon = marathon(&server);
    marathon
        .put_app(&id(), &definition(), PutOptions::default())
        .await
        .unwrap();
    let error = marathon
        .put_app(&id(), &definition(), PutOptions::default())
        .await
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Locked);
    assert!(error.is_retryable());
    assert!(
        error.message().contains(OTHER) && error.message().contains("force"),
        "{error}"
    );
    assert_eq!(Locked::of(&error).unwrap().deployments(), [OTHER]);
    // A lie in place of the ids is not passed on, and neither is another conflict taken for a lock.
    let error = refused(Reply::json(
        409,
        json!({"message": "x", "deployments": [{"id": SECRET}, 7]}).to_string(),
    ))
    .await;
    assert!(Locked::of(&error).unwrap().deployments().is_empty());
    let error = refused(Reply::json(
        409,
        r#"{"message": "An app with id [/prod/web] already exists."}"#,
    ))
    .await;
    assert_eq!(error.kind(), ErrorKind::Rejected);
    assert!(Locked::of(&error).is_none());
}

#[tokio::test]
async fn marathons_objections_are_told() {
    let details = json!({"message": "Object is not valid", "details": [
        {"path": "/upgradeStrategy/minimumHealthCapacity", "errors": ["is greater than 1"]},
        {"path": "/instances", "errors": ["error.expected.jsnumber", "is missing"]},
    ]});
    for (status, body, kind, words) in [
        (
            401,
            json!({"message": "Invalid username or password."}),
            ErrorKind::Denied,
            "Invalid username",
        ),
        (
            403,
            json!({"message": "Not Authorized to perform this action!"}),
            ErrorKind::Denied,
            "Not Authorized",
        ),
        (
            404,
            json!({"message": "Group '/prod' does not exist"}),
            ErrorKind::NotFound,
            "Group '/prod'",
        ),
        (
            400,
            json!({"message": "Invalid JSON", "details": "Unexpected end"}),
            ErrorKind::Rejected,
            "(Unexpected end)",
        ),
        (
            422,
            details.clone(),
            ErrorKind::Rejected,
            "/upgradeStrategy/minimumHealthCapacity: is greater than 1",
        ),
        (
            422,
            details,
            ErrorKind::Rejected,
            "/instances: error.expected.jsnumber, is missing",
        ),
        (500, json!({"message": "boom"}), ErrorKind::Server, "boom"),
        (
            503,
            json!({"message": "Could not determine the current leader"}),
            ErrorKind::Unavailable,
            "current leader",
        ),
    ] {
        let error = refused(Reply::json(status, body.to_string())).await;
        assert_eq!(error.kind(), kind, "{error}");
        assert!(error.message().contains(words), "{error}");
        assert!(error.message().contains("/v2/apps/prod/web"), "{error}");
    }
    for body in ["", "<html>404</html>", "[]", "null"] {
        let error = refused(Reply::json(422, body)).await;
        assert!(
            error.message().contains("none of Marathon's error texts"),
            "{error}"
        );
    }
}

#[tokio::test]
async fn words_that_repeat_the_definition_are_withheld_and_the_others_told() {
    let body = json!({"message": format!("Cannot read {SECRET}"), "details": [
        {"path": "/env/DB_PASSWORD", "errors": [format!("`{}` is too short", &SECRET[3..12]), "is no name"]},
        {"path": "/env/PIN", "errors": ["4711 is no text"]},
        {"path": format!("/env/{SECRET}"), "errors": ["hunter2\\u002dcorrect"]},
    ]});
    let error = refused(Reply::json(422, body.to_string())).await;
    let message = error.message();
    assert_eq!(message.matches(Withhold::MARK).count(), 5, "{message}");
    assert!(
        message.contains("/env/DB_PASSWORD") && message.contains("is no name"),
        "{message}"
    );
    let error = refused(Reply::json(
        400,
        json!({"message": "no", "details": TEXT}).to_string(),
    ))
    .await;
    assert!(error.message().contains(Withhold::MARK), "{error}");
    // Where it was said which values are secret, the others may be repeated.
    let secrets = [json!({"deep": [SECRET, 47]})];
    let definition = definition().secrets(&secrets);
    let body = json!({"message": "4711 at 2", "details": [
        {"path": "/a", "errors": [SECRET, "47 is none"]},
    ]})
    .to_string();
    let server = Server::start(move |request, _| match request.method.as_str() {
        "PUT" => Reply::json(422, body.clone()),
        _ => Reply::json(404, r#"{"message": "App '/prod/web' does not exist"}"#),
    })
    .await;
    let error = marathon(&server)
        .put_app(&id(), &definition, PutOptions::default())
        .await
        .unwrap_err();
    let message = error.message();
    assert_eq!(message.matches(Withhold::MARK).count(), 2, "{message}");
    assert!(message.contains("4711 at 2"), "{message}");
    // Marathon's own credentials, too.
    let server = Server::start(|request, _| {
        Reply::json(
            403,
            json!({"message": request.header("authorization")[0]}).to_string(),
        )
    })
    .await;
    let marathon = Marathon::new(&server.url(), options().dcos_token("the-token-of-mine")).unwrap();
    let error = marathon.deployments().await.unwrap_err();
    assert!(!told(&error).contains("the-token"), "{error}");
}

#[tokio::test]
async fn a_definition_that_says_nothing_new_is_done() {
    let app = serde_json::from_str(TEXT).unwrap();
    let server = start(Some(app), Course::Done(0), "").await;
    let followed = deploy(&server, LONG).await.unwrap();
    assert!(
        matches!(followed, Followed::Done { changed: false, .. }),
        "{followed:?}"
    );
    assert!(
        followed.to_string().contains("nothing was to be changed"),
        "{followed}"
    );
}

#[tokio::test]
async fn tasks_of_an_app_that_nothing_changed_have_the_version_of_before() {
    let app = serde_json::from_str(TEXT).unwrap();
    let server = start(Some(app), Course::Incomplete, "no such image").await;
    let followed = deploy(&server, LONG).await.unwrap();
    let Followed::Failed { failure, .. } = &followed else {
        panic!("{followed:?}");
    };
    assert_eq!(*failure, Failure::Incomplete);
    assert!(followed.to_string().contains("no such image"), "{followed}");
}

#[tokio::test]
async fn a_deployment_that_did_not_succeed_is_told_as_failed() {
    for (course, words) in [
        (Course::RolledBack, ROLLED_BACK),
        (Course::Gone, "not there any more"),
        (
            Course::Incomplete,
            "1 of 2 tasks run; the last task that failed: TASK_FAILED on 10.141.141.10: exited",
        ),
    ] {
        let server = start(Some(old_app()), course, "exited with status 1").await;
        let followed = deploy(&server, LONG).await.unwrap();
        assert!(matches!(followed, Followed::Failed { .. }), "{followed:?}");
        assert!(followed.to_string().contains(words), "{followed}");
    }
}

#[tokio::test]
async fn a_version_that_is_neither_old_nor_new_was_undone() {
    // The app keeps the version that it had, though the definition says something new.
    let posted = AtomicUsize::new(0);
    let server = Server::start(move |request, _| {
        if request.method == "PUT" {
            posted.store(1, Ordering::Relaxed);
            return Reply::json(
                200,
                json!({"version": AFTER, "deploymentId": DEPLOYMENT}).to_string(),
            );
        } else if request.target == "/v2/deployments" {
            return Reply::json(200, "[]");
        }
        let mut app = old_app();
        app["version"] = json!(BEFORE);
        app["tasksRunning"] = json!(2);
        app["tasksUnhealthy"] = json!(0);
        Reply::json(200, json!({ "app": app }).to_string())
    })
    .await;
    let followed = deploy(&server, LONG).await.unwrap();
    let Followed::Failed { failure, .. } = followed else {
        panic!("{followed:?}");
    };
    assert_eq!(
        failure,
        Failure::Replaced {
            version: BEFORE.to_owned()
        }
    );
}

#[tokio::test]
async fn a_version_that_never_converges_is_unfinished_at_the_deadline() {
    let server = start(
        Some(old_app()),
        Course::Never,
        &format!("cannot log in with {SECRET}"),
    )
    .await;
    let began = Instant::now();
    let followed = deploy(&server, Duration::from_millis(300)).await.unwrap();
    assert!(began.elapsed() < Duration::from_secs(5));
    assert!(!followed.is_done());
    let Followed::Unfinished {
        step,
        tasks,
        last_failure,
    } = &followed
    else {
        panic!("{followed:?}");
    };
    assert_eq!((*step, tasks.unwrap().running), (Some((1, 2)), 0));
    assert_eq!(last_failure.as_ref().unwrap().message, Withhold::MARK);
    assert!(!format!("{followed} {followed:?}").contains("hunter2"));
    assert!(
        followed
            .to_string()
            .contains("in step 1 of 2; 0 of 2 tasks run"),
        "{followed}"
    );
}

/// A Marathon that goes through a change of its leader while a deployment is followed.
async fn electing(until: usize) -> Server {
    let looks = AtomicUsize::new(0);
    Server::start(move |request, _| {
        if request.method == "PUT" {
            return Reply::json(
                200,
                json!({"version": AFTER, "deploymentId": DEPLOYMENT}).to_string(),
            );
        } else if request.target != "/v2/deployments" {
            let app = json!({"id": "/prod/web", "version": AFTER, "instances": 1, "tasksRunning": 1,
                "tasksUnhealthy": 0, "deployments": []});
            return Reply::json(200, json!({ "app": app }).to_string());
        }
        match looks.fetch_add(1, Ordering::Relaxed) {
            look if look >= until => Reply::json(200, "[]"),
            look if look % 3 == 0 => Reply::Drop,
            look if look % 3 == 1 => Reply::json(503, r#"{"message": "no leader"}"#),
            _ => Reply::Raw("HTTP/1.1 200 OK\r\nContent-Length: 90\r\n\r\n[{\"id\"".to_owned()),
        }
    })
    .await
}

#[tokio::test]
async fn following_outlasts_a_change_of_leaders() {
    let followed = deploy(&electing(12).await, LONG).await.unwrap();
    assert!(followed.is_done(), "{followed}");
    // One that takes too long is an error, which says what is known.
    let error = deploy(&electing(usize::MAX).await, Duration::from_millis(200))
        .await
        .unwrap_err();
    assert!(error.is_retryable());
    assert!(
        error.message().contains(DEPLOYMENT) && error.message().contains("not seen"),
        "{error}"
    );
}

#[tokio::test]
async fn a_put_whose_answer_is_lost_is_not_sent_again() {
    for reply in [
        Reply::Drop,
        Reply::Raw("HTTP/1.1 200 OK\r\nContent-Length: 90\r\n\r\n{\"version\"".to_owned()),
        Reply::Drip("HTTP/1.1 200 OK\r\n".repeat(99), Duration::from_millis(20)),
    ] {
        let server = Server::start(move |request, _| match request.method.as_str() {
            "GET" => Reply::json(404, r#"{"message": "App '/prod/web' does not exist"}"#),
            _ => reply.clone(),
        })
        .await;
        let options = options().deadline(Duration::from_millis(300));
        let marathon = Marathon::new(&server.url(), options).unwrap();
        let error = marathon
            .put_app(&id(), &definition(), PutOptions::default())
            .await
            .unwrap_err();
        assert!(
            matches!(error.kind(), ErrorKind::Connection | ErrorKind::Timeout),
            "{error}"
        );
        assert!(
            !error.is_retryable() && error.message().contains("not known"),
            "{error}"
        );
        assert!(!told(&error).contains("hunter2"));
        assert_eq!(puts(&server).len(), 1);
    }
}

#[tokio::test]
async fn lies_are_no_success() {
    for body in [
        "<html>200</html>".to_owned(),
        "{}".to_owned(),
        "[1]".to_owned(),
        json!({"version": AFTER, "deploymentId": SECRET}).to_string(),
        json!({"version": SECRET, "deploymentId": DEPLOYMENT}).to_string(),
        json!({"version": "now", "deploymentId": DEPLOYMENT}).to_string(),
    ] {
        let error = refused(Reply::json(200, body)).await;
        assert_eq!(error.kind(), ErrorKind::Answer, "{error}");
    }
    let error = refused(Reply::with(
        302,
        "Location: https://login.example.org/hunter2-correct-horse\r\n",
        "",
    ))
    .await;
    assert_eq!(error.kind(), ErrorKind::Redirect);

    for (body, kind) in [
        (
            json!({"app": {"id": "/prod/other", "cmd": SECRET}}).to_string(),
            ErrorKind::Answer,
        ),
        (json!({"app": [SECRET]}).to_string(), ErrorKind::Answer),
        (json!([SECRET]).to_string(), ErrorKind::Answer),
        ("<html>hunter2</html>".to_owned(), ErrorKind::Answer),
    ] {
        let server = Server::start(move |_, _| Reply::json(200, body.clone())).await;
        let error = marathon(&server).app(&id()).await.unwrap_err();
        assert_eq!(error.kind(), kind, "{error}");
        assert!(!told(&error).contains("hunter2"), "{error:?}");
        let error = marathon(&server).deployments().await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Answer, "{error}");
        assert!(!told(&error).contains("hunter2"), "{error:?}");
    }
    // A page for 404 is not Marathon's word that there is no such app.
    let server =
        Server::start(|_, _| Reply::with(404, "Content-Type: text/html\r\n", "<html>")).await;
    let error = marathon(&server).app(&id()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound);
    assert!(error.message().contains("is the URL Marathon's"), "{error}");
}

#[tokio::test]
async fn the_definition_of_another_app_is_not_sent() {
    let server = start(None, Course::Done(0), "").await;
    let other: AppId = "/prod/api".parse().unwrap();
    let marathon = marathon(&server);
    let error = marathon
        .put_app(&other, &definition(), PutOptions::default())
        .await
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Options);
    assert!(
        error.message().contains("/prod/web") && error.message().contains("/prod/api"),
        "{error}"
    );
    assert!(server.seen().is_empty());
}

#[tokio::test]
async fn several_marathons_each_have_their_way_of_logging_in() {
    let reply = |request: &Request, _| match request.header("authorization")[..] {
        ["Basic bWU6aHVudGVyMi1jb3JyZWN0LWhvcnNl" | "token=hunter2-correct-horse"] => {
            Reply::json(200, "[]")
        }
        _ => Reply::json(401, r#"{"message": "Invalid username or password."}"#),
    };
    let plain = Server::start(reply).await;
    let mutual = Server::tls(true, reply).await;
    let trusting = options()
        .authority(AUTHORITY)
        .client_certificate(CLIENT, CLIENT_KEY);
    for (server, options, expected) in [
        (&plain, options().basic("me", SECRET), None),
        (
            &plain,
            options().basic("me", "wrong"),
            Some(ErrorKind::Denied),
        ),
        (&mutual, trusting.clone().dcos_token(SECRET), None),
        (&mutual, trusting.bearer(SECRET), Some(ErrorKind::Denied)),
        (
            &mutual,
            options().authority(AUTHORITY).dcos_token(SECRET),
            Some(ErrorKind::Tls),
        ),
    ] {
        let marathon = Marathon::new(&server.url(), options).unwrap();
        assert_eq!(
            format!("{marathon:?}"),
            format!("Marathon({:?})", server.url())
        );
        let error = marathon.deployments().await.err();
        assert_eq!(error.as_ref().map(Error::kind), expected, "{error:?}");
    }
}
