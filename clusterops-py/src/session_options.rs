//! `SessionOptions`: how connections are made.

use std::path::PathBuf;
use std::sync::Arc;

use clusterops::config::{Config, Proxy};
use clusterops::ssh::HostKeyChecking;
use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;
use pyo3::types::PyDict;

use crate::config::SshConfig;
use crate::errors::{Raised, raise};
use crate::words::{Span, quoted};

/// How connections are made; what is left out is as OpenSSH's configuration says, or as ssh does it.
///
/// Deadlines are a `timedelta` or seconds. Host keys must be known, unless they are asked for otherwise. What leads to
/// hosts that name no jump hosts themselves is `jump`, as ``ssh -J`` takes it, or `proxy_command`. The configuration is that of
/// the user and the system, or `config`, or with ``read_config=False`` none. The options of this
/// name in ssh_config(5) say what the others do.
///
/// Examples
/// --------
/// >>> options = SessionOptions(user="deploy", connect_deadline=5)
#[pyclass(module = "clusterops", frozen)]
pub(crate) struct SessionOptions {
    pub(crate) inner: clusterops::SessionOptions,
    /// Whether its configuration was given as an object.
    has_config: bool,
}

#[pymethods]
impl SessionOptions {
    #[new]
    #[pyo3(signature = (*, user = None, identity_files = None, certificate_files = None, identities_only = None, agent = None, agent_socket = None, known_hosts = None, revoked_host_keys = None, accept_new_host_keys = false, hash_known_hosts = None, update_host_keys = None, danger_accept_any_host_key = false, read_config = true, config = None, jump = None, proxy_command = None, connect_deadline = None, handshake_deadline = None, authentication_deadline = None, command_deadline = None, keepalive_interval = None, keepalive_max = None))]
    #[expect(clippy::too_many_arguments, reason = "they are keywords in Python")]
    fn new(
        user: Option<String>,
        identity_files: Option<Vec<PathBuf>>,
        certificate_files: Option<Vec<PathBuf>>,
        identities_only: Option<bool>,
        agent: Option<bool>,
        agent_socket: Option<PathBuf>,
        known_hosts: Option<Vec<PathBuf>>,
        revoked_host_keys: Option<Vec<PathBuf>>,
        accept_new_host_keys: bool,
        hash_known_hosts: Option<bool>,
        update_host_keys: Option<bool>,
        danger_accept_any_host_key: bool,
        read_config: bool,
        config: Option<Bound<'_, SshConfig>>,
        jump: Option<&str>,
        proxy_command: Option<String>,
        connect_deadline: Option<Span>,
        handshake_deadline: Option<Span>,
        authentication_deadline: Option<Span>,
        command_deadline: Option<Span>,
        keepalive_interval: Option<Span>,
        keepalive_max: Option<usize>,
    ) -> PyResult<Self> {
        let mut options = clusterops::SessionOptions::default();
        options.user = user;
        options.identity_files = identity_files.unwrap_or_default();
        options.certificate_files = certificate_files.unwrap_or_default();
        options.identities_only = identities_only;
        options.agent = agent;
        options.agent_socket = agent_socket;
        options.known_hosts = known_hosts;
        options.revoked_host_keys = revoked_host_keys.unwrap_or_default();
        options.hash_known_hosts = hash_known_hosts;
        options.update_host_keys = update_host_keys;
        options.connect_deadline = connect_deadline.map(Into::into);
        options.handshake_deadline = handshake_deadline.map(Into::into);
        options.authentication_deadline = authentication_deadline.map(Into::into);
        options.command_deadline = command_deadline.map(Into::into);
        options.keepalive_interval = keepalive_interval.map(Into::into);
        options.keepalive_max = keepalive_max;
        options.proxy = match (jump, proxy_command) {
            (None, None) => None,
            (Some(hosts), None) => Some(Proxy::Jump(hosts.parse().map_err(raise)?)),
            (None, Some(command)) => Some(Proxy::Command(command)),
            (Some(_), Some(_)) => {
                let message = "hosts are reached by `jump` or by `proxy_command`, not by both";
                return Err(Raised::invalid(message).into());
            }
        };
        if accept_new_host_keys {
            options = options.accept_new_host_keys();
        }
        if danger_accept_any_host_key {
            options = options.danger_accept_any_host_key();
        }
        options = match &config {
            Some(config) => options.config(Arc::clone(&config.get().0)),
            None if read_config => options,
            None => options.config(Config::none().map_err(raise)?),
        };
        Ok(Self {
            inner: options,
            has_config: config.is_some(),
        })
    }

    /// The jump hosts, as ``ssh -J`` takes them.
    #[getter]
    fn jump(&self) -> Option<String> {
        match &self.inner.proxy {
            Some(Proxy::Jump(hosts)) => Some(hosts.to_string()),
            _ => None,
        }
    }

    fn __reduce__<'py>(slf: &Bound<'py, Self>) -> PyResult<(Bound<'py, PyAny>, ())> {
        let (py, options) = (slf.py(), &slf.get().inner);
        if slf.get().has_config {
            let message = "session options with an SshConfig are not pickled";
            return Err(PyTypeError::new_err(message));
        }
        let told = PyDict::new(py);
        let checking = options.host_key_checking;
        told.set_item("user", &options.user)?;
        told.set_item("identity_files", &options.identity_files)?;
        told.set_item("certificate_files", &options.certificate_files)?;
        told.set_item("identities_only", options.identities_only)?;
        told.set_item("agent", options.agent)?;
        told.set_item("agent_socket", &options.agent_socket)?;
        told.set_item("known_hosts", &options.known_hosts)?;
        told.set_item("revoked_host_keys", &options.revoked_host_keys)?;
        told.set_item("hash_known_hosts", options.hash_known_hosts)?;
        told.set_item("update_host_keys", options.update_host_keys)?;
        for (name, which) in [
            ("accept_new_host_keys", HostKeyChecking::AcceptNew),
            (
                "danger_accept_any_host_key",
                HostKeyChecking::DangerAcceptAny,
            ),
        ] {
            told.set_item(name, checking == Some(which))?;
        }
        told.set_item("read_config", options.config.is_none())?;
        match &options.proxy {
            Some(Proxy::Jump(hosts)) => told.set_item("jump", hosts.to_string())?,
            Some(Proxy::Command(command)) => told.set_item("proxy_command", command)?,
            _ => {}
        }
        told.set_item("connect_deadline", options.connect_deadline)?;
        told.set_item("handshake_deadline", options.handshake_deadline)?;
        told.set_item("authentication_deadline", options.authentication_deadline)?;
        told.set_item("command_deadline", options.command_deadline)?;
        told.set_item("keepalive_interval", options.keepalive_interval)?;
        told.set_item("keepalive_max", options.keepalive_max)?;
        let partial = py.import("functools")?.getattr("partial")?;
        Ok((partial.call((slf.get_type(),), Some(&told))?, ()))
    }

    fn __repr__(&self, py: Python<'_>) -> PyResult<String> {
        Ok(match &self.inner.user {
            Some(user) => format!("<SessionOptions user={}>", quoted(py, user)?),
            None => "<SessionOptions>".into(),
        })
    }
}
