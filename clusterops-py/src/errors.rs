//! What went wrong, as the exceptions of `clusterops.errors`.
//!
//! The classes are written in Python, where each of them can have two bases: ours, and the built-in one that scripts
//! catch. Here stands which kind of error is which class.

use pyo3::prelude::*;
use pyo3::types::{PyDict, PyTuple};

use crate::output::Output;
use crate::runtime;
use crate::words::snake_case;

/// A table of the kinds of one crate by class, and the function that looks into it.
///
/// Kinds can be added to by later versions of a crate, so no `match` outside of it is complete; a test reads the kinds
/// from the crates' sources and compares them with [`TABLES`].
macro_rules! kinds {
    ($function:ident, $table:ident, $kind:ty; $($class:ident: $($variant:ident),+;)+) => {
        const $table: &[(&str, &str)] = &[$($((stringify!($variant), stringify!($class)),)+)+];

        fn $function(kind: $kind) -> (&'static str, &'static str) {
            match kind {
                $($(<$kind>::$variant => (stringify!($variant), stringify!($class)),)+)+
                _ => ("Other", "ClusterOpsError"),
            }
        }
    };
}

kinds! { core, CORE, clusterops::core::ErrorKind;
    InvalidError: Syntax, TooLarge, Ambiguous, Inventory, Options, Rejected;
    NotFoundError: UnknownGroup, UnknownHost, NotFound;
    UnreachableError: Connection, Tls;
    DeadlineError: Timeout;
    DeniedError: Denied;
    LocalError: Io;
    ServerError: GroupSource, Locked, Unavailable, Server, Answer, Redirect;
}

kinds! { ssh, SSH, clusterops::ssh::ErrorKind;
    UnreachableError: Unreachable, Refused, Disconnected, Overloaded, Protocol;
    DeniedError: HostKey, Authentication;
    DeadlineError: Timeout;
    CommandError: Command;
    TransferError: Transfer;
    CancelledError: Cancelled, Blocked;
    InvalidError: Plan;
    LocalError: Local, Journal;
    NotFoundError: Secret;
    ClusterOpsError: Other;
}

kinds! { secrets, SECRETS, clusterops::secrets::ErrorKind;
    InvalidError: Syntax, Input, Format, Key, Misplaced, Unresolved;
    DeniedError: NotRecipient, Tampered, Signature, Recipients;
    LocalError: Changed, Local;
}

kinds! { logs, LOGS, clusterops::logs::ErrorKind;
    InvalidError: Syntax, Input, Rejected;
    UnreachableError: Connection, Tls;
    DeadlineError: Timeout;
    DeniedError: Unauthenticated, Denied;
    NotFoundError: NotFound, Expired;
    ServerError: Unavailable, Server, Answer, Partial;
    LocalError: Io;
}

/// The facade's kinds are those of its parts.
const FACADE: &[(&str, &str)] = &[("Core", ""), ("Secrets", ""), ("Ssh", "")];

/// The tables by crate.
const TABLES: [(&str, &[(&str, &str)]); 5] = [
    ("core", CORE),
    ("ssh", SSH),
    ("secrets", SECRETS),
    ("logs", LOGS),
    ("facade", FACADE),
];

/// An error on its way to Python; it can be raised more than once.
#[derive(Debug, Clone)]
pub(crate) struct Raised {
    class: &'static str,
    kind: String,
    message: String,
    host: Option<String>,
    stage: Option<String>,
    retryable: bool,
    /// What a command had written that did not come to its end.
    output: Option<clusterops::session::Output>,
}

impl Raised {
    fn new(
        (variant, class): (&'static str, &'static str),
        error: &dyn std::error::Error,
        retryable: bool,
    ) -> Self {
        let mut message = error.to_string();
        let mut source = error.source();
        while let Some(cause) = source {
            message.push_str(": ");
            message.push_str(&cause.to_string());
            source = cause.source();
        }
        Self {
            class,
            kind: snake_case(variant),
            message,
            host: None,
            stage: None,
            retryable,
            output: None,
        }
    }

    /// An error of the binding itself, about what it was given.
    pub(crate) fn invalid(message: impl Into<String>) -> Self {
        Self {
            class: "InvalidError",
            kind: "input".into(),
            message: message.into(),
            host: None,
            stage: None,
            retryable: false,
            output: None,
        }
    }

    /// What a report says of a host that stopped.
    pub(crate) fn failure(host: &str, failure: &clusterops::report::Failure) -> Self {
        let (variant, class) = ssh(failure.kind);
        let error = clusterops::ssh::Error::new(failure.kind, String::new());
        Self {
            class,
            kind: snake_case(variant),
            message: format!("{host}: {failure}"),
            host: Some(host.to_owned()),
            stage: failure.stage.clone(),
            retryable: error.is_retryable(),
            output: None,
        }
    }

    /// What an exception of this package was made of.
    pub(crate) fn of_exception(exception: &Bound<'_, PyAny>) -> PyResult<Self> {
        let name = exception.get_type().name()?;
        let classes = TABLES.iter().flat_map(|(_, table)| *table);
        let class = classes
            .map(|(_, class)| *class)
            .find(|class| name == *class);
        Ok(Self {
            class: class
                .filter(|class| !class.is_empty())
                .unwrap_or("ClusterOpsError"),
            kind: exception.getattr("kind")?.extract()?,
            message: exception.str()?.extract()?,
            host: exception.getattr("host")?.extract()?,
            stage: exception.getattr("stage")?.extract()?,
            retryable: exception.getattr("retryable")?.extract()?,
            output: None,
        })
    }

    /// The exception.
    pub(crate) fn exception<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        let class = py.import("clusterops.errors")?.getattr(self.class)?;
        let attributes = PyDict::new(py);
        attributes.set_item("host", &self.host)?;
        attributes.set_item("stage", &self.stage)?;
        attributes.set_item("kind", &self.kind)?;
        attributes.set_item("retryable", self.retryable)?;
        if let (Some(host), Some(output)) = (&self.host, &self.output) {
            attributes.set_item("output", Output::of(host, output.clone()))?;
        }
        class.call((&self.message,), Some(&attributes))
    }
}

impl From<&clusterops::core::Error> for Raised {
    fn from(error: &clusterops::core::Error) -> Self {
        Self::new(core(error.kind()), error, error.is_retryable())
    }
}

impl From<&clusterops::ssh::Error> for Raised {
    fn from(error: &clusterops::ssh::Error) -> Self {
        let mut raised = Self::new(ssh(error.kind()), error, error.is_retryable());
        raised.host = error.host().map(Into::into);
        raised.output = error.output().cloned();
        raised
    }
}

impl From<&clusterops::secrets::Error> for Raised {
    fn from(error: &clusterops::secrets::Error) -> Self {
        Self::new(secrets(error.kind()), error, error.is_retryable())
    }
}

impl From<&clusterops::logs::Error> for Raised {
    fn from(error: &clusterops::logs::Error) -> Self {
        Self::new(logs(error.kind()), error, error.is_retryable())
    }
}

impl From<&clusterops::Error> for Raised {
    fn from(error: &clusterops::Error) -> Self {
        match error {
            clusterops::Error::Core(error) => error.into(),
            clusterops::Error::Secrets(error) => error.into(),
            clusterops::Error::Ssh(error) => error.into(),
            other => Self::new(("Other", "ClusterOpsError"), other, other.is_retryable()),
        }
    }
}

impl From<Raised> for PyErr {
    fn from(raised: Raised) -> Self {
        runtime::attach(|py| match raised.exception(py) {
            Ok(exception) => Self::from_value(exception),
            Err(error) => error,
        })
    }
}

/// Turns any error of the crates into the exception that it is.
pub(crate) fn raise<E>(error: E) -> PyErr
where
    for<'a> Raised: From<&'a E>,
{
    Raised::from(&error).into()
}

/// The mapping, for tests: for each crate, which kind is which word and which class.
#[pyfunction]
pub(crate) fn _error_kinds(py: Python<'_>) -> PyResult<Bound<'_, PyDict>> {
    let tables = PyDict::new(py);
    for (name, table) in TABLES {
        let kinds = PyDict::new(py);
        for (variant, class) in table {
            let entry = PyTuple::new(py, [snake_case(variant).as_str(), class])?;
            kinds.set_item(variant, entry)?;
        }
        tables.set_item(name, kinds)?;
    }
    Ok(tables)
}
