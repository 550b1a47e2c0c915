//! Certificates for tests, clients that trust them, and `openssl s_client`.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair, KeyUsagePurpose,
    PKCS_ECDSA_P256_SHA256, PKCS_ECDSA_P384_SHA384, PKCS_ECDSA_P521_SHA512, PKCS_ED25519,
    PKCS_RSA_SHA256, RsaKeySize, date_time_ymd,
};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::server::WebPkiClientVerifier;
use rustls::{ClientConfig, RootCertStore, ServerConfig};
use tokio::io::{AsyncWriteExt as _, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};
use tokio::process::Command;
use tokio::task::{JoinHandle, JoinSet};
use tokio_rustls::client::TlsStream;
use tokio_rustls::{TlsAcceptor, TlsConnector};

/// An authority, and the directory in which its certificates are.
pub struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
    pub directory: tempfile::TempDir,
}

impl Authority {
    /// A new one; its certificate is `ca.pem`.
    pub fn new() -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.distinguished_name.push(DnType::CommonName, "authority");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        let directory = tempfile::tempdir().unwrap();
        std::fs::write(directory.path().join("ca.pem"), issuer.pem()).unwrap();
        Self { issuer, directory }
    }

    pub fn path(&self, file: &str) -> PathBuf {
        self.directory.path().join(file)
    }

    /// `chain` and `key` of the certificate in `FILE.pem`, as a configuration has them.
    pub fn pair(&self, file: &str) -> String {
        let path = |end: &str| self.path(&format!("{file}.{end}")).display().to_string();
        format!("chain: '{}', key: '{}'", path("pem"), path("key"))
    }

    /// The fingerprint of the certificate in `FILE.pem`, as openssl prints it.
    pub async fn fingerprint(&self, file: &str) -> String {
        let mut command = Command::new("openssl");
        command.args(["x509", "-noout", "-fingerprint", "-sha256", "-in"]);
        let output = command.arg(self.path(&format!("{file}.pem"))).output().await.unwrap();
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    }

    /// Writes `FILE.pem` and `FILE.key`, for a subject and its names.
    pub fn issue(&self, file: &str, subject: &str, names: &[&str]) {
        self.issue_by(Key::P256, file, subject, names);
    }

    /// The same with a key of this kind.
    pub fn issue_by(&self, key: Key, file: &str, subject: &str, names: &[&str]) {
        self.issue_as(key, file, (subject, names), |_| ());
    }

    /// The same as [`Authority::issue`] with a certificate that expired long ago.
    pub fn issue_expired(&self, file: &str, subject: &str, names: &[&str]) {
        let in_the_past = |params: &mut CertificateParams| {
            params.not_before = date_time_ymd(2020, 1, 1);
            params.not_after = date_time_ymd(2021, 1, 1);
        };
        self.issue_as(Key::P256, file, (subject, names), in_the_past);
    }

    fn issue_as(
        &self,
        key: Key,
        file: &str,
        (subject, names): (&str, &[&str]),
        change: impl FnOnce(&mut CertificateParams),
    ) {
        let key = key.generate();
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let mut params = CertificateParams::new(names).unwrap();
        params.distinguished_name = rcgen::DistinguishedName::new();
        params.distinguished_name.push(DnType::CommonName, subject);
        change(&mut params);
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        std::fs::write(self.path(&format!("{file}.pem")), certificate.pem()).unwrap();
        std::fs::write(self.path(&format!("{file}.key")), key.serialize_pem()).unwrap();
    }

    /// A server with the certificate `file`, which demands certificates of this authority if `demands` is
    /// set.
    pub fn acceptor(&self, file: &str, demands: bool) -> TlsAcceptor {
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let builder = ServerConfig::builder_with_provider(provider.clone())
            .with_safe_default_protocol_versions()
            .unwrap();
        let builder = match demands {
            true => {
                let verifier =
                    WebPkiClientVerifier::builder_with_provider(self.roots().into(), provider);
                builder.with_client_cert_verifier(verifier.build().unwrap())
            }
            false => builder.with_no_client_auth(),
        };
        let chain = CertificateDer::from_pem_file(self.path(&format!("{file}.pem"))).unwrap();
        let key = PrivateKeyDer::from_pem_file(self.path(&format!("{file}.key"))).unwrap();
        let mut config = builder.with_single_cert(vec![chain], key).unwrap();
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        Arc::new(config).into()
    }

    fn roots(&self) -> RootCertStore {
        let mut roots = RootCertStore::empty();
        roots.add(self.issuer.der().clone()).unwrap();
        roots
    }

    /// A client that trusts the authority and shows the certificate in `shown`, if any.
    pub fn connector(&self, shown: Option<&str>) -> TlsConnector {
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let builder = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(self.roots());
        let config = match shown {
            None => builder.with_no_client_auth(),
            Some(file) => {
                let chain = CertificateDer::from_pem_file(self.path(&format!("{file}.pem")));
                let key = PrivateKeyDer::from_pem_file(self.path(&format!("{file}.key")));
                builder.with_client_auth_cert(vec![chain.unwrap()], key.unwrap()).unwrap()
            }
        };
        Arc::new(config).into()
    }

    /// Connects to `localhost` at `address`.
    pub async fn connect(&self, address: SocketAddr) -> TlsStream<TcpStream> {
        connect(&self.connector(None), address).await
    }
}

/// A kind of private key.
#[derive(Clone, Copy, Debug)]
pub enum Key {
    P256,
    P384,
    P521,
    Ed25519,
    Rsa,
}

impl Key {
    fn generate(self) -> KeyPair {
        let key = match self {
            Self::P256 => KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256),
            Self::P384 => KeyPair::generate_for(&PKCS_ECDSA_P384_SHA384),
            Self::P521 => KeyPair::generate_for(&PKCS_ECDSA_P521_SHA512),
            Self::Ed25519 => KeyPair::generate_for(&PKCS_ED25519),
            Self::Rsa => KeyPair::generate_rsa_for(&PKCS_RSA_SHA256, RsaKeySize::_2048),
        };
        key.unwrap()
    }
}

/// Ends TLS before a [`FakeNode`](super::FakeNode). Dropping it closes the port and all connections.
pub struct TlsFront {
    pub address: SocketAddr,
    task: JoinHandle<()>,
}

impl TlsFront {
    /// Shows the certificate `file` of `authority`, and demands one of clients if `demands` is set.
    pub async fn start(authority: &Authority, file: &str, demands: bool, node: SocketAddr) -> Self {
        let acceptor = authority.acceptor(file, demands);
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let task = tokio::spawn(async move {
            let mut connections = JoinSet::new();
            loop {
                let socket = listener.accept().await.unwrap().0;
                let acceptor = acceptor.clone();
                connections.spawn(async move {
                    let Ok(mut outside) = acceptor.accept(socket).await else { return };
                    let mut inside = TcpStream::connect(node).await.unwrap();
                    let _ = copy_bidirectional(&mut outside, &mut inside).await;
                });
            }
        });
        Self { address, task }
    }
}

impl Drop for TlsFront {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Connects to `localhost` at `address`.
pub async fn connect(connector: &TlsConnector, address: SocketAddr) -> TlsStream<TcpStream> {
    let socket = TcpStream::connect(address).await.unwrap();
    let name = ServerName::try_from("localhost").unwrap();
    connector.connect(name, socket).await.unwrap()
}

/// What `openssl s_client` prints of a handshake and one request with these further arguments.
pub async fn s_client(address: SocketAddr, authority: &Path, arguments: &[&str]) -> String {
    let request = "GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
    // The letters of commands mean nothing then.
    let arguments = [&["-ign_eof"], arguments].concat();
    s_client_says(address, authority, &arguments, request).await
}

/// What `openssl s_client` prints of a handshake after which it reads `input`.
pub async fn s_client_says(
    address: SocketAddr,
    authority: &Path,
    arguments: &[&str],
    input: &str,
) -> String {
    let mut child = Command::new("openssl")
        .args(["s_client", "-connect", &address.to_string(), "-CAfile"])
        .arg(authority)
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    // Fails if the handshake does.
    let _ = stdin.write_all(input.as_bytes()).await;
    let output = tokio::time::timeout(Duration::from_secs(20), child.wait_with_output());
    let output = output.await.expect("s_client ends in time").unwrap();
    drop(stdin);
    let text = [output.stdout, output.stderr].concat();
    // Names are written without these spaces from version 3.2 on.
    String::from_utf8_lossy(&text).replace(" = ", "=")
}
