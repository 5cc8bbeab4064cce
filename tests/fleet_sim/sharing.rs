//! Several controllers that share the hosts of one run: one id, files read from elsewhere, reports that come one by one.

use super::*;

fn plan(file: &std::path::Path) -> Plan {
    Plan::new("share")
        .stage(Stage::upload("send", file, "/tmp/app"))
        .stage(Stage::command("start", ["start"]))
}

/// A host that starts nothing on `web2`.
fn model() -> SimHost {
    let start = |command: &SimCommand| match command.host.as_str() {
        "web2" => Answer::status(1),
        _ => Answer::new(),
    };
    SimHost::new("").answer_with("start", start)
}

#[tokio::test]
async fn two_controllers_make_one_report_that_can_be_retried() {
    let sim = start(alike(model(), 3)).await;
    let folder = tempfile::tempdir().expect("a folder");
    // Only the second controller has the file under the plan's name.
    let (named, placed) = (folder.path().join("named"), folder.path().join("placed"));
    std::fs::write(&placed, b"app").expect("a file");
    let plan = plan(&named);
    let shard = |names: &[&str]| {
        let targets = sim.targets().into_iter();
        let targets = targets.filter(|target| names.contains(&target.name.as_str()));
        fleet_of(targets).run_id("shared.1")
    };
    let elsewhere = shard(&["web1", "web2"]).places([(named.clone(), placed.clone())]);
    assert_eq!(
        shard(&["web1"])
            .run(&plan)
            .map_err(|error| error.kind())
            .err(),
        Some(ErrorKind::Local),
        "it is not there"
    );
    let first = run(&elsewhere, &plan).await;
    let digests = elsewhere.local_files(&plan).expect("it is read");
    assert_eq!(digests, first.files);
    assert_eq!(
        digests.keys().collect::<Vec<_>>(),
        [&*named.to_string_lossy()]
    );
    std::fs::rename(&placed, &named).expect("one file system");
    let second = run(&shard(&["web3"]), &plan).await;
    let whole = Report::merged([first, second]).expect("of one plan");
    assert_eq!((whole.run_id.as_str(), whole.hosts.len()), ("shared.1", 3));
    assert_eq!(whole.failed().to_string(), "web2");
    for host in sim.hosts() {
        for command in host.commands() {
            if command.line() == "start" {
                assert_eq!(command.environment["CLUSTEROPS_RUN"], "shared.1");
            }
        }
    }
    let again = retry(&shard(&["web1", "web2", "web3"]), &plan, &whole).await;
    assert_eq!(host(&again, "web2").stages[1].attempt, 2);
    assert_eq!(host(&again, "web1"), host(&whole, "web1"));
}

#[tokio::test]
async fn reports_come_before_the_events_that_tell_of_their_hosts() {
    let sim = start(alike(model(), 3)).await;
    let plan = Plan::new("start").stage(Stage::command("start", ["start"]));
    let (tell, mut ended) = tokio::sync::mpsc::unbounded_channel();
    let mut run = fleet(&sim).ended(tell).run(&plan).expect("a valid plan");
    let mut events = run.events();
    let mut told = BTreeMap::new();
    while let Some(event) = events.next().await {
        while let Ok(host) = ended.try_recv() {
            told.insert(host.name.clone(), host);
        }
        if let Event::Host { host, state } = event
            && state.is_final()
        {
            assert!(told.contains_key(&*host), "{host} was not told yet");
        }
    }
    let report = report(run).await;
    let told = Report::of_ended(&report.run_id, &plan, told.into_values());
    assert_eq!(told.hosts, report.hosts);
}

#[tokio::test]
async fn an_id_is_made_of_plain_letters() {
    let sim = start(alike(model(), 1)).await;
    let plan = Plan::new("start").stage(Stage::command("start", ["start"]));
    for id in ["", "a b", "a;b", &"a".repeat(65)] {
        let refused = fleet(&sim).run_id(id).run(&plan);
        assert_eq!(
            refused.map_err(|error| error.kind()).err(),
            Some(ErrorKind::Plan),
            "{id:?}"
        );
    }
    assert!(
        run(&fleet(&sim).run_id("a-b_c.1"), &plan)
            .await
            .is_success()
    );
}

/// A controller that is killed the moment after has it on disk.
#[tokio::test]
async fn an_end_is_in_the_journal_before_it_is_sent() {
    let sim = start(alike(model(), 6)).await;
    let plan = Plan::new("start").stage(Stage::command("start", ["start"]));
    let (folder, file) = super::journal::journal();
    let (tell, mut ended) = tokio::sync::mpsc::unbounded_channel();
    let fleet = fleet(&sim).parallelism(1).journal(&file).ended(tell);
    let run = fleet.run(&plan).expect("a valid plan");
    drop(fleet);
    for number in 1..=6 {
        let told = ended.recv().await.expect("six hosts");
        let copy = folder.path().join(format!("copy{number}"));
        for ending in ["", "-wal"] {
            let name = |file: &std::path::Path| format!("{}{ending}", file.display());
            std::fs::copy(name(&file), name(&copy)).expect("it is there");
        }
        let known = clusterops::Journal::open(&copy).expect("a journal");
        assert!(known.ended() >= number, "{} is missing", told.name);
        assert_eq!(host(&known.report(), &told.name), &told);
    }
    assert_eq!(report(run).await.failed().to_string(), "web2");
}
