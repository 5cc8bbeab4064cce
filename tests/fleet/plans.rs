//! Plans: stages in their order, guards, barriers, and what is refused before the first connection.

use std::time::Duration;

use clusterops::report::{SkipReason, StageStatus};
use clusterops::ssh::{ConnectRetries, ErrorKind, RunAs};
use clusterops::{Fleet, Plan, Report, Stage, Step, Target};

use super::support::{Sshd, SshdOptions};
use super::{closed_port, fleet, run, shared_folder, targets};

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

    let codes = Plan::new("p").stage(Stage::shell("codes", "exit 3").success([0, 2]));
    let report = run(&fleet(targets(&sshd, 1)), &codes).await;
    let failure = report.hosts[0].failure.as_ref().expect("3 is no success");
    assert_eq!(failure.message, "exit status 3; success is 0 or 2");
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
        (
            Plan::new("p\u{1b}[2J").stage(Stage::command("s", ["true"])),
            ErrorKind::Plan,
            r#"the plan's name "p\u{1b}[2J" holds control characters"#,
        ),
        (
            one(Stage::command("s", ["true"]).success([0, 300])),
            ErrorKind::Plan,
            "stage `s`: `success` holds 300, and an exit status is a number from 0 to 255",
        ),
        (
            one(Stage::upload_tree("s", "/", "/tmp/x").run_as(RunAs::sudo())),
            ErrorKind::Plan,
            "a file is copied by the login user",
        ),
        (
            one(Stage::command("s", ["true"])
                .run_as(RunAs::sudo())
                .rollback(Step::upload("/etc/hosts", "/tmp/x"))),
            ErrorKind::Plan,
            "a file is copied by the login user",
        ),
        (
            one(Stage::command("s", ["true"]).secret_env("A", "a")),
            ErrorKind::Secret,
            "needs the secret `a`",
        ),
    ] {
        for error in [
            fleet.run(&plan).expect_err(words),
            fleet.dry_run(&plan).expect_err(words),
        ] {
            assert_eq!(error.kind(), kind, "{error}");
            assert!(error.to_string().contains(words), "{error}");
        }
    }
    let twice = Fleet::new([target.clone(), target]);
    assert!(
        twice
            .run(&one(Stage::command("s", ["true"])))
            .expect_err("twice")
            .to_string()
            .contains("web1")
    );
    let plan = one(Stage::command("s", ["true"]));
    for (fleet, words) in [
        (Fleet::new([]), "no targets"),
        (fleet.parallelism(0), "a parallelism of 0"),
        (Fleet::new([Target::new("", "a")]), r#"the target name """#),
        (
            Fleet::new([Target::new("a\nb", "a")]),
            r#"the target name "a\nb""#,
        ),
    ] {
        for error in [
            fleet.run(&plan).expect_err(words),
            fleet.dry_run(&plan).expect_err(words),
        ] {
            assert_eq!(error.kind(), ErrorKind::Plan, "{error}");
            assert!(error.to_string().contains(words), "{error}");
        }
    }
}

/// A stored plan is checked as one that was just made, and what it cannot hold is not stored.
#[test]
fn a_stored_plan_is_refused_for_what_the_same_plan_is() {
    let plan = Plan::new("p").stage(Stage::upload("s", "/etc/hosts", "/tmp/x"));
    let mut stored = serde_json::to_value(&plan).expect("plain data");
    stored["stages"][0]["pty"] = true.into();
    let read: Plan = serde_json::from_value(stored).expect("a plan");
    let error = read.validate().expect_err("a terminal");
    assert!(error.to_string().contains("a terminal goes with a command"));
    let misused = Plan::new("p").stage(Stage::command("s", ["true"]).mode(0o644));
    let error = serde_json::to_string(&misused).expect_err("it would be lost");
    assert!(error.to_string().contains("a mode goes with an upload"));
}

#[test]
fn only_commands_are_shown_to_run_as_somebody() {
    let mut target = Target::new("web1", "a");
    target.variables.insert("ansible_become", "yes");
    let plan = Plan::new("p")
        .stage(Stage::upload("copy", "/etc/hosts", "/tmp/x"))
        .stage(Stage::command("move", ["mv", "/tmp/x", "/etc/x"]))
        .stage(
            Stage::upload("guarded", "/etc/hosts", "/tmp/y")
                .unless(["test", "-e", "/root/y"])
                .rollback(Step::command(["rm", "/root/y"])),
        );
    let shown = Fleet::new([target])
        .dry_run(&plan)
        .expect("valid")
        .to_string();
    let lines: Vec<_> = shown.lines().collect();
    assert!(
        !lines[1].contains("root") && lines[2].contains(" as root"),
        "{shown}"
    );
    let guarded = "/tmp/y unless run test -e /root/y as root by sudo (rollback: run rm /root/y as root by sudo)";
    assert!(lines[3].ends_with(guarded), "{shown}");
}

#[test]
fn what_people_read_of_a_plan_cannot_act_on_a_terminal() {
    let stage = Stage::command("s\u{202e}", ["true"])
        .current_dir("/\u{1b}c")
        .creates("\u{9b}2J");
    let plan = Plan::new("p").stage(stage);
    let shown = Fleet::new([Target::new("web\u{200b}1", "a")])
        .dry_run(&plan)
        .expect("it is valid")
        .to_string();
    let lines: Vec<_> = shown.lines().collect();
    let [hosts, stage] = lines[..] else {
        panic!("{shown}");
    };
    assert!(hosts.contains(r"\u{200b}"), "{hosts}");
    let expected = r"  s\u{202e}: run true in /\u{1b}c unless \u{9b}2J exists";
    assert_eq!(stage, expected);
}

#[test]
fn a_deadline_that_cannot_be_is_named() {
    let plan = Plan::new("p").stage(Stage::command("s", ["true"]).deadline(Duration::from_secs(5)));
    let json = serde_json::to_string(&plan).expect("plain data");
    let wrong = json.replace("5.0", "-5.0");
    let error = serde_json::from_str::<Plan>(&wrong).expect_err("negative");
    let error = error.to_string();
    assert!(error.starts_with("`deadline` is -5 seconds: "), "{error}");
}

#[test]
fn what_people_read_of_a_report_cannot_act_on_a_terminal() {
    let report = r#"{
        "format": 1, "run_id": "r", "plan_name": "p\u001b[2J", "plan_digest": "",
        "started": "2026-01-01T00:00:00Z", "finished": "2026-01-01T00:00:01Z", "ending": "completed",
        "stages": ["s\u001b"],
        "hosts": [{
            "name": "web\n1",
            "failure": {"kind": "command", "stage": "s\u001b", "message": "exit status 1"},
            "stages": [{"status": "failed", "attempt": 1, "rollback": {"failure": "no"}}],
            "termination": {"unconfirmed": "no"}
        }]
    }"#;
    let report: Report = serde_json::from_str(report).expect("a report");
    let failure = report.hosts[0].failure.as_ref().expect("a failure");
    let shown = format!("{report}\n{failure}\n{}", report.gather("s\u{1b}"));
    assert!(!shown.contains('\u{1b}'), "{shown:?}");
    assert_eq!(shown.lines().count(), 6, "{shown}");
}

#[test]
fn a_run_outside_a_runtime_is_an_error() {
    let plan = Plan::new("p").stage(Stage::command("s", ["true"]));
    let error = Fleet::new([Target::new("web1", "127.0.0.1")])
        .run(&plan)
        .expect_err("no runtime");
    assert_eq!(error.kind(), ErrorKind::Local);
}

#[test]
fn what_is_fetched_never_meets_what_another_stage_fetches() {
    let folder = tempfile::tempdir().expect("a folder");
    let at = |name: &str| folder.path().join(name);
    std::fs::create_dir(at("a")).expect("ours");
    std::os::unix::fs::symlink("a", at("link")).expect("ours");
    std::fs::create_dir_all(at("b/web1")).expect("ours");
    std::fs::create_dir(at("c")).expect("ours");
    std::os::unix::fs::symlink("../b/web1", at("c/web1")).expect("ours");
    for (source, into, other, other_into, meet) in [
        ("/etc/hosts", "a", "/opt/hosts", "a/", true),
        ("/etc/hosts", "a", "/opt/hosts", "link", true),
        (
            "/etc/hosts",
            "a/new",
            "/opt/hosts",
            "link/other/../new",
            true,
        ),
        ("/etc/hosts", "b", "/opt/hosts", "c", true),
        // What is fetched may hold anything.
        ("/opt/web1", "a", "/etc/hosts", "a/web1", true),
        ("/etc/.", "a", "/opt/hosts", "a", true),
        ("/", "a", "/opt/hosts", "a", true),
        ("/etc/hosts", "a/web1/x", "/opt/x/", "link", true),
        ("/etc/hosts", "a", "/etc/hosts2", "link", false),
        ("/etc/hosts", "a", "/opt/hosts", "b", false),
        ("/etc/hosts", "none", "/opt/hosts", "nonesuch", false),
    ] {
        let what = format!("{source} into {into}, {other} into {other_into}");
        let one = Stage::fetch("one", source, at(into));
        let two = Stage::fetch("two", other, at(other_into));
        for (first, second) in [(&one, &two), (&two, &one)] {
            let plan = Plan::new("p").stage(first.clone()).stage(second.clone());
            let done = Fleet::new([Target::new("web1", "127.0.0.1")]).dry_run(&plan);
            match done {
                Ok(_) => assert!(!meet, "{what}"),
                Err(error) => {
                    assert!(meet, "{what}: {error}");
                    assert_eq!(error.kind(), ErrorKind::Plan);
                    assert!(error.message().contains("would overwrite"), "{error}");
                }
            }
        }
    }
}
