//! What a channel has brought and nobody has read yet, within bounds.

use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use russh::{ChannelMsg, ChannelReadHalf};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::AbortHandle;
use tokio::time::{Instant, timeout_at};

use super::channel_input::ChannelInput;
use super::typed_ahead::Grants;

/// How much may wait to be read, in bytes.
pub(super) const ROOM: u32 = 1 << 20;

/// How long a reader may take nothing once that is full, in a session where none has stalled yet.
pub(super) const PATIENCE: Duration = Duration::from_secs(3);

/// How often the patience halves, once for each reader of the session that has stalled: so that a hundred of them do not
/// hold up the others a hundred times.
const HALVINGS: u32 = 6;

/// How many readers of a session have stalled.
#[derive(Debug, Clone, Default)]
pub(super) struct Stalled(Arc<AtomicU32>);

/// What keeping one message costs beside its data, in bytes.
const MESSAGE: usize = 256;

/// The messages of one channel.
///
/// russh waits inside the loop that serves the whole connection for room in a channel's buffer, so a reader that stops
/// would stop every other channel, keepalive and rekeying with it. A task of its own empties that buffer. A reader that
/// is slow still slows down the host; one that has stopped loses its channel.
#[derive(Debug)]
pub(super) enum Inbox {
    /// Whoever reads never stops, so there is nothing to keep.
    Direct(Source),
    Kept(Kept),
}

/// The reading half of a channel.
#[derive(Debug)]
pub(super) struct Source {
    pub(super) output: ChannelReadHalf,
    /// Who is told of windows.
    pub(super) grants: Option<Arc<Grants>>,
}

/// Messages that a task of its own takes from the channel.
#[derive(Debug)]
pub(super) struct Kept {
    arrivals: UnboundedReceiver<Arrival>,
    reader: Arc<Reader>,
    draining: AbortHandle,
}

/// A message, with the room that it takes up until it is read.
type Arrival = (ChannelMsg, OwnedSemaphorePermit);

/// What the task knows of whoever reads.
#[derive(Debug)]
struct Reader {
    last_took: Mutex<Instant>,
    has_stalled: AtomicBool,
    patience: Duration,
    others: Stalled,
}

impl Inbox {
    /// Takes over the reading of a channel of a session; `input` is its other half, by which it is closed if need be.
    pub(super) fn keeping(
        source: Source,
        input: Arc<ChannelInput>,
        patience: Duration,
        others: Stalled,
    ) -> Self {
        let (sender, arrivals) = unbounded_channel();
        let reader = Arc::new(Reader {
            last_took: Mutex::new(Instant::now()),
            has_stalled: AtomicBool::new(false),
            patience,
            others,
        });
        let task = tokio::spawn(drain(source, input, sender, Arc::clone(&reader)));
        Self::Kept(Kept {
            arrivals,
            reader,
            draining: task.abort_handle(),
        })
    }

    /// The next message; `None` when there will be no more of them. Cancel-safe.
    pub(super) async fn next(&mut self) -> Option<ChannelMsg> {
        match self {
            Self::Direct(source) => source.next().await,
            Self::Kept(kept) => {
                let (message, _room) = kept.arrivals.recv().await?;
                kept.reader.took();
                Some(message)
            }
        }
    }

    /// Whether the messages ended because nobody read them.
    pub(super) fn has_stalled(&self) -> bool {
        match self {
            Self::Direct(_) => false,
            Self::Kept(kept) => kept.reader.has_stalled.load(Ordering::Acquire),
        }
    }
}

impl Source {
    async fn next(&mut self) -> Option<ChannelMsg> {
        let message = self.output.wait().await;
        if let (Some(grants), Some(ChannelMsg::WindowAdjusted { new_size })) =
            (&self.grants, &message)
        {
            grants.hear(*new_size);
        }
        message
    }
}

impl Drop for Kept {
    fn drop(&mut self) {
        self.draining.abort();
    }
}

impl Reader {
    fn took(&self) {
        *self.lock() = Instant::now();
    }

    fn patience_ends(&self) -> Instant {
        let halvings = self.others.0.load(Ordering::Relaxed).min(HALVINGS);
        *self.lock() + self.patience / (1 << halvings)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Instant> {
        self.last_took
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for room; none comes when the reader has stalled.
    async fn make_room(&self, room: &Arc<Semaphore>, size: u32) -> Option<OwnedSemaphorePermit> {
        loop {
            let until = self.patience_ends();
            match timeout_at(until, Arc::clone(room).acquire_many_owned(size)).await {
                Ok(permit) => return permit.ok(),
                Err(_) if self.patience_ends() <= Instant::now() => return None,
                Err(_) => {}
            }
        }
    }
}

async fn drain(
    mut source: Source,
    input: Arc<ChannelInput>,
    arrivals: UnboundedSender<Arrival>,
    reader: Arc<Reader>,
) {
    let room = Arc::new(Semaphore::new(ROOM as usize));
    while let Some(message) = source.next().await {
        let data = match &message {
            ChannelMsg::Data { data } | ChannelMsg::ExtendedData { data, .. } => data.len(),
            _ => 0,
        };
        let size = u32::try_from(data + MESSAGE).unwrap_or(ROOM).min(ROOM);
        let Some(permit) = reader.make_room(&room, size).await else {
            reader.has_stalled.store(true, Ordering::Release);
            reader.others.0.fetch_add(1, Ordering::Relaxed);
            drop(arrivals);
            // The loop that is to take the closing may be waiting for room here.
            drop(source);
            // The server then ends what still writes by SIGPIPE; a connection that is gone needs no closing.
            let _ = input.close().await;
            return;
        };
        if arrivals.send((message, permit)).is_err() {
            return;
        }
    }
}
