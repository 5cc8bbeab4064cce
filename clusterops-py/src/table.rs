//! Mappings and sets of words, of whatever class they are in Python.

use std::collections::{BTreeMap, BTreeSet};

use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyMapping, PyString, PyType};

use crate::words::takes;

/// Values by their names: any mapping, such as `os.environ`, and not only a `dict`.
#[derive(Debug)]
pub(crate) struct Table<V>(pub(crate) BTreeMap<String, V>);

impl<'py, V> FromPyObject<'_, 'py> for Table<V>
where
    V: for<'a> FromPyObject<'a, 'py>,
{
    type Error = PyErr;
    #[cfg(feature = "stubs")]
    const INPUT_TYPE: pyo3::inspect::PyStaticExpr = pyo3::type_hint_subscript!(
        pyo3::type_hint_identifier!("collections.abc", "Mapping"),
        String::INPUT_TYPE,
        V::INPUT_TYPE
    );

    fn extract(value: Borrowed<'_, 'py, PyAny>) -> PyResult<Self> {
        let items = value.cast::<PyMapping>()?.items()?;
        let items = items.iter().map(|item| {
            let (name, value): (String, Bound<'py, PyAny>) = item.extract()?;
            Ok((name, value.extract().map_err(Into::into)?))
        });
        items.collect::<PyResult<_>>().map(Self)
    }
}

/// Words without an order: any iterable of them that is not itself one.
#[derive(Debug)]
pub(crate) struct Names(pub(crate) BTreeSet<String>);

impl<'py> FromPyObject<'_, 'py> for Names {
    type Error = PyErr;
    takes!("Iterable[str]");

    fn extract(value: Borrowed<'_, 'py, PyAny>) -> PyResult<Self> {
        if value.is_instance_of::<PyString>() {
            let message = "words are given as a set or a list, and not as one text";
            return Err(PyTypeError::new_err(message));
        }
        let names = value.try_iter()?.map(|name| name?.extract());
        names.collect::<PyResult<_>>().map(Self)
    }
}

/// Python objects that somebody gives: any iterable of them.
#[derive(Debug, Default)]
pub(crate) struct Objects(pub(crate) Vec<Py<PyAny>>);

impl<'py> FromPyObject<'_, 'py> for Objects {
    type Error = PyErr;
    takes!("Iterable[Any]");

    fn extract(value: Borrowed<'_, 'py, PyAny>) -> PyResult<Self> {
        let objects = value.try_iter()?.map(|object| Ok(object?.unbind()));
        objects.collect::<PyResult<_>>().map(Self)
    }
}

/// Whether an object is one of `collections.abc.Set`.
pub(crate) fn is_set(value: &Bound<'_, PyAny>) -> PyResult<bool> {
    static SET: PyOnceLock<Py<PyType>> = PyOnceLock::new();
    value.is_instance(SET.import(value.py(), "collections.abc", "Set")?)
}
