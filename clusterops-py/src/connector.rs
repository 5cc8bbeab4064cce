//! `Connector`: many hosts on the same terms.

use std::future::Future;
use std::sync::Arc;

use pyo3::prelude::*;

use crate::credentials::Credentials;
use crate::errors::raise;
use crate::owned::Owned;
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
///     Who is asked for passphrases, passwords and answers to servers' questions; methods that are ``async`` run in the event
///     loop of who awaits `aconnect`, and for `connect` in one of their own.
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
    inner: Owned<clusterops::Connector>,
}

impl Connector {
    pub(crate) fn connecting(
        &self,
        target: &Bound<'_, PyAny>,
    ) -> PyResult<impl Future<Output = PyResult<Session>> + Send + 'static> {
        let (connector, target) = (self.inner()?.clone(), one(target)?);
        Ok(async move {
            let session = connector.connect(&target).await;
            session.map(Session::new).map_err(raise)
        })
    }

    fn inner(&self) -> PyResult<&clusterops::Connector> {
        self.inner.get("the connector")
    }
}

#[pymethods]
impl Connector {
    #[new]
    #[pyo3(signature = (options = None, *, credentials = None))]
    pub(crate) fn new(options: Option<&SessionOptions>, credentials: Option<Py<PyAny>>) -> Self {
        let mut options = options
            .map(|options| options.inner.clone())
            .unwrap_or_default();
        if let Some(object) = credentials {
            options = options.credentials(Arc::new(Credentials::new(object)));
        }
        Self {
            inner: Owned::new(clusterops::Connector::new(options)),
        }
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
    fn warnings(&self) -> PyResult<Vec<String>> {
        Ok(self.inner()?.warnings())
    }

    fn __repr__(&self) -> &'static str {
        "<Connector>"
    }
}
