//! Private keys that live in Python objects.

use std::sync::Arc;

use async_trait::async_trait;
use clusterops::secrets::secrecy::SecretSlice;
use clusterops::secrets::{Error, ErrorKind, Result, Thumbprint};
use pyo3::prelude::*;
use pyo3::types::PyBytes;

use crate::call::Call;
use crate::errors::raise;
use crate::keys::PrivateKey;
use crate::runtime;

/// Who opens: private keys, and objects that use one. What an object raises is raised by the call.
pub(crate) struct Identities {
    keys: Vec<Arc<dyn clusterops::Identity>>,
    call: Call,
}

impl Identities {
    pub(crate) fn new(given: Vec<Bound<'_, PyAny>>, call: Call) -> PyResult<Self> {
        let mut keys: Vec<Arc<dyn clusterops::Identity>> = Vec::with_capacity(given.len());
        for object in given {
            if let Ok(key) = object.cast::<PrivateKey>() {
                keys.push(Arc::clone(&key.get().0) as _);
                continue;
            }
            let recipient: String = object.getattr("recipient")?.extract()?;
            keys.push(Arc::new(Identity {
                recipient: recipient.parse().map_err(raise)?,
                object: Arc::new(object.unbind()),
                call: call.clone(),
            }));
        }
        Ok(Self { keys, call })
    }

    /// The call for which they open.
    pub(crate) fn call(&self) -> &Call {
        &self.call
    }

    /// As the crates want them.
    pub(crate) fn keys(&self) -> Vec<&dyn clusterops::Identity> {
        self.keys.iter().map(|key| &**key).collect()
    }

    /// What a call came to: the exception of an object goes before the error that it led to.
    pub(crate) fn or<T>(&self, result: PyResult<T>) -> PyResult<T> {
        self.call.or(result)
    }
}

/// An object with an attribute `recipient` and a method `unwrap(encrypted_key)`.
#[derive(Debug)]
struct Identity {
    recipient: Thumbprint,
    object: Arc<Py<PyAny>>,
    call: Call,
}

#[async_trait]
impl clusterops::Identity for Identity {
    fn recipient(&self) -> &Thumbprint {
        &self.recipient
    }

    async fn unwrap(&self, encrypted_key: &[u8]) -> Result<Option<SecretSlice<u8>>> {
        let (object, encrypted_key) = (Arc::clone(&self.object), encrypted_key.to_vec());
        let call = self.call.clone();
        let asked = tokio::task::spawn_blocking(move || {
            runtime::attach(|py| {
                let arguments = (PyBytes::new(py, &encrypted_key),).into_pyobject(py)?;
                let given = call.ask(object.bind(py), "unwrap", arguments)?;
                let key: Option<Vec<u8>> = given.extract()?;
                Ok(key.map(SecretSlice::from))
            })
        });
        let failed = |message| Error::new(ErrorKind::Local, message);
        match asked.await {
            Ok(Ok(key)) => Ok(key),
            Ok(Err(error)) => {
                let error: PyErr = error;
                self.call.keep(error);
                // What it says may be the key.
                Err(failed("the identity raised an exception"))
            }
            Err(error) => Err(failed("the identity could not be asked").caused_by(error)),
        }
    }
}
