//! Rollouts whose controller is killed (SIGKILL) at several moments, on simulated hosts that outlive it.

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};
use std::process::Child;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock};
use std::time::Duration;

use clusterops::journal::{Journal, Leftover};
use clusterops::report::Ending;
use clusterops::rollout::{Rollout, Share};
use clusterops::sim::{Answer, Fault, Match, Sim, SimCommand, SimHandle, SimHost};
use clusterops::ssh::ErrorKind;
use clusterops::{Plan, Report, Stage, Target};
use serde_json::json;
use tempfile::TempDir;

use super::{fleet, part, wait_until};

#[tokio::test(flavor = "multi_thread")]
#[ignore = "a part of the tests here"]
async fn part_that_goes_on() {
    let (plan, targets, rollout, journal): (Plan, Vec<Target>, Rollout, PathBuf) =
        serde_json::from_value(part::about()).expect("the test wrote it");
    let fleet = fleet(targets).rollout(rollout).leftover(Leftover::End);
    let run = match journal.exists() {
        true => fleet.resume(&plan, &journal),
        false => fleet.journal(&journal).run(&plan),
    };
    let _ = run.expect("it can be run").await;
}

/// What a host is told, in order, and what of it began beside another attempt.
#[derive(Debug, Default)]
struct Truth {
    begun: Vec<(String, String)>,
    at_once: usize,
    /// What begins from this one on does not end by itself: the controller is about to be killed.
    moment: Option<usize>,
}

impl Truth {
    fn count(&self, host: &str, stage: &str) -> usize {
        let is_it = |(other, what): &&(String, String)| other == host && what == stage;
        self.begun.iter().filter(is_it).count()
    }
}

/// Simulated hosts, and a run on them that takes several controllers.
struct Scene {
    sim: Sim,
    truth: Arc<Mutex<Truth>>,
    plan: Plan,
    rollout: Rollout,
    folder: TempDir,
}

struct Killed(Child);

impl Drop for Killed {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Scene {
    /// Hosts `web01` to `web12`; a stage takes a while, and fails where `fails` says so. Some cannot be reached.
    async fn start(
        stages: [Stage; 2],
        rollout: Rollout,
        fails: fn(&str, &str) -> bool,
        dead: &[usize],
    ) -> Self {
        let truth = Arc::<Mutex<Truth>>::default();
        let handles = Arc::new(OnceLock::<HashMap<String, SimHandle>>::new());
        let (noted, known) = (Arc::clone(&truth), Arc::clone(&handles));
        let host =
            SimHost::new("").answer_with(Match::prefix("take "), move |command: &SimCommand| {
                let stage = |environment: &BTreeMap<String, String>| {
                    environment.get("CLUSTEROPS_STAGE").cloned()
                };
                let own = stage(&command.environment);
                let processes = known
                    .get()
                    .map(|handles| handles[&command.host].processes());
                let processes = processes.into_iter().flatten();
                let alike = processes.filter(|process| stage(&process.environment) == own);
                let alike = alike.count();
                let stage = own.unwrap_or_default();
                let mut truth = noted.lock().expect("no panic");
                // This one is there too.
                truth.at_once += usize::from(alike > 1);
                truth.begun.push((command.host.clone(), stage.clone()));
                let answer = Answer::status(u8::from(fails(&command.host, &stage)));
                match truth
                    .moment
                    .is_some_and(|moment| truth.begun.len() >= moment)
                {
                    true => answer.with_fault(Fault::NeverExits),
                    false => answer.with_delay(Duration::from_millis(60)),
                }
            });
        let hosts = (1..=12).map(|number| {
            let host = host.named(format!("web{number:02}"));
            match dead.contains(&number) {
                true => host.fault(Fault::Refuse),
                false => host,
            }
        });
        let sim = Sim::start(hosts).await.expect("loopback has room");
        let handle = |target: Target| (target.name.clone(), sim.host(&target.name));
        let all = sim.targets().into_iter().map(handle).collect();
        assert!(handles.set(all).is_ok());
        let [one, two] = stages;
        Self {
            sim,
            truth,
            plan: Plan::new("p").stage(one).stage(two),
            rollout,
            folder: tempfile::tempdir().expect("a folder"),
        }
    }

    fn truth(&self) -> MutexGuard<'_, Truth> {
        self.truth.lock().expect("no panic")
    }

    fn journal(&self) -> PathBuf {
        self.folder.path().join("run.journal")
    }

    fn controller(&self) -> Killed {
        let about = json!([self.plan, self.sim.targets(), self.rollout, self.journal()]);
        let mut command = part::command(&[], "resumed::part_that_goes_on", &about);
        command.stdout(std::process::Stdio::null());
        Killed(command.spawn().expect("this program"))
    }

    /// Kills a controller each time when so many stages have begun on all hosts; gives how often one was killed before
    /// the run had come to its end. What a journal holds as finished is never begun again.
    async fn killed_at(&self, moments: &[usize]) -> usize {
        let mut kills = 0;
        for &moment in moments {
            self.truth().moment = Some(moment);
            let mut controller = self.controller();
            wait_until("the moment", || {
                let has_ended = controller.0.try_wait().expect("our child").is_some();
                has_ended || self.truth().begun.len() >= moment
            })
            .await;
            kills += usize::from(controller.0.try_wait().expect("our child").is_none());
            drop(controller);
            self.recorded();
        }
        self.truth().moment = None;
        kills
    }

    /// The last controller comes to its end.
    async fn report(&self) -> Report {
        let before = self.recorded();
        let mut controller = self.controller();
        wait_until("the end", || {
            controller.0.try_wait().expect("our child").is_some()
        })
        .await;
        for ((host, stage), count) in before {
            let now = self.truth().count(&host, &stage);
            assert_eq!(now, count, "{stage} was finished on {host}");
        }
        assert_eq!(self.truth().at_once, 0, "two attempts at once");
        let journal = Journal::open(self.journal()).expect("a journal");
        assert!(journal.is_finished());
        journal.report()
    }

    /// How often the stages have begun that the journal holds as finished.
    fn recorded(&self) -> HashMap<(String, String), usize> {
        let report = recorded(&self.journal());
        let hosts = report.iter().flat_map(|report| &report.hosts);
        let mut found = HashMap::new();
        for host in hosts {
            for (stage, told) in self.plan.stages.iter().zip(&host.stages) {
                if told.is_finished() {
                    let count = self.truth().count(&host.name, &stage.name);
                    found.insert((host.name.clone(), stage.name.clone()), count);
                }
            }
        }
        found
    }
}

/// What a journal holds; nothing where its run has not begun.
fn recorded(journal: &Path) -> Option<Report> {
    match Journal::open(journal) {
        Ok(journal) => Some(journal.report()),
        Err(_) if !journal.exists() => None,
        Err(error) => {
            assert!(error.to_string().contains("holds no run yet"), "{error}");
            std::fs::remove_file(journal).expect("ours");
            None
        }
    }
}

fn stage(name: &str) -> Stage {
    Stage::command(name, ["take", name])
}

fn number(host: &str) -> usize {
    host.trim_start_matches("web").parse().expect("our name")
}

#[tokio::test(flavor = "multi_thread")]
async fn batches_go_on_where_they_stood() {
    let rollout = Rollout::default().batches([Share::Hosts(3)]);
    let stages = [stage("one").barrier(), stage("two")];
    let scene = Scene::start(stages, rollout, |_, _| false, &[]).await;
    let kills = scene.killed_at(&[1, 4, 8, 13, 19, 25]).await;
    assert!(kills >= 5, "{kills}");
    let report = scene.report().await;
    assert!(report.is_success(), "{report}");
    // One batch behind the other, however often it was taken up; a barrier in each.
    let place = |(host, stage): &(String, String)| ((number(host) - 1) / 3, stage == "two");
    let places: Vec<_> = scene.truth().begun.iter().map(place).collect();
    assert!(places.is_sorted(), "{places:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_canary_that_had_failed_still_stops_the_run() {
    let rollout = Rollout::default()
        .canaries("web[03-05]".parse().expect("a host set"))
        .failure_budget(Share::Percent(90.0));
    let fails = |host: &str, stage: &str| host == "web04" && stage == "one";
    for moments in [&[1, 3][..], &[4], &[5, 6]] {
        let scene = Scene::start([stage("one"), stage("two")], rollout.clone(), fails, &[]).await;
        let kills = scene.killed_at(moments).await;
        assert!(kills > 0, "{moments:?}");
        let report = scene.report().await;
        assert_eq!(report.ending, Ending::Stopped, "{report}");
        assert_eq!(report.succeeded().to_string(), "web[03,05]");
        let failure = report.host("web01").and_then(|host| host.failure.as_ref());
        let failure = failure.expect("not begun");
        assert_eq!(failure.kind, ErrorKind::Blocked);
        assert_eq!(failure.message, "not begun: the canary web04 failed");
        let truth = scene.truth();
        let mut begun = truth.begun.iter().map(|(host, _)| number(host));
        assert!(begun.all(|number| (3..=5).contains(&number)), "{truth:?}");
    }
}

/// Two hosts cannot be reached, and two fail; in batches of four that is 2, 4 and 4.
#[tokio::test(flavor = "multi_thread")]
async fn the_failure_budget_counts_each_host_once() {
    let fails =
        |host: &str, stage: &str| matches!((host, stage), ("web03", "one") | ("web07", "two"));
    for (budget, ending, succeeded) in [
        (3, Ending::Stopped, "web[01,04,06,08]"),
        (4, Ending::Completed, "web[01,04,06,08-12]"),
    ] {
        let rollout = Rollout::default()
            .batches([Share::Hosts(4)])
            .failure_budget(Share::Hosts(budget));
        let stages = [stage("one").barrier(), stage("two")];
        let scene = Scene::start(stages, rollout, fails, &[2, 5]).await;
        let kills = scene.killed_at(&[2, 4, 6, 8, 9, 10]).await;
        assert!(kills >= 4, "{kills}");
        let report = scene.report().await;
        assert_eq!(report.ending, ending, "{report}");
        assert_eq!(report.succeeded().to_string(), succeeded, "{report}");
        let is_dead = |host: &str| {
            let failure = report.host(host).and_then(|host| host.failure.as_ref());
            failure.is_some_and(|failure| failure.kind == ErrorKind::Refused)
        };
        assert!(is_dead("web02") && is_dead("web05"), "{report}");
        assert_eq!(scene.truth().count("web03", "two"), 0);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_once_stage_is_begun_by_one_host_only() {
    let rollout = Rollout::default().batches([Share::Hosts(5)]);
    let stages = [stage("one").run_once(), stage("two")];
    let scene = Scene::start(stages, rollout, |_, _| false, &[]).await;
    let kills = scene.killed_at(&[1, 2, 3, 6, 9]).await;
    assert!(kills >= 4, "{kills}");
    let report = scene.report().await;
    assert!(report.is_success(), "{report}");
    let truth = scene.truth();
    let of_one: Vec<_> = truth
        .begun
        .iter()
        .filter(|(_, stage)| stage == "one")
        .collect();
    assert!(of_one.iter().all(|(host, _)| host == "web01"), "{of_one:?}");
    // Each of the first three kills can take one away.
    assert!(of_one.len() <= 4, "{of_one:?}");
}
