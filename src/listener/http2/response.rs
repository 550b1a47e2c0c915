//! A response over HTTP/2: its head, and its body as fast as the client opens its window.
//!
//! Runs for every byte.

use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::task::{Context, Poll};
use std::time::{Duration, SystemTime};

use bytes::{Buf, Bytes};
use h2::server::SendResponse;
use h2::{Reason, SendStream};
use http::header::{
    CONNECTION, CONTENT_LENGTH, CONTENT_TYPE, DATE, HeaderName, HeaderValue, TRANSFER_ENCODING,
    UPGRADE,
};
use http::response::Parts;
use http::{Response, StatusCode};
use http_body::Body;
use tokio::time::timeout;

/// Why a response did not reach its client.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Departed {
    /// It reset the stream, or its connection is over.
    #[error("the client has left")]
    Reset,
    /// It did not open its window.
    #[error("the client read nothing for {STALL_TIMEOUT:?}")]
    Stalled,
    /// The body failed.
    #[error("the body broke off")]
    BrokeOff,
}

/// Sends `response`. Its trailers are discarded, like those over HTTP/1.1.
///
/// # Errors
///
/// The stream was reset, by the client or by us.
pub(super) async fn send<B: Body>(
    response: Response<B>,
    mut respond: SendResponse<Bytes>,
    is_head: bool,
) -> Result<(), Departed> {
    let (mut head, body) = response.into_parts();
    let is_bodiless =
        is_head || matches!(head.status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED);
    let ends = is_bodiless || body.is_end_stream();
    if let (false, Some(length)) = (is_bodiless, body.size_hint().exact()) {
        head.headers.entry(CONTENT_LENGTH).or_insert_with(|| HeaderValue::from(length));
    }
    let sent = respond.send_response(self::head(head), ends);
    let mut sent = sent.map_err(|_| Departed::Reset)?;
    if ends {
        return Ok(());
    }
    let departed = match send_body(body, &mut sent).await {
        Ok(()) => return Ok(()),
        Err(departed) => departed,
    };
    match departed {
        Departed::Reset => (),
        Departed::Stalled => sent.send_reset(Reason::CANCEL),
        // The client must not take the part for the whole.
        Departed::BrokeOff => sent.send_reset(Reason::INTERNAL_ERROR),
    }
    Err(departed)
}

/// The head as h2 takes it: without the fields of an HTTP/1.1 connection (RFC 9113, section 8.2.2), with
/// a date (RFC 9110, section 6.6.1).
pub(super) fn head(mut head: Parts) -> Response<()> {
    for name in [CONNECTION, KEEP_ALIVE, PROXY_CONNECTION, TRANSFER_ENCODING, UPGRADE] {
        head.headers.remove(name);
    }
    if !head.headers.contains_key(DATE) {
        let date = httpdate::fmt_http_date(SystemTime::now());
        head.headers.extend(HeaderValue::try_from(date).ok().map(|date| (DATE, date)));
    }
    Response::from_parts(head, ())
}

/// A refusal of our own, with its text.
pub(super) fn refusal(status: StatusCode, sentence: &str, id: &str) -> (Response<()>, Bytes) {
    let text = Bytes::from(format!("{sentence}\n"));
    let (mut parts, ()) = Response::new(()).into_parts();
    parts.status = status;
    let fields = &mut parts.headers;
    fields.insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    fields.insert(CONTENT_LENGTH, HeaderValue::from(text.len()));
    fields.extend(HeaderValue::try_from(id).ok().map(|id| (X_REQUEST_ID, id)));
    (head(parts), text)
}

async fn send_body<B: Body>(body: B, sent: &mut SendStream<Bytes>) -> Result<(), Departed> {
    let mut body = pin!(body);
    loop {
        let Some(data) = poll_fn(|cx| poll_data(body.as_mut(), sent, cx)).await? else {
            return sent.send_data(Bytes::new(), true).map_err(|_| Departed::Reset);
        };
        let is_last = body.is_end_stream();
        send_data(data, is_last, sent).await?;
        if is_last {
            return Ok(());
        }
    }
}

/// The next bytes of the body; `None` at its end.
fn poll_data<B: Body>(
    mut body: Pin<&mut B>,
    sent: &mut SendStream<Bytes>,
    cx: &mut Context<'_>,
) -> Poll<Result<Option<Bytes>, Departed>> {
    loop {
        match body.as_mut().poll_frame(cx) {
            Poll::Pending => return sent.poll_reset(cx).map(|_| Err(Departed::Reset)),
            Poll::Ready(None) => return Poll::Ready(Ok(None)),
            Poll::Ready(Some(Err(_))) => return Poll::Ready(Err(Departed::BrokeOff)),
            Poll::Ready(Some(Ok(frame))) => {
                if let Ok(mut data) = frame.into_data() {
                    return Poll::Ready(Ok(Some(data.copy_to_bytes(data.remaining()))));
                }
            }
        }
    }
}

/// Sends `data` as the client opens its window; with END_STREAM if it `is_last`.
async fn send_data(
    mut data: Bytes,
    is_last: bool,
    sent: &mut SendStream<Bytes>,
) -> Result<(), Departed> {
    while !data.is_empty() {
        sent.reserve_capacity(data.len());
        let capacity = match sent.capacity() {
            0 => {
                let granted = timeout(STALL_TIMEOUT, poll_fn(|cx| sent.poll_capacity(cx))).await;
                let granted = granted.map_err(|_elapsed| Departed::Stalled)?;
                granted.ok_or(Departed::Reset)?.map_err(|_| Departed::Reset)?
            }
            capacity => capacity,
        };
        let part = data.split_to(capacity.min(data.len()));
        let ends = is_last && data.is_empty();
        sent.send_data(part, ends).map_err(|_| Departed::Reset)?;
        if ends {
            return Ok(());
        }
    }
    match is_last {
        true => sent.send_data(Bytes::new(), true).map_err(|_| Departed::Reset),
        false => Ok(()),
    }
}

/// How long a client may leave the window of a response closed: as over HTTP/1.1.
const STALL_TIMEOUT: Duration = Duration::from_secs(60);

const KEEP_ALIVE: HeaderName = HeaderName::from_static("keep-alive");
const PROXY_CONNECTION: HeaderName = HeaderName::from_static("proxy-connection");
const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
