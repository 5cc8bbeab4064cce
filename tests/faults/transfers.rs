//! Controllers that are killed while files are on their way, against a real sshd: what is left of it on the host and here,
//! and what the next one does about it.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clusterops::journal::{Journal, Leftover};
use clusterops::report::StageReport;
use clusterops::ssh::{Bandwidth, ErrorKind, Termination, TransferOptions};
use clusterops::{Plan, Report, Stage, Step, Target};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::json;

use super::support::{Sshd, SshdOptions};
use super::{fleet, part, wait_until};

/// The rate at which the controller that is killed transfers, in bytes per second.
const SLOW: u64 = 4 << 20;

/// Long enough at that rate.
const SIZE: usize = 12 << 20;

/// When it is killed: so much is over.
const ENOUGH: u64 = 2 << 20;

#[tokio::test(flavor = "multi_thread")]
#[ignore = "a part of the tests here"]
async fn part_that_transfers() {
    let (plan, targets, journal): (Plan, Vec<Target>, PathBuf) =
        serde_json::from_value(part::about()).expect("the test wrote it");
    let fleet = fleet(targets).bandwidth(Bandwidth::per_second(SLOW));
    let run = fleet.journal(journal).run(&plan);
    let _ = run.expect("a valid plan").await;
}

/// An sshd, a folder for both sides, and a run of one host.
struct Scene {
    sshd: Sshd,
    /// On the host.
    there: PathBuf,
    /// Here.
    here: tempfile::TempDir,
}

impl Scene {
    fn start(options: SshdOptions) -> Option<Self> {
        let sshd = Sshd::start(options)?;
        let there = sshd.folder().join("there");
        fs::create_dir(&there).expect("our folder");
        fs::set_permissions(&there, fs::Permissions::from_mode(0o777)).expect("our folder");
        let here = tempfile::tempdir().expect("a folder");
        Some(Self { sshd, there, here })
    }

    /// A local file.
    fn source(&self, length: usize) -> PathBuf {
        let file = self.here.path().join("source");
        fs::write(&file, content(length)).expect("our folder");
        file
    }

    fn destination(&self) -> String {
        text(&self.there.join("sent"))
    }

    fn journal(&self) -> PathBuf {
        self.sshd.folder().join("run.journal")
    }

    fn targets(&self) -> [Target; 1] {
        [self.sshd.target("web1", "127.0.0.1")]
    }

    /// A controller in a process of its own, which `meanwhile` may look at once the condition holds, and is killed then.
    async fn kill_once<T>(
        &self,
        plan: &Plan,
        condition: impl FnMut() -> bool,
        meanwhile: impl FnOnce() -> T,
    ) -> T {
        let about = json!([plan, self.targets(), self.journal()]);
        let command = part::command(&[], "transfers::part_that_transfers", &about);
        super::killed::kill_when("the transfer", command, condition, meanwhile).await
    }

    /// Goes on with the run, and gives what it says of its host.
    async fn resume(&self, plan: &Plan) -> Report {
        let fleet = fleet(self.targets()).leftover(Leftover::End);
        let run = fleet.resume(plan, self.journal()).expect("a journal");
        run.await.expect("it goes on")
    }

    /// The process of the host's that writes to a file there, other than ours.
    fn server_of(&self, part: &Path) -> u32 {
        let has_open = |pid: &u32| {
            let descriptors = fs::read_dir(format!("/proc/{pid}/fd"))
                .into_iter()
                .flatten();
            let mut targets =
                descriptors.filter_map(|entry| fs::read_link(entry.ok()?.path()).ok());
            targets.any(|target| target == part)
        };
        let mut servers = self.sshd.processes().into_iter();
        servers.find(has_open).expect("it writes")
    }
}

/// Ends with the test, whatever comes of it.
struct Stopped(u32);

impl Stopped {
    fn send(&self, signal: Signal) {
        let pid = Pid::from_raw(self.0 as i32).expect("not 0");
        let _ = kill_process(pid, signal);
    }
}

impl Drop for Stopped {
    fn drop(&mut self) {
        self.send(Signal::KILL);
    }
}

fn text(path: &Path) -> String {
    path.to_str().expect("UTF-8").to_owned()
}

fn content(length: usize) -> Vec<u8> {
    let mut bytes = vec![0; length];
    fastrand::Rng::with_seed(length as u64).fill(&mut bytes);
    bytes
}

/// The names below a folder.
fn names(folder: &Path) -> Vec<String> {
    let mut found = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(next) = folders.pop() {
        for entry in fs::read_dir(next).into_iter().flatten() {
            let path = entry.expect("readable").path();
            if path.is_dir() {
                folders.push(path.clone());
            }
            found.push(text(path.strip_prefix(folder).expect("below")));
        }
    }
    found.sort();
    found
}

/// The unfinished files below a folder.
fn parts(folder: &Path) -> Vec<PathBuf> {
    let names = names(folder).into_iter();
    let parts = names.filter(|name| name.ends_with(".part"));
    parts.map(|name| folder.join(name)).collect()
}

fn has_part_of(folder: &Path, length: u64) -> bool {
    let mut found = parts(folder).into_iter();
    found.any(|part| fs::metadata(part).is_ok_and(|part| part.len() >= length))
}

fn stage_of(report: &Report) -> &StageReport {
    report.hosts[0].stages.last().expect("it came there")
}

pub(crate) fn is_alive(pid: u32) -> bool {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit_once(") ")
        .is_some_and(|(_, rest)| !rest.starts_with(['Z', 'X']))
}

/// A host's side that lives on, stopped with content that it has not written yet, is ended before the next attempt writes;
/// which goes on with what is there.
#[tokio::test(flavor = "multi_thread")]
async fn the_hosts_side_of_an_upload_is_ended_before_the_next_attempt() {
    for server in ["internal-sftp", "/usr/lib/openssh/sftp-server"] {
        let options = SshdOptions::default().sftp_server(server);
        let Some(scene) = Scene::start(options) else {
            return;
        };
        let source = scene.source(SIZE);
        let plan = Plan::new("p").stage(Stage::upload("send", &source, scene.destination()));
        let enough = || has_part_of(&scene.there, ENOUGH);
        let old = scene
            .kill_once(&plan, enough, || {
                let old = Stopped(scene.server_of(&parts(&scene.there)[0]));
                old.send(Signal::STOP);
                // What it does not read any more fills what lies between.
                std::thread::sleep(Duration::from_millis(300));
                old
            })
            .await;
        assert!(is_alive(old.0), "{server}: it outlives its controller");
        // A time of last change is no content.
        fs::write(&source, content(SIZE)).expect("ours");

        let report = scene.resume(&plan).await;
        assert!(
            report.is_success(),
            "{server}: {report}\n{}",
            scene.sshd.log()
        );
        assert!(!is_alive(old.0), "{server}: it could still write");
        assert_eq!(names(&scene.there), ["sent"], "{server}");
        assert!(fs::read(scene.destination()).expect("there") == content(SIZE));
        let sent = stage_of(&report).transferred.as_ref().expect("it was one");
        assert!(sent.resumed >= ENOUGH, "{server}: {sent:?}");
        assert_eq!(sent.resumed + sent.bytes, SIZE as u64);
        assert_eq!(report.hosts[0].attempts, [2]);
    }
}

/// Nobody can say which process serves the transfer there: it may write what it has, but not to what becomes the file.
#[tokio::test(flavor = "multi_thread")]
async fn where_no_command_can_be_run_nothing_is_written_by_two() {
    let options = SshdOptions::default().line("ForceCommand internal-sftp");
    let Some(scene) = Scene::start(options) else {
        return;
    };
    let source = scene.source(SIZE);
    let options = TransferOptions::default().verify(false);
    let stage = Stage::upload("send", &source, scene.destination()).transfer(options);
    let plan = Plan::new("p").stage(stage);
    let enough = || has_part_of(&scene.there, ENOUGH);
    let (old, part) = scene
        .kill_once(&plan, enough, || {
            let part = parts(&scene.there).remove(0);
            let old = Stopped(scene.server_of(&part));
            old.send(Signal::STOP);
            std::thread::sleep(Duration::from_millis(300));
            (old, fs::File::open(part).expect("there"))
        })
        .await;
    let before = part.metadata().expect("open").len();
    let report = scene.resume(&plan).await;
    assert!(report.is_success(), "{report}\n{}", scene.sshd.log());
    old.send(Signal::CONT);
    wait_until("its end", || !is_alive(old.0)).await;
    assert!(part.metadata().expect("open").len() > before, "it wrote on");
    let sent = stage_of(&report).transferred.as_ref().expect("it was one");
    assert_eq!(sent.resumed, 0, "it could write to what is gone on with");
    assert_eq!(names(&scene.there), ["sent"]);
    assert!(fs::read(scene.destination()).expect("there") == content(SIZE));
}

#[tokio::test(flavor = "multi_thread")]
async fn no_unfinished_file_of_an_upload_stays() {
    let whole = TransferOptions::default().resume(false);
    for is_tree in [false, true] {
        for options in [whole.clone(), TransferOptions::default()] {
            let Some(scene) = Scene::start(SshdOptions::default()) else {
                return;
            };
            let source = scene.source(SIZE);
            let stage = match is_tree {
                false => Stage::upload("send", &source, scene.destination()),
                true => {
                    let tree = scene.here.path().join("tree");
                    fs::create_dir_all(tree.join("deep")).expect("ours");
                    // Longer than what an unfinished file keeps of a name.
                    let long = "n".repeat(230);
                    fs::copy(&source, tree.join("deep").join(format!("{long}1"))).expect("ours");
                    fs::write(
                        tree.join("deep").join(format!("{long}2")),
                        content(SIZE / 2),
                    )
                    .expect("ours");
                    fs::write(tree.join("small"), "small").expect("ours");
                    Stage::upload_tree("send", tree, scene.destination())
                }
            };
            let plan = Plan::new("p").stage(stage.transfer(options.clone()));
            let enough = || has_part_of(&scene.there, ENOUGH);
            scene.kill_once(&plan, enough, || ()).await;
            assert!(!parts(&scene.there).is_empty());
            let report = scene.resume(&plan).await;
            assert!(report.is_success(), "{report}\n{}", scene.sshd.log());
            assert_eq!(parts(&scene.there), Vec::<PathBuf>::new(), "{options:?}");
            let sent = stage_of(&report).transferred.as_ref().expect("it was one");
            assert_eq!(sent.resumed > 0, options.resume, "{sent:?}");
            let size = match is_tree {
                false => SIZE,
                true => SIZE + SIZE / 2 + "small".len(),
            };
            assert_eq!(sent.resumed + sent.bytes, size as u64);
        }
    }
}

/// Nor where the stage is not taken again, and where the transfer undoes another stage.
#[tokio::test(flavor = "multi_thread")]
async fn a_run_that_is_ended_removes_what_its_last_controller_had_begun() {
    for is_rollback in [false, true] {
        let Some(scene) = Scene::start(SshdOptions::default()) else {
            return;
        };
        let source = scene.source(SIZE);
        let upload = Stage::upload("send", &source, scene.destination());
        let plan = match is_rollback {
            false => Plan::new("p").stage(upload),
            true => {
                let undo = upload.step.clone();
                let stage = Stage::command("fail", ["false"]);
                Plan::new("p").stage(stage.rollback(undo))
            }
        };
        let enough = || has_part_of(&scene.there, ENOUGH);
        scene.kill_once(&plan, enough, || ()).await;
        assert_eq!(parts(&scene.there).len(), 1);
        let fleet = fleet(scene.targets());
        let run = fleet.resume(&plan, scene.journal()).expect("a journal");
        run.control().cancel();
        let report = run.await.expect("it ends");
        assert_eq!(names(&scene.there), [""; 0], "{report}");
        let host = &report.hosts[0];
        let kind = host.failure.as_ref().map(|failure| failure.kind);
        match is_rollback {
            false => {
                assert_eq!(kind, Some(ErrorKind::Cancelled));
                assert_eq!(host.termination, Some(Termination::Confirmed));
            }
            true => assert_eq!(kind, Some(ErrorKind::Command)),
        }
        assert!(Journal::open(scene.journal()).expect("ours").is_finished());
    }
}

/// A program that makes digests outlives its connection until it has read all.
#[tokio::test(flavor = "multi_thread")]
async fn a_program_that_compares_what_was_sent_is_ended() {
    // Stands in for one that takes long the first time.
    let folder = tempfile::tempdir().expect("a folder");
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).expect("ours");
    let line = format!("SetEnv PATH={}:/usr/bin:/bin", folder.path().display());
    let Some(scene) = Scene::start(SshdOptions::default().line(&line)) else {
        return;
    };
    let note = scene.there.join("note");
    let script = format!(
        "#!/bin/sh\nif [ -e {0} ]; then exec /usr/bin/b2sum \"$@\"; fi\necho $$ >{0}.new\nmv {0}.new {0}\nexec sleep 1000\n",
        note.display()
    );
    let program = folder.path().join("b2sum");
    fs::write(&program, script).expect("ours");
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).expect("ours");
    let source = scene.source(1000);
    let plan = Plan::new("p").stage(Stage::upload("send", &source, scene.destination()));
    scene.kill_once(&plan, || note.exists(), || ()).await;
    let pid = fs::read_to_string(&note).expect("written");
    let left = Stopped(pid.trim().parse().expect("a process id"));
    assert!(is_alive(left.0), "it outlives its controller");
    let report = scene.resume(&plan).await;
    assert!(report.is_success(), "{report}\n{}", scene.sshd.log());
    assert!(!is_alive(left.0), "it still reads");
    assert_eq!(names(&scene.there), ["note", "sent"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn no_unfinished_file_of_a_fetch_stays() {
    let whole = TransferOptions::default().resume(false);
    for is_tree in [false, true] {
        for options in [whole.clone(), TransferOptions::default()] {
            let Some(scene) = Scene::start(SshdOptions::default()) else {
                return;
            };
            let (tree, fetched) = (scene.there.join("log"), scene.here.path().join("fetched"));
            fs::create_dir_all(tree.join("deep")).expect("ours");
            let logs = [tree.join("deep/a.log"), tree.join("deep/b.log")];
            for log in &logs {
                fs::write(log, content(SIZE)).expect("ours");
            }
            let remote = match is_tree {
                false => text(&logs[0]),
                true => text(&tree),
            };
            let stage = Stage::fetch("fetch", remote, &fetched).transfer(options.clone());
            let plan = Plan::new("p").stage(stage);
            let enough = || has_part_of(&fetched, ENOUGH);
            scene.kill_once(&plan, enough, || ()).await;
            assert!(!parts(&fetched).is_empty());
            // It grows, and another one is no longer there.
            let longer = [content(SIZE), content(1000)].concat();
            fs::write(&logs[0], &longer).expect("ours");
            fs::remove_file(&logs[1]).expect("ours");

            let report = scene.resume(&plan).await;
            assert!(report.is_success(), "{report}\n{}", scene.sshd.log());
            let expected = match is_tree {
                false => vec!["web1", "web1/a.log"],
                true => vec!["web1", "web1/log", "web1/log/deep", "web1/log/deep/a.log"],
            };
            assert_eq!(names(&fetched), expected, "{options:?}");
            let file = fetched.join(expected.last().expect("a file"));
            assert!(fs::read(file).expect("there") == longer);
            let got = stage_of(&report).transferred.as_ref().expect("it was one");
            assert_eq!(got.resumed > 0, options.resume, "{got:?}");
        }
    }
}

/// A stage whose file is whole on the host is not taken again, and a script of a rollback can be, also when the run is
/// aborted at once.
#[tokio::test(flavor = "multi_thread")]
async fn a_run_that_is_aborted_as_it_is_resumed_still_undoes() {
    let Some(scene) = Scene::start(SshdOptions::default()) else {
        return;
    };
    let source = scene.source(1000);
    let (old, begun) = (scene.here.path().join("old"), scene.there.join("begun"));
    fs::write(&old, "the old one").expect("ours");
    let undo = Step::upload(old, scene.destination());
    let plan = Plan::new("p")
        .stage(Stage::upload("send", &source, scene.destination()).rollback(undo))
        .stage(Stage::shell(
            "wait",
            format!("touch {}; sleep 1003", begun.display()),
        ));
    scene.kill_once(&plan, || begun.exists(), || ()).await;
    let fleet = fleet(scene.targets());
    let run = fleet.resume(&plan, scene.journal()).expect("a journal");
    run.control().abort();
    let report = run.await.expect("it ends");
    let read = fs::read_to_string(scene.destination()).expect("there");
    assert_eq!(read, "the old one", "{report}");
    assert_eq!(names(&scene.there), ["begun", "sent"]);
    assert_eq!(report.hosts[0].attempts, [2, 1]);
}
