use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use proptest::prelude::*;
use russh::keys::ssh_key::public::{Ed25519PublicKey, KeyData};

use super::*;

/// An Ed25519 key that differs with `seed`; nobody has its private half.
fn key(seed: u64) -> PublicKey {
    let mut bytes = [7; 32];
    bytes[..8].copy_from_slice(&seed.to_le_bytes());
    PublicKey::from_key_data(&KeyData::Ed25519(Ed25519PublicKey(bytes))).unwrap()
}

fn rsa() -> PublicKey {
    include_str!("test_keys/rsa.pub").parse().unwrap()
}

fn text(seed: u64) -> String {
    key(seed).to_string()
}

fn parse(text: impl AsRef<[u8]>) -> KnownHosts {
    KnownHosts::parse(text, "known_hosts")
}

/// The lines of an answer that names lines.
fn lines(verdict: &Verdict) -> Vec<usize> {
    match verdict {
        Verdict::Changed { expected } | Verdict::OtherTypes { expected } => {
            expected.iter().map(|entry| entry.line).collect()
        }
        Verdict::Revoked { entry } => vec![entry.line],
        Verdict::Known | Verdict::Unknown => Vec::new(),
    }
}

#[test]
fn one_of_several_keys_is_enough() {
    let known = parse(format!(
        "web1 {}\n\n# a comment\nweb1,web2 {} laptop\n",
        text(1),
        text(2)
    ));
    assert_eq!(known.lookup("web1", 22, &key(1)), Verdict::Known);
    assert_eq!(known.lookup("WEB1", 22, &key(2)), Verdict::Known);
    assert_eq!(
        known.lookup("web2", 22, &key(1)),
        known.lookup("web2", 22, &key(3))
    );
    let changed = known.lookup("web1", 22, &key(3));
    assert!(matches!(changed, Verdict::Changed { .. }));
    assert_eq!(lines(&changed), [1, 4]);
    assert_eq!(known.lookup("web3", 22, &key(1)), Verdict::Unknown);
}

#[test]
fn a_key_of_another_type_is_told_apart_from_a_changed_one() {
    let known = parse(format!(
        "web1 {}\nweb2 {}\nweb2 {}\n",
        text(1),
        text(1),
        rsa()
    ));
    let other = known.lookup("web1", 22, &rsa());
    assert!(matches!(other, Verdict::OtherTypes { .. }));
    assert_eq!(lines(&other), [1]);
    assert_eq!(lines(&known.lookup("web2", 22, &key(2))), [2]);
    assert_eq!(
        known.key_types("web2", 22),
        [Algorithm::Ed25519, Algorithm::Rsa { hash: None }]
    );
}

#[test]
fn another_port_has_its_own_keys_and_falls_back_to_the_name_alone() {
    let known = parse(format!(
        "web1 {}\n[web2]:2222 {}\nweb2 {}\n",
        text(1),
        text(2),
        text(3)
    ));
    assert_eq!(known.lookup("web1", 2222, &key(1)), Verdict::Known);
    assert_eq!(
        known.lookup("web1", 2222, &key(9)),
        Verdict::Unknown,
        "a fallback is no change"
    );
    assert_eq!(known.key_types("web1", 2222), [Algorithm::Ed25519]);
    assert_eq!(known.lookup("web2", 2222, &key(2)), Verdict::Known);
    assert_eq!(
        lines(&known.lookup("web2", 2222, &key(3))),
        [2],
        "no fallback past a line for the port"
    );
    assert_eq!(known.lookup("web2", 22, &key(3)), Verdict::Known);
}

#[test]
fn a_revoked_key_is_refused_whatever_else_is_said() {
    let known = parse(format!(
        "web1 {0}\n@revoked *.b,web* {0}\nweb1 {1}\n@revoked db1 {2}\n",
        text(1),
        text(2),
        text(3)
    ));
    assert_eq!(lines(&known.lookup("web1", 22, &key(1))), [2]);
    assert!(matches!(
        known.lookup("x.b", 22, &key(1)),
        Verdict::Revoked { .. }
    ));
    assert_eq!(known.lookup("web1", 22, &key(2)), Verdict::Known);
    assert_eq!(
        known.lookup("db1", 22, &key(4)),
        Verdict::Unknown,
        "a revoked key is not an expected one"
    );
    assert_eq!(known.key_types("db1", 22), []);
    assert_eq!(
        lines(&known.lookup("db1", 2222, &key(3))),
        [4],
        "also by the name alone"
    );
}

#[test]
fn an_authority_is_no_host_key() {
    let known = parse(format!("@cert-authority *.example.com {}\n", text(1)));
    assert_eq!(
        known.lookup("web1.example.com", 22, &key(1)),
        Verdict::Unknown
    );
    let authorities = known.certificate_authorities("web1.example.com", 2222);
    assert_eq!((authorities[0].line, &authorities[0].key), (1, &key(1)));
    assert_eq!(known.certificate_authorities("web1", 22), []);
}

#[test]
fn an_authority_is_revoked_as_a_key_is() {
    let known = parse(format!(
        "@cert-authority * {0}\n@revoked *.b {0}\n@revoked x {1}\n",
        text(1),
        text(2)
    ));
    let line = |host, port, key| Some(known.revocation(host, port, &key)?.line);
    assert_eq!(line("web1.b", 22, key(1)), Some(2));
    assert_eq!(line("x", 2222, key(2)), Some(3), "also by the name alone");
    assert_eq!(line("web1", 22, key(1)), None);
}

#[test]
fn two_sources_are_judged_together() {
    let key = key(1);
    let verdict = |text: String| parse(text).lookup("web1", 22, &key);
    let unknown = verdict(String::new());
    let known = verdict(format!("web1 {}\n", text(1)));
    let changed = verdict(format!("web1 {}\n", text(2)));
    let other = verdict(format!("web1 {}\n", rsa()));
    let revoked = verdict(format!("@revoked * {}\n", text(1)));
    let ranked = [revoked, known, changed, other, unknown];
    for (rank, better) in ranked.iter().enumerate() {
        for worse in &ranked[rank + 1..] {
            assert_eq!(&better.clone().or(worse.clone()), better);
            assert_eq!(&worse.clone().or(better.clone()), better);
        }
    }
    let both = ranked[2].clone().or(ranked[2].clone());
    assert_eq!(lines(&both), [1, 1]);
}

#[test]
fn a_certificate_is_no_key() {
    let certificate = include_str!("test_keys/certificate.pub");
    assert!(certificate.parse::<PublicKey>().is_err());
    assert!("web1".parse::<PublicKey>().is_err());
}

#[test]
fn malformed_lines_are_skipped_and_named() {
    let known = parse(format!(
        "web1\n\
         web1 ssh-ed25519\n\
         web1 ssh-future AAAA\n\
         web1 ssh-rsa {blob}\n\
         web1 ssh-ed25519 !!!\n\
         @trusted web1 {key}\n\
         @revoked @revoked web1 {key}\n\
         @revoked\tweb1 {key}\n\
         |2|AAAA|AAAA {key}\n\
         {long} {key}\n\
         web1 {key}\n",
        key = text(1),
        blob = text(1).split(' ').next_back().unwrap(),
        long = "a".repeat(1023),
    ));
    let skipped: Vec<String> = known.skipped().iter().map(Skipped::to_string).collect();
    assert_eq!(
        skipped,
        [
            "known_hosts:1: the line ends before the type of the key",
            "known_hosts:2: the line ends before the key",
            "known_hosts:3: an unknown type of key",
            "known_hosts:4: the key is of another type than the line says",
            "known_hosts:5: the key is not base64",
            "known_hosts:6: an unknown marker; there are @cert-authority and @revoked",
            "known_hosts:7: more than one marker",
            "known_hosts:8: a marker must end with a space, not a tab",
            "known_hosts:9: a hashed name must be |1|salt|hash, with 20 bytes of each in base64",
            "known_hosts:10: a host name longer than 1022 bytes",
        ]
    );
    assert_eq!(known.lookup("web1", 22, &key(1)), Verdict::Known);
}

#[test]
fn a_key_damaged_past_its_type_has_no_say() {
    let damaged = &text(1)[..text(1).len() - 4];
    let known = parse(format!("web1 {damaged}\n"));
    assert_eq!(known.lookup("web1", 22, &key(1)), Verdict::Unknown);
    assert_eq!(known.key_types("web1", 22), []);
}

#[test]
fn windows_line_ends_and_bytes_that_are_not_text_do_no_harm() {
    let known = parse([text(1).as_bytes(), b"\r\n"].concat());
    assert_eq!(known.skipped().len(), 1, "a key without a host");
    let known = parse(
        [
            b"web1 ",
            text(1).as_bytes(),
            b" caf\xe9\r\n",
            b"web2 ",
            text(2).as_bytes(),
            b"\r\n",
        ]
        .concat(),
    );
    assert_eq!(known.lookup("web1", 22, &key(1)), Verdict::Known);
    assert_eq!(known.lookup("web2", 22, &key(2)), Verdict::Known);
}

#[test]
fn files_are_asked_in_turn() {
    let folder = tempfile::tempdir().unwrap();
    let paths = ["user", "missing", "system"].map(|name| folder.path().join(name));
    fs::write(&paths[0], format!("web1 {}\n", text(1))).unwrap();
    fs::write(
        &paths[2],
        format!("web1 {}\n@revoked * {}\n", text(2), text(3)),
    )
    .unwrap();
    let known = KnownHosts::load(&paths).unwrap();
    assert_eq!(known.lookup("web1", 22, &key(2)), Verdict::Known);
    assert_eq!(lines(&known.lookup("web1", 22, &key(3))), [2]);
    assert_eq!(lines(&known.lookup("web1", 22, &key(4))), [1, 1]);
}

#[test]
fn an_unreadable_file_is_an_error_that_names_it() {
    let folder = tempfile::tempdir().unwrap();
    let below_a_file = folder.path().join("file").join("known_hosts");
    fs::write(folder.path().join("file"), "").unwrap();
    for path in [folder.path(), &below_a_file] {
        let error = KnownHosts::load([path]).unwrap_err();
        let expected = format!("the known hosts file {} cannot be read", path.display());
        assert_eq!(
            (error.kind(), error.message()),
            (ErrorKind::Local, &*expected)
        );
    }
}

#[test]
fn add_makes_private_files_and_ends_the_last_line() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("new").join("known_hosts");
    let known = KnownHosts::load([&path]).unwrap();
    assert_eq!(
        known.add(&path, "Web1", 22, &key(1), false).unwrap(),
        Verdict::Known
    );
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode(path.parent().unwrap()), mode(&path)), (0o700, 0o600));

    fs::write(&path, format!("web1 {}", text(1))).unwrap();
    assert_eq!(
        known.add(&path, "::1", 2222, &key(2), false).unwrap(),
        Verdict::Known
    );
    assert_eq!(
        known.add(&path, "::1", 2222, &key(2), false).unwrap(),
        Verdict::Known
    );
    assert_eq!(
        fs::read_to_string(&path).unwrap(),
        format!("web1 {}\n[::1]:2222 {}\n", text(1), text(2))
    );
    assert_eq!(lines(&known.lookup("::1", 2222, &key(3))), [2]);
}

#[test]
fn add_hashes_names_with_a_salt_of_their_own() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("known_hosts");
    let known = KnownHosts::load([&path]).unwrap();
    for host in ["web1", "WEB2"] {
        assert_eq!(
            known.lookup(host, 22, &key(1)),
            Verdict::Unknown,
            "a miss that is remembered"
        );
        assert_eq!(
            known.add(&path, host, 22, &key(1), true).unwrap(),
            Verdict::Known
        );
        assert_eq!(known.lookup(host, 22, &key(1)), Verdict::Known);
    }
    let text = fs::read_to_string(&path).unwrap();
    assert!(text.lines().all(|line| line.starts_with("|1|")) && !text.contains("web"));
    assert_eq!(
        KnownHosts::load([&path])
            .unwrap()
            .lookup("web2", 22, &key(1)),
        Verdict::Known
    );
}

#[test]
fn fifty_thousand_hosts_are_indexed_and_a_hashed_name_is_looked_for_once() {
    const MANY: usize = 50_000;
    let compared = || line::COMPARED.replace(0);
    let lines = |name: fn(u64) -> String| -> String {
        let line = |seed: u64| format!("{} {}\n", name(seed), text(seed));
        (0..MANY as u64).map(line).collect()
    };
    let plain = parse(lines(|seed| format!("web{seed}")));
    // To scan the lines for each of them would be billions of comparisons.
    for seed in 0..MANY as u64 {
        let name = format!("web{seed}");
        assert_eq!(plain.lookup(&name, 22, &key(seed)), Verdict::Known);
    }

    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("known_hosts");
    let hashed = lines(|seed| {
        let mut salt = [0; 20];
        salt[..8].copy_from_slice(&seed.to_le_bytes());
        line::hashed(&salt, &format!("web{seed}"))
    });
    fs::write(&path, hashed).unwrap();
    let known = KnownHosts::load([&path]).unwrap();
    assert_eq!(compared(), 0);
    for seed in [7, MANY as u64 - 1] {
        let name = format!("web{seed}");
        assert_eq!(known.lookup(&name, 22, &key(seed)), Verdict::Known);
        assert_eq!(compared(), MANY);
        assert_eq!(known.lookup(&name, 22, &key(seed)), Verdict::Known);
        assert_eq!(known.key_types(&name, 22).len(), 1);
        assert_eq!(compared(), 0);
    }
    assert_eq!(known.lookup("new", 22, &key(1)), Verdict::Unknown);
    assert_eq!(compared(), MANY);
    let added = known.add(&path, "new", 22, &key(1), true).unwrap();
    assert_eq!(added, Verdict::Known);
    assert!(compared() < 10, "neither is it read again as a whole");
    // Only the new line has not been compared with it.
    assert_eq!(known.lookup("web7", 22, &key(7)), Verdict::Known);
    assert_eq!(compared(), 1);
}

#[test]
fn add_heeds_what_others_wrote_in_the_meantime() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("known_hosts");
    let (ours, theirs) = (
        KnownHosts::load([&path]).unwrap(),
        KnownHosts::load([&path]).unwrap(),
    );
    theirs.add(&path, "web1", 22, &key(1), false).unwrap();
    let verdict = ours.add(&path, "web1", 22, &key(2), false).unwrap();
    assert!(matches!(verdict, Verdict::Changed { .. }), "{verdict:?}");
    assert_eq!(
        ours.add(&path, "web1", 22, &key(1), false).unwrap(),
        Verdict::Known
    );
    assert_eq!(fs::read_to_string(&path).unwrap().lines().count(), 1);

    // An editor, or ssh-keygen -R, puts a new file in its place.
    let edited = folder.path().join("edited");
    fs::write(&edited, format!("db1 {}\n", text(3))).unwrap();
    fs::rename(&edited, &path).unwrap();
    assert_eq!(
        ours.add(&path, "web1", 22, &key(2), false).unwrap(),
        Verdict::Known
    );
    assert_eq!(lines(&ours.lookup("db1", 22, &key(9))), [1]);
    assert_eq!(fs::read_to_string(&path).unwrap().lines().count(), 2);
}

#[test]
fn a_lock_that_others_hold_is_waited_for_once() {
    const PATIENCE: Duration = Duration::from_millis(200);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("known_hosts");
    let other = fs::File::create(&path).unwrap();
    other.lock().unwrap();
    let known = KnownHosts::load([&path]).unwrap();
    let begin = Instant::now();
    thread::scope(|scope| {
        for host in 0..20 {
            let (known, path) = (&known, &path);
            scope.spawn(move || {
                let name = format!("web{host}");
                let verdict = known.accept(path, &name, 22, &key(host), false, PATIENCE);
                assert_eq!(verdict.unwrap(), Verdict::Known);
            });
        }
    });
    // Each of them alone would have waited for that long.
    assert!(begin.elapsed() < 10 * PATIENCE, "{:?}", begin.elapsed());
    assert_eq!(fs::read(&path).unwrap(), b"");
    let trouble = known.trouble().unwrap();
    assert!(
        trouble.starts_with("20 new host keys were accepted and not stored"),
        "{trouble}"
    );
    assert!(
        trouble.contains("another process has held its lock for 200ms"),
        "{trouble}"
    );
    let changed = known.lookup("web1", 22, &key(2));
    assert!(matches!(changed, Verdict::Changed { .. }));
}

#[test]
fn a_lock_that_is_free_again_keeps_no_key_from_its_file() {
    const PATIENCE: Duration = Duration::from_millis(400);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("known_hosts");
    let other = fs::File::create(&path).unwrap();
    let known = KnownHosts::load([&path]).unwrap();
    // How long it took.
    let accept = |path: &Path, host: u64| {
        let begin = Instant::now();
        let verdict = known.accept(path, &format!("web{host}"), 22, &key(host), false, PATIENCE);
        assert_eq!(verdict.unwrap(), Verdict::Known);
        begin.elapsed()
    };
    for round in [0, 10] {
        other.lock().unwrap();
        assert!(accept(&path, round + 1) >= PATIENCE);
        assert!(accept(&path, round + 2) < PATIENCE);
        other.unlock().unwrap();
        accept(&path, round + 3);
    }
    let stored = format!("web3 {}\nweb13 {}\n", text(3), text(13));
    assert_eq!(fs::read_to_string(&path).unwrap(), stored);
    let trouble = known.trouble().unwrap();
    assert!(trouble.starts_with("4 new host keys were"), "{trouble}");
    assert!(trouble.ends_with("its lock for 400ms"), "{trouble}");

    // What does not pass by itself is not tried again.
    accept(Path::new("/proc/self/known_hosts"), 20);
    accept(&path, 21);
    assert_eq!(fs::read_to_string(&path).unwrap(), stored);
    let trouble = known.trouble().unwrap();
    for says in [
        "6 new host keys were",
        "its lock for 400ms; ",
        "/proc/self/known_hosts cannot take",
    ] {
        assert!(trouble.contains(says), "{trouble}");
    }
}

#[test]
fn further_keys_of_known_hosts_wait_for_a_lock_once_too() {
    const PATIENCE: Duration = Duration::from_millis(200);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("known_hosts");
    let known_by = |host| format!("web{host} {}\n", text(host));
    let text_before: String = (0..20)
        .map(known_by)
        .chain(["*.org ".to_owned() + &text(1) + "\n"])
        .collect();
    fs::write(&path, &text_before).unwrap();
    let other = fs::File::open(&path).unwrap();
    other.lock().unwrap();
    let known = KnownHosts::load([&path]).unwrap();
    let begin = Instant::now();
    thread::scope(|scope| {
        for host in 0..20 {
            let (known, path) = (&known, &path);
            scope.spawn(move || {
                let (name, keys) = (format!("web{host}"), [key(100 + host), key(200 + host)]);
                let added = known.add_to_known_host(path, &name, 22, &keys, false, PATIENCE);
                assert_eq!(added, 0);
            });
        }
    });
    // Each of them alone would have waited for that long.
    assert!(begin.elapsed() < 10 * PATIENCE, "{:?}", begin.elapsed());
    // Nothing would have been stored of this one.
    known.add_to_known_host(&path, "db.org", 22, &[key(2)], false, PATIENCE);
    assert_eq!(fs::read_to_string(&path).unwrap(), text_before);
    let trouble = known.trouble().unwrap();
    assert!(
        trouble
            .starts_with("40 further keys of known hosts were not stored: the known hosts file "),
        "{trouble}"
    );
    assert!(
        trouble.ends_with("another process has held its lock for 200ms"),
        "{trouble}"
    );

    // New hosts need not wait again, and are told of as well.
    let begin = Instant::now();
    let verdict = known.accept(&path, "new", 22, &key(1), false, PATIENCE);
    assert_eq!(verdict.unwrap(), Verdict::Known);
    assert!(begin.elapsed() < PATIENCE);
    let trouble = known.trouble().unwrap();
    assert!(
        trouble.starts_with("a new host key was accepted and not stored, so that the next run takes any other one too, and 40 further"),
        "{trouble}"
    );

    other.unlock().unwrap();
    let keys = [key(100), key(0)];
    assert_eq!(
        known.add_to_known_host(&path, "web0", 22, &keys, false, PATIENCE),
        1
    );
    let stored = fs::read_to_string(&path).unwrap();
    assert_eq!(stored, format!("{text_before}web0 {}\n", text(100)));
}

#[test]
fn add_waits_for_the_lock_and_writes_to_the_file_that_is_there_then() {
    let folder = tempfile::tempdir().unwrap();
    let (path, edited) = (
        folder.path().join("known_hosts"),
        folder.path().join("edited"),
    );
    let locked = fs::File::create(&path).unwrap();
    locked.lock().unwrap();
    thread::scope(|scope| {
        let adder = scope.spawn(|| parse("").add(&path, "web1", 22, &key(1), false));
        let deadline = Instant::now() + Duration::from_millis(200);
        while Instant::now() < deadline {
            assert_eq!(
                locked.metadata().unwrap().len(),
                0,
                "written in spite of the lock"
            );
            assert!(!adder.is_finished());
            thread::sleep(Duration::from_millis(5));
        }
        fs::write(&edited, format!("db1 {}\n", text(2))).unwrap();
        fs::rename(&edited, &path).unwrap();
        locked.unlock().unwrap();
        assert_eq!(adder.join().unwrap().unwrap(), Verdict::Known);
    });
    assert_eq!(
        fs::read_to_string(&path).unwrap(),
        format!("db1 {}\nweb1 {}\n", text(2), text(1))
    );
}

#[test]
fn add_refuses_names_that_would_mean_something_else() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("known_hosts");
    for host in [
        "", "*", "a,b", "a b", "a\nb", "!a", "|1|a", "#a", "@revoked",
    ] {
        let error = parse("").add(&path, host, 22, &key(1), false).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Local);
        assert!(error.message().contains(path.to_str().unwrap()), "{error}");
    }
    assert!(!path.exists());
}

#[test]
fn a_device_keeps_nothing_and_the_run_remembers() {
    let path = Path::new("/dev/null");
    let known = KnownHosts::load([path]).unwrap();
    for _ in 0..2 {
        assert_eq!(
            known.add(path, "web1", 22, &key(1), false).unwrap(),
            Verdict::Known
        );
        assert!(matches!(
            known.lookup("web1", 22, &key(2)),
            Verdict::Changed { .. }
        ));
    }
}

const ADDERS: u64 = 4;
const HOSTS: u64 = 25;
const ADDER_FILE: &str = "KNOWN_HOSTS_ADDER_FILE";

/// All adders add the same keys, each starting at another one.
fn add_all(known: &KnownHosts, path: &Path, first: u64) {
    for seed in (0..HOSTS).map(|host| (host + first) % HOSTS) {
        let verdict = known
            .add(path, &format!("host{seed}"), 22, &key(seed), seed % 2 == 0)
            .unwrap();
        assert_eq!(verdict, Verdict::Known);
    }
}

#[test]
fn adders_in_threads_and_processes_leave_each_line_once() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("known_hosts");
    let shared = KnownHosts::load([&path]).unwrap();
    let this_program = std::env::current_exe().unwrap();
    thread::scope(|scope| {
        for first in 0..ADDERS {
            scope.spawn({
                let (shared, path) = (&shared, &path);
                move || add_all(shared, path, first * 7)
            });
            scope.spawn(|| {
                let mut adder = Command::new(&this_program);
                adder.args(["--ignored", "--exact", "known_hosts::tests::adder_process"]);
                let output = adder.env(ADDER_FILE, &path).output().unwrap();
                assert!(output.status.success(), "{output:?}");
                assert!(
                    String::from_utf8_lossy(&output.stdout).contains("1 passed"),
                    "{output:?}"
                );
            });
        }
    });
    let text = fs::read_to_string(&path).unwrap();
    assert!(text.ends_with('\n'));
    assert_eq!(text.lines().count() as u64, HOSTS);
    let read = KnownHosts::load([&path]).unwrap();
    assert_eq!(read.skipped(), []);
    for seed in 0..HOSTS {
        for known in [&shared, &read] {
            assert_eq!(
                known.lookup(&format!("host{seed}"), 22, &key(seed)),
                Verdict::Known
            );
        }
    }
}

#[test]
#[ignore = "a part of adders_in_threads_and_processes_leave_each_line_once, which starts it"]
fn adder_process() {
    let path =
        PathBuf::from(std::env::var_os(ADDER_FILE).expect("set by the test that starts this one"));
    add_all(
        &KnownHosts::load([&path]).unwrap(),
        &path,
        u64::from(std::process::id()),
    );
}

/// Text that is nearly a known_hosts file.
fn nearly() -> impl Strategy<Value = Vec<u8>> {
    let word = prop_oneof![
        Just(b"web1".to_vec()),
        Just(text(1).into_bytes()),
        Just(b"@revoked".to_vec()),
        Just(b"@cert-authority ".to_vec()),
        Just(b"|1|".to_vec()),
        Just(b"F1E1KeoE/eEWhi10WpGv4OdiO6Y=".to_vec()),
        Just(b"ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAA".to_vec()),
        "[ \t\n\r#|@!*?,\\[\\]:=\0]{1,3}".prop_map(String::into_bytes),
        proptest::collection::vec(any::<u8>(), 0..8),
    ];
    proptest::collection::vec(word, 0..40).prop_map(|words| words.concat())
}

proptest! {
    #[test]
    fn arbitrary_bytes_do_no_harm(text in prop_oneof![nearly(), proptest::collection::vec(any::<u8>(), 0..400)], host in ".{0,20}") {
        let known = parse(&text);
        for host in [host.as_str(), "web1"] {
            let _ = known.lookup(host, 22, &key(1));
            let _ = known.lookup(host, 2222, &rsa());
            let _ = known.key_types(host, 22);
        }
        let count = text.split(|byte| *byte == b'\n').count();
        prop_assert!(known.skipped().iter().all(|skipped| (1..=count).contains(&skipped.line)));
    }

    #[test]
    fn what_is_appended_reads_like_the_whole(before in nearly(), after in nearly()) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("known_hosts");
        fs::write(&path, &before).unwrap();
        let known = KnownHosts::load([&path]).unwrap();
        fs::write(&path, [before, after].concat()).unwrap();
        let added = known.add(&path, "other", 22, &key(5), true).unwrap();
        let whole = KnownHosts::load([&path]).unwrap();
        prop_assert_eq!(known.skipped(), whole.skipped());
        for (host, asked) in [("web1", key(1)), ("web1", key(2)), ("other", key(5))] {
            prop_assert_eq!(known.lookup(host, 22, &asked), whole.lookup(host, 22, &asked));
        }
        prop_assert_eq!(added, whole.lookup("other", 22, &key(5)));
    }
}
