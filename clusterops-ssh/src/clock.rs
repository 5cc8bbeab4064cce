//! Deadlines on the monotonic clock.

use std::time::Duration;

use tokio::time::Instant;

/// The moment `limit` from now. A limit that the clock cannot hold is as good as a century.
pub(crate) fn deadline_in(limit: Duration) -> Instant {
    const CENTURY: Duration = Duration::from_secs(100 * 365 * 24 * 3600);
    let now = Instant::now();
    now.checked_add(limit.min(CENTURY)).unwrap_or(now)
}
