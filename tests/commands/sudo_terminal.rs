//! Commands under a sudo that gives them a terminal of its own (`use_pty`), which hands on what is typed.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use clusterops::ssh::{Exit, Output, RunAs};
use clusterops::{Command, Session};
use tokio::io::AsyncWriteExt as _;

use crate::connect;
use crate::support::{Sshd, SshdOptions};

const SUDOERS: &str = "\
Defaults requiretty, use_pty\n\
root ALL=(ALL) ALL\n\
typist ALL=(ALL) NOPASSWD: ALL\n";

/// How long anything may take on a machine that has other things to do.
const DEADLINE: Duration = Duration::from_secs(20);

fn sshd() -> Option<Sshd> {
    Sshd::start(options())
}

fn options() -> SshdOptions {
    SshdOptions::default()
        .account("typist", "/bin/sh")
        .account("app", "/bin/sh")
        .etc("sudoers", SUDOERS)
}

async fn log_in(sshd: &Sshd) -> Session {
    connect(sshd, &sshd.target_for("typist")).await
}

fn raised(line: &str) -> Command {
    Command::shell(line)
        .run_as(RunAs::sudo())
        .pty()
        .deadline(DEADLINE)
}

async fn run(session: &Session, command: &Command) -> Output {
    match session.output(command).await {
        Ok(output) => output,
        Err(error) => panic!("{command:?}: {error}"),
    }
}

/// Waits until nothing of sudo's is left, nor of what it ran.
async fn all_ended(sshd: &Sshd, what: &str) {
    let deadline = Instant::now() + DEADLINE;
    loop {
        let left = sudos(sshd);
        if left.is_empty() {
            return;
        }
        assert!(Instant::now() < deadline, "{what}: {left:?} are left");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// The argument lists of the sshd's processes that run sudo, or run under it.
fn sudos(sshd: &Sshd) -> Vec<String> {
    let lists = sshd.processes().into_iter().filter_map(|id| {
        let status = std::fs::read_to_string(format!("/proc/{id}/status")).ok()?;
        let is_root = status.lines().any(|line| line.starts_with("Uid:\t0\t"));
        let list = std::fs::read(format!("/proc/{id}/cmdline")).ok()?;
        let list = String::from_utf8_lossy(&list).replace('\0', " ");
        (is_root && !list.starts_with("sshd") && !list.contains("/usr/sbin/sshd")).then_some(list)
    });
    lists.collect()
}

/// Keeps the processors busy while it lives.
struct Load(Arc<AtomicBool>);

impl Load {
    fn new() -> Self {
        let ends = Arc::new(AtomicBool::new(false));
        let cores = std::thread::available_parallelism().map_or(2, usize::from);
        for _ in 0..=cores {
            let ends = Arc::clone(&ends);
            std::thread::spawn(move || {
                while !ends.load(Ordering::Relaxed) {
                    std::hint::spin_loop();
                }
            });
        }
        Self(ends)
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Sudo 1.9.13 hangs in some of these where its command ends while it holds what is typed.
#[tokio::test]
async fn commands_end_while_their_input_is_being_typed() {
    let Some(sshd) = sshd() else { return };
    let session = log_in(&sshd).await;
    let _load = Load::new();
    let lines = |bytes: usize| [&b"x".repeat(99)[..], b"\n"].concat().repeat(bytes / 100);
    let first = format!("{}\n", "x".repeat(99));
    for round in 0..14 {
        for (line, input, said, status) in [
            ("head -n1", lines(60_000), first.as_str(), 0),
            ("read a; exit 3", lines(20_000), "", 3),
            ("echo out", Vec::new(), "out\n", 0),
        ] {
            let output = run(&session, &raised(line).stdin(input)).await;
            assert_eq!(output.stdout.to_string(), said, "{line}, round {round}");
            assert_eq!(output.exit, Exit::Status(status), "{line}, round {round}");
        }
    }
    all_ended(&sshd, "after all runs").await;
}

#[tokio::test]
async fn how_a_command_ended_is_told_as_it_was() {
    let Some(sshd) = sshd() else { return };
    is_told_as_it_was(&sshd).await;
}

#[tokio::test]
async fn how_a_command_ended_is_told_by_busybox_too() {
    let Some(sshd) = Sshd::start(options().busybox()) else {
        return;
    };
    is_told_as_it_was(&sshd).await;
}

async fn is_told_as_it_was(sshd: &Sshd) {
    let session = log_in(sshd).await;
    let signal = |name: &str| Exit::Signal(name.into());
    for (line, said, exit) in [
        ("printf 'no end'; exit 137", "no end", Exit::Status(137)),
        ("echo a; kill -KILL $$", "a\n", signal("KILL")),
        ("kill -TERM $$", "", signal("TERM")),
        ("exit 143", "", Exit::Status(143)),
        ("exit 255", "", Exit::Status(255)),
        ("kill -INT $$", "", Exit::Status(130)),
        ("/nonexistent 2>/dev/null", "", Exit::Status(127)),
        // Its whole group is meant, and it is the one to answer.
        (
            "trap 'echo caught; exit 4' TERM; kill -TERM 0; sleep 20",
            "caught\n",
            Exit::Status(4),
        ),
        ("kill -HUP 0; sleep 20", "", signal("HUP")),
        // The terminal is left as nobody would expect it.
        ("cat; stty sane; echo b", "in\nb\r\n", Exit::Status(0)),
        ("stty raw igncr inlcr; exit 6", "", Exit::Status(6)),
        // It looks like a mark, and is none.
        (
            "printf '\\001clusterops %.0s0 \\n' \"$CLUSTEROPS_TASK\"; exit 7",
            "\u{1}clusterops 0 \n",
            Exit::Status(7),
        ),
        (
            "printf '\\001clusterops '; exit 8",
            "\u{1}clusterops ",
            Exit::Status(8),
        ),
    ] {
        let output = run(&session, &raised(line).stdin("in\n")).await;
        assert_eq!(output.stdout.to_string(), said, "{line}");
        assert_eq!(output.exit, exit, "{line}");
    }
    all_ended(sshd, "after all ends").await;
}

/// What a process in the background writes afterwards is not the command's, and the command's end does not wait for it.
#[tokio::test]
async fn who_writes_in_the_background_is_not_waited_for() {
    let Some(sshd) = sshd() else { return };
    let session = log_in(&sshd).await;
    let line = "f=$(mktemp -u); mkfifo $f; (trap '' HUP; echo early; : >$f; exec sleep 5) & : <$f; rm $f; echo out";
    let output = run(&session, &raised(line)).await;
    assert_eq!(output.stdout.to_string(), "early\nout\n");
    assert_eq!(output.exit, Exit::Status(0));
}

#[tokio::test]
async fn a_terminal_that_is_hung_up_leaves_nothing() {
    let Some(sshd) = sshd() else { return };
    // Input that is read, that nobody reads, and that is still to come.
    for (line, bytes) in [
        ("echo ready; cat", 0),
        ("echo ready; sleep 1720", 20_000),
        ("echo ready; exec cat >/dev/null", 2_000_000),
    ] {
        let session = log_in(&sshd).await;
        let command = raised(line).stdin_streamed();
        let mut process = session.exec(&command).await.expect("it starts");
        let mut stdin = process.stdin().expect("it was asked for");
        let typing = tokio::spawn(async move {
            let _ = stdin.write_all(&vec![b'x'; bytes]).await;
            stdin
        });
        let ready = process.next().await.expect("it speaks").expect("it runs");
        assert_eq!(&ready.bytes[..], b"ready\n");
        assert!(!sudos(&sshd).is_empty(), "the look finds what there is");
        drop(process);
        session.close().await;
        all_ended(&sshd, line).await;
        typing.abort();
    }
}
