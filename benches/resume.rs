//! `cargo bench --bench resume`: 200 simulated hosts times 4 stages, and a controller that is killed (SIGKILL) at 20 random
//! moments and resumed each time.
//!
//! The simulated hosts live in this process and know what really ran; the controller is a process of its own. After each
//! kill the journal is read: what it holds as finished must not come to a host again, and of a stage that was under way
//! no two attempts may run at once. `cargo bench --bench resume -- SEED` takes other moments.

use std::collections::{HashMap, HashSet};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use clusterops::Journal;
use clusterops::prelude::*;
use clusterops::sim::{Answer, Match, Sim, SimCommand, SimHandle, SimHost};

#[path = "support/mod.rs"]
mod bench;

use bench::Result;

const HOSTS: usize = 200;
const STAGES: [&str; 4] = ["preflight", "unpack", "start", "postflight"];
const PARALLELISM: usize = 50;
const KILLS: usize = 20;
const SEED: u64 = 20_261_125;

/// How long a stage takes at most, and a controller lives at most, in milliseconds.
const LONGEST_STAGE: u64 = 150;
const LONGEST_LIFE: u64 = 1_500;

/// How long a controller that is not killed may take.
const PATIENCE: Duration = Duration::from_secs(120);

/// The first argument with which the benchmark calls itself.
const CONTROLLER_MODE: &str = "controller";

fn main() -> Result<()> {
    bench::dispatch(|mode, rest| match mode {
        Some(CONTROLLER_MODE) => bench::on_two_threads()?.block_on(control(rest)),
        seed => {
            let seed = seed.filter(|text| !text.starts_with('-'));
            kill_and_resume(seed.map_or(Ok(SEED), str::parse)?)
        }
    })
}

/// What really happened on the hosts in one run.
#[derive(Debug, Default)]
struct Truth {
    /// What the journal held as finished when it was last looked at, by host and stage.
    recorded: HashSet<(String, String)>,
    begun: HashSet<(String, String)>,
    recorded_repeated: usize,
    in_flight_repeated: usize,
    at_once: usize,
}

type Shared = Arc<Mutex<Truth>>;

fn kill_and_resume(seed: u64) -> Result<()> {
    let mut random = fastrand::Rng::with_seed(seed);
    let runtime = bench::on_two_threads()?;
    let truth = Shared::default();
    let sim = runtime.block_on(start(&truth, seed))?;
    let folder = tempfile::tempdir()?;
    let targets = folder.path().join("targets.json");
    std::fs::write(&targets, serde_json::to_vec(&sim.targets())?)?;
    println!(
        "{HOSTS} hosts, {} stages, {KILLS} kills, seed {seed}",
        STAGES.len()
    );
    println!(
        "{:>4} {:>4} {:>10} {:>10} {:>12} {:>12}",
        "run", "kill", "after ms", "recorded", "under way", "of stages"
    );

    let (mut kills, mut runs, mut unfinished) = (0, 0, 0);
    let mut totals = Truth::default();
    while kills < KILLS {
        runs += 1;
        let journal = folder.path().join(format!("{runs}.journal"));
        *lock(&truth) = Truth::default();
        let report = loop {
            let life = Duration::from_millis(random.u64(20..LONGEST_LIFE));
            let mut controller = spawn(&targets, &journal)?;
            let limit = if kills < KILLS { life } else { PATIENCE };
            if has_ended(&mut controller, limit)? {
                break Journal::open(&journal)?.report();
            }
            controller.kill()?;
            controller.wait()?;
            if kills == KILLS {
                return Err("the last controller did not come to its end".into());
            }
            kills += 1;
            let (recorded, under_way) = look(&journal, &truth)?;
            println!(
                "{runs:>4} {kills:>4} {:>10} {recorded:>10} {under_way:>12} {:>12}",
                life.as_millis(),
                HOSTS * STAGES.len()
            );
        };
        unfinished += report.failed().len() + HOSTS.abs_diff(report.hosts.len());
        let truth = lock(&truth);
        totals.recorded_repeated += truth.recorded_repeated;
        totals.in_flight_repeated += truth.in_flight_repeated;
        totals.at_once += truth.at_once;
        // What the journal says was done was done.
        unfinished += HOSTS * STAGES.len() - truth.begun.len();
    }
    let figures = serde_json::json!({
        "kills": kills,
        "hosts_unfinished": unfinished,
        "recorded_stages_repeated": totals.recorded_repeated,
        "stages_in_flight_repeated": totals.in_flight_repeated,
        "two_attempts_at_once": totals.at_once,
    });
    println!("{figures}");
    Ok(())
}

/// Hosts on which every stage takes a while, and that keep the truth.
async fn start(truth: &Shared, seed: u64) -> Result<Sim> {
    let handles = Arc::new(OnceLock::<HashMap<String, SimHandle>>::new());
    let (truth, known) = (Arc::clone(truth), Arc::clone(&handles));
    let random = Mutex::new(fastrand::Rng::with_seed(seed));
    let answer = move |command: &SimCommand| {
        let stage = |environment: &std::collections::BTreeMap<String, String>| {
            ["CLUSTEROPS_RUN", "CLUSTEROPS_STAGE"].map(|name| environment.get(name).cloned())
        };
        let own = stage(&command.environment);
        let processes = known
            .get()
            .map(|handles| handles[&command.host].processes());
        let at_once = processes
            .into_iter()
            .flatten()
            .filter(|process| stage(&process.environment) == own);
        let (at_once, place) = (
            at_once.count(),
            (command.host.clone(), own[1].clone().unwrap_or_default()),
        );
        let mut truth = lock(&truth);
        // This one is there too.
        truth.at_once += usize::from(at_once > 1);
        if truth.recorded.contains(&place) {
            truth.recorded_repeated += 1;
        } else if !truth.begun.insert(place) {
            truth.in_flight_repeated += 1;
        }
        let took = lock(&random).u64(..LONGEST_STAGE);
        Answer::stdout("done\n").with_delay(Duration::from_millis(took))
    };
    let host = SimHost::new("").answer_with(Match::prefix("take "), answer);
    let sim = Sim::start((0..HOSTS).map(|index| host.named(format!("host{index}")))).await?;
    let all = sim
        .targets()
        .into_iter()
        .map(|target| (target.name.clone(), sim.host(&target.name)));
    handles.set(all.collect()).map_err(|_| "set once")?;
    Ok(sim)
}

/// Notes what the journal holds as finished; gives how many stages that are, and how many were under way.
fn look(journal: &Path, truth: &Shared) -> Result<(usize, usize)> {
    let report = match Journal::open(journal) {
        Ok(journal) => journal.report(),
        // Killed before its run began.
        Err(error) if error.to_string().contains("holds no run yet") => {
            std::fs::remove_file(journal)?;
            return Ok((0, 0));
        }
        Err(_) if !journal.exists() => return Ok((0, 0)),
        Err(error) => return Err(error.into()),
    };
    let stages = report.hosts.iter().flat_map(|host| {
        let stages = report.stages.iter().zip(&host.stages);
        stages.map(|(stage, report)| ((host.name.clone(), stage.clone()), report.is_finished()))
    });
    let (finished, under_way): (Vec<_>, Vec<_>) = stages.partition(|(_, is_finished)| *is_finished);
    let mut truth = lock(truth);
    truth.recorded = finished.into_iter().map(|(place, _)| place).collect();
    Ok((truth.recorded.len(), under_way.len()))
}

fn spawn(targets: &Path, journal: &Path) -> Result<Child> {
    let mut command = Command::new(std::env::current_exe()?);
    command
        .arg(CONTROLLER_MODE)
        .arg(targets)
        .arg(journal)
        .stdin(Stdio::null());
    Ok(command.spawn()?)
}

/// Whether a controller comes to its end, which must be a success, within this time.
fn has_ended(controller: &mut Child, limit: Duration) -> Result<bool> {
    let deadline = Instant::now() + limit;
    while Instant::now() < deadline {
        match controller.try_wait()? {
            Some(status) if status.success() => return Ok(true),
            Some(status) => return Err(format!("the controller failed: {status}").into()),
            None => std::thread::sleep(Duration::from_millis(2)),
        }
    }
    Ok(false)
}

/// The controller's side: begins the run, or goes on with it.
async fn control(arguments: &[String]) -> Result<()> {
    let [targets, journal] = arguments else {
        return Err("the arguments are TARGETS JOURNAL".into());
    };
    let targets: Vec<Target> = serde_json::from_slice(&std::fs::read(targets)?)?;
    let plan = STAGES.iter().fold(Plan::new("resume"), |plan, stage| {
        plan.stage(Stage::command(*stage, ["take", stage]))
    });
    let run = if Path::new(journal).exists() {
        Run::resume(journal)?
    } else {
        Fleet::new(targets)
            .parallelism(PARALLELISM)
            .journal(journal)
            .run(&plan)?
    };
    let report = run.await?;
    if report.is_success() {
        Ok(())
    } else {
        Err(report.to_string().into())
    }
}

fn lock<T>(shared: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}
