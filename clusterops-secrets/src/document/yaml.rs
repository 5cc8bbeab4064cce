//! Reads YAML into a tree: the parser's events say where everything stands.

use std::borrow::Cow;

use granit_parser::{ErrorKind as Flaw, Event, Parser, ScalarStyle, Span, StructureStyle, Tag};
use zeroize::{Zeroize, Zeroizing};

use super::scan::width;
use super::tree::{Builder, Key, Kind, Scalar, Shape, Style, Text, Tree, offset};
use super::{MAX_DEPTH, TOO_DEEP, TOO_MANY, line_of, twice};
use crate::{Error, ErrorKind, Result};

/// The most characters of a key.
const MAX_KEY: usize = 64 << 10;

/// Reads the text from byte `from` on, which is behind a byte order mark. Also says where the document ends.
pub(super) fn parse(source: &str, from: usize) -> Result<(Tree, usize)> {
    let mut reader = Reader {
        source,
        from,
        builder: Builder::new(source),
        last: from,
    };
    let options = granit_parser::options! {
        emit_comments: false,
        simple_key_max_lookahead: MAX_KEY,
    };
    let mut documents = 0;
    let mut end = source.len();
    for next in Parser::new_from_str_with_options(&source[from..], options) {
        let (event, span) = next.map_err(|flaw| {
            let message = match flaw.kind() {
                Flaw::RecursionLimitExceeded => TOO_DEEP.to_owned(),
                flaw => format!("this is not YAML: {flaw}"),
            };
            let mark = flaw.marker();
            Error::new(ErrorKind::Syntax, message).at(mark.line(), mark.col() + 1)
        })?;
        match event {
            Event::DocumentStart(..) => {
                documents += 1;
                if documents > 1 {
                    let message = "a second YAML document begins here; a file is one document";
                    return Err(error(&span, message));
                }
            }
            Event::DocumentEnd => {
                let (start, after) = reader.range(&span);
                end = if start < after { start } else { source.len() };
            }
            event => reader.event(event, &span)?,
        }
    }
    let tree = reader.builder.finish();
    match tree.nodes.first().map(|root| root.shape) {
        Some(Shape::Object { .. }) => Ok((tree, end)),
        root => {
            let message = match (root, documents) {
                (None, _) | (_, 0) => {
                    "the file is empty; a document is a YAML mapping (`name: value` lines)"
                }
                _ => "the document is not a YAML mapping (`name: value` lines)",
            };
            Err(Error::new(ErrorKind::Syntax, message).at(1, 1))
        }
    }
}

/// Whether this is YAML, but several documents or one that is no mapping.
pub(super) fn is_other(source: &str) -> bool {
    let (mut documents, mut mappings, mut is_root) = (0, 0, false);
    for event in Parser::new_from_str(source) {
        match event {
            Err(_) => return false,
            Ok((Event::DocumentStart(..), _)) => {
                documents += 1;
                is_root = true;
            }
            Ok((event, _)) => {
                mappings += usize::from(is_root && matches!(event, Event::MappingStart(..)));
                is_root = false;
            }
        }
    }
    (documents, mappings) != (1, 1)
}

struct Reader<'s> {
    source: &'s str,
    from: usize,
    builder: Builder<'s>,
    /// Where the last event ended.
    last: usize,
}

impl Reader<'_> {
    fn event(&mut self, event: Event<'_>, span: &Span) -> Result<()> {
        let (start, end) = self.range(span);
        if self.builder.is_full() {
            return Err(error(span, TOO_MANY));
        }
        match event {
            Event::Scalar(text, style, ..) if self.builder.wants_key() => {
                self.key(text, style, span)?;
            }
            Event::Alias(_) | Event::MappingStart(..) | Event::SequenceStart(..)
                if self.builder.wants_key() =>
            {
                return Err(error(span, "a key is a single value here; write it out"));
            }
            Event::Scalar(text, style, anchor, tag) => {
                self.scalar(text, style, anchor, tag.as_deref(), span);
            }
            Event::Alias(_) => self.builder.other(start, end),
            Event::MappingStart(style, ..) => {
                let flow = style == StructureStyle::Flow;
                self.open(Shape::Object { flow }, span)?;
            }
            Event::SequenceStart(style, ..) => {
                let flow = style == StructureStyle::Flow;
                self.open(Shape::Array { flow }, span)?;
            }
            // Block collections have no bytes at their end, nor do pairs in a list between brackets.
            Event::SequenceEnd | Event::MappingEnd => {
                self.builder.close((start < end).then_some(end));
            }
            _ => return Ok(()),
        }
        self.last = self.last.max(end);
        Ok(())
    }

    fn open(&mut self, shape: Shape, span: &Span) -> Result<()> {
        if self.builder.depth() == MAX_DEPTH {
            return Err(error(span, TOO_DEEP));
        }
        self.builder.open(shape, self.range(span).0);
        Ok(())
    }

    fn key(&mut self, text: Cow<'_, str>, style: ScalarStyle, span: &Span) -> Result<()> {
        let (start, end) = self.range(span);
        let key = match self.inside(&text, style, start, end) {
            Some((start, end)) => Key::Source(start, end),
            None => Key::Decoded(text.as_ref().into()),
        };
        self.builder
            .key(key, start, end)
            .map_err(|first| error(span, &twice(&text, '`', line_of(self.source, first))))
    }

    fn scalar(
        &mut self,
        text: Cow<'_, str>,
        style: ScalarStyle,
        anchor: usize,
        tag: Option<&Tag>,
        span: &Span,
    ) {
        let (mut start, mut end) = self.range(span);
        let string_tag =
            tag.is_some_and(|tag| tag.core_suffix() == Some("str") || tag.original() == "!");
        let kind = match (tag, style) {
            (None, ScalarStyle::Plain) if start == end => Kind::Null,
            (None, ScalarStyle::Plain) => plain_kind(&text),
            _ => Kind::String,
        };
        if start == end {
            // The parser says where the `:` is.
            let spaces =
                self.source[start..].len() - self.source[start..].trim_start_matches(' ').len();
            if self.source[start + spaces..].starts_with(':') {
                (start, end) = (start + spaces + 1, start + spaces + 1);
            }
        }
        let before = self.source[..start].chars().next_back();
        let fixed = if anchor != 0 {
            Some(
                "the value has an anchor (`&`), so that it may stand in other places too; write it out in each",
            )
        } else if tag.is_some() && !string_tag {
            Some(
                "the value has a tag (`!`), which says what the text means; remove it or put the value elsewhere",
            )
        } else if start == end && !matches!(before, Some(':' | '-')) {
            Some("nothing stands here; write `\"\"`")
        } else {
            None
        };
        let read = match self.inside(&text, style, start, end) {
            // What the parser had to build is wiped.
            Some((start, end)) => {
                if let Cow::Owned(mut text) = text {
                    text.zeroize();
                }
                Text::Source(start, end)
            }
            None => Text::Decoded(decoded(text)),
        };
        let (mut line, mut column) = (span.start.line(), span.start.col() + 1);
        column += start - self.range(span).0;
        let block = matches!(style, ScalarStyle::Literal | ScalarStyle::Folded);
        let after = span.tag_span().map(|tag| self.range(&tag).1);
        if let Some(indicator) = block.then(|| self.indicator(after)).flatten() {
            let before = &self.source[..indicator];
            let between = self.source.get(indicator..start).unwrap_or_default();
            line = line.saturating_sub(between.matches('\n').count());
            column = 1 + width(&before.as_bytes()[before.rfind('\n').map_or(0, |at| at + 1)..]);
            start = indicator;
            end = block_end(self.source, indicator, end);
        }
        let scalar = Scalar {
            kind,
            line,
            column,
            node: 0,
            style: match style {
                ScalarStyle::Plain => Style::Plain,
                ScalarStyle::SingleQuoted => Style::Single,
                ScalarStyle::DoubleQuoted => Style::Double,
                ScalarStyle::Literal | ScalarStyle::Folded => Style::Block,
            },
            text: read,
            fixed,
        };
        self.builder.scalar(scalar, start, end);
    }

    /// Where the text stands in the source, when it stands there as it is.
    fn inside(
        &self,
        text: &str,
        style: ScalarStyle,
        start: usize,
        end: usize,
    ) -> Option<(u32, u32)> {
        let quotes = match style {
            ScalarStyle::Plain => 0,
            ScalarStyle::SingleQuoted | ScalarStyle::DoubleQuoted => 1,
            ScalarStyle::Literal | ScalarStyle::Folded => return None,
        };
        // Nothing is read as `~`.
        if start == end {
            return Some((offset(start), offset(end)));
        }
        let (start, end) = (start + quotes, end.checked_sub(quotes)?);
        let raw = self.source.get(start..end)?;
        (raw == text).then(|| (offset(start), offset(end)))
    }

    /// The `|` or `>` behind the last event, or behind a tag.
    fn indicator(&self, after: Option<usize>) -> Option<usize> {
        let mut at = after.unwrap_or(self.last);
        let bytes = self.source.as_bytes();
        loop {
            match bytes.get(at)? {
                b'|' | b'>' => return Some(at),
                b'#' => at += bytes[at..].iter().position(|&byte| byte == b'\n')?,
                b' ' | b'\t' | b'\r' | b'\n' | b':' | b'-' | b'?' => at += 1,
                _ => return None,
            }
        }
    }

    fn range(&self, span: &Span) -> (usize, usize) {
        let range = span.byte_range().unwrap_or_default();
        (self.from + range.start, self.from + range.end)
    }
}

/// Where the last line of a block scalar ends that is not blank.
fn block_end(source: &str, start: usize, end: usize) -> usize {
    let raw = &source[start..end.max(start + 1)];
    let end = start + raw.trim_end_matches([' ', '\t', '\r', '\n']).len();
    let rest = &source[end..];
    end + rest.find(['\r', '\n']).unwrap_or(rest.len())
}

fn decoded(text: Cow<'_, str>) -> Zeroizing<String> {
    Zeroizing::new(text.into_owned())
}

/// What a text without quotes and tag is, by YAML's core schema (YAML 1.2.2 section 10.3.2).
pub(super) fn plain_kind(text: &str) -> Kind {
    match text {
        "" | "~" | "null" | "Null" | "NULL" => Kind::Null,
        "true" | "True" | "TRUE" | "false" | "False" | "FALSE" => Kind::Bool,
        _ if is_number(text) => Kind::Number,
        _ => Kind::String,
    }
}

fn is_number(text: &str) -> bool {
    let all =
        |text: &str, digit: fn(&u8) -> bool| !text.is_empty() && text.as_bytes().iter().all(digit);
    if let Some(digits) = text.strip_prefix("0o") {
        return all(digits, |byte| matches!(byte, b'0'..=b'7'));
    }
    if let Some(digits) = text.strip_prefix("0x") {
        return all(digits, u8::is_ascii_hexdigit);
    }
    let number = text.strip_prefix(['-', '+']).unwrap_or(text);
    if !number.starts_with(|first: char| first.is_ascii_digit() || first == '.') {
        return false;
    }
    if matches!(number, ".inf" | ".Inf" | ".INF") || matches!(text, ".nan" | ".NaN" | ".NAN") {
        return true;
    }
    let (mantissa, exponent) = match number.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, Some(exponent)),
        None => (number, None),
    };
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let right = match (whole, fraction) {
        ("", fraction) => mantissa.starts_with('.') && all(fraction, u8::is_ascii_digit),
        (whole, "") => all(whole, u8::is_ascii_digit),
        (whole, fraction) => all(whole, u8::is_ascii_digit) && all(fraction, u8::is_ascii_digit),
    };
    let exponent = exponent.is_none_or(|exponent| {
        all(
            exponent.strip_prefix(['-', '+']).unwrap_or(exponent),
            u8::is_ascii_digit,
        )
    });
    right && exponent
}

fn error(span: &Span, message: &str) -> Error {
    let start = span.start;
    Error::new(ErrorKind::Syntax, message).at(start.line(), start.col() + 1)
}
