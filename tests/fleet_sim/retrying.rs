//! Runs that continue earlier ones, and hosts that wait for one of them.

use std::sync::Arc;

use clusterops::core::secrecy::SecretString;
use clusterops::journal::Leftover;
use clusterops::rollout::{Rollout, Share, WhenExceeded};
use clusterops::{Credentials, Purpose};

use super::*;

#[tokio::test]
async fn a_stage_whose_rollback_failed_is_done_again() {
    let diary = Diary::default();
    let is_broken = Arc::new(AtomicBool::new(true));
    let broken = Arc::clone(&is_broken);
    let fails = move |_: &str, what: &str| {
        broken.load(Ordering::SeqCst) && ["two", "undo one"].contains(&what)
    };
    let sim = start([diary.host(fails).named("web1")]).await;
    let plan = Plan::new("p")
        .stage(noted("one"))
        .stage(Stage::command("two", ["note", "two"]));
    let told = run(&fleet(&sim), &plan).await;
    assert!(
        host(&told, "web1").stages[0]
            .rollback
            .as_ref()
            .is_some_and(|rollback| rollback.failure.is_some())
    );
    assert!(
        told.to_string()
            .contains("the rollback of stage `one` failed"),
        "{told}"
    );
    is_broken.store(false, Ordering::SeqCst);
    let again = retry(&fleet(&sim), &plan, &told).await;
    assert!(again.is_success(), "{again}");
    assert_eq!(diary.of("web1"), ["one", "two", "undo one", "one", "two"]);
    assert_eq!(host(&again, "web1").attempts, [3, 2], "and a rollback");
}

#[tokio::test]
async fn a_rollback_is_judged_by_its_own_exit_status() {
    let sim = start([SimHost::new("web1").answer("odd", Answer::status(3))]).await;
    let odd = Stage::command("odd", ["odd"])
        .success([3])
        .rollback(Step::command(["true"]));
    let plan = Plan::new("p")
        .stage(odd)
        .stage(Stage::command("fails", ["false"]));
    let told = run(&fleet(&sim), &plan).await;
    assert_eq!(
        host(&told, "web1").stages[0].status,
        StageStatus::RolledBack
    );
}

#[tokio::test]
async fn a_dead_first_host_leaves_its_turn_to_the_next() {
    let diary = Diary::default();
    let mut hosts: Vec<SimHost> = alike(diary.host(|_, _| false), 3).collect();
    hosts[0] = hosts[0].clone().fault(Fault::Refuse);
    let sim = start(hosts).await;
    let plan = Plan::new("p").stage(Stage::command("migrate", ["note", "migrate"]).run_once());
    let told = run(&fleet(&sim).connect_retries(retries(1)), &plan).await;
    assert_eq!(told.failed().to_string(), "web1");
    assert_eq!(diary.of("web2"), ["migrate"]);

    // It has run for all by now, also for the host that comes late.
    sim.host("web1").heal();
    let again = retry(&fleet(&sim), &plan, &told).await;
    assert!(again.is_success(), "{again}");
    assert_eq!(diary.places("migrate").len(), 1);
}

#[tokio::test]
async fn a_retry_of_some_hosts_still_tells_about_the_others() {
    let diary = Diary::default();
    let sim = start(alike(diary.host(|_, _| true), 3)).await;
    let plan = Plan::new("p").stage(noted("one"));
    let told = run(&fleet(&sim), &plan).await;
    let again = retry(&fleet_of([sim.target("web2")]), &plan, &told).await;
    assert_eq!(again.failed().to_string(), "web[1-3]");
    assert_eq!(
        host(&again, "web2").attempts,
        [4],
        "two, and their rollbacks"
    );
}

#[tokio::test]
async fn an_abort_leaves_alone_what_an_earlier_run_finished() {
    let diary = Diary::default();
    let fails = Arc::new(AtomicBool::new(true));
    let steering = Steering::default();
    let (still_fails, steered) = (Arc::clone(&fails), steering.clone());
    let sim = start(alike(
        diary.host(move |host, _| {
            if host == "web2" && !still_fails.load(Ordering::SeqCst) {
                steered.0.get().expect("the run is known").abort();
            }
            host == "web2" && still_fails.load(Ordering::SeqCst)
        }),
        2,
    ))
    .await;
    let plan = Plan::new("p")
        .rollback_when(RollbackWhen::Aborted)
        .stage(noted("one"));
    let told = run(&fleet(&sim), &plan).await;
    fails.store(false, Ordering::SeqCst);
    let started = fleet(&sim).retry(&plan, &told).expect("the same plan");
    steering.take(&started);
    let again = report(started).await;
    assert!(host(&again, "web1").is_success());
    assert_eq!(diary.of("web1"), ["one"]);
}

#[derive(Debug)]
struct Silent;

#[async_trait::async_trait]
impl Credentials for Silent {
    async fn secret(
        &self,
        _: &Target,
        _: &Purpose,
    ) -> clusterops::ssh::Result<Option<SecretString>> {
        std::future::pending().await
    }
}

#[tokio::test]
async fn credentials_that_do_not_answer_hold_up_no_cancel() {
    let sim = start([SimHost::new("web1")]).await;
    let plan = Plan::new("p").stage(Stage::command("s", ["true"]).secret_env("S", "s"));
    // A deadline that no clock can hold is none.
    let session = SessionOptions::default()
        .config(clusterops::config::Config::none().expect("there is a user"))
        .agent(false)
        .command_deadline(Duration::MAX)
        .connect_deadline(Duration::MAX);
    let fleet = fleet(&sim).session(session).credentials(Arc::new(Silent));
    let mut started = fleet.run(&plan).expect("a valid plan");
    let (control, mut events) = (started.control(), started.events());
    wait_for_states(&mut events, 1, |_, state| {
        matches!(state, HostState::Running { .. })
    })
    .await;
    control.cancel();
    assert_eq!(
        kind(host(&report(started).await, "web1")),
        Some(ErrorKind::Cancelled)
    );
}

#[tokio::test]
async fn what_ran_once_for_all_does_not_run_again_where_its_host_is_no_target_any_more() {
    let diary = Diary::default();
    let mut hosts: Vec<SimHost> = alike(diary.host(|_, _| false), 3).collect();
    for host in &mut hosts[1..] {
        *host = host.clone().fault(Fault::Refuse);
    }
    let sim = start(hosts).await;
    let plan = Plan::new("p")
        .stage(Stage::command("migrate", ["note", "migrate"]).run_once())
        .stage(noted("two"));
    let told = run(&fleet(&sim).connect_retries(retries(1)), &plan).await;
    assert_eq!(told.failed().to_string(), "web[2-3]");
    sim.hosts().for_each(|host| host.heal());
    let failed = [sim.target("web2"), sim.target("web3")];
    let again = retry(&fleet_of(failed), &plan, &told).await;
    assert!(again.is_success(), "{again}");
    assert_eq!(diary.places("migrate").len(), 1);
}

#[tokio::test]
async fn a_stage_whose_guard_failed_is_not_undone() {
    let host = SimHost::new("web1")
        .answer("installed", Answer::new().with_fault(Fault::NoStatus))
        .answer("ready", Answer::new())
        .answer(Match::prefix("remove"), Answer::new());
    let sim = start([host]).await;
    let guarded = Stage::command("install", ["install"])
        .unless(["installed"])
        .rollback(Step::command(["remove", "all"]));
    let first = Stage::command("ready", ["ready"]).rollback(Step::command(["remove", "it"]));
    let plan = Plan::new("p").stage(first).stage(guarded);
    let told = run(&fleet(&sim), &plan).await;
    let stages = &told.hosts[0].stages;
    assert_eq!(stages[0].status, StageStatus::RolledBack);
    assert_eq!(stages[1].status, StageStatus::Failed);
    assert!(stages[1].is_not_begun && stages[1].rollback.is_none());
    let text = serde_json::to_string(&told).expect("plain data");
    let read: Report = serde_json::from_str(&text).expect("as it was written");
    assert_eq!(read, told);
    let lines: Vec<String> = sim
        .host("web1")
        .commands()
        .iter()
        .map(|command| command.line().into_owned())
        .collect();
    assert!(
        !lines.iter().any(|line| line.contains("remove all")),
        "{lines:?}"
    );
}

#[tokio::test]
async fn what_ran_once_for_all_is_undone_with_all_or_where_it_failed() {
    let plan = |when| {
        Plan::new("p")
            .rollback_when(when)
            .stage(noted("migrate").run_once())
            .stage(noted("start"))
    };
    let diary = Diary::default();
    let fails = |host: &str, what: &str| (host, what) == ("web1", "start");
    let sim = start(alike(diary.host(fails), 3)).await;
    let told = run(&fleet(&sim).parallelism(1), &plan(RollbackWhen::Failed)).await;
    assert_eq!(told.failed().to_string(), "web1");
    assert_eq!(diary.of("web1"), ["migrate", "start", "undo start"]);

    let diary = Diary::default();
    let fails = |_: &str, what: &str| what == "migrate";
    let sim = start(alike(diary.host(fails), 3)).await;
    let told = run(&fleet(&sim), &plan(RollbackWhen::Failed)).await;
    assert_eq!(told.failed().len(), 3);
    assert_eq!(diary.places("undo migrate").len(), 1);

    let (diary, steering) = (Diary::default(), Steering::default());
    let sim = start(alike(diary.host(steering.at(3, Control::abort)), 3)).await;
    let run = fleet(&sim)
        .run(&plan(RollbackWhen::Aborted))
        .expect("valid");
    steering.take(&run);
    report(run).await;
    assert_eq!(diary.places("undo migrate").len(), 1);
}

/// What stays because others rely on it keeps what it stands on, so that a retry goes on behind it, and never runs it again.
#[tokio::test]
async fn a_rollback_goes_no_further_than_what_ran_once_for_all() {
    let diary = Diary::default();
    let fails = |host: &str, what: &str| (host, what) == ("web1", "start");
    let sim = start(alike(diary.host(fails), 3)).await;
    let plan = Plan::new("p")
        .rollback_when(RollbackWhen::Failed)
        .stage(noted("unpack"))
        .stage(noted("migrate").run_once())
        .stage(noted("start"));
    let fleet = fleet(&sim).parallelism(1);
    let told = run(&fleet, &plan).await;
    assert_eq!(
        diary.of("web1"),
        ["unpack", "migrate", "start", "undo start"]
    );
    let again = retry(&fleet, &plan, &told).await;
    retry(&fleet, &plan, &again).await;
    assert_eq!(diary.places("migrate").len(), 1);
    assert_eq!(diary.places("start").len(), 5, "three hosts, two retries");

    // That the failure budget aborts the run asks for nothing that the plan does not.
    let diary = Diary::default();
    let sim = start(alike(diary.host(fails), 1)).await;
    let rollout = Rollout::default()
        .failure_budget(Share::Hosts(0))
        .when_exceeded(WhenExceeded::Abort);
    run(&super::fleet(&sim).rollout(rollout), &plan).await;
    assert_eq!(
        diary.of("web1"),
        ["unpack", "migrate", "start", "undo start"]
    );
}

/// A connection that is lost leaves `serve` running; `web1` heals only afterwards.
#[tokio::test]
async fn what_runs_once_is_not_run_beside_an_attempt_that_may_still_run() {
    let (host, is_broken) = losing_connections();
    let hosts = [host.named("web1").fault(Fault::Refuse), host.named("web2")];
    let sim = start(hosts).await;
    let plan = Plan::new("p").stage(Stage::command("serve", ["serve"]).run_once());
    let fleet = fleet(&sim)
        .connect_retries(retries(1))
        .leftover(Leftover::End);
    let told = run(&fleet, &plan).await;
    assert_eq!(told.failed().len(), 2);
    assert_eq!(sim.host("web2").processes().len(), 1);
    sim.host("web1").heal();
    is_broken.store(false, Ordering::SeqCst);
    let again = retry(&fleet, &plan, &told).await;
    assert!(again.is_success(), "{again}");
    assert!(sim.host("web2").processes().is_empty());
    let ran = |name: &str| lines(&sim.host(name)).contains(&"serve".to_owned());
    assert!(!ran("web1") && ran("web2"), "it goes on where it was begun");
    assert!(again.hosts.iter().all(|host| host.termination.is_none()));
}

/// Whoever has to take a stage for all is in the first batch, however the hosts are dealt.
#[tokio::test]
async fn batches_wait_for_nobody_of_a_later_one() {
    let (host, is_broken) = losing_connections();
    let hosts = [host.named("web1").fault(Fault::Refuse), host.named("web2")];
    let sim = start(hosts).await;
    let plan = Plan::new("p").stage(Stage::command("serve", ["serve"]).run_once());
    let fleet = fleet(&sim)
        .connect_retries(retries(1))
        .leftover(Leftover::End)
        .rollout(Rollout::default().batches([Share::Hosts(1)]));
    let told = run(&fleet, &plan).await;
    assert_eq!(sim.host("web2").processes().len(), 1, "{told}");
    sim.host("web1").heal();
    is_broken.store(false, Ordering::SeqCst);
    let again = retry(&fleet, &plan, &told).await;
    assert!(again.is_success(), "{again}");
    assert!(sim.host("web2").processes().is_empty());

    // Where it is no target, nobody would see to it.
    let error = fleet_of([sim.target("web1")])
        .retry(&plan, &told)
        .expect("the same plan")
        .await
        .expect_err("web2 may be at it");
    assert!(
        error
            .to_string()
            .contains("web2 may still run stage `serve`"),
        "{error}"
    );
    let canaries = Rollout::default().canaries("web1".parse().expect("a host"));
    let error = fleet
        .rollout(canaries)
        .retry(&plan, &told)
        .expect("the same plan")
        .await
        .expect_err("web2 has to come first");
    assert!(error.to_string().contains("make it a canary"), "{error}");
}

#[tokio::test]
async fn what_was_undone_for_all_is_done_again_before_anybody_goes_on() {
    let (diary, steering) = (Diary::default(), Steering::default());
    // The fourth word is the second host's `start`.
    let fails = steering.at(3, Control::abort);
    let sim = start(alike(diary.host(fails).own_port(), 2)).await;
    let plan = Plan::new("p")
        .rollback_when(RollbackWhen::Aborted)
        .stage(noted("migrate").run_once())
        .stage(noted("start"));
    let fleet = fleet(&sim).connect_retries(retries(1));
    let run = fleet.run(&plan).expect("valid");
    steering.take(&run);
    let told = report(run).await;
    assert_eq!(diary.places("undo migrate").len(), 1, "{told}");
    // Without the host that had run it, another one does.
    sim.host("web1").fault(Fault::Refuse);
    let again = retry(&fleet, &plan, &told).await;
    assert_eq!(again.failed().to_string(), "web1", "{again}");
    let of = diary.of("web2");
    let place = |what: &str| of.iter().rposition(|word| word == what);
    assert!(
        place("migrate") < place("start") && place("migrate").is_some(),
        "{of:?}"
    );
}

/// A retry that leaves hosts alone takes nothing from under them, also when it is aborted.
#[tokio::test]
async fn an_aborted_retry_leaves_what_others_rely_on() {
    let diary = Diary::default();
    let fails = |host: &str, what: &str| (host, what) == ("web1", "start");
    let sim = start(alike(diary.host(fails), 3)).await;
    let plan = Plan::new("p")
        .rollback_when(RollbackWhen::Aborted)
        .stage(noted("migrate").run_once())
        .stage(noted("start"));
    let fleet = fleet(&sim).parallelism(1);
    let told = run(&fleet, &plan).await;
    assert_eq!(told.failed().to_string(), "web1");
    let aborted = fleet.retry(&plan, &told).expect("the same plan");
    aborted.control().abort();
    let told = report(aborted).await;
    assert_eq!(
        diary.of("web1"),
        ["migrate", "start", "undo start"],
        "{told}"
    );
    assert!(diary.places("undo migrate").is_empty());
}

/// Of a stage whose guard alone has run, nothing is undone, however often it is tried.
#[tokio::test]
async fn a_guard_that_was_lost_begins_nothing() {
    let host = SimHost::new("web1")
        .own_port()
        .answer(
            "installed",
            Answer::never_exits().with_fault(Fault::DropDuringCommand),
        )
        .answer(Match::prefix("remove"), Answer::new());
    let sim = start([host]).await;
    let plan = Plan::new("p").stage(
        Stage::command("install", ["install"])
            .unless(["installed"])
            .rollback(Step::command(["remove", "it"])),
    );
    let fleet = fleet(&sim)
        .leftover(Leftover::End)
        .connect_retries(retries(1));
    let mut told = run(&fleet, &plan).await;
    for _ in 0..2 {
        assert!(told.hosts[0].stages[0].is_not_begun, "{told:?}");
        told = retry(&fleet, &plan, &told).await;
    }
    let ran = lines(&sim.host("web1"));
    assert!(!ran.iter().any(|line| line.contains("remove")), "{ran:?}");
}

/// It is done once, however often what came before it is undone and done again.
#[tokio::test]
async fn what_ran_once_and_is_never_undone_is_not_run_again() {
    let (diary, steering) = (Diary::default(), Steering::default());
    let is_broken = Arc::new(AtomicBool::new(true));
    let (broken, act) = (Arc::clone(&is_broken), steering.at(4, Control::abort));
    let fails = move |host: &str, what: &str| {
        act(host, what);
        what == "start" && broken.load(Ordering::SeqCst)
    };
    let sim = start(alike(diary.host(fails), 2)).await;
    let plan = Plan::new("p")
        .rollback_when(RollbackWhen::Aborted)
        .stage(noted("unpack").barrier())
        .stage(Stage::command("migrate", ["note", "migrate"]).run_once())
        .stage(Stage::command("start", ["note", "start"]));
    let fleet = fleet(&sim);
    let run = fleet.run(&plan).expect("valid");
    steering.take(&run);
    let mut told = report(run).await;
    assert_eq!(told.ending, Ending::Aborted);
    assert_eq!(diary.places("undo unpack").len(), 2, "{told}");
    for _ in 0..2 {
        told = retry(&fleet, &plan, &told).await;
    }
    is_broken.store(false, Ordering::SeqCst);
    told = retry(&fleet, &plan, &told).await;
    assert!(told.is_success(), "{told}");
    assert_eq!(diary.places("migrate").len(), 1);
}
