//! The handshake on a fresh connection, within its bounds.
//!
//! Runs for every request.

use std::io;
use std::sync::Arc;

use rustls::server::ClientHello;
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls::{AlertDescription, Error, HandshakeKind, ProtocolVersion, ServerConfig};
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;
use tokio_rustls::{LazyConfigAcceptor, StartHandshake, TlsStream};

use super::ServerTls;
use super::challenges::Challenges;
use super::handshakes::HandshakeStop;
use crate::Instant;
use crate::metrics::TlsHandshakes;
use crate::net::ReadAhead;

/// Why there is no TLS session.
#[derive(Debug, thiserror::Error)]
pub(crate) enum HandshakeFailure {
    /// It took longer than `handshake_timeout`.
    #[error("the TLS handshake took too long")]
    TimedOut,
    /// It made no progress while others waited for their turn.
    #[error("the TLS handshake made no progress while others waited")]
    Evicted,
    /// Too many others were under way.
    #[error("too many TLS handshakes were under way")]
    NoTurn,
    /// The client was the authority that issues certificates, and got its proof.
    #[error("the proof for the certificate authority was shown")]
    Proven,
    /// The two did not agree, or the client left.
    #[error("{0}")]
    Failed(io::Error),
}

/// Makes the handshake with the client at the other end of `socket`.
///
/// The stream is boxed: whatever holds it is moved several times, and it is ten times the size of a
/// socket. If the future is dropped, the socket is closed.
///
/// # Errors
///
/// [`HandshakeFailure`]; the client has been sent an alert, if there is one for it.
pub(crate) async fn accept(
    socket: TcpStream,
    tls: &ServerTls,
    counts: &TlsHandshakes,
) -> Result<Box<TlsStream<ReadAhead>>, HandshakeFailure> {
    let _open = counts.open.begin();
    let accepted = shake_hands(socket, tls, counts).await;
    match &accepted {
        Ok(stream) => {
            let session = stream.get_ref().1;
            let version = match session.protocol_version() {
                Some(ProtocolVersion::TLSv1_2) => "1.2",
                _ => "1.3",
            };
            let is_resumed = session.handshake_kind() == Some(HandshakeKind::Resumed);
            counts.done.count([version, if is_resumed { "resumed" } else { "full" }]);
        }
        Err(HandshakeFailure::Proven) => (),
        Err(failure) => counts.failed.count([failure.label()]),
    }
    accepted
}

async fn shake_hands(
    socket: TcpStream,
    tls: &ServerTls,
    counts: &TlsHandshakes,
) -> Result<Box<TlsStream<ReadAhead>>, HandshakeFailure> {
    let timeout = tls.settings().handshake_timeout;
    let waiting = counts.waiting.begin();
    let mut turn = tls.handshakes().begin(Instant::now() + timeout).await?;
    drop(waiting);
    let deadline = Instant::now() + timeout;
    let hello =
        LazyConfigAcceptor::new(rustls::server::Acceptor::default(), ReadAhead::new(socket));
    let hello = turn.run(Box::pin(hello), deadline).await?.map_err(HandshakeFailure::Failed)?;
    turn.progress();
    if let Some((name, challenges)) = asked_proof(&hello.client_hello(), tls)
        && let Some(proof) = challenges.certificate(&name).await
    {
        let shown = Box::pin(show_proof(hello, proof));
        turn.run(shown, deadline).await?.map_err(HandshakeFailure::Failed)?;
        return Err(HandshakeFailure::Proven);
    }
    let config = tls.config(&hello.client_hello()).clone();
    let finished = Box::pin(hello.into_stream(config));
    let stream = turn.run(finished, deadline).await?.map_err(HandshakeFailure::Failed)?;
    Ok(Box::new(stream.into()))
}

/// The name that the authority wants to have proven, if it is the client: only then is this the one
/// protocol that the client speaks (RFC 8737, section 3).
fn asked_proof<'t>(
    hello: &ClientHello<'_>,
    tls: &'t ServerTls,
) -> Option<(String, &'t Challenges)> {
    let challenges = tls.settings().challenges.as_ref()?;
    let mut protocols = hello.alpn()?;
    let is_proof = protocols.next() == Some(Challenges::ALPN) && protocols.next().is_none();
    let name = hello.server_name().filter(|_| is_proof)?;
    Some((name.to_ascii_lowercase(), challenges))
}

/// Shows the proof and closes.
async fn show_proof(hello: StartHandshake<ReadAhead>, proof: CertifiedKey) -> io::Result<()> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(io::Error::other)?
        .with_no_client_auth()
        .with_cert_resolver(Arc::new(SingleCertAndKey::from(proof)));
    config.alpn_protocols = vec![Challenges::ALPN.to_vec()];
    config.send_tls13_tickets = 0;
    hello.into_stream(Arc::new(config)).await?.shutdown().await
}

impl From<HandshakeStop> for HandshakeFailure {
    fn from(stop: HandshakeStop) -> Self {
        match stop {
            HandshakeStop::TimedOut => Self::TimedOut,
            HandshakeStop::Evicted => Self::Evicted,
            HandshakeStop::NoTurn => Self::NoTurn,
        }
    }
}

impl HandshakeFailure {
    /// The label in metrics.
    fn label(&self) -> &'static str {
        match self {
            Self::TimedOut => "timeout",
            Self::Evicted => "no_progress",
            Self::NoTurn => "no_turn",
            Self::Proven => "proven",
            Self::Failed(error) => {
                let inner = error.get_ref().and_then(|inner| inner.downcast_ref::<Error>());
                inner.map_or("disconnected", label)
            }
        }
    }
}

fn label(error: &Error) -> &'static str {
    match error {
        Error::AlertReceived(alert) => match alert {
            AlertDescription::UnknownCA
            | AlertDescription::BadCertificate
            | AlertDescription::CertificateExpired
            | AlertDescription::CertificateUnknown
            | AlertDescription::UnsupportedCertificate => "certificate_refused",
            _ => "refused_by_client",
        },
        Error::PeerIncompatible(_) => "nothing_in_common",
        Error::NoCertificatesPresented => "no_client_certificate",
        Error::InvalidCertificate(_) | Error::InvalidCertRevocationList(_) => {
            "bad_client_certificate"
        }
        Error::InvalidMessage(_) => "not_tls",
        Error::General(_) => "no_certificate",
        _ => "protocol_violation",
    }
}

#[cfg(test)]
mod tests {
    use rustls::PeerIncompatible;

    use super::*;

    #[test]
    fn each_failure_has_a_label() {
        let check = |error: io::Error, expected: &str| {
            assert_eq!(HandshakeFailure::Failed(error).label(), expected);
        };
        check(io::ErrorKind::UnexpectedEof.into(), "disconnected");
        let incompatible = Error::PeerIncompatible(PeerIncompatible::NoCipherSuitesInCommon);
        check(io::Error::new(io::ErrorKind::InvalidData, incompatible), "nothing_in_common");
        let alert = Error::AlertReceived(AlertDescription::UnknownCA);
        check(io::Error::new(io::ErrorKind::InvalidData, alert), "certificate_refused");
        check(io::Error::other(Error::NoCertificatesPresented), "no_client_certificate");
        assert_eq!(HandshakeFailure::Evicted.label(), "no_progress");
    }
}
