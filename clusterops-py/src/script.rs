//! `Script`: what an interpreter runs on a host.

use pyo3::prelude::*;

use crate::command::bytes;
use crate::words::Words;

/// A script's text, which runs on a host as a command of a `Session`: ``session.run(Script("set -e\n..."))``.
///
/// Nothing of it stays behind on the host, however it ends; its standard input is the command's.
///
/// Parameters
/// ----------
/// text : str or bytes
///     The script itself; that of a file is ``Path("check.sh").read_bytes()``.
/// arguments : sequence of str
///     What the script is given, as its ``"$@"``.
/// interpreter : sequence of str, optional
///     What runs it, with its options; ``/bin/sh``, where it is left out.
///
/// Examples
/// --------
/// >>> Script("import sys; print(sys.argv[1:])", ["a b"], interpreter=["python3", "-I"])
/// <Script for python3 -I, 31 bytes>
#[pyclass(module = "clusterops", frozen)]
pub(crate) struct Script {
    text: Vec<u8>,
    arguments: Vec<String>,
    interpreter: Vec<String>,
}

#[pymethods]
impl Script {
    #[new]
    #[pyo3(signature = (text, arguments = Words(Vec::new()), *, interpreter = None), text_signature = "(text, arguments=(), *, interpreter=None)")]
    fn new(
        text: &Bound<'_, PyAny>,
        arguments: Words,
        interpreter: Option<Words>,
    ) -> PyResult<Self> {
        Ok(Self {
            text: bytes(text)?,
            arguments: arguments.0,
            interpreter: interpreter.map_or_else(|| vec!["/bin/sh".into()], |words| words.0),
        })
    }

    fn __repr__(&self) -> String {
        // The text may say what is not for everybody.
        let interpreter = self.interpreter.join(" ");
        format!("<Script for {interpreter}, {} bytes>", self.text.len())
    }
}

impl Script {
    /// As a command.
    pub(crate) fn command(&self) -> clusterops::Command {
        clusterops::Command::script(self.text.clone(), &self.interpreter, &self.arguments)
    }
}
