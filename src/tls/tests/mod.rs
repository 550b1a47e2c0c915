//! A public key infrastructure for tests, and what is tested of the room as a whole.

mod files;
mod issued;
mod sessions;
mod to_nodes;

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rcgen::{
    BasicConstraints, CertificateParams, CertificateRevocationListParams, CertifiedIssuer, DnType,
    ExtendedKeyUsagePurpose, IsCa, KeyIdMethod, KeyPair, KeyUsagePurpose, PKCS_RSA_SHA256,
    RevokedCertParams, RsaKeySize, SerialNumber, date_time_ymd,
};
use rustls::pki_types::CertificateDer;

use super::files::Contents;
use super::*;
use crate::tls::settings::CertificateFiles;

type Authority = CertifiedIssuer<'static, KeyPair>;

/// A root, and an intermediate authority that signs.
pub(super) struct Pki {
    pub(super) root: Authority,
    pub(super) intermediate: Authority,
}

/// PEM texts.
#[derive(Clone)]
pub(super) struct Pair {
    pub(super) leaf: String,
    pub(super) intermediate: String,
    pub(super) key: String,
}

impl Pair {
    pub(super) fn chain(&self) -> String {
        [&*self.leaf, &self.intermediate].concat()
    }
}

impl Pki {
    pub(super) fn new() -> Self {
        let key = || KeyPair::generate().unwrap();
        let root = Authority::self_signed(authority("root"), key()).unwrap();
        let intermediate = Authority::signed_by(authority("intermediate"), key(), &root).unwrap();
        Self { root, intermediate }
    }

    /// A server with these names.
    pub(super) fn server(&self, names: &[&str]) -> Pair {
        self.pair(server(names), KeyPair::generate().unwrap())
    }

    pub(super) fn rsa_server(&self, names: &[&str]) -> Pair {
        let key = KeyPair::generate_rsa_for(&PKCS_RSA_SHA256, RsaKeySize::_2048).unwrap();
        self.pair(server(names), key)
    }

    pub(super) fn pair(&self, params: CertificateParams, key: KeyPair) -> Pair {
        let leaf = params.signed_by(&key, &self.intermediate).unwrap().pem();
        Pair { leaf, intermediate: self.intermediate.pem(), key: key.serialize_pem() }
    }

    /// The certificate of a client.
    pub(super) fn client(&self, name: &str, names: &[&str]) -> CertificateDer<'static> {
        self.client_pair(name, names, 1).0
    }

    pub(super) fn client_pair(
        &self,
        name: &str,
        names: &[&str],
        serial: u8,
    ) -> (CertificateDer<'static>, KeyPair) {
        let key = KeyPair::generate().unwrap();
        let mut params = server(names);
        params.distinguished_name = Default::default();
        params.distinguished_name.push(DnType::CommonName, name);
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        params.serial_number = Some(SerialNumber::from_slice(&[serial]));
        (params.signed_by(&key, &self.intermediate).unwrap().der().clone(), key)
    }

    /// A list with this serial number.
    pub(super) fn crl(&self, serial: u8) -> String {
        let revoked = RevokedCertParams {
            serial_number: SerialNumber::from_slice(&[serial]),
            revocation_time: date_time_ymd(2026, 1, 1),
            reason_code: None,
            invalidity_date: None,
        };
        let params = CertificateRevocationListParams {
            this_update: date_time_ymd(2026, 1, 1),
            next_update: date_time_ymd(2096, 1, 1),
            crl_number: SerialNumber::from_slice(&[1]),
            issuing_distribution_point: None,
            revoked_certs: vec![revoked],
            key_identifier_method: KeyIdMethod::Sha256,
        };
        params.signed_by(&self.intermediate).unwrap().pem().unwrap()
    }
}

pub(super) fn server(names: &[&str]) -> CertificateParams {
    let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
    let mut params = CertificateParams::new(names).unwrap();
    params.not_before = date_time_ymd(2026, 1, 1);
    params.not_after = date_time_ymd(2096, 1, 1);
    params
}

fn authority(name: &str) -> CertificateParams {
    let mut params = server(&[]);
    params.distinguished_name.push(DnType::CommonName, name);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params
}

/// Files that exist in the test alone.
#[derive(Default)]
pub(super) struct Disk(BTreeMap<PathBuf, Contents>);

impl Disk {
    pub(super) fn write(&mut self, path: &str, bytes: impl Into<Vec<u8>>) -> &mut Self {
        let contents = Contents { bytes: bytes.into(), is_readable_by_all: false };
        self.0.insert(path.into(), contents);
        self
    }

    pub(super) fn load(
        &self,
        settings: &Settings,
    ) -> Result<LoadedTls<ServerTls>, Vec<(Part, Fault)>> {
        let read =
            |path: &Path| self.0.get(path).cloned().ok_or_else(|| io::ErrorKind::NotFound.into());
        ServerTls::load(settings, &read, NOW)
    }
}

/// 2026-12-01.
pub(super) const NOW: i64 = 1_796_083_200;

/// Settings with one certificate: `chain.pem` and `key.pem`.
pub(super) fn settings() -> Settings {
    let files = CertificateFiles { chain: "chain.pem".into(), key: "key.pem".into(), ocsp: None };
    Settings { certificates: vec![files], ..Settings::default() }
}

/// A disk with the certificate of [`settings`].
pub(super) fn disk(pair: &Pair) -> Disk {
    let mut disk = Disk::default();
    disk.write("chain.pem", pair.chain()).write("key.pem", &*pair.key);
    disk
}

/// TLS with a certificate for `localhost`, and the root that signed it.
pub(crate) fn server_tls(more: Settings) -> (ServerTls, CertificateDer<'static>) {
    let pki = Pki::new();
    let settings = Settings { certificates: settings().certificates, ..more };
    let loaded = disk(&pki.server(&["localhost"])).load(&settings);
    let loaded = loaded.unwrap_or_else(|faults| panic!("{faults:?}"));
    (loaded.tls, pki.root.der().clone())
}

pub(super) fn certificate(pair: &Pair) -> Arc<Certificate> {
    let loaded = disk(pair).load(&settings());
    let loaded = loaded.unwrap_or_else(|faults| panic!("{faults:?}"));
    loaded.tls.certificates()[0].1.clone()
}
