//! Since when a cluster does not answer.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// What was asked and not answered.
#[derive(Debug, Default)]
pub(super) struct Unanswered(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    next: u64,
    /// When what is under way was asked.
    asked: BTreeMap<u64, Instant>,
    /// When the first was asked of those that failed since the last answer.
    failed: Option<Instant>,
}

impl Unanswered {
    /// For how long something has been waited for in vain.
    pub(super) fn span(&self) -> Option<Duration> {
        let state = self.state();
        // Numbers are given in the order of time.
        let first = state.asked.first_key_value().map(|(_, then)| *then);
        let since = match (first, state.failed) {
            (Some(first), Some(failed)) => first.min(failed),
            (first, failed) => first.or(failed)?,
        };
        Some(since.elapsed())
    }

    /// Waits for an answer, whatever it says; without one, what was asked has failed. Who gives up waits no more.
    pub(super) async fn wait<T, E>(
        &self,
        answer: impl Future<Output = Result<T, E>>,
    ) -> Result<T, E> {
        let asked = Asked::of(self);
        let outcome = answer.await;
        let mut state = self.state();
        state.failed = match (&outcome, state.failed) {
            (Ok(_), _) => None,
            (Err(_), failed) => failed.or_else(|| state.asked.get(&asked.number).copied()),
        };
        drop(state);
        outcome
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Something that is under way for as long as this lives.
struct Asked<'u> {
    of: &'u Unanswered,
    number: u64,
}

impl<'u> Asked<'u> {
    fn of(unanswered: &'u Unanswered) -> Self {
        let mut state = unanswered.state();
        let number = state.next;
        state.next += 1;
        state.asked.insert(number, Instant::now());
        Self {
            of: unanswered,
            number,
        }
    }
}

impl Drop for Asked<'_> {
    fn drop(&mut self) {
        self.of.state().asked.remove(&self.number);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    type Outcome = Result<(), ()>;

    #[tokio::test]
    async fn a_failure_counts_until_an_answer_comes() {
        let unanswered = Unanswered::default();
        assert_eq!(unanswered.span(), None);
        let _ = unanswered.wait(async { Outcome::Err(()) }).await;
        let first = unanswered.span().expect("it failed");
        let _ = unanswered.wait(async { Outcome::Err(()) }).await;
        assert!(unanswered.span().is_some_and(|span| span >= first));
        let _ = unanswered.wait(async { Outcome::Ok(()) }).await;
        assert_eq!(unanswered.span(), None);
    }

    #[tokio::test]
    async fn what_is_under_way_counts_until_it_is_given_up() {
        let unanswered = Unanswered::default();
        {
            let mut waiting = Box::pin(unanswered.wait(std::future::pending::<Outcome>()));
            let soon = Duration::from_millis(1);
            assert!(tokio::time::timeout(soon, &mut waiting).await.is_err());
            // The answer to another one says nothing of it.
            let _ = unanswered.wait(async { Outcome::Ok(()) }).await;
            assert!(unanswered.span().is_some());
        }
        assert_eq!(unanswered.span(), None);
    }
}
