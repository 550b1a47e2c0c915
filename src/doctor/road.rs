//! The way to a target: name, connection and TLS, each with its time and a deadline.
//!
//! Runs at start, at reload, or on a timer.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use http::{HeaderMap, HeaderValue};
use rustls::pki_types::ServerName;
use serde::Serialize;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, lookup_host};
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

use super::manners::Manners;
use super::target::Target;
use crate::Instant;
use crate::tasks::Tasks;

/// A byte stream to a target.
pub(super) trait Stream: AsyncRead + AsyncWrite + Unpin + Send {}

impl<T: AsyncRead + AsyncWrite + Unpin + Send> Stream for T {}

/// A target that can be connected to again and again.
#[derive(Clone)]
pub(super) struct Road {
    pub(super) target: Target,
    /// Fields of the operator's, for each request.
    pub(super) fields: HeaderMap<HeaderValue>,
    /// Own the connections.
    pub(super) tasks: Tasks,
    /// Shared by all copies.
    pub(super) manners: Arc<Manners>,
    addresses: Vec<SocketAddr>,
    tls: Arc<rustls::ClientConfig>,
}

/// A new connection, and how long its parts took.
pub(super) struct Connected {
    pub(super) stream: Box<dyn Stream>,
    pub(super) tcp: Duration,
    pub(super) tls: Option<TlsFacts>,
}

/// What was agreed on in a TLS handshake.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct TlsFacts {
    /// How long it took, in milliseconds.
    pub(crate) took_ms: u64,
    /// Such as `TLSv1_3`.
    pub(crate) version: String,
    /// The protocol that the server chose by ALPN.
    pub(crate) alpn: Option<String>,
}

/// Why a step failed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Failure {
    /// What failed.
    pub(crate) kind: FailureKind,
    /// The error, as text.
    pub(crate) detail: String,
    /// How long after its begin, in milliseconds.
    pub(crate) after_ms: u64,
}

/// What failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum FailureKind {
    /// The name has no address.
    Dns,
    /// There is no connection.
    Connect,
    /// The TLS handshake failed.
    Tls,
    /// The connection ended before the answer was complete.
    Closed,
    /// The answer is not HTTP.
    NotHttp,
    /// There was no answer within the deadline.
    TimedOut,
}

impl Road {
    /// Looks up the name of `target`.
    pub(super) async fn find(
        target: Target,
        fields: HeaderMap<HeaderValue>,
        tls: Arc<rustls::ClientConfig>,
    ) -> Result<(Self, Duration), Failure> {
        let begun = Instant::now();
        let found = timeout(STEP, lookup_host((target.host.clone(), target.port))).await;
        let failed = |detail: String| Failure::new(FailureKind::Dns, detail, begun);
        let addresses: Vec<SocketAddr> = match found {
            Ok(Ok(found)) => found.take(ADDRESSES_MAX).collect(),
            Ok(Err(error)) => return Err(failed(error.to_string())),
            Err(_elapsed) => return Err(failed("no answer of the DNS server".to_owned())),
        };
        if addresses.is_empty() {
            return Err(failed("the name has no address".to_owned()));
        }
        let (tasks, manners) = (Tasks::default(), Arc::default());
        let road = Self { target, fields, tasks, manners, addresses, tls };
        Ok((road, begun.elapsed()))
    }

    /// The same with another path.
    pub(super) fn with_path(&self, path: &str) -> Self {
        Self { target: self.target.with_path(path), ..self.clone() }
    }

    /// The same with one more field in each request.
    pub(super) fn with_field(&self, name: &'static str, value: &'static str) -> Self {
        let mut road = self.clone();
        road.fields.insert(name, HeaderValue::from_static(value));
        road
    }

    /// A new connection that offers these protocols by ALPN.
    pub(super) async fn connect(&self, alpn: &[&[u8]]) -> Result<Connected, Failure> {
        let begun = Instant::now();
        let stream = self.tcp(begun).await?;
        let tcp = begun.elapsed();
        if !self.target.tls {
            return Ok(Connected { stream: Box::new(stream), tcp, tls: None });
        }
        let begun = Instant::now();
        let failed = |detail: String| Failure::new(FailureKind::Tls, detail, begun);
        let authority = self.target.authority.rsplit_once(':');
        let name = authority.filter(|(_, port)| port.parse::<u16>().is_ok());
        let name = name.map_or(self.target.authority.as_str(), |(name, _)| name);
        let name = name.trim_start_matches('[').trim_end_matches(']').to_owned();
        let name = ServerName::try_from(name).map_err(|error| failed(error.to_string()))?;
        let mut config = (*self.tls).clone();
        config.alpn_protocols = alpn.iter().map(|protocol| protocol.to_vec()).collect();
        let handshake = TlsConnector::from(Arc::new(config)).connect(name, stream);
        let stream = match timeout(STEP, handshake).await {
            Ok(stream) => stream.map_err(|error| failed(error.to_string()))?,
            Err(_elapsed) => return Err(failed("the handshake did not end".to_owned())),
        };
        let (_, session) = stream.get_ref();
        let alpn =
            session.alpn_protocol().map(|chosen| String::from_utf8_lossy(chosen).into_owned());
        let version = session.protocol_version().and_then(|version| version.as_str());
        let facts = TlsFacts {
            took_ms: millis(begun.elapsed()),
            version: version.unwrap_or("unknown").to_owned(),
            alpn,
        };
        Ok(Connected { stream: Box::new(stream), tcp, tls: Some(facts) })
    }

    /// The addresses that the name has.
    pub(super) fn addresses(&self) -> &[SocketAddr] {
        &self.addresses
    }

    async fn tcp(&self, begun: Instant) -> Result<TcpStream, Failure> {
        let mut last = None;
        for address in &self.addresses {
            let error = match timeout(STEP, TcpStream::connect(address)).await {
                Ok(Ok(stream)) => {
                    // Measurements need small packets at once; without it they are only slower.
                    let _ = stream.set_nodelay(true);
                    return Ok(stream);
                }
                Ok(Err(error)) => error,
                Err(_elapsed) => io::Error::from(io::ErrorKind::TimedOut),
            };
            last = Some(format!("{address}: {error}"));
            if begun.elapsed() > STEP {
                break;
            }
        }
        Err(Failure::new(FailureKind::Connect, last.unwrap_or_default(), begun))
    }
}

impl Failure {
    /// A failure of a step that began at `begun`.
    pub(super) fn new(kind: FailureKind, detail: String, begun: Instant) -> Self {
        Self { kind, detail, after_ms: millis(begun.elapsed()) }
    }
}

/// `time` in whole milliseconds.
pub(super) fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

/// How long a step may take: longer than any healthy one, and short enough for a person who waits.
pub(super) const STEP: Duration = Duration::from_secs(10);

/// Of a name with many addresses; each may take a step until it fails.
const ADDRESSES_MAX: usize = 4;
