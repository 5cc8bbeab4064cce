//! What belongs to one process, and to no child of it.

use std::fmt;
use std::process;

use pyo3::PyResult;

use crate::errors::Raised;

/// Something whose work is done by the runtime of the process in which it was made. A child of fork(2) finds it as it was at
/// that moment, with locks that nobody opens any more: there it is neither used nor dropped.
pub(crate) struct Owned<T> {
    process: u32,
    /// None only while this is dropped.
    value: Option<T>,
}

impl<T> Owned<T> {
    pub(crate) fn new(value: T) -> Self {
        Self {
            process: process::id(),
            value: Some(value),
        }
    }

    /// What is held, in its own process.
    pub(crate) fn here(&self) -> Option<&T> {
        let value = self.value.as_ref();
        value.filter(|_| self.process == process::id())
    }

    /// What is held.
    ///
    /// # Errors
    /// `InvalidError` in another process, about this object.
    pub(crate) fn get(&self, what: impl fmt::Display) -> PyResult<&T> {
        self.here().ok_or_else(|| {
            let message = format!("{what} was made by the parent of this process, and works only there; make another here");
            Raised::invalid(message).into()
        })
    }
}

impl<T> Drop for Owned<T> {
    fn drop(&mut self) {
        if self.process != process::id() {
            std::mem::forget(self.value.take());
        }
    }
}

impl<T> fmt::Debug for Owned<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Owned").finish_non_exhaustive()
    }
}
