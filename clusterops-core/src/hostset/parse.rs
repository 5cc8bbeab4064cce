//! The grammar of expressions.

use super::grid::Operation;
use super::index::MAX_DIGITS;
use super::name;
use super::pattern::{Pattern, Range, Segment};
use crate::text::is_invisible;
use crate::{Error, ErrorKind, Place, Result};

/// One operand of an expression, with the operation that joins it to what stands to its left.
#[derive(Debug)]
pub(super) struct Term<'a> {
    pub(super) operation: Operation,
    /// Where it starts, in bytes.
    pub(super) at: usize,
    /// As it was written.
    pub(super) text: &'a str,
    pub(super) operand: Operand,
}

#[derive(Debug)]
pub(super) enum Operand {
    /// A name without anything special in it: the text of the term.
    Name,
    /// A name with ranges, wildcards or quotes.
    Pattern(Pattern),
    /// What follows the `@`.
    Group(Pattern),
}

/// Reads the terms of an expression one by one.
#[derive(Debug)]
pub(super) struct Parser<'a> {
    text: &'a str,
    at: usize,
    /// The operation before the next term; `None` before the first one.
    operation: Option<(Operation, usize)>,
    /// Whether white space separates terms as a comma does: it does in the answers of group sources.
    spaced: bool,
}

impl<'a> Parser<'a> {
    pub(super) fn new(text: &'a str, spaced: bool) -> Self {
        Self {
            text,
            at: 0,
            operation: None,
            spaced,
        }
    }

    pub(super) fn next(&mut self) -> Result<Option<Term<'a>>> {
        self.skip_space();
        let operation = match self.operation.take() {
            None if self.at == self.text.len() => return Ok(None),
            None => Operation::Union,
            Some((operation, at)) => {
                if self.peek().is_none_or(|byte| operator(byte).is_some()) {
                    let message = "a host set must follow this operator";
                    return Err(self.error(at, message));
                }
                operation
            }
        };
        if self.peek().is_some_and(|byte| operator(byte).is_some()) {
            return Err(self.error(self.at, "a host set must stand before this operator"));
        }
        let start = self.at;
        let operand = self.operand()?;
        let text = &self.text[start..self.at];
        self.separator()?;
        Ok(Some(Term {
            operation,
            at: start,
            text,
            operand,
        }))
    }

    /// The one pattern that the text must be.
    pub(super) fn only_pattern(mut self) -> Result<Pattern> {
        let pattern = self.pattern()?;
        if self.at < self.text.len() {
            let message = "operators and white space have no meaning in a single pattern";
            return Err(self.error(self.at, message));
        }
        Ok(pattern)
    }

    fn operand(&mut self) -> Result<Operand> {
        if self.peek() == Some(b'@') {
            self.at += 1;
            return self.pattern().map(Operand::Group);
        }
        let plain = self.plain_end();
        let next = self.text[plain..].chars().next();
        if next.is_none_or(|c| c.is_whitespace() || c.is_ascii() && operator(c as u8).is_some()) {
            self.at = plain;
            return Ok(Operand::Name);
        }
        self.pattern().map(Operand::Pattern)
    }

    /// Moves past white space and one operator, the one that joins the next term.
    fn separator(&mut self) -> Result<()> {
        let end = self.at;
        self.skip_space();
        match self.peek() {
            None => Ok(()),
            Some(byte) => {
                self.operation = match operator(byte) {
                    Some(operation) => {
                        self.at += 1;
                        Some((operation, self.at - 1))
                    }
                    None if self.spaced => Some((Operation::Union, end)),
                    None => {
                        let message = "a host name has no white space; separate names with commas";
                        return Err(self.error(end, message));
                    }
                };
                Ok(())
            }
        }
    }

    fn pattern(&mut self) -> Result<Pattern> {
        let mut pattern = Pattern::default();
        while let Some(byte) = self.peek() {
            match byte {
                b'[' => self.bracket(&mut pattern)?,
                b']' => return Err(self.error(self.at, "this `]` closes no bracket")),
                b'"' => {
                    let text = self.quoted()?;
                    pattern.push_text(&text);
                }
                b'*' | b'?' => {
                    self.at += 1;
                    pattern.segments.push(match byte {
                        b'*' => Segment::AnyText,
                        _ => Segment::AnyCharacter,
                    });
                }
                _ => {
                    let end = self.plain_end();
                    if end == self.at {
                        self.refuse_invisible()?;
                        break;
                    }
                    pattern.push_text(&self.text[self.at..end]);
                    self.at = end;
                }
            }
        }
        Ok(pattern)
    }

    fn bracket(&mut self, pattern: &mut Pattern) -> Result<()> {
        let open = self.at;
        let inner = &self.text[open + 1..];
        let Some(length) = inner.find(']') else {
            return Err(self.error(open, "this bracket is not closed"));
        };
        let inner = &inner[..length];
        self.at = open + length + 2;
        if inner.matches(':').count() > 1 {
            if name::address_length(&self.text[open..]).is_none() {
                let message = format!("`{inner}` is not an IPv6 address");
                return Err(self.error(open + 1, message));
            }
            pattern.push_text(&self.text[open..self.at]);
            return Ok(());
        }
        let adjacent = match pattern.segments.as_slice() {
            [.., Segment::Ranges(_)] => true,
            [.., Segment::Ranges(_), Segment::Text(text)] => {
                text.bytes().all(|byte| byte.is_ascii_digit())
            }
            _ => false,
        };
        if adjacent {
            let message = "two brackets need something other than digits between them";
            return Err(self.error(open, message));
        }
        let mut at = open + 1;
        let mut ranges = Vec::new();
        for part in inner.split(',') {
            ranges.push(self.range(part, at)?);
            at += part.len() + 1;
        }
        pattern.segments.push(Segment::Ranges(ranges));
        Ok(())
    }

    /// Reads `7`, `1-9`, `01-10/2`, `-3-5`.
    fn range(&self, part: &str, at: usize) -> Result<Range> {
        let at = at + (part.len() - part.trim_start().len());
        let part = part.trim();
        let wrong = |message: String| Err(self.error(at, message));
        if part.is_empty() {
            return wrong("a number or a range such as 1-9 is missing here".into());
        }
        let (bounds, step) = match part.split_once('/') {
            Some((bounds, step)) => (bounds.trim_end(), Some(step.trim_start())),
            None => (part, None),
        };
        let step = match step {
            None => 1,
            Some(digits) if is_number(digits) => digits
                .parse::<u64>()
                .map_or(i128::from(u64::MAX), i128::from),
            Some(digits) => return wrong(format!("the step `{digits}` is not a number")),
        };
        if step == 0 {
            return wrong("the step is 0".into());
        }
        // The dash between the bounds is the first one that does not start a negative number.
        let dash = bounds.char_indices().skip(1).find(|(_, c)| *c == '-');
        let (first, last) = match dash {
            Some((dash, _)) => (bounds[..dash].trim_end(), bounds[dash + 1..].trim_start()),
            None => (bounds, bounds),
        };
        if dash.is_none() && step != 1 {
            return wrong(format!("`{bounds}` is one number and takes no step"));
        }
        for bound in [first, last] {
            let digits = bound.strip_prefix('-').unwrap_or(bound);
            if !is_number(digits) {
                return wrong(format!("`{part}` is not a number or a range such as 1-9"));
            }
            if digits.len() > MAX_DIGITS {
                return wrong(format!(
                    "a number in a range has at most {MAX_DIGITS} digits"
                ));
            }
        }
        let padded = |bound: &str| {
            bound.trim_start_matches('-').len() > 1
                && bound.trim_start_matches('-').starts_with('0')
        };
        let mut width = 0;
        if padded(first) || padded(last) {
            if first.starts_with('-') || last.starts_with('-') {
                return wrong("negative numbers cannot be padded with zeros".into());
            }
            if first.len() != last.len() {
                return wrong(format!(
                    "`{first}` and `{last}` are padded to different lengths"
                ));
            }
            width = first.len();
        }
        let number = |bound: &str| bound.parse::<i128>().unwrap_or_default();
        let (first, last) = (number(first), number(last));
        if first > last {
            return wrong(format!("the range `{part}` ends before it starts"));
        }
        Ok(Range {
            first,
            last,
            step,
            width,
        })
    }

    fn quoted(&mut self) -> Result<String> {
        let open = self.at;
        let mut text = String::new();
        let mut characters = self.text[open + 1..].char_indices();
        while let Some((offset, character)) = characters.next() {
            match character {
                '"' => {
                    self.at = open + offset + 2;
                    return Ok(text);
                }
                '\\' => text.extend(characters.next().map(|(_, character)| character)),
                _ => text.push(character),
            }
        }
        Err(self.error(open, "this quote is not closed"))
    }

    /// Where the characters without a meaning end.
    fn plain_end(&self) -> usize {
        let bytes = self.text.as_bytes();
        let mut at = self.at;
        while let Some(&byte) = bytes.get(at) {
            if byte.is_ascii_alphanumeric() || b"-._:@".contains(&byte) {
                at += 1;
                continue;
            }
            let Some(character) = self.text[at..]
                .chars()
                .next()
                .filter(|c| !name::is_special(*c))
            else {
                break;
            };
            at += character.len_utf8();
        }
        at
    }

    fn refuse_invisible(&self) -> Result<()> {
        match self.text[self.at..].chars().next() {
            Some(c) if is_invisible(c) && !c.is_whitespace() => {
                let message = format!(
                    "a name has no invisible characters (U+{:04X})",
                    u32::from(c)
                );
                Err(self.error(self.at, message))
            }
            _ => Ok(()),
        }
    }

    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn skip_space(&mut self) {
        let rest = &self.text[self.at..];
        self.at += rest.len() - rest.trim_start().len();
    }

    pub(super) fn error(&self, at: usize, message: impl Into<String>) -> Error {
        Error::new(ErrorKind::Syntax, message).at(place(self.text, at))
    }
}

/// The place of a byte of an expression.
pub(super) fn place(text: &str, at: usize) -> Place {
    Place {
        file: None,
        line: None,
        column: Some(text[..at].chars().count() + 1),
    }
}

fn operator(byte: u8) -> Option<Operation> {
    match byte {
        b',' => Some(Operation::Union),
        b'!' => Some(Operation::Difference),
        b'&' => Some(Operation::Intersection),
        b'^' => Some(Operation::SymmetricDifference),
        _ => None,
    }
}

fn is_number(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}
