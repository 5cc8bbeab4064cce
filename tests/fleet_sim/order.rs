//! Where hosts wait for each other, go back, or go on in another run.

use super::*;

#[tokio::test]
async fn barriers_run_once_and_rollbacks_work_at_any_parallelism() {
    for (hosts, parallelism) in [(6, 1), (6, 2), (300, 1), (300, 7), (300, 300)] {
        let diary = Diary::default();
        let fails = |host: &str, what: &str| what == "last" && number(host).is_multiple_of(3);
        let all = alike(diary.host(fails), hosts)
            .enumerate()
            .map(|(index, host)| match index {
                0 => host.fault(Fault::Refuse),
                _ => host,
            });
        let sim = start(all).await;
        let plan = Plan::new("p")
            .stage(noted("first").barrier())
            .stage(noted("migrate").run_once())
            .stage(noted("second").barrier())
            .stage(noted("last"));
        let fleet = fleet(&sim)
            .parallelism(parallelism)
            .connect_retries(retries(1));
        let told = run(&fleet, &plan).await;

        let (failing, alive) = (hosts / 3, hosts - 1);
        let counts: Vec<_> = told
            .outcomes()
            .into_iter()
            .map(|(kind, hosts)| (kind, hosts.len()))
            .collect();
        let expected = [
            (None, alive - failing),
            (Some(ErrorKind::Refused), 1),
            (Some(ErrorKind::Command), failing),
        ];
        assert_eq!(counts, expected, "{hosts} hosts, {parallelism} at once");

        // web1 is dead, so web2 migrates: once, for all, behind the barrier and before anything else.
        let (firsts, migrations) = (diary.places("first"), diary.places("migrate"));
        let (seconds, lasts) = (diary.places("second"), diary.places("last"));
        assert_eq!(
            (firsts.len(), migrations.len(), seconds.len(), lasts.len()),
            (alive, 1, alive, alive)
        );
        assert!(
            firsts.last() < migrations.first()
                && migrations < seconds
                && seconds.last() < lasts.first()
        );
        assert!(diary.of("web2").contains(&"migrate".to_owned()));
        let skipped = host(&told, "web4").stages[1].status;
        assert_eq!(skipped, StageStatus::Skipped(SkipReason::RunOnce));

        // What a host skipped is not undone.
        assert_eq!(
            diary.of("web3"),
            [
                "first",
                "second",
                "last",
                "undo last",
                "undo second",
                "undo first"
            ]
        );
        assert_eq!(diary.of("web4"), ["first", "second", "last"]);
        assert_eq!(host(&told, "web3").first_unfinished(), 0);
        for host in sim.hosts().skip(1) {
            assert_eq!(host.connections(), 1, "{}", host.name());
        }
    }
}

#[tokio::test]
async fn an_abort_undoes_what_held_and_finished_hosts_did() {
    for (hosts, parallelism) in [(6, 1), (300, 1), (300, 50)] {
        let diary = Diary::default();
        let host_of = |host: SimHost| host.answer("serve", Answer::never_exits());
        let sim = start(alike(host_of(diary.host(|_, _| false)), hosts)).await;
        // The last host serves for ever; the others wait for it.
        let serve = Stage::command("serve", ["serve"]).unless([
            "test",
            "{{host}}",
            "!=",
            &format!("web{hosts}"),
        ]);
        let plan = Plan::new("p")
            .stage(noted("first"))
            .stage(serve.barrier())
            .stage(noted("never"))
            .rollback_when(RollbackWhen::Aborted);
        let mut started = fleet(&sim)
            .parallelism(parallelism)
            .run(&plan)
            .expect("a valid plan");
        let (control, mut events) = (started.control(), started.events());
        wait_for_states(&mut events, hosts, |host, state| {
            match number(host) == hosts {
                true => matches!(state, HostState::Running { stage: 1 }),
                false => matches!(state, HostState::Held { before: 2 }),
            }
        })
        .await;
        let last = sim.host(&format!("web{hosts}"));
        wait_until("the last host's command", || !last.processes().is_empty()).await;
        control.abort();
        let told = report(started).await;
        assert_eq!(told.ending, Ending::Aborted);
        for host in &told.hosts {
            assert_eq!(kind(host), Some(ErrorKind::Cancelled), "{host:?}");
            assert_eq!(host.stages[0].status, StageStatus::RolledBack, "{host:?}");
            assert_eq!(diary.of(&host.name), ["first", "undo first"]);
        }
        assert_eq!(last.processes(), []);
    }
}

#[tokio::test]
async fn a_run_once_stage_that_failed_is_taken_again_by_a_retry() {
    let diary = Diary::default();
    let broken = Arc::new(AtomicBool::new(true));
    let is_broken = Arc::clone(&broken);
    let fails = move |_: &str, what: &str| what == "migrate" && is_broken.load(Ordering::SeqCst);
    let sim = start(alike(diary.host(fails), 10)).await;
    let plan = Plan::new("p")
        .stage(Stage::command("first", ["note", "first"]))
        .stage(Stage::command("migrate", ["note", "migrate"]).run_once())
        .stage(Stage::command("last", ["note", "last"]));
    let fleet = fleet(&sim).parallelism(3);
    let told = run(&fleet, &plan).await;
    let outcomes: Vec<_> = told
        .outcomes()
        .into_iter()
        .map(|(kind, hosts)| (kind, hosts.to_string()))
        .collect();
    assert_eq!(
        outcomes,
        [
            (Some(ErrorKind::Command), "web1".to_owned()),
            (Some(ErrorKind::Blocked), "web[2-10]".to_owned())
        ]
    );

    broken.store(false, Ordering::SeqCst);
    let again = retry(&fleet, &plan, &told).await;
    assert!(again.is_success(), "{again}");
    assert_eq!(diary.of("web1"), ["first", "migrate", "migrate", "last"]);
    assert_eq!(diary.of("web2"), ["first", "last"]);
}
