//! Commands that are ended before their time.

use clusterops::journal::Leftover;

use super::*;

/// A host on which a command is under way that only a signal ends.
fn serving(name: &str, answer: Answer) -> SimHost {
    SimHost::new(name).answer("serve", answer)
}

#[tokio::test]
async fn a_cancel_ends_every_remote_process_and_nothing_else() {
    let endless = Answer::never_exits();
    let flood = Answer::new().with_fault(Fault::Flood(None));
    let hosts = [
        serving("polite", endless.clone()),
        serving("root", endless.clone()).user("root"),
        serving("deaf", endless.clone()).ignores_signals(),
        serving("stubborn", endless.clone().ignoring_term()),
        serving("detached", endless.clone().with_detached("worker --away")),
        serving(
            "worst",
            endless
                .ignoring_term()
                .with_detached("worker --away")
                .with_detached("worker --too"),
        )
        .user("root"),
        serving("flood", flood.clone()),
        serving("torrent", flood.ignoring_term()).user("root"),
        SimHost::new("connecting").fault(Fault::Silent),
        SimHost::new("waiting"),
    ];
    let sim = start(hosts).await;
    let (busy, all) = (8, sim.targets().len());

    // What others run on the same hosts is not ours to end.
    let options = SessionOptions::default()
        .config(clusterops::config::Config::none().expect("there is a user"))
        .agent(false);
    let session = Session::connect(&sim.target("worst"), &options)
        .await
        .expect("it serves");
    let mut other = session
        .exec(&Command::new(["sleep", "infinity"]))
        .await
        .expect("a builtin");
    let bystander = tokio::spawn(async move { other.next().await });
    wait_until("the other process", || {
        sim.host("worst").processes().len() == 1
    })
    .await;
    let bystander_pid = sim.host("worst").processes()[0].pid;

    let plan = Plan::new("p")
        .stage(Stage::command("serve", ["serve"]))
        .stage(Stage::command("after", ["true"]));
    let started = fleet(&sim)
        .parallelism(all - 1)
        .run(&plan)
        .expect("a valid plan");
    let ours = |host: &SimHandle| {
        let processes = host.processes().into_iter();
        processes
            .filter(|process| {
                process
                    .environment
                    .get("CLUSTEROPS_RUN")
                    .is_some_and(|run| run == started.id())
            })
            .count()
    };
    wait_until("the processes", || {
        sim.hosts().take(busy).all(|host| ours(&host) > 0)
            && sim.host("connecting").connections() == 1
    })
    .await;
    assert_eq!(
        (ours(&sim.host("worst")), ours(&sim.host("detached"))),
        (3, 2)
    );
    let cancelled = Instant::now();
    started.control().cancel();
    let told = report(started).await;
    assert!(
        cancelled.elapsed() < Duration::from_secs(60),
        "{:?}",
        cancelled.elapsed()
    );

    assert_eq!(told.ending, Ending::Cancelled);
    for (index, host) in told.hosts.iter().enumerate() {
        assert_eq!(kind(host), Some(ErrorKind::Cancelled), "{host:?}");
        assert_eq!(
            host.termination,
            (index < busy).then_some(Termination::Confirmed),
            "{host:?}"
        );
        let left: Vec<u32> = sim
            .host(&host.name)
            .processes()
            .iter()
            .map(|process| process.pid)
            .collect();
        let expected = if host.name == "worst" {
            vec![bystander_pid]
        } else {
            Vec::new()
        };
        assert_eq!(left, expected, "{}", host.name);
    }
    assert_eq!(sim.host("waiting").connections(), 0, "its turn never came");
    assert!(!bystander.is_finished());
}

#[tokio::test]
async fn a_run_that_is_dropped_ends_its_processes() {
    let sim = start(alike(
        serving("", Answer::never_exits().with_detached("worker")).ignores_signals(),
        5,
    ))
    .await;
    let plan = Plan::new("p").stage(Stage::command("serve", ["serve"]));
    let started = fleet(&sim).run(&plan).expect("a valid plan");
    wait_until("the processes", || {
        sim.hosts().all(|host| host.processes().len() == 2)
    })
    .await;
    drop(started);
    wait_until("their end", || {
        sim.hosts()
            .all(|host| host.processes().is_empty() && host.open_connections() == 0)
    })
    .await;
}

#[tokio::test]
async fn a_command_whose_connection_was_lost_is_ended_before_its_stage_is_undone() {
    let host = serving(
        "web1",
        Answer::never_exits().with_fault(Fault::DropDuringCommand),
    )
    .own_port();
    let sim = start([host]).await;
    let plan =
        Plan::new("p").stage(Stage::command("serve", ["serve"]).rollback(Step::command(["true"])));
    let told = run(&fleet(&sim), &plan).await;
    let host = &told.hosts[0];
    assert_eq!(kind(host), Some(ErrorKind::Disconnected));
    assert_eq!(host.termination, Some(Termination::Confirmed));
    assert_eq!(
        host.stages[0].status,
        StageStatus::RolledBack,
        "over a second connection"
    );
    assert_eq!(host.connection_attempts, 2);
    assert!(sim.host("web1").processes().is_empty());
    let commands = sim.host("web1").commands();
    let last = commands.last().expect("the rollback");
    assert_eq!(last.line(), "true", "the end comes first: {commands:?}");

    // Where nothing is undone, nobody looks, and the report says so.
    let plan = Plan::new("p").stage(Stage::command("serve", ["serve"]));
    let told = run(&fleet(&sim), &plan).await;
    let host = &told.hosts[0];
    assert!(
        matches!(host.termination, Some(Termination::Unconfirmed(_))),
        "{host:?}"
    );
    assert_eq!(sim.host("web1").processes().len(), 1);
    assert!(
        told.to_string()
            .contains("web1: the end of what ran there is not confirmed"),
        "{told}"
    );
}

/// The report says how what may still run is found, so that a retry does not start another one beside it.
#[tokio::test]
async fn what_a_lost_connection_left_running_is_ended_before_a_retry() {
    let (host, is_broken) = losing_connections();
    let sim = start([host.named("web1")]).await;
    let plan = Plan::new("p").stage(Stage::command("serve", ["serve"]));
    let told = run(&fleet(&sim), &plan).await;
    assert_eq!(sim.host("web1").processes().len(), 1);
    let is_unconfirmed =
        |told: &Report| matches!(told.hosts[0].termination, Some(Termination::Unconfirmed(_)));
    assert!(is_unconfirmed(&told), "{told}");

    // Where nobody can look, the report still says so.
    sim.host("web1").fault(Fault::Refuse);
    let fleet = fleet(&sim)
        .leftover(Leftover::End)
        .connect_retries(retries(1));
    let told = retry(&fleet, &plan, &told).await;
    assert_eq!(kind(&told.hosts[0]), Some(ErrorKind::Refused));
    assert!(is_unconfirmed(&told), "{told}");

    sim.host("web1").heal();
    is_broken.store(false, Ordering::SeqCst);
    let told = retry(&fleet, &plan, &told).await;
    assert!(told.is_success(), "{told}");
    assert_eq!(told.hosts[0].termination, None);
    assert!(sim.host("web1").processes().is_empty());
}

#[tokio::test]
async fn an_abort_undoes_nothing_beside_what_still_runs() {
    let steering = Steering::default();
    let diary = Diary::default();
    let lost = Answer::never_exits().with_fault(Fault::DropDuringCommand);
    let host = |name: &str| diary.host(|_, _| false).named(name).own_port();
    let hosts = [
        host("web1").answer("serve", lost),
        host("web2").answer("serve", Answer::never_exits()),
    ];
    let sim = start(hosts).await;
    let plan = Plan::new("p")
        .rollback_when(RollbackWhen::Aborted)
        .stage(Stage::command("serve", ["serve"]).rollback(Step::command(["note", "undone"])));
    let mut run = fleet(&sim).run(&plan).expect("a valid plan");
    let control = steering.take(&run);
    let mut events = run.events();
    wait_for_states(&mut events, 2, |host, state| match host {
        "web1" => matches!(state, HostState::Failed { .. }),
        _ => matches!(state, HostState::Running { .. }),
    })
    .await;
    assert_eq!(sim.host("web1").processes().len(), 1);
    control.abort();
    let told = report(run).await;
    for name in ["web1", "web2"] {
        assert!(sim.host(name).processes().is_empty(), "{name}: {told}");
        assert_eq!(diary.of(name), ["undone"]);
        assert_eq!(
            super::host(&told, name).termination,
            Some(Termination::Confirmed)
        );
    }
}

#[tokio::test]
async fn nothing_is_undone_beside_a_rollback_that_may_still_run() {
    let lost = Answer::never_exits()
        .ignoring_term()
        .with_fault(Fault::DropDuringCommand);
    let host = SimHost::new("web1")
        .own_port()
        .ignores_signals()
        .answer("undo two", lost)
        .answer("undo one", Answer::new());
    let sim = start([host]).await;
    let stage = |name: &str, word: &str| {
        Stage::command(name, [word]).rollback(Step::command(["undo", name]))
    };
    let plan = Plan::new("p")
        .stage(stage("one", "true"))
        .stage(stage("two", "true"))
        .stage(Stage::command("fails", ["false"]));
    let told = run(&fleet(&sim), &plan).await;
    let left = sim.host("web1").processes().len();
    let undone = lines(&sim.host("web1")).contains(&"undo one".to_owned());
    assert_eq!(undone, left == 0, "{told}");
    let host = &told.hosts[0];
    match left {
        0 => assert_eq!(host.termination, Some(Termination::Confirmed)),
        _ => assert!(matches!(
            host.termination,
            Some(Termination::Unconfirmed(_))
        )),
    }
}

/// A retry that is aborted undoes the stage that the run before it had begun.
#[tokio::test]
async fn an_aborted_retry_undoes_what_was_begun_before_it() {
    let diary = Diary::default();
    let lost = Answer::never_exits().with_fault(Fault::DropDuringCommand);
    let host = diary
        .host(|_, _| false)
        .named("web1")
        .own_port()
        .answer("serve", lost);
    let sim = start([host]).await;
    let plan = Plan::new("p")
        .rollback_when(RollbackWhen::Aborted)
        .stage(noted("one"))
        .stage(
            Stage::command("serve", ["serve"]).rollback(Step::command(["note", "undo", "serve"])),
        );
    let told = run(&fleet(&sim), &plan).await;
    assert_eq!(kind(&told.hosts[0]), Some(ErrorKind::Disconnected));
    let run = fleet(&sim).retry(&plan, &told).expect("the same plan");
    run.control().abort();
    let told = report(run).await;
    assert_eq!(told.ending, Ending::Aborted);
    assert_eq!(diary.of("web1"), ["one", "undo serve", "undo one"]);
    assert!(sim.host("web1").processes().is_empty());
}
