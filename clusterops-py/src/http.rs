//! How HTTP servers are spoken to, as keywords.

use std::time::Duration;

use clusterops::http::{HttpOptions, HttpRetries};
use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;
use pyo3::types::PyDict;

use crate::secret::SecretText;
use crate::words::Span;

/// The options that `clusterops.HttpOptions` names.
pub(crate) fn http_options(keywords: Option<&Bound<'_, PyDict>>) -> PyResult<HttpOptions> {
    let mut options = HttpOptions::default();
    for (name, value) in keywords.into_iter().flatten() {
        let name: String = name.extract()?;
        options = with(options, &name, &value).map_err(|error| {
            match error.is_instance_of::<PyTypeError>(value.py()) {
                true => PyTypeError::new_err(format!("{name}: {}", error.value(value.py()))),
                false => error,
            }
        })?;
    }
    Ok(options)
}

fn with(options: HttpOptions, name: &str, value: &Bound<'_, PyAny>) -> PyResult<HttpOptions> {
    let span = || -> PyResult<Duration> { Ok(value.extract::<Span>()?.0) };
    let pair = || -> PyResult<(String, SecretText)> {
        value
            .extract()
            .map_err(|_| PyTypeError::new_err("it is a pair: a str, and a str or a Secret"))
    };
    Ok(match name {
        "basic" => {
            let (user, password) = pair()?;
            options.basic(user, password.0)
        }
        "bearer" => options.bearer(value.extract::<SecretText>()?.0),
        "dcos_token" => options.dcos_token(value.extract::<SecretText>()?.0),
        "authorization" => {
            let (scheme, secret) = pair()?;
            options.authorization(&scheme, secret.0)
        }
        "api_key" => {
            let (header, key) = pair()?;
            options.api_key(header, key.0)
        }
        "authority" => options.authority(value.extract::<String>()?),
        "client_certificate" => {
            let (chain, key) = pair()?;
            options.client_certificate(chain, key.0)
        }
        "connect_deadline" => options.connect_deadline(span()?),
        "deadline" => options.deadline(span()?),
        "attempt_deadline" => options.attempt_deadline(span()?),
        "gzip" => options.gzip(value.extract()?),
        "attempts" => options.retries(HttpRetries {
            attempts: value.extract()?,
            ..HttpRetries::default()
        }),
        "body_limit" => options.body_limit(value.extract()?),
        "danger_plain_http" => options.danger_plain_http(value.extract()?),
        "environment_proxies" => options.environment_proxies(value.extract()?),
        _ => return Err(PyTypeError::new_err("there is no such option")),
    })
}
