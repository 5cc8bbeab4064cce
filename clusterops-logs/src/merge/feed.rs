//! The task that reads one source.

use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use super::{Arrival, MergeOptions, Source};
use crate::{Error, ErrorKind};

/// What a task says.
pub(super) enum Sent<T, M> {
    Arrival(Arrival<T, M>),
    Down(Error),
    Back,
    Failed(Error),
    Ended,
}

pub(super) struct Feed<T, M> {
    pub(super) name: Arc<str>,
    /// `None` once it is over.
    receiver: Option<mpsc::Receiver<Sent<T, M>>>,
    task: JoinHandle<()>,
}

impl<T: Send + 'static, M: Send + 'static> Feed<T, M> {
    pub(super) fn start(
        name: &str,
        source: impl Source<Item = T, Mark = M>,
        options: &MergeOptions,
    ) -> Self {
        // One that waits is enough: more is held in order.
        let (sender, receiver) = mpsc::channel(1);
        let task = tokio::spawn(read(source, options.clone(), sender));
        Self {
            name: name.into(),
            receiver: Some(receiver),
            task,
        }
    }

    pub(super) fn is_over(&self) -> bool {
        self.receiver.is_none()
    }

    pub(super) fn poll(&mut self, context: &mut Context<'_>) -> Poll<Sent<T, M>> {
        let Some(receiver) = &mut self.receiver else {
            return Poll::Pending;
        };
        receiver.poll_recv(context).map(|sent| {
            let sent = sent.unwrap_or_else(|| {
                let message = "what reads this source has panicked";
                Sent::Failed(Error::new(ErrorKind::Io, message))
            });
            if matches!(sent, Sent::Failed(_) | Sent::Ended) {
                self.receiver = None;
            }
            sent
        })
    }
}

impl<T, M> Drop for Feed<T, M> {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn read<S: Source>(
    mut source: S,
    options: MergeOptions,
    sender: mpsc::Sender<Sent<S::Item, S::Mark>>,
) {
    let mut is_down = false;
    let mut has_worked = false;
    let mut pause = options.first_pause;
    loop {
        let sent = match source.next().await {
            Ok(Some(arrival)) => {
                if is_down && sender.send(Sent::Back).await.is_err() {
                    return;
                }
                // A notice, such as that the cluster is busy, says nothing of whether the query is understood.
                has_worked |= arrival.has_lines();
                (is_down, pause) = (false, options.first_pause);
                Sent::Arrival(arrival)
            }
            Ok(None) => Sent::Ended,
            // A query that was never understood will not be.
            Err(error)
                if options.sorted
                    || !(has_worked || source.has_worked() || error.is_retryable()) =>
            {
                Sent::Failed(error)
            }
            Err(error) => {
                if !is_down && sender.send(Sent::Down(error)).await.is_err() {
                    return;
                }
                is_down = true;
                tokio::time::sleep(pause).await;
                pause = longer(pause, options.longest_pause);
                continue;
            }
        };
        let is_last = !matches!(sent, Sent::Arrival(_));
        if sender.send(sent).await.is_err() || is_last {
            return;
        }
    }
}

fn longer(pause: Duration, longest: Duration) -> Duration {
    pause.saturating_mul(2).min(longest)
}
