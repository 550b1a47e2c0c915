//! One stream: its request goes to the service, its response to the client, or it becomes a tunnel.
//!
//! Each stream has a task of its own, which ends when the client resets the stream or loses the
//! connection. If it panics, h2 resets the stream, and the connection goes on.
//!
//! Runs for every request.

use std::future::poll_fn;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use h2::RecvStream;
use h2::server::SendResponse;
use http::header::{CONTENT_LENGTH, EXPECT};
use http::{Method, Request, Response, StatusCode};
use tower::util::ServiceExt;
use tracing::debug;

use super::progress::{OpenStream, OpenTunnel, Progress};
use super::request;
use super::response::{self, Departed};
use crate::listener::served::ClientService;
use crate::listener::settings::Settings;
use crate::net::{
    Awaited, ClientBody, ClientInfo, ConnectionPermit, Http2Body, Http2Stream, RawStream,
    StreamHandoff,
};

/// What all streams of a connection share.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) client: ClientInfo,
    pub(super) settings: Arc<Settings>,
    pub(super) progress: Arc<Progress>,
    /// Counts the client as long as the connection lives.
    pub(super) permit: ConnectionPermit,
}

/// Serves a request that has arrived on `respond`'s stream.
pub(super) async fn serve<S: ClientService>(
    shared: Arc<Shared>,
    service: S,
    request: Request<RecvStream>,
    mut respond: SendResponse<Bytes>,
    open: OpenStream,
) {
    let (mut head, received) = request.into_parts();
    let is_ended = received.is_end_stream();
    if let Err(fault) = request::prepare(&mut head, is_ended, shared.settings.head) {
        return refuse(&shared.client, &mut respond, fault.status(), &fault.to_string());
    }
    head.extensions.insert(shared.client.clone());
    if request::is_for_tunnel(&head) {
        return serve_tunnel(&shared, service, head, received, respond).await;
    }
    let awaited = head.headers.contains_key(EXPECT).then(Awaited::default);
    let body = match is_ended {
        true => ClientBody::Empty,
        false => ClientBody::Http2(Http2Body::new(received, length(&head), awaited.clone())),
    };
    let is_head = head.method == Method::HEAD;
    let request = Request::from_parts(head, body);
    let Ok(response) = answer(service, request, &mut respond, awaited.as_ref()).await else {
        return debug!(client = %shared.client.address, "the client gave up a request");
    };
    // A failure is the client's: it has left, or does not read.
    if let Err(departed) = response::send(response, respond, is_head).await {
        debug!(client = %shared.client.address, "a response was not sent: {departed}");
    }
    drop(open);
}

/// Serves an extended CONNECT. If it is accepted, the stream belongs to the tunnel.
async fn serve_tunnel<S: ClientService>(
    shared: &Shared,
    service: S,
    mut head: http::request::Parts,
    received: RecvStream,
    mut respond: SendResponse<Bytes>,
) {
    let Some(permit) = shared.permit.another() else {
        let sentence = "there are as many connections and WebSockets as allowed";
        return refuse(&shared.client, &mut respond, StatusCode::SERVICE_UNAVAILABLE, sentence);
    };
    let tunnel: OpenTunnel = shared.progress.open_tunnel();
    let handoff = StreamHandoff::default();
    head.extensions.insert(handoff.clone());
    let request = Request::from_parts(head, ClientBody::Empty);
    let Ok(response) = answer(service, request, &mut respond, None).await else {
        return debug!(client = %shared.client.address, "the client gave up a WebSocket");
    };
    let Some(receiver) = handoff.take_receiver().filter(|_| response.status().is_success()) else {
        if let Err(departed) = response::send(response, respond, false).await {
            debug!(client = %shared.client.address, "a response was not sent: {departed}");
        }
        return;
    };
    let head = response::head(response.into_parts().0);
    // Fails if the client has reset the stream.
    if let Ok(sent) = respond.send_response(head, false) {
        let stream = Http2Stream::new(received, sent, Box::new(tunnel));
        receiver(RawStream { stream, permit });
    }
}

/// The service's response, unless the client leaves before.
async fn answer<S: ClientService>(
    service: S,
    request: Request<ClientBody>,
    respond: &mut SendResponse<Bytes>,
    awaited: Option<&Awaited>,
) -> Result<Response<S::Body>, Departed> {
    let mut answer = pin!(service.oneshot(request));
    poll_fn(|cx| {
        let polled = answer.as_mut().poll(cx);
        if awaited.is_some_and(Awaited::take) {
            let mut proceed = Response::new(());
            *proceed.status_mut() = StatusCode::CONTINUE;
            // Fails if the client has left, which is seen next.
            let _ = respond.send_informational(proceed);
        }
        match polled {
            Poll::Ready(Ok(response)) => Poll::Ready(Ok(response)),
            Poll::Pending => poll_departed(respond, cx).map(Err),
        }
    })
    .await
}

/// Ready when the client has reset the stream or lost the connection.
fn poll_departed(respond: &mut SendResponse<Bytes>, cx: &mut Context<'_>) -> Poll<Departed> {
    respond.poll_reset(cx).map(|_| Departed::Reset)
}

/// The length that a head declares. h2 has checked that it is a number.
fn length(head: &http::request::Parts) -> Option<u64> {
    head.headers.get(CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse().ok())
}

/// Refuses a request with a sentence, and logs a line.
fn refuse(
    client: &ClientInfo,
    respond: &mut SendResponse<Bytes>,
    status: StatusCode,
    sentence: &str,
) {
    let id = format!("{:032x}", fastrand::u128(..));
    debug!(client = %client.address.ip(), status = status.as_u16(), request = id, "refused: {sentence}");
    let (head, text) = response::refusal(status, sentence, &id);
    // Fails if the client has left.
    if let Ok(mut sent) = respond.send_response(head, false) {
        let _ = sent.send_data(text, true);
    }
}
