//! Runs whose controller ends before they do, and that go on from their journal.

use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::sync::Arc;

use clusterops::core::secrecy::SecretString;
use clusterops::journal::{Journal, Leftover};
use clusterops::{Credentials, Purpose};
use tempfile::TempDir;
use tokio::runtime::Runtime;

use super::*;

/// A controller that can be ended at any moment, as a kill does: nothing of it goes on, and nothing is tidied up.
pub(super) struct Controller(pub(super) Option<Runtime>);

impl Controller {
    pub(super) fn new() -> Self {
        let mut builder = tokio::runtime::Builder::new_multi_thread();
        let runtime = builder.worker_threads(1).enable_all().build();
        Self(Some(runtime.expect("a runtime")))
    }

    pub(super) fn run(&self, fleet: &Fleet, plan: &Plan) -> Run {
        let _inside = self.0.as_ref().map(Runtime::enter);
        fleet.run(plan).expect("a valid plan")
    }
}

impl Drop for Controller {
    fn drop(&mut self) {
        if let Some(runtime) = self.0.take() {
            // Until nothing of it is at work any more: what a run notes when it is dropped later is not what a killed one notes.
            let ending = std::thread::spawn(|| runtime.shutdown_timeout(Duration::from_secs(30)));
            let _ = ending.join();
        }
    }
}

/// A folder and the name of a journal in it.
pub(super) fn journal() -> (TempDir, PathBuf) {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("run.journal");
    (folder, file)
}

/// Starts a run with a journal and ends its controller once `is_time`.
pub(super) async fn interrupt(
    fleet: &Fleet,
    plan: &Plan,
    file: &PathBuf,
    is_time: impl FnMut() -> bool,
) {
    let controller = Controller::new();
    let run = controller.run(&fleet.clone().journal(file), plan);
    wait_until("the moment", is_time).await;
    drop(controller);
    drop(run);
}

pub(super) async fn resume(fleet: &Fleet, plan: &Plan, file: &PathBuf) -> Report {
    report(fleet.resume(plan, file).expect("a journal")).await
}

pub(super) fn running(sim: &Sim, host: &str) -> usize {
    sim.host(host).processes().len()
}

/// The attempts at a stage that came to a host, as its commands were told.
pub(super) fn attempts(sim: &Sim, host: &str, stage: &str) -> Vec<String> {
    let commands = sim.host(host).commands().into_iter();
    commands
        .filter(|command| {
            command
                .environment
                .get("CLUSTEROPS_STAGE")
                .map(String::as_str)
                == Some(stage)
        })
        .map(|command| command.environment["CLUSTEROPS_ATTEMPT"].clone())
        .collect()
}

pub(super) fn three_stages() -> Plan {
    Plan::new("p")
        .stage(Stage::command("one", ["one"]).barrier())
        .stage(Stage::command("two", ["two"]))
        .stage(Stage::command("three", ["three"]))
}

pub(super) fn known() -> SimHost {
    SimHost::new("")
        .answer("one", Answer::stdout("first\n"))
        .answer("three", Answer::stdout("third\n"))
}

/// An answer that never ends while the switch is on, and this one afterwards.
pub(super) fn hanging(
    switch: &Arc<AtomicBool>,
    then: Answer,
) -> impl Fn(&SimCommand) -> Answer + use<> {
    let switch = Arc::clone(switch);
    move |_| match switch.load(Ordering::SeqCst) {
        true => Answer::never_exits(),
        false => then.clone(),
    }
}

pub(super) fn begun(sim: &Sim, hosts: std::ops::RangeInclusive<usize>, stage: &str) -> bool {
    let mut names = hosts.map(|n| format!("web{n}"));
    names.all(|name| running(sim, &name) == 1 && attempts(sim, &name, stage).len() == 1)
}

#[tokio::test]
async fn what_is_recorded_is_not_run_again_and_what_was_under_way_is_ended_first() {
    let first = Arc::new(AtomicBool::new(true));
    let hangs = Arc::clone(&first);
    let two = move |_: &SimCommand| match hangs.load(Ordering::SeqCst) {
        true => Answer::never_exits(),
        false => Answer::stdout("second\n"),
    };
    let sim = start(alike(known().answer_with("two", two), 3)).await;
    let (plan, fleet) = (three_stages(), fleet(&sim).leftover(Leftover::End));
    let (_folder, file) = journal();
    interrupt(&fleet, &plan, &file, || {
        (1..=3).all(|n| {
            running(&sim, &format!("web{n}")) == 1
                && lines(&sim.host(&format!("web{n}"))).len() == 2
        })
    })
    .await;

    let held = Journal::open(&file).expect("a journal");
    assert_eq!((held.ended(), held.is_finished()), (0, false));
    assert_eq!(held.plan(), &plan);
    let so_far = held.report();
    assert_eq!(so_far.ending, Ending::Interrupted);
    for host in &so_far.hosts {
        assert_eq!(kind(host), Some(ErrorKind::Cancelled));
        assert_eq!(host.stages[0].stdout.to_string(), "first\n");
        assert_eq!(host.stages[1].status, StageStatus::Failed);
    }
    let left: Vec<u32> = sim.hosts().map(|host| host.processes()[0].pid).collect();

    first.store(false, Ordering::SeqCst);
    let told = resume(&fleet, &plan, &file).await;
    assert!(told.is_success(), "{told}");
    assert_eq!(
        (&told.run_id, told.ending),
        (&so_far.run_id, Ending::Completed)
    );
    assert_eq!(told.started, so_far.started);
    for (host, left) in told.hosts.iter().zip(left) {
        let said: Vec<String> = host
            .stages
            .iter()
            .map(|stage| stage.stdout.to_string())
            .collect();
        assert_eq!(said, ["first\n", "second\n", "third\n"]);
        assert_eq!(host.attempts, [1, 2, 1]);
        assert_eq!(attempts(&sim, &host.name, "one"), ["1"]);
        assert_eq!(attempts(&sim, &host.name, "two"), ["1", "2"]);
        let processes = sim.host(&host.name).processes();
        assert!(processes.iter().all(|process| process.pid != left));
    }

    // It has come to its end: this asks no host anything.
    let before: Vec<usize> = sim.hosts().map(|host| host.commands().len()).collect();
    let again = report(Run::resume(&file).expect("a journal")).await;
    assert_eq!(again.hosts, told.hosts);
    let after: Vec<usize> = sim.hosts().map(|host| host.commands().len()).collect();
    assert_eq!(before, after);
    assert!(Journal::open(&file).expect("a journal").is_finished());
}

#[tokio::test]
async fn an_attempt_that_is_still_at_work_is_waited_for() {
    let overlaps = Arc::new(AtomicUsize::new(0));
    let sim_of_host = Arc::new(OnceLock::<SimHandle>::new());
    let (counted, handle) = (Arc::clone(&overlaps), Arc::clone(&sim_of_host));
    let two = move |command: &SimCommand| {
        let others = handle.get().expect("started").processes();
        let stage = |name: &std::collections::BTreeMap<String, String>| {
            name.get("CLUSTEROPS_STAGE").cloned()
        };
        let others = others
            .iter()
            .filter(|process| stage(&process.environment) == stage(&command.environment));
        // This one is there too.
        counted.fetch_max(others.count(), Ordering::SeqCst);
        Answer::stdout("done\n").with_delay(Duration::from_millis(700))
    };
    let sim = start([known().answer_with("two", two).named("web1")]).await;
    assert!(sim_of_host.set(sim.host("web1")).is_ok());
    let plan = three_stages();
    let (_folder, file) = journal();
    interrupt(&fleet(&sim), &plan, &file, || {
        attempts(&sim, "web1", "two").len() == 1
    })
    .await;
    let told = resume(&fleet(&sim), &plan, &file).await;
    assert!(told.is_success(), "{told}");
    assert_eq!(attempts(&sim, "web1", "two"), ["1", "2"]);
    assert_eq!(overlaps.load(Ordering::SeqCst), 1);
    // It came to its end by itself.
    let told_to = lines(&sim.host("web1"));
    let is_signal = |line: &String| line.starts_with("kill -s");
    assert!(!told_to.iter().any(is_signal), "{told_to:?}");
}

#[tokio::test]
async fn an_attempt_that_cannot_be_ended_is_not_joined_by_another() {
    let stubborn = SimHost::new("web1")
        .answer("two", Answer::never_exits())
        .answer(Match::prefix("kill "), Answer::status(1));
    let sim = start([stubborn]).await;
    let fleet = fleet(&sim).leftover(Leftover::End);
    let plan = Plan::new("p").stage(Stage::command("two", ["two"]));
    let (_folder, file) = journal();
    interrupt(&fleet, &plan, &file, || begun(&sim, 1..=1, "two")).await;
    let told = resume(&fleet, &plan, &file).await;
    let host = host(&told, "web1");
    let failure = host.failure.as_ref().expect("it stopped");
    assert!(
        failure.message.contains("attempt 1 at stage `two`"),
        "{failure}"
    );
    assert!(
        matches!(host.termination, Some(Termination::Unconfirmed(_))),
        "{host:?}"
    );
    assert_eq!(attempts(&sim, "web1", "two"), ["1"]);
}

#[tokio::test]
async fn hosts_that_had_failed_stay_so_and_can_be_retried() {
    let broken = Arc::new(AtomicBool::new(true));
    let is_broken = Arc::clone(&broken);
    let two =
        move |command: &SimCommand| match (command.host.as_str(), is_broken.load(Ordering::SeqCst))
        {
            ("web1", true) => Answer::status(3),
            ("web2", true) => Answer::never_exits(),
            _ => Answer::new(),
        };
    let sim = start(alike(known().answer_with("two", two), 2)).await;
    let (plan, fleet) = (three_stages(), fleet(&sim).leftover(Leftover::End));
    let (_folder, file) = journal();
    interrupt(&fleet, &plan, &file, || {
        // The first host has said goodbye, and the second one is at it.
        running(&sim, "web2") == 1
            && attempts(&sim, "web1", "two").len() == 1
            && sim.host("web1").open_connections() == 0
    })
    .await;
    broken.store(false, Ordering::SeqCst);
    let told = resume(&fleet, &plan, &file).await;
    assert_eq!(told.failed().to_string(), "web1");
    assert_eq!(exit(host(&told, "web1")), Some(Exit::Status(3)));
    let (_folder, other) = journal();
    let again = retry(&fleet.clone().journal(&other), &plan, &told).await;
    assert!(again.is_success(), "{again}");
    assert_eq!(attempts(&sim, "web1", "two"), ["1", "2"]);
    let held = Journal::open(&other).expect("a journal").report();
    assert_eq!(held.hosts, again.hosts);
}

#[tokio::test]
async fn a_rollback_that_was_under_way_is_brought_to_its_end() {
    let hangs = Arc::new(AtomicBool::new(true));
    let is_hanging = Arc::clone(&hangs);
    let undo = move |_: &SimCommand| match is_hanging.load(Ordering::SeqCst) {
        true => Answer::never_exits(),
        false => Answer::new(),
    };
    let sim = start([SimHost::new("web1")
        .answer("two", Answer::status(1))
        .answer_with("undo", undo)
        .answer(Match::prefix("one"), Answer::new())])
    .await;
    let plan = Plan::new("p")
        .stage(Stage::command("one", ["one"]).rollback(Step::command(["undo"])))
        .stage(Stage::command("two", ["two"]));
    let fleet = fleet(&sim).leftover(Leftover::End);
    let (_folder, file) = journal();
    interrupt(&fleet, &plan, &file, || {
        lines(&sim.host("web1")).contains(&"undo".to_owned())
    })
    .await;
    hangs.store(false, Ordering::SeqCst);
    let told = resume(&fleet, &plan, &file).await;
    let host = host(&told, "web1");
    assert_eq!(
        host.failure
            .as_ref()
            .and_then(|failure| failure.stage.as_deref()),
        Some("two")
    );
    assert_eq!(host.stages[0].status, StageStatus::RolledBack);
    let told_to: Vec<String> = lines(&sim.host("web1"));
    let count = |what: &str| told_to.iter().filter(|line| *line == what).count();
    assert_eq!((count("one"), count("two"), count("undo")), (1, 1, 2));
    // A script that is both can tell them apart.
    assert_eq!(attempts(&sim, "web1", "one"), ["1", "2", "3"]);
    assert_eq!(host.attempts, [3, 1]);
    let stage = &host.stages[0];
    let rollback = stage.rollback.as_ref().expect("it was undone");
    assert_eq!((stage.attempt, rollback.attempt), (1, 3));

    // The next run counts on.
    let again = retry(&fleet, &plan, &told).await;
    assert_eq!(super::host(&again, "web1").attempts, [5, 2]);
    assert_eq!(attempts(&sim, "web1", "one"), ["1", "2", "3", "4", "5"]);
}

#[tokio::test]
async fn an_abort_goes_on_as_an_abort() {
    let hangs = Arc::new(AtomicBool::new(true));
    let is_hanging = Arc::clone(&hangs);
    let undo = move |_: &SimCommand| match is_hanging.load(Ordering::SeqCst) {
        true => Answer::never_exits(),
        false => Answer::new(),
    };
    let host = known()
        .answer("serve", Answer::never_exits())
        .answer_with("undo", undo);
    let sim = start(alike(host, 3)).await;
    let plan = Plan::new("p")
        .stage(Stage::command("one", ["one"]).rollback(Step::command(["undo"])))
        .stage(Stage::command("serve", ["serve"]));
    let fleet = fleet(&sim).leftover(Leftover::End).parallelism(2);
    let (_folder, file) = journal();
    let told_to = |host: &str, what: &str| {
        let lines = lines(&sim.host(host));
        lines.iter().filter(|line| *line == what).count()
    };
    let controller = Controller::new();
    let run = controller.run(&fleet.clone().journal(&file), &plan);
    let both = |what: &str| ["web1", "web2"].iter().all(|host| told_to(host, what) == 1);
    wait_until("the second stage", || both("serve")).await;
    run.control().abort();
    wait_until("the rollbacks", || both("undo")).await;
    drop((controller, run));

    hangs.store(false, Ordering::SeqCst);
    let told = resume(&fleet, &plan, &file).await;
    assert_eq!(told.ending, Ending::Aborted);
    for host in &told.hosts[..2] {
        assert_eq!(kind(host), Some(ErrorKind::Cancelled), "{host:?}");
        assert_eq!(host.stages[0].status, StageStatus::RolledBack, "{host:?}");
        assert_eq!(host.termination, Some(Termination::Confirmed), "{host:?}");
        assert_eq!(running(&sim, &host.name), 0);
        assert_eq!(told_to(&host.name, "serve"), 1);
        assert_eq!(told_to(&host.name, "undo"), 2);
    }
    assert!(told.hosts[2].stages.is_empty(), "{:?}", told.hosts[2]);
    assert_eq!(sim.host("web3").connections(), 0);
}

#[tokio::test]
async fn a_stage_that_runs_once_does_so_across_controllers() {
    let slow = |host: &str| match host {
        "web1" => Answer::never_exits(),
        _ => Answer::new(),
    };
    let is_slow = Arc::new(AtomicBool::new(true));
    let still = Arc::clone(&is_slow);
    let host =
        known()
            .answer("migrate", Answer::new())
            .answer_with("two", move |command: &SimCommand| {
                match still.load(Ordering::SeqCst) {
                    true => slow(&command.host),
                    false => Answer::new(),
                }
            });
    let sim = start(alike(host, 3)).await;
    let plan = Plan::new("p")
        .stage(Stage::command("migrate", ["migrate"]).run_once())
        .stage(Stage::command("two", ["two"]).run_once());
    let fleet = fleet(&sim).leftover(Leftover::End);
    let (_folder, file) = journal();
    interrupt(&fleet, &plan, &file, || {
        running(&sim, "web1") == 1 && attempts(&sim, "web1", "two").len() == 1
    })
    .await;
    is_slow.store(false, Ordering::SeqCst);
    let told = resume(&fleet, &plan, &file).await;
    assert!(told.is_success(), "{told}");
    let all = |stage: &str| {
        (1..=3)
            .map(|n| attempts(&sim, &format!("web{n}"), stage).len())
            .collect::<Vec<_>>()
    };
    assert_eq!(all("migrate"), [1, 0, 0]);
    assert_eq!(all("two"), [2, 0, 0]);
}

#[derive(Debug)]
pub(super) struct Known;

#[async_trait::async_trait]
impl Credentials for Known {
    async fn secret(
        &self,
        _: &Target,
        _: &Purpose,
    ) -> clusterops::ssh::Result<Option<SecretString>> {
        Ok(Some("swordfish".to_owned().into()))
    }
}

#[tokio::test]
async fn a_journal_is_its_owners_and_holds_no_secret() {
    let sim = start(alike(known().answer("two", Answer::never_exits()), 2)).await;
    let plan = Plan::new("p")
        .stage(Stage::command("one", ["one"]))
        .stage(Stage::command("two", ["two"]).secret_env("PASSWORD", "db"));
    let mut targets = sim.targets();
    targets[0]
        .secrets
        .insert("ansible_password".into(), "swordfish".to_owned().into());
    let fleet = Fleet::new(targets)
        .session(
            SessionOptions::default()
                .config(clusterops::config::Config::none().expect("there is a user"))
                .agent(false),
        )
        .credentials(Arc::new(Known))
        .leftover(Leftover::End);
    let (folder, file) = journal();
    let controller = Controller::new();
    let run = controller.run(&fleet.clone().journal(&file), &plan);
    wait_until("the second stage", || {
        (1..=2).all(|n| attempts(&sim, &format!("web{n}"), "two").len() == 1)
    })
    .await;
    assert!(sim.host("web1").commands().iter().any(|command| {
        command
            .environment
            .get("PASSWORD")
            .is_some_and(|value| value == "swordfish")
    }));
    let mut looked_at = 0;
    for entry in std::fs::read_dir(folder.path()).expect("our folder") {
        let path = entry.expect("readable").path();
        let mode = std::fs::metadata(&path)
            .expect("there")
            .permissions()
            .mode();
        assert_eq!(mode & 0o777, 0o600, "{}", path.display());
        let bytes = std::fs::read(&path).expect("ours");
        assert!(!bytes.windows(9).any(|window| window == b"swordfish"));
        looked_at += bytes.len();
    }
    assert!(looked_at > 10_000, "{looked_at} bytes were looked at");

    // Nobody else may write to it meanwhile.
    let error = fleet.resume(&plan, &file).expect_err("it is in use");
    assert_eq!(error.kind(), ErrorKind::Journal);
    assert!(
        error
            .to_string()
            .contains("a run still writes to the journal"),
        "{error}"
    );
    drop((controller, run));
    let held = Journal::open(&file).expect("a journal");
    assert!(held.targets()[0].secrets.is_empty());
}

#[tokio::test]
async fn what_cannot_be_gone_on_with_is_refused() {
    let sim = start(alike(known().answer("two", Answer::never_exits()), 2)).await;
    let folder = tempfile::tempdir().expect("a folder");
    let (script, file) = (
        folder.path().join("script.sh"),
        folder.path().join("run.journal"),
    );
    std::fs::write(&script, "echo one\n").expect("our folder");
    let plan = Plan::new("p")
        .stage(Stage::script("one", &script))
        .stage(Stage::command("two", ["two"]));
    let fleet = fleet(&sim).leftover(Leftover::End);
    interrupt(&fleet, &plan, &file, || {
        (1..=2).all(|n| attempts(&sim, &format!("web{n}"), "two").len() == 1)
    })
    .await;
    let refused = |fleet: &Fleet, plan: &Plan, file: &PathBuf| {
        let error = fleet.resume(plan, file).expect_err("refused");
        (error.kind(), error.to_string())
    };

    let other = plan.clone().stage(Stage::command("three", ["three"]));
    let (kind, text) = refused(&fleet, &other, &file);
    assert_eq!(kind, ErrorKind::Plan);
    assert!(
        text.contains("is about another plan (`p`, digest "),
        "{text}"
    );

    let mut targets = sim.targets();
    let last = targets.pop().expect("two");
    let (_, text) = refused(&Fleet::new(targets.clone()), &plan, &file);
    assert_eq!(
        text,
        "the fleet's targets are not those of the run; not there now: web2; give those, or retry the journal's report instead"
    );
    targets.push(Target {
        port: Some(1),
        ..last.clone()
    });
    let (_, text) = refused(&Fleet::new(targets.clone()), &plan, &file);
    assert!(
        text.starts_with("web2 is not as it was when the run began: its port differs"),
        "{text}"
    );
    targets[1] = last;
    targets[0].variables.insert("version", "1.5");
    let (_, text) = refused(&Fleet::new(targets.clone()), &plan, &file);
    assert!(
        text.contains("its variables differs") || text.contains("its variables `version` differs"),
        "{text}"
    );
    targets.reverse();
    let (_, text) = refused(&Fleet::new(targets), &plan, &file);
    assert!(text.contains("stand in another order"), "{text}");

    // A journal is never written over.
    let error = fleet
        .clone()
        .journal(&file)
        .run(&plan)
        .expect_err("it is there");
    assert_eq!(error.kind(), ErrorKind::Journal);
    assert!(error.to_string().contains("is there already"), "{error}");

    for (name, content, expected) in [
        ("none", None, "cannot be read"),
        (
            "text",
            Some("not a journal, whatever its name says".repeat(9)),
            "is no journal of a run",
        ),
        ("empty", Some(String::new()), "holds no run yet"),
    ] {
        let path = folder.path().join(name);
        if let Some(content) = content {
            std::fs::write(&path, content).expect("our folder");
        }
        let (kind, text) = refused(&fleet, &plan, &path);
        assert_eq!(kind, ErrorKind::Journal, "{text}");
        assert!(text.contains(expected), "{text}");
    }

    std::fs::write(&script, "echo two\n").expect("our folder");
    let run = fleet.resume(&plan, &file).expect("the same plan");
    let error = run.await.expect_err("another script");
    assert_eq!(error.kind(), ErrorKind::Plan);
    assert!(
        error
            .to_string()
            .contains("is not the one that the journal is about"),
        "{error}"
    );
    std::fs::write(&script, "echo one\n").expect("our folder");

    // Whoever names no journal leaves no file, and whose run does not begin neither.
    let missing = Plan::new("p").stage(Stage::script("s", folder.path().join("missing.sh")));
    let unused = folder.path().join("unused.journal");
    fleet
        .clone()
        .journal(&unused)
        .run(&missing)
        .expect_err("no script");
    assert!(!unused.exists());
}
