//! `HostSet`: a Python set in manner.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Mutex;

use clusterops::hostset::{Context, IntoIter};
use pyo3::basic::CompareOp;
use pyo3::exceptions::{PyIndexError, PyTypeError};
use pyo3::prelude::*;
use pyo3::pybacked::PyBackedStr;
use pyo3::types::{PySlice, PyString, PyTuple};

use crate::errors::raise;
use crate::table::is_set;
use crate::words::{quoted, takes};

/// How many names an expression may stand for, unless another limit is given.
const LIMIT: usize = 1_000_000;

/// A set of host names, written and read in ClusterShell's syntax; it cannot be changed.
///
/// Parameters
/// ----------
/// hosts : str, HostSet or iterable of str, optional
///     An expression such as ``web[01-50]!web49``; or names, which are taken as they are.
///
/// Raises
/// ------
/// InvalidError
///     An expression that does not read, or stands for more than 1,000,000 names.
///
/// Examples
/// --------
/// >>> web = HostSet("web[01-50]")
/// >>> web - HostSet("web[10-20],web49")
/// HostSet('web[01-09,21-48,50]')
/// >>> len(web), web[0], web[-2:], "web01" in web
/// (50, 'web01', HostSet('web[49-50]'), True)
#[pyclass(module = "clusterops", frozen)]
#[derive(Debug)]
pub(crate) struct HostSet(pub(crate) clusterops::HostSet);

/// What a set can be made of.
pub(crate) struct Hosts(pub(crate) clusterops::HostSet);

impl<'py> FromPyObject<'_, 'py> for Hosts {
    type Error = PyErr;
    takes!("str | Iterable[str]");

    fn extract(value: Borrowed<'_, 'py, PyAny>) -> PyResult<Self> {
        if let Ok(set) = value.cast::<HostSet>() {
            return Ok(Self(set.get().0.clone()));
        }
        if let Ok(text) = value.cast::<PyString>() {
            let set = clusterops::HostSet::parse(text.to_cow()?.as_ref()).map_err(raise)?;
            return Ok(Self(set));
        }
        let names = value.try_iter()?.map(|name| name?.extract::<PyBackedStr>());
        names.collect::<PyResult<_>>().map(Self)
    }
}

/// The other side of an operator: a set, as Python's own sets ask for.
struct Other(clusterops::HostSet);

impl<'py> FromPyObject<'_, 'py> for Other {
    type Error = PyErr;
    takes!("AbstractSet[Any]");

    fn extract(value: Borrowed<'_, 'py, PyAny>) -> PyResult<Self> {
        if !value.is_instance_of::<HostSet>() && !is_set(&value)? {
            return Err(PyTypeError::new_err("not a set of host names"));
        }
        Ok(Self(value.extract::<Hosts>()?.0))
    }
}

#[pymethods]
impl HostSet {
    #[new]
    #[pyo3(signature = (hosts = None, /))]
    fn new(hosts: Option<Hosts>) -> Self {
        Self(hosts.map(|hosts| hosts.0).unwrap_or_default())
    }

    /// Reads an expression, with a limit of one's own.
    ///
    /// Parameters
    /// ----------
    /// expression : str
    ///     As for the class.
    /// limit : int
    ///     How many names it may stand for.
    ///
    /// Returns
    /// -------
    /// HostSet
    #[staticmethod]
    #[pyo3(signature = (expression, *, limit = 1_000_000))]
    fn parse(expression: &str, limit: usize) -> PyResult<Self> {
        let context = Context::new().limit(limit);
        Ok(Self(context.parse(expression).map_err(raise)?))
    }

    #[staticmethod]
    #[pyo3(signature = (expression, limit, /))]
    fn _restore(expression: &str, limit: usize) -> PyResult<Self> {
        Self::parse(expression, limit)
    }

    fn __reduce__<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyTuple>> {
        let restore = py.get_type::<Self>().getattr("_restore")?;
        let arguments = (self.0.to_string(), self.0.len().max(LIMIT));
        (restore, arguments).into_pyobject(py)
    }

    fn __str__(&self) -> String {
        self.0.to_string()
    }

    fn __repr__(&self, py: Python<'_>) -> PyResult<String> {
        match self.0.is_empty() {
            true => Ok("HostSet()".into()),
            false => Ok(format!("HostSet({})", quoted(py, &self.0.to_string())?)),
        }
    }

    fn __len__(&self) -> usize {
        self.0.len()
    }

    fn __bool__(&self) -> bool {
        !self.0.is_empty()
    }

    fn __hash__(&self) -> u64 {
        let mut hasher = DefaultHasher::new();
        self.0.hash(&mut hasher);
        hasher.finish()
    }

    fn __contains__(&self, name: &Bound<'_, PyAny>) -> bool {
        match name.extract::<&str>() {
            Ok(name) => self.0.contains(name),
            Err(_) => false,
        }
    }

    fn __iter__(&self) -> HostSetIterator {
        HostSetIterator(Mutex::new(self.0.clone().into_iter()))
    }

    fn __getitem__<'py>(
        &self,
        py: Python<'py>,
        key: &Bound<'py, PyAny>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let length = self.0.len();
        let Ok(slice) = key.cast::<PySlice>() else {
            let position: isize = key.extract()?;
            let from_start = match position < 0 {
                true => length.checked_add_signed(position),
                false => usize::try_from(position).ok(),
            };
            let name = from_start.and_then(|position| self.0.get(position));
            let name = name.ok_or_else(|| PyIndexError::new_err("host set index out of range"))?;
            return Ok(name.into_pyobject(py)?.into_any());
        };
        let indices = slice.indices(isize::try_from(length).unwrap_or(isize::MAX))?;
        let position = |index: isize| usize::try_from(index).unwrap_or(0);
        let set = if indices.step == 1 {
            let start = position(indices.start);
            self.0.slice(start..position(indices.stop).max(start))
        } else {
            (0..indices.slicelength)
                .filter_map(|step| {
                    let step = isize::try_from(step).ok()?;
                    self.0.get(position(indices.start + step * indices.step))
                })
                .collect()
        };
        Ok(Bound::new(py, Self(set))?.into_any())
    }

    fn __richcmp__(&self, other: &Bound<'_, PyAny>, operator: CompareOp) -> PyResult<Py<PyAny>> {
        let py = other.py();
        let answer = match (operator, other.cast::<Self>()) {
            (CompareOp::Eq, Ok(other)) => self.0 == other.get().0,
            (CompareOp::Ne, Ok(other)) => self.0 != other.get().0,
            (CompareOp::Eq | CompareOp::Ne, Err(_)) => return Ok(py.NotImplemented()),
            _ => {
                let Ok(Other(other)) = other.extract() else {
                    return Ok(py.NotImplemented());
                };
                match operator {
                    CompareOp::Le => self.0.is_subset(&other),
                    CompareOp::Lt => self.0.is_subset(&other) && self.0 != other,
                    CompareOp::Ge => other.is_subset(&self.0),
                    _ => other.is_subset(&self.0) && self.0 != other,
                }
            }
        };
        Ok(answer.into_pyobject(py)?.to_owned().into_any().unbind())
    }

    fn __and__(&self, other: Other) -> Self {
        Self(self.0.intersection(&other.0))
    }

    fn __or__(&self, other: Other) -> Self {
        Self(self.0.union(&other.0))
    }

    fn __sub__(&self, other: Other) -> Self {
        Self(self.0.difference(&other.0))
    }

    fn __xor__(&self, other: Other) -> Self {
        Self(self.0.symmetric_difference(&other.0))
    }

    fn __rand__(&self, other: Other) -> Self {
        Self(other.0.intersection(&self.0))
    }

    fn __ror__(&self, other: Other) -> Self {
        Self(other.0.union(&self.0))
    }

    fn __rsub__(&self, other: Other) -> Self {
        Self(other.0.difference(&self.0))
    }

    fn __rxor__(&self, other: Other) -> Self {
        Self(other.0.symmetric_difference(&self.0))
    }

    /// The hosts of this set and all others.
    #[pyo3(signature = (*others))]
    fn union(&self, others: Vec<Hosts>) -> Self {
        let union = |set: clusterops::HostSet, other: Hosts| set.union(&other.0);
        Self(others.into_iter().fold(self.0.clone(), union))
    }

    /// The hosts of this set that are in all others too.
    #[pyo3(signature = (*others))]
    fn intersection(&self, others: Vec<Hosts>) -> Self {
        let intersection = |set: clusterops::HostSet, other: Hosts| set.intersection(&other.0);
        Self(others.into_iter().fold(self.0.clone(), intersection))
    }

    /// The hosts of this set that are in none of the others.
    #[pyo3(signature = (*others))]
    fn difference(&self, others: Vec<Hosts>) -> Self {
        let difference = |set: clusterops::HostSet, other: Hosts| set.difference(&other.0);
        Self(others.into_iter().fold(self.0.clone(), difference))
    }

    /// The hosts that are in one of the two sets only.
    fn symmetric_difference(&self, other: Hosts) -> Self {
        Self(self.0.symmetric_difference(&other.0))
    }

    /// Whether no host is in both sets.
    fn isdisjoint(&self, other: Hosts) -> bool {
        self.0.is_disjoint(&other.0)
    }

    /// Whether all hosts of this set are in the other one.
    fn issubset(&self, other: Hosts) -> bool {
        self.0.is_subset(&other.0)
    }

    /// Whether all hosts of the other set are in this one.
    fn issuperset(&self, other: Hosts) -> bool {
        other.0.is_subset(&self.0)
    }

    /// Splits into so many sets of equal size, the first ones larger by one host where that is needed.
    ///
    /// Examples
    /// --------
    /// >>> HostSet("n[1-5]").split(3)
    /// [HostSet('n[1-2]'), HostSet('n[3-4]'), HostSet('n5')]
    fn split(&self, parts: usize) -> Vec<Self> {
        self.0.split(parts).into_iter().map(Self).collect()
    }

    /// Splits into sets of so many hosts, of which the last one may be smaller.
    ///
    /// Examples
    /// --------
    /// >>> HostSet("n[1-5]").chunks(2)
    /// [HostSet('n[1-2]'), HostSet('n[3-4]'), HostSet('n5')]
    fn chunks(&self, size: usize) -> Vec<Self> {
        self.0.chunks(size).into_iter().map(Self).collect()
    }
}

/// The names of a set, in order.
#[pyclass(frozen)]
pub(crate) struct HostSetIterator(Mutex<IntoIter>);

#[pymethods]
impl HostSetIterator {
    fn __iter__(slf: PyRef<'_, Self>) -> PyRef<'_, Self> {
        slf
    }

    fn __next__(&self) -> Option<String> {
        self.0.lock().ok()?.next()
    }
}
