//! Reading ahead of packets, as far as it saves system calls.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// How many bytes are read at once at first: russh asks for the length of a packet and then for the packet, each a system
/// call. A connection keeps that much memory.
const SMALL: usize = 2 << 10;

/// How many are read at once while much comes: some packets of a file, where each would be two reads and one more that
/// finds nothing.
const LARGE: usize = 128 << 10;

/// So many reads in a row change it: a host that says much for once is no reason to keep more memory for it.
const DECISIVE: u8 = 8;

/// A stream that is read ahead: little, and much while much comes.
#[derive(Debug)]
pub(super) struct ReadAhead<S> {
    stream: S,
    buffer: Box<[u8]>,
    /// What of the buffer was read and not yet taken.
    start: usize,
    end: usize,
    /// How many reads in a row would have been better with the other size.
    unfit: u8,
}

impl<S> ReadAhead<S> {
    pub(super) fn new(stream: S) -> Self {
        Self {
            stream,
            buffer: zeroed(SMALL),
            start: 0,
            end: 0,
            unfit: 0,
        }
    }

    /// Notes how much a read has brought, and takes the other size when it is time. The buffer is empty.
    fn note(&mut self, length: usize) {
        let is_large = self.buffer.len() > SMALL;
        let is_unfit = if is_large {
            length < SMALL
        } else {
            length >= SMALL
        };
        self.unfit = if is_unfit { self.unfit + 1 } else { 0 };
        if self.unfit == DECISIVE {
            self.unfit = 0;
            self.buffer = zeroed(if is_large { SMALL } else { LARGE });
        }
    }
}

fn zeroed(length: usize) -> Box<[u8]> {
    vec![0; length].into_boxed_slice()
}

impl<S: AsyncRead + Unpin> AsyncRead for ReadAhead<S> {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if this.start == this.end {
            if into.remaining() >= this.buffer.len() {
                // Where it belongs at once, rather than by way of the buffer.
                return Pin::new(&mut this.stream).poll_read(context, into);
            }
            let mut buffer = ReadBuf::new(&mut this.buffer);
            ready!(Pin::new(&mut this.stream).poll_read(context, &mut buffer))?;
            (this.start, this.end) = (0, buffer.filled().len());
        }
        let length = into.remaining().min(this.end - this.start);
        into.put_slice(&this.buffer[this.start..this.start + length]);
        this.start += length;
        if this.start == this.end {
            this.note(this.end);
        }
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for ReadAhead<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    use super::*;

    /// Sends pieces of a length, each once the last of it was read.
    async fn pass(
        there: &mut (impl AsyncWrite + Unpin),
        here: &mut (impl AsyncRead + Unpin),
        length: usize,
        times: u8,
    ) {
        for byte in 0..times {
            let piece = vec![byte; length];
            there.write_all(&piece).await.expect("there is room");
            let (mut head, mut rest) = ([0; 4], vec![0; length - 4]);
            here.read_exact(&mut head).await.expect("it was sent");
            here.read_exact(&mut rest).await.expect("it was sent");
            assert_eq!([&head[..], &rest].concat(), piece);
        }
    }

    #[tokio::test]
    async fn much_is_kept_while_much_comes() {
        let (mut there, here) = tokio::io::duplex(1 << 20);
        let mut here = ReadAhead::new(here);
        pass(&mut there, &mut here, 40_000, DECISIVE - 1).await;
        assert_eq!(here.buffer.len(), SMALL, "too early to tell");
        pass(&mut there, &mut here, 40_000, 1).await;
        assert_eq!(here.buffer.len(), LARGE);
        pass(&mut there, &mut here, 300_000, 3).await;
        pass(&mut there, &mut here, 100, DECISIVE - 1).await;
        pass(&mut there, &mut here, 40_000, 1).await;
        assert_eq!(here.buffer.len(), LARGE, "a pause is no end");
        pass(&mut there, &mut here, 100, DECISIVE).await;
        assert_eq!(here.buffer.len(), SMALL);
        drop(there);
        assert_eq!(here.read(&mut [0; 9]).await.expect("an end"), 0);
    }
}
