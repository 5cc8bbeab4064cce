//! OpenSSH's configuration as clusterops reads it, compared line for line with what `ssh -G -F FILE HOST` prints.
//!
//! The generated files use what the local `ssh` knows, and no DNS. Every line of `ssh -G` is compared but those of
//! [`NOT_PRINTED`], in order, values and all; where one of the two refuses a file, the other must refuse it.
//!
//! What is known to differ, and so is not generated or (the first) not compared:
//!
//! - Debian's `ssh` sets ServerAliveInterval to 300 when BatchMode is on; OpenSSH does not.
//! - `Match` lines are cut into words as since OpenSSH 9.9: no backslash and no single quote stands in one here.
//! - What later releases expand or understand: tokens in User and SetEnv, `%C` behind a jump host, `Match !final`.
//! - `ProxyJump none # text` and a comment with a comma behind a list of jump hosts, which OpenSSH misreads.
//! - `LogLevel quiet` is printed as `SILENT` by Debian.
//! - Of a list that leaves no algorithm, OpenSSH 9.2 says an error and goes on without; later releases stop, as we do.
//! - Keywords without effect here take any argument.
//! - Before 10.3 and Debian's later builds of 9.2 (CVE-2025-61984 and its like), `ProxyJump none` bars a `ProxyCommand`
//!   behind it. Whether the local `ssh` does is asked of itself, and such a line of ours is then left out.

mod generate;
#[path = "../support/mod.rs"]
mod support;

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use clusterops::config::{ConfigOptions, Query};
use fastrand::Rng;

use generate::{Case, Generator};
use support::{Oracle, skip_or_fail};

/// Keywords of `ssh -G` that we do not print: they have no effect here and any value, or are Debian's.
const NOT_PRINTED: &[&str] = &[
    "addkeystoagent",
    "controlpersist",
    "dynamicforward",
    "escapechar",
    "forwardagent",
    "forwardx11trusted",
    "gssapiclientidentity",
    "gssapikexalgorithms",
    "gssapikeyexchange",
    "gssapirenewalforcesrekey",
    "gssapiserveridentity",
    "gssapitrustdns",
    "ipqos",
    "localforward",
    "logverbose",
    "permitremoteopen",
    "remoteforward",
    "streamlocalbindmask",
    "syslogfacility",
    "tunneldevice",
];

/// How many `ssh` run at the same time.
const THREADS: usize = 4;

#[test]
fn ssh_agrees() {
    let version = Command::new("ssh").arg("-V").output();
    let version = version.map(|output| String::from_utf8_lossy(&output.stderr).into_owned());
    let Ok(version) = version else {
        return skip_or_fail("ssh_config_oracle", "ssh is not installed");
    };
    let oracle = Oracle::new("ssh_config", 500, 20_000);
    let folder = tempfile::tempdir().expect("a temporary folder");
    let (next, values, refused) = (
        AtomicUsize::new(0),
        AtomicUsize::new(0),
        AtomicUsize::new(0),
    );
    let differences = Mutex::new(Vec::new());
    let none_bars_commands = none_bars_commands(folder.path());
    std::thread::scope(|scope| {
        for thread in 0..THREADS {
            let folder = folder.path().join(thread.to_string());
            let (next, values, refused, differences) = (&next, &values, &refused, &differences);
            let oracle = &oracle;
            scope.spawn(move || {
                fs::create_dir(&folder).expect("a new folder");
                loop {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    if number >= oracle.cases {
                        return;
                    }
                    let seed = oracle.seed.wrapping_add(number as u64);
                    let case = Generator::new(Rng::with_seed(seed), &folder).case();
                    match compare(&case, none_bars_commands) {
                        Ok(0) => refused.fetch_add(1, Ordering::Relaxed),
                        Ok(compared) => values.fetch_add(compared, Ordering::Relaxed),
                        Err(difference) => {
                            let text = format!("case {number}: {difference}\n{}", case.describe());
                            let mut differences = differences.lock().expect("no panic");
                            differences.push(text);
                            0
                        }
                    };
                }
            });
        }
    });
    let (values, refused) = (values.into_inner(), refused.into_inner());
    let what = format!(
        "configurations with {values} values, {refused} of them refused by both, against {}",
        version.trim()
    );
    assert!(
        refused < oracle.cases / 2,
        "most of the configurations are right"
    );
    oracle.conclude(
        oracle.cases,
        &what,
        &differences.into_inner().expect("no panic"),
    );
}

/// Whether the local `ssh` passes over a `ProxyCommand` behind `ProxyJump none`.
fn none_bars_commands(folder: &Path) -> bool {
    let file = folder.join("none");
    fs::write(&file, "ProxyJump none\nProxyCommand nc\n").expect("our folder");
    let output = Command::new("ssh").arg("-GF").arg(&file).arg("a").output();
    let output = output.expect("it said its version");
    !String::from_utf8_lossy(&output.stdout).contains("proxycommand nc")
}

/// How many values agree; none when both refuse the configuration.
fn compare(case: &Case, none_bars_commands: bool) -> Result<usize, String> {
    let output = Command::new("ssh")
        .arg("-G")
        .arg("-F")
        .arg(&case.file)
        .args(&case.arguments)
        .arg(&case.host)
        .stdin(Stdio::null())
        .output()
        .map_err(|error| error.to_string())?;
    let message = String::from_utf8_lossy(&output.stderr).into_owned();
    let message = message.trim();
    let refuses = !output.status.success() || message.contains("fill_default_options");
    let ours = resolve(case);
    match (refuses, ours) {
        (true, Err(_)) => Ok(0),
        (true, Ok(_)) => Err(format!("only ssh refuses it: {message}")),
        (false, Err(error)) => Err(format!("only we refuse it: {error}")),
        (false, Ok(mut ours)) => {
            let theirs = String::from_utf8_lossy(&output.stdout);
            let theirs: Vec<String> = theirs.lines().filter_map(printed).collect();
            let is_proxy = |line: &String| line.starts_with("proxycommand ");
            if none_bars_commands && case.has_jump_none() && !theirs.iter().any(is_proxy) {
                ours.retain(|line| !is_proxy(line));
            }
            let has_patch = theirs.iter().any(|line| line == "batchmode yes");
            for (ours, theirs) in ours.iter().zip(&theirs) {
                let is_patch = has_patch
                    && ours == "serveraliveinterval 0"
                    && theirs == "serveraliveinterval 300";
                if ours != theirs && !is_patch {
                    return Err(format!("ours `{ours}`, ssh's `{theirs}`"));
                }
            }
            if ours.len() != theirs.len() {
                return Err(format!("{} lines, ssh has {}", ours.len(), theirs.len()));
            }
            Ok(ours.len())
        }
    }
}

/// A line of `ssh -G` with its keyword in lower case, if it is one that we print.
fn printed(line: &str) -> Option<String> {
    let (keyword, value) = line.split_once(' ')?;
    let keyword = keyword.to_ascii_lowercase();
    (!NOT_PRINTED.contains(&keyword.as_str())).then(|| format!("{keyword} {value}"))
}

fn resolve(case: &Case) -> Result<Vec<String>, String> {
    let mut query = Query::new(&case.host);
    for pair in case.arguments.chunks(2) {
        query = match (pair[0].as_str(), &pair[1]) {
            ("-l", user) => query.user(user),
            ("-p", port) => query.port(port.parse().map_err(|_| "a port")?),
            (_, option) => query.option(option).map_err(|error| error.to_string())?,
        };
    }
    let config = ConfigOptions::of(&query).from_file(&case.file);
    let config = config.map_err(|error| error.to_string())?;
    let host = config.resolve(&query).map_err(|error| error.to_string())?;
    Ok(host.lines().iter().map(ToString::to_string).collect())
}
