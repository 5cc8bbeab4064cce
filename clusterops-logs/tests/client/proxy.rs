//! TLS and who we are, through a proxy in front of real clusters.

use std::sync::Arc;

use clusterops_logs::http::{HttpOptions, HttpRetries};
use clusterops_logs::{Client, ErrorKind, Indices, Query};
use serde_json::json;
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::server::WebPkiClientVerifier;
use tokio_rustls::rustls::{RootCertStore, ServerConfig};

use crate::{stand, support};

const AUTHORITY: &str = include_str!("../../../clusterops-core/tests/data/authority.pem");
const CLIENT: &str = include_str!("../../../clusterops-core/tests/data/client.pem");
const CLIENT_KEY: &str = include_str!("../../../clusterops-core/tests/data/client.key.pem");
const SERVER: &str = include_str!("../../../clusterops-core/tests/data/server.pem");
const SERVER_KEY: &str = include_str!("../../../clusterops-core/tests/data/server.key.pem");

/// Wants TLS, a header or a certificate, and hands everything else on.
struct Proxy {
    url: String,
    task: JoinHandle<()>,
}

impl Proxy {
    async fn start(upstream: &str, wanted: Option<&'static str>, mutual: bool) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("https://{}", listener.local_addr().unwrap());
        let upstream = upstream.trim_start_matches("http://").to_owned();
        let acceptor = acceptor(mutual);
        let task = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (upstream, acceptor) = (upstream.clone(), acceptor.clone());
                tokio::spawn(async move { pass(stream, &upstream, wanted, &acceptor).await });
            }
        });
        Self { url, task }
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn pass(
    stream: TcpStream,
    upstream: &str,
    wanted: Option<&str>,
    acceptor: &TlsAcceptor,
) -> Option<()> {
    let mut stream = acceptor.accept(stream).await.ok()?;
    let (head, rest) = stand::head(&mut stream).await?;
    if wanted.is_some_and(|wanted| !head.contains(&format!("\r\nauthorization: {wanted}\r\n"))) {
        // As Elasticsearch's security answers, which quotes what it was sent.
        let said = head.lines().find(|line| line.starts_with("authorization"));
        let body = json!({"error": {"root_cause": [], "type": "security_exception",
            "reason": format!("unable to authenticate with [{}]", said.unwrap_or("nothing"))}, "status": 401});
        let body = body.to_string();
        let head = format!(
            "HTTP/1.1 401 Unauthorized\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
            body.len()
        );
        stream.write_all((head + &body).as_bytes()).await.ok()?;
        stream.shutdown().await.ok()?;
        return None;
    }
    let mut server = TcpStream::connect(upstream).await.ok()?;
    server.write_all(head.as_bytes()).await.ok()?;
    server.write_all(&rest).await.ok()?;
    tokio::io::copy_bidirectional(&mut stream, &mut server)
        .await
        .ok()?;
    None
}

fn acceptor(mutual: bool) -> TlsAcceptor {
    let chain = vec![CertificateDer::from_pem_slice(SERVER.as_bytes()).unwrap()];
    let key = PrivateKeyDer::from_pem_slice(SERVER_KEY.as_bytes()).unwrap();
    let builder = ServerConfig::builder();
    let builder = if mutual {
        let mut roots = RootCertStore::empty();
        let authority = CertificateDer::from_pem_slice(AUTHORITY.as_bytes()).unwrap();
        roots.add(authority).unwrap();
        let verifier = WebPkiClientVerifier::builder(Arc::new(roots)).build();
        builder.with_client_cert_verifier(verifier.unwrap())
    } else {
        builder.with_no_client_auth()
    };
    TlsAcceptor::from(Arc::new(builder.with_single_cert(chain, key).unwrap()))
}

fn trusting() -> HttpOptions {
    HttpOptions::default()
        .authority(AUTHORITY)
        .retries(HttpRetries::none())
}

#[tokio::test]
async fn each_way_to_say_who_we_are_reaches_the_cluster() {
    for cluster in support::clusters("each_way_to_say_who_we_are_reaches_the_cluster") {
        let index = cluster.index("secured", json!({})).await;
        index.fill([("1", json!({"a": 1}))]).await;
        let indices = Indices::new(&index.name).unwrap();
        for (wanted, options) in [
            (
                "Basic bWU6c2VjcmV0LXdvcmQ=",
                trusting().basic("me", "secret-word"),
            ),
            (
                "ApiKey bWU6a2V5",
                trusting().authorization("ApiKey", "bWU6a2V5"),
            ),
            ("Bearer some.token", trusting().bearer("some.token")),
        ] {
            let proxy = Proxy::start(&cluster.urls[0], Some(wanted), false).await;
            let client = Client::new(&[&proxy.url], options).unwrap();
            assert_eq!(
                client.count(&indices, &Query::match_all()).await.unwrap(),
                1
            );
        }
        let proxy = Proxy::start(&cluster.urls[0], None, true).await;
        let options = trusting().client_certificate(CLIENT, CLIENT_KEY);
        let client = Client::new(&[&proxy.url], options).unwrap();
        assert_eq!(
            client.count(&indices, &Query::match_all()).await.unwrap(),
            1
        );
        let client = Client::new(&[&proxy.url], trusting()).unwrap();
        let error = client
            .count(&indices, &Query::match_all())
            .await
            .unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Tls, "{error}");
    }
}

#[tokio::test]
async fn what_is_wrong_with_tls_or_credentials_is_told_without_them() {
    // No cluster is reached.
    let proxy = Proxy::start("127.0.0.1:1", Some("Bearer right"), false).await;
    let client = Client::new(&[&proxy.url], trusting().bearer("hunter2-correct-horse")).unwrap();
    let error = client.server().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unauthenticated);
    assert_eq!(error.server_type(), Some("security_exception"));
    let told = format!("{error} {error:?} {:?}", std::error::Error::source(&error));
    assert!(
        !told.contains("hunter2") && !told.contains("horse"),
        "{told}"
    );

    let untrusting = HttpOptions::default().retries(HttpRetries::none());
    let client = Client::new(&[&proxy.url], untrusting.bearer("hunter2-correct-horse")).unwrap();
    assert_eq!(client.server().await.unwrap_err().kind(), ErrorKind::Tls);
}
