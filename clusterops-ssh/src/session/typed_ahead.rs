//! How far ahead of its reader a terminal is typed to.
//!
//! To hide that a terminal does not echo, sshd answers what it has handed to one that takes lines with an SSH_MSG_IGNORE
//! of the same length (channels.c, channel_handle_wfd), and it hands over all that waits at once. russh takes no packet
//! of more than 256 KiB, so no more than that may wait: what was sent is held against what the windows that sshd grants
//! show as handed over.

use std::sync::{Arc, Weak};
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::timeout;

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
    /// How long the server may take to answer.
    patience: Duration,
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
    /// Whether it has not answered in time.
    is_silent: bool,
}

impl TypedAhead {
    pub(super) fn new(link: &Link) -> Self {
        Self::over(Arc::downgrade(&link.connection), link.patience())
    }

    fn over(connection: Weak<Connection>, patience: Duration) -> Self {
        let (sender, grants) = watch::channel(Taken::default());
        Self {
            connection,
            sent: 0,
            patience,
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

    /// A piece was sent; `None` when the server does not answer.
    pub(super) async fn sent(&mut self, length: usize) -> Option<()> {
        self.sent += length as u64;
        if self.sent > SHORT
            && let Some(connection) = self.connection.upgrade()
        {
            // Its answer comes behind the piece. A connection that is lost is told by whoever reads.
            self.arrived(connection.send_ping()).await?;
        }
        Some(())
    }

    async fn arrived(&self, answer: impl Future) -> Option<()> {
        let answered = timeout(self.patience, answer).await.is_ok();
        self.taken.0.send_modify(|taken| {
            taken.is_silent = !answered;
            if answered {
                taken.arrived = self.sent;
            }
        });
        answered.then_some(())
    }
}

impl Grants {
    /// The server would now take so much.
    pub(super) fn hear(&self, window: u32) {
        self.0.send_modify(|taken| taken.hear(window.into()));
    }

    /// Whether the typing was given up as the server did not answer.
    pub(super) fn is_silent(&self) -> bool {
        self.0.borrow().is_silent
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

    #[tokio::test(start_paused = true)]
    async fn a_server_that_does_not_answer_is_waited_for_in_bounds() {
        let mut ahead = TypedAhead::over(Weak::new(), Duration::from_secs(45));
        ahead.sent = SHORT;
        assert_eq!(ahead.arrived(std::future::ready(())).await, Some(()));
        assert_eq!(ahead.grants.borrow().arrived, SHORT);
        assert!(!ahead.grants().is_silent());
        let waited = tokio::time::Instant::now();
        ahead.sent += 1;
        assert_eq!(ahead.arrived(std::future::pending::<()>()).await, None);
        assert_eq!(waited.elapsed(), Duration::from_secs(45));
        assert!(ahead.grants().is_silent());
        assert_eq!(ahead.grants.borrow().arrived, SHORT);
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
