//! Files of one host: what is to be done, on which terms, and what came of it.

use std::future::pending;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use clusterops::ssh::{Error, ErrorKind, Result};
use clusterops::{Bandwidth, Files, Progress, Session, TransferOptions};
use pyo3::exceptions::{PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyTuple};
use tokio::sync::watch;
use tokio::time::{sleep, timeout};

use crate::call::Call;
use crate::errors::raise;
use crate::options::{set_each, set_file_option};
use crate::runtime;
use crate::stop::Stop;
use crate::words::{Span, json, plain, restored, takes, word};

/// How many bytes per second may be transferred.
#[derive(Clone, Copy, IntoPyObject)]
#[pyo3(transparent)]
pub(crate) struct Limit(u64);

impl Limit {
    pub(crate) fn bandwidth(self) -> Bandwidth {
        Bandwidth::per_second(self.0)
    }
}

impl FromPyObject<'_, '_> for Limit {
    type Error = PyErr;
    takes!("int");

    fn extract(value: Borrowed<'_, '_, PyAny>) -> PyResult<Self> {
        match value.extract()? {
            0 => {
                let message = "with a bandwidth of 0 bytes per second nothing is ever over; None sets no limit";
                Err(PyValueError::new_err(message))
            }
            bytes => Ok(Self(bytes)),
        }
    }
}

/// How often a progress hook is called at most.
const PACE: Duration = Duration::from_millis(50);

/// What is to be transferred.
pub(crate) enum Job {
    Upload(PathBuf, String),
    UploadTree(PathBuf, String),
    Download(String, PathBuf),
    DownloadTree(String, PathBuf),
}

impl Job {
    async fn run(&self, files: &Files<'_>) -> Result<clusterops::Transferred> {
        match self {
            Self::Upload(local, remote) => files.upload(local, remote).await,
            Self::UploadTree(local, remote) => files.upload_tree(local, remote).await,
            Self::Download(remote, local) => files.download(remote, local).await,
            Self::DownloadTree(remote, local) => files.download_tree(remote, local).await,
        }
    }
}

/// How it is transferred.
#[derive(Default)]
pub(crate) struct Terms {
    options: TransferOptions,
    bandwidth: Option<Bandwidth>,
    deadline: Option<Duration>,
    progress: Option<Py<PyAny>>,
}

impl Terms {
    /// The keywords of `clusterops.TransferOptions`.
    pub(crate) fn new(options: Option<&Bound<'_, PyDict>>) -> PyResult<Self> {
        let mut terms = Self::default();
        set_each(options, "a transfer", |name, value| terms.set(name, value))?;
        Ok(terms)
    }

    /// Sets one; false where there is none of this name.
    fn set(&mut self, name: &str, value: &Bound<'_, PyAny>) -> PyResult<bool> {
        match name {
            "bandwidth" => {
                self.bandwidth = value.extract::<Option<Limit>>()?.map(Limit::bandwidth);
            }
            "deadline" => self.deadline = value.extract::<Option<Span>>()?.map(Into::into),
            "progress" if value.is_none() => self.progress = None,
            "progress" if value.is_callable() => {
                self.progress = Some(value.clone().unbind());
            }
            "progress" => {
                let message = "what is told of the progress can be called";
                return Err(PyTypeError::new_err(message));
            }
            _ => return set_file_option(&mut self.options, name, value),
        }
        Ok(true)
    }
}

/// Does it, and tells the hook. What was written and is unfinished is removed when it is stopped.
pub(crate) async fn transfer(
    session: Arc<Session>,
    job: Job,
    mut terms: Terms,
    stop: Stop,
) -> PyResult<Transferred> {
    let over = Stop::default();
    let (sender, receiver) = watch::channel((0, 0));
    let telling = terms.progress.take().map(|hook| Telling {
        hook: Arc::new(hook),
        call: Call::current(),
        stop: stop.clone(),
        over: over.clone(),
    });
    let telling = telling.map(|telling| tokio::spawn(telling.run(receiver)));
    let result = run(&session, &job, terms, sender, &stop).await;
    over.ask();
    if let Some(telling) = telling {
        // What it could fail with is kept already.
        let _ = telling.await;
    }
    result.map(Transferred).map_err(raise)
}

async fn run(
    session: &Session,
    job: &Job,
    terms: Terms,
    far: watch::Sender<(u64, u64)>,
    stop: &Stop,
) -> Result<clusterops::Transferred> {
    let starting = async {
        let mut files = session.files().await?.options(terms.options);
        if let Some(limit) = terms.bandwidth {
            files = files.bandwidth(limit);
        }
        // Files of a tree that are sent side by side may tell in another order.
        Ok::<_, Error>(files.progress(move |Progress { bytes, total, .. }| {
            far.send_if_modified(|far| {
                let further = bytes > far.0;
                *far = (bytes.max(far.0), total.max(far.1));
                further
            });
        }))
    };
    let ended = async {
        tokio::select! {
            () = stop.asked() => (ErrorKind::Cancelled, "the transfer was stopped".to_owned()),
            limit = passed(terms.deadline) => {
                (ErrorKind::Timeout, format!("the transfer did not end within {limit:?}"))
            }
        }
    };
    tokio::pin!(ended);
    let files = tokio::select! {
        files = starting => files?,
        (kind, message) = &mut ended => return Err(Error::new(kind, message).on(session.host())),
    };
    let (result, is_ended) = tokio::select! {
        result = job.run(&files) => (result, false),
        (kind, message) = &mut ended => (Err(Error::new(kind, message)), true),
    };
    let end = files.close().await;
    match result {
        Err(error) if is_ended => {
            let message = format!("{error}; {end}");
            Err(Error::new(error.kind(), message).on(session.host()))
        }
        result => result,
    }
}

/// Waits until a deadline has passed, if there is one.
async fn passed(deadline: Option<Duration>) -> Duration {
    match deadline {
        Some(limit) => {
            sleep(limit).await;
            limit
        }
        None => pending().await,
    }
}

/// Who is told how far a transfer has come.
struct Telling {
    hook: Arc<Py<PyAny>>,
    call: Call,
    /// Asked for when the hook raises.
    stop: Stop,
    /// Asked for when there is no more to tell.
    over: Stop,
}

impl Telling {
    async fn run(self, mut far: watch::Receiver<(u64, u64)>) {
        // The last of it is given also when who told is gone.
        while far.changed().await.is_ok() {
            let now = *far.borrow_and_update();
            let (hook, call) = (Arc::clone(&self.hook), self.call.clone());
            let told = tokio::task::spawn_blocking(move || {
                runtime::attach(|py| {
                    call.ask(hook.bind(py), "__call__", now.into_pyobject(py)?)?;
                    Ok(())
                })
            });
            if let Ok(Err(error)) = told.await {
                let error: PyErr = error;
                self.call.keep(error);
                self.stop.ask();
                return;
            }
            // An error says that there is nothing to wait for.
            let _ = timeout(PACE, self.over.asked()).await;
        }
    }
}

/// What a transfer did.
#[pyclass(module = "clusterops", frozen, eq)]
#[derive(Debug, PartialEq)]
pub(crate) struct Transferred(clusterops::Transferred);

#[pymethods]
impl Transferred {
    #[staticmethod]
    #[pyo3(signature = (text, /))]
    fn _restore(text: &str) -> PyResult<Self> {
        restored("transferred", text).map(Self)
    }

    fn __reduce__<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyTuple>> {
        let restore = py.get_type::<Self>().getattr("_restore")?;
        (restore, (json(&self.0)?,)).into_pyobject(py)
    }

    /// The bytes of content that were sent.
    #[getter]
    fn bytes(&self) -> u64 {
        self.0.bytes
    }

    /// The bytes that an earlier, broken transfer had sent already.
    #[getter]
    fn resumed(&self) -> u64 {
        self.0.resumed
    }

    /// How many files were sent.
    #[getter]
    fn files(&self) -> u64 {
        self.0.files
    }

    /// How many folders there were below the first.
    #[getter]
    fn folders(&self) -> u64 {
        self.0.folders
    }

    /// How many symbolic links were made.
    #[getter]
    fn links(&self) -> u64 {
        self.0.links
    }

    /// What was left out of a tree, at most 1000 of it: paths with the reason, ``leads_out``, ``special`` or ``bad_name``.
    #[getter]
    fn skipped(&self) -> Vec<(String, String)> {
        let skipped = self.0.skipped.iter();
        skipped
            .map(|one| (one.path.clone(), word(&one.reason)))
            .collect()
    }

    /// How many names were left out.
    #[getter]
    fn skipped_count(&self) -> u64 {
        self.0.skipped_count
    }

    /// What it did as a dictionary; what is zero is left out.
    fn to_dict<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        plain(py, &self.0)
    }

    fn __repr__(&self) -> String {
        let skipped = match self.0.skipped_count {
            0 => String::new(),
            count => format!(", {count} skipped"),
        };
        let (files, bytes) = (self.0.files, self.0.bytes);
        format!("<Transferred {files} files, {bytes} bytes{skipped}>")
    }
}
