//! Every document that a query finds: page by page, or into a file.

use std::path::PathBuf;
use std::sync::Arc;

use clusterops::logs;
use clusterops::logs::export::{self, Format, Order};
use clusterops::logs::render::Template;
use pyo3::prelude::*;
use pyo3::types::PyDelta;
use tokio::sync::Mutex;
use tokio::task::block_in_place;

use super::client::{Client, indices};
use super::hit::Hit;
use super::query::Asked;
use crate::call::Call;
use crate::errors::{Raised, raise};
use crate::handing::{Handed, Kept, Source, awaited, blocking};
use crate::owned::Owned;
use crate::runtime::{self, awaitable, wait};
use crate::stop::Stop;
use crate::words::Span;

/// Every document that a query finds in some indices, exactly once.
///
/// Parameters
/// ----------
/// client : Client
/// indices : str
/// query : Query or dict
/// fields : sequence of str, optional
///     Only these fields of the documents.
/// oldest_first, newest_first : str, optional
///     The field by which documents are ordered; they come as they arrived, where both are left out.
/// page_size, slices : int, optional
///     How many documents are asked for at a time, and how many parts are fetched at once.
/// keep_alive, patience : timedelta or float, optional
///     How long the server keeps the point in time after the last request, and how long busy servers are waited for.
///
/// Examples
/// --------
/// >>> from clusterops.logs import Client, Export, Query
/// >>> Export(Client("http://127.0.0.1:9200"), "logs-*", Query.kql("level: error"), slices=2)
/// <Export of logs-*>
#[pyclass(module = "clusterops.logs", frozen)]
#[derive(Debug)]
pub(crate) struct Export {
    inner: Owned<export::Export>,
    indices: String,
    is_oldest_first: bool,
}

/// The form of the lines in a file.
fn format_of(name: &str, columns: Option<Vec<String>>, template: Option<&str>) -> PyResult<Format> {
    match (name, columns, template) {
        ("csv", Some(columns), None) => Ok(Format::csv(columns)),
        ("template", None, Some(template)) => Ok(Format::template(Template::new(template))),
        ("ndjson", None, None) => Ok(Format::ndjson()),
        ("hits", None, None) => Ok(Format::hits()),
        ("text", None, None) => Ok(Format::text()),
        _ => {
            let message = "a format is 'ndjson', 'hits' or 'text', 'csv' with `columns`, or 'template' with a `template`";
            Err(Raised::invalid(message).into())
        }
    }
}

impl Export {
    fn inner(&self) -> PyResult<export::Export> {
        let export = self
            .inner
            .get(format_args!("the export of {}", self.indices));
        export.cloned()
    }

    /// The future of both forms of writing a file. What the progress hook raises ends it; the file can be gone on with.
    fn writing(
        &self,
        path: PathBuf,
        format: Format,
        progress: Option<Py<PyAny>>,
    ) -> PyResult<impl Future<Output = PyResult<ExportSummary>> + Send + 'static> {
        let export = self.inner()?;
        Ok(async move {
            let (call, stop) = (Call::current(), Stop::default());
            let told = |now: export::Progress| {
                let Some(progress) = &progress else { return };
                // It can take its time, and await something.
                let asked = block_in_place(|| {
                    runtime::attach(|py| {
                        let now = (ExportProgress(now),).into_pyobject(py)?;
                        call.ask(progress.bind(py), "__call__", now).map(drop)
                    })
                });
                if let Err(error) = asked {
                    call.keep(error);
                    stop.ask();
                }
            };
            tokio::select! {
                biased;
                () = stop.asked() => Err(Raised::invalid("the progress hook ended the export").into()),
                written = export.to_file(path, &format, told) => written.map(ExportSummary).map_err(raise),
            }
        })
    }

    fn paging(
        &self,
        token: Option<&str>,
    ) -> PyResult<impl Future<Output = PyResult<ExportPages>> + Send + 'static> {
        let export = self.inner()?;
        let token: Option<export::Token> = token.map(str::parse).transpose().map_err(raise)?;
        let is_oldest_first = self.is_oldest_first;
        Ok(async move {
            let pages = match &token {
                Some(token) => export.resume(token).await,
                None => export.start().await,
            };
            let pages = pages.map_err(raise)?;
            Ok(ExportPages {
                total: pages.total(),
                source: Owned::new(Arc::new(Paging {
                    pages: Mutex::new(pages),
                    kept: Kept::default(),
                    is_oldest_first,
                })),
            })
        })
    }
}

#[pymethods]
impl Export {
    #[new]
    #[pyo3(signature = (client, indices, query, *, fields = None, oldest_first = None, newest_first = None, page_size = None, slices = None, keep_alive = None, patience = None))]
    #[expect(clippy::too_many_arguments, reason = "they are keywords in Python")]
    fn new(
        client: &Client,
        indices: &str,
        query: Asked,
        fields: Option<Vec<String>>,
        oldest_first: Option<&str>,
        newest_first: Option<&str>,
        page_size: Option<u32>,
        slices: Option<usize>,
        keep_alive: Option<Span>,
        patience: Option<Span>,
    ) -> PyResult<Self> {
        let expression = self::indices(indices)?;
        let mut export = export::Export::new(client.inner()?, &expression, query.0);
        if let Some(fields) = fields {
            export = export.fields(fields);
        }
        export = match (oldest_first, newest_first) {
            (None, None) => export,
            (Some(field), None) => export.order(Order::oldest_first(field)),
            (None, Some(field)) => export.order(Order::newest_first(field)),
            _ => {
                let message = "`oldest_first` and `newest_first` do not go together";
                return Err(Raised::invalid(message).into());
            }
        };
        if let Some(documents) = page_size {
            export = export.page_size(documents);
        }
        if let Some(slices) = slices {
            export = export.slices(slices);
        }
        if let Some(span) = keep_alive {
            export = export.keep_alive(span.0);
        }
        if let Some(span) = patience {
            export = export.patience(span.0);
        }
        Ok(Self {
            inner: Owned::new(export),
            indices: indices.to_owned(),
            is_oldest_first: oldest_first.is_some(),
        })
    }

    /// Writes all documents into a file, and goes on with one that an earlier call did not finish: nothing is lost, and
    /// nothing stands in it twice.
    ///
    /// Parameters
    /// ----------
    /// path : str or os.PathLike
    ///     While it is not whole, what is needed to go on stands beside it, in a file with ``.export`` behind its name.
    /// format : {'ndjson', 'hits', 'text', 'csv', 'template'}
    /// columns : sequence of str, optional
    ///     The fields of a table (``csv``).
    /// template : str, optional
    ///     The line of each hit (``template``).
    /// progress : callable, optional
    ///     Is called with an `ExportProgress` after each page, in a thread of the runtime, and awaited where it is ``async``.
    ///     What it raises ends the export.
    ///
    /// Raises
    /// ------
    /// InvalidError
    ///     The file is there and whole, in use, or of another export.
    #[pyo3(signature = (path, *, format = "ndjson", columns = None, template = None, progress = None))]
    fn to_file(
        &self,
        py: Python<'_>,
        path: PathBuf,
        format: &str,
        columns: Option<Vec<String>>,
        template: Option<&str>,
        progress: Option<Py<PyAny>>,
    ) -> PyResult<ExportSummary> {
        let format = format_of(format, columns, template)?;
        wait(py, self.writing(path, format, progress)?)
    }

    /// As `to_file`, to be awaited.
    #[pyo3(signature = (path, *, format = "ndjson", columns = None, template = None, progress = None))]
    fn ato_file<'py>(
        &self,
        py: Python<'py>,
        path: PathBuf,
        format: &str,
        columns: Option<Vec<String>>,
        template: Option<&str>,
        progress: Option<Py<PyAny>>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let format = format_of(format, columns, template)?;
        awaitable(py, self.writing(path, format, progress)?)
    }

    /// Counts the documents and begins, or goes on behind the page that a token came with.
    #[pyo3(signature = (token = None))]
    fn pages(&self, py: Python<'_>, token: Option<&str>) -> PyResult<ExportPages> {
        wait(py, self.paging(token)?)
    }

    /// As `pages`, to be awaited.
    #[pyo3(signature = (token = None))]
    fn apages<'py>(&self, py: Python<'py>, token: Option<&str>) -> PyResult<Bound<'py, PyAny>> {
        awaitable(py, self.paging(token)?)
    }

    fn __repr__(&self) -> String {
        format!("<Export of {}>", self.indices)
    }
}

/// The pages of an export that goes on: iterated by ``for`` or ``async for``.
///
/// Who is interrupted, or cancels what is awaited, can go on with it: a page that was just ready comes next.
#[pyclass(module = "clusterops.logs", frozen)]
#[derive(Debug)]
pub(crate) struct ExportPages {
    source: Owned<Arc<Paging>>,
    total: u64,
}

/// The pages, and what nobody has taken yet: a page, the end, or why there is none.
#[derive(Debug)]
pub(super) struct Paging {
    pages: Mutex<export::Pages>,
    kept: Kept<logs::Result<Option<Arc<export::Page>>>>,
    pub(super) is_oldest_first: bool,
}

impl Paging {
    /// The next page, for who hands on its hits; first what nobody has taken yet.
    pub(super) async fn page(&self) -> logs::Result<Option<Arc<export::Page>>> {
        let mut pages = self.pages.lock().await;
        if let Some(Ok(kept)) = self.kept.take() {
            return kept;
        }
        Ok(pages.next().await?.map(Arc::new))
    }
}

impl Source for Paging {
    type Piece = Option<ExportPage>;

    async fn fetch(self: Arc<Self>) {
        let mut pages = self.pages.lock().await;
        if !self.kept.is_there() {
            let page = pages.next().await;
            self.kept.keep(Ok(page.map(|page| page.map(Arc::new))));
        }
    }

    fn take(&self) -> Option<PyResult<Option<ExportPage>>> {
        let kept = self.kept.take()?;
        Some(kept.and_then(|page| Ok(page.map_err(raise)?.map(ExportPage))))
    }
}

impl ExportPages {
    pub(super) fn source(&self) -> PyResult<&Arc<Paging>> {
        self.source.get("the export")
    }
}

#[pymethods]
impl ExportPages {
    /// How many documents there are, counted at the start.
    #[getter]
    fn total(&self) -> u64 {
        self.total
    }

    fn __iter__(slf: PyRef<'_, Self>) -> PyRef<'_, Self> {
        slf
    }

    fn __next__(&self, py: Python<'_>) -> PyResult<Option<ExportPage>> {
        blocking(self.source()?, |fetching| wait(py, fetching))
    }

    fn __aiter__(slf: PyRef<'_, Self>) -> PyRef<'_, Self> {
        slf
    }

    fn __anext__(&self) -> PyResult<Handed> {
        Ok(awaited(self.source()?).or_end())
    }

    fn __repr__(&self) -> String {
        format!("<ExportPages of {} documents>", self.total)
    }
}

/// A page of an export.
#[pyclass(module = "clusterops.logs", frozen)]
#[derive(Debug)]
pub(crate) struct ExportPage(Arc<export::Page>);

#[pymethods]
impl ExportPage {
    /// The documents, in order.
    #[getter]
    fn hits(&self) -> PyResult<Vec<Hit>> {
        let hits = self.0.hits();
        hits.map(|hit| hit.to_hit().map(Hit).map_err(raise))
            .collect()
    }

    /// Where the export stands once this page and all before it are finished with.
    #[getter]
    fn token(&self) -> String {
        self.0.token().to_string()
    }

    fn __len__(&self) -> usize {
        self.0.len()
    }

    fn __repr__(&self) -> String {
        format!("<ExportPage of {} documents>", self.0.len())
    }
}

/// How far an export is; its text says it in one line.
#[pyclass(module = "clusterops.logs", frozen)]
#[derive(Debug)]
pub(crate) struct ExportProgress(export::Progress);

#[pymethods]
impl ExportProgress {
    /// How many documents were handed on.
    #[getter]
    fn done(&self) -> u64 {
        self.0.done
    }

    /// How many there are, counted at the start.
    #[getter]
    fn total(&self) -> u64 {
        self.0.total
    }

    /// Documents per second of late.
    #[getter]
    fn rate(&self) -> Option<f64> {
        self.0.rate
    }

    /// How long the rest may take: at least, and at most.
    #[getter]
    fn remaining<'py>(
        &self,
        py: Python<'py>,
    ) -> PyResult<Option<(Bound<'py, PyDelta>, Bound<'py, PyDelta>)>> {
        let Some((least, most)) = self.0.remaining else {
            return Ok(None);
        };
        Ok(Some((least.into_pyobject(py)?, most.into_pyobject(py)?)))
    }

    fn __str__(&self) -> String {
        self.0.to_string()
    }

    fn __repr__(&self) -> String {
        format!("<ExportProgress {}>", self.0)
    }
}

/// What has been exported into a file.
#[pyclass(module = "clusterops.logs", frozen)]
#[derive(Debug)]
pub(crate) struct ExportSummary(export::Summary);

#[pymethods]
impl ExportSummary {
    /// How many documents were written, by the calls before this one too.
    #[getter]
    fn documents(&self) -> u64 {
        self.0.documents
    }

    /// How many were counted at the start.
    #[getter]
    fn total(&self) -> u64 {
        self.0.total
    }

    /// How long the file is.
    #[getter]
    fn bytes(&self) -> u64 {
        self.0.bytes
    }

    /// Whether all of it is of one point in time.
    #[getter]
    fn frozen(&self) -> bool {
        self.0.frozen
    }

    /// Whether as many documents were written as there were at the start.
    #[getter]
    fn is_whole(&self) -> bool {
        self.0.is_whole()
    }

    fn __repr__(&self) -> String {
        let (written, total) = (self.0.documents, self.0.total);
        format!("<ExportSummary {written} of {total} documents>")
    }
}
