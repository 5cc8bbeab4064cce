//! A way to a server that can be cut, and led elsewhere.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use clusterops::Target;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;

use super::support::Sshd;

/// Hands on connections to a server. It ends with its runtime.
pub(crate) struct Relay {
    address: SocketAddr,
    way: Arc<Way>,
}

struct Way {
    to: Mutex<SocketAddr>,
    /// How many bytes of each connection's client are handed on before it is cut.
    most: Mutex<u64>,
    cuts: watch::Sender<()>,
    open: AtomicUsize,
}

impl Relay {
    /// Listens on a free port of `address`.
    pub(crate) async fn start(address: &str, sshd: &Sshd) -> Self {
        let listener = TcpListener::bind((address, 0)).await.expect("loopback");
        let way = Arc::new(Way {
            to: Mutex::new(endpoint(sshd)),
            most: Mutex::new(u64::MAX),
            cuts: watch::Sender::new(()),
            open: AtomicUsize::new(0),
        });
        let relay = Self {
            address: listener.local_addr().expect("bound"),
            way: Arc::clone(&way),
        };
        tokio::spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((client, _)) = listener.accept().await {
                connections.spawn(hand_on(client, Arc::clone(&way)));
            }
        });
        relay
    }

    /// The server that is reached over the relay, as a target; its known hosts file names the relay.
    pub(crate) fn target(&self, name: &str, sshd: &Sshd) -> Target {
        let known = std::fs::read_to_string(sshd.known_hosts()).expect("the fixture wrote it");
        let (_, key) = known.split_once(' ').expect("a line");
        let (ip, port) = (self.address.ip(), self.address.port());
        let file: PathBuf = sshd.folder().join(format!("known_hosts_{port}"));
        std::fs::write(&file, format!("[{ip}]:{port} {key}")).expect("our folder");
        Target {
            port: Some(port),
            known_hosts: Some(file),
            address: ip.to_string(),
            ..sshd.target(name, "127.0.0.1")
        }
    }

    /// Leads new connections to another server.
    pub(crate) fn lead_to(&self, sshd: &Sshd) {
        *self.way.to.lock().expect("no panic") = endpoint(sshd);
    }

    /// Cuts connections once their client has sent so many bytes.
    pub(crate) fn cut_after(&self, bytes: u64) {
        *self.way.most.lock().expect("no panic") = bytes;
    }

    /// Ends all connections in both directions.
    pub(crate) fn cut(&self) {
        self.way.cuts.send_replace(());
    }

    /// How many connections both ends have not closed yet.
    pub(crate) fn open(&self) -> usize {
        self.way.open.load(Ordering::SeqCst)
    }
}

fn endpoint(sshd: &Sshd) -> SocketAddr {
    ([127, 0, 0, 1], sshd.port()).into()
}

async fn hand_on(mut client: TcpStream, way: Arc<Way>) {
    way.open.fetch_add(1, Ordering::SeqCst);
    let (to, most) = (
        *way.to.lock().expect("no panic"),
        *way.most.lock().expect("no panic"),
    );
    let mut cuts = way.cuts.subscribe();
    if let Ok(mut server) = TcpStream::connect(to).await {
        let (from_client, to_client) = client.split();
        let (from_server, to_server) = server.split();
        tokio::select! {
            () = copy(from_client.take(most), to_server) => {}
            () = copy(from_server, to_client) => {}
            _ = cuts.changed() => {}
        }
    }
    // Each end sees the end, and closes its own in answer.
    let _ = client.shutdown().await;
    let _ = tokio::io::copy(&mut client, &mut tokio::io::sink()).await;
    way.open.fetch_sub(1, Ordering::SeqCst);
}

async fn copy(mut from: impl AsyncRead + Unpin, mut to: impl AsyncWrite + Unpin) {
    let _ = tokio::io::copy(&mut from, &mut to).await;
}
