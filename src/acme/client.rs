//! The HTTP client for the authority: over TLS, with a connection, a deadline and a bound for each
//! request.
//!
//! A certificate takes about ten requests in two months, so no connection is kept.
//!
//! Runs at start, at reload, or on a timer.

use std::error::Error as StdError;
use std::fmt;
use std::future::{Future, pending};
use std::io;
use std::path::Path;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use http::header::{CONNECTION, HOST, RETRY_AFTER, USER_AGENT};
use http::{HeaderValue, Request, Response, Uri};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use instant_acme::{BodyWrapper, BytesResponse, Error, HttpClient};
use rustls::crypto::aws_lc_rs::default_provider;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

/// Sends requests to an authority. Clones share what was seen.
#[derive(Clone)]
pub(super) struct Client {
    tls: TlsConnector,
    retry_after: Arc<Mutex<Option<Duration>>>,
}

/// Why a request had no answer.
#[derive(Debug)]
pub(super) struct Unreachable {
    what: String,
    source: Option<Box<dyn StdError + Send + Sync>>,
}

impl Client {
    /// A client that trusts the certificates in the file `ca`, or the roots of the platform.
    ///
    /// # Errors
    ///
    /// There are none, or they cannot be read.
    pub(super) fn new(ca: Option<&Path>) -> io::Result<Self> {
        let config = ClientConfig::builder_with_provider(Arc::new(default_provider()))
            .with_safe_default_protocol_versions()
            .map_err(io::Error::other)?
            .with_root_certificates(roots(ca)?)
            .with_no_client_auth();
        Ok(Self { tls: Arc::new(config).into(), retry_after: Arc::default() })
    }

    /// What the last refusal said about the next attempt, if it said anything. Forgotten by this call.
    pub(super) fn take_retry_after(&self) -> Option<Duration> {
        self.seen().take()
    }

    async fn answer(&self, request: Request<BodyWrapper<Bytes>>) -> Result<BytesResponse, Error> {
        let host = request.uri().host().unwrap_or_default().to_owned();
        let response = match timeout(REQUEST_TIMEOUT, self.exchange(request)).await {
            Ok(response) => response.map_err(|error| Error::Other(Box::new(error)))?,
            Err(_elapsed) => {
                let what = format!("{host} did not answer within {} s", REQUEST_TIMEOUT.as_secs());
                return Err(Error::Other(Box::new(Unreachable { what, source: None })));
            }
        };
        if response.status().is_client_error() || response.status().is_server_error() {
            *self.seen() = retry_after(&response, SystemTime::now());
        }
        Ok(response.into())
    }

    async fn exchange(
        &self,
        request: Request<BodyWrapper<Bytes>>,
    ) -> Result<Response<Full<Bytes>>, Unreachable> {
        let uri = request.uri().clone();
        let failed = |source: Box<dyn StdError + Send + Sync>| Unreachable {
            what: format!("no answer from {}", uri.host().unwrap_or_default()),
            source: Some(source),
        };
        let stream = self.connect(&uri).await?;
        let request = for_server(request).map_err(|error| failed(error.into()))?;
        let connection = http1::handshake(TokioIo::new(stream)).await;
        let (mut sender, connection) = connection.map_err(|error| failed(error.into()))?;
        // Ends only after the answer, which is what is waited for.
        let driven = async {
            let _ = connection.await;
            pending::<()>().await;
        };
        let answered = async {
            let (head, body) = sender.send_request(request).await?.into_parts();
            let body = Limited::new(body, ANSWER_BYTES_MAX).collect().await?.to_bytes();
            Ok(Response::from_parts(head, Full::new(body)))
        };
        tokio::select! {
            biased;
            answer = answered => answer.map_err(failed),
            () = driven => Err(Unreachable { what: "the connection ended".to_owned(), source: None }),
        }
    }

    async fn connect(&self, uri: &Uri) -> Result<TlsStream<TcpStream>, Unreachable> {
        let host = uri.host().unwrap_or_default();
        if uri.scheme_str() != Some("https") {
            let what = format!("{uri} is not an https URL");
            return Err(Unreachable { what, source: None });
        }
        let failed = |error: io::Error| Unreachable {
            what: format!("cannot connect to {host}"),
            source: Some(error.into()),
        };
        let bare = host.trim_start_matches('[').trim_end_matches(']');
        let name = ServerName::try_from(bare.to_owned());
        let name = name.map_err(|error| failed(io::Error::other(error)))?;
        let stream = connect(bare, uri.port_u16().unwrap_or(443)).await.map_err(failed)?;
        self.tls.connect(name, stream).await.map_err(failed)
    }

    fn seen(&self) -> std::sync::MutexGuard<'_, Option<Duration>> {
        // No code under the lock panics.
        self.retry_after.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl HttpClient for Client {
    fn request(
        &self,
        request: Request<BodyWrapper<Bytes>>,
    ) -> Pin<Box<dyn Future<Output = Result<BytesResponse, Error>> + Send>> {
        let client = self.clone();
        Box::pin(async move { client.answer(request).await })
    }
}

impl fmt::Display for Unreachable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.what)
    }
}

impl StdError for Unreachable {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.source.as_ref().map(|source| &**source as &(dyn StdError + 'static))
    }
}

fn roots(ca: Option<&Path>) -> io::Result<RootCertStore> {
    let mut roots = RootCertStore::empty();
    match ca {
        Some(path) => {
            for certificate in CertificateDer::pem_file_iter(path).map_err(io::Error::other)? {
                let certificate = certificate.map_err(io::Error::other)?;
                roots.add(certificate).map_err(io::Error::other)?;
            }
        }
        None => roots = crate::tls::roots::store(crate::tls::roots::of_system()?),
    }
    if roots.is_empty() {
        return Err(io::Error::new(io::ErrorKind::NotFound, "there is no certificate to trust"));
    }
    Ok(roots)
}

async fn connect(host: &str, port: u16) -> io::Result<TcpStream> {
    let mut last = io::Error::new(io::ErrorKind::NotFound, "the name has no address");
    for address in tokio::net::lookup_host((host, port)).await? {
        match timeout(CONNECT_TIMEOUT, TcpStream::connect(address)).await {
            Ok(Ok(stream)) => return Ok(stream),
            Ok(Err(error)) => last = error,
            Err(_elapsed) => last = io::ErrorKind::TimedOut.into(),
        }
    }
    Err(last)
}

/// The request as it is sent to the server itself, and as the last one of its connection.
fn for_server(
    mut request: Request<BodyWrapper<Bytes>>,
) -> Result<Request<BodyWrapper<Bytes>>, http::Error> {
    let uri = request.uri();
    let host = uri.authority().map(|authority| authority.as_str()).unwrap_or_default();
    let host = HeaderValue::from_str(host)?;
    let target: Uri = uri.path_and_query().map_or("/", |target| target.as_str()).parse()?;
    *request.uri_mut() = target;
    let fields = request.headers_mut();
    fields.insert(HOST, host);
    fields.insert(CONNECTION, HeaderValue::from_static("close"));
    fields.insert(USER_AGENT, HeaderValue::from_static(AGENT));
    Ok(request)
}

/// RFC 9110, section 10.2.3: seconds, or a date.
fn retry_after<B>(response: &Response<B>, now: SystemTime) -> Option<Duration> {
    let text = response.headers().get(RETRY_AFTER)?.to_str().ok()?.trim();
    match text.parse() {
        Ok(seconds) => Some(Duration::from_secs(seconds)),
        Err(_) => httpdate::parse_http_date(text).ok()?.duration_since(now).ok(),
    }
}

/// RFC 8555, section 6.1, asks for the client's name.
const AGENT: &str = concat!("sockeye/", env!("CARGO_PKG_VERSION"), " (instant-acme)");

/// For each request, the connect included.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(30);

/// For each address, so that one that swallows packets leaves time for the next.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// A chain of certificates has a few kilobytes.
const ANSWER_BYTES_MAX: usize = 1024 * 1024;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wait_is_seconds_or_a_date() {
        let check = |text: &'static str, expected: Option<u64>| {
            let response = Response::builder().header(RETRY_AFTER, text).body(()).unwrap();
            let now = httpdate::parse_http_date("Sun, 06 Nov 1994 08:49:37 GMT").unwrap();
            let wait = retry_after(&response, now);
            assert_eq!(wait, expected.map(Duration::from_secs), "{text}");
        };
        check("120", Some(120));
        check(" 0 ", Some(0));
        check("Sun, 06 Nov 1994 08:50:37 GMT", Some(60));
        check("Sun, 06 Nov 1994 08:48:37 GMT", None);
        check("soon", None);
    }

    #[test]
    fn a_file_without_certificates_is_no_reason_to_trust_anyone() {
        let file = tempfile::NamedTempFile::new().unwrap();
        assert!(Client::new(Some(file.path())).is_err());
        assert!(Client::new(Some(Path::new("nowhere.pem"))).is_err());
    }
}
