//! `Groups`: sources of groups together, as ClusterShell's `groups.conf` declares them or Python objects are.

use std::path::PathBuf;
use std::sync::Arc;

use clusterops::core;
use clusterops::hostset::{Context, GroupSource, GroupsConf};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;

use crate::hostset::{HostSet, Hosts};
use crate::inventory::Source;
use crate::runtime::{aside, awaitable, wait};
use crate::table::Objects;

/// Sources of groups, for expressions with ``@group`` and ``@source:group``.
///
/// `load` reads a ``groups.conf`` of ClusterShell's. In ``sources`` of an `Inventory` it stands for all of its sources.
///
/// Parameters
/// ----------
/// sources : iterable of GroupSource or Groups
/// default : str, optional
///     The source that ``@group`` and ``@*`` ask; it answers to its name as well.
///
/// Examples
/// --------
/// >>> class Racks:
/// ...     name = "rack"
/// ...     def map(self, group):
/// ...         return "web[1-3],db1" if group == "r1" else None
/// ...     def list(self):
/// ...         return ["r1"]
/// >>> racks = Groups([Racks()], default="rack")
/// >>> racks.parse("@r1!web*", known="web[1-9],db[1-2]"), racks.groups_of("db1")
/// (HostSet('db1'), ['r1'])
#[pyclass(module = "clusterops", frozen)]
#[derive(Debug, Clone)]
pub(crate) struct Groups {
    sources: Arc<[Arc<dyn GroupSource>]>,
    default: Option<usize>,
}

impl Groups {
    /// Each source for itself.
    pub(crate) fn sources(&self) -> impl Iterator<Item = Arc<dyn GroupSource>> {
        self.sources.iter().cloned()
    }

    /// Asks them, where it may take its time: a source may be a program.
    fn ask<T: Send + 'static>(
        &self,
        known: Option<Hosts>,
        question: impl FnOnce(Context<'_>, &Self) -> core::Result<T> + Send + 'static,
    ) -> impl Future<Output = PyResult<T>> + Send + 'static {
        let groups = self.clone();
        aside(move || {
            let mut context = Context::new();
            for source in &*groups.sources {
                context = context.source(source);
            }
            if let Some(default) = groups.default {
                context = context.default_source(&groups.sources[default]);
            }
            if let Some(known) = &known {
                context = context.known(&known.0);
            }
            question(context, &groups)
        })
    }

    fn parsed(
        &self,
        expression: String,
        known: Option<Hosts>,
        only_known: bool,
        limit: usize,
    ) -> impl Future<Output = PyResult<HostSet>> + Send + 'static {
        self.ask(known, move |mut context, _| {
            context = context.limit(limit);
            if only_known {
                context = context.only_known();
            }
            context.parse(&expression).map(HostSet)
        })
    }

    fn of(
        &self,
        host: String,
        source: Option<String>,
    ) -> PyResult<impl Future<Output = PyResult<Vec<String>>> + Send + 'static> {
        let place = match source {
            Some(name) => place_of(&self.sources, &name).map(Some)?,
            None => self.default,
        };
        let message = "which source is asked has to be said where there is no default";
        let place = place.ok_or_else(|| PyValueError::new_err(message))?;
        Ok(self.ask(None, move |context, groups| {
            context.groups_of(&groups.sources[place], &host)
        }))
    }
}

/// Where the source of this name stands.
fn place_of(sources: &[Arc<dyn GroupSource>], name: &str) -> PyResult<usize> {
    let place = sources.iter().position(|source| source.name() == name);
    place.ok_or_else(|| {
        let names: Vec<_> = sources.iter().map(|source| source.name()).collect();
        let names = names.join(", ");
        PyValueError::new_err(format!("no source is called '{name}'; there are: {names}"))
    })
}

#[pymethods]
impl Groups {
    #[new]
    #[pyo3(signature = (sources, *, default = None))]
    fn new(py: Python<'_>, sources: Objects, default: Option<&str>) -> PyResult<Self> {
        let sources = Source::all(py, sources)?;
        let default = default.map(|name| place_of(&sources, name)).transpose()?;
        Ok(Self {
            sources: sources.into(),
            default,
        })
    }

    /// Reads a ``groups.conf`` of ClusterShell's and the files that it points to; no command is run before a group is
    /// asked for.
    ///
    /// Raises
    /// ------
    /// InvalidError
    ///     What is wrong, with file and line.
    /// LocalError
    ///     A file that cannot be read.
    #[staticmethod]
    fn load(py: Python<'_>, path: PathBuf) -> PyResult<Self> {
        let read = wait(py, aside(move || GroupsConf::load(path)))?;
        let default = read.default_source().map(|source| source.name().to_owned());
        let sources: Arc<[Arc<dyn GroupSource>]> =
            read.into_sources().into_iter().map(Arc::from).collect();
        let default = default.map(|name| place_of(&sources, &name)).transpose()?;
        Ok(Self { sources, default })
    }

    /// The names of the sources.
    #[getter]
    fn names(&self) -> Vec<&str> {
        self.sources.iter().map(|source| source.name()).collect()
    }

    /// The name of the source that ``@group`` asks.
    #[getter]
    fn default(&self) -> Option<&str> {
        self.default.map(|place| self.sources[place].name())
    }

    /// Reads an expression.
    ///
    /// Parameters
    /// ----------
    /// expression : str
    /// known : str, HostSet or iterable of str, optional
    ///     The hosts that wildcards match; those of the default source, where it is left out.
    /// only_known : bool
    ///     Whether a name that is not among them is an error.
    /// limit : int
    ///     How many names it may stand for.
    #[pyo3(signature = (expression, *, known = None, only_known = false, limit = 1_000_000))]
    fn parse(
        &self,
        py: Python<'_>,
        expression: String,
        known: Option<Hosts>,
        only_known: bool,
        limit: usize,
    ) -> PyResult<HostSet> {
        wait(py, self.parsed(expression, known, only_known, limit))
    }

    /// As `parse`, to be awaited.
    #[pyo3(signature = (expression, *, known = None, only_known = false, limit = 1_000_000))]
    fn aparse<'py>(
        &self,
        py: Python<'py>,
        expression: String,
        known: Option<Hosts>,
        only_known: bool,
        limit: usize,
    ) -> PyResult<Bound<'py, PyAny>> {
        awaitable(py, self.parsed(expression, known, only_known, limit))
    }

    /// The groups of a source that a host is in; of the default source, where none is named.
    #[pyo3(signature = (host, source = None))]
    fn groups_of(
        &self,
        py: Python<'_>,
        host: String,
        source: Option<String>,
    ) -> PyResult<Vec<String>> {
        wait(py, self.of(host, source)?)
    }

    /// As `groups_of`, to be awaited.
    #[pyo3(signature = (host, source = None))]
    fn agroups_of<'py>(
        &self,
        py: Python<'py>,
        host: String,
        source: Option<String>,
    ) -> PyResult<Bound<'py, PyAny>> {
        awaitable(py, self.of(host, source)?)
    }

    fn __repr__(&self) -> String {
        format!("<Groups of {}>", self.names().join(", "))
    }
}
