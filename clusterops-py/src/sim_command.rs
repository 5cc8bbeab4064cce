//! What a simulated host is asked, what it answers, and what can be wrong with it, for `clusterops.testing`.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use clusterops::sim::{Answer, Fault, Match, SimCommand, SimHost};
use pyo3::exceptions::{PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyString};
use tokio::task::block_in_place;

use crate::call::Call;
use crate::command;
use crate::runtime;
use crate::table::Table;
use crate::words::{Span, quoted, takes};

/// What a simulated command does.
///
/// Parameters
/// ----------
/// stdout, stderr : str or bytes
///     What it prints.
/// status : int
///     Its exit status.
/// delay : timedelta or float, optional
///     How long it waits before it prints; floats are seconds.
/// never_exits : bool
///     Whether it ends only when a signal ends it.
/// ignores_term : bool
///     Whether only KILL ends it.
/// echoes_stdin : bool
///     Whether it copies its standard input to its standard output, as ``cat`` does.
/// files : mapping, optional
///     The files of the host that it writes: their paths, and what is to be in them.
/// detached : str, optional
///     The command line of a process that it leaves behind, which is in no process group of its own.
#[pyclass(module = "clusterops.testing", frozen)]
pub(crate) struct SimulatedAnswer(Answer);

#[pymethods]
impl SimulatedAnswer {
    #[new]
    #[pyo3(signature = (stdout = Content::default(), stderr = Content::default(), *, status = 0, delay = None, never_exits = false, ignores_term = false, echoes_stdin = false, files = None, detached = None), text_signature = "(stdout='', stderr='', *, status=0, delay=None, never_exits=False, ignores_term=False, echoes_stdin=False, files=None, detached=None)")]
    #[expect(clippy::too_many_arguments, reason = "they are keywords in Python")]
    fn new(
        stdout: Content,
        stderr: Content,
        status: u8,
        delay: Option<Span>,
        never_exits: bool,
        ignores_term: bool,
        echoes_stdin: bool,
        files: Option<Table<Content>>,
        detached: Option<String>,
    ) -> Self {
        let mut answer = match (never_exits, echoes_stdin) {
            (true, _) => Answer::never_exits(),
            (false, true) => Answer::echo_stdin().with_status(status),
            (false, false) => Answer::status(status),
        };
        answer = answer
            .with_stdout(stdout.0)
            .with_stderr(stderr.0)
            .with_delay(delay.map_or(Duration::ZERO, |delay| delay.0));
        if ignores_term {
            answer = answer.ignoring_term();
        }
        for (path, content) in files.into_iter().flat_map(|files| files.0) {
            answer = answer.with_file(path, content.0);
        }
        if let Some(line) = detached {
            answer = answer.with_detached(line);
        }
        Self(answer)
    }
}

/// What a file holds or a command prints: bytes, or a text as UTF-8.
#[derive(Default)]
pub(crate) struct Content(pub(crate) Vec<u8>);

impl<'py> FromPyObject<'_, 'py> for Content {
    type Error = PyErr;
    takes!("str | bytes | bytearray");

    fn extract(value: Borrowed<'_, 'py, PyAny>) -> PyResult<Self> {
        command::bytes(&value).map(Self)
    }
}

/// An answer as Python gives it: a `SimulatedAnswer`, what is printed, or a function that is asked for one of them.
#[derive(Clone)]
pub(crate) enum Played {
    Answer(Answer),
    Function(Arc<Py<PyAny>>),
}

impl<'py> FromPyObject<'_, 'py> for Played {
    type Error = PyErr;
    takes!("str | SimulatedAnswer | Callable[[SimulatedCommand], str | SimulatedAnswer]");

    fn extract(value: Borrowed<'_, 'py, PyAny>) -> PyResult<Self> {
        match told(&value) {
            Some(answer) => answer.map(Self::Answer),
            None if value.is_callable() => Ok(Self::Function(Arc::new(value.to_owned().unbind()))),
            None => Err(PyTypeError::new_err(
                "an answer is a text, a SimulatedAnswer, or a function that gives one of them",
            )),
        }
    }
}

/// An answer that is known; none where the object is neither a text nor an answer.
fn told(value: &Bound<'_, PyAny>) -> Option<PyResult<Answer>> {
    if let Ok(answer) = value.cast::<SimulatedAnswer>() {
        return Some(Ok(answer.get().0.clone()));
    }
    let text = value.cast::<PyString>().ok()?;
    Some(text.extract::<String>().map(Answer::stdout))
}

impl Played {
    /// The host with this answer to a command. What a function raises is kept, and the command fails.
    pub(crate) fn on(self, host: SimHost, command: impl Into<Match>, call: &Call) -> SimHost {
        let function = match self {
            Self::Answer(answer) => return host.answer(command, answer),
            Self::Function(function) => function,
        };
        let call = call.clone();
        host.answer_with(command, move |asked| {
            // At the interpreter's end nobody waits for an answer any more.
            // It can take its time, and use the library.
            let answer = block_in_place(|| {
                runtime::enter(|py| {
                    let given = function.call1(py, (SimulatedCommand(asked.clone()),))?;
                    told(given.bind(py)).unwrap_or_else(|| {
                        let message = "a function that answers gives a text or a SimulatedAnswer";
                        Err(PyTypeError::new_err(message))
                    })
                })
            });
            answer
                .unwrap_or_else(|| Ok(Answer::status(1)))
                .unwrap_or_else(|error: PyErr| {
                    let message = format!("the function that answers raised {error}\n");
                    call.keep(error);
                    Answer::status(1).with_stderr(message)
                })
        })
    }
}

/// A command that reached a simulated host.
#[pyclass(module = "clusterops.testing", frozen, eq)]
#[derive(PartialEq)]
pub(crate) struct SimulatedCommand(pub(crate) SimCommand);

#[pymethods]
impl SimulatedCommand {
    /// The host's name.
    #[getter]
    fn host(&self) -> &str {
        &self.0.host
    }

    /// The login name.
    #[getter]
    fn user(&self) -> &str {
        &self.0.user
    }

    /// What was to be run, as one line; of a script the interpreter and the arguments.
    #[getter]
    fn line(&self) -> String {
        self.0.line().into_owned()
    }

    /// The text of a script; None for other commands.
    #[getter]
    fn script<'py>(&self, py: Python<'py>) -> Option<Bound<'py, PyBytes>> {
        self.0.script().map(|text| PyBytes::new(py, text))
    }

    /// The environment that the client gave it.
    #[getter]
    fn environment(&self) -> BTreeMap<String, String> {
        self.0.environment.clone()
    }

    /// The working directory that the client asked for.
    #[getter]
    fn current_dir(&self) -> Option<&str> {
        self.0.directory.as_deref()
    }

    fn __repr__(&self, py: Python<'_>) -> PyResult<String> {
        let (host, line) = (quoted(py, &self.0.host)?, quoted(py, &self.0.line())?);
        Ok(format!("<SimulatedCommand {host}: {line}>"))
    }
}

impl fmt::Debug for SimulatedCommand {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // An environment may hold secrets.
        f.debug_struct("SimulatedCommand").finish_non_exhaustive()
    }
}

/// What can be wrong with a host, by name, where nothing more has to be said of it.
const FAULTS: [(&str, Fault); 9] = [
    ("refuse", Fault::Refuse),
    ("silent", Fault::Silent),
    ("drop_in_key_exchange", Fault::DropInKeyExchange),
    ("wrong_host_key", Fault::WrongHostKey),
    ("reject_authentication", Fault::RejectAuthentication),
    ("disk_full", Fault::DiskFull),
    ("no_status", Fault::NoStatus),
    ("never_exits", Fault::NeverExits),
    ("drop_during_command", Fault::DropDuringCommand),
];

/// Reads a fault: its name, and what some of them are told.
pub(crate) fn fault(
    name: &str,
    count: Option<u64>,
    span: Option<Span>,
    signal: Option<&str>,
) -> PyResult<Fault> {
    let found = match (name, count, span, signal) {
        (name, None, None, None) if name != "flood" => FAULTS
            .into_iter()
            .find_map(|(known, fault)| (known == name).then_some(fault)),
        ("drop_first", Some(count), None, None) => u32::try_from(count).ok().map(Fault::DropFirst),
        ("not_allowed", None, Some(span), None) => Some(Fault::NotAllowed(span.0)),
        ("drip", Some(count), Some(every), None) => {
            usize::try_from(count).ok().map(|bytes| Fault::Drip {
                bytes,
                every: every.0,
            })
        }
        ("flood", count, None, None) => Some(Fault::Flood(count)),
        ("exit_by_signal", None, None, Some(signal)) => {
            let signal = signal.parse();
            let signal =
                signal.map_err(|error| PyValueError::new_err(format!("{signal:?}: {error}")));
            Some(Fault::ExitBySignal(signal?))
        }
        _ => None,
    };
    found.ok_or_else(|| {
        let names = FAULTS.map(|(name, _)| name).join(", ");
        PyValueError::new_err(format!(
            "there is no fault '{name}' with these details; there are {names}, drop_first with a count, not_allowed with a \
             span, drip with a count and a span, flood with or without a count, and exit_by_signal with a signal"
        ))
    })
}
