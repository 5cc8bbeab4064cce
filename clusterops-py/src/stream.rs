//! Byte streams to ports and sockets that a host can reach.

use std::future::Future;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use clusterops::RemoteStream;
use clusterops::ssh::{Error, ErrorKind};
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyTuple};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, ReadHalf, WriteHalf, split};
use tokio::sync::Mutex as AsyncMutex;
use tokio::time::timeout;

use crate::command::bytes;
use crate::errors::{Raised, raise};
use crate::handing::{Handed, Source, awaited, blocking};
use crate::owned::Owned;
use crate::runtime::{awaitable, wait};
use crate::stop::Stop;
use crate::words::{Span, quoted};

/// How much is read at once.
const PIECE: usize = 64 << 10;

/// Both directions of a stream, and what Python has not taken yet.
struct Open {
    host: String,
    to: String,
    reading: AsyncMutex<Option<ReadHalf<RemoteStream>>>,
    writing: AsyncMutex<Option<WriteHalf<RemoteStream>>>,
    unread: Mutex<Unread>,
    closing: Stop,
}

#[derive(Default)]
struct Unread {
    bytes: Vec<u8>,
    /// Whether the other side has ended, or how reading failed.
    end: Option<Result<(), Raised>>,
}

impl Open {
    /// Waits until there is something to be taken, for so long.
    async fn fetch(&self, limit: Option<Duration>) -> PyResult<()> {
        let fetch = async {
            let mut reading = self.reading.lock().await;
            if self.unread().is_there() {
                return Ok(());
            }
            let mut buffer = vec![0; PIECE];
            let read = match reading.as_mut() {
                Some(reading) => reading.read(&mut buffer).await,
                None => return Err(self.closed()),
            };
            let mut unread = self.unread();
            match read {
                Ok(0) => unread.end = Some(Ok(())),
                Ok(length) => {
                    buffer.truncate(length);
                    unread.bytes = buffer;
                }
                Err(error) => unread.end = Some(Err(Raised::from(&self.lost(error)))),
            }
            Ok(())
        };
        self.unless_closed(limit, "nothing came", fetch).await
    }

    /// Takes what is there, so many bytes at most; nothing at the end.
    fn take(&self, most: usize) -> Option<PyResult<Vec<u8>>> {
        let mut unread = self.unread();
        if !unread.bytes.is_empty() {
            let rest = match unread.bytes.len() > most {
                true => unread.bytes.split_off(most),
                false => Vec::new(),
            };
            return Some(Ok(std::mem::replace(&mut unread.bytes, rest)));
        }
        match &unread.end {
            Some(Ok(())) => Some(Ok(Vec::new())),
            Some(Err(raised)) => Some(Err(raised.clone().into())),
            None => None,
        }
    }

    async fn write(self: Arc<Self>, data: Vec<u8>, limit: Option<Duration>) -> PyResult<()> {
        let write = async {
            let mut writing = self.writing.lock().await;
            let Some(writing) = writing.as_mut() else {
                return Err(self.closed());
            };
            writing
                .write_all(&data)
                .await
                .map_err(|error| raise(self.lost(error)))
        };
        self.unless_closed(limit, "not all was taken", write).await
    }

    async fn end(self: Arc<Self>) -> PyResult<()> {
        let end = async {
            match self.writing.lock().await.as_mut() {
                Some(writing) => writing.shutdown().await,
                None => Ok(()),
            }
        };
        end.await.map_err(|error| raise(self.lost(error)))
    }

    async fn close(self: Arc<Self>) -> PyResult<()> {
        // Whoever reads or writes lets go first.
        self.closing.ask();
        self.reading.lock().await.take();
        self.writing.lock().await.take();
        Ok(())
    }

    async fn unless_closed<T>(
        &self,
        limit: Option<Duration>,
        what: &str,
        work: impl Future<Output = PyResult<T>>,
    ) -> PyResult<T> {
        tokio::select! {
            biased;
            () = self.closing.asked() => Err(self.closed()),
            done = within(limit, work) => done.unwrap_or_else(|limit| {
                let message = format!("{what} within {limit:?} on the stream to {}", self.to);
                Err(raise(Error::new(ErrorKind::Timeout, message).on(&self.host)))
            }),
        }
    }

    fn unread(&self) -> std::sync::MutexGuard<'_, Unread> {
        self.unread.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn lost(&self, error: std::io::Error) -> Error {
        let message = format!("the stream to {} broke", self.to);
        Error::new(ErrorKind::Disconnected, message)
            .caused_by(error)
            .on(&self.host)
    }

    fn closed(&self) -> PyErr {
        let message = format!("{}: the stream to {} is closed", self.host, self.to);
        Raised::invalid(message).into()
    }
}

impl Unread {
    fn is_there(&self) -> bool {
        !self.bytes.is_empty() || self.end.is_some()
    }
}

/// Waits for so long, or without an end where the caller has set none and can interrupt or cancel it.
async fn within<T>(
    limit: Option<Duration>,
    work: impl Future<Output = PyResult<T>>,
) -> Result<PyResult<T>, Duration> {
    match limit {
        Some(limit) => timeout(limit, work).await.map_err(|_| limit),
        None => Ok(work.await),
    }
}

/// One call that reads.
struct Read {
    open: Arc<Open>,
    most: usize,
    limit: Option<Duration>,
    late: Mutex<Option<PyErr>>,
}

impl Source for Read {
    type Piece = Piece;

    async fn fetch(self: Arc<Self>) {
        let late = self.open.fetch(self.limit).await.err();
        *self.late.lock().unwrap_or_else(PoisonError::into_inner) = late;
    }

    fn take(&self) -> Option<PyResult<Piece>> {
        let late = self
            .late
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        match late {
            Some(error) => Some(Err(error)),
            None => self.open.take(self.most).map(|piece| piece.map(Piece)),
        }
    }
}

/// What was read, as Python's bytes.
pub(crate) struct Piece(Vec<u8>);

impl<'py> IntoPyObject<'py> for Piece {
    type Target = PyBytes;
    type Output = Bound<'py, PyBytes>;
    type Error = PyErr;

    fn into_pyobject(self, py: Python<'py>) -> PyResult<Self::Output> {
        Ok(PyBytes::new(py, &self.0))
    }
}

/// A stream of bytes to a port or socket as a host sees it, made by `Session.open_tcp` or `Session.open_unix`.
///
/// It has a connection to the host of its own, which outlives the session. One thread or task can read while another
/// writes. It is a context manager, plain and asynchronous; each method that waits has a twin to be awaited, whose name
/// begins with ``a``. A read that is interrupted, cancelled or late loses nothing; of such a write, a part may be sent.
#[pyclass(module = "clusterops", frozen)]
pub(crate) struct Stream {
    host: String,
    to: String,
    open: Owned<Arc<Open>>,
}

impl Stream {
    pub(crate) fn new(host: &str, to: String, stream: RemoteStream) -> Self {
        let (reading, writing) = split(stream);
        Self {
            host: host.to_owned(),
            to: to.clone(),
            open: Owned::new(Arc::new(Open {
                host: host.to_owned(),
                to,
                reading: AsyncMutex::new(Some(reading)),
                writing: AsyncMutex::new(Some(writing)),
                unread: Mutex::default(),
                closing: Stop::default(),
            })),
        }
    }

    fn open(&self) -> PyResult<Arc<Open>> {
        let open = self
            .open
            .get(format_args!("the stream by {} to {}", self.host, self.to));
        open.cloned()
    }

    fn reading(&self, size: usize, deadline: Option<Span>) -> PyResult<Arc<Read>> {
        if size == 0 {
            return Err(Raised::invalid("a read takes one byte at least").into());
        }
        Ok(Arc::new(Read {
            open: self.open()?,
            most: size,
            limit: deadline.map(Into::into),
            late: Mutex::default(),
        }))
    }
}

#[pymethods]
impl Stream {
    /// Waits until there is something to read, and gives that.
    ///
    /// Parameters
    /// ----------
    /// size : int
    ///     How many bytes at most.
    /// deadline : timedelta or float, optional
    ///     How long it may take; floats are seconds.
    ///
    /// Returns
    /// -------
    /// bytes
    ///     Empty only at the end.
    ///
    /// Raises
    /// ------
    /// UnreachableError
    ///     The connection was lost.
    /// DeadlineError
    ///     Nothing came in time; what comes later can be read still.
    #[pyo3(signature = (size = PIECE, *, deadline = None), text_signature = "($self, size=65536, *, deadline=None)")]
    fn read(&self, py: Python<'_>, size: usize, deadline: Option<Span>) -> PyResult<Piece> {
        blocking(&self.reading(size, deadline)?, |fetching| {
            wait(py, fetching)
        })
    }

    /// As `read`, to be awaited.
    #[pyo3(signature = (size = PIECE, *, deadline = None), text_signature = "($self, size=65536, *, deadline=None)")]
    fn aread(&self, size: usize, deadline: Option<Span>) -> PyResult<Handed> {
        Ok(awaited(&self.reading(size, deadline)?))
    }

    /// Writes; waits while the other side does not read and some 64 KiB wait to be sent.
    ///
    /// Parameters
    /// ----------
    /// data : bytes or str
    /// deadline : timedelta or float, optional
    ///     How long it may take; floats are seconds.
    #[pyo3(signature = (data, *, deadline = None))]
    fn write(
        &self,
        py: Python<'_>,
        data: &Bound<'_, PyAny>,
        deadline: Option<Span>,
    ) -> PyResult<()> {
        let deadline = deadline.map(Into::into);
        wait(py, self.open()?.write(bytes(data)?, deadline))
    }

    /// As `write`, to be awaited.
    #[pyo3(signature = (data, *, deadline = None))]
    fn awrite<'py>(
        &self,
        py: Python<'py>,
        data: &Bound<'py, PyAny>,
        deadline: Option<Span>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let deadline = deadline.map(Into::into);
        awaitable(py, self.open()?.write(bytes(data)?, deadline))
    }

    /// Tells the other side that no more comes; what it says can be read still.
    fn end(&self, py: Python<'_>) -> PyResult<()> {
        wait(py, self.open()?.end())
    }

    /// As `end`, to be awaited.
    fn aend<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        awaitable(py, self.open()?.end())
    }

    /// Closes it. What was written is sent still, for at most 10 s.
    fn close(&self, py: Python<'_>) -> PyResult<()> {
        wait(py, self.open()?.close())
    }

    /// As `close`, to be awaited.
    fn aclose<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        awaitable(py, self.open()?.close())
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
        let (host, to) = (quoted(py, &self.host)?, &self.to);
        Ok(format!("<Stream by {host} to {to}>"))
    }
}
