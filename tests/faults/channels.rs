//! Channels: how commands end, and output that nobody reads.

use std::time::Duration;

use clusterops::ssh::{ErrorKind, Exit, Process};
use clusterops::{Command, Plan, Session, Stage};
use rustix::process::{Pid, Signal, kill_process};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

use super::support::{Sshd, SshdOptions};
use super::{fleet, options};

async fn connect(sshd: &Sshd) -> Session {
    let target = sshd.target("web1", "127.0.0.1");
    match Session::connect(&target, &options()).await {
        Ok(session) => session,
        Err(error) => panic!("{error:?}\n{}", sshd.log()),
    }
}

#[tokio::test]
async fn the_end_of_output_is_not_the_end_of_the_command() {
    let Some(sshd) = Sshd::start(SshdOptions::default()) else {
        return;
    };
    let session = connect(&sshd).await;
    // sshd sends the end of file when the last writer is gone, long before it learns of the exit status.
    let line = "echo out; echo err >&2; exec >&- 2>&-; sleep 0.3; exit 7";
    let output = session.output(&Command::shell(line)).await;
    let output = output.expect("it runs");
    assert_eq!(output.exit, Exit::Status(7));
    assert_eq!(output.stdout.to_string(), "out\n");
    assert_eq!(output.stderr.to_string(), "err\n");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hundred_commands_that_nobody_reads_hold_up_no_other() {
    let Some(sshd) = Sshd::start(SshdOptions::default().max_sessions(150)) else {
        return;
    };
    let session = connect(&sshd).await;
    let mut unread = Vec::new();
    for _ in 0..100 {
        let yes = session.exec(&Command::new(["yes"])).await;
        unread.push(yes.expect("it starts"));
    }
    for _ in 0..3 {
        let other = session.output(&Command::new(["echo", "hello"])).await;
        assert_eq!(other.expect("it runs").stdout.to_string(), "hello\n");
    }
    for mut process in unread {
        let mut read = 0;
        let error = loop {
            match process.next().await {
                Ok(Some(chunk)) => read += chunk.bytes.len(),
                Ok(None) => panic!("an endless output has ended"),
                Err(error) => break error,
            }
        };
        assert_eq!(error.kind(), ErrorKind::Local, "{error}");
        assert!(!error.is_retryable());
        assert!(read > 500_000, "what had come was kept: {read} bytes");
    }
    assert!(!session.is_closed());
}

/// Without an answer to its keepalive messages sshd hangs up after three seconds; it changes keys every 64 KiB, and sends
/// nothing else meanwhile.
#[tokio::test(flavor = "multi_thread")]
async fn a_reader_that_stalls_stops_neither_keepalive_nor_rekeying() {
    let patient = SshdOptions::default()
        .line("ClientAliveInterval 2")
        .line("ClientAliveCountMax 3")
        .line("RekeyLimit 64K");
    let Some(sshd) = Sshd::start(patient) else {
        return;
    };
    let session = connect(&sshd).await;
    let mut stalled = session.exec(&Command::new(["yes"])).await.expect("starts");
    assert!(stalled.next().await.expect("it writes").is_some());
    // Longer than sshd waits for an answer.
    let other = session.output(&Command::shell("sleep 8; echo alive")).await;
    let other = other.unwrap_or_else(|error| panic!("{error:?}\n{}", sshd.log()));
    assert_eq!(other.stdout.to_string(), "alive\n");
    let error = loop {
        match stalled.next().await {
            Ok(chunk) => assert!(chunk.is_some(), "an endless output has ended"),
            Err(error) => break error,
        }
    };
    assert_eq!(error.kind(), ErrorKind::Local, "{error}");
}

/// A reader that is slow but does read gets every byte.
#[tokio::test(flavor = "multi_thread")]
async fn a_slow_reader_slows_the_command_down_and_loses_nothing() {
    let Some(sshd) = Sshd::start(SshdOptions::default()) else {
        return;
    };
    let session = connect(&sshd).await;
    let line = "head -c 6000000 /dev/zero";
    let mut process = session.exec(&Command::shell(line)).await.expect("starts");
    let mut read = 0;
    while let Some(chunk) = process.next().await.expect("it was read") {
        read += chunk.bytes.len();
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    assert_eq!((read, process.exit()), (6_000_000, Exit::Status(0)));
}

#[tokio::test]
async fn short_commands_under_a_deadline_give_all_their_output() {
    let Some(sshd) = Sshd::start(SshdOptions::default()) else {
        return;
    };
    let whole: String = (1..=3000).map(|number| format!("{number}\n")).collect();
    let line = "seq 3000; printf end >&2";
    let plan = Plan::new("p").stage(Stage::shell("s", line).deadline(Duration::from_secs(40)));
    let targets = (1..=50).map(|n| sshd.target(&format!("web{n}"), &format!("127.0.0.{n}")));
    let report = fleet(targets).parallelism(10).run(&plan);
    let report = report.expect("a valid plan").await.expect("it goes on");
    assert!(report.is_success(), "{report}");
    for host in &report.hosts {
        assert_eq!(host.stages[0].stdout.to_string(), whole, "{}", host.name);
        assert_eq!(host.stages[0].stderr.to_string(), "end", "{}", host.name);
    }
    let session = connect(&sshd).await;
    for _ in 0..50 {
        let output = session
            .output(&Command::shell(line))
            .await
            .expect("it runs");
        assert_eq!(output.stdout.to_string(), whole);
    }
}

#[tokio::test]
async fn a_server_that_stops_answering_is_given_up_in_time() {
    let Some(sshd) = Sshd::start(SshdOptions::default()) else {
        return;
    };
    let quick = options().command_deadline(Duration::from_millis(500));
    let target = sshd.target("web1", "127.0.0.1");
    let session = Session::connect(&target, &quick).await.expect("connects");
    let quick = quick.handshake_deadline(Duration::from_millis(500));
    let frozen = Frozen::new(&sshd);
    let error = session.output(&Command::new(["true"])).await;
    let error = error.expect_err("nobody answers");
    assert_eq!(error.kind(), ErrorKind::Timeout, "{error}");
    drop(session);
    let error = Session::connect(&target, &quick).await;
    assert_eq!(error.expect_err("nor here").kind(), ErrorKind::Timeout);
    drop(frozen);
    let session = Session::connect(&target, &options()).await;
    session.expect("it answers again").close().await;
}

/// A connection that is asked every second whether it is there, and two silent seconds are its end.
async fn connect_watchfully(sshd: &Sshd) -> Session {
    let watchful = options().keepalive(Duration::from_secs(1), 2);
    let session = Session::connect(&sshd.target("web1", "127.0.0.1"), &watchful).await;
    session.unwrap_or_else(|error| panic!("{error:?}\n{}", sshd.log()))
}

/// Waits for the end of what hangs on a server that was stopped, and gives how it ended.
async fn in_time<T>(ending: impl Future<Output = T>) -> T {
    let ended = tokio::time::timeout(Duration::from_secs(10), ending).await;
    ended.expect("the loss is noticed in time")
}

#[tokio::test]
async fn a_server_that_dies_while_a_command_runs_is_given_up_in_time() {
    let Some(sshd) = Sshd::start(SshdOptions::default()) else {
        return;
    };
    let session = connect_watchfully(&sshd).await;
    let line = Command::shell("echo there; sleep 600");
    let mut process = session.exec(&line).await.expect("it starts");
    process.next().await.expect("it writes");
    let _frozen = Frozen::new(&sshd);
    let error = in_time(process.next()).await.expect_err("nobody answers");
    assert_eq!(error.kind(), ErrorKind::Disconnected, "{error}");
    assert!(error.message().contains("stopped answering"), "{error}");
}

#[tokio::test]
async fn a_server_that_dies_while_it_is_sent_input_is_given_up_in_time() {
    let Some(sshd) = Sshd::start(SshdOptions::default()) else {
        return;
    };
    let session = connect_watchfully(&sshd).await;
    let line = Command::shell("echo there; cat >/dev/null").stdin_streamed();
    // Each may send 2 MiB ahead (its channel's window), and all together more than the sockets hold.
    let mut processes = Vec::new();
    for _ in 0..8 {
        let mut process = session.exec(&line).await.expect("it starts");
        process.next().await.expect("it writes");
        processes.push(process);
    }
    let stdins: Vec<_> = processes.iter_mut().filter_map(Process::stdin).collect();
    let _frozen = Frozen::new(&sshd);
    for mut stdin in stdins {
        tokio::spawn(async move { while stdin.write_all(&[7; 65_536]).await.is_ok() {} });
    }
    for process in &mut processes {
        let error = in_time(process.next()).await.expect_err("nobody answers");
        assert_eq!(error.kind(), ErrorKind::Disconnected, "{error}");
        assert!(error.message().contains("took nothing"), "{error}");
    }
}

#[tokio::test]
async fn a_server_that_dies_while_a_stream_is_written_to_is_given_up_in_time() {
    let Some(sshd) = Sshd::start(SshdOptions::default()) else {
        return;
    };
    let session = connect_watchfully(&sshd).await;
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let port = listener.local_addr().expect("it is bound").port();
    let mut stream = session.open_tcp("127.0.0.1", port).await.expect("it opens");
    let (mut far, _) = listener.accept().await.expect("it connected");
    let taking = tokio::spawn(async move {
        let mut taken = vec![0; 65_536];
        while far.read(&mut taken).await.is_ok_and(|length| length > 0) {}
    });
    stream.write_all(&[7; 65_536]).await.expect("it is taken");
    let _frozen = Frozen::new(&sshd);
    let error = in_time(async {
        loop {
            if let Err(error) = stream.write_all(&[7; 65_536]).await {
                return error;
            }
        }
    });
    let error = error.await;
    assert!(error.to_string().contains("stopped answering"), "{error}");
    taking.abort();
}

/// As ssh(1) does: no question is asked, whoever says nothing for one interval is given up.
#[tokio::test]
async fn without_a_question_the_first_silence_is_the_end() {
    let Some(sshd) = Sshd::start(SshdOptions::default()) else {
        return;
    };
    let configured = "ServerAliveInterval 2\nServerAliveCountMax 0\n";
    let configured = clusterops::config::Config::parse(configured, "test").expect("it is valid");
    let target = sshd.target("web1", "127.0.0.1");
    let session = Session::connect(&target, &options().config(configured)).await;
    let session = session.expect("it connects");
    let talkative = "for i in 1 2 3 4 5 6 7 8; do echo; sleep 0.5; done";
    let output = session.output(&Command::shell(talkative)).await;
    assert_eq!(output.expect("it goes on").exit, Exit::Status(0));
    let silent = Command::shell("sleep 600");
    let error = in_time(session.output(&silent)).await;
    let error = error.expect_err("it is silent");
    assert_eq!(error.kind(), ErrorKind::Disconnected, "{error}");
    assert!(error.message().contains("sent nothing for 2s"), "{error}");
}

/// A server that lets everybody in and says nothing to what it is asked for then.
struct Mute {
    opens: bool,
    /// What it holds back.
    asked: Vec<russh::server::ChannelOpenHandle>,
    opened: Vec<russh::Channel<russh::server::Msg>>,
}

impl russh::server::Handler for Mute {
    type Error = russh::Error;

    async fn auth_publickey(
        &mut self,
        _: &str,
        _: russh::server::VerifiedPublicKey<'_>,
    ) -> Result<russh::server::Auth, Self::Error> {
        Ok(russh::server::Auth::Accept)
    }

    async fn channel_open_session(
        &mut self,
        channel: russh::Channel<russh::server::Msg>,
        reply: russh::server::ChannelOpenHandle,
        _: &mut russh::server::Session,
    ) -> Result<(), Self::Error> {
        self.opened.push(channel);
        if self.opens {
            reply.accept().await;
        } else {
            self.asked.push(reply);
        }
        Ok(())
    }
}

/// It answers keepalive messages, so that nothing else ends the wait.
#[tokio::test]
async fn a_server_that_answers_no_request_is_given_up_in_time() {
    let Some(sshd) = Sshd::start(SshdOptions::default()) else {
        return;
    };
    let ask = async |opens: bool, window_size: u32| {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let port = listener.local_addr().expect("it is bound").port();
        let key = russh::keys::PrivateKey::random(
            &mut russh::keys::key::safe_rng(),
            russh::keys::Algorithm::Ed25519,
        );
        let config = std::sync::Arc::new(russh::server::Config {
            keys: vec![key.expect("a key")],
            window_size,
            ..russh::server::Config::default()
        });
        let serving = tokio::spawn(async move {
            let (stream, _) = listener.accept().await.expect("it connects");
            let (asked, opened) = (Vec::new(), Vec::new());
            let mute = Mute {
                opens,
                asked,
                opened,
            };
            let running = russh::server::run_stream(config, stream, mute).await;
            running.expect("it speaks").await
        });
        let mut target = sshd.target("web1", "127.0.0.1");
        target.port = Some(port);
        let options = options().danger_accept_any_host_key();
        let session = Session::connect(&target, &options).await;
        let session = session.expect("it connects");
        let command = Command::new(["true"]);
        let output = async { session.exec(&command).await?.next().await };
        let error = tokio::time::timeout(super::PATIENCE, output).await;
        serving.abort();
        error.expect("it ends").expect_err("nobody answers")
    };
    // As sshd does, the last one makes no room for input before it has answered.
    let (unopened, unanswered, roomless) =
        tokio::join!(ask(false, 1 << 20), ask(true, 1 << 20), ask(true, 0));
    assert_eq!(unopened.kind(), ErrorKind::Timeout, "{unopened}");
    assert!(unopened.message().contains("open a channel"), "{unopened}");
    assert_eq!(unanswered.kind(), ErrorKind::Timeout, "{unanswered}");
    assert!(unanswered.message().contains("(exec)"), "{unanswered}");
    assert_eq!(roomless.message(), unanswered.message());
    assert_eq!(roomless.kind(), ErrorKind::Timeout);
}

/// Both sides change keys over and over while the data flows towards the host.
#[tokio::test]
async fn keys_change_while_much_is_sent() {
    let options = SshdOptions::default()
        .line("RekeyLimit 64K")
        .line("LogLevel DEBUG1");
    let Some(sshd) = Sshd::start(options) else {
        return;
    };
    let configured = clusterops::config::Config::parse("RekeyLimit 64K\n", "test");
    let options = self::options().config(configured.expect("it is valid"));
    let target = sshd.target("web1", "127.0.0.1");
    let session = Session::connect(&target, &options).await.expect("connects");
    let content: Vec<u8> = (0..4_000_000_u32).map(|n| (n % 251) as u8).collect();
    let file = sshd.folder().join("sent");
    std::fs::write(&file, &content).expect("our folder");
    let here = std::process::Command::new("sha256sum").arg(&file).output();
    let here = String::from_utf8(here.expect("it runs").stdout).expect("text");
    let command = Command::new(["sha256sum"]).stdin(content);
    let there = session.output(&command);
    let there = there
        .await
        .unwrap_or_else(|error| panic!("{error:?}\n{}", sshd.log()));
    let there = there.stdout.to_string();
    assert_eq!(there.split(' ').next(), here.split(' ').next());
    let changes = sshd.log().matches("SSH2_MSG_NEWKEYS received").count();
    // The first are those of the login; how many follow depends on how much is under way at once.
    assert!(changes > 2, "keys changed {changes} times");
}

/// A server all of whose processes are stopped while this lives.
struct Frozen(Vec<Pid>);

impl Frozen {
    fn new(sshd: &Sshd) -> Self {
        let mut stopped = Vec::new();
        // Once a look finds nobody new, nobody is left who could have forked since the look before.
        loop {
            let pids = sshd.processes().into_iter();
            let news: Vec<Pid> = pids
                .filter_map(|pid| Pid::from_raw(i32::try_from(pid).ok()?))
                .filter(|pid| !stopped.contains(pid))
                // One that has ended meanwhile, as the helper of a log-in does, cannot be stopped.
                .filter(|&pid| kill_process(pid, Signal::STOP).is_ok())
                .collect();
            if news.is_empty() {
                break;
            }
            stopped.extend(news);
        }
        assert!(!stopped.is_empty(), "the server runs");
        Self(stopped)
    }
}

impl Drop for Frozen {
    fn drop(&mut self) {
        for &pid in &self.0 {
            // One that has ended meanwhile needs nothing.
            let _ = kill_process(pid, Signal::CONT);
        }
    }
}
