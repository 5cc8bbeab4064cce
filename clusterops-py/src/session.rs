//! `Session`: one host, its commands and its files.

use std::future::Future;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyTuple};

use crate::command::Command;
use crate::connector::Connector;
use crate::errors::{Raised, raise};
use crate::output::Output;
use crate::owned::Owned;
use crate::process::Process;
use crate::runtime::{awaitable, handle, wait};
use crate::session_options::SessionOptions;
use crate::stop::{Stop, awaited, blocking};
use crate::stream::Stream;
use crate::transfer::{Job, Terms, Transferred, transfer};
use crate::words::{RemotePath, Span, quoted};

/// One connection to one host, on which commands and transfers run one after the other or side by side.
///
/// It is a context manager, plain and asynchronous. Made by `connect` or `aconnect`; each method that waits has a twin
/// to be awaited, whose name begins with ``a``. Ctrl-C, and cancelling whoever awaits, ends the remote work too.
///
/// Commands are a list of words, which reach the program as they are, a text, which is a line for ``/bin/sh``, or a
/// `Script`; they take the keywords of `clusterops.CommandOptions`, and transfers those of `clusterops.TransferOptions`.
/// Remote paths that are not absolute start in the login directory. Many hosts on the same terms are a `Connector`'s.
///
/// Examples
/// --------
/// >>> from clusterops.testing import SimulatedFleet
/// >>> with SimulatedFleet("web1", answers={"uname -r": "6.1.0\n"}) as simulated:
/// ...     with Session.connect(simulated.targets[0]) as session:
/// ...         session.run(["uname", "-r"]).stdout
/// '6.1.0\n'
#[pyclass(module = "clusterops", frozen)]
pub(crate) struct Session {
    host: String,
    /// None once it is closed.
    open: Owned<Mutex<Option<Arc<clusterops::Session>>>>,
}

impl Session {
    pub(crate) fn new(session: clusterops::Session) -> Self {
        Self {
            host: session.host().to_owned(),
            open: Owned::new(Mutex::new(Some(Arc::new(session)))),
        }
    }

    /// The session, while it is open and in the process that opened it.
    fn open(&self) -> PyResult<Arc<clusterops::Session>> {
        let what = format!("the session with {}", self.host);
        let open = self.open.get(&what)?.lock();
        let open = open.unwrap_or_else(PoisonError::into_inner).clone();
        open.ok_or_else(|| Raised::invalid(format!("{what} is closed")).into())
    }

    fn starting(
        &self,
        command: Command,
        stdin_streamed: bool,
        options: Option<&Bound<'_, PyDict>>,
    ) -> PyResult<impl Future<Output = PyResult<Process>> + Send + 'static> {
        let session = self.open()?;
        let mut command = command.with(options)?;
        if stdin_streamed {
            command = command.stdin_streamed();
        }
        let mut deadline: Option<Duration> = None;
        if let Some(options) = options {
            if stdin_streamed && options.contains("stdin")? {
                let message = "an input that is streamed is not given as stdin too";
                return Err(PyTypeError::new_err(message));
            }
            let given = options.get_item("deadline")?;
            let given = given.map(|given| given.extract::<Option<Span>>());
            deadline = given.transpose()?.flatten().map(Into::into);
        }
        Ok(Process::start(session, command, deadline))
    }

    fn transfer(
        &self,
        py: Python<'_>,
        job: Job,
        options: Option<&Bound<'_, PyDict>>,
    ) -> PyResult<Transferred> {
        let (session, terms) = (self.open()?, Terms::new(options)?);
        blocking(py, |stop| transfer(session, job, terms, stop))
    }

    fn atransfer<'py>(
        &self,
        py: Python<'py>,
        job: Job,
        options: Option<&Bound<'py, PyDict>>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let (session, terms) = (self.open()?, Terms::new(options)?);
        awaited(py, |stop| transfer(session, job, terms, stop))
    }

    fn streaming(
        &self,
        to: To,
    ) -> PyResult<impl Future<Output = PyResult<Stream>> + Send + 'static> {
        let session = self.open()?;
        Ok(async move {
            let (name, opened) = match to {
                To::Tcp(host, port) => {
                    (format!("{host}:{port}"), session.open_tcp(host, port).await)
                }
                To::Unix(path) => (path.clone(), session.open_unix(path).await),
            };
            let stream = opened.map_err(raise)?;
            Ok(Stream::new(session.host(), name, stream))
        })
    }

    /// Closes it, once.
    fn closing(&self) -> impl Future<Output = PyResult<()>> + Send + 'static {
        let open = self.take();
        async move {
            // What still runs keeps the connection until it has ended.
            if let Some(session) = open.and_then(Arc::into_inner) {
                session.close().await;
            }
            Ok(())
        }
    }

    /// Takes it; not from a parent process.
    fn take(&self) -> Option<Arc<clusterops::Session>> {
        let open = self.open.here()?.lock();
        open.unwrap_or_else(PoisonError::into_inner).take()
    }
}

/// Where a stream leads to, as the host sees it.
enum To {
    Tcp(String, u16),
    Unix(String),
}

/// Runs a command to its end.
async fn output(
    session: Arc<clusterops::Session>,
    command: clusterops::Command,
    stop: Stop,
) -> PyResult<Output> {
    let output = session.output_until(&command, stop.asked()).await;
    let output = output.map_err(raise)?;
    Ok(Output::of(session.host(), output))
}

impl Drop for Session {
    fn drop(&mut self) {
        if let Some(session) = self.take()
            && let Ok(handle) = handle()
        {
            let _inside = handle.enter();
            drop(session);
        }
    }
}

#[pymethods]
impl Session {
    /// Connects to a host, verifies its host key and logs in.
    ///
    /// Parameters
    /// ----------
    /// target : Target or str
    ///     A text is ``[user@]host[:port]``.
    /// options : SessionOptions, optional
    ///     How the connection is made.
    /// credentials : Credentials, optional
    ///     Who is asked for passphrases, passwords and answers to the server's questions.
    ///
    /// Raises
    /// ------
    /// UnreachableError, DeniedError, DeadlineError
    ///     Each step has a deadline of its own; the ``kind`` tells them apart.
    #[staticmethod]
    #[pyo3(signature = (target, options = None, *, credentials = None))]
    fn connect(
        py: Python<'_>,
        target: &Bound<'_, PyAny>,
        options: Option<&SessionOptions>,
        credentials: Option<Py<PyAny>>,
    ) -> PyResult<Self> {
        let connector = Connector::new(options, credentials);
        wait(py, connector.connecting(target)?)
    }

    /// As `connect`, to be awaited: ``async with await Session.aconnect("web1") as session``.
    #[staticmethod]
    #[pyo3(signature = (target, options = None, *, credentials = None))]
    fn aconnect<'py>(
        py: Python<'py>,
        target: &Bound<'py, PyAny>,
        options: Option<&SessionOptions>,
        credentials: Option<Py<PyAny>>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let connector = Connector::new(options, credentials);
        awaitable(py, connector.connecting(target)?)
    }

    /// The target's name.
    #[getter]
    fn host(&self) -> &str {
        &self.host
    }

    /// Whether it was closed, or the connection is gone.
    #[getter]
    fn is_closed(&self) -> bool {
        self.open().map_or(true, |session| session.is_closed())
    }

    /// What the user should know about OpenSSH's configuration: which of its keywords have no effect.
    #[getter]
    fn warnings(&self) -> PyResult<Vec<String>> {
        Ok(self.open()?.warnings())
    }

    /// Runs a command to its end.
    ///
    /// Parameters
    /// ----------
    /// command : sequence of str, or str, or Script
    ///     Words, a shell line, or a script.
    /// **options
    ///     See `clusterops.CommandOptions`.
    ///
    /// Returns
    /// -------
    /// Output
    ///     A command that fails is no error.
    ///
    /// Raises
    /// ------
    /// DeadlineError
    ///     After the remote processes were ended. Its ``output`` is what the command wrote until then; so it is of the other
    ///     errors that end a command.
    #[pyo3(signature = (command, **options))]
    fn run(
        &self,
        py: Python<'_>,
        command: Command,
        options: Option<&Bound<'_, PyDict>>,
    ) -> PyResult<Output> {
        let (session, command) = (self.open()?, command.with(options)?);
        blocking(py, |stop| output(session, command, stop))
    }

    /// As `run`, to be awaited.
    #[pyo3(signature = (command, **options))]
    fn arun<'py>(
        &self,
        py: Python<'py>,
        command: Command,
        options: Option<&Bound<'py, PyDict>>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let (session, command) = (self.open()?, command.with(options)?);
        awaited(py, |stop| output(session, command, stop))
    }

    /// Starts a command whose output is read as it comes.
    ///
    /// Parameters
    /// ----------
    /// command : sequence of str, or str, or Script
    ///     Words, a shell line, or a script.
    /// stdin_streamed : bool
    ///     Leaves the standard input open, for `Process.write`.
    /// **options
    ///     See `clusterops.CommandOptions`; the deadline is watched while the output is read.
    #[pyo3(signature = (command, *, stdin_streamed = false, **options))]
    fn start(
        &self,
        py: Python<'_>,
        command: Command,
        stdin_streamed: bool,
        options: Option<&Bound<'_, PyDict>>,
    ) -> PyResult<Process> {
        wait(py, self.starting(command, stdin_streamed, options)?)
    }

    /// As `start`, to be awaited.
    #[pyo3(signature = (command, *, stdin_streamed = false, **options))]
    fn astart<'py>(
        &self,
        py: Python<'py>,
        command: Command,
        stdin_streamed: bool,
        options: Option<&Bound<'py, PyDict>>,
    ) -> PyResult<Bound<'py, PyAny>> {
        awaitable(py, self.starting(command, stdin_streamed, options)?)
    }

    /// Sends a file; the last part of ``remote`` is its name there.
    #[pyo3(signature = (local, remote, **options))]
    fn upload(
        &self,
        py: Python<'_>,
        local: PathBuf,
        remote: RemotePath,
        options: Option<&Bound<'_, PyDict>>,
    ) -> PyResult<Transferred> {
        self.transfer(py, Job::Upload(local, remote.0), options)
    }

    /// As `upload`, to be awaited.
    #[pyo3(signature = (local, remote, **options))]
    fn aupload<'py>(
        &self,
        py: Python<'py>,
        local: PathBuf,
        remote: RemotePath,
        options: Option<&Bound<'py, PyDict>>,
    ) -> PyResult<Bound<'py, PyAny>> {
        self.atransfer(py, Job::Upload(local, remote.0), options)
    }

    /// Fetches a file; the last part of ``local`` is its name here.
    #[pyo3(signature = (remote, local, **options))]
    fn download(
        &self,
        py: Python<'_>,
        remote: RemotePath,
        local: PathBuf,
        options: Option<&Bound<'_, PyDict>>,
    ) -> PyResult<Transferred> {
        self.transfer(py, Job::Download(remote.0, local), options)
    }

    /// As `download`, to be awaited.
    #[pyo3(signature = (remote, local, **options))]
    fn adownload<'py>(
        &self,
        py: Python<'py>,
        remote: RemotePath,
        local: PathBuf,
        options: Option<&Bound<'py, PyDict>>,
    ) -> PyResult<Bound<'py, PyAny>> {
        self.atransfer(py, Job::Download(remote.0, local), options)
    }

    /// Sends what a local folder holds into a folder on the host, which is made where it is not there.
    #[pyo3(signature = (local, remote, **options))]
    fn upload_tree(
        &self,
        py: Python<'_>,
        local: PathBuf,
        remote: RemotePath,
        options: Option<&Bound<'_, PyDict>>,
    ) -> PyResult<Transferred> {
        self.transfer(py, Job::UploadTree(local, remote.0), options)
    }

    /// As `upload_tree`, to be awaited.
    #[pyo3(signature = (local, remote, **options))]
    fn aupload_tree<'py>(
        &self,
        py: Python<'py>,
        local: PathBuf,
        remote: RemotePath,
        options: Option<&Bound<'py, PyDict>>,
    ) -> PyResult<Bound<'py, PyAny>> {
        self.atransfer(py, Job::UploadTree(local, remote.0), options)
    }

    /// Fetches what a folder on the host holds into a local folder, which is made where it is not there.
    #[pyo3(signature = (remote, local, **options))]
    fn download_tree(
        &self,
        py: Python<'_>,
        remote: RemotePath,
        local: PathBuf,
        options: Option<&Bound<'_, PyDict>>,
    ) -> PyResult<Transferred> {
        self.transfer(py, Job::DownloadTree(remote.0, local), options)
    }

    /// As `download_tree`, to be awaited.
    #[pyo3(signature = (remote, local, **options))]
    fn adownload_tree<'py>(
        &self,
        py: Python<'py>,
        remote: RemotePath,
        local: PathBuf,
        options: Option<&Bound<'py, PyDict>>,
    ) -> PyResult<Bound<'py, PyAny>> {
        self.atransfer(py, Job::DownloadTree(remote.0, local), options)
    }

    /// Connects to a TCP port as the host sees it: on the host itself (``localhost``), or beyond.
    ///
    /// Raises
    /// ------
    /// UnreachableError
    ///     The host cannot connect there, or lets no connections through.
    fn open_tcp(&self, py: Python<'_>, host: String, port: u16) -> PyResult<Stream> {
        wait(py, self.streaming(To::Tcp(host, port))?)
    }

    /// As `open_tcp`, to be awaited.
    fn aopen_tcp<'py>(
        &self,
        py: Python<'py>,
        host: String,
        port: u16,
    ) -> PyResult<Bound<'py, PyAny>> {
        awaitable(py, self.streaming(To::Tcp(host, port))?)
    }

    /// Connects to a Unix socket of the host, such as ``/run/docker.sock``; otherwise as `open_tcp`.
    fn open_unix(&self, py: Python<'_>, path: RemotePath) -> PyResult<Stream> {
        wait(py, self.streaming(To::Unix(path.0))?)
    }

    /// As `open_unix`, to be awaited.
    fn aopen_unix<'py>(&self, py: Python<'py>, path: RemotePath) -> PyResult<Bound<'py, PyAny>> {
        awaitable(py, self.streaming(To::Unix(path.0))?)
    }

    /// Says goodbye and closes the connection. What still runs on it keeps it until it has ended.
    fn close(&self, py: Python<'_>) -> PyResult<()> {
        wait(py, self.closing())
    }

    /// As `close`, to be awaited.
    fn aclose<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        awaitable(py, self.closing())
    }

    fn __enter__(slf: PyRef<'_, Self>) -> PyRef<'_, Self> {
        slf
    }

    #[pyo3(signature = (*_exception))]
    fn __exit__(&self, py: Python<'_>, _exception: &Bound<'_, PyTuple>) -> PyResult<()> {
        self.close(py)
    }

    fn __aenter__<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, PyAny>> {
        let itself = slf.clone().unbind();
        awaitable(slf.py(), async move { Ok(itself) })
    }

    #[pyo3(signature = (*_exception))]
    fn __aexit__<'py>(
        &self,
        py: Python<'py>,
        _exception: &Bound<'py, PyTuple>,
    ) -> PyResult<Bound<'py, PyAny>> {
        self.aclose(py)
    }

    fn __repr__(&self, py: Python<'_>) -> PyResult<String> {
        let closed = if self.is_closed() { ", closed" } else { "" };
        Ok(format!("<Session {}{closed}>", quoted(py, &self.host)?))
    }
}
