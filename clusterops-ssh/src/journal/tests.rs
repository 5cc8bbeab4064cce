use clusterops_core::Target;
use proptest::prelude::*;
use tempfile::TempDir;

use super::record::Terms;
use super::*;
use crate::plan::Stage;
use crate::report::{InFlight, StageReport, StageStatus};
use crate::wire::{Birth, Leader};
use crate::{Bandwidth, ConnectRetries, Fleet, Rollout, Termination};

fn plan() -> Plan {
    Plan::new("p")
        .stage(Stage::command("one", ["true"]))
        .stage(Stage::command("two", ["true"]))
}

fn host(name: &str, stages: usize) -> HostReport {
    let mut report = HostReport::new(name);
    for _ in 0..stages {
        let mut stage = StageReport::new(1);
        stage.status = StageStatus::Done;
        stage.stdout.push(b"said \xff\n");
        report.stages.push(stage);
    }
    report
}

/// A journal of two hosts and one that is no target, in a folder of its own.
fn begun() -> (TempDir, PathBuf, Store) {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("run.journal");
    let report = Report::new("run-1".into(), &plan(), Default::default());
    let targets = ["web1", "web2"].map(|name| Target::new(name, "127.0.0.1"));
    let fleet = Fleet::new(targets.clone());
    let head = Head::new(&report, &plan(), &fleet.options(), &targets);
    let hosts = [
        (host("web1", 0), State::Open),
        (host("web2", 2), State::Adopted),
    ];
    let mut store = Store::create(&path).expect("a new file");
    let others = [host("db1", 1)];
    let begun = store.begin(&head, &targets, hosts, &others);
    begun.expect("it can be written");
    (folder, path, store)
}

#[test]
fn the_terms_of_a_run_are_read_back() {
    let stored = |fleet: Fleet| {
        let terms = Terms::of(&fleet.options(), &[]);
        serde_json::to_value(&terms).expect("plain data")
    };
    let resumed = |terms: serde_json::Value| {
        let terms: Terms = serde_json::from_value(terms).expect("those of a run");
        let mut options = Fleet::new([]).options();
        terms.apply(&mut options);
        let bandwidth = options.bandwidth.as_ref();
        (bandwidth.map(Bandwidth::bytes_per_second), options.leftover)
    };
    for limit in [1, 3, 7_777_777, 10_000_000_000] {
        let fleet = Fleet::new([])
            .bandwidth(Bandwidth::per_second(limit))
            .leftover(Leftover::End);
        assert_eq!(resumed(stored(fleet)), (Some(limit), Leftover::End));
    }

    // As they were written before they held these.
    let second = serde_json::json!({"secs": 1, "nanos": 0});
    let before = serde_json::json!({
        "parallelism": 7, "connect_retries": ConnectRetries::default(), "rollout": Rollout::default(),
        "host_deadline": second, "run_deadline": null, "output_cap": 1, "output_budget": 2, "output_folder": null,
        "needs_passwords": false,
    });
    assert_eq!(resumed(before.clone()), (None, Leftover::Wait));
    // Who uses neither of them writes journals that they can be read by, too.
    let fields = |terms: serde_json::Value| -> Vec<String> {
        let fields = terms.as_object().into_iter().flatten();
        fields.map(|(name, _)| name.clone()).collect()
    };
    assert_eq!(fields(stored(Fleet::new([]))), fields(before));
}

#[test]
fn what_is_noted_is_read_back() {
    let (_folder, path, mut store) = begun();
    let birth = Some(Birth {
        ticks: u64::MAX,
        boot: u128::MAX,
    });
    let in_flight = InFlight {
        stage: 1,
        attempt: 3,
        is_rollback: false,
        is_transfer: false,
        tag: "5eed5eed5eed5eed".into(),
        leader: Some(Leader { pid: 77, birth }),
    };
    let change = HostChange {
        in_flight: Some(in_flight.clone()),
        ..HostChange::new(0, &host("web1", 1), State::Open, [0])
    };
    let changes = [Change::Host(change), Change::Mode(RecordedMode::Aborting)];
    store.apply(&changes).expect("it can be written");
    drop(store);

    let (mut store, known) = Store::open(&path).expect("a journal");
    assert_eq!(known.mode, Some(RecordedMode::Aborting));
    assert_eq!(known.hosts[0].in_flight, Some(in_flight));
    let under_way = StageReport::new(3);
    assert_eq!(known.hosts[0].report.stages[1..], [under_way]);
    assert_eq!(known.hosts[1].report, host("web2", 2));
    assert_eq!(known.others, [host("db1", 1)]);
    assert_eq!(
        (known.head.run_id.as_str(), &known.head.plan),
        ("run-1", &plan())
    );

    let mut ended = host("web1", 2);
    ended.termination = Some(Termination::Confirmed);
    let change = HostChange::new(0, &ended, State::Ended, [1]);
    let changes = [Change::Host(change), Change::Ending(Ending::Completed)];
    store.apply(&changes).expect("it can be written");
    drop(store);
    let journal = Journal::open(&path).expect("a journal");
    assert!(journal.is_finished());
    assert_eq!(journal.ended(), 2);
    let report = journal.report();
    assert_eq!(report.hosts, [ended, host("web2", 2), host("db1", 1)]);
}

#[test]
fn two_cannot_write_to_one_journal() {
    let (_folder, path, _store) = begun();
    let error = Store::open(&path).expect_err("it is in use");
    assert_eq!(error.kind(), ErrorKind::Journal);
    assert!(error.message().contains("a run still writes"), "{error}");
    let error = Store::create(&path).expect_err("it is there");
    assert!(error.message().contains("is there already"), "{error}");
}

#[test]
fn a_copy_without_its_log_says_so() {
    let (folder, path, mut store) = begun();
    let change = HostChange::new(0, &host("web1", 1), State::Open, [0]);
    store
        .apply(&[Change::Host(change)])
        .expect("it can be written");
    let copy = folder.path().join("copy");
    std::fs::copy(&path, &copy).expect("ours");
    let error = Journal::open(&copy).expect_err("the stage is not in it");
    assert!(error.message().contains("copy-wal"), "{error}");
    std::fs::copy(
        folder.path().join("run.journal-wal"),
        folder.path().join("copy-wal"),
    )
    .expect("it is there");
    for _ in 0..2 {
        let journal = Journal::open(&copy).expect("it is whole");
        assert_eq!(journal.report().hosts[0].stages.len(), 1);
        assert!(!journal.is_finished());
    }
    let (mut store, _) = Store::open(&copy).expect("it is whole");
    store.reopen().expect("it can be written");
    let again = folder.path().join("again");
    std::fs::copy(&copy, &again).expect("ours");
    let error = Journal::open(&again).expect_err("it goes on elsewhere");
    assert!(error.message().contains("is not whole"), "{error}");
    drop(store);
    Journal::open(&copy).expect("it was put down");
}

/// Whoever cannot read it leaves it to who can.
#[test]
fn a_look_that_fails_changes_nothing() {
    let (folder, path, mut store) = begun();
    let change = HostChange::new(0, &host("web1", 1), State::Open, [0]);
    let noted = store.apply(&[Change::Host(change)]);
    noted.expect("it can be written");
    let log = |path: &Path| PathBuf::from(format!("{}-wal", path.display()));
    let killed = folder.path().join("killed");
    std::fs::copy(&path, &killed).expect("ours");
    std::fs::copy(log(&path), log(&killed)).expect("ours");
    let connection = rusqlite::Connection::open(&killed).expect("a database");
    let keep = rusqlite::config::DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE;
    connection.set_db_config(keep, true).expect("it is known");
    for version in [2, 1] {
        let set = connection.pragma_update(None, "user_version", version);
        set.expect("ours");
        let copy = folder.path().join("copy");
        std::fs::copy(&killed, &copy).expect("ours");
        std::fs::copy(log(&killed), log(&copy)).expect("ours");
        let before = std::fs::read(log(&copy)).expect("it is there");
        match Journal::open(&copy) {
            Ok(journal) => assert_eq!((version, journal.report().hosts[0].stages.len()), (1, 1)),
            Err(error) => {
                assert!(error.message().contains("format 2"), "{error}");
                assert_eq!(std::fs::read(log(&copy)).expect("it stays"), before);
            }
        }
        std::fs::remove_file(&copy).expect("ours");
        let _ = std::fs::remove_file(log(&copy));
    }
    drop(connection);

    let link = folder.path().join("link");
    std::os::unix::fs::symlink(&killed, &link).expect("ours");
    Journal::open(&link).expect("its log is beside what it leads to");
    Journal::open(&killed).expect("it is whole");

    let copy = folder.path().join("copy");
    std::fs::copy(&path, &copy).expect("ours");
    std::fs::write(log(&copy), "").expect("ours");
    let error = Journal::open(&copy).expect_err("an empty log is none");
    assert!(error.message().contains("is not whole"), "{error}");
}

#[test]
fn a_file_that_is_gone_is_noticed() {
    let (_folder, path, mut store) = begun();
    std::fs::remove_file(&path).expect("ours");
    let error = store.apply(&[]).expect_err("nobody will find it");
    assert!(error.to_string().contains("was removed"), "{error}");
    std::fs::write(&path, "another").expect("ours");
    store.apply(&[]).expect_err("nor in another");
}

#[test]
fn other_files_are_not_touched() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("other");
    let database = rusqlite::Connection::open(&path).expect("a database");
    let mode = "PRAGMA journal_mode = WAL";
    database.query_row(mode, [], |_| Ok(())).expect("it is one");
    drop(database);
    let empty_database = std::fs::read(&path).expect("ours");
    let database = rusqlite::Connection::open(&path).expect("a database");
    database
        .execute_batch("CREATE TABLE t (x)")
        .expect("it is ours");
    drop(database);
    let database = std::fs::read(&path).expect("ours");
    for (bytes, says) in [
        (Vec::new(), "holds no run yet"),
        (empty_database, "holds no run yet"),
        (database, "is no journal"),
    ] {
        std::fs::write(&path, &bytes).expect("ours");
        let error = Journal::open(&path).expect_err("it is none");
        assert!(error.message().contains(says), "{error}");
        assert_eq!(std::fs::read(&path).expect("it is there"), bytes);
    }
}

#[test]
fn a_later_format_says_so() {
    let (_folder, path, store) = begun();
    drop(store);
    let connection = rusqlite::Connection::open(&path).expect("a database");
    connection
        .pragma_update(None, "user_version", 2)
        .expect("ours");
    drop(connection);
    let error = Store::open(&path).expect_err("a later format");
    assert!(error.message().contains("format 2"), "{error}");
}

#[test]
fn what_only_a_newer_version_knows_says_so() {
    for (change, says) in [
        ("UPDATE hosts SET state = '\"Sleeping\"'", "newer version"),
        ("UPDATE run SET ending = '{\"Paused\":1}'", "newer version"),
        ("UPDATE hosts SET state = '\"Open'", "is damaged"),
    ] {
        let (_folder, path, store) = begun();
        drop(store);
        let connection = rusqlite::Connection::open(&path).expect("a database");
        connection.execute_batch(change).expect("ours");
        drop(connection);
        let error = Store::open(&path).expect_err("it is not understood");
        assert!(error.message().contains(says), "{change}: {error}");
    }
}

/// The folder that the part of the next test looks at that cannot write to it.
const READ_ONLY: &str = "CLUSTEROPS_TEST_READ_ONLY";

#[test]
fn where_nothing_can_be_written_a_journal_can_be_read() {
    if let Some(folder) = std::env::var_os(READ_ONLY) {
        return look_where_nothing_can_be_written(Path::new(&folder));
    }
    let (folder, path, store) = begun();
    drop(store);
    let rename = |name: &str| folder.path().join(name);
    std::fs::rename(&path, rename("whole?#%41")).expect("ours");
    std::fs::copy(rename("whole?#%41"), rename("shared")).expect("ours");
    let (_other, path, mut store) = begun();
    let change = HostChange::new(0, &host("web1", 1), State::Open, [0]);
    let noted = store.apply(&[Change::Host(change)]);
    noted.expect("it can be written");
    std::fs::copy(&path, rename("killed")).expect("ours");
    std::fs::copy(&path, rename("half")).expect("ours");
    let log = format!("{}-wal", path.display());
    std::fs::copy(log, rename("killed-wal")).expect("ours");

    // Another user who may read it, and a file system that nobody can write to.
    let set_mode = |path: &Path, mode| {
        let mode = <std::fs::Permissions as std::os::unix::fs::PermissionsExt>::from_mode(mode);
        std::fs::set_permissions(path, mode).expect("ours");
    };
    for name in ["whole?#%41", "killed", "half", "killed-wal"] {
        set_mode(&rename(name), 0o444);
    }
    // Everybody may write to it, and not beside it.
    set_mode(&rename("shared"), 0o666);
    let writable = tempfile::tempdir().expect("a folder");
    set_mode(writable.path(), 0o777);
    let link = std::os::unix::fs::symlink(writable.path().join("own"), rename("link"));
    link.expect("ours");
    set_mode(folder.path(), 0o555);
    let is_root = rustix::process::geteuid().is_root();
    let other_user: &[&str] = match is_root {
        true => &[
            "setpriv",
            "--reuid=65534",
            "--regid=65534",
            "--clear-groups",
        ],
        false => &[],
    };
    let mount = "mount --bind \"$0\" \"$0\" && mount -o remount,bind,ro \"$0\" && exec \"$@\"";
    let folder_name = folder.path().to_str().expect("our name");
    let own_mounts: &[&str] = match is_root {
        true => &["unshare", "--mount", "sh", "-c", mount, folder_name],
        false => &[
            "unshare",
            "--user",
            "--map-root-user",
            "--mount",
            "sh",
            "-c",
            mount,
            folder_name,
        ],
    };
    for (what, before) in [
        ("another user", other_user),
        ("a read-only mount", own_mounts),
    ] {
        let can = before.first().is_none_or(|_| {
            let mut probe = std::process::Command::new(before[0]);
            let probe = probe
                .args(&before[1..])
                .arg("test")
                .args(["-r", folder_name]);
            probe.output().is_ok_and(|output| output.status.success())
        });
        if !can {
            let name = "where_nothing_can_be_written_a_journal_can_be_read";
            crate::oracle::skip_or_fail(name, &format!("{what}: no {}", before[0]));
            continue;
        }
        let program = std::env::current_exe().expect("we run");
        let mut words = before
            .iter()
            .map(std::ffi::OsStr::new)
            .chain([program.as_os_str()]);
        let output = std::process::Command::new(words.next().expect("a program"))
            .args(words)
            .args(["--exact", "--nocapture"])
            .arg("journal::tests::where_nothing_can_be_written_a_journal_can_be_read")
            .env(READ_ONLY, folder.path())
            .output()
            .expect("it was tried");
        let said = String::from_utf8_lossy(&output.stdout);
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{what}: {said}{errors}");
        assert!(said.contains("1 passed"), "{what}: {said}{errors}");
    }
    set_mode(folder.path(), 0o755);
}

fn look_where_nothing_can_be_written(folder: &Path) {
    std::fs::write(folder.join("new"), "").expect_err("nothing can be written");
    let journal = Journal::open(folder.join("whole?#%41")).expect("it is whole");
    assert_eq!(journal.report().hosts[1], host("web2", 2));
    assert!(!journal.is_finished());
    for (name, says) in [
        ("killed", "copy it"),
        ("half", "is not whole"),
        ("none", "cannot be read"),
    ] {
        let error = Journal::open(folder.join(name)).expect_err(name);
        assert!(error.message().contains(says), "{name}: {error}");
    }
    for name in ["whole?#%41", "killed"] {
        let error = Store::open(&folder.join(name)).expect_err("nothing can be noted");
        assert!(error.message().contains("copy it"), "{name}: {error}");
    }

    // What counts of a link is where it leads to.
    let own = std::fs::read_link(folder.join("link")).expect("ours");
    let log = own.with_file_name("own-wal");
    for (from, to) in [("killed", &own), ("killed-wal", &log)] {
        let content = std::fs::read(folder.join(from)).expect("everybody can read it");
        std::fs::write(to, content).expect("its folder is everybody's");
    }
    let journal = Journal::open(folder.join("link")).expect("we can write beside it");
    assert_eq!(journal.report().hosts[0].stages.len(), 1);
    std::fs::remove_file(&own).expect("ours");
    let _ = std::fs::remove_file(&log);
    std::os::unix::fs::symlink(folder.join("shared"), &own).expect("ours");
    for path in [&own, &folder.join("shared")] {
        Journal::open(path).expect("it is whole");
        let error = Store::open(path).expect_err("nothing can be noted");
        assert!(error.message().contains("copy it"), "{error}");
    }
    std::fs::remove_file(&own).expect("ours");
}

/// Writes to a file while somebody opens it, who waits for that (fcntl(2), "Leases").
const WRITER: &str = "\
import fcntl, os, signal, sys
signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGIO])
file = os.open(sys.argv[1], os.O_RDWR)
fcntl.fcntl(file, fcntl.F_SETLEASE, fcntl.F_WRLCK)
print('ready', flush=True)
signal.sigtimedwait([signal.SIGIO], 10)
os.write(file, b'half of a page')
os.ftruncate(file, 5000)
";

#[test]
fn what_is_seen_of_a_journal_that_somebody_writes_to_is_not_judged() {
    let (_folder, path, store) = begun();
    drop(store);
    let writer = std::process::Command::new("python3")
        .args(["-c", WRITER])
        .arg(&path)
        .stdout(std::process::Stdio::piped())
        .spawn();
    let name = "what_is_seen_of_a_journal_that_somebody_writes_to_is_not_judged";
    let Ok(mut writer) = writer else {
        return crate::oracle::skip_or_fail(name, "no python3");
    };
    let mut ready = [0; 6];
    let mut output = writer.stdout.take().expect("it is piped");
    let is_ready = std::io::Read::read_exact(&mut output, &mut ready);
    if is_ready.is_err() {
        let _ = writer.wait();
        return crate::oracle::skip_or_fail(name, "no leases on this file system");
    }
    let error = read_only::read(&path).expect_err("it changes");
    assert!(error.message().contains("a run writes to"), "{error}");
    assert!(writer.wait().expect("ours").success());
    let error = read_only::read(&path).expect_err("it stays like that");
    assert!(error.message().contains("is no journal"), "{error}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn any_bytes_are_a_journal_or_an_error(bytes in prop::collection::vec(any::<u8>(), 0..9000)) {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("any");
        std::fs::write(&path, bytes).expect("ours");
        if let Err(error) = Journal::open(&path) {
            prop_assert_eq!(error.kind(), ErrorKind::Journal);
        }
    }

    #[test]
    fn a_damaged_journal_is_read_or_an_error(
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..20),
    ) {
        static GOOD: std::sync::LazyLock<Vec<u8>> = std::sync::LazyLock::new(|| {
            let (_folder, path, store) = begun();
            drop(store);
            std::fs::read(path).expect("ours")
        });

        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("damaged");
        let mut bytes = GOOD.clone();
        for (place, byte) in changes {
            bytes[place.index(GOOD.len())] = byte;
        }
        std::fs::write(&path, bytes).expect("ours");
        match Journal::open(&path) {
            Ok(journal) => drop(journal.report()),
            Err(error) => prop_assert_eq!(error.kind(), ErrorKind::Journal),
        }
    }
}
