//! The machine that the run is steered from: its descriptors, its clock, its disk.

use std::error::Error as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clusterops::sim::{Answer, Sim, SimHost};
use clusterops::ssh::ErrorKind;
use clusterops::{Fleet, Journal, Plan, Report, Stage, Target};
use serde_json::json;

use super::support::skip_or_fail;
use super::{fleet, part};

/// What a part is told. The targets lie in a file: many of them are more than an environment variable can hold.
fn about(folder: &Path, sim: &Sim, path: &Path) -> serde_json::Value {
    let targets = folder.join("targets.json");
    let text = serde_json::to_vec(&sim.targets()).expect("plain data");
    std::fs::write(&targets, text).expect("our folder");
    json!([targets, path])
}

/// The targets of this part, and the path that it is about.
fn of_this_part() -> (Vec<Target>, PathBuf) {
    let [targets, path]: [PathBuf; 2] =
        serde_json::from_value(part::about()).expect("the test wrote it");
    let targets = std::fs::read(targets).expect("the test wrote it");
    (serde_json::from_slice(&targets).expect("targets"), path)
}

async fn hosts(host: SimHost, count: usize) -> Sim {
    let hosts = (1..=count).map(|number| host.named(format!("web{number}")));
    Sim::start(hosts).await.expect("loopback has room")
}

async fn talk(fleet: Fleet) -> Report {
    let plan = Plan::new("p")
        .stage(Stage::command("talk", ["talk"]).barrier())
        .stage(Stage::command("after", ["true"]));
    let run = fleet.run(&plan).expect("a valid plan");
    run.await.expect("the run goes on")
}

#[tokio::test(flavor = "multi_thread")]
async fn more_hosts_than_file_descriptors_are_warned_of() {
    let sim = hosts(
        SimHost::new("").answer("talk", Answer::stdout("hello\n")),
        2000,
    )
    .await;
    let folder = tempfile::tempdir().expect("a folder");
    let about = about(folder.path(), &sim, folder.path());
    let limited = ["sh", "-c", r#"ulimit -n 256 && exec "$@""#, "sh"];
    let name = "controller::part_with_few_descriptors";
    part::succeeds(part::command(&limited, name, &about)).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "a part of more_hosts_than_file_descriptors_are_warned_of"]
async fn part_with_few_descriptors() {
    let (targets, _) = of_this_part();
    assert_eq!(targets.len(), 2000);
    // What 256 files leave to a run is 192; a host at work has two of them.
    let few = "lets no more than 96 hosts be worked on at once";
    let again = "hosts that waited for others were connected to again";
    for (parallelism, told) in [(1000, &[few, again][..]), (50, &[again])] {
        let report = talk(fleet(targets.iter().cloned()).parallelism(parallelism)).await;
        assert!(report.is_success(), "{report}");
        assert_eq!(report.warnings.len(), told.len(), "{:?}", report.warnings);
        for (said, told) in report.warnings.iter().zip(told) {
            assert!(said.contains("limit of open files (ulimit -n)"), "{said}");
            assert!(said.contains(told), "{said}");
        }
        let tried_again = report
            .hosts
            .iter()
            .filter(|host| host.connection_attempts > 2);
        assert_eq!(
            tried_again.count(),
            0,
            "a connection for each side of the barrier"
        );
    }
    let few = targets.into_iter().take(60);
    let report = talk(fleet(few).parallelism(50)).await;
    assert!(
        report.is_success() && report.warnings.is_empty(),
        "{report}"
    );
    let attempts = report.hosts.iter().map(|host| host.connection_attempts);
    assert!(attempts.max() == Some(1), "there is room for all: {report}");
}

/// What stages have open, and the command that leads to each host, count too.
#[tokio::test(flavor = "multi_thread")]
async fn files_ways_and_outputs_stay_within_the_limit_of_open_files() {
    let mut host = SimHost::new("").answer("talk", Answer::stdout("hello\n").with_stderr("hm\n"));
    for number in 0..24 {
        host = host.file(&format!("/srv/tree/{}/{number}", number % 12), "there");
    }
    let sim = hosts(host, 60).await;
    let folder = tempfile::tempdir().expect("a folder");
    let tree = folder.path().join("tree");
    std::fs::create_dir(&tree).expect("our folder");
    for number in 0..24 {
        std::fs::write(tree.join(number.to_string()), "here").expect("our folder");
    }
    let about = about(folder.path(), &sim, folder.path());
    let limited = ["sh", "-c", r#"ulimit -n 256 && exec "$@""#, "sh"];
    let name = "controller::part_with_few_descriptors_and_many_files";
    part::succeeds(part::command(&limited, name, &about)).await;
    for host in sim.hosts() {
        let sent = host.read_file("/tmp/sent/23").expect("it was sent");
        assert_eq!(sent, b"here", "{}", host.name());
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "a part of files_ways_and_outputs_stay_within_the_limit_of_open_files"]
async fn part_with_few_descriptors_and_many_files() {
    const RELAY: &str = "import os,select,socket,sys\n\
        s=socket.create_connection((sys.argv[1],int(sys.argv[2])))\n\
        while True:\n\
        \x20for r in select.select([0,s],[],[])[0]:\n\
        \x20 d=os.read(0,65536) if r==0 else s.recv(65536)\n\
        \x20 if not d: sys.exit()\n\
        \x20 s.sendall(d) if r==0 else os.write(1,d)\n";
    let (targets, folder) = of_this_part();
    let relay = folder.join("relay.py");
    std::fs::write(&relay, RELAY).expect("our folder");
    let (fetched, outputs) = (folder.join("fetched"), folder.join("outputs"));
    let plan = Plan::new("p")
        .stage(Stage::upload_tree("send", folder.join("tree"), "/tmp/sent"))
        .stage(Stage::fetch("fetch", "/srv/tree", &fetched))
        .stage(Stage::command("talk", ["talk"]));
    let command = format!("python3 -I {} %h %p", relay.display());
    let fleet = fleet(targets.iter().cloned())
        .session(super::options().proxy_command(command))
        .parallelism(60)
        .output_folder(&outputs);
    let report = fleet.run(&plan).expect("a valid plan").await;
    let report = report.expect("the run goes on");
    assert!(report.is_success(), "{report}");
    // 192 files are left to it; a host has the four of its command, and 17 of a tree that is fetched.
    assert_eq!(report.warnings.len(), 1, "{:?}", report.warnings);
    let told = "lets no more than 9 hosts be worked on at once";
    assert!(report.warnings[0].contains(told), "{:?}", report.warnings);
    for target in targets {
        let there = std::fs::read(fetched.join(&target.name).join("tree/11/23"));
        assert_eq!(there.expect("it was fetched"), b"there");
    }
    assert_eq!(std::fs::read_dir(outputs).expect("written").count(), 60);
}

/// The part counts what it reads; hosts answer with little.
#[tokio::test(flavor = "multi_thread")]
async fn a_file_for_a_hundred_hosts_is_read_for_all_at_once() {
    let sim = hosts(SimHost::new(""), 100).await;
    let folder = tempfile::tempdir().expect("a folder");
    let about = about(folder.path(), &sim, &folder.path().join("file"));
    let name = "controller::part_that_counts_what_it_reads";
    part::succeeds(part::command(&[], name, &about)).await;
    for host in sim.hosts() {
        let sent = host.read_file("/tmp/file").expect("it was sent");
        assert_eq!(sent.len(), 1 << 20, "{}", host.name());
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "a part of a_file_for_a_hundred_hosts_is_read_for_all_at_once"]
async fn part_that_counts_what_it_reads() {
    // proc_pid_io(5)
    let read = || {
        let text = std::fs::read_to_string("/proc/self/io").expect("Linux has it");
        let read = text.lines().find_map(|line| line.strip_prefix("rchar: "));
        read.and_then(|read| read.parse::<usize>().ok())
            .expect("a number")
    };
    let (targets, file) = of_this_part();
    std::fs::write(&file, vec![b'x'; 1 << 20]).expect("our folder");
    let plan = Plan::new("p").stage(Stage::upload("send", &file, "/tmp/file"));
    let before = read();
    let run = fleet(targets).parallelism(100).run(&plan);
    let report = run.expect("a valid plan").await.expect("the run goes on");
    assert!(report.is_success(), "{report}");
    let read = read() - before;
    // The file, and what 100 hosts say while they are logged in to and sent something.
    assert!(((1 << 20)..(10 << 20)).contains(&read), "{read}");
}

/// The part's clock goes back by an hour when a file appears; its library of C is told so by one loaded before it.
#[tokio::test(flavor = "multi_thread")]
async fn a_clock_that_is_set_back_changes_no_run() {
    const CLOCK: &str = r#"
        #define _GNU_SOURCE
        #include <dlfcn.h>
        #include <stdlib.h>
        #include <time.h>
        #include <unistd.h>
        int clock_gettime(clockid_t clock, struct timespec *now) {
            static int (*real)(clockid_t, struct timespec *);
            if (!real) *(void **)&real = dlsym(RTLD_NEXT, "clock_gettime");
            int result = real(clock, now);
            const char *file = getenv("SET_BACK_FILE");
            if (clock == CLOCK_REALTIME && file && access(file, F_OK) == 0) now->tv_sec -= 3600;
            return result;
        }
    "#;
    let folder = tempfile::tempdir().expect("a folder");
    let Some(library) = part::library(folder.path(), CLOCK) else {
        let reason = "there is no C compiler (cc)";
        return skip_or_fail("a_clock_that_is_set_back_changes_no_run", reason);
    };
    let slow = Answer::stdout("hello\n").with_delay(Duration::from_millis(300));
    let sim = hosts(SimHost::new("").answer("talk", slow), 5).await;
    let file = folder.path().join("set-back");
    let about = about(folder.path(), &sim, &file);
    let mut command = part::command(&[], "controller::part_with_another_clock", &about);
    command
        .env("LD_PRELOAD", &library)
        .env("SET_BACK_FILE", &file);
    part::succeeds(command).await;
}

#[tokio::test]
#[ignore = "a part of a_clock_that_is_set_back_changes_no_run"]
async fn part_with_another_clock() {
    let (targets, file) = of_this_part();
    let before = std::time::SystemTime::now();
    let plan =
        Plan::new("p").stage(Stage::command("talk", ["talk"]).deadline(Duration::from_secs(60)));
    let run = fleet(targets)
        .run_deadline(Duration::from_secs(90))
        .run(&plan);
    let mut run = run.expect("a valid plan");
    let mut events = run.events();
    while let Some(event) = events.next().await {
        if matches!(
            event,
            clusterops::Event::Host {
                state: clusterops::HostState::Running { .. },
                ..
            }
        ) {
            std::fs::write(&file, "").expect("our folder");
            break;
        }
    }
    assert!(
        std::time::SystemTime::now() < before,
        "the clock was set back"
    );
    let report = run.await.expect("the run goes on");
    assert!(report.is_success(), "{report}");
    let took = report.finished.duration_since(report.started);
    assert!(took.as_millis() >= 300 && took.as_secs() < 90, "{took:?}");
    for host in &report.hosts {
        assert!(
            host.stages[0].duration >= Duration::from_millis(300),
            "{host:?}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_costs_what_was_to_be_on_it_and_nothing_else() {
    let mount = r#"mount -t tmpfs -o size=64k tmpfs "$DISK" && exec "$@""#;
    let Some(wrapper) = part::with_own_mounts(mount) else {
        let reason = "this user may not change mounts (unshare -m)";
        return skip_or_fail(
            "a_full_disk_costs_what_was_to_be_on_it_and_nothing_else",
            reason,
        );
    };
    let said = Answer::stdout("0123456789abcdef".repeat(4096));
    let sim = hosts(SimHost::new("").answer("talk", said), 4).await;
    let folder = tempfile::tempdir().expect("a folder");
    let disk = folder.path().join("disk");
    std::fs::create_dir(&disk).expect("our folder");
    let about = about(folder.path(), &sim, &disk);
    let mut command = part::command(&wrapper, "controller::part_with_a_full_disk", &about);
    command.env("DISK", &disk);
    part::succeeds(command).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "a part of a_full_disk_costs_what_was_to_be_on_it_and_nothing_else"]
async fn part_with_a_full_disk() {
    let (targets, disk) = of_this_part();
    let report = talk(fleet(targets).output_folder(&disk)).await;
    assert!(report.is_success(), "{report}");
    assert_eq!(report.warnings.len(), 1, "{:?}", report.warnings);
    assert!(report.warnings[0].contains("are not complete"), "{report}");
    for host in &report.hosts {
        assert_eq!(host.stages[0].stdout.total(), 65_536);
    }
    // The report itself goes where its owner writes it, who is told when that fails.
    let written = std::fs::write(disk.join("report.json"), vec![b'x'; 65_536]);
    assert_eq!(
        written.expect_err("it is full").kind(),
        std::io::ErrorKind::StorageFull
    );
}

/// A journal that cannot be written stops the run, and is gone on with once there is room again.
#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_stops_a_run_with_a_journal_that_is_intact() {
    let mount = r#"mount -t tmpfs -o size=2m tmpfs "$DISK" && exec "$@""#;
    let Some(wrapper) = part::with_own_mounts(mount) else {
        let reason = "this user may not change mounts (unshare -m)";
        return skip_or_fail(
            "a_full_disk_stops_a_run_with_a_journal_that_is_intact",
            reason,
        );
    };
    let said = Answer::stdout("0123456789abcdef".repeat(1024));
    let sim = hosts(SimHost::new("").answer("talk", said), 8).await;
    let folder = tempfile::tempdir().expect("a folder");
    let disk = folder.path().join("disk");
    std::fs::create_dir(&disk).expect("our folder");
    let about = about(folder.path(), &sim, &disk);
    let name = "controller::part_with_a_journal_on_a_full_disk";
    let mut command = part::command(&wrapper, name, &about);
    command.env("DISK", &disk);
    part::succeeds(command).await;
    let mut repeated = 0;
    for host in sim.hosts() {
        let commands = host.commands().into_iter();
        let told_to = commands.filter(|command| command.line() == "talk").count();
        assert!((4..=5).contains(&told_to), "{told_to}");
        repeated += told_to - 4;
    }
    // Only what was under way when the disk was full: no stage was begun behind one that was not noted.
    assert!(repeated < 8, "{repeated}");
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "a part of a_full_disk_stops_a_run_with_a_journal_that_is_intact"]
async fn part_with_a_journal_on_a_full_disk() {
    let (targets, disk) = of_this_part();
    let (journal, filler) = (disk.join("run.journal"), disk.join("filler"));
    let talk = |name: &str| Stage::command(name, ["talk"]);
    let plan = Plan::new("p").stage(talk("one")).stage(talk("two"));
    let plan = plan.stage(talk("three")).stage(talk("four"));
    std::fs::write(&filler, vec![b'x'; 1_750_000]).expect("there is room");
    let fleet = fleet(targets).parallelism(2).journal(&journal);
    let run = fleet.run(&plan).expect("a valid plan");
    let error = run.await.expect_err("the disk is full");
    assert_eq!(error.kind(), ErrorKind::Journal);
    let said = format!("{error}: {}", error.source().expect("why"));
    assert!(said.contains("run.journal` cannot be written"), "{said}");
    assert!(said.contains("disk is full"), "{said}");

    std::fs::remove_file(&filler).expect("ours");
    let so_far = Journal::open(&journal).expect("it is whole").report();
    let finished = so_far.hosts.iter().flat_map(|host| &host.stages);
    let finished = finished.filter(|stage| stage.is_finished()).count();
    assert!((1..32).contains(&finished), "{finished}");
    let run = fleet.resume(&plan, &journal).expect("a journal");
    let report = run.await.expect("there is room");
    assert!(report.is_success(), "{report}");
    let stages = report.hosts.iter().flat_map(|host| &host.stages);
    assert!(stages.clone().all(|stage| stage.stdout.total() == 16_384));
    assert_eq!(stages.count(), 32);
}
