//! Runs: blocking and awaited, their events, and what steers them.

use std::collections::VecDeque;
use std::future::{Future, poll_fn};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::Poll;

use clusterops::{Control, Event, Events, HostState};
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyList};
use tokio::sync::{Mutex as AsyncMutex, watch};

use crate::callback::Stash;
use crate::errors::{Raised, raise};
use crate::report::Report;
use crate::runtime::{awaitable, handle, wait, wait_or};
use crate::words::{quoted, word};

/// How many events cross into Python at once.
const BATCH: usize = 256;

type Outcome = Option<Result<Arc<clusterops::Report>, Raised>>;

/// A run that goes on, as both of its forms in Python share it. A run that nobody holds any more is cancelled.
pub(crate) struct Shared {
    id: String,
    control: Control,
    stages: Vec<String>,
    outcome: watch::Receiver<Outcome>,
    raised: Stash,
    events: AsyncMutex<Events>,
}

impl Drop for Shared {
    fn drop(&mut self) {
        self.control.cancel();
    }
}

impl Shared {
    /// Starts a run.
    pub(crate) fn start(
        py: Python<'_>,
        stages: Vec<String>,
        raised: Stash,
        begin: impl FnOnce() -> clusterops::ssh::Result<clusterops::Run> + Send,
    ) -> PyResult<Arc<Self>> {
        let handle = handle()?;
        let mut run = py
            .detach(|| {
                let _inside = handle.enter();
                begin()
            })
            .map_err(raise)?;
        let (id, control, events) = (run.id().to_owned(), run.control(), run.events());
        let (tell, outcome) = watch::channel(None);
        handle.spawn(async move {
            let result = run
                .await
                .map(Arc::new)
                .map_err(|error| Raised::from(&error));
            // Nobody may be left who wants to know.
            let _ = tell.send(Some(result));
        });
        Ok(Arc::new(Self {
            id,
            control,
            stages,
            outcome,
            raised,
            events: AsyncMutex::new(events),
        }))
    }

    /// What steers the run.
    pub(crate) fn control(&self) -> &Control {
        &self.control
    }

    /// The report, once it is there. Dropped before, it cancels the run.
    fn report(self: &Arc<Self>) -> impl Future<Output = PyResult<Report>> + Send + 'static {
        let shared = Arc::clone(self);
        let guard = CancelOnDrop(Some(shared.control.clone()));
        async move {
            // All of it, not only the control in it.
            let mut guard = guard;
            let mut outcome = shared.outcome.clone();
            let known = match outcome.wait_for(Option::is_some).await {
                Ok(known) => known.clone(),
                Err(_) => None,
            };
            guard.0.take();
            let report = match known {
                Some(Ok(report)) => Ok(Report::new(report)),
                Some(Err(raised)) => Err(raised.into()),
                None => Err(Raised::invalid("the run was ended from within").into()),
            };
            shared.raised.or(report)
        }
    }

    /// Blocks for the report. Ctrl-C cancels the run, and is raised once its remote work has ended.
    pub(crate) fn wait(self: &Arc<Self>, py: Python<'_>) -> PyResult<Report> {
        let control = self.control.clone();
        wait_or(py, self.report(), move || {
            control.cancel();
            true
        })
    }

    /// The next events, as many as are there; none when the run has ended.
    async fn batch(self: Arc<Self>) -> Vec<Event> {
        let mut events = self.events.lock().await;
        let mut batch: Vec<Event> = events.next().await.into_iter().collect();
        while !batch.is_empty() && batch.len() < BATCH {
            let more = poll_fn(|context| {
                let next = std::pin::pin!(events.next()).poll(context);
                Poll::Ready(match next {
                    Poll::Ready(event) => event,
                    Poll::Pending => None,
                })
            });
            match more.await {
                Some(event) => batch.push(event),
                None => break,
            }
        }
        batch
    }

    fn convert<'py>(&self, py: Python<'py>, event: &Event) -> PyResult<Option<Bound<'py, PyAny>>> {
        let event = match event {
            Event::Run(state) => Bound::new(py, RunEvent { state: word(state) })?.into_any(),
            Event::Host { host, state } => {
                let place = match state {
                    HostState::Running { stage } | HostState::RollingBack { stage } => Some(*stage),
                    HostState::Held { before } => Some(*before),
                    _ => None,
                };
                let failure = match state {
                    HostState::Failed { failure, .. } => Some(Raised::failure(host, failure)),
                    _ => None,
                };
                let event = HostEvent {
                    host: host.to_string(),
                    state: word(state),
                    stage: place.and_then(|place| self.stages.get(place).cloned()),
                    is_final: state.is_final(),
                    failure,
                };
                Bound::new(py, event)?.into_any()
            }
            Event::Output {
                host,
                stage,
                stream,
                bytes,
                skipped,
            } => {
                let event = OutputEvent {
                    host: host.to_string(),
                    stage: stage.to_string(),
                    stream: word(stream),
                    bytes: PyBytes::new(py, bytes).unbind(),
                    skipped: *skipped,
                };
                Bound::new(py, event)?.into_any()
            }
            Event::Transfer {
                host,
                stage,
                progress,
            } => {
                let event = TransferEvent {
                    host: host.to_string(),
                    stage: stage.to_string(),
                    bytes: progress.bytes,
                    total: progress.total,
                };
                Bound::new(py, event)?.into_any()
            }
            _ => return Ok(None),
        };
        Ok(Some(event))
    }
}

/// Cancels a run when whoever awaits it does so no more.
struct CancelOnDrop(Option<Control>);

impl Drop for CancelOnDrop {
    fn drop(&mut self) {
        if let Some(control) = &self.0 {
            control.cancel();
        }
    }
}

/// A run that goes on: iterated for its events, asked for its `report`.
///
/// Ctrl-C while it is waited for cancels it, and is raised once its remote work has ended.
#[pyclass(module = "clusterops", frozen)]
pub(crate) struct Run {
    shared: Arc<Shared>,
    buffer: Mutex<VecDeque<Event>>,
}

impl Run {
    pub(crate) fn new(shared: Arc<Shared>) -> Self {
        Self {
            shared,
            buffer: Mutex::default(),
        }
    }
}

#[pymethods]
impl Run {
    /// The run's id, which remote processes see as ``CLUSTEROPS_RUN``.
    #[getter]
    fn id(&self) -> &str {
        &self.shared.id
    }

    /// Waits for the end of the run.
    ///
    /// Returns
    /// -------
    /// Report
    ///
    /// Raises
    /// ------
    /// ClusterOpsError
    ///     When the run itself could not go on; a host that fails is told in the report.
    fn report(&self, py: Python<'_>) -> PyResult<Report> {
        self.shared.wait(py)
    }

    fn __iter__(slf: PyRef<'_, Self>) -> PyRef<'_, Self> {
        slf
    }

    fn __next__<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyAny>>> {
        loop {
            let buffered = self
                .buffer
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .pop_front();
            if let Some(event) = buffered {
                match self.shared.convert(py, &event)? {
                    Some(event) => return Ok(Some(event)),
                    None => continue,
                }
            }
            let shared = Arc::clone(&self.shared);
            let batch = match wait(py, async move { Ok(shared.batch().await) }) {
                Ok(batch) => batch,
                Err(error) => {
                    // Its remote work is ended before that is raised.
                    self.shared.control.cancel();
                    self.shared.wait(py).map(drop).unwrap_or_default();
                    return Err(error);
                }
            };
            if batch.is_empty() {
                return Ok(None);
            }
            self.buffer
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .extend(batch);
        }
    }

    /// Lets no host start another stage; what runs goes on.
    fn pause(&self) {
        self.shared.control.pause();
    }

    /// Goes on after a pause.
    fn resume(&self) {
        self.shared.control.resume();
    }

    /// Lets no further host begin.
    fn stop(&self) {
        self.shared.control.stop();
    }

    /// Ends the run: remote processes are ended, and what was done stays done.
    fn cancel(&self) {
        self.shared.control.cancel();
    }

    /// Ends the run, and rolls back as the plan says.
    fn abort(&self) {
        self.shared.control.abort();
    }

    fn __repr__(&self) -> String {
        format!("<Run {}>", self.shared.id)
    }
}

/// A run to be awaited for its report, and iterated (``async for``) for its events.
///
/// Cancelling whoever awaits it cancels the run.
#[pyclass(module = "clusterops", frozen)]
pub(crate) struct AsyncRun(pub(crate) Arc<Shared>);

#[pymethods]
impl AsyncRun {
    /// The run's id, which remote processes see as ``CLUSTEROPS_RUN``.
    #[getter]
    fn id(&self) -> &str {
        &self.0.id
    }

    fn __await__<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        awaitable(py, self.0.report())?.call_method0("__await__")
    }

    fn __aiter__<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, PyAny>> {
        slf.py()
            .import("clusterops._callbacks")?
            .call_method1("iterate", (slf,))
    }

    fn _events<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        let shared = Arc::clone(&self.0);
        awaitable(py, async move {
            let batch = Arc::clone(&shared).batch().await;
            Python::attach(|py| {
                let mut events = Vec::with_capacity(batch.len());
                for event in &batch {
                    events.extend(shared.convert(py, event)?);
                }
                Ok(PyList::new(py, events)?.unbind())
            })
        })
    }

    /// Lets no host start another stage; what runs goes on.
    fn pause(&self) {
        self.0.control.pause();
    }

    /// Goes on after a pause.
    fn resume(&self) {
        self.0.control.resume();
    }

    /// Lets no further host begin.
    fn stop(&self) {
        self.0.control.stop();
    }

    /// Ends the run: remote processes are ended, and what was done stays done.
    fn cancel(&self) {
        self.0.control.cancel();
    }

    /// Ends the run, and rolls back as the plan says.
    fn abort(&self) {
        self.0.control.abort();
    }

    fn __repr__(&self) -> String {
        format!("<AsyncRun {}>", self.0.id)
    }
}

/// The run as a whole entered a state.
#[pyclass(module = "clusterops", frozen, get_all)]
pub(crate) struct RunEvent {
    /// ``running``, ``paused``, ``stopping``, ``cancelling``, ``aborting`` or ``finished``.
    state: String,
}

#[pymethods]
impl RunEvent {
    fn __repr__(&self) -> String {
        format!("<RunEvent {}>", self.state)
    }
}

/// A host entered a state; a reader that is late gets the latest only.
#[pyclass(module = "clusterops", frozen)]
pub(crate) struct HostEvent {
    /// The target's name.
    #[pyo3(get)]
    host: String,
    /// ``waiting``, ``connecting``, ``running``, ``held``, ``rolling_back``, ``succeeded`` or ``failed``.
    #[pyo3(get)]
    state: String,
    /// The stage that runs, is rolled back or comes next.
    #[pyo3(get)]
    stage: Option<String>,
    /// Whether the host has come to its end.
    #[pyo3(get)]
    is_final: bool,
    failure: Option<Raised>,
}

#[pymethods]
impl HostEvent {
    /// Why the host stopped, as an exception that can be raised.
    #[getter]
    fn failure<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyAny>>> {
        self.failure
            .as_ref()
            .map(|raised| raised.exception(py))
            .transpose()
    }

    fn __repr__(&self, py: Python<'_>) -> PyResult<String> {
        Ok(format!(
            "<HostEvent {}: {}>",
            quoted(py, &self.host)?,
            self.state
        ))
    }
}

/// A host's command wrote something.
#[pyclass(module = "clusterops", frozen, get_all)]
pub(crate) struct OutputEvent {
    /// The target's name.
    host: String,
    /// The stage's name.
    stage: String,
    /// ``stdout`` or ``stderr``.
    stream: String,
    /// The bytes as they came, at any boundary.
    bytes: Py<PyBytes>,
    /// How many bytes of this host's output the reader missed right before these.
    skipped: u64,
}

#[pymethods]
impl OutputEvent {
    fn __repr__(&self, py: Python<'_>) -> PyResult<String> {
        let (host, bytes) = (quoted(py, &self.host)?, self.bytes.bind(py).repr()?);
        Ok(format!("<OutputEvent {host} {}: {bytes}>", self.stream))
    }
}

/// Files are on their way to or from a host.
#[pyclass(module = "clusterops", frozen, get_all)]
pub(crate) struct TransferEvent {
    /// The target's name.
    host: String,
    /// The stage's name.
    stage: String,
    /// The bytes that are over.
    bytes: u64,
    /// The bytes of all files, as far as they are known yet.
    total: u64,
}

#[pymethods]
impl TransferEvent {
    fn __repr__(&self, py: Python<'_>) -> PyResult<String> {
        Ok(format!(
            "<TransferEvent {}: {} of {}>",
            quoted(py, &self.host)?,
            self.bytes,
            self.total
        ))
    }
}
