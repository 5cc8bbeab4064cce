//! `Report` and its parts.

use std::collections::HashMap;
use std::sync::{Arc, OnceLock};

use pyo3::exceptions::PyKeyError;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyIterator, PyList, PyTuple};

use crate::errors::{Raised, raise};
use crate::gathered::Gathered;
use crate::host_report::{HostReport, exit_status};
use crate::hostset::{HostSet, Hosts};
use crate::words::{json, plain, restored, word};

/// What happened in a run: a mapping from host names to `HostReport`.
///
/// ``print(report)`` gives a table of outcomes, `gather` what the hosts said.
#[pyclass(module = "clusterops", frozen, eq)]
#[derive(Debug)]
pub(crate) struct Report {
    pub(crate) inner: Arc<clusterops::Report>,
    /// Where each host is, once one was asked for.
    places: OnceLock<HashMap<String, usize>>,
}

impl PartialEq for Report {
    fn eq(&self, other: &Self) -> bool {
        self.inner == other.inner
    }
}

impl Report {
    pub(crate) fn new(inner: Arc<clusterops::Report>) -> Self {
        Self {
            inner,
            places: OnceLock::new(),
        }
    }

    fn host_at(&self, index: usize) -> HostReport {
        HostReport::new(Arc::clone(&self.inner), index)
    }

    fn position(&self, name: &str) -> Option<usize> {
        let places = self.places.get_or_init(|| {
            let hosts = self.inner.hosts.iter().enumerate();
            hosts
                .map(|(place, host)| (host.name.clone(), place))
                .collect()
        });
        places.get(name).copied()
    }
}

#[pymethods]
impl Report {
    /// Reads what `to_json` wrote, here or in Rust.
    #[staticmethod]
    fn from_json(text: &str) -> PyResult<Self> {
        restored("report", text).map(|report| Self::new(Arc::new(report)))
    }

    /// One report of several, each about other hosts and all about one plan.
    ///
    /// Parameters
    /// ----------
    /// parts : sequence of Report
    /// order : iterable of str, optional
    ///     The names of the hosts as they are to stand in it; those that it lacks come last. Without it they stand as in
    ///     the parts.
    ///
    /// Raises
    /// ------
    /// InvalidError
    ///     Where they are about several plans, or two tell of one host.
    #[staticmethod]
    #[pyo3(signature = (parts, order = None))]
    fn merge(parts: Vec<PyRef<'_, Self>>, order: Option<Vec<String>>) -> PyResult<Self> {
        let parts = parts
            .iter()
            .map(|part| clusterops::Report::clone(&part.inner));
        let mut whole = clusterops::Report::merged(parts).map_err(raise)?;
        if let Some(order) = order {
            let places: HashMap<_, _> = order.into_iter().zip(0..).collect();
            let last = places.len();
            whole
                .hosts
                .sort_by_key(|host| places.get(&host.name).copied().unwrap_or(last));
        }
        Ok(Self::new(Arc::new(whole)))
    }

    /// What this report says of some of its hosts.
    fn only(&self, hosts: Hosts) -> Self {
        let report = self.inner.only(|host| hosts.0.contains(&host.name));
        Self::new(Arc::new(report))
    }

    /// The report as JSON, without loss.
    fn to_json(&self) -> PyResult<String> {
        json(&*self.inner)
    }

    /// The report as dictionaries and lists, as `to_json` names things.
    fn to_dict<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        plain(py, &*self.inner)
    }

    fn __reduce__<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyTuple>> {
        let restore = py.get_type::<Self>().getattr("from_json")?;
        (restore, (self.to_json()?,)).into_pyobject(py)
    }

    fn __getitem__(&self, name: &str) -> PyResult<HostReport> {
        let position = self.position(name);
        position
            .map(|index| self.host_at(index))
            .ok_or_else(|| PyKeyError::new_err(name.to_owned()))
    }

    fn __contains__(&self, name: &Bound<'_, PyAny>) -> bool {
        name.extract::<&str>()
            .is_ok_and(|name| self.position(name).is_some())
    }

    fn __len__(&self) -> usize {
        self.inner.hosts.len()
    }

    fn __iter__<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyIterator>> {
        PyList::new(py, self.keys())?.as_any().try_iter()
    }

    /// The names of the hosts, in the order of the fleet.
    fn keys(&self) -> Vec<String> {
        self.inner
            .hosts
            .iter()
            .map(|host| host.name.clone())
            .collect()
    }

    /// What happened on each host.
    fn values(&self) -> Vec<HostReport> {
        (0..self.inner.hosts.len())
            .map(|index| self.host_at(index))
            .collect()
    }

    /// The hosts with what happened on them.
    fn items(&self) -> Vec<(String, HostReport)> {
        self.keys().into_iter().zip(self.values()).collect()
    }

    /// What happened on a host, or the default where the run had no such host.
    #[pyo3(signature = (name, default = None))]
    fn get<'py>(
        &self,
        py: Python<'py>,
        name: &str,
        default: Option<Bound<'py, PyAny>>,
    ) -> PyResult<Option<Bound<'py, PyAny>>> {
        match self.position(name) {
            Some(index) => Ok(Some(Bound::new(py, self.host_at(index))?.into_any())),
            None => Ok(default),
        }
    }

    /// What the hosts said in a stage, with hosts of the same answer together.
    ///
    /// Parameters
    /// ----------
    /// stage : str, optional
    ///     The stage; the plan's last one, where it is left out.
    ///
    /// Raises
    /// ------
    /// KeyError
    ///     The plan has no such stage.
    #[pyo3(signature = (stage = None))]
    fn gather(&self, stage: Option<&str>) -> PyResult<Gathered> {
        let stages = &self.inner.stages;
        let known = match stage {
            Some(name) => stages.iter().find(|stage| *stage == name),
            None => stages.last(),
        };
        match known {
            Some(stage) => Ok(Gathered(self.inner.gather(stage))),
            None => Err(PyKeyError::new_err(
                stage.unwrap_or("the plan has no stages").to_owned(),
            )),
        }
    }

    /// One flat dictionary for each host and stage that it came to, for pandas: ``DataFrame(report.records())``.
    ///
    /// A host that came to no stage has one, with None as its stage.
    fn records<'py>(&self, py: Python<'py>) -> PyResult<Vec<Bound<'py, PyDict>>> {
        let mut records = Vec::new();
        for host in &self.inner.hosts {
            let failure = host.failure.as_deref();
            for place in 0..host.stages.len().max(1) {
                let stage = host.stages.get(place);
                let record = PyDict::new(py);
                record.set_item("host", &host.name)?;
                record.set_item("stage", stage.and(self.inner.stages.get(place)))?;
                record.set_item("status", stage.map(|stage| word(&stage.status)))?;
                record.set_item("attempt", stage.map(|stage| stage.attempt))?;
                record.set_item("exit_status", stage.and_then(exit_status))?;
                record.set_item("stdout", stage.map(|stage| stage.stdout.to_string()))?;
                record.set_item("stderr", stage.map(|stage| stage.stderr.to_string()))?;
                record.set_item("seconds", stage.map(|stage| stage.duration.as_secs_f64()))?;
                record.set_item("failure_kind", failure.map(|failure| word(&failure.kind)))?;
                record.set_item("failure", failure.map(ToString::to_string))?;
                records.push(record);
            }
        }
        Ok(records)
    }

    /// Raises what the first host failed with, where one did.
    fn raise_for_failure(&self) -> PyResult<()> {
        let failed = self
            .inner
            .hosts
            .iter()
            .find_map(|host| Some((&host.name, host.failure.as_ref()?)));
        match failed {
            Some((name, failure)) => Err(Raised::failure(name, failure).into()),
            None => Ok(()),
        }
    }

    /// Whether every host finished the plan.
    #[getter]
    fn is_success(&self) -> bool {
        self.inner.is_success()
    }

    /// The hosts that finished the plan.
    #[getter]
    fn succeeded(&self) -> HostSet {
        HostSet(self.inner.succeeded())
    }

    /// The hosts that did not finish the plan.
    #[getter]
    fn failed(&self) -> HostSet {
        HostSet(self.inner.failed())
    }

    /// The run's id, which remote processes saw as ``CLUSTEROPS_RUN``.
    #[getter]
    fn run_id(&self) -> &str {
        &self.inner.run_id
    }

    /// The plan's name.
    #[getter]
    fn plan_name(&self) -> &str {
        &self.inner.plan_name
    }

    /// The names of the plan's stages.
    #[getter]
    fn stages(&self) -> Vec<String> {
        self.inner.stages.clone()
    }

    /// How the run came to its end: ``completed``, ``stopped``, ``cancelled``, ``aborted`` or ``interrupted``.
    #[getter]
    fn ending(&self) -> String {
        word(&self.inner.ending)
    }

    /// What the operator should know about the run itself.
    #[getter]
    fn warnings(&self) -> Vec<String> {
        self.inner.warnings.clone()
    }

    /// When the run started.
    #[getter]
    fn started<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        time(py, self.inner.started.as_microsecond())
    }

    /// When it ended.
    #[getter]
    fn finished<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        time(py, self.inner.finished.as_microsecond())
    }

    fn __str__(&self) -> String {
        self.inner.to_string()
    }

    fn __repr__(&self) -> String {
        let (succeeded, hosts) = (self.inner.succeeded().len(), self.inner.hosts.len());
        format!(
            "<Report of {}: {succeeded} of {hosts} hosts succeeded>",
            self.inner.run_id
        )
    }

    fn _repr_html_(&self, py: Python<'_>) -> PyResult<String> {
        let text = self.inner.to_string();
        let escaped: String = py
            .import("html")?
            .call_method1("escape", (text,))?
            .extract()?;
        Ok(format!("<pre>{escaped}</pre>"))
    }
}

/// A moment, in UTC.
pub(crate) fn time(py: Python<'_>, microseconds: i64) -> PyResult<Bound<'_, PyAny>> {
    let datetime = py.import("datetime")?;
    let utc = datetime.getattr("UTC")?;
    let span = PyDict::new(py);
    span.set_item("microseconds", microseconds)?;
    let epoch = datetime
        .getattr("datetime")?
        .call1((1970, 1, 1, 0, 0, 0, 0, utc))?;
    epoch.add(datetime.getattr("timedelta")?.call((), Some(&span))?)
}
