//! The answers to requests.

use std::sync::atomic::Ordering;

use bytes::Bytes;
use tokio::sync::oneshot;
use tokio::time::timeout;

use super::{Handle, PATIENCE, Place, Refusal, Sftp, Trouble};
use crate::transfer::protocol::{Attributes, Reply, status};
use crate::{Error, ErrorKind, Result};

/// An answer that is on its way, or [what it says](Self::reply).
pub(in crate::transfer) struct Answer<'a> {
    pub(super) sftp: &'a Sftp,
    pub(super) reply: oneshot::Receiver<Reply>,
    pub(super) _place: Option<Place>,
}

impl Answer<'_> {
    /// Whether it has come.
    pub(in crate::transfer) fn has_come(&self) -> bool {
        !self.reply.is_empty()
    }

    /// Waits for the answer, as long as anything moves or is written to the host's disk.
    pub(in crate::transfer) async fn reply(mut self) -> Result<Reply> {
        let shared = &self.sftp.inner.shared;
        loop {
            let before = shared.moved.load(Ordering::Relaxed);
            match timeout(PATIENCE, &mut self.reply).await {
                Ok(Ok(reply)) => return Ok(reply),
                Ok(Err(_)) => return Err(self.sftp.inner.lost()),
                Err(_) if shared.stands_still_since(before) => {
                    let message = format!("the file transfer stands still for {PATIENCE:?}");
                    return Err(Error::new(ErrorKind::Timeout, message).on(self.sftp.host()));
                }
                Err(_) => {}
            }
        }
    }

    /// That it was done.
    pub(in crate::transfer) async fn done(self) -> Result<(), Trouble> {
        let sftp = self.sftp;
        match self.reply().await? {
            Reply::Status {
                code: status::OK, ..
            } => Ok(()),
            other => Err(asked_for(other, sftp)),
        }
    }

    /// The content that was asked for, `None` at the end of the file.
    pub(in crate::transfer) async fn content(self) -> Result<Option<Vec<Bytes>>, Trouble> {
        let sftp = self.sftp;
        match self.reply().await? {
            Reply::Data(pieces) => Ok(Some(pieces)),
            Reply::Status {
                code: status::END, ..
            } => Ok(None),
            other => Err(asked_for(other, sftp)),
        }
    }

    pub(super) async fn handle(self) -> Result<Handle, Trouble> {
        let sftp = self.sftp;
        match self.reply().await? {
            Reply::Handle(handle) => Ok(Handle(handle)),
            other => Err(asked_for(other, sftp)),
        }
    }

    pub(super) async fn attributes(self) -> Result<Attributes, Trouble> {
        let sftp = self.sftp;
        match self.reply().await? {
            Reply::Attributes(attributes) => Ok(attributes),
            other => Err(asked_for(other, sftp)),
        }
    }
}

/// What an answer means that is not the one asked for.
pub(super) fn asked_for(reply: Reply, sftp: &Sftp) -> Trouble {
    match reply {
        Reply::Status { code, message } if code != status::OK => {
            Trouble::Refused(Refusal { code, message })
        }
        _ => {
            let message = "the server's file transfer gave an answer to another question";
            Trouble::Broken(Error::new(ErrorKind::Protocol, message).on(sftp.host()))
        }
    }
}
