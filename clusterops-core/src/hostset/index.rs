//! One number inside a host name, and sets of them.

use std::fmt::{self, Write as _};

/// The longest digit string that counts as a number; longer ones are plain text.
pub(super) const MAX_DIGITS: usize = 19;

/// `OFFSETS[n]` is how many digit strings are shorter than `n` digits.
const OFFSETS: [u64; MAX_DIGITS + 2] = {
    let mut offsets = [0; MAX_DIGITS + 2];
    let (mut length, mut power) = (1, 10_u64);
    while length <= MAX_DIGITS {
        offsets[length + 1] = offsets[length] + power;
        power = power.saturating_mul(10);
        length += 1;
    }
    offsets
};

/// A digit string such as `7` or `007`, as its rank among all digit strings ordered by length and then by value.
///
/// Padding is a part of it (`1` and `01` differ), comparing is natural order, and neighbours of one length are
/// neighbours in rank, so that a range of hosts is a range of ranks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Index(pub(super) u64);

impl Index {
    /// The index with this value written in this many digits (1 to [`MAX_DIGITS`], enough for the value).
    pub(super) fn new(value: u64, digits: usize) -> Self {
        Self(OFFSETS[digits] + value)
    }

    /// Reads ASCII digits; `None` when there are more than [`MAX_DIGITS`].
    pub(super) fn parse(digits: &[u8]) -> Option<Self> {
        (digits.len() <= MAX_DIGITS).then(|| {
            let value = digits
                .iter()
                .fold(0, |value, digit| value * 10 + u64::from(digit - b'0'));
            Self::new(value, digits.len())
        })
    }

    /// How many digits are written.
    pub(super) fn digits(self) -> usize {
        OFFSETS[1..].partition_point(|&offset| offset <= self.0)
    }
}

impl fmt::Display for Index {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let digits = self.digits();
        write!(f, "{:0digits$}", self.0 - OFFSETS[digits])
    }
}

/// Ranks from the first to the second, both included.
pub(super) type Interval = (u64, u64);

/// A set of [indexes](Index): intervals of ranks, ascending, never touching each other.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub(super) struct IndexSet(Vec<Interval>);

impl IndexSet {
    pub(super) fn one(index: Index) -> Self {
        Self(vec![(index.0, index.0)])
    }

    /// Makes a set from intervals in any order, which may overlap.
    pub(super) fn from_intervals(mut intervals: Vec<Interval>) -> Self {
        if !intervals.is_sorted() {
            intervals.sort_unstable();
        }
        let mut set = Self(Vec::with_capacity(intervals.len()));
        for interval in intervals {
            set.push(interval);
        }
        set.0.shrink_to_fit();
        set
    }

    /// Adds an interval that does not start before the last one.
    pub(super) fn push(&mut self, (first, last): Interval) {
        match self.0.last_mut() {
            Some(previous) if first <= previous.1.saturating_add(1) => {
                previous.1 = previous.1.max(last);
            }
            _ => self.0.push((first, last)),
        }
    }

    pub(super) fn intervals(&self) -> &[Interval] {
        &self.0
    }

    pub(super) fn len(&self) -> u64 {
        self.0.iter().map(|(first, last)| last - first + 1).sum()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn first(&self) -> Option<Index> {
        self.0.first().map(|interval| Index(interval.0))
    }

    pub(super) fn contains(&self, index: Index) -> bool {
        let after = self.0.partition_point(|(first, _)| *first <= index.0);
        after > 0 && self.0[after - 1].1 >= index.0
    }

    /// The numbers above zero that are not padded, as runs of values in ascending order; and the other indexes.
    pub(super) fn plain_numbers(&self) -> (Vec<(u64, u64)>, Self) {
        let (mut numbers, mut others) = (Vec::<(u64, u64)>::new(), Self::default());
        for &(mut first, last) in &self.0 {
            while first <= last {
                let digits = Index(first).digits();
                let end = last.min(OFFSETS[digits + 1] - 1);
                let start = OFFSETS[digits];
                let plain = start + 10_u64.pow(digits as u32 - 1);
                if first < plain {
                    others.push((first, end.min(plain - 1)));
                }
                if end >= plain {
                    let (from, to) = (first.max(plain) - start, end - start);
                    match numbers.last_mut() {
                        Some(run) if run.1 + 1 == from => run.1 = to,
                        _ => numbers.push((from, to)),
                    }
                }
                first = end + 1;
            }
        }
        (numbers, others)
    }

    /// Writes the set as ClusterShell does: `1-3,7`, `08-12`, without steps and without brackets.
    pub(super) fn fold(&self, text: &mut String) {
        let mut runs = Runs::new(text);
        for &(mut first, last) in &self.0 {
            while first <= last {
                let digits = Index(first).digits();
                let end = last.min(OFFSETS[digits + 1] - 1);
                let start = OFFSETS[digits];
                runs.add(digits, first - start, end - start);
                first = end + 1;
            }
        }
        runs.flush();
    }
}

/// Joins spans of equal digit counts into the runs that ClusterShell 1.9 writes.
///
/// A run goes on across lengths while it is not padded (`8-12`), and within one length from padded to unpadded numbers
/// (`08-12`). A single padded number followed by a gap makes the next run count as padded too (`08,10-99,100`).
struct Runs<'a> {
    text: &'a mut String,
    current: Option<Run>,
}

#[derive(Clone, Copy)]
struct Run {
    first: u64,
    last: u64,
    padded: bool,
    digits: usize,
}

impl<'a> Runs<'a> {
    fn new(text: &'a mut String) -> Self {
        Self {
            text,
            current: None,
        }
    }

    fn add(&mut self, digits: usize, first: u64, last: u64) {
        let starts_padded = digits > 1 && first < 10_u64.pow(digits as u32 - 1);
        let mut padded = starts_padded;
        if let Some(run) = &mut self.current {
            let same_padding = if run.padded {
                digits == run.digits
            } else {
                !starts_padded
            };
            if same_padding && first == run.last + 1 {
                run.last = last;
                return;
            }
            if same_padding && run.first == run.last {
                padded = run.padded;
            }
            self.flush();
        }
        self.current = Some(Run {
            first,
            last,
            padded,
            digits,
        });
    }

    fn flush(&mut self) {
        let Some(run) = self.current.take() else {
            return;
        };
        if !self.text.is_empty() && !self.text.ends_with('[') {
            self.text.push(',');
        }
        let width = if run.padded { run.digits } else { 0 };
        // Writing to a string cannot fail.
        let _ = write!(self.text, "{:0width$}", run.first);
        if run.last > run.first {
            let _ = write!(self.text, "-{:0width$}", run.last);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(digits: &[&str]) -> IndexSet {
        let ranks = digits
            .iter()
            .map(|text| Index::parse(text.as_bytes()).expect("few digits").0);
        IndexSet::from_intervals(ranks.map(|rank| (rank, rank)).collect())
    }

    fn folded(digits: &[&str]) -> String {
        let mut text = String::new();
        set(digits).fold(&mut text);
        text
    }

    #[test]
    fn ranks_and_texts_are_one_to_one() {
        for text in [
            "0",
            "9",
            "00",
            "09",
            "10",
            "99",
            "000",
            "100",
            "0000000000000000000",
            "9999999999999999999",
        ] {
            let index = Index::parse(text.as_bytes()).expect(text);
            assert_eq!(index.to_string(), text);
        }
        assert_eq!(Index::parse(&[b'1'; 20]), None);
    }

    #[test]
    fn folds_like_clustershell() {
        assert_eq!(folded(&["1", "2", "3", "7"]), "1-3,7");
        assert_eq!(folded(&["8", "9", "10", "11"]), "8-11");
        assert_eq!(folded(&["08", "09", "10"]), "08-10");
        assert_eq!(folded(&["9", "09", "10"]), "9,09-10");
        assert_eq!(folded(&["09", "99", "100"]), "09,99,100");
        assert_eq!(folded(&["08", "09", "99", "100"]), "08-09,99-100");
    }
}
