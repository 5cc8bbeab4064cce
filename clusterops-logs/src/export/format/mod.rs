//! How documents are written.

mod csv;
pub(crate) mod path;

use jiff::tz::TimeZone;

use self::csv::Table;
use self::path::{Found, Members};
use super::{Hit, Page};
use crate::Result;
use crate::digest::digest;
use crate::render::{Renderer, Template};

/// How documents are written: one after the other, each with its end of line.
///
/// ```
/// use clusterops_logs::export::Format;
///
/// let mut out = Vec::new();
/// Format::csv(["@timestamp", "host.name", "message"]).header(&mut out);
/// assert_eq!(out, b"@timestamp,host.name,message\r\n");
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Format(Kind);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Kind {
    Sources,
    Hits,
    Csv(Table),
    Template(Template),
    Text,
}

impl Format {
    /// A JSON document a line, with the bytes that were indexed; ends of lines between its members are left out.
    pub fn ndjson() -> Self {
        Self(Kind::Sources)
    }

    /// A whole hit a line: the index, the id and the document below `_source`.
    pub fn hits() -> Self {
        Self(Kind::Hits)
    }

    /// A table (RFC 4180) with a line of names above and these fields as columns; `_index` and `_id` are such too.
    ///
    /// A column's name is a path with dots. Arrays and objects are written as JSON, a missing value as nothing. Logs have
    /// text of strangers in them, and spreadsheets run what begins with `=`, `+`, `-` or `@`: before such a text stands an
    /// apostrophe ([`danger_formulas`](Self::danger_formulas)). Numbers stay as they are.
    pub fn csv<C: Into<String>>(columns: impl IntoIterator<Item = C>) -> Self {
        let columns = columns.into_iter().map(Into::into).collect();
        Self(Kind::Csv(Table {
            columns,
            formulas: false,
        }))
    }

    /// A line of the caller's own form, with times in UTC.
    ///
    /// ```
    /// use clusterops_logs::export::Format;
    /// use clusterops_logs::render::Template;
    ///
    /// let format = Format::template(Template::new("{{@timestamp}} {{user.name}}"));
    /// assert_eq!(format.fields().unwrap(), ["@timestamp", "user.name"]);
    /// ```
    pub fn template(template: Template) -> Self {
        Self(Kind::Template(template))
    }

    /// A line for people, as a [`Renderer`] makes it without being told more.
    pub fn text() -> Self {
        Self(Kind::Text)
    }

    /// Leaves texts in tables as they are, those too that a spreadsheet takes for formulas and runs.
    #[must_use]
    pub fn danger_formulas(mut self, kept: bool) -> Self {
        if let Kind::Csv(table) = &mut self.0 {
            table.formulas = kept;
        }
        self
    }

    /// The fields that it needs; none where it needs them all. With [`Export::fields`](super::Export::fields) the others
    /// need not travel.
    pub fn fields(&self) -> Option<Vec<String>> {
        let names: Vec<&str> = match &self.0 {
            Kind::Sources | Kind::Hits | Kind::Text => return None,
            Kind::Csv(table) => {
                let columns = table.columns.iter().map(String::as_str);
                columns
                    .filter(|name| !matches!(*name, "_index" | "_id"))
                    .collect()
            }
            Kind::Template(template) => template.fields()?,
        };
        Some(names.into_iter().map(str::to_owned).collect())
    }

    /// What tells this format from others beside unfinished files, which releases to come go on with: written by hand, so
    /// that no change of what is private here changes it.
    pub(super) fn name(&self) -> String {
        let mut parts: Vec<&str> = Vec::new();
        match &self.0 {
            Kind::Sources => parts.push("ndjson"),
            Kind::Hits => parts.push("hits"),
            Kind::Text => parts.push("text"),
            Kind::Csv(table) => {
                parts.extend(["csv", if table.formulas { "formulas" } else { "" }]);
                parts.extend(table.columns.iter().map(String::as_str));
            }
            Kind::Template(template) => {
                parts.push("template");
                parts.extend(template.parts());
            }
        }
        digest(parts)
    }

    /// Writes what stands above the documents.
    pub fn header(&self, out: &mut Vec<u8>) {
        if let Kind::Csv(table) = &self.0 {
            table.header(out);
        }
    }

    /// Writes a document.
    ///
    /// # Errors
    /// [`Answer`](crate::ErrorKind::Answer) where lines for people are made of a hit that is of another shape than hits
    /// are; JSON and tables take any.
    pub fn hit(&self, hit: &Hit<'_>, out: &mut Vec<u8>) -> Result<()> {
        match &self.0 {
            Kind::Sources => line(hit.source(), out),
            Kind::Hits => line(hit.whole(), out),
            Kind::Csv(table) => table.write(hit, out),
            Kind::Template(template) => {
                let filled = template.fill(&hit.to_hit()?, None, &TimeZone::UTC);
                out.extend_from_slice(filled.as_bytes());
                out.push(b'\n');
            }
            Kind::Text => {
                let text = Renderer::new().render(&hit.to_hit()?);
                out.extend_from_slice(text.as_bytes());
                out.push(b'\n');
            }
        }
        Ok(())
    }

    /// Writes the documents of a page.
    ///
    /// # Errors
    /// Those of [`hit`](Self::hit).
    pub fn page(&self, page: &Page, out: &mut Vec<u8>) -> Result<()> {
        page.hits().try_for_each(|hit| self.hit(&hit, out))
    }
}

/// Writes JSON as one line. Within its texts no end of line stands unescaped.
fn line(json: &[u8], out: &mut Vec<u8>) {
    if json.contains(&b'\n') || json.contains(&b'\r') {
        out.extend(json.iter().filter(|byte| !matches!(byte, b'\n' | b'\r')));
    } else {
        out.extend_from_slice(json);
    }
    out.push(b'\n');
}

/// A field of the document, or of the hit.
fn value<'a>(hit: &Hit<'a>, members: &Members<'a>, name: &str) -> Found<'a> {
    match name {
        "_index" => Found::Text(hit.index()),
        "_id" => Found::Text(hit.id()),
        _ => members.at(name),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::export::page::tests::one;

    fn written(format: &Format, source: &str) -> String {
        let mut out = Vec::new();
        one(source)
            .hits()
            .for_each(|hit| format.hit(&hit, &mut out).expect("a hit"));
        String::from_utf8_lossy(&out).into_owned()
    }

    #[test]
    fn documents_keep_their_bytes_and_have_a_line_each() {
        let format = Format::ndjson();
        assert_eq!(
            written(&format, r#"{ "n" : 1.50, "e":1e3 }"#),
            "{ \"n\" : 1.50, \"e\":1e3 }\n"
        );
        assert_eq!(
            written(&format, "{\r\n  \"a\": \"x\\ny\"\n}"),
            "{  \"a\": \"x\\ny\"}\n"
        );
        let whole = written(&Format::hits(), "{}");
        assert_eq!(
            whole,
            "{\"_index\":\"logs\",\"_id\":\"1\",\"_source\":{},\"sort\":[1]}\n"
        );
    }

    #[test]
    fn names_stay_for_files_of_earlier_releases() {
        for (format, name) in [
            (Format::ndjson(), "033b66633d0f53d6"),
            (Format::hits(), "c41320ab76fc438c"),
            (Format::text(), "6bacb348789c9b33"),
            (Format::csv(["a", "b"]), "4737a4e105eb89f2"),
            (
                Format::csv(["a", "b"]).danger_formulas(true),
                "502d5ef62875e473",
            ),
            (Format::template("{{a}}: ".into()), "948d642bd001872b"),
        ] {
            assert_eq!(format.name(), name, "{format:?}");
        }
    }

    #[test]
    fn lines_for_people_are_those_of_the_renderer() {
        let source = r#"{"@timestamp":"2026-01-02T03:04:05+01:00","beat":{"hostname":"h"},"level":50,"msg":"m\u001b[1m\n"}"#;
        assert_eq!(
            written(&Format::text(), source),
            "2026-01-02T02:04:05.000Z h ERROR m\\u{1b}[1m\n"
        );
        assert_eq!(written(&Format::text(), r#"{"a":1}"#), "{\"a\":1}\n");
        let format =
            Format::template("{{host}} {{level}} {{_index}}/{{_id}} {{.Names}} {{absent}}".into());
        assert_eq!(written(&format, source), "h ERROR logs/1 {{.Names}} -\n");
        let fields = format.fields().expect("not all");
        assert!(fields.iter().any(|name| name == "beat.hostname"));
        assert!(fields.iter().any(|name| name == "absent"));
        assert_eq!(Format::template("{{message}}".into()).fields(), None);
    }
}
