//! Why a command was not started, in words.

use clusterops_core::Printable;
use russh::Sig;

use super::Process;
use crate::session::link::ANSWERING;
use crate::wire::Ready;
use crate::{Error, ErrorKind};

impl Process {
    /// A server that says nothing to what it was asked for.
    pub(super) fn unanswered(&self) -> Error {
        let what = match self.awaits_terminal {
            true => "for a terminal (pty-req)",
            false => "to run the command (exec)",
        };
        let message = format!("the server did not answer the request {what} within {ANSWERING:?}");
        Error::new(ErrorKind::Timeout, message)
    }

    /// Ends a start that failed.
    pub(super) fn give_up(&mut self, error: Error) -> Error {
        self.let_go();
        self.close();
        error.on(&self.host)
    }

    pub(super) fn not_started(&self, said: &[u8]) -> Error {
        match self.refusal {
            Some(Ready::NoDirectory) => self.error(
                ErrorKind::Command,
                with_words(
                    &format!(
                        "the working directory `{}` cannot be entered",
                        Printable(self.directory.as_deref().unwrap_or_default())
                    ),
                    said,
                ),
            ),
            Some(Ready::NoTerminal) => self.error(
                ErrorKind::Command,
                with_words("the terminal cannot be set up (stty)", said),
            ),
            Some(_) => self.error(
                ErrorKind::Command,
                with_words("the script cannot be stored on the host", said),
            ),
            None => {
                let what = format!(
                    "the login shell did not start the command ({})",
                    self.exit()
                );
                self.error(ErrorKind::Protocol, with_words(&what, said))
            }
        }
    }

    pub(super) fn error(&self, kind: ErrorKind, message: String) -> Error {
        Error::new(kind, message).on(&self.host)
    }
}

/// A sentence followed by the host's own words, made fit for one line.
pub(in crate::session) fn with_words(what: &str, said: &[u8]) -> String {
    let said = String::from_utf8_lossy(said);
    let words: Vec<&str> = said
        .split(|c: char| c.is_whitespace() || c.is_control())
        .filter(|w| !w.is_empty())
        .collect();
    if words.is_empty() {
        what.to_owned()
    } else {
        format!("{what}: {:.300}", words.join(" "))
    }
}

/// A signal's name without `SIG` (RFC 4254 section 6.10).
pub(super) fn signal_word(signal: &Sig) -> String {
    match signal {
        Sig::Custom(name) => name.split('@').next().unwrap_or_default().to_owned(),
        named => format!("{named:?}"),
    }
}
