//! Fleets, plans and runs over simulated hosts: what breaks, how it is told, and what is left behind.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::{Duration, Instant};

use clusterops::plan::RollbackWhen;
use clusterops::report::{Ending, HostReport, SkipReason, StageStatus};
use clusterops::sim::{Answer, Fault, Match, Signal, Sim, SimCommand, SimHandle, SimHost};
use clusterops::ssh::{ConnectRetries, Control, ErrorKind, Exit, HostState, RunState, Termination};
use clusterops::{
    Command, Event, Fleet, Plan, Report, Run, Session, SessionOptions, Stage, Step, Target,
};

mod connections;
mod ending;
mod journal;
mod order;
mod outcomes;
mod output;
mod panicking;
mod resuming;
mod retrying;
mod rolling;
mod sharing;
mod steering;

/// How long anything that must come about may take.
const PATIENCE: Duration = Duration::from_secs(90);

async fn start(hosts: impl IntoIterator<Item = SimHost>) -> Sim {
    Sim::start(hosts).await.expect("loopback has room")
}

/// `web1` and the following, all alike.
fn alike(host: SimHost, count: usize) -> impl Iterator<Item = SimHost> {
    (1..=count).map(move |number| host.named(format!("web{number}")))
}

fn fleet(sim: &Sim) -> Fleet {
    fleet_of(sim.targets())
}

fn fleet_of(targets: impl IntoIterator<Item = Target>) -> Fleet {
    Fleet::new(targets)
        .session(
            SessionOptions::default()
                .config(clusterops::config::Config::none().expect("there is a user"))
                .agent(false),
        )
        .connect_retries(retries(4))
}

fn retries(attempts: u32) -> ConnectRetries {
    ConnectRetries::default()
        .attempts(attempts)
        .first_pause(Duration::from_millis(20))
        .longest_pause(Duration::from_millis(50))
}

/// The report of a run, which every time must survive JSON.
async fn report(run: Run) -> Report {
    let report = tokio::time::timeout(PATIENCE, run)
        .await
        .expect("the run ends")
        .expect("it goes on whatever happens to its hosts");
    let json = serde_json::to_string(&report).expect("plain data");
    let read: Report = serde_json::from_str(&json).expect("it reads back");
    assert_eq!(read, report);
    read
}

async fn run(fleet: &Fleet, plan: &Plan) -> Report {
    report(fleet.run(plan).expect("a valid plan")).await
}

async fn retry(fleet: &Fleet, plan: &Plan, earlier: &Report) -> Report {
    report(fleet.retry(plan, earlier).expect("the same plan")).await
}

fn host<'a>(report: &'a Report, name: &str) -> &'a HostReport {
    report.host(name).expect("a host of the fleet")
}

fn kind(report: &HostReport) -> Option<ErrorKind> {
    report.failure.as_ref().map(|failure| failure.kind)
}

fn exit(report: &HostReport) -> Option<Exit> {
    report.stages.last().and_then(|stage| stage.exit.clone())
}

async fn wait_until(what: &str, mut condition: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !condition() {
        assert!(Instant::now() < deadline, "{what} did not come about");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// Reads events until every host's latest state fits.
async fn wait_for_states(
    events: &mut clusterops::event::Events,
    hosts: usize,
    fits: impl Fn(&str, &HostState) -> bool,
) {
    let mut fitting = BTreeMap::new();
    let read = async {
        while fitting.len() < hosts || fitting.values().any(|fits| !fits) {
            let event = events.next().await.expect("the run goes on");
            if let Event::Host { host, state } = event {
                let fits = fits(&host, &state);
                fitting.insert(host, fits);
            }
        }
    };
    let waited = tokio::time::timeout(PATIENCE, read).await;
    assert!(waited.is_ok(), "the states did not come about: {fitting:?}");
}

fn lines(host: &SimHandle) -> Vec<String> {
    let commands = host.commands();
    commands
        .iter()
        .map(|command| command.line().into_owned())
        .collect()
}

/// A host that loses the connection over which it was told to `serve`, which goes on there; until it is not broken any more.
fn losing_connections() -> (SimHost, Arc<AtomicBool>) {
    let is_broken = Arc::new(AtomicBool::new(true));
    let broken = Arc::clone(&is_broken);
    let serve = move |_: &SimCommand| match broken.load(Ordering::SeqCst) {
        true => Answer::never_exits().with_fault(Fault::DropDuringCommand),
        false => Answer::new(),
    };
    let host = SimHost::new("").own_port().answer_with("serve", serve);
    (host, is_broken)
}

/// What happened on all hosts, in order: the host and what it was told to do.
#[derive(Clone, Default)]
struct Diary(Arc<Mutex<Vec<(String, String)>>>);

impl Diary {
    /// A host that notes every command that starts with `note`, and fails where that is to be.
    fn host(&self, fails: impl Fn(&str, &str) -> bool + Send + Sync + 'static) -> SimHost {
        let diary = self.clone();
        SimHost::new("").answer_with(Match::prefix("note "), move |command: &SimCommand| {
            let line = command.line();
            let what = line.trim_start_matches("note ");
            diary
                .0
                .lock()
                .expect("no test failed yet")
                .push((command.host.clone(), what.to_owned()));
            Answer::status(u8::from(fails(&command.host, what)))
        })
    }

    fn of(&self, host: &str) -> Vec<String> {
        let entries = self.0.lock().expect("no test failed yet");
        entries
            .iter()
            .filter(|(name, _)| name == host)
            .map(|(_, what)| what.clone())
            .collect()
    }

    fn places(&self, what: &str) -> Vec<usize> {
        let entries = self.0.lock().expect("no test failed yet");
        entries
            .iter()
            .enumerate()
            .filter(|(_, entry)| entry.1 == what)
            .map(|(place, _)| place)
            .collect()
    }
}

/// Steers a run from within its hosts' commands.
#[derive(Clone, Default)]
struct Steering(Arc<OnceLock<Control>>);

impl Steering {
    /// Does this when the `count`-th command comes; no command fails.
    fn at(
        &self,
        count: usize,
        act: fn(&Control),
    ) -> impl Fn(&str, &str) -> bool + Send + Sync + 'static {
        let (steering, seen) = (self.clone(), AtomicUsize::new(0));
        move |_, _| {
            if seen.fetch_add(1, Ordering::SeqCst) + 1 == count {
                act(steering.0.get().expect("the run is known"));
            }
            false
        }
    }

    fn take(&self, run: &Run) -> Control {
        self.0.get_or_init(|| run.control()).clone()
    }
}

/// A stage that is noted, and whose rollback is.
fn noted(name: &str) -> Stage {
    Stage::command(name, ["note", name]).rollback(Step::command(["note", "undo", name]))
}

/// The host's number, from its name.
fn number(host: &str) -> usize {
    host.trim_start_matches("web")
        .parse()
        .expect("a name of ours")
}
