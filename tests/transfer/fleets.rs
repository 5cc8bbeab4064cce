//! Files in plans.

use super::*;

#[tokio::test]
async fn a_fleet_sends_and_fetches() {
    let Some(sshd) = Sshd::start(SshdOptions::default()) else {
        return;
    };
    let folder = shared_folder(&sshd, "files");
    let local = tempfile::tempdir().expect("a folder");
    let (tree, fetched) = (tree(), local.path().join("fetched"));
    let file = local.path().join("file");
    fs::write(&file, content(700_000)).expect("ours");
    let targets: Vec<_> = (1..=5)
        .map(|n| sshd.target(&format!("../web/{n}"), &format!("127.0.0.{n}")))
        .collect();
    let there = |what: &str| format!("{}/{what}-{{{{address}}}}", folder.display());
    let plan = Plan::new("files")
        .stage(
            Stage::upload("file", &file, there("file"))
                .transfer(TransferOptions::default().times(true))
                .mode(0o604),
        )
        .stage(Stage::upload_tree("tree", tree.path(), there("tree")))
        .stage(Stage::fetch("fetch file", there("file"), &fetched))
        .stage(Stage::fetch("fetch tree", there("tree"), &fetched));
    let stored = serde_json::to_string(&plan).expect("plain data");
    let plan: Plan = serde_json::from_str(&stored).expect("it reads back");
    let fleet = Fleet::new(targets)
        .session(options())
        .bandwidth(Bandwidth::per_second(1 << 30));
    let twice = plan
        .clone()
        .stage(Stage::fetch("again", there("sub/file") + "/", &fetched));
    let error = fleet.dry_run(&twice).expect_err("one would be lost");
    let says = "stage `again` would overwrite what stage `fetch file` fetches";
    assert!(error.message().contains(says), "{error}");
    assert!(error.message().contains("/file-127.0.0."), "{error}");
    let shown = fleet.dry_run(&plan).expect("it can run").to_string();
    assert!(
        shown.contains("file-127.0.0.1 with mode 0604 with times"),
        "{shown}"
    );
    assert!(
        shown.contains("copy folder") && shown.contains("tree-127.0.0.2 into"),
        "{shown}"
    );

    let mut run = fleet.run(&plan).expect("it starts");
    let mut events = run.events();
    let mut seen = 0;
    while let Some(event) = events.next().await {
        if let Event::Transfer { progress, .. } = event {
            assert!(progress.bytes > 0);
            seen += 1;
        }
    }
    assert!(seen > 0);
    let report = run.await.expect("it ends");
    assert!(report.is_success(), "{report}\n{}", sshd.log());
    assert_eq!(report.files.len(), 2);
    let read = serde_json::from_str(&serde_json::to_string(&report).expect("data"));
    assert_eq!(report, read.expect("it reads back"));
    for n in 1..=5 {
        let host = fetched.join(format!("%2E.%2Fweb%2F{n}"));
        let name = |what| format!("{what}-127.0.0.{n}");
        assert_eq!(names(&host), [name("file"), name("tree")]);
        assert!(fs::read(host.join(name("file"))).expect("there") == content(700_000));
        assert_eq!(mode(&host.join(name("file"))), 0o604);
        assert_eq!(
            listing(&host.join(name("tree"))).len(),
            listing(tree.path()).len()
        );
        let stages = &report.hosts[n - 1].stages;
        let transferred = stages[0].transferred.as_ref().expect("it was one");
        assert_eq!((transferred.bytes, transferred.files), (700_000, 1));
    }

    // A changed tree is not what the report is about.
    fs::write(tree.path().join("a"), "b").expect("ours");
    // Nobody gets it any more; a new host would.
    let again = fleet.retry(&plan, &report).expect("it starts").await;
    assert!(again.expect("nothing to do").is_success());
    let new = clusterops::Target {
        name: "new".into(),
        ..fleet.targets()[0].clone()
    };
    let error = Fleet::new(fleet.targets().iter().cloned().chain([new]))
        .session(options())
        .retry(&plan, &report)
        .expect("it starts")
        .await;
    let error = error.expect_err("another tree");
    assert_eq!(error.kind(), ErrorKind::Plan);
    assert!(error.to_string().contains(text(tree.path())), "{error}");
}

#[tokio::test]
async fn a_run_that_ends_before_its_time_tidies_up() {
    let Some(sshd) = Sshd::start(SshdOptions::default()) else {
        return;
    };
    let folder = shared_folder(&sshd, "files");
    let local = tempfile::tempdir().expect("a folder");
    let file = local.path().join("file");
    fs::write(&file, content(8 << 20)).expect("ours");
    let upload = || Stage::upload("file", &file, text(&folder.join("there")));
    let fleet = Fleet::new([sshd.target("web1", "127.0.0.1")])
        .session(options())
        .bandwidth(Bandwidth::per_second(256 << 10));
    let late = Plan::new("late").stage(upload().deadline(Duration::from_secs(5)));
    let report = fleet.run(&late).expect("it starts").await.expect("it ends");
    let failure = report.hosts[0].failure.as_ref().expect("it is late");
    assert_eq!(failure.kind, ErrorKind::Timeout);
    assert_eq!(report.hosts[0].termination, Some(Termination::Confirmed));
    assert!(names(&folder).is_empty());

    let mut run = fleet
        .run(&Plan::new("cancelled").stage(upload()))
        .expect("it starts");
    let (mut events, control) = (run.events(), run.control());
    let mut is_cancelled = false;
    while let Some(event) = events.next().await {
        if matches!(event, Event::Transfer { .. }) && !is_cancelled {
            assert_eq!(names(&folder).len(), 1);
            control.cancel();
            is_cancelled = true;
        }
    }
    assert!(is_cancelled);
    let report = run.await.expect("it ends");
    assert_eq!(report.hosts[0].termination, Some(Termination::Confirmed));
    assert!(names(&folder).is_empty());
}
