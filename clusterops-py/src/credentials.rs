//! Credentials that are Python objects.

use std::sync::{Arc, OnceLock};

use async_trait::async_trait;
use clusterops::secrecy::SecretString;
use clusterops::ssh::{Error, ErrorKind, Result};
use clusterops::{Control, Purpose};
use pyo3::prelude::*;
use pyo3::types::PyDict;

use crate::call::Call;
use crate::runtime;
use crate::secret::SecretText;
use crate::target::Target;
use crate::words::word;

/// An object with a method `secret(target, purpose)`. What it raises ends the run, and is raised to who waits for it.
#[derive(Debug)]
pub(crate) struct Credentials {
    object: Arc<Py<PyAny>>,
    /// The call or run that they are asked for; without one, that for which a task works.
    call: Option<Call>,
    /// The run that ends when they raise.
    control: Arc<OnceLock<Control>>,
}

impl Credentials {
    /// For connections, one by one.
    pub(crate) fn new(object: Py<PyAny>) -> Self {
        Self {
            object: Arc::new(object),
            call: None,
            control: Arc::default(),
        }
    }

    /// For a run, of which the control is known once it has begun.
    pub(crate) fn of_run(object: Py<PyAny>, call: Call, control: Arc<OnceLock<Control>>) -> Self {
        Self {
            object: Arc::new(object),
            call: Some(call),
            control,
        }
    }
}

/// What a secret is asked for: its kind in a word, and what goes with that.
fn describe<'py>(py: Python<'py>, purpose: &Purpose) -> PyResult<Bound<'py, PyAny>> {
    let details = PyDict::new(py);
    let kind = match purpose {
        Purpose::Environment(name) => {
            details.set_item("name", name)?;
            "environment"
        }
        Purpose::Passphrase(file) => {
            details.set_item("file", file)?;
            "passphrase"
        }
        Purpose::Password => "password",
        Purpose::RunAs(run_as) => {
            details.set_item("name", &run_as.user)?;
            details.set_item("method", word(&run_as.method))?;
            "run_as"
        }
        Purpose::KeyboardInteractive {
            name,
            instruction,
            prompt,
            echo,
        } => {
            details.set_item("name", name)?;
            details.set_item("instruction", instruction)?;
            details.set_item("prompt", prompt)?;
            details.set_item("echo", echo)?;
            "keyboard_interactive"
        }
        _ => "other",
    };
    let class = py.import("clusterops.protocols")?.getattr("Purpose")?;
    class.call((kind,), Some(&details))
}

#[async_trait]
impl clusterops::Credentials for Credentials {
    async fn secret(
        &self,
        target: &clusterops::Target,
        purpose: &Purpose,
    ) -> Result<Option<SecretString>> {
        let (object, target, purpose) = (
            Arc::clone(&self.object),
            Target(target.clone()),
            purpose.clone(),
        );
        let call = self.call.clone().unwrap_or_else(Call::current);
        let asking = call.clone();
        let asked = tokio::task::spawn_blocking(move || {
            runtime::attach(|py| {
                let purpose = describe(py, &purpose)?;
                let asked = (target, purpose).into_pyobject(py)?;
                let given = asking.ask(object.bind(py), "secret", asked)?;
                let secret: Option<SecretText> = given.extract()?;
                Ok(secret.map(|secret| secret.0))
            })
        });
        match asked.await {
            Ok(Ok(secret)) => Ok(secret),
            Ok(Err(error)) => {
                let error: PyErr = error;
                call.keep(error);
                if let Some(control) = self.control.get() {
                    control.cancel();
                }
                // What it says may be the secret.
                Err(Error::new(
                    ErrorKind::Secret,
                    "the credentials raised an exception",
                ))
            }
            Err(error) => Err(
                Error::new(ErrorKind::Secret, "the credentials could not be asked")
                    .caused_by(error),
            ),
        }
    }
}
