//! This crate's own sessions against the simulator.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use super::client::eventually;
use crate::sim::{Answer, Fault, Match, Sim, SimHost};
use crate::transfer::OPEN_TO_FETCH;
use crate::{Bandwidth, Command, ErrorKind, Exit, Session, SessionOptions, Termination};

const GRACE: Duration = Duration::from_millis(50);

fn options() -> SessionOptions {
    SessionOptions::default().config(crate::config::Config::none().expect("there is a user"))
}

#[tokio::test]
async fn commands_run_and_host_keys_are_checked() {
    let sim = Sim::start([SimHost::new("web01"), SimHost::new("own").own_port()])
        .await
        .expect("started");
    for target in sim.targets() {
        let session = Session::connect(&target, &options())
            .await
            .expect("connected");
        let output = session
            .output(&Command::new(["uname", "-n"]))
            .await
            .expect("run");
        assert_eq!(
            output.stdout.to_string_lossy(),
            format!("{}\n", target.name)
        );
        assert_eq!(output.exit, Exit::Status(0));
    }
}

#[tokio::test]
async fn every_fault_has_its_kind() {
    let sim = Sim::start([SimHost::new("a").own_port()])
        .await
        .expect("started");
    let host = sim.host("a");
    for (fault, kind) in [
        (Fault::Refuse, ErrorKind::Refused),
        (Fault::Silent, ErrorKind::Timeout),
        (Fault::DropInKeyExchange, ErrorKind::Disconnected),
        (Fault::WrongHostKey, ErrorKind::HostKey),
        (Fault::RejectAuthentication, ErrorKind::Authentication),
        (Fault::DropFirst(1), ErrorKind::Disconnected),
    ] {
        host.fault(fault.clone());
        let options = match &fault {
            Fault::Silent => options().handshake_deadline(Duration::from_millis(300)),
            _ => options(),
        };
        let error = Session::connect(&sim.target("a"), &options)
            .await
            .expect_err("a fault");
        assert_eq!(error.kind(), kind, "{fault:?}: {error}");
        host.heal();
        Session::connect(&sim.target("a"), &self::options())
            .await
            .expect("healed");
    }
    host.fault(Fault::DropDuringCommand);
    let session = Session::connect(&sim.target("a"), &options())
        .await
        .expect("connected");
    let error = session
        .output(&Command::shell("sleep infinity"))
        .await
        .expect_err("a fault");
    assert_eq!(error.kind(), ErrorKind::Disconnected, "{error}");
    assert_eq!(host.processes().len(), 1);
}

#[tokio::test]
async fn the_end_of_processes_is_confirmed() {
    let serve = |answer: Answer| SimHost::new("template").answer("serve", answer);
    let stubborn = serve(Answer::never_exits().ignoring_term());
    let hosts = [
        serve(Answer::never_exits()).named("plain"),
        serve(Answer::never_exits()).named("root").user("root"),
        stubborn.named("stubborn"),
        stubborn.named("both").ignores_signals(),
        serve(Answer::never_exits().with_detached("/opt/app/daemon")).named("detached"),
    ];
    let sim = Sim::start(hosts).await.expect("started");
    for host in sim.hosts() {
        let session = Session::connect(&sim.target(host.name()), &options())
            .await
            .expect("connected");
        let mut process = session
            .exec(&Command::shell("serve"))
            .await
            .expect("started");
        eventually("the command", || host.commands().len() == 1).await;
        assert_eq!(host.commands()[0].attempt(), host.processes()[0].attempt());
        assert_eq!(
            process.terminate(&session, GRACE).await,
            Termination::Confirmed,
            "{}",
            host.name()
        );
        assert_eq!(host.processes(), [], "{}", host.name());
    }
}

#[tokio::test]
async fn a_command_that_is_stopped_has_ended() {
    let host = SimHost::new("web01").answer("serve", Answer::never_exits());
    let sim = Sim::start([host]).await.expect("started");
    let host = sim.host("web01");
    let session = Session::connect(&sim.target("web01"), &options())
        .await
        .expect("connected");
    let runs = eventually("the command", || !host.processes().is_empty());
    let error = session
        .output_until(&Command::shell("serve"), runs)
        .await
        .expect_err("stopped");
    assert_eq!(error.kind(), ErrorKind::Cancelled);
    assert_eq!(error.host(), Some("web01"));
    assert_eq!(host.processes(), [], "{error}");
    // At once, before it is known whether the command has started.
    let error = session
        .output_until(&Command::shell("serve"), async {})
        .await
        .expect_err("stopped");
    assert_eq!(host.processes(), [], "{error}");
    let late = Command::shell("serve").deadline(Duration::from_millis(100));
    let error = session.output(&late).await.expect_err("late");
    assert_eq!(error.kind(), ErrorKind::Timeout);
    assert_eq!(host.processes(), [], "{error}");
}

#[tokio::test]
async fn what_a_command_wrote_before_it_was_ended_is_kept() {
    let serve = Answer::never_exits().with_detached("/opt/app/daemon");
    let host = SimHost::new("web01")
        .answer("complain", Answer::new().with_stderr("slow\n"))
        .answer("serve", serve);
    let sim = Sim::start([host]).await.expect("started");
    let host = sim.host("web01");
    let session = Session::connect(&sim.target("web01"), &options())
        .await
        .expect("connected");
    let command = Command::shell("echo begun; complain; serve");
    let has_spoken = eventually("the daemon", || host.processes().len() == 2);
    let stopped = session.output_until(&command, has_spoken).await;
    let stopped = stopped.expect_err("stopped");
    assert_eq!(stopped.kind(), ErrorKind::Cancelled);
    // A slow machine may have nothing to show for its time.
    let mut limit = Duration::from_millis(200);
    let late = loop {
        let late = session.output(&command.clone().deadline(limit)).await;
        let late = late.expect_err("late");
        let has_spoken = late
            .output()
            .is_some_and(|output| !output.stderr.is_empty());
        if has_spoken || limit > Duration::from_secs(10) {
            break late;
        }
        limit *= 2;
    };
    assert_eq!(late.kind(), ErrorKind::Timeout);
    for error in [stopped, late] {
        let output = error.output().expect("it ran");
        let said = (output.stdout.to_string(), output.stderr.to_string());
        assert_eq!(said, ("begun\n".into(), "slow\n".into()), "{error}");
        assert_eq!(output.exit, Exit::Signal("TERM".into()), "{error}");
    }
    let unknown = session.output(&Command::new(Vec::<String>::new())).await;
    assert_eq!(unknown.expect_err("no words").output(), None);
}

#[tokio::test]
async fn how_far_files_have_come_is_told_in_time_and_with_their_size() {
    let sim = Sim::start([SimHost::new("web01")]).await.expect("started");
    let session = Session::connect(&sim.target("web01"), &options())
        .await
        .expect("connected");
    let told = Arc::new(Mutex::new(Vec::new()));
    let list = Arc::clone(&told);
    let files = session.files().await.expect("SFTP");
    // Much less than what may be on its way at once.
    let files = files
        .bandwidth(Bandwidth::per_second(1_000_000))
        .progress(move |progress| list.lock().expect("whole").push((progress, Instant::now())));
    let folder = tempfile::tempdir().expect("a folder");
    let (sent, fetched) = (folder.path().join("sent"), folder.path().join("fetched"));
    std::fs::write(&sent, vec![7; 400_000]).expect("written");
    for is_upload in [true, false] {
        if is_upload {
            files.upload(&sent, "/tmp/content").await.expect("sent");
        } else {
            files
                .download("/tmp/content", &fetched)
                .await
                .expect("fetched");
        }
        let told = std::mem::take(&mut *told.lock().expect("whole"));
        let [(first, early), .., (last, late)] = told[..] else {
            panic!("{told:?}");
        };
        assert!(first.bytes < 100_000 && first.total == 400_000, "{first:?}");
        assert_eq!((last.bytes, last.total), (400_000, 400_000));
        assert!(late - early > Duration::from_millis(200), "{told:?}");
    }
}

#[tokio::test]
async fn a_tree_that_is_fetched_has_few_files_and_folders_open() {
    let mut host = SimHost::new("web01");
    for number in 0..100 {
        host = host
            .file(&format!("/srv/tree/alone{number}/file"), "content")
            .file(&format!("/srv/tree/many/file{number}"), "content");
    }
    let sim = Sim::start([host]).await.expect("started");
    let session = Session::connect(&sim.target("web01"), &options())
        .await
        .expect("connected");
    let here = tempfile::tempdir().expect("a folder");
    let root = here.path().canonicalize().expect("it is there");
    let most = Arc::new(AtomicUsize::new(0));
    let seen = Arc::clone(&most);
    let files = session.files().await.expect("SFTP");
    let files = files.progress(move |_| {
        let descriptors = std::fs::read_dir("/proc/self/fd").expect("Linux has it");
        // Others are closed meanwhile.
        let paths = descriptors.filter_map(|entry| std::fs::read_link(entry.ok()?.path()).ok());
        let open = paths.filter(|path| path.starts_with(&root)).count();
        seen.fetch_max(open, Ordering::Relaxed);
    });
    let fetched = files.download_tree("/srv/tree", here.path().join("tree"));
    let fetched = fetched.await.expect("fetched");
    assert_eq!((fetched.files, fetched.folders), (200, 101));
    let most = most.load(Ordering::Relaxed);
    assert!((2..=OPEN_TO_FETCH).contains(&most), "{most}");
    for folder in ["many", "alone99"] {
        let names = std::fs::read_dir(here.path().join("tree").join(folder)).expect("made");
        let mut names = names.map(|entry| entry.expect("ours").path());
        assert!(
            names.all(|path| path.extension().is_none()),
            "no part is left"
        );
    }
}

#[tokio::test]
async fn output_is_data() {
    let host = SimHost::new("web01").answer("half", Answer::stdout("a").with_stderr("b"));
    let sim = Sim::start([host]).await.expect("started");
    let session = Session::connect(&sim.target("web01"), &options())
        .await
        .expect("connected");
    let output = session
        .output(&Command::shell("half"))
        .await
        .expect("it runs");
    let text = serde_json::to_string(&output).expect("plain data");
    assert_eq!(text, r#"{"exit":{"status":0},"stdout":"a","stderr":"b"}"#);
    let again: crate::session::Output = serde_json::from_str(&text).expect("read");
    assert_eq!(again, output);
}

#[tokio::test]
async fn a_host_without_grep_confirms_nothing() {
    let host = SimHost::new("web01").answer(Match::prefix("grep"), Answer::status(127));
    let sim = Sim::start([host]).await.expect("started");
    let session = Session::connect(&sim.target("web01"), &options())
        .await
        .expect("it lets us in");
    let mut process = session
        .exec(&Command::shell("sleep 1000"))
        .await
        .expect("it starts");
    let end = process.terminate(&session, GRACE).await;
    assert!(matches!(end, Termination::Unconfirmed(_)), "{end:?}");
}
