//! What is worked out over all that a query finds.

use clusterops::logs::search::{self, Bucket, Interval};
use clusterops::logs::{Query, Search};
use pyo3::exceptions::{PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyString};
use serde_json::Value;

use super::query::{Asked, Given};
use super::value_of;
use crate::errors::{Raised, raise};
use crate::table::Table;
use crate::words::{Span, plain, takes};

/// What a server works out over all that a query finds: buckets of documents, or a figure.
///
/// Options are keywords by the names that the servers document (``size=5``, ``missing=0``), and are sent as they are. Buckets
/// take `aggregations` of their own; wherever one is taken, its JSON as a ``dict`` is taken too. What no server would take
/// is an error where it is said. `Page.aggregations` has what comes of them.
///
/// Examples
/// --------
/// >>> from clusterops.logs import Aggregation
/// >>> hosts = Aggregation.terms("host.name", size=5, aggregations={"slowest": Aggregation.max("took_ms")})
/// >>> hosts.to_dict()["aggs"]
/// {'slowest': {'max': {'field': 'took_ms'}}}
/// >>> page = client.search("logs-*", query, size=0, aggregations={"hosts": hosts})  # doctest: +SKIP
/// >>> page.aggregations["hosts"]["buckets"]  # doctest: +SKIP
/// [{'key': 'web1', 'doc_count': 12, 'slowest': {'value': 310.0}}]
#[pyclass(module = "clusterops.logs", frozen, eq)]
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Aggregation(search::Aggregation);

/// An aggregation as Python gives it: one of ours, or its JSON.
pub(super) struct Wanted(pub(super) search::Aggregation);

impl<'py> FromPyObject<'_, 'py> for Wanted {
    type Error = PyErr;
    takes!("Aggregation | dict[str, Any]");

    fn extract(value: Borrowed<'_, 'py, PyAny>) -> PyResult<Self> {
        if let Ok(aggregation) = value.cast::<Aggregation>() {
            return Ok(Self(aggregation.get().0.clone()));
        }
        match value.cast::<PyDict>() {
            Ok(members) => Ok(Self(search::Aggregation::raw(value_of(members.as_any())?))),
            Err(_) => {
                let message = "an aggregation is an Aggregation or its JSON as a dict";
                Err(PyTypeError::new_err(message))
            }
        }
    }
}

/// The two ends of a range, of which one may be open.
struct Ends(Bucket);

impl<'py> FromPyObject<'_, 'py> for Ends {
    type Error = PyErr;
    takes!("tuple[_Value, _Value]");

    fn extract(value: Borrowed<'_, 'py, PyAny>) -> PyResult<Self> {
        match value.extract::<(Option<Given>, Option<Given>)>()? {
            (Some(start), Some(end)) => Ok(Self(Bucket::between(start.0, end.0))),
            (Some(start), None) => Ok(Self(Bucket::from(start.0))),
            (None, Some(end)) => Ok(Self(Bucket::to(end.0))),
            (None, None) => Err(PyValueError::new_err("a range has a start or an end")),
        }
    }
}

/// A step of time: a word of the calendar, or a span.
struct Step(Interval);

impl<'py> FromPyObject<'_, 'py> for Step {
    type Error = PyErr;
    takes!("str | timedelta | float");

    fn extract(value: Borrowed<'_, 'py, PyAny>) -> PyResult<Self> {
        let Ok(word) = value.cast::<PyString>() else {
            return Ok(Self(Interval::Fixed(value.extract::<Span>()?.0)));
        };
        Ok(Self(match word.extract::<&str>()? {
            "minute" => Interval::Minute,
            "hour" => Interval::Hour,
            "day" => Interval::Day,
            "week" => Interval::Week,
            "month" => Interval::Month,
            "quarter" => Interval::Quarter,
            "year" => Interval::Year,
            other => {
                let message = format!(
                    "interval is a span, or minute, hour, day, week, month, quarter or year, not '{other}'"
                );
                return Err(Raised::invalid(message).into());
            }
        }))
    }
}

/// Finishes an aggregation: its options, and what is worked out over each of its buckets.
macro_rules! finished {
    ($aggregation:expr, $options:expr $(, $below:expr)?) => {{
        let mut aggregation = $aggregation;
        for (name, value) in $options.into_iter().flatten() {
            aggregation = aggregation.raw(&name.extract::<String>()?, value_of(&value)?);
        }
        $(for (name, below) in $below.into_iter().flat_map(|below| below.0) {
            aggregation = aggregation.aggregation(name, below.0);
        })?
        let aggregation = Aggregation(aggregation.into());
        aggregation.alone()?;
        Ok(aggregation)
    }};
}

impl Aggregation {
    /// A search for it alone, as JSON, where it can be sent.
    fn alone(&self) -> PyResult<Value> {
        let search = Search::new(Query::match_all()).aggregation("a", self.0.clone());
        search.to_json().map_err(raise)
    }
}

#[pymethods]
impl Aggregation {
    /// A bucket for each value of a field; the ten with most documents, unless ``size`` says otherwise.
    #[staticmethod]
    #[pyo3(signature = (field, *, aggregations = None, **options))]
    fn terms(
        field: &str,
        aggregations: Option<Table<Wanted>>,
        options: Option<&Bound<'_, PyDict>>,
    ) -> PyResult<Self> {
        finished!(search::Aggregation::terms(field), options, aggregations)
    }

    /// A bucket for each step of a number.
    #[staticmethod]
    #[pyo3(signature = (field, interval, *, aggregations = None, **options))]
    fn histogram(
        field: &str,
        interval: f64,
        aggregations: Option<Table<Wanted>>,
        options: Option<&Bound<'_, PyDict>>,
    ) -> PyResult<Self> {
        let histogram = search::Aggregation::histogram(field, interval);
        finished!(histogram, options, aggregations)
    }

    /// A bucket for each step of time: ``minute``, ``hour``, ``day``, ``week``, ``month``, ``quarter`` or ``year`` of the
    /// calendar, or a span.
    #[staticmethod]
    #[pyo3(signature = (field, interval, *, aggregations = None, **options))]
    fn date_histogram(
        field: &str,
        interval: Step,
        aggregations: Option<Table<Wanted>>,
        options: Option<&Bound<'_, PyDict>>,
    ) -> PyResult<Self> {
        let histogram = search::Aggregation::date_histogram(field, interval.0);
        finished!(histogram, options, aggregations)
    }

    /// A bucket for each range of numbers: pairs of a start and an end, of which one may be None.
    #[staticmethod]
    #[pyo3(signature = (field, ranges, *, aggregations = None, **options))]
    fn range(
        field: &str,
        ranges: Vec<Ends>,
        aggregations: Option<Table<Wanted>>,
        options: Option<&Bound<'_, PyDict>>,
    ) -> PyResult<Self> {
        let ranges = ranges.into_iter().map(|ends| ends.0);
        finished!(
            search::Aggregation::range(field, ranges),
            options,
            aggregations
        )
    }

    /// A bucket for each range of dates, which may be date math; otherwise as `range`.
    #[staticmethod]
    #[pyo3(signature = (field, ranges, *, aggregations = None, **options))]
    fn date_range(
        field: &str,
        ranges: Vec<Ends>,
        aggregations: Option<Table<Wanted>>,
        options: Option<&Bound<'_, PyDict>>,
    ) -> PyResult<Self> {
        let ranges = ranges.into_iter().map(|ends| ends.0);
        finished!(
            search::Aggregation::date_range(field, ranges),
            options,
            aggregations
        )
    }

    /// A bucket for each query, by its name.
    #[staticmethod]
    #[pyo3(signature = (filters, *, aggregations = None, **options))]
    fn filters(
        filters: Table<Asked>,
        aggregations: Option<Table<Wanted>>,
        options: Option<&Bound<'_, PyDict>>,
    ) -> PyResult<Self> {
        let filters = filters.0.into_iter().map(|(name, query)| (name, query.0));
        finished!(search::Aggregation::filters(filters), options, aggregations)
    }

    /// One bucket, of what a query finds.
    #[staticmethod]
    #[pyo3(signature = (query, *, aggregations = None))]
    fn filter(query: Asked, aggregations: Option<Table<Wanted>>) -> PyResult<Self> {
        let none: Option<&Bound<'_, PyDict>> = None;
        finished!(search::Aggregation::filter(query.0), none, aggregations)
    }

    /// One bucket, of the documents nested at a path.
    #[staticmethod]
    #[pyo3(signature = (path, *, aggregations = None))]
    fn nested(path: &str, aggregations: Option<Table<Wanted>>) -> PyResult<Self> {
        let none: Option<&Bound<'_, PyDict>> = None;
        finished!(search::Aggregation::nested(path), none, aggregations)
    }

    /// One bucket, of the documents without a value in a field.
    #[staticmethod]
    #[pyo3(signature = (field, *, aggregations = None))]
    fn missing(field: &str, aggregations: Option<Table<Wanted>>) -> PyResult<Self> {
        let none: Option<&Bound<'_, PyDict>> = None;
        finished!(search::Aggregation::missing(field), none, aggregations)
    }

    /// The least value.
    #[staticmethod]
    #[pyo3(signature = (field, **options))]
    fn min(field: &str, options: Option<&Bound<'_, PyDict>>) -> PyResult<Self> {
        finished!(search::Aggregation::min(field), options)
    }

    /// The greatest value.
    #[staticmethod]
    #[pyo3(signature = (field, **options))]
    fn max(field: &str, options: Option<&Bound<'_, PyDict>>) -> PyResult<Self> {
        finished!(search::Aggregation::max(field), options)
    }

    /// The average.
    #[staticmethod]
    #[pyo3(signature = (field, **options))]
    fn avg(field: &str, options: Option<&Bound<'_, PyDict>>) -> PyResult<Self> {
        finished!(search::Aggregation::avg(field), options)
    }

    /// The sum.
    #[staticmethod]
    #[pyo3(signature = (field, **options))]
    fn sum(field: &str, options: Option<&Bound<'_, PyDict>>) -> PyResult<Self> {
        finished!(search::Aggregation::sum(field), options)
    }

    /// How many values there are.
    #[staticmethod]
    #[pyo3(signature = (field, **options))]
    fn value_count(field: &str, options: Option<&Bound<'_, PyDict>>) -> PyResult<Self> {
        finished!(search::Aggregation::value_count(field), options)
    }

    /// Count, least, greatest, average and sum.
    #[staticmethod]
    #[pyo3(signature = (field, **options))]
    fn stats(field: &str, options: Option<&Bound<'_, PyDict>>) -> PyResult<Self> {
        finished!(search::Aggregation::stats(field), options)
    }

    /// About how many different values there are.
    #[staticmethod]
    #[pyo3(signature = (field, **options))]
    fn cardinality(field: &str, options: Option<&Bound<'_, PyDict>>) -> PyResult<Self> {
        finished!(search::Aggregation::cardinality(field), options)
    }

    /// Which values so many percent lie below.
    #[staticmethod]
    #[pyo3(signature = (field, **options))]
    fn percentiles(field: &str, options: Option<&Bound<'_, PyDict>>) -> PyResult<Self> {
        finished!(search::Aggregation::percentiles(field), options)
    }

    /// The aggregation as the servers take it.
    fn to_dict<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        plain(py, &self.alone()?["aggs"]["a"])
    }

    fn __repr__(&self) -> PyResult<String> {
        Ok(format!("<Aggregation {}>", self.alone()?["aggs"]["a"]))
    }
}
