//! Why a request to a host's files did not do what it should.

#[cfg(test)]
mod tests;

use crate::transfer::paths::{shown, too_long};
use crate::transfer::protocol::status;
use crate::{Error, ErrorKind};

/// What a host said no with: the status and its text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::transfer) struct Refusal {
    pub(super) code: u32,
    pub(super) message: String,
}

/// Why a request did not do what it should.
#[derive(Debug)]
pub(in crate::transfer) enum Trouble {
    Refused(Refusal),
    /// The connection cannot be used any more.
    Broken(Error),
}

impl Refusal {
    /// What is too long of the path that was refused, where that may be why: sshd has [`status::BAD_MESSAGE`] for it, other
    /// servers nothing better than [`status::FAILURE`].
    pub(super) fn too_long(&self, path: &[u8]) -> Option<String> {
        let may_be_why = matches!(self.code, status::BAD_MESSAGE | status::FAILURE);
        may_be_why.then(|| too_long(path)).flatten()
    }
}

impl From<Error> for Trouble {
    fn from(error: Error) -> Self {
        Self::Broken(error)
    }
}

impl Trouble {
    /// The error that says what could not be done with a path on the host: "read", "written".
    pub(in crate::transfer) fn when(self, path: &[u8], done: &str) -> Error {
        match self {
            Self::Broken(error) => error,
            Self::Refused(refusal) => {
                let why = match refusal.code {
                    _ if let Some(why) = refusal.too_long(path) => why,
                    status::NO_SUCH_FILE => "no such file or folder on the host".to_owned(),
                    status::PERMISSION_DENIED => "permission denied on the host".to_owned(),
                    _ => format!("the host says: {}", refusal.message),
                };
                let message = format!("`{}` cannot be {done}", shown(path));
                Error::new(ErrorKind::Transfer, message).caused_by(why)
            }
        }
    }

    /// As [`when`](Self::when), where a host does not take a file's content: there is no code for a full disk.
    pub(in crate::transfer) fn when_filled(self, path: &[u8]) -> Error {
        match self {
            Self::Refused(Refusal { code, message }) if code == status::FAILURE => {
                let why = format!("the host says: {message} (its disk may be full)");
                let message = format!("`{}` cannot be written", shown(path));
                Error::new(ErrorKind::Transfer, message).caused_by(why)
            }
            other => other.when(path, "written"),
        }
    }

    pub(in crate::transfer) fn is_refusal(&self) -> bool {
        matches!(self, Self::Refused(_))
    }
}
