//! A command that runs on a host: its output as it comes, and its input.

use std::future::{Future, pending, poll_fn};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::Poll;
use std::time::Duration;

use clusterops::report::Captured;
use clusterops::ssh::{self, Error, ErrorKind, ProcessStdin};
use clusterops::{Exit, OutputStream, Session};
use pyo3::prelude::*;
use pyo3::types::PyBytes;
use tokio::io::AsyncWriteExt as _;
use tokio::sync::Mutex as AsyncMutex;
use tokio::time::{Instant, sleep_until};

use crate::command::bytes;
use crate::errors::{Raised, raise};
use crate::handing::{Handed, Kept, Source, awaited, blocking};
use crate::output::{Output, exit_status};
use crate::owned::Owned;
use crate::runtime::{self, Lasting, awaitable, handle, wait, wait_or};
use crate::stop::Stop;
use crate::words::{Span, quoted, word};

/// How long a process may take to end before it is killed.
const GRACE: Duration = Duration::from_secs(2);

/// How much output comes to Python at once, as far as it is there.
const PIECE: usize = 256 << 10;

/// How much of each output is kept, as in [`Session::output`].
const OUTPUT_CAP: usize = 8 << 20;

/// The command with what it holds of its session.
struct Running {
    session: Arc<Session>,
    reading: AsyncMutex<Reading>,
    /// Output that nobody has taken yet; None at the end.
    kept: Kept<Option<Chunk>>,
    stdin: AsyncMutex<Option<ProcessStdin>>,
    /// How it ended.
    exit: Mutex<Option<Exit>>,
    stop: Stop,
    due: Option<(Instant, Duration)>,
}

struct Reading {
    process: ssh::Process,
    /// What was read and belongs to the other output.
    ahead: Option<clusterops::session::Chunk>,
    /// What went wrong after what was read.
    failed: Option<Error>,
    /// What is known of its end, once it was ended.
    end: Option<String>,
}

impl Reading {
    /// The next piece of one output, with what is there of it already.
    async fn next(&mut self) -> ssh::Result<Option<Chunk>> {
        if let Some(error) = self.failed.take() {
            return Err(error);
        }
        let first = match self.ahead.take() {
            Some(chunk) => chunk,
            None => match self.process.next().await? {
                Some(chunk) => chunk,
                None => return Ok(None),
            },
        };
        let mut piece = Chunk {
            stream: first.stream,
            bytes: first.bytes.to_vec(),
        };
        while piece.bytes.len() < PIECE {
            let more = poll_fn(|context| {
                let next = std::pin::pin!(self.process.next()).poll(context);
                Poll::Ready(match next {
                    Poll::Ready(more) => more,
                    Poll::Pending => Ok(None),
                })
            });
            match more.await {
                Ok(Some(more)) if more.stream == piece.stream => piece.bytes.extend(&more.bytes),
                Ok(Some(other)) => {
                    self.ahead = Some(other);
                    break;
                }
                Ok(None) => break,
                Err(error) => {
                    self.failed = Some(error);
                    break;
                }
            }
        }
        Ok(Some(piece))
    }
}

impl Running {
    /// The next piece of output; none when the command has ended or was ended.
    async fn next(self: Arc<Self>) -> PyResult<Option<Chunk>> {
        let mut reading = self.reading.lock().await;
        match self.kept.take() {
            Some(kept) => kept,
            None => self.read(&mut reading).await,
        }
    }

    async fn read(&self, reading: &mut Reading) -> PyResult<Option<Chunk>> {
        if reading.end.is_some() {
            return Ok(None);
        }
        let late = async {
            match self.due {
                Some((due, _)) => sleep_until(due).await,
                None => pending().await,
            }
        };
        tokio::select! {
            biased;
            () = self.stop.asked() => {
                self.end(reading, GRACE).await;
                Ok(None)
            }
            next = reading.next() => {
                let next = next.map_err(raise)?;
                if next.is_none() {
                    self.set_exit(reading.process.exit());
                }
                Ok(next)
            }
            () = late => {
                let limit = self.due.map(|(_, limit)| limit).unwrap_or_default();
                let end = self.end(reading, GRACE).await;
                let message = format!("the command did not end within {limit:?}; {end}");
                Err(raise(Error::new(ErrorKind::Timeout, message).on(self.session.host())))
            }
        }
    }

    /// Reads what is left to the end. An error has what was read before.
    async fn output(self: Arc<Self>) -> PyResult<Output> {
        let (mut stdout, mut stderr) = (Captured::new(OUTPUT_CAP), Captured::new(OUTPUT_CAP));
        let failed = loop {
            match Arc::clone(&self).next().await {
                Ok(Some(chunk)) => match chunk.stream {
                    OutputStream::Stdout => stdout.push(&chunk.bytes),
                    OutputStream::Stderr => stderr.push(&chunk.bytes),
                },
                Ok(None) => break None,
                Err(error) => break Some(error),
            }
        };
        let output = Output {
            host: self.session.host().to_owned(),
            exit: self.reading.lock().await.process.exit(),
            stdout,
            stderr,
        };
        match failed {
            None => Ok(output),
            Some(error) => Err(runtime::attach(|py| {
                match error.value(py).setattr("output", output) {
                    Ok(()) => error,
                    Err(other) => other,
                }
            })),
        }
    }

    /// Ends it, whoever reads; says whether its end was seen.
    async fn terminate(self: Arc<Self>, grace: Duration) -> String {
        self.stop.ask();
        let mut reading = self.reading.lock().await;
        self.end(&mut reading, grace).await
    }

    async fn end(&self, reading: &mut Reading, grace: Duration) -> String {
        if let Some(end) = &reading.end {
            return end.clone();
        }
        let end = reading.process.terminate(&self.session, grace).await;
        self.set_exit(reading.process.exit());
        reading.end.insert(end.to_string()).clone()
    }

    async fn write(self: Arc<Self>, data: Vec<u8>) -> PyResult<()> {
        let mut stdin = self.stdin.lock().await;
        let Some(stdin) = stdin.as_mut() else {
            let message = "the command's input is not there to be written: it was closed, or not asked for \
                 with stdin_streamed";
            return Err(Raised::invalid(message).into());
        };
        stdin.write_all(&data).await.map_err(|error| {
            let message = "the command does not read its input any more";
            let error = Error::new(ErrorKind::Command, message).caused_by(error);
            raise(error.on(self.session.host()))
        })
    }

    fn set_exit(&self, exit: Exit) {
        *self.exit.lock().unwrap_or_else(PoisonError::into_inner) = Some(exit);
    }

    fn exit(&self) -> Option<Exit> {
        let exit = self.exit.lock();
        exit.unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Source for Running {
    type Piece = Option<Chunk>;

    async fn fetch(self: Arc<Self>) {
        let mut reading = self.reading.lock().await;
        if !self.kept.is_there() {
            let piece = self.read(&mut reading).await;
            self.kept.keep(piece);
        }
    }

    fn take(&self) -> Option<PyResult<Option<Chunk>>> {
        self.kept.take()
    }
}

/// A command that was started: iterated, with ``for`` or ``async for``, for its output as it comes.
///
/// It is a context manager that ends the command, if that has not ended by then; so does losing the last reference to it.
/// Output that nobody takes for some seconds, more than 1 MiB of it, ends the command with an error.
#[pyclass(module = "clusterops", frozen)]
pub(crate) struct Process {
    host: String,
    running: Owned<Arc<Running>>,
}

impl Process {
    pub(crate) async fn start(
        session: Arc<Session>,
        command: clusterops::Command,
        limit: Option<Duration>,
    ) -> PyResult<Self> {
        let due = limit.map(|limit| (Instant::now() + limit, limit));
        let mut process = session.exec(&command).await.map_err(raise)?;
        let stdin = AsyncMutex::new(process.stdin());
        let reading = Reading {
            process,
            ahead: None,
            failed: None,
            end: None,
        };
        let running = Running {
            session,
            reading: AsyncMutex::new(reading),
            kept: Kept::default(),
            stdin,
            exit: Mutex::default(),
            stop: Stop::default(),
            due,
        };
        Ok(Self {
            host: running.session.host().to_owned(),
            running: Owned::new(Arc::new(running)),
        })
    }

    fn running(&self) -> PyResult<Arc<Running>> {
        let running = self
            .running
            .get(format_args!("the command on {}", self.host));
        running.cloned()
    }

    /// Blocks for what comes of it; Ctrl-C ends it first.
    fn wait<T: Send + 'static>(
        &self,
        py: Python<'_>,
        future: impl Future<Output = PyResult<T>> + Send + 'static,
    ) -> PyResult<T> {
        let running = self.running()?;
        wait_or(py, future, move || {
            running.stop.ask();
            true
        })
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if let Some(running) = self.running.here()
            && running.exit().is_none()
            && let (Ok(handle), Ok(lasting)) = (handle(), Lasting::begin())
        {
            let end = Arc::clone(running).terminate(GRACE);
            handle.spawn(async move {
                end.await;
                drop(lasting);
            });
        }
    }
}

#[pymethods]
impl Process {
    /// The host's name.
    #[getter]
    fn host(&self) -> &str {
        &self.host
    }

    /// The exit status, once the output was read to its end and where the command exited with one.
    #[getter]
    fn exit_status(&self) -> PyResult<Option<u32>> {
        Ok(self.running()?.exit().as_ref().and_then(exit_status))
    }

    /// How the command ended, as a sentence, once its output was read to its end.
    #[getter]
    fn exit(&self) -> PyResult<Option<String>> {
        Ok(self.running()?.exit().map(|exit| exit.to_string()))
    }

    fn __iter__(slf: PyRef<'_, Self>) -> PyRef<'_, Self> {
        slf
    }

    fn __next__(&self, py: Python<'_>) -> PyResult<Option<Chunk>> {
        blocking(&self.running()?, |fetching| self.wait(py, fetching))
    }

    fn __aiter__(slf: PyRef<'_, Self>) -> PyRef<'_, Self> {
        slf
    }

    fn __anext__(&self) -> PyResult<Handed> {
        Ok(awaited(&self.running()?).or_end())
    }

    /// Waits for the command's end, and gives what was not read of its output.
    fn output(&self, py: Python<'_>) -> PyResult<Output> {
        self.wait(py, self.running()?.output())
    }

    /// As `output`, to be awaited.
    fn aoutput<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        awaitable(py, self.running()?.output())
    }

    /// Writes to the command's standard input, where it was started with ``stdin_streamed``.
    ///
    /// Waits while the command does not read and some 64 KiB wait to be sent.
    ///
    /// Parameters
    /// ----------
    /// data : bytes or str
    ///
    /// Raises
    /// ------
    /// CommandError
    ///     The command reads no more.
    fn write(&self, py: Python<'_>, data: &Bound<'_, PyAny>) -> PyResult<()> {
        wait(py, self.running()?.write(bytes(data)?))
    }

    /// As `write`, to be awaited.
    fn awrite<'py>(
        &self,
        py: Python<'py>,
        data: &Bound<'py, PyAny>,
    ) -> PyResult<Bound<'py, PyAny>> {
        awaitable(py, self.running()?.write(bytes(data)?))
    }

    /// Ends the command's standard input, once what was written is sent.
    fn close_stdin(&self, py: Python<'_>) -> PyResult<()> {
        let running = self.running()?;
        wait(py, async move {
            running.stdin.lock().await.take();
            Ok(())
        })
    }

    /// As `close_stdin`, to be awaited.
    fn aclose_stdin<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        let running = self.running()?;
        awaitable(py, async move {
            running.stdin.lock().await.take();
            Ok(())
        })
    }

    /// Ends the command and everything that it started, and looks whether it is gone: SIGTERM first, SIGKILL after a while.
    ///
    /// Parameters
    /// ----------
    /// grace : timedelta or float
    ///     How long it may take to end; floats are seconds.
    ///
    /// Returns
    /// -------
    /// str
    ///     Whether the end of its processes was seen, as a sentence.
    #[pyo3(signature = (*, grace = Span(GRACE)), text_signature = "($self, *, grace=2.0)")]
    fn terminate(&self, py: Python<'_>, grace: Span) -> PyResult<String> {
        let end = self.running()?.terminate(grace.0);
        self.wait(py, async move { Ok(end.await) })
    }

    /// As `terminate`, to be awaited.
    #[pyo3(signature = (*, grace = Span(GRACE)), text_signature = "($self, *, grace=2.0)")]
    fn aterminate<'py>(&self, py: Python<'py>, grace: Span) -> PyResult<Bound<'py, PyAny>> {
        let end = self.running()?.terminate(grace.0);
        awaitable(py, async move { Ok(end.await) })
    }

    fn __enter__(slf: PyRef<'_, Self>) -> PyRef<'_, Self> {
        slf
    }

    #[pyo3(signature = (*_exception))]
    fn __exit__(
        &self,
        py: Python<'_>,
        _exception: &Bound<'_, pyo3::types::PyTuple>,
    ) -> PyResult<()> {
        match self.running()?.exit() {
            Some(_) => Ok(()),
            None => self.terminate(py, Span(GRACE)).map(drop),
        }
    }

    fn __aenter__<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, PyAny>> {
        let itself = slf.clone().unbind();
        awaitable(slf.py(), async move { Ok(itself) })
    }

    #[pyo3(signature = (*_exception))]
    fn __aexit__<'py>(
        &self,
        py: Python<'py>,
        _exception: &Bound<'py, pyo3::types::PyTuple>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let running = self.running()?;
        awaitable(py, async move {
            if running.exit().is_none() {
                running.terminate(GRACE).await;
            }
            Ok(())
        })
    }

    fn __repr__(&self, py: Python<'_>) -> PyResult<String> {
        let host = quoted(py, &self.host)?;
        Ok(
            match self.running.here().and_then(|running| running.exit()) {
                Some(exit) => format!("<Process on {host}: {exit}>"),
                None => format!("<Process on {host}>"),
            },
        )
    }
}

/// A piece of a command's output.
#[pyclass(module = "clusterops", frozen, eq)]
#[derive(Debug, PartialEq)]
pub(crate) struct Chunk {
    stream: OutputStream,
    bytes: Vec<u8>,
}

#[pymethods]
impl Chunk {
    /// ``stdout`` or ``stderr``.
    #[getter]
    fn stream(&self) -> String {
        word(&self.stream)
    }

    /// The bytes, as they came.
    #[getter]
    fn bytes<'py>(&self, py: Python<'py>) -> Bound<'py, PyBytes> {
        PyBytes::new(py, &self.bytes)
    }

    fn __repr__(&self, py: Python<'_>) -> PyResult<String> {
        let bytes = PyBytes::new(py, &self.bytes).repr()?;
        Ok(format!("<Chunk {}: {bytes}>", self.stream()))
    }
}
