//! Connections that come about only after a while, and many of them.

use super::*;

#[tokio::test]
async fn hosts_that_heal_while_the_run_goes_on_are_no_failures() {
    let faults = [
        Fault::Refuse,
        Fault::Silent,
        Fault::DropInKeyExchange,
        Fault::DropFirst(u32::MAX),
    ];
    let sim = start(
        alike(SimHost::new(""), 4)
            .zip(faults)
            .map(|(host, fault)| host.fault(fault)),
    )
    .await;
    let options = SessionOptions::default()
        .config(clusterops::config::Config::none().expect("there is a user"))
        .agent(false)
        .handshake_deadline(Duration::from_millis(400));
    let fleet = fleet(&sim)
        .session(options)
        .connect_retries(retries(u32::MAX));
    let plan = Plan::new("p").stage(Stage::command("hello", ["hostname"]));
    let mut run = fleet.run(&plan).expect("a valid plan");
    let mut events = run.events();
    wait_for_states(
        &mut events,
        4,
        |_, state| matches!(state, HostState::Connecting { attempt } if *attempt >= 3),
    )
    .await;
    for host in sim.hosts() {
        host.heal();
    }
    let report = report(run).await;
    assert!(report.is_success(), "{report}");
    for host in &report.hosts {
        assert!(host.connection_attempts >= 3, "{host:?}");
        assert_eq!(
            host.stages[0].stdout.to_string(),
            format!("{}\n", host.name)
        );
    }
}

/// As sshd does past its `MaxStartups`: many connections at once are dropped before a word is said.
#[tokio::test]
async fn retries_get_past_dropped_connections_and_spread_out() {
    let sim = start(alike(SimHost::new("").fault(Fault::DropFirst(2)), 40)).await;
    let patient = retries(4)
        .first_pause(Duration::from_millis(300))
        .longest_pause(Duration::from_millis(300));
    let plan = Plan::new("p").stage(Stage::command("s", ["true"]));
    let mut started = fleet(&sim)
        .connect_retries(patient)
        .run(&plan)
        .expect("a valid plan");
    let mut events = started.events();
    let mut second = Vec::new();
    while let Some(event) = events.next().await {
        if let Event::Host {
            state: HostState::Connecting { attempt: 2 },
            ..
        } = event
        {
            second.push(Instant::now());
        }
    }
    let past = report(started).await;
    assert!(past.is_success(), "{past}");
    for host in &past.hosts {
        assert_eq!(host.connection_attempts, 3, "{host:?}");
        assert_eq!(sim.host(&host.name).connections(), 3);
    }
    // Pauses are varied by up to a half in both directions, here 150 to 450 ms.
    let spread = *second.last().expect("all were dropped") - second[0];
    assert_eq!(second.len(), 40);
    assert!(
        spread > Duration::from_millis(100),
        "they all came back within {spread:?}"
    );

    let sim = start([SimHost::new("web1").fault(Fault::DropFirst(3))]).await;
    let report = run(&fleet(&sim).connect_retries(retries(3)), &plan).await;
    assert_eq!(kind(host(&report, "web1")), Some(ErrorKind::Disconnected));
    assert_eq!(sim.host("web1").connections(), 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn two_thousand_hosts_take_seconds_not_minutes() {
    // One after another they would take longer than anybody here waits.
    let delay = PATIENCE / 1000;
    let host = SimHost::new("").answer("uname -r", Answer::stdout("6.1.0\n").with_delay(delay));
    let sim = start(alike(host, 2000)).await;
    for index in [7, 1234] {
        sim.host(&format!("web{index}"))
            .fault(Fault::RejectAuthentication);
    }
    let plan = Plan::new("p")
        .stage(Stage::shell("kernel", "uname -r").barrier())
        .stage(Stage::command("after", ["true"]));
    let told = run(&fleet(&sim).parallelism(200), &plan).await;
    assert_eq!(told.failed().to_string(), "web[7,1234]");
    assert_eq!(
        told.gather("kernel").answers()[0].hosts.to_string(),
        "web[1-6,8-1233,1235-2000]"
    );
    assert!(sim.hosts().all(|host| host.connections() == 1));
}

/// As sshd does since OpenSSH 9.8 to a source that behaved badly: what counts is how long one waits, not how often one asks.
#[tokio::test]
async fn a_penalty_is_waited_for() {
    let penalty = Duration::from_secs(4);
    let sim = start(alike(SimHost::new("").fault(Fault::NotAllowed(penalty)), 3)).await;
    let plan = Plan::new("p").stage(Stage::command("s", ["true"]));
    let began = Instant::now();
    let told = run(
        &fleet(&sim).connect_retries(ConnectRetries::default()),
        &plan,
    )
    .await;
    assert!(told.is_success(), "{told}");
    assert!(began.elapsed() >= penalty, "{:?}", began.elapsed());

    // Nobody waits for ever.
    sim.host("web1").fault(Fault::NotAllowed(Duration::MAX));
    let told = run(&fleet(&sim), &plan).await;
    assert_eq!(kind(host(&told, "web1")), Some(ErrorKind::Overloaded));
}
