//! The half of a channel that is written to, and closed with its last user.

use std::ops::Deref;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use russh::ChannelWriteHalf;
use russh::client::Msg;
use tokio::runtime::Handle;

/// Closes its channel when it is dropped, which russh does not: a server counts the channels of a session (`MaxSessions`,
/// sshd_config(5)) until they are closed, and goes on to send what nobody reads.
#[derive(Debug)]
pub(crate) struct ChannelInput {
    half: Arc<ChannelWriteHalf<Msg>>,
    is_closed: AtomicBool,
}

impl ChannelInput {
    pub(super) fn new(half: ChannelWriteHalf<Msg>) -> Self {
        Self {
            half: Arc::new(half),
            is_closed: AtomicBool::new(false),
        }
    }

    /// The channel is closed, or lost with its connection.
    pub(super) fn note_closed(&self) {
        self.is_closed.store(true, Ordering::Relaxed);
    }
}

impl Deref for ChannelInput {
    type Target = ChannelWriteHalf<Msg>;

    fn deref(&self) -> &Self::Target {
        &self.half
    }
}

impl Drop for ChannelInput {
    fn drop(&mut self) {
        if !*self.is_closed.get_mut()
            && let Ok(runtime) = Handle::try_current()
        {
            let half = Arc::clone(&self.half);
            runtime.spawn(async move { half.close().await });
        }
    }
}
