//! Hosts that failed, continued.

use clusterops::ssh::{ConnectRetries, ErrorKind};
use clusterops::{Plan, Report, Stage, Target};

use super::support::{Sshd, SshdOptions};
use super::{closed_port, fleet, run, shared_folder, targets};

#[tokio::test]
async fn failed_hosts_stop_and_are_continued_where_they_stopped() {
    let Some(sshd) = Sshd::start(SshdOptions::default()) else {
        return;
    };
    let folder = shared_folder(&sshd, "state");
    let mut targets = targets(&sshd, 6);
    let port = targets[5].port.replace(closed_port());
    let plan = Plan::new("p")
        .stage(Stage::shell("count", "echo x >> \"$D/$H\"").env("D", &folder).env("H", "{{host}}"))
        .stage(Stage::shell("check", "if [ -e \"$D/broken-$H\" ]; then echo 'no space left on device' >&2; exit 1; fi; echo started").env("D", &folder).env("H", "{{host}}"))
        .stage(Stage::command("after", ["true"]));
    std::fs::write(format!("{folder}/broken-web3"), "").expect("our folder");
    let broken = fleet(targets.clone()).connect_retries(ConnectRetries::default().attempts(1));
    let report = run(&broken, &plan).await;
    assert_eq!(report.failed().to_string(), "web[3,6]");
    assert_eq!(
        report
            .host("web6")
            .and_then(|host| host.failure.clone())
            .expect("dead")
            .kind,
        ErrorKind::Refused
    );
    assert_eq!(
        report
            .host("web3")
            .and_then(|host| host.failure.clone())
            .expect("broken")
            .kind,
        ErrorKind::Command
    );
    assert_eq!(
        report.gather("check").to_string(),
        "web[1-2,4-5]: started\nweb3: no space left on device (exit status 1)\nweb6: refused: Connection refused (os error 111)"
    );

    std::fs::remove_file(format!("{folder}/broken-web3")).expect("it is there");
    targets[5].port = port;
    let json = serde_json::to_string(&report).expect("plain data");
    let report: Report = serde_json::from_str(&json).expect("it reads back");
    let mended = fleet(targets);
    let again = mended
        .retry(&plan, &report)
        .expect("the same plan")
        .await
        .expect("it goes on");
    assert!(again.is_success(), "{again}");
    assert_eq!(again.hosts.len(), 6);
    for number in 1..=6 {
        let count =
            std::fs::read_to_string(format!("{folder}/web{number}")).expect("it was counted");
        assert_eq!(
            count, "x\n",
            "web{number} did not repeat its finished stage"
        );
    }
    assert_eq!(again.host("web3").expect("a host").stages[1].attempt, 2);
    let error = mended
        .retry(
            &Plan::new("p").stage(Stage::command("other", ["true"])),
            &report,
        )
        .expect_err("another plan");
    assert_eq!(error.kind(), ErrorKind::Plan);
}

#[tokio::test]
async fn a_retry_refuses_changed_files() {
    let Some(sshd) = Sshd::start(SshdOptions::default()) else {
        return;
    };
    let script = sshd.folder().join("s.sh");
    std::fs::write(&script, "exit 1\n").expect("our folder");
    let plan = Plan::new("p").stage(Stage::script("s", &script));
    let fleet = fleet(targets(&sshd, 1));
    let report = run(&fleet, &plan).await;
    assert!(!report.is_success());
    std::fs::write(&script, "exit 0\n").expect("our folder");
    let error = fleet
        .retry(&plan, &report)
        .expect("the same plan")
        .await
        .expect_err("another script");
    assert!(error.to_string().contains("s.sh"), "{error}");
}

#[tokio::test]
async fn a_retry_refuses_files_that_variables_name_anew() {
    let Some(sshd) = Sshd::start(SshdOptions::default()) else {
        return;
    };
    for version in ["1.4", "1.5"] {
        let script = sshd.folder().join(format!("deploy-{version}.sh"));
        std::fs::write(&script, "exit 1\n").expect("our folder");
    }
    let script = sshd.folder().join("deploy-{{version}}.sh");
    let plan = Plan::new("p").stage(Stage::script("deploy", &script));
    let with = |version: &str| {
        let mut targets = targets(&sshd, 2);
        for target in &mut targets {
            target.variables.insert("version", version);
        }
        fleet(targets)
    };
    let report = run(&with("1.4"), &plan).await;
    assert_eq!(report.failed().len(), 2);
    let error = with("1.5").retry(&plan, &report).expect_err("another file");
    assert_eq!(error.kind(), ErrorKind::Plan);
    let said = error.to_string();
    assert!(
        said.contains("web1") && said.contains("deploy-1.5.sh") && said.contains("`deploy`"),
        "{said}"
    );
    let again = with("1.4").retry(&plan, &report).expect("the same files");
    assert_eq!(again.await.expect("it goes on").failed().len(), 2);

    // Who was no target before goes by variables of its own.
    let more = Target {
        name: "web3".into(),
        ..with("1.5").targets()[0].clone()
    };
    let all = fleet(with("1.4").targets().iter().cloned().chain([more]));
    let again = all.retry(&plan, &report).expect("the same files").await;
    assert_eq!(again.expect("it goes on").failed().len(), 3);
}

/// A report says what was sent by all the runs that it is about, also where one of them came to nothing.
#[tokio::test]
async fn a_retry_forgets_no_file_that_was_sent() {
    let Some(sshd) = Sshd::start(SshdOptions::default()) else {
        return;
    };
    for version in ["1", "2"] {
        let script = sshd.folder().join(format!("deploy-{version}.sh"));
        std::fs::write(&script, "exit 1\n").expect("our folder");
    }
    let plan = Plan::new("p").stage(Stage::script(
        "deploy",
        sshd.folder().join("deploy-{{version}}.sh"),
    ));
    let mut targets = targets(&sshd, 2);
    targets[0].variables.insert("version", "1");
    targets[1].variables.insert("version", "2");
    let both = fleet(targets.clone());
    let first = run(&both, &plan).await;
    assert_eq!((first.failed().len(), first.files.len()), (2, 2));

    let cancelled = both.retry(&plan, &first).expect("the same files");
    cancelled.control().cancel();
    let second = cancelled.await.expect("it goes on");
    let third = fleet([targets[0].clone()])
        .retry(&plan, &second)
        .expect("a part of them")
        .await
        .expect("it goes on");
    assert_eq!(third.files, first.files);
    let again = both.retry(&plan, &third).expect("the same files").await;
    assert_eq!(again.expect("it goes on").failed().len(), 2);

    std::fs::write(sshd.folder().join("deploy-2.sh"), "exit 0\n").expect("our folder");
    let changed = both.retry(&plan, &third).expect("the same names").await;
    let error = changed.expect_err("another file");
    assert!(error.to_string().contains("deploy-2.sh"), "{error}");

    // What has finished needs neither its variables nor its files any more.
    let done = run(&fleet([targets[1].clone()]), &plan).await;
    assert!(done.is_success(), "{done}");
    let bare = Target {
        variables: Default::default(),
        ..targets[1].clone()
    };
    let again = fleet([bare]).retry(&plan, &done).expect("it has finished");
    assert!(again.await.expect("nothing to do").is_success());
}
