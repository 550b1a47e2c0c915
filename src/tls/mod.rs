//! TLS (RFC 8446, RFC 5246): towards clients certificates, tickets, clients' certificates, and a bound on
//! handshakes; towards nodes which of them are accepted.
//!
//! [`ServerTls`] is what a listener needs, [`NodeTls`] what an upstream needs, made of files that are read
//! once. Neither ever changes: a reload makes a new one, and connections keep theirs.
//!
//! Runs at start, at reload, or on a timer.

mod accept;
mod certificate;
mod chain;
mod challenges;
mod ciphers;
mod client_auth;
mod distinguished_name;
mod expiry;
mod facts;
mod fault;
mod files;
mod handshakes;
mod pem;
mod resolver;
pub(crate) mod roots;
pub(crate) mod settings;
#[cfg(test)]
pub(crate) mod tests;
mod tickets;
mod to_nodes;

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use aws_lc_rs::digest::{Context, SHA256};
use rustls::crypto::CryptoProvider;
use rustls::server::danger::ClientCertVerifier;
use rustls::server::{ClientHello, NoServerSessionStorage, ProducesTickets};
use rustls::version::TLS13;
use rustls::{ALL_VERSIONS, ServerConfig, SupportedProtocolVersion};

pub(crate) use accept::{HandshakeFailure, accept};
pub(crate) use certificate::Certificate;
pub(crate) use challenges::{Challenges, NAME_BYTES_MAX, is_token};
pub(crate) use client_auth::client_certificate;
pub(crate) use expiry::{ExpiryWarnings, date_remark};
pub(crate) use fault::{Fault, Part, Warning};
#[cfg(test)]
pub(crate) use files::Contents;
pub(crate) use files::{ReadFile, read_file};
pub(crate) use handshakes::Handshakes;
pub(crate) use settings::Settings;
pub(crate) use to_nodes::NodeTls;
pub(crate) use to_nodes::{
    Fingerprint, NodeTlsFault, NodeTlsFaultKind, NodeTlsSettings, Verify, parse_fingerprint,
    server_name, shown_fingerprint,
};

use certificate::Loaded;
use ciphers::{Configs, provider};
use files::Files;
use resolver::Resolver;
use settings::{ClientCertificates, MinVersion, TicketSecret, Tickets};
use tickets::SharedTickets;

/// TLS as a listener speaks it.
pub struct ServerTls {
    settings: Settings,
    /// Each with the file of its chain.
    certificates: Vec<(PathBuf, Arc<Certificate>)>,
    /// Of all files that were read.
    digest: [u8; 32],
    /// Of all but certificates and their keys.
    other_digest: [u8; 32],
    config: Configs,
    handshakes: Handshakes,
}

/// Whether a file must exist.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Presence {
    Needed,
    /// An authority issues it, or issues it again if it does not work.
    Later,
}

/// TLS of one side, [`ServerTls`] or [`NodeTls`], and what should be known of its files.
pub(crate) struct LoadedTls<T> {
    pub(crate) tls: T,
    pub(crate) warnings: Vec<(Part, Warning)>,
}

impl ServerTls {
    /// Reads the files that `settings` name with `read`, and checks them at `now`, in seconds since 1970.
    ///
    /// # Errors
    ///
    /// What is wrong with each file; at least one.
    pub(crate) fn load(
        settings: &Settings,
        read: ReadFile<'_>,
        now: i64,
    ) -> Result<LoadedTls<Self>, Vec<(Part, Fault)>> {
        let mut files = Files::new(read);
        let (mut faults, mut warnings) = (Vec::new(), Vec::new());
        let mut certificates = Vec::new();
        let given = settings.certificates.iter().map(|paths| (paths.clone(), Presence::Needed));
        let issued = settings.issued.iter().map(|issued| (issued.files(), Presence::Later));
        for (index, (paths, presence)) in given.chain(issued).enumerate() {
            match Certificate::load(index, &paths, &mut files, &mut warnings) {
                Ok(certificate) => {
                    let warning = certificate.date_warning(now);
                    warnings.extend(warning.map(|warning| (Part::Chain(index), warning)));
                    certificates.push((paths.chain, Arc::new(certificate)));
                }
                Err(fault) if presence == Presence::Needed => faults.push(fault),
                Err((_, fault)) if fault.is_absence() => (),
                Err((part, fault)) => {
                    warnings.push((part, Warning::NotUsed { what: fault.to_string() }));
                }
            }
        }
        let provider = Arc::new(provider());
        let verifier = settings.client_certificates.as_ref();
        let verifier =
            verifier.map(|clients| client_auth::verifier(clients, &provider, &mut files));
        let verifier = verifier.transpose().map_err(|fault| faults.push(fault)).unwrap_or_default();
        let secrets = ticket_secrets(&settings.tickets, &mut files);
        let secrets = secrets.map_err(|fault| faults.push(fault)).unwrap_or_default();
        if !faults.is_empty() {
            return Err(faults);
        }
        let policy = policy(settings.client_certificates.as_ref(), &mut files);
        let tickets = secrets.map(|secrets| SharedTickets::new(secrets, policy));
        let config =
            config(settings, provider, verifier, (&certificates, tickets)).map_err(|error| {
                vec![(Part::Chain(0), Fault::Verifier { error: error.to_string() })]
            })?;
        let tls = Self {
            settings: settings.clone(),
            certificates,
            digest: files.digest(|_| true),
            other_digest: files.digest(|path| !settings.is_of_certificate(path)),
            config: Configs::new(config),
            handshakes: Handshakes::new(settings.handshakes_max),
        };
        Ok(LoadedTls { tls, warnings })
    }

    /// With `settings` as they are, and no file: it refuses each handshake. `None` if the library refuses
    /// them.
    pub(crate) fn unread(settings: Settings) -> Option<Self> {
        let provider = Arc::new(provider());
        let config = config(&settings, provider, None, (&[], None)).ok()?;
        Some(Self {
            certificates: Vec::new(),
            digest: [0; 32],
            other_digest: [0; 32],
            config: Configs::new(config),
            handshakes: Handshakes::new(settings.handshakes_max),
            settings,
        })
    }

    /// What rustls needs for a handshake with the client that says `hello`.
    pub(crate) fn config(&self, hello: &ClientHello<'_>) -> &Arc<ServerConfig> {
        self.config.for_client(hello)
    }

    /// As configured.
    pub(crate) fn settings(&self) -> &Settings {
        &self.settings
    }

    /// The certificates in the order of the configuration, each with the file of its chain. Those of an
    /// authority come last, once they were issued.
    pub(crate) fn certificates(&self) -> &[(PathBuf, Arc<Certificate>)] {
        &self.certificates
    }

    /// What tells two versions of all other files apart.
    pub(crate) fn other_files(&self) -> String {
        self.other_digest.iter().take(4).map(|byte| format!("{byte:02x}")).collect()
    }

    /// The handshakes of the listener.
    pub(crate) fn handshakes(&self) -> &Handshakes {
        &self.handshakes
    }
}

/// By content: settings and files.
impl PartialEq for ServerTls {
    fn eq(&self, other: &Self) -> bool {
        self.settings == other.settings && self.digest == other.digest
    }
}

impl Eq for ServerTls {}

impl fmt::Debug for ServerTls {
    /// Without keys.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ServerTls").field("settings", &self.settings).finish_non_exhaustive()
    }
}

fn config(
    settings: &Settings,
    provider: Arc<CryptoProvider>,
    verifier: Option<Arc<dyn ClientCertVerifier>>,
    (certificates, tickets): (&[(PathBuf, Arc<Certificate>)], Option<SharedTickets>),
) -> Result<ServerConfig, rustls::Error> {
    let builder = ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(versions(settings.min_version))?;
    let builder = match verifier {
        Some(verifier) => builder.with_client_cert_verifier(verifier),
        None => builder.with_no_client_auth(),
    };
    let certificates: Vec<_> = certificates.iter().map(|(_, shown)| shown.clone()).collect();
    let mut config = builder.with_cert_resolver(Arc::new(Resolver::new(&certificates)));
    config.alpn_protocols = settings.alpn.clone();
    // Tickets hold the sessions.
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.send_tls13_tickets = 0;
    if let Some(tickets) = tickets {
        config.ticketer = Arc::new(tickets) as Arc<dyn ProducesTickets>;
        // A client of ours opens one connection after the other. Each ticket costs a record.
        config.send_tls13_tickets = 1;
    }
    // A handshake of Engine.IO could be replayed, and a post even more so.
    config.max_early_data_size = 0;
    Ok(config)
}

fn versions(min: MinVersion) -> &'static [&'static SupportedProtocolVersion] {
    static ONLY_TLS13: [&SupportedProtocolVersion; 1] = [&TLS13];
    match min {
        MinVersion::Tls12 => ALL_VERSIONS,
        MinVersion::Tls13 => &ONLY_TLS13,
    }
}

/// The secrets of tickets; `None` if there are to be no tickets.
fn ticket_secrets(tickets: &Tickets, files: &mut Files<'_>) -> Loaded<Option<Vec<TicketSecret>>> {
    let (keys, key_file) = match tickets {
        Tickets::Off => return Ok(None),
        Tickets::Random => return Ok(tickets::process_secret().map(|secret| vec![secret])),
        Tickets::Shared { keys, key_file } => (keys, key_file),
    };
    let mut secrets = keys.clone();
    if let Some(path) = key_file {
        let contents = files.read(path).map_err(|fault| (Part::TicketKeys, fault))?;
        let found = settings::secrets_of_lines(&contents.bytes).map_err(|line| {
            let path = path.display().to_string();
            let fault = match line {
                Some(line) => Fault::ShortSecret { path, line },
                None => Fault::NoSecret { path },
            };
            (Part::TicketKeys, fault)
        })?;
        secrets.extend(found);
    }
    Ok(Some(secrets))
}

/// What a listener demands of clients, as a digest.
fn policy(clients: Option<&ClientCertificates>, files: &mut Files<'_>) -> [u8; 32] {
    let mut policy = [0; 32];
    let Some(clients) = clients else { return policy };
    let mut context = Context::new(&SHA256);
    context.update(format!("{:?}", clients.mode).as_bytes());
    for path in [&clients.ca].into_iter().chain(&clients.crl) {
        // They have been read, or nothing would be made.
        let bytes = files.read(path).map(|contents| contents.bytes.as_slice()).unwrap_or_default();
        context.update(&(bytes.len() as u64).to_be_bytes());
        context.update(bytes);
    }
    policy.copy_from_slice(context.finish().as_ref());
    policy
}
