//! One report of what several controllers did.

use std::collections::HashSet;

use super::{Ending, HostReport, Report};
use crate::{Error, ErrorKind, Plan, Result};

impl Report {
    /// A report of hosts of a run that goes on elsewhere, each of which has come to its end.
    pub fn of_ended(
        run_id: impl Into<String>,
        plan: &Plan,
        hosts: impl IntoIterator<Item = HostReport>,
    ) -> Self {
        let mut report = Self::new(run_id.into(), plan, Default::default());
        report.hosts = hosts.into_iter().collect();
        report
    }

    /// What this report says of the hosts for which `keep` holds.
    #[must_use]
    pub fn only(&self, keep: impl Fn(&HostReport) -> bool) -> Self {
        let hosts = self.hosts.iter().filter(|host| keep(host)).cloned();
        Self {
            hosts: hosts.collect(),
            warnings: self.warnings.clone(),
            files: self.files.clone(),
            run_id: self.run_id.clone(),
            plan_name: self.plan_name.clone(),
            plan_digest: self.plan_digest.clone(),
            stages: self.stages.clone(),
            ..*self
        }
    }

    /// One report of several, each about other hosts and all about one plan: what controllers report that shared the
    /// hosts among them. It has the id of the first, began with the earliest and ended with the latest, and came to the
    /// gravest of their ends. Hosts stand in the order of the reports.
    ///
    /// ```
    /// use clusterops_ssh::{Plan, Report, plan::Stage};
    ///
    /// let plan = Plan::new("look").stage(Stage::command("kernel", ["uname", "-r"]));
    /// let parts = [Report::of_ended("a", &plan, []), Report::of_ended("b", &plan, [])];
    /// assert_eq!(Report::merged(parts)?.run_id, "a");
    /// # Ok::<(), clusterops_ssh::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`ErrorKind::Plan`] when there is none, when they are about several plans, when two tell of one host, or when what
    /// they call by one name were different files.
    pub fn merged(parts: impl IntoIterator<Item = Self>) -> Result<Self> {
        let wrong = |message: String| Error::new(ErrorKind::Plan, message);
        let mut parts = parts.into_iter();
        let Some(mut whole) = parts.next() else {
            return Err(wrong("no reports, no report of them all".into()));
        };
        for part in parts {
            if part.plan_digest != whole.plan_digest {
                return Err(wrong(format!(
                    "the reports are about several plans, `{}` and `{}` (digests {:.12} and {:.12})",
                    whole.plan_name, part.plan_name, whole.plan_digest, part.plan_digest
                )));
            }
            for (path, digest) in part.files {
                let known = whole.files.entry(path).or_insert_with(|| digest.clone());
                if *known != digest {
                    return Err(wrong(
                        "the reports are about different files of one name".into(),
                    ));
                }
            }
            whole.started = whole.started.min(part.started);
            whole.finished = whole.finished.max(part.finished);
            if gravity(part.ending) > gravity(whole.ending) {
                whole.ending = part.ending;
            }
            for warning in part.warnings {
                if !whole.warnings.contains(&warning) {
                    whole.warnings.push(warning);
                }
            }
            whole.hosts.extend(part.hosts);
        }
        let mut names = HashSet::new();
        match whole
            .hosts
            .iter()
            .find(|host| !names.insert(host.name.as_str()))
        {
            Some(host) => Err(wrong("two reports tell of this host".into()).on(&host.name)),
            None => Ok(whole),
        }
    }
}

/// Of two ends the one that a report of both has.
fn gravity(ending: Ending) -> u8 {
    match ending {
        Ending::Completed => 0,
        Ending::Stopped => 1,
        Ending::Cancelled => 2,
        Ending::Aborted => 3,
        Ending::Interrupted => 4,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::Stage;

    fn plan() -> Plan {
        Plan::new("look").stage(Stage::command("kernel", ["uname"]))
    }

    fn part(hosts: &[&str]) -> Report {
        Report::of_ended(
            "run",
            &plan(),
            hosts.iter().map(|name| HostReport::new(name)),
        )
    }

    #[test]
    fn a_whole_has_what_its_parts_have() {
        let (mut first, mut second) = (part(&["a", "c"]), part(&["b"]));
        first.files.insert("app".into(), "1".into());
        second.files.insert("app".into(), "1".into());
        second.files.insert("lib".into(), "2".into());
        second.ending = Ending::Cancelled;
        first.warnings = vec!["full".into()];
        second.warnings = vec!["full".into(), "late".into()];
        second.started = first.started - std::time::Duration::from_secs(1);
        second.finished = first.finished + std::time::Duration::from_secs(1);
        let whole = Report::merged([first, second.clone()]).expect("they fit");
        let names: Vec<&str> = whole.hosts.iter().map(|host| host.name.as_str()).collect();
        assert_eq!(names, ["a", "c", "b"]);
        assert_eq!(
            (whole.started, whole.finished),
            (second.started, second.finished)
        );
        assert_eq!(whole.ending, Ending::Cancelled);
        assert_eq!(whole.warnings, ["full", "late"]);
        assert_eq!(whole.files.len(), 2);
        let again = whole.only(|host| host.name != "c");
        assert_eq!((again.hosts.len(), &again.files), (2, &whole.files));
    }

    #[test]
    fn what_does_not_fit_is_told() {
        let kind = |parts: Vec<Report>| Report::merged(parts).map_err(|error| error.kind());
        assert_eq!(kind(vec![]), Err(ErrorKind::Plan));
        assert_eq!(kind(vec![part(&["a"]), part(&["a"])]), Err(ErrorKind::Plan));
        let other = Report::of_ended("run", &Plan::new("other"), []);
        assert_eq!(kind(vec![part(&["a"]), other]), Err(ErrorKind::Plan));
        let (mut one, mut two) = (part(&["a"]), part(&["b"]));
        one.files.insert("app".into(), "1".into());
        two.files.insert("app".into(), "2".into());
        assert_eq!(kind(vec![one, two]), Err(ErrorKind::Plan));
    }
}
