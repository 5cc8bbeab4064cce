//! `Inventory`, and group sources that are Python objects.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use clusterops::core::{Error, ErrorKind};
use clusterops::hostset::GroupSource;
use pyo3::exceptions::PyKeyError;
use pyo3::prelude::*;
use pyo3::types::{PyIterator, PyTuple};

use crate::call::Call;
use crate::errors::raise;
use crate::groups::Groups;
use crate::hostset::HostSet;
use crate::runtime::{self, aside, awaitable, wait};
use crate::table::Objects;
use crate::target::Target;

/// The hosts of a fleet, with how to reach them, their variables, tags and groups.
///
/// `load` reads a file or folder, `parse` a text; the format is clusterops' own or one of Ansible's. An inventory is
/// also a mapping-like container: it is iterated for names, ``inventory["web1"]`` is a target.
///
/// Examples
/// --------
/// >>> fleet = Inventory.parse("hosts: {'web[1-3]': {zone: a}, db1: {zone: b}}", "fleet.yaml")
/// >>> [target.name for target in fleet.select("@zone:a!web2")]
/// ['web1', 'web3']
/// >>> fleet["db1"].variables["zone"]
/// 'b'
#[pyclass(module = "clusterops", frozen)]
pub(crate) struct Inventory {
    inner: Arc<clusterops::Inventory>,
}

impl Inventory {
    fn new(
        mut inner: clusterops::Inventory,
        sources: Option<Objects>,
        py: Python<'_>,
    ) -> PyResult<Self> {
        for source in Source::all(py, sources.unwrap_or_default())? {
            inner.add_source(Box::new(source));
        }
        Ok(Self {
            inner: Arc::new(inner),
        })
    }

    /// Asks the inventory on another thread: a source of groups may be a program that takes its time.
    fn ask<T: Send + 'static>(
        &self,
        question: impl FnOnce(&clusterops::Inventory) -> clusterops::core::Result<T> + Send + 'static,
    ) -> impl Future<Output = PyResult<T>> + Send + 'static {
        let inner = Arc::clone(&self.inner);
        aside(move || question(&inner))
    }

    fn selected(
        &self,
        expression: String,
    ) -> impl Future<Output = PyResult<Vec<Target>>> + Send + 'static {
        self.ask(move |inventory| {
            let targets = inventory.select(&expression)?;
            Ok(targets.into_iter().map(Target).collect())
        })
    }

    fn resolved(
        &self,
        expression: String,
    ) -> impl Future<Output = PyResult<HostSet>> + Send + 'static {
        self.ask(move |inventory| inventory.resolve(&expression).map(HostSet))
    }
}

async fn load(path: PathBuf, sources: Option<Objects>) -> PyResult<Inventory> {
    let read = aside(move || clusterops::Inventory::load(path)).await?;
    runtime::attach(|py| Inventory::new(read, sources, py))
}

#[pymethods]
impl Inventory {
    /// Reads an inventory from a file or folder.
    ///
    /// Parameters
    /// ----------
    /// path : str or os.PathLike
    /// sources : iterable of GroupSource or Groups, optional
    ///     What knows further groups, for ``@name:group``.
    ///
    /// Raises
    /// ------
    /// InvalidError
    ///     The first thing that is wrong, with its line.
    /// LocalError
    ///     A file that cannot be read.
    #[staticmethod]
    #[pyo3(signature = (path, *, sources = None))]
    fn load(py: Python<'_>, path: PathBuf, sources: Option<Objects>) -> PyResult<Self> {
        wait(py, load(path, sources))
    }

    /// As `load`, to be awaited.
    #[staticmethod]
    #[pyo3(signature = (path, *, sources = None))]
    fn aload(
        py: Python<'_>,
        path: PathBuf,
        sources: Option<Objects>,
    ) -> PyResult<Bound<'_, PyAny>> {
        awaitable(py, load(path, sources))
    }

    /// Reads an inventory from a text.
    ///
    /// Parameters
    /// ----------
    /// text : str
    /// name : str
    ///     What errors call it; its end (``.yaml``, ``.ini``) hints at the format.
    /// sources : iterable of GroupSource or Groups, optional
    ///     As for `load`.
    #[staticmethod]
    #[pyo3(signature = (text, name = "inventory", *, sources = None))]
    fn parse(py: Python<'_>, text: &str, name: &str, sources: Option<Objects>) -> PyResult<Self> {
        let read = clusterops::Inventory::parse(text, name).map_err(raise)?;
        Self::new(read, sources, py)
    }

    /// The targets that an expression selects, in natural order.
    ///
    /// Parameters
    /// ----------
    /// expression : str
    ///     ``@group``, ``@*`` for every host, ``@name:value`` for a variable, ``@tag:name``, names and wildcards,
    ///     combined with ``,`` ``!`` ``&`` ``^``.
    ///
    /// Raises
    /// ------
    /// NotFoundError
    ///     A group or host that the inventory does not have, with the nearest name that it has.
    fn select(&self, py: Python<'_>, expression: String) -> PyResult<Vec<Target>> {
        wait(py, self.selected(expression))
    }

    /// As `select`, to be awaited.
    fn aselect<'py>(&self, py: Python<'py>, expression: String) -> PyResult<Bound<'py, PyAny>> {
        awaitable(py, self.selected(expression))
    }

    /// The names that an expression selects.
    fn resolve(&self, py: Python<'_>, expression: String) -> PyResult<HostSet> {
        wait(py, self.resolved(expression))
    }

    /// As `resolve`, to be awaited.
    fn aresolve<'py>(&self, py: Python<'py>, expression: String) -> PyResult<Bound<'py, PyAny>> {
        awaitable(py, self.resolved(expression))
    }

    /// All hosts.
    #[getter]
    fn hosts(&self) -> HostSet {
        HostSet(self.inner.hosts().clone())
    }

    /// All targets, in the natural order of their names.
    #[getter]
    fn targets(&self) -> Vec<Target> {
        self.inner.targets().iter().cloned().map(Target).collect()
    }

    /// The groups and their members.
    #[getter]
    fn groups(&self) -> BTreeMap<String, HostSet> {
        let groups = self.inner.groups();
        groups
            .map(|(name, hosts)| (name.to_owned(), HostSet(hosts.clone())))
            .collect()
    }

    /// What was found but not read, such as Ansible's templates: one sentence each.
    #[getter]
    fn unread(&self) -> Vec<String> {
        self.inner
            .unread()
            .iter()
            .map(ToString::to_string)
            .collect()
    }

    fn __getitem__(&self, name: &str) -> PyResult<Target> {
        let target = self.inner.host(name).cloned().map(Target);
        target.ok_or_else(|| PyKeyError::new_err(name.to_owned()))
    }

    fn __contains__(&self, name: &Bound<'_, PyAny>) -> bool {
        name.extract::<&str>()
            .is_ok_and(|name| self.inner.host(name).is_some())
    }

    fn __iter__<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyIterator>> {
        Bound::new(py, self.hosts())?.try_iter()
    }

    fn __len__(&self) -> usize {
        self.inner.targets().len()
    }

    fn __repr__(&self) -> String {
        let groups: Vec<&str> = self.inner.groups().map(|(name, _)| name).collect();
        format!(
            "<Inventory of {} hosts: {}; groups: {}>",
            self.inner.targets().len(),
            self.inner.hosts(),
            groups.join(", ")
        )
    }
}

/// A source of groups that is a Python object.
pub(crate) struct Source {
    name: String,
    object: Py<PyAny>,
}

impl Source {
    /// The sources that these objects are, or have where they are `Groups`.
    pub(crate) fn all(py: Python<'_>, objects: Objects) -> PyResult<Vec<Arc<dyn GroupSource>>> {
        let mut sources: Vec<Arc<dyn GroupSource>> = Vec::new();
        for object in objects.0 {
            if let Ok(groups) = object.cast_bound::<Groups>(py) {
                sources.extend(groups.get().sources());
                continue;
            }
            sources.push(Arc::new(Self {
                name: object.getattr(py, "name")?.extract(py)?,
                object,
            }));
        }
        Ok(sources)
    }

    /// Calls a method that may be left out.
    fn ask<T>(&self, method: &str, argument: Option<&str>) -> clusterops::core::Result<Option<T>>
    where
        T: for<'a, 'py> FromPyObject<'a, 'py, Error = PyErr>,
    {
        let call = Call::current();
        let asked = runtime::attach(|py| {
            let object = self.object.bind(py);
            if !object.hasattr(method)? {
                return Ok(None);
            }
            let arguments = match argument {
                Some(argument) => PyTuple::new(py, [argument])?,
                None => PyTuple::empty(py),
            };
            let given = call.ask(object, method, arguments)?;
            match given.is_none() {
                true => Ok(None),
                false => given.extract().map(Some),
            }
        });
        asked.map_err(|error: PyErr| {
            let message = format!("group source `{}`: `{method}` raised {error}", self.name);
            call.keep(error);
            Error::new(ErrorKind::GroupSource, message)
        })
    }
}

impl GroupSource for Source {
    fn name(&self) -> &str {
        &self.name
    }

    fn map(&self, group: &str) -> clusterops::core::Result<Option<String>> {
        self.ask("map", Some(group))
    }

    fn all(&self) -> clusterops::core::Result<Option<String>> {
        self.ask("all", None)
    }

    fn list(&self) -> clusterops::core::Result<Vec<String>> {
        Ok(self.ask("list", None)?.unwrap_or_default())
    }

    fn reverse(&self, host: &str) -> clusterops::core::Result<Option<Vec<String>>> {
        self.ask("reverse", Some(host))
    }
}

impl fmt::Debug for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Source")
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}
