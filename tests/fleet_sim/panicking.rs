//! Credentials that break down: a host's failure like others, and no loss of what it had done.

use std::sync::Arc;

use clusterops::core::secrecy::SecretString;
use clusterops::journal::Journal;
use clusterops::{Credentials, Purpose};

use super::journal::{attempts, journal, resume};
use super::*;

/// Panics for `web2` as long as it is broken, with the secret in what it says.
#[derive(Debug)]
struct Fragile(AtomicBool);

impl Fragile {
    fn new() -> Arc<Self> {
        Arc::new(Self(AtomicBool::new(true)))
    }

    fn heal(&self) {
        self.0.store(false, Ordering::SeqCst);
    }
}

#[async_trait::async_trait]
impl Credentials for Fragile {
    async fn secret(
        &self,
        target: &Target,
        _: &Purpose,
    ) -> clusterops::ssh::Result<Option<SecretString>> {
        tokio::task::yield_now().await;
        let is_broken = self.0.load(Ordering::SeqCst) && target.name == "web2";
        assert!(!is_broken, "a panic beside swordfish");
        Ok(Some("swordfish".to_owned().into()))
    }
}

fn check_failure(report: &Report, stage: Option<&str>) {
    assert_eq!(report.failed().to_string(), "web2", "{report}");
    let failure = host(report, "web2").failure.as_ref().expect("it failed");
    assert_eq!(failure.kind, ErrorKind::Secret);
    assert_eq!(failure.stage.as_deref(), stage);
    assert!(failure.message.contains("panicked"), "{failure}");
    assert!(!format!("{report:?}").contains("swordfish"), "{report:?}");
}

#[tokio::test]
async fn credentials_that_panic_fail_their_host_alone_and_nothing_runs_twice() {
    let host_of_all = SimHost::new("")
        .answer("one", Answer::new())
        .answer("two", Answer::new())
        .answer("three", Answer::new());
    let sim = start(alike(host_of_all, 3)).await;
    let plan = Plan::new("p")
        .stage(Stage::command("one", ["one"]).barrier())
        .stage(Stage::command("two", ["two"]).secret_env("PASSWORD", "db"))
        .stage(Stage::command("three", ["three"]));
    let (fragile, (_folder, file)) = (Fragile::new(), journal());
    let fleet = fleet(&sim).credentials(fragile.clone());
    let told = run(&fleet.clone().journal(&file), &plan).await;
    check_failure(&told, Some("two"));
    let web2 = host(&told, "web2");
    assert_eq!(web2.stages[0].status, StageStatus::Done, "{web2:?}");
    assert_eq!(web2.attempts, [1, 1]);

    let held = Journal::open(&file).expect("a journal");
    assert!(held.is_finished());
    assert_eq!(held.report().hosts, told.hosts);
    let commands = || sim.hosts().map(|host| lines(&host)).collect::<Vec<_>>();
    let all = ["one", "two", "three"].map(str::to_owned).to_vec();
    let before = [all.clone(), vec!["one".to_owned()], all.clone()];
    assert_eq!(commands(), before);
    let again = resume(&fleet, &plan, &file).await;
    assert_eq!(again.hosts, told.hosts);
    assert_eq!(commands(), before);

    fragile.heal();
    let again = retry(&fleet, &plan, &told).await;
    assert!(again.is_success(), "{again}");
    assert_eq!(commands(), [all.clone(), all.clone(), all]);
    assert_eq!(attempts(&sim, "web2", "two"), ["2"]);
}

#[tokio::test]
async fn credentials_that_panic_undo_what_their_host_did() {
    let diary = Diary::default();
    let sim = start(alike(diary.host(|_, _| false), 3)).await;
    let plan = Plan::new("p")
        .stage(noted("one"))
        .stage(noted("two").secret_env("PASSWORD", "db"));
    let told = run(&fleet(&sim).credentials(Fragile::new()), &plan).await;
    check_failure(&told, Some("two"));
    assert_eq!(diary.of("web1"), ["one", "two"]);
    assert_eq!(diary.of("web2")[..1], ["one"]);
    assert!(diary.of("web2").contains(&"undo one".to_owned()));
    assert!(!diary.of("web2").contains(&"two".to_owned()));
}

#[tokio::test]
async fn credentials_that_panic_at_the_login_are_that_hosts_failure() {
    let host = SimHost::new("")
        .answer("one", Answer::new())
        .password("swordfish");
    let sim = start(alike(host, 3)).await;
    let plan = Plan::new("p").stage(Stage::command("one", ["one"]));
    let mut targets = sim.targets();
    targets
        .iter_mut()
        .for_each(|target| target.identity_file = None);
    let session = SessionOptions::default()
        .config(clusterops::config::Config::none().expect("there is a user"))
        .credentials(Fragile::new())
        .agent(false);
    let fleet = Fleet::new(targets).session(session);
    let told = run(&fleet, &plan).await;
    check_failure(&told, None);
}
