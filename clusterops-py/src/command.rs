//! Commands for one host, as Python writes them.

use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;
use pyo3::types::{PyByteArray, PyBytes, PyDict, PyString};

use crate::options::set_each;
use crate::plan::RunAs;
use crate::script::Script;
use crate::secret::SecretText;
use crate::table::Table;
use crate::words::{RemotePath, Span, Words, takes};

/// A list of words, which reach the program as they are; a text, which is a line for `/bin/sh`; or a `Script`.
pub(crate) struct Command(clusterops::Command);

impl<'py> FromPyObject<'_, 'py> for Command {
    type Error = PyErr;
    takes!("str | Sequence[str] | Script");

    fn extract(value: Borrowed<'_, 'py, PyAny>) -> PyResult<Self> {
        if value.is_instance_of::<PyString>() {
            return Ok(Self(clusterops::Command::shell(value.extract::<String>()?)));
        }
        if let Ok(script) = value.cast::<Script>() {
            return Ok(Self(script.get().command()));
        }
        Ok(Self(clusterops::Command::new(value.extract::<Words>()?.0)))
    }
}

impl Command {
    /// The command with the keywords of `clusterops.CommandOptions`.
    pub(crate) fn with(self, options: Option<&Bound<'_, PyDict>>) -> PyResult<clusterops::Command> {
        let mut command = self.0;
        set_each(options, "a command", |name, value| {
            let set = set(command.clone(), name, value)?;
            let is_set = set.is_some();
            command = set.unwrap_or_else(|| command.clone());
            Ok(is_set)
        })?;
        Ok(command)
    }
}

/// Sets one option; none where there is none of this name.
fn set(
    command: clusterops::Command,
    name: &str,
    value: &Bound<'_, PyAny>,
) -> PyResult<Option<clusterops::Command>> {
    Ok(Some(match name {
        "env" => value
            .extract::<Table<String>>()?
            .0
            .into_iter()
            .fold(command, |command, (name, value)| command.env(name, value)),
        "secret_env" => value
            .extract::<Table<SecretText>>()?
            .0
            .into_iter()
            .fold(command, |command, (name, value)| {
                command.secret_env(name, value.0)
            }),
        "current_dir" => command.current_dir(value.extract::<RemotePath>()?.0),
        "stdin" => command.stdin(bytes(value)?),
        "run_as" => match value.extract::<Option<Bound<'_, RunAs>>>()? {
            Some(run_as) => command.run_as(run_as.get().0.clone()),
            None => command,
        },
        "run_as_password" => match value.extract::<Option<SecretText>>()? {
            Some(password) => command.run_as_password(password.0),
            None => command,
        },
        "pty" => match value.extract::<Option<bool>>()? {
            Some(true) => command.pty(),
            Some(false) => command.without_pty(),
            None => command,
        },
        "deadline" => match value.extract::<Option<Span>>()? {
            Some(deadline) => command.deadline(deadline.0),
            None => command,
        },
        _ => return Ok(None),
    }))
}

/// What a command is to read: bytes, or a text as UTF-8.
pub(crate) fn bytes(value: &Bound<'_, PyAny>) -> PyResult<Vec<u8>> {
    if let Ok(bytes) = value.cast::<PyBytes>() {
        Ok(bytes.as_bytes().to_vec())
    } else if let Ok(bytes) = value.cast::<PyByteArray>() {
        Ok(bytes.to_vec())
    } else if let Ok(text) = value.cast::<PyString>() {
        text.extract::<String>().map(String::into_bytes)
    } else {
        let message = "what a command reads is bytes or a text";
        Err(PyTypeError::new_err(message))
    }
}
