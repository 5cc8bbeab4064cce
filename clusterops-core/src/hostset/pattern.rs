//! One name of an expression: text, bracketed ranges and wildcards.

use super::builder::Builder;
use super::grid::Grid;
use super::index::{Index, IndexSet, MAX_DIGITS};
use super::name::{self, MAX_DIMENSIONS};

/// A name with ranges and wildcards, as it was written.
#[derive(Debug, Default)]
pub(super) struct Pattern {
    pub(super) segments: Vec<Segment>,
}

#[derive(Debug)]
pub(super) enum Segment {
    Text(String),
    /// A bracket; ranges in the order in which they were written.
    Ranges(Vec<Range>),
    /// `*`: any text.
    AnyText,
    /// `?`: any one character.
    AnyCharacter,
}

/// The numbers `first`, `first + step`, ... up to `last`.
#[derive(Debug, Clone, Copy)]
pub(super) struct Range {
    pub(super) first: i128,
    pub(super) last: i128,
    pub(super) step: i128,
    /// The number of digits that all are padded to; 0 for none.
    pub(super) width: usize,
}

impl Pattern {
    pub(super) fn push_text(&mut self, text: &str) {
        if let Some(Segment::Text(before)) = self.segments.last_mut() {
            before.push_str(text);
        } else {
            self.segments.push(Segment::Text(text.to_owned()));
        }
    }

    pub(super) fn has_wildcards(&self) -> bool {
        self.segments
            .iter()
            .any(|segment| matches!(segment, Segment::AnyText | Segment::AnyCharacter))
    }

    /// How many names are written, repeated ones included.
    pub(super) fn count(&self) -> u128 {
        self.brackets().fold(1, |count, ranges| {
            let length = ranges.iter().map(|range| range.len()).sum::<u128>();
            count.saturating_mul(length)
        })
    }

    /// About how many intervals the names take.
    pub(super) fn weight(&self) -> u128 {
        let weight = |(number, segment): (usize, &Segment)| match segment {
            Segment::Ranges(ranges) => {
                let next = self.segments.get(number + 1);
                let scattered = matches!(next, Some(Segment::Text(text)) if text.starts_with(|c: char| c.is_ascii_digit()));
                let weight = |range: &Range| match range.step {
                    1 if !scattered => 1,
                    _ => range.len(),
                };
                ranges.iter().map(weight).sum()
            }
            _ => 1,
        };
        self.segments.iter().enumerate().map(weight).sum()
    }

    /// Refuses more names than `limit`, or very long ones; the error is the end of a sentence.
    pub(super) fn check(&self, limit: usize) -> Result<(), String> {
        let (count, limit) = (self.count(), limit as u128);
        if count > limit {
            return Err(format!("names {count} hosts, and the limit is {limit}"));
        }
        let bytes = limit.saturating_mul(1024).max(1 << 20);
        if count > 1 && self.text_size() > bytes {
            return Err(format!(
                "names {count} hosts, whose names may take more than {bytes} bytes"
            ));
        }
        Ok(())
    }

    /// About how many bytes all names take together.
    fn text_size(&self) -> u128 {
        let length = |segment: &Segment| match segment {
            Segment::Text(text) => text.len(),
            Segment::Ranges(_) => MAX_DIGITS + 1,
            Segment::AnyText | Segment::AnyCharacter => 1,
        };
        let name: usize = self.segments.iter().map(length).sum();
        self.count().saturating_mul(name.max(1) as u128)
    }

    /// All names in the order in which they are written, the last bracket running fastest.
    pub(super) fn expand(&self) -> Vec<String> {
        let mut names = vec![String::new()];
        for segment in &self.segments {
            match segment {
                Segment::Text(text) => names.iter_mut().for_each(|name| name.push_str(text)),
                Segment::AnyText => names.iter_mut().for_each(|name| name.push('*')),
                Segment::AnyCharacter => names.iter_mut().for_each(|name| name.push('?')),
                Segment::Ranges(ranges) => {
                    names = names
                        .iter()
                        .flat_map(|name| {
                            let numbers = ranges.iter().flat_map(|range| range.texts());
                            numbers.map(move |number| format!("{name}{number}"))
                        })
                        .collect();
                }
            }
        }
        names
    }

    /// Adds the names, which have no wildcards, to a set.
    pub(super) fn add_to(&self, builder: &mut Builder) {
        if let [Segment::Text(name)] = self.segments.as_slice() {
            return builder.add_name(name);
        }
        for signs in self.signs() {
            match self.product(signs) {
                Some((template, grid)) => builder.add_grid(&template, grid),
                None => {
                    for name in self.expand() {
                        builder.add_name(&name);
                    }
                    return;
                }
            }
        }
    }

    fn brackets(&self) -> impl Iterator<Item = &Vec<Range>> {
        self.segments.iter().filter_map(|segment| match segment {
            Segment::Ranges(ranges) => Some(ranges),
            _ => None,
        })
    }

    /// Every choice of negative (a set bit) or other numbers for the brackets, of which each must have some.
    fn signs(&self) -> Vec<u64> {
        let mut choices = vec![0];
        for (bit, ranges) in self.brackets().take(MAX_DIMENSIONS).enumerate() {
            let negative = ranges.iter().any(|range| range.first < 0);
            let other = ranges.iter().any(|range| range.part(false).is_some());
            if negative && other {
                choices.extend(
                    choices
                        .iter()
                        .map(|choice| choice | 1 << bit)
                        .collect::<Vec<_>>(),
                );
            } else if negative {
                choices.iter_mut().for_each(|choice| *choice |= 1 << bit);
            }
        }
        choices
    }

    /// The names with these signs as a template and what its numbers may be.
    ///
    /// `None` when the numbers are more or longer than a template holds, or when brackets in the text may make an
    /// address of some names.
    fn product(&self, signs: u64) -> Option<(String, Grid)> {
        let mut template = String::new();
        let mut dimensions: Vec<IndexSet> = Vec::new();
        let mut number = Number::default();
        let mut bracket = 0;
        for segment in &self.segments {
            match segment {
                Segment::Text(text) => {
                    if text.contains(['[', ']']) {
                        return None;
                    }
                    let mut plain = 0;
                    let bytes = text.as_bytes();
                    let mut at = 0;
                    while at < bytes.len() {
                        if bytes[at].is_ascii_digit() {
                            let end = name::digits_end(bytes, at);
                            name::push_escaped(&mut template, &text[plain..at]);
                            number.push_digits(&text[at..end]);
                            (at, plain) = (end, end);
                        } else {
                            number.finish(&mut template, &mut dimensions)?;
                            at += 1;
                        }
                    }
                    name::push_escaped(&mut template, &text[plain..]);
                }
                Segment::Ranges(ranges) => {
                    let negative = signs >> bracket & 1 == 1;
                    bracket += 1;
                    if bracket > MAX_DIMENSIONS {
                        return None;
                    }
                    if negative {
                        number.finish(&mut template, &mut dimensions)?;
                        template.push('-');
                    }
                    number.ranges = Some(
                        ranges
                            .iter()
                            .filter_map(|range| range.part(negative))
                            .collect(),
                    );
                }
                Segment::AnyText | Segment::AnyCharacter => return None,
            }
        }
        number.finish(&mut template, &mut dimensions)?;
        Some((template, Grid::product(dimensions.into_iter())))
    }
}

/// A number of a name: digits, perhaps with a bracket between them.
#[derive(Default)]
struct Number {
    before: String,
    ranges: Option<Vec<Range>>,
    after: String,
}

impl Number {
    fn push_digits(&mut self, digits: &str) {
        if self.ranges.is_some() {
            self.after.push_str(digits);
        } else {
            self.before.push_str(digits);
        }
    }

    /// Writes the number, if there is one, and starts anew.
    fn finish(&mut self, template: &mut String, dimensions: &mut Vec<IndexSet>) -> Option<()> {
        let number = std::mem::take(self);
        let indexes = match &number.ranges {
            None if number.before.is_empty() => return Some(()),
            None => IndexSet::one(Index::parse(number.before.as_bytes())?),
            Some(ranges) => {
                let mut intervals = Vec::new();
                for range in ranges {
                    range.intervals(&number.before, &number.after, &mut intervals)?;
                }
                IndexSet::from_intervals(intervals)
            }
        };
        if dimensions.len() == MAX_DIMENSIONS {
            return None;
        }
        template.push_str("%s");
        dimensions.push(indexes);
        Some(())
    }
}

impl Range {
    pub(super) fn len(&self) -> u128 {
        ((self.last - self.first) / self.step) as u128 + 1
    }

    fn texts(self) -> impl Iterator<Item = String> {
        let Self {
            first, step, width, ..
        } = self;
        (0..self.len() as i128).map(move |count| format!("{:0width$}", first + count * step))
    }

    /// The negative numbers as positive ones, or the others.
    fn part(&self, negative: bool) -> Option<Self> {
        if negative {
            let count = self.len() as i128 - 1;
            let below_zero = if self.first < 0 {
                (-1 - self.first) / self.step
            } else {
                return None;
            };
            let last = self.first + below_zero.min(count) * self.step;
            return Some(Self {
                first: -last,
                last: -self.first,
                ..*self
            });
        }
        let first = if self.first < 0 {
            self.first + (-self.first + self.step - 1) / self.step * self.step
        } else {
            self.first
        };
        (first <= self.last).then_some(Self { first, ..*self })
    }

    /// Adds the ranks of the numbers, which are not negative, with these digits written around each of them.
    ///
    /// `None` when that makes more digits than an index holds.
    fn intervals(&self, before: &str, after: &str, intervals: &mut Vec<(u64, u64)>) -> Option<()> {
        let around = before.len().checked_add(after.len())?;
        let lengths = match self.width {
            0 => count_digits(self.first)..=count_digits(self.last),
            width => width..=width,
        };
        if around + lengths.end() > MAX_DIGITS {
            return None;
        }
        let prefix: i128 = if before.is_empty() {
            0
        } else {
            before.parse().ok()?
        };
        let suffix: i128 = if after.is_empty() {
            0
        } else {
            after.parse().ok()?
        };
        let shift = 10_i128.pow(after.len() as u32);
        let mut value = self.first;
        for digits in lengths {
            let end = self.last.min(10_i128.pow(digits as u32) - 1);
            let rank = |value: i128| {
                let number = (prefix * 10_i128.pow(digits as u32) + value) * shift + suffix;
                Index::new(number as u64, digits + around).0
            };
            if self.step == 1 && shift == 1 {
                if value <= end {
                    intervals.push((rank(value), rank(end)));
                    value = end + 1;
                }
                continue;
            }
            while value <= end {
                intervals.push((rank(value), rank(value)));
                value += self.step;
            }
        }
        Some(())
    }

    /// Whether this text is one of the numbers.
    fn contains(&self, text: &str) -> bool {
        let (negative, digits) = match text.strip_prefix('-') {
            Some(digits) => (true, digits),
            None => (false, text),
        };
        let Ok(value) = digits.parse::<i128>() else {
            return false;
        };
        let length = if self.width == 0 {
            count_digits(value)
        } else {
            self.width
        };
        let value = if negative { -value } else { value };
        digits.len() == length
            && (self.first..=self.last).contains(&value)
            && (value - self.first) % self.step == 0
            && !(negative && value == 0)
    }
}

impl Pattern {
    /// Whether a name matches this pattern with wildcards.
    pub(super) fn matches(&self, name: &str) -> bool {
        // Which positions of the name the segments so far can reach.
        let mut reached = vec![false; name.len() + 1];
        reached[0] = true;
        for segment in &self.segments {
            let mut next = vec![false; name.len() + 1];
            match segment {
                Segment::AnyText => {
                    if let Some(first) = reached.iter().position(|reached| *reached) {
                        next[first..].fill(true);
                    }
                }
                _ => {
                    for (from, _) in reached.iter().enumerate().filter(|(_, reached)| **reached) {
                        let Some(rest) = name.get(from..) else {
                            continue;
                        };
                        segment.ends(rest, |length| next[from + length] = true);
                    }
                }
            }
            reached = next;
        }
        reached[name.len()]
    }
}

impl Segment {
    /// Gives the lengths of all starts of `text` that match.
    fn ends(&self, text: &str, mut end: impl FnMut(usize)) {
        match self {
            Self::Text(literal) if text.starts_with(literal) => end(literal.len()),
            Self::Text(_) | Self::AnyText => {}
            Self::AnyCharacter => {
                if let Some(character) = text.chars().next() {
                    end(character.len_utf8());
                }
            }
            Self::Ranges(ranges) => {
                let start = usize::from(text.starts_with('-'));
                let stop = name::digits_end(text.as_bytes(), start).min(start + MAX_DIGITS);
                for length in start + 1..=stop {
                    if ranges.iter().any(|range| range.contains(&text[..length])) {
                        end(length);
                    }
                }
            }
        }
    }
}

fn count_digits(number: i128) -> usize {
    number.checked_ilog10().map_or(1, |log| log as usize + 1)
}
