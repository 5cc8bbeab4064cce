//! How many, when, and which values are frequent.

use clusterops::logs::look;
use pyo3::prelude::*;
use pyo3::types::PyDelta;

use super::client::{Client, indices};
use super::context::{Excerpt, Whose, context};
use super::query::Asked;
use crate::errors::raise;
use crate::owned::Owned;
use crate::report::time;
use crate::runtime::{awaitable, wait};
use crate::words::Span;

/// A look at what a query finds in some indices.
///
/// Parameters
/// ----------
/// client : Client
/// indices : str
/// query : Query or dict
/// exclude : sequence of Query or dict, optional
///     What is left out.
/// time_field : str
///
/// Examples
/// --------
/// >>> from clusterops.logs import Client, Look, Query
/// >>> look = Look(Client("http://127.0.0.1:9200"), "logs-*", Query.kql("level: error"))
/// >>> look
/// <Look at logs-*>
#[pyclass(module = "clusterops.logs", frozen)]
#[derive(Debug)]
pub(crate) struct Look {
    inner: Owned<look::Look>,
    indices: String,
}

impl Look {
    fn inner(&self) -> PyResult<look::Look> {
        let look = self.inner.get(format_args!("the look at {}", self.indices));
        look.cloned()
    }

    fn counting(&self) -> PyResult<impl Future<Output = PyResult<u64>> + Send + 'static> {
        let look = self.inner()?;
        Ok(async move { look.count().await.map_err(raise) })
    }

    fn drawing(
        &self,
        most: usize,
        interval: Option<Span>,
    ) -> PyResult<impl Future<Output = PyResult<Histogram>> + Send + 'static> {
        let look = self.inner()?;
        Ok(async move {
            let histogram = match interval {
                Some(interval) => look.histogram_by(interval.0).await,
                None => look.histogram(most).await,
            };
            histogram.map(Histogram).map_err(raise)
        })
    }

    fn topping(
        &self,
        field: String,
        most: u32,
    ) -> PyResult<impl Future<Output = PyResult<Top>> + Send + 'static> {
        let look = self.inner()?;
        Ok(async move { look.top(&field, most).await.map(Top).map_err(raise) })
    }

    fn excerpting(
        &self,
        most: usize,
        context: look::Context,
    ) -> PyResult<impl Future<Output = PyResult<Vec<Excerpt>>> + Send + 'static> {
        let look = self.inner()?;
        Ok(async move {
            let excerpts = look.excerpts(&context, most).await.map_err(raise)?;
            Ok(excerpts.into_iter().map(Excerpt).collect())
        })
    }

    fn showing(
        &self,
        index: String,
        id: String,
        context: look::Context,
    ) -> PyResult<impl Future<Output = PyResult<Excerpt>> + Send + 'static> {
        let look = self.inner()?;
        Ok(async move {
            let excerpt = look.around(&index, &id, &context).await;
            excerpt.map(Excerpt).map_err(raise)
        })
    }
}

#[pymethods]
impl Look {
    #[new]
    #[pyo3(signature = (client, indices, query, *, exclude = None, time_field = "@timestamp"))]
    fn new(
        client: &Client,
        indices: &str,
        query: Asked,
        exclude: Option<Vec<Asked>>,
        time_field: &str,
    ) -> PyResult<Self> {
        let expression = self::indices(indices)?;
        let mut look =
            look::Look::new(client.inner()?, &expression, query.0).time_field(time_field);
        for query in exclude.unwrap_or_default() {
            look = look.exclude(query.0);
        }
        Ok(Self {
            inner: Owned::new(look),
            indices: indices.to_owned(),
        })
    }

    /// How many documents there are.
    fn count(&self, py: Python<'_>) -> PyResult<u64> {
        wait(py, self.counting()?)
    }

    /// As `count`, to be awaited.
    fn acount<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        awaitable(py, self.counting()?)
    }

    /// How many documents there are over time: in so many intervals at most, or in intervals of this length.
    #[pyo3(signature = (most = 60, *, interval = None))]
    fn histogram(
        &self,
        py: Python<'_>,
        most: usize,
        interval: Option<Span>,
    ) -> PyResult<Histogram> {
        wait(py, self.drawing(most, interval)?)
    }

    /// As `histogram`, to be awaited.
    #[pyo3(signature = (most = 60, *, interval = None))]
    fn ahistogram<'py>(
        &self,
        py: Python<'py>,
        most: usize,
        interval: Option<Span>,
    ) -> PyResult<Bound<'py, PyAny>> {
        awaitable(py, self.drawing(most, interval)?)
    }

    /// The most frequent values of a field, so many at most.
    ///
    /// Raises
    /// ------
    /// NotFoundError
    ///     No index has the field.
    #[pyo3(signature = (field, most = 10))]
    fn top(&self, py: Python<'_>, field: String, most: u32) -> PyResult<Top> {
        wait(py, self.topping(field, most)?)
    }

    /// As `top`, to be awaited.
    #[pyo3(signature = (field, most = 10))]
    fn atop<'py>(&self, py: Python<'py>, field: String, most: u32) -> PyResult<Bound<'py, PyAny>> {
        awaitable(py, self.topping(field, most)?)
    }

    /// The newest lines that are found, with what stands around them: the oldest first, and excerpts that overlap or touch as
    /// one, as with grep(1).
    ///
    /// Around a line the query does not hold, but what is excluded stays so.
    ///
    /// Parameters
    /// ----------
    /// most : int
    ///     How many lines at most.
    /// before, after : int
    ///     How many lines before and after each.
    /// origin : {'host', 'service', 'container'} or sequence of str, optional
    ///     Whose lines stand around a line: those of the same host, where it is left out; else those with the same values in
    ///     all of these fields.
    #[pyo3(signature = (most = 10, *, before = 0, after = 0, origin = None))]
    fn excerpts(
        &self,
        py: Python<'_>,
        most: usize,
        before: usize,
        after: usize,
        origin: Option<Whose>,
    ) -> PyResult<Vec<Excerpt>> {
        wait(py, self.excerpting(most, context(before, after, origin))?)
    }

    /// As `excerpts`, to be awaited.
    #[pyo3(signature = (most = 10, *, before = 0, after = 0, origin = None))]
    fn aexcerpts<'py>(
        &self,
        py: Python<'py>,
        most: usize,
        before: usize,
        after: usize,
        origin: Option<Whose>,
    ) -> PyResult<Bound<'py, PyAny>> {
        awaitable(py, self.excerpting(most, context(before, after, origin))?)
    }

    /// A line, and what stands around it; the query need not find it. The keywords are those of `excerpts`.
    ///
    /// Raises
    /// ------
    /// NotFoundError
    ///     The document is not there.
    #[pyo3(signature = (index, id, *, before = 0, after = 0, origin = None))]
    fn around(
        &self,
        py: Python<'_>,
        index: String,
        id: String,
        before: usize,
        after: usize,
        origin: Option<Whose>,
    ) -> PyResult<Excerpt> {
        wait(py, self.showing(index, id, context(before, after, origin))?)
    }

    /// As `around`, to be awaited.
    #[pyo3(signature = (index, id, *, before = 0, after = 0, origin = None))]
    fn aaround<'py>(
        &self,
        py: Python<'py>,
        index: String,
        id: String,
        before: usize,
        after: usize,
        origin: Option<Whose>,
    ) -> PyResult<Bound<'py, PyAny>> {
        awaitable(py, self.showing(index, id, context(before, after, origin))?)
    }

    fn __repr__(&self) -> String {
        format!("<Look at {}>", self.indices)
    }
}

/// How many documents there are over time; its text is a drawing.
#[pyclass(module = "clusterops.logs", frozen)]
#[derive(Debug)]
pub(crate) struct Histogram(look::Histogram);

#[pymethods]
impl Histogram {
    /// How long each interval is.
    #[getter]
    fn interval<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDelta>> {
        self.0.interval.into_pyobject(py)
    }

    /// When each interval begins and how many documents it has, without a gap, the earliest first.
    #[getter]
    fn buckets<'py>(&self, py: Python<'py>) -> PyResult<Vec<(Bound<'py, PyAny>, u64)>> {
        let buckets = self.0.buckets.iter();
        buckets
            .map(|bucket| Ok((time(py, bucket.start.as_microsecond())?, bucket.count)))
            .collect()
    }

    /// How many documents all intervals have.
    #[getter]
    fn total(&self) -> u64 {
        self.0.total()
    }

    /// A drawing so many columns wide, with bars so many lines high.
    #[pyo3(signature = (width = 80, height = 6))]
    fn draw(&self, width: usize, height: usize) -> String {
        self.0.draw(width, height)
    }

    fn __str__(&self) -> String {
        self.0.draw(80, 6)
    }

    fn __repr__(&self) -> String {
        let (buckets, total) = (self.0.buckets.len(), self.0.total());
        format!("<Histogram of {total} documents in {buckets} intervals>")
    }
}

/// The most frequent values of a field.
#[pyclass(module = "clusterops.logs", frozen)]
#[derive(Debug)]
pub(crate) struct Top(look::Top);

#[pymethods]
impl Top {
    /// The field that was counted: the one asked for, or its subfield for whole values.
    #[getter]
    fn field(&self) -> &str {
        &self.0.field
    }

    /// The values and how many documents have each, the most frequent first.
    #[getter]
    fn values(&self) -> Vec<(String, u64)> {
        let values = self.0.values.iter();
        values
            .map(|value| (value.value.clone(), value.count))
            .collect()
    }

    /// How many documents have values that are not shown.
    #[getter]
    fn other(&self) -> u64 {
        self.0.other
    }

    /// By how much a count may be too low.
    #[getter]
    fn error_bound(&self) -> u64 {
        self.0.error_bound
    }

    /// Whether the counts are exact.
    #[getter]
    fn is_exact(&self) -> bool {
        self.0.is_exact()
    }

    fn __repr__(&self) -> String {
        format!("<Top {} values of {}>", self.0.values.len(), self.0.field)
    }
}
