//! What documents to find.

use clusterops::logs::query::{self, Bounded, MinimumShouldMatch, Scalar};
use clusterops::logs::{Kql, kql};
use pyo3::prelude::*;
use pyo3::types::{PyBool, PyDict, PyFloat, PyInt, PyString};
use serde_json::Value;

use super::fields::Fields;
use super::{instant_of, value_of};
use crate::errors::{Raised, raise};
use crate::words::{json, plain, takes};

type RustQuery = clusterops::logs::Query;

/// What to find: each query starts at a function of this class.
///
/// Options are keywords by the names that the servers document (``boost``, ``operator="and"``, ``slop=2``), and are sent as
/// they are; ``name`` is sent as ``_name``. Where a query is taken, its JSON as a ``dict`` is taken too. Values are text,
/// numbers, ``datetime`` with a zone, addresses, or other JSON. What no server would take is an error where it is said.
///
/// Examples
/// --------
/// >>> from clusterops.logs import Query
/// >>> query = Query.bool(
/// ...     must=[Query.match("message", "connection refused", operator="and")],
/// ...     filter=[Query.term("level", "error"), Query.range("@timestamp", gte="now-15m")],
/// ...     must_not=[{"term": {"host.name": {"value": "web-7"}}}],
/// ... )
/// >>> query.to_dict()["bool"]["filter"][0]
/// {'term': {'level': {'value': 'error'}}}
/// >>> Query.range("@timestamp", gte="now-15min")
/// Traceback (most recent call last):
///     ...
/// clusterops.errors.InvalidError: range of `@timestamp`: `now-15min` is no date math...
#[pyclass(module = "clusterops.logs", frozen, eq)]
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Query(pub(crate) RustQuery);

/// A query as Python gives it: one of ours, or its JSON.
pub(crate) struct Asked(pub(crate) RustQuery);

impl<'py> FromPyObject<'_, 'py> for Asked {
    type Error = PyErr;
    takes!("Query | dict[str, Any]");

    fn extract(value: Borrowed<'_, 'py, PyAny>) -> PyResult<Self> {
        if let Ok(query) = value.cast::<Query>() {
            return Ok(Self(query.get().0.clone()));
        }
        match value.cast::<PyDict>() {
            Ok(members) => Ok(Self(RustQuery::raw(value_of(members.as_any())?))),
            Err(_) => {
                let message = "a query is a Query or its JSON as a dict";
                Err(pyo3::exceptions::PyTypeError::new_err(message))
            }
        }
    }
}

/// A value that a field is compared with.
pub(super) struct Given(pub(super) Scalar);

impl<'py> FromPyObject<'_, 'py> for Given {
    type Error = PyErr;
    takes!("str | float | bool | date | IPv4Address | IPv6Address | None");

    fn extract(value: Borrowed<'_, 'py, PyAny>) -> PyResult<Self> {
        if value.is_instance_of::<PyString>() {
            return Ok(Self(value.extract::<String>()?.into()));
        }
        let is_number = value.is_instance_of::<PyBool>()
            || value.is_instance_of::<PyInt>()
            || value.is_instance_of::<PyFloat>();
        if !is_number && value.hasattr("tzinfo")? && value.hasattr("date")? {
            return Ok(Self(instant_of(&value)?.into()));
        }
        // Those of `datetime.date` and `ipaddress`.
        for (mark, method) in [("isocalendar", "isoformat"), ("is_loopback", "__str__")] {
            if value.hasattr(mark)? {
                let text: String = value.call_method0(method)?.extract()?;
                return Ok(Self(text.into()));
            }
        }
        Ok(Self(value_of(&value)?.into()))
    }
}

/// How many clauses have to match: a number, or a text such as ``75%``.
struct Minimum(MinimumShouldMatch);

impl<'py> FromPyObject<'_, 'py> for Minimum {
    type Error = PyErr;
    takes!("int | str");

    fn extract(value: Borrowed<'_, 'py, PyAny>) -> PyResult<Self> {
        Ok(Self(match value.extract::<i32>() {
            Ok(count) => count.into(),
            Err(_) => value.extract::<&str>()?.into(),
        }))
    }
}

/// A query with its options: those that are checked, and the others in the server's own words.
macro_rules! refined {
    ($query:expr, $options:expr $(, $name:literal => |$this:ident, $value:ident| $set:expr)*) => {{
        let mut query = $query;
        for (name, value) in $options.into_iter().flatten() {
            let name: String = name.extract()?;
            query = match name.as_str() {
                "boost" => query.boost(value.extract()?),
                "name" => query.name(value.extract::<String>()?),
                $($name => {
                    let ($this, $value) = (query, &value);
                    $set
                })*
                other => query.raw(other, value_of(&value)?),
            };
        }
        checked(query)
    }};
}

fn checked(query: impl Into<RustQuery>) -> PyResult<Query> {
    let query = query.into();
    query.check().map_err(raise)?;
    Ok(Query(query))
}

#[pymethods]
impl Query {
    /// Every document.
    #[staticmethod]
    fn match_all() -> Self {
        Self(RustQuery::match_all())
    }

    /// No document.
    #[staticmethod]
    fn match_none() -> Self {
        Self(RustQuery::match_none())
    }

    /// A query in the server's own words, which nothing here checks.
    #[staticmethod]
    fn raw(query: &Bound<'_, PyDict>) -> PyResult<Self> {
        Ok(Self(RustQuery::raw(value_of(query.as_any())?)))
    }

    /// A query in KQL, Kibana's language.
    ///
    /// Parameters
    /// ----------
    /// text : str
    /// fields : Fields, optional
    ///     The fields of the indices that are searched (`Client.fields`): with them a keyword is looked for exactly, a date in
    ///     its zone, and a nested field where it is.
    /// time_zone : str, optional
    ///     The zone of dates that name none, an offset such as ``+01:00`` or a name; it needs `fields`.
    /// case_insensitive : bool, optional
    ///     Whether keywords are found in other cases too; it needs `fields`.
    /// ignore_unmapped : bool, optional
    ///     Whether nested paths that an index does not have are passed over.
    /// leading_wildcards : bool
    ///     Whether values can start with ``*``, which is slow.
    /// scored : bool
    ///     Whether what is joined by ``and`` counts for the score.
    ///
    /// Raises
    /// ------
    /// InvalidError
    ///     What does not read, at its column.
    #[staticmethod]
    #[pyo3(signature = (text, *, fields = None, time_zone = None, case_insensitive = None, ignore_unmapped = None, leading_wildcards = true, scored = false))]
    fn kql(
        text: &str,
        fields: Option<&Fields>,
        time_zone: Option<&str>,
        case_insensitive: Option<bool>,
        ignore_unmapped: Option<bool>,
        leading_wildcards: bool,
        scored: bool,
    ) -> PyResult<Self> {
        let mut language = Kql::new()
            .leading_wildcards(leading_wildcards)
            .scored(scored);
        if let Some(fields) = fields {
            language = language.fields(fields.0.clone());
        }
        if let Some(zone) = time_zone {
            language = language.time_zone(zone);
        }
        if let Some(ignore) = case_insensitive {
            language = language.case_insensitive(ignore);
        }
        if let Some(ignore) = ignore_unmapped {
            language = language.ignore_unmapped(ignore);
        }
        language.query(text).map(Self).map_err(raise)
    }

    /// Documents for which queries hold: all of `must` and `filter`, none of `must_not`, and of `should` as many as
    /// `minimum_should_match` says.
    #[staticmethod]
    #[pyo3(name = "bool", signature = (*, must = None, filter = None, should = None, must_not = None, minimum_should_match = None, **options))]
    fn all_of(
        must: Option<Vec<Asked>>,
        filter: Option<Vec<Asked>>,
        should: Option<Vec<Asked>>,
        must_not: Option<Vec<Asked>>,
        minimum_should_match: Option<Minimum>,
        options: Option<&Bound<'_, PyDict>>,
    ) -> PyResult<Self> {
        let each = |queries: Option<Vec<Asked>>| {
            let queries = queries.unwrap_or_default().into_iter();
            queries.map(|query| query.0)
        };
        let mut query = RustQuery::bool()
            .must_each(each(must))
            .filter_each(each(filter))
            .should_each(each(should))
            .must_not_each(each(must_not));
        if let Some(minimum) = minimum_should_match {
            query = query.minimum_should_match(minimum.0);
        }
        refined!(query, options)
    }

    /// Documents that a filter finds, all with the same score.
    #[staticmethod]
    #[pyo3(signature = (filter, **options))]
    fn constant_score(filter: Asked, options: Option<&Bound<'_, PyDict>>) -> PyResult<Self> {
        refined!(RustQuery::constant_score(filter.0), options)
    }

    /// Documents with nested ones at a path that a query finds.
    #[staticmethod]
    #[pyo3(signature = (path, query, **options))]
    fn nested(path: &str, query: Asked, options: Option<&Bound<'_, PyDict>>) -> PyResult<Self> {
        refined!(RustQuery::nested(path, query.0), options)
    }

    /// Documents with exactly this value.
    #[staticmethod]
    #[pyo3(signature = (field, value, **options))]
    fn term(field: &str, value: Given, options: Option<&Bound<'_, PyDict>>) -> PyResult<Self> {
        refined!(RustQuery::term(field, value.0), options)
    }

    /// Documents with one of these values.
    #[staticmethod]
    #[pyo3(signature = (field, values, *, boost = None, name = None))]
    fn terms(
        field: &str,
        values: Vec<Given>,
        boost: Option<f64>,
        name: Option<&str>,
    ) -> PyResult<Self> {
        let mut query = RustQuery::terms(field, values.into_iter().map(|value| value.0));
        if let Some(factor) = boost {
            query = query.boost(factor);
        }
        if let Some(name) = name {
            query = query.name(name);
        }
        checked(query)
    }

    /// Documents with any value in a field.
    #[staticmethod]
    #[pyo3(signature = (field, **options))]
    fn exists(field: &str, options: Option<&Bound<'_, PyDict>>) -> PyResult<Self> {
        refined!(RustQuery::exists(field), options)
    }

    /// Documents with a value that starts so.
    #[staticmethod]
    #[pyo3(signature = (field, start, **options))]
    fn prefix(field: &str, start: &str, options: Option<&Bound<'_, PyDict>>) -> PyResult<Self> {
        refined!(RustQuery::prefix(field, start), options)
    }

    /// Documents with a value that fits a pattern of ``*`` and ``?``.
    #[staticmethod]
    #[pyo3(signature = (field, pattern, **options))]
    fn wildcard(field: &str, pattern: &str, options: Option<&Bound<'_, PyDict>>) -> PyResult<Self> {
        refined!(RustQuery::wildcard(field, pattern), options)
    }

    /// Documents with a value that fits a regular expression of Lucene's.
    #[staticmethod]
    #[pyo3(signature = (field, expression, **options))]
    fn regexp(
        field: &str,
        expression: &str,
        options: Option<&Bound<'_, PyDict>>,
    ) -> PyResult<Self> {
        refined!(RustQuery::regexp(field, expression), options,
            "flags" => |query, value| query.flags(value.extract::<String>()?))
    }

    /// Documents with a value that is like this one.
    #[staticmethod]
    #[pyo3(signature = (field, value, **options))]
    fn fuzzy(field: &str, value: Given, options: Option<&Bound<'_, PyDict>>) -> PyResult<Self> {
        refined!(RustQuery::fuzzy(field, value.0), options)
    }

    /// Documents with these ids.
    #[staticmethod]
    #[pyo3(signature = (ids, **options))]
    fn ids(ids: Vec<String>, options: Option<&Bound<'_, PyDict>>) -> PyResult<Self> {
        refined!(RustQuery::ids(ids), options)
    }

    /// Documents with a value between bounds, of which one at least is given.
    #[staticmethod]
    #[pyo3(signature = (field, *, gt = None, gte = None, lt = None, lte = None, **options))]
    fn range(
        field: &str,
        gt: Option<Given>,
        gte: Option<Given>,
        lt: Option<Given>,
        lte: Option<Given>,
        options: Option<&Bound<'_, PyDict>>,
    ) -> PyResult<Self> {
        type Set = fn(Bounded, Scalar) -> Bounded;
        type Begin = fn(query::Range, Scalar) -> Bounded;
        let bounds: [(Option<Given>, Begin, Set); 4] = [
            (gt, query::Range::gt, Bounded::gt),
            (gte, query::Range::gte, Bounded::gte),
            (lt, query::Range::lt, Bounded::lt),
            (lte, query::Range::lte, Bounded::lte),
        ];
        let mut range: Option<Bounded> = None;
        for (bound, begin, set) in bounds {
            if let Some(bound) = bound {
                range = Some(match range {
                    None => begin(RustQuery::range(field), bound.0),
                    Some(range) => set(range, bound.0),
                });
            }
        }
        let Some(range) = range else {
            let message = format!("range of `{field}`: it needs a bound");
            return Err(Raised::invalid(message).into());
        };
        refined!(range, options,
            "format" => |query, value| query.format(value.extract::<String>()?),
            "time_zone" => |query, value| query.time_zone(value.extract::<String>()?))
    }

    /// Documents with a text that has these words.
    #[staticmethod]
    #[pyo3(name = "match", signature = (field, text, **options))]
    fn matches(field: &str, text: Given, options: Option<&Bound<'_, PyDict>>) -> PyResult<Self> {
        refined!(RustQuery::matches(field, text.0), options,
            "minimum_should_match" => |query, value| query.minimum_should_match(value.extract::<Minimum>()?.0))
    }

    /// Documents with a text that has these words one behind the other.
    #[staticmethod]
    #[pyo3(signature = (field, text, **options))]
    fn match_phrase(
        field: &str,
        text: Given,
        options: Option<&Bound<'_, PyDict>>,
    ) -> PyResult<Self> {
        refined!(RustQuery::match_phrase(field, text.0), options)
    }

    /// Documents with a text that has these words one behind the other, of which the last can go on.
    #[staticmethod]
    #[pyo3(signature = (field, text, **options))]
    fn match_phrase_prefix(
        field: &str,
        text: Given,
        options: Option<&Bound<'_, PyDict>>,
    ) -> PyResult<Self> {
        refined!(RustQuery::match_phrase_prefix(field, text.0), options)
    }

    /// Documents with a text that has these words in one of several fields.
    #[staticmethod]
    #[pyo3(signature = (text, fields, **options))]
    fn multi_match(
        text: Given,
        fields: Vec<String>,
        options: Option<&Bound<'_, PyDict>>,
    ) -> PyResult<Self> {
        refined!(RustQuery::multi_match(text.0, fields), options,
            "minimum_should_match" => |query, value| query.minimum_should_match(value.extract::<Minimum>()?.0))
    }

    /// A query in Lucene's language, in which a mistake is an error of the server's.
    #[staticmethod]
    #[pyo3(signature = (text, **options))]
    fn query_string(text: &str, options: Option<&Bound<'_, PyDict>>) -> PyResult<Self> {
        refined!(RustQuery::query_string(text), options,
            "time_zone" => |query, value| query.time_zone(value.extract::<String>()?),
            "fields" => |query, value| query.fields(value.extract::<Vec<String>>()?),
            "minimum_should_match" => |query, value| query.minimum_should_match(value.extract::<Minimum>()?.0))
    }

    /// A query in the simpler of Lucene's languages, in which nothing is a mistake.
    #[staticmethod]
    #[pyo3(signature = (text, **options))]
    fn simple_query_string(text: &str, options: Option<&Bound<'_, PyDict>>) -> PyResult<Self> {
        refined!(RustQuery::simple_query_string(text), options,
            "fields" => |query, value| query.fields(value.extract::<Vec<String>>()?),
            "minimum_should_match" => |query, value| query.minimum_should_match(value.extract::<Minimum>()?.0))
    }

    /// The query's JSON as dictionaries and lists.
    fn to_dict<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        plain(py, &self.value()?)
    }

    /// The query's JSON.
    fn to_json(&self) -> PyResult<String> {
        json(&self.value()?)
    }

    fn __reduce__<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, pyo3::types::PyTuple>> {
        let restore = py.get_type::<Self>().getattr("raw")?;
        (restore, (self.to_dict(py)?,)).into_pyobject(py)
    }

    fn __repr__(&self) -> PyResult<String> {
        Ok(format!("<Query {}>", self.to_json()?))
    }
}

impl Query {
    fn value(&self) -> PyResult<Value> {
        self.0.to_json().map_err(raise)
    }
}

/// Takes the meaning from everything that has one in KQL, so that it is text outside of quotes.
#[pyfunction]
pub(crate) fn escape_kql(text: &str) -> String {
    kql::escape(text)
}

/// Takes the meaning from everything that has one in Lucene's language.
#[pyfunction]
pub(crate) fn escape_lucene(text: &str) -> String {
    query::escape_lucene(text)
}
