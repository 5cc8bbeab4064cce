//! The way to a host: addresses, banners, connections that break, host keys and agents that change.

use std::path::Path;
use std::time::Duration;

use clusterops::report::StageStatus;
use clusterops::ssh::{ErrorKind, HostState, Termination};
use clusterops::{Event, Plan, Session, SessionOptions, Stage, Step, Target};
use serde_json::json;
use tokio::io::AsyncWriteExt as _;
use tokio::net::{TcpListener, UnixListener};

use super::killed::{lines, open_folder};
use super::relay::Relay;
use super::support::{Sshd, SshdOptions, skip_or_fail};
use super::transfers::is_alive;
use super::{PATIENCE, fleet, options, part, wait_until};

async fn reaches(target: &Target) {
    match Session::connect(target, &options()).await {
        Ok(session) => session.close().await,
        Err(error) => panic!("{error:?}"),
    }
}

/// The C library's own resolver gives both addresses, from a file of hosts that only this part sees.
#[tokio::test]
async fn a_dead_first_address_leaves_the_next_one() {
    let Some(sshd) = Sshd::start(SshdOptions::default()) else {
        return;
    };
    let Some(wrapper) =
        part::with_own_mounts(r#"mount --bind "$HOSTS_FILE" /etc/hosts && exec "$@""#)
    else {
        let reason = "this user may not change mounts (unshare -m)";
        return skip_or_fail("a_dead_first_address_leaves_the_next_one", reason);
    };
    let hosts = sshd.folder().join("hosts");
    // RFC 6724 puts ::1 first; nobody listens there.
    std::fs::write(&hosts, "::1 twofold.test\n127.0.0.1 twofold.test\n").expect("our folder");
    let known = std::fs::read_to_string(sshd.known_hosts()).expect("the fixture wrote it");
    let known = known.replace("[127.*]", "[twofold.test]");
    let known_hosts = sshd.folder().join("known_by_name");
    std::fs::write(&known_hosts, known).expect("our folder");
    let target = Target {
        known_hosts: Some(known_hosts),
        ..sshd.target("twofold", "twofold.test")
    };
    let mut command = part::command(&wrapper, "ways::part_with_two_addresses", &json!(target));
    part::succeeds({
        command.env("HOSTS_FILE", &hosts);
        command
    })
    .await;
}

#[tokio::test]
#[ignore = "a part of a_dead_first_address_leaves_the_next_one"]
async fn part_with_two_addresses() {
    let target: Target = serde_json::from_value(part::about()).expect("a target");
    let port = target.port.expect("set");
    let found = tokio::net::lookup_host((target.address.as_str(), port)).await;
    let found: Vec<_> = found.expect("it resolves").collect();
    assert!(found.len() > 1 && found[0].is_ipv6(), "{found:?}");
    reaches(&target).await;
}

#[tokio::test]
async fn an_ipv6_address_is_an_address() {
    let Some(sshd) = Sshd::start(SshdOptions::default()) else {
        return;
    };
    let relay = Relay::start("::1", &sshd).await;
    let target = relay.target("web1", &sshd);
    assert_eq!(target.address, "::1");
    reaches(&target).await;
    let report = fleet([target]).run(&Plan::new("p").stage(Stage::command("s", ["true"])));
    assert!(
        report
            .expect("valid")
            .await
            .expect("it goes on")
            .is_success()
    );
}

/// RFC 4253 section 4.2 lets a server say lines before its version, without a limit of its own.
#[tokio::test]
async fn a_banner_without_end_is_no_way_in() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("loopback");
    let port = listener.local_addr().expect("bound").port();
    let server = tokio::spawn(async move {
        let mut written = 0_u64;
        let (mut stream, _) = listener.accept().await.expect("a connection");
        while stream.write_all(&[b'x'; 1024]).await.is_ok() && written < 64 << 20 {
            written += 1024;
        }
        written
    });
    let target = Target {
        port: Some(port),
        ..Target::new("web1", "127.0.0.1")
    };
    let quick = options().handshake_deadline(Duration::from_secs(2));
    let connecting = tokio::time::timeout(PATIENCE, Session::connect(&target, &quick));
    let error = connecting.await.expect("it ends").expect_err("no version");
    assert!(
        matches!(
            error.kind(),
            ErrorKind::Timeout | ErrorKind::Protocol | ErrorKind::Disconnected
        ),
        "{error:?}"
    );
    let written = server.await.expect("no panic");
    assert!(written < 64 << 20, "somebody read {written} bytes of it");
}

/// The text that sshd shows before the login (`Banner`, sshd_config(5)), at the size of its own limit.
#[tokio::test]
async fn a_login_banner_of_a_mebibyte() {
    for (size, may_enter) in [(200 << 10, true), (1 << 20, false)] {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("banner");
        std::fs::write(&file, "x".repeat(size)).expect("our folder");
        let line = format!("Banner {}", file.display());
        let Some(sshd) = Sshd::start(SshdOptions::default().line(&line)) else {
            return;
        };
        let readable = std::os::unix::fs::PermissionsExt::from_mode(0o755);
        std::fs::set_permissions(folder.path(), readable).expect("our folder");
        let target = sshd.target("web1", "127.0.0.1");
        let options = options();
        let connecting = tokio::time::timeout(PATIENCE, Session::connect(&target, &options));
        match connecting.await.expect("it ends") {
            Ok(session) => {
                assert!(may_enter, "{size}: more than a packet may hold");
                session.close().await;
            }
            Err(error) => {
                assert!(!may_enter, "{size}: {error:?}\n{}", sshd.log());
                // No packet is that long; the connection ends before the banner is there.
                assert_eq!(error.kind(), ErrorKind::Disconnected, "{error:?}");
                assert!(error.message().contains("connection was lost"), "{error:?}");
            }
        }
    }
}

#[tokio::test]
async fn a_connection_lost_during_an_upload_leaves_no_half_file() {
    let Some(sshd) = Sshd::start(SshdOptions::default()) else {
        return;
    };
    let folder = sshd.folder().join("uploads");
    std::fs::create_dir(&folder).expect("our folder");
    let open = std::os::unix::fs::PermissionsExt::from_mode(0o777);
    std::fs::set_permissions(&folder, open).expect("our folder");
    let source = sshd.folder().join("large");
    std::fs::write(&source, vec![7; 4 << 20]).expect("our folder");
    let destination = folder.join("final");

    let relay = Relay::start("127.0.0.1", &sshd).await;
    relay.cut_after(1 << 20);
    let name = destination.to_str().expect("UTF-8");
    let plan = Plan::new("p").stage(Stage::upload("send", &source, name));
    let fleet = fleet([relay.target("web1", &sshd)]);
    let report = fleet.run(&plan).expect("valid").await.expect("it goes on");
    let failure = report.hosts[0].failure.clone().expect("it was cut");
    assert_eq!(failure.kind, ErrorKind::Disconnected, "{failure:?}");
    assert!(!destination.exists(), "half a file under the final name");

    relay.cut_after(u64::MAX);
    let report = fleet.retry(&plan, &report).expect("the same plan").await;
    assert!(report.expect("it goes on").is_success());
    let sent = std::fs::metadata(&destination).expect("it is there");
    assert_eq!(sent.len(), 4 << 20);
}

#[tokio::test]
async fn another_host_key_in_the_middle_of_a_run_ends_the_host() {
    let (Some(first), Some(second)) = (
        Sshd::start(SshdOptions::default()),
        Sshd::start(SshdOptions::default()),
    ) else {
        return;
    };
    let relay = Relay::start("127.0.0.1", &first).await;
    let go = first.folder().join("go");
    let wait = format!("until [ -e {} ]; do sleep 0.02; done", go.display());
    let mark = second.folder().join("mark");
    let plan = Plan::new("p")
        .stage(Stage::shell("wait", wait))
        .stage(Stage::shell("mark", format!("echo > {}", mark.display())));
    let mut run = fleet([relay.target("web1", &first)])
        .run(&plan)
        .expect("valid");
    let (control, mut events) = (run.control(), run.events());
    let mut reach = async |wanted: HostState| {
        while let Some(event) = events.next().await {
            if matches!(event, Event::Host { state, .. } if state == wanted) {
                return;
            }
        }
        panic!("the run ended before {wanted:?}");
    };
    reach(HostState::Running { stage: 0 }).await;
    control.pause();
    std::fs::write(&go, "").expect("our folder");
    reach(HostState::Held { before: 1 }).await;
    relay.lead_to(&second);
    relay.cut();
    wait_until("the end of the connection", || relay.open() == 0).await;
    control.resume();

    let report = run.await.expect("it goes on");
    let host = &report.hosts[0];
    let failure = host.failure.clone().expect("another key");
    assert_eq!(failure.kind, ErrorKind::HostKey, "{failure:?}");
    assert_eq!(host.connection_attempts, 2, "trying again cannot help");
    assert!(!second.log().contains("Accepted"), "{}", second.log());
    assert!(!mark.exists());
}

/// A socket that leads nowhere, an agent that hangs up on whoever asks, and one that has stopped answering.
#[tokio::test]
async fn an_agent_that_disappears_leaves_the_key_files() {
    let Some(sshd) = Sshd::start(SshdOptions::default()) else {
        return;
    };
    let target = sshd.target("web1", "127.0.0.1");
    let keyless = Target {
        identity_file: None,
        ..target.clone()
    };
    let folder = tempfile::tempdir().expect("a folder");
    let at = |name: &str| folder.path().join(name);
    let listen = |path: &Path| UnixListener::bind(path).expect("a short path");

    drop(listen(&at("dead")));
    let rude = listen(&at("rude"));
    let rude = tokio::spawn(async move { while rude.accept().await.is_ok() {} });
    let mute = listen(&at("mute"));
    let mute = tokio::spawn(async move {
        let mut held = Vec::new();
        while let Ok((stream, _)) = mute.accept().await {
            held.push(stream);
        }
    });
    for name in ["none", "dead", "rude", "mute"] {
        let options = SessionOptions::default()
            .config(clusterops::config::Config::none().expect("there is a user"))
            .agent(true)
            .agent_socket(at(name))
            .authentication_deadline(Duration::from_secs(10));
        let session = Session::connect(&target, &options).await;
        match session {
            Ok(session) => session.close().await,
            Err(error) => panic!("{name}: {error:?}"),
        }
        if name != "mute" {
            let nothing = options.identity_file(at("no key"));
            let error = Session::connect(&keyless, &nothing).await;
            let error = error.expect_err("there is no key");
            assert!(
                matches!(error.kind(), ErrorKind::Authentication | ErrorKind::Local),
                "{name}: {error:?}"
            );
        }
    }
    rude.abort();
    mute.abort();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_lost_connection_leaves_running_is_ended_before_it_is_undone() {
    let Some(sshd) = Sshd::start(SshdOptions::default()) else {
        return;
    };
    let relay = Relay::start("127.0.0.1", &sshd).await;
    let log = open_folder(&sshd).join("log");
    let runs_on =
        "trap '' HUP PIPE; echo $$ >> \"$LOG\"; while sleep 0.02; do echo ran >> \"$LOG\"; done";
    let stage = Stage::shell("s", runs_on)
        .env("LOG", log.to_str().expect("UTF-8"))
        .rollback(Step::shell("echo undone >> \"$LOG\""));
    let run = fleet([relay.target("web1", &sshd)])
        .run(&Plan::new("p").stage(stage))
        .expect("a valid plan");
    wait_until("its first line", || lines(&log).contains(&"ran".to_owned())).await;
    relay.cut();
    let report = tokio::time::timeout(PATIENCE, run).await.expect("it ends");
    let report = report.expect("it goes on");
    let host = &report.hosts[0];
    let failure = host.failure.as_ref().expect("the connection was lost");
    assert_eq!(failure.kind, ErrorKind::Disconnected);
    assert_eq!(host.termination, Some(Termination::Confirmed));
    assert_eq!(host.stages[0].status, StageStatus::RolledBack);
    let lines = lines(&log);
    assert!(!is_alive(lines[0].parse().expect("its process id")));
    assert_eq!(lines.last().map(String::as_str), Some("undone"));
}
