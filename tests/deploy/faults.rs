//! Marathons that are not there, refuse, lie or talk nonsense, and what an operator reads of it.

use super::*;
use support::Request;
use support::marathon::{AFTER, DEPLOYMENT};

const GONE: &str = "http://127.0.0.1:1";

type Answer = fn(&Request) -> Reply;

/// A Marathon without apps that answers a put so.
async fn answering(put: Reply) -> Server {
    after(put, |_| unreachable!("nothing was put")).await
}

/// The same, which answers so what comes after the put.
async fn after(put: Reply, then: Answer) -> Server {
    let has_put = std::sync::atomic::AtomicBool::new(false);
    Server::start(move |request, _| match request.method.as_str() {
        "PUT" => {
            has_put.store(true, std::sync::atomic::Ordering::SeqCst);
            put.clone()
        }
        _ if has_put.load(std::sync::atomic::Ordering::SeqCst) => then(request),
        _ => Reply::json(404, r#"{"message": "App '/prod/web' does not exist"}"#),
    })
    .await
}

/// What became of a document at one Marathon.
async fn deployed(file: &SealedFile, marathon: Marathon) -> Deployed {
    let deployed = reviewed(file).run(file, &[&key()], &[marathon]).await;
    only(deployed.expect("it is sent"))
}

/// What is read of a deploy that did not succeed.
async fn failed(server: &Server) -> String {
    let (_folder, file) = sealed(APP);
    let deployed = deployed(&file, marathon(server)).await;
    assert!(!deployed.is_success(), "{deployed}");
    let shown = deployed.to_string();
    assert!(
        !shown.contains("hunter2") && !shown.contains("k-17"),
        "{shown}"
    );
    assert!(shown.starts_with(&format!("/prod/web at {}: ", server.url())));
    assert!(
        !shown.replace('\t', "").contains(char::is_control),
        "{shown}"
    );
    shown
}

#[tokio::test]
async fn each_marathon_has_its_dry_run() {
    let good = start(None, Course::Done(0), "").await;
    let bad = Server::start(|_, _| Reply::json(500, r#"{"message": "boom"}"#)).await;
    let (_folder, file) = sealed(APP);
    let marathons = [marathon_at(GONE), marathon(&bad), marathon(&good)];
    let plans = dry_run(&file, &[&key()], &marathons).await;
    let plans = plans.expect("it could be deployed");
    let urls: Vec<&str> = plans.iter().map(|plan| plan.marathon.as_str()).collect();
    assert_eq!(urls, marathons.each_ref().map(Marathon::url));
    for (plan, why) in plans.iter().zip(["Connection refused", "boom"]) {
        assert!(plan.result.is_err(), "{plan}");
        let shown = plan.to_string();
        assert!(
            shown.contains("\nnot compared: GET ") && shown.contains(why),
            "{shown}"
        );
    }
    assert!(plans[2].result.as_ref().is_ok_and(|told| told.is_new));
}

#[tokio::test]
async fn no_marathon_is_given_twice() {
    let server = start(None, Course::Done(0), "").await;
    let (_folder, file) = sealed(APP);
    let slash = format!("{}/", server.url());
    let twice = [marathon(&server), marathon_at(&slash)];
    let errors = [
        reviewed(&file)
            .run(&file, &[&key()], &twice)
            .await
            .expect_err("twice"),
        dry_run(&file, &[&key()], &twice).await.expect_err("twice"),
        dry_run(&file, &[&key()], &[]).await.expect_err("none"),
    ];
    for error in errors {
        assert!(error.to_string().contains("given"), "{error}");
    }
    assert_eq!(server.seen().len(), 0);
}

#[tokio::test]
async fn a_failure_is_told_with_its_cause_and_in_marathons_words() {
    let (_folder, file) = sealed(APP);
    let gone = deployed(&file, marathon_at(GONE)).await.to_string();
    assert!(gone.contains("Connection refused"), "{gone}");

    let objection = json!({"message": "Object is not valid: a \u{1b}[2Jlimit", "details": [
        {"path": "/container/docker/image", "errors": ["no such image web:1.4 in zone a"]},
        {"path": "/env/DB", "errors": ["`hunter2 \"x\"` is too short", "x".repeat(5000)]},
        {"path": "/env/KEY", "errors": ["`k-17` has a dash"]},
    ]});
    let server = answering(Reply::json(422, objection.to_string())).await;
    let shown = failed(&server).await;
    for words in [
        r"Object is not valid: a \u{1b}[2Jlimit",
        "/container/docker/image: no such image web:1.4 in zone a",
        "/env/DB: (withheld",
        "/env/KEY: (withheld",
    ] {
        assert!(shown.contains(words), "{words}: {shown}");
    }
    assert!(shown.len() < 1500, "{}", shown.len());

    for (body, words) in [
        (
            "no\tleader elected\r\nstack trace",
            "says: no\tleader elected",
        ),
        (
            "<html><head>\n<TITLE lang=en>502 Bad gate</TITLE>hunter2",
            "says: 502 Bad gate",
        ),
        ("got hunter2 \"x\"", "says: (withheld"),
        ("<html>", "none of Marathon's error texts;"),
        (r#"{"cut": "hunter"#, "none of Marathon's error texts;"),
        ("", "none of Marathon's error texts;"),
    ] {
        let shown = failed(&answering(Reply::json(500, body)).await).await;
        assert!(shown.contains(words), "{shown}");
    }
}

#[tokio::test]
async fn what_the_tasks_died_of_is_told_but_for_secrets() {
    for (failure, shown) in [
        ("cannot pull web:1.4 in a", "cannot pull web:1.4 in a"),
        ("cannot open hunter2 \"x\"", "(withheld"),
    ] {
        let server = start(None, Course::Incomplete, failure).await;
        let told = failed(&server).await;
        assert!(told.contains("failed: ") && told.contains(shown), "{told}");
    }
}

/// Nobody knows then whether the app was changed, and the operator has to look.
#[tokio::test]
async fn a_put_that_was_not_answered_plainly_may_have_changed_the_app() {
    let huge = "HTTP/1.1 200 OK\r\nContent-Length: 100000000\r\n\r\n{";
    let endless = format!(
        "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n{}",
        " ".repeat((16 << 20) + 1)
    );
    for (reply, words) in [
        (Reply::json(200, ""), "is empty instead of JSON"),
        (Reply::json(200, "<html>"), "is a page for people"),
        (Reply::json(201, "{}"), "another shape"),
        (Reply::Raw(huge.into()), "200, has more than the 16777216"),
        (Reply::Raw(endless), "has more than the 16777216"),
        (Reply::Raw("SSH-2.0-x\r\n".into()), "does not speak HTTP"),
        (
            Reply::json(
                200,
                json!({"version": AFTER, "deploymentId": "/"}).to_string(),
            ),
            "names no deployment",
        ),
    ] {
        let shown = failed(&answering(reply).await).await;
        let advice = "whether a deployment was started is to be seen in Marathon";
        assert!(shown.contains(words) && shown.contains(advice), "{shown}");
    }
    let shown = failed(&answering(Reply::Drop).await).await;
    assert!(shown.contains("look before it is sent again"), "{shown}");
}

#[tokio::test]
async fn a_deployment_whose_end_is_not_seen_is_named() {
    let started = json!({"version": AFTER, "deploymentId": DEPLOYMENT}).to_string();
    let answers: [(Answer, &str); 4] = [
        (
            |_| Reply::json(401, r#"{"message": "token expired"}"#),
            "token expired",
        ),
        (|_| Reply::json(200, "<html>"), "a page for people"),
        (|_| Reply::json(404, "<html>"), "404"),
        (
            |_| Reply::with(302, "Location: https://login.example.org/\r\n", ""),
            "login.example.org",
        ),
    ];
    for (answer, words) in answers {
        let shown = failed(&after(Reply::json(200, started.clone()), answer).await).await;
        let start = format!("deployment {DEPLOYMENT} of /prod/web was started");
        assert!(shown.contains(&start) && shown.contains(words), "{shown}");
    }
}

/// What comes out of a sealed value is data, and so is a text that only begins like a marker.
#[tokio::test]
async fn what_looks_like_a_marker_and_is_none_arrives() {
    let server = start(None, Course::Done(0), "").await;
    let source = json!({
        "id": "/prod/web",
        "instances": 1,
        "cmd": "grep 'ENC[ is only a text' DEC[ SEALED[ file",
        "env": {
            "A": "ENC[a:ENC[b:c] and more]",
            "B": "ENC[b:see DEC[x]]",
            "C": "ENC[c:SEALED[by the king]]",
            "D": "ENC[d:ENC[]",
            "E": "DEC[] and more",
        },
    });
    let (_folder, file) = sealed(&source.to_string());
    let deployed = deployed(&file, marathon(&server)).await;
    assert!(deployed.is_success(), "{deployed}");
    let expected = json!({
        "A": "ENC[b:c] and more",
        "B": "see DEC[x]",
        "C": "SEALED[by the king]",
        "D": "ENC[",
        "E": "DEC[] and more",
    });
    assert_eq!(put(&server)[0]["env"], expected);
    assert_eq!(put(&server)[0]["cmd"], source["cmd"]);
    let plan = differences(&file, &[key()], &server).await;
    assert_eq!((plan.changes.len(), plan.unchanged.len()), (0, 4));
}

/// Who sealed a marker, or what was sealed already, meant its value.
#[tokio::test]
async fn a_marker_that_was_sealed_in_place_of_its_value_is_not_posted() {
    let server = start(None, Course::Done(0), "").await;
    for (inner, marker) in [
        ("ENC[b:c]", "ENC["),
        ("DEC[x]", "DEC["),
        ("SEALED[eyJ.x]", "SEALED["),
    ] {
        let source = json!({"id": "/prod/web", "env": {"A": format!("ENC[a:{inner}]")}});
        let (_folder, file) = sealed(&source.to_string());
        let trust = Trust::Reviewed(file.digest());
        let result = Deploy::new(trust)
            .run(&file, &[&key()], &[marathon(&server)])
            .await;
        let shown = result.expect_err("it is no value").to_string();
        let why = format!("/env/A: what is sealed here is itself a marker, `{marker}`");
        assert!(shown.contains(&why) && !shown.contains(inner), "{shown}");
    }
    assert_eq!(put(&server).len(), 0);
}

/// FORMAT.md allows a byte order mark; Marathon's reader of JSON does not.
#[tokio::test]
async fn a_byte_order_mark_is_no_fault_and_is_not_posted() {
    let server = start(None, Course::Done(0), "").await;
    let (_folder, file) = sealed(&format!("\u{feff}{APP}"));
    assert!(file.text().starts_with('\u{feff}'));
    let deployed = deployed(&file, marathon(&server)).await;
    assert!(deployed.is_success(), "{deployed}");
    assert_eq!(put(&server)[0]["env"]["KEY"], "k-17");
}

/// Who has put a secret elsewhere into the running app does not get it shown.
#[tokio::test]
async fn a_dry_run_hides_what_of_the_running_app_repeats_a_secret() {
    let running =
        json!({"id": "/prod/web", "container": {"docker": {"image": "repo/hunter2 \"x\":1"}}});
    let server = start(Some(running), Course::Done(0), "").await;
    let (_folder, file) = sealed(APP);
    let shown = differences(&file, &[key()], &server).await.to_string();
    let image = "~ /container/docker/image: (hidden) -> \"web:1.4\"";
    assert!(
        shown.contains(image) && !shown.contains("hunter2"),
        "{shown}"
    );
}
