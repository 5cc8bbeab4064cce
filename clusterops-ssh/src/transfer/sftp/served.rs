//! The task that serves the channel of a file transfer connection, and what requests share with it.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use russh::{ChannelMsg, ChannelReadHalf};
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, timeout_at};

use super::SMALL_BLOCK;
use crate::session::{ANSWERING, ChannelInput};
use crate::transfer::protocol::{Assembler, Incoming, Reply};
use crate::{Error, ErrorKind, Result};

/// A request, and the content that follows it.
pub(super) struct Packet {
    pub(super) head: Bytes,
    pub(super) content: Bytes,
}

/// What requests share with the task that serves the channel.
#[derive(Default)]
pub(super) struct Shared {
    waiting: Mutex<Waiting>,
    /// Counts whatever moves in either direction.
    pub(super) moved: AtomicU64,
    /// How many files the host is writing to its disk, over which it may be silent for long.
    syncs: AtomicU32,
}

#[derive(Default)]
pub(super) struct Waiting {
    pub(super) answers: HashMap<u32, oneshot::Sender<Reply>>,
    pub(super) last_id: u32,
    pub(super) is_closed: bool,
}

impl Shared {
    pub(super) fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn note_movement(&self) {
        self.moved.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn stands_still_since(&self, moved: u64) -> bool {
        self.syncs.load(Ordering::Relaxed) == 0 && self.moved.load(Ordering::Relaxed) == moved
    }

    /// Nothing will be answered any more.
    fn close(&self) {
        let mut waiting = self.waiting();
        waiting.is_closed = true;
        waiting.answers.clear();
    }
}

/// A file that the host is writing to its disk.
pub(super) struct Sync<'a>(&'a Shared);

impl<'a> Sync<'a> {
    pub(super) fn begin(shared: &'a Shared) -> Self {
        shared.syncs.fetch_add(1, Ordering::Relaxed);
        Self(shared)
    }
}

impl Drop for Sync<'_> {
    fn drop(&mut self) {
        self.0.syncs.fetch_sub(1, Ordering::Relaxed);
    }
}

pub(super) type Version = (u32, Vec<(Bytes, Bytes)>);

/// The channel, and whom its task tells of what comes.
pub(super) struct Served {
    pub(super) input: ChannelReadHalf,
    pub(super) output: ChannelInput,
    pub(super) packets: mpsc::Receiver<Packet>,
    pub(super) shared: Arc<Shared>,
    pub(super) started: oneshot::Sender<Result<()>>,
    pub(super) version: oneshot::Sender<Version>,
}

impl Served {
    /// Serves the channel until it ends or nobody is left who wants it. A server counts the channels of a session
    /// (`MaxSessions` in sshd_config(5)) until they are closed, and russh closes none by itself.
    pub(super) async fn serve(mut self, dropped: oneshot::Receiver<()>) {
        struct Close<'a>(&'a Shared);
        impl Drop for Close<'_> {
            fn drop(&mut self) {
                self.0.close();
            }
        }
        let _close = Close(&self.shared);
        let serving = async {
            let started = request(&mut self.input, &self.output).await;
            let is_started = started.is_ok();
            let _ = self.started.send(started);
            if !is_started {
                return;
            }
            tokio::select! {
                () = receive(self.input, &self.shared, self.version) => {}
                () = transmit(&self.output, self.packets, &self.shared) => {}
            }
        };
        tokio::select! {
            () = serving => {}
            _ = dropped => {}
        }
        let _ = self.output.close().await;
    }
}

/// Asks for the subsystem.
async fn request(input: &mut ChannelReadHalf, output: &ChannelInput) -> Result<()> {
    output.request_subsystem(true, "sftp").await?;
    let due = Instant::now() + ANSWERING;
    loop {
        let Ok(message) = timeout_at(due, input.wait()).await else {
            let message =
                format!("the server did not answer the request for sftp within {ANSWERING:?}");
            return Err(Error::new(ErrorKind::Timeout, message));
        };
        match message {
            Some(ChannelMsg::Success) => return Ok(()),
            Some(ChannelMsg::WindowAdjusted { .. }) => {}
            Some(_) | None => {
                let message = "the server offers no file transfer (sshd_config needs `Subsystem sftp internal-sftp`)";
                return Err(Error::new(ErrorKind::Transfer, message));
            }
        }
    }
}

async fn receive(mut input: ChannelReadHalf, shared: &Shared, version: oneshot::Sender<Version>) {
    let (mut assembler, mut version) = (Assembler::default(), Some(version));
    loop {
        match input.wait().await {
            Some(ChannelMsg::Data { data }) => assembler.push(data),
            Some(ChannelMsg::Eof | ChannelMsg::Close) | None => return,
            Some(_) => continue,
        }
        shared.note_movement();
        loop {
            match assembler.next() {
                Ok(None) => break,
                Ok(Some(Incoming::Reply(id, reply))) => {
                    // A request that was given up has nobody who wants its answer.
                    if let Some(asker) = shared.waiting().answers.remove(&id) {
                        let _ = asker.send(reply);
                    }
                }
                Ok(Some(Incoming::Version(number, extensions))) => match version.take() {
                    Some(version) => drop(version.send((number, extensions))),
                    None => return,
                },
                Err(_) => return,
            }
        }
    }
}

async fn transmit(output: &ChannelInput, mut packets: mpsc::Receiver<Packet>, shared: &Shared) {
    while let Some(packet) = packets.recv().await {
        for mut part in [packet.head, packet.content] {
            while !part.is_empty() {
                let piece = part.split_to(part.len().min(SMALL_BLOCK as usize));
                if output.data_bytes(piece).await.is_err() {
                    return;
                }
                shared.note_movement();
            }
        }
    }
}
