//! Connections to jump hosts, each shared by all that lead through it.

use std::collections::HashMap;
use std::ops::Deref;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};

use super::link::Link;
use super::settings::Settings;
use crate::{Error, Result};

/// How long a connection that nobody uses is kept, for targets that come one after the other.
const IDLE: Duration = Duration::from_secs(5);

/// How long a jump host that could not be connected to is left alone; who asks meanwhile gets the same error.
const RESPITE: Duration = Duration::from_millis(200);

/// The jump hosts that are or were in use, by everything that decides how they are reached.
#[derive(Debug, Default)]
pub(super) struct JumpHosts {
    gates: Mutex<HashMap<Arc<Settings>, Arc<Gate>>>,
    /// Dropped with this, which ends connections that are kept for nobody.
    open: watch::Sender<()>,
}

/// One jump host.
#[derive(Debug, Default)]
struct Gate {
    state: tokio::sync::Mutex<State>,
    /// How many attempts to connect have failed.
    failures: AtomicU64,
}

#[derive(Debug, Default)]
struct State {
    connection: Weak<Shared>,
    last_failure: Option<(Instant, Error)>,
}

#[derive(Debug)]
struct Shared {
    link: Link,
    last_used: Mutex<Instant>,
    open: watch::Receiver<()>,
}

/// A use of a jump host's connection; the connection stays open while there is one, and a moment longer.
#[derive(Debug)]
pub(super) struct JumpHost(Arc<Shared>);

impl JumpHosts {
    /// The connection to a jump host: the one that is open, or the one that `connect` makes. Whoever asks while another
    /// connects waits for that, and shares its outcome.
    pub(super) async fn connection(
        &self,
        settings: &Arc<Settings>,
        connect: impl Future<Output = Result<Link>>,
    ) -> Result<JumpHost> {
        let gate = {
            let mut gates = self.gates.lock().unwrap_or_else(PoisonError::into_inner);
            Arc::clone(gates.entry(Arc::clone(settings)).or_default())
        };
        let failures = gate.failures.load(Ordering::Relaxed);
        // Cancelling the one who connects hands the lock to the next, who connects then.
        let mut state = gate.state.lock().await;
        if let Some(shared) = state.connection.upgrade()
            && !shared.link.is_closed()
        {
            return Ok(JumpHost(shared));
        }
        if let Some((when, error)) = &state.last_failure
            && (gate.failures.load(Ordering::Relaxed) != failures || when.elapsed() < RESPITE)
        {
            return Err(error.again());
        }
        match connect.await {
            Ok(link) => {
                let shared = Arc::new(Shared {
                    link,
                    last_used: Mutex::new(Instant::now()),
                    open: self.open.subscribe(),
                });
                *state = State {
                    connection: Arc::downgrade(&shared),
                    last_failure: None,
                };
                Ok(JumpHost(shared))
            }
            Err(error) => {
                let error = error.at_jump_host(&settings.name);
                state.last_failure = Some((Instant::now(), error.again()));
                gate.failures.fetch_add(1, Ordering::Relaxed);
                Err(error)
            }
        }
    }
}

impl Deref for JumpHost {
    type Target = Link;

    fn deref(&self) -> &Link {
        &self.0.link
    }
}

impl Drop for JumpHost {
    fn drop(&mut self) {
        self.0.used_now();
        // Without a runtime there is nobody to keep it for.
        if Arc::strong_count(&self.0) == 1
            && let Ok(runtime) = Handle::try_current()
        {
            runtime.spawn(Arc::clone(&self.0).idle());
        }
    }
}

impl Shared {
    fn used_now(&self) {
        *self
            .last_used
            .lock()
            .unwrap_or_else(PoisonError::into_inner) = Instant::now();
    }

    fn idle_until(&self) -> Instant {
        *self
            .last_used
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            + IDLE
    }

    /// Keeps the connection until it was not used for a while, or somebody uses it again.
    async fn idle(self: Arc<Self>) {
        let mut open = self.open.clone();
        let mut until = self.idle_until();
        while Instant::now() < until {
            tokio::select! {
                () = sleep_until(until) => {}
                _ = open.changed() => break,
            }
            until = self.idle_until();
        }
        // Whoever uses it by now will come by here.
        if let Some(shared) = Arc::into_inner(self) {
            shared.link.close().await;
        }
    }
}
