//! Following what is written.

use std::sync::Arc;

use clusterops::logs::tail::{self, Since};
use pyo3::prelude::*;
use pyo3::types::PyString;
use tokio::sync::Mutex;

use super::client::{Client, indices};
use super::hit::Hit;
use super::instant_of;
use super::query::Asked;
use crate::errors::{Raised, raise};
use crate::handing::{Handed, Kept, Source, awaited, blocking};
use crate::owned::Owned;
use crate::report::time;
use crate::runtime::wait;
use crate::words::{Span, quoted, snake_case, takes};

/// Follows what a query finds in some indices, losing and repeating nothing: iterated (``for``, ``async for``) for batches.
///
/// Iterating does not end by itself. Who is interrupted, or cancels what is awaited, can go on with it: a batch that was just
/// ready comes next. What is begun anew from the `token` of a batch goes on behind its documents.
///
/// Parameters
/// ----------
/// client : Client
/// indices : str
/// query : Query or dict
/// since : {'now', 'start'} or datetime
///     Where to begin in what is there already.
/// token : str, optional
///     Continues where this says.
/// by_time : bool
///     Whether documents are found by their times and not by the shards' sequence numbers.
/// time_field : str
/// pause, reorder, overlap : timedelta or float, optional
///     How long to wait where there is nothing new, to gather documents so that they come in order, and how far back is
///     looked where the tail goes by time.
/// batch : int, optional
///     How many documents a batch may have, about.
///
/// Examples
/// --------
/// >>> from clusterops.logs import Client, Query, Tail
/// >>> Tail(Client("http://127.0.0.1:9200"), "logs-*", Query.kql("level: error"), since="start", pause=0.2)
/// <Tail of logs-*>
#[pyclass(module = "clusterops.logs", frozen)]
#[derive(Debug)]
pub(crate) struct Tail {
    source: Owned<Arc<Batches>>,
    indices: String,
}

/// The tail, and the batch that nobody has taken yet.
#[derive(Debug)]
pub(super) struct Batches {
    tail: Mutex<tail::Tail>,
    kept: Kept<TailBatch>,
}

impl Batches {
    /// The next batch, for who tries again after an error.
    pub(super) async fn next(&self) -> clusterops::logs::Result<TailBatch> {
        let mut tail = self.tail.lock().await;
        match self.kept.take() {
            Some(Ok(batch)) => Ok(batch),
            _ => Ok(TailBatch(Arc::new(tail.next().await?))),
        }
    }

    /// Whether a server has understood the query.
    pub(super) fn has_worked(&self) -> bool {
        // Whoever holds it waits for an answer.
        self.tail.try_lock().is_ok_and(|tail| tail.has_worked())
    }
}

impl Tail {
    pub(super) fn source(&self) -> PyResult<&Arc<Batches>> {
        self.source
            .get(format_args!("the tail of {}", self.indices))
    }
}

impl Source for Batches {
    type Piece = TailBatch;

    async fn fetch(self: Arc<Self>) {
        let mut tail = self.tail.lock().await;
        if !self.kept.is_there() {
            let batch = tail.next().await.map_err(raise);
            self.kept
                .keep(batch.map(|batch| TailBatch(Arc::new(batch))));
        }
    }

    fn take(&self) -> Option<PyResult<TailBatch>> {
        self.kept.take()
    }
}

/// Where a tail begins, as Python says it.
struct Beginning(Since);

impl<'py> FromPyObject<'_, 'py> for Beginning {
    type Error = PyErr;
    takes!("datetime | str");

    fn extract(value: Borrowed<'_, 'py, PyAny>) -> PyResult<Self> {
        let Ok(word) = value.cast::<PyString>() else {
            return Ok(Self(Since::Time(instant_of(&value)?)));
        };
        match word.extract::<&str>()? {
            "now" => Ok(Self(Since::Now)),
            "start" => Ok(Self(Since::Start)),
            other => {
                let message = format!("since is 'now', 'start' or a datetime, not '{other}'");
                Err(Raised::invalid(message).into())
            }
        }
    }
}

#[pymethods]
impl Tail {
    #[new]
    #[pyo3(signature = (client, indices, query, *, since = None, token = None, by_time = false, time_field = None, pause = None, reorder = None, overlap = None, batch = None))]
    #[expect(clippy::too_many_arguments, reason = "they are keywords in Python")]
    fn new(
        client: &Client,
        indices: &str,
        query: Asked,
        since: Option<Beginning>,
        token: Option<&str>,
        by_time: bool,
        time_field: Option<&str>,
        pause: Option<Span>,
        reorder: Option<Span>,
        overlap: Option<Span>,
        batch: Option<usize>,
    ) -> PyResult<Self> {
        let expression = self::indices(indices)?;
        let mut tail = tail::Tail::new(client.inner()?, &expression, &query.0).map_err(raise)?;
        if let Some(since) = since {
            tail = tail.since(since.0);
        }
        if by_time {
            tail = tail.by_time();
        }
        if let Some(field) = time_field {
            tail = tail.time_field(field);
        }
        if let Some(pause) = pause {
            tail = tail.pause(pause.0);
        }
        if let Some(span) = reorder {
            tail = tail.reorder(span.0);
        }
        if let Some(span) = overlap {
            tail = tail.overlap(span.0);
        }
        if let Some(documents) = batch {
            tail = tail.batch(documents);
        }
        if let Some(token) = token {
            let token = token.parse().map_err(raise)?;
            tail = tail.resume(token).map_err(raise)?;
        }
        Ok(Self {
            source: Owned::new(Arc::new(Batches {
                tail: Mutex::new(tail),
                kept: Kept::default(),
            })),
            indices: indices.to_owned(),
        })
    }

    fn __iter__(slf: PyRef<'_, Self>) -> PyRef<'_, Self> {
        slf
    }

    fn __next__(&self, py: Python<'_>) -> PyResult<TailBatch> {
        blocking(self.source()?, |fetching| wait(py, fetching))
    }

    fn __aiter__(slf: PyRef<'_, Self>) -> PyRef<'_, Self> {
        slf
    }

    fn __anext__(&self) -> PyResult<Handed> {
        Ok(awaited(self.source()?))
    }

    fn __repr__(&self) -> String {
        format!("<Tail of {}>", self.indices)
    }
}

/// What a tail hands over in one go; one without documents and notices has a better token than the last.
#[pyclass(module = "clusterops.logs", frozen)]
#[derive(Debug)]
pub(crate) struct TailBatch(pub(super) Arc<tail::Batch>);

#[pymethods]
impl TailBatch {
    /// Documents, ordered by their times as far as they are in this batch.
    #[getter]
    fn documents(&self) -> Vec<TailDocument> {
        let documents = self.0.documents.iter();
        documents.cloned().map(TailDocument).collect()
    }

    /// What there is to know besides.
    #[getter]
    fn notices(&self) -> Vec<Notice> {
        self.0.notices.iter().cloned().map(Notice).collect()
    }

    /// Where the tail stands once these documents are dealt with; keep it then.
    #[getter]
    fn token(&self) -> String {
        self.0.token.to_string()
    }

    fn __repr__(&self) -> String {
        let (documents, notices) = (self.0.documents.len(), self.0.notices.len());
        format!("<TailBatch of {documents} documents, {notices} notices>")
    }
}

/// A document that a tail found.
#[pyclass(module = "clusterops.logs", frozen)]
#[derive(Debug)]
pub(crate) struct TailDocument(pub(super) tail::Document);

#[pymethods]
impl TailDocument {
    /// The document.
    #[getter]
    fn hit(&self) -> Hit {
        Hit(self.0.hit.clone())
    }

    /// The shard it stands in, where that is known.
    #[getter]
    fn shard(&self) -> Option<u32> {
        self.0.shard
    }

    /// Its time, where it has one.
    #[getter]
    fn time<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyAny>>> {
        let instant = self.0.time;
        instant
            .map(|instant| time(py, instant.as_microsecond()))
            .transpose()
    }

    /// Whether one with a later time was handed over before it.
    #[getter]
    fn late(&self) -> bool {
        self.0.late
    }

    fn __repr__(&self, py: Python<'_>) -> PyResult<String> {
        let (index, id) = (&self.0.hit.index, &self.0.hit.id);
        Ok(format!(
            "<TailDocument {} {}>",
            quoted(py, index)?,
            quoted(py, id)?
        ))
    }
}

/// Something that a reader of a tail should know; its text is a sentence.
#[pyclass(module = "clusterops.logs", frozen)]
#[derive(Debug)]
pub(crate) struct Notice(pub(super) tail::Notice);

#[pymethods]
impl Notice {
    /// What it is, in a word such as ``interrupted`` or ``by_time``.
    #[getter]
    fn kind(&self) -> String {
        use tail::Notice as Told;

        snake_case(match &self.0 {
            Told::NothingMatches { .. } => "NothingMatches",
            Told::Found { .. } => "Found",
            Told::Copy { .. } => "Copy",
            Told::Unseen { .. } => "Unseen",
            Told::Unavailable { .. } => "Unavailable",
            Told::Restarted { .. } => "Restarted",
            Told::Held { .. } => "Held",
            Told::Released { .. } => "Released",
            Told::Away { .. } => "Away",
            Told::Deleted { .. } => "Deleted",
            Told::Interrupted { .. } => "Interrupted",
            Told::Recovered => "Recovered",
            Told::NoRefresh { .. } => "NoRefresh",
            Told::UnknownCopies { .. } => "UnknownCopies",
            Told::ByTime { .. } => "ByTime",
            _ => "Other",
        })
    }

    fn __str__(&self) -> String {
        self.0.to_string()
    }

    fn __repr__(&self) -> String {
        format!("<Notice {}>", self.0)
    }
}
