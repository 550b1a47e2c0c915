//! A client of the admin listener, for commands such as `sockeye status`.
//!
//! Runs at start, at reload, or on a timer.

use std::error::Error;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::header::{AUTHORIZATION, HOST};
use http::{HeaderValue, Method, Request, StatusCode};
use http_body_util::{BodyExt, Empty, Limited};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::runtime::Builder;
use tokio::time::timeout;

use crate::tls::NodeTls;

/// An admin listener, and what it is shown.
#[derive(Clone, Debug)]
pub(crate) struct AdminTarget {
    /// Its address.
    pub(crate) address: SocketAddr,
    /// TLS to it.
    pub(crate) tls: Option<Arc<NodeTls>>,
    /// A key or a password for it.
    pub(crate) key: Option<Key>,
}

impl AdminTarget {
    /// The listener at `address`, without TLS.
    pub(crate) fn plain(address: SocketAddr, key: Option<Key>) -> Self {
        Self { address, tls: None, key }
    }

    /// A request to it.
    pub(super) fn request(
        &self,
        method: Method,
        path: &str,
    ) -> Result<Request<Empty<Bytes>>, http::Error> {
        let host = self.address.to_string();
        let mut request = Request::builder().method(method).uri(path).header(HOST, host);
        if let Some(key) = &self.key {
            request = request.header(AUTHORIZATION, &key.0);
        }
        request.body(Empty::new())
    }
}

/// What says who we are: the value of `Authorization`, which is never shown.
#[derive(Clone, Debug)]
pub(crate) struct Key(HeaderValue);

impl Key {
    /// A bearer key, or a name and a password: `NAME:PASSWORD`. `None` if it cannot be sent.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let text = text.trim();
        let value = match text.contains(':') {
            true => format!("Basic {}", STANDARD.encode(text)),
            false => format!("Bearer {text}"),
        };
        let mut value = HeaderValue::try_from(value).ok().filter(|_| !text.is_empty())?;
        value.set_sensitive(true);
        Some(Self(value))
    }
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ClientError {
    /// The connect failed.
    #[error(
        "cannot connect to {address}: is Sockeye running, with `admin: {{ bind: {address} }}` since \
         its start?"
    )]
    Connect {
        /// The address of the admin listener.
        address: SocketAddr,
        /// The error of the system.
        source: io::Error,
    },
    /// The answer is not that of an admin listener.
    #[error("{address} is not an admin listener of Sockeye")]
    NotAdmin {
        /// The address of the admin listener.
        address: SocketAddr,
        /// What is wrong.
        source: Box<dyn Error + Send + Sync>,
    },
    /// There was no answer in time.
    #[error("{address} did not respond within {TIMEOUT:?}")]
    TimedOut {
        /// The address of the admin listener.
        address: SocketAddr,
    },
}

/// Sends a request to the endpoint at `path`, and returns the status and the JSON of the answer, whatever
/// the status is.
///
/// # Errors
///
/// [`ClientError`] if there is no answer in JSON.
///
/// # Panics
///
/// Within another runtime, since this blocks its thread.
pub(crate) fn request(
    target: &AdminTarget,
    method: Method,
    path: &str,
) -> Result<(StatusCode, Value), ClientError> {
    let address = target.address;
    let runtime = Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|source| ClientError::Connect { address, source })?;
    runtime.block_on(async {
        let answered = timeout(TIMEOUT, exchange(target, method, path)).await;
        answered.unwrap_or(Err(ClientError::TimedOut { address }))
    })
}

async fn exchange(
    target: &AdminTarget,
    method: Method,
    path: &str,
) -> Result<(StatusCode, Value), ClientError> {
    let address = target.address;
    let stream = TcpStream::connect(address)
        .await
        .map_err(|source| ClientError::Connect { address, source })?;
    let answered = async {
        let request = target.request(method, path)?;
        match &target.tls {
            None => speak(stream, request).await,
            Some(tls) => {
                let host = address.ip().to_string();
                speak(tls.handshake(stream, &host).await?, request).await
            }
        }
    };
    answered.await.map_err(|source| ClientError::NotAdmin { address, source })
}

async fn speak<S>(
    stream: S,
    request: Request<Empty<Bytes>>,
) -> Result<(StatusCode, Value), Box<dyn Error + Send + Sync>>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    let answer = async {
        let answer = sender.send_request(request).await?;
        let status = answer.status();
        let body = Limited::new(answer.into_body(), BODY_BYTES_MAX).collect().await?;
        Ok((status, serde_json::from_slice(&body.to_bytes())?))
    };
    tokio::pin!(answer);
    tokio::select! {
        answer = &mut answer => answer,
        // The answer fails too when the connection ends.
        _ = connection => answer.await,
    }
}

/// Longer than the time limit of a reload.
pub(super) const TIMEOUT: Duration = Duration::from_secs(35);

/// More than the answer for ten thousand nodes.
pub(super) const BODY_BYTES_MAX: usize = 16 << 20;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_sent_as_it_is_written_and_never_shown() {
        let check = |text: &str, expected: Option<&str>| {
            let key = Key::parse(text);
            let value = key.as_ref().map(|key| key.0.to_str().unwrap());
            assert_eq!(value, expected, "{text:?}");
            assert!(!format!("{key:?}").contains("abc"), "{key:?}");
        };
        check("abc\n", Some("Bearer abc"));
        check("ann:secret", Some("Basic YW5uOnNlY3JldA=="));
        check("", None);
        check("a\nb", None);
    }
}
