//! Levels, whatever loggers call them.

use super::fields::Fields;
use super::highlight::{Marked, fragments};
use crate::Hit;
use crate::fields::LEVELS;

/// The level of a line.
///
/// ```
/// use clusterops_logs::render::{Level, Severity};
///
/// assert_eq!(Level::new("WARN").severity, Some(Severity::Warning));
/// assert_eq!(Level::new("30").name(), "INFO");
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Level {
    /// As the document has it.
    pub text: String,
    /// What it means, where that is known.
    pub severity: Option<Severity>,
    /// Whether the server matched it.
    pub matched: bool,
}

/// How bad something is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Severity {
    /// Steps of a program.
    Trace,
    /// For those who look for a fault.
    Debug,
    /// What happens.
    Info,
    /// What is worth a look.
    Warning,
    /// What has failed.
    Error,
    /// What cannot go on.
    Critical,
}

impl Level {
    /// A level as a document has it: a word, syslog's number (0 to 7, RFC 5424 section 6.2.1) or one of bunyan's (10 to 60).
    pub fn new(text: impl Into<String>) -> Self {
        let text = text.into();
        let severity = severity(text.trim());
        Self {
            text,
            severity,
            matched: false,
        }
    }

    /// Its name in capitals; of a number, what that means.
    pub fn name(&self) -> String {
        match self.severity {
            Some(severity) if self.text.trim().parse::<u32>().is_ok() => severity.name().to_owned(),
            _ => self.text.trim().to_uppercase(),
        }
    }

    pub(super) fn of(hit: &Hit, fields: &Fields<'_>) -> Option<Self> {
        let (name, text) = fields.first(LEVELS)?;
        let matches = Marked::new(text.as_str(), &fragments(hit, name));
        let level = Self {
            matched: !matches.matches().is_empty(),
            ..Self::new(text)
        };
        (!level.text.trim().is_empty()).then_some(level)
    }
}

impl Severity {
    fn name(self) -> &'static str {
        match self {
            Self::Trace => "TRACE",
            Self::Debug => "DEBUG",
            Self::Info => "INFO",
            Self::Warning => "WARN",
            Self::Error => "ERROR",
            Self::Critical => "CRITICAL",
        }
    }
}

fn severity(text: &str) -> Option<Severity> {
    const WORDS: &[(&str, Severity)] = &[
        ("trace", Severity::Trace),
        ("finest", Severity::Trace),
        ("finer", Severity::Trace),
        ("verbose", Severity::Debug),
        ("debug", Severity::Debug),
        ("fine", Severity::Debug),
        ("info", Severity::Info),
        ("notice", Severity::Info),
        ("warn", Severity::Warning),
        ("err", Severity::Error),
        ("severe", Severity::Error),
        ("crit", Severity::Critical),
        ("fatal", Severity::Critical),
        ("alert", Severity::Critical),
        ("emerg", Severity::Critical),
        ("panic", Severity::Critical),
    ];
    if let Ok(number) = text.parse::<u32>() {
        return match number {
            0..=2 => Some(Severity::Critical),
            3 => Some(Severity::Error),
            4 => Some(Severity::Warning),
            5 | 6 => Some(Severity::Info),
            7 => Some(Severity::Debug),
            10..20 => Some(Severity::Trace),
            20..30 => Some(Severity::Debug),
            30..40 => Some(Severity::Info),
            40..50 => Some(Severity::Warning),
            50..60 => Some(Severity::Error),
            60..70 => Some(Severity::Critical),
            _ => None,
        };
    }
    let begins = |word: &str| {
        let start = text.as_bytes().get(..word.len());
        start.is_some_and(|start| start.eq_ignore_ascii_case(word.as_bytes()))
    };
    let known = WORDS.iter().find(|(word, _)| begins(word));
    known.map(|(_, severity)| *severity).or(match text {
        "T" => Some(Severity::Trace),
        "D" => Some(Severity::Debug),
        "I" => Some(Severity::Info),
        "W" => Some(Severity::Warning),
        "E" => Some(Severity::Error),
        "F" | "C" => Some(Severity::Critical),
        _ => None,
    })
}
