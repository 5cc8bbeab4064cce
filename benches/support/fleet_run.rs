//! The work with this library, as a user writes it.

use clusterops::prelude::*;

use super::Result;
use super::work::{COMMAND, Work};

/// The first argument with which a benchmark calls itself to do this.
pub(crate) const MODE: &str = "fleet";

/// As [`MODE`], with a journal, and the report in a file.
pub(crate) const RECORDED_MODE: &str = "fleet-recorded";

/// Does the work with the defaults of everything but the parallelism; where it is recorded, on a disk.
pub(crate) async fn all_hosts(work: &Work, is_recorded: bool) -> Result<()> {
    let targets = work.targets()?;
    let hosts = targets.len();
    let mut fleet = Fleet::new(targets)
        .session(work.options())
        .parallelism(work.parallelism);
    let folder = is_recorded.then(tempfile::tempdir).transpose()?;
    if let Some(folder) = &folder {
        fleet = fleet.journal(folder.path().join("journal"));
    }
    let plan = Plan::new("bench").stage(Stage::shell("uname", COMMAND));
    let report = fleet.run(&plan)?.await?;
    if let Some(folder) = &folder {
        std::fs::write(folder.path().join("report"), serde_json::to_vec(&report)?)?;
    }

    let expected = work.expected.as_bytes();
    let succeeded = report.hosts.iter().filter(|host| {
        let output = host.stages.first().and_then(|stage| stage.stdout.bytes());
        host.is_success() && output.is_some_and(|bytes| bytes.trim_ascii_end() == expected)
    });
    match succeeded.count() {
        all if all == hosts => Ok(()),
        some => Err(format!(
            "{some} of {hosts} hosts succeeded\n{}",
            report.gather("uname")
        )
        .into()),
    }
}
