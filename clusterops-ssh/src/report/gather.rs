//! Many hosts, few answers.

use std::collections::HashMap;
use std::fmt;

use clusterops_core::Printable;
use clusterops_core::hostset::HostSet;

use super::{HostReport, Report, StageReport, StageStatus};
use crate::ErrorKind;

/// What the hosts said in one stage, with hosts of the same answer together; the most frequent answer comes first.
///
/// `Display` prints a line for each answer, the hosts folded in front. Control characters in what hosts said are shown
/// escaped, so that no host can play tricks on the terminal.
///
/// ```text
/// web[01-48,50]: started
/// web49: no space left on device (exit status 1)
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Gathered {
    stage: String,
    answers: Vec<Answer>,
}

/// The same answer from one or more hosts.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Answer {
    /// The hosts that gave it.
    pub hosts: HostSet,
    /// What they said, standard output before standard error; or why they could not say anything.
    pub text: String,
    /// Whether these hosts finished the stage.
    pub is_success: bool,
}

impl Gathered {
    pub(super) fn new(report: &Report, stage: &str) -> Self {
        let Some(position) = report.stages.iter().position(|name| name == stage) else {
            return Self {
                stage: stage.to_owned(),
                answers: Vec::new(),
            };
        };
        // By bytes, not by text: what is not UTF-8 may look the same and differ.
        let mut by_answer: HashMap<_, Vec<&str>> = HashMap::new();
        for host in &report.hosts {
            let (is_success, text) = answer(host, stage, position);
            let stage = host.stages.get(position);
            let said = stage.map(|stage| (stage.status, &stage.stdout, &stage.stderr));
            by_answer
                .entry((is_success, text, said))
                .or_default()
                .push(&host.name);
        }
        let mut answers: Vec<Answer> = by_answer
            .into_iter()
            .map(|((is_success, text, _), hosts)| Answer {
                hosts: hosts.into_iter().collect(),
                text,
                is_success,
            })
            .collect();
        answers.sort_by(|a, b| {
            b.hosts
                .len()
                .cmp(&a.hosts.len())
                .then_with(|| a.hosts.cmp(&b.hosts))
        });
        Self {
            stage: stage.to_owned(),
            answers,
        }
    }

    /// The answers, the most frequent first.
    pub fn answers(&self) -> &[Answer] {
        &self.answers
    }
}

impl<'a> IntoIterator for &'a Gathered {
    type Item = &'a Answer;
    type IntoIter = std::slice::Iter<'a, Answer>;

    fn into_iter(self) -> Self::IntoIter {
        self.answers.iter()
    }
}

fn answer(host: &HostReport, stage: &str, position: usize) -> (bool, String) {
    let report = host.stages.get(position);
    match (report.map(|report| report.status), &host.failure) {
        (Some(StageStatus::Done), _) => (true, report.map(said).unwrap_or_default()),
        (Some(StageStatus::Skipped(reason)), _) => (true, format!("skipped: {reason}")),
        (Some(_), Some(failure)) if failure.stage.as_deref() == Some(stage) => {
            let said = report.map(said).unwrap_or_default();
            match failure.kind {
                ErrorKind::Command => {
                    let exit = report.and_then(|report| report.exit.as_ref());
                    let how =
                        exit.map_or_else(|| failure.summary().to_owned(), ToString::to_string);
                    (
                        false,
                        if said.is_empty() {
                            how
                        } else {
                            format!("{said} ({how})")
                        },
                    )
                }
                kind => (false, format!("{kind}: {}", failure.summary())),
            }
        }
        (_, Some(failure)) => {
            let place = failure
                .stage
                .as_ref()
                .map(|stage| format!(" in stage `{stage}`"))
                .unwrap_or_default();
            (
                false,
                format!("{}{place}: {}", failure.kind, failure.summary()),
            )
        }
        (Some(_), None) => (false, "rolled back".into()),
        (None, None) => (false, "not run".into()),
    }
}

fn said(stage: &StageReport) -> String {
    let mut text = stage.stdout.to_string();
    if !text.is_empty() && !text.ends_with('\n') && !stage.stderr.is_empty() {
        text.push('\n');
    }
    text.push_str(&stage.stderr.to_string_lossy());
    text.truncate(text.trim_end().len());
    text
}

impl fmt::Display for Gathered {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.answers.is_empty() {
            return write!(f, "no host has a stage `{}`", Printable(&self.stage));
        }
        for (index, answer) in self.answers.iter().enumerate() {
            if index > 0 {
                f.write_str("\n")?;
            }
            write!(f, "{}:", Printable(&answer.hosts.to_string()))?;
            let mut lines = answer.text.lines();
            match (lines.next(), lines.next()) {
                (None, _) => f.write_str(" (no output)")?,
                (Some(only), None) => write!(f, " {}", Printable(only))?,
                (Some(_), Some(_)) => {
                    for line in answer.text.lines() {
                        write!(f, "\n  {}", Printable(line))?;
                    }
                }
            }
        }
        Ok(())
    }
}
