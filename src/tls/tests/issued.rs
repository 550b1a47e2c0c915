//! Certificates that an authority issues: they may come later than the listener.

use super::*;
use crate::tls::settings::IssuedCertificate;

fn issued() -> Settings {
    let issued = IssuedCertificate { name: "a.example".into(), file: "a.example.pem".into() };
    Settings { certificates: Vec::new(), issued: vec![issued], ..Settings::default() }
}

#[test]
fn what_was_not_issued_yet_is_no_fault() {
    let loaded = Disk::default().load(&issued()).unwrap_or_else(|faults| panic!("{faults:?}"));
    assert!(loaded.tls.certificates().is_empty());
    assert!(loaded.warnings.is_empty());

    let pair = Pki::new().server(&["a.example"]);
    let mut disk = Disk::default();
    disk.write("a.example.pem", [&*pair.key, &pair.chain()].concat());
    let later = disk.load(&issued()).unwrap_or_else(|faults| panic!("{faults:?}"));
    let [(file, certificate)] = later.tls.certificates() else { panic!("it was issued") };
    assert_eq!((file.to_str(), certificate.name()), (Some("a.example.pem"), "a.example"));
    assert_ne!(later.tls, loaded.tls, "it is in force after a reload");
}

#[test]
fn what_does_not_work_is_left_out_with_a_warning() {
    let mut disk = disk(&Pki::new().server(&["b.example"]));
    disk.write("a.example.pem", "half a file");
    let settings = Settings { certificates: settings().certificates, ..issued() };
    let loaded = disk.load(&settings).unwrap_or_else(|faults| panic!("{faults:?}"));
    assert_eq!(loaded.tls.certificates().len(), 1);
    let [(part, warning)] = &loaded.warnings[..] else { panic!("{:?}", loaded.warnings) };
    assert_eq!(*part, Part::Chain(1));
    let said = warning.to_string();
    assert!(said.starts_with("is not used, and a new one is ordered: it"), "{said}");
}
