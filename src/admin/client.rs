//! A client of the admin listener, for commands such as `sockeye status`.
//!
//! Runs at start, at reload, or on a timer.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use http::header::HOST;
use http::{Method, Request, StatusCode};
use http_body_util::{BodyExt, Empty, Limited};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::net::TcpStream;
use tokio::runtime::Builder;
use tokio::time::timeout;

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
        source: Box<dyn std::error::Error + Send + Sync>,
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
    address: SocketAddr,
    method: Method,
    path: &str,
) -> Result<(StatusCode, Value), ClientError> {
    let runtime = Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|source| ClientError::Connect { address, source })?;
    runtime.block_on(async {
        let answered = timeout(TIMEOUT, exchange(address, method, path)).await;
        answered.unwrap_or(Err(ClientError::TimedOut { address }))
    })
}

async fn exchange(
    address: SocketAddr,
    method: Method,
    path: &str,
) -> Result<(StatusCode, Value), ClientError> {
    let stream = TcpStream::connect(address)
        .await
        .map_err(|source| ClientError::Connect { address, source })?;
    let answered = async {
        let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
        let request = Request::builder().method(method).uri(path).header(HOST, address.to_string());
        let request = request.body(Empty::<Bytes>::new())?;
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
    };
    answered.await.map_err(|source| ClientError::NotAdmin { address, source })
}

/// Longer than the time limit of a reload.
const TIMEOUT: Duration = Duration::from_secs(35);

/// More than the answer for ten thousand nodes.
const BODY_BYTES_MAX: usize = 16 << 20;
