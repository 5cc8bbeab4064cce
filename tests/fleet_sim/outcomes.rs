//! How a host can fail, told apart.

use super::*;

/// One way in which a host can fail, and how that is told.
struct Case {
    name: &'static str,
    host: SimHost,
    kind: Option<ErrorKind>,
    connection_attempts: u32,
    exit: Option<Exit>,
    /// Whether the end of the remote processes was confirmed, where that is a question.
    confirmed: Option<bool>,
}

fn case(name: &'static str, kind: impl Into<Option<ErrorKind>>) -> Case {
    Case {
        name,
        host: SimHost::new(name).file("/ready", ""),
        kind: kind.into(),
        connection_attempts: 1,
        exit: None,
        confirmed: None,
    }
}

impl Case {
    fn fault(mut self, fault: Fault) -> Self {
        self.host = self.host.fault(fault);
        self
    }

    fn tried_again(mut self) -> Self {
        self.connection_attempts = 2;
        self
    }

    fn exit(mut self, exit: Exit) -> Self {
        self.exit = Some(exit);
        self
    }

    fn confirmed(mut self, confirmed: bool) -> Self {
        self.confirmed = Some(confirmed);
        self
    }

    /// Whether the host began its first stage, and failed in it.
    fn began_in_vain(&self) -> bool {
        self.kind.is_some() && (self.exit.is_some() || self.confirmed.is_some())
    }
}

#[tokio::test]
async fn every_outcome_is_told_apart_and_retried_once_healed() {
    use ErrorKind::{
        Authentication, Command, Disconnected, HostKey, Refused, Timeout, Unreachable,
    };
    let unready = Case {
        host: SimHost::new("status"),
        ..case("status", Command)
    };
    let cases = [
        case("well", None).exit(Exit::Status(0)),
        case("unreachable", Unreachable).tried_again(),
        case("refused", Refused).fault(Fault::Refuse).tried_again(),
        case("key", HostKey).fault(Fault::WrongHostKey),
        case("login", Authentication).fault(Fault::RejectAuthentication),
        case("silent", Timeout).fault(Fault::Silent).tried_again(),
        case("exchange", Disconnected)
            .fault(Fault::DropInKeyExchange)
            .tried_again(),
        unready.exit(Exit::Status(1)),
        case("signal", Command)
            .fault(Fault::ExitBySignal(Signal::Segv))
            .exit(Exit::Signal("SEGV".into())),
        case("mute", Command)
            .fault(Fault::NoStatus)
            .exit(Exit::ClosedWithoutStatus),
        case("hangs", Timeout)
            .fault(Fault::NeverExits)
            .exit(Exit::Signal("TERM".into()))
            .confirmed(true),
        case("lost", Disconnected)
            .fault(Fault::DropDuringCommand)
            .confirmed(false),
    ];
    let sim = start(cases.iter().map(|case| case.host.clone())).await;
    let mut targets = sim.targets();
    // TCP has no broadcasts: connect(2) fails with ENETUNREACH, and nothing is sent.
    targets[1].address = "255.255.255.255".into();
    let options = SessionOptions::default()
        .config(clusterops::config::Config::none().expect("there is a user"))
        .agent(false)
        .handshake_deadline(Duration::from_secs(2));
    let broken = Fleet::new(targets)
        .session(options)
        .connect_retries(retries(2))
        .parallelism(cases.len());
    let plan = Plan::new("p")
        .stage(Stage::command("check", ["test", "-e", "/ready"]).deadline(Duration::from_secs(4)))
        .stage(Stage::command("after", ["true"]));

    let first = run(&broken, &plan).await;
    for case in &cases {
        let told = host(&first, case.name);
        assert_eq!(kind(told), case.kind, "{told:?}");
        assert_eq!(
            told.connection_attempts, case.connection_attempts,
            "{told:?}"
        );
        assert_eq!(exit(told), case.exit, "{told:?}");
        let confirmed = told
            .termination
            .as_ref()
            .map(|end| *end == Termination::Confirmed);
        assert_eq!(confirmed, case.confirmed, "{told:?}");
        // A host that could not be asked never came to a stage.
        let came_to = told
            .failure
            .as_ref()
            .and_then(|failure| failure.stage.clone());
        let expected = case.began_in_vain().then(|| "check".to_owned());
        assert_eq!(came_to, expected, "{told:?}");
    }
    assert_eq!(first.succeeded().to_string(), "well");
    assert_eq!(first.ending, Ending::Completed);

    for host in sim.hosts() {
        host.heal();
        host.write_file("/ready", "").expect("a folder");
    }
    let again = retry(&fleet(&sim), &plan, &first).await;
    assert!(again.is_success(), "{again}");
    for case in &cases {
        let attempts: Vec<u32> = host(&again, case.name)
            .stages
            .iter()
            .map(|stage| stage.attempt)
            .collect();
        assert_eq!(
            attempts,
            [if case.began_in_vain() { 2 } else { 1 }, 1],
            "{}",
            case.name
        );
    }
    assert_eq!(host(&again, "well"), host(&first, "well"));
    assert_eq!(
        sim.host("well").connections(),
        1,
        "it was not touched again"
    );
}

#[tokio::test]
async fn a_missing_status_never_counts_as_success() {
    for (fault, exit_of) in [
        (Fault::NoStatus, Exit::ClosedWithoutStatus),
        (
            Fault::ExitBySignal(Signal::Kill),
            Exit::Signal("KILL".into()),
        ),
    ] {
        let odd = Answer::stdout("half\n").with_fault(fault.clone());
        let sim = start([SimHost::new("web1")
            .answer("odd", odd)
            .answer("step", Answer::new())])
        .await;
        let fleet = fleet(&sim);
        let generous = Stage::command("s", ["odd"]).success(0..=255);
        let told = run(&fleet, &Plan::new("p").stage(generous)).await;
        assert_eq!(
            kind(host(&told, "web1")),
            Some(ErrorKind::Command),
            "{told:?}"
        );
        assert_eq!(exit(host(&told, "web1")), Some(exit_of));
        assert_eq!(told.hosts[0].stages[0].stdout.to_string(), "half\n");

        // Neither of the two says that the guard did not hold, so nothing is done.
        let guarded = Stage::command("s", ["step"]).unless(["odd"]);
        let told = run(&fleet, &Plan::new("p").stage(guarded)).await;
        assert_eq!(
            kind(host(&told, "web1")),
            Some(ErrorKind::Command),
            "{told:?}"
        );

        let undone = Stage::command("s", ["false"]).rollback(Step::command(["odd"]));
        let told = run(&fleet, &Plan::new("p").stage(undone)).await;
        let stage = &told.hosts[0].stages[0];
        assert_eq!(stage.status, StageStatus::Failed);
        assert!(
            stage
                .rollback
                .as_ref()
                .is_some_and(|rollback| rollback.failure.is_some()),
            "{stage:?}"
        );

        let host = sim.host("web1");
        assert!(
            !lines(&host).contains(&"step".to_owned()),
            "{:?}",
            lines(&host)
        );
        host.fault(fault);
        let created = Stage::command("s", ["step"]).creates("/nonexistent");
        let told = run(&fleet, &Plan::new("p").stage(created)).await;
        assert_eq!(kind(&told.hosts[0]), Some(ErrorKind::Command), "{told:?}");
        assert!(
            !lines(&host).contains(&"step".to_owned()),
            "{:?}",
            lines(&host)
        );
    }
}

#[tokio::test]
async fn an_upload_that_fails_leaves_nothing_behind() {
    let folder = tempfile::tempdir().expect("a folder");
    let source = folder.path().join("app.tar");
    std::fs::write(&source, vec![7; 1 << 20]).expect("our folder");
    let sim = start(alike(SimHost::new("").file("/opt/app.tar", "old"), 4)).await;
    let broken = sim.host("web3");
    broken.fault(Fault::DiskFull);
    let plan = Plan::new("p")
        .stage(Stage::upload("app", &source, "/opt/app.tar").mode(0o640))
        .stage(Stage::upload("new", &source, "/opt/new.tar"))
        .stage(Stage::shell("look", "echo /opt/* /opt/.*"));
    let fleet = fleet(&sim);
    let told = run(&fleet, &plan).await;
    assert_eq!(told.failed().to_string(), "web3");
    let host = &told.hosts[2];
    assert_eq!(kind(host), Some(ErrorKind::Transfer), "{host:?}");
    assert_eq!(host.termination, None, "nothing was ended before its time");
    assert_eq!(
        broken
            .read_file("/opt/app.tar")
            .expect("it was there before"),
        b"old"
    );

    // Nothing under a hidden name either; the pattern stands for itself where it fits nothing.
    broken.heal();
    let look = Plan::new("p").stage(Stage::shell("look", "echo /opt/* /opt/.*"));
    let web3 = Fleet::new([sim.target("web3")]);
    assert_eq!(
        run(&web3, &look).await.gather("look").answers()[0].text,
        "/opt/app.tar /opt/.*"
    );

    let again = retry(&fleet, &plan, &told).await;
    assert!(again.is_success(), "{again}");
    assert_eq!(
        again.gather("look").to_string(),
        "web[1-4]: /opt/app.tar /opt/new.tar /opt/.*"
    );
    assert_eq!(
        (
            broken.read_file("/opt/app.tar").expect("it is there").len(),
            broken.mode("/opt/app.tar").expect("it is there")
        ),
        (1 << 20, 0o640)
    );
}

#[tokio::test]
async fn what_is_gathered_is_what_hosts_are_told_apart_by() {
    let slow = |said: &str| Answer::stdout(format!("{said}\n")).with_fault(Fault::NeverExits);
    let hosts = [
        SimHost::new("web1").answer("wait", slow("at 3")),
        SimHost::new("web2").answer("wait", slow("at 3")),
        SimHost::new("web3").answer("wait", slow("at 4")),
        SimHost::new("web4").answer("wait", Answer::stdout("there\n")),
    ];
    let hosts = hosts.map(|host| host.answer(Match::prefix("begin"), Answer::stdout("begun\n")));
    // What is not shown tells no hosts apart.
    let hosts = hosts
        .into_iter()
        .enumerate()
        .map(|(number, host)| host.answer("number", Answer::stdout(format!("{number}\n"))));
    let sim = start(hosts).await;
    let plan = Plan::new("p")
        .stage(Stage::command("number", ["number"]).rollback(Step::command(["begin", "again"])))
        .stage(Stage::command("wait", ["wait"]).deadline(Duration::from_secs(3)));
    let told = run(&fleet(&sim), &plan).await;
    let how = "not done within 3s";
    assert_eq!(
        told.gather("wait").to_string(),
        format!("web[1-2]: at 3 (timeout: {how})\nweb3: at 4 (timeout: {how})\nweb4: there")
    );
    assert_eq!(
        told.gather("number").to_string(),
        format!("web[1-3]: timeout in stage `wait`: {how}\nweb4: 3")
    );
}
