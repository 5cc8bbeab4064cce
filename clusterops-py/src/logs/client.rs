//! The client: the nodes of one cluster.

use clusterops::logs::client::{Product, Server};
use clusterops::logs::search::{Sort, SourceFilter, TotalHits};
use clusterops::logs::{self, Indices, Search};
use pyo3::exceptions::{PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyString};

use super::aggregation::Wanted;
use super::bulk::{Bulk, BulkItem};
use super::fields::{Fields, Validation};
use super::hit::Page;
use super::pit::Pit;
use super::query::Asked;
use super::value_of;
use crate::errors::raise;
use crate::http::http_options;
use crate::owned::Owned;
use crate::runtime::{awaitable, wait};
use crate::table::Table;
use crate::words::{Span, quoted};

/// Speaks to one cluster of OpenSearch or Elasticsearch over some of its nodes.
///
/// Parameters
/// ----------
/// nodes : str or sequence of str
///     The URLs of one node at least.
/// product : {'opensearch', 'elasticsearch'}, optional
/// version : tuple of int, optional
///     With `product`: what the cluster runs, as ``(2, 19, 1)``. The cluster is asked, where it is left out.
/// **options
///     Those of `clusterops.HttpOptions`.
///
/// Examples
/// --------
/// >>> from clusterops.logs import Client
/// >>> Client(["https://es1.example.org:9200", "https://es2.example.org:9200"], authorization=("ApiKey", "VnVhQ2ZHY0J"))
/// <Client 'https://es1.example.org:9200', 'https://es2.example.org:9200'>
#[pyclass(module = "clusterops.logs", frozen)]
#[derive(Debug)]
pub(crate) struct Client {
    urls: Vec<String>,
    inner: Owned<logs::Client>,
}

/// What a cluster runs.
#[pyclass(module = "clusterops.logs", frozen, eq)]
#[derive(Debug, PartialEq)]
pub(crate) struct LogServer(Server);

#[pymethods]
impl LogServer {
    /// ``opensearch`` or ``elasticsearch``.
    #[getter]
    fn product(&self) -> &'static str {
        match self.0.product() {
            Product::OpenSearch => "opensearch",
            Product::Elasticsearch => "elasticsearch",
            _ => "other",
        }
    }

    /// The version: major, minor, patch.
    #[getter]
    fn version(&self) -> (u32, u32, u32) {
        self.0.version()
    }

    fn __str__(&self) -> String {
        self.0.to_string()
    }

    fn __repr__(&self) -> String {
        format!("<LogServer {}>", self.0)
    }
}

/// The indices that an expression names.
pub(super) fn indices(expression: &str) -> PyResult<Indices> {
    Indices::new(expression).map_err(raise)
}

/// A search with the keywords of `clusterops.SearchOptions`.
pub(super) fn search(query: Asked, options: Option<&Bound<'_, PyDict>>) -> PyResult<Search> {
    let mut search = Search::new(query.0);
    for (name, value) in options.into_iter().flatten() {
        let name: String = name.extract()?;
        search = with(search, &name, &value).map_err(|error| {
            match error.is_instance_of::<PyTypeError>(value.py()) {
                true => PyTypeError::new_err(format!("{name}: {}", error.value(value.py()))),
                false => error,
            }
        })?;
    }
    search.check().map_err(raise)?;
    Ok(search)
}

/// A search with one option more.
fn with(mut search: Search, name: &str, value: &Bound<'_, PyAny>) -> PyResult<Search> {
    match name {
        "size" => search = search.size(value.extract()?),
        "sort" => {
            for sort in value.try_iter()? {
                search = search.sort(Sort::raw(value_of(&sort?)?));
            }
        }
        "source" => search = search.source(SourceFilter::from(value_of(value)?)),
        "track_total_hits" => {
            search = search.track_total_hits(match value.extract::<bool>() {
                Ok(true) => TotalHits::Exact,
                Ok(false) => TotalHits::Off,
                Err(_) => TotalHits::UpTo(value.extract()?),
            });
        }
        "aggregations" => {
            for (name, aggregation) in value.extract::<Table<Wanted>>()?.0 {
                search = search.aggregation(name, aggregation.0);
            }
        }
        "body" => {
            for (name, value) in value.cast::<PyDict>()? {
                search = search.raw(&name.extract::<String>()?, value_of(&value)?);
            }
        }
        _ => {
            let message = "a search has no such option; its `body` takes other members";
            return Err(PyTypeError::new_err(message));
        }
    }
    Ok(search)
}

impl Client {
    /// The client, in the process that made it: its connections are none of a child's.
    pub(super) fn inner(&self) -> PyResult<&logs::Client> {
        self.inner
            .get(format_args!("the client of {}", self.urls.join(", ")))
    }

    fn searching(
        &self,
        expression: &str,
        search: Search,
        partial: bool,
    ) -> PyResult<impl Future<Output = PyResult<Page>> + Send + 'static> {
        let (client, indices) = (self.inner()?.clone(), indices(expression)?);
        Ok(async move {
            let page = match partial {
                true => client.search_partial(&indices, &search).await,
                false => client.search(&indices, &search).await,
            };
            page.map(Page).map_err(raise)
        })
    }

    fn counting(
        &self,
        expression: &str,
        query: Asked,
    ) -> PyResult<impl Future<Output = PyResult<u64>> + Send + 'static> {
        let (client, indices) = (self.inner()?.clone(), indices(expression)?);
        Ok(async move { client.count(&indices, &query.0).await.map_err(raise) })
    }

    fn describing(
        &self,
        expression: &str,
        names: Option<Vec<String>>,
    ) -> PyResult<impl Future<Output = PyResult<Fields>> + Send + 'static> {
        let (client, indices) = (self.inner()?.clone(), indices(expression)?);
        Ok(async move {
            let names = names.unwrap_or_else(|| vec!["*".into()]);
            let names: Vec<&str> = names.iter().map(String::as_str).collect();
            let caps = client.field_caps(&indices, &names).await.map_err(raise)?;
            Ok(Fields((&caps).into()))
        })
    }

    fn validating(
        &self,
        expression: &str,
        query: Asked,
    ) -> PyResult<impl Future<Output = PyResult<Validation>> + Send + 'static> {
        let (client, indices) = (self.inner()?.clone(), indices(expression)?);
        Ok(async move {
            let validation = client.validate(&indices, &query.0).await;
            validation.map(Validation).map_err(raise)
        })
    }

    fn writing(
        &self,
        bulk: &Bulk,
        partial: bool,
    ) -> PyResult<impl Future<Output = PyResult<Vec<BulkItem>>> + Send + 'static> {
        let (client, bulk) = (self.inner()?.clone(), bulk.inner());
        Ok(async move {
            let answer = match partial {
                true => client.bulk_partial(&bulk).await,
                false => client.bulk(&bulk).await,
            };
            let items = answer.map_err(raise)?.items;
            Ok(items.into_iter().map(BulkItem).collect())
        })
    }

    fn refreshing(
        &self,
        expression: &str,
    ) -> PyResult<impl Future<Output = PyResult<()>> + Send + 'static> {
        let (client, indices) = (self.inner()?.clone(), indices(expression)?);
        Ok(async move { client.refresh(&indices).await.map_err(raise) })
    }

    fn asking(&self) -> PyResult<impl Future<Output = PyResult<LogServer>> + Send + 'static> {
        let client = self.inner()?.clone();
        Ok(async move { client.server().await.cloned().map(LogServer).map_err(raise) })
    }
}

#[pymethods]
impl Client {
    #[new]
    #[pyo3(signature = (nodes, *, product = None, version = None, **options))]
    fn new(
        nodes: &Bound<'_, PyAny>,
        product: Option<&str>,
        version: Option<(u32, u32, u32)>,
        options: Option<&Bound<'_, PyDict>>,
    ) -> PyResult<Self> {
        let nodes: Vec<String> = match nodes.cast::<PyString>() {
            Ok(node) => vec![node.extract()?],
            Err(_) => nodes.extract()?,
        };
        let mut client = logs::Client::new(&nodes, http_options(options)?).map_err(raise)?;
        let product = match product {
            None => None,
            Some("opensearch") => Some(Product::OpenSearch),
            Some("elasticsearch") => Some(Product::Elasticsearch),
            Some(other) => {
                let message = format!("product is 'opensearch' or 'elasticsearch', not '{other}'");
                return Err(PyValueError::new_err(message));
            }
        };
        match (product, version) {
            (Some(product), Some(version)) => {
                client = client.assume(Server::new(product, version).map_err(raise)?);
            }
            (None, None) => {}
            _ => return Err(PyTypeError::new_err("product and version go together")),
        }
        Ok(Self {
            urls: client.urls().map(str::to_owned).collect(),
            inner: Owned::new(client),
        })
    }

    /// The nodes' URLs.
    #[getter]
    fn urls(&self) -> Vec<String> {
        self.urls.clone()
    }

    /// What the cluster runs; asked once.
    ///
    /// Raises
    /// ------
    /// ServerError
    ///     Something else answers, or a version that is not spoken here.
    fn server(&self, py: Python<'_>) -> PyResult<LogServer> {
        wait(py, self.asking()?)
    }

    /// As `server`, to be awaited.
    fn aserver<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        awaitable(py, self.asking()?)
    }

    /// Searches, and gives a page that covers everything asked for.
    ///
    /// Parameters
    /// ----------
    /// indices : str
    ///     An expression such as ``logs-*,-logs-old``.
    /// query : Query or dict
    /// partial : bool
    ///     Whether a page is given that lacks something, in place of an error.
    /// **options
    ///     Those of `clusterops.SearchOptions`.
    ///
    /// Raises
    /// ------
    /// ServerError
    ///     Some of what was asked for is missing (``kind`` is ``partial``), or the server could not answer.
    #[pyo3(signature = (indices, query, *, partial = false, **options))]
    fn search(
        &self,
        py: Python<'_>,
        indices: &str,
        query: Asked,
        partial: bool,
        options: Option<&Bound<'_, PyDict>>,
    ) -> PyResult<Page> {
        wait(
            py,
            self.searching(indices, search(query, options)?, partial)?,
        )
    }

    /// As `search`, to be awaited.
    #[pyo3(signature = (indices, query, *, partial = false, **options))]
    fn asearch<'py>(
        &self,
        py: Python<'py>,
        indices: &str,
        query: Asked,
        partial: bool,
        options: Option<&Bound<'py, PyDict>>,
    ) -> PyResult<Bound<'py, PyAny>> {
        awaitable(
            py,
            self.searching(indices, search(query, options)?, partial)?,
        )
    }

    /// How many documents match.
    fn count(&self, py: Python<'_>, indices: &str, query: Asked) -> PyResult<u64> {
        wait(py, self.counting(indices, query)?)
    }

    /// As `count`, to be awaited.
    fn acount<'py>(
        &self,
        py: Python<'py>,
        indices: &str,
        query: Asked,
    ) -> PyResult<Bound<'py, PyAny>> {
        awaitable(py, self.counting(indices, query)?)
    }

    /// The fields of indices and their types, for `Query.kql`.
    ///
    /// Parameters
    /// ----------
    /// indices : str
    /// names : sequence of str, optional
    ///     Names or patterns; all fields, where they are left out.
    #[pyo3(signature = (indices, names = None))]
    fn fields(
        &self,
        py: Python<'_>,
        indices: &str,
        names: Option<Vec<String>>,
    ) -> PyResult<Fields> {
        wait(py, self.describing(indices, names)?)
    }

    /// As `fields`, to be awaited.
    #[pyo3(signature = (indices, names = None))]
    fn afields<'py>(
        &self,
        py: Python<'py>,
        indices: &str,
        names: Option<Vec<String>>,
    ) -> PyResult<Bound<'py, PyAny>> {
        awaitable(py, self.describing(indices, names)?)
    }

    /// Whether a query would be accepted by these indices; one that would not is no error.
    fn validate(&self, py: Python<'_>, indices: &str, query: Asked) -> PyResult<Validation> {
        wait(py, self.validating(indices, query)?)
    }

    /// As `validate`, to be awaited.
    fn avalidate<'py>(
        &self,
        py: Python<'py>,
        indices: &str,
        query: Asked,
    ) -> PyResult<Bound<'py, PyAny>> {
        awaitable(py, self.validating(indices, query)?)
    }

    /// Writes and deletes documents in one request, which is sent once.
    ///
    /// Parameters
    /// ----------
    /// bulk : Bulk
    /// partial : bool
    ///     Whether what failed stands in the answer, in place of an error.
    ///
    /// Returns
    /// -------
    /// list of BulkItem
    ///     What became of each, in the order given.
    ///
    /// Raises
    /// ------
    /// ServerError
    ///     Something failed (``kind`` is ``partial``); what did not is written.
    #[pyo3(signature = (bulk, *, partial = false))]
    fn bulk(&self, py: Python<'_>, bulk: &Bulk, partial: bool) -> PyResult<Vec<BulkItem>> {
        wait(py, self.writing(bulk, partial)?)
    }

    /// As `bulk`, to be awaited.
    #[pyo3(signature = (bulk, *, partial = false))]
    fn abulk<'py>(
        &self,
        py: Python<'py>,
        bulk: &Bulk,
        partial: bool,
    ) -> PyResult<Bound<'py, PyAny>> {
        awaitable(py, self.writing(bulk, partial)?)
    }

    /// Makes visible to searches what was written to these indices.
    fn refresh(&self, py: Python<'_>, indices: &str) -> PyResult<()> {
        wait(py, self.refreshing(indices)?)
    }

    /// As `refresh`, to be awaited.
    fn arefresh<'py>(&self, py: Python<'py>, indices: &str) -> PyResult<Bound<'py, PyAny>> {
        awaitable(py, self.refreshing(indices)?)
    }

    /// Opens a point in time, which the server keeps for this long after each search.
    ///
    /// Parameters
    /// ----------
    /// indices : str
    /// keep_alive : timedelta or float
    ///     Floats are seconds.
    ///
    /// Raises
    /// ------
    /// InvalidError
    ///     The server has no points in time.
    #[pyo3(signature = (indices, keep_alive))]
    fn open_pit(&self, py: Python<'_>, indices: &str, keep_alive: Span) -> PyResult<Pit> {
        let indices = self::indices(indices)?;
        wait(py, Pit::open(self.inner()?.clone(), indices, keep_alive.0))
    }

    /// As `open_pit`, to be awaited: ``async with await client.aopen_pit("logs-*", 60) as pit``.
    #[pyo3(signature = (indices, keep_alive))]
    fn aopen_pit<'py>(
        &self,
        py: Python<'py>,
        indices: &str,
        keep_alive: Span,
    ) -> PyResult<Bound<'py, PyAny>> {
        let indices = self::indices(indices)?;
        awaitable(py, Pit::open(self.inner()?.clone(), indices, keep_alive.0))
    }

    fn __repr__(&self, py: Python<'_>) -> PyResult<String> {
        let urls: PyResult<Vec<String>> = self.urls.iter().map(|url| quoted(py, url)).collect();
        Ok(format!("<Client {}>", urls?.join(", ")))
    }
}
