//! An HTTP/1.1 server on loopback that answers as a test wants it, with its faults.

pub(crate) mod marathon;

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::server::WebPkiClientVerifier;
use tokio_rustls::rustls::{RootCertStore, ServerConfig};

pub(crate) const AUTHORITY: &str = include_str!("../data/authority.pem");
pub(crate) const CLIENT: &str = include_str!("../data/client.pem");
pub(crate) const CLIENT_KEY: &str = include_str!("../data/client.key.pem");
const SERVER: &str = include_str!("../data/server.pem");
const SERVER_KEY: &str = include_str!("../data/server.key.pem");

/// A request as it arrived.
#[derive(Debug, Clone)]
pub(crate) struct Request {
    pub(crate) method: String,
    /// The path and the query.
    pub(crate) target: String,
    /// All lines of the head after the first.
    pub(crate) head: String,
    pub(crate) body: String,
}

/// What the server does about a request.
#[derive(Debug, Clone)]
pub(crate) enum Reply {
    /// A status and JSON, and the connection stays.
    Json(u16, String),
    /// These bytes, whatever they are; then the connection ends.
    Raw(String),
    /// These bytes, one by one with a pause after each.
    Drip(String, Duration),
    /// The connection ends without a word.
    Drop,
    /// Nothing happens.
    Hang,
}

impl Reply {
    pub(crate) fn json(status: u16, body: impl Into<String>) -> Self {
        Self::Json(status, body.into())
    }

    /// A head of this status with these lines (each ended by `\r\n`), and a body of the right length.
    pub(crate) fn with(status: u16, lines: &str, body: &str) -> Self {
        Self::Raw(format!(
            "HTTP/1.1 {status} X\r\n{lines}Content-Length: {}\r\nConnection: close\r\n\r\n{body}",
            body.len()
        ))
    }
}

impl Request {
    /// The values of a header, lower-case name.
    pub(crate) fn header(&self, name: &str) -> Vec<&str> {
        let fields = self.head.lines().filter_map(|line| line.split_once(": "));
        fields
            .filter(|(field, _)| field.eq_ignore_ascii_case(name))
            .map(|(_, value)| value)
            .collect()
    }
}

/// A server; it ends when it is dropped.
pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    scheme: &'static str,
    seen: Arc<Mutex<Vec<Request>>>,
    task: JoinHandle<()>,
}

impl Server {
    /// Answers by a function of the request and of how many there were before it.
    pub(crate) async fn start(
        answer: impl Fn(&Request, usize) -> Reply + Send + Sync + 'static,
    ) -> Self {
        Self::listen("127.0.0.1:0", None, Arc::new(answer)).await
    }

    /// The same over TLS, for `localhost` and 127.0.0.1; with `mutual` it wants a certificate of the authority.
    pub(crate) async fn tls(
        mutual: bool,
        answer: impl Fn(&Request, usize) -> Reply + Send + Sync + 'static,
    ) -> Self {
        Self::listen("127.0.0.1:0", Some(acceptor(mutual)), Arc::new(answer)).await
    }

    /// The same at another address, which the certificate does not name.
    pub(crate) async fn tls_at(
        address: &str,
        answer: impl Fn(&Request, usize) -> Reply + Send + Sync + 'static,
    ) -> Self {
        Self::listen(address, Some(acceptor(false)), Arc::new(answer)).await
    }

    async fn listen(address: &str, tls: Option<TlsAcceptor>, answer: Arc<Answer>) -> Self {
        let listener = TcpListener::bind(address).await.unwrap();
        let address = listener.local_addr().unwrap();
        let seen = Arc::new(Mutex::new(Vec::new()));
        let scheme = if tls.is_some() { "https" } else { "http" };
        let record = seen.clone();
        let task = tokio::spawn(async move {
            loop {
                let Ok((stream, _)) = listener.accept().await else {
                    return;
                };
                let (answer, record, tls) = (answer.clone(), record.clone(), tls.clone());
                tokio::spawn(async move {
                    match tls {
                        None => serve(stream, &*answer, &record).await,
                        Some(tls) => match tls.accept(stream).await {
                            Ok(stream) => serve(stream, &*answer, &record).await,
                            Err(_) => None,
                        },
                    }
                });
            }
        });
        Self {
            address,
            scheme,
            seen,
            task,
        }
    }

    pub(crate) fn url(&self) -> String {
        format!("{}://{}", self.scheme, self.address)
    }

    /// What arrived so far.
    pub(crate) fn seen(&self) -> Vec<Request> {
        self.seen.lock().unwrap().clone()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// The server's side of TLS; with `mutual` it wants a certificate of the authority.
fn acceptor(mutual: bool) -> TlsAcceptor {
    let chain = vec![CertificateDer::from_pem_slice(SERVER.as_bytes()).unwrap()];
    let key = PrivateKeyDer::from_pem_slice(SERVER_KEY.as_bytes()).unwrap();
    let builder = ServerConfig::builder();
    let builder = if mutual {
        let mut roots = RootCertStore::empty();
        roots
            .add(CertificateDer::from_pem_slice(AUTHORITY.as_bytes()).unwrap())
            .unwrap();
        let verifier = WebPkiClientVerifier::builder(Arc::new(roots))
            .build()
            .unwrap();
        builder.with_client_cert_verifier(verifier)
    } else {
        builder.with_no_client_auth()
    };
    let config = builder.with_single_cert(chain, key).unwrap();
    TlsAcceptor::from(Arc::new(config))
}

type Answer = dyn Fn(&Request, usize) -> Reply + Send + Sync;

async fn serve(
    mut stream: impl AsyncRead + AsyncWrite + Unpin,
    answer: &Answer,
    record: &Mutex<Vec<Request>>,
) -> Option<()> {
    let mut buffer = Vec::new();
    loop {
        let request = read(&mut stream, &mut buffer).await?;
        let before = {
            let mut record = record.lock().unwrap();
            record.push(request.clone());
            record.len() - 1
        };
        match answer(&request, before) {
            Reply::Json(status, body) => {
                let head = format!(
                    "HTTP/1.1 {status} X\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n",
                    body.len()
                );
                stream.write_all((head + &body).as_bytes()).await.ok()?;
                stream.flush().await.ok()?;
            }
            Reply::Raw(bytes) => {
                stream.write_all(bytes.as_bytes()).await.ok()?;
                stream.shutdown().await.ok()?;
                return None;
            }
            Reply::Drip(bytes, pause) => {
                for byte in bytes.bytes() {
                    stream.write_all(&[byte]).await.ok()?;
                    stream.flush().await.ok()?;
                    tokio::time::sleep(pause).await;
                }
                stream.shutdown().await.ok()?;
                return None;
            }
            Reply::Drop => return None,
            Reply::Hang => std::future::pending().await,
        }
    }
}

async fn read(stream: &mut (impl AsyncRead + Unpin), buffer: &mut Vec<u8>) -> Option<Request> {
    let end = loop {
        match buffer.windows(4).position(|four| four == b"\r\n\r\n") {
            Some(end) => break end + 4,
            None if stream.read_buf(buffer).await.ok()? == 0 => return None,
            None => {}
        }
    };
    let head = String::from_utf8(buffer[..end].to_vec()).unwrap();
    let (first, head) = head.split_once("\r\n").unwrap();
    let mut words = first.split(' ').map(str::to_owned);
    let mut request = Request {
        method: words.next().unwrap(),
        target: words.next().unwrap(),
        head: head.to_owned(),
        body: String::new(),
    };
    let length = request
        .header("content-length")
        .first()
        .map_or(0, |text| text.parse().unwrap());
    while buffer.len() < end + length {
        if stream.read_buf(buffer).await.ok()? == 0 {
            return None;
        }
    }
    request.body = String::from_utf8(buffer[end..end + length].to_vec()).unwrap();
    buffer.drain(..end + length);
    Some(request)
}
