//! A tour: a plan runs over sixty hosts, some of which are broken; they are repaired, and only they are run again.
//!
//!     cargo run --release --example tour
//!     cargo run --release --example tour -- --report report.json
//!     cargo run --release --example tour -- --inventory fleet.yaml --hosts '@role:web!web07'
//!
//! With `--inventory` the same plan runs on real hosts. It writes under /tmp on them, and removes what it wrote.

mod tour {
    pub(crate) mod arguments;
    pub(crate) mod box_of_hosts;
    pub(crate) mod progress;
}

use std::error::Error;
use std::fmt::Display;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use clusterops::config::Config;
use clusterops::core::Printable;
use clusterops::plan::RollbackWhen;
use clusterops::prelude::*;
use clusterops::report::{Ending, HostReport};
use clusterops::ssh::ErrorKind;

use tour::arguments::{Arguments, HELP};
use tour::box_of_hosts::BoxOfHosts;
use tour::progress::Progress;

#[tokio::main]
async fn main() -> ExitCode {
    let arguments = match Arguments::parse(std::env::args_os().skip(1)) {
        Ok(Some(arguments)) => arguments,
        Ok(None) => {
            say(HELP);
            return ExitCode::SUCCESS;
        }
        Err(message) => {
            warn(&message);
            return ExitCode::from(2);
        }
    };
    match run_tour(&arguments).await {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            warn(&with_causes(&*error));
            ExitCode::from(2)
        }
    }
}

/// A line on standard output. That nobody reads it, as behind `| head`, is no reason to leave hosts half done.
fn say(line: impl Display) {
    let _ = writeln!(io::stdout(), "{line}");
}

/// A line on standard error, with nothing in it that acts on a terminal.
fn warn(line: &str) {
    let _ = writeln!(io::stderr(), "tour: {}", Printable(line));
}

/// Says whether every host ended well.
async fn run_tour(arguments: &Arguments) -> Result<bool, Box<dyn Error>> {
    let started = Instant::now();
    let file = arguments
        .inventory
        .clone()
        .unwrap_or_else(|| example_file("fleet.yaml"));
    let inventory = Inventory::load(&file)?;
    for unread in inventory.unread() {
        warn(&unread.to_string());
    }
    let mut targets = inventory
        .select(&arguments.hosts)
        .map_err(|error| format!("--hosts '{}': {error}", arguments.hosts))?;
    if targets.is_empty() {
        let (hosts, file) = (&arguments.hosts, file.display());
        let message = format!("--hosts '{hosts}' selects no host of {file}; '@*' selects them all");
        return Err(message.into());
    }
    if let Some(path) = &arguments.report {
        // Before anything is done on any host.
        check_writable(path).map_err(|error| unwritable(path, error))?;
    }
    let simulated = match arguments.inventory {
        Some(_) => None,
        None => {
            let simulated = BoxOfHosts::start(inventory.hosts()).await?;
            say(format_args!("{simulated}\n"));
            targets = simulated.reach(targets);
            Some(simulated)
        }
    };
    let folder = format!("/tmp/clusterops-tour-{:08x}", fastrand::u32(..));
    for target in &mut targets {
        // Several names may stand for one machine, so that each has a folder of its own.
        let name: String = target
            .name
            .chars()
            .map(|c| if c.is_alphanumeric() { c } else { '_' })
            .collect();
        target
            .variables
            .insert("folder", format!("{folder}-{name}"));
        // All of it is done as the login user, whose files are copied.
        target.variables.insert("ansible_become", "no");
    }

    let plan = plan(simulated.is_some());
    let session = match &simulated {
        // What simulated hosts are like is no matter of the user's configuration and keys.
        Some(_) => SessionOptions::default()
            .config(Config::parse("IdentityFile none\n", "simulated")?)
            .agent(false)
            .handshake_deadline(Duration::from_secs(1)),
        None => SessionOptions::default(),
    };
    let fleet = Fleet::new(targets)
        .parallelism(arguments.parallelism)
        .session(session)
        .connect_retries(
            ConnectRetries::default()
                .attempts(3)
                .first_pause(Duration::from_millis(200)),
        );

    let hosts = fleet.targets().len();
    let mut report = watch(fleet.run(&plan)?, &plan, hosts).await?;
    tell(&report);

    if let Some(simulated) = &simulated
        && report.ending == Ending::Completed
        && !report.is_success()
    {
        say(format_args!(
            "\nThe operator repairs {}; only these hosts are run again.\n",
            report.failed()
        ));
        simulated.repair(&report.failed());
        report = watch(fleet.retry(&plan, &report)?, &plan, hosts).await?;
        tell(&report);
    }
    if let Some(path) = &arguments.report {
        let json = serde_json::to_string_pretty(&report)?;
        std::fs::write(path, json).map_err(|error| unwritable(path, error))?;
        let path = path.display().to_string();
        say(format_args!("\nThe report is in {}.", Printable(&path)));
    }
    let seconds = started.elapsed().as_secs_f64();
    say(format_args!("\n{seconds:.1} s in all."));
    Ok(report.is_success())
}

/// Whether a file can be written, as far as can be seen without making or changing it.
fn check_writable(path: &Path) -> io::Result<()> {
    match path.metadata() {
        Ok(found) if found.is_dir() => Err(io::ErrorKind::IsADirectory.into()),
        Ok(found) if found.is_file() => std::fs::File::options().append(true).open(path).map(drop),
        // A pipe or a terminal.
        Ok(_) => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let folder = path.parent().filter(|folder| *folder != Path::new(""));
            tempfile::tempfile_in(folder.unwrap_or(Path::new("."))).map(drop)
        }
        Err(error) => Err(error),
    }
}

fn unwritable(path: &Path, error: io::Error) -> String {
    let path = path.display();
    format!(
        "the report cannot be written to {path}: {error}; give --report a file in a folder that you can write to"
    )
}

/// Shows a run until its end. Ctrl-C aborts it, so that what was begun is rolled back; a second one ends the tour.
async fn watch(mut run: Run, plan: &Plan, hosts: usize) -> Result<Report, Box<dyn Error>> {
    let control = run.control();
    let interrupted = tokio::spawn(async move {
        if tokio::signal::ctrl_c().await.is_ok() {
            warn("aborted; hosts are left as they were (Ctrl-C again to stop at once)");
            control.abort();
        }
        if tokio::signal::ctrl_c().await.is_ok() {
            std::process::exit(130);
        }
    });
    Progress::new(plan, hosts).show(run.events()).await;
    let report = run.await;
    interrupted.abort();
    Ok(report?)
}

/// Preflight, deploy, postflight and uninstall. A host that fails is left without a trace, too.
fn plan(is_simulated: bool) -> Plan {
    let patience = Duration::from_secs(if is_simulated { 1 } else { 60 });
    Plan::new("tour of app 1.4")
        .rollback_when(RollbackWhen::FailedOrAborted)
        .stage(
            Stage::command("preflight", ["test", "-d", "/tmp"])
                .deadline(patience)
                .barrier(),
        )
        .stage(
            Stage::command("prepare", ["mkdir", "-m", "700", "{{folder}}"])
                .deadline(patience)
                .rollback(Step::command(["rm", "-rf", "{{folder}}"])),
        )
        .stage(
            Stage::upload("upload", example_file("app.conf"), "{{folder}}/app.conf")
                .deadline(patience)
                .mode(0o640),
        )
        .stage(
            Stage::script("deploy", example_file("deploy.sh"))
                .arguments(["1.4"])
                .env("FOLDER", "{{folder}}")
                .deadline(patience),
        )
        .stage(
            Stage::command("postflight", ["test", "-f", "{{folder}}/app.conf.active"])
                .deadline(patience)
                .barrier(),
        )
        .stage(Stage::command("uninstall", ["rm", "-rf", "{{folder}}"]).deadline(patience))
}

/// The outcomes, and for every kind of failure what to do.
fn tell(report: &Report) {
    say(format_args!("\n{report}"));
    for host in report.hosts.iter().filter(|host| !host.is_success()) {
        say(format_args!("    {}", line(host)));
    }
    let said = folded(report);
    if !said.is_empty() {
        say(format_args!("\nWhat the hosts said in `deploy`:\n{said}"));
    }
}

/// Why a host stopped and what its operator can do, on one line.
fn line(host: &HostReport) -> String {
    let Some(failure) = &host.failure else {
        return host.name.clone();
    };
    let advice = match failure.kind {
        ErrorKind::Unreachable => {
            "check the address in the inventory and the way to it, or leave the host out of --hosts"
        }
        ErrorKind::Refused => {
            "start sshd there, check the port in the inventory, or leave the host out of --hosts"
        }
        ErrorKind::HostKey => "check the key before you trust it",
        ErrorKind::Authentication => {
            "give the right key: identity_file in the inventory, or ssh-add"
        }
        ErrorKind::Timeout => "look whether the host is overloaded, then run it again",
        ErrorKind::Disconnected | ErrorKind::Protocol => {
            "check that sshd answers on this port and that the host is not overloaded, then run it again"
        }
        ErrorKind::Overloaded => "run it again, with a smaller --parallelism",
        ErrorKind::Cancelled => "run it again when you want to go on",
        ErrorKind::Blocked => "see to the hosts that failed, then run it again",
        ErrorKind::Command | ErrorKind::Transfer => {
            "log in and mend what it says, then run it again"
        }
        _ => "mend what it says, then run it again",
    };
    format!("{}: {failure} -> {advice}", host.name)
}

/// The folder differs from host to host; without it, equal answers fold.
fn folded(report: &Report) -> String {
    let mut answers: std::collections::BTreeMap<String, HostSet> =
        std::collections::BTreeMap::new();
    let deploy = report.stages.iter().position(|stage| stage == "deploy");
    let has_begun = |host: &&HostReport| deploy.is_some_and(|deploy| host.stages.len() > deploy);
    let begun = report
        .hosts
        .iter()
        .filter(has_begun)
        .map(|host| host.name.as_str())
        .collect();
    for answer in report
        .gather("deploy")
        .into_iter()
        .filter(|answer| answer.hosts.is_subset(&begun))
    {
        let text = answer
            .text
            .split(" in /tmp/")
            .next()
            .unwrap_or_default()
            .to_owned();
        answers.entry(text).or_default().extend(answer.hosts.iter());
    }
    let lines: Vec<String> = answers
        .into_iter()
        .map(|(text, hosts)| format!("    {hosts}: {text}"))
        .collect();
    lines.join("\n")
}

fn example_file(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("examples/tour")
        .join(name)
}

fn with_causes(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text.push_str(&format!(": {cause}"));
        source = cause.source();
    }
    text
}
