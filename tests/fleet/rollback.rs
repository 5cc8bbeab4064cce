//! What was begun is undone.

use std::path::Path;

use clusterops::plan::RollbackWhen;
use clusterops::report::Ending;
use clusterops::ssh::{ErrorKind, RunState, Termination};
use clusterops::{Event, Plan, Stage, Step};

use super::support::{Sshd, SshdOptions};
use super::{fleet, run, shared_folder, targets};

#[tokio::test]
async fn rollbacks_undo_what_was_begun_last_first() {
    let Some(sshd) = Sshd::start(SshdOptions::default()) else {
        return;
    };
    let folder = shared_folder(&sshd, "undo");
    let stage = |name: &str, line: &str| {
        Stage::shell(name, line)
            .env("LOG", format!("{folder}/{{{{host}}}}"))
            .rollback(Step::shell(format!("echo undo {name} >> \"$LOG\"")))
    };
    let plan = |when| {
        Plan::new("p")
            .stage(stage("one", "echo one >> \"$LOG\""))
            .stage(Stage::command("plain", ["true"]))
            .stage(stage(
                "two",
                "echo two >> \"$LOG\"; case $LOG in *web2) exit 1;; esac",
            ))
            .stage(stage("three", "echo three >> \"$LOG\""))
            .rollback_when(when)
    };
    let read = |host: &str| std::fs::read_to_string(Path::new(&folder).join(host)).expect("it ran");
    let fleet = fleet(targets(&sshd, 2));
    let report = run(&fleet, &plan(RollbackWhen::Failed)).await;
    assert_eq!(read("web1"), "one\ntwo\nthree\n");
    assert_eq!(read("web2"), "one\ntwo\nundo two\nundo one\n");
    let host = report.host("web2").expect("a host");
    assert_eq!(
        host.first_unfinished(),
        0,
        "a stage that was undone is unfinished"
    );
    assert!(
        host.stages[0]
            .rollback
            .as_ref()
            .is_some_and(|rollback| rollback.failure.is_none())
    );

    let report = run(&fleet, &plan(RollbackWhen::Aborted)).await;
    assert_eq!(
        report.host("web2").expect("a host").first_unfinished(),
        2,
        "nothing was undone"
    );
}

#[tokio::test]
async fn an_abort_rolls_back_everywhere_and_a_cancel_does_not() {
    let Some(sshd) = Sshd::start(SshdOptions::default()) else {
        return;
    };
    for (is_abort, left) in [(true, "on\noff\n"), (false, "on\n")] {
        let folder = shared_folder(&sshd, if is_abort { "abort" } else { "cancel" });
        let plan = Plan::new("p")
            .stage(
                Stage::shell("on", "echo on >> \"$LOG\"")
                    .env("LOG", format!("{folder}/{{{{host}}}}"))
                    .rollback(Step::shell("echo off >> \"$LOG\"")),
            )
            .stage(
                Stage::shell("wait", "case $H in web1) ;; *) sleep 1002;; esac")
                    .env("H", "{{host}}"),
            );
        let mut run = fleet(targets(&sshd, 3)).run(&plan).expect("a valid plan");
        let (control, mut events) = (run.control(), run.events());
        let mut waiting = 0;
        let mut finished = false;
        while waiting < 2 || !finished {
            match events.next().await.expect("not over yet") {
                Event::Host {
                    state: clusterops::ssh::HostState::Running { stage: 1 },
                    host,
                } if &*host != "web1" => waiting += 1,
                Event::Host {
                    state: clusterops::ssh::HostState::Succeeded,
                    ..
                } => finished = true,
                _ => {}
            }
        }
        if is_abort {
            control.abort()
        } else {
            control.cancel()
        }
        let report = run.await.expect("the report comes all the same");
        assert_eq!(
            report.ending,
            if is_abort {
                Ending::Aborted
            } else {
                Ending::Cancelled
            }
        );
        for host in ["web2", "web3"] {
            let host = report.host(host).expect("a host");
            assert_eq!(host.termination, Some(Termination::Confirmed), "{host:?}");
            assert_eq!(
                host.failure.as_ref().expect("it was ended").kind,
                ErrorKind::Cancelled
            );
        }
        for host in ["web1", "web2", "web3"] {
            assert_eq!(
                std::fs::read_to_string(format!("{folder}/{host}")).expect("it ran"),
                left,
                "{host}"
            );
        }
        assert_eq!(report.host("web1").expect("a host").is_success(), !is_abort);
        while let Some(event) = events.next().await {
            if let Event::Run(state) = event {
                assert!(matches!(
                    state,
                    RunState::Aborting | RunState::Cancelling | RunState::Finished
                ));
            }
        }
        let left = std::process::Command::new("pgrep")
            .args(["-f", "sleep 100[2]"])
            .output()
            .expect("procps");
        assert_eq!(String::from_utf8_lossy(&left.stdout), "");
    }
}
