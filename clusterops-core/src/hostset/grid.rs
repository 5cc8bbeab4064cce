//! Sets of index vectors: what the hosts of one name pattern have in their brackets.

use std::collections::HashMap;

use super::index::{Index, IndexSet, Interval};

/// A set of vectors of [indexes](Index), all of one length, in a form that is the same for equal sets.
///
/// Vectors are grouped by what may follow their first index, so a product such as `r[1-40]n[1-1000]` is one row,
/// however many hosts it names.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) enum Grid {
    /// The one vector of length 0.
    Point,
    /// Rows with disjoint first indexes and pairwise different rests, ordered by their first index; none is empty.
    Rows(Vec<Row>),
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Row {
    pub(super) indexes: IndexSet,
    pub(super) rest: Grid,
}

/// A set operation; `contains[left][right]` would be its truth table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Operation {
    Union,
    Difference,
    Intersection,
    SymmetricDifference,
}

impl Operation {
    pub(super) fn keeps_left(self) -> bool {
        self != Self::Intersection
    }

    pub(super) fn keeps_right(self) -> bool {
        matches!(self, Self::Union | Self::SymmetricDifference)
    }

    fn keeps_both(self) -> bool {
        matches!(self, Self::Union | Self::Intersection)
    }
}

impl Grid {
    pub(super) const EMPTY: Self = Self::Rows(Vec::new());

    /// The product of one set for each position.
    pub(super) fn product(dimensions: impl DoubleEndedIterator<Item = IndexSet>) -> Self {
        dimensions.rev().fold(Self::Point, |rest, indexes| {
            if indexes.is_empty() || rest.is_empty() {
                return Self::EMPTY;
            }
            Self::Rows(vec![Row { indexes, rest }])
        })
    }

    /// The union of many sets, in pairs of about equal size.
    pub(super) fn union(mut grids: Vec<Self>) -> Self {
        while grids.len() > 1 {
            grids = grids
                .chunks(2)
                .map(|pair| match pair {
                    [left, right] => left.combine(right, Operation::Union),
                    _ => pair[0].clone(),
                })
                .collect();
        }
        grids.pop().unwrap_or(Self::EMPTY)
    }

    /// The set of vectors that stand one after another in `flat`, in any order.
    pub(super) fn from_vectors(flat: &[Index], dimensions: usize) -> Self {
        match dimensions {
            0 => Self::Point,
            1 => {
                let intervals = flat.iter().map(|index| (index.0, index.0)).collect();
                Self::product([IndexSet::from_intervals(intervals)].into_iter())
            }
            _ => {
                let mut vectors: Vec<&[Index]> = flat.chunks_exact(dimensions).collect();
                if !vectors.is_sorted() {
                    vectors.sort_unstable();
                }
                Self::from_sorted(&vectors, dimensions)
            }
        }
    }

    fn from_sorted(mut vectors: &[&[Index]], dimensions: usize) -> Self {
        let depth = match vectors.first() {
            Some(vector) => vector.len() - dimensions,
            None => return Self::EMPTY,
        };
        if dimensions == 1 {
            let mut indexes = IndexSet::default();
            for vector in vectors {
                indexes.push((vector[depth].0, vector[depth].0));
            }
            return Self::product([indexes].into_iter());
        }
        let mut rows = RowBuilder::default();
        while let Some(index) = vectors.first().map(|vector| vector[depth]) {
            let end = vectors.partition_point(|vector| vector[depth] <= index);
            let (group, others) = vectors.split_at(end);
            rows.add((index.0, index.0), Self::from_sorted(group, dimensions - 1));
            vectors = others;
        }
        rows.build()
    }

    pub(super) fn is_empty(&self) -> bool {
        matches!(self, Self::Rows(rows) if rows.is_empty())
    }

    pub(super) fn len(&self) -> u64 {
        self.rows().map_or(1, |rows| {
            rows.iter().fold(0, |sum, row| {
                row.indexes
                    .len()
                    .saturating_mul(row.rest.len())
                    .saturating_add(sum)
            })
        })
    }

    /// How much memory and time the set takes: its intervals.
    pub(super) fn weight(&self) -> u64 {
        self.rows().map_or(1, |rows| {
            rows.iter()
                .map(|row| row.indexes.intervals().len() as u64 + row.rest.weight())
                .sum()
        })
    }

    pub(super) fn contains(&self, vector: &[Index]) -> bool {
        match (self, vector) {
            (Self::Point, []) => true,
            (Self::Rows(rows), [first, others @ ..]) => rows
                .iter()
                .find(|row| row.indexes.contains(*first))
                .is_some_and(|row| row.rest.contains(others)),
            _ => false,
        }
    }

    pub(super) fn rows(&self) -> Option<&[Row]> {
        match self {
            Self::Point => None,
            Self::Rows(rows) => Some(rows),
        }
    }

    /// The indexes, where the vectors have one.
    pub(super) fn only_dimension(&self) -> Option<&IndexSet> {
        match self.rows()? {
            [row] if matches!(row.rest, Self::Point) => Some(&row.indexes),
            _ => None,
        }
    }

    /// All intervals of all rows in ascending order, each with the number of its row.
    pub(super) fn spans(&self) -> Vec<(Interval, usize)> {
        let rows = self.rows().unwrap_or_default();
        let mut spans: Vec<_> = rows
            .iter()
            .enumerate()
            .flat_map(|(number, row)| {
                row.indexes
                    .intervals()
                    .iter()
                    .map(move |interval| (*interval, number))
            })
            .collect();
        if rows.len() > 1 {
            spans.sort_unstable();
        }
        spans
    }

    /// The result of a set operation on two sets of the same dimensions.
    pub(super) fn combine(&self, other: &Self, operation: Operation) -> Self {
        let (Self::Rows(left), Self::Rows(right)) = (self, other) else {
            return match (self.is_empty(), other.is_empty()) {
                (false, false) if operation.keeps_both() => self.clone(),
                (false, true) if operation.keeps_left() => self.clone(),
                (true, false) if operation.keeps_right() => other.clone(),
                _ => Self::EMPTY,
            };
        };
        // Pieces of the first dimension, by the rows that they come from.
        let mut pieces: HashMap<(Option<usize>, Option<usize>), Vec<Interval>> = HashMap::new();
        sweep(&self.spans(), &other.spans(), |interval, from| {
            if match from {
                (Some(_), None) => operation.keeps_left(),
                (None, Some(_)) => operation.keeps_right(),
                _ => true,
            } {
                pieces.entry(from).or_default().push(interval);
            }
        });
        let mut rows = RowBuilder::default();
        for (from, intervals) in pieces {
            let rest = match from {
                (Some(left_row), Some(right_row)) => left[left_row]
                    .rest
                    .combine(&right[right_row].rest, operation),
                (Some(row), None) => left[row].rest.clone(),
                (None, Some(row)) => right[row].rest.clone(),
                (None, None) => continue,
            };
            rows.add_all(intervals, rest);
        }
        rows.build()
    }

    /// The vectors from position `start` up to, without, `end`, in ascending order.
    pub(super) fn slice(&self, start: u64, end: u64) -> Self {
        let Self::Rows(rows) = self else {
            return if start == 0 && end > 0 {
                Self::Point
            } else {
                Self::EMPTY
            };
        };
        let lengths: Vec<u64> = rows.iter().map(|row| row.rest.len()).collect();
        let mut built = RowBuilder::default();
        let mut position = 0_u64;
        for ((first, last), number) in self.spans() {
            let (length, rest) = (lengths[number], &rows[number].rest);
            let total = (last - first + 1).saturating_mul(length);
            let from = start.saturating_sub(position).min(total);
            let to = end.saturating_sub(position).min(total);
            position = position.saturating_add(total);
            if from >= to {
                continue;
            }
            let (mut index, skip) = (first + from / length, from % length);
            let (stop, remainder) = (first + to / length, to % length);
            if skip > 0 {
                let until = if index == stop { remainder } else { length };
                built.add((index, index), rest.slice(skip, until));
                index += 1;
            }
            if index < stop {
                built.add((index, stop - 1), rest.clone());
            }
            if index <= stop && remainder > 0 {
                built.add((stop, stop), rest.slice(0, remainder));
            }
        }
        built.build()
    }

    /// Appends the vector at this position; the position must be less than the length.
    pub(super) fn nth(&self, mut position: u64, vector: &mut Vec<Index>) {
        let Self::Rows(rows) = self else { return };
        for ((first, last), number) in self.spans() {
            let length = rows[number].rest.len();
            let total = (last - first + 1).saturating_mul(length);
            if position < total {
                vector.push(Index(first + position / length));
                return rows[number].rest.nth(position % length, vector);
            }
            position -= total;
        }
    }
}

/// Collects rows, joining those with equal rests.
#[derive(Default)]
struct RowBuilder {
    numbers: HashMap<Grid, usize>,
    intervals: Vec<Vec<Interval>>,
}

impl RowBuilder {
    fn add(&mut self, interval: Interval, rest: Grid) {
        self.add_all(vec![interval], rest);
    }

    fn add_all(&mut self, mut intervals: Vec<Interval>, rest: Grid) {
        if rest.is_empty() {
            return;
        }
        let next = self.intervals.len();
        match self.numbers.entry(rest) {
            std::collections::hash_map::Entry::Occupied(entry) => {
                self.intervals[*entry.get()].append(&mut intervals);
            }
            std::collections::hash_map::Entry::Vacant(entry) => {
                entry.insert(next);
                self.intervals.push(intervals);
            }
        }
    }

    fn build(mut self) -> Grid {
        let mut rows: Vec<Row> = self
            .numbers
            .into_iter()
            .map(|(rest, number)| Row {
                indexes: IndexSet::from_intervals(std::mem::take(&mut self.intervals[number])),
                rest,
            })
            .collect();
        rows.sort_unstable_by_key(|row| row.indexes.first());
        Grid::Rows(rows)
    }
}

/// Cuts two ascending lists of disjoint spans at each other's ends, and gives every piece with the rows it is in.
fn sweep(
    left: &[(Interval, usize)],
    right: &[(Interval, usize)],
    mut piece: impl FnMut(Interval, (Option<usize>, Option<usize>)),
) {
    let (mut left, mut right) = (left.iter().copied(), right.iter().copied());
    let (mut a, mut b) = (left.next(), right.next());
    loop {
        match (a, b) {
            (None, None) => return,
            (Some((span, row)), None) => {
                piece(span, (Some(row), None));
                a = left.next();
            }
            (None, Some((span, row))) => {
                piece(span, (None, Some(row)));
                b = right.next();
            }
            (Some(((first, last), row)), Some(((other_first, other_last), other_row))) => {
                if first < other_first {
                    let end = last.min(other_first - 1);
                    piece((first, end), (Some(row), None));
                    a = if end < last {
                        Some(((end + 1, last), row))
                    } else {
                        left.next()
                    };
                } else if other_first < first {
                    let end = other_last.min(first - 1);
                    piece((other_first, end), (None, Some(other_row)));
                    b = if end < other_last {
                        Some(((end + 1, other_last), other_row))
                    } else {
                        right.next()
                    };
                } else {
                    let end = last.min(other_last);
                    piece((first, end), (Some(row), Some(other_row)));
                    a = if end < last {
                        Some(((end + 1, last), row))
                    } else {
                        left.next()
                    };
                    b = if end < other_last {
                        Some(((end + 1, other_last), other_row))
                    } else {
                        right.next()
                    };
                }
            }
        }
    }
}

/// A walk over the vectors of a [`Grid`] in ascending order; the grid is handed in at each step.
#[derive(Debug, Clone)]
pub(super) struct Cursor {
    levels: Vec<Level>,
    vector: Vec<Index>,
    /// Whether the vector of no dimensions is still to come.
    point: bool,
}

#[derive(Debug, Clone)]
struct Level {
    spans: Vec<(Interval, usize)>,
    at: usize,
}

impl Cursor {
    pub(super) fn new(grid: &Grid) -> Self {
        let mut cursor = Self {
            levels: Vec::new(),
            vector: Vec::new(),
            point: *grid == Grid::Point,
        };
        if !grid.is_empty() {
            cursor.descend(grid);
        }
        cursor
    }

    /// The next vector of the grid that the cursor was made for.
    pub(super) fn next(&mut self, grid: &Grid) -> Option<&[Index]> {
        if self.point {
            self.point = false;
            return Some(&[]);
        }
        // The vector is kept one step behind, so that the first step needs no special case: see `descend`.
        loop {
            let level = self.levels.last_mut()?;
            let index = self.vector.last_mut()?;
            let ((_, last), _) = level.spans[level.at];
            if index.0.wrapping_add(1) <= last {
                index.0 = index.0.wrapping_add(1);
            } else if let Some(((first, _), _)) = level.spans.get(level.at + 1) {
                level.at += 1;
                index.0 = *first;
            } else {
                self.levels.pop();
                self.vector.pop();
                continue;
            }
            self.descend_below(grid);
            return Some(&self.vector);
        }
    }

    /// Opens all levels, with the last one just before its first index.
    fn descend(&mut self, grid: &Grid) {
        self.open(grid);
        if let Some(index) = self.vector.last_mut() {
            // Ranks start at 0; `next` adds one with wrap-around.
            index.0 = index.0.wrapping_sub(1);
        }
    }

    fn descend_below(&mut self, grid: &Grid) {
        let mut below = grid;
        for level in &self.levels {
            let Some(rows) = below.rows() else { return };
            below = &rows[level.spans[level.at].1].rest;
        }
        self.open(below);
    }

    fn open(&mut self, mut grid: &Grid) {
        while let Grid::Rows(rows) = grid {
            let spans = grid.spans();
            let ((first, _), row) = spans[0];
            self.vector.push(Index(first));
            self.levels.push(Level { spans, at: 0 });
            grid = &rows[row].rest;
        }
    }
}
