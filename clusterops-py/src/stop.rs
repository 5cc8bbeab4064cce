//! Calls that end in good order when their caller wants them no more: what they began on a host is ended first.

use std::future::Future;
use std::pin::pin;
use std::sync::Arc;

use pyo3::prelude::*;
use tokio::sync::watch;

use crate::call::Call;
use crate::logging;
use crate::runtime::{Lasting, awaitable, handle, lost, wait_or};

/// Asked for by whoever waits no more, seen by what works for them.
#[derive(Debug, Clone, Default)]
pub(crate) struct Stop(Arc<watch::Sender<bool>>);

impl Stop {
    /// Asks for the end.
    pub(crate) fn ask(&self) {
        self.0.send_replace(true);
    }

    /// Waits until somebody asks for it.
    pub(crate) async fn asked(&self) {
        let mut asked = self.0.subscribe();
        // It has a sender as long as this is borrowed.
        let _ = asked.wait_for(|asked| *asked).await;
    }
}

/// Asks for the end when whoever awaits is gone; what is over already does not mind.
struct StopOnDrop(Stop);

impl Drop for StopOnDrop {
    fn drop(&mut self) {
        self.0.ask();
    }
}

/// Blocks for what ends by itself once it is asked to. Ctrl-C asks for it, and is raised when it has.
pub(crate) fn blocking<T, F>(py: Python<'_>, work: impl FnOnce(Stop) -> F) -> PyResult<T>
where
    T: Send + 'static,
    F: Future<Output = PyResult<T>> + Send + 'static,
{
    let stop = Stop::default();
    let future = work(stop.clone());
    wait_or(py, future, move || {
        stop.ask();
        true
    })
}

/// An awaitable for the same; cancelling it asks for the end, which then comes while nobody waits.
pub(crate) fn awaited<'py, T, F>(
    py: Python<'py>,
    work: impl FnOnce(Stop) -> F,
) -> PyResult<Bound<'py, PyAny>>
where
    T: for<'p> IntoPyObject<'p> + Send + 'static,
    F: Future<Output = PyResult<T>> + Send + 'static,
{
    logging::listen(py)?;
    let (stop, call, lasting) = (Stop::default(), Call::awaited(py)?, Lasting::begin()?);
    let guard = StopOnDrop(stop.clone());
    let work = work(stop.clone());
    let task = handle()?.spawn(async move {
        let mut work = pin!(call.during(work));
        tokio::select! {
            done = &mut work => done,
            () = lasting.parting() => {
                stop.ask();
                work.await
            }
        }
    });
    awaitable(py, async move {
        let _guard = guard;
        task.await.unwrap_or_else(|error| Err(lost(error)))
    })
}
