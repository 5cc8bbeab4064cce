//! `Plan`, and what its stages take: `Step`, `RunAs`.

use std::path::PathBuf;

use clusterops::{Stage, TransferOptions};
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyTuple};

use crate::errors::raise;
use crate::options::{set_each, set_file_option};
use crate::table::Table;
use crate::words::{RemotePath, Span, Words, from_word, json, quoted, restored, word};

/// What is to be done on every host: stages, in order. It cannot be changed; each method gives a new plan.
///
/// In words, paths and environment values ``{{name}}`` stands for the target's variable of that name. Each method that
/// adds a stage takes the keywords of `clusterops.StageOptions`.
///
/// Examples
/// --------
/// >>> plan = (
/// ...     Plan("deploy")
/// ...     .command("preflight", ["test", "-d", "/opt"], deadline=30, barrier=True)
/// ...     .upload("unpack", "app.tar", "/opt/app.tar", mode=0o644)
/// ...     .shell("start", "systemctl start app", rollback=["systemctl", "stop", "app"])
/// ... )
/// >>> plan.stages
/// ['preflight', 'unpack', 'start']
/// >>> Plan.from_json(plan.to_json()) == plan
/// True
#[pyclass(module = "clusterops", frozen, eq)]
#[derive(Debug, PartialEq)]
pub(crate) struct Plan(pub(crate) clusterops::Plan);

impl Plan {
    fn with(&self, stage: Stage, options: Option<&Bound<'_, PyDict>>) -> PyResult<Self> {
        let mut stage = stage;
        set_each(options, "a stage", |name, value| {
            set_one(&mut stage, name, value)
        })?;
        Ok(Self(self.0.clone().stage(stage)))
    }
}

/// Sets one option; false where there is none of this name.
fn set_one(stage: &mut Stage, name: &str, value: &Bound<'_, PyAny>) -> PyResult<bool> {
    match name {
        "deadline" => stage.deadline = value.extract::<Option<Span>>()?.map(Into::into),
        "env" => stage.env = value.extract::<Table<String>>()?.0,
        "secret_env" => stage.secret_env = value.extract::<Table<String>>()?.0,
        "current_dir" => stage.current_dir = remote_path(value)?,
        "run_as" => {
            stage.run_as = value
                .extract::<Option<Bound<'_, RunAs>>>()?
                .map(|run_as| run_as.get().0.clone());
        }
        "pty" => stage.pty = value.extract()?,
        "success" => stage.success = value.extract()?,
        "creates" => stage.creates = remote_path(value)?,
        "unless" => stage.unless = value.extract::<Words>()?.0,
        "run_once" => stage.run_once = value.extract()?,
        "barrier" => stage.barrier = value.extract()?,
        "rollback" => {
            stage.rollback = Some(match value.cast::<Step>() {
                Ok(step) => step.get().0.clone(),
                Err(_) => clusterops::Step::command(value.extract::<Words>()?.0),
            });
        }
        "mode" => {
            if let Some(mode) = value.extract::<Option<u32>>()? {
                *stage = stage.clone().mode(mode);
            }
        }
        "interpreter" => *stage = stage.clone().interpreter(value.extract::<Words>()?.0),
        "arguments" => *stage = stage.clone().arguments(value.extract::<Words>()?.0),
        _ => match files(&mut stage.step) {
            Some(options) => return set_file_option(options, name, value),
            None => {
                let mut options = TransferOptions::default();
                if !set_file_option(&mut options, name, value)? {
                    return Ok(false);
                }
                // It says, when the plan is checked, that its step transfers nothing.
                *stage = stage.clone().transfer(options);
            }
        },
    }
    Ok(true)
}

fn remote_path(value: &Bound<'_, PyAny>) -> PyResult<Option<String>> {
    let path: Option<RemotePath> = value.extract()?;
    Ok(path.map(|path| path.0))
}

/// How a step transfers files, where it does.
fn files(step: &mut clusterops::Step) -> Option<&mut TransferOptions> {
    match step {
        clusterops::Step::Upload { options, .. }
        | clusterops::Step::UploadTree { options, .. }
        | clusterops::Step::Fetch { options, .. } => Some(options),
        _ => None,
    }
}

#[pymethods]
impl Plan {
    #[new]
    #[pyo3(signature = (name, *, rollback_when = "failed_or_aborted"))]
    fn new(name: String, rollback_when: &str) -> PyResult<Self> {
        let when = from_word("rollback_when", rollback_when)?;
        Ok(Self(clusterops::Plan::new(name).rollback_when(when)))
    }

    /// Reads what `to_json` wrote, here or in Rust.
    #[staticmethod]
    fn from_json(text: &str) -> PyResult<Self> {
        restored("plan", text).map(Self)
    }

    /// The plan as JSON.
    fn to_json(&self) -> PyResult<String> {
        json(&self.0)
    }

    fn __reduce__<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyTuple>> {
        let restore = py.get_type::<Self>().getattr("from_json")?;
        (restore, (self.to_json()?,)).into_pyobject(py)
    }

    fn __hash__(&self, py: Python<'_>) -> PyResult<isize> {
        pyo3::types::PyString::new(py, &self.0.digest()).hash()
    }

    fn __repr__(&self, py: Python<'_>) -> PyResult<String> {
        Ok(format!(
            "<Plan {}: {}>",
            quoted(py, &self.0.name)?,
            self.stages().join(", ")
        ))
    }

    /// What people call it.
    #[getter]
    fn name(&self) -> &str {
        &self.0.name
    }

    /// The names of the stages, in order.
    #[getter]
    fn stages(&self) -> Vec<String> {
        self.0
            .stages
            .iter()
            .map(|stage| stage.name.clone())
            .collect()
    }

    /// The SHA-256 of the plan: what a report remembers of it.
    #[getter]
    fn digest(&self) -> String {
        self.0.digest()
    }

    /// When stages that a host began are rolled back: ``failed_or_aborted``, ``failed`` or ``aborted``.
    #[getter]
    fn rollback_when(&self) -> String {
        word(&self.0.rollback_when)
    }

    /// Checks what can be checked without hosts and files.
    ///
    /// Raises
    /// ------
    /// InvalidError
    ///     Naming the stage.
    fn validate(&self) -> PyResult<()> {
        self.0.validate().map_err(raise)
    }

    /// Adds a stage that runs a program with arguments; no shell looks at them.
    #[pyo3(signature = (name, words, **options))]
    fn command(
        &self,
        name: String,
        words: Words,
        options: Option<&Bound<'_, PyDict>>,
    ) -> PyResult<Self> {
        self.with(Stage::command(name, words.0), options)
    }

    /// Adds a stage that runs a line in ``/bin/sh``, unchanged.
    #[pyo3(signature = (name, line, **options))]
    fn shell(
        &self,
        name: String,
        line: String,
        options: Option<&Bound<'_, PyDict>>,
    ) -> PyResult<Self> {
        self.with(Stage::new(name, clusterops::Step::shell(line)), options)
    }

    /// Adds a stage that runs a local script there.
    #[pyo3(signature = (name, source, **options))]
    fn script(
        &self,
        name: String,
        source: PathBuf,
        options: Option<&Bound<'_, PyDict>>,
    ) -> PyResult<Self> {
        self.with(Stage::script(name, source), options)
    }

    /// Adds a stage that copies a local file to a path on the host.
    #[pyo3(signature = (name, source, destination, **options))]
    fn upload(
        &self,
        name: String,
        source: PathBuf,
        destination: RemotePath,
        options: Option<&Bound<'_, PyDict>>,
    ) -> PyResult<Self> {
        self.with(Stage::upload(name, source, destination.0), options)
    }

    /// Adds a stage that copies what a local folder holds into a folder on the host.
    #[pyo3(signature = (name, source, destination, **options))]
    fn upload_tree(
        &self,
        name: String,
        source: PathBuf,
        destination: RemotePath,
        options: Option<&Bound<'_, PyDict>>,
    ) -> PyResult<Self> {
        self.with(Stage::upload_tree(name, source, destination.0), options)
    }

    /// Adds a stage that fetches a file or folder into a local folder that has a folder for each host.
    #[pyo3(signature = (name, source, destination, **options))]
    fn fetch(
        &self,
        name: String,
        source: RemotePath,
        destination: PathBuf,
        options: Option<&Bound<'_, PyDict>>,
    ) -> PyResult<Self> {
        self.with(Stage::fetch(name, source.0, destination), options)
    }
}

/// One thing to do on a host: what undoes a stage.
///
/// Examples
/// --------
/// >>> plan = Plan("app").shell("start", "app start", rollback=Step.shell("app stop || true"))
#[pyclass(module = "clusterops", frozen, eq)]
#[derive(Debug, PartialEq)]
pub(crate) struct Step(pub(crate) clusterops::Step);

impl Step {
    /// A step that transfers files, with its options.
    fn with(mut step: clusterops::Step, options: Option<&Bound<'_, PyDict>>) -> PyResult<Self> {
        if let Some(terms) = files(&mut step) {
            set_each(options, "a transfer", |name, value| {
                set_file_option(terms, name, value)
            })?;
        }
        Ok(Self(step))
    }
}

#[pymethods]
impl Step {
    /// Runs a program with arguments.
    #[staticmethod]
    fn command(words: Words) -> Self {
        Self(clusterops::Step::command(words.0))
    }

    /// Runs a shell line.
    #[staticmethod]
    fn shell(line: String) -> Self {
        Self(clusterops::Step::shell(line))
    }

    /// Runs a local script.
    #[staticmethod]
    #[pyo3(signature = (source, *, interpreter = None, arguments = Words(vec![])), text_signature = "(source, *, interpreter=None, arguments=())")]
    fn script(source: PathBuf, interpreter: Option<Words>, arguments: Words) -> Self {
        let mut stage = Stage::script("", source).arguments(arguments.0);
        if let Some(interpreter) = interpreter {
            stage = stage.interpreter(interpreter.0);
        }
        Self(stage.step)
    }

    /// Copies a local file to the host; it takes the keywords of `clusterops.FileOptions`.
    #[staticmethod]
    #[pyo3(signature = (source, destination, **options))]
    fn upload(
        source: PathBuf,
        destination: RemotePath,
        options: Option<&Bound<'_, PyDict>>,
    ) -> PyResult<Self> {
        Self::with(clusterops::Step::upload(source, destination.0), options)
    }

    /// Copies what a local folder holds into a folder on the host; it takes the keywords of `clusterops.FileOptions`.
    #[staticmethod]
    #[pyo3(signature = (source, destination, **options))]
    fn upload_tree(
        source: PathBuf,
        destination: RemotePath,
        options: Option<&Bound<'_, PyDict>>,
    ) -> PyResult<Self> {
        Self::with(
            clusterops::Step::upload_tree(source, destination.0),
            options,
        )
    }

    /// Fetches a file or folder into a local folder that has a folder for each host; it takes the keywords of
    /// `clusterops.FileOptions`.
    #[staticmethod]
    #[pyo3(signature = (source, destination, **options))]
    fn fetch(
        source: RemotePath,
        destination: PathBuf,
        options: Option<&Bound<'_, PyDict>>,
    ) -> PyResult<Self> {
        Self::with(clusterops::Step::fetch(source.0, destination), options)
    }

    fn __repr__(&self) -> PyResult<String> {
        Ok(format!("<Step {}>", json(&self.0)?))
    }
}

/// As whom commands of a stage run.
///
/// Parameters
/// ----------
/// user : str
/// method : {'sudo', 'su', 'doas'}
#[pyclass(module = "clusterops", frozen, eq, hash)]
#[derive(Debug, PartialEq, Eq, Hash)]
pub(crate) struct RunAs(pub(crate) clusterops::ssh::RunAs);

#[pymethods]
impl RunAs {
    #[new]
    #[pyo3(signature = (user = "root", *, method = "sudo"))]
    fn new(user: &str, method: &str) -> PyResult<Self> {
        let mut run_as = clusterops::ssh::RunAs::sudo().user(user);
        run_as.method = from_word("method", method)?;
        Ok(Self(run_as))
    }

    /// The other user.
    #[getter]
    fn user(&self) -> &str {
        &self.0.user
    }

    /// The program that sees to it.
    #[getter]
    fn method(&self) -> String {
        word(&self.0.method)
    }

    fn __repr__(&self, py: Python<'_>) -> PyResult<String> {
        Ok(format!(
            "RunAs({}, method='{}')",
            quoted(py, &self.0.user)?,
            self.method()
        ))
    }
}
