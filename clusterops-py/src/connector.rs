//! `Connector`: many hosts on the same terms.

use std::future::Future;
use std::process;
use std::sync::{Arc, OnceLock};

use pyo3::prelude::*;

use crate::callback::{Callback, Stash};
use crate::credentials::Credentials;
use crate::errors::{Raised, raise};
use crate::runtime::{awaitable, wait};
use crate::session::Session;
use crate::session_options::SessionOptions;
use crate::target::one;

/// Connects to many hosts on the same terms, and keeps what the connections share: known hosts and keys are read once, and
/// one connection to a jump host serves all targets behind it.
///
/// Parameters
/// ----------
/// options : SessionOptions, optional
///     How connections are made.
/// credentials : Credentials, optional
///     Who is asked for passphrases, passwords and answers to servers' questions; methods that are ``async`` run in an event
///     loop of their own.
///
/// Examples
/// --------
/// >>> from clusterops.testing import SimulatedFleet
/// >>> with SimulatedFleet("web[1-2]", answers={"uname -r": "6.1.0\n"}) as simulated:
/// ...     connector = Connector(SessionOptions(connect_deadline=5))
/// ...     for target in simulated.targets:
/// ...         with connector.connect(target) as session:
/// ...             print(session.host, session.run("uname -r").stdout, end="")
/// web1 6.1.0
/// web2 6.1.0
#[pyclass(module = "clusterops", frozen)]
pub(crate) struct Connector {
    inner: clusterops::Connector,
    raised: Stash,
    /// The process of this machine that it belongs to.
    owner: u32,
}

impl Connector {
    /// Shares what it keeps with who connects by it; what credentials raise is kept for that call.
    pub(crate) fn of(options: Option<&SessionOptions>, credentials: Option<Callback>) -> Self {
        let mut options = options
            .map(|options| options.inner.clone())
            .unwrap_or_default();
        let raised = Stash::default();
        if let Some(object) = credentials {
            // There is no run that would have to end when they raise.
            let control = Arc::new(OnceLock::new());
            let credentials = Credentials::new(object, raised.clone(), control);
            options = options.credentials(Arc::new(credentials));
        }
        Self {
            inner: clusterops::Connector::new(options),
            raised,
            owner: process::id(),
        }
    }

    pub(crate) fn connecting(
        &self,
        target: &Bound<'_, PyAny>,
    ) -> PyResult<impl Future<Output = PyResult<Session>> + Send + 'static> {
        if self.owner != process::id() {
            let message = "the connector was made by the parent of this process; make another";
            return Err(Raised::invalid(message).into());
        }
        let target = one(target)?;
        let (connector, raised) = (self.inner.clone(), self.raised.clone());
        Ok(async move {
            match connector.connect(&target).await {
                Ok(session) => Ok(Session::new(session)),
                Err(error) => Err(raised.take().unwrap_or_else(|| raise(error))),
            }
        })
    }
}

#[pymethods]
impl Connector {
    #[new]
    #[pyo3(signature = (options = None, *, credentials = None))]
    fn new(options: Option<&SessionOptions>, credentials: Option<Py<PyAny>>) -> Self {
        Self::of(options, credentials.map(Callback::alone))
    }

    /// Connects to a host, verifies its host key and logs in.
    ///
    /// Parameters
    /// ----------
    /// target : Target or str
    ///     A text is ``[user@]host[:port]``.
    ///
    /// Raises
    /// ------
    /// UnreachableError, DeniedError, DeadlineError
    ///     Each step has a deadline of its own; the ``kind`` tells them apart.
    fn connect(&self, py: Python<'_>, target: &Bound<'_, PyAny>) -> PyResult<Session> {
        wait(py, self.connecting(target)?)
    }

    /// As `connect`, to be awaited.
    fn aconnect<'py>(
        &self,
        py: Python<'py>,
        target: &Bound<'py, PyAny>,
    ) -> PyResult<Bound<'py, PyAny>> {
        awaitable(py, self.connecting(target)?)
    }

    /// What the user should know about OpenSSH's configuration, once it was read: which of its keywords have no effect.
    #[getter]
    fn warnings(&self) -> Vec<String> {
        self.inner.warnings()
    }

    fn __repr__(&self) -> &'static str {
        "<Connector>"
    }
}
