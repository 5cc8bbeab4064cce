//! What a server says before its version line.

use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// How much of it is kept.
const MOST: usize = 1024;

/// What sshd(8) says when it drops a connection for having too many of them (MaxStartups, since OpenSSH 8.3) or for what
/// its source did before (PerSourcePenalties, since OpenSSH 9.8).
const OVERLOADED: [&str; 2] = ["Exceeded MaxStartups", "Not allowed at this time"];

/// What a server said first, up to its version line (RFC 4253 section 4.2 lets it say other lines before).
#[derive(Debug, Clone, Default)]
pub(super) struct Greeting(Arc<Mutex<Vec<u8>>>);

/// A stream whose first bytes are kept in a [`Greeting`].
#[derive(Debug)]
pub(super) struct Greeted<S> {
    stream: S,
    greeting: Option<Greeting>,
}

impl Greeting {
    pub(super) fn of<S>(stream: S) -> (Greeted<S>, Self) {
        let greeting = Self::default();
        let greeted = Greeted {
            stream,
            greeting: Some(greeting.clone()),
        };
        (greeted, greeting)
    }

    /// What it said in place of a version, made fit for one line; empty when it said nothing of the kind.
    pub(super) fn words(&self) -> String {
        let bytes = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let text = String::from_utf8_lossy(&bytes);
        let mut lines = text.lines().take_while(|line| !line.starts_with("SSH-"));
        let line = lines.find(|line| !line.trim().is_empty());
        let line = line.unwrap_or_default().trim();
        line.chars().filter(|c| !c.is_control()).take(200).collect()
    }

    /// Whether these are words of a server that has too many connections.
    pub(super) fn is_overloaded(words: &str) -> bool {
        OVERLOADED.iter().any(|known| words.starts_with(known))
    }

    /// Keeps what came; says whether there is more to keep.
    fn hear(&self, bytes: &[u8]) -> bool {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let room = MOST.saturating_sub(kept.len());
        kept.extend_from_slice(&bytes[..bytes.len().min(room)]);
        let has_version = kept.starts_with(b"SSH-") || kept.windows(5).any(|at| at == b"\nSSH-");
        !has_version && kept.len() < MOST
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Greeted<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let read = Pin::new(&mut self.stream).poll_read(context, buffer);
        if let Some(greeting) = &self.greeting
            && !greeting.hear(&buffer.filled()[before..])
        {
            self.greeting = None;
        }
        read
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Greeted<S> {
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
    use super::*;

    fn words(pieces: &[&[u8]]) -> String {
        let greeting = Greeting::default();
        for piece in pieces {
            if !greeting.hear(piece) {
                break;
            }
        }
        greeting.words()
    }

    #[test]
    fn only_what_stands_before_the_version_is_heard() {
        assert_eq!(words(&[b"SSH-2.0-OpenSSH_9.2\r\n", b"\0\x01kex"]), "");
        assert_eq!(words(&[b"hello\r\n", b"SSH-2.0-x\r\n"]), "hello");
        assert_eq!(
            words(&[b"Exceeded Max", b"Startups\r\n"]),
            "Exceeded MaxStartups"
        );
        assert_eq!(words(&[b"\x1b[31mred\r\n"]), "[31mred");
        assert_eq!(words(&[&[b'x'; 5000]]).len(), 200);
        assert_eq!(words(&[b""]), "");
    }

    #[test]
    fn sshd_says_that_it_has_too_many_connections() {
        assert!(Greeting::is_overloaded("Exceeded MaxStartups"));
        assert!(Greeting::is_overloaded("Not allowed at this time"));
        assert!(!Greeting::is_overloaded("HTTP/1.1 400 Bad Request"));
    }
}
