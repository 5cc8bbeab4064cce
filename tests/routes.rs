//! Ways to hosts through a real sshd: jump hosts, proxy commands, and streams that lead on from a host.

use std::time::{Duration, Instant};

use clusterops::ssh::ErrorKind;
use clusterops::{
    Command, ConnectRetries, Connector, Event, Fleet, HostState, Plan, Session, SessionOptions,
    Stage, Target,
};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, UnixListener};

mod support;
use support::{Sshd, SshdOptions, configured};

const DEADLINE: Duration = Duration::from_secs(20);

/// Options that let us in on all of these servers.
fn options(servers: &[&Sshd]) -> SessionOptions {
    servers.iter().fold(
        support::options().known_hosts(servers.iter().map(|sshd| sshd.known_hosts())),
        |options, sshd| options.identity_file(sshd.identity_file()),
    )
}

/// A jump host, and the server behind it.
#[track_caller]
fn jump_and_sshd() -> Option<(Sshd, Sshd)> {
    Sshd::start(SshdOptions::default()).zip(Sshd::start(SshdOptions::default()))
}

/// A session without any jump host.
async fn direct(sshd: &Sshd) -> Session {
    let target = sshd.target("web1", "127.0.0.1");
    let session = Session::connect(&target, &options(&[sshd])).await;
    session.expect("it connects")
}

/// A listening socket and its port.
async fn listen() -> (TcpListener, u16) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let port = listener.local_addr().expect("it is bound").port();
    (listener, port)
}

/// A server as a jump host.
fn gate(sshd: &Sshd, address: &str) -> String {
    format!("{}@{address}:{}", sshd.user(), sshd.port())
}

fn behind(sshd: &Sshd, name: &str, address: &str, jump: &str) -> Target {
    Target {
        jump: Some(jump.parse().expect("jump hosts")),
        ..sshd.target(name, address)
    }
}

/// How many connections a server has let in.
fn logins(sshd: &Sshd) -> usize {
    sshd.log().matches("Accepted publickey").count()
}

async fn eventually(what: &str, mut is_so: impl FnMut() -> bool) {
    let deadline = Instant::now() + DEADLINE;
    while !is_so() {
        assert!(Instant::now() < deadline, "never: {what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

async fn kernel(session: &Session) -> String {
    let output = session.output(&Command::new(["uname", "-s"])).await;
    output.expect("it runs").stdout.to_string()
}

#[tokio::test]
async fn one_two_and_three_jump_hosts_and_none() {
    let Some((outer, inner)) = jump_and_sshd() else {
        return;
    };
    let options = options(&[&outer, &inner]);
    let (first, second) = (gate(&outer, "127.0.0.2"), gate(&inner, "127.0.0.3"));
    let third = gate(&outer, "127.0.0.4");
    for (jump, on_outer, on_inner) in [
        (first.clone(), 1, 1),
        (format!("{first},{second}"), 1, 2),
        (format!("{first},{second},{third}"), 2, 2),
        ("none".to_owned(), 0, 1),
    ] {
        let (outer_before, inner_before) = (logins(&outer), logins(&inner));
        let target = behind(&inner, "web1", "127.0.0.9", &jump);
        let session = Session::connect(&target, &options).await.expect(&jump);
        assert_eq!(kernel(&session).await, "Linux\n");
        // Where the last jump host connects from is what the host sees.
        let line = "echo \"$SSH_CONNECTION\"";
        let output = session
            .output(&Command::shell(line))
            .await
            .expect("it runs");
        assert!(
            output.stdout.to_string().contains("127.0.0.9"),
            "{output:?}"
        );
        session.close().await;
        let seen = (logins(&outer) - outer_before, logins(&inner) - inner_before);
        assert_eq!(seen, (on_outer, on_inner), "{jump}");
    }
}

#[tokio::test]
async fn two_hundred_targets_share_one_connection_to_their_jump_host() {
    let Some((jump, sshd)) = jump_and_sshd() else {
        return;
    };
    let gate = gate(&jump, "127.0.0.1");
    let targets: Vec<Target> = (0..200)
        .map(|number| {
            let address = format!("127.0.{}.{}", number / 100 + 1, number % 100 + 1);
            behind(&sshd, &format!("web{number}"), &address, &gate)
        })
        .collect();
    let fleet = Fleet::new(targets)
        .parallelism(40)
        .session(options(&[&jump, &sshd]));
    let plan = Plan::new("look").stage(Stage::command("kernel", ["uname", "-s"]));
    let report = fleet.run(&plan).expect("valid").await.expect("it goes on");
    assert!(report.is_success(), "{report}");
    assert_eq!((logins(&jump), logins(&sshd)), (1, 200));
    // Once the run is over nobody uses it.
    let closed = || jump.log().contains("Disconnected from user");
    eventually("the jump host's connection is closed", closed).await;
}

#[tokio::test]
async fn what_is_wrong_with_a_jump_host_is_told_as_that() {
    let (Some(jump), Some(sshd)) = (
        Sshd::start(SshdOptions::default().line("PermitOpen 127.0.0.9:*")),
        Sshd::start(SshdOptions::default()),
    ) else {
        return;
    };
    let way = gate(&jump, "127.0.0.1");
    let name = format!("127.0.0.1:{}", jump.port());
    let at = Some(name.as_str());
    let target = behind(&sshd, "web1", "127.0.0.9", &way);
    let both = || options(&[&jump, &sshd]);
    let fails = async |target: &Target, options: SessionOptions, kind, jump_host| {
        let error = Session::connect(target, &options).await;
        let error = error.expect_err("it does not connect");
        assert_eq!(error.host(), Some("web1"), "{error}");
        assert_eq!((error.kind(), error.jump_host()), (kind, jump_host));
        error
    };

    // The jump host is not in the known hosts, the target is.
    let unknown = options(&[&jump]).known_hosts([sshd.known_hosts()]);
    let error = fails(&target, unknown, ErrorKind::HostKey, at).await;
    assert!(!error.is_retryable(), "{error}");
    let text = error.to_string();
    assert!(
        text.starts_with(&format!("web1: jump host {name}: ")),
        "{text}"
    );

    // It knows no key of ours.
    let stranger = options(&[&sshd]).known_hosts([jump.known_hosts()]);
    fails(&target, stranger, ErrorKind::Authentication, at).await;

    // It does not let connections through to every address.
    let forbidden = behind(&sshd, "web1", "127.0.0.10", &way);
    let error = fails(&forbidden, both(), ErrorKind::Protocol, at).await;
    assert!(error.to_string().contains("AllowTcpForwarding"), "{error}");

    // Nobody listens there: that is the target's matter, seen from the jump host.
    let silent = Target {
        port: Some(1),
        ..target.clone()
    };
    let error = fails(&silent, both(), ErrorKind::Unreachable, None).await;
    let text = error.to_string();
    assert!(error.is_retryable() && text.contains(&name), "{text}");

    // It is not there.
    let gone = behind(&sshd, "web1", "127.0.0.9", "127.0.0.1:1");
    let error = fails(&gone, both(), ErrorKind::Refused, Some("127.0.0.1:1")).await;
    assert!(error.is_retryable(), "{error}");

    // The target's own failures stay its own.
    let known_otherwise = Target {
        known_hosts: Some(jump.known_hosts()),
        ..target
    };
    fails(&known_otherwise, both(), ErrorKind::HostKey, None).await;
}

#[tokio::test]
async fn a_jump_host_that_dies_is_what_the_report_names() {
    let Some((jump, sshd)) = jump_and_sshd() else {
        return;
    };
    let at = format!("jump host 127.0.0.1:{}: ", jump.port());
    let way = gate(&jump, "127.0.0.1");
    let mut targets = vec![sshd.target("direct", "127.0.0.5")];
    targets.extend((1..=3).map(|number| {
        behind(
            &sshd,
            &format!("web{number}"),
            &format!("127.0.1.{number}"),
            &way,
        )
    }));
    let marker = sshd.folder().join("go");
    let line = format!("until [ -e {} ]; do sleep 0.02; done", marker.display());
    let plan = Plan::new("wait").stage(Stage::shell("wait", line));
    let fleet = Fleet::new(targets)
        .session(options(&[&jump, &sshd]))
        .connect_retries(ConnectRetries::default().attempts(1));
    let mut run = fleet.run(&plan).expect("valid");
    let mut events = run.events();
    let mut running = 0;
    while running < 4 {
        let event = events.next().await.expect("the run goes on");
        if let Event::Host {
            state: HostState::Running { .. },
            ..
        } = event
        {
            running += 1;
        }
    }
    // Each has its command running now, or about to.
    let sessions = || sshd.log().matches("Starting session").count();
    eventually("commands run", || sessions() == 4).await;
    drop(jump);
    let mut report = None;
    tokio::pin!(run);
    let mut allowed = false;
    while report.is_none() {
        tokio::select! {
            ended = &mut run => report = Some(ended.expect("the run goes on")),
            event = events.next() => {
                // When those behind the jump host are done with, the direct one may end.
                if let Some(Event::Host { state: HostState::Failed { .. }, .. }) = event && !allowed {
                    allowed = true;
                    std::fs::write(&marker, "").expect("our folder");
                }
            }
        }
    }
    let report = report.expect("it ended");
    for host in &report.hosts {
        if host.name == "direct" {
            assert!(host.failure.is_none(), "{report}");
            continue;
        }
        let failure = host.failure.as_ref().expect("it failed");
        assert_eq!(failure.kind, ErrorKind::Disconnected, "{failure}");
        assert!(failure.message.starts_with(&at), "{failure}");
    }
}

#[tokio::test]
async fn a_target_that_nobody_reads_does_not_hold_up_the_others() {
    let Some((jump, sshd)) = jump_and_sshd() else {
        return;
    };
    let way = gate(&jump, "127.0.0.1");
    let connector = Connector::new(options(&[&jump, &sshd]));
    let stalled = behind(&sshd, "stalled", "127.0.0.2", &way);
    let stalled = connector.connect(&stalled).await.expect("it connects");
    let lively = behind(&sshd, "lively", "127.0.0.3", &way);
    let lively = connector.connect(&lively).await.expect("it connects");
    // All at once, for one alone would keep the others from being started.
    let marker = sshd.folder().join("go");
    let line = format!(
        "until [ -e {} ]; do sleep 0.02; done; head -c 100000000 /dev/zero",
        marker.display()
    );
    let mut flooding = Vec::new();
    for _ in 0..6 {
        let command = Command::shell(&line);
        flooding.push(stalled.exec(&command).await.expect("it starts"));
    }
    std::fs::write(&marker, "").expect("our folder");
    for _ in 0..20 {
        assert_eq!(kernel(&lively).await, "Linux\n");
    }
    assert_eq!(logins(&jump), 1);
}

#[tokio::test]
async fn a_stream_through_a_jump_host_is_whole() {
    let Some((jump, sshd)) = jump_and_sshd() else {
        return;
    };
    let target = behind(&sshd, "web1", "127.0.0.2", &gate(&jump, "127.0.0.1"));
    let session = Session::connect(&target, &options(&[&jump, &sshd])).await;
    let session = session.expect("it connects");
    // More in both directions than all windows and buffers on the way hold.
    let input: Vec<u8> = (0..24_u32 << 20).map(|number| (number / 7) as u8).collect();
    let mut process = session
        .exec(&Command::new(["cat"]).stdin(input.clone()))
        .await
        .expect("it starts");
    let mut output = Vec::new();
    while let Some(chunk) = process.next().await.expect("it goes on") {
        output.extend_from_slice(&chunk.bytes);
    }
    assert!(output == input, "{} bytes of {}", output.len(), input.len());
}

#[tokio::test]
async fn proxy_commands_carry_connections_and_end_with_them() {
    let Some(sshd) = Sshd::start(SshdOptions::default()) else {
        return;
    };
    let target = sshd.target("web1", "127.0.0.7");
    let marker = sshd.folder().join("pid");
    // The shell stays as the parent, so that ending it alone would leave the other two behind; and it does not end by
    // itself when the relay does.
    let relay = "import os,select,socket,sys\n\
        s=socket.create_connection((sys.argv[1],int(sys.argv[2])))\n\
        while True:\n\
        \x20for r in select.select([0,s],[],[])[0]:\n\
        \x20 d=os.read(0,65536) if r==0 else s.recv(65536)\n\
        \x20 if not d: sys.exit()\n\
        \x20 s.sendall(d) if r==0 else os.write(1,d)\n";
    let script = sshd.folder().join("relay.py");
    std::fs::write(&script, relay).expect("our folder");
    let command = format!(
        "sh -c 'sleep 1007 2>/dev/null & echo $! $$ >{}; python3 -I {} %h %p; wait'",
        marker.display(),
        script.display()
    );
    let options = options(&[&sshd]);
    let session = Session::connect(&target, &options.clone().proxy_command(command)).await;
    let session = session.expect("it connects");
    assert_eq!(kernel(&session).await, "Linux\n");
    let pids = std::fs::read_to_string(&marker).expect("the command ran");
    let alive = |pid: &str| {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        !stat.is_empty() && !stat.contains(") Z ")
    };
    assert_eq!(pids.split_whitespace().filter(|pid| alive(pid)).count(), 2);
    session.close().await;
    let ended = || !pids.split_whitespace().any(alive);
    eventually("the command's processes end", ended).await;

    let failing = options
        .clone()
        .proxy_command("sh -c 'echo first >&2; echo no way %h:%p today >&2; exit 3'");
    let error = Session::connect(&target, &failing)
        .await
        .expect_err("it fails");
    assert_eq!(error.kind(), ErrorKind::Disconnected, "{error:?}");
    let text = format!("{error:?}");
    assert!(
        text.contains(&format!("no way 127.0.0.7:{} today", sshd.port())),
        "{text}"
    );
    assert!(text.contains("exit status: 3"), "{text}");

    // A target's own `none` comes before the option.
    let direct = Target {
        jump: Some("none".parse().expect("none")),
        ..target
    };
    Session::connect(&direct, &failing)
        .await
        .expect("it connects directly");
}

#[tokio::test]
async fn streams_lead_on_to_tcp_ports() {
    let Some(sshd) = Sshd::start(SshdOptions::default()) else {
        return;
    };
    let session = direct(&sshd).await;
    let (listener, port) = listen().await;
    // Echoes until it is told that no more comes, and then says goodbye.
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                let (mut reader, mut writer) = stream.split();
                tokio::io::copy(&mut reader, &mut writer).await?;
                writer.write_all(b"goodbye").await?;
                writer.shutdown().await
            });
        }
    });

    let stream = session.open_tcp("127.0.0.1", port).await.expect("it opens");
    assert_eq!(logins(&sshd), 2, "a stream has a connection of its own");
    let input: Vec<u8> = (0..8_u32 << 20).map(|number| (number / 3) as u8).collect();
    let (mut reader, mut writer) = tokio::io::split(stream);
    let mut output = Vec::new();
    let (written, read) = tokio::join!(
        async {
            writer.write_all(&input).await?;
            writer.shutdown().await
        },
        reader.read_to_end(&mut output)
    );
    written.and(read).expect("it is echoed");
    assert!(output.ends_with(b"goodbye") && output[..input.len()] == input[..]);
    drop((reader, writer));

    // What was written arrives although the stream is dropped at once.
    let (receiver, port) = listen().await;
    let mut stream = session.open_tcp("localhost", port).await.expect("it opens");
    stream
        .write_all(&input[..100_000])
        .await
        .expect("it is taken");
    drop(stream);
    let (mut accepted, _) = receiver.accept().await.expect("it connected");
    let mut arrived = Vec::new();
    accepted.read_to_end(&mut arrived).await.expect("it closes");
    assert!(arrived == input[..100_000], "{} bytes", arrived.len());

    // Who does not read stalls neither the session nor other streams.
    let (flood, port) = listen().await;
    tokio::spawn(async move {
        let (mut stream, _) = flood.accept().await?;
        let bytes = vec![7; 1 << 20];
        loop {
            stream.write_all(&bytes).await?;
        }
        #[expect(unreachable_code, reason = "it names the type")]
        std::io::Result::Ok(())
    });
    let unread = session.open_tcp("127.0.0.1", port).await.expect("it opens");
    assert_eq!(kernel(&session).await, "Linux\n");
    drop(unread);

    let error = session
        .open_tcp("127.0.0.1", 1)
        .await
        .expect_err("nobody listens");
    assert_eq!(
        (error.kind(), error.host()),
        (ErrorKind::Unreachable, Some("web1"))
    );
    assert!(error.to_string().contains("127.0.0.1:1"), "{error}");
}

#[tokio::test]
async fn streams_lead_on_to_unix_sockets() {
    let Some(sshd) = Sshd::start(SshdOptions::default()) else {
        return;
    };
    let session = direct(&sshd).await;
    let path = sshd.folder().join("socket");
    let listener = UnixListener::bind(&path).expect("our folder");
    std::fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o777))
        .expect("our socket");
    let path = path.to_str().expect("UTF-8");
    let mut stream = session.open_unix(path).await.expect("it opens");
    let (mut accepted, _) = listener.accept().await.expect("it connected");
    stream.write_all(b"ping").await.expect("it is taken");
    let mut ping = [0; 4];
    accepted.read_exact(&mut ping).await.expect("it arrives");
    accepted.write_all(b"pong").await.expect("it is taken");
    drop(accepted);
    let mut pong = String::new();
    stream.read_to_string(&mut pong).await.expect("it ends");
    assert_eq!((&ping, pong.as_str()), (b"ping", "pong"));

    let error = session
        .open_unix("/nonexistent")
        .await
        .expect_err("there is none");
    assert_eq!(error.kind(), ErrorKind::Unreachable);
}

#[tokio::test]
async fn a_stream_whose_connection_is_lost_does_not_look_ended() {
    let Some(sshd) = Sshd::start(SshdOptions::default()) else {
        return;
    };
    let session = direct(&sshd).await;
    let (listener, port) = listen().await;
    let mut stream = session.open_tcp("127.0.0.1", port).await.expect("it opens");
    let (mut accepted, _) = listener.accept().await.expect("it connected");
    accepted.write_all(b"half").await.expect("it is taken");
    let mut half = [0; 4];
    stream.read_exact(&mut half).await.expect("it arrives");
    drop(sshd);
    let error = stream.read(&mut half).await.expect_err("this is no end");
    assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset);
    assert!(error.to_string().contains("web1"), "{error}");
}

#[tokio::test]
async fn the_users_configuration_decides_how_a_host_is_reached() {
    let (Some(jump), Some(sshd)) = (
        Sshd::start(SshdOptions::default()),
        Sshd::start(
            SshdOptions::default()
                .line("AcceptEnv COLOUR")
                .line("LogLevel DEBUG1"),
        ),
    ) else {
        return;
    };
    let key = |sshd: &Sshd| sshd.identity_file().display().to_string();
    let config = format!(
        "Host web1\n Hostname 127.0.0.9\n Port {}\n IdentityFile {}\n ProxyJump gate\n SetEnv COLOUR=blue\n \
         Ciphers aes256-ctr\n MACs hmac-sha2-256\n Compression yes\n RekeyLimit 100K\n\
         Host gate\n Hostname 127.0.0.2\n Port {}\n IdentityFile {}\n BindAddress 127.0.0.77\n\
         Host *\n User {}\n IdentityAgent none\n UserKnownHostsFile {} {}\n ConnectTimeout 10\n ForwardAgent yes\n",
        sshd.port(),
        key(&sshd),
        jump.port(),
        key(&jump),
        sshd.user(),
        sshd.known_hosts().display(),
        jump.known_hosts().display(),
    );
    let with = |more: &str| configured(&format!("{more}\n{config}"));
    let web1 = Target::new("web1", "web1");
    let session = Session::connect(&web1, &with(""))
        .await
        .expect("it connects");
    let told = ["test:22: ForwardAgent has no effect here"];
    assert_eq!(session.warnings(), told);
    assert!(
        jump.log().contains("Connection from 127.0.0.77"),
        "{}",
        jump.log()
    );
    let line = "echo $COLOUR; head -c 1000000 /dev/zero";
    let output = session
        .output(&Command::shell(line))
        .await
        .expect("it runs");
    assert_eq!(output.stdout.total(), 1_000_005);
    assert!(output.stdout.to_string().starts_with("blue\n"));
    let agreed = "cipher: aes256-ctr MAC: hmac-sha2-256 compression: zlib@openssh.com";
    for said in [agreed, "Enabling compression"] {
        assert!(sshd.log().contains(said), "{said}: {}", sshd.log());
    }

    let plan = Plan::new("look").stage(Stage::command("kernel", ["uname", "-s"]));
    let fleet = Fleet::new([web1.clone()]).session(with(""));
    let report = fleet.run(&plan).expect("valid").await.expect("it goes on");
    assert!(report.is_success(), "{report}");
    let warnings = report.warnings.iter();
    assert_eq!(warnings.filter(|text| *text == told[0]).count(), 1);

    // Asking nobody is being strict, and what the server lacks is named on both sides.
    let strict = with(
        "StrictHostKeyChecking ask\nUserKnownHostsFile /nonexistent\nGlobalKnownHostsFile none",
    );
    let error = Session::connect(&web1, &strict)
        .await
        .expect_err("nothing is known");
    assert_eq!(
        (error.kind(), error.jump_host().is_some()),
        (ErrorKind::HostKey, true)
    );
    let Some(narrow) = Sshd::start(SshdOptions::default().line("Ciphers aes128-ctr")) else {
        return;
    };
    let error = Session::connect(
        &narrow.target("web2", "127.0.0.3"),
        &with("Host 127.0.0.3\n Ciphers aes256-ctr,aes192-ctr\n IdentityAgent none\nHost *"),
    )
    .await
    .expect_err("nothing in common");
    assert_eq!(error.kind(), ErrorKind::Protocol, "{error}");
    let text = error.to_string();
    assert!(
        text.contains("aes256-ctr,aes192-ctr") && text.contains("aes128-ctr"),
        "{text}"
    );

    let error = Session::connect(&web1, &with("Ciphers rijndael-cbc@lysator.liu.se"))
        .await
        .expect_err("nothing to offer");
    assert_eq!(error.kind(), ErrorKind::Local, "{error}");
}
