//! Transfers that were cut off.

use super::*;

/// Transfers until some of it is over, then cuts the connection on the host's side.
async fn cut_off(
    sshd: &Sshd,
    work: impl Future<Output = clusterops::ssh::Result<clusterops::ssh::Transferred>>,
    progress: &AtomicU64,
    enough: u64,
) -> clusterops::ssh::Error {
    let cutting = async {
        while progress.load(Ordering::Relaxed) < enough {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        let servers = sshd.processes();
        for process in servers.into_iter().filter(|process| *process != sshd.pid()) {
            let process = rustix::process::Pid::from_raw(process as i32).expect("not 0");
            let _ = rustix::process::kill_process(process, rustix::process::Signal::KILL);
        }
        std::future::pending::<()>().await;
    };
    tokio::select! {
        result = work => result.expect_err("the connection is cut"),
        () = cutting => unreachable!("it waits for ever"),
    }
}

/// Files at such a rate that they can be cut off on the way, and how many bytes are over.
async fn slow(session: &Session) -> (Files<'_>, Arc<AtomicU64>) {
    let over = Arc::new(AtomicU64::new(0));
    let files = session.files().await.expect("SFTP");
    let watched = Arc::clone(&over);
    let files = files
        .bandwidth(Bandwidth::per_second(8 << 20))
        .progress(move |progress| watched.store(progress.bytes, Ordering::Relaxed));
    (files, over)
}

#[tokio::test]
async fn a_broken_transfer_goes_on_where_it_was() {
    let Some(sshd) = Sshd::start(SshdOptions::default()) else {
        return;
    };
    let folder = shared_folder(&sshd, "files");
    let local = tempfile::tempdir().expect("a folder");
    let size = 20 << 20;
    let (source, back) = (local.path().join("source"), local.path().join("back"));
    fs::write(&source, content(size)).expect("ours");
    let there = folder.join("there");
    for is_upload in [true, false] {
        let work = async |files: &Files<'_>| match is_upload {
            true => files.upload(&source, text(&there)).await,
            false => files.download(text(&there), &back).await,
        };
        let session = connect(&sshd).await;
        let (files, over) = slow(&session).await;
        let error = cut_off(&sshd, work(&files), &over, 2 << 20).await;
        assert_eq!(error.kind(), ErrorKind::Disconnected, "{error:?}");
        if is_upload {
            assert!(matches!(files.close().await, Termination::Unconfirmed(_)));
        }
        let left = if is_upload { &folder } else { local.path() };
        let part = |name: &String| name.ends_with(".part");
        assert_eq!(names(left).iter().filter(|name| part(name)).count(), 1);

        let session = connect(&sshd).await;
        let files = session.files().await.expect("SFTP");
        let done = work(&files).await.expect("it goes on");
        assert!(done.resumed >= 1 << 20, "{done:?}");
        assert_eq!(done.resumed + done.bytes, size as u64);
        assert_eq!(names(left).iter().filter(|name| part(name)).count(), 0);
        let end = if is_upload { &there } else { &back };
        assert!(fs::read(end).expect("there") == content(size));
    }
}

#[tokio::test]
async fn two_uploads_of_one_file_leave_each_other_alone() {
    let Some(sshd) = Sshd::start(SshdOptions::default()) else {
        return;
    };
    let folder = shared_folder(&sshd, "files");
    let local = tempfile::tempdir().expect("a folder");
    let source = local.path().join("source");
    fs::write(&source, content(64 << 20)).expect("ours");
    let there = folder.join("there");
    let (session, other) = (connect(&sshd).await, connect(&sshd).await);
    let (files, over) = slow(&session).await;
    let second = async {
        while over.load(Ordering::Relaxed) < 1 << 20 {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        let files = other.files().await.expect("SFTP");
        files.upload(&source, text(&there)).await
    };
    let (first, second) = tokio::join!(files.upload(&source, text(&there)), second);
    assert_eq!(first.expect("nobody took it").resumed, 0);
    assert_eq!(second.expect("it has its own").resumed, 0);
    assert_eq!(names(&folder), ["there"]);
    assert!(fs::read(there).expect("there") == content(64 << 20));
}

#[tokio::test]
async fn nothing_is_built_on_what_is_not_the_start() {
    let Some(sshd) = Sshd::start(SshdOptions::default()) else {
        return;
    };
    let folder = shared_folder(&sshd, "files");
    let local = tempfile::tempdir().expect("a folder");
    let source = local.path().join("source");
    fs::write(&source, content(4 << 20)).expect("ours");
    let there = folder.join("there");
    let session = connect(&sshd).await;
    let (files, over) = slow(&session).await;
    cut_off(&sshd, files.upload(&source, text(&there)), &over, 1 << 20).await;
    let name = names(&folder)
        .into_iter()
        .find(|name| name.ends_with(".part"));
    let part = folder.join(name.expect("it was left"));
    let mut damaged = fs::read(&part).expect("ours");
    damaged[1000] ^= 1;
    fs::write(&part, damaged).expect("ours");
    let session = connect(&sshd).await;
    let files = session.files().await.expect("SFTP");
    let done = files.upload(&source, text(&there)).await.expect("sent");
    assert_eq!((done.resumed, done.bytes), (0, 4 << 20));
    assert_eq!(names(&folder), ["there"]);
    assert!(fs::read(there).expect("there") == content(4 << 20));
}
