//! `SshConfig`: what OpenSSH's configuration says of a host, and where it says so.

use std::path::PathBuf;
use std::sync::Arc;

use clusterops::config::{Config, EffectiveLine, Origin, Query};
use pyo3::exceptions::PyKeyError;
use pyo3::prelude::*;

use crate::errors::raise;
use crate::runtime::{aside, awaitable, wait};
use crate::words::quoted;

/// OpenSSH's configuration, as ssh_config(5) describes it.
///
/// Examples
/// --------
/// >>> config = SshConfig.parse("Host web*\n  Port 2222\n", "example")
/// >>> host = config.resolve("web1", user="deploy")
/// >>> host["port"], host.user, host.proxy_jump
/// ('2222', 'deploy', None)
/// >>> [line for line in host.lines if line.keyword == "port"]
/// [<ConfigLine port 2222, example:2>]
#[pyclass(module = "clusterops", frozen)]
#[derive(Debug)]
pub(crate) struct SshConfig(pub(crate) Arc<Config>);

impl SshConfig {
    fn new(config: Config) -> Self {
        Self(Arc::new(config))
    }

    fn ask(
        &self,
        host: String,
        user: Option<String>,
        port: Option<u16>,
        command: Option<String>,
        options: Vec<String>,
    ) -> PyResult<impl Future<Output = PyResult<HostConfig>> + Send + 'static> {
        let mut query = Query::new(host);
        if let Some(user) = user {
            query = query.user(user);
        }
        if let Some(port) = port {
            query = query.port(port);
        }
        if let Some(command) = command {
            query = query.command(command);
        }
        for option in options {
            query = query.option(&option).map_err(raise)?;
        }
        let config = Arc::clone(&self.0);
        Ok(aside(move || config.resolve(&query).map(HostConfig)))
    }
}

#[pymethods]
impl SshConfig {
    /// Reads the user's ``~/.ssh/config`` and then the system's ``/etc/ssh/ssh_config``, of which either may be missing.
    ///
    /// Raises
    /// ------
    /// LocalError
    ///     The first mistake, with its file and line.
    #[staticmethod]
    fn load(py: Python<'_>) -> PyResult<Self> {
        wait(py, aside(Config::load)).map(Self::new)
    }

    /// Reads one file only, as ``ssh -F`` does.
    #[staticmethod]
    fn read(py: Python<'_>, path: PathBuf) -> PyResult<Self> {
        wait(py, aside(|| Config::from_file(path))).map(Self::new)
    }

    /// Reads a text as the user's file.
    ///
    /// Parameters
    /// ----------
    /// text : str
    /// name : str
    ///     What errors and lines call it.
    #[staticmethod]
    #[pyo3(signature = (text, name = "ssh_config"))]
    fn parse(text: &str, name: &str) -> PyResult<Self> {
        Config::parse(text, name).map(Self::new).map_err(raise)
    }

    /// What is in force for a host, as ``ssh -G`` shows it.
    ///
    /// Parameters
    /// ----------
    /// host : str
    ///     As the user would name it, without user and port.
    /// user, port : optional
    ///     What ``ssh -l`` and ``-p`` say.
    /// command : str, optional
    ///     What will be run, for ``Match command``.
    /// options : sequence of str
    ///     What ``ssh -o`` says: ``ConnectTimeout=5``, ``Tag=home``.
    #[pyo3(signature = (host, *, user = None, port = None, command = None, options = vec![]), text_signature = "($self, host, *, user=None, port=None, command=None, options=())")]
    fn resolve(
        &self,
        py: Python<'_>,
        host: String,
        user: Option<String>,
        port: Option<u16>,
        command: Option<String>,
        options: Vec<String>,
    ) -> PyResult<HostConfig> {
        wait(py, self.ask(host, user, port, command, options)?)
    }

    /// As `resolve`, to be awaited.
    #[pyo3(signature = (host, *, user = None, port = None, command = None, options = vec![]), text_signature = "($self, host, *, user=None, port=None, command=None, options=())")]
    fn aresolve<'py>(
        &self,
        py: Python<'py>,
        host: String,
        user: Option<String>,
        port: Option<u16>,
        command: Option<String>,
        options: Vec<String>,
    ) -> PyResult<Bound<'py, PyAny>> {
        awaitable(py, self.ask(host, user, port, command, options)?)
    }

    /// The settings of all files that have no effect here, a sentence for each.
    #[getter]
    fn unsupported(&self) -> Vec<String> {
        let unsupported = self.0.unsupported().iter();
        unsupported.map(ToString::to_string).collect()
    }
}

/// What is in force for a host; ``config["port"]`` is the value of a keyword, printed it is what ``ssh -G`` prints.
#[pyclass(module = "clusterops", frozen)]
#[derive(Debug)]
pub(crate) struct HostConfig(clusterops::config::HostConfig);

#[pymethods]
impl HostConfig {
    /// The host as it was asked for.
    #[getter]
    fn host(&self) -> &str {
        &self.0.host
    }

    /// The name or address to connect to.
    #[getter]
    fn hostname(&self) -> &str {
        &self.0.hostname
    }

    /// Who logs in.
    #[getter]
    fn user(&self) -> &str {
        &self.0.user
    }

    /// The TCP port.
    #[getter]
    fn port(&self) -> u16 {
        self.0.port
    }

    /// The private keys to log in with, whether the files exist or not.
    #[getter]
    fn identity_files(&self) -> Vec<PathBuf> {
        self.0.identity_files.clone()
    }

    /// The jump hosts that lead there, as ``ssh -J`` takes them.
    #[getter]
    fn proxy_jump(&self) -> Option<String> {
        match &self.0.proxy {
            clusterops::config::Proxy::Jump(hosts) => Some(hosts.to_string()),
            _ => None,
        }
    }

    /// Every keyword that counts here with its value, in the order of ``ssh -G``; some have several lines.
    #[getter]
    fn lines(&self) -> Vec<ConfigLine> {
        self.0.lines().into_iter().map(ConfigLine).collect()
    }

    /// The settings for this host that have no effect here, a sentence for each.
    #[getter]
    fn unsupported(&self) -> Vec<String> {
        self.0.unsupported().map(|one| one.to_string()).collect()
    }

    fn __getitem__(&self, keyword: &str) -> PyResult<String> {
        let mut lines = self.0.lines().into_iter();
        let line = lines.find(|line| line.keyword.eq_ignore_ascii_case(keyword));
        line.map(|line| line.value)
            .ok_or_else(|| PyKeyError::new_err(keyword.to_owned()))
    }

    fn __str__(&self) -> String {
        let lines: Vec<_> = self.0.lines().iter().map(ToString::to_string).collect();
        lines.join("\n")
    }

    fn __repr__(&self, py: Python<'_>) -> PyResult<String> {
        Ok(format!("<HostConfig {}>", quoted(py, &self.0.host)?))
    }
}

/// One setting that is in force for a host.
#[pyclass(module = "clusterops", frozen, eq)]
#[derive(Debug, PartialEq)]
pub(crate) struct ConfigLine(EffectiveLine);

#[pymethods]
impl ConfigLine {
    /// The keyword in lower case.
    #[getter]
    fn keyword(&self) -> &str {
        &self.0.keyword
    }

    /// Its value.
    #[getter]
    fn value(&self) -> &str {
        &self.0.value
    }

    /// The file that sets it; None for a default and for what was asked with.
    #[getter]
    fn file(&self) -> Option<PathBuf> {
        match &self.0.origin {
            Some(Origin::Line { file, .. }) => Some(file.to_path_buf()),
            _ => None,
        }
    }

    /// The line of the file, from 1.
    #[getter]
    fn line(&self) -> Option<usize> {
        match &self.0.origin {
            Some(Origin::Line { line, .. }) => Some(*line),
            _ => None,
        }
    }

    fn __str__(&self) -> String {
        self.0.to_string()
    }

    fn __repr__(&self) -> String {
        match &self.0.origin {
            Some(origin) => format!("<ConfigLine {}, {origin}>", self.0),
            None => format!("<ConfigLine {}>", self.0),
        }
    }
}
