//! Tables of comma-separated values (RFC 4180).

use super::path::{Found, Members};
use crate::export::Hit;

/// The columns, and what is done to texts that a spreadsheet would take for formulas.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Table {
    pub(super) columns: Vec<String>,
    pub(super) formulas: bool,
}

impl Table {
    pub(super) fn header(&self, out: &mut Vec<u8>) {
        // Names are the caller's, and no formulas to anybody.
        let plain = Self {
            formulas: true,
            ..self.clone()
        };
        plain.line(
            out,
            self.columns.iter().map(|name| Found::Text(name.into())),
        );
    }

    pub(super) fn write(&self, hit: &Hit<'_>, out: &mut Vec<u8>) {
        let members = Members::of(hit.source());
        self.line(
            out,
            self.columns
                .iter()
                .map(|name| super::value(hit, &members, name)),
        );
    }

    fn line<'a>(&self, out: &mut Vec<u8>, values: impl Iterator<Item = Found<'a>>) {
        let start = out.len();
        for (index, value) in values.enumerate() {
            if index > 0 {
                out.push(b',');
            }
            self.cell(&value, out);
        }
        // A line of one empty value would be taken for none.
        if out.len() == start && self.columns.len() == 1 {
            out.extend_from_slice(b"\"\"");
        }
        out.extend_from_slice(b"\r\n");
    }

    fn cell(&self, value: &Found<'_>, out: &mut Vec<u8>) {
        let text = value.text();
        let is_formula =
            matches!(value, Found::Text(_)) && text.starts_with(['=', '+', '-', '@', '\t', '\r']);
        let marked = is_formula && !self.formulas;
        let quoted =
            text.contains(['"', ',', '\r', '\n']) || text.starts_with(' ') || text.ends_with(' ');
        if quoted {
            out.push(b'"');
        }
        if marked {
            out.push(b'\'');
        }
        for byte in text.bytes() {
            if byte == b'"' {
                out.push(b'"');
            }
            out.push(byte);
        }
        if quoted {
            out.push(b'"');
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::export::page::tests::one;

    fn table(columns: &[&str], source: &str, formulas: bool) -> String {
        let table = Table {
            columns: columns.iter().map(|&name| name.to_owned()).collect(),
            formulas,
        };
        let mut out = Vec::new();
        table.header(&mut out);
        one(source)
            .hits()
            .for_each(|hit| table.write(&hit, &mut out));
        String::from_utf8_lossy(&out).into_owned()
    }

    #[test]
    fn values_are_quoted_where_they_must_be() {
        let source = r#"{"a":"x, \"y\"\nz","b":{"c":-1.50},"d":["p",1],"e":null,"f":" s"}"#;
        assert_eq!(
            table(&["a", "b.c", "d", "e", "f", "_id"], source, false),
            "a,b.c,d,e,f,_id\r\n\"x, \"\"y\"\"\nz\",-1.50,\"[\"\"p\"\",1]\",,\" s\",1\r\n"
        );
    }

    #[test]
    fn texts_that_are_formulas_are_marked_unless_that_is_not_wanted() {
        let source = r#"{"a":"=cmd|' /C calc'!A0","b":"-1","c":-1,"@t":"@x"}"#;
        assert_eq!(
            table(&["a", "b", "c"], source, false),
            "a,b,c\r\n'=cmd|' /C calc'!A0,'-1,-1\r\n"
        );
        assert_eq!(table(&["b"], source, true), "b\r\n-1\r\n");
    }

    #[test]
    fn a_line_of_nothing_is_still_a_line() {
        assert_eq!(table(&["a"], "{}", false), "a\r\n\"\"\r\n");
        assert_eq!(table(&["a", "b"], "{}", false), "a,b\r\n,\r\n");
    }
}
