//! Controllers that are killed in the middle of a run, against a real sshd, and what the next one does.

use std::path::{Path, PathBuf};
use std::process::{Child, Command};

use clusterops::journal::{Journal, Leftover};
use clusterops::report::Ending;
use clusterops::ssh::{ErrorKind, RunAs};
use clusterops::{Plan, Report, Stage, Target, Termination};
use serde_json::json;

use super::support::{PASSWORD, Sshd, SshdOptions};
use super::{fleet, part, wait_until};

/// What the controller is told that is to be killed.
fn about(plan: &Plan, targets: &[Target], journal: &Path) -> serde_json::Value {
    json!([plan, targets, journal])
}

/// A controller in a process of its own that is killed as soon as the condition holds.
async fn kill_once(what: &str, about: &serde_json::Value, condition: impl FnMut() -> bool) {
    let command = part::command(&[], "killed::part_that_is_killed", about);
    kill_when(what, command, condition, || ()).await;
}

/// Kills a process once the condition holds and something has been looked at.
pub(crate) async fn kill_when<T>(
    what: &str,
    mut command: Command,
    condition: impl FnMut() -> bool,
    meanwhile: impl FnOnce() -> T,
) -> T {
    struct Killed(Child);
    impl Drop for Killed {
        fn drop(&mut self) {
            self.0.kill().expect("it has not been waited for");
            self.0.wait().expect("our child");
        }
    }
    let controller = Killed(command.spawn().expect("this program"));
    wait_until(what, condition).await;
    let seen = meanwhile();
    drop(controller);
    seen
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "a part of the tests here"]
async fn part_that_is_killed() {
    let (plan, targets, journal): (Plan, Vec<Target>, PathBuf) =
        serde_json::from_value(part::about()).expect("the test wrote it");
    let targets = targets.into_iter().map(with_password);
    let run = fleet(targets).journal(journal).run(&plan);
    let _ = run.expect("a valid plan").await;
}

/// Targets that go through JSON lose their secrets.
fn with_password(mut target: Target) -> Target {
    let name = "ansible_become_password".to_owned();
    target.secrets.insert(name, PASSWORD.into());
    target
}

async fn resume(
    plan: &Plan,
    targets: &[Target],
    journal: &Path,
    leftover: Leftover,
) -> clusterops::ssh::Result<Report> {
    let targets = targets.iter().cloned().map(with_password);
    fleet(targets)
        .leftover(leftover)
        .resume(plan, journal)?
        .await
}

pub(crate) fn lines(path: &Path) -> Vec<String> {
    let text = std::fs::read_to_string(path).unwrap_or_default();
    text.lines().map(str::to_owned).collect()
}

/// A folder that every user of the tests may write to.
pub(crate) fn open_folder(sshd: &Sshd) -> PathBuf {
    use std::os::unix::fs::PermissionsExt as _;

    let folder = sshd.folder().join("shared");
    std::fs::create_dir(&folder).expect("our folder");
    let mode = std::fs::Permissions::from_mode(0o1777);
    std::fs::set_permissions(&folder, mode).expect("our folder");
    folder
}

#[tokio::test(flavor = "multi_thread")]
async fn a_script_under_way_is_waited_for_and_run_again() {
    let Some(sshd) = Sshd::start(SshdOptions::default()) else {
        return;
    };
    let folder = open_folder(&sshd);
    let (diary, go) = (folder.join("diary"), folder.join("go"));
    let script = folder.join("script.sh");
    // The lock is there while an attempt is at work; one that finds it says so.
    let text = r#"cd "$1"
        mkdir lock || echo overlap >>diary
        echo "$CLUSTEROPS_STAGE $CLUSTEROPS_ATTEMPT begins" >>diary
        until [ -e go ]; do sleep 0.05; done
        echo "$CLUSTEROPS_STAGE $CLUSTEROPS_ATTEMPT ends" >>diary
        rmdir lock"#;
    std::fs::write(&script, text).expect("our folder");
    let note = format!(
        "echo \"$CLUSTEROPS_STAGE $CLUSTEROPS_ATTEMPT\" >>{}",
        diary.display()
    );
    let plan = Plan::new("p")
        .stage(Stage::shell("before", &note))
        .stage(Stage::script("work", &script).arguments([folder.display().to_string()]))
        .stage(Stage::shell("after", &note));
    let targets = [sshd.target("web1", "127.0.0.1")];
    let journal = sshd.folder().join("run.journal");
    kill_once("the script", &about(&plan, &targets, &journal), || {
        lines(&diary).contains(&"work 1 begins".to_owned())
    })
    .await;
    assert_eq!(
        Journal::open(&journal)
            .expect("it is whole")
            .report()
            .ending,
        Ending::Interrupted
    );

    let resumed = tokio::spawn({
        let (plan, journal) = (plan.clone(), journal.clone());
        async move { resume(&plan, &targets, &journal, Leftover::Wait).await }
    });
    // Whenever it looks at the host: it must not start before the other one has ended.
    wait_until("the second controller", || {
        sshd.log().matches("Accepted publickey").count() > 1
    })
    .await;
    std::fs::write(&go, "").expect("our folder");
    let report = resumed.await.expect("no panic").expect("it goes on");
    assert!(report.is_success(), "{report}");
    assert_eq!(
        lines(&diary),
        [
            "before 1",
            "work 1 begins",
            "work 1 ends",
            "work 2 begins",
            "work 2 ends",
            "after 1"
        ]
    );
    assert_eq!(report.hosts[0].attempts, [1, 2, 1]);
}

/// The other user's processes can neither be looked at nor ended by the login user.
#[tokio::test(flavor = "multi_thread")]
async fn what_runs_under_sudo_is_ended_through_sudo() {
    let sudoers = "root ALL=(ALL) ALL\nops ALL=(ALL) ALL\nfree ALL=(ALL) NOPASSWD: ALL\n";
    let options = SshdOptions::default()
        .account("ops", "/bin/sh")
        .account("free", "/bin/sh");
    let Some(sshd) = Sshd::start(options.etc("sudoers", sudoers)) else {
        return;
    };
    let folder = open_folder(&sshd);
    let (diary, go) = (folder.join("diary"), folder.join("go"));
    let line = format!(
        "cd {}; echo $CLUSTEROPS_ATTEMPT $$ >>diary; until [ -e go ]; do sleep 0.05; done",
        folder.display()
    );
    let raised = Stage::shell("raised", &line).run_as(RunAs::sudo());
    // Here sudo is a word of the command: its process keeps nothing of our environment that we could read, and what it
    // starts has none of it.
    let by_words = Stage::command("words", ["sudo", "-n", "sh", "-c", &line]);
    for (login, stage, attempt) in [("ops", raised, "1"), ("free", by_words, "")] {
        let _ = std::fs::remove_file(&diary);
        let _ = std::fs::remove_file(&go);
        let targets = [sshd.target_for(login)];
        let journal = sshd.folder().join(format!("{login}.journal"));
        let plan = Plan::new("p").stage(stage);
        kill_once("the command", &about(&plan, &targets, &journal), || {
            !lines(&diary).is_empty()
        })
        .await;
        let first = lines(&diary).remove(0);
        let (said, pid) = first.rsplit_once(' ').unwrap_or(("", &first));
        assert_eq!(said.trim(), attempt, "{login}");
        let process = PathBuf::from(format!("/proc/{pid}"));
        assert!(process.exists(), "{login}: it outlives its controller");

        let resumed = tokio::spawn({
            let (plan, journal) = (plan.clone(), journal.clone());
            async move { resume(&plan, &targets, &journal, Leftover::End).await }
        });
        wait_until("the second attempt", || lines(&diary).len() > 1).await;
        assert!(!process.exists(), "{login}: two attempts at once");
        std::fs::write(&go, "").expect("our folder");
        let report = resumed.await.expect("no panic").expect("it goes on");
        assert!(report.is_success(), "{login}: {report}");
        assert_eq!(report.hosts[0].attempts, [2]);
    }
}

/// Its leader has ended before the controller, and what is left keeps nothing of our environment.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_left_of_a_group_without_its_leader_is_no_end() {
    let Some(sshd) = Sshd::start(SshdOptions::default()) else {
        return;
    };
    let folder = open_folder(&sshd);
    let (diary, leader, go) = (
        folder.join("diary"),
        folder.join("leader"),
        folder.join("go"),
    );
    let line = format!(
        "cd {}; env -i PATH=\"$PATH\" sh -c 'echo $1 begins >>diary; until [ -e go ]; do sleep 0.05; done; \
         echo $1 ends >>diary' sh $CLUSTEROPS_ATTEMPT & echo $$ >leader",
        folder.display()
    );
    let plan = Plan::new("p").stage(Stage::shell("work", &line));
    let targets = [sshd.target("web1", "127.0.0.1")];
    for (name, leftover) in [("end", Leftover::End), ("wait", Leftover::Wait)] {
        for file in [&diary, &leader, &go] {
            let _ = std::fs::remove_file(file);
        }
        let journal = sshd.folder().join(format!("{name}.journal"));
        kill_once(
            "the leader's end",
            &about(&plan, &targets, &journal),
            || {
                let pid = lines(&leader).pop();
                let has_ended = |pid| !Path::new("/proc").join(pid).exists();
                !lines(&diary).is_empty() && pid.is_some_and(has_ended)
            },
        )
        .await;
        let logins = || sshd.log().matches("Accepted publickey").count();
        let before = logins();
        let resumed = tokio::spawn({
            let (plan, targets, journal) = (plan.clone(), targets.clone(), journal.clone());
            async move { resume(&plan, &targets, &journal, leftover).await }
        });
        let expected = match leftover {
            Leftover::Wait => {
                wait_until("the second controller", || logins() > before).await;
                std::fs::write(&go, "").expect("our folder");
                let report = resumed.await.expect("no panic").expect("it goes on");
                assert!(report.is_success(), "{report}");
                &["1 begins", "1 ends", "2 begins", "2 ends"][..]
            }
            _ => {
                // It would wait for `go`, were the stage run again.
                let resumed = tokio::time::timeout(super::PATIENCE, resumed).await;
                let resumed = resumed.expect("it does not go on").expect("no panic");
                let report = resumed.expect("it can be resumed");
                let host = &report.hosts[0];
                let Some(Termination::Unconfirmed(why)) = &host.termination else {
                    panic!("{report}");
                };
                assert!(
                    why.contains("the leader of its process group is gone"),
                    "{why}"
                );
                std::fs::write(&go, "").expect("our folder");
                &["1 begins", "1 ends"]
            }
        };
        wait_until("the end", || lines(&diary).len() >= expected.len()).await;
        assert_eq!(lines(&diary), expected, "{name}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plan_whose_local_file_has_changed_is_not_gone_on_with() {
    let Some(sshd) = Sshd::start(SshdOptions::default()) else {
        return;
    };
    let folder = open_folder(&sshd);
    let file = folder.join("app.tar");
    std::fs::write(&file, "version 1").expect("our folder");
    let (begun, sent) = (folder.join("begun"), folder.join("sent.tar"));
    let wait = format!("touch {}; sleep 60", begun.display());
    let plan = Plan::new("p")
        .stage(Stage::upload("unpack", &file, sent.display().to_string()))
        .stage(Stage::shell("wait", wait));
    let targets = [sshd.target("web1", "127.0.0.1")];
    let journal = sshd.folder().join("run.journal");
    kill_once(
        "the second stage",
        &about(&plan, &targets, &journal),
        || begun.exists(),
    )
    .await;
    std::fs::write(&file, "version 2").expect("our folder");
    let error = resume(&plan, &targets, &journal, Leftover::End).await;
    let error = error.expect_err("another file");
    assert_eq!(error.kind(), ErrorKind::Plan);
    assert!(error.to_string().contains("app.tar"), "{error}");
    assert_eq!(
        std::fs::read_to_string(&sent).expect("it was sent"),
        "version 1"
    );
}
