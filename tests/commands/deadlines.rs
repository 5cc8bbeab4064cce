//! Deadlines of stages whose processes a signal request does not reach: another user's, and those of a login as root, to
//! which sshd sends none.

use std::path::Path;
use std::time::Duration;

use clusterops::report::HostReport;
use clusterops::ssh::{ErrorKind, RunAs, Termination};
use clusterops::{Command, Fleet, Plan, Stage, Target};
use tokio::time::sleep;

use crate::run_as::remaining;
use crate::support::{PASSWORD, Sshd, SshdOptions};
use crate::{connect, options};

const SUDOERS: &str = "root ALL=(ALL) ALL\nops ALL=(ALL) ALL\n";

/// The longest of the deadlines that are tried: a slow machine may have nothing to show for the short ones.
const LONGEST: Duration = Duration::from_secs(40);

fn operator(sshd: &Sshd) -> Target {
    let mut target = sshd.target_for("ops");
    let name = "ansible_become_password".to_owned();
    target.secrets.insert(name, PASSWORD.into());
    target
}

async fn run(target: &Target, stage: &Stage, deadline: Duration) -> HostReport {
    let plan = Plan::new("p").stage(stage.clone().deadline(deadline));
    let run = Fleet::new([target.clone()]).session(options()).run(&plan);
    let report = run.expect("a valid plan").await.expect("it goes on");
    report.hosts.into_iter().next().expect("a host")
}

fn is_late_with(host: &HostReport, output: &str) {
    let failure = host.failure.as_ref().expect("it is late");
    assert_eq!(failure.kind, ErrorKind::Timeout, "{failure}");
    assert_eq!(host.stages[0].stdout.to_string(), output);
}

#[tokio::test]
async fn a_deadline_ends_what_runs_as_root_and_keeps_its_output() {
    let raised = SshdOptions::default().account("ops", "/bin/sh");
    let raised = Sshd::start(raised.etc("sudoers", SUDOERS));
    let root = Sshd::start(SshdOptions::default().root_login());
    let (Some(raised), Some(root)) = (raised, root) else {
        return;
    };
    let stage = Stage::shell("s", "echo partial; trap '' TERM; sleep 1721; sleep 1721");
    for (sshd, target, stage) in [
        (
            &raised,
            operator(&raised),
            stage.clone().run_as(RunAs::sudo()),
        ),
        (&root, root.target("web1", "127.0.0.1"), stage),
    ] {
        let mut deadline = Duration::from_secs(1);
        let host = loop {
            let host = run(&target, &stage, deadline).await;
            if !host.stages[0].stdout.is_empty() || deadline > LONGEST {
                break host;
            }
            deadline *= 3;
        };
        is_late_with(&host, "partial\n");
        assert_eq!(host.termination, Some(Termination::Confirmed));
        assert_eq!(remaining(sshd, "sleep\x001721"), [""; 0]);
    }
}

#[tokio::test]
async fn what_policy_hides_after_a_deadline_is_not_confirmed() {
    let options = SshdOptions::default().account("ops", "/bin/sh");
    let Some(sshd) = Sshd::start(options.etc("sudoers", SUDOERS)) else {
        return;
    };
    let (sudoers, begun) = (
        sshd.folder().join("etc/sudoers"),
        sshd.folder().join("begun"),
    );
    let line = format!(
        "echo partial; touch {}; trap '' TERM; sleep 1722",
        begun.display()
    );
    let stage = Stage::shell("s", line).run_as(RunAs::sudo());
    let write = |file: &Path, text: &str| std::fs::write(file, text).expect("our own copy");
    let target = operator(&sshd);
    let mut deadline = Duration::from_secs(1);
    let host = loop {
        write(&sudoers, SUDOERS);
        let _ = std::fs::remove_file(&begun);
        let forbidding = async {
            while !begun.exists() {
                sleep(Duration::from_millis(5)).await;
            }
            write(&sudoers, "root ALL=(ALL) ALL\n");
            std::future::pending::<HostReport>().await
        };
        let host = tokio::select! {
            host = run(&target, &stage, deadline) => host,
            never = forbidding => never,
        };
        // Where it was forbidden too late, the end was seen.
        let is_hidden = matches!(host.termination, Some(Termination::Unconfirmed(_)));
        if (is_hidden && !host.stages[0].stdout.is_empty()) || deadline > LONGEST {
            break host;
        }
        deadline *= 3;
    };
    is_late_with(&host, "partial\n");
    let Some(Termination::Unconfirmed(why)) = &host.termination else {
        panic!("nobody could look: {host:?}");
    };
    assert!(why.contains("does not run commands as `root`"), "{why}");
}

/// No channel is left then for the looks at the host.
#[tokio::test]
async fn as_many_commands_as_a_session_may_have_are_ended() {
    let options = SshdOptions::default().root_login().max_sessions(10);
    let Some(sshd) = Sshd::start(options) else {
        return;
    };
    let session = connect(&sshd, &sshd.target("web1", "127.0.0.1")).await;
    let session = std::sync::Arc::new(session);
    let command = Command::shell("sleep 1723").deadline(Duration::from_secs(10));
    let running: Vec<_> = (0..10)
        .map(|_| {
            let (session, command) = (session.clone(), command.clone());
            tokio::spawn(async move { session.output(&command).await })
        })
        .collect();
    for running in running {
        let late = running.await.expect("no panic").expect_err("it is late");
        assert_eq!(late.kind(), ErrorKind::Timeout, "{late}");
        let says = Termination::Confirmed.to_string();
        assert!(late.to_string().ends_with(&says), "{late}");
    }
    assert_eq!(remaining(&sshd, "sleep\x001723"), [""; 0]);
}
