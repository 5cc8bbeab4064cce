//! Colours of a terminal.

use std::hash::{DefaultHasher, Hash as _, Hasher as _};

use super::level::Severity;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Style {
    Plain,
    Coloured,
}

/// What a piece of a line is.
#[derive(Debug, Clone, Copy)]
pub(super) enum Part {
    Time,
    Remark,
    Cluster,
    Host,
    Service,
    Level(Option<Severity>),
    Message,
}

pub(super) const RESET: &str = "\u{1b}[0m";

impl Style {
    /// What to write before a piece, if anything (ECMA-48 section 8.3.117).
    pub(super) fn code(self, part: Part, text: &str, matched: bool) -> Option<&'static str> {
        if self == Self::Plain {
            return None;
        }
        if matched {
            return Some("\u{1b}[1;33m");
        }
        match part {
            Part::Time => Some("\u{1b}[2m"),
            Part::Remark => Some("\u{1b}[35m"),
            Part::Cluster => Some(of_name(text)),
            Part::Host => Some("\u{1b}[36m"),
            Part::Service => Some("\u{1b}[32m"),
            Part::Message => None,
            Part::Level(severity) => match severity? {
                Severity::Trace | Severity::Debug => Some("\u{1b}[2m"),
                Severity::Info => Some("\u{1b}[32m"),
                Severity::Warning => Some("\u{1b}[33m"),
                Severity::Error => Some("\u{1b}[31m"),
                Severity::Critical => Some("\u{1b}[1;31m"),
            },
        }
    }
}

/// The same colour for the same name.
fn of_name(name: &str) -> &'static str {
    const COLOURS: [&str; 6] = [
        "\u{1b}[34m",
        "\u{1b}[35m",
        "\u{1b}[32m",
        "\u{1b}[94m",
        "\u{1b}[95m",
        "\u{1b}[92m",
    ];
    let mut hasher = DefaultHasher::new();
    name.hash(&mut hasher);
    let count = COLOURS.len() as u64;
    COLOURS[(hasher.finish() % count) as usize]
}
