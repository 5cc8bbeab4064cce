//! The fleet in a box, for `clusterops.testing`.

use std::sync::{Arc, Mutex, PoisonError};

use clusterops::sim::{Match, Sim, SimHandle, SimHost};
use pyo3::exceptions::PyKeyError;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyTuple};

use crate::call::Call;
use crate::errors::Raised;
use crate::hostset::{HostSet, Hosts};
use crate::owned::Owned;
use crate::runtime::wait;
use crate::sim_command::{Content, Played, SimulatedCommand, fault};
use crate::table::Table;
use crate::target::Target;
use crate::words::{RemotePath, Span, quoted};

/// Simulated SSH hosts on loopback; a context manager.
///
/// Parameters
/// ----------
/// hosts : str, HostSet or iterable of str
///     Their names.
/// answers : mapping, optional
///     What commands do, by their lines: what they print, a `SimulatedAnswer`, or a function that is given a
///     `SimulatedCommand` and gives one of them. What a function raises fails the command, and is raised by `close`.
/// scripts : str or SimulatedAnswer or callable, optional
///     What scripts do.
/// files : mapping, optional
///     The files of each host: absolute paths, and what is in them.
/// user : str, optional
///     As whom the targets log in; ``sim``, where it is left out.
/// password : str, optional
///     A password that the hosts take, too.
///
/// Examples
/// --------
/// >>> from clusterops.testing import SimulatedAnswer, SimulatedFleet
/// >>> def zone(command):
/// ...     return command.environment.get("ZONE", "none") + "\n"
/// >>> with SimulatedFleet("web[1-2]", answers={"zone": zone, "reboot": SimulatedAnswer(status=1)}) as simulated:
/// ...     with Session.connect(simulated.targets[0]) as session:
/// ...         session.run("zone", env={"ZONE": "a"}).stdout
/// 'a\n'
#[pyclass(module = "clusterops.testing", frozen)]
pub(crate) struct SimulatedFleet {
    sim: Owned<Mutex<Option<Arc<Sim>>>>,
    /// What keeps what functions that answer raise.
    call: Call,
}

impl SimulatedFleet {
    fn sim(&self) -> PyResult<Arc<Sim>> {
        let sim = self.sim.get("the simulated fleet")?.lock();
        let sim = sim.unwrap_or_else(PoisonError::into_inner).clone();
        sim.ok_or_else(|| Raised::invalid("the simulated fleet is closed").into())
    }
}

#[pymethods]
impl SimulatedFleet {
    #[new]
    #[pyo3(signature = (hosts, *, answers = None, scripts = None, files = None, user = None, password = None))]
    fn new(
        py: Python<'_>,
        hosts: Hosts,
        answers: Option<Table<Played>>,
        scripts: Option<Played>,
        files: Option<Table<Content>>,
        user: Option<String>,
        password: Option<String>,
    ) -> PyResult<Self> {
        let (mut model, call) = (SimHost::new(""), Call::blocking());
        for (command, answer) in answers.into_iter().flat_map(|answers| answers.0) {
            model = answer.on(model, command.as_str(), &call);
        }
        if let Some(answer) = scripts {
            model = answer.on(
                model,
                Match::when(|command| command.script().is_some()),
                &call,
            );
        }
        if let Some(user) = user {
            model = model.user(user);
        }
        if let Some(password) = password {
            model = model.password(password);
        }
        let hosts: Vec<SimHost> = hosts.0.iter().map(|name| model.named(name)).collect();
        let sim = wait(py, async move { Ok(Sim::start(hosts).await?) })?;
        for (path, content) in files.into_iter().flat_map(|files| files.0) {
            for host in sim.hosts() {
                host.write_file(&path, &content.0)?;
            }
        }
        Ok(Self {
            sim: Owned::new(Mutex::new(Some(Arc::new(sim)))),
            call,
        })
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
            .map(SimulatedHost::new)
            .ok_or_else(|| PyKeyError::new_err(name.to_owned()))
    }

    fn __len__(&self) -> PyResult<usize> {
        Ok(self.sim()?.hosts().count())
    }

    /// Ends the hosts and closes their connections; raises what a function that was asked for an answer raised first.
    fn close(&self) -> PyResult<()> {
        // A child's copy has no hosts.
        let open = self.sim.here().map(Mutex::lock);
        let open = open.and_then(|open| open.unwrap_or_else(PoisonError::into_inner).take());
        match open {
            Some(sim) => {
                drop(sim);
                self.call.or(Ok(()))
            }
            None => Ok(()),
        }
    }

    fn __enter__(slf: PyRef<'_, Self>) -> PyRef<'_, Self> {
        slf
    }

    #[pyo3(signature = (*_exception))]
    fn __exit__(&self, _exception: &Bound<'_, PyTuple>) -> PyResult<()> {
        self.close()
    }

    fn __repr__(&self) -> PyResult<String> {
        Ok(match self.sim() {
            Ok(_) => format!("<SimulatedFleet of {}>", self.hosts()?.0),
            Err(_) => "<SimulatedFleet, closed>".into(),
        })
    }
}

/// One simulated host: what happened on it, and what is wrong with it.
#[pyclass(module = "clusterops.testing", frozen)]
pub(crate) struct SimulatedHost {
    name: String,
    handle: Owned<SimHandle>,
}

impl SimulatedHost {
    fn new(handle: SimHandle) -> Self {
        Self {
            name: handle.name().to_owned(),
            handle: Owned::new(handle),
        }
    }

    fn handle(&self) -> PyResult<&SimHandle> {
        self.handle
            .get(format_args!("the simulated host {}", self.name))
    }
}

#[pymethods]
impl SimulatedHost {
    /// The host's name.
    #[getter]
    fn name(&self) -> &str {
        &self.name
    }

    /// The lines of the commands that reached it, the last 1000.
    #[getter]
    fn commands(&self) -> PyResult<Vec<String>> {
        let commands = self.handle()?.commands();
        let lines = commands.iter().map(|command| command.line().into_owned());
        Ok(lines.collect())
    }

    /// These commands, with all that came with them.
    #[getter]
    fn calls(&self) -> PyResult<Vec<SimulatedCommand>> {
        let commands = self.handle()?.commands();
        Ok(commands.into_iter().map(SimulatedCommand).collect())
    }

    /// How many processes run there.
    #[getter]
    fn process_count(&self) -> PyResult<usize> {
        Ok(self.handle()?.processes().len())
    }

    /// How many connections it has accepted so far.
    #[getter]
    fn connection_count(&self) -> PyResult<u64> {
        Ok(self.handle()?.connections())
    }

    /// Cuts its connections, as when the network breaks; processes go on.
    fn cut_connections(&self) -> PyResult<()> {
        self.handle()?.cut_connections();
        Ok(())
    }

    /// Breaks the host, for connections and commands from now on.
    ///
    /// Parameters
    /// ----------
    /// fault : {'refuse', 'silent', 'drop_in_key_exchange', 'wrong_host_key', 'reject_authentication', 'drop_first', \
    ///         'not_allowed', 'disk_full', 'drip', 'flood', 'no_status', 'exit_by_signal', 'never_exits', \
    ///         'drop_during_command'}
    /// count : int, optional
    ///     Of ``drop_first`` the connections, of ``drip`` the bytes in a piece, of ``flood`` the bytes in all (no end,
    ///     where it is left out).
    /// span : timedelta or float, optional
    ///     How long ``not_allowed`` lasts, and how much time there is between two pieces of ``drip``.
    /// signal : str, optional
    ///     Of ``exit_by_signal``: ``KILL``.
    #[pyo3(signature = (fault, *, count = None, span = None, signal = None))]
    fn fault(
        &self,
        fault: &str,
        count: Option<u64>,
        span: Option<Span>,
        signal: Option<&str>,
    ) -> PyResult<()> {
        self.handle()?
            .fault(self::fault(fault, count, span, signal)?);
        Ok(())
    }

    /// Takes all faults away.
    fn heal(&self) -> PyResult<()> {
        self.handle()?.heal();
        Ok(())
    }

    /// What a file there holds.
    fn read_file<'py>(&self, py: Python<'py>, path: RemotePath) -> PyResult<Bound<'py, PyBytes>> {
        Ok(PyBytes::new(py, &self.handle()?.read_file(&path.0)?))
    }

    /// The permissions of a file or folder there, such as ``0o644``.
    fn mode(&self, path: RemotePath) -> PyResult<u32> {
        Ok(self.handle()?.mode(&path.0)?)
    }

    /// Writes a file there.
    fn write_file(&self, path: RemotePath, content: Content) -> PyResult<()> {
        Ok(self.handle()?.write_file(&path.0, content.0)?)
    }

    fn __repr__(&self, py: Python<'_>) -> PyResult<String> {
        Ok(format!("<SimulatedHost {}>", quoted(py, &self.name)?))
    }
}
