//! How many connections are made at once, learned from the servers that had too many of them.

use std::collections::HashSet;
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

use crate::{Error, ErrorKind, Result};

/// A server that is asked too much still gets some.
const FEWEST: usize = 2;

/// Bounds how many handshakes are under way at once in a run.
///
/// sshd drops connections that are not authenticated yet when there are too many of them (MaxStartups), and those of
/// an address that behaved badly (PerSourcePenalties, both sshd_config(5)). It says so only if one reads what comes in
/// place of its version. So a drop counts when the server said that, or when the same host let us in later; a host that
/// drops everybody for ever slows nobody down. When hosts were dropped the bound is halved, once for as many handshakes
/// as it allows at a time; each such round without a drop raises it by one eighth.
#[derive(Debug)]
pub(super) struct Pacer {
    most: usize,
    state: Mutex<State>,
    changed: Notify,
}

#[derive(Debug)]
struct State {
    limit: usize,
    under_way: usize,
    /// What is left of this round, in handshakes, and whether hosts were dropped in it.
    left_in_round: usize,
    dropped_in_round: bool,
    /// The hosts that dropped us without a word, and have not let us in since.
    silent: HashSet<usize>,
}

/// A handshake under way; dropping it makes room for another.
#[derive(Debug)]
pub(super) struct Handshake<'a>(&'a Pacer);

/// How a handshake went, as far as it tells something about the server's load.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Outcome {
    /// The server let us in.
    Connected,
    /// The server dropped the connection, and said that it has too many.
    Overloaded,
    /// The server dropped the connection without a word.
    Dropped,
    /// Anything else.
    Other,
}

impl Outcome {
    pub(super) fn of<T>(connected: &Result<T>) -> Self {
        match connected.as_ref().map_err(Error::kind) {
            Ok(_) => Self::Connected,
            Err(ErrorKind::Overloaded) => Self::Overloaded,
            Err(ErrorKind::Disconnected) => Self::Dropped,
            Err(_) => Self::Other,
        }
    }
}

impl Pacer {
    /// At most `most` handshakes at once, which is also where it begins.
    pub(super) fn new(most: usize) -> Self {
        Self {
            most,
            state: Mutex::new(State {
                limit: most,
                under_way: 0,
                left_in_round: most,
                dropped_in_round: false,
                silent: HashSet::new(),
            }),
            changed: Notify::new(),
        }
    }

    /// Waits until another handshake may begin. Cancel-safe.
    pub(super) async fn begin(&self) -> Handshake<'_> {
        loop {
            let mut changed = std::pin::pin!(self.changed.notified());
            changed.as_mut().enable();
            {
                let mut state = self.lock();
                if state.under_way < state.limit {
                    state.under_way += 1;
                    return Handshake(self);
                }
            }
            changed.await;
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Handshake<'_> {
    /// Learns from how the handshake with this host went.
    pub(super) fn end(self, host: usize, outcome: Outcome) {
        let mut state = self.0.lock();
        let crowd = match outcome {
            Outcome::Connected => state.silent.remove(&host),
            Outcome::Overloaded => true,
            Outcome::Dropped => {
                state.silent.insert(host);
                false
            }
            Outcome::Other => false,
        };
        if crowd && !state.dropped_in_round {
            state.dropped_in_round = true;
            state.limit = (state.limit / 2).max(FEWEST.min(self.0.most));
            // What was under way at the old pace still tells of the old pace.
            state.left_in_round = state.under_way;
        }
        state.left_in_round = state.left_in_round.saturating_sub(1);
        if state.left_in_round == 0 {
            if !state.dropped_in_round {
                state.limit = (state.limit + state.limit.div_ceil(8)).min(self.0.most);
            }
            state.dropped_in_round = false;
            state.left_in_round = state.limit;
        }
    }
}

impl Drop for Handshake<'_> {
    fn drop(&mut self) {
        self.0.lock().under_way -= 1;
        self.0.changed.notify_waiters();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn now<T>(future: impl Future<Output = T>) -> Option<T> {
        let mut future = std::pin::pin!(future);
        let mut context = std::task::Context::from_waker(std::task::Waker::noop());
        match future.as_mut().poll(&mut context) {
            std::task::Poll::Ready(value) => Some(value),
            std::task::Poll::Pending => None,
        }
    }

    /// So many handshakes as are allowed at once, all with this outcome.
    fn round(pacer: &Pacer, outcome: Outcome) -> usize {
        let mut under_way = Vec::new();
        while let Some(handshake) = now(pacer.begin()) {
            under_way.push(handshake);
        }
        let count = under_way.len();
        for (host, handshake) in under_way.into_iter().enumerate() {
            handshake.end(host, outcome);
        }
        count
    }

    #[test]
    fn it_slows_down_once_a_round_and_recovers() {
        let pacer = Pacer::new(100);
        let pace: Vec<usize> = (0..7).map(|_| round(&pacer, Outcome::Overloaded)).collect();
        assert_eq!(pace, [100, 50, 25, 12, 6, 3, 2]);
        let mut pace = Vec::new();
        for _ in 0..60 {
            pace.push(round(&pacer, Outcome::Connected));
        }
        assert!(pace.is_sorted(), "{pace:?}");
        assert_eq!(pace.last(), Some(&100));
    }

    #[test]
    fn a_silent_drop_counts_when_the_host_lets_us_in_later() {
        let pacer = Pacer::new(40);
        assert_eq!(round(&pacer, Outcome::Dropped), 40);
        assert_eq!(round(&pacer, Outcome::Dropped), 40);
        assert_eq!(round(&pacer, Outcome::Connected), 40);
        assert_eq!(round(&pacer, Outcome::Other), 20);
    }

    #[test]
    fn who_is_given_up_makes_room() {
        let pacer = Pacer::new(1);
        let first = now(pacer.begin()).expect("room");
        assert!(now(pacer.begin()).is_none());
        drop(first);
        assert!(now(pacer.begin()).is_some());
    }
}
