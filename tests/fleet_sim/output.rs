//! Output without end, and readers that do not read.

use super::*;

#[tokio::test]
async fn a_flood_and_a_drip_hold_up_nobody() {
    const CAP: usize = 10_000;
    let drip = Fault::Drip {
        bytes: 1,
        every: Duration::from_millis(5),
    };
    let talk = SimHost::new("").answer("talk", Answer::stdout("0123456789\n".repeat(5)));
    let sim = start(
        [
            talk.named("flood").fault(Fault::Flood(None)),
            talk.named("drip").fault(drip),
        ]
        .into_iter()
        .chain(alike(talk, 20)),
    )
    .await;
    let plan = Plan::new("p")
        .stage(Stage::command("talk", ["talk"]).barrier())
        .stage(Stage::command("after", ["true"]));
    // One place is left beside the two.
    let fleet = fleet(&sim).parallelism(3).output_cap(CAP);
    let mut started = fleet.run(&plan).expect("a valid plan");
    let (control, mut events) = (started.control(), started.events());
    wait_for_states(&mut events, 22, |host, state| match host {
        "flood" => matches!(state, HostState::Running { stage: 0 }),
        _ => matches!(state, HostState::Held { before: 1 }),
    })
    .await;
    control.cancel();
    let told = report(started).await;
    let flood = host(&told, "flood");
    assert_eq!(
        flood.termination,
        Some(Termination::Confirmed),
        "{:?}",
        flood.failure
    );
    let output = &flood.stages[0].stdout;
    assert_eq!(output.total() - output.cut(), CAP as u64);
    assert!(output.to_string().starts_with("0123456789\n"));
    for name in ["drip", "web1", "web20"] {
        assert_eq!(
            host(&told, name).stages[0].stdout.to_string(),
            "0123456789\n".repeat(5)
        );
    }
}

#[tokio::test]
async fn what_the_report_cannot_keep_is_counted_and_on_disk() {
    const SAID: u64 = 300_000;
    let folder = tempfile::tempdir().expect("a folder");
    let binary = SimHost::new("").answer(
        "talk",
        Answer::stdout(&b"\xff\x00\xc3"[..]).with_fault(Fault::Flood(Some(SAID - 3))),
    );
    let sim = start(alike(binary, 8)).await;
    let plan = Plan::new("p").stage(Stage::command("talk", ["talk"]));
    let fleet = fleet(&sim)
        .output_cap(20_000)
        .output_budget(100_000)
        .output_folder(folder.path());
    let told = run(&fleet, &plan).await;
    assert!(told.is_success(), "{told}");
    assert_eq!(told.warnings, [""; 0]);
    let mut kept = 0;
    for host in &told.hosts {
        let output = &host.stages[0].stdout;
        assert_eq!(output.total(), SAID, "{}", host.name);
        kept += output.total() - output.cut();
        let file = std::fs::read(folder.path().join(&host.name).join("01-talk.stdout"))
            .expect("it was written");
        assert_eq!(
            (file.len() as u64, &file[..3]),
            (SAID, &b"\xff\x00\xc3"[..])
        );
    }
    assert_eq!(kept, 100_000, "the budget is used, and no more");

    // Without a folder it is lost, and the report says from where on.
    let fleet = super::fleet(&sim).output_cap(20_000).output_budget(100_000);
    let told = run(&fleet, &plan).await;
    assert_eq!(told.warnings.len(), 1, "{told}");
    let said = &told.warnings[0];
    assert!(said.contains("100000 bytes of output in all"), "{said}");
}

#[tokio::test]
async fn no_reader_of_events_stops_a_run() {
    const SAID: u64 = 2_000_000;
    let said = Answer::new().with_fault(Fault::Flood(Some(SAID)));
    let sim = start(alike(SimHost::new("").answer("talk", said), 8)).await;
    let plan = Plan::new("p")
        .stage(Stage::command("talk", ["talk"]))
        .stage(Stage::command("after", ["true"]));
    let fleet = fleet(&sim);
    let check = |told: &Report| {
        assert!(told.is_success(), "{told}");
        assert!(
            told.hosts
                .iter()
                .all(|host| host.stages[0].stdout.total() == SAID)
        );
    };

    check(&run(&fleet, &plan).await);

    let mut started = fleet.run(&plan).expect("a valid plan");
    drop(started.events());
    assert!(
        started.events().next().await.is_none(),
        "there is one stream only"
    );
    check(&report(started).await);

    let mut started = fleet.run(&plan).expect("a valid plan");
    let mut events = started.events();
    assert!(events.next().await.is_some());
    let reader = tokio::spawn(async move {
        while let Some(event) = events.next().await {
            if matches!(event, Event::Output { .. }) {
                return;
            }
        }
        panic!("the hosts wrote something");
    });
    check(&report(started).await);
    reader.await.expect("it went away in the middle");

    // A stream that is read when all is over holds the latest of each host, and says what it does not hold.
    let mut started = fleet.run(&plan).expect("a valid plan");
    let mut events = started.events();
    check(&report(started).await);
    let (mut output, mut states, mut last) = (BTreeMap::<_, u64>::new(), BTreeMap::new(), None);
    while let Some(event) = events.next().await {
        match event {
            Event::Output {
                host,
                bytes,
                skipped,
                ..
            } => *output.entry(host).or_default() += bytes.len() as u64 + skipped,
            Event::Host { host, state } => {
                assert_eq!(states.insert(host, state), None, "one state for each host")
            }
            Event::Run(state) => last = Some(state),
            _ => {}
        }
    }
    assert_eq!(last, Some(RunState::Finished));
    assert_eq!(states.len(), 8);
    assert!(
        states.values().all(|state| *state == HostState::Succeeded),
        "{states:?}"
    );
    assert_eq!(output.into_values().collect::<Vec<_>>(), [SAID; 8]);
}
