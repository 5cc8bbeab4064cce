//! Asking a person or a vault, on a clock that stops the server's.

use std::pin::Pin;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use clusterops_core::Target;
use secrecy::{ExposeSecret, SecretString};
use tokio::time::{Instant, timeout};

use crate::credentials::ask;
use crate::{Credentials, Error, ErrorKind, Purpose, Result};

/// How long an answer may take: as long as sshd waits for a login (LoginGraceTime, sshd_config(5)).
const PATIENCE: Duration = Duration::from_secs(120);

/// How often a clock that stands is looked at, at most.
const LOOK: Duration = Duration::from_millis(50);

/// Who is asked during one authentication, and how long that has taken.
pub(super) struct Asking<'a> {
    credentials: Option<&'a dyn Credentials>,
    target: &'a Target,
    clock: Mutex<Clock>,
}

/// The time that passed while somebody was asked.
#[derive(Default)]
struct Clock {
    passed: Duration,
    since: Option<Instant>,
    /// How many waits are going on, one inside the other.
    depth: usize,
}

impl<'a> Asking<'a> {
    pub(super) fn new(credentials: Option<&'a dyn Credentials>, target: &'a Target) -> Self {
        Self {
            credentials,
            target,
            clock: Mutex::default(),
        }
    }

    /// Whether there can be an answer at all.
    pub(super) fn can_answer(&self, purpose: &Purpose) -> bool {
        self.credentials.is_some() || self.inventory_secret(purpose).is_some()
    }

    /// The next answer to try after these were refused: what the inventory holds, then what the credentials say. None
    /// when there is no other; the same is never tried twice.
    pub(super) async fn next(
        &self,
        purpose: &Purpose,
        refused: &[SecretString],
    ) -> Result<Option<SecretString>> {
        if let Some(secret) = self.inventory_secret(purpose)
            && refused.is_empty()
        {
            return Ok(Some(secret.clone()));
        }
        let Some(credentials) = self.credentials else {
            return Ok(None);
        };
        let answer = match self.wait(ask(credentials, self.target, purpose)).await {
            Some(answer) => answer?,
            None => {
                let message = format!("what is needed to log in was not told within {PATIENCE:?}");
                return Err(Error::new(ErrorKind::Secret, message));
            }
        };
        let is_new = |answer: &SecretString| {
            let mut refused = refused.iter().map(ExposeSecret::expose_secret);
            refused.all(|refused| refused != answer.expose_secret())
        };
        Ok(answer.filter(is_new))
    }

    /// Waits for somebody who is no server: a person, a vault, an agent that wants a touch. None when it takes too long.
    pub(super) async fn wait<T>(&self, work: impl Future<Output = T>) -> Option<T> {
        let _stopped = Stopped::new(&self.clock);
        timeout(PATIENCE, work).await.ok()
    }

    /// Gives the server this long, not counting the time in which we made it wait. None when that passed.
    ///
    /// The work is pinned by the caller: taken by value, it would stand in this future twice.
    pub(super) async fn bounded<T>(
        &self,
        limit: Duration,
        mut work: Pin<&mut impl Future<Output = T>>,
    ) -> Option<T> {
        let start = Instant::now();
        loop {
            let left = limit.saturating_sub(start.elapsed().saturating_sub(self.passed()));
            if left.is_zero() {
                return None;
            }
            if let Ok(done) = timeout(left.max(LOOK), work.as_mut()).await {
                return Some(done);
            }
        }
    }

    fn passed(&self) -> Duration {
        let clock = lock(&self.clock);
        clock.passed + clock.since.map_or(Duration::ZERO, |since| since.elapsed())
    }

    /// A secret that came with the target, under Ansible's names for it; of several the last counts, as there.
    fn inventory_secret(&self, purpose: &Purpose) -> Option<&SecretString> {
        let names: &[&str] = match purpose {
            Purpose::Password => &[
                "ansible_password",
                "ansible_ssh_pass",
                "ansible_ssh_password",
            ],
            Purpose::Passphrase(_) => &[
                "ansible_private_key_passphrase",
                "ansible_ssh_private_key_passphrase",
            ],
            _ => &[],
        };
        let mut found = names.iter().rev();
        found.find_map(|name| self.target.secrets.get(*name))
    }
}

/// Stops the server's clock for as long as it lives.
struct Stopped<'a>(&'a Mutex<Clock>);

impl<'a> Stopped<'a> {
    fn new(clock: &'a Mutex<Clock>) -> Self {
        let mut now = lock(clock);
        now.depth += 1;
        now.since.get_or_insert_with(Instant::now);
        drop(now);
        Self(clock)
    }
}

impl Drop for Stopped<'_> {
    fn drop(&mut self) {
        let mut clock = lock(self.0);
        clock.depth -= 1;
        if clock.depth == 0
            && let Some(since) = clock.since.take()
        {
            clock.passed += since.elapsed();
        }
    }
}

fn lock(clock: &Mutex<Clock>) -> MutexGuard<'_, Clock> {
    clock.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::pin::pin;

    use tokio::time::sleep;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn the_servers_time_does_not_pass_while_a_person_thinks() {
        let target = Target::new("web1", "web1");
        let seconds = Duration::from_secs;
        let work = async |asking: &Asking<'_>, server: u64| {
            sleep(seconds(1)).await;
            let person = asking.wait(asking.wait(sleep(seconds(60)))).await;
            assert!(person.is_some(), "a person may take a minute");
            sleep(seconds(server)).await;
        };
        for (server, in_time) in [(8, true), (10, false)] {
            let asking = Asking::new(None, &target);
            let done = asking
                .bounded(seconds(10), pin!(work(&asking, server)))
                .await;
            assert_eq!(done.is_some(), in_time, "{server}");
        }
        let asking = Asking::new(None, &target);
        assert!(asking.wait(sleep(seconds(121))).await.is_none());
    }
}
