//! Handshakes in memory, with rustls on both sides.

use std::sync::Arc;

use rustls::client::{ClientConfig, ClientConnection, Resumption};
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::server::Acceptor;
use rustls::version::TLS12;
use rustls::{HandshakeKind, RootCertStore};

use super::*;
use crate::tls::settings::{ClientAuth, ClientCertificates};

struct Client {
    config: Arc<ClientConfig>,
}

impl Client {
    fn new(
        pki: &Pki,
        version: &'static SupportedProtocolVersion,
        shown: Option<(CertificateDer<'static>, KeyPair)>,
    ) -> Self {
        let mut roots = RootCertStore::empty();
        roots.add(pki.root.der().clone()).unwrap();
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let builder = ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(&[version])
            .unwrap()
            .with_root_certificates(roots);
        let mut config = match shown {
            Some((certificate, key)) => {
                let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(key.serialize_der()));
                let chain = vec![certificate, pki.intermediate.der().clone()];
                builder.with_client_auth_cert(chain, key).unwrap()
            }
            None => builder.with_no_client_auth(),
        };
        config.resumption = Resumption::in_memory_sessions(8);
        Self { config: Arc::new(config) }
    }

    /// Whether the session was resumed, and whether the client showed a certificate.
    fn connect(&self, tls: &ServerTls) -> Result<(bool, bool), rustls::Error> {
        let name = "a.example".try_into().unwrap();
        let mut client = ClientConnection::new(self.config.clone(), name)?;
        let mut hello = Vec::new();
        client.write_tls(&mut hello).unwrap();
        let mut acceptor = Acceptor::default();
        acceptor.read_tls(&mut &hello[..]).unwrap();
        let accepted = acceptor.accept().map_err(|(error, _alert)| error)?.unwrap();
        let config = tls.config(&accepted.client_hello()).clone();
        let mut server = accepted.into_connection(config).map_err(|(error, _alert)| error)?;
        for _ in 0..10 {
            let mut bytes = Vec::new();
            while client.wants_write() {
                client.write_tls(&mut bytes).unwrap();
            }
            let mut bytes = &bytes[..];
            while !bytes.is_empty() {
                server.read_tls(&mut bytes).unwrap();
                server.process_new_packets()?;
            }
            let mut bytes = Vec::new();
            while server.wants_write() {
                server.write_tls(&mut bytes).unwrap();
            }
            let mut bytes = &bytes[..];
            while !bytes.is_empty() {
                client.read_tls(&mut bytes).unwrap();
                client.process_new_packets()?;
            }
        }
        assert!(!server.is_handshaking() && !client.is_handshaking());
        let is_resumed = server.handshake_kind() == Some(HandshakeKind::Resumed);
        Ok((is_resumed, server.peer_certificates().is_some()))
    }
}

fn shared(secret: u8) -> Tickets {
    Tickets::Shared { keys: vec![TicketSecret::new([secret; 32])], key_file: None }
}

fn clients(mode: ClientAuth, crl: &[&str]) -> Option<ClientCertificates> {
    let crl = crl.iter().map(Into::into).collect();
    Some(ClientCertificates { mode, ca: "ca.pem".into(), crl })
}

/// A listener with this certificate; `ca.pem` has the root, `crl.pem` revokes the serial number 9.
fn listener(pki: &Pki, pair: &Pair, settings: &Settings) -> ServerTls {
    let mut disk = disk(pair);
    disk.write("ca.pem", pki.root.pem()).write("crl.pem", pki.crl(9));
    disk.load(settings).unwrap_or_else(|faults| panic!("{faults:?}")).tls
}

#[test]
fn a_session_is_resumed_after_a_restart_and_by_another_proxy_with_another_certificate() {
    let pki = Pki::new();
    let (one, other) = (pki.server(&["a.example"]), pki.server(&["a.example"]));
    let settings = |secret| Settings { tickets: shared(secret), ..settings() };
    for version in [&TLS12, &TLS13] {
        let client = Client::new(&pki, version, None);
        let first = listener(&pki, &one, &settings(1));
        assert_eq!(client.connect(&first), Ok((false, false)));
        assert_eq!(client.connect(&first), Ok((true, false)));
        assert_eq!(client.connect(&listener(&pki, &one, &settings(1))), Ok((true, false)));
        assert_eq!(client.connect(&listener(&pki, &other, &settings(1))), Ok((true, false)));
        assert_eq!(client.connect(&listener(&pki, &one, &settings(2))), Ok((false, false)));
    }
}

#[test]
fn a_reload_forgets_no_session_without_a_secret_and_tickets_can_be_off() {
    let pki = Pki::new();
    let (one, other) = (pki.server(&["a.example"]), pki.server(&["a.example"]));
    for version in [&TLS12, &TLS13] {
        let client = Client::new(&pki, version, None);
        assert_eq!(client.connect(&listener(&pki, &one, &settings())), Ok((false, false)));
        assert_eq!(client.connect(&listener(&pki, &other, &settings())), Ok((true, false)));
        let off = listener(&pki, &one, &Settings { tickets: Tickets::Off, ..settings() });
        let client = Client::new(&pki, version, None);
        assert_eq!(client.connect(&off), Ok((false, false)));
        assert_eq!(client.connect(&off), Ok((false, false)));
    }
}

#[test]
fn a_ticket_of_a_listener_without_client_certificates_opens_none_that_demands_them() {
    let pki = Pki::new();
    let pair = pki.server(&["a.example"]);
    let open = listener(&pki, &pair, &settings());
    let optional = clients(ClientAuth::Optional, &[]);
    let required = clients(ClientAuth::Required, &[]);
    let optional = Settings { client_certificates: optional, ..settings() };
    let required = Settings { client_certificates: required, ..settings() };
    let [optional, required] = [optional, required].map(|set| listener(&pki, &pair, &set));
    for version in [&TLS12, &TLS13] {
        let stranger = Client::new(&pki, version, None);
        assert_eq!(stranger.connect(&open), Ok((false, false)));
        assert_eq!(stranger.connect(&optional), Ok((false, false)));
        assert_eq!(stranger.connect(&optional), Ok((true, false)));
        assert!(stranger.connect(&required).is_err());
        assert_eq!(stranger.connect(&open), Ok((false, false)), "its ticket was replaced");

        let alice = Client::new(&pki, version, Some(pki.client_pair("alice", &[], 1)));
        assert_eq!(alice.connect(&required), Ok((false, true)));
        assert_eq!(alice.connect(&required), Ok((true, true)));
        assert_eq!(alice.connect(&optional), Ok((false, true)));
    }
}

#[test]
fn a_client_whose_certificate_is_revoked_or_of_another_authority_is_refused() {
    let pki = Pki::new();
    let pair = pki.server(&["a.example"]);
    let with = |crl: &[&str]| Settings {
        client_certificates: clients(ClientAuth::Optional, crl),
        ..settings()
    };
    let (all, some) = (with(&[]), with(&["crl.pem"]));
    let [all, some] = [all, some].map(|settings| listener(&pki, &pair, &settings));
    let mallory = Client::new(&pki, &TLS13, Some(pki.client_pair("mallory", &[], 9)));
    assert_eq!(mallory.connect(&all), Ok((false, true)));
    assert!(mallory.connect(&some).is_err(), "nor by its ticket");
    let alice = Client::new(&pki, &TLS13, Some(pki.client_pair("alice", &[], 1)));
    assert_eq!(alice.connect(&some), Ok((false, true)));

    let elsewhere = Pki::new();
    let (certificate, key) = elsewhere.client_pair("alice", &[], 1);
    let stranger = Client::new(&pki, &TLS13, Some((certificate, key)));
    assert!(stranger.connect(&all).is_err(), "one that is shown must be valid");
}

#[test]
fn the_lowest_version_is_a_floor() {
    let pki = Pki::new();
    let pair = pki.server(&["a.example"]);
    let floor = listener(&pki, &pair, &Settings { min_version: MinVersion::Tls13, ..settings() });
    assert!(Client::new(&pki, &TLS12, None).connect(&floor).is_err());
    assert_eq!(Client::new(&pki, &TLS13, None).connect(&floor), Ok((false, false)));
}
