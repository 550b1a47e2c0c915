//! TLS below HTTP.

use rustls::crypto::aws_lc_rs;
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, RootCertStore};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::*;
use crate::net::NetStream;
use crate::tls::tests::server_tls;
use crate::tls::{HandshakeFailure, Settings as TlsSettings};

/// A listener with TLS, and a client that trusts it.
struct TlsServer {
    server: Server,
    connector: TlsConnector,
}

impl TlsServer {
    async fn start() -> Self {
        Self::start_with(TlsSettings::HANDSHAKE_TIMEOUT).await
    }

    async fn start_with(handshake_timeout: Duration) -> Self {
        Self::start_speaking(&[], handshake_timeout).await
    }

    /// Client and server offer these protocols by ALPN.
    async fn start_speaking(protocols: &[&str], handshake_timeout: Duration) -> Self {
        let alpn: Vec<_> = protocols.iter().map(|name| name.as_bytes().to_vec()).collect();
        let tls = TlsSettings { handshake_timeout, alpn: alpn.clone(), ..TlsSettings::default() };
        let (tls, root) = server_tls(tls);
        let mut roots = RootCertStore::empty();
        roots.add(root).unwrap();
        let provider = Arc::new(aws_lc_rs::default_provider());
        let mut client = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        client.alpn_protocols = alpn;
        let minute = Duration::from_secs(60);
        let settings = Settings { tls: Some(Arc::new(tls)), ..settings(minute, minute) };
        let server = Server::start_on(&settings).await;
        Self { server, connector: Arc::new(client).into() }
    }

    async fn connect(&self) -> TlsStream<TcpStream> {
        let name = ServerName::try_from("localhost").unwrap();
        let socket = self.server.connect().await;
        soon(self.connector.connect(name, socket)).await.unwrap()
    }
}

#[tokio::test]
async fn requests_are_served_and_the_close_is_announced() {
    let mut tls = TlsServer::start().await;
    let mut client = tls.connect().await;
    client.write_all(b"GET /one HTTP/1.1\r\nHost: a\r\n\r\n").await.unwrap();
    let mut first = vec![0; 1000];
    let length = soon(client.read(&mut first)).await.unwrap();
    assert!(first[..length].starts_with(b"HTTP/1.1 200 OK"));
    let last = b"GET /two HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";
    client.write_all(last).await.unwrap();
    let mut answer = String::new();
    // Without close_notify this would be an error.
    soon(client.read_to_string(&mut answer)).await.unwrap();
    assert!(answer.contains("/two"), "{answer}");
    assert!(matches!(tls.server.end().await, ConnectionEnd::Closed));
}

#[tokio::test]
async fn a_tunnel_gets_the_stream_and_the_bytes_that_follow_the_request() {
    let mut tls = TlsServer::start().await;
    let mut client = tls.connect().await;
    let head = "GET /tunnel HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n";
    client.write_all([head.as_bytes(), b"early"].concat().as_slice()).await.unwrap();
    let RawSocket { mut stream, read_ahead, permit: _permit, .. } =
        soon(tls.server.tunnels.recv()).await.unwrap();
    assert!(matches!(stream, NetStream::Tls(_)));
    let mut early = read_ahead.to_vec();
    while early != b"early" {
        assert!(soon(stream.read_buf(&mut early)).await.unwrap() > 0, "{early:?}");
    }
    stream.write_all(b"to the client").await.unwrap();
    stream.shutdown().await.unwrap();
    let mut received = String::new();
    soon(client.read_to_string(&mut received)).await.unwrap();
    assert!(received.ends_with("\r\n\r\nto the client"), "{received}");
    assert!(matches!(tls.server.end().await, ConnectionEnd::Upgraded));
}

#[tokio::test]
async fn a_client_that_speaks_no_tls_is_told_so_by_an_alert() {
    let mut tls = TlsServer::start().await;
    let mut client = tls.server.connect().await;
    client.write_all(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n").await.unwrap();
    let mut answer = Vec::new();
    soon(client.read_to_end(&mut answer)).await.unwrap();
    // A record of type alert (RFC 8446, section 5.1).
    assert_eq!(answer.first(), Some(&21));
    assert!(matches!(
        tls.server.end().await,
        ConnectionEnd::Handshake(HandshakeFailure::Failed(_))
    ));
    assert_eq!(tls.server.requests(), 0);
}

#[tokio::test]
async fn a_client_that_does_not_finish_its_handshake_is_closed() {
    let mut tls = TlsServer::start_with(Duration::from_millis(50)).await;
    let mut client = tls.server.connect().await;
    // The head of a handshake record that does not come.
    client.write_all(&[22, 3, 1, 2, 0]).await.unwrap();
    assert_eq!(soon(client.read(&mut [0])).await.unwrap(), 0);
    assert!(matches!(tls.server.end().await, ConnectionEnd::Handshake(HandshakeFailure::TimedOut)));
    assert_eq!(tls.server.permits.load(Ordering::Relaxed), 0);
}

#[tokio::test]
async fn alpn_decides_which_http_follows() {
    let tls = TlsServer::start_speaking(&["h2", "http/1.1"], TlsSettings::HANDSHAKE_TIMEOUT).await;
    let stream = tls.connect().await;
    let (mut requests, connection) = h2::client::handshake(stream).await.unwrap();
    Tasks::default().spawn(async move {
        // The test ends before it does.
        let _ = connection.await;
    });
    let request = Request::builder().uri("https://a/one").body(()).unwrap();
    let response = requests.send_request(request, true).unwrap().0;
    assert_eq!(soon(response).await.unwrap().status(), 200);
}
