//! A server that answers as a test wants it.

use std::sync::{Arc, Mutex};

use clusterops_logs::Client;
use clusterops_logs::http::{HttpOptions, HttpRetries};
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

/// What it does about a request.
#[derive(Clone)]
pub(crate) enum Reply {
    /// These bytes; then the connection ends.
    Bytes(Vec<u8>),
    /// These bytes, and then nothing.
    Hang(Vec<u8>),
    /// These bytes, and then this again and again.
    Endless(Vec<u8>, Vec<u8>),
}

struct Request {
    head: String,
    body: Vec<u8>,
}

pub(crate) struct Stand {
    pub(crate) url: String,
    /// The requests that came.
    seen: Arc<Mutex<Vec<Request>>>,
    task: JoinHandle<()>,
}

impl Reply {
    pub(crate) fn json(status: u16, body: &str) -> Self {
        Self::with(status, "", body.as_bytes())
    }

    /// With further lines of the head, each ended by `\r\n`.
    pub(crate) fn with(status: u16, lines: &str, body: &[u8]) -> Self {
        let head = format!(
            "HTTP/1.1 {status} X\r\n{lines}Content-Length: {}\r\nConnection: close\r\n\r\n",
            body.len()
        );
        Self::Bytes([head.as_bytes(), body].concat())
    }
}

impl Stand {
    /// Answers by a function of the head and of how many requests there were before.
    pub(crate) async fn start(
        answer: impl Fn(&str, usize) -> Reply + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let seen = Arc::new(Mutex::new(Vec::new()));
        let (answer, record) = (Arc::new(answer), seen.clone());
        let task = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (answer, record) = (answer.clone(), record.clone());
                tokio::spawn(async move { serve(stream, &*answer, &record).await });
            }
        });
        Self { url, seen, task }
    }

    /// The heads of the requests that came.
    pub(crate) fn seen(&self) -> Vec<String> {
        let seen = self.seen.lock().unwrap();
        seen.iter().map(|request| request.head.clone()).collect()
    }

    /// The bodies of the requests that came, where they are JSON.
    pub(crate) fn asked(&self) -> Vec<Value> {
        let seen = self.seen.lock().unwrap();
        let bodies = seen.iter().map(|request| &request.body);
        bodies
            .filter_map(|body| serde_json::from_slice(body).ok())
            .collect()
    }

    pub(crate) fn client(&self) -> Client {
        Client::new(&[&self.url], quick()).unwrap()
    }
}

impl Drop for Stand {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Options with pauses that no test waits for.
pub(crate) fn quick() -> HttpOptions {
    HttpOptions::default().retries(HttpRetries {
        attempts: 3,
        first_pause: std::time::Duration::from_millis(2),
        longest_pause: std::time::Duration::from_millis(10),
    })
}

async fn serve(
    mut stream: TcpStream,
    answer: &(dyn Fn(&str, usize) -> Reply + Send + Sync),
    record: &Mutex<Vec<Request>>,
) -> Option<()> {
    let (head, body) = head(&mut stream).await?;
    let before = {
        let mut record = record.lock().unwrap();
        let head = head.clone();
        record.push(Request { head, body });
        record.len() - 1
    };
    match answer(&head, before) {
        Reply::Bytes(bytes) => {
            stream.write_all(&bytes).await.ok()?;
            stream.shutdown().await.ok()?;
        }
        Reply::Hang(bytes) => {
            stream.write_all(&bytes).await.ok()?;
            std::future::pending::<()>().await;
        }
        Reply::Endless(bytes, again) => {
            stream.write_all(&bytes).await.ok()?;
            while stream.write_all(&again).await.is_ok() {}
        }
    }
    None
}

/// The head of a request, and what came behind it; a body of a known length is read.
pub(crate) async fn head(
    stream: &mut (impl tokio::io::AsyncRead + Unpin),
) -> Option<(String, Vec<u8>)> {
    let mut buffer = Vec::new();
    let end = loop {
        match buffer.windows(4).position(|four| four == b"\r\n\r\n") {
            Some(end) => break end + 4,
            None if stream.read_buf(&mut buffer).await.ok()? == 0 => return None,
            None => {}
        }
    };
    let head = String::from_utf8(buffer[..end].to_vec()).unwrap();
    let lower = head.to_ascii_lowercase();
    let length = lower.split("content-length: ").nth(1);
    let length: usize = length.map_or(0, |rest| rest.lines().next().unwrap().parse().unwrap());
    while buffer.len() < end + length {
        if stream.read_buf(&mut buffer).await.ok()? == 0 {
            return None;
        }
    }
    Some((head, buffer.split_off(end)))
}
