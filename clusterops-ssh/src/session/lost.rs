//! Why a connection was lost.

use std::sync::{Arc, OnceLock};

use crate::{Error, ErrorKind};

/// Why a connection was lost, once it is; what is said first holds.
#[derive(Debug, Clone, Default)]
pub(super) struct Lost(Arc<OnceLock<Loss>>);

#[derive(Debug, Clone)]
struct Loss {
    /// The jump host that was lost, and the connection with it.
    jump_host: Option<String>,
    reason: String,
}

impl Lost {
    pub(super) fn set(&self, reason: impl Into<String>) {
        let (jump_host, reason) = (None, reason.into());
        let _ = self.0.set(Loss { jump_host, reason });
    }

    /// Notes that the connection led through `jump_host`, which was lost for the reason that `its` holds.
    pub(super) fn set_with_jump_host(&self, jump_host: &str, its: &Self) {
        let loss = its.0.get().cloned().unwrap_or_else(|| Loss {
            jump_host: None,
            reason: "the connection was lost".into(),
        });
        let _ = self.0.set(Loss {
            jump_host: loss.jump_host.or_else(|| Some(jump_host.into())),
            reason: loss.reason,
        });
    }

    /// Why the connection was lost, in words.
    pub(super) fn reason(&self) -> String {
        match self.error() {
            Some(error) => error.full_message(),
            None => "the connection was lost".into(),
        }
    }

    /// The error that tells why the connection was lost; none while it is not known.
    pub(super) fn error(&self) -> Option<Error> {
        let loss = self.0.get()?;
        let error = Error::new(ErrorKind::Disconnected, &loss.reason);
        Some(match &loss.jump_host {
            Some(name) => error.at_jump_host(name),
            None => error,
        })
    }

    /// The error that tells that a jump host was lost.
    pub(super) fn at_jump_host(&self) -> Option<Error> {
        self.error().filter(|error| error.jump_host().is_some())
    }

    /// An error for a lost connection says why it was lost, when that is known.
    pub(super) fn explain(&self, error: Error) -> Error {
        match error.kind() {
            ErrorKind::Disconnected => self.error().unwrap_or(error),
            _ => error,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_jump_host_that_was_lost_is_named() {
        let (gate, inner, target) = (Lost::default(), Lost::default(), Lost::default());
        gate.set("the host stopped answering");
        inner.set_with_jump_host("gate", &gate);
        target.set_with_jump_host("inner", &inner);
        target.set("the connection was closed by the host");
        let closed = Error::new(ErrorKind::Disconnected, "closed");
        let error = target.explain(closed).on("web1");
        assert_eq!(error.jump_host(), Some("gate"));
        assert_eq!(
            error.to_string(),
            "web1: jump host gate: the host stopped answering"
        );
        let other = Error::new(ErrorKind::Protocol, "refused a channel");
        assert_eq!(target.explain(other).kind(), ErrorKind::Protocol);
    }
}
