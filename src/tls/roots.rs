//! The authorities that the system trusts.
//!
//! Runs at start, at reload, or on a timer.

use std::io;

use rustls::RootCertStore;
use rustls::pki_types::CertificateDer;

use crate::yaml::source;

/// Reads them, within a deadline.
///
/// # Errors
///
/// There are none; [`io::ErrorKind::TimedOut`] after some seconds.
pub(crate) fn of_system() -> io::Result<Vec<CertificateDer<'static>>> {
    // Systems have some that nobody can read; what counts is that others are there.
    let certificates =
        source::within_deadline(|_| Ok(rustls_native_certs::load_native_certs().certs))?;
    if certificates.is_empty() {
        return Err(io::Error::new(io::ErrorKind::NotFound, "the system trusts no authority"));
    }
    Ok(certificates)
}

/// A store of `certificates`; those that the library cannot read are left out.
pub(crate) fn store(certificates: Vec<CertificateDer<'static>>) -> RootCertStore {
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(certificates);
    roots
}
