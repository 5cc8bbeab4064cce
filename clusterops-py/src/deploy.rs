//! Sealed documents deployed to Marathons.

use clusterops::deploy::{self, Trust};
use clusterops::marathon::{Followed, Locked};
use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;
use pyo3::types::PyDict;

use crate::call::Call;
use crate::errors::{Raised, raise};
use crate::http::http_options;
use crate::identity::Identities;
use crate::owned::Owned;
use crate::runtime::{awaitable, wait};
use crate::sealed_file::SealedFile;
use crate::signing::{VerifyingKey, trusted};
use crate::words::{Span, quoted};

/// The Marathon at a URL.
///
/// Parameters
/// ----------
/// url : str
/// poll : timedelta or float, optional
///     How long it waits between its looks at a deployment; a second, where it is left out.
/// **options
///     Those of `clusterops.HttpOptions`.
///
/// Examples
/// --------
/// >>> from clusterops.deploy import Marathon
/// >>> Marathon("https://marathon.example.org:8443", basic=("deployer", "sesame"), deadline=10)
/// <Marathon 'https://marathon.example.org:8443'>
#[pyclass(module = "clusterops.deploy", frozen)]
pub(crate) struct Marathon {
    url: String,
    inner: Owned<clusterops::marathon::Marathon>,
}

#[pymethods]
impl Marathon {
    #[new]
    #[pyo3(signature = (url, *, poll = None, **options))]
    fn new(url: &str, poll: Option<Span>, options: Option<&Bound<'_, PyDict>>) -> PyResult<Self> {
        let options = http_options(options)?;
        let mut marathon = clusterops::marathon::Marathon::new(url, options).map_err(raise)?;
        if let Some(poll) = poll {
            marathon = marathon.poll_every(poll.0);
        }
        Ok(Self {
            url: marathon.url().to_owned(),
            inner: Owned::new(marathon),
        })
    }

    /// Its URL.
    #[getter]
    fn url(&self) -> &str {
        &self.url
    }

    fn __repr__(&self, py: Python<'_>) -> PyResult<String> {
        Ok(format!("<Marathon {}>", quoted(py, &self.url)?))
    }
}

/// What became of the app at one Marathon; its text says it in one line.
#[pyclass(module = "clusterops.deploy", frozen)]
#[derive(Debug)]
pub(crate) struct Deployed(deploy::Deployed);

#[pymethods]
impl Deployed {
    /// The Marathon's URL.
    #[getter]
    fn marathon(&self) -> &str {
        &self.0.marathon
    }

    /// The app.
    #[getter]
    fn app(&self) -> &str {
        self.0.app.as_str()
    }

    /// Whether the app runs as it was posted.
    #[getter]
    fn is_success(&self) -> bool {
        self.0.is_success()
    }

    /// ``done``, ``failed``, ``unfinished`` (the deadline passed, and it goes on) or ``error`` (there is no deployment).
    #[getter]
    fn state(&self) -> &'static str {
        match &self.0.result {
            Ok(Followed::Done { .. }) => "done",
            Ok(Followed::Failed { .. }) => "failed",
            Ok(Followed::Unfinished { .. }) => "unfinished",
            Ok(_) => "other",
            Err(_) => "error",
        }
    }

    /// Why there is no deployment, as an exception that can be raised.
    #[getter]
    fn error<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyAny>>> {
        let error = self.0.result.as_ref().err();
        error
            .map(|error| Raised::from(error).exception(py))
            .transpose()
    }

    /// The app's tasks as last seen: how many are ``wanted``, ``running``, ``healthy``, ``unhealthy`` and ``staged``.
    #[getter]
    fn tasks<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyDict>>> {
        let tasks = match &self.0.result {
            Ok(Followed::Done { tasks, .. }) => Some(*tasks),
            Ok(Followed::Failed { tasks, .. } | Followed::Unfinished { tasks, .. }) => *tasks,
            _ => None,
        };
        let Some(tasks) = tasks else {
            return Ok(None);
        };
        let counted = PyDict::new(py);
        for (name, number) in [
            ("wanted", tasks.wanted),
            ("running", tasks.running),
            ("healthy", tasks.healthy),
            ("unhealthy", tasks.unhealthy),
            ("staged", tasks.staged),
        ] {
            counted.set_item(name, number)?;
        }
        Ok(Some(counted))
    }

    /// The deployments that keep the app from being changed, which ``Deploy(force=True)`` ends.
    #[getter]
    fn locked_by(&self) -> Vec<String> {
        let locked = self.0.result.as_ref().err().and_then(Locked::of);
        locked.map_or_else(Vec::new, |locked| locked.deployments().to_vec())
    }

    fn __str__(&self) -> String {
        self.0.to_string()
    }

    fn __repr__(&self) -> String {
        format!("<Deployed {}>", self.0)
    }
}

/// As Rust wants them.
pub(crate) fn clients(
    marathons: &[Bound<'_, Marathon>],
) -> PyResult<Vec<clusterops::marathon::Marathon>> {
    let clients = marathons.iter().map(|marathon| {
        let Marathon { url, inner } = marathon.get();
        inner.get(format_args!("the Marathon {url}")).cloned()
    });
    clients.collect()
}

/// How to deploy, and why the file may be: exactly one of `reviewed` and `signers` is given.
///
/// Parameters
/// ----------
/// reviewed : str, optional
///     The digest of the file that was reviewed.
/// signers : sequence of VerifyingKey, optional
///     One of these has signed the file, in the signature file beside it.
/// force : bool
///     Whether deployments are cancelled that have locked the app.
/// replace : bool
///     Whether the document is the whole definition.
/// deadline : timedelta or float
///     How long each deployment is followed.
///
/// Examples
/// --------
/// >>> from clusterops.deploy import Deploy
/// >>> Deploy(reviewed="sha256:" + 64 * "0", deadline=120)
/// <Deploy of what was reviewed>
#[pyclass(module = "clusterops.deploy", frozen)]
#[derive(Debug)]
pub(crate) struct Deploy {
    inner: deploy::Deploy,
    is_reviewed: bool,
}

impl Deploy {
    /// The future of both forms.
    fn going(
        &self,
        file: &SealedFile,
        identities: Identities,
        marathons: &[Bound<'_, Marathon>],
    ) -> PyResult<impl Future<Output = PyResult<Vec<Deployed>>> + Send + 'static> {
        let (deploy, file) = (self.inner.clone(), file.0.clone());
        let marathons = clients(marathons)?;
        Ok(async move {
            let keys = identities.keys();
            let deployed = deploy.run(&file, &keys, &marathons).await;
            let deployed = identities.or(deployed.map_err(raise))?;
            Ok(deployed.into_iter().map(Deployed).collect())
        })
    }
}

#[pymethods]
impl Deploy {
    #[new]
    #[pyo3(signature = (*, reviewed = None, signers = None, force = false, replace = true, deadline = None))]
    fn new(
        reviewed: Option<&str>,
        signers: Option<Vec<Bound<'_, VerifyingKey>>>,
        force: bool,
        replace: bool,
        deadline: Option<Span>,
    ) -> PyResult<Self> {
        let trust = match (reviewed, &signers) {
            (Some(digest), None) => Trust::Reviewed(digest.parse().map_err(raise)?),
            (None, Some(signers)) => Trust::Signers(trusted(signers)),
            _ => {
                let message = "why may the file be deployed? Give either `reviewed` or `signers`";
                return Err(PyTypeError::new_err(message));
            }
        };
        let mut deploy = deploy::Deploy::new(trust).force(force).replace(replace);
        if let Some(deadline) = deadline {
            deploy = deploy.deadline(deadline.0);
        }
        Ok(Self {
            inner: deploy,
            is_reviewed: reviewed.is_some(),
        })
    }

    /// Checks the file, opens it in memory, puts it to every Marathon at the same time and follows what becomes of it.
    ///
    /// What was sent goes on at the Marathons when this is interrupted.
    ///
    /// Parameters
    /// ----------
    /// file : SealedFile
    /// identities : sequence of PrivateKey or Identity
    /// marathons : sequence of Marathon
    ///
    /// Returns
    /// -------
    /// list of Deployed
    ///     What became of it at each Marathon.
    ///
    /// Raises
    /// ------
    /// ClusterOpsError
    ///     Nothing was sent: the file is not what was signed or reviewed, does not open, or is no app that can be deployed.
    fn run(
        &self,
        py: Python<'_>,
        file: &SealedFile,
        identities: Vec<Bound<'_, PyAny>>,
        marathons: Vec<Bound<'_, Marathon>>,
    ) -> PyResult<Vec<Deployed>> {
        let identities = Identities::new(identities, Call::blocking())?;
        wait(py, self.going(file, identities, &marathons)?)
    }

    /// As `run`, to be awaited.
    fn arun<'py>(
        &self,
        py: Python<'py>,
        file: &SealedFile,
        identities: Vec<Bound<'py, PyAny>>,
        marathons: Vec<Bound<'py, Marathon>>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let identities = Identities::new(identities, Call::awaited(py)?)?;
        awaitable(py, self.going(file, identities, &marathons)?)
    }

    fn __repr__(&self) -> &'static str {
        match self.is_reviewed {
            true => "<Deploy of what was reviewed>",
            false => "<Deploy of what was signed>",
        }
    }
}
