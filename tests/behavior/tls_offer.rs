//! What TLS offers to clients, line by line of the table in SECURITY.md, as `openssl s_client` finds it.

use std::sync::Arc;

use rustls::crypto::aws_lc_rs::{default_provider, kx_group};
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, NamedGroup};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use crate::support::tls::{Authority, Key, s_client, s_client_says};
use crate::support::{FakeNode, Proxy, ProxyProcess, config, ok};

/// A proxy with these certificates, to which `openssl` connects.
struct Offer {
    authority: Authority,
    proxy: Proxy,
    _node: FakeNode,
}

/// A listener's configuration.
fn yaml(node: &FakeNode, tls: &str) -> String {
    let listener = format!("'127.0.0.1:0', tls: {{ {tls} }}");
    config(&[node.address], "", "").replace("'127.0.0.1:0'", &listener)
}

impl Offer {
    /// With an ECDSA certificate and this at the end of `tls`.
    async fn start(more: &str) -> Self {
        Self::with(&[Key::P256], more).await
    }

    /// With a certificate for each key.
    async fn with(keys: &[Key], more: &str) -> Self {
        let authority = Authority::new();
        let mut pairs = Vec::new();
        for (index, key) in keys.iter().enumerate() {
            let file = format!("certificate{index}");
            authority.issue_by(*key, &file, &file, &["localhost"]);
            pairs.push(format!("{{ {} }}", authority.pair(&file)));
        }
        let node = FakeNode::start(|_| ok("served")).await;
        let tls = format!("certificates: [{}]{more}", pairs.join(", "));
        let proxy = Proxy::start(&yaml(&node, &tls));
        Self { authority, proxy, _node: node }
    }

    async fn client(&self, arguments: &[&str]) -> String {
        s_client(self.proxy.address, &self.authority.path("ca.pem"), arguments).await
    }

    /// A request of a client with these arguments is answered, and the client prints `expected`.
    async fn accepts(&self, arguments: &[&str], expected: &str) {
        let printed = self.client(arguments).await;
        assert!(printed.contains("HTTP/1.1 200 OK"), "{arguments:?}\n{printed}");
        assert!(printed.contains("Verification: OK"), "{arguments:?}\n{printed}");
        assert!(printed.contains(expected), "{arguments:?}: {expected}\n{printed}");
    }

    /// The proxy ends the handshake of a client with these arguments by an alert. A client that cannot
    /// offer what it is told to offer has shown nothing.
    async fn refuses(&self, arguments: &[&str]) {
        let printed = self.client(arguments).await;
        // handshake_failure, protocol_version, and access_denied: with a client of no known cipher, rustls
        // finds out first that no certificate can be used.
        let alerts = [40, 70, 49].map(|number| format!("SSL alert number {number}\n"));
        let is_refused = alerts.iter().any(|alert| printed.contains(alert));
        assert!(is_refused, "{arguments:?}\n{printed}");
    }
}

#[tokio::test]
async fn versions() {
    let offer = Offer::start("").await;
    offer.accepts(&["-tls1_3"], "New, TLSv1.3").await;
    offer.accepts(&["-tls1_2"], "New, TLSv1.2").await;
    for old in ["-tls1_1", "-tls1"] {
        offer.refuses(&[old, "-cipher", "ALL:@SECLEVEL=0"]).await;
    }
    let floor = Offer::start(", min_version: 1.3").await;
    floor.accepts(&["-tls1_3"], "New, TLSv1.3").await;
    floor.refuses(&["-tls1_2"]).await;
}

#[tokio::test]
async fn ciphers_of_tls_1_3_with_aes_128_or_the_clients_chacha_first() {
    let offer = Offer::start("").await;
    let (aes, chacha) = ("TLS_AES_128_GCM_SHA256", "TLS_CHACHA20_POLY1305_SHA256");
    let aes_256 = "TLS_AES_256_GCM_SHA384";
    for suite in [aes_256, aes, chacha] {
        offer.accepts(&["-tls1_3", "-ciphersuites", suite], suite).await;
    }
    for (listed, used) in [
        ([aes, aes_256, chacha], aes),
        ([aes_256, chacha, aes], aes),
        ([chacha, aes_256, aes], chacha),
        ([chacha, aes, aes_256], chacha),
    ] {
        let listed = listed.join(":");
        offer.accepts(&["-ciphersuites", &listed], &format!("Cipher is {used}")).await;
    }
    let both = format!("{aes_256}:{chacha}");
    offer.accepts(&["-ciphersuites", &both], &format!("Cipher is {aes_256}")).await;
    for suite in ["TLS_AES_128_CCM_SHA256", "TLS_AES_128_CCM_8_SHA256"] {
        offer.refuses(&["-tls1_3", "-ciphersuites", suite]).await;
    }
}

#[tokio::test]
async fn ciphers_of_tls_1_2() {
    let offer = Offer::with(&[Key::P256, Key::Rsa], "").await;
    for key in ["ECDSA", "RSA"] {
        for cipher in ["AES256-GCM-SHA384", "AES128-GCM-SHA256", "CHACHA20-POLY1305"] {
            let suite = format!("ECDHE-{key}-{cipher}");
            offer.accepts(&["-tls1_2", "-cipher", &suite], &format!("Cipher is {suite}")).await;
        }
    }
    for cipher in [
        "ECDHE-ECDSA-AES256-SHA384",
        "ECDHE-ECDSA-AES128-SHA",
        "ECDHE-RSA-AES128-SHA256",
        "ECDHE-ECDSA-AES128-CCM",
        "DHE-RSA-AES256-GCM-SHA384",
        "AES256-GCM-SHA384",
        "AES128-SHA",
        "ECDHE-ECDSA-NULL-SHA",
        "AECDH-AES256-SHA",
        "PSK-AES128-GCM-SHA256",
    ] {
        let all = format!("{cipher}:@SECLEVEL=0");
        offer.refuses(&["-tls1_2", "-cipher", &all, "-psk", "00"]).await;
    }
}

#[tokio::test]
async fn key_exchange() {
    // OpenSSL wants the curve of an ECDSA key among these groups too.
    let offer = Offer::with(&[Key::Rsa], "").await;
    for version in ["-tls1_2", "-tls1_3"] {
        for group in ["X25519", "P-256", "P-384"] {
            offer.accepts(&[version, "-groups", group], "Verification: OK").await;
        }
        for group in ["P-521", "X448"] {
            offer.refuses(&[version, "-groups", group]).await;
        }
    }
    offer.refuses(&["-tls1_3", "-groups", "ffdhe2048"]).await;
    // OpenSSL has it from version 3.5 on; browsers and rustls have it already.
    let mut provider = default_provider();
    provider.kx_groups = vec![kx_group::X25519MLKEM768];
    let mut roots = rustls::RootCertStore::empty();
    use rustls::pki_types::pem::PemObject as _;
    let ca = rustls::pki_types::CertificateDer::from_pem_file(offer.authority.path("ca.pem"));
    roots.add(ca.unwrap()).unwrap();
    let client = ClientConfig::builder_with_provider(Arc::new(provider))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let socket = TcpStream::connect(offer.proxy.address).await.unwrap();
    let name = ServerName::try_from("localhost").unwrap();
    let stream = TlsConnector::from(Arc::new(client)).connect(name, socket).await.unwrap();
    let group = stream.get_ref().1.negotiated_key_exchange_group().unwrap().name();
    assert_eq!(group, NamedGroup::X25519MLKEM768);
}

#[tokio::test]
async fn signatures_of_each_kind_of_key() {
    for (key, algorithms) in [
        (Key::P256, &["ecdsa_secp256r1_sha256"][..]),
        (Key::P384, &["ecdsa_secp384r1_sha384"]),
        (Key::P521, &["ecdsa_secp521r1_sha512"]),
        (Key::Ed25519, &["ed25519"]),
        (Key::Rsa, &["rsa_pss_rsae_sha256", "rsa_pss_rsae_sha384", "rsa_pss_rsae_sha512"]),
    ] {
        let offer = Offer::with(&[key], "").await;
        for algorithm in algorithms {
            // The authority signs its certificates by the last one.
            let all = match key {
                Key::P256 => (*algorithm).to_owned(),
                _ => format!("{algorithm}:ecdsa_secp256r1_sha256"),
            };
            offer.accepts(&["-tls1_3", "-sigalgs", &all], "New, TLSv1.3").await;
            offer.accepts(&["-tls1_2", "-sigalgs", &all], "New, TLSv1.2").await;
        }
    }
    let rsa = Offer::with(&[Key::Rsa], "").await;
    for algorithm in ["rsa_pkcs1_sha256", "rsa_pkcs1_sha384", "rsa_pkcs1_sha512"] {
        rsa.accepts(&["-tls1_2", "-sigalgs", algorithm], "Peer signature type: RSA\n").await;
        // RFC 8446, section 4.2.3: for certificates alone.
        rsa.refuses(&["-tls1_3", "-sigalgs", algorithm]).await;
    }
    rsa.refuses(&["-tls1_2", "-sigalgs", "RSA+SHA1", "-cipher", "ALL:@SECLEVEL=0"]).await;
}

#[tokio::test]
async fn no_renegotiation_and_no_compression() {
    let offer = Offer::start("").await;
    offer.accepts(&["-tls1_2", "-comp"], "Compression: NONE").await;
    offer.accepts(&["-tls1_2"], "Secure Renegotiation IS supported").await;
    let (address, ca) = (offer.proxy.address, offer.authority.path("ca.pem"));
    let printed = s_client_says(address, &ca, &["-tls1_2"], "R\n").await;
    assert!(printed.contains("RENEGOTIATING"), "{printed}");
    assert!(printed.contains("no renegotiation"), "{printed}");
}

#[tokio::test]
async fn no_early_data() {
    let offer = Offer::start("").await;
    let path = |file: &str| offer.authority.path(file).display().to_string();
    let (session, early) = (path("session"), path("early"));
    std::fs::write(&early, "GET /early HTTP/1.1\r\nHost: localhost\r\n\r\n").unwrap();
    let first = offer.client(&["-tls1_3", "-sess_out", &session]).await;
    assert!(first.contains("Max Early Data: 0"), "{first}");
    let again = offer.client(&["-tls1_3", "-sess_in", &session, "-early_data", &early]).await;
    assert!(again.contains("Reused, TLSv1.3"), "{again}");
    assert!(again.contains("Early data was not sent"), "{again}");
}

#[tokio::test]
async fn tickets_for_twelve_hours_or_none() {
    let offer = Offer::start("").await;
    for version in ["-tls1_2", "-tls1_3"] {
        offer.accepts(&[version], "TLS session ticket lifetime hint: 43200 (seconds)").await;
    }
    let none = Offer::start(", tickets: off").await;
    for version in ["-tls1_2", "-tls1_3"] {
        let printed = none.client(&[version]).await;
        assert!(printed.contains("HTTP/1.1 200 OK"), "{printed}");
        assert!(!printed.contains("TLS session ticket"), "{printed}");
    }
}

#[tokio::test]
async fn a_stapled_response_of_ocsp() {
    let authority = Authority::new();
    authority.issue("one", "one", &["localhost"]);
    // OCSPResponse with the status `unauthorized`, which needs no signature (RFC 6960, section 4.2.1).
    std::fs::write(authority.path("ocsp.der"), [0x30, 3, 0x0a, 1, 6]).unwrap();
    let node = FakeNode::start(|_| ok("served")).await;
    let ocsp = authority.path("ocsp.der").display().to_string();
    let with = Proxy::start(&yaml(&node, &format!("{}, ocsp: '{ocsp}'", authority.pair("one"))));
    let without = Proxy::start(&yaml(&node, &authority.pair("one")));
    for (proxy, expected) in [
        (&with, "OCSP Response Status: unauthorized (0x6)"),
        (&without, "OCSP response: no response sent"),
    ] {
        let printed = s_client(proxy.address, &authority.path("ca.pem"), &["-status"]).await;
        assert!(printed.contains(expected), "{expected}\n{printed}");
    }
}

#[tokio::test]
async fn no_key_log() {
    let authority = Authority::new();
    authority.issue("one", "one", &["localhost"]);
    let node = FakeNode::start(|_| ok("served")).await;
    let keys = authority.path("keys.log");
    let mut command = tokio::process::Command::new(env!("CARGO_BIN_EXE_sockeye"));
    command.env("SSLKEYLOGFILE", &keys).stdin(std::process::Stdio::null());
    let proxy = ProxyProcess::start_by(command, &yaml(&node, &authority.pair("one"))).await;
    let printed = s_client(proxy.address, &authority.path("ca.pem"), &[]).await;
    assert!(printed.contains("HTTP/1.1 200 OK"), "{printed}");
    assert!(!keys.exists());
}
