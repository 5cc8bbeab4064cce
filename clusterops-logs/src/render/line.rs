//! What a hit says, wherever in it that stands.

use jiff::Timestamp;

use super::fields::Fields;
use super::highlight::{Marked, fragments};
use super::level::Level;
use super::{json, time};
use crate::Hit;
use crate::fields::{HOSTS, MESSAGES, SERVICES};

/// What a hit says.
///
/// ```
/// use clusterops_logs::Hit;
/// use clusterops_logs::render::Line;
///
/// let hit: Hit = serde_json::from_str(
///     r#"{"_index": "logs", "_source": {"time": 1767323045100, "hostname": "web-1", "level": 50, "msg": "down"}}"#,
/// )?;
/// let line = Line::of(&hit);
/// assert_eq!(line.message.text(), "down");
/// assert_eq!(line.host.unwrap().text(), "web-1");
/// assert_eq!(line.level.unwrap().name(), "ERROR");
/// assert_eq!(line.time.unwrap().to_string(), "2026-01-02T03:04:05.1Z");
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Line {
    /// When it happened.
    pub time: Option<Timestamp>,
    /// Where that does not read as a time, what stands there.
    pub time_text: Option<String>,
    /// How bad it is.
    pub level: Option<Level>,
    /// The machine.
    pub host: Option<Marked>,
    /// The program.
    pub service: Option<Marked>,
    /// What happened; the whole document as JSON, where it has no message.
    pub message: Marked,
}

impl Line {
    /// Reads a hit: its document, else the fields asked for by name.
    pub fn of(hit: &Hit) -> Self {
        Self::read(hit, &Fields::of(hit))
    }

    pub(super) fn read(hit: &Hit, fields: &Fields<'_>) -> Self {
        let marked = |names: &[&str]| {
            let (name, text) = fields.first(names)?;
            Some(Marked::new(text, &fragments(hit, name)))
        };
        let (time, time_text) = time::of(fields);
        Self {
            time,
            time_text,
            level: Level::of(hit, fields),
            host: marked(HOSTS),
            service: marked(SERVICES),
            message: marked(MESSAGES).unwrap_or_else(|| whole(hit).into()),
        }
    }
}

/// The document itself.
fn whole(hit: &Hit) -> String {
    match &hit.source {
        Some(source) => json::compact(source.get()),
        None => serde_json::to_string(&hit.fields).unwrap_or_default(),
    }
}
