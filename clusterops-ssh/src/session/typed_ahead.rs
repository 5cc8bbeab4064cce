//! How far ahead of its reader a terminal is typed to.
//!
//! To hide that a terminal does not echo, sshd answers what it has handed to one that takes lines with an SSH_MSG_IGNORE
//! of the same length (channels.c, channel_handle_wfd), and it hands over all that waits at once. russh takes no packet
//! of more than 256 KiB, so no more than that may wait: what was sent is held against what the windows that sshd grants
//! show as handed over.

use std::sync::{Arc, Weak};

use tokio::sync::watch;

use super::link::{Connection, Link};

/// How much may wait before more is sent. sshd grants a new window once 96 KiB and a packet of 32 KiB were handed over
/// (channels.c, channel_check_window), and a grant may be taken for one piece more or less than it is.
const AHEAD: u64 = 160 << 10;

/// How much is sent at once: an SSH packet (RFC 4253 section 6.1).
pub(super) const PIECE: usize = 32 << 10;

/// Input up to this length needs no such care.
const SHORT: u64 = 64 << 10;

/// What is typed into one terminal.
#[derive(Debug)]
pub(super) struct TypedAhead {
    connection: Weak<Connection>,
    sent: u64,
    grants: watch::Receiver<Taken>,
    taken: Arc<Grants>,
}

/// Hears the windows that are granted to one terminal.
#[derive(Debug)]
pub(super) struct Grants(watch::Sender<Taken>);

#[derive(Debug, Clone, Copy, Default)]
struct Taken {
    /// The whole window: the first one, which sshd grants before it takes anything. Servers that open a channel with a
    /// window grant the next one later, and have nothing to hide.
    window: Option<u64>,
    /// How much the server has certainly got.
    arrived: u64,
    /// How much it has certainly handed over.
    handed_over: u64,
}

impl TypedAhead {
    pub(super) fn new(link: &Link) -> Self {
        let (sender, grants) = watch::channel(Taken::default());
        Self {
            connection: Arc::downgrade(&link.connection),
            sent: 0,
            grants,
            taken: Arc::new(Grants(sender)),
        }
    }

    /// Whom to tell of the windows that are granted.
    pub(super) fn grants(&self) -> Arc<Grants> {
        Arc::clone(&self.taken)
    }

    /// Waits until a piece can be sent.
    pub(super) async fn room(&mut self) {
        let sent = self.sent;
        // Its sender lives as long as this does.
        let _ = self.grants.wait_for(|taken| taken.has_room(sent)).await;
    }

    /// A piece was sent; waits until the server has it, which takes as long as a slow way to it does. One that is silent
    /// is found out as for every other use of the connection.
    pub(super) async fn sent(&mut self, length: usize) {
        self.sent += length as u64;
        if self.sent > SHORT
            && let Some(connection) = self.connection.upgrade()
        {
            // Its answer comes behind the piece. A connection that is lost is told by whoever reads.
            let _ = connection.send_ping().await;
            let arrived = self.sent;
            self.taken.0.send_modify(|taken| taken.arrived = arrived);
        }
    }
}

impl Grants {
    /// The server would now take so much.
    pub(super) fn hear(&self, window: u32) {
        self.0.send_modify(|taken| taken.hear(window.into()));
    }
}

impl Taken {
    fn hear(&mut self, window: u64) {
        if self.arrived == 0 {
            self.window.get_or_insert(window);
        }
        if let Some(whole) = self.window {
            let handed_over = (self.arrived + window).saturating_sub(whole);
            self.handed_over = self.handed_over.max(handed_over);
        }
    }

    fn has_room(&self, sent: u64) -> bool {
        self.window.is_none_or(|window| window <= AHEAD) || sent - self.handed_over <= AHEAD
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_handed_over_is_seen_from_the_windows() {
        let mut taken = Taken::default();
        taken.hear(2 << 20);
        assert!(taken.has_room(AHEAD));
        assert!(!taken.has_room(AHEAD + 1));
        taken.arrived = 150_000;
        taken.hear((2 << 20) - 50_000);
        assert_eq!(taken.handed_over, 100_000);
        assert!(taken.has_room(AHEAD + 100_000));
        assert!(!taken.has_room(AHEAD + 100_001));
    }

    #[test]
    fn servers_that_open_a_channel_with_a_window_are_not_waited_for() {
        let mut taken = Taken::default();
        assert!(taken.has_room(u64::MAX));
        taken.arrived = 100_000;
        taken.hear(2 << 20);
        assert!(taken.has_room(u64::MAX));
        let mut small = Taken::default();
        small.hear(24 << 10);
        assert!(small.has_room(u64::MAX));
    }
}
