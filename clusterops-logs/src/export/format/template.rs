//! Lines of the caller's own form.

use std::io::Write as _;

use super::path::Members;
use crate::export::Hit;

/// A text with `{{field}}` in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Template(Vec<Piece>);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Piece {
    Text(String),
    Field(String),
}

impl Template {
    pub(super) fn read(text: &str) -> Self {
        let mut pieces = Vec::new();
        let mut literal = String::new();
        let mut rest = text;
        while let Some(at) = rest.find("{{") {
            literal.push_str(&rest[..at]);
            rest = &rest[at..];
            if let Some(name) = name_after(&rest[2..]) {
                if !literal.is_empty() {
                    pieces.push(Piece::Text(std::mem::take(&mut literal)));
                }
                pieces.push(Piece::Field(name.to_owned()));
                rest = &rest[name.len() + 4..];
            } else if let Some(name) = rest[2..].strip_prefix("{{").and_then(name_after) {
                literal.push_str("{{");
                literal.push_str(name);
                literal.push_str("}}");
                rest = &rest[name.len() + 6..];
            } else {
                literal.push('{');
                rest = &rest[1..];
            }
        }
        literal.push_str(rest);
        if !literal.is_empty() {
            pieces.push(Piece::Text(literal));
        }
        Self(pieces)
    }

    pub(super) fn fields(&self) -> impl Iterator<Item = &str> {
        self.0.iter().filter_map(|piece| match piece {
            Piece::Field(name) => Some(name.as_str()),
            Piece::Text(_) => None,
        })
    }

    /// Its pieces, each with what it is.
    pub(super) fn parts(&self) -> impl Iterator<Item = &str> {
        self.0.iter().flat_map(|piece| match piece {
            Piece::Text(text) => ["text", text],
            Piece::Field(name) => ["name", name],
        })
    }

    pub(super) fn write(&self, hit: &Hit<'_>, out: &mut Vec<u8>) {
        let members = Members::of(hit.source());
        for piece in &self.0 {
            match piece {
                Piece::Text(text) => out.extend_from_slice(text.as_bytes()),
                Piece::Field(name) => {
                    let value = super::value(hit, &members, name);
                    // Writing to a Vec cannot fail.
                    let _ = write!(out, "{}", value.printable());
                }
            }
        }
        out.push(b'\n');
    }
}

/// The name before `}}`, where it is one of a field.
fn name_after(text: &str) -> Option<&str> {
    let name = &text[..text.find("}}")?];
    let first = name.chars().next()?;
    let fits = |c: char| c.is_alphanumeric() || matches!(c, '_' | '@' | '.' | '-');
    ((first.is_alphabetic() || matches!(first, '_' | '@')) && name.chars().all(fits))
        .then_some(name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::export::page::tests::one;
    use proptest::prelude::*;

    fn line(template: &str, source: &str) -> String {
        let answer = one(source);
        let mut out = Vec::new();
        answer
            .hits()
            .for_each(|hit| Template::read(template).write(&hit, &mut out));
        String::from_utf8_lossy(&out).into_owned()
    }

    #[test]
    fn names_are_replaced_and_other_braces_stay() {
        let source = r#"{"@timestamp":"t","host":{"name":"web-1"},"n":1.0}"#;
        assert_eq!(
            line("{{@timestamp}} {{host.name}}: {{n}}", source),
            "t web-1: 1.0\n"
        );
        assert_eq!(line("{{_index}}/{{_id}} {{absent}}.", source), "logs/1 .\n");
        assert_eq!(
            line("{{{{n}} {{.Names}} {n} {{ n }} {{", source),
            "{{n}} {{.Names}} {n} {{ n }} {{\n"
        );
        assert_eq!(line("{{{n}}}", source), "{1.0}\n");
    }

    #[test]
    fn a_value_stays_within_its_line_and_off_the_terminal() {
        assert_eq!(
            line("{{m}}", r#"{"m":"a\nb\u001b[2J"}"#),
            "a\\nb\\u{1b}[2J\n"
        );
    }

    proptest! {
        #[test]
        fn no_template_panics(text in r"[{}a@.ä ]{0,30}") {
            let template = Template::read(&text);
            prop_assert!(template.fields().all(|name| text.contains(name)));
        }
    }
}
