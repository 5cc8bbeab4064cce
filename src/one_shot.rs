//! A line on many hosts, in one call.

use clusterops_core::hostset::HostSet;
use clusterops_core::{Printable, Target};
use clusterops_ssh::{Fleet, Plan, Report, Stage};

use crate::Result;

/// Runs a shell line on the hosts of a [host set](crate::hostset), at most 100 at once, and gives what they said.
///
/// Each host is a target of the form `[user@]host[:port]`. Keys come from the agent and the usual files of `~/.ssh`, and
/// host keys must be known. For more than this there are [`Inventory`](crate::Inventory), [`Fleet`] and [`Plan`]. The
/// report's only stage is called `run`.
///
/// # Errors
/// An expression that does not parse, a name that is no target, an empty line. A host that fails is told in the report.
///
/// ```no_run
/// # async fn example() -> clusterops::Result<()> {
/// let report = clusterops::run("web[1-50]", "uname -r").await?;
/// println!("{}", report.gather("run"));
/// # Ok(())
/// # }
/// ```
pub async fn run(hosts: &str, line: &str) -> Result<Report> {
    let hosts: HostSet = hosts.parse()?;
    let targets = hosts
        .iter()
        .map(|name| name.parse())
        .collect::<Result<Vec<Target>, _>>()?;
    Ok(Fleet::new(targets).run(&line_plan(line))?.await?)
}

/// The plan of [`run`]: this shell line, in a stage called `run`.
///
/// ```
/// let plan = clusterops::line_plan("uname -r");
/// assert_eq!(plan.stages[0].name, "run");
/// ```
pub fn line_plan(line: &str) -> Plan {
    // The name of a plan stands on one line.
    Plan::new(Printable(line).to_string()).stage(Stage::shell("run", line))
}
