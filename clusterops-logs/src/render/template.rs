//! Lines as people want them: text with names in it.

use std::cell::LazyCell;
use std::fmt::Write as _;

use clusterops_core::Printable;
use jiff::tz::TimeZone;

use super::fields::{self, Fields};
use super::line::Line;
use super::time;
use crate::Hit;
use crate::fields::{HOSTS, LEVELS, SERVICES, TIMES};

/// A text with the names of fields in it: `{{@timestamp}} {{host.name}} {{message}}`.
///
/// - `time`, `level`, `host`, `service` and `message` are what a [`Line`] has, the time in the zone of the
///   [`Renderer`](super::Renderer); `cluster` is where the hit comes from, `_index` and `_id` which document it is.
/// - Every other name is a field of the document as it stands there: a list with commas between its items, an object as
///   JSON, `-` for what is missing. What would end the line or act on a terminal is escaped.
/// - A name begins with a letter, `_` or `@`, and goes on with these, digits, `.` and `-`. All other braces stay as they
///   are: `{{.Names}}`, `{{ host }}`, `{{host`. `{{{{name}}` writes `{{name}}`, and `\t` a tab.
///
/// ```
/// use clusterops_logs::Hit;
/// use clusterops_logs::render::{Format, Renderer, Template};
///
/// let template = Template::new("{{host}} {{http.status}} {{user.name}}: {{message}}");
/// let hit: Hit = serde_json::from_str(
///     r#"{"_index": "logs", "_source": {"host": {"name": "web-1"}, "http.status": 500, "msg": "GET /"}}"#,
/// )?;
/// assert_eq!(Renderer::new().format(Format::Template(template)).render(&hit), "web-1 500 -: GET /");
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Template(Vec<Piece>);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Piece {
    Text(String),
    Name(String),
}

impl Template {
    /// Reads a template. Every text is one.
    pub fn new(template: &str) -> Self {
        let mut pieces = Vec::new();
        let mut text = String::new();
        let mut rest = template;
        while let Some(at) = rest.find("{{") {
            text.push_str(&unescaped(&rest[..at]));
            rest = &rest[at..];
            if let Some(name) = name_after(&rest[2..]) {
                if !text.is_empty() {
                    pieces.push(Piece::Text(std::mem::take(&mut text)));
                }
                pieces.push(Piece::Name(name.to_owned()));
                rest = &rest[name.len() + 4..];
            } else if let Some(name) = rest[2..].strip_prefix("{{").and_then(name_after) {
                text.push_str(&rest[2..name.len() + 6]);
                rest = &rest[name.len() + 6..];
            } else {
                text.push('{');
                rest = &rest[1..];
            }
        }
        text.push_str(&unescaped(rest));
        if !text.is_empty() {
            pieces.push(Piece::Text(text));
        }
        Self(pieces)
    }

    /// The names in it, in their order.
    ///
    /// ```
    /// use clusterops_logs::render::Template;
    ///
    /// let template = Template::new("{{time}} {{user.name}} {{.Names}}");
    /// assert_eq!(template.names().collect::<Vec<_>>(), ["time", "user.name"]);
    /// ```
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.0.iter().filter_map(|piece| match piece {
            Piece::Name(name) => Some(name.as_str()),
            Piece::Text(_) => None,
        })
    }

    /// The fields of documents that it needs; none where it needs them all, as a line without a message does.
    pub(crate) fn fields(&self) -> Option<Vec<&str>> {
        let mut fields = Vec::new();
        for name in self.names() {
            match name {
                "message" => return None,
                "time" => fields.extend(TIMES),
                "level" => fields.extend(LEVELS),
                "host" => fields.extend(HOSTS),
                "service" => fields.extend(SERVICES),
                "cluster" | "_index" | "_id" => {}
                name => fields.push(name),
            }
        }
        Some(fields)
    }

    /// Its pieces, each behind what it is.
    pub(crate) fn parts(&self) -> impl Iterator<Item = &str> {
        self.0.iter().flat_map(|piece| match piece {
            Piece::Text(text) => ["text", text],
            Piece::Name(name) => ["name", name],
        })
    }

    pub(crate) fn fill(&self, hit: &Hit, cluster: Option<&str>, zone: &TimeZone) -> String {
        let fields = Fields::of(hit);
        let line = LazyCell::new(|| Line::read(hit, &fields));
        let mut output = String::new();
        for piece in &self.0 {
            let name = match piece {
                Piece::Text(text) => {
                    output.push_str(text);
                    continue;
                }
                Piece::Name(name) => name,
            };
            let text = match name.as_str() {
                "time" => line
                    .time
                    .map(|at| time::shown(at, zone))
                    .or_else(|| line.time_text.clone()),
                "level" => line.level.as_ref().map(super::Level::name),
                "host" => line.host.as_ref().map(|host| host.text().to_owned()),
                "service" => line
                    .service
                    .as_ref()
                    .map(|service| service.text().to_owned()),
                "message" => {
                    let message = line.message.text().trim_end_matches(['\n', '\r']);
                    Some(message.to_owned())
                }
                "cluster" => cluster.map(str::to_owned),
                "_index" => Some(hit.index.clone()),
                "_id" => Some(hit.id.clone()),
                name => fields.value(name).map(fields::text),
            };
            let text = text.filter(|text| !text.is_empty());
            // Writing to a string does not fail.
            let _ = write!(output, "{}", Printable(text.as_deref().unwrap_or("-")));
        }
        output
    }
}

impl From<&str> for Template {
    fn from(template: &str) -> Self {
        Self::new(template)
    }
}

/// The text of a template without names, as it is written.
fn unescaped(text: &str) -> String {
    text.replace(r"\t", "\t")
}

/// The name before `}}`, where it is one of a field.
fn name_after(text: &str) -> Option<&str> {
    let name = &text[..text.find("}}")?];
    let first = name.chars().next()?;
    let fits = |c: char| c.is_alphanumeric() || matches!(c, '_' | '@' | '.' | '-');
    let is_name = (first.is_alphabetic() || matches!(first, '_' | '@')) && name.chars().all(fits);
    is_name.then_some(name)
}
