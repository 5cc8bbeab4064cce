//! Many hosts, few answers.

use std::collections::HashMap;
use std::fmt;

use clusterops_core::Printable;
use clusterops_core::hostset::HostSet;
use serde::{Deserialize, Serialize};

use super::{Captured, HostReport, Report, StageStatus};
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
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Gathered {
    stage: String,
    answers: Vec<Answer>,
}

/// The same answer from one or more hosts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
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
        let mut by_answer: HashMap<_, Vec<&str>> = HashMap::new();
        for host in &report.hosts {
            let answer = Said::of(host, stage, position);
            by_answer.entry(answer).or_default().push(&host.name);
        }
        let mut answers: Vec<Answer> = by_answer
            .into_iter()
            .map(|(said, hosts)| Answer {
                hosts: hosts.into_iter().collect(),
                is_success: said.is_success,
                text: said.into_text(),
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

/// What a host said in a stage, compared by bytes and not by text: what is not UTF-8 may look the same and differ.
#[derive(PartialEq, Eq, Hash)]
struct Said<'a> {
    is_success: bool,
    /// Standard output and standard error, where they are shown.
    output: Option<(&'a Captured, &'a Captured)>,
    /// How it ended, where the output does not say all.
    how: String,
}

impl<'a> Said<'a> {
    fn of(host: &'a HostReport, stage: &str, position: usize) -> Self {
        let report = host.stages.get(position);
        let status = report.map(|report| report.status);
        let is_success = matches!(status, Some(StageStatus::Done | StageStatus::Skipped(_)));
        let output = report.map(|report| (&report.stdout, &report.stderr));
        let (output, how) = match (status, &host.failure) {
            (Some(StageStatus::Done), _) => (output, String::new()),
            (Some(StageStatus::Skipped(reason)), _) => (None, format!("skipped: {reason}")),
            (Some(_), Some(failure)) if failure.stage.as_deref() == Some(stage) => {
                let exit = report.and_then(|report| report.exit.as_ref());
                let how = match (failure.kind, exit) {
                    (ErrorKind::Command, Some(exit)) => exit.to_string(),
                    (ErrorKind::Command, None) => failure.summary().to_owned(),
                    (kind, _) => format!("{kind}: {}", failure.summary()),
                };
                (output, how)
            }
            (_, Some(failure)) => {
                let place = failure
                    .stage
                    .as_ref()
                    .map(|stage| format!(" in stage `{stage}`"))
                    .unwrap_or_default();
                let how = format!("{}{place}: {}", failure.kind, failure.summary());
                (None, how)
            }
            (Some(_), None) => (None, "rolled back".into()),
            (None, None) => (None, "not run".into()),
        };
        Self {
            is_success,
            output,
            how,
        }
    }

    fn into_text(self) -> String {
        let said = self.output.map(|(stdout, stderr)| {
            let mut text = stdout.to_string();
            if !text.is_empty() && !text.ends_with('\n') && !stderr.is_empty() {
                text.push('\n');
            }
            text.push_str(&stderr.to_string_lossy());
            text.truncate(text.trim_end().len());
            text
        });
        match said.filter(|said| !said.is_empty()) {
            None => self.how,
            Some(said) if self.how.is_empty() => said,
            Some(said) => format!("{said} ({})", self.how),
        }
    }
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
