//! TLS to nodes: which certificate a node must have, and the handshake with it.
//!
//! A [`NodeTls`] is made of files that are read once. It never changes: a reload makes a new one.
//!
//! Runs for every request.

mod fault;
mod settings;
mod verifier;

use std::fmt;
use std::io;
use std::sync::Arc;

use aws_lc_rs::digest::{Context, SHA256};
use rustls::client::{Resumption, WantsClientCert};
use rustls::pki_types::ServerName;
use rustls::sign::SingleCertAndKey;
use rustls::{ClientConfig, ConfigBuilder, RootCertStore};
use tokio::net::TcpStream;
use tokio_rustls::{TlsConnector, TlsStream};

use super::LoadedTls;
use super::certificate::Certificate;
use super::client_auth;
use super::fault::{Fault, Part};
use super::files::{Files, ReadFile};
use crate::net::ReadAhead;
pub(crate) use fault::{NodeTlsFault, NodeTlsFaultKind};
pub(crate) use settings::{Fingerprint, NodeTlsSettings, Verify, parse_fingerprint};
use verifier::WithoutAuthority;
pub(crate) use verifier::shown as shown_fingerprint;

/// TLS as it is spoken to the nodes of an upstream. It keeps sessions, so that a second handshake with a
/// node is cheap.
pub struct NodeTls {
    settings: NodeTlsSettings,
    client_certificate: Option<Arc<Certificate>>,
    /// Of the settings and of all files that were read.
    digest: [u8; 32],
    authorities_digest: [u8; 32],
    config: Arc<ClientConfig>,
}

impl NodeTls {
    /// Reads the files that `settings` name with `read`, and checks them at `now`, in seconds since 1970.
    /// `system_roots` gives the authorities that the system trusts.
    ///
    /// # Errors
    ///
    /// What is wrong with each file; at least one.
    pub(crate) fn load(
        settings: NodeTlsSettings,
        read: ReadFile<'_>,
        system_roots: impl FnOnce() -> io::Result<Arc<RootCertStore>>,
        now: i64,
    ) -> Result<LoadedTls<Self>, Vec<(Part, Fault)>> {
        let mut files = Files::new(read);
        let (mut faults, mut warnings) = (Vec::new(), Vec::new());
        let roots = read_authorities(&settings.verify, &mut files, system_roots);
        let roots = roots.map_err(|fault| faults.push((Part::NodeCa, fault)));
        let roots = roots.unwrap_or_else(|()| Arc::new(RootCertStore::empty()));
        let client = settings.client_certificate.as_ref();
        let client = client.map(|paths| Certificate::load(0, paths, &mut files, &mut warnings));
        let client = client.transpose().map_err(|fault| faults.push(fault)).unwrap_or_default();
        if !faults.is_empty() {
            return Err(faults);
        }
        // The others concern what browsers accept of servers.
        warnings.retain(|(_, warning)| warning.concerns_clients());
        let dates = client.as_ref().and_then(|certificate| certificate.date_warning(now));
        warnings.extend(dates.map(|warning| (Part::Chain(0), warning)));
        let files_digest = files.digest(|_| true);
        let tls = Self::new(settings, roots, (client.map(Arc::new), files_digest));
        let unusable = |error: rustls::Error| Fault::Verifier { error: error.to_string() };
        let tls = tls.map_err(|error| vec![(Part::NodeCa, unusable(error))])?;
        Ok(LoadedTls { tls, warnings })
    }

    /// With `settings` as they are, and no file: it accepts no node by an authority. `None` if the
    /// library refuses them.
    pub(crate) fn unread(settings: NodeTlsSettings) -> Option<Self> {
        Self::new(settings, Arc::new(RootCertStore::empty()), (None, [0; 32])).ok()
    }

    fn new(
        settings: NodeTlsSettings,
        roots: Arc<RootCertStore>,
        (client_certificate, files_digest): (Option<Arc<Certificate>>, [u8; 32]),
    ) -> Result<Self, rustls::Error> {
        let authorities_digest = authorities_digest(&roots);
        let shown = format!("{settings:?}");
        let digest = sha256([shown.as_bytes(), &files_digest, &authorities_digest].into_iter());
        let builder = verifying(&settings.verify, roots)?;
        let mut config = match &client_certificate {
            Some(certificate) => {
                let shown = SingleCertAndKey::from(certificate.certified.clone());
                builder.with_client_cert_resolver(Arc::new(shown))
            }
            None => builder.with_no_client_auth(),
        };
        // Without it, a server that prefers HTTP/2 might begin with that.
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        config.resumption = Resumption::in_memory_sessions(SESSIONS_MAX);
        let config = Arc::new(config);
        Ok(Self { settings, client_certificate, digest, authorities_digest, config })
    }

    /// As configured.
    pub(crate) fn settings(&self) -> &NodeTlsSettings {
        &self.settings
    }

    /// For another client of the same nodes.
    pub(crate) fn client_config(&self) -> &Arc<ClientConfig> {
        &self.config
    }

    /// What a node is shown that asks for a certificate.
    pub(crate) fn client_certificate(&self) -> Option<&Arc<Certificate>> {
        self.client_certificate.as_ref()
    }

    /// What tells two versions of the authorities apart.
    pub(crate) fn authorities(&self) -> String {
        self.authorities_digest.iter().take(4).map(|byte| format!("{byte:02x}")).collect()
    }

    /// Tells apart two that differ in settings or in what their files hold.
    pub(crate) fn id(&self) -> u64 {
        let [a, b, c, d, e, f, g, h, ..] = self.digest;
        u64::from_be_bytes([a, b, c, d, e, f, g, h])
    }

    /// Makes the handshake with a node whose address has this host. An IP address is not sent as a
    /// server name (RFC 6066, section 3) and has to be in the certificate. If the future is dropped, the
    /// socket is closed.
    ///
    /// # Errors
    ///
    /// [`NodeTlsFault`]; the node has been sent an alert, if there is one for it.
    pub(crate) async fn handshake(
        &self,
        socket: TcpStream,
        host: &str,
    ) -> Result<Box<TlsStream<ReadAhead>>, NodeTlsFault> {
        let name = match &self.settings.server_name {
            Some(name) => name.clone(),
            None => server_name(host).ok_or(NodeTlsFaultKind::NoName)?,
        };
        let connected =
            TlsConnector::from(self.config.clone()).connect(name, ReadAhead::new(socket)).await;
        connected.map(|stream| Box::new(stream.into())).map_err(NodeTlsFault::new)
    }
}

/// The name that a node of this host is asked for. A dot at the end is for resolvers; certificates have
/// none.
pub(crate) fn server_name(host: &str) -> Option<ServerName<'static>> {
    ServerName::try_from(host.strip_suffix('.').unwrap_or(host).to_owned()).ok()
}

fn read_authorities(
    verify: &Verify,
    files: &mut Files<'_>,
    system_roots: impl FnOnce() -> io::Result<Arc<RootCertStore>>,
) -> Result<Arc<RootCertStore>, Fault> {
    match verify {
        Verify::Fingerprints(_) | Verify::Off => Ok(Arc::new(RootCertStore::empty())),
        Verify::Authorities(Some(path)) => {
            client_auth::authorities((Part::NodeCa, path), files).map(Arc::new)
        }
        Verify::Authorities(None) => {
            system_roots().map_err(|error| Fault::NoSystemAuthorities { error })
        }
    }
}

fn verifying(
    verify: &Verify,
    roots: Arc<RootCertStore>,
) -> Result<ConfigBuilder<ClientConfig, WantsClientCert>, rustls::Error> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = ClientConfig::builder_with_provider(provider.clone())
        .with_safe_default_protocol_versions()?;
    let pinned = match verify {
        Verify::Authorities(_) => return Ok(builder.with_root_certificates(roots)),
        Verify::Fingerprints(pinned) => Some(pinned.clone()),
        Verify::Off => None,
    };
    let verifier = Arc::new(WithoutAuthority { pinned, provider });
    Ok(builder.dangerous().with_custom_certificate_verifier(verifier))
}

/// Those of the system are in no file that is named.
fn authorities_digest(roots: &RootCertStore) -> [u8; 32] {
    sha256(roots.roots.iter().flat_map(|root| [&*root.subject, &*root.subject_public_key_info]))
}

fn sha256<'p>(parts: impl Iterator<Item = &'p [u8]>) -> [u8; 32] {
    let mut context = Context::new(&SHA256);
    for part in parts {
        context.update(&(part.len() as u64).to_be_bytes());
        context.update(part);
    }
    let mut digest = [0; 32];
    digest.copy_from_slice(context.finish().as_ref());
    digest
}

/// By content: settings and files.
impl PartialEq for NodeTls {
    fn eq(&self, other: &Self) -> bool {
        self.digest == other.digest
    }
}

impl Eq for NodeTls {}

impl fmt::Debug for NodeTls {
    /// Without keys.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NodeTls").field("settings", &self.settings).finish_non_exhaustive()
    }
}

/// The library keeps eight tickets for each name: enough for 256 nodes, in some MiB.
const SESSIONS_MAX: usize = 8 * 256;
