//! Keywords that several calls take alike, of which `clusterops.options` tells the types.

use clusterops::TransferOptions;
use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;
use pyo3::types::PyDict;

/// Sets each of the keywords, and names the one that is of a wrong type or that is not there.
pub(crate) fn set_each(
    options: Option<&Bound<'_, PyDict>>,
    what: &str,
    mut set: impl FnMut(&str, &Bound<'_, PyAny>) -> PyResult<bool>,
) -> PyResult<()> {
    for (name, value) in options.into_iter().flatten() {
        let name: String = name.extract()?;
        let is_set = set(&name, &value).map_err(|error| {
            match error.is_instance_of::<PyTypeError>(value.py()) {
                true => PyTypeError::new_err(format!("{name}: {}", error.value(value.py()))),
                false => error,
            }
        })?;
        if !is_set {
            let message = format!("{what} has no option '{name}'");
            return Err(PyTypeError::new_err(message));
        }
    }
    Ok(())
}

/// Sets one of `clusterops.FileOptions`; false where there is none of this name.
pub(crate) fn set_file_option(
    options: &mut TransferOptions,
    name: &str,
    value: &Bound<'_, PyAny>,
) -> PyResult<bool> {
    match name {
        "mode" => options.mode = value.extract()?,
        "modes" => options.modes = value.extract()?,
        "times" => options.times = value.extract()?,
        "verify" => options.verify = value.extract()?,
        "resume" => options.resume = value.extract()?,
        "sync" => options.sync = value.extract()?,
        _ => return Ok(false),
    }
    Ok(true)
}
