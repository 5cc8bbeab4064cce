//! `Fleet`, on which terms it works, and the one-shot functions.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use clusterops::journal::Leftover;
use clusterops::rollout::Share;
use clusterops::{ConnectRetries, Control};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyTuple};

use crate::call::Call;
use crate::credentials::Credentials;
use crate::errors::raise;
use crate::hostset::Hosts;
use crate::plan::Plan;
use crate::report::Report;
use crate::run::{AsyncRun, Run, Shared};
use crate::runtime::{aside, wait};
use crate::secret::not_pickled;
use crate::session_options::SessionOptions;
use crate::target::{Target, Targets};
use crate::transfer::Limit;
use crate::words::{Span, from_word, json, plain, restored, takes};

/// The pauses between tries of a connection that Rust has by default.
const FIRST_PAUSE: Duration = Duration::from_millis(500);
const LONGEST_PAUSE: Duration = Duration::from_secs(10);

/// Many targets, and the terms on which plans are run on them.
///
/// Parameters
/// ----------
/// targets : str, HostSet or iterable of Target or str
///     Without an inventory, each name is ``[user@]host[:port]``.
/// parallelism : int
///     How many hosts are worked on at once.
/// session : SessionOptions, optional
///     How connections are made.
/// connection_attempts : int
///     How many times a connection is tried.
/// connection_pause, longest_connection_pause : timedelta or float
///     The pause after the first try, and the longest; between them it doubles with each try.
/// rollout : Rollout, optional
///     Batches, canaries, and how many hosts may fail.
/// host_deadline, run_deadline : timedelta or float, optional
///     For one host, and for all of a run; floats are seconds.
/// credentials : Credentials, optional
///     Who is asked for secrets.
/// output_cap, output_budget : int, optional
///     How many bytes the report keeps: of each output, and in all.
/// output_folder : path, optional
///     Where outputs are written whole.
/// bandwidth : int, optional
///     Bytes per second for files, all hosts together.
/// journal : path, optional
///     A file from which the run can be resumed.
/// leftover : {'wait', 'end'}
///     What a resumed run does about what was under way.
///
/// A fleet without credentials can be pickled; passwords that an inventory held stay behind.
///
/// Examples
/// --------
/// >>> fleet = Fleet(Inventory.parse("hosts: {'web[1-3]': {zone: a}}", "fleet.yaml").select("@zone:a"), parallelism=200)
/// >>> len(fleet)
/// 3
#[pyclass(module = "clusterops", frozen)]
pub(crate) struct Fleet {
    inner: clusterops::Fleet,
    credentials: Option<Py<PyAny>>,
    /// The keywords that it was made with, but for the credentials.
    terms: Py<PyDict>,
}

impl Fleet {
    pub(crate) fn start_with(
        &self,
        py: Python<'_>,
        plan: &clusterops::Plan,
        call: Call,
        ends_with_process: bool,
        begin: impl FnOnce(&clusterops::Fleet) -> clusterops::ssh::Result<clusterops::Run> + Send,
    ) -> PyResult<Arc<Shared>> {
        let control = Arc::new(OnceLock::<Control>::new());
        let mut fleet = self.inner.clone();
        if let Some(object) = &self.credentials {
            let object = object.clone_ref(py);
            let credentials = Credentials::of_run(object, call.clone(), Arc::clone(&control));
            fleet = fleet.credentials(Arc::new(credentials));
        }
        let stages = plan.stages.iter().map(|stage| stage.name.clone()).collect();
        let shared = Shared::start(py, stages, call, ends_with_process, || begin(&fleet))?;
        let control = control.get_or_init(|| shared.control().clone());
        if shared.raised().is_some() {
            control.cancel();
        }
        Ok(shared)
    }

    fn begin(&self, py: Python<'_>, plan: &Plan, call: Call) -> PyResult<Arc<Shared>> {
        self.start_with(py, &plan.0, call, true, |fleet| fleet.run(&plan.0))
    }

    fn start_again(
        &self,
        py: Python<'_>,
        plan: &Plan,
        report: &Report,
        call: Call,
    ) -> PyResult<Arc<Shared>> {
        self.start_with(py, &plan.0, call, true, |fleet| {
            fleet.retry(&plan.0, &report.inner)
        })
    }

    fn go_on(
        &self,
        py: Python<'_>,
        plan: &Plan,
        journal: PathBuf,
        call: Call,
    ) -> PyResult<Arc<Shared>> {
        self.start_with(py, &plan.0, call, true, |fleet| {
            fleet.resume(&plan.0, journal)
        })
    }
}

#[pymethods]
impl Fleet {
    #[new]
    #[pyo3(signature = (targets, *, parallelism = 100, session = None, connection_attempts = 4, connection_pause = Span(FIRST_PAUSE), longest_connection_pause = Span(LONGEST_PAUSE), rollout = None, host_deadline = None, run_deadline = None, credentials = None, output_cap = None, output_budget = None, output_folder = None, bandwidth = None, journal = None, leftover = "wait"), text_signature = "(targets, *, parallelism=100, session=None, connection_attempts=4, connection_pause=0.5, longest_connection_pause=10.0, rollout=None, host_deadline=None, run_deadline=None, credentials=None, output_cap=None, output_budget=None, output_folder=None, bandwidth=None, journal=None, leftover='wait')")]
    #[expect(clippy::too_many_arguments, reason = "they are keywords in Python")]
    fn new(
        py: Python<'_>,
        targets: Targets,
        parallelism: usize,
        session: Option<Bound<'_, SessionOptions>>,
        connection_attempts: u32,
        connection_pause: Span,
        longest_connection_pause: Span,
        rollout: Option<Bound<'_, Rollout>>,
        host_deadline: Option<Span>,
        run_deadline: Option<Span>,
        credentials: Option<Py<PyAny>>,
        output_cap: Option<usize>,
        output_budget: Option<usize>,
        output_folder: Option<PathBuf>,
        bandwidth: Option<Limit>,
        journal: Option<PathBuf>,
        leftover: &str,
    ) -> PyResult<Self> {
        let terms = PyDict::new(py);
        terms.set_item("parallelism", parallelism)?;
        terms.set_item("session", &session)?;
        terms.set_item("connection_attempts", connection_attempts)?;
        terms.set_item("connection_pause", connection_pause.0)?;
        terms.set_item("longest_connection_pause", longest_connection_pause.0)?;
        terms.set_item("rollout", &rollout)?;
        terms.set_item("host_deadline", host_deadline.map(|span| span.0))?;
        terms.set_item("run_deadline", run_deadline.map(|span| span.0))?;
        terms.set_item("output_cap", output_cap)?;
        terms.set_item("output_budget", output_budget)?;
        terms.set_item("output_folder", &output_folder)?;
        terms.set_item("bandwidth", bandwidth)?;
        terms.set_item("journal", &journal)?;
        terms.set_item("leftover", leftover)?;
        let leftover = match leftover {
            "wait" => Leftover::Wait,
            "end" => Leftover::End,
            other => {
                return Err(PyValueError::new_err(format!(
                    "leftover is 'wait' or 'end', not '{other}'"
                )));
            }
        };
        let retries = ConnectRetries::default()
            .attempts(connection_attempts)
            .first_pause(connection_pause.0)
            .longest_pause(longest_connection_pause.0);
        let mut fleet = clusterops::Fleet::new(targets.0)
            .parallelism(parallelism)
            .connect_retries(retries)
            .leftover(leftover);
        if let Some(session) = session {
            fleet = fleet.session(session.get().inner.clone());
        }
        if let Some(rollout) = rollout {
            fleet = fleet.rollout(rollout.get().0.clone());
        }
        if let Some(deadline) = host_deadline {
            fleet = fleet.host_deadline(deadline.0);
        }
        if let Some(deadline) = run_deadline {
            fleet = fleet.run_deadline(deadline.0);
        }
        if let Some(bytes) = output_cap {
            fleet = fleet.output_cap(bytes);
        }
        if let Some(bytes) = output_budget {
            fleet = fleet.output_budget(bytes);
        }
        if let Some(folder) = output_folder {
            fleet = fleet.output_folder(folder);
        }
        if let Some(limit) = bandwidth {
            fleet = fleet.bandwidth(limit.bandwidth());
        }
        if let Some(file) = journal {
            fleet = fleet.journal(file);
        }
        Ok(Self {
            inner: fleet,
            credentials,
            terms: terms.unbind(),
        })
    }

    fn __reduce__<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyTuple>> {
        if self.credentials.is_some() {
            return Err(not_pickled("a fleet with credentials"));
        }
        let partial = py.import("functools")?.getattr("partial")?;
        let restore = partial.call((py.get_type::<Self>(),), Some(self.terms.bind(py)))?;
        (restore, (self.targets(),)).into_pyobject(py)
    }

    /// The targets.
    #[getter]
    fn targets(&self) -> Vec<Target> {
        self.inner.targets().iter().cloned().map(Target).collect()
    }

    fn __len__(&self) -> usize {
        self.inner.targets().len()
    }

    fn __repr__(&self) -> String {
        format!("<Fleet of {} hosts>", self.inner.targets().len())
    }

    /// Runs a plan and waits for its report. Ctrl-C ends the remote work first.
    ///
    /// Raises
    /// ------
    /// InvalidError
    ///     Before the first connection: a plan or a fleet that cannot be run.
    fn run(&self, py: Python<'_>, plan: &Plan) -> PyResult<Report> {
        self.begin(py, plan, Call::blocking())?.wait(py)
    }

    /// Starts a run that is iterated for its events, and asked for its report.
    fn start<'py>(&self, py: Python<'py>, plan: &Plan) -> PyResult<Bound<'py, Run>> {
        Run::new(py, self.begin(py, plan, Call::blocking())?)
    }

    /// Starts a run that is awaited.
    fn arun<'py>(&self, py: Python<'py>, plan: &Plan) -> PyResult<Bound<'py, AsyncRun>> {
        AsyncRun::new(py, self.begin(py, plan, Call::awaited(py)?)?)
    }

    /// Starts a run that continues each failed host of a report at its first unfinished stage.
    fn retry<'py>(
        &self,
        py: Python<'py>,
        plan: &Plan,
        report: &Report,
    ) -> PyResult<Bound<'py, Run>> {
        Run::new(py, self.start_again(py, plan, report, Call::blocking())?)
    }

    /// As `retry`, to be awaited.
    fn aretry<'py>(
        &self,
        py: Python<'py>,
        plan: &Plan,
        report: &Report,
    ) -> PyResult<Bound<'py, AsyncRun>> {
        let call = Call::awaited(py)?;
        AsyncRun::new(py, self.start_again(py, plan, report, call)?)
    }

    /// Goes on with the run whose controller ended before it did, from its journal.
    fn resume<'py>(
        &self,
        py: Python<'py>,
        plan: &Plan,
        journal: PathBuf,
    ) -> PyResult<Bound<'py, Run>> {
        Run::new(py, self.go_on(py, plan, journal, Call::blocking())?)
    }

    /// As `resume`, to be awaited.
    fn aresume<'py>(
        &self,
        py: Python<'py>,
        plan: &Plan,
        journal: PathBuf,
    ) -> PyResult<Bound<'py, AsyncRun>> {
        let call = Call::awaited(py)?;
        AsyncRun::new(py, self.go_on(py, plan, journal, call)?)
    }

    /// The local files and folders that a plan sends, by the names that it has for them, each with the SHA-256 of what it
    /// holds. Reads them.
    fn local_files(&self, py: Python<'_>, plan: &Plan) -> PyResult<BTreeMap<String, String>> {
        // Only asked whether there are some.
        let fleet = match &self.credentials {
            Some(object) => {
                let credentials = Credentials::new(object.clone_ref(py));
                self.inner.clone().credentials(Arc::new(credentials))
            }
            None => self.inner.clone(),
        };
        let plan = plan.0.clone();
        wait(py, aside(move || fleet.local_files(&plan)))
    }

    /// What each host would get, as text; nothing is connected to.
    fn dry_run(&self, plan: &Plan) -> PyResult<String> {
        Ok(self.inner.dry_run(&plan.0).map_err(raise)?.to_string())
    }
}

/// Runs a shell line on hosts and waits for what they said; the report's only stage is called ``run``.
///
/// Parameters
/// ----------
/// hosts : str, HostSet or iterable of Target or str
/// line : str
#[pyfunction]
pub(crate) fn run(py: Python<'_>, hosts: Targets, line: &str) -> PyResult<Report> {
    start_line(py, hosts, line)?.wait(py)
}

/// As `run`, to be awaited.
#[pyfunction]
pub(crate) fn arun<'py>(
    py: Python<'py>,
    hosts: Targets,
    line: &str,
) -> PyResult<Bound<'py, AsyncRun>> {
    AsyncRun::new(py, start_line(py, hosts, line)?)
}

fn start_line(py: Python<'_>, hosts: Targets, line: &str) -> PyResult<Arc<Shared>> {
    let fleet = clusterops::Fleet::new(hosts.0);
    let plan = clusterops::line_plan(line);
    Shared::start(py, vec!["run".into()], Call::blocking(), true, || {
        fleet.run(&plan)
    })
}

/// How a run spreads over its hosts; shares are a number of hosts or a text such as ``10%``.
///
/// Examples
/// --------
/// >>> Rollout(canaries="web[1-2]", batches=[5, "25%"], failure_budget="2%", when_exceeded="pause").to_dict()["batches"]
/// ['5', '25%']
#[pyclass(module = "clusterops", frozen)]
pub(crate) struct Rollout(clusterops::Rollout);

/// A share of the hosts, as Python writes it.
struct Part(Share);

impl<'py> FromPyObject<'_, 'py> for Part {
    type Error = PyErr;
    takes!("int | str");

    fn extract(value: Borrowed<'_, 'py, PyAny>) -> PyResult<Self> {
        match value.extract::<usize>() {
            Ok(hosts) => Ok(Self(Share::Hosts(hosts))),
            Err(_) => from_word("share", value.extract::<&str>()?).map(Self),
        }
    }
}

#[pymethods]
impl Rollout {
    #[new]
    #[pyo3(signature = (*, canaries = None, pause_after_canaries = false, batches = None, failure_budget = None, when_exceeded = "stop"))]
    fn new(
        canaries: Option<Hosts>,
        pause_after_canaries: bool,
        batches: Option<Vec<Part>>,
        failure_budget: Option<Part>,
        when_exceeded: &str,
    ) -> PyResult<Self> {
        let mut rollout = clusterops::Rollout::default()
            .when_exceeded(from_word("when_exceeded", when_exceeded)?);
        rollout.canaries = canaries.map(|hosts| hosts.0).unwrap_or_default();
        rollout.pause_after_canaries = pause_after_canaries;
        rollout.batches = batches
            .unwrap_or_default()
            .into_iter()
            .map(|part| part.0)
            .collect();
        rollout.failure_budget = failure_budget.map(|part| part.0);
        Ok(Self(rollout))
    }

    /// Reads what `to_json` wrote.
    #[staticmethod]
    fn from_json(text: &str) -> PyResult<Self> {
        restored("rollout", text).map(Self)
    }

    /// The rollout as JSON.
    fn to_json(&self) -> PyResult<String> {
        json(&self.0)
    }

    fn __reduce__<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyTuple>> {
        let restore = py.get_type::<Self>().getattr("from_json")?;
        (restore, (self.to_json()?,)).into_pyobject(py)
    }

    /// The rollout as a dictionary.
    fn to_dict<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        plain(py, &self.0)
    }

    fn __repr__(&self, py: Python<'_>) -> PyResult<String> {
        Ok(format!("<Rollout {}>", self.to_dict(py)?.repr()?))
    }
}
