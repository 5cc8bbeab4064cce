//! How documents are written.

mod csv;
pub(crate) mod path;
mod template;

use std::io::Write as _;

use self::csv::Table;
use self::path::{Found, Members};
use self::template::Template;
use super::{Hit, Page};
use crate::digest::digest;

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

    /// A line of the caller's own form: `{{name}}` stands for a field, `{{_index}}` and `{{_id}}` for those of the hit.
    ///
    /// Other braces stay as they are; `{{{{name}}` writes `{{name}}`. In values, what would end the line or act on a terminal
    /// is escaped.
    ///
    /// ```
    /// use clusterops_logs::export::Format;
    ///
    /// let format = Format::template("{{@timestamp}} {{host.name}}: {{message}}");
    /// assert_eq!(format.fields().unwrap(), ["@timestamp", "host.name", "message"]);
    /// ```
    pub fn template(text: &str) -> Self {
        Self(Kind::Template(Template::read(text)))
    }

    /// A line for people: the time, the host, the level and the message, in whichever of their usual fields they stand.
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
        let of_document = |name: &str| !matches!(name, "_index" | "_id");
        let names: Vec<&str> = match &self.0 {
            Kind::Sources | Kind::Hits | Kind::Text => return None,
            Kind::Csv(table) => table.columns.iter().map(String::as_str).collect(),
            Kind::Template(template) => template.fields().collect(),
        };
        Some(
            names
                .into_iter()
                .filter(|name| of_document(name))
                .map(str::to_owned)
                .collect(),
        )
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
    pub fn hit(&self, hit: &Hit<'_>, out: &mut Vec<u8>) {
        match &self.0 {
            Kind::Sources => line(hit.source(), out),
            Kind::Hits => line(hit.whole(), out),
            Kind::Csv(table) => table.write(hit, out),
            Kind::Template(template) => template.write(hit, out),
            Kind::Text => text(hit, out),
        }
    }

    /// Writes the documents of a page.
    pub fn page(&self, page: &Page, out: &mut Vec<u8>) {
        page.hits().for_each(|hit| self.hit(&hit, out));
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

/// Writes what people look at.
fn text(hit: &Hit<'_>, out: &mut Vec<u8>) {
    const PARTS: [&[&str]; 4] = [
        &["@timestamp", "timestamp", "time"],
        &["host.name", "host.hostname", "host", "hostname"],
        &["log.level", "level", "severity"],
        &["message", "msg", "log"],
    ];
    let members = Members::of(hit.source());
    let start = out.len();
    for names in PARTS {
        let mut values = names.iter().map(|name| members.at(name));
        let value = values.find(|value| matches!(value, Found::Text(_) | Found::Scalar(_)));
        if let Some(value) = value {
            if out.len() > start {
                out.push(b' ');
            }
            // Writing to a Vec cannot fail.
            let _ = write!(out, "{}", value.printable());
        }
    }
    if out.len() == start {
        return line(hit.source(), out);
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
            .for_each(|hit| format.hit(&hit, &mut out));
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
            (Format::template("{{a}}: "), "948d642bd001872b"),
        ] {
            assert_eq!(format.name(), name, "{format:?}");
        }
    }

    #[test]
    fn text_takes_the_usual_fields() {
        let format = Format::text();
        let ecs = r#"{"@timestamp":"t","host":{"name":"h"},"log":{"level":"warn"},"message":"m\u001b[1m"}"#;
        assert_eq!(written(&format, ecs), "t h warn m\\u{1b}[1m\n");
        assert_eq!(written(&format, r#"{"host":"h","msg":"m"}"#), "h m\n");
        assert_eq!(written(&format, r#"{"a":1}"#), "{\"a\":1}\n");
    }
}
