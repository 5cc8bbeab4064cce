//! One file at a time.

use super::*;

async fn upload_and_back(options: TransferOptions) {
    let Some(sshd) = Sshd::start(SshdOptions::default()) else {
        return;
    };
    let session = connect(&sshd).await;
    let folder = shared_folder(&sshd, "files");
    let files = session.files().await.expect("SFTP").options(options);
    let local = tempfile::tempdir().expect("a folder");
    for length in [0, 1, 229_376, 5_000_000] {
        let (source, back) = (local.path().join("source"), local.path().join("back"));
        fs::write(&source, content(length)).expect("ours");
        set_mode(&source, 0o640);
        let there = folder.join("there");
        let sent = files.upload(&source, text(&there)).await.expect("sent");
        assert_eq!((sent.bytes, sent.files), (length as u64, 1));
        assert_eq!((mode(&there), names(&folder).len()), (0o640, 1));
        let fetched = files.download(text(&there), &back).await;
        assert_eq!(fetched.expect("fetched").bytes, length as u64);
        assert!(fs::read(&back).expect("there") == content(length));
        assert_eq!(names(local.path()), ["back", "source"]);
    }
    assert_eq!(files.close().await, Termination::Confirmed);
}

#[tokio::test]
async fn files_arrive_whole_in_both_directions() {
    upload_and_back(TransferOptions::default()).await;
}

#[tokio::test]
async fn files_arrive_whole_without_anything_extra() {
    let bare = TransferOptions::default()
        .verify(false)
        .resume(false)
        .sync(false);
    upload_and_back(bare).await;
}

#[tokio::test]
async fn connections_for_files_end_with_their_use() {
    // More than a server has channels for a session at once: MaxSessions is 10 (sshd_config(5)).
    let Some(sshd) = Sshd::start(SshdOptions::default()) else {
        return;
    };
    let session = connect(&sshd).await;
    let there = shared_folder(&sshd, "files").join("there");
    let local = tempfile::NamedTempFile::new().expect("a file");
    for round in 0..25 {
        let files = session.files().await.expect("SFTP");
        let sent = files.upload(local.path(), text(&there)).await;
        sent.expect("sent");
        if round % 2 == 0 {
            assert_eq!(files.close().await, Termination::Confirmed);
        }
    }
    for wait in 0..25 {
        let _ = tokio::time::timeout(Duration::from_millis(wait), session.files()).await;
    }
    let files = session.files().await.expect("SFTP");
    files
        .upload(local.path(), text(&there))
        .await
        .expect("sent");
}

#[tokio::test]
async fn what_was_written_is_compared_with_what_was_read() {
    let Some(sshd) = Sshd::start(SshdOptions::default()) else {
        return;
    };
    // A disk that does not keep what it is given, as far as the digests can see.
    let programs = sshd.folder().join("bin");
    fs::create_dir(&programs).expect("ours");
    let script = "#!/bin/sh\n/usr/bin/b2sum \"$@\" | sed 's/^[0-9a-f]\\{8\\}/00000000/'\n";
    fs::write(programs.join("b2sum"), script).expect("ours");
    set_mode(&programs.join("b2sum"), 0o755);
    let path = format!("SetEnv PATH={}:/usr/bin:/bin", programs.display());
    let Some(lying) = Sshd::start(SshdOptions::default().line(&path)) else {
        return;
    };
    let session = connect(&lying).await;
    let folder = shared_folder(&lying, "files");
    let local = tempfile::tempdir().expect("a folder");
    fs::write(local.path().join("new"), "new").expect("ours");
    fs::write(folder.join("there"), "old").expect("ours");
    set_mode(&folder.join("there"), 0o666);
    let files = session.files().await.expect("SFTP");
    let up = files
        .upload(local.path().join("new"), text(&folder.join("there")))
        .await;
    let down = files
        .download(text(&folder.join("there")), local.path().join("new"))
        .await;
    for error in [up.expect_err("they differ"), down.expect_err("they differ")] {
        assert_eq!(error.kind(), ErrorKind::Transfer);
        assert!(error.to_string().contains("digests differ"), "{error}");
    }
    assert_eq!(
        (names(&folder), names(local.path())),
        (vec!["there".into()], vec!["new".into()])
    );
    assert_eq!(
        fs::read_to_string(folder.join("there")).expect("there"),
        "old"
    );
    assert_eq!(
        fs::read_to_string(local.path().join("new")).expect("there"),
        "new"
    );
}

#[tokio::test]
async fn another_program_is_found_or_its_lack_is_told() {
    let Some(sshd) = Sshd::start(SshdOptions::default()) else {
        return;
    };
    let programs = sshd.folder().join("bin");
    fs::create_dir(&programs).expect("ours");
    let path = format!("SetEnv PATH={}", programs.display());
    let Some(poor) = Sshd::start(SshdOptions::default().line(&path)) else {
        return;
    };
    let session = connect(&poor).await;
    let folder = shared_folder(&poor, "files");
    let source = folder.join("source");
    fs::write(&source, "content").expect("ours");
    let there = folder.join("there");
    let files = session.files().await.expect("SFTP");
    let error = files.upload(&source, text(&there)).await;
    let error = error.expect_err("nothing to compare with");
    assert!(
        error.to_string().contains("neither b2sum nor sha256sum"),
        "{error}"
    );
    assert_eq!(names(&folder), ["source"]);
    symlink("/usr/bin/sha256sum", programs.join("sha256sum")).expect("ours");
    files.upload(&source, text(&there)).await.expect("sent");
    assert_eq!(fs::read_to_string(there).expect("there"), "content");
}

#[tokio::test]
async fn what_cannot_be_written_or_read_says_why() {
    let Some(sshd) = Sshd::start(SshdOptions::default()) else {
        return;
    };
    let session = connect(&sshd).await;
    let folder = shared_folder(&sshd, "files");
    let local = tempfile::tempdir().expect("a folder");
    let source = local.path().join("source");
    fs::write(&source, "x").expect("ours");
    fs::create_dir(folder.join("folder")).expect("ours");
    let files = session.files().await.expect("SFTP");
    let message = |error: clusterops::ssh::Error| {
        let cause = std::error::Error::source(&error).map(ToString::to_string);
        format!("{error}: {}", cause.unwrap_or_default())
    };
    for (remote, expected) in [
        ("/proc/there", "/proc/there"),
        (text(&folder.join("none/there")), "no such file or folder"),
        (text(&folder.join("folder")), "it is a folder"),
    ] {
        let error = files.upload(&source, remote).await.expect_err(remote);
        assert_eq!(
            (error.kind(), error.host()),
            (ErrorKind::Transfer, Some("web1"))
        );
        let message = message(error);
        assert!(message.contains(expected), "{message}");
    }
    let pipe = folder.join("pipe");
    let made = std::process::Command::new("mkfifo").arg(&pipe).status();
    assert!(made.expect("coreutils are installed").success());
    let socket = folder.join("socket");
    let _listens = std::os::unix::net::UnixListener::bind(&socket).expect("ours");
    let tree = tempfile::tempdir().expect("a folder");
    symlink("pipe", tree.path().join("pipe")).expect("ours");
    for error in [
        files.upload(&source, text(&pipe)).await,
        files.upload(&source, text(&socket)).await,
        files.upload_tree(tree.path(), text(&folder)).await,
    ] {
        let message = message(error.expect_err("nothing to replace"));
        assert!(message.contains("a device, pipe or socket"), "{message}");
    }
    assert_eq!(names(&folder), ["folder", "pipe", "socket"]);
    for (remote, expected) in [
        ("/nonexistent", "no such file or folder"),
        (text(&folder), "not a regular file"),
        (text(&pipe), "not a regular file"),
    ] {
        let error = files.download(remote, local.path().join("back")).await;
        let message = message(error.expect_err(remote));
        assert!(message.contains(expected), "{message}");
    }
    // Files of the kernel's have no size.
    let cpus = local.path().join("version");
    files
        .download("/proc/version", &cpus)
        .await
        .expect("fetched");
    assert_eq!(
        fs::read(cpus).expect("there"),
        fs::read("/proc/version").expect("there")
    );
    for there in [local.path().to_owned(), local.path().join("none/back")] {
        let error = files.download("/proc/version", there).await;
        assert_eq!(error.expect_err("no such place").kind(), ErrorKind::Local);
    }
    if !rustix::process::geteuid().is_root() {
        return;
    }
    fs::write(folder.join("secret"), "x").expect("ours");
    set_mode(&folder.join("secret"), 0o600);
    let error = files
        .download(text(&folder.join("secret")), local.path().join("back"))
        .await;
    assert!(message(error.expect_err("not readable")).contains("permission denied"));
    let closed = sshd.folder().join("closed");
    fs::create_dir(&closed).expect("ours");
    set_mode(&closed, 0o755);
    let error = files.upload(&source, text(&closed.join("there"))).await;
    assert!(message(error.expect_err("not writable")).contains("permission denied"));
    assert_eq!(names(&folder), ["folder", "pipe", "secret", "socket"]);
}

#[tokio::test]
async fn names_that_are_too_long_are_told_with_the_limit() {
    let Some(sshd) = Sshd::start(SshdOptions::default()) else {
        return;
    };
    let session = connect(&sshd).await;
    let folder = shared_folder(&sshd, "files");
    let local = tempfile::tempdir().expect("a folder");
    let source = local.path().join("source");
    fs::write(&source, "x").expect("ours");
    let deep = tempfile::tempdir().expect("a folder");
    let part = "y".repeat(250);
    fs::create_dir_all(deep.path().join([&*part; 8].join("/"))).expect("ours");
    let long = "x".repeat(256);
    let at_the_end = format!("{}/{long}", folder.display());
    let in_the_middle = format!("{at_the_end}/a");
    let far = shared_folder(&sshd, "far").join([&*part; 9].join("/"));
    fs::create_dir_all(&far).expect("ours");
    set_mode(&far, 0o777);
    let here = local.path().join(&long);
    let sent = Arc::new(AtomicU64::new(0));
    let count = Arc::clone(&sent);
    let files = session.files().await.expect("SFTP").progress(move |_| {
        count.fetch_add(1, Ordering::Relaxed);
    });
    let error = files.upload(&source, &at_the_end).await;
    error.expect_err("nothing is sent");
    assert_eq!(sent.load(Ordering::Relaxed), 0);
    let files = session.files().await.expect("SFTP");
    for (what, done, says) in [
        (
            "upload",
            files.upload(&source, &at_the_end).await,
            "256 bytes",
        ),
        (
            "upload into",
            files.upload(&source, &in_the_middle).await,
            "256 bytes",
        ),
        (
            "tree",
            files.upload_tree(deep.path(), &at_the_end).await,
            "256 bytes",
        ),
        (
            "tree into",
            files.upload_tree(deep.path(), &in_the_middle).await,
            "256 bytes",
        ),
        (
            "tree far down",
            files.upload_tree(deep.path(), text(&far)).await,
            "no more than 4095",
        ),
        (
            "download",
            files.download(&at_the_end, local.path().join("a")).await,
            "256 bytes",
        ),
        (
            "download from",
            files.download(&in_the_middle, local.path().join("a")).await,
            "256 bytes",
        ),
        (
            "download tree",
            files.download_tree(&at_the_end, local.path()).await,
            "256 bytes",
        ),
        (
            "download to",
            files.download("/proc/version", &here).await,
            "256 bytes",
        ),
        (
            "download into",
            files.download("/proc/version", here.join("a")).await,
            "256 bytes",
        ),
        (
            "tree to",
            files.download_tree(text(deep.path()), &here).await,
            "256 bytes",
        ),
    ] {
        let error = done.expect_err(what);
        let cause = std::error::Error::source(&error).map(ToString::to_string);
        let message = format!("{error}: {}", cause.unwrap_or_default());
        assert!(
            message.contains(says) && message.contains("no more than"),
            "{what}: {message}"
        );
        assert!(
            message.contains(&long) || says.contains("4095"),
            "{what}: {message}"
        );
    }
    assert_eq!(names(&folder), [""; 0]);
    assert_eq!(names(local.path()), ["source"]);
}

/// A file system of a mebibyte, when root can have one.
struct TinyDisk(PathBuf);

impl TinyDisk {
    fn mount(at: PathBuf) -> Option<Self> {
        let mut mount = std::process::Command::new("mount");
        mount
            .args(["-t", "tmpfs", "-o", "size=1m,mode=777", "tmpfs"])
            .arg(&at);
        let mounted = mount.output().is_ok_and(|output| output.status.success());
        mounted.then_some(Self(at))
    }
}

impl Drop for TinyDisk {
    fn drop(&mut self) {
        let _ = std::process::Command::new("umount")
            .arg("-l")
            .arg(&self.0)
            .status();
    }
}

#[tokio::test]
async fn a_full_disk_leaves_nothing_behind() {
    let Some(sshd) = Sshd::start(SshdOptions::default()) else {
        return;
    };
    let Some(disk) = TinyDisk::mount(shared_folder(&sshd, "disk")) else {
        return support::skip_or_fail(
            "a_full_disk_leaves_nothing_behind",
            "only root mounts a small disk",
        );
    };
    let session = connect(&sshd).await;
    let local = tempfile::tempdir().expect("a folder");
    let source = local.path().join("source");
    fs::write(&source, content(3 << 20)).expect("ours");
    let files = session.files().await.expect("SFTP");
    let error = files.upload(&source, text(&disk.0.join("there"))).await;
    let error = error.expect_err("no room");
    assert_eq!(error.kind(), ErrorKind::Transfer);
    let cause = std::error::Error::source(&error).map(ToString::to_string);
    let cause = cause.unwrap_or_default();
    assert!(cause.contains("(its disk may be full)"), "{cause}");
    assert!(names(&disk.0).is_empty());
    // And on our side.
    set_mode(local.path(), 0o755);
    let error = files.download(text(&source), disk.0.join("here")).await;
    assert_eq!(error.expect_err("no room").kind(), ErrorKind::Local);
    assert!(names(&disk.0).is_empty());
    assert_eq!(files.close().await, Termination::Confirmed);
}

#[tokio::test]
async fn a_log_that_grows_is_fetched_as_it_was() {
    let Some(sshd) = Sshd::start(SshdOptions::default()) else {
        return;
    };
    let session = connect(&sshd).await;
    let local = tempfile::tempdir().expect("a folder");
    let log = sshd.folder().join("growing");
    let begin = content(2 << 20);
    fs::write(&log, &begin).expect("ours");
    let (grown, rewritten) = (Arc::new(Mutex::new(0)), log.clone());
    let grow = Arc::clone(&grown);
    let path = log.clone();
    let files = session.files().await.expect("SFTP").progress(move |_| {
        let mut grown = grow.lock().expect("unpoisoned");
        *grown += 1;
        let mut file = fs::OpenOptions::new()
            .append(true)
            .open(&path)
            .expect("ours");
        std::io::Write::write_all(&mut file, b"more\n").expect("ours");
    });
    files
        .download(text(&log), local.path().join("log"))
        .await
        .expect("fetched");
    assert!(*grown.lock().expect("unpoisoned") > 0);
    assert!(fs::read(local.path().join("log")).expect("there") == begin);

    // One that is written anew is not taken for one that grows.
    let files = session.files().await.expect("SFTP").progress(move |_| {
        fs::write(&rewritten, vec![7; 3 << 20]).expect("ours");
    });
    fs::write(&log, &begin).expect("ours");
    let error = files.download(text(&log), local.path().join("other")).await;
    assert_eq!(error.expect_err("it changed").kind(), ErrorKind::Transfer);
    assert_eq!(names(local.path()), ["log"]);
}

#[tokio::test]
async fn a_limit_holds_back() {
    let Some(sshd) = Sshd::start(SshdOptions::default()) else {
        return;
    };
    let session = connect(&sshd).await;
    let folder = shared_folder(&sshd, "files");
    let source = folder.join("source");
    fs::write(&source, content(1 << 20)).expect("ours");
    let limit = Bandwidth::per_second(2 << 20);
    let started = Instant::now();
    for number in 0..2 {
        let files = session
            .files()
            .await
            .expect("SFTP")
            .bandwidth(limit.clone());
        let there = folder.join(number.to_string());
        files.upload(&source, text(&there)).await.expect("sent");
    }
    // A mebibyte each, less the last piece, which nothing waits behind.
    assert!(started.elapsed() > Duration::from_millis(900));
}
