//! Pauses, deadlines, and runs that are dropped.

use std::path::Path;
use std::time::Duration;

use clusterops::ssh::{ErrorKind, Termination};
use clusterops::{Event, Plan, Stage};

use super::support::{Sshd, SshdOptions};
use super::{fleet, run, shared_folder, targets, wait_until};

#[tokio::test]
async fn a_pause_holds_the_next_stage_until_it_ends() {
    let Some(sshd) = Sshd::start(SshdOptions::default()) else {
        return;
    };
    let folder = shared_folder(&sshd, "pause");
    let plan = Plan::new("p")
        .stage(Stage::shell(
            "first",
            format!("touch {folder}/begun; while ! [ -e {folder}/go ]; do sleep 0.05; done"),
        ))
        .stage(Stage::command("second", ["true"]));
    let mut run = fleet(targets(&sshd, 1)).run(&plan).expect("a valid plan");
    let (control, mut events) = (run.control(), run.events());
    wait_until(|| Path::new(&folder).join("begun").exists()).await;
    control.pause();
    std::fs::write(format!("{folder}/go"), "").expect("our folder");
    loop {
        match events.next().await.expect("not over yet") {
            Event::Host {
                state: clusterops::ssh::HostState::Held { before: 1 },
                ..
            } => break,
            Event::Host {
                state: clusterops::ssh::HostState::Running { stage: 1 },
                ..
            } => panic!("it is paused"),
            _ => {}
        }
    }
    control.resume();
    assert!(run.await.expect("it goes on").is_success());
}

#[tokio::test]
async fn a_dropped_run_ends_the_remote_processes() {
    let Some(sshd) = Sshd::start(SshdOptions::default()) else {
        return;
    };
    let folder = shared_folder(&sshd, "dropped");
    // Nobody else's, not even of the same test at the same time.
    let own = std::process::id();
    let plan = Plan::new("p").stage(Stage::shell(
        "s",
        format!("touch {folder}/begun; exec sleep 1003.{own}"),
    ));
    let run = fleet(targets(&sshd, 1)).run(&plan).expect("a valid plan");
    wait_until(|| Path::new(&folder).join("begun").exists()).await;
    drop(run);
    let is_gone = || {
        let left = std::process::Command::new("pgrep")
            .args(["-f", &format!("sleep 1003[.]{own}")])
            .output()
            .expect("procps");
        left.stdout.is_empty()
    };
    wait_until(is_gone).await;
}

#[tokio::test]
async fn a_stage_past_its_deadline_is_ended_and_its_output_kept() {
    let Some(sshd) = Sshd::start(SshdOptions::default()) else {
        return;
    };
    let plan = Plan::new("p").stage(
        Stage::shell("s", "echo partial; trap '' TERM; sleep 1004; sleep 1004")
            .deadline(Duration::from_secs(5)),
    );
    let report = run(&fleet(targets(&sshd, 2)), &plan).await;
    for host in &report.hosts {
        assert_eq!(
            host.failure.as_ref().expect("it is late").kind,
            ErrorKind::Timeout
        );
        assert_eq!(host.termination, Some(Termination::Confirmed));
        assert_eq!(host.stages[0].stdout.to_string(), "partial\n");
    }
}
