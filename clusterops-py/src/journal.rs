//! `Journal`: what a run wrote down, to look at.

use std::path::PathBuf;
use std::sync::Arc;

use pyo3::prelude::*;

use crate::plan::Plan;
use crate::report::Report;
use crate::runtime::{aside, awaitable, wait};
use crate::target::Target;

/// What the journal of a run holds whose controller has ended. To go on with the run, see `Fleet.resume`.
///
/// Examples
/// --------
/// >>> import pathlib, tempfile
/// >>> from clusterops.testing import SimulatedFleet
/// >>> file = pathlib.Path(tempfile.mkdtemp(), "run.journal")
/// >>> with SimulatedFleet("web[1-2]", answers={"uname -r": "6.1.0\n"}) as simulated:
/// ...     report = Fleet(simulated.targets, journal=file).run(Plan("kernel").shell("run", "uname -r"))
/// >>> journal = Journal.open(file)
/// >>> journal.is_finished, journal.ended, [target.name for target in journal.targets]
/// (True, 2, ['web1', 'web2'])
/// >>> journal.report().succeeded == report.succeeded
/// True
#[pyclass(module = "clusterops", frozen)]
#[derive(Debug)]
pub(crate) struct Journal(clusterops::Journal);

fn open(path: PathBuf) -> impl Future<Output = PyResult<Journal>> + Send + 'static {
    aside(move || clusterops::Journal::open(path).map(Journal))
}

#[pymethods]
impl Journal {
    /// Reads a journal.
    ///
    /// Raises
    /// ------
    /// LocalError
    ///     Where there is no such file, it is no journal or damaged, or a run still writes to it.
    #[staticmethod]
    fn open(py: Python<'_>, path: PathBuf) -> PyResult<Self> {
        wait(py, open(path))
    }

    /// As `open`, to be awaited.
    #[staticmethod]
    fn aopen(py: Python<'_>, path: PathBuf) -> PyResult<Bound<'_, PyAny>> {
        awaitable(py, open(path))
    }

    /// The file.
    #[getter]
    fn path(&self) -> PathBuf {
        self.0.path().to_owned()
    }

    /// The run's id, which stays the same when it is resumed.
    #[getter]
    fn run_id(&self) -> &str {
        self.0.run_id()
    }

    /// The plan that is run.
    #[getter]
    fn plan(&self) -> Plan {
        Plan(self.0.plan().clone())
    }

    /// The targets, without their passwords.
    #[getter]
    fn targets(&self) -> Vec<Target> {
        self.0.targets().iter().cloned().map(Target).collect()
    }

    /// How many of the targets have come to their end.
    #[getter]
    fn ended(&self) -> usize {
        self.0.ended()
    }

    /// Whether the run has come to its end: to resume it gives its report and does nothing.
    #[getter]
    fn is_finished(&self) -> bool {
        self.0.is_finished()
    }

    /// What happened so far; hosts that have not come to their end count as failed, so that it can be retried.
    fn report(&self) -> Report {
        Report::new(Arc::new(self.0.report()))
    }

    fn __repr__(&self) -> String {
        let (ended, hosts) = (self.0.ended(), self.0.targets().len());
        format!(
            "<Journal of {}: {ended} of {hosts} hosts have ended>",
            self.0.run_id()
        )
    }
}
