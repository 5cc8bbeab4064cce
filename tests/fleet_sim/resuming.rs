//! What resumed runs keep to: barriers, stops, aborts, rollbacks, budgets and canaries.

use std::sync::Arc;

use clusterops::journal::{Journal, Leftover};
use tokio::runtime::Runtime;

use super::journal::*;
use super::*;

#[tokio::test]
async fn a_barrier_holds_those_who_had_passed_it() {
    let hangs = Arc::new(AtomicBool::new(true));
    let order = Arc::new(Mutex::new(Vec::new()));
    let (hanging, noted) = (Arc::clone(&hangs), Arc::clone(&order));
    let one =
        move |command: &SimCommand| match (command.host.as_str(), hanging.load(Ordering::SeqCst)) {
            ("web1", _) => Answer::new(),
            (_, true) => Answer::never_exits(),
            (_, false) => Answer::new().with_delay(Duration::from_millis(700)),
        };
    let two = move |command: &SimCommand| {
        noted.lock().expect("no panic").push(command.host.clone());
        Answer::new()
    };
    let host = SimHost::new("")
        .answer_with("one", one)
        .answer_with("two", two)
        .answer("three", Answer::new());
    let hosts = alike(host, 2).collect::<Vec<_>>();
    let sim = start(hosts).await;
    let (plan, fleet) = (three_stages(), fleet(&sim).leftover(Leftover::End));
    let (_folder, file) = journal();
    interrupt(&fleet, &plan, &file, || {
        let is_through = attempts(&sim, "web1", "one").len() == 1 && running(&sim, "web1") == 0;
        is_through && begun(&sim, 2..=2, "one")
    })
    .await;
    hangs.store(false, Ordering::SeqCst);
    let run = fleet.resume(&plan, &file).expect("a journal");
    wait_until("the second attempt", || {
        attempts(&sim, "web2", "one").len() == 2
    })
    .await;
    assert!(
        order.lock().expect("no panic").is_empty(),
        "web2 is not through"
    );
    assert!(report(run).await.is_success());
    assert_eq!(order.lock().expect("no panic").len(), 2);
}

#[tokio::test]
async fn a_host_that_is_not_reached_again_stays_to_be_seen_to() {
    let hangs = Arc::new(AtomicBool::new(true));
    let host = known()
        .answer_with("migrate", hanging(&hangs, Answer::new()))
        .own_port();
    let sim = start(alike(host, 2)).await;
    let plan = Plan::new("p").stage(Stage::command("migrate", ["migrate"]).run_once());
    let fleet = fleet(&sim)
        .leftover(Leftover::End)
        .connect_retries(retries(1));
    let (_folder, file) = journal();
    interrupt(&fleet, &plan, &file, || begun(&sim, 1..=1, "migrate")).await;
    hangs.store(false, Ordering::SeqCst);
    sim.host("web1").fault(Fault::Refuse);
    let told = resume(&fleet, &plan, &file).await;
    assert_eq!(kind(super::host(&told, "web1")), Some(ErrorKind::Refused));
    assert!(
        matches!(
            super::host(&told, "web1").termination,
            Some(Termination::Unconfirmed(_))
        ),
        "{told:?}"
    );
    // It may still be at it: nobody takes its turn.
    assert_eq!(kind(super::host(&told, "web2")), Some(ErrorKind::Blocked));
    assert!(attempts(&sim, "web2", "migrate").is_empty());
    let held = Journal::open(&file).expect("a journal");
    assert!(!held.is_finished());
    assert!(matches!(
        super::host(&held.report(), "web1").termination,
        Some(Termination::Unconfirmed(_))
    ));

    sim.host("web1").heal();
    assert_eq!(running(&sim, "web1"), 1);
    // Whoever has only the report sees to it too.
    let again = retry(&fleet, &plan, &told).await;
    assert!(again.is_success(), "{again}");
    assert_eq!(running(&sim, "web1"), 0);
    assert_eq!(attempts(&sim, "web1", "migrate").len(), 2);
    let told = resume(&fleet, &plan, &file).await;
    assert_eq!(
        super::host(&told, "web1").termination,
        Some(Termination::Confirmed)
    );
    assert_eq!(running(&sim, "web1"), 0);
    assert!(Journal::open(&file).expect("a journal").is_finished());
}

#[tokio::test]
async fn a_stop_lets_those_under_way_come_to_their_end_and_never_hangs() {
    let hangs = Arc::new(AtomicBool::new(true));
    let slow = Answer::new().with_delay(Duration::from_millis(500));
    let host = SimHost::new("")
        .answer_with("one", hanging(&hangs, slow))
        .answer("two", Answer::new())
        .answer("three", Answer::new());
    let sim = start(alike(host, 2)).await;
    let plan = three_stages();
    let fleet = fleet(&sim).leftover(Leftover::End).parallelism(2);
    let (_folder, file) = journal();
    interrupt(&fleet, &plan, &file, || begun(&sim, 1..=2, "one")).await;
    hangs.store(false, Ordering::SeqCst);
    let run = fleet
        .clone()
        .parallelism(1)
        .resume(&plan, &file)
        .expect("a journal");
    wait_until("the second attempt", || {
        attempts(&sim, "web1", "one").len() == 2
    })
    .await;
    run.control().stop();
    let told = report(run).await;
    assert!(told.is_success(), "{told}");
    assert_eq!(told.ending, Ending::Completed, "nobody was held back");
}

#[tokio::test]
async fn an_abort_while_hosts_are_reached_again_ends_what_was_under_way() {
    let host = known()
        .answer("two", Answer::never_exits())
        .answer("undo1", Answer::new())
        .answer("undo2", Answer::new());
    let sim = start(alike(host, 1)).await;
    let plan = Plan::new("p")
        .stage(Stage::command("one", ["one"]).rollback(Step::command(["undo1"])))
        .stage(Stage::command("two", ["two"]).rollback(Step::command(["undo2"])));
    let fleet = fleet(&sim)
        .leftover(Leftover::End)
        .connect_retries(retries(1000));
    let (_folder, file) = journal();
    interrupt(&fleet, &plan, &file, || begun(&sim, 1..=1, "two")).await;
    let before = sim.host("web1").connections();
    sim.host("web1").fault(Fault::DropFirst(u32::MAX));
    let run = fleet.resume(&plan, &file).expect("a journal");
    wait_until("a try", || sim.host("web1").connections() > before).await;
    run.control().abort();
    sim.host("web1").heal();
    let told = report(run).await;
    assert_eq!(running(&sim, "web1"), 0);
    assert_eq!(
        told.hosts[0].termination,
        Some(Termination::Confirmed),
        "{told:?}"
    );
    let told_to = lines(&sim.host("web1"));
    let undone: Vec<&String> = told_to
        .iter()
        .filter(|line| line.starts_with("undo"))
        .collect();
    assert_eq!(undone, ["undo2", "undo1"]);
}

#[tokio::test]
async fn a_rollback_under_way_is_not_joined_by_another() {
    let hangs = Arc::new(AtomicBool::new(true));
    let host = known()
        .answer("two", Answer::status(1))
        .answer_with("undo", hanging(&hangs, Answer::new()));
    let sim = start(alike(host, 1)).await;
    let plan = Plan::new("p")
        .stage(Stage::command("one", ["one"]).rollback(Step::command(["undo"])))
        .stage(Stage::command("two", ["two"]));
    let fleet = fleet(&sim).leftover(Leftover::End);
    let (_folder, file) = journal();
    interrupt(&fleet, &plan, &file, || {
        running(&sim, "web1") == 1 && attempts(&sim, "web1", "one").len() == 2
    })
    .await;
    hangs.store(false, Ordering::SeqCst);
    let left = sim.host("web1").processes()[0].pid;
    // The first connection is dropped, as by a server with too many of them.
    sim.host("web1").fault(Fault::DropFirst(1));
    let told = resume(&fleet, &plan, &file).await;
    assert_eq!(
        told.hosts[0].stages[0].status,
        StageStatus::RolledBack,
        "{told:?}"
    );
    assert!(
        sim.host("web1")
            .processes()
            .iter()
            .all(|process| process.pid != left)
    );
}

#[tokio::test]
async fn a_plan_that_needs_secrets_is_not_used_up_without_them() {
    let sim = start(alike(known().answer("two", Answer::never_exits()), 1)).await;
    let plan = Plan::new("p").stage(Stage::command("two", ["two"]).secret_env("PASSWORD", "db"));
    let with = fleet(&sim)
        .credentials(Arc::new(Known))
        .leftover(Leftover::End);
    let (_folder, file) = journal();
    interrupt(&with, &plan, &file, || begun(&sim, 1..=1, "two")).await;
    for error in [
        Run::resume(&file).expect_err("no credentials"),
        fleet(&sim)
            .resume(&plan, &file)
            .expect_err("no credentials"),
    ] {
        assert_eq!(error.kind(), ErrorKind::Secret);
        assert!(
            error.to_string().contains("needs the secret `db`"),
            "{error}"
        );
    }
    assert_eq!(running(&sim, "web1"), 1);
}

#[tokio::test]
async fn a_run_that_had_finished_needs_its_local_files_no_more() {
    let host = known().answer("two", Answer::status(1));
    let sim = start(alike(host.scripts(Answer::stdout("said\n")), 3)).await;
    let folder = tempfile::tempdir().expect("a folder");
    let (script, sent) = (folder.path().join("script.sh"), folder.path().join("sent"));
    std::fs::write(&script, "echo said\n").expect("our folder");
    std::fs::write(&sent, "content").expect("our folder");
    let plan = Plan::new("p")
        .stage(Stage::script("script", &script))
        .stage(
            Stage::upload("upload", &sent, "/srv/sent").rollback(Step::Script {
                source: script.clone(),
                interpreter: vec!["/bin/sh".into()],
                arguments: Vec::new(),
            }),
        )
        .stage(Stage::command("two", ["two"]).secret_env("PASSWORD", "db"));
    let (_folder, file) = journal();
    let rollout = clusterops::rollout::Rollout::default()
        .batches([clusterops::rollout::Share::Hosts(1)])
        .failure_budget(clusterops::rollout::Share::Hosts(1));
    let with = fleet(&sim).credentials(Arc::new(Known)).rollout(rollout);
    let told = run(&with.clone().journal(&file), &plan).await;
    assert_eq!(told.ending, Ending::Stopped);
    let before: Vec<usize> = sim.hosts().map(|host| host.commands().len()).collect();

    std::fs::remove_file(&script).expect("ours");
    std::fs::write(&sent, "another content").expect("ours");
    let again = report(Run::resume(&file).expect("nothing is to be done")).await;
    assert_eq!(again.hosts, told.hosts);
    assert_eq!(again.files, told.files);
    assert_eq!(again.ending, told.ending);
    assert_eq!(again.warnings, told.warnings);
    let again = resume(&with, &plan, &file).await;
    assert_eq!(again.hosts, told.hosts);
    let after: Vec<usize> = sim.hosts().map(|host| host.commands().len()).collect();
    assert_eq!(before, after);
}

/// Hosts that wait in vain for another one's stage fail without a connection; hosts that were not let begin do not fail.
#[tokio::test]
async fn a_resumed_run_counts_the_hosts_that_were_counted() {
    let hangs = Arc::new(AtomicBool::new(true));
    let host = SimHost::new("")
        .answer("migrate", Answer::status(1))
        .answer_with("undo", hanging(&hangs, Answer::new()));
    let sim = start(alike(host, 6)).await;
    let stage = Stage::command("migrate", ["migrate"]).run_once();
    let plan = Plan::new("p").stage(stage.rollback(Step::command(["undo"])));
    let rollout = clusterops::rollout::Rollout::default()
        .batches([clusterops::rollout::Share::Hosts(4)])
        .failure_budget(clusterops::rollout::Share::Hosts(3));
    let fleet = fleet(&sim).leftover(Leftover::End).rollout(rollout);
    let (_folder, file) = journal();
    interrupt(&fleet, &plan, &file, || {
        running(&sim, "web1") == 1 && attempts(&sim, "web1", "migrate").len() == 2
    })
    .await;
    hangs.store(false, Ordering::SeqCst);
    for _ in 0..2 {
        let told = resume(&fleet, &plan, &file).await;
        assert_eq!(told.ending, Ending::Stopped);
        let reason = "4 of 6 hosts failed, and the failure budget is 3";
        assert_eq!(told.warnings, [reason]);
        for (name, expected) in [
            ("web2", "stage `migrate` did not"),
            ("web6", "not begun: 4 of 6"),
        ] {
            let failure = super::host(&told, name).failure.as_ref().expect("blocked");
            assert!(failure.message.starts_with(expected), "{failure}");
        }
    }
}

/// What an earlier run did on a host is not what this one has begun.
#[tokio::test]
async fn a_retried_run_pauses_behind_its_canaries_again() {
    let broken = Arc::new(AtomicBool::new(true));
    let is_broken = Arc::clone(&broken);
    let one = move |_: &SimCommand| Answer::status(u8::from(is_broken.load(Ordering::SeqCst)));
    let sim = start(alike(SimHost::new("").answer_with("one", one), 3)).await;
    let plan = Plan::new("p").stage(Stage::command("one", ["one"]));
    let failed = run(&fleet(&sim), &plan).await;
    assert_eq!(failed.failed().len(), 3);
    broken.store(false, Ordering::SeqCst);
    let rollout = clusterops::rollout::Rollout::default()
        .canaries("web2".parse().expect("a host set"))
        .pause_after_canaries();
    let fleet = fleet(&sim).rollout(rollout);
    let (_folder, file) = journal();
    let controller = Controller::new();
    let retried = {
        let _inside = controller.0.as_ref().map(Runtime::enter);
        let fleet = fleet.clone().journal(&file);
        fleet.retry(&plan, &failed).expect("a valid plan")
    };
    wait_until("the canary", || {
        attempts(&sim, "web2", "one").len() == 2 && sim.host("web2").open_connections() == 0
    })
    .await;
    drop((controller, retried));
    let mut run = fleet.resume(&plan, &file).expect("a journal");
    let (control, mut events) = (run.control(), run.events());
    let paused = async {
        while let Some(event) = events.next().await {
            if matches!(event, Event::Run(RunState::Paused)) {
                return;
            }
        }
        panic!("it went on");
    };
    tokio::time::timeout(PATIENCE, paused)
        .await
        .expect("a pause");
    assert_eq!(attempts(&sim, "web1", "one").len(), 1);
    control.resume();
    let told = report(run).await;
    assert!(told.is_success(), "{told}");
    assert_eq!(attempts(&sim, "web2", "one").len(), 2);
}

#[tokio::test]
async fn a_budget_that_somebody_overruled_stays_so() {
    use clusterops::rollout::{Rollout, Share, WhenExceeded};

    let hangs = Arc::new(AtomicBool::new(true));
    let is_hanging = Arc::clone(&hangs);
    let one = move |command: &SimCommand| match (
        command.host.as_str(),
        is_hanging.load(Ordering::SeqCst),
    ) {
        ("web1", _) => Answer::status(1),
        ("web3", true) => Answer::never_exits(),
        _ => Answer::new(),
    };
    let sim = start(alike(SimHost::new("").answer_with("one", one), 4)).await;
    let plan = Plan::new("p").stage(Stage::command("one", ["one"]));
    let rollout = Rollout::default()
        .batches([Share::Hosts(1)])
        .failure_budget(Share::Hosts(0))
        .when_exceeded(WhenExceeded::Pause);
    let fleet = fleet(&sim).leftover(Leftover::End).rollout(rollout);
    let (_folder, file) = journal();
    let controller = Controller::new();
    let run = controller.run(&fleet.clone().journal(&file), &plan);
    wait_until("the first host", || {
        attempts(&sim, "web1", "one").len() == 1 && sim.host("web1").open_connections() == 0
    })
    .await;
    // Behind the pause that follows from it.
    let control = run.control();
    wait_until("the third host", || {
        control.resume();
        begun(&sim, 3..=3, "one")
    })
    .await;
    drop((controller, run));
    hangs.store(false, Ordering::SeqCst);
    let told = resume(&fleet, &plan, &file).await;
    assert_eq!(told.failed().to_string(), "web1");
    assert_eq!(told.ending, Ending::Completed);
    assert_eq!(attempts(&sim, "web3", "one"), ["1", "2"]);
    assert_eq!(attempts(&sim, "web4", "one"), ["1"]);
}

/// Interrupts a run of which the first host is at its only stage, once the others know that their turn does not come.
async fn interrupt_when_turned(
    fleet: &Fleet,
    plan: &Plan,
    file: &std::path::Path,
    sim: &Sim,
    turn: fn(&Control),
) {
    let controller = Controller::new();
    let mut run = controller.run(&fleet.clone().journal(file), plan);
    let mut events = run.events();
    wait_until("the first host", || begun(sim, 1..=1, "one")).await;
    turn(&run.control());
    wait_for_states(&mut events, 3, |host, state| {
        host == "web1" || matches!(state, HostState::Failed { .. })
    })
    .await;
    drop((controller, run));
}

#[tokio::test]
async fn a_stop_goes_on_as_a_stop() {
    let hangs = Arc::new(AtomicBool::new(true));
    let host = SimHost::new("").answer_with("one", hanging(&hangs, Answer::new()));
    let sim = start(alike(host, 3)).await;
    let plan = Plan::new("p").stage(Stage::command("one", ["one"]));
    let fleet = fleet(&sim).leftover(Leftover::End).parallelism(1);
    let (_folder, file) = journal();
    interrupt_when_turned(&fleet, &plan, &file, &sim, Control::stop).await;
    hangs.store(false, Ordering::SeqCst);
    let told = resume(&fleet, &plan, &file).await;
    assert_eq!(told.ending, Ending::Stopped);
    assert_eq!(told.succeeded().to_string(), "web1");
    assert_eq!(attempts(&sim, "web1", "one"), ["1", "2"]);
    for name in ["web2", "web3"] {
        let failure = super::host(&told, name).failure.as_ref().expect("left");
        assert_eq!(failure.message, "not begun because the run was stopped");
        assert_eq!(sim.host(name).connections(), 0);
    }
}

#[tokio::test]
async fn a_cancel_goes_on_as_a_cancel() {
    use clusterops::rollout::{Rollout, Share};

    // The first is not ended at once, and the controller is killed meanwhile; the second has failed by then, and not of itself.
    let one = |command: &SimCommand| match command.host.as_str() {
        "web1" => Answer::never_exits().ignoring_term(),
        _ => Answer::never_exits(),
    };
    let sim = start(alike(SimHost::new("").answer_with("one", one), 3)).await;
    let plan = Plan::new("p").stage(Stage::command("one", ["one"]));
    let rollout = Rollout::default().failure_budget(Share::Hosts(0));
    let fleet = fleet(&sim).leftover(Leftover::End).rollout(rollout);
    let fleet = fleet.parallelism(2);
    let (_folder, file) = journal();
    interrupt_when_turned(&fleet, &plan, &file, &sim, Control::cancel).await;
    assert_eq!(running(&sim, "web1"), 1);
    let told = resume(&fleet, &plan, &file).await;
    assert_eq!(told.ending, Ending::Cancelled);
    assert_eq!(kind(&told.hosts[0]), Some(ErrorKind::Cancelled));
    assert_eq!(told.hosts[0].termination, Some(Termination::Confirmed));
    assert_eq!(attempts(&sim, "web1", "one"), ["1"]);
    assert_eq!(running(&sim, "web1"), 0);
    assert_eq!(told.warnings, Vec::<String>::new());
    assert_eq!(sim.host("web3").connections(), 0);
}

/// Signals that a host was told to send.
fn signals(sim: &Sim, host: &str) -> usize {
    let lines = lines(&sim.host(host));
    lines
        .iter()
        .filter(|line| line.starts_with("kill -s"))
        .count()
}

#[tokio::test]
async fn an_abort_waits_for_nothing_that_it_ends() {
    let host = known()
        .answer("undo", Answer::new())
        .answer("two", Answer::never_exits());
    let sim = start(alike(host, 1)).await;
    let plan = Plan::new("p")
        .stage(Stage::command("one", ["one"]).rollback(Step::command(["undo"])))
        .stage(Stage::command("two", ["two"]));
    let (_folder, file) = journal();
    interrupt(&fleet(&sim), &plan, &file, || begun(&sim, 1..=1, "two")).await;
    let before = sim.host("web1").commands().len();
    let run = fleet(&sim).resume(&plan, &file).expect("a journal");
    wait_until("a look", || sim.host("web1").commands().len() > before).await;
    assert_eq!(signals(&sim, "web1"), 0, "it waits");
    run.control().abort();
    let told = report(run).await;
    assert_eq!(told.ending, Ending::Aborted);
    assert_eq!(told.hosts[0].termination, Some(Termination::Confirmed));
    assert_eq!(told.hosts[0].stages[0].status, StageStatus::RolledBack);
    assert_eq!(attempts(&sim, "web1", "two"), ["1"]);
    assert_eq!(running(&sim, "web1"), 0);
}

#[tokio::test]
async fn an_abort_waits_for_a_rollback() {
    let undo = Answer::new().with_delay(Duration::from_millis(700));
    let host = known()
        .answer("undo", undo)
        .answer("two", Answer::status(1));
    let sim = start(alike(host, 1)).await;
    let plan = Plan::new("p")
        .stage(Stage::command("one", ["one"]).rollback(Step::command(["undo"])))
        .stage(Stage::command("two", ["two"]));
    let (_folder, file) = journal();
    let is_undoing = || lines(&sim.host("web1")).contains(&"undo".to_owned());
    interrupt(&fleet(&sim), &plan, &file, is_undoing).await;
    let run = fleet(&sim).resume(&plan, &file).expect("a journal");
    run.control().abort();
    let told = report(run).await;
    assert_eq!(told.hosts[0].stages[0].status, StageStatus::RolledBack);
    assert_eq!(signals(&sim, "web1"), 0, "it came to its end by itself");
}
