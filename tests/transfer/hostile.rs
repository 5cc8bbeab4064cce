//! A host that tries to have files written where they do not belong.

use super::*;

#[tokio::test]
async fn no_name_that_a_host_gives_leads_out_of_the_folder() {
    // Where the login user can read it.
    let place = tempfile::tempdir().expect("a folder");
    set_mode(place.path(), 0o755);
    let server = place.path().join("server.py");
    fs::write(&server, include_str!("hostile_sftp.py")).expect("ours");
    set_mode(&server, 0o644);
    let command = format!("/usr/bin/env python3 {}", server.display());
    let options = SshdOptions::default().sftp_server(&command);
    let Some(sshd) = Sshd::start(options) else {
        return;
    };
    let session = connect(&sshd).await;
    let local = tempfile::tempdir().expect("a folder");
    let files = session.files().await.expect("SFTP");
    let files = files.options(TransferOptions::default().verify(false));

    let into = local.path().join("a/b");
    let fetched = files.download_tree("/tree", &into).await.expect("fetched");
    let count = |reason| {
        fetched
            .skipped
            .iter()
            .filter(|skipped| skipped.reason == reason)
            .count()
    };
    assert_eq!(count(SkippedBecause::BadName), 6, "{fetched:?}");
    assert_eq!(count(SkippedBecause::LeadsOut), 2, "{fetched:?}");
    assert_eq!(names(&into), ["good", "sub"]);
    assert_eq!(names(&into.join("sub")), ["inner"]);
    assert_eq!(
        fs::read_to_string(into.join("good")).expect("there"),
        "evil"
    );

    // A link, and then a folder of its name: nothing is written through it.
    let twice = local.path().join("twice");
    let error = files.download_tree("/twice", &twice).await;
    assert_eq!(error.expect_err("two of one name").kind(), ErrorKind::Local);
    assert_eq!(names(&twice), ["sub"]);
    assert!(!twice.join("sub").is_symlink());

    assert_eq!(names(local.path()), ["a", "twice"]);
    assert_eq!(names(&local.path().join("a")), ["b"]);
    assert!(!Path::new("/tmp/clusterops-escaped").exists());
}
