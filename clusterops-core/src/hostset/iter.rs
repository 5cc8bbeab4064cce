//! Walking over the names of a set.

use std::collections::{BTreeMap, btree_map};
use std::fmt;
use std::iter::FusedIterator;

use super::grid::{Cursor, Grid};
use super::index::Index;
use super::{HostSet, name};

/// The names of a borrowed [`HostSet`], from [`HostSet::iter`].
pub struct Iter<'a> {
    remaining: usize,
    grids: btree_map::Iter<'a, Box<str>, Grid>,
    current: Option<(&'a str, &'a Grid, Cursor)>,
}

impl<'a> Iter<'a> {
    pub(super) fn new(set: &HostSet, grids: &'a BTreeMap<Box<str>, Grid>) -> Self {
        Self {
            remaining: set.len(),
            grids: grids.iter(),
            current: None,
        }
    }
}

impl Iterator for Iter<'_> {
    type Item = String;

    fn next(&mut self) -> Option<String> {
        loop {
            if let Some((template, grid, cursor)) = &mut self.current
                && let Some(indexes) = cursor.next(grid)
            {
                self.remaining -= 1;
                return Some(name::join(template, indexes));
            }
            let (template, grid) = self.grids.next()?;
            self.current = Some((template, grid, Cursor::new(grid)));
        }
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.remaining, Some(self.remaining))
    }
}

/// The names of a [`HostSet`] that is used up.
pub struct IntoIter {
    remaining: usize,
    grids: btree_map::IntoIter<Box<str>, Grid>,
    current: Option<(Box<str>, Grid, Cursor)>,
}

impl IntoIter {
    pub(super) fn new(remaining: usize, grids: BTreeMap<Box<str>, Grid>) -> Self {
        Self {
            remaining,
            grids: grids.into_iter(),
            current: None,
        }
    }
}

impl Iterator for IntoIter {
    type Item = String;

    fn next(&mut self) -> Option<String> {
        loop {
            if let Some((template, grid, cursor)) = &mut self.current
                && let Some(indexes) = cursor.next(grid)
            {
                self.remaining -= 1;
                return Some(name::join(template, indexes));
            }
            let (template, grid) = self.grids.next()?;
            let cursor = Cursor::new(&grid);
            self.current = Some((template, grid, cursor));
        }
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.remaining, Some(self.remaining))
    }
}

impl ExactSizeIterator for Iter<'_> {}
impl ExactSizeIterator for IntoIter {}
impl FusedIterator for Iter<'_> {}
impl FusedIterator for IntoIter {}

impl fmt::Debug for Iter<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Iter")
            .field("remaining", &self.remaining)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for IntoIter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("IntoIter")
            .field("remaining", &self.remaining)
            .finish_non_exhaustive()
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
