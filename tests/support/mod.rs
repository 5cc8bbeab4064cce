//! What the tests and benchmarks against real programs share.
#![allow(dead_code, reason = "every test uses its own part of this module")]

mod process;
mod sshd;

pub(crate) use sshd::{Sshd, SshdOptions};

/// Says that the test `name` cannot run here and why; where `CI` is set, that is a failure.
///
/// The caller returns afterwards. The line is written past the test runner's capture, which hides what passing tests
/// print.
pub(crate) fn skip_or_fail(name: &str, reason: &str) {
    use std::io::Write;

    let in_ci = std::env::var_os("CI").is_some_and(|value| !value.is_empty() && value != "false");
    assert!(!in_ci, "{name} cannot run: {reason}");
    // Nothing can be done for a standard error that is closed.
    let _ = writeln!(std::io::stderr(), "skipped {name}: {reason}");
}
