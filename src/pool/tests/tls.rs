//! TLS to a node whose certificate the test makes.

use std::path::Path;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair, date_time_ymd};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig};
use tokio_rustls::TlsAcceptor;

use super::*;
use crate::tls::settings::CertificateFiles;
use crate::tls::{
    Contents, NodeTls, NodeTlsFault, NodeTlsFaultKind, NodeTlsSettings, Verify, server_name,
};
use crate::upstream::settings::Settings;

/// Signs certificates.
struct Authority(CertifiedIssuer<'static, KeyPair>);

/// A certificate and its key.
struct Identity {
    certificate: CertificateDer<'static>,
    key: KeyPair,
    pem: String,
}

impl Authority {
    fn new() -> Self {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        Self(CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap())
    }

    fn sign(&self, name: &str) -> Identity {
        self.sign_as(name, |_| ())
    }

    fn sign_as(&self, name: &str, change: impl FnOnce(&mut CertificateParams)) -> Identity {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new([name.to_owned()]).unwrap();
        change(&mut params);
        let certificate = params.signed_by(&key, &self.0).unwrap();
        let pem = certificate.pem();
        Identity { certificate: certificate.der().clone(), key, pem }
    }

    fn roots(&self) -> Arc<RootCertStore> {
        let mut roots = RootCertStore::empty();
        roots.add(self.0.der().clone()).unwrap();
        Arc::new(roots)
    }

    /// TLS to nodes with certificates of this authority.
    fn trusted(&self) -> NodeTls {
        self.load(NodeTlsSettings::default(), None)
    }

    fn load(&self, settings: NodeTlsSettings, client: Option<&Identity>) -> NodeTls {
        let both = client.map(|client| client.pem.clone() + &client.key.serialize_pem());
        let read = |_: &Path| {
            let bytes = both.clone().unwrap().into_bytes();
            Ok(Contents { bytes, is_readable_by_all: false })
        };
        let file = |_: &Identity| CertificateFiles {
            chain: "proxy.pem".into(),
            key: "proxy.pem".into(),
            ocsp: None,
        };
        let settings = NodeTlsSettings { client_certificate: client.map(file), ..settings };
        let loaded = NodeTls::load(settings, &read, || Ok(self.roots()), 1_796_083_200);
        loaded.unwrap_or_else(|faults| panic!("{faults:?}")).tls
    }
}

/// A node that speaks TLS, and what the proxy knows of it.
struct TlsBench {
    bench: Bench<'static>,
    acceptor: TlsAcceptor,
    settings: Settings,
}

impl TlsBench {
    async fn new(identity: Identity, clients: Option<&Authority>, tls: NodeTls) -> Self {
        let builder = ServerConfig::builder_with_provider(Arc::new(
            rustls::crypto::aws_lc_rs::default_provider(),
        ))
        .with_safe_default_protocol_versions()
        .unwrap();
        let builder = match clients {
            Some(authority) => {
                let verifier = WebPkiClientVerifier::builder_with_provider(
                    authority.roots(),
                    Arc::new(rustls::crypto::aws_lc_rs::default_provider()),
                );
                builder.with_client_cert_verifier(verifier.build().unwrap())
            }
            None => builder.with_no_client_auth(),
        };
        let key = PrivateKeyDer::Pkcs8(identity.key.serialize_der().into());
        let config = builder.with_single_cert(vec![identity.certificate], key).unwrap();
        let settings = Settings { tls: Some(Arc::new(tls)), ..Settings::new("chat", Vec::new()) };
        Self { bench: Bench::new().await, acceptor: TlsAcceptor::from(Arc::new(config)), settings }
    }

    fn options(&self) -> ConnectOptions<'_> {
        ConnectOptions::for_client(&self.settings, "203.0.113.9:4711".parse().unwrap())
    }

    /// A connection, while the node serves one request for each of `answers` on it.
    async fn exchange(&self, answers: &[&str]) -> Result<usize, ConnectError> {
        let serve = async {
            let socket = self.bench.listener.accept().await.unwrap().0;
            let Ok(mut stream) = self.acceptor.accept(socket).await else { return };
            for answer in answers {
                let mut head = Vec::new();
                while !head.ends_with(b"\r\n\r\n") {
                    let Ok(byte) = stream.read_u8().await else { return };
                    head.push(byte);
                }
                stream.write_all(answer.as_bytes()).await.unwrap();
            }
            // Until the pool closes it.
            let _ = stream.read_u8().await;
        };
        let ask = async {
            let Bench { pool, node, .. } = &self.bench;
            let mut connection = pool.open(node, self.options()).await?;
            let mut reused = 0;
            for _ in answers {
                read_to_end(get(connection).await).await;
                let again = pool.take(node, Sharing::Any, self.options().owner());
                let Some(again) = again else { return Ok(reused) };
                (connection, reused) = (again, reused + 1);
            }
            drop(connection);
            Ok(reused)
        };
        let (asked, ()) = timeout(ENOUGH, async { tokio::join!(ask, serve) }).await.unwrap();
        asked
    }

    async fn fault(&self) -> NodeTlsFault {
        match self.exchange(&[WHOLE]).await {
            Err(ConnectError::Tls { source, .. }) => source,
            other => panic!("{other:?}"),
        }
    }
}

fn fingerprint(certificate: &CertificateDer<'_>) -> [u8; 32] {
    let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, certificate);
    digest.as_ref().try_into().unwrap()
}

#[tokio::test]
async fn requests_share_a_connection_to_a_node_that_an_authority_vouches_for() {
    let authority = Authority::new();
    let by_address = authority.trusted();
    let bench = TlsBench::new(authority.sign("127.0.0.1"), None, by_address).await;
    assert_eq!(bench.exchange(&[WHOLE, WHOLE]).await.unwrap(), 2);
    let settings =
        NodeTlsSettings { server_name: server_name("chat.internal."), ..Default::default() };
    let by_name = authority.load(settings, None);
    let bench = TlsBench::new(authority.sign("chat.internal"), None, by_name).await;
    assert_eq!(bench.exchange(&[WHOLE]).await.unwrap(), 1);
}

#[tokio::test]
async fn a_certificate_that_proves_nothing_is_refused_and_named() {
    let (authority, other) = (Authority::new(), Authority::new());
    let check = async |identity: Identity, expected: NodeTlsFaultKind, part: &str| {
        let bench = TlsBench::new(identity, None, authority.trusted()).await;
        let fault = bench.fault().await;
        assert_eq!(fault.kind, expected, "{fault:?}");
        let said = crate::logging::error_chain(&fault);
        assert!(said.contains(part), "{said}");
    };
    let expired = authority.sign_as("127.0.0.1", |params| {
        params.not_before = date_time_ymd(2020, 1, 1);
        params.not_after = date_time_ymd(2021, 1, 1);
    });
    check(expired, NodeTlsFaultKind::Expired, "(2021-01-01), renew it").await;
    let early =
        authority.sign_as("127.0.0.1", |params| params.not_before = date_time_ymd(3000, 1, 1));
    check(early, NodeTlsFaultKind::NotYetValid, "(3000-01-01), compare").await;
    check(authority.sign("10.0.0.1"), NodeTlsFaultKind::OtherName, "10.0.0.1").await;
    check(other.sign("127.0.0.1"), NodeTlsFaultKind::UnknownAuthority, "tls.ca").await;
    let is_authority = |params: &mut CertificateParams| {
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    };
    let self_made = authority.sign_as("127.0.0.1", is_authority);
    check(self_made, NodeTlsFaultKind::Authority, "CA:FALSE").await;
    let bench = TlsBench::new(authority.sign("127.0.0.1"), None, authority.trusted()).await;
    assert_eq!(bench.exchange(&[WHOLE]).await.unwrap(), 1);
}

#[tokio::test]
async fn a_pinned_certificate_is_accepted_whatever_it_says() {
    let other = Authority::new();
    let verifying =
        |verify| other.load(NodeTlsSettings { verify, ..NodeTlsSettings::default() }, None);
    let identity = other.sign("elsewhere");
    let pinned = verifying(Verify::Fingerprints(vec![[0; 32], fingerprint(&identity.certificate)]));
    let bench = TlsBench::new(identity, None, pinned).await;
    assert_eq!(bench.exchange(&[WHOLE]).await.unwrap(), 1);

    let identity = other.sign("127.0.0.1");
    let shown = fingerprint(&identity.certificate).map(|byte| format!("{byte:02x}")).concat();
    let wrong = verifying(Verify::Fingerprints(vec![[0; 32]]));
    let fault = TlsBench::new(identity, None, wrong).await.fault().await;
    assert_eq!(fault.kind, NodeTlsFaultKind::NotPinned, "{fault:?}");
    let said = crate::logging::error_chain(&fault);
    assert!(said.contains(&shown), "its fingerprint is shown: {said}");

    let bench = TlsBench::new(other.sign("elsewhere"), None, verifying(Verify::Off)).await;
    assert_eq!(bench.exchange(&[WHOLE]).await.unwrap(), 1);
}

#[tokio::test]
async fn a_node_that_asks_for_a_certificate_is_shown_one() {
    let authority = Authority::new();
    let shown = authority.load(NodeTlsSettings::default(), Some(&authority.sign("proxy")));
    let bench = TlsBench::new(authority.sign("127.0.0.1"), Some(&authority), shown).await;
    assert_eq!(bench.exchange(&[WHOLE]).await.unwrap(), 1);
}

/// With TLS 1.3 a node refuses our certificate when the handshake is complete for us.
#[tokio::test]
async fn a_node_that_gets_no_certificate_refuses_as_if_there_were_no_connection() {
    let authority = Authority::new();
    let bench =
        TlsBench::new(authority.sign("127.0.0.1"), Some(&authority), authority.trusted()).await;
    let serve = async {
        let socket = bench.bench.listener.accept().await.unwrap().0;
        assert!(bench.acceptor.accept(socket).await.is_err());
    };
    let ask = async {
        let Bench { pool, node, .. } = &bench.bench;
        let connection = pool.open(node, bench.options()).await.unwrap();
        get(connection).await.unwrap_err()
    };
    let (error, ()) = timeout(ENOUGH, async { tokio::join!(ask, serve) }).await.unwrap();
    let SendFault::TlsRefused(fault) = error.fault else { panic!("{error:?}") };
    assert_eq!(fault.kind, NodeTlsFaultKind::NoClientCertificate, "{fault:?}");
    assert!(bench.bench.node.is_avoided(Instant::now()));
}

#[tokio::test]
async fn what_is_no_handshake_is_told_apart() {
    let bench = Bench::new().await;
    let tls = Some(Arc::new(Authority::new().trusted()));
    let connect_timeout = Duration::from_millis(100);
    let settings = Settings { tls, connect_timeout, ..Settings::new("chat", Vec::new()) };
    let options = || ConnectOptions::for_client(&settings, "203.0.113.9:1".parse().unwrap());
    let check = async |sends: Option<&[u8]>, is_reset: bool, expected: NodeTlsFaultKind| {
        let serve = async {
            let mut socket = bench.listener.accept().await.unwrap().0;
            if let Some(bytes) = sends {
                socket.write_all(bytes).await.unwrap();
            }
            if is_reset {
                socket.read_u8().await.unwrap();
                socket.set_zero_linger().unwrap();
                return None;
            }
            Some(socket)
        };
        let (opened, _socket) = tokio::join!(bench.pool.open(&bench.node, options()), serve);
        match opened {
            Err(ConnectError::Tls { source, .. }) => {
                assert_eq!(source.kind, expected, "{source:?}")
            }
            other => panic!("{other:?}"),
        }
    };
    check(None, false, NodeTlsFaultKind::TimedOut).await;
    check(None, true, NodeTlsFaultKind::Ended).await;
    check(Some(b"HTTP/1.1 400 Bad Request\r\n\r\n"), false, NodeTlsFaultKind::NotTls).await;
    let alert = |code| [0x15, 3, 3, 0, 2, 2, code];
    check(Some(&alert(70)), false, NodeTlsFaultKind::NothingInCommon).await;
    check(Some(&alert(48)), false, NodeTlsFaultKind::ClientCertificateRefused).await;
    check(Some(&alert(40)), false, NodeTlsFaultKind::Refused).await;
    check(Some(&alert(80)), false, NodeTlsFaultKind::Failed).await;
    assert!(bench.node.is_avoided(Instant::now()));
}

#[tokio::test]
async fn a_connection_is_not_reused_with_other_tls() {
    let bench = Bench::new().await;
    let _socket = bench.idle().await;
    let tls = Some(Arc::new(Authority::new().trusted()));
    let settings = Settings { tls, ..Settings::new("chat", Vec::new()) };
    let options = ConnectOptions::for_client(&settings, "203.0.113.9:1".parse().unwrap());
    assert!(bench.pool.take(&bench.node, Sharing::Any, options.owner()).is_none());
    assert!(bench.take().is_some());
}
