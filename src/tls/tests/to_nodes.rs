//! Files of TLS to nodes.

use std::collections::BTreeMap;

use super::*;
use crate::tls::{NodeTls, NodeTlsSettings, Verify};

type Faults = Vec<(Part, Fault)>;

/// What loads with these files, and the warnings.
fn load(
    settings: &NodeTlsSettings,
    files: &[(&str, &str)],
) -> Result<(NodeTls, Vec<Warning>), Faults> {
    let files: BTreeMap<&str, &str> = files.iter().copied().collect();
    let read = |path: &Path| {
        let text = path.to_str().and_then(|path| files.get(path));
        let text = text.ok_or_else(|| io::Error::from(io::ErrorKind::NotFound))?;
        Ok(Contents { bytes: text.as_bytes().to_vec(), is_readable_by_all: false })
    };
    let none = || Err(io::ErrorKind::NotFound.into());
    let loaded = NodeTls::load(settings.clone(), &read, none, NOW)?;
    let warnings = loaded.warnings.into_iter().map(|(_, warning)| warning);
    Ok((loaded.tls, warnings.collect()))
}

fn with_ca() -> NodeTlsSettings {
    let verify = Verify::Authorities(Some("ca.pem".into()));
    NodeTlsSettings { verify, ..NodeTlsSettings::default() }
}

#[test]
fn what_files_hold_tells_two_apart_and_a_reload_without_a_change_does_not() {
    let (one, other) = (Pki::new().root.pem(), Pki::new().root.pem());
    let loaded = |text: &str| load(&with_ca(), &[("ca.pem", text)]).unwrap().0;
    assert_eq!(loaded(&one).id(), loaded(&one).id());
    assert_eq!(loaded(&one), loaded(&one));
    assert_ne!(loaded(&one).id(), loaded(&other).id());
    assert_ne!(loaded(&one).authorities(), loaded(&other).authorities());
    let off = NodeTlsSettings { verify: Verify::Off, ..NodeTlsSettings::default() };
    assert_ne!(load(&off, &[]).unwrap().0, loaded(&one));
}

#[test]
fn a_file_without_authorities_is_refused_and_none_is_made_up() {
    let fault = |text: &str| {
        let faults = load(&with_ca(), &[("ca.pem", text)]).unwrap_err();
        let [(Part::NodeCa, fault)] = &faults[..] else { panic!("{faults:?}") };
        fault.to_string()
    };
    assert_eq!(fault(""), "has no certificate: ca.pem");
    let broken = "-----BEGIN CERTIFICATE-----\nMAA=\n-----END CERTIFICATE-----\n";
    assert!(fault(broken).contains("has an authority that cannot be used"), "{}", fault(broken));
    let faults = load(&NodeTlsSettings::default(), &[]).unwrap_err();
    assert!(
        matches!(faults[..], [(Part::NodeCa, Fault::NoSystemAuthorities { .. })]),
        "{faults:?}"
    );
    assert!(faults[0].1.help().contains("ca-certificates"));
}

#[test]
fn a_client_certificate_needs_its_key_and_no_names() {
    let pki = Pki::new();
    let (pair, stranger) = (pki.server(&[]), pki.server(&["b.example"]));
    let files = CertificateFiles { chain: "c.pem".into(), key: "k.pem".into(), ocsp: None };
    let settings = NodeTlsSettings { client_certificate: Some(files), ..with_ca() };
    let with = |key: &str| {
        let root = pki.root.pem();
        load(&settings, &[("ca.pem", &root), ("c.pem", &pair.chain()), ("k.pem", key)])
    };
    let (tls, warnings) = with(&pair.key).unwrap();
    assert!(tls.client_certificate().is_some());
    assert_eq!(warnings, [], "names are for servers");
    let faults = with(&stranger.key).unwrap_err();
    assert!(matches!(faults[..], [(Part::Key(0), Fault::KeyMismatch { .. })]), "{faults:?}");
}
