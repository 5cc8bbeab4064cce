//! Runs: blocking and awaited, their events, and what steers them.

use std::collections::VecDeque;
use std::future::{Future, pending, poll_fn};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Poll;

use clusterops::{Control, Event, Events};
use pyo3::prelude::*;
use pyo3::types::PyList;
use tokio::sync::{Mutex as AsyncMutex, watch};

use crate::call::Call;
use crate::errors::{Raised, raise};
use crate::event;
use crate::handing::{Handed, Kept, Source, awaited, blocking};
use crate::logging;
use crate::owned::Owned;
use crate::report::Report;
use crate::runtime::{self, Lasting, awaitable, handle, wait, wait_or};

/// How many events cross into Python at once.
const BATCH: usize = 256;

type Outcome = Option<Result<Arc<clusterops::Report>, Raised>>;

/// A run that goes on, as both of its forms in Python share it. A run that nobody holds any more is cancelled.
pub(crate) struct Shared {
    id: String,
    control: Control,
    stages: Vec<String>,
    outcome: watch::Receiver<Outcome>,
    call: Call,
    events: AsyncMutex<Events>,
    /// Events that nobody has taken yet; none when the run has ended.
    kept: Kept<Vec<Event>>,
}

impl Drop for Shared {
    fn drop(&mut self) {
        self.control.cancel();
    }
}

impl Shared {
    /// Starts a run. One that does not end with its process breaks off there, as its journal then says.
    pub(crate) fn start(
        py: Python<'_>,
        stages: Vec<String>,
        call: Call,
        ends_with_process: bool,
        begin: impl FnOnce() -> clusterops::ssh::Result<clusterops::Run> + Send,
    ) -> PyResult<Arc<Self>> {
        // Its beginning is logged.
        logging::listen(py)?;
        let handle = handle()?;
        let lasting = ends_with_process.then(Lasting::begin).transpose()?;
        let mut run = py
            .detach(|| {
                let _inside = handle.enter();
                begin()
            })
            .map_err(raise)?;
        let (id, control, events) = (run.id().to_owned(), run.control(), run.events());
        let ((tell, outcome), steering) = (watch::channel(None), control.clone());
        handle.spawn(async move {
            let parting = async {
                match &lasting {
                    Some(lasting) => lasting.parting().await,
                    None => pending().await,
                }
            };
            let result = tokio::select! {
                result = &mut run => result,
                () = parting => {
                    steering.cancel();
                    run.await
                }
            };
            let result = result.map(Arc::new).map_err(|error| Raised::from(&error));
            // Nobody may be left who wants to know.
            let _ = tell.send(Some(result));
        });
        Ok(Arc::new(Self {
            id,
            control,
            stages,
            outcome,
            call,
            events: AsyncMutex::new(events),
            kept: Kept::default(),
        }))
    }

    /// The run's id.
    pub(crate) fn id(&self) -> &str {
        &self.id
    }

    /// The names of the plan's stages.
    pub(crate) fn stages(&self) -> &[String] {
        &self.stages
    }

    /// What steers the run.
    pub(crate) fn control(&self) -> &Control {
        &self.control
    }

    /// The exception of a callback that ended the run.
    pub(crate) fn raised(&self) -> Option<PyErr> {
        self.call.raised()
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
            shared.call.or(report)
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

    /// Blocks for the next events, as many as are there; none when the run has ended.
    pub(crate) fn batch(self: &Arc<Self>, py: Python<'_>) -> PyResult<Vec<Event>> {
        blocking(self, |fetching| wait(py, fetching))
    }
}

impl Source for Shared {
    type Piece = Vec<Event>;

    async fn fetch(self: Arc<Self>) {
        let mut events = self.events.lock().await;
        if self.kept.is_there() {
            return;
        }
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
        self.kept.keep(Ok(batch));
    }

    fn take(&self) -> Option<PyResult<Vec<Event>>> {
        let batch = self.kept.take()?;
        Some(match batch {
            Ok(events) if events.is_empty() => self.call.or(Ok(events)),
            batch => batch,
        })
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

/// A run that goes on, in either form: its id, and what steers it.
#[pyclass(module = "clusterops", subclass, frozen)]
pub(crate) struct RunControl {
    id: String,
    shared: Owned<Arc<Shared>>,
}

impl RunControl {
    pub(crate) fn new(shared: Arc<Shared>) -> Self {
        Self {
            id: shared.id.clone(),
            shared: Owned::new(shared),
        }
    }

    pub(crate) fn shared(&self) -> PyResult<&Arc<Shared>> {
        self.shared.get(format_args!("the run {}", self.id))
    }
}

#[pymethods]
impl RunControl {
    /// The run's id, which remote processes see as ``CLUSTEROPS_RUN``.
    #[getter]
    fn id(&self) -> &str {
        &self.id
    }

    /// Lets no host start another stage; what runs goes on.
    fn pause(&self) -> PyResult<()> {
        self.shared()?.control.pause();
        Ok(())
    }

    /// Goes on after a pause.
    fn resume(&self) -> PyResult<()> {
        self.shared()?.control.resume();
        Ok(())
    }

    /// Lets no further host begin.
    fn stop(&self) -> PyResult<()> {
        self.shared()?.control.stop();
        Ok(())
    }

    /// Ends the run: remote processes are ended, and what was done stays done.
    fn cancel(&self) -> PyResult<()> {
        self.shared()?.control.cancel();
        Ok(())
    }

    /// Ends the run, and rolls back as the plan says.
    fn abort(&self) -> PyResult<()> {
        self.shared()?.control.abort();
        Ok(())
    }

    fn __repr__(slf: &Bound<'_, Self>) -> PyResult<String> {
        Ok(format!("<{} {}>", slf.get_type().name()?, slf.get().id))
    }
}

/// A run that goes on: iterated for its events, asked for its `report`.
///
/// Ctrl-C while it is waited for cancels it, and is raised once its remote work has ended.
#[pyclass(module = "clusterops", extends = RunControl, frozen)]
pub(crate) struct Run(Mutex<VecDeque<Event>>);

impl Run {
    pub(crate) fn new(py: Python<'_>, shared: Arc<Shared>) -> PyResult<Bound<'_, Self>> {
        let control = PyClassInitializer::from(RunControl::new(shared));
        Bound::new(py, control.add_subclass(Self(Mutex::default())))
    }

    fn buffer(&self) -> MutexGuard<'_, VecDeque<Event>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[pymethods]
impl Run {
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
    fn report(slf: &Bound<'_, Self>) -> PyResult<Report> {
        slf.as_super().get().shared()?.wait(slf.py())
    }

    fn __iter__(slf: PyRef<'_, Self>) -> PyRef<'_, Self> {
        slf
    }

    fn __next__<'py>(slf: &Bound<'py, Self>) -> PyResult<Option<Bound<'py, PyAny>>> {
        let (py, run, shared) = (slf.py(), slf.get(), slf.as_super().get().shared()?);
        loop {
            let buffered = run.buffer().pop_front();
            if let Some(event) = buffered {
                match event::convert(py, &event, &shared.stages)? {
                    Some(event) => return Ok(Some(event)),
                    None => continue,
                }
            }
            let batch = match shared.batch(py) {
                Ok(batch) => batch,
                Err(error) => {
                    // Its remote work is ended before that is raised.
                    shared.control.cancel();
                    shared.wait(py).map(drop).unwrap_or_default();
                    return Err(error);
                }
            };
            if batch.is_empty() {
                return Ok(None);
            }
            run.buffer().extend(batch);
        }
    }
}

/// A run to be awaited for its report, and iterated (``async for``) for its events.
///
/// Cancelling the task that awaits it, or iterates, cancels the run; events that are left can be iterated over still. A timeout
/// around a single event, such as `asyncio.timeout` around ``anext``, cancels that task and thereby the run, too: who wants to do
/// something else meanwhile has a task of its own iterate.
#[pyclass(module = "clusterops", extends = RunControl, frozen)]
pub(crate) struct AsyncRun(Py<PyAny>);

impl AsyncRun {
    pub(crate) fn new(py: Python<'_>, shared: Arc<Shared>) -> PyResult<Bound<'_, Self>> {
        let buffer = py.import("collections")?.call_method0("deque")?;
        let control = PyClassInitializer::from(RunControl::new(shared));
        Bound::new(py, control.add_subclass(Self(buffer.unbind())))
    }
}

/// The events of a run as Python sees them.
struct Converting(Arc<Shared>);

impl Source for Converting {
    type Piece = Option<Py<PyList>>;

    async fn fetch(self: Arc<Self>) {
        Arc::clone(&self.0).fetch().await;
    }

    fn take(&self) -> Option<PyResult<Self::Piece>> {
        let batch = match self.0.take()? {
            Ok(batch) if batch.is_empty() => return Some(Ok(None)),
            Ok(batch) => batch,
            Err(error) => return Some(Err(error)),
        };
        Some(runtime::attach(|py| {
            let mut events = Vec::with_capacity(batch.len());
            for event in &batch {
                events.extend(event::convert(py, event, &self.0.stages)?);
            }
            Ok(Some(PyList::new(py, events)?.unbind()))
        }))
    }
}

#[pymethods]
impl AsyncRun {
    fn __await__<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, PyAny>> {
        let report = slf.as_super().get().shared()?.report();
        awaitable(slf.py(), report)?.call_method0("__await__")
    }

    fn __aiter__<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, PyAny>> {
        slf.py()
            .import("clusterops._callbacks")?
            .call_method1("iterate", (slf,))
    }

    /// The events that came over from Rust and were not iterated over yet.
    #[getter]
    fn _buffer(&self, py: Python<'_>) -> Py<PyAny> {
        self.0.clone_ref(py)
    }

    /// To be awaited for the next events; None when the run has ended.
    fn _events(slf: &Bound<'_, Self>) -> PyResult<Handed> {
        let shared = Arc::clone(slf.as_super().get().shared()?);
        Ok(awaited(&Arc::new(Converting(shared))))
    }
}
