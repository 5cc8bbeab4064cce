//! Runs that are steered while they go on.

use super::*;

#[tokio::test]
async fn a_retry_continues_a_cancelled_run() {
    let diary = Diary::default();
    let steering = Steering::default();
    let sim = start(alike(diary.host(steering.at(10, Control::cancel)), 20)).await;
    let plan = Plan::new("p")
        .stage(Stage::command("first", ["note", "first"]).barrier())
        .stage(Stage::command("last", ["note", "last"]));
    let started = fleet(&sim).parallelism(4).run(&plan).expect("a valid plan");
    steering.take(&started);
    let told = report(started).await;
    assert_eq!(told.ending, Ending::Cancelled);
    assert_eq!(diary.places("last"), [0; 0], "the barrier did not open");

    let again = retry(&fleet(&sim), &plan, &told).await;
    assert!(again.is_success(), "{again}");
    assert_eq!(diary.places("last").len(), 20);
    let firsts = diary.places("first").len();
    let stopped_halfway = told
        .hosts
        .iter()
        .filter(|host| {
            host.stages
                .first()
                .is_some_and(|stage| !stage.is_finished())
        })
        .count();
    assert!(
        (20..=20 + stopped_halfway).contains(&firsts),
        "{firsts}, {stopped_halfway}"
    );
}

#[tokio::test]
async fn a_pause_starts_nothing_until_it_is_over() {
    let diary = Diary::default();
    let sim =
        start(alike(diary.host(|_, _| false), 20).map(|host| host.fault(Fault::Silent))).await;
    let plan = Plan::new("p")
        .stage(noted("first").barrier())
        .stage(noted("last"));
    let options = SessionOptions::default()
        .config(clusterops::config::Config::none().expect("there is a user"))
        .agent(false)
        .handshake_deadline(Duration::from_millis(500));
    let fleet = fleet(&sim)
        .session(options)
        .connect_retries(retries(u32::MAX))
        .parallelism(20);
    let mut started = fleet.run(&plan).expect("a valid plan");
    let (control, mut events) = (started.control(), started.events());
    wait_for_states(&mut events, 20, |_, state| {
        matches!(state, HostState::Connecting { .. })
    })
    .await;
    control.pause();
    // Whoever was connecting still gets its connection, and no command.
    for host in sim.hosts() {
        host.heal();
    }
    wait_for_states(&mut events, 20, |_, state| {
        matches!(state, HostState::Held { before: 0 })
    })
    .await;
    assert_eq!(diary.places("first"), [0; 0]);
    control.resume();
    let told = report(started).await;
    assert!(told.is_success(), "{told}");
    assert_eq!(diary.places("last").len(), 20);
    assert_eq!(told.ending, Ending::Completed);
}

#[tokio::test]
async fn what_runs_when_a_pause_comes_goes_on_and_a_cancel_ends_the_pause() {
    for ends_by_cancel in [true, false] {
        let diary = Diary::default();
        let steering = Steering::default();
        let sim = start(alike(diary.host(steering.at(1, Control::pause)), 10)).await;
        let plan = Plan::new("p").stage(noted("first")).stage(noted("last"));
        let mut started = fleet(&sim).parallelism(3).run(&plan).expect("a valid plan");
        let control = steering.take(&started);
        let mut events = started.events();
        // No other host is even begun.
        wait_for_states(&mut events, 3, |host, state| {
            match diary.of(host).is_empty() {
                true => matches!(state, HostState::Held { before: 0 }),
                false => matches!(state, HostState::Held { before: 1 }),
            }
        })
        .await;
        let firsts = diary.places("first").len();
        assert!((1..=3).contains(&firsts), "{firsts}");
        assert_eq!(diary.places("last"), [0; 0]);
        if ends_by_cancel {
            control.cancel();
        }
        control.resume();
        let told = report(started).await;
        assert_eq!(told.is_success(), !ends_by_cancel, "{told}");
        let expected = if ends_by_cancel {
            (firsts, 0)
        } else {
            (10, 10)
        };
        assert_eq!(
            (diary.places("first").len(), diary.places("last").len()),
            expected
        );
    }
}
