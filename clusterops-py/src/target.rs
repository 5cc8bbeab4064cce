//! `Target`: one machine to reach.

use std::collections::BTreeMap;
use std::path::PathBuf;

use pyo3::prelude::*;
use pyo3::types::{PyFrozenSet, PyString, PyTuple};

use crate::errors::raise;
use crate::hostset::HostSet;
use crate::table::{Names, Table};
use crate::words::{json, quoted, restored, takes};

/// One machine to reach: its name, how to get there, and what is known of it.
///
/// What is left out is decided by whoever connects. Passwords that an inventory held go with a target, and are not
/// shown, compared or pickled.
///
/// Parameters
/// ----------
/// name : str
///     What events, reports and host sets call it.
/// address : str, optional
///     The host name or IP address; the name, where it is left out.
/// port, user, identity_file, known_hosts, jump, tags, groups, variables
///     As in an inventory.
///
/// Examples
/// --------
/// >>> Target("web1", "10.0.1.1", user="deploy", variables={"zone": "a"})
/// Target('web1', address='10.0.1.1', user='deploy', variables={'zone': 'a'})
/// >>> Target.parse("deploy@[2001:db8::1]:2222").port
/// 2222
#[pyclass(module = "clusterops", frozen)]
#[derive(Debug)]
pub(crate) struct Target(pub(crate) clusterops::Target);

#[pymethods]
impl Target {
    #[new]
    #[pyo3(signature = (name, address = None, *, port = None, user = None, identity_file = None, known_hosts = None, jump = None, tags = None, groups = None, variables = None))]
    #[expect(clippy::too_many_arguments, reason = "they are keywords in Python")]
    fn new(
        name: String,
        address: Option<String>,
        port: Option<u16>,
        user: Option<String>,
        identity_file: Option<PathBuf>,
        known_hosts: Option<PathBuf>,
        jump: Option<&str>,
        tags: Option<Names>,
        groups: Option<Names>,
        variables: Option<Table<String>>,
    ) -> PyResult<Self> {
        let address = address.unwrap_or_else(|| name.clone());
        Ok(Self(clusterops::Target {
            port,
            user,
            identity_file,
            known_hosts,
            jump: jump.map(str::parse).transpose().map_err(raise)?,
            tags: tags.map(|names| names.0).unwrap_or_default(),
            groups: groups.map(|names| names.0).unwrap_or_default(),
            variables: variables
                .map(|table| table.0.into_iter().collect())
                .unwrap_or_default(),
            ..clusterops::Target::new(name, address)
        }))
    }

    /// Reads ``[user@]host[:port]``.
    #[staticmethod]
    fn parse(text: &str) -> PyResult<Self> {
        Ok(Self(text.parse().map_err(raise)?))
    }

    /// Reads what `to_json` wrote.
    #[staticmethod]
    fn from_json(text: &str) -> PyResult<Self> {
        restored("target", text).map(Self)
    }

    /// The target as JSON, without its passwords.
    fn to_json(&self) -> PyResult<String> {
        json(&self.0)
    }

    fn __reduce__<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyTuple>> {
        let restore = py.get_type::<Self>().getattr("from_json")?;
        (restore, (self.to_json()?,)).into_pyobject(py)
    }

    fn __eq__(&self, other: &Bound<'_, PyAny>) -> PyResult<Py<PyAny>> {
        let py = other.py();
        let Ok(other) = other.cast::<Self>() else {
            return Ok(py.NotImplemented());
        };
        let equal = self.to_json()? == other.get().to_json()?;
        Ok(equal.into_pyobject(py)?.to_owned().into_any().unbind())
    }

    fn __hash__(&self, py: Python<'_>) -> PyResult<isize> {
        PyString::new(py, &self.0.name).hash()
    }

    fn __str__(&self) -> &str {
        &self.0.name
    }

    fn __repr__(&self, py: Python<'_>) -> PyResult<String> {
        let mut text = format!(
            "Target({}, address={}",
            quoted(py, &self.0.name)?,
            quoted(py, &self.0.address)?
        );
        if let Some(port) = self.0.port {
            text.push_str(&format!(", port={port}"));
        }
        if let Some(user) = &self.0.user {
            text.push_str(&format!(", user={}", quoted(py, user)?));
        }
        if !self.0.variables.is_empty() {
            let variables = self.variables().into_pyobject(py)?;
            text.push_str(&format!(", variables={}", variables.repr()?));
        }
        text.push(')');
        Ok(text)
    }

    /// What events, reports and host sets call it.
    #[getter]
    fn name(&self) -> &str {
        &self.0.name
    }

    /// The host name or IP address.
    #[getter]
    fn address(&self) -> &str {
        &self.0.address
    }

    /// The TCP port.
    #[getter]
    fn port(&self) -> Option<u16> {
        self.0.port
    }

    /// The login name.
    #[getter]
    fn user(&self) -> Option<&str> {
        self.0.user.as_deref()
    }

    /// The private key file.
    #[getter]
    fn identity_file(&self) -> Option<PathBuf> {
        self.0.identity_file.clone()
    }

    /// The known hosts file.
    #[getter]
    fn known_hosts(&self) -> Option<PathBuf> {
        self.0.known_hosts.clone()
    }

    /// The jump hosts on the way, as for ``ssh -J``.
    #[getter]
    fn jump(&self) -> Option<String> {
        self.0.jump.as_ref().map(ToString::to_string)
    }

    /// Whether it came with passwords.
    #[getter]
    fn has_passwords(&self) -> bool {
        !self.0.secrets.is_empty()
    }

    /// The tags.
    #[getter]
    fn tags<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyFrozenSet>> {
        PyFrozenSet::new(py, &self.0.tags)
    }

    /// The groups that it is a member of.
    #[getter]
    fn groups<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyFrozenSet>> {
        PyFrozenSet::new(py, &self.0.groups)
    }

    /// The variables: ``{{name}}`` in plans, ``@name:value`` in selections.
    #[getter]
    fn variables(&self) -> BTreeMap<String, String> {
        let variables = self.0.variables.iter();
        variables
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .collect()
    }
}

/// What a fleet can be made of: an expression or a host set, whose names are ``[user@]host[:port]`` each; or targets, and
/// such names, in any order.
pub(crate) struct Targets(pub(crate) Vec<clusterops::Target>);

impl<'py> FromPyObject<'_, 'py> for Targets {
    type Error = PyErr;
    takes!("str | HostSet | Iterable[Target | str]");

    fn extract(value: Borrowed<'_, 'py, PyAny>) -> PyResult<Self> {
        if value.is_instance_of::<PyString>() || value.is_instance_of::<HostSet>() {
            let names = value.extract::<crate::hostset::Hosts>()?.0;
            let targets = names.iter().map(|name| name.parse().map_err(raise));
            return Ok(Self(targets.collect::<PyResult<_>>()?));
        }
        let mut targets = Vec::new();
        for item in value.try_iter()? {
            targets.push(one(&item?)?);
        }
        Ok(Self(targets))
    }
}

/// One target, or its name.
pub(crate) fn one(value: &Bound<'_, PyAny>) -> PyResult<clusterops::Target> {
    match value.cast::<Target>() {
        Ok(target) => Ok(target.get().0.clone()),
        Err(_) => value.extract::<&str>()?.parse().map_err(raise),
    }
}
