//! Reads KQL: what Kibana's grammar (`kuery/grammar/grammar.peggy` of `@kbn/es-query`) reads, in one pass.

use super::node::{Kind, Node, Text, Value, ValueKind};
use crate::{Error, ErrorKind, Result};

/// How many groups can be in each other.
const MAX_GROUPS: usize = 200;

/// Reads a whole query.
pub(super) fn parse(text: &str, leading_wildcards: bool) -> Result<Node> {
    let chars: Vec<char> = text.chars().collect();
    let mut parser = Parser {
        chars: &chars,
        at: 0,
        depth: 0,
        leading_wildcards,
    };
    parser.spaces();
    if parser.at == chars.len() {
        return Ok(parser.node(0, Kind::Everything));
    }
    let node = parser.or_query()?;
    parser.spaces();
    if parser.at < chars.len() {
        return Err(parser.expected("AND, OR or the end"));
    }
    Ok(node)
}

struct Parser<'a> {
    chars: &'a [char],
    at: usize,
    depth: usize,
    leading_wildcards: bool,
}

/// A literal before it is known whether it is a field or a value.
struct Literal {
    start: usize,
    quoted: bool,
    text: Text,
}

impl Parser<'_> {
    fn or_query(&mut self) -> Result<Node> {
        self.joined("or", Kind::Or, |parser| {
            parser.joined("and", Kind::And, Self::not_query)
        })
    }

    fn not_query(&mut self) -> Result<Node> {
        let start = self.at;
        if self.not() {
            let node = self.sub_query()?;
            return Ok(self.node(start, Kind::Not(Box::new(node))));
        }
        self.sub_query()
    }

    fn sub_query(&mut self) -> Result<Node> {
        if self.peek() == Some('(') {
            return self.group(')', Self::or_query);
        }
        let literal = self.literal("a field or a value")?;
        let start = literal.start;
        let after_literal = self.at;
        self.spaces();
        if let Some(operator) = self.range_operator() {
            self.spaces();
            let field = literal.text;
            let value = value_of(self.literal("a value")?);
            return Ok(self.node(start, Kind::Range(field, operator, value)));
        }
        if self.peek() == Some(':') {
            self.at += 1;
            self.spaces();
            if self.peek() == Some('{') {
                let inner = self.group('}', Self::or_query)?;
                return Ok(self.node(start, Kind::Nested(literal.text, Box::new(inner))));
            }
            return self.values(&literal.text, start, "a value, `(` or `{`");
        }
        self.at = after_literal;
        Ok(self.node(start, Kind::Is(None, self.looked_for(literal)?)))
    }

    /// A value of a field, or values in parentheses.
    fn values(&mut self, field: &Text, start: usize, expected: &str) -> Result<Node> {
        if self.peek() == Some('(') {
            return self.group(')', |parser| parser.or_values(field));
        }
        let literal = self.literal(expected)?;
        let value = self.looked_for(literal)?;
        Ok(self.node(start, Kind::Is(Some(field.clone()), value)))
    }

    fn or_values(&mut self, field: &Text) -> Result<Node> {
        self.joined("or", Kind::Or, |parser| {
            parser.joined("and", Kind::And, |parser| parser.not_values(field))
        })
    }

    fn not_values(&mut self, field: &Text) -> Result<Node> {
        let start = self.at;
        if self.not() {
            let node = self.values(field, self.at, "a value or `(`")?;
            return Ok(self.node(start, Kind::Not(Box::new(node))));
        }
        self.values(field, start, "a value, `(` or NOT")
    }

    fn looked_for(&self, literal: Literal) -> Result<Value> {
        if !self.leading_wildcards && literal.text.has_leading_wildcard() {
            return Err(self.error_at(
                literal.start,
                "a value starts with `*`, which is switched off",
            ));
        }
        Ok(value_of(literal))
    }

    /// Parts with this word between them: one node of them all, or the one that there is.
    fn joined(
        &mut self,
        word: &str,
        kind: fn(Vec<Node>) -> Kind,
        mut part: impl FnMut(&mut Self) -> Result<Node>,
    ) -> Result<Node> {
        let start = self.at;
        let first = part(self)?;
        if !self.conjunction(word) {
            return Ok(first);
        }
        let mut nodes = vec![first, part(self)?];
        while self.conjunction(word) {
            nodes.push(part(self)?);
        }
        Ok(self.node(start, kind(nodes)))
    }

    /// What stands between brackets, of which the opening one is next.
    fn group(
        &mut self,
        close: char,
        inner: impl FnOnce(&mut Self) -> Result<Node>,
    ) -> Result<Node> {
        let open = self.at;
        if self.depth == MAX_GROUPS {
            let message = format!("more than {MAX_GROUPS} groups are in each other");
            return Err(self.error_at(open, &message));
        }
        self.depth += 1;
        self.at += 1;
        self.spaces();
        let node = inner(self)?;
        self.spaces();
        if self.peek() != Some(close) {
            return Err(match self.peek() {
                None => self.error_at(open, &format!("`{}` is not closed", self.chars[open])),
                Some(_) => self.expected(&format!("AND, OR or `{close}`")),
            });
        }
        self.at += 1;
        self.depth -= 1;
        Ok(node)
    }

    /// Spaces, the word, spaces; or nothing.
    fn conjunction(&mut self, word: &str) -> bool {
        let start = self.at;
        if self.spaces() && self.word(word) && self.spaces() {
            return true;
        }
        self.at = start;
        false
    }

    fn not(&mut self) -> bool {
        let start = self.at;
        if self.word("not") && self.spaces() {
            return true;
        }
        self.at = start;
        false
    }

    fn range_operator(&mut self) -> Option<&'static str> {
        let (operator, length) = match (self.peek()?, self.chars.get(self.at + 1)) {
            ('<', Some('=')) => ("lte", 2),
            ('>', Some('=')) => ("gte", 2),
            ('<', _) => ("lt", 1),
            ('>', _) => ("gt", 1),
            _ => return None,
        };
        self.at += length;
        Some(operator)
    }

    fn literal(&mut self, expected: &str) -> Result<Literal> {
        let start = self.at;
        if self.peek() == Some('"') {
            return self.quoted(start);
        }
        let mut pieces = vec![String::new()];
        while let Some(c) = self.peek() {
            match c {
                '*' => {
                    self.at += 1;
                    pieces.push(String::new());
                }
                '\\' => {
                    let escaped = self.escape(false)?;
                    last(&mut pieces).push_str(&escaped);
                }
                '(' | ')' | ':' | '<' | '>' | '"' | '{' | '}' => break,
                _ if self.keyword() => break,
                c => {
                    self.at += 1;
                    last(&mut pieces).push(c);
                }
            }
        }
        if self.at == start {
            return Err(self.expected(expected));
        }
        Ok(Literal {
            start,
            quoted: false,
            text: trimmed(pieces),
        })
    }

    fn quoted(&mut self, start: usize) -> Result<Literal> {
        self.at += 1;
        let mut text = String::new();
        loop {
            match self.peek() {
                None => return Err(self.error_at(start, "a quote is not closed")),
                Some('"') => break,
                Some('\\') => text.push_str(&self.escape(true)?),
                Some(c) => {
                    self.at += 1;
                    text.push(c);
                }
            }
        }
        self.at += 1;
        Ok(Literal {
            start,
            quoted: true,
            text: Text::plain(text),
        })
    }

    /// What a backslash and what follows mean. In quotes a backslash before nothing special is itself.
    fn escape(&mut self, quoted: bool) -> Result<String> {
        let next = self.chars.get(self.at + 1).copied();
        let meant = match next {
            Some('t') => "\t".to_owned(),
            Some('r') => "\r".to_owned(),
            Some('n') if quoted || !self.is_whole_word(self.at + 1, "not") => "\n".to_owned(),
            Some('u') if self.unicode(self.at + 2).is_some() => return self.unicode_text(),
            Some(c) if "\\\"".contains(c) || !quoted && "():<>*{}".contains(c) => c.to_string(),
            _ if quoted => {
                self.at += 1;
                return Ok("\\".to_owned());
            }
            _ => {
                let word = ["or", "and", "not"]
                    .into_iter()
                    .find(|word| self.is_word(self.at + 1, word));
                let Some(word) = word else {
                    let message =
                        "a backslash stands before what needs none: write `\\\\` for itself";
                    return Err(self.error_at(self.at, message));
                };
                let end = self.at + 1 + word.len();
                let meant = self.chars[self.at + 1..end].iter().collect();
                self.at = end;
                return Ok(meant);
            }
        };
        self.at += 2;
        Ok(meant)
    }

    /// `\u` and four digits, or two of them that are one character in UTF-16.
    fn unicode_text(&mut self) -> Result<String> {
        let start = self.at;
        let mut units = Vec::new();
        while self.peek() == Some('\\')
            && self.chars.get(self.at + 1) == Some(&'u')
            && units.len() < 2
        {
            let Some(unit) = self.unicode(self.at + 2) else {
                break;
            };
            if units.len() == 1 && !(0xdc00..0xe000).contains(&unit) {
                break;
            }
            self.at += 6;
            units.push(unit);
            if !(0xd800..0xdc00).contains(&unit) {
                break;
            }
        }
        String::from_utf16(&units).map_err(|_| {
            self.error_at(
                start,
                "the escape is half of a character: `\\u` of the other half is missing",
            )
        })
    }

    fn unicode(&self, at: usize) -> Option<u16> {
        let digits: String = self.chars.get(at..at + 4)?.iter().collect();
        let hexadecimal = digits.bytes().all(|b| b.is_ascii_hexdigit());
        hexadecimal.then(|| u16::from_str_radix(&digits, 16).ok())?
    }

    /// Whether `and`, `or` or `not` is next, and so ends a literal. In contrast to Kibana `not` at the end of a word, as in
    /// `cannot connect`, is part of it: there it is always an error.
    fn keyword(&self) -> bool {
        let is_space = |at: usize| self.chars.get(at).is_some_and(|&c| is_space(c));
        let joins = |word: &str| {
            is_space(self.at)
                && self.is_word(self.at + 1, word)
                && is_space(self.at + 1 + word.len())
        };
        let in_word = self.at > 0 && self.chars[self.at - 1].is_alphanumeric();
        joins("or")
            || joins("and")
            || !in_word && self.is_word(self.at, "not") && is_space(self.at + 3)
    }

    fn word(&mut self, word: &str) -> bool {
        let is = self.is_word(self.at, word);
        if is {
            self.at += word.len();
        }
        is
    }

    fn is_word(&self, at: usize, word: &str) -> bool {
        let Some(found) = self.chars.get(at..at + word.len()) else {
            return false;
        };
        found
            .iter()
            .zip(word.chars())
            .all(|(a, b)| a.eq_ignore_ascii_case(&b))
    }

    fn is_whole_word(&self, at: usize, word: &str) -> bool {
        let next = self.chars.get(at + word.len());
        self.is_word(at, word) && !next.is_some_and(|c| c.is_alphanumeric())
    }

    fn spaces(&mut self) -> bool {
        let start = self.at;
        while self.peek().is_some_and(is_space) {
            self.at += 1;
        }
        self.at > start
    }

    fn peek(&self) -> Option<char> {
        self.chars.get(self.at).copied()
    }

    fn node(&self, start: usize, kind: Kind) -> Node {
        let column = start + 1;
        Node { column, kind }
    }

    fn expected(&self, expected: &str) -> Error {
        let found = match self.peek() {
            None => "the end of the query".to_owned(),
            Some(_) if self.is_word(self.at, "not") => "NOT".to_owned(),
            Some(c) => format!("`{c}`"),
        };
        self.error_at(self.at, &format!("expected {expected}, found {found}"))
    }

    fn error_at(&self, at: usize, message: &str) -> Error {
        Error::new(ErrorKind::Syntax, message).at(at + 1)
    }
}

fn value_of(literal: Literal) -> Value {
    let kind = if literal.quoted {
        ValueKind::Quoted(literal.text.name())
    } else {
        match literal.text.0.as_slice() {
            [text] if text == "null" => ValueKind::Null,
            [text] if text == "true" => ValueKind::Truth(true),
            [text] if text == "false" => ValueKind::Truth(false),
            _ => ValueKind::Plain(literal.text),
        }
    };
    Value {
        column: literal.start + 1,
        kind,
    }
}

fn is_space(c: char) -> bool {
    matches!(c, ' ' | '\t' | '\r' | '\n' | '\u{a0}')
}

fn last(pieces: &mut [String]) -> &mut String {
    // There is one always.
    let end = pieces.len() - 1;
    &mut pieces[end]
}

/// Without white space at both ends, as JavaScript's `trim` takes it away.
fn trimmed(mut pieces: Vec<String>) -> Text {
    let white = |c: char| c != '\u{85}' && c.is_whitespace() || c == '\u{feff}';
    if let Some(first) = pieces.first_mut() {
        *first = first.trim_start_matches(white).to_owned();
    }
    let end = last(&mut pieces);
    *end = end.trim_end_matches(white).to_owned();
    Text(pieces)
}
