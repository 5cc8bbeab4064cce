//! Output within bounds, and events that nobody reads.

use std::io::Read as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use clusterops::ssh::{ErrorKind, RunState, Termination};
use clusterops::{Event, Plan, Report, Stage};

use super::support::{Sshd, SshdOptions};
use super::{fleet, run, shared_folder, targets};

/// How long a run may take that must end by itself.
const PATIENCE: Duration = Duration::from_secs(300);

#[tokio::test]
async fn outputs_are_capped_in_memory_and_whole_on_disk() {
    let Some(sshd) = Sshd::start(SshdOptions::default()) else {
        return;
    };
    let folder = tempfile::tempdir().expect("a folder");
    let plan = Plan::new("p").stage(Stage::shell("a/b", "seq 100000; printf '\\377' >&2"));
    let fleet = fleet(targets(&sshd, 3))
        .output_cap(1000)
        .output_budget(5000)
        .output_folder(folder.path().join("out"));
    let report = run(&fleet, &plan).await;
    assert!(
        report.is_success() && report.warnings.is_empty(),
        "{report}"
    );
    let whole: String = (1..=100_000).map(|number| format!("{number}\n")).collect();
    for host in &report.hosts {
        let stdout = &host.stages[0].stdout;
        assert_eq!(
            (stdout.total(), stdout.cut()),
            (whole.len() as u64, whole.len() as u64 - 1000)
        );
        assert!(
            stdout.to_string().starts_with("1\n2\n") && stdout.to_string().ends_with("\n100000\n")
        );
        let files = folder.path().join("out").join(&host.name);
        assert_eq!(
            std::fs::read_to_string(files.join("01-a%2Fb.stdout")).expect("whole"),
            whole
        );
        assert_eq!(
            std::fs::read(files.join("01-a%2Fb.stderr")).expect("whole"),
            b"\xff"
        );
    }
    // The folder holds the outputs of one run.
    let error = fleet.run(&plan).expect_err("it is not empty");
    assert!(error.to_string().contains("give each run one"), "{error}");
    let again = fleet.retry(&plan, &report).expect("it goes on").await;
    assert!(again.expect("nothing to do").is_success());
    let json = serde_json::to_string(&report).expect("plain data");
    assert_eq!(
        serde_json::from_str::<Report>(&json).expect("it reads back"),
        report
    );
}

/// A pipe where the file is to be takes nothing before somebody reads it, as the disk of a busy server does for a while.
#[tokio::test]
async fn a_disk_that_stalls_costs_time_and_no_output() {
    let Some(sshd) = Sshd::start(SshdOptions::default()) else {
        return;
    };
    const SIZE: usize = 8 << 20;
    let folder = tempfile::tempdir().expect("a folder");
    let go = shared_folder(&sshd, "go");
    let plan = Plan::new("p")
        .stage(Stage::shell(
            "wait",
            format!("until test -e {go}/now; do sleep 0.05; done"),
        ))
        .stage(Stage::shell("s", format!("head -c {SIZE} /dev/zero")))
        .stage(Stage::command("after", ["true"]));
    let fleet = fleet(targets(&sshd, 1)).output_folder(folder.path());
    let mut running = fleet.run(&plan).expect("a valid plan");
    let files = folder.path().join("web1");
    std::fs::create_dir(&files).expect("our folder");
    let pipe = files.join("02-s.stdout");
    let made = std::process::Command::new("mkfifo").arg(&pipe).status();
    assert!(made.expect("coreutils").success());
    std::fs::write(format!("{go}/now"), "").expect("our folder");
    // Longer than whoever reads a session's command may stop.
    let early = tokio::time::timeout(Duration::from_secs(5), &mut running).await;
    assert!(early.is_err(), "{early:?}");
    let written = tokio::task::spawn_blocking(move || std::fs::read(pipe));
    let report = running.await.expect("it goes on");
    assert!(
        report.is_success() && report.warnings.is_empty(),
        "{report}"
    );
    assert_eq!(report.hosts[0].stages[1].stdout.total(), SIZE as u64);
    let written = written.await.expect("no panic").expect("a pipe");
    assert_eq!(written.len(), SIZE);
}

/// The output's file as a pipe, behind a first stage that waits for it.
fn pipe_for(folder: &Path, host: &str) -> PathBuf {
    let files = folder.join(host);
    std::fs::create_dir(&files).expect("our folder");
    let pipe = files.join("02-s.stdout");
    let made = std::process::Command::new("mkfifo").arg(&pipe).status();
    assert!(made.expect("coreutils").success());
    pipe
}

/// Writes without end, once `{go}/now` is there, and tells its process in the file of its address.
fn flood(go: &str) -> Plan {
    let line = format!("set -- $SSH_CONNECTION; echo $$ > {go}/$3; exec cat /dev/zero");
    Plan::new("p")
        .stage(Stage::shell(
            "wait",
            format!("until test -e {go}/now; do sleep 0.05; done"),
        ))
        .stage(Stage::shell("s", line).deadline(Duration::from_secs(10)))
}

/// Whoever still waits for somebody to write into the pipe reads its end.
fn release(pipe: &Path) {
    let _ = std::fs::OpenOptions::new()
        .write(true)
        .custom_flags(rustix::fs::OFlags::NONBLOCK.bits().cast_signed())
        .open(pipe);
}

/// The disk of one host takes all when the command has been ended, that of the other takes nothing at all.
#[tokio::test(flavor = "multi_thread")]
async fn a_deadline_holds_where_the_disk_takes_nothing() {
    let Some(sshd) = Sshd::start(SshdOptions::default()) else {
        return;
    };
    let [folder, other] = [(); 2].map(|()| tempfile::tempdir().expect("a folder"));
    let go = shared_folder(&sshd, "go");
    let hosts = targets(&sshd, 2);
    let brief = fleet(targets(&sshd, 1)).output_folder(other.path());
    let fleet = fleet(hosts.clone()).output_folder(folder.path());
    let mut running = fleet.run(&flood(&go)).expect("a valid plan");
    // One that is over is not held up for as long as its deadline is.
    let mut plan = flood(&go);
    plan.stages[1] = Stage::shell("s", "echo brief");
    let brief = brief.run(&plan).expect("a valid plan");
    let untaken = pipe_for(other.path(), "web1");
    let pipes = ["web1", "web2"].map(|host| pipe_for(folder.path(), host));
    std::fs::write(format!("{go}/now"), "").expect("our folder");

    let (late, never) = (pipes[0].clone(), &pipes[1]);
    let reading = std::thread::spawn({
        let pid = format!("{go}/{}", hosts[0].address);
        move || {
            // Once the command has been there and is gone.
            let is_over = || {
                let pid = std::fs::read_to_string(&pid).ok()?;
                let process = format!("/proc/{}", pid.lines().next()?);
                (!Path::new(&process).exists()).then_some(())
            };
            let until = Instant::now() + PATIENCE;
            while is_over().is_none() && Instant::now() < until {
                std::thread::sleep(Duration::from_millis(20));
            }
            std::fs::read(late).expect("a pipe").len() as u64
        }
    });
    let report = tokio::time::timeout(PATIENCE, &mut running).await;
    let brief = tokio::time::timeout(PATIENCE, brief).await;
    // Whoever still opens the pipes gets on.
    for pipe in [never, &untaken] {
        let opened = std::fs::OpenOptions::new()
            .read(true)
            .custom_flags(rustix::fs::OFlags::NONBLOCK.bits().cast_signed())
            .open(pipe);
        opened.expect("a pipe");
    }
    let brief = brief.expect("it ends").expect("it goes on");
    assert!(brief.is_success(), "{brief}");
    assert_eq!(brief.hosts[0].stages[1].stdout.to_string(), "brief\n");
    assert_eq!(brief.warnings.len(), 1, "{brief}");
    let report = report.expect("it ends").expect("it goes on");
    for host in &report.hosts {
        let failure = host.failure.as_ref().expect("it is late");
        assert_eq!(failure.kind, ErrorKind::Timeout, "{report}");
        assert_eq!(host.termination, Some(Termination::Confirmed), "{report}");
    }
    release(&pipes[0]);
    let written = reading.join().expect("it was read");
    assert_eq!(report.hosts[0].stages[1].stdout.total(), written);
    let [warning] = &report.warnings[..] else {
        panic!("{:?}", report.warnings);
    };
    let told = "first that of web2: its disk did not take the rest within 60s";
    assert!(warning.ends_with(told), "{warning}");
}

/// More is there than the disk takes, always.
#[tokio::test(flavor = "multi_thread")]
async fn a_deadline_holds_where_the_disk_is_slower_than_the_host() {
    let Some(sshd) = Sshd::start(SshdOptions::default()) else {
        return;
    };
    let folder = tempfile::tempdir().expect("a folder");
    let go = shared_folder(&sshd, "go");
    let fleet = fleet(targets(&sshd, 1)).output_folder(folder.path());
    let mut running = fleet.run(&flood(&go)).expect("a valid plan");
    let pipe = pipe_for(folder.path(), "web1");
    std::fs::write(format!("{go}/now"), "").expect("our folder");
    let read_from = pipe.clone();
    let reading = std::thread::spawn(move || {
        let mut pipe = std::fs::File::open(read_from).expect("a pipe");
        let (mut block, mut read) = (vec![0; 64 << 10], 0);
        loop {
            match pipe.read(&mut block).expect("a pipe") {
                0 => return read,
                length => read += length as u64,
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    });
    let report = tokio::time::timeout(PATIENCE, &mut running).await;
    let report = report.expect("it ends").expect("it goes on");
    let host = &report.hosts[0];
    let failure = host.failure.as_ref().expect("it is late");
    assert_eq!(failure.kind, ErrorKind::Timeout, "{report}");
    assert!(report.warnings.is_empty(), "{report}");
    release(&pipe);
    let written = reading.join().expect("it was read");
    assert_eq!(host.stages[1].stdout.total(), written);
}

#[tokio::test]
async fn nobody_needs_to_read_the_events() {
    let Some(sshd) = Sshd::start(SshdOptions::default()) else {
        return;
    };
    let plan = Plan::new("p").stage(Stage::shell("s", "head -c 3000000 /dev/zero"));
    let mut run = fleet(targets(&sshd, 4)).run(&plan).expect("a valid plan");
    let mut unread = run.events();
    assert!(run.await.expect("it goes on").is_success());
    let (mut read, mut skipped, mut last) = (0, 0, None);
    while let Some(event) = unread.next().await {
        if let Event::Output {
            bytes,
            skipped: missed,
            ..
        } = &event
        {
            read += bytes.len() as u64;
            skipped += missed;
        }
        last = Some(event);
    }
    assert_eq!(read + skipped, 12_000_000);
    assert!(read < 1_000_000 && matches!(last, Some(Event::Run(RunState::Finished))));
}
