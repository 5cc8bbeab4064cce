//! The set itself.

use std::cmp::Ordering;
use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::hash::{Hash, Hasher};
use std::ops::{BitAnd, BitOr, BitXor, Bound, RangeBounds, Sub};
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::builder::Builder;
use super::grid::{Grid, Operation};
use super::index::Index;
use super::iter::{IntoIter, Iter, Vectors};
use super::{Context, fold, name};
use crate::{Error, Result};

/// A set of host names.
///
/// Sets are written and read in the syntax of ClusterShell (see the [module](super)), compare equal when they hold the
/// same names however they were written, and take memory for ranges rather than for hosts. Names are ordered by their
/// text first and by the numbers in it second, shorter digit strings first: `db1`, `web2`, `web10`, `web010`.
///
/// ```
/// use clusterops_core::hostset::HostSet;
///
/// let web: HostSet = "web[01-50]".parse()?;
/// let rest = &web - &"web[10-20],web49".parse()?;
/// assert_eq!(rest.len(), 38);
/// assert_eq!(rest.to_string(), "web[01-09,21-48,50]");
/// assert_eq!(rest.get(9).as_deref(), Some("web21"));
/// assert!(!rest.contains("web1"), "padding is a part of the name");
/// # Ok::<(), clusterops_core::Error>(())
/// ```
#[derive(Clone, Default)]
pub struct HostSet {
    /// What the numbers of each template (see [`name::split`]) may be; no grid is empty.
    grids: BTreeMap<Box<str>, Grid>,
}

impl HostSet {
    pub(super) const EMPTY: Self = Self {
        grids: BTreeMap::new(),
    };

    /// The set without hosts.
    pub fn new() -> Self {
        Self::default()
    }

    /// Reads an expression that needs no groups and no wildcards; [`Context::parse`] reads the others.
    ///
    /// # Errors
    ///
    /// As [`Context::parse`], with the limit of 1,000,000 hosts.
    pub fn parse(expression: &str) -> Result<Self> {
        Context::new().parse(expression)
    }

    pub(super) fn from_grids(mut grids: BTreeMap<Box<str>, Grid>) -> Self {
        grids.retain(|_, grid| !grid.is_empty());
        Self { grids }
    }

    /// How many hosts there are. Takes time for ranges, not for hosts.
    pub fn len(&self) -> usize {
        self.grids.values().fold(0, |sum: usize, grid| {
            sum.saturating_add(usize::try_from(grid.len()).unwrap_or(usize::MAX))
        })
    }

    /// Whether there are no hosts.
    pub fn is_empty(&self) -> bool {
        self.grids.is_empty()
    }

    /// Whether this host is in the set.
    pub fn contains(&self, name: &str) -> bool {
        let (mut template, mut indexes) = (String::new(), Vec::new());
        name::split(name, &mut template, &mut indexes);
        self.grids
            .get(template.as_str())
            .is_some_and(|grid| grid.contains(&indexes))
    }

    /// Whether all hosts of this set are in the other one.
    ///
    /// ```
    /// # use clusterops_core::hostset::HostSet;
    /// let (few, many) = (HostSet::parse("db[2-3]")?, HostSet::parse("db[1-4],web1")?);
    /// assert!(few.is_subset(&many) && !many.is_subset(&few));
    /// # Ok::<(), clusterops_core::Error>(())
    /// ```
    pub fn is_subset(&self, other: &Self) -> bool {
        self.difference(other).is_empty()
    }

    /// Whether no host is in both sets.
    pub fn is_disjoint(&self, other: &Self) -> bool {
        self.intersection(other).is_empty()
    }

    /// The names, in order.
    ///
    /// ```
    /// # use clusterops_core::hostset::HostSet;
    /// let set = HostSet::parse("n[8-10],db")?;
    /// assert_eq!(set.iter().collect::<Vec<_>>(), ["db", "n8", "n9", "n10"]);
    /// # Ok::<(), clusterops_core::Error>(())
    /// ```
    pub fn iter(&self) -> Iter<'_> {
        Iter::new(self, &self.grids)
    }

    /// The name at this position, counted from 0 in the order of [`iter`](Self::iter).
    pub fn get(&self, position: usize) -> Option<String> {
        let mut position = position as u64;
        for (template, grid) in &self.grids {
            let length = grid.len();
            if position < length {
                let mut indexes = Vec::new();
                grid.nth(position, &mut indexes);
                return Some(name::join(template, &indexes));
            }
            position -= length;
        }
        None
    }

    /// The hosts at these positions; positions past the end are ignored.
    ///
    /// ```
    /// # use clusterops_core::hostset::HostSet;
    /// let canary = HostSet::parse("db[1-3],web[1-100]")?.slice(..5);
    /// assert_eq!(canary.to_string(), "db[1-3],web[1-2]");
    /// # Ok::<(), clusterops_core::Error>(())
    /// ```
    #[must_use]
    pub fn slice(&self, positions: impl RangeBounds<usize>) -> Self {
        let start = match positions.start_bound() {
            Bound::Included(start) => *start as u64,
            Bound::Excluded(start) => (*start as u64).saturating_add(1),
            Bound::Unbounded => 0,
        };
        let end = match positions.end_bound() {
            Bound::Included(end) => (*end as u64).saturating_add(1),
            Bound::Excluded(end) => *end as u64,
            Bound::Unbounded => u64::MAX,
        };
        let mut position = 0_u64;
        let mut grids = BTreeMap::new();
        for (template, grid) in &self.grids {
            let length = grid.len();
            let from = start.saturating_sub(position).min(length);
            let to = end.saturating_sub(position).min(length);
            if from < to {
                grids.insert(template.clone(), grid.slice(from, to));
            }
            position = position.saturating_add(length);
        }
        Self { grids }
    }

    /// Splits into `parts` sets of equal size, the first ones larger by one host where that is needed; fewer when there
    /// are fewer hosts, none when `parts` is 0.
    ///
    /// ```
    /// # use clusterops_core::hostset::HostSet;
    /// let parts = HostSet::parse("n[1-5]")?.split(3);
    /// let parts: Vec<String> = parts.iter().map(ToString::to_string).collect();
    /// assert_eq!(parts, ["n[1-2]", "n[3-4]", "n5"]);
    /// # Ok::<(), clusterops_core::Error>(())
    /// ```
    pub fn split(&self, parts: usize) -> Vec<Self> {
        let length = self.len();
        let parts = parts.min(length);
        let mut start = 0;
        (0..parts)
            .map(|part| {
                let end = start + length / parts + usize::from(part < length % parts);
                let slice = self.slice(start..end);
                start = end;
                slice
            })
            .collect()
    }

    /// Splits into sets of `size` hosts, of which the last one may be smaller; none when `size` is 0.
    ///
    /// ```
    /// # use clusterops_core::hostset::HostSet;
    /// let chunks = HostSet::parse("n[1-5]")?.chunks(2);
    /// assert_eq!(chunks[2].to_string(), "n5");
    /// # Ok::<(), clusterops_core::Error>(())
    /// ```
    pub fn chunks(&self, size: usize) -> Vec<Self> {
        if size == 0 {
            return Vec::new();
        }
        let starts = (0..self.len()).step_by(size);
        starts
            .map(|start| self.slice(start..start.saturating_add(size)))
            .collect()
    }

    /// The hosts of both sets; also `a | b`.
    #[must_use]
    pub fn union(&self, other: &Self) -> Self {
        self.combine(other, Operation::Union)
    }

    /// The hosts that are in both sets; also `a & b`.
    #[must_use]
    pub fn intersection(&self, other: &Self) -> Self {
        self.combine(other, Operation::Intersection)
    }

    /// The hosts of this set that are not in the other one; also `a - b`.
    #[must_use]
    pub fn difference(&self, other: &Self) -> Self {
        self.combine(other, Operation::Difference)
    }

    /// The hosts that are in one of the sets only; also `a ^ b`.
    #[must_use]
    pub fn symmetric_difference(&self, other: &Self) -> Self {
        self.combine(other, Operation::SymmetricDifference)
    }

    /// Adds a host, and says whether it was missing. For many hosts at once [`extend`](Self::extend) is much faster.
    ///
    /// The name is taken as it is, as in [`from_iter`](Self::from_iter).
    pub fn insert(&mut self, name: &str) -> bool {
        let missing = !self.contains(name);
        if missing {
            self.extend([name]);
        }
        missing
    }

    /// Removes a host, and says whether it was there.
    pub fn remove(&mut self, name: &str) -> bool {
        let present = self.contains(name);
        if present {
            self.apply(&Self::from_iter([name]), Operation::Difference);
        }
        present
    }

    fn combine(&self, other: &Self, operation: Operation) -> Self {
        let mut result = self.clone();
        result.apply(other, operation);
        result
    }

    /// Does an operation in place, touching only the templates of the other set where that is enough.
    ///
    /// Gives the number of intervals that were looked at.
    pub(super) fn apply(&mut self, other: &Self, operation: Operation) -> u64 {
        let mut work = 0;
        if !operation.keeps_left() {
            self.grids
                .retain(|template, _| other.grids.contains_key(template));
        }
        for (template, right) in &other.grids {
            match self.grids.get_mut(template) {
                Some(left) => {
                    work += left.weight() + right.weight();
                    *left = left.combine(right, operation);
                    if left.is_empty() {
                        self.grids.remove(template);
                    }
                }
                None if operation.keeps_right() => {
                    work += right.weight();
                    self.grids.insert(template.clone(), right.clone());
                }
                None => work += 1,
            }
        }
        work
    }

    /// Writes names with one number and those with its negative numbers as one range, when that goes across zero.
    ///
    /// Gives the template of the latter, in which the sign is text, and what is not written of it: padded numbers.
    fn fold_across_zero(
        &self,
        template: &str,
        grid: &Grid,
        text: &mut String,
    ) -> Option<(String, Grid)> {
        let indexes = grid.only_dimension()?;
        if !indexes.contains(Index::new(0, 1)) {
            return None;
        }
        let (before, _) = name::parts(template).next()?;
        let negative = format!("{before}-{}", &template[before.len()..]);
        let (below, rest) = self
            .grids
            .get(negative.as_str())?
            .only_dimension()?
            .plain_numbers();
        if below.first()?.0 != 1 {
            return None;
        }
        fold::fold_across_zero(template, &below, indexes, text);
        Some((negative, Grid::product([rest].into_iter())))
    }

    fn vectors(&self) -> impl Iterator<Item = (&str, Vec<Index>)> {
        self.grids.iter().flat_map(|(template, grid)| {
            Vectors::new(grid).map(move |vector| (template.as_ref(), vector))
        })
    }
}

/// Writes the set folded: `db[1-3],web[01-48,50]`.
///
/// For names with one number this is the text that ClusterShell writes, with steps off; for several numbers it is as
/// few pieces as can be found quickly. A name with characters that mean something in an expression is quoted.
impl fmt::Display for HostSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = String::new();
        // What is left of templates whose numbers are written as those below zero.
        let mut left: HashMap<String, Grid> = HashMap::new();
        for (template, grid) in &self.grids {
            let rest = left.remove(template.as_ref());
            let grid = rest.as_ref().unwrap_or(grid);
            match self.fold_across_zero(template, grid, &mut text) {
                Some((negative, rest)) => left.extend([(negative, rest)]),
                None => fold::fold(template, grid, &mut text),
            }
        }
        f.pad(&text)
    }
}

impl fmt::Debug for HostSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "HostSet({:?})", self.to_string())
    }
}

impl FromStr for HostSet {
    type Err = Error;

    fn from_str(expression: &str) -> Result<Self> {
        Self::parse(expression)
    }
}

/// Each item is one name, taken as it is: brackets, commas and the like are characters of the name.
///
/// ```
/// # use clusterops_core::hostset::HostSet;
/// let set = HostSet::from_iter(["web3", "web1", "web2", "[2001:db8::1]:22"]);
/// assert_eq!(set.to_string(), "[2001:db8::1]:22,web[1-3]");
/// ```
impl<Name: AsRef<str>> FromIterator<Name> for HostSet {
    fn from_iter<Names: IntoIterator<Item = Name>>(names: Names) -> Self {
        let mut builder = Builder::default();
        for name in names {
            builder.add_name(name.as_ref());
        }
        builder.build()
    }
}

/// As [`FromIterator`]: each item is one name.
impl<Name: AsRef<str>> Extend<Name> for HostSet {
    fn extend<Names: IntoIterator<Item = Name>>(&mut self, names: Names) {
        self.apply(&Self::from_iter(names), Operation::Union);
    }
}

impl<'a> IntoIterator for &'a HostSet {
    type Item = String;
    type IntoIter = Iter<'a>;

    fn into_iter(self) -> Iter<'a> {
        self.iter()
    }
}

impl IntoIterator for HostSet {
    type Item = String;
    type IntoIter = IntoIter;

    fn into_iter(self) -> IntoIter {
        IntoIter::new(self.len(), self.grids)
    }
}

impl PartialEq for HostSet {
    fn eq(&self, other: &Self) -> bool {
        self.grids == other.grids
    }
}

impl Eq for HostSet {}

impl Hash for HostSet {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.grids.hash(state);
    }
}

impl PartialOrd for HostSet {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// Compares the names one after another, as `BTreeSet` does.
impl Ord for HostSet {
    fn cmp(&self, other: &Self) -> Ordering {
        if self == other {
            return Ordering::Equal;
        }
        self.vectors().cmp(other.vectors())
    }
}

/// As folded text. A set of more than 1,000,000 names does not read back by serde, which keeps to the default of
/// [`Context::limit`]: read its text with a context that allows more.
impl Serialize for HostSet {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for HostSet {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let expression = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        Self::parse(&expression).map_err(serde::de::Error::custom)
    }
}

macro_rules! operator {
    ($operator:ident, $function:ident, $method:ident) => {
        impl $operator for HostSet {
            type Output = HostSet;

            fn $function(self, other: HostSet) -> HostSet {
                self.$method(&other)
            }
        }

        impl $operator<&HostSet> for &HostSet {
            type Output = HostSet;

            fn $function(self, other: &HostSet) -> HostSet {
                self.$method(other)
            }
        }
    };
}

operator!(BitOr, bitor, union);
operator!(BitAnd, bitand, intersection);
operator!(Sub, sub, difference);
operator!(BitXor, bitxor, symmetric_difference);
