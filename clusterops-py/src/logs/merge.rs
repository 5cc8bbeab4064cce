//! Several tails as one.

use std::sync::Arc;
use std::time::Duration;

use clusterops::logs::merge::{self, Arrival, MergeOptions};
use clusterops::logs::{self, tail};
use pyo3::prelude::*;
use tokio::sync::Mutex;

use super::tail::{Batches, Notice, Tail, TailDocument};
use crate::errors::Raised;
use crate::handing::{Handed, Kept, Source, awaited, blocking};
use crate::owned::Owned;
use crate::runtime::{handle, wait};
use crate::table::Table;
use crate::words::{Span, quoted};

/// How long documents are held, as the signature says; Python is to see the number.
const HOLD: Duration = Duration::from_millis(500);

/// Several tails in one order, that of their documents' times: iterated (``for``, ``async for``) for what comes.
///
/// A tail that fails is told once and tried again, while the others go on; one that the server refuses from the beginning is
/// given up. Iterating ends when all are given up. The tails belong to the merge from then on.
///
/// Parameters
/// ----------
/// tails : dict
///     The tails by the names that `TailEvent.source` tells, such as those of clusters.
/// hold : timedelta or float
///     How long documents are held for earlier ones to come; floats are seconds.
///
/// Examples
/// --------
/// >>> from clusterops.logs import Client, Query, Tail, TailMerge
/// >>> eu, us = (Client(f"http://127.0.0.1:{port}") for port in (9200, 9201))
/// >>> TailMerge({"eu": Tail(eu, "logs-*", Query.match_all()), "us": Tail(us, "logs-*", Query.match_all())}, hold=1)
/// <TailMerge of eu, us>
#[pyclass(module = "clusterops.logs", frozen)]
pub(crate) struct TailMerge {
    merging: Owned<Arc<Merging>>,
    names: Vec<String>,
}

/// What a tail hands over piece by piece.
enum Piece {
    Document(Box<tail::Document>),
    Notice(tail::Notice),
}

type Told = merge::Merged<Piece, tail::Token>;

/// A tail as a source of lines.
struct Tailing(Arc<Batches>);

impl merge::Source for Tailing {
    type Item = Piece;
    type Mark = tail::Token;

    async fn next(&mut self) -> logs::Result<Option<Arrival<Piece, tail::Token>>> {
        let batch = self.0.next().await?;
        let batch = &*batch.0;
        let notices = batch.notices.iter().cloned();
        let notices = notices.map(|notice| (None, Piece::Notice(notice)));
        let documents = batch.documents.iter().cloned();
        let documents =
            documents.map(|document| (document.time, Piece::Document(Box::new(document))));
        Ok(Some(
            Arrival::new(notices.chain(documents)).mark(batch.token.clone()),
        ))
    }

    fn has_worked(&self) -> bool {
        self.0.has_worked()
    }
}

/// The merge, and what nobody has taken yet.
struct Merging {
    merge: Mutex<merge::Merge<Piece, tail::Token>>,
    kept: Kept<Option<TailEvent>>,
}

impl Source for Merging {
    type Piece = Option<TailEvent>;

    async fn fetch(self: Arc<Self>) {
        let mut merge = self.merge.lock().await;
        if !self.kept.is_there() {
            let next = merge.next().await;
            self.kept
                .keep(Ok(next.map(|told| TailEvent(Arc::new(told)))));
        }
    }

    fn take(&self) -> Option<PyResult<Option<TailEvent>>> {
        self.kept.take()
    }
}

impl TailMerge {
    fn merging(&self) -> PyResult<&Arc<Merging>> {
        self.merging.get(format_args!(
            "the merge of the tails {}",
            self.names.join(", ")
        ))
    }
}

#[pymethods]
impl TailMerge {
    #[new]
    #[pyo3(signature = (tails, *, hold = Span(HOLD)), text_signature = "(tails, *, hold=0.5)")]
    fn new(tails: Table<Bound<'_, Tail>>, hold: Span) -> PyResult<Self> {
        // Each tail is read in a task of its own.
        let _inside = handle()?.enter();
        let mut merge = merge::Merge::new(MergeOptions::following().hold(hold.0));
        for (name, tail) in &tails.0 {
            merge.add(name, Tailing(Arc::clone(tail.get().source()?)));
        }
        Ok(Self {
            merging: Owned::new(Arc::new(Merging {
                merge: Mutex::new(merge),
                kept: Kept::default(),
            })),
            names: tails.0.into_keys().collect(),
        })
    }

    fn __iter__(slf: PyRef<'_, Self>) -> PyRef<'_, Self> {
        slf
    }

    fn __next__(&self, py: Python<'_>) -> PyResult<Option<TailEvent>> {
        blocking(self.merging()?, |fetching| wait(py, fetching))
    }

    fn __aiter__(slf: PyRef<'_, Self>) -> PyRef<'_, Self> {
        slf
    }

    fn __anext__(&self) -> PyResult<Handed> {
        Ok(awaited(self.merging()?).or_end())
    }

    fn __repr__(&self) -> String {
        format!("<TailMerge of {}>", self.names.join(", "))
    }
}

/// Something that came from one of the tails that are merged; its `kind` says what.
#[pyclass(module = "clusterops.logs", frozen)]
pub(crate) struct TailEvent(Arc<Told>);

#[pymethods]
impl TailEvent {
    /// The name of the tail.
    #[getter]
    fn source(&self) -> &str {
        match &*self.0 {
            Told::Item { source, .. }
            | Told::Mark { source, .. }
            | Told::Down { source, .. }
            | Told::Back { source }
            | Told::Failed { source, .. } => source,
            _ => "",
        }
    }

    /// ``document``; ``notice``; ``token``, when all up to there was handed over; ``down``, for a tail that fails and is tried
    /// again; ``back``; ``failed``, for one that is given up.
    #[getter]
    fn kind(&self) -> &'static str {
        match &*self.0 {
            Told::Item {
                item: Piece::Document(_),
                ..
            } => "document",
            Told::Item { .. } => "notice",
            Told::Mark { .. } => "token",
            Told::Down { .. } => "down",
            Told::Back { .. } => "back",
            Told::Failed { .. } => "failed",
            _ => "other",
        }
    }

    /// The document.
    #[getter]
    fn document(&self) -> Option<TailDocument> {
        match &*self.0 {
            Told::Item {
                item: Piece::Document(document),
                ..
            } => Some(TailDocument((**document).clone())),
            _ => None,
        }
    }

    /// Whether one with a later time was handed over before it, from whichever tail.
    #[getter]
    fn late(&self) -> bool {
        matches!(&*self.0, Told::Item { late: true, .. })
    }

    /// What the tail tells besides.
    #[getter]
    fn notice(&self) -> Option<Notice> {
        match &*self.0 {
            Told::Item {
                item: Piece::Notice(notice),
                ..
            } => Some(Notice(notice.clone())),
            _ => None,
        }
    }

    /// Where the tail stands once what came of it so far is dealt with: ``Tail(..., token=...)`` goes on from there.
    #[getter]
    fn token(&self) -> Option<String> {
        match &*self.0 {
            Told::Mark { mark, .. } => Some(mark.to_string()),
            _ => None,
        }
    }

    /// Why it fails, as an exception that can be raised.
    #[getter]
    fn error<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyAny>>> {
        match &*self.0 {
            Told::Down { error, .. } | Told::Failed { error, .. } => {
                Raised::from(error).exception(py).map(Some)
            }
            _ => Ok(None),
        }
    }

    fn __repr__(&self, py: Python<'_>) -> PyResult<String> {
        Ok(format!(
            "<TailEvent {}: {}>",
            quoted(py, self.source())?,
            self.kind()
        ))
    }
}
