//! A client of the admin listener for answers that go on: server-sent events.
//!
//! Runs at start, at reload, or on a timer.

use std::error::Error;
use std::ops::ControlFlow;

use bytes::Bytes;
use http::{Method, Request, StatusCode};
use http_body_util::{BodyExt, Empty, Limited};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::runtime::Builder;
use tokio::time::timeout;

use super::client::{AdminTarget, BODY_BYTES_MAX, ClientError, TIMEOUT};

/// Why the endpoint sends no events: the status and the JSON of its answer.
pub(crate) type Refused = Option<(StatusCode, Value)>;

/// Reads the events of the endpoint at `path` until they end, and shows each to `on_event`: its name and its
/// data. Returns the refusal if there are none.
///
/// # Errors
///
/// [`ClientError`] if there is no answer.
///
/// # Panics
///
/// Within another runtime, since this blocks its thread.
pub(crate) fn follow(
    target: &AdminTarget,
    path: &str,
    mut on_event: impl FnMut(&str, Value) -> ControlFlow<()>,
) -> Result<Refused, ClientError> {
    let address = target.address;
    let unreachable = |source| ClientError::Connect { address, source };
    let runtime = Builder::new_current_thread().enable_all().build().map_err(unreachable)?;
    runtime.block_on(async {
        let connect = timeout(TIMEOUT, TcpStream::connect(address)).await;
        let stream =
            connect.map_err(|_| ClientError::TimedOut { address })?.map_err(unreachable)?;
        let followed = async {
            let request = target.request(Method::GET, path)?;
            match &target.tls {
                None => read_events(stream, request, &mut on_event).await,
                Some(tls) => {
                    let stream = tls.handshake(stream, &address.ip().to_string()).await?;
                    read_events(stream, request, &mut on_event).await
                }
            }
        };
        followed.await.map_err(|source| ClientError::NotAdmin { address, source })
    })
}

async fn read_events<S>(
    stream: S,
    request: Request<Empty<Bytes>>,
    on_event: &mut impl FnMut(&str, Value) -> ControlFlow<()>,
) -> Result<Refused, Box<dyn Error + Send + Sync>>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    let read = async {
        let mut answer = sender.send_request(request).await?;
        let status = answer.status();
        if !status.is_success() {
            let body = Limited::new(answer.into_body(), BODY_BYTES_MAX).collect().await?;
            return Ok(Some((status, serde_json::from_slice(&body.to_bytes())?)));
        }
        let mut unread = Vec::new();
        while let Some(frame) = answer.frame().await {
            unread.extend_from_slice(frame?.data_ref().map_or(&[][..], |bytes| bytes));
            while let Some(end) = unread.windows(2).position(|pair| pair == b"\n\n") {
                let event: Vec<u8> = unread.drain(..end + 2).collect();
                if let Some((name, data)) = event_of(&event)
                    && on_event(&name, data).is_break()
                {
                    return Ok(None);
                }
            }
            if unread.len() > BODY_BYTES_MAX {
                return Err("an event is too long".into());
            }
        }
        Ok(None)
    };
    tokio::pin!(read);
    tokio::select! {
        read = &mut read => read,
        // What came last is still to be shown.
        _ = connection => read.await,
    }
}

/// The name and the data of an event; `None` if it is a comment.
fn event_of(event: &[u8]) -> Option<(String, Value)> {
    let text = std::str::from_utf8(event).ok()?;
    let field = |name: &str| text.lines().find_map(|line| line.strip_prefix(name));
    let data = serde_json::from_str(field("data: ")?).ok()?;
    Some((field("event: ")?.to_owned(), data))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::event_of;

    #[test]
    fn an_event_has_a_name_and_data_and_a_comment_has_not() {
        let event = event_of(b"event: end\ndata: {\"a\":1}\n\n");
        assert_eq!(event, Some(("end".to_owned(), json!({ "a": 1 }))));
        assert_eq!(event_of(b":\n\n"), None);
        assert_eq!(event_of(b"event: end\ndata: {\n\n"), None);
        assert_eq!(event_of(b"\xff\n\n"), None);
    }
}
