//! Whole folders.

use super::*;

#[tokio::test]
async fn trees_arrive_as_they_were() {
    let Some(sshd) = Sshd::start(SshdOptions::default()) else {
        return;
    };
    let session = connect(&sshd).await;
    let folder = shared_folder(&sshd, "trees");
    let tree = tree();
    let files = session.files().await.expect("SFTP");
    let files = files.options(TransferOptions::default().times(true));
    let there = folder.join("there");
    let back = tempfile::tempdir().expect("a folder");
    // Twice: what is there already is replaced.
    for _ in 0..2 {
        let sent = files.upload_tree(tree.path(), text(&there)).await;
        let sent = sent.expect("sent");
        let fetched = files
            .download_tree(text(&there), back.path().join("x/y"))
            .await;
        let fetched = fetched.expect("fetched");
        assert_eq!(sent, fetched);
        assert_eq!((sent.files, sent.folders, sent.links), (156, 5, 4));
        assert_eq!(sent.skipped_count, 0);
        let mut expected = listing(tree.path());
        // Set-user-ID is not kept.
        expected.get_mut(Path::new("a")).expect("there").1 = 0o751;
        assert_eq!(listing(&there), expected);
        assert_eq!(listing(&back.path().join("x/y")), expected);
    }
    assert_eq!(files.close().await, Termination::Confirmed);
}

#[tokio::test]
async fn no_link_leads_out_of_a_tree() {
    let Some(sshd) = Sshd::start(SshdOptions::default()) else {
        return;
    };
    let session = connect(&sshd).await;
    let folder = shared_folder(&sshd, "links");
    let source = tempfile::tempdir().expect("a folder");
    let root = source.path();
    set_mode(root, 0o755);
    fs::create_dir(root.join("d")).expect("ours");
    fs::write(root.join("f"), "inside").expect("ours");
    for (name, target) in [("abs", "/etc/passwd"), ("up", "../x"), ("d/up", "../../x")] {
        symlink(target, root.join(name)).expect("ours");
    }
    symlink("../f", root.join("d/good")).expect("ours");
    let made = std::process::Command::new("mkfifo")
        .arg(root.join("pipe"))
        .status();
    assert!(made.expect("coreutils are installed").success());

    let files = session.files().await.expect("SFTP");
    let there = folder.join("there");
    let sent = files.upload_tree(root, text(&there)).await.expect("sent");
    let why = |done: &clusterops::ssh::Transferred| {
        let mut skipped: Vec<_> = done
            .skipped
            .iter()
            .map(|skipped| (skipped.path.clone(), skipped.reason))
            .collect();
        skipped.sort_by(|one, other| one.0.cmp(&other.0));
        skipped
    };
    let expected = [
        ("abs".to_owned(), SkippedBecause::LeadsOut),
        ("d/up".to_owned(), SkippedBecause::LeadsOut),
        ("pipe".to_owned(), SkippedBecause::Special),
        ("up".to_owned(), SkippedBecause::LeadsOut),
    ];
    assert_eq!(why(&sent), expected);
    assert_eq!(names(&there), ["d", "f"]);
    assert_eq!(
        fs::read_link(there.join("d/good")).expect("made"),
        Path::new("../f")
    );
    // The same from the host.
    let back = tempfile::tempdir().expect("a folder");
    let fetched = files
        .download_tree(text(root), back.path())
        .await
        .expect("fetched");
    assert_eq!(why(&fetched), expected);
    assert_eq!(names(back.path()), ["d", "f"]);

    // A link in the way of a folder is not followed, on neither side.
    let elsewhere = shared_folder(&sshd, "elsewhere");
    for (tree, is_upload) in [(&there, true), (&back.path().to_owned(), false)] {
        fs::remove_dir_all(tree.join("d")).expect("ours");
        symlink(&elsewhere, tree.join("d")).expect("ours");
        let refused = match is_upload {
            true => files.upload_tree(root, text(tree)).await,
            false => files.download_tree(text(root), tree).await,
        };
        let error = refused.expect_err("a link is in the way");
        assert!(error.to_string().contains("/d`"), "{error}");
        assert!(names(&elsewhere).is_empty());
    }
}
