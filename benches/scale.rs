//! `cargo bench --bench scale`: a plan of three stages on 50,000 simulated hosts at parallelism 500, with a journal and its
//! report as JSON; then 5,000 open sessions, beside as many of bare russh, and ten commands on each of ours.
//!
//! The simulator runs in a process of its own on the same machine; its costs do not count. Some hosts fail, each in a
//! way that the controller knows, and every outcome is compared. `cargo bench --bench scale -- HOSTS SESSIONS` takes
//! other numbers, for a quick look.

use std::io::{BufWriter, Write};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;

use clusterops::prelude::*;
use clusterops::report::HostReport;
use clusterops::sim::{Answer, Fault, Signal, SimHost};
use clusterops::ssh::{Connector, ErrorKind};
use tokio::task::JoinSet;

#[path = "support/mod.rs"]
mod bench;

use bench::figures::{median, rounded};
use bench::measure::{self, Cost};
use bench::simulator::{self, Simulator};
use bench::work::{COMMAND, Work};
use bench::{Result, russh_loop};

const HOSTS: usize = 50_000;
const FEW_HOSTS: usize = 1_000;
const SESSIONS: usize = 5_000;
const PARALLELISM: usize = 500;
const COMMANDS: usize = 10;

/// The part of the sessions that is open before memory is looked at, so that what the first ones set up does not count.
const WARM_UP: usize = 10;

const NODE_NAME: &str = "simulated";

/// The first arguments with which the benchmark calls itself.
const SIMULATOR_MODE: &str = "simulator";
const CONTROLLER_MODE: &str = "controller";
const SESSIONS_MODE: &str = "sessions";
const RUSSH_SESSIONS_MODE: &str = "russh-sessions";

fn main() -> Result<()> {
    bench::dispatch(|mode, rest| match mode {
        Some(SIMULATOR_MODE) => simulate(rest),
        Some(CONTROLLER_MODE) => bench::on_two_threads()?.block_on(control(rest)),
        Some(SESSIONS_MODE) => bench::on_two_threads()?.block_on(our_sessions(rest)),
        Some(RUSSH_SESSIONS_MODE) => bench::on_two_threads()?.block_on(russh_sessions(rest)),
        other => {
            let number = |text: Option<&str>, usual| text.map_or(Ok(usual), str::parse::<usize>);
            // cargo adds `--bench` behind what the user gave.
            let hosts = other.filter(|text| !text.starts_with('-'));
            let sessions = rest.first().map(String::as_str);
            let sessions = sessions.filter(|text| !text.starts_with('-'));
            compare(number(hosts, HOSTS)?, number(sessions, SESSIONS)?)
        }
    })
}

fn compare(hosts: usize, sessions: usize) -> Result<()> {
    bench::raise_descriptor_limit()?;
    let folder = tempfile::tempdir()?;
    let simulator = Simulator::start(&[SIMULATOR_MODE, &hosts.max(sessions * 2).to_string()])?;
    println!("{hosts} hosts, parallelism {PARALLELISM}; {sessions} sessions");

    let run = |count: usize| -> Result<(Cost, usize)> {
        let work = work(&simulator, folder.path(), count, |_| true)?;
        let wrong = folder.path().join("wrong");
        let journal = folder.path().join(format!("{}.journal", fastrand::u64(..)));
        let mut command = vec![
            std::env::current_exe()?.display().to_string(),
            CONTROLLER_MODE.into(),
            folder.path().join("report.json").display().to_string(),
            wrong.display().to_string(),
            journal.display().to_string(),
        ];
        command.extend(work.arguments());
        let cost = measure::measure(&command)?;
        Ok((cost, std::fs::read_to_string(&wrong)?.parse()?))
    };
    let few = hosts.min(FEW_HOSTS);
    let few_runs = (0..3)
        .map(|_| run(few))
        .collect::<Result<Vec<(Cost, usize)>>>()?;
    let (all, wrong) = run(hosts)?;

    let cpu_ms = |cost: &Cost, hosts: usize| cost.cpu.as_secs_f64() * 1000.0 / hosts as f64;
    let few_cpu_ms = median(few_runs.iter().map(|(cost, _)| cpu_ms(cost, few)));
    let wrong = wrong + few_runs.iter().map(|(_, wrong)| wrong).sum::<usize>();
    let hosts_per_s = hosts as f64 / all.wall.as_secs_f64();
    let peak_mb = all.peak as f64 / 1e6;
    println!(
        "{:<12}{:>12}{:>14}{:>12}",
        "hosts", "hosts/s", "CPU ms/host", "peak MB"
    );
    println!(
        "{hosts:<12}{hosts_per_s:>12.1}{:>14.3}{peak_mb:>12.1}",
        cpu_ms(&all, hosts)
    );
    println!("{few:<12}{:>12}{few_cpu_ms:>14.3}", "");

    let is_well = |case| case == Case::Well;
    let work = work(&simulator, folder.path(), sessions, is_well)?;
    let ours = session_bytes(SESSIONS_MODE, &work)?;
    let russh = session_bytes(RUSSH_SESSIONS_MODE, &work)?;
    println!(
        "an idle session: {:.1} KB, of bare russh {:.1} KB",
        ours / 1e3,
        russh / 1e3
    );

    let figures = serde_json::json!({
        "hosts": hosts,
        "wrong_outcomes": wrong,
        "hosts_per_s": rounded(hosts_per_s),
        "cpu_ms_per_host": rounded(cpu_ms(&all, hosts)),
        "cpu_per_host_growth": rounded(cpu_ms(&all, hosts) / few_cpu_ms),
        "peak_mb": rounded(peak_mb),
        "session_kb": rounded(ours / 1e3),
        "session_vs_russh": rounded(ours / russh),
    });
    println!("{figures}");
    Ok(())
}

/// The first `count` hosts of those that fit.
fn work(
    simulator: &Simulator,
    folder: &Path,
    count: usize,
    fits: impl Fn(Case) -> bool,
) -> Result<Work> {
    let hosts = folder.join("hosts");
    let addresses = simulator.addresses.iter().enumerate();
    let fitting = addresses.filter(|(index, _)| fits(Case::of(*index)));
    let first: Vec<&str> = fitting.map(|(_, text)| text.as_str()).take(count).collect();
    if first.len() < count {
        return Err(format!("there are {} such hosts, not {count}", first.len()).into());
    }
    std::fs::write(&hosts, first.join("\n"))?;
    Ok(Work {
        hosts,
        ..simulator.work.clone()
    })
}

/// What a part says that one idle session takes, in bytes.
fn session_bytes(mode: &str, work: &Work) -> Result<f64> {
    let mut command = Command::new(std::env::current_exe()?);
    command.arg(mode).args(work.arguments());
    let output = command.stderr(Stdio::inherit()).output()?;
    if !output.status.success() {
        return Err(format!("`{mode}` failed: {}", output.status).into());
    }
    Ok(String::from_utf8(output.stdout)?.trim().parse()?)
}

/// How a host ends: what is wrong with it, and what the report must say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Case {
    Well,
    /// Dropped before a word once, and well after another try.
    Dropped,
    Fails,
    Killed,
    NoStatus,
    Authentication,
    HostKey,
}

impl Case {
    /// Of a hundred hosts six are odd.
    fn of(index: usize) -> Self {
        match index % 100 {
            7 => Self::Dropped,
            11 => Self::Fails,
            13 => Self::Killed,
            17 => Self::NoStatus,
            19 => Self::Authentication,
            23 => Self::HostKey,
            _ => Self::Well,
        }
    }

    fn host(self) -> SimHost {
        let start = match self {
            Self::Fails => Answer::status(3).with_stderr("no space left on device\n"),
            Self::Killed => Answer::new().with_fault(Fault::ExitBySignal(Signal::Kill)),
            Self::NoStatus => Answer::new().with_fault(Fault::NoStatus),
            _ => Answer::stdout("started\n"),
        };
        let host = SimHost::new("")
            .answer(COMMAND, Answer::stdout(format!("{NODE_NAME}\n")))
            .answer("start", start);
        match self {
            Self::Dropped => host.fault(Fault::DropFirst(1)),
            Self::Authentication => host.fault(Fault::RejectAuthentication),
            Self::HostKey => host.fault(Fault::WrongHostKey),
            _ => host,
        }
    }

    /// How many stages the host comes to, how many of them it finishes, and what the failure is.
    fn outcome(self) -> (usize, usize, Option<ErrorKind>) {
        match self {
            Self::Well | Self::Dropped => (3, 3, None),
            Self::Fails | Self::Killed | Self::NoStatus => (3, 2, Some(ErrorKind::Command)),
            Self::Authentication => (0, 0, Some(ErrorKind::Authentication)),
            Self::HostKey => (0, 0, Some(ErrorKind::HostKey)),
        }
    }

    fn fits(self, host: &HostReport) -> bool {
        let finished = host
            .stages
            .iter()
            .filter(|stage| stage.is_finished())
            .count();
        let kind = host.failure.as_ref().map(|failure| failure.kind);
        let name = host.stages.get(1).map(|stage| stage.stdout.to_string());
        (host.stages.len(), finished, kind) == self.outcome()
            && name.is_none_or(|name| name.trim_end() == NODE_NAME)
    }
}

/// The simulator's side.
fn simulate(arguments: &[String]) -> Result<()> {
    let count: usize = arguments.first().ok_or("how many hosts?")?.parse()?;
    let kinds: Vec<SimHost> = (0..100).map(|index| Case::of(index).host()).collect();
    let hosts = (0..count).map(|index| kinds[index % 100].named(format!("host{index}")));
    simulator::serve(hosts, PARALLELISM, NODE_NAME)
}

/// The controller's side: runs the plan, writes the report and how many of its outcomes are wrong.
async fn control(arguments: &[String]) -> Result<()> {
    let [report_file, wrong_file, journal, rest @ ..] = arguments else {
        return Err("the arguments are REPORT WRONG JOURNAL and the work".into());
    };
    let work = Work::from_arguments(rest)?;
    let plan = Plan::new("scale")
        .stage(Stage::command("preflight", ["true"]))
        .stage(Stage::shell("name", COMMAND))
        .stage(Stage::command("start", ["start"]));
    let targets = work.targets()?;
    let hosts = targets.len();
    let fleet = Fleet::new(targets)
        .session(work.options())
        .parallelism(work.parallelism)
        .journal(journal);
    let report = fleet.run(&plan)?.await?;

    let mut file = BufWriter::new(std::fs::File::create(report_file)?);
    serde_json::to_writer(&mut file, &report)?;
    file.flush()?;
    let fitting = report.hosts.iter().enumerate();
    let fitting = fitting
        .filter(|(index, host)| host.name == format!("host{index}") && Case::of(*index).fits(host));
    std::fs::write(wrong_file, (hosts - fitting.count()).to_string())?;
    Ok(())
}

/// Opens sessions, says what one of them takes, and runs commands on each.
async fn our_sessions(arguments: &[String]) -> Result<()> {
    bench::raise_descriptor_limit()?;
    let work = Work::from_arguments(arguments)?;
    let connector = Connector::new(work.options());
    let connect = |target: Target| {
        let connector = connector.clone();
        async move { Ok(connector.connect(&target).await?) }
    };
    let sessions: Vec<Session> = open(work.targets()?, connect).await?;

    let mut commands = JoinSet::new();
    let mut waiting = sessions.into_iter();
    loop {
        while commands.len() < PARALLELISM
            && let Some(session) = waiting.next()
        {
            commands.spawn(async move {
                for _ in 0..COMMANDS {
                    let output = session.output(&clusterops::Command::shell(COMMAND)).await?;
                    if output.stdout.to_string().trim_end() != NODE_NAME {
                        return Err(format!("{}: {output:?}", session.host()).into());
                    }
                }
                session.close().await;
                Result::Ok(())
            });
        }
        match commands.join_next().await {
            Some(done) => done??,
            None => return Ok(()),
        }
    }
}

/// As many of bare russh.
async fn russh_sessions(arguments: &[String]) -> Result<()> {
    bench::raise_descriptor_limit()?;
    let work = Work::from_arguments(arguments)?;
    let shared = Arc::new(russh_loop::Shared::new(&work)?);
    let connect = |address: String| {
        let shared = Arc::clone(&shared);
        async move { russh_loop::log_in(&shared, &address).await }
    };
    open(work.addresses()?, connect).await.map(drop)
}

/// Opens all connections and prints by how many bytes each makes the process larger.
async fn open<T, S, C>(targets: Vec<T>, connect: impl Fn(T) -> C) -> Result<Vec<S>>
where
    S: Send + 'static,
    C: Future<Output = Result<S>> + Send + 'static,
{
    let (all, warm_up) = (targets.len(), targets.len() / WARM_UP);
    let mut sessions = Vec::with_capacity(all);
    let mut before = 0;
    let mut connecting = JoinSet::new();
    for target in targets {
        // Few at once, so that what a handshake needs for a moment is the same for the first and the last.
        if connecting.len() == 20
            && let Some(session) = connecting.join_next().await
        {
            sessions.push(session??);
        }
        if sessions.len() == warm_up && before == 0 {
            before = resident()?;
        }
        connecting.spawn(connect(target));
    }
    while let Some(session) = connecting.join_next().await {
        sessions.push(session??);
    }
    let grown = resident()?.saturating_sub(before);
    println!("{}", grown as f64 / (all - warm_up) as f64);
    Ok(sessions)
}

/// The memory that this process has resident, in bytes (proc_pid_status(5), VmRSS).
fn resident() -> Result<u64> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kibibytes = line.and_then(|line| line.trim().strip_suffix(" kB"));
    Ok(kibibytes.ok_or("Linux says VmRSS in kB")?.parse::<u64>()? * 1024)
}
