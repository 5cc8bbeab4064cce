//! Batches, canaries, the failure budget, and deadlines for a host and for the run.

use clusterops::rollout::{Rollout, Share, WhenExceeded};

use super::*;

fn hosts(expression: &str) -> clusterops::HostSet {
    expression.parse().expect("a host set")
}

/// Fails in `stage` on these hosts.
fn failing_in(stage: &'static str, on: &[&'static str]) -> impl Fn(&str, &str) -> bool + use<> {
    let on = on.to_vec();
    move |host, what| what == stage && on.contains(&host)
}

fn two_stages() -> Plan {
    Plan::new("p")
        .stage(noted("first").barrier())
        .stage(noted("last").rollback(Step::command(["note", "undo"])))
}

async fn wait_for_pause(events: &mut clusterops::Events) {
    let read = async {
        while let Some(event) = events.next().await {
            if matches!(event, Event::Run(RunState::Paused)) {
                return true;
            }
        }
        false
    };
    let paused = tokio::time::timeout(PATIENCE, read).await;
    assert!(matches!(paused, Ok(true)), "the run did not pause");
}

#[tokio::test]
async fn a_batch_begins_when_the_one_before_has_ended() {
    let diary = Diary::default();
    let sim = start(alike(diary.host(|_, _| false), 10)).await;
    let rollout = Rollout::default()
        .canaries(hosts("web7"))
        .batches([Share::Hosts(2), Share::Percent(40.0)]);
    let told = run(&fleet(&sim).rollout(rollout), &two_stages()).await;
    assert!(told.is_success(), "{told}");
    let entries = diary.0.lock().expect("no test failed yet").clone();
    let mut expected: Vec<(&str, &[&str])> = vec![("first", &["web7"]), ("last", &["web7"])];
    for batch in [
        &["web1", "web2"][..],
        &["web3", "web4", "web5", "web6"],
        &["web10", "web8", "web9"],
    ] {
        // The barrier holds within the batch, and nobody waits for hosts of a later one.
        expected.extend([("first", batch), ("last", batch)]);
    }
    let mut place = 0;
    for (stage, batch) in expected {
        let mut done: Vec<&str> = entries[place..place + batch.len()]
            .iter()
            .map(|(host, what)| {
                assert_eq!(what, stage, "{entries:?}");
                host.as_str()
            })
            .collect();
        done.sort_unstable();
        assert_eq!(done, batch, "{entries:?}");
        place += batch.len();
    }
    assert_eq!(place, entries.len());
}

#[tokio::test]
async fn a_run_once_stage_is_run_once_for_all_batches() {
    let diary = Diary::default();
    let sim = start(alike(diary.host(|_, _| false), 6)).await;
    let plan = Plan::new("p")
        .stage(noted("once").run_once())
        .stage(noted("last"));
    // The canary comes last in the fleet, and first in time.
    let rollout = Rollout::default()
        .canaries(hosts("web6"))
        .batches([Share::Hosts(2)]);
    let told = run(&fleet(&sim).rollout(rollout), &plan).await;
    assert!(told.is_success(), "{told}");
    assert_eq!(diary.of("web6"), ["once", "last"]);
    assert_eq!(diary.places("once").len(), 1);
    assert_eq!(diary.places("last").len(), 6);
}

#[tokio::test]
async fn a_canary_that_fails_stops_the_run_and_a_retry_goes_on() {
    let diary = Diary::default();
    let broken = Arc::new(AtomicBool::new(true));
    let is_broken = Arc::clone(&broken);
    let fails = move |host: &str, what: &str| {
        host == "web1" && what == "first" && is_broken.load(Ordering::Relaxed)
    };
    let sim = start(alike(diary.host(fails), 8)).await;
    let rollout = Rollout::default()
        .canaries(hosts("web[1-2]"))
        .failure_budget(Share::Percent(50.0));
    let fleet = fleet(&sim).rollout(rollout);
    let told = run(&fleet, &two_stages()).await;
    assert_eq!(told.ending, Ending::Stopped);
    assert_eq!(told.succeeded().to_string(), "web2");
    let failure = host(&told, "web5").failure.as_ref().expect("not begun");
    assert_eq!(failure.kind, ErrorKind::Blocked);
    assert_eq!(failure.message, "not begun: the canary web1 failed");
    assert_eq!(told.warnings, ["the canary web1 failed"]);

    broken.store(false, Ordering::Relaxed);
    let again = retry(&fleet, &two_stages(), &told).await;
    assert!(again.is_success(), "{again}");
    assert_eq!(diary.of("web2"), ["first", "last"], "it had finished");
}

#[tokio::test]
async fn hosts_that_cannot_be_reached_use_up_the_failure_budget() {
    let diary = Diary::default();
    let alive = diary.host(|_, _| false);
    let sim = start((1..=9).map(|number| {
        let host = alive.named(format!("web{number}"));
        match number {
            2 | 3 | 5 => host.fault(Fault::Refuse),
            _ => host,
        }
    }))
    .await;
    for (budget, succeeded, ending) in [
        (Share::Hosts(2), "web[1,4,6]", Ending::Stopped),
        (Share::Percent(33.4), "web[1,4,6-9]", Ending::Completed),
    ] {
        let rollout = Rollout::default()
            .batches([Share::Hosts(3)])
            .failure_budget(budget);
        let fleet = fleet(&sim).connect_retries(retries(1)).rollout(rollout);
        let told = run(&fleet, &two_stages()).await;
        assert_eq!(told.ending, ending, "{told}");
        assert_eq!(told.succeeded(), hosts(succeeded), "{told}");
    }
}

#[tokio::test]
async fn an_exceeded_budget_can_pause_or_abort() {
    let diary = Diary::default();
    let sim = start(alike(diary.host(failing_in("last", &["web2"])), 6)).await;
    let rollout = Rollout::default()
        .batches([Share::Hosts(2)])
        .failure_budget(Share::Hosts(0));
    let paused = fleet(&sim).rollout(rollout.clone().when_exceeded(WhenExceeded::Pause));
    let mut started = paused.run(&two_stages()).expect("a valid plan");
    let (control, mut events) = (started.control(), started.events());
    wait_for_pause(&mut events).await;
    control.resume();
    let told = report(started).await;
    assert_eq!(told.ending, Ending::Completed);
    assert_eq!(told.failed().to_string(), "web2");

    let aborted = fleet(&sim).rollout(rollout.when_exceeded(WhenExceeded::Abort));
    let told = run(&aborted, &two_stages()).await;
    assert_eq!(told.ending, Ending::Aborted);
    assert!(told.succeeded().is_empty(), "{told}");
    assert_eq!(
        host(&told, "web1").stages[1].status,
        StageStatus::RolledBack,
        "{told}"
    );
}

#[tokio::test]
async fn a_pause_behind_the_canaries_lets_somebody_look() {
    let diary = Diary::default();
    let sim = start(alike(diary.host(|_, _| false), 4)).await;
    let rollout = Rollout::default()
        .canaries(hosts("web3"))
        .pause_after_canaries();
    let mut started = fleet(&sim)
        .rollout(rollout)
        .run(&two_stages())
        .expect("a valid plan");
    let (control, mut events) = (started.control(), started.events());
    wait_for_pause(&mut events).await;
    assert_eq!(diary.places("last").len(), 1);
    control.resume();
    let told = report(started).await;
    assert!(told.is_success(), "{told}");
}

#[tokio::test]
async fn a_stop_lets_hosts_under_way_finish() {
    let diary = Diary::default();
    let steering = Steering::default();
    let sim = start(alike(diary.host(steering.at(1, Control::stop)), 10)).await;
    let started = fleet(&sim)
        .parallelism(3)
        .run(&two_stages())
        .expect("a valid plan");
    steering.take(&started);
    let told = report(started).await;
    assert_eq!(told.ending, Ending::Stopped);
    let succeeded = told.succeeded().len();
    assert!((1..=3).contains(&succeeded), "{told}");
    for host in &told.hosts {
        let failure = host
            .failure
            .as_ref()
            .map(|failure| failure.message.as_str());
        assert!(
            matches!(
                failure,
                None | Some("not begun because the run was stopped")
            ),
            "{host:?}"
        );
    }
}

/// The slow host is ended in its stage, and time spent waiting for it at the barrier counts for nobody.
#[tokio::test]
async fn a_hosts_deadline_binds_all_of_its_work_and_no_waiting() {
    let slow = SimHost::new("slow").answer("work", Answer::never_exits());
    let quick = SimHost::new("quick").answer("work", Answer::new());
    let sim = start([slow, quick]).await;
    let plan = Plan::new("p")
        .stage(Stage::command("work", ["work"]).barrier())
        .stage(Stage::command("last", ["true"]));
    let fleet = fleet(&sim).host_deadline(Duration::from_secs(2));
    let told = run(&fleet, &plan).await;
    let failure = host(&told, "slow").failure.as_ref().expect("too slow");
    assert_eq!(failure.kind, ErrorKind::Timeout);
    assert_eq!(failure.message, "the host's deadline of 2s passed");
    assert_eq!(
        host(&told, "slow").termination,
        Some(Termination::Confirmed)
    );
    assert!(sim.host("slow").processes().is_empty());
    assert!(host(&told, "quick").is_success(), "{told}");
}

#[tokio::test]
async fn a_hosts_deadline_binds_its_attempts_to_connect() {
    let sim = start([SimHost::new("web1").fault(Fault::Silent)]).await;
    let fleet = fleet(&sim)
        .connect_retries(retries(u32::MAX))
        .host_deadline(Duration::from_millis(300));
    let told = run(&fleet, &two_stages()).await;
    let failure = host(&told, "web1").failure.as_ref().expect("too slow");
    assert_eq!(failure.message, "the host's deadline of 300ms passed");
}

#[tokio::test]
async fn a_runs_deadline_cancels_it() {
    let slow = SimHost::new("").answer("work", Answer::never_exits());
    let sim = start(alike(slow, 3)).await;
    let plan = Plan::new("p").stage(Stage::command("work", ["work"]));
    let fleet = fleet(&sim)
        .parallelism(2)
        .run_deadline(Duration::from_millis(500));
    let told = run(&fleet, &plan).await;
    assert_eq!(told.ending, Ending::Cancelled);
    for host in &told.hosts {
        let failure = host.failure.as_ref().expect("it was ended");
        assert_eq!(failure.kind, ErrorKind::Cancelled);
        assert_eq!(failure.message, "ended because the run's deadline passed");
        assert!(sim.host(&host.name).processes().is_empty());
    }
}
