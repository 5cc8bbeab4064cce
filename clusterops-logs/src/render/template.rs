//! Lines as people want them: text with names in it.

use std::fmt::Write as _;
use std::str::FromStr;

use clusterops_core::Printable;
use jiff::tz::TimeZone;

use super::fields::{self, Fields};
use super::line::Line;
use super::time;
use crate::{Error, ErrorKind, Hit, Result};

/// A text with the names of fields in it: `{{@timestamp}} {{host.name}} {{message}}`.
///
/// `time`, `level`, `host`, `service` and `message` are what a [`Line`] has, the time in the zone of the
/// [`Renderer`](super::Renderer); `cluster` is where it comes from, `_index` and `_id` which document it is. Every other name
/// is a field of the document, as it stands there; for a missing one there is `-`. `{{{{name}}` writes `{{name}}`, and `\t` a
/// tab.
///
/// ```
/// use clusterops_logs::Hit;
/// use clusterops_logs::render::{Format, Renderer, Template};
///
/// let template: Template = "{{host}} {{http.status}} {{user.name}}: {{message}}".parse()?;
/// let hit: Hit = serde_json::from_str(
///     r#"{"_index": "logs", "_source": {"host": {"name": "web-1"}, "http.status": 500, "msg": "GET /"}}"#,
/// )?;
/// assert_eq!(Renderer::new().format(Format::Template(template)).render(&hit), "web-1 500 -: GET /");
/// assert_eq!("{{host".parse::<Template>().unwrap_err().column(), Some(1));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Template(Vec<Piece>);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Piece {
    Text(String),
    Name(String),
}

impl Template {
    pub(super) fn fill(&self, hit: &Hit, cluster: Option<&str>, zone: &TimeZone) -> String {
        let fields = Fields::of(hit);
        let line = Line::read(hit, &fields);
        let mut output = String::new();
        for piece in &self.0 {
            let name = match piece {
                Piece::Text(text) => {
                    output.push_str(text);
                    continue;
                }
                Piece::Name(name) => name,
            };
            let of_line = || match name.as_str() {
                "time" => line
                    .time
                    .map(|at| time::shown(at, zone))
                    .or_else(|| line.time_text.clone()),
                "level" => line.level.as_ref().map(super::Level::name),
                "host" | "host.name" | "host.hostname" => {
                    Some(line.host.as_ref()?.text().to_owned())
                }
                "service" | "service.name" => Some(line.service.as_ref()?.text().to_owned()),
                "message" => Some(
                    line.message
                        .text()
                        .trim_end_matches(['\n', '\r'])
                        .to_owned(),
                ),
                "cluster" => cluster.map(str::to_owned),
                "_index" => Some(hit.index.clone()),
                "_id" => Some(hit.id.clone()),
                _ => None,
            };
            let field = || fields.value(name).map(fields::text);
            let text = of_line().or_else(field).filter(|text| !text.is_empty());
            // Writing to a string does not fail.
            let _ = write!(output, "{}", Printable(text.as_deref().unwrap_or("-")));
        }
        output
    }
}

impl FromStr for Template {
    type Err = Error;

    /// # Errors
    /// [`Syntax`](ErrorKind::Syntax) for braces that are not closed, and for no name between them.
    fn from_str(template: &str) -> Result<Self> {
        let mut pieces = Vec::new();
        let mut text = String::new();
        let mut rest = template;
        while let Some(at) = rest.find("{{") {
            text.push_str(&rest[..at].replace(r"\t", "\t"));
            rest = &rest[at..];
            if let Some(escaped) = rest.strip_prefix("{{{{") {
                let end = escaped.find("}}").map_or(escaped.len(), |end| end + 2);
                text.push_str("{{");
                text.push_str(&escaped[..end]);
                rest = &escaped[end..];
                continue;
            }
            let column = template[..template.len() - rest.len()].chars().count() + 1;
            let wrong = |why: &str| Error::new(ErrorKind::Syntax, why).at(column);
            let end = rest.find("}}");
            let end =
                end.ok_or_else(|| wrong("the braces that open here are not closed by `}}`"))?;
            let name = rest[2..end].trim();
            if name.is_empty() {
                return Err(wrong("between the braces there is no name of a field"));
            }
            if !text.is_empty() {
                pieces.push(Piece::Text(std::mem::take(&mut text)));
            }
            pieces.push(Piece::Name(name.to_owned()));
            rest = &rest[end + 2..];
        }
        text.push_str(&rest.replace(r"\t", "\t"));
        if !text.is_empty() {
            pieces.push(Piece::Text(text));
        }
        Ok(Self(pieces))
    }
}
