//! What searches give.

use clusterops::logs;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDelta};
use serde_json::value::RawValue;

use crate::errors::Raised;
use crate::words::{plain, quoted};

/// One page of hits; it is a sequence of them.
#[pyclass(module = "clusterops.logs", frozen)]
#[derive(Debug)]
pub(crate) struct Page(pub(crate) logs::Page);

#[pymethods]
impl Page {
    /// The hits, in the order asked for.
    #[getter]
    fn hits(&self) -> Vec<Hit> {
        self.0.hits.iter().cloned().map(Hit).collect()
    }

    /// How many documents match, where the server counted them.
    #[getter]
    fn total(&self) -> Option<u64> {
        self.0.total
    }

    /// Whether at least that many match rather than exactly so many.
    #[getter]
    fn total_is_lower_bound(&self) -> bool {
        self.0.total_is_lower_bound
    }

    /// The best score, where scores were asked for.
    #[getter]
    fn max_score(&self) -> Option<f64> {
        self.0.max_score
    }

    /// How long the server took.
    #[getter]
    fn took<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDelta>> {
        std::time::Duration::from_millis(self.0.took).into_pyobject(py)
    }

    /// The aggregations, by name.
    #[getter]
    fn aggregations<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        plain(py, &self.0.aggregations)
    }

    /// What this page lacks of what was asked for, as an exception that can be raised; only a page that was asked for with
    /// ``partial=True`` can lack something.
    #[getter]
    fn shortfall<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyAny>>> {
        let shortfall = self.0.shortfall();
        shortfall
            .map(|error| Raised::from(&error).exception(py))
            .transpose()
    }

    fn __len__(&self) -> usize {
        self.0.hits.len()
    }

    fn __getitem__(&self, place: isize) -> PyResult<Hit> {
        let hits = &self.0.hits;
        let place = match place {
            0.. => place.unsigned_abs(),
            _ => hits.len().wrapping_sub(place.unsigned_abs()),
        };
        let hit = hits.get(place).cloned();
        hit.map(Hit)
            .ok_or_else(|| pyo3::exceptions::PyIndexError::new_err("there is no such hit"))
    }

    fn __repr__(&self) -> String {
        let total = self
            .0
            .total
            .map_or("?".to_owned(), |total| total.to_string());
        format!("<Page of {} hits, {total} in all>", self.0.hits.len())
    }
}

/// A document that was found.
#[pyclass(module = "clusterops.logs", frozen)]
#[derive(Debug)]
pub(crate) struct Hit(pub(crate) logs::Hit);

#[pymethods]
impl Hit {
    /// The index it stands in, with its cluster in front where that is another.
    #[getter]
    fn index(&self) -> &str {
        &self.0.index
    }

    /// Its id.
    #[getter]
    fn id(&self) -> &str {
        &self.0.id
    }

    /// How well it matches, where that was asked for.
    #[getter]
    fn score(&self) -> Option<f64> {
        self.0.score
    }

    /// Its version, where that was asked for.
    #[getter]
    fn version(&self) -> Option<u64> {
        self.0.version
    }

    /// The number of the operation that wrote it in its shard, where that was asked for.
    #[getter]
    fn seq_no(&self) -> Option<u64> {
        self.0.seq_no
    }

    /// The document, parsed at each call; None where it was not asked for.
    #[getter]
    fn source<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyAny>>> {
        let source = self.0.source.as_ref();
        source.map(|source| plain(py, source)).transpose()
    }

    /// The document as the server sent it.
    #[getter]
    fn source_bytes<'py>(&self, py: Python<'py>) -> Option<Bound<'py, PyBytes>> {
        let source = self.0.source.as_deref().map(RawValue::get);
        source.map(|source| PyBytes::new(py, source.as_bytes()))
    }

    /// Values asked for by name.
    #[getter]
    fn fields<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        plain(py, &self.0.fields)
    }

    /// What matched, by field, where highlighting was asked for.
    #[getter]
    fn highlight<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        plain(py, &self.0.highlight)
    }

    /// The names of the queries that matched, where they have names.
    #[getter]
    fn matched_queries(&self) -> Vec<String> {
        self.0.matched_queries.clone()
    }

    /// The values it was sorted by, which `search_after` takes.
    #[getter]
    fn sort<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        plain(py, &self.0.sort)
    }

    fn __repr__(&self, py: Python<'_>) -> PyResult<String> {
        let (index, id) = (quoted(py, &self.0.index)?, quoted(py, &self.0.id)?);
        Ok(format!("<Hit {index} {id}>"))
    }
}
