//! The last words on a connection: answers that hyper does not write, and the close that lets
//! them arrive.
//!
//! Runs for every request.

use std::net::SocketAddr;
use std::time::{Duration, SystemTime};

use http::StatusCode;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::time::timeout;
use tracing::debug;

/// Answers with `status` and a sentence, writes a line of the log, and closes. Takes at most
/// [`WRITE_TIMEOUT`] and [`LINGER_TIMEOUT`]; if the future is dropped, the answer may be cut.
pub(super) async fn refuse<S>(
    stream: &mut S,
    client: SocketAddr,
    status: StatusCode,
    sentence: &str,
) where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let request = format!("{:032x}", fastrand::u128(..));
    debug!(client = %client.ip(), status = status.as_u16(), request, "refused: {sentence}");
    // A client that is gone, or takes nothing, cannot be told.
    let written = timeout(WRITE_TIMEOUT, async {
        stream.write_all(answer(status, sentence, &request).as_bytes()).await?;
        stream.shutdown().await
    });
    if let Ok(Ok(())) = written.await {
        linger(stream).await;
    }
}

/// Closes our side, so that the client knows that nothing more comes, and lingers.
pub(super) async fn close<S>(stream: &mut S)
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    // A client that is gone needs no end.
    if stream.shutdown().await.is_ok() {
        linger(stream).await;
    }
}

/// Reads what the client still sends and throws it away: to close a socket with unread bytes
/// resets the connection, and a reset overtakes the answer (RFC 9112, section 9.6). Many clients
/// read no answer before they have sent the whole body. Takes at most [`SILENCE_TIMEOUT`] without
/// a byte, [`LINGER_TIMEOUT`] and [`LINGER_BYTES_MAX`].
async fn linger(stream: &mut (impl AsyncRead + Unpin)) {
    let discard = async {
        let mut buffer = vec![0; 16 * 1024];
        let mut bytes = 0;
        while bytes < LINGER_BYTES_MAX {
            match timeout(SILENCE_TIMEOUT, stream.read(&mut buffer)).await {
                Ok(Ok(read @ 1..)) => bytes += read,
                Ok(Ok(0) | Err(_)) | Err(_) => return,
            }
        }
    };
    // Whatever comes of it, the socket is closed next.
    let _ = timeout(LINGER_TIMEOUT, discard).await;
}

/// A whole answer. It has a date as each answer with this status must (RFC 9110, section 6.6.1).
fn answer(status: StatusCode, sentence: &str, request_id: &str) -> String {
    let date = httpdate::fmt_http_date(SystemTime::now());
    let length = sentence.len() + "\n".len();
    format!(
        "HTTP/1.1 {status}\r\nDate: {date}\r\nConnection: close\r\nX-Request-ID: {request_id}\r\n\
         Content-Type: text/plain; charset=utf-8\r\nContent-Length: {length}\r\n\r\n{sentence}\n"
    )
}

/// How long a client may take to accept the few bytes of a refusal.
const WRITE_TIMEOUT: Duration = Duration::from_secs(5);

/// How long a closed connection waits for the client to send something or to close its side too.
const SILENCE_TIMEOUT: Duration = Duration::from_secs(2);

/// How long a closed connection reads what a client still sends. nginx's value.
const LINGER_TIMEOUT: Duration = Duration::from_secs(30);

/// How much a closed connection reads to throw it away: as much as a body may have by default.
const LINGER_BYTES_MAX: usize = 64 * 1024 * 1024;
