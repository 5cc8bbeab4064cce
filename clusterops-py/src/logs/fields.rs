//! The fields of indices, and what a cluster makes of a query.

use clusterops::logs::{client, kql};
use pyo3::exceptions::PyKeyError;
use pyo3::prelude::*;

use crate::errors::Raised;

/// The fields of indices and their types, for `Query.kql`; made by `Client.fields`.
///
/// Examples
/// --------
/// >>> from clusterops.logs import Fields, Query
/// >>> caps = {"level": {"keyword": {"type": "keyword", "searchable": True, "aggregatable": True}}}
/// >>> fields = Fields.from_dict({"indices": ["logs"], "fields": caps})
/// >>> fields.names, fields["level"], "host" in fields
/// (['level'], ['keyword'], False)
/// >>> Query.kql("level: error", fields=fields).to_dict()["bool"]["should"]
/// [{'term': {'level': {'value': 'error'}}}]
#[pyclass(module = "clusterops.logs", frozen, eq)]
#[derive(Debug, PartialEq)]
pub(crate) struct Fields(pub(crate) kql::Fields);

#[pymethods]
impl Fields {
    /// Reads the answer of ``_field_caps``.
    #[staticmethod]
    fn from_dict(answer: &Bound<'_, PyAny>) -> PyResult<Self> {
        serde_json::from_value(super::value_of(answer)?)
            .map(Self)
            .map_err(|error| Raised::invalid(format!("fields: {error}")).into())
    }

    /// Their names, in order.
    #[getter]
    fn names(&self) -> Vec<&str> {
        self.0.iter().map(kql::Field::name).collect()
    }

    fn __getitem__(&self, name: &str) -> PyResult<Vec<&str>> {
        let field = self.0.get(name);
        field
            .map(|field| field.types().collect())
            .ok_or_else(|| PyKeyError::new_err(name.to_owned()))
    }

    fn __contains__(&self, name: &str) -> bool {
        self.0.get(name).is_some()
    }

    fn __len__(&self) -> usize {
        self.0.iter().count()
    }

    fn __repr__(&self) -> String {
        format!("<Fields: {}>", self.__len__())
    }
}

/// Whether a query would be accepted, and how it is understood.
#[pyclass(module = "clusterops.logs", frozen, eq)]
#[derive(Debug, PartialEq)]
pub(crate) struct Validation(pub(crate) client::Validation);

#[pymethods]
impl Validation {
    /// Whether it would be accepted.
    #[getter]
    fn is_valid(&self) -> bool {
        self.0.valid
    }

    /// By index: the query in Lucene's words, or what is wrong with it.
    #[getter]
    fn explanations(&self) -> Vec<(&str, Option<&str>)> {
        let explanations = self.0.explanations.iter();
        explanations
            .map(|one| {
                let told = one.explanation.as_deref().or(one.error.as_deref());
                (&*one.index, told)
            })
            .collect()
    }

    /// What is wrong with all of it, where it does not even parse.
    #[getter]
    fn error(&self) -> Option<&str> {
        self.0.error.as_deref()
    }

    fn __bool__(&self) -> bool {
        self.0.valid
    }

    fn __repr__(&self) -> &'static str {
        match self.0.valid {
            true => "<Validation: accepted>",
            false => "<Validation: not accepted>",
        }
    }
}
