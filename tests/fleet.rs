//! Fleets, plans and runs against a real sshd.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use clusterops::core::secrecy::SecretString;
use clusterops::plan::RollbackWhen;
use clusterops::report::{Ending, SkipReason, StageStatus};
use clusterops::ssh::{ConnectRetries, Credentials, ErrorKind, Purpose, RunState, Termination};
use clusterops::{Event, Fleet, Plan, Report, SessionOptions, Stage, Step, Target};

mod support;
use support::{Sshd, SshdOptions};

/// `count` hosts that are all the same server, each by its own address.
fn targets(sshd: &Sshd, count: usize) -> Vec<Target> {
    (1..=count)
        .map(|number| {
            sshd.target(
                &format!("web{number}"),
                &format!("127.0.{}.{}", number / 250, number % 250 + 1),
            )
        })
        .collect()
}

fn fleet(targets: impl IntoIterator<Item = Target>) -> Fleet {
    Fleet::new(targets)
        .session(SessionOptions::default().agent(false))
        .connect_retries(ConnectRetries::default().first_pause(Duration::from_millis(50)))
}

async fn run(fleet: &Fleet, plan: &Plan) -> Report {
    fleet
        .run(plan)
        .expect("a valid plan")
        .await
        .expect("the run goes on")
}

/// A folder that the login user can write to.
fn shared_folder(sshd: &Sshd, name: &str) -> String {
    let folder = sshd.folder().join(name);
    std::fs::create_dir(&folder).expect("a new folder");
    std::fs::set_permissions(&folder, std::os::unix::fs::PermissionsExt::from_mode(0o777))
        .expect("our folder");
    folder.to_str().expect("UTF-8").to_owned()
}

#[tokio::test]
async fn a_plan_runs_on_every_host_over_one_connection_each() {
    let Some(sshd) = Sshd::start(SshdOptions::default()) else {
        return;
    };
    let folder = shared_folder(&sshd, "opt");
    let source = sshd.folder().join("app-1.4.tar");
    std::fs::write(&source, vec![7; 1 << 20]).expect("our folder");
    let script = sshd.folder().join("deploy.sh");
    std::fs::write(
        &script,
        "echo \"$ZONE $1 $CLUSTEROPS_STAGE $CLUSTEROPS_ATTEMPT ${CLUSTEROPS_RUN:+run}\"\n",
    )
    .expect("ours");

    let mut targets = targets(&sshd, 12);
    for (index, target) in targets.iter_mut().enumerate() {
        target
            .variables
            .insert("zone", if index < 6 { "a" } else { "b" });
        target.variables.insert("version", "1.4");
    }
    let plan = Plan::new("deploy 1.4")
        .stage(
            Stage::command("preflight", ["test", "-d", &folder])
                .deadline(Duration::from_secs(30))
                .barrier(),
        )
        .stage(
            Stage::upload(
                "unpack",
                sshd.folder().join("app-{{version}}.tar"),
                format!("{folder}/{{{{host}}}}.tar"),
            )
            .mode(0o640),
        )
        .stage(
            Stage::script("start", &script)
                .env("ZONE", "{{zone}}")
                .arguments(["{{host}}"]),
        );
    let fleet = fleet(targets).parallelism(5);
    assert!(
        fleet
            .dry_run(&plan)
            .expect("it is valid")
            .to_string()
            .contains("ZONE=\"b\"")
    );

    let report = run(&fleet, &plan).await;
    assert!(report.is_success(), "{report}\n{:?}", report.hosts[0]);
    let said = report.host("web7").expect("a host").stages[2]
        .stdout
        .to_string();
    assert_eq!(said, "b web7 start 1 run\n");
    for number in 1..=12 {
        let path = format!("{folder}/web{number}.tar");
        let metadata = std::fs::metadata(&path).expect("it was uploaded");
        assert_eq!(
            (
                metadata.len(),
                std::os::unix::fs::PermissionsExt::mode(&metadata.permissions()) & 0o777
            ),
            (1 << 20, 0o640)
        );
    }
    assert_eq!(
        std::fs::read_dir(&folder).expect("a folder").count(),
        12,
        "nothing else is left"
    );
    assert_eq!(sshd.log().matches("Accepted publickey").count(), 12);
    assert_eq!(report.gather("start").answers().len(), 12);
    let json = serde_json::to_string(&report).expect("plain data");
    assert_eq!(
        serde_json::from_str::<Report>(&json).expect("it reads back"),
        report
    );
}

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
async fn guards_run_once_and_exit_codes() {
    let Some(sshd) = Sshd::start(SshdOptions::default()) else {
        return;
    };
    let folder = shared_folder(&sshd, "once");
    let plan = Plan::new("p")
        .stage(
            Stage::shell("migrate", format!("echo x >> {folder}/migrated; sleep 0.2")).run_once(),
        )
        .stage(Stage::command(
            "after",
            ["test", "-e", &format!("{folder}/migrated")],
        ))
        .stage(Stage::command("creates", ["false"]).creates("/"))
        .stage(Stage::command("unless", ["false"]).unless(["true"]))
        .stage(Stage::shell("codes", "exit 3").success([0, 3]))
        .stage(
            Stage::command("taken", ["true"])
                .creates("/nonexistent")
                .unless(["false"]),
        );
    let report = run(&fleet(targets(&sshd, 8)).parallelism(2), &plan).await;
    assert!(report.is_success(), "{report}");
    assert_eq!(
        std::fs::read_to_string(format!("{folder}/migrated")).expect("it ran"),
        "x\n"
    );
    let statuses = |host: &str| -> Vec<StageStatus> {
        report
            .host(host)
            .expect("a host")
            .stages
            .iter()
            .map(|stage| stage.status)
            .collect()
    };
    use StageStatus::{Done, Skipped};
    let rest = [
        Done,
        Skipped(SkipReason::Creates),
        Skipped(SkipReason::Unless),
        Done,
        Done,
    ];
    assert_eq!(statuses("web1"), [&[Done][..], &rest].concat());
    assert_eq!(
        statuses("web8"),
        [&[Skipped(SkipReason::RunOnce)][..], &rest].concat()
    );

    let failing = Plan::new("p").stage(Stage::command("migrate", ["false"]).run_once());
    let report = run(&fleet(targets(&sshd, 3)), &failing).await;
    let kinds: Vec<_> = report
        .hosts
        .iter()
        .map(|host| host.failure.as_ref().map(|failure| failure.kind))
        .collect();
    assert_eq!(
        kinds,
        [
            Some(ErrorKind::Command),
            Some(ErrorKind::Blocked),
            Some(ErrorKind::Blocked)
        ]
    );
}

#[tokio::test]
async fn a_barrier_holds_more_hosts_than_work_at_once() {
    let Some(sshd) = Sshd::start(SshdOptions::default()) else {
        return;
    };
    let folder = shared_folder(&sshd, "barrier");
    let plan = Plan::new("p")
        .stage(
            Stage::shell("first", "touch \"$D/$H\"")
                .env("D", &folder)
                .env("H", "{{host}}")
                .barrier(),
        )
        .stage(Stage::shell("second", "ls \"$D\" | wc -l").env("D", &folder));
    let mut targets = targets(&sshd, 10);
    targets[4].port = Some(closed_port());
    let report = run(
        &fleet(targets)
            .parallelism(3)
            .connect_retries(ConnectRetries::default().attempts(1)),
        &plan,
    )
    .await;
    assert_eq!(report.failed().to_string(), "web5");
    assert_eq!(report.gather("second").answers()[0].text, "9");
    assert_eq!(sshd.log().matches("Accepted publickey").count(), 9);
}

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
    let plan = Plan::new("p").stage(Stage::shell(
        "s",
        format!("touch {folder}/begun; exec sleep 1003"),
    ));
    let run = fleet(targets(&sshd, 1)).run(&plan).expect("a valid plan");
    wait_until(|| Path::new(&folder).join("begun").exists()).await;
    drop(run);
    let is_gone = || {
        let left = std::process::Command::new("pgrep")
            .args(["-f", "sleep 100[3]"])
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
            .deadline(Duration::from_secs(1)),
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

#[derive(Debug)]
struct Vault;

#[async_trait::async_trait]
impl Credentials for Vault {
    async fn secret(
        &self,
        target: &Target,
        purpose: &Purpose,
    ) -> clusterops::ssh::Result<Option<SecretString>> {
        match purpose {
            Purpose::Environment(name) if name == "db" => {
                Ok(Some(format!("pa'ss\n{}", target.name).into()))
            }
            _ => Ok(None),
        }
    }
}

#[tokio::test]
async fn secrets_reach_the_environment_and_nothing_else() {
    let Some(sshd) = Sshd::start(SshdOptions::default()) else {
        return;
    };
    // What `ps` would show of the whole session, beside what the command sees.
    let line = "printf '%s' \"$DB_PASSWORD\" | wc -c; cat /proc/$$/cmdline /proc/$PPID/cmdline | tr '\\0' ' '";
    let plan = Plan::new("p").stage(Stage::shell("s", line).secret_env("DB_PASSWORD", "db"));
    let with = fleet(targets(&sshd, 1)).credentials(Arc::new(Vault));
    let report = run(&with, &plan).await;
    let said = report.host("web1").expect("a host").stages[0]
        .stdout
        .to_string();
    assert!(
        said.starts_with("10\n") && !said.contains("pa'ss"),
        "{said}"
    );
    assert!(
        !serde_json::to_string(&report)
            .expect("plain data")
            .contains("pa'ss")
    );
    assert!(!sshd.log().contains("pa'ss"));

    let unknown = Plan::new("p").stage(Stage::shell("s", line).secret_env("DB_PASSWORD", "other"));
    for fleet in [&with, &fleet(targets(&sshd, 1))] {
        let report = run(fleet, &unknown).await;
        assert_eq!(
            report.hosts[0].failure.as_ref().expect("no secret").kind,
            ErrorKind::Secret
        );
    }
}

#[derive(Debug)]
struct Broken;

#[async_trait::async_trait]
impl Credentials for Broken {
    async fn secret(
        &self,
        target: &Target,
        _: &Purpose,
    ) -> clusterops::ssh::Result<Option<SecretString>> {
        assert_ne!(target.name, "web2", "a panic in credentials");
        Ok(Some("secret".to_owned().into()))
    }
}

#[tokio::test]
async fn a_panic_in_credentials_ends_one_host_only() {
    let Some(sshd) = Sshd::start(SshdOptions::default()) else {
        return;
    };
    let plan = Plan::new("p")
        .stage(
            Stage::command("first", ["true"])
                .secret_env("S", "s")
                .barrier(),
        )
        .stage(Stage::command("second", ["true"]).run_once());
    let report = run(
        &fleet(targets(&sshd, 3)).credentials(Arc::new(Broken)),
        &plan,
    )
    .await;
    assert_eq!(report.failed().to_string(), "web2");
    assert_eq!(
        report
            .host("web2")
            .and_then(|host| host.failure.clone())
            .expect("it broke")
            .kind,
        ErrorKind::Local
    );
}

#[tokio::test]
async fn outputs_are_capped_in_memory_and_whole_on_disk() {
    let Some(sshd) = Sshd::start(SshdOptions::default()) else {
        return;
    };
    let folder = tempfile::tempdir().expect("a folder");
    let plan = Plan::new("p").stage(Stage::shell("a/b", "seq 100000; printf '\\377' >&2"));
    let fleet = fleet(targets(&sshd, 3))
        .output_cap(1000)
        .output_budget(5000)
        .output_folder(folder.path().join("out"));
    let report = run(&fleet, &plan).await;
    assert!(
        report.is_success() && report.warnings.is_empty(),
        "{report}"
    );
    let whole: String = (1..=100_000).map(|number| format!("{number}\n")).collect();
    for host in &report.hosts {
        let stdout = &host.stages[0].stdout;
        assert_eq!(
            (stdout.total(), stdout.cut()),
            (whole.len() as u64, whole.len() as u64 - 1000)
        );
        assert!(
            stdout.to_string().starts_with("1\n2\n") && stdout.to_string().ends_with("\n100000\n")
        );
        let files = folder.path().join("out").join(&host.name);
        assert_eq!(
            std::fs::read_to_string(files.join("01-a%2Fb.stdout")).expect("whole"),
            whole
        );
        assert_eq!(
            std::fs::read(files.join("01-a%2Fb.stderr")).expect("whole"),
            b"\xff"
        );
    }
    let json = serde_json::to_string(&report).expect("plain data");
    assert_eq!(
        serde_json::from_str::<Report>(&json).expect("it reads back"),
        report
    );
}

#[tokio::test]
async fn a_server_that_drops_connections_under_load_gets_them_again() {
    for max_startups in ["2:50:6", "1000"] {
        let Some(sshd) = Sshd::start(SshdOptions::default().max_startups(max_startups)) else {
            return;
        };
        let plan = Plan::new("p").stage(Stage::command("s", ["uname", "-n"]));
        let fleet = fleet(targets(&sshd, 60)).parallelism(30).connect_retries(
            ConnectRetries::default()
                .attempts(20)
                .first_pause(Duration::from_millis(100))
                .longest_pause(Duration::from_secs(2)),
        );
        let report = run(&fleet, &plan).await;
        assert!(report.is_success(), "{report}");
        assert_eq!(report.gather("s").answers().len(), 1);
    }
}

#[tokio::test]
async fn a_server_with_one_session_a_connection_still_ends_its_processes() {
    let Some(sshd) = Sshd::start(SshdOptions::default().max_sessions(1)) else {
        return;
    };
    let plan = Plan::new("p").stage(
        Stage::shell("s", "trap '' TERM; sleep 1005; sleep 1005")
            .deadline(Duration::from_millis(500)),
    );
    let report = run(&fleet(targets(&sshd, 1)), &plan).await;
    assert_eq!(
        report.hosts[0].termination,
        Some(Termination::Confirmed),
        "{report}"
    );
}

#[tokio::test]
async fn nobody_needs_to_read_the_events() {
    let Some(sshd) = Sshd::start(SshdOptions::default()) else {
        return;
    };
    let plan = Plan::new("p").stage(Stage::shell("s", "head -c 3000000 /dev/zero"));
    let mut run = fleet(targets(&sshd, 4)).run(&plan).expect("a valid plan");
    let mut unread = run.events();
    assert!(run.await.expect("it goes on").is_success());
    let (mut read, mut skipped, mut last) = (0, 0, None);
    while let Some(event) = unread.next().await {
        if let Event::Output {
            bytes,
            skipped: missed,
            ..
        } = &event
        {
            read += bytes.len() as u64;
            skipped += missed;
        }
        last = Some(event);
    }
    assert_eq!(read + skipped, 12_000_000);
    assert!(read < 1_000_000 && matches!(last, Some(Event::Run(RunState::Finished))));
}

#[tokio::test]
async fn what_cannot_run_is_said_before_the_first_connection() {
    let target = Target::new("web1", "127.0.0.1");
    let one = |stage: Stage| Plan::new("p").stage(stage);
    let fleet = fleet([target.clone()]);
    for (plan, kind, words) in [
        (Plan::new("p"), ErrorKind::Plan, "no stages"),
        (
            one(Stage::command("s", ["echo", "{{zone}}"])),
            ErrorKind::Plan,
            "no variable `zone`",
        ),
        (
            one(Stage::upload("s", "/nonexistent", "/tmp/x")),
            ErrorKind::Local,
            "/nonexistent",
        ),
        (
            one(Stage::upload("s", "/", "/tmp/x")),
            ErrorKind::Local,
            "not a regular file",
        ),
        (
            one(Stage::command("s", ["true"]).mode(0o644)),
            ErrorKind::Plan,
            "a mode goes with an upload",
        ),
        (one(Stage::command("s", ["a\0b"])), ErrorKind::Plan, "NUL"),
        (
            one(Stage::command("s", ["true"]).env("A-B", "c")),
            ErrorKind::Plan,
            "A-B",
        ),
        (
            one(Stage::command("s", ["true"])).stage(Stage::command("s", ["true"])),
            ErrorKind::Plan,
            "two stages",
        ),
    ] {
        let error = fleet.run(&plan).expect_err(words);
        assert_eq!(error.kind(), kind, "{error}");
        assert!(error.to_string().contains(words), "{error}");
    }
    let twice = Fleet::new([target.clone(), target]);
    assert!(
        twice
            .run(&one(Stage::command("s", ["true"])))
            .expect_err("twice")
            .to_string()
            .contains("web1")
    );
    assert!(
        Fleet::new([])
            .run(&one(Stage::command("s", ["true"])))
            .is_err()
    );
}

#[test]
fn a_run_outside_a_runtime_is_an_error() {
    let plan = Plan::new("p").stage(Stage::command("s", ["true"]));
    let error = Fleet::new([Target::new("web1", "127.0.0.1")])
        .run(&plan)
        .expect_err("no runtime");
    assert_eq!(error.kind(), ErrorKind::Local);
}

fn closed_port() -> u16 {
    std::net::TcpListener::bind("127.0.0.1:0")
        .and_then(|listener| listener.local_addr())
        .expect("a free port")
        .port()
}

async fn wait_until(mut condition: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(20);
    while !condition() {
        assert!(Instant::now() < deadline, "it did not come about");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}
