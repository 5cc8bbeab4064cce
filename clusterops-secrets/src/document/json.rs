//! Reads JSON (RFC 8259) into a tree, strictly.

use zeroize::Zeroizing;

use super::scan::{until, width};
use super::tree::{Builder, Key, Kind, Scalar, Shape, Style, Text, Tree, offset};
use super::{MAX_DEPTH, TOO_DEEP, TOO_MANY, line_of, twice};
use crate::{Error, ErrorKind, Result};

/// Reads the text from byte `from` on, which is behind a byte order mark.
pub(super) fn parse(source: &str, from: usize) -> Result<Tree> {
    let mut parser = Parser {
        source,
        bytes: source.as_bytes(),
        at: from,
        line: 1,
        mark: from,
        column: 1,
        builder: Builder::new(source),
    };
    parser.skip_space();
    if parser.peek() != Some(b'{') {
        return Err(parser.error(match parser.peek() {
            None => "the file is empty; it holds one JSON object",
            _ => "the document is not a JSON object, which starts with `{`",
        }));
    }
    parser.object()?;
    parser.skip_space();
    match parser.peek() {
        None => Ok(parser.builder.finish()),
        Some(_) => Err(parser.error("something stands behind the JSON object")),
    }
}

struct Parser<'s> {
    source: &'s str,
    bytes: &'s [u8],
    at: usize,
    line: usize,
    /// A place in the current line, and its column.
    mark: usize,
    column: usize,
    builder: Builder<'s>,
}

/// A string: where it starts with its quote, and what it says.
struct Read {
    start: usize,
    text: Text,
}

impl Parser<'_> {
    fn object(&mut self) -> Result<()> {
        self.open(Shape::Object { flow: true })?;
        if !self.next_is(b'}') {
            loop {
                self.member()?;
                if !self.next(b'}', "`,` or `}` is missing here, behind a member")? {
                    break;
                }
                if self.peek() == Some(b'}') {
                    return Err(
                        self.error("a `,` stands in front of this `}`; JSON has none there")
                    );
                }
            }
        }
        self.builder.close(Some(self.at));
        Ok(())
    }

    fn array(&mut self) -> Result<()> {
        self.open(Shape::Array { flow: true })?;
        if !self.next_is(b']') {
            loop {
                self.value()?;
                if !self.next(b']', "`,` or `]` is missing here, behind an element")? {
                    break;
                }
                if self.peek() == Some(b']') {
                    return Err(
                        self.error("a `,` stands in front of this `]`; JSON has none there")
                    );
                }
            }
        }
        self.builder.close(Some(self.at));
        Ok(())
    }

    fn member(&mut self) -> Result<()> {
        if self.peek() != Some(b'"') {
            return Err(self.error(match self.peek() {
                Some(b'/' | b'#') => "JSON has no comments",
                Some(b'\'') => "JSON strings stand between double quotes",
                None => "the file ends inside of an object",
                _ => "the name of a member is missing here, between double quotes",
            }));
        }
        let place = self.place(self.at);
        let read = self.string()?;
        let key = match read.text {
            Text::Source(start, end) => Key::Source(start, end),
            Text::Decoded(text) => Key::Decoded(text.as_str().into()),
        };
        let again = self.builder.key(key, read.start, self.at);
        if let Err(first) = again {
            let key = &self.source[read.start + 1..self.at - 1];
            let message = twice(key, '"', line_of(self.source, first));
            return Err(Error::new(ErrorKind::Syntax, message).at(place.0, place.1));
        }
        self.skip_space();
        if self.peek() != Some(b':') {
            return Err(self.error("`:` is missing here, behind the name of a member"));
        }
        self.at += 1;
        self.skip_space();
        self.value()
    }

    fn value(&mut self) -> Result<()> {
        if self.builder.is_full() {
            return Err(self.error(TOO_MANY));
        }
        let start = self.at;
        let (line, column) = self.place(start);
        let (kind, style, text) = match self.peek() {
            Some(b'"') => (Kind::String, Style::Double, self.string()?.text),
            Some(b'{') => return self.object(),
            Some(b'[') => return self.array(),
            Some(b'-' | b'0'..=b'9') => {
                self.number()?;
                (Kind::Number, Style::Plain, self.source_from(start))
            }
            Some(b't') => (Kind::Bool, Style::Plain, self.word("true")?),
            Some(b'f') => (Kind::Bool, Style::Plain, self.word("false")?),
            Some(b'n') => (Kind::Null, Style::Plain, self.word("null")?),
            Some(b'/' | b'#') => return Err(self.error("JSON has no comments")),
            Some(b'\'') => return Err(self.error("JSON strings stand between double quotes")),
            None => return Err(self.error("the file ends where a value is expected")),
            Some(_) => return Err(self.error("a value is missing here")),
        };
        let scalar = Scalar {
            kind,
            line,
            column,
            node: 0,
            style,
            text,
            fixed: None,
        };
        self.builder.scalar(scalar, start, self.at);
        Ok(())
    }

    fn open(&mut self, shape: Shape) -> Result<()> {
        if self.builder.depth() == MAX_DEPTH {
            return Err(self.error(TOO_DEEP));
        }
        self.builder.open(shape, self.at);
        self.at += 1;
        self.skip_space();
        Ok(())
    }

    /// Whether the container ends here, right behind its start.
    fn next_is(&mut self, end: u8) -> bool {
        let ends = self.peek() == Some(end);
        self.at += usize::from(ends);
        ends
    }

    /// Goes over a comma (true) or the end (false), and the space around it.
    fn next(&mut self, end: u8, missing: &str) -> Result<bool> {
        self.skip_space();
        match self.peek() {
            Some(b',') => {
                self.at += 1;
                self.skip_space();
                Ok(true)
            }
            Some(byte) if byte == end => {
                self.at += 1;
                Ok(false)
            }
            Some(b'/' | b'#') => Err(self.error("JSON has no comments")),
            None => Err(self.error("the file ends too early: a closing bracket is missing")),
            Some(_) => Err(self.error(missing)),
        }
    }

    /// Reads a string whose quote is here.
    fn string(&mut self) -> Result<Read> {
        let start = self.at;
        self.at += 1;
        let mut escaped = false;
        loop {
            self.at += until(&self.bytes[self.at..], is_special);
            match self.peek() {
                Some(b'"') => break,
                Some(b'\\') => {
                    escaped = true;
                    // The character behind a backslash is at least one byte, and the rest of it are plain bytes.
                    self.at += match self.bytes.get(self.at + 1) {
                        Some(&byte) if byte >= 0x20 => 2,
                        _ => 1,
                    };
                }
                Some(b'\n' | b'\r') => {
                    return Err(self.error("a line ends inside of a string; write `\\n`"));
                }
                Some(_) => {
                    let message =
                        "a control character stands inside of a string; write `\\t` or `\\u00..`";
                    return Err(self.error(message));
                }
                None => {
                    self.at = start;
                    return Err(self.error("this string has no closing quote"));
                }
            }
        }
        let (from, to) = (start + 1, self.at);
        self.at += 1;
        let text = match escaped {
            false => Text::Source(offset(from), offset(to)),
            true => match unescape(&self.source[from..to]) {
                Ok(text) => Text::Decoded(text),
                Err((at, message)) => {
                    self.at = from + at;
                    return Err(self.error(message));
                }
            },
        };
        Ok(Read { start, text })
    }

    fn number(&mut self) -> Result<()> {
        let rest = &self.bytes[self.at..];
        match number(rest) {
            Some(length) if !rest.get(length).copied().is_some_and(is_word) => {
                self.at += length;
                Ok(())
            }
            _ => Err(self.error("this is not a number as JSON writes them; a text needs quotes")),
        }
    }

    fn word(&mut self, word: &str) -> Result<Text> {
        let start = self.at;
        let rest = &self.bytes[start..];
        if !rest.starts_with(word.as_bytes()) || rest.get(word.len()).copied().is_some_and(is_word)
        {
            return Err(self.error("a value is missing here; a text needs quotes"));
        }
        self.at += word.len();
        Ok(self.source_from(start))
    }

    fn source_from(&self, start: usize) -> Text {
        Text::Source(offset(start), offset(self.at))
    }

    fn skip_space(&mut self) {
        while let Some(byte) = self.peek() {
            match byte {
                b' ' | b'\t' | b'\r' => self.at += 1,
                b'\n' => {
                    self.at += 1;
                    self.line += 1;
                    self.mark = self.at;
                    self.column = 1;
                }
                _ => break,
            }
        }
    }

    fn peek(&self) -> Option<u8> {
        self.bytes.get(self.at).copied()
    }

    /// The line and column of a byte that is not in front of the last place asked for.
    fn place(&mut self, at: usize) -> (usize, usize) {
        self.column += width(&self.bytes[self.mark..at]);
        self.mark = at;
        (self.line, self.column)
    }

    fn error(&mut self, message: &str) -> Error {
        let (line, column) = self.place(self.at);
        Error::new(ErrorKind::Syntax, message).at(line, column)
    }
}

/// Whether there are comments as JavaScript has them, which some programs take in JSON too.
pub(super) fn has_comments(text: &str) -> bool {
    let mut rest = text;
    while let Some(at) = rest.find(['"', '/']) {
        let found = &rest[at..];
        if found.starts_with("//") || found.starts_with("/*") {
            return true;
        }
        rest = &found[1..];
        if found.starts_with('"') {
            let mut escaped = false;
            let end = rest.find(|c| {
                let ends = c == '"' && !escaped;
                escaped = c == '\\' && !escaped;
                ends
            });
            rest = end.map_or("", |end| &rest[end + 1..]);
        }
    }
    false
}

/// Whether the text is what JSON has besides strings, objects and arrays: a number, `true`, `false` or `null`.
pub(super) fn is_literal(text: &str) -> bool {
    matches!(text, "true" | "false" | "null") || number(text.as_bytes()) == Some(text.len())
}

/// How long the number is that starts here (RFC 8259 section 6).
fn number(bytes: &[u8]) -> Option<usize> {
    let digits = |from: usize| {
        let rest = bytes.get(from..).unwrap_or_default();
        let count = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
        (count > 0).then_some(from + count)
    };
    let start = usize::from(bytes.first() == Some(&b'-'));
    let mut at = digits(start)?;
    if bytes.get(start) == Some(&b'0') && at != start + 1 {
        return None;
    }
    if bytes.get(at) == Some(&b'.') {
        at = digits(at + 1)?;
    }
    if matches!(bytes.get(at), Some(b'e' | b'E')) {
        let sign = usize::from(matches!(bytes.get(at + 1), Some(b'+' | b'-')));
        at = digits(at + 1 + sign)?;
    }
    Some(at)
}

/// Whether the byte cannot stand in a string as it is (RFC 8259 section 7).
pub(super) fn is_special(byte: u8) -> bool {
    (byte < 0x20) | (byte == b'"') | (byte == b'\\')
}

fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.' | b'+' | b'-')
}

const LONE: &str = "a surrogate stands alone: `\\uD800` to `\\uDFFF` come in pairs, high and low";

/// Resolves the escapes of a string (RFC 8259 section 7), or says what is wrong at which byte.
fn unescape(raw: &str) -> Result<Zeroizing<String>, (usize, &'static str)> {
    // No escape is shorter than what it stands for, so that this never moves and leaves a copy behind.
    let mut text = Zeroizing::new(String::with_capacity(raw.len()));
    let mut at = 0;
    while let Some(plain) = raw[at..].find('\\') {
        text.push_str(&raw[at..at + plain]);
        at += plain;
        let character = match raw.as_bytes().get(at + 1) {
            Some(b'"') => '"',
            Some(b'\\') => '\\',
            Some(b'/') => '/',
            Some(b'b') => '\u{8}',
            Some(b'f') => '\u{c}',
            Some(b'n') => '\n',
            Some(b'r') => '\r',
            Some(b't') => '\t',
            Some(b'u') => {
                let unit = hex(raw, at)?;
                let code = match unit {
                    0xD800..=0xDBFF => {
                        if !raw[at + 6..].starts_with("\\u") {
                            return Err((at, LONE));
                        }
                        let low = hex(raw, at + 6)?;
                        if !(0xDC00..=0xDFFF).contains(&low) {
                            return Err((at, LONE));
                        }
                        at += 6;
                        0x10000 + ((unit - 0xD800) << 10) + (low - 0xDC00)
                    }
                    _ => unit,
                };
                at += 4;
                char::from_u32(code).ok_or((at - 4, LONE))?
            }
            _ => return Err((at, "JSON has no such escape; a backslash is written `\\\\`")),
        };
        text.push(character);
        at += 2;
    }
    text.push_str(&raw[at..]);
    Ok(text)
}

/// The four digits of the `\u` at this byte.
fn hex(raw: &str, at: usize) -> Result<u32, (usize, &'static str)> {
    let digits = raw.get(at + 2..at + 6);
    let digits = digits.filter(|digits| digits.bytes().all(|byte| byte.is_ascii_hexdigit()));
    digits
        .and_then(|digits| u32::from_str_radix(digits, 16).ok())
        .ok_or((at, "`\\u` takes four hexadecimal digits"))
}
