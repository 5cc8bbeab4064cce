//! The fleet in a box, for `clusterops.testing`.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use clusterops::sim::{Answer, Fault, Sim, SimHandle, SimHost};
use pyo3::exceptions::{PyKeyError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::PyBytes;

use crate::errors::Raised;
use crate::hostset::{HostSet, Hosts};
use crate::runtime::wait;
use crate::target::Target;
use crate::words::Span;

/// What a simulated command does.
#[pyclass(module = "clusterops.testing", frozen)]
pub(crate) struct SimulatedAnswer(Answer);

#[pymethods]
impl SimulatedAnswer {
    #[new]
    #[pyo3(signature = (stdout = "", stderr = "", *, status = 0, delay = None, never_exits = false))]
    fn new(stdout: &str, stderr: &str, status: u8, delay: Option<Span>, never_exits: bool) -> Self {
        let answer = match never_exits {
            true => Answer::never_exits(),
            false => Answer::status(status),
        };
        let mut answer = answer
            .with_stdout(stdout.to_owned())
            .with_stderr(stderr.to_owned());
        if let Some(delay) = delay {
            answer = answer.with_delay(delay.0);
        }
        Self(answer)
    }
}

/// Simulated SSH hosts on loopback; a context manager.
#[pyclass(module = "clusterops.testing", frozen)]
pub(crate) struct SimulatedFleet(Mutex<Option<Arc<Sim>>>);

impl SimulatedFleet {
    fn sim(&self) -> PyResult<Arc<Sim>> {
        let sim = self
            .0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone();
        sim.ok_or_else(|| Raised::invalid("the simulated fleet is closed").into())
    }
}

#[pymethods]
impl SimulatedFleet {
    #[new]
    #[pyo3(signature = (hosts, *, answers = None))]
    fn new(
        py: Python<'_>,
        hosts: Hosts,
        answers: Option<BTreeMap<String, Py<PyAny>>>,
    ) -> PyResult<Self> {
        let mut model = SimHost::new("");
        for (command, answer) in answers.unwrap_or_default() {
            let answer = match answer.cast_bound::<SimulatedAnswer>(py) {
                Ok(answer) => answer.get().0.clone(),
                Err(_) => Answer::stdout(answer.extract::<String>(py)?),
            };
            model = model.answer(command, answer);
        }
        let hosts: Vec<SimHost> = hosts.0.iter().map(|name| model.named(name)).collect();
        let sim = wait(py, async move { Ok(Sim::start(hosts).await?) })?;
        Ok(Self(Mutex::new(Some(Arc::new(sim)))))
    }

    /// The hosts as targets, with all that is needed to reach them.
    #[getter]
    fn targets(&self) -> PyResult<Vec<Target>> {
        Ok(self.sim()?.targets().into_iter().map(Target).collect())
    }

    /// The names of the hosts.
    #[getter]
    fn hosts(&self) -> PyResult<HostSet> {
        let sim = self.sim()?;
        Ok(HostSet(
            sim.hosts().map(|host| host.name().to_owned()).collect(),
        ))
    }

    fn __getitem__(&self, name: &str) -> PyResult<SimulatedHost> {
        let found = self.sim()?.hosts().find(|host| host.name() == name);
        found
            .map(SimulatedHost)
            .ok_or_else(|| PyKeyError::new_err(name.to_owned()))
    }

    fn __len__(&self) -> PyResult<usize> {
        Ok(self.sim()?.hosts().count())
    }

    /// Ends the hosts and closes their connections.
    fn close(&self) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take();
    }

    fn __enter__(slf: PyRef<'_, Self>) -> PyRef<'_, Self> {
        slf
    }

    #[pyo3(signature = (*_exception))]
    fn __exit__(&self, _exception: &Bound<'_, pyo3::types::PyTuple>) {
        self.close();
    }
}

/// What can be wrong with a host, by name.
const FAULTS: [(&str, Fault); 9] = [
    ("refuse", Fault::Refuse),
    ("silent", Fault::Silent),
    ("drop_in_key_exchange", Fault::DropInKeyExchange),
    ("wrong_host_key", Fault::WrongHostKey),
    ("reject_authentication", Fault::RejectAuthentication),
    ("disk_full", Fault::DiskFull),
    ("no_status", Fault::NoStatus),
    ("never_exits", Fault::NeverExits),
    ("drop_during_command", Fault::DropDuringCommand),
];

/// One simulated host: what happened on it, and what is wrong with it.
#[pyclass(module = "clusterops.testing", frozen)]
pub(crate) struct SimulatedHost(SimHandle);

#[pymethods]
impl SimulatedHost {
    /// The host's name.
    #[getter]
    fn name(&self) -> &str {
        self.0.name()
    }

    /// The commands that reached it, each as one line.
    #[getter]
    fn commands(&self) -> Vec<String> {
        let commands = self.0.commands();
        commands
            .iter()
            .map(|command| command.line().into_owned())
            .collect()
    }

    /// The environment that each of these commands was given.
    #[getter]
    fn environments(&self) -> Vec<BTreeMap<String, String>> {
        self.0
            .commands()
            .into_iter()
            .map(|command| command.environment)
            .collect()
    }

    /// How many processes run there.
    #[getter]
    fn process_count(&self) -> usize {
        self.0.processes().len()
    }

    /// Breaks the host, for connections and commands from now on.
    ///
    /// Parameters
    /// ----------
    /// fault : {'refuse', 'silent', 'drop_in_key_exchange', 'wrong_host_key', 'reject_authentication', 'disk_full', \
    ///         'no_status', 'never_exits', 'drop_during_command'}
    fn fault(&self, fault: &str) -> PyResult<()> {
        let found = FAULTS.iter().find(|(name, _)| *name == fault);
        let Some((_, fault)) = found else {
            let names = FAULTS.map(|(name, _)| name).join(", ");
            let message = format!("no fault is called '{fault}'; there are {names}");
            return Err(PyValueError::new_err(message));
        };
        self.0.fault(fault.clone());
        Ok(())
    }

    /// Takes all faults away.
    fn heal(&self) {
        self.0.heal();
    }

    /// What a file there holds.
    fn read_file<'py>(&self, py: Python<'py>, path: &str) -> PyResult<Bound<'py, PyBytes>> {
        Ok(PyBytes::new(py, &self.0.read_file(path)?))
    }

    /// Writes a file there.
    fn write_file(&self, path: &str, content: &[u8]) -> PyResult<()> {
        Ok(self.0.write_file(path, content)?)
    }
}
