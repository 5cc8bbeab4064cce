use std::time::{Duration, Instant};

use russh::keys::PrivateKeyWithHashAlg;
use tokio::io::AsyncReadExt as _;
use tokio::net::TcpStream;

use super::client::{DEADLINE, Outcome, connect, eventually, finish, login, run, start};
use crate::sim::{Answer, Fault, Signal, Sim, SimHost};
use crate::{Session, SessionOptions};

/// Starts one host with a fault.
async fn broken(fault: Fault) -> Sim {
    let host = SimHost::new("a")
        .answer("greet", Answer::stdout("hello\n"))
        .fault(fault);
    Sim::start([host]).await.expect("started")
}

/// The same target serves once its fault is gone.
async fn heals(sim: &Sim) {
    sim.host("a").heal();
    assert_eq!(
        run(&sim.target("a"), "greet").await,
        Outcome::stdout("hello\n")
    );
}

async fn dial(sim: &Sim) -> std::io::Result<TcpStream> {
    let target = sim.target("a");
    TcpStream::connect((target.address.as_str(), target.port.expect("set"))).await
}

#[tokio::test]
async fn refuse() {
    let sim = broken(Fault::Refuse).await;
    let target = sim.target("a");
    for _ in 0..2 {
        assert_eq!(
            dial(&sim).await.expect_err("refused").kind(),
            std::io::ErrorKind::ConnectionRefused
        );
        heals(&sim).await;
        assert_eq!(sim.target("a").port, target.port);
        sim.host("a").fault(Fault::Refuse);
    }
}

#[tokio::test]
async fn refuse_while_it_runs() {
    let sim = Sim::start([SimHost::new("a"), SimHost::new("b")])
        .await
        .expect("started");
    let before = sim.target("a");
    sim.host("a").fault(Fault::Refuse);
    assert_ne!(sim.target("a").port, before.port);
    assert_eq!(sim.target("b").port, before.port);
    assert_eq!(
        dial(&sim).await.expect_err("refused").kind(),
        std::io::ErrorKind::ConnectionRefused
    );
    let mut old = TcpStream::connect((before.address.as_str(), before.port.expect("set")))
        .await
        .expect("accepted");
    let reset = old.read_u8().await.expect_err("reset");
    assert_eq!(reset.kind(), std::io::ErrorKind::ConnectionReset);
    // Healed, it can be reached by both, and its key is known for both.
    sim.host("a").heal();
    for target in [before, sim.target("a")] {
        let options = SessionOptions::default()
            .config(crate::config::Config::none().expect("there is a user"))
            .agent(false);
        let session = Session::connect(&target, &options).await;
        session.expect("it works again").close().await;
    }
}

#[tokio::test]
async fn silent() {
    let sim = broken(Fault::Silent).await;
    let mut stream = dial(&sim).await.expect("accepted");
    let host = sim.host("a");
    eventually("the connection", || host.open_connections() == 1).await;
    assert!(
        tokio::time::timeout(Duration::from_millis(30), stream.read_u8())
            .await
            .is_err()
    );
    heals(&sim).await;
    drop(stream);
    eventually("the end of the connection", || host.open_connections() == 0).await;
}

#[tokio::test]
async fn drop_in_key_exchange() {
    let sim = broken(Fault::DropInKeyExchange).await;
    assert!(connect(&sim.target("a")).await.is_err());
    heals(&sim).await;
}

#[tokio::test]
async fn wrong_host_key() {
    let sim = broken(Fault::WrongHostKey).await;
    let error = connect(&sim.target("a"))
        .await
        .err()
        .expect("the key is not known");
    assert!(matches!(error, russh::Error::UnknownKey), "{error:?}");
    heals(&sim).await;
}

#[tokio::test]
async fn reject_authentication() {
    let host = SimHost::new("a")
        .answer("greet", Answer::stdout("hello\n"))
        .password("open sesame")
        .fault(Fault::RejectAuthentication);
    let sim = Sim::start([host]).await.expect("started");
    let target = sim.target("a");
    let password = |password: &'static str| {
        let target = target.clone();
        async move {
            let mut session = connect(&target).await.expect("connected");
            session
                .authenticate_password("sim", password)
                .await
                .expect("answered")
                .success()
        }
    };
    assert!(!takes_key(&sim, &sim).await);
    assert!(!password("open sesame").await);
    heals(&sim).await;
    assert!(password("open sesame").await);
    assert!(!password("wrong").await);
}

#[tokio::test]
async fn another_key_is_rejected() {
    let (sim, other) = (
        broken(Fault::DropFirst(0)).await,
        broken(Fault::DropFirst(0)).await,
    );
    assert!(takes_key(&sim, &sim).await);
    assert!(!takes_key(&sim, &other).await);
}

/// Whether a host of `sim` takes the key of the client of `of`.
async fn takes_key(sim: &Sim, of: &Sim) -> bool {
    let mut session = connect(&sim.target("a")).await.expect("connected");
    let key = russh::keys::load_secret_key(of.identity_file(), None).expect("a key");
    let key = PrivateKeyWithHashAlg::new(std::sync::Arc::new(key), None);
    let answer = session.authenticate_publickey("sim", key).await;
    answer.expect("answered").success()
}

#[tokio::test]
async fn drop_first() {
    let sim = broken(Fault::DropFirst(2)).await;
    for _ in 0..2 {
        assert_eq!(
            dial(&sim)
                .await
                .expect("accepted")
                .read(&mut [0])
                .await
                .expect("no error"),
            0
        );
    }
    assert_eq!(
        run(&sim.target("a"), "greet").await,
        Outcome::stdout("hello\n")
    );
    assert_eq!(sim.host("a").connections(), 3);
}

#[tokio::test]
async fn disk_full() {
    let sim = broken(Fault::DiskFull).await;
    let outcome = run(&sim.target("a"), "mkdir /srv/app").await;
    assert_eq!(
        outcome,
        Outcome::failed(
            1,
            "mkdir: cannot create directory '/srv/app': No space left on device\n"
        )
    );
    heals(&sim).await;
    assert_eq!(
        run(&sim.target("a"), "mkdir /srv/app").await,
        Outcome::stdout("")
    );
}

#[tokio::test]
async fn drip() {
    let every = Duration::from_millis(10);
    let sim = broken(Fault::Drip { bytes: 2, every }).await;
    let start = Instant::now();
    assert_eq!(
        run(&sim.target("a"), "greet").await,
        Outcome::stdout("hello\n")
    );
    assert!(start.elapsed() >= every * 3);
    heals(&sim).await;
}

#[tokio::test]
async fn flood() {
    let sim = broken(Fault::Flood(Some(5_000_001))).await;
    let outcome = run(&sim.target("a"), "greet").await;
    assert_eq!((outcome.stdout.len(), outcome.status), (5_000_007, Some(0)));
    heals(&sim).await;

    // Without end, until nobody reads any more.
    let host = sim.host("a");
    host.fault(Fault::Flood(None));
    let session = login(&sim.target("a")).await;
    let mut channel = start(&session, "greet").await;
    for _ in 0..10 {
        channel.wait().await.expect("output");
    }
    assert_eq!(host.processes().len(), 1);
    channel.close().await.expect("sent");
    // The end of the flood is SIGPIPE's; the process table tells it, since the channel is gone.
    eventually("the end of the flood", || host.processes().is_empty()).await;
}

#[tokio::test]
async fn no_status() {
    let sim = broken(Fault::NoStatus).await;
    let expected = Outcome {
        status: None,
        ..Outcome::stdout("hello\n")
    };
    assert_eq!(run(&sim.target("a"), "greet").await, expected);
    heals(&sim).await;
}

#[tokio::test]
async fn exit_by_signal() {
    let sim = broken(Fault::ExitBySignal(Signal::Segv)).await;
    let expected = Outcome {
        status: None,
        signal: Some("SEGV".into()),
        ..Outcome::stdout("hello\n")
    };
    assert_eq!(run(&sim.target("a"), "greet").await, expected);
    heals(&sim).await;
}

#[tokio::test]
async fn never_exits() {
    let sim = broken(Fault::NeverExits).await;
    let session = login(&sim.target("a")).await;
    let channel = start(&session, "greet").await;
    let host = sim.host("a");
    eventually("the command", || host.commands().len() == 1).await;
    let pid = host.processes()[0].pid;
    // The tools for processes work on.
    assert_eq!(
        finish(start(&session, &format!("kill {pid}")).await)
            .await
            .status,
        Some(0)
    );
    assert_eq!(finish(channel).await.signal.as_deref(), Some("TERM"));
    heals(&sim).await;
}

#[tokio::test]
async fn drop_during_command() {
    let host = SimHost::new("a").answer(
        "serve",
        Answer::never_exits().with_fault(Fault::DropDuringCommand),
    );
    let sim = Sim::start([host]).await.expect("started");
    let outcome = run(&sim.target("a"), "serve").await;
    assert_eq!(outcome, Outcome::default());
    assert_eq!(sim.host("a").processes().len(), 1);
}

#[tokio::test]
async fn dropping_the_simulator_ends_everything() {
    let sim = Sim::start([SimHost::new("a"), SimHost::new("b").own_port()])
        .await
        .expect("started");
    let (a, b) = (sim.target("a"), sim.target("b"));
    let session = login(&a).await;
    let channel = start(&session, "sleep infinity").await;
    let host = sim.host("a");
    eventually("the process", || host.processes().len() == 1).await;
    assert_eq!(run(&b, "uname -n").await, Outcome::stdout("b\n"));
    drop(sim);
    assert_eq!(finish(channel).await, Outcome::default());
    assert_eq!(host.processes(), []);
    assert!(!a.identity_file.as_ref().expect("set").exists());
    for target in [a, b] {
        let start = Instant::now();
        // The listener goes with its task.
        while TcpStream::connect((target.address.as_str(), target.port.expect("set")))
            .await
            .is_ok()
        {
            assert!(start.elapsed() < DEADLINE);
            tokio::task::yield_now().await;
        }
    }
}
