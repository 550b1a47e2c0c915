//! Pebble: the ACME server of Let's Encrypt for tests, with an authority that is new at each start.

use std::fs;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener};
use std::path::PathBuf;
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use rcgen::{CertificateParams, KeyPair};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::TcpStream;
use tokio::process::{Child, Command};
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::support::dns::{FakeDns, addresses};

/// The name that pebble looks for at this host.
pub(super) const NAME: &str = "chat.example.com";

/// A running pebble; killed when dropped.
pub(super) struct Pebble {
    /// Where it asks for proofs.
    pub(super) http_port: u16,
    pub(super) tls_port: u16,
    ports: [u16; 2],
    home: TempDir,
    process: Option<Child>,
    _dns: FakeDns,
}

/// How pebble is to be.
#[derive(Clone, Copy, Debug)]
pub(super) struct Options {
    /// The share of good nonces that it refuses.
    pub(super) refused_nonces_percent: u32,
    /// How long its certificates are valid.
    pub(super) life: Duration,
    /// Whether it asks for the key of a customer.
    pub(super) needs_customer: bool,
}

impl Default for Options {
    fn default() -> Self {
        let life = Duration::from_hours(24 * 90);
        Self { refused_nonces_percent: 5, life, needs_customer: false }
    }
}

/// A customer of pebble, and the secret in base64url.
pub(super) const CUSTOMER: [&str; 2] =
    ["kid-1", "zWNDZM6eQGHWpSRTPal5eIUYFTu7EajVIoguysqZ9wG44nMEtx3MUAsUDkMTQ12W"];

impl Pebble {
    /// A pebble that answers.
    pub(super) async fn start(options: Options) -> Self {
        let mut pebble = Self::prepare(options).await;
        pebble.run(options).await;
        pebble
    }

    /// A pebble that does not run yet.
    pub(super) async fn prepare(options: Options) -> Self {
        let [acme, management, http_port, tls_port] = free_ports();
        let home = tempfile::tempdir().unwrap();
        let key = KeyPair::generate().unwrap();
        let certificate = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
        let certificate = certificate.self_signed(&key).unwrap();
        fs::write(home.path().join("server.pem"), certificate.pem()).unwrap();
        fs::write(home.path().join("server.key"), key.serialize_pem()).unwrap();
        let config = json!({ "pebble": {
            "listenAddress": format!("127.0.0.1:{acme}"),
            "managementListenAddress": format!("127.0.0.1:{management}"),
            "certificate": home.path().join("server.pem"),
            "privateKey": home.path().join("server.key"),
            "httpPort": http_port,
            "tlsPort": tls_port,
            "ocspResponderURL": "",
            "externalAccountBindingRequired": options.needs_customer,
            "externalAccountMACKeys": { CUSTOMER[0]: CUSTOMER[1] },
            "domainBlocklist": ["refused.example.com"],
            "certificateValidityPeriod": options.life.as_secs(),
        }});
        fs::write(home.path().join("config.json"), config.to_string()).unwrap();
        let here = [IpAddr::V4(Ipv4Addr::LOCALHOST)];
        let dns = FakeDns::start(addresses(&format!("{NAME}."), &here, 60)).await;
        Self { http_port, tls_port, ports: [acme, management], home, process: None, _dns: dns }
    }

    /// Starts it, and waits until it answers.
    pub(super) async fn run(&mut self, options: Options) {
        let mut process = Command::new("pebble")
            .arg("-config")
            .arg(self.home.path().join("config.json"))
            .args(["-dnsserver", &self._dns.address.to_string()])
            .env("PEBBLE_VA_NOSLEEP", "1")
            .env("PEBBLE_AUTHZREUSE", "0")
            .env("PEBBLE_WFE_NONCEREJECT", options.refused_nonces_percent.to_string())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .expect("pebble is installed by `cargo xtask edge`");
        let mut log = BufReader::new(process.stdout.take().unwrap()).lines();
        let ready = async {
            while let Some(line) = log.next_line().await.unwrap() {
                if line.contains("ACME directory available") {
                    return;
                }
            }
            panic!("pebble ended");
        };
        timeout(Duration::from_secs(20), ready).await.expect("pebble is ready");
        // A full pipe would stop it.
        tokio::spawn(async move { while let Ok(Some(_)) = log.next_line().await {} });
        self.process = Some(process);
    }

    pub(super) fn directory(&self) -> String {
        format!("https://localhost:{}/dir", self.ports[0])
    }

    /// The file of the root of its own server.
    pub(super) fn ca(&self) -> PathBuf {
        self.home.path().join("server.pem")
    }

    /// The root of the certificates that it issues.
    async fn root(&self) -> CertificateDer<'static> {
        let own = CertificateDer::from_pem_file(self.ca()).unwrap();
        let address = SocketAddr::from(([127, 0, 0, 1], self.ports[1]));
        let mut stream = connect(address, "localhost", own).await.unwrap();
        let request = "GET /roots/0 HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = Vec::new();
        // Go closes without the last word of TLS.
        let _ = stream.read_to_end(&mut answer).await;
        CertificateDer::from_pem_slice(&answer).unwrap()
    }

    /// Connects to a listener that has a certificate of pebble for [`NAME`].
    pub(super) async fn connect(
        &self,
        address: SocketAddr,
    ) -> std::io::Result<TlsStream<TcpStream>> {
        connect(address, NAME, self.root().await).await
    }

    /// The certificate that a listener shows for [`NAME`], which pebble issued.
    pub(super) async fn shown(&self, address: SocketAddr) -> CertificateDer<'static> {
        let stream = self.connect(address).await.unwrap();
        stream.get_ref().1.peer_certificates().unwrap()[0].clone()
    }

    /// The lines of `acme:` for it.
    pub(super) fn section(&self, store: &std::path::Path, more: Value) -> String {
        let mut section = json!({
            "directory": self.directory(),
            "store": store,
            "ca": self.ca(),
            "agree_to_terms": true,
        });
        section.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        format!("acme: {section}\n")
    }
}

/// Connects as a client that trusts `root` alone.
async fn connect(
    address: SocketAddr,
    name: &'static str,
    root: CertificateDer<'static>,
) -> std::io::Result<TlsStream<TcpStream>> {
    let mut roots = RootCertStore::empty();
    roots.add(root).unwrap();
    let config = ClientConfig::builder().with_root_certificates(roots).with_no_client_auth();
    let stream = TcpStream::connect(address).await?;
    let name = ServerName::try_from(name).unwrap();
    TlsConnector::from(Arc::new(config)).connect(name, stream).await
}

/// Ports that were free a moment ago: pebble and its validator need to know them before.
fn free_ports<const N: usize>() -> [u16; N] {
    let held = [(); N].map(|()| TcpListener::bind("127.0.0.1:0").unwrap());
    held.map(|listener| listener.local_addr().unwrap().port())
}
