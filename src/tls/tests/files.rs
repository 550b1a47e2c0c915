//! What is said of files that do not fit.

use rcgen::{CustomExtension, IsCa};

use super::*;

/// The one fault of `disk`: its part, sentence and help.
fn fault(disk: &Disk, settings: &Settings) -> String {
    let faults = disk.load(settings).err().expect("it is refused");
    let [(part, fault)] = &faults[..] else { panic!("{faults:?}") };
    assert!(!fault.help().is_empty());
    format!("{part:?} {fault}")
}

fn warnings(disk: &Disk) -> Vec<String> {
    let loaded = disk.load(&settings()).unwrap_or_else(|faults| panic!("{faults:?}"));
    loaded.warnings.iter().map(|(part, warning)| format!("{part:?} {warning}")).collect()
}

/// The one warning of a certificate with these parameters.
fn warning_of(params: CertificateParams) -> String {
    let pair = Pki::new().pair(params, KeyPair::generate().unwrap());
    let found = warnings(&disk(&pair));
    let [warning] = &found[..] else { panic!("{found:?}") };
    warning.clone()
}

#[test]
fn files_that_fit_give_no_warning() {
    let pki = Pki::new();
    let none: Vec<String> = Vec::new();
    assert_eq!(warnings(&disk(&pki.server(&["a.example"]))), none);
    assert_eq!(warnings(&disk(&pki.rsa_server(&["a.example"]))), none);
    let mut combined = Disk::default();
    let pair = pki.server(&["a.example"]);
    let both = [pair.chain(), pair.key].concat();
    combined.write("chain.pem", both.clone()).write("key.pem", both);
    assert_eq!(warnings(&combined), none, "both in one file");
}

#[test]
fn a_file_that_is_not_there_or_too_large_is_named() {
    let pair = Pki::new().server(&["a.example"]);
    let mut disk = Disk::default();
    disk.write("chain.pem", pair.chain());
    assert_eq!(fault(&disk, &settings()), "Key(0) cannot be read: key.pem: entity not found");
    disk.write("key.pem", vec![b'x'; 2 << 20]);
    assert_eq!(fault(&disk, &settings()), "Key(0) is larger than 1024 KiB: key.pem");
}

#[test]
fn what_is_in_the_wrong_file_is_told() {
    let pair = Pki::new().server(&["a.example"]);
    let check = |chain: &str, key: &str, expected: &str| {
        let mut disk = Disk::default();
        disk.write("chain.pem", chain).write("key.pem", key);
        assert_eq!(fault(&disk, &settings()), expected);
    };
    let chain = &pair.chain();
    check(
        &pair.key,
        chain,
        "Chain(0) has the private key, and `key` has the certificate: the two are exchanged",
    );
    check("", &pair.key, "Chain(0) has no certificate: chain.pem");
    check(chain, chain, "Key(0) has no private key: key.pem");
    let twice = [&*pair.key, &pair.key].concat();
    check(chain, &twice, "Key(0) has 2 private keys: key.pem");
    let encrypted = "-----BEGIN ENCRYPTED PRIVATE KEY-----\nMIIF\n";
    check(
        chain,
        encrypted,
        "Key(0) has a private key that is encrypted with a passphrase: key.pem",
    );
    check("\x30\x03", &pair.key, "Chain(0) is binary and not PEM text: chain.pem");
    let no_certificate = "-----BEGIN CERTIFICATE-----\nMAA=\n-----END CERTIFICATE-----\n";
    let found = {
        let mut disk = Disk::default();
        disk.write("chain.pem", no_certificate).write("key.pem", &*pair.key);
        fault(&disk, &settings())
    };
    let expected = "Chain(0) has a certificate that cannot be read, number 1 in chain.pem: ";
    assert!(found.starts_with(expected), "{found}");
}

#[test]
fn the_key_itself_in_place_of_its_file_is_not_shown() {
    let pair = Pki::new().server(&["a.example"]);
    let mut settings = settings();
    settings.certificates[0].key = pair.key.clone().into();
    let found = fault(&disk(&pair), &settings);
    assert_eq!(found, "Key(0) is the key itself: what is written here is no file name");
}

#[test]
fn a_key_of_another_certificate_is_refused() {
    let pki = Pki::new();
    let (one, other) = (pki.server(&["a.example"]), pki.server(&["a.example"]));
    let found = fault(&disk(&Pair { key: other.key, ..one }), &settings());
    assert_eq!(found, "Key(0) does not fit the certificate of a.example in chain.pem");
}

#[test]
fn a_weak_key_is_refused_with_its_size() {
    let mut disk = Disk::default();
    disk.write("chain.pem", include_str!("weak.crt.pem"));
    disk.write("key.pem", include_str!("weak.key.pem"));
    let found = fault(&disk, &settings());
    assert_eq!(found, "Key(0) has an RSA key of 1024 bits, which is too weak: key.pem");
}

#[test]
fn all_faults_are_told_at_once() {
    let pair = Pki::new().server(&["a.example"]);
    let mut settings = settings();
    settings.certificates.push(CertificateFiles {
        chain: "gone.pem".into(),
        key: "key.pem".into(),
        ocsp: None,
    });
    settings.tickets = Tickets::Shared { keys: Vec::new(), key_file: Some("secrets".into()) };
    let mut disk = disk(&pair);
    disk.write("secrets", "short\n");
    let faults = disk.load(&settings).err().unwrap();
    let parts: Vec<_> = faults.iter().map(|(part, _)| *part).collect();
    assert_eq!(parts, [Part::Chain(1), Part::TicketKeys]);
}

#[test]
fn a_chain_in_the_wrong_order_is_sorted() {
    let pki = Pki::new();
    let pair = pki.server(&["a.example"]);
    let mut disk = disk(&pair);
    disk.write("chain.pem", [pki.root.pem(), pair.intermediate.clone(), pair.leaf].concat());
    let loaded = disk.load(&settings()).unwrap_or_else(|faults| panic!("{faults:?}"));
    let names: Vec<_> = loaded.warnings.iter().map(|(_, warning)| warning.clone()).collect();
    assert_eq!(names, [Warning::Reordered { name: "a.example".to_owned() }]);
    let sent = &loaded.tls.certificates()[0].1.certified.cert;
    assert_eq!(sent[1..], [pki.intermediate.der().clone(), pki.root.der().clone()]);
}

#[test]
fn a_public_certificate_without_its_intermediate_is_a_warning() {
    let mut params = server(&["a.example"]);
    // authorityInfoAccess with caIssuers, URI http://a/
    let url = b"\x30\x17\x30\x15\x06\x08\x2b\x06\x01\x05\x05\x07\x30\x02\x86\x09http://a/";
    let oid = [1, 3, 6, 1, 5, 5, 7, 1, 1];
    params.custom_extensions = vec![CustomExtension::from_oid_content(&oid, url.to_vec())];
    let mut pair = Pki::new().pair(params, KeyPair::generate().unwrap());
    let none: Vec<String> = Vec::new();
    assert_eq!(warnings(&disk(&pair)), none);
    pair.intermediate.clear();
    let found = warnings(&disk(&pair));
    assert_eq!(found.len(), 1);
    assert!(found[0].contains("comes without that of its issuer CN=intermediate"), "{found:?}");
}

#[test]
fn dates_and_names_are_looked_at() {
    let mut params = server(&["a.example"]);
    params.not_after = date_time_ymd(2026, 11, 30);
    let expected = "Chain(0) the certificate of a.example expired on 2026-11-30: ";
    assert!(warning_of(params).starts_with(expected));

    let mut params = server(&["a.example"]);
    params.not_before = date_time_ymd(2026, 12, 2);
    let expected = "Chain(0) the certificate of a.example is valid from 2026-12-02 only: ";
    assert!(warning_of(params).starts_with(expected));

    assert!(warning_of(server(&[])).contains("has no subjectAltName"));

    let mut params = server(&["a.example"]);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    assert!(warning_of(params).contains("is that of an authority"));
}

#[test]
fn a_key_that_all_can_read_is_a_warning() {
    let mut disk = disk(&Pki::new().server(&["a.example"]));
    for contents in disk.0.values_mut() {
        contents.is_readable_by_all = true;
    }
    let expected = "Key(0) everybody on this machine can read the private key: chmod o-r key.pem";
    assert_eq!(warnings(&disk), [expected], "a certificate is public");
}

#[test]
fn two_loads_are_equal_if_settings_and_files_are() {
    let pki = Pki::new();
    let (one, other) = (pki.server(&["a.example"]), pki.server(&["a.example"]));
    let load = |pair: &Pair, settings: &Settings| disk(pair).load(settings).ok().unwrap().tls;
    let first = load(&one, &settings());
    assert_eq!(first, load(&one, &settings()));
    assert_ne!(first, load(&other, &settings()));
    let stricter = Settings { min_version: MinVersion::Tls13, ..settings() };
    assert_ne!(first, load(&one, &stricter));
    assert!(!format!("{first:?}").contains("BEGIN"));
}
