//! Walking over the names of a set.

use std::borrow::Borrow;
use std::collections::{BTreeMap, btree_map};
use std::fmt;
use std::iter::FusedIterator;

use super::grid::{Cursor, Grid};
use super::index::Index;
use super::{HostSet, name};

/// The names of a borrowed [`HostSet`], from [`HostSet::iter`].
pub struct Iter<'a>(Walk<btree_map::Iter<'a, Box<str>, Grid>>);

/// The names of a [`HostSet`] that is used up.
pub struct IntoIter(Walk<btree_map::IntoIter<Box<str>, Grid>>);

impl<'a> Iter<'a> {
    pub(super) fn new(set: &HostSet, grids: &'a BTreeMap<Box<str>, Grid>) -> Self {
        Self(Walk::new(set.len(), grids.iter()))
    }
}

impl IntoIter {
    pub(super) fn new(remaining: usize, grids: BTreeMap<Box<str>, Grid>) -> Self {
        Self(Walk::new(remaining, grids.into_iter()))
    }
}

/// A walk over templates and their grids, whoever owns these.
struct Walk<I: Iterator> {
    remaining: usize,
    grids: I,
    current: Option<(I::Item, Cursor)>,
}

impl<I: Iterator<Item = (T, G)>, T: AsRef<str>, G: Borrow<Grid>> Walk<I> {
    fn new(remaining: usize, grids: I) -> Self {
        Self {
            remaining,
            grids,
            current: None,
        }
    }

    fn next(&mut self) -> Option<String> {
        loop {
            if let Some(((template, grid), cursor)) = &mut self.current
                && let Some(indexes) = cursor.next((*grid).borrow())
            {
                self.remaining -= 1;
                return Some(name::join(template.as_ref(), indexes));
            }
            let (template, grid) = self.grids.next()?;
            let cursor = Cursor::new(grid.borrow());
            self.current = Some(((template, grid), cursor));
        }
    }
}

impl Iterator for Iter<'_> {
    type Item = String;

    fn next(&mut self) -> Option<String> {
        self.0.next()
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.0.remaining, Some(self.0.remaining))
    }
}

impl Iterator for IntoIter {
    type Item = String;

    fn next(&mut self) -> Option<String> {
        self.0.next()
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.0.remaining, Some(self.0.remaining))
    }
}

impl ExactSizeIterator for Iter<'_> {}
impl ExactSizeIterator for IntoIter {}
impl FusedIterator for Iter<'_> {}
impl FusedIterator for IntoIter {}

impl fmt::Debug for Iter<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Iter({} remaining)", self.0.remaining)
    }
}

impl fmt::Debug for IntoIter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "IntoIter({} remaining)", self.0.remaining)
    }
}

/// The index vectors of one grid.
pub(super) struct Vectors<'a> {
    grid: &'a Grid,
    cursor: Cursor,
}

impl<'a> Vectors<'a> {
    pub(super) fn new(grid: &'a Grid) -> Self {
        Self {
            grid,
            cursor: Cursor::new(grid),
        }
    }
}

impl Iterator for Vectors<'_> {
    type Item = Vec<Index>;

    fn next(&mut self) -> Option<Vec<Index>> {
        self.cursor.next(self.grid).map(<[Index]>::to_vec)
    }
}
