//! A worker's share of a run that several processes do, for `clusterops.distributed`.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use clusterops::report::HostReport;
use pyo3::prelude::*;
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};

use crate::call::Call;
use crate::event;
use crate::fleet::Fleet;
use crate::plan::Plan;
use crate::report::Report;
use crate::run::{RunControl, Shared};
use crate::table::Table;

/// A run of some of a plan's hosts. Its events come in batches, together with the reports of hosts that have ended.
#[pyclass(module = "clusterops", extends = RunControl, frozen)]
pub(crate) struct _Shard {
    plan: clusterops::Plan,
    ended: Mutex<UnboundedReceiver<HostReport>>,
}

/// Starts it: anew, with the failed hosts of an earlier report, or where the journal of one ends that was cut off.
#[pyfunction]
#[pyo3(signature = (fleet, plan, *, run_id, places, earlier = None, journal = None))]
pub(crate) fn _start_shard<'py>(
    py: Python<'py>,
    fleet: &Fleet,
    plan: &Plan,
    run_id: String,
    places: Table<PathBuf>,
    earlier: Option<&Report>,
    journal: Option<PathBuf>,
) -> PyResult<Bound<'py, _Shard>> {
    let (tell, ended) = unbounded_channel();
    // Whoever goes on from its journal is not to find a cancellation there, which nobody asked for.
    let shared = fleet.start_with(py, &plan.0, Call::blocking(), false, |fleet| {
        let fleet = fleet
            .clone()
            .run_id(run_id)
            .places(places.0.into_iter().map(|(name, path)| (name.into(), path)))
            .ended(tell);
        match (journal, earlier) {
            (Some(journal), _) => fleet.resume(&plan.0, journal),
            (None, Some(earlier)) => fleet.retry(&plan.0, &earlier.inner),
            (None, None) => fleet.run(&plan.0),
        }
    })?;
    let control = PyClassInitializer::from(RunControl::new(shared));
    let shard = _Shard {
        plan: plan.0.clone(),
        ended: Mutex::new(ended),
    };
    Bound::new(py, control.add_subclass(shard))
}

#[pymethods]
impl _Shard {
    /// Waits for the next events, and gives them with a report of the hosts that have ended since the last batch; no
    /// events when the run has ended.
    fn batch<'py>(slf: &Bound<'py, Self>) -> PyResult<(Vec<Bound<'py, PyAny>>, Report)> {
        let (py, shared) = (slf.py(), Arc::clone(slf.as_super().get().shared()?));
        let batch = shared.batch(py)?;
        let mut events = Vec::with_capacity(batch.len());
        for event in &batch {
            events.extend(event::convert(py, event, shared.stages())?);
        }
        let mut hosts: HashMap<String, HostReport> = HashMap::new();
        let mut ended = slf
            .get()
            .ended
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        while let Ok(host) = ended.try_recv() {
            // The later one knows better.
            hosts.insert(host.name.clone(), host);
        }
        let report =
            clusterops::Report::of_ended(shared.id(), &slf.get().plan, hosts.into_values());
        Ok((events, Report::new(Arc::new(report))))
    }

    /// Waits for the end of the run.
    fn report(slf: &Bound<'_, Self>) -> PyResult<Report> {
        let shared: &Arc<Shared> = slf.as_super().get().shared()?;
        shared.wait(slf.py())
    }
}
