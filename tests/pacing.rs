//! Connections to a real sshd that has too many of them.

use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::time::Duration;

use clusterops::ssh::{ConnectRetries, ErrorKind};
use clusterops::{Fleet, Plan, SessionOptions, Stage, Target};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

mod support;
use support::{Sshd, SshdOptions};

fn fleet(targets: impl IntoIterator<Item = Target>, attempts: u32) -> Fleet {
    let retries = ConnectRetries::default()
        .attempts(attempts)
        .first_pause(Duration::from_millis(50))
        .longest_pause(Duration::from_millis(100));
    Fleet::new(targets)
        .session(
            SessionOptions::default()
                .config(clusterops::config::Config::none().expect("there is a user"))
                .agent(false),
        )
        .connect_retries(retries)
}

fn plan() -> Plan {
    Plan::new("p").stage(Stage::command("s", ["true"]))
}

/// Only a pace that fits the server lets sixty hosts in with two tries each.
#[tokio::test]
async fn a_run_learns_the_pace_that_a_server_can_take() {
    let Some(sshd) = Sshd::start(SshdOptions::default().max_startups("3")) else {
        return;
    };
    let targets = (1..=60).map(|n| sshd.target(&format!("web{n}"), &format!("127.0.0.{n}")));
    let report = fleet(targets, 2)
        .parallelism(60)
        .run(&plan())
        .expect("a valid plan")
        .await
        .expect("the run goes on");
    assert!(report.is_success(), "{report}");
    let attempts: u32 = report
        .hosts
        .iter()
        .map(|host| host.connection_attempts)
        .sum();
    assert!(
        attempts > 60,
        "nobody was dropped: the server was not asked too much"
    );
}

/// Two hosts that say nothing have all the room that a third leaves, which it was told is too much.
#[tokio::test]
async fn the_wait_for_the_pace_is_not_the_hosts_time() {
    let Some(sshd) = Sshd::start(SshdOptions::default()) else {
        return;
    };
    let bound = async || {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await;
        let listener = listener.expect("a free port");
        let port = listener.local_addr().expect("bound").port();
        (listener, port)
    };
    let ((one, one_port), (two, two_port), (relay, relay_port)) =
        (bound().await, bound().await, bound().await);
    let (target, port) = (sshd.target("relay", "127.0.0.1"), sshd.port());
    let serving = tokio::spawn(async move {
        let _silent = tokio::join!(one.accept(), two.accept());
        let (mut stream, _) = relay.accept().await.expect("a client");
        stream
            .write_all(b"Exceeded MaxStartups\r\n")
            .await
            .expect("it listens");
        stream.shutdown().await.expect("open");
        let _ = stream.read_to_end(&mut Vec::new()).await;
        let (mut stream, _) = relay.accept().await.expect("a client");
        let server = tokio::net::TcpStream::connect(("127.0.0.1", port)).await;
        let mut server = server.expect("it listens");
        let _ = tokio::io::copy_bidirectional(&mut stream, &mut server).await;
    });
    let targets = [("one", one_port), ("two", two_port), ("relay", relay_port)];
    let targets = targets.map(|(name, port)| Target {
        name: name.into(),
        port: Some(port),
        known_hosts: None,
        ..target.clone()
    });
    let session = SessionOptions::default()
        .config(clusterops::config::Config::none().expect("there is a user"))
        .agent(false)
        .danger_accept_any_host_key()
        .handshake_deadline(Duration::from_secs(60));
    let fleet = fleet(targets, 4).parallelism(3).session(session);
    let fleet = fleet.host_deadline(Duration::from_secs(10));
    let report = fleet.run(&plan()).expect("a valid plan").await;
    let report = report.expect("the run goes on");
    let ended = report.hosts.iter().map(|host| {
        let failure = host.failure.as_ref();
        (
            failure.map(|failure| failure.kind),
            host.connection_attempts,
        )
    });
    let late = (Some(ErrorKind::Timeout), 1);
    assert_eq!(
        ended.collect::<Vec<_>>(),
        [late, late, (None, 2)],
        "{report}"
    );
    serving.abort();
}

/// OpenSSH 9.8 and newer drop sources that behaved badly with these words (PerSourcePenalties, sshd_config(5)).
#[tokio::test]
async fn what_a_server_says_in_place_of_its_version_is_told() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let port = listener.local_addr().expect("bound").port();
    let lines = [
        "Not allowed at this time\r\n",
        "HTTP/1.1 400 Bad Request\r\n",
    ];
    let server = std::thread::spawn(move || {
        for line in lines {
            let (mut stream, _) = listener.accept().expect("a client");
            stream.write_all(line.as_bytes()).expect("it listens");
            stream.shutdown(std::net::Shutdown::Write).expect("open");
            // Its version is read, so that closing does not turn into a reset.
            let _ = stream.read_to_end(&mut Vec::new());
        }
    });
    let target = Target {
        port: Some(port),
        ..Target::new("web1", "127.0.0.1")
    };
    let folder = tempfile::tempdir().expect("a folder");
    let known_hosts = folder.path().join("known_hosts");
    std::fs::write(&known_hosts, "").expect("our folder");
    let options = SessionOptions::default()
        .config(clusterops::config::Config::none().expect("there is a user"))
        .known_hosts([known_hosts]);
    for (kind, words) in [
        (ErrorKind::Overloaded, "Not allowed at this time"),
        (ErrorKind::Disconnected, "HTTP/1.1 400 Bad Request"),
    ] {
        let error = clusterops::Session::connect(&target, &options)
            .await
            .expect_err("no SSH server");
        assert_eq!(error.kind(), kind);
        let cause = std::error::Error::source(&error).expect("what was said");
        assert!(cause.to_string().contains(words), "{cause}");
        assert!(error.is_retryable());
    }
    server.join().expect("it served both");
}
