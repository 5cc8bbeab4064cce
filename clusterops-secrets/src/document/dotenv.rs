//! Reads and writes dotenv files, by the grammar of the npm package `dotenv` (16 and 17), strictly.
//!
//! That package takes what it can and is silent about the rest. Here a line is blank, a comment, or `NAME=value`, also with
//! `export` in front and `NAME: value`; a quote that opens closes, with nothing behind it but a comment; anything else is an
//! error. What is read has the value that the package gives it: without quotes it ends at the first `#` and has no space
//! around it; between double quotes `\n` and `\r` are resolved and no other escape; a backslash in front of a quote keeps it
//! from closing and stays; line ends inside of quotes become `\n`.

use std::ops::Range;

use zeroize::Zeroizing;

use super::header::Header;
use super::scan::{any, until, width};
use super::tree::{Builder, Key, Kind, Scalar, Shape, Style, Text, Tree, offset};
use super::{Document, RESERVED, TOO_MANY, line_of};
use crate::{Error, ErrorKind, Result};

/// What a line of the reserved block starts with.
pub(super) const PREFIX: &str = "# x-sealed ";

/// What a file has: its values, and the reserved block with its bytes.
pub(super) struct Read {
    pub(super) tree: Tree,
    pub(super) block: Option<(Header, Range<usize>)>,
}

/// The bytes of the reserved block, and the number and the rest of each of its lines.
type Lines<'s> = (Range<usize>, Vec<(usize, &'s str)>);

/// Reads the text from byte `from` on, which is behind a byte order mark.
pub(super) fn parse(source: &str, from: usize) -> Result<Read> {
    let mut reader = Reader {
        source,
        at: from,
        line: 1,
        mark: from,
        column: 1,
        builder: Builder::new(source),
    };
    let mut block: Option<Lines<'_>> = None;
    reader.builder.open(Shape::Object { flow: false }, from);
    while reader.at < source.len() {
        let start = reader.at;
        let rest = reader.rest();
        if rest.starts_with(PREFIX) {
            let line = first_line(rest);
            let (range, lines) = block.get_or_insert_with(|| (start..start, Vec::new()));
            if !lines.is_empty()
                && !source[range.end..start]
                    .trim_matches(['\r', '\n'])
                    .is_empty()
            {
                let message = "the lines `# x-sealed` do not stand together";
                return Err(reader.error(ErrorKind::Format, message));
            }
            range.end = start + line.len();
            lines.push((reader.line, &line[PREFIX.len()..]));
            reader.to(start + line.len());
        } else {
            reader.line()?;
        }
        reader.end_of_line();
    }
    reader.builder.close(Some(source.len()));
    let block = block.map(|(range, lines)| Ok((Header::of_lines(&lines)?, range)));
    Ok(Read {
        tree: reader.builder.finish(),
        block: block.transpose()?,
    })
}

struct Reader<'s> {
    source: &'s str,
    at: usize,
    line: usize,
    /// A place in the current line, and its column.
    mark: usize,
    column: usize,
    builder: Builder<'s>,
}

impl<'s> Reader<'s> {
    /// Reads up to the end of a line, which is more than one when quotes are around it.
    fn line(&mut self) -> Result<()> {
        self.skip_space();
        match self.rest().chars().next() {
            None | Some('\r' | '\n') => return Ok(()),
            Some('#') => return self.comment(),
            _ => {}
        }
        if let Some(behind) = self.rest().strip_prefix("export") {
            let name = behind.trim_start_matches(is_space);
            if name.len() < behind.len() && name.starts_with(is_name_character) {
                self.at = self.source.len() - name.len();
            }
        }
        if self.builder.is_full() {
            return Err(self.error(ErrorKind::Syntax, TOO_MANY));
        }
        let start = self.at;
        let rest = self.rest();
        let name = &rest[..rest
            .find(|character| !is_name_character(character))
            .unwrap_or(rest.len())];
        let place = self.place(start);
        if name.is_empty() {
            return Err(self.error(
                ErrorKind::Syntax,
                "this is neither a comment nor `NAME=value`",
            ));
        }
        if name == RESERVED {
            return Err(self.error(ErrorKind::Syntax, "the name `x-sealed` is reserved"));
        }
        self.at += name.len();
        let key = Key::Source(offset(start), offset(self.at));
        if let Err(first) = self.builder.key(key, start, self.at) {
            let message = format!(
                "the name `{name}` stands twice, first in line {}; keep one",
                line_of(self.source, first)
            );
            return Err(Error::new(ErrorKind::Syntax, message).at(place.0, place.1));
        }
        self.separator()?;
        self.value()
    }

    fn separator(&mut self) -> Result<()> {
        let colon = self.rest().strip_prefix(':');
        if let Some(behind) = colon {
            if !behind.starts_with(is_space) {
                return Err(self.error(ErrorKind::Syntax, "a space is missing behind this `:`"));
            }
            self.at += ':'.len_utf8();
            self.at += self.rest().chars().next().map_or(0, char::len_utf8);
            return Ok(());
        }
        self.skip_space();
        if !self.rest().starts_with('=') {
            return Err(self.error(ErrorKind::Syntax, "`=` is missing here, behind the name"));
        }
        self.at += 1;
        Ok(())
    }

    fn value(&mut self) -> Result<()> {
        let empty = self.at;
        self.skip_space();
        let start = self.at;
        let style = match self.rest().chars().next() {
            Some('\'') => Style::Single,
            Some('"') => Style::Double,
            Some('`') => Style::Backtick,
            _ => Style::Plain,
        };
        if style == Style::Plain {
            let rest = self.rest();
            let line = &rest[..until(rest.as_bytes(), is_end)];
            if has_separator(line) {
                let message =
                    "a line separator (U+2028) stands in this value; put quotes around it";
                return Err(self.error(ErrorKind::Syntax, message));
            }
            let end = start + line.trim_end_matches(is_space).len();
            let (start, end) = if start == end {
                (empty, empty)
            } else {
                (start, end)
            };
            let text = Text::Source(offset(start), offset(end));
            self.scalar(style, text, start, end);
            self.at = end;
            self.skip_space();
            return self.comment();
        }
        let Some(end) = closing(self.source, start) else {
            let message =
                "this quote does not close, or something but a comment stands behind its end";
            return Err(self.error(ErrorKind::Syntax, message));
        };
        let text = match decoded(&self.source[start + 1..end - 1], style) {
            Some(text) => Text::Decoded(text),
            None => Text::Source(offset(start + 1), offset(end - 1)),
        };
        self.scalar(style, text, start, end);
        self.to(end);
        self.skip_space();
        self.comment()
    }

    fn scalar(&mut self, style: Style, text: Text, start: usize, end: usize) {
        let (line, column) = self.place(start);
        let scalar = Scalar {
            kind: Kind::String,
            line,
            column,
            node: 0,
            style,
            text,
            fixed: None,
        };
        self.builder.scalar(scalar, start, end);
    }

    /// Goes over a comment, if there is one.
    fn comment(&mut self) -> Result<()> {
        let line = first_line(self.rest());
        // For JavaScript a line ends there, and what follows would be read.
        if has_separator(line) {
            return Err(self.error(
                ErrorKind::Syntax,
                "a line separator (U+2028) stands in this comment",
            ));
        }
        self.at += line.len();
        Ok(())
    }

    fn skip_space(&mut self) {
        let rest = self.rest();
        self.at += rest.len() - rest.trim_start_matches(is_space).len();
    }

    fn end_of_line(&mut self) {
        let rest = self.rest();
        let end = ["\r\n", "\n", "\r"]
            .into_iter()
            .find(|end| rest.starts_with(end));
        if let Some(end) = end {
            self.to(self.at + end.len());
        }
    }

    /// Goes on to a byte, over ends of lines.
    fn to(&mut self, at: usize) {
        let over = &self.source[self.at..at];
        if let Some(last) = over.rfind('\n') {
            self.line += over.matches('\n').count();
            self.mark = self.at + last + 1;
            self.column = 1;
        }
        self.at = at;
    }

    fn rest(&self) -> &'s str {
        &self.source[self.at..]
    }

    /// The line and column of a byte of the current line that is not in front of the last place asked for.
    fn place(&mut self, at: usize) -> (usize, usize) {
        self.column += width(&self.source.as_bytes()[self.mark.min(at)..at]);
        self.mark = at;
        (self.line, self.column)
    }

    fn error(&mut self, kind: ErrorKind, message: &str) -> Error {
        let (line, column) = self.place(self.at);
        Error::new(kind, message).at(line, column)
    }
}

/// Whether the text can be a name.
pub(super) fn is_name(name: &str) -> bool {
    !name.is_empty() && name.chars().all(is_name_character)
}

/// What is to stand in place of a value.
pub(super) fn replacement(
    document: &Document,
    scalar: &Scalar,
    text: &str,
) -> Result<Zeroizing<String>> {
    write(text, scalar.style, document.eol())
}

/// What stands behind the `=` of a new line.
pub(super) fn new_value(text: &str, eol: &str) -> Result<Zeroizing<String>> {
    let tame =
        |character: char| character.is_ascii_alphanumeric() || "[]-_./:@%+,".contains(character);
    let style = match text.chars().all(tame) {
        true => Style::Plain,
        false => Style::Single,
    };
    write(text, style, eol)
}

/// Writes a value in this style, or in the first other one that can hold it.
fn write(text: &str, style: Style, eol: &str) -> Result<Zeroizing<String>> {
    let styles = [
        style,
        Style::Single,
        Style::Double,
        Style::Backtick,
        Style::Plain,
    ];
    let fits = |style: &Style| fits(text, *style);
    let Some(style) = styles.into_iter().find(fits) else {
        let message = "a dotenv file cannot hold this value: all three quotes, a `#` or line ends, or a backslash at the end; \
                       keep it as base64";
        return Err(Error::new(ErrorKind::Input, message));
    };
    let quote = match style {
        Style::Single => "'",
        Style::Double => "\"",
        Style::Backtick => "`",
        Style::Plain | Style::Block => "",
    };
    let lines = any(text, |byte| (byte == b'\r') | (byte == b'\n'));
    let ends = if lines {
        text.matches(['\n', '\r']).count()
    } else {
        0
    };
    let mut out = Zeroizing::new(String::with_capacity(text.len() + ends + 2));
    out.push_str(quote);
    let mut plain = 0;
    for (at, end) in text.match_indices(['\n', '\r']).take(ends) {
        out.push_str(&text[plain..at]);
        plain = at + 1;
        out.push_str(match (style, end) {
            (Style::Double, "\n") => "\\n",
            (Style::Double, _) => "\\r",
            _ => eol,
        });
    }
    out.push_str(&text[plain..]);
    out.push_str(quote);
    Ok(out)
}

/// Whether a text written in this style is read as it is.
fn fits(text: &str, style: Style) -> bool {
    let quoted = |quote: char| !text.contains(quote) && !text.ends_with('\\');
    match style {
        Style::Single => quoted('\'') && !text.contains('\r'),
        Style::Backtick => quoted('`') && !text.contains('\r'),
        Style::Double => quoted('"') && !text.contains("\\n") && !text.contains("\\r"),
        Style::Plain | Style::Block => {
            !any(text, is_end)
                && !has_separator(text)
                && !text.starts_with(['\'', '"', '`'])
                && text.trim_matches(is_space) == text
        }
    }
}

/// The value between quotes, unless it is what stands there.
fn decoded(raw: &str, style: Style) -> Option<Zeroizing<String>> {
    let escapes = style == Style::Double && (raw.contains("\\n") || raw.contains("\\r"));
    if !escapes && !raw.contains('\r') {
        return None;
    }
    // What is read is never longer, so that this never moves and leaves a copy behind.
    let mut text = Zeroizing::new(String::with_capacity(raw.len()));
    let mut rest = raw;
    while let Some(at) = rest.find(['\r', '\\']) {
        text.push_str(&rest[..at]);
        rest = &rest[at..];
        let (taken, read) = match rest.as_bytes() {
            [b'\r', b'\n', ..] => (2, "\n"),
            [b'\r', ..] => (1, "\n"),
            [_, b'n', ..] if escapes => (2, "\n"),
            [_, b'r', ..] if escapes => (2, "\r"),
            _ => (1, "\\"),
        };
        text.push_str(read);
        rest = &rest[taken..];
    }
    text.push_str(rest);
    Some(text)
}

/// The end of the quoted value that starts here: behind the first quote that has no backslash in front and is the last of its
/// line but for a comment, else behind the last such quote that has one.
fn closing(source: &str, start: usize) -> Option<usize> {
    let bytes = source.as_bytes();
    let quote = bytes[start];
    let mut at = start + 1;
    let mut escaped = None;
    while at < bytes.len() {
        match bytes[at] {
            b'\\' if bytes.get(at + 1) == Some(&quote) => {
                if ends_value(&source[at + 2..]) {
                    escaped = Some(at + 2);
                }
                at += 2;
            }
            byte if byte == quote => {
                return if ends_value(&source[at + 1..]) {
                    Some(at + 1)
                } else {
                    escaped
                };
            }
            _ => at += 1,
        }
    }
    escaped
}

/// Whether nothing but a comment follows in the line.
fn ends_value(rest: &str) -> bool {
    let rest = rest.trim_start_matches(is_space);
    rest.is_empty() || rest.starts_with(['\r', '\n', '#'])
}

fn first_line(text: &str) -> &str {
    &text[..until(text.as_bytes(), |byte| (byte == b'\r') | (byte == b'\n'))]
}

/// Whether a value without quotes ends here.
fn is_end(byte: u8) -> bool {
    (byte == b'\r') | (byte == b'\n') | (byte == b'#')
}

/// JavaScript takes these for space and for ends of lines, and so for both in a value or a comment.
fn has_separator(line: &str) -> bool {
    !line.is_ascii() && line.contains(['\u{2028}', '\u{2029}'])
}

/// What JavaScript takes for space, ends of lines left out.
fn is_space(character: char) -> bool {
    let unicode = character.is_whitespace()
        && !matches!(character, '\r' | '\n' | '\u{85}' | '\u{2028}' | '\u{2029}');
    unicode || character == '\u{feff}'
}

fn is_name_character(character: char) -> bool {
    character.is_ascii_alphanumeric() || matches!(character, '_' | '.' | '-')
}
