//! Asks the admin listener of a running process: for `sockeye status` and its like.
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
pub enum ClientError {
    /// Nothing listens there, or not to us.
    #[error(
        "nothing answers at {address}: is Sockeye running, with `admin: {{ bind: {address} }}` since \
         its start?"
    )]
    Connect {
        /// Where it was looked for.
        address: SocketAddr,
        /// What the system says.
        source: io::Error,
    },
    /// Something else than an admin listener answers there.
    #[error("{address} is no admin listener of Sockeye")]
    NotAdmin {
        /// Where it was looked for.
        address: SocketAddr,
        /// What was wrong.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// No answer came.
    #[error("{address} gave no answer within {TIMEOUT:?}")]
    TimedOut {
        /// Where it was looked for.
        address: SocketAddr,
    },
}

/// What the endpoint at `path` answers.
///
/// # Errors
///
/// [`ClientError`] if there is no answer in JSON; what its status says is not looked at.
///
/// # Panics
///
/// Within another runtime, since this blocks its thread.
pub fn ask(
    address: SocketAddr,
    method: Method,
    path: &str,
) -> Result<(StatusCode, Value), ClientError> {
    let runtime = Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|source| ClientError::Connect { address, source })?;
    runtime.block_on(async {
        let asked = timeout(TIMEOUT, exchange(address, method, path)).await;
        asked.unwrap_or(Err(ClientError::TimedOut { address }))
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
            // Its end is told by the answer too.
            _ = connection => answer.await,
        }
    };
    answered.await.map_err(|source| ClientError::NotAdmin { address, source })
}

/// A reload may take as long as the server gives it.
const TIMEOUT: Duration = Duration::from_secs(35);

/// Ten thousand nodes take less.
const BODY_BYTES_MAX: usize = 16 << 20;
