//! What the program prints.

use std::fmt;
use std::io::{self, Write as _};

use clusterops::core::Printable;

/// Standard output cannot be written.
#[derive(Debug)]
pub(crate) struct Unwritten(io::Error);

impl Unwritten {
    /// Whether the reader has seen enough, as with `| head`; that is no failure.
    pub(crate) fn is_closed(&self) -> bool {
        self.0.kind() == io::ErrorKind::BrokenPipe
    }
}

impl fmt::Display for Unwritten {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "standard output cannot be written: {}", self.0)
    }
}

impl std::error::Error for Unwritten {}

/// Prints a text as it is.
pub(crate) fn print(text: impl fmt::Display) -> Result<(), Unwritten> {
    let mut output = io::stdout().lock();
    write!(output, "{text}")
        .and_then(|()| output.flush())
        .map_err(Unwritten)
}

/// Prints one line about something; what comes from a file and would act on a terminal is escaped.
pub(crate) fn print_line(text: impl fmt::Display) -> Result<(), Unwritten> {
    print(format_args!("{}\n", Printable(&text.to_string())))
}

/// Says one line on standard error, to whoever reads it, escaped as well.
pub(crate) fn warn(text: impl fmt::Display) {
    // There is nobody else to tell.
    let _ = writeln!(io::stderr(), "{}", Printable(&text.to_string()));
}
