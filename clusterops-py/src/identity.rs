//! Private keys that live in Python objects.

use std::sync::Arc;

use async_trait::async_trait;
use clusterops::secrets::secrecy::SecretSlice;
use clusterops::secrets::{Error, ErrorKind, Result, Thumbprint};
use pyo3::prelude::*;
use pyo3::types::PyBytes;

use crate::callback::{Callback, Stash};
use crate::errors::raise;
use crate::keys::PrivateKey;

/// Who opens: private keys, and objects that use one. What an object raises is raised by the call.
pub(crate) struct Identities {
    keys: Vec<Arc<dyn clusterops::Identity>>,
    raised: Stash,
}

impl Identities {
    /// For a call that blocks: whatever loop this thread has stands still meanwhile.
    pub(crate) fn blocking(given: Vec<Bound<'_, PyAny>>) -> PyResult<Self> {
        Self::of(given, |object| Ok(Callback::alone(object.unbind())))
    }

    /// For a call that is awaited in the event loop of this thread.
    pub(crate) fn awaited(given: Vec<Bound<'_, PyAny>>) -> PyResult<Self> {
        Self::of(given, |object| Callback::here(object.py(), object.unbind()))
    }

    fn of<'py>(
        given: Vec<Bound<'py, PyAny>>,
        callback: impl Fn(Bound<'py, PyAny>) -> PyResult<Callback>,
    ) -> PyResult<Self> {
        let raised = Stash::default();
        let mut keys: Vec<Arc<dyn clusterops::Identity>> = Vec::with_capacity(given.len());
        for object in given {
            if let Ok(key) = object.cast::<PrivateKey>() {
                keys.push(Arc::clone(&key.get().0) as _);
                continue;
            }
            let recipient: String = object.getattr("recipient")?.extract()?;
            keys.push(Arc::new(Identity {
                recipient: recipient.parse().map_err(raise)?,
                object: Arc::new(callback(object)?),
                raised: raised.clone(),
            }));
        }
        Ok(Self { keys, raised })
    }

    /// As the crates want them.
    pub(crate) fn keys(&self) -> Vec<&dyn clusterops::Identity> {
        self.keys.iter().map(|key| &**key).collect()
    }

    /// What a call came to: the exception of an object goes before the error that it led to.
    pub(crate) fn or<T>(&self, result: PyResult<T>) -> PyResult<T> {
        self.raised.or(result)
    }
}

/// An object with an attribute `recipient` and a method `unwrap(encrypted_key)`.
#[derive(Debug)]
struct Identity {
    recipient: Thumbprint,
    object: Arc<Callback>,
    raised: Stash,
}

#[async_trait]
impl clusterops::Identity for Identity {
    fn recipient(&self) -> &Thumbprint {
        &self.recipient
    }

    async fn unwrap(&self, encrypted_key: &[u8]) -> Result<Option<SecretSlice<u8>>> {
        let (object, encrypted_key) = (Arc::clone(&self.object), encrypted_key.to_vec());
        let asked = tokio::task::spawn_blocking(move || {
            Python::attach(|py| {
                let arguments = (PyBytes::new(py, &encrypted_key),).into_pyobject(py)?;
                let given = object.call(py, "unwrap", arguments)?;
                let key: Option<Vec<u8>> = given.extract()?;
                Ok(key.map(SecretSlice::from))
            })
        });
        let failed = |message| Error::new(ErrorKind::Local, message);
        match asked.await {
            Ok(Ok(key)) => Ok(key),
            Ok(Err(error)) => {
                let error: PyErr = error;
                self.raised.keep(error);
                // What it says may be the key.
                Err(failed("the identity raised an exception"))
            }
            Err(error) => Err(failed("the identity could not be asked").caused_by(error)),
        }
    }
}
