//! Refusals that hyper does not write, and an orderly close, so that the last bytes arrive.
//!
//! Runs for every request.

use std::net::SocketAddr;
use std::time::{Duration, SystemTime};

use http::StatusCode;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::time::timeout;
use tracing::debug;

/// Answers with `status` and a sentence, logs a line, and closes. Takes at most [`WRITE_TIMEOUT`]
/// plus [`LINGER_TIMEOUT`]. If the future is dropped, the answer may be truncated.
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
    // Fails for a client that has left or does not read.
    let written = timeout(WRITE_TIMEOUT, async {
        stream.write_all(answer(status, sentence, &request).as_bytes()).await?;
        stream.shutdown().await
    });
    if let Ok(Ok(())) = written.await {
        linger(stream).await;
    }
}

/// Closes our side, so that the client sees the end of the stream, and lingers.
pub(super) async fn close<S>(stream: &mut S)
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    // Fails for a client that has left.
    if stream.shutdown().await.is_ok() {
        linger(stream).await;
    }
}

/// Reads and discards what the client still sends: closing a socket with unread bytes resets the
/// connection, and a reset overtakes the answer (RFC 9112, section 9.6). Many clients read no answer
/// before they have sent the whole body. Ends after [`SILENCE_TIMEOUT`] without a byte, after
/// [`LINGER_TIMEOUT`] or after [`LINGER_BYTES_MAX`].
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
    // The socket is closed next in any case.
    let _ = timeout(LINGER_TIMEOUT, discard).await;
}

/// A complete answer. A date is required for these statuses (RFC 9110, section 6.6.1).
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

/// How long a closed connection waits for a byte or for the client's own close.
const SILENCE_TIMEOUT: Duration = Duration::from_secs(2);

/// How long a closed connection reads. nginx's value.
const LINGER_TIMEOUT: Duration = Duration::from_secs(30);

/// How many bytes a closed connection discards: the default limit of a request body.
const LINGER_BYTES_MAX: usize = 64 * 1024 * 1024;
