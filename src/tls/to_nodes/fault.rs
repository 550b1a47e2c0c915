//! Why there is no TLS with a node, in words that say what to do.
//!
//! Pure. Runs for every request.

use std::fmt;
use std::io;

use rustls::{AlertDescription, CertificateError, Error};

use super::verifier::NotPinned;
use crate::tls::facts::date;

/// Why there is no TLS with a node. Its sentence continues one that names the node.
#[derive(Debug)]
pub(crate) struct NodeTlsFault {
    pub(crate) kind: NodeTlsFaultKind,
    /// The day on which the certificate expired or becomes valid, or its fingerprint.
    detail: Option<String>,
    source: Option<io::Error>,
}

/// The kinds of faults, each with words of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NodeTlsFaultKind {
    /// The host of its address cannot be in a certificate.
    NoName,
    /// The handshake was not complete in time.
    TimedOut,
    /// It closed or reset the connection within the handshake.
    Ended,
    /// It sent something else.
    NotTls,
    /// Its certificate has expired.
    Expired,
    /// Its certificate is not valid yet.
    NotYetValid,
    /// No authority that is trusted has signed its certificate.
    UnknownAuthority,
    /// Its certificate has other names.
    OtherName,
    /// Its certificate is not pinned.
    NotPinned,
    /// Its certificate is that of an authority, as `openssl req -x509` makes them.
    Authority,
    /// Any other problem of its certificate.
    Certificate,
    /// It requires a certificate of ours.
    NoClientCertificate,
    /// It refuses our certificate.
    ClientCertificateRefused,
    /// No common version, cipher or protocol.
    NothingInCommon,
    /// It says no, and not why.
    Refused,
    /// Any other failure.
    Failed,
}

impl NodeTlsFault {
    /// The fault behind `error` of a handshake.
    pub(super) fn new(error: io::Error) -> Self {
        use NodeTlsFaultKind::{Ended, Failed, NotTls};
        let kind = match cause(&error) {
            None if is_end(&error) => Ended,
            None => Failed,
            Some(Error::InvalidMessage(_)) => NotTls,
            Some(Error::InvalidCertificate(fault)) => of_certificate(fault),
            Some(Error::AlertReceived(alert)) => of_alert(*alert),
            Some(Error::PeerIncompatible(_) | Error::NoApplicationProtocol) => {
                NodeTlsFaultKind::NothingInCommon
            }
            Some(_) => Failed,
        };
        Self { kind, detail: detail(&error), source: Some(error) }
    }

    /// The fault behind `error` of a read, if a node says with it that it accepts no request from us
    /// because of our certificate. With TLS 1.3 it says so when our side of the handshake is complete
    /// already (RFC 8446, section 4.4.2.4).
    pub(crate) fn of_refusal(error: io::Error) -> Result<Self, io::Error> {
        use NodeTlsFaultKind::{ClientCertificateRefused, NoClientCertificate};
        let kind = match cause(&error) {
            Some(Error::AlertReceived(alert)) => of_alert(*alert),
            _ => return Err(error),
        };
        match kind {
            NoClientCertificate | ClientCertificateRefused => {
                Ok(Self { kind, detail: None, source: Some(error) })
            }
            _ => Err(error),
        }
    }

    /// The fault of a handshake that took too long.
    pub(crate) fn timed_out() -> Self {
        NodeTlsFaultKind::TimedOut.into()
    }
}

impl NodeTlsFaultKind {
    /// What is wrong, for a client.
    pub(crate) fn what(self) -> &'static str {
        self.facts().0
    }

    /// What is wrong, and what the operator can do.
    fn facts(self) -> (&'static str, &'static str) {
        match self {
            Self::NoName => ("its host cannot be in a certificate", "write tls.server_name"),
            Self::TimedOut => (
                "the TLS handshake took too long",
                "look whether it speaks TLS on this port, and whether it is overloaded",
            ),
            Self::Ended => (
                "it ended the connection within the TLS handshake",
                "look whether it speaks TLS on this port",
            ),
            Self::NotTls => {
                ("it does not speak TLS on this port", "remove `tls`, or write the port that does")
            }
            Self::Expired => ("its certificate has expired", "renew it"),
            Self::NotYetValid => ("its certificate is not valid yet", "compare the clocks"),
            Self::UnknownAuthority => (
                "its certificate is not signed by an authority that is trusted",
                "write the authority's certificate as tls.ca",
            ),
            Self::OtherName => (
                "its certificate has another name",
                "write a name of the certificate as tls.server_name",
            ),
            Self::NotPinned => (
                "its certificate is not one of those that are pinned",
                "if it was renewed, change tls.verify.fingerprints",
            ),
            Self::Authority => (
                "its certificate is that of an authority and not of a server",
                "issue one with basicConstraints CA:FALSE, or pin it by tls.verify.fingerprints",
            ),
            Self::Certificate => ("its certificate cannot be used", "renew it"),
            Self::NoClientCertificate => {
                ("it requires a client certificate", "write tls.client_certificate")
            }
            Self::ClientCertificateRefused => (
                "it does not accept the client certificate",
                "look at tls.client_certificate, and at the authorities that the node trusts",
            ),
            Self::NothingInCommon => (
                "it has no TLS version or cipher in common with the proxy",
                "let it speak TLS 1.2 or 1.3",
            ),
            Self::Refused => (
                "it refused the TLS handshake",
                "it may require a client certificate (tls.client_certificate), know no such \
                 server_name, or have no cipher in common",
            ),
            Self::Failed => ("the TLS handshake failed", "look at the log of the node"),
        }
    }
}

impl From<NodeTlsFaultKind> for NodeTlsFault {
    fn from(kind: NodeTlsFaultKind) -> Self {
        Self { kind, detail: None, source: None }
    }
}

impl fmt::Display for NodeTlsFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (what, help) = self.kind.facts();
        match &self.detail {
            Some(detail) => write!(f, "{what} ({detail}), {help}"),
            None => write!(f, "{what}, {help}"),
        }
    }
}

impl std::error::Error for NodeTlsFault {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.source.as_ref().map(|error| error as _)
    }
}

fn cause(error: &io::Error) -> Option<&Error> {
    error.get_ref()?.downcast_ref()
}

/// What the library's own words do not say, or say in seconds.
fn detail(error: &io::Error) -> Option<String> {
    let Error::InvalidCertificate(error) = cause(error)? else { return None };
    let time = match error {
        CertificateError::ExpiredContext { not_after, .. } => not_after,
        CertificateError::NotValidYetContext { not_before, .. } => not_before,
        CertificateError::Other(other) => {
            return other.0.downcast_ref().map(NotPinned::to_string);
        }
        _ => return None,
    };
    i64::try_from(time.as_secs()).ok().map(date)
}

fn is_end(error: &io::Error) -> bool {
    use io::ErrorKind::{BrokenPipe, ConnectionAborted, ConnectionReset, UnexpectedEof};
    matches!(error.kind(), UnexpectedEof | ConnectionReset | ConnectionAborted | BrokenPipe)
}

fn of_certificate(error: &CertificateError) -> NodeTlsFaultKind {
    match error {
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => {
            NodeTlsFaultKind::Expired
        }
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
            NodeTlsFaultKind::NotYetValid
        }
        // Another authority of the same name signed it.
        CertificateError::UnknownIssuer | CertificateError::BadSignature => {
            NodeTlsFaultKind::UnknownAuthority
        }
        CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
            NodeTlsFaultKind::OtherName
        }
        CertificateError::Other(other) if other.0.is::<NotPinned>() => NodeTlsFaultKind::NotPinned,
        // The library that says so is not ours to name: its error has this name.
        CertificateError::Other(other) if format!("{other:?}").contains("CaUsedAsEndEntity") => {
            NodeTlsFaultKind::Authority
        }
        _ => NodeTlsFaultKind::Certificate,
    }
}

fn of_alert(alert: AlertDescription) -> NodeTlsFaultKind {
    match alert {
        AlertDescription::CertificateRequired | AlertDescription::NoCertificate => {
            NodeTlsFaultKind::NoClientCertificate
        }
        AlertDescription::BadCertificate
        | AlertDescription::UnsupportedCertificate
        | AlertDescription::CertificateRevoked
        | AlertDescription::CertificateExpired
        | AlertDescription::CertificateUnknown
        | AlertDescription::UnknownCA
        | AlertDescription::AccessDenied => NodeTlsFaultKind::ClientCertificateRefused,
        AlertDescription::ProtocolVersion
        | AlertDescription::InsufficientSecurity
        | AlertDescription::NoApplicationProtocol => NodeTlsFaultKind::NothingInCommon,
        AlertDescription::HandshakeFailure | AlertDescription::UnrecognisedName => {
            NodeTlsFaultKind::Refused
        }
        _ => NodeTlsFaultKind::Failed,
    }
}
